"""What must hold of converted numbers whatever registers and lists are known: right, or absent with the reason.

A world with a known truth: pieces of land whose inhabitants never change, and units made of pieces. So a number converted to
the units of the last day is what these have on the last day, from whatever day it comes.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.models import CHANGE, DBT, EDITION, OBSERVATION, Tables

TERRITORY = [
    *(f"int_territory__{name}" for name in ("edition", "change", "validity", "succession", "lineage", "conversion")),
    "int_delivery__municipalities",
    "int_territory__doubt",
]
NUMBERS = [
    "int_delivery__contents", "int_delivery__vintages", "int_observation__vanished", "int_observation__contested", "int_observation__known",
    "int_territory__changed", "int_observation__rekeyed", "int_observation__territorial", "int_observation__converted",
    "int_observation__rolled_up", "int_observation__totaled", "int_observation__candidates",
]  # fmt: skip
STATE = "2021-12-31"
KNOWN_FROM = "2022-06-01"
REGISTER, STATISTICS = "register__municipalities", "state_statistics__population"
MEASURES = ("naturalisations", "foreigners_register", "dwellings", "day_care_places")
"""Some that add up over territories."""
CALENDAR = [date(year, 12, 31) for year in range(2011, 2022)]


@dataclass
class World:
    """Units of one state over ten years: code -> its pieces, and what the lists of each year say."""

    seed: int
    days: dict[date, dict[str, frozenset[int]]] = field(default_factory=dict)
    lists: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.pieces = {n: (self.random.randint(80, 9000), self.random.randint(300, 6000)) for n in range(60)}
        self.units = {
            f"0500{county}{number:03}": frozenset({county * 12 + number * 2, county * 12 + number * 2 + 1})
            for county in range(1, 5)
            for number in range(6)
        }
        self.days[CALENDAR[0]] = dict(self.units)
        self.number = 100
        for last in CALENDAR[1:]:
            day = date(last.year, self.random.choice([1, 7]), 1)
            self.lists[last.year] = []
            self.touched: set[str] = set()
            for _ in range(self.random.randint(0, 3)):
                self.random.choice([self._merge, self._found, self._rekey, self._cede])(day)
            self.days[last] = dict(self.units)

    def people(self, pieces: frozenset[int]) -> int:
        return sum(self.pieces[n][0] for n in pieces)

    def hectares(self, pieces: frozenset[int]) -> int:
        return sum(self.pieces[n][1] for n in pieces)

    def truth(self, code: str) -> int:
        """Inhabitants of a unit of the last day, or of a county or the state as it is then."""
        return sum(self.people(pieces) for unit, pieces in self.days[CALENDAR[-1]].items() if unit.startswith(code))

    def _pick(self, count: int) -> list[str] | None:
        free = sorted(self.units.keys() - self.touched)
        if len(free) < count + 2:
            return None
        chosen = self.random.sample(free, count)
        self.touched |= set(chosen)
        return chosen

    def _row(self, day: date, kind: str, old: str, new: str, pieces: frozenset[int] | None) -> None:
        rows = self.lists[day.year]
        rows.append(
            {
                "change_id": f"05/{day.year}/{self.number:04}-R", "unit_type": "Gemeinde", "old_code": old, "new_code": new,
                "old_name": old, "new_name": new, "change_type": kind, "statistical_date": day, "legal_date": day,
                "population": None if pieces is None else self.people(pieces),
                "area_m2": None if pieces is None else self.hectares(pieces) * 10_000,
            }
        )  # fmt: skip

    def _new_key(self, county: str) -> str:
        self.number += 1
        return f"{county}{self.number:03}"

    def _merge(self, day: date) -> None:
        """One takes another in, across the border of the county now and then."""
        if chosen := self._pick(2):
            old, new = chosen
            self.number += 1
            self._row(day, "1", old, new, self.units[old])
            self.units[new] |= self.units.pop(old)

    def _found(self, day: date) -> None:
        if chosen := self._pick(3):
            new = self._new_key(chosen[0][:5])
            self.units[new] = frozenset()
            self.touched.add(new)
            for old in chosen:
                self._row(day, "1", old, new, self.units[old])
                self.units[new] |= self.units.pop(old)

    def _rekey(self, day: date) -> None:
        if chosen := self._pick(1):
            new = self._new_key(self.random.choice(["05001", "05002", "05003", "05004", chosen[0][:5]]))
            self._row(day, "3", chosen[0], new, None)
            self.units[new] = self.units.pop(chosen[0])
            self.touched.add(new)

    def _cede(self, day: date) -> None:
        chosen = self._pick(2)
        if chosen and len(self.units[chosen[0]]) > 1:
            old, new = chosen
            self.number += 1
            part = frozenset({min(self.units[old])})
            self._row(day, "2", old, new, part)
            self._row(day, "2", old, old, self.units[old] - part)
            self.units[old] -= part
            self.units[new] |= part

    def edition(self, day: date, delivery_id: int) -> Iterator[dict[str, Any]]:
        units = self.days[day]
        for code in sorted({"05", *(unit[:5] for unit in units), *units}):
            pieces = units.get(code)
            yield {
                "territory_code": code, "territory_name": code, "edition_date": day, "population_date": day,
                "level": {2: "state", 5: "county", 8: "municipality"}[len(code)], "delivery_id": delivery_id,
                "population": None if pieces is None else self.people(pieces),
                "area_km2": None if pieces is None else Decimal(self.hectares(pieces)) / 100, "known_from": KNOWN_FROM,
            }  # fmt: skip

    def numbers(self) -> Iterator[dict[str, Any]]:
        """The register counts municipalities, the statistics counties and the state as well, and every unit that ever was."""
        cell = {
            "measure_code": "population", "nationality": "total", "sex": "total", "age_band": "total", "category": "total",
            "conf_status": "F", "known_from": KNOWN_FROM,
        }  # fmt: skip
        ever = {code for units in self.days.values() for code in units}
        for day, units in self.days.items():
            for dataset, delivery, codes in (
                (REGISTER, day.year, set(units)),
                (STATISTICS, 1, ever | {code[:5] for code in ever} | {"05"}),
            ):
                for code in sorted(codes):
                    there = [self.people(pieces) for unit, pieces in units.items() if unit.startswith(code)]
                    yield cell | {
                        "territory_code": code, "period_code": str(day), "dataset_id": dataset, "delivery_id": delivery,
                        "value": sum(there) if there else None, "obs_status": "A" if there else "M",
                    }  # fmt: skip


@pytest.fixture(scope="module")
def tables(warehouse: Settings) -> Iterator[Tables]:
    with connecting.connect("transformer", warehouse) as conn:
        made = Tables(conn, STATE)
        for name, types in (
            ("territories", {"valid_from": "date", "valid_to": "date"}),
            ("listings", {}),
            ("measures", {"is_additive_over_territory": "boolean"}),
            ("corrections", {"from_value": "numeric", "to_value": "numeric"}),
            ("measure_sources", {"priority": "int"}),
        ):
            with (DBT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
                rows = [{key: value or None for key, value in row.items()} for row in csv.DictReader(lines)]
            made.fill(name, {**dict.fromkeys(rows[0], "text"), **types}, rows)
        more = {
            "known_until": "timestamptz",
            "correction_id": "text",
            "territorial_method": "text",
            "territorial_basis": "text",
        }
        made.fill("int_observation__age_banded", {**OBSERVATION, **more}, [])
        yield made
        conn.rollback()


def numbers_by_county(world: World) -> Iterator[dict[str, Any]]:
    """Each county's municipalities, and the county, as numbers of a measure of its own: a partition per county and day."""
    measures = dict(zip(("05001", "05002", "05003", "05004"), MEASURES, strict=True))
    for row in world.numbers():
        if row["dataset_id"] == STATISTICS and len(row["territory_code"]) > 2:
            yield row | {"measure_code": measures[row["territory_code"][:5]]}


