"""The demo's year with the most mistakes and a frozen clock: every office hears exactly what it should, on the day it should.

What has to be said is worked out here from the files as they arrived, the contracts' dates and the incidents. The clock goes to
every day with a file, and for every period that is not there yet to the day before a reminder, overdue note or escalation
falls due and to the day itself; nothing else depends on the day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from demo import files
from demo.handout import DUPLICATE, REFUSED, Handout
from teilhabe import landing
from teilhabe.codes.holidays import add_working_days, working_day
from teilhabe.contract import lookup
from teilhabe.contract.delivery_calendar import DueEntry, due_entries
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import ContractError
from teilhabe.pipeline import installing, judging
from teilhabe.pipeline.follow_up import follow_up
from teilhabe.raw import loading
from teilhabe.settings import Settings
from tests.conftest import PROJECT
from tests.flow import Flow, copied

AGENCIES = ("civic", "courses", "employment_agency", "housing", "police", "register", "schools")
"""The county's own offices and those whose files go wrong in this year; the others publish once a year what is fetched."""
CONTRACTS = {name: one for name, one in load_contracts(PROJECT / "agencies").items() if one.agency in AGENCIES}
FIRST, LAST = date(2024, 1, 1), date(2024, 12, 31)
BEFORE = date(2023, 11, 1)
"""What came in the two months before is there already: it answers what falls due in January."""
REMINDER_DAYS, ESCALATION_DAYS, MEND_WORKING_DAYS = 7, 14, 5
CLOCK = time(12, 0, tzinfo=UTC)

Told = tuple[str, str | None, str, str | None, date]
"""Dataset, sender, kind, period, day."""


def no_connection(name: str) -> landing.Credentials:
    raise ContractError(f"There is no Airflow connection '{name}'.")


@pytest.fixture(scope="module")
def handouts() -> list[Handout]:
    every = [h for h in files.handouts() if h.dataset_id in CONTRACTS]
    baseline = [h for h in every if h.dataset_id.startswith("register__") and h.received_at.date() < BEFORE]
    return [*baseline, *(h for h in every if BEFORE <= h.received_at.date() <= LAST)]


@pytest.fixture(scope="module")
def entries() -> list[DueEntry]:
    """What fell due in the year."""
    known = [one for contract in CONTRACTS.values() for one in due_entries(contract, range(2022, 2025))]
    return [one for one in known if FIRST <= one.due_on <= LAST]


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def flow(
    house: Settings,
    handouts: list[Handout],
    entries: list[DueEntry],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch_module: pytest.MonkeyPatch,
) -> Flow:
    settings = replace(house, project=copied(tmp_path_factory.mktemp("project"), *AGENCIES))
    installing.install(settings)
    known = lookup.contracts(settings)
    for module in (lookup, installing, judging):
        monkeypatch_module.setattr(module, "contracts", lambda _: known)  # nobody changes a contract in this year
    with loading.session(settings) as conn:
        conn.execute("update ops.follow_up set since = %s", (FIRST,))
    flow = Flow(settings, settings.home / "drafts")
    by_day: dict[date, list[Handout]] = {}
    for handout in handouts:
        by_day.setdefault(handout.received_at.date(), []).append(handout)
    # What nobody waits for any more on a day cannot fall due on it.
    waited_for: dict[date, list[DueEntry | None]] = {}
    for one in entries:
        for day in eventful(one):
            waited_for.setdefault(day, []).append(one)
    for handout in handouts:
        for day in escalation_days(handout.received_at.date()) if handout.state == REFUSED else ():
            waited_for.setdefault(day, []).append(None)
    for day in sorted(day for day in by_day.keys() | waited_for.keys() | {FIRST, LAST} if day <= LAST):
        came = arrivals(flow)
        awaited = [
            one
            for one in waited_for.get(day, [])
            if one is None or (one.dataset_id, one.sender_code, one.period_code) not in came
        ]
        if day in by_day or awaited or day in (FIRST, LAST):
            live(flow, day, by_day.get(day, []))
    return flow


def eventful(entry: DueEntry) -> set[date]:
    """The days before a reminder, an overdue note and an escalation, and the days of them."""
    told = entry.grace_until + timedelta(days=1)
    reminded = {entry.due_on - timedelta(days=n) for n in (REMINDER_DAYS + 1, REMINDER_DAYS)}
    return reminded | {entry.grace_until, told} | escalation_days(told)


