"""What the pages ask the database. Every query takes the ``Scope`` of the account and answers within it only.

A restricted account sees rows of its senders; rows without a sender belong to the office and are not shown to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg.rows import class_row, dict_row

from teilhabe import ops
from teilhabe.desk.accounts import Scope
from teilhabe.reading.files import persons

Row = dict[str, Any]

_IN_SCOPE = "{0}.dataset_id = any(%(datasets)s) and (%(senders)s::text[] is null or {0}.sender_code = any(%(senders)s))"
_STANDING = (
    "case when d.state = 'validated' and exists (select from ops.approval as q where q.delivery_id = d.delivery_id "
    "and q.answer is null) then 'asked' else d.state end"
)
"""A delivery's state; ``asked`` while it waits for a person to decide."""
_IS_PERSONAL = f"exists (select from ops.finding as p where p.delivery_id = d.delivery_id and p.rule = '{persons.RULE}') as is_personal"
_SEVERITY_ORDER = "array_position(array['critical', 'warning', 'info'], {0}.severity)"


@dataclass(frozen=True)
class Window:
    """Which periods of a dataset the matrix shows, by the end of their reference."""

    dataset_id: str
    by_sender: bool
    since: date
    until: date


@dataclass(frozen=True, slots=True)
class Cell:
    """One period of one dataset and sender in the matrix."""

    dataset_id: str
    sender_code: str | None
    period_code: str
    reference_end: date
    due_on: date
    state: str
    """As in ``ops.delivery_calendar_at``, or ``refused`` (what came last was), ``asked`` (somebody decides about what came
    last), ``warning`` (loaded, but), ``not_asked``."""
    delivery_id: int | None
    incident_id: int | None
    """The open incident about what is missing."""


# Instant and number in one array, so that the latest is one maximum.
_LATEST = "array[(extract(epoch from d.received_at) * 1000000)::bigint, d.delivery_id]"
_OF_ONE_PERIOD = (
    "from ops.delivery as d where d.dataset_id = w.dataset_id and d.periods[1] = w.period_code "
    "and cardinality(d.periods) = 1 and d.state = '{0}' order by d.received_at {1}, d.delivery_id {1} limit 1"
)
_PROBES = f"""
    left join lateral (select d.received_at {_OF_ONE_PERIOD.format("loaded", "asc")}) as f on true
    left join lateral (select {_LATEST} as latest {_OF_ONE_PERIOD.format("loaded", "desc")}) as l on true
    left join lateral (select {_LATEST} as latest {_OF_ONE_PERIOD.format("quarantined", "desc")}) as r on true"""
