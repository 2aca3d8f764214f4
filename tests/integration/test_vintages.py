"""The offices' own files through pipeline and dbt: numbers everybody can look up, in every version in which they were known."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import python_calamine

from teilhabe.building import building
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.flow import Flow

MONITOR = {"population": "1-1-1", "foreigners": "1-2-1", "naturalisations": "2-3-1"}
"""The components of the shares the state office published; that every other file can be read is shown without a warehouse."""
UNCHANGED = "lsn_integration_monitor/{}/indicator_3-1-3.csv"
"""The one file of the monitor that did not change from one vintage to the next."""
VINTAGES = ("2021-12", "2022-12", "2023-12")
DELIVERIES = [
    ("register__municipalities", "municipality_register/31122021_Auszug_GV.xlsx", "2022-09-20"),
    ("register__territorial_changes", "territorial_changes/2015.xls", "2016-02-01"),
    ("register__territorial_changes", "territorial_changes/2017.xls", "2018-02-01"),
    ("police__offences_district", "police_pks_2022/KR-F-01-T01-Kreise-Faelle-HZ_csv.csv", "2023-05-29"),
    *(
        (f"state_monitor__{name}", f"lsn_integration_monitor/{vintage}/indicator_{number}.csv", f"{vintage}-15")
        for vintage in VINTAGES
        for name, number in MONITOR.items()
    ),
    *(("state_monitor__day_care_origin", UNCHANGED.format(v), f"{v}-15") for v in VINTAGES[:2]),
]
TOTALS = "nationality = 'total' and sex = 'total' and age_band = 'total' and category = 'total'"


def hand_all_in(flow: Flow, real_files: Path) -> None:
    for dataset_id, name, at in DELIVERIES:
        path = real_files / name
        flow.hand_in(dataset_id, path.read_bytes(), path.name, at)
    for dataset_id in sorted({d for d, _, _ in DELIVERIES}, key=lambda d: (not d.startswith("register__"), d)):
        flow.run(dataset_id)


@pytest.fixture(scope="module")
def flow(real_files: Path, installed: Settings) -> Flow:
    """A warehouse built once from all of these files."""
    flow = Flow(installed, installed.home / "drafts")
    hand_all_in(flow, real_files)
    building.build(installed)
    return flow


def ask(flow: Flow, query: str) -> list[tuple[Any, ...]]:
    with connecting.connect("analyst", flow.settings) as conn:
        return conn.execute(query.encode()).fetchall()


def number(flow: Flow, measure: str, territory: str, period: str, where: str = TOTALS) -> Decimal | None:
    rows = ask(
        flow,
        "select value from marts.rpt_observation"
        f" where measure_code = '{measure}' and territory_code = '{territory}' and period_code = '{period}' and {where}",
    )
    assert len(rows) == 1, rows
    value: Decimal | None = rows[0][0]
    return value


def test_every_file_is_loaded(flow: Flow) -> None:
    """The file that did not change between two vintages: the same bytes, nothing new."""
    refused = flow.ask(
        "select d.file_name, d.state, f.message from ops.delivery d left join ops.finding f"
        " on f.delivery_id = d.delivery_id and f.severity = 'critical' where d.state <> 'loaded'"
    )
    assert refused == [("indicator_3-1-3.csv", "duplicate", None)]
    assert flow.ask("select count(*) from ops.delivery") == [(len(DELIVERIES),)]
    assert building.new_deliveries(flow.settings) == []


def test_all_offences_in_the_county(flow: Flow) -> None:
    where = "nationality = 'total' and sex = 'total' and age_band = 'total' and category = '------'"
    assert number(flow, "offences_known", "03157", "2022", where) == 7250


def test_the_crime_rate_of_the_county(flow: Flow) -> None:
    rows = ask(
        flow,
        "select value, numerator, denominator, denominator_period_code, denominator_dataset_id from marts.rpt_indicator"
        " where indicator_code = 'SIO-01' and territory_code = '03157' and period_code = '2022' and category = '890000'",
    )
    assert [row[1:] for row in rows] == [(7206, 136960, "2021-12-31", "register__municipalities")]
    assert float(rows[0][0]) == pytest.approx(7206 / 136960 * 100_000)


def test_every_official_rate_of_the_police_is_met(flow: Flow, real_files: Path) -> None:
    """Column HZ of the workbook, unrounded, against our own cases by our own register."""
    book = python_calamine.CalamineWorkbook.from_path(
        real_files / "police_pks_2022/KR-F-01-T01-Kreise-Faelle-HZ_xls.xlsx"
    )
    official = {
        (str(row[0]), str(row[2])): float(str(row[6]))
        for row in book.get_sheet_by_index(0).to_python()
        if str(row[2]).isdigit()
    }
    assert len(official) == 16_400
    ours = {
        (category, territory): float(value)
        for category, territory, value in ask(
            flow,
            "select category, territory_code, value from marts.rpt_indicator where indicator_code = 'SIO-01' and period_code = '2022'"
            " and length(territory_code) = 5 and category <> 'total'",
        )
        if value is not None
    }
    assert set(official) - set(ours) == set()
    wrong = {key: (rate, ours[key]) for key, rate in official.items() if abs(ours[key] - rate) > 0.01}
    assert wrong == {}


def test_what_was_not_yet_known(flow: Flow) -> None:
    query = (
        "select value from marts.observation_as_of('{}') where measure_code = 'foreigners_register'"
        " and dataset_id = 'state_monitor__foreigners' and territory_code = '03157' and period_code = '2022-12-31'"
    )
    assert ask(flow, query.format("2023-12-14")) == []
    assert len(ask(flow, query.format("2023-12-16"))) == 1


@pytest.mark.parametrize("vintage", VINTAGES)
@pytest.mark.parametrize(
    ("name", "period"),
    [("foreigners", "{}-12-31"), ("naturalisations", "{}"), ("population", "{}-12-31")],
)
def test_every_value_of_a_file_is_what_was_known_then(
    flow: Flow, real_files: Path, vintage: str, name: str, period: str
) -> None:
    path = real_files / f"lsn_integration_monitor/{vintage}/indicator_{MONITOR[name]}.csv"
    with path.open(encoding="utf-8-sig", newline="") as lines:
        delivered = {
            (row["GeoCode"].lstrip("KRHMZ"), period.format(row["Year"])): Decimal(row["Value"])
            if row["Value"].strip()
            else None
            for row in csv.DictReader(lines)
            if row["GeoCode"] and row["GeoCode"] != "K030"
        }
    assert len(delivered) > 700
    known = {
        (territory, when): value
        for territory, when, value in ask(
            flow,
            f"select territory_code, period_code, value from marts.observation_as_of('{vintage}-16')"
            f" where dataset_id = 'state_monitor__{name}'",
        )
    }
    if (
        name == "population"
    ):  # the state's own statistics and the register go before the monitor where they have a value
        delivered = {key: value for key, value in delivered.items() if key in known}
        assert len(delivered) > 200
    assert {key: known.get(key) for key in delivered} == delivered


@pytest.mark.parametrize(
    ("file", "category", "code", "version", "period"),
    [
        ("1-2-2", None, "DEM-02", 2, "{}-12-31"),
        ("2-3-3", "Anteil an allen Ausländerinnen und Ausländern", "DEM-04", 2, "{}"),
        ("2-3-3", "Anteil an allen Einwohnerinnen und Einwohnern", "DEM-04", 3, "{}"),
    ],
)
def test_the_shares_the_state_office_published_are_met(
    flow: Flow, real_files: Path, file: str, category: str | None, code: str, version: int, period: str
) -> None:
    """16 years of all counties, computed from the components known at the time; the year 2020 of 1-2-2 is rounded there."""
    with (real_files / f"lsn_integration_monitor/2021-12/indicator_{file}.csv").open(encoding="utf-8-sig") as lines:
        published = {
            (row["GeoCode"].lstrip("KRHMZ"), period.format(row["Year"])): float(row["Value"])
            for row in csv.DictReader(lines)
            if row["GeoCode"].startswith("K03") and (category is None or row["Kategorie"] == category)
        }
    known = {
        (territory, when): float(value)
        for territory, when, value in ask(
            flow,
            "select territory_code, period_code, value from marts.indicator_as_of('2021-12-16')"
            f" where indicator_code = '{code}' and definition_version = {version} and value is not null"
            " and nationality in ('total', 'foreign') and sex = 'total' and age_band = 'total' and category = 'total'",
        )
    }
    both = published.keys() & known.keys()
    assert len(both) > 700
    rounded = {key for key in both if file == "1-2-2" and key[1].startswith("2020")}
    wrong = {
        key: (published[key], known[key])
        for key in both
        if abs(published[key] - known[key]) > (0.0501 if key in rounded else 1e-6)
    }
    assert wrong == {}


def test_everything_a_second_time_changes_nothing(flow: Flow, real_files: Path) -> None:
    checksum = (
        "select count(*), sum(hashtext(r::text)::numeric), max(delivery_id) from marts.rpt_indicator as r"
        " union all select count(*), sum(hashtext(r::text)::numeric), max(delivery_id) from marts.rpt_observation as r"
    )
    before = ask(flow, checksum)
    loaded = flow.ask("select count(*) from ops.delivery where state = 'loaded'")
    hand_all_in(flow, real_files)
    assert flow.ask("select count(*) from ops.delivery where state = 'loaded'") == loaded
    assert flow.ask("select state, count(*) from ops.delivery group by 1 order by 1") == [
        ("duplicate", len(DELIVERIES) + 1),
        ("loaded", len(DELIVERIES) - 1),
    ]
    assert building.new_deliveries(flow.settings) == []
    assert not building.is_due(flow.settings)
    assert ask(flow, checksum) == before
