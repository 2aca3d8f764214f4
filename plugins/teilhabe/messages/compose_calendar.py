"""Messages about what is due or missing: reminders to offices, escalation to their superiors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from teilhabe import ops
from teilhabe.codes import wording
from teilhabe.contract import delivery_calendar
from teilhabe.messages.rendering import Kind, render
from teilhabe.messages.writing import PLACES_SHOWN, About, Failed, apart, is_written, matters_of, ways, write_message
from teilhabe.ops.incident_calendar import HELD, WITHDRAWN_ON

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract
    from teilhabe.messages.policy import Policy


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
        apart(conn, " ".join(place.split()), partial(write, kind, entry), failed)


def _due(
    conn: ops.Connection, policy: Policy, contract: Contract, kind: Kind, entry: Mapping[str, Any], now: datetime
) -> int | None:
    sender, period = entry["sender_code"], entry["period_code"]
    withdrawn_on = entry["withdrawn_on"] and wording.spell_date(entry["withdrawn_on"])
    # What was withdrawn is missing for another reason than before: that is news.
    dedup = f"{kind}:{contract.dataset_id}:{sender or ''}:{period}{f':{withdrawn_on}' if withdrawn_on else ''}"
    recipient = policy.recipient(contract, sender)
    if not recipient.wants(kind) or is_written(conn, dedup):
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
    about = About(contract.dataset_id, sender, period, incidents=known)
    text = render(policy, kind, context)
    return write_message(conn, policy, kind, dedup, text, recipient.address, recipient.channel, about, now)


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
    if not recipient.wants("escalation") or is_written(conn, dedup):
        return None
    matters = matters_of(conn, policy, contract, list(zip(row["ids"], row["rules"], row["messages"], strict=True)))
    context = {
        "dataset": contract.title_de,
        "office": recipient.name,
        "period": wording.spell_period(row["period_code"]) if row["period_code"] else "",
        "matters": matters[:PLACES_SHOWN],
        "more_matters": max(0, len(matters) - PLACES_SHOWN),
        "told": recipient.address,
        "url": policy.desk,
    }
    about = About(contract.dataset_id, row["sender_code"], row["period_code"], incidents=row["ids"])
    text = render(policy, kind, context)
    return write_message(conn, policy, kind, dedup, text, recipient.escalation, recipient.channel, about, now)


def _opened_at(conn: ops.Connection, incident_id: int) -> int:
    """The event with which an incident was last opened: without a period nothing else tells one matter from the next."""
    row = conn.execute(
        "select max(event_id) from ops.incident_event where incident_id = %s and action in ('opened', 'reopened')",
        (incident_id,),
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else 0
