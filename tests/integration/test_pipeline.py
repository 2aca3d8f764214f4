"""A delivery from the inbox to raw, and everything that can come between: repetition, refusal, crashes, competition."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import psutil
import pytest

from teilhabe import landing, ops
from teilhabe.contract import lookup
from teilhabe.decisions import approvals
from teilhabe.errors import ContractError, SourceError, TeilhabeError
from teilhabe.keeping import checking
from teilhabe.pipeline import archiving, taking_in
from teilhabe.pipeline.follow_up import follow_up
from teilhabe.pipeline.waiting import (
    poll,
    refused,
    register_stuck,
    register_waits,
    under_way,
    unfinished,
    waiting_in_inbox,
)
from teilhabe.raw import loading
from teilhabe.settings import Settings
from teilhabe.validation import verdict
from tests.conftest import PROJECT
from tests.flow import FOREIGNERS, NATURALISATIONS, PEINE, POPULATION, Flow, monitor, no_credentials, population

ONE = population({"03157001": (12000, 6000, 6000), "03157002": (9000, ".", "-")})
FIXTURES = PROJECT / "tests" / "fixtures" / "deliveries"
HTML = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"


@pytest.fixture(scope="module")
def running(installed: Settings) -> Flow:
    return Flow(installed, installed.home / "drafts")


@pytest.fixture
def flow(running: Flow) -> Flow:
    """A home in which nothing has arrived yet."""
    running.empty()
    return running


class Killed(BaseException):
    """What ends a process: nothing in the code may catch it."""


def killed(*_: Any, **__: Any) -> NoReturn:
    raise Killed


# The way of a good file


def test_a_delivery_goes_from_the_inbox_to_raw(flow: Flow) -> None:
    flow.hand_in(POPULATION, ONE, at="2023-10-20", sender="office@example")
    [number] = flow.archive(POPULATION)
    assert flow.state(number) == "received"
    assert landing.FolderSource(landing.dataset_inbox(flow.settings, POPULATION)).list() == [], "the inbox is empty"

    assert flow.judge(POPULATION) == {number: "validated"}
    assert flow.raw(POPULATION) == []

    assert flow.load(POPULATION) == [number]
    assert flow.raw(POPULATION, "territory_code", "territory_name", "period_code", "sex", "value", "obs_status", "conf_status",
                    "_delivery_id", "_row_number", "_column_number") == [
        ("03157001", "Edemissen", "2022-12-31", "total", "12000", "A", "F", number, 8, 3),
        ("03157001", "Edemissen", "2022-12-31", "male", "6000", "A", "F", number, 8, 4),
        ("03157001", "Edemissen", "2022-12-31", "female", "6000", "A", "F", number, 8, 5),
        ("03157002", "Hohenhameln", "2022-12-31", "total", "9000", "A", "F", number, 9, 3),
        ("03157002", "Hohenhameln", "2022-12-31", "male", None, "Q", "C", number, 9, 4),
        ("03157002", "Hohenhameln", "2022-12-31", "female", "0", "A", "F", number, 9, 5),
    ]  # fmt: skip
    record = flow.ask(
        "select state, file_name, size_bytes, received_from, to_char(received_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),"
        " row_count, layout, periods, loaded_at is not null from ops.delivery"
    )
    assert record == [("loaded", "zahlen.csv", len(ONE), "office@example", "2023-10-20 09:00", 6,
                       "GENESIS-Tabelle 12411-01-01-5", ["2022-12-31"], True)]  # fmt: skip
    assert flow.outcomes(POPULATION) == [("fetch", "ok"), ("archive", "ok"), ("validate", "ok"), ("load", "ok")]


def test_the_bytes_are_kept_as_they_came(flow: Flow) -> None:
    flow.deliver(POPULATION, ONE)
    [entry] = landing.Archive(flow.settings.archive_url).manifest(POPULATION)
    kept = landing.Archive(flow.settings.archive_url).local(entry.sha256, flow.drafts)
    assert kept.read_bytes() == ONE
    assert (entry.original_name, entry.size) == ("zahlen.csv", len(ONE))


def test_nothing_to_do_is_nothing_done(flow: Flow) -> None:
    assert (flow.archive(POPULATION), flow.judge(POPULATION), flow.load(POPULATION)) == ([], {}, [])
    flow.deliver(POPULATION, ONE)
    before = flow.raw(POPULATION)
    assert (flow.archive(POPULATION), flow.judge(POPULATION), flow.load(POPULATION)) == ([], {}, [])
    assert flow.raw(POPULATION) == before
    assert list(flow.settings.work.iterdir()) == [], "no bytes are left lying about"


def test_an_unknown_dataset_is_told_with_what_there_is(flow: Flow) -> None:
    with pytest.raises(ContractError, match="state_statistics__population"):
        lookup.contract(flow.settings, "state_statistics__populations")


# The same again


def test_the_same_bytes_again_are_a_duplicate(flow: Flow) -> None:
    first = flow.deliver(POPULATION, ONE, "a.csv")
    before = flow.raw(POPULATION)
    second = flow.deliver(POPULATION, ONE, "b.csv", at="2024-01-05")
    assert (flow.state(first), flow.state(second)) == ("loaded", "duplicate")
    assert flow.ask("select duplicate_of, row_count from ops.delivery where delivery_id = %s", second) == [
        (first, None)
    ]
    assert flow.raw(POPULATION) == before
    assert flow.findings(second) == []
    assert ("archive", "duplicate") in flow.outcomes(POPULATION)
    assert flow.outcomes(POPULATION).count(("validate", "ok")) == 1
    assert len(landing.Archive(flow.settings.archive_url).manifest(POPULATION)) == 2, "that it came is kept"


def test_the_same_bytes_in_one_batch(flow: Flow) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        flow.hand_in(POPULATION, ONE, name)
    flow.run(POPULATION)
    assert flow.states(POPULATION) == ["loaded", "duplicate", "duplicate"]
    assert len(flow.raw(POPULATION)) == 6


def test_the_same_bytes_for_another_dataset_are_no_duplicate(flow: Flow) -> None:
    content = monitor([(2022, "Peine", "K03157", 15000)])
    first = flow.deliver(FOREIGNERS, content)
    second = flow.deliver(NATURALISATIONS, content)
    assert (flow.state(first), flow.state(second)) == ("loaded", "loaded")


def test_a_correction_is_added_never_overwritten(flow: Flow) -> None:
    first = flow.deliver(FOREIGNERS, monitor([(2022, "Peine", "K03157", 15095)]), at="2023-12-12")
    second = flow.deliver(FOREIGNERS, monitor([(2022, "Peine", "K03157", 15905)]), at="2024-12-12")
    assert flow.raw(FOREIGNERS, "_delivery_id", "value") == [(first, "15095"), (second, "15905")]


def test_an_old_version_that_comes_back_is_told(flow: Flow) -> None:
    old, new = (monitor([(2022, "Peine", "K03157", value)]) for value in (15095, 15905))
    first = flow.deliver(FOREIGNERS, old, at="2023-12-12")
    second = flow.deliver(FOREIGNERS, new, at="2024-12-12")
    again = flow.deliver(FOREIGNERS, old, "indicator_1-2-1.csv", at="2025-01-10")
    assert flow.state(again) == "duplicate"
    [finding] = flow.findings(again)
    assert (finding.severity, finding.rule) == ("warning", "delivery.returns_to_old")
    assert finding.message == (
        f"Datei „indicator_1-2-1.csv“: Sie ist bytegleich mit Lieferung {first}, die inzwischen durch Lieferung {second} "
        f"ersetzt ist; erwartet wird eine neue Fassung, es gilt weiter Lieferung {second}."
    )
    assert flow.raw(FOREIGNERS, "_delivery_id") == [(first,), (second,)]


def test_an_old_version_handed_in_late_with_its_old_date_is_no_return(flow: Flow) -> None:
    old, new = (monitor([(2022, "Peine", "K03157", value)]) for value in (15095, 15905))
    flow.deliver(FOREIGNERS, old, at="2023-12-12")
    flow.deliver(FOREIGNERS, new, at="2024-12-12")
    again = flow.deliver(FOREIGNERS, old, at="2024-01-10")
    assert (flow.state(again), flow.findings(again)) == ("duplicate", [])


# Verdicts


def test_a_critical_finding_keeps_everything_out_of_raw_and_the_rest_of_the_batch_goes_on(flow: Flow) -> None:
    """Of files an office can mend, that is; of tables nobody will mend, only the faulty rows stay out."""
    dataset = "civic__social_work"
    header, *rows = (FIXTURES / f"{dataset}.csv").read_text(encoding="utf-8").splitlines()
    quarters = {name: [row for row in rows if f";{name};" in row] for name in ("2024-Q1", "2024-Q2")}
    faulty = [quarters["2024-Q2"][0].replace(";66;", ";ca. 66;"), *quarters["2024-Q2"][1:]]

    def table(rows: list[str]) -> bytes:
        return "\n".join([header, *rows, ""]).encode()

    flow.hand_in(dataset, table(quarters["2024-Q1"]), "a.csv", at="2024-08-01")
    flow.hand_in(dataset, table(quarters["2024-Q1"] + faulty), "b.csv", at="2024-08-02")
    flow.hand_in(dataset, HTML, "c.csv", at="2024-08-03")
    flow.hand_in(dataset, table(quarters["2024-Q2"]), "d.csv", at="2024-08-04")
    flow.run(dataset)
    assert flow.states(dataset) == ["loaded", "quarantined", "quarantined", "loaded"]
    number = dict(flow.ask("select file_name, delivery_id from ops.delivery"))
    loaded = Counter(delivery for (delivery,) in flow.raw(dataset, "_delivery_id"))
    assert loaded == {number["a.csv"]: 3 * len(quarters["2024-Q1"]), number["d.csv"]: 3 * len(quarters["2024-Q2"])}
    [finding] = [f for f in flow.findings(number["b.csv"]) if f.severity == "critical"]
    row = len(quarters["2024-Q1"]) + 2
    assert (finding.rule, finding.row, finding.found, finding.row_count) == ("value.not_a_number", row, "ca. 66", 1)
    assert [(e.row, e.found) for e in finding.evidence] == [(row, "ca. 66")]
    assert not finding.held_back
    assert flow.outcomes(dataset).count(("validate", "refused")) == 2
    assert refused(flow.settings, FOREIGNERS, "run-1") == []


def test_what_a_run_refused_is_told_for_that_run_alone(flow: Flow) -> None:
    contract = lookup.contract(flow.settings, FOREIGNERS)
    for run_id, name in (("run-1", "a.csv"), ("run-2", "b.csv")):
        flow.hand_in(FOREIGNERS, HTML + name.encode(), name)
        flow.archive(FOREIGNERS)
        assert set(taking_in.take_in(flow.settings, contract, run_id).values()) == {"quarantined"}
    [[number, rule]] = flow.ask(
        "select d.delivery_id, f.rule from ops.delivery d join ops.finding f using (delivery_id) where d.file_name = 'b.csv'"
    )
    [sentence] = refused(flow.settings, FOREIGNERS, "run-2")
    assert sentence == f"Lieferung {number} zurückgewiesen ({rule}), siehe /desk/deliveries/{number}"


def test_judging_and_loading_in_one_go_compares_each_file_with_the_one_before(flow: Flow) -> None:
    """A month that arrives with the month before it is judged after that one is in."""
    contract = lookup.contract(flow.settings, FOREIGNERS)
    for n in range(3):
        flow.hand_in(FOREIGNERS, monitor([(2020 + n, "Peine", "K03157", 100 + n)]), f"{n}.csv", at=f"2023-05-0{n + 1}")
    flow.archive(FOREIGNERS)
    assert list(taking_in.take_in(flow.settings, contract).values()) == ["loaded"] * 3
    assert [step for step, _ in flow.outcomes(FOREIGNERS)][-6:] == ["validate", "load"] * 3
    assert flow.raw(FOREIGNERS, "value") == [("100",), ("101",), ("102",)]
    assert taking_in.take_in(flow.settings, contract) == {}


def test_what_was_validated_and_not_loaded_is_only_loaded(flow: Flow) -> None:
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", 15000)]))
    flow.archive(FOREIGNERS)
    [number] = flow.judge(FOREIGNERS)
    assert taking_in.take_in(flow.settings, lookup.contract(flow.settings, FOREIGNERS)) == {number: "loaded"}
    assert flow.outcomes(FOREIGNERS).count(("validate", "ok")) == 1


def test_a_refused_delivery_is_not_judged_or_loaded_again(flow: Flow) -> None:
    number = flow.deliver(FOREIGNERS, HTML)
    flow.run(FOREIGNERS)
    assert flow.state(number) == "quarantined"
    assert flow.outcomes(FOREIGNERS).count(("validate", "refused")) == 1
    again = flow.deliver(FOREIGNERS, HTML, at="2023-11-01")
    assert flow.state(again) == "duplicate", "the same refused bytes get no second verdict under the same rules"
    assert flow.findings(again) == []


def test_a_warning_lets_the_delivery_through_and_is_recorded(flow: Flow) -> None:
    content = monitor([(2022, "Peine", "K03157", 15000), (2022, "Peine", "K03157", 15000)])
    number = flow.deliver(FOREIGNERS, content)
    assert flow.state(number) == "loaded"
    told = {f.rule: f for f in flow.findings(number)}
    assert told["row.exact_duplicate"].severity == "warning"
    assert told["row.exact_duplicate"].row == 3
    assert len(flow.raw(FOREIGNERS)) == 1
    assert flow.ask("select * from ops.approval") == [], "its contract has nobody asked"


TWICE = monitor([(2022, "Peine", "K03157", 15000), (2022, "Peine", "K03157", 15000)])
"""Loadable, with a warning."""


def take_in(flow: Flow) -> dict[int, str]:
    """As the DAG does it, where the contract has somebody asked about warnings."""
    contract = lookup.contract(flow.settings, FOREIGNERS).model_copy(update={"approval_hours": 48})
    return taking_in.take_in(flow.settings, contract)


@pytest.fixture
def asked(flow: Flow) -> int:
    """A delivery about which somebody is to be asked."""
    flow.hand_in(FOREIGNERS, TWICE)
    [number] = flow.archive(FOREIGNERS)
    assert take_in(flow) == {number: "validated"}
    return number


def test_a_delivery_somebody_is_asked_about_waits_for_the_answer(flow: Flow, asked: int) -> None:
    assert (take_in(flow), flow.load(FOREIGNERS), flow.state(asked)) == ({}, [], "validated")
    assert not unfinished(flow.settings, FOREIGNERS)
    assert not under_way(flow.settings)

    with loading.session(flow.settings) as conn:
        [question] = ops.take_questions(conn, "first run")
        assert (question.delivery_id, question.file_name) == (asked, "zahlen.csv")
        assert ops.take_questions(conn, "first run") == [question], "a run that was killed asks again"
        assert ops.take_questions(conn, "second run") == [], "another run does not"
        body = approvals.body(question, ops.findings(conn, asked), lookup.contract(flow.settings, FOREIGNERS))
        assert "auffallen" in body
        assert "Zeile 3" in body
        assert ops.answer(conn, asked, publish=True, actor="steward")
        assert not ops.answer(conn, asked, publish=False, actor="late"), "the first answer counts"

    assert take_in(flow) == {asked: "loaded"}
    assert flow.ask("select answer, answered_by from ops.approval") == [("publish", "steward")]


def test_a_delivery_that_is_not_approved_is_refused_with_its_warnings(flow: Flow, asked: int) -> None:
    with loading.session(flow.settings) as conn:
        ops.answer(conn, asked, publish=False, actor="steward")
    assert take_in(flow) == {asked: "quarantined"}
    first, *others = flow.findings(asked)
    assert (first.severity, first.rule) == ("critical", "delivery.not_approved")
    assert "row.exact_duplicate" in {f.rule for f in others}
    assert flow.raw(FOREIGNERS) == []
    assert ("validate", "refused") in flow.outcomes(FOREIGNERS)


def test_silence_means_yes_when_the_time_is_over(flow: Flow, asked: int) -> None:
    [[hours]] = flow.ask("select round(extract(epoch from expires_at - asked_at) / 3600) from ops.approval")
    assert hours == 48
    with loading.session(flow.settings) as conn:
        conn.execute("update ops.approval set expires_at = clock_timestamp()")
    assert take_in(flow) == {asked: "loaded"}
    assert flow.ask("select answer, answered_by from ops.approval") == [("publish", "teilhabe")]


def test_refused_bytes_are_judged_again_under_new_rules(flow: Flow, tmp_path: Path) -> None:
    """The suite was too strict; once it is mended, the office may send the very same file."""
    project = tmp_path / "project"
    for name in ("agencies", "expectations", "dbt_project/seeds"):
        shutil.copytree(PROJECT / name, project / name)
    changed = Flow(replace(flow.settings, project=project), flow.drafts)
    suite = project / "expectations" / "state_monitor" / "foreigners.json"
    good = suite.read_text(encoding="utf-8")
    suite.write_text(good.replace('"min_value": 0', '"min_value": 20000', 1), encoding="utf-8")

    content = monitor([(2022, "Peine", "K03157", 15000)])
    first = changed.deliver(FOREIGNERS, content)
    second = changed.deliver(FOREIGNERS, content, at="2023-10-21")
    assert (changed.state(first), changed.state(second)) == ("quarantined", "duplicate")

    suite.write_text(good, encoding="utf-8")
    third = changed.deliver(FOREIGNERS, content, at="2023-10-22")
    assert changed.state(third) == "loaded"
    assert changed.raw(FOREIGNERS, "_delivery_id", "value") == [(third, "15000")]


# Order and number


def test_deliveries_are_taken_in_the_order_they_were_received(flow: Flow) -> None:
    for number in (3, 1, 4, 2):
        flow.hand_in(FOREIGNERS, monitor([(2021, "Peine", "K03157", number)]), f"{number}.csv", at=f"2023-05-0{number}")
    archived = flow.archive(FOREIGNERS)
    name = dict(flow.ask("select delivery_id, file_name from ops.delivery"))
    assert [name[n] for n in archived] == ["1.csv", "2.csv", "3.csv", "4.csv"]
    assert [name[n] for n in flow.judge(FOREIGNERS)] == ["1.csv", "2.csv", "3.csv", "4.csv"]
    assert [name[n] for n in flow.load(FOREIGNERS)] == ["1.csv", "2.csv", "3.csv", "4.csv"]


def test_what_a_late_run_still_finds_goes_by_its_date_too(flow: Flow) -> None:
    """An older file archived after a newer one is judged before it."""
    flow.hand_in(FOREIGNERS, monitor([(2021, "Peine", "K03157", 2)]), "new.csv", at="2023-05-02")
    [new] = flow.archive(FOREIGNERS)
    flow.hand_in(FOREIGNERS, monitor([(2021, "Peine", "K03157", 1)]), "old.csv", at="2023-05-01")
    [old] = flow.archive(FOREIGNERS)
    assert list(flow.judge(FOREIGNERS)) == [old, new]
    assert flow.load(FOREIGNERS) == [old, new]


def test_twenty_files_at_once(flow: Flow) -> None:
    for n in range(20):
        flow.hand_in(
            FOREIGNERS,
            monitor([(2021, "Peine", "K03157", 15000 + n)]),
            "indicator_1-2-1.csv",
            at=f"2023-05-{n + 1:02d}",
        )
    flow.run(FOREIGNERS)
    assert flow.states(FOREIGNERS) == ["loaded"] * 20
    assert flow.raw(FOREIGNERS, "value") == [(str(15000 + n),) for n in range(20)]


def test_the_register_goes_first(flow: Flow) -> None:
    assert not register_waits(flow.settings)
    flow.hand_in("register__municipalities", b"x", "GV100AD_31122022.txt")
    assert register_waits(flow.settings)
    flow.archive("register__municipalities")
    assert register_waits(flow.settings), "archived, but not judged"
    flow.judge("register__municipalities")
    assert not register_waits(flow.settings), "refused: nobody waits for it"


def test_a_register_that_never_comes_keeps_nobody_for_ever(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.hand_in("register__municipalities", b"x", "GV100AD_31122022.txt")
    now = datetime.now(UTC)
    assert register_stuck(flow.settings, now) is None
    later = now + timedelta(hours=7)
    assert not register_waits(flow.settings, later)
    assert "wartet eine Lieferung des Gemeindeverzeichnisses" in (register_stuck(flow.settings, later) or "")
    flow.archive("register__municipalities")
    assert register_waits(flow.settings)
    assert register_stuck(flow.settings, later) is not None
    flow.judge("register__municipalities")
    assert register_stuck(flow.settings, later) is None


def test_a_server_that_does_not_answer_hides_no_other(flow: Flow) -> None:
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", 1)]))
    inbox = flow.settings.inbox / FOREIGNERS / "kaputt"
    inbox.mkdir(parents=True)
    (inbox / "delivery.json").write_text('{"received_at": "0001-01-01T00:00:00+14:00", "original_name": "a.csv"}')
    contract = lookup.contract(flow.settings, FOREIGNERS)
    gone = SimpleNamespace(server="weg", type="local", path="/nicht/da", custom_properties=None)
    contract = contract.model_copy(update={"servers": [gone, *contract.servers]})
    errors: list[TeilhabeError] = []
    waiting = poll(flow.settings, contract, landing.environment_credentials, errors)
    assert [item.file.name for item in waiting] == ["zahlen.csv"]
    assert len(errors) == 1
    assert "/nicht/da" in str(errors[0])
    with pytest.raises(SourceError, match="nicht/da"):
        poll(flow.settings, contract, landing.environment_credentials)
    [[subject]] = flow.ask(
        "select subject from ops.message where kind = 'operators' and subject like '%%Nicht annehmbar%%'"
    )
    assert "Quelle" in subject


def test_an_offices_file_waits_for_the_register_that_can_tell_its_keys_apart(flow: Flow) -> None:
    posts = (FIXTURES / "civic__social_work.csv").read_text(encoding="utf-8").replace("03157", "03158")
    number = flow.deliver("civic__social_work", posts.encode(), at="2024-08-01")
    assert flow.state(number) == "received"
    [finding] = flow.findings(number)
    assert finding.rule == "delivery.waits_for_register"
    assert "wenn ein Gemeindeverzeichnis geladen ist" in finding.message
    assert not unfinished(flow.settings, "civic__social_work"), "nothing is tried again before that"
    known = flow.deliver("civic__social_work", (FIXTURES / "civic__social_work.csv").read_bytes(), at="2024-08-02")
    assert flow.state(known) == "loaded", "the county's own keys are known without a register"
    flow.deliver("register__municipalities", (FIXTURES / "register__municipalities.txt").read_bytes(), "GV100AD.txt")
    flow.run("civic__social_work")
    assert flow.state(number) == "quarantined", "now it can be told that these are no keys"
    assert "key.unknown" in {f.rule for f in flow.findings(number)}


# Our own errors and ends without warning


def test_an_error_of_ours_is_no_verdict_and_the_next_run_takes_it_up(flow: Flow) -> None:
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", 15000)]))
    [number] = flow.archive(FOREIGNERS)
    objects = flow.settings.home / "archive" / "objects"
    objects.rename(objects.with_name("elsewhere"))
    with pytest.raises(TeilhabeError):
        flow.judge(FOREIGNERS)
    assert flow.state(number) == "failed"
    assert flow.findings(number) == []
    assert flow.load(FOREIGNERS) == []
    objects.with_name("elsewhere").rename(objects)
    assert flow.judge(FOREIGNERS) == {number: "validated"}
    assert flow.load(FOREIGNERS) == [number]
    assert flow.outcomes(FOREIGNERS)[-3:] == [("validate", "failed"), ("validate", "ok"), ("load", "ok")]


def test_a_damaged_object_is_never_loaded(flow: Flow) -> None:
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", 15000)]))
    [number] = flow.archive(FOREIGNERS)
    flow.judge(FOREIGNERS)
    [path] = [p for p in (flow.settings.home / "archive" / "objects").rglob("*") if p.is_file()]
    path.chmod(0o600)
    path.write_bytes(monitor([(2022, "Peine", "K03157", 99999)]))
    with pytest.raises(TeilhabeError, match="damaged"):
        flow.load(FOREIGNERS)
    assert flow.raw(FOREIGNERS) == []
    assert flow.state(number) == "validated"


def test_a_file_over_the_limit_is_refused_unread_told_and_gone_from_the_inbox(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.hand_in(POPULATION, ONE + b"\r\n" * 100_000, "riesig.csv", at="2023-10-19")
    flow.hand_in(POPULATION, ONE, "gut.csv", at="2023-10-20")
    monkeypatch.setenv("TEILHABE_MAX_FILE_MB", "0.1")
    flow.run(POPULATION)
    assert flow.states(POPULATION) == ["quarantined", "loaded"]
    [found] = flow.findings(1)
    assert (found.severity, found.rule) == ("critical", "file.too_large")
    assert "„riesig.csv“" in found.message and "0,2 MB" in found.message and "höchstens 0,1 MB" in found.message
    assert waiting_in_inbox(flow.settings, POPULATION) == 0 and not under_way(flow.settings)
    assert flow.ask("select archive_uri from ops.delivery where delivery_id = 1") == [(None,)]
    for full in (False, True):
        assert [problem for part in checking.check(flow.settings, full=full) for problem in part.problems] == []
    follow_up(flow.settings, datetime.now(UTC), lambda _: landing.Credentials())
    [(body,)] = flow.ask("select body_text from ops.message where kind = 'verdict' and body_text like %s", "%riesig%")
    assert "höchstens 0,1 MB" in body and "auf mehrere Dateien aufteilen" in body


def test_a_file_over_the_limit_at_a_source_that_keeps_it_is_told_once_and_fetched_when_it_may_be_larger(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zahlen.csv").write_bytes(ONE + b"\r\n" * 100_000)
    servers = [SimpleNamespace(server="amt", type="local", path=str(tmp_path))]
    contract = lookup.contract(flow.settings, POPULATION).model_copy(update={"servers": servers})
    monkeypatch.setenv("TEILHABE_SETTLE_SECONDS", "0")

    def fetched() -> list[str]:
        waiting = poll(flow.settings, contract, no_credentials)
        archiving.archive(flow.settings, contract, waiting, no_credentials)
        return flow.states(POPULATION)

    monkeypatch.setenv("TEILHABE_MAX_FILE_MB", "0.1")
    assert fetched() == ["quarantined"] and fetched() == ["quarantined"]
    assert (tmp_path / "zahlen.csv").is_file()
    monkeypatch.setenv("TEILHABE_MAX_FILE_MB", "1")
    assert fetched() == ["quarantined", "received"] and fetched() == ["quarantined", "received"]


def test_one_failing_delivery_does_not_hold_up_the_others(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", 1)]), "a.csv", at="2023-05-01")
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", 2)]), "b.csv", at="2023-05-02")
    original = verdict.validate

    def failing(*args: Any, file_name: str, **kwargs: Any) -> Any:
        if file_name == "a.csv":
            raise RuntimeError("Max Mustermann, geb. 1.1.1990")
        return original(*args, file_name=file_name, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(verdict, "validate", failing)
        flow.archive(FOREIGNERS)
        flow.judge(FOREIGNERS)
    assert flow.states(FOREIGNERS) == ["failed", "validated"]
    messages = flow.ask("select message from ops.outcome where status = 'failed'")
    assert messages == [("RuntimeError",)], "the text of an unforeseen error may quote a file: it is not recorded"
    flow.run(FOREIGNERS)
    assert flow.states(FOREIGNERS) == ["loaded", "loaded"]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (landing.Archive, "put"),
        (landing.Archive, "record"),
        (ops, "register"),
        (landing.FolderSource, "acknowledge"),
        (verdict, "validate"),
        (ops, "record_findings"),
        (loading, "copy"),
    ],
)
def test_killed_at_any_step_the_next_run_finishes(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """Both ways: just before the step, and after it but before anything that follows."""
    original = getattr(owner, name)
    values = iter(range(1, 3))

    def then_killed(*args: Any, **kwargs: Any) -> NoReturn:
        original(*args, **kwargs)
        raise Killed

    for end in (killed, then_killed):
        value = next(values)
        flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", value)]), f"{value}.csv", at=f"2023-05-0{value}")
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(owner, name, end)
            flow.run(FOREIGNERS)
        assert len(flow.raw(FOREIGNERS)) == value - 1, "nothing half-loaded"
        flow.run(FOREIGNERS)
        assert flow.states(FOREIGNERS) == ["loaded"] * value, "no second record of the same arrival"
        assert flow.raw(FOREIGNERS, "value") == [(str(n + 1),) for n in range(value)]
    assert len(landing.Archive(flow.settings.archive_url).manifest(FOREIGNERS)) == 2
    assert list((flow.settings.home / "archive" / "waiting").glob("*")) == []


def test_what_takes_its_process_with_it_three_times_is_refused_and_stops_nothing(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", 1)]), "a.csv", at="2023-05-01")
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", 2)]), "b.csv", at="2023-05-02")
    original = verdict.validate

    def validate(*args: Any, **kwargs: Any) -> Any:
        return killed() if kwargs["file_name"] == "a.csv" else original(*args, **kwargs)

    monkeypatch.setattr(verdict, "validate", validate)
    for _ in range(ops.MOST_ATTEMPTS):
        with pytest.raises(Killed):
            flow.run(FOREIGNERS)
        assert flow.states(FOREIGNERS) == ["received", "received"]
    flow.run(FOREIGNERS)
    assert flow.states(FOREIGNERS) == ["quarantined", "loaded"]
    [[rule, message]] = flow.ask("select rule, message from ops.finding where severity = 'critical'")
    assert rule == "delivery.ends_its_process"
    assert message.startswith("Datei „a.csv“: Ihre Verarbeitung ist dreimal mitten in der Arbeit abgebrochen")
    monkeypatch.undo()
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", 1)]), "a.csv", at="2023-05-03")
    flow.run(FOREIGNERS)
    assert flow.states(FOREIGNERS) == ["quarantined", "loaded", "loaded"], "it may be sent again"


def test_loading_is_one_transaction(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and state change together: a reader of the database sees both or neither."""
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine", "K03157", 15000)]))
    [number] = flow.archive(FOREIGNERS)
    flow.judge(FOREIGNERS)
    seen = []
    original = ops.set_state

    def watched(conn: Any, delivery_id: int, state: Any, **columns: Any) -> None:
        original(conn, delivery_id, state, **columns)
        seen.append((flow.raw(FOREIGNERS), flow.state(number)))

    with monkeypatch.context() as patch:
        patch.setattr(ops, "set_state", watched)
        flow.load(FOREIGNERS)
    assert seen == [([], "validated")]
    assert (len(flow.raw(FOREIGNERS)), flow.state(number)) == (1, "loaded")