def escalation_days(told: date) -> set[date]:
    """The last day it is too early for a second contact, and the next."""
    mended_by = add_working_days(told, MEND_WORKING_DAYS)
    return {mended_by + timedelta(days=n) for n in (ESCALATION_DAYS, ESCALATION_DAYS + 1)}


def live(flow: Flow, day: date, handouts: list[Handout]) -> None:
    """The files of the day as the offices send them, then the calendar, as the DAGs do."""
    for handout in handouts:
        path = flow.drafts / day.isoformat() / handout.dataset_id / handout.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(handout.content)
        landing.hand_in(flow.settings, handout.dataset_id, [path], handout.received_at, handout.address)
    for dataset_id in sorted({h.dataset_id for h in handouts}, key=lambda one: (not one.startswith("register__"), one)):
        flow.run(dataset_id)
    if day < FIRST:
        with loading.session(flow.settings) as conn:
            conn.execute("update ops.delivery set state_at = received_at")
        return
    now = datetime.combine(day, CLOCK)
    installing.refresh_calendar(flow.settings, now)
    follow_up(flow.settings, now, no_connection, calendar=True)


def arrivals(flow: Flow) -> dict[tuple[str, str | None, str], date]:
    """The day on which each period of a dataset and sender was first accepted."""
    rows = flow.ask(
        "select dataset_id, sender_code, period, min((received_at at time zone 'Europe/Berlin')::date)"
        " from ops.delivery cross join unnest(periods) as period where state = 'loaded' group by 1, 2, 3"
    )
    return {(dataset, sender, period): day for dataset, sender, period, day in rows}


def refusals(flow: Flow) -> dict[tuple[str, str | None, str], date]:
    """The day on which a file for a period was first refused: from then on the office knows."""
    rows = flow.ask(
        "select dataset_id, sender_code, period_code, min((first_seen_at at time zone 'Europe/Berlin')::date) from ops.incident"
        " where severity = 'critical' and rule not like 'calendar.%%' and period_code is not null group by 1, 2, 3"
    )
    return {(dataset, sender, period): day for dataset, sender, period, day in rows}


def of_calendar(flow: Flow, entries: list[DueEntry]) -> list[Told]:
    """A reminder a week before what is not there; a note on the first day after the grace."""
    came, refused = arrivals(flow), refusals(flow)
    told: list[Told] = []
    for one in entries:
        key = (one.dataset_id, one.sender_code, one.period_code)
        arrived = came.get(key, date.max)
        reminded, missed = one.due_on - timedelta(days=REMINDER_DAYS), one.grace_until + timedelta(days=1)
        place = (one.dataset_id, one.sender_code)
        if arrived > max(reminded, FIRST) and refused.get(key, date.max) > reminded:
            told.append((*place, "reminder", one.period_code, max(reminded, FIRST)))
        if arrived >= missed and missed <= LAST:
            told.append((*place, "overdue", one.period_code, missed))
    return told


def messages(flow: Flow, *kinds: str) -> list[Told]:
    rows = flow.ask(
        "select dataset_id, sender_code, kind, period_code, (composed_at at time zone 'Europe/Berlin')::date from ops.message"
        " where kind = any(%s) order by message_id",
        list(kinds),
    )
    return [(dataset, sender, kind, period, day) for dataset, sender, kind, period, day in rows]


def differences(found: list[Any], expected: list[Any]) -> dict[str, list[Any]]:
    surplus, lacking = Counter(found) - Counter(expected), Counter(expected) - Counter(found)
    return {name: sorted(these, key=str) for name, these in (("too many", surplus), ("missing", lacking)) if these}


def test_what_became_of_the_files(flow: Flow, handouts: list[Handout]) -> None:
    found = flow.ask("select file_name, state from ops.delivery where container_id is null")
    assert differences(found, [(h.kept_name, h.state) for h in handouts]) == {}
    assert sum(h.state == REFUSED for h in handouts) > 25


def test_reminders_and_overdue_notes(flow: Flow, entries: list[DueEntry]) -> None:
    found, expected = messages(flow, "reminder", "overdue"), of_calendar(flow, entries)
    assert len(expected) > 80
    assert differences(found, expected) == {}


