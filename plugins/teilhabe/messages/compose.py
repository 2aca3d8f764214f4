"""What is told to whom: one message per office and matter, written to the outbox together with what it is about.

``dedup_key`` says what a message is about, so composing again writes nothing. No function commits. Nothing of a file about
single persons is quoted, its name included, and no number that is to be kept secret.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from teilhabe import ops
from teilhabe.codes import wording
from teilhabe.codes.office_time import spell_moment
from teilhabe.contract import delivery_calendar
from teilhabe.errors import Finding
from teilhabe.findings import saying
from teilhabe.keeping import removing
from teilhabe.messages import evidence
from teilhabe.messages.rendering import Kind, Text, plain, render
from teilhabe.ops.incidents import HELD, WITHDRAWN_ON
from teilhabe.reading.files import persons

if TYPE_CHECKING:
    from teilhabe.contract.contracts import Contract
    from teilhabe.messages.policy import Channel, Policy, Recipient
    from teilhabe.ops.incidents import Change

log = logging.getLogger(__name__)

KINDS_SHOWN = 15
PLACES_SHOWN = 10
FILES_SHOWN = 20
_SENTENCE = 600
_LATEST_RECEIPT = timedelta(days=14)
"""Who did not want to be thanked for a year is not thanked for a year at once when that is changed."""
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_OPEN_ACTIONS = frozenset({"opened", "reopened", "waiver_ended"})
_CALENDAR = "calendar."
"""Rules about what did not come: what has come needs a receipt, no closing note."""


Failed = Callable[[str, Exception], None]
"""Told what could not be written and why; the rest goes on."""


_UNQUOTED = "Beanstandungen einer Datei, deren Inhalt hier nicht wiedergegeben wird."
_PERSONAL = Finding("critical", persons.RULE, saying.PERSONAL)


@dataclass(frozen=True)
class Shown:
    """A finding as the office reads it."""

    kind: str
    sentence: str
    expected: str | None


@dataclass
class _About:
    """What a message speaks of, besides its words."""

    dataset_id: str | None = None
    sender_code: str | None = None
    period_code: str | None = None
    deliveries: Sequence[int] = ()
    incidents: Sequence[int] = ()
    attachments: list[dict[str, str]] = field(default_factory=list)


def about_delivery(
    conn: ops.Connection, policy: Policy, contract: Contract, delivery_id: int, changes: Sequence[Change], now: datetime
) -> int | None:
    """The digest of a delivery: refused or remarked on, or what it mended; None where a receipt is enough.

    Verdicts from before the installation of messages are nobody's news.
    """
    if _is_from_before(conn, delivery_id):
        return None
    delivery = ops.delivery(conn, delivery_id)
    if delivery.state == "duplicate":
        return _repeat(conn, policy, contract, delivery, now)
    opened = [change for change in changes if change.action in _OPEN_ACTIONS]
    mended = [c for c in changes if c.action == "fixed" and not c.rule.startswith(_CALENDAR)]
    if delivery.state == "quarantined" or any(not change.rule.startswith(_CALENDAR) for change in opened):
        return _verdict(conn, policy, contract, delivery, changes, now)
    return _closing(conn, policy, contract, delivery, mended, now) if mended else None


def receipts(
    conn: ops.Connection, policy: Policy, contracts: Mapping[str, Contract], now: datetime, failed: Failed
) -> None:
    """Thanks for what was accepted and no other message speaks of: one per recipient and dataset, however many files.

    A dataset with files under way waits, so that a burst is one receipt, but not for what a person has to decide; what came
    before the installation gets none.
    """
    # Whoever comes second must see what the first has written: the same file may not be in two receipts.
    conn.execute("select pg_advisory_xact_lock(hashtext('teilhabe.messages.receipts'))")
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            select d.dataset_id, d.sender_code, array_agg(d.delivery_id order by d.received_at, d.delivery_id) as ids
            from ops.delivery as d
            where d.state = 'loaded' and d.followed_at > %s
                and d.state_at >= (select since from ops.follow_up)::timestamp at time zone ops.office_time_zone()
                and not exists (select 1 from ops.message_delivery as told where told.delivery_id = d.delivery_id)
                and not exists (
                    select 1 from ops.delivery as other
                    where other.dataset_id = d.dataset_id and other.state in ('received', 'validated')
                        and not exists (
                            select 1 from ops.approval as a where a.delivery_id = other.delivery_id and a.answer is null
                        )
                )
            group by d.dataset_id, d.sender_code
            order by d.dataset_id, d.sender_code
            """,
            (now - _LATEST_RECEIPT,),
        ).fetchall()
    of_dataset: dict[str, list[tuple[str | None, list[int]]]] = {}
    for row in rows:
        of_dataset.setdefault(row["dataset_id"], []).append((row["sender_code"], row["ids"]))

    def thank(dataset_id: str) -> None:
        contract = contracts.get(dataset_id)
        if contract is None:
            return
        grouped: dict[str | None, tuple[str | None, list[int]]] = {}
        for sender, ids in of_dataset[dataset_id]:
            address = policy.recipient(contract, sender).address
            grouped.setdefault(address, (sender, []))[1].extend(ids)
        for sender, ids in grouped.values():
            _receipt(conn, policy, contract, sender, sorted(ids), now)

    for dataset_id in of_dataset:
        _apart(conn, f"receipt {dataset_id}", partial(thank, dataset_id), failed)


