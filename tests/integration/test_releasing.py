"""Publishing against a real server: readers see the last release or the next one, and nothing published is ever lost."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from teilhabe import ops
from teilhabe.building import building, releasing
from teilhabe.errors import WarehouseError
from teilhabe.raw import loading
from teilhabe.server import connecting, embedded, provisioning
from teilhabe.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]

KEYS = """
create function pg_temp.key(code text) returns bigint language sql return
    ('x' || left(md5(code), 15))::bit(60)::bigint;
"""

CANDIDATE = """
create unlogged table candidate.dim_measure (
    measure_key bigint primary key, measure_code text not null unique, name_de text not null
);
create unlogged table candidate.dim_period (
    period_key bigint primary key, period_code text not null unique, year integer not null check (year > 1900)
);
create unlogged table candidate.dim_indicator (
    indicator_key bigint primary key, indicator_code text not null, definition_version integer not null, name_de text
);
create unlogged table candidate.fct_observation_vintage (
    measure_key bigint, period_key bigint, territory_code text, known_from timestamptz, known_until timestamptz,
    value numeric, obs_status text not null check (obs_status in ('A', 'P', 'M')),
    primary key (measure_key, period_key, territory_code, known_from)
);
create index on candidate.fct_observation_vintage (territory_code) where known_until is null;
create unlogged table candidate.fct_indicator_vintage (
    indicator_key bigint, period_key bigint, territory_code text, known_from timestamptz, known_until timestamptz,
    value numeric,
    primary key (indicator_key, period_key, territory_code, known_from)
);
comment on table candidate.fct_observation_vintage is 'One row per number. | Eine Zeile je Wert.';
comment on column candidate.fct_observation_vintage.value is 'The number. | Der Wert.';
create view candidate.fct_observation as select * from candidate.fct_observation_vintage where known_until is null;
create view candidate.rpt_observation as
    select m.measure_code, p.period_code, f.territory_code, f.value
    from candidate.fct_observation as f
    join candidate.dim_measure as m using (measure_key) join candidate.dim_period as p using (period_key);
comment on view candidate.rpt_observation is 'With codes. | Mit Codes.';
create function candidate.observation_as_of(as_of timestamptz) returns setof candidate.fct_observation_vintage
language sql stable as $$
    select * from candidate.fct_observation_vintage
    where known_from <= as_of and (known_until is null or known_until > as_of)
$$;
comment on function candidate.observation_as_of(timestamptz) is 'As known then. | Wissensstand.';
"""

FOREIGN_KEYS = {
    "fct_observation_vintage": {"measure_key": "dim_measure", "period_key": "dim_period"},
    "fct_indicator_vintage": {"indicator_key": "dim_indicator", "period_key": "dim_period"},
}


class Stage:
    """A warehouse whose candidate is made by hand."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def sql(self, statements: str, role: str = "transformer") -> None:
        with connecting.connect(role, self.settings) as conn:  # type: ignore[arg-type]
            conn.execute(KEYS if role == "transformer" else "")
            conn.execute(statements)

    def ask(self, query: str, role: str = "analyst") -> list[tuple[Any, ...]]:
        with connecting.connect(role, self.settings) as conn:  # type: ignore[arg-type]
            return conn.execute(query).fetchall()

    def numbers(self) -> list[tuple[Any, ...]]:
        return self.ask("select measure_code, period_code, territory_code, value from rpt_observation order by 1, 2, 3")

    def build(self, statements: str = "", digests: dict[tuple[str, str, str], str] | None = None) -> int:
        """Change the candidate as dbt would, remember what its partitions were made from, and let it pass its tests."""
        self.sql(statements)
        with connecting.connect("transformer", self.settings) as conn:
            for (model, part, period), digest in (digests or {}).items():
                conn.execute(
                    "insert into intermediate.build_state values (%s, %s, %s, %s)"
                    " on conflict (model, part_code, period_code) do update set digest = excluded.digest",
                    [model, part, period, digest],
                )
        with loading.session(self.settings) as conn:
            build_id = ops.start_build(conn, [], code_version="1.0+abc", run_id=None)
        releasing.approve(self.settings, build_id)
        return build_id

    def publish(self, statements: str = "", **digests: Any) -> releasing.Release:
        return releasing.publish(self.settings, self.build(statements, **digests))

    def declare(self, keys: dict[str, dict[str, str]]) -> None:
        """The manifest dbt leaves, with these foreign keys."""
        nodes = {
            f"model.teilhabe.{table}": {
                "resource_type": "model",
                "schema": "candidate",
                "name": table,
                "columns": {},
                "constraints": [
                    {"type": "foreign_key", "columns": [c], "to": f'"teilhabe"."candidate"."{to}"', "to_columns": [c]}
                    for c, to in columns.items()
                ],
            }
            for table, columns in keys.items()
        }
        (self.settings.work / "dbt").mkdir(exist_ok=True)
        (self.settings.work / "dbt" / "manifest.json").write_text(json.dumps({"nodes": nodes}))


