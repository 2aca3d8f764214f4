"""A message becomes a row, once: whom it is for, what it is about, the facts it names."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from teilhabe import ops
from teilhabe.codes import wording
from teilhabe.contract import delivery_calendar
from teilhabe.errors import Finding
from teilhabe.findings import saying
from teilhabe.messages import evidence
from teilhabe.messages.rendering import Kind, Text, plain, render

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract
    from teilhabe.messages.policy import Channel, Policy
    from teilhabe.ops.incident_record import Change

log = logging.getLogger(__name__)
PLACES_SHOWN = 10
SENTENCE = 600
OPEN_ACTIONS = frozenset({"opened", "reopened", "waiver_ended"})
CALENDAR = "calendar."
"""Rules about what did not come: what has come needs a receipt, no closing note."""

Failed = Callable[[str, Exception], None]
"""Told what could not be written and why; the rest goes on."""

_UNQUOTED = "Beanstandungen einer Datei, deren Inhalt hier nicht wiedergegeben wird."


@dataclass
class About:
    """What a message speaks of, besides its words."""

    dataset_id: str | None = None
    sender_code: str | None = None
    period_code: str | None = None
    deliveries: Sequence[int] = ()
    incidents: Sequence[int] = ()
    attachments: list[dict[str, str]] = field(default_factory=list)


def operators(
    conn: ops.Connection,
    policy: Policy,
    subject: str,
    text: str,
    key: str,
    now: datetime,
    *,
    channel: Channel | None = None,
    once: bool = False,
) -> int | None:
    """An alert to the data engineers, once per cause (``key``) and day, or ``once`` for good; it knows no quiet hours.

    ``channel`` replaces the agreed one where that is what is broken.
    """
    dedup = once_key(key) if once else f"operators:{key}:{delivery_calendar.today(now).isoformat()}"
    if is_written(conn, dedup):
        return None
    shown = "\n".join(plain(line, 2000) for line in text.split("\n"))
    context = {"subject": plain(subject), "text": shown, "url": policy.desk}
    log.error("operators: %s", plain(subject))
    return write_message(
        conn,
        policy,
        "operators",
        dedup,
        render(policy, "operators", context),
        policy.operators.address,
        channel or policy.operators_channel,
        About(),
        now,
    )


def once_key(key: str) -> str:
    return f"operators:{key}"


def is_told(conn: ops.Connection, key: str) -> bool:
    """Whether the operators have had the alert that they get ``once``."""
    return is_written(conn, once_key(key))


def spell_periods(periods: Sequence[str]) -> str:
    """``März 2024``, or the first and the last of several; empty where nothing tells."""
    if not periods:
        return ""
    first, last = wording.spell_period(periods[0]), wording.spell_period(periods[-1])
    return first if len(periods) == 1 else f"{first} bis {last}"


def ways(policy: Policy, contract: Contract) -> list[str]:
    """How a file gets here again, a sentence each; whoever has an account hands it in at the desk."""
    fetched = "Der Landkreis ruft die Datei selbst ab; bitte stellen Sie sie am gewohnten Ort bereit."
    said = [fetched if server.type == "api" else _capital(wording.way(server, contract)) for server in contract.servers]
    if any(server.type != "api" for server in contract.servers):
        said.insert(0, f"{_capital(wording.UPLOAD)}: {policy.desk}/upload?dataset={contract.dataset_id}")
    return list(dict.fromkeys(said))


def apart(conn: ops.Connection, what: str, work: Callable[[], object], failed: Failed) -> None:
    """Do it without harm to what was done before."""
    try:
        with conn.transaction():
            work()
    except Exception as error:
        failed(what, error)


def is_written(conn: ops.Connection, dedup: str) -> bool:
    return conn.execute("select 1 from ops.message where dedup_key = %s", (dedup,)).fetchone() is not None


def write_message(
    conn: ops.Connection,
    policy: Policy,
    kind: Kind,
    dedup: str,
    text: Text,
    recipient: str | None,
    channel: Channel,
    about: About,
    now: datetime,
) -> int | None:
    """Put a message into the outbox; None when another process has just written it."""
    row = conn.execute(
        """
        insert into ops.message (kind, dedup_key, dataset_id, sender_code, period_code, channel, recipient, subject, body_text,
            body_html, attachments, state, composed_at, not_before)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (dedup_key) do nothing returning message_id
        """,
        (
            kind,
            dedup,
            about.dataset_id,
            about.sender_code,
            about.period_code,
            channel,
            recipient,
            text.subject,
            text.text,
            text.html,
            json.dumps(about.attachments),
            "waiting" if recipient else "undeliverable",
            now,
            now if kind == "operators" else policy.next_moment(now),
        ),
    ).fetchone()
    if row is None:
        return None
    message_id = int(row[0])
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into ops.message_delivery (message_id, delivery_id) values (%s, %s)",
            [(message_id, one) for one in about.deliveries],
        )
        cursor.executemany(
            "insert into ops.message_incident (message_id, incident_id) values (%s, %s)",
            [(message_id, one) for one in about.incidents],
        )
    if not recipient and kind != "operators":
        operators(
            conn,
            policy,
            f"Keine Adresse für {about.dataset_id}{f' ({about.sender_code})' if about.sender_code else ''}",
            f"„{text.subject}“ konnte niemandem gesendet werden: Weder Vertrag noch {policy.settings.home / 'follow_up.yml'} "
            f"nennen eine Adresse. Nachricht ansehen: teilhabe messages show {message_id}",
            f"recipient:{about.dataset_id}:{about.sender_code or ''}",
            now,
        )
    return message_id


def incidents_of(conn: ops.Connection, delivery_id: int, changes: Iterable[Change]) -> list[dict[str, Any]]:
    """The incidents a delivery shows, also those that were known and are accepted."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select incident_id, rule, state, due_on, cause_id from ops.incident"
            " where state <> 'fixed' and (delivery_id = %s or incident_id = any(%s)) order by incident_id",
            (delivery_id, [change.incident_id for change in changes if change.action != "fixed"]),
        ).fetchall()


