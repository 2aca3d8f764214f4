"""What every source offers, what a file at a source is, and the limits all of them keep."""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from teilhabe.errors import SourceError, TeilhabeError
from teilhabe.landing import room
from teilhabe.settings import number_from_environment

DEFAULT_SETTLE_SECONDS = 2.0
DEFAULT_MAX_FILE_MB = 2048
CHUNK_BYTES = 1 << 20
DONE_SUFFIX = ".done"

_UNFINISHED_SUFFIXES = (".part", ".partial", ".filepart", ".crdownload", ".tmp", ".temp", ".swp", DONE_SUFFIX)
_DESKTOP_FILES = {"thumbs.db", "desktop.ini"}
_NAME_BYTES = 200


@dataclass(frozen=True)
class RemoteFile:
    """One file lying at a source.

    ``key`` is its place within the source, ``name`` the bare name it was delivered under. ``fingerprint`` changes
    whenever the bytes may have changed and is unique within the source; empty when the source gives no way to tell.
    ``received_at`` is None when nobody recorded it: then the moment of pick-up counts. ``is_stated``: a person said it;
    ``by_own_clock``: the clock of this machine did.
    """

    key: str
    name: str
    size: int | None
    modified: datetime | None
    fingerprint: str
    complete: bool
    source: str
    received_at: datetime | None = None
    sender: str | None = None
    period: str | None = None
    is_stated: bool = False
    by_own_clock: bool = False


Listing = list[RemoteFile]
Problems = list[str]
"""What keeps single entries of a source from being deliveries, a German sentence each, for the operators."""


class Source(Protocol):
    """A place files come from.

    ``keeps_files`` is True where the files stay after they were acknowledged, so that the caller has to remember the
    fingerprints it has seen. ``problems`` are those of the last ``list``: one bad entry does not hide the others.
    All methods raise SourceError when another try may help and ContractError when not.
    """

    @property
    def keeps_files(self) -> bool: ...

    @property
    def problems(self) -> Problems: ...

    def list(self) -> Listing: ...

    def fetch(self, file: RemoteFile, to: Path) -> None:
        """Write the whole file to ``to``, or raise and leave nothing there."""

    def acknowledge(self, file: RemoteFile) -> None:
        """Tell the source that the bytes are safe in the archive. May be repeated."""


@dataclass(frozen=True)
class Credentials:
    """What a connection says about host and login; ``extra`` takes the keys Airflow's connections use."""

    login: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def flag(self, key: str) -> bool:
        return str(self.extra.get(key, "")).strip().lower() in {"true", "1", "yes"}


def settle_seconds() -> float:
    """How long a file has to stand still before it is picked up: TEILHABE_SETTLE_SECONDS."""
    return number_from_environment("TEILHABE_SETTLE_SECONDS", DEFAULT_SETTLE_SECONDS)


def max_file_bytes() -> int:
    """The largest file that is taken in: TEILHABE_MAX_FILE_MB."""
    return int(number_from_environment("TEILHABE_MAX_FILE_MB", DEFAULT_MAX_FILE_MB) * 1024 * 1024)


class TooLargeError(TeilhabeError):
    """A file over the limit. ``size`` is what its source says of it, or how much of it had come when it was given up."""

    def __init__(self, name: str, size: int, limit: int) -> None:
        super().__init__(
            f"Die Datei „{name}“ ist größer als die erlaubten {limit / 1024 / 1024:g} MB "
            "(Einstellung TEILHABE_MAX_FILE_MB) und wird nicht angenommen."
        )
        self.size = size
        self.limit = limit


def refuse_too_large(name: str, size: int | None, limit: int) -> None:
    if size is not None and size > limit:
        raise TooLargeError(name, size, limit)


def base_name(name: str) -> str:
    """The last part of a name from anywhere; TeilhabeError when no usable file name is left."""
    bare = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1]).strip()
    unusable = bare in {"", ".", ".."} or any(unicodedata.category(sign) == "Cc" for sign in bare)
    if unusable or len(os.fsencode(bare)) > _NAME_BYTES:
        raise TeilhabeError(f"Der Dateiname {name!r} ist nicht verwendbar: bitte die Datei umbenennen.")
    return bare


def readable(name: str) -> str:
    """A name from a file system as text: one that is no UTF-8 (usual after unpacking on Linux) in Windows' character set."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("cp1252", "replace")
    return name


def is_delivery_name(name: str) -> bool:
    """False for names that programs give to files that are not deliveries (yet)."""
    lowered = name.lower()
    return not (lowered.startswith((".", "~$")) or lowered.endswith(_UNFINISHED_SUFFIXES) or lowered in _DESKTOP_FILES)


def matches(pattern: str | None, key: str) -> bool:
    """Whether the file at ``key`` is meant by ``pattern``: a glob on the bare name or on the path."""
    return pattern is None or any(fnmatch.fnmatchcase(text, pattern) for text in (key.rsplit("/", 1)[-1], key))


def write_stream(chunks: Iterable[bytes], to: Path, name: str, limit: int, expected: int | None = None) -> None:
    """Write ``chunks`` to ``to`` under a temporary name first; nothing is left behind when anything goes wrong."""
    part = to.with_name(f".{to.name}.part")
    part.unlink(missing_ok=True)
    written = 0
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            for chunk in chunks:
                written += len(chunk)
                refuse_too_large(name, written, limit)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        if expected is not None and written != expected:
            raise SourceError(f"{name}: the transfer broke off after {written} of {expected} bytes.")
        part.replace(to)
    except OSError as error:
        if (full := room.refusal(error, str(to.parent))) is not None:
            raise full from error
        raise
    finally:
        part.unlink(missing_ok=True)


def private_dirs(path: Path, root: Path) -> None:
    """Create ``root`` and the folders from there down to ``path``, the new ones for their owner only."""
    root.parent.mkdir(parents=True, exist_ok=True)
    root.mkdir(mode=0o700, exist_ok=True)
    folder = root
    for part in path.relative_to(root).parts:
        folder /= part
        folder.mkdir(mode=0o700, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames within ``folder`` survive a power failure, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
