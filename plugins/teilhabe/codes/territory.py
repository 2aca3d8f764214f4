"""Territory keys as the offices write them -> the official keys (AGS, ARS) the warehouse uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

import pyarrow as pa
import pyarrow.compute as pc

COUNTRY = "DG"
CODE = re.compile(r"DG|(?:0[1-9]|1[0-6])(?:\d(?:\d\d(?:\d{3,4})?)?)?")
"""The country, or state (01 to 16), region, county, municipality (8 digits), association (9)."""

_STATES = 16
_REGIONAL = 12
_GENESIS_LENGTHS = (2, 3, 5, 8, 11)
_RHINELAND_PALATINATE = "07"
_ITS_LENGTHS = (*_GENESIS_LENGTHS, 7, 10)
_LOWER_SAXONY_ASSOCIATION = re.compile(r"03\d{3}4\d{2}")


def is_genesis_key(text: str) -> bool:
    """Whether a cell of a GENESIS table is a territory key; ``2015`` in a period line is none."""
    return text == COUNTRY or (text.isdigit() and len(text) in (2, 3, 5, 7, 8, 10, 11))


def with_lost_zero(text: str) -> str | None:
    """The key that lost its leading zero when a program read it as a number; None for a key that is whole, or for none.

    There is no doubt: a state's number is 01 to 16, and with the zero put back only one reading has the length of a key.
    """
    if not (text.isascii() and text.isdigit()) or _is_whole(text):
        return None
    return f"0{text}" if _is_whole(f"0{text}") else None


def _is_whole(text: str) -> bool:
    lengths = _ITS_LENGTHS if text.startswith(_RHINELAND_PALATINATE) else _GENESIS_LENGTHS
    return len(text) in lengths and 1 <= int(text[:2]) <= _STATES


def from_regional_key(text: str, levels: Collection[str]) -> str:
    """The key of a unit that is named by its regional key (ARS) of twelve digits: state, region, county, association, municipality.

    ``031570006006`` is municipality ``03157006``, ``031535401000`` the association ``031535401``. Without association and
    municipality the ``levels`` of the dataset decide: ``031010000000`` is the only municipality of its county, ``03101000``, if a
    register knows that, or county ``03101``, and ``030000000000`` the state. Eleven digits have lost their zero.
    """
    key = text.zfill(_REGIONAL) if len(text) == _REGIONAL - 1 else text
    if len(key) != _REGIONAL or not (key.isascii() and key.isdigit()) or not 1 <= int(key[:2]) <= _STATES:
        return text
    county, association, municipality = key[:5], key[5:9], key[9:]
    if municipality != "000":
        return county + municipality
    if association != "0000":
        return key[:9]
    if county[2:] == "000" and "state" in levels:
        return key[:2]
    return county + municipality if "municipality" in levels else county


def from_genesis(text: str) -> str:
    """The key of a GENESIS table as official key.

    GENESIS puts the association into the key of its members: ``03153401006`` is municipality ``03153006`` of the
    association ``03153401``, whose official key (ARS) is ``031535401``. In Rhineland-Palatinate the association has two
    digits: ``0713100007`` is ``07131007``, association ``0713101`` is ``071315001``.
    """
    if len(text) in (10, 11):
        return text[:5] + text[-3:]
    if len(text) == len("0713101"):
        return text[:5] + "50" + text[5:]
    if _LOWER_SAXONY_ASSOCIATION.fullmatch(text):
        return text[:5] + "5" + text[5:]
    return text


def map_distinct(texts: pa.Array, function: Callable[[str], str | None]) -> pa.Array:
    """``function`` applied once per distinct text."""
    coded = pc.fill_null(texts, "").dictionary_encode()
    return pa.array([function(text) for text in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)
