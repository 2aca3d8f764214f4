"""One dbt command in a process of its own, started by ``building.dbt``: ``python -m teilhabe.building.dbt_run FOLDER ARGUMENT...``.

It leaves in ``FOLDER`` what a build has to know of each node that ran: ``results.json``, with its tags and parents. dbt itself leaves
its ``manifest.json`` and ``run_results.json`` there, unless it is told not to.
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

MANIFEST, RESULTS = "manifest.json", "results.json"
READ = "partial_parse.msgpack"
"""What dbt has read of the project, in its own form."""


def main(folder: Path, arguments: Sequence[str]) -> int:
    """Run it; 0 when all went well, as dbt's own command says."""
    from dbt.cli.main import dbtRunner

    _read_alike_for_all_servers()
    done = dbtRunner().invoke(list(arguments))
    ran = getattr(done.result, "results", [])
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
