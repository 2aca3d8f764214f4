"""The county's own offices and partners: allocation, schools, health, courses, recognition, clubs, social work, elections,
and the state office's county-level CSVs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from demo.calendar import received
from demo.county import AGES, COUNTY, DISTRICTS, MUNICIPALITIES, STOCK_YEARS, YEARS, County, protected, split
from demo.genesis import moves, rounded, territories
from demo.handout import DEMO_NOTE, Cell, Handout, book, note_sheet, saved, semicolons
from demo.labour import QUARTERS, names, two_headers, with_county

COHORTS, MIGRATION = "state_statistics__population", "state_statistics__migration"
PROTECTION = "state_statistics__protection_seekers"
ALLOCATION, SCHOOLS, HEALTH = "housing__allocation", "schools__german_support", "health__school_entry"
COURSES, RECOGNITION, CLUBS = "courses__integration_courses", "recognition__qualifications", "civic__sports_clubs"
SOCIAL_WORK, ELECTIONS = "civic__social_work", "elections__local"
_ELECTION = 2021
HALF_YEARS = tuple(f"{year}-H{half}" for year in YEARS for half in (1, 2))

Row = Sequence[Cell]


def handouts(county: County) -> Iterator[Handout]:
    for year in STOCK_YEARS:
        yield cohorts(county, year)
        yield migration(county, year)
        yield protection_seekers(county, year)
        yield recognition(county, year)
        yield german_support(county, year)
        yield school_entry(county, year)
    for year in (*YEARS, YEARS[-1] + 1):
        yield sports_clubs(county, year)
    for number in range(len(_ALLOCATION)):
        yield allocation(county, number)
    for half in HALF_YEARS:
        yield courses(county, half)
    for quarter in QUARTERS:
        yield social_work(county, quarter)
    yield election(county, _ELECTION)
    yield cohorts(county, _ELECTION - 1)  # who was 16 or older at the last turn of the year before


# -------------------------------------------------------------------------------------------------------- state office

_COHORTS = {
    "Insgesamt": tuple(AGES), "unter 3": ("u3",), "3-5": ("3_5",), "6-9": ("6_9",), "10-14": ("10_14",), "15": ("15_15",),
    "16-17": ("16_17",), "18-19": ("18_19",), **{f"{n}-{n + 4}": (f"{n}_{n + 4}",) for n in range(20, 65, 5)},
    "65-74": ("65_69", "70_74"), "75 und älter": ("75_79", "80_84", "85_89", "90plus"),
}  # fmt: skip


def cohorts(county: County, year: int) -> Handout:
    """LSN-Online table 100: age by sex and nationality for districts and municipalities."""
    rows: list[Row] = [["Gemeindeschlüssel", "Gemeinde", "Stichtag", "Alter", "insgesamt", "männlich", "weiblich",
                        "Ausländer insgesamt", "Ausländer männlich", "Ausländer weiblich"]]  # fmt: skip
    for code, name in territories(year, with_state=False):
        for text, ages in _COHORTS.items():
            cells = [
                county.people(code, year, sex, nationality, ages)
                for nationality in ("total", "foreign")
                for sex in ("male", "female")
            ]
            rows.append(
                [
                    code,
                    name.strip(),
                    f"31.12.{year}",
                    text,
                    cells[0] + cells[1],
                    *cells[:2],
                    cells[2] + cells[3],
                    *cells[2:],
                ]
            )
    at = received(COHORTS, f"{year}-12-31", 2)
    return Handout(COHORTS, f"LSN_100_Kohorten_{year}.csv", at, semicolons(rows), "state-statistics")


def migration(county: County, year: int) -> Handout:
    rows: list[Row] = [
        ["Gemeindeschlüssel", "Gemeinde", "Jahr", "Zuzüge", "Zuzüge Ausländer", "Fortzüge", "Fortzüge Ausländer"]
    ]
    for code, name in territories(year, with_state=False):
        arrived, left = moves(county, code, year)
        rows.append([code, name.strip(), year, *arrived, *left])
    return Handout(
        MIGRATION, f"Wanderungen_{year}.csv", received(MIGRATION, str(year), 2), semicolons(rows), "state-statistics"
    )


def protection_seekers(county: County, year: int) -> Handout:
    """Every number rounded to five by itself, so parts need not add up."""
    rows: list[Row] = [["Kreisschlüssel", "Kreis", "Stichtag", "Schutzstatus", "insgesamt", "männlich", "weiblich"]]
    for code, district in DISTRICTS.items():
        total = round(county.total(code, year, "foreign") * county.around(0.25, 0.31, "protection", code))
        men = {"anerkannt": 0.52, "offen": 0.61, "abgelehnt": 0.66}
        parts = {s: (n, round(n * men[s])) for s, n in zip(men, split(total, (0.83, 0.11, 0.06)), strict=True)}
        parts["insgesamt"] = (total, sum(m for _, m in parts.values()))
        for status, (number, male) in parts.items():
            rows.append(
                [code, district.name, f"31.12.{year}", status, *(rounded(n) for n in (number, male, number - male))]
            )
    at = received(PROTECTION, f"{year}-12-31")
    return Handout(PROTECTION, f"Schutzsuchende_{year}.csv", at, semicolons(rows), "state-statistics")


# --------------------------------------------------------------------------------------------------------------- housing

_ALLOCATION = (
    ("WH2022", "WHJ 2022/23", 520, 468), ("SH2023", "SHJ 2023", 380, 410), ("WH2023", "WHJ 2023/24", 430, 420),
    ("SH2024", "SHJ 2024", 330, 275), ("WH2024", "WHJ 2024/25", 210, 262), ("SH2025", "SHJ 2025", 180, 214),
    ("WH2025", "WHJ 2025/26", 150, 168),
)  # fmt: skip
"""Period, its name, quota and admitted persons of the county; before the first 40 persons were left over."""


@cache
def _allocated(county: County) -> list[dict[str, list[int]]]:
    """Quota, carry-over, target, admitted of the municipalities, half-year by half-year: what is left is carried over."""
    people = [county.total(code, STOCK_YEARS[0]) for code in MUNICIPALITIES]
    left = split(40, people)
    periods = []
    for period, _, quota, admitted in _ALLOCATION:
        quotas = split(quota, people)
        targets = [q + rest for q, rest in zip(quotas, left, strict=True)]
        weights = [
            max(0, t) * county.around(0.85, 1.15, "admitted", period, code)
            for t, code in zip(targets, MUNICIPALITIES, strict=True)
        ]
        arrived = split(admitted, weights)
        columns = zip(quotas, left, targets, arrived, strict=True)
        periods.append({code: list(cells) for code, cells in zip(MUNICIPALITIES, columns, strict=True)})
        left = [t - a for t, a in zip(targets, arrived, strict=True)]
    return periods


def allocation(county: County, number: int) -> Handout:
    """Target = quota + what was left over; the winter of 2023/24: 430 + 62 = 492, admitted 420, left 72."""
    period, name, *_ = _ALLOCATION[number]
    table = with_county(_allocated(county)[number], 0)
    rows: list[Row] = [["Schluessel", "Gemeinde", "Verteilzeitraum", "Quote", "Restsoll", "Soll", "Aufnahme"]]
    rows += [[code, title, name, *table[code]] for code, title in names().items()]
    return Handout(
        ALLOCATION, f"Verteilung_{period}.csv", received(ALLOCATION, period), semicolons(rows), "fachdienst-soziales"
    )


# --------------------------------------------------------------------------------------------------- education, language

_SCHOOL_TYPES = {
    "Grundschule": (dict.fromkeys(MUNICIPALITIES, 0.037), 1.05, 0.21),
    "Oberschule": ({"03157001": 0.020, "03157002": 0.028, "03157006": 0.015, "03157007": 0.019, "03157009": 0.02}, 1.5, 0.19),
    "IGS": ({"03157001": 0.03, "03157005": 0.055, "03157006": 0.021}, 0.85, 0.1),
    "Gymnasium": ({"03157006": 0.044, "03157007": 0.041, "03157009": 0.046}, 0.5, 0.05),
    "Förderschule": ({"03157006": 0.0045, "03157009": 0.006}, 1.1, 0.1),
    "Berufseinstiegsschule": ({"03157006": 0.0062}, 3.2, 0.45),
}  # fmt: skip
"""Sheet -> pupils per inhabitant of the municipalities that have such a school, foreigners (x their share), with support."""


def german_support(county: County, year: int) -> Handout:
    """A sheet for each type of school, the school year above the table; numbers below five are secret."""
    made = book("Grundschule")
    title = f"Schuljahr {year}/{(year + 1) % 100:02d}"
    for kind, (schools, foreign, support) in _SCHOOL_TYPES.items():
        sheet = made[kind] if kind in made.sheetnames else made.create_sheet(kind)
        sheet.append(["Deutschförderung an den Schulen des Landkreises (Demo: erfundene Zahlen)", None, title])
        groups: dict[str, Sequence[str]] = {
            "Schülerinnen und Schüler": ("insgesamt", "ausländisch"),
            "Deutschförderung": ("insgesamt", "Sprachlernklasse"),
        }
        if kind == "Berufseinstiegsschule":
            groups |= {
                "Abgänge": ("insgesamt", "ausländisch"),
                "Abgänge mit Schulabschluss": ("insgesamt", "ausländisch"),
            }
        elif kind != "Grundschule":
            groups["Jahrgang 8"] = ("insgesamt", "ausländisch")
        two_headers(sheet, 2, ("Gemeindeschlüssel", "Schulstandort"), groups)
        for code, share in schools.items():
            cells = _school(county, code, year, kind, share, foreign, support)
            sheet.append([code, MUNICIPALITIES[code].name, *("*" if 0 < n < 5 else n for n in cells)])
    note_sheet(made)
    name = f"Deutschfoerderung_{year}-{(year + 1) % 100:02d}.xlsx"
    # The survey is of the autumn; the contract counts from the end of the school year.
    return Handout(SCHOOLS, name, received(SCHOOLS, f"SY{year}"), saved(made), "schulamt")


def _school(county: County, code: str, year: int, kind: str, share: float, foreign: float, support: float) -> list[int]:
    pupils = round(
        county.total(code, min(year, STOCK_YEARS[-1])) * share * county.around(0.98, 1.02, "school", kind, code, year)
    )
    foreigners = round(pupils * MUNICIPALITIES[code].foreign * foreign)
    supported = min(round(pupils * support * MUNICIPALITIES[code].foreign / 0.12), round(foreigners * 1.2) + 3)
    cells = [pupils, foreigners, supported, round(supported * 0.3)]
    if kind == "Berufseinstiegsschule":
        leavers = round(pupils * 0.8)
        away = round(foreigners * 0.8)
        cells += [leavers, away, round((leavers - away) * 0.66) + round(away * 0.55), round(away * 0.55)]
    elif kind != "Grundschule":
        years = {"Gymnasium": 8.5, "IGS": 7.5}.get(kind, 6.0)
        cells += [round(pupils / years), round(foreigners / years)]
    return cells


def school_entry(county: County, year: int) -> Handout:
    """Children by first language and sex; inner cells of small municipalities are secret together."""
    rows: list[Row] = [
        ["AGS", "Gemeinde", "Einschulungsjahr", "Erstsprache", "Geschlecht", "untersucht", "Sprachfoerderbedarf"]
    ]
    entry = f"{year}/{(year + 1) % 100:02d}"
    cells: dict[str, dict[tuple[str, str], tuple[int, int]]] = {}
    for code, place in MUNICIPALITIES.items():
        children = round(
            county.total(code, min(year, STOCK_YEARS[-1])) * 0.0098 * county.around(0.94, 1.06, "entry", code, year)
        )
        other = round(children * (0.07 + place.foreign * 1.35))
        parts: dict[tuple[str, str], tuple[int, int]] = {}
        for language, number, need in (("Deutsch", children - other, 0.095), ("andere", other, 0.47)):
            boys = round(number * 0.51)
            for sex, there, factor in (("männlich", boys, 1.12), ("weiblich", number - boys, 0.88)):
                parts[language, sex] = (
                    there,
                    round(there * need * factor * county.around(0.9, 1.1, "need", code, year, language, sex)),
                )
        cells[code] = parts
    keys = next(iter(cells.values())).keys()
    cells = {
        COUNTY: {key: (sum(c[key][0] for c in cells.values()), sum(c[key][1] for c in cells.values())) for key in keys},
        **cells,
    }
    for code, name in names().items():
        for language in ("insgesamt", "Deutsch", "andere"):
            for sex in ("insgesamt", "männlich", "weiblich"):
                inner = [
                    v for (la, s), v in cells[code].items() if language in ("insgesamt", la) and sex in ("insgesamt", s)
                ]
                figures = [sum(v[n] for v in inner) for n in (0, 1)]
                shown = [_secret(n, column, cells[code], language, sex) for column, n in enumerate(figures)]
                rows.append([code, name, entry, language, sex, *shown])
    return Handout(
        HEALTH,
        f"Einschulung_{year}-{(year + 1) % 100:02d}.csv",
        received(HEALTH, f"SY{year}"),
        semicolons(rows),
        "gesundheitsamt",
    )


def _secret(number: int, column: int, cells: dict[tuple[str, str], tuple[int, int]], language: str, sex: str) -> Cell:
    """One small inner cell hides all four, a small margin its pair; the total stays."""
    small = {name: 0 < value[column] < 5 for name, value in cells.items()}
    if "insgesamt" not in (language, sex):
        return "*" if any(small.values()) else number
    if language == sex:
        return number
    pair = [
        sum(v[column] for (la, s), v in cells.items() if (part in (la, s)))
        for part in (("männlich", "weiblich") if language == "insgesamt" else ("Deutsch", "andere"))
    ]
    return "*" if any(0 < n < 5 for n in pair) else number


_COURSES = {"allgemein": 0.6, "Alphabetisierung": 0.24, "Eltern und Frauen": 0.16}


def courses(county: County, half: str) -> Handout:
    """New participants, exams, starters and their days of waiting, by kind of course."""
    year, number = int(half[:4]), int(half[-1])
    made = book("Kurse")
    sheet = made["Kurse"]
    sheet.append(["Abfrage bei den Kursträgern (Demo: erfundene Zahlen)"])
    sheet.append(["AGS", "Gebiet", "Halbjahr", "Kursart", "Neue Teilnehmende", "Prüfungsteilnahmen", "B1 erreicht", "Kursstarter",
                  "Wartetage (Summe)"])  # fmt: skip
    figures: dict[str, dict[str, list[int]]] = {kind: {} for kind in _COURSES}
    for code in MUNICIPALITIES:
        new = round(county.total(code, 2023, "foreign") * 0.0185 * county.around(0.85, 1.15, "courses", code, half))
        for kind, there in zip(_COURSES, split(new, _COURSES.values()), strict=True):
            exams = round(there * 0.72)
            passed = round(exams * {"allgemein": 0.58, "Alphabetisierung": 0.28}.get(kind, 0.5))
            starters = round(there * 0.93)
            figures[kind][code] = [
                there,
                exams,
                passed,
                starters,
                round(starters * county.around(52, 96, "waiting", code, half, kind)),
            ]
    totals = {
        code: [sum(column) for column in zip(*(figures[kind][code] for kind in _COURSES), strict=True)]
        for code in MUNICIPALITIES
    }
    tables = {"insgesamt": with_county(totals, 3), **{kind: with_county(figures[kind], 3) for kind in _COURSES}}
    for code, name in names().items():
        for kind in ("insgesamt", *_COURSES):
            cells = tables[kind][code]
            if cells[3] == "*":
                cells[4] = "*"
            sheet.append([code, name, f"{number}. Halbjahr {year}", kind, *cells])
    note_sheet(made)
    return Handout(COURSES, f"Integrationskurse_{half}.xlsx", received(COURSES, half), saved(made), "kvhs")


_OCCUPATIONS = {"Gesundheit und Pflege": 0.44, "Technik und Handwerk": 0.24, "Kaufmännische und Dienstleistungsberufe": 0.13,
                "Bildung und Soziales": 0.14, "Sonstige": 0.05}  # fmt: skip


def recognition(county: County, year: int) -> Handout:
    """Every number rounded to three by itself."""
    rows: list[Row] = [
        ["Kreis", "Name", "Jahr", "Berufsgruppe", "Anträge", "Entscheidungen", "voll", "teilweise", "abgelehnt"]
    ]
    total = round(96 * (1 + 0.07 * (year - YEARS[0])) * county.around(0.95, 1.05, "recognition", year))
    every = [0] * 5
    for group, applications in zip(_OCCUPATIONS, split(total, _OCCUPATIONS.values()), strict=True):
        decided = round(applications * 0.84)
        cells = [applications, decided, *split(decided, (0.52, 0.39, 0.09))]
        every = [a + b for a, b in zip(every, cells, strict=True)]
        rows.append([COUNTY, "Peine", year, group, *(rounded(n, 3) for n in cells)])
    rows.insert(1, [COUNTY, "Peine", year, "insgesamt", *(rounded(n, 3) for n in every)])
    return Handout(
        RECOGNITION,
        f"Anerkennung_{year}.csv",
        received(RECOGNITION, str(year)),
        semicolons(rows),
        "anerkennungsberatung",
    )


# ----------------------------------------------------------------------------------------------------------- civil society

_MEMBER_AGES = {
    "bis 6": 0.07,
    "7-14": 0.19,
    "15-18": 0.08,
    "19-26": 0.08,
    "27-40": 0.15,
    "41-60": 0.25,
    "über 60": 0.18,
}


def sports_clubs(county: County, year: int) -> Handout:
    """A row for each club by seat; small cells are secret, the club's total is not."""
    made = book("Bestand")
    sheet = made["Bestand"]
    sheet.append([f"Bestandserhebung zum 01.01.{year} (Demo: erfundene Zahlen und Vereine)"])
    two_headers(sheet, 2, ("Vereinsnummer", "Verein", "AGS (Sitz)", "Sitz"),
                {"männlich": tuple(_MEMBER_AGES), "weiblich": tuple(_MEMBER_AGES), "Gesamt": ("",)})  # fmt: skip
    sheet.merge_cells(start_row=2, end_row=3, start_column=19, end_column=19)
    number = 0
    for code, place in MUNICIPALITIES.items():
        count = max(4, round(place.inhabitants / 2400))
        members = round(place.inhabitants * county.around(0.29, 0.36, "clubs", code) * (1 + 0.006 * (year - YEARS[0])))
        for size in split(members, [county.draw("club", code, n).paretovariate(1.3) for n in range(count)]):
            number += 1
            cells = split(max(size, 20), [
                share * weight * county.around(0.7, 1.3, "members", number, sex, age)
                for sex, weight in (("m", 0.58), ("w", 0.42)) for age, share in _MEMBER_AGES.items()
            ])  # fmt: skip
            sheet.append(
                [
                    f"{number:04d}",
                    f"Demo-Sportverein {number} {place.plain}",
                    code,
                    place.name,
                    *protected(cells, 3),
                    sum(cells),
                ]
            )
    note_sheet(made)
    return Handout(
        CLUBS, f"Bestandserhebung_{year}.xlsx", received(CLUBS, f"{year}-01-01"), saved(made), "kreissportbund"
    )


