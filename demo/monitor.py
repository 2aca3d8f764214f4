"""The state's integration monitor: tidy CSVs, a new vintage every December that repeats and revises the years before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from demo.calendar import received
from demo.county import DISTRICTS, STOCK_YEARS, YEARS, County
from demo.genesis import children, employees, leavers, naturalised, rounded
from demo.handout import Handout, commas

_HEAD = ("Year", "Gebietseinheit", "GeoCode", "Value")
_PROVISIONAL = 0.985
"""The register of foreigners of the newest year is incomplete; the vintage after says the final number."""
_REGISTER = 1.04
"""The register counts more foreigners than the population statistics."""
_BANDS = {
    "0 - 6": ("u3", "3_5"), "6 - 15": ("6_9", "10_14"), "15 - 20": ("15_15", "16_17", "18_19"),
    "20 - 40": ("20_24", "25_29", "30_34", "35_39"), "40 - 65": ("40_44", "45_49", "50_54", "55_59", "60_64"),
    "65 - 80": ("65_69", "70_74", "75_79"), "80 und älter": ("80_84", "85_89", "90plus"),
}  # fmt: skip

Row = tuple[object, ...]


def handouts(county: County) -> Iterator[Handout]:
    for newest in range(STOCK_YEARS[0] + 1, YEARS[-1] + 1):
        stocks = [year for year in STOCK_YEARS if year < newest]
        tables = {
            ("population", "1-1-1"): _simple(county, stocks, lambda c, y, last: county.total(c, y)),
            ("foreigners", "1-2-1"): _simple(county, stocks, lambda c, y, last: rounded(_register(county, c, y, last))),
            ("foreigners_age", "1-2-6"): _by_age(county, stocks),
            ("naturalisations", "2-3-1"): _simple(county, stocks, lambda c, y, last: naturalised(county, c, y)),
            ("day_care_language", "3-1-2"): _language(county, [year for year in YEARS if year <= newest]),
            ("day_care_origin", "3-1-3"): _origin(county, [year for year in YEARS if year <= newest]),
            ("school_leavers", "4-1-4"): _leavers(county, stocks),
            ("employees", "5-2-1"): _employees(county, stocks),
            ("minimum_income", "6-2-1"): _minimum_income(county, stocks),
            ("minimum_income_rate", "6-2-2"): _minimum_income_rate(county, stocks),
        }
        for (dataset, number), rows in tables.items():
            dataset_id = f"state_monitor__{dataset}"
            period = f"{newest}-03-01" if dataset.startswith("day_care") else f"{stocks[-1]}-12-31"
            at = received(dataset_id, period, 1)
            yield Handout(dataset_id, f"indicator_{number}.csv", at, commas(rows), "state-monitor")


def _register(county: County, code: str, year: int, last: int) -> float:
    return county.total(code, year, "foreign") * _REGISTER * (_PROVISIONAL if year == last else 1)


def _simple(county: County, years: list[int], figure: Callable[[str, int, int], int]) -> Iterator[Row]:
    yield _HEAD
    for year in years:
        rows = [(code, figure(code, year, years[-1])) for code in DISTRICTS]
        for code, number in rows:
            yield (year, _name(code), f"K{code}", number)
        yield (year, "Niedersachsen", "K030", sum(number for _, number in rows))


def _detailed(columns: Iterable[str], rows: Iterable[tuple[int, str, tuple[object, ...], object]]) -> Iterator[Row]:
    """Rows of (year, code, labels, value) in the monitor's order of columns."""
    yield ("Year", "Gebietseinheit", *columns, "GeoCode", "Value")
    for year, code, labels, value in rows:
        yield (year, _name(code), *labels, "K030" if code == "03" else f"K{code}", value)


