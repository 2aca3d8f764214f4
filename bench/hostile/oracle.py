"""What a file shows, read strictly and by nothing of the product's: Python's ``csv``, ``zipfile`` and ``xml.etree`` alone.

``grid`` is every cell that holds something, or None for what such a reader refuses. ``held_against`` compares what was loaded with
it: each number with its own cell, its coordinates with those the unchanged file had beside the same labels and headings, and
no row that is still shown may be missing.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from xml.etree import ElementTree

Place = tuple[str | None, int, int]
Grid = dict[Place, str]
Row = Mapping[str, object]

_VALUES = ("value", "obs_status", "conf_status")
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_CELL = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_NUMBERS = {
    "german": re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(?:[. '][0-9]{3})+)(,[0-9]+)?"),
    "english": re.compile(r"[+-]?([0-9]+|[0-9]{1,3}(?:[, '][0-9]{3})+)(\.[0-9]+)?"),
    "plain": re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?"),
}
_MARKS = {"german": (".", ","), "english": (",", "."), "plain": ("", ".")}


class Number(str):
    """What stands in a cell as a number, whatever the notation of texts."""

    __slots__ = ()


def grid(content: bytes, delimiter: str | None) -> Grid | None:
    """The cells of a workbook (``delimiter`` None), of a CSV, or with ``delimiter`` empty the lines of a text."""
    try:
        return _workbook(content) if delimiter is None else _text(content, delimiter)
    except (ValueError, KeyError, OSError, csv.Error, zipfile.BadZipFile, ElementTree.ParseError, NotImplementedError,
            RuntimeError, EOFError, IndexError, TypeError):  # fmt: skip
        return None


def decoded(content: bytes) -> str:
    """Text in the character set its first bytes name, in UTF-8, or as Windows writes it."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _text(content: bytes, delimiter: str) -> Grid:
    text = decoded(content)
    if "\0" in text:
        raise ValueError("binary")
    if not delimiter:
        return {(None, n, 1): line for n, line in enumerate(text.splitlines(), 1) if line.strip()}
    cells: Grid = {}
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    at = 1
    for line in lines:
        cells.update({(None, at, n): cell for n, cell in enumerate(line, 1) if cell.strip()})
        at = lines.line_num + 1
    return cells


def _workbook(content: bytes) -> Grid:
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        if book.testzip() is not None or len(set(book.namelist())) != len(book.namelist()):
            raise ValueError("not one content")
        root = ElementTree.fromstring(book.read("xl/workbook.xml"))  # noqa: S314 - our own files
        relations = {
            one.get("Id"): one
            for one in ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))  # noqa: S314 - our own files
            if one.get("TargetMode") != "External"
        }
        strings = []
        if "xl/sharedStrings.xml" in book.namelist():
            strings = [_shown(one) for one in ElementTree.fromstring(book.read("xl/sharedStrings.xml"))]  # noqa: S314 - our own files
        cells: Grid = {}
        for sheet in root.iter(f"{_MAIN}sheet"):
            target = str(relations[sheet.get(_RELATION)].get("Target"))
            part = posixpath.normpath(target.lstrip("/") if target.startswith("/") else f"xl/{target}")
            _sheet(cells, str(sheet.get("name")), ElementTree.fromstring(book.read(part)), strings)  # noqa: S314 - our own files
        return cells


def _sheet(cells: Grid, name: str, root: ElementTree.Element, strings: list[str]) -> None:
    row_number = 0
    for row in root.iter(f"{_MAIN}row"):
        row_number = int(row.get("r") or row_number + 1)
        column = 0
        for cell in row.iter(f"{_MAIN}c"):
            column += 1
            if place := cell.get("r"):
                found = _CELL.fullmatch(place)
                if found is None or int(found[2]) != row_number:
                    raise ValueError("a cell of another row")
                column = 0
                for letter in found[1]:
                    column = column * 26 + ord(letter) - 64
            text = _cell(cell, strings)
            if text.strip():
                if (name, row_number, column) in cells:
                    raise ValueError("a cell twice")
                cells[name, row_number, column] = text


def _cell(cell: ElementTree.Element, strings: list[str]) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return "".join(_shown(one) for one in cell.findall(f"{_MAIN}is"))
    value = cell.find(f"{_MAIN}v")
    text = "".join(value.itertext()) if value is not None else ""
    if kind == "s" and text.strip():
        if int(text) < 0:
            raise ValueError("no such text")
        return strings[int(text)]
    return Number(text) if kind == "n" else text


def _shown(item: ElementTree.Element) -> str:
    """Without readings for the phonetic alphabet."""
    parts = [one.text or "" for one in item.findall(f"{_MAIN}t")]
    return "".join(parts + [one.text or "" for run in item.findall(f"{_MAIN}r") for one in run.findall(f"{_MAIN}t")])


def number(text: str, notation: str) -> Decimal | None:
    """A text as a plain number of one notation."""
    notation = "plain" if isinstance(text, Number) else notation
    # A raised digit behind a number is the mark of a footnote.
    text = text.strip().replace("\u00a0", " ").replace("\u202f", " ").rstrip("\u00b9\u00b2\u00b3")
    if not _NUMBERS[notation].fullmatch(text):
        return None
    thousands, mark = _MARKS[notation]
    bare = "".join(sign for sign in text if sign not in f" '{thousands}").replace(mark, ".")
    try:
        return Decimal(bare)
    except InvalidOperation:
        return None


