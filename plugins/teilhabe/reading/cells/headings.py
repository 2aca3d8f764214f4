"""What official workbooks write above their columns, whatever the edition: spellings, units of area, days, footnote marks.

The same column is ``Fläche km2 1)``, ``Fläche in km²`` or ``Fläche (qkm)``, a day stands in a merged cell that may begin
beside the column it stands over, and a key or a name can carry the mark of a footnote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from teilhabe.reading.cells.labels import normalise
from teilhabe.reading.files.source import Cell, Merges, cell_text

NO_NUMBER = frozenset({"-", "\u2013", "\u2014", ".", "\u00b7", "x", "X", "/", "...", "\u2026"})
"""Signs an office puts into a cell that other editions leave empty."""

_SQUARE_METRES = {
    "qm": 1,
    "m2": 1,
    "quadratmeter": 1,
    "quadratmetern": 1,
    "ha": 10_000,
    "hektar": 10_000,
    "qkm": 1_000_000,
    "km2": 1_000_000,
    "quadratkilometer": 1_000_000,
    "quadratkilometern": 1_000_000,
}
_MARK = re.compile(r"(?:(?<=[^\d\s(])|\s{1,9})(?:\d{1,2}\)|[\u00b9\u00b2\u00b3\u2070-\u2079]\)?|\*\)?){1,20}\s{0,9}$")
_MONTHS = {
    name: number
    for number, name in enumerate(
        [
            "januar",
            "februar",
            "märz",
            "april",
            "mai",
            "juni",
            "juli",
            "august",
            "september",
            "oktober",
            "november",
            "dezember",
        ],
        start=1,
    )
}
_DAY = re.compile(r"(?<!\d)(\d{1,2})\.\s?(\d{1,2})\.\s?((?:19|20)\d{2})(?!\d)")
_DAY_IN_WORDS = re.compile(
    rf"(?<!\d)(\d{{1,2}})\.\s?({'|'.join(_MONTHS)})\s{{1,20}}((?:19|20)\d{{2}})(?!\d)", re.IGNORECASE
)
_NUMBER = re.compile(r"-?(?:[0-9]{1,15}|[0-9]{1,3}(?: [0-9]{3}){1,4})(?:[.,][0-9]{1,15})?")
_ISO_DAY = re.compile(r"(?<!\d)((?:19|20)\d{2})-(\d{2})-(\d{2})(?!\d)")


def without_mark(text: str) -> str:
    """A text without the mark of a footnote at its end: ``13/2010/0006-R 2)`` -> ``13/2010/0006-R``."""
    return _MARK.sub("", text.strip()).strip()


def headings(text: str) -> set[str]:
    """What a header cell may be called: its lines joined up to each one, without unit of area and footnote mark."""
    lines = [line.strip() for line in _plain_squares(text).split("\n") if line.strip()]
    joined, found = "", set()
    for line in lines:
        joined = joined[:-1] + line if joined.endswith("-") else f"{joined} {line}"
        found.add(_heading(joined))
    return found - {""}


def _heading(text: str) -> str:
    words = re.split(r"[\s()\[\],]+", without_mark(text))
    text = normalise(" ".join(word for word in words if word.casefold() not in _SQUARE_METRES))
    return text.removesuffix("in") if "flaeche" in text else text


def square_metres(text: str) -> int | None:
    """How many square metres the unit in a header cell has; None where it names none."""
    words = re.findall(r"[^\W\d_]+2?", _plain_squares(text).casefold())
    return next((_SQUARE_METRES[word] for word in words if word in _SQUARE_METRES), None)


def _plain_squares(text: str) -> str:
    return re.sub(r"(?<=m)\s?(?:\u00b2|\^2)", "2", text)


def find_day(text: str, *, alone: bool = False) -> str | None:
    """The first day of the calendar a text names, as ISO date; ``alone``: it names nothing else."""
    for pattern in (_ISO_DAY, _DAY, _DAY_IN_WORDS):
        found = pattern.search(text)
        if found is None:
            continue
        beside = text[: found.start()] + text[found.end() :]
        if alone and beside.strip() not in ("", "00:00:00"):
            continue
        first, second, third = found.groups()
        year, month, day = (first, second, third) if pattern is _ISO_DAY else (third, second, first)
        number = int(month) if month.isdigit() else _MONTHS[month.casefold()]
        try:
            return date(int(year), number, int(day)).isoformat()
        except ValueError:
            continue
    return None


def plain_number(text: str) -> Decimal | None:
    """A number as people write it, with a comma or a point and blanks between its thousands; None for anything else."""
    text = " ".join(text.split())
    if not _NUMBER.fullmatch(text):
        return None
    return Decimal(text.replace(" ", "").replace(",", "."))


def day_above(rows: Sequence[Sequence[Cell]], merges: Merges, top: int, bottom: int, column: int) -> str | None:
    """The day that stands over a column in rows ``top`` to ``bottom`` (excluded), in a cell of its own or a merged one.

    Where merges were lost, the nearest day to the left in the same row, with nothing but empty cells between.
    """
    for index in range(top, bottom):
        if day := find_day(_text(rows, index, column)):
            return day
    for (first_row, left), (last_row, right) in merges:
        covers = left <= column <= right and first_row < bottom and last_row >= top
        if covers and (day := find_day(_text(rows, first_row, left))):
            return day
    for index in range(top, bottom):
        beside = column - 1
        while beside >= 0 and not _text(rows, index, beside).strip():
            beside -= 1
        is_merged = any(first == (index, beside) for first, _ in merges)  # and ends before the column
        if beside >= 0 and not is_merged and (day := find_day(_text(rows, index, beside))):
            return day
    return None


def find_columns(
    rows: Iterable[Sequence[Cell]], aliases: Mapping[str, tuple[str, ...]], *, first: int = 0
) -> dict[str, int]:
    """Column by name, by the texts of the header rows; an earlier row and a column further left come first."""
    found: dict[str, int] = {}
    for row in rows:
        for at, cell in enumerate(row):
            if at < first:
                continue
            said = headings(cell_text(cell))
            name = next((name for name, texts in aliases.items() if said.intersection(texts)), None)
            if name is not None:
                found.setdefault(name, at)
    return found


def _text(rows: Sequence[Sequence[Cell]], index: int, column: int) -> str:
    return cell_text(rows[index][column]) if index < len(rows) and column < len(rows[index]) else ""
