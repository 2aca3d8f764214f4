"""When an office delivers: its contract's due date, and what it makes of it."""

from __future__ import annotations

from datetime import date, datetime
from functools import cache
from pathlib import Path

from demo.handout import after
from teilhabe.codes.periods import period_end
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts

AGENCIES = Path(__file__).resolve().parents[1] / "agencies"

LATE = ("courses__integration_courses", "2024-H1")
"""The one delivery that comes months after it was due."""
FIRST_DAY, LAST_DAY = date(2023, 2, 6), date(2026, 7, 31)
"""The office opens on the first day, and is handed what was due before; the demo ends on the last."""
_DAYS_EARLY = 6


def received(dataset_id: str, period: str, days: int = 0, *, due_days: int | None = None) -> datetime:
    """A few days before the delivery is due; ``days`` later for a correction, ``due_days`` where the contract is not asked."""
    end = period_end(period)
    assert end is not None, period  # noqa: S101 - written here
    lag = contracts()[dataset_id].calendar.lag_days if due_days is None else due_days
    late = 75 if (dataset_id, period) == LATE else 0
    due = after(end, max(1, lag - _DAYS_EARLY) + late)
    return after(max(due.date(), FIRST_DAY), days)


@cache
def contracts() -> dict[str, Contract]:
    return load_contracts(AGENCIES)
