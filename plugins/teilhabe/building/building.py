"""The warehouse build: one ``dbt build`` of all layers, then a release; its results recorded in ``ops``.

dbt runs in a process of its own: it is slow to import and must not share a process with Airflow's task code.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from teilhabe import ops
from teilhabe.building import dbt_kept, dbt_run, held_deliveries, macros, observation_union, releasing, selection
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import WarehouseError
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from teilhabe.system import locks
from teilhabe.system.code_version import code_version

log = logging.getLogger(__name__)

Node = dict[str, Any]
"""One entry of ``results.json``, see ``dbt_run``."""

LAYERS = ("staging", "intermediate", "marts")
"""In the order they build. Seeds belong to the first."""

_WARNING = re.compile(r"\b\w*Warning: |^warnings\.warn\(")
_ERROR = re.compile(r"\b\w*(Error|Exception)\b|No space left", re.IGNORECASE)

_LIGHT = ["--no-write-json"]
"""The manifest of the run before is still true where the code is the same."""

_BUILT_BY = "dbt_project.sha256"
"""What the dbt project looked like when the last successful build began with it."""


def new_deliveries(settings: Settings) -> list[int]:
    """Deliveries no successful build has taken in, or out after their withdrawal. Asset events merge, so this and not they decide."""
    with loading.session(settings) as conn:
        return ops.deliveries_to_build(conn)


def is_due(settings: Settings) -> bool:
    """Whether a build has something to do: new or withdrawn deliveries, or a tested candidate whose publishing was killed."""
    return bool(new_deliveries(settings)) or releasing.unpublished(settings)


def waits(settings: Settings, dataset_id: str) -> bool:
    """Whether a build has still to take in, or out, a delivery of the dataset."""
    with loading.session(settings) as conn:
        row = conn.execute(
            "select exists (select 1 from ops.delivery_to_build where dataset_id = %s)", (dataset_id,)
        ).fetchone()
        return bool(row and row[0])


def build(settings: Settings, run_id: str | None = None, *, force: bool = False) -> int:
    """Build and test all layers, then publish; returns the id of the build. ``force`` computes everything anew.

    One dbt process for all layers: its start takes longer than most of what it builds. More rows than
    ``settings.build_rows`` are taken in by one pass after the other, so memory does not grow with history. It writes beside
    what readers see and ends at the first failure; only what passed all tests is published, once, after the last pass. The
    deliveries count as built only after that. A build waits for another one to end.

    Deliveries a failure comes from are held back, and the rest is built without them; they are tried again when the code has
    changed.

    Raises:
        WarehouseError: it failed, and not because of deliveries that can be named; the sentence says of what.
    """
    with loading.session(settings) as conn:
        locks.wait_alone(conn, "teilhabe.build")
        ops.record_datasets(conn, load_contracts(settings.agencies).values())
        held_deliveries.release(conn, everything=force or not _same_code(settings))
        new = ops.deliveries_to_build(conn)
        build_id = ops.start_build(conn, new, code_version=code_version(settings), run_id=run_id, force=force)
        conn.commit()
        guesses = held_deliveries.Guesses()
        try:
            for _ in range(held_deliveries.MOST_ROUNDS):
                try:
                    _build_once(settings, conn, build_id, run_id, force=force)
                    break
                except WarehouseError as error:
                    if not held_deliveries.hold_back(settings, conn, build_id, error, guesses):
                        raise
            else:
                raise WarehouseError(
                    f"The build failed {held_deliveries.MOST_ROUNDS} times, each time by other deliveries."
                )
        except WarehouseError as error:
            held_deliveries.let_go(conn, guesses, passed=False)
            ops.finish_build(conn, build_id, succeeded=False, message=str(error))
            conn.commit()
            raise
        ops.finish_build(conn, build_id, succeeded=True, message=None)
        held_deliveries.let_go(conn, guesses, passed=True)
        (settings.work / _BUILT_BY).write_text(_models_version(settings), encoding="utf-8")
        return build_id


def _build_once(settings: Settings, conn: ops.Connection, build_id: int, run_id: str | None, *, force: bool) -> None:
    """Build, test and publish what is loaded now."""
    with ops.step(conn, "build", run_id=run_id) as outcome:
        nodes = []
        for arguments, taken_in_until in _passes(settings, conn, build_id, force=force):
            conn.commit()  # dbt is another process: whoever waited for this transaction would wait for dbt
            nodes += dbt(settings, "build", "--fail-fast", *arguments, taken_in_until=taken_in_until)
        outcome.rows = len(nodes)
        outcome.message = "; ".join(["all layers", *needless_corrections(settings)])
    for layer, ran in _by_layer(nodes).items():
        started, finished = _span(ran)
        ops.record_outcome(
            conn, "build", started=started, finished=finished, rows=len(ran), message=layer, run_id=run_id
        )
    releasing.approve(settings, build_id)
    with ops.step(conn, "publish", run_id=run_id) as outcome:
        release = releasing.publish(settings, build_id, territorial_state=settings.territorial_state)
        outcome.rows = release.added + release.removed
        outcome.message = str(release)


def _same_code(settings: Settings) -> bool:
    """Whether the last successful build began with the dbt project as it lies there now."""
    built_by = settings.work / _BUILT_BY
    return built_by.is_file() and built_by.read_text(encoding="utf-8") == _models_version(settings)


def _is_as_left(settings: Settings) -> bool:
    """Whether code and candidate are what the last successful build left, and what dbt knows of the code is at hand."""
    manifest = settings.work / "dbt" / dbt_run.MANIFEST
    return _same_code(settings) and manifest.exists() and releasing.is_left_as_approved(settings)


def _passes(
    settings: Settings, conn: ops.Connection, build_id: int, *, force: bool
) -> Iterator[tuple[list[str], int | None]]:
    """Arguments of each dbt run of a build and the last delivery it takes in (None: all of them).

    Everything after a change of the code, and whenever the candidate is not as the last build left it (the server crashed,
    a build failed, somebody ran dbt by hand). Else what the new deliveries touch, see ``selection``. Unit tests hold the
    arithmetic of the code; they run in its test suite, not on every delivery.
    """
    touched = ops.light_build(conn, build_id) if _is_as_left(settings) else None
    everything, light = ["--exclude-resource-type", "unit_test"], ["--exclude-resource-type", "unit_test", "seed"]
    if touched is not None:
        everything = [*_LIGHT, *light, *_touched(settings, touched)]
    until = _pass_ends(settings, anew=touched is None)
    # What changed code would compute anew in one go is rather begun again, in parts.
    anew = ["--full-refresh"] if force or (touched is None and (len(until) > 1 or _reads_otherwise(settings))) else []
    for number, end in enumerate(until, start=1):
        if len(until) > 1:
            log.info("pass %d of %d", number, len(until))
        if number == 1:
            yield [*everything, *anew], end
        else:
            yield [*_LIGHT, *light, "--select", "tag:intermediate", "tag:marts"], end


def _touched(settings: Settings, datasets: Sequence[str]) -> list[str]:
    """Selection of what deliveries of these datasets touch."""
    manifest = json.loads((settings.work / "dbt" / dbt_run.MANIFEST).read_text(encoding="utf-8"))
    return ["--select", *selection.touched_nodes(manifest, datasets)]


def _pass_ends(settings: Settings, *, anew: bool) -> list[int | None]:
    """Last delivery of each pass: none of them takes in more than ``settings.build_rows`` rows, or it is one delivery."""
    datasets = [name.removeprefix("stg_") for name in observation_union.models(settings.dbt_project)]
    with connecting.connect("transformer", settings) as conn:
        [[held]] = conn.execute("select to_regclass('intermediate.int_delivery__contents')").fetchall()
        waits = "true"
        if held and not anew:
            waits = (
                "not exists (select from intermediate.int_delivery__contents as c where c.delivery_id = d.delivery_id)"
            )
        rows = conn.execute(
            f"""
            select d.delivery_id, coalesce(d.row_count, 0)
            from ops.delivery as d inner join ops.delivery_counted as c using (delivery_id)
            where d.dataset_id = any(%s) and {waits} order by d.delivery_id
            """,
            [datasets],
        ).fetchall()
    ends: list[int | None] = []
    last, taken = None, 0
    for delivery_id, count in rows:
        if taken and taken + count > settings.build_rows:
            ends.append(last)
            taken = 0
        last, taken = delivery_id, taken + count
    return [*ends, None]


def _models_version(settings: Settings) -> str:
    """Fingerprint of the dbt project as it lies there: also a change nobody has committed asks for a whole build."""
    digest = hashlib.sha256()
    for path in sorted(settings.dbt_project.rglob("*")):
        if path.suffix in (".sql", ".yml", ".csv"):
            digest.update(path.relative_to(settings.dbt_project).as_posix().encode())
            digest.update(path.read_bytes())
    return f"{digest.hexdigest()}\n{_reading_version(settings)}\n"


def _reading_version(settings: Settings) -> str:
    """Fingerprint of how rows of deliveries become observations, its second line."""
    return macros.digest_of_reading(settings.dbt_project)


def _reads_otherwise(settings: Settings) -> bool:
    """Whether deliveries taken in before would be read in another way now: then all of them are read once more."""
    built_by = settings.work / _BUILT_BY
    known = built_by.read_text(encoding="utf-8").splitlines()[1:] if built_by.is_file() else None
    return known is not None and known != [_reading_version(settings)]


def _by_layer(nodes: Sequence[Node]) -> dict[str, list[Node]]:
    """What ran, by layer: tests belong to the layer of what they test."""
    known = {node["unique_id"]: node for node in nodes}
    layers: dict[str, list[Node]] = {layer: [] for layer in LAYERS}
    for node in nodes:
        related = [node, *(known.get(name, {}) for name in node.get("depends_on", {}).get("nodes", []))]
        tags = node.get("tags") or [tag for one in related for tag in one.get("tags", [])]
        # A test of several layers belongs to the last of them.
        layer = next((layer for layer in reversed(LAYERS) if layer in tags), None)
        if layer is not None:
            layers[layer].append(node)
    return {layer: ran for layer, ran in layers.items() if ran}


def _span(nodes: Sequence[Node]) -> tuple[datetime, datetime]:
    """From the first start to the last end."""
    times = [
        datetime.fromisoformat(t[end]) for n in nodes for t in n["timing"] for end in ("started_at", "completed_at")
    ]
    return (min(times), max(times)) if times else (datetime.now(UTC), datetime.now(UTC))


def dbt(settings: Settings, *arguments: str, taken_in_until: int | None = None) -> list[Node]:
    """Run dbt on the project; returns the results of the nodes it ran. ``WarehouseError`` lists the nodes that failed.

    Observations of deliveries after ``taken_in_until`` are left for later.
    """
    target = settings.work / "dbt"
    target.mkdir(parents=True, exist_ok=True)
    _begin_with_what_was_read(target)
    environment = {
        **os.environ,
        **connecting.dbt_environment(settings),
        "DBT_LOG_PATH": str(settings.logs),
        # Not among the variables: dbt would read the whole project anew for another value.
        "TEILHABE_TAKEN_IN_UNTIL": "" if taken_in_until is None else str(taken_in_until),
    }
    return run_dbt(settings, arguments, target, environment)


def _begin_with_what_was_read(target: Path) -> None:
    """A home that has not read the project takes it from set-up, see ``dbt_reading``."""
    if not (target / dbt_run.READ).exists() and dbt_kept.kept().exists():
        dbt_kept.place(dbt_kept.kept(), target / dbt_run.READ)


def run_dbt(settings: Settings, arguments: Sequence[str], target: Path, environment: Mapping[str, str]) -> list[Node]:
    """As ``dbt``, with results in ``target`` and a connection (where one is needed) as ``environment`` says."""
    results = target / dbt_run.RESULTS
    results.unlink(missing_ok=True)
    quiet = ["--quiet", "--no-use-colors", "--log-level-file", "info"]
    command = [str(target), *quiet, *arguments]
    # A correction no longer needed is told, see `needless_corrections`; it must not hold up everybody's numbers.
    command += ["--vars", json.dumps({"repaired_corrections": "warn"})]
    environment = {
        **environment,
        "DBT_TARGET_PATH": str(target),
        "DBT_PROFILES_DIR": str(settings.dbt_project),
        "DO_NOT_TRACK": "1",
        "TEILHABE_TERRITORIAL_STATE": settings.territorial_state.isoformat() if settings.territorial_state else "",
    }
    done = _in_a_process_of_its_own(
        [sys.executable, "-m", "teilhabe.building.dbt_run", *command], settings, environment
    )
    for line in (done.stdout + done.stderr).splitlines():
        if told := held_deliveries.without_rows(line):
            log.info("dbt: %s", told)
    nodes = json.loads(results.read_text(encoding="utf-8"))["results"] if results.exists() else []
    if done.returncode:
        raise held_deliveries.BuildError(_failure(arguments, nodes, done.stdout + done.stderr, done.returncode), nodes)
    return list(nodes)


def _in_a_process_of_its_own(
    command: Sequence[str], settings: Settings, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own words
        command,
        cwd=settings.dbt_project,
        env={**environment, dbt_run.PARENT: str(os.getpid())},
        capture_output=True,
        text=True,
        check=False,
    )


def needless_corrections(settings: Settings) -> list[str]:
    """German sentences on corrections whose error the office has repaired; ``dbt test`` fails until they are closed."""
    with connecting.connect("transformer", settings) as conn:
        rows = conn.execute("select message_de from intermediate.int_correction__repaired order by 1").fetchall()
    for (message,) in rows:
        log.warning("%s", message)
    return [message for (message,) in rows]


def _failure(arguments: Sequence[str], nodes: Sequence[Node], output: str, code: int) -> str:
    """Why dbt did not succeed, in one sentence."""
    if code < 0:
        # Out of memory, the kernel kills without a word.
        perhaps = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
        return f"dbt was killed (signal {-code}{perhaps}); the next build begins anew."
    failed = [n for n in nodes if n["status"] in held_deliveries.FAILED]
    if not failed:
        return f"dbt {' '.join(arguments)} did not run: {_last_word(output)}"
    names = ", ".join(n["unique_id"].split(".", 2)[-1] for n in failed)
    return f"dbt {' '.join(arguments)} failed in {names}: {held_deliveries.without_rows(str(failed[0]['message']))}"


def _last_word(output: str) -> str:
    """The last line that says what went wrong; Python's warnings, and the code they quote, do not."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [
        line
        for number, line in enumerate(lines)
        if not _WARNING.search(line) and not (number and _WARNING.search(lines[number - 1]))
    ]
    errors = [line for line in told if _ERROR.search(line)]
    return next(iter([*errors[-1:], *told[-1:]]), "it said nothing")
