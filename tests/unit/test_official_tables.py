"""Official tables in other editions: other spellings, units and places of the same header, and what a refusal calls them.

The files are made up; what varies are layouts that editions of the register, the lists of changes, the police's table, the
elections, GENESIS and the monitor have had or may have.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from reading_examples import Result, read, refused, text, workbook

from teilhabe.contract.parsing import load_contracts
from teilhabe.reading.cells.headings import day_above, find_day, headings, square_metres, without_mark
from teilhabe.reading.files.enclosures import enclosed
from teilhabe.reading.files.grid import is_numbering
from teilhabe.reading.files.source import Source
from teilhabe.reading.layouts.table_names import name_of
from teilhabe.reading.report import Report

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
REGISTER = CONTRACTS["register__municipalities"]
CHANGES = CONTRACTS["register__territorial_changes"]
OFFENCES = CONTRACTS["police__offences_district"]
ELECTIONS = CONTRACTS["elections__local"]
FLAT = CONTRACTS["state_statistics__population_nationality"]
POPULATION = CONTRACTS["state_statistics__population"]
UNEMPLOYED = CONTRACTS["employment_agency__unemployed_district"]
LEAVERS = CONTRACTS["state_statistics__school_leavers"]

Rows = list[Sequence[Any]]

# What stands above a column


@pytest.mark.parametrize(
    "cell",
    [
        "Fläche km2 1)",
        "Fläche in km²",
        "Fläche (qkm)",
        "Fläche km2\nam 31.12.2013 (Jahr)1)",
        "FLÄCHE IN QUADRATKILOMETERN",
    ],
)
def test_an_area_is_an_area_however_it_is_written(cell: str) -> None:
    assert "flaeche" in headings(cell)
    assert square_metres(cell) == 1_000_000


def test_units_of_area_and_marks_of_footnotes() -> None:
    assert [square_metres(cell) for cell in ("Fläche qm", "Fläche ha", "Fläche m²", "Fläche")] == [1, 10_000, 1, None]
    assert "satzart" in headings("Satz-\nart") and "aenderungsart" in headings("Änderungs-art 1)")
    assert without_mark("13/2010/0006-R 2)") == "13/2010/0006-R"
    assert without_mark("130009999999 2)") == "130009999999"
    assert without_mark("Neuendorf (bei A)") == "Neuendorf (bei A)" and without_mark("Hagen 1") == "Hagen 1"


def test_days_in_headers() -> None:
    assert find_day("Gebietsstand am 31.12.2023 (Jahr)") == "2023-12-31"
    assert find_day("am 1. Januar 2005") == "2005-01-01" and find_day("2004-06-30T00:00:00") == "2004-06-30"
    rows = [["", "", "", ""], ["am 31.12.2023", "", "31.12.2022", ""]]
    assert day_above(rows, [], 0, 2, 3) == "2022-12-31", "left of it, where merges were lost"
    assert day_above(rows, [((1, 0), (1, 1))], 0, 2, 1) == "2023-12-31"
    assert day_above([["31.12.2023", "", ""]], [((0, 0), (0, 1))], 0, 1, 2) is None, "the merged cell ends before"


def test_a_line_that_numbers_the_columns() -> None:
    assert is_numbering(["1", "2", "3"]) and is_numbering(["1.0", "2.0", "3.0"]) and is_numbering(["(1)", "", "(2)"])
    assert is_numbering(["1", "2", "3", "4", "5", "6", "7", "8", "", "31.12.2019"])
    assert not is_numbering(["1", "2", "31.12.2019"]) and not is_numbering(["1"]) and not is_numbering(["2", "3"])


# The register


def register(
    tmp_path: Path,
    *,
    area: str = "Fläche km2 1)",
    names: Sequence[str] = ("Satz-art", "Text-kenn-zeichen", "Gemeindename"),
    dates: tuple[int, Sequence[str]] = (8, ("31.12.2023 (Jahr)",)),
    day: str = "31.12.2023",
    people: str = "51521",
    merges: Sequence[str] = ("C5:H5", "I5:M5"),
    before: int = 0,
    key: Sequence[Any] = (3, 1, 57, "0006", 6),
    women: str = "26039",
) -> Path:
    """A register of one municipality; ``dates``: column and texts of the row that names the days beside the key's."""
    first, texts = dates
    days: list[Any] = [None, None, f"Gebietsstand am {day}", *[None] * 12]
    days[first : first + len(texts)] = texts
    rows: Rows = [
        [f"Gemeinden in Deutschland nach Fläche, Bevölkerung und Postleitzahl am {day}"],
        [],
        [
            *names[:2],
            "Amtlicher Regionalschlüssel (ARS)",
            *[None] * 4,
            names[2],
            area,
            "Bevölkerung2)",
            None,
            None,
            None,
        ],
        [None, None, "Land", "RB", "Kreis", "VB", "Gem", None, None, "insgesamt", "männlich", "weiblich", "je km2"],
        days,
        [],
        ["10", None, "03", None, None, None, None, "Niedersachsen"],
        ["60", "63", *key, "Peine, Stadt", 119.84, people, "25482", women, 430],
        [],
        ["Quelle: Gemeindeverzeichnis"],
    ]
    rows = [[None] * before + list(row) if row else [] for row in rows]
    return workbook(
        tmp_path / "31122023_Auszug_GV.xlsx", {"Inhalt": [["x"]], "Onlineprodukt": rows}, {"Onlineprodukt": merges}
    )


