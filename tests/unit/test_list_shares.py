"""Whatever an official list says: the shares of a unit are one whole, or it is not converted and the steward is told why."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.models import CHANGE, DBT, EDITION, Tables

DAY = "2015-01-01"
UNITS = [f"0500100{number}" for number in range(1, 6)]
TOLD = {"more_than_there_was", "not_as_in_register", "circle"}
"""Reasons that are contradictions of the list; the others say that it does not tell enough."""
SIZES = ("0", "1", "40", "400", "401", None)

Unit = tuple[str, str]
Part = tuple[str | None, str, Decimal | None, str | None]
"""New code, method, factor, reason."""


@pytest.fixture(scope="module")
def tables(warehouse: Settings) -> Iterator[Tables]:
    with connecting.connect("transformer", warehouse) as conn:
        made = Tables(conn, "2020-12-31")
        with (DBT / "seeds" / "territories.csv").open(encoding="utf-8", newline="") as lines:
            columns = next(csv.reader(lines))
        made.fill("territories", {**dict.fromkeys(columns, "text"), "valid_from": "date", "valid_to": "date"}, [])
        edition = {"level": "municipality", "edition_date": "2013-12-31", "known_from": "2014-06-01", "delivery_id": 1}
        made.fill(
            "stg_register__territories",
            EDITION,
            [
                edition
                | {"territory_code": code, "ars": code, "population": 401, "area_km2": "0.0004", "row_number": n}
                for n, code in enumerate(UNITS)
            ],
        )
        made.make("int_territory__edition")
        yield made
        conn.rollback()


def row(number: int, kind: str, old: str, new: str, people: str | None, area: str | None) -> dict[str, Any]:
    return {
        "change_id": str(number), "unit_type": "Gemeinde", "old_code": old, "change_type": kind, "area_m2": area,
        "population": people, "new_code": new, "legal_date": DAY, "statistical_date": DAY, "delivery_id": 2,
        "row_number": number, "known_from": "2015-06-01",
    }  # fmt: skip


def shares(tables: Tables, rows: list[dict[str, Any]]) -> dict[Unit, list[Part]]:
    """What becomes of each unit on the day of the list."""
    tables.fill("stg_register__territorial_changes", CHANGE, rows)
    tables.make("int_territory__change")
    found: dict[Unit, list[Part]] = defaultdict(list)
    for old, day, *part in tables.ask(
        "select old_code, effective_date::text, new_code, method, factor, reason from int_territory__change order by 1, 2, 3"
    ):
        found[old, day].append(tuple(part))
    return found


def check(found: dict[Unit, list[Part]]) -> set[str]:
    """All shares of a unit are there and one whole, or none of those in question is, with a reason; returns the reasons."""
    reasons = set()
    for unit, parts in found.items():
        factors = [factor for _, _, factor, _ in parts]
        for new, method, factor, reason in parts:
            assert (factor is None) == (method == "none"), (unit, parts)
            assert factor is not None or reason, (unit, parts)
            assert new is not None or factor is None, (unit, parts)
            reasons |= {reason} if factor is None and reason else set()
        known = [factor for factor in factors if factor is not None]
        assert all(0 <= factor <= 1 for factor in known), (unit, parts)
        if None not in factors:
            assert sum(known) == 1, (unit, parts)
    return reasons


def test_lists_of_any_kind(tables: Tables) -> None:
    """Two hundred lists nobody would write: parts larger than the unit, units in each other, the same row twice, no sizes."""
    chance = random.Random(5)
    seen: set[str] = set()
    converted = 0
    for _ in range(200):
        rows = [
            row(
                chance.randint(1, 4),
                chance.choice(("1", "2", "3", "1,2", "2,4", "4")),
                *chance.choices(UNITS[: chance.randint(2, 5)], k=2),
                chance.choice(SIZES),
                chance.choice(SIZES),
            )
            for _ in range(chance.randint(1, 5))
        ]
        found = shares(tables, rows)
        seen |= check(found)
        converted += sum(all(factor is not None for _, _, factor, _ in parts) for parts in found.values())
    assert seen >= TOLD and converted > 50


ONE, TWO, THREE, FOUR, FIVE = UNITS


@pytest.mark.parametrize(("kind", "last"), [("1", FIVE), ("2", ONE)], ids=["dissolved", "left without people"])
def test_a_part_without_people_takes_no_share_whatever_rounding_leaves(tables: Tables, kind: str, last: str) -> None:
    """A sixth, a sixth and four sixths are more than one, each rounded."""
    parts = ((TWO, "60"), (THREE, "60"), (FOUR, "240"), (last, "0"))
    found = shares(tables, [row(1, kind, ONE, new, people, "100") for new, people in parts])
    check(found)
    factors = {new: factor for new, _, factor, _ in found[ONE, DAY]}
    assert factors[last] == 0 and factors[TWO] == factors[THREE] == Decimal("0.166666666667")
    assert factors[FOUR] == Decimal("0.666666666666")


@pytest.mark.parametrize(
    "rows",
    [
        # more people leave than the register has
        [row(1, "2", ONE, TWO, "402", "100")],
        # more land leaves than there is, by two rows of one list
        [row(1, "2", ONE, TWO, "100", "300"), row(1, "2", ONE, THREE, "100", "300")],
        # two changes of a day, each with its own rest
        [
            *(row(1, "2", ONE, new, people, "200") for new, people in ((TWO, "300"), (ONE, "101"))),
            *(row(2, "2", ONE, new, people, "200") for new, people in ((THREE, "300"), (ONE, "101"))),
        ],
    ],
    ids=["people", "land", "two changes"],
)
def test_what_is_more_than_a_whole_converts_nobody_and_is_a_contradiction(tables: Tables, rows: list[Any]) -> None:
    found = shares(tables, rows)
    check(found)
    for _, method, factor, reason in found[ONE, DAY]:
        assert (method, factor) == ("none", None) and reason in TOLD
