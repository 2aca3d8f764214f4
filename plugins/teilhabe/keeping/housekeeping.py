"""Logs and Airflow's own database, kept small: the periods ``logs`` and ``airflow`` of ``retention.yml``.

Logs of components are cut while they are written: what was written is copied to ``NAME.1``, and the file begins anew. A line
written in between may be lost.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from teilhabe.airflow import configuration
from teilhabe.errors import ServiceError
from teilhabe.keeping.retention import Applied, load_retention
from teilhabe.server import connecting
from teilhabe.settings import Settings

_MOST_BYTES = 10_000_000
_GENERATIONS = 4


def apply(settings: Settings, now: datetime, *, dry_run: bool = False) -> list[Applied]:
    """Apply both periods; with ``dry_run`` only say what is due."""
    periods = load_retention(settings)
    done = []
    if periods.logs is not None:
        count, size = _logs(settings, now - timedelta(days=periods.logs), dry_run=dry_run)
        done.append(Applied("logs", periods.logs, count, size))
    if not dry_run:
        for path in sorted(settings.logs.glob("*.log")):
            cut(path)
    if periods.airflow is not None:
        done.append(_airflow(settings, now - timedelta(days=periods.airflow), periods.airflow, dry_run=dry_run))
    return done


def cut(path: Path, most: int = _MOST_BYTES) -> bool:
    """Begin a log anew that has become too long, keeping some generations; whether it was."""
    if path.stat().st_size <= most:
        return False
    for number in range(_GENERATIONS - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    first = path.with_name(f"{path.name}.1")
    shutil.copyfile(path, first)
    first.chmod(0o600)
    os.truncate(path, 0)
    return True


def _logs(settings: Settings, until: datetime, *, dry_run: bool) -> tuple[int, int]:
    count = size = 0
    for path in _old_files(settings.logs, until.timestamp()):
        count, size = count + 1, size + path.stat().st_size
        if not dry_run:
            path.unlink(missing_ok=True)
    if not dry_run:
        _remove_empty_folders(settings.logs)
    return count, size


def _old_files(folder: Path, until: float) -> Iterator[Path]:
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime < until:
                yield path
        except FileNotFoundError:
            continue


def _remove_empty_folders(root: Path) -> None:
    for folder, _, _ in os.walk(root, topdown=False):
        if Path(folder) != root:
            try:
                Path(folder).rmdir()
            except OSError:
                continue  # something lies in it


def _airflow(settings: Settings, until: datetime, days: int, *, dry_run: bool) -> Applied:
    """Runs, task instances, events: Airflow's own command knows which of its tables hold what, and keeps each DAG's last run."""
    before = _old_runs(settings, until)
    if before is None or dry_run:
        return Applied("airflow", days, before or 0)

    command = ["db", "clean", "--clean-before-timestamp", until.isoformat(), "--skip-archive", "--yes"]
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "airflow", *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=settings.airflow_home,
        env={**configuration.component_environment(settings), "_AIRFLOW_PROCESS_CONTEXT": "server"},
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "Error" in line] or ["no reason given"]
        raise ServiceError(f"`airflow db clean` failed with exit code {done.returncode}: {lines[-1].strip()[:300]}")
    return Applied("airflow", days, before - (_old_runs(settings, until) or 0))


def _old_runs(settings: Settings, until: datetime) -> int | None:
    """Runs of DAGs that began before a moment; None where Airflow has no tables yet."""
    with connecting.connect("airflow", settings) as conn:
        if conn.execute("select to_regclass('public.dag_run')").fetchall() == [(None,)]:
            return None
        [[count]] = conn.execute("select count(*) from dag_run where start_date < %s", (until,)).fetchall()
        return int(count)
