"""Values stay on the scale of their measure: a decimal comma that was lost, or a table in thousands, is not a development.

Sums still add up when every value is a hundredfold, so only what was known before, or the measure itself, can tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from teilhabe.contract.contracts import counted_measures
from teilhabe.validation.observations import Observations, Rows, Table, number_in_words
from teilhabe.validation.rules.statistical_rules import Broken, Rule, pairs_in_time, pairs_in_vintages, places_of

_NEAR = 1.6
"""How far a ratio may lie from a power of ten: a value that really changed by half is still recognised."""
_MOST = 0.9
"""Share of a measure's values that must have leapt alike: a development does not reach all places at once."""
_POWERS_OF_COUNTS = (100, 1000, 10_000, 1_000_000)
_POWERS = (10, *_POWERS_OF_COUNTS)
_HUNDREDTHS = 5
_SMALLEST = 25
"""Shares of posts are given in quarters or halves: without their comma they are all multiples of five, from 25 on."""


class ValuesToKeepTheirScale(Rule):
    """The values of a measure are not all about ten, a hundred or a thousand times (or a part of) what they were.

    Compared with the period before and with what was valid for the same period so far. Measures that may have fractions are
    also looked at where nothing is known yet: no value has a decimal place, and all of them are multiples of five from 25
    on, or the largest is above ``usual_max``.
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
        parts = list(self._leaps(seen, table, *pairs_in_time(seen, table, self._kept(table)), "im Vorzeitraum"))
        if (vintages := seen.with_vintage) is not None:
            pairs = pairs_in_vintages(seen, vintages, self._kept(vintages))
            parts += self._leaps(seen, vintages, *pairs, "bisher")
        if not parts:
            parts = list(self._without_history(seen, table))
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

    def _without_history(self, seen: Observations, table: Table) -> Iterator[Broken]:
        delivered = np.flatnonzero(self._kept(table) & (np.arange(len(table)) < len(seen.table)) & (table.value > 0))
        for measure, rows in self._by_measure(table, delivered):
            values = table.value[delivered[rows]]
            if self._counts(seen, measure) or len(values) < self.min_values or (values % 1 != 0).any():
                continue
            shifted = len(values) > self.min_values and values.min() >= _SMALLEST and not (values % _HUNDREDTHS).any()
            if shifted or values.max() > self.usual_max.get(measure, np.inf):
                yield places_of(
                    seen, table, len(rows), delivered[rows], lambda at: "eine Zahl mit Dezimalkomma, z. B. 19,50"
                )

    @staticmethod
    def _by_measure(table: Table, rows: Rows) -> Iterator[tuple[str, Rows]]:
        codes = table.codes["measure_code"][rows]
        for code in np.unique(codes):
            yield table.texts["measure_code"][code], np.flatnonzero(codes == code)

    @staticmethod
    def _counts(seen: Observations, measure: str) -> bool:
        return measure in counted_measures(seen.context.contract.path.parents[2])
