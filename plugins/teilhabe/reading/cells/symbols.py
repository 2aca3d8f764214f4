"""What stands in a number's cell: text -> (value, obs_status, conf_status), vectorised, one regime per contract.

The regimes are those of statistics.md § 3 (GENESIS / old LSN, new LSN, BA). They contradict each other, so the reader
never guesses. Values stay exact decimal text: a number from a CSV never passes through a float.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.columns.bytewise import plain_numbers
from teilhabe.contract.layouts import Meaning, NumberFormat, Regime, SymbolRules

_Status = tuple[str | None, str, str]

_ZERO: _Status = ("0", "A", "F")
_MISSING: _Status = (None, "M", "F")
_SECRET: _Status = (None, "Q", "C")
_UNRELIABLE: _Status = (None, "O", "F")
_LATER: _Status = (None, "O", "F")

_MEANINGS: dict[Meaning, _Status] = {
    "zero": _ZERO,
    "missing": _MISSING,
    "suppressed": _SECRET,
    "unreliable": _UNRELIABLE,
    "later": _LATER,
}

_SYMBOLS: dict[Regime, dict[str, _Status]] = {
    "genesis": {".": _SECRET, "/": _UNRELIABLE, "x": _MISSING, "X": _MISSING, "...": _LATER, "\u2026": _LATER},
    "lsn_new": {"k": _ZERO, "g": _SECRET, "u": _UNRELIABLE, "x": _MISSING, "t": _LATER},
    "ba": {"*": _SECRET, "x": _MISSING, "X": _MISSING},
    "none": {},
}
_MINUS = "\u2212"
_DASHES = ("-", "\u2013", "\u2014")
_REGIMES_WITH_DASH: frozenset[Regime] = frozenset({"genesis", "ba"})

_SUFFIXES: dict[Regime, dict[str, str]] = {
    "genesis": {"p": "P", "r": "A", "s": "E"},
    "lsn_new": {"p": "P", "r": "A", "s": "E", "e": "E", "u": "U"},
    "ba": {},
    "none": {},
}
"""Letter behind a number -> obs_status. ``r`` (revised) is an ordinary value: the vintage shows the revision."""

_DECIMAL_MARK: dict[NumberFormat, str] = {"german": ",", "english": ".", "international": "."}
_NUMBER: dict[NumberFormat, re.Pattern[str]] = {
    "german": re.compile(r"[+-]?([0-9]+|[0-9]{1,3}([. '])[0-9]{3}(?:\2[0-9]{3})*)(,[0-9]+)?"),
    "english": re.compile(r"[+-]?([0-9]+|[0-9]{1,3}([, '])[0-9]{3}(?:\2[0-9]{3})*)(\.[0-9]+)?"),
    "international": re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?"),
}
_THOUSANDS: dict[NumberFormat, re.Pattern[str]] = {
    "german": re.compile(r"[. ']"),
    "english": re.compile(r"[, ']"),
    "international": re.compile(r" "),
}
_SPACES = re.compile("[\u00a0\u2009\u202f\u2007]")
"""Written as thousands separators, invisible on paper."""
_APOSTROPHES = re.compile("[\u2019\u02bc]")
"""Thousands as the Swiss write them."""


def signs(rules: SymbolRules) -> dict[str, Meaning]:
    """Every sign that may stand in a cell instead of a number, and what it means; ``""`` is an empty cell."""
    later = {"...", "\u2026", "t"}
    names: dict[_Status, Meaning] = {
        _ZERO: "zero",
        _MISSING: "missing",
        _SECRET: "suppressed",
        _UNRELIABLE: "unreliable",
    }
    found = {sign: "later" if sign in later else names[status] for sign, status in _SYMBOLS[rules.regime].items()}
    if rules.regime in _REGIMES_WITH_DASH:
        found["-"] = "missing" if rules.dash == "missing" else "zero"
    return found | rules.also


def wanted(rules: SymbolRules) -> str:
    """What a number's cell may hold, in German: ``eine Zahl oder eines der vereinbarten Zeichen „-“, „.“``."""
    agreed = signs(rules)
    found = [f"„{sign}“" for sign in agreed if sign and sign not in ("X", "\u2026")]
    which = ["eine Zahl"]
    if found:
        which.append(
            ("das vereinbarte Zeichen " if len(found) == 1 else "eines der vereinbarten Zeichen ") + ", ".join(found)
        )
    if "" in agreed:
        which.append("eine leere Zelle")
    return " oder ".join(which)


@dataclass(frozen=True)
class Converted:
    """Three columns as long as the input (coded if it is), and masks: ``bad`` is neither number nor symbol, ``dash`` a GENESIS dash."""

    value: pa.Array
    obs_status: pa.Array
    conf_status: pa.Array
    bad: pa.Array
    dash: pa.Array


_ANY_SIGN = pa.array(sorted({"0", *_DASHES, *(sign for signs in _SYMBOLS.values() for sign in signs)}), pa.string())


