"""The verdict: given these rows, this register and this suite, expect these findings and no others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any

import great_expectations.datasource.fluent.interfaces as gx_interfaces
import pandas as pd
import pyarrow as pa
import pytest

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import EVIDENCE_LIMIT, ContractError, Evidence, Finding, Severity
from teilhabe.reading import open_reading
from teilhabe.reading.layouts.column_places import ColumnPlaces
from teilhabe.validation import rows as rows_judged
from teilhabe.validation import verdict as validation
from teilhabe.validation.expectation_runs import Expectation, run_expectations
from teilhabe.validation.register import Register
from teilhabe.validation.single_texts import memory
from teilhabe.validation.suite import Suite, contract_expectations, load_suite
from teilhabe.validation.verdict import Verdict, validate

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
POPULATION = CONTRACTS["state_statistics__population"]
RECEIVED = datetime(2024, 10, 20, 9, 30, tzinfo=UTC)
REGISTER = Register(
    [
        ("03", "Niedersachsen"),
        ("03157", "Peine"),
        ("03157001", "Edemissen"),
        ("03157002", "Hohenhameln"),
        ("03157006", "Peine, Stadt"),
    ],
    [date(2022, 12, 31), date(2023, 12, 31)],
)
GOOD = {
    "territory_code": "03157001",
    "territory_name": "Edemissen",
    "period_code": "2023-12-31",
    "nationality": "total",
    "sex": "total",
    "age_band": "total",
    "value": "12000",
    "obs_status": "A",
    "conf_status": "F",
}
Row = Mapping[str, str | None]


@dataclass
class Rows:
    """A reading whose rows are given: line 10 on, the value in column 3."""

    contract: Contract
    rows: list[Row]
    chunk_size: int = 1_000_000
    findings: list[Finding] = field(default_factory=list)
    layout_name: str = "by hand"
    places: ColumnPlaces = field(default_factory=ColumnPlaces)
    symbols: Counter[str] = field(default_factory=Counter)
    names_resolved: dict[str, str] = field(default_factory=dict)

    def chunks(self) -> Iterator[pa.Table]:
        for start in range(0, len(self.rows), self.chunk_size):
            part = self.rows[start : start + self.chunk_size]
            columns: dict[str, pa.Array] = {
                name: pa.array([row[name] for row in part], pa.string()) for name in self.contract.column_names
            }
            columns["_row_number"] = pa.array(range(10 + start, 10 + start + len(part)), pa.int32())
            columns["_column_number"] = pa.array([3] * len(part), pa.int32())
            yield pa.table(columns)


Judge = Callable[..., Verdict]


@pytest.fixture
def judge() -> Judge:
    def judging(*rows: Row, suite: tuple[Expectation, ...] | None = None, **given: Any) -> Verdict:
        contract = given.get("contract", POPULATION)
        # A handful of rows is no whole delivery: what is asked of one has tests of its own.
        own = [e for e in load_suite(PROJECT / "expectations", contract).expectations if e.scope != "observations"]
        expectations = tuple(own) if suite is None else suite
        options = {name: given[name] for name in ("chunk_size", "findings") if name in given}
        return validate(
            contract,
            Suite(contract.dataset_id, expectations),
            Rows(contract, list(rows), **options),  # type: ignore[arg-type]
            given.get("register", REGISTER),
            file_name="zahlen.csv",
            received_at=given.get("received_at", RECEIVED),
        )

    return judging


def row(**changes: str | None) -> Row:
    return {**GOOD, **changes}


def only(verdict: Verdict) -> Finding:
    assert len(verdict.findings) == 1, [(f.rule, f.message) for f in verdict.findings]
    return verdict.findings[0]


def test_a_good_delivery_has_no_findings(judge: Judge) -> None:
    verdict = judge(
        row(), row(sex="male", value="6000"), row(sex="female", value=None, obs_status="Q", conf_status="C")
    )
    assert verdict.findings == []
    assert verdict.accepted
    assert (verdict.row_count, verdict.layout, verdict.periods) == (3, "by hand", ["2023-12-31"])
    assert verdict.inferred_period is None


@pytest.mark.parametrize(
    ("changes", "severity", "rule", "shown", "found"),
    [
        ({"territory_code": "03157077"}, "critical", "key.unknown", "Regionalschlüssel", "03157077"),
        ({"territory_code": "03157077", "period_code": "2011-12-31"}, "warning", "key.unlisted", "Regionalschlüssel", "03157077"),
        ({"territory_code": "09162000"}, "info", "key.unchecked", "Regionalschlüssel", "09162000"),
        ({"territory_name": "Hohenhameln"}, "critical", "name.of_other_key", "Gebiet", "03157001 Hohenhameln"),
        ({"territory_name": "Stralsund"}, "warning", "name.disagrees", "Gebiet", "03157001 Stralsund"),
        ({"period_code": "2024-12-31"}, "critical", "period.future", "Stichtag", "31.12.2024"),
        ({"period_code": "1994-12-31"}, "critical", "period.too_early", "Stichtag", "31.12.1994"),
        ({"period_code": "31.12.2023"}, "critical", "period.malformed", "Stichtag", "31.12.2023"),
        ({"value": "-5"}, "critical", "value.negative", "Bevölkerungsstand", "-5"),
        ({"value": "90000001"}, "critical", "value.too_large", "Bevölkerungsstand", "90000001"),
        ({"value": "12000.5"}, "critical", "value.not_whole", "Bevölkerungsstand", "12000.5"),
        ({"sex": "women"}, "critical", "code.unknown", "Geschlecht", "women"),
        ({"obs_status": "Z"}, "critical", "value.status", "Bevölkerungsstand", "12000"),
        ({"conf_status": "G"}, "critical", "value.confidentiality", "Geheimhaltung", "G"),
        ({"territory_name": None}, "critical", "column.blank", "Gebiet", "leer"),
        ({"territory_name": ""}, "critical", "column.blank", "Gebiet", "leer"),
        ({"territory_name": " \u00a0"}, "critical", "column.blank", "Gebiet", "leer"),
        ({"sex": None}, "critical", "column.blank", "Geschlecht", "leer"),
    ],
)  # fmt: skip
def test_one_rule_one_finding_that_names_file_row_column_found_and_expected(
    judge: Judge, changes: dict[str, str | None], severity: Severity, rule: str, shown: str, found: str
) -> None:
    finding = only(judge(row(period_code="2022-12-31"), row(**changes), row(sex="male")))
    assert (finding.severity, finding.rule, finding.row, finding.row_count) == (severity, rule, 11, 1)
    assert finding.found == found
    column = f"3 („{shown}“)" if shown == "Bevölkerungsstand" else f"„{shown}“"
    assert finding.message.startswith(f"Datei „zahlen.csv“, Zeile 11, Spalte {column}: ")
    if rule == "column.blank":  # where nothing stands, nothing was found
        assert finding.message.endswith(" darf nicht leer sein.")
    else:
        assert finding.message.endswith(f"; gefunden „{found}“, erwartet {finding.expected}.")
    assert finding.message.count("\n") == 0


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({"territory_code": "09162000"}, True),
        ({"territory_name": "Stralsund"}, True),
        ({"territory_code": "03157077"}, False),
    ],
)
def test_only_critical_findings_stop_a_delivery(judge: Judge, changes: dict[str, str | None], accepted: bool) -> None:
    assert judge(row(**changes)).accepted is accepted


def test_findings_of_the_reader_count_and_come_first(judge: Judge) -> None:
    told = Finding("critical", "value.not_a_number", "Datei „zahlen.csv“, Zeile 4: „ca. 5“ ist keine Zahl.")
    verdict = judge(row(territory_code="03157077"), findings=[told])
    assert [f.rule for f in verdict.findings] == ["value.not_a_number", "key.unknown"]
    assert not judge(row(), findings=[told]).accepted


def test_a_period_the_reader_inferred_is_kept_for_every_later_reading(judge: Judge) -> None:
    told = Finding("info", "period.inferred", "Der Zeitraum steht nicht in der Datei.")
    assert judge(row(), findings=[told]).inferred_period == "2023-12-31"
    assert judge(row(), row(period_code="2022-12-31"), findings=[told]).inferred_period is None


def test_a_key_without_a_value_harms_nobody(judge: Judge) -> None:
    """Tables keep rows of dissolved municipalities, with dashes only."""
    assert judge(row(), row(territory_code="03157077", value=None, obs_status="M")).findings == []


def test_the_day_of_receipt_is_not_the_future(judge: Judge) -> None:
    assert judge(row(), received_at=datetime(2023, 12, 31, 12, tzinfo=UTC)).findings == []
    assert only(judge(row(), received_at=datetime(2023, 12, 30, 12, tzinfo=UTC))).rule == "period.future"


def test_first_period_agreed_is_not_too_early(judge: Judge) -> None:
    assert judge(row(period_code=POPULATION.calendar.first_period)).accepted


def test_keys_slipped_by_one_are_refused_although_every_key_exists(judge: Judge) -> None:
    rows = [
        row(territory_code="03157002", territory_name="Edemissen"),
        row(territory_code="03157006", territory_name="Hohenhameln"),
    ]
    verdict = judge(*rows)
    finding = only(verdict)
    assert (finding.rule, finding.row_count, verdict.accepted) == ("name.of_other_key", 2, False)
    assert [e.found for e in finding.evidence] == ["03157002 Edemissen", "03157006 Hohenhameln"]


def test_the_register_is_not_checked_against_itself(judge: Judge) -> None:
    contract = CONTRACTS["register__municipalities"]
    values = dict.fromkeys(contract.column_names) | {
        "record_type": "60", "text_code": "63", "territory_code": "03159999", "territory_name": "Neu gegründet",
        "ars": "031590000999", "period_code": "2023-12-31", "population_period_code": "2023-12-31",
        "area_km2": "1.5", "population": "10", "population_male": "5", "population_female": "5",
    }  # fmt: skip
    rules = {f.rule for f in judge(values, contract=contract).findings}
    assert not rules & {"key.unknown", "key.unlisted", "key.unchecked", "name.disagrees", "name.of_other_key"}


def test_evidence_is_capped_the_count_is_complete(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_judged, "EVIDENCE_LIMIT", 200)
    rows = [row(value="-1" if n % 2 else "5", sex="male") for n in range(500)]
    for chunk_size in (1_000_000, 120):
        finding = only(judge(*rows, chunk_size=chunk_size))
        assert finding.row_count == 250
        assert [e.row for e in finding.evidence] == [11 + 2 * n for n in range(200)]
        assert set(finding.evidence) == {Evidence(e.row, "3", "-1", column_number=3) for e in finding.evidence}
        assert "Insgesamt 250 Zeilen." in finding.message


def test_evidence_is_found_deep_in_a_long_file(judge: Judge) -> None:
    rows = [row(sex="male")] * 12_345 + [row(sex="unklar")] + [row()] * 100
    finding = only(judge(*rows))
    assert (finding.row, finding.row_count, finding.found) == (10 + 12_345, 1, "unklar")


def test_the_same_mistake_in_two_columns_is_two_findings(judge: Judge) -> None:
    verdict = judge(row(territory_name=None, sex=None))
    assert [f.rule for f in verdict.findings] == ["column.blank", "column.blank"]
    assert [f.column for f in verdict.findings] == ["Gebiet", "Geschlecht"]


def plausible(mostly: float, severity: Severity = "warning") -> Expectation:
    return Expectation(
        "expect_column_values_to_be_between", {"column": "value", "min_value": 0, "max_value": 100, "mostly": mostly},
        severity, "value.unusual", "Der Wert ist ungewöhnlich.", "höchstens 100",
    )  # fmt: skip


@pytest.mark.parametrize(("bad", "found"), [(1, 0), (2, 2)])
@pytest.mark.parametrize("chunk_size", [1_000_000, 4])
def test_mostly_is_a_share_of_the_delivery_not_of_a_chunk(judge: Judge, bad: int, found: int, chunk_size: int) -> None:
    """At most one in ten may be unusual: the tenth itself is allowed, and where the rows stand does not matter."""
    rows = [row(value="101" if n < bad else "5") for n in range(10)]
    verdict = judge(*rows, suite=(plausible(0.9),), chunk_size=chunk_size)
    assert sum(f.row_count for f in verdict.findings if f.rule == "value.unusual") == found
    assert verdict.accepted


def test_mostly_counts_values_not_empty_cells(judge: Judge) -> None:
    rows = [row(value="101"), row(value="5"), *[row(value=None, obs_status="Q", conf_status="C")] * 18]
    assert only(judge(*rows, suite=(plausible(0.9),))).row_count == 1, "one of two values, not one of twenty cells"


def test_severity_is_the_suites_own(judge: Judge) -> None:
    assert judge(row(), suite=(plausible(1.0, "info"),)).accepted
    assert not judge(row(), suite=(plausible(1.0, "critical"),)).accepted


def test_a_period_without_any_value_is_told(judge: Judge) -> None:
    secret = {"value": None, "obs_status": "Q", "conf_status": "C"}
    verdict = judge(row(), row(period_code="2022-12-31", **secret), row(period_code="2022-12-31", sex="male", **secret))
    finding = only(verdict)
    assert (finding.severity, finding.rule, finding.row, verdict.accepted) == (
        "warning",
        "period.without_values",
        None,
        True,
    )
    assert [(e.subject, e.found) for e in finding.evidence] == [("31.12.2022", "0")]
    assert finding.message.startswith("Datei „zahlen.csv“")
    assert "gefunden „31.12.2022: 0“" in finding.message


@pytest.mark.parametrize(
    ("column", "expected"),
    [("row_count", "4"), ("territory_count", "2"), ("value_count", "3"),
     ("suppressed_count", "1")],
)  # fmt: skip
def test_the_profile_counts_per_period_across_chunks(judge: Judge, column: str, expected: str) -> None:
    rows = [
        row(), row(sex="male"),
        row(territory_code="03157002", territory_name="Hohenhameln"),
        row(territory_code="03157002", territory_name="Hohenhameln", sex="male", value=None, obs_status="Q", conf_status="C"),
        row(period_code="2022-12-31"),
    ]  # fmt: skip
    impossible = Expectation(
        "expect_column_values_to_be_between", {"column": column, "min_value": 1000}, "info", "probe", "Probe.", "1000",
        scope="delivery",
    )  # fmt: skip
    finding = only(judge(*rows, suite=(impossible,), chunk_size=2))
    assert ("31.12.2023", expected) in [(e.subject, e.found) for e in finding.evidence]
    assert finding.row_count == 2


def test_rows_are_asked_for_only_where_something_failed(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row numbers cost sixty times as much: a clean file must not pay for them, a failing one only for what failed."""
    asked: list[tuple[str, int]] = []
    original = gx_interfaces.Batch.validate

    def watched(self: Any, suite: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append((str(kwargs["result_format"]["result_format"]), len(suite.expectations)))
        return original(self, suite, *args, **kwargs)

    monkeypatch.setattr(gx_interfaces.Batch, "validate", watched)
    memory.forget()
    judge(row())
    assert asked
    assert {kind for kind, _ in asked} == {"SUMMARY"}
    asked.clear()
    judge(row(value="-1"))
    assert [count for kind, count in asked if kind == "COMPLETE"] == [1]


def test_what_was_found_good_is_not_judged_again(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many small files of a run only what is new in each costs anything; what is wrong is found in each of them."""
    memory.forget()
    judge(row(value="5"), row(value="12000", sex="male"))
    asked: list[list[str]] = []
    original = gx_interfaces.Batch.validate

    def watched(self: Any, suite: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append([e.expectation_type for e in suite.expectations])
        return original(self, suite, *args, **kwargs)

    monkeypatch.setattr(gx_interfaces.Batch, "validate", watched)
    rows_only = tuple(
        e for e in load_suite(PROJECT / "expectations", POPULATION).expectations if e.scope != "observations"
    )
    assert judge(row(value="700"), row(value="12000", sex="male"), suite=rows_only).findings == []
    assert asked == [], "every text is known, and 700 lies between 5 and 12,000"
    assert only(judge(row(sex="unklar"), suite=rows_only)).rule == "code.unknown"
    assert only(judge(row(value="-1"), suite=rows_only)).rule == "value.negative"
    assert only(judge(row(value="-1"), suite=rows_only)).rule == "value.negative", "bad news is not remembered"


@pytest.mark.parametrize(
    "expectation",
    [
        ("expect_column_values_to_not_be_null", {"column": "value"}),
        ("expect_column_values_to_be_between", {"column": "value", "min_value": 0, "max_value": 100}),
        ("expect_column_values_to_be_between", {"column": "value", "min_value": 0, "strict_min": True, "mostly": 0.9}),
        ("expect_column_values_to_be_in_set", {"column": "sex", "value_set": ["male", "total"]}),
        ("expect_column_values_to_not_be_in_set", {"column": "sex", "value_set": ["diverse"]}),
        ("expect_column_values_to_match_regex", {"column": "territory_code", "regex": "^03"}),
        ("expect_column_values_to_not_match_regex", {"column": "territory_code", "regex": "^9"}),
        ("expect_column_value_lengths_to_be_between", {"column": "age_band", "min_value": 3}),
        ("expect_column_value_lengths_to_equal", {"column": "territory_code", "value": 8}),
    ],
    ids=lambda one: f"{one[0]} {one[1]['column']}",
)
@pytest.mark.parametrize("chunk_size", [7, 1_000])
def test_judging_texts_finds_the_rows_that_judging_rows_finds(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, expectation: tuple[str, dict[str, Any]], chunk_size: int
) -> None:
    """Great Expectations sees few texts; counts and places are those it gives for the whole table."""
    monkeypatch.setattr(validation, "_JUDGED_ROWS", chunk_size)
    random = Random(20240801)
    texts: dict[str, list[str | None]] = {
        "value": [None, "-3", "0", "7", "100", "100.5", "3000000"],
        "sex": [None, "male", "female", "diverse", "total"],
        "territory_code": [None, "03157001", "9", "031", "04011000"],
        "age_band": [None, "u3", "total", "15_17"],
    }
    rows = [row(**{name: random.choice(known) for name, known in texts.items()}) for _ in range(60)]
    rule = Expectation(expectation[0], expectation[1], "info", "probe", "Probe.", "etwas anderes")
    frame = pd.DataFrame(rows)
    frame["value"] = frame["value"].astype(float)
    told = run_expectations(frame, [rule], rows=True)[0]
    assert told["unexpected_index_list"], "else there is nothing to compare"
    memory.forget()
    found = [
        finding for finding in judge(*rows, suite=(rule,), chunk_size=chunk_size).findings if finding.rule == "probe"
    ]
    assert [finding.row_count for finding in found] == [told["unexpected_count"]]
    assert [one.row for one in found[0].evidence] == [10 + n for n in told["unexpected_index_list"][:EVIDENCE_LIMIT]]


def test_a_text_found_bad_is_not_asked_about_in_each_chunk(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = gx_interfaces.Batch.validate

    def watched(self: Any, suite: Any, *args: Any, **kwargs: Any) -> Any:
        asked.extend(e.expectation_type for e in suite.expectations if e.severity == "info")
        return original(self, suite, *args, **kwargs)

    monkeypatch.setattr(validation, "_JUDGED_ROWS", 1)
    kwargs = {"column": "age_band", "value_set": ["total"]}
    rule = Expectation("expect_column_values_to_be_in_set", kwargs, "info", "probe", "Probe.", "alle")
    judge(row(), suite=(rule,))
    monkeypatch.setattr(gx_interfaces.Batch, "validate", watched)
    finding = only(judge(*[row(age_band="u3")] * 5, suite=(rule,), chunk_size=1))
    assert finding.row_count == 5
    assert asked == [rule.type] * 2, "whether and which, once"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["5", "7.5", None], ["7,5"]),
        (["7.250", "5.0", "8.00", "1000.5", "-0.5", "12.3456"], ["1000,5", "-0,5", "12,3456"]),
        (["1", "2", None], []),
    ],
)
def test_of_what_is_counted_there_are_no_parts(judge: Judge, values: list[str | None], found: list[str]) -> None:
    """Zeros behind the point are none, and what looks like thousands is for the reading to tell."""
    rows = [row(value=value, obs_status="A" if value else "M") for value in values]
    findings = [f for f in judge(*rows, suite=()).findings if f.rule == "value.not_whole"]
    assert [str(e.found).replace(".", ",") for f in findings for e in f.evidence] == found


def test_through_a_real_file(judge: Judge, tmp_path: Path) -> None:
    """Row and column are those of the delivered file, not of the tidy table."""
    text = (PROJECT / "tests" / "fixtures" / "reading" / "genesis_population.csv").read_text(encoding="utf-8")
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    reading = open_reading(POPULATION, tmp_path / "a.csv", "a.csv")
    lines = text.splitlines()
    at = next(n for n, line in enumerate(lines, start=1) if line.startswith("03999002"))
    units = [("03", "Niedersachsen"), ("03999", "Neustadt"), ("03999001", "x"), ("03999003", "x")]
    verdict = validate(
        POPULATION, load_suite(PROJECT / "expectations", POPULATION), reading,
        Register(units, [date(2030, 12, 31), date(2031, 12, 31)]), file_name="a.csv",
        received_at=datetime(2032, 10, 1, tzinfo=UTC),
    )  # fmt: skip
    unknown = next(f for f in verdict.findings if f.rule == "key.unknown")
    assert (unknown.row, unknown.found) == (at, "03999002")
    assert verdict.layout == "GENESIS-Tabelle 12411-01-01-5"


# What follows from each contract


def test_every_contract_is_judged_on_its_required_columns_keys_names_and_periods() -> None:
    assert len(CONTRACTS) >= 24
    for contract in CONTRACTS.values():
        rules = [e.rule for e in contract_expectations(contract)]
        assert rules.count("column.blank") == sum(c.required for c in contract.columns) > 0
        assert {"period.malformed", "period.future", "period.too_early"} <= set(rules), contract.dataset_id
        if contract.is_observation:
            assert {"key.unknown", "key.unlisted", "name.of_other_key", "value.status"} <= set(rules)


# Suites that are wrong


ENTRY: dict[str, Any] = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "value", "min_value": 0},
    "severity": "critical",
    "meta": {"rule": "value.negative", "sentence_de": "Negativ.", "expected_de": "eine Zahl ab 0"},
}


def suite_file(folder: Path, content: Any) -> Path:
    path = folder / "state_statistics" / "population.json"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"typo": 1}, "expectations[0]: unknown key 'typo'"),
        ({"severity": "fatal"}, "expectations[0]: severity must be"),
        ({"severity": None}, "expectations[0]: severity must be"),
        ({"meta": {"rule": "r", "expected_de": "x"}}, "expectations[0]: meta.sentence_de is missing"),
        ({"meta": {"sentence_de": "S.", "expected_de": "x"}}, "expectations[0]: meta.rule is missing"),
        ({"meta": {"rule": "r", "sentence_de": "S."}}, "expectations[0]: meta.expected_de is missing"),
        ({"kwargs": {"column": "valeu"}}, "no column 'valeu' in the contract"),
        ({"meta": {**ENTRY["meta"], "scope": "delivery"}}, "no column 'value' in the profile"),
    ],
)
def test_a_wrong_entry_of_a_suite_is_named_with_its_file(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = suite_file(tmp_path, {"name": POPULATION.dataset_id, "expectations": [{**ENTRY, **change}]})
    with pytest.raises(ContractError) as caught:
        load_suite(tmp_path, POPULATION)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [("{,", "not valid JSON (line 1"), ({"name": "another", "expectations": []}, "name: must be 'state_statistics__population'")],
)  # fmt: skip
def test_a_wrong_suite_file(tmp_path: Path, content: Any, said: str) -> None:
    suite_file(tmp_path, content)
    with pytest.raises(ContractError, match=r"population\.json") as caught:
        load_suite(tmp_path, POPULATION)
    assert said in str(caught.value)


def test_a_missing_suite(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"population\.json.*cannot be read"):
        load_suite(tmp_path, POPULATION)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "expect_column_values_to_be_beautiful"},
        {"kwargs": {"column": "value", "min": 0}},
    ],
)
def test_an_expectation_that_cannot_run_does_not_pass(judge: Judge, change: dict[str, Any]) -> None:
    """An error of ours, not a verdict about the office's file."""
    expectation = replace(plausible(1.0), **change)
    with pytest.raises(Exception, match=r"configuration is not valid|extra fields|cannot run"):
        judge(row(), suite=(expectation,))
