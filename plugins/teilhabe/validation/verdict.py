"""The verdict on a delivery: Great Expectations over what the suite says and what follows from the contract.

Row expectations run chunk by chunk, so memory does not grow with the file; expectations on the whole delivery run on its
profile (one row per period). What an expectation says about a single text it says about every row with that text, so the
distinct texts of a column are judged (``single_texts``), and rows only by expectations about more than one text. The
offending rows are kept as a table until the end, at most ``EVIDENCE_LIMIT`` of a rule, and spelled out only for a rule that
was broken in the end.

Expectations of scope ``observations`` (``statistical_rules``) see the whole delivery as one table, and what is known around
it; the table is kept only when a suite has such expectations and the delivery has at most ``ROW_LIMIT`` rows.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from teilhabe.codes.periods import period_end
from teilhabe.codes.wording import spell_period
from teilhabe.columns.ahead import read_ahead
from teilhabe.contract.contracts import GROUP_COLUMNS, counted_measures
from teilhabe.errors import EVIDENCE_LIMIT, ContractError, Evidence, Finding, Severity
from teilhabe.findings.saying import EMPTY, EXPECTED, FOUND, PLACE, SUBJECT, affected_rows, with_sentence
from teilhabe.validation.expectation_runs import Expectation, great_expectations, run_expectations
from teilhabe.validation.history import History, NoHistory
from teilhabe.validation.observations import ROW_LIMIT, build_context, number_in_words
from teilhabe.validation.register import KeyCheck
from teilhabe.validation.rules.scale_rules import ValuesToKeepTheirScale
from teilhabe.validation.rules.statistical_catalogue import RULES, parse_rule
from teilhabe.validation.rules.statistical_rules import Rule
from teilhabe.validation.single_texts import (
    NOT_NULL,
    Witnesses,
    identity,
    is_about_one_text,
    is_within,
    memory,
    remember_range,
    side_by_side,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from teilhabe.columns.coded import Codes
    from teilhabe.contract.contracts import Contract
    from teilhabe.raw.kept_rows import KeptRows
    from teilhabe.reading.layouts.base import AnyReading
    from teilhabe.reading.layouts.column_places import ColumnPlaces
    from teilhabe.reading.layouts.excluding import ExcludedRow
    from teilhabe.validation.observations import Context
    from teilhabe.validation.register import Register

PROFILE_COLUMNS = ("period_code", "row_count", "territory_count", "value_count", "suppressed_count")
"""The whole delivery in one row per period: what expectations of scope ``delivery`` see."""

OBS_STATUS = ("A", "P", "E", "U", "Q", "O", "M")
CONF_STATUS = ("F", "C", "D")

_ROW_TYPES = (
    "expect_column_values_",
    "expect_column_value_",
    "expect_column_pair_values_",
    "expect_compound_columns_",
    "expect_select_column_values_",
    "expect_multicolumn_",
)
"""Expectations that count rows; any other would see one chunk and could not fail as a row rule."""

_JUDGED_ROWS = 500_000
"""Rows judged at once: Great Expectations takes its time per call, whatever it is shown."""
_AHEAD = 1
"""Chunks read while one is judged."""

_LIKE_THOUSANDS = re.compile(r"-?\d{1,3}[.,]\d{3}")
_DECIMAL_PLACES = r"(?s)\..*[^0]"
"""Behind the point stands more than zeros."""
_ABOUT_KEYS = frozenset({"key.unknown", "key.ended", "key.outdated", "key.unlisted", "name.of_other_key"})


@dataclass(frozen=True)
class Suite:
    dataset_id: str
    expectations: tuple[Expectation, ...]


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


def load_suite(expectations: Path, contract: Contract) -> Suite:
    """``expectations/<agency>/<dataset>.json``; ``ContractError`` names file and entry.

    Every entry has ``type``, ``kwargs``, ``severity`` and ``meta`` with ``rule``, ``sentence_de``, ``expected_de`` and, for
    expectations on the profile of the delivery, ``scope: delivery``.
    """
    path = expectations / contract.agency / f"{contract.dataset}.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(f"{path}: the suite of {contract.dataset_id} cannot be read.") from error
    except json.JSONDecodeError as error:
        raise ContractError(f"{path}: not valid JSON (line {error.lineno}: {error.msg}).") from error
    if raw.get("name") != contract.dataset_id:
        raise ContractError(f"{path}: name: must be '{contract.dataset_id}', found {raw.get('name')!r}.")
    return Suite(
        contract.dataset_id,
        tuple(_expectation(path, n, entry, contract) for n, entry in enumerate(raw.get("expectations", []))),
    )


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
    judge = _Judge(row_rules, contract, file_name, register)
    profile = _Profile()
    checks = _Checks(contract, register, received_at.date())
    statistical = [e for e in (*agreed, *suite.expectations) if e.scope == "observations"]
    whole = _Whole(contract, wanted=bool(statistical))
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
    verdict.findings += _judge_profile(
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


def contract_expectations(contract: Contract) -> list[Expectation]:
    """What needs no suite because it follows from the contract: columns, closed lists, keys, names, periods."""
    terms = {column.name: column.office_term or column.name for column in contract.columns}
    rules = [
        Expectation(
            NOT_NULL, {"column": column.name}, "critical", "column.blank",
            f"Die Spalte „{terms[column.name]}“ darf nicht leer sein.", "einen Eintrag",
        )
        for column in contract.columns
        if column.required
    ]  # fmt: skip
    names = set(contract.column_names)
    if "territory_code" in names:
        rules += [
            _territory(["unknown"], "critical", "key.unknown",
                       "Der Gebietsschlüssel steht nicht im amtlichen Gemeindeverzeichnis dieses Stands.",
                       "einen Schlüssel des Verzeichnisses"),
            # What an office books itself it can book under the right key; a published table keeps the old one for years.
            _territory(["ended", *(["outdated"] if contract.mendable else [])], "critical", "key.ended",
                       "Das Gebiet dieses Schlüssels war in diesem Zeitraum längst aufgelöst.",
                       "den Schlüssel, der seitdem gilt"),
            _territory(["unlisted"], "warning", "key.unlisted",
                       "Der Gebietsschlüssel steht in keiner geladenen Ausgabe des Gemeindeverzeichnisses.",
                       "einen Schlüssel des Verzeichnisses"),
            _territory(["unchecked"], "info", "key.unchecked",
                       "Der Gebietsschlüssel ließ sich nicht prüfen, weil für dieses Gebiet kein Gemeindeverzeichnis geladen ist.",
                       "ein geladenes Gemeindeverzeichnis"),
        ]  # fmt: skip
        if not contract.mendable:
            rules.append(
                _territory(["outdated"], "info", "key.outdated",
                           "Das Gebiet dieses Schlüssels war in diesem Zeitraum schon aufgelöst.",
                           "den Schlüssel, der seitdem gilt")
            )  # fmt: skip
    if {"territory_code", "territory_name"} <= names:
        rules += [
            _check("name_check", ["agrees", "disagrees"], "critical", "name.of_other_key", "territory_name",
                   "Name und Schlüssel gehören zu verschiedenen Gebieten.", "den Namen zum Schlüssel laut Verzeichnis"),
            _check("name_check", ["agrees", "other"], "warning", "name.disagrees", "territory_name",
                   "Der Name weicht vom Verzeichnis ab.", "den Namen zum Schlüssel laut Verzeichnis"),
        ]  # fmt: skip
    if "period_code" in names:
        rules += [
            _check("period_check", ["plausible", "future", "too_early"], "critical", "period.malformed", "period_code",
                   "Die Angabe ist kein gültiger Zeitraum.", "einen gültigen Zeitraum"),
            _check("period_check", ["plausible", "malformed", "too_early"], "critical", "period.future", "period_code",
                   "Der Zeitraum endet nach dem Eingang der Datei.", "einen abgeschlossenen Zeitraum"),
            _check("period_check", ["plausible", "malformed", "future"], "critical", "period.too_early", "period_code",
                   "Der Zeitraum liegt vor dem vereinbarten Beginn der Reihe.",
                   f"frühestens {spell_period(contract.calendar.first_period)}"),
        ]  # fmt: skip
    rules += [
        Expectation("expect_column_values_to_be_in_set", {"column": name, "value_set": codes}, "critical", "code.unknown",
                    f"Die Angabe in „{terms[name]}“ ist keiner vereinbarten Gruppe zugeordnet.", "eine vereinbarte Angabe")
        for name in ("measure_code", *GROUP_COLUMNS)
        if (codes := contract.codes(name)) is not None
    ]  # fmt: skip
    if contract.is_observation:
        rules += [
            Expectation("expect_column_values_to_be_in_set", {"column": "obs_status", "value_set": list(OBS_STATUS)},
                        "critical", "value.status", "Der Wert fehlt oder sein Zeichen ist nicht vereinbart.",
                        "eine Zahl oder ein vereinbartes Zeichen", shown_column="value"),
            Expectation("expect_column_values_to_be_in_set", {"column": "conf_status", "value_set": list(CONF_STATUS)},
                        "critical", "value.confidentiality", "Der Geheimhaltungsvermerk fehlt.", "F, C oder D"),
            _check("value_check", ["plausible"], "critical", "value.not_whole", "value",
                   "Eine Anzahl hat Nachkommastellen.", "eine ganze Zahl"),
        ]  # fmt: skip
        if not counted_measures(contract.path.parents[2]).issuperset(contract.measures):
            scale = ValuesToKeepTheirScale
            rules.append(
                Expectation(scale.type, {}, "critical", scale.rule, scale.sentence_de, scale.expected_de, "observations",
                            shown_column="value")
            )  # fmt: skip
    return rules


def _territory(found: Sequence[str], severity: Severity, rule: str, sentence: str, expected: str) -> Expectation:
    """A rule broken by rows whose key the register answers with one of ``found``."""
    allowed = [answer for answer in get_args(KeyCheck) if answer not in found]
    return _check("territory_check", allowed, severity, rule, "territory_code", sentence, expected)


def _check(
    computed: str, allowed: Sequence[str], severity: Severity, rule: str, shown: str, sentence: str, expected: str
) -> Expectation:
    return Expectation(
        "expect_column_values_to_be_in_set", {"column": computed, "value_set": list(allowed)}, severity, rule, sentence,
        expected, shown_column=shown,
    )  # fmt: skip


def _expectation(path: Path, number: int, entry: Mapping[str, Any], contract: Contract) -> Expectation:
    where = f"{path}: expectations[{number}]"
    unknown = set(entry) - {"type", "kwargs", "severity", "meta"}
    if unknown:
        raise ContractError(f"{where}: unknown key {min(unknown)!r}.")
    type_, kwargs, meta = str(entry.get("type")), entry.get("kwargs", {}), entry.get("meta", {})
    if unknown := set(meta) - {"rule", "sentence_de", "expected_de", "scope", "loosened", "notes"}:
        raise ContractError(f"{where}: meta: unknown key {min(unknown)!r}.")
    statistical = RULES.get(type_)
    words = {
        name: str(meta.get(name) or getattr(statistical, name, "")) for name in ("rule", "sentence_de", "expected_de")
    }
    if lacking := next((name for name, text in words.items() if not text), None):
        raise ContractError(f"{where}: meta.{lacking} is missing.")
    if entry.get("severity") not in ("critical", "warning", "info"):
        raise ContractError(f"{where}: severity must be critical, warning or info.")
    scope = meta.get("scope", "row")
    if scope not in ("row", "delivery", "observations"):
        raise ContractError(f"{where}: meta.scope must be row, delivery or observations, found {scope!r}.")
    if (scope == "observations") != (statistical is not None):
        raise ContractError(
            f"{where}: {type_!r} needs meta.scope: observations."
            if statistical
            else f"{where}: {type_!r} is no statistical expectation; known: {', '.join(sorted(RULES))}."
        )
    if statistical:
        _check_statistical(where, type_, kwargs, contract)
    elif scope == "row" and not type_.startswith(_ROW_TYPES):
        raise ContractError(f"{where}: {type_!r} judges a table as a whole; it needs meta.scope: delivery.")
    column = kwargs.get("column")
    known = PROFILE_COLUMNS if scope == "delivery" else contract.column_names
    if column is not None and column not in known and not statistical:
        raise ContractError(
            f"{where}: kwargs.column: no column {column!r} in the {'profile' if scope == 'delivery' else 'contract'}."
        )
    return Expectation(
        type_,
        kwargs,
        entry["severity"],
        words["rule"],
        words["sentence_de"],
        words["expected_de"],
        scope,
        shown_column="value" if statistical else None,
        loosened=_loosened(where, meta.get("loosened")),
    )


def _check_statistical(where: str, type_: str, kwargs: Mapping[str, Any], contract: Contract) -> Rule:
    if not contract.is_observation:
        raise ContractError(f"{where}: {type_!r} judges observations, and {contract.dataset_id} has none.")
    try:
        return parse_rule(type_, kwargs, contract)
    except ContractError as error:
        raise ContractError(f"{where}: {error}") from error


def _loosened(where: str, given: Any) -> Mapping[str, str] | None:
    """A bound wider than its rule says since when and why, so that it can be narrowed again."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or set(given) != {"date", "reason"} or not all(given.values()):
        raise ContractError(f"{where}: meta.loosened: needs date and reason, and nothing else.")
    try:
        date.fromisoformat(given["date"])
    except (TypeError, ValueError) as error:
        raise ContractError(f"{where}: meta.loosened.date: must be YYYY-MM-DD, found {given['date']!r}.") from error
    return given


