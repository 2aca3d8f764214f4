"""Rules about numbers that belong together: parts and totals, ratios, stocks and flows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pydantic import Field, model_validator

from teilhabe.codes.periods import period_end
from teilhabe.contract.model import DEVIATION, Contract
from teilhabe.validation.history import KEY_COLUMNS
from teilhabe.validation.observations import (
    Context,
    Mask,
    Observations,
    Rows,
    Table,
    Values,
    is_of_level,
    number_in_words,
    tiling,
)
from teilhabe.validation.rules.base import (
    EPSILON,
    Broken,
    Codes,
    Group,
    Rule,
    Selected,
    Selector,
    Selectors,
    first_of,
    places_of,
    unknown_codes,
    whole_like,
)


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
        return np.asarray(wide + np.where(is_mean, numbers / 2, 0.0) + EPSILON)


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
            yield from unknown_codes(contract, self.column, [*self.parts, self.total], "parts")

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
            yield from unknown_codes(contract, self.column, [*self.parts, self.total], "parts")

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
    change: Selectors = Field(default_factory=list)
    minus: Selectors = Field(default_factory=list)
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
        found = Selected(seen, table, [selector for _, selector in self._selectors()], self._kept(table))
        now = found.rows(self.current)
        now = now[now < len(seen.table)]
        total = (found.value_before if in_past else found.value_at)(self.previous or self.current, now)
        for part in self.minus:
            total = total - (found.value_before if self.previous_period else found.value_at)(part, now)
        for part in self.change:
            total = total + found.value_at(part, now)
        usable = ~np.isnan(total) & ~np.isnan(table.value[now])
        now, total = now[usable], total[usable]
        wrong = np.abs(table.value[now] - total) > self.tolerance + EPSILON
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
        found = Selected(seen, table, selectors, self._kept(table))
        now = found.rows(self.ratio)
        now = now[now < len(seen.table)]
        above, below = found.value_at(self.numerator, now), found.value_at(self.denominator, now)
        usable = ~np.isnan(above) & ~np.isnan(below) & (below > 0) & ~np.isnan(table.value[now])
        now, above, below = now[usable], above[usable], below[usable]
        should = above / below * self.multiplier
        moved = DEVIATION[seen.context.contract.secrecy_method]
        slack = self.tolerance + self.multiplier * moved * (1 / below + above / below**2) + EPSILON
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

    def _share_of_column(self, table: Table, found: Selected, now: Rows, above: Values) -> Values:
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
        found = Selected(seen, table, [self.part, self.whole], self._kept(table))
        is_part, is_whole = found.mask(self.part), found.mask(self.whole)
        return _not_more_than(self, seen, table, is_part, is_whole, found.rest, found.size)


def about_as_much(number: float, slack: float, *, at_least: bool) -> str:
    """``402``, ``8.557 bis 8.565`` where rounding leaves room, ``mindestens 54``."""
    room = slack if slack >= 0.5 else 0.0
    low, high = whole_like(number, number - room, number + room)
    low_in_words, high_in_words = (number_in_words(round(one, 2)) for one in (low, high))
    if at_least:
        return f"mindestens {low_in_words}"
    return low_in_words if low_in_words == high_in_words else f"{low_in_words} bis {high_in_words}"


def _of_parts(have: int, want: int) -> str:
    """What a sum is made of; a single part is none."""
    if have == 1:
        return " (so viel steht schon bei einem Teil)" if want > 1 else " (so viel steht bei dem einzigen Teil)"
    return " (Summe der gelieferten Teile)" if have < want else " (Summe der Teile)"


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
        at: about_as_much(whole, wide, at_least=have < want) + _of_parts(have, want)
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
    whole_of = first_of(rest, size, np.flatnonzero(is_whole & ~np.isnan(table.value)))
    rows = np.flatnonzero(is_part & ~np.isnan(table.value))
    rows = rows[whole_of[rest[rows]] >= 0]
    whole = table.value[whole_of[rest[rows]]]
    one = np.ones(len(rows), np.int64)
    slack = rule.tolerance(seen.context, one, whole, seen.measured(table, "is_mean")[rows])
    wrong = table.value[rows] > whole + slack
    of = dict(zip(rows[wrong].tolist(), whole[wrong].tolist(), strict=True))
    return places_of(seen, table, len(rows), rows[wrong], lambda at: f"höchstens {number_in_words(of[at])}")


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
