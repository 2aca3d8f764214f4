"""Keys as Excel leaves them: numbers that lost their leading zero, and keys it took for dates."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from teilhabe.contract.model import Level

_LEVEL_WIDTHS = (2, 5, 8)
_LEVELS: dict[int, Level] = {
    2: "state",
    3: "region",
    5: "county",
    8: "municipality",
    9: "association",
}
_EXCEL_EPOCH = date(1899, 12, 30)

_NAME = (
    r"jan(?:uar)?|feb(?:ruar)?|m(?:rz|ärz|aerz|är|ar)|apr(?:il)?|ma[iy]|juni?|juli?|aug(?:ust)?|sep(?:t(?:ember)?)?"
    r"|o[kc]t(?:ober)?|nov(?:ember)?|de[zc](?:ember)?"
)
_NUMBERS = {
    "jan": 1, "feb": 2, "mrz": 3, "mär": 3, "mae": 3, "mar": 3, "apr": 4, "mai": 5, "may": 5, "jun": 6, "jul": 7,
    "aug": 8, "sep": 9, "okt": 10, "oct": 10, "nov": 11, "dez": 12, "dec": 12,
}  # fmt: skip
_WRAPPED = re.compile(r"""(?:=?["'])?([0-9][0-9\s]*)["']?(?:[.,]0+)?""")
_IN_NAME = re.compile(r"(?<!\d)(\d{8}|\d{5})(?!\d)")
_CELL_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?")
_CELL_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?|-?\d{1,9} days?, \d{1,2}:\d{2}:\d{2}")
_SHOWN_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4}|\d{2})")
_DAY_MONTH = re.compile(rf"(\d{{1,2}})(?:\.\s?|-|\s)({_NAME})\.?", re.IGNORECASE)
_MONTH_YEAR = re.compile(rf"({_NAME})\.?[\s-]?(\d{{2}})", re.IGNORECASE)


def complete(text: str, width: int | None) -> str:
    """A territory key with the leading zero it lost: ``3157001`` -> ``03157001``, ``3157`` -> ``03157``.

    Only one zero can be lost, as no state's number begins with two; a key of another level keeps that level's width.
    """
    text = _plain(text)
    if width is None or not (text.isascii() and text.isdigit()):
        return text
    wanted = next((level for level in (*_LEVEL_WIDTHS, width) if len(text) == level - 1 and level <= width), None)
    return text.zfill(wanted) if wanted else text


def _plain(text: str) -> str:
    """The digits of a key behind what programs put around them: ``="03157"``, ``'03157``, ``3157.0``, ``03 157 006``."""
    found = _WRAPPED.fullmatch(text.strip())
    return re.sub(r"\s", "", found[1]) if found else text


def keys_in_name(file_name: str) -> list[str]:
    """Every number in a file's name that has the length of a county's or a municipality's key."""
    return _IN_NAME.findall(file_name)


def level_of(code: str) -> Level | None:
    """The level an official key belongs to, None where it is none."""
    if code == "DG":
        return "country"
    return _LEVELS.get(len(code)) if code.isascii() and code.isdigit() else None


def is_date(text: str) -> bool:
    """Whether a cell holds a date or a time instead of what was typed: ``2024-05-03``, ``03. Mai``, ``Okt 14``, ``12:30:00``."""
    text = text.strip()
    return any(pattern.fullmatch(text) for pattern in (_CELL_DATE, _CELL_TIME, _SHOWN_DATE, _DAY_MONTH, _MONTH_YEAR))


def shown(text: str) -> str:
    """A date cell as Excel shows it."""
    found = _CELL_DATE.fullmatch(text.strip())
    return f"{found[3]}.{found[2]}.{found[1]}" if found else text


def probable_key(text: str, width: int | None) -> str | None:
    """The key whose number Excel shows as this date: ``22.08.1908`` is day 3157, so ``03157``."""
    day = _date(text)
    return None if day is None else complete(str((day - _EXCEL_EPOCH).days), width)


def probable_label(text: str, known: Iterable[str]) -> str | None:
    """What was typed where Excel made this date, if it is one of the known texts: ``03. Mai`` was ``3-5``."""
    text = text.strip()
    pairs: list[tuple[str, str]] = []
    if found := _CELL_DATE.fullmatch(text):
        year, month, day = found[1], int(found[2]), int(found[3])
        pairs = [
            (str(day), str(month)),
            (str(month), year[2:]),
            (str(month), str(day)),
            (str(month), str(int(year[2:]))),
        ]
    elif found := _SHOWN_DATE.fullmatch(text):
        pairs = [(str(int(found[1])), str(int(found[2]))), (str(int(found[2])), found[3][-2:])]
    elif found := _DAY_MONTH.fullmatch(text):
        pairs = [(str(int(found[1])), str(_month(found[2])))]
    elif found := _MONTH_YEAR.fullmatch(text):
        pairs = [(str(_month(found[1])), found[2]), (str(_month(found[1])), str(int(found[2])))]
    plain = {re.sub(r"\D+", "-", label).strip("-"): label for label in known if re.search(r"\d\D+\d", label)}
    return next((plain[f"{one}-{two}"] for one, two in pairs if f"{one}-{two}" in plain), None)


def _month(name: str) -> int:
    return _NUMBERS[name[:3].lower()]


def _date(text: str) -> date | None:
    text = text.strip()
    try:
        if found := _CELL_DATE.fullmatch(text):
            return date(int(found[1]), int(found[2]), int(found[3]))
        if (found := _SHOWN_DATE.fullmatch(text)) and len(found[3]) == 4:
            return date(int(found[3]), int(found[2]), int(found[1]))
    except ValueError:
        return None
    return None