class _Checks:
    """Adds what depends on more than one column or on the register as columns Great Expectations can look at."""

    def __init__(self, contract: Contract, register: Register, received: date) -> None:
        self._contract = contract
        self._register = register
        self._received = received
        self._first = period_end(contract.calendar.first_period)
        self._counts = counted_measures(contract.path.parents[2])

    def attach(self, chunk: pa.Table) -> pa.Table:
        import pyarrow.compute as pc

        from teilhabe.columns.coded import plain

        names = set(chunk.column_names)
        if "territory_code" in names:
            keys = [c for c in ("territory_code", "period_code") if c in names]
            checked = _per_combination(chunk, keys, self._key)
            if "value" in names and checked.dictionary.to_pylist() != ["known"]:
                # Tables keep rows of dissolved units, without a value; their keys harm nobody.
                has_value = pc.is_valid(chunk["value"].chunk(0))
                checked = pc.if_else(has_value, plain(checked), "known").dictionary_encode()
            chunk = chunk.append_column("territory_check", checked)
        if {"territory_code", "territory_name"} <= names:
            chunk = chunk.append_column(
                "name_check", _per_combination(chunk, ["territory_code", "territory_name"], self._name)
            )
        if "period_code" in names:
            chunk = chunk.append_column("period_check", _per_combination(chunk, ["period_code"], self._period))
        if "value" in names:
            chunk = chunk.append_column("value_check", self._check_values(chunk, names))
        return chunk

    def _check_values(self, chunk: pa.Table, names: set[str]) -> pa.Array:
        """Where what is counted has decimal places. Values hardly repeat, so they are looked at all at once."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        from teilhabe.columns.coded import codes, texts
        from teilhabe.reading.cells.thousands import like_thousands

        values = chunk["value"].chunk(0)
        fractions = pc.and_not(
            pc.match_substring_regex(values.dictionary, _DECIMAL_PLACES), like_thousands(values.dictionary)
        )  # of those that look like thousands the reading has told
        found = np.append(fractions.to_numpy(zero_copy_only=False).astype(bool), False)
        own = self._contract.constants.get("measure_code", "")
        if not found.any():
            broken = np.zeros(len(chunk), dtype=bool)
        elif "measure_code" in names:
            measures = chunk["measure_code"].chunk(0)
            counted = np.array([(measure or own) in self._counts for measure in texts(measures)])
            broken = found[codes(values)] & counted[codes(measures)]
        else:
            broken = found[codes(values)] & (own in self._counts)
        verdicts = ["plausible", "fraction"] if broken.any() else ["plausible"]
        return pa.DictionaryArray.from_arrays(pa.array(broken.astype(np.int32)), pa.array(verdicts))

    def _key(self, code: str, period: str = "") -> str:
        # The register is what defines keys; it is not checked against itself.
        if self._contract.agency == "register" or not code:
            return "known"
        return self._register.check_key(code, period_end(period))

    def _name(self, code: str, name: str) -> str:
        return "agrees" if self._contract.agency == "register" else self._register.check_name(code, name)

    def _period(self, period: str) -> str:
        end = period_end(period)
        if end is None:
            return "malformed"
        if end > self._received:
            return "future"
        return "too_early" if self._first and end < self._first else "plausible"


def _per_combination(chunk: pa.Table, columns: Sequence[str], judge: Callable[..., str]) -> pa.DictionaryArray:
    """``judge`` once per distinct combination of texts, spread over the rows."""
    import pyarrow as pa

    from teilhabe.columns.coded import combinations, texts

    arrays = [chunk[name].chunk(0) for name in columns]
    found = combinations(arrays)
    known = [texts(array) for array in arrays]
    verdicts = pa.array(
        [
            judge(*(text[code] or "" for text, code in zip(known, codes, strict=True)))
            for codes in zip(*(part.tolist() for part in found.parts), strict=True)
        ],
        pa.string(),
    ).dictionary_encode()
    return pa.DictionaryArray.from_arrays(verdicts.indices.take(pa.array(found.rows)), verdicts.dictionary)


def _together(chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Chunks joined up to ``_JUDGED_ROWS``, every text column as one dictionary-coded array."""
    waiting: list[pa.Table] = []
    for chunk in chunks:
        waiting.append(_coded(chunk))
        if sum(table.num_rows for table in waiting) >= _JUDGED_ROWS:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _coded(chunk: pa.Table) -> pa.Table:
    import pyarrow as pa

    from teilhabe.columns.coded import coded, without_blanks

    # COPY makes no difference between an empty text and none, so no rule does.
    arrays = [column if pa.types.is_integer(column.type) else without_blanks(coded(column)) for column in chunk.columns]
    return pa.table(arrays, names=chunk.column_names)


