"""Tables as offices lay them out: a sheet per month, a sheet per kind, headers in several rows, a CSV with value columns."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from reading_examples import Cells, example, read, refused, text, workbook

MONTHS = example(
    """
name: Kunden je Monat
reader: table
kinds: [workbook]
sheets: each
sheet_period: true
ignore_sheets: [Hinweise]
period: "{month}"
key_width: 8
columns: {territory_code: [AGS], territory_name: [Gemeinde]}
labels:
  Leistungsberechtigte insgesamt: {measure_code: employable_recipients}
  Leistungsberechtigte Ausländer: {measure_code: employable_recipients, nationality: foreign}
  Integrationen insgesamt: {measure_code: labour_integrations}
""",
    "nationality",
)


def month(*rows: list[Any], title: str = "Kunden") -> Cells:
    return [
        [title],
        ["AGS", "Gemeinde", "Leistungsberechtigte", None, "Integrationen"],
        [None, None, "insgesamt", "Ausländer", "insgesamt"],
        *rows,
    ]


MERGED = ("A2:A3", "B2:B3", "C2:D2")
PEINE = ["03157006", "Peine", 1200, 450, 31]
COUNTY = ["03157", "Landkreis", 3400, 1100, "*"]


def months(path: Path, sheets: dict[str, Cells], *, merged: bool = True) -> Path:
    return workbook(path, sheets, dict.fromkeys(sheets, MERGED) if merged else None)


def test_every_sheet_is_a_month(tmp_path: Path) -> None:
    path = months(
        tmp_path / "k.xlsx", {"Januar 2024": month(PEINE, COUNTY), "Feb 2024": month(PEINE), "Hinweise": [["Demo"]]}
    )
    result = read(MONTHS, path)
    assert {row["period_code"] for row in result.rows} == {"2024-01", "2024-02"}
    suppressed = result.one(territory_code="03157", measure_code="labour_integrations", period_code="2024-01")
    assert (suppressed["value"], suppressed["obs_status"], suppressed["conf_status"]) == (None, "Q", "C")
    foreign = result.one(territory_code="03157006", nationality="foreign", period_code="2024-02")
    assert (foreign["value"], foreign["_row_number"], foreign["_column_number"]) == ("450", 4, 4)
    assert not result.worth_telling


@pytest.mark.parametrize("merged", [True, False])
def test_headings_over_several_columns_are_merged_or_left_empty(tmp_path: Path, merged: bool) -> None:
    path = months(tmp_path / "k.xlsx", {"Januar 2024": month(PEINE)}, merged=merged)
    assert read(MONTHS, path).values(nationality="foreign") == ["450"]


def test_a_finding_about_a_row_names_its_sheet(tmp_path: Path) -> None:
    """Row numbers count within a sheet, so row 4 alone would be two places."""
    wrong = ["03157006", "Peine", "viele", 450, 31]
    path = months(
        tmp_path / "k.xlsx", {"Januar 2024": month(PEINE), "Februar 2024": month(wrong, [*PEINE[:2], 1, 2, "x y"])}
    )
    finding = read(MONTHS, path).finding("value.not_a_number")
    assert (finding.sheet, finding.row, finding.row_count) == ("Februar 2024", 4, 2)
    assert "Blatt „Februar 2024“, Zelle C4" in finding.message


def test_a_sheet_whose_name_is_no_month(tmp_path: Path) -> None:
    path = months(tmp_path / "k.xlsx", {"Januar 2024": month(PEINE), "Jan24": month(PEINE)})
    finding = refused(MONTHS, path)
    assert (finding.rule, finding.sheet) == ("period.not_found", "Jan24")
    notes = workbook(tmp_path / "n.xlsx", {"Januar 2024": month(PEINE), "Merkblatt": [["Bitte lesen"]]})
    assert read(MONTHS, notes).finding("sheet.unknown").sheet == "Merkblatt"


def test_title_and_sheet_must_not_name_two_months(tmp_path: Path) -> None:
    path = months(tmp_path / "k.xlsx", {"Januar 2024": month(PEINE, title="Kunden im Februar 2024")})
    assert refused(MONTHS, path).rule == "period.contradiction"
    made = months(tmp_path / "m.xlsx", {"Januar 2024": month(PEINE, title="Kunden Januar 2024 (Stand: 15.04.2024)")})
    assert read(MONTHS, made).rows


def test_the_same_month_twice_is_a_contradiction(tmp_path: Path) -> None:
    other = ["03157006", "Peine", 1, 1, 1]
    path = months(tmp_path / "k.xlsx", {"Januar 2024": month(PEINE), "Jan 2024": month(other)})
    finding = read(MONTHS, path).finding("row.duplicate_key")
    assert (finding.severity, finding.sheet) == ("critical", "Jan 2024")


def test_keys_that_lost_their_zero(tmp_path: Path) -> None:
    path = months(
        tmp_path / "k.xlsx", {"Januar 2024": month([3157006, "Peine", 1, 2, 3], ["3157", "Landkreis", 4, 5, 6])}
    )
    assert {row["territory_code"] for row in read(MONTHS, path).rows} == {"03157006", "03157"}


def test_a_key_of_another_level_is_none(tmp_path: Path) -> None:
    path = months(tmp_path / "k.xlsx", {"Januar 2024": month(PEINE, ["157", "Landkreis", 4, 5, 6])})
    finding = read(MONTHS, path).finding("key.invalid")
    assert finding.found == "157" and "Blatt „Januar 2024“, Zelle A5" in finding.message


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "Zelle A5: Der Gebietsschlüssel fehlt"),
        ("=A4", "Zelle A5: In der Zelle steht eine Formel, deren Ergebnis nicht gespeichert ist („=A4“)"),
        ("#REF!", "Zelle A5: In der Zelle steht der Fehlerwert „#REF!“"),
    ],
)
def test_a_key_that_is_not_there_is_said_as_it_is_seen(tmp_path: Path, key: str | None, said: str) -> None:
    path = months(tmp_path / "k.xlsx", {"Januar 2024": month(PEINE, [key, "Anderswo", 4, 5, 6])})
    assert said in read(MONTHS, path).finding("key.invalid").message


def test_notes_below_the_table_are_no_rows(tmp_path: Path) -> None:
    notes = [["1)", "vorläufige Zahlen"], [], ["Datum: 05.02.2024", "Unterschrift: Muster"], [None, "Quelle: eigene"]]
    plain = months(tmp_path / "k.xlsx", {"Januar 2024": month(PEINE, COUNTY)})
    noted = months(tmp_path / "n.xlsx", {"Januar 2024": month(PEINE, COUNTY, *notes)})
    result = read(MONTHS, noted)
    assert result.rows == read(MONTHS, plain).rows
    finding = result.finding("row.note")
    assert (finding.severity, finding.row, finding.row_count) == ("info", 6, 2)
    assert "Muster" not in finding.message, "a note may name a person"


def test_a_row_without_its_key_is_no_note(tmp_path: Path) -> None:
    path = months(tmp_path / "k.xlsx", {"Januar 2024": month(PEINE, [None, "Summe", 4, 5, 6])})
    assert read(MONTHS, path).finding("key.invalid").row == 5


def test_a_key_that_excel_made_a_date(tmp_path: Path) -> None:
    path = months(tmp_path / "k.xlsx", {"Januar 2024": month(PEINE, [date(1908, 8, 22), "Landkreis", 4, 5, 6])})
    finding = refused(MONTHS, path)
    assert finding.rule == "key.is_a_date"
    assert (finding.sheet, finding.row, finding.column, finding.found) == ("Januar 2024", 5, "AGS", "22.08.1908")
    assert "vermutlich stand dort „03157“" in finding.message and "Zelle A5" in finding.message


def test_a_value_that_excel_made_a_date(tmp_path: Path) -> None:
    path = months(tmp_path / "k.xlsx", {"Januar 2024": month(["03157006", "Peine", date(2024, 3, 1), 450, 31])})
    finding = read(MONTHS, path).finding("value.is_a_date")
    assert (finding.severity, finding.row, finding.column, finding.found) == ("critical", 4, "3", "01.03.2024")


def test_an_empty_value_is_told_unlike_a_suppressed_one(tmp_path: Path) -> None:
    path = months(tmp_path / "k.xlsx", {"Januar 2024": month(["03157006", "Peine", None, 450, "-"])})
    result = read(MONTHS, path)
    assert (result.finding("value.missing").severity, result.finding("value.missing").column) == ("critical", "3")
    assert result.values(measure_code="labour_integrations") == ["0"]


def test_numbers_written_as_text_and_numbers_that_are_numbers(tmp_path: Path) -> None:
    """1.234 as a number is one and a bit, as a German text it is more than a thousand."""
    rows = ["03157006", "Peine", "1.234", "146 795", 1.234]
    result = read(MONTHS, months(tmp_path / "k.xlsx", {"Januar 2024": month(rows)}))
    assert [row["value"] for row in result.rows] == ["1234", "146795", "1.234"]


def test_a_note_below_the_table_is_no_row_but_a_sum_without_key_is(tmp_path: Path) -> None:
    note = ["Demo: erfundene Zahlen"]
    assert len(read(MONTHS, months(tmp_path / "k.xlsx", {"Januar 2024": month(PEINE, note)})).rows) == 3
    total = [None, "Summe", 1, 2, 3]
    assert (
        read(MONTHS, months(tmp_path / "s.xlsx", {"Januar 2024": month(PEINE, total)})).finding("key.invalid").row == 5
    )


def test_merged_cells_among_the_numbers(tmp_path: Path) -> None:
    sheets = {"Januar 2024": month(PEINE, COUNTY)}
    path = workbook(tmp_path / "k.xlsx", sheets, {"Januar 2024": [*MERGED, "C4:C5"]})
    assert refused(MONTHS, path).rule == "sheet.merged_cells"


def test_a_column_that_is_missing_or_renamed(tmp_path: Path) -> None:
    rows = [[cell if cell != "Integrationen" else "Vermittlungen" for cell in row] for row in month(PEINE)]
    finding = refused(MONTHS, months(tmp_path / "k.xlsx", {"Januar 2024": rows}))
    assert (finding.rule, finding.sheet) == ("header.missing_column", "Januar 2024")
    assert "Integrationen insgesamt" in finding.message and "Vermittlungen" in finding.message


def test_group_headings_above_the_row_of_the_keys(tmp_path: Path) -> None:
    rows = [
        ["Kunden"],
        [None, None, "Leistungsberechtigte", None, "Integrationen"],
        ["AGS", "Gemeinde", "insgesamt", "Ausländer", "insgesamt"],
        PEINE,
    ]
    path = workbook(tmp_path / "k.xlsx", {"Januar 2024": rows}, {"Januar 2024": ["C2:D2"]})
    assert read(MONTHS, path).values(nationality="foreign") == ["450"]


SCHOOLS = example(
    """
