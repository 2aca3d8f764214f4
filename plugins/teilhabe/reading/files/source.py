"""The delivered bytes: what kind of file they are, whatever its name says, and its text or its cells."""

from __future__ import annotations

import io
import mmap
import tempfile
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
import python_calamine

from teilhabe.errors import Evidence, ReadingError
from teilhabe.reading.cells.labels import unmarked
from teilhabe.reading.files import appearance, appearance_xls, text, workbook
from teilhabe.reading.files.appearance import Appearance
from teilhabe.reading.files.kinds import KINDS_DE, Kind, kind_of
from teilhabe.reading.files.text import BOM, Records
from teilhabe.reading.report import Report

Encoding = Literal["utf-8", "cp1252"]
Cell = Any
Merges = list[tuple[tuple[int, int], tuple[int, int]]]
"""Merged ranges: first and last cell as (row, column), 0-based from A1."""

_BLOCK = 1 << 20
_HEAD = 1 << 16
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_MANY_ZEROS = 0.25
"""Share of NUL bytes from which a text is UTF-16 without a byte order mark; fewer are damage."""
_CP1252_UNDEFINED = (b"\x00", b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
_DAMAGE = (
    b"\x00",
    b"\xc3\x83\xc2",
    b"\xc3\x83\xc5",
    b"\xc3\x83\xe2\x80",
    b"\xc3\x82\xc2",
    b"\xc3\xa2\xe2\x82\xac",
    b"\xef\xbf\xbd",
)
"""What is left of an umlaut that was decoded wrongly and saved as UTF-8: three kinds of 'Ã?', a no-break space 'Â ', a dash
'â€“', and U+FFFD."""
_MAX_TEXT = 30_000_000
"""Bytes of a file whose layout has to be read as a whole; layouts with one row per number are read in pieces."""
_MAX_LINE = 1_000_000
_MAX_COLUMNS = 16_384
"""What Excel can hold."""
_BESIDE = 50
"""So far below and beside the cells with content a formula without a result still belongs to them."""


@dataclass(frozen=True)
class TextTable:
    """The bytes of a table, one record per line: a file, and how many lines stand above its header."""

    file: Path | IO[bytes]
    encoding: Encoding
    above: int


class Source:
    """One delivered file. Text is decoded strictly; nothing is replaced, nothing is guessed silently."""

    def __init__(self, path: Path, file_name: str, report: Report) -> None:
        self.path = path
        self.file_name = file_name
        self.report = report
        self.size = path.stat().st_size
        self._shown: frozenset[str] = frozenset()
        self._records: Records | None = None
        with path.open("rb") as stream:
            self.head = stream.read(_HEAD)

    @cached_property
    def kind(self) -> Kind:
        return kind_of(self.path, self.file_name, self.head)

    @property
    def kind_de(self) -> str:
        return KINDS_DE[self.kind]

    @property
    def is_workbook(self) -> bool:
        return self.kind in ("xls", "xlsx")

    @cached_property
    def look(self) -> text.Look:
        """What the bytes of a text hold that its readers must not meet."""
        return text.look(self.path, self.delimiter)

    @cached_property
    def encoding(self) -> Encoding:
        """UTF-8 if every byte agrees, else cp1252 if every byte exists there and nothing says otherwise; else ``file.encoding``."""
        text_of_head = self.head.rstrip(b"\0")  # zeros behind the last line are what an interrupted copy leaves
        if self.head.startswith(_UTF16) or text_of_head.count(b"\0") > len(text_of_head) * _MANY_ZEROS:
            raise self._encoding_error("ist in UTF-16 gespeichert („Unicode-Text“)", "UTF-16")
        utf8 = self.look.is_utf8
        with self.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if not utf8 and (mixed := text.mixture(self.path, data)) is not None:
                lines = f"Zeile {mixed.row} ist" + (f" (wie insgesamt {mixed.count} Zeilen)" if mixed.count > 1 else "")
                raise self._encoding_error(
                    f"mischt zwei Zeichensätze: {lines} in {mixed.encoding} gespeichert, die übrigen in {mixed.others}",
                    mixed.encoding,
                    mixed.row,
                )
            if not utf8 and (at := text.dos_or_mac(data)) >= 0:
                row = _line_of(data, at)
                what = f"hat in Zeile {row} Umlaute aus einem Zeichensatz von DOS oder alten Macs"
                raise self._encoding_error(what, f"0x{data[at]:02X}", row)
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
            f"Der Text {what}; bitte einheitlich als UTF-8 oder Windows-1252 speichern und neu senden.",
            row=row,
            found=found,
            expected="UTF-8 oder Windows-1252",
        )

    def check_lines(self) -> None:
        """No line is longer and no header wider than any table can be: ``row.too_long``, ``header.too_many_columns``."""
        with self.path.open("rb") as stream:
            first = stream.readline(_MAX_LINE).split(b"\r", 1)[0]
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
                    row += max(block.count(b"\n"), block.count(b"\r"))
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
    def lines(self) -> list[str]:
        """The whole text, one record per line; only for layouts whose files are small."""
        if self.size > _MAX_TEXT:
            raise self.report.error(
                "file.too_large",
                f"Die Datei ist mit {self.size // 1_000_000} MB für diese Lieferung zu groß, erlaubt sind "
                f"{_MAX_TEXT // 1_000_000} MB.",
                found=f"{self.size // 1_000_000} MB",
                expected=f"höchstens {_MAX_TEXT // 1_000_000} MB",
            )
        self._tell_hidden()
        return text.without_empty_end([line for lines in self.records() for line in lines], self.delimiter)

    def records(self, *, strict: bool = True, blank: bool = True) -> Iterator[list[str]]:
        """All records in portions, ``blank`` ones on request; ``row`` knows the line each begins in once it was given.

        Not ``strict``: a text in no single encoding is shown as far as it can be.
        """
        encoding: Encoding = "cp1252"
        try:
            encoding = self.encoding
        except ReadingError:
            if strict:
                raise
        self._records = Records(self.delimiter, blank=blank)
        for lines, last in text.decoded_lines(self.path, encoding, "strict" if strict else "replace"):
            yield self._records.add(lines, last=last)

    def row(self, record: int) -> int:
        """The line of the file, as an editor counts it, in which a record begins (both from 1)."""
        return record if self._records is None else self._records.row(record)

    def rows(self, records: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        return records if self._records is None else self._records.rows(records)

    @property
    def stray_quotes(self) -> set[int]:
        """Numbers of the lines, as far as they were read, with a quotation mark where nobody can tell what it encloses."""
        return self._records.stray_quotes if self._records else set()

    @cached_property
    def blank_lines(self) -> frozenset[int]:
        """The numbers of all lines that hold nothing but what separates columns."""
        with self.path.open(encoding=self.encoding, newline=None) as stream:
            return frozenset(number for number, line in enumerate(stream, start=1) if text.is_blank(line.strip()))

    def refuse_open_quote(self, before: int | None = None) -> None:
        """A quotation mark that is never closed ends the reading, unless it stands below the last record that matters."""
        row = self._records.open_quote if self._records else None
        if row is not None and (before is None or row < before):
            raise self.report.error(
                "row.open_quote",
                f"In Zeile {row} wird ein Anführungszeichen geöffnet und nicht geschlossen; die folgenden Zeilen gehen "
                "darin unter.",
                row=row,
                expected="paarige Anführungszeichen",
            )

    @cached_property
    def table(self) -> TextTable:
        """The bytes of a table that may be long: the file itself, or a copy without what a splitter cannot take."""
        if self.look.is_clean:
            return TextTable(self.path, self.encoding, self.lines_above)
        self._tell_hidden()
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as it is read
        for lines in self.records(blank=False):
            copy.write("".join(f"{line}\n" for line in lines).encode())
        self.refuse_open_quote()
        copy.seek(0)
        return TextTable(copy, "utf-8", 0)

    def _tell_hidden(self) -> None:
        """Nobody sees an invisible character: its loss changes nothing, and where it stood is said."""
        if not self.look.hidden:
            return
        count, first = 0, None
        with self.path.open(encoding=self.encoding, newline=None) as stream:
            for number, line in enumerate(stream, start=1):
                if not line.isascii() and (
                    found := text.INVISIBLE.findall(line.removeprefix("\ufeff") if number == 1 else line)
                ):
                    first = first or (number, found[0])
                    count += 1
        if first is not None:
            number, sign = first
            self.report.rows(
                "info",
                "text.invisible",
                "ein unsichtbares Zeichen ({found}) wurde weggelassen",
                [Evidence(number, None, f"U+{ord(sign):04X}")],
                expected="sichtbare Zeichen",
                count=count,
            )

    @cached_property
    def delimiter(self) -> str:
        """What stands between the columns of a text."""
        return text.delimiter_of("\n".join(text.lines_of(self._decoded_head)))

    @cached_property
    def _head_records(self) -> tuple[Records, list[str]]:
        records = Records(self.delimiter)
        return records, records.add(text.lines_of(self._decoded_head))

    @property
    def head_lines(self) -> list[str]:
        """The first records of the text, for recognising a layout, at least one; never fails."""
        return (self._head_records[1] if self.kind == "text" else []) or [""]

    @property
    def lines_above(self) -> int:
        """Blank lines, and Excel's ``sep=;``, above the first line that says something."""
        return self._head_records[0].above if self.kind == "text" else 0

    @property
    def head_text(self) -> str:
        """The beginning of the text, for recognising a layout; never fails."""
        return "\n".join(self.head_lines)

    @cached_property
    def _decoded_head(self) -> str:
        if self.head.startswith(_UTF16):
            return self.head.decode("utf-16", "replace").removeprefix("\ufeff")
        head = self.head.removeprefix(BOM)
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

    @property
    def appearances(self) -> dict[str, Appearance]:
        """How the cells of every sheet look, where that is not simply what they hold."""
        return self._opened[2]

    @cached_property
    def all_sheets(self) -> dict[str, list[list[Cell]]]:
        """The cells of every sheet, hidden ones among them: for checks, not for reading."""
        return self._opened[0]

    @cached_property
    def _opened(self) -> tuple[dict[str, list[list[Cell]]], dict[str, Merges], dict[str, Appearance]]:
        self.facts  # noqa: B018 - nothing is opened that was not inspected
        sheets: dict[str, list[list[Cell]]] = {}
        merges: dict[str, Merges] = {}
        try:
            book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(self.path.read_bytes()))
            area = 0
            for name in book.sheet_names:
                try:
                    sheet = book.get_sheet_by_name(name)
                except python_calamine.WorksheetNotFound:
                    if self.kind == "xlsx" and name not in self.facts.without_cells:
                        raise workbook.contradictory(self.report, f"das Blatt „{name}“ ist nicht zu finden") from None
                    continue
                area += sheet.total_height * sheet.total_width
                if area > workbook.MAX_AREA:
                    raise workbook.too_many_cells(self.report)
                sheets[name] = _visible(sheet.to_python(skip_empty_area=False))
                merges[name] = _within(sheet.merged_cell_ranges or [], sheet.end)
        except (ReadingError, MemoryError):
            raise
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise  # a person or the scheduler ends the task; a panic of the parser is none of them
            raise self.report.error(
                "file.unreadable",
                "Die Arbeitsmappe ist beschädigt und lässt sich nicht öffnen; bitte mit Excel neu speichern und senden.",
                found="nicht lesbar",
                expected="eine Arbeitsmappe, die sich öffnen lässt",
            ) from error
        looks = (
            appearance.of_workbook(self.path, self.report)
            if self.kind == "xlsx"
            else appearance_xls.of_workbook(self.path)
        )
        for name, look in looks.items():
            _show(sheets.get(name, []), look)
        return sheets, merges, looks

    def refuse_merges(self, sheet: str, first_row: int, last_row: int) -> None:
        """Merged cells among the data (rows 0-based, both included): nobody can tell which row such a number is for."""
        for (top, left), (bottom, _right) in self.merges.get(sheet, []):
            if top <= last_row and bottom >= first_row:
                place = f"{letters(left)}{top + 1}"
                raise self.report.error(
                    "sheet.merged_cells",
                    f"Auf dem Blatt „{sheet}“ sind ab Zelle {place} Zellen verbunden, mitten unter den Zahlen; bitte die "
                    "Verbindung aufheben, jede Zelle füllen und neu senden.",
                    sheet=sheet,
                    row=top + 1,
                    column=letters(left),
                    found=f"verbundene Zellen ab {place}",
                    expected="verbundene Zellen nur im Tabellenkopf",
                )


