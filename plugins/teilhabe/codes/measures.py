"""Measures as the catalogue of the project has them: which there are, which count whole things."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

_FRACTIONAL_UNITS = {"per cent", "per cent or per 1000 as published", "km2", "fte", "EUR"}


def measure_codes(project: Path) -> frozenset[str]:
    """The measure codes of the catalogue; empty (anything goes) where the project carries none."""
    return frozenset(row["measure_code"] for row in _measures(project))


@cache
def counted_measures(project: Path) -> frozenset[str]:
    """Measures that count whole things: neither ratios nor areas nor averages over a period."""
    return frozenset(
        row["measure_code"]
        for row in _measures(project)
        if row["unit"] not in _FRACTIONAL_UNITS and row["behaviour"] != "average"
    )


@cache
def numbered_measures(project: Path) -> frozenset[str]:
    """Measures of things one counts, averages over a period among them: no ratios, areas or amounts of money."""
    return frozenset(row["measure_code"] for row in _measures(project) if row["unit"] not in _FRACTIONAL_UNITS)


@cache
def _measures(project: Path) -> tuple[dict[str, str], ...]:
    catalogue = project / "dbt_project" / "seeds" / "measures.csv"
    if not catalogue.is_file():
        return ()
    with catalogue.open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))


@cache
def percentages(project: Path) -> frozenset[str]:
    """Measures given in per cent."""
    return frozenset(row["measure_code"] for row in _measures(project) if row["unit"] == "per cent")
