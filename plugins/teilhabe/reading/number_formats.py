"""What a number format makes of a number: a workbook stores 0.85 and shows "85 %".

Only what changes the meaning of a number is of interest here: per cent, money, thousands left out, nothing shown at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
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
    decimals: int | None = 0
    """None: as many as the number has."""
    grouped: bool = False

    @property
    def matters(self) -> bool:
        return self.percent or self.percent_sign or bool(self.currency) or self.thousands > 0 or self.invisible

    def shown(self, value: str) -> str:
        """A canonical decimal text as people see it, the German way: ``0.85`` -> ``85 %``."""
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
        return f"{text} {self.currency}" if self.currency else text


def look(code: str) -> NumberLook:
    """What a format code (``#,##0.00 "€";-#,##0.00 "€"``) does to a positive number."""
    digits, literal, currency = "", "", ""
    percent = has_letters = several = conditional = False
    for token in _TOKEN.finditer(code[:_MAX_CODE]):
        quoted, money, escaped, plain = token.groups()
        if money is not None:
            currency = currency or money
        elif quoted is not None or escaped is not None:
            literal += quoted or escaped or ""
        elif token[0].startswith(("[<", "[>", "[=")):
            conditional = True
        elif plain == ";":
            several = True
            break
        elif plain is not None:
            percent |= plain == "%"
            has_letters = has_letters or plain in ("General", "Standard") or plain in _DATE_LETTERS
            if plain in _PLACEHOLDERS or plain in ",.":
                digits += plain
            else:
                literal += plain.replace("%", "")
    found = _MONEY.search(f"{currency} {literal}")
    return NumberLook(
        percent=percent,
        percent_sign=not percent and "%" in literal,
        currency=found[0] if found else "",
        thousands=0 if has_letters else len(digits) - len(digits.rstrip(",")),
        invisible=(several or bool(literal))
        and not (has_letters or conditional or any(sign in digits for sign in _PLACEHOLDERS)),
        decimals=None if has_letters else min(20, sum(sign in _PLACEHOLDERS for sign in digits.partition(".")[2])),
        grouped="," in digits.rstrip(","),
    )
