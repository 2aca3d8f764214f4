"""The PostgreSQL server behind everything: embedded under the home, or yours; provisioned the same way.

The embedded server listens on 127.0.0.1 only, asks everybody for a password, never runs as root and survives the
violent death of whoever started it. ``provision`` makes databases, roles, schemas and rights, and can be repeated at
any time without resetting what works. Only ``server.connecting`` opens connections.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from teilhabe.errors import UnreachableError, WarehouseError
from teilhabe.server.connecting import (
    ADMIN,
    admin_connection,
    connect,
    password_path,
    record_path,
)
from teilhabe.server.programs import OLDEST_SERVER, Place, place_of, program_version, programs_of, run_as
from teilhabe.settings import Settings, get_settings, home_lock, prepare_home, secret

_START_SECONDS = 300
"""Crash recovery after a power cut may replay a lot; a healthy start takes a fraction of a second."""
_STALE_SECONDS = 10


@dataclass(frozen=True)
class Server:
    """A reachable server; ``pid`` is 0 for an external one."""

    host: str
    port: int
    version: int
    external: bool
    pid: int = 0


# ---------------------------------------------------------------------------------------------------------- lifecycle


def ensure_running(settings: Settings | None = None) -> Server:
    """Make sure a server answers, start the embedded one if need be. Idempotent, safe from many processes."""
    settings = settings or get_settings()
    if settings.warehouse_url:
        return _external_server(settings)
    if server := _embedded_server(settings):
        return server
    prepare_home(settings)
    with home_lock(settings, "warehouse") as lock:
        if server := _embedded_server(settings):
            return server
        place = place_of(settings, create=True)
        assert place is not None  # noqa: S101 - create=True always yields one
        programs = programs_of(place)
        fresh = not place.data.exists()
        if fresh:
            _initialise(settings, place, programs, lock)
        elif not (settings.secrets / password_path("admin")).exists():
            _replace_lost_admin_password(settings, place, programs)
        return _start(settings, place, programs)


def stop(settings: Settings | None = None) -> bool:
    """Stop the embedded server; True if one was running. An external server is never stopped."""
    settings = settings or get_settings()
    if settings.warehouse_url or not settings.home.exists():
        return False
    prepare_home(settings)
    with home_lock(settings, "warehouse"):
        place = place_of(settings, create=False)
        if place is None or not place.data.exists():
            return False
        users = _users_of(place.data)
        if not users:
            return False
        for mode, seconds in (("fast", 60), ("immediate", 20)):
            if _postmaster_pid(place.data) is not None:
                with contextlib.suppress(WarehouseError):
                    command = [programs_of(place) / "pg_ctl", "stop", "-D", place.data, "-m", mode, "-t", seconds, "-s"]
                    run_as(place.account, command, timeout=seconds + 10)
            if _gone(place.data, 5):
                return True
        for process in _users_of(place.data):
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not _gone(place.data, 10):
            raise WarehouseError(f"The database server under {place.data} does not end; look at {_log_path(settings)}.")
        return True


def is_running(settings: Settings | None = None) -> bool:
    """Whether the server accepts connections right now. Starts nothing."""
    settings = settings or get_settings()
    if not settings.warehouse_url:
        return _embedded_server(settings) is not None
    try:
        _external_server(settings)
    except WarehouseError:
        return False
    return True


def discard(settings: Settings) -> None:
    """Stop the embedded server and delete its data for good, wherever they lie. For tests and demonstrations."""
    stop(settings)
    link = settings.home / "postgres"
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()
    elif link.exists():
        shutil.rmtree(link)


def _external_server(settings: Settings) -> Server:
    """The server of ``TEILHABE_WAREHOUSE_URL``. Once there are roles of our own, nobody logs in as its administrator."""
    with _any_connection(settings) as connection:
        version = connection.info.server_version // 10000
        if version < OLDEST_SERVER:
            raise WarehouseError(f"The server runs PostgreSQL {version}; teilhabe needs {OLDEST_SERVER} or newer.")
        return Server(connection.info.host, connection.info.port, version, external=True)


def _any_connection(settings: Settings) -> psycopg.Connection[Any]:
    if not (settings.secrets / password_path("airflow")).exists():
        return admin_connection(settings, maintenance=True)
    try:
        return connect("airflow", settings)
    except UnreachableError:
        raise
    except WarehouseError as problem:
        # The server may have been set up anew. Only an administrator's password, where there is one, can tell.
        try:
            return admin_connection(settings, maintenance=True)
        except WarehouseError:
            raise problem from None


def _embedded_server(settings: Settings) -> Server | None:
    """The embedded server of this home, if it is up and ready. Looks, touches nothing."""
    place = place_of(settings, create=False)
    if place is None:
        return None
    try:
        lines = (place.data / "postmaster.pid").read_text().splitlines()
        version = int((place.data / "PG_VERSION").read_text())
        pid, port, status = int(lines[0]), int(lines[3]), lines[7].strip()
    except (OSError, ValueError, IndexError):
        return None
    if status != "ready" or not _is_postmaster(pid, place.data):
        return None
    return Server("127.0.0.1", port, version, external=False, pid=pid)


# ------------------------------------------------------------------------------------------ place, account, programs


# ------------------------------------------------------------------------------------------------- starting a cluster


def _initialise(settings: Settings, place: Place, programs: Path, lock: int) -> None:
    """Create the cluster beside its final place and rename it, so a killed start leaves nothing half made."""
    draft = place.root / "data.new"
    if draft.exists():
        shutil.rmtree(draft)
    password_file = place.root / "initial-password"
    password_file.unlink(missing_ok=True)
    with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret(settings, password_path("admin")) + "\n")
    if place.account is not None:
        os.chown(password_file, place.account.pw_uid, place.account.pw_gid)
    # Order by code point, the same on every machine, while upper() and regular expressions know umlauts. Libraries of
    # the operating system would order by their version.
    if program_version(place, programs) >= 17:
        locale: list[str] = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    else:
        locale = ["--locale=C", f"--lc-ctype={_utf8_ctype()}"]
    command = [
        programs / "initdb", "-D", draft, "-U", ADMIN, "--auth=scram-sha-256", f"--pwfile={password_file}",
        "--encoding=UTF8", "--data-checksums", "--no-instructions", *locale,
    ]  # fmt: skip
    try:
        # initdb inherits the lock: if we are killed now, the next starter waits until initdb has ended too.
        run_as(place.account, command, pass_fds=[lock], timeout=300)
    finally:
        password_file.unlink(missing_ok=True)
    with (draft / "postgresql.conf").open("a") as file:
        file.write("\ninclude_if_exists = 'teilhabe.conf'\n")
    draft.rename(place.data)


def _utf8_ctype() -> str:
    known = subprocess.run(["locale", "-a"], check=False, capture_output=True, text=True).stdout  # noqa: S607
    return next((name for name in known.split() if name.lower() in {"c.utf-8", "c.utf8"}), "C")


def _start(settings: Settings, place: Place, programs: Path) -> Server:
    log = _log_path(settings)
    if log.exists() and log.stat().st_size > 10_000_000:
        log.replace(log.with_suffix(".log.1"))
    deadline = time.monotonic() + _START_SECONDS
    stale_until = time.monotonic() + _STALE_SECONDS
    port_attempts = 0
    while True:
        _clear_stale_pid(place.data)
        port = _choose_port(settings)
        _write_configuration(place, port)
        start_of_log = log.stat().st_size if log.exists() else 0
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as output:
            # pg_ctl makes the server a session of its own with its output in our log: nothing of the caller's stays
            # open in it, so pipes of the caller end when the caller does.
            command = [programs / "pg_ctl", "start", "-D", place.data, "-w", "-t", _START_SECONDS, "-s"]
            done = run_as(place.account, command, check=False, timeout=_START_SECONDS + 10, output=output.fileno())
        if done.returncode == 0 and (server := _embedded_server(settings)):
            return server
        with log.open(errors="replace") as file:
            file.seek(start_of_log)
            said = file.read()
        if "could not bind" in said or "Address already in use" in said:
            port_attempts += 1
            if port_attempts < 10:
                record_path(settings).unlink(missing_ok=True)
                continue
        elif (
            "postmaster.pid" in said or "shared memory block" in said or "FATAL:" not in said
        ) and time.monotonic() < stale_until:
            time.sleep(0.3)
            continue
        if time.monotonic() >= deadline or done.returncode != 0:
            reasons = [line.partition("FATAL:")[2].strip() for line in said.splitlines() if "FATAL:" in line]
            reason = reasons[-1] if reasons else "no reason given"
            raise WarehouseError(f"The database server did not start: {reason} (log: {log}).")
        time.sleep(0.2)


def _clear_stale_pid(data: Path) -> None:
    """After `kill -9` of the server its pid file stays. The server sorts that out itself, with two exceptions: a zombie
    nobody has waited for, and a stranger of the same account that got the number. Both are recognised here."""
    path = data / "postmaster.pid"
    until = time.monotonic() + _STALE_SECONDS
    while _users_of(data) and time.monotonic() < until:
        # Orphaned backends of a killed server end by themselves as soon as they notice.
        if _postmaster_pid(data) is not None:
            return
        time.sleep(0.1)
    if path.exists() and _postmaster_pid(data) is None and not _users_of(data):
        path.unlink(missing_ok=True)


def _users_of(data: Path) -> list[psutil.Process]:
    """Living processes that work in this data directory: the server and all its children sit in it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(data):
                found.append(process)
    return found