def about_calendar(
    conn: ops.Connection, policy: Policy, contracts: Mapping[str, Contract], now: datetime, failed: Failed
) -> None:
    """What is due soon, what stayed away after the grace, and what stayed open and goes to the second contact."""
    today = delivery_calendar.today(now)
    with conn.cursor(row_factory=dict_row) as cursor:
        entries = cursor.execute(
            f"""
            select c.dataset_id, c.sender_code, c.period_code, c.due_on, c.grace_until, c.state, i.incident_id,
                {WITHDRAWN_ON} as withdrawn_on
            from ops.delivery_calendar_at(%(today)s) as c
            left join ops.incident as i on i.dataset_id = c.dataset_id and i.period_code = c.period_code
                and i.sender_code is not distinct from c.sender_code and i.rule = 'calendar.overdue'
            left join ops.incident as cause on cause.incident_id = i.cause_id
            where c.due_on >= (select since from ops.follow_up) and c.delivery_id is null
                and (c.state = 'overdue' or (c.due_on > %(today)s and c.due_on - %(ahead)s <= %(today)s))
                and coalesce(i.state, 'open') <> 'waived'
                -- The file is here; it is ours to decide.
                and not {HELD}
                -- Of a refused file the office has heard already, with a day to mend it by.
                and coalesce(cause.rule, 'calendar.') like 'calendar.%%'
                and not (c.state <> 'overdue' and exists (
                    select 1 from ops.incident as refusal
                    where refusal.dataset_id = c.dataset_id and refusal.period_code = c.period_code
                        and refusal.sender_code is not distinct from c.sender_code
                        and refusal.severity = 'critical' and refusal.rule not like 'calendar.%%'
                        and refusal.state in ('open', 'acknowledged', 'reopened')
                ))
            order by c.due_on, c.dataset_id, c.sender_code nulls first
            """.encode(),
            {"today": today, "ahead": policy.reminder_days},
        ).fetchall()

    def write(kind: Kind, entry: Mapping[str, Any]) -> None:
        contract = contracts.get(entry["dataset_id"])
        if contract is not None:
            what = _escalation if kind == "escalation" else _due
            what(conn, policy, contract, kind, entry, now)

    told: list[tuple[Kind, Mapping[str, Any]]] = [
        ("overdue" if entry["state"] == "overdue" else "reminder", entry) for entry in entries
    ]
    told += [("escalation", row) for row in _to_escalate(conn, policy, today)]
    for kind, entry in told:
        place = f"{kind} {entry['dataset_id']} {entry['sender_code'] or ''} {entry['period_code'] or ''}"
        _apart(conn, " ".join(place.split()), partial(write, kind, entry), failed)


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
    dedup = _once(key) if once else f"operators:{key}:{delivery_calendar.today(now).isoformat()}"
    if _is_written(conn, dedup):
        return None
    shown = "\n".join(plain(line, 2000) for line in text.split("\n"))
    context = {"subject": plain(subject), "text": shown, "url": policy.desk}
    log.error("operators: %s", plain(subject))
    return _write(
        conn,
        policy,
        "operators",
        dedup,
        render(policy, "operators", context),
        policy.operators.address,
        channel or policy.operators_channel,
        _About(),
        now,
    )


