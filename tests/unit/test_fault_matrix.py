"""Every kind of wrong content in a file of every dataset: the right value, or a finding that names the place; nothing between."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from teilhabe.codes.periods import period_end
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, ReadingError
from teilhabe.reading import ReadingContext, open_reading
from teilhabe.reading.layouts.excluding import RowsExcluded
from teilhabe.validation import row_exclusion
from teilhabe.validation.register import Register, baseline
from teilhabe.validation.suite import Suite, load_suite
from teilhabe.validation.verdict import validate
from tests.faults_of_content import DISSOLVED, KINDS

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
FIXTURES = sorted(
    path
    for path in (PROJECT / "tests" / "fixtures" / "deliveries").iterdir()
    # the register and its changes are what keys are checked against
    if path.suffix in (".csv", ".xlsx") and not path.name.startswith("register__")
)
REGISTER = Register([], [], baseline(PROJECT))
RECEIVED = datetime(2026, 6, 1, tzinfo=UTC)

Row = dict[str, Any]
CASES_AT_LEAST = 220
"""Fewer would mean that the fixtures no longer hold what the faults are made in."""


@cache
def _rules(dataset_id: str) -> Suite:
    """The suite without the rules that hold numbers against each other: they have tests of their own and take longest."""
    suite = load_suite(PROJECT / "expectations", CONTRACTS[dataset_id])
    return Suite(dataset_id, tuple(e for e in suite.expectations if e.scope == "row"))


def taken_in(fixture: Path, data: bytes, folder: Path) -> tuple[list[Row] | None, list[Finding]]:
    """The rows that would be loaded (None: refused) and the findings, by the steps the pipeline takes."""
    dataset_id = fixture.name.partition(".")[0]
    contract = CONTRACTS[dataset_id]
    path = folder / fixture.name
    path.write_bytes(data)
    context = ReadingContext(received_at=RECEIVED)

    def reading() -> Any:
        return open_reading(contract, path, path.name, context=context)

    def judge(one: Any) -> Any:
        return validate(contract, _rules(dataset_id), one, REGISTER, file_name=path.name, received_at=RECEIVED)

    try:
        verdict = row_exclusion.judge(contract, reading, judge)
    except ReadingError as error:
        return None, [error.finding]
    if not verdict.accepted:
        return None, verdict.findings
    again = reading()
    if verdict.excluded:
        again.excluded = RowsExcluded({row.place for row in verdict.excluded})
    return pa.concat_tables(again.chunks()).to_pylist(), verdict.findings


@pytest.fixture(scope="module")
def controls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    folder = tmp_path_factory.mktemp("controls")
    rows: dict[str, list[Row]] = {}
    for fixture in FIXTURES:
        accepted, findings = taken_in(fixture, fixture.read_bytes(), folder)
        assert accepted, (fixture.name, [f.message for f in findings])
        rows[fixture.name] = accepted
    return rows


@cache
def spoilt(fixture: Path) -> dict[str, bytes]:
    """The file with each fault that can be made in it."""
    data = fixture.read_bytes()
    return {kind: changed for kind, spoil in KINDS.items() if (changed := spoil(data)) is not None}


def test_the_faults_can_be_made_in_most_files() -> None:
    assert sum(len(spoilt(fixture)) for fixture in FIXTURES) >= CASES_AT_LEAST
    assert {kind for fixture in FIXTURES for kind in spoilt(fixture)} == set(KINDS)


def facts(rows: list[Row]) -> set[tuple[Any, ...]]:
    """What a row says, without where it stands and how its names are written."""
    left_out = ("_row_number", "_column_number", "territory_name", "category_name", "programme_name", "provider_name")
    return {tuple(sorted((k, str(v)) for k, v in row.items() if k not in left_out)) for row in rows}


def names_a_place(finding: Finding) -> bool:
    """A row or a sheet and what to look for there; a person finds the cell with it."""
    return bool(
        finding.row or finding.sheet or any(e.row for e in finding.evidence) or re.search(r"Zeile \d|Zelle", finding.message)
    )  # fmt: skip


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_a_fault_is_read_rightly_or_refused_at_its_place(
    fixture: Path, controls: dict[str, list[Row]], tmp_path: Path
) -> None:
    good = facts(controls[fixture.name])
    for kind, data in spoilt(fixture).items():
        rows, findings = taken_in(fixture, data, tmp_path)
        told = [(f.severity, f.rule, f.message) for f in findings]
        if rows is None:
            assert any(f.stops and names_a_place(f) for f in findings), (kind, told)
            continue
        wrong = facts(rows) - good
        if kind == "dissolved key":
            wrong = {row for row in wrong if not _was_in_force(row)}
        assert wrong == set() or any(f.severity == "warning" and names_a_place(f) for f in findings), (
            kind,
            wrong,
            told,
        )
        assert len(rows) == len(controls[fixture.name]) or findings, (kind, "a row was dropped in silence")


def _was_in_force(row: tuple[Any, ...]) -> bool:
    """A dissolved key is right in its own time, and published tables keep it for some years."""
    fact = dict(row)
    end = period_end(fact["period_code"])
    return fact["territory_code"] == DISSOLVED and end is not None and end < date(2019, 1, 1)
