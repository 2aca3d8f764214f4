"""Workbooks of stacked rows: the employment agency's municipal workbook and the tables of the local elections."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from reading_examples import example, read, refused, workbook

Rows = list[list[Any]]

AGENCY = example(
    """
name: Arbeitsmarkt kommunal
reader: ba_workbook
sheet: Daten
period: "{year}-06-30"
blocks:
  "Beschäftigte am Arbeitsort (Stichtag 30.06.)":
    labels:
      Insgesamt: {measure_code: employees_workplace}
      Ausländer: {measure_code: employees_workplace, nationality: foreign}
      Einpendler: null
  "Beschäftigte nach Wirtschaftszweigen": null
  "Arbeitslose (Jahresdurchschnitte)":
    period: "{year}"
    labels:
      Insgesamt: {measure_code: unemployed}
      Ausländer: {measure_code: unemployed, nationality: foreign}
""",
    "nationality",
)
FILE = "Arbeitsmarkt-kommunal_03157006_Peine.xlsx"


def agency() -> Rows:
    return [
        ["Arbeitsmarkt kommunal"],
        [],
        ["Beschäftigte und Arbeitslose"],
        ["03157006 Peine, Stadt (Gebietsstand im Jahr 2024)"],
        [2024],
        ["Merkmale", None, 2023, 2024],
        [None, None, 1, 2],
        ["Beschäftigte\nam Arbeitsort  (Stichtag 30.06.)"],
        ["Insgesamt", None, 20000, 20100],
        ["dar.", "Ausländer", 1900, "*"],
        [None, "Einpendler", 9000, 9100],
        ["Beschäftigte nach Wirtschaftszweigen"],
        ["dar.", "Handel", 3, 4],
        ["Arbeitslose (Jahresdurchschnitte)"],
        ["Insgesamt", None, 1500.25, 1483.0625],
        ["dar.", "Ausländer", 600, 610],
        [None, None, None, "© Statistik der Bundesagentur für Arbeit"],
        ["*) Zahlenwerte von 1 oder 2 werden anonymisiert."],
    ]


def in_agency(row: int, *cells: Any) -> Rows:
    rows = agency()
    rows[row - 1] = list(cells)
    return rows


@pytest.fixture
def data(tmp_path: Path) -> Any:
    return lambda rows, name=FILE: workbook(tmp_path / name, {"Impressum": [["x"]], "Daten": rows})


def test_labels_count_within_their_block(data: Any) -> None:
    result = read(AGENCY, data(agency()))
    found = {
        (row["measure_code"], row["nationality"], row["period_code"]): (row["value"], row["_row_number"], row["_column_number"])
        for row in result.rows
    }  # fmt: skip
    assert found == {
        ("employees_workplace", "total", "2023-06-30"): ("20000", 9, 3),
        ("employees_workplace", "total", "2024-06-30"): ("20100", 9, 4),
        ("employees_workplace", "foreign", "2023-06-30"): ("1900", 10, 3),
        ("employees_workplace", "foreign", "2024-06-30"): (None, 10, 4),
        ("unemployed", "total", "2023"): ("1500.25", 15, 3),
        ("unemployed", "total", "2024"): ("1483.0625", 15, 4),
        ("unemployed", "foreign", "2023"): ("600", 16, 3),
        ("unemployed", "foreign", "2024"): ("610", 16, 4),
    }
    assert {(row["territory_code"], row["territory_name"]) for row in result.rows} == {("03157006", "Peine, Stadt")}
    assert not result.worth_telling


def test_the_key_of_the_sheet_and_of_the_name_must_agree(data: Any) -> None:
    finding = refused(AGENCY, data(agency(), "Arbeitsmarkt-kommunal_03157005_Lengede.xlsx"))
    assert (finding.rule, finding.row, finding.column) == ("key.contradiction", 4, "A")
    assert (finding.found, finding.expected) == ("03157005", "03157006")
    assert read(AGENCY, data(agency(), "kommunal.xlsx")).finding("file.name_without_key").severity == "warning"


def test_the_years_of_the_header(data: Any) -> None:
    assert refused(AGENCY, data(in_agency(5, 2023))).rule == "period.contradiction"
    assert refused(AGENCY, data(in_agency(6, "Merkmale", None, 2024, 2024))).rule == "header.duplicate_column"
    assert refused(AGENCY, data(in_agency(6, "Merkmale", None, 2023, "Veränderung"))).rule == "period.not_found"
    older = agency()
    older[4], older[5] = [2019], ["Merkmale", None, 2018, 2019]
    assert {row["period_code"] for row in read(AGENCY, data(older)).rows} == {
        "2018", "2019", "2018-06-30", "2019-06-30",
    }  # fmt: skip


def test_blocks_and_rows_that_are_missing_or_new(data: Any) -> None:
    renamed = refused(AGENCY, data(in_agency(14, "Arbeitsuchende (Jahresdurchschnitte)")))
    assert (renamed.rule, renamed.column) == ("header.missing_column", "Arbeitslose (Jahresdurchschnitte)")
    assert "Arbeitsuchende" in renamed.message
    rows = agency()
    del rows[15]
    missing = refused(AGENCY, data(rows))
    assert (missing.rule, missing.row, missing.column) == ("header.missing_column", 14, "Ausländer")
    new = agency()
    new.insert(16, [None, "Schwerbehinderte", 1, 2])
    assert read(AGENCY, data(new)).finding("label.unknown").row == 17
    both = agency()
    both[15][1] = "Ausländerinnen und Ausländer"
    assert read(AGENCY, data(both)).values(measure_code="unemployed", nationality="foreign") == ["600", "610"]


def test_empty_cells_and_dates_among_the_numbers(data: Any) -> None:
    assert read(AGENCY, data(in_agency(15, "Insgesamt", None, None, 3))).finding("value.missing").row == 15
    finding = read(AGENCY, data(in_agency(15, "Insgesamt", None, date(2024, 3, 5), 3))).finding("value.is_a_date")
    assert (finding.sheet, finding.row, finding.column) == ("Daten", 15, "3")


ELECTION = example(
    """
