"""Incidents: given these verdicts in this order, expect these incidents in these states, whatever was killed, late or twice."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from typing import Any

import pytest

from teilhabe import ops
from teilhabe.contract import delivery_calendar
from teilhabe.contract.model import Calendar, Contract, Sender
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Evidence, Finding, IncidentError, TeilhabeError
from teilhabe.findings import consequences
from teilhabe.ops import incident_answers, incident_calendar, incident_record, incidents
from teilhabe.ops.incident_record import Change
from teilhabe.raw import loading
from teilhabe.settings import Settings
from teilhabe.validation.rules.statistical_catalogue import RULES
from tests.conftest import PROJECT

CONTRACTS = load_contracts(PROJECT / "agencies")
ANY = next(iter(CONTRACTS.values()))
NOW = datetime(2024, 5, 6, 9, 0, tzinfo=UTC)  # a Monday
MUNICIPALITIES = [f"03157{number}" for number in ("001", "002", "005", "006", "007", "008", "009")]
PEINE, LENGEDE = MUNICIPALITIES[3], MUNICIPALITIES[2]


def found(rule: str, severity: Any = "critical", *rows: int) -> Finding:
    evidence = tuple(Evidence(row, "value", "x") for row in rows)
    return Finding(severity, rule, f"Satz zu {rule}.", row_count=max(1, len(rows)), evidence=evidence)


@dataclass
class Office:
    """Hands in verdicts of one dataset and asks what became of them."""

    conn: ops.Connection
    contract: Contract
    clock: datetime = NOW
    said: list[Change] = field(default_factory=list)

    def hand_in(
        self,
        *findings: Finding,
        at: str | None = None,
        periods: tuple[str, ...] = ("2024-03",),
        sender: str | None = None,
        state: Any = None,
        name: str = "meldung.csv",
        stated: str | None = None,
        clock: datetime | None = None,
    ) -> int:
        """A delivery with its verdict, not yet followed; refused when a finding is critical."""
        self.clock = clock or self.clock + timedelta(minutes=1)
        received = datetime.fromisoformat(at).replace(tzinfo=UTC) if at else self.clock
        delivery = ops.register(
            self.conn, dataset_id=self.contract.dataset_id, sha256=uuid.uuid4().hex * 2, manifest_uri=uuid.uuid4().hex,
            file_name=name, size_bytes=1, received_at=received, received_from=None, source="inbox", source_fingerprint=None,
            period_stated=stated, archive_uri="x", rules_version="1", sender_code=sender,
        )  # fmt: skip
        self.judge(delivery.delivery_id, *findings, periods=periods, state=state)
        return delivery.delivery_id

    def judge(
        self, delivery_id: int, *findings: Finding, periods: tuple[str, ...] = ("2024-03",), state: Any = None
    ) -> None:
        refused = any(finding.severity == "critical" for finding in findings)
        ops.record_findings(self.conn, delivery_id, findings)
        ops.set_state(self.conn, delivery_id, "validated")
        ops.set_state(self.conn, delivery_id, state or ("quarantined" if refused else "loaded"), periods=list(periods))

    def follow(self, delivery_id: int) -> list[str]:
        """What the verdict of a delivery did, as ``rule action``."""
        changes = incidents.follow(self.conn, self.contract, delivery_id, self.clock)
        self.said += changes
        return [f"{change.rule} {change.action}" for change in changes]

    def deliver(self, *findings: Finding, **said: Any) -> list[str]:
        return self.follow(self.hand_in(*findings, **said))

    def states(self) -> dict[str, str]:
        return {row["rule"]: row["state"] for row in self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        cursor = self.conn.execute(
            "select * from ops.incident where dataset_id = %s order by incident_id", (self.contract.dataset_id,)
        )
        names = [column.name for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def one(self) -> dict[str, Any]:
        [row] = self.rows()
        return row

    def history(self, incident_id: int) -> list[tuple[Any, ...]]:
        return self.conn.execute(
            "select action, from_state, to_state, actor from ops.incident_event where incident_id = %s order by event_id",
            (incident_id,),
        ).fetchall()

    def day(self, text: str) -> datetime:
        self.clock = datetime.fromisoformat(f"{text}T09:00").replace(tzinfo=UTC)
        return self.clock


def monthly(*senders: str) -> Contract:
    calendar = Calendar(frequency="monthly", reference="month", lag_days=10, grace_days=5, first_period="2023-01")
    known = [Sender(territory_code=code, territory_name=code, contact=f"{code}@gemeinde.example") for code in senders]
    return ANY.model_copy(
        update={"calendar": calendar, "senders": known, "dataset_id": f"test_incidents__{uuid.uuid4().hex[:8]}"}
    )


@pytest.fixture
def office(conn: ops.Connection) -> Office:
    return Office(conn, monthly())


# From verdicts


def test_a_refusal_opens_an_incident_with_all_there_is_to_say(office: Office) -> None:
    number = office.hand_in(found("key.unknown", "critical", 4, 7), found("key.unchecked", "info"))
    assert office.follow(number) == ["key.unknown opened"]
    row = office.one()
    assert (row["state"], row["severity"], row["rule"]) == ("open", "critical", "key.unknown")
    assert (row["period_code"], row["sender_code"]) == ("2024-03", None)
    assert (row["message"], row["row_count"], row["times_seen"]) == ("Satz zu key.unknown.", 2, 1)
    assert (row["first_seen_at"], row["last_seen_at"], row["delivery_id"]) == (office.clock, office.clock, number)
    assert row["due_on"] == date(2024, 5, 14), "five working days, Ascension Day is none"
    assert office.history(row["incident_id"]) == [("opened", None, "open", "pipeline")]


def test_hints_open_nothing(office: Office) -> None:
    assert office.deliver(found("key.unchecked", "info")) == []
    assert office.rows() == []


def test_a_warning_of_an_accepted_delivery_is_an_incident(office: Office) -> None:
    assert office.deliver(found("values.copied", "warning")) == ["values.copied opened"]
    assert office.one()["severity"] == "warning"


def test_findings_of_one_rule_are_one_incident(office: Office) -> None:
    office.deliver(found("value.not_a_number", "warning", 3), found("value.not_a_number", "critical", 4, 5))
    assert (office.one()["severity"], office.one()["row_count"]) == ("critical", 3)


def test_however_often_it_recurs_it_is_one_incident(office: Office) -> None:
    for n in range(5):
        assert office.deliver(found("key.unknown")) == ["key.unknown " + ("seen" if n else "opened")]
    row = office.one()
    assert (row["times_seen"], row["state"], row["last_seen_at"]) == (5, "open", office.clock)
    assert row["first_seen_at"] == office.clock - timedelta(minutes=4)


def test_a_clean_redelivery_closes_it(office: Office) -> None:
    office.deliver(found("key.unknown"))
    assert office.deliver() == ["key.unknown fixed"]
    row = office.one()
    assert (row["state"], row["closed_at"]) == ("fixed", office.clock)
    assert [event[0] for event in office.history(row["incident_id"])] == ["opened", "fixed"]


def test_another_refusal_closes_nothing_although_it_does_not_show_the_rule(office: Office) -> None:
    office.deliver(found("key.unknown"))
    office.deliver(found("value.status"))
    assert office.states() == {"key.unknown": "open", "value.status": "open"}
    assert sorted(office.deliver()) == ["key.unknown fixed", "value.status fixed"]


def test_an_accepted_redelivery_closes_only_what_it_no_longer_shows(office: Office) -> None:
    office.deliver(found("key.unknown"), found("values.copied", "warning"))
    assert office.deliver(found("values.copied", "warning")) == ["values.copied seen", "key.unknown fixed"]
    assert office.states() == {"key.unknown": "fixed", "values.copied": "open"}


def test_a_critical_finding_that_is_only_a_hint_now_is_mended(office: Office) -> None:
    office.deliver(found("key.unknown"))
    assert office.deliver(found("key.unknown", "info")) == ["key.unknown fixed"]


def test_what_was_mended_and_comes_back_is_reopened(office: Office) -> None:
    office.deliver(found("key.unknown"))
    office.deliver()
    office.day("2024-06-03")
    assert office.deliver(found("key.unknown", "warning")) == ["key.unknown reopened"]
    row = office.one()
    assert (row["state"], row["closed_at"], row["times_seen"], row["severity"]) == ("reopened", None, 2, "warning")
    assert row["due_on"] == date(2024, 6, 10)


def test_another_period_is_another_incident_and_mends_nothing(office: Office) -> None:
    office.deliver(found("key.unknown"))
    assert office.deliver(periods=("2024-04",)) == []
    assert office.deliver(found("key.unknown"), periods=("2024-04",)) == ["key.unknown opened"]
    assert [row["period_code"] for row in office.rows()] == ["2024-03", "2024-04"]


def test_a_file_of_many_periods_is_about_its_last(office: Office) -> None:
    office.deliver(found("key.unknown"), periods=("2023-12", "2024-02", "2024-03"))
    assert office.one()["period_code"] == "2024-03"
    assert office.deliver(periods=("2024-03", "2024-04")) == ["key.unknown fixed"], "a later file repeats the period"


def test_the_period_the_calendar_asks_for_goes_before_others(office: Office) -> None:
    office.deliver(found("key.unknown"), periods=("2023", "2023-12"))
    assert office.one()["period_code"] == "2023-12"


@pytest.mark.parametrize("nonsense", ["2031-01", "2024-13", "1999-01"])
def test_a_period_that_cannot_be_tells_nothing(office: Office, nonsense: str) -> None:
    office.deliver(found("period.future"), periods=(nonsense,))
    assert office.one()["period_code"] is None
    assert office.deliver(periods=("2024-03",)) == ["period.future fixed"]


def test_what_could_not_be_read_is_mended_by_what_replaces_it(office: Office) -> None:
    office.deliver(found("file.unreadable"), periods=())
    assert office.one()["period_code"] is None
    assert office.deliver(periods=("2024-04",)) == ["file.unreadable fixed"]


def test_what_could_not_be_read_is_not_mended_by_another_good_file(office: Office) -> None:
    office.deliver(periods=("2024-02",), name="Kunden_2024-02.csv")
    office.deliver(periods=("2024-03",), name="Kunden_2024-03.csv")
    office.deliver(found("file.encoding"), periods=(), name="Nachtrag.csv")
    assert office.deliver(periods=("2024-02",), name="Kunden_2024-02 (1).csv") == []
    assert office.deliver(periods=("2024-02",), name="Nachtrag_neu.xlsx") == ["file.encoding fixed"]


def test_the_name_of_a_file_that_could_not_be_read_says_for_when_it_is(office: Office) -> None:
    month = next(
        c for c in CONTRACTS.values() if any("{month}" in str(getattr(one, "period", "")) for one in c.layouts)
    )
    office.contract = office.contract.model_copy(update={"layouts": month.layouts})
    office.deliver(found("file.encoding"), periods=(), name="Kunden_2024-03.csv")
    assert office.one()["period_code"] == "2024-03"
    assert office.deliver(periods=("2024-02",), name="Kunden_2024-02.csv") == []
    assert office.deliver(periods=("2024-03",), name="anders.csv") == ["file.encoding fixed"]


def test_what_was_said_beside_an_unreadable_file_tells_its_period(office: Office) -> None:
    office.deliver(found("file.unreadable"), periods=(), stated="2024-03")
    assert office.one()["period_code"] == "2024-03"
    assert office.deliver(periods=("2024-04",)) == []
    assert office.deliver(periods=(), stated="2024-03") == ["file.unreadable fixed"]


def test_seven_municipalities_with_one_fault_are_seven_incidents(conn: ops.Connection) -> None:
    office = Office(conn, monthly(*MUNICIPALITIES))
    for code in MUNICIPALITIES * 2:
        office.deliver(found("key.unknown"), sender=code)
    assert [row["sender_code"] for row in office.rows()] == MUNICIPALITIES
    assert office.deliver(sender=PEINE) == ["key.unknown fixed"]
    assert Counter(row["state"] for row in office.rows()) == {"open": 6, "fixed": 1}


def test_of_a_file_whose_sender_nobody_knew_the_name_tells_what_replaces_it(conn: ops.Connection) -> None:
    office = Office(conn, monthly(*MUNICIPALITIES))
    office.deliver(found("key.unknown"), name="maerz_peine.csv")
    assert office.deliver(name="maerz_lengede.csv", sender=LENGEDE) == []
    assert office.deliver(name="maerz_peine.csv", sender=PEINE) == ["key.unknown fixed"]


# Late, twice, killed


def test_an_older_file_that_arrives_late_does_not_reopen_what_a_newer_one_mended(office: Office) -> None:
    office.deliver(found("key.unknown"), at="2024-05-01")
    office.deliver(at="2024-05-03")
    assert office.deliver(found("key.unknown"), at="2024-05-02") == []
    assert office.states() == {"key.unknown": "fixed"}
    assert office.deliver(found("key.unknown"), at="2024-05-04") == ["key.unknown reopened"]


def test_an_older_file_opens_nothing_when_a_newer_one_was_clean_from_the_start(office: Office) -> None:
    office.deliver(at="2024-05-03")
    assert office.deliver(found("key.unknown"), at="2024-05-02") == []
    assert office.deliver(found("key.unknown"), at="2024-05-02", periods=("2024-02",)) == ["key.unknown opened"]


def test_an_older_clean_file_that_arrives_late_mends_nothing(office: Office) -> None:
    office.deliver(found("key.unknown"), at="2024-05-03")
    assert office.deliver(at="2024-05-02") == []
    assert office.states() == {"key.unknown": "open"}


def test_a_late_file_with_the_same_fault_counts_but_is_not_the_last_evidence(office: Office) -> None:
    newest = office.hand_in(found("key.unknown", "critical", 1), at="2024-05-03")
    office.follow(newest)
    assert office.deliver(found("key.unknown", "warning", 1, 2, 3), at="2024-05-02") == ["key.unknown seen"]
    row = office.one()
    assert (row["times_seen"], row["delivery_id"], row["row_count"], row["severity"]) == (2, newest, 1, "critical")


@pytest.mark.parametrize("state", ["duplicate", "unpacked", "received", "validated", "failed"])
def test_what_has_no_verdict_of_its_own_does_nothing(office: Office, state: str) -> None:
    office.deliver(found("key.unknown"))
    assert office.deliver(found("values.copied"), state=state) == []
    assert office.deliver(state=state) == []
    assert office.states() == {"key.unknown": "open"}


def test_following_twice_is_following_once(office: Office) -> None:
    number = office.hand_in(found("key.unknown"))
    assert office.follow(number)
    assert office.follow(number) == []
    assert office.one()["times_seen"] == 1


def test_judging_the_same_delivery_again_doubles_nothing(office: Office) -> None:
    number = office.hand_in(found("key.unknown"))
    office.follow(number)
    office.judge(number, found("key.unknown", "critical", 1, 2), found("value.status"))
    assert office.follow(number) == ["value.status opened"]
    assert [(row["times_seen"], row["row_count"]) for row in office.rows()] == [(1, 2), (1, 1)]
    office.judge(number, found("value.status"))
    assert office.follow(number) == ["key.unknown fixed"], "new rules do not mind it"
    office.judge(number)
    assert office.follow(number) == ["value.status fixed"], "new rules accept it"


def test_judged_again_for_another_period_it_is_another_incident(office: Office) -> None:
    number = office.hand_in(found("key.unknown"))
    office.follow(number)
    office.judge(number, found("key.unknown"), periods=("2024-04",))
    assert office.follow(number) == ["key.unknown opened", "key.unknown fixed"]
    assert [(row["period_code"], row["state"]) for row in office.rows()] == [("2024-03", "fixed"), ("2024-04", "open")]


def test_a_killed_follow_up_leaves_everything_to_the_next(office: Office) -> None:
    number = office.hand_in(found("key.unknown"))
    office.conn.commit()
    assert office.follow(number)
    office.conn.rollback()
    assert number in incidents.unfollowed(office.conn)
    assert office.rows() == []
    assert office.follow(number) == ["key.unknown opened"]
    assert number not in incidents.unfollowed(office.conn)


def test_what_waits_is_followed_in_the_order_it_was_handed_in(office: Office) -> None:
    late = office.hand_in(at="2024-05-03")
    early = office.hand_in(found("key.unknown"), at="2024-05-02")
    waiting = [number for number in incidents.unfollowed(office.conn) if number in (late, early)]
    assert waiting == [early, late]
    assert [office.follow(number) for number in waiting] == [["key.unknown opened"], ["key.unknown fixed"]]


def test_a_duplicate_waits_for_what_becomes_of_the_first(office: Office) -> None:
    first = office.hand_in(state="validated")
    again = office.hand_in(state="duplicate")
    office.conn.execute("update ops.delivery set duplicate_of = %s where delivery_id = %s", (first, again))
    assert again not in incidents.unfollowed(office.conn)
    ops.set_state(office.conn, first, "quarantined")
    assert again in incidents.unfollowed(office.conn)
    assert office.follow(again) == []
    assert again not in incidents.unfollowed(office.conn)


def test_two_runs_at_once_count_one_verdict_once(office: Office, warehouse: Settings) -> None:
    first = office.hand_in(found("key.unknown"))
    second = office.hand_in(found("key.unknown"))
    office.conn.commit()
    said: list[list[Change]] = []

    def run(delivery_id: int) -> None:
        with loading.session(warehouse) as conn:
            said.append(incidents.follow(conn, office.contract, delivery_id, NOW))
            conn.commit()

    threads = [Thread(target=run, args=(number,)) for number in (first, second, first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(change.action for changes in said for change in changes) == ["opened", "seen"]
    assert office.one()["times_seen"] == 2
    office.conn.execute("delete from ops.incident_event where incident_id = %s", (office.one()["incident_id"],))
    office.conn.execute("delete from ops.incident where dataset_id = %s", (office.contract.dataset_id,))
    office.conn.commit()


# One cause, one incident


def causes(office: Office) -> dict[str, str | None]:
    rows = office.rows()
    rules = {row["incident_id"]: row["rule"] for row in rows}
    return {row["rule"]: rules.get(row["cause_id"]) for row in rows}


def test_a_wrong_total_beside_a_wrong_key_is_a_fault_of_its_own(office: Office) -> None:
    """Sums are compared only where all parts are there: mending the key would not mend the total."""
    office.deliver(
        found("key.unknown", "critical", 4),
        found("territory.sum", "warning", 9),
        found("change.to_period", "warning", 9),
    )
    assert set(causes(office).values()) == {None}


def test_a_total_in_another_row_does_not_follow_from_a_number_that_was_misread(office: Office) -> None:
    office.deliver(found("value.ambiguous_thousands", "critical", 4), found("parts.sum", "critical", 4, 9))
    assert causes(office) == {"value.ambiguous_thousands": None, "parts.sum": None}


def test_a_total_of_the_rows_that_were_misread_follows(office: Office) -> None:
    office.deliver(found("value.ambiguous_thousands", "critical", 4, 9), found("parts.sum", "critical", 4))
    assert causes(office) == {"value.ambiguous_thousands": None, "parts.sum": "value.ambiguous_thousands"}


def test_a_missing_municipality_follows_from_its_key_that_is_not_in_the_register(office: Office) -> None:
    office.deliver(found("period.incomplete", "warning"), found("key.unlisted", "warning"))
    assert causes(office) == {"period.incomplete": "key.unlisted", "key.unlisted": None}


def test_of_several_sums_one_wrong_number_breaks_the_worst_is_the_cause(office: Office) -> None:
    office.deliver(
        found("parts.sum", "warning", 4),
        found("parts.exceed_total", "critical", 4),
        found("change.to_period", "warning", 4),
    )
    exceeded = "parts.exceed_total"
    assert causes(office) == {"parts.sum": exceeded, exceeded: None, "change.to_period": exceeded}


def test_the_county_follows_from_the_total_of_a_municipality_in_the_same_column(office: Office) -> None:
    town = Finding("critical", "parts.sum", "x", evidence=(Evidence(7, "3", "12"),))
    county = Finding("warning", "territory.sum", "x", evidence=(Evidence(2, "3", "120"),))
    other = Finding("warning", "territory.sum", "x", evidence=(Evidence(2, "4", "120"),))
    assert consequences.causes([town, county]) == {"territory.sum": "parts.sum"}
    assert consequences.causes([town, other]) == {}


def test_defects_of_cells_are_causes_of_their_own(office: Office) -> None:
    office.deliver(found("value.not_a_number"), found("key.unknown"), found("symbols.other_regime", "warning"))
    assert set(causes(office).values()) == {None}


def test_what_outlives_its_cause_stands_for_itself(office: Office) -> None:
    office.deliver(found("key.unknown"), found("period.incomplete", "warning"))
    assert office.deliver(found("period.incomplete", "warning")) == ["period.incomplete seen", "key.unknown fixed"]
    assert causes(office) == {"key.unknown": None, "period.incomplete": None}


def test_cause_and_consequence_are_closed_together(office: Office) -> None:
    office.deliver(found("key.unknown"), found("period.incomplete", "warning"))
    assert office.deliver() == ["key.unknown fixed", "period.incomplete fixed"]


def test_the_comparisons_are_rules_there_are() -> None:
    ours = {rule.rule for rule in RULES.values()}
    assert ours >= set().union(*(one.rules for one in consequences.DEPENDENCIES))


# A period that is wrong, but possible


@pytest.fixture
def until_march(office: Office) -> Office:
    """It has delivered up to March; April was over when anything here comes, in May."""
    office.deliver(at="2024-04-03", periods=("2024-02", "2024-03"))
    return office


def test_a_file_with_last_months_date_is_mended_by_the_one_that_was_meant(until_march: Office) -> None:
    assert until_march.deliver(found("values.copied"), at="2024-05-03") == ["values.copied opened"]
    assert until_march.deliver(at="2024-05-06", periods=("2024-04",), name="neu.csv") == ["values.copied fixed"]


def test_a_refused_revision_is_not_mended_by_a_month_that_was_not_over(until_march: Office) -> None:
    until_march.deliver(found("key.unknown"), at="2024-04-20")
    assert until_march.deliver(at="2024-05-03", periods=("2024-04",)) == []
    assert until_march.states() == {"key.unknown": "open"}


def test_a_refused_revision_is_not_mended_by_a_month_that_had_come(until_march: Office) -> None:
    until_march.deliver(at="2024-05-02", periods=("2024-04",))
    until_march.deliver(found("key.unknown"), at="2024-05-03")
    assert until_march.deliver(at="2024-05-06", periods=("2024-04",)) == []


def test_a_period_that_is_missing_itself_waits_for_its_own_file(office: Office) -> None:
    office.deliver(found("key.unknown"), at="2024-05-03", periods=("2024-03",))
    assert office.deliver(at="2024-05-06", periods=("2024-04",)) == []
    assert office.deliver(at="2024-05-07", periods=("2024-03",)) == ["key.unknown fixed"]


def test_a_date_nobody_asks_for_is_mended_by_the_period_that_was_meant(until_march: Office) -> None:
    until_march.deliver(found("key.unknown"), at="2024-05-03", periods=("2024-04-15",))
    assert until_march.deliver(at="2024-05-06", periods=("2024-04",)) == ["key.unknown fixed"]


def test_a_wrong_month_that_arrives_after_its_correction_opens_nothing(until_march: Office) -> None:
    until_march.deliver(at="2024-05-06", periods=("2024-04",))
    assert until_march.deliver(found("values.copied"), at="2024-05-03") == []


def test_the_wrong_month_of_one_municipality_is_not_mended_by_another(conn: ops.Connection) -> None:
    office = Office(conn, monthly(PEINE, LENGEDE))
    for sender in (PEINE, LENGEDE):
        office.deliver(at="2024-04-03", sender=sender)
    office.deliver(found("values.copied"), at="2024-05-03", sender=PEINE)
    assert office.deliver(at="2024-05-06", periods=("2024-04",), sender=LENGEDE) == []
    assert office.deliver(at="2024-05-07", periods=("2024-04",), sender=PEINE) == ["values.copied fixed"]


# The calendar


def follow_calendar(office: Office, day: str, since: str = "2024-02-01", contract: Contract | None = None) -> list[str]:
    """What the calendar did in the morning of a day, as ``sender period rule action``, of the office's dataset alone."""
    known = [contract or office.contract]
    office.conn.execute("update ops.follow_up set since = %s", (since,))
    delivery_calendar.refresh(office.conn, known, date.fromisoformat(day))
    changes = incident_calendar.follow_calendar(office.conn, known, office.day(day))
    periods = {row["incident_id"]: (row["sender_code"] or "", row["period_code"]) for row in office.rows()}
    said = [" ".join((*periods[c.incident_id], c.rule.removeprefix("calendar."), c.action)).strip() for c in changes]
    return sorted(said)


