"""Rules of official statistics: given this delivery and what was accepted before, expect these rows to be named.

Each rule has a delivery that just passes and one that just does not. The last part is the offices' own files: they are
accepted, what they really get wrong is named, and defects they once had are made again on them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import ContractError, Evidence, Finding
from teilhabe.findings import saying
from teilhabe.reading import open_reading
from teilhabe.reading.layouts.column_places import ColumnPlaces
from teilhabe.validation import verdict as validation
from teilhabe.validation import whole
from teilhabe.validation.expectation_runs import Expectation, great_expectations, run_expectations
from teilhabe.validation.history import KEY_COLUMNS, NoHistory, latest
from teilhabe.validation.observations import Context, Table, previous_period, tiling
from teilhabe.validation.register import Change, Facts, Lineage, Register
from teilhabe.validation.rules import base
from teilhabe.validation.rules.statistical_catalogue import RULES, parse_rule
from teilhabe.validation.statistical_expectations import EXPECTATIONS, judging
from teilhabe.validation.suite import Suite, contract_expectations, load_suite
from teilhabe.validation.verdict import validate

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
ANY = CONTRACTS["employment_agency__unemployed_district"].model_copy(update={"secrecy_method": "none"})
RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)
PEINE = ("03157001", "03157002", "03157005", "03157006", "03157007", "03157008", "03157009")
LINEAGE = Lineage.from_seed(PROJECT)
Row = Mapping[str, Any]


def row(value: float | None, **columns: str) -> Row:
    """An observation of pupils in Peine at the end of 2023; line and column of the file follow from its place."""
    default = {"measure_code": "pupils", "territory_code": "03157", "territory_name": "Peine", "period_code": "2023"}
    return {**default, "value": value, **columns}


@dataclass
class Seen:
    """What an expectation said, and about how many comparisons."""

    success: bool
    compared: int
    evidence: list[Evidence]
    count: int

    @property
    def rows(self) -> list[int | None]:
        return [e.row for e in self.evidence]


class Known:
    """A history given by hand: rows per dataset."""

    def __init__(self, **datasets: Sequence[Row]) -> None:
        self._datasets = datasets

    def values(self, contract: Contract, dataset_id: str, periods: Any) -> pa.Table | None:
        rows = [r for r in self._datasets.get(dataset_id, ()) if r["period_code"] in periods]
        if not rows:
            return None
        columns = {n: [str(r.get(n, "total")) for r in rows] for n in (*KEY_COLUMNS, "territory_name")}
        return pa.table(
            {**columns, "value": pa.array([None if r["value"] is None else str(r["value"]) for r in rows], pa.string())}
        )


def judged(type_: Any, rows: Any, **given: Any) -> Seen:
    """One expectation, run by Great Expectations as a suite would run it.

    ``secrecy``, ``frequency``, ``regime``: of the contract. ``history``, ``lineage``, ``symbols``, ``unreadable``: around
    the delivery. Everything else is an argument of the expectation.
    """
    secrecy, frequency = given.pop("secrecy", "none"), given.pop("frequency", "yearly")
    regime, lineage = given.pop("regime", "genesis"), given.pop("lineage", LINEAGE)
    history = given.pop("history", None) or NoHistory()
    symbols, unreadable = given.pop("symbols", {}), given.pop("unreadable", {})
    kwargs = given
    parse_rule(type_, kwargs, ANY)
    contract = ANY.model_copy(
        update={
            "secrecy_method": secrecy,
            "calendar": ANY.calendar.model_copy(update={"frequency": frequency}),
            "symbols": ANY.symbols.model_copy(update={"regime": regime}),
        }
    )
    columns = sorted({name for r in rows for name in r} - {"value"})
    frame = pd.DataFrame({name: pd.Categorical([r.get(name, "total") for r in rows]) for name in columns})
    frame["value"] = pd.Series([r["value"] for r in rows], dtype="float64")
    frame["_row_number"] = range(10, 10 + len(rows))
    frame["_column_number"] = 3
    context = Context(contract, lineage, history, symbols, unreadable)
    expectation = Expectation(type_, kwargs, "warning", "a.b", "Satz.", "nichts", scope="observations")
    great_expectations()
    with judging(frame, context):
        result = run_expectations(frame, [expectation])[0]
    evidence = [Evidence(*place) for place in result["details"]["evidence"]]
    evidence = [replace(one, found=saying.found_in_full(one, None), subject=None) for one in evidence]
    assert result["success"] == (result["unexpected_count"] == 0)
    return Seen(result["success"], result["element_count"], evidence, result["unexpected_count"])


def by_sex(total: float | None, male: float | None, female: float | None, **columns: str) -> list[Row]:
    return [
        row(total, sex="total", **columns),
        row(male, sex="male", **columns),
        row(female, sex="female", **columns),
    ]


# --- Parts and totals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secrecy", "tolerance"),
    [("none", 0), ("min3", 0), ("min5", 0), ("round3", 3), ("round5", 6), ("round10", 15), ("ckm", 12)],
)
def test_parts_may_miss_the_total_by_what_the_secrecy_method_does_and_not_by_one_more(
    secrecy: str, tolerance: int
) -> None:
    """Two parts and one total: three numbers, each rounded for itself."""
    parts = "expect_parts_to_add_up_to_total"
    for deviation in (tolerance, -tolerance):
        assert judged(parts, by_sex(100 + deviation, 40, 60), secrecy=secrecy, column="sex").success
    seen = judged(parts, by_sex(100 + tolerance + 1, 40, 60), secrecy=secrecy, column="sex")
    assert (seen.count, seen.rows, seen.compared) == (1, [10], 1)
    assert seen.evidence[0].found == f"Peine (03157), 2023: {101 + tolerance}"
    room = f"{100 - tolerance} bis {100 + tolerance}" if tolerance else "100"
    assert seen.evidence[0].expected == f"{room} (Summe der Teile)"


def test_minimum_income_deviates_by_six_per_number() -> None:
    parts = {"type_": "expect_parts_to_add_up_to_total", "secrecy": "round5", "column": "sex", "max_deviation": 6}
    assert judged(rows=by_sex(118, 40, 60), **parts).success
    assert judged(rows=by_sex(119, 40, 60), **parts).rows == [10]


def test_a_cell_keys_tolerance_can_be_given() -> None:
    parts = {
        "type_": "expect_parts_to_add_up_to_total",
        "secrecy": "ckm",
        "column": "sex",
        "relative": 0.01,
        "absolute": 1,
    }
    assert judged(rows=by_sex(1010, 400, 600), **parts).success
    assert judged(rows=by_sex(1013, 400, 600), **parts).rows == [10]


def test_means_are_rounded_for_themselves() -> None:
    """The mean of twelve months of Peine's unemployed: 3,904 in the county, 3,903 as the sum of its municipalities."""
    parts = {"type_": "expect_parts_to_add_up_to_total", "column": "sex"}
    assert judged(rows=by_sex(101, 40, 60, measure_code="unemployed"), **parts).success
    assert not judged(rows=by_sex(102, 40, 60, measure_code="unemployed"), **parts).success