def _by_age(county: County, years: list[int]) -> Iterator[Row]:
    def rows() -> Iterator[tuple[int, str, tuple[object, ...], object]]:
        for year in years:
            factor = _REGISTER * (_PROVISIONAL if year == years[-1] else 1)
            state = dict.fromkeys([*_BANDS, "Insgesamt"], 0.0)
            for code in DISTRICTS:
                numbers = {
                    text: county.people(code, year, nationality="foreign", ages=ages)
                    * factor
                    * county.around(0.95, 1.05, "register", code, year, text)
                    for text, ages in _BANDS.items()
                }
                for text, number in {**numbers, "Insgesamt": sum(numbers.values())}.items():
                    state[text] += number
                    yield year, code, (text,), rounded(number)
            for text, number in state.items():
                yield year, "03", (text,), rounded(number)

    return _detailed(["Altersgruppe"], rows())


_ORIGIN = ("Kinder im Alter von unter 3 Jahren mit ausländischer Herkunft mindestens eines Elternteils",
           "Kinder im Alter von 3 bis unter 6 Jahren mit ausländischer Herkunft mindestens eines Elternteils")  # fmt: skip


def _of_foreign_origin(county: County, code: str, year: int, band: str) -> tuple[int, int]:
    """Children in day care of an age band: of foreign origin, all."""
    looked_after = round(county.people(code, year - 1, ages=(band,)) * (0.34 if band == "u3" else 0.92))
    foreign = county.total(code, year - 1, "foreign") / county.total(code, year - 1)
    share = min(0.7, foreign * (1.15 if band == "u3" else 2.3) * county.around(0.95, 1.05, "origin", code, year, band))
    return round(looked_after * share), looked_after


def _language(county: County, years: list[int]) -> Iterator[Row]:
    def rows() -> Iterator[tuple[int, str, tuple[object, ...], object]]:
        for year in years:
            sums = [0.0, 0.0, 0.0]
            for code in DISTRICTS:
                number = children(county, code, year)
                origin = sum(_of_foreign_origin(county, code, year, band)[0] for band in ("u3", "3_5"))
                language = round(origin * 0.37)
                sums = [a + b for a, b in zip(sums, (number, origin, language), strict=True)]
                yield year, code, (_LANGUAGE[0], "%"), f"{origin / number * 100:.4f}"
                yield year, code, (_LANGUAGE[1], "%"), f"{language / number * 100:.4f}"
            yield year, "03", (_LANGUAGE[0], "%"), f"{sums[1] / sums[0] * 100:.4f}"
            yield year, "03", (_LANGUAGE[1], "%"), f"{sums[2] / sums[0] * 100:.4f}"

    return _detailed(["Kinderbetreuung", "Units"], rows())


_LANGUAGE = (
    "ausländische Herkunft mindestens eines Elternteils",
    "in der Familie wird vorrangig nicht deutsch gesprochen",
)


def _origin(county: County, years: list[int]) -> Iterator[Row]:
    def rows() -> Iterator[tuple[int, str, tuple[object, ...], object]]:
        for year in years:
            for text, band in zip(_ORIGIN, ("u3", "3_5"), strict=True):
                pairs = {code: _of_foreign_origin(county, code, year, band) for code in DISTRICTS}
                pairs["03"] = (sum(p[0] for p in pairs.values()), sum(p[1] for p in pairs.values()))
                for code, (number, every) in pairs.items():
                    yield year, code, (text, "Anzahl"), number
                    yield year, code, (text, "%"), f"{number / every * 100:.4f}"

    return _detailed(["Kinderbetreuung", "Units"], rows())


def _leavers(county: County, years: list[int]) -> Iterator[Row]:
    def rows() -> Iterator[tuple[int, str, tuple[object, ...], object]]:
        for year in years:
            numbers: dict[str, dict[str, tuple[int, int]]] = {}
            for code in DISTRICTS:
                figures = leavers(county, code, year)
                without, every = figures[0][0], sum(f[0] for f in figures)
                share = county.total(code, year - 1 if year > STOCK_YEARS[0] else year, "foreign") / county.total(
                    code, year
                )
                foreign = round(every * share * 0.85)
                foreign_without = min(without, round(foreign * 0.2 * county.around(0.85, 1.15, "without", code, year)))
                numbers[code] = {"Deutsche": (without - foreign_without, every - foreign),
                                 "Ausländerinnen und Ausländer": (foreign_without, foreign)}  # fmt: skip
            for code, groups in {**numbers, "03": _sum_of(numbers)}.items():
                for group, (number, every) in groups.items():
                    yield year, code, (group, "Anzahl"), number
                    yield year, code, (group, "Prozent"), f"{number / every * 100:.4f}" if every else ""

    return _detailed(["Nationalität", "Units"], rows())


