"""Files about single persons: the county takes aggregates only (§ 16 BStatG), so these are refused before anything is quoted.

Nothing of such a file may reach a message, a log or a table: the finding says what kind of thing gave it away, in words of
this module, and never a text of the file. The check runs on every delivery, whichever dataset it was meant for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

from teilhabe.contract.model import Contract
from teilhabe.findings import saying
from teilhabe.reading.cells.labels import normalise
from teilhabe.reading.files import kinds
from teilhabe.reading.files.source import Cell, Source, cell_text
from teilhabe.reading.files.text import lines_of
from teilhabe.reading.report import Report

RULE = saying.PERSON_LEVEL

_HEADER_ROWS = 60
"""A header is looked for in so many rows at the beginning, and at the end: a list may stand below a table."""
_SAMPLE_ROWS = 200
_PLACES = 8
_PLACE_BYTES = 16_384
_BLOCK = 4 << 20
_OVERLAP = 64
_DELIMITERS = (";", ",", "\t", "|")

_NAMES, _BIRTH, _NUMBERS, _BANK, _CONTACT = (
    "Namen von Personen",
    "Geburtsdaten",
    "persönlichen Nummern",
    "Bankverbindungen",
    "Anschriften oder Rufnummern",
)

_SURE = {
    _NAMES: "vorname vornamen nachname nachnamen familienname familiennamen zuname rufname geburtsname namevorname "
    "nameundvorname vornamename vornameundname vornamenachname vorundnachname vorundzuname nachnamevorname "
    "nameklient nameklientin namedesschuelers namederschuelerin namedesteilnehmers firstname lastname surname",
    _BIRTH: "geburtsdatum geburtsdaten geburtstag gebdatum gebdat geborenam dateofbirth birthdate",
    _NUMBERS: "azrnummer azrnr azrzahl passnummer passnr reisepassnummer ausweisnummer ausweisnr personalausweisnummer "
    "bgnummer bgnr bedarfsgemeinschaftsnummer kundennummer kundennr fallnummer sozialversicherungsnummer svnummer svnr "
    "rentenversicherungsnummer rvnummer versicherungsnummer versichertennummer krankenversichertennummer "
    "steueridentifikationsnummer steuerid steueridnr steuernummer personennummer personenkennziffer personenid "
    "matrikelnummer azr",
    _BANK: "iban kontonummer kontonr bankverbindung",
    _CONTACT: "wohnanschrift meldeanschrift privatanschrift handynummer mobilnummer handynr mobiltelefon",
}
"""Header texts, spelt as ``normalise`` spells them: one of these says that every row is a person."""

_LIKELY = frozenset(
    "strasse hausnummer hausnr strassehausnummer strasseundhausnummer strassenr anschrift adresse telefon telefonnummer "  # noqa: SIM905
    "telefonnr tel handy mobil email emailadresse mail aktenzeichen az geburtsort plz wohnort".split()
)
"""Says so only beside a column of names, and not in a table of clubs, schools or other institutions."""

_NAME = (
    "name",
    "person",
    "klient",
    "klientin",
    "teilnehmer",
    "teilnehmerin",
    "teilnehmende",
    "schueler",
    "antragsteller",
)
_INSTITUTION = (
    "verein",
    "traeger",
    "schule",
    "einrichtung",
    "institution",
    "firma",
    "organisation",
    "unternehmen",
    "kita",
)

_IBAN = re.compile(rb"(?<![A-Z0-9])[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Z0-9])")
_IBAN_DE = re.compile(rb"DE\d\d ?\d{4} ?\d{4} ?\d{4} ?\d{4} ?\d\d(?!\d)")
_IBAN_LENGTHS = {
    "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18,
    "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IT": 27, "LT": 20, "LU": 20, "LV": 21, "MT": 31,
    "NL": 18, "PL": 28, "PT": 25, "RO": 24, "SE": 24, "SI": 19, "SK": 24, "TR": 26, "UA": 29,
}  # fmt: skip
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.((?:19|20)\d\d)|((?:19|20)\d\d)-(\d\d)-(\d\d)(?:T[\d:.]+)?")
_AZR = re.compile(r"(\d\d)(\d\d)(\d\d)\d{6}")
_INSURANCE = re.compile(r"\d{2}([0-3]\d)([01]\d)\d{2}[A-Z]\d{3}")
_PHONE = re.compile(r"(?:\+49|0)[1-9]\d{1,4}[ /\-]{1,9}[\d ]{4,30}\d")
_STATE_CODES = 16
"""Official keys of municipalities have twelve digits as well; they begin with 01 to 16."""


def check(source: Source, contract: Contract) -> None:
    """Raises ``file.person_level`` when the file is about single persons, and says nothing else about it."""
    agreed = _agreed(contract)
    if source.is_workbook:
        _check_workbook(source, agreed)
    elif source.kind == "text":
        _check_text(source, agreed)
    elif source.kind in kinds.MARKUP or source.kind == "ods":
        content = kinds.content_of_ods(source.path) if source.kind == "ods" else source.head
        rows = list(islice(kinds.rows_of_markup(content), _SAMPLE_ROWS))
        for row in rows[:_HEADER_ROWS]:
            _check_header(row, agreed, source.report, None)
        _check_rows(rows, source.report)


def _check_text(source: Source, agreed: frozenset[str]) -> None:
    head = [_split(line) for line in source.head_lines[: _SAMPLE_ROWS + 1]]
    for number, row in enumerate(head[:_HEADER_ROWS], start=source.lines_above + 1):
        _check_header(row, agreed, source.report, number)
    _check_rows([*head, *_sample(source)], source.report)
    _check_end([_split(line) for line in _last_lines(source)], agreed, source.report)
    if _has_iban(source):
        raise _refusal(source.report, _BANK)


def _check_workbook(source: Source, agreed: frozenset[str]) -> None:
    for rows in source.all_sheets.values():
        for number, cells in enumerate(rows[:_HEADER_ROWS], start=1):
            _check_header([cell_text(cell) for cell in cells], agreed, source.report, number)
        step = max(1, len(rows) // _SAMPLE_ROWS)
        chosen = [*rows[:_SAMPLE_ROWS], *rows[_SAMPLE_ROWS::step]]
        _check_rows([[cell_text(cell) for cell in cells] for cells in chosen], source.report)
        end = rows[max(_HEADER_ROWS, len(rows) - _HEADER_ROWS) :]
        _check_end([[cell_text(cell) for cell in cells] for cells in end], agreed, source.report)
        if any(_is_iban_in(text) for text in _texts(rows)):
            raise _refusal(source.report, _BANK)
    _check_header(source.facts.pivot_fields, agreed, source.report, None)


def _check_end(rows: list[list[str]], agreed: frozenset[str], report: Report) -> None:
    """The last rows by themselves: below a long table a few rows about persons are a small part of all."""
    for row in rows:
        _check_header(row, agreed, report, None)
    _check_rows(rows, report)


def _last_lines(source: Source) -> list[str]:
    with source.path.open("rb") as stream:
        stream.seek(max(0, source.size - _PLACE_BYTES))
        return lines_of(stream.read().decode("utf-8", "replace"))[1:][-_HEADER_ROWS:]


def _texts(rows: list[list[Cell]]) -> Iterator[str]:
    for cells in rows:
        for cell in cells:
            if cell.__class__ is str and len(cell) > 15:
                yield cell


def _check_header(row: Sequence[str], agreed: frozenset[str], report: Report, number: int | None) -> None:
    texts = {normalise(text) for text in row if 2 <= len(text) <= 80} - agreed
    if sum(bool(text.strip()) for text in row) < 2:
        return
    for kind, words in _words().items():
        if any(_says(text, words) for text in texts):
            raise _refusal(report, kind, row=number)
    everything = {normalise(text) for text in row if len(text) <= 80}
    contact = texts.intersection(_LIKELY) - {"plz", "wohnort"}
    if not contact or any(text.startswith(_INSTITUTION) for text in everything):
        return
    named = bool(everything.intersection(_NAME)) and len(everything) > 2
    if named or len(texts.intersection(_LIKELY)) > 2:
        raise _refusal(report, _CONTACT if contact - {"aktenzeichen", "az"} else _NUMBERS, row=number)


@lru_cache(maxsize=1)
def _words() -> dict[str, frozenset[str]]:
    return {kind: frozenset(words.split()) for kind, words in _SURE.items()}


def _says(text: str, words: frozenset[str]) -> bool:
    """The word itself, or the word with a little before or after it: ``Geburtsdatum Kind``, ``Vorname des Vaters``."""
    if text in words:
        return True
    return len(text) <= 30 and any(len(word) > 6 and (text.startswith(word) or text.endswith(word)) for word in words)


@lru_cache(maxsize=64)
def _agreed_of(dumped: tuple[str, ...]) -> frozenset[str]:
    return frozenset(normalise(text) for text in dumped)


def _agreed(contract: Contract) -> frozenset[str]:
    """Every text the contract itself expects in the file."""
    return _agreed_of(tuple(text for layout in contract.layouts for text in _strings(layout.model_dump())))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _check_rows(rows: Iterable[Sequence[str]], report: Report) -> None:
    """Columns of birth dates, personal numbers or addresses; rows that carry two such things at once."""
    full = [[text.strip().strip('"').strip() for text in row] for row in rows]
    full = [row for row in full if sum(map(bool, row)) > 1]
    if not full:
        return
    found = [[_kind(text) if 8 <= len(text) <= 60 else None for text in row] for row in full]
    persons = sum(len({kind for kind in row if kind}) > 1 for row in found)
    if persons and persons * 2 >= len(full):
        raise _refusal(report, _NUMBERS)
    for column in range(min(500, max(map(len, full)))):
        texts = [row[column] for row in full if column < len(row) and row[column]]
        kinds = [row[column] for row in found if column < len(row)]
        for kind in {_BIRTH, _NUMBERS, _CONTACT}:
            times = kinds.count(kind)
            if times > 2 and times * 2 >= len(texts) and _speaks_of_persons(kind, texts):
                raise _refusal(report, kind)


def _kind(text: str) -> str | None:
    if found := _DATE.fullmatch(text):
        day, month, year = (found[1], found[2], found[3]) if found[1] else (found[6], found[5], found[4])
        return _BIRTH if _is_birthday(int(year), int(month), int(day)) else None
    if found := _AZR.fullmatch(text):
        return _NUMBERS if int(found[1]) > _STATE_CODES and _is_day(2000, int(found[2]), int(found[3])) else None
    if (found := _INSURANCE.fullmatch(text)) and _is_day(2000, int(found[2]), int(found[1])):
        return _NUMBERS
    if _EMAIL.fullmatch(text) or _PHONE.fullmatch(text):
        return _CONTACT
    return _BANK if _is_iban_in(text) else None


def _is_birthday(year: int, month: int, day: int) -> bool:
    """A day people are born on and statistics are not taken on: no first, fifteenth or last of a month."""
    if not 1900 < year <= datetime.now().year or not _is_day(year, month, day):  # noqa: DTZ005 - only the year counts
        return False
    return day not in (1, 15) and _is_day(year, month, day + 1)


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        return bool(date(year, month, day))
    except ValueError:
        return False


def _speaks_of_persons(kind: str, texts: list[str]) -> bool:
    """Birth dates differ from row to row and lie decades apart; so do numbers and addresses differ."""
    distinct = set(texts)
    if len(distinct) < 3 or len(distinct) * 2 < len(texts):
        return False
    if kind != _BIRTH:
        return True
    years = [int(found[3] or found[4]) for text in distinct if (found := _DATE.fullmatch(text))]
    return max(years) - min(years) >= 5


def _split(line: str) -> list[str]:
    delimiter = max(_DELIMITERS, key=line.count)
    return [cell.strip().strip('"') for cell in line.split(delimiter)]


def _sample(source: Source) -> Iterator[list[str]]:
    """Lines from places all over the file."""
    if source.size <= len(source.head):
        return
    with source.path.open("rb") as stream:
        for place in range(1, _PLACES + 1):
            stream.seek(max(0, source.size * place // _PLACES - _PLACE_BYTES))
            lines = lines_of(stream.read(_PLACE_BYTES).decode("cp1252", "replace"))[1:-1]
            yield from (_split(line) for line in lines[: _SAMPLE_ROWS // 2])


def _has_iban(source: Source) -> bool:
    """Whether a number with a right checksum stands anywhere; German ones in all of the file, foreign ones in samples."""
    if any(_is_iban(found[0]) for found in _IBAN.finditer(source.head_text.encode("ascii", "replace"))):
        return True
    before = b""
    with source.path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            text = before + block
            if any(_is_iban(found[0]) for found in _IBAN_DE.finditer(text)):
                return True
            before = text[-_OVERLAP:]
    return False


def _is_iban_in(text: str) -> bool:
    found = _IBAN.search(text.upper().encode("ascii", "replace"))
    return found is not None and _is_iban(found[0])


def _is_iban(raw: bytes) -> bool:
    text = raw.decode("ascii").replace(" ", "")
    length = _IBAN_LENGTHS.get(text[:2], 0)
    if len(text) < length or not length:
        return False
    text = text[:length]
    return int("".join(str(int(sign, 36)) for sign in text[4:] + text[:4])) % 97 == 1


def _refusal(report: Report, kind: str, row: int | None = None) -> Exception:
    # Name and content of the sheet, the header and the cells are left out on purpose: they may name a person.
    return report.error(
        RULE,
        f"Die Datei enthält Angaben zu einzelnen Personen (erkannt an {kind}); der Landkreis darf nur zusammengefasste Zahlen "
        "annehmen, bitte ohne personenbezogene Spalten und Zeilen neu senden. Ausgewertet wurde nichts, und die Datei wird "
        "nicht aufbewahrt; festgehalten sind nur Eingang, Größe, Prüfsumme und dieses Ergebnis.",
        row=row,
        expected="zusammengefasste Zahlen ohne Angaben zu Personen",
    )
