"""Every dataset has its contract, suite, staging model and an invented delivery, and the delivery reads as it was meant."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from teilhabe.codes.measures import measure_codes
from teilhabe.codes.periods import period_end
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding
from teilhabe.reading import open_reading
from teilhabe.validation.suite import load_suite

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
DELIVERIES = PROJECT / "tests" / "fixtures" / "deliveries"
STAGING = PROJECT / "dbt_project" / "models" / "staging"
SEEDS = PROJECT / "dbt_project" / "seeds"

DATASETS_AT_LEAST = 40
"""Fewer than there once were would mean that somebody's loop looks into the wrong folder."""

Row = dict[str, Any]


def deliveries() -> list[Path]:
    """``<dataset>.<ext>``, further layouts of a dataset ``<dataset>.<what>.<ext>``."""
    return sorted(path for path in DELIVERIES.iterdir() if path.suffix in (".csv", ".xlsx", ".txt"))


def dataset_of(path: Path) -> str:
    return path.name.partition(".")[0]


@cache
def read(name: str) -> tuple[list[Row], list[Finding], str]:
    path = DELIVERIES / name
    reading = open_reading(CONTRACTS[dataset_of(path)], path, path.name)
    rows = pa.concat_tables(reading.chunks()).to_pylist()
    return rows, reading.findings, reading.layout_name


def value(name: str, **where: str) -> Decimal | str | None:
    """The one number of a delivery at these coordinates; ``secret`` where it is blocked."""
    found = [row for row in read(name)[0] if all(row[column] == text for column, text in where.items())]
    assert len(found) == 1, (name, where, len(found))
    if found[0]["conf_status"] == "C":
        return "secret"
    return None if found[0]["value"] is None else Decimal(found[0]["value"])


# Drift: four things per dataset


def test_no_dataset_is_lost() -> None:
    assert len(CONTRACTS) >= DATASETS_AT_LEAST


def test_every_dataset_has_contract_suite_staging_model_and_delivery() -> None:
    contracts = set(CONTRACTS)
    suites = {f"{path.parent.name}__{path.stem}" for path in (PROJECT / "expectations").glob("*/*.json")}
    models = {path.stem.removeprefix("stg_") for path in STAGING.glob("*/stg_*.sql")} & contracts
    described = {path.stem.removeprefix("stg_") for path in STAGING.glob("*/stg_*.yml")} & contracts
    assert suites == contracts
    assert models == contracts
    assert described == contracts
    assert {dataset_of(path) for path in deliveries()} == contracts


@pytest.mark.parametrize("dataset_id", CONTRACTS)
def test_the_staging_model_stands_with_its_agency_and_names_its_dataset(dataset_id: str) -> None:
    folder = STAGING / CONTRACTS[dataset_id].agency
    sql = (folder / f"stg_{dataset_id}.sql").read_text(encoding="utf-8")
    assert f"'{dataset_id}'" in sql
    properties = yaml.safe_load((folder / f"stg_{dataset_id}.yml").read_text(encoding="utf-8"))
    [model] = [m for m in properties["models"] if m["name"] == f"stg_{dataset_id}"]
    assert model["config"]["meta"]["dataset_id"] == dataset_id
    assert model["description"].startswith("One row per ")
    assert [table["name"] for source in properties["sources"] for table in source["tables"]] == [dataset_id]


@pytest.mark.parametrize("dataset_id", CONTRACTS)
def test_the_contract_names_office_contact_licence_and_the_office_s_word_for_every_column(dataset_id: str) -> None:
    contract = CONTRACTS[dataset_id]
    assert (
        contract.office and contract.licence and contract.licence_url and contract.attribution and contract.limitations
    )
    assert contract.contact.endswith(".example"), "messages of a checkout never reach anybody"
    assert [column.name for column in contract.columns if not column.office_term] == []


@pytest.mark.parametrize("dataset_id", CONTRACTS)
def test_files_of_earlier_years_are_welcome(dataset_id: str) -> None:
    first = period_end(CONTRACTS[dataset_id].calendar.first_period)
    assert first is not None and first.year <= 2015


@pytest.mark.parametrize("dataset_id", CONTRACTS)
def test_the_suite_is_one_the_product_understands(dataset_id: str) -> None:
    suite = load_suite(PROJECT / "expectations", CONTRACTS[dataset_id])
    assert suite.expectations


def test_municipal_forms_have_the_seven_municipalities_as_senders() -> None:
    with_senders = {name: c.senders for name, c in CONTRACTS.items() if c.senders}
    assert set(with_senders) == {"housing__accommodation", "civic__volunteers"}
    for senders in with_senders.values():
        assert [s.territory_code for s in senders] == [f"0315700{n}" for n in (1, 2, 5, 6, 7, 8, 9)]


