"""The county's Excel forms as the seven municipalities fill them in: a block of labels and values, and a small table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from demo.calendar import received
from demo.county import MONTHS, MUNICIPALITIES, County, protected, split
from demo.genesis import asylum
from demo.handout import Cell, Handout, book, note_sheet, saved
from demo.offices import HALF_YEARS

HOUSING, VOLUNTEERS = "housing__accommodation", "civic__volunteers"
STATUSES = ("Asylverfahren", "Duldung", "Schutzstatus", "Ukraine", "Sonstige")


def handouts(county: County) -> Iterator[Handout]:
    for code in MUNICIPALITIES:
        for month in MONTHS:
            yield accommodation(county, code, month)
        for half in HALF_YEARS:
            yield volunteers(county, code, half)


def accommodation(county: County, code: str, month: str, days: int = 0) -> Handout:
    """Persons housed by status, places, moves into an own flat; a status below five persons is secret."""
    place = MUNICIPALITIES[code]
    housed, private = county.monthly("housed", code, month), county.monthly("private", code, month)
    town = code == "03157006"
    occupied = round(housed * (0.62 if town else 0.38))
    places = round(occupied / county.around(0.78, 0.93, "places", code, month[:4]))
    recipients = asylum(county, code, month)
    homeless = round(place.inhabitants * (0.00095 if town else 0.0006)) if month.endswith("-01") else None
    block: dict[str, Cell] = {
        "Gemeinde": place.name,
        "Gemeindeschlüssel": code,
        "Berichtsmonat": month,
        "Betriebsbereite Plätze": places,
        "Belegte Plätze": occupied,
        "Auszüge in eigenen Wohnraum": max(5, round(housed * 0.03 * county.around(0.8, 1.2, "flats", code, month))),
        "Aufenthaltsmonate der Untergebrachten": round(housed * county.around(15.5, 17.5, "stay", code, month)),
        "Leistungsberechtigte AsylbLG": recipients,
        "davon in Wohnungen (dezentral)": round(recipients * (0.46 if town else 0.71)),
        "Untergebrachte wohnungslose Personen": homeless,
    }
    table = (("Status", "kommunal untergebracht", "privat untergebracht"), *zip(
        (*STATUSES, "Insgesamt"),
        (*protected(split(housed, (0.34, 0.09, 0.25, 0.27, 0.05)), 5), housed),
        (*protected(split(private, (0.16, 0.04, 0.3, 0.45, 0.05)), 5), private),
        strict=True,
    ))  # fmt: skip
    at = received(HOUSING, month, days)
    return Handout(
        HOUSING, f"Unterbringung_{code}_{month}.xlsx", at, form("Meldung zur Unterbringung", block, table), sender(code)
    )


_KINDS = {"Sportverein": (0.3, 0.42), "Migrantenorganisation": (0.14, 0.19), "Kirche oder Religionsgemeinschaft": (0.24, 0.22),
          "Feuerwehr": (0.12, 0.06), "Sonstige": (0.2, 0.11)}  # fmt: skip


def volunteers(county: County, code: str, half: str, days: int = 0) -> Handout:
    """Volunteers, staff, and what associations and initiatives offered."""
    place = MUNICIPALITIES[code]
    active = round(
        county.monthly("housed", code, half.replace("-H1", "-06").replace("-H2", "-12"))
        * county.around(0.19, 0.25, "volunteers", code, half)
    )
    staff = round(place.inhabitants * 0.0105)
    foreign = round(staff * county.around(0.035, 0.06, "staff", code) * (1 + 0.05 * (int(half[:4]) - 2023)))
    events = round(active * 0.9 * county.around(0.85, 1.15, "events", code, half))
    associations = max(12, round(place.inhabitants / 900))
    participations = round(events * county.around(17, 24, "participations", code, half))
    year, number = half[:4], half[-1]
    block: dict[str, Cell] = {
        "Gemeinde": place.name,
        "Gemeindeschlüssel": code,
        "Halbjahr": f"{number}. Halbjahr {year}",
        "Aktive Ehrenamtliche": active,
        "Begegnungsangebote": events,
        "Beschäftigte der Kernverwaltung": staff,
        "davon nichtdeutsche Staatsangehörigkeit": "*" if 0 < foreign < 3 else foreign,
    }
    counts = split(associations, (share for share, _ in _KINDS.values()))
    visits = split(participations, (share for _, share in _KINDS.values()))
    table = (("Art", "aktive Vereine und Initiativen", "Teilnahmen"), *zip(
        (*_KINDS, "Insgesamt"), (*protected(counts, 3), associations), (*protected(visits, 3), participations), strict=True,
    ))  # fmt: skip
    at = received(VOLUNTEERS, half, days)
    return Handout(
        VOLUNTEERS, f"Ehrenamt_{code}_{half}.xlsx", at, form("Meldung zum Ehrenamt", block, table), sender(code)
    )


def sender(code: str) -> str:
    """Local part of a municipality's address, as in the contracts."""
    return MUNICIPALITIES[code].plain.lower()


def form(title: str, block: dict[str, Cell], table: Sequence[Sequence[Cell]]) -> bytes:
    made = book("Meldung")
    sheet = made["Meldung"]
    sheet.append([f"{title} (Demo: erfundene Zahlen)"])
    sheet.append([])
    for label, value in block.items():
        sheet.append([label, value])
    sheet.append([])
    for row in table:
        sheet.append(list(row))
    note_sheet(made)
    return saved(made)
