"""The verdict on a delivery: Great Expectations over what the suite says and what follows from the contract.

Row expectations run chunk by chunk, so memory does not grow with the file; expectations on the whole delivery run on its
profile (one row per period). Two passes: a cheap one for the verdict, and one that fetches the offending rows, only for
what failed and only until ``EVIDENCE_LIMIT`` is reached.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from teilhabe.errors import EVIDENCE_LIMIT, ContractError, Evidence, Finding, Severity
from teilhabe.periods import period_end

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from teilhabe.contracts import Contract
    from teilhabe.reading import Reading
    from teilhabe.register import Register

Scope = Literal["row", "delivery"]

PROFILE_COLUMNS = ("period_code", "row_count", "territory_count", "value_count", "suppressed_count")
"""The whole delivery in one row per period: what expectations of scope ``delivery`` see."""

OBS_STATUS = ("A", "P", "E", "U", "Q", "O", "M")
CONF_STATUS = ("F", "C", "D")

_CHECKS = ("territory_check", "name_check", "period_check")
_EVIDENCE_BLOCK = 5_000


@dataclass(frozen=True)
class Expectation:
    """One Great Expectations expectation with what this product adds: a severity, a rule id, a German sentence."""

    type: str
    kwargs: Mapping[str, Any]
    severity: Severity
    rule: str
    sentence_de: str
    expected_de: str
    scope: Scope = "row"
    shown_column: str | None = None
    """The delivered column a check is about, where the expectation looks at a computed one."""

    @property
    def column(self) -> str | None:
        return self.kwargs.get("column")


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
    inferred_period: str | None = None
    """The one period of a file that did not name it; kept so that every later reading agrees."""

    @property
    def accepted(self) -> bool:
        return not any(finding.severity == "critical" for finding in self.findings)


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
    reading: Reading,
    register: Register,
    *,
    file_name: str,
    received_at: datetime,
    progress: Callable[[int], None] = lambda rows: None,
) -> Verdict:
    """Judge a delivery. Consumes the reading; ``progress`` is told the rows judged so far.

    ``ReadingError`` of the reader passes through: the caller records its finding.
    """
    row_rules = [e for e in (*contract_expectations(contract), *suite.expectations) if e.scope == "row"]
    judge = _Judge(row_rules, contract, file_name)
    profile = _Profile()
    checks = _Checks(contract, register, received_at.date())
    for chunk in reading.chunks():
        profile.add(chunk)
        judge.add(checks.attach(chunk))
        progress(profile.row_count)
    verdict = Verdict(row_count=profile.row_count, layout=reading.layout_name, periods=profile.periods)
    verdict.findings += reading.findings
    if any(finding.rule == "period.inferred" for finding in verdict.findings):
        verdict.inferred_period = verdict.periods[0] if len(verdict.periods) == 1 else None
    verdict.findings += judge.findings()
    verdict.findings += _judge_profile(
        [e for e in suite.expectations if e.scope == "delivery"], profile, contract, file_name
    )
    return verdict


def contract_expectations(contract: Contract) -> list[Expectation]:
    """What needs no suite because it follows from the contract: columns, closed lists, keys, names, periods."""
    terms = {column.name: column.office_term or column.name for column in contract.columns}
    rules = [
        Expectation(
            "expect_column_values_to_not_be_null", {"column": column.name}, "critical", "column.blank",
            f"Die Spalte „{terms[column.name]}“ darf nicht leer sein.", "einen Eintrag",
        )
        for column in contract.columns
        if column.required
    ]  # fmt: skip
    names = set(contract.column_names)
    if "territory_code" in names:
        rules += [
            _check("territory_check", ["known", "unlisted", "unchecked"], "critical", "key.unknown", "territory_code",
                   "Der Gebietsschlüssel steht nicht im amtlichen Gemeindeverzeichnis dieses Stands.",
                   "einen Schlüssel des Verzeichnisses"),
            _check("territory_check", ["known", "unknown", "unchecked"], "warning", "key.unlisted", "territory_code",
                   "Der Gebietsschlüssel steht in keiner geladenen Ausgabe des Gemeindeverzeichnisses.",
                   "einen Schlüssel des Verzeichnisses"),
            _check("territory_check", ["known", "unknown", "unlisted"], "info", "key.unchecked", "territory_code",
                   "Der Gebietsschlüssel ließ sich nicht prüfen, weil für dieses Gebiet kein Gemeindeverzeichnis geladen ist.",
                   "ein geladenes Gemeindeverzeichnis"),
        ]  # fmt: skip
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
                   "Der Zeitraum ist keiner.", "einen gültigen Zeitraum"),
            _check("period_check", ["plausible", "malformed", "too_early"], "critical", "period.future", "period_code",
                   "Der Zeitraum endet nach dem Eingang der Datei.", "einen abgeschlossenen Zeitraum"),
            _check("period_check", ["plausible", "malformed", "future"], "critical", "period.too_early", "period_code",
                   "Der Zeitraum liegt vor dem vereinbarten Beginn der Reihe.", f"frühestens {contract.calendar.first_period}"),
        ]  # fmt: skip
    if contract.is_observation:
        rules += [
            Expectation("expect_column_values_to_be_in_set", {"column": "obs_status", "value_set": list(OBS_STATUS)},
                        "critical", "value.status", "Der Wert fehlt oder sein Zeichen ist nicht vereinbart.",
                        "eine Zahl oder ein vereinbartes Zeichen", shown_column="value"),
            Expectation("expect_column_values_to_be_in_set", {"column": "conf_status", "value_set": list(CONF_STATUS)},
                        "critical", "value.confidentiality", "Der Geheimhaltungsvermerk fehlt.", "F, C oder D"),
        ]  # fmt: skip
    return rules


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
    meta = entry.get("meta", {})
    for name in ("rule", "sentence_de", "expected_de"):
        if not meta.get(name):
            raise ContractError(f"{where}: meta.{name} is missing.")
    if entry.get("severity") not in ("critical", "warning", "info"):
        raise ContractError(f"{where}: severity must be critical, warning or info.")
    scope: Scope = meta.get("scope", "row")
    column = entry.get("kwargs", {}).get("column")
    known = PROFILE_COLUMNS if scope == "delivery" else contract.column_names
    if column is not None and column not in known:
        raise ContractError(
            f"{where}: kwargs.column: no column {column!r} in the {'profile' if scope == 'delivery' else 'contract'}."
        )
    return Expectation(
        entry["type"],
        entry.get("kwargs", {}),
        entry["severity"],
        meta["rule"],
        meta["sentence_de"],
        meta["expected_de"],
        scope,
    )


class _Checks:
    """Adds what depends on more than one column or on the register as columns Great Expectations can look at."""

    def __init__(self, contract: Contract, register: Register, received: date) -> None:
        self._contract = contract
        self._register = register
        self._received = received
        self._first = period_end(contract.calendar.first_period)

    def attach(self, chunk: pa.Table) -> pa.Table:
        import pyarrow.compute as pc

        names = set(chunk.column_names)
        if "territory_code" in names:
            keys = [c for c in ("territory_code", "period_code") if c in names]
            checked = _per_combination(chunk, keys, self._key)
            if "value" in names:
                # Tables keep rows of dissolved units, without a value; their keys harm nobody.
                checked = pc.if_else(pc.is_valid(chunk["value"]), checked, "known")
            chunk = chunk.append_column("territory_check", checked)
        if {"territory_code", "territory_name"} <= names:
            chunk = chunk.append_column(
                "name_check", _per_combination(chunk, ["territory_code", "territory_name"], self._name)
            )
        if "period_code" in names:
            chunk = chunk.append_column("period_check", _per_combination(chunk, ["period_code"], self._period))
        return chunk

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


def _per_combination(chunk: pa.Table, columns: Sequence[str], judge: Callable[..., str]) -> pa.Array:
    """``judge`` once per distinct combination of texts, spread over the rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [pc.fill_null(chunk[name], "") for name in columns]
    joined = pc.binary_join_element_wise(*texts, "\x1f") if len(texts) > 1 else texts[0]
    encoded = joined.combine_chunks().dictionary_encode()
    verdicts = pa.array([judge(*text.split("\x1f")) for text in encoded.dictionary.to_pylist()], pa.string())
    return verdicts.take(encoded.indices)


