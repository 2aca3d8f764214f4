"""The text of a file as people see it in an editor: one record per line, whatever its line ends, and nothing invisible in it.

Most files need none of this. ``look`` goes over the bytes once and says what is in them; only then is a copy made.
"""

from __future__ import annotations

import codecs
import csv
import mmap
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

DELIMITERS = (";", ",", "\t", "|")
BOM = b"\xef\xbb\xbf"

_BLOCK = 4 << 20
_LONGEST_QUOTE = 500
"""Lines a quoted field may go on for; beyond, its quotation mark was never closed."""
_FEW_COLUMNS = 2

INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
"""Takes no place on the screen: soft hyphen, zero-width space and joiners, marks of direction, a byte order mark in the middle."""
_BLANKS = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
"""Looks like a space: no-break, narrow no-break, thin, figure space and their like."""
_COMBINING = re.compile("[\u0300-\u036f]")
"""The dots of an umlaut as a sign of their own behind the letter: how macOS writes names of files and some exports all texts."""
_LEADS = (b"\xc2", b"\xcc", b"\xcd", b"\xd8", b"\xe1", b"\xe2", b"\xe3", b"\xef")
"""How the UTF-8 of all of these begins; that of umlauts does not."""
_HIDDEN = re.compile(
    rb"\xc2[\xa0\xad]|\xcc[\x80-\xbf]|\xcd[\x80-\xaf]|\xd8\x9c|\xe1(?:\xa0\x8e|\x9a\x80)|\xe2(?:\x80[\x80-\x8f\xaa-\xaf]|\x81[\x9f-\xaf])|\xe3\x80\x80|\xef\xbb\xbf"
)
_SEP = re.compile(r'"?sep=(.)"?[;,\t|]*\s*', re.IGNORECASE)
_END_OF_FILE = b"\x1a"
"""What DOS put behind the last line."""
_NOTHING = ' \t;,|"'
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")

_UTF8_LETTERS = re.compile(
    rb"[\xc2\xc3\xc5][\x80-\xbf]|\xc4(?![\x84\x85\x91-\x97\xa0\xab\xbb])[\x80-\xbf]|\xe2[\x80-\x8b][\x80-\xbf]"
)
"""Letters and signs of European texts in UTF-8; read as Windows-1252, none of these pairs stands in a German text."""
_UTF8_LEADS = (b"\xc2", b"\xc3", b"\xc5", b"\xc4", b"\xe2")
_DOS_OR_MAC = re.compile(rb"(?<=[A-Za-z])[\x80\x81\x84\x86\x8a\x8e\x94\x99\x9f](?=[a-z])")
"""An umlaut of DOS (CP850) or of old Macs (Mac Roman); in Windows-1252 these are quotation marks, the euro, a dagger or
capitals with a caron, which do not stand within a word, or nothing (the ü of DOS)."""
_DOS_OR_MAC_LETTERS = (b"\x80", b"\x81", b"\x84", b"\x86", b"\x8a", b"\x8e", b"\x94", b"\x99", b"\x9f")


@dataclass(frozen=True)
class Look:
    """What the bytes of a text file hold that its readers must not meet."""

    is_utf8: bool
    returns: bool
    """Line ends other than LF and CRLF: those of old Macs, or CR CR LF of a transfer that changed them twice."""
    hidden: bool
    """Invisible characters, spaces other than the usual one, or umlauts written as two signs."""
    across: bool
    """An odd number of quotation marks in a line: a quoted field may go on in the next."""
    within: bool
    """A quotation mark with text on both sides: it may be one of a field that others enclose."""

    @property
    def is_clean(self) -> bool:
        return not (self.returns or self.hidden or self.across or self.within)