def _once(key: str) -> str:
    return f"operators:{key}"


def is_told(conn: ops.Connection, key: str) -> bool:
    """Whether the operators have had the alert that they get ``once``."""
    return _is_written(conn, _once(key))


def verdict_context(
    policy: Policy,
    contract: Contract,
    recipient: Recipient,
    delivery: ops.Delivery,
    findings: Sequence[Finding],
    *,
    reply_by: date,
    periods: Sequence[str],
    consequence_count: int = 0,
    is_demo: bool = False,
    attachment: str | None = None,
    is_personal: bool = False,
    is_kept: bool = True,
) -> dict[str, Any]:
    """What the text of a verdict is made of; ``findings`` without those that follow from others, which are counted."""
    secrecy = contract.secrecy_method
    told = [finding for finding in findings if finding.severity != "info"]
    if is_personal:
        # Whatever else was found quotes the file.
        told = [finding for finding in told if finding.rule == persons.RULE] or [_PERSONAL]
    shown = [
        Shown(
            wording.SEVERITIES[finding.severity][0],
            plain(saying.say(finding, secrecy), _SENTENCE),
            plain(expected) if (expected := saying.expected_beside(finding, secrecy)) else None,
        )
        for finding in told[:KINDS_SHOWN]
    ]
    placed = [] if is_personal else [f for f in told if any(one.row is not None for one in f.evidence)]
    at = {
        (one.sheet or finding.sheet or "", one.row, saying.shown_place(finding, one, secrecy)): None
        for finding in placed
        for one in finding.evidence
        if one.row is not None
    }
    places = sorted(list(at)[:PLACES_SHOWN], key=lambda place: place[:2])
    return {
        "refused": delivery.state == "quarantined",
        "dataset": contract.title_de,
        "office": recipient.name,
        "period": spell_periods(periods),
        "taken": wording.how_much(
            delivery.row_count or 0, delivery.held_back_count, rows=contract.counts_rows(delivery.layout)
        )
        if delivery.held_back_count and delivery.state != "quarantined"
        else None,
        "file": wording.UNNAMED_FILE if is_personal else plain(delivery.file_name),
        "received": spell_moment(delivery.received_at),
        "findings": shown,
        "more_kinds": len(told) - len(shown),
        "consequence_count": consequence_count,
        "places": [astuple(cells) for *_, cells in places],
        "place_count": max(len(at), sum(finding.row_count for finding in placed)),
        "row_count": _row_count(placed),
        "reply_by": wording.spell_date(reply_by),
        "ways": ways(policy, contract),
        "attachment": attachment,
        "is_personal": is_personal,
        "is_kept": is_kept,
        "is_misplaced": any(finding.rule == saying.OTHER_DATASET for finding in told),
        "is_demo": is_demo,
        "url": f"{policy.desk}/deliveries/{delivery.delivery_id}",
    }


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


# ------------------------------------------------------------------------------------------------------------- verdicts


