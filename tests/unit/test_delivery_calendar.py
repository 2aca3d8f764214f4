"""The calendar: given a contract and a year, expect these periods, written as the deliveries write them, due on these days."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from teilhabe.codes.holidays import working_day
from teilhabe.codes.periods import period_end
from teilhabe.contract import delivery_calendar
from teilhabe.contract.delivery_calendar import due_entries
from teilhabe.contract.model import Calendar, Contract, Sender
from teilhabe.contract.parsing import load_contracts

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
ANY = next(iter(CONTRACTS.values()))


def contract(
    frequency: Any,
    reference: str,
    lag_days: int = 10,
    grace_days: int = 5,
    first_period: str = "2000",
    senders: Any = (),
) -> Contract:
    calendar = Calendar(
        frequency=frequency, reference=reference, lag_days=lag_days, grace_days=grace_days, first_period=first_period
    )
    return ANY.model_copy(update={"calendar": calendar, "senders": list(senders)})


def periods(frequency: Any, reference: str, *years: int, first_period: str = "2000") -> list[str]:
    return [
        entry.period_code for entry in due_entries(contract(frequency, reference, first_period=first_period), years)
    ]


@pytest.mark.parametrize(
    ("frequency", "reference", "year", "expected"),
    [
        ("yearly", "year", 2024, ["2024"]),
        ("yearly", "12-31", 2024, ["2024-12-31"]),
        ("yearly", "03-01", 2024, ["2024-03-01"]),
        ("yearly", "school_year", 2024, ["SY2023"]),
        ("yearly", "guidance_year", 2024, ["AY2023"]),
        ("half_yearly", "half_year", 2024, ["2024-H1", "2024-H2"]),
        ("half_yearly", "allocation_half_year", 2024, ["WH2023", "SH2024"]),
        ("half_yearly", "12-31", 2024, ["2024-06-30", "2024-12-31"]),
        ("quarterly", "quarter", 2024, ["2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4"]),
        ("quarterly", "month", 2024, ["2024-03", "2024-06", "2024-09", "2024-12"]),
        ("quarterly", "12-31", 2024, ["2024-03-31", "2024-06-30", "2024-09-30", "2024-12-31"]),
        ("monthly", "month", 2024, [f"2024-{month:02d}" for month in range(1, 13)]),
    ],
)  # fmt: skip
def test_the_periods_of_a_year_are_written_as_the_deliveries_write_them(
    frequency: Any, reference: str, year: int, expected: list[str]
) -> None:
    assert periods(frequency, reference, year) == expected


@pytest.mark.parametrize("year", [1999, 2024, 2100])
@pytest.mark.parametrize(
    ("frequency", "reference"),
    [
        ("yearly", "year"), ("yearly", "02-28"), ("yearly", "school_year"), ("yearly", "guidance_year"), ("half_yearly", "half_year"),
        ("half_yearly", "allocation_half_year"), ("quarterly", "quarter"), ("monthly", "month"), ("monthly", "12-31"),
    ],
)  # fmt: skip
def test_the_reference_end_is_the_last_day_of_the_period(frequency: Any, reference: str, year: int) -> None:
    entries = due_entries(contract(frequency, reference, first_period="1990"), [year])
    assert entries
    assert all(entry.reference_end == period_end(entry.period_code) for entry in entries)
    assert all(entry.reference_end.year == year for entry in entries)


@pytest.mark.parametrize(
    ("year", "day"), [(2011, "2011-09-11"), (2016, "2016-09-11"), (2021, "2021-09-12"), (2026, "2026-09-13")]
)
def test_a_council_is_elected_on_the_same_sunday_of_september_every_five_years(year: int, day: str) -> None:
    [entry] = due_entries(contract("per_term", "2021-09-12", first_period="2001-09-09"), range(year - 2, year + 3))
    assert (entry.period_code, entry.reference_end.isoformat()) == (day, day)


def test_an_election_is_called_by_its_year_where_the_series_is() -> None:
    assert periods("per_term", "2021-09-12", *range(2010, 2024), first_period="2011") == ["2011", "2016", "2021"]


def test_due_is_the_end_of_the_period_plus_the_lag_and_then_comes_the_grace() -> None:
    [entry] = due_entries(contract("yearly", "12-31", lag_days=302, grace_days=30), [2023])
    assert (entry.due_on, entry.grace_until) == (date(2024, 10, 28), date(2024, 11, 27))
    assert entry.sender_code is None


def test_february_has_its_own_end() -> None:
    entries = due_entries(contract("monthly", "month", lag_days=10), [2023, 2024])
    assert [e.due_on for e in entries if e.period_code in ("2023-02", "2024-02")] == [
        date(2023, 3, 10),
        date(2024, 3, 11),  # a Sunday before
    ]
    assert [e.reference_end.day for e in entries if e.period_code in ("2023-02", "2024-02")] == [28, 29]


@pytest.mark.parametrize(
    ("period", "lag_days", "grace_days", "due_on", "grace_until"),
    [
        ("2024-05", 10, 5, "2024-06-10", "2024-06-17"),  # grace ends on a Saturday
        ("2024-05", 8, 5, "2024-06-10", "2024-06-17"),  # due on a Saturday; the grace begins when it is really due
        ("2024-02", 29, 0, "2024-04-02", "2024-04-02"),  # Good Friday to Easter Monday
        ("2024-09", 31, 1, "2024-11-01", "2024-11-04"),  # Reformation Day, then a weekend
        ("2023-11", 25, 7, "2023-12-27", "2024-01-03"),  # Christmas
    ],
)
def test_nothing_is_due_on_a_day_nobody_works(
    period: str, lag_days: int, grace_days: int, due_on: str, grace_until: str
) -> None:
    entries = due_entries(contract("monthly", "month", lag_days, grace_days), [int(period[:4])])
    [entry] = [entry for entry in entries if entry.period_code == period]
    assert (entry.due_on.isoformat(), entry.grace_until.isoformat()) == (due_on, grace_until)


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_due_date_and_end_of_grace_is_a_working_day(name: str) -> None:
    for entry in due_entries(CONTRACTS[name], range(2020, 2031)):
        assert working_day(entry.due_on)
        assert working_day(entry.grace_until)
        assert entry.reference_end < entry.due_on <= entry.grace_until


def test_nothing_is_due_before_the_first_period() -> None:
    assert periods("monthly", "month", 2023, 2024, first_period="2023-11")[:3] == ["2023-11", "2023-12", "2024-01"]
    assert periods("yearly", "school_year", 2020, 2021, 2022, first_period="SY2020") == ["SY2020", "SY2021"]


def test_every_sender_owes_every_period() -> None:
    senders = [
        Sender(territory_code=code, territory_name=name, contact=f"{name}@gemeinde.example")
        for code, name in (("03157005", "Lengede"), ("03157009", "Ilsede"))
    ]
    entries = due_entries(contract("monthly", "month", senders=senders), [2024])
    assert len(entries) == 24
    assert {(e.period_code, e.sender_code) for e in entries} >= {("2024-03", "03157005"), ("2024-03", "03157009")}
    assert None not in {e.sender_code for e in entries}


def test_years_may_come_in_any_order_and_twice() -> None:
    assert periods("yearly", "year", 2024, 2022, 2024) == ["2022", "2024"]


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_every_contract_has_something_to_expect_around_any_day(name: str) -> None:
    for day in (date(2024, 1, 1), date(2024, 2, 29), date(2026, 12, 31)):
        entries = due_entries(CONTRACTS[name], delivery_calendar.years_around(CONTRACTS[name], day))
        assert any(entry.due_on <= day for entry in entries), f"nothing of {name} was ever due on {day}"
        assert any(entry.due_on > day for entry in entries), f"nothing of {name} is to come after {day}"


SHAPES = {
    "{year}": r"\d{4}", "{year_before}": r"\d{4}", "{date}": r"\d{4}-\d{2}-\d{2}", "{month}": r"\d{4}-\d{2}",
    "{quarter}": r"\d{4}-Q\d", "{half_year}": r"\d{4}-H\d", "{school_year}": r"SY\d{4}", "{guidance_year}": r"AY\d{4}",
    "{allocation_half_year}": r"[WS]H\d{4}",
}  # fmt: skip


def _shape(template: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", template)
    return re.compile("".join(SHAPES.get(part, re.escape(part)) for part in parts))


@pytest.mark.parametrize("name", sorted(name for name, known in CONTRACTS.items() if known.is_observation))
def test_the_codes_are_those_a_layout_of_the_contract_writes(name: str) -> None:
    """Otherwise what was delivered would stay overdue for ever."""
    known = CONTRACTS[name]
    templates = {layout.period for layout in known.layouts}
    for layout in known.layouts:
        templates |= {
            block.period for block in (getattr(layout, "blocks", None) or {}).values() if block and block.period
        }
    entries = due_entries(known, [2026, 2027] if known.calendar.frequency == "per_term" else [2024])
    assert entries
    for entry in entries:
        assert any(_shape(template).fullmatch(entry.period_code) for template in templates), (entry, templates)


def test_the_day_is_the_offices_day() -> None:
    assert delivery_calendar.today(datetime(2024, 6, 30, 22, 30, tzinfo=UTC)) == date(2024, 7, 1)
    assert delivery_calendar.today(datetime(2024, 12, 31, 22, 30, tzinfo=UTC)) == date(2024, 12, 31)
