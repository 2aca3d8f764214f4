"""All territories of Germany from the offices' own registers and lists of changes: who became whom, and what a number becomes."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
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
from tests.star import Star

CONTRACTS = load_contracts(PROJECT / "agencies")
REGISTER, CHANGES = "register__municipalities", "register__territorial_changes"
EDITIONS = {
    "2013-12-31": "31122013_Auszug_GV.xlsx",
    "2017-12-31": "31122017_Auszug_GV.xlsx",
    "2021-12-31": "31122021_Auszug_GV.xlsx",
    "2022-12-31": "GV100AD_31122022.txt",
}
LISTS = ("2014.xls", "2015.xls", "2016.xls", "2017.xls", "2023.xlsx")
"""The lists of 2018 to 2022 are not among the real files: what ended in those years ended nobody says where."""
TERRITORY = [
    "int_delivery__counted",
    "int_observation__unioned",
    "int_delivery__contents",
    "int_delivery__municipalities",
    "int_period__parsed",
    "int_territory__*",
    "dim_territory",
    "dim_territory_change",
    "dim_territory_conversion",
    "dim_territory_doubt",
    "dim_municipality",
    "rpt_territorial_contradiction",
]

NAMES = [
    "int_delivery__counted",
    "int_observation__unioned",
    "int_delivery__contents",
    "int_territory__delivered",
    "dim_territory",
]


class Territory:
    """A warehouse that knows registers and lists, and where dbt put the dimensions."""

    def __init__(self, star: Star) -> None:
        self.star = star

    def read(self, dataset_id: str, path: Path) -> list[dict[str, Any]]:
        rows = pa.concat_tables(open_reading(CONTRACTS[dataset_id], path, path.name).chunks())
        return [{k: v for k, v in row.items() if not k.startswith("_")} for row in rows.to_pylist()]

    def copy(self, delivery_id: int, dataset_id: str, rows: list[dict[str, Any]]) -> None:
        names = list(rows[0])
        columns = ", ".join([*names, "_delivery_id", "_row_number", "_column_number"])
        with (
            connecting.connect("loader", self.star.settings) as conn,
            conn.cursor().copy(f"copy raw.{dataset_id} ({columns}) from stdin".encode()) as copy,
        ):
            for number, row in enumerate(rows, start=1):
                copy.write_row([*(row[name] for name in names), delivery_id, number, 0])

    def build(self, *, fails: bool = False) -> str:
        """Everything about territories, with its tests."""
        selection = [
            *TERRITORY,
            "--exclude",
            "int_territory__changed",
            "--indirect-selection",
            "buildable",
            "--exclude-resource-type",
            "unit_test",
        ]
        return self.star.dbt("build", "--select", *selection, fails=fails)

    def run(self, models: list[str], state: str = "") -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TEILHABE_TERRITORIAL_STATE", state)
            return self.star.dbt("run", "--select", *models)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """``{dims}`` in the query is the schema dbt builds the dimensions in."""
        found = self.star.ask(
            "select nspname from pg_class join pg_namespace n on n.oid = relnamespace"
            " where relname = 'dim_territory_change' order by 1",
            "transformer",
        )
        return self.star.ask(query.replace("{dims}", found[0][0]), "transformer")

    def unexplained(self) -> list[tuple[Any, ...]]:
        """The units the build warned of: key and sentence."""
        test = next(self.star.work.rglob("compiled/**/territory_ends_are_explained.sql"))
        return self.ask(test.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def germany(real_files: Path, installed: Settings, dbt_work: Path) -> Territory:
    """Four editions of the register and five lists, built to the state of today."""
    territory = Territory(Star(installed, dbt_work))
    files = [(REGISTER, real_files / "municipality_register" / name) for name in EDITIONS.values()]
    files += [(CHANGES, real_files / "territorial_changes" / name) for name in LISTS]
    for dataset_id, path in files:
        rows = territory.read(dataset_id, path)
        territory.copy(territory.star.deliver(dataset_id, "2024-01-15", []), dataset_id, rows)
    territory.star.dbt("build", "--select", "tag:staging", "--exclude-resource-type", "test", "unit_test")
    territory.build()
    return territory


def listed(real_files: Path, name: str) -> list[dict[str, str]]:
    """The rows of a list about municipalities, read with nothing of the project."""
    workbook = python_calamine.CalamineWorkbook.from_filelike(
        io.BytesIO((real_files / "territorial_changes" / name).read_bytes())
    )
    names = ("id", "unit", "old_ars", "old", "old_name", "type", "area", "people", "new_ars", "new", "new_name")
    rows = [
        {key: str(value).removesuffix(".0") for key, value in zip(names, row, strict=False)}
        for row in workbook.get_sheet_by_index(1).to_python()
        if re.match(r"(\d\d|stba)/\d{4}/", str(row[0]))
    ]
    return [
        {**row, "old": row["old"].zfill(8), "new": row["new"].zfill(8)} for row in rows if row["unit"] == "Gemeinde"
    ]


def municipalities(germany: Territory, day: str) -> dict[str, tuple[Decimal, Decimal]]:
    """Key -> population and area of an edition, straight from what was loaded."""
    rows = germany.star.ask(
        "select territory_code, population::numeric, area_km2::numeric from raw.register__municipalities"
        f" where record_type = '60' and period_code = '{day}'",
        "transformer",
    )
    return {code: (people, area) for code, people, area in rows}


def converted(germany: Territory, first: str, last: str, level: str = "municipality") -> list[tuple[Any, ...]]:
    return germany.ask(
        f"select old_code, new_code, method, factor from {{dims}}.territory_conversion('{first}', '{last}')"
        f" where level = '{level}'"
    )


@pytest.mark.parametrize("day", EDITIONS)
def test_the_units_valid_on_the_day_of_an_edition_are_those_of_the_edition(germany: Territory, day: str) -> None:
    """With the names and kinds the edition has, at every level that is bounded in time."""
    said = germany.star.ask(
        "select territory_code, territory_name, text_code from raw.register__municipalities"
        f" where record_type in ('40', '50', '60') and period_code = '{day}'",
        "transformer",
    )
    known = germany.ask(
        "select territory_code, territory_name, text_code from {dims}.dim_territory"
        f" where level in ('county', 'association', 'municipality') and '{day}' between valid_from"
        " and coalesce(valid_to, '9999-12-31')"
    )
    assert len(said) > 15_000
    assert sorted(known, key=str) == sorted(said, key=str)


def test_every_day_of_every_key_has_one_row(germany: Territory) -> None:
    rows = germany.ask(
        "select territory_code, covers_from, covers_to from {dims}.dim_territory order by territory_code, covers_from"
    )
    days: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    for code, first, last in rows:
        days[code].append((first, last))
    assert len(days) > 16_000
    for code, spans in days.items():
        assert (spans[0][0].isoformat(), spans[-1][1].isoformat()) == ("0001-01-01", "9999-12-31"), code
        assert all((after[0] - before[1]).days == 1 for before, after in pairwise(spans)), code


def test_ilsede_and_lahstedt_are_exactly_ilsede(germany: Territory) -> None:
    assert germany.ask(
        "select old_code, from_date::text, to_date::text, new_code, method, factor"
        " from intermediate.int_territory__conversion where old_code like '03157%' order by 1"
    ) == [
        ("03157003", "0001-01-01", "9999-12-31", "03157009", "exact_sum", 1),
        ("03157004", "0001-01-01", "9999-12-31", "03157009", "exact_sum", 1),
    ]
    assert germany.ask(
        "select territory_code, valid_from::text, valid_to::text, predecessors, successors from {dims}.dim_territory"
        " where territory_code in ('03157003', '03157004', '03157009') order by 1"
    ) == [
        ("03157003", "1900-01-01", "2014-12-31", [], ["03157009"]),
        ("03157004", "1900-01-01", "2014-12-31", [], ["03157009"]),
        ("03157009", "2015-01-01", None, ["03157003", "03157004"], []),
    ]
    assert germany.ask("select old_code from intermediate.int_territory__lineage where new_code = '03157009'") != []


def test_two_counties_became_goettingen(germany: Territory) -> None:
    found = [row for row in converted(germany, "2013-12-31", "2017-12-31", "county") if row[1] == "03159"]
    assert sorted(found) == [("03152", "03159", "exact_sum", 1), ("03156", "03159", "exact_sum", 1)]


def test_germany_of_2013_becomes_germany_of_2017(germany: Territory) -> None:
    """The lists of these years are complete: the register of 2017 is the proof."""
    before, after = municipalities(germany, "2013-12-31"), municipalities(germany, "2017-12-31")
    rows = converted(germany, "2013-12-31", "2017-12-31")
    shares: dict[str, Decimal] = defaultdict(Decimal)
    people: dict[str, Decimal] = defaultdict(Decimal)
    area: dict[str, Decimal] = defaultdict(Decimal)
    methods: dict[str, set[str]] = defaultdict(set)
    for old, new, method, factor in rows:
        shares[old] += factor
        people[new] += before[old][0] * factor
        area[new] += before[old][1] * factor
        methods[new].add(method)
    assert shares == dict.fromkeys(before, Decimal(1))
    assert people.keys() == after.keys()
    assert sum(people.values()) == sum(population for population, _ in before.values())
    merged = [code for code, used in methods.items() if used <= {"exact_sum"}]
    assert len(merged) > 50
    for code in merged:  # new surveys of the land itself moved areas by up to some percent in these years
        assert area[code] == pytest.approx(after[code][1], rel=Decimal("0.05"), abs=Decimal("0.5")), code


def test_what_is_exact_and_what_is_estimated_is_what_the_lists_say(germany: Territory, real_files: Path) -> None:
    rows = [row for name in LISTS[:4] for row in listed(real_files, name)]
    dissolved = [(row["old"], row["new"]) for row in rows if row["type"] == "1"]
    rekeyed = [(row["old"], row["new"]) for row in rows if "3" in row["type"] and row["old"] != row["new"]]
    shared = {row[key] for row in rows if row["type"] == "2" for key in ("old", "new")}
    assert (len(dissolved), len(dict(dissolved)), len(rekeyed), len(shared)) == (135, 133, 42, 36)
    divided = "09377444"
    found: dict[str, set[str]] = defaultdict(set)
    for old, _, method, _ in converted(germany, "2013-12-31", "2017-12-31"):
        found[old].add(method)
    for old, new in dissolved + rekeyed:
        if old == divided:
            assert found[old] == {"factor_area"}
            assert found[new] == {"exact_sum"}, "it took land and lost nothing"
        elif not {old, new} & shared:
            assert found[old] == {"exact_sum"}, old
            assert found.get(new, {"exact_sum"}) == {"exact_sum"}, "stayed and took it in, or is new"
    assert all(found[code] == {"factor_population"} for code in shared & municipalities(germany, "2013-12-31").keys())
    touched = {code for pair in dissolved + rekeyed for code in pair} | shared
    assert {code for code, methods in found.items() if methods == {"unchanged"}} == found.keys() - touched


def test_a_split_follows_the_inhabitants_the_list_states(germany: Territory, real_files: Path) -> None:
    parts = {row["new"]: int(row["people"]) for row in listed(real_files, "2023.xlsx") if row["old"] == "16064073"}
    assert parts == {"16064046": 313, "16064071": 1126, "16061118": 1699}
    found = {row[1]: row for row in converted(germany, "2022-12-31", "2023-12-31") if row[0] == "16064073"}
    assert found.keys() == parts.keys()
    for code, people in parts.items():
        assert found[code][2] == "factor_population"
        assert float(found[code][3]) == pytest.approx(people / sum(parts.values()), abs=1e-11)


def test_land_without_people_follows_its_area(germany: Territory) -> None:
    found = {row[1]: row[2:] for row in converted(germany, "2013-12-31", "2017-12-31") if row[0] == "09377444"}
    total = 1051505 + 3264183 + 764012
    assert {code: method for code, (method, _) in found.items()} == dict.fromkeys(
        ("09377113", "09377127", "09377133"), "factor_area"
    )
    assert float(found["09377133"][1]) == pytest.approx(3264183 / total, abs=1e-11)


def test_germany_of_2013_on_todays_territories(germany: Territory) -> None:
    """Where a list is missing the unit's number stays under its key and says so; all others add up to one."""
    editions = [municipalities(germany, day).keys() for day in EDITIONS]
    gone = (editions[1] | editions[2]) - editions[3]
    shares: dict[str, Decimal] = defaultdict(Decimal)
    untold: set[str] = set()
    targets: set[str] = set()
    for old, new, method, factor in converted(germany, "2013-12-31", "2023-12-31"):
        if new is None:
            assert (method, factor) == ("none", None)
            untold.add(old)
        else:
            shares[old] += factor
            targets.add(new)
    assert set(shares.values()) == {Decimal(1)}
    assert shares.keys() | untold == editions[0]
    assert untold == {old for old, new, *_ in converted(germany, "2013-12-31", "2017-12-31") if new in gone}
    valid = germany.ask(
        "select municipality_code from {dims}.dim_municipality"
        " where '2023-12-31' between valid_from and coalesce(valid_to, '9999-12-31')"
    )
    assert targets <= {code for (code,) in valid}
    assert {code for code, *_ in germany.unexplained() if len(code) == 8} == gone