def peine(result: Result) -> dict[str, Any]:
    return result.one(territory_code="03157006")


def test_a_day_in_a_merged_cell_that_begins_over_the_area(tmp_path: Path) -> None:
    result = read(REGISTER, register(tmp_path))
    row = peine(result)
    assert (row["period_code"], row["population_period_code"]) == ("2023-12-31", "2023-12-31")
    assert (row["population"], row["area_km2"], row["ars"]) == ("51521", "119.84", "031570006006")
    assert not result.worth_telling


def test_the_day_of_the_population_may_be_another_one(tmp_path: Path) -> None:
    quarter = register(
        tmp_path, day="31.03.2024", dates=(8, ("31.03.2024", "am 31.12.2022")), merges=("C5:H5", "J5:M5")
    )
    row = peine(read(REGISTER, quarter))
    assert (row["period_code"], row["population_period_code"]) == ("2024-03-31", "2022-12-31")
    silent = register(tmp_path, day="31.03.2024", dates=(8, ()), merges=("C5:H5",))
    finding = refused(REGISTER, silent)
    assert finding.rule == "period.not_found" and "Bevölkerung insgesamt" in finding.message


@pytest.mark.parametrize(
    "area", ["Fläche in km2", "Fläche in qkm", "Fläche\nkm²\nam 31.12.2023", "Katasterfläche in km²"]
)
def test_the_register_with_other_headers(tmp_path: Path, area: str) -> None:
    path = register(tmp_path, area=area, names=("Satzart", "Textkennzeichen", "Name"))
    assert peine(read(REGISTER, path))["area_km2"] == "119.84"


def test_the_register_with_a_column_in_front(tmp_path: Path) -> None:
    path = register(tmp_path, before=1, merges=("D5:I5", "J5:N5"))
    assert peine(read(REGISTER, path))["population_period_code"] == "2023-12-31"


@pytest.mark.parametrize("sign", ["-", "–", ".", "x", ""])
def test_a_sign_where_other_editions_are_empty(tmp_path: Path, sign: str) -> None:
    result = read(REGISTER, register(tmp_path, people=sign))
    assert peine(result)["population"] is None and not result.worth_telling


def test_a_register_in_other_units_or_without_a_column_is_refused_in_words_of_the_office(tmp_path: Path) -> None:
    finding = refused(REGISTER, register(tmp_path, area="Fläche ha"))
    assert (finding.rule, finding.found, finding.expected) == ("header.unit", "Fläche ha", "km²")
    finding = refused(REGISTER, register(tmp_path, area="Größe"))
    assert finding.rule == "header.missing_column" and "„Fläche km²“" in finding.message
    assert "flaeche" not in finding.message and "area_km2" not in finding.message
    finding = read(REGISTER, register(tmp_path, people="viele")).finding("value.not_a_number")
    assert "Bevölkerung insgesamt" in finding.message


@pytest.mark.parametrize(
    "key", [(3, 1, None, "0006", 6), (3, 1, 57, "0006", None), (3, 1, "x7", "0006", 6), (3, 1, 57, "0006", "0006")]
)
def test_a_key_with_a_part_missing_or_wrong_is_no_other_municipality(tmp_path: Path, key: Sequence[Any]) -> None:
    finding = read(REGISTER, register(tmp_path, key=key)).finding("key.invalid")
    assert finding.severity == "critical" and finding.evidence[0].row == 8


@pytest.mark.parametrize("people", ["5e4", "NaN", "Infinity", "-5", "51_521", "５１５２１", "51521 51521", "9" * 400])
def test_what_is_no_number_of_people_is_told(tmp_path: Path, people: str) -> None:
    finding = read(REGISTER, register(tmp_path, people=people)).finding("value.not_a_number")
    assert (finding.severity, finding.evidence[0].row) == ("critical", 8)
    finding = read(REGISTER, register(tmp_path, women=people)).finding("value.not_a_number")
    assert finding.column == "Bevölkerung weiblich"


