"""The dbt project against a real server: given these raw rows, expect these published numbers."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from teilhabe import ops
from teilhabe.building import releasing
from teilhabe.contract.parsing import load_contracts
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.conftest import PROJECT
from tests.star import GROUP, MUNICIPALITIES, Rows, Star, cell


@pytest.fixture(scope="module")
def star(installed: Settings, dbt_work: Path) -> Star:
    """A warehouse with one county's deliveries in it, built once."""
    star = Star(installed, dbt_work)
    star.deliver("register__municipalities", "2022-02-01", register_edition())
    star.deliver("police__offences_district", "2023-06-01", offences())
    star.deliver("employment_agency__unemployed_municipal", "2017-06-01", unemployed())
    star.deliver("state_statistics__population", "2023-08-01", [population("138931")])
    star.deliver("state_statistics__population", "2023-09-01", [population("1")], state="quarantined")
    star.deliver("jobcentre__clients", "2024-06-01", integrations())
    star.deliver("housing__accommodation", "2024-04-01", accommodation())
    star.deliver("civic__social_work", "2024-04-10", [cell("03157006", "2024-Q1", "social_work_fte", "1.5")])
    star.deliver("housing__allocation", "2024-04-10", allocation())
    star.deliver("civic__sports_clubs", "2022-02-10", clubs(), sender="verband@demo.teilhabe.example")
    star.deliver("state_statistics__migration", "2023-07-01", migration())
    with loading.session(installed) as conn:
        ops.record_datasets(conn, load_contracts(PROJECT / "agencies").values())
    star.build_by_hand()
    return star


def register_edition() -> Rows:
    """Three municipalities and an uninhabited area; the register names the county but gives it no numbers."""
    date = {"period_code": "2021-12-31", "population_period_code": "2021-12-31"}
    units: list[tuple[str | None, ...]] = [
        ("10", None, "03", "Niedersachsen", None, None),
        ("40", "44", "03157", "Peine", None, None),
    ]
    units += [
        ("60", "64", "03157001", "Edemissen", "104.12", "12960"),
        ("60", "63", "03157006", "Peine, Stadt", "119.84", "100000"),
        ("60", "64", "03157009", "Ilsede", "84.7", "24000"),
        ("60", "66", "03157501", "Forst", "2.5", "0"),
    ]
    names = ("record_type", "text_code", "territory_code", "territory_name", "area_km2", "population")
    return [{**dict(zip(names, unit, strict=True)), **date} for unit in units]


def offences() -> Rows:
    base = {**GROUP, "territory_code": "03157", "period_code": "2022", "nationality": "total", "sex": "total"}
    numbers = [
        ("offences_known", "total", "890000", "7206"),
        ("offences_cleared", "total", "890000", "4257"),
        ("offences_known", "total", "435*00", "20"),
        ("offences_cleared", "total", "435*00", "25"),
        ("suspects", "total", "890000", "3224"),
        ("suspects", "foreign", "890000", "966"),
        ("suspects", "total", "435*00", "0"),
        ("suspects", "foreign", "435*00", "0"),
    ]
    return [
        {**base, "measure_code": measure, "nationality": nationality, "category": key, "value": value}
        for measure, nationality, key, value in numbers
    ]


def unemployed() -> Rows:
    """2016: the merged Ilsede is still booked under the dead key 003."""
    base = {"period_code": "2016", "age_band": "total", "category": "total"}
    dash = {"value": None, "obs_status": "M", "conf_status": "F"}
    secret = {"value": None, "obs_status": "A", "conf_status": "C"}
    numbers = {"001": 285, "002": 202, "003": 606, "005": 350, "006": 1904, "007": 357, "008": 199}
    rows: Rows = []
    for code, value in numbers.items():
        territory = {"territory_code": f"03157{code}", "territory_name": code, **base}
        rows.append({**GROUP, **territory, "nationality": "total", "value": str(value)})
        rows.append(
            {**GROUP, **territory, "nationality": "foreign", "value": "50", **(secret if code == "008" else {})}
        )
    for code in ("004", "009"):
        rows.append({**base, **dash, "territory_code": f"03157{code}", "territory_name": code, "nationality": "total"})
    return rows


