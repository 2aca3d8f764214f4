"""Findings while a file is read: one finding per rule and column, however many rows it concerns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from teilhabe.codes.wording import spell_period
from teilhabe.errors import EVIDENCE_LIMIT, Evidence, Finding, ReadingError, Severity
from teilhabe.findings.saying import PLACE, affected_rows, say

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
    places: int = 0
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
        apart: str | None = None,
    ) -> None:
        """Add rows to the finding ``rule``/``column``. ``sentence`` follows file and place; ``{found}`` stands for the text.

        Row numbers count within a sheet, so each sheet has a finding of its own and the finding names it. ``apart`` keeps
        what differs in it in findings of their own.
        """
        key = (rule, column, apart or expected, sheet)
        if key not in self._open:
            self._check_kinds()
        entry = self._open.setdefault(key, _Open(severity, rule, column, sheet, sentence, expected))
        entry.places += len(evidence) if count is None else max(count, len(evidence))
        entry.evidence.extend(evidence[: EVIDENCE_LIMIT - len(entry.evidence)])

    def note(self, severity: Severity, rule: str, sentence: str, **parts: str | int | None) -> None:
        """A finding about the file as a whole, or about one place."""
        self._check_kinds()
        self._closed.append(self._finding(severity, rule, sentence, **parts))

    def _check_kinds(self) -> None:
        if len(self._open) + len(self._closed) >= MAX_KINDS:
            first = say(self.findings[0], None, for_whom="editor", with_count=False).rstrip(".")
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
        for name in ("found", "expected"):  # a period, which readers know by its code
            if isinstance(text := parts.get(name), str):
                parts[name] = spell_period(text)
        return self._said(Finding(severity, rule, "", what=sentence, **parts))  # type: ignore[arg-type]

    def _said(self, finding: Finding) -> Finding:
        """With its sentence for whoever has the file; what others are told depends on the contract."""
        return replace(finding, message=say(finding, None, file=self.file_name, for_whom="editor"))

    @property
    def findings(self) -> list[Finding]:
        return self._closed + [self._close(entry) for entry in self._open.values()]

    def _close(self, entry: _Open) -> Finding:
        first = entry.evidence[0] if entry.evidence else Evidence(None, None, None)
        return self._said(
            Finding(
                entry.severity,
                entry.rule,
                "",
                sheet=entry.sheet,
                row=first.row,
                column=entry.column or first.column,
                found=first.found,
                expected=entry.expected,
                row_count=affected_rows(entry.evidence, entry.places),
                evidence=tuple(entry.evidence),
                what=PLACE + entry.sentence,
            )
        )
