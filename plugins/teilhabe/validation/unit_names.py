"""Which unit a name means, if it can mean only one: for rows whose key is missing or unreadable."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teilhabe.reading.cells.keys import level_of
from teilhabe.reading.cells.labels import normalise
from teilhabe.validation import register

if TYPE_CHECKING:
    import psycopg

    from teilhabe.contract.model import Level

_FROM_ABOVE: tuple[Level, ...] = ("country", "state", "region", "county", "association", "municipality")


class UnitNames:
    """Names of all units that are known, the dissolved ones among them: a name one of these had settles nothing."""

    def __init__(self, units: Iterable[tuple[str, str]], existing: Collection[str]) -> None:
        self._existing = frozenset(existing)
        self._exact: dict[str, set[str]] = defaultdict(set)
        self._plain: dict[str, set[str]] = defaultdict(set)
        for code, name in units:
            self._exact[normalise(name)].add(code)
            self._plain[register.normalise(name)].add(code)

    def code(self, name: str, levels: Collection[Level]) -> str | None:
        """The key of the only unit of that name; None where there are several, none, or it is dissolved.

        Levels above those agreed count as well: a row "Peine" among municipalities may be the town or the sum of the county.
        """
        lowest = max((_FROM_ABOVE.index(level) for level in levels), default=-1)
        for known, key in ((self._exact, normalise(name)), (self._plain, register.normalise(name))):
            found = {code for code in known.get(key, ()) if self._counts(code, lowest)}
            if found:
                code = next(iter(found))
                is_sure = len(found) == 1 and code in self._existing and level_of(code) in levels
                return code if is_sure else None
        return None

    @staticmethod
    def _counts(code: str, lowest: int) -> bool:
        level = level_of(code)
        return level is not None and _FROM_ABOVE.index(level) <= lowest


def from_warehouse(conn: psycopg.Connection[Any], project: Path) -> UnitNames:
    """The units the accepted editions and lists of changes name, and those the project itself knows."""
    units: set[tuple[str, str]] = set()
    existing: set[str] = set()
    with (project / "dbt_project" / "seeds" / "territories.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            units.add((row["territory_code"], row["territory_name"]))
            if not row["valid_to"]:
                existing.add(row["territory_code"])
    for code, name, is_latest in conn.execute(
        """
        select r.territory_code, r.territory_name, bool_or(r.period_code = last.period_code)
        from raw.register__municipalities as r
        inner join ops.delivery as d on d.delivery_id = r._delivery_id and d.state = 'loaded'
        cross join lateral (
            select max(other.period_code) as period_code
            from raw.register__municipalities as other
            inner join ops.delivery as its on its.delivery_id = other._delivery_id and its.state = 'loaded'
        ) as last
        where r.territory_code is not null and r.territory_name is not null
        group by 1, 2
        """
    ):
        units.add((code, name))
        if is_latest:
            existing.add(code)
    for code, name in conn.execute(
        """
        select distinct coalesce(c.old_code, c.old_ars), c.old_name
        from raw.register__territorial_changes as c
        inner join ops.delivery as d on d.delivery_id = c._delivery_id and d.state = 'loaded'
        where coalesce(c.old_code, c.old_ars) is not null and c.old_name is not null
        """
    ):
        units.add((code, name))
    return UnitNames(units, existing)


def resolver(names: Callable[[], UnitNames], levels: Collection[Level]) -> Callable[[str], str | None]:
    """Asks for the names when the first name is to be resolved: most files need none."""
    known: list[UnitNames] = []

    def resolve(name: str) -> str | None:
        if not known:
            known.append(names())
        return known[0].code(name, levels)

    return resolve
