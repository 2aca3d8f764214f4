"""A small invented file of the same layout, for the tests of a new dataset."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from teilhabe.onboarding.words import is_code_header, is_number

if TYPE_CHECKING:
    from teilhabe.reading.files.grid import Range
    from teilhabe.reading.files.source import Source

HEADER_DEPTH = 30
FIXTURE_ROWS = 8


@dataclass
class HeadedGrid:
    """A table in a file: header rows, data rows, and where it stands."""

    sheet: str | None
    rows: list[list[str]]
    top: int
    first: int
    code: int
    """The column of keys."""
    headers: list[str]
    merges: list[Range] = field(default_factory=list)

    @property
    def data(self) -> list[list[str]]:
        return [row for row in self.rows[self.first :] if any(cell.strip() for cell in row[1:])]


def delimiter_of(source: Source) -> str:
    lines = [line for line in source.head_lines[:HEADER_DEPTH] if line.strip()]
    counts = Counter({mark: sum(line.count(mark) for line in lines) for mark in (";", ",", "\t", "|")})
    # A semicolon is never part of a German number, a comma often is.
    return ";" if counts[";"] >= len(lines) else counts.most_common(1)[0][0]


def _invented(text: str, place: int) -> str:
    """Another number where one stood; signs stay."""
    return str(10 + 7 * place % 83) if is_number(text) else text


def _some(rows: list[list[str]], entries: Iterable[int]) -> list[list[str]]:
    """A few rows in which every entry of the breakdowns occurs."""
    columns = list(entries)
    seen: set[tuple[int, str]] = set()
    chosen: list[list[str]] = []
    for row in rows:
        new = {(n, row[n]) for n in columns if n < len(row)} - seen
        if new or len(chosen) < FIXTURE_ROWS:
            chosen.append(row)
            seen |= new
    return chosen


def fixture_csv(
    source: Source, grid: HeadedGrid, values: Sequence[int], breakdowns: Sequence[int], ignored: Sequence[int]
) -> bytes:
    """The same header and a few rows; every number is another one, and remarks are left out."""
    target = io.StringIO()
    writer = csv.writer(target, delimiter=delimiter_of(source), lineterminator="\n")
    writer.writerows(grid.rows[: grid.first])
    for index, row in enumerate(_some(grid.data, breakdowns)):
        shown = ["" if n in ignored else cell for n, cell in enumerate(row)]
        writer.writerow([_invented(cell, index + n) if n in values else cell for n, cell in enumerate(shown)])
    return target.getvalue().encode("utf-8")


def fixture_workbook(
    grids: list[HeadedGrid], values: Sequence[int], breakdowns: Sequence[int], ignored: Sequence[int]
) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for grid in grids:
        sheet = book.create_sheet(str(grid.sheet))
        for row in grid.rows[: grid.first]:
            sheet.append([cell or None for cell in row])
        for (top, left), (bottom, right) in grid.merges:
            if bottom < grid.first:
                sheet.merge_cells(start_row=top + 1, start_column=left + 1, end_row=bottom + 1, end_column=right + 1)
        for index, row in enumerate(_some(grid.data, breakdowns)):
            numbers = {n for n in range(len(row)) if n in values or n > max(values)}
            sheet.append([
                None if n in ignored else int(_invented(cell, index + n)) if n in numbers and is_number(cell) else cell or None
                for n, cell in enumerate(row)
            ])  # fmt: skip
    return _saved(book)


def fixture_form(source: Source) -> bytes:
    from openpyxl import Workbook

    from teilhabe.reading.files.source import cell_text

    book = Workbook()
    book.remove(book.active)
    for name, cells in source.sheets.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(cells):
            texts = [cell_text(cell).strip() for cell in row]
            fixed = any(is_code_header(text) for text in texts)
            sheet.append([
                int(_invented(text, number + n)) if isinstance(cell, int | float) and not fixed else text or None
                for n, (cell, text) in enumerate(zip(row, texts, strict=True))
            ])  # fmt: skip
    return _saved(book)


def fixture_genesis(rows: list[list[str]], data_at: int, keys: list[str], footer: list[str]) -> bytes:
    target = io.StringIO()
    writer = csv.writer(target, delimiter=";", lineterminator="\n")
    writer.writerows(rows[:data_at])
    labels = [n for n, name in enumerate(keys) if name == "label"]
    for index, row in enumerate(_some(rows[data_at:], labels)):
        writer.writerow([*row[: len(keys)], *(_invented(cell, index + n) for n, cell in enumerate(row[len(keys) :]))])
    return (target.getvalue() + "\n".join(footer)).encode("utf-8")


def _saved(book: Any) -> bytes:
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()
