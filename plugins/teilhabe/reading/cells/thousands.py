"""Numbers that were read as fractions and look like thousands: ``7.250`` in a file agreed to be English, ``7,250`` in a German one.

Nobody counts seven and a quarter offences, and nobody writes seven as ``7.000``. An average may be a fraction; it is
taken for one only where the file has others that cannot be thousands.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.columns.coded import coded, codes
from teilhabe.errors import EVIDENCE_LIMIT, Evidence
from teilhabe.reading.report import Report

_THOUSANDS = r"^-?[1-9]\d{0,2}\.\d{3}$"
_FRACTION = r"^-?(\d+\.(\d{1,2}|\d{4,})|0\.\d{3}|\d{4,}\.\d{3})$"


def like_thousands(values: pa.Array) -> pa.BooleanArray:
    """Which converted values are those this module tells of where a whole number is counted."""
    return pc.match_substring_regex(values, _THOUSANDS)


class Thousands:
    """Looks at every chunk as converted, where the decimal mark is a point; tells at the end of the file."""

    def __init__(self, mark: str, measure: str | None, counted: frozenset[str], numbered: frozenset[str]) -> None:
        self._mark = mark
        self._measure = measure
        self._counted = counted
        self._numbered = numbered
        self._fractions = False
        self._count = {True: 0, False: 0}
        self._evidence: dict[bool, list[tuple[str | None, Evidence]]] = {True: [], False: []}

    def see(self, table: pa.Table, sheet: str | None) -> None:
        values = coded(table["value"])
        texts = values.dictionary
        if not pc.any(pc.match_substring(texts, ".")).as_py():
            return
        like = self._rows(values, like_thousands(texts))
        averaged = self._among(table, self._numbered - self._counted)
        if not self._fractions and averaged.any():
            fractions = self._rows(values, pc.match_substring_regex(texts, _FRACTION))
            self._fractions = bool((fractions & averaged).any())
        for always, rows in ((True, like & self._among(table, self._counted)), (False, like & averaged)):
            where = np.flatnonzero(rows)
            self._count[always] += len(where)
            for at in where[: EVIDENCE_LIMIT - len(self._evidence[always])].tolist():
                column = str(table["_column_number"][at].as_py() or "") or None
                found = str(table["value"][at].as_py()).replace(".", self._mark)
                self._evidence[always].append((sheet, Evidence(table["_row_number"][at].as_py(), column, found)))

    def tell(self, report: Report) -> None:
        for always in (True, False):
            if not self._count[always] or (not always and self._fractions):
                continue
            sheet = self._evidence[always][0][0]
            report.rows(
                "critical",
                "value.ambiguous_thousands",
                f"„{{found}}“ sieht nach Tausendern aus, „{self._mark}“ ist aber als Dezimalzeichen vereinbart; "
                "Anzahlen bitte ohne Trennzeichen liefern",
                [evidence for where, evidence in self._evidence[always] if where == sheet],
                sheet=sheet,
                expected="eine ganze Zahl",
                count=self._count[always],
            )

    @staticmethod
    def _rows(values: pa.DictionaryArray, matches: pa.Array) -> npt.NDArray[np.bool_]:
        by_code = np.append(matches.to_numpy(zero_copy_only=False).astype(bool), False)
        return np.asarray(by_code[codes(values)])

    def _among(self, table: pa.Table, measures: frozenset[str]) -> npt.NDArray[np.bool_]:
        if "measure_code" not in table.column_names:
            return np.full(len(table), self._measure in measures)
        column = coded(table["measure_code"])
        return self._rows(column, pc.is_in(column.dictionary, pa.array(sorted(measures), pa.string())))