class _Profile:
    """Counts per period while the chunks pass by."""

    def __init__(self) -> None:
        self.row_count = 0
        self._rows: Counter[str] = Counter()
        self._values: Counter[str] = Counter()
        self._suppressed: Counter[str] = Counter()
        self._territories: dict[str | None, set[str | None]] = defaultdict(set)

    def add(self, chunk: pa.Table) -> None:
        import numpy as np
        import pyarrow.compute as pc

        from teilhabe.columns.coded import codes, combinations, texts

        self.row_count += chunk.num_rows
        if "period_code" not in chunk.column_names:
            return
        column = chunk["period_code"].chunk(0)
        periods, of_row = texts(column), codes(column)

        def count(counter: Counter[str], rows: Any) -> None:
            for period, number in zip(periods, np.bincount(rows, minlength=len(periods)).tolist(), strict=True):
                if number:
                    counter[period] += number  # type: ignore[index]

        count(self._rows, of_row)
        if "value" in chunk.column_names:
            count(self._values, of_row[pc.is_valid(chunk["value"].chunk(0)).to_numpy(zero_copy_only=False)])
            secrecy = chunk["conf_status"].chunk(0)
            kept = np.array([text not in (None, "F") for text in texts(secrecy)])
            count(self._suppressed, of_row[kept[codes(secrecy)]])
        if "territory_code" in chunk.column_names:
            territory = chunk["territory_code"].chunk(0)
            places, both = texts(territory), combinations([column, territory])
            for one, two in zip(*(part.tolist() for part in both.parts), strict=True):
                self._territories[periods[one]].add(places[two])

    @property
    def periods(self) -> list[str]:
        return sorted(filter(None, self._rows))

    @property
    def territories(self) -> set[str | None]:
        return set().union(*self._territories.values())

    def frame(self) -> pd.DataFrame:
        import pandas as pd

        # A row whose period could not be read has a finding of its own.
        return pd.DataFrame(
            [
                (p, n, len(self._territories.get(p, ())), self._values[p], self._suppressed[p])
                for p, n in sorted((p, n) for p, n in self._rows.items() if p)
            ],
            columns=list(PROFILE_COLUMNS),
        )


