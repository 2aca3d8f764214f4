"""Periods as offices write them; what can mean two periods is none."""

from __future__ import annotations

import pytest

from teilhabe.contract.layouts import Validity
from teilhabe.reading.cells.keys import complete, is_date, probable_key, probable_label
from teilhabe.reading.cells.labels import normalise
from teilhabe.reading.cells.periods import find_periods, is_valid, parse_period, periods_in_name


@pytest.mark.parametrize(
    ("template", "code", "spellings"),
    [
        ("{month}", "2024-01", ["Januar 2024", "Jan 2024", "Jan. 2024", "01/2024", "1/2024", "01.2024", "2024-01",
                                "2024-01-01", "2024-01-01T00:00:00", "01.01.2024", "Berichtsmonat: Januar 2024"]),
        ("{month}", "2024-03", ["März 2024", "Maerz 2024", "Mrz 2024", "MÄRZ 2024"]),
        ("{quarter}", "2024-Q1", ["1. Quartal 2024", "I. Quartal 2024", "I/2024", "Q1 2024", "Q1/2024", "2024-Q1", "2024 Q1"]),
        ("{half_year}", "2024-H1", ["1. Halbjahr 2024", "2024-H1", "H1 2024", "I. Halbjahr 2024", "1. Hj. 2024"]),
        ("{school_year}", "SY2023", ["Schuljahr 2023/24", "2023/24", "2023/2024", "SY2023", "Schuljahr 2023/2024"]),
        ("{school_year}", "SY2024", ["Einschulungsjahr 2024/25"]),
        ("{guidance_year}", "AY2023", ["2023/24", "Berichtsjahr 2023/24", "2023/2024", "AY2023"]),
        ("{allocation_half_year}", "WH2023", ["WHJ 2023/24", "Winterhalbjahr 2023/2024", "WH 2023/24", "WH2023"]),
        ("{allocation_half_year}", "SH2024", ["SHJ 2024", "Sommerhalbjahr 2024", "SH2024"]),
        ("{year}-12-31", "2024-12-31", ["2024", "31.12.2024", "2024-12-31", "Jahr 2024"]),
        ("SY{year_before}", "SY2023", ["2024"]),
    ],
)  # fmt: skip
def test_every_spelling_of_a_period(template: str, code: str, spellings: list[str]) -> None:
    assert {text: parse_period(text, template) for text in spellings} == dict.fromkeys(spellings, code)


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("{month}", ["13/2024", "15.01.2024", "31.01.2024", "2024-01-15", "Januar", "2024", "Jan 24", "Mrz 24"]),
        ("{quarter}", ["1/2024", "V/2024", "5. Quartal 2024", "2024", "2024-01-01"]),
        ("{half_year}", ["3. Halbjahr 2024", "1/2024", "2024"]),
        ("{school_year}", ["2023", "2023/25", "2024/23", "Schuljahr 23/24"]),
        ("{guidance_year}", ["2023", "2023/22"]),
        ("{allocation_half_year}", ["WHJ 2023", "SHJ 2023/24", "2023/24", "2024"]),
        ("{year}", ["2023/24", "31.12.2024", "24", "1024"]),
        ("{year}-12-31", ["30.06.2024", "2024-06-30", "2023/24"]),
        ("SY{year_before}", ["2023/24"]),
    ],
)
def test_what_is_no_period_of_the_kind(template: str, texts: list[str]) -> None:
    assert {text: parse_period(text, template) for text in texts} == dict.fromkeys(texts)


def test_periods_in_a_title() -> None:
    assert find_periods("Deutschförderung im Schuljahr 2023/24 (Stand: 01.10.2023)", "{school_year}") == ["SY2023"]
    assert find_periods("Bestandserhebung zum 01.01.2024", "{year}-01-01") == ["2024-01-01"]
    assert find_periods("Berichtszeitraum: 01.01.2022 bis 31.12.2022", "{year}") == ["2022"]
    assert find_periods("V1.0 erstellt am: 29.05.2023", "{year}") == []
    assert find_periods("Stand: 05.02.2024, Stichtag 31.12.2023", "{date}") == ["2023-12-31"]
    assert find_periods("Erstellt am 01.04.2024", "{month}") == []
    assert find_periods("Januar 2024 bis März 2024", "{month}") == ["2024-01", "2024-03"]


def test_periods_in_a_file_name() -> None:
    assert periods_in_name("Unterbringung_03157006_2024-03.xlsx", "{month}") == ["2024-03"]
    assert periods_in_name("Ehrenamt_03157006_2024-H1.xlsx", "{half_year}") == ["2024-H1"]
    assert periods_in_name("PKS_Gemeinden_2024.csv", "{year}") == ["2024"]
    assert periods_in_name("PKS_Gemeinden_2024_Stand_2025-02-01.csv", "{year}") == ["2024"]
    assert periods_in_name("PKS_2023_2024.csv", "{year}") == ["2023", "2024"]
    assert periods_in_name("03157006.csv", "{year}") == []
    assert periods_in_name("Bestand_31.12.2024.csv", "{date}") == ["2024-12-31"]


def test_the_time_of_a_column() -> None:
    validity = Validity(since="2024", until="2025-06")
    inside = ["2024", "2024-01", "2024-12-31", "SY2023", "2025", "2025-Q2"]
    outside = ["2023", "2023-12-31", "2025-07", "2026", "SY2022"]
    assert [is_valid(validity, code) for code in inside + outside] == [True] * len(inside) + [False] * len(outside)


def test_keys_get_back_the_one_zero_they_can_lose() -> None:
    assert [complete(text, 8) for text in ("3157006", "03157006", "3157", "03157", "3")] == [
        "03157006", "03157006", "03157", "03157", "03",
    ]  # fmt: skip
    assert [complete(text, 8) for text in ("157", "157006", "X", "")] == ["157", "157006", "X", ""], "no guess"
    assert complete("3157", 5) == "03157" and complete("3157006", 5) == "3157006"
    assert complete("3157", None) == "3157"
    assert [complete(text, 8) for text in ('="03157006"', "'03157006", "3157006.0", "03 157 006")] == ["03157006"] * 4


def test_what_was_typed_where_excel_made_a_date() -> None:
    assert probable_key("1908-08-22", 8) == "03157"
    known = ["unter 3", "3-5", "6 bis 9", "10-14"]
    dates = ("2024-05-03", "03. Mai", "3. Mai", "03.05.2024", "Okt 14", "2014-10-01", "06. Sep")
    assert [probable_label(text, known) for text in dates] == [
        "3-5", "3-5", "3-5", "3-5", "10-14", "10-14", "6 bis 9",
    ]  # fmt: skip
    assert probable_label("12. Dez", known) is None
    assert all(is_date(text) for text in (*dates, "2024-05-03T12:30:00", "12:30:00"))
    assert not any(is_date(text) for text in ("3-5", "03157006", "435*00", "Maifeld 24", "1.234", "2024", "unter 3"))


def test_both_sexes_however_they_are_named() -> None:
    spellings = (
        "Ausländer", "Ausländerinnen und Ausländer", "Ausländer und Ausländerinnen", "Ausländer/-innen",
        "Ausländer/innen", "Ausländer(innen)", "Ausländer*innen", "Ausländer:innen", "AUSLÄNDER 1)",
    )  # fmt: skip
    assert {normalise(text) for text in spellings} == {"auslaender"}
    assert normalise("Schülerinnen und Schüler insgesamt") == normalise("Schüler insgesamt")
    assert normalise("Ausländerinnen") != normalise("Ausländer"), "women are not everybody"