def _show(cells: list[list[Cell]], look: Appearance) -> None:
    """Puts into the cells what people see there: no footnote mark as a digit, no formula as an empty cell."""
    for place, written in look.texts.items():
        row, column = divmod(place, appearance.COLUMNS)
        if row < len(cells) and column < len(cells[row]):
            cells[row][column] = unmarked(written)
    if not look.formulas:
        return
    bottom, right = len(cells), max(map(len, cells), default=0)
    for place in look.formulas:
        row, column = divmod(place, appearance.COLUMNS)
        if row < len(cells) + _BESIDE and column < right + _BESIDE:
            bottom, right = max(bottom, row + 1), max(right, column + 1)
    cells += [[] for _ in range(bottom - len(cells))]
    for filled in cells:
        filled.extend([""] * (right - len(filled)))
    for place, formula in look.formulas.items():
        row, column = divmod(place, appearance.COLUMNS)
        if row < bottom and column < right:
            cells[row][column] = formula


def _within(merges: Merges, end: tuple[int, int] | None) -> Merges:
    """Merged ranges cut to the cells there are: a range may name a million rows."""
    if end is None:
        return []
    return [
        ((top, left), (min(bottom, end[0]), min(right, end[1])))
        for (top, left), (bottom, right) in merges
        if top <= end[0] and left <= end[1]
    ]


