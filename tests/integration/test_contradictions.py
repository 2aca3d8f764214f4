"""Datasets that contradict each other: given what they published, expect what counts as one and who is told - never an office."""

from __future__ import annotations

import email
import email.policy
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from teilhabe.cli import app as cli
from teilhabe.desk.accounts import Account
from teilhabe.desk.app import create_app
from teilhabe.errors import ContractError
from teilhabe.findings import contradictions
from teilhabe.landing import Credentials
from teilhabe.messages import alerts, outbox
from teilhabe.settings import Settings
from tests.integration.test_dbt_star import register_edition
from tests.star import Rows, Star, cell

STATISTICS, NATIONALITY, MONITOR = (
    "state_statistics__population",
    "state_statistics__population_nationality",
    "state_monitor__population",
)
DISTRICT, MUNICIPAL = "employment_agency__unemployed_district", "employment_agency__unemployed_municipal"
COUNTY, LENGEDE = "03157", "03157005"
NOW = datetime(2030, 3, 5, 11, 0, tzinfo=UTC)
DATES = ("2019-12-31", "2020-12-31", "2021-12-31", "2022-12-31")


def population(dataset: str, numbers: dict[tuple[str, str], int | None]) -> Rows:
    """The total of units and dates, with the columns the dataset has."""
    groups = {
        STATISTICS: ("nationality", "sex", "age_band"),
        NATIONALITY: ("nationality", "sex", "age_band"),
        MONITOR: (),
    }
    missing = {"obs_status": "M"}
    rows = []
    for (territory, period), value in numbers.items():
        row = cell(territory, period, "population", value, **({} if value is not None else missing))
        kept = {name: row[name] for name in row if name not in ("measure_code", "category")}
        rows.append({**kept, **dict.fromkeys(groups[dataset], "total")})
    return rows


def unemployed(dataset: str, numbers: dict[str, str]) -> Rows:
    """Means of a year in the county, with the columns the dataset has."""
    rows = [
        cell(COUNTY, year, "unemployed", value, nationality="total", age_band="total")
        for year, value in numbers.items()
    ]
    if dataset == DISTRICT:
        return [{**row, "sex": "total"} for row in rows]
    return [{name: row[name] for name in row if name != "measure_code"} for row in rows]


@pytest.fixture(scope="module")
def star(installed: Settings, dbt_work: Path) -> Star:
    """One county about which several datasets speak. Both of the statistics may be off by 4 (cell key method), the others state
    their numbers as they are."""
    star = Star(installed, dbt_work)
    star.deliver("register__municipalities", "2022-02-01", register_edition())
    star.deliver(STATISTICS, "2023-08-01", population(STATISTICS, {(COUNTY, day): 166_057 for day in DATES}))
    star.deliver(
        MONITOR,
        "2023-09-01",
        population(
            MONITOR,
            {
                (COUNTY, "2019-12-31"): 166_061,  # 4: secrecy may explain it
                (COUNTY, "2020-12-31"): 166_062,  # 5: nothing does
                (COUNTY, "2021-12-31"): None,
                (COUNTY, "2022-12-31"): 165_585,
            },
        ),
    )
    star.deliver(
        NATIONALITY,
        "2023-09-02",
        population(
            NATIONALITY, {(COUNTY, "2021-12-31"): 166_065, (COUNTY, "2022-12-31"): 166_048}
        ),  # 8 is what both may be off together, 9 is more
    )
    star.deliver(DISTRICT, "2023-03-01", unemployed(DISTRICT, dict.fromkeys(("2020", "2021", "2022"), "4000")))
    star.deliver(MUNICIPAL, "2023-03-02", unemployed(MUNICIPAL, {"2020": "4001", "2021": "4002", "2022": "4000.54"}))
    star.build()
    return star


def found(star: Star, measure: str = "population") -> list[tuple[Any, ...]]:
    return star.ask(
        "select measure_code, territory_code, period_code, counting_dataset_id, counting_value, dataset_id, value, difference,"
        f" tolerance from marts.rpt_contradiction where measure_code = '{measure}' order by dataset_id, period_code"
    )


def no_connection(name: str) -> Credentials:
    raise ContractError(f"There is no Airflow connection '{name}'.")


def mailbox(star: Star) -> list[Any]:
    paths = sorted((star.settings.home / outbox.FOLDER).glob("*.eml"))
    return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]


def test_only_what_secrecy_does_not_explain_is_a_contradiction(star: Star) -> None:
    assert found(star) == [
        ("population", COUNTY, "2020-12-31", STATISTICS, 166_057, MONITOR, 166_062, 5, 4),
        ("population", COUNTY, "2022-12-31", STATISTICS, 166_057, MONITOR, 165_585, -472, 4),
        ("population", COUNTY, "2022-12-31", STATISTICS, 166_057, NATIONALITY, 166_048, -9, 8),
    ]


def test_means_are_rounded_in_their_last_digit(star: Star) -> None:
    """4000 and 4001 may be the same mean, 4000 and 4000.54 cannot."""
    assert [(row[2], row[6], float(row[8])) for row in found(star, "unemployed")] == [
        ("2021", 4002, 1.0),
        ("2022", Decimal("4000.54"), 0.505),
    ]


