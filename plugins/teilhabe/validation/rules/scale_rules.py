"""Values stay on the scale of their measure: a decimal comma that was lost, or a table in thousands, is not a development.

Sums still add up when every value is a hundredfold, so only what was known before, or the measure itself, can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import Field

from teilhabe.codes.measures import counted_measures, percentages
from teilhabe.validation.observations import Observations, Rows, Table, Values, number_in_words
from teilhabe.validation.rules.base import Broken, Rule, pairs_in_time, pairs_in_vintages, places_of

_NEAR = 1.6
"""How far a ratio may lie from a power of ten: a value that really changed by half is still recognised."""
_MOST = 0.9
"""Share of a measure's values that must have leapt alike: a development does not reach all places at once."""
_POWERS_OF_COUNTS = (100, 1000, 10_000, 1_000_000)
_POWERS = (10, *_POWERS_OF_COUNTS)
_HUNDREDTHS = 5
_SMALLEST = 25
"""Shares of posts are given in quarters or halves: without their comma they are all multiples of five, from 25 on."""
_MOST_PER_CENT = 100
_WHOLE = 1
_SHARES = 10
"""So many percentages are not all below one, in all territories, groups and years; so many fractions of one are."""


class ValuesToKeepTheirScale(Rule):
    """The values of a measure are not all about ten, a hundred or a thousand times (or a part of) what they were.

    Compared with the period before and with what was valid for the same period so far. Measures that may have fractions are
    also looked at where no earlier delivery is known: no value has a decimal place, and all of them are multiples of five
    from 25 on, or the largest is above ``usual_max`` (100 for percentages). Percentages that are all below one are fractions.
    """

    type = "expect_values_to_keep_their_scale"
    rule = "values.scale"
    sentence_de = "Die Werte liegen alle um dieselbe Zehnerpotenz neben den erwarteten; vielleicht ging ein Dezimalkomma verloren."
    expected_de = "Werte in der vereinbarten Einheit"
    source = (
        "A comma read as a thousands mark, or a table in thousands, multiplies all values alike; sums do not show it."
    )
    advice = "critical"

    usual_max: dict[str, float] = Field({})
    min_values: int = Field(3, ge=2)
    """Fewer values than this say nothing."""

    def broken(self, seen: Observations) -> Broken:
        table = seen.with_earlier
        now, before = pairs_in_time(seen, table, self._kept(table))
        parts = list(self._leaps(seen, table, now, before, "im Vorzeitraum"))
        known = self._measures(table, now[before >= len(seen.table)])  # periods of one file are all on the same scale
        if (vintages := seen.with_vintage) is not None:
            pairs = pairs_in_vintages(seen, vintages, self._kept(vintages))
            parts += self._leaps(seen, vintages, *pairs, "bisher")
            known |= self._measures(vintages, pairs[0])
        parts += self._without_history(seen, table, known)
        broken = [part for part in parts if part.count]
        return broken[0] if broken else Broken(max((part.compared for part in parts), default=0), 0)

    def _leaps(self, seen: Observations, table: Table, now: Rows, before: Rows, what: str) -> Iterator[Broken]:
        """Per measure that has enough pairs: the rows, if nearly all of them leapt by one power of ten."""
        both = (table.value[now] > 0) & (table.value[before] > 0)
        now, before = now[both], before[both]
        for measure, rows in self._by_measure(table, now):
            if len(rows) < self.min_values:
                continue
            new, old = table.value[now[rows]], table.value[before[rows]]
            powers = _POWERS_OF_COUNTS if self._counts(seen, measure) else _POWERS
            leapt = next(
                (
                    near
                    for power in powers
                    for factor in (power, 1 / power)
                    if np.mean(near := (new < factor * old * _NEAR) & (new > factor * old / _NEAR)) >= _MOST
                ),
                None,
            )
            if leapt is None:
                yield Broken(len(rows), 0)
                continue
            known = dict(zip(now[rows[leapt]].tolist(), old[leapt].tolist(), strict=True))
            yield places_of(
                seen,
                table,
                len(rows),
                now[rows[leapt]],
                lambda at, known=known: f"etwa {number_in_words(known[at])} ({what})",  # type: ignore[misc]
            )

    def _without_history(self, seen: Observations, table: Table, known: set[str]) -> Iterator[Broken]:
        delivered = np.flatnonzero(self._kept(table) & (np.arange(len(table)) < len(seen.table)) & (table.value > 0))
        for measure, rows in self._by_measure(table, delivered):
            values = table.value[delivered[rows]]
            if measure in known or self._counts(seen, measure) or len(values) < self.min_values:
                continue
            if (wanted := self._wanted(values, measure, measure in percentages(_project(seen)))) is not None:
                yield places_of(seen, table, len(rows), delivered[rows], lambda at, wanted=wanted: wanted)  # type: ignore[misc]

    def _wanted(self, values: Values, measure: str, is_percentage: bool) -> str | None:
        """What the values should look like, if by themselves they are on no scale their measure can have."""
        if (values % 1 != 0).any():
            is_fraction = is_percentage and len(values) >= _SHARES and values.max() <= _WHOLE
            return "einen Anteil in Prozent, z. B. 34,6 und nicht 0,346" if is_fraction else None
        shifted = len(values) > self.min_values and values.min() >= _SMALLEST and not (values % _HUNDREDTHS).any()
        usual = self.usual_max.get(measure, _MOST_PER_CENT if is_percentage else np.inf)
        is_share_of_posts = shifted and not is_percentage
        if not is_share_of_posts and values.max() <= usual:
            return None
        return "eine Zahl mit Dezimalkomma, z. B. " + ("6,8" if is_percentage else "19,50")

    @classmethod
    def _measures(cls, table: Table, rows: Rows) -> set[str]:
        return {measure for measure, _ in cls._by_measure(table, rows)}

    @staticmethod
    def _by_measure(table: Table, rows: Rows) -> Iterator[tuple[str, Rows]]:
        codes = table.codes["measure_code"][rows]
        for code in np.unique(codes):
            yield table.texts["measure_code"][code], np.flatnonzero(codes == code)

    @staticmethod
    def _counts(seen: Observations, measure: str) -> bool:
        return measure in counted_measures(_project(seen))


def _project(seen: Observations) -> Path:
    return seen.context.contract.path.parents[2]
