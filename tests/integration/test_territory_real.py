"""What must hold of converted numbers over the offices' own registers, lists and population tables: right, or absent with a reason.

What is right is read from the same files with nothing of the project: a number as delivered, the land the register of the last day
gives a unit, and the sum of a state, whose borders hardly anybody crosses.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import python_calamine

from teilhabe.contract.parsing import load_contracts
from teilhabe.reading import open_reading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.conftest import PROJECT
from tests.models import CHANGE, DBT, EDITION, OBSERVATION, Tables

CONTRACTS = load_contracts(PROJECT / "agencies")
REGISTER, CHANGES = "register__municipalities", "register__territorial_changes"
MUNICIPAL, DISTRICT = "state_statistics__population", "state_statistics__population_nationality"
EDITIONS = {
    "2013-12-31": "31122013_Auszug_GV.xlsx",
    "2017-12-31": "31122017_Auszug_GV.xlsx",
    "2021-12-31": "31122021_Auszug_GV.xlsx",
    "2022-12-31": "GV100AD_31122022.txt",
    "2023-12-31": "31122023_Auszug_GV.xlsx",
}
LISTS = ("2012.xls", "2014.xls", "2015.xls", "2016.xls", "2017.xls", "2023.xlsx", "2024.xlsx")
"""Those of 2013 and of 2018 to 2022 are not among the real files: what ended in those years ended nobody says where."""
STATE = "2023-12-31"
KNOWN_FROM = "2025-06-01"
MODELS = [
    *(f"int_territory__{name}" for name in ("edition", "change", "validity", "succession", "lineage", "conversion")),
    "int_delivery__municipalities", "int_territory__doubt", "int_delivery__contents", "int_delivery__vintages",
    "int_observation__vanished", "int_observation__contested", "int_observation__known", "int_territory__changed",
    *(f"int_observation__{name}" for name in (
        "rekeyed", "territorial", "converted", "rolled_up", "totaled", "candidates",
    )),
]  # fmt: skip
LEVELS = {"10": "state", "20": "region", "30": "region", "40": "county", "50": "association", "60": "municipality"}

Key = tuple[str, str, str, str]
"""Measure, territory, day, dataset."""
Found = dict[Key, tuple[float | None, str, str]]
"""Value, status, method: what the warehouse says on the territories of the state."""


def editions(real_files: Path) -> Iterator[dict[str, Any]]:
    """The rows of all registers."""
    for number, (day, name) in enumerate(EDITIONS.items(), start=1):
        path = real_files / "municipality_register" / name
        rows = fixed_width(path) if path.suffix == ".txt" else sheet(path)
        for kind, text_code, regional, area, people in rows:
            code = regional[:5] + regional[9:] if kind == "60" else regional
            yield {
                "territory_code": code, "territory_name": code, "level": LEVELS[kind], "text_code": text_code or None,
                "ars": regional, "edition_date": day, "population": people, "population_date": day, "area_km2": area,
                "delivery_id": number, "row_number": 0, "known_from": KNOWN_FROM,
            }  # fmt: skip


def sheet(path: Path) -> Iterator[tuple[str, str, str, float | None, float | None]]:
    for row in python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_index(1).to_python():
        if str(row[0]) in LEVELS:
            kind, text_code, *parts = (str(cell) for cell in row[:7])
            yield kind, text_code, "".join(parts), row[8] or None, row[9] or None


def fixed_width(path: Path) -> Iterator[tuple[str, str, str, float | None, float | None]]:
    """GV100AD: hectares."""
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, key, association = line[:2], line[10:18].strip(), line[18:22].strip()
        if kind == "60":
            yield kind, line[122:124], key[:5] + association + key[5:], int(line[128:139]) / 100, int(line[139:150])
        elif kind in LEVELS:
            yield kind, line[122:124].strip(), key[:5] + association, None, None


def numbers(real_files: Path) -> Iterator[dict[str, Any]]:
    """Population of municipalities, counties and states as the state offices publish it, and of the counties at the end of 2024."""
    with (real_files / "lsn_genesis" / "12411-01-01-5_00.csv").open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines, delimiter=";"))
    [top] = (number for number, row in enumerate(rows) if row[2:3] == ["31.12.2015"])
    days = [f"{day[6:]}-{day[3:5]}-{day[:2]}" for day in rows[top][2::3]]
    rows = [row for row in rows[top + 2 :] if len(row) == len(rows[top])]
    # associations have rows of their own; their key is the beginning of those of their members
    associations = {row[0][:-3] for row in rows if len(row[0]) > 8}
    found: dict[tuple[str, str], str] = {}
    for key, _, *cells in rows:
        code = key[:5] + key[-3:] if len(key) > 8 else key
        if len(code) in (2, 5, 8) and key not in associations:
            for day, said in zip(days, cells[::3], strict=True):
                found[code, day] = found.get((code, day), "-") if said == "-" else said
    for (code, day), said in found.items():
        yield observation(MUNICIPAL, 101, code, day, "population", said)
    [flat] = (real_files / "lsn_ffcsv").glob("12411-01-01-4*")
    with flat.open(encoding="utf-8-sig") as lines:
        for row in csv.DictReader(lines, delimiter=";"):
            if not row["2_variable_attribute_code"] and row["1_variable_code"] == "KREISE":
                code = row["1_variable_attribute_code"]
                yield observation(DISTRICT, 102, code, row["time"], "population", row["value"])


def observation(dataset: str, delivery: int, code: str, day: str, measure: str, said: Any) -> dict[str, Any]:
    is_number = str(said).strip() not in ("", "-", ".", "x", "/")
    return {
        "measure_code": measure, "territory_code": code, "period_code": day, "nationality": "total", "sex": "total",
        "age_band": "total", "category": "total", "value": said if is_number else None,
        "obs_status": "A" if is_number else "M", "conf_status": "F", "dataset_id": dataset, "delivery_id": delivery,
        "row_number": 0, "column_number": 0, "known_from": KNOWN_FROM, "territory_name_delivered": None,
        "category_name": None,
    }  # fmt: skip


class Germany:
    """The models of territories and observations over the real files."""

    def __init__(self, tables: Tables, real_files: Path) -> None:
        self.tables = tables
        self.editions = list(editions(real_files))
        self.lists = {name: listed(real_files / "territorial_changes" / name, n) for n, name in enumerate(LISTS, 201)}
        self.delivered = list(numbers(real_files))
        # by day of the edition: what it says of municipalities, and what that makes for counties and states
        self.area: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.people: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for row in self.editions:
            if row["level"] == "municipality":
                for code in (row["territory_code"], row["territory_code"][:5], row["territory_code"][:2]):
                    self.area[row["edition_date"]][code] += row["area_km2"] or 0
                    self.people[row["edition_date"]][code] += row["population"] or 0

    def build(self, days: Sequence[str] = tuple(EDITIONS), lists: Sequence[str] = LISTS, state: str = STATE) -> Found:
        """What is known on the territories of the state with these registers and lists."""
        tables = self.tables
        tables.state = state
        known = [row for row in self.editions if row["edition_date"] in days]
        tables.fill("stg_register__territories", EDITION, known)
        tables.fill("stg_register__territorial_changes", CHANGE, (row for name in lists for row in self.lists[name]))
        of_register = (
            observation(REGISTER, row["delivery_id"], row["territory_code"], row["edition_date"], measure, row[column])
            for row in known
            for measure, column in (("population", "population"), ("area_km2", "area_km2"))
            if row["level"] == "municipality" and row[column] is not None
        )
        tables.fill("int_observation__unioned", OBSERVATION, [*of_register, *self.delivered])
        for name, query in (
            ("int_period__parsed", "distinct period_code, period_code::date as reference_date"),
            (
                "int_delivery__counted",
                "distinct delivery_id, dataset_id, known_from, null::timestamptz as known_until, null::text as sender_code",
            ),
        ):
            tables.drop(name)
            tables.conn.execute(f"create temporary table {name} as select {query} from int_observation__unioned")  # type: ignore[arg-type]
        tables.make(*MODELS)
        rows = tables.ask(
            "select measure_code, territory_code, period_code, dataset_id, value::float8, obs_status, territorial_method"
            " from int_observation__candidates where territorial_basis in ('both', 'converted')"
            " order by 1, 2, 3, 4, is_derived"
        )
        found: Found = {}
        for measure, code, day, dataset, value, status, method in rows:
            found.setdefault((measure, code, day, dataset), (value, status, method))
        return found

    def counties(self, day: str) -> set[str]:
        """Coastal waters stand under county numbers of which there is no county."""
        return {
            row["territory_code"] for row in self.editions if row["level"] == "county" and row["edition_date"] == day
        }


def listed(path: Path, delivery: int) -> list[dict[str, Any]]:
    """A list of changes as the reader of the project gives it, and staging after it."""
    rows = pa.concat_tables(open_reading(CONTRACTS[CHANGES], path, path.name).chunks()).to_pylist()
    return [
        {
            **{name: row[name] or None for name in row if name in CHANGE},
            "old_code": row["old_code"] or row["old_ars"] or None,
            "new_code": row["new_code"] or row["new_ars"] or None,
            "delivery_id": delivery,
            "row_number": row["_row_number"],
            "known_from": KNOWN_FROM,
        }
        for row in rows
    ]


@pytest.fixture(scope="module")
def germany(real_files: Path, warehouse: Settings) -> Iterator[Germany]:
    with connecting.connect("transformer", warehouse) as conn:
        tables = Tables(conn, STATE)
        for name, types in (
            ("territories", {"valid_from": "date", "valid_to": "date"}),
            ("listings", {}),
            ("measures", {"is_additive_over_territory": "boolean"}),
            ("corrections", {"from_value": "numeric", "to_value": "numeric"}),
            ("measure_sources", {"priority": "int"}),
        ):
            with (DBT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
                rows = [{key: value or None for key, value in row.items()} for row in csv.DictReader(lines)]
            tables.fill(name, {**dict.fromkeys(rows[0], "text"), **types}, rows)
        more = dict.fromkeys(("correction_id", "territorial_method", "territorial_basis"), "text")
        tables.fill("int_observation__age_banded", OBSERVATION | more | {"known_until": "timestamptz"}, [])
        yield Germany(tables, real_files)
        conn.rollback()


@pytest.fixture(scope="module")
def everything(germany: Germany) -> Found:
    """All registers and lists."""
    return germany.build()


def test_a_county_of_which_a_part_is_unknown_has_no_number(germany: Germany, everything: Found) -> None:
    """Municipalities of the Wartburgkreis ended after 2017, and no list at hand says where."""
    assert germany.people["2017-12-31"]["16063"] == 123_764
    assert everything["population", "16063", "2017-12-31", REGISTER] == (None, "M", "none")


def test_whole_municipalities_make_an_exact_sum(everything: Found) -> None:
    """Three of them came to the Rhein-Hunsrück-Kreis in 2014; the county itself would be an estimate."""
    assert everything["population", "07140", "2008-12-31", MUNICIPAL] == (104_782, "A", "sum_of_municipalities")


def test_who_took_in_a_unit_no_register_has_is_not_known(germany: Germany, everything: Found) -> None:
    """Erlbach-Kirchberg ended in 2012; its county has no list of that year. Lugau took it in: 7,274 is not the Lugau of today."""
    delivered = {row["territory_code"]: row for row in germany.delivered if row["period_code"] == "2008-12-31"}
    assert (delivered["14521380"]["value"], delivered["14521190"]["value"]) == ("7274", "1748")
    assert everything["population", "14521380", "2008-12-31", MUNICIPAL] in (
        (None, "M", "none"),
        (9_022, "A", "exact_sum"),
    )
    assert everything["population", "14521380", "2014-12-31", MUNICIPAL] == (8_254, "A", "as_delivered")


def test_a_county_with_a_key_in_no_register_has_no_number_without_the_list(germany: Germany, everything: Found) -> None:
    """Trittenheim left 07231 in 2012, under another key: 112,452 is the county with it."""
    days = ("2008-12-31", "2009-12-31", "2010-12-31")
    assert everything["population", "07231", days[0], MUNICIPAL] == (111_370, "A", "sum_of_municipalities")
    known = germany.build(days=("2013-12-31", STATE), lists=[name for name in LISTS if name != "2012.xls"])
    for day in days:
        assert known["population", "07231", day, MUNICIPAL] == (None, "M", "none")
    assert known["population", "07231", "2014-12-31", MUNICIPAL] == (110_981, "A", "as_delivered")


def test_what_is_converted_covers_the_land_the_unit_has(germany: Germany, everything: Found) -> None:
    """Whoever lost a municipality on the way would lose its land too. Estimates go by people, not by land."""
    now = germany.area[STATE]
    converted = 0
    for (measure, code, day, dataset), (value, status, method) in everything.items():
        if measure != "area_km2" or dataset != REGISTER or code not in now or value is None or status != "A":
            continue
        if abs(value - germany.area[day].get(code, 0)) > 0.001:
            converted += 1
            assert value == pytest.approx(now[code], rel=0.05 if len(code) == 8 else 0.01, abs=0.5), (code, day, method)
    assert converted > 60


def test_the_counties_of_a_state_add_up_to_it(germany: Germany, everything: Found) -> None:
    counties = germany.counties(STATE)
    whole = 0
    for dataset in (REGISTER, MUNICIPAL):
        known: dict[tuple[str, str], list[float | None]] = defaultdict(list)
        for (measure, code, day, source), (value, *_) in everything.items():
            if measure == "population" and source == dataset and code in counties:
                known[code[:2], day].append(value)
        for (state, day), values in known.items():
            total, *_ = everything["population", state, day, dataset]
            assert total is not None
            there = sum(value for value in values if value is not None)
            assert there <= total + 0.5, (state, day, dataset)
            if None not in values and len(values) == sum(code.startswith(state) for code in counties):
                whole += 1
                assert there == pytest.approx(total, abs=0.5), (state, day, dataset)
    assert whole > 100


def test_a_county_that_stayed_the_same_has_the_number_delivered(germany: Germany, everything: Found) -> None:
    """The same municipalities with the same land on both days: then the converted number is the one delivered, or none."""
    compared = 0
    for day in EDITIONS:
        before, after = germany.area[day], germany.area[STATE]
        for county in germany.counties(day) & germany.counties(STATE):
            own = {code: round(land, 1) for code, land in before.items() if code[:5] == county}
            if own == {code: round(land, 1) for code, land in after.items() if code[:5] == county}:
                value, *_ = everything["population", county, day, REGISTER]
                assert value in (None, germany.people[day][county]), (county, day)
                compared += value is not None
    assert compared > 500


def test_more_registers_and_lists_change_only_what_they_speak_of(germany: Germany, everything: Found) -> None:
    """A number two amounts of knowledge call exact is the same, unless a list that came in between names its unit."""
    lists = ("2014.xls", "2023.xlsx")
    known = germany.build(days=("2021-12-31", "2023-12-31"), lists=lists)
    added = [row for name in LISTS if name not in lists for row in germany.lists[name]]
    named = {code[:length] for row in added for code in (row["old_code"], row["new_code"]) if code for length in (5, 8)}
    same = 0
    for key, (value, status, _) in known.items():
        later = everything.get(key, (None, "M", "none"))
        if key[1] not in named and value is not None and later[0] is not None and status == later[1] == "A":
            same += 1
            assert value == pytest.approx(later[0], abs=0.001), key
    assert same > 50_000


def test_a_delivered_number_never_loses_to_a_dead_key(germany: Germany) -> None:
    """Lists without any register: counties dissolved in 2011 are nobody's guess for the new ones, which are delivered."""
    known = germany.build(days=(), state="2024-12-31")
    assert known["population", "13073", "2024-12-31", DISTRICT] == (215_203, "A", "as_delivered")
    numbers = [row for row in germany.delivered if row["dataset_id"] == DISTRICT and row["value"] is not None]
    assert len(numbers) > 350
    for row in numbers:
        value, status, _ = known["population", row["territory_code"], row["period_code"], DISTRICT]
        assert (value, status) == (float(row["value"]), "A"), row["territory_code"]
