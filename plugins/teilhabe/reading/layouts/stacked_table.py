"""Reader for tables in which a unit is a row with its key and name, and its numbers stand in the rows below, by kind.

So the election office publishes the local elections: ``157006  EG Peine, Stadt`` and below it a row ``Zahl``, one with
percentages and one with seats. The key leaves out the state, in member municipalities it stands before the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from teilhabe.codes.wording import spell_period, wanted_period
from teilhabe.contract.layouts import StackedTable
from teilhabe.errors import Evidence
from teilhabe.reading.cells.keys import is_date, shown
from teilhabe.reading.cells.labels import clean, instead, normalise
from teilhabe.reading.cells.periods import find_periods, of_year, periods_in_name
from teilhabe.reading.files.grid import Grid, joined_header, sheet_grid
from teilhabe.reading.files.source import Source, cell_text
from teilhabe.reading.layouts.base import CHUNK_ROWS, Columns, Reading, repeat
from teilhabe.reading.layouts.overhang import slipped_rows

_HEADER_DEPTH = 30
_KEY = re.compile(r"\d{3}|\d{6}")
_KEY_AND_NAME = re.compile(r"(\d{6})\s+(.+)")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d{2})(?!\d)")
_COLUMN_CODE = re.compile(r"(?:^|\s{1,20})[A-Z]\d{0,2}(?:\s{0,20}\+\s{0,20}[A-Z]\d{0,2}){0,20}$")
_COUNTY_DIGITS = 3
_NO_MUNICIPALITY = re.compile(r"\d{3}[45]\d{2}")
"""Postal votes are counted for an association (4..), some areas belong to no municipality (5..)."""


@dataclass
class _Unit:
    index: int
    code: str
    name: str


@dataclass
class _Value:
    unit: _Unit
    row: int
    column: int
    coordinates: dict[str, str]


class StackedTableReading(Reading):
    layout: StackedTable
    checks_levels = True

    @classmethod
    def refuses(cls, layout: StackedTable, source: Source) -> str | None:
        if not source.is_workbook:
            return source.kind_de
        if any(True for _ in _sheets(layout, source)):
            return None
        titles = ", ".join(f"„{title}“" for title in layout.titles)
        return f"kein Tabellenblatt mit {titles} in der Überschrift"

    def _tidy(self) -> Iterator[Columns]:
        sheets = list(_sheets(self.layout, self.source))
        missing = [title for title in self.layout.titles if title not in {found for _, found in sheets}]
        if missing := [title for title in missing if title not in self.layout.optional]:
            there = ", ".join(f"„{title}“ (Blatt „{name}“)" for name, title in sheets)
            raise self.report.error(
                "sheet.missing",
                f"Die Arbeitsmappe enthält nur {there}, vereinbart sind {' und '.join(self.layout.titles)} in einer Mappe; "
                "eine Ausgabe in anderem Aufbau wird nicht geladen.",
                found=there,
                expected=", ".join(missing),
            )
        for name, title in sheets:
            if [found for _, found in sheets].count(title) > 1:
                raise self.report.error(
                    "sheet.twice",
                    f"„{title}“ steht in der Überschrift mehrerer Tabellenblätter.",
                    sheet=name,
                    found=title,
                )
        for name, title in sheets:
            self.sheet = name
            yield from self._sheet(sheet_grid(self.source, name, self.layout.numbers), title)

    def _sheet(self, grid: Grid, title: str) -> Iterator[Columns]:
        top, kind_column = self._header(grid)
        period = self._period(grid, top)
        known = {*self._kinds(), *map(_kind, self.layout.ignore)}
        first = next((i for i in range(top + 1, len(grid.rows)) if _kind(grid.rows[i][kind_column]) in known), None)
        if first is None:
            raise self.report.error(
                "file.no_rows", f"Auf dem Blatt „{grid.sheet}“ steht keine Zeile mit Zahlen.", sheet=grid.sheet
            )
        start = first  # its key and name stand beside the first numbers, or in the row above them
        if not any(text.strip() for text in grid.rows[first][:kind_column]):
            start = next((i for i in range(first - 1, top, -1) if any(t.strip() for t in grid.rows[i])), first)
        columns = self._columns(grid, top, start, kind_column)
        values = list(self._values(grid, start, kind_column, columns))
        header = [row for row in grid.rows[top:start] if any(text.strip() for text in row[kind_column + 1 :])]
        width = max(at + 1 for row in header for at, text in enumerate(row) if text.strip())
        read: dict[int, list[int]] = {}
        for value in values:
            read.setdefault(value.row, []).append(value.column)
        numbered = ((at + 1, grid.rows[at], positions) for at, positions in read.items())
        slipped = slipped_rows(numbered, width, self)
        values = [value for value in values if value.row + 1 not in slipped]
        if not values:
            return
        cells = pa.array([grid.rows[value.row][value.column] for value in values], pa.string())
        numbers = pa.array([value.row + 1 for value in values], pa.int32())
        converted = self.convert(cells, numbers, lambda i: str(values[i].column + 1), lambda i: values[i].column + 1)
        common = self.layout.titles[title]
        tidy: Columns = {
            "territory_code": pa.array([value.unit.code for value in values], pa.string()),
            "territory_name": pa.array([value.unit.name for value in values], pa.string()),
            "period_code": repeat(period, len(values)),
        }
        for name in sorted({*common, *(name for value in values for name in value.coordinates)}):
            default = common.get(name, "total")
            tidy[name] = pa.array([value.coordinates.get(name, default) for value in values], pa.string())
        tidy |= {"value": converted.value, "obs_status": converted.obs_status, "conf_status": converted.conf_status}
        tidy["_row_number"] = numbers
        tidy["_column_number"] = pa.array([value.column + 1 for value in values], pa.int32())
        for offset in range(0, len(values), CHUNK_ROWS):
            yield {name: array.slice(offset, CHUNK_ROWS) for name, array in tidy.items()}

    def _kinds(self) -> dict[str, str]:
        """What may stand in the column of kinds -> the agreed kind of number."""
        kinds = {_kind(kind): kind for kind in self.layout.values}
        return {_kind(text): kind for kind, texts in self.layout.kinds.items() for text in texts} | kinds

    def _header(self, grid: Grid) -> tuple[int, int]:
        """Where the header begins, and the column of the kinds: its text may be spread over rows (``Ein-`` ``heit``)."""
        wanted = {normalise(text) for text in self.layout.kind_column}
        rows = grid.rows[:_HEADER_DEPTH]
        for top in range(len(rows)):
            for position in range(len(rows[top])):
                text = ""
                for row in rows[top : top + 4]:
                    text += row[position] if position < len(row) else ""
                    if rows[top][position].strip() and normalise(text) in wanted:
                        return self._title_end(rows, top), position
        raise self.report.error(
            "header.missing_column",
            f"Auf dem Blatt „{grid.sheet}“ fehlt die Spalte „{self.layout.kind_column[0]}“.",
            sheet=grid.sheet,
            column=self.layout.kind_column[0],
            expected=self.layout.kind_column[0],
        )

    def _title_end(self, rows: list[list[str]], top: int) -> int:
        """The first header row: the one below the title line."""
        last = max(
            (i for i, row in enumerate(rows[:top]) if any(_says(cell, t) for cell in row for t in self.layout.titles)),
            default=top - 1,
        )
        return min(last + 1, top)

    def _period(self, grid: Grid, top: int) -> str:
        """The title names the election's year; the file's name may not name another."""
        texts = [clean(text) for row in grid.rows[:top] for text in row if text.strip()]
        found = [code for text in texts for code in find_periods(text, self.layout.period)]
        if not found:
            found = [of_year(int(year), self.layout.period) for text in texts for year in _YEAR.findall(text)]
        codes = list(dict.fromkeys(found))
        if len(codes) != 1:
            raise self.report.error(
                "period.contradiction" if codes else "period.not_found",
                f"Die Überschrift des Blatts „{grid.sheet}“ nennt "
                + (f"mehrere Zeiträume ({', '.join(map(spell_period, codes))})." if codes else "kein Jahr."),
                sheet=grid.sheet,
                found=", ".join(codes) or None,
                expected=wanted_period(self.layout.period),
            )
        in_name = periods_in_name(self.source.file_name, self.layout.period)
        if len(in_name) == 1 and in_name != codes:
            raise self.report.error(
                "period.contradiction",
                f"Die Überschrift des Blatts „{grid.sheet}“ nennt {spell_period(codes[0])}, der Dateiname aber {spell_period(in_name[0])}.",
                sheet=grid.sheet,
                found=in_name[0],
                expected=codes[0],
            )
        return codes[0]

    def _columns(self, grid: Grid, top: int, end: int, kind_column: int) -> dict[str, int]:
        """Agreed header text -> position. A column is known by its own texts, joined or in neighbouring rows.

        Where a group stands above its columns (merged), the group's text is in front of the column's.
        """
        wanted = {normalise(header): header for columns in self.layout.values.values() for header in columns}
        for header, texts in self.layout.headers.items():
            wanted |= {normalise(text): header for text in texts}
        found: dict[str, list[int]] = {header: [] for header in wanted.values()}
        merged = joined_header(grid, top, end, guess=False)
        unknown: list[str] = []
        for position in range(kind_column + 1, max(len(row) for row in grid.rows[top:end])):
            own = [row[position].strip() for row in grid.rows[top:end] if position < len(row) and row[position].strip()]
            grouped = merged[position] if position < len(merged) else []
            said = {normalise(text) for texts in (own, grouped) for text in (_joined(texts), _joined(_uncoded(texts)))}
            found_here = {wanted[text] for text in said if text in wanted}
            if not found_here and own:
                unknown.append(_joined(own).strip())
            for header in found_here:
                found[header].append(position)
        for header, positions in found.items():
            if len(positions) != 1:
                rule = "header.duplicate_column" if positions else "header.missing_column"
                what = "steht zweimal" if positions else "fehlt"
                hint = "" if positions else instead(header, unknown)
                raise self.report.error(
                    rule,
                    f"Auf dem Blatt „{grid.sheet}“ {what} die Spalte „{header}“{hint}.",
                    sheet=grid.sheet,
                    row=top + 1,
                    column=header,
                    found=None if positions else ", ".join(unknown[:5]) or None,
                    expected=header,
                )
        return {header: positions[0] for header, positions in found.items()}

    def _values(self, grid: Grid, start: int, kind_column: int, columns: dict[str, int]) -> Iterator[_Value]:
        self._loaded: set[str] = set()
        self._left_out: dict[str, tuple[int, str]] = {}
        kinds = self._kinds()
        ignored = {_kind(kind) for kind in self.layout.ignore}
        unknown: dict[str, list[int]] = {}
        seen: set[str] = set()
        unit: _Unit | None = None
        heading, first_kind = "", next(iter(self.layout.values))
        lost: list[Evidence] = []
        for index in range(start, len(grid.rows)):
            row = grid.rows[index]
            text = row[kind_column].strip()
            if not text:
                if any(cell.strip() for cell in row[:kind_column]):
                    unit = self._unit(grid, index, kind_column)
                    heading = clean(next(cell for cell in row if cell.strip())) if unit is None else ""
                continue
            if any(cell.strip() for cell in row[:kind_column]):
                unit = self._unit(grid, index, kind_column)  # the first row of numbers beside the name
            kind = kinds.get(_kind(text))
            if kind is None:
                if _kind(text) not in ignored and unit is not None:
                    unknown.setdefault(clean(text), []).append(index)
                continue
            seen.add(kind)
            if unit is None:
                # Sums of regions begin with the first kind, as each unit does; what begins with another is torn apart.
                lost += [Evidence(index + 1, str(kind_column + 1), heading)] if heading and kind != first_kind else []
                heading = heading if lost and lost[-1].row == index + 1 else ""
                continue
            for header, coordinates in self.layout.values[kind].items():
                yield _Value(unit, index, columns[header], coordinates)
        self._tell_left_out(grid)
        if lost:
            self.report.rows(
                "critical",
                "key.not_loaded",
                "darüber steht „{found}“, wo ein Gebiet stehen muss; wozu diese Zahlen gehören, ist nicht zu erkennen",
                lost,
                sheet=grid.sheet,
                expected="Schlüssel und Name des Gebiets über seinen Zahlen",
            )
        for text, where in unknown.items():
            self.report.rows(
                "warning",
                "label.unknown",
                "„{found}“ ist keine vereinbarte Einheit; diese Zeilen werden nicht geladen",
                [Evidence(index + 1, str(kind_column + 1), text) for index in where],
                sheet=grid.sheet,
                expected="eine vereinbarte Einheit",
                apart=text,
                count=len(where),
            )
        for kind in self.layout.values:
            if kind not in seen and kind not in self.layout.optional:
                raise self.report.error(
                    "header.missing_column",
                    f"Auf dem Blatt „{grid.sheet}“ kommt die Einheit „{kind}“ in keiner Zeile vor{instead(kind, unknown)}.",
                    sheet=grid.sheet,
                    column=kind,
                    expected=kind,
                )

    def _tell_left_out(self, grid: Grid) -> None:
        """Parts of a town are left out beside its sum; a key that is left out altogether is a municipality lost."""
        lost = [place for key, place in self._left_out.items() if key not in self._loaded]
        if lost:
            self.report.rows(
                "critical",
                "key.not_loaded",
                "vor „{found}“ steht keine vereinbarte Abkürzung, das Gebiet ginge verloren",
                [Evidence(index + 1, None, name) for index, name in lost],
                sheet=grid.sheet,
                expected=", ".join(self.layout.units),
            )

    def _unit(self, grid: Grid, index: int, kind_column: int) -> _Unit | None:
        """A municipality or county of the table; None for parts of towns, sums of associations and regions."""
        cells = [clean(cell) for cell in grid.rows[index][:kind_column]]
        filled = [cell for cell in cells if cell]
        name = filled[-1] if filled else ""
        before = next((i for i, cell in reversed(list(enumerate(cells))) if cell == name), 0)
        key = next((cell for cell in reversed(cells[:before]) if cell), "")
        if found := _KEY_AND_NAME.fullmatch(name):
            key, name = found[1], found[2]
        if key and is_date(key) and not key.isdigit():
            self.report.rows(
                "critical",
                "key.is_a_date",
                "aus dem Schlüssel ist das Datum „{found}“ geworden",
                [Evidence(index + 1, None, shown(key))],
                sheet=grid.sheet,
                expected="ein Gebietsschlüssel, die Zelle als Text formatiert",
            )
            return None
        if not _KEY.fullmatch(key):
            return None
        kind, _, rest = name.partition(" ")
        if len(key) > _COUNTY_DIGITS:
            if kind not in self.layout.units:
                if not _NO_MUNICIPALITY.fullmatch(key):
                    self._left_out.setdefault(key, (index, name))
                return None
            name = rest
        self._loaded.add(key)
        return _Unit(index, self.layout.key_prefix + key, re.sub(r",(?=\S)", ", ", name.strip()))


def _kind(text: str) -> str:
    """A kind of number reduced to what identifies it; a sign (``-``) is one, too."""
    return normalise(text) or text.strip()


def _joined(texts: list[str]) -> str:
    return "".join(text.rstrip("-") if text.endswith("-") else text + " " for text in texts)


def _uncoded(texts: list[str]) -> list[str]:
    """Header texts without the letters that an edition gives its columns (``A``, ``insgesamt A1+A2+A3``)."""
    return [text for cell in texts if (text := _COLUMN_CODE.sub("", cell.strip()))]


def _sheets(layout: StackedTable, source: Source) -> Iterator[tuple[str, str]]:
    """(sheet, title) of every sheet whose title line has one of the agreed texts."""
    for name, rows in source.sheets.items():
        head = [text for row in rows[:10] for cell in row if (text := cell_text(cell).strip())]
        found = next((title for title in layout.titles if any(_says(text, title) for text in head)), None)
        if found is not None:
            yield name, found


def _says(text: str, title: str) -> bool:
    """As a word of its own: ``Samtgemeindewahlen`` are no ``Gemeindewahlen``."""
    return bool(re.search(rf"(?<!\w){re.escape(title.casefold())}(?!\w)", clean(text).casefold()))