def build(
    tables: Tables,
    world: World,
    editions: list[date],
    lists: list[int],
    order: random.Random | None = None,
    numbers: Callable[[World], Iterator[dict[str, Any]]] = World.numbers,
) -> list[tuple[Any, ...]]:
    """What the warehouse says of every unit, day and dataset on the territories of the last day."""
    ids = list(range(1, 100))
    if order:
        order.shuffle(ids)
    tables.fill(
        "stg_register__territories",
        EDITION,
        (row for n, day in enumerate(editions) for row in world.edition(day, ids[n])),
    )
    stated = [
        row | {"delivery_id": ids[50 + n], "known_from": KNOWN_FROM, "row_number": number}
        for n, year in enumerate(lists)
        for number, row in enumerate(world.lists[year])
    ]
    tables.fill("stg_register__territorial_changes", CHANGE, stated)
    tables.fill("int_observation__unioned", OBSERVATION, numbers(world))
    for name, query in (
        (
            "int_period__parsed",
            "select distinct period_code, period_code::date as reference_date from int_observation__unioned",
        ),
        (
            "int_delivery__counted",
            "select distinct delivery_id, dataset_id, known_from, null::timestamptz as known_until,"
            " null::text as sender_code from int_observation__unioned",
        ),
    ):
        tables.drop(name)
        tables.conn.execute(f"create temporary table {name} as {query}")  # type: ignore[arg-type]
    tables.make(*TERRITORY, *NUMBERS)
    return tables.ask(
        "select territory_code, period_code, dataset_id, value, obs_status, territorial_method from int_observation__candidates"
        " where territorial_basis in ('both', 'converted') order by 1, 2, 3, 4, 5, 6"
    )


