"""What a workbook is before it is opened: encrypted, with macros, lying about its size, hiding sheets, or fine.

The parser allocates before anything could be checked from outside and cannot be interrupted, so the parts of the file are
scanned as a stream first, counting what would have to be kept. What this cannot foresee ends with the process (``confined``).
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from teilhabe.reading.files import hostile
from teilhabe.reading.report import Report

MAX_FILE_BYTES = 100_000_000
MAX_XML_BYTES = 300_000_000
MAX_STRINGS_BYTES = 100_000_000
MAX_STRINGS = 2_000_000
MAX_PARTS = 2_000
MAX_SHEETS = 250
MAX_CELLS = 4_000_000
"""Cells with content in all sheets together."""
MAX_AREA = 8_000_000
"""Cells from A1 to the last one with content, all sheets together: that is what the parser allocates."""
MAX_MERGES = 20_000
MAX_TEXT = 200_000
"""Bytes of one text; Excel itself ends at 32,767 characters."""
MAX_SHOWN_BYTES = 200_000_000
"""Bytes of text in all cells of all sheets together: cells may share a text in the file, but not once it is read."""
MAX_INDEX_BYTES = 5_000_000
"""Workbook and relations: read as a whole."""

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NEVER_READ = ("customxml/", "docprops/")
"""What add-ins (Power Query writes UTF-16 there) and the program itself note down: only its size matters."""
_READ_AS_A_WHOLE = ("xl/workbook.xml", "xl/_rels/workbook.xml.rels", "[content_types].xml")
_NO_CELLS = ("/chartsheet", "/dialogsheet")
_PREFIX = re.compile(rb"<(/?)[A-Za-z_][\w.\-]*:")
_EXTERNAL = re.compile(rb"\[\d+\][^\[\]<>!]*!")
_REFERENCE = re.compile(rb"""\br\s{0,9}=\s{0,9}["']([A-Za-z]{0,4})(\d{0,9})["']""")
_ROW = re.compile(rb"""<row\b[^<>]*?\br\s{0,9}=\s{0,9}["'](\d{1,9})["']""")
_REFERENCE_START = b' r="'
_INTERRUPTED = re.compile(rb"<[vt](?:\s[^<>/]*)?>[^<]*<[^/]")
"""A value with a comment or an element in it: one program shows what is before it, another all of it."""
_SHARED = re.compile(rb"""\bt\s{0,9}=\s{0,9}["']s["'][^<>]{0,200}>\s{0,9}<v>\s{0,9}(\d{1,9})""")

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """What the readers need to know beside the cells."""

    hidden: tuple[str, ...] = ()
    """Names of hidden and very hidden sheets."""
    external: bool = False
    """Links to other workbooks are stored, but no cell depends on one."""
    without_cells: frozenset[str] = frozenset()
    """Names of sheets that have no cells, because they are charts or dialogs."""
    pivot_fields: tuple[str, ...] = ()
    """Column names of the tables behind pivot tables, whose rows lie in the file whether a sheet shows them or not."""


def inspect(path: Path, report: Report) -> Facts:
    """Everything that can be said about a workbook without opening it; raises ``ReadingError`` when it must not be."""
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _too_large(report, f"{size // 1_000_000} MB", f"höchstens {MAX_FILE_BYTES // 1_000_000} MB")
    with path.open("rb") as stream:
        is_ole = stream.read(4) == _OLE[:4]
    if is_ole:
        return _inspect_xls(path, report)
    return _inspect_xlsx(path, report)


# xlsx


def _inspect_xlsx(path: Path, report: Report) -> Facts:
    parts = hostile.entries(path, report, MAX_PARTS, rule="file")
    names = {part.filename.replace("\\", "/").lower().lstrip("/"): part for part in parts}
    if len(names) != len(parts):
        raise contradictory(report, "derselbe Teil zweimal")
    if any(part.flag_bits & 1 for part in parts):
        raise _encrypted(report)
    if any(name.endswith("vbaproject.bin") or "/macrosheets/" in name for name in names):
        raise _macros(report)
    if "xl/workbook.xml" not in names:
        raise report.error(
            "file.unknown_kind",
            "Das ist eine Arbeitsmappe im Binärformat (xlsb); bitte als „Excel-Arbeitsmappe (*.xlsx)“ speichern und neu senden.",
            found="xlsb",
            expected="xlsx",
        )
    scan = _Scan(report, path)
    external = any(name.startswith("xl/externallinks/") for name in names)
    pivot: list[str] = []
    index = relations = b""
    for name, part in sorted(names.items(), key=lambda one: (one[0] != "xl/workbook.xml", one[0])):
        if not name.endswith((".xml", ".rels", ".vml")):
            continue
        if name.startswith(_NEVER_READ):
            scan.unread(part)
        elif name in _READ_AS_A_WHOLE or "/pivotcache/pivotcachedefinition" in name:
            content = scan.whole(part)
            if name == "xl/workbook.xml":
                index = content
            elif name == "xl/_rels/workbook.xml.rels":
                relations = content
            elif name == "[content_types].xml":
                if b"macroEnabled" in content:
                    raise _macros(report)
            else:
                pivot += _attributes(content, "cacheField", "name", report)
        else:
            scan.part(part, is_sheet="/worksheets/" in name, is_strings="sharedstrings" in name)
    return Facts(_hidden(index, report), external, _without_cells(index, relations, report), tuple(pivot))


class _Scan:
    """Counts what a parser would have to keep, over all parts, without keeping it."""

    def __init__(self, report: Report, path: Path) -> None:
        self.report = report
        self.path = path
        self.bytes = self.cells = self.area = self.strings = self.merges = self.shown = 0
        self._texts = _Texts()

    def whole(self, part: zipfile.ZipInfo) -> bytes:
        content = bytearray()
        for block in self._blocks(part):
            content += block
            if (sheets := content.count(b"<sheet ")) > MAX_SHEETS:
                raise _too_many_sheets(self.report, sheets)
            if len(content) > MAX_INDEX_BYTES:
                raise _too_large(self.report, "ein Verzeichnis von über 5 MB", f"höchstens {MAX_SHEETS} Blätter")
        _check_markup(bytes(content), self.report)
        return bytes(content)

    def unread(self, part: zipfile.ZipInfo) -> None:
        """A part no parser opens: it is unpacked to be counted, its content is its own business."""
        for _ in self._blocks(part):
            pass

    def part(self, part: zipfile.ZipInfo, *, is_sheet: bool, is_strings: bool) -> None:
        size = 0
        area = _Area()
        carry = b""
        for block in self._blocks(part):
            size += len(block)
            if is_strings and size > MAX_STRINGS_BYTES:
                raise _too_large(self.report, "über 100 MB Text", "höchstens 100 MB")
            chunk = _without_prefixes(carry + block)
            # What is cut off must be whole: a tag with the text after it, and in a sheet a cell with its content.
            cut = max(chunk.rfind(b"<c"), chunk.rfind(b"<row"), chunk.rfind(b"</sheetData")) if is_sheet else -1
            cut = chunk.rfind(b"<si") if is_strings else cut
            cut = cut if cut > 0 and not chunk.startswith(b"</sheetData", cut) else chunk.rfind(b"<")
            chunk, carry = (chunk[:cut], chunk[cut:]) if cut > 0 else (b"", chunk)
            if len(carry) > MAX_TEXT:
                self._check_texts(carry)
            if len(carry) > 4 * MAX_TEXT:
                raise contradictory(self.report, "ein Blatt ohne Zeilen und Zellen")
            self._count(chunk, area, is_sheet=is_sheet, is_strings=is_strings)
        self._count(carry, area, is_sheet=is_sheet, is_strings=is_strings)
        if area.has_one_twice():
            raise contradictory(self.report, "dieselbe Zelle zweimal")

    def _count(self, chunk: bytes, area: _Area, *, is_sheet: bool, is_strings: bool) -> None:
        if not chunk:
            return
        _check_markup(chunk, self.report)
        self._check_texts(chunk)
        if (is_sheet or is_strings) and _INTERRUPTED.search(chunk):
            raise contradictory(self.report, "ein Wert mit etwas anderem darin")
        if is_strings:
            self.strings += chunk.count(b"<si")
            self._texts.extend(chunk)
            if self.strings > MAX_STRINGS:
                raise _too_large(self.report, f"über {MAX_STRINGS} Texte", f"höchstens {MAX_STRINGS}")
        if is_sheet:
            self._sheet(chunk, area)

    def _blocks(self, part: zipfile.ZipInfo) -> Iterator[bytes]:
        for block in hostile.inflated(self.path, part, self.report, rule="file"):
            self.bytes += len(block)
            if self.bytes > MAX_XML_BYTES:
                raise self.report.error(
                    "file.zip_bomb",
                    f"Die Arbeitsmappe ist ausgepackt größer als {MAX_XML_BYTES // 1_000_000} MB und wird nicht geöffnet; "
                    "bitte leere formatierte Zeilen und Spalten löschen und neu senden.",
                    found=f"über {MAX_XML_BYTES // 1_000_000} MB",
                    expected=f"höchstens {MAX_XML_BYTES // 1_000_000} MB",
                )
            yield block

    def _check_texts(self, chunk: bytes) -> None:
        if len(chunk) <= MAX_TEXT:
            return
        marks = np.flatnonzero(np.frombuffer(chunk, np.uint8) == ord("<"))
        gaps = np.diff(marks, prepend=0, append=len(chunk))
        if gaps.max(initial=0) > MAX_TEXT:
            raise self.report.error(
                "cell.too_long",
                "Eine Zelle der Arbeitsmappe enthält einen Text von mehr als 32.767 Zeichen, so viele fasst keine Excel-Zelle.",
                found="über 32.767 Zeichen",
                expected="höchstens 32.767 Zeichen",
            )

    def _sheet(self, chunk: bytes, area: _Area) -> None:
        self.merges += chunk.count(b"<mergeCell ")
        if self.merges > MAX_MERGES:
            raise _too_large(self.report, f"über {MAX_MERGES} verbundene Zellbereiche", f"höchstens {MAX_MERGES}")
        if b"<f" in chunk and _EXTERNAL.search(chunk):
            self._check_formulas(chunk)
        self.shown += self._texts.shown_by(chunk)
        if self.shown > MAX_SHOWN_BYTES:
            limit = f"{MAX_SHOWN_BYTES // 1_000_000} MB"
            raise _too_large(self.report, f"über {limit} Text in allen Zellen", f"zusammen höchstens {limit} Text")
        before = area.bottom * area.right
        self.cells += area.extend(chunk)
        if self.cells > MAX_CELLS:
            raise _too_large(self.report, f"über {MAX_CELLS} gefüllte Zellen", f"höchstens {MAX_CELLS}")
        self.area += area.bottom * area.right - before
        if self.area > MAX_AREA:
            raise _too_large(
                self.report,
                f"Zellen bis Zeile {area.bottom}, Spalte {area.right}",
                f"zusammen höchstens {MAX_AREA} Zellen",
            )

    def _check_formulas(self, chunk: bytes) -> None:
        for found in re.finditer(rb"<f[ >][^<]*", chunk):
            if _EXTERNAL.search(found[0]):
                raise self.report.error(
                    "file.external_links",
                    "In der Arbeitsmappe stehen Formeln, die auf andere Arbeitsmappen verweisen; bitte die Werte einfügen "
                    "(Inhalte einfügen → Werte) und neu senden.",
                    found="Formeln mit Verweis auf eine andere Arbeitsmappe",
                    expected="Werte",
                )


class _Texts:
    """How long each text is that cells share, at most: from where it begins to where the next one does."""

    def __init__(self) -> None:
        self._starts: list[Numbers] = []
        self._end = 0
        self._lengths: Numbers | None = None
        """Made when they are first asked for."""

    def extend(self, chunk: bytes) -> None:
        data = np.frombuffer(chunk + b"\0\0", np.uint8)
        tags = np.flatnonzero(data == ord("<"))
        self._starts.append(tags[(data[tags + 1] == ord("s")) & (data[tags + 2] == ord("i"))] + self._end)
        self._end += len(chunk)
        self._lengths = None

    def shown_by(self, chunk: bytes) -> int:
        """Bytes of text in the cells of a chunk that name one of these texts."""
        found = _SHARED.findall(chunk) if self._starts else []
        if not found:
            return 0
        lengths = self._lengths
        if lengths is None:
            starts = np.append(np.concatenate(self._starts), self._end)
            lengths = self._lengths = starts[1:] - starts[:-1]
        numbers = np.array(found).astype(np.int64)
        return int(lengths[numbers[numbers < len(lengths)]].sum())


class _Area:
    """The rectangle from A1 to the last row and column with content, as cells come by."""

    def __init__(self) -> None:
        self.bottom = self.right = 0
        self._rows = self._open_cells = 0
        self._cells: list[Numbers] = []
        """Where the cells with content are, as one number each."""

    def has_one_twice(self) -> bool:
        """Whether a cell comes twice: one program shows the first content, another the last."""
        cells = np.concatenate([*self._cells, np.zeros(0, np.int64)])
        return not bool((np.diff(cells) > 0).all()) and len(np.unique(cells)) < len(cells)

    def extend(self, chunk: bytes) -> int:
        """Counts in the cells of a chunk that ends between two of them; returns how many have content."""
        data = np.frombuffer(chunk + b"\0" * 24, np.uint8)
        tags = np.flatnonzero(data == ord("<"))
        one, two = data[tags + 1], data[tags + 2]
        cells = tags[(one == ord("c")) & _ends_name(two)]
        rows = tags[(one == ord("r")) & (two == ord("o"))]
        contents = tags[((one == ord("v")) & _ends_name(two)) | ((one == ord("i")) & (two == ord("s")))]
        if len(cells) and len(contents):
            owners = np.unique(np.searchsorted(cells, contents) - 1)
            bottom, right, unplaced, places = _places(data, chunk, cells[owners[owners >= 0]])
            self._cells.append(places)
            self.bottom, self.right = max(self.bottom, bottom), max(self.right, right)
            if unplaced:
                self._count_places(chunk, cells, rows)
        self._rows += len(rows)
        self._open_cells = (
            len(cells) - int(np.searchsorted(cells, rows[-1])) if len(rows) else self._open_cells + len(cells)
        )
        return len(contents)

    def _count_places(self, chunk: bytes, cells: Numbers, rows: Numbers) -> None:
        """Cells that do not say where they are stand one after the other."""
        named = max((int(number) for number in _ROW.findall(chunk)), default=0)
        self.bottom = max(self.bottom, named, self.bottom + len(rows), self._rows + len(rows), 1)
        bounds = np.concatenate([[0], np.searchsorted(cells, rows), [len(cells)]])
        widths = np.diff(bounds)
        widths[0] += self._open_cells
        self.right = max(self.right, int(widths.max(initial=0)))


def _ends_name(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray((data <= ord(" ")) | (data == ord(">")) | (data == ord("/")))


def _places(data: npt.NDArray[np.uint8], chunk: bytes, cells: Numbers) -> tuple[int, int, bool, Numbers]:
    """Greatest row and column the references of cells name, whether one names none, and which cells they are."""
    usual = np.ones(len(cells), np.bool_)
    for offset, sign in enumerate(_REFERENCE_START):
        usual &= data[cells + 2 + offset] == sign
    bottom = right = 0
    unplaced = False
    unusual = []
    for cell in cells[~usual][:MAX_CELLS].tolist():
        found = _REFERENCE.search(chunk, cell, max(cell, chunk.find(b">", cell)))
        if found is None:
            unplaced = True
            continue
        column = 0
        for letter in found[1].upper():
            column = column * 26 + letter - 64
        bottom, right = max(bottom, int(found[2] or 0)), max(right, column)
        if found[2]:
            unusual.append((int(found[2]) << 20) + column)
    at = cells[usual] + 2 + len(_REFERENCE_START)
    columns, numbers = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
    for _ in range(4):
        letter = data[at] & 0xDF
        is_letter = (letter >= ord("A")) & (letter <= ord("Z"))
        columns = np.where(is_letter, columns * 26 + letter - 64, columns)
        at = at + is_letter
    for _ in range(9):
        is_digit = (data[at] >= ord("0")) & (data[at] <= ord("9"))
        numbers = np.where(is_digit, numbers * 10 + data[at] - ord("0"), numbers)
        at = at + is_digit
    places = np.append((numbers << 20) + columns, np.array(unusual, np.int64))
    return max(bottom, int(numbers.max(initial=0))), max(right, int(columns.max(initial=0))), unplaced, places


def _without_prefixes(chunk: bytes) -> bytes:
    """``<x:c>`` is ``<c>``: some programs give every tag a prefix."""
    return _PREFIX.sub(rb"<\1", chunk) if b":" in chunk and _PREFIX.search(chunk) else chunk


def _check_markup(chunk: bytes, report: Report) -> None:
    if b"<!DOCTYPE" in chunk or b"<!ENTITY" in chunk:
        raise report.error(
            "file.xml_entities",
            "Die Arbeitsmappe enthält XML-Definitionen (DOCTYPE), die in einer Arbeitsmappe nichts zu suchen haben; "
            "bitte mit Excel neu speichern und neu senden.",
            found="DOCTYPE",
            expected="eine Arbeitsmappe, wie Excel sie speichert",
        )
    if b"\0" in chunk:
        raise contradictory(report, "XML in einer anderen Kodierung als UTF-8")


def _hidden(index: bytes, report: Report) -> tuple[str, ...]:
    names = _attributes(index, "sheet", "name", report)
    if len(names) > MAX_SHEETS:
        raise _too_many_sheets(report, len(names))
    if len({name.casefold() for name in names}) != len(names):
        raise contradictory(report, "zwei Blätter mit demselben Namen")
    states = _attributes(index, "sheet", "state", report)
    return tuple(name for name, state in zip(names, states, strict=True) if state not in ("", "visible"))


def _without_cells(index: bytes, relations: bytes, report: Report) -> frozenset[str]:
    """The sheets that are charts or dialogs; refused where two sheets are the same part of the file."""
    kinds = {one.get("Id", ""): one for one in _tags(relations, "Relationship", report)} if relations else {}
    found: set[str] = set()
    seen: set[str] = set()
    for sheet in _tags(index, "sheet", report):
        identity = next((value for key, value in sheet.items() if key.endswith(":id")), "")
        relation = kinds.get(identity, {})
        target = relation.get("Target", "")
        if target and target in seen:
            raise contradictory(report, "zwei Blätter mit demselben Inhalt")
        seen.add(target)
        if relation.get("Type", "").endswith(_NO_CELLS):
            found.add(sheet.get("name", ""))
    return frozenset(found)


def _attributes(content: bytes, tag: str, attribute: str, report: Report) -> list[str]:
    """The values of an attribute of all tags of a name, empty where a tag has none; ``content`` has no DOCTYPE."""
    return [one.get(attribute, "") for one in _tags(content, tag, report)]


def _tags(content: bytes, tag: str, report: Report) -> list[dict[str, str]]:
    """The attributes of all tags of a name; ``content`` has no DOCTYPE."""
    found: list[dict[str, str]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2] == tag:
            found.append(attributes)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise _unreadable(report) from error
    return found


# xls

_FREE, _END = 0xFFFFFFFF, 0xFFFFFFFE
_MAX_SECTOR = 0xFFFFFFFA
_CELLS_2 = {0x0006, 0x0203, 0x0204, 0x0205, 0x027E, 0x00FD, 0x00D6}
"""Records of one cell that begin with row and column: formula, number, label, boolean, RK, shared string, rich text."""
_FILE_PASS, _BOUND_SHEET, _MULTIPLE_RK, _BOF, _MERGES = 0x2F, 0x85, 0xBD, 0x809, 0xE5
_MACRO_SHEET = 1


def _inspect_xls(path: Path, report: Report) -> Facts:
    try:
        streams = Compound(path.read_bytes())
    except (struct.error, ValueError, IndexError) as error:
        raise _unreadable(report) from error
    names = {name.casefold() for name in streams.entries}
    if names & {"encryptedpackage", "encryptioninfo"}:
        raise _encrypted(report)
    if names & {"_vba_project_cur", "_vba_project", "vba", "macros"}:
        raise _macros(report)
    name = next((name for name in streams.entries if name.casefold() in ("workbook", "book")), None)
    if name is None:
        raise report.error(
            "file.unknown_kind",
            "Das ist ein Office-Dokument im alten Format, aber keine Excel-Arbeitsmappe.",
            found="ein Office-Dokument",
            expected="eine Excel-Arbeitsmappe",
        )
    try:
        return _inspect_records(streams.content(name), report)
    except (struct.error, ValueError, IndexError) as error:
        raise _unreadable(report) from error


class Compound:
    """The directory of an OLE compound file; ``ValueError`` where its chains of sectors run in circles or out of the file."""

    def __init__(self, data: bytes) -> None:
        if data[:8] != _OLE or len(data) < 512:
            raise ValueError("no compound file")
        self._data = data
        shift, mini_shift = struct.unpack_from("<HH", data, 30)
        if shift not in (9, 12) or mini_shift != 6:
            raise ValueError("sector size")
        self._sector = 1 << shift
        table_sectors, directory = struct.unpack_from("<II", data, 44)
        self._cutoff, mini_table, _, more, more_count = struct.unpack_from("<IIIII", data, 56)
        table = [n for n in struct.unpack_from("<109I", data, 76) if n < _MAX_SECTOR]
        for _ in range(min(more_count, len(data) // self._sector + 1)):
            if more >= _MAX_SECTOR:
                break
            numbers = np.frombuffer(self._read(more), "<u4")
            table += [int(n) for n in numbers[:-1] if n < _MAX_SECTOR]
            more = int(numbers[-1])
        if len(table) > len(data) // self._sector or len(table) < min(table_sectors, 1):
            raise ValueError("allocation table")
        self._next = np.concatenate([np.frombuffer(self._read(n), "<u4") for n in table])
        self.entries: dict[str, tuple[int, int]] = {}
        self._root = (_END, 0)
        for at in range(0, len(entries := self._chain(directory)) - 127, 128):
            length = struct.unpack_from("<H", entries, at + 64)[0]
            start, size = struct.unpack_from("<II", entries, at + 116)
            if not entries[at + 66]:
                continue
            if entries[at + 66] == 5:
                self._root = (start, size)
            elif len(self.entries) < MAX_PARTS:
                self.entries[entries[at : at + max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")] = (
                    start,
                    size,
                )
        self._mini_next = (
            np.frombuffer(self._chain(mini_table), "<u4") if mini_table < _MAX_SECTOR else np.empty(0, "<u4")
        )

    def content(self, name: str) -> bytes:
        start, size = self.entries[name]
        if size >= self._cutoff:
            return self._chain(start)[:size]
        mini, place = self._chain(self._root[0]), start
        parts: list[bytes] = []
        while place < _MAX_SECTOR:
            if place >= len(self._mini_next) or len(parts) > len(self._mini_next):
                raise ValueError("circle")
            parts.append(mini[place * 64 : place * 64 + 64])
            place = int(self._mini_next[place])
        return b"".join(parts)[:size]

    def _chain(self, place: int) -> bytes:
        parts: list[bytes] = []
        while place < _MAX_SECTOR:
            if place >= len(self._next) or len(parts) > len(self._next):
                raise ValueError("circle")
            parts.append(self._read(place))
            place = int(self._next[place])
        return b"".join(parts)

    def _read(self, sector: int) -> bytes:
        at = (sector + 1) * self._sector
        if at >= len(self._data):
            raise ValueError("outside the file")
        return self._data[at : at + self._sector].ljust(self._sector, b"\0")


def _inspect_records(stream: bytes, report: Report) -> Facts:
    hidden: list[str] = []
    sheets = cells = total = bottom = right = merges = at = 0
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        body = at + 4
        at = body + length
        if kind == _FILE_PASS:
            raise _encrypted(report)
        if kind == _BOF:
            total += bottom * right
            bottom = right = 0
        elif kind == _BOUND_SHEET and length > 8:
            sheets += 1
            state, sheet_kind, size, wide = struct.unpack_from("<BBBB", stream, body + 4)
            if sheet_kind == _MACRO_SHEET:
                raise _macros(report)
            if state & 3:
                raw = stream[body + 8 : body + 8 + size * (2 if wide & 1 else 1)]
                hidden.append(raw.decode("utf-16-le" if wide & 1 else "latin-1", "replace"))
        elif kind in _CELLS_2 or kind == _MULTIPLE_RK:
            row, column = struct.unpack_from("<HH", stream, body)
            if kind == _MULTIPLE_RK and length >= 6:
                column = struct.unpack_from("<H", stream, at - 2)[0]
                cells += length // 6
            cells += 1
            bottom, right = max(bottom, row + 1), max(right, column + 1)
        elif kind == _MERGES:
            merges += length // 8
        if sheets > MAX_SHEETS:
            raise _too_many_sheets(report, sheets)
        if cells > MAX_CELLS or total + bottom * right > MAX_AREA or merges > MAX_MERGES:
            raise _too_large(
                report, f"Zellen bis Zeile {bottom}, Spalte {right}", f"zusammen höchstens {MAX_AREA} Zellen"
            )
    return Facts(tuple(hidden))


# sentences


def _too_large(report: Report, found: str, expected: str) -> Exception:
    return report.error(
        "file.too_large",
        f"Die Arbeitsmappe ist zu groß zum Lesen ({found}, erlaubt {expected}); bitte nur den Bereich mit Zahlen senden.",
        found=found,
        expected=expected,
    )


def too_many_cells(report: Report) -> Exception:
    """The refusal of a workbook whose sheets together reach too far."""
    return _too_large(report, "mehr Zellen, als gelesen werden können", f"zusammen höchstens {MAX_AREA} Zellen")


def _too_many_sheets(report: Report, found: int) -> Exception:
    return report.error(
        "file.too_many_sheets",
        f"Die Arbeitsmappe hat mehr als {MAX_SHEETS} Blätter; so viele werden nicht gelesen.",
        found=f"mindestens {found} Blätter",
        expected=f"höchstens {MAX_SHEETS} Blätter",
    )


def _encrypted(report: Report) -> Exception:
    return report.error(
        "file.encrypted",
        "Die Arbeitsmappe ist mit einem Kennwort verschlüsselt; bitte ohne Kennwort speichern und neu senden.",
        found="verschlüsselt",
        expected="ohne Kennwort",
    )


def _macros(report: Report) -> Exception:
    return report.error(
        "file.macros",
        "Die Arbeitsmappe enthält Makros und wird nicht geöffnet; bitte als „Excel-Arbeitsmappe (*.xlsx)“ ohne Makros "
        "speichern und neu senden.",
        found="Makros",
        expected="eine Arbeitsmappe ohne Makros",
    )


def contradictory(report: Report, found: str) -> Exception:
    """The refusal of a workbook of which two programs would show different things."""
    return report.error(
        "file.unreadable",
        f"Die Arbeitsmappe ist widersprüchlich ({found}) und wird nicht geöffnet; bitte mit Excel neu speichern und senden.",
        found=found,
        expected="eine Arbeitsmappe, wie Excel sie speichert",
    )


def _unreadable(report: Report) -> Exception:
    return report.error(
        "file.unreadable",
        "Die Arbeitsmappe ist beschädigt und lässt sich nicht öffnen; bitte mit Excel neu speichern und senden.",
        found="nicht lesbar",
        expected="eine Arbeitsmappe, die sich öffnen lässt",
    )