def tally(cells: pa.Array) -> dict[str, int]:
    """How often each sign of any regime, and ``0``, whose meaning the regimes do not share, stands in these cells."""
    if not pa.types.is_dictionary(cells.type):
        found = cells.filter(pc.is_in(cells, _ANY_SIGN)).value_counts()
        return {one["values"]: one["counts"] for one in found.to_pylist()}
    texts = cells.dictionary
    places = pc.indices_nonzero(pc.is_in(texts, _ANY_SIGN)).to_pylist()
    if not places:
        return {}
    counts = np.bincount(cells.indices.drop_null().to_numpy(), minlength=len(texts))
    return {texts[place].as_py(): int(counts[place]) for place in places if counts[place]}


def convert(cells: pa.Array, rules: SymbolRules, numbers: NumberFormat) -> Converted:
    """Every cell becomes a canonical decimal text or a declared status; anything else is marked ``bad``.

    Work is done once per distinct text, then spread over the rows.
    """
    if pa.types.is_dictionary(cells.type):
        index = cells.indices
        value, obs, conf, bad, dash = _distinct(cells.dictionary, rules, numbers)
        value = pa.DictionaryArray.from_arrays(index, value)
        return Converted(value, _spread(obs, index), _spread(conf, index), bad.take(index), dash.take(index))
    coded = pc.fill_null(cells, "").dictionary_encode()
    value, obs, conf, bad, dash = _distinct(coded.dictionary, rules, numbers)
    index = coded.indices
    return Converted(value.take(index), obs.take(index), conf.take(index), bad.take(index), dash.take(index))


def _spread(states: pa.Array, index: pa.Array) -> pa.DictionaryArray:
    """A few states for many texts: coded by state, not by text."""
    few = states.dictionary_encode()
    return pa.DictionaryArray.from_arrays(few.indices.take(index), few.dictionary)


def _distinct(
    texts: pa.Array, rules: SymbolRules, numbers: NumberFormat
) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array, pa.Array]:
    size = len(texts)
    value, plain = plain_numbers(texts, _DECIMAL_MARK[numbers])
    if rules.also:  # a contract may give even a number another meaning
        plain &= ~pc.is_in(texts, pa.array(list(rules.also), pa.string())).to_numpy(zero_copy_only=False)
    obs, conf = pa.repeat("A", size), pa.repeat("F", size)
    no = pa.repeat(False, size)
    if plain.all():
        return value, obs, conf, no, no
    rest = pa.array(~plain)
    slow = [_one(text, rules, numbers) for text in texts.filter(rest).to_pylist()]
    values, states, secrets, bad, dash = zip(*slow, strict=True)
    return (
        pc.replace_with_mask(value, rest, pa.array(values, pa.string())),
        pc.replace_with_mask(obs, rest, pa.array(states, pa.string())),
        pc.replace_with_mask(conf, rest, pa.array(secrets, pa.string())),
        pc.replace_with_mask(no, rest, pa.array(bad, pa.bool_())),
        pc.replace_with_mask(no, rest, pa.array(dash, pa.bool_())),
    )


def _one(text: str, rules: SymbolRules, numbers: NumberFormat) -> tuple[str | None, str, str, bool, bool]:
    """(value, obs_status, conf_status, bad, dash) of a text that is not plainly a number."""
    text = _APOSTROPHES.sub("'", _SPACES.sub(" ", text)).replace(_MINUS, "-").strip()
    if text in rules.also:
        return (*_MEANINGS[rules.also[text]], False, False)
    if text in _SYMBOLS[rules.regime]:
        return (*_SYMBOLS[rules.regime][text], False, False)
    if text in _DASHES and rules.regime in _REGIMES_WITH_DASH:
        return (*(_MISSING if rules.dash == "missing" else _ZERO), False, True)
    if (number := _number(text, numbers)) is not None:
        return (number, "A", "F", False, False)
    if (marked := _marked_number(text, rules.regime, numbers)) is not None:
        return (*marked, "F", False, False)
    return (*_MISSING, True, False)


def _number(text: str, numbers: NumberFormat) -> str | None:
    """``+1.234,50`` -> ``1234.50``: point as decimal mark, no separators, no plus, no leading zeros, no exponent."""
    if not _NUMBER[numbers].fullmatch(text) or _is_rounded(text):
        return None
    text = _THOUSANDS[numbers].sub("", text)
    if numbers == "german":
        text = text.replace(",", ".")
    return format(Decimal(text), "f")


def _is_rounded(text: str) -> bool:
    """``1.37E+05``: a spreadsheet shows few digits of a number and saves these; 137000 may have been 136960.

    Programs that keep all digits write ``1.2E7``, or ``1e+05`` where that is no longer than the number itself.
    """
    mantissa, mark, exponent = text.lower().partition("e")
    if not mark or not exponent.startswith("+") or int(exponent) <= len(mantissa.partition(".")[2]):
        return False
    return "E" in text or len(text) > len(format(Decimal(text), "f"))


def _marked_number(text: str, regime: Regime, numbers: NumberFormat) -> tuple[str, str] | None:
    """``(12)`` is of limited reliability, ``12p`` provisional: the number and its obs_status."""
    status = None
    if regime == "genesis" and text.startswith("(") and text.endswith(")"):
        text, status = text[1:-1].strip(), "U"
    elif text and text[-1] in _SUFFIXES[regime]:
        text, status = text[:-1].strip(), _SUFFIXES[regime][text[-1]]
    number = _number(text, numbers) if status else None
    return None if number is None or status is None else (number, status)