class _Profile:
    """Counts per period while the chunks pass by."""

    def __init__(self) -> None:
        self.row_count = 0
        self._rows: Counter[str] = Counter()
        self._values: Counter[str] = Counter()
        self._suppressed: Counter[str] = Counter()
        self._territories: dict[str, set[str]] = defaultdict(set)

    def add(self, chunk: pa.Table) -> None:
        import pyarrow.compute as pc

        self.row_count += chunk.num_rows
        if "period_code" not in chunk.column_names:
            return
        for period, count in _counts(chunk["period_code"]):
            self._rows[period] += count
        if "value" in chunk.column_names:
            for period, count in _counts(chunk.filter(pc.is_valid(chunk["value"]))["period_code"]):
                self._values[period] += count
            for period, count in _counts(chunk.filter(pc.not_equal(chunk["conf_status"], "F"))["period_code"]):
                self._suppressed[period] += count
        if "territory_code" in chunk.column_names:
            for row in chunk.group_by(["period_code", "territory_code"]).aggregate([]).to_pylist():
                self._territories[row["period_code"]].add(row["territory_code"])

    @property
    def periods(self) -> list[str]:
        return sorted(filter(None, self._rows))

    def frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            [
                (p, n, len(self._territories.get(p, ())), self._values[p], self._suppressed[p])
                for p, n in sorted(self._rows.items(), key=lambda item: str(item[0]))
            ],
            columns=list(PROFILE_COLUMNS),
        )


