"""Judging texts instead of rows: what an expectation says about a single text it says about every row with that text.

Of the texts of a column only those are shown to Great Expectations that decide and are not known yet. Texts found good are
remembered for the life of the process: of a run's many small files only the first is shown in full.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from teilhabe.columns.coded import Codes
    from teilhabe.validation.expectation_runs import Expectation

_KNOWN_LIMIT = 20_000
"""Distinct texts of a column that are remembered as good; a column with more is judged anew in every chunk."""
NOT_NULL = "expect_column_values_to_not_be_null"
_ABOUT_ONE_TEXT = frozenset({
    "expect_column_values_to_be_between",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_not_be_in_set",
    NOT_NULL,
    "expect_column_values_to_match_regex",
    "expect_column_values_to_not_match_regex",
    "expect_column_value_lengths_to_be_between",
    "expect_column_value_lengths_to_equal",
})  # fmt: skip
"""Expectations whose answer for a row depends on nothing but the text in one column."""


def is_about_one_text(expectation: Expectation) -> bool:
    if expectation.column == "value" and expectation.type not in ("expect_column_values_to_be_between", NOT_NULL):
        return False  # a number, of which these see no text
    return expectation.type in _ABOUT_ONE_TEXT and "row_condition" not in expectation.kwargs


class _Memory:
    """What expectations have found good in this process: texts, and ranges of numbers. Keyed by type and all arguments."""

    def __init__(self) -> None:
        self.texts: dict[str, set[str | None]] = {}
        self.ranges: dict[str, tuple[float, float]] = {}

    def forget(self) -> None:
        self.texts.clear()
        self.ranges.clear()


memory = _Memory()


@dataclass(frozen=True)
class Witnesses:
    """The few values of a column that decide whether an expectation holds for all of them.

    Whether a column has no gaps one gap decides, whether numbers lie between bounds the smallest and the largest decide;
    for anything else it takes every distinct text, less those known to be good or bad.
    """

    column: str
    key: str
    array: pa.DictionaryArray
    values: pa.Array
    codes: Codes
    """Of ``values``; the missing text has the code behind the last."""
    known_bad: Codes
    bounds: tuple[float, float] | None = None

    @classmethod
    def of(cls, expectation: Expectation, array: pa.DictionaryArray, bad: Collection[str | None]) -> Witnesses:
        import numpy as np
        import pyarrow as pa

        column = expectation.kwargs["column"]
        key = identity(expectation)
        known = memory.texts.get(key, set())
        none = np.empty(0, np.int64)
        if expectation.type == "expect_column_values_to_be_between" and column == "value":
            values, bounds = _bounds(array.dictionary, memory.ranges.get(key))
            return cls(column, key, array, values, none, none, bounds)
        texts: list[str | None] = array.dictionary.to_pylist()
        if expectation.type == NOT_NULL:
            texts = [] if known else texts[:1]  # one text is as good as any other
        missing = len(array.dictionary)
        places = [*enumerate(texts), *([(missing, None)] if array.null_count else [])]
        left = [(code, text) for code, text in places if text not in known and text not in bad]
        return cls(
            column,
            key,
            array,
            pa.array([text for _, text in left], pa.string()),
            np.array([code for code, _ in left], np.int64),
            np.array([code for code, text in places if text in bad], np.int64),
        )

    def all_texts(self) -> tuple[pa.Array, Codes]:
        """What is to be judged where the witnesses do not satisfy, and its codes."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if self.bounds is None:
            return self.values, self.codes
        return pc.cast(self.array.dictionary, pa.float64()), np.arange(len(self.array.dictionary))

    @property
    def are_known(self) -> bool:
        return not len(self.values)

    def remember(self) -> None:
        if self.bounds is not None:
            remember_range(self.key, self.bounds)
            return
        known = memory.texts.setdefault(self.key, set())
        if len(known) + len(self.values) <= _KNOWN_LIMIT:
            known.update(self.values.to_pylist())


def _bounds(texts: pa.Array, known: tuple[float, float] | None) -> tuple[pa.Array, tuple[float, float]]:
    """The smallest and the largest of these numbers, also as an array; an empty one where others beyond them were good."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.min_max(pc.cast(texts, pa.float64())).as_py()
    bounds = (found["min"], found["max"])
    if not len(texts) or is_within(bounds, known):
        return pa.array([], pa.float64()), bounds
    return pa.array(bounds, pa.float64()), bounds


def remember_range(key: str, bounds: tuple[float, float]) -> None:
    """Two numbers between bounds: so is every number between the two."""
    old = memory.ranges.get(key, bounds)
    memory.ranges[key] = (min(old[0], bounds[0]), max(old[1], bounds[1]))


def is_within(bounds: tuple[float, float], known: tuple[float, float] | None) -> bool:
    return known is not None and known[0] <= bounds[0] and bounds[1] <= known[1]


def identity(expectation: Expectation) -> str:
    return f"{expectation.type} {json.dumps(dict(expectation.kwargs), sort_keys=True)}"


def side_by_side(witnesses: Sequence[Witnesses]) -> pd.DataFrame:
    """The values to be judged, one column each; the shorter ones repeat a value, which changes nobody's verdict."""
    import pyarrow as pa

    values: dict[str, pa.Array] = {}
    for one in witnesses:
        there = values.get(one.column)
        values[one.column] = one.values if there is None else _either(there, one.values)
    length = max(map(len, values.values()))
    padded = {
        name: pa.concat_arrays([array, pa.repeat(array[0], length - len(array))]) if len(array) < length else array
        for name, array in values.items()
    }
    frame: pd.DataFrame = pa.table(padded).to_pandas(
        categories=[name for name, array in padded.items() if pa.types.is_string(array.type)]
    )
    return frame


def _either(one: pa.Array, other: pa.Array) -> pa.Array:
    """The values of both; what must be a number for one expectation is one for the other."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if one.type != other.type:
        one, other = pc.cast(one, pa.float64()), pc.cast(other, pa.float64())
    return pa.concat_arrays([one, other]).unique()
