"""The next chunk is made in a thread while one is worked on: Arrow, NumPy and the server's socket need no interpreter."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")


class _Failed(Exception):
    """Carries an error of the thread to its consumer."""


class _End:
    """No further item."""


def read_ahead(items: Iterable[Item], count: int) -> Generator[Item]:
    """``items``, at most ``count`` of them made in advance; an error of theirs surfaces where it would have without."""
    ready: queue.Queue[Item | _Failed | _End] = queue.Queue(maxsize=count)
    stopped = threading.Event()

    def put(item: Item | _Failed | _End) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
            put(_End())
        except BaseException as error:
            failed = _Failed()
            failed.__cause__ = error
            put(failed)

    worker = threading.Thread(target=produce, name="teilhabe-ahead", daemon=True)
    worker.start()
    try:
        while not isinstance(item := ready.get(), _End):
            if isinstance(item, _Failed):
                assert item.__cause__ is not None  # noqa: S101 - set above
                raise item.__cause__
            yield item
    finally:
        stopped.set()
        worker.join()