def look(path: Path, delimiter: str) -> Look:
    """One pass over all bytes, at the speed of searching memory where there is nothing to find."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_utf8, returns, hidden, across, within = True, False, False, False, False
    tail, quotes = b"", 0
    with path.open("rb") as stream:
        if stream.read(len(BOM)) != BOM:
            stream.seek(0)
        while block := stream.read(_BLOCK):
            if block.endswith(b"\r"):
                block += stream.read(1)
            ascii_only = block.isascii()
            if is_utf8 and not (ascii_only and not decoder.getstate()[0]):
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    is_utf8 = False
            returns = returns or _has_lone_return(block)
            if not hidden and not ascii_only:
                hidden = bool(_HIDDEN.search(tail + block[:2])) or (
                    any(lead in block for lead in _LEADS) and bool(_HIDDEN.search(block))
                )
            if not across and (quotes or b'"' in block):
                across, quotes = _is_odd(block, quotes)
            within = within or (b'"' in tail + block and _has_quote_within(tail + block, delimiter))
            tail = block[-2:]
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        is_utf8 = False
    hidden = hidden or tail.endswith(_END_OF_FILE)
    if not is_utf8 and not hidden:
        hidden = _has_any(path, (b"\xa0", b"\xad"))
    return Look(is_utf8, returns, hidden, across, within)


def _is_odd(block: bytes, before: int) -> tuple[bool, int]:
    """Whether a line that ends in the block has an odd number of quotation marks, and how many the unfinished one has."""
    data = np.frombuffer(block, dtype=np.uint8)
    quotes = np.flatnonzero(data == ord('"'))
    ends = np.flatnonzero((data == ord("\n")) | (data == ord("\r")))
    if not len(ends):
        return False, before + len(quotes)
    until = np.searchsorted(quotes, ends)
    per_line = np.diff(until, prepend=0)
    per_line[0] += before
    return bool((per_line % 2).any()), len(quotes) - int(until[-1])


def _has_quote_within(block: bytes, delimiter: str) -> bool:
    data = np.frombuffer(block, dtype=np.uint8)
    if len(data) < 3:
        return False
    is_end = np.isin(data, np.frombuffer(f'"\r\n{delimiter}'.encode(), dtype=np.uint8))
    is_quote = data[1:-1] == ord('"')
    return bool((is_quote & ~is_end[:-2] & ~is_end[2:]).any())


def _has_lone_return(block: bytes) -> bool:
    if b"\r" not in block:
        return False
    data = np.frombuffer(block, dtype=np.uint8)
    return bool((data[1:][data[:-1] == ord("\r")] != ord("\n")).any()) or block.endswith(b"\r")


def _has_any(path: Path, signs: Sequence[bytes]) -> bool:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            if any(sign in block for sign in signs):
                return True
    return False


@dataclass(frozen=True)
class Mixture:
    """Two encodings in one file: the line that is unlike the others, and how it is written."""

    row: int
    encoding: str
    others: str
    count: int


def mixture(path: Path, data: mmap.mmap) -> Mixture | None:
    """Of a text that is not UTF-8: whether some of its lines are, so that no encoding fits the whole."""
    if next(_found(data, _UTF8_LEADS, _UTF8_LETTERS), None) is None:
        return None
    utf8, cp1252 = [], []
    with path.open(encoding="latin-1", newline=None) as stream:
        for number, line in enumerate(stream, start=1):
            if line.isascii():
                continue
            rest, found = _UTF8_LETTERS.subn(b"", line.encode("latin-1"))
            if found:
                utf8.append(number)
            if not rest.isascii():
                cp1252.append(number)
    if not cp1252:
        return None
    if len(utf8) < len(cp1252):
        return Mixture(utf8[0], "UTF-8", "Windows-1252", len(utf8))
    return Mixture(cp1252[0], "Windows-1252", "UTF-8", len(cp1252))


def dos_or_mac(data: mmap.mmap) -> int:
    """Where an umlaut of DOS or of an old Mac stands; -1 where there is none."""
    return next(_found(data, _DOS_OR_MAC_LETTERS, _DOS_OR_MAC), -1)


def _found(data: mmap.mmap, beginnings: Sequence[bytes], pattern: re.Pattern[bytes]) -> Iterator[int]:
    """Where a pattern stands that begins with one of these bytes: looking for single bytes is ten times as fast."""
    for beginning in beginnings:
        at = data.find(beginning)
        while at >= 0:
            if pattern.match(data, at):
                yield at
            at = data.find(beginning, at + 1)


def is_blank(line: str) -> bool:
    """Whether a line holds nothing but what separates columns."""
    return not line.strip(_NOTHING)


def without_empty_end(lines: list[str], delimiter: str) -> list[str]:
    """Without a last column that is empty in every row, its header among them: some programs end each line so."""
    while (columned := [line for line in lines if delimiter in line]) and all(
        line.endswith(delimiter) for line in columned
    ):
        lines = [line.removesuffix(delimiter) for line in lines]
    return lines


def wrong_delimiter(found: str, agreed: str) -> str:
    """Part of a German sentence."""
    name = {"\t": "ein Tabulator"}.get(found, f"„{found}“")
    return f"zwischen den Spalten steht {name} und nicht „{agreed}“"


def visible(text: str) -> str:
    """Without invisible characters, with one kind of space, and each letter with its dots as one sign."""
    if text.isascii():
        return text
    text = INVISIBLE.sub("", _BLANKS.sub(" ", text))
    return unicodedata.normalize("NFC", text) if _COMBINING.search(text) else text


def delimiter_of(text: str) -> str:
    """What stands between the columns, by the beginning of a text; not told by decimal commas nor by what is quoted."""
    lines = [line for line in text.split("\n", 60)[:60] if not is_blank(line)]
    if lines and (declared := _SEP.fullmatch(lines[0])) and declared[1] in DELIMITERS:
        return declared[1]
    bare = _DECIMAL_COMMA.sub("", _QUOTED.sub("", "\n".join(lines)))
    return max(DELIMITERS, key=bare.count)


class Records:
    """Lines joined where a quoted field goes on in the next one, and the number each record has in an editor.

    Lines above the table that say nothing to a reader (blank ones, Excel's ``sep=;``) are left out; on request also
    blank ones within it.
    """

    def __init__(self, delimiter: str, *, blank: bool = True) -> None:
        self._keeps_blank = blank
        self.open_quote: int | None = None
        """The first line whose quotation mark is never closed; it is left as it is, and refused where it matters."""
        self.above = 0
        """Lines left out above the first."""
        self.stray_quotes: set[int] = set()
        """Lines of records with a quotation mark within a field that others enclose: which text was meant, nobody can tell."""
        self._delimiter = delimiter
        self._begun = False
        self._held: list[str] = []
        self._lines = 0
        self._records = 0
        self._starts = [1]
        self._shifts = [0]

    def add(self, lines: list[str], *, last: bool = True) -> list[str]:
        """The records of the next lines; a quoted field that goes on waits for what follows, unless nothing does."""
        if not self._begun:
            lines = self._from_header(lines)
        lines = [*self._held, *lines] if self._held else lines
        self._held = []
        records: list[str] = []
        at = 0
        while at < len(lines):
            line = lines[at]
            if not self._keeps_blank and is_blank(line):
                self._lines += 1
                self._shift()
                at += 1
                continue
            end: int | None = at
            if '"' in line:
                end = self._end(lines, at)
                if end is None and not last and len(lines) - at < _LONGEST_QUOTE:
                    self._held = lines[at:]
                    break
                if end is None and self.open_quote is None:
                    self.open_quote = self._lines + 1
            end = at if end is None else end
            records.append(line if end == at else " ".join(lines[at : end + 1]))
            if '"' in line and _has_stray_quote(records[-1], self._delimiter):
                self.stray_quotes.add(self._lines + 1)
            self._records += 1
            self._lines += end + 1 - at
            if end > at:
                self._shift()
            at = end + 1
        return records

    def row(self, record: int) -> int:
        """The number of the line a record begins in; both counted from 1."""
        return int(self.rows(np.array([record]))[0])

    def rows(self, records: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        starts = np.searchsorted(np.array(self._starts), records, side="right") - 1
        return np.asarray(records + np.array(self._shifts)[starts], dtype=np.int32)

    def _from_header(self, lines: list[str]) -> list[str]:
        empty = next((i for i, line in enumerate(lines) if not is_blank(line) and not _SEP.fullmatch(line)), None)
        self._begun = empty is not None
        empty = len(lines) if empty is None else empty
        self.above += empty
        self._lines += empty
        self._shifts[0] = self.above
        return lines[empty:]

    def _shift(self) -> None:
        self._starts.append(self._records + 1)
        self._shifts.append(self._lines - self._records)

    def _end(self, lines: list[str], at: int) -> int | None:
        """The line in which the last quoted field of a line ends; None where that cannot be told."""
        inside: bool | None = False
        for number in range(at, min(len(lines), at + _LONGEST_QUOTE)):
            inside = _is_inside(lines[number], self._delimiter, bool(inside))
            if inside is None:
                return None
            if not inside:
                return None if self._swallows(lines[at : number + 1]) else number
        return None

    def _swallows(self, lines: list[str]) -> bool:
        """Whether a quoted field holds whole rows: then two quotation marks are missing, each in a row of its own."""
        if len(lines) == 1:
            return False
        columns = len(next(csv.reader([" ".join(lines)], delimiter=self._delimiter)))
        # With two columns one delimiter in the text is enough to look like a row: then it is what it says, one field.
        return columns > _FEW_COLUMNS and all(line.count(self._delimiter) + 1 == columns for line in lines)


def _is_inside(line: str, delimiter: str, inside: bool) -> bool | None:
    """Whether a quoted field is open at the end of a line.

    None where a field that came from the line before is closed in the middle of a text: it was never meant to go on.
    """
    carried, at = inside, 0
    while True:
        if not inside:
            if not line.startswith('"', at):
                at = line.find(delimiter, at) + 1
                if not at:
                    return False
                continue
            inside, at = True, at + 1
        at = line.find('"', at)
        if at < 0:
            return True
        if line.startswith('""', at):
            at += 2
            continue
        if carried and at + 1 < len(line) and line[at + 1] != delimiter:
            return None
        inside = carried = False
        at = line.find(delimiter, at) + 1
        if not at:
            return False


def _has_stray_quote(record: str, delimiter: str) -> bool:
    """Whether something other than a delimiter follows the quotation mark that closes a field."""
    at = 0
    while (at := _field_with_quote(record, delimiter, at)) >= 0:
        at += 1
        while (at := record.find('"', at)) >= 0 and record.startswith('""', at):
            at += 2
        if at < 0:
            return False
        end = record.find(delimiter, at)
        if record[at + 1 : len(record) if end < 0 else end].strip():
            return True
        if end < 0:
            return False
        at = end + 1
    return False


def _field_with_quote(record: str, delimiter: str, at: int) -> int:
    """Where the next field that is enclosed in quotation marks begins, at or after the beginning of one; -1 without any."""
    if record.startswith('"', at):
        return at
    found = record.find(f'{delimiter}"', at)
    return found + 1 if found >= 0 else -1


def decoded_lines(path: Path, encoding: str, errors: str = "strict") -> Iterator[tuple[list[str], bool]]:
    """Lines in portions, with whether nothing follows: line ends of every kind, nothing invisible, no byte order mark."""
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    rest = ""
    with path.open("rb") as stream:
        if stream.read(len(BOM)) != BOM:
            stream.seek(0)
        while True:
            block = stream.read(_BLOCK)
            text = rest + decoder.decode(block, final=not block)
            if not block:
                break
            keep = len(text) - len(text.rstrip("\r"))  # what follows a CR decides what it ends
            whole = _with_one_end(text[: len(text) - keep])
            lines = whole.split("\n")
            rest = lines.pop() + text[len(text) - keep :]
            if lines:
                yield visible("\n".join(lines)).split("\n"), False
    yield lines_of(text), True


def _with_one_end(text: str) -> str:
    return re.sub(r"(?<!\r)\r+\n", "\n", text).replace("\r", "\n") if "\r" in text else text


def lines_of(text: str) -> list[str]:
    """The lines at the end of a text, or all of them."""
    return visible(_with_one_end(text.rstrip(_END_OF_FILE.decode()))).split("\n")
