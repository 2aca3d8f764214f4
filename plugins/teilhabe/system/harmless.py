"""Text that others wrote, where a program would act on it: no formula in a CSV, no control character on a terminal."""

from __future__ import annotations

import csv
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import IO, Any

_SIGNS = frozenset("=+-@\N{MINUS SIGN}")
"""What begins a formula in one spreadsheet or the other; so may their wide and small forms."""
_NUMBER = re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?")
_CONTROL = "".join(map(chr, [*range(9), *range(11, 32), *range(127, 160)])) + "\u061c\u200e\u200f\u2028\u2029"
_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""They turn the order of what stands beside them."""
_REPLACED = str.maketrans(dict.fromkeys(_CONTROL + _DIRECTIONS, "\N{REPLACEMENT CHARACTER}"))
_ESCAPED = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in _CONTROL + _DIRECTIONS})


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may compute a cell of this text: also behind blanks and signs that are not seen."""
    if _NUMBER.fullmatch(text) or len(text.strip()) == 1:
        return False
    for sign in text:
        if sign.isspace() or unicodedata.category(sign) in ("Cc", "Cf"):
            continue
        return not _SIGNS.isdisjoint(unicodedata.normalize("NFKC", sign)[:1])
    return False


def cell(value: Any) -> str:
    """A value as a cell of a CSV that spreadsheets show as it is."""
    text = "" if value is None else str(value)
    return f"'{text}" if is_formula(text) or text[:1] in ("\t", "\r", "\n") else text


def write_csv(out: IO[str], rows: Iterable[Iterable[Any]], *, delimiter: str = ",", line_end: str = "\n") -> None:
    """The only way in which this program writes a CSV for people."""
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end)
    writer.writerows([cell(value) for value in row] for row in rows)


def shown(text: str) -> str:
    """A text without what a terminal acts on; line ends and tabs stay."""
    return text.translate(_REPLACED)


def json_shown(text: str) -> str:
    """JSON of the same meaning with the rest of such characters written as numbers; it escapes the first 32 itself."""
    return text.translate(_ESCAPED)


def write(text: str) -> None:
    """To standard output, as ``shown`` where that is a terminal."""
    sys.stdout.write(shown(text) if sys.stdout.isatty() else text)
