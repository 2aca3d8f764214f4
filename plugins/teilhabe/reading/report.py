"""Findings while a file is read: one finding per rule and column, however many rows it concerns."""

from __future__ import annotations

from dataclasses import dataclass, field

from teilhabe.errors import EVIDENCE_LIMIT, Evidence, Finding, ReadingError, Severity

MAX_KINDS = 500
"""Findings of different kinds before the reading ends: nobody reads more, and a hostile file could make millions."""


@dataclass
class _Open:
    severity: Severity
    rule: str
    column: str | None
    sheet: str | None
    sentence: str
    expected: str | None
    count: int = 0
    evidence: list[Evidence] = field(default_factory=list)


class Report:
    """Collects findings; evidence is capped, counts are complete."""

    def __init__(self, file_name: str) -> None:
        self.file_name = file_name
        self._open: dict[tuple[str, str | None, str | None, str | None], _Open] = {}
        self._closed: list[Finding] = []

    def rows(
        self,
        severity: Severity,
        rule: str,
        sentence: str,
        evidence: list[Evidence],
        *,
        column: str | None = None,
        sheet: str | None = None,
        expected: str | None = None,
        count: int | None = None,
    ) -> None:
        """Add rows to the finding ``rule``/``column``. ``sentence`` ends the message after '<file>, Zeile n: '.

        Row numbers count within a sheet, so each sheet has a finding of its own and the finding names it.
        """
        key = (rule, column, expected, sheet)
        if key not in self._open:
            self._check_kinds()
        entry = self._open.setdefault(key, _Open(severity, rule, column, sheet, sentence, expected))
        entry.count += len(evidence) if count is None else count
        entry.evidence.extend(evidence[: EVIDENCE_LIMIT - len(entry.evidence)])

    def note(self, severity: Severity, rule: str, sentence: str, **parts: str | int | None) -> None:
        """A finding about the file as a whole, or about one place."""
        self._check_kinds()
        self._closed.append(self._finding(severity, rule, sentence, **parts))

    def _check_kinds(self) -> None:
        if len(self._open) + len(self._closed) >= MAX_KINDS:
            first = self.findings[0].message.partition(": ")[2] or self.findings[0].message
            raise self.error(
                "file.too_many_findings",
                f"Die Datei weicht auf mehr als {MAX_KINDS} verschiedene Arten von der Vereinbarung ab, zuerst so: {first}",
                found=f"über {MAX_KINDS} Arten von Abweichungen",
                expected="die vereinbarte Lieferung",
            )

    def error(self, rule: str, sentence: str, **parts: str | int | None) -> ReadingError:
        """The error that ends the reading."""
        return ReadingError(self._finding("critical", rule, sentence, **parts))

    def _finding(self, severity: Severity, rule: str, sentence: str, **parts: str | int | None) -> Finding:
        return Finding(severity, rule, f"Datei „{self.file_name}“: {sentence}", **parts)  # type: ignore[arg-type]

    @property
    def findings(self) -> list[Finding]:
        return self._closed + [self._close(entry) for entry in self._open.values()]

    def _close(self, entry: _Open) -> Finding:
        first = entry.evidence[0] if entry.evidence else Evidence(None, None, None)
        where = [f"Datei „{self.file_name}“"]
        if entry.sheet:
            where.append(f"Blatt „{entry.sheet}“")
        if first.row is not None:
            where.append(f"Zeile {first.row}")
        if first.column:
            where.append(f"Spalte {first.column}")
        more = f" (insgesamt {entry.count} Zeilen)" if entry.count > 1 else ""
        sentence = entry.sentence.replace("{found}", first.found if first.found is not None else "")
        return Finding(
            entry.severity,
            entry.rule,
            f"{', '.join(where)}: {sentence[:1].upper()}{sentence[1:]}{more}.",
            sheet=entry.sheet,
            row=first.row,
            column=first.column,
            found=first.found,
            expected=entry.expected,
            row_count=entry.count,
            evidence=tuple(entry.evidence),
            sentence=entry.sentence,
        )
