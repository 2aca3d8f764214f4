"""The delivered bytes: what kind of file they are, whatever its name says, and its text or its cells."""

from __future__ import annotations

import codecs
import io
import mmap
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import python_calamine

from teilhabe.reading.report import Report

Kind = Literal["text", "xlsx", "xls", "html", "pdf", "zip", "other"]
Encoding = Literal["utf-8", "cp1252"]
Cell = Any

_BLOCK = 1 << 20
_HEAD = 1 << 16
_BOM = b"\xef\xbb\xbf"
_CP1252_UNDEFINED = (b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d")
_DAMAGE = (b"\xc3\x83\xc2", b"\xc3\x83\xc5", b"\xc3\x83\xe2\x80", b"\xef\xbf\xbd")
"""What is left of an umlaut that was decoded wrongly and saved as UTF-8: three kinds of 'Ã?', and U+FFFD."""
_MAX_UNPACKED = 400_000_000
_MAX_CELLS = 20_000_000

_KIND_DE: dict[Kind, str] = {
    "text": "eine Textdatei (CSV)",
    "xlsx": "eine Excel-Arbeitsmappe (xlsx)",
    "xls": "eine Excel-Arbeitsmappe (xls)",
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
        with path.open("rb") as stream:
            self.head = stream.read(_HEAD)

    @cached_property
    def kind(self) -> Kind:
        head = self.head.removeprefix(_BOM).lstrip()
        lower = head[:1000].lower()
        if head.startswith(b"PK\x03\x04"):
            return "xlsx" if self._is_workbook() else "zip"
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

    def _is_workbook(self) -> bool:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return any(name.startswith("xl/workbook") for name in archive.namelist())
        except (zipfile.BadZipFile, OSError):
            return self.file_name.lower().endswith((".xlsx", ".xlsm"))  # broken, and said so when it is opened

    @cached_property
    def bom(self) -> bool:
        return self.head.startswith(_BOM)

    @cached_property
    def encoding(self) -> Encoding:
        """UTF-8 if every byte agrees, else cp1252 if every byte exists there; else ``file.encoding``."""
        if self.head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise self._encoding_error("ist in UTF-16 gespeichert", "UTF-16")
        with self.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            utf8 = _is_utf8(data)
            for mark in _DAMAGE if utf8 else _CP1252_UNDEFINED:
                if (at := data.find(mark)) >= 0:
                    row = data[:at].count(b"\n") + 1
                    if not utf8:
                        found = f"0x{mark[0]:02X}"
                        what = f"enthält in Zeile {row} das Byte {found}, das weder UTF-8 noch Windows-1252 kennt"
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

    @cached_property
    def text(self) -> str:
        """The whole text; only for layouts whose files are small."""
        text = self.path.read_bytes().removeprefix(_BOM).decode(self.encoding)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def head_text(self) -> str:
        """The beginning of the text, for recognising a layout; never fails."""
        if self.kind != "text":
            return ""
        head = self.head.removeprefix(_BOM)
        try:
            return head.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start > len(head) - 4:
                return head[: error.start].decode("utf-8")
            return head.decode("cp1252", "replace")

    @cached_property
    def sheets(self) -> dict[str, list[list[Cell]]]:
        """Every sheet's cells from A1 on. Sizes are checked before anything is unpacked."""
        try:
            if self.kind == "xlsx":
                self._check_unpacked_size()
            workbook = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(self.path.read_bytes()))
            result: dict[str, list[list[Cell]]] = {}
            cells = 0
            for name in workbook.sheet_names:
                sheet = workbook.get_sheet_by_name(name)
                cells += sheet.total_height * sheet.total_width
                if cells > _MAX_CELLS:
                    raise self.report.error(
                        "file.too_large", f"Die Arbeitsmappe hat mehr als {_MAX_CELLS} Zellen.", sheet=name
                    )
                result[name] = sheet.to_python(skip_empty_area=False)
            return result
        except (python_calamine.CalamineError, zipfile.BadZipFile, OSError, ValueError) as error:
            raise self.report.error(
                "file.unreadable",
                f"Die Arbeitsmappe ist beschädigt oder geschützt und lässt sich nicht öffnen ({error}).",
            ) from error

    def _check_unpacked_size(self) -> None:
        with zipfile.ZipFile(self.path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _MAX_UNPACKED:
            raise self.report.error(
                "file.too_large",
                f"Die Arbeitsmappe ist ausgepackt {unpacked // 1_000_000} MB groß, erlaubt sind 400 MB.",
            )

    def lines(self) -> Iterator[str]:
        yield from self.text.split("\n")


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
