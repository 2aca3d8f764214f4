"""How the product waits for what another process holds: with an end, and never inside an open transaction.

The server holds the same against everything else: see ``server.provisioning.ROLE_SETTINGS`` (no lock is waited for longer than a minute,
no transaction may stand idle).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from teilhabe.errors import WarehouseError

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]
Result = TypeVar("Result")

CONFLICTS = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.SerializationFailure,
)
"""Errors that only say that somebody else was at the same tables: the same work succeeds when it is tried again."""

_LOOK_SECONDS = 0.5
_READERS_WAIT = "300ms"
"""While somebody waits for an exclusive lock, all who come after wait behind; so nobody waits for one longer than this. Shorter
than the server's ``deadlock_timeout`` of a second: where two wait for each other, whoever changes tables gives way."""


def wait_alone(conn: Connection, name: str) -> None:
    """Return once this session alone holds the advisory lock ``name``; it ends with the session, also when that is killed.

    The holder is waited for as long as it lives: what it waits for has an end itself.
    """
    while True:
        [[held]] = conn.execute("select pg_try_advisory_lock(hashtext(%s))", [name]).fetchall()
        conn.commit()
        if held:
            return
        time.sleep(_LOOK_SECONDS)


def change_tables(conn: Connection, work: Callable[[], Result], *, minutes: float = 10) -> Result:
    """Do work that needs tables for itself, in one transaction; try again while others are reading or writing them.

    Raises:
        WarehouseError: they were never free for so many minutes.
    """
    until = time.monotonic() + minutes * 60
    while True:
        try:
            with conn.transaction():
                conn.execute("select set_config('lock_timeout', %s, true)", [_READERS_WAIT])
                return work()
        except CONFLICTS as error:
            if time.monotonic() > until:
                raise WarehouseError(
                    f"The tables could not be changed: other commands were using them for {minutes:g} minutes "
                    f"({type(error).__name__}). Try again when the build has ended; nothing was changed."
                ) from error
            log.info("tables are in use (%s), trying again", type(error).__name__)
        time.sleep(_LOOK_SECONDS)


def try_again(work: Callable[[], Result], *, times: int = 3) -> Result:
    """Do work that leaves nothing behind when it fails; a conflict with others is no reason to give up at once."""
    for _ in range(times - 1):
        try:
            return work()
        except CONFLICTS as error:
            log.warning("%s, trying again", type(error).__name__)
            time.sleep(_LOOK_SECONDS)
    return work()
