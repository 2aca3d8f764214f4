"""What is said of a finding: its place as people see it, true for each row, and no secret number in any part."""

from __future__ import annotations

import pytest

from teilhabe.errors import Evidence, Finding
from teilhabe.findings import saying
from teilhabe.findings.saying import say

SUM = Finding(
    "critical",
    "parts.sum",
    "",
    sheet="Meldung",
    row=22,
    expected="die Summe der Teile",
    row_count=2,
    evidence=(
        Evidence(22, "2", "1", "2 (Summe der Teile)", 2, "Meldung", "Peine (03157), 2. Quartal 2024"),
        Evidence(30, "2", "40", "38 (Summe der Teile)", 2, "Meldung", "Ilsede (03157009), 2. Quartal 2024"),
    ),
    what="{place}Die Teile ergeben nicht die Summe; gefunden „{subject}{found}“, erwartet {expected}.",
)


def test_a_cell_is_named_as_people_see_it_and_the_file_in_full() -> None:
    assert say(SUM, "none", file="a.zip/b.xlsx") == (
        "Datei „a.zip/b.xlsx“, Blatt „Meldung“, Zelle B22: Die Teile ergeben nicht die Summe; gefunden „Peine (03157), 2. Quartal "
        "2024: 1“, erwartet 2 (Summe der Teile). Insgesamt 2 Zeilen."
    )


def test_every_row_has_its_own_place_and_expectation() -> None:
    said = say(SUM, "none", at=SUM.evidence[1], with_count=False)
    assert "Zelle B30" in said and "Ilsede (03157009), 2. Quartal 2024: 40" in said and "38 (Summe der Teile)" in said


@pytest.mark.parametrize("method", ["min3", "min5"])
def test_what_is_secret_is_hidden_in_every_part_and_nothing_else(method: str) -> None:
    said = say(SUM, method)  # type: ignore[arg-type]
    assert "2. Quartal 2024: [geheim]“, erwartet [geheim] (Summe der Teile). Insgesamt 2 Zeilen." in said
    place = saying.shown_place(SUM, SUM.evidence[0], method)  # type: ignore[arg-type]
    assert (place.found, place.expected) == ("Peine (03157), 2. Quartal 2024: [geheim]", "[geheim] (Summe der Teile)")
    assert "Zelle B22" in said


def test_whoever_may_take_out_the_file_sees_its_numbers() -> None:
    assert "2024: 1“, erwartet 2 (Summe" in say(SUM, "min5", for_whom="editor")


def test_a_stored_message_is_one_everyone_may_read() -> None:
    stored = saying.with_sentence(SUM, "min5", "b.xlsx")
    assert "[geheim]" in stored.message and "erwartet 2" not in stored.message


def test_a_text_file_has_rows_and_columns() -> None:
    one = Finding(
        "critical", "r", "", column="Anzahl", evidence=(Evidence(7, "3", "x"),), row=7, what="{place}„{found}“"
    )
    assert say(one, "none") == "Zeile 7, Spalte 3 („Anzahl“): „x“."
    named = Finding("critical", "r", "", evidence=(Evidence(7, "AGS", None),), row=7, what="{place}Leer: {found}")
    assert say(named, "none") == "Zeile 7, Spalte „AGS“: Leer: leer."


def test_a_field_of_a_form_is_a_cell_with_a_name() -> None:
    field = Evidence(12, "Belegte Plätze", "ca. 5", column_number=2)
    one = Finding(
        "critical", "r", "", sheet="Meldung", row=12, evidence=(field,), what="{place}„{found}“ ist keine Zahl"
    )
    assert say(one, "none") == "Blatt „Meldung“, Zelle B12 („Belegte Plätze“): „ca. 5“ ist keine Zahl."
    assert say(one, "none", with_place=False) == "„ca. 5“ ist keine Zahl."


def test_what_the_sentence_says_is_not_said_again() -> None:
    missing = Finding(
        "critical", "r", "", expected="langzeitarbeitslos", what="Es fehlt die Spalte „langzeitarbeitslos“."
    )
    assert saying.expected_beside(missing, "none") is None
    number = Finding("critical", "r", "", expected="eine Zahl", what="„x“ ist keine Zahl")
    assert saying.expected_beside(number, "none") == "eine Zahl"


def test_a_quoted_number_is_hidden_in_the_sentence_of_a_reader_too() -> None:
    assert (
        say(Finding("critical", "r", "", what="In Zeile 3 steht „2“ doppelt."), "min3")
        == "In Zeile 3 steht „[geheim]“ doppelt."
    )


def test_the_name_of_a_file_about_persons_is_not_repeated() -> None:
    persons = Finding("critical", saying.PERSON_LEVEL, "", what="Die Datei enthält Angaben zu einzelnen Personen.")
    assert "Muster" not in say(persons, "none", file="Max Muster.xlsx")
    old = Finding("critical", saying.PERSON_LEVEL, "Datei „Max Muster.xlsx“: Personen.")
    assert say(old, "none") == saying.PERSONAL


def test_a_row_is_counted_once() -> None:
    places = [Evidence(4, "2", "x"), Evidence(4, "3", "y"), Evidence(5, "2", "z")]
    assert saying.affected_rows(places, 3) == 2
    assert saying.affected_rows(places, 900) == 900, "not all of them are listed"
    assert saying.affected_rows([Evidence(None, None, "fehlt")], 7) == 7
