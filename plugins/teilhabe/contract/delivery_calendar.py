"""What is due when, from the contracts alone: per dataset, sender and period the day it is due and the end of patience.

``due_entries`` is pure and works for any year; ``refresh`` keeps ``ops.delivery_calendar`` as the contracts say, and
``ops.delivery_calendar_at(day)`` joins it with what arrived.
"""

from __future__ import annotations

import calendar as month_lengths
import re
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from teilhabe.codes.holidays import next_working_day
from teilhabe.codes.office_time import OFFICE_TIME
from teilhabe.codes.periods import period_end

if TYPE_CHECKING:
    from teilhabe import ops
    from teilhabe.contract.model import Contract

TERM_YEARS = 5
"""Municipal councils in Lower Saxony are elected for five years (§ 47 NKomVG)."""

_FREQUENCY_MONTHS = {"yearly": 12, "half_yearly": 6, "quarterly": 3, "monthly": 1}
_KIND_MONTHS = {
    "year": 12,
    "school_year": 12,
    "guidance_year": 12,
    "half_year": 6,
    "allocation_half_year": 6,
    "quarter": 3,
    "month": 1,
}
_LAST_MONTH = {"school_year": 7, "guidance_year": 9, "allocation_half_year": 9}
"""The month in which the (last) period of a year ends, where it is not December."""
_YEARS_BACK, _YEARS_AHEAD = 3, 1
_TERM_YEARS_AROUND = TERM_YEARS + 1


@dataclass(frozen=True, order=True)
class DueEntry:
    """One delivery to come: the fields of ``ops.delivery_calendar``."""

    dataset_id: str
    sender_code: str | None
    period_code: str
    reference_end: date
    due_on: date
    grace_until: date


def due_entries(contract: Contract, years: Iterable[int]) -> list[DueEntry]:
    """Every delivery whose reference period ends in one of ``years``, by end and sender.

    ``period_code`` is written as the deliveries write it. Nothing is due before the first period of the contract. A due
    date on which nobody works is the next working day (as § 193 BGB has it), and so is the last day of the grace.
    """
    agreed = contract.calendar
    first = _first_end(agreed.first_period)
    senders: list[str | None] = [sender.territory_code for sender in contract.senders] or [None]
    entries = []
    for period_code, end in sorted(
        {pair for year in years for pair in _periods(contract, year)}, key=lambda pair: pair[1]
    ):
        if end < first:
            continue
        due_on = next_working_day(end + timedelta(days=agreed.lag_days))
        grace_until = next_working_day(due_on + timedelta(days=agreed.grace_days))
        entries += [DueEntry(contract.dataset_id, sender, period_code, end, due_on, grace_until) for sender in senders]
    return entries


def years_around(contract: Contract, today: date) -> range:
    """The years the calendar holds: enough to see what was missed, and what is next."""
    if contract.calendar.frequency == "per_term":
        return range(today.year - _TERM_YEARS_AROUND, today.year + _TERM_YEARS_AROUND + 1)
    return range(today.year - _YEARS_BACK, today.year + _YEARS_AHEAD + 1)


def refresh(conn: ops.Connection, contracts: Iterable[Contract], today: date) -> int:
    """Make the table agree with the contracts for the years around ``today``; returns how many rows changed.

    Older years stay as they were agreed at the time; datasets without a contract go.
    """
    known = list(contracts)
    wanted = [entry for contract in known for entry in due_entries(contract, years_around(contract, today))]
    columns = ", ".join(field.name for field in fields(DueEntry))
    conn.execute("select pg_advisory_xact_lock(hashtext('teilhabe.delivery_calendar'))")
    conn.execute(
        "create temporary table if not exists wanted_calendar (like ops.delivery_calendar) on commit delete rows"
    )
    conn.execute("truncate wanted_calendar")
    with conn.cursor() as cursor, cursor.copy(f"copy wanted_calendar ({columns}) from stdin") as stream:
        for entry in wanted:
            stream.write_row(astuple(entry))
    gone = conn.execute(
        """
        delete from ops.delivery_calendar as c
        where not exists (select 1 from wanted_calendar as w where w.dataset_id = c.dataset_id)
            or (
                c.reference_end >= (
                    select min(w.reference_end) from wanted_calendar as w where w.dataset_id = c.dataset_id
                )
                and not exists (
                    select 1 from wanted_calendar as w
                    where w.dataset_id = c.dataset_id and w.period_code = c.period_code
                        and w.sender_code is not distinct from c.sender_code
                )
            )
        """
    ).rowcount
    changed = conn.execute(
        f"""
        insert into ops.delivery_calendar as c ({columns}) select {columns} from wanted_calendar
        on conflict (dataset_id, sender_code, period_code) do update
        set reference_end = excluded.reference_end, due_on = excluded.due_on, grace_until = excluded.grace_until
        where (c.reference_end, c.due_on, c.grace_until)
            is distinct from (excluded.reference_end, excluded.due_on, excluded.grace_until)
        """.encode()
    ).rowcount
    return gone + changed


