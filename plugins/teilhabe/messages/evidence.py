"""The workbook beside a verdict: the complaint in front of the office's own row, the faulty cells marked.

It prints on landscape pages of one width: of a wide table only the first columns and those around a marked cell are shown,
under the letters or numbers they have in the file. Only rows with a finding and the header above them, at most as many as
agreed; every cell is written as text, so nothing an office (or whoever sent the file) put into it is computed. A file that
looks as if it were about single persons yields nothing, and a number the contract keeps secret is not repeated.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from teilhabe import landing
from teilhabe.contract.model import Contract
from teilhabe.errors import ReadingError
from teilhabe.findings import saying
from teilhabe.reading import confined
from teilhabe.reading.cells.labels import normalise
from teilhabe.reading.files import persons
from teilhabe.reading.files.source import Source, cell_text
from teilhabe.reading.report import Report
from teilhabe.system.harmless import is_formula

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

    from teilhabe import ops
    from teilhabe.errors import Evidence, Finding
    from teilhabe.messages.policy import Policy

log = logging.getLogger(__name__)

REMARK = "Beanstandung"
_ROW = "Zeile"
_COLUMNS = 200
_PAGE_COLUMNS = 12
"""As many columns of the file are read on a printed page."""
_FIRST_COLUMNS = 3
_REMARK_WIDTH = 60
_MOST_LINES = 27
"""No row of a workbook is higher than 409 points."""
_CELL = 500
_HEADER_ROWS = 15
_LOOK_UP = 500
"""Rows above a cell in which its header is looked for."""
_LARGEST_FILE = 200_000_000
"""Bytes of a text that is searched for its rows; beyond it the desk has to do."""

_NUMBER = re.compile(r"-?\d[\d.,]*\d|-?\d")
_YEAR_OR_DATE = re.compile(r"(19|20)\d\d|\d{1,2}\.\d{1,2}\.\d{2,4}|\d{4}-\d\d(-\d\d.*)?")

Cells = Sequence[str]


@dataclass(frozen=True)
class Made:
    """What became of it. ``uri`` in the archive, None where there is nothing to show."""

    name: str
    uri: str | None = None
    is_personal: bool = False


@dataclass(frozen=True)
class _Mark:
    column: str | None
    found: str | None
    sentence: str


@dataclass
class _Sheet:
    """What is shown of one sheet: rows by number, the header rows among them, and what is held against them."""

    rows: dict[int, Cells] = field(default_factory=dict)
    marks: dict[int, list[_Mark]] = field(default_factory=dict)


def of_delivery(policy: Policy, contract: Contract, delivery: ops.Delivery, findings: Sequence[Finding]) -> Made:
    """Make the workbook of a delivery and keep it in the archive. Never fails: a message goes out without it, too."""
    name = f"Beanstandungen_{delivery.delivery_id}.xlsx"
    if any(finding.rule == persons.RULE for finding in findings):
        return Made(name, is_personal=True)
    if delivery.archive_uri is None:
        return Made(name)
    store = landing.Archive(policy.settings.archive_url)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = store.local(delivery.sha256, Path(folder))
            if is_personal(contract, path, delivery.file_name):
                return Made(name, is_personal=True)
            content = workbook(
                contract,
                path,
                delivery.file_name,
                findings,
                rows=policy.attachment.rows,
                size=int(policy.attachment.megabytes * 1_000_000),
                complete_at=f"{policy.desk}/deliveries/{delivery.delivery_id}",
            )
            if content is None:
                return Made(name)
            made = Path(folder) / name
            made.write_bytes(content)
            return Made(name, store.put(made).uri)
    except Exception as error:
        # Only the type: the text of an unforeseen error may quote the file.
        log.warning("delivery %s: no workbook of evidence (%s)", delivery.delivery_id, type(error).__name__)
        return Made(name)


def is_about_persons(conn: ops.Connection, policy: Policy, contract: Contract, delivery: ops.Delivery) -> bool:
    """Whether the name of a delivery may not be repeated; also when its bytes cannot be looked at."""
    from teilhabe import ops

    if any(finding.rule == persons.RULE for finding in ops.findings(conn, delivery.delivery_id)):
        return True
    if delivery.archive_uri is None:
        return False  # never read; what its office calls it is told to its office
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = landing.Archive(policy.settings.archive_url).local(delivery.sha256, Path(folder))
            return is_personal(contract, path, delivery.file_name)
    except Exception as error:
        log.warning("delivery %s: cannot be looked at (%s)", delivery.delivery_id, type(error).__name__)
        return True


def is_personal(contract: Contract, path: Path, file_name: str) -> bool:
    """Whether a file looks as if it were about single persons, whatever its verdict was."""
    try:
        confined.run(_check_persons, path, file_name, contract, file_name=file_name)
    except ReadingError as error:
        # What costs too much to look at may be about anybody.
        return error.finding.rule in (persons.RULE, confined.TOO_COSTLY)
    return False


def _check_persons(path: Path, file_name: str, contract: Contract) -> None:
    persons.check(Source(path, file_name, Report(file_name)), contract)


def workbook(
    contract: Contract,
    path: Path,
    file_name: str,
    findings: Sequence[Finding],
    *,
    rows: int,
    size: int,
    complete_at: str,
) -> bytes | None:
    """The rows of ``path`` the findings speak of, as an Excel workbook of at most ``rows`` rows and ``size`` bytes.

    None where no finding names a row, or the file is neither a text nor a workbook that can be opened.
    """
    total = sum(max(f.row_count, len(f.evidence)) for f in findings if f.severity != "info" and _places(f))
    while rows:
        try:
            is_text, sheets = confined.run(_read, path, file_name, contract, findings, rows, file_name=file_name)
        except ReadingError:
            return None
        if not any(sheet.marks for sheet in sheets.values()):
            return None
        content = _written(sheets, contract, total, complete_at, is_text=is_text)
        if len(content) <= size:
            return content
        rows //= 2
    return None


# -------------------------------------------------------------------------------------------------------- what to show


def _read(
    path: Path, file_name: str, contract: Contract, findings: Sequence[Finding], limit: int
) -> tuple[bool, dict[str, _Sheet]]:
    source = Source(path, file_name, Report(file_name))
    return source.kind == "text", _sheets(source, contract, findings, limit)


def _sheets(source: Source, contract: Contract, findings: Sequence[Finding], limit: int) -> dict[str, _Sheet]:
    wanted = _wanted(findings, contract, limit)
    if source.kind == "text":
        marks = {row: these for (_, row), these in wanted.items()}
        return {REMARK: _of_text(source, marks)}
    if source.is_workbook:
        return _of_workbook(source, wanted)
    return {}


def _wanted(findings: Sequence[Finding], contract: Contract, limit: int) -> dict[tuple[str | None, int], list[_Mark]]:
    """(sheet, row) -> what is held against it, the most severe first, until the limit of rows."""
    wanted: dict[tuple[str | None, int], list[_Mark]] = {}
    for finding in findings:
        for one in _places(finding) if finding.severity != "info" else ():
            assert one.row is not None  # noqa: S101 - places without a row are none
            place = (one.sheet or finding.sheet, one.row)
            if place not in wanted and len(wanted) >= limit:
                continue
            sentence = saying.say(finding, contract.secrecy_method, at=one, with_place=False, with_count=False)
            wanted.setdefault(place, []).append(_Mark(one.column or finding.column, one.found, sentence))
    return wanted


def _places(finding: Finding) -> list[Evidence]:
    """The rows a finding is about; one that ended the reading names a single one."""
    places = finding.evidence or (saying.first_place(finding),)
    return [one for one in places if one.row is not None]


def _of_text(source: Source, marks: dict[int, list[_Mark]]) -> _Sheet:
    sheet = _Sheet(marks={})
    if source.size > _LARGEST_FILE or not marks:
        return sheet
    last = max(marks)
    in_header = True
    for number, row in _records(source):
        in_header = in_header and number <= _HEADER_ROWS and not _is_data(row)
        if number in marks or in_header:
            sheet.rows[number] = [cell[:_CELL] for cell in row[:_COLUMNS]]
            if number in marks:
                sheet.marks[number] = marks[number]
        if number >= last:
            break
    return sheet


def _records(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Rows with the numbers the readers give them; of a text in two encodings, every line in the one it has."""
    before = 0
    for lines in source.records(strict=False):
        numbers = source.rows(np.arange(before + 1, before + len(lines) + 1, dtype=np.int32)).tolist()
        before += len(lines)
        for number, line in zip(numbers, lines, strict=True):
            try:
                yield number, next(csv.reader([line.replace("\0", "")], delimiter=source.delimiter), [])
            except csv.Error:
                return


