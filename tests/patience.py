"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def within(seconds: float, look: Callable[[], Found]) -> Found:
    """What is there in the end: the first answer that is not empty."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"nothing within {seconds} seconds"
        time.sleep(0.1)
    return found
