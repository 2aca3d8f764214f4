"""Wide headers -> coordinates: the texts above a column say what its numbers are about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from teilhabe.contracts import Labels
from teilhabe.reading.periods import parse_period

_UNITS = frozenset({"", "Anzahl", "Prozent", "%", "in %", "Personen"})
_FOOTNOTE_MARK = re.compile(r"(?<=[^\d\s])\s?\d\)+$")


def normalise(text: str) -> str:
    """Header text reduced to what identifies it: case, umlauts, punctuation, spaces and footnote marks do not."""
    text = _FOOTNOTE_MARK.sub("", text.strip()).casefold()
    for umlaut, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("%", "prozent")):
        text = text.replace(umlaut, plain)
    return re.sub(r"[^a-z0-9]", "", text)


def clean(text: str) -> str:
    """A label as a person reads it: one kind of space, no footnote mark."""
    return _FOOTNOTE_MARK.sub("", " ".join(text.split()))


class Dictionary:
    """The ``labels`` of a layout, found whatever the spelling of case, spaces, umlauts and footnote marks."""

    def __init__(self, labels: Labels, optional: Iterable[str] = ()) -> None:
        self._labels = {normalise(text): coordinates for text, coordinates in labels.items()}
        for unit in _UNITS:
            self._labels.setdefault(normalise(unit), {})
        self._spelling = {_frozen(c): text for text, c in reversed(labels.items()) if c}
        self._optional = {_frozen(labels[text] or {}) for text in optional}

    def __contains__(self, text: str) -> bool:
        return normalise(text) in self._labels

    def __getitem__(self, text: str) -> dict[str, str] | None:
        return self._labels[normalise(text)]

    def missing(self, seen: Iterable[dict[str, str]]) -> list[str]:
        """Labels (first spelling) none of whose spellings occurred, the optional ones aside."""
        found = {_frozen(coordinates) for coordinates in seen}
        return [text for key, text in self._spelling.items() if key not in found and key not in self._optional]


def _frozen(coordinates: dict[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(coordinates.items())


@dataclass
class ValueColumn:
    """One column of numbers: where it stands (0-based) and what it is about (period included where delivered)."""

    position: int
    coordinates: dict[str, str]


@dataclass
class Header:
    columns: list[ValueColumn] = field(default_factory=list)
    unknown: list[tuple[int, str]] = field(default_factory=list)
    """(position, text) of columns with a text that is in no label."""
    seen: list[dict[str, str]] = field(default_factory=list)
    not_loaded: list[int] = field(default_factory=list)


def read_header(rows: Sequence[Sequence[str]], first: int, dictionary: Dictionary, period: str) -> Header:
    """Coordinates of every column from position ``first`` on, from all header rows together."""
    header = Header()
    width = max((len(row) for row in rows), default=0)
    for position in range(first, width):
        texts = [row[position].strip() for row in rows if position < len(row)]
        coordinates: dict[str, str] = {}
        loaded, unknown = True, None
        for text in texts:
            if text in dictionary:
                found = dictionary[text]
                if found is None:
                    loaded = False
                elif found:
                    header.seen.append(found)
                    coordinates |= found
            elif code := parse_period(text, period):
                coordinates["period_code"] = code
            else:
                unknown = text
        if not loaded:
            header.not_loaded.append(position)
        elif unknown is not None:
            header.unknown.append((position, unknown))
        elif any(texts):
            header.columns.append(ValueColumn(position, coordinates))
    return header
