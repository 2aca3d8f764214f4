"""What the database looks like: tables change by numbered migrations alone, views and functions are made anew after them.

``migrations/<part>/NNNN_what.sql`` are applied in the order of their numbers, each once; ``ops.schema_version`` says which. What
was released is never edited: a change is another file. The part ``ops`` is the loader's and brought up to date by
``teilhabe init``; ``marts``, what releases keep of themselves, is the transformer's and brought up to date with a release.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Literal, get_args

import psycopg

from teilhabe.codes.office_time import OFFICE_TIME
from teilhabe.errors import WarehouseError

Connection = psycopg.Connection[Any]
Part = Literal["ops", "marts"]
PARTS: tuple[Part, ...] = get_args(Part)

_VIEWS = "ops.sql"
_OFFICE_TIME_ZONE = (
    "create or replace function ops.office_time_zone() returns text language sql immutable"
    f" return '{OFFICE_TIME.key}'::text; grant execute on function ops.office_time_zone() to public"
)
"""Which day a moment belongs to. The key is the name of a time zone that exists."""


@dataclass(frozen=True)
class Migration:
    """One change of tables, as SQL."""

    part: Part
    number: int
    name: str
    statements: bytes

    def __str__(self) -> str:
        return f"{self.part} {self.number} ({self.name.replace('_', ' ')})"


@cache
def migrations(part: Part) -> tuple[Migration, ...]:
    """All migrations of a part this code knows, in their order."""
    found = []
    for file in files("teilhabe.ops").joinpath("migrations", part).iterdir():
        number, _, name = file.name.removesuffix(".sql").partition("_")
        found.append(Migration(part, int(number), name, file.read_bytes()))
    return tuple(sorted(found, key=lambda one: one.number))


def versions_of_code() -> dict[Part, int]:
    """The schema version this code works with, by part."""
    return {part: migrations(part)[-1].number for part in PARTS}


def versions_of_database(conn: Connection) -> dict[Part, int]:
    """The schema version the database is at, by part; 0 where no migration was applied."""
    found = dict.fromkeys(PARTS, 0)
    if _is_there(conn, "ops.schema_version"):
        found |= conn.execute("select part, max(number) from ops.schema_version group by part").fetchall()
    return found


def is_newer(versions: Mapping[Part, int]) -> bool:
    """Whether a database at these versions has been through migrations this code does not know."""
    return any(versions.get(part, 0) > known for part, known in versions_of_code().items())


def waiting(conn: Connection, part: Part) -> list[Migration]:
    """Migrations the database has not been through yet.

    Raises:
        WarehouseError: it has been through others that this code does not know.
    """
    return _waiting_at(versions_of_database(conn), part)


def _waiting_at(versions: Mapping[Part, int], part: Part) -> list[Migration]:
    at, known = versions[part], versions_of_code()[part]
    if at > known:
        raise WarehouseError(
            f"The database belongs to a newer teilhabe: its schema {part} has version {at}, this one ({version('teilhabe')}) "
            f"knows {known}. Nothing was changed; install the newer version again, or restore a backup made before the update."
        )
    return [one for one in migrations(part) if one.number > at]


def require_current(conn: Connection) -> None:
    """Refuse to work on tables that look otherwise than this code expects.

    Raises:
        WarehouseError: migrations wait, the database is newer than the code, or it has no tables at all.
    """
    if (sentence := what_waits(conn)) is not None:
        raise WarehouseError(sentence)


def what_waits(conn: Connection) -> str | None:
    """A sentence when the tables of ``ops`` are older than this code; those of ``marts`` follow with the next release."""
    if not _is_there(conn, "ops.delivery"):
        return "The database has no tables yet: run `teilhabe init`."
    left = waiting(conn, "ops")
    if not left:
        return None
    return (
        f"The database waits for {len(left)} migration{'' if len(left) == 1 else 's'}: {', '.join(map(str, left))}. "
        "Make a backup (`teilhabe backup`) and run `teilhabe init`."
    )


def migrate(conn: Connection, part: Part) -> list[Migration]:
    """Apply what waits, within the caller's transaction: an update is there as a whole or not at all."""
    left = waiting(conn, part)
    for one in left:
        conn.execute(one.statements)
        conn.execute(
            "insert into ops.schema_version (part, number, name, code_version) values (%s, %s, %s, %s)",
            (one.part, one.number, one.name, version("teilhabe")),
        )
    return left


def install(conn: Connection) -> None:
    """Bring the tables, views and functions of ``ops`` up to date. Needs them for itself, see ``is_installed``."""
    conn.execute("select pg_advisory_xact_lock(hashtext('teilhabe.ops.install'))")
    _waiting_everywhere(conn)  # a database that is newer stays as it is
    conn.execute(_OFFICE_TIME_ZONE)
    migrate(conn, "ops")
    conn.execute(_views())
    conn.execute(
        "insert into ops.installed (scripts_digest) values (%s)"
        " on conflict (only_row) do update set scripts_digest = excluded.scripts_digest, installed_at = now()",
        (_digest(),),
    )


def is_installed(conn: Connection) -> bool:
    """Whether ``install`` has nothing to do: then nobody need be kept from the tables.

    Raises:
        WarehouseError: the database is newer than the code.
    """
    if _waiting_everywhere(conn)["ops"]:
        return False
    [[same]] = conn.execute(
        "select exists (select from ops.installed where scripts_digest = %s)", (_digest(),)
    ).fetchall()
    return bool(same)


def _waiting_everywhere(conn: Connection) -> dict[Part, list[Migration]]:
    versions = versions_of_database(conn)
    return {part: _waiting_at(versions, part) for part in PARTS}


def _is_there(conn: Connection, table: str) -> bool:
    [[there]] = conn.execute("select to_regclass(%s) is not null", (table,)).fetchall()
    return bool(there)


def _views() -> bytes:
    return files("teilhabe.ops").joinpath(_VIEWS).read_bytes()


def _digest() -> str:
    return hashlib.sha256(_OFFICE_TIME_ZONE.encode() + _views()).hexdigest()