def social_work(county: County, quarter: str) -> Handout:
    """Filled posts with a decimal comma, counselling cases, interpreters' assignments, by carrier."""
    rows: list[Row] = [["AGS", "Gemeinde", "Traeger", "Quartal", "VZAe_besetzt", "Beratungsfaelle", "Sprachmittlungen"]]
    carriers = {"Landkreis": 0.55, "Wohlfahrtsverband": 0.45}
    month = f"{quarter[:4]}-{int(quarter[-1]) * 3:02d}"
    figures: dict[str, dict[str, list[int]]] = {carrier: {} for carrier in carriers}
    for code in MUNICIPALITIES:
        housed = county.monthly("housed", code, month)
        quarters = round(housed / 78 * 4 * county.around(0.95, 1.05, "fte", code, quarter[:4]))
        cases = round(housed * 0.72 * county.around(0.9, 1.1, "cases", code, quarter))
        assignments = round(housed * 0.31 * county.around(0.85, 1.15, "interpreters", code, quarter))
        for n, carrier in enumerate(carriers):
            figures[carrier][code] = [
                split(total, carriers.values())[n] for total in (max(2, quarters), cases, assignments)
            ]
    figures = {
        "insgesamt": {
            c: [sum(pair) for pair in zip(*(figures[carrier][c] for carrier in carriers), strict=True)]
            for c in MUNICIPALITIES
        },
        **figures,
    }
    text = f"{quarter[-1]}. Quartal {quarter[:4]}"
    for code, name in names().items():
        for carrier, places in figures.items():
            posts, *others = (
                places[code] if code in places else [sum(column) for column in zip(*places.values(), strict=True)]
            )
            rows.append([code, name, carrier, text, f"{posts / 4:.2f}".replace(".", ","), *others])
    return Handout(
        SOCIAL_WORK,
        f"Sozialarbeit_{quarter}.csv",
        received(SOCIAL_WORK, quarter),
        semicolons(rows),
        "fachdienst-soziales",
    )


