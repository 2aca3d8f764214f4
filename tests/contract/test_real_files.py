"""Given the offices' own files, expect these numbers - counted here a second time with nothing but csv and calamine."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import python_calamine

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, ReadingError
from teilhabe.reading import ReadingContext, open_reading

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")

GENESIS = {
    "state_statistics__population": ["lsn_genesis/12411-01-01-5_00.csv"],
    "state_statistics__population_nationality": ["lsn_genesis/12411-03-03-4_00.csv"],
    "state_statistics__migration": ["lsn_genesis/12711-01-03-5_00.csv"],
    "state_statistics__naturalisations": ["lsn_genesis/12511-01-01-4.csv"],
    "state_statistics__asylum_benefits": ["lsn_genesis/22221-01-01-4_00.csv"],
    "state_statistics__dwellings": ["lsn_genesis/31231-01-02-5_00.csv"],
    "state_statistics__day_care": ["lsn_genesis/22541-01-04-4_00.csv"],
    "state_statistics__pupils": ["lsn_genesis/21111-01-03-4.csv", "lsn_genesis/21111-01-03-4_00.csv"],
    "state_statistics__school_leavers": ["lsn_genesis/21111-02-06-4_00.csv"],
    "employment_agency__unemployed_municipal": ["employment_agency/13211-01-03-5_00.csv"],
    "employment_agency__unemployed_district": ["employment_agency/13211-02-05-4_00.csv"],
    "employment_agency__employees_residence": ["employment_agency/13111-02-02-5_00.csv"],
}
NOT_LOADED = {
    "state_statistics__dwellings": {3, 4, 5, 6, 15},
    "state_statistics__day_care": {13, 14, 15},
    "state_statistics__pupils": {7, 8},
}
"""0-based columns the contract declares as not loaded."""
MONITOR = {
    "population": "1-1-1",
    "foreigners": "1-2-1",
    "foreigners_age": "1-2-6",
    "naturalisations": "2-3-1",
    "day_care_language": "3-1-2",
    "day_care_origin": "3-1-3",
    "school_leavers": "4-1-4",
    "employees": "5-2-1",
    "minimum_income": "6-2-1",
}
VINTAGES = ("2021-12", "2022-12", "2023-12")

Row = dict[str, Any]


@cache
def table(dataset_id: str, path: Path, context: ReadingContext | None = None) -> tuple[pa.Table, list[Finding]]:
    """A whole file; several tests ask for the same one."""
    reading = open_reading(CONTRACTS[dataset_id], path, path.name, context=context)
    return pa.concat_tables(reading.chunks()), reading.findings


def read(
    dataset_id: str, path: Path, context: ReadingContext | None = None, **where: str
) -> tuple[list[Row], list[Finding]]:
    """The rows of a file with these values, and what was found in it."""
    rows, findings = table(dataset_id, path, context)
    for name, value in where.items():
        rows = rows.filter(pc.equal(rows[name], value))
    return rows.to_pylist(), findings


def one(rows: list[Row], **where: str) -> Row:
    found = [row for row in rows if all(row[name] == value for name, value in where.items())]
    assert len(found) == 1, (where, len(found))
    return found[0]


def genesis_data(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every data row, read without any code of the project."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("cp1252")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("_____"):
            return
        cells = next(csv.reader([line], delimiter=";"), [])
        key = next((cell for cell in cells[:2] if cell == "DG" or (cell.isdigit() and len(cell) != 4)), None)
        if key and len(cells) > 3 and cells[-1]:
            yield number, cells


@pytest.mark.parametrize(("dataset_id", "name"), [(d, name) for d, names in GENESIS.items() for name in names])
def test_no_cell_of_a_genesis_table_is_lost(real_files: Path, dataset_id: str, name: str) -> None:
    """Every number cell is a value, every other cell a declared status, at the place it stood."""
    numbers, findings = table(dataset_id, real_files / name)
    keys = {"period_code", "territory_code", "territory_name", "label"}
    layout = CONTRACTS[dataset_id].layouts[0]
    width = len([key for key in layout.keys if key in keys])  # type: ignore[union-attr]
    skipped = {e.row for f in findings if f.rule == "key.same_municipality" for e in f.evidence}
    superseded = sum(f.row_count for f in findings if f.rule == "key.same_municipality")

    expected = {
        (number, position + 1): cell
        for number, cells in genesis_data(real_files / name)
        for position, cell in enumerate(cells)
        if position >= width and position not in NOT_LOADED.get(dataset_id, set())
    }
    columns = ("_row_number", "_column_number", "value", "obs_status", "conf_status")
    rows = zip(*(numbers[column].to_pylist() for column in columns), strict=True)
    found = {(row, column): said for row, column, *said in rows}
    assert len(found) == len(numbers)
    assert set(found) <= set(expected)
    lost = {place for place in expected if place not in found}
    assert len({row for row, _ in lost}) == superseded
    assert not any(re.fullmatch(r"\d+(,\d+)?", expected[place]) for place in lost), "only rows without numbers may go"
    assert skipped <= {row for row, _ in lost}
    symbols = {".": [None, "Q", "C"], "x": [None, "M", "F"], "...": [None, "O", "F"], "/": [None, "O", "F"]}
    for place, said in found.items():
        cell = expected[place]
        if cell in symbols:
            assert said == symbols[cell]
        elif cell == "-":
            assert tuple(said[:2]) in {("0", "A"), (None, "M")}
        else:
            assert re.fullmatch(r"-?\d+(,\d+)?", cell)
            assert said[:2] == [cell.replace(",", "."), "A"]
    assert not [f for f in findings if f.severity != "info"]


def test_population_of_peine(real_files: Path) -> None:
    dataset, path = "state_statistics__population", real_files / "lsn_genesis/12411-01-01-5_00.csv"
    county, _ = read(dataset, path, territory_code="03157")
    assert one(county, period_code="2015-12-31", sex="total")["value"] == "132320"
    assert {row["period_code"] for row in county} == {f"{year}-12-31" for year in range(2008, 2016)}
    lahstedt, _ = read(dataset, path, territory_code="03157003")
    dissolved = one(lahstedt, period_code="2015-12-31", sex="total")
    assert (dissolved["value"], dissolved["obs_status"]) == (None, "M")
    assert one(lahstedt, period_code="2014-12-31", sex="total")["value"] == "11400"


def test_members_of_associations_carry_their_official_key(real_files: Path) -> None:
    path = real_files / "lsn_genesis/12411-01-01-5_00.csv"
    rows, _ = read("state_statistics__population", path, period_code="2015-12-31")
    now = {row["territory_code"]: row["territory_name"] for row in rows}
    assert now["031535401"] == "Lutter am Barenberge, Samtgemeinde"
    assert now["03153006"] == "Hahausen"
    assert now["071315001"] == "Adenau, Verbandsgem."
    assert now["07131007"] == "Bad Neuenahr-Ahrweiler, verbandsfr. Gemeinde"


def test_unemployed_of_2016_stand_under_the_dead_key_of_ilsede(real_files: Path) -> None:
    path = real_files / "employment_agency/13211-01-03-5_00.csv"
    rows, _ = read("employment_agency__unemployed_municipal", path, period_code="2016")
    total = {"nationality": "total", "age_band": "total", "category": "total", "period_code": "2016"}
    assert one(rows, territory_code="03157", **total)["value"] == "3904"
    assert one(rows, territory_code="03157003", **total)["value"] == "587"
    lahstedt = one(rows, territory_code="03157004", **total)
    assert (lahstedt["value"], lahstedt["obs_status"], lahstedt["conf_status"]) == (None, "M", "F")


def test_rates_and_counts_of_one_table_are_different_measures(real_files: Path) -> None:
    path = real_files / "employment_agency/13211-02-05-4_00.csv"
    rows, _ = read("employment_agency__unemployed_district", path, territory_code="DG")
    country = {"territory_code": "DG", "period_code": "2016", "sex": "total", "age_band": "total", "category": "total"}
    assert one(rows, measure_code="unemployed", nationality="foreign", **country)["value"] == "629356"
    assert one(rows, measure_code="unemployment_rate_official", nationality="total", **country)["value"] == "6.1"
    assert one(rows, measure_code="unemployment_rate_dependent", nationality="total", **country)["value"] == "6.8"


def test_the_same_table_in_two_encodings_is_the_same_table(real_files: Path) -> None:
    paths = [real_files / "lsn_genesis" / name for name in ("21111-01-03-4.csv", "21111-01-03-4_00.csv")]
    first, second = (table("state_statistics__pupils", path)[0] for path in paths)
    assert first.equals(second)
    one_file, _ = read("state_statistics__pupils", paths[0], territory_code="03157")
    peine = {"territory_code": "03157", "period_code": "SY2015", "category": "total", "sex": "total"}
    assert one(one_file, measure_code="pupils", nationality="foreign", **peine)["value"] == "891"
    assert one(one_file, measure_code="schools", nationality="total", **peine)["obs_status"] == "M"


def test_leavers_of_2015_left_in_the_school_year_that_began_in_2014(real_files: Path) -> None:
    rows, _ = read("state_statistics__school_leavers", real_files / "lsn_genesis/21111-02-06-4_00.csv")
    peine = {"territory_code": "03157", "category": "without_certificate", "sex": "total"}
    assert one(rows, period_code="SY2014", **peine)["value"] == "71"
    assert {row["period_code"] for row in rows} == {"SY2013", "SY2014"}


def test_flat_file_agrees_with_its_own_bytes(real_files: Path) -> None:
    path = next((real_files / "lsn_ffcsv").glob("12411-01-01-4*"))
    rows, findings = read("state_statistics__population_nationality", path)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        raw = list(csv.DictReader(lines, delimiter=";"))
    assert len(rows) == len(raw) == 1467
    want = {"GESM": "male", "GESW": "female", "": "total"}
    for line, row in zip(raw, rows, strict=True):
        assert row["territory_code"] == line["1_variable_attribute_code"]
        assert row["sex"] == want[line["2_variable_attribute_code"]]
        assert row["value"] == (line["value"] if line["value"].isdigit() else row["value"])
    assert one(rows, territory_code="03157", sex="total")["period_code"] == "2024-12-31"
    assert not [f for f in findings if f.severity == "critical"]


@pytest.mark.parametrize("vintage", VINTAGES)
@pytest.mark.parametrize("dataset", sorted(MONITOR))
def test_every_row_of_the_monitor_is_read(real_files: Path, dataset: str, vintage: str) -> None:
    path = real_files / "lsn_integration_monitor" / vintage / f"indicator_{MONITOR[dataset]}.csv"
    rows, findings = read(f"state_monitor__{dataset}", path)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        raw = list(csv.DictReader(lines))
    assert len(rows) == len(raw)
    assert Counter(row["value"] for row in rows) == Counter(_plain(line["Value"]) for line in raw)
    peine = [row for row in rows if row["territory_code"] == "03157"]
    assert peine or dataset == "employees"
    assert not [f for f in findings if f.severity == "critical"]


def _plain(text: str) -> str | None:
    return text.lstrip("+") or None


def test_keys_the_monitor_lost_come_back_by_name(real_files: Path) -> None:
    path = real_files / "lsn_integration_monitor/2021-12/indicator_6-2-1.csv"
    rows, findings = read("state_monitor__minimum_income", path)
    rules = {finding.rule: finding for finding in findings}
    assert rules["key.completed_from_name"].row_count == 1224
    assert {row["territory_code"] for row in rows if row["territory_name"] == "Osterode"} == {"03156"}


def test_a_state_without_keys_and_a_county_with_unreadable_ones(real_files: Path) -> None:
    folder = real_files / "lsn_integration_monitor/2025-12"
    rows, findings = read("state_monitor__day_care_language", folder / "indicator_3-1-2.csv")
    keyless = [row for row in rows if row["territory_name"] == "Niedersachsen"]
    assert (len(rows), len(keyless)) == (1768, 34)
    assert {finding.rule: finding.row_count for finding in findings if finding.severity == "critical"} == {
        "key.invalid": 34
    }
    rows, findings = read("state_monitor__minimum_income", folder / "indicator_6-2-1.csv")
    [bad] = [finding for finding in findings if finding.severity == "critical"]
    osterode = {row["_row_number"] for row in rows if row["territory_name"] == "Osterode"}
    assert len(rows) == 3450
    assert (bad.rule, bad.row_count, {place.row for place in bad.places() or ()}) == ("key.invalid", 24, osterode)


def test_goettingen_beside_osterode_is_the_district_before_the_merger(real_files: Path) -> None:
    for vintage in ("2021-12", "2022-12", "2023-12"):
        rows, _ = read(
            "state_monitor__minimum_income", real_files / "lsn_integration_monitor" / vintage / "indicator_6-2-1.csv"
        )
        codes = {
            (row["period_code"][:4], row["territory_code"]) for row in rows if row["territory_name"] == "Göttingen"
        }
        assert {year for year, code in codes if code == "03152"} == {"2010", "2011", "2012", "2014"}
        assert min(year for year, code in codes if code == "03159") == "2018"


def test_osterode_under_the_key_of_goettingen(real_files: Path) -> None:
    path = real_files / "lsn_integration_monitor/2023-12/indicator_6-2-1.csv"
    rows, findings = read("state_monitor__minimum_income", path)
    assert {row["territory_code"] for row in rows if row["territory_name"] == "Osterode"} == {"03156"}
    assert [f.row_count for f in findings if f.rule == "key.overridden"] == [24, 24]


def test_an_indicator_number_that_changed_its_meaning_is_another_measure(real_files: Path) -> None:
    before, _ = read("state_monitor__employees", real_files / "lsn_integration_monitor/2021-12/indicator_5-2-1.csv")
    after, _ = read("state_monitor__employees", real_files / "lsn_integration_monitor/2022-12/indicator_5-2-1.csv")
    assert {row["measure_code"] for row in before} == {"employment_share_published"}
    assert {row["territory_code"] for row in before} == {"03"}
    assert {row["measure_code"] for row in after} == {"employees_workplace"}
    assert one(after, territory_code="03157", period_code="2021-06-30", sex="total")["value"] == "3683"


@pytest.fixture(scope="module")
def pks(real_files: Path) -> Callable[[str], Path]:
    return lambda kind: real_files / "police_pks_2022" / f"KR-F-01-T01-Kreise-Faelle-HZ_{kind}"


def test_offences_are_the_same_in_both_forms(pks: Callable[[str], Path]) -> None:
    keys = ("territory_code", "period_code", "measure_code", "nationality", "sex", "category")

    def values(kind: str, context: ReadingContext | None) -> dict[tuple[str, ...], str]:
        rows, _ = table("police__offences_district", pks(kind), context)
        columns = [rows[name].to_pylist() for name in keys]
        found = dict(zip(zip(*columns, strict=True), rows["value"].to_pylist(), strict=True))
        assert len(found) == len(rows)
        return found

    workbook, text = values("xls.xlsx", None), values("csv.csv", ReadingContext(period="2022"))
    assert workbook["03157", "2022", "offences_known", "total", "total", "------"] == "7250"
    assert workbook == text
    cells = python_calamine.CalamineWorkbook.from_path(pks("xls.xlsx")).get_sheet_by_index(0).to_python()
    data = [row for row in cells if re.fullmatch(r"\d{5}", str(row[2]))]
    loaded = (5, 7, 11, 13, 14, 15, 16)
    assert len(workbook) == len(data) * len(loaded)
    assert sum(map(int, workbook.values())) == sum(int(row[at]) for row in data for at in loaded)


def test_a_table_without_its_year_is_refused_unless_the_populations_tell(
    real_files: Path, pks: Callable[[str], Path]
) -> None:
    with pytest.raises(ReadingError, match="Jahr in den Dateinamen") as caught:
        read("police__offences_district", pks("csv.csv"))
    assert caught.value.finding.rule == "period.not_found"

    monitor, _ = read("state_monitor__population", real_files / "lsn_integration_monitor/2023-12/indicator_1-1-1.csv")
    populations: dict[str, dict[str, float]] = {}
    for row in monitor:
        if len(row["territory_code"]) == 5:
            populations.setdefault(row["period_code"][:4], {})[row["territory_code"]] = float(row["value"])
    rows, findings = table("police__offences_district", pks("csv.csv"), ReadingContext(populations=lambda: populations))
    assert rows["period_code"].unique().to_pylist() == ["2022"]
    assert [f.severity for f in findings if f.rule == "period.inferred"] == ["warning"]


REGISTER = {
    "31122013_Auszug_GV.xlsx": "2013-12-31",
    "31122017_Auszug_GV.xlsx": "2017-12-31",
    "31122021_Auszug_GV.xlsx": "2021-12-31",
    "GV100AD_31122022.txt": "2022-12-31",
}


@pytest.mark.parametrize("name", sorted(REGISTER))
def test_the_register_in_both_layouts(real_files: Path, name: str) -> None:
    rows, findings = read("register__municipalities", real_files / "municipality_register" / name)
    municipalities = [row for row in rows if row["record_type"] == "60"]
    assert {row["period_code"] for row in rows} == {REGISTER[name]}
    assert all(re.fullmatch(r"\d{8}", row["territory_code"]) for row in municipalities)
    assert all(row["population"] and row["area_km2"] for row in municipalities)
    total = sum(int(row["population"]) for row in municipalities)
    assert 80_000_000 < total < 85_000_000
    assert all(
        int(row["population"]) == int(row["population_male"]) + int(row["population_female"]) for row in municipalities
    )
    assert one(rows, record_type="40", territory_code="03157")["territory_name"] == "Peine"
    assert len([row for row in municipalities if row["territory_code"].startswith("03157")]) in {7, 8}
    assert not [f for f in findings if f.severity == "critical"]


def test_the_register_of_2022_knows_peine(real_files: Path) -> None:
    rows, _ = read("register__municipalities", real_files / "municipality_register/GV100AD_31122022.txt")
    ilsede = one(rows, territory_code="03157009")
    assert (ilsede["area_km2"], ilsede["population"], ilsede["population_male"]) == ("72.22", "22206", "11046")
    assert ilsede["ars"] == "031570009009"


@pytest.mark.parametrize("name", ["2014.xls", "2015.xls", "2016.xls", "2017.xls", "2023.xlsx"])
def test_every_territorial_change_is_read(real_files: Path, name: str) -> None:
    path = real_files / "territorial_changes" / name
    rows, findings = read("register__territorial_changes", path)
    workbook = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(path.read_bytes()))
    cells = workbook.get_sheet_by_index(1).to_python()
    assert len(rows) == sum(bool(re.match(r"(\d\d|stba)/\d{4}/", str(row[0]))) for row in cells)
    assert {row["period_code"] for row in rows} == {name[:4]}
    assert not [f for f in findings if f.severity in {"critical", "warning"}]


def test_ilsede_and_lahstedt_became_ilsede(real_files: Path) -> None:
    rows, _ = read("register__territorial_changes", real_files / "territorial_changes/2015.xls")
    merged = {row["old_code"]: row for row in rows if row["new_code"] == "03157009"}
    assert set(merged) == {"03157003", "03157004"}
    assert {row["statistical_date"] for row in merged.values()} == {"2015-01-01"}
    assert {row["change_type"] for row in merged.values()} == {"1"}


def test_the_list_saved_with_power_query(real_files: Path) -> None:
    rows, findings = read("register__territorial_changes", real_files / "territorial_changes/2024.xlsx")
    assert len(rows) == 82 and not findings
    borna = [row for row in rows if row["old_code"] == "14729050"]
    assert {(row["new_code"], row["area_m2"], row["population"]) for row in borna} == {
        ("14729220", "13738", "0"),
        ("14729050", "62432560", "19470"),
    }


def test_the_list_of_2012_loads_without_its_regions(real_files: Path) -> None:
    rows, findings = read("register__territorial_changes", real_files / "territorial_changes/2012.xls")
    assert len(rows) == 313 and {row["period_code"] for row in rows} == {"2012"}
    assert {finding.rule: finding.row_count for finding in findings} == {
        "row.no_municipality": 7,
        "row.no_giving_unit": 2,
    }
    assert not [finding for finding in findings if finding.severity == "critical"]
    spantekow = [row for row in rows if row["old_code"] == "13075100"]
    assert [(row["new_code"], row["area_m2"], row["population"]) for row in spantekow] == [
        ("13075127", "13793665", "168")
    ]


@pytest.mark.parametrize(
    ("year", "inhabitants", "peine"),
    [
        ("2013", 80767463, "48377"),
        ("2017", 82792351, "49901"),
        ("2021", 83237124, "50461"),
        ("2023", 84669326, "51521"),
    ],
)
def test_every_edition_of_the_register(real_files: Path, year: str, inhabitants: int, peine: str) -> None:
    """Population of Germany as published, and of the town of Peine as the sheet has it."""
    rows, _ = read("register__municipalities", real_files / f"municipality_register/3112{year}_Auszug_GV.xlsx")
    assert sum(int(row["population"] or 0) for row in rows) == inhabitants
    assert {(row["period_code"], row["population_period_code"]) for row in rows} == {(f"{year}-12-31",) * 2}
    town = one([row for row in rows if row["record_type"] == "60"], territory_code="03157006")
    assert town["population"] == peine and town["ars"] == "031570006006"


def test_the_police_table_of_2020(real_files: Path) -> None:
    path, context = real_files / "police_pks_2020/KR-F-01-T01-Kreise-Faelle-HZ_xls.xlsx", ReadingContext(period="2020")
    every, findings = table("police__offences_district", path, context)
    assert len(every) == 117_894
    rows, _ = read("police__offences_district", path, context, territory_code="01001")
    flensburg = {"territory_code": "01001", "category": "------", "period_code": "2020"}
    assert one(rows, measure_code="offences_known", **flensburg)["value"] == "8380"
    assert one(rows, measure_code="suspects", nationality="foreign", **flensburg)["value"] == "1233"
    assert not [finding for finding in findings if finding.severity != "info"]


def test_leavers_under_a_reworded_headline(real_files: Path) -> None:
    rows, findings = read("state_statistics__school_leavers", real_files / "lsn_genesis_2023/21111-02-06-4.csv")
    peine = {"territory_code": "03157", "period_code": "SY2022"}
    found = {(row["category"], row["sex"]): row["value"] for row in rows if all(row[k] == v for k, v in peine.items())}
    assert found["total", "total"] == "1279" and found["without_certificate", "total"] == "87"
    assert found["higher_education_entrance", "female"] == "239" and found["vocational_entrance", "total"] is None
    assert {finding.severity for finding in findings} == {"info"}


def test_the_local_elections_of_2021(real_files: Path) -> None:
    path = next((real_files / "elections").glob("Kommunalwahlen_2021*"))
    rows, findings = read("elections__local", path)
    county = {"territory_code": "03157", "category": "county_council", "period_code": "2021"}
    assert one(rows, measure_code="eligible_voters", **county)["value"] == "109679"
    assert one(rows, measure_code="voters", **county)["value"] == "63785"
    assert one(rows, measure_code="council_seats", sex="female", **county)["value"] == "14"
    council = {"category": "county_council", "measure_code": "eligible_voters", "sex": "total"}
    counties = [row for row in rows if all(row[k] == v for k, v in council.items())]
    assert len(counties) == 45 and sum(int(row["value"]) for row in counties) == 6_498_064, (
        "as the row of the state says"
    )
    assert not findings


def test_town_districts_without_counts_have_no_rates(real_files: Path) -> None:
    path = real_files / "employment_agency/2021_download/13211-02-05-4.csv"
    rows, _ = read("employment_agency__unemployed_district", path)
    districts = [row for row in rows if re.fullmatch("110(0[1-9]|1[0-2])\\d{3}", row["territory_code"])]
    assert len(districts) == 936 and {
        row["value"] for row in districts if row["period_code"] in ("2015", "2016", "2017")
    } == {None}
    berlin = {"territory_code": "11", "period_code": "2016", "measure_code": "unemployed", "nationality": "total"}
    assert one(rows, age_band="total", category="total", **berlin)["value"] == "181018"


def test_a_dissolved_county_of_the_flat_file_has_no_number(real_files: Path) -> None:
    path = next((real_files / "lsn_ffcsv").glob("12411-01-01-4*"))
    rows, _ = read("state_statistics__population_nationality", path)
    without = [row for row in rows if row["value"] is None]
    assert len({row["territory_code"] for row in without}) == 74 and len(without) == 222
    assert {(row["obs_status"], row["conf_status"]) for row in without} == {("M", "F")}
    assert "0" not in {row["value"] for row in rows}
    assert one(rows, territory_code="03157", sex="total")["value"] == "137045"


@pytest.mark.parametrize(
    ("dataset_id", "name", "named"),
    [
        ("state_monitor__population", "lsn_integration_monitor/2021-12/indicator_2-3-3.csv", "Indikator 2-3-3"),
        ("elections__local", "elections/14333-01-02-5_00.csv", "GENESIS-Tabelle 14333-01-02-5"),
        ("state_statistics__day_care", "police_pks_2020/KR-F-01-T01-Kreise-Faelle-HZ_xls.xlsx", "Kriminalstatistik"),
        ("state_statistics__day_care", "territorial_changes/2016.xls", "Liste der Gebietsänderungen"),
        ("state_statistics__day_care", "municipality_register/GV100AD_31122022.txt", "Gebietsstand 31.12.2022"),
        ("state_statistics__day_care", "elections/KW2011_Tab4a+4b.xlsx", "Kommunalwahlen 2011"),
    ],
)
def test_a_refusal_names_the_table(real_files: Path, dataset_id: str, name: str, named: str) -> None:
    with pytest.raises(ReadingError) as caught:
        read(dataset_id, real_files / name)
    message = caught.value.finding.message
    assert ": Das ist " in message and named in message and message.count(".") >= 1
    assert f"; vereinbart ist „{CONTRACTS[dataset_id].title_de}“" in message


def test_the_right_file_for_the_wrong_dataset_is_named(real_files: Path) -> None:
    with pytest.raises(ReadingError) as caught:
        read("state_statistics__population", real_files / "lsn_genesis/12711-01-03-5_00.csv")
    assert caught.value.finding.rule == "file.other_dataset"
    assert "12711-01-03-5" in caught.value.finding.message


def test_every_dataset_has_a_contract() -> None:
    listed: list[Contract] = list(CONTRACTS.values())
    assert len(listed) >= 24


AGENCY = "employment_agency/arbeitsmarkt_kommunal"


def test_every_number_of_the_municipal_workbooks(real_files: Path) -> None:
    """Counted a second time: rows of numbers on the sheet, blocks that repeat labels, five years each.

    A mean has up to 17 digits in the file; the 15 that a program for tables can show are what has to be there.
    """
    paths = sorted((real_files / AGENCY).glob("*.xlsx"))
    assert len(paths) >= 5
    for path in paths:
        rows, findings = read("employment_agency__municipal_workbook", path)
        cells = python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_name("Daten").to_python()
        data = {(i + 1, j + 1): cells[i][j] for i in range(9, 46) for j in range(2, 7) if cells[i][j] != ""}
        assert {(row["_row_number"], row["_column_number"]) for row in rows} == set(data)
        for row in rows:
            cell = data[row["_row_number"], row["_column_number"]]
            if cell == "*":
                assert (row["value"], row["obs_status"], row["conf_status"]) == (None, "Q", "C")
            else:
                assert row["value"] == f"{cell:.15g}"
        assert {row["territory_code"] for row in rows} == {path.name[22:30]}
        assert not [f for f in findings if f.severity != "info"]


@pytest.mark.parametrize(
    ("name", "year", "expected"),
    [
        ("KW2011_Tab4a+4b.xlsx", "2011", {"eligible_voters": "38177", "voters": "18201", "council_seats": "40"}),
        ("Tabellen 1-5 Kommunalwahl 2016.xlsx", "2016", {"eligible_voters": "38568", "voters": "20174", "council_seats": "40"}),
    ],
)  # fmt: skip
def test_the_councils_of_peine(real_files: Path, name: str, year: str, expected: dict[str, str]) -> None:
    rows, findings = read("elections__local", real_files / "elections" / name)
    council = {"territory_code": "03157006", "category": "municipal_council", "period_code": year, "sex": "total"}
    assert {code: one(rows, measure_code=code, **council)["value"] for code in expected} == expected
    assert not [f for f in findings if f.severity == "critical"]
    county = {"category": "municipal_council", "measure_code": "voters", "period_code": year, "sex": "total"}
    members = [row for row in rows if row["territory_code"].startswith("03157") and len(row["territory_code"]) == 8]
    voters = [row for row in members if all(row[k] == v for k, v in county.items())]
    assert sum(int(row["value"]) for row in voters) == int(one(rows, territory_code="03157", **county)["value"])
    assert len(voters) == {"2011": 8, "2016": 6}[year], "Ilsede elected its council before 2016"
