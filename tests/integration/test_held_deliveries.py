"""A delivery the build cannot take in is held back, and everybody else's numbers are published by the same build."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from teilhabe import ops
from teilhabe.building import building, held_deliveries
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import WarehouseError
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.conftest import PROJECT
from tests.star import GROUP, Rows, Star

POPULATION = "state_statistics__population"
NATURALISATIONS = "state_monitor__naturalisations"


@pytest.fixture(scope="module")
def star(installed: Settings, dbt_work: Path) -> Star:
    with loading.session(installed) as conn:
        ops.record_datasets(conn, load_contracts(PROJECT / "agencies").values())
    star = Star(installed, dbt_work)
    star.deliver(POPULATION, "2021-08-01", [person("2020-12-31", 134000)])
    star.build()
    return star


def person(period: str, value: object, territory: str = "03157", **said: Any) -> dict[str, Any]:
    group = {"nationality": "total", "sex": "total", "age_band": "total"}
    return {**GROUP, **group, "territory_code": territory, "period_code": period, "value": str(value), **said}


def state(star: Star, delivery_id: int) -> tuple[str, str | None]:
    with loading.session(star.settings) as conn:
        [row] = conn.execute(
            "select state, hold_reason from ops.delivery where delivery_id = %s", [delivery_id]
        ).fetchall()
    return tuple(row)


def published(star: Star, year: int) -> list[Any]:
    return [
        value
        for (value,) in star.ask(
            f"select value from marts.rpt_observation where period_code = '{year}-12-31' and territory_code = '03157'"
            " and measure_code = 'population'"
        )
    ]


BAD: dict[str, tuple[Rows, str]] = {
    "a period no calendar has": ([person("2022-12", 1), person("the past", 2)], "is_observation"),
    "a text that is no number": ([person("2022-12-31", "12a")], "numeric"),
    "a number stated twice": ([person("2022-12-31", 1), person("2022-12-31", 2)], "fct_observation_vintage"),
}


def test_what_cannot_be_built_is_held_and_the_rest_is_published(star: Star) -> None:
    """Three files, each wrong in its own way, beside a right one; and what was published stays."""
    bad = {name: star.deliver(POPULATION, "2023-08-01", rows) for name, (rows, _) in BAD.items()}
    right = star.deliver(POPULATION, "2022-08-01", [person("2021-12-31", 135000)])
    build_id = star.build()
    for name, delivery_id in bad.items():
        held, reason = state(star, delivery_id)
        assert held == "held", name
        assert BAD[name][1] in str(reason) and "nimmt diese Lieferung nicht an" in str(reason), (name, reason)
        assert "12a" not in str(reason), "what an office wrote stands in no reason"
    assert state(star, right) == ("loaded", None)
    assert published(star, 2021) == [135000] and published(star, 2020) == [134000] and published(star, 2022) == []
    with loading.session(star.settings) as conn:
        assert [one[0] for one in ops.held_by(conn, build_id)] == sorted(bad.values())
    assert not building.is_due(star.settings), "they wait for somebody, not for the next build"

    # One is withdrawn; a new file of the dataset lets the next build try the others again: one was mended meanwhile.
    mended = bad["a text that is no number"]
    with loading.session(star.settings) as conn:
        ops.set_state(conn, bad["a number stated twice"], "withdrawn", withdrawal_reason="doppelt")
        conn.execute(f"update raw.{POPULATION} set value = '136000' where _delivery_id = %s", [mended])
    star.deliver(POPULATION, "2023-09-01", [person("2019-12-31", 133000)])
    star.build()
    assert state(star, mended) == ("loaded", None)
    assert state(star, bad["a period no calendar has"])[0] == "held"
    assert published(star, 2022) == [136000] and published(star, 2019) == [133000]


def test_what_nobody_can_name_fails_loudly(star: Star, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machinery's own failures are no delivery's; nor is a failure with nothing new below it."""
    new = star.deliver(POPULATION, "2024-08-01", [person("2023-12-31", 137000)])

    def failing(message: str) -> Callable[..., Any]:
        node = {
            "unique_id": "model.teilhabe.dim_period",
            "status": "error",
            "message": message,
            "depends_on": {"nodes": []},
        }

        def dbt(*_: Any, **__: Any) -> Any:
            raise held_deliveries.BuildError(f"dbt build failed in dim_period: {message}", [node])

        return dbt

    for message in ("canceling statement due to lock timeout", "a seed is wrong"):
        with monkeypatch.context() as patch, pytest.raises(WarehouseError, match=message):
            patch.setattr(building, "dbt", failing(message))
            building.build(star.settings)
        assert state(star, new) == ("loaded", None)
    star.build()
    assert published(star, 2023) == [137000]


