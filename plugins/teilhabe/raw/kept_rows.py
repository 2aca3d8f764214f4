"""What was read for a verdict, kept until it is loaded: the next step of the same process need not read the file again.

A shortcut only: where nothing is kept (another process loads, rows are left out, the disk is full), the file is read anew from
the archive and says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class KeptRows:
    """A file in a folder for bytes in passing, one Arrow stream per chunk: the chunks of one reading have their own texts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_complete = False

    def keep(self, chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """``chunks`` as they are; they are what is kept once the last of them was taken."""
        import pyarrow as pa

        self.drop()
        try:
            file: pa.OSFile | None = pa.OSFile(str(self._path), "wb")
        except OSError:
            file = None
        try:
            for chunk in chunks:
                file = _written(chunk, file)
                yield chunk
            self._is_complete = file is not None
        finally:
            if file is not None:
                file.close()
            if not self._is_complete:
                self.drop()

    def chunks(self) -> Iterator[pa.Table] | None:
        """What was kept; None when nothing was."""
        return self._chunks() if self._is_complete else None

    def _chunks(self) -> Iterator[pa.Table]:
        import pyarrow as pa

        with pa.OSFile(str(self._path), "rb") as file:
            while file.tell() < file.size():
                with pa.ipc.open_stream(file) as stream:
                    yield stream.read_all()

    def drop(self) -> None:
        self._is_complete = False
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def _written(chunk: pa.Table, file: pa.OSFile | None) -> pa.OSFile | None:
    """``file`` with this chunk behind the others; None where it cannot be written."""
    import pyarrow as pa

    if file is None:
        return None
    try:
        with pa.ipc.new_stream(file, chunk.schema) as stream:
            stream.write_table(chunk)
    except OSError:
        file.close()
        return None
    return file