def check(world: World, rows: list[tuple[Any, ...]]) -> int:
    """Every number of a unit of the last day is right or absent with its reason; returns how many are there."""
    alive = {part for code in world.days[CALENDAR[-1]] for part in (code, code[:5], "05")}
    seen: set[tuple[str, str, str]] = set()
    there = 0
    for code, period, dataset, value, status, method in rows:
        assert (code, period, dataset) not in seen, f"two answers for {code} on {period} of {dataset}"
        seen.add((code, period, dataset))
        if value is None:
            assert status == "M", (code, period, status)
        elif code in alive:
            assert float(value) == pytest.approx(world.truth(code), abs=0.001), (
                code,
                period,
                dataset,
                value,
                status,
                method,
            )
            there += 1
    return there


@pytest.mark.parametrize("seed", range(6))
def test_with_all_lists_every_number_is_there_and_right(tables: Tables, seed: int) -> None:
    world = World(seed)
    rows = build(tables, world, [CALENDAR[0], CALENDAR[5], CALENDAR[-1]], sorted(world.lists))
    assert tables.ask("select * from int_territory__doubt where level = 'municipality'") == []
    found = {(code, period) for code, period, dataset, value, *_ in rows if value is not None and dataset == STATISTICS}
    wanted = {(code, str(day)) for code in world.days[CALENDAR[-1]] for day in CALENDAR}
    assert wanted <= found
    assert check(world, rows) > len(wanted)


@pytest.mark.parametrize("seed", [*range(14), 17, 19, 27, 31, 38])
def test_whatever_is_missing_a_number_is_right_or_absent(tables: Tables, seed: int) -> None:
    """Lists of some years are missing (in these no unit cedes a part and stays: nothing would tell of that)."""
    world = World(100 + seed)
    chance = random.Random(seed)
    told = [
        year
        for year, rows in world.lists.items()
        if any(row["change_type"] == "2" for row in rows) or chance.random() < 0.5
    ]
    editions = sorted({CALENDAR[0], CALENDAR[-1], *chance.sample(CALENDAR, chance.randint(0, 4))})
    check(world, build(tables, world, editions, told))
    [[unsound]] = tables.ask(
        "select count(*) from int_territory__change where not is_cyclic and (factor < 0 or factor > 1)"
    )
    assert unsound == 0
    # one more list, more editions: never wrong
    missing = [year for year in world.lists if year not in told]
    if missing:
        check(world, build(tables, world, editions, sorted([*told, chance.choice(missing)])))
    check(world, build(tables, world, CALENDAR, told))


