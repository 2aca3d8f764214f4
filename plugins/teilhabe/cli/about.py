"""Which teilhabe this is, and which one the database was last brought up to date by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from teilhabe.errors import TeilhabeError
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import embedded
from teilhabe.settings import Settings
from teilhabe.system.code_version import code_version


def versions(settings: Settings) -> Iterator[str]:
    """Version and build of the code, schema version of the code, and of the database when it can be reached; starts nothing."""
    release, _, build = code_version(settings).partition("+")
    yield f"teilhabe {release}, build {build}"
    yield f"schema: {_spelled(schema.versions_of_code())}"
    yield f"database: {_database(settings)}"


def _database(settings: Settings) -> str:
    try:
        if not embedded.is_running(settings):
            return "cannot be reached" if settings.warehouse_url else "not running"
        with loading.session(settings) as conn:
            at = _spelled(schema.versions_of_database(conn))
            server = conn.info.server_version
            waits = schema.what_waits(conn)
    except TeilhabeError as error:
        return str(error)
    return f"{at}, PostgreSQL {server // 10000}.{server % 10000}{f'. {waits}' if waits else ''}"


def _spelled(versions: Mapping[schema.Part, int]) -> str:
    return ", ".join(f"{part} {number}" for part, number in versions.items())
