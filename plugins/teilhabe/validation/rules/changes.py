"""Rules about change: against the version before, against the period before, and none where there should be some."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from teilhabe.contract.model import DEVIATION
from teilhabe.validation.history import KEY_COLUMNS
from teilhabe.validation.observations import Observations, Rows, Table, number_in_words
from teilhabe.validation.rules.base import (
    EPSILON,
    Broken,
    Rule,
    pairs_in_time,
    pairs_in_vintages,
    places_of,
    whole_like,
)


class ShareOfUnchangedValuesToBeBelow(Rule):
    """Of the values of one measure, group and period not too many are exactly those of the period before.

    A state office once delivered a year in which 51 of 52 areas had the numbers of the year before: a copied column.
    """

    type = "expect_share_of_unchanged_values_to_be_below"
    rule = "values.copied"
    sentence_de = "Auffällig viele Werte sind genau die des Vorzeitraums; vielleicht ist eine Spalte kopiert."
    expected_de = "neue Werte für den neuen Zeitraum"
    source = (
        "Counts of people move; numbers below ten repeat by chance and are left out, and so are those in which the secrecy "
        "method swallows a change of one percent (rounded to five: below 400)."
    )
    advice = "warning"

    max_share: float = Field(0.5, ge=0, le=1)
    min_values: int = Field(20, ge=1)
    """Fewer values than this say nothing."""
    ignore_below: float = 10
    together: bool = False
    """All measures and groups of a period count as one: for a form of one municipality, copied from the month before."""

    def broken(self, seen: Observations) -> Broken:
        table = seen.with_earlier
        now, before = pairs_in_time(seen, table, self._kept(table))
        small = max(self.ignore_below, 200 * DEVIATION[seen.context.contract.secrecy_method])
        large = np.maximum(np.abs(table.value[now]), np.abs(table.value[before])) >= small
        now, before = now[large], before[large]
        if not len(now):
            return Broken(0, 0)
        same = table.value[now] == table.value[before]
        by = ["period_code"] if self.together else [c for c in KEY_COLUMNS if c != "territory_code"]
        group, size = table.groups(by)
        count = np.bincount(group[now], minlength=size)
        equal = np.bincount(group[now], weights=same, minlength=size)
        copied = (count >= self.min_values) & (equal > self.max_share * count)
        rows = now[same & copied[group[now]]]

        def expected(at: int) -> str:
            group_of = group[at]
            return (
                f"höchstens {number_in_words(round(100 * self.max_share, 1))} % gleiche Werte "
                f"(hier {int(equal[group_of])} von {int(count[group_of])})"
            )

        return places_of(seen, table, len(now), rows, expected)


class _Change(Rule):
    """Bands of change. ``min_factor`` and ``max_factor`` bound new / old; where both are below ``min_value`` nothing is said."""

    min_factor: float = Field(0.5, ge=0)
    max_factor: float = Field(2.0, gt=0)
    min_value: float = Field(30, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> _Change:
        if self.min_factor >= self.max_factor:
            raise ValueError("min_factor must be below max_factor")
        return self

    def _outside(self, seen: Observations, table: Table, now: Rows, before: Rows, what: str) -> Broken:
        old, new = table.value[before], table.value[now]
        large = np.maximum(np.abs(old), np.abs(new)) >= self.min_value
        outside = large & ((new < self.min_factor * old - EPSILON) | (new > self.max_factor * old + EPSILON))
        known = dict(zip(now[outside].tolist(), old[outside].tolist(), strict=True))

        def expected(at: int) -> str:
            low, high = whole_like(known[at], self.min_factor * known[at], self.max_factor * known[at])
            return f"{number_in_words(round(low, 1))} bis {number_in_words(round(high, 1))} ({what} {number_in_words(known[at])})"

        return places_of(seen, table, int(large.sum()), now[outside], expected)


class ChangeToPreviousVintageToBeBetween(_Change):
    """A value may be revised, but not beyond all measure: compared with what is valid for the same observation so far."""

    type = "expect_change_to_previous_vintage_to_be_between"
    rule = "change.to_vintage"
    sentence_de = "Der Wert weicht stark von der bisher gültigen Fassung ab."
    expected_de = "einen Wert nahe der bisherigen Fassung"
    source = "Revisions have reasons (final figures, census base, correction); one without a reason is a question to the office."
    advice = "warning"

    def broken(self, seen: Observations) -> Broken:
        table = seen.with_vintage
        if table is None:
            return Broken(0, 0)
        return self._outside(seen, table, *pairs_in_vintages(seen, table, self._kept(table)), "bisher")


class ChangeToPreviousPeriodToBeBetween(_Change):
    """A value does not leap from one period to the next: compared in the file, else with what was accepted before."""

    type = "expect_change_to_previous_period_to_be_between"
    rule = "change.to_period"
    sentence_de = "Der Wert weicht stark vom Vorzeitraum ab."
    expected_de = "einen Wert nahe dem Vorzeitraum"
    source = "Keys that slipped, shares instead of counts and thousands separators show as leaps in time."
    advice = "warning"

    def broken(self, seen: Observations) -> Broken:
        table = seen.with_earlier
        now, before = pairs_in_time(seen, table, self._kept(table))
        return self._outside(seen, table, now, before, "im Vorzeitraum")
