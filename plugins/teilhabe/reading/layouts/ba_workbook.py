"""Reader for the employment agency's workbook "Arbeitsmarkt kommunal": one municipality, years side by side.

The sheet is a stack of blocks in which the same labels repeat, so a label counts within its block only. The key
stands in the line under the title and in the file's name; the two must agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from teilhabe.contract.layouts import BaWorkbook, Block
from teilhabe.errors import Evidence
from teilhabe.findings.saying import PLACE
from teilhabe.reading.cells.keys import keys_in_name
from teilhabe.reading.cells.labels import Dictionary, clean, instead, normalise
from teilhabe.reading.cells.periods import parse_period
from teilhabe.reading.files.grid import Grid, is_numbering, sheet_grid, sheet_name
from teilhabe.reading.files.source import Source, cell_text
from teilhabe.reading.layouts.base import Columns, Reading, repeat
from teilhabe.reading.layouts.overhang import slipped_rows

_TERRITORY = re.compile(r"(\d{8}|\d{5})\s+(\S.*)$")
_HEADER = "merkmale"
_LABEL_COLUMNS = 2
_PART = frozenset({"dar", "darunter", "davon", ""})
_SEARCHED = 30


@dataclass
class _Row:
    """A row of numbers: its index, its label's coordinates, and the period template of its block."""

    index: int
    coordinates: dict[str, str]
    template: str


