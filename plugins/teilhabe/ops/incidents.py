"""What is open with whom: incidents are opened, updated and closed by verdicts and by the calendar, and judged by people.

One incident per dataset, sender, period and rule, however often it recurs. Nothing here asks the clock: ``now`` is given and
has a time zone. No function commits; whoever calls decides what belongs together.

Verdicts are followed in the order in which they are given to ``follow``; what counts between deliveries is when they were
handed in. Writers of one dataset wait for each other (an advisory lock), people at the desk only for the rows they touch;
rows are always locked in the order of their ids, so nobody waits in a circle.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from psycopg.rows import class_row

from teilhabe import ops
from teilhabe.codes.holidays import add_working_days
from teilhabe.codes.periods import period_end
from teilhabe.codes.wording import spell_date, spell_period
from teilhabe.contract.delivery_calendar import due_entries, today
from teilhabe.errors import IncidentError, Severity
from teilhabe.findings import consequences

if TYPE_CHECKING:
    from teilhabe.contract.contracts import Contract
    from teilhabe.ops import Connection

State = Literal["open", "acknowledged", "reopened", "waived", "fixed"]
Action = Literal["opened", "seen", "acknowledged", "noted", "waived", "waiver_ended", "fixed", "reopened"]

OPEN: tuple[State, ...] = ("open", "acknowledged", "reopened")
"""States in which somebody has something to do."""

PIPELINE = "pipeline"
"""Who acts where no person does."""

MEND_WORKING_DAYS = 5
"""How long an office has to mend something, from the working day after it is told."""

WAIVER_DAYS = 731
"""How long something may be accepted as it is without anybody looking at it again: two years."""

OVERDUE, SILENT = "calendar.overdue", "calendar.silent"
_CALENDAR = [OVERDUE, SILENT]

_Key = tuple[str, str | None, str | None, str]
"""Dataset, sender, period and rule."""


@dataclass(frozen=True)
class Change:
    """What happened to an incident, for whoever tells people of it."""

    incident_id: int
    action: Action
    severity: str
    rule: str
    message: str


@dataclass(frozen=True)
class _Delivery:
    delivery_id: int
    dataset_id: str
    file_name: str
    received_at: datetime
    sender_code: str | None
    state: str
    periods: list[str]
    followed_at: datetime | None

    @property
    def rank(self) -> tuple[datetime, int]:
        """Of two deliveries the one handed in later counts."""
        return self.received_at, self.delivery_id


@dataclass
class _Incident:
    """A row of ``ops.incident``, locked, with when the delivery was handed in that showed it last."""

    incident_id: int
    dataset_id: str
    sender_code: str | None
    period_code: str | None
    rule: str
    severity: str
    state: State
    message: str
    waived_until: date | None
    cause_id: int | None
    delivery_id: int | None
    received_at: datetime | None
    file_name: str | None
    delivery_state: str | None

    def change(self, action: Action) -> Change:
        return Change(self.incident_id, action, self.severity, self.rule, self.message)

    @property
    def key(self) -> _Key:
        return self.dataset_id, self.sender_code, self.period_code, self.rule

    @property
    def is_refusal(self) -> bool:
        """Whether it keeps a delivery out of the warehouse, and is no consequence of another one that does."""
        is_open_verdict = self.rule not in _CALENDAR and self.state != "fixed"
        return is_open_verdict and self.severity == "critical" and self.cause_id is None

    @property
    def is_silence(self) -> bool:
        return self.rule == SILENT and self.state != "fixed"

    def came_after(self, delivery: _Delivery) -> bool:
        """Whether a delivery handed in after this one showed it."""
        if self.received_at is None or self.delivery_id is None:
            return False
        return (self.received_at, self.delivery_id) > delivery.rank


_INCIDENT = """
    select i.incident_id, i.dataset_id, i.sender_code, i.period_code, i.rule, i.severity, i.state, i.message, i.waived_until,
        i.cause_id, i.delivery_id, d.received_at, d.file_name, d.state as delivery_state
    from ops.incident as i left join ops.delivery as d using (delivery_id)
