"""What goes wrong with the machinery itself or between offices, for the operators: never for an office."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import psutil

from teilhabe.findings import contradictions
from teilhabe.messages import outbox, writing
from teilhabe.messages.policy import load_alert_policy
from teilhabe.raw import loading

if TYPE_CHECKING:
    from teilhabe import ops
    from teilhabe.contract.model import Contract
    from teilhabe.messages.outbox import Sent
    from teilhabe.messages.policy import GetCredentials, Policy
    from teilhabe.settings import Settings

_MOST_LINES = 20
_GB = 1_000_000_000


def check_disk(conn: ops.Connection, policy: Policy, now: datetime) -> bool:
    """Whether the disk under the home has less room than agreed; the operators are told."""
    usage = psutil.disk_usage(str(policy.settings.home))
    free = 100.0 - usage.percent
    if free >= policy.low_disk_percent:
        return False
    text = (
        f"Unter {policy.settings.home} sind noch {free:.0f} % frei ({usage.free / _GB:.1f} von {usage.total / _GB:.1f} GB); "
        f"gewarnt wird unter {policy.low_disk_percent:g} %."
    )
    writing.operators(conn, policy, "Speicherplatz wird knapp", text, "disk", now)
    return True


def tell_problems(
    conn: ops.Connection,
    settings: Settings,
    credentials: GetCredentials,
    contract: Contract,
    server: str,
    problems: Sequence[str],
    now: datetime,
) -> None:
    """Entries of a source that cannot be taken in, once a day and source: the others are, so nothing else would tell."""
    policy = load_alert_policy(settings, credentials)
    lines = list(dict.fromkeys(problems))
    more = [f"... und {len(lines) - _MOST_LINES} weitere."] if len(lines) > _MOST_LINES else []
    subject = f"Nicht annehmbar: {contract.title_de} (Quelle {server})"
    key = f"problems:{contract.dataset_id}:{server}"
    writing.operators(conn, policy, subject, "\n".join([*lines[:_MOST_LINES], *more]), key, now)
    conn.commit()


def raise_alert(
    settings: Settings, credentials: GetCredentials, subject: str, text: str, key: str, now: datetime
) -> Sent:
    """Write an alert and try to send it at once, by what is sound of the policy."""
    policy = load_alert_policy(settings, credentials)
    with loading.session(settings) as conn:
        writing.operators(conn, policy, subject, text, key, now)
    return outbox.send_due(settings, policy, credentials, now, alerts_only=True)


def tell_contradictions(settings: Settings, credentials: GetCredentials, now: datetime) -> int:
    """Tell of datasets whose published numbers contradict each other, once for good per pair and measure; how many are new."""
    found = contradictions.pairs(settings)
    if not found:
        return 0
    policy = load_alert_policy(settings, credentials)
    with loading.session(settings) as conn:
        written = [
            writing.operators(conn, policy, pair.subject(), pair.sentences(), pair.key, now, once=True)
            for pair in found
        ]
    new = sum(message is not None for message in written)
    if new:
        outbox.send_due(settings, policy, credentials, now, alerts_only=True)
    return new
