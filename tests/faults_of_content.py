"""Wrong contents in good files, one each: in a text file or a workbook, wherever the fixture names the municipality of Ilsede.

``KINDS`` takes the bytes of a file and gives them back with the fault, or None where the file has nothing to spoil.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import openpyxl

KEY, NAME = "03157009", "Ilsede"
DISSOLVED, NOWHERE, COUNTY_AS_MUNICIPALITY = "03157003", "03157999", "03157000"
REGIONAL_KEY = "031570009009"

Change = Callable[[str], str]


def _in_text(data: bytes, wanted: re.Pattern[str], change: Change, *, everywhere: bool) -> bytes | None:
    encoding = "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        encoding = "cp1252"
        text = data.decode(encoding)
    spoilt, times = wanted.subn(lambda found: change(found[0]), text, count=0 if everywhere else 1)
    return spoilt.encode(encoding) if times else None


def _in_workbook(data: bytes, wanted: re.Pattern[str], change: Change, *, everywhere: bool) -> bytes | None:
    book = openpyxl.load_workbook(io.BytesIO(data))
    done = False
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                text = str(cell.value) if isinstance(cell.value, str | int) else ""
                if (not done or everywhere) and wanted.fullmatch(text.strip()):
                    cell.value = change(text.strip()) or None
                    done = True
    out = io.BytesIO()
    book.save(out)
    return out.getvalue() if done else None


def spoilt(data: bytes, wanted: str, change: Change, *, everywhere: bool = True) -> bytes | None:
    """The file with ``change`` made to the cells that are ``wanted``: in all of them, or in the first."""
    make = _in_workbook if data.startswith(b"PK") else _in_text
    pattern = wanted if data.startswith(b"PK") else rf"(?<![\w.,-])(?:{wanted})(?![\w.,])"
    return make(data, re.compile(pattern), change, everywhere=everywhere)


KINDS: dict[str, Callable[[bytes], bytes | None]] = {
    "dissolved key": lambda data: spoilt(data, KEY, lambda _: DISSOLVED),
    "key of nowhere": lambda data: spoilt(data, KEY, lambda _: NOWHERE),
    "county as municipality": lambda data: spoilt(data, KEY, lambda _: COUNTY_AS_MUNICIPALITY),
    "regional key": lambda data: spoilt(data, KEY, lambda _: REGIONAL_KEY),
    "key of the neighbour": lambda data: spoilt(data, KEY, lambda _: "03157008", everywhere=False),
    "letter in the key": lambda data: spoilt(data, KEY, lambda _: "03157O09", everywhere=False),
    "date in the key": lambda data: spoilt(data, KEY, lambda _: "22.08.1908", everywhere=False),
    "key is missing": lambda data: spoilt(data, KEY, lambda _: "", everywhere=False),
    "name is missing": lambda data: spoilt(data, NAME, lambda _: "", everywhere=False),
    "name of the neighbour": lambda data: spoilt(data, NAME, lambda _: "Wendeburg", everywhere=False),
    "letter in a number": lambda data: spoilt(data, r"[1-9]\d{1,2}", lambda number: f"{number[0]}O{number[1:]}", everywhere=False),
    "negative number": lambda data: spoilt(data, r"[1-9]\d{1,2}", lambda number: f"-{number}", everywhere=False),
    "number is missing": lambda data: spoilt(data, r"[1-9]\d{1,2}", lambda _: "", everywhere=False),
    "sign nobody agreed": lambda data: spoilt(data, r"[1-9]\d{1,2}", lambda _: "[c]", everywhere=False),
}  # fmt: skip
