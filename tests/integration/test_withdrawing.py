"""What no longer counts leaves the numbers and stays in their history, the same by an incremental and by a full build."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from teilhabe import building, loading, ops
from teilhabe.contracts import load_contracts
from teilhabe.settings import Settings
from tests.conftest import PROJECT
from tests.star import GROUP, Rows, Star

POPULATION = "state_statistics__population"
TABLES = (
    "intermediate.int_observation__unioned",
    "intermediate.int_delivery__contents",
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
        ops.set_state(conn, delivery_id, state)  # type: ignore[arg-type]
        conn.execute("update ops.delivery set state_at = %s where delivery_id = %s", (at, delivery_id))


def story(star: Star, year: int) -> list[tuple[Any, ...]]:
    """Who said what from when to when about the county's population."""
    return star.ask(
        "select v.value, v.delivery_id, v.known_from::date::text, v.known_until::date::text"
        " from marts.fct_observation_vintage as v"
        " inner join marts.dim_period using (period_key) inner join marts.dim_population_group as g using (population_group_key)"
        f" where period_code = '{year}-12-31' and g.nationality = 'total' and not v.is_derived order by v.known_from"
    )


def everything(star: Star) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: star.ask(f"select to_jsonb(t) - 'release_id' as r from {table} as t order by 1", role="transformer")
        for table in TABLES
    }


def test_withdrawn_deliveries_give_way_and_stay_in_the_history(star: Star) -> None:
    first = star.deliver(POPULATION, "2023-08-01", people(2022, 138000))
    middle = star.deliver(POPULATION, "2023-09-01", people(2022, 139000))
    last = star.deliver(POPULATION, "2023-10-01", people(2022, 137000))
    early = star.deliver(POPULATION, "2022-08-01", people(2021, 136000))
    late = star.deliver(POPULATION, "2022-09-01", people(2021, 136500))
    only = star.deliver(POPULATION, "2021-08-01", people(2020, 135000))
    star.build(force=True)
    assert not building.is_due(star.settings)

    for delivery_id in (middle, early, only, last):
        set_state(star, delivery_id, "withdrawn", "2024-05-01")
    assert building.is_due(star.settings), "the release follows by itself"
    star.build()
    assert not building.is_due(star.settings)
    assert story(star, 2022) == [
        (138000, first, "2023-08-01", "2023-09-01"),
        (139000, middle, "2023-09-01", "2023-10-01"),
        (137000, last, "2023-10-01", "2024-05-01"),
        (138000, first, "2024-05-01", None),
    ]
    assert story(star, 2021) == [(136000, early, "2022-08-01", "2022-09-01"), (136500, late, "2022-09-01", None)]
    assert story(star, 2020) == [(135000, only, "2021-08-01", "2024-05-01")]
    as_of = "select value from marts.observation_as_of('{}') where period_code = '{}-12-31' and nationality = 'total'"
    assert star.ask(as_of.format("2023-12-01", 2022)) == [(137000,)]
    assert star.ask(as_of.format("2024-12-01", 2022)) == [(138000,)]
    assert star.ask(as_of.format("2024-04-30", 2020)) == [(135000,)]
    assert star.ask(as_of.format("2024-12-01", 2020)) == []
    revisions = star.ask(
        "select period_code, old_value, new_value, old_delivery_id, new_delivery_id, reason from marts.rpt_revision"
        " where nationality = 'total' and revised_at >= '2024-01-01' order by period_code"
    )
    assert revisions == [
        ("2020-12-31", Decimal(135000), None, only, None, "withdrawn"),
        ("2022-12-31", Decimal(137000), Decimal(138000), last, first, "withdrawn"),
    ]
    incremental = everything(star)
    star.build(force=True)
    assert everything(star) == incremental


def test_what_no_release_has_shown_leaves_no_history(star: Star) -> None:
    never = star.deliver(POPULATION, "2020-08-01", people(2019, 134000))
    held = star.deliver(POPULATION, "2020-09-01", people(2019, 134500))
    set_state(star, never, "withdrawn", "2020-08-02")
    set_state(star, held, "held", "2020-09-02")
    assert not building.is_due(star.settings)
    star.build(force=True)
    assert story(star, 2019) == []
    set_state(star, held, "loaded", "2020-10-01")
    assert building.is_due(star.settings), "mended, it is taken in"
    star.build()
    assert story(star, 2019) == [(134500, held, "2020-09-01", None)]