def _of_workbook(source: Source, wanted: Mapping[tuple[str | None, int], list[_Mark]]) -> dict[str, _Sheet]:
    sheets: dict[str, _Sheet] = {}
    pages = {name: _Page(rows) for name, rows in source.sheets.items()}
    for (said, row), marks in wanted.items():
        name = said if said in pages else _the_only(pages, row, marks)
        if name is None or row > len(pages[name]):
            continue
        sheet = sheets.setdefault(name, _Sheet())
        sheet.marks[row] = marks
        for number in (row, *_above(pages[name], row, marks)):
            sheet.rows[number] = pages[name].row(number)
    return sheets


class _Page:
    """The rows of a sheet as texts, each made when it is asked for: there may be a million."""

    def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int) -> Cells:
        """``number`` as people count, from 1; empty beyond the end."""
        return [cell_text(cell) for cell in self._rows[number - 1][:_COLUMNS]] if number <= len(self._rows) else []


def _the_only(pages: Mapping[str, _Page], row: int, marks: Sequence[_Mark]) -> str | None:
    """The sheet that has what was found in this row; None where several have it."""
    if len(pages) == 1:
        return next(iter(pages))
    found = {mark.found for mark in marks if mark.found}
    fitting = [name for name, page in pages.items() if found.intersection(page.row(row))]
    return fitting[0] if len(fitting) == 1 else None