def first_numbers() -> str:
    return f"""
    insert into candidate.dim_measure select pg_temp.key(m), m, 'Messgröße ' || m
    from unnest(array['population', 'unemployed']) as m;
    insert into candidate.dim_period select pg_temp.key(p), p, left(p, 4)::integer
    from unnest(array['2023-01', '2023-02', '2023-03']) as p;
    insert into candidate.dim_indicator values (pg_temp.key('ARB-03|1'), 'ARB-03', 1, 'Arbeitslosigkeit');
    insert into candidate.fct_observation_vintage
    select m.measure_key, p.period_key, t, '2023-06-01', null, 100, 'A'
    from candidate.dim_measure as m, candidate.dim_period as p, unnest(array['03157001', '03157006']) as t
    where p.period_code <> '2023-03';
    {indicator("4.5")}
    """


def indicator(value: str) -> str:
    return f"""
    insert into candidate.fct_indicator_vintage
    values (pg_temp.key('ARB-03|1'), pg_temp.key('2023-01'), '03157006', '2023-06-01', null, {value});
    """


def made_from(digest: str) -> dict[tuple[str, str, str], str]:
    state = {
        ("fct_observation_vintage", measure, period): digest
        for measure in ("population", "unemployed")
        for period in ("2023-01", "2023-02")
    }
    return {**state, ("fct_indicator_vintage", "ARB-03|1", "2023-01"): digest}


@pytest.fixture(scope="module")
def server(installed: Settings) -> Stage:
    return Stage(installed)


@pytest.fixture
def empty(server: Stage) -> Stage:
    """Nothing built, nothing published."""
    with loading.session(server.settings) as conn:
        conn.execute("delete from ops.schema_version where part = 'marts'")
    with connecting.connect("transformer", server.settings) as conn:
        for schema in ("candidate", "marts", "intermediate"):
            found = conn.execute(
                "select 'drop ' || case relkind when 'v' then 'view' else 'table' end || ' if exists ' || oid::regclass || ' cascade'"
                " from pg_class where relnamespace = %s::regnamespace and relkind in ('r', 'v')"
                " union all select 'drop function if exists ' || oid::regprocedure || ' cascade'"
                " from pg_proc where pronamespace = %s::regnamespace",
                [schema, schema],
            ).fetchall()
            for (statement,) in found:
                conn.execute(statement)
        conn.execute(
            "create unlogged table intermediate.build_state (model text, part_code text, period_code text, digest text,"
            " primary key (model, part_code, period_code))"
        )
    server.declare(FOREIGN_KEYS)
    return server


@pytest.fixture
def stage(empty: Stage) -> Stage:
    """One release: two measures and two months of two municipalities, and one indicator."""
    empty.sql(CANDIDATE)
    empty.publish(first_numbers(), digests=made_from("1"))
    return empty


ONE_CELL = """
update candidate.fct_observation_vintage set value = 101
where measure_key = pg_temp.key('population') and period_key = pg_temp.key('2023-01') and territory_code = '03157006';
"""
ONE_PARTITION = {("fct_observation_vintage", "population", "2023-01"): "2"}


