"""``teilhabe check``: whether what belongs together still agrees - archive, manifest, deliveries, raw, marts and releases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
from psycopg import sql

from teilhabe import ops
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import TeilhabeError
from teilhabe.keeping import removing
from teilhabe.landing import Archive
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from teilhabe.system.code_version import code_version

Tell = Callable[[str], None]

_LOW_PERCENT = 10.0


@dataclass(frozen=True)
class Checked:
    """One question: how many things were looked at, and a sentence for each that is not as it should be."""

    subject: str
    looked_at: int
    problems: list[str]
    note: str = ""


def check(settings: Settings, *, full: bool = False, tell: Tell = lambda _: None) -> Iterator[Checked]:
    """Look at everything that is stored twice or counted; changes nothing.

    ``full`` reads every object of the archive again and compares its digest, which takes as long as the archive is large.
    """
    with loading.session(settings) as conn:
        yield (versions := _schema(conn))
        if versions.problems:
            return  # what follows asks for tables as this code makes them
        tell("Checking the archive")
        yield _archive(settings, conn, full=full, tell=tell)
        tell("Checking the manifest")
        yield _manifest(settings, conn)
        tell("Checking the raw rows")
        yield _raw(conn)
    tell("Checking the marts")
    yield _marts(settings)
    yield _room(settings)
    yield _versions(settings)


def _schema(conn: ops.Connection) -> Checked:
    waits = schema.what_waits(conn)
    at = schema.versions_of_database(conn)
    return Checked("schema", len(at), [waits] if waits else [], ", ".join(f"{part} {at[part]}" for part in at))


def _archive(settings: Settings, conn: ops.Connection, *, full: bool, tell: Tell) -> Checked:
    rows = conn.execute(
        "select sha256, min(size_bytes), min(delivery_id) from ops.delivery as d"
        " where archive_uri is not null"
        " and not exists (select from ops.tombstone as t where t.delivery_id = d.delivery_id) group by sha256 order by 3"
    ).fetchall()
    archive = Archive(settings.archive_url)
    problems = []
    for number, (sha256, size, delivery_id) in enumerate(rows, 1):
        if number % 500 == 0:
            tell(f"Checking the archive: {number} of {len(rows)}")
        try:
            if full:
                archive.check(sha256)
            elif (kept := archive.size(sha256)) != size:
                said = "is missing or torn" if kept is None else f"has {kept} bytes instead of {size}"
                problems.append(f"Object {sha256} of delivery {delivery_id} {said}.")
        except TeilhabeError as error:
            problems.append(f"Delivery {delivery_id}: {error}")
    gone = removing.gone(conn)
    problems += [
        f"Object {sha256} is still there; its deliveries have tombstones."
        for sha256 in sorted(gone)
        if archive.size(sha256) is not None
    ]
    left = conn.execute("select delivery_id from ops.tombstone where removed_at is null order by 1").fetchall()
    problems += [f"The bytes of delivery {number} are to be removed and were not yet." for (number,) in left]
    return Checked("archive", len(rows) + len(gone), problems, "" if full else "sizes only; --full compares all bytes")


def _manifest(settings: Settings, conn: ops.Connection) -> Checked:
    archive = Archive(settings.archive_url)
    known = {
        (dataset_id, sha256): number
        for dataset_id, sha256, number in conn.execute(
            "select dataset_id, sha256, count(*) from ops.delivery group by 1, 2"
        ).fetchall()
    }
    written: dict[tuple[str, str], int] = {}
    for dataset_id in sorted({dataset_id for dataset_id, _ in known} | set(load_contracts(settings.agencies))):
        for entry in archive.manifest(dataset_id):
            written[dataset_id, entry.sha256] = written.get((dataset_id, entry.sha256), 0) + 1
    problems = []
    for dataset_id, sha256 in sorted(known.keys() | written.keys()):
        here, there = written.get((dataset_id, sha256), 0), known.get((dataset_id, sha256), 0)
        if here != there:
            problems.append(f"{dataset_id}: the manifest has {here} arrivals of {sha256[:12]}, the database {there}.")
    return Checked("manifest", sum(written.values()), problems)


def _raw(conn: ops.Connection) -> Checked:
    """Loaded, held and withdrawn deliveries have all their rows in raw, others and those that were erased none."""
    tables = conn.execute(
        "select c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
        " where n.nspname = 'raw' and c.relkind in ('r', 'p') and not c.relispartition order by 1"
    ).fetchall()
    problems = []
    for (table,) in tables:
        different = conn.execute(
            sql.SQL(
                """
                select d.delivery_id, d.state, coalesce(d.row_count, 0), coalesce(counted.rows, 0)
                from (select * from ops.delivery where dataset_id = %(dataset)s) as d
                full join (select _delivery_id as delivery_id, count(*) as rows from {} group by 1) as counted
                    using (delivery_id)
                where coalesce(counted.rows, 0) <> case
                    when d.state in ('loaded', 'held', 'withdrawn') and d.erased_at is null then coalesce(d.row_count, 0) else 0
                end
                order by 1
                """
            ).format(sql.Identifier("raw", table)),
            {"dataset": table},
        ).fetchall()
        problems += [
            f"Delivery {delivery_id} of {table} is {state or 'unknown'} with {expected} rows, raw has {found}."
            for delivery_id, state, expected, found in different
        ]
    return Checked("raw rows", len(tables), problems)


def _marts(settings: Settings) -> Checked:
    """Every table has as many rows as its releases have added and taken away."""
    with connecting.connect("transformer", settings) as conn:
        if conn.execute("select to_regclass('marts.release')").fetchall() == [(None,)]:
            return Checked("marts", 0, [], "nothing is released yet")
        relations = conn.execute(
            "select relation_name, sum(rows_added) - sum(rows_removed) from marts.release_table"
            " where to_regclass('marts.' || quote_ident(relation_name)) in"
            " (select oid from pg_class where relkind in ('r', 'p')) group by 1 order by 1"
        ).fetchall()
        problems = []
        for name, expected in relations:
            [[found]] = conn.execute(
                sql.SQL("select count(*) from {}").format(sql.Identifier("marts", name))
            ).fetchall()
            if found != expected:
                problems.append(f"marts.{name} has {found} rows; its releases leave {expected}.")
    return Checked("marts", len(relations), problems)


def _room(settings: Settings) -> Checked:
    usage = psutil.disk_usage(str(settings.home))
    free = 100.0 - usage.percent
    problems = [f"Only {free:.0f} % of the disk under {settings.home} are free."] if free < _LOW_PERCENT else []
    return Checked("disk", 1, problems, f"{free:.0f} % free")


def _versions(settings: Settings) -> Checked:
    now = code_version(settings)
    with loading.session(settings) as conn:
        server = conn.info.server_version
        rows = conn.execute(
            "select code_version from ops.build where state = 'succeeded' order by build_id desc limit 1"
        ).fetchall()
    note = f"teilhabe {now}, PostgreSQL {server // 10000}.{server % 10000}"
    if rows and rows[0][0] != now:
        note += f"; last built by {rows[0][0]}, the next build takes in everything again where models changed"
    return Checked("versions", 1, [], note)
