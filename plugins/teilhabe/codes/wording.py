"""What a contract says, in German sentences and words: templates and pages tell the offices the same."""

from __future__ import annotations

import csv
import re
from datetime import date
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from teilhabe.codes.periods import period_end
from teilhabe.contract.delivery_calendar import due_entries, years_around
from teilhabe.settings import get_settings

if TYPE_CHECKING:
    from teilhabe.contract.delivery_calendar import DueEntry
    from teilhabe.contract.layouts import Layout, LayoutBase
    from teilhabe.contract.model import Contract, Server

DEMO = "Demo: erfundene Zahlen"
"""Stands over everything shown from deliveries of the demo."""

MONTHS = ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
          "November", "Dezember")  # fmt: skip

FREQUENCIES = {
    "yearly": "jährlich",
    "half_yearly": "halbjährlich",
    "quarterly": "vierteljährlich",
    "monthly": "monatlich",
    "per_term": "je Wahlperiode",
}
STATUSES = {
    "active": "gültig",
    "draft": "Entwurf",
    "proposed": "vorgeschlagen",
    "deprecated": "läuft aus",
    "retired": "beendet",
}
LEVELS = {
    "country": "Bund",
    "state": "Land",
    "region": "statistische Region",
    "county": "Landkreis",
    "association": "Samtgemeinde",
    "municipality": "Gemeinde",
}
MEANINGS = {
    "zero": "genau null",
    "missing": "keine Angabe, Wert nicht vorhanden",
    "suppressed": "geheim gehalten (Wert gesperrt)",
    "unreliable": "Wert nicht sicher genug",
    "later": "Angabe folgt später",
}
UNNAMED_FILE = "(Name nicht wiedergegeben)"
"""Instead of the name of a file about single persons, which may name one."""


def how_much(taken: int, left_out: int = 0, *, rows: bool) -> str:
    """``3.426 von 3.450 Zeilen übernommen``, ``321 Werte übernommen, eine Stelle nicht``, ``46 Zeilen``.

    ``rows``: a row of the file is one number.
    """
    if left_out and rows:
        return f"{_thousands(taken)} von {_thousands(taken + left_out)} Zeilen übernommen"
    one, several = ("Zeile", "Zeilen") if rows else ("Wert", "Werte")
    counted = f"{_thousands(taken)} {one if taken == 1 else several}"
    return f"{counted} übernommen, {places(left_out)} nicht" if left_out else counted


def places(count: int) -> str:
    """``eine Stelle``, ``24 Stellen``."""
    return "eine Stelle" if count == 1 else f"{_thousands(count)} Stellen"


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", ".")


SEVERITIES = {
    "critical": ("Fehler", "Die Lieferung wird nicht geladen und muss neu gesendet werden."),
    "warning": ("Warnung", "Die Lieferung wird geladen; bitte prüfen und bei Bedarf neu senden."),
    "info": ("Hinweis", "Die Lieferung wird geladen; zur Kenntnis."),
}
FAULTS_OF_PUBLISHED = (
    "Fehler",
    "Einzelne fehlerhafte Zeilen oder Werte werden nicht übernommen, alles Übrige wird geladen. Betrifft der Fehler die ganze "
    "Datei, wird sie nicht geladen.",
)
"""Of tables that are published, and that nobody will mend for us."""
NUMBERS = {
    "german": "deutsch: 1.234,5",
    "english": "englisch: 1,234.5",
    "international": "ohne Tausendertrennung, Dezimalpunkt: 1234.5",
}
SECRECY = {
    "none": "Die Zahlen sind nicht geheim gehalten und nicht gerundet.",
    "min3": "Werte aus weniger als 3 Fällen sind gesperrt.",
    "min3+secondary": "Werte aus weniger als 3 Fällen sind gesperrt; weitere Werte sind gesperrt, damit sich diese nicht errechnen lassen.",
    "min5": "Werte aus weniger als 5 Fällen sind gesperrt.",
    "round3": "Alle Werte sind auf ein Vielfaches von 3 gerundet; Summen können abweichen.",
    "round5": "Alle Werte sind auf ein Vielfaches von 5 gerundet; Summen können abweichen.",
    "round10": "Alle Werte sind auf ein Vielfaches von 10 gerundet; Summen können abweichen.",
    "ckm": "Die Werte sind mit der Cell-Key-Methode leicht verändert; Summen können abweichen.",
}


