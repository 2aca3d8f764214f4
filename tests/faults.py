"""Faults people met in files like ours, one function each: the bytes of a good file in, the same bytes with one fault out.

The seed says where in the file the fault is. A function returns the bytes unchanged where the fault cannot be made in them.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable

Fault = Callable[[bytes, int], bytes]

_LINE = re.compile(r"\r\n|\n|\r")
_KEY = re.compile(r"(?<![0-9A-Za-z.,-])(0[1-9](?:\d{3}(?:\d{3})?)?)(?![0-9.,-])")
_ZERO_WIDTH = ("\u200b", "\u200e", "\u2060", "\ufeff", "\u00ad")
_SPACES = ("\u00a0", "\u202f", "\u2009")


def decoded(data: bytes) -> str:
    """A text file of ours is UTF-8, with or without a byte order mark, or cp1252."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def lines(data: bytes) -> list[str]:
    return _LINE.split(decoded(data).rstrip("\r\n"))


def delimiter(data: bytes) -> str:
    text = decoded(data)
    return max(";,\t|", key=text.count)


def _utf8(rows: list[str], end: str = "\n") -> bytes:
    return "".join(f"{row}{end}" for row in rows).encode()


def _data_line(rows: list[str], seed: int, mark: str, wanted: Callable[[str], bool] = bool) -> int | None:
    """A line that is neither title nor header nor footer: it has as many columns as most."""
    counts = [row.count(mark) for row in rows]
    usual = max(set(counts), key=counts.count)
    places = [i for i, row in enumerate(rows) if counts[i] == usual and re.search(r"\d", row) and i > 0 and wanted(row)]
    return random.Random(seed).choice(places) if places else None


# What every layout reads as before


def line_ends_of_old_macs(data: bytes, _seed: int = 0) -> bytes:
    return _utf8(lines(data), "\r")


def cr_cr_lf(data: bytes, _seed: int = 0) -> bytes:
    return _utf8(lines(data), "\r\r\n")


def mixed_line_ends(data: bytes, seed: int = 0) -> bytes:
    """Two exports pasted together."""
    choose = random.Random(seed)
    return "".join(row + choose.choice(["\n", "\r\n"]) for row in lines(data)).encode()


def sep_line(data: bytes, _seed: int = 0) -> bytes:
    """What Excel is told the delimiter with, behind a byte order mark."""
    return b"\xef\xbb\xbf" + _utf8([f"sep={delimiter(data)}", *lines(data)], "\r\n")


def blank_lines_above(data: bytes, seed: int = 0) -> bytes:
    blank = random.Random(seed).choice(["", "   ", delimiter(data) * 3])
    return _utf8([blank, blank, *lines(data)])


def blank_lines_below(data: bytes, _seed: int = 0) -> bytes:
    return _utf8([*lines(data), "", delimiter(data) * 2, ""])


def byte_order_mark(data: bytes, _seed: int = 0) -> bytes:
    return b"\xef\xbb\xbf" + _utf8(lines(data))


def other_encoding(data: bytes, _seed: int = 0) -> bytes:
    """UTF-8 instead of cp1252, or the other way round."""
    text = decoded(data)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return text.encode()
    try:
        return text.encode("cp1252")
    except UnicodeEncodeError:
        return data


def end_of_file_of_dos(data: bytes, _seed: int = 0) -> bytes:
    return _utf8(lines(data)) + b"\x1a"


def invisible_in_key(data: bytes, seed: int = 0) -> bytes:
    """A zero-width character behind a key, as it comes with text pasted from a web page."""
    return _changed(data, seed, lambda row, sign: _KEY.sub(rf"\1{sign}", row, count=1), _ZERO_WIDTH, _KEY)


def invisible_in_name(data: bytes, seed: int = 0) -> bytes:
    """A soft hyphen or a mark of direction within a word."""
    word = re.compile(r"([A-Za-z]{4})([a-z]{3})")
    return _changed(data, seed, lambda row, sign: word.sub(rf"\1{sign}\2", row, count=1), _ZERO_WIDTH, word)


def invisible_in_number(data: bytes, seed: int = 0) -> bytes:
    mark = delimiter(data)
    number = re.compile(rf"(?<={re.escape(mark)})(\d{{2,}})(?={re.escape(mark)}|$)")
    return _changed(data, seed, lambda row, sign: number.sub(rf"{sign}\1{sign}", row, count=1), _ZERO_WIDTH, number)


def umlauts_of_two_signs(data: bytes, _seed: int = 0) -> bytes:
    """As macOS writes them: the letter, and its dots as a sign of their own behind it."""
    return unicodedata.normalize("NFD", decoded(data)).encode()


def space_before_key(data: bytes, seed: int = 0) -> bytes:
    """No-break, narrow no-break or thin space around a key."""
    return _changed(data, seed, lambda row, sign: _KEY.sub(rf"{sign}\1{sign}", row, count=1), _SPACES, _KEY)


def _changed(
    data: bytes, seed: int, change: Callable[[str, str], str], signs: tuple[str, ...], wanted: re.Pattern[str]
) -> bytes:
    rows = lines(data)
    at = _data_line(rows, seed, delimiter(data), lambda row: wanted.search(row) is not None)
    if at is None:
        return data
    rows[at] = change(rows[at], random.Random(seed).choice(signs))
    return _utf8(rows)


