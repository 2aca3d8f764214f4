"""Faults of workbooks, one change each, as other people's programs and habits make them: bytes in, bytes out.

``FAULTS`` are about one cell with a number; what has to become of a delivery with the fault stands beside each. ``as_...``
make another kind of file of a workbook. Everything is the same on every run.
"""

from __future__ import annotations

import io
import math
import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, Literal

import openpyxl
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.comments import Comment
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from teilhabe.contract.model import Contract
from teilhabe.reading import open_reading

SEED = 20_240_630


@dataclass(frozen=True)
class Place:
    """A cell as people name it: sheet, row and column from 1."""

    sheet: str
    row: int
    column: int

    @property
    def name(self) -> str:
        return f"{get_column_letter(self.column)}{self.row}"


Outcome = Literal["loads", "told", "refused"]
"""loads: the same values and nothing to say. told: the same values and a warning that names the place. refused: a critical
finding that names the place (row or column), whatever else is said."""


@dataclass(frozen=True)
class Fault:
    name: str
    apply: Callable[[bytes, Place], bytes]
    outcome: Outcome
    rules: frozenset[str] = frozenset()
    """One of these is what the finding says; empty where it depends on the layout."""
    only_fractions: bool = False

    def __str__(self) -> str:
        return self.name


# Where numbers stand


def numbers(contract: Contract, path: Path, file_name: str | None = None) -> list[Place]:
    """Every cell from which the contract's layout reads a number that is a whole number above 0 in the workbook."""
    reading = open_reading(contract, path, file_name or path.name)
    book = openpyxl.load_workbook(path)
    found: dict[Place, None] = {}
    for table in reading.chunks():
        sheet = reading.sheet
        if sheet is None:
            continue
        people = table["population"].to_pylist() if "population" in table.column_names else [None] * len(table)
        rows = zip(table["_row_number"].to_pylist(), table["_column_number"].to_pylist(), people, strict=True)
        for row, column, inhabitants in rows:
            # A layout whose rows are read as a whole says no column: its number is the one of people.
            for one in [column] if column else range(1, book[sheet].max_column + 1):
                value = book[sheet].cell(row, one).value
                if (column and isinstance(value, int) and value > 0) or (
                    not column and str(value) == inhabitants != "0"
                ):
                    found.setdefault(Place(sheet, row, one))
    return list(found)


def some(places: Sequence[Place], count: int = 1) -> list[Place]:
    """The same few on every run."""
    return random.Random(SEED).sample(list(places), min(count, len(places)))


# A change in one cell or around it


def changed(content: bytes, place: Place, change: Callable[[Worksheet, Any], None]) -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(content), rich_text=True)
    sheet = book[place.sheet]
    change(sheet, sheet.cell(place.row, place.column))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def raised_mark(content: bytes, place: Place) -> bytes:
    """65 with a raised 1: one text of two runs, which a parser of values reads as 651."""

    def change(_: Worksheet, cell: Any) -> None:
        cell.value = CellRichText(str(cell.value), TextBlock(InlineFont(vertAlign="superscript"), "1"))

    return changed(content, place, change)


def raised_mark_before(content: bytes, place: Place) -> bytes:
    def change(_: Worksheet, cell: Any) -> None:
        cell.value = CellRichText(TextBlock(InlineFont(vertAlign="superscript"), "1"), str(cell.value))

    return changed(content, place, change)


def typed_mark(mark: str) -> Callable[[bytes, Place], bytes]:
    def apply(content: bytes, place: Place) -> bytes:
        return changed(content, place, lambda _, cell: setattr(cell, "value", f"{cell.value}{mark}"))

    return apply


def marked_row(content: bytes, place: Place) -> bytes:
    """A raised footnote mark behind the first text of the row: a name, a label or a key."""

    def change(sheet: Worksheet, cell: Any) -> None:
        for other in sheet[cell.row]:
            if isinstance(other.value, str) and other.column != cell.column:
                other.value = CellRichText(other.value, TextBlock(InlineFont(vertAlign="superscript"), "1)"))
                return

    return changed(content, place, change)


