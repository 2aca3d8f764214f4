"""How the warehouse stands: whether the last build succeeded, since when none has, why, and what waits for the next one."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from teilhabe import ops
from teilhabe.contract import lookup
from teilhabe.pipeline import waiting
from teilhabe.settings import Settings


def standing(conn: ops.Connection) -> dict[str, Any]:
    """``state`` of the last build that ended (None: there was none), its ``reason`` and ``failed_since`` when it failed,
    ``running_since`` of one under way, ``waiting``: deliveries the next build takes in or out."""
    with conn.cursor(row_factory=dict_row) as cursor:
        last = cursor.execute(
            "select build_id, state, started_at, finished_at, message from ops.build where state <> 'running'"
            " order by build_id desc limit 1"
        ).fetchone()
        running = cursor.execute("select started_at from ops.build where state = 'running' limit 1").fetchone()
        failed = cursor.execute(
            """
            select min(coalesce(finished_at, started_at)) as since from ops.build
            where state = 'failed'
                and build_id > coalesce((select max(build_id) from ops.build where state = 'succeeded'), 0)
            """
        ).fetchone()
    has_failed = last is not None and last["state"] == "failed"
    return {
        "build_id": last and last["build_id"],
        "state": last and last["state"],
        "finished_at": last and last["finished_at"],
        "failed_since": failed["since"] if has_failed and failed else None,
        "reason": last["message"] if has_failed and last else None,
        "running_since": running and running["started_at"],
        "waiting": ops.deliveries_to_build(conn),
    }


def reason_of_failure(conn: ops.Connection) -> str | None:
    """Why the last build failed, in full; None when it did not."""
    reason = standing(conn)["reason"]
    return None if reason is None else str(reason)


def in_inboxes(settings: Settings) -> list[dict[str, Any]]:
    """Files that were handed in and not yet fetched, by dataset."""
    counted = ((name, waiting.waiting_in_inbox(settings, name)) for name in lookup.dataset_ids(settings))
    return [{"dataset_id": name, "files": files} for name, files in counted if files]
