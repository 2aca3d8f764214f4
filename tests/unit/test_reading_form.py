"""The county's Excel template: a block of labels and values and one small table, for one municipality and period."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from reading_examples import example, read, refused, workbook

FORM = example(
    """
name: Formular Unterbringung
reader: form
sheet: Meldung
period: "{month}"
key_width: 8
fields:
  territory_code: [Gemeindeschlüssel]
  territory_name: [Gemeinde]
  period_code: [Berichtsmonat]
table: [Status]
labels:
  Betriebsbereite Plätze: {measure_code: accommodation_places}
  Untergebrachte wohnungslose Personen: {measure_code: homeless_accommodated}
  Bemerkung: null
  kommunal untergebracht: {measure_code: housed_persons}
  privat untergebracht: {measure_code: privately_housed_persons}
  Asylverfahren: {category: asylum_procedure}
  Insgesamt: {category: total}
optional: [Untergebrachte wohnungslose Personen]
""",
    "category",
)

Rows = list[list[Any]]
NAME = "Unterbringung_03157006_2024-03.xlsx"


def form() -> Rows:
    return [
        ["Meldung der Unterbringung"],
        [],
        ["Gemeinde", "Peine", "wie im Gemeindeverzeichnis"],
        ["Gemeindeschlüssel", "03157006", "8 Ziffern"],
        ["Berichtsmonat:", "2024-03", "z. B. 2024-03"],
        ["Betriebsbereite Plätze", 120, "Personen"],
        ["Untergebrachte wohnungslose Personen", None, "nur Januar"],
        ["Bemerkung", "keine"],
        [],
        ["Status", "kommunal untergebracht", "privat untergebracht"],
        ["Asylverfahren", 40, 7],
        ["Insgesamt", 90, "*"],
        [],
        ["Bitte bis zum 10. des Folgemonats senden."],
    ]


@pytest.fixture
def filled(tmp_path: Path) -> Any:
    def fill(rows: Rows, name: str = NAME, sheet: str = "Meldung") -> Path:
        return workbook(tmp_path / name, {"Hinweise": [["Demo: erfundene Zahlen"]], sheet: rows})

    return fill


def changed(row: int, column: int, value: Any) -> Rows:
    rows = form()
    rows[row - 1] = [*rows[row - 1], *[None] * (column - len(rows[row - 1]))]
    rows[row - 1][column - 1] = value
    return rows


def test_a_filled_form(filled: Any) -> None:
    result = read(FORM, filled(form()))
    found = {
        (row["measure_code"], row["category"]): (row["value"], row["_row_number"], row["_column_number"])
        for row in result.rows
    }
    assert found == {
        ("accommodation_places", "total"): ("120", 6, 2),
        ("housed_persons", "asylum_procedure"): ("40", 11, 2),
        ("privately_housed_persons", "asylum_procedure"): ("7", 11, 3),
        ("housed_persons", "total"): ("90", 12, 2),
        ("privately_housed_persons", "total"): (None, 12, 3),
    }
    assert {(r["territory_code"], r["territory_name"], r["period_code"]) for r in result.rows} == {
        ("03157006", "Peine", "2024-03")
    }
    assert [row["conf_status"] for row in result.rows].count("C") == 1
    assert not result.worth_telling


def test_a_field_that_may_be_empty_and_one_that_may_not(filled: Any) -> None:
    assert read(FORM, filled(changed(7, 2, 4))).values(measure_code="homeless_accommodated") == ["4"]
    finding = read(FORM, filled(changed(6, 2, None))).finding("value.missing")
    assert (finding.severity, finding.sheet, finding.row, finding.column) == (
        "critical", "Meldung", 6, "Betriebsbereite Plätze",
    )  # fmt: skip
    hole = read(FORM, filled(changed(11, 3, None))).finding("value.missing")
    assert (hole.row, hole.column) == (11, "Asylverfahren / privat untergebracht")
    assert "Blatt „Meldung“, Zelle C11 („Asylverfahren / privat untergebracht“): Die Zelle ist leer" in hole.message


def test_inserted_lines_and_moved_columns_do_no_harm(filled: Any) -> None:
    rows = form()
    rows[5:5] = [[], ["Bitte nur ganze Zahlen eintragen."]]
    moved = [[None, *row] for row in rows]
    result = read(FORM, filled(moved))
    assert len(result.rows) == 5
    assert result.one(measure_code="accommodation_places")["_row_number"] == 8
    assert result.one(measure_code="accommodation_places")["_column_number"] == 3


@pytest.mark.parametrize("written", ["März 2024", "03/2024", "03.2024", date(2024, 3, 1)])
def test_the_month_in_every_spelling(filled: Any, written: Any) -> None:
    assert {row["period_code"] for row in read(FORM, filled(changed(5, 2, written))).rows} == {"2024-03"}


def test_a_month_that_is_none(filled: Any) -> None:
    for written in ("1. Quartal", date(2024, 3, 15), 2024):
        finding = refused(FORM, filled(changed(5, 2, written)))
        assert (finding.rule, finding.row) == ("period.not_found", 5)


def test_the_form_the_title_and_the_file_name_must_agree(filled: Any) -> None:
    assert refused(FORM, filled(form(), "Unterbringung_03157006_2024-04.xlsx")).rule == "period.contradiction"
    assert refused(FORM, filled(changed(1, 1, "Meldung für Februar 2024"))).rule == "period.contradiction"
    finding = refused(FORM, filled(form(), "Unterbringung_03157005_2024-03.xlsx"))
    assert (finding.rule, finding.found, finding.expected) == ("key.contradiction", "03157005", "03157006")
    assert read(FORM, filled(form(), "Meldung Peine.xlsx")).rows, "a name that says nothing contradicts nothing"


def test_two_months_in_one_form(filled: Any) -> None:
    rows = form()
    rows.insert(5, ["Berichtsmonat", "2024-02"])
    finding = refused(FORM, filled(rows))
    assert (finding.rule, finding.found) == ("period.contradiction", "Februar 2024")


def test_the_key_of_a_form(filled: Any) -> None:
    assert {r["territory_code"] for r in read(FORM, filled(changed(4, 2, 3157006))).rows} == {"03157006"}
    assert refused(FORM, filled(changed(4, 2, date(1908, 8, 22)))).rule == "key.is_a_date"
    empty = refused(FORM, filled(changed(4, 2, None), "x.xlsx"))
    assert (empty.rule, empty.row, empty.column) == ("form.empty_field", 4, "Gemeindeschlüssel"), "the hint is no value"
    no_key = refused(FORM, filled(changed(4, 2, "Peine"), "x.xlsx"))
    assert (no_key.rule, no_key.row, no_key.found, no_key.row_count) == ("key.invalid", 4, "Peine", 1)
    assert "Zelle B4" in no_key.message, "the key's own cell, not those of the numbers"


def test_a_second_form_on_the_sheet_is_told_as_one(filled: Any) -> None:
    twice = refused(FORM, filled([*form(), [], *form()]))
    assert (twice.rule, twice.sheet) == ("table.second", "Meldung")


def test_labels_that_are_missing_or_new(filled: Any) -> None:
    without = form()
    del without[5]
    assert refused(FORM, filled(without)).column == "Betriebsbereite Plätze"
    no_row = form()
    del no_row[11]
    assert refused(FORM, filled(no_row)).column == "Insgesamt"
    no_column = [row[:2] if index in (9, 10, 11) else row for index, row in enumerate(form())]
    assert refused(FORM, filled(no_column)).column == "privat untergebracht"
    assert refused(FORM, filled(changed(10, 1, "Stand"))).column == "Status"
    new = form()
    new.insert(6, ["Freie Plätze", 30])
    finding = read(FORM, filled(new)).finding("label.unknown")
    assert (finding.severity, finding.row, finding.found) == ("warning", 7, "Freie Plätze")


def test_a_row_twice(filled: Any) -> None:
    rows = form()
    rows.insert(11, ["Asylverfahren", 1, 2])
    assert refused(FORM, filled(rows)).rule == "header.duplicate_column"


def test_a_date_where_a_number_stood(filled: Any) -> None:
    finding = read(FORM, filled(changed(11, 2, date(2024, 3, 4)))).finding("value.is_a_date")
    assert (finding.severity, finding.row, finding.found) == ("critical", 11, "04.03.2024")


def test_another_sheet_or_another_form(filled: Any) -> None:
    assert refused(FORM, filled(form(), sheet="Tabelle1")).rule == "file.not_this_layout"
    assert refused(FORM, filled([["Antrag"], ["Name", "x"]])).rule == "file.not_this_layout"


def test_a_copy_of_the_form_in_the_same_workbook_is_told(tmp_path: Path) -> None:
    path = workbook(tmp_path / NAME, {"Meldung": form(), "Meldung (2)": form()})
    result = read(FORM, path)
    assert (result.finding("sheet.not_read").sheet, len(result.rows)) == ("Meldung (2)", 5)
