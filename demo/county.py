"""The invented reality all demo files are drawn from, so that the offices agree with each other.

Keys and names of territories are the official ones; every figure is drawn with a fixed seed around a few round public
facts. A figure depends on the seed and on what it is, never on the order in which files are written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from random import Random

SEED = 3157
FIRST_YEAR, LAST_YEAR = 2023, 2025
YEARS = tuple(range(FIRST_YEAR, LAST_YEAR + 1))
STOCK_YEARS = (FIRST_YEAR - 1, *YEARS)
"""Reference dates 31 December: the one before the first year is a denominator."""
MONTHS = tuple(f"{year}-{month:02d}" for year in YEARS for month in range(1, 13))
COUNTY = "03157"


@dataclass(frozen=True)
class Place:
    """A municipality: rounded inhabitants, km2, kind of municipality, share of foreigners, offences per inhabitant."""

    code: str
    name: str
    inhabitants: int
    area: float
    kind: str
    foreign: float
    crime: float
    housed: int
    """Persons the municipality houses in April 2024."""

    @property
    def county(self) -> str:
        return self.code[:5]

    @property
    def plain(self) -> str:
        return self.name.split(",")[0]


@dataclass(frozen=True)
class District:
    """A county or a town that is one."""

    code: str
    name: str
    inhabitants: int
    foreign: float
    crime: float
    unemployed: float
    """Share of the inhabitants between 15 and 64."""

    @property
    def is_town(self) -> bool:
        return self.code[2] != "2" and self.name.endswith(", Stadt")

    @property
    def in_tables(self) -> str:
        """The name as GENESIS tables print it."""
        if self.is_town:
            return f"{self.name.split(', ')[0]}, Kreisfreie Stadt"
        return self.name if self.name.startswith("Region") else f"{self.name}, Landkreis"


MUNICIPALITIES = {
    place.code: place
    for place in (
        Place("03157001", "Edemissen", 12_500, 104.1, "64", 0.062, 0.032, 118),
        Place("03157002", "Hohenhameln", 9_200, 69.6, "64", 0.074, 0.030, 96),
        Place("03157005", "Lengede", 14_300, 34.3, "64", 0.078, 0.036, 142),
        Place("03157006", "Peine, Stadt", 50_800, 119.8, "63", 0.172, 0.078, 560),
        Place("03157007", "Vechelde", 18_200, 76.2, "64", 0.080, 0.034, 258),
        Place("03157008", "Wendeburg", 10_700, 60.2, "64", 0.056, 0.026, 104),
        Place("03157009", "Ilsede", 21_400, 72.2, "64", 0.108, 0.044, 232),
    )
}

MERGED = ("03153008", "03153019")
"""The demo's invented merger: two municipalities of the county of Goslar become one on 1 November 2024."""
MERGER_DATE = "2024-11-01"
NEW = Place("03153020", "Innerstetal (erfundene Fusion)", 22_700, 187.3, "64", 0.075, 0.04, 0)
GOSLAR = {
    place.code: place
    for place in (
        Place("03153002", "Bad Harzburg, Stadt", 21_700, 65.5, "63", 0.094, 0.05, 0),
        Place("03153008", "Liebenburg", 7_700, 78.5, "64", 0.066, 0.03, 0),
        Place("03153012", "Seesen, Stadt", 19_200, 102.3, "63", 0.102, 0.05, 0),
        Place("03153016", "Braunlage, Stadt", 5_600, 31.7, "63", 0.112, 0.06, 0),
        Place("03153017", "Goslar, Stadt", 50_200, 163.9, "63", 0.104, 0.06, 0),
        Place("03153018", "Clausthal-Zellerfeld, Berg- und Universitätsstadt", 15_300, 43.7, "63", 0.171, 0.05, 0),
        Place("03153019", "Langelsheim, Stadt", 15_000, 108.8, "63", 0.079, 0.04, 0),
    )
}

