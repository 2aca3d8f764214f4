"""The catalogue: what its seeds promise before any database has seen them."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from teilhabe.codes.groups import AGE_BAND, NATIONALITIES, SEXES
from teilhabe.codes.measures import measure_codes

PROJECT = Path(__file__).resolve().parents[2]
SEEDS = PROJECT / "dbt_project" / "seeds"
AGREED = Path(os.environ.get("TEILHABE_REAL_FILES") or PROJECT.parent / "shared" / "real").parent / "indicators.csv"

Row = dict[str, str]


def rows_of(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def seed(name: str) -> list[Row]:
    return rows_of(SEEDS / f"{name}.csv")


INDICATORS = seed("indicators")
DEFINITIONS = seed("indicator_definitions")
TERMS = seed("indicator_terms")
WORDED = (
    "indicator_fields",
    "indicators",
    "indicator_definitions",
    "period_rules",
    "frameworks",
    "series_breaks",
    "indicator_targets",
)
"""Seeds with words for people."""


def key(row: Row) -> tuple[str, str]:
    return row["indicator_code"], row["definition_version"]


def test_all_63_indicators_52_of_them_core_in_six_fields() -> None:
    assert len(INDICATORS) == len({row["indicator_code"] for row in INDICATORS}) == 63
    assert Counter(row["catalogue_set"] for row in INDICATORS) == {"core": 52, "ext": 10, "ref": 1}
    fields = {row["field_code"] for row in seed("indicator_fields")}
    assert {row["field_code"] for row in INDICATORS} == fields
    assert len(fields) == 6
    of_prefix = {(row["indicator_code"][:3], row["field_code"]) for row in INDICATORS}
    assert len(of_prefix) == 6, "the letters of a code say the field"


@pytest.mark.parametrize("name", WORDED)
def test_every_text_is_there_in_both_languages(name: str) -> None:
    rows = seed(name)
    german = [column for column in rows[0] if column.endswith("_de")]
    assert german
    for row in rows:
        for column in german:
            english = column.removesuffix("_de") + "_en"
            assert bool(row[column]) == bool(row[english]), (name, row, column)
            same = row[column] == row[english] and re.search(r"[a-zäöü]{4}", row[column])
            assert not same or name == "frameworks", (name, row[column])


def test_what_nobody_may_leave_out_is_there() -> None:
    for row in INDICATORS:
        assert (
            row["name_de"] and row["caveat_de"] and row["frequency"] and row["level_published"] and row["level_needed"]
        )
    for row in DEFINITIONS:
        assert row["definition_de"] and row["unit_de"] and row["framework_code"], key(row)
        assert (row["definition_version"] == "1") == (not row["name_de"]), "a further version has a name of its own"


def test_every_indicator_has_a_default_and_every_definition_its_terms() -> None:
    defaults = Counter(row["indicator_code"] for row in DEFINITIONS if row["is_default"] == "true")
    assert set(defaults) == {row["indicator_code"] for row in INDICATORS}
    assert set(defaults.values()) == {1}
    assert {key(row) for row in DEFINITIONS} == {key(row) for row in TERMS}


def test_a_ratio_has_a_denominator_and_a_count_has_none() -> None:
    with_denominator = {key(row) for row in TERMS if row["role"] == "denominator"}
    assert {key(row) for row in TERMS if row["role"] == "numerator"} == {key(row) for row in DEFINITIONS}
    for row in DEFINITIONS:
        if row["aggregation"] != "as_delivered":
            assert (row["aggregation"] == "ratio_of_sums") == (key(row) in with_denominator), key(row)
        if row["is_proportion"] == "true":
            assert key(row) in with_denominator, key(row)


def test_terms_select_what_the_product_knows() -> None:
    formulas = seed("measure_formulas")
    known = measure_codes(PROJECT)
    assert {row["measure_code"] for row in TERMS} <= known
    assert {row[column] for row in formulas for column in ("measure_code", "part_measure_code")} <= known
    for row in TERMS:
        assert row["nationality"] in NATIONALITIES | {"each", "same"}, row
        assert row["sex"] in SEXES | {"each", "same"}, row
        assert row["age_band"] in ("each", "same") or re.fullmatch(AGE_BAND, row["age_band"]), row


def test_every_period_rule_is_carried_out_and_explained() -> None:
    rules = {row["period_rule"]: row["takes"] for row in seed("period_rules")}
    assert {row["period_rule"] for row in TERMS} <= set(rules)
    periods = (PROJECT / "dbt_project/models/intermediate/int_indicator__periods.sql").read_text(encoding="utf-8")
    cells = (PROJECT / "dbt_project/macros/indicator_partitions.sql").read_text(encoding="utf-8")
    manual = (PROJECT / "docs/reference/star.md").read_text(encoding="utf-8")
    for rule, takes in rules.items():
        assert f"'{rule}'" in periods
        assert f"`{rule}`" in manual
        assert (takes in ("sum", "mean")) == (f"when '{rule}' then" in cells), rule
        assert (takes == "mean") == ("mean" in rule), (
            "the arithmetic divides by the number of cells where the name says mean"
        )


def test_what_may_not_be_summed_is_taken_as_delivered() -> None:
    """statistics.md, section 1: suspects, K2, the official unemployment rate; published shares have no parts at all."""
    taken = {key(row) for row in DEFINITIONS if row["aggregation"] == "as_delivered"}
    assert {
        ("SIO-05", "1"),
        ("SIO-06", "1"),
        ("ARB-07", "1"),
        ("ARB-02", "1"),
        ("DEM-05", "1"),
        ("WOH-10", "1"),
    } <= taken
    measures = {row["measure_code"]: row for row in seed("measures")}
    alone = {key(row) for row in DEFINITIONS} - {key(row) for row in TERMS if row["role"] == "denominator"}
    for row in TERMS:
        if measures[row["measure_code"]]["is_additive_over_territory"] == "false" or (
            key(row) in alone and row["indicator_code"] != "DEM-01"
        ):
            assert key(row) in taken, row


def test_two_official_definitions_of_one_indicator_stand_side_by_side() -> None:
    """statistics.md, section 7, and the row and column share of section 8."""
    versions: dict[str, list[Row]] = {}
    for row in DEFINITIONS:
        versions.setdefault(row["indicator_code"], []).append(row)
    for code in ("DEM-02", "DEM-04", "SPB-07", "SPB-08", "ARB-05"):
        assert len(versions[code]) > 1, code
        assert len({row["framework_code"] for row in versions[code]}) > 1, code
    denominators = {key(row): row for row in TERMS if row["role"] == "denominator"}
    assert denominators["DEM-04", "1"]["period_rule"] == "year_end_previous"
    assert denominators["DEM-04", "2"]["period_rule"] == "year_end_same"
    row_share, column_share = denominators["SPB-07", "1"], denominators["SPB-07", "3"]
    assert (row_share["nationality"], row_share["category"]) == ("same", "total")
    assert (column_share["nationality"], column_share["category"]) == ("total", "same")


def test_a_place_in_a_framework_belongs_to_a_definition_and_whom_it_follows_is_among_them() -> None:
    frameworks = {row["framework_code"] for row in seed("frameworks")}
    places = seed("indicator_frameworks")
    assert {key(row) for row in places} <= {key(row) for row in DEFINITIONS}
    assert {row["framework_code"] for row in places} | {"county"} == frameworks
    named = {(*key(row), row["framework_code"]) for row in places}
    assert len({(*key(row), row["framework_code"], row["their_code"]) for row in places}) == len(places)
    for row in DEFINITIONS:
        assert row["framework_code"] == "county" or (*key(row), row["framework_code"]) in named, key(row)


def test_breaks_name_series_there_are() -> None:
    breaks = seed("series_breaks")
    assert {row["measure_code"] for row in breaks} - {""} <= measure_codes(PROJECT)
    assert {row["indicator_code"] for row in breaks} - {""} <= {row["indicator_code"] for row in INDICATORS}
    assert {row["kind"] for row in breaks} >= {"census_base", "definition", "territory", "method", "collection"}
    assert ("census_2022", "population", "2022-05-15") in {
        (row["break_code"], row["measure_code"], row["from_date"]) for row in breaks
    }


def test_the_catalogue_is_the_agreed_one() -> None:
    if not AGREED.is_file():
        pytest.skip("the agreed catalogue (shared/indicators.csv) is not beside this checkout")
    agreed = {row["code"]: row for row in rows_of(AGREED)}
    ours = {row["indicator_code"]: row for row in INDICATORS}
    assert set(ours) == set(agreed)
    first = {row["indicator_code"]: row for row in DEFINITIONS if row["definition_version"] == "1"}
    divided = {
        row["indicator_code"] for row in TERMS if row["role"] == "denominator" and row["definition_version"] == "1"
    }
    evidence = {row["indicator_code"]: row["evidence"] for row in seed("indicator_frameworks")}
    for code, row in agreed.items():
        assert ours[code]["catalogue_set"] == row["set"], code
        assert ours[code]["direction"] == row["direction"].split(" ")[0], code
        if code in divided:
            assert first[code]["multiplier"] == row["multiplier"], code
        assert evidence.get(code, row["evidence"]) == row["evidence"], code
        if "icht " in row["aggregation"] or "NICHT" in row["aggregation"] or "übernehmen" in row["aggregation"]:
            assert first[code]["aggregation"] == "as_delivered", (code, row["aggregation"])
