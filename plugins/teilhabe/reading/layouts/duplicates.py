"""The same key twice in one delivery: an exact repetition is dropped, a contradiction is critical."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from teilhabe.codes.wording import code_words, spell_period
from teilhabe.columns.bytewise import hashes
from teilhabe.columns.coded import coded, codes
from teilhabe.contract.model import Contract
from teilhabe.errors import EVIDENCE_LIMIT, Evidence
from teilhabe.reading.report import Report

Hashes = npt.NDArray[np.uint64]

_PRIME = np.uint64(0x9E3779B97F4A7C15)
_MISSING = np.uint64(0xD1B54A32D192ED03)


class DuplicateRows:
    """Remembers 16 bytes per row (a hash of the key, a hash of the rest), across chunks."""

    def __init__(self, contract: Contract, report: Report) -> None:
        self._contract = contract
        self._key = contract.unique_key
        self._rest = [name for name in contract.column_names if name not in self._key]
        self._report = report
        self._seen: list[tuple[Hashes, Hashes]] = []
        self._contested: list[Hashes] = []

    @property
    def contested(self) -> Hashes:
        """Hashes of the keys about which rows said different things."""
        return np.concatenate([*self._contested, np.empty(0, np.uint64)])

    def drop(self, table: pa.Table, sheet: str | None = None) -> pa.Table:
        """``table`` without rows whose key was there before; the findings say which, on which sheet."""
        if not len(table):
            return table
        keys, rest = key_hashes(table, self._key), key_hashes(table, self._rest)
        order = np.argsort(keys)
        if (keys[order][1:] == keys[order][:-1]).any():
            order = np.argsort(keys, kind="stable")  # slower; the first of several must come first
        keys, rest = keys[order], rest[order]

        repeated = np.zeros(len(keys), dtype=bool)
        exact = np.zeros(len(keys), dtype=bool)
        repeated[1:] = keys[1:] == keys[:-1]
        if repeated.any():
            first_of_run = np.maximum.accumulate(np.where(repeated, 0, np.arange(len(keys))))
            exact = repeated & (rest == rest[first_of_run])
        for seen_keys, seen_rest in self._seen:
            at = np.minimum(np.searchsorted(seen_keys, keys), len(seen_keys) - 1)
            hit = (seen_keys[at] == keys) & ~repeated
            exact |= hit & (seen_rest[at] == rest)
            repeated |= hit
        fresh = ~repeated
        self._remember(keys[fresh], rest[fresh])
        if not repeated.any():
            return table

        self._contested.append(np.unique(keys[repeated & ~exact]))
        numbers = table["_row_number"].to_numpy()
        position = np.sort(order[repeated & exact])
        # Of a row that says something else in one of its numbers the others are not told apart.
        position = position[~np.isin(numbers[position], numbers[order[repeated & ~exact]])]
        self._tell(
            table,
            position,
            "warning",
            "row.exact_duplicate",
            "dieselbe Zeile steht schon weiter oben; sie zählt nur einmal",
            sheet,
        )
        position = np.sort(order[repeated & ~exact])
        self._tell(
            table,
            position,
            "critical",
            "row.duplicate_key",
            "zu „{found}“ steht weiter oben schon ein anderer Wert",
            sheet,
        )
        keep = np.ones(len(table), dtype=bool)
        keep[order[repeated & exact]] = False
        return table.filter(pa.array(keep))

    def _tell(
        self,
        table: pa.Table,
        positions: npt.NDArray[np.intp],
        severity: str,
        rule: str,
        sentence: str,
        sheet: str | None,
    ) -> None:
        if not len(positions):
            return
        some = table.take(pa.array(positions[:EVIDENCE_LIMIT])).to_pylist()
        evidence = [
            Evidence(
                row["_row_number"],
                # Of a cell of a sheet that says another number; a row that is there twice is named as a whole.
                str(row["_column_number"]) if sheet and severity == "critical" and row["_column_number"] else None,
                " / ".join(self._in_words(name, str(row[name])) for name in self._key if row[name] != "total"),
                column_number=row["_column_number"] or None,
            )
            for row in some
        ]
        self._report.rows(severity, rule, sentence, evidence, sheet=sheet, count=len(positions))  # type: ignore[arg-type]

    def _in_words(self, name: str, code: str) -> str:
        from teilhabe.validation.observations import catalogue

        if name == "period_code":
            return spell_period(code)
        measures = catalogue(self._contract.path.parents[2]) if name == "measure_code" else {}
        return measures[code].name_de if code in measures else code_words(name, code)

    def _remember(self, keys: Hashes, rest: Hashes) -> None:
        """Sorted runs of growing size, merged like a binary counter: n log n in all, few runs to search."""
        while self._seen and len(self._seen[-1][0]) <= 2 * len(keys):
            other_keys, other_rest = self._seen.pop()
            keys, rest = np.concatenate([other_keys, keys]), np.concatenate([other_rest, rest])
            order = np.argsort(keys, kind="stable")
            keys, rest = keys[order], rest[order]
        if len(keys):
            self._seen.append((keys, rest))


def key_hashes(table: pa.Table, names: list[str]) -> Hashes:
    """A number per row that is the same where these columns say the same, in whatever chunk or reading."""
    total = np.zeros(len(table), dtype=np.uint64)
    for name in names:
        column = coded(table.column(name))
        by_code = np.append(hashes(column.dictionary), _MISSING)
        total ^= by_code[codes(column)]
        total *= _PRIME
    return total
