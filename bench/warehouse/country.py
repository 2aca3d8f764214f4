"""An invented country: its register, its population year by year and a monthly delivery of ten numbers per municipality."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from teilhabe.columns.coded import constant

MONTHLY = "employment_agency__municipal_workbook"
YEARLY = "state_statistics__population"
REGISTER = "register__municipalities"

_SEED = 20240801
_PER_COUNTY = 27
_COUNTIES_PER_STATE = 25
_FIRST_MONTH = 2005 * 12
_EDITION = "2004-12-31"
_SMALLEST = 3
"""Cells below are blocked, as the offices do it."""


@dataclass(frozen=True)
class Cell:
    """One of the numbers a municipality has each month; ``share`` of its inhabitants aged 15 to 64."""

    share: float
    measure: str = "unemployed"
    nationality: str = "total"
    sex: str = "total"
    age_band: str = "total"
    category: str = "total"


CELLS = (
    Cell(0.040),
    Cell(0.022, sex="male"),
    Cell(0.018, sex="female"),
    Cell(0.012, nationality="foreign"),
    Cell(0.004, age_band="15_24"),
    Cell(0.010, age_band="55_64"),
    Cell(0.014, category="long_term"),
    Cell(0.026, category="sgb2"),
    Cell(0.003, measure="unemployed_exits_to_work"),
    Cell(0.070, measure="employable_recipients"),
)
POPULATIONS = (("total", "total"), ("total", "male"), ("total", "female"), ("foreign", "total"))


@dataclass(frozen=True)
class Delivery:
    """A delivery as the loader gets it: the columns of its contract as text."""

    dataset_id: str
    name: str
    period: str
    received_at: datetime
    table: pa.Table

    @property
    def sha256(self) -> str:
        return hashlib.sha256(f"{self.dataset_id}/{self.name}".encode()).hexdigest()


@dataclass(frozen=True)
class Country:
    municipalities: int

    @property
    def codes(self) -> list[str]:
        return [f"{self._county(n)}{1 + n % _PER_COUNTY:03d}" for n in range(self.municipalities)]

    @property
    def counties(self) -> list[str]:
        return list(dict.fromkeys(code[:5] for code in self.codes))

    def register(self) -> Delivery:
        """One edition before all other deliveries, with areas and inhabitants."""
        states = list(dict.fromkeys(code[:2] for code in self.codes))
        size = self._inhabitants().round().astype(int)
        rows = [("10", None, code, f"Land {code}", None, None) for code in states]
        rows += [("40", "44", code, f"Kreis {code}", None, None) for code in self.counties]
        rows += [
            ("60", "64", code, f"Gemeinde {code}", f"{10 + number % 90}.5", str(size[number]))
            for number, code in enumerate(self.codes)
        ]
        kinds, texts, codes, names, areas, inhabitants = map(list, zip(*rows, strict=True))
        columns: dict[str, list[str | None] | pa.Array] = {
            "record_type": kinds,
            "text_code": texts,
            # associations stand between county and municipality: every municipality is its own
            "ars": [f"{code[:5]}0{code[5:]}{code[5:]}" if len(code) == 8 else code for code in codes],
            "territory_code": codes,
            "territory_name": names,
            "period_code": [_EDITION] * len(rows),
            "population_period_code": [_EDITION if number else None for number in inhabitants],
            "area_km2": areas,
            "population": inhabitants,
            "population_male": [None] * len(rows),
            "population_female": [None] * len(rows),
        }
        return _delivery(REGISTER, _EDITION, datetime(2005, 1, 20, tzinfo=UTC), columns, len(rows))

    def population(self, year: int) -> Delivery:
        """Inhabitants aged 15 to 64 at the end of a year, known in the January after it."""
        random = np.random.default_rng([_SEED, year])
        total = self._inhabitants() * 0.64 * (1 + 0.003 * (year - 2004)) * random.normal(1, 0.005, self.municipalities)
        foreign = total * self._foreign_share() * (1 + 0.02 * (year - 2004))
        by_nationality = {"total": total, "foreign": foreign}
        by_sex = {"total": 1.0, "male": 0.51, "female": 0.49}
        values = np.array([by_nationality[nationality] * by_sex[sex] for nationality, sex in POPULATIONS]).T
        columns = self._columns(values.round().astype(int), smallest=0) | {
            "nationality": _by_cell([nationality for nationality, _ in POPULATIONS], self.municipalities),
            "sex": _by_cell([sex for _, sex in POPULATIONS], self.municipalities),
        }
        size = len(POPULATIONS) * self.municipalities
        period = f"{year}-12-31"
        columns |= {"period_code": constant(period, size), "age_band": constant("15_64", size)}
        return _delivery(YEARLY, period, datetime(year + 1, 1, 10, tzinfo=UTC), columns, size)

    def month(self, number: int) -> Delivery:
        """The monthly delivery ``number`` (from 0): 10 numbers per municipality, in the middle of the next month."""
        random = np.random.default_rng([_SEED, 1_000_000 + number])
        aged = self._inhabitants() * 0.64
        shares = np.array([cell.share for cell in CELLS])
        foreign = np.array([cell.nationality == "foreign" for cell in CELLS])
        expected = aged[:, None] * shares * np.where(foreign, self._foreign_share()[:, None] / 0.12, 1.0)
        expected *= 1 + 0.15 * np.sin(number / 6)
        columns = self._columns(random.poisson(expected), smallest=_SMALLEST)
        size = len(CELLS) * self.municipalities
        period = month_code(number)
        columns |= {
            "period_code": constant(period, size),
            "measure_code": _by_cell([cell.measure for cell in CELLS], self.municipalities),
            "nationality": _by_cell([cell.nationality for cell in CELLS], self.municipalities),
            "sex": _by_cell([cell.sex for cell in CELLS], self.municipalities),
            "age_band": _by_cell([cell.age_band for cell in CELLS], self.municipalities),
            "category": _by_cell([cell.category for cell in CELLS], self.municipalities),
        }
        return _delivery(MONTHLY, period, _received(number), columns, size)

    def correction(self, number: int, received_after: int) -> Delivery:
        """One number of an old month is delivered again, with another value."""
        whole = self.month(number).table.slice(0, 1)
        value = str(int(whole["value"].to_pylist()[0] or 0) + 100)
        for name, text in {"value": value, "obs_status": "A", "conf_status": "F"}.items():
            place = whole.column_names.index(name)
            whole = whole.set_column(place, name, constant(text, 1))
        return Delivery(
            MONTHLY,
            f"{month_code(number)} corrected",
            month_code(number),
            _received(received_after) + timedelta(1),
            whole,
        )

    def years(self, months: int) -> range:
        """Ends of the years these months may take as denominator: the one before, or up to two earlier where it is missing."""
        return range(2002, 2004 + (months - 1) // 12 + 1)

    def _columns(self, values: np.ndarray, smallest: int) -> dict[str, pa.Array]:
        """Columns that both datasets have; ``values`` by municipality and cell."""
        municipalities, cells = values.shape
        index = pa.array(np.repeat(np.arange(municipalities, dtype=np.int32), cells))
        flat = values.reshape(-1)
        blocked = (flat > 0) & (flat < smallest)
        marks = pa.array(blocked.astype(np.int32))
        return {
            "territory_code": pa.DictionaryArray.from_arrays(index, pa.array(self.codes)),
            "territory_name": pa.DictionaryArray.from_arrays(index, pa.array([f"Gemeinde {c}" for c in self.codes])),
            "value": pa.array(np.where(blocked, None, flat.astype(str))),
            "obs_status": pa.DictionaryArray.from_arrays(marks, pa.array(["A", "Q"])),
            "conf_status": pa.DictionaryArray.from_arrays(marks, pa.array(["F", "C"])),
        }

    def _inhabitants(self) -> np.ndarray:
        """Half of the municipalities have less than 1,800 inhabitants, the mean is near 7,500."""
        return np.random.default_rng(_SEED).lognormal(np.log(1800), 1.69, self.municipalities) + 50

    def _foreign_share(self) -> np.ndarray:
        return np.random.default_rng(_SEED + 1).uniform(0.03, 0.21, self.municipalities)

    @staticmethod
    def _county(municipality: int) -> str:
        county = municipality // _PER_COUNTY
        return f"{1 + county // _COUNTIES_PER_STATE:02d}0{1 + county % _COUNTIES_PER_STATE:02d}"


def month_code(number: int) -> str:
    year, month = divmod(_FIRST_MONTH + number, 12)
    return f"{year}-{month + 1:02d}"


def _received(number: int) -> datetime:
    year, month = divmod(_FIRST_MONTH + number + 1, 12)
    return datetime(year, month + 1, 15, 9, tzinfo=UTC)


def _by_cell(texts: list[str], municipalities: int) -> pa.Array:
    known = sorted(set(texts))
    codes = np.tile(np.array([known.index(text) for text in texts], dtype=np.int32), municipalities)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(known))


def _delivery(
    dataset_id: str, period: str, received_at: datetime, columns: dict[str, list[str | None] | pa.Array], size: int
) -> Delivery:
    texts = {
        name: pa.array(column, pa.string()) if isinstance(column, list) else column for name, column in columns.items()
    }
    texts["_row_number"] = pa.array(np.arange(1, size + 1, dtype=np.int32))
    texts["_column_number"] = pa.array(np.zeros(size, dtype=np.int32))
    return Delivery(dataset_id, period, period, received_at, pa.table(texts))