def spell_period(code: str) -> str:
    """A period as an office writes it: ``2024-03`` -> März 2024, ``SY2023`` -> Schuljahr 2023/24; no code stays as it is."""
    if period_end(code) is None:
        return code
    year = int(code[2:6]) if code[0].isalpha() else int(code[:4])
    following = f"{year}/{(year + 1) % 100:02d}"
    match code[:2] if code[0].isalpha() else code[5:6]:
        case "SY":
            return f"Schuljahr {following}"
        case "AY":
            return f"Berichtsjahr {following}"
        case "WH":
            return f"WHJ {following}"
        case "SH":
            return f"SHJ {year}"
        case "H":
            return f"{code[6]}. Halbjahr {year}"
        case "Q":
            return f"{code[6]}. Quartal {year}"
        case "":
            return str(year)
    if len(code) == len("2024-03"):
        return f"{MONTHS[int(code[5:7]) - 1]} {year}"
    return f"{code[8:10]}.{code[5:7]}.{year}"


_EXAMPLES = {
    "{month}": "März 2024",
    "{quarter}": "1. Quartal 2024",
    "{half_year}": "1. Halbjahr 2024",
    "{school_year}": "Schuljahr 2023/24",
    "{guidance_year}": "Berichtsjahr 2023/24",
    "{allocation_half_year}": "WHJ 2023/24",
    "{date}": "31.12.2024",
}


def wanted_period(template: str) -> str:
    """What is expected where a period of this template does not stand."""
    return f"ein Zeitraum wie „{_EXAMPLES.get(template, '2024')}“"


def delivered_period(code: str, layout: LayoutBase) -> str | None:
    """The period as it has to stand in a file of this layout; None where the layout cannot say it."""
    from teilhabe.reading.cells.periods import parse_period

    year = int(code[2:6]) if code[0].isalpha() else int(code[:4])
    texts = [spell_period(code), spell_period(code).rpartition(" ")[2], str(year), str(year + 1), code]
    return next((text for text in texts if parse_period(text, layout.period) == code), None)


def spell_date(day: date) -> str:
    return f"{day:%d.%m.%Y}"


def next_due(contract: Contract, today: date, count: int = 3) -> list[DueEntry]:
    """The deliveries due next, one entry per period (senders of one period owe theirs on the same day)."""
    entries: dict[str, DueEntry] = {}
    for entry in due_entries(contract, _years(contract, today)):
        if entry.due_on >= today:
            entries.setdefault(entry.period_code, entry)
    return list(islice(entries.values(), count))


def ended_periods(contract: Contract, today: date) -> list[str]:
    """Codes of the periods that are over, oldest first: what can be delivered today."""
    codes = {e.period_code: e for e in due_entries(contract, _years(contract, today)) if e.reference_end <= today}
    return list(codes)


def _years(contract: Contract, today: date) -> range:
    around = years_around(contract, today)
    return range(around.start, max(around.stop, today.year + 4))


def due_rule(contract: Contract) -> str:
    """When a delivery is due, as a sentence."""
    lag, grace = contract.calendar.lag_days, contract.calendar.grace_days
    frequency = FREQUENCIES[contract.calendar.frequency]
    waits = f"; erinnert wird nach weiteren {grace} Tagen" if grace else ""
    return (
        f"{frequency[:1].upper()}{frequency[1:]}, {lag} Tage nach Ende des Berichtszeitraums (am Wochenende und an "
        f"Feiertagen: am nächsten Werktag danach){waits}."
    )


def due_sentence(entry: DueEntry) -> str:
    return f"{spell_period(entry.period_code)}: bis {spell_date(entry.due_on)}"


