"""Airflow of one home: started for real, found again, driven through its REST interface, ended without a trace.

Everything is configured through the environment, so no ``airflow.cfg`` is ever edited. Four detached processes per
home (scheduler, DAG processor, triggerer, API server); their metadata lie in a second database of the warehouse's
server. This module imports Airflow only inside ``bootstrap``, which runs in a process of its own.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import hashlib
import importlib.metadata
import json
import os
import secrets as random_source
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NoReturn
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import psutil

from teilhabe import warehouse
from teilhabe.errors import ContractError, TeilhabeError, WarehouseError
from teilhabe.landing import Credentials
from teilhabe.office_time import OFFICE_TIME
from teilhabe.settings import Settings, get_settings, home_lock, prepare_home, secret

COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
"""Logs are read from the shared directory, so nothing but the API server listens: no two homes meet on a port."""

USER = "admin"
PASSWORD_FILE = "airflow_admin.password"  # noqa: S105 - the name of a file
FIRST_PORT = 8080

_GRANTS_VERSION = "1"
"""Raised whenever ``bootstrap`` grants something else, so that homes that were prepared before get it too."""

_MARK = "TEILHABE_SERVICE_OF"
"""Environment variable only our processes carry: children are found through it however they were orphaned."""


class ServiceError(TeilhabeError):
    """Airflow does not start, answer or end."""


@dataclass(frozen=True)
class ServiceInfo:
    """Where people reach the Airflow of a home, and where the password lies."""

    ui_url: str
    user: str
    password_file: Path

    @property
    def desk_url(self) -> str:
        """Where the offices' desk is."""
        return f"{self.ui_url}/desk/"


# ------------------------------------------------------------------------------------------------------ configuration


def environment(settings: Settings) -> dict[str, str]:
    """All of Airflow's configuration for this home, secrets included, to be laid over ``os.environ``.

    Needs a provisioned warehouse and decides on the port of the API server on first use.
    """
    port = _port(settings)
    address = warehouse.url(settings, "airflow")
    options: dict[str, dict[str, object]] = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": 4,
            "max_active_tasks_per_dag": 4,
            "dags_folder": settings.dags,
            "plugins_folder": settings.plugins,
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "default_timezone": OFFICE_TIME.key,
            "auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "fernet_key": secret(settings, "airflow_fernet.key", _fernet_key),
            "execution_api_server_url": f"http://127.0.0.1:{port}/execution/",
        },
        "database": {
            "sql_alchemy_conn": _driver_url(address, "psycopg2"),
            "sql_alchemy_conn_async": _driver_url(address, "asyncpg"),
            "external_db_managers": "airflow.providers.fab.auth_manager.models.db.FABDBManager",
        },
        "api": {
            "host": "127.0.0.1",
            "port": port,
            "workers": 1,
            "base_url": f"http://127.0.0.1:{port}",
            "secret_key": secret(settings, "airflow_session.key"),
            "expose_config": False,
            "instance_name": "teilhabe",
        },
        "api_auth": {"jwt_secret": secret(settings, "airflow_jwt.key", lambda: random_source.token_urlsafe(64))},
        "fab": {"config_file": settings.airflow_home / "webserver_config.py"},
        "scheduler": {
            "scheduler_idle_sleep_time": 0.5,
            "scheduler_heartbeat_sec": 2,
            "enable_health_check": False,
        },
        "dag_processor": {
            "refresh_interval": 30,
            "min_file_process_interval": 30,
            "parsing_processes": 1,
            "print_stats_interval": 300,
            "dag_bundle_storage_path": settings.airflow_home / "bundles",
        },
        "logging": {
            "base_log_folder": settings.logs / "airflow",
            "dag_processor_child_process_log_directory": settings.logs / "airflow" / "dag_processor",
            "logging_level": "INFO",
            "colored_console_log": False,
        },
        "metrics": {"statsd_on": False, "otel_on": False},
        "traces": {"otel_on": False},
    }
    values = {
        f"AIRFLOW__{section.upper()}__{key.upper()}": str(value)
        for section, keys in options.items()
        for key, value in keys.items()
    }
    values["AIRFLOW_HOME"] = str(settings.airflow_home)
    # Tasks must find the same home, whatever the starter's own environment says.
    values["TEILHABE_HOME"] = str(settings.home)
    values["TEILHABE_PROJECT"] = str(settings.project)
    values["TEILHABE_ARCHIVE_URL"] = settings.archive_url
    if settings.warehouse_url:
        values["TEILHABE_WAREHOUSE_URL"] = settings.warehouse_url
    values |= {"DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false", "SCARF_ANALYTICS": "false", "NO_COLOR": "1"}
    return values


