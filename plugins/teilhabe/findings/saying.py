"""What is said of a finding, to whom: the only place where its parts become a sentence.

A finding keeps its parts from the rule to the last reader. ``say`` puts them together, names a cell as people see it
("Blatt „Meldung“, Zelle B22") and leaves out numbers the contract keeps secret, in every part, unless the reader may take
out the file itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from teilhabe.errors import Evidence, Finding

if TYPE_CHECKING:
    from teilhabe.contract.model import SecrecyMethod

Audience = Literal["everyone", "editor"]
"""``editor``: whoever may take out the file. Mails, logs, Airflow and all other readers are ``everyone``."""

PLACE, SUBJECT, FOUND, EXPECTED = "{place}", "{subject}", "{found}", "{expected}"

HIDDEN = "[geheim]"
EMPTY = "leer"
PERSON_LEVEL = "file.person_level"
"""The rule that refuses files about single persons; their names may name one."""

OTHER_DATASET = "file.other_dataset"
"""The rule that refuses a file handed in for a dataset it does not belong to."""

PERSONAL = "Die Datei enthält anscheinend Angaben zu einzelnen Personen; ihr Inhalt wird hier nicht wiedergegeben."

_SMALLEST: Mapping[str, int] = {"min3": 3, "min3+secondary": 3, "min5": 5}
"""Numbers from one up to (not including) this one are secret under the method."""

_EVIDENCE = ("row_number", "column_name", "found", "expected", "column_number", "sheet", "subject")
"""Columns of ``ops.evidence`` in the order of ``Evidence``."""

_WHOLE_NUMBER = re.compile(r"-?\d[\d.,]*")
_PARTS = re.compile("|".join(map(re.escape, (PLACE, SUBJECT, FOUND, EXPECTED))))
_SAYS_IT_ITSELF = re.compile(r"\b(bitte|statt|erlaubt|fehlt|darf nicht)\b", re.IGNORECASE)
"""A sentence with such a word says what should be there instead."""
_QUOTED = re.compile(r"„([^„“]*)“")


@dataclass(frozen=True)
class Place:
    """Where something stands, as the program shows it in which the file is opened."""

    sheet: str | None = None
    cell: str | None = None
    row: int | None = None
    column: str | None = None
    """The number of a column of a text file, where that is known."""
    label: str | None = None
    """What the office calls the column or the field."""

    def words(self) -> str:
        """``Blatt „Meldung“, Zelle B22 („Anzahl“)``; empty where nothing is known."""
        parts = [f"Blatt „{self.sheet}“"] if self.sheet else []
        named = f" („{self.label}“)" if self.label else ""
        if self.cell:
            parts.append(f"Zelle {self.cell}{named}")
        elif self.row is not None:
            parts.append(f"Zeile {self.row}")
        if not self.cell and (self.column or self.label):
            parts.append(f"Spalte {self.column}{named}" if self.column else f"Spalte „{self.label}“")
        return ", ".join(parts)

    def column_words(self) -> str | None:
        """The column for a table that shows the row beside it; the letter of a cell is part of its name."""
        if self.cell or not self.column:
            return self.label
        return f"{self.column} ({self.label})" if self.label else self.column


def say(
    finding: Finding,
    secrecy: SecrecyMethod | None,
    *,
    file: str | None = None,
    at: Evidence | None = None,
    for_whom: Audience = "everyone",
    with_place: bool = True,
    with_count: bool = True,
) -> str:
    """The sentence about a finding, ``at`` one of its places (else its first).

    ``file`` is named in front, as it is called in full. ``secrecy`` is the method of the contract; None: nothing is secret.
    """
    if finding.what is None and finding.rule == PERSON_LEVEL and for_whom == "everyone":
        return PERSONAL
    if finding.what is None:
        return as_it_may_be_repeated(finding.message, secrecy, for_whom)
    hides = secrecy if for_whom == "everyone" else None
    one = at or first_place(finding)
    where = place(finding, one)
    front = [f"Datei „{file}“"] if file and not (finding.rule == PERSON_LEVEL and for_whom == "everyone") else []
    text = finding.what
    if text.startswith(PLACE):
        text = text.removeprefix(PLACE)
        front += [where.words()] if with_place and where.words() else []
    if one.found is None:
        text = text.replace(f"„{SUBJECT}{FOUND}“", f"zu „{one.subject}“ nichts" if one.subject else "nichts")
    parts = {
        PLACE: where.words(),
        SUBJECT: f"{one.subject}: " if one.subject else "",
        FOUND: found_text(one, hides) or EMPTY,
        EXPECTED: expected_text(finding, one, hides) or "",
    }
    text = _PARTS.sub(lambda part: parts[part[0]], text)
    text = as_it_may_be_repeated(text, secrecy, for_whom)
    text = f"{', '.join(front)}: {_capital(text)}" if front else _capital(text)
    if with_count and finding.row_count > 1:
        text = f"{text.rstrip('.')}. Insgesamt {counted(finding)}"
    if with_count and finding.held_back:
        text = f"{text.rstrip('.')}. Was dort steht, wird nicht übernommen; alles Übrige gilt."
    return text if text.endswith((".", "!", "?")) else f"{text}."


def first_place(finding: Finding) -> Evidence:
    """The place the sentence is about."""
    return finding.evidence[0] if finding.evidence else Evidence(finding.row, finding.column, finding.found)


def with_sentence(finding: Finding, secrecy: SecrecyMethod | None, file: str) -> Finding:
    """The finding with the sentence everyone may read."""
    return finding if finding.what is None else replace(finding, message=say(finding, secrecy, file=file))


def place(finding: Finding, one: Evidence) -> Place:
    """Where a place of a finding is. Rows of a sheet are rows of a workbook: there a column is a letter."""
    sheet = one.sheet or finding.sheet
    at = one.column or None
    label: str | None
    if one.column_number is not None and at and not at.isdecimal():  # of a place without a column it is the number's
        at, label = str(one.column_number), at
    elif cell_letters(at) is not None if sheet else (at or "").isdecimal():
        label = finding.column if finding.column != at else None
    else:
        at, label = None, at or finding.column
    if label and label.isdecimal():
        label = None
    label = label or (one.subject if SUBJECT not in (finding.what or "") else None)
    if sheet and at and one.row is not None:
        return Place(sheet, f"{cell_letters(at)}{one.row}", one.row, None, label)
    if sheet and at:
        return Place(sheet, None, one.row, cell_letters(at), label)
    return Place(sheet, None, one.row, at, label)


def cell_letters(column: str | None) -> str | None:
    """``2`` and ``B`` are B; a header is None."""
    if not column:
        return None
    if column.isdecimal() and 0 < int(column) <= 16_384:
        return column_letters(int(column))
    return column if re.fullmatch(r"[A-Z]{1,2}", column) else None


def column_letters(number: int) -> str:
    """1 is A, 27 is AA."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def found_text(one: Evidence, secrecy: SecrecyMethod | None) -> str | None:
    """What stood there, without a secret number."""
    return masked(one.found, secrecy)