def test_the_table_for_one_state_and_the_function_for_any_agree(germany: Territory) -> None:
    asked = germany.ask(
        "select level, old_code, new_code, method, factor from {dims}.territory_conversion('2015-06-30', current_date)"
        " where method <> 'unchanged'"
    )
    made = germany.ask(
        "select c.level, c.old_code, c.new_code, c.method, c.factor from intermediate.int_territory__conversion c"
        " inner join intermediate.int_territory__validity v on v.territory_code = c.old_code"
        " and '2015-06-30' between v.valid_from and coalesce(v.valid_to, '9999-12-31')"
        " where '2015-06-30' between c.from_date and c.to_date"
    )
    assert len(asked) > 400
    assert sorted(asked, key=str) == sorted(made, key=str)
    assert germany.ask("select * from {dims}.territory_conversion('2015-06-30', '2014-12-31')") == []


def test_another_state_can_be_chosen(germany: Territory) -> None:
    """On the territories of 2015 Goettingen is still two counties, and what came later cannot be brought back."""
    germany.run(["int_territory__conversion"], "2015-12-31")
    try:
        rows = germany.ask(
            "select old_code, from_date::text, new_code, method from intermediate.int_territory__conversion"
            " where old_code in ('03152', '03156', '03159', '03157003', '03157009') order by 1"
        )
        assert rows == [
            ("03157003", "0001-01-01", "03157009", "exact_sum"),
            ("03159", "0001-01-01", None, "none"),
        ]
    finally:
        germany.run(["int_territory__conversion"])