def roots(office: Office) -> list[tuple[str, str, str]]:
    return [(r["rule"], r["period_code"], r["state"]) for r in office.rows() if r["cause_id"] is None]


@pytest.fixture
def known_office(office: Office) -> Office:
    """It has delivered before: January, in time."""
    office.deliver(at="2024-02-05", periods=("2024-01",))
    return office


def test_within_the_grace_nothing_is_said_and_after_it_one_thing_once(known_office: Office) -> None:
    """February is due on Monday the 11th of March, the grace ends on the 18th (the 16th is a Saturday)."""
    assert follow_calendar(known_office, "2024-03-18") == []
    assert follow_calendar(known_office, "2024-03-19") == ["2024-02 overdue opened"]
    assert follow_calendar(known_office, "2024-03-20") == []
    row = known_office.one()
    assert (row["severity"], row["times_seen"], row["delivery_id"]) == ("warning", 1, None)
    assert (row["due_on"], row["last_seen_at"]) == (date(2024, 3, 26), known_office.clock)
    assert row["message"] == (
        f"Die Lieferung „{known_office.contract.title_de}“ für Februar 2024 war am 11.03.2024 fällig und ist bis zum 18.03.2024"
        " nicht eingegangen."
    )
    assert len(known_office.history(row["incident_id"])) == 1