name: Deutschförderung je Schulform
reader: table
kinds: [workbook]
sheets: each
period: "{school_year}"
key_width: 8
columns: {territory_code: [Gemeindeschlüssel], territory_name: [Schulstandort]}
sheet_labels:
  Grundschule: {category: primary}
  Oberschule: {category: secondary_modern}
  Berufseinstiegsschule: {category: vocational_entry}
  Statistik: null
on_sheets:
  Jahrgang 8 insgesamt: [Oberschule]
  Abgänge insgesamt: [Berufseinstiegsschule]
labels:
  Schülerinnen und Schüler insgesamt: {measure_code: pupils}
  Schülerinnen und Schüler ausländisch: {measure_code: pupils, nationality: foreign}
  Jahrgang 8 insgesamt: {measure_code: pupils_grade8}
  Abgänge insgesamt: {measure_code: vocational_entry_leavers, category: total}
""",
    "nationality",
    "category",
)


def school(more: str | None = None, year: str = "Schuljahr 2023/24") -> Cells:
    head = ["Gemeindeschlüssel", "Schulstandort", "Schülerinnen und Schüler", None, *([more] if more else [])]
    below = [None, None, "insgesamt", "ausländisch", *(["insgesamt"] if more else [])]
    return [["Deutschförderung", None, year], [], head, below, ["03157006", "Peine", 400, 90, *([57] if more else [])]]


def schools(path: Path, **sheets: Cells) -> Path:
    kinds = {
        "Grundschule": school(),
        "Oberschule": school("Jahrgang 8"),
        "Berufseinstiegsschule": school("Abgänge"),
        "Statistik": [["nur für das Amt"]],
    }
    return workbook(path, {**kinds, **sheets})


def test_the_sheets_name_is_the_school_type(tmp_path: Path) -> None:
    result = read(SCHOOLS, schools(tmp_path / "s.xlsx"))
    assert {(row["category"], row["measure_code"], row["nationality"]) for row in result.rows} == {
        ("primary", "pupils", "total"),
        ("primary", "pupils", "foreign"),
        ("secondary_modern", "pupils", "total"),
        ("secondary_modern", "pupils", "foreign"),
        ("secondary_modern", "pupils_grade8", "total"),
        ("vocational_entry", "pupils", "total"),
        ("vocational_entry", "pupils", "foreign"),
        ("total", "vocational_entry_leavers", "total"),
    }
    assert {row["period_code"] for row in result.rows} == {"SY2023"}
    assert not result.worth_telling


def test_a_school_type_that_is_missing_or_new(tmp_path: Path) -> None:
    without = workbook(tmp_path / "o.xlsx", {"Grundschule": school(), "Berufseinstiegsschule": school("Abgänge")})
    finding = refused(SCHOOLS, without)
    assert (finding.rule, finding.sheet) == ("sheet.missing", "Oberschule")
    new = schools(tmp_path / "n.xlsx", Gesamtschule=school())
    assert (refused(SCHOOLS, new).rule, refused(SCHOOLS, new).sheet) == ("sheet.unknown", "Gesamtschule")


def test_a_column_belongs_on_its_sheets_only(tmp_path: Path) -> None:
    finding = refused(SCHOOLS, schools(tmp_path / "m.xlsx", Oberschule=school()))
    assert (finding.rule, finding.sheet, finding.column) == (
        "header.missing_column",
        "Oberschule",
        "Jahrgang 8 insgesamt",
    )
    other = read(SCHOOLS, schools(tmp_path / "o.xlsx", Grundschule=school("Jahrgang 8")))
    assert other.finding("header.unknown_column").sheet == "Grundschule"


def test_a_school_year_is_two_years_in_a_row(tmp_path: Path) -> None:
    assert refused(
        SCHOOLS, schools(tmp_path / "n.xlsx", Oberschule=school("Jahrgang 8", "Schuljahr 2023/25"))
    ).rule == ("period.not_found")
    other = schools(tmp_path / "o.xlsx", Oberschule=school("Jahrgang 8", "Schuljahr 2022/23"))
    assert (refused(SCHOOLS, other).rule, refused(SCHOOLS, other).sheet) == ("period.contradiction", "Oberschule")
    both = school("Jahrgang 8", "Schuljahr 2023/24 und Schuljahr 2022/23")
    assert refused(SCHOOLS, schools(tmp_path / "b.xlsx", Oberschule=both)).rule == "period.contradiction"


CLUBS = example(
    """
