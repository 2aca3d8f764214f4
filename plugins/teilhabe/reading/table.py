"""Reader for a rectangular table below a header of one or more merged rows, in a CSV or a workbook, found by its texts.

Some offices publish such a table without its year. The year then comes, in this order, from the header, the file name,
or the population implied by a count and its rate per 100,000 inhabitants; it is never assumed silently.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.contracts import Table
from teilhabe.errors import Evidence
from teilhabe.reading.base import CHUNK_ROWS, Columns, Reading, repeat
from teilhabe.reading.labels import Dictionary, Header, normalise, read_header
from teilhabe.reading.periods import of_year
from teilhabe.reading.source import Source, cell_text

_HEADER_DEPTH = 30
_SPAN = re.compile(r"\d{1,2}\.\d{1,2}\.(\d{4})\s*(?:bis|-|\u2013)\s*\d{1,2}\.\d{1,2}\.(\d{4})")
_YEAR_TEXT = re.compile(r"(?:Berichtsjahr|Jahr)\s*:?\s*(\d{4})")
_YEAR_IN_NAME = re.compile(r"(?<!\d)(20\d{2})(?!\d)")
_PER = 100_000
_CLEAR = 0.0005
"""A year fits when the median county's implied population is within 0.05 % of its population.

Measured on the file of 2022 and 45 counties: 0.004 % off in the right year, 0.35 % in the year before, 1.4 % in the next.
"""


@dataclass
class _Grid:
    sheet: str | None
    rows: list[list[str]]
    top: int
    """Index of the first header row."""
    first: int
    """Index of the first data row."""
    keys: dict[str, int]


class TableReading(Reading):
    layout: Table

    @classmethod
    def refuses(cls, layout: Table, source: Source) -> str | None:
        if source.kind != "text" and not source.is_workbook:
            return source.kind_de
        if ("workbook" if source.is_workbook else "csv") not in layout.kinds:
            return source.kind_de
        if not source.is_workbook:
            wanted = {normalise(text) for texts in layout.columns.values() for text in texts}
            lines = source.head_text.split("\n")[:_HEADER_DEPTH]
            cells = {normalise(cell) for line in lines for cell in line.split(layout.delimiter)}
            return None if wanted & cells else "keine Zeile mit den vereinbarten Spaltenüberschriften"
        found = any(
            _header_row(layout, [[cell_text(c) for c in row] for row in rows[:_HEADER_DEPTH]]) is not None
            for rows in source.sheets.values()
        )
        return None if found else "kein Tabellenblatt mit den vereinbarten Spaltenüberschriften"

    def _tidy(self) -> Iterator[Columns]:
        grid = self._grid()
        header = self._header(grid)
        rows, numbers = self._rows(grid, header)
        if not rows:
            return
        keys = self._keys(rows, grid)
        period = self._period(grid, keys, rows)
        columns = header.columns
        by_row = pa.array(np.repeat(np.arange(len(rows)), len(columns)))
        tiled = pa.array(np.tile(np.arange(len(columns)), len(rows)))
        cells = pa.array([row[column.position] for row in rows for column in columns], pa.string())
        row_numbers = pa.array(numbers, pa.int32()).take(by_row)
        converted = self.convert(cells, row_numbers, lambda i: str(columns[i % len(columns)].position + 1))
        tidy: Columns = {name: array.take(by_row) for name, array in keys.items()}
        for name in sorted({name for column in columns for name in column.coordinates}):
            texts = pa.array([column.coordinates.get(name) for column in columns], pa.string())
            tidy[name] = texts.take(tiled)
        tidy.setdefault("period_code", repeat(period, len(cells)))
        for name in ("nationality", "sex", "age_band", "category"):
            if name in tidy:
                tidy[name] = pc.fill_null(tidy[name], "total")
        tidy |= {"value": converted.value, "obs_status": converted.obs_status, "conf_status": converted.conf_status}
        tidy["_row_number"] = row_numbers
        tidy["_column_number"] = pa.array([column.position + 1 for column in columns], pa.int32()).take(tiled)
        for offset in range(0, len(cells), CHUNK_ROWS):
            yield {name: array.slice(offset, CHUNK_ROWS) for name, array in tidy.items()}

    def _grid(self) -> _Grid:
        for sheet, rows in self._sheets():
            found = _header_row(self.layout, rows)
            if found is None:
                continue
            top, keys = found
            code = keys["territory_code"]
            first = next((i for i in range(top + 1, len(rows)) if self._is_key(rows[i], code)), None)
            if first is not None:
                return _Grid(sheet, rows, top, first, keys)
            raise self.report.error(
                "file.no_rows", "Unter dem Tabellenkopf steht keine Zeile mit einem Gebietsschlüssel."
            )
        missing = next(iter(self.layout.columns.values()))[0]
        raise self.report.error(
            "header.missing_column", f"Im Tabellenkopf fehlt die Spalte „{missing}“.", column=missing, expected=missing
        )

    def _sheets(self) -> Iterator[tuple[str | None, list[list[str]]]]:
        if self.source.is_workbook:
            for name, cells in self.source.sheets.items():
                yield name, [[cell_text(cell).strip() for cell in row] for row in cells]
        else:
            yield None, list(csv.reader(self.source.text.split("\n"), delimiter=self.layout.delimiter))

    def _is_key(self, row: Sequence[str], position: int) -> bool:
        text = row[position].strip() if position < len(row) else ""
        width = self.layout.key_width or len(text)
        return text.isdigit() and width - 1 <= len(text) <= width

    def _header(self, grid: _Grid) -> Header:
        block = [row for row in grid.rows[grid.top : grid.first] if not _is_numbering(row)]
        joined = _joined(block)
        dictionary = Dictionary(self.layout.labels, self.layout.optional)
        header = Header()
        taken = set(grid.keys.values())
        for position, text in enumerate(joined):
            if position in taken or not text:
                continue
            one = read_header([[text]], 0, dictionary, self.layout.period)
            for column in one.columns:
                column.position = position
            header.columns += one.columns
            header.seen += one.seen
            header.unknown += [(position, unknown) for _, unknown in one.unknown]
        for position, text in header.unknown:
            self.report.note(
                "warning",
                "header.unknown_column",
                f"Spalte {position + 1} hat die unbekannte Überschrift „{text}“ und wird nicht geladen.",
                sheet=grid.sheet,
                row=grid.top + 1,
                column=text,
                found=text,
            )
        missing = dictionary.missing(header.seen)
        if missing:
            unknown_texts = ", ".join(f"„{text}“" for _, text in header.unknown[:5])
            raise self.report.error(
                "header.missing_column",
                f"Im Tabellenkopf fehlt die Spalte „{missing[0]}“"
                + (f"; unbekannt ist stattdessen {unknown_texts}." if unknown_texts else "."),
                sheet=grid.sheet,
                row=grid.top + 1,
                column=missing[0],
                found=unknown_texts or None,
                expected=missing[0],
            )
        places = [tuple(sorted(column.coordinates.items())) for column in header.columns]
        for column, place in zip(header.columns, places, strict=True):
            if places.count(place) > 1:
                raise self.report.error(
                    "header.duplicate_column",
                    f"Die Überschrift der Spalte {column.position + 1} kommt zweimal vor.",
                    sheet=grid.sheet,
                    row=grid.top + 1,
                    column=str(column.position + 1),
                )
        return header

    def _rows(self, grid: _Grid, header: Header) -> tuple[list[list[str]], list[int]]:
        """Data rows and their numbers; a row without a key is a footnote if it has no numbers, else a finding."""
        width = max([*grid.keys.values(), *(column.position for column in header.columns)]) + 1
        full = len(grid.rows[grid.first])
        rows, numbers = [], []
        for index in range(grid.first, len(grid.rows)):
            row = grid.rows[index]
            if not any(cell.strip() for cell in row[1:]):
                continue
            if len(row) < width or len(row) > full:
                self.report.rows(
                    "critical",
                    "row.ragged",
                    f"die Zeile hat {{found}} Spalten statt {full}",
                    [Evidence(index + 1, None, str(len(row)))],
                    sheet=grid.sheet,
                    expected=f"{full} Spalten",
                )
                continue
            rows.append(row)
            numbers.append(index + 1)
        return rows, numbers

    def _keys(self, rows: list[list[str]], grid: _Grid) -> Columns:
        keys: Columns = {}
        for name, position in grid.keys.items():
            texts = [" ".join(row[position].split()) for row in rows]
            if name == "territory_code" and self.layout.key_width:
                texts = [text.zfill(self.layout.key_width) if text.isdigit() else text for text in texts]
            keys[name] = pa.array(texts, pa.string())
        return keys

    def _period(self, grid: _Grid, keys: Columns, rows: list[list[str]]) -> str:
        in_file = self._year_in_header(grid)
        if in_file is not None:
            return of_year(in_file, self.layout.period)
        if self.context.period is not None:
            return self.context.period
        years = set(_YEAR_IN_NAME.findall(self.source.file_name))
        if len(years) == 1:
            code = of_year(int(years.pop()), self.layout.period)
            how = "dem Dateinamen entnommen"
        else:
            year = self._year_of_population(keys, rows, grid)
            if year is None:
                raise self.report.error(
                    "period.not_found",
                    "Die Datei nennt ihren Berichtszeitraum nicht; bitte das Jahr in den Dateinamen schreiben "
                    "(zum Beispiel „…_2022.csv“) und neu senden.",
                    found=self.source.file_name,
                    expected="ein Jahr im Kopf oder im Dateinamen",
                )
            code = of_year(year, self.layout.period)
            how = "über die Einwohnerzahlen erkannt, die in den Häufigkeitszahlen stecken"
        self.report.note(
            "warning",
            "period.inferred",
            f"Die Datei nennt ihren Berichtszeitraum nicht; {code} wurde {how}.",
            found=code,
            expected="ein Berichtszeitraum in der Datei",
        )
        return code

    @staticmethod
    def _year_in_header(grid: _Grid) -> int | None:
        for row in grid.rows[: grid.first]:
            for text in row:
                if (span := _SPAN.search(text)) and span[1] == span[2]:
                    return int(span[1])
                if found := _YEAR_TEXT.fullmatch(text.strip()):
                    return int(found[1])
        return None

    def _year_of_population(self, keys: Columns, rows: list[list[str]], grid: _Grid) -> int | None:
        """The year whose populations (31 December before) explain count / rate, if exactly one does."""
        if self.layout.ratio is None or self.context.populations is None:
            return None
        joined = [normalise(t) for t in _joined([r for r in grid.rows[grid.top : grid.first] if not _is_numbering(r)])]
        wanted = [{normalise(text) for text in texts} for texts in self.layout.ratio]
        places = [next((i for i, text in enumerate(joined) if text in texts), None) for texts in wanted]
        if None in places:
            return None
        implied: dict[str, tuple[float, float]] = {}
        for code, row in zip(keys["territory_code"].to_pylist(), rows, strict=True):
            count, rate = (_number(row[place]) for place in places if place is not None)
            if count and rate and count > implied.get(code, (0.0, 0.0))[0]:
                implied[code] = (count, count / rate * _PER)
        errors = []
        for year, populations in self.context.populations().items():
            both = [code for code in implied if populations.get(code)]
            if both:
                off = median(abs(implied[code][1] / populations[code] - 1) for code in both)
                errors.append((off, int(year)))
        fitting = [year for off, year in errors if off <= _CLEAR]
        return fitting[0] + 1 if len(fitting) == 1 else None


def _header_row(layout: Table, rows: list[list[str]]) -> tuple[int, dict[str, int]] | None:
    """Index of the row with the key columns' texts, and where each of them stands."""
    for index, row in enumerate(rows[:_HEADER_DEPTH]):
        texts = {normalise(cell): position for position, cell in reversed(list(enumerate(row)))}
        keys = {
            name: next((texts[normalise(alias)] for alias in aliases if normalise(alias) in texts), None)
            for name, aliases in layout.columns.items()
        }
        if all(position is not None for position in keys.values()):
            return index, {name: position for name, position in keys.items() if position is not None}
    return None


def _is_numbering(row: Sequence[str]) -> bool:
    """``1;2;3;4``: offices number their columns."""
    texts = [cell.strip() for cell in row]
    return texts == [str(number) for number in range(1, len(texts) + 1)]


def _joined(block: list[list[str]]) -> list[str]:
    """One text per column: a cell left empty by a merge takes the text to its left, below the same parent only."""
    width = max(len(row) for row in block)
    texts = [""] * width
    opened = [False] * width
    for row in block:
        fill = ""
        for position in range(width):
            cell = row[position].strip() if position < len(row) else ""
            if cell:
                fill = cell
            elif opened[position]:
                fill = ""
            if fill:
                texts[position] = f"{texts[position]} {fill}".strip()
        for position in range(width):
            opened[position] |= bool(position < len(row) and row[position].strip())
    return texts


def _number(text: str) -> float | None:
    """A number good enough to recognise a year with; values never come from here."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None