def test_what_comes_late_closes_it_at_once(known_office: Office) -> None:
    follow_calendar(known_office, "2024-03-19")
    assert known_office.deliver(periods=("2024-02",)) == ["calendar.overdue fixed"]
    assert follow_calendar(known_office, "2024-03-20") == []


def test_what_was_withdrawn_is_missing_and_nobody_says_that_it_never_came(office: Office) -> None:
    office.deliver(at="2024-03-05", periods=("2024-02",))
    assert follow_calendar(office, "2024-03-19", since="2024-03-01") == []
    office.conn.execute(
        "update ops.delivery set state = 'withdrawn', withdrawal_reason = 'falsche Datei', state_at = '2024-03-20 23:30+00'"
        " where dataset_id = %s",
        (office.contract.dataset_id,),
    )
    assert follow_calendar(office, "2024-03-21", since="2024-03-01") == ["2024-02 overdue opened"]
    row = office.one()
    assert row["message"] == (
        f"Die Lieferung „{office.contract.title_de}“ für Februar 2024 war am 11.03.2024 fällig; was dazu eingegangen war, ist"
        " am 21.03.2024 zurückgezogen worden."
    )
    assert office.deliver(at="2024-03-22", periods=("2024-02",)) == ["calendar.overdue fixed"]


def test_what_was_handed_in_before_the_calendar_noticed_closes_it_too(known_office: Office) -> None:
    number = known_office.hand_in(at="2024-03-19T05:00", periods=("2024-02",), state="received")
    follow_calendar(known_office, "2024-03-19")
    known_office.judge(number, periods=("2024-02",))
    assert known_office.follow(number) == ["calendar.overdue fixed"]