def integrations() -> Rows:
    """Thirteen months: 12 integrations in each; 600 recipients until August, 500 afterwards."""
    months = [f"2023-{month:02d}" for month in range(3, 13)] + ["2024-01", "2024-02", "2024-03"]
    rows: Rows = []
    for month in months:
        rows.append(cell("03157", month, "labour_integrations", 12, nationality="total"))
        stock = 600 if month <= "2023-08" else 500
        rows.append(cell("03157", month, "employable_recipients", stock, nationality="total"))
    return rows


def accommodation() -> Rows:
    """Three months of seven municipalities; one hides its moves of February."""
    rows: Rows = []
    for territory in MUNICIPALITIES:
        for month, housed, moves in (("2024-01", 100, 1), ("2024-02", 110, 2), ("2024-03", 90, 3)):
            rows.append(cell(territory, month, "housed_persons", housed))
            rows.append(cell(territory, month, "housed_persons", 9, category="recognised"))
            hidden = territory == "03157008" and month == "2024-02"
            said = {"obs_status": "Q", "conf_status": "C"} if hidden else {}
            rows.append(cell(territory, month, "moves_to_own_flat", None if hidden else moves, **said))
    return rows


def allocation() -> Rows:
    numbers = {"allocation_quota": 400, "allocation_carry_over": 92, "allocation_admitted": 420}
    rows = [cell("03157", "WH2023", measure, value) for measure, value in numbers.items()]
    return [{name: value for name, value in row.items() if name != "category"} for row in rows]


def clubs() -> Rows:
    """Clubs by seat; a municipality that is not named has none."""
    rows = [
        cell(
            seat,
            "2022-01-01",
            "",
            members,
            category=number,
            category_name=f"Verein {number}",
            sex="total",
            age_band="total",
        )
        for seat, number, members in (("03157006", "1", 300), ("03157006", "2", 200), ("03157001", "3", 100))
    ]
    return [{name: value for name, value in row.items() if name != "measure_code"} for row in rows]


def migration() -> Rows:
    said = {"sex": "total", "age_band": "total", "nationality": "foreign"}
    rows = [cell("03157", "2022", m, v, **said) for m, v in (("moves_in", 900), ("moves_out", 910))]
    return [{name: value for name, value in row.items() if name != "category"} for row in rows]


def population(value: str) -> dict[str, Any]:
    return {**GROUP, "territory_code": "03157", "period_code": "2022-12-31", "sex": "total", "value": value}


def test_the_crime_rate_divides_by_the_register_of_the_year_before(star: Star) -> None:
    rows = star.ask(
        "select value, numerator, denominator, denominator_period_code, denominator_dataset_id from marts.rpt_indicator"
        " where indicator_code = 'SIO-01' and territory_code = '03157' and category = 'total'"
    )
    assert [row[1:] for row in rows] == [(7206, 136960, "2021-12-31", "register__municipalities")]
    assert float(rows[0][0]) == pytest.approx(5261.390186915888)


def test_the_headline_and_its_key_are_both_shown_and_more_than_hundred_percent_is_allowed(star: Star) -> None:
    rows = star.ask(
        "select category, round(value, 4) from marts.rpt_indicator where indicator_code = 'SIO-02' order by category"
    )
    assert [(c, float(v)) for c, v in rows] == [("435*00", 125.0), ("890000", 59.0758), ("total", 59.0758)]


def test_a_share_has_its_wilson_interval_and_zero_of_zero_has_no_value(star: Star) -> None:
    rows = star.ask(
        "select category, value, wilson_low, wilson_high, is_small_number, obs_status from marts.rpt_indicator"
        " where indicator_code = 'SIO-05' and category <> 'total' order by category"
    )
    assert rows[0] == ("435*00", None, None, None, True, "M")
    assert [float(number) for number in rows[1][1:4]] == pytest.approx([29.96278, 28.40612, 31.56713], abs=1e-4)


