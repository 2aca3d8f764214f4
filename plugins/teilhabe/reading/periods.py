"""Periods as the offices write them -> period codes (``2016``, ``2015-12-31``, ``SY2015``)."""

from __future__ import annotations

import re
from datetime import date

_DATE = re.compile(r"(?:Stichtag:?\s*|Stand:?\s*)?(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ]00:00(?::00)?)?")
_YEAR = re.compile(r"(?:Jahr|Berichtsjahr|Schuljahr)?:?\s*(\d{4})(?:\s?/\s?(?:\d{2}|\d{4}))?(?:\.0)?")


def parse_period(text: str, template: str) -> str | None:
    """The period code of ``text``, or None where it is no period of the agreed kind.

    ``template`` names the code: ``{date}`` for delivered dates, ``{year}`` and ``{year_before}`` for delivered years. A
    date is accepted for a year template only if it is the very date the template makes of its year.
    """
    text = text.strip()
    if found := _DATE.fullmatch(text):
        day = _iso(int(found[3]), int(found[2]), int(found[1]))
    elif found := _ISO_DATE.fullmatch(text):
        day = _iso(int(found[1]), int(found[2]), int(found[3]))
    elif found := _YEAR.fullmatch(text):
        if "{date}" in template or not 1900 <= int(found[1]) <= 2100:
            return None
        return of_year(int(found[1]), template)
    else:
        return None
    if day is None or "{date}" in template:
        return day
    return day if of_year(int(day[:4]), template) == day else None


def of_year(year: int, template: str) -> str:
    return template.format(year=year, year_before=year - 1)


def _iso(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None
