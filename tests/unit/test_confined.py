"""What opens foreign bytes has limits of its own, and what hits them is refused in one sentence; the rest goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, Place, ReadingError
from teilhabe.reading import ReadingContext, confined, open_reading
from teilhabe.reading.layouts.excluding import RowsExcluded

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
CLUBS = "civic__sports_clubs"


def clubs() -> Path:
    [path] = (PROJECT / "tests" / "fixtures" / "deliveries").glob(f"{CLUBS}.*")
    return path


def refused(work: Callable[..., Any], *arguments: Any) -> Finding:
    with pytest.raises(ReadingError) as caught:
        confined.run(work, *arguments, file_name="lieferung.xlsx")
    finding = caught.value.finding
    assert finding.severity == "critical" and finding.rule == confined.TOO_COSTLY
    assert finding.message.startswith("Datei „lieferung.xlsx“: Das Lesen der Datei braucht ")
    return finding


def test_what_takes_more_memory_than_allowed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEILHABE_READING_MEMORY_MB", "200")
    assert refused(bytearray, 300_000_000).found == "mehr als 200 MB Arbeitsspeicher"
    assert refused(os.abort).found == "mehr als 200 MB Arbeitsspeicher", "a parser that gets none gives up"
    assert len(confined.run(bytes, 50_000_000, file_name="a")) == 50_000_000


def test_an_answer_that_is_too_long_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEILHABE_READING_MEMORY_MB", "100")
    assert "Arbeitsspeicher" in (refused(bytes.__mul__, b"0123456789", 9_000_000).found or "")


def test_what_takes_more_time_than_allowed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEILHABE_READING_CPU_SECONDS", "1")
    assert refused(sum, range(10**12)).found == "mehr als 1 Sekunden Rechenzeit"
    monkeypatch.setenv("TEILHABE_READING_CPU_SECONDS", "60")
    monkeypatch.setenv("TEILHABE_READING_SECONDS", "1")
    assert refused(time.sleep, 600).found == "mehr als 1 Sekunden"


def test_a_parser_that_crashes_says_so_and_one_that_was_killed_says_nothing() -> None:
    assert refused(signal.raise_signal, signal.SIGSEGV).found == "ein Absturz des Programms, das sie liest"
    with pytest.raises(confined.KilledError):
        confined.run(signal.raise_signal, signal.SIGKILL, file_name="a")
    assert confined.run(len, "abc", file_name="a") == 3, "the next job finds everything as it was"


def test_errors_are_those_of_the_work() -> None:
    with pytest.raises(ZeroDivisionError):
        confined.run(divmod, 1, 0, file_name="a")


def test_a_reading_says_the_same_as_in_this_process(tmp_path: Path) -> None:
    contract, path = CONTRACTS[CLUBS], clubs()
    here = open_reading(contract, path, path.name, context=ReadingContext())
    there = confined.open_reading(contract, path, path.name, ReadingContext())
    assert pa.concat_tables(there.chunks()).to_pylist() == pa.concat_tables(here.chunks()).to_pylist()
    assert (there.layout_name, there.is_mendable) == (here.layout_name, here.is_mendable)
    assert (there.findings, dict(there.symbols)) == (here.findings, dict(here.symbols))
    assert there.names_resolved == here.names_resolved


def test_rows_that_are_held_back_are_remembered_here() -> None:
    contract, path = CONTRACTS[CLUBS], clubs()
    whole = pa.concat_tables(open_reading(contract, path, path.name).chunks())
    row = whole["_row_number"][0].as_py()
    sheet = whole["_sheet"][0].as_py() if "_sheet" in whole.column_names else None
    reading = confined.open_reading(contract, path, path.name, ReadingContext())
    reading.excluded = held = RowsExcluded({Place(sheet, row, None)}, None)
    assert sum(map(len, reading.chunks())) < len(whole)
    assert {one.place.row for one in held.rows} == {row}


def test_a_file_of_no_layout_is_refused_before_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a;b\n1;2\n", encoding="utf-8")
    asked: list[str] = []

    def others() -> dict[str, Any]:
        asked.append("others")
        return CONTRACTS

    with pytest.raises(ReadingError) as caught:
        confined.open_reading(CONTRACTS[CLUBS], path, "a.csv", ReadingContext(others=others))
    assert caught.value.finding.rule == "file.not_this_layout"
    assert asked == ["others"], "what only this process knows is asked here"


def test_an_error_of_an_answer_is_raised_here(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a;b\n1;2\n", encoding="utf-8")

    def others() -> dict[str, Any]:
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        confined.open_reading(CONTRACTS[CLUBS], path, "a.csv", ReadingContext(others=others))


IN_A_JOB = {"messages/evidence.py", "onboarding/proposing.py"}
"""Modules outside of ``reading`` whose functions open files: ``confined.run`` is how they are called."""


def test_nobody_opens_a_file_in_its_own_process() -> None:
    package = Path(confined.__file__).parents[1]
    opening = re.compile(
        r"(?<!confined\.)\bopen_reading\(|(?<![\w.])Source\(|from_filelike\(|load_workbook\(|ZipFile\("
    )
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] not in ("reading", "landing")
        and opening.search(path.read_text(encoding="utf-8"))
    }
    own = {"pipeline/judging.py", "validation/row_exclusion.py"}  # one imports the confined one, the other is given it
    assert found - own == IN_A_JOB
    judging = (package / "pipeline/judging.py").read_text(encoding="utf-8")
    assert "from teilhabe.reading.confined import open_reading" in judging


def test_nothing_is_left_when_whoever_asked_is_killed() -> None:
    program = "import time; from teilhabe.reading import confined; confined.run(time.sleep, 600, file_name='a')"
    asking = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    try:
        until = time.monotonic() + 120
        while len(children := psutil.Process(asking.pid).children(recursive=True)) < 2:
            assert time.monotonic() < until and asking.poll() is None
            time.sleep(0.05)
    finally:
        asking.kill()
        asking.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