_PARTIES = {"Liste A": 0.33, "Liste B": 0.29, "Liste C": 0.15, "Liste D": 0.12, "Wählergruppen": 0.11}
_SEATS = {
    "03157001": 30,
    "03157002": 26,
    "03157005": 30,
    "03157006": 40,
    "03157007": 34,
    "03157008": 28,
    "03157009": 34,
}


def election(county: County, year: int) -> Handout:
    """The local elections in the stacked layout of 2016: name row, then numbers, per cent, seats, women's seats."""
    made = book("Tabelle 4a")
    for sheet_name, kind, where in (
        ("Tabelle 4a", "Kreiswahlen", "kreisfreien Städten und Landkreisen / der Region Hannover nach Gemeinden"),
        ("Tabelle 4b", "Gemeindewahlen", "kreisangehörigen Gemeinden der Landkreise / der Region Hannover"),
    ):
        sheet = made[sheet_name] if sheet_name in made.sheetnames else made.create_sheet(sheet_name)
        rows: list[Row] = [
            [],
            [f"{sheet_name[-2:].upper()}. Ergebnisse der Kommunalwahlen {year} in den {where} ({kind})"],
            [],
            [
                "Bundestagswahlkreis Nr.",
                *[None] * 6,
                "Stimmzettel",
                None,
                None,
                "Von den gültigen Stimmen entfallen auf",
            ],
            ["     Landtagswahlkreis Nr."],
            ["          Einheitsgemeinde (EG)", None, None, None, "Ein-", "Wahlbe-", None, None, None, "Gültige"],
            [
                "          Samtgemeinde (SG)",
                None,
                None,
                None,
                "heit",
                "rechtigte",
                "Wähler",
                "gültige",
                "un-",
                "Stimmen",
                *_PARTIES,
            ],
            ["          Gemeindefreier Bezirk (GB)", *[None] * 7, "gültige"],
            [DEMO_NOTE],
            [],
        ]
        council = kind == "Gemeindewahlen"
        totals = [0, 0]
        seats = [0, 0]
        for code, place in MUNICIPALITIES.items():
            eligible = round(county.people(code, STOCK_YEARS[0], nationality="german", ages=_VOTING) * 0.99
                             + county.people(code, STOCK_YEARS[0], nationality="foreign", ages=_VOTING) * 0.34)  # fmt: skip
            voters = round(eligible * (0.535 if code == "03157006" else 0.605))
            totals = [totals[0] + eligible, totals[1] + voters]
            places = (_SEATS[code], round(_SEATS[code] * county.around(0.2, 0.36, "women", code))) if council else None
            seats = [seats[0] + places[0], seats[1] + places[1]] if places else [50, 15]
            rows += _entry(45, int(code[2:]), f"EG {place.name.replace(', ', ',')}", eligible, voters, places)
        rows += _entry(None, int(COUNTY[2:]), "Peine", totals[0], totals[1], (seats[0], seats[1]))
        for row in rows:
            sheet.append(list(row))
    return Handout(
        ELECTIONS, f"Kommunalwahl {year}.xlsx", received(ELECTIONS, f"{year}-09-12"), saved(made), "wahlleitung"
    )