def test_the_calendar_closes_what_nobody_followed(known_office: Office) -> None:
    follow_calendar(known_office, "2024-03-19")
    number = known_office.hand_in(periods=("2024-02",))
    assert follow_calendar(known_office, "2024-03-20") == ["2024-02 overdue fixed"]
    assert known_office.follow(number) == []


def test_a_second_period_in_a_row_is_silence_and_one_cause(known_office: Office) -> None:
    follow_calendar(known_office, "2024-03-19")
    assert follow_calendar(known_office, "2024-04-16") == ["2024-02 silent opened", "2024-03 overdue opened"]
    assert roots(known_office) == [("calendar.silent", "2024-02", "open")]
    assert follow_calendar(known_office, "2024-05-16") == ["2024-04 overdue opened"]
    assert roots(known_office) == [("calendar.silent", "2024-02", "open")]
    assert "seit Februar 2024" in next(r["message"] for r in known_office.rows() if r["rule"] == "calendar.silent")


def test_a_silence_ends_with_the_next_file_and_the_gap_stays(known_office: Office) -> None:
    for day in ("2024-03-19", "2024-04-16"):
        follow_calendar(known_office, day)
    assert sorted(known_office.deliver(periods=("2024-03",))) == ["calendar.overdue fixed", "calendar.silent fixed"]
    assert ("calendar.overdue", "2024-02", "open") in roots(known_office)
    assert follow_calendar(known_office, "2024-04-17") == []