def found_in_full(one: Evidence, secrecy: SecrecyMethod | None) -> str | None:
    """What it is about and what stood there."""
    found = found_text(one, secrecy)
    return f"{one.subject}: {found if found is not None else EMPTY}" if one.subject else found


def expected_text(finding: Finding, one: Evidence, secrecy: SecrecyMethod | None) -> str | None:
    """What was expected there: of the place itself without a secret number, else what the rule asks everywhere."""
    return masked(one.expected, secrecy) if one.expected is not None else finding.expected


def expected_beside(finding: Finding, secrecy: SecrecyMethod | None) -> str | None:
    """What was expected, where the sentence does not say it already."""
    one = first_place(finding)
    expected = expected_text(finding, one, secrecy)
    if not expected:
        return None
    said = say(finding, secrecy, with_count=False)
    is_said = re.search(rf"(?<!\w){re.escape(expected.rstrip('.'))}(?!\w)", said, re.IGNORECASE)
    return None if is_said or _SAYS_IT_ITSELF.search(said) else expected


def masked(text: str | None, secrecy: SecrecyMethod | None) -> str | None:
    """A delivered text as it may be repeated: numbers the contract keeps secret are not."""
    smallest = _SMALLEST.get(secrecy) if secrecy else None
    if text is None or smallest is None:
        return text
    digits = "".join(str(n) for n in range(1, smallest))
    # A number by itself: no part of a longer one, of a key or a date, and no ordinal ("3. Quartal").
    alone = rf"(?<![\w/-])(?<!\d[.,])-?[{digits}](?:[.,]0+)?(?![\w/-]|[.,]\d|\.\s?[^\W\d])"
    return re.sub(alone, HIDDEN, text)


