"""The operational record: every step leaves one row, a verdict replaces the one before, a build counts only when it succeeded."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from teilhabe import ops
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Evidence, Finding
from teilhabe.ops import schema

PROJECT = Path(__file__).resolve().parents[2]
AT = datetime(2023, 10, 20, 9, 30, tzinfo=UTC)


@pytest.fixture
def dataset() -> str:
    """A dataset of this test alone: the server is shared."""
    return f"test_ops__{uuid.uuid4().hex[:8]}"


def arrive(conn: ops.Connection, dataset_id: str, sha: str, manifest: str | None = None, **said: Any) -> ops.Delivery:
    given = {
        "file_name": "a.csv", "size_bytes": 1, "received_at": AT, "received_from": None, "source": "inbox",
        "source_fingerprint": None, "period_stated": None, "archive_uri": "x", "rules_version": "1", **said,
    }  # fmt: skip
    delivery = ops.register(
        conn, dataset_id=dataset_id, sha256=sha * 64, manifest_uri=manifest or uuid.uuid4().hex, **given
    )
    conn.commit()
    return delivery


@pytest.mark.parametrize(
    ("sender", "is_demo"),
    [
        ("peine@demo.teilhabe.example", True),
        ("Stadt Peine <Peine@Demo.Teilhabe.Example>", True),
        ("amt@teilhabe.example", False),
        (None, False),
    ],
)
def test_what_an_address_of_the_demo_hands_in_is_the_demos(
    conn: ops.Connection, dataset: str, sender: str | None, is_demo: bool
) -> None:
    number = arrive(conn, dataset, "a", received_from=sender).delivery_id
    found = conn.execute("select is_demo from ops.delivery where delivery_id = %s", (number,)).fetchone()
    conn.execute("delete from ops.delivery where delivery_id = %s", (number,))
    conn.commit()
    assert found == (is_demo,)


def test_installing_twice_changes_nothing(conn: ops.Connection, dataset: str) -> None:
    number = arrive(conn, dataset, "a").delivery_id
    schema.install(conn)
    conn.commit()
    assert ops.delivery(conn, number).state == "received"


def test_the_same_arrival_is_recorded_once(conn: ops.Connection, dataset: str) -> None:
    manifest = uuid.uuid4().hex
    assert arrive(conn, dataset, "a", manifest) == arrive(conn, dataset, "a", manifest)


@pytest.mark.parametrize("state", ["received", "validated", "loaded", "failed"])
def test_bytes_under_way_or_loaded_make_a_duplicate(conn: ops.Connection, dataset: str, state: Any) -> None:
    first = arrive(conn, dataset, "a")
    ops.set_state(conn, first.delivery_id, state)
    second = arrive(conn, dataset, "a", rules_version="2")
    assert (second.state, second.duplicate_of) == ("duplicate", first.delivery_id)


@pytest.mark.parametrize(("rules", "state"), [("1", "duplicate"), ("2", "received")])
def test_refused_bytes_count_as_known_only_under_the_same_rules(
    conn: ops.Connection, dataset: str, rules: str, state: str
) -> None:
    first = arrive(conn, dataset, "a")
    ops.set_state(conn, first.delivery_id, "quarantined")
    assert arrive(conn, dataset, "a", rules_version=rules).state == state


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        ({"sender_code": "03157001"}, {"sender_code": "03157002"}, "received"),
        ({"sender_code": "03157001"}, {"sender_code": "03157001"}, "duplicate"),
        ({"sender_code": "03157001"}, {}, "duplicate"),
        ({}, {"sender_code": "03157001"}, "duplicate"),
        ({"period_stated": "2022"}, {"period_stated": "2023"}, "received"),
        ({}, {"period_stated": "2022"}, "received"),
        ({"period_stated": "2022"}, {"period_stated": "2022"}, "duplicate"),
    ],
)
@pytest.mark.parametrize("became", ["received", "quarantined"])
def test_the_same_bytes_of_another_sender_or_period_are_judged(
    conn: ops.Connection, dataset: str, became: Any, first: dict[str, str], second: dict[str, str], state: str
) -> None:
    ops.set_state(conn, arrive(conn, dataset, "a", **first).delivery_id, became)
    assert arrive(conn, dataset, "a", **second).state == state


def test_what_was_given_up_may_be_sent_again(conn: ops.Connection, dataset: str) -> None:
    number = arrive(conn, dataset, "a").delivery_id
    for _ in range(ops.MOST_ATTEMPTS):
        ops.begin_attempt(conn, number)
    ops.set_state(conn, number, "quarantined")
    assert arrive(conn, dataset, "a").state == "received"


def test_a_duplicate_of_a_duplicate_names_the_first(conn: ops.Connection, dataset: str) -> None:
    first = arrive(conn, dataset, "a")
    arrive(conn, dataset, "a")
    assert arrive(conn, dataset, "a").duplicate_of == first.delivery_id


def test_other_bytes_and_other_datasets_are_no_duplicates(conn: ops.Connection, dataset: str) -> None:
    arrive(conn, dataset, "a")
    assert arrive(conn, dataset, "b").state == "received"
    assert arrive(conn, f"{dataset}_2", "a").state == "received"


def test_unfinished_is_what_has_a_way_to_go_oldest_arrival_first(conn: ops.Connection, dataset: str) -> None:
    names = {}
    for day, (sha, state) in enumerate(
        {"1": "validated", "2": "loaded", "3": "failed", "4": "quarantined", "5": "received", "6": "duplicate"}.items()
    ):
        delivery = arrive(conn, dataset, sha, received_at=AT.replace(day=20 - day))
        ops.set_state(conn, delivery.delivery_id, state)  # type: ignore[arg-type]
        names[delivery.delivery_id] = state
    assert [names[d.delivery_id] for d in ops.unfinished(conn, dataset)] == ["received", "failed", "validated"]


def test_superseded_is_what_has_a_later_loaded_version(conn: ops.Connection, dataset: str) -> None:
    old, new = arrive(conn, dataset, "a"), arrive(conn, dataset, "b", received_at=AT.replace(year=2024))
    ops.set_state(conn, old.delivery_id, "loaded")
    assert ops.superseded_by(conn, old.delivery_id) is None, "the later one is not in yet"
    ops.set_state(conn, new.delivery_id, "loaded")
    assert ops.superseded_by(conn, old.delivery_id) == new.delivery_id
    assert ops.superseded_by(conn, new.delivery_id) is None


def test_judging_again_replaces_the_verdict_with_its_evidence(conn: ops.Connection, dataset: str) -> None:
    number = arrive(conn, dataset, "a").delivery_id
    critical = Finding(
        "critical", "key.unknown", "Satz.", sheet="Blatt 1", row=7, column="Schlüssel", found="1", expected="2", row_count=400,
        evidence=tuple(Evidence(n, "Schlüssel", str(n)) for n in range(200)),
    )  # fmt: skip
    warning, info = Finding("warning", "name.disagrees", "Warnung."), Finding("info", "key.unchecked", "Hinweis.")
    ops.record_findings(conn, number, [info, warning, critical])
    assert ops.findings(conn, number) == [critical, warning, info], "most severe first, nothing lost"
    ops.record_findings(conn, number, [warning])
    assert ops.findings(conn, number) == [warning]
    rows = conn.execute(
        "select count(*) from ops.evidence e left join ops.finding f using (finding_id) where f.finding_id is null"
    )
    assert rows.fetchall() == [(0,)]


def outcomes(conn: ops.Connection, dataset: str) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select step, status, row_count, message, finished_at >= started_at from ops.outcome where dataset_id = %s order by 1",
        (dataset,),
    ).fetchall()


def test_a_step_leaves_one_outcome_when_it_went_well(conn: ops.Connection, dataset: str) -> None:
    with ops.step(conn, "load", dataset_id=dataset) as outcome:
        outcome.rows = 12
    assert outcomes(conn, dataset) == [("load", "ok", 12, None, True)]


@pytest.mark.parametrize("error", [ValueError("Max Mustermann"), KeyboardInterrupt(), SystemExit(1)])
def test_a_step_leaves_one_outcome_when_it_did_not_and_takes_back_its_work(
    conn: ops.Connection, dataset: str, error: BaseException
) -> None:
    number = arrive(conn, dataset, "a").delivery_id
    with pytest.raises(type(error)), ops.step(conn, "load", dataset_id=dataset):
        ops.set_state(conn, number, "loaded")
        raise error
    assert outcomes(conn, dataset) == [("load", "failed", None, type(error).__name__, True)]
    assert ops.delivery(conn, number).state == "received"


def test_a_step_whose_statement_failed_is_recorded_too(conn: ops.Connection, dataset: str) -> None:
    with pytest.raises(Exception, match="nichts"), ops.step(conn, "build", dataset_id=dataset):
        conn.execute("select * from ops.nichts")
    assert outcomes(conn, dataset) == [("build", "failed", None, "UndefinedTable", True)]


def test_deliveries_count_as_built_only_after_success(conn: ops.Connection, dataset: str) -> None:
    number = arrive(conn, dataset, "a").delivery_id
    assert number not in ops.deliveries_to_build(conn), "not loaded yet"
    ops.set_state(conn, number, "loaded")
    assert number in ops.deliveries_to_build(conn)

    failed = ops.start_build(conn, [number], code_version="1", run_id=None)
    assert number in ops.deliveries_to_build(conn)
    ops.finish_build(conn, failed, succeeded=False, message="a test failed")
    assert number in ops.deliveries_to_build(conn)

    good = ops.start_build(conn, [number], code_version="1", run_id=None)
    ops.finish_build(conn, good, succeeded=True, message=None)
    assert number not in ops.deliveries_to_build(conn)
    conn.commit()


def test_a_build_with_known_code_needs_only_the_datasets_of_its_new_deliveries(
    conn: ops.Connection, dataset: str
) -> None:
    numbers = [arrive(conn, name, "a").delivery_id for name in (dataset, f"{dataset}_2")]
    first = ops.start_build(conn, [], code_version="1", run_id=None, force=True)
    assert ops.light_build(conn, first) is None, "a full one touches everything"
    ops.finish_build(conn, first, succeeded=True, message=None)
    second = ops.start_build(conn, numbers, code_version="1", run_id=None)
    assert ops.light_build(conn, second) == [dataset, f"{dataset}_2"]
    ops.finish_build(conn, second, succeeded=True, message=None)
    other = ops.start_build(conn, numbers, code_version="2", run_id=None)
    assert ops.light_build(conn, other) is None, "other code computes everything anew"
    ops.finish_build(conn, other, succeeded=True, message=None)
    conn.commit()


def test_a_part_of_a_step_is_recorded_with_its_own_times(conn: ops.Connection) -> None:
    run_id = uuid.uuid4().hex
    ops.record_outcome(conn, "build", started=AT, finished=AT.replace(hour=10), rows=3, message="marts", run_id=run_id)
    row = conn.execute(
        "select step, status, row_count, message, extract(epoch from finished_at - started_at)::int"
        " from ops.outcome where run_id = %s",
        (run_id,),
    ).fetchone()
    assert row == ("build", "ok", 3, "marts", 3600)


@pytest.mark.parametrize(
    ("rules", "refused", "state"), [("1", True, "duplicate"), ("2", True, "received"), ("2", False, "duplicate")]
)
def test_a_container_is_opened_again_only_under_new_rules_and_if_a_file_of_it_was_refused(
    conn: ops.Connection, dataset: str, rules: str, refused: bool, state: str
) -> None:
    container = arrive(conn, dataset, "a", layout="zip")
    ops.set_state(conn, container.delivery_id, "unpacked")
    member = arrive(conn, dataset, "b", container_id=container.delivery_id)
    ops.set_state(conn, member.delivery_id, "quarantined" if refused else "loaded")
    assert arrive(conn, dataset, "a", rules_version=rules).state == state


def test_a_build_that_was_killed_is_closed_by_the_next(conn: ops.Connection) -> None:
    killed = ops.start_build(conn, [], code_version="1", run_id=None)
    following = ops.start_build(conn, [], code_version="1", run_id=None)
    states = dict(
        conn.execute(
            "select build_id, state from ops.build where build_id = any(%s)", ([killed, following],)
        ).fetchall()
    )
    assert states == {killed: "failed", following: "running"}
    ops.finish_build(conn, following, succeeded=True, message=None)
    conn.commit()


def test_datasets_are_recorded_as_their_contracts_say(conn: ops.Connection) -> None:
    """Idempotent, an amended contract replaces its row, and a dataset without a contract stays: its deliveries count."""
    contracts = list(load_contracts(PROJECT / "agencies").values())

    def recorded() -> dict[str, tuple[Any, ...]]:
        rows = conn.execute("select dataset_id, office_name, licence, is_active, xmin::text from ops.dataset")
        return {row[0]: row[1:] for row in rows}

    ops.record_datasets(conn, contracts)
    conn.commit()
    before = recorded()
    assert len(before) >= len(contracts) > 30
    ops.record_datasets(conn, contracts)
    conn.commit()
    assert recorded() == before, "nothing is written where nothing changed"
    first, *others = contracts
    amended = others[0].model_copy(update={"licence": "Datenlizenz Deutschland Null 2.0"})
    ops.record_datasets(conn, [amended, *others[1:]])
    after = recorded()
    assert after[amended.dataset_id][1] == "Datenlizenz Deutschland Null 2.0"
    assert after[first.dataset_id][:3] == (first.office, first.licence, False)
    ops.record_datasets(conn, [])
    assert not any(row[2] for row in recorded().values())
    conn.rollback()
