"""The processes in which foreign bytes are opened: one that waits, and a child of it per job, with limits of its own.

The waiting process has read all modules and does nothing else, so a job costs a fork and no start of an interpreter; it has
one thread and no connection to anything, so a fork is safe. A job's child ends when its limits do, when nobody listens to
it any more, and when the waiting process ends; that one ends with the process it was started by.
"""

from __future__ import annotations

import array
import json
import os
import pickle
import resource
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from teilhabe.system.parent import end_with

if TYPE_CHECKING:
    import pyarrow as pa

HEADER = struct.Struct("<cQ")
"""Before every message: its kind and the length of what follows."""
REQUEST, RESULT, ERROR, TABLE, QUESTION, ANSWER = b"J", b"R", b"E", b"T", b"Q", b"A"
STATUS = struct.Struct("<i")

OUT_OF_MEMORY = 77
"""Exit code of a child that was refused memory and could say so."""

_PAGE_BYTES = 4096


class AbandonedError(Exception):
    """Whoever asked for the work does not listen any more."""


@dataclass(frozen=True)
class Limits:
    """What one job may take, beside what the waiting process has taken already."""

    memory_bytes: int
    cpu_seconds: int
    seconds: float
    """By the clock, without the time in which the job waits for whoever takes its results."""


class Channel:
    """A job's way to whoever asked for it: tables as they come, questions that only the other side can answer."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._left = seconds

    def run(self) -> None:
        """The clock runs; the default action of its signal ends the process wherever it is, also within a parser."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, max(self._left, 0.001))

    def pause(self) -> None:
        self._left, _ = signal.setitimer(signal.ITIMER_REAL, 0)

    def put(self, table: pa.Table) -> None:
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        self.send(TABLE, sink.getvalue())

    def ask(self, name: str, *arguments: Any) -> Any:
        """What the other side knows by this name; its errors are raised there and end the job here."""
        self.send(QUESTION, pickle.dumps((name, arguments)))
        self.pause()
        try:
            kind, content = receive(self._connection)
        finally:
            self.run()
        if kind != ANSWER:
            raise AbandonedError
        return pickle.loads(content)  # noqa: S301 - from our own process

    def send(self, kind: bytes, content: Any) -> None:
        self.pause()
        try:
            send(self._connection, kind, content)
        except (BrokenPipeError, ConnectionResetError):
            raise AbandonedError from None
        finally:
            self.run()


def send(connection: socket.socket, kind: bytes, content: Any) -> None:
    view = memoryview(content).cast("B")
    connection.sendall(HEADER.pack(kind, len(view)))
    connection.sendall(view)


def receive(connection: socket.socket, limit: int | None = None) -> tuple[bytes, memoryview]:
    """The next message; kind ``b""`` where there is none. ``MemoryError`` where it is longer than ``limit``."""
    header = _exactly(connection, HEADER.size)
    if header is None:
        return b"", memoryview(b"")
    kind, length = HEADER.unpack(header)
    if limit is not None and length > limit:
        raise MemoryError
    content = _exactly(connection, length)
    return (b"", memoryview(b"")) if content is None else (kind, content)


def _exactly(connection: socket.socket, length: int) -> memoryview | None:
    content = memoryview(bytearray(length))
    at = 0
    while at < length:
        try:
            got = connection.recv_into(content[at:])
        except ConnectionResetError:
            return None
        if not got:
            return None
        at += got
    return content


def main() -> None:
    """Waits for jobs on the socket named as the first argument until it is closed."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in json.loads(sys.argv[2]):
        import_module(name)
    # A key pressed at a terminal reaches every process of its group; whoever started this one decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    os.set_blocking(read_end, False)
    signal.signal(signal.SIGCHLD, _nothing)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    tells: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(read_end, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == read_end:
                    os.read(read_end, _PAGE_BYTES)
                elif not _start(control, tells, (read_end, write_end)):
                    for child in tells:
                        os.kill(child, signal.SIGKILL)
                    os._exit(0)
            _reap(tells)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """That the signal came is all there is to know."""


def _start(control: socket.socket, tells: dict[int, int], own: tuple[int, int]) -> bool:
    """Begins one job; False when there will be none."""
    # As socket.recv_fds, which does not say that descriptors are closed in programs a job may start.
    message, ancillary, _, _ = control.recvmsg(1, socket.CMSG_SPACE(2 * array.array("i").itemsize))
    if not message:
        return False
    descriptors = array.array("i")
    for _, _, content in ancillary:
        descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    data, status = descriptors
    waiting = os.getpid()
    child = os.fork()
    if not child:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        for descriptor in (*own, status, *tells.values()):
            os.close(descriptor)
        _work(socket.socket(fileno=data), waiting)
    os.close(data)
    tells[child] = status
    return True


def _reap(tells: dict[int, int]) -> None:
    while tells:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        if (tell := tells.pop(child, None)) is not None:
            with suppress(BrokenPipeError):  # nobody wants to know
                os.write(tell, STATUS.pack(os.waitstatus_to_exitcode(status)))
            os.close(tell)


def _work(connection: socket.socket, parent: int) -> NoReturn:
    code = 1
    try:
        end_with(parent)
        code = _job(connection)
    except MemoryError:
        code = OUT_OF_MEMORY
    except AbandonedError:
        code = 0
    finally:
        # Neither finalizers nor buffers of the process this one is a copy of.
        os._exit(code)


def _job(connection: socket.socket) -> int:
    kind, content = receive(connection)
    if kind != REQUEST:
        return 0
    work: Callable[..., Any]
    work, arguments, limits = pickle.loads(content)  # noqa: S301 - from our own process
    _limit(limits)
    channel = Channel(connection, limits.seconds)
    channel.run()
    try:
        result = pickle.dumps(work(channel, *arguments))
    except (MemoryError, AbandonedError):
        raise
    except BaseException as error:
        if _is_about_memory(error):
            raise MemoryError from None
        channel.send(ERROR, _pickled(error))
        return 0
    channel.send(RESULT, result)
    return 0


def _is_about_memory(error: BaseException) -> bool:
    """Arrow has a type of its own, the system a number, and both may be the cause of what a reader made of them."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or (isinstance(seen, OSError) and seen.errno == 12):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _pickled(error: BaseException) -> bytes:
    try:
        content = pickle.dumps(error)
        pickle.loads(content)  # noqa: S301 - our own
    except Exception:
        # Only the type: the text of an unforeseen error may quote a file.
        return pickle.dumps(RuntimeError(type(error).__name__))
    return content


def _limit(limits: Limits) -> None:
    taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + limits.memory_bytes,) * 2)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + limits.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
