"""A year of two municipalities with a frozen clock: exactly the messages there should be, no more, no fewer.

Lengede delivers early and well. Peine is reminded, is late in spring, makes a mistake in June and forgets the summer.

The clock goes to every day on which something can happen: those with a file, the last day on which it is too early for a
reminder or an overdue note and the day after it, and one late enough for an escalation - of every period, whether it came or
not. Nothing else depends on the day: the days between would be like the one before them, which the last test does twice.
"""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import openpyxl
import pytest

from demo import forms
from demo.county import County
from teilhabe import landing, loading, pipeline
from teilhabe import warehouse as server
from teilhabe.errors import ContractError
from tests.conftest import PROJECT, settings_for
from tests.flow import Flow

HOUSING = "housing__accommodation"
LENGEDE, PEINE = "03157005", "03157006"
MONTHS = ["2023-12", *(f"2024-{n:02d}" for n in range(1, 12))]
"""Due in 2024."""
LATE, WRONG, FORGOTTEN = "2024-03", "2024-05", "2024-08"
FIRST, LAST = date(2024, 1, 1), date(2025, 1, 3)
ESCALATED = 30
"""Days after the grace: five working days to mend it, fourteen until the second contact hears, and some holidays."""


def no_connection(name: str) -> landing.Credentials:
    raise ContractError(f"There is no Airflow connection '{name}'.")