def test_a_blocked_part_leaves_only_that_the_others_do_not_exceed_the_total() -> None:
    parts = {"type_": "expect_parts_to_add_up_to_total", "secrecy": "min3", "column": "sex"}
    assert judged(rows=by_sex(100, 98, None), **parts).success
    assert judged(rows=by_sex(100, 100, None), **parts).success
    assert judged(rows=by_sex(100, 101, None), **parts).rows == [10]
    assert judged(rows=by_sex(None, 101, None), **parts).compared == 0


def test_rates_and_suspects_are_never_added_up() -> None:
    for measure in ("unemployment_rate_official", "suspects"):
        seen = judged("expect_parts_to_add_up_to_total", by_sex(9, 40, 60, measure_code=measure), column="sex")
        assert (seen.success, seen.compared) == (True, 0)


def test_age_bands_are_added_where_they_cover_every_age_once() -> None:
    def bands(total: float, *codes: str) -> list[Row]:
        return [row(total), *(row(10, age_band=code) for code in codes)]

    parts = {"type_": "expect_parts_to_add_up_to_total", "column": "age_band"}
    assert judged(rows=bands(30, "u3", "3_5", "6plus"), **parts).success
    assert judged(rows=bands(31, "u3", "3_5", "6plus"), **parts).rows == [10]
    assert judged(rows=bands(31, "u3", "6plus"), **parts).compared == 0, "three to five is missing"
    assert judged(rows=bands(30, "u3", "3_5", "u6", "6plus"), **parts).success, "under six is not counted twice"
    assert tiling(["u6", "u3", "3_5", "6plus"]) == ["u3", "3_5", "6plus"]
    assert tiling(["u25", "55plus"]) is None


def test_categories_are_added_only_as_named() -> None:
    rows = [row(30), row(10, category="a"), row(20, category="b"), row(5, category="b_of_which")]
    parts = "expect_parts_to_add_up_to_total"
    assert judged(parts, rows, column="category", parts=["a", "b"]).success
    assert judged(parts, rows, column="category", parts="all").rows == [10]
    with pytest.raises(ContractError, match="categories may overlap"):
        parse_rule(parts, {"column": "category"}, ANY)


def test_each_group_territory_and_period_is_added_for_itself() -> None:
    rows = [
        *by_sex(100, 40, 60),
        *by_sex(100, 40, 61, period_code="2022"),
        *by_sex(100, 41, 60, territory_code="03158"),
        *by_sex(100, 40, 60, nationality="foreign"),
    ]
    seen = judged("expect_parts_to_add_up_to_total", rows, column="sex")
    assert seen.rows == [13, 16]
    assert judged("expect_parts_to_add_up_to_total", rows, column="sex", where={"period_code": "2023"}).rows == [16]


def test_a_part_is_at_most_the_total() -> None:
    rows = {"type_": "expect_parts_not_to_exceed_total", "column": "nationality"}
    assert judged(rows=[row(50), row(50, nationality="foreign")], **rows).success
    seen = judged(rows=[row(50), row(51, nationality="foreign")], **rows)
    assert (seen.rows, seen.evidence[0].found) == ([11], "Peine (03157), 2023, Ausländerinnen und Ausländer: 51")
    assert seen.evidence[0].expected == "höchstens 50"
    assert judged(rows=[row(50), row(54, nationality="foreign")], secrecy="round5", **rows).success
    assert not judged(rows=[row(50), row(55, nationality="foreign")], secrecy="round5", **rows).success


# --- Municipalities and county ------------------------------------------------------------------------------------------


def in_peine(county: float, *towns: float | None, period: str = "2023", **columns: str) -> list[Row]:
    return [
        row(county, period_code=period, **columns),
        *(row(v, territory_code=c, period_code=period, **columns) for c, v in zip(PEINE, towns, strict=False)),
    ]


def test_municipalities_make_the_county() -> None:
    rule = "expect_municipalities_to_add_up_to_county"
    assert judged(rule, in_peine(70, *[10] * 7)).compared == 1
    assert judged(rule, in_peine(70, *[10] * 7)).success
    seen = judged(rule, in_peine(71, *[10] * 7))
    assert seen.rows == [10]
    assert seen.evidence[0].expected == "70 (Summe der Teile)"
    assert judged(rule, in_peine(86, *[10] * 7), secrecy="round5").success, "seven parts and a total: 16"
    assert not judged(rule, in_peine(87, *[10] * 7), secrecy="round5").success


def test_a_county_is_judged_only_with_all_its_municipalities() -> None:
    rule = "expect_municipalities_to_add_up_to_county"
    assert judged(rule, in_peine(99, *[10] * 6)).compared == 0, "one is not in the file"
    assert judged(rule, in_peine(99, *[10] * 6, None)).success, "one is blocked"
    assert not judged(rule, in_peine(59, *[10] * 6, None)).success, "the six alone are more than the county"


def test_the_register_of_the_day_says_which_municipalities_there_are() -> None:
    """Until the end of 2014 Ilsede and Lahstedt stood in place of the new Ilsede."""
    rule = "expect_municipalities_to_add_up_to_county"
    old = [row(10, territory_code=c, period_code="2014") for c in ("03157003", "03157004")]
    assert judged(rule, [*in_peine(80, *[10] * 6, period="2014"), *old]).compared == 1
    assert judged(rule, [*in_peine(80, *[10] * 6, period="2014"), *old]).success
    assert not judged(rule, [*in_peine(81, *[10] * 6, period="2014"), *old]).success
    assert judged(rule, [*in_peine(81, *[10] * 6, period="2015"), *old]).compared == 0


@pytest.mark.parametrize("measure", ["suspects", "moves_in", "unemployment_rate_official"])
def test_measures_that_do_not_add_up_over_territory_are_left_alone(measure: str) -> None:
    seen = judged("expect_municipalities_to_add_up_to_county", in_peine(1, *[10] * 7, measure_code=measure))
    assert (seen.success, seen.compared) == (True, 0)


# --- In time ------------------------------------------------------------------------------------------------------------


def two_years(same: int, of: int = 20, value: float = 50) -> list[Row]:
    before = [row(value + n, territory_code=f"03{n:03}", period_code="2022") for n in range(of)]
    now = [row(value + n + (n >= same), territory_code=f"03{n:03}", period_code="2023") for n in range(of)]
    return [*before, *now]


def test_half_the_values_may_be_those_of_the_year_before_and_no_more() -> None:
    rule = "expect_share_of_unchanged_values_to_be_below"
    assert judged(rule, two_years(10)).success
    seen = judged(rule, two_years(11))
    assert seen.rows == list(range(30, 41)), "the rows of the new year that only repeat"
    assert "11 von 20" in str(seen.evidence[0].expected)
    assert judged(rule, two_years(19, of=19)).success, "nineteen values say nothing"
    assert judged(rule, two_years(20), ignore_below=100).success, "small numbers repeat by chance"
    assert judged(rule, two_years(20), secrecy="round5").success, "rounded, fifty stays fifty"
    assert not judged(rule, two_years(20, value=500), secrecy="round5").success


