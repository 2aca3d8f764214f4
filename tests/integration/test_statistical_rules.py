"""The rules of official statistics, held against what is published: counts, rates, territories, secrecy, revisions, definitions.

One county of invented numbers, and with them the figures offices have published about the real one.
"""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.star import GROUP, MUNICIPALITIES, Rows, Star, cell

COUNTY = "03157"
BEFORE_THE_MERGER = [f"03157{number:03d}" for number in range(1, 9)]
POPULATION_2013 = dict(zip(BEFORE_THE_MERGER, (12000, 9000, 11500, 10500, 13000, 48000, 16500, 10500), strict=True))
POPULATION_2022 = dict(zip(MUNICIPALITIES, (12500, 9100, 13900, 51131, 18200, 11700, 22400), strict=True))
REGISTER_2021 = dict(zip(MUNICIPALITIES, (12300, 9000, 13800, 50460, 18000, 11400, 22000), strict=True))
HOUSED = dict(zip(MUNICIPALITIES, (100, 60, 80, 400, 90, 0, 150), strict=True))
RECOGNISED = dict(zip(MUNICIPALITIES, (29, 30, 31, 200, 30, 0, 60), strict=True))
CENSUS = 138931 - 136719
"""Inhabitants the county lost on paper when the base of its population changed."""

BOTH = ("as_delivered", "converted")
OBSERVATION = "measure_code, territory_code, period_code, nationality, sex, age_band, category"
INDICATOR = "indicator_code, definition_version, territory_code, period_code, nationality, sex, age_band, category"
SAID = "value, obs_status, conf_status, territorial_method"
"""What a row of either report says besides its key; with ``known_from`` and its deliveries."""


