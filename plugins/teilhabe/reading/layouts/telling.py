"""What readers of all layouts say of columns, rows and keys of a file: one sentence for each kind, with its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from teilhabe.codes.territory import with_lost_zero
from teilhabe.codes.wording import wanted_period
from teilhabe.errors import EVIDENCE_LIMIT, Evidence
from teilhabe.reading.cells.keys import shown
from teilhabe.reading.cells.labels import clean
from teilhabe.reading.report import Report

_BEGINS = re.compile(r"K?\d{1,12}|DG")
"""How rows of data begin: with a key or a year."""


class Telling:
    """The part of a reading that tells; ``sheet`` is the one being read, None in a text."""

    layout: Any
    report: Report
    sheet: str | None

    def refuse_cut(self, last: Sequence[str], row: int, width: int, above: str | None = None) -> None:
        """Ends the reading where the last line of a text breaks off: the rows that would follow are missing, too.

        A note below the table is no such line: it begins neither with a key or a year nor as the row ``above`` does.
        """
        first = last[0].strip().strip('"') if last else ""
        if len(last) < width and first and (_BEGINS.fullmatch(first) or first == above):
            raise self.report.error(
                "file.truncated",
                f"Die Datei endet mitten in Zeile {row} ({len(last)} statt {width} Spalten), sie ist unvollständig übertragen.",
                row=row,
                found=f"{len(last)} statt {width} Spalten",
                expected="eine vollständige Datei",
            )

    def tell_twins(self, names: Iterable[str]) -> None:
        """Sheets that look like the one that is read: somebody may take their numbers for delivered."""
        for name in names:
            self.report.note(
                "warning",
                "sheet.not_read",
                f"Auch das Blatt „{name}“ sieht aus wie die vereinbarte Tabelle; gelesen wird nur „{self.sheet}“.",
                sheet=name,
                found=name,
                expected=self.sheet,
            )

    def tell_unknown_column(self, position: int, text: str, row: int | None) -> None:
        """A column (from 0) whose header nobody agreed on is left out, and that is said at its header."""
        self.report.rows(
            "warning",
            "header.unknown_column",
            "die Überschrift „{found}“ ist nicht vereinbart; diese Spalte wird nicht geladen",
            [Evidence(row, str(position + 1), text)],
            sheet=self.sheet,
            expected="eine vereinbarte Überschrift",
            apart=f"{position} {text}",
        )

    def tell_unknown_label(
        self, text: str, rows: Sequence[int], column: str | None, position: int | None, count: int | None = None
    ) -> None:
        """Rows whose label nobody agreed on are left out, and that is said: ``position`` (from 0) names cells of a sheet."""
        at = str(position + 1) if self.sheet and position is not None else column
        self.report.rows(
            "warning",
            "label.unknown",
            "„{found}“ ist keine vereinbarte Ausprägung; diese Zeilen werden nicht geladen",
            [Evidence(row, at, text) for row in rows[:EVIDENCE_LIMIT]],
            column=column,
            sheet=self.sheet,
            expected="eine vereinbarte Ausprägung",
            apart=text,
            count=len(rows) if count is None else count,
        )

    def tell_nameless_column(self, position: int, cells: Iterable[tuple[int, str]]) -> None:
        """What stands in a column (from 0) without a header is not loaded; an empty one says nothing."""
        filled = [Evidence(number, str(position + 1), clean(text)) for number, text in cells if text.strip()]
        if filled:
            self.report.rows(
                "warning",
                "header.unknown_column",
                "die Spalte hat keine Überschrift und wird nicht geladen; dort steht „{found}“",
                filled[:EVIDENCE_LIMIT],
                sheet=self.sheet,
                expected="eine Überschrift",
                apart=str(position),
                count=len(filled),
            )

    def tell_wrong_periods(self, wrong: Sequence[tuple[int, str]], column: str, header: str | None = None) -> None:
        """Rows (number, text) whose period is missing or cannot be read; ``column`` is a header, or a number of a sheet."""
        for sentence, some in (
            ("der Berichtszeitraum fehlt", [one for one in wrong if not one[1]]),
            ("„{found}“ ist kein Berichtszeitraum", [one for one in wrong if one[1]]),
        ):
            if some:
                self.report.rows(
                    "critical",
                    "period.not_found",
                    sentence,
                    [Evidence(number, column, shown(text) or None) for number, text in some[:EVIDENCE_LIMIT]],
                    column=header,
                    sheet=self.sheet,
                    expected=wanted_period(self.layout.period),
                    count=len(some),
                    apart=sentence,
                )

    def tell_zeros(self, keys: Sequence[str], numbers: Sequence[int]) -> None:
        """Keys that a program read as numbers are completed, and that is said."""
        lost = {key for key in set(keys) if with_lost_zero(key)}
        where = [Evidence(number, None, key) for key, number in zip(keys, numbers, strict=True) if key in lost]
        if where:
            self.report.rows(
                "info",
                "key.lost_zero",
                "dem Gebietsschlüssel „{found}“ fehlt die führende Null; sie wurde ergänzt",
                where[:EVIDENCE_LIMIT],
                sheet=self.sheet,
                expected=with_lost_zero(where[0].found or ""),
                count=len(where),
            )

    def tell_dividing(self, header: str, evidence: list[Evidence], count: int) -> None:
        if evidence:
            self.report.rows(
                "critical",
                "header.unknown_dimension",
                f"die Spalte „{header}“ ist nicht vereinbart und sagt, dass die Zahl kein Gesamtwert ist: „{{found}}“",
                evidence[:EVIDENCE_LIMIT],
                column=header,
                sheet=self.sheet,
                expected="nur Gesamtwerte, oder eine vereinbarte Spalte",
                count=count,
            )
