"""Columns as codes and the texts they stand for: what is done per text is done once, and rows are counted as integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Codes = npt.NDArray[np.int64]

_TABLE_LIMIT = 1 << 22
"""Combinations up to here are looked up in a table, beyond they are sorted."""


def coded(column: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """The column as int32 codes of texts; a missing text is a missing code, never an entry of the dictionary."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return _with(column, column.dictionary.is_valid()) if column.dictionary.null_count else column


def without_blanks(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """A text of nothing but white space is a missing text."""
    there = pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(column.dictionary)), 0)
    return column if pc.all(there).as_py() in (True, None) else _with(column, there)


def _with(column: pa.DictionaryArray, there: pa.BooleanArray) -> pa.DictionaryArray:
    """The column with only these texts of its dictionary; the others are missing."""
    number = pc.subtract(pc.cumulative_sum(there.cast(pa.int32())), pa.scalar(1, pa.int32()))
    renumbered = pc.if_else(there, number, pa.scalar(None, pa.int32()))
    return pa.DictionaryArray.from_arrays(renumbered.take(column.indices), column.dictionary.filter(there))


def constant(value: str | None, size: int) -> pa.DictionaryArray:
    """A column that says the same in every row."""
    if value is None:
        return pa.DictionaryArray.from_arrays(pa.nulls(size, pa.int32()), pa.array([], pa.string()))
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), size), pa.array([value]))


def plain(array: pa.Array) -> pa.Array:
    """Plain text of a column that may be coded."""
    return array.dictionary.take(array.indices) if pa.types.is_dictionary(array.type) else array


def filled(column: pa.DictionaryArray, text: str) -> pa.DictionaryArray:
    """``text`` where the column has none."""
    if not column.null_count:
        return column
    texts = pa.concat_arrays([column.dictionary, pa.array([text], column.dictionary.type)])
    return pa.DictionaryArray.from_arrays(_without_gaps(column.indices, len(texts) - 1), texts)


def codes(column: pa.DictionaryArray) -> npt.NDArray[np.int32]:
    """The codes; a missing text has the code behind the last."""
    return np.asarray(_without_gaps(column.indices, len(column.dictionary)).to_numpy(zero_copy_only=False))


def _without_gaps(indices: pa.Array, code: int) -> pa.Array:
    # A plain int would widen the codes to 64 bits: another type than that of the next chunk, which has no gaps.
    return pc.fill_null(indices, pa.scalar(code, indices.type))


@dataclass(frozen=True)
class Combinations:
    """Which texts occur together: ``parts[column][i]`` is the column's code in combination ``i``, ``rows`` the ``i`` of each row."""

    parts: tuple[Codes, ...]
    rows: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.parts[0])


def combinations(columns: Sequence[pa.DictionaryArray]) -> Combinations:
    """The distinct combinations of the columns' codes (``codes``), in no particular order."""
    shape = tuple(len(column.dictionary) + 1 for column in columns)
    size = int(np.prod(shape, dtype=object))
    key = codes(columns[0]) if size < 1 << 31 else codes(columns[0]).astype(np.int64)
    for column, length in zip(columns[1:], shape[1:], strict=True):
        key = key * length + codes(column)
    if size <= _TABLE_LIMIT:
        there = np.zeros(size, dtype=bool)
        there[key] = True
        used = np.flatnonzero(there)
        place = np.empty(size, dtype=np.int32)
        place[used] = np.arange(len(used), dtype=np.int32)
        rows = place[key]
    else:
        used, inverse = np.unique(key, return_inverse=True)
        rows = inverse.astype(np.int32)
    return Combinations(tuple(part.astype(np.int64) for part in np.unravel_index(used, shape)), rows)


def texts(column: pa.DictionaryArray) -> list[str | None]:
    """The texts by code, the missing one last."""
    return [*column.dictionary.to_pylist(), None]
