"""Airflow of one home: started for real, found again, driven through its REST interface, ended without a trace.

Everything is configured through the environment, so no ``airflow.cfg`` is ever edited. Four detached processes per
home (scheduler, DAG processor, triggerer, API server); their metadata lie in a second database of the warehouse's
server. This module imports Airflow only inside ``bootstrap``, which runs in a process of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import httpx
import psutil

from teilhabe.airflow import bootstrapping, metadata, processes
from teilhabe.airflow.configuration import ServiceInfo, component_environment, info, local_url
from teilhabe.airflow.processes import Recorded
from teilhabe.errors import ContractError, ServiceError, WarehouseError
from teilhabe.landing import Credentials
from teilhabe.server import connecting, embedded, provisioning
from teilhabe.settings import Settings, home_lock, prepare_home

_ATTEMPTS = 10
"""How often the port, or a component that dies at the wrong moment, is given another chance."""


# ------------------------------------------------------------------------------------------------------ configuration


# ------------------------------------------------------------------------------------------------------- start and stop


def up(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> ServiceInfo:
    """Start what is not running, wait until all of it is healthy. Repeated, it returns at once."""
    prepare_home(settings)
    with home_lock(settings, "airflow") as lock:
        if not embedded.is_running(settings):
            progress("Starting the database")
            embedded.ensure_running(settings)
        _provision_when_needed(settings)
        for attempt in range(1, _ATTEMPTS + 1):
            environ = component_environment(settings)
            state = processes.State.read(settings)
            if state.processes and state.fingerprint != _fingerprint(environ):
                # The database or the port moved since: what runs talks to the wrong place.
                progress("Ending Airflow processes with an outdated configuration")
                processes.end_all(settings)
                state = processes.State.read(settings)
            missing = state.missing()
            prepare = not metadata.is_migrated(settings)
            if prepare:
                progress("Preparing Airflow's metadata database (once per version)")
            if "api-server" in missing and not embedded.port_is_free(processes.port(settings)):
                processes.end_all(settings)  # it may be one of ours that nobody recorded
                processes.choose_port(settings)
                continue
            said_before = processes.log_size(settings, "api-server")
            if missing:
                progress(f"Starting Airflow: {', '.join(missing)}")
            if missing or prepare:
                _start(settings, environ, missing, prepare=prepare, lock=lock)
            try:
                wait_healthy(settings)
            except _ComponentEndedError as ended:
                if attempt == _ATTEMPTS:
                    raise
                said = processes.log_tail(settings, "api-server", said_before).lower()
                if ended.component == "api-server" and "address already in use" in said:
                    processes.end_all(settings)
                    processes.choose_port(settings, taken=True)
                elif ended.component in missing:
                    raise
                # Else it was about to die when we looked: started again like any other that is missing.
                continue
            return info(settings)
        raise ServiceError("No port that was free stayed free until Airflow had started.")


def down(settings: Settings) -> bool:
    """End every Airflow process of this home, children included. True if there was one. The database stays up."""
    if not settings.run.exists():
        return False
    with home_lock(settings, "airflow"):
        return processes.end_all(settings)


def running(settings: Settings) -> bool:
    """Whether all components of this home live (not necessarily healthy yet)."""
    return not processes.State.read(settings).missing()


def wait_healthy(settings: Settings, timeout: float = 180) -> None:
    """Wait until every component has reported since it was started; fail as soon as one has died.

    Only this home's own API server is asked: another one at its port would report that it is well itself.
    """
    state = processes.State.read(settings)
    until = time.monotonic() + timeout
    address = f"{local_url(settings)}/api/v2/monitor/health"
    waiting_for = list(processes.COMPONENTS)
    with httpx.Client(timeout=5, trust_env=False) as client:
        while True:
            for name in state.missing():
                tail = processes.log_tail(settings, name).strip().splitlines()
                said = f": {tail[-1][:300]}" if tail else ""
                log = processes.log_path(settings, name)
                raise _ComponentEndedError(name, f"Airflow's {name} ended by itself (log: {log}){said}")
            if processes.api_server_listens(settings):
                with contextlib.suppress(httpx.HTTPError, ValueError):
                    waiting_for = _unhealthy(client.get(address).json(), state.processes)
                    if not waiting_for:
                        return
            if time.monotonic() > until:
                names = ", ".join(waiting_for)
                raise ServiceError(f"Airflow is not healthy after {timeout:.0f} seconds; waiting for: {names}.")
            time.sleep(0.2)


class _ComponentEndedError(ServiceError):
    def __init__(self, component: str, message: str) -> None:
        super().__init__(message)
        self.component = component


def _unhealthy(report: dict[str, Any], started: dict[str, Recorded]) -> list[str]:
    """Components that have not reported since they were started; the report of one killed before does not count."""
    waiting = []
    for name, key in (("scheduler", "scheduler"), ("dag-processor", "dag_processor"), ("triggerer", "triggerer")):
        part = report.get(key) or {}
        heartbeat = part.get(f"latest_{key}_heartbeat")
        fresh = heartbeat and datetime.fromisoformat(heartbeat).timestamp() >= started[name].created
        if part.get("status") != "healthy" or not fresh:
            waiting.append(name)
    if (report.get("metadatabase") or {}).get("status") != "healthy":
        waiting.append("metadatabase")
    return waiting


def stopped(settings: Settings, url: str | None = None) -> list[str]:
    """Which components do not report at present, as Airflow's own health report at ``url`` says; empty: all is well."""
    address = url or local_url(settings)
    try:
        with httpx.Client(timeout=15, trust_env=False) as client:
            report = dict(client.get(f"{address.rstrip('/')}/api/v2/monitor/health").json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return ["api-server"]
    parts = {name: report.get(name.replace("-", "_")) or {} for name in (*processes.COMPONENTS, "metadatabase")}
    return [name for name, part in parts.items() if name != "api-server" and part.get("status") != "healthy"]


_CONNECTION = """
import json, sys
from airflow.exceptions import AirflowNotFoundException
from airflow.models.connection import Connection
try:
    found = Connection.get_connection_from_secrets(sys.argv[1])
except AirflowNotFoundException:
    sys.exit(4)
names = ("login", "password", "host", "port")
print(json.dumps({name: getattr(found, name) for name in names} | {"extra": found.extra_dejson}))
"""


def connection(settings: Settings, name: str) -> Credentials:
    """An Airflow connection for a process outside Airflow, asked in one of its own: importing Airflow reconfigures everything.

    Raises:
        ContractError: there is no such connection.
        ServiceError: Airflow could not be asked.
    """
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", _CONNECTION, name],
        check=False,
        capture_output=True,
        text=True,
        cwd=settings.airflow_home,
        env={**component_environment(settings), "_AIRFLOW_PROCESS_CONTEXT": "server"},
    )
    if done.returncode == 4:
        raise ContractError(f"There is no Airflow connection '{name}'.")
    if done.returncode != 0:
        # What it wrote to stderr may hold a password.
        raise ServiceError(f"Airflow could not be asked for the connection '{name}' (exit code {done.returncode}).")
    return Credentials(**json.loads(done.stdout.strip().splitlines()[-1]))