name: Vereine
reader: table
kinds: [workbook]
period: "{year}-01-01"
key_width: 8
widths: {category: 4}
columns: {category: [Vereinsnummer], category_name: [Verein], territory_code: [AGS (Sitz)], territory_name: [Sitz]}
labels:
  männlich: {sex: male}
  weiblich: {sex: female}
  bis 6: {age_band: u7}
  7-14: {age_band: "7_14"}
  Gesamt: {measure_code: club_memberships}
""",
    "sex",
    "age_band",
    "category",
    "category_name",
)
CLUB_ROWS: Cells = [
    ["Bestandserhebung zum 01.01.2024"],
    ["Vereinsnummer", "Verein", "AGS (Sitz)", "Sitz", "männlich", None, "weiblich", None, "Gesamt"],
    [None, None, None, None, "bis 6", "7-14", "bis 6", "7-14", None],
    [12, "TSV Beispiel", 3157006, "Peine", 3, 14, 4, 11, 32],
]
CLUB_MERGES = ["A2:A3", "B2:B3", "C2:C3", "D2:D3", "E2:F2", "G2:H2", "I2:I3"]


def test_headings_of_two_kinds_cross(tmp_path: Path) -> None:
    result = read(CLUBS, workbook(tmp_path / "v.xlsx", {"Vereine": CLUB_ROWS}, {"Vereine": CLUB_MERGES}))
    assert result.values(sex="female", age_band="7_14") == ["11"]
    assert result.values(sex="total", age_band="total") == ["32"]
    assert {(row["category"], row["territory_code"], row["period_code"]) for row in result.rows} == {
        ("0012", "03157006", "2024-01-01")
    }


def test_a_heading_that_is_missing_under_one_group(tmp_path: Path) -> None:
    rows = [list(row) for row in CLUB_ROWS]
    for row in rows[1:]:
        del row[7]
    finding = refused(CLUBS, workbook(tmp_path / "v.xlsx", {"Vereine": rows}, {"Vereine": ["E2:F2", "H2:H3"]}))
    assert (finding.rule, finding.column) == ("header.missing_column", "weiblich 7-14")


def test_a_heading_that_excel_made_a_date_is_missing(tmp_path: Path) -> None:
    rows = [list(row) for row in CLUB_ROWS]
    rows[2][5] = date(2014, 7, 1)
    finding = refused(CLUBS, workbook(tmp_path / "v.xlsx", {"Vereine": rows}, {"Vereine": CLUB_MERGES}))
    assert finding.rule == "header.missing_column" and "2014-07-01" in finding.message


def test_two_reference_dates_in_the_header(tmp_path: Path) -> None:
    rows = [["Bestandserhebung zum 01.01.2024, korrigiert zum 01.01.2023"], *CLUB_ROWS[1:]]
    finding = refused(CLUBS, workbook(tmp_path / "v.xlsx", {"Vereine": rows}, {"Vereine": CLUB_MERGES}))
    assert finding.rule == "period.contradiction"


def test_a_second_sheet_with_the_same_table_is_told(tmp_path: Path) -> None:
    path = workbook(tmp_path / "v.xlsx", {"Vereine": CLUB_ROWS, "Kopie": CLUB_ROWS})
    assert read(CLUBS, path).finding("sheet.not_read").sheet == "Kopie"


PROGRAMMES = example(
    """
