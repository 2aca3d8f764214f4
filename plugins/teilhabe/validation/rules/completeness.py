"""Rules about what has to be there: every territory of a period, and those of the period before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from teilhabe.codes.periods import period_end
from teilhabe.codes.wording import LEVELS, spell_period
from teilhabe.errors import EVIDENCE_SHOWN, Evidence
from teilhabe.validation.observations import Context, Mask, Observations, Table, territory_in_words
from teilhabe.validation.rules.base import Broken, Level, Rule, names_in_words


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
    by: list[Literal["measure_code", "nationality", "sex", "age_band", "category"]] = Field(default_factory=list)
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
        evidence = [missing_in_words(period) for period in self._missing_periods(seen, table, kept)]
        missing, compared = self._missing_cells(seen, table, kept)
        evidence += missing
        return Broken(compared + len(evidence), len(evidence), tuple(evidence[:EVIDENCE_SHOWN]))

    def _missing_cells(self, seen: Observations, table: Table, kept: Mask) -> tuple[list[Evidence], int]:
        rows = np.flatnonzero(kept)
        combination, _ = table.groups(self.by)
        names = names_in_words(table)
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
        return missing_in_words(", ".join(filter(None, (place, spell_period(period), group))))

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
        names = names_in_words(table)
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


def _how_it_changed(has_come: bool, is_in_the_other: bool) -> str:
    """A territory that is listed without a value has not gone, nor was it new when it got one."""
    if has_come:
        return "erstmals mit Wert" if is_in_the_other else "neu"
    return "ohne Wert" if is_in_the_other else "verschwunden"


def missing_in_words(subject: str) -> Evidence:
    return Evidence(None, None, "fehlt", "einen Eintrag", subject=subject)
