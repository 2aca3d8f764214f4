"""Airflow's own database of one home: created, brought to the installed version, and rid of those who have died."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping

from teilhabe.airflow import processes
from teilhabe.airflow.rights import AUTOMATION
from teilhabe.errors import ServiceError
from teilhabe.server import connecting
from teilhabe.settings import Settings

SLOTS = 4
"""How many tasks run side by side.

Airflow's LocalExecutor does not count what it has handed out: ``parallelism`` alone lets the scheduler fill the pipe to its
workers until it stands still, and what runs is then taken for dead. So the pool that all tasks belong to has as many slots.
"""

_GRANTS_VERSION = "3"
"""Raised whenever ``bootstrap`` grants something else, so that homes that were prepared before get it too."""


def migrate(settings: Settings, environ: Mapping[str, str]) -> None:
    """Bring the database to the installed version, its roles and first accounts included; nothing to do costs nothing.

    ``environ`` configures Airflow completely.
    """
    if is_migrated(settings):
        return
    set_up(settings, environ)
    remember_migration(settings)


def is_migrated(settings: Settings) -> bool:
    """Whether the database is what the installed version left, the account of the commands included."""
    state = {"versions": _versions(), "revisions": _revisions(settings)}
    try:
        return bool(state["revisions"]) and json.loads((settings.run / "airflow-migrated.json").read_text()) == state
    except (OSError, ValueError):
        return False


def remember_migration(settings: Settings) -> None:
    """Keep what `is_migrated` compares with."""
    state = {"versions": _versions(), "revisions": _revisions(settings)}
    processes.write_json(settings.run / "airflow-migrated.json", state)


def _versions() -> dict[str, str]:
    names = ("apache-airflow-core", "apache-airflow-providers-fab")
    return {name: importlib.metadata.version(name) for name in names} | {"grants": _GRANTS_VERSION}


def _revisions(settings: Settings) -> list[str]:
    """What the database says it is at; empty when it holds nothing or lacks the account of the commands."""
    with connecting.connect("airflow", settings) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE tablename IN ('alembic_version', 'alembic_version_fab', 'ab_user')"
        ).fetchone()
        if tables is None or tables[0] != 3:
            return []
        if connection.execute("SELECT 1 FROM ab_user WHERE username = %s", [AUTOMATION]).fetchone() is None:
            return []
        query = (
            "SELECT version_num FROM alembic_version UNION ALL SELECT version_num FROM alembic_version_fab ORDER BY 1"
        )
        return [str(row[0]) for row in connection.execute(query)]


def set_up(settings: Settings, environ: Mapping[str, str]) -> None:
    """Run `bootstrap` in a process of its own: importing Airflow reconfigures everything."""
    with processes.private_log(settings, "start") as output:
        done = subprocess.run(
            [sys.executable, "-c", "from teilhabe.airflow.bootstrapping import bootstrap; bootstrap()"],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**environ, processes.MARK: str(settings.home), "SPT_NOENV": "1"},
            cwd=settings.airflow_home,
        )
    if done.returncode != 0:
        message = f"Airflow's metadata database could not be prepared; look at {processes.log_path(settings, 'start')}."
        raise ServiceError(message)


_JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}


def forget_dead(settings: Settings, components: Iterable[str]) -> None:
    """Tell Airflow that no process of these components lives.

    By itself it takes one that was killed for alive until its last report is some minutes old, and a scheduler that
    starts before that looks after the tasks of the dead one only five minutes later.
    """
    jobs = [_JOBS[name] for name in components if name in _JOBS]
    with connecting.connect("airflow", settings) as connection:
        connection.execute(
            "UPDATE job SET state = 'failed', end_date = now() WHERE state = 'running' AND job_type = ANY (%s)", [jobs]
        )