def _postmaster_pid(data: Path) -> int | None:
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if _is_postmaster(pid, data) else None


def _is_postmaster(pid: int, data: Path) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and str(process.cwd()) == str(data)
    except (psutil.Error, OSError):
        return False


def _gone(data: Path, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while _users_of(data):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _choose_port(settings: Settings) -> int:
    """The remembered port, or a new one below the range that outgoing connections are given."""
    path = record_path(settings)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        port = int(json.loads(path.read_text())["port"])
        if port_is_free(port):
            return port
    for _ in range(200):
        port = random.randint(15432, 31999)  # noqa: S311 - no secret
        if port_is_free(port):
            draft = path.with_suffix(".new")
            draft.write_text(json.dumps({"port": port}) + "\n")
            draft.replace(path)
            return port
    raise WarehouseError("No free port was found between 15432 and 31999.")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1 at this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # old connections winding down do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _write_configuration(place: Place, port: int) -> None:
    """What we decide. Everything stays changeable in postgresql.auto.conf, which the server reads later."""
    values: dict[str, str | int] = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 200,
        "shared_buffers": "256MB",
        "effective_cache_size": "1GB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        "random_page_cost": "1.1",
        "jit": "off",
        "wal_compression": "on",
        # Backups are dumps and nobody streams from here, so what a build writes into new tables need not be written twice;
        # and as much WAL as one large build makes is no reason to keep that much for good.
        "wal_level": "minimal",
        "max_wal_senders": 0,
        "min_wal_size": "80MB",
        "max_wal_size": "512MB",
        "checkpoint_timeout": "15min",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "datestyle": "iso, ymd",
        "password_encryption": "scram-sha-256",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_checkpoints": "off",
        "logging_collector": "off",
    }
    text = "# Written at every start; put your own values into postgresql.auto.conf (ALTER SYSTEM).\n"
    text += "".join(f"{name} = '{value}'\n" for name, value in values.items())
    path = place.data / "teilhabe.conf"
    draft = place.data / "teilhabe.conf.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    if place.account is not None:
        os.chown(draft, place.account.pw_uid, place.account.pw_gid)
    draft.replace(path)


def _replace_lost_admin_password(settings: Settings, place: Place, programs: Path) -> None:
    """The secrets were deleted but the data were not: set a new password while nobody can connect."""
    _clear_stale_pid(place.data)
    password = secret(settings, password_path("admin"))
    statement = f"ALTER ROLE {ADMIN} PASSWORD '{password}'\n"  # token_urlsafe holds no quote
    try:
        command = [
            programs / "postgres",
            "--single",
            "-D",
            place.data,
            "-c",
            "log_min_error_statement=panic",
            "postgres",
        ]
        run_as(place.account, command, stdin=statement)
    except WarehouseError:
        (settings.secrets / password_path("admin")).unlink(missing_ok=True)
        raise


def _log_path(settings: Settings) -> Path:
    return settings.logs / "postgres.log"


# -------------------------------------------------------------------------------------------------------- provisioning


# --------------------------------------------------------------------------------------------------------- connecting
