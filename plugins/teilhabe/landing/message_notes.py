"""Which files the messages of a mailbox hold, noted while they lie there.

Every dataset that looks into a mailbox asks the same of each of its messages; the answer costs the whole message, and never changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from teilhabe.landing.mime import Attachment

_SECONDS = 30 * 24 * 3600.0
"""No note is older: names of files are not kept of mailboxes nobody looks into any more."""


@dataclass(frozen=True)
class MessageNotes:
    """Notes in ``folder``, shared by all processes of a home. ``mailbox`` names account, folder and what its numbers are valid for."""

    folder: Path

    def known(self, mailbox: str, uid: str) -> Sequence[Attachment] | None:
        """The files of a message in their order; None where nothing is noted."""
        try:
            noted = json.loads(self._path(mailbox, uid).read_text(encoding="utf-8"))
            return [(str(name), int(size)) for name, size in noted]
        except (OSError, ValueError, TypeError):
            return None

    def note(self, mailbox: str, uid: str, found: Sequence[Attachment]) -> None:
        path = self._path(mailbox, uid)
        draft = path.with_suffix(f".{os.getpid()}")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(found, file)
        draft.replace(path)

    def keep_only(self, mailbox: str, uids: Collection[str]) -> None:
        """Remove what is noted of messages that are gone."""
        wanted = {self._path(mailbox, uid) for uid in uids}
        oldest = time.time() - _SECONDS
        for path in self.folder.glob("*"):
            is_gone = path.name.startswith(f"{_digest(mailbox)}-") and path not in wanted
            try:
                if is_gone or path.stat().st_mtime < oldest:
                    path.unlink()
            except FileNotFoundError:
                continue

    def _path(self, mailbox: str, uid: str) -> Path:
        return self.folder / f"{_digest(mailbox)}-{uid}.json"


def _digest(mailbox: str) -> str:
    return hashlib.sha256(mailbox.encode()).hexdigest()[:16]