def test_the_contract_is_real_in_marts(stage: Stage) -> None:
    """Keys, checks, indexes and descriptions; and the published tables survive a crash, unlike the candidate."""
    tables = (
        "select relname, relpersistence::text from pg_class where relnamespace = '{}'::regnamespace and relkind = 'r'"
    )
    published = dict(stage.ask(tables.format("marts")))
    assert set(published) == {
        "dim_measure", "dim_period", "dim_indicator", "fct_observation_vintage", "fct_indicator_vintage",
        "fct_indicator_superseded", "release", "release_table",
    }  # fmt: skip
    assert set(published.values()) == {"p"}
    rules = stage.ask(
        "select contype::text, pg_get_constraintdef(oid) from pg_constraint"
        " where conrelid = 'marts.fct_observation_vintage'::regclass and contype <> 'n'"
    )
    assert sorted(rules) == [
        ("c", "CHECK ((obs_status = ANY (ARRAY['A'::text, 'P'::text, 'M'::text])))"),
        ("f", "FOREIGN KEY (measure_key) REFERENCES dim_measure(measure_key)"),
        ("f", "FOREIGN KEY (period_key) REFERENCES dim_period(period_key)"),
        ("p", "PRIMARY KEY (measure_key, period_key, territory_code, known_from)"),
    ]
    partial = "select count(*) from pg_indexes where schemaname = 'marts' and indexdef like '%known_until IS NULL%'"
    assert stage.ask(partial) == [(1,)]
    required = "select attnotnull from pg_attribute where attrelid = 'dim_measure'::regclass and attname = 'name_de'"
    assert stage.ask(required) == [(True,)]
    fact = "'fct_observation_vintage'::regclass"
    assert stage.ask(
        f"select obj_description({fact}), col_description({fact}, 6), obj_description('rpt_observation'::regclass),"
        " obj_description('observation_as_of(timestamptz)'::regprocedure)"
    ) == [
        (
            "One row per number. | Eine Zeile je Wert.",
            "The number. | Der Wert.",
            "With codes. | Mit Codes.",
            "As known then. | Wissensstand.",
        )
    ]
    undescribed = stage.ask(
        "select c.relname, a.attname from pg_class as c join pg_attribute as a on attrelid = c.oid and attnum > 0"
        " where relname in ('release', 'release_table') and (col_description(c.oid, attnum) is null"
        " or col_description(c.oid, attnum) not like '% | %' or obj_description(c.oid) not like '% | %')"
    )
    assert undescribed == []
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        stage.sql("delete from marts.dim_measure")
    with pytest.raises(psycopg.errors.CheckViolation):
        stage.sql("update marts.fct_observation_vintage set obs_status = 'X'")


def test_a_release_says_what_it_is(stage: Stage) -> None:
    with loading.session(stage.settings) as conn:
        row = conn.execute(
            "insert into ops.delivery (dataset_id, file_name, sha256, size_bytes, received_at, source, archive_uri,"
            " manifest_uri, state) values ('x__y', 'f', repeat('0', 64), 1, '2023-06-01', 'test', 'x', 'x', 'loaded')"
            " returning delivery_id"
        ).fetchone()
        assert row is not None
        build_id = ops.start_build(conn, [row[0]], code_version="1.0+abc", run_id=None)
    releasing.approve(stage.settings, build_id)
    release = releasing.publish(stage.settings, build_id)
    columns = (
        "build_id, code_version, territorial_state = current_date, deliveries_count, latest_known_from::date::text"
    )
    assert stage.ask(f"select {columns}, length(inputs_digest), rows_added from release where release_id = {release.release_id}") == [
        (build_id, "1.0+abc", True, 1, "2023-06-01", 64, 0)
    ]  # fmt: skip
    with loading.session(stage.settings) as conn:
        conn.execute("delete from ops.build_delivery")
        conn.execute("delete from ops.delivery")


def test_only_what_differs_is_written(stage: Stage) -> None:
    definitions = "select c.relname, r.xmin::text from pg_rewrite as r join pg_class as c on c.oid = ev_class where relname ~ '^(fct|rpt)_'"
    before = stage.ask(definitions)
    again = stage.publish()
    assert (again.added, again.removed, again.changed) == (0, 0, {})
    assert stage.ask(definitions) == before, "views are left alone too"

    corrected = stage.publish(ONE_CELL, digests=ONE_PARTITION)
    assert corrected.changed == {"fct_observation_vintage": (1, 1)}
    assert ("population", "2023-01", "03157006", 101) in stage.numbers()
    assert stage.ask(f"select rows_added, rows_removed from release where release_id = {corrected.release_id}") == [
        (1, 1)
    ]
    assert stage.ask(
        "select relation_name, rows_added, rows_removed from release_table"
        f" where release_id = {corrected.release_id} and rows_added + rows_removed > 0"
    ) == [("fct_observation_vintage", 1, 1)]


