"""What official statistics demand of a delivery, as rules over its table: sums, ratios, changes, completeness, lineage.

Each rule is a model of its arguments (unknown ones fail) and one function over the observations. Great Expectations runs
them as custom expectations (``statistical_expectations``); nothing here imports it, so a suite can be checked without.

The number of rows decides what a rule may cost: all of them work on whole columns, never row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict

from teilhabe.codes.groups import AGE_BAND, NATIONALITIES, SEXES
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import contract_path
from teilhabe.errors import EVIDENCE_SHOWN, Evidence
from teilhabe.validation.history import KEY_COLUMNS
from teilhabe.validation.observations import (
    Mask,
    Observations,
    Rows,
    Table,
    Values,
    catalogue,
    number_in_words,
)

_GROUPS = ("nationality", "sex", "age_band", "category")
Group = Literal["nationality", "sex", "age_band", "category"]
Level = Literal["country", "state", "region", "county", "municipality", "association"]

# What a person reads in the file is a decimal number; sums of many of them are exact to far less than this.
EPSILON = 1e-6


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
                yield from unknown_codes(contract, column, codes, "where")
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
                    yield from unknown_codes(contract, column, [code], name)

    def _selectors(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        return iter(())

    def _kept(self, table: Table) -> Mask:
        """The rows the rule is about."""
        kept = np.ones(len(table), dtype=bool)
        for column, codes in self.where.items():
            if column in table.codes:
                kept &= table.among(column, codes)
        return kept


def unknown_codes(contract: Contract, column: str, codes: Iterable[str], name: str) -> Iterator[str]:
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


def whole_like(number: float, low: float, high: float) -> tuple[float, float]:
    """The range around a number: of counts there are no halves."""
    return (math.ceil(low - EPSILON), math.floor(high + EPSILON)) if number == round(number) else (low, high)


def first_of(group: Rows, size: int, rows: Rows) -> Rows:
    """The first of these rows in each group, -1 where there is none."""
    first = np.full(size, -1, np.int64)
    first[group[rows[::-1]]] = rows[::-1]
    return first


def _in_time(seen: Observations, table: Table, columns: Sequence[str]) -> tuple[Rows, Rows]:
    """Per row a number of its observation and period, and that of the same observation one period before (-1: none)."""
    rest, _ = table.groups([c for c in columns if c != "period_code"])
    periods = table.texts["period_code"]
    number = {code: n for n, code in enumerate(periods)}
    before = np.array([number.get(seen.before.get(code, ""), -1) for code in periods] or [-1])
    period = table.codes["period_code"]
    back = before[period]
    return rest * len(periods) + period, np.where(back >= 0, rest * len(periods) + back, -1)


def found_among(key: Rows, among: Rows, wanted: Rows) -> Rows:
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
    partner = found_among(key, np.flatnonzero(there), before[now])
    return now[partner >= 0], partner[partner >= 0]


def pairs_in_vintages(seen: Observations, table: Table, kept: Mask) -> tuple[Rows, Rows]:
    """Rows of the delivery whose observation has a valid value so far, and those values' rows; ``table``: ``with_vintage``."""
    key, size = table.groups(KEY_COLUMNS)
    delivered = len(seen.table)
    usable = kept & ~np.isnan(table.value)
    old = first_of(key, size, np.flatnonzero(usable[delivered:]) + delivered)
    now = np.flatnonzero(usable[:delivered])
    now = now[old[key[now]] >= 0]
    return now, old[key[now]]


class Selected:
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
        first = first_of(self.rest, self.size, np.flatnonzero(self.mask(selector) & ~np.isnan(self.table.value)))
        at = first[self.rest[rows]]
        return np.where(at >= 0, self.table.value[np.maximum(at, 0)], np.nan) if len(self.table) else self.table.value

    def value_before(self, selector: Mapping[str, str], rows: Rows) -> Values:
        """As ``value_at``, one period earlier."""
        key, before = _in_time(self._seen, self.table, [c for c in KEY_COLUMNS if c not in self.columns])
        at = found_among(key, np.flatnonzero(self.mask(selector) & ~np.isnan(self.table.value)), before[rows])
        return np.where(at >= 0, self.table.value[np.maximum(at, 0)], np.nan) if len(self.table) else self.table.value


def names_in_words(table: Table) -> dict[str, str]:
    """A name delivered beside each key."""
    if "territory_name" not in table.codes:
        return {}
    places, first = np.unique(table.codes["territory_code"], return_index=True)
    return {
        table.texts["territory_code"][place]: table.text("territory_name", int(at))
        for place, at in zip(places.tolist(), first.tolist(), strict=True)
    }
