"""Readers for the municipality register (GV-ISys): fixed width GV100AD and the yearly workbook, with the same columns.

Positions are those of the record description GV100AD: record types 10 state, 20 region, 30 planning region, 40 county,
50 association, 60 municipality. The date of the population is not in the fixed-width file (that of the 4th quarter of 2024 carries
the population of 2023): it is recognised by populations that are known; else it is taken to be the date of the territory
at the end of a year, and unknown within a year.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa

from teilhabe.codes.wording import spell_period
from teilhabe.contract.layouts import Gv100ad, RegisterXlsx
from teilhabe.errors import Evidence
from teilhabe.reading.cells.headings import (
    NO_NUMBER,
    day_above,
    find_columns,
    find_day,
    headings,
    plain_number,
    square_metres,
)
from teilhabe.reading.cells.labels import instead
from teilhabe.reading.files.source import Cell, Source, cell_text
from teilhabe.reading.files.text import is_blank
from teilhabe.reading.layouts.base import Columns, Reading

_RECORD = re.compile(r"(10|20|30|40|50|60)\d{8}\d\d")
_RECORD_LENGTH = 220
_RECORD_TYPES = ("10", "20", "30", "40", "50", "60")
_MUNICIPALITY = "60"
_NEARLY_ALL = 0.9
_SQUARE_KILOMETRE = 1_000_000
_HEADER_ROWS = 30

Row = dict[str, str | int | None]


class _RegisterReading(Reading):
    def _table(self, rows: list[Row]) -> Columns:
        columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in self.contract.column_names}
        columns["_row_number"] = pa.array([row["_row_number"] for row in rows], pa.int32())
        columns["_column_number"] = pa.repeat(pa.scalar(0, pa.int32()), len(rows))
        return columns

    def _number(self, text: str, row: int, column: str, shift: int = 0) -> str | None:
        """A number that is not negative, as canonical text; null where the office has none, and a finding where it is no number."""
        text = text.strip()
        if not text or text in NO_NUMBER:
            return None
        number = plain_number(text)
        if number is None or number < 0:
            self.report.rows(
                "critical",
                "value.not_a_number",
                "„{found}“ ist keine Zahl",
                [Evidence(row, column, text)],
                column=column,
                sheet=self.sheet,
                expected="eine Zahl",
            )
            return None
        return format(number.scaleb(shift), "f")


def _with_blanks_at_the_end(lines: list[str]) -> list[str]:
    """The records at their full length where an editor took the blanks off the end of all lines: no column has moved.

    The last one stays as it is where others of its kind go on longer: then the file may end too early.
    """
    records = [line for line in lines if _RECORD.match(line)]
    shorter = sum(len(line) < _RECORD_LENGTH for line in records)
    if shorter < 2 or any(len(line) > _RECORD_LENGTH or line[-1:].isspace() for line in records):
        return lines
    alike = [len(line) for line in records[:-1] if line[:2] == records[-1][:2]]
    is_whole = bool(alike) and len(records[-1]) >= min(alike)
    whole = lines if is_whole else lines[:-1]
    return [line.ljust(_RECORD_LENGTH) if _RECORD.match(line) else line for line in whole] + lines[len(whole) :]


class Gv100adReading(_RegisterReading):
    layout: Gv100ad

    @classmethod
    def refuses(cls, layout: Gv100ad, source: Source) -> str | None:
        if source.kind != "text":
            return source.kind_de
        first = source.head_lines[0]
        return None if _RECORD.match(first) else "die erste Zeile beginnt nicht mit einer Satzart"

    def _tidy(self) -> Iterator[Columns]:
        rows = []
        lines = list(self.source.lines)
        while lines and is_blank(lines[-1]):
            lines.pop()
        lines = _with_blanks_at_the_end(lines)
        for record, line in enumerate(lines, start=1):
            number = self.source.row(record)
            if is_blank(line):
                continue
            if not _RECORD.match(line) or len(line) != _RECORD_LENGTH:
                if record == len(lines) and _RECORD.match(line):
                    raise self.report.error(
                        "file.truncated",
                        f"Die letzte Zeile {number} hat nur {len(line)} von {_RECORD_LENGTH} Zeichen, "
                        "die Datei ist unvollständig übertragen.",
                        row=number,
                        found=f"{len(line)} Zeichen",
                        expected=f"{_RECORD_LENGTH} Zeichen",
                    )
                self.report.rows(
                    "critical",
                    "row.ragged",
                    f"die Zeile ist kein Satz des GV100AD mit {_RECORD_LENGTH} Zeichen („{{found}}“)",
                    [Evidence(number, None, f"{line[:20]}, {len(line)} Zeichen")],
                )
                continue
            rows.append(self._record(line, number))
        days = sorted({str(row["period_code"]) for row in rows})
        if len(days) > 1:
            raise self.report.error(
                "period.contradiction",
                f"Die Sätze nennen verschiedene Gebietsstände: {spell_period(days[0])} und {spell_period(days[1])}.",
                found=days[1],
                expected=days[0],
            )
        if days:
            self._date_population(rows, days[0])
        yield self._table(rows)

    def _date_population(self, rows: list[Row], day: str) -> None:
        """The year whose populations these are, where they are known; at the end of a year they may be that year's."""
        known = self._known_population(rows)
        if known is not None:
            for row in rows:
                row["population_period_code"] = known
            self.report.note(
                "info",
                "period.population_recognised",
                f"Der Stichtag der Bevölkerung steht nicht in der Datei; die Zahlen sind die vom {known[8:]}.{known[5:7]}.{known[:4]}.",
                found=known,
            )
        elif day.endswith("-12-31"):
            self.report.note(
                "info",
                "period.population_assumed",
                "Der Stichtag der Bevölkerung steht nicht in der Datei; angenommen wird der Gebietsstand.",
            )
        else:
            for row in rows:
                row.update(dict.fromkeys(("population", "population_male", "population_female")))
            self.report.note(
                "warning",
                "period.population_unknown",
                f"Der Gebietsstand {day[8:]}.{day[5:7]}.{day[:4]} ist kein Jahresende, und der Stichtag der Bevölkerung steht "
                "nicht in der Datei; Gebiete und Flächen werden geladen, die Bevölkerung nicht.",
                found=day,
                expected="ein Gebietsstand vom 31. Dezember",
            )

    def _known_population(self, rows: list[Row]) -> str | None:
        """The 31 December on which nearly all counties had just these inhabitants, according to what is loaded."""
        if self.context.populations is None:
            return None
        sums: dict[str, int] = {}
        for row in rows:
            if row.get("population") is not None:
                county = str(row["territory_code"])[:5]
                sums[county] = sums.get(county, 0) + int(str(row["population"]))
        for year, counties in self.context.populations().items():
            both = [county for county in sums if county in counties]
            if both and sum(sums[county] == counties[county] for county in both) > len(both) * _NEARLY_ALL:
                return f"{year}-12-31"
        return None

    def _record(self, line: str, number: int) -> Row:
        kind, day = line[0:2], f"{line[2:6]}-{line[6:8]}-{line[8:10]}"
        ars = (line[10:15] + line[18:22] + line[15:18]).replace(" ", "")
        row: Row = {
            "record_type": kind,
            "text_code": line[122:124].strip() or None,
            "ars": ars,
            "territory_code": line[10:18] if kind == _MUNICIPALITY else ars,
            "territory_name": line[22:72].strip(),
            "period_code": day,
            "population_period_code": day,
            "_row_number": number,
        }
        if kind == _MUNICIPALITY:
            total = self._number(line[139:150], number, "Bevölkerung insgesamt")
            male = self._number(line[150:161], number, "Bevölkerung männlich")
            row["area_km2"] = self._number(line[128:139], number, "Fläche", shift=-2)
            row["population"] = _whole(total)
            row["population_male"] = _whole(male)
            if total is not None and male is not None:
                row["population_female"] = str(int(total) - int(male))
        return row


