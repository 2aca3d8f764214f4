"""Backup and restore of one home: database, archive, secrets and what else lies in it, taken while everything runs.

Below the folder of the backup lie ``archive/``, a mirror that grows and loses only what was erased (``removed.json`` lists it), and
``sets/<time>/``, one per run: the dumps of both databases, the files of the home and ``contents.json``, which is written last. A set
without it was interrupted and is removed by the next run.

What lies in an inbox is copied first, then the database, then the archive. So a file that is taken in meanwhile is in the copy of
the inbox, or in the dump together with its bytes: it may come twice, and is recognised, but never not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from teilhabe.errors import TeilhabeError
from teilhabe.keeping import removing
from teilhabe.landing import Archive
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import connecting, programs, provisioning
from teilhabe.settings import Settings, prepare_home
from teilhabe.system import locks
from teilhabe.system.code_version import code_version

Tell = Callable[[str], None]

_FORMAT = 1
_CONTENTS = "contents.json"
_REMOVED = "removed.json"
"""What was erased, or not kept because it is about persons: no set may bring it back."""
_NOT_COPIED = {"postgres", "archive", "work", "log", "run", "airflow"}
"""What a home makes again by itself, and what is backed up in another way."""
_SCHEMAS = ("ops", "raw", "marts", "internal")
"""Whose tables are counted and digested, to be compared after a restore."""


class BackupError(TeilhabeError):
    """A backup cannot be made, is damaged, or cannot be restored there."""


@dataclass(frozen=True)
class BackupSet:
    """One complete set."""

    folder: Path
    contents: dict[str, Any]

    @property
    def taken_at(self) -> datetime:
        return datetime.fromisoformat(self.contents["taken_at"])


# ------------------------------------------------------------------------------------------------------------------ making


def backup(settings: Settings, place: Path, tell: Tell = lambda _: None) -> BackupSet:
    """Add a set to the backup at ``place``; the archive is copied as far as it is new.

    Raises:
        BackupError: ``place`` lies in the home, another backup is writing there, or a program of PostgreSQL failed.
    """
    place = place.absolute()
    if place.is_relative_to(settings.home) or settings.home.is_relative_to(place):
        raise BackupError(f"{place}: a backup must not lie in the home it is of, nor the home in it.")
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(place):
        sets = place / "sets"
        sets.mkdir(mode=0o700, exist_ok=True)
        for left in sets.glob(".*"):
            shutil.rmtree(left)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        draft = sets / f".{name}"
        draft.mkdir(mode=0o700)
        tell("Copying the files of the home")
        _copy_home(settings, draft / "home")
        for folder in (settings.agencies, settings.expectations):
            shutil.copytree(folder, draft / "configuration" / folder.name)
        tell("Dumping the warehouse")
        facts = _dump_warehouse(settings, draft / "warehouse.dump")
        tell("Dumping Airflow's database")
        _dump(settings, connecting.database_names(settings)[1], draft / "airflow.dump")
        tell("Copying what is new in the archive")
        new, size = Archive(settings.archive_url).mirror(place / "archive")
        tell(f"{new} files, {size:,} bytes were new")
        if taken_out := _take_out(settings, place):
            tell(f"{taken_out} files that were erased since were taken out of it")
        contents = {
            "format": _FORMAT,
            "taken_at": datetime.now(UTC).isoformat(),
            "code_version": code_version(settings),
            **facts,
            "files": {
                str(path.relative_to(draft)): _sha256(path) for path in sorted(draft.rglob("*")) if path.is_file()
            },
        }
        (draft / _CONTENTS).write_text(json.dumps(contents, indent=1), encoding="utf-8")
        os.sync()
        draft.rename(sets / name)
        with loading.session(settings) as conn:
            conn.execute(
                "insert into ops.backup (place, set_name, taken_at) values (%s, %s, %s) on conflict do nothing",
                (str(place), name, contents["taken_at"]),
            )
        return BackupSet(sets / name, contents)


def _take_out(settings: Settings, place: Path) -> int:
    """Remove from the mirror what must not be kept, and leave word for a restore; returns how many files went."""
    with loading.session(settings) as conn:
        rows = conn.execute(
            "select delivery_id, kind, sha256, at, actor, reason from ops.tombstone where kind <> 'expired' order by 1"
        ).fetchall()
        gone = removing.gone(conn)
    names = ("delivery_id", "kind", "sha256", "at", "actor", "reason")
    stones = [dict(zip(names, (*row[:3], row[3].isoformat(), *row[4:]), strict=True)) for row in rows]
    draft = place / f".{_REMOVED}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"stones": stones, "gone": sorted(gone)}, file, indent=1, ensure_ascii=False)
    draft.replace(place / _REMOVED)
    mirror = Archive((place / "archive").as_uri())
    return sum(mirror.remove(sha256) for sha256 in sorted(gone))


def _removed(place: Path) -> dict[str, Any]:
    path = place / _REMOVED
    if not path.is_file():
        return {"stones": [], "gone": []}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    descriptor = os.open(place / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BackupError(f"{place}: another backup is being written there.") from None
    finally:
        os.close(descriptor)


def _copy_home(settings: Settings, to: Path) -> None:
    to.mkdir(mode=0o700)
    for entry in settings.home.iterdir():
        if entry.name in _NOT_COPIED or entry.is_symlink():
            continue
        if entry.is_file():
            _copy_file(entry, to / entry.name)
            continue
        for folder, _, names in os.walk(entry):
            target = to / Path(folder).relative_to(settings.home)
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in names:
                _copy_file(Path(folder) / name, target / name)


def _copy_file(source: Path, target: Path) -> None:
    """A file that goes meanwhile has been taken in; its bytes are in the archive by now."""
    try:
        if source.is_file() and not source.is_symlink():
            shutil.copy2(source, target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)


def _dump_warehouse(settings: Settings, to: Path) -> dict[str, Any]:
    """Dump one snapshot, and say what is in it. A build waits meanwhile: it would have to wait for the dump at each table."""
    database = connecting.database_names(settings)[0]
    with loading.session(settings) as lock, connecting.administrator(settings, database) as conn:
        locks.wait_alone(lock, "teilhabe.build")
        with conn.transaction():
            conn.execute("set transaction isolation level repeatable read read only")
            [[snapshot]] = conn.execute("select pg_export_snapshot()").fetchall()
            _dump(settings, database, to, f"--snapshot={snapshot}")
            return {"tables": _digests(conn), "objects": _objects(conn), **_summary(conn)}


def _dump(settings: Settings, database: str, to: Path, *more: str) -> None:
    _program(settings, database, "pg_dump", "--format=custom", f"--file={to}", "--lock-wait-timeout=60s", *more)
    to.chmod(0o600)


def _digests(conn: psycopg.Connection[Any]) -> dict[str, list[Any]]:
    """Rows and digest of every table; the digest does not depend on the order of rows."""
    conn.execute("set local timezone to 'UTC'")
    tables = conn.execute(
        "select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
        " where n.nspname = any (%s) and c.relkind = 'r' order by 1, 2",
        (list(_SCHEMAS),),
    ).fetchall()
    found = {}
    for namespace, table in tables:
        query = sql.SQL("select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {} as t")
        [row] = conn.execute(query.format(sql.Identifier(namespace, table))).fetchall()
        found[f"{namespace}.{table}"] = list(row)
    return found


def _objects(conn: psycopg.Connection[Any]) -> list[str]:
    """SHA-256 of all files the deliveries are made of, but for those that are not kept."""
    rows = conn.execute(
        "select distinct sha256 from ops.delivery as d"
        " where archive_uri is not null"
        " and not exists (select from ops.tombstone as t where t.delivery_id = d.delivery_id) order by sha256"
    ).fetchall()
    return [str(sha256) for (sha256,) in rows]


def _summary(conn: psycopg.Connection[Any]) -> dict[str, Any]:
    [[deliveries]] = conn.execute("select count(*) from ops.delivery").fetchall()
    release = None
    if conn.execute("select to_regclass('marts.release')").fetchall() != [(None,)]:
        [[release]] = conn.execute("select max(release_id) from marts.release").fetchall()
    versions = schema.versions_of_database(conn)
    return {
        "schema": versions,
        "deliveries": deliveries,
        "release": release,
        "server": conn.info.server_version // 10000,
    }


# ---------------------------------------------------------------------------------------------------------------- checking


def sets(place: Path) -> list[BackupSet]:
    """The complete sets of a backup, oldest first."""
    found = []
    for path in sorted((place / "sets").glob(f"[0-9]*/{_CONTENTS}")):
        try:
            contents = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BackupError(f"{path} cannot be read: {error}.") from None
        if contents.get("format") != _FORMAT:
            raise BackupError(f"{path} is of another version of teilhabe; restore it with that one.")
        found.append(BackupSet(path.parent, contents))
    return found


def latest(place: Path) -> BackupSet:
    """The newest complete set."""
    found = sets(place)
    if not found:
        raise BackupError(f"{place} holds no complete backup.")
    return found[-1]


def verify(place: Path, chosen: BackupSet, tell: Tell = lambda _: None) -> None:
    """Read everything the set needs again.

    Raises:
        BackupError: something is missing or was altered; it names what.
    """
    tell(f"Reading the set of {chosen.taken_at:%Y-%m-%d %H:%M} UTC")
    for name, digest in chosen.contents["files"].items():
        path = chosen.folder / name
        if not path.is_file():
            raise BackupError(f"{path} is missing.")
        if _sha256(path) != digest:
            raise BackupError(f"{path} is damaged: its bytes were altered.")
    tell("Reading the archive")
    mirror = Archive((place.absolute() / "archive").as_uri())
    gone = set(_removed(place)["gone"])
    for sha256 in chosen.contents["objects"]:
        if sha256 not in gone:
            mirror.check(sha256)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --------------------------------------------------------------------------------------------------------------- restoring


def restore(settings: Settings, place: Path, into: Path, tell: Tell = lambda _: None) -> BackupSet:
    """Make a home of the newest set. What is there already is never overwritten.

    With ``settings.warehouse_url`` the databases are restored on that server, else on one of the new home's own.

    Raises:
        BackupError: the home or the databases are not empty, the backup is damaged or of a newer version, or what was
            restored differs from it.
    """
    into = into.absolute()
    chosen = latest(place)
    if schema.is_newer(chosen.contents.get("schema", {})):
        made_by = chosen.contents["code_version"]
        raise BackupError(f"{chosen.folder} was made by a newer teilhabe ({made_by}): restore it with that one.")
    if into.exists() and any(into.iterdir()):
        raise BackupError(f"{into} is not empty; a restore overwrites nothing.")
    home = replace(settings, home=into, archive_url=(into / "archive").as_uri())
    _refuse_what_is_there(home)
    verify(place, chosen, tell)
    tell("Copying files")
    into.mkdir(parents=True, exist_ok=True)
    shutil.copytree(chosen.folder / "home", into, dirs_exist_ok=True)
    shutil.copytree(place / "archive", into / "archive", dirs_exist_ok=True)
    prepare_home(home)
    tell("Creating databases and roles")
    provisioning.provision(home)
    for database, dump in zip(connecting.database_names(home), ("warehouse.dump", "airflow.dump"), strict=True):
        tell(f"Restoring the database {database}")
        options = ("--clean", "--if-exists", "--exit-on-error", "--single-transaction")
        _program(home, database, "pg_restore", f"--dbname={database}", *options, str(chosen.folder / dump))
    provisioning.provision(home)
    tell("Comparing with the backup")
    with connecting.administrator(home, connecting.database_names(home)[0]) as conn, conn.transaction():
        there, kept = _digests(conn), chosen.contents["tables"]
    different = sorted(name for name in there.keys() | kept.keys() if there.get(name) != kept.get(name))
    if different:
        raise BackupError(f"What was restored differs from the backup in {', '.join(different)}.")
    _erase_again(home, place, tell)
    return chosen


def _erase_again(home: Settings, place: Path, tell: Tell) -> None:
    """What was erased after the set was taken is not brought back by it."""
    from teilhabe.keeping import erasing

    if stones := _removed(place)["stones"]:
        with loading.session(home) as conn:
            if done := erasing.again(home, conn, stones):
                tell(f"Erased again what had been erased since: deliveries {', '.join(map(str, done))}")


def _refuse_what_is_there(settings: Settings) -> None:
    if settings.warehouse_url is None:
        return
    database = connecting.database_names(settings)[0]
    with connecting.administrator(settings, "postgres") as conn:
        if not conn.execute("select 1 from pg_database where datname = %s", (database,)).fetchall():
            return
    with connecting.administrator(settings, database) as conn:
        if conn.execute("select to_regclass('ops.delivery')").fetchall() != [(None,)]:
            raise BackupError(f"The database {database} is not empty; a restore overwrites nothing.")


def _program(settings: Settings, database: str, name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs as the administrator of the databases."""
    done = subprocess.run(  # noqa: S603 - our own words
        [programs.client_program(name), "--no-password", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ.get("PATH", ""), **connecting.client_environment(settings, database)},
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error:" in line] or ["no reason given"]
        raise BackupError(f"{name} of {database} failed: {lines[0].partition('error:')[2].strip() or lines[0]}")
