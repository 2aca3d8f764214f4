"""Reader for the yearly list of territorial changes: an xls or xlsx with a cover sheet, a two-row header and footnotes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa

from teilhabe.contracts import TerritorialChanges
from teilhabe.errors import Evidence
from teilhabe.reading.base import Columns, Reading
from teilhabe.reading.labels import normalise
from teilhabe.reading.periods import parse_period
from teilhabe.reading.source import Cell, Source, cell_text

_CHANGE_ID = re.compile(r"(\d{2}|stba)/\d{4}/\d{4}-[A-Z]")
_TITLE = re.compile(r"Gebietsänderungen vom .*(\d{4})\s*$")
_HEADERS = (
    ("change_id", ("kennziffer",)),
    ("unit_type", ("regionaleinheit",)),
    ("old_ars", ("regionalschluesselrs", "amtlicherregionalschluesselars")),
    ("old_code", ("amtlichergemeindeschluesselags",)),
    ("old_name", ("name",)),
    ("change_type", ("aenderungsart",)),
    ("area_m2", ("flaecheqm",)),
    ("population", ("einwohner",)),
    ("new_ars", ("regionalschluesselrs", "amtlicherregionalschluesselars")),
    ("new_code", ("amtlichergemeindeschluesselags",)),
    ("new_name", ("name",)),
    ("legal_date", ("juristisch",)),
    ("statistical_date", ("statistisch",)),
)
"""The columns from left to right: the first eight belong to the municipality that gives, the rest to the one that takes."""


class TerritorialChangesReading(Reading):
    layout: TerritorialChanges

    @classmethod
    def refuses(cls, layout: TerritorialChanges, source: Source) -> str | None:
        if not source.is_workbook:
            return source.kind_de
        return None if _sheet(source) else "kein Tabellenblatt mit der Spalte Kennziffer und Änderungen"

    def _tidy(self) -> Iterator[Columns]:
        found = _sheet(self.source)
        assert found is not None  # noqa: S101 - refuses() has looked
        sheet, top = found
        cells = self.source.sheets[sheet]
        first = next((i for i in range(top + 1, len(cells)) if _is_change(cells[i])), len(cells))
        self._check_header(cells[top:first], sheet)
        year = self._year(cells[:first], sheet)
        rows = [self._row(cells[i], i + 1, year, sheet) for i in range(first, len(cells)) if _is_change(cells[i])]
        lost = [
            Evidence(i + 1, "Kennziffer", cell_text(cells[i][0]))
            for i in range(first, len(cells))
            if not _is_change(cells[i]) and any(cell_text(cell) for cell in cells[i][1:])
        ]
        if lost:
            self.report.rows(
                "critical", "row.ragged", "„{found}“ ist keine Kennziffer einer Änderung", lost, sheet=sheet
            )
        if not rows:
            return
        columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in self.contract.column_names}
        columns["_row_number"] = pa.array([row["_row_number"] for row in rows], pa.int32())
        columns["_column_number"] = pa.repeat(pa.scalar(0, pa.int32()), len(rows))
        yield columns

    def _check_header(self, header: list[list[Cell]], sheet: str) -> None:
        for position, (_, texts) in enumerate(_HEADERS):
            above = {normalise(cell_text(row[position])) for row in header if position < len(row)}
            if not above & set(texts):
                raise self.report.error(
                    "header.missing_column",
                    f"Auf dem Blatt „{sheet}“ steht in Spalte {position + 1} nicht „{texts[0]}“.",
                    sheet=sheet,
                    column=str(position + 1),
                    found=", ".join(sorted(text for text in above if text)),
                    expected=texts[0],
                )

    def _year(self, rows: list[list[Cell]], sheet: str) -> str:
        for row in rows:
            found = _TITLE.search(cell_text(row[0]).strip())
            if found:
                return found[1]
        raise self.report.error(
            "period.not_found",
            f"Auf dem Blatt „{sheet}“ fehlt die Überschrift „Gebietsänderungen vom … bis …“ mit dem Jahr.",
            sheet=sheet,
            expected="Gebietsänderungen vom TT.MM. - TT.MM.JJJJ",
        )

    def _row(self, cells: list[Cell], number: int, year: str, sheet: str) -> dict[str, str | int | None]:
        row: dict[str, str | int | None] = {"period_code": year, "_row_number": number}
        for position, (name, _) in enumerate(_HEADERS):
            text = cell_text(cells[position]).strip()
            if name.endswith("_date"):
                day = parse_period(text.split("T")[0], "{date}")
                if day is None and text:
                    self.report.rows(
                        "critical",
                        "value.not_a_date",
                        "„{found}“ ist kein Datum",
                        [Evidence(number, name, text)],
                        column=name,
                        sheet=sheet,
                        expected="TT.MM.JJJJ",
                    )
                row[name] = day
            elif name in ("area_m2", "population") and text and not text.isdigit():
                self.report.rows(
                    "critical",
                    "value.not_a_number",
                    "„{found}“ ist keine ganze Zahl",
                    [Evidence(number, name, text)],
                    column=name,
                    sheet=sheet,
                    expected="eine ganze Zahl",
                )
                row[name] = None
            elif name.endswith(("_ars", "_code")):
                row[name] = _key(text, name) or None
            else:
                row[name] = text or None
        return row


def _key(text: str, name: str) -> str:
    """A key with the leading zero that Excel takes from a number: ARS of 5, 9 or 12 digits, AGS of 5 or 8."""
    short = (4, 8, 11) if name.endswith("_ars") else (4, 7)
    return text.zfill(len(text) + 1) if text.isascii() and text.isdigit() and len(text) in short else text


def _is_change(cells: list[Cell]) -> bool:
    return bool(_CHANGE_ID.fullmatch(cell_text(cells[0]).strip()))


def _sheet(source: Source) -> tuple[str, int] | None:
    for name, cells in source.sheets.items():
        for index, row in enumerate(cells[:20]):
            if normalise(cell_text(row[0])) == "kennziffer":
                return name, index
    return None