def _whole(number: str | None) -> str | None:
    return None if number is None else str(int(number))


_COLUMNS = {
    "record_type": ("satzart",),
    "text_code": ("textkennzeichen", "textkz"),
    "land": ("land", "bundesland"),
    "rb": ("rb", "regbez", "regierungsbezirk"),
    "kreis": ("kreis", "krs"),
    "vb": ("vb", "vg", "verband", "gemeindeverband", "verbandsgemeinde"),
    "gem": ("gem", "gemeinde"),
    "territory_name": ("gemeindename", "name", "gebietsname", "namedergemeinde", "gebiet"),
    "area_km2": ("flaeche", "gebietsflaeche", "katasterflaeche"),
    "population": ("insgesamt", "bevoelkerunginsgesamt", "einwohnerinsgesamt"),
    "population_male": ("maennlich", "bevoelkerungmaennlich"),
    "population_female": ("weiblich", "bevoelkerungweiblich"),
}
"""Column -> what editions have called it. Whoever is told that one is missing is told the name on the left of ``_NAMES``."""
_NAMES = {
    "record_type": "Satzart",
    "text_code": "Textkennzeichen",
    "land": "Land",
    "rb": "RB (Regierungsbezirk)",
    "kreis": "Kreis",
    "vb": "VB (Verband)",
    "gem": "Gem (Gemeinde)",
    "territory_name": "Gemeindename",
    "area_km2": "Fläche km²",
    "population": "Bevölkerung insgesamt",
    "population_male": "Bevölkerung männlich",
    "population_female": "Bevölkerung weiblich",
}
_KEY_PARTS = {"land": 2, "rb": 1, "kreis": 2, "vb": 4, "gem": 3}
"""The parts of the regional key and their widths."""
_PARTS_OF_RECORDS = {
    "10": ("land",),
    "20": ("land", "rb"),
    "30": ("land", "rb", "kreis"),
    "40": ("land", "rb", "kreis"),
    "50": ("land", "rb", "kreis", "vb"),
    "60": ("land", "rb", "kreis", "vb", "gem"),
}