def indicator(star: Star, code: str, territory: str, period: str, columns: str = "value, obs_status") -> list[Any]:
    rows = star.ask(
        f"select {columns} from marts.rpt_indicator where indicator_code = '{code}' and territory_code = '{territory}'"
        f" and period_code = '{period}' and nationality = 'total' and sex = 'total' and category = 'total'"
    )
    assert len(rows) == 1, rows
    return [float(part) if isinstance(part, Decimal) else part for part in rows[0]]


def test_the_moving_rate_divides_twelve_months_by_the_mean_of_the_twelve_before(star: Star) -> None:
    """12 x 12 integrations by the mean of six months of 600 and six of 500; earlier months lack some and say so."""
    columns = "value, numerator, denominator, numerator_period_code, denominator_period_code"
    assert indicator(star, "ARB-07", "03157", "2024-03", columns) == [
        pytest.approx(144 / 550 * 100),
        144,
        550,
        "2023-04/2024-03",
        "2023-03/2024-02",
    ]
    assert indicator(star, "ARB-07", "03157", "2024-02") == [None, "M"]


def test_quarters_sum_flows_and_average_stocks(star: Star) -> None:
    columns = "value, numerator, denominator, is_small_number"
    assert indicator(star, "WOH-06", "03157006", "2024-Q1", columns) == [6, 6, 100, True]
    assert indicator(star, "WOH-06", "03157008", "2024-Q1") == [None, "Q"]
    assert indicator(star, "WOH-06", "03157", "2024-Q1") == [None, "Q"]
    assert indicator(star, "SOZ-04", "03157006", "2024-Q1") == [60, "A"]


def test_until_the_population_is_known_an_earlier_one_serves_and_the_rate_is_provisional(star: Star) -> None:
    columns = "value, denominator_period_code, obs_status"
    assert indicator(star, "WOH-01", "03157006", "2024-03", columns) == [0.9, "2021-12-31", "P"]
    assert indicator(star, "WOH-01", "03157", "2024-03", columns)[1:] == ["2022-12-31", "P"]
    assert indicator(star, "WOH-05", "03157", "2024-03") == [10, "A"]


def test_terms_are_added_and_subtracted(star: Star) -> None:
    assert indicator(star, "WOH-04", "03157", "WH2023") == [pytest.approx(420 / 492 * 100), "A"]
    assert indicator(star, "DEM-05", "03157", "2022", "value, is_small_number") == [
        pytest.approx(-10 / 136960 * 1000),
        False,
    ]


def test_clubs_make_the_total_of_their_municipality_and_of_the_county(star: Star) -> None:
    """The delivery was the demo's, and everything made of it says so."""
    columns = "value, numerator, is_demo"
    assert indicator(star, "SOZ-01", "03157006", "2022-01-01", columns) == [0.5, 500, True]
    assert indicator(star, "SOZ-01", "03157", "2022-01-01", columns) == [pytest.approx(600 / 136960 * 100), 600, True]
    assert indicator(star, "WOH-05", "03157", "2024-03", "is_demo") == [False]


def test_every_core_indicator_of_the_catalogue_is_there(star: Star) -> None:
    rows = star.ask("select count(distinct indicator_code) from marts.dim_indicator where catalogue_set = 'core'")
    assert rows == [(52,)]


def test_the_catalogue_is_in_the_star(star: Star) -> None:
    assert star.ask("select count(distinct indicator_code) from marts.dim_indicator") == [(63,)]
    definition = "select numerator_measure_code, denominator_measure_code, denominator_period_en, is_summable from marts.dim_indicator"
    assert star.ask(f"{definition} where indicator_code = 'DEM-05'") == [
        ("moves_in - moves_out", "population", "31 December of the year before", False)
    ]
    assert star.ask(f"{definition} where indicator_code = 'WOH-04'") == [
        ("allocation_admitted", "allocation_quota + allocation_carry_over", "the same period or reference date", True)
    ]
    assert star.ask(
        "select definition_version, framework_code, frameworks from marts.dim_indicator where indicator_code = 'DEM-04'"
        " order by 1"
    ) == [
        (1, "intmk", "IntMK B2a; IntMK B2b; KGSt; Zaragoza"),
        (2, "nds_monitor", "Nds 2.3.3"),
        (3, "nds_monitor", "Nds 2.3.3"),
    ]
    assert star.ask(
        "select target_low, target_high from marts.dim_indicator_target inner join marts.dim_indicator using (indicator_key)"
        " where name_en = 'Occupancy of accommodation'"
    ) == [(75, 90)]
    breaks = star.ask(
        "select distinct break_code from marts.dim_series_break as b inner join marts.dim_indicator_term as t"
        " on b.measure_key = t.measure_key where t.indicator_code = 'SPB-09' order by 1"
    )
    assert breaks == [("nine_years_2020",)]
    assert star.ask("select count(*) from marts.dim_series_break where indicator_key is not null")[0][0] > 0