_MATRIX = f"""
with wanted as materialized (
    select row_number() over () as cell, c.dataset_id, c.sender_code, c.period_code, c.reference_end, c.due_on, c.grace_until
    from unnest(%(names)s::text[], %(since)s::date[], %(until)s::date[]) as w (dataset_id, since, until)
    inner join ops.delivery_calendar as c
        on c.dataset_id = w.dataset_id and c.reference_end between w.since and w.until
    where {_IN_SCOPE.format("c")}
),
single as (
    -- Nearly every file is about one period: three probes of an index per cell, however many deliveries there are.
    select w.*, f.received_at as first_at, l.latest as loaded, r.latest as refused
    from wanted as w
    {_PROBES}
    where w.sender_code is null
    union all
    select w.*, f.received_at, l.latest, r.latest
    from wanted as w
    {_PROBES.replace("d.dataset_id = w.dataset_id", "d.dataset_id = w.dataset_id and d.sender_code = w.sender_code")}
    where w.sender_code is not null
),
several as materialized (
    select d.dataset_id, case when d.dataset_id = any(%(by_sender)s) then d.sender_code end as sender_code, p.period_code,
        min(d.received_at) filter (where d.state = 'loaded') as first_at,
        max({_LATEST}) filter (where d.state = 'loaded') as loaded,
        max({_LATEST}) filter (where d.state = 'quarantined') as refused
    from ops.delivery as d
    cross join lateral unnest(
        coalesce(d.periods, array[coalesce(d.period_stated, d.period_inferred)])
    ) as p (period_code)
    where d.state in ('loaded', 'quarantined') and coalesce(cardinality(d.periods), 0) <> 1
        and d.dataset_id = any(%(names)s) and p.period_code in (select w.period_code from wanted as w)
    group by 1, 2, 3
),
asked as materialized (
    select d.dataset_id, case when d.dataset_id = any(%(by_sender)s) then d.sender_code end as sender_code, p.period_code,
        max({_LATEST}) as asked
    from ops.approval as q
    inner join ops.delivery as d on d.delivery_id = q.delivery_id
    cross join lateral unnest(
        coalesce(d.periods, array[coalesce(d.period_stated, d.period_inferred)])
    ) as p (period_code)
    where q.answer is null and d.state = 'validated' and d.dataset_id = any(%(names)s)
    group by 1, 2, 3
),
came as (
    select o.cell, o.dataset_id, o.sender_code, o.period_code, o.reference_end, o.due_on, o.grace_until,
        least(o.first_at, m.first_at) as first_at, greatest(o.loaded, m.loaded) as loaded,
        greatest(o.refused, m.refused) as refused, q.asked
    from single as o
    left join asked as q
        on q.dataset_id = o.dataset_id and q.period_code = o.period_code
        and coalesce(q.sender_code, '') = coalesce(o.sender_code, '')
    left join several as m
        on m.dataset_id = o.dataset_id and m.period_code = o.period_code
        and coalesce(m.sender_code, '') = coalesce(o.sender_code, '')
),
standing as materialized (
    select c.cell, c.dataset_id, c.sender_code, c.period_code, c.reference_end, c.due_on, c.grace_until,
        c.loaded[2] as loaded_id, c.refused[2] as refused_id, (c.first_at at time zone ops.office_time_zone())::date as delivered_on,
        case when c.refused > c.loaded or c.loaded is null then c.refused[2] end as refused_last_id,
        case when c.asked > greatest(c.loaded, c.refused) or num_nonnulls(c.loaded, c.refused) = 0 then c.asked[2] end as asked_id
    from came as c
),
faulty as (
    select k.cell, bool_or(k.severity = 'critical') as is_refused, bool_or(k.severity = 'warning') as is_warned
    from (
        select s.cell, s.dataset_id, s.sender_code, s.period_code, s.refused_last_id as delivery_id, 'critical' as severity
        from standing as s where s.refused_last_id is not null
        union all
        select s.cell, s.dataset_id, s.sender_code, s.period_code, s.loaded_id, 'warning'
        from standing as s where s.loaded_id is not null
    ) as k
    inner join ops.finding as f on f.delivery_id = k.delivery_id and f.severity = k.severity
    where not exists (
        -- A finding whose incident was waived has been accepted as it is.
        select from ops.incident as a
        where a.state = 'waived' and a.dataset_id = k.dataset_id and a.rule = f.rule
            and a.sender_code is not distinct from k.sender_code
            and (a.delivery_id = f.delivery_id or a.period_code = k.period_code)
    )
    group by 1
),
missing as materialized (
    select i.dataset_id, coalesce(i.sender_code, '') as sender_code, i.period_code, max(i.incident_id) as incident_id
    from ops.incident as i
    where i.rule like 'calendar.%%' and i.state <> 'fixed' and i.dataset_id = any(%(names)s)
    group by 1, 2, 3
)
select s.dataset_id, s.sender_code, s.period_code, s.reference_end, s.due_on,
    case
        when s.asked_id is not null then 'asked'
        when f.is_refused then 'refused'
        when s.delivered_on is not null and f.is_warned then 'warning'
        when s.delivered_on > s.grace_until then 'late'
        when s.delivered_on is not null then 'delivered'
        when %(today)s < s.due_on then 'not_yet_due'
        when %(today)s <= s.grace_until then 'due'
        -- Nobody is asked for what was due before the installation.
        when s.due_on < (select u.since from ops.follow_up as u) then 'not_asked'
        else 'overdue'
    end as state,
    case
        when s.asked_id is not null then s.asked_id
        when f.is_refused then s.refused_last_id
        else coalesce(s.loaded_id, s.refused_id)
    end as delivery_id,
    case when s.loaded_id is null then m.incident_id end as incident_id
from standing as s
left join faulty as f on f.cell = s.cell
left join missing as m
    on m.dataset_id = s.dataset_id and m.period_code = s.period_code and m.sender_code = coalesce(s.sender_code, '')
order by s.dataset_id, s.sender_code nulls first, s.reference_end, s.period_code
"""