name: Maßnahmen
reader: table
kinds: [csv]
period: "{quarter}"
key_width: 8
columns:
  category: [Massnahme]
  category_name: [Bezeichnung]
  territory_code: [Gebiet]
  territory_name: [Gebietsname]
  period_code: [Quartal]
ignore: [Bemerkung]
validity:
  Kosten: {since: "2024"}
labels:
  Eintritte: {measure_code: programme_entries}
  Eintritte Flucht: {measure_code: programme_entries, nationality: refugee_context}
  Kosten: {measure_code: programme_cost}
""",
    "nationality",
    "category",
    "category_name",
)
HEAD = "Massnahme;Bezeichnung;Gebiet;Gebietsname;Quartal;Eintritte;Eintritte_Flucht;Kosten;Bemerkung\n"


def test_a_csv_with_a_column_per_number(tmp_path: Path) -> None:
    rows = "M01;Sprachkurs;03157;Peine;1. Quartal 2024;12;*;1.234,50;gut\nM01;Sprachkurs;3157006;Peine;Q2 2024;-;0;7;\n"
    result = read(PROGRAMMES, text(tmp_path / "m.csv", HEAD + rows))
    assert result.values(measure_code="programme_cost") == ["1234.50", "7"]
    assert {(row["territory_code"], row["period_code"]) for row in result.rows} == {
        ("03157", "2024-Q1"),
        ("03157006", "2024-Q2"),
    }
    row = result.one(nationality="refugee_context", period_code="2024-Q1")
    assert (row["value"], row["conf_status"], row["_row_number"], row["_column_number"]) == (None, "C", 2, 7)
    assert not result.worth_telling


def test_a_regional_key_of_twelve_digits_is_read_as_the_official_one_and_told(tmp_path: Path) -> None:
    rows = "M01;x;031570006006;Peine;Q1 2024;1;2;3;\nM01;x;31570001001;Edemissen;Q1 2024;1;2;3;\nM01;x;03157;Peine;Q1 2024;2;4;6;\n"
    result = read(PROGRAMMES, text(tmp_path / "m.csv", HEAD + rows))
    assert {row["territory_code"] for row in result.rows} == {"03157006", "03157001", "03157"}
    finding = result.finding("key.regional")
    assert (finding.severity, finding.row_count) == ("info", 2)
    assert [(one.row, one.found, one.expected) for one in finding.evidence] == [
        (2, "031570006006", "03157006"),
        (3, "31570001001", "03157001"),
    ]


def test_what_the_build_could_not_take_is_refused_with_its_row(tmp_path: Path) -> None:
    result = read(PROGRAMMES, text(tmp_path / "m.csv", HEAD + f"M01;x;03157;Peine;Q1 2024;1;2;{'9' * 16};\n"))
    finding = result.finding("observation.value")
    assert (finding.severity, finding.row, finding.found) == ("critical", 2, "9" * 16)


def test_a_column_that_begins_in_a_year(tmp_path: Path) -> None:
    """Before its time a column need not be there, in its time it must, outside its time it is read and told."""
    old_head = HEAD.replace(";Kosten", "")
    old = read(PROGRAMMES, text(tmp_path / "a.csv", old_head + "M01;x;03157;Peine;Q4 2023;12;3;\n"))
    assert not old.worth_telling and old.values(measure_code="programme_cost") == []
    new = text(tmp_path / "b.csv", old_head + "M01;x;03157;Peine;Q1 2024;12;3;\n")
    assert (refused(PROGRAMMES, new).rule, refused(PROGRAMMES, new).column) == ("header.missing_column", "Kosten")
    early = read(PROGRAMMES, text(tmp_path / "c.csv", HEAD + "M01;x;03157;Peine;Q4 2023;12;3;100;\n"))
    assert early.finding("header.outside_validity").severity == "warning"
    assert early.values(measure_code="programme_cost") == ["100"]


def test_a_quarter_that_could_be_a_month(tmp_path: Path) -> None:
    finding = read(PROGRAMMES, text(tmp_path / "m.csv", HEAD + "M01;x;03157;Peine;1/2024;12;3;1;\n")).finding(
        "period.not_found"
    )
    assert (finding.severity, finding.row, finding.found) == ("critical", 2, "1/2024")


PUBLISHED = example(
    """