name: Kommunalwahlen
reader: stacked_table
titles:
  Kreiswahlen: {category: county_council}
  Gemeindewahlen: {category: municipal_council}
period: "{year}"
kind_column: [Einheit]
key_prefix: "03"
units: [EG, MG]
ignore: ["%"]
values:
  Zahl: {Wahlberechtigte: {measure_code: eligible_voters}, Wähler: {measure_code: voters}}
  Sitze: {Gültige Stimmen: {measure_code: council_seats}}
""",
    "category",
)


def table(kind: str = "Gemeindewahlen", year: int = 2021) -> Rows:
    return [
        [],
        [f"4B. Ergebnisse der Kommunalwahlen {year} in den Gemeinden ({kind})"],
        [],
        ["Bundestagswahlkreis Nr.", None, None, None, None, None, None, "Stimmzettel"],
        ["     Einheitsgemeinde (EG)", None, None, None, "Ein-", "Wahlbe-", None, None, "Gültige"],
        ["     Samtgemeinde (SG)", None, None, None, "heit", "rechtigte", "Wähler", "gültige", "Stimmen"],
        [],
        [45, 4, 157006, "EG Peine,Stadt       ", "          "],
        [None, None, None, "     ", "Zahl    ", "38 568", 20174, 20000, 55000],
        [None, None, None, None, "%       ", "      ", 52.3, 99.1],
        [None, None, None, None, "Sitze   ", "      ", "      ", "     ", 40],
        [45, 4, None, "157007 MG Beispiel", None],
        [None, None, None, None, "Zahl", 900, 600, 590, 1700],
        [None, None, None, None, "Sitze", None, None, None, 11],
        [45, 4, 157006, "Peine, Stadt", None],
        [None, None, None, None, "Zahl", 1, 1, 1, 1],
        [None, None, None, "157401 BW Beispiel", None],
        [None, None, None, None, "Zahl", None, 50, 50, 50],
        [None, None, "SG  1", "Beispiel", None],
        [None, None, None, None, "Zahl", 2, 2, 2, 2],
        [None, None, 157, "Peine", None],
        [None, None, None, None, "Zahl", 39468, 20774, 20590, 56700],
        [None, None, None, None, "Sitze", None, None, None, 51],
    ]


def in_table(row: int, column: int, value: Any) -> Rows:
    rows = table()
    rows[row - 1] = [*rows[row - 1], *[None] * (column - len(rows[row - 1]))]
    rows[row - 1][column - 1] = value
    return rows


@pytest.fixture
def tables(tmp_path: Path) -> Any:
    def write(rows: Rows, name: str = "KW2021.xlsx") -> Path:
        sheets = {"Tabelle 4a": table("Kreiswahlen"), "Tabelle 4b": rows, "Tabelle 5": table("Samtgemeindewahlen")}
        return workbook(tmp_path / name, sheets)

    return write


def test_units_are_rows_and_their_numbers_stand_below(tables: Any) -> None:
    result = read(ELECTION, tables(table()))
    council = {
        (row["territory_code"], row["measure_code"]): (row["value"], row["_row_number"], row["_column_number"])
        for row in result.rows
        if row["category"] == "municipal_council"
    }
    assert council == {
        ("03157006", "eligible_voters"): ("38568", 9, 6),
        ("03157006", "voters"): ("20174", 9, 7),
        ("03157006", "council_seats"): ("40", 11, 9),
        ("03157007", "eligible_voters"): ("900", 13, 6),
        ("03157007", "voters"): ("600", 13, 7),
        ("03157007", "council_seats"): ("11", 14, 9),
        ("03157", "eligible_voters"): ("39468", 22, 6),
        ("03157", "voters"): ("20774", 22, 7),
        ("03157", "council_seats"): ("51", 23, 9),
    }, "parts of towns, postal votes and associations are not loaded"
    assert {row["period_code"] for row in result.rows} == {"2021"}
    assert {row["territory_name"] for row in result.rows} == {"Peine, Stadt", "Beispiel", "Peine"}
    assert not result.worth_telling


def test_the_title_names_the_election_and_its_year(tables: Any) -> None:
    assert refused(ELECTION, tables(table("Samtgemeindewahlen"))).rule == "sheet.missing"
    assert refused(ELECTION, tables(in_table(2, 1, "Ergebnisse (Gemeindewahlen)"))).rule == "period.not_found"
    assert refused(ELECTION, tables(table(), "Kommunalwahl 2016.xlsx")).rule == "period.contradiction"


def test_columns_and_kinds_that_are_missing_or_new(tables: Any) -> None:
    finding = refused(ELECTION, tables(in_table(6, 6, "rechtigt")))
    assert (finding.rule, finding.sheet, finding.column) == ("header.missing_column", "Tabelle 4b", "Wahlberechtigte")
    assert refused(ELECTION, tables(in_table(6, 5, "zahl"))).column == "Einheit"
    assert read(ELECTION, tables(in_table(10, 5, "Promille"))).finding("label.unknown").row == 10
    without = [row for row in table() if "Sitze" not in str(row)]
    assert refused(ELECTION, tables(without)).column == "Sitze"


def test_a_number_that_is_none_names_its_sheet(tables: Any) -> None:
    finding = read(ELECTION, tables(in_table(13, 6, "rund 900"))).finding("value.not_a_number")
    assert (finding.severity, finding.sheet, finding.row, finding.column) == ("critical", "Tabelle 4b", 13, "6")


def test_a_key_that_became_a_date(tables: Any) -> None:
    finding = read(ELECTION, tables(in_table(8, 3, date(2024, 5, 3)))).finding("key.is_a_date")
    assert (finding.severity, finding.row, finding.found) == ("critical", 8, "03.05.2024"), "of this unit only"


def test_a_municipality_without_the_agreed_abbreviation_is_not_lost(tables: Any) -> None:
    finding = read(ELECTION, tables(in_table(12, 4, "157007 Beispiel"))).finding("key.not_loaded")
    assert (finding.severity, finding.sheet, finding.row, finding.found) == ("critical", "Tabelle 4b", 12, "Beispiel")