@dataclass(frozen=True)
class Standing:
    """How it stands with one dataset (and sender): the latest delivery that was due, and what comes next."""

    dataset_id: str
    sender_code: str | None
    period_code: str
    due_on: date
    grace_until: date
    state: str
    """``delivered``, ``late``, ``due``, ``overdue`` or, where nothing was ever due, ``not_yet_due``."""
    missing: list[str]
    """Periods that stayed away although earlier ones had come or follow-up had begun, the latest one aside."""
    next_period: str | None
    next_due_on: date | None


def latest_due(conn: ops.Connection, day: date) -> list[Standing]:
    """One row per dataset and sender, as it stood on ``day``. Whoever delivered a later period only still owes the earlier."""
    with conn.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(
            """
            with calendar as (
                select *, row_number() over (
                    partition by dataset_id, sender_code order by (due_on > %(day)s), abs(due_on - %(day)s), period_code
                ) as nearness
                from ops.delivery_calendar_at(%(day)s)
            ),
            arrived as (
                select dataset_id, sender_code, min(reference_end) as first_end
                from calendar where delivery_id is not null group by dataset_id, sender_code
            ),
            gap as (
                select c.dataset_id, c.sender_code, array_agg(c.period_code order by c.reference_end) as missing
                from calendar as c
                inner join arrived as a on a.dataset_id = c.dataset_id and a.sender_code is not distinct from c.sender_code
                cross join ops.follow_up as f
                where c.state = 'overdue' and c.nearness > 1
                    and (c.reference_end > a.first_end or c.due_on >= f.since)
                group by c.dataset_id, c.sender_code
            ),
            following as (
                select distinct on (dataset_id, sender_code) dataset_id, sender_code, period_code, due_on
                from calendar where state = 'not_yet_due' and nearness > 1
                order by dataset_id, sender_code, due_on
            )
            select l.dataset_id, l.sender_code, l.period_code, l.due_on, l.grace_until, l.state,
                coalesce(g.missing, '{}') as missing, f.period_code as next_period, f.due_on as next_due_on
            from calendar as l
            left join gap as g on g.dataset_id = l.dataset_id and g.sender_code is not distinct from l.sender_code
            left join following as f on f.dataset_id = l.dataset_id and f.sender_code is not distinct from l.sender_code
            where l.nearness = 1
            order by l.dataset_id, l.sender_code nulls first
            """,
            {"day": day},
        ).fetchall()


def today(now: datetime | None = None) -> date:
    """The day where the offices are."""
    return (now or datetime.now(UTC)).astimezone(OFFICE_TIME).date()


def _first_end(first_period: str) -> date:
    """A year as the first period lets in every reference date within it."""
    if re.fullmatch(r"\d{4}", first_period):
        return date(int(first_period), 1, 1)
    return period_end(first_period) or date.min


def _periods(contract: Contract, year: int) -> Iterator[tuple[str, date]]:
    """Codes and ends of the periods of a contract that end in ``year``."""
    agreed = contract.calendar
    reference = agreed.reference
    if agreed.frequency == "per_term":
        yield from _elections(date.fromisoformat(reference), agreed.first_period, year)
        return
    months = _FREQUENCY_MONTHS[agreed.frequency]
    if "-" in reference:
        month, day = (int(part) for part in reference.split("-"))
        at_month_end = day >= month_lengths.monthrange(2001, month)[1]
        for n in range(12 // months):
            this = (month - 1 + n * months) % 12 + 1
            length = month_lengths.monthrange(year, this)[1]
            end = date(year, this, length if at_month_end else min(day, length))
            yield end.isoformat(), end
        return
    # An office that sends three months at once owes them when the last is over.
    step = max(months, _KIND_MONTHS[reference])
    last = _LAST_MONTH.get(reference, 12)
    for n in range(12 // step):
        month = (last - 1 - n * step) % 12 + 1
        yield _code(reference, year, month), date(year, month, month_lengths.monthrange(year, month)[1])


def _code(kind: str, year: int, month: int) -> str:
    """The code of the period of this kind that ends with this month."""
    match kind:
        case "month":
            return f"{year}-{month:02d}"
        case "quarter":
            return f"{year}-Q{(month - 1) // 3 + 1}"
        case "half_year":
            return f"{year}-H{(month - 1) // 6 + 1}"
        case "school_year":
            return f"SY{year - 1}"
        case "guidance_year":
            return f"AY{year - 1}"
        case "allocation_half_year":
            return f"WH{year - 1}" if month == 3 else f"SH{year}"
        case _:
            return str(year)


def _elections(known: date, first_period: str, year: int) -> Iterator[tuple[str, date]]:
    """Elections fall on the same Sunday of the same month, every term; the code is a year where the series begins with one."""
    if (year - known.year) % TERM_YEARS:
        return
    week = (known.day - 1) // 7
    first_of_month = date(year, known.month, 1)
    until = (known.weekday() - first_of_month.weekday()) % 7
    end = first_of_month + timedelta(days=until + 7 * week)
    yield (str(year) if re.fullmatch(r"\d{4}", first_period) else end.isoformat()), end