def test_blanks_between_thousands_are_no_fault_and_a_wrong_sum_is(tmp_path: Path) -> None:
    assert peine(read(REGISTER, register(tmp_path, people="51 521")))["population"] == "51521"
    finding = read(REGISTER, register(tmp_path, people="51522")).finding("sum.parts")
    assert (finding.severity, finding.found) == ("critical", "51522")


# Lists of territorial changes

HEADER_OF_NOW = ("Kennziffer", "Regionaleinheit", "Amtlicher Regionalschlüssel (ARS)", "Amtlicher Gemeinde-schlüssel (AGS)",
                 "Name", "Änderungs-art 1)", "Fläche qm", "Einwohner", "Amtlicher Regionalschlüssel (ARS)",
                 "Amtlicher Gemeinde-schlüssel (AGS)", "Name", "juristisch", "statistisch")  # fmt: skip
ILSEDE = ("03/2015/0003-R", "Gemeinde", "031570003003", "03157003", "Ilsede", "1", 51770000, 11743,
          "031570009009", "03157009", "Ilsede", "01.01.2015", "01.01.2015")  # fmt: skip


def changes(
    tmp_path: Path,
    *rows: Sequence[Any],
    header: Sequence[Any] = HEADER_OF_NOW,
    title: str = "Gebietsänderungen vom 01.01. - 31.12.2015",
    name: str = "2015.xlsx",
) -> Path:
    groups = [None, None, "Abgebende/Aufgelöste Gemeinde", *[None] * 5, "Aufnehmende/Neugebildete Gemeinde"]
    notes = [[], ["1) Änderungsart:"], ["    1 = Auflösung"], ["2) Neuaufnahme:"]]
    sheet: Rows = [[title], [], groups, list(header), [], *rows, *notes]
    return workbook(tmp_path / name, {"Deckblatt": [["Daten"]], "Gebietsaenderungen": sheet})


def test_a_list_of_changes(tmp_path: Path) -> None:
    result = read(CHANGES, changes(tmp_path, ILSEDE))
    row = result.one(old_code="03157003")
    assert (row["area_m2"], row["population"], row["new_code"]) == ("51770000", "11743", "03157009")
    assert (row["period_code"], row["statistical_date"]) == ("2015", "2015-01-01") and not result.worth_telling


def test_a_list_in_hectares_is_converted(tmp_path: Path) -> None:
    header = [*HEADER_OF_NOW[:6], "Fläche ha", *HEADER_OF_NOW[7:]]
    rows = [[*ILSEDE[:6], area, *ILSEDE[7:]] for area in (5177, "123,4567", 0, "-")]
    found = [row["area_m2"] for row in read(CHANGES, changes(tmp_path, *rows, header=header)).rows]
    assert found == ["51770000", "1234567", "0", None]


@pytest.mark.parametrize("number", ["03/1974/0001", "03/1974/12", "stba/1974/0003-R"])
def test_a_change_is_told_by_its_number_with_or_without_its_letter(tmp_path: Path, number: str) -> None:
    row = read(CHANGES, changes(tmp_path, [number, *ILSEDE[1:]])).one(old_code="03157003")
    assert row["change_id"] == number


def test_a_list_without_unit_of_area_is_refused(tmp_path: Path) -> None:
    header = [*HEADER_OF_NOW[:6], "Fläche", *HEADER_OF_NOW[7:]]
    finding = refused(CHANGES, changes(tmp_path, ILSEDE, header=header))
    assert finding.rule == "header.unit" and "qm oder ha" in finding.message


def test_an_old_list_with_running_numbers_one_day_and_no_regional_keys(tmp_path: Path) -> None:
    header = [
        "Laufende Nummer",
        "AGS",
        "Name",
        "Art der Änderung",
        "Fläche in ha",
        "Einwohner",
        "AGS",
        "Name",
        "Wirksamkeitsdatum",
    ]
    rows = [
        [1, 3157003, "Groß Ilsede", "Auflösung", 512.5, 2000, 3157009, "Ilsede", "01.02.1971"],
        [2, "03157004", "Klein Lafferde", "2", 3, "-", "03157009", "Ilsede", "1. Juli 1972"],
    ]
    title = "Namens-, Grenz- und Schlüsseländerungen vom 01.01.1971 bis 31.12.1972"
    result = read(CHANGES, changes(tmp_path, *rows, header=header, title=title, name="1971-72.xlsx"))
    first, second = result.rows
    assert (first["change_id"], first["period_code"], first["statistical_date"]) == ("1971/0001", "1971", "1971-02-01")
    assert (first["old_code"], first["area_m2"], first["change_type"]) == ("03157003", "5125000", "1")
    assert (second["change_id"], second["statistical_date"], second["population"]) == ("1972/0002", "1972-07-01", None)
    assert {row["unit_type"] for row in result.rows} == {"Gemeinde"}


