"""A file that holds others: whether one is, and what comes out of it. Meant to be run in a process of its own (``confined``)."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path

from teilhabe.contract.model import Contract
from teilhabe.errors import SourceError
from teilhabe.reading.files.enclosures import enclosed
from teilhabe.reading.files.hostile import Limits, Member, extract, members
from teilhabe.reading.files.source import Source
from teilhabe.reading.report import Report

_MB = 1_000_000
_NO_LIMITS = Limits(*[1 << 62] * len(fields(Limits)))
"""What was unpacked once is not weighed again: less may be allowed by now."""
_KEPT_FREE = 0.02
"""Share of the disk that unpacking leaves free: the database stands on the same."""

ZIP_MARK = b"PK"
"""How every ZIP file begins, and nothing else that is read: what does not begin so need not be opened to be told apart."""
_EMPTY_ZIP = b"PK\x05\x06"


def is_container(path: Path, file_name: str) -> bool:
    """The bytes tell: an xlsx is a ZIP file as well, but no container."""
    source = Source(path, file_name, Report(file_name))
    return source.kind == "zip" or source.head.startswith(_EMPTY_ZIP)


def unpack(path: Path, file_name: str, folder: Path, contract: Contract) -> tuple[dict[Path, Member], list[Path]]:
    """Every file of a container, at its place in ``folder``, and those that only accompany the others.

    ``ReadingError`` condemns all of it; ``SourceError`` means that there is no room at present.
    """
    limits = Limits() if contract.container_bytes is None else Limits(total_bytes=contract.container_bytes)
    files = {folder / f"member-{n}": member for n, member in enumerate(members(path, limits, Report(file_name)))}
    _check_room(folder, sum(member.size for member in files.values()))
    for local, member in files.items():
        extract(member, local)
    return files, enclosed({local: (local, member.name) for local, member in files.items()}, contract)


def take_out(path: Path, file_name: str, place: str, to: Path) -> None:
    """One file of a container that was unpacked before, named by its place."""
    found = next((one for one in members(path, _NO_LIMITS, Report(file_name)) if one.place == place), None)
    if found is None:
        raise Report(file_name).error("zip.damaged", f"Die Datei „{place}“ liegt nicht mehr darin.")
    extract(found, to)


def _check_room(folder: Path, size: int) -> None:
    """The files are unpacked here and kept in the archive, which usually lies on the same disk."""
    usage = shutil.disk_usage(folder)
    if usage.free - 2 * size < usage.total * _KEPT_FREE:
        raise SourceError(
            f"There is no room to unpack {size // _MB} MB under {folder.parent}: {usage.free // _MB} MB are free and "
            f"{_KEPT_FREE:.0%} of the disk stay free."
        )
