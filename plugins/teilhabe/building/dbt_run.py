"""One dbt command in a process of its own, started by ``building.dbt``: ``python -m teilhabe.building.dbt_run FOLDER ARGUMENT...``.

It leaves in ``FOLDER`` what a build has to know, in dbt's form: ``run_results.json``, with tags and parents of each node, and
``manifest.json``, with the contracts of the models that ran. dbt's own files hold all texts of models and macros as well, are
written twice, and take a fifth of a small build.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from teilhabe.system.parent import end_with

PARENT = "TEILHABE_DBT_PARENT"
"""Environment variable: the number of the process that asked for this one."""

MANIFEST, RESULTS = "manifest.json", "run_results.json"
READ = "partial_parse.msgpack"
"""What dbt has read of the project, in its own form."""


def main(folder: Path, arguments: Sequence[str]) -> int:
    """Run it; 0 when all went well, as dbt's own command says."""
    from dbt.cli.main import dbtRunner
    from dbt_common.events.event_manager_client import ctx_set_event_manager

    ctx_set_event_manager(_events())
    _read_alike_for_all_servers()
    done = dbtRunner().invoke(["--no-write-json", *arguments])
    ran = getattr(done.result, "results", [])
    nodes = {one.node.unique_id: _contract(one.node) for one in ran if one.node.resource_type == "model"}
    (folder / MANIFEST).write_text(json.dumps({"nodes": nodes}), encoding="utf-8")
    (folder / RESULTS).write_text(json.dumps({"results": [_result(one) for one in ran]}), encoding="utf-8")
    if done.exception is not None:
        print(done.exception, file=sys.stderr)
    return 0 if done.success else 1


def _read_alike_for_all_servers() -> None:
    """Host and port say nothing about a project that does not use them; dbt would read all of it anew when they change."""
    from dbt.adapters.postgres.connections import PostgresCredentials

    credentials: Any = PostgresCredentials
    all_keys = credentials._connection_keys

    def connection_keys(self: Any) -> tuple[str, ...]:
        return tuple(key for key in all_keys(self) if key not in ("host", "port"))

    credentials._connection_keys = connection_keys


def _events() -> Any:
    """dbt's events without those for debugging: there are thousands in a build, spelled out before they are not written."""
    from dbt_common.events.base_types import BaseEvent, EventLevel
    from dbt_common.events.event_manager import EventManager

    class Told(EventManager):
        def fire_event(self, e: BaseEvent, level: EventLevel | None = None, *more: Any, **named: Any) -> None:
            if (level or e.level_tag()) not in (EventLevel.DEBUG, EventLevel.TEST):
                super().fire_event(e, level, *more, **named)

    return Told()


def _contract(model: Any) -> dict[str, Any]:
    return {
        "name": model.name,
        "resource_type": "model",
        "schema": model.schema,
        "constraints": [one.to_dict() for one in model.constraints],
        "columns": {
            name: {"name": name, "constraints": [one.to_dict() for one in column.constraints]}
            for name, column in model.columns.items()
        },
    }


def _result(result: Any) -> dict[str, Any]:
    return {
        "unique_id": result.node.unique_id,
        "tags": list(getattr(result.node, "tags", [])),
        # An operation (a hook of the run) depends on macros alone.
        "depends_on": {"nodes": list(getattr(getattr(result.node, "depends_on", None), "nodes", []))},
        "status": str(result.status),
        "message": result.message,
        **(_asked(result.node) if str(result.status) not in ("pass", "success", "skipped", "warn") else {}),
        "execution_time": result.execution_time,
        "timing": [
            {"name": t.name, "started_at": t.started_at.isoformat(), "completed_at": t.completed_at.isoformat()}
            for t in result.timing
            if t.started_at and t.completed_at
        ],
    }


def _asked(node: Any) -> dict[str, Any]:
    """What a node that failed has asked the database, so that its rows can be looked at again."""
    checks = [one for one in getattr(node, "constraints", []) if str(getattr(one.type, "value", one.type)) == "check"]
    return {
        "compiled_code": getattr(node, "compiled_code", None),
        "checks": [one.expression for one in checks if one.expression],
    }


if __name__ == "__main__":
    # A build whose process was killed holds the lock of builds no longer: its dbt must not write on beside the next one's.
    end_with(int(os.environ[PARENT]))
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