def test_two_loads_at_once_load_once(flow: Flow) -> None:
    flow.hand_in(POPULATION, population(dict.fromkeys(PEINE, (10, 5, 5))))
    flow.archive(POPULATION)
    flow.judge(POPULATION)
    errors: list[BaseException] = []
    start = threading.Barrier(3)

    def work() -> None:
        start.wait()
        try:
            flow.load(POPULATION)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(flow.raw(POPULATION)) == 3 * len(PEINE)
    assert flow.states(POPULATION) == ["loaded"]


LOAD = """
from teilhabe.contract import lookup
from teilhabe.pipeline import taking_in
from teilhabe.settings import get_settings
settings = get_settings()
taking_in.load(settings, lookup.contract(settings, "state_statistics__population"))
"""


def test_kill_9_in_the_middle_of_a_load_leaves_nothing_behind(flow: Flow) -> None:
    codes = {f"09{n:06d}": f"Ort {n}" for n in range(100_000, 130_000)}
    flow.hand_in(POPULATION, population(dict.fromkeys(codes, (3, 1, 2)), names=codes), "gross.csv")
    [number] = flow.archive(POPULATION)
    assert flow.judge(POPULATION) == {number: "validated"}
    [(rows,)] = flow.ask("select row_count from ops.delivery")
    assert rows == 3 * len(codes)

    environment = {**os.environ, "TEILHABE_HOME": str(flow.settings.home)}
    process = subprocess.Popen([sys.executable, "-c", LOAD], env=environment)
    try:
        copied = 0
        with loading.session(flow.settings) as conn:
            conn.autocommit = True
            while not copied and process.poll() is None:
                row = conn.execute("select coalesce(max(tuples_processed), 0) from pg_stat_progress_copy").fetchone()
                copied = int(row[0]) if row else 0
        assert 0 < copied < rows, "killed too late to prove anything"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not psutil.pid_exists(process.pid)
    until = time.monotonic() + 30
    while flow.ask("select 1 from pg_stat_progress_copy") and time.monotonic() < until:
        time.sleep(0.05)
    assert flow.ask("select count(*) from raw.state_statistics__population") == [(0,)]
    assert flow.state(number) == "validated"

    assert flow.load(POPULATION) == [number]
    assert flow.ask("select count(*), count(distinct (territory_code, sex)) from raw.state_statistics__population") == [
        (rows, rows)
    ]
    assert flow.state(number) == "loaded"
