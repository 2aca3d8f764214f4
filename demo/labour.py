"""Labour market beyond GENESIS: the agency's monthly CSV and yearly workbook, apprenticeships, the job centre's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from openpyxl.worksheet.worksheet import Worksheet

from demo.calendar import received
from demo.county import COUNTY, DISTRICTS, MONTHS, MUNICIPALITIES, YEARS, County, protected, split
from demo.genesis import employees
from demo.handout import DEMO_NOTE, Handout, book, saved, semicolons
from teilhabe.codes.wording import MONTHS as MONTH_NAMES

MONTHLY = "employment_agency__unemployed_municipal"
WORKBOOK = "employment_agency__municipal_workbook"
APPRENTICES = "employment_agency__apprenticeship_market"
CLIENTS, PROGRAMMES = "jobcentre__clients", "jobcentre__programmes"
QUARTERS = tuple(f"{year}-Q{quarter}" for year in YEARS for quarter in range(1, 5))


def handouts(county: County) -> Iterator[Handout]:
    for month in MONTHS:
        yield unemployed_monthly(county, month)
        yield clients(county, month)
    for year in YEARS:
        yield apprenticeships(county, year - 1)
        for code in MUNICIPALITIES:
            yield municipal_workbook(county, code, year)
    for quarter in QUARTERS:
        yield programmes(county, quarter)


def month_before(month: str, back: int = 1) -> str:
    number = int(month[:4]) * 12 + int(month[5:]) - 1 - back
    return f"{number // 12}-{number % 12 + 1:02d}"


# -------------------------------------------------------------------------------------------------- employment agency


def unemployed_monthly(county: County, month: str) -> Handout:
    """Unemployed by municipality and month; exits into work belong to the stock of the month before."""
    rows: list[Sequence[object]] = [
        ["Gemeindeschlüssel", "Gemeinde", "Berichtsmonat", "Arbeitslose", "Ausländer", "unter 25 Jahre", "55 Jahre und älter",
         "langzeitarbeitslos", "Abgänge in Beschäftigung"]
    ]  # fmt: skip
    figures = {}
    for code in MUNICIPALITIES:
        total, foreign = county.unemployed(code, month)
        before = county.unemployed(code, month_before(month))[0]
        exits = round(before * 0.058 * county.around(0.88, 1.12, "exits", code, month))
        figures[code] = [total, foreign, *(round(total * share) for share in (0.1, 0.226, 0.337)), exits]
    table = with_county(figures, 3)
    rows += [[code, name, month, *table[code]] for code, name in names().items()]
    at = received(MONTHLY, month)
    return Handout(MONTHLY, f"Arbeitslose_Gemeinden_{month}.csv", at, semicolons(rows), "arbeitsagentur")


def apprenticeships(county: County, year: int) -> Handout:
    """Vocational guidance year (October to September) by district and group."""
    rows: list[Sequence[object]] = [
        ["Kreis", "Name", "Berichtsjahr", "Personengruppe", "gemeldete Bewerber", "unversorgte Bewerber"]
    ]
    for code, district in DISTRICTS.items():
        total = round(
            county.total(code, max(year, 2022)) * 0.0052 * county.around(0.94, 1.06, "applicants", code, year)
        )
        foreign = round(total * min(0.4, district.foreign * 1.5))
        refugees = round(foreign * 0.42)
        left = [
            round(n * s * county.around(0.9, 1.1, "unplaced", code, year, n))
            for n, s in ((total - foreign, 0.07), (foreign, 0.12), (refugees, 0.14))
        ]
        left[2] = min(left[1], left[2])
        german, other = protected(left[:2], 3) if min(left[:2]) > 2 else ("*", "*")
        fled: object = "*" if 0 < left[2] < 3 else left[2]
        for group, applicants, unplaced in (
            ("insgesamt", total, left[0] + left[1]),
            ("Deutsche", total - foreign, german),
            ("Ausländer", foreign, other),
            ("Kontext Fluchtmigration", refugees, fled),
        ):
            rows.append([code, district.name, f"{year}/{(year + 1) % 100:02d}", group, applicants, unplaced])
    at = received(APPRENTICES, f"AY{year}")
    return Handout(
        APPRENTICES, f"Ausbildungsmarkt_{year}-{(year + 1) % 100:02d}.csv", at, semicolons(rows), "arbeitsagentur"
    )


_SECTORS = ("Land- und Forstwirtschaft, Fischerei ( A )", "Produzierendes Gewerbe ( B - F )",
            "Handel, Verkehr und Gastgewerbe ( G - I )", "Sonstige Dienstleistungen ( J - U )")  # fmt: skip


def municipal_workbook(county: County, code: str, year: int) -> Handout:
    """The agency's workbook for one municipality: five years side by side, labels that repeat in five blocks."""
    place = MUNICIPALITIES[code]
    years = range(year - 4, year + 1)
    columns = [_labour_market(county, code, y) for y in years]
    made = book("Deckblatt")
    made["Deckblatt"]["A1"], made["Deckblatt"]["A2"] = "Arbeitsmarkt kommunal", DEMO_NOTE
    made.create_sheet("Impressum")["A1"] = "Impressum"
    sheet = made.create_sheet("Daten")
    rows: list[Sequence[object]] = [
        [None] * 6 + ["Arbeitsmarkt kommunal"],
        [],
        ["Sozialversicherungspflichtig und geringfügig Beschäftigte und Arbeitslose\nnach ausgewählten Merkmalen"],
        [f"{code} {place.name} (Gebietsstand im Jahr {year})"],
        [year],
        [],
        ["Merkmale", None, *years],
        [None, None, 1, 2, 3, 4, 5],
    ]
    for heading, lines in _BLOCKS.items():
        rows.append([heading])
        for number, text in enumerate(lines):
            first: list[object] = (
                [text, None] if text == "Insgesamt" else ["dar." if number == ("Insgesamt" in lines) else None, text]
            )
            rows.append([*first, *(column[heading][number] for column in columns)])
    rows += [[None] * 6 + ["© Statistik der Bundesagentur für Arbeit"],
             [f"*) Aus Gründen der statistischen Geheimhaltung werden Zahlenwerte von 1 oder 2 anonymisiert. {DEMO_NOTE}"]]  # fmt: skip
    for row in rows:
        sheet.append(list(row))
    made.create_sheet("Statistik-Infoseite")["A1"] = DEMO_NOTE
    name = f"Arbeitsmarkt-kommunal_{code}_{place.name.replace(', ', '_')}.xlsx"
    return Handout(WORKBOOK, name, received(WORKBOOK, str(year)), saved(made), "arbeitsagentur")


