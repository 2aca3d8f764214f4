"""Incidents about what is missing: a delivery that is due and did not come."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from teilhabe.codes.wording import spell_date, spell_period
from teilhabe.contract.delivery_calendar import today
from teilhabe.ops.incident_record import (
    CALENDAR,
    OVERDUE,
    SILENT,
    Change,
    Incident,
    Key,
    ShownFinding,
    asked_again,
    close_incident,
    hold,
    locked,
    move,
    open_incident,
    set_cause,
)

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract
    from teilhabe.ops import Connection

HELD = """exists (
    select from ops.delivery as held
    where held.state in ('validated', 'held') and held.dataset_id = c.dataset_id and c.period_code = any(held.periods)
        and (c.sender_code is null or held.sender_code = c.sender_code)
)"""
"""SQL: whether a file for an entry ``c`` of the calendar is accepted and waits to be loaded, for a person's yes, or for us to build it."""

WITHDRAWN_ON = """(
    select max((gone.state_at at time zone ops.office_time_zone())::date) from ops.delivery as gone
    where gone.state = 'withdrawn' and gone.dataset_id = c.dataset_id and c.period_code = any(gone.periods)
        and (c.sender_code is null or gone.sender_code = c.sender_code)
)"""
"""SQL: the day on which what had come for an entry ``c`` of the calendar was withdrawn, null where nothing was."""


def follow_calendar(conn: Connection, contracts: Iterable[Contract], now: datetime) -> list[Change]:
    """Open an incident for every delivery that stayed away beyond its grace, and close those that have come.

    ``ops.delivery_calendar`` has to be up to date (``delivery_calendar.refresh``). Two rules:

    ``calendar.overdue``, per period: the grace is over. A refused file that nobody has mended is its cause.
    ``calendar.silent``, for the first period of a row: nothing has ever come from this sender, or a second period in a row
    is overdue, and not even a refused file came. It is the cause of the overdue ones of its row.

    What was due before ``ops.follow_up.since`` opens nothing. What nobody owes any more, because the contract has changed,
    is closed like what has come. Running it again on the same day changes nothing. A file that waits for a person's yes is
    here: nothing is opened for its period, and what is open stays until it is decided.
    """
    known_contracts = {contract.dataset_id: contract for contract in contracts}
    hold(conn, known_contracts)
    incidents = locked(
        conn, "i.rule = any(%s) or (i.dataset_id = any(%s) and i.state <> 'fixed')", (CALENDAR, list(known_contracts))
    )
    known = {incident.key: incident for incident in incidents}
    series = _series(conn, list(known_contracts), now)
    changes: list[Change] = []
    wanted: set[Key] = set()
    for key, owed in series.items():
        contract = known_contracts[key[0]]
        refusals = {i.period_code: i for i in incidents if i.key[:2] == key and i.is_refusal}
        lasting = next((i for i in incidents if i.key[:2] == key and i.is_silence), None)
        silence = owed.silence(refusals, lasting.period_code if lasting else None)
        silent = None
        if silence:
            silent, news = _miss(conn, known, contract, silence[0], SILENT, now)
            changes += news
            wanted.add(silent.key)
        wanted |= {(*key, entry.period_code, OVERDUE) for entry in owed.entries if entry.state == "held"}
        for entry in owed.overdue:
            overdue, news = _miss(conn, known, contract, entry, OVERDUE, now)
            changes += news
            wanted.add(overdue.key)
            cause = refusals.get(entry.period_code) or (silent if entry in silence else refusals.get(None))
            set_cause(conn, overdue.incident_id, cause.incident_id if cause else None)
    arrived: dict[tuple[str, str | None, str | None], int | None] = {
        (e.dataset_id, e.sender_code, e.period_code): e.delivery_id for o in series.values() for e in o.entries
    }
    for incident in incidents:
        if incident.rule in CALENDAR and incident.state != "fixed" and incident.key not in wanted:
            changes += close_incident(conn, [incident], now, arrived.get(incident.key[:3]))
    return changes


@dataclass(frozen=True)
class _Owed:
    """A line of the calendar as it stands."""

    dataset_id: str
    sender_code: str | None
    period_code: str
    reference_end: date
    due_on: date
    grace_until: date
    delivery_id: int | None
    state: str
    withdrawn_on: date | None


