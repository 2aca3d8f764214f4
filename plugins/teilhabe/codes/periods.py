"""Period codes: ``2024``, ``2024-H1``, ``2024-Q3``, ``2024-09``, ``2024-12-31``, ``SY2024``, ``AY2024``, ``WH2024``, ``SH2024``."""

from __future__ import annotations

import calendar
import re
from datetime import date
from functools import lru_cache

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"([0-9]{4})"), "year"),
    (re.compile(r"([0-9]{4})-H([12])"), "half_year"),
    (re.compile(r"([0-9]{4})-Q([1-4])"), "quarter"),
    (re.compile(r"([0-9]{4})-([0-9]{2})"), "month"),
    (re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})"), "date"),
    (re.compile(r"SY([0-9]{4})"), "school_year"),
    (re.compile(r"AY([0-9]{4})"), "guidance_year"),
    (re.compile(r"WH([0-9]{4})"), "winter_half"),
    (re.compile(r"SH([0-9]{4})"), "summer_half"),
)


@lru_cache(maxsize=10_000)
def period_end(code: str) -> date | None:
    """The last day a period code covers, None when it is not a period code.

    School year: 1 Aug - 31 Jul. Guidance year: 1 Oct - 30 Sep. Allocation half-years: Oct - Mar and Apr - Sep.
    """
    found = next(((kind, match) for pattern, kind in _PATTERNS if (match := pattern.fullmatch(code))), None)
    if found is None:
        return None
    kind, match = found
    year, *rest = (int(group) for group in match.groups())
    try:
        match kind:
            case "year":
                return date(year, 12, 31)
            case "half_year":
                return date(year, 6, 30) if rest[0] == 1 else date(year, 12, 31)
            case "quarter":
                return _month_end(year, rest[0] * 3)
            case "month":
                return _month_end(year, rest[0])
            case "date":
                return date(year, *rest)
            case "school_year":
                return date(year + 1, 7, 31)
            case "guidance_year":
                return date(year + 1, 9, 30)
            case "winter_half":
                return date(year + 1, 3, 31)
            case _:
                return date(year, 9, 30)
    except (ValueError, calendar.IllegalMonthError):
        return None


def _month_end(year: int, month: int) -> date:
    return date(year, month, calendar.monthrange(year, month)[1])
