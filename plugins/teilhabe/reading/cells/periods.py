"""Periods as the offices write them -> period codes (``2016``, ``2015-12-31``, ``SY2015``, ``2024-03``, ``WH2023``).

``parse_period`` reads a cell that holds nothing else, ``find_periods`` looks into a title line or a file name. A
spelling that can mean two periods is none: the delivery is then refused, never loaded under a guessed one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from functools import lru_cache

from teilhabe.codes.periods import period_end
from teilhabe.contract.layouts import Validity

Make = Callable[..., "str | None"]

_FIRST_YEAR, _LAST_YEAR = 1900, 2100

_MONTHS = {
    "jan": 1, "januar": 1, "jän": 1, "jänner": 1, "feb": 2, "februar": 2, "mär": 3, "mrz": 3, "märz": 3, "maerz": 3,
    "apr": 4, "april": 4, "mai": 5, "jun": 6, "juni": 6, "jul": 7, "juli": 7, "aug": 8, "august": 8, "sep": 9,
    "sept": 9, "september": 9, "okt": 10, "oktober": 10, "nov": 11, "november": 11, "dez": 12, "dezember": 12,
}  # fmt: skip
_ORDINALS = {"1": 1, "2": 2, "3": 3, "4": 4, "I": 1, "II": 2, "III": 3, "IV": 4}

_NOT_AHEAD = r"(?<![\w])(?<!\d[./-])"
"""A period begins a word and is no rest of a date: ``03.2024`` in ``15.03.2024`` is no month."""
_NOT_BEHIND = r"(?![\w])(?![./-]\d)"
_GERMAN_DATE = r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})"
_ISO_DATE = r"(\d{4})-(\d{2})-(\d{2})(?:[T ]00:00(?::00)?)?"
_TWO_YEARS = r"(\d{4})\s?[/\u2013-]\s?(\d{4}|\d{2})"
_MONTH_NAME = "|".join(sorted(_MONTHS, key=len, reverse=True))

_YEAR = re.compile(r"(?:Jahr|Berichtsjahr|Schuljahr)?:?\s{0,9}(\d{4})(?:\s?/\s?(\d{4}|\d{2}))?(?:\.0)?")
_NOT_A_REFERENCE = re.compile(
    r"(?:stand|datenstand|erstellt|erstellungsdatum|gedruckt|druckdatum|abruf|abgerufen|erscheint|veröffentlicht|auszug)"
    r"(?:\s{1,20}(?:am|vom|zum|der\s{1,20}daten))?\s{0,20}:?\s{0,20}$",
    re.IGNORECASE,
)
"""What stands in front of a date that says when the file was made."""
_SPAN = re.compile(rf"{_GERMAN_DATE}\s{{0,20}}(?:bis|-|\u2013)\s{{0,20}}(?:zum\s{{1,20}})?{_GERMAN_DATE}")
_LEADING_WORD = re.compile(
    r"^(?:Berichts|Erhebungs|Einschulungs)?(?:monat|quartal|zeitraum|halbjahr|jahr)\s{0,20}:?\s{1,20}", re.IGNORECASE
)
_YEAR_IN_TITLE = re.compile(
    r"(?:Berichtsjahr|Erhebungsjahr|Kalenderjahr|Jahr)e?s?\s{0,20}:?\s{0,20}(\d{4})(?![\d/])", re.IGNORECASE
)
_YEAR_IN_NAME = re.compile(r"(?<![\d])((?:19|20)\d{2})(?![\d])")
_DATES_IN_NAME = re.compile(r"(?<!\d)(?:\d{4}[-_.]\d{2}[-_.]\d{2}|\d{2}[-_.]\d{2}[-_.]\d{4}|(?:19|20)\d{6})(?!\d)")


def parse_period(text: str, template: str) -> str | None:
    """The period code of ``text``, or None where it is no period of the agreed kind.

    ``template`` names the code: ``{date}`` for delivered dates, ``{year}`` and ``{year_before}`` for delivered years,
    ``{month}`` and its like for codes of their own. A date is accepted for a year template only if it is the very
    date the template makes of its year, and for a month only if it is its first day, as Excel writes months.
    """
    text = " ".join(text.split())
    kind = kind_of(template)
    if kind not in ("year", "year_before", "date"):
        return next((_filled(template, kind, code) for code in _special(kind, text, whole=True)), None)
    if found := re.fullmatch(rf"(?:Stichtag:?\s{{0,20}}|Stand:?\s{{0,20}})?{_GERMAN_DATE}", text):
        day = _day(found[3], found[2], found[1])
    elif found := re.fullmatch(_ISO_DATE, text):
        day = _day(found[1], found[2], found[3])
    elif found := _YEAR.fullmatch(text):
        if kind == "date" or not _FIRST_YEAR <= int(found[1]) <= _LAST_YEAR:
            return None
        if found[2] and (not _follows(found[1], found[2]) or not template.startswith("SY{year}")):
            return None  # a school year is no calendar year
        return of_year(int(found[1]), template)
    else:
        return None
    return _dated(day, template)


def find_periods(text: str, template: str) -> list[str]:
    """The distinct periods of the agreed kind in a title line, in its order.

    A year is one only behind a word that says so (``Berichtsjahr 2024``) or as a span of a whole year; a date that says
    when the file was made is one only where there is no other.
    """
    text = " ".join(text.split())
    kind = kind_of(template)
    if (one := parse_period(text, template)) is not None:
        return [one]
    if kind not in ("year", "year_before", "date"):
        return _distinct(_filled(template, kind, code) for code in _special(kind, text, whole=False))
    dates: list[str] = []
    weak: list[str] = []
    for match in re.finditer(rf"(?<!\d){_GERMAN_DATE}(?!\d)", text):
        code = _dated(_day(match[3], match[2], match[1]), template)
        if code is not None:
            (weak if _NOT_A_REFERENCE.search(text[: match.start()]) else dates).append(code)
    if kind == "date":
        return _distinct(iter(dates or weak))
    years = [of_year(int(m[3]), template) for m in _SPAN.finditer(text) if _is_year(m)]
    years += [of_year(int(m[1]), template) for m in _YEAR_IN_TITLE.finditer(text)]
    return _distinct(iter(years or dates or weak))


def periods_in_name(file_name: str, template: str) -> list[str]:
    """The distinct periods of the agreed kind in a file's name: ``Unterbringung_03157006_2024-03.xlsx``."""
    name = file_name.rsplit(".", 1)[0] if "." in file_name else file_name
    kind = kind_of(template)
    if kind not in ("year", "year_before", "date"):
        plain = re.sub(r"[_+]|%20", " ", name)
        shown = re.sub(r"(?<!\d)(\d{4}) (\d{2})(?!\d)", r"\1-\2", plain)
        return _distinct(_filled(template, kind, code) for code in _special(kind, shown, whole=False))
    if kind == "date":
        found = (re.split(r"[-_.]", match[0]) for match in _DATES_IN_NAME.finditer(name))
        parts = ([p[0][:4], p[0][4:6], p[0][6:]] if len(p) == 1 else p if len(p[0]) == 4 else p[::-1] for p in found)
        return _distinct(_dated(_day(*three), template) for three in parts)
    return _distinct(
        of_year(int(match[1]), template) for match in _YEAR_IN_NAME.finditer(_DATES_IN_NAME.sub(" ", name))
    )