@dataclass
class _Series:
    """What one sender owes of one dataset, by the end of the periods; overdue counts only since follow-up began."""

    entries: list[_Owed]
    has_delivered: bool

    @property
    def overdue(self) -> list[_Owed]:
        return [entry for entry in self.entries if entry.state == "overdue"]

    def silence(self, refusals: Collection[str | None], since: str | None) -> list[_Owed]:
        """The overdue entries since which nothing has come, where that is a silence and not one late delivery.

        One that lasts ``since`` a period ends with what is accepted; files that were refused or wait for a yes only keep a
        new one from beginning.
        """
        last = max((entry.reference_end for entry in self.entries if entry.delivery_id is not None), default=date.min)
        row = [entry for entry in self.entries if entry.state in ("overdue", "held") and entry.reference_end > last]
        began = next((n for n, entry in enumerate(row) if entry.period_code == since), None)
        if began is not None:
            return row[began:]
        row = [entry for entry in row if entry.state == "overdue" and entry.period_code not in refusals]
        if None in refusals:
            return []
        return row if len(row) > 1 or not self.has_delivered else []


def _series(conn: Connection, dataset_ids: list[str], now: datetime) -> dict[tuple[str, str | None], _Series]:
    """The calendar of these datasets, by dataset and sender."""
    rows = conn.execute(
        "select distinct dataset_id, sender_code from ops.delivery"
        " where state in ('loaded', 'validated', 'held', 'withdrawn') and dataset_id = any(%s)",
        (dataset_ids,),
    ).fetchall()
    delivered = {(dataset_id, sender) for dataset_id, sender in rows} | {(dataset_id, None) for dataset_id, _ in rows}
    found: dict[tuple[str, str | None], _Series] = {}
    with conn.cursor(row_factory=class_row(_Owed)) as cursor:
        cursor.execute(
            f"""
            select c.dataset_id, c.sender_code, c.period_code, c.reference_end, c.due_on, c.grace_until, c.delivery_id,
                case
                    when c.state = 'overdue' and c.due_on < f.since then 'before'
                    when c.state = 'overdue' and {HELD} then 'held'
                    else c.state
                end as state,
                {WITHDRAWN_ON} as withdrawn_on
            from ops.delivery_calendar_at(%s) as c cross join ops.follow_up as f
            where c.dataset_id = any(%s) order by c.dataset_id, c.sender_code, c.reference_end, c.period_code
            """.encode(),
            (today(now), dataset_ids),
        )
        for entry in cursor:
            key = (entry.dataset_id, entry.sender_code)
            found.setdefault(key, _Series([], key in delivered)).entries.append(entry)
    return found


def _miss(
    conn: Connection,
    known: Mapping[Key, Incident],
    contract: Contract,
    entry: _Owed,
    rule: str,
    now: datetime,
) -> tuple[Incident, list[Change]]:
    """The incident of what has not come, and whether that is news. Every day it is not there it is seen, but not counted."""
    finding = _missing(contract, entry, rule)
    incident = known.get((entry.dataset_id, entry.sender_code, entry.period_code, rule))
    if incident is None:
        incident = open_incident(conn, entry.dataset_id, entry.sender_code, entry.period_code, finding, now)
        return incident, [incident.change("opened")]
    incident.message = finding.message
    is_back = incident.state == "fixed"
    conn.execute(
        "update ops.incident set message = %s, last_seen_at = greatest(last_seen_at, %s), times_seen = times_seen + %s"
        " where incident_id = %s",
        (finding.message, now, int(is_back), incident.incident_id),
    )
    if not is_back:
        return incident, []
    return incident, [move(conn, incident, "reopened", "reopened", now, columns=asked_again(now))]


def _missing(contract: Contract, entry: _Owed, rule: str) -> ShownFinding:
    name = next((s.territory_name for s in contract.senders if s.territory_code == entry.sender_code), None)
    what = f"„{contract.title_de}“" + (f" ({name})" if name else "")
    period = spell_period(entry.period_code)
    if rule == SILENT:
        return ShownFinding(rule, "critical", f"Zu {what} kommt nichts mehr an; es fehlt alles seit {period}.", 1)
    became = (
        f"; was dazu eingegangen war, ist am {spell_date(entry.withdrawn_on)} zurückgezogen worden."
        if entry.withdrawn_on
        else f" und ist bis zum {spell_date(entry.grace_until)} nicht eingegangen."
    )
    return ShownFinding(
        rule, "warning", f"Die Lieferung {what} für {period} war am {spell_date(entry.due_on)} fällig{became}", 1
    )