def info(settings: Settings) -> ServiceInfo:
    """The address and user of this home's Airflow, running or not."""
    return ServiceInfo(f"http://127.0.0.1:{_port(settings)}", USER, settings.secrets / PASSWORD_FILE)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(random_source.token_bytes(32)).decode()


def _driver_url(address: str, driver: str) -> str:
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query))
    if driver == "asyncpg":  # it calls this option `ssl` and knows no other
        query = {"ssl": query["sslmode"]} if "sslmode" in query else {}
    tail = "?" + "&".join(f"{key}={quote(value)}" for key, value in query.items()) if query else ""
    return f"postgresql+{driver}://{parts.netloc}{parts.path}{tail}"


_WEBSERVER_CONFIG = '''"""Written at every start by teilhabe: people log in with a password, nobody registers."""

AUTH_TYPE = 1  # database
AUTH_USER_REGISTRATION = False
AUTH_ROLE_PUBLIC = None
WTF_CSRF_ENABLED = True
RATELIMIT_STORAGE_URI = "memory://"
'''


# ------------------------------------------------------------------------------------------------------- start and stop


def up(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> ServiceInfo:
    """Start what is not running, wait until all of it is healthy. Repeated, it returns at once."""
    prepare_home(settings)
    with home_lock(settings, "airflow") as lock:
        if not warehouse.is_running(settings):
            progress("Starting the database")
            warehouse.ensure_running(settings)
        _provision_when_needed(settings)
        for attempt in range(3):
            environ = _service_environment(settings)
            state = _State.read(settings)
            if state.processes and state.fingerprint != _fingerprint(environ):
                # The database or the port moved since: what runs talks to the wrong place.
                progress("Ending Airflow processes with an outdated configuration")
                _end_all(settings)
            missing = [name for name in COMPONENTS if _alive(state.processes.get(name)) is None]
            if len(missing) == len(COMPONENTS):
                _end_all(settings)  # a starter that was killed may have left some nobody recorded
            prepare = not _is_migrated(settings)
            if prepare:
                progress("Preparing Airflow's metadata database (once per version)")
            if "api-server" in missing and not warehouse.port_is_free(_port(settings)):
                _end_all(settings)
                _choose_port(settings)
                continue
            if missing:
                progress(f"Starting Airflow: {', '.join(missing)}")
            if missing or prepare:
                _start(settings, environ, missing, prepare=prepare, lock=lock)
            try:
                wait_healthy(settings)
            except ServiceError:
                if attempt == 2 or "address already in use" not in _log_tail(settings, "api-server").lower():
                    raise
                _end_all(settings)
                _choose_port(settings)
                continue
            _ensure_login(settings, environ, progress)
            return info(settings)
        raise ServiceError(f"No free port for Airflow was found from {FIRST_PORT} on.")


def down(settings: Settings) -> bool:
    """End every Airflow process of this home, children included. True if there was one. The database stays up."""
    if not settings.run.exists():
        return False
    with home_lock(settings, "airflow"):
        return _end_all(settings)


def running(settings: Settings) -> bool:
    """Whether all components of this home live (not necessarily healthy yet)."""
    processes = _State.read(settings).processes
    return all(_alive(processes.get(name)) is not None for name in COMPONENTS)


def wait_healthy(settings: Settings, timeout: float = 180) -> None:
    """Wait until every component has reported since it was started; fail as soon as one has died."""
    processes = _State.read(settings).processes
    until = time.monotonic() + timeout
    address = f"http://127.0.0.1:{_port(settings)}/api/v2/monitor/health"
    waiting_for = list(COMPONENTS)
    with httpx.Client(timeout=5, trust_env=False) as client:
        while True:
            for name in COMPONENTS:
                if _alive(processes.get(name)) is None:
                    tail = _log_tail(settings, name).strip().splitlines()
                    said = f": {tail[-1][:300]}" if tail else ""
                    raise ServiceError(f"Airflow's {name} ended by itself (log: {_log_path(settings, name)}){said}")
            with contextlib.suppress(httpx.HTTPError, ValueError):
                waiting_for = _unhealthy(client.get(address).json(), processes)
                if not waiting_for:
                    return
            if time.monotonic() > until:
                names = ", ".join(waiting_for)
                raise ServiceError(f"Airflow is not healthy after {timeout:.0f} seconds; waiting for: {names}.")
            time.sleep(0.2)


def _unhealthy(report: dict[str, Any], processes: dict[str, _Process]) -> list[str]:
    """Components that have not reported since they were started; the report of one killed before does not count."""
    waiting = []
    for name, key in (("scheduler", "scheduler"), ("dag-processor", "dag_processor"), ("triggerer", "triggerer")):
        part = report.get(key) or {}
        heartbeat = part.get(f"latest_{key}_heartbeat")
        fresh = heartbeat and datetime.fromisoformat(heartbeat).timestamp() >= processes[name].created
        if part.get("status") != "healthy" or not fresh:
            waiting.append(name)
    if (report.get("metadatabase") or {}).get("status") != "healthy":
        waiting.append("metadatabase")
    return waiting


def stopped(settings: Settings, url: str | None = None) -> list[str]:
    """Which components do not report at present, as Airflow's own health report at ``url`` says; empty: all is well."""
    address = url or info(settings).ui_url
    try:
        with httpx.Client(timeout=15, trust_env=False) as client:
            report = dict(client.get(f"{address.rstrip('/')}/api/v2/monitor/health").json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return ["api-server"]
    parts = {name: report.get(name.replace("-", "_")) or {} for name in (*COMPONENTS, "metadatabase")}
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
        env={**_service_environment(settings), "_AIRFLOW_PROCESS_CONTEXT": "server"},
    )
    if done.returncode == 4:
        raise ContractError(f"There is no Airflow connection '{name}'.")
    if done.returncode != 0:
        # What it wrote to stderr may hold a password.
        raise ServiceError(f"Airflow could not be asked for the connection '{name}' (exit code {done.returncode}).")
    return Credentials(**json.loads(done.stdout.strip().splitlines()[-1]))


def _provision_when_needed(settings: Settings) -> None:
    try:
        with warehouse.connect("airflow", settings):
            return
    except WarehouseError:
        warehouse.provision(settings)


def _service_environment(settings: Settings) -> dict[str, str]:
    config = settings.airflow_home / "webserver_config.py"
    if not config.exists() or config.read_text() != _WEBSERVER_CONFIG:
        config.write_text(_WEBSERVER_CONFIG)
    secret(settings, PASSWORD_FILE)
    ours = environment(settings)
    # Other AIRFLOW__ variables of the caller belong to another Airflow, perhaps; those of a person's choice pass.
    return {**os.environ, **ours}


def _fingerprint(environ: dict[str, str]) -> str:
    relevant = {key: value for key, value in environ.items() if key.startswith(("AIRFLOW_", "TEILHABE_"))}
    relevant.pop(_MARK, None)
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def _start(settings: Settings, environ: dict[str, str], names: Sequence[str], *, prepare: bool, lock: int) -> None:
    """Start components from one process that imports Airflow once: importing takes longer than all the rest."""
    for name in names:
        log = _log_path(settings, name)
        if log.exists() and log.stat().st_size > 10_000_000:
            log.replace(log.with_suffix(".log.1"))
    order = {
        "components": {name: str(_log_path(settings, name)) for name in names},
        "login": [USER, secret(settings, PASSWORD_FILE)] if prepare else None,
        "lock": lock,
    }
    program = "from teilhabe.airflow.services import nursery; nursery()"
    with _private_log(settings, "start") as output:
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
            env={**environ, _MARK: str(settings.home), "SPT_NOENV": "1"},
        )
    if done.returncode != 0:
        raise ServiceError(f"Airflow could not be started; look at {_log_path(settings, 'start')}.")
    if prepare:
        _remember_migration(settings)
    state = _State.read(settings)
    for line in done.stdout.splitlines():
        name, _, number = line.removeprefix("started ").partition(" ")
        if not line.startswith("started ") or name not in COMPONENTS:
            continue
        try:
            state.processes[name] = _Process(int(number), psutil.Process(int(number)).create_time())
        except psutil.Error:
            raise ServiceError(f"Airflow's {name} ended at once; look at {_log_path(settings, name)}.") from None
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

    if order["login"]:
        import airflow.api_fastapi.app  # the API server needs it too, so import it before the fork
        import airflow.providers.fab.auth_manager.fab_auth_manager

        # In a fork, so that no open connection of this process reaches the components.
        child = os.fork()
        if child == 0:
            _leave_with(lambda: bootstrap(*order["login"]))
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
        sys.argv = ["airflow", *COMPONENTS[name]]
        if name == "scheduler":
            _warm_up()
        _leave_with(airflow.__main__.main)