def test_of_those_nothing_names_only_the_last_is_held(star: Star, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are left out one after the other until it passes; those left out for nothing come with the next build."""
    culprit = star.deliver(POPULATION, "2025-08-01", [person("2024-12-31", 138000)])
    innocent = star.deliver(NATURALISATIONS, "2025-08-02", [])
    staging = [f"model.teilhabe.stg_{POPULATION}", f"model.teilhabe.stg_{NATURALISATIONS}"]
    node = {
        "unique_id": "test.teilhabe.sums",
        "status": "fail",
        "message": "Got 1 result",
        "depends_on": {"nodes": staging},
    }
    once = building._build_once

    def refusing(*arguments: Any, **said: Any) -> None:
        if state(star, culprit)[0] == "loaded":
            raise held_deliveries.BuildError("dbt build failed in sums: Got 1 result", [node])
        once(*arguments, **said)

    with monkeypatch.context() as patch:
        patch.setattr(building, "_build_once", refusing)
        building.build(star.settings)
    assert state(star, culprit)[0] == "held" and state(star, innocent) == ("loaded", None)
    assert building.new_deliveries(star.settings) == [innocent]


def test_a_row_marts_does_not_take_names_its_delivery(star: Star) -> None:
    """Foreign keys hold in ``marts`` alone, so what breaks one is seen when it is published."""

    with connecting.connect("transformer", star.settings, autocommit=True) as conn:
        rows = conn.execute("select measure_key, delivery_id from candidate.fct_observation_vintage limit 1").fetchall()
        with pytest.raises(psycopg.errors.RaiseException) as raised:
            conn.execute(
                f"""do $$ begin raise exception 'violates foreign key constraint' using
                detail = 'Key (measure_key)=({rows[0][0]}) is not present in table "dim_measure".',
                table = 'fct_observation_vintage'; end $$"""
            )
        error = WarehouseError("Nothing was published.")
        error.__cause__ = raised.value
        assert rows[0][1] in set(held_deliveries._named(conn, error, []))


def test_code_that_changes_recomputes_what_it_feeds(star: Star, tmp_path: Path) -> None:
    """The partitions of all models made with a macro or another model, in a dbt run by hand too; a comment feeds nothing."""
    project = tmp_path / "dbt_project"
    shutil.copytree(PROJECT / "dbt_project", project, ignore=shutil.ignore_patterns("target", "logs"))

    def digests(**where: Path) -> dict[str, str]:
        star.dbt("run", "--select", "dim_framework", **where)
        return dict(star.ask("select model, digest from intermediate.model_code", "transformer"))

    before = digests()
    for name, old, new in (
        ("macros/indicator_partitions.sql", "1.959963984540054", "1.96"),
        ("macros/reports.sql", "{#", "{# Otherwise said: "),
        ("models/intermediate/int_observation__totaled.sql", "select", "select  "),
    ):
        path = project / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    after = digests(project=project)
    changed = {model for model in before if before[model] != after[model]}
    assert {"fct_indicator_vintage", "fct_indicator_comparison", "fct_observation_vintage"} <= changed
    assert {"int_observation__rekeyed", "int_observation__contested", "fct_revision"} <= before.keys() - changed
    compare = ("ls", "--quiet", "--resource-type", "model", "--select", "state:modified", "--state")
    built = str(star.settings.work / "dbt")
    assert "int_observation__totaled" in star.dbt(*compare, built, project=project)
    assert "teilhabe." not in star.dbt(*compare, built), "what was built is what is there"