class BaWorkbookReading(Reading):
    layout: BaWorkbook
    checks_levels = True

    @classmethod
    def refuses(cls, layout: BaWorkbook, source: Source) -> str | None:
        if not source.is_workbook:
            return source.kind_de
        name = sheet_name(source, layout.sheet)
        if name is None:
            return f"kein Tabellenblatt „{layout.sheet}“"
        rows = source.sheets[name][:_SEARCHED]
        if not any(_TERRITORY.match(clean(cell_text(row[0]))) for row in rows if row):
            return f"auf dem Blatt „{name}“ keine Zeile mit Gemeindeschlüssel und Namen"
        if not any(normalise(cell_text(row[0])) == _HEADER for row in rows if row):
            return f"auf dem Blatt „{name}“ keine Kopfzeile „Merkmale“"
        return None

    def _tidy(self) -> Iterator[Columns]:
        name = sheet_name(self.source, self.layout.sheet)
        assert name is not None  # noqa: S101 - refuses() has looked
        self.sheet = name
        self.tell_twins(
            other
            for other, cells in self.source.sheets.items()
            if other != name and any(row and normalise(cell_text(row[0])) == _HEADER for row in cells[:_SEARCHED])
        )
        grid = sheet_grid(self.source, name, self.layout.numbers)
        code, territory = self._territory(grid)
        top = next(i for i, row in enumerate(grid.rows) if row and normalise(row[0]) == _HEADER)
        years = self._years(grid, top)
        rows = list(self._rows(grid, top, list(years)))
        numbered = ((row.index + 1, grid.rows[row.index], years) for row in rows)
        slipped = slipped_rows(numbered, max(years) + 1, self)
        rows = [row for row in rows if row.index + 1 not in slipped]
        places = [(row, column) for row in rows for column in years]
        if not places:
            return
        cells = pa.array([grid.rows[row.index][column] for row, column in places], pa.string())
        numbers = pa.array([row.index + 1 for row, _ in places], pa.int32())
        converted = self.convert(cells, numbers, lambda i: str(places[i][1] + 1), lambda i: places[i][1] + 1)
        columns: Columns = {
            "territory_code": repeat(code, len(places)),
            "territory_name": repeat(territory, len(places)),
            "period_code": pa.array([parse_period(years[column], row.template) for row, column in places], pa.string()),
        }
        for name in sorted({name for row in rows for name in row.coordinates}):
            texts = [row.coordinates.get(name, "total") for row, _ in places]
            columns[name] = pa.array(texts, pa.string())
        columns |= {"value": converted.value, "obs_status": converted.obs_status, "conf_status": converted.conf_status}
        columns["_row_number"] = numbers
        columns["_column_number"] = pa.array([column + 1 for _, column in places], pa.int32())
        yield columns

    def _territory(self, grid: Grid) -> tuple[str, str]:
        index, found = next(
            (i, match) for i, row in enumerate(grid.rows) if row and (match := _TERRITORY.match(clean(row[0])))
        )
        code, in_name = found[1], set(keys_in_name(self.source.file_name))
        if in_name - {code}:
            other = sorted(in_name - {code})[0]
            raise self.report.error(
                "key.contradiction",
                f"In Zelle A{index + 1} steht die Gemeinde {code}, der Dateiname nennt aber {other}.",
                sheet=self.sheet,
                row=index + 1,
                column="A",
                found=other,
                expected=code,
            )
        if not in_name:
            self.report.note(
                "warning",
                "file.name_without_key",
                f"Der Dateiname nennt keinen Gemeindeschlüssel; gelesen wurde {code} aus Zelle A{index + 1}.",
                sheet=self.sheet,
                row=index + 1,
                column="A",
                found=self.source.file_name,
                expected=code,
            )
        return code, found[2].partition("(Gebietsstand")[0].rstrip()

    def _years(self, grid: Grid, top: int) -> dict[int, str]:
        """Position -> year; the workbook's own year, above the header, must be the last of them."""
        years = {
            position: text
            for position, text in enumerate(grid.rows[top])
            if position >= _LABEL_COLUMNS and text.strip() and parse_period(text, "{year}")
        }
        other = [
            (position, text)
            for position, text in enumerate(grid.rows[top])
            if position >= _LABEL_COLUMNS and text.strip() and position not in years
        ]
        if not years or other:
            found = other[0][1] if other else ""
            raise self.report.error(
                "period.not_found",
                f"{PLACE}Hier steht „{found}“; in dieser Zeile müssen Jahre stehen.",
                sheet=self.sheet,
                row=top + 1,
                column=str(other[0][0] + 1) if other else None,
                found=found,
                expected="Jahre nebeneinander",
            )
        if len(set(years.values())) < len(years):
            raise self.report.error(
                "header.duplicate_column",
                f"{PLACE}In dieser Zeile steht ein Jahr zweimal.",
                sheet=self.sheet,
                row=top + 1,
            )
        said = next((row[0] for row in grid.rows[:top] if row and parse_period(row[0], "{year}")), None)
        if said is not None and said != max(years.values()):
            raise self.report.error(
                "period.contradiction",
                f"Über der Tabelle steht das Jahr {said}, das letzte Jahr der Kopfzeile ist aber {max(years.values())}.",
                sheet=self.sheet,
                row=top + 1,
                found=max(years.values()),
                expected=said,
            )
        return years

    def _rows(self, grid: Grid, top: int, years: list[int]) -> Iterator[_Row]:
        """The rows of the agreed blocks; blocks and labels that are missing are refused, unknown ones told."""
        agreed = {_heading(text): (text, block) for text, block in self.layout.blocks.items()}
        unknown: dict[str, int] = {}
        strange: list[str] = []
        seen: set[str] = set()
        current: Block | None = None
        dictionary = Dictionary({})
        where = top
        for index in range(top + 1, len(grid.rows)):
            row = grid.rows[index]
            if any(text.startswith("©") for text in row) or row[0].startswith("*)"):
                break
            if not any(text.strip() for text in row) or is_numbering(row):
                continue
            label = clean(row[1]) if row[1].strip() else clean(row[0])
            is_heading = (
                not row[1].strip()
                and not any(row[column].strip() for column in years)
                and _heading(row[0]) not in {normalise(text) for text in dictionary.labels}
            )
            if is_heading:
                self._check_block(current, dictionary, where, strange)
                strange = []
                found = agreed.get(_heading(row[0]))
                current, dictionary, where = None, Dictionary({}), index
                if found is None:
                    unknown.setdefault(clean(row[0]), index)
                    continue
                seen.add(found[0])
                current = found[1]
                if current is not None:
                    dictionary = Dictionary(current.labels, current.optional, self.layout.validity)
                continue
            if current is None or (row[1].strip() and normalise(row[0]) not in _PART):
                continue
            if label not in dictionary:
                strange.append(label)
                self.tell_unknown_label(label, [index + 1], None, 1 if row[1].strip() else 0)
                continue
            coordinates = dictionary[label]
            if coordinates is not None:
                yield _Row(index, coordinates, current.period or self.layout.period)
        self._check_block(current, dictionary, where, strange)
        self._check_blocks(seen, unknown)

    def _check_block(self, block: Block | None, dictionary: Dictionary, row: int, strange: list[str]) -> None:
        if block is None:
            return
        self.texts_used |= dictionary.used
        optional = set(block.optional)
        for text, found in block.labels.items():
            if found is not None and text not in optional and normalise(text) not in dictionary.used:
                same = [one for one, other in block.labels.items() if found and other == found and one != text]
                if any(normalise(one) in dictionary.used for one in same) or text in self.layout.validity:
                    continue
                raise self.report.error(
                    "header.missing_column",
                    f"Im Block ab Zeile {row + 1} fehlt die Zeile „{text}“{instead(text, strange)}.",
                    sheet=self.sheet,
                    row=row + 1,
                    column=text,
                    expected=text,
                )

    def _check_blocks(self, seen: set[str], unknown: dict[str, int]) -> None:
        for text, block in self.layout.blocks.items():
            if text not in seen and block is not None:
                raise self.report.error(
                    "header.missing_column",
                    f"Es fehlt der Block „{text}“{instead(text, unknown)}.",
                    sheet=self.sheet,
                    column=text,
                    found=next(iter(unknown), None),
                    expected=text,
                )
        for text, row in unknown.items():
            self.report.rows(
                "warning",
                "label.unknown",
                "die Überschrift „{found}“ ist nicht vereinbart; was darunter steht, wird nicht geladen",
                [Evidence(row + 1, "1", text)],
                sheet=self.sheet,
                expected="eine vereinbarte Überschrift",
                apart=text,
            )


def _heading(text: str) -> str:
    return normalise(text)