name: Veröffentlichte Tabelle
reader: table
kinds: [csv]
mendable: false
period: "{year}"
delimiter: ";"
key_width: 5
columns: {territory_code: [Schlüssel], period_code: [Jahr]}
constants: {measure_code: unemployed}
labels: {Anzahl: {}}
""",
    "nationality",
)


def test_a_date_for_a_key_in_a_published_table_is_a_fault_of_its_row(tmp_path: Path) -> None:
    path = text(tmp_path / "m.csv", "Schlüssel;Jahr;Anzahl\n03157;2024;5\n22.08.1908;2024;7\n03158;2024;9\n")
    result = read(PUBLISHED, path)
    finding = result.finding("key.is_a_date")
    assert (finding.severity, finding.row, finding.found) == ("critical", 3, "22.08.1908")
    assert finding.evidence[0].expected == "03157"
    assert finding.places() is not None, "the rest of the table can be read"


def test_keys_in_a_csv_that_went_through_excel(tmp_path: Path) -> None:
    path = text(tmp_path / "m.csv", HEAD + "M01;x;22.08.1908;Peine;Q1 2024;12;3;1;\n")
    finding = refused(PROGRAMMES, path)
    assert (finding.rule, finding.expected) == ("key.is_a_date", "03157")
    numbers = text(tmp_path / "n.csv", HEAD + "M01;x;03157;Peine;Q1 2024;03. Mai;3;1;\n")
    assert read(PROGRAMMES, numbers).finding("value.is_a_date").found == "03. Mai"


def test_another_delimiter_is_named(tmp_path: Path) -> None:
    path = text(tmp_path / "m.csv", HEAD.replace(";", ",") + "M01,x,03157,Peine,Q1 2024,12,3,1,\n")
    finding = refused(PROGRAMMES, path)
    assert finding.rule == "file.not_this_layout" and "zwischen den Spalten steht „,“" in finding.message


def test_a_quotation_mark_that_is_never_closed(tmp_path: Path) -> None:
    rows = 'M01;"x;03157;Peine;Q1 2024;12;3;1;\nM02;y;03157;Peine;Q1 2024;12;3;1;\n'
    assert refused(PROGRAMMES, text(tmp_path / "m.csv", HEAD + rows)).rule in {"row.open_quote", "file.no_rows"}


def test_line_numbers_count_lines_not_records(tmp_path: Path) -> None:
    rows = 'M01;"zwei\nZeilen";03157;Peine;Q1 2024;12;3;1;\nM02;y;03157;Peine;Q1 2024;12;viele;1;\n'
    assert read(PROGRAMMES, text(tmp_path / "m.csv", HEAD + rows)).finding("value.not_a_number").row == 4


AGES = example(
    """
