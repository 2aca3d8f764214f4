"""Where things are: read once from the environment, never written back to it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets as random_source
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from teilhabe.codes import office_time
from teilhabe.errors import ContractError, TeilhabeError


@dataclass(frozen=True)
class Settings:
    """All places of one installation. ``project`` is the checkout, ``home`` holds everything that changes."""

    project: Path
    home: Path
    archive_url: str
    warehouse_url: str | None = None
    territorial_state: date | None = None
    """Day on whose territories converted series stand; None is the day of the build."""
    build_rows: int = 2_000_000
    """Delivered rows the warehouse build takes in at once; more are taken in one pass after the other."""
    public_url: str | None = None
    """Where people reach Airflow and the desk when a proxy stands before them."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose word about the client and its scheme is taken."""

    @property
    def inbox(self) -> Path:
        return self.home / "inbox"

    @property
    def work(self) -> Path:
        return self.home / "work"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def airflow_home(self) -> Path:
        return self.home / "airflow"

    @property
    def agencies(self) -> Path:
        return self.project / "agencies"

    @property
    def expectations(self) -> Path:
        return self.project / "expectations"

    @property
    def dbt_project(self) -> Path:
        return self.project / "dbt_project"

    @property
    def dags(self) -> Path:
        return self.project / "dags"

    @property
    def plugins(self) -> Path:
        return self.project / "plugins"


def get_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process; ``environ`` replaces ``os.environ``. Creates nothing."""
    env = os.environ if environ is None else environ
    office_time.zone_of(env)  # a wrong name is told before anything is written
    project = _project_root(env)
    home = Path(env.get("TEILHABE_HOME") or project / "var").expanduser().absolute()
    return Settings(
        project=project,
        home=home,
        archive_url=env.get("TEILHABE_ARCHIVE_URL") or (home / "archive").as_uri(),
        warehouse_url=_warehouse_url(env),
        territorial_state=_territorial_state(env),
        build_rows=_build_rows(env),
        public_url=(public_url := _public_url(env)),
        trusted_proxies=_trusted_proxies(env, public_url),
    )


def prepare_home(settings: Settings) -> None:
    """Create the directories of the home that are missing; secrets and logs are for its owner only. Widens nothing."""
    for directory in (settings.home, settings.inbox, settings.work, settings.run, settings.airflow_home):
        directory.mkdir(parents=True, exist_ok=True)
    settings.logs.mkdir(mode=0o700, exist_ok=True)
    settings.secrets.mkdir(mode=0o700, exist_ok=True)
    if stat.S_IMODE(settings.secrets.stat().st_mode) != 0o700:  # a container's are mounted read-only
        settings.secrets.chmod(0o700)


def secret(settings: Settings, name: str, generate: Callable[[], str] | None = None) -> str:
    """The secret ``home/secrets/<name>``, generated on first use, readable by its owner only; race-free."""
    path = settings.secrets / name
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    prepare_home(settings)
    draft = path.with_name(f".{name}.{os.getpid()}.{random_source.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write((generate or (lambda: random_source.token_urlsafe(24)))() + "\n")
    try:
        os.link(draft, path)  # unlike a rename, a link never replaces what another process has just written
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text(encoding="utf-8").strip()


@contextlib.contextmanager
def home_lock(settings: Settings, name: str, seconds: float = 360) -> Iterator[int]:
    """Only one process per home is in here at a time; the kernel frees the lock of one that dies. Yields its number."""
    descriptor = os.open(settings.run / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    message = f"Another process has held {settings.run / name}.lock for minutes; look what it is doing."
                    raise TeilhabeError(message) from None
                time.sleep(0.05)
        yield descriptor
    finally:
        os.close(descriptor)


def number_from_environment(variable: str, default: float) -> float:
    """A number not below zero, as the environment says it now."""
    text = os.environ.get(variable, "").strip()
    try:
        value = float(text) if text else float(default)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ContractError(f"{variable} must be a number not below zero, found {text!r}.")
    return value


def _project_root(env: Mapping[str, str]) -> Path:
    # An editable install (the only supported one) leaves this file inside the checkout. The override is for images
    # that install the package elsewhere.
    if given := env.get("TEILHABE_PROJECT"):
        return Path(given).expanduser().absolute()
    return Path(__file__).resolve().parents[2]


def _warehouse_url(env: Mapping[str, str]) -> str | None:
    if url := env.get("TEILHABE_WAREHOUSE_URL", "").strip():
        return _with_password(_as_postgresql(url, "TEILHABE_WAREHOUSE_URL"), env)
    if connection := env.get("AIRFLOW_CONN_WAREHOUSE", "").strip():
        name = "AIRFLOW_CONN_WAREHOUSE"
        return _as_postgresql(_from_json(connection, name) if connection.startswith("{") else connection, name)
    return None


def _with_password(url: str, env: Mapping[str, str]) -> str:
    """The address with the password from the file that ``TEILHABE_WAREHOUSE_PASSWORD_FILE`` names, if it does.

    Only who creates or updates the warehouse needs it; whoever runs has passwords of its own roles.
    """
    file = env.get("TEILHABE_WAREHOUSE_PASSWORD_FILE", "").strip()
    if not file:
        return url
    try:
        password = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ContractError(f"TEILHABE_WAREHOUSE_PASSWORD_FILE: {file} cannot be read: {reason}.") from None
    parts = urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    if not at or ":" in login:
        raise ContractError("TEILHABE_WAREHOUSE_URL needs a user without a password beside a password file.")
    return parts._replace(netloc=f"{login}:{quote(password, safe='')}@{place}").geturl()


def _public_url(env: Mapping[str, str]) -> str | None:
    text = env.get("TEILHABE_PUBLIC_URL", "").strip().rstrip("/")
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ContractError(
            f"TEILHABE_PUBLIC_URL must be an address like https://daten.landkreis.example, found {text!r}."
        )
    if parts.path or parts.query or parts.fragment:
        raise ContractError("TEILHABE_PUBLIC_URL needs a host name of its own: nothing may follow it but a port.")
    return text


def _trusted_proxies(env: Mapping[str, str], public_url: str | None) -> tuple[str, ...]:
    """By default the machine's own, where a public address says that there is a proxy."""
    text = env.get("TEILHABE_TRUSTED_PROXIES", "").strip()
    if not text:
        return ("127.0.0.1", "::1") if public_url and public_url.startswith("https:") else ()
    given = tuple(part.strip() for part in text.split(",") if part.strip())
    for one in given:
        try:
            ip_network(one)
        except ValueError:
            raise ContractError(
                "TEILHABE_TRUSTED_PROXIES must be addresses or networks like 127.0.0.1 or 10.1.0.0/24, separated by commas; "
                f"found {one!r}."
            ) from None
    return given