def _verdict(
    conn: ops.Connection,
    policy: Policy,
    contract: Contract,
    delivery: ops.Delivery,
    changes: Sequence[Change],
    now: datetime,
) -> int | None:
    dedup = f"verdict:{delivery.delivery_id}"
    recipient = policy.recipient(contract, delivery.sender_code)
    if not recipient.wants("verdict") or _is_written(conn, dedup):
        return None
    incidents = _incidents(conn, delivery.delivery_id, changes)
    waived = {row["incident_id"]: row["rule"] for row in incidents if row["state"] == "waived"}
    accepted = set(waived.values())
    # What follows from something accepted is the news itself.
    consequences = {row["rule"] for row in incidents if row["cause_id"] is not None and row["cause_id"] not in waived}
    found = [f for f in ops.findings(conn, delivery.delivery_id) if f.rule not in accepted or f.severity == "critical"]
    findings = [f for f in found if f.rule not in consequences]
    made = evidence.of_delivery(policy, contract, delivery, findings)
    periods, is_demo = _facts(conn, delivery)
    text = render(
        policy,
        "verdict",
        verdict_context(
            policy,
            contract,
            recipient,
            delivery,
            findings,
            reply_by=_reply_by(policy, [row["due_on"] for row in incidents if row["state"] != "waived"], now),
            periods=periods,
            is_demo=is_demo,
            consequence_count=len(found) - len(findings),
            attachment=made.name if made.uri else None,
            is_personal=made.is_personal,
            is_kept=removing.of_delivery(conn, delivery.delivery_id) is None,
        ),
    )
    about = _About(
        contract.dataset_id,
        delivery.sender_code,
        periods[0] if len(periods) == 1 else None,
        [delivery.delivery_id],
        [row["incident_id"] for row in incidents],
        [{"name": made.name, "uri": made.uri, "media_type": _XLSX}] if made.uri else [],
    )
    return _write(conn, policy, "verdict", dedup, text, recipient.address, recipient.channel, about, now)


def _repeat(
    conn: ops.Connection, policy: Policy, contract: Contract, delivery: ops.Delivery, now: datetime
) -> int | None:
    """The same bytes as a file that was refused: without a word the office would take it for mended."""
    first = ops.delivery(conn, delivery.duplicate_of or delivery.delivery_id)
    refused = [first.delivery_id, *_members(conn, first.delivery_id)]
    refused = [one for one in refused if ops.delivery(conn, one).state == "quarantined"]
    sender = delivery.sender_code or first.sender_code
    dedup = f"repeat:{delivery.delivery_id}"
    recipient = policy.recipient(contract, sender)
    if not refused or not recipient.wants("repeat") or _is_written(conn, dedup):
        return None
    with conn.cursor(row_factory=dict_row) as cursor:
        still_open = cursor.execute(
            "select incident_id from ops.incident where delivery_id = any(%s) and state <> 'fixed' order by incident_id",
            (refused,),
        ).fetchall()
    if _was_repeated(conn, delivery, recipient.address, is_open=bool(still_open)):
        return None
    is_personal = any(evidence.is_about_persons(conn, policy, contract, ops.delivery(conn, one)) for one in refused)
    periods, _ = _facts(conn, first)
    _, is_demo = _facts(conn, delivery)
    context = {
        "dataset": contract.title_de,
        "period": spell_periods(periods),
        "file": wording.UNNAMED_FILE if is_personal else f"„{plain(delivery.file_name)}“",
        "received": spell_moment(delivery.received_at),
        "first": spell_moment(first.received_at),
        "is_mended": not still_open,
        "is_demo": is_demo,
        "url": f"{policy.desk}/deliveries/{first.delivery_id}",
    }
    about = _About(
        contract.dataset_id,
        sender,
        periods[0] if len(periods) == 1 else None,
        [delivery.delivery_id],
        [row["incident_id"] for row in still_open],
    )
    text = render(policy, "repeat", context)
    return _write(conn, policy, "repeat", dedup, text, recipient.address, recipient.channel, about, now)


