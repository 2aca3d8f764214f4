"""Columns as codes, lines for COPY, and chunks made ahead: the same rows come out as went in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pyarrow as pa
import pytest

from teilhabe.columns.ahead import read_ahead
from teilhabe.columns.coded import coded, combinations, filled, texts
from teilhabe.raw import loading


def test_a_missing_text_is_a_missing_code_wherever_it_was_missing() -> None:
    codes = pa.array([0, 1, None, 2], pa.int32())
    in_dictionary = pa.DictionaryArray.from_arrays(codes, pa.array(["a", None, "b"]))
    column = coded(in_dictionary)
    assert column.to_pylist() == ["a", None, None, "b"]
    assert column.null_count == 2
    assert column.dictionary.to_pylist() == ["a", "b"], "a text that no row has could be taken for a delivered one"
    assert filled(column, "total").to_pylist() == ["a", "total", "total", "b"]
    assert filled(column, "total").type == column.type == in_dictionary.type, (
        "chunks with and without gaps are of one type"
    )


def test_combinations_know_every_pair_and_its_rows() -> None:
    one, two = coded(pa.array(["x", "x", None, "y"])), coded(pa.array(["1", "2", "1", None]))
    found = combinations([one, two])
    pairs = [(texts(one)[a], texts(two)[b]) for a, b in zip(*(p.tolist() for p in found.parts), strict=True)]
    assert [pairs[n] for n in found.rows.tolist()] == [("x", "1"), ("x", "2"), (None, "1"), ("y", None)]
    assert len(found) == 4


def test_the_lines_for_copy_are_csv_whatever_stands_in_a_text() -> None:
    names = ["plain", 'a "quoted" one', None, "two\nlines", "semi;colon", "ümlaut", "unit\x1fseparator"]
    values = ["1", None, "2", "3", "3", "3", "1"]
    table = pa.table(
        {
            "territory_name": pa.array(names),
            "value": pa.array(values),
            "_row_number": pa.array(range(2, 9), pa.int32()),
            "_column_number": pa.array([3] * 7, pa.int32()),
        }
    )
    block = loading._encode(table, ["_delivery_id", "_row_number", "_column_number", "territory_name", "value"], 7)
    rows = list(csv.reader(io.StringIO(bytes(block.data).decode(), newline=""), delimiter="\x1f"))
    assert block.rows == 7
    assert rows == [
        ["7", str(number), "3", name or "", value or ""]
        for number, name, value in zip(range(2, 9), names, values, strict=True)
    ]


def test_items_made_ahead_arrive_in_order_and_an_error_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("broken")

    seen: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        seen.extend(read_ahead(items(), 1))
    assert seen == list(range(5))


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    import threading

    ahead = read_ahead(iter(range(1000)), 2)
    assert next(ahead) == 0
    ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "teilhabe-ahead"]
