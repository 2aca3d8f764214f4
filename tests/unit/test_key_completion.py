"""A missing or unreadable key is completed where a name can mean one unit only, and never otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading_examples import example, read, text

from teilhabe.validation.unit_names import UnitNames, resolver

UNITS = [
    ("03", "Niedersachsen"),
    ("03101", "Braunschweig, Stadt"),
    ("03101000", "Braunschweig, Stadt"),
    ("03157", "Peine, Landkreis"),
    ("03157006", "Peine, Stadt"),
    ("03157008", "Wendeburg"),
    ("03157003", "Ilsede"),
    ("03157009", "Ilsede"),
    ("03156", "Osterode am Harz, Landkreis"),
    ("03403", "Oldenburg (Oldb), Stadt"),
    ("03458", "Oldenburg, Landkreis"),
]
NAMES = UnitNames(UNITS, {code for code, _ in UNITS} - {"03157003", "03156"})


@pytest.mark.parametrize(
    ("name", "levels", "code"),
    [
        ("Niedersachsen", ("state", "county"), "03"),
        ("Braunschweig, Stadt", ("state", "county"), "03101"),
        ("Braunschweig, Stadt", ("county", "municipality"), None),
        ("Peine", ("state", "county"), "03157"),
        ("Peine", ("municipality",), None),  # the town, or the sum of the county
        ("Peine, Stadt", ("municipality",), "03157006"),
        ("wendeburg ", ("municipality",), "03157008"),
        ("Ilsede", ("municipality",), None),  # one of the two is dissolved
        ("Osterode am Harz, Landkreis", ("county",), None),  # dissolved
        ("Osterode", ("county",), None),
        ("Oldenburg", ("county",), None),
        ("Oldenburg, Landkreis", ("county",), "03458"),
        ("Wendeburg", ("county",), None),  # none of that level
        ("", ("county",), None),
    ],
)
def test_a_name_means_one_unit_or_none(name: str, levels: tuple[str, ...], code: str | None) -> None:
    assert NAMES.code(name, levels) == code  # type: ignore[arg-type]


TIDY = example("""
name: Beispiel
reader: tidy_csv
columns: {territory_code: [Key], territory_name: [Name], period_code: [Year], value: [Value]}
constants: {measure_code: population}
""")
TABLE = example("""
name: Beispiel
reader: table
kinds: [csv]
columns: {territory_code: [Key], territory_name: [Name], period_code: [Year]}
labels:
  Value: {measure_code: population}
""")
LINES = "Key;Name;Year;Value\n03157;Peine;2024;5\n{key};{name};2024;7\n03157008;Wendeburg;2024;8\n;Peine;2023;9\n"


@pytest.mark.parametrize("contract", [TIDY, TABLE])
@pytest.mark.parametrize("key", ["", "#NV", "K0310"])
def test_the_file_and_the_register_complete_keys(tmp_path: Path, contract: object, key: str) -> None:
    path = text(tmp_path / "zahlen.csv", LINES.format(key=key, name="Oldenburg, Landkreis"))
    result = read(contract, path, unit_code=resolver(lambda: NAMES, ("county", "municipality")))  # type: ignore[arg-type]
    assert result.one(value="7")["territory_code"] == "03458"
    assert result.one(value="9")["territory_code"] == "03157"
    assert not [finding for finding in result.findings if finding.severity == "critical"]
    own, register = result.finding("key.completed_from_name"), result.finding("key.completed_from_register")
    assert (own.severity, own.row, own.evidence[0].expected) == ("info", 5, "03157")
    assert (register.severity, register.row, register.evidence[0].expected) == ("info", 3, "03458")
    assert ("fehlt" if not key else "nicht lesbar") in register.message


@pytest.mark.parametrize("contract", [TIDY, TABLE])
def test_what_leaves_a_doubt_stays_a_wrong_key(tmp_path: Path, contract: object) -> None:
    path = text(tmp_path / "zahlen.csv", LINES.format(key="#NV", name="Oldenburg"))
    result = read(contract, path, unit_code=resolver(lambda: NAMES, ("county", "municipality")))  # type: ignore[arg-type]
    assert [evidence.row for evidence in result.finding("key.invalid").evidence] == [3]
