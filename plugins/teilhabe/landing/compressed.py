"""How an object of the archive is kept: as a Zstandard file that ends with a frame of our own, which says both sizes.

Any program for Zstandard reads such a file and skips that frame (RFC 8878, 3.1.2). It is written last, so a file without it, or
of another length than it says, is torn; that is known without reading the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

SUFFIX = ".zst"
_FRAME = struct.Struct("<IIQQ")
_MAGIC = 0x184D2A57
"""Of a frame to be skipped; the last digit is ours."""
END_BYTES = _FRAME.size
_CHUNK_BYTES = 1 << 20


class TornError(ValueError):
    """The end of the file is missing, or something else."""


def write(chunks: Iterable[bytes], out: IO[bytes]) -> None:
    """Write ``chunks`` to ``out``, which stays open."""
    import pyarrow as pa

    counted = _Counting(out)
    size = 0
    with pa.CompressedOutputStream(pa.PythonFile(counted, mode="w"), "zstd") as stream:
        for chunk in chunks:
            stream.write(chunk)
            size += len(chunk)
    out.write(_FRAME.pack(_MAGIC, END_BYTES - 8, size, counted.written))


def read(stream: IO[bytes]) -> Iterator[bytes]:
    """The bytes as they were before; ``TornError`` as soon as it is known that not all of them come."""
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd") as plain:
            while chunk := plain.read(_CHUNK_BYTES):
                yield chunk
    except pa.ArrowInvalid as error:
        raise TornError(str(error)) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise TornError(str(error)) from error


def size(end: bytes, length: int) -> int:
    """Bytes before compression, by the last ``END_BYTES`` of a file of this length; ``TornError`` where these are not its end."""
    if len(end) == END_BYTES:
        magic, rest, plain, packed = _FRAME.unpack(end)
        if (magic, rest, packed) == (_MAGIC, END_BYTES - 8, length - END_BYTES):
            return int(plain)
    raise TornError("no end")


@dataclass
class _Counting:
    """A file for Arrow that counts what is written and is not closed with it."""

    out: IO[bytes]
    written: int = 0
    closed: bool = False

    def write(self, content: Any) -> int:
        self.out.write(content)
        self.written += len(content)
        return len(content)

    def flush(self) -> None:
        self.out.flush()

    def close(self) -> None:
        self.closed = True