# Measures


def _seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _delivered_measures(contract: Contract) -> set[str]:
    return set(contract.measures)


def test_a_measure_several_datasets_deliver_has_a_rank_for_each_of_them() -> None:
    ranks = {(row["measure_code"], row["dataset_id"]) for row in _seed("measure_sources")}
    by_measure: dict[str, set[str]] = {}
    for dataset_id, contract in CONTRACTS.items():
        for code in _delivered_measures(contract):
            by_measure.setdefault(code, set()).add(dataset_id)
    unranked = {
        (code, dataset_id)
        for code, datasets in by_measure.items()
        if len(datasets) > 1
        for dataset_id in datasets
        if (code, dataset_id) not in ranks
    }
    assert unranked == set()


def test_ranks_name_datasets_that_deliver_the_measure_and_no_rank_twice() -> None:
    rows = _seed("measure_sources")
    for row in rows:
        contract = CONTRACTS[row["dataset_id"]]
        assert not contract.is_observation or row["measure_code"] in contract.measures, row
    places = [(row["measure_code"], row["priority"]) for row in rows]
    assert len(places) == len(set(places))


def test_measures_have_a_german_name_a_unit_and_a_behaviour() -> None:
    rows = _seed("measures")
    assert len(rows) == len(measure_codes(PROJECT)) >= 80
    for row in rows:
        assert row["name_de"] and row["name_en"] and row["unit"] and row["description"], row["measure_code"]
        assert row["behaviour"] in ("stock", "flow", "average", "cohort")
        assert {row["is_additive_over_territory"], row["is_additive_over_groups"]} <= {"true", "false"}


def test_every_measure_is_delivered_by_some_dataset() -> None:
    """Or computed from others, or all its indicators say that nobody delivers it yet."""
    delivered = {code for contract in CONTRACTS.values() for code in _delivered_measures(contract)}
    delivered.add("area_km2")  # the register delivers areas as a column of its own
    computed = {row["measure_code"] for row in _seed("measure_formulas")}
    waiting = {row["indicator_code"] for row in _seed("indicators") if row["availability_note_de"]}
    for code in measure_codes(PROJECT) - delivered - computed:
        indicators = {row["indicator_code"] for row in _seed("indicator_terms") if row["measure_code"] == code}
        assert indicators and indicators <= waiting, code


# Readings


@pytest.mark.parametrize("path", deliveries(), ids=lambda path: path.name)
def test_the_delivery_reads_without_a_critical_finding(path: Path) -> None:
    rows, findings, _ = read(path.name)
    assert rows
    assert [f.message for f in findings if f.severity == "critical"] == []
    assert {f.rule for f in findings if f.severity == "warning"} <= {"period.inferred"}


@pytest.mark.parametrize("path", deliveries(), ids=lambda path: path.name)
def test_the_delivery_is_small_and_says_nothing_of_persons(path: Path) -> None:
    assert path.stat().st_size < 40_000


def _layouts() -> Iterator[tuple[str, str]]:
    for dataset_id in ("state_statistics__population", "state_statistics__migration"):
        yield from ((dataset_id, layout.name) for layout in CONTRACTS[dataset_id].layouts)
    yield from (
        (d, layout.name) for d in CONTRACTS for layout in CONTRACTS[d].layouts if len(CONTRACTS[d].layouts) == 1
    )


def test_every_dataset_with_one_layout_and_every_second_file_is_read_by_the_layout_meant() -> None:
    used = {(dataset_of(path), read(path.name)[2]) for path in deliveries()}
    assert set(_layouts()) - used == set()


