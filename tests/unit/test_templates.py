"""The Excel forms: what an office fills in loads without a finding, and what it may not change is locked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from teilhabe.contract.layouts import Table
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import Finding, TeilhabeError
from teilhabe.offices.templates import NOTES, template_layout, write_template
from teilhabe.reading import open_reading
from teilhabe.validation.register import Register
from teilhabe.validation.suite import load_suite
from teilhabe.validation.verdict import validate
from tests.filled_forms import cells_of, filled, header_row

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
WITH_TEMPLATE = [name for name, contract in CONTRACTS.items() if template_layout(contract) is not None]
TODAY = date(2026, 11, 22)
RECEIVED = datetime(2026, 11, 23, tzinfo=UTC)
FORM = "housing__accommodation"
TABLE = "courses__integration_courses"


def template(tmp_path: Path, name: str, **options: Any) -> Path:
    return write_template(
        CONTRACTS[name], tmp_path / f"{name}_2025.xlsx", today=TODAY, known=CONTRACTS.values(), **options
    )


def read(contract: Contract, path: Path) -> tuple[int, list[Finding]]:
    reading = open_reading(contract, path, path.name, RECEIVED)
    rows = sum(len(chunk) for chunk in reading.chunks())
    return rows, reading.findings


def test_the_offices_that_fill_in_by_hand_have_a_template() -> None:
    assert len(WITH_TEMPLATE) >= 12
    assert {"housing__accommodation", "civic__volunteers", "jobcentre__clients", "schools__german_support"} <= set(
        WITH_TEMPLATE
    )


@pytest.mark.parametrize("name", WITH_TEMPLATE)
def test_a_filled_in_template_is_read_and_judged_without_a_finding(name: str, tmp_path: Path) -> None:
    contract = CONTRACTS[name]
    path = filled(template(tmp_path, name))
    rows, findings = read(contract, path)
    assert rows and findings == []
    # Zeros agree with every sum, so the office's own rules have nothing to say either.
    path = filled(template(tmp_path, name), zero=True)
    verdict = validate(
        contract, load_suite(PROJECT / "expectations", contract), open_reading(contract, path, path.name, RECEIVED),
        REGISTER, file_name=path.name, received_at=RECEIVED,
    )  # fmt: skip
    assert [finding.message for finding in verdict.findings] == []
    assert verdict.row_count


@pytest.mark.parametrize("name", WITH_TEMPLATE)
def test_only_input_cells_can_be_changed_and_they_take_numbers_or_agreed_signs(name: str, tmp_path: Path) -> None:
    book = openpyxl.load_workbook(template(tmp_path, name))
    assert book.worksheets[-1].title == NOTES
    for sheet in book.worksheets:
        assert sheet.protection.sheet and sheet.protection.password is None
        assert sheet.sheet_state == "visible", "a hidden sheet with data would be a finding"
        assert not sheet.merged_cells.ranges
    sheet = book.worksheets[0]
    assert all(cell.protection.locked for cell in sheet[1])
    rules = [rule for rule in sheet.data_validations.dataValidation if rule.type == "custom"]
    assert rules and all("ISNUMBER" in rule.formula1 and ">=0" in rule.formula1 for rule in rules)
    assert all(rule.showErrorMessage and rule.error.endswith(".") for rule in rules)
    if CONTRACTS[name].symbol_regime == "ba":
        assert all('="*"' in rule.formula1 for rule in rules)
    for rule in rules:
        assert not any(sheet[cell].protection.locked for cell in cells_of(rule))


def test_the_template_of_a_municipality_is_filled_in_with_it_and_fixed(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(template(tmp_path, FORM, territory="03157006", period="2026-09"))
    given = {row[0].value: row[1] for row in book["Meldung"].iter_rows(max_col=2)}
    assert given["Gemeinde"].value == "Peine, Stadt"
    assert given["Gemeindeschlüssel"].value == "03157006"
    assert given["Berichtsmonat"].value == "September 2026"
    assert given["Gemeindeschlüssel"].protection.locked and not given["Berichtsmonat"].protection.locked


def test_closed_lists_are_drop_downs(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(template(tmp_path, FORM))
    rules = {rule.promptTitle: rule for rule in book["Meldung"].data_validations.dataValidation if rule.type == "list"}
    assert set(rules) == {"Gemeinde", "Gemeindeschlüssel", "Berichtsmonat"}
    sheet, _, area = rules["Gemeindeschlüssel"].formula1.partition("!")
    codes = [cell.value for (cell,) in book[sheet.strip("'")][area.replace("$", "")]]
    assert codes == [sender.territory_code for sender in CONTRACTS[FORM].senders] and len(codes) == 7


def test_the_second_sheet_explains_in_german(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(template(tmp_path, FORM))
    said = {str(row[0] or ""): str(row[1] or "") for row in book[NOTES].iter_rows(max_col=2, values_only=True)}
    contract = CONTRACTS[FORM]
    assert said["Was"] == contract.title_de
    assert "10 Tage nach Ende" in said["Wann"]
    assert said["Rückfragen"] == contract.contact
    assert contract.licence in said["Lizenz"]
    assert contract.version in said["Vertrag"]
    text = "\n".join(str(cell) for row in book[NOTES].iter_rows(values_only=True) for cell in row if cell)
    assert "geheim gehalten" in text and "leer" in text.lower()


def test_the_version_of_the_contract_is_in_the_properties(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(template(tmp_path, TABLE))
    assert book.properties.version == CONTRACTS[TABLE].version
    assert book.properties.subject == TABLE
    assert {p.name: p.value for p in book.custom_doc_props.props}["Vertragsversion"] == CONTRACTS[TABLE].version


def test_print_set_up_and_frozen_headers(tmp_path: Path) -> None:
    sheet = openpyxl.load_workbook(template(tmp_path, TABLE)).worksheets[0]
    assert sheet.freeze_panes and sheet.print_title_rows
    assert sheet.page_setup.fitToWidth == 1 and sheet.sheet_properties.pageSetUpPr.fitToPage


def test_a_dataset_that_comes_from_a_system_has_none_and_the_answer_names_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(TeilhabeError) as refused:
        template(tmp_path, "state_statistics__dwellings")
    assert "state_statistics__dwellings has no template" in str(refused.value)
    assert all(name in str(refused.value) for name in WITH_TEMPLATE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"territory": "03158001"}, "03158001 does not report"),
        ({"period": "2026"}, "2026 is no period"),
        ({"period": "morgen"}, "morgen is no period"),
    ],
)
def test_wrong_wishes_are_answered_with_what_is_possible(options: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(TeilhabeError, match=said):
        template(tmp_path, FORM, **options)


def test_only_workbooks_are_written(tmp_path: Path) -> None:
    with pytest.raises(TeilhabeError, match=r"must end in \.xlsx"):
        write_template(CONTRACTS[FORM], tmp_path / "formular.csv", today=TODAY)


def test_columns_that_are_not_valid_yet_are_left_out(tmp_path: Path) -> None:
    contract = CONTRACTS["police__offences_municipal"]
    layout = contract.layouts[0]
    assert isinstance(layout, Table)
    workbook = contract.model_copy(update={"layouts": [layout.model_copy(update={"kinds": ["workbook"]})]})
    headers = {}
    for year in ("2023", "2024"):
        path = write_template(workbook, tmp_path / f"{year}.xlsx", today=TODAY, period=year)
        sheet = openpyxl.load_workbook(path).worksheets[0]
        headers[year] = {cell.value for cell in sheet[header_row(sheet)]}
    assert headers["2024"] - headers["2023"] == {"Opfer", "Opfer_nd"}


REGISTER = Register(
    [
        ("03157", "Peine"), ("03157001", "Edemissen"), ("03157002", "Hohenhameln"), ("03157005", "Lengede"),
        ("03157006", "Peine, Stadt"), ("03157007", "Vechelde"), ("03157008", "Wendeburg"), ("03157009", "Ilsede"),
    ],
    [date(2025, 12, 31), date(2026, 12, 31)],
)  # fmt: skip
