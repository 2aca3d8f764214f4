"""A whole delivery as one typed table, and what is known around it: what statistical rules are judged on."""

from __future__ import annotations

import calendar
import csv
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from teilhabe.codes.periods import period_end
from teilhabe.codes.wording import code_words, spell_period
from teilhabe.validation.history import KEY_COLUMNS, History, NoHistory
from teilhabe.validation.register import Lineage

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from teilhabe.contract.model import Contract
    from teilhabe.validation.register import Register

ROW_LIMIT = 3_000_000
"""Deliveries with more rows are not held as a whole; their rules across rows are not judged, and that is said."""

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

LEVELS = {"country": 0, "state": 2, "region": 3, "county": 5, "municipality": 8, "association": 9}
"""Digits of a key by level; the country is ``DG``."""

_RATES = ("per cent", "per cent or per 1000 as published", "per 1000")


@dataclass(frozen=True)
class Measure:
    """How the numbers of a measure behave, as the catalogue ``measures.csv`` states it."""

    code: str
    name_de: str = ""
    unit: str = "cases"
    behaviour: str = "stock"
    adds_over_territory: bool = True
    adds_over_groups: bool = True

    @property
    def is_rate(self) -> bool:
        return self.unit in _RATES

    @property
    def is_mean(self) -> bool:
        return self.behaviour == "average"


@dataclass(frozen=True)
class Context:
    """What surrounds a delivery: its contract, the register's lineage, what was accepted before, the signs it used."""

    contract: Contract
    lineage: Lineage = field(default_factory=Lineage)
    history: History = field(default_factory=NoHistory)
    symbols: Mapping[str, int] = field(default_factory=dict)
    """How often each text that is no plain number, and ``0``, stood where a value belongs; empty when the reader does not tell."""
    unreadable: Mapping[str, int] = field(default_factory=dict)
    """Texts the reader could not take for a value."""

    @cached_property
    def measures(self) -> Mapping[str, Measure]:
        return catalogue(self.contract.path.parents[2])


class Table:
    """Observations as codes and texts per column; every column of the key is there, ``value`` is a number or NaN.

    ``row`` and ``column`` tell where in the delivered file a value stood; 0 for values that are not of this delivery.
    """

    def __init__(
        self,
        codes: Mapping[str, npt.NDArray[np.int64]],
        texts: Mapping[str, Sequence[str]],
        value: Values,
        row: Rows,
        column: Rows,
    ) -> None:
        self.codes = dict(codes)
        self.texts = {name: list(known) for name, known in texts.items()}
        self.value = value
        self.row = row
        self.column = column
        self._groups: dict[tuple[str, ...], tuple[Rows, int]] = {}

    def __len__(self) -> int:
        return len(self.value)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, constants: Mapping[str, str] | None = None) -> Table:
        """From the pandas table a suite is run on: texts as categories, ``value``, ``_row_number``, ``_column_number``."""
        import pandas as pd

        size = len(frame)
        codes: dict[str, npt.NDArray[np.int64]] = {}
        texts: dict[str, list[str]] = {}
        for name in frame.columns:
            if name in ("value", "_row_number", "_column_number"):  # ``_sheet`` is a text like any other
                continue
            column = frame[name].astype("category")
            known = [str(text) for text in column.cat.categories]
            places = column.cat.codes.to_numpy().astype(np.int64)
            if (places < 0).any():
                known.append("")
                places = np.where(places < 0, len(known) - 1, places)
            codes[name], texts[name] = places, known
        for name in KEY_COLUMNS:
            if name not in codes:
                codes[name], texts[name] = np.zeros(size, np.int64), [(constants or {}).get(name, "total")]
        value = pd.to_numeric(frame["value"]).to_numpy(dtype=np.float64, na_value=np.nan)
        row, column_number = (
            frame[name].to_numpy(dtype=np.int64) if name in frame else np.zeros(size, np.int64)
            for name in ("_row_number", "_column_number")
        )
        return cls(codes, texts, value, row, column_number)

    @classmethod
    def from_history(cls, rows: pa.Table) -> Table:
        """From accepted values, see ``History.values``."""
        frame = rows.select(
            [n for n in (*KEY_COLUMNS, "territory_name", "value") if n in rows.column_names]
        ).to_pandas()
        return cls.from_frame(frame)

    def joined(self, *others: Table) -> Table:
        """This table with the rows of others behind its own, codes made common; columns others lack are empty there."""
        codes, texts = {}, {}
        for name, known in self.texts.items():
            common = {text: place for place, text in enumerate(known)}
            parts = [self.codes[name]]
            for other in others:
                if name not in other.codes:
                    place = common.setdefault("", len(common))
                    parts.append(np.full(len(other), place, np.int64))
                    continue
                for text in other.texts[name]:
                    common.setdefault(text, len(common))
                translated = np.array([common[text] for text in other.texts[name]] or [0], np.int64)
                parts.append(translated[other.codes[name]] if len(other) else other.codes[name])
            codes[name], texts[name] = np.concatenate(parts), list(common)
        together = (self, *others)
        return Table(
            codes,
            texts,
            np.concatenate([t.value for t in together]),
            np.concatenate([t.row for t in together]),
            np.concatenate([t.column for t in together]),
        )

    def groups(self, columns: Sequence[str]) -> tuple[Rows, int]:
        """A number per row, equal for rows that agree in all ``columns``; and how many such numbers there are."""
        key = tuple(sorted(columns))
        if key not in self._groups:
            self._groups[key] = self._number(key)
        return self._groups[key]

    def _number(self, columns: tuple[str, ...]) -> tuple[Rows, int]:
        number, size = np.zeros(len(self), np.int64), 1
        for name in columns:
            length = len(self.texts[name])
            if length <= 1:
                continue
            if size * length >= 1 << 62:
                used, number = np.unique(number, return_inverse=True)
                size = len(used)
            number, size = number * length + self.codes[name], size * length
        if size <= max(4 * len(self), 1 << 16):
            return number, size
        used, number = np.unique(number, return_inverse=True)
        return number.astype(np.int64), len(used)

    def among(self, column: str, texts: Collection[str]) -> Mask:
        """The rows whose text in a column is one of these."""
        wanted = np.array([text in texts for text in self.texts[column]] or [False])
        return np.asarray(wanted[self.codes[column]], dtype=bool)

    def of_level(self, level: str) -> Mask:
        """The rows about territories of one level, told by the length of their key."""
        wanted = [is_of_level(text, level) for text in self.texts["territory_code"]]
        return np.asarray(np.array(wanted or [False])[self.codes["territory_code"]], dtype=bool)

    def text(self, column: str, at: int) -> str:
        return self.texts[column][int(self.codes[column][at])]