def test_rows_that_are_about_no_municipality_are_skipped_and_told(tmp_path: Path) -> None:
    region = ["03/2009/0010-R", "Regierungsbezirk", "031", "031     ", "Reg.-Bez. Braunschweig", "4", None, None, "031",
              "031     ", "Statistische Region Braunschweig", "01.01.2009", "01.04.2015"]  # fmt: skip
    coast = ["13/2010/0006-R 2)", "Gemeinde", None, None, None, None, 1000000, None, "130009999999 2)", "13000999",
             "Küstengewässer 2)", "16.12.2010", "01.01.2015"]  # fmt: skip
    marked = ["03/2015/0004-R 2)", *ILSEDE[1:]]
    result = read(CHANGES, changes(tmp_path, region, coast, marked))
    assert [row["change_id"] for row in result.rows] == ["03/2015/0004-R"]
    assert result.finding("row.no_municipality").found == "Regierungsbezirk 031"
    assert result.finding("row.no_giving_unit").found == "Küstengewässer"
    assert {finding.severity for finding in result.findings} == {"warning"}


def test_a_row_that_lost_its_number_is_no_footnote(tmp_path: Path) -> None:
    result = read(CHANGES, changes(tmp_path, ILSEDE, ["siehe oben", *ILSEDE[1:]]))
    assert result.finding("row.ragged").evidence[0].row == 7


def test_the_first_row_can_lose_its_number_as_well(tmp_path: Path) -> None:
    result = read(CHANGES, changes(tmp_path, ["03/2015", *ILSEDE[1:]], ["03/2015/0004-R", *ILSEDE[1:]]))
    assert [one.row for one in result.finding("row.ragged").evidence] == [6]


def test_a_bare_number_among_whole_ones_is_no_number_of_a_change(tmp_path: Path) -> None:
    result = read(CHANGES, changes(tmp_path, ILSEDE, [12, *ILSEDE[1:]]))
    assert [one.found for one in result.finding("row.ragged").evidence] == ["12"]


@pytest.mark.parametrize("day", ["31.02.2015", "99.99.2015", "01.01.2015 oder 01.02.2015", "2015-13-01"])
def test_a_day_that_is_in_no_calendar_is_told(tmp_path: Path, day: str) -> None:
    finding = read(CHANGES, changes(tmp_path, [*ILSEDE[:-1], day])).finding("value.not_a_date")
    assert (finding.severity, finding.found) == ("critical", day)


@pytest.mark.parametrize("people", ["11000 11001", "1e3", "1_0", "１２", "9" * 400, "-5", "11,5"])
def test_people_in_a_list_are_a_plain_number(tmp_path: Path, people: str) -> None:
    result = read(CHANGES, changes(tmp_path, [*ILSEDE[:7], people, *ILSEDE[8:]]))
    assert result.finding("value.not_a_number").severity == "critical"


@pytest.mark.parametrize(
    ("ars", "ags"), [("03157WAHR003", "03157003"), ("031570003003", "03 157"), ("031570003003", "03157004")]
)
def test_keys_of_one_unit_vouch_for_each_other(tmp_path: Path, ars: str, ags: str) -> None:
    result = read(CHANGES, changes(tmp_path, [*ILSEDE[:2], ars, ags, *ILSEDE[4:]]))
    assert result.finding("key.invalid").severity == "critical"


def test_a_header_on_every_page_is_no_change(tmp_path: Path) -> None:
    page = [None, None, "Abgebende Gemeinde", *[None] * 5, "Aufnehmende Gemeinde"]
    numbering = [float(number) for number in range(1, 14)]
    result = read(CHANGES, changes(tmp_path, ILSEDE, page, HEADER_OF_NOW, numbering, ["03/2015/0004-R", *ILSEDE[1:]]))
    assert [row["change_id"] for row in result.rows] == ["03/2015/0003-R", "03/2015/0004-R"]
    assert not result.worth_telling


def test_a_missing_column_is_named_as_the_office_names_it(tmp_path: Path) -> None:
    header = [*HEADER_OF_NOW[:9], "Schlüssel", *HEADER_OF_NOW[10:]]
    finding = refused(CHANGES, changes(tmp_path, ILSEDE, header=header))
    assert "der aufnehmenden Gemeinde „Amtlicher Gemeindeschlüssel (AGS)“" in finding.message


