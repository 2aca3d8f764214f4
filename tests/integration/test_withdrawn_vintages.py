"""What no longer counts leaves the numbers and stays in their history, the same by an incremental and by a full build."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from teilhabe import ops
from teilhabe.building import building
from teilhabe.contract.parsing import load_contracts
from teilhabe.explaining import explanation, view
from teilhabe.keeping import erasing
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.conftest import PROJECT
from tests.flow import Flow, population
from tests.star import GROUP, Rows, Star, cell

POLICE = "police__offences_district"
UNEMPLOYED = "employment_agency__unemployed_municipal"
POPULATION = "state_statistics__population"
TABLES = (
    "intermediate.int_observation__unioned",
    "intermediate.int_delivery__contents",
    "intermediate.int_observation__vanished",
    "intermediate.int_observation__contested",
    "candidate.fct_observation_vintage",
    "candidate.fct_indicator_vintage",
    "candidate.fct_revision",
    "marts.fct_observation_vintage",
    "marts.fct_indicator_vintage",
    "marts.fct_revision",
)


@pytest.fixture(scope="module")
def star(installed: Settings, dbt_work: Path) -> Star:
    with loading.session(installed) as conn:
        ops.record_datasets(conn, load_contracts(PROJECT / "agencies").values())
    return Star(installed, dbt_work)


def person(territory: str, year: int, value: int, nationality: str) -> dict[str, Any]:
    group = {"nationality": nationality, "sex": "total", "age_band": "total"}
    return {**GROUP, **group, "territory_code": territory, "period_code": f"{year}-12-31", "value": str(value)}


def people(year: int, value: int) -> Rows:
    return [
        person("03157", year, value, "total"),
        person("03157", year, value // 10, "foreign"),
    ]


def set_state(star: Star, delivery_id: int, state: str, at: str) -> None:
    """As ``withdraw`` or a build does it, at a moment of the test's choosing."""
    with loading.session(star.settings) as conn:
        reason = {"withdrawal_reason": "falscher Stand"} if state == "withdrawn" else {}
        ops.set_state(conn, delivery_id, state, **reason)  # type: ignore[arg-type]
        conn.execute("update ops.delivery set state_at = %s where delivery_id = %s", (at, delivery_id))


def story(star: Star, year: int) -> list[tuple[Any, ...]]:
    """Who said what from when to when about the county's population."""
    return star.ask(
        "select v.value, v.delivery_id, v.known_from::date::text, v.known_until::date::text"
        " from marts.fct_observation_vintage as v"
        " inner join marts.dim_period using (period_key) inner join marts.dim_population_group as g using (population_group_key)"
        f" where period_code = '{year}-12-31' and g.nationality = 'total' and not v.is_derived order by v.known_from"
    )


def release(star: Star, number: int | None = None) -> tuple[int, list[tuple[Any, ...]]]:
    """A release (the last one) and its indicators."""
    if number is None:
        [(number,)] = star.ask("select max(release_id) from marts.release")
    told = "select row_to_json(i)::text from marts.indicator_at_release({}) as i order by 1"
    return number, star.ask(told.format(number))


def everything(star: Star) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: star.ask(f"select to_jsonb(t) - 'release_id' as r from {table} as t order by 1", role="transformer")
        for table in TABLES
    }


def offences(year: int) -> Rows:
    group = {"nationality": "total", "sex": "total", "category": "890000"}
    return [
        {**cell("03157", str(year), measure, value), **group}
        for measure, value in (("offences_known", 7000), ("offences_cleared", 4000))
    ]


def unemployed(*territories: str) -> Rows:
    return [
        cell(territory, "2024-03", "unemployed", 10 + number, nationality="total", age_band="total")
        for number, territory in enumerate(territories)
    ]