def test_a_partition_made_from_the_same_is_not_even_compared(stage: Stage) -> None:
    """Known by its digest: so the cost of a release does not grow with history."""
    assert stage.publish(ONE_CELL).changed == {}
    assert stage.publish(digests=ONE_PARTITION).changed == {"fct_observation_vintage": (1, 1)}


def test_new_numbers_bring_their_dimensions_and_withdrawn_ones_take_them_along(stage: Stage) -> None:
    march = """
    insert into candidate.fct_observation_vintage
    values (pg_temp.key('births'), pg_temp.key('2023-03'), '03157001', '2023-07-01', null, 5, 'A');
    insert into candidate.dim_measure values (pg_temp.key('births'), 'births', 'Geburten');
    """
    partition = ("fct_observation_vintage", "births", "2023-03")
    assert stage.publish(march, digests={partition: "1"}).changed == {
        "dim_measure": (1, 0),
        "fct_observation_vintage": (1, 0),
    }
    withdrawn = """
    delete from candidate.dim_measure where measure_code = 'births';
    delete from candidate.fct_observation_vintage where measure_key = pg_temp.key('births');
    delete from intermediate.build_state where part_code = 'births';
    update candidate.dim_measure set name_de = 'Einwohner' where measure_code = 'population';
    """
    assert stage.publish(withdrawn).changed == {"dim_measure": (1, 2), "fct_observation_vintage": (0, 1)}
    assert stage.ask("select count(*) from intermediate.release_state where part_code = 'births'", "transformer") == [(0,)]  # fmt: skip


@contextmanager
def held_before(monkeypatch: pytest.MonkeyPatch, step: str) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Publishing stops before a step until it may go on."""
    arrived, go = threading.Event(), threading.Event()
    original = getattr(releasing._Publication, step)

    def wait(self: Any, *arguments: Any) -> Any:
        arrived.set()
        assert go.wait(60)
        return original(self, *arguments)

    monkeypatch.setattr(releasing._Publication, step, wait)
    yield arrived, go
    monkeypatch.undo()


def test_a_reader_sees_the_last_release_or_the_next_never_a_mixture(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tables change; readers during publishing neither wait nor see any of it, an open transaction stays where it was."""
    both = "select (select sum(value)::int from fct_observation), (select name_de from dim_measure where measure_code = 'population')"
    old, new = (800, "Messgröße population"), (801, "Einwohner")
    build_id = stage.build(
        ONE_CELL + "update candidate.dim_measure set name_de = 'Einwohner' where measure_code = 'population'",
        ONE_PARTITION,
    )
    assert stage.ask(both) == [old], "what is built but not published is not seen"
    with (
        held_before(monkeypatch, "_record") as (arrived, go),
        connecting.connect("analyst", stage.settings) as open_before,
    ):
        assert open_before.execute(both).fetchall() == [old]
        publishing = threading.Thread(target=releasing.publish, args=(stage.settings, build_id))
        publishing.start()
        assert arrived.wait(60)
        with connecting.connect("analyst", stage.settings) as meanwhile:
            meanwhile.execute("set statement_timeout = '5s'")
            assert meanwhile.execute(both).fetchall() == [old]
        go.set()
        publishing.join(60)
        assert open_before.execute(both).fetchall() == [old], "a transaction sees one release"
        open_before.rollback()
        assert open_before.execute(both).fetchall() == [new]


