"""What judging has read is loaded as it was read; whatever was not read to its end, or could not be written, is not there."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from teilhabe.raw.kept_rows import KeptRows


def chunk(*texts: str | None) -> pa.Table:
    return pa.table({"text": pa.array(texts, pa.string()).dictionary_encode(), "_row_number": range(len(texts))})


CHUNKS = [chunk("a", None, "a"), chunk("ü", "\n"), chunk("a")]


def test_chunks_come_back_as_they_were(tmp_path: Path) -> None:
    kept = KeptRows(tmp_path / "1.rows")
    assert list(kept.keep(CHUNKS)) == CHUNKS
    for _ in range(2):
        assert list(kept.chunks() or ()) == CHUNKS
    kept.drop()
    assert kept.chunks() is None
    assert not list(tmp_path.iterdir())


def test_a_second_reading_stands_instead_of_the_first(tmp_path: Path) -> None:
    kept = KeptRows(tmp_path / "1.rows")
    list(kept.keep(CHUNKS))
    list(kept.keep(CHUNKS[1:2]))
    assert list(kept.chunks() or ()) == CHUNKS[1:2]


def test_what_was_not_read_to_its_end_is_not_kept(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.Table]:
        yield CHUNKS[0]
        raise ValueError("refused")

    kept = KeptRows(tmp_path / "1.rows")
    list(kept.keep(CHUNKS))
    with pytest.raises(ValueError, match="refused"):
        list(kept.keep(broken()))
    assert kept.chunks() is None
    assert not list(tmp_path.iterdir())
    started = kept.keep(CHUNKS)
    next(started)
    started.close()  # type: ignore[attr-defined]
    assert kept.chunks() is None


def test_a_place_that_is_not_there_stops_no_reading(tmp_path: Path) -> None:
    kept = KeptRows(tmp_path / "nowhere" / "1.rows")
    assert list(kept.keep(CHUNKS)) == CHUNKS
    assert kept.chunks() is None


def test_a_full_disk_stops_no_reading(tmp_path: Path) -> None:
    """As far as a process can be told that there is no more room: its files must not become larger."""
    kept = KeptRows(tmp_path / "1.rows")
    large = chunk(*map(str, range(50_000)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        read = list(kept.keep([CHUNKS[0], large, CHUNKS[1]]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read == [CHUNKS[0], large, CHUNKS[1]]
    assert kept.chunks() is None
    assert not list(tmp_path.iterdir())