def matrix(conn: ops.Connection, scope: Scope, windows: Sequence[Window], today: date) -> list[Cell]:
    """All cells of the matrix, by dataset, sender and end of period, in one query and one round trip."""
    with conn.pipeline(), conn.cursor(row_factory=class_row(Cell)) as cursor:
        # The planner takes the index probes for dear; compiling them would cost more than running them.
        conn.execute("set local jit = off")
        return cursor.execute(
            _MATRIX,
            {
                "names": [window.dataset_id for window in windows],
                "since": [window.since for window in windows],
                "until": [window.until for window in windows],
                "by_sender": [window.dataset_id for window in windows if window.by_sender],
                "datasets": scope.datasets,
                "senders": scope.senders,
                "today": today,
            },
        ).fetchall()


def open_incidents(conn: ops.Connection, scope: Scope) -> dict[tuple[str, str | None], int]:
    """How many incidents wait for somebody, per dataset and sender."""
    rows = conn.execute(
        f"""
        select i.dataset_id, i.sender_code, count(*) from ops.incident as i
        where i.state in ('open', 'acknowledged', 'reopened') and i.cause_id is null and {_IN_SCOPE.format("i")}
        group by 1, 2
        """.encode(),
        _parameters(scope),
    )
    return {(dataset_id, sender): count for dataset_id, sender, count in rows}


def _parameters(scope: Scope, **more: Any) -> dict[str, Any]:
    return {"datasets": scope.datasets, "senders": scope.senders, "operators": scope.operators, **more}


def _rows(conn: ops.Connection, query: str, parameters: dict[str, Any]) -> list[Row]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), parameters).fetchall()


def _row(conn: ops.Connection, query: str, parameters: dict[str, Any]) -> Row | None:
    found = _rows(conn, query, parameters)
    return found[0] if found else None


# ----------------------------------------------------------------------------------------------------------- deliveries

_INCIDENT_OF_FINDING = """
            select i.incident_id, i.state from ops.incident as i
            where i.dataset_id = d.dataset_id and i.rule = f.rule and i.sender_code is not distinct from d.sender_code
                and (i.delivery_id = d.delivery_id or i.period_code = any(d.periods))
            order by (i.delivery_id = d.delivery_id) desc, i.last_seen_at desc limit 1
"""
"""Of finding ``f`` in delivery ``d``."""


def delivery(conn: ops.Connection, scope: Scope, delivery_id: int) -> Row | None:
    """One delivery with the build that took it in first, and what superseded it; None outside the scope.

    A refused file is superseded once nothing of it is held against the office any more.
    """
    return _row(
        conn,
        f"""
        select d.*, {_STANDING} as standing, {_IS_PERSONAL}, q.asked_at, q.expires_at, q.run_id as asking_run, q.answer, q.answered_by,
            q.answered_at, q.reason as decision_reason, b.build_id, b.finished_at as built_at, later.delivery_id as superseded_by,
            later.received_at as superseded_at, uploaded.actor as uploaded_by, withdrawn.actor as withdrawn_by,
            stone.kind as tombstone, stone.at as removed_on, stone.reason as removal_reason
        from ops.delivery as d
        left join ops.tombstone as stone on stone.delivery_id = d.delivery_id
        left join ops.approval as q on q.delivery_id = d.delivery_id
        left join lateral (
            select b.build_id, b.finished_at from ops.build_delivery as bd
            inner join ops.build as b on b.build_id = bd.build_id and b.state = 'succeeded'
            where bd.delivery_id = d.delivery_id order by b.build_id limit 1
        ) as b on true
        left join lateral (
            select l.delivery_id, l.received_at from ops.delivery as l
            where l.dataset_id = d.dataset_id and l.state = 'loaded' and l.received_at > d.received_at
                and l.sender_code is not distinct from d.sender_code
                and case when d.periods is null then l.file_name = d.file_name else l.periods @> d.periods end
                and (
                    d.state <> 'quarantined' or not exists (
                        select from ops.finding as f inner join lateral ({_INCIDENT_OF_FINDING}) as i on true
                        where f.delivery_id = d.delivery_id and i.state in ('open', 'acknowledged', 'reopened')
                    )
                )
            order by l.received_at, l.delivery_id limit 1
        ) as later on true
        left join lateral (
            select a.actor from ops.desk_act as a
            where a.action = 'uploaded' and a.dataset_id = d.dataset_id and a.arrival = d.source_fingerprint limit 1
        ) as uploaded on true
        left join lateral (
            select a.actor from ops.desk_act as a
            where a.action = 'withdrawn' and a.dataset_id = d.dataset_id and a.delivery_id = d.delivery_id limit 1
        ) as withdrawn on true
        where d.delivery_id = %(delivery_id)s and {_IN_SCOPE.format("d")}
        """,
        _parameters(scope, delivery_id=delivery_id),
    )


