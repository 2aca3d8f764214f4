"""The wide CSVs of GENESIS: state statistics and employment agency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from demo.calendar import received
from demo.county import (
    AGES,
    COUNTY,
    DISTRICTS,
    GOSLAR,
    MERGED,
    MUNICIPALITIES,
    NEW,
    STOCK_YEARS,
    WORKING_AGE,
    YEARS,
    County,
    split,
)
from demo.handout import DEMO_NOTE, Handout

Row = Sequence[object]
_SEXES = ("Insgesamt", "männlich", "weiblich")

AGE_GROUPS = {
    "unter 3 Jahre": ("u3",), "3 bis unter 6 Jahre": ("3_5",), "6 bis unter 10 Jahre": ("6_9",),
    "10 bis unter 15 Jahre": ("10_14",), "15 bis unter 18 Jahre": ("15_15", "16_17"), "18 bis unter 20 Jahre": ("18_19",),
    "20 bis unter 25 Jahre": ("20_24",), "25 bis unter 30 Jahre": ("25_29",), "30 bis unter 35 Jahre": ("30_34",),
    "35 bis unter 40 Jahre": ("35_39",), "40 bis unter 45 Jahre": ("40_44",), "45 bis unter 50 Jahre": ("45_49",),
    "50 bis unter 55 Jahre": ("50_54",), "55 bis unter 60 Jahre": ("55_59",), "60 bis unter 65 Jahre": ("60_64",),
    "65 bis unter 70 Jahre": ("65_69",), "70 bis unter 75 Jahre": ("70_74",), "75 bis unter 80 Jahre": ("75_79",),
    "80 bis unter 85 Jahre": ("80_84",), "85 bis unter 90 Jahre": ("85_89",), "90 Jahre und mehr": ("90plus",),
    "Insgesamt": tuple(AGES),
}  # fmt: skip


def handouts(county: County) -> Iterable[Handout]:
    for year in STOCK_YEARS:
        yield population(county, [y for y in STOCK_YEARS if y <= year])
        yield population_nationality(county, year)
        yield migration(county, year)
        yield naturalisations(county, year)
        yield asylum_benefits(county, year)
        yield dwellings(county, year)
        yield pupils(county, year)
        yield school_leavers(county, year)
        yield unemployed_municipal(county, year)
        yield unemployed_district(county, year)
        yield employees_residence(county, year)
        yield employees_workplace(county, year)
    for year in YEARS:
        yield day_care(county, year)


def population(county: County, years: Sequence[int], days: int = 0) -> Handout:
    """Table 12411-01-01-5: a column for each reference date and sex, newest first; dissolved municipalities keep a row."""
    head = [
        line("", "", *(f"31.12.{year}" for year in reversed(years) for _ in _SEXES)),
        line("", "", *(_SEXES * len(years))),
    ]
    rows = []
    for code, name in territories():
        cells: list[object] = []
        for year in reversed(years):
            if code.startswith("03153") and len(code) == 8 and code not in county.goslar(year):
                cells += ["-"] * 3
                continue
            men, women = (county.people(code, year, sex) for sex in ("male", "female"))
            cells += [men + women, men, women]
        rows.append(line(code, name, *cells))
    title = ["Bevölkerungsstand: Bevölkerung nach Geschlecht", "- Stichtag 31.12. -",
             "regionale Tiefe: Gemeinden, Samt-/Verbandsgemeinden", "Fortschreibung des Bevölkerungsstandes",
             "Bevölkerungsstand (Anzahl)"]  # fmt: skip
    return _table("state_statistics__population", "12411-01-01-5", title, head, rows,
                  received("state_statistics__population", f"{years[-1]}-12-31", days))  # fmt: skip


def population_nationality(county: County, year: int) -> Handout:
    """Table 12411-03-03-4: districts by age, nationality and sex."""
    head = [
        line("", "", "", "", *["Insgesamt"] * 3, *["Deutsche"] * 3, *["Ausländer(innen)"] * 3),
        line("", "", "", "", *(_SEXES * 3)),
    ]
    rows = []
    for text, ages in AGE_GROUPS.items():

        def figures(code: str, ages: tuple[str, ...] = ages) -> list[int]:
            german, foreign = (
                [county.people(code, year, sex, nationality, ages) for sex in ("male", "female")]
                for nationality in ("german", "foreign")
            )
            every = [a + b for a, b in zip(german, foreign, strict=True)]
            return [number for pair in (every, german, foreign) for number in (sum(pair), *pair)]

        rows += [(code, name, text, cells) for code, name, cells in _summed(figures)]
    order = list(AGE_GROUPS)
    lines = [
        line(f"31.12.{year}", code, name, text, *cells)
        for code, name, text, cells in sorted(rows, key=lambda row: (row[0], order.index(row[2])))
    ]
    title = ["Bevölkerungsstand: Bevölkerung nach Geschlecht, Nationalität", "und Altersgruppen (21) - Stichtag 31.12. -",
             "regionale Tiefe: Kreise und krfr. Städte", "Fortschreibung des Bevölkerungsstandes",
             "Bevölkerungsstand (Anzahl)"]  # fmt: skip
    return _table("state_statistics__population_nationality", "12411-03-03-4", title, head, lines,
                  received("state_statistics__population_nationality", f"{year}-12-31", 1))  # fmt: skip


_MOVE_AGES = ("unter 18 Jahre", "18 bis unter 25 Jahre", "25 bis unter 30 Jahre", "30 bis unter 50 Jahre",
              "50 bis unter 65 Jahre", "65 Jahre und mehr", "Insgesamt")  # fmt: skip


def moves(county: County, code: str, year: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Moves in and out of a municipality or district: all, foreign."""
    if code == COUNTY:  # moves between its municipalities do not cross the county's border
        every = [moves(county, part, year) for part in MUNICIPALITIES]
        a, b, c, d = (round(sum(e[side][n] for e in every) * 0.83) for side in (0, 1) for n in (0, 1))
        return (a, b), (c, d)
    people, foreign = county.total(code, year), county.total(code, year, "foreign")
    size = 0.062 if len(code) == 8 else 0.047
    moved_in = (
        round((people - foreign) * size * county.around(0.95, 1.05, "in", code, year)),
        round(foreign * 0.18 * county.around(0.93, 1.07, "in", code, year, "foreign")),
    )
    moved_out = (
        round((people - foreign) * size * county.around(0.95, 1.05, "out", code, year)),
        round(foreign * 0.145 * county.around(0.93, 1.07, "out", code, year, "foreign")),
    )
    return (sum(moved_in), moved_in[1]), (sum(moved_out), moved_out[1])


