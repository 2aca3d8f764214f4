"""How long what is kept: the periods of ``retention.yml``, applied once a day and by ``teilhabe retention``.

What was there and became of it stays: deliveries, verdicts, that a message was sent. What goes is what they quote and the files
themselves. Every step can be killed and run again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from teilhabe import ops
from teilhabe.contract.layouts import Strict
from teilhabe.keeping import erasing, removing
from teilhabe.raw import loading
from teilhabe.settings import Settings
from teilhabe.system import agreed

FILE = "retention.yml"
_DESCRIBED = "docs/reference/retention.md"

Days = Annotated[int, Field(ge=1)] | None
"""None: for ever."""


class Originals(Strict):
    loaded: Days
    refused: Days
    duplicates: Days


class Outcomes(Strict):
    polls: Days
    steps: Days


class Retention(Strict):
    """All periods. Unknown keys fail."""

    originals: Originals
    evidence: Days
    messages: Days
    acts: Days
    outcomes: Outcomes
    logs: Days
    airflow: Days


@dataclass(frozen=True)
class Applied:
    """Of one kind: how many are over their period (``days``), and their bytes where they are files."""

    kind: str
    days: int | None
    count: int
    size: int | None = None


def load_retention(settings: Settings) -> Retention:
    """The periods of a home; ``ContractError`` names file and key."""
    path = settings.home / FILE
    packaged = agreed.parsed(
        files("teilhabe.keeping").joinpath(FILE).read_text(encoding="utf-8"), Path(FILE), _DESCRIBED
    )
    try:
        return Retention.model_validate(agreed.merged(packaged, agreed.own(path, _DESCRIBED)))
    except ValidationError as error:
        raise agreed.refusal(path, error) from None


def apply(settings: Settings, now: datetime, *, dry_run: bool = False) -> list[Applied]:
    """Apply all periods but those of logs and Airflow (``housekeeping``); with ``dry_run`` only say what is due."""
    periods = load_retention(settings)
    done: list[Applied] = []
    with loading.session(settings) as conn:

        def over(kind: str, days: int | None, work: Callable[[datetime], tuple[int, int | None]]) -> None:
            count, size = (0, None) if days is None else work(now - timedelta(days=days))
            done.append(Applied(kind, days, count, size))
            conn.rollback() if dry_run else conn.commit()

        for kind, states in _STATES.items():
            days = getattr(periods.originals, kind)
            over(f"originals.{kind}", days, partial(_originals, conn, states, days or 0, now))
        over("evidence", periods.evidence, lambda until: (_evidence(conn, until), None))
        over("evidence.workbooks", periods.evidence, lambda until: _workbooks(settings, conn, until, dry_run=dry_run))
        over("messages", periods.messages, lambda until: (_messages(conn, until), None))
        for kind, query in _ROWS.items():
            days = periods.acts if kind == "acts" else getattr(periods.outcomes, kind.rpartition(".")[2])
            over(kind, days, partial(_rows, conn, query))
        if not dry_run:
            removing.sweep(settings, conn)
    return done


_STATES = {
    "loaded": ("loaded", "held", "withdrawn", "unpacked"),
    "refused": ("quarantined",),
    "duplicates": ("duplicate",),
}

_ROWS = {
    "acts": "delete from ops.desk_act where action in ('uploaded', 'downloaded') and at < %(until)s",
    "outcomes.polls": "delete from ops.outcome where step = 'fetch' and delivery_id is null and finished_at < %(until)s",
    "outcomes.steps": "delete from ops.outcome where finished_at < %(until)s",
}

_EXPIRED = "Die Aufbewahrungsfrist von {days} Tagen ist abgelaufen."


def _originals(
    conn: ops.Connection, states: tuple[str, ...], days: int, now: datetime, until: datetime
) -> tuple[int, int | None]:
    rows = conn.execute(
        "select d.delivery_id, d.size_bytes from ops.delivery as d where d.state = any(%s) and d.state_at < %s"
        " and d.archive_uri is not null"
        " and not exists (select from ops.tombstone as t where t.delivery_id = d.delivery_id) order by 1",
        (list(states), until),
    ).fetchall()
    for delivery_id, _ in rows:
        removing.mark(conn, delivery_id, "expired", reason=_EXPIRED.format(days=days), actor=removing.RULE, now=now)
    return len(rows), sum(size for _, size in rows)


def _rows(conn: ops.Connection, query: str, until: datetime) -> tuple[int, int | None]:
    return conn.execute(query.encode(), {"until": until}).rowcount, None


def _evidence(conn: ops.Connection, until: datetime) -> int:
    """What findings quote of a file, and what was read of rows that were left out; their places stay for a later reading."""
    count = conn.execute(
        "delete from ops.evidence where finding_id in (select finding_id from ops.finding where found_at < %s)",
        (until,),
    ).rowcount
    return (
        count
        + conn.execute(
            "update ops.excluded_row as e set content = null, found = null from ops.delivery as d"
            " where d.delivery_id = e.delivery_id and d.state_at < %s and num_nonnulls(e.content, e.found) > 0",
            (until,),
        ).rowcount
    )


def _workbooks(settings: Settings, conn: ops.Connection, until: datetime, *, dry_run: bool) -> tuple[int, int | None]:
    rows = conn.execute(
        "select message_id, attachments from ops.message where composed_at < %s and attachments <> '[]'"
        " and state not in ('waiting', 'sending') order by 1",
        (until,),
    ).fetchall()
    if not dry_run:
        for message_id, attachments in rows:
            conn.execute("update ops.message set attachments = '[]' where message_id = %s", (message_id,))
            erasing.remove_attachments(settings, conn, attachments)
    return sum(len(attachments) for _, attachments in rows), None


def _messages(conn: ops.Connection, until: datetime) -> int:
    """The row stays, so that no message is written a second time."""
    return conn.execute(
        "update ops.message set subject = %(gone)s, body_text = '', body_html = '', recipient = null, last_error = null"
        " where composed_at < %(until)s and state not in ('waiting', 'sending') and subject <> %(gone)s",
        {"until": until, "gone": erasing.GONE},
    ).rowcount