@pytest.mark.parametrize("part", ["customXml/item1.xml", "docProps/custom.xml"])
def test_a_part_no_parser_opens_may_be_written_in_utf_16(tmp_path: Path, part: str) -> None:
    path = changes(tmp_path, ILSEDE)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(part, f"<DataMashup>{'QUJD' * 100_000}</DataMashup>".encode("utf-16"))
    assert len(read(CHANGES, path).rows) == 1


# The police's table

POLICE = ("Schlüssel", "Straftat", "Gemeindeschlüssel", "Stadt-/Landkreis", "Kreisart", "Anzahl erfasste Fälle", "HZ",
          "erfasste Fälle davon: Versuche Anzahl", "Aufklärung Anzahl Fälle", "Tatverdächtige insgesamt",
          "Tatverdächtige männlich", "Tatverdächtige weiblich", "Nichtdeutsche Tatverdächtige Anzahl")  # fmt: skip
PEINE = ("------", "Straftaten insgesamt", "03157", "Peine", "LK", 7250, 5294.1, 500, 4500, 3000, 2200, 800, 900)


@pytest.mark.parametrize("numbering", [[float(n) for n in range(1, 14)], [f"({n})" for n in range(1, 14)]])
@pytest.mark.parametrize("key", ["Gemeindeschlüssel", "AGS", "Amtlicher Gemeindeschlüssel (AGS)"])
def test_the_numbering_of_the_columns_is_no_row(tmp_path: Path, numbering: list[Any], key: str) -> None:
    header = [key if cell == "Gemeindeschlüssel" else cell for cell in POLICE]
    rows: Rows = [
        ["Polizeiliche Kriminalstatistik", None, "Berichtszeitraum: 01.01.2020 bis 31.12.2020"],
        [*header, "Lfd. Nr.", "EW"],
        [*numbering, None, "31.12.2019"],
        [*PEINE, 1, 136000],
    ]
    result = read(OFFENCES, workbook(tmp_path / "T01.xlsx", {"T01": rows}))
    assert {row["territory_code"] for row in result.rows} == {"03157"}
    assert result.one(measure_code="offences_known")["value"] == "7250" and len(result.rows) == 7
    assert not result.worth_telling


def test_a_dash_in_one_edition_of_the_police_table_is_no_number(tmp_path: Path) -> None:
    rows: Rows = [["Berichtszeitraum: 01.01.2021 bis 31.12.2021"], POLICE, [*PEINE[:-1], "-"]]
    result = read(OFFENCES, workbook(tmp_path / "T01.xlsx", {"T01": rows}))
    row = result.one(nationality="foreign")
    assert (row["value"], row["obs_status"]) == (None, "M") and not result.worth_telling


# Elections


def election_of_2021(tmp_path: Path, only: Sequence[str] = ("Kreiswahlen", "Gemeindewahlen")) -> Path:
    """Two header rows with groups, letters below them, key and name beside the first numbers."""
    sheets, merges = {}, {}
    for title in only:
        sheets[f"{title} endg"] = [
            ["Kommunalwahlen in den kreisfreien Städten und in den Landkreisen am 12.09.2021"],
            [f"Endgültiges Ergebnis  ({title})"],
            ["Kreisfreie Stadt\nLandkreis", None, None, "Einheit   1)", "Wahlberechtigte", None, None,
             "Wählerinnen/Wähler", None, "Gültige Stimmen", "SPD"],
            [None, None, None, None, "ohne Sperr-vermerk „W“", "mit Sperr-vermerk „W“", "insgesamt\nA1+A2", "insgesamt",
             "darunter mit Wahlschein"],
            ["Nr.", None, "Name", None, "A1", "A2", "A", "B", "B1", "D", "D1"],
            [None, "157", "Peine   2)", "-", "86\u00a0309", "23\u00a0370", "109\u00a0679", "63\u00a0785", "20\u00a0000",
             "185\u00a0000", "72\u00a0405"],
            [None, None, None, "%", None, None, None, "58,2", None, None, "39,0"],
            [None, None, None, "Sitze", None, None, None, None, None, 50, 20],
            [None, None, None, "weibl.", None, None, None, None, None, 14, 8],
            [None, None, "darunter Stadt", "-", "1", "1", "2", "2", "1", "1", "1"],
            ["1)", None, "weibl. = Anzahl der von Frauen erworbenen Sitze"],
            [None, None, "Landkreis Gifhorn", "1", "GRÜNE"],
        ]  # fmt: skip
        merges[f"{title} endg"] = ["E3:G3", "H3:I3", "D3:D4", "J3:J4"]
    return workbook(tmp_path / "Kommunalwahl 2021.xlsx", sheets, merges)