def formula_without_result(content: bytes, place: Place) -> bytes:
    """As programs write it that do not calculate."""
    return changed(content, place, lambda _, cell: setattr(cell, "value", "=4+7"))


def error_value(error: str) -> Callable[[bytes, Place], bytes]:
    def apply(content: bytes, place: Place) -> bytes:
        def change(_: Worksheet, cell: Any) -> None:
            cell.value = error
            cell.data_type = "e"

        return changed(content, place, change)

    return apply


def hidden_row(content: bytes, place: Place) -> bytes:
    return changed(content, place, lambda sheet, cell: setattr(sheet.row_dimensions[cell.row], "hidden", True))


def flat_row(content: bytes, place: Place) -> bytes:
    """A row so low that nothing of it is seen."""
    return changed(content, place, lambda sheet, cell: setattr(sheet.row_dimensions[cell.row], "height", 0.1))


def filtered_row(content: bytes, place: Place) -> bytes:
    def change(sheet: Worksheet, cell: Any) -> None:
        sheet.auto_filter.ref = f"A{cell.row - 1}:{get_column_letter(sheet.max_column)}{sheet.max_row}"
        sheet.auto_filter.add_filter_column(cell.column - 1, ["nur dies"])
        sheet.row_dimensions[cell.row].hidden = True

    return changed(content, place, change)


def hidden_column(content: bytes, place: Place) -> bytes:
    return changed(
        content,
        place,
        lambda sheet, cell: setattr(sheet.column_dimensions[get_column_letter(cell.column)], "hidden", True),
    )


def very_hidden_sheet(content: bytes, place: Place) -> bytes:
    """The sheet of the numbers, hidden so that Excel does not offer to show it; another takes its place."""

    def change(sheet: Worksheet, _: Any) -> None:
        sheet.parent.create_sheet("Notizen")
        sheet.sheet_state = "veryHidden"
        sheet.parent.active = len(sheet.parent.worksheets) - 1

    return changed(content, place, change)


def struck(content: bytes, place: Place) -> bytes:
    def change(_: Worksheet, cell: Any) -> None:
        font = copy(cell.font)
        cell.font = Font(name=font.name, size=font.size, strike=True)

    return changed(content, place, change)


def partly_struck(content: bytes, place: Place) -> bytes:
    """The old number crossed out before the new one: a parser of values reads both as one."""

    def change(_: Worksheet, cell: Any) -> None:
        cell.value = CellRichText(TextBlock(InlineFont(strike=True), "7"), str(cell.value))

    return changed(content, place, change)


def float_noise(content: bytes, place: Place) -> bytes:
    """What a program keeps of a calculated number: 465.00000000000006."""
    return changed(content, place, lambda _, cell: setattr(cell, "value", math.nextafter(float(cell.value), math.inf)))


def formatted(code: str, value: Callable[[Any], Any] = int) -> Callable[[bytes, Place], bytes]:
    """Another number format, and maybe another number."""

    def apply(content: bytes, place: Place) -> bytes:
        def change(_: Worksheet, cell: Any) -> None:
            cell.value = value(cell.value)
            cell.number_format = code

        return changed(content, place, change)

    return apply


def number_as_text(content: bytes, place: Place) -> bytes:
    """With an apostrophe in front, as Excel keeps it."""

    def change(_: Worksheet, cell: Any) -> None:
        cell.value = str(cell.value)
        cell.number_format = "@"
        cell.quotePrefix = True

    return changed(content, place, change)


def merged_with_next(content: bytes, place: Place) -> bytes:
    """Merged with the cell below, where a number is, too: the second number is gone."""
    return changed(
        content,
        place,
        lambda sheet, cell: sheet.merge_cells(
            start_row=cell.row, end_row=cell.row + 1, start_column=cell.column, end_column=cell.column
        ),
    )


def comment(content: bytes, place: Place) -> bytes:
    return changed(content, place, lambda _, cell: setattr(cell, "comment", Comment("bitte prüfen: 99", "Büro")))