def migration(county: County, year: int) -> Handout:
    """Table 12711-01-03-5: moves across the municipality's border by sex and age."""
    sides = ["Zuzüge über die Gemeindegrenzen", "Fortzüge über die Gemeindegrenzen"]
    head = [
        f"{year}{';' * 43}",
        line("", "", *(side for side in sides for _ in range(21))),
        line("", "", *["Geschlecht"] * 42),
        line("", "", *(sex for _ in sides for sex in _SEXES for _ in _MOVE_AGES)),
        line("", "", *["Altersgruppe (unter 18 bis 65 u.m.)"] * 42),
        line("", "", *(_MOVE_AGES * 6)),
        line("", "", *["Anzahl"] * 42),
    ]
    rows = []
    for code, name in territories(year, with_state=False):
        cells: list[int] = []
        for total, _ in moves(county, code, year):
            men = round(total * 0.54)
            by_sex = []
            for number in (men, total - men):
                ages = split(number, (0.17, 0.18, 0.15, 0.31, 0.13, 0.06))
                by_sex.append([*ages, number])
            cells += [a + b for a, b in zip(*by_sex, strict=True)] + by_sex[0] + by_sex[1]
        rows.append(line(code, name, *cells))
    title = ["Zu- und Fortzüge nach Geschlecht und Altersgruppen", "(über Gemeindegrenzen) - Jahressumme -",
             "regionale Tiefe: Gemeinden, Samt-/Verbandsgemeinden", "Wanderungsstatistik"]  # fmt: skip
    return _table("state_statistics__migration", "12711-01-03-5", title, head, rows,
                  received("state_statistics__migration", str(year)))  # fmt: skip