def test_a_killed_publishing_leaves_the_last_release_and_the_next_one_catches_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, releases = stage.numbers(), stage.ask("select count(*) from release")
    build_id = stage.build(ONE_CELL, ONE_PARTITION)

    def killed(self: Any) -> None:
        with connecting.connect("admin", stage.settings, autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(%s)", [self.conn.info.backend_pid])
        self.conn.execute("select 1")

    monkeypatch.setattr(releasing._Publication, "_constrain_tables", killed)
    with pytest.raises(WarehouseError, match="Nothing was published"):
        releasing.publish(stage.settings, build_id)
    monkeypatch.undo()
    assert stage.numbers() == before and stage.ask("select count(*) from release") == releases
    assert releasing.unpublished(stage.settings)
    assert releasing.publish(stage.settings, build_id).changed == {"fct_observation_vintage": (1, 1)}
    assert not releasing.unpublished(stage.settings)


def test_two_publishings_do_not_overlap(stage: Stage) -> None:
    build_id = stage.build(ONE_CELL, ONE_PARTITION)
    found: list[releasing.Release] = []
    with connecting.connect("transformer", stage.settings, autocommit=True) as other:
        other.execute("select pg_advisory_lock(hashtext('teilhabe.publish'))")
        publishing = threading.Thread(target=lambda: found.append(releasing.publish(stage.settings, build_id)))
        publishing.start()
        publishing.join(1)
        assert publishing.is_alive() and not found
    publishing.join(60)
    assert found[0].changed == {"fct_observation_vintage": (1, 1)}


def test_only_a_tested_candidate_is_published(stage: Stage) -> None:
    before = stage.numbers()
    build_id = stage.build(ONE_CELL, ONE_PARTITION)
    with pytest.raises(WarehouseError, match=f"not what build {build_id + 1} has tested"):
        releasing.publish(stage.settings, build_id + 1)
    stage.sql("drop table intermediate.audited_candidate")  # what every dbt run begins with
    with pytest.raises(WarehouseError, match="build again"):
        releasing.publish(stage.settings, build_id)
    assert stage.numbers() == before and not releasing.unpublished(stage.settings)


def test_after_a_crash_of_the_server_the_empty_candidate_is_not_published(stage: Stage) -> None:
    before = stage.numbers()
    build_id = stage.build()
    server = embedded.ensure_running(stage.settings)
    os.kill(server.pid, signal.SIGQUIT)  # ends without a checkpoint: unlogged tables come up empty
    while embedded.is_running(stage.settings):
        pass
    embedded.ensure_running(stage.settings)
    assert stage.ask("select count(*) from candidate.fct_observation_vintage", "transformer") == [(0,)]
    with pytest.raises(WarehouseError, match="the server crashed"):
        releasing.publish(stage.settings, build_id)
    releasing.approve(stage.settings, build_id)  # not even when somebody says it was tested
    with pytest.raises(WarehouseError, match="the candidate is empty"):
        releasing.publish(stage.settings, build_id)
    assert stage.numbers() == before


def test_a_number_without_its_dimension_is_refused(stage: Stage) -> None:
    before = stage.numbers()
    orphan = ONE_CELL + "delete from candidate.dim_measure where measure_code = 'population'"
    with pytest.raises(WarehouseError, match="violates foreign key constraint"):
        stage.publish(orphan, digests=ONE_PARTITION)
    assert stage.numbers() == before


def test_what_analysts_put_on_published_tables_survives(stage: Stage) -> None:
    """Rows, new columns, other checks, another key and another definition of the view below."""
    stage.sql(
        "create view marts.own as select * from marts.rpt_observation;"
        "create view internal.own as select territory_code, value from marts.fct_observation_vintage"
    )
    change = """
    drop view candidate.rpt_observation;
    alter table candidate.fct_observation_vintage drop constraint fct_observation_vintage_pkey,
        add column dataset_id text not null default 'x', add column is_derived boolean not null default false,
        drop constraint fct_observation_vintage_obs_status_check,
        add constraint fct_observation_vintage_obs_status_check check (obs_status in ('A', 'P', 'M', 'E')),
        alter column obs_status drop not null,
        add primary key (measure_key, period_key, territory_code, dataset_id, known_from);
    alter table candidate.fct_observation_vintage alter column dataset_id drop default, alter column is_derived drop default;
    update candidate.fct_observation_vintage set obs_status = 'E', is_derived = true where territory_code = '03157001';
    alter table candidate.dim_measure alter column name_de drop not null, add column unit_de text;
    update candidate.dim_measure set unit_de = 'Personen' where measure_code = 'population';
    create or replace view candidate.rpt_observation as
        select m.measure_code, p.period_code, f.territory_code, f.value * 10 as value, f.is_derived
        from candidate.fct_observation_vintage as f
        join candidate.dim_measure as m using (measure_key) join candidate.dim_period as p using (period_key);
    comment on column candidate.dim_measure.unit_de is 'Unit. | Einheit.';
    """
    assert stage.publish(change).changed == {"dim_measure": (1, 1), "fct_observation_vintage": (8, 8)}
    assert stage.ask("select value, is_derived from rpt_observation order by value, is_derived limit 1") == [(1000, False)]  # fmt: skip
    assert stage.ask("select value from own limit 1") == [(1000,)]
    assert stage.ask("select count(*) from internal.own", "steward") == [(8,)]
    assert stage.ask("select unit_de from dim_measure order by measure_code") == [("Personen",), (None,)]
    contract = """
        select attname from pg_attribute
        where attrelid = '{0}.fct_observation_vintage'::regclass and attnotnull and attnum > 0
        union all
        select pg_get_constraintdef(oid) from pg_constraint
        where conrelid = '{0}.fct_observation_vintage'::regclass and contype in ('p', 'c') order by 1
    """
    assert stage.ask(contract.format("marts")) == stage.ask(contract.format("candidate"), "transformer")
    assert stage.publish().changed == {}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "alter table candidate.dim_indicator alter column name_de type varchar(90)",
            "marts.dim_indicator.name_de is text, not character varying",
        ),
        (
            "alter table candidate.dim_indicator drop column name_de",
            "marts.dim_indicator has a column name_de the model lacks",
        ),
        (
            "drop table candidate.dim_indicator; create view candidate.dim_indicator as select 1 as x",
            "marts.dim_indicator is a table, no view",
        ),
        ("create table candidate.fct_new (x int)", "candidate.fct_new has no primary key"),
        (
            "drop view candidate.rpt_observation; create view candidate.rpt_observation as select 1 as x",
            "view marts.rpt_observation has other columns",
        ),
        (
            "drop function candidate.observation_as_of;"
            "create function candidate.observation_as_of(t timestamptz) returns int language sql return 1",
            r"function marts.observation_as_of\(timestamp with time zone\) has other columns",
        ),
    ],
)
def test_what_readers_rely_on_is_not_changed_in_passing(stage: Stage, change: str, sentence: str) -> None:
    """One sentence says what to do, and the last release stands."""
    before = stage.numbers()
    with pytest.raises(WarehouseError, match=sentence) as caught:
        stage.publish(f"{ONE_CELL} {change}", digests=ONE_PARTITION)
    assert "build again" in str(caught.value) or "no primary key" in str(caught.value)
    assert stage.numbers() == before


