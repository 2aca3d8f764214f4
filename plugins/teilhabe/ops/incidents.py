"""What is open with whom: incidents are opened, updated and closed by verdicts and by the calendar, and judged by people.

One incident per dataset, sender, period and rule, however often it recurs. Nothing here asks the clock: ``now`` is given and
has a time zone. No function commits; whoever calls decides what belongs together.

Verdicts are followed in the order in which they are given to ``follow``; what counts between deliveries is when they were
handed in. Writers of one dataset wait for each other (an advisory lock), people at the desk only for the rows they touch;
rows are always locked in the order of their ids, so nobody waits in a circle.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from teilhabe import ops
from teilhabe.codes.periods import period_end
from teilhabe.contract.delivery_calendar import due_entries, today
from teilhabe.findings import consequences
from teilhabe.ops.incident_record import (
    OVERDUE,
    PERIODS,
    SILENT,
    Action,
    Change,
    Delivery,
    Incident,
    ShownFinding,
    asked_again,
    close_incident,
    delivery_of,
    hold,
    locked,
    move,
    open_incident,
    set_cause,
)

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract
    from teilhabe.ops import Connection


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
    hold(conn, [contract.dataset_id])
    delivery = delivery_of(conn, delivery_id)
    if delivery.state == "duplicate":
        conn.execute(
            "update ops.delivery set followed_at = coalesce(followed_at, %s) where delivery_id = %s", (now, delivery_id)
        )
    if delivery.followed_at is not None or delivery.state not in ("loaded", "quarantined"):
        return []
    known = locked(
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
        set_cause(conn, incident_id, seen.get(causes.get(rule, "")))
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
    changes += close_incident(conn, over, now, delivery_id)
    conn.execute("update ops.delivery set followed_at = %s where delivery_id = %s", (now, delivery_id))
    return changes


def _shown(conn: Connection, delivery_id: int) -> dict[str, ShownFinding]:
    """What a verdict holds against a delivery, by rule, in the order it was found; hints (``info``) are nothing to mend."""
    with conn.cursor(row_factory=class_row(ShownFinding)) as cursor:
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


def _period(contract: Contract, delivery: Delivery) -> str | None:
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


def _is_outdated(conn: Connection, contract: Contract, delivery: Delivery, period: str | None, rule: str) -> bool:
    """Whether a clean delivery that was handed in later has been followed already: then this one came late."""
    rows = conn.execute(
        f"""
        select {PERIODS}, later.sender_code from ops.delivery as later
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
    conn: Connection, contract: Contract, refused: Delivery | Incident, period: str, accepted: Iterable[str]
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


def _was_missing(conn: Connection, contract: Contract, refused: Delivery | Incident, accepted: Iterable[str]) -> bool:
    """Whether one of the periods ``accepted`` was over and asked for when a refused file came, and had not come itself."""
    received_at = refused.received_at
    if received_at is None:
        return False
    ended = [code for code in accepted if (end := period_end(code)) is not None and end <= today(received_at)]
    had, owed = _had_and_owed(conn, contract, refused, ended)
    return any(code in owed and code not in had for code in ended)


def _had_and_owed(
    conn: Connection, contract: Contract, refused: Delivery | Incident, periods: Sequence[str]
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
    conn: Connection,
    known: Incident | None,
    delivery: Delivery,
    period: str | None,
    finding: ShownFinding,
    now: datetime,
) -> tuple[Incident, Action | None]:
    """The incident of a finding and what became of it; no action when this very delivery has shown it before."""
    if known is None:
        incident = open_incident(
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
        move(conn, known, "reopened", "reopened", now, delivery_id=delivery.delivery_id, columns=asked_again(now))
        return known, "reopened"
    move(conn, known, "seen", known.state, now, delivery_id=delivery.delivery_id)
    return known, "seen"


def _mends(
    conn: Connection, contract: Contract, delivery: Delivery, incident: Incident, shown: Collection[str]
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
