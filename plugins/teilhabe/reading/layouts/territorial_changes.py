"""Reader for the yearly list of territorial changes: an xls or xlsx with a cover sheet, header rows and footnotes.

Since 2006 areas are in square metres, before in hectares; all become square metres. Columns are found by their texts: the
left ones belong to the unit that gives, the right ones to the unit that takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from teilhabe.contract.layouts import TerritorialChanges
from teilhabe.errors import Evidence
from teilhabe.reading.cells.headings import NO_NUMBER, find_day, headings, plain_number, square_metres, without_mark
from teilhabe.reading.cells.labels import instead, normalise
from teilhabe.reading.files.grid import is_numbering
from teilhabe.reading.files.source import Cell, Source, cell_text
from teilhabe.reading.layouts.base import Columns, Reading

_CHANGE_ID = re.compile(r"(\d{2}|stba)/\d{4}/\d{1,5}(?:-[A-Z])?", re.IGNORECASE)
_KEY = re.compile(r"[0-9]{4,8}")
_RUNNING_NUMBER = re.compile(r"\d{1,5}")
_TITLE = re.compile(r"(?:gebiets|namens|grenz|schlüssel)[^\n]{0,200}änderungen", re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d{2}(?!\d)")
_DATE_IN_TITLE = re.compile(r"\d{1,2}\.\s?\d{1,2}\.\s?(?=\d{4})")
_HEADER_ROWS = 20
_ID_COLUMN = ("kennziffer", "laufendenummer", "lfdnr", "laufendenr", "lfdnummer")
_ARS = (
    "regionalschluesselrs",
    "amtlicherregionalschluesselars",
    "amtlicherregionalschluessel",
    "regionalschluessel",
    "ars",
    "rs",
)
_AGS = (
    "amtlichergemeindeschluesselags",
    "amtlichergemeindeschluessel",
    "gemeindeschluesselags",
    "gemeindeschluessel",
    "ags",
)
_NAME = ("name", "gemeindename", "namedergemeinde")

_DAYS = ("statistisch", "wirksamkeitsdatumstatistisch", "wirksamkeitsdatum", "datum", "wirksamab", "rechtswirksamab")
"""Old lists have one day only; in the others ``Wirksamkeitsdatum`` stands over both, so the first of these counts."""
_IN_WORDS = {"aufloesung": "1", "teilausgliederung": "2", "schluesselaenderung": "3", "namensaenderung": "4"}


@dataclass(frozen=True)
class _Heading:
    column: str
    label: str
    texts: tuple[str, ...]
    required: bool = True


_HEADINGS = (
    _Heading("change_id", "Kennziffer", _ID_COLUMN),
    _Heading("unit_type", "Regionaleinheit", ("regionaleinheit", "gebietseinheit", "einheit"), required=False),
    _Heading("old_ars", "Amtlicher Regionalschlüssel (ARS)", _ARS, required=False),
    _Heading("old_code", "Amtlicher Gemeindeschlüssel (AGS)", _AGS),
    _Heading("old_name", "Name", _NAME),
    _Heading("change_type", "Änderungsart", ("aenderungsart", "artderaenderung")),
    _Heading("area_m2", "Fläche", ("flaeche", "gebietsflaeche")),
    _Heading("population", "Einwohner", ("einwohner", "einwohnerzahl", "bevoelkerung")),
    _Heading("new_ars", "Amtlicher Regionalschlüssel (ARS)", _ARS, required=False),
    _Heading("new_code", "Amtlicher Gemeindeschlüssel (AGS)", _AGS),
    _Heading("new_name", "Name", _NAME),
    _Heading(
        "legal_date", "Wirksamkeitsdatum juristisch", ("juristisch", "wirksamkeitsdatumjuristisch"), required=False
    ),
    _Heading("statistical_date", "Wirksamkeitsdatum statistisch", _DAYS),
)
"""The columns from left to right."""
_LABELS = {heading.column: heading.label for heading in _HEADINGS}
_KEY_LENGTHS = (5, 8, 9, 12)
"""County, municipality, association, municipality with its association; regions (``031``) are renamed, too, but hold nobody."""


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
        sheet, top, self._id_at = found
        self.sheet = sheet
        self.tell_twins(one for one in self.source.sheets if one != sheet and _sheet(self.source.showing(one)))
        cells = self.source.sheets[sheet]
        self._has_full_numbers = any(
            _CHANGE_ID.fullmatch(without_mark(cell_text(row[self._id_at]))) for row in cells[top + 1 :]
        )
        first = next((i for i in range(top + 1, len(cells)) if self._change_id(cells[i])), len(cells))
        self._positions = self._find_columns(cells[top:first], sheet)
        self.columns_read = frozenset(self._positions.values())
        self._factor = self._unit_of_area(cells[top:first], sheet)
        years = self._years(cells[:first], sheet)
        changes = [i for i in range(first, len(cells)) if self._change_id(cells[i])]
        self._tell_lost(cells, top + 1, first, sheet)
        rows = [row for i in changes if (row := self._row(cells[i], i + 1, years)) is not None]
        if not rows:
            return
        columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in self.contract.column_names}
        columns["_row_number"] = pa.array([row["_row_number"] for row in rows], pa.int32())
        columns["_column_number"] = pa.repeat(pa.scalar(0, pa.int32()), len(rows))
        yield columns

    def _change_id(self, cells: list[Cell]) -> str | None:
        text = without_mark(cell_text(cells[self._id_at]))
        if _CHANGE_ID.fullmatch(text):
            return text
        if self._has_full_numbers:
            return None
        # A line that numbers the columns has no names beside its number.
        is_change = _RUNNING_NUMBER.fullmatch(text) and any(
            len(cell_text(cell).strip()) > 2 and not _is_number(cell_text(cell)) for cell in cells[self._id_at + 1 :]
        )
        return text if is_change else None

    def _find_columns(self, header: list[list[Cell]], sheet: str) -> dict[str, int]:
        """Column by name; texts that stand twice belong to the giving unit on the left, to the taking one on the right."""
        width = max((len(row) for row in header), default=0)
        texts = [{t for row in header if at < len(row) for t in headings(cell_text(row[at]))} for at in range(width)]
        positions: dict[str, int] = {}
        middle = next((at for at in range(width) if texts[at].intersection(_texts("change_type"))), None)
        for heading in _HEADINGS:
            side = range(width)
            if heading.column.startswith("old_") and middle is not None:
                side = range(middle)
            elif heading.column.startswith("new_") and middle is not None:
                side = range(middle + 1, width)
            at = next((at for text in heading.texts for at in side if text in texts[at]), None)
            if at is not None:
                positions[heading.column] = at
            elif heading.required:
                whose = {"old": "der abgebenden Gemeinde ", "new": "der aufnehmenden Gemeinde "}
                agreed = {text for one in _HEADINGS for text in one.texts}
                unknown = [
                    text
                    for at in side
                    if not texts[at] & agreed
                    for row in header
                    if at < len(row) and (text := cell_text(row[at]).strip())
                ]
                raise self.report.error(
                    "header.missing_column",
                    f"Auf dem Blatt „{sheet}“ fehlt im Tabellenkopf die Spalte "
                    f"{whose.get(heading.column[:3], '')}„{heading.label}“{instead(heading.label, unknown)}.",
                    sheet=sheet,
                    column=heading.label,
                    expected=heading.label,
                )
        return positions

    def _unit_of_area(self, header: list[list[Cell]], sheet: str) -> int:
        at = self._positions["area_m2"]
        factors = {factor for row in header if (factor := square_metres(cell_text(row[at])))}
        if len(factors) != 1:
            said = next((" ".join(t.split()) for row in header if "fläche" in (t := cell_text(row[at])).casefold()), "")
            raise self.report.error(
                "header.unit",
                f"Auf dem Blatt „{sheet}“ steht über der Fläche „{said}“; ohne Einheit (qm oder ha) ist nicht zu erkennen, wie "
                "groß die Flächen sind.",
                sheet=sheet,
                column=_LABELS["area_m2"],
                found=said,
                expected="Fläche qm oder Fläche ha",
            )
        return factors.pop()

    def _years(self, rows: list[list[Cell]], sheet: str) -> list[str]:
        """The years of the title, of the cover sheet, or the file's name."""
        others = [row for name, cells in self.source.sheets.items() if name != sheet for row in cells[:60]]
        for block in (rows, others):
            for row in block:
                for cell in row:
                    text = " ".join(cell_text(cell).split())
                    if _TITLE.search(text) and (years := _YEAR.findall(_DATE_IN_TITLE.sub("", text))):
                        return sorted(set(years))
        years = _YEAR.findall(self.source.file_name)
        if len(set(years)) == 1:
            return [years[0]]
        raise self.report.error(
            "period.not_found",
            f"Auf dem Blatt „{sheet}“ fehlt die Überschrift „Gebietsänderungen vom … bis …“ mit dem Jahr.",
            sheet=sheet,
            expected="Gebietsänderungen vom TT.MM. - TT.MM.JJJJ",
        )

    def _tell_lost(self, cells: list[list[Cell]], top: int, first: int, sheet: str) -> None:
        """A row with a name or a key but no number of its change would be lost; footnotes stand in one cell only.

        Before the first change stands the header, so there only a row with a key is one that was lost.
        """
        keys = [self._positions[name] for name in ("old_code", "new_code")]
        wanted = [
            self._positions[name] for name in ("old_code", "old_name", "new_code", "new_name", "statistical_date")
        ]
        lost = [
            Evidence(i + 1, _LABELS["change_id"], cell_text(cells[i][self._id_at]))
            for i in range(top, len(cells))
            if i >= first or any(_KEY.fullmatch(cell_text(cells[i][at]).strip()) for at in keys)
            if not self._change_id(cells[i]) and not _is_header(cells[i])
            if sum(bool(cell_text(cells[i][at]).strip()) for at in wanted) > 1
        ]
        if lost:
            self.report.rows(
                "critical", "row.ragged", "„{found}“ ist keine Kennziffer einer Änderung", lost, sheet=sheet
            )

    def _row(self, cells: list[Cell], number: int, years: list[str]) -> dict[str, str | int | None] | None:
        row: dict[str, str | int | None] = {"_row_number": number}
        for name, at in self._positions.items():
            text = cell_text(cells[at]).strip()
            if name.endswith("_date"):
                row[name] = self._day(text, name, number)
            elif name in ("area_m2", "population"):
                row[name] = self._whole(text, name, number)
            elif name.endswith(("_ars", "_code")):
                row[name] = _key(without_mark(text), name) or None
            else:
                row[name] = without_mark(text) or None
        self._check_keys(row, number)
        row["period_code"] = years[0] if len(years) == 1 else str(row["statistical_date"] or "")[:4] or years[-1]
        text = self._change_id(cells) or ""
        # A running number begins anew each year, a change is known by its number alone.
        row["change_id"] = f"{row['period_code']}/{int(text):04d}" if text.isdigit() else text
        row.setdefault("unit_type", "Gemeinde" if row["old_code"] or row["new_code"] else "Gemeindeverband")
        row["change_type"] = _IN_WORDS.get(normalise(str(row["change_type"])), row["change_type"])
        return None if self._is_skipped(row, number) else row

    def _check_keys(self, row: dict[str, str | int | None], number: int) -> None:
        """A regional key holds the municipality's key: where both are there, each vouches for the other."""
        for side in ("old", "new"):
            ars, ags = row.get(f"{side}_ars"), row.get(f"{side}_code")
            if not isinstance(ars, str) or not isinstance(ags, str):
                continue
            if not ars.isdigit() or (len(ars) in (5, 12) and ars[:5] + ars[9:] != ags):
                self.report.rows(
                    "critical",
                    "key.invalid",
                    "„{found}“ gehören nicht zusammen: der Gemeindeschlüssel (AGS) ist im Regionalschlüssel (ARS) enthalten",
                    [Evidence(number, _LABELS["old_ars"], f"{ars} / {ags}")],
                    sheet=self.sheet,
                    expected="ARS und AGS derselben Gemeinde",
                )

    def _is_skipped(self, row: dict[str, str | int | None], number: int) -> bool:
        keys = [str(row[name]) for name in ("old_code", "new_code", "old_ars", "new_ars") if row.get(name)]
        if keys and all(len(key) not in _KEY_LENGTHS and key.isdigit() for key in keys):
            self.report.rows(
                "warning",
                "row.no_municipality",
                "„{found}“ ist keine Gemeinde, kein Gemeindeverband und kein Kreis; die Zeile wird nicht geladen",
                [Evidence(number, _LABELS["unit_type"], f"{row['unit_type'] or ''} {keys[0]}".strip())],
                sheet=self.sheet,
                expected="Gemeinde, Gemeindeverband oder Kreis",
            )
            return True
        if row["change_type"] is None and not row.get("old_code"):
            self.report.rows(
                "warning",
                "row.no_giving_unit",
                "„{found}“ kommt hinzu, ohne dass eine Gemeinde etwas abgibt (keine Änderungsart); die Zeile wird nicht geladen",
                [Evidence(number, _LABELS["new_name"], str(row["new_name"] or ""))],
                sheet=self.sheet,
                expected="eine abgebende Gemeinde",
            )
            return True
        return False

    def _day(self, text: str, name: str, number: int) -> str | None:
        day = find_day(without_mark(text), alone=True)
        if day is None and text:
            self._tell_value("value.not_a_date", "„{found}“ ist kein Datum", name, number, text, "TT.MM.JJJJ")
        return day

    def _whole(self, text: str, name: str, number: int) -> str | None:
        """A whole number; an area in whole square metres, whatever unit the list has."""
        plain = re.sub(r"\s+", "", without_mark(text))
        if not plain or plain in NO_NUMBER:
            return None
        value = plain_number(without_mark(text))
        if value is not None and name == "area_m2":
            value *= self._factor
        if value is None or value < 0 or value != value.to_integral_value():
            self._tell_value("value.not_a_number", "„{found}“ ist keine Zahl", name, number, text, "eine Zahl ab 0")
            return None
        return str(int(value))

    def _tell_value(self, rule: str, sentence: str, name: str, number: int, found: str, expected: str) -> None:
        label = _LABELS[name]
        evidence = [Evidence(number, label, found)]
        self.report.rows("critical", rule, sentence, evidence, column=label, sheet=self.sheet, expected=expected)


