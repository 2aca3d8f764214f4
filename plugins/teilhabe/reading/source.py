"""The delivered bytes: what kind of file they are, whatever its name says, and its text or its cells."""

from __future__ import annotations

import codecs
import io
import mmap
from collections.abc import Iterator
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import python_calamine

from teilhabe.reading import hostile, workbook
from teilhabe.reading.report import Report

Kind = Literal["text", "xlsx", "xls", "office", "html", "pdf", "zip", "other"]
Encoding = Literal["utf-8", "cp1252"]
Cell = Any
Merges = list[tuple[tuple[int, int], tuple[int, int]]]
"""Merged ranges: first and last cell as (row, column), 0-based from A1."""

_BLOCK = 1 << 20
_HEAD = 1 << 16
_BOM = b"\xef\xbb\xbf"
_CP1252_UNDEFINED = (b"\x00", b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
_DAMAGE = (b"\x00", b"\xc3\x83\xc2", b"\xc3\x83\xc5", b"\xc3\x83\xe2\x80", b"\xef\xbf\xbd")
"""What is left of an umlaut that was decoded wrongly and saved as UTF-8: three kinds of 'Ã?', and U+FFFD."""
_MAX_TEXT = 30_000_000
"""Bytes of a file whose layout has to be read as a whole; layouts with one row per number are read in pieces."""
_MAX_LINE = 1_000_000
_MAX_COLUMNS = 16_384
"""What Excel can hold."""

_KIND_DE: dict[Kind, str] = {
    "text": "eine Textdatei (CSV)",
    "xlsx": "eine Excel-Arbeitsmappe (xlsx)",
    "xls": "eine Excel-Arbeitsmappe (xls)",
    "office": "ein Office-Dokument, aber keine Excel-Arbeitsmappe (xlsx)",
    "html": "eine Internetseite (HTML), vermutlich eine Fehler- oder Anmeldeseite",
    "pdf": "ein PDF-Dokument",
    "zip": "ein ZIP-Archiv",
    "other": "eine Datei unbekannter Art",
}


class Source:
    """One delivered file. Text is decoded strictly; nothing is replaced, nothing is guessed silently."""

    def __init__(self, path: Path, file_name: str, report: Report) -> None:
        self.path = path
        self.file_name = file_name
        self.report = report
        self.size = path.stat().st_size
        self._shown: frozenset[str] = frozenset()
        with path.open("rb") as stream:
            self.head = stream.read(_HEAD)

    @cached_property
    def kind(self) -> Kind:
        head = self.head.removeprefix(_BOM).lstrip()
        lower = head[:1000].lower()
        if head.startswith(b"PK\x03\x04"):
            return self._kind_of_zip()
        if head.startswith(b"\xd0\xcf\x11\xe0"):
            return "xls"
        if head.startswith(b"%PDF"):
            return "pdf"
        if lower.startswith((b"<!doctype html", b"<html")) or (lower.startswith(b"<") and b"<html" in lower):
            return "html"
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "text"
        return "other" if b"\x00" in self.head else "text"

    @property
    def kind_de(self) -> str:
        return _KIND_DE[self.kind]

    @property
    def is_workbook(self) -> bool:
        return self.kind in ("xls", "xlsx")

    def _kind_of_zip(self) -> Kind:
        if hostile.is_workbook(self.path):
            return "xlsx" if hostile.has_folder(self.path, "xl/") else "office"
        if self.file_name.lower().endswith((".xlsx", ".xlsm")) and hostile.is_broken(self.path):
            return "xlsx"  # and said to be broken when it is opened
        return "zip"

    @cached_property
    def encoding(self) -> Encoding:
        """UTF-8 if every byte agrees, else cp1252 if every byte exists there; else ``file.encoding``."""
        if self.head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise self._encoding_error("ist in UTF-16 gespeichert", "UTF-16")
        with self.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            utf8 = _is_utf8(data)
            for mark in _DAMAGE if utf8 else _CP1252_UNDEFINED:
                if (at := data.find(mark)) >= 0:
                    row = _line_of(data, at)
                    if not utf8 or mark == b"\0":
                        found = f"0x{mark[0]:02X}"
                        what = f"enthält in Zeile {row} das Byte {found}, das kein Zeichen ist"
                    else:
                        found = data[at : at + 4].decode("utf-8", "ignore")
                        what = f"enthält in Zeile {row} falsch umgewandelte Umlaute („{found}“)"
                    raise self._encoding_error(what, found, row)
        return "utf-8" if utf8 else "cp1252"

    def _encoding_error(self, what: str, found: str, row: int | None = None) -> Exception:
        return self.report.error(
            "file.encoding",
            f"Der Text {what}; bitte als UTF-8 oder Windows-1252 speichern und neu senden.",
            row=row,
            found=found,
            expected="UTF-8 oder Windows-1252",
        )

    def check_lines(self) -> None:
        """No line is longer and no header wider than any table can be: ``row.too_long``, ``header.too_many_columns``."""
        with self.path.open("rb") as stream:
            first = stream.readline(_MAX_LINE)
        columns = max(first.count(delimiter) for delimiter in (b";", b",", b"\t", b"|")) + 1
        if columns > _MAX_COLUMNS:
            raise self.report.error(
                "header.too_many_columns",
                f"Die erste Zeile hat mehr als {_MAX_COLUMNS} Spalten, so breit ist keine Tabelle.",
                row=1,
                found=f"mindestens {columns} Spalten",
                expected=f"höchstens {_MAX_COLUMNS} Spalten",
            )
        row, length = self._longest_line()
        if length > _MAX_LINE:
            raise self.report.error(
                "row.too_long",
                f"Zeile {row} ist mit {length // 1000} kB länger, als eine Zeile einer Tabelle sein kann "
                f"(höchstens {_MAX_LINE // 1000} kB).",
                row=row,
                found=f"{length // 1000} kB",
                expected=f"höchstens {_MAX_LINE // 1000} kB",
            )

    def _longest_line(self) -> tuple[int, int]:
        """Number and length in bytes of the first line that is too long, else (0, 0)."""
        row, length = 1, 0
        with self.path.open("rb") as stream:
            while block := stream.read(_BLOCK // 2):
                # Blocks are shorter than a line may be, so only the line that crosses a border can become too long.
                end = block.find(b"\n")
                if end < 0:
                    end = block.find(b"\r")
                length += len(block) if end < 0 else end
                if length > _MAX_LINE:
                    return row, length + self._rest(stream, end)
                if end >= 0:
                    row += block.count(b"\n")
                    length = len(block) - 1 - max(block.rfind(b"\n"), block.rfind(b"\r"))
        return 0, 0

    @staticmethod
    def _rest(stream: Any, end: int) -> int:
        rest = 0
        while end < 0 and (block := stream.read(_BLOCK)):
            end = block.find(b"\n")
            rest += len(block) if end < 0 else end
        return rest

    @cached_property
    def text(self) -> str:
        """The whole text; only for layouts whose files are small."""
        if self.size > _MAX_TEXT:
            raise self.report.error(
                "file.too_large",
                f"Die Datei ist mit {self.size // 1_000_000} MB für diese Lieferung zu groß, erlaubt sind "
                f"{_MAX_TEXT // 1_000_000} MB.",
                found=f"{self.size // 1_000_000} MB",
                expected=f"höchstens {_MAX_TEXT // 1_000_000} MB",
            )
        text = self.path.read_bytes().removeprefix(_BOM).decode(self.encoding)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def head_text(self) -> str:
        """The beginning of the text, for recognising a layout; never fails."""
        if self.kind != "text":
            return ""
        if self.head.startswith((b"\xff\xfe", b"\xfe\xff")):
            return self.head.decode("utf-16", "replace")
        head = self.head.removeprefix(_BOM)
        try:
            return head.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start > len(head) - 4:
                return head[: error.start].decode("utf-8")
            return head.decode("cp1252", "replace")

    @cached_property
    def facts(self) -> workbook.Facts:
        """What is known about a workbook before it is opened; refused here when it must not be opened."""
        return workbook.inspect(self.path, self.report)

    @property
    def sheets(self) -> dict[str, list[list[Cell]]]:
        """The cells of every sheet people see, from A1 on."""
        hidden = self.facts.hidden
        return {name: rows for name, rows in self.all_sheets.items() if name not in hidden or name in self._shown}

    @property
    def hidden_sheets(self) -> list[str]:
        """Hidden sheets with anything in them."""
        return [name for name in self.facts.hidden if any(map(any, self.all_sheets.get(name, [])))]

    def showing(self, *names: str) -> Source:
        """The same file as if only these sheets were there, hidden or not."""
        view = copy(self)
        view.__dict__["all_sheets"] = {name: rows for name, rows in self.all_sheets.items() if name in names}
        view._shown = frozenset(names)
        return view

    @property
    def merges(self) -> dict[str, Merges]:
        """The merged ranges of every sheet."""
        return self._opened[1]

    @cached_property
    def all_sheets(self) -> dict[str, list[list[Cell]]]:
        """The cells of every sheet, hidden ones among them: for checks, not for reading."""
        return self._opened[0]

    @cached_property
    def _opened(self) -> tuple[dict[str, list[list[Cell]]], dict[str, Merges]]:
        self.facts  # noqa: B018 - nothing is opened that was not inspected
        sheets: dict[str, list[list[Cell]]] = {}
        merges: dict[str, Merges] = {}
        try:
            book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(self.path.read_bytes()))
            for name in book.sheet_names:
                try:
                    sheet = book.get_sheet_by_name(name)
                except python_calamine.WorksheetNotFound:
                    continue  # a chart has no cells
                sheets[name] = sheet.to_python(skip_empty_area=False)
                merges[name] = _within(sheet.merged_cell_ranges or [], sheet.end)
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise  # a person or the scheduler ends the task; a panic of the parser is none of them
            raise self.report.error(
                "file.unreadable",
                "Die Arbeitsmappe ist beschädigt und lässt sich nicht öffnen; bitte mit Excel neu speichern und senden.",
                found="nicht lesbar",
                expected="eine Arbeitsmappe, die sich öffnen lässt",
            ) from error
        return sheets, merges

    def refuse_merges(self, sheet: str, first_row: int, last_row: int) -> None:
        """Merged cells among the data (rows 0-based, both included): nobody can tell which row such a number is for."""
        for (top, left), (bottom, _right) in self.merges.get(sheet, []):
            if top <= last_row and bottom >= first_row:
                place = f"{_letters(left)}{top + 1}"
                raise self.report.error(
                    "sheet.merged_cells",
                    f"Auf dem Blatt „{sheet}“ sind ab Zelle {place} Zellen verbunden, mitten unter den Zahlen; bitte die "
                    "Verbindung aufheben, jede Zelle füllen und neu senden.",
                    sheet=sheet,
                    row=top + 1,
                    column=_letters(left),
                    found=f"verbundene Zellen ab {place}",
                    expected="verbundene Zellen nur im Tabellenkopf",
                )

    def lines(self) -> Iterator[str]:
        yield from self.text.split("\n")


def _within(merges: Merges, end: tuple[int, int] | None) -> Merges:
    """Merged ranges cut to the cells there are: a range may name a million rows."""
    if end is None:
        return []
    return [
        ((top, left), (min(bottom, end[0]), min(right, end[1])))
        for (top, left), (bottom, right) in merges
        if top <= end[0] and left <= end[1]
    ]


def _line_of(data: mmap.mmap, at: int) -> int:
    """The number of the line at a place, counted in pieces."""
    return 1 + sum(data[start : min(start + _BLOCK, at)].count(b"\n") for start in range(0, at, _BLOCK))


def _letters(column: int) -> str:
    """0 is A, 26 is AA."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _is_utf8(data: mmap.mmap) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _BLOCK):
            decoder.decode(data[start : start + _BLOCK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def cell_text(cell: Cell) -> str:
    """A workbook cell as the text a person reads, without float noise: ``9677.0`` -> ``9677``."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "WAHR" if cell else "FALSCH"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if hasattr(cell, "isoformat"):
        return str(cell.isoformat())
    return str(cell)
