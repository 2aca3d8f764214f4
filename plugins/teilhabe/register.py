"""What the register of territories knows: is a key real at that time, and does the name delivered beside it fit?

Keys and names are checked against each other because official files have carried rows whose keys had slipped by one
while the names were right.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any, Literal

import psycopg

KeyCheck = Literal["known", "unknown", "unverifiable"]
NameCheck = Literal["agrees", "disagrees", "other"]

_EDITION_REACH = timedelta(days=366)
"""A key missing from an edition this close to the reference date is wrong; farther away it may have existed."""
_SIMILAR = 0.8
_STATE, _COUNTY = 2, 5
_COUNTRY = "DG"


class Register:
    """Names by key from every accepted edition and change list, and the dates of the editions.

    ``units`` are pairs of key and name; a key may have had several names over time.
    """

    def __init__(self, units: Iterable[tuple[str, str]], editions: Iterable[date]) -> None:
        self._names: dict[str, dict[str, str]] = defaultdict(dict)
        self._codes_by_name: dict[tuple[str, int, str], set[str]] = defaultdict(set)
        self._covered: set[tuple[str, int]] = set()
        for code, name in units:
            plain = normalise(name)
            self._names[code][plain] = name
            self._codes_by_name[code[:_STATE], len(code), plain].add(code)
            self._covered.add(_area(code))
        self._editions = sorted(set(editions))

    def __len__(self) -> int:
        return len(self._names)

    def check_key(self, code: str, reference: date | None) -> KeyCheck:
        """``unknown`` only where an edition close to the reference date should have the key.

        An edition that holds a few counties (or none of this level) says nothing about the rest of the country.
        """
        if code == _COUNTRY or code in self._names:
            return "known"
        near = reference is not None and any(abs(edition - reference) <= _EDITION_REACH for edition in self._editions)
        return "unknown" if near and _area(code) in self._covered else "unverifiable"

    def check_name(self, code: str, name: str) -> NameCheck:
        """``other`` when the name is exactly that of another unit of the same level and state, and not of this one."""
        own = self._names.get(code)
        plain = normalise(name)
        if not own or not plain or any(_similar(plain, known) for known in own):
            return "agrees"
        return "other" if self._codes_by_name.get((code[:_STATE], len(code), plain), set()) - {code} else "disagrees"

    def name(self, code: str) -> str | None:
        """A name the key is known under, for messages."""
        return next(iter(self._names.get(code, {}).values()), None)


def from_warehouse(conn: psycopg.Connection[Any], baseline: Iterable[tuple[str, str]] = ()) -> Register:
    """The register as the accepted deliveries of its two datasets state it, plus a baseline that is always known."""
    units = list(baseline)
    units += conn.execute(
        """
        select distinct r.territory_code, r.territory_name
        from raw.register__municipalities as r
        inner join ops.delivery as d on d.delivery_id = r._delivery_id and d.state = 'loaded'
        where r.territory_code is not null and r.territory_name is not null
        """
    ).fetchall()
    units += conn.execute(
        """
        select distinct u.code, u.name
        from raw.register__territorial_changes as c
        inner join ops.delivery as d on d.delivery_id = c._delivery_id and d.state = 'loaded'
        cross join lateral (
            values (coalesce(c.old_code, c.old_ars), c.old_name), (coalesce(c.new_code, c.new_ars), c.new_name)
        ) as u (code, name)
        where u.code is not null and u.name is not null
        """
    ).fetchall()
    editions = conn.execute(
        """
        select distinct r.period_code::date
        from raw.register__municipalities as r
        inner join ops.delivery as d on d.delivery_id = r._delivery_id and d.state = 'loaded'
        """
    ).fetchall()
    return Register(units, (row[0] for row in editions))


def populations(conn: psycopg.Connection[Any]) -> dict[str, dict[str, float]]:
    """Inhabitants by reference date and county as the register states them: tells the year of a file of rates."""
    result: dict[str, dict[str, float]] = defaultdict(dict)
    rows = conn.execute(
        """
        select population_period_code, left(territory_code, 5), sum(population::numeric)
        from (
            select distinct on (r.population_period_code, r.territory_code)
                r.population_period_code, r.territory_code, r.population
            from raw.register__municipalities as r
            inner join ops.delivery as d on d.delivery_id = r._delivery_id and d.state = 'loaded'
            where r.record_type = '60' and r.population is not null
            order by r.population_period_code, r.territory_code, d.received_at desc, d.delivery_id desc
        ) as latest
        group by 1, 2
        """
    )
    for period, county, inhabitants in rows:
        result[period][county] = float(inhabitants)
    return dict(result)


@lru_cache(maxsize=100_000)
def normalise(name: str) -> str:
    """The part of a name that offices agree on: no titles, no suffixes, no case, no umlauts, no punctuation."""
    text = name.strip().casefold()
    text = re.sub(r"\(.*?\)|\b\d+\)", " ", text)
    text = text.split(",")[0]
    for letter, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        text = text.replace(letter, letters)
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    words = [w for w in re.split(r"[^a-z0-9]+", text) if w and w not in _TITLES]
    return " ".join(words) or text


_TITLES = {
    "stadt", "landkreis", "kreis", "krsfr", "krfr", "kreisfreie", "landeshauptstadt", "lhst", "hansestadt", "markt",
    "flecken", "region", "dav", "lk", "sk", "statistische", "stat", "regierungsbezirk", "bezirk", "universitaetsstadt",
    "samtgemeinde", "verbandsgemeinde", "amt", "st", "land", "freie", "und",
}  # fmt: skip


def _area(code: str) -> tuple[str, int]:
    return (code[: _COUNTY if len(code) > _COUNTY else _STATE], len(code))


def _similar(one: str, other: str) -> bool:
    """Alike enough to be the same place: one contains the other's words, or the letters hardly differ."""
    a, b = set(one.split()), set(other.split())
    return a <= b or b <= a or SequenceMatcher(None, one, other).ratio() >= _SIMILAR
