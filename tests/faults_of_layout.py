"""Faults of a table's shape: columns, rows and numbers as people move, repeat, lose and dress them. Bytes in, bytes out.

A fault works on a ``Table``: the cells of one sheet or of a text, with a place in it where a number stands. It gives None
where it cannot be made. Everything is the same on every run.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import openpyxl
from openpyxl.utils import range_boundaries
from openpyxl.worksheet.worksheet import Worksheet

from tests.faults import decoded, delimiter
from tests.faults_workbook import Place

_IS_KEY = re.compile(r"K?0?3157(?:\d{3})?")


@dataclass
class Table:
    """The cells of a sheet or a text, from 0; the place of a number; the merged ranges (top, left, bottom, right)."""

    rows: list[list[Any]]
    row: int
    column: int
    merges: list[tuple[int, int, int, int]]
    is_text: bool

    @property
    def value(self) -> Any:
        return self.rows[self.row][self.column]

    @value.setter
    def value(self, new: Any) -> None:
        self.rows[self.row][self.column] = new

    @property
    def width(self) -> int:
        return max(map(len, self.rows))

    def neighbours(self) -> list[int]:
        """The data rows around the place: those with a number in its column, without a gap."""
        found = [self.row]
        for step in (-1, 1):
            at = self.row + step
            while 0 <= at < len(self.rows) and self._has_number(at):
                found.append(at)
                at += step
        return sorted(found)

    def _has_number(self, row: int) -> bool:
        cells = self.rows[row]
        text = str(cells[self.column]).strip() if self.column < len(cells) else ""
        return bool(re.fullmatch(r"-?[\d.,*]+|[x.-]", text)) and text != "None"

    def header(self) -> tuple[int, int] | None:
        """Rows of the header above the data: from the first below a gap to the row above the numbers."""
        first = self.neighbours()[0]
        above = self.rows[first - 1] if first else []
        if not (self.column < len(above) and re.search("[A-Za-z]", str(above[self.column] or ""))):
            first = next(row for row in range(len(self.rows)) if self._has_number(row))
        top = first
        while top > 0 and sum(cell not in (None, "") for cell in self.rows[top - 1]) > 1:
            top -= 1
        return (top, first) if top < first else None


Fault = Callable[[Table], bool]
"""Changes the table; False where it cannot."""


def of_workbook(content: bytes, place: Place, fault: Fault) -> bytes | None:
    book = openpyxl.load_workbook(io.BytesIO(content))
    sheet = book[place.sheet]
    table = Table(
        [[cell.value for cell in row] for row in sheet.iter_rows()],
        place.row - 1,
        place.column - 1,
        [_bounds(str(one)) for one in sheet.merged_cells.ranges],
        is_text=False,
    )
    if not fault(table):
        return None
    _write(sheet, table)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _bounds(reference: str) -> tuple[int, int, int, int]:
    left, top, right, bottom = range_boundaries(reference)
    return int(top) - 1, int(left) - 1, int(bottom) - 1, int(right) - 1  # type: ignore[arg-type]


def _write(sheet: Worksheet, table: Table) -> None:
    for one in list(sheet.merged_cells.ranges):
        sheet.unmerge_cells(str(one))
    sheet.delete_rows(1, sheet.max_row)
    for index, row in enumerate(table.rows, start=1):
        for column, value in enumerate(row, start=1):
            if value is not None:
                sheet.cell(index, column).value = value
    for top, left, bottom, right in table.merges:
        sheet.merge_cells(start_row=top + 1, start_column=left + 1, end_row=bottom + 1, end_column=right + 1)


def of_text(content: bytes, fault: Fault, at: tuple[int, int] | None = None) -> bytes | None:
    """The fault in a text; without ``at`` in the middle of its numbers."""
    mark = delimiter(content)
    text = decoded(content)
    rows: list[list[Any]] = [list(row) for row in csv.reader(io.StringIO(text), delimiter=mark)]
    place = at or _middle(rows)
    if place is None:
        return None
    table = Table(rows, *place, [], is_text=True)
    if not fault(table):
        return None
    out = io.StringIO()
    csv.writer(out, delimiter=mark, lineterminator="\r\n").writerows(
        [["" if cell is None else cell for cell in row] for row in table.rows]
    )
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        new = out.getvalue().encode("cp1252", "ignore")
        return new if new.decode("cp1252") == out.getvalue() else None
    return (b"\xef\xbb\xbf" if content.startswith(b"\xef\xbb\xbf") else b"") + out.getvalue().encode()


def _middle(rows: list[list[Any]]) -> tuple[int, int] | None:
    places = [
        (i, j)
        for i, row in enumerate(rows)
        if any(_IS_KEY.fullmatch(cell.strip()) for cell in row)
        for j, cell in enumerate(row)
        if re.fullmatch(r"[1-9]\d{1,5}", cell) and not _IS_KEY.fullmatch(cell) and not re.fullmatch(r"20\d\d", cell)
    ]
    return places[len(places) // 2] if places else None


# Columns


def empty_column(table: Table) -> bool:
    """An empty column before the number's."""
    _insert(table, table.column, lambda _: None)
    return True