def _territorial_state(env: Mapping[str, str]) -> date | None:
    text = env.get("TEILHABE_TERRITORIAL_STATE", "").strip()
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ContractError("TEILHABE_TERRITORIAL_STATE must be a day like 2026-01-01.") from None


def _build_rows(env: Mapping[str, str]) -> int:
    text = env.get("TEILHABE_BUILD_ROWS", "").strip()
    if not text:
        return Settings.build_rows
    if not text.isdecimal() or int(text) == 0:
        raise ContractError("TEILHABE_BUILD_ROWS must be a number of rows like 2000000.")
    return int(text)


def _as_postgresql(url: str, name: str) -> str:
    scheme, separator, rest = url.partition("://")
    # SQLAlchemy's spelling with a driver is common in Airflow set-ups and means the same server.
    if not separator or scheme.split("+")[0] not in {"postgres", "postgresql"}:
        raise ContractError(f"{name} must be a PostgreSQL address (postgresql://user:password@host:port/database).")
    return f"postgresql://{rest}"


def _from_json(text: str, name: str) -> str:
    """Airflow's JSON form of a connection as an address."""
    try:
        given: Any = json.loads(text)
        extra = given.get("extra") or {}
        if isinstance(extra, str):
            extra = json.loads(extra)
        kind = str(given.get("conn_type", "postgres"))
        login = quote(str(given.get("login") or ""), safe="")
        if password := given.get("password"):
            login += ":" + quote(str(password), safe="")
        host = str(given.get("host") or "localhost")
        port = f":{int(given['port'])}" if given.get("port") else ""
        database = quote(str(given.get("schema") or ""), safe="")
        query = "?" + urlencode({key: str(value) for key, value in extra.items()}) if extra else ""
    except (ValueError, AttributeError, TypeError) as error:
        raise ContractError(
            f"{name} looks like JSON but is not an Airflow connection: {type(error).__name__}."
        ) from None
    return f"{kind}://{login + '@' if login else ''}{host}{port}/{database}{query}"