_BLOCKS = {
    "Sozialversicherungspflichtig Beschäftigte\nam Arbeitsort (Stichtag 30.06.)":
        ("Insgesamt", "Männer", "Frauen", "Ausländer", "unter 25 Jahre", "55 Jahre und älter", "Einpendler"),
    "Sozialversicherungspflichtig Beschäftigte\nnach Wirtschaftszweigen der WZ 2008\nam Arbeitsort  (Stichtag 30.06.)": _SECTORS,
    "Sozialversicherungspflichtig Beschäftigte\nam Wohnort  (Stichtag 30.06.)":
        ("Insgesamt", "Männer", "Frauen", "Ausländer", "unter 25 Jahre", "55 Jahre und älter", "Auspendler"),
    "Geringfügig Beschäftigte (Minijobber)\nam Arbeitsort  (Stichtag 30.06.)":
        ("Insgesamt", "Männer", "Frauen", "Ausländer", "ausschließlich geringfügig Beschäftigte",
         "im Nebenjob geringfügig Beschäftigte"),
    "Arbeitslose (Jahresdurchschnitte)":
        ("Insgesamt", "Männer", "Frauen", "Ausländer", "15 bis unter 25 Jahre", "55 Jahre und älter", "Langzeitarbeitslose",
         "Arbeitslose im Rechtskreis SGB III", "Arbeitslose im Rechtskreis SGB II"),
}  # fmt: skip