def naturalised(county: County, code: str, year: int) -> int:
    return round(county.total(code, year, "foreign") * county.around(0.012, 0.017, "naturalised", code, year))


def naturalisations(county: County, year: int) -> Handout:
    """Table 12511-01-01-4, in the code page of its time."""
    texts = ["Insgesamt", "Afrika", "Amerika", "Asien", "Australien und Ozeanien", "Europa",
             "Staatenlos, unbekannt, ungeklärt, ohne Angabe"]  # fmt: skip
    head = [
        line("", "", "", *["Einbürgerungen von Ausländern"] * 7),
        line("", "", "", *["Kontinente (einschl. staatenlos etc.)"] * 7),
        line("", "", "", *texts),
        line("", "", "", *["Anzahl"] * 7),
    ]
    rows = _summed(
        lambda code: (n := naturalised(county, code, year), *split(n, (0.06, 0.03, 0.52, 0.002, 0.36, 0.03)))
    )
    title = ["Einbürgerungen von Ausländern nach Kontinenten", "- Jahr - regionale Tiefe: Kreise und krfr. Städte",
             "Einbürgerungsstatistik"]  # fmt: skip
    lines = [line(year, code, name, *_dashed(cells)) for code, name, cells in rows]
    return _table("state_statistics__naturalisations", "12511-01-01-4", title, head, lines,
                  received("state_statistics__naturalisations", str(year)), "cp1252")  # fmt: skip


def asylum(county: County, code: str, month: str) -> int:
    """Recipients of asylum seekers' benefits of a municipality."""
    return round(county.monthly("housed", code, month) * 0.62 + county.monthly("private", code, month) * 0.2)


def asylum_benefits(county: County, year: int) -> Handout:
    """Table 22221-01-01-4: every number rounded to five by itself."""
    texts = ["", "weiblich", "Grundleistungen", "laufende Hilfe zum Lebensunterhalt", "unter 7 Jahre", "7 bis unter 18 Jahre",
             "18 bis unter 25 Jahre", "25 bis unter 50 Jahre", "50 bis unter 65 Jahre", "65 Jahre und mehr"]  # fmt: skip
    head = [
        line("", "", "", *["Regelleistungsempfänger"] * 10),
        line("", "", "", *texts),
        line("", "", "", *["Anzahl"] * 10),
    ]
    month = f"{max(year, YEARS[0])}-12"

    def figures(code: str) -> tuple[int, ...]:
        if code == COUNTY:
            number = sum(asylum(county, part, month) for part in MUNICIPALITIES)
        else:
            number = round(county.total(code, year) * county.around(0.006, 0.011, "asylum", code, year))
        return (
            number,
            *split(number, (0.37, 0.63))[:1],
            *split(number, (0.86, 0.14)),
            *split(number, (0.13, 0.2, 0.17, 0.42, 0.06, 0.02)),
        )

    lines = [
        line(f"31.12.{year}", code, name, *(rounded(cell) for cell in cells)) for code, name, cells in _summed(figures)
    ]
    title = ["Empfänger von Asylbewerberregelleistungen,", "Geschlecht, Art der Leistung, Altersgruppen",
             "- Stichtag 31.12. - regionale Tiefe: Kreise und krfr. Städte", "Empfänger von Asylbewerberregelleistungen"]  # fmt: skip
    return _table("state_statistics__asylum_benefits", "22221-01-01-4", title, head, lines,
                  received("state_statistics__asylum_benefits", f"{year}-12-31"))  # fmt: skip