def people(numbers: dict[str, int], year: int, census: int = 0) -> Rows:
    """Both sexes and the total of each municipality; from 2015 on the county too. A new census base takes from the town."""
    counted = {code: number - (census if code == "03157006" else 0) for code, number in numbers.items()}
    if year > 2014:
        counted[COUNTY] = sum(counted.values())
    return [
        {**GROUP, "territory_code": code, "period_code": f"{year}-12-31", "sex": sex, "value": str(value)}
        for code, number in counted.items()
        for sex, value in (("total", number), ("male", number // 2), ("female", number - number // 2))
    ]


def register() -> Rows:
    date = {"period_code": "2021-12-31", "population_period_code": "2021-12-31"}
    above = [
        {"record_type": "10", "territory_code": "03", "territory_name": "Niedersachsen", **date},
        {"record_type": "40", "text_code": "44", "territory_code": COUNTY, "territory_name": "Peine", **date},
    ]
    return above + [
        {"record_type": "60", "text_code": "64", "territory_code": code, "territory_name": code,
         "area_km2": "50", "population": str(number), **date}
        for code, number in REGISTER_2021.items()
    ]  # fmt: skip


def unemployed() -> Rows:
    """2013, in the territories of that year; Lahstedt's foreigners are secret."""
    rows: Rows = []
    for number, code in enumerate(BEFORE_THE_MERGER, start=1):
        base = {**GROUP, "territory_code": code, "period_code": "2013", "age_band": "total", "category": "total"}
        rows.append({**base, "nationality": "total", "value": str(100 * number)})
        secret = {"value": None, "obs_status": "Q", "conf_status": "C"} if code == "03157004" else {}
        rows.append({**base, "nationality": "foreign", "value": str(10 * number), **secret})
    return rows


def accommodation() -> Rows:
    """Three months; Wendeburg houses nobody and keeps its moves of February secret."""
    rows: Rows = []
    for code in MUNICIPALITIES:
        for month in ("2024-01", "2024-02", "2024-03"):
            rows.append(cell(code, month, "housed_persons", HOUSED[code]))
            rows.append(cell(code, month, "housed_persons", RECOGNISED[code], category="recognised"))
            hidden = code == "03157008" and month == "2024-02"
            secret = {"obs_status": "Q", "conf_status": "C"} if hidden else {}
            rows.append(cell(code, month, "moves_to_own_flat", None if hidden else 2, **secret))
    return rows


def monitor(year: int | str, value: int) -> Rows:
    return [{**GROUP, "territory_code": COUNTY, "period_code": str(year), "value": str(value)}]


def minimum_income() -> Rows:
    base = {**GROUP, "territory_code": COUNTY, "period_code": "2022-12-31", "nationality": "total"}
    numbers = {"minimum_income_recipients": 12160, "minimum_income_rate_published": 89}
    return [{**base, "measure_code": measure, "value": str(value)} for measure, value in numbers.items()]


def grade_8() -> Rows:
    """34 of 209 foreign pupils are in the grammar school, 410 pupils altogether."""
    foreign = {"grammar": 34, "comprehensive": 55, "intermediate": 120}
    everybody = {"grammar": 410, "comprehensive": 500, "intermediate": 600}
    return [
        cell("03157006", "SY2023", "pupils_grade8", value, nationality=nationality, category=school)
        for nationality, numbers in (("foreign", foreign), ("total", everybody))
        for school, value in numbers.items()
    ]


def offences() -> Rows:
    base = {**GROUP, "territory_code": COUNTY, "period_code": "2022", "nationality": "total", "sex": "total"}
    return [{**base, "measure_code": "offences_known", "category": "890000", "value": "7206"}]


def merger() -> Rows:
    """Wendeburg came to Vechelde in 2022, as a whole."""
    return [
        {
            "change_id": "1", "unit_type": "Gemeinde", "change_type": "1", "period_code": "2022", "old_code": "03157008",
            "old_ars": "031570008008", "old_name": "Wendeburg", "new_code": "03157007", "new_ars": "031570007007",
            "new_name": "Vechelde", "area_m2": "50000000", "population": "11400", "legal_date": "2022-07-01",
            "statistical_date": "2022-07-01",
        }
    ]  # fmt: skip


def register_of_2022() -> Rows:
    rows = [{**row, "period_code": "2022-12-31", "population_period_code": "2022-12-31"} for row in register()]
    for row in rows:
        if row["territory_code"] == "03157007":
            row |= {"area_km2": "100", "population": "29400"}
    return [row for row in rows if row["territory_code"] != "03157008"]


DELIVERIES: list[tuple[str, str, Rows]] = [
    ("state_statistics__population", "2014-09-01", people(POPULATION_2013, 2013)),
    ("employment_agency__unemployed_municipal", "2014-06-01", unemployed()),
    ("register__municipalities", "2022-09-01", register()),
    ("police__offences_district", "2023-06-01", offences()),
    ("state_statistics__population", "2023-08-01", people(POPULATION_2022, 2022)),
    ("state_monitor__minimum_income", "2023-12-12", minimum_income()),
    ("schools__german_support", "2024-03-01", grade_8()),
    ("housing__accommodation", "2024-04-10", accommodation()),
    # one cell of February again, and the whole year on the base of the new census
    ("housing__accommodation", "2024-05-10", [cell("03157006", "2024-02", "housed_persons", 430)]),
    ("state_statistics__population", "2024-09-01", people(POPULATION_2022, 2022, CENSUS)),
    ("state_monitor__foreigners", "2023-12-12", monitor("2022-12-31", 15095)),
    ("state_monitor__foreigners", "2024-12-12", monitor("2023-12-31", 15095)),
    ("state_monitor__foreigners", "2025-02-12", monitor("2023-12-31", 15905)),
    ("state_monitor__foreigners", "2025-12-12", monitor("2024-12-31", 16380)),
    ("state_monitor__naturalisations", "2025-12-12", monitor(2024, 208)),
]
MOMENTS = sorted({at for _, at, _ in DELIVERIES})


class County(Star):
    """The star with the tables it had when everything had come in the right order."""

    first: dict[str, str]
    deliveries: list[int]

    def contents(self) -> dict[str, str]:
        """Fingerprint of every table dbt builds for readers."""
        with connecting.connect("transformer", self.settings) as conn:
            names = conn.execute("select tablename from pg_tables where schemaname = 'candidate' order by 1").fetchall()
            found = {}
            for (name,) in names:
                query = (
                    f"select md5(coalesce(string_agg(r::text, '|' order by r::text), '')) from candidate.{name} as r"
                )
                [[found[name]]] = conn.execute(query.encode()).fetchall()
        return found

    def accept(self, *numbers: int, only: bool = False) -> None:
        """These deliveries count (and with ``only`` no others), whatever they did before."""
        states = "case when delivery_id = any(%(ids)s) then 'loaded' when %(only)s then 'failed' else state end"
        with connecting.connect("loader", self.settings) as conn:
            conn.execute(f"update ops.delivery set state = {states}".encode(), {"ids": list(numbers), "only": only})
        self.build()

    def observations(self, at: str, basis: str = "as_delivered") -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Key -> what was known then."""
        said = f"{SAID}, dataset_id, delivery_id, known_from"
        rows = self.ask(f"select {OBSERVATION}, {said} from marts.observation_as_of('{at}', '{basis}')")
        return {row[:7]: row[7:] for row in rows}

    def indicators(self, at: str, basis: str = "as_delivered") -> dict[tuple[Any, ...], tuple[Any, ...]]:
        said = f"{SAID}, numerator, denominator, numerator_delivery_id, denominator_delivery_id, known_from"
        rows = self.ask(f"select {INDICATOR}, {said} from marts.indicator_as_of('{at}', '{basis}')")
        return {row[:8]: row[8:] for row in rows}

    def rate(self, code: str, version: int, territory: str, period: str, nationality: str = "total") -> dict[str, Any]:
        """One result, whichever definition."""
        columns = [
            "value",
            "numerator",
            "denominator",
            "denominator_period_code",
            "obs_status",
            "null_reason",
            "is_small_number",
        ]
        rows = self.ask(
            f"select {', '.join(columns)} from marts.rpt_indicator_definition where indicator_code = '{code}'"
            f" and definition_version = {version} and territory_code = '{territory}' and period_code = '{period}'"
            f" and nationality = '{nationality}' and sex = 'total' and age_band = 'total' and category = 'total'"
        )
        assert len(rows) == 1, rows
        return dict(zip(columns, rows[0], strict=True))


@pytest.fixture(scope="module")
def county(installed: Settings, dbt_work: Path) -> County:
    """Everything has arrived and is built; the last tests leave it as they found it."""
    star = County(installed, dbt_work)
    star.deliveries = [star.deliver(dataset, at, rows) for dataset, at, rows in sorted(DELIVERIES, key=lambda d: d[1])]
    star.build()
    star.first = star.contents()
    assert len(star.first) > 15
    return star


# 1 Ratios


def test_a_rate_is_sum_over_sum_at_every_level(county: County) -> None:
    """Numerators and denominators of the municipalities add up to the county's; nobody averages rates."""
    rows = county.ask(
        f"""
        with part as (
            select {INDICATOR}, numerator, denominator from marts.rpt_indicator_definition
            where length(territory_code) = 8
        )
        select whole.indicator_code, whole.value, definition.multiplier, whole.numerator, whole.denominator,
            sum(part.numerator), sum(part.denominator), avg(part.numerator / nullif(part.denominator, 0))
        from marts.rpt_indicator_definition as whole
        inner join marts.dim_indicator as definition using (indicator_code, definition_version)
        inner join part
            on part.indicator_code = whole.indicator_code and part.definition_version = whole.definition_version
                and part.period_code = whole.period_code and part.nationality = whole.nationality
                and part.sex = whole.sex and part.age_band = whole.age_band and part.category = whole.category
                and left(part.territory_code, 5) = whole.territory_code
        where definition.is_summable and whole.value is not null and whole.denominator is not null
        group by 1, 2, 3, 4, 5, whole.period_code, whole.category, whole.nationality, whole.sex
        """
    )
    compared = {code for code, *_ in rows}
    assert {"WOH-01", "WOH-05", "SPB-07"} <= compared
    for code, value, multiplier, numerator, denominator, numerators, denominators, _ in rows:
        assert (numerator, denominator) == (numerators, denominators), code
        assert value == pytest.approx(numerators / denominators * multiplier), code
    assert any(value != pytest.approx(mean * multiplier) for _, value, multiplier, *_, mean in rows if mean)


def test_below_thirty_events_a_rate_is_marked_as_small(county: County) -> None:
    march = {code: county.rate("WOH-05", 1, code, "2024-03") for code in MUNICIPALITIES}
    assert {code: found["is_small_number"] for code, found in march.items() if found["value"] is not None} == {
        "03157001": True, "03157002": False, "03157005": False, "03157006": False, "03157007": False, "03157009": False,
    }  # fmt: skip
    assert march["03157001"]["numerator"] == 29 and march["03157002"]["numerator"] == 30


def test_shares_carry_the_interval_of_wilson(county: County) -> None:
    """Its bounds are the proportions from which the observed one lies exactly 1.96 standard errors away: found by halving."""
    rows = county.ask(
        "select numerator, denominator, wilson_low / multiplier, wilson_high / multiplier"
        " from marts.rpt_indicator_definition inner join marts.dim_indicator using (indicator_code, definition_version)"
        " where wilson_low is not null"
    )
    assert len(rows) > 20

    def bound(share: float, count: float, outer: float) -> float:
        inner = share
        for _ in range(200):
            middle = (inner + outer) / 2
            if abs(share - middle) <= 1.959963984540054 * math.sqrt(middle * (1 - middle) / count):
                inner = middle
            else:
                outer = middle
        return inner

    for numerator, denominator, low, high in {tuple(map(float, row)) for row in rows}:
        share = numerator / denominator
        assert low == pytest.approx(bound(share, denominator, 0), abs=1e-9)
        assert high == pytest.approx(bound(share, denominator, 1), abs=1e-9)


def test_of_nothing_there_is_no_rate(county: County) -> None:
    """Wendeburg houses nobody: no value, neither 0 nor infinity, and the reason."""
    found = county.rate("WOH-05", 1, "03157008", "2024-03")
    assert found["denominator"] == 0 and found["numerator"] == 0
    assert (found["value"], found["obs_status"], found["null_reason"]) == (None, "M", "zero_denominator")


# 2 and 3 Secrecy and symbols


def test_null_never_becomes_zero(county: County) -> None:
    """What is secret stays without a number in every sum and rate it is part of, on both bases."""
    unemployed = {
        (basis, territory): (value, status, secrecy)
        for basis in BOTH
        for (measure, territory, period, nationality, *_), (value, status, secrecy, *_) in county.observations(
            "2100-01-01", basis
        ).items()
        if (measure, period, nationality) == ("unemployed", "2013", "foreign")
    }
    for cell_of in (
        ("as_delivered", "03157004"),
        ("converted", "03157009"),
        ("as_delivered", COUNTY),
        ("converted", COUNTY),
    ):
        assert unemployed[cell_of] == (None, "Q", "C"), cell_of
    assert unemployed["as_delivered", "03157003"] == (30, "A", "F")
    assert county.rate("WOH-06", 1, "03157008", "2024-Q1")["null_reason"] == "suppressed"
    assert county.rate("WOH-06", 1, COUNTY, "2024-Q1")["value"] is None
    nothing_said = "value is not null and (obs_status in ('Q', 'O', 'M') or conf_status <> 'F')"
    assert county.ask(f"select count(*) from marts.fct_observation_vintage where {nothing_said}") == [(0,)]
    assert county.ask(
        "select count(*) from marts.fct_indicator_vintage where (value is null) <> (null_reason is not null)"
        " or value is not null and (numerator is null or obs_status in ('Q', 'O', 'M'))"
    ) == [(0,)]
    zeros = "select count(*) from marts.fct_observation where value = 0"
    assert county.ask(zeros + " and territorial_basis <> 'converted' and not is_derived") == [(6,)], "as delivered"


# 4 Territory


def test_conversion_preserves_totals(county: County) -> None:
    """2013 on today's municipalities: Ilsede and Lahstedt are one, the county and all others are what they were."""
    sums: dict[str, dict[tuple[Any, ...], Decimal]] = {}
    for basis in BOTH:
        sums[basis] = {}
        for (measure, territory, period, *group), (value, *_) in county.observations("2100-01-01", basis).items():
            if period[:4] == "2013" and len(territory) == 8 and value is not None:
                key = (measure, period, *group)
                sums[basis][key] = sums[basis].get(key, Decimal(0)) + value
    secret = ("unemployed", "2013", "foreign", "total", "total", "total")
    assert sums["as_delivered"].pop(secret) - sums["converted"].pop(secret) == 30, "with a secret part there is no sum"
    assert len(sums["converted"]) == 4
    assert sums["converted"] == sums["as_delivered"]
    merged = ("population", "03157009", "2013-12-31", "total", "total", "total", "total")
    converted = county.observations("2100-01-01", "converted")
    assert converted[merged][:4] == (22000, "A", "F", "exact_sum")
    whole = ("population", COUNTY, *merged[2:])
    assert county.observations("2100-01-01")[whole] == converted[whole]
    assert converted[whole][0] == sum(POPULATION_2013.values())
    assert merged not in county.observations("2100-01-01"), "as delivered it was not there yet"
    assert ("population", "03157003", *merged[2:]) not in converted, "it is no more"
    since = [key for key in county.observations("2100-01-01") if key[2][:4] != "2013"]
    assert {key[1] for key in since} == {"03", COUNTY, *MUNICIPALITIES}, (
        "a register is complete: it makes a state as well"
    )
    assert set(since) == {key for key in converted if key[2][:4] != "2013"}, "who has not changed is on both bases"


# 5 Periods


def test_stocks_are_never_summed_over_time_nor_flows_averaged(county: County) -> None:
    """No number of a period nobody delivered; where a rate takes several periods, stocks are averaged and flows summed."""
    undelivered = """
        select count(*) from candidate.fct_observation_vintage as published
        inner join candidate.dim_measure using (measure_key) inner join candidate.dim_period using (period_key)
        where (measure_code, period_code) not in (
            select measure_code, period_code from intermediate.int_observation__unioned
        )
    """
    assert county.ask(undelivered, role="transformer") == [(0,)]
    taken = county.ask("select distinct takes, behaviour from intermediate.int_indicator__terms", role="transformer")
    assert {behaviour for takes, behaviour in taken if takes == "sum"} <= {"flow", "cohort"}
    assert {behaviour for takes, behaviour in taken if takes == "mean"} <= {"stock", "average"}
    quarter = county.rate("WOH-06", 1, "03157006", "2024-Q1")
    assert (quarter["numerator"], quarter["denominator"]) == (3 * 2, (400 + 430 + 400) / 3)


# 6 Revisions


def test_what_is_known_only_grows(county: County) -> None:
    """A row of an earlier moment that still holds at a later one is the same; nothing gets an earlier date afterwards."""
    for basis in BOTH:
        for known in (county.observations, county.indicators):
            before: dict[tuple[Any, ...], tuple[Any, ...]] = {}
            ended = 0
            for moment in MOMENTS:
                now = known(f"{moment} 12:00", basis)
                held = {key: row for key, row in now.items() if str(row[-1]) < moment}
                assert {key: before[key] for key in held} == held
                assert set(before) <= set(now), "nothing was withdrawn"
                ended += len(set(before) - set(held))
                before = now
            assert ended, "some were revised"


def test_before_the_first_delivery_nothing_is_known(county: County) -> None:
    for basis in BOTH:
        assert county.observations("2014-05-31", basis) == {}
        assert county.indicators("2014-05-31", basis) == {}


def test_as_known_now_is_what_the_reports_show(county: County) -> None:
    for report, basis in (("", "as_delivered"), ("_converted", "converted")):
        rows = county.ask(
            f"select {OBSERVATION}, {SAID}, dataset_id, delivery_id, known_from from marts.rpt_observation{report}"
        )
        assert {row[:7]: row[7:] for row in rows} == county.observations("2100-01-01", basis) != {}
        rows = county.ask(
            f"select {INDICATOR}, {SAID}, numerator, denominator, delivery_id, denominator_delivery_id, known_from"
            f" from marts.rpt_indicator{report}"
        )
        shown = {row[:8]: row[8:] for row in rows}
        known = county.indicators("2100-01-01", basis)
        assert shown and shown == {key: known[key] for key in shown}


def test_a_revision_changes_what_rests_on_it_from_its_day_on(county: County) -> None:
    """The census took 2,212 inhabitants; the correction of one municipality reaches the county."""
    rate = ("ARB-05", 1, COUNTY, "2022-12-31", "total", "total", "total", "total")
    before, after = county.indicators("2024-08-31")[rate], county.indicators("2024-09-02")[rate]
    assert (float(before[0]), float(after[0])) == pytest.approx((12160 / 138.931, 12160 / 136.719))
    february = ("housed_persons", COUNTY, "2024-02", "total", "total", "total", "total")
    assert [county.observations(at)[february][0] for at in ("2024-05-09", "2024-05-11")] == [880, 910]
    [revised] = county.ask(
        "select old_value, new_value from marts.rpt_revision where measure_code = 'population' and period_code = '2022-12-31'"
        f" and territory_code = '{COUNTY}' and sex = 'total'"
    )
    assert revised == (138931, 136719)


# 7 Definitions, and the figures offices have published


def test_the_naturalisation_rate_under_both_definitions(county: County) -> None:
    """Peine 2024: 1.31 % of the stock of the year before, 1.27 % of that of the same year.

    The stock of 2023 is published (15,905, after a copied column had been corrected); 208 naturalisations and a stock of 16,380
    at the end of 2024 are what the two published rates imply.
    """
    earlier, same = county.rate("DEM-04", 1, COUNTY, "2024"), county.rate("DEM-04", 2, COUNTY, "2024")
    assert (round(earlier["value"], 2), earlier["denominator_period_code"]) == (Decimal("1.31"), "2023-12-31")
    assert (round(same["value"], 2), same["denominator_period_code"]) == (Decimal("1.27"), "2024-12-31")
    assert county.ask(
        "select definition_version, round(value, 2) from marts.rpt_indicator where indicator_code = 'DEM-04'"
        f" and territory_code = '{COUNTY}' and period_code = '2024' and sex = 'total'"
    ) == [(1, Decimal("1.31"))], "the reports show one of them"


def test_the_grammar_school_in_a_row_and_in_a_column(county: County) -> None:
    """34 of 209 foreign pupils go there (16.3 %); 8.3 % of those who go there are foreign. The 410 are implied."""
    for territory in ("03157006", COUNTY):
        row = county.rate("SPB-07", 1, territory, "SY2023", nationality="foreign")
        assert (row["numerator"], row["denominator"], round(row["value"], 1)) == (34, 209, Decimal("16.3"))
        column = county.rate("SPB-07", 3, territory, "SY2023")
        assert (column["numerator"], round(column["value"], 1)) == (34, Decimal("8.3"))


def test_the_share_of_foreigners_of_the_register(county: County) -> None:
    """15,095 in the register by 136,719 inhabitants of the new base; before the census by 138,931."""
    found = county.rate("DEM-02", 2, COUNTY, "2022-12-31")
    assert (found["numerator"], found["denominator"]) == (15095, 136719)
    assert round(found["value"], 2) == Decimal("11.04")
    before = county.indicators("2024-08-31")["DEM-02", 2, COUNTY, "2022-12-31", "total", "total", "total", "total"]
    assert round(before[0], 2) == Decimal("10.87")


def test_the_minimum_income_rate_meets_the_published_one(county: County) -> None:
    """12,160 recipients are 89 of 1,000, which holds for the population of the new census base."""
    computed, published = county.rate("ARB-05", 1, COUNTY, "2022-12-31"), county.rate("ARB-05", 2, COUNTY, "2022-12-31")
    assert round(computed["value"]) == published["value"] == 89


def test_the_crime_rate_of_the_police(county: County) -> None:
    """7,206 cases by the 136,960 inhabitants at the end of the year before, summed from the register."""
    found = county.rate("SIO-01", 1, COUNTY, "2022")
    assert (found["numerator"], found["denominator"], found["denominator_period_code"]) == (7206, 136960, "2021-12-31")
    assert round(found["value"]) == 5261


# Correct by construction: the last tests change what has arrived


def test_what_was_known_is_what_a_build_of_that_day_published(county: County) -> None:
    """Without what came later: the same rows, values, dates and deliveries, sums and rates included."""
    day = "2024-06-01"
    expected = [known(day, basis) for basis in BOTH for known in (county.observations, county.indicators)]
    early = [
        number
        for number, (_, at, _) in zip(county.deliveries, sorted(DELIVERIES, key=lambda d: d[1]), strict=True)
        if at < day
    ]
    assert 0 < len(early) < len(county.deliveries)
    county.accept(*early, only=True)
    found = [known("2100-01-01", basis) for basis in BOTH for known in (county.observations, county.indicators)]
    assert found == expected


def test_late_and_in_the_wrong_order_the_same_tables_arise(county: County) -> None:
    """Some of the later ones before the earlier, some withdrawn and accepted again."""
    county.accept(*county.deliveries[1::2], only=True)
    assert county.contents() != county.first
    county.accept(*county.deliveries)
    assert county.contents() == county.first


def written(county: County) -> dict[tuple[str, str], set[str]]:
    """Per measure and period of the observations the transactions that have written their rows."""
    rows = county.ask(
        "select m.measure_code, p.period_code, array_agg(distinct v.xmin::text) from candidate.fct_observation_vintage as v"
        " join candidate.dim_measure as m using (measure_key) join candidate.dim_period as p using (period_key) group by 1, 2",
        role="transformer",
    )
    return {(measure, period): set(transactions) for measure, period, transactions in rows}


@pytest.mark.parametrize(
    ("dataset", "at", "rows"),
    [
        ("register__territorial_changes", "2026-01-15", merger()),
        ("register__municipalities", "2026-01-16", register_of_2022()),
    ],
    ids=["list", "register"],
)
def test_a_list_and_a_register_rebuild_what_they_touch(county: County, dataset: str, at: str, rows: Rows) -> None:
    """Wendeburg ends: whatever has numbers of municipalities is written anew, what speaks of the county alone is not.

    All of the county, and of the state it is all of, are touched where they can be the sum of municipalities. The next test
    holds the tables against those of a full build.
    """
    before = written(county)
    municipal = {
        row[:2]
        for row in county.ask(
            f"select distinct measure_code, period_code from marts.observation_as_of('{at}', 'as_delivered')"
            " where length(territory_code) = 8"
        )
    }
    assert 5 < len(municipal) < len(before) - 5
    county.deliver(dataset, at, rows)
    county.build()
    after = written(county)
    assert {part for part in before if not before[part] & after[part]} == municipal
    assert {part for part in before if before[part] == after[part]} == before.keys() - municipal
    county.first = county.contents()


def test_a_build_of_everything_in_several_passes_gives_the_same_tables(
    county: County, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="teilhabe.building.building")
    [[rows]] = county.ask("select sum(row_count) from ops.delivery where state = 'loaded'", role="loader")
    county.build(force=True, build_rows=int(rows) * 2 // 3)
    assert "pass 2 of 2" in caplog.text
    assert county.contents() == county.first
