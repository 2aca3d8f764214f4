"""What the register of territories knows: is a key real at that time, and does the name delivered beside it fit?

Keys and names are checked against each other because official files have carried rows whose keys had slipped by one
while the names were right.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from difflib import SequenceMatcher
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import psycopg

KeyCheck = Literal["known", "outdated", "ended", "unknown", "unlisted", "unchecked"]
NameCheck = Literal["agrees", "disagrees", "other"]

_EDITION_REACH = timedelta(days=366)
"""A key that neither the edition before nor the one after has is wrong, if both are this close to the reference date."""
_REMAINDERS = frozenset({"03241999"})
"""Keys no register has but statistical offices publish under: the rest of a county whose largest town they show apart."""
_SIMILAR = 0.8
_STATE, _COUNTY = 2, 5
_MUNICIPALITY = 8
_REKEYING = timedelta(days=2 * 366)
"""Offices book a merger late or early: Ilsede's unemployed of 2016 still stood under the key that ended in 2014."""
_STALE = timedelta(days=4 * 366)
"""Published tables are slower still: that of 2016 had municipalities under keys that ended in 2013. Longer is a mistake."""
_CITY_STATES = ("02", "11")
"""One municipality each: what stands below them in tables are town districts no register lists."""
_COUNTRY = "DG"


class Register:
    """Names by key from every accepted edition and change list, when keys ended, and the dates of the editions.

    ``units`` are pairs of key and name; a key may have had several names over time. ``ends`` is the first day a key is gone
    for certain. The ``baseline`` is what is known without any delivery; it covers the counties whose municipalities it lists.
    """

    def __init__(
        self,
        units: Iterable[tuple[str, str]],
        editions: Iterable[date],
        baseline: Baseline | None = None,
        lineage: Lineage | None = None,
        ends: Mapping[str, date] | None = None,
    ) -> None:
        self.lineage = lineage or Lineage()
        self._names: dict[str, dict[str, str]] = defaultdict(dict)
        self._codes_by_name: dict[tuple[str, int, str], set[str]] = defaultdict(set)
        self._covered: set[tuple[str, int]] = set()
        for code, name in units:
            self._add(code, name)
            self._covered.add(_area(code))
        self._baseline = baseline or Baseline()
        for code, name in self._baseline.units:
            self._add(code, name)
        self._ends = {**self._baseline.ends, **(ends or {})}
        self._editions = sorted(set(editions))

    def __len__(self) -> int:
        return len(self._names)

    @property
    def is_delivered(self) -> bool:
        """Whether any edition was accepted: until then only the baseline can be checked against."""
        return bool(self._editions)

    def check_key(self, code: str, reference: date | None) -> KeyCheck:
        """What the register says of a key on a day.

        ``outdated``: it was a key some years ago, and published tables may still have it. ``ended``: longer ago.
        ``unknown``: an edition of that day, or the ones around it, should have it, or the latest edition has it not.
        ``unlisted``: in no edition of the area, but none is close. ``unchecked``: no edition covers the area and level.
        """
        if code == _COUNTRY or (code in _REMAINDERS and code[:_COUNTY] in self._names):
            return "known"
        if code in self._names:
            end = self._end(code)
            if not end or not reference or reference < end + _REKEYING:
                return "known"
            return "ended" if reference >= end + _STALE else "outdated"
        covered = _area(code) in self._covered
        if not covered and not (len(code) == _MUNICIPALITY and code[:_COUNTY] in self._baseline.counties):
            return "unchecked"
        if reference is None or code[:_STATE] in _CITY_STATES:
            return "unlisted"
        return "unknown" if not covered or self._enclosed(reference) or self._editions[-1] <= reference else "unlisted"

    def check_name(self, code: str, name: str) -> NameCheck:
        """``other`` when the name is exactly that of another unit of the same level and state, and not of this one."""
        own = self._names.get(code)
        plain = normalise(name)
        if not own or not plain or any(_similar(plain, known) for known in own):
            return "agrees"
        return "other" if self._codes_by_name.get((code[:_STATE], len(code), plain), set()) - {code} else "disagrees"

    def instead(self, code: str, name: str | None = None) -> str | None:
        """The key that is meant: the one unit that has this name now, else what followed the key; in words, if there is one."""
        living = set()
        if name and _is_bare(name):
            named = self._codes_by_name.get((code[:_STATE], len(code), normalise(name)), set())
            living = {other for other in named if not self._end(other)} - {code}
        if not living and self._end(code):
            living = self.lineage.successors(code)
        if len(living) != 1:
            return None
        [right] = living
        known = self._names.get(right)
        return f"{right} ({next(reversed(known.values()))})" if known else right

    def _end(self, code: str) -> date | None:
        """The first day a key is gone; a municipality goes with its county's key at the latest."""
        ends = [self._ends[one] for one in {code, code[:_COUNTY]} if one in self._ends and len(one) >= _COUNTY]
        return min(ends, default=None)

    def _enclosed(self, day: date) -> bool:
        before = [e for e in self._editions if timedelta(0) <= day - e <= _EDITION_REACH]
        after = [e for e in self._editions if timedelta(0) <= e - day <= _EDITION_REACH]
        return bool(before and after)

    def _add(self, code: str, name: str) -> None:
        plain = normalise(name)
        self._names[code][plain] = name
        self._codes_by_name[code[:_STATE], len(code), plain].add(code)