def dwellings(county: County, year: int) -> Handout:
    """Table 31231-01-02-5: buildings, floor space with a decimal comma, dwellings by rooms."""
    rooms = [
        "Wohnungen mit 1 Raum",
        *(f"Wohnungen mit {n} Räumen" for n in range(2, 7)),
        "Wohnungen mit 7 Räumen oder mehr",
    ]
    head = [
        line("", "", "", *["Wohngebäude"] * 3, "Wohnfläche in Wohngebäuden", *["Wohnungen in Wohn- und Nichtwohngebäuden"] * 8,
             "Räume in Wohnungen mit 7 oder mehr Räumen"),
        line("", "", "", *["Gebäude nach Anzahl der Wohnungen"] * 3, "", *["Größe der Wohnung"] * 8, ""),
        line("", "", "", "Insgesamt", "1 Wohnung", "2 Wohnungen", "", "Insgesamt", *rooms, ""),
        line("", "", "", *["Anzahl"] * 3, "1000 qm", *["Anzahl"] * 9),
    ]  # fmt: skip
    rows = []
    for code, name in territories(year, with_state=False):
        parts = county.parts(code, year)
        every = [_dwellings(county, part, year) for part in parts]
        number = sum(every)
        by_rooms = [split(n, (0.01, 0.03, 0.13, 0.26, 0.24, 0.16, 0.17)) for n in every]
        houses = round(number * 0.61)
        cells = [houses, *split(houses, (0.69, 0.22, 0.09))[:2], f"{number * 0.0985:.1f}".replace(".", ","), number,
                 *(sum(column) for column in zip(*by_rooms, strict=True)), round(number * 1.3)]  # fmt: skip
        rows.append(line(f"31.12.{year}", code, name, *cells))
    title = ["Wohngebäude- und Wohnungsbestand - Stichtag 31.12. -", "regionale Tiefe: Gemeinden, Samt-/Verbandsgemeinden",
             "Fortschreib. d. Wohngebäude- u. Wohnungsbestandes"]  # fmt: skip
    return _table("state_statistics__dwellings", "31231-01-02-5", title, head, rows,
                  received("state_statistics__dwellings", f"{year}-12-31"))  # fmt: skip


def _dwellings(county: County, code: str, year: int) -> int:
    return round(
        county.total(code, STOCK_YEARS[0]) * county.around(0.47, 0.52, "dwellings", code) * (1 + 0.004 * (year - 2022))
    )


def day_care(county: County, year: int) -> Handout:
    """Table 22541-01-04-4: facilities, places, staff."""
    facilities, staff = "Tageseinrichtungen für Kinder", "Tätige Personen in Tageseinrichtungen für Kinder"
    head = [
        line("", "", "", *[facilities] * 5, "Einrichtungen mit integrativer Kinderbetreuung", "Genehmigte Plätze",
             *["Tätige Personen"] * 5, "Rechn.Zahl d.Vollzeitstellen i.pädagogisch.Bereich"),
        line("", "", "", "", "unter 3 Jahre", "2 bis unter 8 Jahre (ohne Schulkinder)", "5 bis unter 14 Jahre (mit Schulkindern)",
             "Kinder aller Altersgruppen", "", "", *[staff] * 5, ""),
        line(*[""] * 10, "Tätige Personen insgesamt", "pädagogisches Personal (ab 2011)",
             "pädagogisches Personal, weiblich (ab 2011)", "pädagogisches Personal (bis 2010)",
             "pädagogisches Personal Vollzeitstellen (bis 2010)", ""),
        line("", "", "", *["Anzahl"] * 13),
    ]  # fmt: skip

    def figures(code: str) -> tuple[int, ...]:
        places = round(children(county, code, year) * 1.05)
        number = round(places / 58)
        people = round(places * 0.185)
        pedagogical = round(people * 0.83)
        return (number, *split(number, (0.11, 0.33, 0.08, 0.48)), round(number * 0.28), places, people, pedagogical,
                round(pedagogical * 0.95), 0, 0, round(pedagogical * 0.76))  # fmt: skip

    lines = []
    for code, name, cells in _summed(figures):
        texts: list[object] = [*cells]
        texts[9:11] = ["-", "-"]  # columns that ended in 2010
        lines.append(line(f"01.03.{year}", code, name, *texts))
    title = ["Statistik der Tageseinrichtungen für Kinder,", "Tageseinrichtungen für Kinder - Stichtage -",
             "regionale Tiefe: Kreise und krfr. Städte", "Statistik der Tageseinrichtungen für Kinder"]  # fmt: skip
    return _table("state_statistics__day_care", "22541-01-04-4", title, head, lines,
                  received("state_statistics__day_care", f"{year}-03-01"))  # fmt: skip