def test_a_known_error_is_moved_to_the_right_key_and_says_so(star: Star) -> None:
    rows = star.ask(
        "select territory_code, value, territorial_method, correction_id from marts.rpt_observation where measure_code = 'unemployed'"
        " and nationality = 'total' and territory_code in ('03157', '03157003', '03157009') order by 1"
    )
    assert rows == [
        ("03157", 3903, "sum_of_municipalities", "ilsede-2016"),
        ("03157003", None, "as_delivered", "ilsede-2016"),
        ("03157009", 606, "moved_key", "ilsede-2016"),
    ]
    # from either row the way leads to what was delivered
    delivered = star.ask(
        "select distinct delivered.value, published.correction_id from marts.rpt_observation as published"
        " inner join staging.stg_employment_agency__unemployed_municipal as delivered using (delivery_id, row_number, column_number)"
        " where published.territory_code = '03157003' and published.nationality = 'total'",
        role="transformer",
    )
    assert delivered == [(606, "ilsede-2016")]


def test_a_blocked_municipality_blocks_the_county(star: Star) -> None:
    rows = star.ask(
        "select value, obs_status, conf_status from marts.rpt_observation where measure_code = 'unemployed'"
        " and nationality = 'foreign' and territory_code = '03157'"
    )
    assert rows == [(None, "Q", "C")]


def test_the_county_area_includes_unincorporated_land(star: Star) -> None:
    rows = star.ask(
        "select value from marts.rpt_observation where measure_code = 'area_km2' and territory_code = '03157'"
    )
    assert [float(value) for (value,) in rows] == [311.16]


def test_what_the_analyst_may_and_may_not(star: Star) -> None:
    assert star.ask("select count(*) from marts.fct_observation_vintage")[0][0] > 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        star.ask("select 1 from intermediate.int_observation__unioned")


def test_report_columns_are_an_agreement(star: Star) -> None:
    group = ["nationality", "sex", "age_band", "category"]
    numbers = ["value", "numerator", "denominator", "obs_status", "conf_status"]
    shared = ["territory_code", "territory_name", "period_code", *group, *numbers]
    shared += ["known_from", "dataset_id", "delivery_id"]
    for view, first in (("rpt_observation", "measure_code"), ("rpt_indicator", "indicator_code")):
        columns = star.ask(
            "select attname from pg_attribute where attnum > 0 and not attisdropped"
            f" and attrelid = 'marts.{view}'::regclass order by attnum"
        )
        assert [name for (name,) in columns][: len(shared) + 1] == [first, *shared]


def test_constraints_are_real(star: Star) -> None:
    keys = star.ask(
        "select conrelid::regclass::text from pg_constraint where contype = 'p' and connamespace = 'marts'::regnamespace",
        role="transformer",
    )
    assert {"marts.fct_observation_vintage", "marts.fct_indicator_vintage", "marts.dim_territory"} <= {
        name for (name,) in keys
    }
    references = star.ask(
        "select conrelid::regclass::text, confrelid::regclass::text from pg_constraint"
        " where contype = 'f' and connamespace = 'marts'::regnamespace",
        role="transformer",
    )
    for fact, dimensions in {
        "fct_observation_vintage": ("measure", "period", "territory", "population_group", "category", "dataset"),
        "fct_indicator_vintage": ("indicator", "period", "territory", "population_group", "category"),
    }.items():
        assert {(f"marts.{fact}", f"marts.dim_{name}") for name in dimensions} <= set(references)