def test_an_election_with_groups_above_the_columns(tmp_path: Path) -> None:
    result = read(ELECTIONS, election_of_2021(tmp_path))
    county = {"territory_code": "03157", "category": "county_council"}
    assert result.one(measure_code="eligible_voters", **county)["value"] == "109679"
    assert result.one(measure_code="voters", **county)["value"] == "63785"
    assert result.one(measure_code="council_seats", sex="female", **county)["value"] == "14"
    assert {(row["territory_name"], row["period_code"]) for row in result.rows} == {("Peine", "2021")}
    assert len(result.rows) == 8 and not result.worth_telling


def test_an_election_in_another_layout_is_called_one(tmp_path: Path) -> None:
    finding = refused(ELECTIONS, election_of_2021(tmp_path, only=("Kreiswahlen",)))
    assert finding.rule == "sheet.missing" and "in anderem Aufbau wird nicht geladen" in finding.message
    assert "fehlt das Tabellenblatt" not in finding.message


# GENESIS


def genesis(tmp_path: Path, table: str, header: Sequence[str], *rows: str, title: str = "Titel") -> Path:
    lines = [f"GENESIS-Tabelle: {table}", f"{title};;;", *header, *rows, "__________", "Stand: 13.03.2025 / 16:40:08"]
    return text(tmp_path / f"{table}.csv", "\n".join(lines) + "\n", "cp1252")


def test_the_counties_of_a_table_of_municipalities(tmp_path: Path) -> None:
    path = genesis(
        tmp_path,
        "12411-01-01-4",
        [";;31.12.2015;31.12.2015;31.12.2015", ";;Insgesamt;männlich;weiblich"],
        "DG;Deutschland;82175684;40514123;41661561",
        "03157;      Peine, Landkreis;132320;65242;67078",
        "03999;      Aufgelöst, Landkreis;-;-;-",
    )
    result = read(POPULATION, path)
    assert result.values(territory_code="03157", sex="total", period_code="2015-12-31") == ["132320"]
    assert result.values(territory_code="03999") == [None, None, None]
    finding = refused(
        POPULATION, genesis(tmp_path, "12411-02-03-4", [";;31.12.2015"], "DG;Deutschland;1", title="Alter")
    )
    assert finding.message.endswith(
        "Das ist GENESIS-Tabelle 12411-02-03-4 („Alter“); vereinbart ist „Bevölkerung der Gemeinden nach Geschlecht, "
        "Staatsangehörigkeit und Alter“ (GENESIS-Tabelle 12411-01-01-5, LSN-Online 100 (Kohorten))."
    )


def leavers(tmp_path: Path, *headline: str) -> Path:
    kinds = ["Insgesamt", "ohne Hauptschulabschluss", "mit Hauptschulabschluss", "mit Mittlerem Abschluss",
             "dar. schulischer Teil der Fachhochschulreife", "mit Fachhochschulreife",
             "mit allgemeiner Hochschulreife"]  # fmt: skip
    pairs = ";;;" + ";".join(kind for kind in kinds for _ in range(2))
    sexes = ";;;" + ";".join(["Insgesamt", "weiblich"] * 7)
    rows = "2023;03157;Peine, Landkreis;1279;604;87;36;156;63;592;266;50;21;.;.;444;239"
    tops = [";;;" + ";".join([text] * 14) for text in headline]
    return genesis(tmp_path, "21111-02-06-4", [*tops, pairs, sexes], rows)


@pytest.mark.parametrize(
    "headline", ["Schulabschluss", "Absolvierende/Abgehende allgemeinbildender Schulen nach dem Abschluss"]
)
def test_a_headline_over_all_columns_may_be_worded_anew(tmp_path: Path, headline: str) -> None:
    result = read(LEAVERS, leavers(tmp_path, headline))
    peine = {"territory_code": "03157", "period_code": "SY2022"}
    assert result.one(category="without_certificate", sex="total", **peine)["value"] == "87"
    assert result.one(category="vocational_entrance", sex="female", **peine)["obs_status"] == "Q"
    assert not result.worth_telling


@pytest.mark.parametrize(
    "headline", ["Ausländische Absolvierende", "unter 18 Jahre", "Anteil in v.H. je 1000", "darunter Frauen"]
)
def test_a_headline_that_names_a_part_is_none(tmp_path: Path, headline: str) -> None:
    finding = refused(LEAVERS, leavers(tmp_path, headline))
    assert finding.rule == "header.missing_column"


