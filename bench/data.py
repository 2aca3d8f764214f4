"""The delivery that is measured: a long CSV of invented numbers as offices send it, the same bytes for the same rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contract
from teilhabe.validation.register import Register
from teilhabe.validation.suite import Suite, load_suite

HEADER = ["Gemeindeschluessel", "Gemeinde", "Jahr", "Nationalitaet", "Geschlecht", "Alter", "Wert"]
RECEIVED_AT = datetime(2025, 6, 1, tzinfo=UTC)

_HERE = Path(__file__).parent
_SEED = 20240801
_FIRST_YEAR = 1990
_TERRITORIES = 403
_PLACES = ("Mühlbruch", "Großenhöfen", "Altendorf", "Süderwisch", "Neuenfließ", "Bärenklau", "Wehrstedt")
_NATIONALITIES = ("insgesamt", "Deutsche", "Ausländer")
_SEXES = ("insgesamt", "männlich", "weiblich")
_BOUNDS = (3, 6, 10, 15, 18, *range(20, 91, 5))
_AGES = (
    "insgesamt",
    "unter 3 Jahre",
    *(f"{low} bis unter {high} Jahre" for low, high in pairwise(_BOUNDS)),
    "90 Jahre und mehr",
)
_SYMBOLS = np.array([".", "-", "/", "x", "..."])
_SYMBOL_SHARES = (0.030, 0.020, 0.010, 0.005, 0.001)


def contract() -> Contract:
    """The contract of the delivery; it lives here and no product code knows it."""
    return load_contract(_HERE / "agencies" / "bench" / "long.odcs.yaml")


def suite() -> Suite:
    return load_suite(_HERE / "expectations", contract())


def register() -> Register:
    """All territories of the file, as editions around every year of it would list them."""
    return Register(_territories(), [date(year, 12, 31) for year in range(_FIRST_YEAR, 2025)])


def write(path: Path, rows: int) -> None:
    """``rows`` rows with ``;``, Windows-1252, decimal comma and a symbol instead of a number in one cell of fifteen."""
    random = np.random.default_rng(_SEED)
    codes, names = zip(*_territories(), strict=True)
    shape = (len(codes), len(_NATIONALITIES), len(_SEXES), len(_AGES))
    size = int(np.prod(shape))
    place, nationality, sex, age = (
        pa.array(index.astype(np.int32)) for index in np.unravel_index(np.arange(size), shape)
    )
    options = pa_csv.WriteOptions(include_header=False, delimiter=";", quoting_style="none")
    with path.open("wb") as file:
        file.write((";".join(HEADER) + "\r\n").encode("cp1252"))
        for number, start in enumerate(range(0, rows, size)):
            table = pa.table(
                [
                    pa.array(codes).take(place),
                    pa.array(names).take(place),
                    pa.repeat(str(_FIRST_YEAR + number), size),
                    pa.array(_NATIONALITIES).take(nationality),
                    pa.array(_SEXES).take(sex),
                    pa.array(_AGES).take(age),
                    _values(random, size),
                ],
                names=HEADER,
            ).slice(0, rows - start)
            sink = pa.BufferOutputStream()
            pa_csv.write_csv(table, sink, options)
            file.write(sink.getvalue().to_pybytes().decode().replace("\n", "\r\n").encode("cp1252"))


def _values(random: np.random.Generator, size: int) -> pa.Array:
    """Numbers of the size a municipality has, most below a thousand, all with a decimal place."""
    tenths = np.minimum(random.lognormal(7.5, 1.6, size), 5e6).astype(np.int64)
    texts = np.char.add(np.char.add((tenths // 10).astype("U7"), ","), (tenths % 10).astype("U1"))
    drawn = random.random(size)
    symbol = np.searchsorted(np.cumsum(_SYMBOL_SHARES), drawn)
    return pa.array(np.where(symbol < len(_SYMBOLS), _SYMBOLS[np.minimum(symbol, len(_SYMBOLS) - 1)], texts))


def _territories() -> list[tuple[str, str]]:
    return [
        (f"03{101 + number // 9:03d}{1 + number % 9:03d}", f"{_PLACES[number % len(_PLACES)]} {number}")
        for number in range(_TERRITORIES)
    ]
