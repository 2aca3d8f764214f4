"""A file that holds others: whether one is, and what comes out of it. Meant to be run in a process of its own (``confined``)."""

from __future__ import annotations

from pathlib import Path

from teilhabe.contracts import Contract
from teilhabe.reading.enclosures import enclosed
from teilhabe.reading.hostile import Member, extract, members
from teilhabe.reading.report import Report
from teilhabe.reading.source import Source

ZIP_MARK = b"PK"
"""How every ZIP file begins, and nothing else that is read: what does not begin so need not be opened to be told apart."""
_EMPTY_ZIP = b"PK\x05\x06"


def is_container(path: Path, file_name: str) -> bool:
    """The bytes tell: an xlsx is a ZIP file as well, but no container."""
    source = Source(path, file_name, Report(file_name))
    return source.kind == "zip" or source.head.startswith(_EMPTY_ZIP)


def unpack(path: Path, file_name: str, folder: Path, contract: Contract) -> tuple[dict[Path, Member], list[Path]]:
    """Every file of a container, at its place in ``folder``, and those that only accompany the others.

    ``ReadingError`` condemns all of it.
    """
    files = {folder / f"member-{n}": member for n, member in enumerate(members(path, report=Report(file_name)))}
    for local, member in files.items():
        extract(member, local)
    return files, enclosed({local: (local, member.name) for local, member in files.items()}, contract)