name: Kohorten
reader: table
kinds: [csv]
period: "{date}"
key_width: 8
columns: {territory_code: [Gemeindeschlüssel], territory_name: [Gemeinde], period_code: [Stichtag]}
label_columns: [[Alter]]
labels:
  insgesamt: {measure_code: population}
  männlich: {measure_code: population, sex: male}
  Alle Altersgruppen: {age_band: total}
  3-5: {age_band: "3_5"}
  10-14: {age_band: "10_14"}
""",
    "sex",
    "age_band",
)
AGE_HEAD = "Gemeindeschlüssel;Gemeinde;Stichtag;Alter;insgesamt;männlich\n"


def test_labels_down_and_across(tmp_path: Path) -> None:
    rows = "".join(f"03157006;Peine;31.12.2024;{age};9;4\n" for age in ("Alle Altersgruppen", "3-5", "10-14"))
    result = read(AGES, text(tmp_path / "a.csv", AGE_HEAD + rows))
    assert result.values(sex="male", age_band="10_14") == ["4"]
    assert {row["period_code"] for row in result.rows} == {"2024-12-31"}


def test_an_age_group_that_excel_made_a_date(tmp_path: Path) -> None:
    rows = "".join(f"03157006;Peine;31.12.2024;{age};9;4\n" for age in ("Alle Altersgruppen", "03. Mai", "Okt 14"))
    with_dates = text(tmp_path / "a.csv", AGE_HEAD + rows)
    finding = refused(AGES, with_dates)
    assert (finding.rule, finding.row, finding.column) == ("key.is_a_date", 3, "Alter")
    assert (finding.found, finding.expected) == ("03. Mai", "3-5")


POLICE = example(
    """