@pytest.fixture(scope="module")
def flow(make_home: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    project = tmp_path_factory.mktemp("project")
    for name in ("agencies/housing", "agencies/register", "expectations", "dbt_project/seeds"):
        shutil.copytree(PROJECT / name, project / name)
    (project / "agencies" / "housing" / "allocation.odcs.yaml").unlink()
    contract = project / "agencies" / "housing" / "accommodation.odcs.yaml"
    kept = [
        line
        for line in contract.read_text(encoding="utf-8").splitlines()
        if "territory_name: " not in line or "contact:" not in line or LENGEDE in line or PEINE in line
    ]
    contract.write_text("\n".join(kept) + "\n", encoding="utf-8")
    settings = replace(settings_for(make_home()), project=project)
    server.ensure_running(settings)
    server.provision(settings)
    pipeline.install(settings)
    with loading.session(settings) as conn:
        conn.execute("update ops.follow_up set since = '2024-01-01'")
    yield Flow(settings, settings.home / "drafts")
    server.stop(settings)


def spoilt(content: bytes) -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(content))
    [cell] = [c for row in book["Meldung"].iter_rows() for c in row if c.value == "Belegte Plätze"]
    cell.offset(0, 1).value = "ca. 30"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def following(month: str, day: int) -> date:
    """A day of the month after."""
    year, number = (int(part) for part in month.split("-"))
    return date(year + number // 12, number % 12 + 1, day)


def deliveries() -> dict[date, list[tuple[str, str, bytes]]]:
    """Day -> (municipality, file name, content)."""
    county = County()
    plan: dict[date, list[tuple[str, str, bytes]]] = {}
    for month in MONTHS:
        good = {code: forms.accommodation(county, code, month) for code in (LENGEDE, PEINE)}
        days = [(following(month, 2), LENGEDE, good[LENGEDE].content)]
        if month == WRONG:
            days += [
                (following(month, 5), PEINE, spoilt(good[PEINE].content)),
                (following(month, 7), PEINE, good[PEINE].content),
            ]
        elif month != FORGOTTEN:
            days.append((following(month, 22 if month == LATE else 5), PEINE, good[PEINE].content))
        for day, code, content in days:
            plan.setdefault(day, []).append((code, good[code].name, content))
    return plan


def eventful(flow: Flow) -> list[date]:
    """The days on which something can happen, or is still too early to."""
    days = set(deliveries()) | {FIRST, LAST}
    for due, grace in flow.ask(
        "select distinct due_on, grace_until from ops.delivery_calendar where dataset_id = %s", HOUSING
    ):
        days |= {due - timedelta(days=n) for n in (8, 7)} | {grace + timedelta(days=n) for n in (0, 1, ESCALATED)}
    return sorted(day for day in days if FIRST <= day <= LAST)


def live(flow: Flow) -> None:
    """On every such morning the files of the day, then the calendar, as the DAGs do."""
    plan = deliveries()
    contract = pipeline.contract(flow.settings, HOUSING)
    contacts = {sender.territory_code: sender.contact for sender in contract.senders}
    for day in eventful(flow):
        for code, name, content in plan.get(day, []):
            flow.hand_in(HOUSING, content, name, day.isoformat(), sender=contacts[code])
        if day in plan:
            flow.run(HOUSING)
        now = datetime.combine(day, time(9, 30), tzinfo=UTC)
        pipeline.refresh_calendar(flow.settings, now)
        pipeline.follow_up(flow.settings, now, no_connection, calendar=True)


def test_a_year_gives_exactly_the_expected_messages(flow: Flow) -> None:
    live(flow)
    assert flow.ask("select rule, message from ops.finding where severity = 'warning'") == [], "the files are good"
    due = dict(flow.ask("select period_code, due_on from ops.delivery_calendar where sender_code = %s", PEINE))
    came = {month: following(month, 5) for month in MONTHS}
    came |= {LATE: following(LATE, 22), FORGOTTEN: date.max}
    expected = [(LENGEDE, "receipt", month) for month in MONTHS]
    expected += [(PEINE, "receipt", month) for month in MONTHS if month not in (WRONG, FORGOTTEN)]
    expected += [(PEINE, "reminder", month) for month in MONTHS if due[month] - timedelta(days=7) < came[month]]
    expected += [(PEINE, "verdict", WRONG), (PEINE, "closing", WRONG)]
    expected += [(PEINE, "overdue", LATE), (PEINE, "overdue", FORGOTTEN), (PEINE, "escalation", FORGOTTEN)]
    # What is due in January 2025 may be asked for already; it is not of this year.
    told = flow.ask(
        "select sender_code, kind, period_code from ops.message where dataset_id = %s and period_code <> '2024-12'",
        HOUSING,
    )
    assert (Counter(told) - Counter(expected), Counter(expected) - Counter(told)) == (Counter(), Counter())
    grace = dict(flow.ask("select period_code, grace_until from ops.delivery_calendar where sender_code = %s", PEINE))
    for kind, period, day in flow.ask(
        "select kind, period_code, (composed_at at time zone 'Europe/Berlin')::date from ops.message"
        " where kind in ('reminder', 'overdue') and sender_code = %s",
        PEINE,
    ):
        assert day == (due[period] - timedelta(days=7) if kind == "reminder" else grace[period] + timedelta(days=1))
    assert flow.ask("select distinct state from ops.message where composed_at < '2024-12-31'") == [("sent",)]
    assert flow.ask("select state, rule from ops.incident where state <> 'fixed' and dataset_id = %s", HOUSING) == [
        ("open", "calendar.overdue")
    ]

    assert flow.ask("select jsonb_array_length(attachments) from ops.message where kind = 'verdict'") == [(1,)]
    mailbox = list((flow.settings.home / "outbox").glob("*.eml"))
    assert len(mailbox) == flow.ask("select count(*) from ops.message where state = 'sent'")[0][0]


def test_living_through_the_last_days_again_says_nothing_new(flow: Flow) -> None:
    before = flow.ask("select message_id, state from ops.message order by 1")
    assert before
    for day in (date(2025, 1, 2), date(2025, 1, 3)):
        now = datetime.combine(day, time(9, 45), tzinfo=UTC)
        pipeline.refresh_calendar(flow.settings, now)
        pipeline.follow_up(flow.settings, now, no_connection, calendar=True)
    assert flow.ask("select message_id, state from ops.message order by 1") == before


def test_nothing_went_out_in_quiet_hours(flow: Flow) -> None:
    """Saturdays, Sundays and the holidays of Lower Saxony; the clock stands at half past nine."""
    sent = flow.ask(
        "select distinct (sent_at at time zone 'Europe/Berlin')::date from ops.message where sent_at is not null"
    )
    from teilhabe.holidays import working_day

    assert all(working_day(day) for (day,) in sent)
