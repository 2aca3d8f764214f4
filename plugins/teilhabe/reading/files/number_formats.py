"""What a number format makes of a number: a workbook stores 0.85 and shows "85 %".

Only what changes the meaning of a number is of interest here: per cent, money, thousands left out, digits or a sign of the
format's own, a text instead of the number, nothing shown at all.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

BUILT_IN = {
    5: '#,##0 "€"', 6: '#,##0 "€"', 7: '#,##0.00 "€"', 8: '#,##0.00 "€"', 9: "0%", 10: "0.00%",
    42: '#,##0 "€"', 44: '#,##0.00 "€"',
}  # fmt: skip
"""The formats every program knows by number; those of money show the currency of the country (here Germany)."""

_MAX_CODE = 255
"""Characters of a format; Excel allows no more."""
_TOKEN = re.compile(
    r'"([^"]{0,255})"|\[\$([^\]\-]{0,255})[^\]]{0,255}\]|\[[^\]]{0,255}\]|\\(.)|_.|\*.|(General|Standard|AM/PM|.)', re.S
)
_MONEY = re.compile(r"[€$£]|\b(?:EUR|Euro|CHF|USD)\b")
_LARGE_UNIT = re.compile(r"\b(?:Tsd|Tausend|Mio|Million(?:en)?|Mrd|Milliarden?)\b\.?", re.IGNORECASE)
_PER_MILLE = re.compile(r"‰|\bPromille\b", re.IGNORECASE)
_PER_CENT = re.compile(r"%|\bProzent\b|\bv\.\s?H\.", re.IGNORECASE)
_ALTERED = re.compile(r"\d\0|\0\d|[-\u2212\u2013]\s{0,9}\0", re.ASCII)
"""A digit of the format beside the number's own, or a minus before it; ``\\0`` stands for the digits of the number."""
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)(-?\d{1,15}(?:[.,]\d{1,15})?)\]")
_PLACEHOLDERS = "0#?"
_DATE_LETTERS = frozenset("dmyhsDMYHSTJtj@")


@dataclass(frozen=True)
class NumberLook:
    """How numbers of a format are shown, as far as it matters."""

    percent: bool = False
    """Shown a hundred times as large, with a per cent sign."""
    percent_sign: bool = False
    """A per cent sign stands behind the number, which is shown as it is."""
    currency: str = ""
    thousands: int = 0
    """How many groups of three digits are left out."""
    invisible: bool = False
    """No digit is shown."""
    instead: str = ""
    """The text that is shown in place of the number."""
    around: tuple[str, str] = ("", "")
    """Texts before and behind that make another number of it: ``0"5"`` shows 85 as 855, ``"-"0`` as -85."""
    unit: str = ""
    """A unit behind the number that makes another number of it: ``Tsd.``, ``‰``."""
    conditions: tuple[tuple[str, Decimal, NumberLook], ...] = ()
    """What numbers that fulfil a condition look like instead; the first that is fulfilled counts."""
    decimals: int | None = 0
    """None: as many as the number has."""
    grouped: bool = False

    @property
    def matters(self) -> bool:
        return bool(
            self.percent
            or self.percent_sign
            or self.currency
            or self.thousands > 0
            or self.invisible
            or self.unit
            or self.is_altered
            or any(look.matters for _, _, look in self.conditions)
        )

    @property
    def is_altered(self) -> bool:
        return any(self.around)

    @property
    def is_share(self) -> bool:
        return self.percent or self.percent_sign or bool(_PER_MILLE.search(self.unit))

    def of(self, value: str) -> NumberLook:
        """What this very number looks like."""
        if not self.conditions:
            return self
        try:
            number = Decimal(value)
        except InvalidOperation:
            return self
        return next((look for sign, limit, look in self.conditions if _HOLDS[sign](number, limit)), self)

    def shown(self, value: str) -> str:
        """A canonical decimal text as people see it, the German way: ``0.85`` -> ``85 %``."""
        if self.instead:
            return self.instead
        try:
            number = Decimal(value).scaleb((2 if self.percent else 0) - 3 * self.thousands)
            if self.decimals is not None:
                number = number.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_UP)
            text = format(number, f"{',' if self.grouped else ''}f")
        except (InvalidOperation, ValueError):
            return value
        text = text.translate(str.maketrans(",.", ".,"))
        if self.percent or self.percent_sign:
            return f"{text} %"
        if self.is_altered:
            return self.around[0] + text + self.around[1]
        behind = self.currency or self.unit
        return f"{text} {behind}" if behind else text


_HOLDS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "<>": operator.ne,
}  # fmt: skip


def look(code: str) -> NumberLook:
    """What a format code (``#,##0.00 "€";-#,##0.00 "€"``, ``[<5]"*";0``) does to a number that is not negative."""
    sections = _sections(code[:_MAX_CODE])
    conditional = [(found, part) for part in sections if (found := _CONDITION.search(part))]
    if not conditional:
        return _section(sections[0], has_others=len(sections) > 1)
    rest = next((part for part in sections if not _CONDITION.search(part)), sections[-1])
    conditions = tuple(
        (found[1], Decimal(found[2].replace(",", ".")), replace(_section(part, has_others=True), around=("", "")))
        for found, part in conditional
    )
    return replace(_section(rest, has_others=True), conditions=conditions)


def _sections(code: str) -> list[str]:
    """The parts of a code between its semicolons, of which one may stand within quotation marks."""
    parts = [""]
    for token in _TOKEN.finditer(code):
        if token[4] == ";":
            parts.append("")
        else:
            parts[-1] += token[0]
    return parts


def _section(code: str, *, has_others: bool) -> NumberLook:
    digits, literal, currency, shown = "", "", "", ""
    percent = has_letters = False
    for token in _TOKEN.finditer(code):
        quoted, money, escaped, plain = token.groups()
        if money is not None:
            currency = currency or money
        elif quoted is not None or escaped is not None:
            literal += quoted or escaped or ""
            shown += quoted or escaped or ""
        elif plain is not None:
            percent |= plain == "%"
            has_letters = has_letters or plain in ("General", "Standard") or plain in _DATE_LETTERS
            if plain in _PLACEHOLDERS or plain in ",.":
                digits += plain
                shown += "\0"
            else:
                literal += plain.replace("%", "")
                shown += "\0" if plain in ("General", "Standard") else plain
    found = _MONEY.search(f"{currency} {literal}")
    unit = _LARGE_UNIT.search(literal) or _PER_MILLE.search(literal)
    shows_number = has_letters or any(sign in digits for sign in _PLACEHOLDERS)
    invisible = (has_others or bool(literal)) and not shows_number
    return NumberLook(
        percent=percent,
        percent_sign=not percent and bool(_PER_CENT.search(literal)),
        currency=found[0] if found else "",
        thousands=0 if has_letters else len(digits) - len(digits.rstrip(",")),
        invisible=invisible,
        around=(shown[: shown.find("\0")], shown[shown.rfind("\0") + 1 :]) if _ALTERED.search(shown) else ("", ""),
        instead=literal.strip() if invisible else "",
        unit=unit[0] if unit and shows_number else "",
        decimals=None if has_letters else min(20, sum(sign in _PLACEHOLDERS for sign in digits.partition(".")[2])),
        grouped="," in digits.rstrip(","),
    )