def column_of_remarks(table: Table) -> bool:
    return _with_column(table, "Bemerkung", lambda _: "geprüft")


def column_of_last_year(table: Table) -> bool:
    return _with_column(table, "Vorjahr", lambda value: value + 3)


def _with_column(table: Table, text: str, value: Callable[[int], Any]) -> bool:
    head = table.header()
    if head is None:
        return False
    data = table.neighbours()
    values = {row: _number(table.rows[row][table.column]) for row in data}
    _insert(table, table.column, lambda row: value(values[row] or 0) if row in values else None)
    table.rows[head[1] - 1][table.column - 1] = text
    return True


def _insert(table: Table, at: int, value: Callable[[int], Any]) -> None:
    for index, row in enumerate(table.rows):
        if len(row) >= at:
            row.insert(at, value(index))
    table.merges = [
        (top, left + (left >= at), bottom, right + (right >= at)) for top, left, bottom, right in table.merges
    ]
    table.column += 1


def column_lost(table: Table) -> bool:
    at = table.column
    for row in table.rows:
        del row[at : at + 1]
    table.merges = [
        (top, left - (left > at), bottom, right - (right >= at))
        for top, left, bottom, right in table.merges
        if not left == right == at
    ]
    table.merges = [one for one in table.merges if one[:2] != one[2:]]
    return True


def values_shifted(table: Table) -> bool:
    """One row whose cells moved a column to the right, as after an inserted cell."""
    row = table.rows[table.row]
    row.insert(table.column, None)
    return True


def header_emptied(table: Table) -> bool:
    head = table.header()
    if head is None:
        return False
    for row in range(*head):
        if table.column < len(table.rows[row]):
            table.rows[row][table.column] = None
    table.merges = [one for one in table.merges if not one[1] <= table.column <= one[3]]
    return True


def header_twice(table: Table) -> bool:
    """The number's column once more at the right, one higher."""
    head = table.header()
    if head is None:
        return False
    width = table.width
    for row in range(head[0], table.neighbours()[-1] + 1):
        cells = table.rows[row]
        cells += [None] * (width - len(cells))
        value = cells[table.column]
        number = _number(value)
        cells.append(value if number is None or row < head[1] else number + 1)
    return True


# Rows


def rows_sorted(table: Table) -> bool:
    """By the number, downwards: what a click on an arrow of Excel does."""
    data = table.neighbours()
    if len(data) < 3:
        return False
    ordered = sorted(data, key=lambda row: -(_number(table.rows[row][table.column]) or 0))
    table.rows[data[0] : data[-1] + 1] = [table.rows[row] for row in ordered]
    return ordered != data


def row_twice(table: Table) -> bool:
    return _repeated(table, 0)


def row_twice_with_another_number(table: Table) -> bool:
    return _repeated(table, 1)


def _repeated(table: Table, more: int) -> bool:
    row = list(table.rows[table.row])
    number = _number(row[table.column])
    if number is None:
        return False
    row[table.column] = number + more
    table.rows.insert(table.row + 1, row)
    table.merges = [(t + (t > table.row), le, b + (b > table.row), r) for t, le, b, r in table.merges]
    return True


def sum_without_key(table: Table) -> bool:
    """A line of sums below the data, as a table with a total row of Excel has."""
    data = table.neighbours()
    total = sum(_number(table.rows[row][table.column]) or 0 for row in data)
    line: list[Any] = [None] * table.width
    line[0], line[table.column] = "Summe", total
    if table.column == 0:
        return False
    table.rows.insert(data[-1] + 1, line)
    return True


def blank_row_between(table: Table) -> bool:
    if table.row == table.neighbours()[0]:
        return False
    table.rows.insert(table.row, [None] * (table.width if table.is_text else 0))
    return True


def note_between(table: Table) -> bool:
    table.rows.insert(table.row, ["Stand: vorläufig", *[None] * (table.width - 1)])
    return True


def another_year_below(table: Table) -> bool:
    """Behind an empty line and a note the same rows of the year before, each number two higher."""
    data = table.neighbours()
    again = [list(table.rows[row]) for row in data]
    for row in again:
        number = _number(row[table.column])
        row[table.column] = row[table.column] if number is None else number + 2
    table.rows[data[-1] + 1 : data[-1] + 1] = [[None], ["Zum Vergleich: 2019"], *again]
    return True


def table_below(table: Table) -> bool:
    """The whole table once more, with its header, each number of the place's column two higher."""
    head = table.header()
    data = table.neighbours()
    if head is None:
        return False
    again = [list(table.rows[row]) for row in range(head[0], data[-1] + 1)]
    for row in again[head[1] - head[0] :]:
        number = _number(row[table.column])
        row[table.column] = row[table.column] if number is None else number + 2
    table.rows[data[-1] + 1 : data[-1] + 1] = [[None], ["Vorjahr"], *again]
    return True