def test_a_form_of_one_municipality_is_copied_when_most_of_its_numbers_are() -> None:
    rule = "expect_share_of_unchanged_values_to_be_below"
    form = [row(50 + n, category=f"c{n}", period_code=year) for year in ("2022", "2023") for n in range(8)]
    assert judged(rule, form, min_values=8).success, "each group for itself has one number"
    assert judged(rule, form, min_values=8, together=True).rows == list(range(18, 26))


def test_a_form_of_one_municipality_is_judged_as_a_whole() -> None:
    """One value per group is too few to tell a copy; all groups of the form together are enough."""
    groups = [("2022", n, 50 + n) for n in range(20)] + [("2023", n, 50 + n) for n in range(20)]
    rows = [row(value, category=f"c{n}", period_code=year) for year, n, value in groups]
    rule = "expect_share_of_unchanged_values_to_be_below"
    assert judged(rule, rows).success
    assert judged(rule, rows, together=True).count == 20


def test_the_year_before_may_have_been_accepted_earlier() -> None:
    before, now = two_years(20)[:20], two_years(20)[20:]
    rule = "expect_share_of_unchanged_values_to_be_below"
    assert judged(rule, now).compared == 0
    seen = judged(rule, now, history=Known(employment_agency__unemployed_district=before))
    assert (seen.compared, len(seen.rows), seen.rows[0]) == (20, 20, 10)


def test_change_to_the_vintage_so_far_stays_in_its_band() -> None:
    so_far = Known(employment_agency__unemployed_district=[row(100), row(20, territory_code="03158")])
    rule = {
        "type_": "expect_change_to_previous_vintage_to_be_between",
        "history": so_far,
        "min_factor": 0.5,
        "max_factor": 2.0,
    }
    assert judged(rows=[row(50), row(1, territory_code="03158")], **rule).success, "below thirty nothing is said"
    assert judged(rows=[row(200)], **rule).success
    seen = judged(rows=[row(201), row(49, territory_code="03158")], **rule)
    assert seen.rows == [10, 11]
    assert seen.evidence[0].expected == "50 bis 200 (bisher 100)"
    assert judged(rows=[row(None), row(9, territory_code="03159")], **rule).compared == 0, "blocked or new is no change"


def test_a_first_delivery_has_no_vintage_to_change() -> None:
    assert judged("expect_change_to_previous_vintage_to_be_between", [row(1)]).compared == 0


def test_change_to_the_period_before_stays_in_its_band() -> None:
    rule = {"type_": "expect_change_to_previous_period_to_be_between", "min_factor": 0.5, "max_factor": 2.0}
    years = [
        row(100, period_code="2022"),
        row(200),
        row(100, period_code="2021", territory_code="03158"),
        row(900, territory_code="03158"),
    ]
    assert judged(rows=years, **rule).success, "2021 is not the year before 2023"
    assert judged(rows=[row(100, period_code="2022"), row(200.5)], **rule).rows == [11]
    assert judged(rows=[row(100, period_code="2022"), row(49)], **rule).rows == [11]
    with pytest.raises(ContractError, match="min_factor must be below max_factor"):
        parse_rule(str(rule["type_"]), {"min_factor": 2.0, "max_factor": 2.0})


@pytest.mark.parametrize(
    ("code", "frequency", "before"),
    [("2024", "yearly", "2023"), ("2024", "per_term", None), ("2024-01", "monthly", "2023-12"), ("2024-Q1", "quarterly", "2023-Q4"),
     ("2024-H2", "half_yearly", "2024-H1"), ("SY2024", "yearly", "SY2023"), ("SH2024", "half_yearly", "WH2023"),
     ("WH2024", "half_yearly", "SH2024"), ("2024-02-29", "yearly", "2023-02-28"), ("2024-03-31", "monthly", "2024-02-29"),
     ("2024-03-01", "yearly", "2023-03-01"), ("unklar", "yearly", None)],
)  # fmt: skip
def test_the_period_before(code: str, frequency: str, before: str | None) -> None:
    assert previous_period(code, frequency) == before


def test_what_was_and_what_came_make_what_is() -> None:
    """A press figure: 7,741 + 35 = 7,776, printed 7,779."""
    rule = "expect_previous_plus_change_to_equal_current"
    change = {"change": {"measure_code": "moves_in"}, "current": {"measure_code": "population"}}

    def printed(now: float) -> list[Row]:
        return [
            row(7741, measure_code="population", period_code="2022"),
            row(35, measure_code="moves_in"),
            row(now, measure_code="population"),
        ]

    assert judged(rule, printed(7776), **change).success
    seen = judged(rule, printed(7779), **change)
    assert (seen.rows, seen.evidence[0].expected) == ([12], "7.776")
    assert judged(rule, printed(7779), tolerance=3, **change).success
    assert judged(rule, printed(7779)[1:], **change).compared == 0
    earlier = Known(employment_agency__unemployed_district=printed(0)[:1])
    assert judged(rule, printed(7779)[1:], history=earlier, **change).rows == [11]


def test_a_target_is_quota_and_what_was_carried_over() -> None:
    rule = "expect_previous_plus_change_to_equal_current"
    half = {"period_code": "SH2024", "territory_code": "03157001"}
    rows = [row(40, measure_code="allocation_quota", **half), row(-3, measure_code="allocation_carry_over", **half)]
    kwargs = {"previous": "allocation_quota", "change": "allocation_carry_over", "current": "allocation_target"}
    assert judged(rule, [*rows, row(37, measure_code="allocation_target", **half)], **kwargs).success
    seen = judged(rule, [*rows, row(43, measure_code="allocation_target", **half)], **kwargs)
    assert (seen.rows, seen.evidence[0].expected) == ([12], "37")


def test_what_is_carried_over_is_what_the_half_year_before_left() -> None:
    rule = "expect_previous_plus_change_to_equal_current"
    kwargs = {
        "current": "allocation_carry_over",
        "previous": "allocation_target",
        "minus": "allocation_admitted",
        "previous_period": True,
    }

    def rows(carried: float) -> list[Row]:
        return [
            row(40, measure_code="allocation_target", period_code="WH2023"),
            row(38, measure_code="allocation_admitted", period_code="WH2023"),
            row(carried, measure_code="allocation_carry_over", period_code="SH2024"),
            row(7, measure_code="allocation_admitted", period_code="SH2024"),
        ]

    assert judged(rule, rows(2), frequency="half_yearly", **kwargs).success
    assert judged(rule, rows(3), frequency="half_yearly", **kwargs).rows == [12]


# --- Ratios and parts of a whole ----------------------------------------------------------------------------------------

RATIO = {
    "ratio": {"measure_code": "school_leavers_share_published", "nationality": "foreign"},
    "numerator": {"measure_code": "school_leavers", "nationality": "foreign"},
    "denominator": {"measure_code": "school_leavers"},
}


def shares(share: float, foreign: float = 20, total: float = 200, territory: str = "03157") -> list[Row]:
    return [
        row(share, measure_code="school_leavers_share_published", nationality="foreign", territory_code=territory),
        row(foreign, measure_code="school_leavers", nationality="foreign", territory_code=territory),
        row(total, measure_code="school_leavers", territory_code=territory),
    ]


