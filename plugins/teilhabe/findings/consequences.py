"""Which finding of a verdict follows from which: declared rule by rule, and only where the places agree.

An office is told that a consequence is settled with its cause, so what merely may depend on it stands for itself: a wrong
total somewhere else in the file is a fault of its own, also when a key is wrong as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from teilhabe.errors import Evidence, Finding

MISPLACED = frozenset({
    "key.invalid", "key.unknown", "key.unlisted", "key.ended", "key.lost_zero", "key.not_loaded", "name.of_other_key",
    "label.unknown", "code.unknown", "period.malformed", "period.future", "period.too_early", "row.ragged",
})  # fmt: skip
"""Because of these a row is missing where it belongs, or counted where it does not."""
MISREAD = frozenset({
    "name.of_other_key", "value.ambiguous_thousands", "value.not_whole", "values.scale", "value.unit",
    "value.is_a_percentage", "value.shown_in_thousands", "value.footnote_mark", "value.too_large", "value.negative",
})  # fmt: skip
"""Because of these the number of a row is another one than was meant."""
SUMS = frozenset({
    "parts.sum", "parts.exceed_total", "part.exceeds_whole", "territory.sum", "ratio.differs", "values.carried_forward",
})  # fmt: skip
"""Arithmetic between numbers of a file: one wrong number breaks several."""
CHANGES = frozenset({"change.to_vintage", "change.to_period"})

_Agree = Callable[[Finding, Finding], bool]


@dataclass(frozen=True)
class _Depends:
    """``rules`` may follow from ``on`` where the places of the two agree."""

    rules: frozenset[str]
    on: frozenset[str]
    agree: _Agree


def _anywhere(cause: Finding, consequence: Finding) -> bool:
    """A row that is lost is missing from the table, whatever row the comparison names."""
    return _count(consequence) <= _count(cause)


def _same_rows(cause: Finding, consequence: Finding) -> bool:
    rows = _rows(cause)
    return bool(rows) and _is_complete(consequence) and _rows(consequence) <= rows


def _same_rows_of_what_is_mended(cause: Finding, consequence: Finding) -> bool:
    """A sum that is only doubtful may be right, and then explains nothing."""
    return cause.severity == "critical" and _same_rows(cause, consequence)


def _same_columns(cause: Finding, consequence: Finding) -> bool:
    """Of a wrong number in a municipality's row the total of its column, in the county's row, follows."""
    columns = {_column(cause, one) for one in cause.evidence}
    found = {_column(consequence, one) for one in consequence.evidence}
    return None not in found and bool(found) and _is_complete(consequence) and found <= columns


DEPENDENCIES: tuple[_Depends, ...] = (
    _Depends(frozenset({"period.incomplete", "territory.unexplained"}), MISPLACED, _anywhere),
    _Depends(frozenset({"territory.sum"}), MISREAD | (SUMS - {"territory.sum"}), _same_columns),
    _Depends(SUMS, MISREAD | SUMS, _same_rows),
    _Depends(CHANGES, MISREAD, _same_rows),
    _Depends(CHANGES, SUMS, _same_rows_of_what_is_mended),
)
"""What depends on what. A sum is compared only where all its parts are there, so a row that is lost breaks none."""


def causes(findings: Sequence[Finding]) -> dict[str, str]:
    """Rule -> the rule it follows from, in one verdict. A cause is never itself a consequence.

    All findings of a rule must follow from the same one: an office closes them together.
    """
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.severity != "info":
            by_rule.setdefault(finding.rule, []).append(finding)
    # Critical ones first: what keeps the file out is what the office has to mend.
    order = sorted(by_rule, key=lambda rule: min(one.severity != "critical" for one in by_rule[rule]))
    found: dict[str, str] = {}
    for number, rule in enumerate(order):
        for cause in order:
            is_before = cause in order[:number] or cause not in SUMS
            may_be = cause != rule and cause not in found and rule not in found.values() and is_before
            if may_be and all(any(_follows(one, other) for other in by_rule[cause]) for one in by_rule[rule]):
                found[rule] = cause
                break
    return found


def _follows(consequence: Finding, cause: Finding) -> bool:
    return any(
        consequence.rule in one.rules and cause.rule in one.on and one.agree(cause, consequence) for one in DEPENDENCIES
    )


def _rows(finding: Finding) -> set[tuple[str | None, int]]:
    return {(one.sheet or finding.sheet, one.row) for one in finding.evidence if one.row is not None}


def _column(finding: Finding, one: Evidence) -> tuple[str | None, str] | None:
    column = str(one.column_number) if one.column_number else one.column
    return (one.sheet or finding.sheet, column) if column else None


def _is_complete(finding: Finding) -> bool:
    """All its places are known, and each names a row."""
    return bool(finding.evidence) and len(finding.evidence) >= finding.row_count and None not in {
        one.row for one in finding.evidence
    }  # fmt: skip


def _count(finding: Finding) -> int:
    return max(finding.row_count, len(finding.evidence))
