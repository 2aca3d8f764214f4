"""The warehouse build: one ``dbt build`` per layer, its results recorded in ``ops``.

dbt runs in a process of its own: it is slow to import and must not share a process with Airflow's task code.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from teilhabe import loading, ops, warehouse
from teilhabe.errors import WarehouseError
from teilhabe.settings import Settings

log = logging.getLogger(__name__)

LAYERS = ("staging", "intermediate", "marts")
"""In the order they build. Seeds belong to the first."""

_SHOWN_FAILURES = 5


def new_deliveries(settings: Settings) -> list[int]:
    """Loaded deliveries that no successful build has taken in. Asset events merge, so this and not they decide."""
    with loading.session(settings) as conn:
        return ops.deliveries_to_build(conn)


def open_build(settings: Settings, run_id: str | None = None, *, force: bool = False) -> int:
    """Record that a build starts, with the deliveries it takes in; returns its id. ``force`` computes everything anew."""
    with loading.session(settings) as conn:
        new = ops.deliveries_to_build(conn)
        return ops.start_build(conn, new, code_version=code_version(settings), run_id=run_id, force=force)


def build_layer(settings: Settings, build_id: int, layer: str, run_id: str | None = None) -> None:
    """Build and test one layer. ``WarehouseError`` names what failed; the build is then closed as failed."""
    with loading.session(settings) as conn:
        try:
            with ops.step(conn, "build", run_id=run_id) as outcome:
                outcome.message = layer
                # Unit tests hold the arithmetic of the code; they run in its test suite, not on every delivery.
                outcome.rows = dbt(
                    settings, "build", "--select", f"tag:{layer}", "--exclude-resource-type", "unit_test"
                )
        except WarehouseError as error:
            ops.finish_build(conn, build_id, succeeded=False, message=str(error))
            conn.commit()
            raise


def close_build(settings: Settings, build_id: int) -> None:
    """Record that all layers were built and passed their tests: only now their deliveries count as built."""
    with loading.session(settings) as conn:
        ops.finish_build(conn, build_id, succeeded=True, message=None)


def build(settings: Settings, *, force: bool = False) -> None:
    """All layers in one go, without Airflow."""
    build_id = open_build(settings, force=force)
    for layer in LAYERS:
        build_layer(settings, build_id, layer)
    close_build(settings, build_id)


def dbt(settings: Settings, *arguments: str) -> int:
    """Run dbt on the project; returns the nodes it ran. ``WarehouseError`` lists the nodes that failed."""
    target = settings.work / "dbt"
    target.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        **warehouse.dbt_environment(settings),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(settings.logs),
        "DBT_PROFILES_DIR": str(settings.dbt_project),
        "DO_NOT_TRACK": "1",
    }
    results = target / "run_results.json"
    results.unlink(missing_ok=True)
    command = [str(Path(sys.executable).parent / "dbt"), "--quiet", "--no-use-colors", *arguments]
    command += ["--vars", json.dumps({"observation_models": observation_models(settings)})]
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=settings.dbt_project, env=environment, capture_output=True, text=True, check=False
    )
    for line in (done.stdout + done.stderr).splitlines():
        if line.strip():
            log.info("dbt: %s", line)
    nodes = json.loads(results.read_text(encoding="utf-8"))["results"] if results.exists() else []
    if done.returncode:
        raise WarehouseError(_failure(arguments, nodes, done.stdout + done.stderr))
    return len(nodes)


def observation_models(settings: Settings) -> list[str]:
    """Staging models that yield observations, by what their yml says: so a new dataset is nobody's list entry."""
    marked = re.compile(r"^\s*meta:.*\bobservations:\s*true", re.MULTILINE)
    files = settings.dbt_project.glob("models/staging/*/stg_*.yml")
    return sorted(path.stem for path in files if marked.search(path.read_text(encoding="utf-8")))


@cache
def code_version(settings: Settings) -> str:
    """Version of this code: the package's, with the commit where the project is a checkout."""
    described = subprocess.run(  # noqa: S603 - our own words
        ["git", "-C", str(settings.project), "rev-parse", "--short=12", "HEAD"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    commit = described.stdout.strip()
    return f"{version('teilhabe')}+{commit}" if described.returncode == 0 and commit else version("teilhabe")


def _failure(arguments: Sequence[str], nodes: Sequence[dict[str, str]], output: str) -> str:
    failed = [n for n in nodes if n["status"] in ("error", "fail", "runtime error")]
    if not failed:
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "no output")
        return f"dbt {' '.join(arguments)} did not run: {last.strip()}"
    names = ", ".join(n["unique_id"].split(".", 2)[-1] for n in failed[:_SHOWN_FAILURES])
    more = f" and {len(failed) - _SHOWN_FAILURES} more" if len(failed) > _SHOWN_FAILURES else ""
    return f"dbt {' '.join(arguments)} failed in {names}{more}: {' '.join(str(failed[0]['message']).split())[:500]}"