def register_edition() -> Rows:
    date = {"period_code": "2010-12-31", "population_period_code": "2010-12-31"}
    units = [
        ("10", None, "03", "Niedersachsen", None, None),
        ("40", "44", "03157", "Peine", None, None),
        ("60", "64", "03157001", "Edemissen", "104.12", "12000"),
        ("60", "63", "03157006", "Peine, Stadt", "119.84", "50000"),
    ]
    names = ("record_type", "text_code", "territory_code", "territory_name", "area_km2", "population")
    return [{**dict(zip(names, unit, strict=True)), **date} for unit in units]


def test_what_counts_follows_withdrawals_and_new_versions(star: Star) -> None:
    first = star.deliver(POPULATION, "2023-08-01", people(2022, 138000))
    middle = star.deliver(POPULATION, "2023-09-01", people(2022, 139000))
    last = star.deliver(POPULATION, "2023-10-01", people(2022, 137000))
    early = star.deliver(POPULATION, "2022-08-01", people(2021, 136000))
    late = star.deliver(POPULATION, "2022-09-01", people(2021, 136500))
    only = star.deliver(POPULATION, "2018-08-01", people(2017, 135000))
    never = star.deliver(POPULATION, "2020-08-01", people(2019, 134000))
    star.deliver(POLICE, "2019-06-01", offences(2018))
    wrong = star.deliver(UNEMPLOYED, "2024-04-01", unemployed("03157", "03157001", "03157006", "03157999"))
    register = star.deliver("register__municipalities", "2011-02-01", register_edition())
    set_state(star, never, "withdrawn", "2020-08-02")
    star.build(force=True)
    assert not building.is_due(star.settings)
    assert story(star, 2019) == [], "what no release has shown leaves no history"

    released, pinned = release(star)
    for delivery_id in (middle, early, only, last, register):
        set_state(star, delivery_id, "withdrawn", "2024-05-01")
    assert building.is_due(star.settings), "the release follows by itself"
    right = star.deliver(UNEMPLOYED, "2024-04-05", unemployed("03157", "03157001", "03157006"))
    star.build()
    assert not building.is_due(star.settings)
    assert pinned and release(star, released) == (released, pinned), "a report that names its release keeps its digits"
    assert release(star)[0] > released and release(star)[1] != pinned, "the next one shows what became of them"
    assert story(star, 2022) == [
        (138000, first, "2023-08-01", "2023-09-01"),
        (139000, middle, "2023-09-01", "2023-10-01"),
        (137000, last, "2023-10-01", "2024-05-01"),
        (138000, first, "2024-05-01", None),
    ]
    assert story(star, 2021) == [(136000, early, "2022-08-01", "2022-09-01"), (136500, late, "2022-09-01", None)]
    assert story(star, 2017) == [(135000, only, "2018-08-01", "2024-05-01")]
    area = (
        "select value from marts.observation_as_of('{}') where measure_code = 'area_km2' and territory_code = '03157'"
    )
    assert star.ask(area.format("2024-04-30")) == [(Decimal("223.96"),)], "the sum of an edition's municipalities"
    assert star.ask(area.format("2024-12-01")) == []
    as_of = "select value from marts.observation_as_of('{}') where period_code = '{}-12-31' and nationality = 'total'"
    assert star.ask(as_of.format("2023-12-01", 2022)) == [(137000,)]
    assert star.ask(as_of.format("2024-12-01", 2022)) == [(138000,)]
    assert star.ask(as_of.format("2024-04-30", 2017)) == [(135000,)]
    assert star.ask(as_of.format("2024-12-01", 2017)) == []
    revisions = star.ask(
        "select territory_code, period_code, old_value, new_value, old_delivery_id, new_delivery_id, reason"
        " from marts.rpt_revision where nationality = 'total' and revised_at >= '2024-01-01'"
        " and dataset_id <> 'register__municipalities' order by 1, 2"
    )
    assert revisions == [
        ("03157", "2017-12-31", Decimal(135000), None, only, None, "withdrawn"),
        ("03157", "2022-12-31", Decimal(137000), Decimal(138000), last, first, "withdrawn"),
        ("03157999", "2024-03", Decimal(13), None, wrong, right, "none"),
    ]
    rate = star.ask(
        "select value is null, null_reason, known_from::date::text, known_until::date::text from marts.fct_indicator_vintage"
        " inner join marts.dim_indicator using (indicator_key) inner join marts.dim_period using (period_key)"
        " inner join marts.dim_category using (category_key)"
        " where indicator_code = 'SIO-01' and period_code = '2018' and category_code = 'total' and is_default order by known_from"
    )
    assert rate == [
        (False, None, "2019-06-01", "2024-05-01"),
        (True, "no_denominator", "2024-05-01", None),
    ], "a rate whose denominator was taken back has no value and says so"
    now = "select count(*) from marts.rpt_observation where period_code = '2024-03' and territory_code = '03157999'"
    assert star.ask(now) == [(0,)]
    then = "select value from marts.observation_as_of('2024-04-03') where territory_code = '03157999'"
    assert star.ask(then) == [(13,)]

    asked = explanation.Question("SIO-01", "03157", "2018", category="total")
    told = "\n".join(view.lines(explanation.explain(star.settings, replace(asked, as_of=date(2024, 4, 1)))))
    assert f"delivery {only}, test.csv" in told
    assert "withdrawn 2024-05-01 02:00 CEST: falscher Stand" in told

    incremental = everything(star)
    star.build(force=True)
    computed_anew = everything(star)
    for table in TABLES:
        assert computed_anew[table] == incremental[table], table


