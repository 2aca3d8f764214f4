"""Numbers to the right of a table in a sheet: a row that slipped, or a column that nobody gave a header.

A cell that somebody inserted pushes the numbers behind it one column on, and the last one out of the table.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from teilhabe.errors import EVIDENCE_LIMIT, Evidence

if TYPE_CHECKING:
    from teilhabe.reading.layouts.base import Reading

_NUMBER = re.compile(r"-?\d[\d.,\s]*")

Row = tuple[int, Sequence[str], Collection[int]]
"""A row's number, its cells, and the columns (from 0) that are read of it."""


def slipped_rows(rows: Iterable[Row], width: int, reading: Reading) -> set[int]:
    """The numbers of the rows that hold a number right of the ``width`` of the table and have a gap in it.

    They are told; so is, as a column without a header, what stands there beside rows without a gap.
    """
    slipped: list[Evidence] = []
    beside: dict[int, list[tuple[int, str]]] = {}
    for number, row, read in rows:
        has_gap = any(at < len(row) and not row[at].strip() for at in read)
        for at in range(width, len(row)):
            text = row[at].strip()
            if _NUMBER.fullmatch(text):
                if has_gap:
                    slipped.append(Evidence(number, str(at + 1), text))
                else:
                    beside.setdefault(at, []).append((number, text))
    for at, cells in sorted(beside.items()):
        reading.tell_nameless_column(at, cells)
    if slipped:
        reading.report.rows(
            "critical",
            "row.ragged",
            "rechts neben der Tabelle steht noch „{found}“, und in der Tabelle ist eine Zelle leer; vermutlich ist die Zeile verrutscht",
            slipped[:EVIDENCE_LIMIT],
            sheet=reading.sheet,
            expected="Zahlen nur unter den Spaltenüberschriften",
            count=len(slipped),
        )
    return {one.row for one in slipped if one.row is not None}