@dataclass(frozen=True)
class Baseline:
    """What is known of territories without any delivery: keys and names, when keys ended, the counties listed in full."""

    units: tuple[tuple[str, str], ...] = ()
    ends: Mapping[str, date] = field(default_factory=dict)
    counties: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """A unit that ended or changed its key, and the unit its people belong to since."""

    old: str
    new: str
    day: date


@dataclass(frozen=True)
class Facts:
    """What a lineage rests on: the inhabited municipalities of each edition, and the changes between editions."""

    editions: Mapping[date, frozenset[str]] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    years: frozenset[int] | None = frozenset()
    """Years whose changes are known; None: all, for the counties the editions have."""


class Lineage:
    """Which municipalities a county had on a day, and whether a key that came or went is explained by a change.

    ``load`` is called when the first question is asked: most deliveries need no answer.
    """

    def __init__(self, load: Callable[[], Facts] = Facts, fallback: Lineage | None = None) -> None:
        self._load = load
        self._fallback = fallback

    @classmethod
    def from_seed(cls, project: Path) -> Lineage:
        """What the project itself knows of its county."""
        return cls(lambda: _seed(project))

    def over(self, fallback: Lineage) -> Lineage:
        """This lineage, and the other where this one knows nothing."""
        return Lineage(self._load, fallback)

    def municipalities(self, county: str, day: date) -> frozenset[str] | None:
        """The inhabited municipalities of a county on a day; None when it cannot be told.

        The edition before the day, with the changes since; else the one after, if nothing changed in the county between.
        In both cases the changes of the years between must be known.
        """
        before = max((e for e in self._members if e <= day and county in self._members[e]), default=None)
        if before is not None and self._covers(county, before + timedelta(days=1), day):
            keys = set(self._members[before][county])
            for change in self._by_county.get(county, ()):
                if before < change.day <= day:
                    keys.discard(change.old)
                    keys.add(change.new)
            return frozenset(key for key in keys if key.startswith(county))
        after = min((e for e in self._members if e > day and county in self._members[e]), default=None)
        if (
            after is not None
            and self._covers(county, day + timedelta(days=1), after)
            and not any(day < change.day <= after for change in self._by_county.get(county, ()))
        ):
            return self._members[after][county]
        return self._fallback.municipalities(county, day) if self._fallback else None

    def explains(self, code: str, first: date, last: date) -> bool | None:
        """Whether the key ended or began around these days, two years of late or early re-keying included.

        None when the changes of these years are not known for the key's county.
        """
        if any(first - _REKEYING <= day <= last + _REKEYING for day in self._days.get(code, ())):
            return True
        if self._fallback and self._fallback.explains(code, first, last):
            return True
        if self._covers(code[:_COUNTY], first - timedelta(days=365), last):
            return False
        return self._fallback.explains(code, first, last) if self._fallback else None

    def successors(self, code: str) -> set[str]:
        """The keys that a key's people belong to since it ended, themselves not ended as far as is known."""
        found: set[str] = set()
        waiting, seen = [code], {code}
        while waiting:
            following = {change.new for change in self._changes_of.get(waiting.pop(), ())}
            for new in following - seen:
                seen.add(new)
                if self._changes_of.get(new):
                    waiting.append(new)
                else:
                    found.add(new)
        return found or (self._fallback.successors(code) if self._fallback else set())

    def _covers(self, county: str, first: date, last: date) -> bool:
        if first > last:
            return True
        if self._facts.years is None:
            return any(county in members for members in self._members.values())
        return set(range(first.year, last.year + 1)) <= self._facts.years

    @cached_property
    def _facts(self) -> Facts:
        return self._load()

    @cached_property
    def _members(self) -> dict[date, dict[str, frozenset[str]]]:
        found: dict[date, dict[str, frozenset[str]]] = {}
        for day, keys in self._facts.editions.items():
            by_county: dict[str, set[str]] = defaultdict(set)
            for key in keys:
                by_county[key[:_COUNTY]].add(key)
            found[day] = {county: frozenset(members) for county, members in by_county.items()}
        return found

    @cached_property
    def _days(self) -> dict[str, list[date]]:
        days: dict[str, list[date]] = defaultdict(list)
        for change in self._facts.changes:
            for code in (change.old, change.new):
                days[code].append(change.day)
        return days

    @cached_property
    def _changes_of(self) -> dict[str, list[Change]]:
        found: dict[str, list[Change]] = defaultdict(list)
        for change in self._facts.changes:
            found[change.old].append(change)
        return found

    @cached_property
    def _by_county(self) -> dict[str, list[Change]]:
        found: dict[str, list[Change]] = defaultdict(list)
        for change in sorted(self._facts.changes, key=lambda c: c.day):
            if len(change.old) == _MUNICIPALITY:
                for county in {change.old[:_COUNTY], change.new[:_COUNTY]}:
                    found[county].append(change)
        return found