def test_a_ratio_is_what_its_parts_make_of_it() -> None:
    rule = "expect_ratio_to_equal_its_parts"
    assert judged(rule, shares(10.05), **RATIO).success
    seen = judged(rule, shares(10.06), **RATIO)
    assert (seen.rows, seen.evidence[0].expected) == ([10], "10")
    assert judged(rule, shares(8.1), secrecy="round5", **RATIO).count == 1
    assert judged(rule, shares(9.0), secrecy="round5", **RATIO).success, "18 of 200 may have been rounded to 20 of 200"
    assert judged(rule, shares(10, total=0), **RATIO).compared == 0


def test_a_share_of_the_column_is_recognised() -> None:
    """16.3 % of all foreign leavers leave in this county; that 8.3 % of its leavers are foreign is another thing."""
    rows = [*shares(25, 20, 200), *shares(30, 60, 200, "03158")]
    seen = judged("expect_ratio_to_equal_its_parts", rows, **RATIO)
    assert seen.rows == [10]
    assert seen.evidence[0].expected == "10 (geliefert ist der Anteil an der Spaltensumme)"


def test_parts_of_a_ratio_may_stand_in_another_dataset() -> None:
    kwargs = {**RATIO, "denominator": {"dataset": "state_statistics__school_leavers", "measure_code": "school_leavers"}}
    rule = "expect_ratio_to_equal_its_parts"
    assert judged(rule, shares(11)[:2], **kwargs).compared == 0, "nothing accepted there yet"
    accepted = Known(state_statistics__school_leavers=[row(200, measure_code="school_leavers")])
    assert judged(rule, shares(11)[:2], history=accepted, **kwargs).rows == [10]
    assert judged(rule, shares(10)[:2], history=accepted, **kwargs).success


def test_a_subset_is_at_most_its_set() -> None:
    rule = {"type_": "expect_part_measure_not_to_exceed", "part": "voters", "whole": "eligible_voters"}
    rows = [row(500, measure_code="eligible_voters"), row(500, measure_code="voters")]
    assert judged(rows=rows, **rule).success
    assert judged(rows=[rows[0], row(501, measure_code="voters")], **rule).rows == [11]
    foreign = {
        "part": {"measure_code": "suspects", "nationality": "foreign"},
        "whole": {"measure_code": "suspects", "nationality": "total"},
    }
    seen = judged(
        "expect_part_measure_not_to_exceed",
        [row(5, measure_code="suspects"), row(6, measure_code="suspects", nationality="foreign")],
        **foreign,
    )
    assert seen.rows == [11]


def test_all_or_nobody_of_a_small_group_is_told() -> None:
    rule = {"type_": "expect_no_disclosing_shares", "column": "category", "max_whole": 10}
    assert judged(rows=[row(10), row(1, category="a"), row(9, category="b")], **rule).success
    seen = judged(rows=[row(10), row(0, category="a"), row(10, category="b")], **rule)
    assert seen.rows == [11, 12]
    assert judged(rows=[row(11), row(0, category="a")], **rule).success, "a large group"
    assert judged(rows=[row(0), row(0, category="a")], **rule).success, "nobody is nobody's group"
    with pytest.raises(ContractError, match="either part and whole, or column"):
        parse_rule("expect_no_disclosing_shares", {})


# --- Completeness and territories ---------------------------------------------------------------------------------------


def test_every_municipality_of_the_register_has_its_rows() -> None:
    rule = {"type_": "expect_period_to_be_complete", "level": "municipality", "within": "03157"}
    full = in_peine(70, *[10] * 7)
    assert judged(rows=full, **rule).success
    seen = judged(rows=full[:-1], **rule)
    assert [e.found for e in seen.evidence] == ["Gebiet 03157009, 2023: fehlt"]
    assert judged(rows=[*full[:-1], {**full[-1], "value": None}], **rule).success, (
        "a blocked value is not a missing row"
    )


def test_a_file_without_a_single_due_territory_is_not_complete_either() -> None:
    rule = {"type_": "expect_period_to_be_complete", "level": "municipality", "within": "03157"}
    seen = judged(rows=[row(70)], **rule)
    assert len(seen.evidence) == 7, "all municipalities of 2023, none of the former ones"
    assert seen.evidence[0].found == "Gebiet 03157001, 2023: fehlt"
    full = in_peine(70, *[10] * 7)
    seen = judged(rows=[*full, row(70, period_code="2024")], **rule)
    assert {str(e.found).split(", ")[1] for e in seen.evidence} == {"2024: fehlt"}
    assert len(seen.evidence) == 7
    elsewhere = judged(
        rows=[row(5, territory_code="01")], type_="expect_period_to_be_complete", level="municipality", within="01051"
    )
    assert [e.found for e in elsewhere.evidence] == ["2023: kein Gebiet der Ebene Gemeinde in Gebiet 01051"]


def posts(*values: float | None, period: str = "2024", measure: str = "social_work_fte") -> list[Row]:
    places = ("03157001", "03157002", "03157005", "03157006", "03157007", "03157008", "03157009")
    return [
        row(value, measure_code=measure, territory_code=place, period_code=period)
        for place, value in zip(places, values, strict=False)
    ]


SCALE = "expect_values_to_keep_their_scale"
OWN = ANY.dataset_id


@pytest.mark.parametrize("factor", [10, 100, 1000, 0.01])
def test_values_that_all_leap_by_a_power_of_ten_have_lost_or_won_a_comma(factor: float) -> None:
    before = posts(0.75, 1.5, 2.25, 19.5, 1.1, period="2023")
    seen = judged(
        SCALE, posts(*(value * factor for value in (0.75, 1.75, 2.0, 19.0, 1.1))), history=Known(**{OWN: before})
    )
    assert seen.count == 5
    assert seen.evidence[3].expected == "etwa 19,5 (im Vorzeitraum)"
    again = judged(
        SCALE, posts(*(value * factor for value in (0.75, 1.75, 2.0))), history=Known(**{OWN: posts(0.75, 1.5, 2.25)})
    )
    assert (again.count, again.evidence[0].expected) == (3, "etwa 0,75 (bisher)")


def test_a_development_is_no_change_of_scale() -> None:
    before = posts(0.75, 1.5, 2.25, 19.5, 1.1, period="2023")
    for values in ((0.75, 1.75, 2.0, 19.0, 1.1), (7.5, 1.5, 2.25, 19.5, 1.1), (3.0, 6.0, 9.0, 60.0, 4.4)):
        assert judged(SCALE, posts(*values), history=Known(**{OWN: before})).success
    assert judged(SCALE, posts(75, 150), history=Known(**{OWN: before})).success, "two values say nothing"
    few, many = posts(3, 4, 5, measure="offences_known", period="2023"), posts(30, 40, 50, measure="offences_known")
    assert judged(SCALE, many, history=Known(**{OWN: few})).success, "small counts do grow tenfold"
    thousands = posts(3000, 4000, 5000, measure="offences_known")
    assert judged(SCALE, thousands, history=Known(**{OWN: few})).count == 3, "but not a thousandfold"


