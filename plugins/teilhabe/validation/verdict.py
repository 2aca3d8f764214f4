"""The verdict on a delivery: Great Expectations over what the suite says and what follows from the contract.

Row expectations run chunk by chunk, so memory does not grow with the file; expectations on the whole delivery run on its
profile (one row per period). What an expectation says about a single text it says about every row with that text, so the
distinct texts of a column are judged (``single_texts``), and rows only by expectations about more than one text. The
offending rows are kept as a table until the end, at most ``EVIDENCE_LIMIT`` of a rule, and spelled out only for a rule that
was broken in the end.

Expectations of scope ``observations`` (``rules``) see the whole delivery as one table, and what is known around
it; the table is kept only when a suite has such expectations and the delivery has at most ``ROW_LIMIT`` rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from teilhabe.columns.ahead import read_ahead
from teilhabe.errors import Finding
from teilhabe.validation.checks import Checks
from teilhabe.validation.history import History, NoHistory
from teilhabe.validation.observations import build_context
from teilhabe.validation.rows import Judge
from teilhabe.validation.suite import Suite, contract_expectations
from teilhabe.validation.whole import Profile, Whole, judge_profile
from teilhabe.validation.wording import joined

if TYPE_CHECKING:
    import pyarrow as pa

    from teilhabe.contract.model import Contract
    from teilhabe.raw.kept_rows import KeptRows
    from teilhabe.reading.layouts.base import AnyReading
    from teilhabe.reading.layouts.excluding import ExcludedRow
    from teilhabe.validation.register import Register


_JUDGED_ROWS = 500_000
"""Rows judged at once: Great Expectations takes its time per call, whatever it is shown."""
_AHEAD = 1
"""Chunks read while one is judged."""


@dataclass
class Verdict:
    """What was found. ``accepted`` deliveries may be loaded; findings are ordered as they were met."""

    findings: list[Finding] = field(default_factory=list)
    row_count: int = 0
    layout: str | None = None
    periods: list[str] = field(default_factory=list)
    territories: set[str | None] = field(default_factory=set)
    """Keys the rows are about, as far as they could be read; None among them where one names none."""
    faults: list[Finding] = field(default_factory=list)
    """The findings for which rows are left out, or could be if somebody decides so."""
    excluded: list[ExcludedRow] = field(default_factory=list)
    """These rows; of a delivery that is loaded ``row_count`` counts the others."""
    held_back_count: int = 0
    """How many they are, those among them that could not even be read as rows."""
    names_resolved: dict[str, str] = field(default_factory=dict)
    """Keys the register had for names without a readable key; kept so that every later reading agrees."""
    row_rules: int = 0
    """How many of the findings, from the first, are about rows as such; the others hold numbers against each other."""
    inferred_period: str | None = None
    """The one period of a file that did not name it; kept so that every later reading agrees."""

    @property
    def accepted(self) -> bool:
        return not any(finding.stops for finding in self.findings)


def validate(
    contract: Contract,
    suite: Suite,
    reading: AnyReading,
    register: Register,
    *,
    file_name: str,
    received_at: datetime,
    progress: Callable[[int], None] = lambda rows: None,
    history: History | None = None,
    kept: KeptRows | None = None,
) -> Verdict:
    """Judge a delivery. Consumes the reading; ``progress`` is told the rows judged so far, ``history`` asked only if needed.

    What was read is left in ``kept``.

    ``ReadingError`` of the reader passes through: the caller records its finding.
    """
    contract = contract.as_headed_in(reading.layout_name)
    agreed = contract_expectations(contract)
    row_rules = [e for e in (*agreed, *suite.expectations) if e.scope == "row"]
    judge = Judge(row_rules, contract, file_name, register)
    profile = Profile()
    checks = Checks(contract, register, received_at.date())
    statistical = [e for e in (*agreed, *suite.expectations) if e.scope == "observations"]
    whole = Whole(contract, wanted=bool(statistical))
    read = reading.chunks() if kept is None else kept.keep(reading.chunks())
    with closing(read_ahead(_together(read), _AHEAD)) as chunks:
        for chunk in chunks:
            profile.add(chunk)
            whole.add(chunk)
            judge.add(checks.attach(chunk))
            progress(profile.row_count)
    verdict = Verdict(
        row_count=profile.row_count,
        layout=reading.layout_name,
        periods=profile.periods,
        territories=profile.territories,
        names_resolved=reading.names_resolved,
    )
    verdict.findings += reading.findings
    if any(finding.rule == "period.inferred" for finding in verdict.findings):
        verdict.inferred_period = verdict.periods[0] if len(verdict.periods) == 1 else None
    verdict.findings += _without_repetitions(judge.findings(reading.places), verdict.findings)
    verdict.row_rules = len(verdict.findings)
    verdict.findings += judge_profile(
        [e for e in suite.expectations if e.scope == "delivery"], profile, contract, file_name
    )
    context = build_context(contract, register, history or NoHistory(), reading.symbols, verdict.findings)
    verdict.findings += whole.judge(statistical, context, file_name, reading.places)
    return verdict


_READ_AS = {
    "key.invalid": "territory_code", "key.is_a_date": "territory_code", "period.not_found": "period_code",
}  # fmt: skip
"""What reading says of a cell it cannot make anything of, and the column that is empty because of it."""


_SAYS_AGAIN = frozenset({"column.blank", "period.malformed", "key.unchecked", "key.unlisted"})


def _without_repetitions(
    findings: Iterable[tuple[str | None, Finding]], read: Sequence[Finding]
) -> Iterator[Finding]:  # fmt: skip
    """The findings about columns of the contract less those that only say again that a cell could not be read."""
    told: dict[str, set[int | None]] = defaultdict(set)
    for finding in read:
        if column := _READ_AS.get(finding.rule):
            told[column] |= {evidence.row for evidence in finding.evidence}
    for name, finding in findings:
        rows = {evidence.row for evidence in finding.evidence}
        if finding.rule not in _SAYS_AGAIN or not rows <= told[name or ""]:
            yield finding


def _together(chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Chunks joined up to ``_JUDGED_ROWS``, every text column as one dictionary-coded array."""
    waiting: list[pa.Table] = []
    for chunk in chunks:
        waiting.append(_coded(chunk))
        if sum(table.num_rows for table in waiting) >= _JUDGED_ROWS:
            yield joined(waiting)
            waiting = []
    if waiting:
        yield joined(waiting)


def _coded(chunk: pa.Table) -> pa.Table:
    import pyarrow as pa

    from teilhabe.columns.coded import coded, without_blanks

    # COPY makes no difference between an empty text and none, so no rule does.
    arrays = [column if pa.types.is_integer(column.type) else without_blanks(coded(column)) for column in chunk.columns]
    return pa.table(arrays, names=chunk.column_names)
