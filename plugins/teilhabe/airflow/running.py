"""``teilhabe run``: trigger what waits through the real DAGs, follow it, see the warehouse built."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from teilhabe import ops
from teilhabe.airflow import processes, services
from teilhabe.airflow.client import AirflowApi
from teilhabe.airflow.names import WAREHOUSE_DAG, delivery_dag_id
from teilhabe.building import build_status, building
from teilhabe.contract import lookup
from teilhabe.contract.model import Contract
from teilhabe.errors import FullError, ServiceError
from teilhabe.landing import room
from teilhabe.messages import alerts
from teilhabe.pipeline.waiting import REGISTER_AGENCY, in_inbox, unfinished, waiting_in_inbox
from teilhabe.raw import loading
from teilhabe.settings import Settings

_LOOK_SECONDS = 0.5
_ASSET_SECONDS = 20
"""How long the asset event may take to start the warehouse before it is started by hand."""
_FINISHED = ("success", "failed")
_CHECK_SECONDS = 5
_MOST_RESTARTS = 5
_DEFAULT_TIMEOUT = 3 * 3600


@dataclass
class RunReport:
    """How it ended. ``failed`` are sentences about runs that failed for another reason than a refusal, ``held`` about
    deliveries a build could not take in, ``left`` about files that still lie in an inbox."""

    triggered: list[str] = field(default_factory=list)
    loaded: int = 0
    duplicates: int = 0
    refused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    warehouse: str = "unchanged"
    """``built``, ``not built`` when the last build of the run failed, or ``unchanged``: there was none."""


Tell = Callable[[str], None]


class _Watch:
    """Sees while something is waited for that Airflow lives: without it the wait would last for ever, without a word."""

    def __init__(self, settings: Settings, tell: Tell) -> None:
        self._settings = settings
        self._tell = tell
        self._next = 0.0
        self._restarts = 0

    def pause(self) -> None:
        """Until the next look."""
        self.look()
        time.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Start again what has ended.

        Raises:
            ServiceError: it does not start, or ends again and again.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _CHECK_SECONDS
        if ended := processes.State.read(self._settings).missing():
            names = ", ".join(ended)
            self._restarts += 1
            if self._restarts > _MOST_RESTARTS:
                raise ServiceError(f"Airflow's {names} ended {self._restarts} times (logs: {self._settings.logs}).")
            self._tell(f"Airflow's {names} ended; starting again what is missing")
            services.up(self._settings, self._tell)


def run(settings: Settings, datasets: Sequence[str], *, until_idle: bool, tell: Tell) -> RunReport:
    """Process what waits for ``datasets`` (all when empty). Airflow must be up.

    The register goes first, because the keys of all others are checked against it. With ``until_idle`` it goes on until
    nothing waits, nothing runs and nothing is left to build.
    """
    contracts = lookup.contracts(settings)
    wanted = {name: contracts[name] for name in (datasets or contracts)}
    report = RunReport()
    first_delivery = _last_delivery(settings) + 1
    first_build = _last_build(settings) + 1
    watch = _Watch(settings, tell)
    with AirflowApi(settings, meanwhile=watch.look) as api:
        tell("Waiting for Airflow to read the DAGs")
        api.wait_for_dags([*(delivery_dag_id(name) for name in contracts), WAREHOUSE_DAG])
        polled_remote = False
        while True:
            _refuse_without_room(settings, wanted)
            batches = _batches(settings, wanted, include_remote=not polled_remote)
            polled_remote = True
            if not any(batches) and not building.is_due(settings):
                break
            for batch in batches:
                _follow(api, settings, batch, first_delivery, report, tell, watch)
            _build(api, settings, report, tell, watch)
            if not until_idle or report.failed:
                break
    _summarise(settings, first_delivery, report)
    report.held = _held_since(settings, first_build)
    report.warehouse = _warehouse_since(settings, first_build)
    report.left = [
        f"{entry['dataset_id']}: {entry['files']} file(s) wait in the inbox"
        for entry in build_status.in_inboxes(settings)
        if entry["dataset_id"] in wanted
    ]
    return report


def _refuse_without_room(settings: Settings, datasets: Iterable[str]) -> None:
    """Every run would fail for the same reason; said once instead: here, in ``status`` and to the operators.

    Raises:
        FullError: not even the smallest file that lies in an inbox has room.
    """
    sizes = [file.size for name in datasets for file in in_inbox(settings, name)]
    if not sizes:
        return
    try:
        room.require(settings, sizes)
    except FullError as error:
        with loading.session(settings) as conn, suppress(FullError), ops.step(conn, "archive"):
            raise
        connections = partial(services.connection, settings)
        alerts.raise_alert(settings, connections, room.SUBJECT, str(error), room.ALERT, datetime.now(UTC))
        raise


def _batches(settings: Settings, contracts: dict[str, Contract], *, include_remote: bool) -> list[list[str]]:
    """Datasets something waits for: those of the register, then the others. Remote sources are asked once a run.

    The dataset with the most files begins first: begun last, everything would wait for it while it works alone.
    """
    waiting: dict[str, int] = {}
    for name, contract in contracts.items():
        files = waiting_in_inbox(settings, name) + unfinished(settings, name)
        remote = include_remote and any(server.type != "local" for server in contract.servers)
        if remote or files:
            waiting[name] = files
    ordered = sorted(waiting, key=lambda name: -waiting[name])
    register = [name for name in ordered if contracts[name].agency == REGISTER_AGENCY]
    return [register, [name for name in ordered if name not in register]]


def _follow(
    api: AirflowApi,
    settings: Settings,
    names: Iterable[str],
    first_delivery: int,
    report: RunReport,
    tell: Tell,
    watch: _Watch,
) -> None:
    open_runs: dict[tuple[str, str], str] = {}
    for name in names:
        tell(f"{name}: run started")
        open_runs[delivery_dag_id(name), api.trigger(delivery_dag_id(name))] = name
        report.triggered.append(name)
    shown: dict[int, str] = {}
    began = datetime.now(UTC)
    names_of_failed: list[tuple[str, list[str]]] = []
    until = time.monotonic() + _DEFAULT_TIMEOUT
    while open_runs:
        _show(settings, first_delivery, shown, tell)
        for run in api.dag_runs({dag_id for dag_id, _ in open_runs}, _FINISHED):
            known = open_runs.pop((run["dag_id"], run["dag_run_id"]), None)
            if known is not None and run["state"] == "failed":
                names_of_failed.append((known, _causes(api, run["dag_id"], run)))
        if time.monotonic() > until:
            raise ServiceError(f"Runs still open after {_DEFAULT_TIMEOUT} s: {', '.join(sorted(open_runs.values()))}.")
        watch.pause()
    report.failed += _failures(settings, names_of_failed, began)
    _show(settings, first_delivery, shown, tell)


def _failures(settings: Settings, failed: Sequence[tuple[str, list[str]]], since: datetime) -> list[str]:
    """Why runs failed; a full disk, which all of them meet, is one sentence."""
    with loading.session(settings) as conn:
        without_room = room.met_by(conn, [name for name, _ in failed], since)
        full = room.standing(conn) if without_room else None
    causes = [cause for name, said in failed if name not in without_room for cause in said]
    return [full, *causes] if full else causes


def _build(api: AirflowApi, settings: Settings, report: RunReport, tell: Tell, watch: _Watch) -> None:
    """Wait until the warehouse has taken in all that is loaded; start it if no asset event does."""
    if not building.is_due(settings):
        return
    tell("warehouse: building")
    known = {run["dag_run_id"] for run in api.dag_runs([WAREHOUSE_DAG], _FINISHED)}
    waited_since = time.monotonic()
    while True:
        runs = api.dag_runs([WAREHOUSE_DAG])
        finished = [run for run in runs if run["state"] in _FINISHED and run["dag_run_id"] not in known]
        for run in finished:
            known.add(run["dag_run_id"])
            if run["state"] == "failed":
                report.failed += _why_no_build(settings) or _causes(api, WAREHOUSE_DAG, run)
                return
        active = [run for run in runs if run["state"] not in _FINISHED]
        if not active:
            if not building.is_due(settings):
                tell("warehouse: built")
                return
            if time.monotonic() - waited_since > _ASSET_SECONDS:
                api.trigger(WAREHOUSE_DAG)
                waited_since = time.monotonic()
        else:
            waited_since = time.monotonic()
        watch.pause()


def _why_no_build(settings: Settings) -> list[str]:
    """The reason in full, as the build itself recorded it."""
    with loading.session(settings) as conn:
        reason = build_status.reason_of_failure(conn)
    return [f"{WAREHOUSE_DAG}: {reason}"] if reason else []


def _causes(api: AirflowApi, dag_id: str, run: dict[str, Any]) -> list[str]:
    """Which task failed; a refusal is a verdict and is reported as such, not as a failure."""
    failed = [t for t in api.task_instances(dag_id, str(run["dag_run_id"])) if t["state"] == "failed"]
    return [
        f"{dag_id}: task {t['task_id']} failed ({_last_error(api, dag_id, run, t)})"
        for t in failed
        if t["task_id"] != "refusals"
    ]


def _last_error(api: AirflowApi, dag_id: str, run: dict[str, Any], instance: dict[str, Any]) -> str:
    text = api.task_log(dag_id, str(run["dag_run_id"]), instance["task_id"], int(instance["try_number"] or 1))
    lines = [line.strip() for line in text.splitlines() if "Error" in line or "rror:" in line]
    return (lines[-1] if lines else "see its log in the Airflow UI")[:600]


def _show(settings: Settings, first_delivery: int, shown: dict[int, str], tell: Tell) -> None:
    with loading.session(settings) as conn:
        rows = conn.execute(
            "select delivery_id, dataset_id, file_name, state, row_count from ops.delivery"
            " where delivery_id >= %s order by delivery_id",
            (first_delivery,),
        ).fetchall()
    for delivery_id, dataset_id, file_name, state, row_count in rows:
        if shown.get(delivery_id) != state:
            shown[delivery_id] = state
            size = f", {row_count:,} rows" if row_count and state in ("validated", "loaded") else ""
            tell(f"{dataset_id}: {file_name} {state}{size}")


def _summarise(settings: Settings, first_delivery: int, report: RunReport) -> None:
    with loading.session(settings) as conn:
        rows = conn.execute(
            """
            select d.state, coalesce(
                (select f.message from ops.finding as f where f.delivery_id = d.delivery_id and f.severity = 'critical'
                 order by f.finding_id limit 1), d.file_name)
            from ops.delivery as d where d.delivery_id >= %s order by d.delivery_id
            """,
            (first_delivery,),
        ).fetchall()
    report.loaded = sum(state == "loaded" for state, _ in rows)
    report.duplicates = sum(state == "duplicate" for state, _ in rows)
    report.refused = [message for state, message in rows if state == "quarantined"]


def _held_since(settings: Settings, first_build: int) -> list[str]:
    with loading.session(settings) as conn:
        builds = conn.execute("select build_id from ops.build where build_id >= %s order by build_id", (first_build,))
        return [
            f"{dataset_id}: delivery {number}, {file_name} - {reason}"
            for (build_id,) in builds.fetchall()
            for number, dataset_id, file_name, reason in ops.held_by(conn, build_id)
        ]


def _warehouse_since(settings: Settings, first_build: int) -> str:
    """What the builds say themselves: one may have begun and ended while a delivery was waited for."""
    with loading.session(settings) as conn:
        rows = conn.execute(
            "select state from ops.build where build_id >= %s and state <> 'running' order by build_id desc",
            (first_build,),
        ).fetchall()
    states = [state for (state,) in rows]
    if "succeeded" in states:
        return "built"
    return "not built" if states else "unchanged"


def _last_build(settings: Settings) -> int:
    with loading.session(settings) as conn:
        [[last]] = conn.execute("select coalesce(max(build_id), 0) from ops.build").fetchall()
    return int(last)


def _last_delivery(settings: Settings) -> int:
    with loading.session(settings) as conn:
        row = conn.execute("select coalesce(max(delivery_id), 0) from ops.delivery").fetchone()
    return int(row[0]) if row else 0