class Observations:
    """The delivery as a table with its context; derived tables are made once, for whichever rule asks first."""

    def __init__(self, table: Table, context: Context) -> None:
        self.table = table
        self.context = context
        self._rules: dict[str, Any] = {}

    @cached_property
    def periods(self) -> list[str]:
        return [text for text in self.table.texts["period_code"] if text]

    @cached_property
    def before(self) -> dict[str, str]:
        """The period before each period of the delivery, where there is one to be named."""
        frequency = self.context.contract.calendar.frequency
        found = {period: previous_period(period, frequency) for period in self.periods}
        return {period: earlier for period, earlier in found.items() if earlier}

    @cached_property
    def with_earlier(self) -> Table:
        """The delivery, and for periods it does not hold itself the accepted values of the periods before its own."""
        missing = sorted(set(self.before.values()) - set(self.periods))
        contract = self.context.contract
        rows = self.context.history.values(contract, contract.dataset_id, missing) if missing else None
        return self.table.joined(Table.from_history(rows)) if rows is not None and len(rows) else self.table

    @cached_property
    def with_vintage(self) -> Table | None:
        """The delivery, then what was valid for the same periods; None when nothing was."""
        contract = self.context.contract
        rows = self.context.history.values(contract, contract.dataset_id, self.periods)
        return self.table.joined(Table.from_history(rows)) if rows is not None and len(rows) else None

    def measure(self, code: str) -> Measure:
        return self.context.measures.get(code) or Measure(code)

    def measured(self, table: Table, wanted: str) -> Mask:
        """The rows whose measure has a property: ``adds_over_groups``, ``adds_over_territory``, ``is_rate``, ``is_mean``."""
        flags = np.array([bool(getattr(self.measure(code), wanted)) for code in table.texts["measure_code"]] or [False])
        return np.asarray(flags[table.codes["measure_code"]], dtype=bool)

    def place(self, table: Table, at: int, without: Collection[str] = ()) -> str:
        """Territory, period and group of a row in German: „Peine (03157), Schuljahr 2023/24, männlich“."""
        return ", ".join(self._place(table, at, without))

    def _place(self, table: Table, at: int, without: Collection[str]) -> Iterator[str]:
        code = table.text("territory_code", at)
        name = table.text("territory_name", at) if "territory_name" in table.codes else ""
        if "territory_code" not in without:
            yield f"{name} ({code})" if name else territory_in_words(code)
        if "period_code" not in without:
            yield spell_period(table.text("period_code", at))
        measure = table.text("measure_code", at)
        if len(table.texts["measure_code"]) > 1 and "measure_code" not in without:
            yield self.measure(measure).name_de or measure
        for column in ("nationality", "sex", "age_band", "category"):
            text = table.text(column, at)
            if text and text != "total" and column not in without:
                named = (
                    table.text("category_name", at) if column == "category" and "category_name" in table.codes else ""
                )
                yield named or code_words(column, text)