class RegisterXlsxReading(_RegisterReading):
    layout: RegisterXlsx

    @classmethod
    def refuses(cls, layout: RegisterXlsx, source: Source) -> str | None:
        if not source.is_workbook:
            return source.kind_de
        if _sheet(source) is None:
            return "kein Tabellenblatt mit den Spalten Satzart und Textkennzeichen"
        return None

    def _tidy(self) -> Iterator[Columns]:
        found = _sheet(self.source)
        assert found is not None  # noqa: S101 - refuses() has looked
        name, top = found
        self.sheet = name
        self.tell_twins(one for one in self.source.sheets if one != name and _sheet(self.source.showing(one)))
        cells = self.source.sheets[name]
        positions = self._positions(cells[top : top + _HEADER_ROWS], name)
        kind = positions["record_type"]
        first = next((i for i in range(top + 1, len(cells)) if cell_text(cells[i][kind]) in _RECORD_TYPES), len(cells))
        self.columns_read = frozenset(positions.values())
        self._check_area(cells[top:first], positions["area_km2"], name)
        territory, population = self._dates(cells, (top, first), positions, name)
        rows = []
        for index in range(first, len(cells)):
            texts = {column: cell_text(cells[index][at]).strip() for column, at in positions.items()}
            if texts["record_type"] not in _RECORD_TYPES:
                if any(texts[part] for part in ("land", "kreis")):
                    self.report.rows(
                        "critical",
                        "row.ragged",
                        "„{found}“ ist keine Satzart",
                        [Evidence(index + 1, "Satzart", texts["record_type"])],
                        sheet=name,
                        expected=", ".join(_RECORD_TYPES),
                    )
                continue
            self._check_key(texts, index + 1)
            self._check_sum(row := self._row(texts, index + 1, territory, population))
            rows.append(row)
        if rows:
            yield self._table(rows)

    def _positions(self, header: list[list[Cell]], sheet: str) -> dict[str, int]:
        end = next((i for i, row in enumerate(header) if any(cell_text(c) in _RECORD_TYPES for c in row[:10])), None)
        positions = find_columns(header[:end], _COLUMNS)
        missing = next((name for column, name in _NAMES.items() if column not in positions), None)
        if missing:
            width = max(map(len, header[:end]), default=0)
            others = [at for at in range(width) if at not in positions.values()]
            unknown = [text for at in others for row in header[:end] if at < len(row) and (text := cell_text(row[at]))]
            raise self.report.error(
                "header.missing_column",
                f"Auf dem Blatt „{sheet}“ fehlt im Tabellenkopf die Spalte „{missing}“{instead(missing, unknown)}.",
                sheet=sheet,
                column=missing,
                expected=missing,
            )
        return positions

    def _check_area(self, header: list[list[Cell]], at: int, sheet: str) -> None:
        """The area in square kilometres, or what else it is in: it is never converted silently, and never guessed."""
        units = {unit for row in header if (unit := square_metres(cell_text(row[at])))}
        if units != {_SQUARE_KILOMETRE}:
            said = next((" ".join(t.split()) for row in header if "fläche" in (t := cell_text(row[at])).casefold()), "")
            raise self.report.error(
                "header.unit",
                f"Auf dem Blatt „{sheet}“ steht über der Fläche „{said}“; vereinbart sind Quadratkilometer (km²).",
                sheet=sheet,
                column=_NAMES["area_km2"],
                found=said,
                expected="km²",
            )

    def _dates(
        self, cells: list[list[Cell]], rows: tuple[int, int], positions: dict[str, int], sheet: str
    ) -> tuple[str, str]:
        """Day of the territory (above the key) and of the population (above the population): they may differ.

        An edition that leaves one out has it in its title; a title within a year says nothing about the population.
        """
        top, first = rows
        merges = self.source.merges.get(sheet, [])
        title = next((day for row in cells[:top] for cell in row if (day := find_day(cell_text(cell)))), None)
        days = []
        for column in ("land", "population"):
            day = day_above(cells, merges, top, first, positions[column])
            if day is None and title and (column == "land" or title.endswith("-12-31")):
                day = title
            if day is None:
                raise self.report.error(
                    "period.not_found",
                    f"Auf dem Blatt „{sheet}“ steht über der Spalte „{_NAMES[column]}“ und in der Überschrift kein Stichtag.",
                    sheet=sheet,
                    expected="Stichtag TT.MM.JJJJ",
                )
            days.append(day)
        return days[0], days[1]

    def _check_key(self, texts: dict[str, str], number: int) -> None:
        """Each kind of record has its own parts of the key: without one of them it would be another unit."""
        for part in _PARTS_OF_RECORDS[texts["record_type"]]:
            if not texts[part].isdecimal() or not texts[part].isascii() or len(texts[part]) > _KEY_PARTS[part]:
                self.report.rows(
                    "critical",
                    "key.invalid",
                    "„{found}“ ist kein Teil eines Regionalschlüssels",
                    [Evidence(number, _NAMES[part], texts[part] or "leer")],
                    column=_NAMES[part],
                    sheet=self.sheet,
                    expected=f"bis zu {_KEY_PARTS[part]} Ziffern",
                )

    def _check_sum(self, row: Row) -> None:
        total, *parts = (row[name] for name in ("population", "population_male", "population_female"))
        if total is not None and None not in parts and Decimal(str(total)) != sum(Decimal(str(part)) for part in parts):
            self.report.rows(
                "critical",
                "sum.parts",
                "Die Bevölkerung insgesamt („{found}“) ist nicht die Summe aus männlich und weiblich",
                [Evidence(int(str(row["_row_number"])), _NAMES["population"], str(total))],
                column=_NAMES["population"],
                sheet=self.sheet,
                expected="männlich und weiblich zusammen",
            )

    def _row(self, texts: dict[str, str], number: int, territory: str, population: str) -> Row:
        kind = texts["record_type"]
        # Excel may have made numbers of the parts: each has its own width.
        parts = {name: texts[name].zfill(width) if texts[name] else "" for name, width in _KEY_PARTS.items()}
        ars = "".join(parts.values())
        row: Row = {
            "record_type": kind,
            "text_code": texts["text_code"] or None,
            "ars": ars,
            "territory_code": ars[:5] + parts["gem"] if kind == _MUNICIPALITY else ars,
            "territory_name": texts["territory_name"],
            "period_code": territory,
            "population_period_code": population,
            "_row_number": number,
        }
        for column in ("area_km2", "population", "population_male", "population_female"):
            row[column] = self._number(texts[column], number, _NAMES[column])
        return row


def _sheet(source: Source) -> tuple[str, int] | None:
    """The sheet of the register and the first row of its header, by the header's texts: the name differs each year."""
    for name, cells in source.sheets.items():
        for index, row in enumerate(cells[:_HEADER_ROWS]):
            texts = {text for cell in row[:10] for text in headings(cell_text(cell))}
            if {"satzart", "textkennzeichen"} <= texts:
                return name, index
    return None
