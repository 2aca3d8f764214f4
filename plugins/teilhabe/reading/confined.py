"""The only way into a file that somebody else made: a process of its own, with limits on memory and time.

``run`` is for work that ends with one answer, ``open_reading`` for a reading, whose chunks come as they are made. What hits
a limit is refused as ``file.too_costly``; a process that is killed from outside says nothing about the file: ``KilledError``.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from teilhabe.errors import Finding, ReadingError, TeilhabeError
from teilhabe.reading import confined_process as process
from teilhabe.reading.confined_process import Channel, Limits
from teilhabe.reading.report import Report
from teilhabe.settings import number_from_environment

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract
    from teilhabe.reading.layouts.base import ReadingContext
    from teilhabe.reading.layouts.column_places import ColumnPlaces
    from teilhabe.reading.layouts.duplicates import Hashes
    from teilhabe.reading.layouts.excluding import RowsExcluded

TOO_COSTLY = "file.too_costly"

_MB = 1_000_000
_MODULES = (
    "teilhabe.reading.confined",
    "teilhabe.reading.layouts.readers",
    "teilhabe.messages.evidence",
    "pyarrow.csv",
)
"""What the waiting process has read before the first job comes."""
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[3]); from teilhabe.reading import confined_process as p; p.main()"

Result = TypeVar("Result")


class KilledError(TeilhabeError):
    """The process that read a file was ended from outside, or crashed: nothing is known about the file."""


def limits() -> Limits:
    """What a file may cost: TEILHABE_READING_MEMORY_MB, TEILHABE_READING_CPU_SECONDS, TEILHABE_READING_SECONDS."""
    return Limits(
        memory_bytes=int(number_from_environment("TEILHABE_READING_MEMORY_MB", 2_000) * _MB),
        cpu_seconds=int(number_from_environment("TEILHABE_READING_CPU_SECONDS", 600)),
        seconds=number_from_environment("TEILHABE_READING_SECONDS", 1_800),
    )


def run(work: Callable[..., Result], *arguments: Any, file_name: str) -> Result:
    """``work(*arguments)`` in a process of its own. ``work`` belongs to a module; arguments and answer can be pickled."""
    with closing(_Job(_plainly, (work, arguments), file_name)) as job:
        said = job.step({})
        assert said is None  # noqa: S101 - nothing but an answer comes from such work
        result: Result = job.result
        return result


def _plainly(_channel: Channel, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    return work(*arguments)


def open_reading(contract: Contract, path: Path, file_name: str, context: ReadingContext) -> ConfinedReading:
    """As ``reading.open_reading``, with the reader in a process of its own."""
    return ConfinedReading(contract, path, file_name, context)


@dataclass(frozen=True)
class _Head:
    """What is known of a reading before its first row."""

    layout_name: str
    is_mendable: bool


@dataclass(frozen=True)
class _Tail:
    """What is known of a reading after its last row."""

    findings: list[Finding]
    symbols: Mapping[str, int]
    names_resolved: dict[str, str]
    contested: Hashes
    places: ColumnPlaces
    excluded: RowsExcluded | None


class ConfinedReading:
    """A ``Reading`` whose reader works in another process, under the names that judging and loading use."""

    def __init__(self, contract: Contract, path: Path, file_name: str, context: ReadingContext) -> None:
        self.contract = contract
        self.excluded: RowsExcluded | None = None
        """Rows that are left out of ``chunks``; set before they are read."""
        self._answers: dict[str, Callable[..., Any]] = {
            name: answer for name in _CALLBACKS if (answer := getattr(context, name)) is not None
        }
        plain = replace(context, populations=None, others=None, unit_code=_no_unit)
        self._job = _Job(_read, (contract, path, file_name, plain, frozenset(self._answers)), file_name)
        try:
            opened = self._job.step(self._answers)
            assert isinstance(opened, _Question)  # noqa: S101 - the reader asks before it reads the first row
            self._head: _Head = opened.arguments[0]
        except BaseException:
            self._job.close()
            raise
        self._tail: _Tail | None = None

    def chunks(self) -> Iterator[pa.Table]:
        """See ``Reading.chunks``; once."""
        with closing(self._job):
            self._job.answer(self.excluded)
            while (table := self._job.step(self._answers)) is not None:
                yield table
            self._tail = tail = self._job.result
            if self.excluded is not None:
                vars(self.excluded).update(vars(tail.excluded))

    @property
    def layout_name(self) -> str:
        return self._head.layout_name

    @property
    def is_mendable(self) -> bool:
        return self._head.is_mendable

    @property
    def findings(self) -> list[Finding]:
        return self._read.findings

    @property
    def symbols(self) -> Mapping[str, int]:
        return self._read.symbols

    @property
    def names_resolved(self) -> dict[str, str]:
        return self._read.names_resolved

    @property
    def contested(self) -> Hashes:
        return self._read.contested

    @property
    def places(self) -> ColumnPlaces:
        return self._read.places

    @property
    def _read(self) -> _Tail:
        assert self._tail is not None  # noqa: S101 - known once ``chunks`` is exhausted
        return self._tail


_CALLBACKS = ("populations", "others", "unit_code")
"""What a reader asks for while it reads, and only the process knows that may ask the database."""


def _read(
    channel: Channel, contract: Contract, path: Path, file_name: str, context: ReadingContext, known: frozenset[str]
) -> _Tail:
    """The whole life of a reader, in the process made for it."""
    from teilhabe.reading import open_reading as open_here

    asks: dict[str, Any] = {name: cache(partial(channel.ask, name)) for name in known}
    reading = open_here(contract, path, file_name, context=replace(context, **asks))
    reading.excluded = channel.ask("excluded", _Head(reading.layout_name, reading.is_mendable))
    for table in reading.chunks():
        channel.put(table)
    return _Tail(
        reading.findings,
        dict(reading.symbols),
        reading.names_resolved,
        reading.contested,
        reading.places,
        reading.excluded,
    )


def _no_unit(_name: str) -> None:
    return None


# ------------------------------------------------------------------------------------------------------------- one job


@dataclass(frozen=True)
class _Question:
    """What a job wants to know before it goes on; ``_Job.answer`` gives it."""

    name: str
    arguments: tuple[Any, ...]


class _Job:
    """Work in a process of its own, seen from here."""

    result: Any
    """What the work has returned, once ``step`` said that it is done."""

    def __init__(self, work: Callable[..., Any], arguments: tuple[Any, ...], file_name: str) -> None:
        self._limits = limits()
        self._file_name = file_name
        self._data, self._status = WAITING.begin()
        try:
            process.send(self._data, process.REQUEST, pickle.dumps((work, arguments, self._limits)))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the next message, which does not come, tells
        except BaseException:
            self.close()
            raise

    def step(self, answers: Mapping[str, Callable[..., Any]]) -> pa.Table | _Question | None:
        """The next table, or a question that ``answers`` has no answer to; None when the work is done."""
        while True:
            try:
                kind, content = process.receive(self._data, self._limits.memory_bytes)
            except MemoryError:
                raise self._too_costly(*self._memory()) from None
            if kind == process.TABLE:
                return pa.ipc.open_stream(pa.py_buffer(content)).read_all()
            if kind == process.QUESTION:
                name, arguments = pickle.loads(content)  # noqa: S301 - from our own process
                if name not in answers:
                    return _Question(name, arguments)
                self.answer(answers[name](*arguments))
            elif kind == process.RESULT:
                self.result = pickle.loads(content)  # noqa: S301 - from our own process
                return None
            elif kind == process.ERROR:
                raise pickle.loads(content)  # noqa: S301 - from our own process
            else:
                raise self._ended()

    def answer(self, value: Any) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the next message, which does not come, tells
            process.send(self._data, process.ANSWER, pickle.dumps(value))

    def close(self) -> None:
        """Nothing more is wanted: a job that still works ends when it wants to say something."""
        self._data.close()
        if self._status >= 0:
            os.close(self._status)
            self._status = -1

    def __del__(self) -> None:
        if hasattr(self, "_status"):
            self.close()

    def _ended(self) -> TeilhabeError:
        """What an end without a last word means."""
        told = os.read(self._status, process.STATUS.size)
        code = process.STATUS.unpack(told)[0] if len(told) == process.STATUS.size else None
        if code in (process.OUT_OF_MEMORY, -signal.SIGABRT):
            return self._too_costly(*self._memory())
        if code == -signal.SIGXCPU:
            seconds = self._limits.cpu_seconds
            return self._too_costly(
                f"mehr als {seconds} Sekunden Rechenzeit", f"höchstens {seconds} Sekunden Rechenzeit"
            )
        if code == -signal.SIGALRM:
            seconds = round(self._limits.seconds)
            return self._too_costly(f"mehr als {seconds} Sekunden", f"höchstens {seconds} Sekunden")
        if code in _CRASHES:
            return self._too_costly("ein Absturz des Programms, das sie liest", "eine Datei, die sich lesen lässt")
        return KilledError(f"The process that read a file was ended from outside (status {code}).")

    def _memory(self) -> tuple[str, str]:
        megabytes = self._limits.memory_bytes // _MB
        return f"mehr als {megabytes} MB Arbeitsspeicher", f"höchstens {megabytes} MB Arbeitsspeicher"

    def _too_costly(self, found: str, expected: str) -> ReadingError:
        return Report(self._file_name).error(
            TOO_COSTLY,
            f"Das Lesen der Datei braucht {found}; vorgesehen ist {expected}. Bitte nur die vereinbarte Tabelle als neue "
            "Datei speichern und senden.",
            found=found,
            expected=expected,
        )


_CRASHES = frozenset(-number for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL))


class _WaitingProcess:
    """The process whose children do the jobs: begun when the first is wanted, and again should it have ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def begin(self) -> tuple[socket.socket, int]:
        """A connection to a new job, and where its exit code can be read."""
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        try:
            with self._lock:
                for _ in range(2):
                    try:
                        socket.send_fds(self._running(), [b"J"], [theirs.fileno(), write_end])
                        break
                    except (BrokenPipeError, ConnectionResetError):
                        self.end()
        except BaseException:
            ours.close()
            os.close(read_end)
            raise
        finally:
            theirs.close()
            os.close(write_end)
        return ours, read_end

    @property
    def process_id(self) -> int | None:
        """Whose children do the jobs, for whoever watches what they take."""
        return self._process.pid if self._process else None

    def prepare(self) -> None:
        """Begin now what will be needed soon: its modules are read while this process does something else."""
        with self._lock:
            self._running()

    def end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.wait()
        self._process = self._control = None

    def forget(self) -> None:
        """After a fork: the waiting process belongs to the parent."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.returncode = 0  # it is not ours to wait for
        self.__init__()  # type: ignore[misc]

    def _running(self) -> socket.socket:
        if self._control is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own program
                    [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), json.dumps(_MODULES), json.dumps(sys.path)],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # what a parser says when it gives up may quote the file
                    env={**os.environ, **_ENVIRONMENT},
                )
            self._control = ours
        return self._control


_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""One thread in the process that forks; memory that is asked for when it is needed, for what is asked for is what counts."""

WAITING = _WaitingProcess()
prepare = WAITING.prepare
atexit.register(WAITING.end)
os.register_at_fork(after_in_child=WAITING.forget)
