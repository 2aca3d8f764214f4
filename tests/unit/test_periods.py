"""Given this period code, expect this last day - or that it is no period code at all."""

from __future__ import annotations

from datetime import date

import pytest

from teilhabe.codes.periods import period_end


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("2024", date(2024, 12, 31)),
        ("2024-H1", date(2024, 6, 30)),
        ("2024-H2", date(2024, 12, 31)),
        ("2024-Q1", date(2024, 3, 31)),
        ("2024-Q2", date(2024, 6, 30)),
        ("2024-Q3", date(2024, 9, 30)),
        ("2024-Q4", date(2024, 12, 31)),
        ("2024-02", date(2024, 2, 29)),
        ("2023-02", date(2023, 2, 28)),
        ("1900-02", date(1900, 2, 28)),
        ("2024-09", date(2024, 9, 30)),
        ("2024-12", date(2024, 12, 31)),
        ("2024-03-01", date(2024, 3, 1)),
        ("2024-02-29", date(2024, 2, 29)),
        ("SY2024", date(2025, 7, 31)),
        ("AY2024", date(2025, 9, 30)),
        ("WH2024", date(2025, 3, 31)),
        ("SH2024", date(2024, 9, 30)),
    ],
)
def test_the_last_day_of_every_kind_of_period(code: str, end: date) -> None:
    assert period_end(code) == end


@pytest.mark.parametrize(
    "code",
    [
        "", " ", "24", "20244", "2024 ", " 2024", "2024\n", "２０２４",
        "2024-H0", "2024-H3", "2024-Q0", "2024-Q5", "2024-q1",
        "2024-00", "2024-13", "2024-1", "2024-02-30", "2023-02-29", "2024-00-10", "2024-12-32",
        "31.12.2024", "2024/25", "SY24", "sy2024", "SY2024/25", "XY2024", "WH2024-03", "0000", "2024-12-31T00:00",
    ],
)  # fmt: skip
def test_what_is_no_period_code(code: str) -> None:
    assert period_end(code) is None


def test_the_last_school_year_a_date_can_hold_is_not_an_error() -> None:
    assert period_end("SY9999") is None