def all_quoted(data: bytes, _seed: int = 0) -> bytes:
    """Every field in quotation marks, as some exports write."""
    mark = delimiter(data)
    if '"' in decoded(data):
        return data
    return _utf8([mark.join(f'"{cell}"' for cell in row.split(mark)) for row in lines(data)])


def break_in_quotes(data: bytes, seed: int = 0) -> bytes:
    """A field whose blank between two words is a line break, correctly quoted (RFC 4180)."""
    mark, rows = delimiter(data), lines(data)
    field = re.compile(rf"(^|{re.escape(mark)})([A-Za-zÄÖÜäöü-]+) ([A-Za-zÄÖÜäöü-]+)(?={re.escape(mark)}|$)")
    at = _data_line(rows, seed, mark, lambda row: '"' not in row and field.search(row) is not None)
    if at is None:
        return data
    rows[at] = field.sub(lambda found: f'{found[1]}"{found[2]}\r\n{found[3]}"', rows[at], count=1)
    return _utf8(rows, "\r\n")


# What is refused, with the place, or read as before


def two_encodings(data: bytes, seed: int = 0) -> bytes:
    """One line in cp1252, the others in UTF-8."""
    rows = lines(data)
    places = [i for i, row in enumerate(rows) if not row.isascii()]
    if len(places) < 3:
        return data
    at = random.Random(seed).choice(places)
    return b"".join(row.encode("cp1252" if i == at else "utf-8") + b"\n" for i, row in enumerate(rows))


def decoded_twice(data: bytes, _seed: int = 0) -> bytes:
    """UTF-8 read as cp1252 and saved as UTF-8."""
    text = decoded(data)
    return data if text.isascii() else text.encode().decode("cp1252", "ignore").encode()


def umlauts_of_dos(data: bytes, _seed: int = 0) -> bytes:
    return _in_old_letters(data, "cp850")


def umlauts_of_old_macs(data: bytes, _seed: int = 0) -> bytes:
    return _in_old_letters(data, "mac_roman")


def _in_old_letters(data: bytes, encoding: str) -> bytes:
    text = decoded(data)
    return text.encode(encoding, "ignore") if re.search("[a-z][äü][a-z]", text) else data


def utf16(data: bytes, _seed: int = 0) -> bytes:
    """Excel's „Unicode-Text“."""
    return decoded(data).encode("utf-16")


def utf16_without_mark(data: bytes, _seed: int = 0) -> bytes:
    return decoded(data).encode("utf-16-le")


def zero_byte(data: bytes, seed: int = 0) -> bytes:
    rows = lines(data)
    at = random.Random(seed).randrange(1, len(rows))
    rows[at] = f"{rows[at][:3]}\0{rows[at][3:]}"
    return _utf8(rows)


def zeros_behind(data: bytes, _seed: int = 0) -> bytes:
    """What an interrupted copy leaves: the rest of a block the text never reached."""
    return _utf8(lines(data)) + b"\0" * 512


def open_quote(data: bytes, seed: int = 0) -> bytes:
    """A quotation mark that is opened and never closed."""
    mark, rows = delimiter(data), lines(data)
    at = _data_line(rows, seed, mark, lambda row: '"' not in row)
    if at is None:
        return data
    rows[at] = f'"{rows[at]}'
    return _utf8(rows)


def other_delimiter(data: bytes, _seed: int = 0) -> bytes:
    mark = delimiter(data)
    text = decoded(data)
    return data if '"' in text or "\t" in text else text.replace(mark, "\t").encode()


def filled_with_delimiters(data: bytes, _seed: int = 0) -> bytes:
    """Saved by Excel: every line has as many columns as the widest."""
    mark, rows = delimiter(data), lines(data)
    if '"' in decoded(data):
        return data
    widest = max(row.count(mark) for row in rows)
    return _utf8([row + mark * (widest - row.count(mark)) for row in rows], "\r\n")


def trailing_delimiter(data: bytes, _seed: int = 0) -> bytes:
    mark = delimiter(data)
    return _utf8([row + mark for row in lines(data)])


def keys_without_zeros(data: bytes, _seed: int = 0) -> bytes:
    """Saved by a program that took the keys for numbers."""
    mark = re.escape(delimiter(data))
    key = re.compile(rf'(^|{mark})"?\s*0([1-9](?:\d{{3}}(?:\d{{3}})?)?)"?(?={mark}|$)')
    return _utf8([key.sub(r"\1\2", row) for row in lines(data)])


SAME: tuple[Fault, ...] = (
    line_ends_of_old_macs, cr_cr_lf, mixed_line_ends, sep_line, blank_lines_above, blank_lines_below, byte_order_mark,
    other_encoding, end_of_file_of_dos, invisible_in_key, invisible_in_name, invisible_in_number, space_before_key,
    all_quoted, break_in_quotes, umlauts_of_two_signs,
)  # fmt: skip
"""Faults of text files behind which every value can be read without doubt."""

DOUBTFUL: tuple[Fault, ...] = (
    two_encodings, decoded_twice, umlauts_of_dos, umlauts_of_old_macs, utf16, utf16_without_mark, zero_byte, open_quote,
    zeros_behind, other_delimiter, filled_with_delimiters, trailing_delimiter, keys_without_zeros,
)  # fmt: skip
"""Faults of text files that are refused, or read with the values the file had before."""
