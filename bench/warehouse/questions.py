"""What analysts ask, each many times about other places, times and indicators."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.warehouse.country import CELLS, Country, month_code
from teilhabe.server import connecting
from teilhabe.settings import Settings

_SEED = 7


@dataclass(frozen=True)
class Asked:
    name: str
    rows: int
    p50: float
    p95: float
    """Milliseconds, planning and fetching all rows included."""


def ask(settings: Settings, country: Country, months: int, times: int) -> list[Asked]:
    """Each question ``times`` times, as the role of the analysts, planned anew each time; the first of each is not counted."""
    drawn = random.Random(_SEED)  # noqa: S311 - no secret
    asked = []
    with connecting.connect("analyst", settings, autocommit=True, prepare_threshold=None) as conn:
        for name, (statement, parameters) in _questions(country, months, drawn).items():
            milliseconds, rows = [], 0
            for number in range(times + 1):
                given = parameters()
                started = time.perf_counter()
                found = conn.execute(statement, given).fetchall()
                if number:
                    milliseconds.append((time.perf_counter() - started) * 1000)
                rows = max(rows, len(found))
            milliseconds.sort()
            asked.append(
                Asked(name, rows, milliseconds[len(milliseconds) // 2], milliseconds[int(len(milliseconds) * 0.95)])
            )
    return asked


def _questions(
    country: Country, months: int, drawn: random.Random
) -> dict[str, tuple[str, Callable[[], dict[str, Any]]]]:
    codes, counties = country.codes, country.counties
    latest = month_code(months - 1)

    def anything() -> dict[str, Any]:
        cell = drawn.choice(CELLS)
        number = drawn.randrange(months)
        return {
            "municipality": drawn.choice(codes),
            "county": drawn.choice(counties),
            "indicator": drawn.choice(("ARB-03", "ARB-04", "ARB-09")),
            "measure": cell.measure,
            "month": month_code(number),
            "latest": latest,
            "moment": f"{month_code(number)}-20",
        }

    return {
        "one municipality, all its indicators of a month": (
            "select indicator_code, indicator_name_de, nationality, sex, value, unit from marts.rpt_indicator"
            " where territory_code = %(municipality)s and period_code = %(month)s",
            anything,
        ),
        "one indicator, all municipalities, latest month": (
            "select territory_code, territory_name, value from marts.rpt_indicator"
            " where indicator_code = %(indicator)s and period_code = %(latest)s and nationality = 'total' and sex = 'total'"
            " and length(territory_code) = 8",
            anything,
        ),
        "time series of an indicator in a municipality": (
            "select period_code, nationality, sex, value from marts.rpt_indicator"
            " where indicator_code = %(indicator)s and territory_code = %(municipality)s order by period_code",
            anything,
        ),
        "observations of a municipality as known on a day": (
            "select period_code, nationality, sex, value from marts.observation_as_of(%(moment)s)"
            " where territory_code = %(municipality)s and measure_code = %(measure)s",
            anything,
        ),
        "an indicator of a municipality as known on a day": (
            "select period_code, nationality, sex, value from marts.indicator_as_of(%(moment)s)"
            " where territory_code = %(municipality)s and indicator_code = %(indicator)s and is_default",
            anything,
        ),
        "ranking: the 20 highest municipalities of a month": (
            "select territory_code, territory_name, value, rank() over (order by value desc) from marts.rpt_indicator"
            " where indicator_code = %(indicator)s and period_code = %(month)s and nationality = 'total' and sex = 'total'"
            " and length(territory_code) = 8 and value is not null and numerator >= 30 order by value desc limit 20",
            anything,
        ),
        "all counties summed from their municipalities": (
            "select t.county_code, sum(i.numerator) / nullif(sum(i.denominator), 0)"
            " from marts.fct_indicator as i inner join marts.dim_indicator as d using (indicator_key)"
            " inner join marts.dim_period as p using (period_key) inner join marts.dim_territory as t using (territory_key)"
            " inner join marts.dim_population_group as g using (population_group_key)"
            " where d.indicator_code = %(indicator)s and d.is_default and p.period_code = %(month)s and g.is_total"
            " and t.level = 'municipality' group by t.county_code",
            anything,
        ),
        "map: code and value of all municipalities": (
            "select territory_code, value from marts.rpt_indicator_converted"
            " where indicator_code = %(indicator)s and period_code = %(month)s and nationality = 'total' and sex = 'total'",
            anything,
        ),
        "what one number was and is": (
            "select v.known_from, v.known_until, v.value, l.file_name from marts.fct_observation_vintage as v"
            " inner join marts.dim_measure as m using (measure_key) inner join marts.dim_period as p using (period_key)"
            " inner join marts.dim_territory as t using (territory_key)"
            " inner join marts.dim_population_group as g using (population_group_key)"
            " inner join marts.dim_delivery as l using (delivery_id)"
            " where m.measure_code = %(measure)s and p.period_code = %(month)s and t.territory_code = %(municipality)s"
            " and g.is_total order by v.known_from",
            anything,
        ),
        "wide row of a municipality and month": (
            "select * from marts.rpt_labour_market where territory_code = %(municipality)s and period_code = %(month)s",
            anything,
        ),
        "file, row and day of one number": (
            "select o.value, l.file_name, l.sha256, o.row_number, l.received_at from marts.rpt_observation as o"
            " inner join marts.dim_delivery as l on o.delivery_id = l.delivery_id"
            " where o.measure_code = %(measure)s and o.period_code = %(month)s and o.territory_code = %(municipality)s",
            anything,
        ),
        "codebook of a table": (
            "select column_name, data_type, description_de from marts.codebook where relation_name = 'fct_indicator_vintage'",
            anything,
        ),
    }
