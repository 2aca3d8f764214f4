"""Why there is no number: the period that was meant is named."""

from __future__ import annotations

import pytest

from teilhabe.explaining import explanation


@pytest.mark.parametrize(
    ("there", "asked", "named"),
    [
        (["2023-12-31", "2024-12-31"], "2024", ["2024-12-31"]),
        (["2024"], "2024-12-31", ["2024"]),
        (["2024-Q1", "2024-Q2", "2023-Q4"], "2024", ["2024-Q1", "2024-Q2"]),
        (["2024"], "2024", []),
        (["2022-12-31"], "2024", []),
        (["2024"], "kein Zeitraum", []),
    ],
)
def test_a_reference_date_is_named_to_whoever_asks_for_the_year(there: list[str], asked: str, named: list[str]) -> None:
    assert explanation._of_that_time([{"period_code": code} for code in there], asked) == named