def _above(page: _Page, row: int, marks: Sequence[_Mark]) -> Iterator[int]:
    """The header: the rows before the first with numbers, and the nearest text above each marked cell."""
    for number in range(1, min(row, _HEADER_ROWS + 1)):
        cells = page.row(number)
        if _is_data(cells):
            break
        if any(cells):
            yield number
    for mark in marks:
        place = _place(mark, page.row(row), {})
        for number in range(row - 1, max(0, row - _LOOK_UP), -1) if place is not None else ():
            cells = page.row(number)
            text = cells[place] if place is not None and place < len(cells) else ""
            if text and not _NUMBER.fullmatch(text):
                yield number
                break


def _is_data(row: Cells) -> bool:
    """A row with numbers that are no years and dates: from the first one on there is no header."""
    return any(_NUMBER.fullmatch(cell.strip()) and not _YEAR_OR_DATE.fullmatch(cell.strip()) for cell in row)


def _place(mark: _Mark, cells: Cells, headers: Mapping[str, int]) -> int | None:
    """Which cell of a row is meant, from 0: by number, by letters, by header, or because only it reads like that."""
    said = mark.column or ""
    if said.isdecimal():
        place = int(said) - 1
    elif re.fullmatch(r"[A-Z]{1,2}\d*", said) and normalise(said) not in headers:
        place = 0
        for letter in said.rstrip("0123456789"):
            place = place * 26 + ord(letter) - 64
        place -= 1
    elif normalise(said) in headers:
        place = headers[normalise(said)]
    else:
        wanted = (mark.found or "").strip()
        same = [n for n, cell in enumerate(cells) if wanted and cell.strip() == wanted]
        if not same and len(wanted) > 2:
            same = [n for n, cell in enumerate(cells) if wanted in cell]  # the key of K03157
        return same[0] if len(same) == 1 else None
    return place if 0 <= place < _COLUMNS else None


# ------------------------------------------------------------------------------------------------------------- writing


def _written(sheets: Mapping[str, _Sheet], contract: Contract, total: int, complete_at: str, *, is_text: bool) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    listed = sum(len(marks) for sheet in sheets.values() for marks in sheet.marks.values())
    for name, sheet in sheets.items():
        if sheet.marks:
            _write_sheet(book, name, sheet, contract, is_text)
    of_all = f" von {saying.number(total)} beanstandeten" if total > listed else ""
    rest = f"Gezeigte Stellen: {saying.number(listed)}{of_all}. Die vollständige Liste: {complete_at}"
    last = book.worksheets[-1]
    _put(last, last.max_row + 2, 1, rest)
    book.properties.creator = "teilhabe"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _write_sheet(book: Workbook, name: str, sheet: _Sheet, contract: Contract, is_text: bool) -> None:
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
    from openpyxl.utils import get_column_letter

    page = book.create_sheet(_sheet_name(book, name))
    marked, head = PatternFill("solid", fgColor="F6C7C3"), PatternFill("solid", fgColor="EEF2F6")
    bold, wrapped = Font(bold=True), Alignment(wrap_text=True, vertical="top")
    line = Border(bottom=Side("thin", color="C9D2DB"))
    places = _marked_places(sheet)
    shown = _shown_columns(sheet, places)
    titles = [_ROW, REMARK, *(str(n + 1) if is_text else get_column_letter(n + 1) for n in shown)]
    for column, text in enumerate(titles, start=1):
        cell = _put(page, 1, column, text)
        cell.font, cell.fill = bold, head
    for at, number in enumerate(sorted(sheet.rows), start=2):
        cells, marks = sheet.rows[number], sheet.marks.get(number, [])
        _put(page, at, 1, str(number)).alignment = wrapped
        remark = _remark(list(dict.fromkeys(mark.sentence for mark in marks)))
        _put(page, at, 2, remark, 2000).alignment = wrapped
        for column, n in enumerate(shown, start=3):
            text = cells[n].strip() if n < len(cells) else ""
            cell = _put(page, at, column, saying.masked(text, contract.secrecy_method) or "")
            cell.alignment = wrapped
            if n in places.get(number, ()):
                cell.fill, cell.font = marked, bold
            elif not marks:
                cell.fill = head
        for cells_of_row in page.iter_rows(at, at, 1, len(shown) + 2):
            for cell in cells_of_row:
                cell.border = line
    widths = [7, _REMARK_WIDTH]
    for n in shown:
        longest = max(len(row[n]) if n < len(row) else 0 for row in sheet.rows.values())
        widths.append(min(24, max(9, longest + 2)))
    for column, width in enumerate(widths, start=1):
        page.column_dimensions[get_column_letter(column)].width = width
    for cells_of_row in page.iter_rows(2, len(sheet.rows) + 1, 1, len(titles)):
        # Not every program fits the rows to their texts by itself.
        height = max(_lines(str(cell.value or ""), width) for cell, width in zip(cells_of_row, widths, strict=True))
        page.row_dimensions[cells_of_row[0].row].height = 15 * min(height, _MOST_LINES)
    page.freeze_panes = "C2"
    _set_up_page(page)