def children(county: County, code: str, year: int) -> int:
    """Children in day care: a third of those below three, nearly all older ones."""
    young, old = (county.people(code, year - 1, ages=(age,)) for age in ("u3", "3_5"))
    return round(young * 0.34 + old * 0.92)


_SCHOOLS = {
    "Vorschulbereich": (0.004, 110, 0.10), "Grundschulen": (0.35, 190, 0.13), "Schulartunabhängige Orientierungsstufe": (0, 0, 0),
    "Hauptschulen": (0.03, 200, 0.27), "Schularten mit mehreren Bildungsgängen": (0.11, 380, 0.19), "Realschulen": (0.05, 350, 0.15),
    "Gymnasien": (0.28, 950, 0.06), "Integrierte Gesamtschulen": (0.145, 1000, 0.10), "Freie Waldorfschulen": (0.011, 300, 0.03),
    "Sonderschulen/Förderschulen": (0.02, 120, 0.15), "Abendschulen und Kollegs": (0, 0, 0),
}  # fmt: skip
"""School type -> share of all pupils, pupils per school, share of foreigners."""


def pupils(county: County, year: int) -> Handout:
    """Table 21111-01-03-4: school year in the header, school types as rows."""
    head = [
        f"{year};;;;;;;;",
        line("", "", "", "Allgemein bildende Schulen", *["Schüler(innen) an allgemein bildenden Schulen"] * 5),
        line(
            "",
            "",
            "",
            "",
            "Geschlecht",
            "Geschlecht",
            "Nationalität",
            *["Klassenstufe / Jahrgangsstufe / Schulbesuchsjahr"] * 2,
        ),
        line(
            "",
            "",
            "",
            "",
            "Insgesamt",
            "weiblich",
            "Ausländer(innen)",
            "7. Klassenstufe",
            "11. Jahrgangsstufe / Einführungsphase",
        ),
        line("", "", "", *["Anzahl"] * 6),
    ]
    rows = []
    for code, name in districts():
        number = round(county.people(code, year, ages=("6_9", "10_14", "15_15", "16_17")) * 0.97)
        total = [0, 0, 0]
        for (text, (_, size, foreign)), there in zip(
            _SCHOOLS.items(), split(number, (s[0] for s in _SCHOOLS.values())), strict=True
        ):
            if not size:
                rows.append(line(code, name, text, *"----", "x", "x"))
                continue
            figures = [
                there,
                round(there * 0.485),
                round(there * foreign * county.around(0.9, 1.1, "pupils", code, text, year)),
            ]
            total = [a + b for a, b in zip(total, figures, strict=True)]
            rows.append(line(code, name, text, max(1, round(there / size)), *figures, "x", "x"))
        rows.append(line(code, name, "Insgesamt", "x", *total, round(number * 0.1), round(number * 0.04)))
    title = ["Allgemeinbildende Schulen: Schulen, Schüler nach Schulart", "- Stichtag: Schuljahresbeginn -",
             "regionale Tiefe: Kreise und krfr. Städte", "Statistik der allgemein bildenden Schulen"]  # fmt: skip
    return _table("state_statistics__pupils", "21111-01-03-4", title, head, rows,
                  received("state_statistics__pupils", f"SY{year}", -250))  # fmt: skip


