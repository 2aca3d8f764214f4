"""The police: the federal table by district, and the inspectorate's own CSV by municipality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from demo.calendar import received
from demo.county import COUNTY, DISTRICTS, MUNICIPALITIES, OFFENCES, STOCK_YEARS, County, protected
from demo.handout import DEMO_NOTE, Handout, book, saved

DISTRICT, MUNICIPAL = "police__offences_district", "police__offences_municipal"
_VICTIMS_SINCE = 2024
_HEADER = [
    "Schluessel", "Straftat", "Gemeindeschluessel", "Stadt-/Landkreis", "Kreisart", "Anzahl erfasste Faelle",
    "Haeufigkeitszahl", "erfasste Faelle, davon Versuche - Anzahl", "erfasste Faelle, davon Versuche - Anteil in %",
    "mit Schusswaffe gedroht", "mit Schusswaffe geschossen", "Auffklaerung - Anzahl Faelle", "Aufklaerungsquote",
    "Tatverdaechtige insgesamt", "Tatverdaechtige - maennlich", "Tatverdaechtige - weiblich",
    "Nichtdeutsche Tatverdaechtige - Anzahl", "Nichtdeutsche Tatverdaechtige - Anteil in % an der Gesamtzahl",
]  # fmt: skip


def handouts(county: County) -> Iterator[Handout]:
    for year in STOCK_YEARS:
        yield district_csv(county, year) if year % 2 else district_workbook(county, year)
        yield municipal(county, year)


def _districts(county: County, year: int) -> Iterator[list[str | int | float]]:
    for key, (text, _, _) in OFFENCES.items():
        for code, district in DISTRICTS.items():
            inhabitants = county.total(code, max(year - 1, STOCK_YEARS[0]))
            cases, cleared = county.offences(code, key, year)
            suspects, others = county.suspects(code, key, year)
            men, attempts = round(suspects * 0.76), round(cases * 0.06)
            yield [
                key, text, code, district.name.split(",")[0], "KfS" if district.is_town else "LK", cases,
                cases / inhabitants * 100_000, attempts, attempts / cases * 100, cases // 900, cases // 1200, cleared,
                cleared / cases * 100, suspects, men, suspects - men, others, others / suspects * 100,
            ]  # fmt: skip


def district_csv(county: County, year: int) -> Handout:
    """PKS table T01 as CSV: thousands with a comma, keys without their leading zero."""
    lines = [";".join(str(n) for n in range(1, 19)), ";".join(_HEADER)]
    for row in _districts(county, year):
        cells = [
            f"{round(cell, 1):g}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else cell
            for cell in row
        ]
        cells[2], cells[6] = str(row[2]).lstrip("0"), f"{round(float(row[6])):,}"
        lines.append(";".join(cells))
    content = "".join(f"{text}\r\n" for text in lines).encode("cp1252")
    return Handout(DISTRICT, f"PKS-{year}-T01-Kreise_csv.csv", received(DISTRICT, str(year)), content, "bka")


def district_workbook(county: County, year: int) -> Handout:
    """PKS table T01 as a workbook: nine header rows, unrounded rates."""
    made = book("T01_Kreise")
    sheet = made["T01_Kreise"]
    head = [[""] * 18 for _ in range(9)]
    head[0][0], head[1][0], head[0][12] = "Polizeiliche Kriminalstatistik", DEMO_NOTE, "Tabelle 01"
    head[3][12] = f"Berichtszeitraum: 01.01.{year} bis 31.12.{year}"
    head[4] = ["Schlüssel", "Straftat", "Gemeinde-schlüssel", "Stadt-/Landkreis", "Kreisart", "Anzahl erfasste Fälle", "HZ",
               "erfasste Fälle davon: Versuche", "", "mit Schusswaffe", "", "Aufklärung", "", "Tatverdächtige", "", "",
               "Nichtdeutsche Tatverdächtige", ""]  # fmt: skip
    head[6][9:18] = ["gedroht", "geschossen", "Anzahl Fälle", "AQ", "insgesamt", "männlich", "weiblich", "Anzahl",
                     "Anteil an TV insg. in %"]  # fmt: skip
    head[7][7:9] = ["Anzahl", "in %"]
    head[8] = [str(n) for n in range(1, 19)]
    rows: list[Sequence[object]] = [*head, *_districts(county, year)]
    for row in rows:
        sheet.append([None if cell == "" else cell for cell in row])
    return Handout(DISTRICT, f"PKS-{year}-T01-Kreise_xls.xlsx", received(DISTRICT, str(year)), saved(made), "bka")


_HATE = "PMK-FR"
_HATE_TEXT = "PMK: fremdenfeindlich"


def municipal(county: County, year: int) -> Handout:
    """``PKS_Gemeinden_2024.csv``: the year only in the name, the code page of the office, victims from 2024 on."""
    victims_since = year >= _VICTIMS_SINCE
    head = ["Gemeindeschluessel", "Gemeinde", "Schluessel", "Straftat", "Faelle", "aufgeklaert", "TV", "TV_nd"]
    rows = [[*head, *(["Opfer", "Opfer_nd"] if victims_since else [])]]
    for key in ("------", "890000", "892000", "435*00", _HATE):
        text = OFFENCES[key][0] if key in OFFENCES else _HATE_TEXT
        figures = {code: _figures(county, code, key, year) for code in MUNICIPALITIES}
        sums = [sum(column) for column in zip(*figures.values(), strict=True)]
        if key in OFFENCES:
            sums[2:4] = county.suspects(COUNTY, key, year)
        columns = [protected(column, 3) for column in zip(*figures.values(), strict=True)]
        names = {COUNTY: "Landkreis Peine", **{code: place.name for code, place in MUNICIPALITIES.items()}}
        cells: dict[str, list[int | str]] = {
            COUNTY: [*sums],
            **dict(zip(MUNICIPALITIES, map(list, zip(*columns, strict=True)), strict=True)),
        }
        for code, name in names.items():
            shown = cells[code] if victims_since else cells[code][:4]
            rows.append([code, name, key, text, *(_german(cell) for cell in shown)])
    content = "".join(";".join(row) + "\r\n" for row in rows).encode("cp1252")
    return Handout(MUNICIPAL, f"PKS_Gemeinden_{year}.csv", received(MUNICIPAL, str(year)), content, "polizei")


def _figures(county: County, code: str, key: str, year: int) -> tuple[int, ...]:
    """Cases, cleared, suspects, foreign suspects, victims, foreign victims of a municipality."""
    if key == _HATE:
        cases = round(MUNICIPALITIES[code].inhabitants / 5200 * county.around(0.7, 1.4, "hate", code, year))
        cleared = round(cases * 0.55)
        return cases, cleared, cleared, cleared // 9, round(cases * 0.8), round(cases * 0.5)
    cases, cleared = county.offences(code, key, year)
    share = {"892000": 1.15, "435*00": 0.0}.get(key, 0.27)
    victims = round(cases * share)
    return (
        cases,
        cleared,
        *county.suspects(code, key, year),
        victims,
        round(victims * min(0.5, MUNICIPALITIES[code].foreign * 1.7)),
    )


def _german(cell: object) -> str:
    return f"{cell:,}".replace(",", ".") if isinstance(cell, int) else str(cell)
