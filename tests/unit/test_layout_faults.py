"""Faults of a table's shape and of what stands in its cells, in every layout: the values of before, or a finding at the place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, ReadingError
from teilhabe.offices.templates import write_template
from teilhabe.reading import open_reading
from tests import faults_of_layout as layout
from tests import faults_workbook as workbook
from tests.faults_workbook import Place
from tests.filled_forms import filled

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
DELIVERIES = PROJECT / "tests" / "fixtures" / "deliveries"
WORKBOOKS = (
    "civic__volunteers.xlsx",
    "housing__accommodation.xlsx",
    "jobcentre__clients.xlsx",
    "schools__german_support.xlsx",
    "courses__integration_courses.xlsx",
    "elections__local.xlsx",
    "employment_agency__municipal_workbook.03157006.xlsx",
)
TEXTS = (
    "employment_agency__unemployed_municipal.csv",
    "state_statistics__population_nationality.csv",
    "state_statistics__migration.nationality.csv",
    "police__offences_municipal.2024.csv",
    "police__offences_district.2024.csv",
    "state_monitor__day_care_origin.csv",
    "recognition__qualifications.csv",
)
"""Texts of every reader, of offices that can mend a file and of such that publish it."""
FORMS = ("housing__accommodation", "courses__integration_courses")
"""Datasets whose form, drawn from the contract and filled in, is attacked as an office would send it."""
CELLS_IN = (
    "housing__accommodation.xlsx",
    "jobcentre__clients.xlsx",
    "elections__local.xlsx",
    "employment_agency__unemployed_municipal.csv",
    "state_monitor__day_care_origin.csv",
)
"""One of each reader: what stands in a cell is converted by the same code everywhere."""

Values = Counter[tuple[Any, ...]]

AGREED = frozenset({"dash", "minus", "cross", "point", "slash", "nothing", "blank", "in brackets"})
"""Signs some layouts agree on."""
READ_AS_NUMBERS = frozenset(
    {"thousands, point", "thousands, blank", "thousands, comma", "fraction", "huge", "two numbers"}
)
"""Spellings of other numbers: what is judged by rules of their own, or is right."""


def read(name: str, path: Path) -> tuple[Values, list[Finding]]:
    """Every value as it would be loaded, with its coordinates; of a file that is refused none.

    Where nobody mends a file, the rows that findings name are left out and the others are taken.
    """
    contract = CONTRACTS[name.partition(".")[0]]
    try:
        reading = open_reading(contract, path, name)
        table = pa.concat_tables(reading.chunks())
    except ReadingError as error:
        return Counter(), [error.finding]
    critical = [one for one in reading.findings if one.severity == "critical"]
    if critical and contract.mendable:
        return Counter(), reading.findings
    left_out = {(place.sheet, place.row) for one in critical for place in one.places() or ()}
    kept = [column for column in table.column_names if not column.startswith("_") and column != "territory_name"]
    values: Values = Counter()
    for row in table.to_pylist():
        if row["value"] is not None and (row.get("_sheet"), row["_row_number"]) not in left_out:
            values[tuple(row[column] for column in kept)] += 1
    return values, reading.findings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("good")


@cache
def content(name: str, folder: Path) -> bytes:
    """A fixture, or the filled-in form of a dataset."""
    if (DELIVERIES / name).is_file():
        return (DELIVERIES / name).read_bytes()
    dataset = name.partition(".")[0]
    contract = CONTRACTS[dataset]
    path = folder / name
    write_template(contract, path, today=date(2026, 11, 22), known=CONTRACTS.values())
    return filled(path).read_bytes()


@cache
def good(name: str, folder: Path) -> tuple[Values, frozenset[str]]:
    path = folder / f"good {name}"
    path.write_bytes(content(name, folder))
    values, findings = read(name, path)
    assert values and not [one for one in findings if one.severity == "critical"], findings
    return values, frozenset(one.message for one in findings)


@cache
def place(name: str, folder: Path) -> Place:
    path = folder / f"place {name}"
    path.write_bytes(content(name, folder))
    places = workbook.numbers(CONTRACTS[name.partition(".")[0]], path, name)
    known = set(places)
    return workbook.some([one for one in places if Place(one.sheet, one.row + 1, one.column) in known] or places)[0]


def spoilt(name: str, fault: layout.Fault, folder: Path) -> bytes | None:
    data = content(name, folder)
    if name.endswith(".xlsx"):
        return layout.of_workbook(data, place(name, folder), fault)
    return layout.of_text(data, fault)


def cases() -> Iterator[tuple[str, str]]:
    for name in (*WORKBOOKS, *TEXTS, *(f"{dataset}.form.xlsx" for dataset in FORMS)):
        yield from ((name, kind) for kind in layout.SHAPES)
        if name in CELLS_IN:
            yield from ((name, kind) for kind in layout.CELLS)


def names_a_place(finding: Finding) -> bool:
    """A row, a sheet, or the column that is missing."""
    return bool(finding.row or finding.sheet or finding.column or any(one.row for one in finding.evidence))


@pytest.mark.parametrize("name", sorted({name for name, _ in cases()}))
def test_a_fault_changes_no_value_and_drops_none_in_silence(name: str, folder: Path, tmp_path: Path) -> None:
    values, said = good(name, folder)
    made = 0
    for kind in (kind for one, kind in cases() if one == name):
        fault = layout.SHAPES.get(kind) or layout.CELLS[kind]
        bad = spoilt(name, fault, folder)
        if bad is None:
            continue
        made += 1
        path = tmp_path / name
        path.write_bytes(bad)
        found, findings = read(name, path)
        fresh = [one for one in findings if one.message not in said]
        told = [(one.severity, one.rule, one.message) for one in fresh]
        critical = [one for one in fresh if one.severity == "critical"]
        assert all(names_a_place(one) and one.message.endswith((".", "!")) for one in critical), (kind, told)
        wrong, lost = found - values, values - found
        if kind in AGREED | READ_AS_NUMBERS:
            assert (len(wrong) <= 1 and len(lost) <= 1) or critical, (kind, wrong, lost, told)
        else:
            assert not wrong, (kind, wrong, told)
            assert not lost or fresh or _is_another_edition(name, kind), (kind, lost, told)
    assert made >= 12


def _is_another_edition(name: str, kind: str) -> bool:
    """Years stand side by side: a file without one of them is an edition that begins later."""
    return kind == "column lost" and "municipal_workbook" in name