def test_a_table_dropped_by_hand_is_filled_anew(stage: Stage) -> None:
    before = stage.numbers()
    stage.sql("drop table marts.fct_observation_vintage cascade")
    assert stage.publish().changed == {"fct_observation_vintage": (8, 0)}
    assert stage.numbers() == before


def test_what_no_model_makes_any_more_stays_and_says_so(stage: Stage) -> None:
    """Also its foreign keys must not hold on to rows of dimensions that are gone."""
    stage.declare({"fct_indicator_vintage": FOREIGN_KEYS["fct_indicator_vintage"]})
    gone = """
    drop view candidate.rpt_observation, candidate.fct_observation;
    drop table candidate.fct_observation_vintage cascade;
    delete from candidate.dim_measure;
    delete from intermediate.build_state where model = 'fct_observation_vintage';
    """
    release = stage.publish(gone)
    assert release.left == ("fct_observation", "fct_observation_vintage", "rpt_observation")
    assert "no longer made, left as it is: fct_observation, " in str(release)
    assert stage.ask("select count(*) from fct_observation_vintage") == [(8,)]
    [[said]] = stage.ask("select obj_description('fct_observation'::regclass)")
    assert said.startswith(f"Not kept up to date since release {release.release_id}. | ")
    assert stage.publish().left == (), "said once"


