"""How Airflow is set up for a home: its settings, its address, its sign-in."""

from __future__ import annotations

import base64
import os
import secrets as random_source
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from teilhabe.airflow import metadata, processes
from teilhabe.airflow.client import JWT_ALGORITHM, JWT_AUDIENCE, JWT_KEY, PASSWORD_FILE
from teilhabe.airflow.rights import ADMIN
from teilhabe.codes.office_time import OFFICE_TIME
from teilhabe.errors import ContractError
from teilhabe.server import connecting
from teilhabe.settings import Settings, secret

_CHATTER = (
    "airflow.api_fastapi.execution_api",
    "airflow.dag_processing",
    "airflow.jobs.scheduler_job_runner",
    "airflow.models.dag",
    "airflow.models.dagrun",
    "airflow.providers.fab.auth_manager.security_manager.override",
    "airflow.sdk.api.client",
    "airflow.serialization.definitions.dag",
    "great_expectations",
    "http.access",
    "supervisor",
    "task",
)
"""Loggers that write something for every poll of every dataset, every look at a DAG and every request of a task: 200 MB a day
where nothing happens. Their warnings stay, and so does all that ``teilhabe`` says."""


@dataclass(frozen=True)
class ServiceInfo:
    """Where people reach the Airflow of a home, and where the password lies."""

    ui_url: str
    user: str
    password_file: Path

    @property
    def login_hint(self) -> str:
        """How the first person signs in, as long as the first password is on file."""
        return f"  (user {self.user}, first password in {self.password_file})" if self.password_file.exists() else ""

    @property
    def desk_url(self) -> str:
        """Where the offices' desk is."""
        return f"{self.ui_url}/desk/"


def environment(settings: Settings) -> dict[str, str]:
    """All of Airflow's configuration for this home, secrets included, to be laid over ``os.environ``.

    Needs a provisioned warehouse and decides on the port of the API server on first use.
    """
    port = processes.port(settings)
    address = connecting.url(settings, "airflow")
    options: dict[str, dict[str, object]] = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": metadata.SLOTS,
            "max_active_tasks_per_dag": metadata.SLOTS,
            "dags_folder": settings.dags,
            "plugins_folder": settings.plugins,
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "default_timezone": OFFICE_TIME.key,
            "auth_manager": "teilhabe.airflow.sign_in.AuthManager",
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
            "base_url": settings.public_url or f"http://127.0.0.1:{port}",
            "secret_key": secret(settings, "airflow_session.key"),
            "expose_config": False,
            "instance_name": "teilhabe",
        },
        "api_auth": {
            "jwt_secret": secret(settings, JWT_KEY, lambda: random_source.token_urlsafe(64)),
            "jwt_audience": JWT_AUDIENCE,
            "jwt_algorithm": JWT_ALGORITHM,
        },
        "fab": {
            "config_file": login_config(settings),
            "cookie_secure": bool(settings.public_url and settings.public_url.startswith("https:")),
        },
        "scheduler": {
            "scheduler_idle_sleep_time": 0.5,
            "scheduler_heartbeat_sec": 2,
            # A scheduler that was held up for longer takes itself for dead and begins its running tasks once more. Those
            # who were killed are known without it: `metadata.forget_dead`.
            "scheduler_health_check_threshold": 180,
            "enable_health_check": False,
        },
        "dag_processor": {
            "refresh_interval": 30,
            # Contracts are read anew by each task; only a new one waits for this, and `wait_for_dags` asks for it.
            "min_file_process_interval": 300,
            "parsing_processes": 1,
            "print_stats_interval": 300,
            "dag_bundle_storage_path": settings.airflow_home / "bundles",
        },
        "logging": {
            "base_log_folder": settings.logs / "airflow",
            "dag_processor_child_process_log_directory": settings.logs / "airflow" / "dag_processor",
            "logging_level": "INFO",
            "namespace_levels": " ".join(f"{name}=WARNING" for name in _CHATTER),
            # One file a task: three folders for each would take more of the disk than what is in them.
            "log_filename_template": "{{ ti.dag_id }}/{{ ti.run_id }}.{{ ti.task_id }}."
            "{% if ti.map_index >= 0 %}{{ ti.map_index }}.{% endif %}"
            "attempt={{ try_number|default(ti.try_number) }}.log",
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
        values["TEILHABE_WAREHOUSE_PASSWORD_FILE"] = ""  # where there is one, the address has its password already
    values["TEILHABE_PUBLIC_URL"] = settings.public_url or ""
    values["TEILHABE_TRUSTED_PROXIES"] = ",".join(settings.trusted_proxies)
    # Uvicorn believes X-Forwarded-For and -Proto of these; empty: of nobody.
    values["FORWARDED_ALLOW_IPS"] = ",".join(settings.trusted_proxies)
    values |= {"DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false", "SCARF_ANALYTICS": "false", "NO_COLOR": "1"}
    # Each task warns of it, in a file of its own.
    values["PYTHONWARNINGS"] = "ignore:GitWildMatchPattern:DeprecationWarning"
    return values


def info(settings: Settings) -> ServiceInfo:
    """The address and user of this home's Airflow, running or not."""
    return ServiceInfo(settings.public_url or local_url(settings), ADMIN, settings.secrets / PASSWORD_FILE)


def local_url(settings: Settings) -> str:
    """Where the API server listens on this machine."""
    return f"http://127.0.0.1:{processes.port(settings)}"


def login_config(settings: Settings) -> Path:
    """How people sign in: the county's own file in the home where there is one, which nothing of ours ever changes.

    Raises:
        ContractError: it is no Python.
    """
    own = settings.home / LOGIN_CONFIG
    if not own.exists():
        generated = settings.airflow_home / LOGIN_CONFIG
        if not generated.exists() or generated.read_text() != _GENERATED_LOGIN_CONFIG:
            generated.write_text(_GENERATED_LOGIN_CONFIG)
        return generated
    try:
        compile(own.read_bytes(), str(own), "exec")
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise ContractError(f"{own}{line}: this is no Python ({error.args[0]}).") from None
    return own


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(random_source.token_bytes(32)).decode()


def _driver_url(address: str, driver: str) -> str:
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query))
    if driver == "asyncpg":  # it calls this option `ssl` and knows no other
        query = {"ssl": query["sslmode"]} if "sslmode" in query else {}
    tail = "?" + "&".join(f"{key}={quote(value)}" for key, value in query.items()) if query else ""
    return f"postgresql+{driver}://{parts.netloc}{parts.path}{tail}"


LOGIN_CONFIG = "webserver_config.py"
"""Name of Airflow's file about signing in."""

_GENERATED_LOGIN_CONFIG = '''"""Written by teilhabe: people sign in with a password. Another way: docs/cookbook/sign-in.md."""

AUTH_TYPE = 1  # database
AUTH_USER_REGISTRATION = False
AUTH_ROLE_PUBLIC = None
WTF_CSRF_ENABLED = True
RATELIMIT_STORAGE_URI = "memory://"
'''


def component_environment(settings: Settings) -> dict[str, str]:
    """The environment of a component: this process's, with our configuration of Airflow over it."""
    ours = environment(settings)
    # Other AIRFLOW__ variables of the caller belong to another Airflow, perhaps; those of a person's choice pass.
    return {**os.environ, **ours}
