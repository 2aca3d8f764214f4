"""A sheet or a CSV as rows of texts, and what its header says above every column, merged cells expanded."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from teilhabe.contract.layouts import NumberFormat
from teilhabe.reading.cells.labels import normalise
from teilhabe.reading.files.source import Cell, Source, cell_text, without_noise

_COLUMN_NUMBER = re.compile(r"\(?(\d{1,3})(?:[.,]0+)?\)?")
_CERTAINLY_COUNTED = 6
"""No data row begins with the numbers from 1 to 7."""

Range = tuple[tuple[int, int], tuple[int, int]]
"""A merged range: (first row, first column), (last row, last column), counted from 0."""


@dataclass
class Grid:
    """``rows[i]`` stands in row ``numbers[i]`` of the sheet (1-based), in a CSV in that line of the file."""

    sheet: str | None
    rows: list[list[str]]
    numbers: list[int]
    merges: list[Range] = field(default_factory=list)


def sheet_name(source: Source, agreed: str) -> str | None:
    """How the workbook itself writes the name of the agreed sheet; None where it has no such sheet."""
    wanted = normalise(agreed)
    return next((name for name in source.sheets if normalise(name) == wanted), None)


def sheet_grid(source: Source, sheet: str, numbers: NumberFormat) -> Grid:
    """A sheet of a workbook; a cell that is a number is written as the layout writes numbers."""
    cells = source.sheets[sheet]
    rows = [[value_text(cell, numbers) for cell in row] for row in cells]
    return Grid(sheet, rows, list(range(1, len(rows) + 1)), list(source.merges.get(sheet, ())))


def csv_grid(source: Source, delimiter: str) -> Grid:
    """A whole CSV; refused where a quotation mark that is never closed swallows the following lines."""
    lines = source.lines
    source.refuse_open_quote()
    rows = list(csv.reader(lines, delimiter=delimiter))
    numbers: list[int] = source.rows(np.arange(1, len(rows) + 1, dtype=np.int32)).tolist()
    return Grid(None, rows, numbers)


def value_text(cell: Cell, numbers: NumberFormat) -> str:
    """A cell as text: a number never passes for another because of its decimal point (1.234 is not 1234)."""
    if isinstance(cell, float) and not (number := without_noise(cell)).is_integer():
        text = format(Decimal(repr(number)), "f")
        return text.replace(".", ",") if numbers == "german" else text
    return cell_text(cell).strip()


def joined_header(grid: Grid, top: int, end: int, *, guess: bool) -> list[list[str]]:
    """Per column the texts above it in rows ``top`` to ``end``, from top to bottom.

    A merged cell speaks for all its columns, in its first row only. With ``guess`` a cell left empty takes the text to
    its left, below the same parent only: for files that merge by leaving cells empty.
    """
    block = grid.rows[top:end]
    return _guessed(block) if guess else _merged(grid, top, end)


def _merged(grid: Grid, top: int, end: int) -> list[list[str]]:
    texts = [list(row) for row in grid.rows[top:end]]
    for (first_row, first_column), (last_row, last_column) in grid.merges:
        if not top <= first_row < end:
            continue
        row = texts[first_row - top]
        text = row[first_column] if first_column < len(row) else ""
        for column in range(first_column, min(last_column + 1, len(row))):
            row[column] = text
        for below in range(first_row + 1, min(last_row + 1, end)):
            for column in range(first_column, min(last_column + 1, len(texts[below - top]))):
                texts[below - top][column] = ""
    width = max((len(row) for row in texts), default=0)
    return [[t for row in texts if column < len(row) and (t := _clean(row[column]))] for column in range(width)]


def _guessed(block: Sequence[Sequence[str]]) -> list[list[str]]:
    width = max((len(row) for row in block), default=0)
    texts: list[list[str]] = [[] for _ in range(width)]
    opened = [False] * width
    lowest = max((index for index, row in enumerate(block) if any(cell.strip() for cell in row)), default=0)
    for index, row in enumerate(block):
        fill = ""
        for position in range(width):
            cell = _clean(row[position]) if position < len(row) else ""
            if cell:
                fill = cell
            elif opened[position] or index == lowest:
                fill = ""  # the lowest row is no heading of others: what is empty there has no name
            if fill:
                texts[position].append(fill)
        for position in range(width):
            opened[position] |= bool(position < len(row) and row[position].strip())
    return texts


def is_numbering(row: Sequence[str]) -> bool:
    """``1;2;3;4``: offices number their columns, also ``1.0`` and ``(1)``, and may leave a note beside the last number."""
    texts = [cell.strip() for cell in row if cell.strip()]
    counted = next((i for i, text in enumerate(texts) if _column_number(text) != i + 1), len(texts))
    return counted > 1 and (counted == len(texts) or counted > _CERTAINLY_COUNTED)


def _column_number(text: str) -> int | None:
    found = _COLUMN_NUMBER.fullmatch(text)
    return int(found[1]) if found else None


def places(rows: Sequence[Sequence[str]]) -> Iterator[tuple[int, int, str]]:
    """(row index, column index, text) of every filled cell."""
    for index, row in enumerate(rows):
        for position, text in enumerate(row):
            if text.strip():
                yield index, position, text


def _clean(text: str) -> str:
    return " ".join(text.split())