name: PKS
reader: table
kinds: [csv]
period: "{year}"
period_in: file_name
columns: {territory_code: [Gemeindeschluessel], territory_name: [Gemeinde], category: [Schluessel]}
labels: {Faelle: {measure_code: offences_known}}
""",
    "category",
)


def test_the_agreed_place_of_the_period_is_the_file_name(tmp_path: Path) -> None:
    content = "Gemeindeschluessel;Gemeinde;Schluessel;Faelle\n03157006;Peine;435*00;7\n"
    result = read(POLICE, text(tmp_path / "PKS_Gemeinden_2024.csv", content, "cp1252"))
    assert ({row["period_code"] for row in result.rows}, result.worth_telling) == ({"2024"}, [])
    assert refused(POLICE, text(tmp_path / "PKS.csv", content)).rule == "period.not_found"
    assert refused(POLICE, text(tmp_path / "PKS_2023_2024.csv", content)).rule == "period.not_found"


def test_an_age_group_is_no_age(tmp_path: Path) -> None:
    """1-5 is not 15, although neither mark nor space decides elsewhere."""
    rows = "".join(
        f"03157006;Peine;31.12.2024;{age};9;4\n" for age in ("Alle Altersgruppen", "3-5", "10-14", "1-014", "35")
    )
    result = read(AGES, text(tmp_path / "a.csv", AGE_HEAD + rows))
    assert sorted(f.found for f in result.findings if f.rule == "label.unknown") == ["1-014", "35"]


TOTALS = example(
    """
name: Schutzsuchende
reader: table
kinds: [csv]
period: "{year}"
key_width: 8
columns: {territory_code: [Kreis], territory_name: [Name], period_code: [Jahr]}
label_columns: [[Status]]
constants: {measure_code: foreigners_register}
labels:
  insgesamt: {}
  männlich: {sex: male}
  offen: {category: open}
""",
    "sex",
    "category",
)


def test_the_total_of_the_columns_is_not_the_total_of_the_rows(tmp_path: Path) -> None:
    """The same word heads a column and names a row; without the column the row must not hide it."""
    rows = ["03157;Peine;2024;insgesamt;9;4", "03157;Peine;2024;offen;3;1"]
    whole = "\n".join(["Kreis;Name;Jahr;Status;insgesamt;männlich", *rows])
    assert read(TOTALS, text(tmp_path / "a.csv", whole)).values(sex="total") == ["9", "3"]
    gone = "\n".join(["Kreis;Name;Jahr;Status;männlich", *(row.rsplit(";", 1)[0] for row in rows)])
    finding = refused(TOTALS, text(tmp_path / "b.csv", gone))
    assert (finding.rule, finding.column) == ("header.missing_column", "insgesamt")
