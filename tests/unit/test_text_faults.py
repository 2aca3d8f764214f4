"""Every fault of a text file in the fixture of every dataset that is one: the values of before, or a refusal that names the place."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, ReadingError
from teilhabe.reading import ReadingContext, open_reading
from tests import faults

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
FIXTURES = sorted(path for path in (PROJECT / "tests/fixtures/deliveries").iterdir() if path.suffix in (".csv", ".txt"))
FIXED_WIDTH = "register__municipalities"
SEED = 20241

Values = set[tuple[Any, ...]]


def read(fixture: Path, content: bytes, folder: Path) -> tuple[Values, list[Finding]]:
    """The values with their coordinates, row numbers aside, and what was found. ``ReadingError`` goes through."""
    name = fixture.name.partition(".")[2] and fixture.name
    path = folder / name
    path.write_bytes(content)
    contract = CONTRACTS[fixture.name.partition(".")[0]]
    reading = open_reading(contract, path, name, context=ReadingContext(others=lambda: CONTRACTS))
    table = pa.concat_tables(reading.chunks()).drop_columns(["_row_number", "_column_number"])
    return {tuple(row.values()) for row in table.to_pylist()}, reading.findings


@cache
def good(fixture: Path, folder: Path) -> tuple[Values, list[Finding]]:
    return read(fixture, fixture.read_bytes(), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("good")


def critical(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == "critical"]


_OF_COLUMNS = (
    faults.all_quoted, faults.break_in_quotes, faults.filled_with_delimiters, faults.trailing_delimiter,
    faults.other_delimiter, faults.keys_without_zeros, faults.open_quote, faults.space_before_key,
)  # fmt: skip
"""A file of fixed width has neither columns nor quotation marks."""


EVERYWHERE = (
    faults.sep_line, faults.cr_cr_lf, faults.two_encodings, faults.keys_without_zeros, faults.break_in_quotes,
)  # fmt: skip
"""In the file of every dataset; the others in two files of each reader, as what they meet is the same code."""


@cache
def _two_of_each_reader() -> frozenset[Path]:
    chosen: dict[str, list[Path]] = {}
    for fixture in FIXTURES:
        contract = CONTRACTS[fixture.name.partition(".")[0]]
        reader = open_reading(contract, fixture, fixture.name).layout.reader
        chosen.setdefault(reader, []).append(fixture)
    # The first is the smallest by its name only; the largest has most lines to be spoilt.
    return frozenset(
        path for paths in chosen.values() for path in (paths[0], max(paths, key=lambda p: p.stat().st_size))
    )


def cells(kinds: tuple[faults.Fault, ...]) -> list[Any]:
    """Fault x fixture, where the fault can be made in the file."""
    return [
        pytest.param(fixture, fault, id=f"{fault.__name__}-{fixture.stem}")
        for fault in kinds
        for fixture in FIXTURES
        if (fault in EVERYWHERE or fixture in _two_of_each_reader())
        and not (fixture.name.startswith(FIXED_WIDTH) and fault in _OF_COLUMNS)
        and fault(fixture.read_bytes(), SEED) != fixture.read_bytes()
    ]


def test_each_fault_is_in_files_of_several_layouts() -> None:
    for fault in (*faults.SAME, *faults.DOUBTFUL):
        assert len(cells((fault,))) >= 2, fault.__name__


@pytest.mark.parametrize(("fixture", "fault"), cells(faults.SAME))
def test_the_values_stay(fixture: Path, fault: faults.Fault, folder: Path, tmp_path: Path) -> None:
    values, before = good(fixture, folder)
    found, findings = read(fixture, fault(fixture.read_bytes(), SEED), tmp_path)
    assert found == values
    assert [f.rule for f in critical(findings)] == [f.rule for f in critical(before)]


@pytest.mark.parametrize(("fixture", "fault"), cells(faults.DOUBTFUL))
def test_the_values_stay_or_the_place_is_named(
    fixture: Path, fault: faults.Fault, folder: Path, tmp_path: Path
) -> None:
    values, before = good(fixture, folder)
    bad = fault(fixture.read_bytes(), SEED)
    try:
        found, findings = read(fixture, bad, tmp_path)
    except ReadingError as error:
        finding = error.finding
        assert finding.message.endswith(".")
        assert "Traceback" not in finding.message
        assert "Ã" not in finding.message or fault is faults.decoded_twice
        assert finding.rule not in ("file.unreadable", "file.unknown_kind"), "says what is wrong"
    else:
        worse = [f.rule for f in critical(findings)] != [f.rule for f in critical(before)]
        assert found == values or worse, "never a changed value nor a missing row that nobody hears of"