def _was_repeated(conn: ops.Connection, delivery: ops.Delivery, address: str | None, *, is_open: bool) -> bool:
    """The same answer to the same bytes once for good: whoever sends all files again knows, and a machine would answer ours."""
    return (
        conn.execute(
            """
            select 1 from ops.message as m
            inner join ops.message_delivery as md using (message_id)
            inner join ops.delivery as d using (delivery_id)
            where m.kind = 'repeat' and d.dataset_id = %s and d.sha256 = %s and m.recipient is not distinct from %s
                and exists (select 1 from ops.message_incident as mi where mi.message_id = m.message_id) = %s
            limit 1
            """,
            (delivery.dataset_id, delivery.sha256, address, is_open),
        ).fetchone()
        is not None
    )


def _members(conn: ops.Connection, container_id: int) -> list[int]:
    rows = conn.execute("select delivery_id from ops.delivery where container_id = %s order by 1", (container_id,))
    return [number for (number,) in rows]


def _closing(
    conn: ops.Connection,
    policy: Policy,
    contract: Contract,
    delivery: ops.Delivery,
    mended: Sequence[Change],
    now: datetime,
) -> int | None:
    dedup = f"closing:{delivery.delivery_id}"
    recipient = policy.recipient(contract, delivery.sender_code)
    if not recipient.wants("closing") or _is_written(conn, dedup):
        return None
    periods, is_demo = _facts(conn, delivery)
    matters = _matters(conn, policy, contract, [(change.incident_id, change.rule, change.message) for change in mended])
    context = {
        "dataset": contract.title_de,
        "period": spell_periods(periods),
        "file": plain(delivery.file_name),
        "received": spell_moment(delivery.received_at),
        "matters": matters[:PLACES_SHOWN],
        "matter_count": len(matters),
        "is_demo": is_demo,
        "url": f"{policy.desk}/deliveries/{delivery.delivery_id}",
    }
    about = _About(
        contract.dataset_id,
        delivery.sender_code,
        periods[0] if len(periods) == 1 else None,
        [delivery.delivery_id],
        [change.incident_id for change in mended],
    )
    text = render(policy, "closing", context)
    return _write(conn, policy, "closing", dedup, text, recipient.address, recipient.channel, about, now)


def _receipt(
    conn: ops.Connection, policy: Policy, contract: Contract, sender: str | None, ids: Sequence[int], now: datetime
) -> int | None:
    dedup = f"receipt:{contract.dataset_id}:{sender or ''}:{ids[0]}-{ids[-1]}"
    recipient = policy.recipient(contract, sender)
    if not recipient.wants("receipt") or _is_written(conn, dedup):
        return None
    deliveries = [ops.delivery(conn, one) for one in ids[:FILES_SHOWN]]
    facts = [_facts(conn, one) for one in deliveries]
    next_due = next(iter(wording.next_due(contract, delivery_calendar.today(now), 1)), None)
    periods = sorted({code for codes, _ in facts for code in codes}) if len(ids) <= FILES_SHOWN else []
    context = {
        "dataset": contract.title_de,
        "period": spell_periods(periods),
        "file_count": len(ids),
        "deliveries": [
            {
                "file": plain(one.file_name),
                "received": spell_moment(one.received_at),
                "period": spell_periods(codes),
                "taken": wording.how_much(
                    one.row_count or 0, one.held_back_count, rows=contract.counts_rows(one.layout)
                ),
            }
            for one, (codes, _) in zip(deliveries, facts, strict=True)
        ],
        "next_due": next_due
        and {"day": wording.spell_date(next_due.due_on), "period": wording.spell_period(next_due.period_code)},
        "is_demo": any(is_demo for _, is_demo in facts),
        "url": f"{policy.desk}/deliveries/{ids[-1]}",
    }
    about = _About(contract.dataset_id, sender, periods[0] if len(periods) == 1 else None, ids)
    text = render(policy, "receipt", context)
    return _write(conn, policy, "receipt", dedup, text, recipient.address, recipient.channel, about, now)