def leavers(county: County, code: str, year: int) -> list[list[int]]:
    """Leavers of the summer of a year: without, lower, intermediate, part of, vocational, higher - of all and of women."""
    number = round(county.people(code, year - 1, ages=("16_17",)) * 0.47)
    shares = [0.067 * county.around(0.85, 1.15, "leavers", code, year), 0.13, 0.44, 0.0, 0.33]
    every = split(number, shares)
    return [[n, round(n * w)] for n, w in zip(every, (0.4, 0.42, 0.49, 0, 0.55), strict=True)]


def school_leavers(county: County, year: int) -> Handout:
    """Table 21111-02-06-4: certificates of all and of women; small numbers are secret."""
    certificates = ["Insgesamt", "ohne Hauptschulabschluss", "mit Hauptschulabschluss", "mit Mittlerem Abschluss",
                    "dar. schulischer Teil der Fachhochschulreife", "mit Fachhochschulreife", "mit allgemeiner Hochschulreife"]  # fmt: skip
    head = [
        line("", "", "", *["Schulabschluss"] * 14),
        line("", "", "", *(text for text in certificates for _ in range(2))),
        line("", "", "", *(["Insgesamt", "weiblich"] * 7)),
    ]

    def figures(code: str) -> tuple[int, ...]:
        without, lower, intermediate, _, higher = leavers(county, code, year)
        total = [sum(pair) for pair in zip(without, lower, intermediate, higher, strict=True)]
        part = [round(n * 0.03) for n in intermediate]
        return (*total, *without, *lower, *intermediate, *part, 0, 0, *higher)

    lines = []
    for code, name, cells in _summed(figures):
        texts: list[object] = ["." if 0 < cell < 3 else cell for cell in cells]
        texts[10:12] = [".", "."]  # not published for this certificate
        lines.append(line(year, code, name, *texts))
    title = ["Allgemeinbildende Schulen: Absolventen/Abgänger", "nach dem Schulabschluss - Schuljahr -",
             "regionale Tiefe: Kreise und krfr. Städte", "Statistik der allgemein bildenden Schulen",
             "Absolventen/Abgänger (Anzahl)"]  # fmt: skip
    return _table("state_statistics__school_leavers", "21111-02-06-4", title, head, lines,
                  received("state_statistics__school_leavers", f"SY{year - 1}"))  # fmt: skip


# -------------------------------------------------------------------------------------------------- employment agency

_YEARLY_DUE_DAYS = 120
"""The contract counts from the month; the yearly table comes later."""
_GROUPS = ("Ausländer", "schwerbehindert", "15 bis unter 20 Jahre", "15 bis unter 25 Jahre", "55 bis unter 65 Jahre",
           "langzeitarbeitslos")  # fmt: skip


def unemployed_of(county: County, code: str, year: int) -> list[int]:
    """Annual means in the order of the tables: all, then the groups."""
    if code in MUNICIPALITIES:
        total, foreign = county.annual_unemployed(code, year)
    else:
        district = DISTRICTS[code]
        total = (
            county.total(code, max(year - 1, STOCK_YEARS[0]))
            * 0.62
            * district.unemployed
            * county.around(0.96, 1.04, "unemployed", code, year)
        )
        foreign = total * min(0.55, 0.14 + district.foreign * 1.6)
    figures = [round(total), round(foreign), *(round(total * share) for share in (0.058, 0.021, 0.098, 0.225, 0.335))]
    return figures


def unemployed_municipal(county: County, year: int) -> Handout:
    """Table 13211-01-03-5: annual means; a small cell is secret, and a second one, so that nobody can work it out."""
    head = [
        f"Jahr: {year};;;;;;;;",
        line("", "", "Arbeitslose insgesamt", *["Arbeitslose"] * 6),
        line("", "", "", *["und zwar"] * 6),
        line("", "", "", *_GROUPS),
        line("", "", *["Anzahl"] * 7),
    ]
    rows = []
    for code, name in territories(year, with_state=False, goslar=False):
        parts = list(MUNICIPALITIES) if code == COUNTY else [code]
        cells: list[object] = [
            sum(column) for column in zip(*(unemployed_of(county, part, year) for part in parts), strict=True)
        ]
        if code in ("03157002", "03157008"):
            cells[3] = "."
        rows.append(line(code, name, *cells))
    title = ["Arbeitslose nach ausgewählten Personengruppen", "- Jahresdurchschnitt -",
             "regionale Tiefe: Gemeinden, Samt-/Verbandsgemeinden", "Arbeitsmarktstatistik der Bundesagentur für Arbeit"]  # fmt: skip
    return _table("employment_agency__unemployed_municipal", "13211-01-03-5", title, head, rows,
                  received("employment_agency__unemployed_municipal", str(year), due_days=_YEARLY_DUE_DAYS))  # fmt: skip


