"""Wide headers -> coordinates: the texts above a column say what its numbers are about."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import islice

from teilhabe.contract.layouts import Labels, Validity
from teilhabe.reading.cells.periods import is_valid, parse_period

_UNITS = frozenset({"", "Anzahl", "Prozent", "%", "in %", "Anteil in %", "Angaben in %", "Personen"})
_FOOTNOTE_MARK = re.compile(r"(?<=[^\d\s])(?:\s{0,9},?\s{0,9}\d\){1,9}){1,9}$")
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾"
_STARRED = re.compile(r"(?<=\S)\s?\*{1,3}\)$")
_LONGEST_MARK = 8
_UNIT_POWER = re.compile(r"(?<=m)[²³]")


_ALIKE = 0.6
_LONGEST_QUOTE = 80
_MOST_QUOTED = 5
_MOST_COMPARED = 500

_BOTH_SEXES = (
    (re.compile(r"\b(\w{1,60})innen\s{1,9}und\s{1,9}\1(e?n?)\b"), r"\1\2"),
    (re.compile(r"\b(\w{1,60})\s{1,9}und\s{1,9}\1innen\b"), r"\1"),
    (re.compile(r"\b(\w{0,60}?)(\w{4,60})innen\s{1,9}und\s{1,9}-\2(e?n?)\b"), r"\1\2\3"),
    (re.compile(r"(?<=\w)(?:/-?|\(|[*:])innen\)?(?!\w)"), ""),
)
"""``Ausländerinnen und Ausländer``, ``Ausländer/-innen``, ``Ausländer(innen)``: written anew each few years, the same."""


def unmarked(text: str) -> str:
    """A text without the footnote marks behind it: ``65¹``, ``Wähler ¹⁾``, ``Peine *)``; ``km²`` is a unit."""
    rest = text.rstrip()
    for _ in range(_LONGEST_MARK):
        starred = _STARRED.search(rest[-_LONGEST_MARK:])
        if starred is not None:
            rest = rest[: -len(starred[0])].rstrip()
        elif rest[-1:] and rest[-1] in _RAISED and not _UNIT_POWER.search(rest[-2:]):
            rest = rest[:-1].rstrip()
        else:
            break
    return rest or text


def normalise(text: str) -> str:
    """Header text reduced to what identifies it.

    Case, umlauts, punctuation, spaces, footnote marks and the way of naming both sexes do not.
    """
    text = _FOOTNOTE_MARK.sub("", unmarked(text.strip())).casefold()
    if "innen" in text:
        for pattern, plain in _BOTH_SEXES:
            text = pattern.sub(plain, text)
    for umlaut, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("%", "prozent"), ("m²", "m2")):
        text = text.replace(umlaut, plain)
    text = re.sub(r"(?<=[0-9])[^a-z0-9]+(?=[0-9])", "-", text)  # 1-5 is not 15
    return re.sub(r"(?<![0-9])[^a-z0-9]+|[^a-z0-9]+(?![0-9])", "", text)


def clean(text: str) -> str:
    """A label as a person reads it: one kind of space, no footnote mark."""
    return _FOOTNOTE_MARK.sub("", unmarked(" ".join(text.split())))


def instead(missing: str, unknown: Iterable[str]) -> str:
    """How a sentence about a missing text goes on: with the texts nobody agreed on, only those alike where there are any."""
    wanted = normalise(missing)
    texts = list(dict.fromkeys(clean(text)[:_LONGEST_QUOTE] for text in islice(unknown, _MOST_COMPARED)))
    alike = {text: SequenceMatcher(None, wanted, normalise(text)).ratio() for text in texts}
    if not texts:
        return ""
    texts = sorted((text for text in texts if alike[text] >= _ALIKE), key=lambda text: -alike[text]) or texts
    return "; unbekannt ist stattdessen " + ", ".join(f"„{text}“" for text in texts[:_MOST_QUOTED])


class Dictionary:
    """The ``labels`` of a layout, found whatever the spelling of case, spaces, umlauts and footnote marks.

    In a header a unit says nothing new; in a cell (``units=False``) it may be the only thing that tells rows apart.
    """

    def __init__(
        self,
        labels: Labels,
        optional: Iterable[str] = (),
        validity: Mapping[str, Validity] | None = None,
        *,
        units: bool = True,
    ) -> None:
        self.labels = labels
        self._labels = {normalise(text): coordinates for text, coordinates in labels.items()}
        for unit in _UNITS if units else ("",):
            self._labels.setdefault(normalise(unit), {})
        self._spellings: dict[frozenset[tuple[str, str]], list[str]] = {}
        for text, coordinates in labels.items():
            if coordinates:
                self._spellings.setdefault(_frozen(coordinates), []).append(text)
        self._optional = {_frozen(labels[text] or {}) for text in optional if text in labels}
        self._validity = validity or {}
        self.used: set[str] = set()
        """Normalised texts that were looked up and found."""

    def __contains__(self, text: str) -> bool:
        return normalise(text) in self._labels

    def __getitem__(self, text: str) -> dict[str, str] | None:
        key = normalise(text)
        self.used.add(key)
        return self._labels[key]

    def missing(self, seen: Iterable[dict[str, str]], periods: Collection[str] = ()) -> list[str]:
        """Labels (first spelling) none of whose spellings occurred, the optional ones aside.

        A label with a validity is missing only if one of ``periods`` lies in its time.
        """
        found = {_frozen(coordinates) for coordinates in seen}
        return [
            expected[0]
            for key, texts in self._spellings.items()
            if key not in found and key not in self._optional
            if (expected := [text for text in texts if self._is_expected(text, periods)])
        ]

    def _is_expected(self, text: str, periods: Collection[str]) -> bool:
        validity = self._validity.get(text)
        return validity is None or not periods or any(is_valid(validity, period) for period in periods)


def _frozen(coordinates: dict[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(coordinates.items())


@dataclass
class ValueColumn:
    """One column of numbers: where it stands (0-based) and what it is about (period included where delivered)."""

    position: int
    coordinates: dict[str, str]
    texts: list[str] = field(default_factory=list)
    """Its header texts, the units among them."""


@dataclass
class Header:
    columns: list[ValueColumn] = field(default_factory=list)
    unknown: list[tuple[int, str]] = field(default_factory=list)
    """(position, text) of columns with a text that is in no label."""
    seen: list[dict[str, str]] = field(default_factory=list)
    not_loaded: list[int] = field(default_factory=list)
    nameless: list[int] = field(default_factory=list)
    """Positions of columns without a text."""


def headline(row: Sequence[str], first: int, dictionary: Dictionary, period: str) -> str | None:
    """The one text above all columns from ``first`` on, where it is in no label and names no part of what is counted."""
    texts = {" ".join(cell.split()) for cell in row[first:]}
    text = texts.pop() if len(texts) == 1 else ""
    if not text or len(row) - first < 2 or text in dictionary or parse_period(text, period):
        return None
    return None if _NAMES_A_PART.search(normalise(text)) else text


_NAMES_A_PART = re.compile(
    r"auslaend|deutsche|nationalit|staatsang|fluecht|migrat|maennlich|weiblich|frauen|maenner|divers|darunter|davon"
    r"|prozent|quote|anteil|je1000|unter\d|bisunter|\djahre|undaelter|teilzeit|vollzeit|geringfueg"
)
"""Words that would make other numbers of the columns below them."""


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
            header.columns.append(ValueColumn(position, coordinates, texts))
    return header