def test_the_pairs_with_their_largest_difference(star: Star) -> None:
    monitor, nationality, means = contradictions.pairs(star.settings, numbers=2)
    assert (means.measure_code, means.dataset_ids, means.count) == ("unemployed", (DISTRICT, MUNICIPAL), 2)
    assert (monitor.dataset_ids, monitor.count) == ((MONITOR, STATISTICS), 2)
    assert [number.other.value for number in monitor.numbers] == [165_585, 166_062]
    assert (nationality.dataset_ids, nationality.count) == ((STATISTICS, NATIONALITY), 1)
    assert monitor.example.what == "Peine (03157), 31.12.2022"


def test_numbers_a_contract_keeps_secret_are_not_repeated() -> None:
    row = {
        "dataset_id": "b", "dataset_name": "B", "value": Decimal(2), "secrecy_method": "min3",
        "counting_dataset_id": "a", "counting_dataset_name": "A", "counting_value": Decimal("1234.50"),
        "counting_secrecy_method": "none", "territory_name": "Peine", "territory_code": COUNTY, "period_code": "2024",
        "nationality": "foreign", "sex": "total", "age_band": "15_64", "category": "total",
    }  # fmt: skip
    number = contradictions._number(row)
    assert (number.other.value, number.other.said, number.counting.said) == (None, "[geheim]", "1.234,5")
    assert number.group == "Ausländerinnen und Ausländer, 15 bis 64 Jahre"


def test_status_shows_them(star: Star, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEILHABE_HOME", str(star.settings.home))
    said = CliRunner().invoke(cli.app, ["status", "--json"])
    [monitor, nationality, _] = json.loads(said.stdout)["contradictions"]
    assert monitor == {
        "measure_code": "population",
        "measure_name": "Einwohnerinnen und Einwohner",
        "datasets": [MONITOR, STATISTICS],
        "numbers": 2,
        "example": {
            "what": "Peine (03157), 31.12.2022",
            "period": "2022-12-31",
            "counting_dataset_id": STATISTICS,
            "counting_value": 166_057,
            "dataset_id": MONITOR,
            "value": 165_585,
        },
    }
    assert nationality["numbers"] == 1
    shown = " ".join(CliRunner(env={"COLUMNS": "400"}).invoke(cli.app, ["status"]).stdout.split())
    assert (
        f"contradiction population: {MONITOR} and {STATISTICS} differ in 2 numbers; largest: Peine (03157), 31.12.2022: "
        f"166,057 from {STATISTICS} counts, {MONITOR} says 165,585"
    ) in shown
    assert f"{STATISTICS} and {NATIONALITY} differ in 1 number; largest" in shown


def test_the_operators_hear_once_of_each_pair_and_no_office(star: Star) -> None:
    assert alerts.tell_contradictions(star.settings, no_connection, NOW) == 3
    assert alerts.tell_contradictions(star.settings, no_connection, NOW.replace(day=6)) == 0
    mails = mailbox(star)
    assert [mail["Subject"] for mail in mails] == [
        "[teilhabe] Zwei Datensätze widersprechen sich: Einwohnerinnen und Einwohner",
        "[teilhabe] Zwei Datensätze widersprechen sich: Einwohnerinnen und Einwohner",
        "[teilhabe] Zwei Datensätze widersprechen sich: Arbeitslose",
    ]
    assert {mail["To"] for mail in mails} == {"datenbetrieb@landkreis-peine.example"}
    text = " ".join(mails[0].get_body(("plain",)).get_content().split())
    for part in (
        f"({MONITOR})",
        "2 Zahlen weichen stärker voneinander ab",
        f"Peine (03157), 31.12.2022: 166.057 laut {STATISTICS} (diese Zahl gilt), 165.585 laut {MONITOR}.",
        "Seite „Widersprüche“",
        "where measure_code = 'population'",
    ):
        assert part in text, part
    assert star.ask("select distinct kind from ops.message", role="loader") == [("operators",)]


def test_the_desk_shows_them_to_the_county_only(star: Star) -> None:
    accounts = {
        "county": Account("county", lambda _: True, lambda _: False),
        "office": Account("office", MONITOR.__eq__, MONITOR.__eq__),
        "lengede": Account("lengede", lambda _: True, lambda _: True, senders=frozenset({LENGEDE})),
    }

    def who(request: Request) -> Account:
        return accounts[request.headers["x-who"]]

    client = TestClient(create_app(star.settings, who, clock=lambda: NOW))
    page = client.get("/contradictions", headers={"x-who": "county"})
    assert page.status_code == 200
    for part in ("Einwohnerinnen und Einwohner", "166.057", "165.585", "166.048", "31.12.2022", "Peine (03157)"):
        assert part in page.text, part
    assert "Widersprüche" in client.get("/", headers={"x-who": "county"}).text
    for other in ("office", "lengede"):
        assert client.get("/contradictions", headers={"x-who": other}).status_code == 404
        assert "Widersprüche" not in client.get("/", headers={"x-who": other}).text


def test_what_is_mended_is_none_any_more(star: Star) -> None:
    """The monitor's next table agrees on one of the two numbers."""
    star.deliver(MONITOR, "2024-09-01", population(MONITOR, {(COUNTY, "2022-12-31"): 166_057}))
    star.build()
    assert [(row[2], row[5]) for row in found(star)] == [("2020-12-31", MONITOR), ("2022-12-31", NATIONALITY)]