def kind_of(template: str) -> str:
    """The first placeholder of a template."""
    found = re.search(r"\{(\w+)\}", template)
    return found[1] if found else "year"


def of_year(year: int, template: str) -> str:
    return template.format(year=year, year_before=year - 1)


def is_valid(validity: Validity, period: str) -> bool:
    """Whether a period lies in the time a text belongs to the layout; a period that is none belongs to every time."""
    begin, end = period_start(period), period_end(period)
    if begin is None or end is None:
        return True
    since = period_start(validity.since) if validity.since else None
    until = period_end(validity.until) if validity.until else None
    return (since is None or end >= since) and (until is None or begin <= until)


@lru_cache(maxsize=10_000)
def period_start(code: str) -> date | None:
    """The first day a period code covers, None when it is not a period code."""
    end = period_end(code)
    if end is None:
        return None
    if len(code) == len("2024-12-31"):
        return end
    if code.startswith(("SY", "AY", "WH", "SH")):
        return date(int(code[2:]), {"SY": 8, "AY": 10, "WH": 10, "SH": 4}[code[:2]], 1)
    months = {"H": 6, "Q": 3}.get(code[5:6], 1 if "-" in code else 12)
    return date(end.year, end.month - months + 1, 1)


def _special(kind: str, text: str, *, whole: bool) -> Iterator[str]:
    """Codes of a kind that is not a year or a date: the text itself, or everything of it that is one."""
    if whole:
        text = _LEADING_WORD.sub("", text)
        for pattern, make in (*_PATTERNS[kind], *_WHOLE_CELL.get(kind, ())):
            if (match := pattern.fullmatch(text)) and (code := make(*match.groups())) is not None:
                yield code
        return
    found: list[tuple[int, str]] = []
    weak: list[tuple[int, str]] = []
    for pattern, make in _PATTERNS[kind]:
        for match in pattern.finditer(text):
            if (code := make(*match.groups())) is not None:
                made = _NOT_A_REFERENCE.search(text[: match.start()])
                (weak if made else found).append((match.start(), code))
    yield from (code for _, code in sorted(found or weak))


def _month(year: str, month: int) -> str | None:
    return f"{year}-{month:02d}" if _FIRST_YEAR <= int(year) <= _LAST_YEAR and 1 <= month <= 12 else None


def _quarter(ordinal: str, year: str) -> str | None:
    return f"{year}-Q{_ORDINALS[ordinal.upper()]}" if _FIRST_YEAR <= int(year) <= _LAST_YEAR else None


