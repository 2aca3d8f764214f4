"""The processes of one home's Airflow: which there are, where they write, on which port they listen, and their end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from teilhabe.errors import ServiceError
from teilhabe.server import embedded
from teilhabe.settings import Settings

COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server", "--proxy-headers"),  # of those FORWARDED_ALLOW_IPS names; of nobody by itself
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
"""Logs are read from the shared directory, so nothing but the API server listens: no two homes meet on a port."""

MARK = "TEILHABE_SERVICE_OF"
"""Environment variable only our processes carry: children are found through it however they were orphaned."""

_FIRST_PORT = 8080
_PORTS = 1000


# -------------------------------------------------------------------------------------------------------- who is there


@dataclass(frozen=True)
class Recorded:
    """A process by number and moment of its start: a number alone is given again."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Recorded:
        """The process that has this number now."""
        return cls(pid, psutil.Process(pid).create_time())

    def alive(self) -> psutil.Process | None:
        """The process, unless it has ended and its number now belongs to somebody else."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 0.5
            return process if same and _is_living(process) else None
        except psutil.Error:
            return None


@dataclass
class State:
    """What was started for a home, by component, and with which configuration."""

    processes: dict[str, Recorded]
    fingerprint: str = ""

    @classmethod
    def read(cls, settings: Settings) -> State:
        """What is on record; nothing where there is no record or a damaged one."""
        try:
            given = json.loads((settings.run / "airflow.json").read_text())
            processes = {name: Recorded(int(pid), float(at)) for name, (pid, at) in given["processes"].items()}
            return cls(processes, str(given["fingerprint"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls({})

    def write(self, settings: Settings) -> None:
        """Keep it."""
        processes = {name: [entry.pid, entry.created] for name, entry in self.processes.items()}
        write_json(settings.run / "airflow.json", {"processes": processes, "fingerprint": self.fingerprint})

    def leader(self, name: str) -> psutil.Process | None:
        """The living process of a component."""
        entry = self.processes.get(name)
        return entry.alive() if entry else None

    def missing(self) -> list[str]:
        """The components without a living process."""
        return [name for name in COMPONENTS if self.leader(name) is None]


def all_processes(settings: Settings, state: State) -> list[psutil.Process]:
    """Everything alive that was started for this home: recorded, their descendants, and whoever carries the mark."""
    found = _families(state)
    me = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in me and process.environ().get(MARK) == str(settings.home):
                found[process.pid] = process
    return [process for process in found.values() if _is_living(process)]


def _families(state: State) -> dict[int, psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for name in state.processes:
        if process := state.leader(name):
            found[process.pid] = process
            with contextlib.suppress(psutil.Error):
                found |= {child.pid: child for child in process.children(recursive=True)}
    return found


def _is_living(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


# -------------------------------------------------------------------------------------------------------------- the end


def end_all(settings: Settings) -> bool:
    """End every process of this home's Airflow. True if there was one.

    Raises:
        ServiceError: some do not end.
    """
    state = State.read(settings)
    found = all_processes(settings, state)
    if found:
        # First the four, which end their own children in order; whoever is left after that is asked, then made. The
        # triggerer waits ten seconds for its runner unless told twice, and nothing in the runner can be lost.
        leaders = [process for process in map(state.leader, state.processes) if process]
        triggerer = state.leader("triggerer")
        again = [triggerer] if triggerer else []
        rounds = (
            (leaders, "terminate", 1.5),
            (again, "terminate", 6.5),
            (None, "terminate", 4.0),
            (None, "kill", 10.0),
        )
        for group, signal, seconds in rounds:
            for process in all_processes(settings, state) if group is None else group:
                with contextlib.suppress(psutil.Error):
                    getattr(process, signal)()
            until = time.monotonic() + seconds
            while (left := all_processes(settings, state)) and time.monotonic() < until:
                if group is not None and not any(process in left for process in leaders):
                    break
                time.sleep(0.1)
            if not left:
                break
        else:
            numbers = ", ".join(str(process.pid) for process in left)
            raise ServiceError(f"These Airflow processes do not end: {numbers}.")
    state.processes.clear()
    state.write(settings)
    return bool(found)


def end_orphans(settings: Settings) -> None:
    """End what a component that died has left behind.

    A task that outlives its scheduler would run beside its own repetition by the next one.
    """
    state = State.read(settings)
    family = _families(state)
    orphans = [process for process in all_processes(settings, state) if process.pid not in family]
    for process in orphans:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(orphans, timeout=5)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    _, stubborn = psutil.wait_procs(stubborn, timeout=5)
    if left := [str(process.pid) for process in stubborn if _is_living(process)]:
        raise ServiceError(f"These processes of an Airflow component that died do not end: {', '.join(left)}.")


# ---------------------------------------------------------------------------------------------------------- their port


def port(settings: Settings) -> int:
    """The port of this home's API server, chosen on first use."""
    with contextlib.suppress(OSError, ValueError):
        return int((settings.run / "airflow.port").read_text())
    return choose_port(settings)


def choose_port(settings: Settings, *, taken: bool = False) -> int:
    """Choose and remember a free port: the first, or any where the one chosen before turned out to be ``taken``.

    Homes that start in the same moment find the same port free. All but one then choose again, and would meet again if
    each took the next one.
    """
    first = random.randrange(_PORTS) if taken else 0  # noqa: S311 - no secret
    for step in range(_PORTS):
        number = _FIRST_PORT + (first + step) % _PORTS
        if embedded.port_is_free(number):
            settings.run.mkdir(parents=True, exist_ok=True)
            (settings.run / "airflow.port").write_text(f"{number}\n")
            return number
    raise ServiceError(f"No free port for Airflow was found from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1}.")


def api_server_listens(settings: Settings) -> bool:
    """Whether it is this home's own API server that listens at its port, as the operating system says.

    Whoever listens there could be another home's or anybody's: nothing secret is sent before this is known.
    """
    leader = State.read(settings).leader("api-server")
    if leader is None:
        return False
    number = port(settings)
    with contextlib.suppress(psutil.Error):
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == number
            for process in (leader, *leader.children(recursive=True))
            for connection in process.net_connections("tcp4")
        )
    return False


# ---------------------------------------------------------------------------------------------------------- their files


def write_json(path: Path, content: object) -> None:
    """Replace a file in one step."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content, indent=1) + "\n")
    draft.replace(path)


def log_path(settings: Settings, name: str) -> Path:
    """Where a component, or the ``start`` of all, writes what is no task's log."""
    return settings.logs / f"airflow-{name}.log"


@contextlib.contextmanager
def private_log(settings: Settings, name: str) -> Iterator[IO[str]]:
    """A new log that only this account reads."""
    descriptor = os.open(log_path(settings, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        yield file


def log_size(settings: Settings, name: str) -> int:
    """Bytes a log has by now, as the place where what comes next begins."""
    with contextlib.suppress(OSError):
        return log_path(settings, name).stat().st_size
    return 0


def log_tail(settings: Settings, name: str, since: int = 0) -> str:
    """The last 4,000 bytes of a log at most, nothing from before byte ``since``."""
    with contextlib.suppress(OSError), log_path(settings, name).open("rb") as file:
        file.seek(max(since, file.seek(0, os.SEEK_END) - 4000))
        return file.read().decode(errors="replace")
    return ""