"""
_PERIODS = "coalesce(nullif(periods, '{}'), array_remove(array[coalesce(period_stated, period_inferred)], null))"
"""What a delivery is about; of one that could not be read, what was said beside it."""


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


def unfollowed(conn: Connection) -> list[int]:
    """Deliveries with a verdict nobody has taken notice of yet, in the order they were handed in.

    A duplicate is one as well once it is known what became of the first.
    """
    rows = conn.execute(
        """
        select d.delivery_id from ops.delivery as d left join ops.delivery as first on first.delivery_id = d.duplicate_of
        where d.followed_at is null and (
            d.state in ('loaded', 'quarantined')
            or (d.state = 'duplicate' and first.state in ('loaded', 'quarantined', 'unpacked'))
        )
        order by d.received_at, d.delivery_id
        """
    )
    return [delivery_id for (delivery_id,) in rows]


def follow(conn: Connection, contract: Contract, delivery_id: int, now: datetime) -> list[Change]:
    """Take notice of a verdict: open, see again, reopen and close incidents; marks the delivery as followed.

    A delivery that has been followed, or has no verdict of its own (a duplicate, a container, one under way), changes
    nothing. What a delivery handed in later no longer shows is not opened by an older one that arrives late.
    """
    _hold(conn, [contract.dataset_id])
    delivery = _delivery(conn, delivery_id)
    if delivery.state == "duplicate":
        conn.execute(
            "update ops.delivery set followed_at = coalesce(followed_at, %s) where delivery_id = %s", (now, delivery_id)
        )
    if delivery.followed_at is not None or delivery.state not in ("loaded", "quarantined"):
        return []
    known = _locked(
        conn,
        "i.dataset_id = %s and (i.sender_code is null or i.sender_code = %s)",
        (delivery.dataset_id, delivery.sender_code),
    )
    shown = _shown(conn, delivery_id)
    period = _period(contract, delivery)
    changes: list[Change] = []
    seen: dict[str, int] = {}
    own = {i.rule: i for i in known if (i.sender_code, i.period_code) == (delivery.sender_code, period)}
    for rule, finding in shown.items():
        if not _is_outdated(conn, contract, delivery, period, rule):
            incident, action = _see(conn, own.get(rule), delivery, period, finding, now)
            seen[rule] = incident.incident_id
            changes += [incident.change(action)] if action else []
    causes = consequences.causes(ops.findings(conn, delivery_id))
    for rule, incident_id in seen.items():
        _set_cause(conn, incident_id, seen.get(causes.get(rule, "")))
    still_shown = set(seen.values())
    over = [
        i
        for i in known
        if i.state != "fixed"
        and i.incident_id not in still_shown
        # Its own delivery has been judged again, or another one is clean.
        and (
            i.delivery_id == delivery_id or (delivery.state == "loaded" and _mends(conn, contract, delivery, i, shown))
        )
    ]
    changes += _close(conn, over, now, delivery_id)
    conn.execute("update ops.delivery set followed_at = %s where delivery_id = %s", (now, delivery_id))
    return changes


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
    _hold(conn, known_contracts)
    incidents = _locked(
        conn, "i.rule = any(%s) or (i.dataset_id = any(%s) and i.state <> 'fixed')", (_CALENDAR, list(known_contracts))
    )
    known = {incident.key: incident for incident in incidents}
    series = _series(conn, list(known_contracts), now)
    changes: list[Change] = []
    wanted: set[_Key] = set()
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
            _set_cause(conn, overdue.incident_id, cause.incident_id if cause else None)
    arrived: dict[tuple[str, str | None, str | None], int | None] = {
        (e.dataset_id, e.sender_code, e.period_code): e.delivery_id for o in series.values() for e in o.entries
    }
    for incident in incidents:
        if incident.rule in _CALENDAR and incident.state != "fixed" and incident.key not in wanted:
            changes += _close(conn, [incident], now, arrived.get(incident.key[:3]))
    return changes


def acknowledge(conn: Connection, incident_id: int, actor: str, now: datetime, note: str | None = None) -> list[Change]:
    """Somebody is on it; what follows from the incident goes along.

    Raises:
        IncidentError: there is no such incident, or it is not open.
    """
    group = _with_consequences(conn, incident_id)
    if group[0].state not in ("open", "reopened"):
        raise IncidentError(
            f"Beanstandung {incident_id} {_STATE_WORDS[group[0].state]} und kann nicht in Bearbeitung genommen werden."
        )
    open_ones = [i for i in group if i.state in ("open", "reopened")]
    return [_move(conn, i, "acknowledged", "acknowledged", now, actor=actor, note=note or None) for i in open_ones]


def last_waiver_day(day: date) -> date:
    """Until when something may be accepted as it is on a day: nobody should forget about it for good."""
    return day + timedelta(days=WAIVER_DAYS)


def waive(conn: Connection, incident_id: int, actor: str, now: datetime, reason: str, until: date) -> list[Change]:
    """Accept it as it is up to and including ``until``; what follows from the incident goes along. May be prolonged.

    Raises:
        IncidentError: there is no such incident, it is closed, no reason is given, or the day has passed or is too far away.
    """
    group = _with_consequences(conn, incident_id)
    if not reason.strip():
        raise IncidentError("Bitte begründen, warum die Beanstandung hingenommen wird.")
    if until < today(now):
        raise IncidentError(f"Der {spell_date(until)} ist schon vorbei; bitte einen Tag ab heute wählen.")
    if until > last_waiver_day(today(now)):
        raise IncidentError(
            f"Bis zum {spell_date(until)} ist zu lang: Eine Ausnahme gilt höchstens zwei Jahre, hier bis zum "
            f"{spell_date(last_waiver_day(today(now)))}. Sie lässt sich später verlängern."
        )
    if group[0].state == "fixed":
        raise IncidentError(f"Beanstandung {incident_id} {_STATE_WORDS['fixed']} und braucht keine Ausnahme mehr.")
    why = f"{reason.strip()} (bis {spell_date(until)})"
    waiver = {"waived_by": actor, "waived_reason": reason.strip(), "waived_until": until}
    lasting = [i for i in group if i.state != "fixed"]
    return [_move(conn, i, "waived", "waived", now, actor=actor, note=why, columns=waiver) for i in lasting]


def note(conn: Connection, incident_id: int, actor: str, now: datetime, text: str) -> Change:
    """Write something into the history; allowed in every state.

    Raises:
        IncidentError: there is no such incident, or the note is empty.
    """
    if not text.strip():
        raise IncidentError("Die Notiz ist leer.")
    incident = _with_consequences(conn, incident_id)[0]
    return _move(conn, incident, "noted", incident.state, now, actor=actor, note=text.strip())


def dismiss(
    conn: Connection, delivery_id: int, actor: str, now: datetime, note: str, *, but: Collection[str] = ()
) -> None:
    """Close what a delivery showed, without a word to its office: somebody has decided that nothing comes of it.

    ``but``: rules another delivery, which counts now, breaks as well.
    """
    delivery = _delivery(conn, delivery_id)
    _hold(conn, [delivery.dataset_id])
    found = _locked(conn, "i.delivery_id = %s and i.state <> 'fixed'", (delivery_id,))
    open_ones = [incident for incident in found if incident.rule not in but]
    for incident in open_ones:
        closed = {"closed_at": now}
        _move(conn, incident, "fixed", "fixed", now, actor=actor, note=note, delivery_id=delivery_id, columns=closed)
    conn.execute(
        "update ops.incident set cause_id = null where cause_id = any(%s) and state <> 'fixed'",
        ([incident.incident_id for incident in open_ones],),
    )
    conn.execute(
        "update ops.delivery set followed_at = coalesce(followed_at, %s) where delivery_id = %s", (now, delivery_id)
    )


def end_waivers(conn: Connection, now: datetime) -> list[Change]:
    """Reopen what was accepted until a day that has passed."""
    ended = _locked(conn, "i.state = 'waived' and i.waived_until < %s", (today(now),))
    return [_move(conn, i, "waiver_ended", "reopened", now, columns=_asked_again(now)) for i in ended]


_STATE_WORDS: Mapping[State, str] = {
    "open": "ist offen",
    "reopened": "ist wieder offen",
    "acknowledged": "ist schon in Bearbeitung",
    "waived": "ist als Ausnahme hingenommen",
    "fixed": "ist erledigt",
}


@dataclass(frozen=True)
class _Finding:
    """All findings of a delivery under one rule."""

    rule: str
    severity: Severity
    message: str
    row_count: int


def _shown(conn: Connection, delivery_id: int) -> dict[str, _Finding]:
    """What a verdict holds against a delivery, by rule, in the order it was found; hints (``info``) are nothing to mend."""
    with conn.cursor(row_factory=class_row(_Finding)) as cursor:
        cursor.execute(
            """
            select rule, (array_agg(severity order by severity, finding_id))[1] as severity,
                (array_agg(message order by severity, finding_id))[1] as message, sum(row_count)::bigint as row_count
            from (
                -- What rows were left out for keeps nothing out any more.
                select finding_id, delivery_id, rule, message, row_count,
                    case when held_back then 'warning' else severity end as severity
                from ops.finding
            ) as finding
            where delivery_id = %s and severity in ('critical', 'warning')
            group by rule order by min(finding_id)
            """,
            (delivery_id,),
        )
        return {finding.rule: finding for finding in cursor}


def _period(contract: Contract, delivery: _Delivery) -> str | None:
    """The period a delivery is about: the last of its periods, of those the calendar asks for where there are any.

    A period that cannot be, because it ends after the file came or before the series begins, tells nothing.
    """
    first = period_end(contract.calendar.first_period) or date.min
    told = delivery.periods or _named_periods(contract, delivery.file_name)
    ends = {code: end for code in told if (end := period_end(code)) is not None}
    possible = {code: end for code, end in ends.items() if first <= end <= today(delivery.received_at)}
    owed = {entry.period_code for entry in due_entries(contract, {end.year for end in possible.values()})}
    if not delivery.periods:  # a number in a name may be that of a table or of the day it was saved
        possible = {code: end for code, end in possible.items() if code in owed} if len(possible) == 1 else {}
    return max(possible, key=lambda code: (code in owed, possible[code], code), default=None)


def _named_periods(contract: Contract, file_name: str) -> set[str]:
    """What the name of a file says that could not be read, in the words of any of its layouts."""
    from teilhabe.reading.cells.periods import periods_in_name

    templates = {period for layout in contract.layouts if (period := getattr(layout, "period", None))}
    return {code for template in templates for code in periods_in_name(file_name, template)}


def _is_outdated(conn: Connection, contract: Contract, delivery: _Delivery, period: str | None, rule: str) -> bool:
    """Whether a clean delivery that was handed in later has been followed already: then this one came late."""
    rows = conn.execute(
        f"""
        select {_PERIODS}, later.sender_code from ops.delivery as later
        where later.dataset_id = %(dataset)s and later.state = 'loaded' and later.followed_at is not null
            and (
                later.sender_code is not distinct from %(sender)s
                or (%(sender)s::text is null and later.file_name = %(file)s)
            )
            and (later.received_at, later.delivery_id) > (%(received)s, %(delivery)s)
            and not exists (
                select from ops.finding as f
                where f.delivery_id = later.delivery_id and f.rule = %(rule)s and f.severity <> 'info'
            )
        """.encode(),
        {
            "dataset": delivery.dataset_id,
            "sender": delivery.sender_code,
            "file": delivery.file_name,
            "received": delivery.received_at,
            "delivery": delivery.delivery_id,
            "rule": rule,
        },
    ).fetchall()
    if period is None or any(period in periods for periods, _ in rows):
        return bool(rows)
    meant = {code for periods, sender in rows if sender == delivery.sender_code for code in periods}
    return delivery.state == "quarantined" and _was_meant(conn, contract, delivery, period, meant)


def _was_meant(
    conn: Connection, contract: Contract, refused: _Delivery | _Incident, period: str, accepted: Iterable[str]
) -> bool:
    """Whether what was ``accepted`` later is what a refused file should have been that said ``period`` by mistake.

    What was missing when it came tells: not its own period, which had been accepted or is asked for by nobody, but one of
    these, which was over. A refused revision of an old period thus waits for its own, unless another one was missing, too.
    """
    own_end = period_end(period)
    if own_end is None:
        return False
    had, owed = _had_and_owed(conn, contract, refused, [period])
    return (period in had or period not in owed) and _was_missing(conn, contract, refused, accepted)


def _was_missing(conn: Connection, contract: Contract, refused: _Delivery | _Incident, accepted: Iterable[str]) -> bool:
    """Whether one of the periods ``accepted`` was over and asked for when a refused file came, and had not come itself."""
    received_at = refused.received_at
    if received_at is None:
        return False
    ended = [code for code in accepted if (end := period_end(code)) is not None and end <= today(received_at)]
    had, owed = _had_and_owed(conn, contract, refused, ended)
    return any(code in owed and code not in had for code in ended)


def _had_and_owed(
    conn: Connection, contract: Contract, refused: _Delivery | _Incident, periods: Sequence[str]
) -> tuple[set[str], set[str]]:
    """The periods accepted from a sender before a refused file came, and those the calendar asks for in these years."""
    rows = conn.execute(
        "select distinct unnest(periods) from ops.delivery where dataset_id = %s and state = 'loaded'"
        " and sender_code is not distinct from %s and (received_at, delivery_id) < (%s, %s)",
        (contract.dataset_id, refused.sender_code, refused.received_at, refused.delivery_id),
    ).fetchall()
    years = {end.year for code in periods if (end := period_end(code)) is not None}
    return {code for (code,) in rows}, {entry.period_code for entry in due_entries(contract, years)}


_SAVED_AGAIN = re.compile(
    r"\(\d{1,2}\)|[\s_-]{0,9}(neu|korrigiert|korrektur|berichtigt|final|kopie|copy|v\d{1,2})(?![a-z])"
)


def _is_same_file(one: str, other: str) -> bool:
    """Whether two names are those of one file, saved again: ``Kunden_2024-03.xlsx`` and ``Kunden_2024-03 (1) neu.csv``."""

    def bare(name: str) -> str:
        stem = name.rsplit("/", 1)[-1].casefold().rsplit(".", 1)[0]
        return re.sub(r"[\W_]+", "", _SAVED_AGAIN.sub("", stem))

    return bool(one) and bare(one) == bare(other)


def _see(
    conn: Connection, known: _Incident | None, delivery: _Delivery, period: str | None, finding: _Finding, now: datetime
) -> tuple[_Incident, Action | None]:
    """The incident of a finding and what became of it; no action when this very delivery has shown it before."""
    if known is None:
        incident = _open(
            conn, delivery.dataset_id, delivery.sender_code, period, finding, now, delivery_id=delivery.delivery_id
        )
        return incident, "opened"
    if not known.came_after(delivery):
        known.severity, known.message = finding.severity, finding.message
        conn.execute(
            "update ops.incident set severity = %s, message = %s, row_count = %s, delivery_id = %s where incident_id = %s",
            (finding.severity, finding.message, finding.row_count, delivery.delivery_id, known.incident_id),
        )
    counted = conn.execute(
        "select from ops.incident_event where incident_id = %s and delivery_id = %s and action <> 'fixed'",
        (known.incident_id, delivery.delivery_id),
    ).fetchone()
    if counted is not None and known.state != "fixed":
        return known, None
    conn.execute(
        "update ops.incident set times_seen = times_seen + 1, last_seen_at = greatest(last_seen_at, %s) where incident_id = %s",
        (now, known.incident_id),
    )
    has_lapsed = known.waived_until is not None and known.waived_until < today(now)
    if known.state == "fixed" or has_lapsed:
        _move(conn, known, "reopened", "reopened", now, delivery_id=delivery.delivery_id, columns=_asked_again(now))
        return known, "reopened"
    _move(conn, known, "seen", known.state, now, delivery_id=delivery.delivery_id)
    return known, "seen"


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
    known: Mapping[_Key, _Incident],
    contract: Contract,
    entry: _Owed,
    rule: str,
    now: datetime,
) -> tuple[_Incident, list[Change]]:
    """The incident of what has not come, and whether that is news. Every day it is not there it is seen, but not counted."""
    finding = _missing(contract, entry, rule)
    incident = known.get((entry.dataset_id, entry.sender_code, entry.period_code, rule))
    if incident is None:
        incident = _open(conn, entry.dataset_id, entry.sender_code, entry.period_code, finding, now)
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
    return incident, [_move(conn, incident, "reopened", "reopened", now, columns=_asked_again(now))]


def _missing(contract: Contract, entry: _Owed, rule: str) -> _Finding:
    name = next((s.territory_name for s in contract.senders if s.territory_code == entry.sender_code), None)
    what = f"„{contract.title_de}“" + (f" ({name})" if name else "")
    period = spell_period(entry.period_code)
    if rule == SILENT:
        return _Finding(rule, "critical", f"Zu {what} kommt nichts mehr an; es fehlt alles seit {period}.", 1)
    became = (
        f"; was dazu eingegangen war, ist am {spell_date(entry.withdrawn_on)} zurückgezogen worden."
        if entry.withdrawn_on
        else f" und ist bis zum {spell_date(entry.grace_until)} nicht eingegangen."
    )
    return _Finding(
        rule, "warning", f"Die Lieferung {what} für {period} war am {spell_date(entry.due_on)} fällig{became}", 1
    )


def _set_cause(conn: Connection, incident_id: int, cause_id: int | None) -> None:
    conn.execute(
        "update ops.incident set cause_id = %(cause)s where incident_id = %(id)s and cause_id is distinct from %(cause)s",
        {"cause": cause_id, "id": incident_id},
    )


def _mends(
    conn: Connection, contract: Contract, delivery: _Delivery, incident: _Incident, shown: Collection[str]
) -> bool:
    """Whether an accepted delivery is what an incident waits for."""
    is_same_sender = incident.sender_code == delivery.sender_code
    if incident.rule == OVERDUE:
        return is_same_sender and incident.period_code in delivery.periods
    if incident.rule == SILENT:
        since = period_end(incident.period_code or "") or date.min
        return is_same_sender and any((period_end(code) or date.min) >= since for code in delivery.periods)
    if incident.rule in shown or incident.came_after(delivery):
        return False
    if not is_same_sender and incident.file_name != delivery.file_name:
        return False  # of a file whose sender nobody knew only the name tells what replaces it
    if incident.period_code is None:
        # Nothing tells what it should have been: the same file, or what was missing when it came.
        return _is_same_file(incident.file_name or "", delivery.file_name) or _was_missing(
            conn, contract, incident, delivery.periods
        )
    if incident.period_code in delivery.periods:
        return True
    return (
        is_same_sender
        and incident.delivery_state == "quarantined"
        and _was_meant(conn, contract, incident, incident.period_code, delivery.periods)
    )


def _close(
    conn: Connection, incidents: Sequence[_Incident], now: datetime, delivery_id: int | None = None
) -> list[Change]:
    if not incidents:
        return []
    changes = [
        _move(conn, incident, "fixed", "fixed", now, delivery_id=delivery_id, columns={"closed_at": now})
        for incident in incidents
    ]
    conn.execute(
        "update ops.incident set cause_id = null where cause_id = any(%s) and state <> 'fixed'",
        ([incident.incident_id for incident in incidents],),
    )
    return changes


def _open(
    conn: Connection,
    dataset_id: str,
    sender_code: str | None,
    period_code: str | None,
    finding: _Finding,
    now: datetime,
    delivery_id: int | None = None,
) -> _Incident:
    [[incident_id]] = conn.execute(
        """
        insert into ops.incident (dataset_id, sender_code, period_code, rule, severity, message, row_count, first_seen_at,
            last_seen_at, delivery_id, due_on)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning incident_id
        """,
        (
            dataset_id,
            sender_code,
            period_code,
            finding.rule,
            finding.severity,
            finding.message,
            finding.row_count,
            now,
            now,
            delivery_id,
            _asked_again(now)["due_on"],
        ),
    ).fetchall()
    [incident] = _locked(conn, "i.incident_id = %s", (incident_id,))
    _record(conn, incident_id, "opened", None, "open", now, delivery_id=delivery_id)
    return incident


def _asked_again(now: datetime) -> dict[str, date]:
    return {"due_on": add_working_days(today(now), MEND_WORKING_DAYS)}


_NO_WAIVER = {"waived_by": None, "waived_reason": None, "waived_until": None}


def _move(
    conn: Connection,
    incident: _Incident,
    action: Action,
    to: State,
    now: datetime,
    *,
    actor: str = PIPELINE,
    note: str | None = None,
    delivery_id: int | None = None,
    columns: Mapping[str, Any] | None = None,
) -> Change:
    """Bring an incident to a state, with its history; further columns by name."""
    values = {"state": to, **(columns or {})}
    if to != incident.state:
        values = {**({} if to == "waived" else _NO_WAIVER), **({} if to == "fixed" else {"closed_at": None}), **values}
    sets = ", ".join(f"{name} = %({name})s" for name in values)
    conn.execute(
        f"update ops.incident set {sets} where incident_id = %(id)s".encode(), {**values, "id": incident.incident_id}
    )
    _record(
        conn, incident.incident_id, action, incident.state, to, now, actor=actor, note=note, delivery_id=delivery_id
    )
    incident.state = to
    return incident.change(action)


def _record(
    conn: Connection,
    incident_id: int,
    action: Action,
    from_state: State | None,
    to_state: State,
    now: datetime,
    *,
    actor: str = PIPELINE,
    note: str | None = None,
    delivery_id: int | None = None,
) -> None:
    conn.execute(
        "insert into ops.incident_event (incident_id, at, actor, action, from_state, to_state, note, delivery_id)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (incident_id, now, actor, action, from_state, to_state, note, delivery_id),
    )


def _hold(conn: Connection, dataset_ids: Iterable[str]) -> None:
    """One writer of verdicts and calendar per dataset; until the transaction ends."""
    for dataset_id in sorted(dataset_ids):
        conn.execute("select pg_advisory_xact_lock(hashtext('teilhabe.incidents.' || %s))", (dataset_id,))


def _locked(conn: Connection, where: str, parameters: Sequence[Any]) -> list[_Incident]:
    with conn.cursor(row_factory=class_row(_Incident)) as cursor:
        cursor.execute(f"{_INCIDENT} where {where} order by i.incident_id for update of i".encode(), parameters)
        return cursor.fetchall()


def _with_consequences(conn: Connection, incident_id: int) -> list[_Incident]:
    """An incident and what follows from it; itself first."""
    found = _locked(conn, "i.incident_id = %s or i.cause_id = %s", (incident_id, incident_id))
    if not any(incident.incident_id == incident_id for incident in found):
        raise IncidentError(f"Eine Beanstandung {incident_id} gibt es nicht.")
    return sorted(found, key=lambda incident: incident.incident_id != incident_id)


def _delivery(conn: Connection, delivery_id: int) -> _Delivery:
    with conn.cursor(row_factory=class_row(_Delivery)) as cursor:
        cursor.execute(
            f"select delivery_id, dataset_id, file_name, received_at, sender_code, state, {_PERIODS} as periods, followed_at"
            " from ops.delivery where delivery_id = %s for update".encode(),
            (delivery_id,),
        )
        found = cursor.fetchone()
    if found is None:
        raise LookupError(delivery_id)
    return found