DISTRICTS = {
    code: District(code, name, inhabitants, foreign / 1000, crime / 10_000, unemployed / 1000)
    for code, name, inhabitants, foreign, crime, unemployed in (
        ("03101", "Braunschweig, Stadt", 251_000, 125, 860, 56),
        ("03102", "Salzgitter, Stadt", 104_000, 212, 760, 92),
        ("03103", "Wolfsburg, Stadt", 126_000, 176, 720, 58),
        ("03151", "Gifhorn", 179_000, 90, 450, 48),
        ("03153", "Goslar", 134_000, 101, 600, 71),
        ("03154", "Helmstedt", 91_000, 86, 550, 66),
        ("03155", "Northeim", 131_000, 79, 540, 58),
        ("03157", "Peine", 137_000, 116, 545, 53),
        ("03158", "Wolfenbüttel", 119_000, 72, 500, 49),
        ("03159", "Göttingen", 326_000, 112, 690, 60),
        ("03241", "Region Hannover", 1_170_000, 172, 860, 78),
        ("03251", "Diepholz", 221_000, 108, 480, 46),
        ("03252", "Hameln-Pyrmont", 149_000, 127, 620, 71),
        ("03254", "Hildesheim", 273_000, 104, 580, 62),
        ("03255", "Holzminden", 69_000, 88, 540, 64),
        ("03256", "Nienburg (Weser)", 122_000, 107, 560, 54),
        ("03257", "Schaumburg", 158_000, 104, 560, 61),
        ("03351", "Celle", 181_000, 104, 560, 62),
        ("03352", "Cuxhaven", 199_000, 86, 560, 57),
        ("03353", "Harburg", 258_000, 93, 430, 42),
        ("03354", "Lüchow-Dannenberg", 48_000, 66, 470, 70),
        ("03355", "Lüneburg", 185_000, 78, 580, 53),
        ("03356", "Osterholz", 115_000, 74, 440, 40),
        ("03357", "Rotenburg (Wümme)", 166_000, 92, 480, 42),
        ("03358", "Heidekreis", 143_000, 119, 640, 58),
        ("03359", "Stade", 207_000, 107, 570, 56),
        ("03360", "Uelzen", 93_000, 72, 540, 52),
        ("03361", "Verden", 138_000, 105, 530, 43),
        ("03401", "Delmenhorst, Stadt", 79_000, 194, 830, 99),
        ("03402", "Emden, Stadt", 50_000, 132, 870, 88),
        ("03403", "Oldenburg (Oldenburg), Stadt", 171_000, 111, 840, 68),
        ("03404", "Osnabrück, Stadt", 166_000, 159, 900, 74),
        ("03405", "Wilhelmshaven, Stadt", 76_000, 134, 900, 108),
        ("03451", "Ammerland", 128_000, 81, 410, 37),
        ("03452", "Aurich", 191_000, 76, 480, 62),
        ("03453", "Cloppenburg", 177_000, 157, 500, 40),
        ("03454", "Emsland", 336_000, 137, 470, 31),
        ("03455", "Friesland", 99_000, 66, 470, 52),
        ("03456", "Grafschaft Bentheim", 140_000, 178, 500, 32),
        ("03457", "Leer", 173_000, 119, 500, 62),
        ("03458", "Oldenburg", 133_000, 93, 420, 37),
        ("03459", "Osnabrück", 364_000, 117, 440, 34),
        ("03460", "Vechta", 146_000, 171, 490, 34),
        ("03461", "Wesermarsch", 89_000, 106, 520, 63),
        ("03462", "Wittmund", 57_000, 61, 480, 58),
    )
}
"""Inhabitants in thousands are rounded, shares are per 1,000, offences per 10,000 inhabitants."""

AGES = {
    "u3": (0.026, 0.034), "3_5": (0.028, 0.036), "6_9": (0.037, 0.045), "10_14": (0.046, 0.049), "15_15": (0.0092, 0.0094),
    "16_17": (0.0188, 0.0196), "18_19": (0.019, 0.024), "20_24": (0.050, 0.084), "25_29": (0.053, 0.104),
    "30_34": (0.060, 0.112), "35_39": (0.062, 0.106), "40_44": (0.062, 0.090), "45_49": (0.058, 0.072),
    "50_54": (0.072, 0.058), "55_59": (0.086, 0.047), "60_64": (0.081, 0.036), "65_69": (0.065, 0.026),
    "70_74": (0.053, 0.020), "75_79": (0.042, 0.014), "80_84": (0.044, 0.008), "85_89": (0.021, 0.004), "90plus": (0.007, 0.002),
}  # fmt: skip
"""Age band -> share among Germans, among foreigners."""
WORKING_AGE = (
    "15_15",
    "16_17",
    "18_19",
    "20_24",
    "25_29",
    "30_34",
    "35_39",
    "40_44",
    "45_49",
    "50_54",
    "55_59",
    "60_64",
)

Key = tuple[str, str, str]
"""Sex, nationality, age band of a cell of the population."""

OFFENCES = {
    "------": ("Straftaten insgesamt", 1.0, 0.61),
    "890000": ("Straftaten insgesamt, jedoch ohne Verstöße gegen das Aufenthalts-, das Asyl- und das "
               "Freizügigkeitsgesetz/EU", 0.985, 0.607),
    "892000": ("Gewaltkriminalität", 0.034, 0.78),
    "435*00": ("Wohnungseinbruchdiebstahl", 0.022, 0.17),
    "326*00": ("Einfacher Ladendiebstahl", 0.041, 0.89),
}  # fmt: skip
"""Key -> text, share of all offences, clearance."""


