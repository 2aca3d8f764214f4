"""Rows of a file that are not taken over: which they are, what stood in them, and what is left beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.codes.groups import GROUP_COLUMNS
from teilhabe.codes.wording import LEVELS, spell_period
from teilhabe.errors import Place
from teilhabe.reading.cells.keys import level_of
from teilhabe.reading.layouts.duplicates import Hashes, key_hashes

_WHAT = ("measure_code", *GROUP_COLUMNS)
_TALLIED = ("period_code", "_column_number", "territory_code", *_WHAT)


@dataclass(frozen=True)
class ExcludedRow:
    """One row of the tidy table that was left out, as it was read."""

    place: Place
    content: dict[str, str | None]
    is_contested: bool = False
    """Left out because another row says something else about the same thing."""


@dataclass
class RowsExcluded:
    """Leaves rows out of the chunks of a reading and remembers them.

    ``contested`` are hashes of keys about which the file says different things: none of their rows is taken.
    """

    places: Collection[Place]
    contested: Hashes | None = None
    rows: list[ExcludedRow] = field(default_factory=list)
    met: set[tuple[str | None, int]] = field(default_factory=set)
    """Rows of the file with a place in them that were met, whether the place was found or not."""
    _before: Counter[tuple[str, str]] = field(default_factory=Counter)
    _after: Counter[tuple[str, str]] = field(default_factory=Counter)
    _numbers: dict[str | None, npt.NDArray[np.int64]] = field(default_factory=dict)

    def take_out(self, table: pa.Table, key: list[str], sheet: str | None) -> pa.Table:
        """The table without the rows that are held back."""
        self._tally(table, self._before)
        out = self._among(table, sheet)
        contested = np.zeros(len(table), dtype=bool)
        if self.contested is not None and len(self.contested):
            contested = np.isin(key_hashes(table, key), self.contested) & ~out
        out |= contested
        if out.any():
            for row, is_contested in zip(table.filter(pa.array(out)).to_pylist(), contested[out].tolist(), strict=True):
                number, column = row.pop("_row_number"), row.pop("_column_number")
                row.pop("_sheet", None)
                self.rows.append(ExcludedRow(Place(sheet, number, column or None), row, is_contested))
            table = table.filter(pa.array(~out))
        self._tally(table, self._after)
        return table

    def lost(self) -> str | None:
        """What of the file is left out as a whole, in German; None where the rest can stand for itself."""
        total = self._before["", ""]
        if 2 * (total - self._after["", ""]) > total:
            return "mehr als die Hälfte der Zeilen"
        for (name, which), count in self._before.items():
            if count == 1 or self._after[name, which]:
                continue
            if name not in _WHAT:
                return _WORDS[name](which)
            # In the row of one territory it is a slip, in those of several it is how the table was made.
            if len({row.content.get("territory_code") for row in self.rows if row.content.get(name) == which}) > 1:
                return f"die Ausprägung „{which}“"
        return None

    def _among(self, table: pa.Table, sheet: str | None) -> npt.NDArray[np.bool_]:
        if sheet not in self._numbers:
            own = {place.row for place in self.places if place.sheet == sheet}
            self._numbers[sheet] = np.array(sorted(own), dtype=np.int64)
        rows = table["_row_number"].to_numpy()
        out = np.isin(rows, self._numbers[sheet])
        if out.any():
            where = np.flatnonzero(out)
            self.met |= {(sheet, int(row)) for row in rows[where]}
            columns = table["_column_number"].to_numpy()
            out[where] = [
                Place(sheet, int(rows[at]), None) in self.places
                or Place(sheet, int(rows[at]), int(columns[at]) or None) in self.places
                for at in where
            ]
        return np.asarray(out)

    @staticmethod
    def _tally(table: pa.Table, counter: Counter[tuple[str, str]]) -> None:
        counter["", ""] += len(table)
        for name in _TALLIED:
            if name not in table.column_names:
                continue
            for entry in pc.value_counts(table[name].combine_chunks()).to_pylist():
                value = entry["values"]
                if name == "territory_code":
                    value = level_of(value or "")
                if value:
                    counter[name, str(value)] += entry["counts"]


_WORDS: dict[str, Callable[[str], str]] = {
    "period_code": lambda code: f"der Zeitraum {spell_period(code)}",
    "_column_number": lambda number: f"die Spalte {number}",
    "territory_code": lambda level: f"die Gebietsebene {LEVELS[level]}",
}