def _warm_up() -> None:
    """What judging a file needs. Tasks are forks of the scheduler, so it is imported once and not in each of them.

    Imports only: nothing here may open a connection or start a thread that a fork would lose.
    """
    import great_expectations  # noqa: F401

    import teilhabe.building
    import teilhabe.pipeline
    import teilhabe.reading
    import teilhabe.register
    import teilhabe.statistical_expectations
    import teilhabe.validation  # noqa: F401


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


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "airflow", *COMPONENTS[name]]


def _end_all(settings: Settings) -> bool:
    state = _State.read(settings)
    found = _all_processes(settings, state)
    if found:
        # First the four, which end their own children in order; whoever is left after that is asked, then made. The
        # triggerer waits ten seconds for its runner unless told twice, and nothing in the runner can be lost.
        leaders = [process for process in (_alive(entry) for entry in state.processes.values()) if process]
        triggerer = _alive(state.processes.get("triggerer"))
        again = [triggerer] if triggerer else []
        rounds = (
            (leaders, "terminate", 1.5),
            (again, "terminate", 6.5),
            (None, "terminate", 4.0),
            (None, "kill", 10.0),
        )
        for group, signal, seconds in rounds:
            targets = _all_processes(settings, state) if group is None else group
            for process in targets:
                with contextlib.suppress(psutil.Error):
                    getattr(process, signal)()
            until = time.monotonic() + seconds
            while (alive := _all_processes(settings, state)) and time.monotonic() < until:
                if group is not None and not any(process in alive for process in leaders):
                    break
                time.sleep(0.1)
            if not alive:
                break
        else:
            numbers = ", ".join(str(process.pid) for process in alive)
            raise ServiceError(f"These Airflow processes do not end: {numbers}.")
    state.processes.clear()
    state.write(settings)
    return bool(found)