def duplicated_sheet(content: bytes, place: Place) -> bytes:
    """The copy Excel makes: "Tabelle1 (2)"; with another number in it."""

    def change(sheet: Worksheet, cell: Any) -> None:
        twin = sheet.parent.copy_worksheet(sheet)
        twin.title = f"{sheet.title[:27]} (2)"
        twin[cell.coordinate] = int(cell.value) + 1

    return changed(content, place, change)


def another_sheet_first(content: bytes, place: Place) -> bytes:
    def change(sheet: Worksheet, _: Any) -> None:
        sheet.parent.create_sheet("Anschreiben", 0)["A1"] = "Sehr geehrte Damen und Herren"

    return changed(content, place, change)


FAULTS: tuple[Fault, ...] = (
    Fault("raised mark behind a number", raised_mark, "told", frozenset({"value.footnote_mark"})),
    Fault("raised mark before a number", raised_mark_before, "refused", frozenset({"value.not_a_number"})),
    Fault("typed raised mark", typed_mark("¹"), "told", frozenset({"value.footnote_mark"})),
    Fault("typed raised mark with bracket", typed_mark(" ²⁾"), "told", frozenset({"value.footnote_mark"})),
    Fault("typed star", typed_mark(" *)"), "told", frozenset({"value.footnote_mark"})),
    Fault("typed mark that may be a digit", typed_mark("1)"), "refused", frozenset({"value.not_a_number"})),
    Fault("raised mark behind a name", marked_row, "loads"),
    Fault("formula without result", formula_without_result, "refused", frozenset({"value.formula_without_result"})),
    Fault("division by zero", error_value("#DIV/0!"), "refused", frozenset({"value.is_an_error"})),
    Fault("lost reference", error_value("#REF!"), "refused", frozenset({"value.is_an_error"})),
    Fault("unknown name", error_value("#NAME?"), "refused", frozenset({"value.is_an_error"})),
    Fault("hidden row", hidden_row, "told", frozenset({"row.hidden"})),
    Fault("row without height", flat_row, "told", frozenset({"row.hidden"})),
    Fault("filtered row", filtered_row, "told", frozenset({"row.hidden"})),
    Fault("hidden column", hidden_column, "told", frozenset({"column.hidden"})),
    Fault("struck through", struck, "refused", frozenset({"value.struck_through"})),
    Fault("partly struck through", partly_struck, "refused", frozenset({"value.struck_through"})),
    Fault("float noise", float_noise, "loads"),
    Fault("per cent", formatted("0 %", lambda _: 0.85), "refused", frozenset({"value.is_a_percentage"})),
    Fault("per cent sign", formatted('0" %"'), "refused", frozenset({"value.is_a_percentage"})),
    Fault("money", formatted('#,##0.00 "€"'), "refused", frozenset({"value.is_an_amount"})),
    Fault("money of a country", formatted("#,##0.00 [$€-407]"), "refused", frozenset({"value.is_an_amount"})),
    Fault("date", formatted("dd.mm.yyyy", lambda _: datetime(1900, 1, 5)), "refused", frozenset({"value.is_a_date"})),
    Fault("time", formatted("hh:mm", lambda _: 0.85), "refused", frozenset({"value.is_a_date"})),
    Fault("shown in thousands", formatted("0,"), "refused", frozenset({"value.shown_in_thousands"})),
    Fault("thousands as a unit", formatted('0" Tsd."'), "refused", frozenset({"value.shown_in_thousands"})),
    Fault("text for a number", formatted('"entfällt"'), "refused", frozenset({"value.shown_as_text"})),
    Fault("star for a number", formatted('[<1000000]"*";0'), "refused", frozenset({"value.shown_as_text"})),
    Fault("not shown", formatted(";;;"), "told", frozenset({"value.not_shown"})),
    Fault("number as text", number_as_text, "loads"),
    Fault("comment", comment, "loads"),
    Fault("merged cells", merged_with_next, "refused"),
    Fault("very hidden sheet", very_hidden_sheet, "refused"),
    Fault("duplicated sheet", duplicated_sheet, "told"),
    Fault("another sheet first", another_sheet_first, "loads"),
)


# Headers and further tables


