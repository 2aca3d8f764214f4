"""Working days where the offices are: neither a weekend nor a public holiday of Lower Saxony.

Whit Sunday and Easter Sunday need no rule of their own, they are Sundays; Christmas Eve and New Year's Eve are working days
in law, and a due date may fall on them.
"""

from __future__ import annotations

from datetime import date, timedelta

from holidays import country_holidays

_HOLIDAYS = country_holidays("DE", subdiv="NI")
"""Fills itself with every year it is asked for."""


def working_day(day: date) -> bool:
    """Whether the offices work on this day."""
    return day.weekday() < 5 and day not in _HOLIDAYS


def next_working_day(day: date) -> date:
    """The day itself where the offices work on it, else the first one after it."""
    while not working_day(day):
        day += timedelta(days=1)
    return day


def add_working_days(day: date, count: int) -> date:
    """The working day that is ``count`` working days after ``day``, which itself does not count; never before ``day``."""
    day = next_working_day(day) if count <= 0 else day
    for _ in range(count):
        day = next_working_day(day + timedelta(days=1))
    return day
