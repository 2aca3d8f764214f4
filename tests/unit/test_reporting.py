"""What is due: given a contract's calendar and today's date, expect this period, this due date and this state."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from teilhabe.contracts import Calendar, Contract, load_contracts
from teilhabe.reporting import _due, _latest_reference

PROJECT = Path(__file__).resolve().parents[2]
ANY = next(iter(load_contracts(PROJECT / "agencies").values()))


def contract(frequency: Any, reference: str, lag_days: int, grace_days: int = 30) -> Contract:
    calendar = Calendar(
        frequency=frequency, reference=reference, lag_days=lag_days, grace_days=grace_days, first_period="2000"
    )
    return ANY.model_copy(update={"calendar": calendar})


def due(contract: Contract, today: str, *periods: str, state: str = "loaded") -> tuple[str, str, str]:
    deliveries = [{"dataset_id": contract.dataset_id, "state": state, "periods": list(periods)}]
    entry = _due(contract, deliveries, date.fromisoformat(today))
    return entry["period"], entry["due"].isoformat(), entry["state"]


@pytest.mark.parametrize(
    ("reference", "months", "until", "end"),
    [
        ("12-31", 12, "2024-06-01", "2023-12-31"),
        ("12-31", 12, "2023-12-31", "2023-12-31"),
        ("12-31", 12, "2023-12-30", "2022-12-31"),
        ("03-01", 12, "2024-03-01", "2024-03-01"),
        ("03-01", 12, "2024-02-29", "2023-03-01"),
        ("01-31", 12, "2024-02-01", "2024-01-31"),
        ("year", 12, "2024-06-01", "2023-12-31"),
        ("month", 1, "2024-03-15", "2024-02-29"),
        ("month", 1, "2024-03-31", "2024-02-29"),
        ("quarter", 3, "2024-05-31", "2024-03-31"),
        ("half_year", 6, "2024-06-29", "2023-12-31"),
        ("half_year", 6, "2024-07-01", "2024-06-30"),
        ("school_year", 12, "2024-08-01", "2024-07-31"),
        ("school_year", 12, "2024-07-30", "2023-07-31"),
        ("allocation_half_year", 6, "2024-04-10", "2024-03-31"),
        ("allocation_half_year", 6, "2024-10-10", "2024-09-30"),
        ("allocation_half_year", 6, "2024-09-10", "2024-03-31"),
    ],
)
def test_the_last_reference_date_that_has_passed(reference: str, months: int, until: str, end: str) -> None:
    assert _latest_reference(reference, months, date.fromisoformat(until)) == date.fromisoformat(end)


def test_due_is_the_end_of_the_period_plus_the_lag_and_overdue_only_after_the_grace() -> None:
    yearly = contract("yearly", "12-31", lag_days=300)
    assert due(yearly, "2024-10-25") == ("2022-12-31", "2023-10-27", "overdue"), "2023 is not due yet, 2022 long is"
    assert due(yearly, "2024-10-26") == ("2023-12-31", "2024-10-26", "due")
    assert due(yearly, "2024-11-25") == ("2023-12-31", "2024-10-26", "due"), "the last day of grace"
    assert due(yearly, "2024-11-26") == ("2023-12-31", "2024-10-26", "overdue")


def test_delivered_is_what_is_loaded_for_the_period_or_a_later_one() -> None:
    yearly = contract("yearly", "12-31", lag_days=300)
    assert due(yearly, "2024-11-26", "2023-12-31")[2] == "delivered"
    assert due(yearly, "2024-11-26", "2022-12-31", "2024")[2] == "delivered"
    assert due(yearly, "2024-11-26", "2022-12-31")[2] == "overdue"
    assert due(yearly, "2024-11-26", "2023-12-31", state="quarantined")[2] == "overdue"
    assert due(yearly, "2024-11-26", "unlesbar")[2] == "overdue"


def test_a_monthly_office_is_late_after_two_months_not_after_one() -> None:
    monthly = contract("monthly", "month", lag_days=10, grace_days=5)
    assert due(monthly, "2024-03-09", "2024-01")[:2] == ("2024-01-31", "2024-02-10")
    assert due(monthly, "2024-03-09", "2024-01")[2] == "delivered"
    assert due(monthly, "2024-03-20", "2024-01") == ("2024-02-29", "2024-03-10", "overdue")


def test_every_contract_has_something_due_on_any_day() -> None:
    contracts = load_contracts(PROJECT / "agencies")
    assert len(contracts) >= 24
    for known in contracts.values():
        for today in ("2024-01-01", "2024-02-29", "2024-12-31"):
            entry = _due(known, [], date.fromisoformat(today))
            assert entry["due"] <= date.fromisoformat(today), "nothing is due that need not be there yet"
