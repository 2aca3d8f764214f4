"""The agency's municipal workbooks and the election office's tables, against figures read off the sheets by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from teilhabe.contract.parsing import load_contracts
from teilhabe.reading import open_reading

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
WORKBOOK, ELECTIONS = "employment_agency__municipal_workbook", "elections__local"
Row = dict[str, Any]


def read(dataset_id: str, path: Path) -> list[Row]:
    reading = open_reading(CONTRACTS[dataset_id], path, path.name)
    rows: list[Row] = pa.concat_tables(reading.chunks()).to_pylist()
    assert not [f for f in reading.findings if f.severity == "critical"]
    return rows


def one(rows: list[Row], **where: str) -> Row:
    groups = {name: "total" for name in ("nationality", "sex", "age_band", "category") if name in rows[0]}
    found = [row for row in rows if all(row[name] == value for name, value in (groups | where).items())]
    assert len(found) == 1, (where, len(found))
    return found[0]


@pytest.fixture(scope="module")
def altenstadt(real_files: Path) -> list[Row]:
    [path] = (real_files / "employment_agency" / "arbeitsmarkt_kommunal").glob("*_06440001_*.xlsx")
    return read(WORKBOOK, path)


@pytest.mark.parametrize(
    ("where", "number"),
    [
        ({"measure_code": "employees_workplace", "period_code": "2024-06-30"}, "3321"),
        ({"measure_code": "commuters_in", "period_code": "2020-06-30"}, "2535"),
        ({"measure_code": "employees_workplace", "period_code": "2024-06-30", "category": "sector_g_i"}, "1289"),
        ({"measure_code": "employees_residence", "period_code": "2024-06-30"}, "5180"),
        ({"measure_code": "employees_residence", "period_code": "2024-06-30", "nationality": "foreign"}, "751"),
        ({"measure_code": "employees_residence", "period_code": "2023-06-30", "age_band": "55plus"}, "1234"),
        ({"measure_code": "marginal_employees", "period_code": "2022-06-30", "category": "side_job"}, "377"),
        ({"measure_code": "unemployed", "period_code": "2021"}, "298.5"),
        ({"measure_code": "unemployed", "period_code": "2024", "nationality": "foreign"}, "109.666666666667"),
        ({"measure_code": "unemployed", "period_code": "2024", "category": "sgb3"}, "113.5"),
    ],
)
def test_altenstadt_s_workbook(altenstadt: list[Row], where: dict[str, str], number: str) -> None:
    row = one(altenstadt, **where)
    assert (row["territory_code"], row["value"], row["obs_status"], row["conf_status"]) == (
        "06440001",
        number,
        "A",
        "F",
    )


def test_a_blocked_cell_of_the_workbook_is_secret_and_not_zero(altenstadt: list[Row]) -> None:
    row = one(altenstadt, measure_code="employees_workplace", period_code="2020-06-30", category="sector_a")
    assert (row["value"], row["obs_status"], row["conf_status"], row["_row_number"]) == (None, "Q", "C", 18)


def test_every_workbook_has_33_numbers_for_each_of_five_years(real_files: Path) -> None:
    paths = sorted((real_files / "employment_agency" / "arbeitsmarkt_kommunal").glob("*.xlsx"))
    assert len(paths) == 5
    for path in paths:
        rows = read(WORKBOOK, path)
        assert len(rows) == 33 * 5
        assert {row["territory_code"] for row in rows} == {path.name.split("_")[1]}


@pytest.mark.parametrize(
    ("name", "territory", "election", "expected"),
    [
        # eligible voters, voters, seats, women among the seats
        ("KW2011_Tab4a+4b.xlsx", "03157006", "municipal_council", ("38177", "18201", "40", "11")),
        ("KW2011_Tab4a+4b.xlsx", "03157004", "municipal_council", ("8497", "4653", "22", "1")),
        ("KW2011_Tab4a+4b.xlsx", "03157", "county_council", ("106290", "56818", "50", "11")),
        ("KW2011_Tab4a+4b.xlsx", "03157", "municipal_council", ("106003", "56774", "232", "50")),
        ("Tabellen 1-5 Kommunalwahl 2016.xlsx", "03157006", "municipal_council", ("38568", "20174", "40", "8")),
        ("Tabellen 1-5 Kommunalwahl 2016.xlsx", "03157009", "county_council", ("17944", "9061", None, None)),
        ("Tabellen 1-5 Kommunalwahl 2016.xlsx", "03157", "county_council", ("107853", "60989", "50", "13")),
    ],
)
def test_local_elections(
    real_files: Path, name: str, territory: str, election: str, expected: tuple[str | None, ...]
) -> None:
    rows = _elections(real_files / "elections" / name)
    found = {
        (row["measure_code"], row["sex"]): row["value"]
        for row in rows
        if row["territory_code"] == territory and row["category"] == election
    }
    measures = [
        ("eligible_voters", "total"),
        ("voters", "total"),
        ("council_seats", "total"),
        ("council_seats", "female"),
    ]
    assert tuple(found.get(measure) for measure in measures) == expected
    assert {row["period_code"] for row in rows} == {"2011" if "2011" in name else "2016"}


def test_ilsede_s_council_was_elected_at_another_time(real_files: Path) -> None:
    rows = _elections(real_files / "elections" / "Tabellen 1-5 Kommunalwahl 2016.xlsx")
    assert not [r for r in rows if r["territory_code"] == "03157009" and r["category"] == "municipal_council"]


_READ: dict[Path, list[Row]] = {}


def _elections(path: Path) -> list[Row]:
    if path not in _READ:
        _READ[path] = read(ELECTIONS, path)
    return _READ[path]