def test_corrections_and_withdrawals(star: Star) -> None:
    """A later delivery changes what is current, not what was known; views on published tables survive."""
    current = "select value from marts.rpt_observation where dataset_id = 'state_statistics__population'"
    assert star.ask(current) == [(138931,)]
    with connecting.connect("transformer", star.settings) as conn:
        conn.execute("create view marts.analyst_view as select * from marts.rpt_indicator")
        conn.execute("create view marts.analyst_fact_view as select * from marts.fct_observation")

    corrected = star.deliver("state_statistics__population", "2024-08-01", [population("136719")])
    star.build()
    assert star.ask(current) == [(136719,)]
    as_of = "select value from marts.observation_as_of('{}') where dataset_id = 'state_statistics__population'"
    assert star.ask(as_of.format("2024-01-01")) == [(138931,)]
    assert star.ask(as_of.format("2024-12-31")) == [(136719,)]
    assert star.ask(as_of.format("2023-01-01")) == []

    facts = star.ask("select count(*) from marts.fct_observation")
    assert star.ask("select count(*) from marts.analyst_fact_view", role="transformer") == facts
    assert star.ask("select count(*) from marts.analyst_view", role="transformer")[0][0] > 0

    with connecting.connect("loader", star.settings) as conn:
        conn.execute("update ops.delivery set state = 'failed' where delivery_id = %s", (corrected,))
    star.build()
    assert star.ask(current) == [(138931,)]


def test_a_repaired_file_makes_the_guard_of_its_correction_fail(star: Star) -> None:
    """The correction has stepped aside by then: the office's own number stands."""
    repaired = {**GROUP, "period_code": "2016", "age_band": "total", "category": "total", "nationality": "total"}
    rows = [{**repaired, "territory_code": "03157009", "territory_name": "Ilsede", "value": "611"}]
    star.deliver("employment_agency__unemployed_municipal", "2025-06-01", rows)
    said = star.dbt("build", "--select", "tag:intermediate", "--exclude-resource-type", "unit_test", fails=True)
    assert "corrections_are_still_needed" in said
    messages = star.ask("select message_de from intermediate.int_correction__repaired", role="transformer")
    assert [message.split(":")[0] for (message,) in messages] == ["Korrektur ilsede-2016 wird nicht mehr gebraucht"]
    found = star.ask(
        "select value from intermediate.int_observation__candidates where measure_code = 'unemployed'"
        " and territory_code = '03157009' and nationality = 'total' and known_until is null",
        role="transformer",
    )
    assert found == [(611,)]


def test_a_changed_contract_makes_the_candidate_anew(star: Star) -> None:
    """Also what no model makes is cleared away; what is published stays until the next release."""
    with connecting.connect("transformer", star.settings) as conn:
        conn.execute("update intermediate.candidate_contract set digest = 'other' where model = 'fct_indicator'")
        conn.execute("create table candidate.of_no_model as select 1 as x")
        conn.execute("create view candidate.on_it as select * from candidate.fct_indicator")
    said = star.dbt("build", "--select", "fct_indicator", "--exclude-resource-type", "unit_test")
    assert "candidate.fct_indicator is made anew" in said and "candidate.of_no_model is made anew" in said
    assert not releasing.unpublished(star.settings), "after any run of dbt the candidate counts as untested"
    left = "select relname from pg_class where relnamespace = 'candidate'::regnamespace and relname in ('of_no_model', 'on_it')"
    assert star.ask(left, role="transformer") == []
    counted = star.ask("select count(*) from candidate.fct_indicator", role="transformer")
    assert counted == star.ask("select count(*) from marts.fct_indicator")


def test_dbt_knows_its_own_project(star: Star) -> None:
    """Documentation, and what was changed since a build: both need a whole manifest."""
    star.dbt("docs", "generate")
    catalog = json.loads((star.work / "target" / "catalog.json").read_text(encoding="utf-8"))
    assert {"model.teilhabe.fct_indicator_vintage", "model.teilhabe.stg_civic__social_work"} <= catalog["nodes"].keys()
    feeds = star.dbt("ls", "--quiet", "--resource-type", "model", "--select", "stg_civic__social_work+")
    assert {"teilhabe.intermediate.int_observation__unioned", "teilhabe.marts.rpt_indicator"} <= set(feeds.split())