def deliveries(
    conn: ops.Connection, scope: Scope, *, dataset_id: str | None, state: str | None, limit: int, offset: int
) -> list[Row]:
    """Deliveries, newest first."""
    return _rows(
        conn,
        f"""
        select d.delivery_id, d.dataset_id, d.sender_code, d.file_name, d.received_at, {_STANDING} as standing, d.periods, d.row_count,
            d.is_demo, {_IS_PERSONAL}
        from ops.delivery as d
        where {_IN_SCOPE.format("d")} and (%(dataset_id)s::text is null or d.dataset_id = %(dataset_id)s)
            and (%(state)s::text is null or {_STANDING} = %(state)s)
        order by d.received_at desc, d.delivery_id desc limit %(limit)s offset %(offset)s
        """,
        _parameters(scope, dataset_id=dataset_id, state=state, limit=limit, offset=offset),
    )


def findings(conn: ops.Connection, delivery_id: int, *, limit: int, offset: int) -> list[Row]:
    """Findings of a delivery, the grave ones first, each with its incident and the first rows of its evidence."""
    return _rows(
        conn,
        f"""
        select f.*, i.incident_id, i.state as incident_state,
            (
                select jsonb_agg(to_jsonb(e) order by e.position)
                from ops.evidence as e where e.finding_id = f.finding_id and e.position <= 10
            ) as evidence,
            count(*) over () as total
        from ops.finding as f
        inner join ops.delivery as d on d.delivery_id = f.delivery_id
        left join lateral ({_INCIDENT_OF_FINDING}) as i on true
        where f.delivery_id = %(delivery_id)s
        order by {_SEVERITY_ORDER.format("f")}, f.finding_id limit %(limit)s offset %(offset)s
        """,
        {"delivery_id": delivery_id, "limit": limit, "offset": offset},
    )


def all_evidence(conn: ops.Connection, delivery_id: int) -> list[Row]:
    """A finding per row of evidence, with that row alone."""
    return _rows(
        conn,
        f"""
        select f.*, case when e.finding_id is not null then jsonb_build_array(to_jsonb(e)) end as evidence
        from ops.finding as f
        left join ops.evidence as e on e.finding_id = f.finding_id
        where f.delivery_id = %(delivery_id)s
        order by {_SEVERITY_ORDER.format("f")}, f.finding_id, e.position
        """,
        {"delivery_id": delivery_id},
    )


def outcomes(conn: ops.Connection, delivery_id: int) -> list[Row]:
    """The last result of every step of a delivery, in order."""
    return _rows(
        conn,
        """
        select distinct on (o.step) o.step, o.status, o.started_at, o.finished_at, o.row_count, o.message
        from ops.outcome as o where o.delivery_id = %(delivery_id)s order by o.step, o.outcome_id desc
        """,
        {"delivery_id": delivery_id},
    )


def siblings(conn: ops.Connection, scope: Scope, found: Row) -> list[Row]:
    """Other deliveries of the same dataset, sender and periods, newest first; of a container, what was in it."""
    return _rows(
        conn,
        f"""
        select d.delivery_id, d.file_name, d.received_at, {_STANDING} as standing, d.periods, {_IS_PERSONAL}
        from ops.delivery as d
        where d.dataset_id = %(dataset_id)s and d.delivery_id <> %(delivery_id)s and {_IN_SCOPE.format("d")}
            and d.sender_code is not distinct from %(sender_code)s
            and (d.periods && %(periods)s or d.file_name = %(file_name)s or d.container_id = %(delivery_id)s
                or d.duplicate_of = %(delivery_id)s)
        order by d.received_at desc, d.delivery_id desc limit 12
        """,
        _parameters(
            scope,
            dataset_id=found["dataset_id"],
            delivery_id=found["delivery_id"],
            sender_code=found["sender_code"],
            periods=found["periods"],
            file_name=found["file_name"],
        ),
    )


# ------------------------------------------------------------------------------------------------------------ incidents

INCIDENT_ORDER = {
    "severity": f"{_SEVERITY_ORDER.format('i')}, i.last_seen_at desc",
    "newest": "i.last_seen_at desc",
    "due": "i.due_on nulls last, i.last_seen_at desc",
    "dataset": "i.dataset_id, i.sender_code nulls first, i.period_code",
}


