"""Where the columns of the contract stand in the file, and what the file calls them: so that a finding can name the cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from teilhabe.errors import Evidence


@dataclass
class ColumnPlaces:
    """Filled while the file is read. Columns are counted from 1, in a workbook within their sheet."""

    headers: dict[int, str] = field(default_factory=dict)
    """Of a text file: its own headers."""
    _numbers: dict[tuple[str | None, str], int] = field(default_factory=dict)

    def put(self, sheet: str | None, name: str, position: int) -> None:
        """``name`` of the contract stands at ``position`` (from 0)."""
        self._numbers[sheet, name] = position + 1

    def in_evidence(self, sheet: str | None, name: str | None) -> str | None:
        """What a place in a row says of this column: in a sheet its number, which makes a cell of it, else its header."""
        number = self._numbers.get((sheet, name or ""))
        if number is None:
            return None
        return str(number) if sheet else self.headers.get(number)

    def header(self, name: str | None, evidence: Sequence[Evidence]) -> str | None:
        """How a text file heads the one column these places of ``name`` stand in."""
        if not self.headers or name is None or any(one.sheet for one in evidence):
            return None
        if name != "value":
            return self.in_evidence(None, name)
        columns = {one.column for one in evidence}
        column = columns.pop() if len(columns) == 1 else None
        return self.headers.get(int(column)) if column and column.isdecimal() else None
