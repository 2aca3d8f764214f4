"""The inbox: handing files in as an office would, and picking them up from a folder again.

A handed-in file becomes a *ticket*: ``<inbox>/<dataset_id>/<ticket>/`` with the file and a ``delivery.json`` beside it.
A ticket appears by one rename, so whoever sees it sees all of it. Files may also be dropped into the folder by hand.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from teilhabe.codes.office_time import moment_in_office
from teilhabe.errors import ContractError, GoneError, SourceError, TeilhabeError
from teilhabe.landing.arrival import stated
from teilhabe.landing.base import (
    CHUNK_BYTES,
    DONE_SUFFIX,
    Listing,
    Problems,
    RemoteFile,
    base_name,
    is_delivery_name,
    matches,
    max_file_bytes,
    private_dirs,
    readable,
    refuse_too_large,
    sync_folder,
    write_stream,
)
from teilhabe.settings import Settings

TICKET_FILE = "delivery.json"

_DATASET_ID = re.compile(r"[a-z0-9][a-z0-9_]*")
_TICKET_TIME = "%Y%m%dT%H%M%S%f"
_LEFTOVER_SUFFIX = ".tmp"
_LEFTOVER_SECONDS = 24 * 3600
_YEARS = range(1990, 3000)
"""Of a hand-in; what is to come is refused by itself."""


def hand_in(
    settings: Settings,
    dataset_id: str,
    files: Iterable[Path],
    received_at: datetime | None = None,
    sender: str | None = None,
    period: str | None = None,
    *,
    now: datetime | None = None,
) -> list[Path]:
    """Put each file into the inbox of its dataset as one ticket; returns the paths of the files there, in order.

    All files are looked at before the first is taken, so a wrong name among ten hands in nothing.
    ``received_at`` is what somebody states who hands in late; without time zone it is a time in the county, and one that is
    still to come is refused. ``now`` is what the clock says.
    """
    now = now or datetime.now(UTC)
    at = stated(received_at, now) if received_at else now
    offered = [(Path(file), _offered_name(Path(file))) for file in files]
    folder = dataset_inbox(settings, dataset_id)
    private_dirs(folder, settings.inbox)
    _sweep(folder)
    said: dict[str, str | bool | None] = {
        "received_at": at.isoformat(),
        "is_stated": received_at is not None,
        "sender": sender,
        "period": period,
    }
    return [_hand_in_one(folder, file, name, said) for file, name in offered]


def dataset_inbox(settings: Settings, dataset_id: str) -> Path:
    if not _DATASET_ID.fullmatch(dataset_id):
        raise TeilhabeError(f"{dataset_id!r} is not a dataset id (expected agency__dataset).")
    return settings.inbox / dataset_id


@dataclass(frozen=True)
class FolderSource:
    """A folder with tickets and plain files, at any depth.

    Symbolic links are never followed. The inbox is emptied by ``acknowledge``; a folder of somebody else
    (``keeps_files``) is only read. ``pattern`` narrows plain files by name or by path within the folder.
    """

    root: Path
    source: str = "inbox"
    pattern: str | None = None
    keeps_files: bool = False
    limit: int | None = None
    problems: Problems = field(default_factory=list, init=False, compare=False, repr=False)

    def list(self) -> Listing:
        """Tickets first, in the order they were handed in; then plain files, the oldest first."""
        if not self.root.is_dir():
            if self.keeps_files:
                raise SourceError(f"Folder {self.root} of source {self.source} is not there.")
            return []
        tickets: Listing = []
        plain: Listing = []
        self.problems.clear()
        for folder, names in self._folders():
            ticket = self._ticket(folder, names)
            if ticket:
                tickets.append(ticket)
            for name in names:
                if name != TICKET_FILE and (ticket is None or name != ticket.name):
                    file = self._plain(folder, name)
                    plain += [file] if file else []
        tickets.sort(key=lambda file: file.key)
        plain.sort(key=lambda file: (file.modified or datetime.min.replace(tzinfo=UTC), file.key))
        return tickets + plain

    def fetch(self, file: RemoteFile, to: Path) -> None:
        limit = max_file_bytes() if self.limit is None else self.limit
        refuse_too_large(file.name, file.size, limit)
        try:
            handle = _open_regular(self._path(file))
        except OSError as error:
            is_taken = isinstance(error, FileNotFoundError) and not self.keeps_files
            kind = GoneError if is_taken else SourceError
            raise kind(f"{file.name}: cannot be read from {self.root} ({error.strerror}).") from error
        with os.fdopen(handle, "rb") as stream:
            before = os.fstat(handle)
            write_stream(iter(lambda: stream.read(CHUNK_BYTES), b""), to, file.name, limit)
            after = os.fstat(handle)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or before.st_size != file.size:
            to.unlink(missing_ok=True)
            raise SourceError(f"{file.name}: was changed in {self.root} while it was being read.")

    def acknowledge(self, file: RemoteFile) -> None:
        """Remove what was archived; a file that was replaced meanwhile stays, it is the next delivery."""
        if self.keeps_files:
            return
        path = self._path(file)
        found = _status(path)
        if found is None:
            return
        if file.fingerprint.startswith("ticket "):
            _remove_ticket(self.root, path)
        elif _plain_fingerprint(file.key, found) == file.fingerprint:
            # The flag goes first: left alone it would declare the next file of this name complete while it grows.
            path.with_name(path.name + DONE_SUFFIX).unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def _ticket(self, folder: Path, names: Iterable[str]) -> RemoteFile | None:
        """What a ticket says; only where nobody but ``hand_in`` makes tickets, for it says who sent a file and when."""
        if TICKET_FILE not in names or folder == self.root or self.keeps_files:
            return None
        try:
            with os.fdopen(_open_regular(folder / TICKET_FILE), encoding="utf-8") as stream:
                said = json.load(stream)
            name = base_name(said["original_name"])
            received_at = moment_in_office(datetime.fromisoformat(said["received_at"]))
            if received_at.year not in _YEARS:
                raise ValueError(received_at.year)
            sender, period = (_text_or_none(said.get(key)) for key in ("sender", "period"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, TeilhabeError):
            self.problems.append(
                f"Der Abgabezettel {TICKET_FILE} im Ordner „{readable(folder.name)}“ ist nicht lesbar; die Datei daneben gilt "
                "als ohne Zettel abgelegt."
            )
            return None
        found = _status(folder / name)
        if found is None or name == TICKET_FILE or name != said["original_name"]:
            return None
        key = (folder / name).relative_to(self.root).as_posix()
        return RemoteFile(
            key=key,
            name=name,
            size=found.st_size,
            modified=_modified(found),
            fingerprint=f"ticket {key}",
            complete=True,
            source=self.source,
            received_at=received_at,
            is_stated=said.get("is_stated") is not False,
            by_own_clock=said.get("is_stated") is False,
            sender=sender,
            period=period,
        )

    def _plain(self, folder: Path, name: str) -> RemoteFile | None:
        found = _status(folder / name)
        key = (folder / name).relative_to(self.root).as_posix()
        if found is None or not is_delivery_name(name) or not matches(self.pattern, key):
            return None
        flag = _status(folder / (name + DONE_SUFFIX))
        return RemoteFile(
            key=key,
            name=readable(name),
            size=found.st_size,
            modified=_modified(found),
            fingerprint=_plain_fingerprint(key, found),
            # A flag older than the file belongs to the file's predecessor.
            complete=flag is not None and flag.st_mtime_ns >= found.st_mtime_ns,
            source=self.source,
        )

    def _folders(self) -> Iterator[tuple[Path, Iterable[str]]]:
        def tell(error: OSError) -> None:
            if Path(error.filename) == self.root:
                raise SourceError(f"Folder {self.root} of source {self.source} cannot be read ({error.strerror}).")
            if not isinstance(error, FileNotFoundError):
                self.problems.append(
                    f"Der Unterordner „{readable(Path(error.filename).name)}“ ist nicht lesbar ({error.strerror})."
                )

        for folder, subfolders, names in os.walk(self.root, followlinks=False, onerror=tell):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            yield Path(folder), sorted(names)

    def _path(self, file: RemoteFile) -> Path:
        path = self.root / file.key
        root = self.root.resolve()
        if ".." in path.parts or not path.parent.resolve().is_relative_to(root):
            raise ContractError(f"{file.key!r} lies outside the folder of source {self.source}.")
        return path


def _offered_name(file: Path) -> str:
    name = base_name(file.name)
    if name.lower() == TICKET_FILE:
        raise TeilhabeError(f"Der Dateiname „{name}“ ist vergeben: bitte die Datei umbenennen.")
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise TeilhabeError(f"„{file}“ ist keine Datei: bitte einzelne Dateien abgeben.")
        with file.open("rb"):
            pass
    except FileNotFoundError as error:
        raise TeilhabeError(f"Die Datei „{file}“ wurde nicht gefunden.") from error
    except OSError as error:
        raise TeilhabeError(f"Die Datei „{file}“ ist nicht lesbar ({error.strerror}).") from error
    refuse_too_large(name, found.st_size, max_file_bytes())
    return name


def _hand_in_one(folder: Path, file: Path, name: str, said: Mapping[str, str | bool | None]) -> Path:
    ticket = _next_ticket(folder)
    waiting = folder / f".{ticket}{_LEFTOVER_SUFFIX}"
    try:
        waiting.mkdir(mode=0o700)
        with file.open("rb") as stream:
            write_stream(iter(lambda: stream.read(CHUNK_BYTES), b""), waiting / name, name, max_file_bytes())
        ticket_said = {**said, "original_name": name, "size": (waiting / name).stat().st_size}
        text = json.dumps(ticket_said, ensure_ascii=False, indent=1).encode()
        write_stream([text], waiting / TICKET_FILE, TICKET_FILE, len(text))
        sync_folder(waiting)
        waiting.rename(folder / ticket)
        sync_folder(folder)
    except OSError as error:
        raise TeilhabeError(f"Die Datei „{file}“ konnte nicht abgegeben werden ({error.strerror}).") from error
    finally:
        if waiting.exists():
            shutil.rmtree(waiting, ignore_errors=True)
    return folder / ticket / name


def _next_ticket(folder: Path) -> str:
    """Sorts after every ticket still waiting, even when the clock was set back meanwhile."""
    now = datetime.fromtimestamp(time.time(), UTC).replace(tzinfo=None)
    for entry in folder.iterdir():
        try:
            waiting = datetime.strptime(entry.name.partition("-")[0], _TICKET_TIME)  # noqa: DTZ007 - UTC as written
        except ValueError:
            continue
        now = max(now, waiting + timedelta(microseconds=1))
    return f"{now:{_TICKET_TIME}}-{secrets.token_hex(3)}"


def _sweep(folder: Path) -> None:
    """Remove what a crash left: half-written tickets, and taken ones that were already archived."""
    for entry in folder.glob(f".*{_LEFTOVER_SUFFIX}"):
        if entry.is_dir() and not entry.is_symlink() and time.time() - entry.stat().st_mtime > _LEFTOVER_SECONDS:
            shutil.rmtree(entry, ignore_errors=True)


def _remove_ticket(root: Path, path: Path) -> None:
    folder = path.parent
    if {entry.name for entry in folder.iterdir()} <= {path.name, TICKET_FILE}:
        taken = root / f".{folder.name}{_LEFTOVER_SUFFIX}"
        folder.rename(taken)
        shutil.rmtree(taken, ignore_errors=True)
    else:
        path.unlink()
        (folder / TICKET_FILE).unlink(missing_ok=True)


def _text_or_none(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError


def _open_regular(path: Path) -> int:
    # O_NONBLOCK: a named pipe lying about must not hang the pick-up.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(0, "not a regular file", str(path))
    return handle


def _status(path: Path) -> os.stat_result | None:
    """The status of a regular file; None for anything else, links included."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _modified(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


def _plain_fingerprint(key: str, found: os.stat_result) -> str:
    return f"{readable(key)} {found.st_mtime_ns} {found.st_size}"