def _visible(rows: list[list[Cell]]) -> list[list[Cell]]:
    """Cells without what nobody sees, as in a text; in place, for there may be a million."""
    for row in rows:
        for at, cell in enumerate(row):
            if cell.__class__ is str and not cell.isascii():
                row[at] = text.visible(cell)
    return rows


def _line_of(data: mmap.mmap, at: int) -> int:
    """The number of the line at a place, counted in pieces."""
    before = [data[start : min(start + _BLOCK, at)] for start in range(0, at, _BLOCK)]
    return 1 + max(sum(block.count(end) for block in before) for end in (b"\n", b"\r"))


def letters(column: int) -> str:
    """0 is A, 26 is AA."""
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(65 + rest) + text
    return text


def without_noise(number: float) -> float:
    """What a program for tables shows at most are 15 digits: 465.00000000000006 is 465, 0.30000000000000004 is 0.3."""
    return float(f"{number:.15g}")


def cell_text(cell: Cell) -> str:
    """A workbook cell as the text a person reads, without float noise: ``9677.0`` -> ``9677``."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "WAHR" if cell else "FALSCH"
    if isinstance(cell, float):
        cell = without_noise(cell)
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e21 else repr(cell)
    if hasattr(cell, "isoformat"):
        return str(cell.isoformat())
    return text.visible(str(cell))