def unemployed_district(county: County, year: int) -> Handout:
    """Table 13211-02-05-4: annual means and the official rates."""
    rate = "Arbeitslosenquote bez. auf alle zivile Erwerbsp."
    head = [
        line("", "", "", *["Arbeitslose"] * 7, "Arbeitslosenquote bez. abh. zivile Erwerbspers.", *[rate] * 5),
        line("", "", "", "", *_GROUPS, "", "", "Männer", "Frauen", "Ausländer", "15 bis unter 25 Jahre"),
        line("", "", "", *["Anzahl"] * 7, *["Prozent"] * 6),
    ]

    def figures(code: str) -> tuple[int, ...]:
        parts = list(MUNICIPALITIES) if code == COUNTY else [code]
        return tuple(sum(column) for column in zip(*(unemployed_of(county, part, year) for part in parts), strict=True))

    lines = []
    for code, name, cells in _summed(figures):
        labour = county.total(code, max(year - 1, STOCK_YEARS[0])) * 0.535
        official = cells[0] / labour * 100
        foreigners = county.total(code, max(year - 1, STOCK_YEARS[0]), "foreign") * 0.56
        rates = [
            official * 1.1,
            official,
            official * 1.04,
            official * 0.95,
            cells[1] / foreigners * 100,
            official * 0.93,
        ]
        lines.append(line(year, code, name, *cells, *(f"{r:.1f}".replace(".", ",") for r in rates)))
    title = ["Arbeitslose nach ausgewählten Personengruppen sowie", "Arbeitslosenquoten - Jahresdurchschnitt -",
             "regionale Tiefe: Kreise und krfr. Städte", "Arbeitsmarktstatistik der Bundesagentur für Arbeit"]  # fmt: skip
    return _table("employment_agency__unemployed_district", "13211-02-05-4", title, head, lines,
                  received("employment_agency__unemployed_district", str(year)))  # fmt: skip


def employees(county: County, code: str, year: int) -> tuple[int, int, int, int]:
    """At the place of residence on 30 June: men, women, foreign men, foreign women."""
    men, women, foreign_men, foreign_women = (
        county.people(code, max(year - 1, STOCK_YEARS[0]), sex, nationality, WORKING_AGE)
        for nationality in ("total", "foreign")
        for sex in ("male", "female")
    )
    chance = county.around(0.985, 1.015, "employees", code, year)
    return (
        round(men * 0.645 * chance),
        round(women * 0.585 * chance),
        round(foreign_men * 0.58 * chance),
        round(foreign_women * 0.40 * chance),
    )


def at_work(county: County, code: str, year: int) -> tuple[int, ...]:
    """Employees at the place of work: more than live there commute out of these districts."""
    return tuple(round(number * 0.82) for number in employees(county, code, year))


def employees_residence(county: County, year: int) -> Handout:
    """Table 13111-02-02-5: employees at the place of residence by nationality and sex."""
    rows = []
    for code, name in territories(year, with_state=False):
        parts = county.parts(code, max(year - 1, STOCK_YEARS[0])) if len(code) == 5 else [code]
        rows.append(
            (code, name, [sum(column) for column in zip(*(employees(county, p, year) for p in parts), strict=True)])
        )
    return _employees("employees_residence", "13111-02-02-5", "Wohnort", year, rows)