def _all_processes(settings: Settings, state: _State) -> list[psutil.Process]:
    """Everything alive that was started for this home: recorded, their descendants, and whoever carries the mark."""
    found: dict[int, psutil.Process] = {}
    me = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for entry in state.processes.values():
        if process := _alive(entry):
            found[process.pid] = process
            with contextlib.suppress(psutil.Error):
                found |= {child.pid: child for child in process.children(recursive=True)}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in me and process.environ().get(_MARK) == str(settings.home):
                found[process.pid] = process
    return [process for process in found.values() if _is_living(process)]


def _is_living(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


@dataclass(frozen=True)
class _Process:
    pid: int
    created: float


def _alive(entry: _Process | None) -> psutil.Process | None:
    """The recorded process, unless it has ended and its number now belongs to somebody else."""
    if entry is None:
        return None
    try:
        process = psutil.Process(entry.pid)
        same = abs(process.create_time() - entry.created) < 0.5
        return process if same and _is_living(process) else None
    except psutil.Error:
        return None


@dataclass
class _State:
    processes: dict[str, _Process]
    fingerprint: str = ""

    @classmethod
    def read(cls, settings: Settings) -> _State:
        try:
            given = json.loads((settings.run / "airflow.json").read_text())
            processes = {name: _Process(int(pid), float(at)) for name, (pid, at) in given["processes"].items()}
            return cls(processes, str(given["fingerprint"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls({})

    def write(self, settings: Settings) -> None:
        processes = {name: [entry.pid, entry.created] for name, entry in self.processes.items()}
        _write_json(settings.run / "airflow.json", {"processes": processes, "fingerprint": self.fingerprint})


def _write_json(path: Path, content: object) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content, indent=1) + "\n")
    draft.replace(path)


def _port(settings: Settings) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int((settings.run / "airflow.port").read_text())
    return _choose_port(settings)


def _choose_port(settings: Settings) -> int:
    for port in range(FIRST_PORT, FIRST_PORT + 1000):
        if warehouse.port_is_free(port):
            settings.run.mkdir(parents=True, exist_ok=True)
            (settings.run / "airflow.port").write_text(f"{port}\n")
            return port
    raise ServiceError(f"No free port for Airflow was found from {FIRST_PORT} on.")


def _log_path(settings: Settings, name: str) -> Path:
    return settings.logs / f"airflow-{name}.log"


@contextlib.contextmanager
def _private_log(settings: Settings, name: str) -> Iterator[IO[str]]:
    descriptor = os.open(_log_path(settings, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yield file


def _log_tail(settings: Settings, name: str) -> str:
    with contextlib.suppress(OSError), _log_path(settings, name).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4000))
        return file.read().decode(errors="replace")
    return ""


# ------------------------------------------------------------------------------------------------- metadata and login


def migrate(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> None:
    """Bring the metadata database to the installed version and make sure of the admin; nothing to do costs nothing."""
    if _is_migrated(settings):
        return
    progress("Preparing Airflow's metadata database (once per version)")
    _bootstrap_process(settings, _service_environment(settings))
    _remember_migration(settings)


def _is_migrated(settings: Settings) -> bool:
    state = {"versions": _versions(), "revisions": _revisions(settings)}
    try:
        return bool(state["revisions"]) and json.loads((settings.run / "airflow-migrated.json").read_text()) == state
    except (OSError, ValueError):
        return False


def _remember_migration(settings: Settings) -> None:
    state = {"versions": _versions(), "revisions": _revisions(settings)}
    _write_json(settings.run / "airflow-migrated.json", state)


def _versions() -> dict[str, str]:
    names = ("apache-airflow-core", "apache-airflow-providers-fab")
    return {name: importlib.metadata.version(name) for name in names} | {"grants": _GRANTS_VERSION}


def _revisions(settings: Settings) -> list[str]:
    """What the database says it is at; empty when it holds nothing or lacks the admin."""
    with warehouse.connect("airflow", settings) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE tablename IN ('alembic_version', 'alembic_version_fab', 'ab_user')"
        ).fetchone()
        if tables is None or tables[0] != 3:
            return []
        if connection.execute("SELECT 1 FROM ab_user WHERE username = %s AND active", [USER]).fetchone() is None:
            return []
        query = (
            "SELECT version_num FROM alembic_version UNION ALL SELECT version_num FROM alembic_version_fab ORDER BY 1"
        )
        return [str(row[0]) for row in connection.execute(query)]


def _bootstrap_process(settings: Settings, environ: dict[str, str]) -> None:
    password = secret(settings, PASSWORD_FILE)
    program = "import sys; from teilhabe.airflow.services import bootstrap; bootstrap(*sys.stdin.read().split())"
    with _private_log(settings, "start") as output:
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-c", program],
            check=False,
            input=f"{USER} {password}",
            text=True,
            stdout=output,
            stderr=output,
            env={**environ, _MARK: str(settings.home), "SPT_NOENV": "1"},
            cwd=settings.airflow_home,
        )
    if done.returncode != 0:
        message = f"Airflow's metadata database could not be prepared; look at {_log_path(settings, 'start')}."
        raise ServiceError(message)


def bootstrap(user: str, password: str) -> None:
    """Runs in a process of its own: create or migrate the metadata database, its roles and the admin."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from airflow.utils import db

    db.initdb()
    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        # Airflow lists pages of plugins only to those who may read "Plugins"; the desk is for everybody who may look.
        for name in ("Viewer", "User"):
            manager.add_permission_to_role(manager.find_role(name), manager.create_permission("can_read", "Plugins"))
        found = manager.find_user(username=user)
        if found is None:
            role = manager.find_role("Admin")
            if not manager.add_user(user, "Teilhabe", "Admin", f"{user}@localhost", role, password=password):
                raise SystemExit("The admin could not be created.")
        else:
            found.active = True
            manager.reset_password(found.id, password)


def _ensure_login(settings: Settings, environ: dict[str, str], progress: Callable[[str], None]) -> None:
    """The password on file works; if the file was lost, the new one becomes the admin's."""
    try:
        AirflowApi(settings).login()
    except ServiceError:
        progress("Setting a new password for Airflow's admin")
        _bootstrap_process(settings, environ)
        AirflowApi(settings).login()


# ----------------------------------------------------------------------------------------------------------- REST API


class AirflowApi:
    """A small client of Airflow's REST interface, logged in as the home's admin."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # No proxy of the environment may get to see requests to this machine.
        self._client = httpx.Client(base_url=info(settings).ui_url, timeout=30, trust_env=False)

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def login(self) -> None:
        """Get a token; ServiceError when Airflow does not answer or refuses."""
        body = {"username": USER, "password": secret(self._settings, PASSWORD_FILE)}
        try:
            response = self._client.post("/auth/token", json=body)
        except httpx.HTTPError as error:
            raise ServiceError(f"Airflow does not answer at {self._client.base_url}: {error}.") from None
        if response.status_code != httpx.codes.CREATED:
            raise ServiceError(f"Airflow refuses the login of {USER}: {response.status_code}.")
        self._client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run now; returns its id."""
        body = {"logical_date": None, "conf": conf or {}}
        return str(self._call("POST", f"/dags/{quote(dag_id, safe='')}/dagRuns", json=body)["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run as Airflow describes it."""
        return self._call("GET", f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}")

    def dag_runs(self, dag_ids: Iterable[str] = (), states: Iterable[str] = ()) -> list[dict[str, Any]]:
        """All runs of the given DAGs in the given states (nothing given: of all, in any), oldest first."""
        body: dict[str, Any] = {"order_by": "id"}
        if wanted := sorted(dag_ids):
            body["dag_ids"] = wanted
        if in_states := sorted(states):
            body["states"] = in_states
        found: list[dict[str, Any]] = []
        while True:
            page = {**body, "page_offset": len(found), "page_limit": 100}
            answer = self._call("POST", "/dags/~/dagRuns/list", json=page)
            found += answer["dag_runs"]
            if not answer["dag_runs"] or len(found) >= answer["total_entries"]:
                return found

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of one run, mapped ones included."""
        path = f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return list(self._pages(path, "task_instances"))

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """The log of one attempt as text, one line per entry."""
        path = (
            f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}/taskInstances/{quote(task_id, safe='')}"
        )
        answer = self._call("GET", f"{path}/logs/{try_number}", params={"map_index": map_index, "full_content": True})
        content = answer.get("content", [])
        if isinstance(content, str):
            return content
        return "\n".join(str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in content)

    def dags(self) -> list[dict[str, Any]]:
        """All DAGs Airflow knows at present."""
        return list(self._pages("/dags", "dags"))

    def import_errors(self) -> list[dict[str, Any]]:
        """DAG files that could not be read: ``filename`` and ``stack_trace``."""
        return list(self._pages("/importErrors", "import_errors"))

    def wait_for_dags(self, dag_ids: Iterable[str], timeout: float = 120) -> None:
        """Wait until Airflow has read these DAGs; fails early when one of the files cannot be imported."""
        wanted = set(dag_ids)
        until = time.monotonic() + timeout
        while missing := wanted - {str(dag["dag_id"]) for dag in self.dags()}:
            for error in self.import_errors():
                lines = str(error["stack_trace"]).strip().splitlines()
                raise ServiceError(
                    f"Airflow cannot read {error['filename']}: {lines[-1] if lines else 'no reason given'}"
                )
            if time.monotonic() > until:
                raise ServiceError(f"Airflow does not know {', '.join(sorted(missing))} after {timeout:.0f} seconds.")
            time.sleep(0.5)

    def _pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            answer = self._call("GET", path, params={"limit": 100, "offset": offset})
            yield from answer[key]
            offset += len(answer[key])
            if not answer[key] or offset >= answer["total_entries"]:
                return

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if "Authorization" not in self._client.headers:
            self.login()
        for attempt in (1, 2):
            try:
                response = self._client.request(method, f"/api/v2{path}", **options)
            except httpx.HTTPError as error:
                raise ServiceError(f"Airflow does not answer at {self._client.base_url}: {error}.") from None
            if response.status_code == httpx.codes.UNAUTHORIZED and attempt == 1:
                self.login()  # tokens expire
                continue
            break
        if response.is_error:
            raise ServiceError(f"Airflow refuses {method} {path}: {response.status_code} {response.text[:500]}")
        return dict(response.json()) if response.content else {}


# --------------------------------------------------------------------------------------------------------- containers


def main(arguments: Sequence[str]) -> None:
    """For containers, one component each: ``init`` prepares both databases, a component's name becomes that component.

    Here AIRFLOW__ variables of the container win over ours: hosts and addresses are the deployment's to decide.
    """
    settings = get_settings()
    known = ["init", *COMPONENTS]
    if len(arguments) != 1 or arguments[0] not in known:
        raise SystemExit(f"usage: python -m teilhabe.airflow.services {'|'.join(known)}")
    prepare_home(settings)
    if arguments[0] == "init":
        warehouse.provision(settings)
        migrate(settings, print)
        return
    environ = {**_service_environment(settings), **os.environ}
    os.chdir(settings.airflow_home)
    command = _command(arguments[0])
    os.execve(command[0], command, environ)  # noqa: S606 - it becomes the container's process and gets its signals


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except TeilhabeError as error:
        raise SystemExit(str(error)) from None
