"""Working days of Lower Saxony: expected are the days the state's law on public holidays names, in years known to be tricky."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from teilhabe.codes.holidays import add_working_days, next_working_day, working_day


@pytest.mark.parametrize(
    "day",
    [
        "2024-01-01", "2024-03-29", "2024-04-01", "2024-05-01", "2024-05-09", "2024-05-20", "2024-10-03", "2024-10-31", "2024-12-25",
        "2024-12-26", "2017-10-31", "2018-10-31", "2000-04-24", "2038-04-26",
    ],
)  # fmt: skip
def test_nobody_works_on_a_public_holiday(day: str) -> None:
    assert not working_day(date.fromisoformat(day))


@pytest.mark.parametrize(
    "day",
    [
        "2024-01-02", "2024-05-30", "2024-11-01", "2023-08-15", "2024-12-24", "2024-12-31", "2016-10-31", "2012-10-31",
    ],
)  # fmt: skip
def test_holidays_of_other_states_and_half_days_are_working_days(day: str) -> None:
    """Corpus Christi, All Saints and Assumption are none here; Reformation Day is one since 2018 (and was in 2017)."""
    assert working_day(date.fromisoformat(day))


def test_nobody_works_at_the_weekend() -> None:
    assert [working_day(date(2024, 6, 3) + timedelta(days=n)) for n in range(7)] == [True] * 5 + [False] * 2


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2024-06-05", "2024-06-05"),
        ("2024-06-08", "2024-06-10"),
        ("2024-03-29", "2024-04-02"),  # Good Friday to Easter Monday
        ("2023-12-23", "2023-12-27"),
        ("2024-10-31", "2024-11-01"),
    ],
)
def test_the_next_working_day(day: str, expected: str) -> None:
    assert next_working_day(date.fromisoformat(day)) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("day", "count", "expected"),
    [
        ("2024-06-03", 5, "2024-06-10"),
        ("2024-06-07", 1, "2024-06-10"),
        ("2024-06-08", 1, "2024-06-10"),
        ("2024-03-27", 5, "2024-04-05"),  # Easter in between
        ("2024-12-20", 6, "2025-01-02"),  # Christmas and New Year
        ("2024-06-08", 0, "2024-06-10"),
        ("2024-06-05", 0, "2024-06-05"),
    ],
)
def test_working_days_are_counted_from_the_day_after(day: str, count: int, expected: str) -> None:
    assert add_working_days(date.fromisoformat(day), count) == date.fromisoformat(expected)


def test_every_day_of_forty_years_leads_to_a_working_day_within_a_week() -> None:
    for n in range(40 * 365):
        day = date(2000, 1, 1) + timedelta(days=n)
        after = next_working_day(day)
        assert working_day(after)
        assert timedelta(0) <= after - day <= timedelta(days=5)