def _counts(column: pa.ChunkedArray) -> Iterator[tuple[str, int]]:
    for entry in column.value_counts().to_pylist():
        yield entry["values"], entry["counts"]


class _Judge:
    """Runs the row expectations on chunk after chunk and keeps one finding per broken rule."""

    def __init__(self, expectations: Sequence[Expectation], contract: Contract, file_name: str) -> None:
        self._expectations = list(expectations)
        self._contract = contract
        self._file_name = file_name
        self._counts: Counter[int] = Counter()
        self._elements: Counter[int] = Counter()
        self._evidence: dict[int, list[Evidence]] = defaultdict(list)

    def add(self, chunk: pa.Table) -> None:
        frame = _to_frame(chunk)
        results = run_expectations(frame, self._expectations)
        for number, result in enumerate(results):
            unexpected = int(result.get("unexpected_count", 0))
            self._elements[number] += int(result.get("element_count", 0)) - int(result.get("missing_count") or 0)
            if not unexpected:
                continue
            self._counts[number] += unexpected
            if len(self._evidence[number]) < EVIDENCE_LIMIT:
                self._evidence[number] += self._fetch_evidence(frame, self._expectations[number])

    def findings(self) -> list[Finding]:
        found = []
        for number, expectation in enumerate(self._expectations):
            count, elements = self._counts[number], self._elements[number]
            mostly = float(expectation.kwargs.get("mostly", 1.0))
            if count and (elements - count) < mostly * elements:
                found.append(
                    _finding(
                        expectation, self._contract, self._file_name, count, self._evidence[number][:EVIDENCE_LIMIT]
                    )
                )
        return found

    def _fetch_evidence(self, frame: pd.DataFrame, expectation: Expectation) -> list[Evidence]:
        shown = expectation.shown_column or expectation.column
        evidence: list[Evidence] = []
        for start in range(0, len(frame), _EVIDENCE_BLOCK):
            block = frame.iloc[start : start + _EVIDENCE_BLOCK]
            for index in run_expectations(block, [expectation], rows=True)[0].get("unexpected_index_list") or []:
                row = block.loc[index["_index"]]
                place = _value_place(row) if shown == "value" else None
                evidence.append(Evidence(int(row["_row_number"]), place, _text(row, shown)))
            if len(evidence) >= EVIDENCE_LIMIT:
                break
        return evidence


