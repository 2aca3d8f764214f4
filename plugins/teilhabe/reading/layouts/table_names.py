"""Which official table a file is, by what it says of itself: so that a refusal names it.

Only what stands in the file (or, for the monitor, in its name) is said: a table's code, its title, its kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from teilhabe.reading.cells.headings import find_day
from teilhabe.reading.cells.labels import normalise
from teilhabe.reading.cells.periods import parse_period
from teilhabe.reading.files.source import Source, cell_text

_GENESIS = re.compile(r"(?:GENESIS-)?Tabelle:\s*(\d{5}-[\w-]+)")
_TABLE_IN_NAME = re.compile(r"(?<!\d)(\d{5}-\d{2}-\d{2}-\d(?:-[A-Z])?|\d{5}-\d{4})(?!\d)")
_INDICATOR = re.compile(r"(?<![\d-])\d-\d-\d(?![\d-])")
_RECORD = re.compile(r"(10|20|30|40|50|60)\d{8}\d\d")
_ELECTION = re.compile(r"(?:wahl|wahlen|wahlkreis)\b", re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d{2}(?!\d)")
_RATE = re.compile(r"hz|haeufigkeitszahl")
_ROWS = 15


def name_of(source: Source) -> str | None:
    """A German noun phrase in the nominative (``GENESIS-Tabelle 12411-01-01-5 („…“)``), None where nothing is known."""
    rows = _rows(source)
    return next((name for look in _LOOKS if (name := look(source, rows))), None)


def _rows(source: Source) -> list[list[str]]:
    """The first rows of every sheet, or of the text."""
    if source.is_workbook:
        return [[cell_text(cell) for cell in row] for cells in source.sheets.values() for row in cells[:_ROWS]]
    lines = source.head_text.split("\n")[:_ROWS]
    return [[cell.strip().strip('"') for cell in re.split(r"[;\t]", line)] for line in lines]


def _genesis(source: Source, rows: list[list[str]]) -> str | None:
    for index, row in enumerate(rows):
        found = _GENESIS.match(row[0].strip()) if row else None
        if found is None:
            continue
        title = []
        for below in rows[index + 1 : index + 5]:
            texts = [text for text in below if text.strip()]
            if len(texts) != 1 or not below[0].strip() or parse_period(below[0], "{date}"):
                break
            if below[0].strip().startswith("regionale Tiefe"):
                break
            title.append(texts[0].strip())
        return f"GENESIS-Tabelle {found[1]}" + (f" („{_short(' '.join(title))}“)" if title else "")
    return None


def _flat(source: Source, rows: list[list[str]]) -> str | None:
    if source.is_workbook or len(rows) < 2:
        return None
    headers, first = rows[0], dict(zip(rows[0], rows[1], strict=False))
    code = first.get("statistics_code") or first.get("Statistik_Code")
    if not code or not any("variable" in header or "Merkmal" in header for header in headers):
        return None
    label = first.get("statistics_label") or first.get("Statistik_Label") or ""
    table = _TABLE_IN_NAME.search(source.file_name)
    what = f"GENESIS-Tabelle {table[1]} als flache Datei" if table else "eine flache GENESIS-Datei"
    return f"{what} (Statistik {code}{f' „{_short(label)}“' if label else ''})"


def _monitor(source: Source, rows: list[list[str]]) -> str | None:
    marker = _INDICATOR.search(source.file_name)
    headers = {normalise(cell) for row in rows[:1] for text in row for cell in text.split(",")}
    is_tidy = bool({"geocode", "value"} & headers) and bool({"year", "jahr"} & headers)
    return f"Indikator {marker[0]} des Integrationsmonitorings" if marker and is_tidy else None


def _register(source: Source, rows: list[list[str]]) -> str | None:
    texts = {normalise(text) for row in rows for text in row}
    is_fixed = bool(rows and rows[0] and _RECORD.match(rows[0][0]))
    if not is_fixed and not {"satzart", "textkennzeichen"} <= texts:
        return None
    if is_fixed:
        day: str | None = f"{rows[0][0][2:6]}-{rows[0][0][6:8]}-{rows[0][0][8:10]}"
    else:
        day = next((day for row in rows for text in row if (day := find_day(text))), None)
    return "das Gemeindeverzeichnis" + (f" (Gebietsstand {day[8:]}.{day[5:7]}.{day[:4]})" if day else "")


def _changes(source: Source, rows: list[list[str]]) -> str | None:
    texts = [text for row in rows for text in row]
    if not any(normalise(text).startswith("aenderungsart") for text in texts):
        return None
    title = next((text for text in texts if "änderungen" in text and _YEAR.search(text)), None)
    return f"die Liste der Gebietsänderungen{f' „{_short(title)}“' if title else ''}"


def _police(source: Source, rows: list[list[str]]) -> str | None:
    texts = [" ".join(text.split()) for row in rows for text in row if text.strip()]
    is_police = any("Polizeiliche Kriminalstatistik" in text for text in texts)
    is_table = {"straftat"} <= {normalise(text) for text in texts} and any(_RATE.match(normalise(t)) for t in texts)
    if not is_police and not is_table:
        return None
    table = next((text for text in texts if re.fullmatch(r"Tabelle \d{1,9}\w*", text)), "eine Tabelle")
    area = next((text for text in texts if text.startswith("Bereich:")), None)
    return f"{table} der Polizeilichen Kriminalstatistik" + (f" ({area})" if area else "")


def _election(source: Source, rows: list[list[str]]) -> str | None:
    texts = [" ".join(text.split()) for row in rows for text in row if text.strip()]
    title = next((text for text in texts if _ELECTION.search(text) and _YEAR.search(text)), None)
    is_result = any(normalise(text).startswith(("wahlberechtigt", "wahlbe")) for text in texts)
    return f"ein Wahlergebnis („{_short(title)}“)" if title and is_result else None


def _agency(source: Source, rows: list[list[str]]) -> str | None:
    texts = [" ".join(text.split()) for row in rows for text in row if text.strip()]
    return "die Mappe „Arbeitsmarkt kommunal“ der Bundesagentur" if "Arbeitsmarkt kommunal" in texts else None


_LOOKS: tuple[Callable[[Source, list[list[str]]], str | None], ...] = (
    _genesis, _flat, _monitor, _register, _changes, _police, _election, _agency,
)  # fmt: skip


def _short(text: str) -> str:
    text = " ".join(text.split()).rstrip(":;, ")
    return text if len(text) <= 120 else text[:117] + "…"
