"""The database of the previous release becomes what a fresh installation is; one of a newer release is left alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from teilhabe.cli import about
from teilhabe.cli import app as cli
from teilhabe.contract.parsing import contract_path, load_contract
from teilhabe.errors import WarehouseError
from teilhabe.keeping import checking
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import connecting, provisioning
from teilhabe.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
FIXTURES = PROJECT / "tests" / "fixtures" / "schema"
PREVIOUS = "0.1.0"
CONTRACTS = [load_contract(contract_path(PROJECT / "agencies", "police__offences_municipal"))]

RELEASED: dict[str, str] = {}
"""Migrations of released versions with their SHA-256: databases have been through them, so they are never edited."""

# What a catalogue says of our schemas; names, not positions: a column added later stands behind the others.
CATALOGUE = {
    "relations": """
        select n.nspname || '.' || c.relname, c.relkind::text, pg_get_userbyid(c.relowner)::text,
            obj_description(c.oid, 'pg_class'), case when c.relkind = 'v' then pg_get_viewdef(c.oid) end
        from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
        where n.nspname = any (%(schemas)s) and c.relkind in ('r', 'v', 'S')
    """,
    "columns": """
        select n.nspname || '.' || c.relname, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attidentity::text, a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        from pg_attribute as a join pg_class as c on c.oid = a.attrelid join pg_namespace as n on n.oid = c.relnamespace
        left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
        where n.nspname = any (%(schemas)s) and c.relkind in ('r', 'v') and a.attnum > 0 and not a.attisdropped
    """,
    "constraints": """
        select conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = any (select oid from pg_namespace where nspname = any (%(schemas)s))
    """,
    "indexes": "select schemaname || '.' || tablename, indexdef from pg_indexes where schemaname = any (%(schemas)s)",
    "functions": """
        select p.oid::regprocedure::text, pg_get_functiondef(p.oid), obj_description(p.oid, 'pg_proc')
        from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace where n.nspname = any (%(schemas)s)
    """,
    "grants": """
        select 'table', c.oid::regclass::text, pg_get_userbyid(g.grantee)::text, g.privilege_type
        from pg_class as c join pg_namespace as n on n.oid = c.relnamespace, aclexplode(c.relacl) as g
        where n.nspname = any (%(schemas)s)
        union all
        select 'function', p.oid::regprocedure::text, pg_get_userbyid(g.grantee)::text, g.privilege_type
        from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace, aclexplode(p.proacl) as g
        where n.nspname = any (%(schemas)s)
    """,
}


def catalogue(settings: Settings) -> dict[str, set[tuple[Any, ...]]]:
    schemas = {"schemas": ["ops", "raw", "marts", "intermediate"]}
    with connecting.connect("admin", settings) as conn:
        return {name: set(conn.execute(query, schemas).fetchall()) for name, query in CATALOGUE.items()}


@pytest.fixture(scope="module")
def database(warehouse: Settings) -> Iterator[Callable[[str], Settings]]:
    """Databases of this file alone on the shared server, provisioned and empty."""
    made: list[str] = []
    address = urlsplit(connecting.url(warehouse, "admin"))

    def make(name: str) -> Settings:
        settings = replace(warehouse, warehouse_url=address._replace(path=f"/{name}").geturl())
        provisioning.provision(settings)
        made.extend(connecting.database_names(settings))
        return settings

    yield make
    with connecting.administrator(warehouse, "postgres") as conn:
        for name in made:
            conn.execute(f'drop database "{name}" with (force)')


def previous(settings: Settings) -> None:
    """The tables of the previous release, with a row here and there."""
    for role in ("loader", "transformer"):
        with connecting.connect(role, settings) as conn:  # type: ignore[arg-type]
            conn.execute((FIXTURES / f"{PREVIOUS}_{role}.sql").read_bytes())
    with loading.session(settings) as conn:
        conn.execute(
            "insert into ops.delivery (dataset_id, file_name, sha256, size_bytes, received_at, source, archive_uri,"
            " manifest_uri, state, row_count) values ('police__offences_municipal', 'a.csv', repeat('a', 64), 1, now(), 'inbox',"
            " 'x', 'y', 'loaded', 1)"
        )
        conn.execute(
            "insert into ops.finding (delivery_id, severity, rule, message) values (1, 'warning', 'sum.parts', 'Text')"
        )
        conn.execute(
            "insert into raw.police__offences_municipal (_delivery_id, _row_number, _column_number, value)"
            " values (1, 1, 1, '7')"
        )


def update(settings: Settings) -> None:
    with loading.session(settings) as conn:
        schema.install(conn)
        loading.ensure_raw_tables(conn, CONTRACTS)
    with connecting.connect("transformer", settings) as conn:
        schema.migrate(conn, "marts")


@pytest.fixture(scope="module")
def fresh(database: Callable[[str], Settings]) -> Settings:
    settings = database("schema_fresh")
    update(settings)
    return settings


@pytest.fixture(scope="module")
def updated(database: Callable[[str], Settings]) -> Settings:
    settings = database("schema_updated")
    previous(settings)
    update(settings)
    return settings


def test_the_previous_release_becomes_what_a_fresh_installation_is(fresh: Settings, updated: Settings) -> None:
    new, old = catalogue(fresh), catalogue(updated)
    for kind in CATALOGUE:
        assert new[kind] - old[kind] == old[kind] - new[kind] == set(), kind
        assert new[kind], kind


def test_an_update_keeps_rows_and_is_written_down(updated: Settings) -> None:
    with loading.session(updated) as conn:
        rows = conn.execute("select file_name, state, row_count from ops.delivery").fetchall()
        values = conn.execute("select value from raw.police__offences_municipal").fetchall()
        [[findings]] = conn.execute("select count(*) from ops.finding").fetchall()
        done = conn.execute("select part, number, name from ops.schema_version order by part, number").fetchall()
        assert schema.is_installed(conn) and schema.what_waits(conn) is None
    assert (rows, values, findings) == ([("a.csv", "loaded", 1)], [("7",)], 1)
    assert done == [(m.part, m.number, m.name) for part in sorted(schema.PARTS) for m in schema.migrations(part)]


def test_what_waits_is_told_and_nothing_else_is_tried(
    database: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = database("schema_waiting")
    with loading.session(settings) as conn, pytest.raises(WarehouseError, match=r"no tables yet: run `teilhabe init`"):
        schema.require_current(conn)
    previous(settings)
    sentence = r"waits for \d+ migrations?: ops 1 \(baseline\).* run `teilhabe init`"
    with loading.session(settings) as conn, pytest.raises(WarehouseError, match=sentence):
        schema.require_current(conn)
    monkeypatch.setenv("TEILHABE_HOME", str(settings.home))
    monkeypatch.setenv("TEILHABE_WAREHOUSE_URL", str(settings.warehouse_url))
    told = CliRunner().invoke(cli.app, ["status"])
    assert isinstance(told.exception, WarehouseError) and re.search(sentence, str(told.exception))
    checked = CliRunner().invoke(cli.app, ["check"])
    assert checked.exit_code == 1 and re.search(sentence, " ".join(checked.output.split()))
    [only] = checking.check(settings)
    assert only.subject == "schema" and only.note == "ops 0, marts 0"
    shown = CliRunner().invoke(cli.app, ["--version"])
    code = ", ".join(f"{part} {number}" for part, number in schema.versions_of_code().items())
    assert shown.exit_code == 0 and f"schema: {code}" in shown.output
    assert re.search(rf"database: ops 0, marts 0, PostgreSQL 1\d\.\d+\. The database {sentence}", shown.output)


def test_versions_start_nothing(settings: Settings) -> None:
    first, second, third = about.versions(settings)
    assert re.fullmatch(r"teilhabe \S+, build \S+", first) and second.startswith("schema: ops ")
    assert third == "database: not running" and not settings.home.exists()


@pytest.mark.parametrize("part", schema.PARTS)
def test_a_newer_database_is_refused_and_stays_as_it_is(fresh: Settings, part: schema.Part) -> None:
    newer = schema.versions_of_code()[part] + 1
    sentence = (
        rf"belongs to a newer teilhabe: its schema {part} has version {newer}, this one \(\S+\) knows {newer - 1}\."
    )
    with loading.session(fresh) as conn:
        conn.execute("insert into ops.schema_version values (%s, %s, 'later', now(), '9.9')", (part, newer))
        conn.execute("update ops.installed set scripts_digest = 'of the newer one'")
        conn.commit()
        try:
            for attempt in (schema.install, schema.is_installed):
                with pytest.raises(WarehouseError, match=sentence):
                    attempt(conn)
                conn.rollback()
            if part == "ops":
                with pytest.raises(WarehouseError, match=sentence):
                    schema.require_current(conn)
            conn.rollback()
            assert conn.execute("select scripts_digest from ops.installed").fetchall() == [("of the newer one",)]
            if part == "marts":
                with connecting.connect("transformer", fresh) as owner, pytest.raises(WarehouseError, match=sentence):
                    schema.migrate(owner, part)
        finally:
            conn.execute("delete from ops.schema_version where number = %s and part = %s", (newer, part))
            conn.commit()
            schema.install(conn)


def test_an_update_that_fails_changes_nothing(updated: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    known = schema.migrations("ops")
    number = known[-1].number
    later = (
        schema.Migration("ops", number + 1, "good", b"alter table ops.delivery add column later text"),
        schema.Migration("ops", number + 2, "bad", b"alter table ops.nothing add column later text"),
    )
    of_marts = schema.migrations("marts")
    monkeypatch.setattr(schema, "migrations", lambda part: (*known, *later) if part == "ops" else of_marts)
    before = catalogue(updated)
    with loading.session(updated) as conn:
        with pytest.raises(Exception, match=r"ops\.nothing"), conn.transaction():
            schema.install(conn)
        assert schema.versions_of_database(conn)["ops"] == number
    assert catalogue(updated) == before


def test_numbers_have_no_gaps_and_released_ones_are_not_edited() -> None:
    for part in schema.PARTS:
        assert [m.number for m in schema.migrations(part)] == list(range(1, len(schema.migrations(part)) + 1))
    files = {
        str(path.relative_to(PROJECT / "plugins/teilhabe/ops/migrations")): path
        for path in (PROJECT / "plugins/teilhabe/ops/migrations").rglob("*.sql")
    }
    for name, digest in RELEASED.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest, f"{name} was released: write another one"


def test_tables_change_by_migrations_alone() -> None:
    replaceable = (PROJECT / "plugins/teilhabe/ops/ops.sql").read_text(encoding="utf-8")
    assert not re.findall(r"(?im)^\s*(?:create|alter|drop) (?:unique )?(?:table|index|sequence)\b.*$", replaceable)


def test_the_changelog_says_of_each_version_what_to_do_when_updating() -> None:
    text = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.split(r"(?m)^## ", text)[1:]
    assert [v.splitlines()[0].split()[0] for v in versions][:2] == ["Unreleased", PREVIOUS]
    for one in versions:
        assert re.search(r"(?m)^\*\*When updating\.\*\* \S", one), one.splitlines()[0]
