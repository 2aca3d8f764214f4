"""Text in, value and statuses out: the two regimes and the three ways to write a number."""

from __future__ import annotations

import pyarrow as pa
import pytest

from teilhabe.codes.territory import from_genesis
from teilhabe.contract.layouts import NumberFormat, Regime, SymbolRules
from teilhabe.reading.cells.labels import normalise
from teilhabe.reading.cells.periods import parse_period
from teilhabe.reading.cells.symbols import convert
from teilhabe.reading.files.grid import Grid, joined_header


def converted(
    text: str, regime: Regime = "genesis", numbers: NumberFormat = "german", **rules: object
) -> tuple[object, ...]:
    result = convert(pa.array([text]), SymbolRules.model_validate({"regime": regime, **rules}), numbers)
    return (
        result.value[0].as_py(),
        result.obs_status[0].as_py(),
        result.conf_status[0].as_py(),
        result.bad[0].as_py(),
    )


@pytest.mark.parametrize(
    ("regime", "text", "expected"),
    [
        ("genesis", "-", ("0", "A", "F", False)),
        ("genesis", "0", ("0", "A", "F", False)),
        ("genesis", ".", (None, "Q", "C", False)),
        ("genesis", "/", (None, "O", "F", False)),
        ("genesis", "x", (None, "M", "F", False)),
        ("genesis", "...", (None, "O", "F", False)),
        ("genesis", "(12)", ("12", "U", "F", False)),
        ("genesis", "12 p", ("12", "P", "F", False)),
        ("genesis", "12r", ("12", "A", "F", False)),
        ("genesis", "12s", ("12", "E", "F", False)),
        ("genesis", "g", (None, "M", "F", True)),
        ("genesis", "", (None, "M", "F", True)),
        ("lsn_new", "k", ("0", "A", "F", False)),
        ("lsn_new", "g", (None, "Q", "C", False)),
        ("lsn_new", "u", (None, "O", "F", False)),
        ("lsn_new", "12u", ("12", "U", "F", False)),
        ("lsn_new", "t", (None, "O", "F", False)),
        ("lsn_new", "-", (None, "M", "F", True)),
        ("ba", "*", (None, "Q", "C", False)),
        ("ba", "-", ("0", "A", "F", False)),
        ("none", "*", (None, "M", "F", True)),
    ],
)
def test_a_symbol_means_what_its_regime_says(regime: Regime, text: str, expected: tuple[object, ...]) -> None:
    assert converted(text, regime) == expected


@pytest.mark.parametrize(
    ("numbers", "text", "value"),
    [
        ("german", "1.234,50", "1234.50"),
        ("german", "146 795", "146795"),
        ("german", "146\u00a0795", "146795"),
        ("german", "146\u2009795", "146795"),
        ("german", "7,0", "7.0"),
        ("german", "+12", "12"),
        ("german", "-3", "-3"),
        ("german", "007", "7"),
        ("german", "0,5", "0.5"),
        ("english", "7,250", "7250"),
        ("english", "5,294.3", "5294.3"),
        ("international", "1.23E-2", "0.0123"),
        ("international", "4.09211347430664E-02", "0.0409211347430664"),
        ("international", "1e+05", "100000"),
        ("international", "1.2E7", "12000000"),
        ("international", "1.36960E+05", "136960"),
    ],
)
def test_numbers_become_plain_decimal_text(numbers: NumberFormat, text: str, value: str) -> None:
    assert converted(text, "none", numbers) == (value, "A", "F", False)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ("german", "1.5"),
        ("german", "1,234.5"),
        ("english", "7,25"),
        ("international", "7,5"),
        ("german", "12 a"),
        ("international", "1.37E+05"),
        ("international", "1E+05"),
        ("international", "1.37e+05"),
    ],
)
def test_a_number_in_another_notation_is_no_number(numbers: NumberFormat, text: str) -> None:
    assert converted(text, "none", numbers)[3] is True


def test_a_contract_may_add_symbols() -> None:
    assert converted("", "none", also={"": "missing"}) == (None, "M", "F", False)
    assert converted("99999", "none", also={"99999": "suppressed"}) == (None, "Q", "C", False)
    assert converted("-", "genesis", dash="missing") == (None, "M", "F", False)


@pytest.mark.parametrize(
    ("text", "template", "code"),
    [
        ("2016", "{year}", "2016"),
        ("Jahr: 2016", "{year}", "2016"),
        ("2015", "SY{year}", "SY2015"),
        ("2015/16", "SY{year}", "SY2015"),
        ("2015", "SY{year_before}", "SY2014"),
        ("31.12.2015", "{date}", "2015-12-31"),
        ("2015-12-31", "{date}", "2015-12-31"),
        ("2015", "{year}-12-31", "2015-12-31"),
        ("31.12.2015", "{year}-12-31", "2015-12-31"),
        ("30.06.2015", "{year}-12-31", None),
        ("2015", "{date}", None),
        ("31.02.2015", "{date}", None),
        ("Insgesamt", "{year}", None),
    ],
)
def test_periods(text: str, template: str, code: str | None) -> None:
    assert parse_period(text, template) == code


def test_headers_match_whatever_their_spelling() -> None:
    assert normalise("Häufigkeits-\nzahl 1)") == normalise("Haeufigkeitszahl")
    assert normalise("Ausländer(innen)") == normalise("Ausländer/-innen")
    assert normalise("Oberschule1)") == normalise("oberschule")
    assert normalise("7. Klassenstufe") != normalise("8. Klassenstufe")


def test_merged_headers_are_filled_below_their_parent_only() -> None:
    header = [
        ["Schlüssel", "Fälle", "", "Aufklärung", ""],
        ["", "Anzahl", "in %", "Anzahl", "AQ"],
        ["", "", "", "Fälle", ""],
    ]
    grid = Grid(None, header, [1, 2, 3])
    assert [" ".join(texts) for texts in joined_header(grid, 0, 3, guess=True)] == [
        "Schlüssel",
        "Fälle Anzahl",
        "Fälle in %",
        "Aufklärung Anzahl Fälle",
        "Aufklärung AQ",
    ]


def test_keys_of_genesis_tables() -> None:
    assert from_genesis("03153401006") == "03153006"
    assert from_genesis("03153401") == "031535401"
    assert from_genesis("03153504") == "03153504"
    assert from_genesis("0713100007") == "07131007"
    assert from_genesis("0713101") == "071315001"
    assert from_genesis("DG") == "DG"