def test_a_county_that_lost_a_key_before_the_first_register_has_no_number(tables: Tables) -> None:
    """Offices had numbers under a key then that is gone since, and no list says where to: out of the county perhaps."""
    lost = 0
    for seed in (203, 209, 237):
        world, first = World(seed), CALENDAR[5]
        told = [year for year in world.lists if year > first.year]
        rows = build(tables, world, [first, CALENDAR[-1]], told)
        named = {row[key] for year in told for row in world.lists[year] for key in ("old_code", "new_code")}
        known = named | set(world.days[first]) | set(world.days[CALENDAR[-1]])
        gone = {(code[:5], str(day)) for day in CALENDAR[:5] for code in set(world.days[day]) - known}
        for code, day, dataset, value, status, _ in rows:
            if (code, day) in gone and dataset == STATISTICS:
                lost += 1
                assert (value, status) == (None, "M"), (seed, code, day)
    assert lost > 10


def test_the_order_of_arrival_does_not_matter(tables: Tables) -> None:
    world = World(7)
    editions, lists = [CALENDAR[0], CALENDAR[4], CALENDAR[-1]], sorted(world.lists)
    rows = build(tables, world, editions, lists)
    for seed in (1, 2):
        order = random.Random(seed)
        order.shuffle(editions)
        order.shuffle(lists)
        assert build(tables, world, editions, lists, order) == rows


def test_a_county_one_edition_forgets_is_there_once(tables: Tables) -> None:
    """And one that had no municipality for a year has two lives, each once."""
    world = World(110)  # 05004 is empty at the end of 2020
    for editions, forgotten, lives in (
        ([CALENDAR[0], CALENDAR[5], CALENDAR[-1]], CALENDAR[5], {1}),
        (CALENDAR, CALENDAR[3], {1, 2}),
    ):
        rows = [
            row
            for number, day in enumerate(editions)
            for row in world.edition(day, number)
            if (row["edition_date"], row["level"]) != (forgotten, "county")
        ]
        tables.fill("stg_register__territories", EDITION, rows)
        tables.fill("stg_register__territorial_changes", CHANGE, [])
        tables.make("int_territory__edition", "int_territory__change", "int_territory__validity")
        spans = tables.ask(
            "select territory_code, daterange(valid_from, valid_to, '[]')::text from int_territory__validity where level = 'county'"
        )
        assert len(spans) == len(set(spans)), spans
        assert {sum(code == county for code, _ in spans) for county, _ in spans} == lives


def mostly_kept(world: World) -> list[dict[str, Any]]:
    """The rows of lists that say what a unit kept of itself, where that is more than it gave."""
    rows = [row for said in world.lists.values() for row in said if row["change_type"] == "2"]
    return [
        kept
        for gone, kept in pairwise(rows)
        if kept["old_code"] == kept["new_code"] and kept["population"] > gone["population"]
    ]


@pytest.mark.parametrize("column", ["population", "area_m2"])
def test_one_contradictory_row_takes_the_conversion_of_its_unit_alone(tables: Tables, column: str) -> None:
    world, hit = next((world, row) for world in map(World, range(100)) for row in mostly_kept(world))
    editions, lists = CALENDAR, sorted(world.lists)
    whole = build(tables, world, editions, lists)
    hit[column] = 0 if column == "population" else hit[column] * 3
    broken = build(tables, world, editions, lists)
    check(world, broken)
    assert tables.ask(f"select distinct reason from int_territory__change where old_code = '{hit['old_code']}'") != [
        (None,)
    ]
    counties = {row[key][:5] for year in lists for row in world.lists[year] for key in ("old_code", "new_code")}
    untouched = {row for row in whole if row[0][:5] not in counties}
    assert untouched <= set(broken)


