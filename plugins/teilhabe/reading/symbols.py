"""What stands in a number's cell: text -> (value, obs_status, conf_status), vectorised, one regime per contract.

The regimes are those of statistics.md § 3 (GENESIS / old LSN, new LSN, BA). They contradict each other, so the reader
never guesses. Values stay exact decimal text: a number from a CSV never passes through a float.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.contracts import Meaning, NumberFormat, Regime, SymbolRules

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
_DASHES = ("-", "\u2013", "\u2014")
_REGIMES_WITH_DASH: frozenset[Regime] = frozenset({"genesis", "ba"})

_SUFFIXES: dict[Regime, dict[str, str]] = {
    "genesis": {"p": "P", "r": "A", "s": "E"},
    "lsn_new": {"p": "P", "r": "A", "s": "E", "e": "E", "u": "U"},
    "ba": {},
    "none": {},
}
"""Letter behind a number -> obs_status. ``r`` (revised) is an ordinary value: the vintage shows the revision."""

_NUMBER: dict[NumberFormat, str] = {
    "german": r"^[+-]?(\d+|\d{1,3}([. ]\d{3})+)(,\d+)?$",
    "english": r"^[+-]?(\d+|\d{1,3}([, ]\d{3})+)(\.\d+)?$",
    "international": r"^[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?$",
}
_THOUSANDS: dict[NumberFormat, str] = {"german": r"[. ]", "english": r"[, ]", "international": r" "}
_SPACES = "[\u00a0\u2009\u202f\u2007]"  # written as thousands separators, invisible on paper


@dataclass(frozen=True)
class Converted:
    """Three columns as long as the input, and masks: ``bad`` is neither number nor symbol, ``dash`` a GENESIS dash."""

    value: pa.Array
    obs_status: pa.Array
    conf_status: pa.Array
    bad: pa.Array
    dash: pa.Array


def convert(cells: pa.Array, rules: SymbolRules, numbers: NumberFormat) -> Converted:
    """Every cell becomes a canonical decimal text or a declared status; anything else is marked ``bad``.

    Work is done once per distinct text, then spread over the rows.
    """
    coded = cells if pa.types.is_dictionary(cells.type) else pc.fill_null(cells, "").dictionary_encode()
    value, obs, conf, bad, dash = _distinct(coded.dictionary, rules, numbers)
    index = coded.indices
    return Converted(value.take(index), obs.take(index), conf.take(index), bad.take(index), dash.take(index))


def _distinct(
    texts: pa.Array, rules: SymbolRules, numbers: NumberFormat
) -> tuple[pa.Array, pa.Array, pa.Array, pa.Array, pa.Array]:
    texts = pc.utf8_trim_whitespace(texts)
    if pc.any(pc.match_substring_regex(texts, _SPACES)).as_py():
        texts = pc.replace_substring_regex(texts, _SPACES, " ")
    is_number = pc.match_substring_regex(texts, _NUMBER[numbers])
    if rules.also:  # a contract may give even a number another meaning
        is_number = pc.and_not(is_number, pc.is_in(texts, pa.array(list(rules.also), pa.string())))
    plain = _canonical(pc.if_else(is_number, texts, None), numbers)
    size = len(texts)
    value = plain
    obs = pa.repeat("A", size)
    conf = pa.repeat("F", size)
    if pc.all(is_number).as_py():
        no = pa.repeat(False, size)
        return value, obs, conf, no, no

    values, states, secrets = value.to_pylist(), obs.to_pylist(), conf.to_pylist()
    bad, dash = [False] * size, [False] * size
    symbols = _SYMBOLS[rules.regime] | {text: _MEANINGS[meaning] for text, meaning in rules.also.items()}
    rest = pc.indices_nonzero(pc.invert(is_number)).to_pylist()
    for position in rest:
        text = texts[position].as_py()
        if text in symbols:
            values[position], states[position], secrets[position] = symbols[text]
        elif text in _DASHES and rules.regime in _REGIMES_WITH_DASH:
            dash[position] = True
            values[position], states[position], secrets[position] = _MISSING if rules.dash == "missing" else _ZERO
        else:
            marked = _marked_number(text, rules.regime, numbers)
            if marked is None:
                bad[position] = True
                values[position], states[position], secrets[position] = _MISSING
            else:
                values[position], states[position] = marked
    text_type = pa.string()
    return (
        pa.array(values, text_type),
        pa.array(states, text_type),
        pa.array(secrets, text_type),
        pa.array(bad),
        pa.array(dash),
    )


def _canonical(texts: pa.Array, numbers: NumberFormat) -> pa.Array:
    """``+1.234,50`` -> ``1234.50``: point as decimal mark, no separators, no plus, no leading zeros, no exponent."""
    if numbers == "international":
        exponent = pc.fill_null(pc.match_substring_regex(texts, "[eE]"), False)
        if pc.any(exponent).as_py():
            expanded = [_expand(t) if e else t for t, e in zip(texts.to_pylist(), exponent.to_pylist(), strict=True)]
            texts = pa.array(expanded, pa.string())
    else:
        texts = pc.replace_substring_regex(texts, _THOUSANDS[numbers], "")
        if numbers == "german":
            texts = pc.replace_substring(texts, ",", ".")
    return pc.replace_substring_regex(texts, r"^(-?)\+?0*(\d)", r"\1\2")


def _expand(text: str) -> str:
    return format(Decimal(text), "f")


def _marked_number(text: str, regime: Regime, numbers: NumberFormat) -> tuple[str, str] | None:
    """``(12)`` is of limited reliability, ``12p`` provisional: the number and its obs_status."""
    status = None
    if regime == "genesis" and text.startswith("(") and text.endswith(")"):
        text, status = text[1:-1].strip(), "U"
    elif text and text[-1] in _SUFFIXES[regime]:
        text, status = text[:-1].strip(), _SUFFIXES[regime][text[-1]]
    if status is None:
        return None
    cell = pa.array([text], pa.string())
    if not pc.match_substring_regex(cell, _NUMBER[numbers])[0].as_py():
        return None
    return str(_canonical(cell, numbers)[0].as_py()), status