def test_who_has_never_delivered_is_silent_from_the_first_time(office: Office) -> None:
    said = follow_calendar(office, "2024-03-19", since="2024-03-01")
    assert said == ["2024-02 overdue opened", "2024-02 silent opened"]
    assert roots(office) == [("calendar.silent", "2024-02", "open")]


def test_what_was_due_before_follow_up_began_is_nobodys_incident(office: Office) -> None:
    assert follow_calendar(office, "2024-05-20", since="2024-05-14") == []
    said = follow_calendar(office, "2024-06-20", since="2024-05-14")
    assert said == ["2024-05 overdue opened", "2024-05 silent opened"]


def test_a_refused_file_is_the_cause_of_what_is_overdue_and_no_silence(known_office: Office) -> None:
    known_office.deliver(found("key.unknown"), periods=("2024-02",), clock=known_office.day("2024-03-05"))
    assert follow_calendar(known_office, "2024-03-19") == ["2024-02 overdue opened"]
    assert causes(known_office) == {"key.unknown": None, "calendar.overdue": "key.unknown"}
    assert follow_calendar(known_office, "2024-04-16") == ["2024-03 overdue opened"], "one file has come"
    assert sorted(known_office.deliver(periods=("2024-02",))) == ["calendar.overdue fixed", "key.unknown fixed"]


