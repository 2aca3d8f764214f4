"""Folders for delivered bytes in passing: gone afterwards, also when their process was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from teilhabe.settings import Settings

_PREFIX = "passing-"
_GRACE_SECONDS = 60
"""A folder this young may not have been locked yet."""


@contextmanager
def passing_folder(settings: Settings) -> Iterator[Path]:
    """A new folder below ``work``, removed at the end. What killed processes left of theirs is removed on the way."""
    settings.work.mkdir(parents=True, exist_ok=True)
    sweep(settings)
    folder = settings.work / f"{_PREFIX}{uuid.uuid4().hex}"
    folder.mkdir(mode=0o700)
    lock = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def sweep(settings: Settings) -> int:
    """Remove folders whose process has ended; returns how many.

    A lock tells who lives: numbers of processes mean nothing where containers share a home.
    """
    removed = 0
    for folder in settings.work.glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < _GRACE_SECONDS:
                continue
        except FileNotFoundError:
            continue
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            removed += 1
    return removed


def _lock(folder: Path) -> int | None:
    """The folder's lock, as long as the returned descriptor is open; None when another process has it, or the folder is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