def _texts(column: str) -> tuple[str, ...]:
    return next(heading.texts for heading in _HEADINGS if heading.column == column)


def _is_header(cells: list[Cell]) -> bool:
    """A header that is repeated on each page, or the line that numbers the columns."""
    texts = [cell_text(cell) for cell in cells]
    known = {text for heading in _HEADINGS for text in heading.texts}
    return is_numbering(texts) or sum(bool(headings(text) & known) for text in texts) > 1


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[\d\s.,-]*", text))


def _key(text: str, name: str) -> str:
    """A key with the leading zero that Excel takes from a number: ARS of 5, 9 or 12 digits, AGS of 5 or 8."""
    text = re.sub(r"\s+", "", text)
    short = (4, 8, 11) if name.endswith("_ars") else (4, 7)
    return text.zfill(len(text) + 1) if text.isascii() and text.isdigit() and len(text) in short else text


def _sheet(source: Source) -> tuple[str, int, int] | None:
    """Sheet, first header row and column of the change's number."""
    for name, cells in source.sheets.items():
        for index, row in enumerate(cells[:_HEADER_ROWS]):
            for at, cell in enumerate(row[:5]):
                if headings(cell_text(cell)).intersection(_ID_COLUMN) and _has_two_sides(cells[index : index + 6]):
                    return name, index, at
    return None


def _has_two_sides(header: list[list[Cell]]) -> bool:
    """Whether a header speaks of a unit that gives and one that takes."""
    texts = {text for row in header for cell in row for text in headings(cell_text(cell))}
    return bool(texts.intersection(_texts("change_type"))) and bool(texts.intersection(_AGS))
