"""What is wrong with one row is told of that row, in every layout: the reading goes on and lists all of them at once."""

from __future__ import annotations

from pathlib import Path

from reading_examples import example, read, text

GENESIS = example("""
name: GENESIS-Tabelle
reader: genesis_csv
table: 12411-01-01-4
keys: [period_code, territory_code, territory_name]
value_columns: 1
labels:
  Insgesamt: {measure_code: population}
""")
GENESIS_FILE = """GENESIS-Tabelle: 12411-01-01-4
Bevölkerung;;;
;;;Insgesamt
2023;03157;Peine;10
20x4;03157;Peine;11
2024;03158;Wolfenbüttel;ca. 12
;03158;Wolfenbüttel;13
2023;03158;Wolfenbüttel;14
__________
Stand: 01.02.2025 / 10:00:00
"""
FLAT = example("""
name: Flache Tabelle
reader: ffcsv
statistics: "12411"
labels:
  BEVSTD: {measure_code: population}
""")
FLAT_FILE = (
    "statistics_code;time;1_variable_code;1_variable_attribute_code;1_variable_attribute_label;value;value_unit;"
    "value_variable_code\n"
    "12411;2023;KREISE;03157;Peine;10;Anzahl;BEVSTD\n"
    "12411;20x4;KREISE;03157;Peine;11;Anzahl;BEVSTD\n"
    "12411;2024;KREISE;03158;Wolfenbüttel;ca. 12;Anzahl;BEVSTD\n"
    "12411;;KREISE;03158;Wolfenbüttel;13;Anzahl;BEVSTD\n"
)


def test_a_genesis_table_lists_every_row_without_a_period(tmp_path: Path) -> None:
    result = read(GENESIS, text(tmp_path / "tabelle.csv", GENESIS_FILE))
    periods = [one for one in result.findings if one.rule == "period.not_found"]
    number = result.finding("value.not_a_number")
    assert sorted(place.row for one in periods for place in one.places() or ()) == [5, 7]
    assert {one.found for one in periods} == {None, "20x4"}
    assert [(place.row, place.column) for place in number.places() or ()] == [(6, 4)]
    assert len(result.rows) == 5 and sum(row["period_code"] is None for row in result.rows) == 2


def test_a_flat_file_lists_every_row_without_a_period(tmp_path: Path) -> None:
    result = read(FLAT, text(tmp_path / "flach.csv", FLAT_FILE))
    assert [place.row for place in result.finding("period.not_found").places() or ()] == [3, 5]
    assert [place.row for place in result.finding("value.not_a_number").places() or ()] == [4]
    assert len(result.rows) == 4
