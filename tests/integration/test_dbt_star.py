"""The dbt project against a real server: given these raw rows, expect these published numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from teilhabe import loading, ops, warehouse
from teilhabe.contracts import load_contracts
from teilhabe.settings import Settings
from tests.conftest import settings_for

PROJECT = Path(__file__).resolve().parents[2]
Rows = list[dict[str, Any]]


class Star:
    """A warehouse of its own: deliver rows, build, ask as analyst."""

    def __init__(self, settings: Settings, work: Path) -> None:
        self.settings = settings
        self.work = work
        self._delivered = 0

    def deliver(self, dataset: str, received_at: str, rows: Rows, state: str = "loaded") -> int:
        """Put one delivery into ``raw`` as the loader would; returns its id."""
        self._delivered += 1
        with warehouse.connect("loader", self.settings) as conn:
            row = conn.execute(
                "insert into ops.delivery (dataset_id, file_name, sha256, size_bytes, received_at, source, archive_uri,"
                " manifest_uri, state, row_count) values (%s, 'test.csv', %s, 1, %s, 'test', 'x', %s, %s, %s)"
                " returning delivery_id",
                (dataset, f"{self._delivered:064x}", received_at, f"manifest-{self._delivered}", state, len(rows)),
            ).fetchone()
            assert row is not None
            delivery_id = int(row[0])
            for number, values in enumerate(rows, start=1):
                line = {**values, "_delivery_id": delivery_id, "_row_number": number, "_column_number": 1}
                names = sql.SQL(", ").join(map(sql.Identifier, line))
                marks = sql.SQL(", ").join([sql.Placeholder()] * len(line))
                table = sql.Identifier("raw", dataset)
                conn.execute(
                    sql.SQL("insert into {} ({}) values ({})").format(table, names, marks), list(line.values())
                )
        return delivery_id

    def dbt(self, *arguments: str) -> str:
        """Run dbt; the output, when it succeeded."""
        environment = {
            **os.environ,
            **warehouse.dbt_environment(self.settings),
            "DBT_PROFILES_DIR": str(PROJECT / "dbt_project"),
            "DBT_TARGET_PATH": str(self.work / "target"),
            "DBT_LOG_PATH": str(self.work / "logs"),
        }
        done = subprocess.run(
            [str(Path(sys.executable).parent / "dbt"), *arguments],
            cwd=PROJECT / "dbt_project",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def build(self, *arguments: str) -> str:
        """The three layers as the warehouse run builds them."""
        return "".join(
            self.dbt("build", "--select", f"tag:{layer}", *arguments) for layer in ("staging", "intermediate", "marts")
        )

    def ask(self, query: str, role: str = "analyst") -> list[tuple[Any, ...]]:
        with warehouse.connect(role, self.settings) as conn:  # type: ignore[arg-type]
            return conn.execute(query).fetchall()


GROUP = {"obs_status": "A", "conf_status": "F", "territory_name": "Peine"}


@pytest.fixture(scope="module")
def star(make_home: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Star]:
    """A warehouse with one county's deliveries in it, built once."""
    settings = settings_for(make_home())
    warehouse.ensure_running(settings)
    warehouse.provision(settings)
    with loading.session(settings) as conn:
        ops.install(conn)
        loading.ensure_raw_tables(conn, load_contracts(PROJECT / "agencies").values())
    star = Star(settings, tmp_path_factory.mktemp("dbt"))
    star.deliver("register__municipalities", "2022-02-01", register_edition())
    star.deliver("police__offences_district", "2023-06-01", offences())
    star.deliver("employment_agency__unemployed_municipal", "2017-06-01", unemployed())
    star.deliver("state_statistics__population", "2023-08-01", [population("138931")])
    star.deliver("state_statistics__population", "2023-09-01", [population("1")], state="quarantined")
    star.build()
    yield star
    warehouse.stop(settings)


def register_edition() -> Rows:
    """Two municipalities and an uninhabited area; the register names the county but gives it no numbers."""
    date = {"period_code": "2021-12-31", "population_period_code": "2021-12-31"}
    units: list[tuple[str | None, ...]] = [
        ("10", None, "03", "Niedersachsen", None, None),
        ("40", "44", "03157", "Peine", None, None),
    ]
    units += [
        ("60", "64", "03157001", "Edemissen", "104.12", "36960"),
        ("60", "63", "03157006", "Peine, Stadt", "119.84", "100000"),
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
    delivered = "select value, correction_id from marts.fct_observation_vintage where territory_code = '03157003'"
    assert (606, "ilsede-2016") in star.ask(delivered)


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
    assert [float(value) for (value,) in rows] == [226.46]


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
    assert {"marts.fct_observation", "marts.fct_observation_vintage", "marts.fct_indicator"} <= {
        name for (name,) in keys
    }


def test_corrections_withdrawals_and_repeated_builds(star: Star) -> None:
    """A later delivery changes what is current, not what was known; views on published tables survive; full = incremental."""
    current = "select value from marts.rpt_observation where dataset_id = 'state_statistics__population'"
    assert star.ask(current) == [(138931,)]
    with warehouse.connect("transformer", star.settings) as conn:
        conn.execute("create view marts.analyst_view as select * from marts.rpt_indicator")
        conn.execute("create view marts.analyst_fact_view as select * from marts.fct_observation")

    corrected = star.deliver("state_statistics__population", "2024-08-01", [population("136719")])
    star.build()
    assert star.ask(current) == [(136719,)]
    as_of = "select value from marts.observation_as_of('{}') where dataset_id = 'state_statistics__population'"
    assert star.ask(as_of.format("2024-01-01")) == [(138931,)]
    assert star.ask(as_of.format("2024-12-31")) == [(136719,)]
    assert star.ask(as_of.format("2023-01-01")) == []

    tables = ("fct_observation_vintage", "fct_observation", "fct_indicator")
    contents = [sorted(map(repr, star.ask(f"select * from marts.{table}"))) for table in tables]
    star.build("--full-refresh")
    assert [sorted(map(repr, star.ask(f"select * from marts.{table}"))) for table in tables] == contents
    assert star.ask("select count(*) from marts.analyst_fact_view", role="transformer")[0][0] == len(contents[1])
    assert star.ask("select count(*) from marts.analyst_view", role="transformer")[0][0] > 0

    with warehouse.connect("loader", star.settings) as conn:
        conn.execute("update ops.delivery set state = 'failed' where delivery_id = %s", (corrected,))
    star.build()
    assert star.ask(current) == [(138931,)]


def test_no_deprecations(star: Star) -> None:
    assert "eprecat" not in star.dbt("parse", "--no-partial-parse", "--show-all-deprecations")
