"""Reader for a rectangular table below a header of one or more merged rows, in a CSV or a workbook, found by its texts.

A workbook may have a sheet per month or per kind of thing. Row numbers count within a sheet, as the office sees them;
so every sheet is a chunk of its own, and every finding about a row names the sheet.

Some offices publish such a table without its year. The year then comes, in this order, from the header, the file name,
or the population implied by a count and its rate per 100,000 inhabitants; it is never assumed silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.codes.groups import GROUP_COLUMNS
from teilhabe.codes.wording import spell_period, wanted_period
from teilhabe.contract.layouts import Labels, Table
from teilhabe.errors import EVIDENCE_LIMIT, Evidence
from teilhabe.findings.saying import PLACE
from teilhabe.reading.cells.implied_year import implied_year
from teilhabe.reading.cells.keys import complete, is_date, probable_key, probable_label, shown
from teilhabe.reading.cells.labels import Dictionary, Header, ValueColumn, clean, instead, normalise, read_header
from teilhabe.reading.cells.periods import find_periods, is_valid, of_year, parse_period, periods_in_name
from teilhabe.reading.cells.units import divides, is_total
from teilhabe.reading.files.grid import Grid, csv_grid, is_numbering, joined_header, places, sheet_grid
from teilhabe.reading.files.source import Source, letters
from teilhabe.reading.layouts import table_header
from teilhabe.reading.layouts.base import CHUNK_ROWS, Columns, Reading, repeat
from teilhabe.reading.layouts.overhang import slipped_rows
from teilhabe.reading.layouts.second_table import Break, SecondTable, notes_below

_ROWS_ABOVE = 3
"""Group headings may stand above the row of the key columns."""
_WORD = re.compile(r"[^\W\d_]{3}|%")


@dataclass
class _Place:
    """Where the table stands: its key row, its first data row, and its key columns by name."""

    top: int
    first: int
    keys: dict[str, int]
    labels: list[int]


@dataclass
class _Sheet:
    grid: Grid
    period: str | None = None
    coordinates: dict[str, str] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)


class TableReading(Reading):
    layout: Table
    checks_levels = True

    @classmethod
    def refuses(cls, layout: Table, source: Source) -> str | None:
        if source.kind != "text" and not source.is_workbook:
            return source.kind_de
        if ("workbook" if source.is_workbook else "csv") not in layout.kinds:
            return source.kind_de
        return (
            table_header.refuses_sheets(layout, source)
            if source.is_workbook
            else table_header.refuses_text(layout, source)
        )

    def _tidy(self) -> Iterator[Columns]:
        self._header_period: str | None = None
        for sheet in self._sheets():
            self.sheet = sheet.grid.sheet
            yield from self._observations(sheet)

    # Which sheets

    def _sheets(self) -> Iterator[_Sheet]:
        if not self.source.is_workbook:
            yield _Sheet(csv_grid(self.source, self.layout.delimiter), labels=self.layout.labels)
            return
        ignored = {normalise(name) for name in self.layout.ignore_sheets}
        names = [name for name in self.source.sheets if normalise(name) not in ignored]
        if self.layout.sheets == "first":
            yield self._first_sheet(names)
            return
        declared = {normalise(name): name for name in self.layout.sheet_labels}
        known = [declared.get(normalise(name)) for name in names]
        for name, coordinates in self.layout.sheet_labels.items():
            if name not in known and name not in self.layout.optional and coordinates is not None:
                raise self.report.error(
                    "sheet.missing",
                    f"Das vereinbarte Tabellenblatt „{name}“ fehlt.",
                    sheet=name,
                    found=", ".join(names),
                    expected=name,
                )
        for name, declared_name in zip(names, known, strict=True):
            sheet = self._sheet(name, declared_name)
            if sheet is not None:
                yield sheet

    def _first_sheet(self, names: list[str]) -> _Sheet:
        grids = [grid for name in names if self._has_table(grid := self._grid(name))]
        if not grids:
            missing = next(iter(self.layout.columns.values()))[0]
            raise self.report.error(
                "header.missing_column",
                f"Im Tabellenkopf fehlt die Spalte „{missing}“.",
                column=missing,
                expected=missing,
            )
        for grid in grids[1:]:
            self.report.note(
                "warning",
                "sheet.not_read",
                f"Auch das Blatt „{grid.sheet}“ hat den vereinbarten Tabellenkopf; gelesen wird nur „{grids[0].sheet}“.",
                sheet=grid.sheet,
                found=grid.sheet,
                expected="ein Tabellenblatt mit Daten",
            )
        return _Sheet(grids[0], labels=self.layout.labels)

    def _sheet(self, name: str, declared: str | None) -> _Sheet | None:
        """What a sheet's name says about its numbers; None where the sheet is not to be read."""
        coordinates = self.layout.sheet_labels[declared] if declared is not None else {}
        if coordinates is None:
            return None
        grid = self._grid(name)
        period = parse_period(name, self.layout.period) if self.layout.sheet_period else None
        unknown = (self.layout.sheet_period and period is None) or (self.layout.sheet_labels and declared is None)
        if unknown or not self._has_table(grid):
            self._tell_sheet(grid, bool(unknown))
            return None
        labels = {
            text: found
            for text, found in self.layout.labels.items()
            if text not in self.layout.on_sheets or declared in self.layout.on_sheets[text]
        }
        return _Sheet(grid, period, coordinates, labels)

    def _tell_sheet(self, grid: Grid, unknown: bool) -> None:
        """A sheet that is not read: refused if it holds the table, else worth a warning if it holds anything."""
        if unknown and self._has_table(grid):
            wanted = "ein Zeitraum" if self.layout.sheet_period else ", ".join(self.layout.sheet_labels)
            raise self.report.error(
                "period.not_found" if self.layout.sheet_period else "sheet.unknown",
                f"Das Blatt „{grid.sheet}“ hat den vereinbarten Tabellenkopf, sein Name ist aber nicht vereinbart.",
                sheet=grid.sheet,
                found=grid.sheet,
                expected=wanted,
            )
        if not unknown:
            raise self.report.error(
                "header.missing_column",
                f"Auf dem Blatt „{grid.sheet}“ fehlt der vereinbarte Tabellenkopf.",
                sheet=grid.sheet,
                expected=", ".join(aliases[0] for aliases in self.layout.columns.values()),
            )
        if any(True for _ in places(grid.rows)):
            self.report.note(
                "warning",
                "sheet.unknown",
                f"Das Blatt „{grid.sheet}“ ist nicht vereinbart und wird nicht gelesen.",
                sheet=grid.sheet,
                found=grid.sheet,
            )

    def _grid(self, name: str) -> Grid:
        return sheet_grid(self.source, name, self.layout.numbers)

    def _has_table(self, grid: Grid) -> bool:
        return table_header.find(self.layout, grid.rows) is not None

    # One table

    def _observations(self, sheet: _Sheet) -> Iterator[Columns]:
        grid = sheet.grid
        self._strange: list[str] = []
        place = self._place(grid)
        dictionary = Dictionary(sheet.labels, self.layout.optional, self.layout.validity)
        second = SecondTable(self.layout, self.report, grid.sheet)
        for row in range(place.top, place.first):
            second.check_beside(grid.rows[row], place.keys["territory_code"], grid.numbers[row])
        rows, numbers, breaks = self._rows(grid, place, second)
        if grid.sheet is not None and numbers:
            self.source.refuse_merges(grid.sheet, numbers[0] - 1, numbers[-1] - 1)
        rows, numbers, labelled, seen = self._labelled(rows, numbers, place, dictionary)
        if not rows:
            return
        keys = self._keys(rows, numbers, place)
        if "period_code" not in keys:
            keys["period_code"] = repeat(self._period(sheet, place, keys, rows), len(rows))
        second.check_rows(numbers, keys["period_code"].to_pylist(), breaks, self._stated(sheet, place))
        periods = [code for code in pc.unique(keys["period_code"]).to_pylist() if code]
        header = self._header(grid, place, dictionary, seen, periods)
        self._check_columns(place, periods, grid)
        self.check_units(header.columns, grid.numbers[place.top])
        self._check_unknown(header, rows, numbers)
        for position in set(header.nameless) - {*place.keys.values(), *place.labels}:
            cells = ((number, _cell(row, position)) for number, row in zip(numbers, rows, strict=True))
            self.tell_nameless_column(position, [one for one in cells if re.search(r"\d", one[1])])
        second.check_columns(header.columns, has_period="period_code" in place.keys or sheet.period is not None)
        columns = header.columns
        by_row = pa.array(np.repeat(np.arange(len(rows)), len(columns)))
        tiled = pa.array(np.tile(np.arange(len(columns)), len(rows)))
        cells = pa.array([_cell(row, column.position) for row in rows for column in columns], pa.string())
        row_numbers = pa.array(numbers, pa.int32()).take(by_row)
        converted = self.convert(
            cells,
            row_numbers,
            lambda i: str(columns[i % len(columns)].position + 1),
            lambda i: columns[i % len(columns)].position + 1,
        )
        tidy: Columns = {name: repeat(value, len(cells)) for name, value in self.layout.constants.items()}
        tidy |= {name: repeat(value, len(cells)) for name, value in sheet.coordinates.items()}
        tidy |= {name: array.take(by_row) for name, array in keys.items()}
        for name, array in labelled.items():
            tidy[name] = _over(array.take(by_row), tidy.get(name))
        for name in sorted({name for column in columns for name in column.coordinates}):
            texts = pa.array([column.coordinates.get(name) for column in columns], pa.string())
            tidy[name] = _over(texts.take(tiled), tidy.get(name))
        for name in GROUP_COLUMNS:
            if name in tidy:
                tidy[name] = pc.fill_null(tidy[name], "total")
        tidy |= {"value": converted.value, "obs_status": converted.obs_status, "conf_status": converted.conf_status}
        tidy["_row_number"] = row_numbers
        tidy["_column_number"] = pa.array([column.position + 1 for column in columns], pa.int32()).take(tiled)
        self.texts_used |= dictionary.used
        for offset in range(0, len(cells), CHUNK_ROWS):
            yield {name: array.slice(offset, CHUNK_ROWS) for name, array in tidy.items()}

    def _place(self, grid: Grid) -> _Place:
        found = table_header.find(self.layout, grid.rows)
        if found is None:
            missing = next(iter(self.layout.columns.values()))[0]
            raise self.report.error(
                "header.missing_column",
                f"Im Tabellenkopf fehlt die Spalte „{missing}“.",
                sheet=grid.sheet,
                column=missing,
                expected=missing,
            )
        top, depth = found.row, found.depth
        code = found.keys["territory_code"]
        first = next(
            (i for i in range(top + depth, len(grid.rows)) if _is_data(grid.rows[i], code, self.layout.key_width)), None
        )
        if first is None:
            raise self.report.error(
                "file.no_rows",
                "Unter dem Tabellenkopf steht keine Zeile mit einem Gebietsschlüssel.",
                sheet=grid.sheet,
                row=grid.numbers[top],
            )
        used = {normalise(cell) for row in grid.rows[top : top + depth] for cell in row if cell}
        self.texts_used |= used
        return _Place(top, first, found.keys, found.labels)

    def _header(
        self, grid: Grid, place: _Place, dictionary: Dictionary, seen: list[dict[str, str]], periods: list[str]
    ) -> Header:
        """The header as the texts of the key columns' rows say it; group headings may stand above them.

        Of the ways a header can be laid out, the first in which nothing is missing is taken.
        """
        end = place.first
        while end > place.top + 1 and is_numbering(grid.rows[end - 1]):
            end -= 1
        tries: list[tuple[int, int, Header, list[str], Dictionary]] = []
        texts: list[list[list[str]]] = []
        for above in range(min(_ROWS_ABOVE, place.top) + 1):
            for guess in (False, True) if grid.merges else (True,):
                start = place.top - above
                trial = Dictionary(dictionary.labels, self.layout.optional, self.layout.validity)
                trial.used |= dictionary.used  # by the cells of label columns
                texts.append(joined_header(grid, start, end, guess=guess))
                header, missing = self._read(texts[-1], place, trial, seen, periods)
                tries.append((len(missing) + len(_twice(header)), len(tries), header, missing, trial))
                if not missing and not _twice(header):
                    break
            if not tries[-1][0]:
                break
        _, best, header, missing, trial = min(tries, key=lambda one: one[:2])
        header.nameless = [position for position, parts in enumerate(texts[best]) if not parts]
        dictionary.used |= trial.used
        self._tell_header(grid, place, header, missing)
        return header

    def _read(
        self,
        texts: list[list[str]],
        place: _Place,
        dictionary: Dictionary,
        seen: list[dict[str, str]],
        periods: list[str],
    ) -> tuple[Header, list[str]]:
        header = Header()
        taken = {*place.keys.values(), *place.labels}
        ignored = {normalise(text) for text in self.layout.ignore}
        pairs: dict[str, dict[str, str]] = {}
        for position, parts in enumerate(texts):
            joined = " ".join(parts)
            if position in taken or not joined:
                continue
            if normalise(joined) in ignored or (parts and normalise(parts[-1]) in ignored and joined not in dictionary):
                continue
            one = read_header([[joined]], 0, dictionary, self.layout.period)
            if one.unknown and len(parts) > 1:
                apart = read_header([[part] for part in parts], 0, dictionary, self.layout.period)
                if not apart.unknown:
                    one = apart
                    pairs.setdefault(parts[0], {})[normalise(" ".join(parts[1:]))] = " ".join(parts[1:])
            for column in one.columns:
                column.position = position
            header.columns += one.columns
            header.seen += one.seen
            header.unknown += [(position, joined) for _ in one.unknown]
        missing = dictionary.missing([*seen, *header.seen], periods)
        missing += _incomplete(pairs)
        missing += self._missing_total(header, dictionary)
        return header, missing

    def _missing_total(self, header: Header, dictionary: Dictionary) -> list[str]:
        """A label that says nothing is the total of its table: a column of it must be there, in rows it is another's total."""
        totals = [text for text, found in dictionary.labels.items() if found == {} and text not in self.layout.optional]
        if any("measure_code" in column.coordinates for column in header.columns):
            there = any(normalise(text) in dictionary.used for text in totals)
        else:
            there = any(set(column.coordinates) <= {"period_code"} for column in header.columns)
        return [] if there else totals[:1]

    def _tell_header(self, grid: Grid, place: _Place, header: Header, missing: list[str]) -> None:
        row = grid.numbers[place.top]
        for position, text in header.unknown:
            self.tell_unknown_column(position, text, self._row_of_header(grid, place, position))
        if missing:
            unknown = [*(text for _, text in header.unknown), *self._strange]
            raise self.report.error(
                "header.missing_column",
                f"Im Tabellenkopf{_on(grid)} fehlt die Spalte „{missing[0]}“{instead(missing[0], unknown)}.",
                sheet=grid.sheet,
                row=row,
                column=missing[0],
                found=", ".join(f"„{text}“" for text in unknown[:5]) or None,
                expected=missing[0],
            )
        for column in _twice(header):
            other = next(one for one in _twice(header)[1:] if one.coordinates == column.coordinates)
            raise self.report.error(
                "header.duplicate_column",
                f"{PLACE}Die Überschrift „{' '.join(other.texts)}“ sagt dasselbe wie die der Spalte "
                f"{_column(grid, column.position)}; bitte jede Spalte nur einmal senden.",
                sheet=grid.sheet,
                row=self._row_of_header(grid, place, other.position),
                column=str(other.position + 1),
                found=" ".join(other.texts),
                expected="jede Spalte einmal",
            )

    @staticmethod
    def _row_of_header(grid: Grid, place: _Place, position: int) -> int:
        """Where the text of a column stands: the lowest of the header's rows that has one."""
        above = range(place.first - 1, place.top, -1)
        return grid.numbers[next((row for row in above if _cell(grid.rows[row], position).strip()), place.top)]

    def _check_unknown(self, header: Header, rows: list[list[str]], numbers: list[int]) -> None:
        """A column nobody agreed on may tell the rows apart: without it they would be read as totals."""
        counted = self.counts(self.contract.constants.get("measure_code"))
        for position, text in header.unknown:
            if not divides(text):
                continue
            parts = [
                Evidence(number, text, clean(cell))
                for row, number in zip(rows, numbers, strict=True)
                if _WORD.search(cell := _cell(row, position))
                and not is_total(cell, counted=counted is not False, share=not counted)
            ]
            self.tell_dividing(text, parts, len(parts))

    def _check_columns(self, place: _Place, periods: list[str], grid: Grid) -> None:
        """A key column that belongs to the layout at some times only is required in these."""
        for name, aliases in self.layout.columns.items():
            if name in place.keys:
                continue
            due = [a for a in aliases if any(is_valid(self.layout.validity[a], period) for period in periods)]
            if due:
                raise self.report.error(
                    "header.missing_column",
                    f"Im Tabellenkopf{_on(grid)} fehlt die Spalte „{due[0]}“.",
                    sheet=grid.sheet,
                    row=grid.numbers[place.top],
                    column=due[0],
                    expected=due[0],
                )

    def _rows(self, grid: Grid, place: _Place, second: SecondTable) -> tuple[list[list[str]], list[int], list[Break]]:
        """Data rows, their numbers, and what stands between them.

        A row of one text is a note; one without key and with numbers is told later.
        """
        code = place.keys["territory_code"]
        header = grid.rows[place.top : place.first]
        width = max(position + 1 for _, position, _ in places(header))
        full = max(width, len(grid.rows[place.first]))
        rows, numbers, breaks = [], [], []
        for row, number in zip(grid.rows[place.first :], grid.numbers[place.first :], strict=True):
            filled = [position for position, cell in enumerate(row) if cell.strip()]
            if not filled or (len(filled) == 1 and not (filled[0] == code and _is_key(row[code], None))):
                breaks.append(Break(number, row[filled[0]] if filled else ""))
                continue
            second.check_header(row, code, number)
            if len(row) < width or filled[-1] >= full:
                self._tell_ragged(number, max(len(row), filled[-1] + 1), full, grid.sheet)
                continue
            rows.append(row)
            numbers.append(number)
        if grid.sheet is None:
            last = next(at for at in range(len(grid.rows) - 1, -1, -1) if any(cell.strip() for cell in grid.rows[at]))
            self.refuse_cut(grid.rows[last], grid.numbers[last], width, rows[-1][0] if rows else None)
        self._drop_notes(rows, numbers, place, grid.sheet)
        if grid.sheet is not None:
            headed = {position for _, position, _ in places(header) if position > code}
            numbered = ((number, row, headed) for number, row in zip(numbers, rows, strict=True))
            slipped = slipped_rows(numbered, width, self)
            rows = [row for row, number in zip(rows, numbers, strict=True) if number not in slipped]
            numbers = [number for number in numbers if number not in slipped]
        return rows, numbers, breaks

    def _drop_notes(self, rows: list[list[str]], numbers: list[int], place: _Place, sheet: str | None) -> None:
        if count := notes_below(rows, place.keys, place.labels):
            self.report.rows(
                "info",
                "row.note",
                "unter der Tabelle steht eine Anmerkung ohne Schlüssel und Zahlen; sie wird nicht geladen",
                [Evidence(number, None, None) for number in numbers[-count:][:EVIDENCE_LIMIT]],
                sheet=sheet,
                count=count,
            )
            del rows[-count:], numbers[-count:]

    def _tell_ragged(self, number: int, found: int, full: int, sheet: str | None) -> None:
        self.report.rows(
            "critical",
            "row.ragged",
            f"die Zeile hat {{found}} statt {full} Spalten",
            [Evidence(number, None, str(found))],
            sheet=sheet,
            expected=f"{full} Spalten",
        )

    def _labelled(
        self, rows: list[list[str]], numbers: list[int], place: _Place, dictionary: Dictionary
    ) -> tuple[list[list[str]], list[int], Columns, list[dict[str, str]]]:
        """Rows whose label cells are agreed, their coordinates, and which coordinates occurred."""
        found: list[dict[str, str] | None] = [{} for _ in rows]
        for aliases, position in zip(self.layout.label_columns, place.labels, strict=True):
            unknown: dict[str, list[int]] = {}
            for index, row in enumerate(rows):
                text = clean(_cell(row, position))
                if text not in dictionary:
                    unknown.setdefault(text, []).append(numbers[index])
                    found[index] = None
                    continue
                one, so_far = dictionary[text], found[index]
                found[index] = None if one is None or so_far is None else _joint(so_far, one)
            for text, where in unknown.items():
                self._strange.append(text)
                self._tell_label(text, where, aliases[0], position, list(dictionary.labels))
        keep = [index for index, one in enumerate(found) if one is not None]
        coordinates = [one for one in found if one is not None]
        names = sorted({name for one in coordinates for name in one})
        columns = {name: pa.array([one.get(name) for one in coordinates], pa.string()) for name in names}
        distinct = {frozenset(one.items()) for one in coordinates}
        seen = [dict(one) for one in distinct]
        # A label is seen even where two label columns of a row make more than either says.
        seen += [found for text, found in dictionary.labels.items() if found and normalise(text) in dictionary.used]
        return [rows[i] for i in keep], [numbers[i] for i in keep], columns, seen

    def _tell_label(self, text: str, where: list[int], column: str, position: int, known: list[str]) -> None:
        if is_date(text):
            self._tell_date(text, where, column, position, probable_label(text, known))
            return
        self.tell_unknown_label(text, where, column, position)

    def _tell_date(self, text: str, where: list[int], column: str, position: int, typed: str | None) -> None:
        """A key that became a date says nothing any more: the file is refused; of one nobody mends, its rows are left out."""
        if not self.is_mendable:
            at = str(position + 1) if self.sheet else None
            self.report.rows(
                "critical",
                "key.is_a_date",
                "aus dem Schlüssel ist das Datum „{found}“ geworden",
                [Evidence(number, at, shown(text), typed) for number in where[:EVIDENCE_LIMIT]],
                column=column,
                sheet=self.sheet,
                count=len(where),
                apart=text,
            )
            return
        hint = f"; vermutlich stand dort „{typed}“" if typed else ""
        more = f" (insgesamt {len(where)} Zeilen)" if len(where) > 1 else ""
        place = f"Zelle {letters(position)}{where[0]}" if self.sheet else f"Zeile {where[0]}, Spalte „{column}“,"
        raise self.report.error(
            "key.is_a_date",
            f"{f'Auf dem Blatt „{self.sheet}“ steht in' if self.sheet else 'In'} {place} {'' if self.sheet else 'steht '}"
            f"das Datum „{shown(text)}“ statt des Schlüssels{hint}{more}; bitte die Spalte als Text formatieren und neu senden.",
            sheet=self.sheet,
            row=where[0],
            column=column,
            found=shown(text),
            expected=typed or "ein Schlüssel, die Zelle als Text formatiert",
            row_count=len(where),
        )

    def _keys(self, rows: list[list[str]], numbers: list[int], place: _Place) -> Columns:
        keys: Columns = {}
        for name, position in place.keys.items():
            self.places.put(self.sheet, name, position)
            texts = [clean(_cell(row, position)) for row in rows]
            column = self.layout.columns[name][0]
            if name == "period_code":
                keys[name] = self._periods(texts, numbers, column)
                continue
            if name == "territory_code" or name in self.layout.widths:
                width = self.layout.key_width if name == "territory_code" else self.layout.widths[name]
                texts = [self._key(name, text, width) for text in texts]
            if name != "territory_name":
                self._check_dates(texts, numbers, column, position, name)
            keys[name] = pa.array(texts, pa.string())
        return keys

    @staticmethod
    def _key(name: str, text: str, width: int | None) -> str:
        if name == "territory_code":
            return complete(text, width)
        return text.zfill(width or 0) if text.isascii() and text.isdigit() else text

    def _check_dates(self, texts: list[str], numbers: list[int], column: str, position: int, name: str) -> None:
        if name == "territory_code" and not self.is_mendable:
            return  # the name beside it may tell the key; else it is told as any other that cannot be read
        by_text: dict[str, list[int]] = {}
        for text, number in zip(texts, numbers, strict=True):
            if text and not text.isdigit() and is_date(text):
                by_text.setdefault(text, []).append(number)
        for text, where in by_text.items():
            typed = probable_key(text, self.layout.key_width if name == "territory_code" else None)
            self._tell_date(text, where, column, position, typed)

    def _periods(self, texts: list[str], numbers: list[int], column: str) -> pa.Array:
        codes = {text: parse_period(text, self.layout.period) for text in set(texts)}
        bad = [(number, text) for number, text in zip(numbers, texts, strict=True) if codes[text] is None]
        at = self.places.in_evidence(self.sheet, "period_code") or column
        self.tell_wrong_periods(bad, at, None if self.sheet else column)
        return pa.array([codes[text] for text in texts], pa.string())

    # The period of a table that has no column for it

    def _period(self, sheet: _Sheet, place: _Place, keys: Columns, rows: list[list[str]]) -> str:
        in_header = self._in_header(sheet.grid, place)
        in_name = periods_in_name(self.source.file_name, self.layout.period)
        if sheet.period is not None:
            self._agree(in_header, sheet.period, f"im Kopf des Blatts „{sheet.grid.sheet}“", sheet.grid)
            return sheet.period
        if self.layout.period_in == "file_name":
            if len(in_name) != 1:
                raise self._no_period(in_name)
            self._agree(in_header, in_name[0], "im Kopf der Tabelle", sheet.grid)
            return in_name[0]
        if in_header:
            self._header_period = self._header_period or in_header[0]
            where = f"im Kopf des Blatts „{sheet.grid.sheet}“" if sheet.grid.sheet else "im Kopf der Tabelle"
            self._agree(in_header, self._header_period, where, sheet.grid)
            return in_header[0]
        if self.context.period is not None:
            return self.context.period
        if len(in_name) == 1:
            code, how = in_name[0], "dem Dateinamen entnommen"
        else:
            year = None
            if self.layout.ratio is not None and self.context.populations is not None:
                header = joined_header(sheet.grid, place.top, place.first, guess=True)
                year = implied_year(
                    self.layout.ratio, header, keys["territory_code"].to_pylist(), rows, self.context.populations
                )
            if year is None:
                raise self._no_period(in_name)
            code = of_year(year, self.layout.period)
            how = "über die Einwohnerzahlen erkannt, die in den Häufigkeitszahlen stecken"
        self.report.note(
            "warning",
            "period.inferred",
            f"Die Datei nennt ihren Berichtszeitraum nicht; {spell_period(code)} wurde {how}.",
            found=code,
            expected="ein Berichtszeitraum in der Datei",
        )
        return code

    def _stated(self, sheet: _Sheet, place: _Place) -> list[str]:
        """The periods the sheet's name, the title or, where these name none, the file's name say the table is for."""
        if sheet.period is not None:
            return [sheet.period]
        return self._in_header(sheet.grid, place) or periods_in_name(self.source.file_name, self.layout.period)

    def _in_header(self, grid: Grid, place: _Place) -> list[str]:
        """The distinct periods above the first data row, label texts aside."""
        found: list[str] = []
        for _, _, text in places(grid.rows[: place.first]):
            found += find_periods(text, self.layout.period)
        return list(dict.fromkeys(found))

    def _agree(self, found: list[str], period: str, where: str, grid: Grid) -> None:
        other = next((code for code in found if code != period), None)
        if other is not None:
            raise self.report.error(
                "period.contradiction",
                f"Die Datei nennt zwei Berichtszeiträume: {spell_period(period)} und, {where}, {spell_period(other)}.",
                sheet=grid.sheet,
                found=other,
                expected=period,
            )

    def _no_period(self, in_name: list[str]) -> Exception:
        several = f" und im Dateinamen mehrere ({', '.join(map(spell_period, in_name))})" if in_name else ""
        what = "das Jahr" if "{year" in self.layout.period else "ihn"
        example = self.source.file_name.rsplit(".", 1)[0]
        return self.report.error(
            "period.not_found",
            f"Die Datei nennt ihren Berichtszeitraum nicht{several}; bitte {what} in den Dateinamen schreiben "
            f"(zum Beispiel „{example[:40]}_{_example(self.layout.period)}“) und neu senden.",
            found=self.source.file_name,
            expected=f"{wanted_period(self.layout.period)} im Kopf oder im Dateinamen",
        )


