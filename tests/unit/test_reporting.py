"""How it stands: given a calendar, what arrived and today's date, expect this state - and what people are shown of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from rich.console import Console

from teilhabe import ops
from teilhabe.building import build_status
from teilhabe.contract import delivery_calendar
from teilhabe.contract.delivery_calendar import Standing
from teilhabe.contract.model import Calendar, Contract, Sender
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding
from teilhabe.ops import incident_answers, incidents
from teilhabe.server import connecting
from teilhabe.settings import Settings
from teilhabe.status import view
from teilhabe.status.reporting import status
from tests.conftest import PROJECT

ANY = next(iter(load_contracts(PROJECT / "agencies").values()))
TODAY = date(2024, 5, 20)
NOW = datetime(2024, 5, 20, 9, tzinfo=UTC)
LENGEDE, ILSEDE = "03157005", "03157009"


def contract(
    frequency: Any = "monthly",
    reference: str = "month",
    lag_days: int = 10,
    grace_days: int = 5,
    first_period: str = "2024-01",
    senders: tuple[str, ...] = (),
) -> Contract:
    calendar = Calendar(
        frequency=frequency, reference=reference, lag_days=lag_days, grace_days=grace_days, first_period=first_period
    )
    known = [Sender(territory_code=code, territory_name=code, contact=f"{code}@gemeinde.example") for code in senders]
    return ANY.model_copy(
        update={"calendar": calendar, "senders": known, "dataset_id": f"test__{uuid.uuid4().hex[:8]}"}
    )


def arrive(
    conn: ops.Connection, contract: Contract, on: str, *periods: str, sender: str | None = None, state: Any = "loaded"
) -> None:
    delivery = ops.register(
        conn, dataset_id=contract.dataset_id, sha256=uuid.uuid4().hex * 2, manifest_uri=uuid.uuid4().hex, file_name="a.csv",
        size_bytes=1, received_at=datetime.fromisoformat(on).replace(tzinfo=UTC), received_from=None, source="inbox",
        source_fingerprint=None, period_stated=None, archive_uri="x", rules_version="1", sender_code=sender,
    )  # fmt: skip
    ops.set_state(conn, delivery.delivery_id, state, periods=list(periods))


def states(conn: ops.Connection, contract: Contract, day: date = TODAY, sender: str | None = None) -> dict[str, str]:
    delivery_calendar.refresh(conn, [contract], day)
    return dict(
        conn.execute(
            "select period_code, state from ops.delivery_calendar_at(%s) where sender_code is not distinct from %s"
            " and dataset_id = %s and period_code < '2024-07' order by period_code",
            (day, sender, contract.dataset_id),
        ).fetchall()
    )


def standing(conn: ops.Connection, contract: Contract, day: date = TODAY, sender: str | None = None) -> Standing:
    delivery_calendar.refresh(conn, [contract], day)
    [found] = [s for s in delivery_calendar.latest_due(conn, day) if s.sender_code == sender]
    return found


def test_every_state_a_month_can_have(conn: ops.Connection) -> None:
    """January came in time, February after its grace, March never, April is due since the 10th, May is not over."""
    monthly = contract(grace_days=20)
    arrive(conn, monthly, "2024-02-29", "2024-01")
    arrive(conn, monthly, "2024-05-03", "2024-02")
    assert states(conn, monthly) == {
        "2024-01": "delivered", "2024-02": "late", "2024-03": "overdue", "2024-04": "due", "2024-05": "not_yet_due",
        "2024-06": "not_yet_due",
    }  # fmt: skip


def test_the_last_day_of_grace_still_counts(conn: ops.Connection) -> None:
    """The 10th is a Sunday, so it is due on Monday; a week of grace."""
    monthly = contract(grace_days=7)
    assert states(conn, monthly, date(2024, 3, 10))["2024-02"] == "not_yet_due"
    assert states(conn, monthly, date(2024, 3, 11))["2024-02"] == "due"
    assert states(conn, monthly, date(2024, 3, 18))["2024-02"] == "due"
    assert states(conn, monthly, date(2024, 3, 19))["2024-02"] == "overdue"


def test_only_what_was_accepted_counts(conn: ops.Connection) -> None:
    monthly = contract()
    for state in ("quarantined", "received", "failed", "duplicate", "unpacked"):
        arrive(conn, monthly, "2024-02-01", "2024-01", state=state)
    assert states(conn, monthly)["2024-01"] == "overdue"


def test_a_correction_does_not_make_the_first_delivery_late(conn: ops.Connection) -> None:
    monthly = contract()
    arrive(conn, monthly, "2024-02-05", "2024-01")
    arrive(conn, monthly, "2024-05-05", "2024-01")
    assert states(conn, monthly)["2024-01"] == "delivered"


def test_one_file_of_several_periods_delivers_them_all(conn: ops.Connection) -> None:
    monthly = contract(lag_days=60)
    arrive(conn, monthly, "2024-04-05", "2024-01", "2024-02", "2024-03")
    assert list(states(conn, monthly).values())[:3] == ["delivered"] * 3


def test_the_calendar_can_be_asked_for_an_earlier_day(conn: ops.Connection) -> None:
    monthly = contract()
    arrive(conn, monthly, "2024-02-14", "2024-01")
    delivery_calendar.refresh(conn, [monthly], TODAY)
    [before] = conn.execute(
        "select state from ops.delivery_calendar_at('2024-02-13') where period_code = '2024-01' and dataset_id = %s",
        (monthly.dataset_id,),
    )
    assert before == ("due",)


def test_the_steward_may_ask_the_calendar(conn: ops.Connection, warehouse: Settings) -> None:
    with connecting.connect("steward", warehouse) as steward:
        steward.execute("select * from ops.delivery_due")
        steward.execute("select * from ops.delivery_calendar_at('2024-02-11')")


def test_each_municipality_is_asked_for_its_own_file(conn: ops.Connection) -> None:
    monthly = contract(senders=(LENGEDE, ILSEDE))
    arrive(conn, monthly, "2024-02-12", "2024-01", sender=LENGEDE)
    assert states(conn, monthly, sender=LENGEDE)["2024-01"] == "delivered"
    assert states(conn, monthly, sender=ILSEDE)["2024-01"] == "overdue"
    assert standing(conn, monthly, date(2024, 2, 20), LENGEDE).state == "delivered"


def test_filling_twice_changes_nothing_and_a_changed_contract_changes_its_rows(conn: ops.Connection) -> None:
    monthly = contract(senders=(LENGEDE, ILSEDE))
    assert delivery_calendar.refresh(conn, [monthly], TODAY) > 24
    assert delivery_calendar.refresh(conn, [monthly], TODAY) == 0
    later = monthly.model_copy(update={"calendar": monthly.calendar.model_copy(update={"lag_days": 20})})
    assert delivery_calendar.refresh(conn, [later], TODAY) > 24
    alone = later.model_copy(update={"senders": later.senders[:1]})
    delivery_calendar.refresh(conn, [alone], TODAY)
    assert conn.execute("select distinct sender_code from ops.delivery_calendar").fetchall() == [(LENGEDE,)]
    delivery_calendar.refresh(conn, [], TODAY)
    assert conn.execute("select count(*) from ops.delivery_calendar").fetchall() == [(0,)]


def test_a_new_year_keeps_what_was_agreed_for_the_old_ones(conn: ops.Connection) -> None:
    monthly = contract(first_period="2010-01")
    delivery_calendar.refresh(conn, [monthly], date(2020, 5, 1))
    delivery_calendar.refresh(conn, [monthly], TODAY)
    row = conn.execute("select min(period_code), max(period_code) from ops.delivery_calendar").fetchone()
    assert row == ("2017-01", "2025-12")


def test_the_standing_is_the_latest_delivery_that_was_due_and_the_next(conn: ops.Connection) -> None:
    monthly = contract()
    arrive(conn, monthly, "2024-02-05", "2024-01")
    found = standing(conn, monthly)
    assert (found.period_code, found.state, found.due_on) == ("2024-04", "overdue", date(2024, 5, 10))
    assert found.missing == ["2024-02", "2024-03"]
    assert (found.next_period, found.next_due_on) == ("2024-05", date(2024, 6, 10))


def test_an_office_that_delivered_a_later_month_still_owes_the_earlier(conn: ops.Connection) -> None:
    monthly = contract()
    arrive(conn, monthly, "2024-02-05", "2024-01")
    arrive(conn, monthly, "2024-05-19", "2024-05")
    found = standing(conn, monthly)
    assert (found.period_code, found.state, found.missing) == (
        "2024-04",
        "overdue",
        ["2024-02", "2024-03"],
    )


def test_what_was_never_due_says_when_it_will_be(conn: ops.Connection) -> None:
    found = standing(conn, contract("yearly", "12-31", lag_days=300, first_period="2024-12-31"))
    assert (found.period_code, found.state, found.due_on) == ("2024-12-31", "not_yet_due", date(2025, 10, 27))


# Incidents


def test_status_lists_what_is_open_and_not_what_follows_from_it(conn: ops.Connection, warehouse: Settings) -> None:
    monthly = contract()
    known = f"test_status__{uuid.uuid4().hex[:8]}"
    office = monthly.model_copy(update={"dataset_id": known})
    for rules in (["key.unknown", "period.incomplete"], ["values.copied"]):
        arrive(conn, office, "2024-02-05", "2024-01")
        [[number]] = conn.execute(
            "select max(delivery_id) from ops.delivery where dataset_id = %s", (known,)
        ).fetchall()
        ops.record_findings(conn, number, [Finding("critical", rule, f"Satz zu {rule}.") for rule in rules])
        ops.set_state(conn, number, "quarantined")
        incidents.follow(conn, office, number, NOW)
    [[waived]] = conn.execute(
        "select incident_id from ops.incident where dataset_id = %s and rule = 'values.copied'", (known,)
    ).fetchall()
    incident_answers.waive(conn, waived, "m.muster", NOW, "so gewollt", date(2025, 1, 1))
    conn.commit()
    try:
        [found] = [entry for entry in status(warehouse, NOW)["incidents"] if entry["dataset_id"] == known]
    finally:
        conn.execute("delete from ops.incident_event where incident_id in (select incident_id from ops.incident"
                     " where dataset_id = %s)", (known,))  # fmt: skip
        conn.execute("delete from ops.incident where dataset_id = %s", (known,))
        conn.commit()
    assert found.pop("incident_id") and found.pop("delivery_id")
    assert found == {
        "dataset_id": known, "sender": None, "period": "2024-01", "state": "open", "severity": "critical", "rule": "key.unknown",
        "message": "Satz zu key.unknown.", "since": NOW, "due": date(2024, 5, 27),
    }  # fmt: skip


# What people see

BUILT: dict[str, Any] = {
    "build": {"state": "succeeded", "failed_since": None, "reason": None, "running_since": None, "waiting": []},
    "no_room": None,
    "inbox": [],
    "contradictions": [],
    "list_contradictions": [],
}


def test_a_failed_build_and_what_waits_for_it_are_told() -> None:
    """Since when, why, and how much: nobody has to look into a log."""
    build = {**BUILT["build"], "failed_since": NOW, "reason": "dbt build failed in dim_x: [no]", "waiting": [4, 5]}
    held = delivery(3, "held", "c.csv", hold_reason="Die Prüfung is_observation nimmt diese Lieferung nicht an.")
    state = {
        "deliveries": [held],
        "due": [],
        "incidents": [],
        "build": build,
        "no_room": "Der Speicherplatz ist voll (seit heute).",
        "inbox": [{"dataset_id": "a__b", "files": 2}],
        "contradictions": [],
        "list_contradictions": [],
    }
    text = " ".join(shown(view.overview(state)).split())
    assert "held a__b (delivery 3): c.csv - Die Prüfung is_observation nimmt diese Lieferung nicht an." in text
    assert "the last build failed (no build has succeeded since 20" in text
    assert "2 deliveries wait): dbt build failed in dim_x: [no]" in text
    assert "in the inbox: a__b, 2 file(s)" in text
    assert "Der Speicherplatz ist voll (seit heute)." in text
    assert "the last build failed" not in shown(view.overview({**state, **BUILT}))


def test_how_the_warehouse_stands(conn: Any) -> None:
    """Failed is what came after the last success, and only while it is the last word."""

    def built(*, succeeded: bool, message: str | None = None) -> int:
        build_id = ops.start_build(conn, [], code_version="x", run_id=None)
        ops.finish_build(conn, build_id, succeeded=succeeded, message=message)
        return build_id

    built(succeeded=True)
    assert build_status.standing(conn)["failed_since"] is None
    first = built(succeeded=False, message="first")
    built(succeeded=False, message="second")
    found = build_status.standing(conn)
    [[since]] = conn.execute("select finished_at from ops.build where build_id = %s", (first,)).fetchall()
    assert (found["failed_since"], found["reason"], found["state"]) == (since, "second", "failed")
    assert build_status.reason_of_failure(conn) == "second"
    built(succeeded=True)
    assert build_status.reason_of_failure(conn) is None
    conn.rollback()


def delivery(number: int, state: str, name: str = "a.csv", periods: Any = None, **said: Any) -> dict[str, Any]:
    return {
        "delivery_id": number, "dataset_id": "a__b", "file": name, "state": state, "periods": periods, "sender": None,
        "received_at": datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=number), "received_from": None, "row_count": 3,
        "findings": [], **said,
    }  # fmt: skip


def shown(parts: Iterator[Any], width: int = 160) -> str:
    console = Console(width=width, record=True, no_color=True, file=__import__("io").StringIO())
    for part in parts:
        console.print(part, highlight=False)
    return console.export_text()


def owed(dataset: str, state: str, **said: Any) -> dict[str, Any]:
    return {
        "dataset_id": dataset, "sender": None, "sender_name": None, "period": "2024-03", "due": date(2024, 4, 10),
        "grace_until": date(2024, 4, 15), "state": state, "missing": [], "next_period": "2024-04",
        "next_due": date(2024, 5, 10), **said,
    }  # fmt: skip


def test_a_thousand_deliveries_are_one_line_per_dataset() -> None:
    names = [f"office__dataset_{n:02d}" for n in range(35)]
    deliveries = [
        delivery(n, "loaded", f"datei_{n}.csv", [f"20{10 + n % 14}-03"], dataset_id=names[n % 35])
        for n in range(1000, 0, -1)
    ]
    state = {"deliveries": deliveries, "due": [owed(name, "delivered") for name in names], "incidents": [], **BUILT}
    text = shown(view.overview(state))
    assert len(text.splitlines()) < 45
    assert all(name in text for name in names)
    assert "1,000 deliveries, 0 incidents open; 35 delivered." in text
    assert "datei_" not in text, "single files only on demand"
    assert "2023-03" in text, "the last period of a dataset"


def test_of_several_municipalities_the_worst_is_shown_and_those_overdue_are_named() -> None:
    due = [
        owed("housing__accommodation", "delivered", sender=LENGEDE, sender_name="Lengede"),
        owed("housing__accommodation", "overdue", sender=ILSEDE, sender_name="Ilsede", missing=["2024-01"]),
    ]
    text = shown(view.overview({"deliveries": [], "due": due, "incidents": [], **BUILT}))
    assert "overdue (1 of 2 here)" in text
    assert "03157009 Ilsede" in text
    assert "03157005 Lengede" not in text
    assert "missing housing__accommodation from 03157009 Ilsede: 2024-01" in text


def incident(**said: Any) -> dict[str, Any]:
    return {
        "dataset_id": "a__b", "delivery_id": 7, "message": "Datei „[red]x[/red].csv“: leer.", "state": "open", "severity": "critical",
        "sender": None, "period": None, **said,
    }  # fmt: skip


def test_open_incidents_are_sentences_and_brackets_in_them_are_no_markup() -> None:
    silent = incident(delivery_id=None, state="reopened", sender=LENGEDE, period="2024-01", severity="warning")
    text = shown(view.overview({"deliveries": [], "due": [], "incidents": [incident(), silent], **BUILT}))
    assert "open a__b (delivery 7): Datei „[red]x[/red].csv“: leer." in text
    assert "reopened a__b (03157005, 2024-01): Datei" in text
    assert "2 incidents open" in text


def test_single_deliveries_newest_first_of_one_dataset() -> None:
    state = {"deliveries": [delivery(n, "loaded", f"{n}.csv", dataset_id=f"a__{n % 2}") for n in (4, 3, 2, 1)]}
    text = shown(view.deliveries(state, 1, "a__1"))
    assert "3.csv" in text
    assert not any(name in text for name in ("4.csv", "2.csv", " 1.csv"))
    assert "… and 1 more" in text
    assert shown(view.deliveries({"deliveries": []}, 30)).strip() == "No deliveries yet."


def test_a_withdrawn_delivery_says_why_and_no_longer_counts() -> None:
    taken_back = delivery(1, "withdrawn", periods=["2024-03"], withdrawal_reason="falscher [red]Monat")
    state = {"deliveries": [taken_back], "due": [], "incidents": [], **BUILT}
    text = shown(view.deliveries(state, 5), width=240)
    assert "withdrawn" in text
    assert "falscher [red]Monat" in text
    assert "2024-03" not in shown(view.overview(state)), "its period is not the last one that is here"