def test_keys_no_register_has_are_kept_with_their_latest_name(germany: Territory) -> None:
    star = germany.star
    cell = {"sex": "total", "nationality": "total", "obs_status": "A", "conf_status": "F", "period_code": "2022-12-31"}
    rows = [{**cell, "territory_code": "03157999", "territory_name": name, "value": "1"} for name in ("Rest", "Übrige")]
    unit = "select territory_name, is_official, level, covers_from::text from {dims}.dim_territory where territory_code = '03157999'"
    star.deliver("state_statistics__population", "2023-08-01", rows[:1])
    later = star.deliver("state_statistics__population", "2024-08-01", rows[1:])
    germany.run(NAMES)
    assert germany.ask(unit) == [("Übrige", False, "municipality", "0001-01-01")]
    with connecting.connect("loader", star.settings) as conn:
        conn.execute("update ops.delivery set state = 'failed' where delivery_id = %s", (later,))
    germany.run(NAMES)
    assert germany.ask(unit) == [("Rest", False, "municipality", "0001-01-01")]


def test_lists_that_contradict_themselves_are_told_and_not_converted(germany: Territory) -> None:
    """The last test here: it leaves a list behind."""
    base = {"unit_type": "Gemeinde", "change_type": "1", "statistical_date": "2024-01-01", "period_code": "2024"}
    circle = [
        {**base, "change_id": "03/2024/0001-R", "old_code": "03157001", "new_code": "03157002"},
        {**base, "change_id": "03/2024/0002-R", "old_code": "03157002", "new_code": "03157001"},
    ]
    half = {**base, "change_id": "03/2024/0003-R", "old_code": "03157005", "new_code": "03157006"}
    half |= {"population": "7000", "area_m2": "17000000"}
    germany.star.deliver(CHANGES, "2025-01-15", [*circle, half])
    said = germany.build()
    assert "territory_changes_lead_somewhere" in said
    assert "territory_lists_agree_with_the_register" in said
    assert germany.ask(
        "select old_code, new_code, reason from intermediate.int_territory__change"
        " where effective_date = '2024-01-01' and old_code like '03157%' order by 1"
    ) == [
        ("03157001", None, "circle"),
        ("03157002", None, "circle"),
        ("03157005", "03157006", "not_as_in_register"),
    ]
    assert germany.ask(
        "select count(*) from intermediate.int_territory__conversion where old_code = '03157005' and factor > 0"
    ) == [(0,)]
    assert germany.ask(
        "select territory_code, territory_name, reason, change_ids, listed_population, moved_population, register_date::text"
        " from {dims}.rpt_territorial_contradiction where effective_date = '2024-01-01' and territory_code like '03157%'"
        " order by 1"
    ) == [
        ("03157001", "Edemissen", "circle", "03/2024/0001-R", None, None, "2022-12-31"),
        ("03157002", "Hohenhameln", "circle", "03/2024/0002-R", None, None, "2022-12-31"),
        ("03157005", "Lengede", "not_as_in_register", "03/2024/0003-R", 7000, 7000, "2022-12-31"),
    ]