def incidents(
    conn: ops.Connection,
    scope: Scope,
    *,
    states: Sequence[str] | None = None,
    severity: str | None = None,
    dataset_id: str | None = None,
    sender_code: str | None = None,
    order: str = "severity",
    limit: int = 50,
    offset: int = 0,
) -> list[Row]:
    """Incidents with the number of all that match in ``total``; what follows from another is shown with its cause."""
    return _rows(
        conn,
        f"""
        select i.*, count(*) over () as total from ops.incident as i
        where {_IN_SCOPE.format("i")} and i.cause_id is null and (%(states)s::text[] is null or i.state = any(%(states)s))
            and (%(severity)s::text is null or i.severity = %(severity)s)
            and (%(dataset_id)s::text is null or i.dataset_id = %(dataset_id)s)
            and (%(sender_code)s::text is null or i.sender_code = %(sender_code)s)
        order by {INCIDENT_ORDER[order]}, i.incident_id limit %(limit)s offset %(offset)s
        """,
        _parameters(
            scope,
            states=list(states) if states else None,
            severity=severity,
            dataset_id=dataset_id,
            sender_code=sender_code,
            limit=limit,
            offset=offset,
        ),
    )


def incident(conn: ops.Connection, scope: Scope, incident_id: int) -> Row | None:
    """One incident; None outside the scope."""
    return _row(
        conn,
        f"select i.* from ops.incident as i where i.incident_id = %(incident_id)s and {_IN_SCOPE.format('i')}",
        _parameters(scope, incident_id=incident_id),
    )


def consequences(conn: ops.Connection, scope: Scope, incident_id: int) -> list[Row]:
    """Incidents that follow from this one."""
    return _rows(
        conn,
        f"""
        select i.* from ops.incident as i where i.cause_id = %(incident_id)s and {_IN_SCOPE.format("i")}
        order by i.incident_id
        """,
        _parameters(scope, incident_id=incident_id),
    )


def incident_events(conn: ops.Connection, incident_id: int) -> list[Row]:
    """The history of an incident, newest first."""
    return _rows(
        conn,
        "select e.* from ops.incident_event as e where e.incident_id = %(incident_id)s order by e.event_id desc",
        {"incident_id": incident_id},
    )


def incident_evidence(conn: ops.Connection, found: Row) -> Row | None:
    """The finding behind an incident, as the last delivery that showed it has it."""
    return _row(
        conn,
        """
        select f.*, (
            select jsonb_agg(to_jsonb(e) order by e.position)
            from ops.evidence as e where e.finding_id = f.finding_id and e.position <= 50
        ) as evidence
        from ops.finding as f where f.delivery_id = %(delivery_id)s and f.rule = %(rule)s
        order by f.finding_id limit 1
        """,
        {"delivery_id": found["delivery_id"], "rule": found["rule"]},
    )


# ------------------------------------------------------------------------------------------------------------- messages

_MESSAGE_IN_SCOPE = (
    f"case when m.kind = 'operators' or m.dataset_id is null then %(operators)s else {_IN_SCOPE.format('m')} end"
)


def messages(
    conn: ops.Connection,
    scope: Scope,
    *,
    state: str | None = None,
    delivery_id: int | None = None,
    incident_id: int | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Row]:
    """Messages, newest first, without their texts."""
    return _rows(
        conn,
        f"""
        select m.message_id, m.kind, m.dataset_id, m.sender_code, m.period_code, m.channel, m.recipient, m.subject, m.state,
            m.composed_at, m.not_before, m.sent_at, m.attempts, m.last_error
        from ops.message as m
        where {_MESSAGE_IN_SCOPE} and (%(state)s::text is null or m.state = %(state)s)
            and (%(delivery_id)s::bigint is null or m.message_id in (
                select md.message_id from ops.message_delivery as md where md.delivery_id = %(delivery_id)s
            ))
            and (%(incident_id)s::bigint is null or m.message_id in (
                select mi.message_id from ops.message_incident as mi where mi.incident_id = %(incident_id)s
            ))
        order by m.composed_at desc, m.message_id desc limit %(limit)s offset %(offset)s
        """,
        _parameters(scope, state=state, delivery_id=delivery_id, incident_id=incident_id, limit=limit, offset=offset),
    )


def message(conn: ops.Connection, scope: Scope, message_id: int) -> Row | None:
    """One message with its texts and what it speaks of; None outside the scope."""
    return _row(
        conn,
        f"""
        select m.*,
            array(select md.delivery_id from ops.message_delivery as md where md.message_id = m.message_id order by 1) as deliveries,
            array(select mi.incident_id from ops.message_incident as mi where mi.message_id = m.message_id order by 1) as incidents
        from ops.message as m where m.message_id = %(message_id)s and {_MESSAGE_IN_SCOPE}
        """,
        _parameters(scope, message_id=message_id),
    )


