"""The demo's deliveries: same seed, same bytes; 36 months of every dataset; one faulty file for each kind of fault."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from demo import files, forms, genesis, labour, offices
from demo.county import COUNTY, DISTRICTS, GOSLAR, MERGED, MONTHS, MUNICIPALITIES, NEW, YEARS, County, protected, split
from demo.handout import DEMO_NOTE, DOMAIN, Handout
from teilhabe.contract.parsing import load_contracts

PROJECT = Path(__file__).resolve().parents[2]
SUBSET = """
from demo import forms, genesis, labour, monitor, offices, register
from demo.county import County
c = County()
for h in [*register.handouts(c), genesis.population(c, [2022, 2023]), labour.clients(c, "2024-02"), *list(monitor.handouts(c))[:9],
          forms.accommodation(c, "03157007", "2024-04"), offices.sports_clubs(c, 2024), offices.election(c, 2021)]:
    print(h.dataset_id, h.name, h.received_at.isoformat(), h.sha256)
"""


@pytest.fixture(scope="module")
def handouts() -> list[Handout]:
    return files.handouts()


@pytest.fixture(scope="module")
def county() -> County:
    return County()


def listing(seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SUBSET],
        cwd=PROJECT,
        env={**os.environ, "PYTHONHASHSEED": seed, "TZ": "Pacific/Auckland" if seed == "2" else "UTC"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_same_bytes_in_two_processes() -> None:
    """Whatever the hash seed, the time zone or the clock of the machine, and in whatever order figures are asked for."""
    first, second = listing("1"), listing("2")
    assert len(first) >= 20
    assert first == second


def test_another_seed_gives_other_figures(county: County) -> None:
    assert genesis.population(county, YEARS).content != genesis.population(County(seed=1), YEARS).content


def test_figures_do_not_depend_on_what_was_asked_before(county: County) -> None:
    labour.clients(county, "2023-05")
    assert forms.accommodation(county, "03157005", "2024-05") == forms.accommodation(County(), "03157005", "2024-05")


def test_written_files_are_the_handouts(tmp_path: Path, county: County) -> None:
    some = [forms.accommodation(county, code, "2024-04") for code in MUNICIPALITIES]
    written = files.write(tmp_path, [*some, *some])
    assert [handout.name for handout, _ in written] == [path.name for _, path in written]
    assert all(path.read_bytes() == handout.content for handout, path in written)
    assert len({path for _, path in written}) == len(written), "offices reuse names; no file may overwrite another"


def test_every_dataset_over_three_years(handouts: list[Handout]) -> None:
    good = Counter(handout.dataset_id for handout in handouts if not handout.fault)
    contracts = load_contracts(PROJECT / "agencies")
    assert set(good) == set(contracts)
    assert len(contracts) >= 38
    per_year = {"yearly": 1, "half_yearly": 2, "quarterly": 4, "monthly": 12, "per_term": 0}
    for dataset_id, count in good.items():
        contract = contracts[dataset_id]
        wanted = (len(YEARS) - 1) * per_year[contract.calendar.frequency] * max(1, len(contract.senders))
        assert count >= max(1, wanted), dataset_id
    assert good["housing__accommodation"] == len(MONTHS) * len(MUNICIPALITIES)
    assert min(h.received_at for h in handouts).year == 2023
    assert max(h.received_at for h in handouts).year == 2026


def test_the_order_is_the_order_of_arrival(handouts: list[Handout]) -> None:
    assert [h.received_at for h in handouts] == sorted(h.received_at for h in handouts)


def test_one_fault_of_each_kind(handouts: list[Handout]) -> None:
    kinds = Counter(handout.fault.kind for handout in handouts if handout.fault)
    assert len(kinds) >= 35
    assert set(kinds.values()) == {1}
    refused = [h for h in handouts if h.fault and h.state == "quarantined"]
    assert all(h.fault and h.fault.rule for h in refused)
    assert len({h.fault.rule for h in refused if h.fault}) >= 30


def test_faulty_files_are_small(handouts: list[Handout]) -> None:
    assert max(len(handout.content) for handout in handouts if handout.fault) < 200_000


def test_all_come_from_addresses_that_mark_them_as_demo(handouts: list[Handout]) -> None:
    assert {handout.address.partition("@")[2] for handout in handouts} == {DOMAIN}
    contracts = load_contracts(PROJECT / "agencies")
    for handout in handouts:
        known = [sender.contact for sender in contracts[handout.dataset_id].senders]
        assert not known or handout.address in known, handout.name


def test_tables_with_room_for_it_say_that_they_are_invented(handouts: list[Handout]) -> None:
    tables = [
        handout
        for handout in handouts
        if handout.name.startswith(("12", "13", "2", "31231")) and handout.suffix == ".csv"
    ]
    assert len(tables) >= 30
    for handout in tables:
        assert DEMO_NOTE in handout.content.decode(
            "cp1252" if handout.dataset_id.endswith("naturalisations") else "utf-8"
        )


# The invented reality


def test_parts_add_up_whatever_the_weights() -> None:
    assert split(10, (1, 1, 1)) == [4, 3, 3]
    assert split(0, (1, 2)) == [0, 0]
    assert sum(split(997, (0.2, 0.3, 0.11))) == 997


def test_a_small_part_takes_a_second_one_with_it() -> None:
    assert protected((2, 40, 7, 0), 3) == ["*", 40, "*", 0]
    assert protected((2, 1, 7), 3) == ["*", "*", 7]
    assert protected((5, 40), 3) == [5, 40]


@pytest.mark.parametrize("year", YEARS)
def test_municipalities_add_up_to_their_county(county: County, year: int) -> None:
    assert sum(county.total(code, year) for code in MUNICIPALITIES) == county.total(COUNTY, year)
    assert 136_000 < county.total(COUNTY, year) < 140_000
    assert 0.11 < county.total(COUNTY, year, "foreign") / county.total(COUNTY, year) < 0.125


def test_the_facts_everybody_knows(county: County) -> None:
    assert county.monthly("housed", "03157007", "2024-04") == 258
    assert county.monthly("private", "03157007", "2024-04") == 102
    [row] = [line for line in offices.allocation(county, 2).content.decode().splitlines() if line.startswith("03157;")]
    assert row == "03157;Landkreis Peine;WHJ 2023/24;430;62;492;420"
    for year in YEARS:
        known, cleared = county.offences(COUNTY, "------", year)
        assert 7_000 <= known <= 7_800
        assert 0.595 <= cleared / known <= 0.635


def test_the_invented_merger_is_a_sum(county: County) -> None:
    assert county.goslar(2023) == list(GOSLAR)
    assert NEW.code in county.goslar(2024)
    assert not set(MERGED) & set(county.goslar(2024))
    assert county.total(NEW.code, 2024) == sum(county.total(code, 2024) for code in MERGED)
    assert "erfunden" in NEW.name


def test_all_districts_of_the_state() -> None:
    assert len(DISTRICTS) == 45
    assert all(code.startswith("03") and len(code) == 5 for code in DISTRICTS)
