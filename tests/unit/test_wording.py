"""How much was taken is counted in what a file has: its rows where each is one number, else its numbers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from teilhabe.codes import wording
from teilhabe.contract.parsing import load_contracts
from teilhabe.findings.contradictions import _german
from teilhabe.validation.rules.sums import about_as_much
from tests.conftest import PROJECT


@pytest.mark.parametrize(
    ("taken", "left_out", "rows", "told"),
    [
        (3426, 24, True, "3.426 von 3.450 Zeilen übernommen"),
        (321, 1, False, "321 Werte übernommen, eine Stelle nicht"),
        (1, 1200, False, "1 Wert übernommen, 1.200 Stellen nicht"),
        (46, 0, True, "46 Zeilen"),
        (1, 0, True, "1 Zeile"),
        (1, 0, False, "1 Wert"),
        (0, 0, False, "0 Werte"),
    ],
)
def test_how_much_was_taken(taken: int, left_out: int, rows: bool, told: str) -> None:
    assert wording.how_much(taken, left_out, rows=rows) == told


def test_wide_tables_are_counted_in_numbers() -> None:
    contracts = load_contracts(PROJECT / "agencies")
    by_rows = {
        (dataset_id, layout.reader)
        for dataset_id, contract in contracts.items()
        for layout in contract.layouts
        if contract.counts_rows(layout.name)
    }
    assert ("state_monitor__foreigners", "tidy_csv") in by_rows
    assert ("register__municipalities", "gv100ad") in by_rows
    assert not {reader for _, reader in by_rows} & {"table", "form", "ba_workbook", "stacked_table"}
    assert ("state_statistics__naturalisations", "genesis_csv") not in by_rows
    assert not contracts["state_monitor__foreigners"].counts_rows(None)


def test_columns_are_called_as_the_file_heads_them() -> None:
    contract = load_contracts(PROJECT / "agencies")["employment_agency__unemployed_municipal"]
    [monthly] = [layout for layout in contract.layouts if layout.reader == "table"]
    terms = {column.name: column.office_term for column in contract.as_headed_in(monthly.name).columns}
    assert (terms["territory_code"], terms["territory_name"], terms["period_code"]) == (
        "Gemeindeschlüssel",
        "Gemeinde",
        "Berichtsmonat",
    )
    assert not contract.is_headed(terms["value"]), "its numbers stand side by side, each under its own text"
    assert contract.as_headed_in("no such layout").columns == contract.columns


def test_a_mean_without_end_is_cut_where_people_read_it() -> None:
    assert _german(Decimal("2028.333333333333333")) == "2.028,33"
    assert _german(Decimal("165585")) == "165.585"
    assert _german(Decimal("0.12345")) == "0,1234"
    assert _german(Decimal("100")) == "100"


def test_the_range_around_a_count_has_no_halves() -> None:
    assert about_as_much(8561, 4.5, at_least=False) == "8.557 bis 8.565"
    assert about_as_much(8561.5, 4.5, at_least=False) == "8.557 bis 8.566"
    assert about_as_much(402, 0.4, at_least=False) == "402"
    assert about_as_much(54, 2, at_least=True) == "mindestens 52"