def test_a_refused_file_does_not_end_a_silence_but_is_the_cause_of_its_period(known_office: Office) -> None:
    for day in ("2024-03-19", "2024-04-16"):
        follow_calendar(known_office, day)
    known_office.deliver(found("key.unknown"), periods=("2024-03",))
    assert follow_calendar(known_office, "2024-04-17") == []
    overdue = {row["period_code"]: row["cause_id"] for row in known_office.rows() if row["rule"] == "calendar.overdue"}
    rules = {row["incident_id"]: row["rule"] for row in known_office.rows()}
    assert {period: rules[cause] for period, cause in overdue.items()} == {
        "2024-02": "calendar.silent",
        "2024-03": "key.unknown",
    }
    assert "calendar.silent fixed" in known_office.deliver(periods=("2024-03",))


def test_an_unreadable_file_of_no_known_period_is_the_cause_as_well(known_office: Office) -> None:
    known_office.deliver(found("file.unreadable"), periods=(), clock=known_office.day("2024-03-05"))
    follow_calendar(known_office, "2024-04-16")
    assert roots(known_office) == [("file.unreadable", None, "open")]


def test_a_file_that_waits_for_a_yes_is_neither_overdue_nor_a_silence(known_office: Office) -> None:
    held = known_office.hand_in(
        found("values.copied", "warning"), at="2024-03-05", periods=("2024-02",), state="validated"
    )
    ops.ask_approval(known_office.conn, held, 72)
    assert follow_calendar(known_office, "2024-03-20") == []
    assert follow_calendar(known_office, "2024-04-16") == ["2024-03 overdue opened"], "one late file is no silence"
    ops.set_state(known_office.conn, held, "quarantined")
    known_office.judge(held, found("delivery.not_approved"), periods=("2024-02",))
    known_office.follow(held)
    assert follow_calendar(known_office, "2024-04-17") == ["2024-02 overdue opened"]


def test_what_is_open_stays_while_its_file_waits_for_a_yes(known_office: Office) -> None:
    opened = ["2024-02 overdue opened", "2024-02 silent opened", "2024-03 overdue opened"]
    assert follow_calendar(known_office, "2024-04-16") == opened
    number = known_office.hand_in(at="2024-04-16", periods=("2024-02",), state="validated")
    assert follow_calendar(known_office, "2024-04-17") == []
    ops.set_state(known_office.conn, number, "loaded")
    assert sorted(known_office.follow(number)) == ["calendar.overdue fixed", "calendar.silent fixed"]


def test_nobody_is_asked_for_a_file_that_is_here_and_held_by_the_build(office: Office) -> None:
    """It is ours to take in."""
    held = office.hand_in(at="2024-02-05", periods=("2024-01",), state="loaded")
    ops.set_state(office.conn, held, "held", hold_reason="x")
    assert follow_calendar(office, "2024-02-20") == []


def test_a_first_file_that_waits_for_a_yes_is_no_silence(office: Office) -> None:
    office.hand_in(at="2024-02-05", periods=("2024-01",), state="validated")
    assert follow_calendar(office, "2024-02-20") == []


def test_seven_municipalities_that_send_nothing_are_seven_incidents(conn: ops.Connection) -> None:
    office = Office(conn, monthly(*MUNICIPALITIES))
    for code in MUNICIPALITIES:
        office.deliver(at="2024-02-05", periods=("2024-01",), sender=code)
    assert follow_calendar(office, "2024-03-19") == [f"{code} 2024-02 overdue opened" for code in MUNICIPALITIES]
    assert office.deliver(sender=LENGEDE, periods=("2024-02",)) == ["calendar.overdue fixed"]
    assert f"({LENGEDE})" in next(row["message"] for row in office.rows() if row["sender_code"] == LENGEDE)


def test_a_municipality_that_is_silent_does_not_silence_the_others(conn: ops.Connection) -> None:
    office = Office(conn, monthly(PEINE, LENGEDE))
    for period, day in (("2024-01", "2024-02-05"), ("2024-02", "2024-03-05"), ("2024-03", "2024-04-05")):
        office.deliver(at=day, periods=(period,), sender=PEINE)
    office.deliver(at="2024-02-05", periods=("2024-01",), sender=LENGEDE)
    follow_calendar(office, "2024-04-16")
    silent = {(LENGEDE, "calendar.silent"), (LENGEDE, "calendar.overdue")}
    assert {(row["sender_code"], row["rule"]) for row in office.rows()} == silent


def test_a_waived_absence_stays_waived_until_its_day(known_office: Office) -> None:
    follow_calendar(known_office, "2024-03-19")
    number = known_office.one()["incident_id"]
    incident_answers.waive(known_office.conn, number, "m", known_office.clock, "Softwareumstellung", date(2024, 3, 31))
    assert follow_calendar(known_office, "2024-03-25") == []
    incident_answers.end_waivers(known_office.conn, known_office.day("2024-04-02"))
    assert follow_calendar(known_office, "2024-04-02") == []
    assert known_office.one()["state"] == "reopened"


def test_what_nobody_owes_any_more_is_closed(conn: ops.Connection) -> None:
    office = Office(conn, monthly(PEINE, LENGEDE))
    for code in (PEINE, LENGEDE):
        office.deliver(at="2024-02-05", periods=("2024-01",), sender=code)
    assert len(follow_calendar(office, "2024-03-19")) == 2
    alone = office.contract.model_copy(update={"senders": office.contract.senders[:1]})
    assert follow_calendar(office, "2024-03-20", contract=alone) == [f"{LENGEDE} 2024-02 overdue fixed"]
    assert follow_calendar(office, "2024-03-21") == [f"{LENGEDE} 2024-02 overdue reopened"]


def test_a_dataset_without_a_contract_owes_nothing(known_office: Office) -> None:
    follow_calendar(known_office, "2024-03-19")
    delivery_calendar.refresh(known_office.conn, [], date(2024, 3, 20))
    changes = incident_calendar.follow_calendar(known_office.conn, [], known_office.clock)
    assert [change.action for change in changes] == ["fixed"]


# In time, early, twice


