"""What a person says of an incident: seen, waived, noted, dismissed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from teilhabe.codes.wording import spell_date
from teilhabe.contract.delivery_calendar import today
from teilhabe.errors import IncidentError
from teilhabe.ops.incident_record import (
    STATE_WORDS,
    WAIVER_DAYS,
    Change,
    asked_again,
    delivery_of,
    hold,
    locked,
    move,
    with_consequences,
)

if TYPE_CHECKING:
    from teilhabe.ops import Connection


def acknowledge(conn: Connection, incident_id: int, actor: str, now: datetime, note: str | None = None) -> list[Change]:
    """Somebody is on it; what follows from the incident goes along.

    Raises:
        IncidentError: there is no such incident, or it is not open.
    """
    group = with_consequences(conn, incident_id)
    if group[0].state not in ("open", "reopened"):
        raise IncidentError(
            f"Beanstandung {incident_id} {STATE_WORDS[group[0].state]} und kann nicht in Bearbeitung genommen werden."
        )
    open_ones = [i for i in group if i.state in ("open", "reopened")]
    return [move(conn, i, "acknowledged", "acknowledged", now, actor=actor, note=note or None) for i in open_ones]


def last_waiver_day(day: date) -> date:
    """Until when something may be accepted as it is on a day: nobody should forget about it for good."""
    return day + timedelta(days=WAIVER_DAYS)


def waive(conn: Connection, incident_id: int, actor: str, now: datetime, reason: str, until: date) -> list[Change]:
    """Accept it as it is up to and including ``until``; what follows from the incident goes along. May be prolonged.

    Raises:
        IncidentError: there is no such incident, it is closed, no reason is given, or the day has passed or is too far away.
    """
    group = with_consequences(conn, incident_id)
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
        raise IncidentError(f"Beanstandung {incident_id} {STATE_WORDS['fixed']} und braucht keine Ausnahme mehr.")
    why = f"{reason.strip()} (bis {spell_date(until)})"
    waiver = {"waived_by": actor, "waived_reason": reason.strip(), "waived_until": until}
    lasting = [i for i in group if i.state != "fixed"]
    return [move(conn, i, "waived", "waived", now, actor=actor, note=why, columns=waiver) for i in lasting]


def dismiss(
    conn: Connection, delivery_id: int, actor: str, now: datetime, note: str, *, but: Collection[str] = ()
) -> None:
    """Close what a delivery showed, without a word to its office: somebody has decided that nothing comes of it.

    ``but``: rules another delivery, which counts now, breaks as well.
    """
    delivery = delivery_of(conn, delivery_id)
    hold(conn, [delivery.dataset_id])
    found = locked(conn, "i.delivery_id = %s and i.state <> 'fixed'", (delivery_id,))
    open_ones = [incident for incident in found if incident.rule not in but]
    for incident in open_ones:
        closed = {"closed_at": now}
        move(conn, incident, "fixed", "fixed", now, actor=actor, note=note, delivery_id=delivery_id, columns=closed)
    conn.execute(
        "update ops.incident set cause_id = null where cause_id = any(%s) and state <> 'fixed'",
        ([incident.incident_id for incident in open_ones],),
    )
    conn.execute(
        "update ops.delivery set followed_at = coalesce(followed_at, %s) where delivery_id = %s", (now, delivery_id)
    )


def end_waivers(conn: Connection, now: datetime) -> list[Change]:
    """Reopen what was accepted until a day that has passed."""
    ended = locked(conn, "i.state = 'waived' and i.waived_until < %s", (today(now),))
    return [move(conn, i, "waiver_ended", "reopened", now, columns=asked_again(now)) for i in ended]