EXAMPLES: list[tuple[str, dict[str, str], Decimal | str | None]] = [
    ("police__offences_municipal.2024.csv",
     {"territory_code": "03157006", "measure_code": "offences_known", "category": "------", "period_code": "2024"},
     Decimal(6000)),
    ("police__offences_municipal.2024.csv",
     {"territory_code": "03157001", "measure_code": "suspects", "nationality": "foreign", "category": "435*00"}, "secret"),
    ("jobcentre__clients.xlsx",
     {"territory_code": "03157", "period_code": "2024-02", "measure_code": "employable_recipients",
      "nationality": "ukrainian"}, Decimal(350)),
    ("jobcentre__clients.xlsx",
     {"territory_code": "03157002", "period_code": "2024-02", "measure_code": "refugee_jobseekers",
      "category": "training_completed"}, Decimal(18)),
    ("jobcentre__programmes.csv",
     {"territory_code": "03157", "period_code": "2024-Q2", "measure_code": "programme_cost", "category": "M02"},
     Decimal("12500.50")),
    ("jobcentre__programmes.csv",
     {"territory_code": "03157001", "period_code": "2024-Q2", "measure_code": "programme_cost", "category": "M02"}, None),
    ("housing__accommodation.xlsx",
     {"territory_code": "03157006", "period_code": "2024-01", "measure_code": "privately_housed_persons",
      "category": "ukrainian"}, Decimal(50)),
    ("housing__accommodation.xlsx",
     {"measure_code": "asylum_benefit_recipients", "category": "decentralised"}, Decimal(140)),
    ("housing__allocation.csv",
     {"territory_code": "03157001", "period_code": "WH2024", "measure_code": "allocation_carry_over"}, Decimal(-2)),
    ("housing__allocation.csv",
     {"territory_code": "03157", "period_code": "SH2024", "measure_code": "allocation_target"}, Decimal(455)),
    ("schools__german_support.xlsx",
     {"territory_code": "03157006", "period_code": "SY2023", "measure_code": "pupils", "nationality": "foreign",
      "category": "grammar"}, Decimal(40)),
    ("schools__german_support.xlsx",
     {"measure_code": "vocational_entry_leavers_certified", "nationality": "total"}, Decimal(35)),
    ("health__school_entry.csv",
     {"territory_code": "03157009", "period_code": "SY2024", "measure_code": "children_language_need", "sex": "female",
      "category": "first_language_other"}, Decimal(24)),
    ("courses__integration_courses.xlsx",
     {"territory_code": "03157", "period_code": "2024-H1", "measure_code": "course_waiting_days", "category": "total"},
     Decimal(31500)),
    ("recognition__qualifications.csv",
     {"territory_code": "03157", "period_code": "2024", "measure_code": "recognition_full", "category": "technical"},
     Decimal(6)),
    ("civic__sports_clubs.xlsx",
     {"period_code": "2024-01-01", "category": "0007", "sex": "female", "age_band": "61plus"}, Decimal(56)),
    ("civic__sports_clubs.xlsx", {"category": "0001", "sex": "total", "age_band": "total"}, Decimal(77)),
    ("civic__volunteers.xlsx",
     {"period_code": "2024-H1", "measure_code": "municipal_staff", "nationality": "foreign"}, Decimal(20)),
    ("civic__volunteers.xlsx",
     {"measure_code": "encounter_participations", "category": "religious_community"}, Decimal(190)),
    ("civic__social_work.csv",
     {"territory_code": "03157006", "period_code": "2024-Q2", "measure_code": "social_work_fte",
      "category": "welfare_association"}, Decimal("2.5")),
    ("elections__local.xlsx",
     {"territory_code": "03157006", "period_code": "2021", "measure_code": "council_seats", "sex": "total",
      "category": "municipal_council"}, Decimal(25)),
    ("elections__local.xlsx",
     {"territory_code": "03157", "period_code": "2021", "measure_code": "eligible_voters", "category": "county_council"},
     Decimal(35000)),
    ("employment_agency__unemployed_municipal.month.csv",
     {"territory_code": "03157006", "period_code": "2024-02", "measure_code": "unemployed_exits_to_work"}, Decimal(25)),
    ("employment_agency__unemployed_municipal.csv",
     {"territory_code": "03157", "period_code": "2024", "measure_code": "unemployed", "nationality": "total",
      "age_band": "total", "category": "total"}, Decimal(2400)),
    ("employment_agency__municipal_workbook.03157006.xlsx",
     {"territory_code": "03157006", "period_code": "2022-06-30", "measure_code": "employees_workplace",
      "category": "sector_a"}, "secret"),
    ("employment_agency__municipal_workbook.03157006.xlsx",
     {"period_code": "2024", "measure_code": "unemployed", "category": "sgb2"}, Decimal(200)),
    ("employment_agency__apprenticeship_market.csv",
     {"period_code": "AY2023", "measure_code": "apprenticeship_applicants", "nationality": "total"}, Decimal(1040)),
    ("state_statistics__protection_seekers.csv",
     {"period_code": "2024-12-31", "sex": "female", "category": "total"}, Decimal(2455)),
    ("state_statistics__population.cohorts.csv",
     {"territory_code": "03157006", "period_code": "2024-12-31", "nationality": "foreign", "sex": "male",
      "age_band": "15_15"}, Decimal(50)),
    ("state_statistics__migration.nationality.csv",
     {"territory_code": "03157", "period_code": "2024", "measure_code": "moves_out", "nationality": "foreign"},
     Decimal(1050)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "where", "expected"), EXAMPLES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_number_counted_by_hand(name: str, where: dict[str, str], expected: Decimal | str | None) -> None:
    assert value(name, **where) == expected
