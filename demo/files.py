"""Writes the demo files. Same seed, same bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from random import Random
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook

SEED = 3157
YEARS = (2017, 2018, 2019)
"""Long past and handed in before 2021, so that files of the real offices, when somebody tries them, always come later."""
REPEATED = "the same bytes a second time"
DEMO_NOTE = "Demo: erfundene Zahlen, keine amtliche Statistik."

MUNICIPALITIES = {
    "03101000": ("Braunschweig, Stadt", 250_000, 192.7, "61"),
    "03102000": ("Salzgitter, Stadt", 104_000, 224.5, "61"),
    "03157001": ("Edemissen", 12_000, 104.1, "64"),
    "03157002": ("Hohenhameln", 9_000, 69.6, "64"),
    "03157005": ("Lengede", 14_000, 34.3, "64"),
    "03157006": ("Peine, Stadt", 50_000, 119.8, "63"),
    "03157007": ("Vechelde", 18_000, 76.2, "64"),
    "03157008": ("Wendeburg", 10_500, 60.2, "64"),
    "03157009": ("Ilsede", 21_000, 72.2, "64"),
}
"""Key -> name, rounded inhabitants, km2, kind. The two neighbours are towns that form a county of their own."""

COUNTIES = {
    "03101": ("Braunschweig, Kreisfreie Stadt", "41", 0.125, 0.095),
    "03102": ("Salzgitter, Kreisfreie Stadt", "41", 0.205, 0.075),
    "03157": ("Peine, Landkreis", "44", 0.116, 0.053),
}
"""Key -> name, kind, share of foreigners, offences per inhabitant."""

AGE_SHARES = {
    "unter 3 Jahre": (0.026, 0.034), "3 bis unter 6 Jahre": (0.028, 0.036), "6 bis unter 10 Jahre": (0.037, 0.045),
    "10 bis unter 15 Jahre": (0.046, 0.049), "15 bis unter 18 Jahre": (0.028, 0.029),
    "18 bis unter 20 Jahre": (0.019, 0.024), "20 bis unter 25 Jahre": (0.050, 0.084),
    "25 bis unter 30 Jahre": (0.053, 0.104), "30 bis unter 35 Jahre": (0.060, 0.112),
    "35 bis unter 40 Jahre": (0.062, 0.106), "40 bis unter 45 Jahre": (0.062, 0.090),
    "45 bis unter 50 Jahre": (0.058, 0.072), "50 bis unter 55 Jahre": (0.072, 0.058),
    "55 bis unter 60 Jahre": (0.086, 0.047), "60 bis unter 65 Jahre": (0.081, 0.036),
    "65 bis unter 70 Jahre": (0.065, 0.026), "70 bis unter 75 Jahre": (0.053, 0.020),
    "75 bis unter 80 Jahre": (0.042, 0.014), "80 bis unter 85 Jahre": (0.044, 0.008),
    "85 bis unter 90 Jahre": (0.021, 0.004), "90 Jahre und mehr": (0.007, 0.002),
}  # fmt: skip
"""Age group of the table -> share among Germans, among foreigners."""

OFFENCES = {
    "------": ("Straftaten insgesamt", 1.0, 0.60),
    "890000": ("Straftaten insgesamt, jedoch ohne Verstöße gegen das Aufenthalts-, das Asyl- und das "
               "Freizügigkeitsgesetz/EU", 0.99, 0.60),
    "892000": ("Gewaltkriminalität", 0.034, 0.78),
    "435*00": ("Wohnungseinbruchdiebstahl", 0.022, 0.16),
    "326*00": ("Einfacher Ladendiebstahl", 0.041, 0.89),
}  # fmt: skip
"""Key -> text, share of all offences, clearance."""


@dataclass(frozen=True)
class Handout:
    """A file as an office sends it. ``fault`` names what is wrong with it on purpose."""

    dataset_id: str
    name: str
    received_at: datetime
    content: bytes
    fault: str | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class County:
    """The invented reality behind all files, so that they agree with each other."""

    def __init__(self, seed: int = SEED) -> None:
        draw = Random(seed)  # noqa: S311 - reproducible, not secret
        self.population: dict[tuple[str, int], tuple[int, int]] = {}
        for code, (_, size, _, _) in MUNICIPALITIES.items():
            inhabitants = size * draw.uniform(0.985, 1.015)
            for year in (YEARS[0] - 1, *YEARS):
                inhabitants *= draw.uniform(0.999, 1.012)
                male = round(inhabitants * draw.uniform(0.489, 0.499))
                self.population[code, year] = (male, round(inhabitants) - male)
        self.foreign_share = {
            (county, year): share * (1 + 0.035 * (year - YEARS[0])) * draw.uniform(0.99, 1.01)
            for county, (_, _, share, _) in COUNTIES.items()
            for year in (YEARS[0] - 1, *YEARS)
        }
        self.draw = draw

    def total(self, code: str, year: int) -> int:
        """Inhabitants of a municipality or, summed, of a county."""
        return sum(sum(self.population[m, year]) for m in MUNICIPALITIES if m.startswith(code))

    def by_sex(self, code: str, year: int) -> tuple[int, int, int]:
        men = sum(self.population[m, year][0] for m in MUNICIPALITIES if m.startswith(code))
        return (self.total(code, year), men, self.total(code, year) - men)

    def foreigners(self, county: str, year: int) -> int:
        return round(self.total(county, year) * self.foreign_share[county, year])


def handouts(county: County | None = None) -> list[Handout]:
    """All demo deliveries, in the order they arrived."""
    county = county or County()
    latest_unemployed = unemployed_municipal(county, 2019)
    files = [
        *(register_fixed_width(county, year) for year in YEARS[:-1]),
        register_workbook(county, YEARS[-1]),
        territorial_changes(),
        population(county, YEARS[:-1]),
        population(county, YEARS),
        population_nationality(county, YEARS),
        *monitor_vintages(county),
        unemployed_municipal(county, 2018, encoding="cp1252"),
        latest_unemployed,
        offences_csv(county, 2018),
        offences_workbook(county, 2019),
    ]
    return sorted([*files, *faulty(latest_unemployed)], key=lambda f: f.received_at)


# ------------------------------------------------------------------------------------------------------------- register


def register_fixed_width(county: County, year: int) -> Handout:
    """GV100AD: 220 characters a line; record types 10 state, 20 region, 40 county, 50 association, 60 municipality."""
    date = f"{year}1231"
    lines = [
        _gv("10", date, "03", name="Niedersachsen", seat="Hannover"),
        _gv("20", date, "031", name="Statistische Region Braunschweig"),
    ]
    for code, (name, kind, _, _) in COUNTIES.items():
        lines.append(_gv("40", date, code, name=name.split(",")[0], seat=name.split(",")[0], kind=kind))
        for municipality, (title, _, area, text_code) in MUNICIPALITIES.items():
            if not municipality.startswith(code):
                continue
            association = "0000" if kind == "41" else f"0{municipality[5:]}"
            lines.append(_gv("50", date, code, association=association, name=title, kind="50"))
            men, women = county.population[municipality, year]
            figures = f"{round(area * 100):011d}{men + women:011d}{men:011d}    00000*****"
            lines.append(
                _gv("60", date, municipality, association=association, name=title, kind=text_code, figures=figures)
            )
    content = "".join(line + "\r\n" for line in lines).encode("utf-8")
    return Handout("register__municipalities", f"GV100AD_3112{year}.txt", _at(year + 1, 9, 20), content)


def _gv(
    record: str,
    date: str,
    code: str,
    *,
    association: str = "",
    name: str,
    seat: str = "",
    kind: str = "",
    figures: str = "",
) -> str:
    key = f"{code:<8}" if len(code) < 8 else code
    return f"{record}{date}{key}{association:<4}{name:<50}{seat:<50}{kind:<6}{figures:<72}{'':<20}"


def register_workbook(county: County, year: int) -> Handout:
    """The yearly extract as a workbook: header over several rows, key split over five columns."""
    book = Workbook()
    cover = book.active
    cover.title = "Inhalt"
    cover["A1"], cover["A2"] = "Gemeindeverzeichnis", DEMO_NOTE
    sheet = book.create_sheet("Onlineprodukt_Gemeinden")
    title = f"Gemeinden in Deutschland nach Fläche, Bevölkerung und Postleitzahl am 31.12.{year} (Jahr)"
    rows: list[Sequence[object]] = [
        [title],
        [],
        ["Satz-art", "Text-kenn-zeichen", "Amtlicher Regionalschlüssel (ARS)", *[""] * 4, "Gemeindename", "Fläche km2 1)",
         "Bevölkerung2)", "", "", "", "Postleit-zahl3)"],
        ["", "", "Land", "RB", "Kreis", "VB", "Gem", "", "", "insgesamt", "männlich", "weiblich", "je km2"],
        ["", "", f"Gebietsstand am 31.12.{year} (Jahr)", *[""] * 5, f"31.12.{year} (Jahr)", f"am 31.12.{year} (Jahr)"],
        [],
        ["10", "", "03", "", "", "", "", "Niedersachsen"],
        ["20", "", "03", "1", "", "", "", "Statistische Region Braunschweig"],
    ]  # fmt: skip
    for code, (name, kind, _, _) in COUNTIES.items():
        rows.append(["40", kind, "03", "1", code[3:], "", "", name.split(",")[0]])
        for municipality, (title, _, area, text_code) in MUNICIPALITIES.items():
            if municipality.startswith(code):
                association = "0000" if kind == "41" else f"0{municipality[5:]}"
                men, women = county.population[municipality, year]
                key = ["03", "1", code[3:], association]
                rows.append(["50", "50", *key, "", title])
                figures = [area, men + women, men, women, round((men + women) / area)]
                rows.append(["60", text_code, *key, municipality[5:], title, *figures, "00000"])
    rows += [[], [DEMO_NOTE]]
    for row in rows:
        sheet.append(list(row))
    return Handout("register__municipalities", f"3112{year}_Auszug_GV.xlsx", _at(year + 1, 9, 20), _bytes(book))


def territorial_changes() -> Handout:
    """The list of 2015 with the one merger the county had."""
    book = Workbook()
    cover = book.active
    cover.title = "Deckblatt"
    cover["A1"], cover["A2"] = "Gebietsänderungen vom 01.01. bis 31.12.2015", DEMO_NOTE
    sheet = book.create_sheet("Gebietsaenderungen 2015")
    period = "Gebietsänderungen vom 01.01. - 31.12.2015"
    rows: list[Sequence[object]] = [
        [period, *[""] * 7, period],
        [],
        ["Kennziffer", "Regionaleinheit", "Abgebende/Aufgelöste Gemeinde", *[""] * 5, "Aufnehmende/Neugebildete Gemeinde",
         "", "", "Wirksamkeitsdatum"],
        [],
        ["", "", "Regionalschlüssel (RS)", "Amtlicher Gemeindeschlüssel (AGS)", "Name", "Änderungs-art 1)", "Fläche qm",
         "Einwohner", "Regionalschlüssel (RS)", "Amtlicher Gemeindeschlüssel (AGS)", "Name", "juristisch", "statistisch"],
        [],
        [],
    ]  # fmt: skip
    new = ["031570009009", "03157009", "Ilsede", "01.01.2015", "01.01.2015"]
    for code, name, area, inhabitants in (
        ("003", "Ilsede", "28450000", "11400"),
        ("004", "Lahstedt", "43620000", "10000"),
    ):
        rows.append(
            ["03/2015/0008-R", "Gemeinde", f"031570{code}{code}", f"03157{code}", name, "1", area, inhabitants, *new]
        )
    notes = [[], ["1) Änderungsart:"], ["    1 = Auflösung"], ["    2 = Teilausgliederung"], [DEMO_NOTE]]
    for row in [*rows, *notes]:
        sheet.append(list(row))
    return Handout("register__territorial_changes", "2015.xlsx", _at(2016, 1, 20), _bytes(book))


# ------------------------------------------------------------------------------------------------------------ GENESIS


def population(county: County, years: Sequence[int]) -> Handout:
    """Table 12411-01-01-5: a column for each reference date and sex, newest first."""
    dates = [year for year in reversed(years) for _ in range(3)]
    header = [
        _line("", "", *(f"31.12.{year}" for year in dates)),
        _line("", "", *(["Insgesamt", "männlich", "weiblich"] * len(years))),
    ]
    rows = []
    for code, name in _territories():
        cells: list[int | str] = [n for year in reversed(years) for n in county.by_sex(code, year)]
        rows.append(_line(code, name, *cells))
    for code, name in (("03157003", "Ilsede"), ("03157004", "Lahstedt")):
        rows.append(_line(code, f"        {name}", *["-"] * len(dates)))
    title = ["Bevölkerungsstand: Bevölkerung nach Geschlecht", "- Stichtag 31.12. -", "regionale Tiefe: Gemeinden",
             "Fortschreibung des Bevölkerungsstandes", "Bevölkerungsstand (Anzahl)"]  # fmt: skip
    return _genesis("state_statistics__population", "12411-01-01-5", title, header, rows, _at(years[-1] + 1, 10, 20))


def population_nationality(county: County, years: Sequence[int]) -> Handout:
    """Table 12411-03-03-4: counties by age, nationality and sex."""
    header = [
        _line("", "", "", "", *["Insgesamt"] * 3, *["Deutsche"] * 3, *["Ausländer(innen)"] * 3),
        _line("", "", "", "", *(["Insgesamt", "männlich", "weiblich"] * 3)),
    ]
    rows = []
    for year in reversed(years):
        for code, (name, *_) in COUNTIES.items():
            foreign = county.foreigners(code, year)
            groups = _split_ages(county.total(code, year) - foreign, foreign)
            for age, (german, other) in groups.items():
                cells = [*_sexes(german + other), *_sexes(german), *_sexes(other)]
                cells[0:3] = [cells[3] + cells[6], cells[4] + cells[7], cells[5] + cells[8]]
                rows.append(_line(f"31.12.{year}", code, f"      {name}", age, *cells))
    title = ["Bevölkerungsstand: Bevölkerung nach Geschlecht, Nationalität", "und Altersgruppen (21) - Stichtag 31.12. -",
             "regionale Tiefe: Kreise und krfr. Städte", "Fortschreibung des Bevölkerungsstandes",
             "Bevölkerungsstand (Anzahl)"]  # fmt: skip
    received = _at(years[-1] + 1, 10, 21)
    return _genesis("state_statistics__population_nationality", "12411-03-03-4", title, header, rows, received)


def unemployed_municipal(county: County, year: int, encoding: str = "utf-8") -> Handout:
    """Table 13211-01-03-5: annual means; one small cell is secret; an old export in the code page of its time."""
    header = [
        f"Jahr: {year};;;;;;;;",
        _line("", "", "Arbeitslose insgesamt", *["Arbeitslose"] * 6),
        _line("", "", "", *["und zwar"] * 6),
        _line("", "", "", "Ausländer", "schwerbehindert", "15 bis unter 20 Jahre", "15 bis unter 25 Jahre",
              "55 bis unter 65 Jahre", "langzeitarbeitslos"),
        _line("", "", *["Anzahl"] * 7),
    ]  # fmt: skip
    by_code: dict[str, list[int]] = {}
    for code in MUNICIPALITIES:
        total = round(county.total(code, year - 1) * county.draw.uniform(0.026, 0.042))
        shares = (0.37, 0.06, 0.022, 0.10, 0.23, 0.34)
        by_code[code] = [total, *(max(3, round(total * share)) for share in shares)]
    rows = []
    for code, name in _territories():
        cells: list[int | str] = [
            sum(column) for column in zip(*(v for c, v in by_code.items() if c.startswith(code)), strict=True)
        ]
        if code == "03157002":
            cells[3] = "."
        rows.append(_line(code, name, *cells))
    title = ["Arbeitslose nach ausgewählten Personengruppen", "- Jahresdurchschnitt -", "regionale Tiefe: Gemeinden",
             "Arbeitsmarktstatistik der Bundesagentur für Arbeit"]  # fmt: skip
    received = _at(year + 1, 4, 10)
    return _genesis("employment_agency__unemployed_municipal", "13211-01-03-5", title, header, rows, received, encoding)


def _genesis(
    dataset_id: str,
    table: str,
    title: Sequence[str],
    header: Sequence[str],
    rows: Iterable[str],
    received_at: datetime,
    encoding: str = "utf-8",
) -> Handout:
    lines = [f"GENESIS-Tabelle: {table}", *(f"{line};;" for line in title), *header, *rows, "__________",
             f'"{DEMO_NOTE}', 'Zeichen: - nichts vorhanden; . unbekannt oder geheim"',
             f"Stand: {received_at:%d.%m.%Y / %H:%M:%S}"]  # fmt: skip
    content = "".join(f"{line}\r\n" for line in lines).encode(encoding)
    return Handout(dataset_id, f"{table}_{received_at.year}.csv", received_at, content)


# ------------------------------------------------------------------------------------------------------- state monitor


def monitor_vintages(county: County) -> Iterable[Handout]:
    """Indicators 1-2-1 and 2-3-1 twice: the second vintage adds a year and revises the one before."""
    years = (YEARS[0] - 1, *YEARS)
    foreigners = {(c, y): county.foreigners(c, y) * 1.04 for c in COUNTIES for y in years}
    naturalised = {(c, y): foreigners[c, y] * county.draw.uniform(0.013, 0.021) for c in COUNTIES for y in years}
    for last in YEARS[1:]:
        received = _at(last + 1, 12, 12)
        for dataset, number, figures, step in (
            ("foreigners", "1-2-1", foreigners, 5),
            ("naturalisations", "2-3-1", naturalised, 1),
        ):
            lines = ["Year,Gebietseinheit,GeoCode,Value"]
            for year in (y for y in years if y <= last):
                for code, (name, *_) in COUNTIES.items():
                    provisional = 0.985 if year == last == YEARS[1] else 1.0
                    figure = step * round(figures[code, year] * provisional / step)
                    lines.append(
                        f'{year},"{name.replace(", Landkreis", "").replace("Kreisfreie ", "")}",K{code},{figure}'
                    )
            content = "".join(f"{line}\r\n" for line in lines).encode("utf-8-sig")
            yield Handout(f"state_monitor__{dataset}", f"indicator_{number}.csv", received, content)


# -------------------------------------------------------------------------------------------------------------- police

_PKS_HEADER = [
    "Schluessel", "Straftat", "Gemeindeschluessel", "Stadt-/Landkreis", "Kreisart", "Anzahl erfasste Faelle",
    "Haeufigkeitszahl", "erfasste Faelle, davon Versuche - Anzahl", "erfasste Faelle, davon Versuche - Anteil in %",
    "mit Schusswaffe gedroht", "mit Schusswaffe geschossen", "Auffklaerung - Anzahl Faelle", "Aufklaerungsquote",
    "Tatverdaechtige insgesamt", "Tatverdaechtige - maennlich", "Tatverdaechtige - weiblich",
    "Nichtdeutsche Tatverdaechtige - Anzahl", "Nichtdeutsche Tatverdaechtige - Anteil in % an der Gesamtzahl",
]  # fmt: skip


def _offences(county: County, year: int) -> Iterable[list[str | int | float]]:
    for key, (text, share, clearance) in OFFENCES.items():
        for code, (name, kind, foreign, rate) in COUNTIES.items():
            inhabitants = county.total(code, year - 1)
            cases = round(inhabitants * rate * share * county.draw.uniform(0.96, 1.04))
            attempts, cleared = round(cases * 0.06), round(cases * clearance * county.draw.uniform(0.95, 1.05))
            suspects = round(cleared * 0.76)
            men, others = round(suspects * 0.76), round(suspects * foreign * 2.3)
            yield [
                key, text, code, name.split(",")[0], "KfS" if kind == "41" else "LK", cases, cases / inhabitants * 100_000,
                attempts, attempts / cases * 100, cases // 900, cases // 1200, cleared, cleared / cases * 100,
                suspects, men, suspects - men, others, others / suspects * 100,
            ]  # fmt: skip


def offences_csv(county: County, year: int) -> Handout:
    """PKS table T01 as CSV: thousands with a comma, keys without their leading zero."""
    lines = [";".join(str(n) for n in range(1, 19)), ";".join(_PKS_HEADER)]
    for row in _offences(county, year):
        cells = [
            f"{round(cell, 1):g}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else cell
            for cell in row
        ]
        cells[2], cells[6] = str(row[2]).lstrip("0"), f"{round(float(row[6])):,}"
        lines.append(";".join(cells))
    content = "".join(f"{line}\r\n" for line in lines).encode("cp1252")
    return Handout("police__offences_district", f"PKS-{year}-T01-Kreise_csv.csv", _at(year + 1, 5, 28), content)


def offences_workbook(county: County, year: int) -> Handout:
    """PKS table T01 as a workbook: nine header rows, unrounded rates."""
    book = Workbook()
    sheet = book.active
    sheet.title = "T01_Kreise"
    blank = [""] * 18
    head = [list(blank) for _ in range(9)]
    head[0][0], head[1][0], head[0][12] = "Polizeiliche Kriminalstatistik", DEMO_NOTE, "Tabelle 01"
    head[3][12] = f"Berichtszeitraum: 01.01.{year} bis 31.12.{year}"
    head[4] = ["Schlüssel", "Straftat", "Gemeinde-schlüssel", "Stadt-/Landkreis", "Kreisart", "Anzahl erfasste Fälle", "HZ",
               "erfasste Fälle davon: Versuche", "", "mit Schusswaffe", "", "Aufklärung", "", "Tatverdächtige", "", "",
               "Nichtdeutsche Tatverdächtige", ""]  # fmt: skip
    head[6][9:18] = ["gedroht", "geschossen", "Anzahl Fälle", "AQ", "insgesamt", "männlich", "weiblich", "Anzahl",
                     "Anteil an TV insg. in %"]  # fmt: skip
    head[7][7:9] = ["Anzahl", "in %"]
    head[8] = [str(n) for n in range(1, 19)]
    for row in [*head, *_offences(county, year)]:
        sheet.append([None if cell == "" else cell for cell in row])
    return Handout("police__offences_district", f"PKS-{year}-T01-Kreise_xls.xlsx", _at(year + 1, 5, 28), _bytes(book))


# --------------------------------------------------------------------------------------------------------------- faults


def faulty(good: Handout) -> Iterable[Handout]:
    """Copies of a good file, wrong on purpose, one per kind, named so."""
    text = good.content.decode()
    received = _at(YEARS[-1] + 1, 4, 22)

    def spoilt(name: str, content: str, fault: str) -> Handout:
        return Handout(good.dataset_id, name, received, content.encode(), fault)

    yield spoilt(
        "fehler_unbekannter_schluessel.csv", text.replace("03157007", "03157077"), "a key that is not in the register"
    )
    yield spoilt("fehler_text_in_zahl.csv", text.replace("03157001;        Edemissen;", "03157001;        Edemissen;ca. ", 1),
                 "text in a number column")  # fmt: skip
    yield spoilt("fehler_abgeschnitten.csv", text[: len(text) // 2], "a file that was cut off")
    page = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
    yield spoilt("fehler_webseite.csv", page, "an error page saved as CSV")
    yield Handout(
        good.dataset_id, "doppelt_" + good.name, _at(YEARS[-1] + 1, 4, 23), good.content, "the same bytes a second time"
    )


def write(folder: Path) -> list[tuple[Handout, Path]]:
    """Write every demo file below ``folder``, one folder per delivery (offices reuse names)."""
    written = []
    for number, handout in enumerate(handouts(), start=1):
        place = folder / f"{number:02d}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / handout.name
        path.write_bytes(handout.content)
        written.append((handout, path))
    return written


def _territories() -> Iterable[tuple[str, str]]:
    """Counties, each followed by its municipalities, indented as GENESIS does; towns stand once, as their county."""
    for county, (name, kind, _, _) in COUNTIES.items():
        yield county, f"      {name}"
        if kind != "41":
            for code, (title, *_) in MUNICIPALITIES.items():
                if code.startswith(county):
                    yield code, f"        {title}"


def _split_ages(germans: int, foreigners: int) -> dict[str, tuple[int, int]]:
    """Age groups whose parts add up to the totals; the last row is the total."""
    groups = {age: (round(germans * a), round(foreigners * b)) for age, (a, b) in AGE_SHARES.items()}
    rest = (germans - sum(g for g, _ in groups.values()), foreigners - sum(f for _, f in groups.values()))
    middle = "40 bis unter 45 Jahre"
    groups[middle] = (groups[middle][0] + rest[0], groups[middle][1] + rest[1])
    return {**groups, "Insgesamt": (germans, foreigners)}


def _sexes(total: int) -> tuple[int, int, int]:
    men = total // 2
    return (total, men, total - men)


def _line(*cells: object) -> str:
    return ";".join(f'"{cell}"' if isinstance(cell, str) and ";" in cell else str(cell) for cell in cells)


def _at(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 9, 30, tzinfo=UTC)


def _bytes(book: Workbook) -> bytes:
    """The workbook with fixed times inside, so that the same seed gives the same bytes."""
    book.properties.created = book.properties.modified = _at(2024, 1, 1).replace(tzinfo=None)
    raw, fixed = BytesIO(), BytesIO()
    book.save(raw)
    with ZipFile(raw) as source, ZipFile(fixed, "w", ZIP_DEFLATED) as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2024-01-01T09:30:00Z", content)
            target.writestr(ZipInfo(entry.filename, (2024, 1, 1, 9, 30, 0)), content)
    return fixed.getvalue()