def test_without_history_shares_that_are_all_whole_multiples_of_five_have_lost_their_comma() -> None:
    assert judged(SCALE, posts(1950, 1100, 850, 150, 75)).count == 5
    assert judged(SCALE, posts(1950, 1100, 850, 150, 75, measure="counselling_cases")).success, "cases are whole"
    assert judged(SCALE, posts(1, 2, 3, 20, 1)).success
    assert judged(SCALE, posts(19.5, 25, 50, 75, 100)).success
    assert judged(SCALE, posts(1941, 1103, 850), usual_max={"social_work_fte": 300}).count == 3


def rates(*values: float, measure: str = "unemployment_rate_official") -> list[Row]:
    return [row(value, measure_code=measure, period_code=str(2000 + n)) for n, value in enumerate(values)]


def test_percentages_without_an_earlier_delivery_are_neither_fractions_nor_tenfold() -> None:
    """Several years of one file are all on the same scale, so they say nothing of it."""
    right = (6.8, 6.1, 6.4, 5.8, 15.3, 5.3, 7.0, 8.2, 9.1, 10.0)
    assert judged(SCALE, rates(*right)).success
    fractions = judged(SCALE, rates(*(value / 100 for value in right)))
    assert (fractions.count, fractions.evidence[0].expected) == (
        10,
        "einen Anteil in Prozent, z. B. 34,6 und nicht 0,346",
    )
    tenfold = judged(SCALE, rates(*(value * 10 for value in right)))
    assert (tenfold.count, tenfold.evidence[0].expected) == (10, "eine Zahl mit Dezimalkomma, z. B. 6,8")
    assert judged(SCALE, rates(0.4, 0.5, 0.9)).success, "three small shares are possible"
    assert judged(SCALE, rates(40, 25, 30, 35, 90, 100)).success, "an office may round to whole per cent"
    assert judged(SCALE, rates(*(value / 100 for value in right), measure="social_work_fte")).success


def test_an_earlier_delivery_speaks_for_its_measures_only() -> None:
    fractions = rates(0.068, 0.061, 0.064, 0.058, 0.153, 0.053, 0.07, 0.082, 0.091, 0.1)
    known = Known(**{OWN: rates(6.8, 6.1, 6.4, 5.8, measure="unemployment_rate_dependent")})
    assert judged(SCALE, fractions, history=known).count == 10


def test_measures_that_may_have_fractions_are_held_to_their_scale_in_every_dataset() -> None:
    """Named in each row or once for the whole contract."""
    ruled = {
        dataset_id
        for dataset_id, contract in CONTRACTS.items()
        if any(one.rule == "values.scale" for one in contract_expectations(contract))
    }
    assert {
        "state_monitor__day_care_language",
        "state_monitor__minimum_income_rate",
        "state_monitor__school_leavers",
        "employment_agency__unemployed_district",
        "civic__social_work",
    } <= ruled
    assert "state_monitor__population" not in ruled


def test_every_territory_has_every_group_of_the_table() -> None:
    rule = {"type_": "expect_period_to_be_complete", "by": ["sex"]}
    rows = [*by_sex(1, 1, 0), *by_sex(1, 1, 0, territory_code="03158", territory_name="Wolfenbüttel")]
    assert judged(rows=rows, **rule).success
    seen = judged(rows=rows[:-1], **rule)
    assert [e.found for e in seen.evidence] == ["Wolfenbüttel (03158), 2023, weiblich: fehlt"]
    drifted = [*rows, row(5, period_code="2010"), row(5, period_code="2010", territory_code="03158")]
    assert judged(rows=drifted, **rule).success, "a column that did not exist in 2010 is nobody's gap"


def test_the_months_of_a_year_file() -> None:
    def months(*numbers: int) -> list[Row]:
        return [row(5, period_code=f"2024-{n:02}") for n in numbers]

    rule = "expect_period_to_be_complete"
    assert judged(rule, months(1, 2, 3), from_start_of_year=True).success
    missing = judged(rule, months(2, 4), from_start_of_year=True)
    assert [e.found for e in missing.evidence] == ["Januar 2024: fehlt", "März 2024: fehlt"]
    assert [e.found for e in judged(rule, months(2, 4), consecutive=True).evidence] == ["März 2024: fehlt"]
    assert judged(rule, months(2, 4)).success


def test_a_territory_vanishes_or_appears_only_with_a_reason() -> None:
    rule = {"type_": "expect_territories_to_match_previous_period", "level": "municipality"}

    def town(code: str, year: str, value: float | None = 5) -> Row:
        return row(value, territory_code=code, period_code=year, territory_name="Ort")

    stable = [town("03157001", "2020"), town("03157001", "2021")]
    assert judged(rows=stable, **rule).success
    seen = judged(rows=[*stable, town("03157002", "2020"), town("03157005", "2021")], **rule)
    assert [e.found for e in seen.evidence] == [
        "Ort (03157002), 2021: verschwunden",
        "Ort (03157005), 2021: neu",
    ]
    assert judged(rows=[*stable, town("03157002", "2020"), town("03157002", "2021", None)], **rule).count == 1
    merged = [town("03157003", "2014"), town("03157009", "2015"), town("03157001", "2014"), town("03157001", "2015")]
    assert judged(rows=merged, **rule).success, "the merger of 2015"
    late = [{**r, "period_code": str(int(r["period_code"]) + 2)} for r in merged]
    assert judged(rows=late, **rule).success, "offices re-key late: unemployment of 2016 stood under the key of 2014"
    elsewhere = [town("01051001", "2020"), town("01051001", "2021"), town("01051002", "2020")]
    assert judged(rows=elsewhere, **rule).success, "no list of changes is known there: nothing can be said"


def test_lineage_of_delivered_editions_and_changes() -> None:
    facts = Facts(
        {date(2013, 12, 31): frozenset({"05111001", "05111002"})},
        (Change("05111002", "05111003", date(2015, 1, 1)),),
        frozenset({2014, 2015}),
    )
    lineage = Lineage(lambda: facts)
    assert lineage.municipalities("05111", date(2014, 12, 31)) == frozenset({"05111001", "05111002"})
    assert lineage.municipalities("05111", date(2015, 12, 31)) == frozenset({"05111001", "05111003"})
    assert lineage.municipalities("05111", date(2016, 12, 31)) is None, "the changes of 2016 are not known"
    assert lineage.municipalities("05111", date(2012, 12, 31)) is None
    assert lineage.explains("05111002", date(2014, 12, 31), date(2015, 12, 31))
    assert lineage.explains("05111001", date(2015, 1, 1), date(2015, 12, 31)) is False
    assert lineage.explains("05111001", date(2020, 12, 31), date(2021, 12, 31)) is None


# --- Signs --------------------------------------------------------------------------------------------------------------


