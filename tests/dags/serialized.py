"""Run in a process of its own: parse the DAG files and print what Airflow would store, and what was imported for it."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

HEAVY = ("great_expectations", "dbt", "pandas", "pyarrow", "python_calamine", "openpyxl", "paramiko", "s3fs")


def main(folder: str) -> None:
    connections: list[str] = []
    original = socket.socket.connect

    def watched(self: socket.socket, address: object) -> None:
        connections.append(str(address))
        original(self, address)  # type: ignore[arg-type]

    socket.socket.connect = watched  # type: ignore[method-assign,assignment]

    import psycopg

    def refused(*_: object, **__: object) -> None:
        connections.append("psycopg")
        raise AssertionError("a DAG file opened a database connection")

    psycopg.connect = refused  # type: ignore[assignment]
    sys.path.insert(0, folder)  # as Airflow does
    before = set(sys.modules)
    dags = {}
    for path in sorted(Path(folder).glob("*.py")):
        space: dict[str, object] = {"__name__": path.stem, "__file__": str(path)}
        exec(compile(path.read_bytes(), str(path), "exec"), space)
        from airflow.sdk import DAG

        dags |= {value.dag_id: value for value in space.values() if isinstance(value, DAG)}
    heavy = sorted({name.split(".")[0] for name in set(sys.modules) - before} & set(HEAVY))
    from airflow.serialization.serialized_objects import DagSerialization

    stored = {dag_id: DagSerialization.to_dict(dag) for dag_id, dag in sorted(dags.items())}
    print(json.dumps({"dags": stored, "heavy": heavy, "connections": connections}))


if __name__ == "__main__":
    main(sys.argv[1])