def timeliness(office: Office, day: str, sender: str | None = None) -> dict[str, tuple[str, bool, bool]]:
    delivery_calendar.refresh(office.conn, [office.contract], date.fromisoformat(day))
    rows = office.conn.execute(
        "select period_code, state, is_early, is_double from ops.delivery_timeliness_at(%s)"
        " where dataset_id = %s and sender_code is not distinct from %s and delivery_id is not null",
        (day, office.contract.dataset_id, sender),
    )
    return {period: (state, is_early, is_double) for period, state, is_early, is_double in rows}


def test_a_file_within_the_first_tenth_of_its_time_is_early(office: Office) -> None:
    """Twelve days to deliver January, eleven for February: on the first of them nobody can have counted everything."""
    office.deliver(at="2024-02-01", periods=("2024-01",))
    office.deliver(at="2024-03-02", periods=("2024-02",))
    office.deliver(at="2024-03-31", periods=("2024-03",))
    assert timeliness(office, "2024-04-20") == {
        "2024-01": ("delivered", True, False),
        "2024-02": ("delivered", False, False),
        "2024-03": ("delivered", True, False),
    }


def test_a_period_sent_again_unasked_is_double(office: Office) -> None:
    office.deliver(at="2024-02-05", periods=("2024-01",))
    office.deliver(at="2024-02-06", periods=("2024-01",))
    assert timeliness(office, "2024-02-20") == {"2024-01": ("delivered", False, True)}
    assert timeliness(office, "2024-02-05") == {"2024-01": ("delivered", False, False)}, "as it stood"


def test_a_redelivery_somebody_asked_for_is_not_double(office: Office) -> None:
    office.deliver(found("values.copied", "warning"), at="2024-02-05", periods=("2024-01",))
    office.deliver(found("values.copied", "warning"), at="2024-02-06", periods=("2024-01",))
    office.deliver(at="2024-02-07", periods=("2024-01",))
    assert timeliness(office, "2024-02-20") == {"2024-01": ("delivered", False, False)}


def test_a_file_that_repeats_earlier_periods_is_not_double(office: Office) -> None:
    office.deliver(at="2024-02-05", periods=("2024-01",))
    office.deliver(at="2024-03-05", periods=("2024-01", "2024-02"))
    assert [is_double for *_, is_double in timeliness(office, "2024-03-20").values()] == [False, False]


def test_two_files_of_two_municipalities_are_not_double(conn: ops.Connection) -> None:
    office = Office(conn, monthly(PEINE, LENGEDE))
    for sender, day in ((PEINE, "2024-02-05"), (LENGEDE, "2024-02-06"), (LENGEDE, "2024-02-07")):
        office.deliver(at=day, periods=("2024-01",), sender=sender)
    assert timeliness(office, "2024-02-20", PEINE) == {"2024-01": ("delivered", False, False)}
    assert timeliness(office, "2024-02-20", LENGEDE) == {"2024-01": ("delivered", False, True)}


# People


def test_acknowledging_says_who_is_on_it(office: Office) -> None:
    office.deliver(found("key.unknown"))
    number = office.one()["incident_id"]
    [change] = incident_answers.acknowledge(office.conn, number, "m.muster", office.clock, "rufe an")
    assert (change.action, change.rule) == ("acknowledged", "key.unknown")
    assert office.history(number)[-1] == ("acknowledged", "open", "acknowledged", "m.muster")
    assert office.deliver(found("key.unknown")) == ["key.unknown seen"]
    assert office.one()["state"] == "acknowledged", "somebody is still on it"
    assert office.deliver() == ["key.unknown fixed"]


def test_a_waived_incident_stays_waived_while_it_recurs_and_comes_back_when_the_day_has_passed(office: Office) -> None:
    office.deliver(found("key.unknown", "warning"))
    number = office.one()["incident_id"]
    incident_answers.waive(office.conn, number, "m.muster", office.clock, "Eingemeindung", date(2024, 5, 31))
    row = office.one()
    assert (row["state"], row["waived_by"], row["waived_reason"]) == ("waived", "m.muster", "Eingemeindung")
    assert office.deliver(found("key.unknown", "warning")) == ["key.unknown seen"]
    assert (office.one()["state"], office.one()["times_seen"]) == ("waived", 2)
    assert incident_answers.end_waivers(office.conn, office.day("2024-05-31")) == []
    assert [change.action for change in incident_answers.end_waivers(office.conn, office.day("2024-06-01"))] == [
        "waiver_ended"
    ]
    assert incident_answers.end_waivers(office.conn, office.clock) == []
    row = office.one()
    assert (row["state"], row["waived_by"], row["waived_until"]) == ("reopened", None, None)
    assert row["due_on"] == date(2024, 6, 7)


def test_what_recurs_after_its_waiver_is_reopened_at_once(office: Office) -> None:
    office.deliver(found("key.unknown", "warning"))
    incident_answers.waive(office.conn, office.one()["incident_id"], "m", office.clock, "Umstellung", date(2024, 5, 7))
    assert office.deliver(found("key.unknown", "warning"), clock=office.day("2024-05-08")) == ["key.unknown reopened"]


def test_a_waived_incident_is_closed_by_a_clean_delivery(office: Office) -> None:
    office.deliver(found("key.unknown", "warning"))
    incident_answers.waive(
        office.conn, office.one()["incident_id"], "m", office.clock, "Umstellung", date(2024, 12, 31)
    )
    assert office.deliver() == ["key.unknown fixed"]
    assert office.one()["waived_by"] is None


def test_a_waiver_may_be_prolonged(office: Office) -> None:
    office.deliver(found("key.unknown"))
    number = office.one()["incident_id"]
    incident_answers.waive(office.conn, number, "m", office.clock, "Umstellung", date(2024, 5, 31))
    incident_answers.waive(office.conn, number, "n", office.clock, "dauert länger", date(2024, 6, 30))
    assert (office.one()["waived_by"], office.one()["waived_until"]) == ("n", date(2024, 6, 30))


