"""Reading says what people see: every fault of a workbook's cells, on every workbook that a dataset has an example of."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, ReadingError
from teilhabe.reading import open_reading
from tests import faults_workbook as faults
from tests.faults_workbook import FAULTS, KINDS, Fault, Place

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
DELIVERIES = PROJECT / "tests" / "fixtures" / "deliveries"
WORKBOOKS = sorted(path.name for path in DELIVERIES.glob("*.xlsx"))
ONE_OF_EACH_LAYOUT = (
    "housing__accommodation.xlsx",
    "jobcentre__clients.xlsx",
    "elections__local.xlsx",
    "employment_agency__municipal_workbook.03157006.xlsx",
    "register__territorial_changes.xlsx",
)
EVERYWHERE = (
    "raised mark behind a number",
    "formula without result",
    "hidden row",
    "struck through",
    "float noise",
    "per cent",
)
"""On every workbook; the others once for each layout, as what they meet is the same code."""
CASES = [
    (name, fault) for name in WORKBOOKS for fault in FAULTS if name in ONE_OF_EACH_LAYOUT or fault.name in EVERYWHERE
]

Values = list[tuple[Any, ...]]


def outcome(name: str, path: Path) -> tuple[Values, list[Finding]]:
    """Every row as loaded, and what was found; a refused file has no rows."""
    contract = CONTRACTS[name.partition(".")[0]]
    try:
        reading = open_reading(contract, path, name)
        table = pa.concat_tables(reading.chunks())
    except ReadingError as error:
        return [], [error.finding]
    kept = [column for column in table.column_names if not column.startswith("_")]
    return sorted(
        map(tuple, zip(*(table[column].to_pylist() for column in kept), strict=True)), key=str
    ), reading.findings


@cache
def good(name: str) -> tuple[Values, frozenset[str]]:
    values, findings = outcome(name, DELIVERIES / name)
    assert values and not [finding for finding in findings if finding.severity == "critical"]
    return values, frozenset(finding.message for finding in findings)


@cache
def place(name: str) -> Place:
    """A number that has another below it in the same column: some faults need a neighbour."""
    places = faults.numbers(CONTRACTS[name.partition(".")[0]], DELIVERIES / name)
    known = set(places)
    paired = [one for one in places if Place(one.sheet, one.row + 1, one.column) in known]
    return faults.some(paired or places)[0]


def names_the_place(finding: Finding, at: Place) -> bool:
    if finding.sheet is not None and finding.row is None and finding.rule != "column.hidden":
        return finding.sheet != at.sheet or finding.rule in ("sheet.hidden", "sheet.twice")
    rows = {finding.row, *(evidence.row for evidence in finding.evidence)}
    columns = {finding.column, *(evidence.column for evidence in finding.evidence)}
    if finding.rule == "sheet.merged_cells":
        return not rows.isdisjoint((at.row, at.row + 1))
    return at.row in rows or (finding.rule == "column.hidden" and str(at.column) in columns)


def test_every_layout_of_workbooks_has_an_example() -> None:
    readers = {
        open_reading(CONTRACTS[name.partition(".")[0]], DELIVERIES / name, name).layout.reader for name in WORKBOOKS
    }
    of_each = {
        open_reading(CONTRACTS[name.partition(".")[0]], DELIVERIES / name, name).layout.reader
        for name in ONE_OF_EACH_LAYOUT
    }
    assert readers == of_each


@pytest.mark.parametrize(("name", "fault"), CASES, ids=lambda one: str(one).replace(" ", "_"))
def test_a_fault_changes_no_value_in_silence(name: str, fault: Fault, tmp_path: Path) -> None:
    values, said = good(name)
    at = place(name)
    path = tmp_path / "delivery.xlsx"
    path.write_bytes(fault.apply((DELIVERIES / name).read_bytes(), at))
    found, findings = outcome(name, path)
    fresh = [one for one in findings if one.message not in said and one.severity != "info"]
    critical = [one for one in fresh if one.severity == "critical"]
    is_register = not CONTRACTS[name.partition(".")[0]].is_observation  # where footnote marks are usual
    told = [(one.rule, one.message) for one in fresh]
    if fault.outcome == "refused":
        assert any(names_the_place(one, at) for one in critical), told
    elif not critical:
        assert found == values, told
        if fault.outcome == "told" and not (is_register and "value.footnote_mark" in fault.rules):
            assert any(names_the_place(one, at) for one in fresh), told
        else:
            assert {one.rule for one in fresh} <= {"sheet.unknown", "value.footnote_mark"}, told
    else:
        assert any(names_the_place(one, at) for one in critical), told
    if fault.rules and not is_register:
        assert fault.rules & {one.rule for one in fresh}, told


@pytest.mark.parametrize("ending", ["xls", "xlsx", "csv"])
@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_of_file_is_called_what_it_is(kind: str, ending: str, tmp_path: Path) -> None:
    make, rule, word = KINDS[kind]
    path = tmp_path / f"delivery.{ending}"
    path.write_bytes(make((DELIVERIES / "jobcentre__clients.xlsx").read_bytes()))
    with pytest.raises(ReadingError) as caught:
        open_reading(CONTRACTS["jobcentre__clients"], path, path.name)
    finding = caught.value.finding
    assert finding.rule == rule and word in finding.message
    assert "xlsx" in finding.message and "CSV" in finding.message and "Anmeldeseite" not in finding.message


# The kinds that are about more than one cell


TABLE = "courses__integration_courses.xlsx"
"""Its period stands in a column."""


def spoilt(tmp_path: Path, content: bytes, dataset: str, file_name: str) -> tuple[Values, list[Finding]]:
    path = tmp_path / "delivery.xlsx"
    path.write_bytes(content)
    try:
        reading = open_reading(CONTRACTS[dataset], path, file_name)
        rows = sum(len(chunk) for chunk in reading.chunks())
    except ReadingError as error:
        return [], [error.finding]
    return [(rows,)], reading.findings


def half_year_before() -> tuple[str, list[list[Any]]]:
    content = (DELIVERIES / TABLE).read_bytes()
    sheet = place(TABLE).sheet
    header = next(row for row in faults.rows_of(content, sheet) if "Halbjahr" in row)
    at = header.index("Halbjahr")
    rows = faults.rows_of(content, sheet)
    data = [row for row in rows[rows.index(header) + 1 :] if row[at]]
    assert data
    return sheet, [[*row[:at], "2. Halbjahr 2019", *row[at + 1 :]] for row in data]


@pytest.mark.parametrize("note", ["Zum Vergleich: Vorhalbjahr", None])
def test_another_period_below_the_table_is_refused(note: str | None, tmp_path: Path) -> None:
    content = (DELIVERIES / TABLE).read_bytes()
    sheet, rows = half_year_before()
    period = str(good(TABLE)[0][0][2])
    name = f"Integrationskurse_{period}.xlsx"
    dataset = TABLE.partition(".")[0]
    assert not [one for one in spoilt(tmp_path, content, dataset, name)[1] if one.severity != "info"]
    last = len(faults.rows_of(content, sheet))
    loaded, found = spoilt(tmp_path, faults.rows_below(content, sheet, note, rows), dataset, name)
    assert not loaded and [one.rule for one in found] == ["table.second"]
    assert found[0].row == last + (3 if note else 2) and "2. Halbjahr 2019" in found[0].message
    # Where neither name nor title state a period, both may be meant: loaded, and told.
    loaded, found = spoilt(tmp_path, faults.rows_below(content, sheet, note, rows), dataset, "Kurse.xlsx")
    assert loaded and [one.rule for one in found if one.severity == "warning"] == ["period.also_another"]


def test_the_header_once_more_below_the_table_is_refused(tmp_path: Path) -> None:
    content = (DELIVERIES / TABLE).read_bytes()
    sheet, rows = half_year_before()
    header = next(row for row in faults.rows_of(content, sheet) if "Halbjahr" in row)
    _, found = spoilt(
        tmp_path, faults.rows_below(content, sheet, None, [header, *rows]), TABLE.partition(".")[0], "Kurse.xlsx"
    )
    assert [one.rule for one in found] == ["table.second"] and "noch einmal" in found[0].message


@pytest.mark.parametrize(
    ("name", "text", "other"),
    [
        ("elections__local.xlsx", "Wähler", "Wählende"),
        ("courses__integration_courses.xlsx", "Kursstarter", "Kursstartende"),
        ("courses__integration_courses.xlsx", "Gebiet", "Gebiete des Kreises"),
        ("courses__integration_courses.xlsx", "AGS", "AGS-Nr"),
        ("courses__integration_courses.xlsx", "Kursart", "Kursarten"),
        ("housing__accommodation.xlsx", "Betriebsbereite Plätze", "Betriebsfähige Plätze"),
        ("housing__accommodation.xlsx", "Berichtsmonat", "Berichtszeitmonat"),
        ("housing__accommodation.xlsx", "kommunal untergebracht", "städtisch untergebracht"),
        ("register__territorial_changes.xlsx", "Einwohner", "Einwohnende"),
    ],
)
def test_a_reworded_text_is_named_beside_the_one_that_is_missing(
    name: str, text: str, other: str, tmp_path: Path
) -> None:
    content = faults.reworded((DELIVERIES / name).read_bytes(), text, other)
    assert content != (DELIVERIES / name).read_bytes()
    loaded, found = spoilt(tmp_path, content, name.partition(".")[0], name)
    assert not loaded
    assert f"„{text}“" in found[0].message and f"„{other}“" in found[0].message, found[0].message
