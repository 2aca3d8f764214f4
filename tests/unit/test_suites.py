"""All suites: each dataset has one, all of it can run, and each entry speaks to the office in German."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.validation.expectation_runs import run_expectations
from teilhabe.validation.observations import Context
from teilhabe.validation.statistical_expectations import judging
from teilhabe.validation.suite import PROFILE_COLUMNS, contract_expectations, load_suite

PROJECT = Path(__file__).resolve().parents[2]
EXPECTATIONS = PROJECT / "expectations"
CONTRACTS = load_contracts(PROJECT / "agencies")
SUITES = {name: load_suite(EXPECTATIONS, contract) for name, contract in CONTRACTS.items()}
ALL = [(name, e) for name, suite in SUITES.items() for e in suite.expectations]

GERMAN = re.compile(r"[A-ZÄÖÜ].*[a-zäöüß].*\.", re.DOTALL)


def test_there_are_suites_at_all() -> None:
    assert len(SUITES) >= 24
    assert len(ALL) >= 70


def test_every_suite_file_belongs_to_a_contract() -> None:
    files = {f"{path.parent.name}__{path.stem}" for path in EXPECTATIONS.glob("*/*")}
    assert files == set(CONTRACTS)


@pytest.mark.parametrize("dataset_id", sorted(CONTRACTS))
def test_a_suite_says_something_about_values_and_about_the_delivery(dataset_id: str) -> None:
    scopes = {e.scope for e in SUITES[dataset_id].expectations}
    assert "row" in scopes
    if CONTRACTS[dataset_id].is_observation:
        assert "delivery" in scopes
        assert any(e.column == "value" for e in SUITES[dataset_id].expectations)


@pytest.mark.parametrize("dataset_id", sorted(CONTRACTS))
def test_all_expectations_run_in_great_expectations(dataset_id: str) -> None:
    """On one row as delivered and on a profile of one period; whatever they say, none may raise."""
    contract = CONTRACTS[dataset_id]
    expectations = [*contract_expectations(contract), *SUITES[dataset_id].expectations]
    rows = [e for e in expectations if e.scope == "row"]
    results = run_expectations(one_row(contract), rows)
    assert len(results) == len(rows)
    assert all(result["element_count"] == 1 for result in results), "each looks at rows, so a broken one is counted"
    delivery = [e for e in expectations if e.scope == "delivery"]
    profile = pd.DataFrame([("2023-12-31", 1, 1, 1, 0)], columns=list(PROFILE_COLUMNS))
    assert all("success" in result for result in run_expectations(profile, delivery) if delivery)
    whole = [e for e in expectations if e.scope == "observations"]
    if not whole:
        return
    with judging(one_row(contract), Context(contract)):
        assert all("success" in result for result in run_expectations(one_row(contract), whole) if whole)
    assert len(rows) + len(delivery) + len(whole) == len(expectations), "a misspelt scope would never run"


def one_row(contract: Contract) -> pd.DataFrame:
    frame = pd.DataFrame({name: ["1"] for name in contract.column_names}).astype("category")
    if "value" in frame:
        frame["value"] = 1.0
    for check in ("territory_check", "name_check", "period_check", "value_check"):
        frame[check] = "known"
    return frame.assign(_row_number=1, _column_number=1)


def test_every_entry_has_a_german_sentence_and_an_expectation_in_words() -> None:
    for name, e in [*ALL, *((name, e) for name, c in CONTRACTS.items() for e in contract_expectations(c))]:
        assert GERMAN.fullmatch(e.sentence_de), (name, e.sentence_de)
        assert e.sentence_de.count(".") - len(re.findall(r"\d\.\d|z\. B\.|[a-z]\. ", e.sentence_de)) <= 1, (
            name,
            e.sentence_de,
        )
        assert e.expected_de, (name, e.rule)
        assert not e.expected_de.endswith("."), "it ends a sentence that has its own full stop"
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", e.rule), (name, e.rule)


@pytest.mark.parametrize("dataset_id", sorted(CONTRACTS))
def test_a_rule_stands_for_one_thing_within_a_dataset(dataset_id: str) -> None:
    by_rule: dict[str, set[str]] = {}
    for e in SUITES[dataset_id].expectations:
        by_rule.setdefault(e.rule, set()).add(e.severity)
    assert all(len(severities) == 1 for severities in by_rule.values())