# ----------------------------------------------------------------------------------------------------------------- due


def due(conn: ops.Connection, scope: Scope, today: date, *, until: date, limit: int) -> list[Row]:
    """What has not come and is due by ``until``, the longest overdue first, within the last year."""
    return _rows(
        conn,
        f"""
        select c.*, case when %(today)s < c.due_on then 'not_yet_due' when %(today)s <= c.grace_until then 'due' else 'overdue' end
            as state
        from ops.delivery_calendar as c
        where {_IN_SCOPE.format("c")} and c.due_on between %(today)s - 365 and %(until)s
            and (c.grace_until >= %(today)s or c.due_on >= (select u.since from ops.follow_up as u))
            and not exists (
                select from ops.delivery as d
                where d.dataset_id = c.dataset_id and d.state = 'loaded' and d.periods @> array[c.period_code]
                    and (c.sender_code is null or d.sender_code = c.sender_code)
            )
        order by c.due_on, c.dataset_id, c.sender_code limit %(limit)s
        """,
        _parameters(scope, today=today, until=until, limit=limit),
    )


# ---------------------------------------------------------------------------------------------------------------- acts


def uploaded_since(conn: ops.Connection, actor: str, since: datetime) -> tuple[int, int]:
    """How many files an account has handed in since then, and their bytes together."""
    [[count, size]] = conn.execute(
        "select count(*), coalesce(sum(size_bytes), 0)::bigint from ops.desk_act"
        " where action = 'uploaded' and actor = %s and at > %s",
        (actor, since),
    ).fetchall()
    return count, size


def record_act(
    conn: ops.Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    dataset_id: str,
    file_name: str,
    size_bytes: int,
    sha256: str,
    sender_code: str | None = None,
    period_code: str | None = None,
    delivery_id: int | None = None,
    arrival: str | None = None,
) -> int:
    """Who took out or handed in a file; returns the number of the act."""
    row = conn.execute(
        """
        insert into ops.desk_act (
            at, actor, action, dataset_id, sender_code, period_code, delivery_id, file_name, size_bytes, sha256, arrival
        ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning act_id
        """,
        (at, actor, action, dataset_id, sender_code, period_code, delivery_id, file_name, size_bytes, sha256, arrival),
    ).fetchone()
    assert row is not None  # noqa: S101 - insert ... returning yields its row
    return int(row[0])


def upload(conn: ops.Connection, scope: Scope, act_id: int) -> Row | None:
    """One upload and the delivery that became of it, once it was picked up; None outside the scope."""
    return _row(
        conn,
        f"""
        select a.*, d.delivery_id as arrived_id, {_STANDING} as standing, d.periods, d.row_count, d.held_back_count,
            d.layout, d.duplicate_of, q.expires_at,
            {_IS_PERSONAL}
        from ops.desk_act as a
        left join ops.delivery as d on d.dataset_id = a.dataset_id and d.source_fingerprint = a.arrival
        left join ops.approval as q on q.delivery_id = d.delivery_id
        where a.act_id = %(act_id)s and a.action = 'uploaded' and {_IN_SCOPE.format("a")}
        """,
        _parameters(scope, act_id=act_id),
    )


def set_arrival(conn: ops.Connection, act_id: int, arrival: str) -> None:
    """By what the delivery that becomes of an upload is found."""
    conn.execute("update ops.desk_act set arrival = %s where act_id = %s", (arrival, act_id))


# -------------------------------------------------------------------------------------------------------------- others


def holds_demo(conn: ops.Connection) -> bool:
    """Whether anything that arrived comes from the demo."""
    row = conn.execute("select exists (select from ops.delivery where is_demo)").fetchone()
    return bool(row and row[0])


def scorecards(conn: ops.Connection, scope: Scope) -> list[Row]:
    """The scorecards by office, dataset and sender, the newest year first, read with the analyst's rights.

    A restricted account gets the rows of its municipalities, everybody else also those of whole datasets.

    Raises:
        psycopg.errors.UndefinedTable: nothing has been published yet.
    """
    return _rows(
        conn,
        f"""
        select s.* from marts.rpt_reporting_body_scorecard as s where {_IN_SCOPE.format("s")}
        order by s.year desc, s.office_name, s.dataset_name, s.dataset_id, s.sender_name nulls first
        """,
        _parameters(scope),
    )
