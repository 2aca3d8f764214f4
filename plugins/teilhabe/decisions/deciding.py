"""What a person decides about a delivery that was refused for faults of single rows: load the others, or let it be.

The answer stands in ``ops.approval`` beside the answers about warnings, and in ``ops.desk_act`` for whoever asks later. One
transaction: killed before its end, nothing has happened; the run that follows judges the delivery again without the rows that
were decided on, and loads it. The first answer counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import dict_row

from teilhabe import ops
from teilhabe.codes import wording
from teilhabe.codes.office_time import OFFICE_TIME, spell_moment
from teilhabe.decisions import acts
from teilhabe.errors import TeilhabeError
from teilhabe.keeping import removing
from teilhabe.ops import incident_answers

Answer = Literal["accept-without-rows", "reject"]
ANSWERS: tuple[Answer, ...] = ("accept-without-rows", "reject")

_STORED: dict[Answer, str] = {"accept-without-rows": "accept_without_rows", "reject": "reject"}
_ACTS: dict[Answer, str] = {"accept-without-rows": "accepted_without_rows", "reject": "rejected"}


@dataclass(frozen=True)
class Decision:
    """What was decided; not ``is_new`` when it had been before."""

    delivery_id: int
    dataset_id: str
    file_name: str
    answer: Answer
    by: str
    at: datetime
    reason: str
    is_new: bool
    state: ops.State
    held_back_count: int


def decide(
    conn: ops.Connection, delivery_id: int, answer: Answer, *, reason: str, actor: str, now: datetime
) -> Decision:
    """Record a decision about a refused delivery; the caller commits.

    Raises:
        TeilhabeError: there is no such delivery, it is not open for this decision, another one was made, or no reason is given.
    """
    reason = acts.reasoned(reason, "Bitte die Entscheidung begründen.")
    delivery = acts.subject(conn, delivery_id)
    before = _decided(conn, delivery)
    if before is not None:
        if before.answer == answer:
            return before
        raise TeilhabeError(f"{_name(delivery)} ist schon entschieden: {_what(before)}.")
    if delivery.state != "quarantined":
        raise TeilhabeError(f"{_name(delivery)} {_NOT_OPEN.get(delivery.state, 'ist nicht zurückgewiesen')}.")
    if answer == "accept-without-rows":
        if removing.of_delivery(conn, delivery_id) is not None:
            raise TeilhabeError(
                f"{_name(delivery)} wird nicht mehr aufbewahrt; bitte die Datei noch einmal senden lassen."
            )
        _refuse_what_cannot_be_accepted(conn, delivery)
        ops.set_state(conn, delivery_id, "received")
    else:
        incident_answers.dismiss(conn, delivery_id, actor, now, f"Lieferung {delivery_id} zurückgewiesen: {reason}")
    conn.execute(
        """
        insert into ops.approval (delivery_id, asked_at, expires_at, answer, answered_by, answered_at, reason)
        values (%(id)s, %(now)s, %(now)s, %(answer)s, %(actor)s, %(now)s, %(reason)s)
        on conflict (delivery_id) do update
            set answer = excluded.answer, answered_by = excluded.answered_by, answered_at = excluded.answered_at,
                reason = excluded.reason
        """,
        {"id": delivery_id, "now": now, "answer": _STORED[answer], "actor": actor, "reason": reason},
    )
    ops.write_down(conn, delivery, _ACTS[answer], note=reason, actor=actor, now=now)
    made = _decided(conn, ops.delivery(conn, delivery_id), is_new=True)
    assert made is not None  # noqa: S101 - it was written just now
    return made


def told(decision: Decision) -> str:
    """What has become of it, in one German sentence or two."""
    name = f"Lieferung {decision.delivery_id} („{decision.file_name}“)"
    if not decision.is_new:
        done = " und übernommen" if decision.state == "loaded" else ""
        return f"{name} ist schon entschieden{done}: {_what(decision)}."
    if decision.answer == "reject":
        return f"{name} bleibt zurückgewiesen; die Beanstandungen dazu sind geschlossen, niemand wird angeschrieben."
    count = decision.held_back_count
    without = "die fehlerhafte Stelle" if count == 1 else f"{wording.places(count)} mit Fehlern"
    return f"{name} wird mit dem nächsten Lauf ohne {without} übernommen."


_NOT_OPEN: dict[ops.State, str] = {
    "received": "wird noch geprüft; bitte warten, bis das Ergebnis da ist",
    "failed": "wird noch geprüft; bitte warten, bis das Ergebnis da ist",
    "validated": "hat keine fehlerhaften Stellen und wird übernommen, sobald über ihre Warnungen entschieden ist",
    "loaded": "ist übernommen; zurücknehmen lässt sie sich mit „zurückziehen“",
    "held": "ist angenommen und beim Aufbau des Bestands zurückgehalten; zurücknehmen lässt sie sich mit „zurückziehen“",
    "withdrawn": "ist zurückgezogen",
    "duplicate": "war schon bekannt; bitte über die Lieferung entscheiden, die denselben Inhalt hat",
    "unpacked": "ist ein Archiv; bitte über die einzelnen Dateien daraus entscheiden",
}


def _refuse_what_cannot_be_accepted(conn: ops.Connection, delivery: ops.Delivery) -> None:
    if not delivery.held_back_count:
        raise TeilhabeError(
            f"{_name(delivery)} kann nicht ohne einzelne Zeilen übernommen werden: Der Fehler betrifft die Datei als Ganzes, zu "
            "viele Zeilen oder Summen. Bitte eine berichtigte Datei anfordern."
        )
    row = conn.execute(
        """
        select l.delivery_id, l.file_name, l.received_at from ops.delivery as d
        inner join ops.delivery as l on l.dataset_id = d.dataset_id and l.sender_code is not distinct from d.sender_code
            and l.state = 'loaded' and (l.received_at, l.delivery_id) > (d.received_at, d.delivery_id) and l.periods && d.periods
        where d.delivery_id = %s order by l.received_at, l.delivery_id limit 1
        """,
        (delivery.delivery_id,),
    ).fetchone()
    if row is not None:
        raise TeilhabeError(
            f"{_name(delivery)} ist überholt: Inzwischen ist Lieferung {row[0]} („{row[1]}“ vom "
            f"{row[2].astimezone(OFFICE_TIME):%d.%m.%Y}) für denselben Zeitraum übernommen."
        )
    row = conn.execute(
        "select delivery_id from ops.delivery where dataset_id = %s and sha256 = %s and state in ('received', 'validated')",
        (delivery.dataset_id, delivery.sha256),
    ).fetchone()
    if row is not None:
        raise TeilhabeError(f"{_name(delivery)}: Dieselbe Datei wird gerade als Lieferung {row[0]} geprüft.")


def _decided(conn: ops.Connection, delivery: ops.Delivery, *, is_new: bool = False) -> Decision | None:
    """The decision made about a delivery; none that new rules have overtaken: then it was refused in spite of it."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row: dict[str, Any] | None = cursor.execute(
            "select answer, answered_by, answered_at, reason from ops.approval where delivery_id = %s and answer = any(%s)",
            (delivery.delivery_id, list(_STORED.values())),
        ).fetchone()
    if row is None or (row["answer"] == "accept_without_rows" and delivery.state == "quarantined"):
        return None
    return Decision(
        delivery.delivery_id,
        delivery.dataset_id,
        delivery.file_name,
        next(answer for answer, stored in _STORED.items() if stored == row["answer"]),
        row["answered_by"],
        row["answered_at"],
        row["reason"] or "",
        is_new,
        delivery.state,
        delivery.held_back_count,
    )


def _what(decision: Decision) -> str:
    what = "zurückweisen" if decision.answer == "reject" else "ohne die fehlerhaften Stellen übernehmen"
    return f"„{what}“, {decision.by}, {spell_moment(decision.at)} ({decision.reason})"


def _name(delivery: ops.Delivery) -> str:
    return f"Lieferung {delivery.delivery_id} („{delivery.file_name}“)"