def _half_year(ordinal: str, year: str) -> str | None:
    return f"{year}-H{_ORDINALS[ordinal.upper()]}" if _FIRST_YEAR <= int(year) <= _LAST_YEAR else None


def _two_years(prefix: str) -> Make:
    return lambda first, second: f"{prefix}{first}" if _follows(first, second) else None


def _code(prefix: str) -> Make:
    return lambda year: f"{prefix}{year}"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(f"{_NOT_AHEAD}(?:{text}){_NOT_BEHIND}", re.IGNORECASE)


_PATTERNS: dict[str, tuple[tuple[re.Pattern[str], Make], ...]] = {
    "month": (
        (_pattern(rf"({_MONTH_NAME})\.?[\s/.-]*(\d{{4}})"), lambda name, year: _month(year, _MONTHS[name.lower()])),
        (_pattern(r"(\d{1,2})\s?[/.-]\s?(\d{4})"), lambda month, year: _month(year, int(month))),
        (_pattern(r"(\d{4})\s?[/.-]\s?(\d{2})"), lambda year, month: _month(year, int(month))),
    ),
    "quarter": (
        (_pattern(r"([1-4]|IV|I{1,3})\.?\s?(?:Quartal|Qu\.|Q\.?|Vierteljahr)\s?[/-]?\s?(\d{4})"), _quarter),
        (_pattern(r"(?:Quartal\s|Q)\s?([1-4]|IV|I{1,3})\s?[/-]?\s?(\d{4})"), _quarter),
        (_pattern(r"(IV|I{1,3})\s?/\s?(\d{4})"), _quarter),
        (_pattern(r"(\d{4})\s?[/-]?\s?Q([1-4])"), lambda year, ordinal: _quarter(ordinal, year)),
    ),
    "half_year": (
        (_pattern(r"([12]|I{1,2})\.?\s?(?:Halbjahr|Hj\.?|H)\s?[/-]?\s?(\d{4})"), _half_year),
        (_pattern(r"(?:Halbjahr\s|H)\s?([12]|I{1,2})\s?[/-]?\s?(\d{4})"), _half_year),
        (_pattern(r"(\d{4})\s?[/-]?\s?H([12])"), lambda year, ordinal: _half_year(ordinal, year)),
    ),
    "school_year": (
        (_pattern(rf"(?:Schuljahr\w{{0,20}}|SJ)?\s{{0,20}}:?\s{{0,20}}{_TWO_YEARS}"), _two_years("SY")),
        (_pattern(r"SY(\d{4})"), _code("SY")),
    ),
    "guidance_year": (
        (_pattern(rf"(?:Berichtsjahr|Beratungsjahr)?\s{{0,20}}:?\s{{0,20}}{_TWO_YEARS}"), _two_years("AY")),
        (_pattern(r"AY(\d{4})"), _code("AY")),
    ),
    "allocation_half_year": (
        (_pattern(rf"(?:WHJ|WH|Winterhalbjahr)\s?{_TWO_YEARS}"), _two_years("WH")),
        (_pattern(r"(?:SHJ|SH|Sommerhalbjahr)\s?(\d{4})(?!\s?/)"), _code("SH")),
        (_pattern(r"WH(\d{4})(?!\s?/)"), _code("WH")),
    ),
}  # fmt: skip
"""Spellings of a kind of period -> its code. ``1/2024`` is no quarter: it could be January."""

_WHOLE_CELL: dict[str, tuple[tuple[re.Pattern[str], Make], ...]] = {
    "month": (
        (re.compile(r"(\d{4})-(\d{2})-01(?:[T ]00:00(?::00)?)?"), lambda year, month: _month(year, int(month))),
        (re.compile(r"0?1\.\s?(\d{1,2})\.\s?(\d{4})"), lambda month, year: _month(year, int(month))),
    ),
}
"""Only where a cell holds nothing else: the first day of a month is how Excel writes the month."""


def _filled(template: str, kind: str, code: str) -> str:
    return template.replace("{" + kind + "}", code)


def _follows(first: str, second: str) -> bool:
    """``2023/24`` and ``2023/2024`` are a year that begins in 2023; ``2023/25`` is nothing."""
    year = int(first) + 1
    return _FIRST_YEAR <= year <= _LAST_YEAR and second in (str(year), f"{year % 100:02d}")


def _dated(day: str | None, template: str) -> str | None:
    if day is None or "{date}" in template:
        return day
    return day if of_year(int(day[:4]), template) == day else None


def _is_year(span: re.Match[str]) -> bool:
    return (int(span[1]), int(span[2]), int(span[4]), int(span[5]), span[3]) == (1, 1, 31, 12, span[6])


def _distinct(codes: Iterator[str | None]) -> list[str]:
    return list(dict.fromkeys(code for code in codes if code is not None))


def _day(year: str, month: str, day: str) -> str | None:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None
