"""The numbers a reader found in a workbook, held against what people see of their cells.

Readers say of every number in which row and column it stood; so one look at their chunks serves all layouts. What nobody
sees is told, and what is shown as something else than it was agreed to be is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.columns.coded import coded
from teilhabe.contract.model import Contract
from teilhabe.errors import EVIDENCE_LIMIT, Evidence, Severity
from teilhabe.reading.cells.labels import unmarked
from teilhabe.reading.files.appearance import COLUMNS, Appearance, Look
from teilhabe.reading.files.source import Cell, Merges, cell_text, letters
from teilhabe.reading.report import Report
from teilhabe.validation.observations import catalogue

_PER_CENT = "per cent"
_MONEY = "EUR"

Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class AsSeen:
    """Looks at every chunk of a sheet as read; what must not be loaded loses its value and has a critical finding."""

    def __init__(self, contract: Contract, report: Report) -> None:
        self._contract = contract
        self._report = report
        self._told: set[tuple[str | None, str, int]] = set()

    def check(
        self,
        table: pa.Table,
        sheet: str,
        look: Appearance,
        merges: Merges,
        cells: Sequence[Sequence[Cell]],
        used: Collection[int] = (),
    ) -> pa.Table:
        """``used``: the columns (from 0) of layouts whose rows are not cells; their rows carry column 0."""
        if not len(table):
            return table
        rows = table["_row_number"].to_numpy().astype(np.int64) - 1
        columns = table["_column_number"].to_numpy().astype(np.int64) - 1
        self._tell_hidden(rows, columns, sheet, look, used)
        if used:
            self._check_rows(np.unique(rows), sheet, look, merges, cells, sorted(used))
            return table
        places = rows * COLUMNS + columns
        self._tell_marks(places.tolist(), table["value"].to_pylist() if look.texts else [], sheet, look)
        self._refuse_merged(places, sheet, merges)
        return self._check_looks(table, places, sheet, look)

    # What nobody sees

    def _tell_hidden(self, rows: Places, columns: Places, sheet: str, look: Appearance, used: Collection[int]) -> None:
        if look.hidden_rows:
            hidden = np.unique(rows[np.isin(rows, np.array(look.hidden_rows, np.int64))])
            self._tell(
                "warning",
                "row.hidden",
                "die Zeile ist ausgeblendet oder ausgefiltert und enthält Zahlen, die so niemand sieht; gelesen wurden sie "
                "trotzdem. Bitte einblenden und prüfen",
                [Evidence(int(row) + 1, None, "ausgeblendet") for row in hidden],
                sheet,
                "sichtbare Zeilen",
            )
        if look.hidden_columns:
            read = {*np.unique(columns).tolist(), *used} - {-1}
            for column in sorted(column for column in read if look.hides_column(column)):
                self._tell(
                    "warning",
                    "column.hidden",
                    f"die Spalte {letters(column)} ist ausgeblendet und enthält Zahlen, die so niemand sieht; gelesen wurden "
                    "sie trotzdem. Bitte einblenden und prüfen",
                    [Evidence(None, str(column + 1), "ausgeblendet")],
                    sheet,
                    "sichtbare Spalten",
                    column=str(column + 1),
                )

    # What is shown as something else

    def _check_looks(self, table: pa.Table, places: Places, sheet: str, look: Appearance) -> pa.Table:
        kinds = _kinds_at(places, look)
        at = np.flatnonzero(kinds >= 0)
        if not len(at):
            return table
        units = self._units(table)
        values = table["value"].to_pylist() if len(at) > 1000 else None
        changed: dict[int, str | None] = {}
        wrong: dict[tuple[Severity, str, str, str], list[Evidence]] = {}
        for index in at.tolist():
            value = values[index] if values is not None else table["value"][index].as_py()
            if value is None:
                continue
            kind = look.kinds[kinds[index]].of(value)
            verdict = _verdict(kind, units[index])
            if verdict is None:
                continue
            severity, rule, sentence, expected = verdict
            if rule == _TAKEN:
                changed[index] = format(Decimal(value).scaleb(2), "f")
                continue
            row, column = divmod(int(places[index]), COLUMNS)
            wrong.setdefault((severity, rule, sentence, expected), []).append(
                Evidence(row + 1, str(column + 1), kind.number.shown(value), column_number=column + 1)
            )
            if severity == "critical":
                changed[index] = None
        for (severity, rule, sentence, expected), evidence in wrong.items():
            self._tell(severity, rule, sentence, evidence, sheet, expected)
        return _with_values(table, changed) if changed else table

    def _units(self, table: pa.Table) -> list[str | None]:
        """The unit of each row's measure; None where the catalogue does not know it."""
        measures = catalogue(self._contract.path.parents[2])
        constant = self._contract.constants.get("measure_code")
        if "measure_code" not in table.column_names:
            unit = measures[constant].unit if constant is not None and constant in measures else None
            return [unit] * len(table)
        column = coded(table["measure_code"])
        by_code = [measures[text].unit if text in measures else None for text in column.dictionary.to_pylist()]
        return [None if code is None else by_code[code] for code in column.indices.to_pylist()]

    def _tell_marks(self, places: Sequence[int], values: Sequence[str | None], sheet: str, look: Appearance) -> None:
        evidence = [
            Evidence(place // COLUMNS + 1, str(place % COLUMNS + 1), look.texts[place])
            for place, value in zip(places if look.texts else (), values, strict=True)
            if value is not None and place in look.texts and unmarked(look.texts[place]) != look.texts[place]
        ]
        self._tell(
            "warning",
            "value.footnote_mark",
            "hinter der Zahl „{found}“ steht ein Fußnotenzeichen; gelesen wurde die Zahl ohne das Zeichen",
            evidence,
            sheet,
            "eine Zahl ohne Fußnotenzeichen",
        )

    def _refuse_merged(self, places: Places, sheet: str, merges: Merges) -> None:
        """A number is read where a merged cell hides another: nobody can tell which row or column it is for."""
        distinct = np.unique(places)
        rows, columns = distinct // COLUMNS, distinct % COLUMNS
        within = covered(merges, rows, columns)
        self._tell(
            "critical",
            "sheet.merged_cells",
            MERGED,
            [
                Evidence(int(row) + 1, str(int(column) + 1), "verbundene Zellen")
                for row, column in zip(rows[within], columns[within], strict=True)
            ],
            sheet,
            "verbundene Zellen nur im Tabellenkopf",
        )

    def _check_rows(
        self,
        rows: Places,
        sheet: str,
        look: Appearance,
        merges: Merges,
        cells: Sequence[Sequence[Cell]],
        used: list[int],
    ) -> None:
        """Rows that were read as a whole, from the columns used: every cell of them that looks like something else."""
        places = (rows[:, None] * COLUMNS + np.array(used, np.int64)[None, :]).ravel()
        down = [one for one in merges if one[0][0] != one[1][0]]
        self._refuse_merged(places, sheet, down)
        marked = [place for place in places.tolist() if place in look.texts] if look.texts else []
        texts = [_text_at(cells, place) for place in marked]
        self._tell_marks(marked, [text if text.isdigit() else None for text in texts], sheet, look)
        kinds = _kinds_at(places, look)
        for index in np.flatnonzero(kinds >= 0).tolist():
            place, kind = int(places[index]), look.kinds[kinds[index]]
            text = _text_at(cells, place)
            kind = kind.of(text)
            verdict = _verdict(kind, None) if kind.struck or _is_number(text) else None
            if text and verdict is not None:
                severity, rule, sentence, expected = verdict
                where = Evidence(place // COLUMNS + 1, str(place % COLUMNS + 1), kind.number.shown(text))
                self._tell(severity, rule, sentence, [where], sheet, expected)

    def _tell(
        self,
        severity: Severity,
        rule: str,
        sentence: str,
        evidence: list[Evidence],
        sheet: str,
        expected: str,
        column: str | None = None,
    ) -> None:
        """Once for each place: a cell may be read for several rows, and a layout may give a sheet in several chunks."""
        fresh: list[Evidence] = []
        for one in evidence:
            place = (one.row or 0) * COLUMNS + int(one.column or 0)
            if (sheet, rule, place) not in self._told and len(self._told) < EVIDENCE_LIMIT:
                self._told.add((sheet, rule, place))
                fresh.append(one)
        if fresh:
            self._report.rows(severity, rule, sentence, fresh, sheet=sheet, expected=expected, column=column)


MERGED = (
    "die Zelle ist mit anderen verbunden, mitten unter den Zahlen; bitte die Verbindung aufheben und jede Zelle füllen"
)
_TAKEN = "taken"
_STRUCK = (
    "value.struck_through",
    "die Zahl ist durchgestrichen; bitte löschen, wenn sie nicht gilt, sonst die Durchstreichung entfernen",
)
_NOT_STRUCK = "Zahlen, die gelten"

Verdict = tuple[Severity, str, str, str]


def _verdict(look: Look, unit: str | None) -> Verdict | None:
    """What is to be said of a number that looks like this, of a measure in this unit: severity, rule, sentence, expected."""
    number = look.number
    if look.struck:
        return "critical", *_STRUCK, _NOT_STRUCK
    expected = {_PER_CENT: "ein Anteil in Prozent", _MONEY: "ein Betrag in Euro"}.get(unit or "", "eine Anzahl")
    if number.is_share:
        if unit == _PER_CENT and not number.unit:
            return ("info", _TAKEN, "", "") if number.percent else None
        return (
            "critical",
            "value.is_a_percentage",
            f"angezeigt wird „{{found}}“, das ist ein Anteil; vereinbart ist hier {expected}",
            expected,
        )
    if number.currency and unit != _MONEY:
        return (
            "critical",
            "value.is_an_amount",
            f"angezeigt wird „{{found}}“, das ist ein Geldbetrag; vereinbart ist hier {expected}",
            expected,
        )
    if number.thousands:
        return (
            "critical",
            "value.shown_in_thousands",
            "angezeigt wird „{found}“, in der Zelle steht aber eine tausendmal so große Zahl; bitte das Zahlenformat der "
            "Zelle ändern, sodass die ganze Zahl zu sehen ist",
            "eine Zahl, die ganz zu sehen ist",
        )
    if number.unit:
        return (
            "critical",
            "value.shown_in_thousands",
            "angezeigt wird „{found}“; in der Zelle steht nur die Zahl davor. Bitte die ganze Zahl eintragen und die Einheit "
            "aus dem Zahlenformat nehmen",
            "eine Zahl, die ganz zu sehen ist",
        )
    if number.is_altered:
        return (
            "critical",
            "value.shown_otherwise",
            "angezeigt wird „{found}“, in der Zelle steht aber eine andere Zahl; bitte eintragen, was gelten soll",
            "dieselbe Zahl in der Zelle, wie angezeigt wird",
        )
    if number.instead:
        return (
            "critical",
            "value.shown_as_text",
            "angezeigt wird „{found}“, in der Zelle steht aber eine Zahl; bitte eintragen, was gelten soll",
            "dasselbe in der Zelle, wie angezeigt wird",
        )
    if number.invisible:
        return (
            "warning",
            "value.not_shown",
            "die Zelle ist so formatiert, dass ihre Zahl nicht zu sehen ist; gelesen wurde sie trotzdem. Bitte anzeigen und prüfen",
            "sichtbare Zahlen",
        )
    return None


def _text_at(cells: Sequence[Sequence[Cell]], place: int) -> str:
    row, column = divmod(place, COLUMNS)
    return cell_text(cells[row][column]).strip() if row < len(cells) and column < len(cells[row]) else ""


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _kinds_at(places: Places, look: Appearance) -> Places:
    """The number of each place's look among ``kinds``; -1 where the cell is shown as it is stored."""
    if not look.places:
        return np.full(len(places), -1, np.int64)
    noted, kinds = np.array(look.places, np.int64), np.array(look.looks, np.int64)
    order = np.argsort(noted, kind="stable")
    noted, kinds = noted[order], kinds[order]
    # Of two notes on one cell the later counts: that a part of its text is crossed out.
    found = np.searchsorted(noted, places, side="right") - 1
    return np.where((found >= 0) & (noted[found] == places), kinds[found], -1)


def covered(merges: Iterable[tuple[tuple[int, int], tuple[int, int]]], rows: Places, columns: Places) -> Mask:
    """Which cells lie in a merged range without being its first: each range is painted once, whatever they overlap."""
    ranges = [one for one in merges if one[0] != one[1]]
    if not ranges or not len(rows):
        return np.zeros(len(rows), np.bool_)
    height, width = int(rows.max()) + 1, int(columns.max()) + 1
    paint = np.zeros((height + 1, width + 1), np.int32)
    for (top, left), (bottom, right) in ranges:
        if top < height and left < width:
            below, beside = min(bottom, height - 1) + 1, min(right, width - 1) + 1
            paint[top, left] += 1
            paint[below, left] -= 1
            paint[top, beside] -= 1
            paint[below, beside] += 1
    inside = np.cumsum(np.cumsum(paint, axis=0), axis=1) > 0
    first = {(top, left) for (top, left), _ in ranges}
    within = inside[rows, columns]
    for index in np.flatnonzero(within).tolist():
        if (int(rows[index]), int(columns[index])) in first:
            within[index] = False
    return within


def _with_values(table: pa.Table, changed: dict[int, str | None]) -> pa.Table:
    """The table with other values in some rows; a value that goes is missing."""
    mask = np.zeros(len(table), np.bool_)
    mask[list(changed)] = True
    where = pa.array(mask)
    gone = np.zeros(len(table), np.bool_)
    gone[[index for index, value in changed.items() if value is None]] = True
    ordered = [changed[index] for index in sorted(changed)]
    new = {
        "value": (where, pa.array(ordered, pa.string())),
        "obs_status": (pa.array(gone), pa.scalar("M", pa.string())),
        "conf_status": (pa.array(gone), pa.scalar("F", pa.string())),
    }
    for name, (at, values) in new.items():
        if name in table.column_names:
            plain = pc.cast(table[name].combine_chunks(), pa.string())
            position = table.column_names.index(name)
            table = table.set_column(position, name, coded(pc.replace_with_mask(plain, at, values)))
    return table