# ------------------------------------------------------------------------------------------------------------- calendar


def _due(
    conn: ops.Connection, policy: Policy, contract: Contract, kind: Kind, entry: Mapping[str, Any], now: datetime
) -> int | None:
    sender, period = entry["sender_code"], entry["period_code"]
    withdrawn_on = entry["withdrawn_on"] and wording.spell_date(entry["withdrawn_on"])
    # What was withdrawn is missing for another reason than before: that is news.
    dedup = f"{kind}:{contract.dataset_id}:{sender or ''}:{period}{f':{withdrawn_on}' if withdrawn_on else ''}"
    recipient = policy.recipient(contract, sender)
    if not recipient.wants(kind) or _is_written(conn, dedup):
        return None
    context = {
        "dataset": contract.title_de,
        "office": recipient.name,
        "period": wording.spell_period(period),
        "due_on": wording.spell_date(entry["due_on"]),
        "grace_until": wording.spell_date(entry["grace_until"]),
        "withdrawn_on": withdrawn_on,
        "ways": ways(policy, contract),
        "url": policy.desk,
    }
    known = [entry["incident_id"]] if entry["incident_id"] is not None else []
    about = _About(contract.dataset_id, sender, period, incidents=known)
    text = render(policy, kind, context)
    return _write(conn, policy, kind, dedup, text, recipient.address, recipient.channel, about, now)


def _to_escalate(conn: ops.Connection, policy: Policy, today: date) -> list[dict[str, Any]]:
    """What is critical or did not come, and nobody took up for ``escalation_days`` after the day it was to be mended by."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            select dataset_id, sender_code, period_code,
                array_agg(incident_id order by incident_id) as ids, array_agg(message order by incident_id) as messages,
                array_agg(rule order by incident_id) as rules
            from ops.incident as i
            where state in ('open', 'reopened') and cause_id is null
                and (severity = 'critical' or rule like 'calendar.%%')
                and greatest(due_on, (first_seen_at at time zone ops.office_time_zone())::date) + %s < %s
                -- What may mend it is here; it is ours to decide.
                and not exists (
                    select from ops.delivery as held
                    where held.state in ('validated', 'held') and held.dataset_id = i.dataset_id
                        and (i.sender_code is null or held.sender_code = i.sender_code)
                        and (i.period_code is null or i.rule = 'calendar.silent' or i.period_code = any(held.periods))
                )
            group by dataset_id, sender_code, period_code
            order by dataset_id, sender_code nulls first, period_code
            """,
            (policy.escalation_days, today),
        ).fetchall()


def _escalation(
    conn: ops.Connection, policy: Policy, contract: Contract, kind: Kind, row: Mapping[str, Any], now: datetime
) -> int | None:
    dedup = f"escalation:{row['dataset_id']}:{row['sender_code'] or ''}:{row['period_code'] or ''}"
    if row["period_code"] is None:
        dedup += f":{row['ids'][0]}:{_opened_at(conn, row['ids'][0])}"
    recipient = policy.recipient(contract, row["sender_code"])
    if not recipient.wants("escalation") or _is_written(conn, dedup):
        return None
    matters = _matters(conn, policy, contract, list(zip(row["ids"], row["rules"], row["messages"], strict=True)))
    context = {
        "dataset": contract.title_de,
        "office": recipient.name,
        "period": wording.spell_period(row["period_code"]) if row["period_code"] else "",
        "matters": matters[:PLACES_SHOWN],
        "more_matters": max(0, len(matters) - PLACES_SHOWN),
        "told": recipient.address,
        "url": policy.desk,
    }
    about = _About(contract.dataset_id, row["sender_code"], row["period_code"], incidents=row["ids"])
    text = render(policy, kind, context)
    return _write(conn, policy, kind, dedup, text, recipient.escalation, recipient.channel, about, now)


