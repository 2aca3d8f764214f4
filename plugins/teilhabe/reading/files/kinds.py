"""What a delivered file is, by its bytes: other programs' tables, pages and pictures under names that promise something else."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from teilhabe.reading.files import hostile
from teilhabe.reading.files.text import BOM

Kind = Literal[
    "text", "xlsx", "xls", "office", "html", "html_table", "xml_2003", "xml", "mht", "sylk", "dif", "ods", "numbers",
    "odf", "word", "powerpoint", "rtf", "picture", "archive", "pdf", "zip", "other",
]  # fmt: skip

KINDS_DE: dict[Kind, str] = {
    "text": "eine Textdatei (CSV)",
    "xlsx": "eine Excel-Arbeitsmappe (xlsx)",
    "xls": "eine Excel-Arbeitsmappe (xls)",
    "office": "ein Office-Dokument, aber keine Excel-Arbeitsmappe (xlsx)",
    "html": "eine Internetseite (HTML), vermutlich eine Fehler- oder Anmeldeseite",
    "html_table": "eine HTML-Tabelle (Internetseite)",
    "xml_2003": "eine XML-Tabelle (XML-Kalkulationstabelle, Excel 2003)",
    "xml": "eine XML-Datei",
    "mht": "ein Webarchiv (MHT)",
    "sylk": "eine SYLK-Tabelle (slk)",
    "dif": "eine DIF-Tabelle (Data Interchange Format)",
    "ods": "eine OpenDocument-Tabelle (ods, LibreOffice)",
    "numbers": "eine Numbers-Tabelle (Apple)",
    "odf": "ein OpenDocument-Dokument, aber keine Tabelle",
    "word": "ein Word-Dokument",
    "powerpoint": "eine PowerPoint-Präsentation",
    "rtf": "ein Textdokument (RTF)",
    "picture": "ein Bild",
    "archive": "ein gepacktes Archiv",
    "pdf": "ein PDF-Dokument",
    "zip": "ein ZIP-Archiv",
    "other": "eine Datei unbekannter Art",
}

TABLES: frozenset[Kind] = frozenset({"html_table", "xml_2003", "mht", "sylk", "dif", "ods", "numbers"})
"""Tables that a program for tables opens and can save as what was agreed."""
MARKUP: frozenset[Kind] = frozenset({"html", "html_table", "xml_2003", "xml", "mht"})

RULES: dict[Kind, str] = {
    "html": "file.html",
    "html_table": "file.html",
    "pdf": "file.pdf",
    "zip": "file.zip",
    **dict.fromkeys(("xml_2003", "mht", "sylk", "dif", "ods", "numbers"), "file.other_spreadsheet"),
    **dict.fromkeys(
        ("office", "xml", "odf", "word", "powerpoint", "rtf", "picture", "archive", "other"), "file.unknown_kind"
    ),
}
"""Kinds that no layout reads, and the rule that refuses them."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_HEAD_OF_MARKUP = 4_000
_HEAD_OF_ODS = 1 << 20
_EXCEL_XML = ("urn:schemas-microsoft-com:office:spreadsheet", 'progid="excel.sheet"')
_SYLK = re.compile(r"ID;P[A-Z0-9]{1,12}(;[A-Z0-9]{1,12})*\r?\n[A-Z]{1,2};")
_DIF = re.compile(r"TABLE\r?\n0,1\r?\n")
_MIME = re.compile(r"mime-version:.{0,400}multipart/related", re.S)
_PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF87a", b"GIF89a")
_ARCHIVES = (b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ", b"MSCF")
_ODF_SPREADSHEET = b"application/vnd.oasis.opendocument.spreadsheet"
_ROW_END = re.compile(r"</(?:\w{1,10}:)?(?:tr|row|table-row)>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


def kind_of(path: Path, file_name: str, head: bytes) -> Kind:
    """The kind of a file whose first bytes are ``head``; "text" also where only its encoding is to be complained of."""
    start = head.removeprefix(BOM).lstrip()
    if start.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path, file_name)
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        return "xls"
    if start.startswith(b"%PDF"):
        return "pdf"
    if start.startswith(b"{\\rtf"):
        return "rtf"
    if start.startswith(_PICTURES):
        return "picture"
    if start.startswith(_ARCHIVES):
        return "archive"
    found = _kind_of_text(decoded(head).lstrip("\ufeff \t\r\n"))
    if found is not None:
        return found
    if head.startswith(_UTF16):
        return "text"
    return "text" if b"\x00" not in head or _is_text_with_zeros(head) else "other"


def decoded(head: bytes) -> str:
    """The beginning of a file as text, good enough to recognise it by."""
    if head.startswith(_UTF16):
        return head.decode("utf-16", "replace")
    return head.removeprefix(BOM).decode("utf-8", "replace")


def _kind_of_text(start: str) -> Kind | None:
    lower = start[:_HEAD_OF_MARKUP].lower()
    if lower.startswith("<"):
        if any(mark in lower for mark in _EXCEL_XML):
            return "xml_2003"
        if "<html" in lower or lower.startswith(("<!doctype html", "<table", "<meta", "<body")):
            return "html_table" if _is_table(start.lower()) else "html"
        return "xml" if lower.startswith("<?xml") else None
    if _MIME.match(lower):
        return "mht"
    if _SYLK.match(start):
        return "sylk"
    return "dif" if _DIF.match(start) else None


def _is_table(page: str) -> bool:
    """A page that asks for a password uses a table to look tidy; a table of numbers has rows of many cells."""
    return "<table" in page and page.count("<td") + page.count("<th") > 3 and "password" not in page


def _kind_of_zip(path: Path, file_name: str) -> Kind:
    if hostile.is_workbook(path):
        if hostile.has_folder(path, "xl/"):
            return "xlsx"
        if hostile.has_folder(path, "word/"):
            return "word"
        if hostile.has_folder(path, "ppt/"):
            return "powerpoint"
        return _kind_of_open_document(path)
    if file_name.lower().endswith((".xlsx", ".xlsm")) and hostile.is_broken(path):
        return "xlsx"  # and said to be broken when it is opened
    if not hostile.is_broken(path) and hostile.has_folder(path, "index/document.iwa"):
        return "numbers"
    return "zip"


def _kind_of_open_document(path: Path) -> Kind:
    """An OpenDocument file says what it is in its first member."""
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.NameToInfo.get("mimetype")
            if entry is None or entry.file_size > 200:
                return "office"
            with archive.open(entry) as member:
                kind = member.read(200)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return "office"
    if kind.startswith(_ODF_SPREADSHEET):
        return "ods"
    return "odf" if kind.startswith(b"application/vnd.oasis") else "office"


def content_of_ods(path: Path) -> bytes:
    """The beginning of the tables of an OpenDocument file; nothing where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("content.xml") as content:
            return content.read(_HEAD_OF_ODS)
    except (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, EOFError, OSError, zlib.error):
        return b""


def rows_of_markup(head: bytes) -> Iterator[list[str]]:
    """The texts of each row of a table in HTML or XML, roughly: to see what it is about, never to read numbers from."""
    for row in _ROW_END.split(decoded(head)):
        yield [text for part in _TAG.split(row) if (text := part.strip())]


def _is_text_with_zeros(head: bytes) -> bool:
    """Whether only its NUL bytes speak against a text: UTF-16 without a mark, or damage."""
    rest = head.replace(b"\0", b"")
    return (
        bool(rest)
        and not any(byte < 32 and byte not in b"\t\n\r\f" for byte in rest)
        and any(end in rest for end in (b"\n", b"\r"))
    )