def matters_of(
    conn: ops.Connection, policy: Policy, contract: Contract, incidents: Sequence[tuple[int, str, str]]
) -> list[str]:
    """What incidents are about, a sentence each; of a file about single persons nothing is quoted."""
    rows = conn.execute(
        "select incident_id, delivery_id from ops.incident where incident_id = any(%s) and delivery_id is not null",
        ([incident_id for incident_id, _, _ in incidents],),
    ).fetchall()
    shown_by = dict(rows)
    is_personal = {
        one: evidence.is_about_persons(conn, policy, contract, ops.delivery(conn, one))
        for one in set(shown_by.values())
    }
    said = [
        _UNQUOTED
        if is_personal.get(shown_by.get(incident_id, 0))
        else plain(_matter(conn, shown_by.get(incident_id), rule, message, contract), SENTENCE)
        for incident_id, rule, message in incidents
    ]
    return list(dict.fromkeys(said))


def _matter(conn: ops.Connection, delivery_id: int | None, rule: str, message: str, contract: Contract) -> str:
    """The finding behind an incident without place and count; what has none, or is no longer found, as it was put down."""
    found = next((f for f in ops.findings(conn, delivery_id) if f.rule == rule), None) if delivery_id else None
    return saying.say(found, contract.secrecy_method, with_place=False, with_count=False) if found else message


def is_from_before(conn: ops.Connection, delivery_id: int) -> bool:
    row = conn.execute(
        "select state_at < since::timestamp at time zone ops.office_time_zone() from ops.delivery, ops.follow_up where delivery_id = %s",
        (delivery_id,),
    ).fetchone()
    return bool(row and row[0])


def facts_of(conn: ops.Connection, delivery: ops.Delivery) -> tuple[list[str], bool]:
    """The periods a delivery is about, as far as they are known, and whether it is of the demo."""
    row = conn.execute(
        "select periods, is_demo from ops.delivery where delivery_id = %s", (delivery.delivery_id,)
    ).fetchone()
    assert row is not None  # noqa: S101 - the caller has just read it
    stated = [code for code in (delivery.period_stated, delivery.period_inferred) if code]
    return sorted(row[0] or stated[:1]), bool(row[1])


def reply_date(policy: Policy, due: Iterable[date | None], now: datetime) -> date:
    """The earliest day to come agreed for one of the incidents, else ``reply_days`` from now; a working day."""
    from teilhabe.codes.holidays import next_working_day

    today = delivery_calendar.today(now)
    agreed = [day for day in due if day is not None and day > today]
    return min(agreed) if agreed else next_working_day(today + timedelta(days=policy.reply_days))


def row_count(findings: Sequence[Finding]) -> int | None:
    """How many rows of the file findings are about, each counted once; None where only some of the places are kept."""
    if any(len(finding.evidence) < finding.row_count for finding in findings):
        return None
    return len({(one.sheet or f.sheet, one.row) for f in findings for one in f.evidence if one.row is not None})


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