def _provision_when_needed(settings: Settings) -> None:
    try:
        with connecting.connect("airflow", settings):
            return
    except WarehouseError:
        provisioning.provision(settings)


def _fingerprint(environ: dict[str, str]) -> str:
    relevant = {key: value for key, value in environ.items() if key.startswith(("AIRFLOW_", "TEILHABE_"))}
    relevant.pop(processes.MARK, None)
    # Read when a component starts: a change needs a restart.
    relevant["login"] = Path(environ["AIRFLOW__FAB__CONFIG_FILE"]).read_text(encoding="utf-8", errors="replace")
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def _start(settings: Settings, environ: dict[str, str], names: Sequence[str], *, prepare: bool, lock: int) -> None:
    """Start components from one process that imports Airflow once: importing takes longer than all the rest."""
    if "scheduler" in names:
        processes.end_orphans(settings)
    if not prepare:
        metadata.forget_dead(settings, names)
    for name in names:
        log = processes.log_path(settings, name)
        if log.exists() and log.stat().st_size > 10_000_000:
            log.replace(log.with_suffix(".log.1"))
    order = {
        "components": {name: str(processes.log_path(settings, name)) for name in names},
        "prepare": prepare,
        "lock": lock,
    }
    program = "from teilhabe.airflow.services import nursery; nursery()"
    with processes.private_log(settings, "start") as output:
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-c", program],
            check=False,
            input=json.dumps(order),
            text=True,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=settings.airflow_home,
            start_new_session=True,
            # While it works nobody else may start: it keeps the lock even if we are killed.
            pass_fds=[lock],
            # SPT_NOENV keeps process titles from overwriting the environment our processes are recognised by.
            env={**environ, processes.MARK: str(settings.home), "SPT_NOENV": "1"},
        )
    if done.returncode != 0:
        raise ServiceError(f"Airflow could not be started; look at {processes.log_path(settings, 'start')}.")
    if prepare:
        metadata.remember_migration(settings)
    state = processes.State.read(settings)
    for line in done.stdout.splitlines():
        name, _, number = line.removeprefix("started ").partition(" ")
        if not line.startswith("started ") or name not in processes.COMPONENTS:
            continue
        try:
            state.processes[name] = Recorded.of(int(number))
        except psutil.Error:
            raise ServiceError(
                f"Airflow's {name} ended at once; look at {processes.log_path(settings, name)}."
            ) from None
    state.fingerprint = _fingerprint(environ)
    state.write(settings)


def nursery() -> None:
    """Runs in a process of its own: import Airflow, prepare the database if told so, fork the components, end."""
    import gc

    order = json.load(sys.stdin)
    sys.argv = ["airflow"]
    import airflow.__main__
    import airflow.jobs.dag_processor_job_runner
    import airflow.jobs.scheduler_job_runner
    import airflow.jobs.triggerer_job_runner

    if order["prepare"]:
        import airflow.api_fastapi.app  # the API server needs both too, so import them before the fork

        from teilhabe.airflow import sign_in  # noqa: F401

        # In a fork, so that no open connection of this process reaches the components.
        child = os.fork()
        if child == 0:
            _leave_with(bootstrapping.bootstrap)
        if os.waitpid(child, 0)[1] != 0:
            raise SystemExit("The metadata database could not be prepared.")
    gc.freeze()
    for name, log in order["components"].items():
        child = os.fork()
        if child:
            print("started", name, child, flush=True)
            continue
        os.setsid()
        os.close(order["lock"])
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, target)
        os.close(nothing)
        os.close(output)
        gc.unfreeze()
        sys.argv = ["airflow", *processes.COMPONENTS[name]]
        if name == "scheduler":
            _warm_up()
        _leave_with(airflow.__main__.main)


def _warm_up() -> None:
    """What judging a file needs. Tasks are forks of the scheduler, so it is imported once and not in each of them.

    Imports only: nothing here may open a connection or start a thread that a fork would lose.
    """
    import great_expectations  # noqa: F401

    import teilhabe.building.building
    import teilhabe.pipeline.taking_in
    import teilhabe.reading.layouts.readers
    import teilhabe.validation.register
    import teilhabe.validation.statistical_expectations
    import teilhabe.validation.verdict  # noqa: F401


def _leave_with(work: Callable[[], object]) -> NoReturn:
    """End a forked child here, whatever happens: it must never run on in its parent's code."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
