"""The desk's German words for states, kinds and times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from teilhabe.codes import wording
from teilhabe.codes.office_time import OFFICE_TIME, spell_moment

CELL_STATES = {
    "delivered": "geliefert",
    "late": "verspätet geliefert",
    "warning": "geliefert, mit Warnung",
    "refused": "zurückgewiesen",
    "asked": "wartet auf Entscheidung",
    "overdue": "überfällig",
    "due": "fällig",
    "not_yet_due": "noch nicht fällig",
    "not_asked": "vor Beginn der Begleitung",
}
"""In the order of the legend."""

DELIVERY_STATES = {
    "received": ("eingegangen, wird geprüft", "due"),
    "validated": ("geprüft, wird geladen", "due"),
    "asked": ("wartet auf Entscheidung", "asked"),
    "loaded": ("geladen", "delivered"),
    "quarantined": ("zurückgewiesen", "refused"),
    "duplicate": ("schon bekannt", "not_yet_due"),
    "failed": ("technischer Fehler, wird wiederholt", "overdue"),
    "unpacked": ("entpackt", "delivered"),
    "withdrawn": ("zurückgezogen", "not_yet_due"),
    "held": ("angehalten", "overdue"),
}
"""Word and sign."""

INCIDENT_STATES = {
    "open": ("offen", "refused"),
    "reopened": ("wieder offen", "refused"),
    "acknowledged": ("in Arbeit", "due"),
    "waived": ("Ausnahme", "warning"),
    "fixed": ("behoben", "delivered"),
}
"""Word and sign."""

SEVERITIES = {severity: word for severity, (word, _) in wording.SEVERITIES.items()}

OPEN_INCIDENTS = ("open", "reopened", "acknowledged")

ACTIONS = {
    "opened": "festgestellt",
    "seen": "erneut festgestellt",
    "acknowledged": "in Arbeit genommen",
    "noted": "Notiz",
    "waived": "Ausnahme zugelassen",
    "waiver_ended": "Ausnahme abgelaufen",
    "fixed": "behoben",
    "reopened": "wieder aufgetreten",
}

MESSAGE_KINDS = {
    "verdict": "Prüfergebnis",
    "repeat": "Hinweis auf Wiederholung",
    "receipt": "Empfangsbestätigung",
    "reminder": "Erinnerung",
    "overdue": "Mahnung",
    "escalation": "Weitergabe an zweite Stelle",
    "closing": "Erledigt-Meldung",
    "operators": "an die Technik",
}

MESSAGE_STATES = {
    "waiting": ("wartet", "not_yet_due"),
    "sending": ("wird gesendet", "due"),
    "sent": ("gesendet", "delivered"),
    "uncertain": ("Versand ungewiss", "warning"),
    "failed": ("nicht zustellbar", "refused"),
    "undeliverable": ("kein Empfänger", "overdue"),
}
"""Word and sign."""

CHANNELS = {"smtp": "E-Mail", "webhook": "Webhook", "drop": "Ablage"}

STEPS = {
    "fetch": "abgeholt",
    "archive": "archiviert",
    "read": "gelesen",
    "validate": "geprüft",
    "load": "geladen",
    "build": "in den Bestand übernommen",
    "publish": "veröffentlicht",
}


def labels(states: Mapping[str, tuple[str, str]]) -> list[tuple[str, str]]:
    """The words of states without their signs, for a list to choose from."""
    return [(key, word) for key, (word, _) in states.items()]


def day(value: date | datetime | None) -> str:
    """``05.03.2026``; a moment as the day it is where the offices are."""
    if value is None:
        return "–"
    return wording.spell_date(value.astimezone(OFFICE_TIME).date() if isinstance(value, datetime) else value)


def moment(value: datetime | None) -> str:
    """``05.03.2026, 14:07 Uhr (MEZ)`` where the offices are."""
    return spell_moment(value) if value else "–"


def iso(value: date | datetime) -> str:
    """For ``datetime`` attributes."""
    return value.astimezone(UTC).isoformat(timespec="seconds") if isinstance(value, datetime) else value.isoformat()


def periods(codes: list[str] | None) -> str:
    """Periods in words; a long list as its ends."""
    if not codes:
        return "–"
    said = [wording.spell_period(code) for code in codes]
    return ", ".join(said) if len(said) <= 3 else f"{said[0]} bis {said[-1]} ({len(said)} Zeiträume)"


def number(value: Any) -> str:
    """``1.234``."""
    return "–" if value is None else f"{value:,}".replace(",", ".")


def size(value: int) -> str:
    """Bytes as people say them."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)):
        if value >= factor:
            return f"{value / factor:.1f} {unit}".replace(".0 ", " ").replace(".", ",")
    return f"{value} Byte"


def share(value: Any) -> str:
    """``0.5`` is ``50 %``."""
    return "–" if value is None else f"{float(value) * 100:.0f} %"


def days_until(value: date, today: date) -> str:
    """``heute``, ``morgen``, ``in 5 Tagen``, ``seit 3 Tagen``."""
    days = (value - today).days
    if days == 0:
        return "heute"
    if days == 1:
        return "morgen"
    if days > 0:
        return f"in {days} Tagen"
    return "seit gestern" if days == -1 else f"seit {-days} Tagen"
