"""What a column that nobody agreed on, or a unit, may say about the numbers: that they are no totals, or no counts.

A table with one row per number means something else when a column is added: ``Geschlecht``, ``Units``. Such a file is
refused, because without the column its rows would be read as totals.
"""

from __future__ import annotations

import re
from typing import Literal

from teilhabe.reading.cells.labels import normalise

Unit = Literal["count", "share", "other"]

_COUNTS = frozenset(
    {"anzahl", "personen", "person", "persons", "number", "absolut", "anz", "faelle", "kinder", "menschen"}
)
_SHARES = frozenset({"prozent", "inprozent", "percent", "percentage", "promille", "jetausend", "quote", "anteil"})
_TOTALS = re.compile(r"(?:insgesamt|gesamt|total|zusammen|summe|alle|beide)\w*")
_IN_BRACKETS = re.compile(r"\(([^()]+)\)$")
_MULTIPLE = re.compile(r"(?:in )?(?:1[. ]?000|tsd\.?|tausend|mio\.?|millionen)(?: personen)?", re.IGNORECASE)
_DIVIDING = re.compile(
    r"geschlecht|sex|gender|nationalit|staatsang|herkunft|migration|alter(?!nativ)|kategor|merkmal|auspraeg|aufenthalt"
    r"|schulform|abschluss|kontinent|religion|serie|(?:^|mass|mess)(?:einheit|unit)"
)


def divides(header: str) -> bool:
    """Whether a column of this name tells the rows of one territory and period apart."""
    return bool(_DIVIDING.search(normalise(header)))


def unit_of(text: str) -> Unit | None:
    """What kind of numbers a unit announces; None where the text is empty."""
    text = normalise(text)
    if not text:
        return None
    return "count" if text in _COUNTS else "share" if text in _SHARES or text.startswith("je1") else "other"


def header_unit(text: str) -> Unit | None:
    """The unit a header cell is about; words that may be the name of a measure (``Quote``) are none."""
    text = normalise(text)
    return "count" if text == "anzahl" else "share" if text in ("prozent", "inprozent") else None


def worded_unit(text: str) -> Unit | None:
    """The unit a text is about, however it is worded: ``Anteil an allen Kindern in Prozent``, ``Anzahl der Kinder``.

    Only what is certain: a rate per 1,000 is no percentage, and points of a percentage are none.
    """
    text = normalise(text)
    if "prozent" in text and "prozentpunkt" not in text:
        return "share"
    return "count" if text.startswith("anzahl") or text in ("absolut", "personen") else None


def title_unit(text: str) -> tuple[str, Unit] | None:
    """The unit in brackets at the end of a title line: ``Bevölkerungsstand (Anzahl)``, ``(1000)``, ``(Prozent)``."""
    found = _IN_BRACKETS.search(text.strip().rstrip(";"))
    if found is None:
        return None
    unit = header_unit(found[1]) or ("other" if _MULTIPLE.fullmatch(found[1].strip()) else None)
    return None if unit is None else (found[1].strip(), unit)


def is_total(text: str, *, counted: bool, share: bool) -> bool:
    """Whether a cell of a dividing column says nothing: the total, or the unit the numbers are agreed in."""
    unit = unit_of(text)
    return (
        unit is None
        or (unit == "count" and counted)
        or (unit == "share" and share)
        or bool(_TOTALS.fullmatch(normalise(text)))
    )