def _labour_market(county: County, code: str, year: int) -> dict[str, list[object]]:
    """Years before the demo repeat its first, a little lower every year."""
    known = max(year, YEARS[0])
    factor = 1 - 0.006 * (known - year)
    men, women, foreign_men, foreign_women = (round(n * factor) for n in employees(county, code, known))
    here = 1.05 if code == "03157006" else 0.42
    at_work = [round(n * here) for n in (men, women)]
    total, foreign = county.annual_unemployed(code, known)
    total, foreign = total * factor, foreign * factor
    twelfths = [round(n * 12) / 12 for n in (total * 0.55, foreign, *(total * s for s in (0.1, 0.226, 0.337, 0.34)))]
    total = round(total * 12) / 12
    residents, workers = men + women, sum(at_work)
    minor = round(workers * 0.21)
    town = code == "03157006"
    sectors: list[object] = (
        [*split(workers, (0.006, 0.27, 0.25, 0.474))] if town else ["*", "*", *split(round(workers * 0.62), (0.4, 0.6))]
    )
    headings = iter(_BLOCKS)
    return {
        next(headings): [workers, *at_work, round((foreign_men + foreign_women) * here * 0.95),
                         *(round(workers * s) for s in (0.11, 0.24, 0.62))],
        next(headings): sectors,
        next(headings): [residents, men, women, foreign_men + foreign_women, *(round(residents * s) for s in (0.1, 0.25, 0.78))],
        next(headings): [minor, *split(minor, (0.42, 0.58)), round(minor * 0.12), *split(minor, (0.62, 0.38))],
        next(headings): [total, twelfths[0], total - twelfths[0], *twelfths[1:5], twelfths[5], total - twelfths[5]],
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- job centre

_CLIENT_GROUPS = {
    "Erwerbsfähige Leistungsberechtigte": ("insgesamt", "Deutsche", "Ausländer", "Asylherkunftsländer (8)",
                                           "Kontext Fluchtmigration", "Ukraine"),
    "Integrationen": ("insgesamt", "Ausländer", "Kontext Fluchtmigration"),
    "Nach 12 Monaten beschäftigt": ("insgesamt", "Ausländer"),
    "Arbeitsuchende im Kontext Fluchtmigration": ("insgesamt", "mit Angabe Schulabschluss", "mit Schulabschluss",
                                                  "mit Angabe Ausbildung", "mit Ausbildung"),
    "Kontext Fluchtmigration": ("in Maßnahmen", "arbeitslos"),
}  # fmt: skip
_PROVISIONAL = 0.96
"""Integrations of the newest month are not all booked yet; the next file says the final number."""


def integrations(county: County, code: str, month: str) -> tuple[int, int, int]:
    """All, foreign, with a refugee background."""
    stock = county.recipients(code, month)
    german = round(stock["german"] * 0.0205 * county.around(0.8, 1.2, "integrations", code, month, "german"))
    refugees = round(
        stock["refugee_context"] * 0.021 * county.around(0.8, 1.2, "integrations", code, month, "refugees")
    )
    foreign = refugees + round(
        (stock["foreign"] - stock["refugee_context"])
        * 0.022
        * county.around(0.8, 1.2, "integrations", code, month, "other")
    )
    return german + foreign, foreign, refugees


def clients(county: County, month: str) -> Handout:
    """A sheet for each month of the year so far, two header rows with merged cells; what is new last month is provisional."""
    made = book("Hinweise")
    made["Hinweise"]["A1"] = DEMO_NOTE
    year, last = int(month[:4]), int(month[5:])
    for number in range(1, last + 1):
        sheet = made.create_sheet(f"{MONTH_NAMES[number - 1]} {year}")
        title = f"Jobcenter Landkreis Peine: Kundinnen und Kunden, {MONTH_NAMES[number - 1]} {year} (Demo: erfundene Zahlen)"
        sheet.append([title])
        two_headers(sheet, 2, ("AGS", "Gemeinde"), _CLIENT_GROUPS)
        table = _clients(county, f"{year}-{number:02d}", _PROVISIONAL if number == last else 1.0)
        for code, name in names().items():
            sheet.append([code, name, *table[code]])
    made.move_sheet("Hinweise", offset=last)
    return Handout(CLIENTS, f"Kunden_{month}.xlsx", received(CLIENTS, month), saved(made), "jobcenter")


def _clients(county: County, month: str, booked: float) -> dict[str, list[object]]:
    figures = {}
    for code in MUNICIPALITIES:
        stock = county.recipients(code, month)
        work = [round(n * booked) for n in integrations(county, code, month)]
        earlier = integrations(county, code, month_before(month, 12))
        kept_foreign = round(earlier[1] * 0.6)
        kept = kept_foreign + round((earlier[0] - earlier[1]) * 0.64)
        seeking = round(stock["refugee_context"] * 0.93)
        known, trained = round(seeking * 0.86), round(seeking * 0.88)
        figures[code] = [*stock.values(), *work, kept, kept_foreign, seeking, known, round(known * 0.61), trained,
                         round(trained * 0.21), round(stock["refugee_context"] * 0.12), round(stock["refugee_context"] * 0.41)]  # fmt: skip
    return with_county(figures, 3)


def two_headers(sheet: Worksheet, top: int, keys: Sequence[str], groups: Mapping[str, Sequence[str]]) -> None:
    """A header of two rows: keys merged downwards, groups merged over their items."""
    upper: list[object] = list(keys)
    lower: list[object] = [None] * len(keys)
    spans = []
    for group, items in groups.items():
        start = len(upper) + 1
        upper += [group, *[None] * (len(items) - 1)]
        lower += items
        spans.append((start, start + len(items) - 1))
    sheet.append(upper)
    sheet.append(lower)
    for column in range(1, len(keys) + 1):
        sheet.merge_cells(start_row=top, end_row=top + 1, start_column=column, end_column=column)
    for first, last in spans:
        if last > first:
            sheet.merge_cells(start_row=top, end_row=top, start_column=first, end_column=last)


_PROGRAMMES = {
    "M01": ("Sprache und Beruf", "Sprache", "Kreisvolkshochschule (Demo)", 34, 0.8, 1150),
    "M02": ("Aktivierung Jugendliche", "Übergang", "Beschäftigungsgesellschaft (Demo)", 22, 0.35, 1900),
    "M03": ("Einstiegsqualifizierung", "Ausbildung", "Kreishandwerkerschaft (Demo)", 12, 0.45, 2600),
    "M04": ("Teilqualifizierung Lager und Logistik", "Qualifizierung", "Bildungswerk (Demo)", 18, 0.5, 3100),
    "M05": ("Coaching für Frauen mit Fluchterfahrung", "Aktivierung", "Wohlfahrtsverband (Demo)", 15, 0.95, 980),
    "M06": ("Arbeitsgelegenheiten", "Beschäftigung", "Beschäftigungsgesellschaft (Demo)", 40, 0.4, 640),
}
"""Id -> name, field, provider, entries of a quarter, share of refugees, cost of an entry."""


def programmes(county: County, quarter: str) -> Handout:
    """A row for the county and one for each municipality the participants live in."""
    rows: list[Sequence[object]] = [
        ["Massnahme", "Bezeichnung", "Handlungsfeld", "Traeger", "Gebiet", "Gebietsname", "Quartal", "Eintritte", "Austritte",
         "abgeschlossen", "in_Arbeit_6M", "Eintritte_Flucht", "Austritte_Flucht", "abgeschlossen_Flucht", "in_Arbeit_6M_Flucht",
         "Kosten"]
    ]  # fmt: skip
    for number, (name, area, provider, size, refugees, cost) in _PROGRAMMES.items():
        total = [round(size * county.around(0.8, 1.2, "programme", number, quarter, n)) for n in ("in", "out")]
        total += [
            round(total[1] * 0.72),
            round(total[1] * 0.3 * county.around(0.85, 1.15, "programme", number, quarter, "work")),
        ]
        fled = [round(n * refugees) for n in total]
        weights = [
            county.total(code, 2023, "foreign") * county.around(0.9, 1.1, "programme", number, quarter, code)
            for code in MUNICIPALITIES
        ]
        columns = [split(n, weights) for n in (*fled, *(a - f for a, f in zip(total, fled, strict=True)))]
        columns = [[a + b for a, b in zip(columns[n + 4], columns[n], strict=True)] for n in range(4)] + columns[:4]
        columns[2], columns[6] = ([min(a, b) for a, b in zip(columns[n], columns[n - 1], strict=True)] for n in (2, 6))
        shown = [protected(column, 3) for column in columns]
        sums = [sum(column) for column in columns]
        rows.append([number, name, area, provider, COUNTY, "Landkreis Peine", quarter, *sums,
                     f"{round(total[0] * cost * 1.03)},00"])  # fmt: skip
        for place, cells in zip(MUNICIPALITIES.values(), zip(*shown, strict=True), strict=True):
            rows.append([number, name, area, provider, place.code, place.name, quarter, *cells, "x"])
    return Handout(
        PROGRAMMES, f"Massnahmen_{quarter}.csv", received(PROGRAMMES, quarter), semicolons(rows), "jobcenter"
    )


# ------------------------------------------------------------------------------------------------------------- helpers


def names() -> dict[str, str]:
    return {COUNTY: "Landkreis Peine", **{code: place.name for code, place in MUNICIPALITIES.items()}}


def with_county(figures: dict[str, list[int]], least: int) -> dict[str, list[object]]:
    """The county as the sum of its municipalities; small numbers of those are secret, at least two in a column."""
    columns = list(zip(*figures.values(), strict=True))
    shown = zip(*(protected(column, least) for column in columns), strict=True)
    return {
        COUNTY: [sum(column) for column in columns],
        **{code: list(cells) for code, cells in zip(figures, shown, strict=True)},
    }