def run_expectations(
    frame: pd.DataFrame, expectations: Sequence[Expectation], *, rows: bool = False
) -> list[dict[str, Any]]:
    """Results of Great Expectations in the order of ``expectations``: counts, or with ``rows`` also the index of each row.

    Raises:
        ContractError: an expectation cannot run (unknown type, wrong arguments).
    """
    batch_definition, suite_type = _great_expectations()
    frame = frame.assign(_index=frame.index) if rows else frame
    suite = suite_type(
        name="teilhabe",
        expectations=[
            {"type": e.type, "kwargs": dict(e.kwargs), "severity": e.severity, "meta": {"number": n}}
            for n, e in enumerate(expectations)
        ],
    )
    wanted: dict[str, Any] = (
        {"result_format": "COMPLETE", "unexpected_index_column_names": ["_index"]}
        if rows
        else {"result_format": "SUMMARY", "partial_unexpected_count": 0}
    )
    outcome = batch_definition.get_batch({"dataframe": frame}).validate(suite, result_format=wanted)
    results: list[dict[str, Any]] = [{} for _ in expectations]
    for result in outcome.results:
        number = result.expectation_config.meta["number"]
        if result.exception_info and result.exception_info.get("raised_exception"):
            raise ContractError(f"Expectation {expectations[number].rule} ({expectations[number].type}) cannot run.")
        results[number] = {**result.result, "success": result.success}
    return results


@cache
def _great_expectations() -> tuple[Any, Any]:
    """An ephemeral context, once per process: importing it takes seconds."""
    import os

    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("deliveries").add_dataframe_asset("chunk")
    return asset.add_batch_definition_whole_dataframe("whole"), gx.ExpectationSuite


def _to_frame(chunk: pa.Table) -> pd.DataFrame:
    """Texts as categories (an expectation then looks at each distinct text once), ``value`` as a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "value" in chunk.column_names:
        chunk = chunk.set_column(chunk.column_names.index("value"), "value", pc.cast(chunk["value"], pa.float64()))
    texts = [f.name for f in chunk.schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    frame: pd.DataFrame = chunk.to_pandas(categories=texts)
    return frame


def _judge_profile(
    expectations: Sequence[Expectation], profile: _Profile, contract: Contract, file_name: str
) -> Iterator[Finding]:
    if not expectations:
        return
    frame = profile.frame()
    for expectation, result in zip(expectations, run_expectations(frame, expectations), strict=True):
        if result["success"]:
            continue
        broken = run_expectations(frame, [expectation], rows=True)[0].get("unexpected_index_list") or []
        evidence = [
            Evidence(
                None,
                None,
                f"{frame.loc[i['_index'], 'period_code']}: {_text(frame.loc[i['_index']], expectation.column)}",
            )
            for i in broken[:EVIDENCE_LIMIT]
        ]
        if not evidence and result.get("observed_value") is not None:
            evidence = [Evidence(None, None, str(result["observed_value"]))]
        yield _finding(expectation, contract, file_name, max(len(broken), 1), evidence)


def _finding(
    expectation: Expectation, contract: Contract, file_name: str, count: int, evidence: Sequence[Evidence]
) -> Finding:
    terms = {column.name: column.office_term or column.name for column in contract.columns}
    name = expectation.shown_column or expectation.column
    first = evidence[0] if evidence else Evidence(None, None, None)
    term = terms.get(name or "", name)
    place = "".join(
        part
        for part in (
            f", Zeile {first.row}" if first.row else "",
            f", Spalte {first.column}" if first.column else "",
            f" („{term}“)" if term else "",
        )
    )
    found = first.found if first.found is not None else "leer"
    others = f" Insgesamt {count} Fälle." if count > 1 else ""
    return Finding(
        severity=expectation.severity,
        rule=expectation.rule,
        message=f"Datei „{file_name}“{place}: {expectation.sentence_de.rstrip('.')}; "
        f"gefunden „{found}“, erwartet {expectation.expected_de}.{others}",
        row=first.row,
        column=term,
        found=found,
        expected=expectation.expected_de,
        row_count=count,
        evidence=tuple(replace(e, column=e.column or term) for e in evidence),
    )


def _value_place(row: pd.Series) -> str | None:
    """The column of the file the value stood in: a tidy row knows it for its value only."""
    return str(int(row["_column_number"])) if row["_column_number"] else None


def _text(row: pd.Series, column: str | None) -> str | None:
    import pandas as pd

    value = row.get(column) if column else None
    if value is None or pd.isna(value):
        return None
    if isinstance(value, float):
        return f"{value:.10g}"
    if column == "territory_name" and "territory_code" in row:
        return f"{row['territory_code']} {value}".strip()
    return str(value)