def split(total: int, weights: Iterable[float]) -> list[int]:
    """Whole parts that add up to the total: largest remainders first."""
    shares = list(weights)
    whole = sum(shares)
    if not whole:
        return [0] * len(shares)
    exact = [total * share / whole for share in shares]
    parts = [math.floor(value) for value in exact]
    order = sorted(range(len(shares)), key=lambda n: (parts[n] - exact[n], n))
    for n in order[: total - sum(parts)]:
        parts[n] += 1
    return parts


def protected(values: Sequence[int], least: int) -> list[int | str]:
    """Parts of a published total: small ones become ``*``, and one more when a single one could be worked out."""
    hidden = {n for n, value in enumerate(values) if 0 < value < least}
    if len(hidden) == 1:
        others = sorted((value, n) for n, value in enumerate(values) if n not in hidden and value)
        hidden.update(n for _, n in others[:1])
    return ["*" if n in hidden else value for n, value in enumerate(values)]


class County:
    """Figures by municipality; a county is the sum of its municipalities, other districts are drawn as a whole."""

    def __init__(self, seed: int = SEED) -> None:
        self.seed = seed
        self.population = cache(self._population)
        self.offence = cache(self._offence)
        self.monthly = cache(self._monthly)

    def draw(self, *what: object) -> Random:
        return Random(f"{self.seed}|{'|'.join(map(str, what))}")  # noqa: S311 - reproducible, not secret

    def around(self, low: float, high: float, *what: object) -> float:
        return self.draw(*what).uniform(low, high)

    # ---------------------------------------------------------------------------------------------------- population

    def _population(self, code: str, year: int) -> Mapping[Key, int]:
        """Cells of the population of a municipality, or of a district that is not drawn by municipalities."""
        if code == NEW.code:
            one, other = (self.population(part, year) for part in MERGED)
            return {key: one[key] + other[key] for key in one}
        place = MUNICIPALITIES.get(code) or GOSLAR.get(code) or DISTRICTS[code]
        inhabitants, foreign = float(place.inhabitants), place.foreign
        for step in range(STOCK_YEARS[0], year + 1):
            inhabitants *= 1 + self.around(-0.002, 0.008, "growth", code, step)
            foreign *= 1 + self.around(0.025, 0.05, "foreign", code, step) - 0.03
        total = round(inhabitants)
        foreigners = round(total * foreign)
        cells: dict[Key, int] = {}
        for nationality, number, column, male in (
            ("german", total - foreigners, 0, 0.49),
            ("foreign", foreigners, 1, 0.53),
        ):
            weights = [
                shares[column] * sex_share * self.around(0.97, 1.03, "age", code, age, nationality, sex)
                for age, shares in AGES.items()
                for sex, sex_share in (("male", male), ("female", 1 - male))
            ]
            parts = iter(split(number, weights))
            for age in AGES:
                for sex in ("male", "female"):
                    cells[sex, nationality, age] = next(parts)
        return cells

    def parts(self, code: str, year: int) -> list[str]:
        """The municipalities a county is the sum of at the end of a year; itself where it is not drawn by them."""
        if code == COUNTY:
            return list(MUNICIPALITIES)
        if code == "03153":
            return self.goslar(year)
        if code == "03":
            return [part for district in DISTRICTS for part in self.parts(district, year)]
        return [code]

    def goslar(self, year: int) -> list[str]:
        if f"{year}-12-31" < MERGER_DATE:
            return list(GOSLAR)
        return [*(code for code in GOSLAR if code not in MERGED), NEW.code]

    def people(
        self, code: str, year: int, sex: str = "total", nationality: str = "total", ages: Iterable[str] | None = None
    ) -> int:
        wanted = set(AGES if ages is None else ages)
        return sum(
            number
            for part in self.parts(code, year)
            for (s, n, age), number in self.population(part, year).items()
            if age in wanted and sex in ("total", s) and nationality in ("total", n)
        )

    @cached_property
    def _totals(self) -> dict[tuple[str, int, str], int]:
        return {}

    def total(self, code: str, year: int, nationality: str = "total") -> int:
        """Inhabitants; remembered, because everything else is a share of them."""
        key = (code, year, nationality)
        if key not in self._totals:
            self._totals[key] = self.people(code, year, nationality=nationality)
        return self._totals[key]

    # ---------------------------------------------------------------------------------------------- month by month

    def _monthly(self, measure: str, code: str, month: str) -> int:
        """Stocks and flows of a municipality by month: level x trend x season x chance."""
        year, number = int(month[:4]), int(month[5:])
        step = (year - 2024) * 12 + number - 4
        """Months since April 2024, the month of the best known figures."""
        place = MUNICIPALITIES[code]
        people, foreigners = self.total(code, 2023), self.total(code, 2023, "foreign")
        working = people * 0.62
        season = 1 + 0.035 * math.cos(2 * math.pi * (number - 2) / 12)
        chance = self.around(0.975, 1.025, "chance", measure, code, month)
        calm = 1.0 if not step else self.around(0.99, 1.01, "calm", measure, code, month)
        match measure:
            case "housed":
                return round(place.housed * (1 + 0.0045 * min(step, 8) - 0.004 * max(step - 8, 0)) * calm)
            case "private":
                base = 102 / 258 * place.housed * (1 if code == "03157007" else self.around(0.7, 1.1, "private", code))
                return round(base * (1 + 0.006 * step) * calm)
            case "unemployed_foreign":
                return round(foreigners * 0.104 * (1 + 0.002 * step) * season * chance)
            case "unemployed_german":
                share = 0.0455 if code == "03157006" else 0.0355
                return round((working - foreigners * 0.7) * share * (1 + 0.0015 * step) * season * chance)
            case "recipients_german":
                share = 0.064 if code == "03157006" else 0.042
                return round((working - foreigners * 0.7) * share * (1 - 0.001 * step) * chance)
            case "recipients_asylum8":
                return round(foreigners * 0.072 * (1 + 0.002 * step) * calm)
            case "recipients_ukrainian":
                return round(foreigners * 0.056 * (1 + 0.001 * step) * calm)
            case "recipients_refugee_other":
                return round(foreigners * 0.012 * calm)
            case "recipients_other":
                return round(foreigners * 0.062 * calm)
            case _:
                raise KeyError(measure)

    def unemployed(self, code: str, month: str) -> tuple[int, int]:
        """All, foreign."""
        foreign = self.monthly("unemployed_foreign", code, month)
        return foreign + self.monthly("unemployed_german", code, month), foreign

    def recipients(self, code: str, month: str) -> dict[str, int]:
        """Employable recipients by the groups of the job centre."""
        german, asylum8, ukrainian, refugee_other, other = (
            self.monthly(f"recipients_{group}", code, month)
            for group in ("german", "asylum8", "ukrainian", "refugee_other", "other")
        )
        refugees = round(asylum8 * 0.82) + ukrainian + refugee_other
        foreign = asylum8 + ukrainian + refugee_other + other
        return {"total": german + foreign, "german": german, "foreign": foreign, "asylum8": asylum8,
                "refugee_context": refugees, "ukrainian": ukrainian}  # fmt: skip

    def annual_unemployed(self, code: str, year: int) -> tuple[float, float]:
        """Annual means: all, foreign. 2022 repeats the shape of 2023, a little lower."""
        factor, source = (0.97, 2023) if year < FIRST_YEAR else (1.0, year)
        months = [self.unemployed(code, f"{source}-{month:02d}") for month in range(1, 13)]
        return sum(m[0] for m in months) / 12 * factor, sum(m[1] for m in months) / 12 * factor

    # -------------------------------------------------------------------------------------------------------- offences

    def _offence(self, code: str, key: str, year: int) -> tuple[int, int]:
        """Known and cleared cases of a municipality of Peine or of another district."""
        place = MUNICIPALITIES.get(code) or DISTRICTS[code]
        cases = place.inhabitants * place.crime * self.around(1.01, 1.09, "crime", code, year)
        _, share, clearance = OFFENCES[key]
        rare = share < 0.1
        known = round(cases * share * (self.around(0.9, 1.1, "crime", code, year, key) if rare else 1))
        return known, min(
            known, round(known * clearance * self.around(0.97, 1.03, "cleared", code, year, key if rare else ""))
        )

    def offences(self, code: str, key: str, year: int) -> tuple[int, int]:
        codes = list(MUNICIPALITIES) if code == COUNTY else [code]
        figures = [self.offence(part, key, year) for part in codes]
        return sum(f[0] for f in figures), sum(f[1] for f in figures)

    def suspects(self, code: str, key: str, year: int) -> tuple[int, int]:
        """All, foreign; in the county fewer than the sum of its municipalities, because persons are counted anew."""
        if code == COUNTY:
            every = [self.suspects(part, key, year) for part in MUNICIPALITIES]
            return round(sum(e[0] for e in every) * 0.95), round(sum(e[1] for e in every) * 0.95)
        place = MUNICIPALITIES.get(code) or DISTRICTS[code]
        number = round(self.offences(code, key, year)[1] * 0.74)
        return number, round(number * min(0.6, place.foreign * 2.1 + 0.06))