def table_beside(table: Table) -> bool:
    """The whole table once more to the right of an empty column, each number of the place's column two higher."""
    head = table.header()
    if head is None:
        return False
    width = table.width
    for row in range(head[0], table.neighbours()[-1] + 1):
        cells = table.rows[row]
        cells += [None] * (width - len(cells))
        again = list(cells)
        number = _number(again[table.column])
        if row >= head[1] and number is not None:
            again[table.column] = number + 2
        cells += [None, *again]
    return True


def key_of_two_rows(table: Table) -> bool:
    """The first cell of the row merged with the one below, whose own text is gone."""
    if table.is_text or table.row + 1 >= len(table.rows) or table.column == 0:
        return False
    table.rows[table.row + 1][0] = None
    table.merges.append((table.row, 0, table.row + 1, 0))
    return True


def numbers_merged_across(table: Table) -> bool:
    """The number merged with the one to its right, which is gone."""
    cells = table.rows[table.row]
    if table.is_text or table.column + 1 >= len(cells) or _number(cells[table.column + 1]) is None:
        return False
    cells[table.column + 1] = None
    table.merges.append((table.row, table.column, table.row, table.column + 1))
    return True


# What stands in a cell


def said(text: Any) -> Fault:
    """The number's cell says something else."""

    def fault(table: Table) -> bool:
        new = text(_number(table.value)) if callable(text) else text
        if table.is_text and not isinstance(new, str):
            return False
        table.value = new
        return True

    return fault


def dated(table: Table) -> bool:
    """What Excel makes of 1.2: the first of February."""
    table.value = "01. Feb" if table.is_text else datetime(2025, 2, 1)
    return True


def key_with_name(table: Table) -> bool:
    """Key and name of the row in one cell."""
    cells = table.rows[table.row]
    at = next((i for i, cell in enumerate(cells) if _IS_KEY.fullmatch(str(cell or "").strip())), None)
    if at is None or at + 1 >= len(cells) or not isinstance(cells[at + 1], str):
        return False
    cells[at] = f"{cells[at]} {cells[at + 1]}"
    return True


def keys_as_numbers(table: Table) -> bool:
    if table.is_text:
        return False
    done = False
    for row in table.rows:
        for column, cell in enumerate(row):
            if isinstance(cell, str) and _IS_KEY.fullmatch(cell.strip()) and cell.strip().isdigit():
                row[column] = int(cell)
                done = True
    return done


def cut_off(table: Table) -> bool:
    """The download broke off in the middle of a row."""
    if not table.is_text:
        return False
    del table.rows[table.row + 1 :]
    del table.rows[table.row][table.column :]
    return True


def _number(value: Any) -> int | None:
    text = str(value).strip()
    return int(text) if re.fullmatch(r"\d+", text) else None


SHAPES: dict[str, Fault] = {
    "empty column": empty_column,
    "column of remarks": column_of_remarks,
    "column of last year": column_of_last_year,
    "column lost": column_lost,
    "values shifted": values_shifted,
    "header emptied": header_emptied,
    "column twice": header_twice,
    "rows sorted": rows_sorted,
    "row twice": row_twice,
    "row twice - another number": row_twice_with_another_number,
    "sum without key": sum_without_key,
    "blank row between": blank_row_between,
    "note between": note_between,
    "another year below": another_year_below,
    "table below": table_below,
    "table beside": table_beside,
    "key of two rows": key_of_two_rows,
    "numbers merged across": numbers_merged_across,
    "key with name": key_with_name,
    "keys as numbers": keys_as_numbers,
    "cut off": cut_off,
}

CELLS: dict[str, Fault] = {
    "date for a number": dated,
    "thousands, point": said(lambda n: f"{n}.000"),
    "thousands, comma": said(lambda n: f"{n},000"),
    "thousands, blank": said(lambda n: f"{n} 000"),
    "fraction": said(lambda n: n + 0.5),
    "less than": said(lambda n: f"<{n}"),
    "from to": said(lambda n: f"{n}-{n + 2}"),
    "in brackets": said(lambda n: f"({n})"),
    "dash": said("–"),
    "minus": said("-"),
    "cross": said("x"),
    "point": said("."),
    "slash": said("/"),
    "true": said(True),
    "letter O": said(lambda n: str(n).replace("0", "O") if "0" in str(n) else f"{n}O"),
    "nothing": said(""),
    "huge": said(lambda n: 10**15 + n),
    "formula as text": said(lambda n: f"'={n}+1"),
    "two numbers": said(lambda n: f"{n} {n + 1}"),
    "unit behind": said(lambda n: f"{n} Personen"),
    "per cent": said(lambda n: f"{n} %"),
    "full width": said("１２"),
    "superscript digit": said(lambda n: f"{n}²"),
    "note behind": said(lambda n: f"{n} r"),
}
