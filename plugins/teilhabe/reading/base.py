"""What every reader shares: recognising the layout, the shape of the result, and the checks on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.contracts import GROUP_COLUMNS, Contract, SymbolRules
from teilhabe.errors import EVIDENCE_LIMIT, Evidence, Finding
from teilhabe.reading import symbols
from teilhabe.reading.coded import coded, constant
from teilhabe.reading.duplicates import DuplicateRows
from teilhabe.reading.guard import guarded
from teilhabe.reading.report import Report
from teilhabe.reading.source import Source
from teilhabe.reading.territory import CODE

CHUNK_ROWS = 250_000

Columns = dict[str, pa.Array]
"""Columns of a chunk by name; ``_row_number`` and ``_column_number`` among them."""


@dataclass(frozen=True)
class ReadingContext:
    """What is known about a delivery beside its bytes."""

    received_at: datetime | None = None
    period: str | None = None
    """Period named at hand-in, for files that do not name it; must not contradict the file."""
    populations: Callable[[], dict[str, dict[str, float]]] | None = None
    """Reference year -> county -> population, to recognise the year of a file of rates."""
    sender: str | None = None
    """Territory code of the municipality that sent the file, where the contract names senders and it is known."""
    others: Callable[[], dict[str, Contract]] | None = None
    """All contracts, asked after a refusal only: to which dataset does the file belong?"""


class Reading(ABC):
    """A delivered file as a tidy table; ``findings`` is complete once ``chunks`` is exhausted."""

    def __init__(self, contract: Contract, layout: Any, source: Source, context: ReadingContext) -> None:
        self.contract = contract
        self.layout = layout
        self.source = source
        self.context = context
        self.report: Report = source.report

    @classmethod
    @abstractmethod
    def refuses(cls, layout: Any, source: Source) -> str | None:
        """None when the bytes look like this layout, else what was found instead (part of a German sentence)."""

    @abstractmethod
    def _tidy(self) -> Iterator[Columns]:
        """Chunks of columns; ``value`` still as delivered only if the reader has converted it itself."""

    @property
    def layout_name(self) -> str:
        return str(self.layout.name)

    @property
    def findings(self) -> list[Finding]:
        return self.report.findings

    @property
    def rules(self) -> SymbolRules:
        return self.layout.symbols or self.contract.symbols

    def chunks(self) -> Iterator[pa.Table]:
        """Tables of the contract's columns in its order, plus ``_row_number`` and ``_column_number``.

        All columns of the contract are texts, dictionary-coded: whoever works on them does so once per text.
        """
        return guarded(self._checked_chunks(), self)

    def _checked_chunks(self) -> Iterator[pa.Table]:
        duplicates = DuplicateRows(self.contract, self.report)
        rows = 0
        for columns in self._tidy():
            self._check_territory(columns)
            self._check_period(columns)
            table = duplicates.drop(self._conform(columns))
            rows += len(table)
            if len(table):
                yield table
        if not rows:
            raise self.report.error(
                "file.no_rows", "Die Datei enthält keine einzige Datenzeile.", found="0 Zeilen", expected="Datenzeilen"
            )

    def _conform(self, columns: Columns) -> pa.Table:
        size = len(columns["_row_number"])
        arrays = []
        for name in self.contract.column_names:
            default = "total" if name in GROUP_COLUMNS else None
            column = columns.get(name)
            arrays.append(constant(default, size) if column is None else coded(column))
        arrays += [columns["_row_number"].cast(pa.int32()), columns["_column_number"].cast(pa.int32())]
        return pa.Table.from_arrays(arrays, names=[*self.contract.column_names, "_row_number", "_column_number"])

    def convert(
        self, cells: pa.Array, row_numbers: pa.Array, column_name: str | Callable[[int], str]
    ) -> symbols.Converted:
        """Cells -> values; text in a number column becomes one critical finding, and the value null."""
        converted = symbols.convert(cells, self.rules, self.layout.numbers)
        bad = pc.indices_nonzero(converted.bad)
        if len(bad):
            first = bad.slice(0, EVIDENCE_LIMIT).to_pylist()
            name = column_name if callable(column_name) else lambda _: str(column_name)
            self.report.rows(
                "critical",
                "value.not_a_number",
                "„{found}“ ist keine Zahl und kein vereinbartes Zeichen",
                [Evidence(row_numbers[i].as_py(), name(i), cells[i].as_py()) for i in first],
                expected="eine Zahl oder ein vereinbartes Zeichen",
                count=len(np.unique(row_numbers.take(bad).to_numpy())),
            )
        return converted

    def _check_territory(self, columns: Columns) -> None:
        codes = columns.get("territory_code")
        if codes is None or not self.contract.is_observation:
            return
        coded = codes.dictionary_encode()
        wrong = [bool(code is None or not CODE.fullmatch(code)) for code in coded.dictionary.to_pylist()]
        if not any(wrong) and not codes.null_count:
            return
        mask = pc.fill_null(pa.array(wrong, pa.bool_()).take(coded.indices), True)
        where = pc.indices_nonzero(mask)
        if len(where):
            evidence = [
                Evidence(columns["_row_number"][i].as_py(), "Gebietsschlüssel", codes[i].as_py())
                for i in where.slice(0, EVIDENCE_LIMIT).to_pylist()
            ]
            self.report.rows(
                "critical",
                "key.invalid",
                "„{found}“ ist kein amtlicher Gebietsschlüssel",
                evidence,
                column="Gebietsschlüssel",
                expected="DG oder 2, 3, 5, 8, 9 oder 12 Ziffern",
                count=len(where),
            )

    def _check_period(self, columns: Columns) -> None:
        """A period named at hand-in must not contradict the file."""
        if self.context.period is None or "period_code" not in columns:
            return
        other = [code for code in pc.unique(columns["period_code"]).to_pylist() if code != self.context.period]
        if other:
            raise self.report.error(
                "period.contradiction",
                f"Die Datei ist für {other[0]}, angekündigt wurde {self.context.period}.",
                found=other[0],
                expected=self.context.period,
            )


def repeat(value: str | None, size: int) -> pa.Array:
    """A column that says the same in every row."""
    return pa.nulls(size, pa.string()) if value is None else pa.repeat(value, size)