def test_old_releases_give_the_same_digits_after_a_changed_definition(stage: Stage) -> None:
    digits = "select territory_code, value from indicator_at_release({}) where known_until is null order by 1"
    [[first]] = stage.ask("select max(release_id) from release")
    assert stage.ask(digits.format(first)) == [("03157006", pytest.approx(4.5))]
    changed = stage.publish(
        "delete from candidate.fct_indicator_vintage;" + indicator("5.25") + indicator("7").replace("03157006", "03157001"),
        digests={("fct_indicator_vintage", "ARB-03|1", "2023-01"): "2"},
    )  # fmt: skip
    assert changed.changed == {"fct_indicator_vintage": (2, 1)}
    dropped = stage.publish(
        "delete from candidate.fct_indicator_vintage where territory_code = '03157006';"
        "delete from intermediate.build_state where model = 'fct_indicator_vintage'",
        digests={("fct_indicator_vintage", "ARB-03|1", "2023-02"): "1"},
    )
    assert dropped.changed == {"fct_indicator_vintage": (0, 1)}
    assert stage.ask(digits.format(first)) == [("03157006", pytest.approx(4.5))]
    assert [float(v) for _, v in stage.ask(digits.format(changed.release_id))] == [7, 5.25]
    assert stage.ask("select release_id from fct_indicator_vintage") == [(changed.release_id,)]
    assert stage.ask("select added_in_release, removed_in_release from fct_indicator_superseded order by 1") == [
        (first, changed.release_id), (changed.release_id, dropped.release_id),
    ]  # fmt: skip

    stage.publish("alter table candidate.fct_indicator_vintage add column wilson_low numeric default 1")
    assert stage.ask(digits.format(first)) == [("03157006", pytest.approx(4.5))]
    assert stage.ask(f"select wilson_low from indicator_at_release({first})") == [(None,)]


def test_tables_from_before_releases_make_way(empty: Stage) -> None:
    """Their keys were codes. Everything in them is computed from raw again; what stood on them has to be made again too."""
    empty.sql(
        "create table marts.dim_measure (measure_code text primary key);"
        "create table marts.fct_observation (measure_code text primary key);"
        "create view marts.rpt_observation as select measure_code as one from marts.fct_observation;"
        "create view internal.own as select * from marts.rpt_observation;"
        "create function marts.observation_as_of(as_of timestamptz) returns text language sql return 'old';"
        "create table marts.of_the_county as select 1 as x"
    )
    empty.sql(CANDIDATE)
    empty.publish(first_numbers(), digests=made_from("1"))
    assert len(empty.numbers()) == 8
    assert len(empty.ask("select * from observation_as_of('2024-01-01')")) == 8
    assert empty.ask("select x from of_the_county") == [(1,)]
    assert empty.ask("select to_regclass('internal.own')", "steward") == [(None,)]


def test_each_role_sees_what_it_is_for(stage: Stage) -> None:
    """With real connections, and without a grant by hand for what the next release brings."""
    stage.sql("create table internal.secret as select 1 as x; create table staging.probe as select 1 as x")
    stage.publish(
        "create table candidate.fct_new (x int primary key); insert into candidate.fct_new values (1);"
        "create view candidate.rpt_new as select x from candidate.fct_new;"
        "create function candidate.new_function() returns bigint language sql stable as 'select count(*) from candidate.fct_new'"
    )
    for role in ("analyst", "steward"):
        assert stage.ask("select x from marts.fct_new", role) == [(1,)]
        assert stage.ask("select x from marts.rpt_new", role) == [(1,)]
        assert stage.ask("select marts.new_function()", role) == [(1,)]
        assert stage.ask("select count(*) from marts.indicator_at_release(1000)", role) == [(1,)]
        assert stage.ask(
            "select count(*) from marts.release as r join marts.release_table as t using (release_id)", role
        ) != [(0,)]
    assert stage.ask("select x from internal.secret", "steward") == [(1,)]
    closed = {
        "analyst": [
            "select * from candidate.fct_new", "select candidate.new_function()", "select * from internal.secret",
            "select * from intermediate.release_state", "select * from staging.probe", "select * from ops.delivery",
            "select nextval('marts.release_release_id_seq')",
        ],
        "steward": ["select * from candidate.fct_new", "select * from intermediate.release_state", "delete from marts.fct_new"],
        "loader": ["select * from candidate.fct_new", "select * from marts.fct_new", "select * from internal.secret"],
    }  # fmt: skip
    for role, statements in closed.items():
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                stage.ask(statement, role)
    for name, value in provisioning.ROLE_SETTINGS["analyst"].items():
        assert stage.ask(f"show {name}")[0][0].replace("1min", "60s") == value
    stage.sql("drop table internal.secret, staging.probe")