@cache
def _territories(project: Path) -> tuple[Mapping[str, str], ...]:
    """The territories the project carries; none where it has no such seed."""
    path = project / "dbt_project" / "seeds" / "territories.csv"
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))


def baseline(project: Path) -> Baseline:
    """What the project carries, so that keys can be checked before a register was delivered."""
    units = _territories(project)
    return Baseline(
        tuple((row["territory_code"], row["territory_name"]) for row in units),
        {
            row["territory_code"]: date.fromisoformat(row["valid_to"]) + timedelta(days=1)
            for row in units
            if row["valid_to"]
        },
        frozenset(row["territory_code"][:_COUNTY] for row in units if row["level"] == "municipality"),
    )


@cache
def _seed(project: Path) -> Facts:
    """The territories the project carries, as if an edition had been taken on every day one of them began or ended."""
    units = [row for row in _territories(project) if row["level"] == "municipality"]
    if not units:
        return Facts()
    first, last = date(1995, 1, 1), date.max
    spans = [
        (
            row["territory_code"],
            date.fromisoformat(row["valid_from"]) if row["valid_from"] else first,
            date.fromisoformat(row["valid_to"]) if row["valid_to"] else last,
        )
        for row in units
    ]
    days = {first, *(begin for _, begin, _ in spans), *(end + timedelta(days=1) for _, _, end in spans if end != last)}
    return Facts(
        {day: frozenset(code for code, begin, end in spans if begin <= day <= end) for day in days},
        tuple(
            Change(
                row["territory_code"], row["successor_code"], date.fromisoformat(row["valid_to"]) + timedelta(days=1)
            )
            for row in units
            if row["successor_code"] and row["valid_to"]
        ),
        None,
    )