def employees_workplace(county: County, year: int) -> Handout:
    """Table 13111-01-03-4, the districts of 13111-01-03-5: employees at the place of work by nationality and sex."""
    rows = [(code, name, at_work(county, code, year)) for code, name in districts()]
    return _employees("employees_workplace", "13111-01-03-4", "Arbeitsort", year, rows)


def _employees(
    dataset: str, table: str, where: str, year: int, figures: Iterable[tuple[str, str, Sequence[int]]]
) -> Handout:
    head = [
        f"30.06.{year};;;;;;;",
        line("", "", *["Nationalität"] * 6),
        line("", "", *["Insgesamt"] * 3, *["Ausländer(innen)"] * 3),
        line("", "", *["Geschlecht"] * 6),
        line("", "", *(_SEXES * 2)),
    ]
    rows = []
    for code, name, (men, women, foreign_men, foreign_women) in figures:
        rows.append(line(code, name, men + women, men, women, foreign_men + foreign_women, foreign_men, foreign_women))
    depth = "Gemeinden, Samt-/Verbandsgemeinden" if table.endswith("5") else "Kreise und krfr. Städte"
    title = [f"Sozialversicherungspflichtig Beschäftigte am {where}", "nach Geschlecht und Nationalität - Stichtag 30.06. -",
             f"regionale Tiefe: {depth}", "Sozialversicherungspflichtig Beschäftigte",
             f"Sozialversicherungspfl. Beschäftigte ({where}) (Anzahl)"]  # fmt: skip
    dataset_id = f"employment_agency__{dataset}"
    return _table(dataset_id, table, title, head, rows, received(dataset_id, f"{year}-06-30"))


# ------------------------------------------------------------------------------------------------------------- helpers


def districts() -> list[tuple[str, str]]:
    return [(code, f"      {district.in_tables}") for code, district in DISTRICTS.items()]


def territories(year: int | None = None, with_state: bool = True, goslar: bool = True) -> list[tuple[str, str]]:
    """Districts, each followed by its municipalities as far as they are drawn; without a year, those of all years."""
    rows = [("03", "  Niedersachsen")] if with_state else []
    for code, district in DISTRICTS.items():
        rows.append((code, f"      {district.in_tables}"))
        places = list(MUNICIPALITIES.values()) if code == COUNTY else []
        if code == "03153" and goslar:
            places = [*GOSLAR.values(), NEW]
            if year is not None:
                merged = f"{year}-12-31" >= "2024-11-01"
                places = [p for p in places if (p.code not in MERGED if merged else p is not NEW)]
        rows += [(place.code, f"        {place.plain}") for place in places]
    return rows


def rounded(number: float, base: int = 5) -> int:
    return base * round(number / base)


def line(*cells: object) -> str:
    return ";".join(f'"{cell}"' if isinstance(cell, str) and ";" in cell else str(cell) for cell in cells)


def _summed(figures: Callable[[str], Sequence[int]]) -> list[tuple[str, str, Sequence[int]]]:
    """Rows of the districts and, first, their sum for the state."""
    rows = [(code, name, figures(code)) for code, name in districts()]
    return [
        ("03", "  Niedersachsen", [sum(column) for column in zip(*(cells for *_, cells in rows), strict=True)]),
        *rows,
    ]


def _dashed(cells: Iterable[int]) -> list[object]:
    return [cell or "-" for cell in cells]


def _table(
    dataset_id: str,
    table: str,
    title: Sequence[str],
    head: Sequence[str],
    rows: Iterable[str],
    at: datetime,
    encoding: str = "utf-8",
) -> Handout:
    lines = [f"GENESIS-Tabelle: {table}", *(f"{text};;" for text in title), *head, *rows, "__________",
             f'"{DEMO_NOTE}', 'Zeichen: - nichts vorhanden; . unbekannt oder geheim"',
             f"Stand: {at:%d.%m.%Y / %H:%M:%S}"]  # fmt: skip
    content = "".join(f"{text}\r\n" for text in lines).encode(encoding)
    return Handout(dataset_id, f"{table}_{at.year}.csv", at, content, dataset_id.partition("__")[0].replace("_", "-"))