@dataclass
class Shown:
    """An unchanged file as it was loaded, and how its places are told apart."""

    rows: list[Row]
    cells: Grid
    is_lines: bool = False
    notation: str | None = None
    symbols: dict[str, set[tuple[object, ...]]] = field(default_factory=lambda: defaultdict(set))
    coordinates: dict[object, set[tuple[object, ...]]] = field(default_factory=lambda: defaultdict(set))
    labels: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.columns = _columns(self.rows)
        for notation in _NUMBERS:
            if all(
                number(self.cells.get(place_of(row), ""), notation) in (None, Decimal(str(row["value"])))
                for row in self.rows
                if row.get("value") is not None
            ) and any(number(self.cells.get(place_of(row), ""), notation) is not None for row in self.rows):
                self.notation = notation
                break
        for row, context in zip(self.rows, _contexts(self.rows, self.cells, self.columns), strict=True):
            self.symbols[self.cells.get(place_of(row), "").strip()].add(_triple(row))
            self.coordinates[context].add(_coordinates(row))
        self.labels = _labels({(place_of(row)[0], place_of(row)[1]) for row in self.rows}, self.cells, self.columns)


def held_against(base: Shown, rows: list[Row], cells: Grid | None, left_out: int) -> list[str]:
    """What is wrong with rows that were loaded from a changed file; empty where nothing is."""
    if cells is None:
        # Nothing can be read strictly, so only what the unchanged file says may come out of it, but for what was told as left out.
        got, shown = _contents(rows), _contents(base.rows)
        as_shown = got <= shown if left_out else got == shown
        return [] if as_shown else ["loaded from a file that cannot be read strictly"]
    wrong = []
    columns = _columns(rows)
    for row, context in zip(rows, _contexts(rows, cells, columns), strict=True):
        there = cells.get(place_of(row), "")
        text = there.strip()
        if not base.is_lines and base.notation and _triple(row) not in base.symbols.get(text, ()):
            said, is_shown = row.get("value"), number(there, base.notation)
            if said is not None and (is_shown is None or Decimal(str(said)) != is_shown):
                wrong.append(f"{place_of(row)}: {text[:30]!r} became {str(said)[:30]!r}")
            elif said is None and is_shown is not None:
                wrong.append(f"{place_of(row)}: {text[:30]!r} became nothing")
        known = base.coordinates.get(context)
        if known and _coordinates(row) not in known:
            wrong.append(f"{place_of(row)}: other coordinates beside the same labels and headings")
    if not left_out:
        loaded = {(place_of(row)[0], place_of(row)[1]) for row in rows}
        shown = _labels({(sheet, n) for sheet, n, _ in cells}, cells, base.columns)
        got = _labels(loaded, cells, base.columns)
        lost = [label for label in base.labels if min(shown[label], base.labels[label]) > got[label]]
        wrong += (
            [f"{len(lost)} rows are shown and were not loaded, the first {' | '.join(lost[0])[:60]!r}"] if lost else []
        )
    return wrong


def same(rows: list[Row], others: list[Row]) -> bool:
    """Whether the same numbers stand for the same things, wherever they stood."""
    return _contents(rows) == _contents(others)


def place_of(row: Row) -> Place:
    """Where a number was read."""
    sheet = row.get("_sheet")
    return (str(sheet) if sheet is not None else None, int(str(row["_row_number"])), int(str(row["_column_number"])))


def _triple(row: Row) -> tuple[object, ...]:
    return tuple(row.get(name) for name in _VALUES)


def _coordinates(row: Row) -> tuple[object, ...]:
    return tuple(value for name, value in sorted(row.items()) if name not in _VALUES and not name.startswith("_"))


def _contents(rows: Iterable[Row]) -> Counter[tuple[object, ...]]:
    return Counter((*_coordinates(row), *_triple(row)) for row in rows)


def _columns(rows: Iterable[Row]) -> dict[str | None, set[int]]:
    found: dict[str | None, set[int]] = defaultdict(set)
    for row in rows:
        sheet, _, column = place_of(row)
        found[sheet].add(column)
    return found


def _contexts(rows: list[Row], cells: Grid, columns: Mapping[str | None, set[int]]) -> list[object]:
    """Per number: the labels of its line and the headings of its column."""
    lines: dict[tuple[str | None, int], dict[int, str]] = defaultdict(dict)
    for (sheet, n, column), text in cells.items():
        lines[sheet, n][column] = " ".join(text.split())
    first = {sheet: min(place_of(row)[1] for row in rows if place_of(row)[0] == sheet) for sheet in columns}
    headings: dict[tuple[str | None, int], tuple[str, ...]] = {}
    for sheet, wanted in columns.items():
        above = [lines[sheet, n] for n in range(1, first[sheet]) if (sheet, n) in lines]
        for column in wanted:
            headings[sheet, column] = tuple(
                line.get(max((c for c in line if c <= column), default=0), "") for line in above
            )
    found: list[object] = []
    for row in rows:
        sheet, n, column = place_of(row)
        beside = tuple(sorted((c, text) for c, text in lines[sheet, n].items() if c not in columns[sheet]))
        found.append((sheet, beside, headings[sheet, column]))
    return found


def _labels(
    places: set[tuple[str | None, int]], cells: Grid, columns: Mapping[str | None, set[int]]
) -> Counter[tuple[str, ...]]:
    lines: dict[tuple[str | None, int], list[tuple[int, str]]] = defaultdict(list)
    for (sheet, n, column), text in cells.items():
        if (sheet, n) in places and column not in columns.get(sheet, ()):
            lines[sheet, n].append((column, " ".join(text.split())))
    return Counter(tuple(text for _, text in sorted(line)) for line in lines.values())
