"""A star of its own for a test: rows are put into ``raw`` as the loader would, dbt builds them, a release publishes them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from psycopg import sql

from teilhabe import ops
from teilhabe.building import building, releasing
from teilhabe.cli import by_hand
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests import forks
from tests.conftest import PROJECT

Rows = list[dict[str, Any]]

GROUP = {"obs_status": "A", "conf_status": "F", "territory_name": "Peine"}
MUNICIPALITIES = [f"03157{number}" for number in ("001", "002", "005", "006", "007", "008", "009")]
"""The county's municipalities since 2015."""


def cell(territory: str, period: str, measure: str, value: object, **group: Any) -> dict[str, Any]:
    place = {"territory_code": territory, "period_code": period, "measure_code": measure}
    return {**GROUP, **place, "category": "total", "value": None if value is None else str(value), **group}


class Star:
    """A warehouse of its own: deliver rows, build, ask as analyst."""

    def __init__(self, settings: Settings, work: Path) -> None:
        self.settings = settings
        self.work = work
        self._delivered = 0

    def deliver(
        self, dataset: str, received_at: str, rows: Rows, state: str = "loaded", sender: str | None = None
    ) -> int:
        """Put one delivery into ``raw`` as the loader would; returns its id."""
        self._delivered += 1
        with connecting.connect("loader", self.settings) as conn:
            row = conn.execute(
                "insert into ops.delivery (dataset_id, file_name, sha256, size_bytes, received_at, received_from, source,"
                " archive_uri, manifest_uri, state, row_count)"
                " values (%s, 'test.csv', %s, 1, %s, %s, 'test', 'x', %s, %s, %s) returning delivery_id",
                (
                    dataset,
                    f"{self._delivered:064x}",
                    received_at,
                    sender,
                    f"manifest-{self._delivered}",
                    state,
                    len(rows),
                ),
            ).fetchone()
            assert row is not None
            delivery_id = int(row[0])
            for number, values in enumerate(rows, start=1):
                line = {**values, "_delivery_id": delivery_id, "_row_number": number, "_column_number": 1}
                names = sql.SQL(", ").join(map(sql.Identifier, line))
                marks = sql.SQL(", ").join([sql.Placeholder()] * len(line))
                table = sql.Identifier("raw", dataset)
                conn.execute(
                    sql.SQL("insert into {} ({}) values ({})").format(table, names, marks), list(line.values())
                )
        return delivery_id

    def dbt(self, *arguments: str, fails: bool = False, project: Path = PROJECT / "dbt_project") -> str:
        """Run dbt by hand; the output, when it ended as expected."""
        environment = {
            **os.environ,
            **by_hand.environment(self.settings),
            "DBT_PROFILES_DIR": str(project),
            "DBT_TARGET_PATH": str(self.work / "target"),
            "DBT_LOG_PATH": str(self.work / "logs"),
        }
        done = forks.run("dbt.cli.main", arguments, project, environment)
        assert (done.returncode != 0) is fails, done.stdout[-6000:]
        return done.stdout

    def build_by_hand(self) -> None:
        """Everything, the tests of the code itself included, by dbt alone, and published."""
        self.dbt("build")
        self.publish()

    def build(self, *, force: bool = False, build_rows: int = Settings.build_rows) -> int:
        """As the warehouse run builds and publishes, ``build_rows`` at once; returns the build."""
        return building.build(replace(self.settings, build_rows=build_rows), force=force)

    def publish(self, manifest: Path | None = None) -> releasing.Release:
        """What a run does after its dbt build; ``manifest`` is that of the last run by hand where none is given."""
        with loading.session(self.settings) as conn:
            build_id = ops.start_build(conn, ops.deliveries_to_build(conn), code_version="test", run_id=None)
        releasing.approve(self.settings, build_id)
        release = releasing.publish(
            self.settings, build_id, manifest=manifest or self.work / "target" / "manifest.json"
        )
        with loading.session(self.settings) as conn:
            ops.finish_build(conn, build_id, succeeded=True, message=None)
        return release

    def ask(self, query: str, role: str = "analyst") -> list[tuple[Any, ...]]:
        with connecting.connect(role, self.settings) as conn:  # type: ignore[arg-type]
            return conn.execute(query).fetchall()
