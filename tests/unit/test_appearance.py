"""How cells look: number formats, and what of a workbook's parts changes what a number means."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest
from reading_examples import example, read, refused

from teilhabe.errors import ReadingError
from teilhabe.reading import open_reading
from teilhabe.reading.cells.labels import instead, unmarked
from teilhabe.reading.files import kinds
from teilhabe.reading.files.number_formats import look
from tests import faults_workbook as faults

TABLE = example(
    """
name: Quote
reader: table
period: "{year}"
key_width: 5
columns:
  territory_code: [Schlüssel]
  territory_name: [Kreis]
  period_code: [Jahr]
labels:
  Quote: {measure_code: unemployment_rate_official}
  Arbeitslose: {measure_code: unemployed}
"""
)


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("0 %", "0.85", "85 %"),
        ("0.0%", "0.0531", "5,3 %"),
        ('0" %"', "85", "85 %"),
        ('#,##0.00 "€"', "1234.5", "1.234,50 €"),
        ("#,##0.00\\ [$€-407]", "65", "65,00 €"),
        ("0,", "12345", "12"),
        ('0"5"', "85", "855"),
        ('"1"0', "85", "185"),
        ("0\\0", "30", "300"),
        ('"-"0', "85", "-85"),
        ("\\-General", "85", "-85"),
        ('_-* #,##0.00\\ "€"_-;\\-* #,##0.00\\ "€"_-', "2.5", "2,50 €"),
    ],
)
def test_a_format_that_says_something_else_shows_what_people_see(code: str, value: str, shown: str) -> None:
    assert look(code).matters and look(code).shown(value) == shown


@pytest.mark.parametrize(
    "code",
    ["General", "", "@", "#,##0", "###\\ ###", "* #,##0;* \\-_ #,##0;\\-", "#,##0.0\\ _€", "mmmm yyyy", "[Red]0", '0 "Plätze"',
     '[<1]0.0;0', "# ?/?", "0.00E+00", '0" (2024)"', '"ca. "0', "0;-0", "[<0]-0;0", "00000000", '0" m²"', '"Nr. 5: "0'],
)  # fmt: skip
def test_a_format_that_only_looks_nice_says_nothing(code: str) -> None:
    assert not look(code).matters


@pytest.mark.parametrize("code", [";;;", '"x"', '"";""'])
def test_a_format_without_digits_shows_no_number(code: str) -> None:
    assert look(code).invisible


@pytest.mark.parametrize(
    ("code", "value", "shown", "instead"),
    [
        ('[<5]"*";0', "3", "*", "*"),
        ('[<5]"*";0', "7", "7", ""),
        ('[=0]"keine";[<=2]"1; 2";0', "2", "1; 2", "1; 2"),
        ('"entfällt"', "7", "entfällt", "entfällt"),
    ],
)
def test_a_text_shown_in_place_of_a_number_depends_on_the_number(
    code: str, value: str, shown: str, instead: str
) -> None:
    assert look(code).matters
    assert (look(code).of(value).shown(value), look(code).of(value).instead) == (shown, instead)


@pytest.mark.parametrize(("code", "shown"), [('0" Tsd."', "12 Tsd."), ("0 \\‰", "12 ‰"), ('0.0" Mio"', "12,0 Mio")])
def test_a_unit_that_makes_another_number_of_it_is_seen(code: str, shown: str) -> None:
    assert look(code).matters and look(code).unit and look(code).shown("12") == shown


@pytest.mark.parametrize("code", ['0" Personen"', '0" Tage"'])
def test_a_unit_that_only_says_what_is_counted_says_nothing(code: str) -> None:
    assert not look(code).matters


def table(tmp_path: Path, rate: float, code: str) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Schlüssel", "Kreis", "Jahr", "Quote", "Arbeitslose"])
    sheet.append(["03157", "Peine", "2024", rate, 12])
    sheet["D2"].number_format = code
    path = tmp_path / "quote_2024.xlsx"
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("rate", "code", "value"), [(0.053, "0.0 %", "5.3"), (5.3, '0.0" %"', "5.3"), (0.1 + 0.2, "0.0", "0.3")]
)
def test_a_share_in_per_cent_is_what_is_shown(rate: float, code: str, value: str, tmp_path: Path) -> None:
    result = read(TABLE, table(tmp_path, rate, code))
    assert result.values(measure_code="unemployment_rate_official") == [value] and result.worth_telling == []


def test_a_hidden_header_of_a_table_of_another_kind_tells_of_persons_first(tmp_path: Path) -> None:
    path = tmp_path / "liste.xls"
    book = openpyxl.Workbook()
    for row in (["Vorname", "Nachname", "Geburtsdatum"], ["A", "B", "03.04.1999"], ["C", "D", "05.06.1988"]):
        book.active.append(row)
    book.save(tmp_path / "liste.xlsx")
    content = (tmp_path / "liste.xlsx").read_bytes()
    for make in (faults.as_xml_2003, faults.as_html):
        path.write_bytes(make(content))
        with pytest.raises(ReadingError) as caught:
            open_reading(TABLE, path, path.name)
        assert caught.value.finding.rule == "file.person_level"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"ID;PWXL;N;E\r\nP;PGeneral\r\n", "sylk"),
        (b"ID;PLZ;Ort\r\n1;31224;Peine\r\n", "text"),
        (b'TABLE\r\n0,1\r\n"EXCEL"\r\n', "dif"),
        (b"{\\rtf1\\ansi", "rtf"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"Rar!\x1a\x07\x00", "archive"),
        (b"<html><body><form><input type=password><table><tr><td>1<td>2<td>3<td>4</table>", "html"),
        (b"<table><tr><td>1</td><td>2</td><td>3</td><td>4</td></tr></table>", "html_table"),
        (b"<?xml version='1.0'?><daten/>", "xml"),
        (b"<5;3;4\n", "text"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(head: bytes, kind: str, tmp_path: Path) -> None:
    assert kinds.kind_of(tmp_path / "x.csv", "x.csv", head) == kind


@pytest.mark.parametrize(
    ("text", "bare"),
    [("65¹", "65"), ("65 ¹⁾ ²⁾", "65"), ("Peine *)", "Peine"), ("Fläche in km²", "Fläche in km²"), ("¹", "¹"), ("651)", "651)"),
     ("(65)", "(65)"), ("Stadt **)", "Stadt")],
)  # fmt: skip
def test_only_footnote_marks_go(text: str, bare: str) -> None:
    assert unmarked(text) == bare


def test_texts_that_are_alike_come_alone() -> None:
    assert instead("Wähler", ["Sitze", "Wählende", "Datum"]) == "; unbekannt ist stattdessen „Wählende“"
    assert instead("Wähler", ["Sitze", "Datum"]) == "; unbekannt ist stattdessen „Sitze“, „Datum“"
    assert instead("Wähler", []) == ""


def test_a_key_column_that_was_reworded_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, 5.3, "0.0")
    path.write_bytes(faults.reworded(path.read_bytes(), "Kreis", "Kreisname"))
    finding = refused(TABLE, path)
    assert "„Kreis“" in finding.message and "„Kreisname“" in finding.message


def test_old_workbooks_look_as_they_are(real_files: Path) -> None:
    """An official list in the old format, with footnote marks in its cells."""
    from teilhabe.reading.files import appearance_xls

    looks = appearance_xls.of_workbook(real_files / "territorial_changes" / "2012.xls")
    texts = set(looks["Gebietsaenderungen 2012"].texts.values())
    assert {"Änderungs-art ¹⁾", "13/2010/0006-R ²⁾"} <= texts
    assert appearance_xls.of_workbook(real_files / "territorial_changes" / "2023.xlsx") == {}