def test_what_follows_from_an_incident_goes_along_with_it(office: Office) -> None:
    office.deliver(found("key.unknown"), found("period.incomplete", "warning"))
    cause = office.rows()[0]["incident_id"]
    assert len(incident_answers.acknowledge(office.conn, cause, "m", office.clock)) == 2
    assert len(incident_answers.waive(office.conn, cause, "m", office.clock, "Umstellung", date(2024, 6, 30))) == 2
    assert set(office.states().values()) == {"waived"}


def test_notes_are_kept_in_every_state(office: Office) -> None:
    office.deliver(found("key.unknown"))
    office.deliver()
    number = office.one()["incident_id"]
    incident_record.note(office.conn, number, "m.muster", office.clock, " war die Eingemeindung ")
    assert office.history(number)[-1] == ("noted", "fixed", "fixed", "m.muster")
    assert office.one()["closed_at"] is not None


def sentence(office: Office, act: Any) -> str:
    with pytest.raises(IncidentError) as error:
        act()
    assert isinstance(error.value, TeilhabeError)
    return str(error.value)


def test_what_is_not_allowed_is_said_in_a_sentence(office: Office) -> None:
    conn, at, until = office.conn, office.clock, date(2024, 12, 31)
    office.deliver(found("key.unknown"))
    number = office.one()["incident_id"]
    waive, acknowledge = incident_answers.waive, incident_answers.acknowledge
    assert "begründen" in sentence(office, lambda: waive(conn, number, "m", at, " ", until))
    assert "05.05.2024" in sentence(office, lambda: waive(conn, number, "m", at, "x", date(2024, 5, 5)))
    assert "leer" in sentence(office, lambda: incident_record.note(conn, number, "m", at, " "))
    for act in (
        lambda: acknowledge(conn, -1, "m", at),
        lambda: waive(conn, -1, "m", at, "x", until),
        lambda: incident_record.note(conn, -1, "m", at, "x"),
    ):
        assert "gibt es nicht" in sentence(office, act)
    acknowledge(conn, number, "m", at)
    assert "schon in Bearbeitung" in sentence(office, lambda: acknowledge(conn, number, "n", at))
    waive(conn, number, "m", at, "x", until)
    assert "hingenommen" in sentence(office, lambda: acknowledge(conn, number, "n", at))
    office.deliver()
    assert "erledigt" in sentence(office, lambda: acknowledge(conn, number, "n", at))
    assert "erledigt" in sentence(office, lambda: waive(conn, number, "n", at, "x", until))
    assert office.states() == {"key.unknown": "fixed"}


# Whatever happens


@pytest.mark.parametrize("seed", range(4))
def test_what_is_open_in_the_end_does_not_depend_on_the_order_of_following(conn: ops.Connection, seed: int) -> None:
    """A backlog, a late file, a municipality nobody knew: what counts is when the files were handed in."""
    chance = random.Random(seed)
    office = Office(conn, monthly(PEINE, LENGEDE))
    rules = ["key.unknown", "values.copied", "territory.sum"]
    deliveries = []
    for n in range(30):
        wrong = chance.sample(rules, chance.choice([0, 0, 1, 2]))
        findings = [found(rule, chance.choice(["critical", "warning"])) for rule in wrong]
        periods = chance.choice([(), ("2023-01",), ("2023-02",), ("2023-01", "2023-02")])
        sender = chance.choice([PEINE, LENGEDE, None])
        name = "lengede.csv" if sender == LENGEDE else "peine.csv"
        deliveries.append(
            office.hand_in(*findings, at=f"2024-01-{1 + n:02d}", periods=periods, sender=sender, name=name)
        )

    def in_the_end(order: list[int]) -> set[tuple[Any, ...]]:
        conn.execute("savepoint before")
        for number in order:
            office.follow(number)
        names = ("sender_code", "period_code", "rule", "severity", "delivery_id")
        still_open = {tuple(row[name] for name in names) for row in office.rows() if row["state"] != "fixed"}
        conn.execute("rollback to before")
        return still_open

    expected = in_the_end(deliveries)
    for _ in range(3):
        assert in_the_end(chance.sample(deliveries, len(deliveries))) == expected


def test_any_year_of_deliveries_ends_as_its_last_delivery_per_period_says(conn: ops.Connection) -> None:
    """Random files, some late, some twice, the run killed now and then: no doubles, a history without gaps, the right end."""
    chance = random.Random(5)
    office = Office(conn, monthly())
    conn.commit()
    rules = ["key.unknown", "value.status", "values.copied", "territory.sum"]
    handed: dict[int, tuple[str, str, set[str], bool]] = {}
    for n in (1, 2, 3):  # none is missing, so no file can have been meant for another period than its own
        period = f"2023-{n:02d}"
        handed[office.hand_in(at=f"2023-12-{n:02d}", periods=(period,))] = ("", period, set(), True)
    for n in range(120):
        wrong = {
            rule: chance.choice(["critical", "warning"]) for rule in chance.sample(rules, chance.choice([0, 0, 1, 2]))
        }
        period = f"2023-{chance.randint(1, 3):02d}"
        day = f"2024-{1 + n // 28:02d}-{1 + n % 28:02d}"
        number = office.hand_in(*(found(rule, severity) for rule, severity in wrong.items()), at=day, periods=(period,))
        handed[number] = (day, period, set(wrong), "critical" not in wrong.values())
    for number in incidents.unfollowed(conn):
        if number not in handed:
            continue
        conn.execute("savepoint before")
        office.follow(number)
        if chance.random() < 0.2:  # killed before its commit
            conn.execute("rollback to before")
            office.follow(number)
        office.follow(number)
    keys = [(row["period_code"], row["rule"]) for row in office.rows()]
    assert len(keys) == len(set(keys))
    expected = {}
    for _, period, wrong, is_accepted in handed.values():
        for rule in rules:
            if rule in wrong:
                expected[period, rule] = True
            elif is_accepted and (period, rule) in expected:
                expected[period, rule] = False
    assert {(row["period_code"], row["rule"]): row["state"] != "fixed" for row in office.rows()} == expected
    for row in office.rows():
        events = office.history(row["incident_id"])
        assert [event[1] for event in events] == [None, *(event[2] for event in events[:-1])], (
            "each goes on from the last"
        )
        assert events[-1][2] == row["state"]
        assert row["times_seen"] == sum(event[0] in ("opened", "seen", "reopened") for event in events)