def counted(finding: Finding) -> str:
    """``1 Zeile``, ``12 Zeilen``, or ``3 Angaben`` where no row is meant."""
    has_rows = finding.row is not None or any(one.row is not None for one in finding.evidence)
    one, several = ("Zeile", "Zeilen") if has_rows else ("Angabe", "Angaben")
    return f"{number(finding.row_count)} {one if finding.row_count == 1 else several}"


def number(value: int) -> str:
    """With the German mark of thousands."""
    return f"{value:,}".replace(",", ".")


def affected_rows(evidence: Iterable[Evidence], count: int) -> int:
    """How many rows of the file these places stand in; ``count`` where they are not all, or name no rows."""
    listed = list(evidence)
    rows = {(one.sheet, one.row) for one in listed if one.row is not None}
    return len(rows) if rows and len(listed) >= count else max(count, len(rows))


@dataclass(frozen=True)
class ShownPlace:
    """A place of a finding for a table of places; ``row`` is None where the cell names it."""

    sheet: str | None
    cell: str | None
    row: int | None
    column: str | None
    found: str | None
    expected: str | None


def shown_place(finding: Finding, one: Evidence, secrecy: SecrecyMethod | None) -> ShownPlace:
    where = place(finding, one)
    return ShownPlace(
        where.sheet,
        where.cell,
        None if where.cell else where.row,
        where.column_words(),
        found_in_full(one, secrecy),
        expected_text(finding, one, secrecy),
    )


def shown_places(finding: Finding, secrecy: SecrecyMethod | None) -> list[ShownPlace]:
    """The places of a finding, each once: several numbers of a row may share the key that is wrong."""
    return list(dict.fromkeys(shown_place(finding, one, secrecy) for one in finding.evidence))


def from_row(row: Mapping[str, Any], evidence: Iterable[Mapping[str, Any]]) -> Finding:
    """A finding as ``ops.finding`` and ``ops.evidence`` hold it."""
    return Finding(
        severity=row["severity"],
        rule=row["rule"],
        message=row["message"],
        sheet=row["sheet"],
        row=row["row_number"],
        column=row["column_name"],
        found=row["found"],
        expected=row["expected"],
        row_count=row["row_count"],
        evidence=tuple(Evidence(*(e[name] for name in _EVIDENCE)) for e in evidence),
        what=row["what"],
        held_back=row["held_back"],
    )


def as_it_may_be_repeated(text: str, secrecy: SecrecyMethod | None, for_whom: Audience) -> str:
    """A sentence of a reader may quote the file by itself: what is in quotation marks and nothing but a number."""
    if for_whom == "editor" or secrecy is None:
        return text
    return _QUOTED.sub(
        lambda quoted: f"„{masked(quoted[1], secrecy)}“" if _WHOLE_NUMBER.fullmatch(quoted[1]) else quoted[0], text
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