def _remark(sentences: Sequence[str]) -> str:
    """What is wrong with a row, as much as its cell can show, and how much more there is."""
    shown: list[str] = []
    for sentence in sentences:
        is_last = len(shown) + 1 == len(sentences)
        if shown and _lines("\n".join([*shown, sentence]), _REMARK_WIDTH) > _MOST_LINES - (not is_last):
            break
        shown.append(sentence)
    left = len(sentences) - len(shown)
    more = (
        [f"und {'eine weitere Beanstandung' if left == 1 else f'{left} weitere Beanstandungen'} dieser Zeile"]
        if left
        else []
    )
    return "\n".join([*shown, *more])


def _lines(text: str, width: int) -> int:
    """How many lines a text takes in a column, words being broken where they end."""
    return sum(-(-len(line) // max(1, width - 6)) or 1 for line in text.split("\n"))


def _set_up_page(page: Worksheet) -> None:
    """A4, landscape, one page wide; the header again on each."""
    page.page_setup.orientation = "landscape"
    page.page_setup.paperSize = page.PAPERSIZE_A4
    page.page_setup.fitToWidth, page.page_setup.fitToHeight = 1, 0
    page.sheet_properties.pageSetUpPr.fitToPage = True
    page.print_title_rows = "1:1"
    page.page_margins.left = page.page_margins.right = 0.4
    page.oddFooter.center.text = "Seite &P von &N"


def _marked_places(sheet: _Sheet) -> dict[int, set[int]]:
    """Row -> columns (from 0) of its marked cells."""
    headers: dict[str, int] = {}
    found: dict[int, set[int]] = {}
    for number in sorted(sheet.rows):
        cells, marks = sheet.rows[number], sheet.marks.get(number, [])
        if not marks:
            headers.update({normalise(text): n for n, text in enumerate(cells) if text.strip()})
        found[number] = {place for mark in marks if (place := _place(mark, cells, headers)) is not None}
    return found


def _shown_columns(sheet: _Sheet, places: Mapping[int, set[int]]) -> list[int]:
    """All columns of a table that fits on a page; else the first ones, which say what a row is about, and the marked ones."""
    marked = set().union(*places.values())
    width = max([len(row) for row in sheet.rows.values()] + [place + 1 for place in marked])
    filled = [
        n for n in range(width) if n in marked or any(n < len(row) and row[n].strip() for row in sheet.rows.values())
    ]
    if len(filled) <= _PAGE_COLUMNS:
        return filled
    near = {n + step for n in marked for step in (-1, 0, 1)}
    first = set(filled[:_FIRST_COLUMNS])
    chosen = [n for n in filled if n in first or n in near]
    return chosen if len(chosen) <= _PAGE_COLUMNS else [n for n in filled if n in first or n in marked]


def _put(page: Worksheet, row: int, column: int, text: str, length: int = _CELL) -> Any:
    """Write a text as a text: Excel shows ``=1+1`` and never computes it, also after the cell was edited."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    cell = page.cell(row, column)
    if text:
        cell.value = ILLEGAL_CHARACTERS_RE.sub(" ", text[:length])
        cell.data_type = "s"
        cell.quotePrefix = is_formula(text) or text[0] in "\t\r"
    return cell


def _sheet_name(book: Workbook, name: str) -> str:
    plain = re.sub(r"[\[\]:*?/\\']", " ", name).strip()[:28] or REMARK
    return plain if plain not in book.sheetnames else f"{plain} {len(book.sheetnames) + 1}"