def test_signs_are_those_of_the_regime() -> None:
    rule = "expect_symbols_of_the_regime"
    assert judged(rule, [row(1)], regime="genesis", symbols={"-": 5, ".": 2, "0": 40}).success
    new = judged(rule, [row(1)], regime="genesis", symbols={"-": 5}, unreadable={"k": 3, "g": 1})
    assert [e.found for e in new.evidence] == ["g (1-mal; neue LSN-Zeichen)", "k (3-mal; neue LSN-Zeichen)"]
    old = judged(rule, [row(1)], regime="lsn_new", unreadable={".": 7})
    assert [e.found for e in old.evidence] == [".  (7-mal; GENESIS)".replace("  ", " ")]
    assert judged(rule, [row(1)], regime="lsn_new", unreadable={"ca. 5": 1}).success, "nobody's sign"


def test_zeros_without_a_single_dash_have_changed_their_meaning() -> None:
    rule = "expect_symbols_of_the_regime"
    assert judged(rule, [row(1)], regime="genesis", symbols={"0": 19}).success
    seen = judged(rule, [row(1)], regime="genesis", symbols={"0": 20})
    assert seen.evidence[0].expected == "- für genau null; 0 hieße: gerundet null"
    assert judged(rule, [row(1)], regime="lsn_new", symbols={"0": 20}).success


# --- The catalogue and the suites -----------------------------------------------------------------------------------------


def test_every_rule_is_an_expectation_with_words_and_a_source() -> None:
    from great_expectations.expectations.registry import get_expectation_impl

    assert len(RULES) >= 13
    for type_, rule in RULES.items():
        assert get_expectation_impl(type_) is EXPECTATIONS[type_]
        assert rule.__doc__ and rule.source and rule.advice
        assert rule.sentence_de.endswith(".") and not rule.expected_de.endswith(".")
        assert str(EXPECTATIONS[type_].__doc__).count(rule.source) == 1
    assert len({rule.rule for rule in RULES.values()}) == len(RULES)


def test_the_catalogue_in_the_documentation_is_that_of_the_code() -> None:
    text = (PROJECT / "docs" / "reference" / "expectations.md").read_text(encoding="utf-8")
    for type_, rule in RULES.items():
        section = text.partition(f"### `{type_}`")[2].partition("\n### ")[0]
        assert section, type_
        assert all(f"`{name}`" in section for name in rule.model_fields if name != "where"), type_
        assert f"`{rule.rule}`" in section
        assert rule.sentence_de in section
    assert text.count("### `expect_") == len(RULES)


GOOD: dict[str, Any] = {
    "type": "expect_parts_not_to_exceed_total",
    "kwargs": {"column": "nationality"},
    "severity": "warning",
    "meta": {"scope": "observations"},
}