class _Judge:
    """Runs the row expectations on chunk after chunk and keeps one finding per broken rule."""

    def __init__(
        self, expectations: Sequence[Expectation], contract: Contract, file_name: str, register: Register
    ) -> None:
        self._expectations = list(expectations)
        self._register = register
        self._contract = contract
        self._file_name = file_name
        self._counts: Counter[int] = Counter()
        self._elements: Counter[int] = Counter()
        self._places: dict[int, list[pd.DataFrame]] = defaultdict(list)
        self._bad: dict[int, set[str | None]] = defaultdict(set)
        """Texts of this delivery an expectation was not satisfied with."""
        self._by_column: dict[str, list[int]] = defaultdict(list)
        self._about_rows: list[int] = []
        for number, expectation in enumerate(self._expectations):
            if is_about_one_text(expectation):
                self._by_column[expectation.kwargs["column"]].append(number)
            else:
                self._about_rows.append(number)

    def add(self, chunk: pa.Table) -> None:
        for column, numbers in self._by_column.items():
            array = chunk[column].chunk(0)
            for number in numbers:
                is_about_gaps = self._expectations[number].type == NOT_NULL
                self._elements[number] += len(array) - (0 if is_about_gaps else array.null_count)
        for number, broken in self._broken_texts(chunk).items():
            self._note_rows(number, chunk, broken)
        if self._about_rows:
            frame = _to_frame(chunk)
            full = {number for number in self._about_rows if self._kept(number) >= EVIDENCE_LIMIT}
            for some, rows in ((set(self._about_rows) - full, True), (full, False)):
                self._count(frame, sorted(some), rows=rows)

    def _note_rows(self, number: int, chunk: pa.Table, broken: Codes) -> None:
        """Count the rows that have one of these texts, and keep the first of them."""
        import numpy as np
        import pyarrow as pa

        from teilhabe.columns.coded import codes

        array = chunk[self._expectations[number].kwargs["column"]].chunk(0)
        is_broken = np.zeros(len(array.dictionary) + 1, dtype=bool)
        is_broken[broken] = True
        rows = np.flatnonzero(is_broken[codes(array)])
        self._counts[number] += len(rows)
        if (room := EVIDENCE_LIMIT - self._kept(number)) > 0 and len(rows):
            columns = [name for name in self._evidence_columns(number) if name in chunk.column_names]
            first = chunk.select(columns).take(pa.array(rows[:room])).combine_chunks()
            self._places[number].append(_to_frame(first))

    def _count(self, frame: pd.DataFrame, numbers: Sequence[int], *, rows: bool) -> None:
        """Count what breaks these rules about more than one text; with ``rows`` also keep the first places of it."""
        if not numbers:
            return
        results = run_expectations(frame, [self._expectations[n] for n in numbers], rows=rows)
        for number, result in zip(numbers, results, strict=True):
            self._elements[number] += int(result.get("element_count", 0)) - int(result.get("missing_count") or 0)
            self._counts[number] += int(result.get("unexpected_count", 0))
            if broken := result.get("unexpected_index_list"):
                columns = [name for name in self._evidence_columns(number) if name in frame]
                self._places[number].append(frame.loc[broken[: EVIDENCE_LIMIT - self._kept(number)], columns])

    def _kept(self, number: int) -> int:
        return sum(map(len, self._places[number]))

    @staticmethod
    def _shown(expectation: Expectation) -> str | None:
        return expectation.shown_column or expectation.column

    def _evidence_columns(self, number: int) -> list[str]:
        shown = self._shown(self._expectations[number])
        columns = ("_row_number", "_column_number", "_sheet", "territory_code", "territory_name", shown)
        return [name for name in dict.fromkeys(columns) if name]

    def _broken_texts(self, chunk: pa.Table) -> dict[int, Codes]:
        """Codes of the texts that do not satisfy an expectation about one text, for each that has some."""
        import numpy as np

        asked: list[tuple[int, Witnesses]] = []
        found: dict[int, list[Codes]] = defaultdict(list)
        for column, numbers in self._by_column.items():
            array = chunk[column].chunk(0)
            for number in numbers:
                witnesses = Witnesses.of(self._expectations[number], array, self._bad[number])
                if len(witnesses.known_bad):
                    found[number].append(witnesses.known_bad)
                if not witnesses.are_known:
                    asked.append((number, witnesses))
        if asked:
            rules = [self._expectations[number] for number, _ in asked]
            results = run_expectations(side_by_side([w for _, w in asked]), rules)
            for (number, witnesses), result in zip(asked, results, strict=True):
                if not result.get("unexpected_count"):
                    witnesses.remember()
                    continue
                texts, codes = witnesses.all_texts()
                frame = side_by_side([replace(witnesses, values=texts)])
                (told,) = run_expectations(frame, [self._expectations[number]], rows=True)
                places = np.array(told["unexpected_index_list"], dtype=np.int64)
                found[number].append(codes[places])
                if witnesses.bounds is None:
                    self._bad[number].update(texts.take(places).to_pylist())
        return {number: np.concatenate(parts) for number, parts in found.items()}

    def findings(self, column_places: ColumnPlaces) -> list[tuple[str | None, Finding]]:
        """What was found, beside the column of the contract it is about."""
        found = []
        for number, expectation in enumerate(self._expectations):
            count, elements = self._counts[number], self._elements[number]
            mostly = float(expectation.kwargs.get("mostly", 1.0))
            if count and (elements - count) < mostly * elements:
                evidence = self._evidence(number, column_places)
                finding = _finding(expectation, self._contract, self._file_name, count, evidence, column_places)
                found.append((self._shown(expectation), finding))
        return found

    def _evidence(self, number: int, column_places: ColumnPlaces) -> list[Evidence]:
        expectation = self._expectations[number]
        shown = self._shown(expectation)
        return [
            Evidence(
                int(row["_row_number"]),
                _value_place(row) if shown == "value" else _key_place(row, shown, column_places),
                _text(row, shown),
                self._meant(expectation, row),
                column_number=int(row["_column_number"]) or None,
                sheet=_text(row, "_sheet"),
            )
            for places in self._places[number]
            for row in places.astype(object).to_dict("records")
        ]

    def _meant(self, expectation: Expectation, row: Mapping[Hashable, Any]) -> str | None:
        """What should have stood there: the key where the register leaves no doubt, the number as it may have been meant."""
        if expectation.rule == "value.not_whole":
            text = _text(row, "value") or ""
            if _LIKE_THOUSANDS.fullmatch(text):
                return "eine ganze Zahl, Tausender mit Punkt oder gar nicht getrennt"
            return (
                "eine ganze Zahl; Excel zeigt Nachkommastellen je nach Zahlenformat nicht an"
                if row.get("_sheet")
                else None
            )
        if expectation.rule not in _ABOUT_KEYS:
            return None
        name = row.get("territory_name")
        return self._register.instead(str(row["territory_code"]), name if isinstance(name, str) else None)


