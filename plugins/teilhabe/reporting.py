"""Answers for people who look: what arrived, what is due, what is open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import dict_row

from teilhabe import delivery_calendar, loading, pipeline
from teilhabe.contracts import Contract
from teilhabe.delivery_calendar import Standing
from teilhabe.settings import Settings


def status(settings: Settings, now: datetime) -> dict[str, Any]:
    """``deliveries`` newest first with their findings, ``due`` per dataset and sender: the latest delivery that was due,
    ``incidents``: refusals nobody has mended, ``is_demo``: some of the deliveries are the demo's."""
    with loading.session(settings) as conn, conn.cursor(row_factory=dict_row) as cursor:
        deliveries = cursor.execute(
            """
            select delivery_id, dataset_id, file_name as file, received_at, received_from, state, row_count, layout,
                duplicate_of, periods, sender_code as sender, container_id, is_demo
            from ops.delivery order by delivery_id desc
            """
        ).fetchall()
        standings = delivery_calendar.latest_due(conn, delivery_calendar.today(now))
        findings = cursor.execute(
            """
            select delivery_id, severity, rule, message, row_count as rows from ops.finding
            order by array_position(array['critical', 'warning', 'info'], severity), finding_id
            """
        ).fetchall()
    contracts = pipeline.contracts(settings)
    by_delivery: dict[int, list[dict[str, Any]]] = {}
    for finding in findings:
        by_delivery.setdefault(finding.pop("delivery_id"), []).append(finding)
    for delivery in deliveries:
        delivery["findings"] = by_delivery.get(delivery["delivery_id"], [])
    return {
        "deliveries": deliveries,
        "due": [_due(standing, contracts.get(standing.dataset_id)) for standing in standings],
        "incidents": list(_open_refusals(deliveries)),
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


def _open_refusals(deliveries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Refused deliveries that nothing accepted since replaces."""
    accepted: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
    for delivery in deliveries:  # newest first
        later = accepted.setdefault((delivery["dataset_id"], delivery["sender"]), [])
        if delivery["state"] == "loaded":
            later.append(delivery)
        elif (
            delivery["state"] == "quarantined"
            and delivery["findings"]
            and not any(_mends(other, delivery) for other in later)
        ):
            first = delivery["findings"][0]
            yield {
                "dataset_id": delivery["dataset_id"],
                "delivery_id": delivery["delivery_id"],
                "severity": first["severity"],
                "rule": first["rule"],
                "message": first["message"],
                "since": delivery["received_at"].astimezone(UTC),
            }


def _mends(later: dict[str, Any], refused: dict[str, Any]) -> bool:
    """Same name or same periods; what could not even be read is mended by whatever was handed in after it."""
    if later["file"] == refused["file"]:
        return True
    if refused["periods"]:
        return not set(refused["periods"]).isdisjoint(later["periods"] or [])
    return bool(later["received_at"] > refused["received_at"])
