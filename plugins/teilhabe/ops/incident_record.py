"""Incidents as they stand in the database: opened, moved, closed, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from psycopg.rows import class_row

from teilhabe.codes.holidays import add_working_days
from teilhabe.contract.delivery_calendar import today
from teilhabe.errors import IncidentError, Severity

if TYPE_CHECKING:
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
CALENDAR = [OVERDUE, SILENT]
Key = tuple[str, str | None, str | None, str]
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
class Delivery:
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
class Incident:
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
    def key(self) -> Key:
        return self.dataset_id, self.sender_code, self.period_code, self.rule

    @property
    def is_refusal(self) -> bool:
        """Whether it keeps a delivery out of the warehouse, and is no consequence of another one that does."""
        is_open_verdict = self.rule not in CALENDAR and self.state != "fixed"
        return is_open_verdict and self.severity == "critical" and self.cause_id is None

    @property
    def is_silence(self) -> bool:
        return self.rule == SILENT and self.state != "fixed"

    def came_after(self, delivery: Delivery) -> bool:
        """Whether a delivery handed in after this one showed it."""
        if self.received_at is None or self.delivery_id is None:
            return False
        return (self.received_at, self.delivery_id) > delivery.rank


_INCIDENT = """
    select i.incident_id, i.dataset_id, i.sender_code, i.period_code, i.rule, i.severity, i.state, i.message, i.waived_until,
        i.cause_id, i.delivery_id, d.received_at, d.file_name, d.state as delivery_state
    from ops.incident as i left join ops.delivery as d using (delivery_id)
"""
PERIODS = "coalesce(nullif(periods, '{}'), array_remove(array[coalesce(period_stated, period_inferred)], null))"
"""What a delivery is about; of one that could not be read, what was said beside it."""


def note(conn: Connection, incident_id: int, actor: str, now: datetime, text: str) -> Change:
    """Write something into the history; allowed in every state.

    Raises:
        IncidentError: there is no such incident, or the note is empty.
    """
    if not text.strip():
        raise IncidentError("Die Notiz ist leer.")
    incident = with_consequences(conn, incident_id)[0]
    return move(conn, incident, "noted", incident.state, now, actor=actor, note=text.strip())


STATE_WORDS: Mapping[State, str] = {
    "open": "ist offen",
    "reopened": "ist wieder offen",
    "acknowledged": "ist schon in Bearbeitung",
    "waived": "ist als Ausnahme hingenommen",
    "fixed": "ist erledigt",
}


@dataclass(frozen=True)
class ShownFinding:
    """All findings of a delivery under one rule."""

    rule: str
    severity: Severity
    message: str
    row_count: int


def set_cause(conn: Connection, incident_id: int, cause_id: int | None) -> None:
    conn.execute(
        "update ops.incident set cause_id = %(cause)s where incident_id = %(id)s and cause_id is distinct from %(cause)s",
        {"cause": cause_id, "id": incident_id},
    )


def close_incident(
    conn: Connection, incidents: Sequence[Incident], now: datetime, delivery_id: int | None = None
) -> list[Change]:
    if not incidents:
        return []
    changes = [
        move(conn, incident, "fixed", "fixed", now, delivery_id=delivery_id, columns={"closed_at": now})
        for incident in incidents
    ]
    conn.execute(
        "update ops.incident set cause_id = null where cause_id = any(%s) and state <> 'fixed'",
        ([incident.incident_id for incident in incidents],),
    )
    return changes


def open_incident(
    conn: Connection,
    dataset_id: str,
    sender_code: str | None,
    period_code: str | None,
    finding: ShownFinding,
    now: datetime,
    delivery_id: int | None = None,
) -> Incident:
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
            asked_again(now)["due_on"],
        ),
    ).fetchall()
    [incident] = locked(conn, "i.incident_id = %s", (incident_id,))
    record_move(conn, incident_id, "opened", None, "open", now, delivery_id=delivery_id)
    return incident


def asked_again(now: datetime) -> dict[str, date]:
    return {"due_on": add_working_days(today(now), MEND_WORKING_DAYS)}


_NO_WAIVER = {"waived_by": None, "waived_reason": None, "waived_until": None}


def move(
    conn: Connection,
    incident: Incident,
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
    record_move(
        conn, incident.incident_id, action, incident.state, to, now, actor=actor, note=note, delivery_id=delivery_id
    )
    incident.state = to
    return incident.change(action)


def record_move(
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


def hold(conn: Connection, dataset_ids: Iterable[str]) -> None:
    """One writer of verdicts and calendar per dataset; until the transaction ends."""
    for dataset_id in sorted(dataset_ids):
        conn.execute("select pg_advisory_xact_lock(hashtext('teilhabe.incidents.' || %s))", (dataset_id,))


def locked(conn: Connection, where: str, parameters: Sequence[Any]) -> list[Incident]:
    with conn.cursor(row_factory=class_row(Incident)) as cursor:
        cursor.execute(f"{_INCIDENT} where {where} order by i.incident_id for update of i".encode(), parameters)
        return cursor.fetchall()


def with_consequences(conn: Connection, incident_id: int) -> list[Incident]:
    """An incident and what follows from it; itself first."""
    found = locked(conn, "i.incident_id = %s or i.cause_id = %s", (incident_id, incident_id))
    if not any(incident.incident_id == incident_id for incident in found):
        raise IncidentError(f"Eine Beanstandung {incident_id} gibt es nicht.")
    return sorted(found, key=lambda incident: incident.incident_id != incident_id)


def delivery_of(conn: Connection, delivery_id: int) -> Delivery:
    with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        cursor.execute(
            f"select delivery_id, dataset_id, file_name, received_at, sender_code, state, {PERIODS} as periods, followed_at"
            " from ops.delivery where delivery_id = %s for update".encode(),
            (delivery_id,),
        )
        found = cursor.fetchone()
    if found is None:
        raise LookupError(delivery_id)
    return found