def test_a_right_an_administrator_took_back_stays_taken(stage: Stage) -> None:
    stage.sql("revoke execute on function marts.observation_as_of from teilhabe_analyst")
    stage.publish(
        "create or replace function candidate.observation_as_of(as_of timestamptz)"
        " returns setof candidate.fct_observation_vintage language sql stable as 'select * from candidate.fct_observation_vintage'"
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        stage.ask("select * from observation_as_of(now())")
    assert len(stage.ask("select * from marts.observation_as_of('2000-01-01')", "steward")) == 8


class TestBuild:
    """``building.build`` around it, with dbt played by hand."""

    @pytest.fixture
    def ran(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
        """What dbt was asked to do; it corrects one number."""
        asked: list[tuple[str, ...]] = []

        def dbt(settings: Settings, *arguments: str, taken_in_until: int | None) -> list[Any]:
            asked.append(arguments)
            stage.sql(f"drop table if exists intermediate.audited_candidate; {ONE_CELL}")
            stage.sql("update intermediate.build_state set digest = '2' where part_code = 'population'")
            return []

        monkeypatch.setattr(building, "dbt", dbt)
        monkeypatch.setattr(building, "needless_corrections", lambda settings: [])
        monkeypatch.setattr(building, "_by_layer", lambda *_: {})
        monkeypatch.setattr(building, "_passes", lambda *_, force: [(["--full-refresh"] if force else [], None)])
        return asked

    LAST_BUILD = "select state from ops.build order by build_id desc limit 1"

    def test_a_build_ends_with_a_release(self, stage: Stage, ran: list[tuple[str, ...]]) -> None:
        build_id = building.build(stage.settings)
        assert ran == [("build", "--fail-fast")]
        assert stage.ask("select build_id, rows_added from release order by release_id desc limit 1") == [(build_id, 1)]
        assert stage.ask(self.LAST_BUILD, "steward") == [("succeeded",)]
        [(step, rows, message)] = stage.ask(
            "select step, row_count, message from ops.outcome order by outcome_id desc limit 1", "steward"
        )
        assert (step, rows) == ("publish", 2) and "1 rows added, 1 removed" in message
        assert not building.is_due(stage.settings)

    def test_a_build_counts_only_when_it_is_published(
        self, stage: Stage, ran: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = stage.numbers()

        def refused(self: Any, territorial_state: Any) -> None:
            raise WarehouseError("refused")

        with monkeypatch.context() as patched:
            patched.setattr(releasing._Publication, "_record", refused)
            with pytest.raises(WarehouseError, match="refused"):
                building.build(stage.settings)
        assert stage.numbers() == before
        assert stage.ask(self.LAST_BUILD, "steward") == [("failed",)]
        assert building.is_due(stage.settings), "an unpublished candidate is due although nothing new has arrived"
        building.build(stage.settings)
        assert stage.numbers() != before and not building.is_due(stage.settings)

    def test_nothing_is_published_that_dbt_refuses(
        self, stage: Stage, ran: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        releases = stage.ask("select count(*) from release")

        def fails(settings: Settings, *arguments: str, taken_in_until: int | None) -> list[Any]:
            raise WarehouseError("a test failed")

        monkeypatch.setattr(building, "dbt", fails)
        with pytest.raises(WarehouseError, match="a test failed"):
            building.build(stage.settings)
        assert stage.ask("select count(*) from release") == releases

    def test_a_forced_build_computes_everything_anew(self, stage: Stage, ran: list[tuple[str, ...]]) -> None:
        building.build(stage.settings, force=True)
        assert ran == [("build", "--fail-fast", "--full-refresh")]


def test_keys_are_those_of_the_dbt_macro() -> None:
    macro = (PROJECT / "dbt_project" / "macros" / "keys.sql").read_text()
    assert releasing._SURROGATE_KEY.format("concat_ws('|', {{ codes | join(', ') }})") in macro
