"""What people see of a workbook's cells and a parser of values does not tell.

A footnote mark is a small raised 1 behind 65 and no 651; a row may be hidden, a number crossed out, shown as "85 %" or not
at all; a formula may never have been calculated. The parts of the file are read once more for that, as a stream and after
``workbook.inspect`` has found them harmless.
"""

from __future__ import annotations

import posixpath
import zipfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, product
from pathlib import Path
from xml.parsers import expat

from teilhabe.reading.files import hostile, number_formats, workbook
from teilhabe.reading.files.number_formats import NumberLook
from teilhabe.reading.report import Report

COLUMNS = 1 << 14
"""What a sheet can have; a cell's place is ``row * COLUMNS + column``, both counted from 0."""

_ROWS = 1 << 20
"""What a sheet can have."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_COLUMN_NAMES = frozenset(
    islice(("".join(name) for size in (1, 2, 3) for name in product(_LETTERS, repeat=size)), COLUMNS)
)
"""A to XFD, as the places of cells begin."""
_RAISED = str.maketrans("0123456789()+-=*,", "⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾⁺⁻⁼*,")
_UNIT_POWERS = ("2", "3")
_MAX_FORMULA = 60
_LONGEST_ERROR = 40
_LEAST_HEIGHT = 1.0
"""Of a row, in points; below nobody sees anything of it."""
_LEAST_WIDTH = 0.2
"""Of a column, in characters."""
_MAX_STYLES = 70_000
"""Formats of cells; Excel allows 65,490."""


@dataclass(frozen=True)
class Look:
    """How a cell is shown: by its number format and its font."""

    number: NumberLook = NumberLook()  # noqa: RUF009 - frozen
    struck: bool = False

    @property
    def matters(self) -> bool:
        return self.struck or self.number.matters

    def of(self, value: str) -> Look:
        """How this very value is shown: a format may have conditions."""
        return replace(self, number=self.number.of(value)) if self.number.conditions else self


_PARTLY_STRUCK = Look(struck=True)


@dataclass
class Appearance:
    """One sheet; every cell that is not simply shown as it is stored."""

    hidden_rows: array[int] = field(default_factory=lambda: array("q"))
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    """First and last column of each hidden range, counted from 0."""
    texts: dict[int, str] = field(default_factory=dict)
    """Place -> what is shown there, where the stored text says something else or (an error) the parser nothing."""
    formulas: dict[int, str] = field(default_factory=dict)
    """Place -> a formula that nobody has calculated."""
    places: array[int] = field(default_factory=lambda: array("q"))
    looks: array[int] = field(default_factory=lambda: array("i"))
    """Beside ``places``: which of ``kinds`` the cell has."""
    kinds: list[Look] = field(default_factory=list)

    def hides_column(self, column: int) -> bool:
        return any(first <= column <= last for first, last in self.hidden_columns)

    def add(self, place: int, kind: int) -> None:
        self.places.append(place)
        self.looks.append(kind)

    def change(self, place: int, rich: Rich) -> None:
        """A text whose parts do not look alike."""
        self.texts[place] = rich.text
        if not rich.struck:
            return
        if not self.kinds or self.kinds[-1] != _PARTLY_STRUCK:
            self.kinds = [*self.kinds, _PARTLY_STRUCK]
        self.add(place, len(self.kinds) - 1)


def of_workbook(path: Path, report: Report) -> dict[str, Appearance]:
    """Sheet -> how its cells look, for an xlsx that ``workbook.inspect`` has let through."""
    parts = {
        part.filename.replace("\\", "/").lstrip("/").lower(): part
        for part in hostile.entries(path, report, 100_000, rule="file")
    }
    package = _Package(path, parts, report)
    kinds = package.kinds()
    strings = package.strings()
    found: dict[str, Appearance] = {}
    for name, part in package.sheets():
        found[name] = Appearance(kinds=kinds)
        parser = expat.ParserCreate()
        sheet = _Sheet(found[name], strings, parser)
        package.feed(part, parser)
        sheet.finish()
    return found


class _ContradictionError(Exception):
    """A sheet says of a cell or a row that it is where it cannot be: one program believes it, another does not."""


Start = Callable[[str, dict[str, str]], None]
End = Callable[[str], None]
Characters = Callable[[str], None]


class _Package:
    """The parts of a workbook by name, parsed as streams."""

    def __init__(self, path: Path, parts: dict[str, zipfile.ZipInfo], report: Report) -> None:
        self._path = path
        self._parts = parts
        self._report = report

    def parse(self, part: str, start: Start, end: End | None = None, characters: Characters | None = None) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = characters
        self.feed(part, parser)

    def feed(self, part: str, parser: expat.XMLParserType) -> None:
        """Nothing happens where the part is missing: programs write what they need."""
        entry = self._parts.get(part.lower())
        if entry is None:
            return
        parser.buffer_text = True
        try:
            for block in hostile.inflated(self._path, entry, self._report, rule="file"):
                parser.Parse(block, False)
            parser.Parse(b"", True)
        except _ContradictionError as error:
            raise workbook.contradictory(self._report, str(error)) from None
        except expat.ExpatError as error:
            raise self._report.error(
                "file.unreadable",
                "Die Arbeitsmappe ist beschädigt und lässt sich nicht öffnen; bitte mit Excel neu speichern und senden.",
                found="nicht lesbar",
                expected="eine Arbeitsmappe, die sich öffnen lässt",
            ) from error

    def sheets(self) -> Iterator[tuple[str, str]]:
        """(name, part) of every sheet, as workbook and relations say."""
        names: list[tuple[str, str]] = []
        targets: dict[str, str] = {}

        def sheet(tag: str, attributes: dict[str, str]) -> None:
            if _local(tag) == "sheet":
                identity = next((value for key, value in attributes.items() if _local(key) == "id" and ":" in key), "")
                names.append((attributes.get("name", ""), identity))

        def relation(tag: str, attributes: dict[str, str]) -> None:
            if _local(tag) == "Relationship":
                target = attributes.get("Target", "").replace("\\", "/")
                targets[attributes.get("Id", "")] = (
                    target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
                )

        self.parse("xl/workbook.xml", sheet)
        self.parse("xl/_rels/workbook.xml.rels", relation)
        for name, identity in names:
            if "/worksheets/" in f"/{targets.get(identity, '')}":
                yield name, targets[identity]

    def kinds(self) -> list[Look]:
        """How each format of cells looks, in the order in which cells name it."""
        styles = _Styles()
        self.parse("xl/styles.xml", styles.start, styles.end)
        return styles.kinds

    def strings(self) -> dict[int, Rich]:
        """The shared texts with raised or crossed-out parts, by number."""
        strings = _Strings()
        self.parse("xl/sharedstrings.xml", strings.start, strings.end, strings.characters)
        return strings.found


def _local(tag: str) -> str:
    return tag.rpartition(":")[2] if ":" in tag else tag


def _is_on(value: str | None) -> bool:
    return value in ("1", "true", "on")


class _Styles:
    """Fonts and number formats, joined by the formats of cells (``cellXfs``)."""

    def __init__(self) -> None:
        self.kinds: list[Look] = []
        self._codes: dict[int, NumberLook] = {
            number: number_formats.look(code) for number, code in number_formats.BUILT_IN.items()
        }
        self._struck: list[bool] = []
        self._inside = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = _local(tag)
        if tag in ("fonts", "cellXfs", "dxfs", "cellStyleXfs"):
            self._inside = tag
        elif tag == "numFmt" and self._inside != "dxfs" and len(self._codes) < _MAX_STYLES:
            self._codes[_number(attributes.get("numFmtId"))] = number_formats.look(attributes.get("formatCode", ""))
        elif self._inside == "fonts" and len(self._struck) < _MAX_STYLES:
            if tag == "font":
                self._struck.append(False)
            elif tag == "strike" and self._struck:
                self._struck[-1] = attributes.get("val", "1") in ("1", "true", "on")
        elif self._inside == "cellXfs" and tag == "xf" and len(self.kinds) < _MAX_STYLES:
            font = _number(attributes.get("fontId"))
            code = self._codes.get(_number(attributes.get("numFmtId")), NumberLook())
            self.kinds.append(Look(code, font < len(self._struck) and self._struck[font]))

    def end(self, tag: str) -> None:
        if _local(tag) == self._inside:
            self._inside = ""


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else 0


@dataclass(frozen=True)
class Rich:
    """A text of several runs: what is left of it where raised signs are raised and crossed-out ones are gone."""

    text: str
    struck: bool


class Runs:
    """Puts the runs of one text together."""

    def __init__(self) -> None:
        self._changed = self._struck = False
        self._text: list[str] = []
        self._raised = self._crossed = self._reading = False
        self._phonetic = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "r":
            self._raised = self._crossed = False
        elif tag == "vertAlign":
            self._raised = attributes.get("val") == "superscript"
        elif tag == "strike":
            self._crossed = attributes.get("val", "1") in ("1", "true", "on")
        elif tag == "rPh":
            self._phonetic += 1
        elif tag == "t":
            self._reading = not self._phonetic

    def end(self, tag: str) -> None:
        if tag == "t":
            self._reading = False
        elif tag == "r":
            self._raised = self._crossed = False
        elif tag == "rPh":
            self._phonetic -= 1

    def characters(self, text: str) -> None:
        if self._reading:
            self.add(text, raised=self._raised, struck=self._crossed)

    def add(self, text: str, *, raised: bool = False, struck: bool = False) -> None:
        if struck and text.strip():
            self._changed = self._struck = True
            return
        if raised and any(sign.isdigit() for sign in text) and not self._is_power(text):
            self._changed = True
            text = text.translate(_RAISED)
        self._text.append(text)

    def _is_power(self, text: str) -> bool:
        """``km²`` is a unit, no footnote."""
        before = self._text[-1].rstrip() if self._text else ""
        return text.strip() in _UNIT_POWERS and before.endswith("m")

    @property
    def rich(self) -> Rich | None:
        """None where the text looks as it is stored."""
        return Rich("".join(self._text), self._struck) if self._changed else None


class _Strings:
    def __init__(self) -> None:
        self.found: dict[int, Rich] = {}
        self._count = 0
        self._runs: Runs | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = _local(tag)
        if tag == "si":
            self._runs = Runs()
        elif self._runs is not None:
            self._runs.start(tag, attributes)

    def characters(self, text: str) -> None:
        if self._runs is not None:
            self._runs.characters(text)

    def end(self, tag: str) -> None:
        tag = _local(tag)
        if tag == "si":
            if self._runs is not None and (rich := self._runs.rich) is not None:
                self.found[self._count] = rich
            self._count += 1
            self._runs = None
        elif self._runs is not None:
            self._runs.end(tag)


class _Sheet:
    """One sheet's rows, columns and cells.

    A cell is finished by the tag that follows it, and texts are listened to only where they can matter: a sheet may have
    millions of cells.
    """

    def __init__(self, found: Appearance, strings: dict[int, Rich], parser: expat.XMLParserType) -> None:
        self._found = found
        self._strings = strings
        self._notable = {str(number): number for number, look in enumerate(found.kinds) if look.matters}
        self._parser = parser
        self._row = self._column = -1
        self._label = ""
        """The number of the row as the places of its cells end."""
        self._reference: str | None = None
        self._kind: str | None = None
        self._formula: list[str] | None = None
        self._value: list[str] | None = None
        self._runs: Runs | None = None
        self._in = ""
        self._pending = False
        parser.StartElementHandler = self._start

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "v" and not self._pending:
            return
        if ":" in tag:
            tag = _local(tag)
        if tag == "c":
            if self._pending:
                self.finish()
            reference = attributes.get("r")
            if reference is None:
                self._column = (self._column if self._reference is None else _column_of(self._reference)) + 1
            elif not (reference.endswith(self._label) and reference.removesuffix(self._label) in _COLUMN_NAMES):
                raise _ContradictionError(f"eine Zelle „{reference[:20]}“ in Zeile {self._label}")
            self._reference = reference
            self._kind = attributes.get("t")
            if attributes.get("s") in self._notable:
                self._found.add(self._place(), self._notable[attributes["s"]])
            if (self._kind == "s" and self._strings) or self._kind == "e":
                self._value = []
                self._listen()
            return
        if tag in _IN_A_CELL:
            self._start_part(tag, attributes)
            return
        if self._pending:
            self.finish()
        if tag == "row":
            self._start_row(attributes)
        elif tag == "col":
            self._columns(attributes)

    def _start_part(self, tag: str, attributes: dict[str, str]) -> None:
        self._in = tag
        if tag == "f":
            self._formula, self._value = [], []
            self._listen()
        elif tag == "is":
            self._runs = Runs()
            self._listen()
            self._parser.EndElementHandler = self._end
        elif self._runs is not None:
            self._runs.start(tag, attributes)

    def _listen(self) -> None:
        self._pending = True
        self._parser.CharacterDataHandler = self._characters

    def _start_row(self, attributes: dict[str, str]) -> None:
        said = attributes.get("r")
        self._row = self._row + 1 if said is None else _number(said) - 1
        self._label = str(self._row + 1)
        if not 0 <= self._row < _ROWS:
            raise _ContradictionError(f"eine Zeile mit der Nummer „{(said or self._label)[:20]}“")
        self._column = -1
        self._reference = None
        if _is_on(attributes.get("hidden")) or _is_below(attributes.get("ht"), _LEAST_HEIGHT):
            self._found.hidden_rows.append(self._row)

    def _columns(self, attributes: dict[str, str]) -> None:
        if not (_is_on(attributes.get("hidden")) or _is_below(attributes.get("width"), _LEAST_WIDTH)):
            return
        first, last = _number(attributes.get("min")), _number(attributes.get("max"))
        if 0 < first <= last and len(self._found.hidden_columns) < COLUMNS:
            self._found.hidden_columns.append((first - 1, min(last, COLUMNS) - 1))

    def _place(self) -> int:
        if self._reference is not None:
            self._column = _column_of(self._reference)
        return max(0, self._row) * COLUMNS + min(max(0, self._column), COLUMNS - 1)

    def _characters(self, text: str) -> None:
        if self._runs is not None:
            self._runs.characters(text)
        elif self._in == "f" and self._formula is not None:
            if len(self._formula) < _MAX_FORMULA:
                self._formula.append(text)
        elif self._in == "v" and self._value is not None:
            self._value.append(text)

    def _end(self, tag: str) -> None:
        if self._runs is not None:
            self._runs.end(_local(tag))

    def finish(self) -> None:
        """What was listened to in a cell, now that it is over."""
        value = "".join(self._value or ()).strip()
        if self._formula is not None and self._kind != "str" and not value:
            self._found.formulas[self._place()] = f"={''.join(self._formula).strip()[:_MAX_FORMULA]}"
        if self._kind == "e" and value:
            self._found.texts[self._place()] = value[:_LONGEST_ERROR]
        rich = self._strings.get(_number(value)) if self._kind == "s" else None
        if self._runs is not None:
            rich = self._runs.rich
        if rich is not None:
            self._found.change(self._place(), rich)
        if self._runs is not None:
            self._parser.EndElementHandler = None
        self._formula = self._value = self._runs = None
        self._in = ""
        self._pending = False
        self._parser.CharacterDataHandler = None


_IN_A_CELL = frozenset({"f", "v", "is", "r", "t", "rPr", "rPh", "vertAlign", "strike"})


def _is_below(size: str | None, least: float) -> bool:
    try:
        return size is not None and float(size) < least
    except ValueError:
        return False


def _column_of(reference: str) -> int:
    column = 0
    for sign in reference[:4].upper():
        if not "A" <= sign <= "Z":
            break
        column = column * 26 + ord(sign) - 64
    return column - 1
