"""Another table riding along with the agreed one: below it, beside it, for another period.

Whoever keeps last year's figures under this year's for comparison does not deliver them: read as rows like all others they
would revise what was delivered then, and nobody would hear of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from teilhabe.codes.wording import spell_period
from teilhabe.contract.layouts import Table
from teilhabe.errors import EVIDENCE_LIMIT, Evidence, ReadingError
from teilhabe.reading.cells.keys import is_date
from teilhabe.reading.cells.labels import ValueColumn, clean, normalise
from teilhabe.reading.cells.periods import find_periods
from teilhabe.reading.files.source import letters
from teilhabe.reading.report import Report

_NAMES = frozenset({"territory_name", "category", "category_name", "programme_id", "programme_name", "provider_name"})
"""Columns of texts: what stands in them says nothing of a period or an agreed kind."""
_SAME_HEADER = 2
"""So many header texts in a data row make it a header."""


@dataclass(frozen=True)
class Break:
    """A row without numbers among the data: blank, or a note."""

    number: int
    note: str


def second_form(report: Report, sheet: str | None, cell: str, row: int) -> ReadingError:
    """The refusal of a sheet with the table of a form twice."""
    return report.error(
        "table.second",
        f"Auf dem Blatt „{sheet}“ beginnt in Zelle {cell} ein zweites Formular; bitte nur eines je Datei senden.",
        sheet=sheet,
        row=row,
        found=f"ein zweites Formular ab {cell}",
        expected="ein Formular",
    )


def notes_below(rows: Sequence[Sequence[str]], keys: Mapping[str, int], labels: Collection[int]) -> int:
    """How many rows at the end are notes, sources or signatures in several cells: without key and without number."""
    code = keys["territory_code"]
    said = {*keys.values(), *labels}
    names = {position for name, position in keys.items() if name in _NAMES}
    count = 0
    for row in reversed(rows[1:]):
        key = row[code].strip() if code < len(row) else ""
        beside = {position for position, cell in enumerate(row) if cell.strip() and position != code}
        is_key = key.isascii() and key.isdigit()
        if is_key or is_date(key) or beside - said or not (key or beside <= names):
            break
        count += 1
    return count


class SecondTable:
    """The checks of one sheet (or of a text)."""

    def __init__(self, layout: Table, report: Report, sheet: str | None) -> None:
        self._layout = layout
        self._report = report
        self._sheet = sheet

    def check_header(self, row: Sequence[str], code: int, number: int) -> None:
        """Refuses a data row that is the header once more."""
        key = {normalise(alias) for alias in self._layout.columns["territory_code"]}
        if code >= len(row) or not row[code].strip() or normalise(row[code]) not in key:
            return
        agreed = {normalise(text) for text in self._layout.texts()}
        if sum(normalise(text) in agreed for text in row if text.strip()) >= _SAME_HEADER:
            raise self._error(f"in Zeile {number}, mit den Spaltenüberschriften noch einmal", number, clean(row[code]))

    def check_beside(self, row: Sequence[str], code: int, number: int) -> None:
        """Refuses a header that begins once more to the right of the first."""
        key = {normalise(alias) for alias in self._layout.columns["territory_code"]}
        again = next((at for at, text in enumerate(row) if at > code and text.strip() and normalise(text) in key), None)
        if again is None:
            return
        agreed = {normalise(text) for text in self._layout.texts()}
        if sum(normalise(text) in agreed for text in row[again:] if text.strip()) >= _SAME_HEADER:
            where = f"Zelle {letters(again)}{number}" if self._sheet else f"Zeile {number}, Spalte {again + 1}"
            raise self._error(f"in {where}, neben der ersten", number, clean(row[again]))

    def check_rows(
        self, numbers: list[int], periods: list[str | None], breaks: list[Break], stated: Sequence[str]
    ) -> None:
        """Periods in rows against what file or title state, and against the rows above a break.

        ``periods`` of the rows; ``stated``: the periods in the title or else in the file's name.
        """
        agreed = stated[0] if len(stated) == 1 else None
        seen: set[str | None] = set()
        others: dict[str, list[int]] = {}
        waiting = iter([*breaks, Break(1 << 62, "")])
        upcoming = next(waiting)
        last: Break | None = None
        for number, period in zip(numbers, periods, strict=True):
            while number > upcoming.number:
                if seen:
                    last = upcoming
                upcoming = next(waiting)
            if last is not None and seen:
                self._check_note(last, number, period, agreed)
            if last is not None and period is not None and period not in seen:
                if agreed is not None and period != agreed and agreed in seen:
                    raise self._another(number, period, agreed)
                others.setdefault(period, []).append(number)
            elif period is not None and agreed is not None and period != agreed:
                others.setdefault(period, []).append(number)
            elif period in others:
                others[period].append(number)
            seen.add(period)
        self._tell(others, agreed, seen)

    def check_columns(self, columns: Sequence[ValueColumn], *, has_period: bool) -> None:
        """Refuses columns that name a period of their own beside such as have the period of their row or sheet."""
        own = [column for column in columns if "period_code" in column.coordinates]
        if not own or (len(own) == len(columns) and not has_period):
            return
        first = own[0]
        period = spell_period(first.coordinates["period_code"])
        raise self._error(f"ab Spalte {letters(first.position)}, für {period}", None, period)

    def _check_note(self, one: Break, number: int, period: str | None, agreed: str | None) -> None:
        """A note above further rows that names another period than they would be read for."""
        named = find_periods(one.note, self._layout.period) if one.note else []
        usual = agreed or period
        if named and usual is not None and usual not in named and "period_code" not in self._layout.columns:
            raise self._another(number, named[0], usual)

    def _another(self, number: int, found: str, agreed: str) -> Exception:
        return self._error(
            f"in Zeile {number}, für {spell_period(found)} statt {spell_period(agreed)}",
            number,
            spell_period(found),
            agreed,
        )

    def _error(self, where: str, number: int | None, found: str, agreed: str | None = None) -> Exception:
        on = f"Auf dem Blatt „{self._sheet}“" if self._sheet else "In der Datei"
        return self._report.error(
            "table.second",
            f"{on} beginnt eine zweite Tabelle: {where}. Bitte nur die vereinbarte Tabelle senden, je Zeitraum eine Datei.",
            sheet=self._sheet,
            row=number,
            found=found,
            expected=spell_period(agreed) if agreed else "eine Tabelle",
        )

    def _tell(self, others: dict[str, list[int]], agreed: str | None, seen: set[str | None]) -> None:
        if agreed is None and len(seen) < 2:
            return
        for period, numbers in others.items():
            if agreed is not None:
                why = f"stehen Zeilen für {spell_period(period)}, die Datei ist aber für {spell_period(agreed)}"
            else:
                why = f"stehen unter einer Leerzeile oder Anmerkung noch Zeilen für {spell_period(period)}"
            self._report.rows(
                "warning",
                "period.also_another",
                f"hier {why}; sie werden geladen und ersetzen, was dafür geliefert war",
                [Evidence(number, None, spell_period(period)) for number in numbers[:EVIDENCE_LIMIT]],
                sheet=self._sheet,
                expected=f"Zeilen für {spell_period(agreed)}" if agreed else "Zeilen für einen Zeitraum",
                count=len(numbers),
            )