UNEMPLOYED_HEADER = (
    ";;;" + ";".join(["Arbeitslose"] * 7 + ["Arbeitslosenquote bez. abh. zivile Erwerbspers."]
                     + ["Arbeitslosenquote bez. auf alle zivile Erwerbsp."] * 5),
    ";;;;Ausländer;schwerbehindert;15 bis unter 20 Jahre;15 bis unter 25 Jahre;55 bis unter 65 Jahre;langzeitarbeitslos;;;"
    "Männer;Frauen;Ausländer;15 bis unter 25 Jahre",
    ";;;" + ";".join(["Anzahl"] * 7 + ["Prozent"] * 6),
)  # fmt: skip


def test_a_dash_beside_secret_counts_is_no_zero(tmp_path: Path) -> None:
    path = genesis(
        tmp_path,
        "13211-02-05-4",
        UNEMPLOYED_HEADER,
        "2016;03157;Peine, Landkreis;3904;1000;-;50;300;700;1500;6,0;5,5;5,6;5,4;18,0;-",
        "2016;11001001;Berlin-Mitte;" + ".;" * 9 + "-;-;-;-",
        "2016;11005005;Berlin-Spandau;" + ";".join(["-"] * 13),
    )
    result = read(UNEMPLOYED, path)
    for district in ("11001001", "11005005"):
        assert result.values(territory_code=district) == [None] * 13
    peine = {"territory_code": "03157", "period_code": "2016"}
    assert result.one(category="severely_disabled", **peine)["value"] == "0", "nobody, beside other numbers"
    rate = result.one(measure_code="unemployment_rate_official", age_band="15_24", **peine)
    assert (rate["value"], rate["obs_status"]) == (None, "M"), "a rate that was not computed"


FLAT_HEADER = (
    "statistics_code;statistics_label;time_code;time_label;time;1_variable_code;1_variable_label;1_variable_attribute_code;"
    "1_variable_attribute_label;2_variable_code;2_variable_label;2_variable_attribute_code;2_variable_attribute_label;value;"
    "value_unit;value_variable_code;value_variable_label"
)


def flat_row(key: str, sex: str, value: str) -> str:
    return (
        f"12411;Fortschreibung;STAG;Stichtag;2024-12-31;KREISE;Kreise;{key};Name {key};GES;Geschlecht;{sex};x;{value};Anzahl;"
        "BEVSTD;Bevölkerungsstand"
    )


def test_a_county_that_ended_long_ago_has_no_number(tmp_path: Path) -> None:
    cells = [("14263", "GESM", "-"), ("03157", "GESM", "67979"), ("14263", "", "-"), ("03157", "", "137045"),
             ("14263", "GESW", "-"), ("03157", "GESW", "-")]  # fmt: skip
    content = "\n".join([FLAT_HEADER, *(flat_row(*cell) for cell in cells)]) + "\n"
    result = read(FLAT, text(tmp_path / "12411-01-01-4_flat.csv", content))
    assert {(row["value"], row["obs_status"]) for row in result.rows if row["territory_code"] == "14263"} == {
        (None, "M")
    }
    assert result.values(territory_code="03157", sex="total") == ["137045"]
    assert result.values(territory_code="03157", sex="female") == ["0"], "beside numbers a dash is zero"


# The monitor


def monitor(tmp_path: Path, number: str, content: str) -> Path:
    return text(tmp_path / f"indicator_{number}.csv", content)


@pytest.mark.parametrize("unit", ["%", "Prozent", "Anteil der Schulabgänge ohne Abschluss in Prozent", "Anteil in %"])
def test_a_unit_worded_anew_is_the_same_unit(tmp_path: Path, unit: str) -> None:
    content = "Year,Gebietseinheit,Nationalität,Units,GeoCode,Value\n" + "".join(
        f"2024,Peine,{who},{what},K03157,{value}\n"
        for who in ("Deutsche", "Ausländerinnen und Ausländer")
        for what, value in (("Anzahl", "12"), (unit, "4.5"))
    )
    result = read(CONTRACTS["state_monitor__school_leavers"], monitor(tmp_path, "4-1-4", content))
    assert result.values(measure_code="school_leavers_share_published") == ["4.5", "4.5"]
    assert not result.worth_telling


def test_two_reworded_units_are_two_kinds_of_number(tmp_path: Path) -> None:
    content = "Year,Gebietseinheit,Nationalität,Units,GeoCode,Value\n" + "".join(
        f"2024,Peine,{who},{what},K03157,4\n"
        for who in ("Deutsche", "Ausländerinnen und Ausländer")
        for what in ("Anzahl", "Anteil an allen in Prozent", "Anteil an Gleichaltrigen in Prozent")
    )
    result = read(CONTRACTS["state_monitor__school_leavers"], monitor(tmp_path, "4-1-4", content))
    assert not result.values(measure_code="school_leavers_share_published")
    assert {finding.rule for finding in result.findings} >= {"label.unknown", "label.missing"}