def from_warehouse(conn: psycopg.Connection[Any], known: Baseline | None = None) -> Register:
    """The register as the accepted deliveries of its two datasets state it, plus a baseline that is always known."""
    editions = conn.execute(
        """
        select r.territory_code, r.territory_name, max(r.period_code::date)
        from raw.register__municipalities as r
        inner join ops.delivery as d on d.delivery_id = r._delivery_id and d.state = 'loaded'
        where r.territory_code is not null and r.territory_name is not null
        group by r.territory_code, r.territory_name
        order by 3
        """
    ).fetchall()
    listed = conn.execute(
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
    days_by_area: dict[tuple[str, int], list[date]] = defaultdict(list)
    for area, digits, day in conn.execute(
        f"""
        select distinct left(r.territory_code, case when length(r.territory_code) > {_COUNTY} then {_COUNTY} else {_STATE} end),
            length(r.territory_code), r.period_code::date
        from raw.register__municipalities as r
        inner join ops.delivery as d on d.delivery_id = r._delivery_id and d.state = 'loaded'
        where r.territory_code is not null and r.territory_name is not null
        order by 3
        """
    ):
        days_by_area[area, digits].append(day)
    changes = _changes(conn)
    lineage = Lineage(lambda: _facts(conn, changes))
    last_seen = {code: day for code, _, day in editions}  # in the order of the days, so the latest counts
    ends = _ends(last_seen, days_by_area, changes, known or Baseline())
    units = [*((code, name) for code, name, _ in editions), *listed]
    return Register(
        units,
        (day for days in days_by_area.values() for day in days),
        replace(known, ends={}) if known else None,
        lineage,
        ends,
    )


def _ends(
    last_seen: Mapping[str, date],
    days_by_area: Mapping[tuple[str, int], list[date]],
    changes: Sequence[Change],
    known: Baseline,
) -> dict[str, date]:
    """The first day each key that ended is gone for certain: by a list of changes, else by the first edition without it.

    What an edition still has has not ended before it, whatever a list or the baseline says; nor has what a later change
    brought back.
    """
    begun: dict[str, date] = {}
    for change in changes:
        begun[change.new] = max(change.day, begun.get(change.new, change.day))
    ends: dict[str, date] = {}

    def gone(code: str, day: date) -> None:
        if max(last_seen.get(code, date.min), begun.get(code, date.min)) < day:
            ends[code] = min(day, ends.get(code, day))

    for code, last in last_seen.items():
        if later := next((day for day in days_by_area[_area(code)] if day > last), None):
            gone(code, later)
    for change in changes:
        gone(change.old, change.day)
    for code, day in known.ends.items():
        gone(code, day)
    return ends


def _changes(conn: psycopg.Connection[Any]) -> tuple[Change, ...]:
    """The keys that ended or were changed, as the accepted lists of changes state them."""
    rows = conn.execute(
        """
        select distinct coalesce(c.old_code, c.old_ars), coalesce(c.new_code, c.new_ars), c.statistical_date::date
        from raw.register__territorial_changes as c
        inner join ops.delivery as d on d.delivery_id = c._delivery_id and d.state = 'loaded'
        where c.change_type ~ '[13]' and c.statistical_date ~ '^[0-9]{4}-'
            and coalesce(c.old_code, c.old_ars) <> coalesce(c.new_code, c.new_ars)
        """
    )
    return tuple(Change(*row) for row in rows)


def _facts(conn: psycopg.Connection[Any], changes: tuple[Change, ...]) -> Facts:
    """The municipalities with inhabitants per edition, the changes, and the years whose lists were accepted."""
    members: dict[date, set[str]] = defaultdict(set)
    for day, code in conn.execute(
        """
        select distinct r.period_code::date, r.territory_code
        from raw.register__municipalities as r
        inner join ops.delivery as d on d.delivery_id = r._delivery_id and d.state = 'loaded'
        where r.record_type = '60' and r.population::numeric > 0
        """
    ):
        members[day].add(code)
    years = conn.execute(
        """
        select distinct c.period_code::integer
        from raw.register__territorial_changes as c
        inner join ops.delivery as d on d.delivery_id = c._delivery_id and d.state = 'loaded'
        where c.period_code ~ '^[0-9]{4}$'
        """
    ).fetchall()
    return Facts(
        {day: frozenset(codes) for day, codes in members.items()},
        changes,
        frozenset(row[0] for row in years),
    )


def populations(conn: psycopg.Connection[Any]) -> dict[str, dict[str, float]]:
    """Inhabitants by reference year (31 Dec) and county as the register states them: tells the year of a file of rates."""
    result: dict[str, dict[str, float]] = defaultdict(dict)
    rows = conn.execute(
        """
        select left(population_period_code, 4), left(territory_code, 5), sum(population::numeric)
        from (
            select distinct on (r.population_period_code, r.territory_code)
                r.population_period_code, r.territory_code, r.population
            from raw.register__municipalities as r
            inner join ops.delivery as d on d.delivery_id = r._delivery_id and d.state = 'loaded'
            where r.record_type = '60' and r.population is not null and r.population_period_code like '%-12-31'
            order by r.population_period_code, r.territory_code, d.received_at desc, d.delivery_id desc
        ) as latest
        group by 1, 2
        """
    )
    for year, county, inhabitants in rows:
        result[year][county] = float(inhabitants)
    return dict(result)


@lru_cache(maxsize=100_000)
def normalise(name: str) -> str:
    """The part of a name that offices agree on: no titles, no suffixes, no case, no umlauts, no punctuation."""
    text = name.strip().casefold()
    text = re.sub(r"\(.{0,200}?\)|\b\d{1,9}\)", " ", text)
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


def _is_bare(name: str) -> bool:
    """Whether nothing but a title is added to a name: an addition may say that it is not that unit, but what is left of it."""
    addition = re.split(r"[^a-zäöüß]+", name.partition(",")[2].casefold())
    return "(" not in name and all(not word or normalise(f"x {word}") == "x" for word in addition)


def _area(code: str) -> tuple[str, int]:
    return (code[: _COUNTY if len(code) > _COUNTY else _STATE], len(code))


def are_alike(one: str, other: str) -> bool:
    """Whether two names may be those of the same place; an empty one is nobody's."""
    plain, known = normalise(one), normalise(other)
    return bool(plain and known) and _similar(plain, known)


def _similar(one: str, other: str) -> bool:
    """Alike enough to be the same place: one contains the other's words, or the letters hardly differ."""
    a, b = set(one.split()), set(other.split())
    return a <= b or b <= a or SequenceMatcher(None, one, other).ratio() >= _SIMILAR