@cache
def catalogue(project: Path) -> Mapping[str, Measure]:
    """The measures of the project by code; empty where it carries no catalogue."""
    path = project / "dbt_project" / "seeds" / "measures.csv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        return {
            row["measure_code"]: Measure(
                row["measure_code"],
                row["name_de"],
                row["unit"],
                row["behaviour"],
                row["is_additive_over_territory"] == "true",
                row["is_additive_over_groups"] == "true",
            )
            for row in csv.DictReader(lines)
        }


def is_of_level(code: str, level: str) -> bool:
    """Whether a key is one of this level, by its length: municipality 8 digits, county 5, state 2."""
    return code == "DG" if level == "country" else code.isdigit() and len(code) == LEVELS[level]


_MONTHS_BACK = {"yearly": 12, "half_yearly": 6, "quarterly": 3, "monthly": 1}


@cache
def previous_period(code: str, frequency: str) -> str | None:
    """The period just before: a year, half-year, quarter or month earlier; for a reference date as often as is delivered."""
    head, tail = code[:2], code[2:]
    if head in ("SY", "AY") and tail.isdigit():
        return f"{head}{int(tail) - 1}"
    if head == "WH" and tail.isdigit():  # October to March follows April to September of the same year
        return f"SH{tail}"
    if head == "SH" and tail.isdigit():
        return f"WH{int(tail) - 1}"
    parts = code.split("-")
    if not parts[0].isdigit() or period_end(code) is None:
        return None
    year = int(parts[0])
    if len(parts) == 1:
        return None if frequency == "per_term" else str(year - 1)
    if len(parts) == 2:
        kind, number = (parts[1][0], int(parts[1][1:])) if parts[1][0] in "HQ" else ("", int(parts[1]))
        last = {"H": 2, "Q": 4, "": 12}[kind]
        year, number = (year, number - 1) if number > 1 else (year - 1, last)
        return f"{year}-{kind}{number}" if kind else f"{year}-{number:02d}"
    back = _MONTHS_BACK.get(frequency)
    if back is None:
        return None
    month, day = int(parts[1]), int(parts[2])
    at_end = day == calendar.monthrange(year, month)[1]
    year, month = divmod(year * 12 + month - 1 - back, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return f"{year}-{month + 1:02d}-{last if at_end else min(day, last):02d}"


def territory_in_words(code: str) -> str:
    return "Deutschland" if code == "DG" else f"Gebiet {code}"


def number_in_words(value: float) -> str:
    """A number as it is written in German: 12.345,6."""
    if np.isnan(value):
        return "keine Angabe"
    text = f"{value:,.0f}" if value == round(value) else f"{value:,.2f}".rstrip("0").rstrip(".")
    return text.replace(",", " ").replace(".", ",").replace(" ", ".")


@cache
def age_range(code: str) -> tuple[int, int | None] | None:
    """First age of a band and the first beyond it (None: open): ``u3`` is (0, 3), ``3_5`` (3, 6), ``65plus`` (65, None)."""
    if code.startswith("u") and code[1:].isdigit():
        return (0, int(code[1:]))
    if code.endswith("plus") and code[:-4].isdigit():
        return (int(code[:-4]), None)
    first, _, last = code.partition("_")
    return (int(first), int(last) + 1) if first.isdigit() and last.isdigit() else None


def tiling(bands: Iterable[str]) -> list[str] | None:
    """Those of the age bands that cover every age once, the finest first; None when none do."""
    starts: dict[int, list[tuple[int | None, str]]] = {}
    for code in bands:
        if ages := age_range(code):
            starts.setdefault(ages[0], []).append((ages[1], code))

    def onward(age: int) -> list[str] | None:
        for end, code in sorted(starts.get(age, []), key=lambda band: (band[0] is None, band[0] or 0)):
            if end is None:
                return [code]
            rest = onward(end)
            if rest is not None:
                return [code, *rest]
        return None

    return onward(0)


def unreadable_texts(findings: Iterable[Any]) -> Counter[str]:
    """The texts a reader could not take for a value, from its findings."""
    return Counter(
        evidence.found
        for finding in findings
        if finding.rule == "value.not_a_number"
        for evidence in finding.evidence
        if evidence.found
    )


def build_context(
    contract: Contract, register: Register, history: History, symbols: Mapping[str, int], findings: Iterable[Any]
) -> Context:
    """The context of a delivery; the lineage knows what the register delivered, else what the project carries."""
    seed = Lineage.from_seed(contract.path.parents[2])
    return Context(contract, register.lineage.over(seed), history, symbols, unreadable_texts(findings))