def _employees(county: County, years: list[int]) -> Iterator[Row]:
    def rows() -> Iterator[tuple[int, str, tuple[object, ...], object]]:
        for year in years:
            state = [0, 0, 0]
            for code in DISTRICTS:
                _, _, men, women = employees(county, code, year)
                figures = [round((men + women) * 0.82), round(men * 0.82), 0]
                figures[2] = figures[0] - figures[1]
                state = [a + b for a, b in zip(state, figures, strict=True)]
                for sex, number in zip(("Insgesamt", "Männer", "Frauen"), figures, strict=True):
                    yield year, code, (sex, "Anzahl"), number
            for sex, number in zip(("Insgesamt", "Männer", "Frauen"), state, strict=True):
                yield year, "03", (sex, "Anzahl"), number

    return _detailed(["Geschlecht", "Units"], rows())


def _minimum_income(county: County, years: list[int]) -> Iterator[Row]:
    """Recipients rounded to five, and the rate per 1,000 the office calculates from them."""

    def rows() -> Iterator[tuple[int, str, tuple[object, ...], object]]:
        groups = ("Insgesamt", "Deutsche", "Ausländerinnen und Ausländer")
        for year in years:
            numbers: dict[str, dict[str, tuple[int, int]]] = {}
            for code in DISTRICTS:
                people, foreign = county.total(code, year), county.total(code, year, "foreign")
                rate = 0.056 * DISTRICTS[code].unemployed / 0.053 * county.around(0.98, 1.02, "income", code, year)
                german, other = rounded((people - foreign) * rate), rounded(foreign * min(0.45, rate * 5.9))
                numbers[code] = dict(
                    zip(groups, ((german + other, people), (german, people - foreign), (other, foreign)), strict=True)
                )
            for code, figures in {**numbers, "03": _sum_of(numbers)}.items():
                for group, (number, every) in figures.items():
                    yield year, code, (group, "Anzahl"), number
                    yield year, code, (group, "Quote"), round(number / every * 1000)

    return _detailed(["Nationalität", "Units"], rows())


_OLDER = {"im Alter bis unter 18 Jahren": 1.7, "im Alter von 18 bis unter 65 Jahren": 1.0,
          "im Alter von 65 Jahren und älter": 0.4}  # fmt: skip


def _minimum_income_rate(county: County, years: list[int]) -> Iterator[Row]:
    """Rates per 1,000 by age and nationality; the state's is that of its districts taken together, near enough for a demo."""

    def rows() -> Iterator[tuple[int, str, tuple[object, ...], object]]:
        for year in years:
            for text, factor in _OLDER.items():
                for group, times in (("Deutsche", 1.0), ("Ausländerinnen und Ausländer", 5.2)):
                    rates = {
                        code: min(900, round(56 * district.unemployed / 0.053 * factor * times))
                        for code, district in DISTRICTS.items()
                    }
                    rates["03"] = round(sum(rates.values()) / len(rates))
                    for code, rate in rates.items():
                        yield year, code, (text, group), rate

    return _detailed(["Altersgruppe", "Nationalität"], rows())


def _sum_of(numbers: dict[str, dict[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    groups = next(iter(numbers.values()))
    return {g: (sum(n[g][0] for n in numbers.values()), sum(n[g][1] for n in numbers.values())) for g in groups}


def _name(code: str) -> str:
    return DISTRICTS[code].name if code in DISTRICTS else "Niedersachsen"
