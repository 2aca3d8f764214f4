"""The demo's deliveries: same seed, same bytes; every good file is readable, every faulty one has its own kind of fault."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from demo import files
from teilhabe.contracts import load_contracts

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = "from demo import files\nfor h in files.handouts(): print(h.dataset_id, h.name, h.received_at.isoformat(), h.sha256)"


def listing(seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=PROJECT,
        env={**os.environ, "PYTHONHASHSEED": seed, "TZ": "Pacific/Auckland" if seed == "2" else "UTC"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_same_bytes_in_two_processes() -> None:
    """Whatever the hash seed, the time zone or the clock of the machine."""
    first, second = listing("1"), listing("2")
    assert len(first) >= 15
    assert first == second


def test_another_seed_gives_other_figures() -> None:
    here = files.population(files.County(), files.YEARS).content
    there = files.population(files.County(seed=1), files.YEARS).content
    assert here != there


def test_written_files_are_the_handouts(tmp_path: Path) -> None:
    written = files.write(tmp_path)
    assert [handout.name for handout, _ in written] == [path.name for _, path in written]
    assert all(path.read_bytes() == handout.content for handout, path in written)
    assert len({path for _, path in written}) == len(written), "offices reuse names; no file may overwrite another"


def test_every_file_belongs_to_a_contract_and_says_that_it_is_invented() -> None:
    contracts = load_contracts(PROJECT / "agencies")
    handouts = files.handouts()
    assert {handout.dataset_id for handout in handouts} <= set(contracts)
    for handout in handouts:
        if handout.name.startswith("12") and handout.fault is None:
            text = handout.content.decode("cp1252" if handout.dataset_id.endswith("naturalisations") else "utf-8")
            assert files.DEMO_NOTE in text


def test_one_fault_of_each_kind() -> None:
    kinds = Counter(handout.fault for handout in files.handouts() if handout.fault)
    assert len(kinds) >= 5
    assert set(kinds.values()) == {1}


@pytest.mark.parametrize("year", files.YEARS)
def test_municipalities_add_up_to_their_county(year: int) -> None:
    county = files.County()
    parts = [county.total(code, year) for code in files.MUNICIPALITIES if code.startswith("03157")]
    assert len(parts) == 7
    assert sum(parts) == county.total("03157", year)
    assert county.foreigners("03157", year) < county.total("03157", year)