def _opened_at(conn: ops.Connection, incident_id: int) -> int:
    """The event with which an incident was last opened: without a period nothing else tells one matter from the next."""
    row = conn.execute(
        "select max(event_id) from ops.incident_event where incident_id = %s and action in ('opened', 'reopened')",
        (incident_id,),
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


# --------------------------------------------------------------------------------------------------------------- outbox


def _apart(conn: ops.Connection, what: str, work: Callable[[], object], failed: Failed) -> None:
    """Do it without harm to what was done before."""
    try:
        with conn.transaction():
            work()
    except Exception as error:
        failed(what, error)


def _is_written(conn: ops.Connection, dedup: str) -> bool:
    return conn.execute("select 1 from ops.message where dedup_key = %s", (dedup,)).fetchone() is not None


def _write(
    conn: ops.Connection,
    policy: Policy,
    kind: Kind,
    dedup: str,
    text: Text,
    recipient: str | None,
    channel: Channel,
    about: _About,
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


def _incidents(conn: ops.Connection, delivery_id: int, changes: Iterable[Change]) -> list[dict[str, Any]]:
    """The incidents a delivery shows, also those that were known and are accepted."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select incident_id, rule, state, due_on, cause_id from ops.incident"
            " where state <> 'fixed' and (delivery_id = %s or incident_id = any(%s)) order by incident_id",
            (delivery_id, [change.incident_id for change in changes if change.action != "fixed"]),
        ).fetchall()


def _matters(
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
        else plain(_matter(conn, shown_by.get(incident_id), rule, message, contract), _SENTENCE)
        for incident_id, rule, message in incidents
    ]
    return list(dict.fromkeys(said))


def _matter(conn: ops.Connection, delivery_id: int | None, rule: str, message: str, contract: Contract) -> str:
    """The finding behind an incident without place and count; what has none, or is no longer found, as it was put down."""
    found = next((f for f in ops.findings(conn, delivery_id) if f.rule == rule), None) if delivery_id else None
    return saying.say(found, contract.secrecy_method, with_place=False, with_count=False) if found else message


def _is_from_before(conn: ops.Connection, delivery_id: int) -> bool:
    row = conn.execute(
        "select state_at < since::timestamp at time zone ops.office_time_zone() from ops.delivery, ops.follow_up where delivery_id = %s",
        (delivery_id,),
    ).fetchone()
    return bool(row and row[0])


def _facts(conn: ops.Connection, delivery: ops.Delivery) -> tuple[list[str], bool]:
    """The periods a delivery is about, as far as they are known, and whether it is of the demo."""
    row = conn.execute(
        "select periods, is_demo from ops.delivery where delivery_id = %s", (delivery.delivery_id,)
    ).fetchone()
    assert row is not None  # noqa: S101 - the caller has just read it
    stated = [code for code in (delivery.period_stated, delivery.period_inferred) if code]
    return sorted(row[0] or stated[:1]), bool(row[1])


def _reply_by(policy: Policy, due: Iterable[date | None], now: datetime) -> date:
    """The earliest day to come agreed for one of the incidents, else ``reply_days`` from now; a working day."""
    from teilhabe.codes.holidays import next_working_day

    today = delivery_calendar.today(now)
    agreed = [day for day in due if day is not None and day > today]
    return min(agreed) if agreed else next_working_day(today + timedelta(days=policy.reply_days))


def _row_count(findings: Sequence[Finding]) -> int | None:
    """How many rows of the file findings are about, each counted once; None where only some of the places are kept."""
    if any(len(finding.evidence) < finding.row_count for finding in findings):
        return None
    return len({(one.sheet or f.sheet, one.row) for f in findings for one in f.evidence if one.row is not None})


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
