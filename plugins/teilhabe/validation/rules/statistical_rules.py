"""What official statistics demand of a delivery, as rules over its table: sums, ratios, changes, completeness, lineage.

Each rule is a model of its arguments (unknown ones fail) and one function over the observations. Great Expectations runs
them as custom expectations (``statistical_expectations``); nothing here imports it, so a suite can be checked without.

The number of rows decides what a rule may cost: all of them work on whole columns, never row by row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from teilhabe.codes.periods import period_end
from teilhabe.codes.wording import LEVELS, spell_period
from teilhabe.contract.contracts import AGE_BAND, DEVIATION, NATIONALITIES, SEXES, Contract, contract_path
from teilhabe.errors import EVIDENCE_SHOWN, Evidence
from teilhabe.validation.history import KEY_COLUMNS
from teilhabe.validation.observations import (
    Context,
    Mask,
    Observations,
    Rows,
    Table,
    Values,
    catalogue,
    is_of_level,
    number_in_words,
    territory_in_words,
    tiling,
)

_GROUPS = ("nationality", "sex", "age_band", "category")
Group = Literal["nationality", "sex", "age_band", "category"]
Level = Literal["country", "state", "region", "county", "municipality", "association"]

# What a person reads in the file is a decimal number; sums of many of them are exact to far less than this.
_EPSILON = 1e-6


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str | Mapping) else given


Codes = Annotated[list[str], BeforeValidator(_listed)]
Selector = Annotated[
    dict[str, str], BeforeValidator(lambda given: {"measure_code": given} if isinstance(given, str) else given)
]
Selectors = Annotated[list[Selector], BeforeValidator(_listed)]


@dataclass(frozen=True)
class Broken:
    """What a rule found: how many comparisons it made, how many failed, and where."""

    compared: int
    count: int
    evidence: tuple[Evidence, ...] = ()


class Rule(BaseModel):
    """Arguments every rule has. ``where`` keeps only rows with these codes, e.g. ``{"sex": "total"}``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: ClassVar[str]
    rule: ClassVar[str]
    sentence_de: ClassVar[str]
    expected_de: ClassVar[str]
    source: ClassVar[str]
    advice: ClassVar[str]
    """Which severity fits, for whoever writes a suite."""

    where: dict[str, Codes] = {}

    def broken(self, seen: Observations) -> Broken:
        """Judge the observations."""
        raise NotImplementedError

    def check(self, contract: Contract) -> Iterator[str]:
        """What does not fit the contract, as parts of a sentence."""
        columns = {*KEY_COLUMNS, *contract.column_names} - {"value"}
        for column, codes in self.where.items():
            if column not in columns:
                yield f"where: no column {column!r} in the contract"
            else:
                yield from _unknown_codes(contract, column, codes, "where")
        for name, selector in self._selectors():
            dataset = selector.get("dataset")
            if dataset is not None and not contract_path(contract.path.parents[1], dataset).is_file():
                yield f"{name}: there is no dataset {dataset!r}"
            for column, code in selector.items():
                if column == "dataset":
                    continue
                if column not in columns:
                    yield f"{name}: no column {column!r} in the contract"
                else:
                    yield from _unknown_codes(contract, column, [code], name)

    def _selectors(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        return iter(())

    def _kept(self, table: Table) -> Mask:
        """The rows the rule is about."""
        kept = np.ones(len(table), dtype=bool)
        for column, codes in self.where.items():
            if column in table.codes:
                kept &= table.among(column, codes)
        return kept


class Tolerant(Rule):
    """Arguments of rules about sums. The tolerance follows from the contract's secrecy method; these widen it.

    ``max_deviation``: how far one published number may lie from the true one (minimum income: 6). ``absolute`` and
    ``relative`` (a share of the total) are added once; given for the cell-key method they stand instead of its default.
    """

    max_deviation: float | None = Field(None, ge=0)
    absolute: float | None = Field(None, ge=0)
    relative: float | None = Field(None, ge=0, lt=1)

    def deviation(self, context: Context) -> float:
        """Of one number."""
        if self.max_deviation is not None:
            return float(self.max_deviation)
        method = context.contract.secrecy_method
        given = self.absolute is not None or self.relative is not None
        return 0.0 if method == "ckm" and given else float(DEVIATION[method])

    def tolerance(self, context: Context, parts: Rows, total: Values, is_mean: Mask) -> Values:
        """How far a total of ``parts`` numbers may lie from their sum: each of them, and the total, deviates by itself."""
        numbers = parts + 1.0
        wide = self.deviation(context) * numbers + (self.absolute or 0.0) + (self.relative or 0.0) * np.abs(total)
        return np.asarray(wide + np.where(is_mean, numbers / 2, 0.0) + _EPSILON)


class PartsToAddUpToTotal(Tolerant):
    """The parts of a breakdown make its total, within what the secrecy method allows.

    Compared only where every part is there: with a part blocked or missing the known parts must not exceed the total.
    Without ``parts``: male and female (and diverse), German and foreign, or the age bands that cover every age once.
    """

    type = "expect_parts_to_add_up_to_total"
    rule = "parts.sum"
    sentence_de = "Die Teile ergeben nicht die Summe."
    expected_de = "die Summe der Teile"
    source = (
        "Totals and parts of a table are counts of the same persons (§ 16 BStatG lets offices round or block, not miscount). "
        "Rounded to five, each number for itself: |T - sum| <= 2(n+1)."
    )
    advice = "critical where the office delivers its own unrounded numbers, else warning"

    column: Group
    parts: Codes | None = None
    total: str = "total"

    def check(self, contract: Contract) -> Iterator[str]:
        yield from super().check(contract)
        if self.column == "category" and self.parts is None:
            yield "parts: categories may overlap, so name those that add up, or 'all'"
        if self.parts and self.parts != ["all"]:
            yield from _unknown_codes(contract, self.column, [*self.parts, self.total], "parts")

    def broken(self, seen: Observations) -> Broken:
        table = seen.table
        kept = self._kept(table) & seen.measured(table, "adds_over_groups") & ~seen.measured(table, "is_rate")
        allowed, expected = self._parts(table, kept)
        return _sums(
            self, seen, table, kept & table.among(self.column, [self.total]), allowed,
            [c for c in KEY_COLUMNS if c != self.column], expected, (self.column,),
        )  # fmt: skip

    def _parts(self, table: Table, kept: Mask) -> tuple[Mask, Rows]:
        """Which rows are parts, and per row how many parts its table (measure and period) has."""
        there, size = table.groups(("measure_code", "period_code"))
        code, length = table.codes[self.column], len(table.texts[self.column])
        occurs = np.zeros((size, length), dtype=bool)
        occurs[there[kept], code[kept]] = True
        is_part = np.zeros_like(occurs)
        for at in np.flatnonzero(occurs.any(axis=1)):
            found = {table.texts[self.column][n] for n in np.flatnonzero(occurs[at])} - {self.total, ""}
            chosen = self._chosen(found)
            is_part[at] = [text in chosen for text in table.texts[self.column]]
            # An agreed part nobody delivered is a missing part, not a smaller sum.
            if len(chosen - found):
                is_part[at] = False
        return kept & is_part[there, code], is_part.sum(axis=1)[there]

    def _chosen(self, found: set[str]) -> set[str]:
        if self.parts == ["all"]:
            return found
        if self.parts is not None:
            return set(self.parts)
        if self.column == "sex":
            return {"male", "female"} | (found & {"diverse"})
        if self.column == "nationality":
            return {"german", "foreign"}
        return set(tiling(found) or ())


class PartsNotToExceedTotal(Tolerant):
    """No part of a breakdown is larger than its total; parts may overlap."""

    type = "expect_parts_not_to_exceed_total"
    rule = "parts.exceed_total"
    sentence_de = "Ein Teil ist größer als die Summe."
    expected_de = "höchstens die Summe"
    source = "A part of a population cannot outnumber it; only rounding and cell keys may make it seem so."
    advice = "critical"

    column: Group
    parts: Codes | None = None
    total: str = "total"

    def check(self, contract: Contract) -> Iterator[str]:
        yield from super().check(contract)
        if self.parts and self.parts != ["all"]:
            yield from _unknown_codes(contract, self.column, [*self.parts, self.total], "parts")

    def broken(self, seen: Observations) -> Broken:
        table = seen.table
        kept = self._kept(table) & ~seen.measured(table, "is_rate")
        is_total = kept & table.among(self.column, [self.total])
        is_part = kept & ~is_total
        if self.parts and self.parts != ["all"]:
            is_part &= table.among(self.column, self.parts)
        rest, size = table.groups([c for c in KEY_COLUMNS if c != self.column])
        return _not_more_than(self, seen, table, is_part, is_total, rest, size)


class MunicipalitiesToAddUpToCounty(Tolerant):
    """The municipalities of a county make the county, where all of them are there with a value.

    Which municipalities that are says the register at the period's end. Measures whose territories do not add up are left
    out: suspects are counted as persons at each level, moves between two municipalities are none of the county's.
    """

    type = "expect_municipalities_to_add_up_to_county"
    rule = "territory.sum"
    sentence_de = "Die Gemeinden ergeben nicht den Landkreis."
    expected_de = "die Summe der Gemeinden"
    source = "Municipality keys begin with the key of their county (AGS); additive counts add up over territory."
    advice = "warning; critical in a county's own form without secrecy"

    def broken(self, seen: Observations) -> Broken:
        table = seen.table
        kept = self._kept(table) & seen.measured(table, "adds_over_territory") & ~seen.measured(table, "is_rate")
        places, periods = table.texts["territory_code"], table.texts["period_code"]
        counties = {code for code in places if is_of_level(code, "county")}
        towns = [n for n, code in enumerate(places) if is_of_level(code, "municipality") and code[:5] in counties]
        if not counties or not towns:
            return Broken(0, 0)
        by_county: dict[str, list[int]] = defaultdict(list)
        for n in towns:
            by_county[places[n][:5]].append(n)
        is_member = np.zeros((len(places), len(periods)), dtype=bool)
        expected = np.zeros((len(places), len(periods)), dtype=np.int64)
        ends = [period_end(period) for period in periods]
        number = {code: n for n, code in enumerate(places)}
        for county, members in by_county.items():
            for at, day in enumerate(ends):
                known = seen.context.lineage.municipalities(county, day) if day else None
                if known and known <= {places[n] for n in members}:
                    is_member[[number[code] for code in known], at] = True
                    expected[number[county], at] = len(known)
        county_of = np.array([number.get(code[:5], n) if len(code) == 8 else n for n, code in enumerate(places)])
        place, period = table.codes["territory_code"], table.codes["period_code"]
        is_total = kept & (expected[place, period] > 0)
        return _sums(
            self, seen, table, is_total, kept & is_member[place, period],
            [c for c in KEY_COLUMNS if c != "territory_code"], expected[place, period], (), county_of[place],
        )  # fmt: skip


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
        outside = large & ((new < self.min_factor * old - _EPSILON) | (new > self.max_factor * old + _EPSILON))
        known = dict(zip(now[outside].tolist(), old[outside].tolist(), strict=True))

        def expected(at: int) -> str:
            low, high = _whole_like(known[at], self.min_factor * known[at], self.max_factor * known[at])
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


class PreviousPlusChangeToEqualCurrent(Rule):
    """What was there and what came makes what is there. ``previous`` left out: ``current`` in the period before.

    ``previous_period``: ``previous`` and ``minus`` are those of the period before, as in
    target = quota + (target before - admitted before).
    """

    type = "expect_previous_plus_change_to_equal_current"
    rule = "values.carried_forward"
    sentence_de = "Vorheriger Stand und Veränderung ergeben nicht den neuen Stand."
    expected_de = "vorherigen Stand und Veränderung zusammen"
    source = "A stock is carried forward; a published 7.741 + 35 = 7.779 was a slip of the pen."
    advice = "critical in the office's own form, else warning"

    current: Selector
    change: Selectors = []
    minus: Selectors = []
    previous: Selector | None = None
    previous_period: bool = False
    tolerance: float = Field(0, ge=0)

    @model_validator(mode="after")
    def _says_something(self) -> PreviousPlusChangeToEqualCurrent:
        if not self.change and not self.minus and self.previous is None:
            raise ValueError("needs change, minus or previous")
        return self

    def _selectors(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        yield "current", self.current
        yield from (("change", part) for part in self.change)
        yield from (("minus", part) for part in self.minus)
        if self.previous:
            yield "previous", self.previous

    def broken(self, seen: Observations) -> Broken:
        in_past = self.previous_period or self.previous is None
        table = seen.with_earlier if in_past else seen.table
        found = _Selected(seen, table, [selector for _, selector in self._selectors()], self._kept(table))
        now = found.rows(self.current)
        now = now[now < len(seen.table)]
        total = (found.value_before if in_past else found.value_at)(self.previous or self.current, now)
        for part in self.minus:
            total = total - (found.value_before if self.previous_period else found.value_at)(part, now)
        for part in self.change:
            total = total + found.value_at(part, now)
        usable = ~np.isnan(total) & ~np.isnan(table.value[now])
        now, total = now[usable], total[usable]
        wrong = np.abs(table.value[now] - total) > self.tolerance + _EPSILON
        should = dict(zip(now[wrong].tolist(), total[wrong].tolist(), strict=True))
        return places_of(seen, table, len(now), now[wrong], lambda at: number_in_words(should[at]))


class RatioToEqualItsParts(Rule):
    """A delivered ratio is what its own numerator and denominator make of it, and not a share of the column instead.

    ``tolerance`` in units of the ratio; what rounding of the parts can do to it is added.
    """

    type = "expect_ratio_to_equal_its_parts"
    rule = "ratio.differs"
    sentence_de = "Der Anteil passt nicht zu seinen eigenen Zahlen."
    expected_de = "den Anteil, den Zähler und Nenner ergeben"
    source = "Every rate is sum / sum x multiplier. Published shares have missed their own components in 44 to 51 of 52 areas."
    advice = "warning"

    ratio: Selector
    numerator: Selector
    denominator: Selector
    multiplier: float = Field(100, gt=0)
    tolerance: float = Field(0.05, ge=0)

    def _selectors(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        yield "ratio", self.ratio
        yield "numerator", self.numerator
        yield "denominator", self.denominator

    def check(self, contract: Contract) -> Iterator[str]:
        yield from super().check(contract)
        if "dataset" in self.ratio:
            yield "ratio: stands in the delivery itself, so it has no dataset"

    def broken(self, seen: Observations) -> Broken:
        table = _with_datasets(seen, [self.numerator, self.denominator])
        if table is None:
            return Broken(0, 0)
        selectors = [selector for _, selector in self._selectors()]
        found = _Selected(seen, table, selectors, self._kept(table))
        now = found.rows(self.ratio)
        now = now[now < len(seen.table)]
        above, below = found.value_at(self.numerator, now), found.value_at(self.denominator, now)
        usable = ~np.isnan(above) & ~np.isnan(below) & (below > 0) & ~np.isnan(table.value[now])
        now, above, below = now[usable], above[usable], below[usable]
        should = above / below * self.multiplier
        moved = DEVIATION[seen.context.contract.secrecy_method]
        slack = self.tolerance + self.multiplier * moved * (1 / below + above / below**2) + _EPSILON
        delivered = table.value[now]
        wrong = np.abs(delivered - should) > slack
        column = self._share_of_column(table, found, now, above)
        looks = wrong & (np.abs(delivered - column) <= slack)
        told = {
            at: number_in_words(round(good, 2))
            + (" (geliefert ist der Anteil an der Spaltensumme)" if is_column else "")
            for at, good, is_column in zip(
                now[wrong].tolist(), should[wrong].tolist(), looks[wrong].tolist(), strict=True
            )
        }
        return places_of(seen, table, len(now), now[wrong], told.__getitem__)

    def _share_of_column(self, table: Table, found: _Selected, now: Rows, above: Values) -> Values:
        """What the ratio would be as a share of all territories of the same level together."""
        rest, size = table.groups([c for c in KEY_COLUMNS if c not in {*found.columns, "territory_code"}])
        length = np.array([len(code) for code in table.texts["territory_code"]] or [0])[table.codes["territory_code"]]
        group = rest * 16 + np.minimum(length, 15)
        sums = np.bincount(group[now], weights=above, minlength=size * 16)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(above / sums[group[now]] * self.multiplier)


class PartMeasureNotToExceed(Tolerant):
    """One selection is never larger than another that contains it: voters and eligible voters, foreign victims and victims."""

    type = "expect_part_measure_not_to_exceed"
    rule = "part.exceeds_whole"
    sentence_de = "Die Teilmenge ist größer als das Ganze."
    expected_de = "höchstens das Ganze"
    source = "A subset cannot outnumber its set; only rounding and cell keys may make it seem so."
    advice = "critical"

    part: Selector
    whole: Selector

    def _selectors(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        yield "part", self.part
        yield "whole", self.whole

    def broken(self, seen: Observations) -> Broken:
        table = seen.table
        found = _Selected(seen, table, [self.part, self.whole], self._kept(table))
        is_part, is_whole = found.mask(self.part), found.mask(self.whole)
        return _not_more_than(self, seen, table, is_part, is_whole, found.rest, found.size)


class PeriodToBeComplete(Rule):
    """Every period has every territory, with every group of the table, and no period is left out.

    Expected are the territories of ``level`` within the key ``within`` (municipalities: those of the register at that date),
    or without ``level`` those any period of the file has. ``by`` names the columns whose combinations, as found in the
    file, each territory must have. ``from_start_of_year``: all months or quarters from January to the last in the file.
    """

    type = "expect_period_to_be_complete"
    rule = "period.incomplete"
    sentence_de = "In einem Zeitraum fehlen Angaben."
    expected_de = "Angaben für jedes Gebiet und jede Gruppe"
    source = "A sum over territories is only as complete as its territories; a missing row is not a zero."
    advice = "warning; critical where an agreed form has a fixed table"

    level: Level | None = None
    within: str = ""
    by: list[Literal["measure_code", "nationality", "sex", "age_band", "category"]] = []
    from_start_of_year: bool = False
    consecutive: bool = False

    def broken(self, seen: Observations) -> Broken:
        table = seen.table
        kept = self._kept(table)
        if self.level is not None:
            kept &= table.of_level(self.level)
        if self.within:
            kept &= table.among(
                "territory_code", [c for c in table.texts["territory_code"] if c.startswith(self.within)]
            )
        evidence = [_missing(period) for period in self._missing_periods(seen, table, kept)]
        missing, compared = self._missing_cells(seen, table, kept)
        evidence += missing
        return Broken(compared + len(evidence), len(evidence), tuple(evidence[:EVIDENCE_SHOWN]))

    def _missing_cells(self, seen: Observations, table: Table, kept: Mask) -> tuple[list[Evidence], int]:
        rows = np.flatnonzero(kept)
        combination, _ = table.groups(self.by)
        names = _names(table)
        periods, places = len(table.texts["period_code"]), len(table.texts["territory_code"])
        group = combination[rows]
        used, compact = np.unique(group, return_inverse=True)
        example = dict(zip(group.tolist(), rows.tolist(), strict=True))
        there = np.zeros((periods, places, len(used)), dtype=bool)
        there[table.codes["period_code"][rows], table.codes["territory_code"][rows], compact] = True
        in_period: Mask = np.any(there, axis=1)  # a column that is not valid in a year is nobody's gap
        spoken_of = set(table.codes["period_code"][self._kept(table)].tolist())
        number = {code: n for n, code in enumerate(table.texts["territory_code"])}
        found: list[Evidence] = []
        compared = 0
        for at, period in enumerate(table.texts["period_code"]):
            if not in_period[at].any():
                if at in spoken_of:
                    nothing = self._nothing_at_all(seen, table, names, period, kept)
                    found += nothing
                    compared += len(nothing)
                continue
            wanted = self._territories(seen, table, period, kept)
            compared += len(wanted) * int(in_period[at].sum())
            for code in wanted:
                has = there[at, number[code]] if code in number else np.zeros(len(used), dtype=bool)
                for lacking in np.flatnonzero(in_period[at] & ~has):
                    found.append(
                        self._gap(seen, table, names, code, period, example[int(used[lacking])], bool(has.any()))
                    )
        return found, compared

    def _nothing_at_all(
        self, seen: Observations, table: Table, names: Mapping[str, str], period: str, kept: Mask
    ) -> list[Evidence]:
        """A period the file speaks of without one row of the territories that are due: each of them is missing."""
        wanted = self._territories(seen, table, period, kept)
        if wanted:
            return [self._gap(seen, table, names, code, period, -1, is_partly=False) for code in wanted]
        level = f"kein Gebiet der Ebene {LEVELS[self.level]}" if self.level else "kein Gebiet"
        where = f" in {territory_in_words(self.within)}" if self.within else ""
        return [Evidence(None, None, f"{spell_period(period)}: {level}{where}", "einen Eintrag")]

    def _gap(
        self,
        seen: Observations,
        table: Table,
        names: Mapping[str, str],
        code: str,
        period: str,
        like: int,
        is_partly: bool,
    ) -> Evidence:
        place = f"{names[code]} ({code})" if names.get(code) else territory_in_words(code)
        group = seen.place(table, like, ("territory_code", "period_code")) if self.by and is_partly else ""
        return _missing(", ".join(filter(None, (place, spell_period(period), group))))

    def _territories(self, seen: Observations, table: Table, period: str, kept: Mask) -> list[str]:
        if self.level == "municipality" and len(self.within) == 5 and (day := period_end(period)):
            known = seen.context.lineage.municipalities(self.within, day)
            if known is not None:
                return sorted(known)
        codes = np.unique(table.codes["territory_code"][kept])
        return sorted(table.texts["territory_code"][n] for n in codes)

    def _missing_periods(self, seen: Observations, table: Table, kept: Mask) -> Iterator[str]:
        found = {table.texts["period_code"][n] for n in np.unique(table.codes["period_code"][kept])}
        by_year: dict[str, list[int]] = defaultdict(list)
        for period in found:
            head, _, tail = period.partition("-")
            if tail and tail.lstrip("QH").isdigit() and len(tail) == 2:
                by_year[head + "-" + tail[: len(tail) - len(tail.lstrip("QH"))]].append(int(tail.lstrip("QH")))
        for year, numbers in sorted(by_year.items()):
            first = 1 if self.from_start_of_year else min(numbers)
            if self.from_start_of_year or self.consecutive:
                for number in sorted(set(range(first, max(numbers) + 1)) - set(numbers)):
                    code = f"{year}{number}" if year[-1] in "QH" else f"{year}{number:02d}"
                    yield spell_period(code)
        years = sorted(int(period[:4]) for period in found if len(period) in (4, 10) and period[:4].isdigit())
        if self.consecutive and years:
            example = next(period for period in sorted(found) if period[:4].isdigit())
            for gap in sorted(set(range(years[0], years[-1] + 1)) - set(years)):
                yield spell_period(str(gap) + example[4:])


class TerritoriesToMatchPreviousPeriod(Rule):
    """The territories with values are those of the period before, save where the list of territorial changes says why not.

    Judged only where the changes of these years are known: lists delivered to the register, or the project's own county.
    """

    type = "expect_territories_to_match_previous_period"
    rule = "territory.unexplained"
    sentence_de = "Ein Gebiet hat keine Werte mehr oder ist neu, ohne dass eine Gebietsänderung bekannt ist."
    expected_de = "dieselben Gebiete wie im Vorzeitraum"
    source = "Units end by dissolution, merger or a new key (official list of territorial changes); offices re-key up to two years off."
    advice = "warning"

    level: Level | None = None
    within: str = ""

    def broken(self, seen: Observations) -> Broken:
        table = seen.with_earlier
        is_listed = np.zeros((len(table.texts["period_code"]), len(table.texts["territory_code"])), dtype=bool)
        is_listed[table.codes["period_code"], table.codes["territory_code"]] = True
        kept = self._kept(table) & ~np.isnan(table.value)
        if self.level is not None:
            kept &= table.of_level(self.level)
        there = np.zeros_like(is_listed)
        there[table.codes["period_code"][kept], table.codes["territory_code"][kept]] = True
        number = {code: n for n, code in enumerate(table.texts["period_code"])}
        names = _names(table)
        evidence: list[Evidence] = []
        compared = 0
        for now, before in sorted(seen.before.items()):
            if before not in number or not there[number[before]].any() or not there[number[now]].any():
                continue
            one, other = there[number[before]], there[number[now]]
            compared += int((one | other).sum())
            for at in np.flatnonzero(one != other):
                code = table.texts["territory_code"][at]
                if not code.startswith(self.within) or self._is_explained(seen.context, code, before, now) is not False:
                    continue
                place = f"{names[code]} ({code})" if names.get(code) else territory_in_words(code)
                evidence.append(
                    Evidence(
                        None,
                        None,
                        _how_it_changed(bool(other[at]), bool(is_listed[number[before if other[at] else now], at])),
                        f"dieselben Gebiete wie {spell_period(before)} oder eine Gebietsänderung",
                        subject=f"{place}, {spell_period(now)}",
                    )
                )
        return Broken(compared, len(evidence), tuple(evidence[:EVIDENCE_SHOWN]))

    @staticmethod
    def _is_explained(context: Context, code: str, before: str, now: str) -> bool | None:
        first, last = period_end(before), period_end(now)
        return context.lineage.explains(code, first, last) if first and last else None


class NoDisclosingShares(Rule):
    """Nobody, or everybody, of a small group: that tells something of each of its members.

    Either ``part`` and ``whole``, or ``column``: its codes are parts of its ``total``.
    """

    type = "expect_no_disclosing_shares"
    rule = "shares.disclosing"
    sentence_de = "Ein Anteil von 0 oder 100 Prozent verrät die ganze Gruppe."
    expected_de = "weder 0 noch 100 Prozent einer kleinen Gruppe"
    source = "Group disclosure: 0 % and 100 % say the same of every member (security and education are sensitive; § 16 BStatG)."
    advice = "warning; info where such groups are common"

    part: Selector | None = None
    whole: Selector | None = None
    column: Group | None = None
    parts: Codes | None = None
    total: str = "total"
    max_whole: float = Field(100, gt=0)

    @model_validator(mode="after")
    def _one_way(self) -> NoDisclosingShares:
        if (self.part is None) != (self.whole is None) or (self.part is None) == (self.column is None):
            raise ValueError("needs either part and whole, or column")
        return self

    def _selectors(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        if self.part is not None and self.whole is not None:
            yield "part", self.part
            yield "whole", self.whole

    def broken(self, seen: Observations) -> Broken:
        table = seen.table
        kept = self._kept(table) & ~seen.measured(table, "is_rate")
        if self.part is not None and self.whole is not None:
            found = _Selected(seen, table, [self.part, self.whole], kept)
            is_part, is_whole, rest, size = found.mask(self.part), found.mask(self.whole), found.rest, found.size
        else:
            column = str(self.column)
            is_whole = kept & table.among(column, [self.total])
            is_part = kept & (table.among(column, self.parts) if self.parts and self.parts != ["all"] else ~is_whole)
            rest, size = table.groups([c for c in KEY_COLUMNS if c != column])
        whole_of = _first_of(rest, size, np.flatnonzero(is_whole & ~np.isnan(table.value)))
        rows = np.flatnonzero(is_part & ~np.isnan(table.value))
        rows = rows[whole_of[rest[rows]] >= 0]
        whole = table.value[whole_of[rest[rows]]]
        small = (whole > 0) & (whole <= self.max_whole)
        rows, whole = rows[small], whole[small]
        shows = (table.value[rows] == 0) | (table.value[rows] == whole)
        of = dict(zip(rows[shows].tolist(), whole[shows].tolist(), strict=True))
        return places_of(seen, table, len(rows), rows[shows], lambda at: f"weder 0 noch alle {number_in_words(of[at])}")


_SIGNS: Mapping[str, frozenset[str]] = {
    "genesis": frozenset({"-", ".", "/", "x", "X", "...", "\u2026", "\u2013", "\u2014"}),
    "lsn_new": frozenset({"k", "g", "u", "x", "t"}),
    "ba": frozenset({"*", "-", "x", "X", "\u2013", "\u2014"}),
    "none": frozenset(),
}
_REGIME_DE = {"genesis": "GENESIS", "lsn_new": "neue LSN-Zeichen", "ba": "BA-Zeichen", "none": "keine Zeichen"}
_MANY_ZEROS = 20


class SymbolsOfTheRegime(Rule):
    """The signs in the file are those of the agreed regime, and ``0`` has kept its meaning.

    GENESIS writes ``-`` for nothing and ``0`` for less than half a unit; the state office's new regime writes ``0`` for
    nothing and ``k`` for little. A file of the one regime with the signs of the other means something else throughout:
    ``.`` is a decimal mark or a secret. Zeros without a single dash in a GENESIS file, or ``-`` beside them in the new one,
    are told as well.
    """

    type = "expect_symbols_of_the_regime"
    rule = "symbols.other_regime"
    sentence_de = "Die Datei benutzt Zeichen einer anderen Zeichenregelung als vereinbart."
    expected_de = "die Zeichen der vereinbarten Regelung"
    source = "Explanations of signs of GENESIS (DIN 55301) and of the state office's new regime contradict each other in 0, -, k and g."
    advice = "warning (text that is no number is refused by the reader anyway)"

    def broken(self, seen: Observations) -> Broken:
        contract = seen.context.contract
        own = _SIGNS[contract.symbols.regime] | set(contract.symbols.also)
        for layout in contract.layouts:
            if layout.symbols is not None:
                own |= _SIGNS[layout.symbols.regime] | set(layout.symbols.also)
        expected = f"die Zeichen der Regelung {_REGIME_DE[contract.symbols.regime]}"
        counts: dict[str, int] = defaultdict(int)
        for text, number in (*seen.context.symbols.items(), *seen.context.unreadable.items()):
            counts[text.strip()] = max(counts[text.strip()], number)
        evidence = []
        for text, number in sorted(counts.items()):
            others = [regime for regime, signs in _SIGNS.items() if text in signs]
            if text and text not in own and others:
                whose = " oder ".join(_REGIME_DE[regime] for regime in others)
                evidence.append(Evidence(None, None, f"{text} ({number}-mal; {whose})", expected))
        if contract.symbols.regime == "genesis" and counts.get("0", 0) >= _MANY_ZEROS and not counts.get("-"):
            evidence.append(
                Evidence(
                    None, None, f"0 ({counts['0']}-mal, kein einziges -)", "- für genau null; 0 hieße: gerundet null"
                )
            )
        return Broken(len(counts), len(evidence), tuple(evidence[:EVIDENCE_SHOWN]))


def _unknown_codes(contract: Contract, column: str, codes: Iterable[str], name: str) -> Iterator[str]:
    """Codes no delivery can have: those of closed lists, and measures the catalogue does not know."""
    closed: Mapping[str, Iterable[str]] = {
        "nationality": NATIONALITIES,
        "sex": SEXES,
        "measure_code": catalogue(contract.path.parents[2]),
    }
    for code in codes:
        known = set(closed.get(column, ()))
        if (known and code not in known) or (column == "age_band" and not AGE_BAND.fullmatch(code)):
            yield f"{name}: no {column} {code!r}"


def places_of(
    seen: Observations, table: Table, compared: int, rows: Rows, expected: Callable[[int], str]
) -> Broken:  # fmt: skip
    """The rows that broke a rule, in the order of the file, each with its place, its value and what was expected."""
    shown = rows[np.argsort(table.row[rows], kind="stable")][:EVIDENCE_SHOWN]
    return Broken(
        compared,
        len(rows),
        tuple(
            Evidence(
                int(table.row[at]) or None,
                str(int(table.column[at])) if table.column[at] else None,
                number_in_words(float(table.value[at])),
                expected(at),
                sheet=(table.text("_sheet", at) or None) if "_sheet" in table.codes else None,
                subject=seen.place(table, at),
            )
            for at in shown.tolist()
        ),
    )


def _whole_like(number: float, low: float, high: float) -> tuple[float, float]:
    """The range around a number: of counts there are no halves."""
    return (math.ceil(low - _EPSILON), math.floor(high + _EPSILON)) if number == round(number) else (low, high)


def _about(number: float, slack: float, *, at_least: bool) -> str:
    """``402``, ``8.557 bis 8.565`` where rounding leaves room, ``mindestens 54``."""
    room = slack if slack >= 0.5 else 0.0
    low, high = _whole_like(number, number - room, number + room)
    low_in_words, high_in_words = (number_in_words(round(one, 2)) for one in (low, high))
    if at_least:
        return f"mindestens {low_in_words}"
    return low_in_words if low_in_words == high_in_words else f"{low_in_words} bis {high_in_words}"


def _of_parts(have: int, want: int) -> str:
    """What a sum is made of; a single part is none."""
    if have == 1:
        return " (so viel steht schon bei einem Teil)" if want > 1 else " (so viel steht bei dem einzigen Teil)"
    return " (Summe der gelieferten Teile)" if have < want else " (Summe der Teile)"


def _how_it_changed(has_come: bool, is_in_the_other: bool) -> str:
    """A territory that is listed without a value has not gone, nor was it new when it got one."""
    if has_come:
        return "erstmals mit Wert" if is_in_the_other else "neu"
    return "ohne Wert" if is_in_the_other else "verschwunden"


def _missing(subject: str) -> Evidence:
    return Evidence(None, None, "fehlt", "einen Eintrag", subject=subject)


def _first_of(group: Rows, size: int, rows: Rows) -> Rows:
    """The first of these rows in each group, -1 where there is none."""
    first = np.full(size, -1, np.int64)
    first[group[rows[::-1]]] = rows[::-1]
    return first


def _sums(
    rule: Tolerant,
    seen: Observations,
    table: Table,
    is_total: Mask,
    is_part: Mask,
    columns: Sequence[str],
    expected_parts: Rows,
    hidden: Sequence[str],
    place: Rows | None = None,
) -> Broken:
    """Totals that are not the sum of their parts. ``expected_parts``: per row of a total how many parts it must have."""
    group, size = table.groups(columns)
    if place is not None:  # parts and total stand at different territories: they meet at the county
        places = len(table.texts["territory_code"])
        joint = group * places + place
        used = np.flatnonzero(is_total | is_part)
        _, compact = np.unique(joint[used], return_inverse=True)
        group = np.zeros(len(table), np.int64)
        group[used] = compact
        size = int(compact.max()) + 1 if len(compact) else 1
    known = is_part & ~np.isnan(table.value)
    sums = np.bincount(group[known], weights=table.value[known], minlength=size)
    present = np.bincount(group[known], minlength=size)
    totals = np.flatnonzero(is_total & ~np.isnan(table.value) & (expected_parts > 0))
    totals = totals[present[group[totals]] > 0]
    total, added = table.value[totals], sums[group[totals]]
    count, wanted = present[group[totals]], expected_parts[totals]
    slack = rule.tolerance(seen.context, count, total, seen.measured(table, "is_mean")[totals])
    wrong = np.where(count >= wanted, np.abs(total - added) > slack, added > total + slack)
    told = {
        at: _about(whole, wide, at_least=have < want) + _of_parts(have, want)
        for at, whole, wide, have, want in zip(
            totals[wrong].tolist(), added[wrong].tolist(), slack[wrong].tolist(), count[wrong].tolist(),
            wanted[wrong].tolist(), strict=True,
        )
    }  # fmt: skip
    return places_of(seen, table, len(totals), totals[wrong], told.__getitem__)


def _not_more_than(
    rule: Tolerant, seen: Observations, table: Table, is_part: Mask, is_whole: Mask, rest: Rows, size: int
) -> Broken:
    """Parts larger than the whole of their group."""
    whole_of = _first_of(rest, size, np.flatnonzero(is_whole & ~np.isnan(table.value)))
    rows = np.flatnonzero(is_part & ~np.isnan(table.value))
    rows = rows[whole_of[rest[rows]] >= 0]
    whole = table.value[whole_of[rest[rows]]]
    one = np.ones(len(rows), np.int64)
    slack = rule.tolerance(seen.context, one, whole, seen.measured(table, "is_mean")[rows])
    wrong = table.value[rows] > whole + slack
    of = dict(zip(rows[wrong].tolist(), whole[wrong].tolist(), strict=True))
    return places_of(seen, table, len(rows), rows[wrong], lambda at: f"höchstens {number_in_words(of[at])}")


def _in_time(seen: Observations, table: Table, columns: Sequence[str]) -> tuple[Rows, Rows]:
    """Per row a number of its observation and period, and that of the same observation one period before (-1: none)."""
    rest, _ = table.groups([c for c in columns if c != "period_code"])
    periods = table.texts["period_code"]
    number = {code: n for n, code in enumerate(periods)}
    before = np.array([number.get(seen.before.get(code, ""), -1) for code in periods] or [-1])
    period = table.codes["period_code"]
    back = before[period]
    return rest * len(periods) + period, np.where(back >= 0, rest * len(periods) + back, -1)


def _found(key: Rows, among: Rows, wanted: Rows) -> Rows:
    """Per wanted number the first of the rows ``among`` that has it, -1 where none does."""
    if not len(among):
        return np.full(len(wanted), -1, np.int64)
    order = among[np.argsort(key[among], kind="stable")]
    place = np.minimum(np.searchsorted(key[order], wanted), len(order) - 1)
    return np.where((wanted >= 0) & (key[order[place]] == wanted), order[place], -1)


def pairs_in_time(seen: Observations, table: Table, kept: Mask) -> tuple[Rows, Rows]:
    """Rows of the delivery that have a value in the period before, and those values' rows."""
    key, before = _in_time(seen, table, KEY_COLUMNS)
    there = ~np.isnan(table.value)
    delivered = np.arange(len(table)) < len(seen.table)
    now = np.flatnonzero(kept & delivered & there)
    partner = _found(key, np.flatnonzero(there), before[now])
    return now[partner >= 0], partner[partner >= 0]


def pairs_in_vintages(seen: Observations, table: Table, kept: Mask) -> tuple[Rows, Rows]:
    """Rows of the delivery whose observation has a valid value so far, and those values' rows; ``table``: ``with_vintage``."""
    key, size = table.groups(KEY_COLUMNS)
    delivered = len(seen.table)
    usable = kept & ~np.isnan(table.value)
    old = _first_of(key, size, np.flatnonzero(usable[delivered:]) + delivered)
    now = np.flatnonzero(usable[:delivered])
    now = now[old[key[now]] >= 0]
    return now, old[key[now]]


class _Selected:
    """Rows picked by selectors; two rows belong together when they agree in every column no selector names."""

    def __init__(self, seen: Observations, table: Table, selectors: Sequence[Mapping[str, str]], kept: Mask) -> None:
        self.table = table
        self._seen = seen
        self.columns = {column for selector in selectors for column in selector}
        self.rest, self.size = table.groups([c for c in KEY_COLUMNS if c not in self.columns])
        self._kept = kept

    def mask(self, selector: Mapping[str, str]) -> Mask:
        """The rows of a selector; a group column only others name is the total here, a dataset the delivery's own."""
        picked = self._kept.copy()
        for column in self.columns:
            if column in selector:
                code = selector[column]
            elif column == "dataset":
                code = ""
            elif column == "measure_code":
                continue
            else:
                code = "total"
            if column in self.table.codes:
                picked &= self.table.among(column, [code])
        return picked

    def rows(self, selector: Mapping[str, str]) -> Rows:
        return np.flatnonzero(self.mask(selector))

    def value_at(self, selector: Mapping[str, str], rows: Rows) -> Values:
        """The value of a selector in the groups of these rows, NaN where there is none."""
        first = _first_of(self.rest, self.size, np.flatnonzero(self.mask(selector) & ~np.isnan(self.table.value)))
        at = first[self.rest[rows]]
        return np.where(at >= 0, self.table.value[np.maximum(at, 0)], np.nan) if len(self.table) else self.table.value

    def value_before(self, selector: Mapping[str, str], rows: Rows) -> Values:
        """As ``value_at``, one period earlier."""
        key, before = _in_time(self._seen, self.table, [c for c in KEY_COLUMNS if c not in self.columns])
        at = _found(key, np.flatnonzero(self.mask(selector) & ~np.isnan(self.table.value)), before[rows])
        return np.where(at >= 0, self.table.value[np.maximum(at, 0)], np.nan) if len(self.table) else self.table.value


def _with_datasets(seen: Observations, selectors: Sequence[Mapping[str, str]]) -> Table | None:
    """The delivery with the accepted values of other datasets behind; None when one of them has none for its periods."""
    names = sorted({selector["dataset"] for selector in selectors if "dataset" in selector})
    if not names:
        return seen.table
    others = []
    for name in names:
        rows = seen.context.history.values(seen.context.contract, name, seen.periods)
        if rows is None or not len(rows):
            return None
        other = Table.from_history(rows)
        other.codes["dataset"], other.texts["dataset"] = np.zeros(len(other), np.int64), [name]
        others.append(other)
    own = Table(
        {**seen.table.codes, "dataset": np.zeros(len(seen.table), np.int64)},
        {**seen.table.texts, "dataset": [""]},
        seen.table.value,
        seen.table.row,
        seen.table.column,
    )
    return own.joined(*others)


def _names(table: Table) -> dict[str, str]:
    """A name delivered beside each key."""
    if "territory_name" not in table.codes:
        return {}
    places, first = np.unique(table.codes["territory_code"], return_index=True)
    return {
        table.texts["territory_code"][place]: table.text("territory_name", int(at))
        for place, at in zip(places.tolist(), first.tolist(), strict=True)
    }
