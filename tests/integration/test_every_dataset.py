"""An invented delivery of every dataset goes all the way: archived, judged, loaded, staged, and found again in the star."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from teilhabe.building import building
from teilhabe.contract.parsing import load_contracts
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.conftest import PROJECT
from tests.flow import Flow

CONTRACTS = load_contracts(PROJECT / "agencies")
DELIVERIES = PROJECT / "tests" / "fixtures" / "deliveries"
REGISTER_FIRST = sorted(CONTRACTS, key=lambda name: (not name.startswith("register__"), name))


def deliveries(dataset_id: str) -> list[Path]:
    return sorted(path for path in DELIVERIES.glob(f"{dataset_id}.*") if path.suffix != ".py")


@pytest.fixture(scope="module")
def flow(installed: Settings) -> Flow:
    """Everything delivered and built once."""
    flow = Flow(installed, installed.home / "drafts")
    for dataset_id in REGISTER_FIRST:
        for path in deliveries(dataset_id):
            flow.hand_in(dataset_id, path.read_bytes(), path.name, at="2025-12-15")
        flow.run(dataset_id)
    building.build(installed)
    return flow


def test_every_delivery_is_loaded(flow: Flow) -> None:
    refused = flow.ask(
        "select d.file_name, d.state, f.rule, f.message from ops.delivery d left join ops.finding f"
        " on f.delivery_id = d.delivery_id and f.severity = 'critical' where d.state <> 'loaded'"
    )
    assert refused == []
    assert flow.ask("select count(distinct dataset_id) from ops.delivery")[0][0] == len(CONTRACTS)


@pytest.mark.parametrize("dataset_id", [name for name, c in CONTRACTS.items() if c.is_observation])
def test_every_number_delivered_is_staged(flow: Flow, dataset_id: str) -> None:
    [(delivered,)] = flow.ask(f"select count(*) from raw.{dataset_id}")
    with connecting.connect("owner", flow.settings) as conn:
        row = conn.execute(f"select count(*) from staging.stg_{dataset_id}".encode()).fetchone()
    assert row is not None and row[0] == delivered > 0


def test_numbers_arrive_in_the_star(flow: Flow) -> None:
    with connecting.connect("owner", flow.settings) as conn:
        rows = conn.execute(
            """
            select measure_code, territory_code, period_code, nationality, category, value
            from marts.rpt_observation
            where (measure_code, territory_code, period_code, nationality, category) in (
                ('housed_persons', '03157006', '2024-01', 'total', 'recognised'),
                ('allocation_carry_over', '03157', 'WH2024', 'total', 'total'),
                ('club_memberships', '03157001', '2024-01-01', 'total', 'club_0001'),
                ('unemployed', '03157006', '2024-02', 'foreign', 'total'),
                ('foreigners_register', '03157', '2024-12-31', 'protection_seeker', 'recognised'),
                ('apprenticeship_applicants', '03157', 'AY2023', 'foreign', 'total')
            ) and sex = 'total' and age_band = 'total'
            order by measure_code
            """
        ).fetchall()
    assert [(row[0], row[5]) for row in rows] == [
        ("allocation_carry_over", Decimal(-35)),
        ("apprenticeship_applicants", Decimal(200)),
        ("club_memberships", Decimal(77)),
        ("foreigners_register", Decimal(3900)),
        ("housed_persons", Decimal(90)),
        ("unemployed", Decimal(200)),
    ]


def test_programmes_keep_their_field_and_provider(flow: Flow) -> None:
    with connecting.connect("owner", flow.settings) as conn:
        rows = conn.execute(
            "select programme_code, programme_field, programme_provider, first_period_code, last_period_code"
            " from staging.stg_jobcentre__programme_list order by 1"
        ).fetchall()
    assert rows == [
        ("M01", "Sprache und Arbeit", "Träger A", "2024-Q1", "2024-Q2"),
        ("M02", "Ausbildung", "Träger B", "2024-Q1", "2024-Q2"),
    ]


def test_rows_loaded_before_a_column_was_agreed_say_what_they_always_said(flow: Flow) -> None:
    """Raw tables gain columns; what was loaded before has none there, and is the total it was."""
    with connecting.connect("loader", flow.settings) as conn:
        conn.execute(
            "update raw.employment_agency__unemployed_municipal set measure_code = null"
            " where period_code = '2024' and territory_code = '03157'"
        )
        conn.commit()
    with connecting.connect("owner", flow.settings) as conn:
        row = conn.execute(
            "select count(*) filter (where measure_code = 'unemployed'), count(*)"
            " from staging.stg_employment_agency__unemployed_municipal"
            " where period_code = '2024' and territory_code = '03157'"
        ).fetchone()
    assert row is not None and row[0] == row[1] == 7