def _is_key(text: str, width: int | None) -> bool:
    text = text.strip()
    return text.isascii() and text.isdigit() and (width is None or len(complete(text, width)) in (2, 3, 5, 8, 9, 12))


def _is_data(row: Sequence[str], code: int, width: int | None) -> bool:
    """A key, a date where a key should be, or any other text beside numbers that do not just count the columns."""
    text = _cell(row, code).strip()
    if not text or is_numbering(row):
        return False
    if _is_key(text, width) or is_date(text):
        return True
    return any(cell.strip().isdigit() for position, cell in enumerate(row) if position != code)


def _incomplete(pairs: dict[str, dict[str, str]]) -> list[str]:
    """Headings that stand under one group and not under another, where groups and headings are labels of their own."""
    every: dict[str, str] = {}
    for below in pairs.values():
        every |= below
    return [f"{group} {text}" for group, below in pairs.items() for key, text in every.items() if key not in below]


def _twice(header: Header) -> list[ValueColumn]:
    places = [tuple(sorted(column.coordinates.items())) for column in header.columns]
    return [column for column, place in zip(header.columns, places, strict=True) if places.count(place) > 1]


def _joint(left: dict[str, str], right: dict[str, str]) -> dict[str, str]:
    """Two labels of a row; where both speak of the same thing, both are said (``employment_full_time``)."""
    both = {name: f"{left[name]}_{right[name]}" for name in left.keys() & right.keys() if left[name] != right[name]}
    return left | right | both


def _over(array: pa.Array, below: pa.Array | None) -> pa.Array:
    return array if below is None else pc.coalesce(array, below)


def _cell(row: Sequence[str], position: int) -> str:
    return row[position] if position < len(row) else ""


def _column(grid: Grid, position: int) -> str:
    """As the program names it in which the file is opened."""
    return str(position + 1) if grid.sheet is None else letters(position)


def _on(grid: Grid) -> str:
    return f" auf dem Blatt „{grid.sheet}“" if grid.sheet else ""


def _example(template: str) -> str:
    return "2024-03" if "month" in template else "2024-H1" if "half" in template else "2022"