@pytest.mark.parametrize(("sign", "status"), [("-", "M"), (".", "Q"), ("x", "M")])
def test_a_sign_in_one_edition_of_the_monitor(tmp_path: Path, sign: str, status: str) -> None:
    content = f"Year,Gebietseinheit,GeoCode,Value\n2024,Peine,K03157,{sign}\n2024,Gifhorn,K03151,180000\n"
    result = read(CONTRACTS["state_monitor__population"], monitor(tmp_path, "1-1-1", content))
    row = result.one(territory_code="03157")
    assert (row["value"], row["obs_status"]) == (None, status)


# What a refusal calls the file


def named(path: Path) -> str | None:
    return name_of(Source(path, path.name, Report(path.name)))


def test_official_files_are_called_by_their_names(tmp_path: Path) -> None:
    head = "Year,Gebietseinheit,GeoCode,Value\n2024,Peine,K03157,1\n"
    flat = FLAT_HEADER + "\n" + flat_row("03157", "", "1") + "\n"
    assert named(monitor(tmp_path, "4-1-1", head)) == "Indikator 4-1-1 des Integrationsmonitorings"
    assert named(text(tmp_path / "12411-01-01-4_flat.csv", flat)) == (
        "GENESIS-Tabelle 12411-01-01-4 als flache Datei (Statistik 12411 „Fortschreibung“)"
    )
    assert named(register(tmp_path)) == "das Gemeindeverzeichnis (Gebietsstand 31.12.2023)"
    assert named(changes(tmp_path, ILSEDE)) == (
        "die Liste der Gebietsänderungen „Gebietsänderungen vom 01.01. - 31.12.2015“"
    )
    assert named(election_of_2021(tmp_path)) == (
        "ein Wahlergebnis („Kommunalwahlen in den kreisfreien Städten und in den Landkreisen am 12.09.2021“)"
    )
    police = workbook(
        tmp_path / "t.xlsx", {"a": [["Polizeiliche Kriminalstatistik"], ["Tabelle 20"], ["Bereich: Länder"]]}
    )
    assert named(police) == "Tabelle 20 der Polizeilichen Kriminalstatistik (Bereich: Länder)"
    assert named(text(tmp_path / "liste.csv", "Name;Ort\na;b\n")) is None


def test_the_agreed_table_in_another_form_is_named_with_what_is_other(tmp_path: Path) -> None:
    sheet = [["GENESIS-Tabelle: 12411-01-01-5"], ["Bevölkerung"], [None, 1]]
    finding = refused(POPULATION, workbook(tmp_path / "a.xlsx", {"12411-01-01-5": sheet}))
    assert (
        "Das ist GENESIS-Tabelle 12411-01-01-5 („Bevölkerung“), aber nicht im vereinbarten Aufbau: eine Excel-Arbeitsmappe (xlsx); "
        "vereinbart ist"
    ) in finding.message
    renamed = monitor(tmp_path, "1-1-1", "Year,Gebietseinheit,Regionalschluessel,Value\n2024,Peine,K03157,1\n")
    finding = refused(CONTRACTS["state_monitor__population"], renamed)
    assert (
        "Indikator 1-1-1 des Integrationsmonitorings, aber nicht" in finding.message and "„GeoCode“" in finding.message
    )


# What lies beside a table in a ZIP file


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., list[str]]:
    def packed(**files: bytes) -> list[str]:
        there = {}
        for spelt, content in files.items():
            name = spelt.replace("__", ".")
            (tmp_path / name).write_bytes(content)
            there[name] = (tmp_path / name, name)
        return sorted(enclosed(there, REGISTER))

    return packed


def test_the_description_beside_a_table_is_no_delivery(pack: Callable[..., list[str]]) -> None:
    record = f"602022123103157006    {'Peine, Stadt':<198}\n".encode()
    stream = io.BytesIO()
    openpyxl.Workbook().save(stream)
    assert pack(GV100AD__txt=record, Datensatzbeschreibung__pdf=b"%PDF-1.7", liesmich__txt=b"Hinweise") == [
        "Datensatzbeschreibung.pdf",
        "liesmich.txt",
    ]
    assert pack(a__xlsx=stream.getvalue(), README__md=b"# x") == ["README.md"]
    assert pack(nur__pdf=b"%PDF-1.7") == [], "alone it is what was delivered, and is refused"
    assert pack(Hinweise__txt=record, b__pdf=b"%PDF-1.7") == ["b.pdf"], "the content decides"
    assert pack(Daten__txt=b"irgendetwas", a__xlsx=stream.getvalue()) == []
