"""The municipality register and the lists of territorial changes, with the demo's one invented merger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from demo.calendar import received
from demo.county import COUNTY, DISTRICTS, GOSLAR, MERGED, MERGER_DATE, MUNICIPALITIES, NEW, STOCK_YEARS, County, Place
from demo.handout import DEMO_NOTE, Handout, book, saved

_REGIONS = {"1": "Braunschweig", "2": "Hannover", "3": "Lüneburg", "4": "Weser-Ems"}
_TOWN, _LAND = "41", "44"


def handouts(county: County) -> Iterator[Handout]:
    """Fixed width for the first editions, then the workbook; changes of three years."""
    for year in STOCK_YEARS:
        make = fixed_width if year < 2024 else workbook
        yield make(county, year)
    for year in (2023, 2024, 2025):
        yield territorial_changes(year)


def places(code: str, year: int) -> list[Place]:
    """The municipalities the demo knows of a district; a town that is a district is its own municipality."""
    district = DISTRICTS[code]
    if code == COUNTY:
        return list(MUNICIPALITIES.values())
    if code == "03153":
        merged = f"{year}-12-31" >= MERGER_DATE
        return [*(p for p in GOSLAR.values() if not (merged and p.code in MERGED)), *([NEW] if merged else [])]
    if district.is_town:
        return [
            Place(
                f"{code}000", district.name, district.inhabitants, round(district.inhabitants / 900, 1), "61", 0, 0, 0
            )
        ]
    return []


def _inhabitants(county: County, place: Place, year: int) -> tuple[int, int]:
    code = place.code[:5] if place.code.endswith("000") else place.code
    return county.people(code, year, "male"), county.people(code, year, "female")


def fixed_width(county: County, year: int) -> Handout:
    """GV100AD: 220 characters a line; record types 10 state, 20 region, 40 county, 50 association, 60 municipality."""
    lines = [_record("10", year, "03", name="Niedersachsen", seat="Hannover")]
    for region, name in _REGIONS.items():
        lines.append(_record("20", year, f"03{region}", name=f"Statistische Region {name}"))
        for code, district in DISTRICTS.items():
            if code[2] != region:
                continue
            kind = _TOWN if district.is_town else _LAND
            lines.append(_record("40", year, code, name=district.name, seat=district.name.split(",")[0], kind=kind))
            for place in places(code, year):
                association = _association(place)
                lines.append(_record("50", year, code, association=association, name=place.name, kind="50"))
                men, women = _inhabitants(county, place, year)
                figures = f"{round(place.area * 100):011d}{men + women:011d}{men:011d}    00000*****"
                lines.append(
                    _record(
                        "60",
                        year,
                        place.code,
                        association=association,
                        name=place.name,
                        kind=place.kind,
                        figures=figures,
                    )
                )
    content = "".join(f"{text}\r\n" for text in lines).encode()
    at = received("register__municipalities", f"{year}-12-31")
    return Handout("register__municipalities", f"GV100AD_3112{year}.txt", at, content, "register")


def _record(
    record: str,
    year: int,
    code: str,
    *,
    association: str = "",
    name: str,
    seat: str = "",
    kind: str = "",
    figures: str = "",
) -> str:
    key = f"{code:<8}" if len(code) < 8 else code
    return f"{record}{year}1231{key}{association:<4}{name:<50}{seat:<50}{kind:<6}{figures:<72}{'':<20}"


def _association(place: Place) -> str:
    return "0000" if place.code.endswith("000") else f"0{place.code[5:]}"


def workbook(county: County, year: int) -> Handout:
    """The yearly extract: header over several rows, key split over five columns, a sheet name of its own each year."""
    made = book("Inhalt")
    made["Inhalt"]["A1"], made["Inhalt"]["A2"] = "Gemeindeverzeichnis", DEMO_NOTE
    sheet = made.create_sheet(f"Onlineprodukt_Gemeinden3112{year % 100}")
    day = f"31.12.{year}"
    rows: list[Sequence[object]] = [
        [f"Gemeinden in Deutschland nach Fläche, Bevölkerung und Postleitzahl am {day} (Jahr)"],
        [],
        ["Satz-art", "Text-kenn-zeichen", "Amtlicher Regionalschlüssel (ARS)", *[""] * 4, "Gemeindename", "Fläche km2 1)",
         "Bevölkerung2)", "", "", "", "Postleit-zahl3)"],
        ["", "", "Land", "RB", "Kreis", "VB", "Gem", "", "", "insgesamt", "männlich", "weiblich", "je km2"],
        ["", "", f"Gebietsstand am {day} (Jahr)", *[""] * 5, f"{day} (Jahr)", f"am {day} (Jahr)"],
        [],
        ["10", "", "03", "", "", "", "", "Niedersachsen"],
    ]  # fmt: skip
    for region, name in _REGIONS.items():
        rows.append(["20", "", "03", region, "", "", "", f"Statistische Region {name}"])
        for code, district in DISTRICTS.items():
            if code[2] != region:
                continue
            rows.append(["40", _TOWN if district.is_town else _LAND, "03", region, code[3:], "", "", district.name])
            for place in places(code, year):
                men, women = _inhabitants(county, place, year)
                key = ["03", region, code[3:], _association(place)]
                figures = [place.area, men + women, men, women, round((men + women) / place.area)]
                rows.append(["50", "50", *key, "", place.name])
                rows.append(["60", place.kind, *key, place.code[5:], place.name, *figures, "00000"])
    for row in [*rows, [], [DEMO_NOTE]]:
        sheet.append(list(row))
    at = received("register__municipalities", f"{year}-12-31")
    return Handout("register__municipalities", f"3112{year}_Auszug_GV.xlsx", at, saved(made), "register")


def territorial_changes(year: int) -> Handout:
    """The list of a year: one small exchange of land, and in 2024 the merger."""
    made = book("Deckblatt")
    made["Deckblatt"]["A1"], made["Deckblatt"]["A2"] = f"Gebietsänderungen vom 01.01. bis 31.12.{year}", DEMO_NOTE
    sheet = made.create_sheet(f"Gebietsaenderungen {year}")
    title = f"Gebietsänderungen vom 01.01. - 31.12.{year}"
    rows: list[Sequence[object]] = [
        [title, *[""] * 7, title],
        [],
        ["Kennziffer", "Regionaleinheit", "Abgebende/Aufgelöste Gemeinde", *[""] * 5, "Aufnehmende/Neugebildete Gemeinde",
         "", "", "Wirksamkeitsdatum"],
        [],
        ["", "", "Regionalschlüssel (RS)", "Amtlicher Gemeindeschlüssel (AGS)", "Name", "Änderungs-art 1)", "Fläche qm",
         "Einwohner", "Regionalschlüssel (RS)", "Amtlicher Gemeindeschlüssel (AGS)", "Name", "juristisch", "statistisch"],
        [],
        [],
    ]  # fmt: skip
    if f"{year}" == MERGER_DATE[:4]:
        new = [f"031530020{NEW.code[5:]}", NEW.code, NEW.name, "01.11.2024", "01.11.2024"]
        for code in MERGED:
            old = GOSLAR[code]
            rows.append([f"03/{year}/0001-R", "Gemeinde", f"031530{code[5:]}{code[5:]}", code, old.name, "1",
                         str(round(old.area * 1_000_000)), str(old.inhabitants), *new])  # fmt: skip
    gives, takes = GOSLAR["03153002"], GOSLAR["03153017"]
    day = date(year, 7, 1).strftime("%d.%m.%Y")
    from_unit = [f"031530{gives.code[5:]}{gives.code[5:]}", gives.code, gives.name, "2", str(12_000 + year), "0"]
    to_unit = [f"031530{takes.code[5:]}{takes.code[5:]}", takes.code, takes.name, day, day]
    rows.append([f"03/{year}/0002-G", "Gemeinde", *from_unit, *to_unit])
    notes = [[], ["1) Änderungsart:"], ["    1 = Auflösung"], ["    2 = Teilausgliederung"], [DEMO_NOTE]]
    for row in [*rows, *notes]:
        sheet.append(list(row))
    at = received("register__territorial_changes", str(year))
    return Handout("register__territorial_changes", f"{year}.xlsx", at, saved(made), "register")
