"""Picking up only what has stopped growing."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from teilhabe.landing.base import RemoteFile, Source
from teilhabe.landing.base import settle_seconds as configured_settle_seconds

EMPTY_WAIT_SECONDS = 60
"""A file of no bytes is what a slow copy looks like at first, so without a flag it has to stay empty this long."""


def settled(
    source: Source,
    *,
    seen: Collection[str] = (),
    settle_seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[RemoteFile]:
    """The files at ``source`` that may be fetched, in the order of the source.

    Complete ones (ticket, ``.done`` flag) at once; any other only when two looks at least ``settle_seconds`` apart
    (default TEILHABE_SETTLE_SECONDS) found it unchanged. Where files stay after pick-up, those whose fingerprint is
    in ``seen`` are left out.
    """
    first = _unseen(source, seen)
    if all(file.complete for file in first):
        return first
    wait = configured_settle_seconds() if settle_seconds is None else settle_seconds
    looked = clock()
    while (left := wait - (clock() - looked)) > 0:
        sleep(left)
    before = {file.key: file for file in first}
    return [
        file
        for file in _unseen(source, seen)
        if file.complete or (file == before.get(file.key) and not _maybe_just_begun(file, now()))
    ]


def _unseen(source: Source, seen: Collection[str]) -> list[RemoteFile]:
    return [file for file in source.list() if not (source.keeps_files and file.fingerprint in seen)]


def _maybe_just_begun(file: RemoteFile, now: datetime) -> bool:
    if file.size != 0 or file.modified is None:
        return False
    return (now - file.modified).total_seconds() < EMPTY_WAIT_SECONDS