def partitions(tables: Tables) -> dict[tuple[str, str], tuple[str, list[tuple[Any, ...]]]]:
    """Measure and day -> fingerprint of the territories its numbers can reach, and all that is made of the numbers."""
    tables.make("int_territory__span", "int_delivery__areas", "int_rule__territory")
    digests = {(measure, day): digest for measure, day, digest in tables.ask(
        "select measure_code, period_code, digest from int_rule__territory where period_code = for_period_code"
    )}  # fmt: skip
    # a fact is kept under the span of the unit it stands for
    rows = tables.ask(
        "select o.measure_code, o.period_code, o.territory_code, o.territorial_basis, o.value, o.obs_status,"
        " o.territorial_method, o.territorial_factor, o.is_derived, s.valid_from from int_observation__candidates as o"
        " left join int_territory__span as s on s.territory_code = o.territory_code and case o.territorial_basis"
        f" when 'converted' then date '{STATE}' else o.period_code::date end between s.covers_from and s.covers_to"
        " order by 1, 2, 3, 4, 9, 5"
    )
    made: dict[tuple[str, str], list[tuple[Any, ...]]] = {key: [] for key in digests}
    for measure, day, *rest in rows:
        made[measure, day].append(tuple(rest))
    return {key: (digest, made[key]) for key, digest in digests.items()}


@pytest.fixture
def no_indicators(tables: Tables) -> None:
    columns = ("measure_code", "cell_period_code", "period_code", "role")
    tables.fill("int_indicator__periods", dict.fromkeys(columns, "text"), [])


@pytest.mark.usefixtures("no_indicators")
def test_where_the_fingerprint_of_a_partition_stays_so_does_all_that_is_made_of_it(tables: Tables) -> None:
    """With one list more, and with one edition more."""
    kept = 0
    for world in map(World, range(200, 203)):
        editions, lists = [CALENDAR[0], CALENDAR[-1]], sorted(world.lists)
        last = max(year for year in lists if world.lists[year])
        found = []
        for days, years in (
            (editions, [year for year in lists if year != last]),
            (editions, lists),
            (sorted([*editions, CALENDAR[5]]), lists),
        ):
            build(tables, world, days, years, numbers=numbers_by_county)
            found.append(partitions(tables))
        for before, after in pairwise(found):
            assert before.keys() == after.keys() and len(before) == len(MEASURES) * len(CALENDAR)
            same = [key for key in before if before[key][0] == after[key][0]]
            for key in same:
                assert before[key][1] == after[key][1], key
            kept += len(same)
    assert kept


@pytest.mark.usefixtures("no_indicators")
@pytest.mark.parametrize("kind", ["4", "1"])
def test_a_small_list_makes_stale_what_it_touches_and_nothing_else(tables: Tables, kind: str) -> None:
    """A new name (4), and a merger (1), of municipalities of one county of four."""
    world = World(0)
    world.days = dict.fromkeys(CALENDAR, world.days[CALENDAR[0]])
    world.lists = {}
    editions = [CALENDAR[0], CALENDAR[5]]
    build(tables, world, editions, [], numbers=numbers_by_county)
    before = partitions(tables)
    day = date(2018, 7, 1)
    world.lists[2018] = []
    old = "05003001"
    world._row(day, kind, old, old if kind == "4" else "05003002", None)
    world.lists[2018][0]["new_name"] = "new"
    build(tables, world, editions, [2018], numbers=numbers_by_county)
    after = partitions(tables)
    stale = {key for key in before if before[key][0] != after[key][0]}
    assert {measure for measure, _ in stale} == {MEASURES[2]}
    assert stale >= {(MEASURES[2], str(last)) for last in CALENDAR if last > day}
    assert all(before[key][1] == after[key][1] for key in before.keys() - stale)
    assert any(before[key][1] != after[key][1] for key in stale)