def sign_lines(contract: Contract, layout: LayoutBase | None = None) -> list[tuple[str, str]]:
    """(sign, meaning) of everything that may stand in a cell instead of a number."""
    from teilhabe.reading.cells.symbols import signs

    rules = (layout.symbols if layout is not None else None) or contract.symbols
    lines = [
        (sign or "leere Zelle", MEANINGS[meaning])
        for sign, meaning in signs(rules).items()
        if sign not in "Xx\u2026" or sign in ("", "x")
    ]
    if rules.dash == "missing_when_all":
        lines = [(s, "genau null; fehlt, wenn ein Gebiet nur solche Striche hat" if s == "-" else m) for s, m in lines]
    return lines


def secrecy_sentence(contract: Contract) -> str:
    """What is done with small numbers, and by whom."""
    smallest = {"min3": 2, "min5": 4}.get(contract.secrecy_method)
    sign = next((sign for sign, meaning in sign_lines(contract) if meaning == MEANINGS["suppressed"]), None)
    if not contract.mendable or smallest is None or sign is None or sign == "leere Zelle":
        return SECRECY[contract.secrecy_method]
    return (
        f"Zahlen von 1 bis {smallest} trägt die meldende Stelle nicht ein: Sie schreibt statt der Zahl „{sign}“. Eine 0 bleibt 0, und "
        "eine Summe wird mit allen Fällen gebildet, auch mit denen, für die ein Zeichen steht."
    )


def code_words(column: str, code: str) -> str:
    """A code in words, as the seeds of labels say it for the warehouse too; a code without a label stays as it is."""
    if column == "category":
        return _category_labels().get(code, code)
    for pattern, label in _group_labels().get(column, ()):
        if found := pattern.fullmatch(code):
            return found.expand(label)
    return code


@cache
def _group_labels() -> dict[str, list[tuple[re.Pattern[str], str]]]:
    """Coordinate -> patterns of its codes and what they are called; the first that fits counts."""
    labels: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    for row in sorted(_seed("group_labels"), key=lambda row: int(row["priority"])):
        labels.setdefault(row["coordinate"], []).append((re.compile(row["pattern"]), row["label_de"]))
    return labels


@cache
def _category_labels() -> dict[str, str]:
    return {row["category_code"]: row["label_de"] for row in _seed("category_labels")}


def _seed(name: str) -> list[dict[str, str]]:
    """The rows of a seed; none where the project carries no warehouse."""
    path = get_settings().dbt_project / "seeds" / f"{name}.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


UPLOAD = "auf der Seite „Lieferungen“ des Landkreises hochladen (mit Zugangsdaten; geprüft wird sofort)"


def ways(contract: Contract) -> list[str]:
    """How files get here, in the words of a list."""
    said = [way(server, contract) for server in contract.servers]
    if any(server.type != "api" for server in contract.servers):
        said.insert(0, UPLOAD)
    return list(dict.fromkeys(said))


def way(server: Server, contract: Contract) -> str:
    """How files get here from a server of the contract."""
    if server.kind == "imap":
        return "als Anhang einer E-Mail an das Datenpostfach des Landkreises"
    return {
        "local": "als Datei über den Eingangsordner des Landkreises",
        "sftp": "über den SFTP-Server; der Landkreis holt die Datei ab",
        "s3": "über den Objektspeicher; der Landkreis holt die Datei ab",
        "api": "vom Landkreis aus dem Internet abgerufen",
    }.get(server.type, server.description or "nach Absprache")


def file_kind(layout: Layout) -> str:
    """What kind of file a layout is."""
    match layout.reader:
        case "form":
            return "Excel-Formular des Landkreises"
        case "table":
            kinds = {"csv": "CSV-Datei", "workbook": "Excel-Arbeitsmappe"}
            return " oder ".join(kinds[kind] for kind in layout.kinds)
        case "genesis_csv":
            return f"CSV-Abruf der GENESIS-Tabelle {layout.table}"
        case "ffcsv":
            return f"flache CSV-Datei (ffcsv) der Statistik {layout.statistics}"
        case "tidy_csv":
            return "CSV-Datei, eine Zeile je Wert"
        case "gv100ad":
            return "Textdatei mit fester Satzlänge (GV100AD)"
        case _:
            return "Excel-Arbeitsmappe"
