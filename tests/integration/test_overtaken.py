"""A run that was taken for dead and comes to its end after another has done its work changes nothing."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from teilhabe import ops
from teilhabe.contract import lookup
from teilhabe.decisions import withdrawing
from teilhabe.errors import Finding, WarehouseError
from teilhabe.pipeline import installing, judging, taking_in
from teilhabe.raw import loading
from teilhabe.reading import confined
from teilhabe.settings import Settings
from teilhabe.validation import verdict as validation
from tests.conftest import settings_for
from tests.flow import POPULATION, Flow, copied, day, population

ONE = population({"03157001": (100, 60, 40)})


@pytest.fixture(scope="module")
def flow(house: Settings, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    project = copied(tmp_path_factory.mktemp("project"), "state_statistics", "register")
    settings = replace(settings_for(house.home), project=project)
    installing.install(settings)
    return Flow(settings, tmp_path_factory.mktemp("drafts"))


@pytest.fixture(autouse=True)
def _empty(flow: Flow) -> None:
    with loading.session(flow.settings) as conn:
        conn.execute(f"truncate ops.delivery cascade; truncate raw.{POPULATION}".encode())


def everything(flow: Flow) -> dict[str, Any]:
    """All that is known of deliveries, but for which steps ran when."""
    queries = {
        "delivery": "select d, followed_at from ops.delivery as d order by delivery_id",
        "finding": "select * from ops.finding order by finding_id",
        "raw": f"select * from raw.{POPULATION} order by 1, 2, 3",
        "held": "select * from ops.excluded_row order by 1, 2",
    }
    with loading.session(flow.settings) as conn:
        return {name: conn.execute(query.encode()).fetchall() for name, query in queries.items()}


def outcomes(flow: Flow) -> list[tuple[str, str, str | None]]:
    with loading.session(flow.settings) as conn:
        return conn.execute(
            "select step, status, message from ops.outcome where delivery_id is not null order by outcome_id"
        ).fetchall()


def run(flow: Flow) -> dict[int, str]:
    return taking_in.take_in(flow.settings, lookup.contract(flow.settings, POPULATION))


def loads(flow: Flow) -> None:
    assert set(run(flow).values()) <= {"loaded", "quarantined"}


def loads_and_withdraws(flow: Flow) -> None:
    [number] = run(flow)
    with loading.session(flow.settings) as conn:
        withdrawing.withdraw(conn, number, reason="falsche Tabelle", actor="amt", now=day("2023-11-01"))


@pytest.mark.parametrize("other", [loads, loads_and_withdraws])
@pytest.mark.parametrize("end", ["accepted", "refused", "error"])
def test_a_late_verdict_changes_nothing(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, other: Callable[[Flow], None], end: str
) -> None:
    flow.hand_in(POPULATION, ONE)
    flow.archive(POPULATION)
    validate, left = validation.validate, []

    def late(*arguments: Any, **said: Any) -> validation.Verdict:
        if left:
            return validate(*arguments, **said)
        left.append("zombie")
        verdict = validate(*arguments, **said)
        other(flow)
        left.append(everything(flow))
        if end == "error":
            raise WarehouseError("the connection is gone")
        if end == "refused":
            verdict.findings = [Finding("critical", "sum.parts", "Insgesamt stimmt nicht.")]
        return verdict

    monkeypatch.setattr(validation, "validate", late)
    if end == "error":
        with pytest.raises(WarehouseError):
            run(flow)
    else:
        assert list(run(flow).values()) == [ops.OVERTAKEN]
        assert outcomes(flow)[-1] == ("validate", "ok", ops.OVERTAKEN)
    assert everything(flow) == left[1]
    assert run(flow) == {}, "nothing is left to do"
    assert len(everything(flow)["raw"]) == 3


def test_late_loading_changes_nothing(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.hand_in(POPULATION, ONE)
    flow.archive(POPULATION)
    flow.judge(POPULATION)
    open_delivery, left = judging.open_delivery, []

    def late(*arguments: Any) -> confined.ConfinedReading:
        if not left:
            left.append("zombie")
            loads_and_withdraws(flow)
            left.append(everything(flow))
        return open_delivery(*arguments)

    monkeypatch.setattr(taking_in, "open_delivery", late)
    assert list(run(flow).values()) == ["withdrawn"]
    assert everything(flow) == left[1] and len(left[1]["raw"]) == 3


def test_a_late_unpacking_changes_nothing(flow: Flow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("eins.csv", ONE)
    flow.hand_in(POPULATION, packed.getvalue(), "alles.zip")
    flow.archive(POPULATION)
    run_confined, left = confined.run, []

    def late(work: Callable[..., Any], *arguments: Any, **said: Any) -> Any:
        done = run_confined(work, *arguments, **said)
        if work.__name__ == "unpack" and not left:
            left.append("zombie")
            other = taking_in.take_in(flow.settings, lookup.contract(flow.settings, POPULATION))
            assert sorted(other.values()) == ["loaded", "unpacked"]
            left.append(everything(flow))
        return done

    monkeypatch.setattr(confined, "run", late)
    assert list(run(flow).values()) == [ops.OVERTAKEN]
    assert everything(flow) == left[1]
