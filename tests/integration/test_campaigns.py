"""Small versions of both campaigns; the whole ones are ``python -m bench.hostile`` and ``python -m bench.faults``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.faults import campaign as faults
from bench.hostile import campaign as hostile
from bench.hostile import files, oracle
from teilhabe.settings import get_settings

FEW = ("state_monitor__foreigners.csv", "civic__volunteers.xlsx", "housing__allocation.csv")


def test_no_changed_file_is_loaded_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEILHABE_READING_MEMORY_MB", "1000")
    monkeypatch.setenv("TEILHABE_READING_CPU_SECONDS", "30")
    bases = hostile.prepared((base for base in files.fixtures() if base.name in FEW), tmp_path)
    assert len(bases) == len(FEW)
    outcomes = hostile.run(bases, range(0, 92, 6), 1, tmp_path)
    assert [(one.base, one.mutation, one.problems) for one in hostile.wrong(outcomes)] == []
    assert {one.state for one in outcomes} >= {"refused", "as before"}
    assert max(one.peak_mb for one in outcomes) < 1_000


def test_the_oracle_sees_a_wrong_number_a_wrong_key_and_a_missing_row(tmp_path: Path) -> None:
    [(base, shown)] = hostile.prepared((base for base in files.fixtures() if base.name == FEW[0]), tmp_path)
    cells, rows = oracle.grid(base.content, hostile.delimiter_of(base)), [dict(row) for row in shown.rows]
    assert oracle.held_against(shown, list(rows), cells, 0) == []
    for change in ({"value": "1"}, {"territory_code": "03158"}):
        assert oracle.held_against(shown, [{**rows[0], **change}, *rows[1:]], cells, 0) != []
    assert oracle.held_against(shown, list(rows[1:]), cells, 0) != []
    assert oracle.held_against(shown, [{**rows[0], "value": "1"}, *rows[1:]], None, 0) != []


def test_what_is_killed_goes_on_and_nothing_is_lost_or_doubled(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("faults")
    for part in (folder, folder.parent, folder.parent.parent):
        part.chmod(0o755)
    wanted = ("archive", "load", "send", "database", "two at once")
    with faults.home(folder, replace(get_settings())) as settings:
        phases = faults.run(settings, dict.fromkeys(wanted, 1), 1, lambda _: None)
    assert [phase.name for phase in phases] == list(wanted)
    assert [(phase.name, phase.problems) for phase in phases if phase.problems] == []