def reworded(content: bytes, text: str, other: str) -> bytes:
    """Every cell with this text says something else."""
    book = openpyxl.load_workbook(io.BytesIO(content), rich_text=True)
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                if isinstance(cell.value, str) and cell.value.strip() == text:
                    cell.value = other
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def rows_below(content: bytes, sheet: str, note: str | None, rows: Sequence[Sequence[Any]]) -> bytes:
    """Further rows below the last one, behind an empty row and a note (None: behind the empty row alone)."""
    book = openpyxl.load_workbook(io.BytesIO(content), rich_text=True)
    page = book[sheet]
    at = page.max_row + 2
    for index, row in enumerate([*([[note]] if note else []), *rows]):
        for column, value in enumerate(row, start=1):
            page.cell(at + index, column).value = value
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def rows_of(content: bytes, sheet: str) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in openpyxl.load_workbook(io.BytesIO(content))[sheet].iter_rows()]


# Other kinds of files


def tables(content: bytes) -> Iterator[tuple[str, list[list[Any]]]]:
    book = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
    for sheet in book.worksheets:
        yield sheet.title, [[cell.value for cell in row] for row in sheet.iter_rows()]


def as_xml_2003(content: bytes, encoding: str = "utf-8") -> bytes:
    """ "XML-Kalkulationstabelle 2003", as procedures write it and call it .xls."""
    sheets = "".join(
        f'<Worksheet ss:Name="{escape(name)}"><Table>'
        + "".join("<Row>" + "".join(map(_xml_cell, row)) + "</Row>\n" for row in rows)
        + "</Table></Worksheet>"
        for name, rows in tables(content)
    )
    space = "urn:schemas-microsoft-com:office:spreadsheet"
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<?mso-application progid="Excel.Sheet"?>\n'
        f'<Workbook xmlns="{space}" xmlns:ss="{space}">{sheets}</Workbook>\n'
    )
    return text.encode(encoding)


def _xml_cell(value: Any) -> str:
    kind = "Number" if isinstance(value, int | float) else "String"
    return f'<Cell><Data ss:Type="{kind}">{escape("" if value is None else str(value))}</Data></Cell>'


def as_html(content: bytes) -> bytes:
    """A page with the table in it, as web procedures export "Excel"."""
    body = "".join(
        "<table>"
        + "".join("<tr>" + "".join(f"<td>{escape(str(v or ''))}</td>" for v in row) + "</tr>\n" for row in rows)
        + "</table>"
        for _, rows in tables(content)
    )
    return f"<html><head><meta charset='utf-8'></head><body>{body}</body></html>".encode()


def as_web_archive(content: bytes) -> bytes:
    return b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x\r\n" + as_html(content)


def as_ods(content: bytes) -> bytes:
    """OpenDocument, as LibreOffice saves it by itself; the least of it."""
    rows = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell><text:p>{escape(str(v or ''))}</text:p></table:table-cell>" for v in row)
        + "</table:table-row>"
        for _, table in tables(content)
        for row in table
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml",
            '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
            'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
            'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
            f'<table:table table:name="Tabelle1">{rows}</table:table></office:spreadsheet></office:body>'
            "</office:document-content>",
        )
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
    return out.getvalue()


def as_numbers(_: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("Index/Document.iwa", b"\x00\x10" * 50)
        archive.writestr("Metadata/Properties.plist", b"bplist00")
    return out.getvalue()


KINDS: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "xml_2003": (as_xml_2003, "file.other_spreadsheet", "XML-Tabelle"),
    "xml_2003 in UTF-16": (lambda content: as_xml_2003(content, "utf-16"), "file.other_spreadsheet", "XML-Tabelle"),
    "html": (as_html, "file.html", "HTML-Tabelle"),
    "web archive": (as_web_archive, "file.other_spreadsheet", "Webarchiv"),
    "ods": (as_ods, "file.other_spreadsheet", "OpenDocument-Tabelle"),
    "numbers": (as_numbers, "file.other_spreadsheet", "Numbers-Tabelle"),
}
"""Kind -> how it is made, the rule that refuses it under any name, and what its sentence calls it."""
