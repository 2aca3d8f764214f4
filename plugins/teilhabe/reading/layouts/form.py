"""Reader for the county's Excel template: labels with a value beside them and one small table, for one municipality.

The sheet is read by its labels, not by its cells, so an inserted line does no harm. What the form says of its
municipality and its period must agree with the file's name and with its own title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from teilhabe.codes.territory import from_regional_key
from teilhabe.codes.wording import spell_period, wanted_period
from teilhabe.contract.layouts import Form
from teilhabe.errors import Evidence
from teilhabe.findings.saying import PLACE
from teilhabe.reading.cells.as_seen import MERGED, covered
from teilhabe.reading.cells.keys import complete, is_date, keys_in_name, probable_key, shown
from teilhabe.reading.cells.labels import Dictionary, clean, instead, normalise
from teilhabe.reading.cells.periods import find_periods, parse_period, periods_in_name
from teilhabe.reading.files.grid import Grid, is_numbering, sheet_grid, sheet_name
from teilhabe.reading.files.source import Source, cell_text, letters
from teilhabe.reading.layouts.base import Columns, Reading, repeat
from teilhabe.reading.layouts.second_table import second_form

_NUMBER = re.compile(r"[\d.,\s]*\d")


@dataclass
class _Value:
    """A value cell: where it stands (0-based) and what it is about."""

    row: int
    column: int
    text: str
    label: str
    coordinates: dict[str, str]

    @property
    def cell(self) -> str:
        return f"{letters(self.column)}{self.row + 1}"


class FormReading(Reading):
    layout: Form
    checks_levels = True

    @classmethod
    def refuses(cls, layout: Form, source: Source) -> str | None:
        if not source.is_workbook:
            return source.kind_de
        name = sheet_name(source, layout.sheet)
        if name is None:
            return f"kein Tabellenblatt „{layout.sheet}“"
        wanted = {normalise(alias) for alias in layout.fields["territory_code"]}
        if any(_label(cell_text(cell)) in wanted for row in source.sheets[name] for cell in row):
            return None
        return f"auf dem Blatt „{name}“ fehlt „{layout.fields['territory_code'][0]}“"

    def _tidy(self) -> Iterator[Columns]:
        name = sheet_name(self.source, self.layout.sheet)
        assert name is not None  # noqa: S101 - refuses() has looked
        self.sheet = name
        self._tell_other_forms(name)
        grid = sheet_grid(self.source, name, self.layout.numbers)
        self._dictionary = Dictionary(self.layout.labels, self.layout.optional, self.layout.validity)
        self._unknown: list[str] = []
        corner = self._corner(grid)
        self._rows_of_table = self._extent(grid, corner)
        fields, column = self._fields(grid)
        period = self._period(fields["period_code"], grid)
        code = self._territory(fields["territory_code"], fields.get("territory_name"))
        values = [*self._block(grid, fields["territory_code"].row, column), *self._table(grid, corner)]
        self._check_missing(values, period)
        self.texts_used |= self._dictionary.used
        self._refuse_merged([value for value in values if not value.text and self._is_optional(value)])
        values = [value for value in values if value.text or not self._is_optional(value)]
        if not values:
            return
        rows = pa.array([value.row + 1 for value in values], pa.int32())
        labels = [value.label for value in values]
        cells = pa.array([value.text for value in values], pa.string())
        converted = self.convert(cells, rows, lambda i: labels[i], lambda i: values[i].column + 1)
        columns: Columns = {name: repeat(value, len(values)) for name, value in self.layout.constants.items()}
        columns |= {"territory_code": repeat(code, len(values)), "period_code": repeat(period, len(values))}
        for name, where in fields.items():
            if name not in ("territory_code", "period_code"):
                columns[name] = repeat(clean(where.text), len(values))
        for name in sorted({name for value in values for name in value.coordinates}):
            default = self.layout.constants.get(name, "total")
            columns[name] = pa.array([value.coordinates.get(name, default) for value in values], pa.string())
        columns |= {"value": converted.value, "obs_status": converted.obs_status, "conf_status": converted.conf_status}
        columns["_row_number"] = rows
        columns["_column_number"] = pa.array([value.column + 1 for value in values], pa.int32())
        yield columns

    def _refuse_merged(self, empty: list[_Value]) -> None:
        """A cell that may be empty and is part of another's: the number there may be for both."""
        merges = self.source.merges.get(self.sheet or "", [])
        rows, columns = (np.array([getattr(v, name) for v in empty], np.int64) for name in ("row", "column"))
        for value, is_covered in zip(empty, covered(merges, rows, columns).tolist(), strict=True):
            if is_covered:
                where = Evidence(value.row + 1, value.label, "verbundene Zellen")
                self.report.rows("critical", "sheet.merged_cells", MERGED, [where], sheet=self.sheet)

    def _tell_other_forms(self, name: str) -> None:
        """A copied sheet with the same fields may hold numbers somebody takes for delivered."""
        wanted = {normalise(alias) for alias in self.layout.fields["territory_code"]}
        for other, rows in self.source.sheets.items():
            if other != name and any(_label(cell_text(cell)) in wanted for row in rows for cell in row):
                self.report.note(
                    "warning",
                    "sheet.not_read",
                    f"Auch das Blatt „{other}“ sieht aus wie ein Formular; gelesen wird nur „{name}“.",
                    sheet=other,
                    found=other,
                    expected=name,
                )

    # The block of labels and values

    def _fields(self, grid: Grid) -> tuple[dict[str, _Value], int]:
        """The cells that say for whom and when, and the column their values stand in."""
        inside = self._rows_of_table
        where: dict[str, list[tuple[int, int]]] = {}
        for name, aliases in self.layout.fields.items():
            wanted = {normalise(alias) for alias in aliases}
            where[name] = [place for place in _where(grid, wanted) if place[0] not in inside]
            self.texts_used |= {_label(grid.rows[row][column]) for row, column in where[name]}
            if not where[name]:
                raise self.report.error(
                    "header.missing_column",
                    f"Auf dem Blatt „{self.sheet}“ fehlt das Feld „{aliases[0]}“{instead(aliases[0], self._strange(grid))}.",
                    sheet=self.sheet,
                    column=aliases[0],
                    expected=aliases[0],
                )
        # A hint to the right of an empty cell is no value: the values of a form stand in one column.
        values = min(self._beside(grid, row, column, {}).column for places in where.values() for row, column in places)
        found: dict[str, _Value] = {}
        for name, places in where.items():
            label = self.layout.fields[name][0]
            said = [self._beside(grid, row, column, {}, values) for row, column in places]
            filled = [value for value in said if value.text]
            if not filled:
                raise self.report.error(
                    "form.empty_field",
                    f"{self._in(said[0])} fehlt eine Angabe.",
                    sheet=self.sheet,
                    row=said[0].row + 1,
                    column=label,
                    expected=label,
                )
            other = next((value for value in filled if clean(value.text) != clean(filled[0].text)), None)
            if other is not None:
                raise self._contradiction(name, filled[0], other, label)
            found[name] = filled[0]
        return found, values

    def _strange(self, grid: Grid) -> Iterator[str]:
        """Labels with something beside them that nobody agreed on."""
        known = {normalise(alias) for aliases in self.layout.fields.values() for alias in aliases}
        for row in grid.rows:
            filled = [text for text in row if text.strip()]
            if len(filled) > 1 and _label(filled[0]) not in known and clean(filled[0]) not in self._dictionary:
                yield filled[0].rstrip(": ")

    def _contradiction(self, name: str, one: _Value, other: _Value, label: str) -> Exception:
        rule = "period.contradiction" if name == "period_code" else "key.contradiction"
        return self.report.error(
            rule,
            f"Auf dem Blatt „{self.sheet}“ steht „{label}“ zweimal mit Verschiedenem: „{shown(one.text)}“ in Zelle "
            f"{one.cell} und „{shown(other.text)}“ in Zelle {other.cell}.",
            sheet=self.sheet,
            row=other.row + 1,
            column=label,
            found=shown(other.text),
            expected=shown(one.text),
        )

    def _block(self, grid: Grid, first: int, column: int) -> Iterator[_Value]:
        """Every agreed label outside the table, with its value; an unknown one with a number is told.

        What stands above the ``first`` of the fields are titles.
        """
        fields = {normalise(alias) for aliases in self.layout.fields.values() for alias in aliases}
        for index, row in enumerate(grid.rows):
            if index in self._rows_of_table:
                continue
            position = next((i for i, text in enumerate(row) if text.strip()), None)
            if position is None or _label(row[position]) in fields:
                continue
            text = clean(row[position]).rstrip(":").strip()
            if text not in self._dictionary or not normalise(text):
                if column > position and index > first:
                    self._unknown.append(text)
                value = row[column].strip() if column < len(row) and column > position else ""
                if value and _NUMBER.fullmatch(value):
                    self._tell_unknown(index, position, text)
                continue
            coordinates = self._dictionary[text]
            if coordinates is not None:
                found = self._beside(grid, index, position, coordinates, column)
                self._check_beside(row, found)
                yield found

    def _beside(
        self, grid: Grid, row: int, column: int, coordinates: dict[str, str], value_column: int | None = None
    ) -> _Value:
        """The value of a label: in the form's column of values, else the next filled cell to the right."""
        cells = grid.rows[row]
        label = clean(cells[column]).rstrip(":").strip()
        if value_column is not None and value_column > column:
            return _Value(row, value_column, cells[value_column].strip(), label, coordinates)
        at = next((i for i in range(column + 1, len(cells)) if cells[i].strip()), column + 1)
        return _Value(row, at, cells[at].strip() if at < len(cells) else "", label, coordinates)

    def _check_beside(self, row: Sequence[str], value: _Value) -> None:
        """A number to the right of an empty cell is not in the column of values: nobody could tell that it was left out."""
        if value.text or not self._is_optional(value):
            return
        at = next((i for i in range(value.column + 1, len(row)) if _NUMBER.fullmatch(row[i].strip())), None)
        if at is not None:
            self.report.rows(
                "critical",
                "value.beside_its_cell",
                f"hier steht „{{found}}“ neben dem Feld „{value.label}“; bitte in Zelle {value.cell} eintragen",
                [Evidence(value.row + 1, str(at + 1), row[at].strip())],
                sheet=self.sheet,
                apart=value.label,
            )

    def _tell_unknown(self, row: int, column: int, text: str) -> None:
        self.report.rows(
            "warning",
            "label.unknown",
            "„{found}“ ist kein vereinbartes Feld; was daneben steht, wird nicht geladen",
            [Evidence(row + 1, str(column + 1), text)],
            sheet=self.sheet,
            expected="ein vereinbartes Feld",
            apart=text,
        )

    # The table

    def _corner(self, grid: Grid) -> tuple[int, int] | None:
        if not self.layout.table:
            return None
        wanted = {normalise(text) for text in self.layout.table}
        corners = list(_where(grid, wanted))
        found = corners[0] if corners else None
        if found is None:
            raise self.report.error(
                "header.missing_column",
                f"Auf dem Blatt „{self.sheet}“ fehlt die Tabelle „{self.layout.table[0]}“.",
                sheet=self.sheet,
                column=self.layout.table[0],
                expected=self.layout.table[0],
            )
        for row, column in corners[1:]:
            if any(clean(text) in self._dictionary for text in grid.rows[row][column + 1 :] if text.strip()):
                raise second_form(self.report, self.sheet, f"{letters(column)}{row + 1}", row + 1)
        self.texts_used |= {_label(grid.rows[found[0]][found[1]])}
        return found

    def _extent(self, grid: Grid, corner: tuple[int, int] | None) -> range:
        """The rows of the table: to the last of the agreed labels with numbers below several heads, whatever lies between.

        A blank row or a note among them ends no table; what stands beside a single label belongs to the block.
        """
        if corner is None:
            return range(0)
        top, left = corner
        heads = [at for at, text in enumerate(grid.rows[top]) if at > left and clean(text) in self._dictionary]
        end = top
        while end + 1 < len(grid.rows) and grid.rows[end + 1][left].strip():
            end += 1
        for index in range(end + 1, len(grid.rows)):
            filled = sum(bool(grid.rows[index][at].strip()) for at in heads)
            label = grid.rows[index][left].strip()
            if filled > 1 and (not label or clean(label) in self._dictionary):
                end = index
        return range(top, end + 1)

    def _heads(self, grid: Grid, corner: tuple[int, int]) -> list[tuple[int, str, dict[str, str]]]:
        """The columns of the table that are loaded: position, text, what it says."""
        top, left = corner
        heads: list[tuple[int, str, dict[str, str]]] = []
        for position in range(left + 1, len(grid.rows[top])):
            text = clean(grid.rows[top][position])
            if not text:
                continue
            if text not in self._dictionary:
                self._unknown.append(text)
                self.tell_unknown_column(position, text, top + 1)
                continue
            twin = next((at for at, head, _ in heads if normalise(head) == normalise(text)), None)
            if twin is not None:
                raise self.report.error(
                    "header.duplicate_column",
                    f"Auf dem Blatt „{self.sheet}“ steht die Überschrift „{text}“ zweimal: in Zelle {letters(twin)}{top + 1} "
                    f"und in Zelle {letters(position)}{top + 1}.",
                    sheet=self.sheet,
                    row=top + 1,
                    column=text,
                    found=text,
                )
            coordinates = self._dictionary[text]
            if coordinates is not None:
                heads.append((position, text, coordinates))
        return heads

    def _table(self, grid: Grid, corner: tuple[int, int] | None) -> Iterator[_Value]:
        if corner is None:
            return
        left = corner[1]
        heads = self._heads(grid, corner)
        seen: dict[str, int] = {}
        for index in self._rows_of_table[1:]:
            row = grid.rows[index]
            if is_numbering(row):
                continue
            text = clean(row[left])
            filled = [position for position, _, _ in heads if row[position].strip()]
            if not text or text not in self._dictionary:
                if filled and text:
                    self._unknown.append(text)
                    self._tell_unknown(index, left, text)
                elif filled:
                    raise self.report.error(
                        "label.missing",
                        f"{PLACE}Hier fehlt, wofür die Zahlen daneben gelten.",
                        sheet=self.sheet,
                        row=index + 1,
                        column=str(left + 1),
                        expected="eine vereinbarte Bezeichnung",
                    )
                continue
            coordinates = self._dictionary[text]
            if coordinates is None:
                continue
            if normalise(text) in seen:
                first = seen[normalise(text)]
                raise self.report.error(
                    "header.duplicate_column",
                    f"Auf dem Blatt „{self.sheet}“ steht die Zeile „{text}“ zweimal: in Zelle {letters(left)}{first + 1} und "
                    f"in Zelle {letters(left)}{index + 1}.",
                    sheet=self.sheet,
                    row=index + 1,
                    column=text,
                    found=text,
                )
            seen[normalise(text)] = index
            for position, head, common in heads:
                yield _Value(index, position, row[position].strip(), f"{text} / {head}", common | coordinates)

    # For whom and when

    def _period(self, field: _Value, grid: Grid) -> str:
        code = parse_period(field.text, self.layout.period)
        if code is None:
            raise self.report.error(
                "period.not_found",
                f"{self._in(field)} steht „{shown(field.text)}“, das ist kein Berichtszeitraum.",
                sheet=self.sheet,
                row=field.row + 1,
                column=field.label,
                found=shown(field.text),
                expected=wanted_period(self.layout.period),
            )
        titles = [text for row in grid.rows[: field.row] for text in row if text.strip()]
        for where, found in (
            ("der Titel", [one for text in titles for one in find_periods(text, self.layout.period)]),
            ("der Dateiname", periods_in_name(self.source.file_name, self.layout.period)),
        ):
            other = next((one for one in found if one != code), None)
            if other is not None:
                raise self.report.error(
                    "period.contradiction",
                    f"{self._in(field)} steht {spell_period(code)}, {where} nennt aber {spell_period(other)}.",
                    sheet=self.sheet,
                    row=field.row + 1,
                    column=field.label,
                    found=other,
                    expected=code,
                )
        return code

    def _territory(self, field: _Value, name: _Value | None) -> str:
        text = clean(field.text)
        self.places.put(self.sheet, "territory_code", field.column)
        if is_date(text):
            typed = probable_key(text, self.layout.key_width)
            hint = f"; vermutlich stand dort „{typed}“" if typed else ""
            raise self.report.error(
                "key.is_a_date",
                f"{self._in(field)} steht das Datum „{shown(text)}“ statt des Schlüssels{hint}.",
                sheet=self.sheet,
                row=field.row + 1,
                column=field.label,
                found=shown(text),
                expected=typed,
            )
        code = complete(text, self.layout.key_width)
        own = from_regional_key(code, self.contract.levels) or ""
        if not self._is_key(own) and (name is None or self.context.unit_code(clean(name.text)) is None):
            raise self.report.error(
                "key.invalid",
                f"{self._in(field)} steht „{text}“, das ist kein amtlicher Gebietsschlüssel.",
                sheet=self.sheet,
                row=field.row + 1,
                column=field.label,
                found=text,
                expected=self._expected_keys(),
            )
        other = next((key for key in keys_in_name(self.source.file_name) if key != own), None)
        if other is not None and self._is_key(own):
            raise self.report.error(
                "key.contradiction",
                f"{self._in(field)} steht {code}, der Dateiname nennt aber {other}.",
                sheet=self.sheet,
                row=field.row + 1,
                column=field.label,
                found=other,
                expected=code,
            )
        return code

    def _in(self, field: _Value) -> str:
        return f"In Zelle {field.cell} („{field.label}“) auf dem Blatt „{self.sheet}“"

    def _check_missing(self, values: list[_Value], period: str) -> None:
        """Every agreed label must occur, in the block or in the table."""
        missing = [
            text
            for text, found in self.layout.labels.items()
            if found is not None and normalise(text) not in self._dictionary.used
        ]
        due = set(self._dictionary.missing(list(self._seen()), [period]))
        for text in missing:
            same = [one for one, found in self.layout.labels.items() if found and found == self.layout.labels[text]]
            if text in self.layout.optional or any(normalise(one) in self._dictionary.used for one in same):
                continue
            if self.layout.labels[text] and text not in due:
                continue
            raise self.report.error(
                "header.missing_column",
                f"Auf dem Blatt „{self.sheet}“ fehlt „{text}“{instead(text, self._unknown)}.",
                sheet=self.sheet,
                column=text,
                expected=text,
            )

    def _seen(self) -> Iterator[dict[str, str]]:
        for text, found in self.layout.labels.items():
            if found and normalise(text) in self._dictionary.used:
                yield found

    def _is_optional(self, value: _Value) -> bool:
        optional = {normalise(text) for text in self.layout.optional}
        return any(normalise(part) in optional for part in (value.label, *value.label.split(" / ")))


def _label(text: str) -> str:
    return normalise(text.strip().rstrip(":"))


def _where(grid: Grid, wanted: set[str]) -> Iterator[tuple[int, int]]:
    for index, row in enumerate(grid.rows):
        for position, text in enumerate(row):
            if text.strip() and _label(text) in wanted:
                yield index, position
