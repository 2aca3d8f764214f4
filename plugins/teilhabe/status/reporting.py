"""Answers for people who look: what arrived, what is due, what is open."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from teilhabe.building import build_status
from teilhabe.contract import delivery_calendar, lookup
from teilhabe.contract.delivery_calendar import Standing
from teilhabe.contract.model import Contract
from teilhabe.findings import contradictions, list_contradictions
from teilhabe.landing import room
from teilhabe.ops import incident_record
from teilhabe.raw import loading
from teilhabe.settings import Settings


def status(settings: Settings, now: datetime) -> dict[str, Any]:
    """``deliveries`` newest first with their findings, ``due`` per dataset and sender: the latest delivery that was due,
    ``incidents``: what nobody has mended or accepted, each without what follows from it, ``build``: how the warehouse stands,
    ``no_room``: a sentence while the disk is full,
    ``inbox``: files nobody has fetched yet, ``contradictions``: pairs of datasets that differ on the same numbers,
    ``list_contradictions``: what official lists of territorial changes say against themselves or the register,
    ``is_demo``: some of the deliveries are the demo's."""
    with loading.session(settings) as conn, conn.cursor(row_factory=dict_row) as cursor:
        deliveries = cursor.execute(
            """
            select delivery_id, dataset_id, file_name as file, received_at, received_from, state, row_count,
                held_back_count, layout, duplicate_of, periods, sender_code as sender, container_id, is_demo,
                hold_reason, withdrawal_reason
            from ops.delivery order by delivery_id desc
            """
        ).fetchall()
        standings = delivery_calendar.latest_due(conn, delivery_calendar.today(now))
        findings = cursor.execute(
            """
            select delivery_id, severity, rule, message, row_count as rows, held_back from ops.finding
            order by array_position(array['critical', 'warning', 'info'], severity), finding_id
            """
        ).fetchall()
        open_incidents = cursor.execute(
            """
            select incident_id, dataset_id, sender_code as sender, period_code as period, delivery_id, state, severity, rule,
                message, first_seen_at as since, due_on as due
            from ops.incident where state = any(%s) and cause_id is null
            order by severity, first_seen_at desc, incident_id desc
            """,
            (list(incident_record.OPEN),),
        ).fetchall()
        build = build_status.standing(conn)
        no_room = room.standing(conn)
    contracts = lookup.contracts(settings)
    by_delivery: dict[int, list[dict[str, Any]]] = {}
    for finding in findings:
        by_delivery.setdefault(finding.pop("delivery_id"), []).append(finding)
    for delivery in deliveries:
        delivery["findings"] = by_delivery.get(delivery["delivery_id"], [])
    return {
        "deliveries": deliveries,
        "due": [_due(standing, contracts.get(standing.dataset_id)) for standing in standings],
        "incidents": open_incidents,
        "build": build,
        "no_room": no_room,
        "inbox": build_status.in_inboxes(settings),
        "contradictions": [pair.as_json() for pair in contradictions.pairs(settings)],
        "list_contradictions": [one.as_json() for one in list_contradictions.found(settings)],
        "is_demo": any(delivery["is_demo"] for delivery in deliveries),
    }


def holds_demo(settings: Settings) -> bool:
    """Whether anything in the warehouse comes from the demo."""
    with loading.session(settings) as conn:
        [[found]] = conn.execute("select exists (select from ops.delivery where is_demo)").fetchall()
    return bool(found)


def _due(standing: Standing, contract: Contract | None) -> dict[str, Any]:
    names = {sender.territory_code: sender.territory_name for sender in contract.senders} if contract else {}
    return {
        "dataset_id": standing.dataset_id,
        "sender": standing.sender_code,
        "sender_name": names.get(standing.sender_code or ""),
        "period": standing.period_code,
        "due": standing.due_on,
        "grace_until": standing.grace_until,
        "state": standing.state,
        "missing": standing.missing,
        "next_period": standing.next_period,
        "next_due": standing.next_due_on,
    }