def _to_frame(chunk: pa.Table) -> pd.DataFrame:
    """Texts as categories (an expectation then looks at each distinct text once), ``value`` as a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from teilhabe.columns.coded import plain

    if "value" in chunk.column_names:
        value = pc.cast(plain(chunk["value"].chunk(0)), pa.float64())
        chunk = chunk.set_column(chunk.column_names.index("value"), "value", value)
    for place, field_ in enumerate(chunk.schema):
        if pa.types.is_dictionary(field_.type):
            array = chunk.column(place).chunk(0) if chunk.column(place).num_chunks else None
            # Several texts of a file may stand for one code; a reader need not have made them one.
            if array is not None and pc.count_distinct(array.dictionary).as_py() < len(array.dictionary):
                chunk = chunk.set_column(place, field_.name, plain(array).dictionary_encode())
    strings = [f.name for f in chunk.schema if pa.types.is_string(f.type)]
    frame: pd.DataFrame = chunk.to_pandas(categories=strings)
    return frame


def _judge_profile(
    expectations: Sequence[Expectation], profile: _Profile, contract: Contract, file_name: str
) -> Iterator[Finding]:
    if not expectations:
        return
    frame = profile.frame()
    unsure = [e for e in expectations if not _within_known(e, frame)]
    if not unsure:
        return
    for expectation, result in zip(unsure, run_expectations(frame, unsure), strict=True):
        if result["success"]:
            if bounds := _profile_bounds(expectation, frame):
                remember_range(identity(expectation), bounds)
            continue
        broken = run_expectations(frame, [expectation], rows=True)[0].get("unexpected_index_list") or []
        evidence = [
            Evidence(
                None,
                None,
                _text(frame.loc[index], expectation.column),
                subject=spell_period(str(frame.loc[index, "period_code"])),
            )
            for index in broken[:EVIDENCE_LIMIT]
        ]
        if not evidence and result.get("observed_value") is not None:
            evidence = [Evidence(None, None, str(result["observed_value"]))]
        yield _finding(expectation, contract, file_name, max(len(broken), 1), evidence)


def _within_known(expectation: Expectation, frame: pd.DataFrame) -> bool:
    bounds = _profile_bounds(expectation, frame)
    return bounds is not None and is_within(bounds, memory.ranges.get(identity(expectation)))


def _profile_bounds(expectation: Expectation, frame: pd.DataFrame) -> tuple[float, float] | None:
    """The smallest and the largest count, where those decide: all between bounds, none excused."""
    if expectation.type != "expect_column_values_to_be_between" or not len(frame):
        return None
    if "mostly" in expectation.kwargs or expectation.column not in PROFILE_COLUMNS[1:]:
        return None
    counts = frame[expectation.column]
    return (float(counts.min()), float(counts.max()))


class _Whole:
    """The delivery kept as one table for expectations of scope ``observations``; nothing is kept when there are none."""

    def __init__(self, contract: Contract, *, wanted: bool) -> None:
        self._columns = [*contract.column_names, "_row_number", "_column_number", "_sheet"]
        self._wanted = wanted
        self._rows = 0
        self._chunks: list[pa.Table] = []

    def add(self, chunk: pa.Table) -> None:
        self._rows += chunk.num_rows
        if self._rows > ROW_LIMIT:
            self._chunks.clear()
        elif self._wanted:
            self._chunks.append(chunk.select([name for name in self._columns if name in chunk.column_names]))

    def judge(
        self, expectations: Sequence[Expectation], context: Context, file_name: str, column_places: ColumnPlaces
    ) -> Iterator[Finding]:
        if not expectations or not self._rows:
            return
        if self._rows > ROW_LIMIT:
            yield Finding(
                "info",
                "observations.not_checked",
                "",
                found=f"{number_in_words(self._rows)} Zeilen",
                expected=f"höchstens {number_in_words(ROW_LIMIT)} Zeilen",
                what=f"Mit {FOUND} ist sie zu groß, um Summen, Anteile und Vorzeiträume zu prüfen; erwartet sind {EXPECTED}.",
            )
            return
        great_expectations()
        from teilhabe.validation.statistical_expectations import judging

        frame = _to_frame(_joined(self._chunks))
        with judging(frame, context):
            # The rules see the table that is known within; of the frame they ask its length, and hashing it all takes long.
            results = run_expectations(frame[["_row_number"]], expectations)
        for expectation, result in zip(expectations, results, strict=True):
            if not result["success"]:
                evidence = [Evidence(*place) for place in result["details"]["evidence"]]
                count = int(result["unexpected_count"])
                yield _finding(expectation, context.contract, file_name, count, evidence, column_places)


def _finding(
    expectation: Expectation,
    contract: Contract,
    file_name: str,
    count: int,
    evidence: Sequence[Evidence],
    column_places: ColumnPlaces | None = None,
) -> Finding:
    terms = {column.name: column.office_term or column.name for column in contract.columns}
    name = expectation.shown_column or expectation.column
    first = evidence[0] if evidence else Evidence(None, None, None)
    if first.row is None or (first.sheet and first.column):
        name = None  # what is missing stands in no column, and a cell of a workbook needs no other name
    if name == "value" and not contract.is_headed(terms[name]):
        name = None  # where numbers stand side by side, none of their columns is called so
    sentence = PLACE + expectation.sentence_de.rstrip(".")
    is_blank = expectation.type == NOT_NULL and expectation.scope == "row"  # then nothing was found, as the rule says
    finding = Finding(
        severity=expectation.severity,
        rule=expectation.rule,
        message="",
        sheet=first.sheet,
        row=first.row,
        column=(column_places and column_places.header(name, evidence)) or terms.get(name or "", name),
        found=first.found if first.found is not None else EMPTY,
        # A statistical rule may repeat numbers of the file there, which only the place itself may hold.
        expected=(expectation.scope != "observations" and first.expected) or expectation.expected_de,
        row_count=affected_rows(evidence, count),
        evidence=tuple(evidence),
        what=f"{sentence}." if is_blank else f"{sentence}; gefunden „{SUBJECT}{FOUND}“, erwartet {EXPECTED}.",
    )
    return with_sentence(finding, contract.secrecy_method, file_name)


def _value_place(row: Mapping[Hashable, Any] | pd.Series) -> str | None:
    """The column of the file the value stood in: a tidy row knows it for its value only."""
    return str(int(row["_column_number"])) if row["_column_number"] else None


def _key_place(row: Mapping[Hashable, Any], shown: str | None, column_places: ColumnPlaces) -> str | None:
    """The column of a sheet that makes a cell of the place."""
    sheet = _text(row, "_sheet")
    return column_places.in_evidence(sheet, shown) if sheet else None


def _text(row: Mapping[Hashable, Any] | pd.Series, column: str | None) -> str | None:
    import pandas as pd

    value = row.get(column) if column else None
    if value is None or pd.isna(value):
        return None
    if isinstance(value, float):
        text = format(Decimal(f"{value:.15g}"), "f")
        return text.replace(".", ",") if row.get("_sheet") else text  # as the workbook shows it
    if column == "period_code":
        return spell_period(str(value))
    if column == "territory_name" and "territory_code" in row:
        return f"{row['territory_code']} {value}".strip()
    return str(value)
