"""The same as ``appearance`` for workbooks in the old format (xls, BIFF8): records instead of tags."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from teilhabe.reading.files import number_formats
from teilhabe.reading.files.appearance import COLUMNS, Appearance, Look, Rich, Runs
from teilhabe.reading.files.number_formats import NumberLook
from teilhabe.reading.files.workbook import Compound

_BOF, _BOUND_SHEET, _CONTINUE = 0x809, 0x85, 0x3C
_FONT, _FORMAT, _XF, _STRINGS = 0x31, 0x41E, 0xE0, 0xFC
_ROW, _COLUMN_INFO = 0x208, 0x7D
_CELLS = {0x0006, 0x0203, 0x0204, 0x0205, 0x027E, 0x00FD, 0x00D6}
"""Records of one cell that begin with row, column and format."""
_SHARED_TEXT, _MULTIPLE_RK, _ERROR, _FORMULA = 0xFD, 0xBD, 0x205, 0x06
_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
_NO_NUMBER = 0xFFFF
"""Ends the result of a formula that is none; its first byte says what it is instead."""
_ERROR_RESULT = 2
_BIFF8 = 0x600
_RAISED = 1
_LEAST_HEIGHT = 20
"""Of a row, in twentieths of a point."""
_LEAST_WIDTH = 51
"""Of a column, in 256ths of a character."""
_NO_FONT = 4
"""Fonts are numbered 0, 1, 2, 3, 5, 6 ..."""

Record = tuple[int, int, bytes]
"""Where it begins in the stream, its kind and its content."""


def of_workbook(path: Path) -> dict[str, Appearance]:
    """Sheet -> how its cells look; nothing where the file is older than BIFF8 or its records are not what they should be."""
    try:
        compound = Compound(path.read_bytes())
        name = next(name for name in compound.entries if name.casefold() in ("workbook", "book"))
        return _Book(compound.content(name)).sheets
    except (struct.error, ValueError, IndexError, StopIteration):
        return {}


def _records(stream: bytes) -> Iterator[Record]:
    at = 0
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        yield at, kind, stream[at + 4 : at + 4 + length]
        at += 4 + length


class _Book:
    def __init__(self, stream: bytes) -> None:
        self.sheets: dict[str, Appearance] = {}
        self._fonts: list[tuple[bool, bool]] = []
        self._codes = {number: number_formats.look(code) for number, code in number_formats.BUILT_IN.items()}
        self._formats: list[tuple[int, int]] = []
        self._names: dict[int, str] = {}
        self._strings: dict[int, Rich] = {}
        self._kinds: list[Look] = []
        pieces: list[bytes] = []
        sheet: _Sheet | None = None
        in_strings = False
        for at, kind, body in _records(stream):
            if kind == _CONTINUE and in_strings:
                pieces.append(body)
                continue
            in_strings = kind == _STRINGS
            if kind == _BOF:
                if at == 0 and struct.unpack_from("<H", body)[0] != _BIFF8:
                    return
                if at and not self._kinds:
                    self._close_globals(pieces)
                sheet = self._open(at)
            elif sheet is not None:
                sheet.take(kind, body)
            elif kind == _STRINGS:
                pieces = [body]
            else:
                self._globals(kind, body)

    def _open(self, at: int) -> _Sheet | None:
        name = self._names.get(at)
        if name is None:
            return None
        self.sheets[name] = Appearance(kinds=self._kinds)
        return _Sheet(self.sheets[name], self._strings)

    def _globals(self, kind: int, body: bytes) -> None:
        if kind == _FONT:
            flags, raised = struct.unpack_from("<2xH4xH", body)
            self._fonts.append((raised == _RAISED, bool(flags & 8)))
        elif kind == _FORMAT:
            number, size, wide = struct.unpack_from("<HHB", body)
            text = body[5 : 5 + size * (2 if wide & 1 else 1)].decode("utf-16-le" if wide & 1 else "latin-1", "replace")
            self._codes[number] = number_formats.look(text)
        elif kind == _XF:
            self._formats.append(struct.unpack_from("<HH", body))
        elif kind == _BOUND_SHEET:
            place, size, wide = struct.unpack_from("<I2xBB", body)
            raw = body[8 : 8 + size * (2 if wide & 1 else 1)]
            self._names[place] = raw.decode("utf-16-le" if wide & 1 else "latin-1", "replace")

    def _font(self, number: int) -> tuple[bool, bool]:
        """Whether a font is raised, and whether it is crossed out."""
        number -= number > _NO_FONT
        return self._fonts[number] if number < len(self._fonts) else (False, False)

    def _close_globals(self, pieces: list[bytes]) -> None:
        self._kinds = [
            Look(self._codes.get(code, NumberLook()), self._font(font)[1]) for font, code in self._formats
        ] or [Look()]
        if any(raised or struck for raised, struck in self._fonts) and pieces:
            for number, (text, runs) in enumerate(_Strings(pieces).all()):
                if runs and (rich := self._rich(text, runs)) is not None:
                    self._strings[number] = rich

    def _rich(self, text: str, runs: list[tuple[int, int]]) -> Rich | None:
        ends = [start for start, _ in runs[1:]] + [len(text)]
        joined = Runs()
        joined.add(text[: runs[0][0]])
        for (start, font), end in zip(runs, ends, strict=True):
            raised, struck = self._font(font)
            joined.add(text[start:end], raised=raised, struck=struck)
        return joined.rich


class _Sheet:
    def __init__(self, found: Appearance, strings: dict[int, Rich]) -> None:
        self._found = found
        self._strings = strings
        self._notable = {number for number, look in enumerate(found.kinds) if look.matters}

    def take(self, kind: int, body: bytes) -> None:
        if kind in _CELLS:
            row, column, style = struct.unpack_from("<HHH", body)
            self._cell(row, column, style)
            if kind == _SHARED_TEXT and (rich := self._strings.get(struct.unpack_from("<6xI", body)[0])):
                self._found.change(row * COLUMNS + column, rich)
            if kind == _FORMULA and struct.unpack_from("<12xH", body)[0] == _NO_NUMBER and body[6] == _ERROR_RESULT:
                self._found.texts[row * COLUMNS + column] = _ERRORS.get(body[8], "#N/A")
        elif kind == _ERROR:
            row, column, style, code, is_error = struct.unpack_from("<HHHBB", body)
            self._cell(row, column, style)
            if is_error:
                self._found.texts[row * COLUMNS + column] = _ERRORS.get(code, "#N/A")
        elif kind == _MULTIPLE_RK:
            row, first = struct.unpack_from("<HH", body)
            for number in range((len(body) - 6) // 6):
                self._cell(row, first + number, struct.unpack_from("<H", body, 4 + 6 * number)[0])
        elif kind == _ROW:
            row, height, flags = struct.unpack_from("<H4xH4xH", body)
            if flags & 0x20 or height & 0x7FFF < _LEAST_HEIGHT:
                self._found.hidden_rows.append(row)
        elif kind == _COLUMN_INFO:
            first, last, width, _, flags = struct.unpack_from("<HHHHH", body)
            if (flags & 1 or width < _LEAST_WIDTH) and first <= last < COLUMNS:
                self._found.hidden_columns.append((first, last))

    def _cell(self, row: int, column: int, style: int) -> None:
        if style in self._notable:
            self._found.add(row * COLUMNS + column, style)


class _Strings:
    """The table of shared texts, which may be cut anywhere into records of 8 kB."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._piece, self._at = 0, 8

    def all(self) -> Iterator[tuple[str, list[tuple[int, int]]]]:
        """Every text, and where in it which font begins."""
        for _ in range(struct.unpack_from("<I", self._pieces[0], 4)[0]):
            size, flags = struct.unpack("<HB", self._take(3))
            runs = struct.unpack("<H", self._take(2))[0] if flags & 8 else 0
            extra = struct.unpack("<I", self._take(4))[0] if flags & 4 else 0
            text = self._characters(size, bool(flags & 1))
            yield text, [struct.unpack("<HH", self._take(4)) for _ in range(runs)]
            self._take(extra)

    def _next(self) -> None:
        self._piece, self._at = self._piece + 1, 0
        if self._piece >= len(self._pieces):
            raise ValueError("the table of texts ends too early")

    def _take(self, size: int) -> bytes:
        taken = b""
        while size:
            part = self._pieces[self._piece][self._at : self._at + size]
            taken, size, self._at = taken + part, size - len(part), self._at + len(part)
            if size:
                self._next()
        return taken

    def _characters(self, size: int, wide: bool) -> str:
        """A text that goes on in the next record says there again how it is written."""
        text = ""
        while size:
            if self._at >= len(self._pieces[self._piece]):
                self._next()
                wide = bool(self._take(1)[0] & 1)
            width = 2 if wide else 1
            count = min(size, (len(self._pieces[self._piece]) - self._at) // width)
            if not count:
                raise ValueError("half a character")
            text += self._take(count * width).decode("utf-16-le" if wide else "latin-1", "replace")
            size -= count
        return text