_VOTING = tuple(list(AGES)[list(AGES).index("16_17"):])  # fmt: skip


def _entry(
    district: int | None, key: int, name: str, eligible: int, voters: int, seats: tuple[int, int] | None
) -> list[Row]:
    valid = round(voters * 0.985)
    votes = split(valid * 3 - valid // 20, _PARTIES.values())
    shares = [round(v / sum(votes) * 100, 1) for v in votes]
    rows: list[Row] = [
        [district, 4 if district else None, key, f"{name:<45}", " " * 60],
        [None, None, None, " " * 57, "Zahl    ", eligible, voters, valid, voters - valid, sum(votes), *votes],
        [None, None, None, " " * 57, "%       ", " " * 11, round(voters / eligible * 100, 1), round(valid / voters * 100, 1),
         round(100 - valid / voters * 100, 1), None, *shares],
    ]  # fmt: skip
    if seats:
        for text, number in zip(("Sitze   ", ".weibl. "), seats, strict=True):
            blank = " " * 7
            rows.append(
                [
                    None,
                    None,
                    None,
                    " " * 57,
                    text,
                    " " * 11,
                    blank,
                    blank,
                    blank,
                    number,
                    *(n or "      -" for n in split(number, _PARTIES.values())),
                ]
            )
    return rows
