"""The numbers operators watch, in Prometheus' text format. Counted anew at each request: there is nothing to keep in memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from teilhabe import ops
from teilhabe.contract import delivery_calendar

if TYPE_CHECKING:
    from teilhabe.settings import Settings

_COUNTS = {
    "teilhabe_deliveries": ("Deliveries by state.", ("state",), "select state, count(*) from ops.delivery group by 1"),
    "teilhabe_incidents": (
        "Incidents by state and severity.",
        ("state", "severity"),
        "select state, severity, count(*) from ops.incident group by 1, 2",
    ),
    "teilhabe_messages": (
        "Messages by state and channel.",
        ("state", "channel"),
        "select state, channel, count(*) from ops.message group by 1, 2",
    ),
}
_AGES = {
    "teilhabe_oldest_waiting_message_seconds": (
        "Seconds since the oldest message that may go out was allowed to; 0 when none waits.",
        "select min(not_before) from ops.message where state in ('waiting', 'sending') and not_before <= %(now)s",
    ),
    "teilhabe_oldest_unjudged_delivery_seconds": (
        "Seconds since the oldest delivery without a verdict was handed in that waits for no person; 0 when there is none.",
        "select min(received_at) from ops.delivery as d where state in ('received', 'validated', 'failed') "
        "and not exists (select from ops.approval as q where q.delivery_id = d.delivery_id and q.answer is null)",
    ),
    "teilhabe_last_build_seconds": (
        "Seconds since the last build of the warehouse succeeded; absent before the first.",
        "select max(finished_at) from ops.build where state = 'succeeded'",
    ),
    "teilhabe_last_release_seconds": (
        "Seconds since the last release was published; absent before the first.",
        "select max(finished_at) from ops.outcome where step = 'publish' and status = 'ok'",
    ),
}
_ZERO_WHEN_NONE = ("teilhabe_oldest_waiting_message_seconds", "teilhabe_oldest_unjudged_delivery_seconds")


def exposition(conn: ops.Connection, settings: Settings, now: datetime) -> tuple[bytes, str]:
    """The text and its media type."""
    registry = CollectorRegistry()
    registry.register(_Numbers(list(_collect(conn, settings, now))))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Numbers(Collector):
    def __init__(self, numbers: Iterable[Metric]) -> None:
        self._numbers = list(numbers)

    def collect(self) -> Iterable[Metric]:
        return self._numbers


def _collect(conn: ops.Connection, settings: Settings, now: datetime) -> Iterator[Metric]:
    for name, (about, labels, query) in _COUNTS.items():
        counts = GaugeMetricFamily(name, about, labels=labels)
        for *values, count in conn.execute(query.encode()):
            counts.add_metric([str(value) for value in values], count)
        yield counts
    for name, (about, query) in _AGES.items():
        since = _single(conn, query, {"now": now})
        if since is not None or name in _ZERO_WHEN_NONE:
            yield GaugeMetricFamily(name, about, value=max(0.0, (now - since).total_seconds()) if since else 0)
    overdue = _single(
        conn,
        """
        select count(*) from ops.delivery_calendar_at(%(day)s)
        where state = 'overdue' and due_on > %(day)s - 365 and due_on >= (select since from ops.follow_up)
        """,
        {"day": delivery_calendar.today(now)},
    )
    yield GaugeMetricFamily(
        "teilhabe_overdue", "Periods overdue within the last year that were due since the installation.", value=overdue
    )
    yield GaugeMetricFamily(
        "teilhabe_disk_free_bytes", "Free space where the home is.", value=shutil.disk_usage(settings.home).free
    )


def _single(conn: ops.Connection, query: str, parameters: dict[str, Any]) -> Any:
    row = conn.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None