WORDS = {"scope": "observations", "rule": "a.b", "sentence_de": "Satz.", "expected_de": "nichts"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"kwargs": {}}, "kwargs.column: Field required"),
        ({"kwargs": {"column": "territory_code"}}, "kwargs.column"),
        ({"kwargs": {"column": "sex", "colour": 1}}, "kwargs.colour: is an unknown argument"),
        ({"kwargs": {"column": "sex", "where": {"sexx": "male"}}}, "kwargs.where: no column 'sexx'"),
        ({"kwargs": {"column": "sex", "where": {"sex": "males"}}}, "kwargs.where: no sex 'males'"),
        ({"kwargs": {"column": "sex", "where": {"measure_code": "unemployd"}}}, "no measure_code 'unemployd'"),
        ({"kwargs": {"column": "sex", "max_deviation": -1}}, "kwargs.max_deviation"),
        ({"meta": {}}, "needs meta.scope: observations"),
        ({"type": "expect_parts_to_be_nice", "meta": WORDS}, "is no statistical expectation; known: expect_change"),
        ({"meta": {"scope": "observations", "loosened": {"date": "2026-11-22"}}}, "meta.loosened: needs date and reason"),
        ({"meta": {"scope": "observations", "loosened": {"date": "bald", "reason": "x"}}}, "meta.loosened.date"),
        ({"meta": {"scope": "observations", "sentence": "x"}}, "meta: unknown key 'sentence'"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_told_with_file_and_place(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    suite = {"name": ANY.dataset_id, "expectations": [GOOD, {**GOOD, **change}]}
    path = tmp_path / ANY.agency / f"{ANY.dataset}.json"
    path.parent.mkdir()
    path.write_text(json.dumps(suite), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        load_suite(tmp_path, ANY)
    assert str(caught.value).startswith(f"{path}: expectations[1]: ")
    assert what in str(caught.value)


def test_words_of_the_catalogue_stand_where_a_suite_has_none(tmp_path: Path) -> None:
    path = tmp_path / ANY.agency / f"{ANY.dataset}.json"
    path.parent.mkdir()
    better = {"scope": "observations", "sentence_de": "Mehr Ausländer als Arbeitslose.", "rule": "x.y"}
    path.write_text(json.dumps({"name": ANY.dataset_id, "expectations": [GOOD, {**GOOD, "meta": better}]}))
    plain, worded = load_suite(tmp_path, ANY).expectations
    assert (plain.rule, plain.sentence_de) == ("parts.exceed_total", "Ein Teil ist größer als die Summe.")
    assert (worded.rule, worded.sentence_de) == ("x.y", "Mehr Ausländer als Arbeitslose.")


def test_the_register_has_no_observations_to_judge(tmp_path: Path) -> None:
    contract = CONTRACTS["register__municipalities"]
    path = tmp_path / "register" / "municipalities.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"name": contract.dataset_id, "expectations": [GOOD]}))
    with pytest.raises(ContractError, match="has none"):
        load_suite(tmp_path, contract)


def test_the_latest_vintage_of_each_observation() -> None:
    rows = pa.table(
        {
            "_delivery_id": [7, 7, 3, 9],
            "territory_code": ["03157", "03158", "03157", "03158"],
            "period_code": ["2023"] * 4,
            "value": ["1", "2", "3", None],
        }
    )
    kept = latest(rows, [3, 7, 9], {"measure_code": "population"}).to_pylist()
    assert [(r["territory_code"], r["value"]) for r in kept] == [("03157", "1"), ("03158", None)]
    assert {(r["measure_code"], r["sex"]) for r in kept} == {("population", "total")}


def test_tables_are_joined_by_text_not_by_code() -> None:
    one = Table.from_frame(pd.DataFrame({"territory_code": ["a", "b"], "value": [1.0, 2.0]}))
    other = Table.from_frame(pd.DataFrame({"territory_code": ["c", "a"], "value": [3.0, 4.0]}))
    both = one.joined(other)
    assert [both.text("territory_code", n) for n in range(4)] == ["a", "b", "c", "a"]
    group, _ = both.groups(["territory_code"])
    assert group[0] == group[3] != group[1]


# --- Through the verdict ------------------------------------------------------------------------------------------------


@dataclass
class Given:
    """A reading whose table is given."""

    table: pa.Table
    findings: list[Finding]
    layout_name: str = "by hand"
    names_resolved: dict[str, str] = field(default_factory=dict)
    symbols: dict[Any, Any] = field(default_factory=dict)
    places: ColumnPlaces = field(default_factory=ColumnPlaces)

    def chunks(self) -> Iterator[pa.Table]:
        yield self.table


def verdict(dataset_id: str, table: pa.Table, register: Register | None = None, **given: Any) -> validation.Verdict:
    contract = CONTRACTS[dataset_id]
    suite = given.pop("suite", None) or load_suite(PROJECT / "expectations", contract)
    given_reading: Any = Given(table, [])
    return validate(
        contract,
        suite,
        given_reading,
        register or Register([], []),
        file_name="zahlen.csv",
        received_at=RECEIVED,
        **given,
    )


def long_table(contract: Contract, size: int) -> pa.Table:
    columns = {name: pa.array(["total"] * size) for name in contract.column_names}
    columns |= {
        "territory_code": pa.array([f"{n:08}" for n in range(size)]),
        "period_code": pa.array(["2023"] * size),
        "value": pa.array(["5"] * size),
        "obs_status": pa.array(["A"] * size),
        "conf_status": pa.array(["F"] * size),
    }
    if "measure_code" in columns:
        columns["measure_code"] = pa.array(["unemployed"] * size)
    numbers = pa.array(range(2, size + 2), pa.int32())
    return pa.table({**columns, "_row_number": numbers, "_column_number": pa.array([4] * size, pa.int32())})


def exceed(severity: str = "warning") -> Suite:
    entry = Expectation(
        "expect_parts_not_to_exceed_total", {"column": "sex", "total": "male"}, severity, "parts.exceed_total",  # type: ignore[arg-type]
        "Ein Teil ist größer als die Summe.", "höchstens die Summe", scope="observations", shown_column="value",
    )  # fmt: skip
    return Suite(ANY.dataset_id, (entry,))


def test_a_finding_names_place_period_and_group_in_one_sentence() -> None:
    contract = CONTRACTS[ANY.dataset_id]
    table = long_table(contract, 2)
    table = table.set_column(table.column_names.index("territory_code"), "territory_code", pa.array(["03157", "03157"]))
    table = table.set_column(table.column_names.index("territory_name"), "territory_name", pa.array(["Peine", "Peine"]))
    table = table.set_column(table.column_names.index("sex"), "sex", pa.array(["male", "female"]))
    table = table.set_column(table.column_names.index("value"), "value", pa.array(["4", "1200"]))
    found = next(
        f for f in verdict(ANY.dataset_id, table, suite=exceed("critical")).findings if f.rule == "parts.exceed_total"
    )
    assert found.message == (
        "Datei „zahlen.csv“, Zeile 3, Spalte 4: Ein Teil ist größer als die Summe; "
        "gefunden „Peine (03157), 2023, weiblich: 1.200“, erwartet höchstens 4."
    )
    assert (found.row, found.severity, found.evidence[0].expected) == (3, "critical", "höchstens 4")


def test_a_delivery_too_large_to_be_held_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "ROW_LIMIT", 9)
    table = long_table(CONTRACTS[ANY.dataset_id], 10)
    found = [f for f in verdict(ANY.dataset_id, table, suite=exceed()).findings if f.rule == "observations.not_checked"]
    assert [f.severity for f in found] == ["info"]
    counted = "civic__sports_clubs"
    nothing_asked = verdict(counted, long_table(CONTRACTS[counted], 10), suite=Suite(counted, ()))
    rules = {f.rule for f in nothing_asked.findings}
    assert "observations.not_checked" not in rules


def test_evidence_is_capped_and_the_count_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "EVIDENCE_SHOWN", 200)
    rows = [r for n in range(250) for r in by_sex(1, 40, 60, territory_code=f"{n:05}")]
    seen = judged("expect_parts_to_add_up_to_total", rows, column="sex")
    assert (seen.count, len(seen.evidence)) == (250, 200)


def test_history_is_not_asked_where_no_rule_needs_it() -> None:
    class Untouchable:
        def values(self, *_: Any) -> pa.Table | None:
            raise AssertionError("nobody needs the history")

    counted = "civic__sports_clubs"
    verdict(counted, long_table(CONTRACTS[counted], 3), suite=exceed(), history=Untouchable())


# --- The offices' own files -----------------------------------------------------------------------------------------------

MONITOR = {
    "population": "1-1-1", "foreigners": "1-2-1", "foreigners_age": "1-2-6", "naturalisations": "2-3-1", "day_care_language": "3-1-2",
    "day_care_origin": "3-1-3", "school_leavers": "4-1-4", "employees": "5-2-1", "minimum_income": "6-2-1",
}  # fmt: skip
VINTAGES = ("2021-12", "2022-12", "2023-12")


def statistical(dataset_id: str, path: Path, history: Any = None) -> list[Finding]:
    """What the dataset's own suite says about a real file; no register, so keys are not judged here."""
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the real files")
    contract = CONTRACTS[dataset_id]
    suite = load_suite(PROJECT / "expectations", contract)
    reading = open_reading(contract, path, path.name)
    told = validate(
        contract, suite, reading, Register([], []), file_name=path.name, received_at=RECEIVED, history=history
    )
    # Rows of a published table that nobody will mend are left out; whatever is not about certain rows would keep the file out.
    stopping = [f for f in told.findings if f.severity == "critical" and (contract.mendable or f.places() is None)]
    assert not stopping, [f.message for f in stopping]
    rules = {e.rule for e in suite.expectations if e.scope == "observations"}
    return [f for f in told.findings if f.rule in rules]


def monitor(real_files: Path, dataset: str, vintage: str) -> tuple[str, Path]:
    return (
        f"state_monitor__{dataset}",
        real_files / "lsn_integration_monitor" / vintage / f"indicator_{MONITOR[dataset]}.csv",
    )


def table_of(dataset_id: str, path: Path) -> pa.Table:
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the real files")
    chunks = open_reading(CONTRACTS[dataset_id], path, path.name).chunks()
    plain = [
        pa.table({n: t[n].cast(pa.string()) if pa.types.is_dictionary(t[n].type) else t[n] for n in t.column_names})
        for t in chunks
    ]
    return pa.concat_tables(plain)


REALLY_WRONG = {
    "day_care_language": {"values.copied"},
    "day_care_origin": {"change.to_period"},
    "school_leavers": {"change.to_period"},
    "employees": {"parts.sum"},
    "minimum_income": {"parts.sum", "change.to_period", "value.negative"},
}
"""What the monitor's files really have: a year copied from the one before, men and women that do not make the total, a rate of
4 per 1,000 between two of 386, two negative rates. The negative rows are left out, the rest is a warning: none keeps the file out."""


@pytest.mark.parametrize("vintage", VINTAGES)
@pytest.mark.parametrize("dataset", sorted(MONITOR))
def test_the_monitors_own_files_are_accepted(real_files: Path, dataset: str, vintage: str) -> None:
    found = statistical(*monitor(real_files, dataset, vintage))
    assert {f.rule for f in found} <= REALLY_WRONG.get(dataset, set()), [f.message for f in found]
    assert {f.rule for f in found if f.severity == "critical"} <= {"value.negative"}


@pytest.mark.parametrize("dataset", sorted(MONITOR))
def test_one_vintage_after_the_other_is_accepted(real_files: Path, dataset: str) -> None:
    before = table_of(*monitor(real_files, dataset, "2022-12")).to_pylist()
    known = Known(**{f"state_monitor__{dataset}": [_filled(f"state_monitor__{dataset}", r) for r in before]})
    found = statistical(*monitor(real_files, dataset, "2023-12"), history=known)
    assert {f.rule for f in found} <= REALLY_WRONG.get(dataset, set()) | {"change.to_vintage"}, [
        f.message for f in found
    ]


def _filled(dataset_id: str, given: Row) -> Row:
    return {
        **CONTRACTS[dataset_id].constants,
        **{k: v for k, v in given.items() if v is not None},
        "value": given["value"],
    }


def test_a_year_of_the_day_care_shares_repeats_the_year_before(real_files: Path) -> None:
    """Defect 2 as it stands in the file: 2011 is 2010 in 50 of 50 areas."""
    dataset_id, path = monitor(real_files, "day_care_language", "2023-12")
    found = next(f for f in statistical(dataset_id, path) if f.rule == "values.copied")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    copied = [n for n, line in enumerate(csv.reader(lines), start=1) if line[0] == "2011" and line[1] != ""]
    named = [e.row for e in found.evidence]
    assert set(named) <= set(copied)
    assert len([n for n in named if "fremd" not in lines[int(n or 0) - 1]]) == len(named)
    assert any("50 von 50" in str(e.expected) for e in found.evidence)


def test_a_copied_column_is_found(real_files: Path) -> None:
    """Defect 2 made again: foreigners of 2022 are those of 2021 in 51 of 52 areas."""
    dataset_id, path = monitor(real_files, "foreigners", "2023-12")
    table = table_of(dataset_id, path)
    rows = table.to_pylist()
    before = {r["territory_code"]: r["value"] for r in rows if r["period_code"] == "2021-12-31"}
    touched = [n for n, r in enumerate(rows) if r["period_code"] == "2022-12-31"][:-1]
    values = [before[r["territory_code"]] if n in set(touched) else r["value"] for n, r in enumerate(rows)]
    spoilt = table.set_column(table.column_names.index("value"), "value", pa.array(values, pa.string()))
    assert not [f for f in verdict(dataset_id, table).findings if f.rule == "values.copied"]
    found = next(f for f in verdict(dataset_id, spoilt).findings if f.rule == "values.copied")
    assert {e.row for e in found.evidence} == {rows[n]["_row_number"] for n in touched}
    assert f"{len(touched)} von {len(touched) + 1}" in found.message


def test_keys_that_slipped_by_one_are_found(real_files: Path) -> None:
    """Defect 1 made again: names right, keys the neighbour's, 467 rows."""
    dataset_id, path = monitor(real_files, "foreigners_age", "2023-12")
    table = table_of(dataset_id, path)
    rows = table.to_pylist()
    names = {r["territory_code"]: r["territory_name"] for r in rows}
    keys = sorted(names)
    following = dict(zip(keys, keys[1:] + keys[:1], strict=True))
    codes = [following[r["territory_code"]] if n < 467 else r["territory_code"] for n, r in enumerate(rows)]
    spoilt = table.set_column(table.column_names.index("territory_code"), "territory_code", pa.array(codes))
    register = Register(names.items(), [date(2022, 12, 31)])
    assert "name.of_other_key" not in {f.rule for f in verdict(dataset_id, table, register).findings}
    told = verdict(dataset_id, spoilt, register)
    slipped = next(f for f in told.findings if f.rule == "name.of_other_key")
    assert not told.accepted
    doubtful = next(f for f in told.findings if f.rule == "name.disagrees")
    assert slipped.row_count + doubtful.row_count > 420, "all but the regions and cities called like their neighbour"
    assert {e.row for e in slipped.evidence} <= {r["_row_number"] for r in rows[:467]}


@pytest.mark.parametrize(
    ("indicator", "numerator", "denominator"), [("1-2-2", "1-2-1", "1-1-1"), ("2-3-3", "2-3-1", "1-2-1")]
)
def test_published_shares_are_recomputed(real_files: Path, indicator: str, numerator: str, denominator: str) -> None:
    """Defect 3: the shares of these vintages fit their parts in every area; a tenth of a point more, and all are named."""
    folder = real_files / "lsn_integration_monitor" / "2021-12"

    def column(number: str, measure: str, add: float = 0.0) -> list[Row]:
        path = folder / f"indicator_{number}.csv"
        if not path.is_file():
            pytest.skip(f"{path.name} is not among the real files")
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return [
                row(float(line["Value"]) + add, measure_code=measure, territory_code=line["GeoCode"] + line["Gebietseinheit"],
                    territory_name=line["Gebietseinheit"], period_code=line["Year"])
                for line in csv.DictReader(lines)
                if line.get("Kategorie", "Ausländerinnen").endswith("Ausländerinnen und Ausländern") or "Kategorie" not in line
            ]  # fmt: skip

    parts = [*column(numerator, "naturalisations"), *column(denominator, "foreigners_register")]
    kwargs = {
        "ratio": "employment_share_published",
        "numerator": "naturalisations",
        "denominator": "foreigners_register",
    }
    right = judged(
        "expect_ratio_to_equal_its_parts", [*column(indicator, "employment_share_published"), *parts], **kwargs
    )
    assert right.compared > 600
    assert right.success, right.evidence[:3]
    wrong = judged(
        "expect_ratio_to_equal_its_parts", [*column(indicator, "employment_share_published", 0.1), *parts], **kwargs
    )
    assert wrong.count == right.compared


@pytest.mark.parametrize(
    ("dataset_id", "file", "rules", "named"),
    [
        ("employment_agency__unemployed_municipal", "employment_agency/13211-01-03-5_00.csv", {"parts.exceed_total"},
         "Ellerhoop (01056014), 2016, Langzeitarbeitslose: 854"),
        ("employment_agency__unemployed_district", "employment_agency/13211-02-05-4_00.csv", {"parts.exceed_total", "change.to_period"},
         "Ahrweiler, Landkreis (07131), 2009, Arbeitslose, Langzeitarbeitslose: 10.706"),
        ("state_statistics__asylum_benefits", "lsn_genesis/22221-01-01-4_00.csv", {"parts.sum", "change.to_period"},
         "Waldeck-Frankenberg, Landkreis (06635), 31.12.2010: 146"),
        ("state_statistics__school_leavers", "lsn_genesis/21111-02-06-4_00.csv", {"parts.sum"}, None),
        ("state_statistics__naturalisations", "lsn_genesis/12511-01-01-4.csv", {"change.to_period"}, None),
        ("state_statistics__pupils", "lsn_genesis/21111-01-03-4.csv", set(), None),
        ("state_statistics__day_care", "lsn_genesis/22541-01-04-4_00.csv", set(), None),
    ],
)  # fmt: skip
def test_federal_tables_are_accepted_and_their_wrong_cells_named(
    real_files: Path, dataset_id: str, file: str, rules: set[str], named: str | None
) -> None:
    """854 long-term unemployed of 26: official tables have cells like that, and other counties must not wait for them."""
    found = statistical(dataset_id, real_files / file)
    assert {f.rule for f in found} == rules, [f.message for f in found]
    if named:
        assert named in [saying.found_in_full(e, None) for f in found for e in f.evidence]