def test_one_verdict_for_each_file_that_was_refused_or_remarked_on(flow: Flow, handouts: list[Handout]) -> None:
    remarked = flow.ask(
        "select distinct d.file_name from ops.delivery as d inner join ops.incident_event as e using (delivery_id)"
        " inner join ops.incident as i using (incident_id)"
        " where d.state = 'loaded' and e.action in ('opened', 'reopened') and i.rule not like 'calendar.%%' and i.severity <> 'info'"
    )
    expected = [h.kept_name for h in handouts if h.state == REFUSED and h.received_at.date() >= FIRST]
    expected += [name for (name,) in remarked]
    told = flow.ask(
        "select d.file_name from ops.message as m inner join ops.message_delivery using (message_id)"
        " inner join ops.delivery as d using (delivery_id) where m.kind = 'verdict'"
    )
    assert differences([name for (name,) in told], expected) == {}


def test_everybody_else_is_thanked_once_a_day_and_dataset(flow: Flow, handouts: list[Handout]) -> None:
    told = flow.ask(
        "select delivery_id, d.file_name from ops.message as m inner join ops.message_delivery using (message_id)"
        " inner join ops.delivery as d using (delivery_id) where m.kind in ('receipt', 'closing', 'verdict', 'repeat')"
    )
    assert max(Counter(number for number, _ in told).values()) == 1, "one message speaks of a file"
    in_year = [h for h in handouts if h.received_at.date() >= FIRST]
    assert differences([name for _, name in told], [h.kept_name for h in in_year if h.state != DUPLICATE]) == {}
    receipts = messages(flow, "receipt")
    senders = flow.ask(
        "select distinct d.dataset_id, d.sender_code, (m.composed_at at time zone 'Europe/Berlin')::date from ops.message as m"
        " inner join ops.message_delivery using (message_id) inner join ops.delivery as d using (delivery_id)"
        " where m.kind = 'receipt'"
    )
    assert len(receipts) == len(senders), "a burst of files is one receipt"


def test_what_stayed_open_went_to_the_second_contact(flow: Flow) -> None:
    rows = flow.ask(
        "select dataset_id, sender_code, period_code, greatest(due_on, (first_seen_at at time zone 'Europe/Berlin')::date),"
        " (closed_at at time zone 'Europe/Berlin')::date from ops.incident"
        # What stayed away has a cause only once a file has come that was refused.
        " where due_on is not null and (severity = 'critical' and cause_id is null or rule = 'calendar.overdue')"
    )
    expected: dict[Any, date] = {}
    for dataset, sender, period, mended_by, closed in rows:
        day = mended_by + timedelta(days=ESCALATION_DAYS + 1)
        if (closed is None or closed > day) and day <= LAST:
            key = (dataset, sender, period)
            expected[key] = min(day, expected.get(key, day))
    found: dict[Any, date] = {}
    for dataset, sender, _, period, day in messages(flow, "escalation"):
        found.setdefault((dataset, sender, period), day)
    assert found == expected
    assert len(found) > 3


def test_living_through_the_last_days_again_says_nothing_new(flow: Flow) -> None:
    before = flow.ask("select message_id, state from ops.message order by 1")
    for day in (LAST - timedelta(days=1), LAST):
        live(flow, day, [])
    assert flow.ask("select message_id, state from ops.message order by 1") == before


def test_nothing_went_out_in_quiet_hours(flow: Flow) -> None:
    """Saturdays, Sundays and the holidays of Lower Saxony; the clock stands at noon."""
    sent = flow.ask(
        "select distinct (sent_at at time zone 'Europe/Berlin')::date from ops.message where sent_at is not null"
    )
    assert len(sent) > 50
    assert all(working_day(day) for (day,) in sent)


def test_all_of_it_lies_in_the_mailbox(flow: Flow) -> None:
    """Nothing waits but what the last quiet hours hold back."""
    states = dict(flow.ask("select state, count(*) from ops.message group by 1"))
    assert states.keys() <= {"sent", "waiting"}
    assert states["sent"] == len(list((flow.settings.home / "outbox").glob("*.eml")))
    assert (
        states.get("waiting", 0) == flow.ask("select count(*) from ops.message where composed_at > '2024-12-31'")[0][0]
    )
