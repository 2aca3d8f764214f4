"""What a verdict leads to: incidents, the calendar, messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from teilhabe import ops
from teilhabe.contract.lookup import ContractsOnDemand
from teilhabe.errors import TeilhabeError
from teilhabe.messages import compose_calendar, writing
from teilhabe.ops import incidents
from teilhabe.pipeline.failing import log, raise_first
from teilhabe.pipeline.waiting import Credentials
from teilhabe.raw import loading
from teilhabe.settings import Settings

if TYPE_CHECKING:
    from teilhabe.messages.outbox import Sent


def follow_up(settings: Settings, now: datetime, credentials: Credentials, *, calendar: bool = False) -> Sent:
    """Incidents and messages for every verdict nobody took notice of, then send what is due at ``now``.

    With ``calendar`` also for what is due soon or overdue, as ``refresh_calendar`` left it. A message that cannot be written
    does not keep the others waiting: the operators are told which, and the error is raised when all were tried and what could
    be sent is sent.
    """
    from teilhabe.messages import compose, outbox
    from teilhabe.messages.policy import load_policy

    policy = load_policy(settings, credentials)
    known = ContractsOnDemand(settings)
    errors: list[Exception] = []
    left: list[tuple[str, Exception]] = []
    with loading.session(settings) as conn:

        def failed(what: str, error: Exception) -> None:
            log.error("follow-up of %s: %s", what, type(error).__name__)
            errors.append(error)
            left.append((what, error))

        def attempt(what: str, work: Callable[[], object]) -> None:
            try:
                work()
                conn.commit()
            except Exception as error:
                conn.rollback()
                failed(what, error)

        def tell() -> None:
            for what, error in left:
                # Only sentences of our own: the text of an unforeseen error may quote a file.
                why = str(error) if isinstance(error, TeilhabeError) else type(error).__name__
                subject = f"Nachricht nicht geschrieben: {what}"
                writing.operators(conn, policy, subject, f"{subject}. Grund: {why}", f"follow-up:{what}", now)

        def follow(delivery_id: int) -> None:
            its = known.get(ops.delivery(conn, delivery_id).dataset_id)
            if its is not None:
                changes = incidents.follow(conn, its, delivery_id, now)
                compose.about_delivery(conn, policy, its, delivery_id, changes, now)

        for number in incidents.unfollowed(conn):
            attempt(f"delivery {number}", partial(follow, number))
        attempt("receipts", lambda: compose.receipts(conn, policy, known, now, failed))
        if calendar:
            attempt("calendar", lambda: compose_calendar.about_calendar(conn, policy, known, now, failed))
        if left:
            attempt("operators", tell)
    sent = outbox.send_due(settings, policy, credentials, now)
    raise_first(errors)
    return sent