def test_what_is_erased_is_in_no_table_the_next_build_leaves(star: Star, tmp_path: Path) -> None:
    """Through reading, raw and the whole warehouse. What releases have published before stays in their history alone."""
    flow = Flow(star.settings, tmp_path)
    flow.deliver(POPULATION, population({"03157001": (41_100, 20_600, 20_500)}, 2003), "davor.csv", "2023-06-01")
    written = population({"03157001": (41_987, 21_119, 20_868)}, 2003)
    number = flow.deliver(POPULATION, written, "Ljudmyla.csv", "2023-07-01", sender="ljudmyla@amt.example")
    star.build()
    counts = (
        "select value from marts.rpt_observation where territory_code = '03157001' and period_code = '2003-12-31'"
        " and measure_code = 'population' and sex = 'total' and nationality = 'total'"
    )
    assert star.ask(counts) == [(41_987,)]
    assert {table.partition(".")[0] for table in holding(star, number)} >= {"raw", "intermediate", "candidate", "marts"}
    with loading.session(star.settings) as conn:
        erasing.erase(star.settings, conn, number, reason="Antrag", actor="kerstin", now=datetime.now(UTC))
    star.build()
    assert star.ask(counts) == [(41_100,)]
    left = holding(star, number)
    history = left.pop("marts.fct_indicator_superseded", "told")
    assert history == "told", "numbers of releases that were published, without a name"
    assert {table.partition(".")[2] for table in left} == {"dim_delivery", "fct_data_quality"}, left
    assert set(left.values()) == {"known"}, "that there was one is all they say"


def holding(star: Star, number: int) -> dict[str, str]:
    """Tables outside ``ops`` that hold numbers or names of a delivery, or know that there was one."""
    found = {}
    with connecting.administrator(star.settings, connecting.database_names(star.settings)[0]) as conn:
        tables = conn.execute(
            "select n.nspname, c.relname, (select a.attname from pg_attribute as a where a.attrelid = c.oid and a.attname in"
            " ('delivery_id', '_delivery_id') and not a.attisdropped) from pg_class as c join pg_namespace as n on"
            " n.oid = c.relnamespace where c.relkind in ('r', 'm') and n.nspname !~ '^(pg_|information|ops)'"
        ).fetchall()
        for schema, name, column in tables:
            told = "t::text ~ '[Ll]judmyla|41987|21119|20868'"
            known = f"or {column} = {number}" if column else ""
            query = f'select bool_or({told}) from "{schema}"."{name}" as t where {told} {known}'
            [[is_told]] = conn.execute(query.encode()).fetchall()
            if is_told is not None:
                found[f"{schema}.{name}"] = "told" if is_told else "known"
    return found
