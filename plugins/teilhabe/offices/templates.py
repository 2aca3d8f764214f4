"""The Excel form of a dataset, drawn from its contract: what an office fills in is what the reader of that layout expects.

Headers, keys and row labels are locked (without a password: it is a guard rail, not a secret), input cells accept whole
numbers or an agreed sign, closed lists are drop-downs. The second sheet explains in German. Only layouts a person fills in
by hand have a template: ``form``, and ``table`` where it may be a workbook.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teilhabe.codes import wording
from teilhabe.codes.groups import GROUP_COLUMNS
from teilhabe.codes.measures import counted_measures
from teilhabe.codes.periods import period_end
from teilhabe.contract.delivery_calendar import due_entries
from teilhabe.contract.layouts import Coordinates, Form, Table
from teilhabe.contract.model import Contract
from teilhabe.errors import TeilhabeError

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

NOTES = "Hinweise"
"""The second sheet: explanation and lists. Readers of sheets leave it out."""

_NOTES_WIDTH = 92
_FREE_ROWS = 100
"""Empty rows of a table whose rows cannot be known beforehand (programmes, clubs, offences)."""
_PERIODS_OFFERED = 24
_WHOLE_COUNTY = 5
_PERIOD_FREQUENCY = {
    "{month}": ("month", "monthly"),
    "{quarter}": ("quarter", "quarterly"),
    "{half_year}": ("half_year", "half_yearly"),
    "{school_year}": ("school_year", "yearly"),
    "{guidance_year}": ("guidance_year", "yearly"),
    "{allocation_half_year}": ("allocation_half_year", "half_yearly"),
}

_INK, _INPUT, _LOCKED, _LINE = "1F3A5F", "FFF8DC", "EEF2F6", "9AA5B1"
_FONT = "Calibri"


@dataclass(frozen=True)
class Place:
    """A territory that can report."""

    code: str
    name: str


@dataclass
class _Lists:
    """Closed lists for the drop-downs; they stand, readable, on the second sheet."""

    columns: dict[str, list[str]] = field(default_factory=dict)

    def reference(self, title: str, entries: Iterable[str]) -> str:
        from openpyxl.utils import get_column_letter

        listed = list(dict.fromkeys(entries))
        self.columns.setdefault(title, listed)
        letter = get_column_letter(_LISTS_FROM + list(self.columns).index(title))
        return f"'{NOTES}'!${letter}$2:${letter}${len(listed) + 1}"


_LISTS_FROM = 5
"""The first column of the lists on the second sheet."""


def template_layout(contract: Contract) -> Form | Table | None:
    """The layout of a contract that people fill in by hand, if it has one."""
    for layout in contract.layouts:
        if isinstance(layout, Form) or (isinstance(layout, Table) and "workbook" in layout.kinds):
            return layout
    return None


def write_template(
    contract: Contract,
    out: Path,
    *,
    today: date,
    territory: str | None = None,
    period: str | None = None,
    known: Iterable[Contract] = (),
) -> Path:
    """Write the form of ``contract`` to ``out`` (.xlsx).

    ``territory`` fills in (and fixes) one municipality, ``period`` the period code; without it the last one that is over.
    ``known``: all contracts, to name those with a template when this one has none. Raises ``TeilhabeError``.
    """
    layout = template_layout(contract)
    if layout is None:
        names = ", ".join(other.dataset_id for other in known if template_layout(other) is not None) or "none"
        raise TeilhabeError(
            f"{contract.dataset_id} has no template: its files come from a system "
            f"({', '.join(one.name for one in contract.layouts)}). Datasets with a template: {names}."
        )
    if out.suffix.lower() != ".xlsx":
        raise TeilhabeError(f"{out}: a template is an Excel workbook; the name must end in .xlsx.")
    places = _places(contract, territory, today)
    periods = _periods(contract, layout, today)
    if not periods and period is None:
        raise TeilhabeError(f"{contract.dataset_id}: no period is over yet; name one with --period.")
    code = period or periods[-1]
    if wording.delivered_period(code, layout) is None if period_end(code) else True:
        raise TeilhabeError(
            f"{code} is no period of {contract.dataset_id}; a period looks like {(periods or ['-'])[-1]}."
        )
    book = _book(contract)
    lists = _Lists()
    offered = sorted({*periods[-_PERIODS_OFFERED:], code}, key=lambda each: str(period_end(each)))
    plan = _Plan(contract, layout, places, code, [wording.delivered_period(each, layout) or each for each in offered])
    if isinstance(layout, Form):
        _form(book, plan, layout, lists)
    else:
        _tables(book, plan, layout, lists)
    _notes(book, plan, lists, today)
    out.parent.mkdir(parents=True, exist_ok=True)
    book.save(out)
    return out


@dataclass
class _Plan:
    """What goes into the form."""

    contract: Contract
    layout: Form | Table
    places: list[Place]
    period: str
    spelled_periods: list[str]

    @property
    def spelled(self) -> str:
        return wording.delivered_period(self.period, self.layout) or self.period

    def is_current(self, text: str) -> bool:
        """Whether a text of the layout belongs to it at the time of the period."""
        validity = self.layout.validity.get(text)
        end = period_end(self.period) or date.max
        since = period_end(validity.since) if validity and validity.since else None
        until = period_end(validity.until) if validity and validity.until else None
        ended = any(
            other.instead_of == text and other.since and end >= (period_end(other.since) or date.max)
            for other in self.layout.validity.values()
        )
        return not ended and (since is None or end >= since) and (until is None or end <= until)

    def labels(self) -> dict[str, dict[str, str]]:
        """Loaded labels of the period, the first spelling of each."""
        seen: set[tuple[tuple[str, str], ...]] = set()
        found: dict[str, dict[str, str]] = {}
        for text, coordinates in self.layout.labels.items():
            if coordinates is None or not self.is_current(text):
                continue
            key = tuple(sorted(coordinates.items()))
            if key not in seen or not key:
                seen.add(key)
                found[text] = coordinates
        return found

    def is_whole(self, coordinates: Coordinates) -> bool:
        constants = {**self.contract.constants, **getattr(self.layout, "constants", {})}
        measure = (coordinates or {}).get("measure_code") or constants.get("measure_code", "")
        return measure in counted_measures(self.contract.path.parents[2])

    def signs(self) -> list[str]:
        from teilhabe.reading.cells.symbols import signs

        found = signs(self.layout.symbols or self.contract.symbols)
        return [
            sign for sign, meaning in found.items() if sign and meaning in ("suppressed", "missing") and sign != "X"
        ]


# ----------------------------------------------------------------------------------------------------------------- form


def _form(book: Workbook, plan: _Plan, layout: Form, lists: _Lists) -> None:
    """A block of labels and values, then the small table."""
    sheet = book.active
    sheet.title = layout.sheet
    row = _head(sheet, plan)
    labels = plan.labels()
    texts = {name: next(t for t in aliases if plan.is_current(t)) for name, aliases in layout.fields.items()}
    one = plan.places[0] if len(plan.places) == 1 else None
    given = {"territory_code": one and one.code, "territory_name": one and one.name, "period_code": plan.spelled}
    choices = {
        "territory_code": [place.code for place in plan.places],
        "territory_name": [place.name for place in plan.places],
        "period_code": plan.spelled_periods,
    }
    for name in ("territory_name", "territory_code", "period_code", *(n for n in texts if n not in given)):
        if name not in texts:
            continue
        _label(sheet.cell(row, 1, texts[name]))
        cell = sheet.cell(row, 2, given.get(name))
        cell.number_format = "@"
        _input(cell, locked=bool(one) and name.startswith("territory"))
        if name in choices:
            _choose(sheet, [cell.coordinate], lists.reference(texts[name], choices[name]), texts[name])
        row += 1
    row += 1
    columns = [text for text in layout.table_columns if text in labels]
    rows = [text for text, found in labels.items() if found and "measure_code" not in found] if layout.table else []
    inputs: dict[bool, list[str]] = {True: [], False: []}
    for text, found in labels.items():
        if text in columns or text in rows or not found:
            continue
        _label(sheet.cell(row, 1, text))
        inputs[plan.is_whole(found)].append(_number(sheet.cell(row, 2)))
        row += 1
    if columns:
        row += 1
        for position, text in enumerate([layout.table[0], *columns], 1):
            _header(sheet.cell(row, position, text))
        for text in rows:
            row += 1
            _label(sheet.cell(row, 1, text))
            for position, column in enumerate(columns, 2):
                inputs[plan.is_whole(labels[column])].append(_number(sheet.cell(row, position)))
    for whole, cells in inputs.items():
        _check_numbers(sheet, cells, plan, whole)
    _finish(sheet, plan, widths=[46, *[24] * max(1, len(columns))], freeze="B5", header_row=None)


# ---------------------------------------------------------------------------------------------------------------- table


def _tables(book: Workbook, plan: _Plan, layout: Table, lists: _Lists) -> None:
    """One sheet, or as many as the layout reads."""
    names: list[tuple[str, str | None]]
    if layout.sheet_period:
        names = [(wording.delivered_period(code, layout) or code, code) for code in _year_so_far(plan)]
    elif layout.sheet_labels:
        names = [(name, None) for name, found in layout.sheet_labels.items() if found is not None]
    else:
        names = [("Meldung", None)]
    for number, (name, _) in enumerate(names):
        sheet = book.active if number == 0 else book.create_sheet()
        sheet.title = name
        _table(sheet, plan, layout, lists)


def _table(sheet: Worksheet, plan: _Plan, layout: Table, lists: _Lists) -> None:
    top = _head(sheet, plan)
    if "period_code" not in layout.columns and layout.period_in == "content" and not layout.sheet_period:
        spelled = [_in_header(text) for text in plan.spelled_periods]
        cell = sheet.cell(top, 1, _in_header(plan.spelled))
        _input(cell)
        _choose(sheet, [cell.coordinate], lists.reference("Zeitraum", spelled), "Zeitraum")
        top += 2
    cells, values = _columns(plan, layout, sheet.title)
    keys = {name: next((t for t in texts if plan.is_current(t)), texts[0]) for name, texts in layout.columns.items()}
    headers = [*keys.values(), *cells, *values]
    for position, text in enumerate(headers, 1):
        _header(sheet.cell(top, position, text))
    free = [name for name in keys if name not in ("territory_code", "territory_name", "period_code")]
    combinations = [(place, texts) for place in plan.places for texts in product(*cells.values())]
    count = _FREE_ROWS if free else len(combinations)
    by_column: dict[str, list[str]] = {}
    inputs: dict[bool, list[str]] = {True: [], False: []}
    for number in range(count):
        row = top + 1 + number
        place, labels = (None, ()) if free else combinations[number]
        given = {"period_code": plan.spelled} if not free else {}
        if place is not None:
            given |= {"territory_code": place.code, "territory_name": place.name}
        for position, name in enumerate([*keys, *cells], 1):
            value = given.get(name) if name in keys or free else labels[position - 1 - len(keys)]
            cell = sheet.cell(row, position, value)
            cell.number_format = "@"
            _input(cell, locked=value is not None and name != "period_code")
            by_column.setdefault(headers[position - 1], []).append(cell.coordinate)
        for position, found in enumerate(values.values(), len(keys) + len(cells) + 1):
            inputs[plan.is_whole(found)].append(_number(sheet.cell(row, position)))
    choices: dict[str, Sequence[str]] = {keys["period_code"]: plan.spelled_periods} if "period_code" in keys else {}
    if free:
        for name, entries in (
            ("territory_code", [place.code for place in plan.places]),
            ("territory_name", [place.name for place in plan.places]),
        ):
            if name in keys:
                choices[keys[name]] = entries
        choices |= cells
    for text, listed in choices.items():
        _choose(sheet, by_column[text], lists.reference(text, listed), text)
    for whole, places in inputs.items():
        _check_numbers(sheet, places, plan, whole)
    widths = [{"territory_code": 22, "period_code": 20}.get(name, 26) for name in keys] + [26] * len(cells)
    # A heading breaks between its words, not within them.
    widths += [max(14, *(len(word) + 4 for word in text.split())) for text in values]
    from openpyxl.utils import get_column_letter

    freeze = f"{get_column_letter(len(keys) + len(cells) + 1)}{top + 1}"
    _finish(sheet, plan, widths=widths, freeze=freeze, header_row=top)


def _columns(plan: _Plan, layout: Table, sheet: str) -> tuple[dict[str, list[str]], dict[str, dict[str, str]]]:
    """Label columns with the entries of their cells, and value columns with their coordinates.

    Both kinds of text stand in ``labels``. What names a measure heads a column; otherwise a label belongs to the label
    column whose coordinate it names, found by the office's word for it.
    """
    labels = plan.labels()
    optional = set(layout.optional)
    sheets = layout.on_sheets
    headers = {
        text: found for text, found in labels.items() if text not in optional and sheet in sheets.get(text, [sheet])
    }
    if not layout.label_columns:
        return {}, headers
    measured = any("measure_code" in found for found in labels.values())
    cells: dict[str, list[str]] = {}
    used: set[str] = set()
    for aliases, name in zip(layout.label_columns, _targets(plan, layout), strict=True):
        entries = [t for t, found in labels.items() if t not in optional and (not found or set(found) == {name})]
        cells[next((t for t in aliases if plan.is_current(t)), aliases[0])] = entries
        used |= {text for text in entries if labels[text] or measured}
    return cells, {text: found for text, found in headers.items() if text not in used}


def _targets(plan: _Plan, layout: Table) -> list[str]:
    """The column of the contract each label column speaks about."""
    from teilhabe.reading.cells.labels import normalise

    terms = {normalise(column.office_term): column.name for column in plan.contract.columns if column.office_term}
    spoken = {name for found in plan.labels().values() for name in found if len(found) == 1}
    free = [name for name in (*reversed(GROUP_COLUMNS), "measure_code") if name in spoken]
    known = [
        next((terms[normalise(t)] for t in aliases if normalise(t) in terms), None) for aliases in layout.label_columns
    ]
    left = iter(name for name in free if name not in known)
    return [name or next(left, "category") for name in known]


def _in_header(text: str) -> str:
    """The period as it stands above a table."""
    if text[:1].isdigit() and text.isdigit():
        return f"Berichtsjahr: {text}"
    return f"Stichtag: {text}" if text[2:3] == "." else text


def _year_so_far(plan: _Plan) -> list[str]:
    """The periods of the period's year up to it: such files grow from month to month."""
    end = period_end(plan.period)
    codes = {e.period_code: e for e in due_entries(_as_layout(plan.contract, plan.layout), [end.year] if end else [])}
    return [code for code, entry in codes.items() if end and entry.reference_end <= end] or [plan.period]


# ---------------------------------------------------------------------------------------------------------- explanation


def _notes(book: Workbook, plan: _Plan, lists: _Lists, today: date) -> None:
    from openpyxl.styles import Alignment, Font

    sheet = book.create_sheet(NOTES)
    contract = plan.contract
    lines = list(_explanation(plan, today))
    sheet["A1"] = "Hinweise zum Ausfüllen"
    sheet["A1"].font = Font(name=_FONT, bold=True, size=14, color=_INK)
    for row, (name, text) in enumerate(lines, 3):
        # Not every program makes a row high enough for its text.
        sheet.row_dimensions[row].height = 16 * -(-len(text) // _NOTES_WIDTH)
        sheet.cell(row, 1, name).font = Font(name=_FONT, bold=bool(name), color=_INK)
        sheet.cell(row, 2, text)
        for position in (1, 2):
            sheet.cell(row, position).alignment = Alignment(wrap_text=True, vertical="top")
    for number, (title, entries) in enumerate(lists.columns.items()):
        _header(sheet.cell(1, _LISTS_FROM + number, f"Auswahl: {title}"))
        for row, entry in enumerate(entries, 2):
            sheet.cell(row, _LISTS_FROM + number, entry).number_format = "@"
    widths = [26, _NOTES_WIDTH + 4, 3, 3, *[24] * len(lists.columns)]
    _finish(sheet, plan, widths=widths, freeze=None, header_row=None)
    sheet.print_area = f"A1:B{len(lines) + 3}"
    sheet.page_setup.orientation = "portrait"
    sheet.oddFooter.left.text = f"{contract.dataset_id}, Vertrag {contract.version}"


def _explanation(plan: _Plan, today: date) -> Iterator[tuple[str, str]]:
    contract, layout = plan.contract, plan.layout
    yield "Was", contract.title_de
    yield "Wer", f"{contract.office}" + ("; je meldende Gemeinde eine Datei" if contract.senders else "")
    yield "Wann", wording.due_rule(contract)
    for entry in wording.next_due(contract, today):
        yield "", wording.due_sentence(entry)
    yield (
        "So wird ausgefüllt",
        "Nur die gelben Felder sind Eingabefelder. Überschriften, Schlüssel und Zeilen bitte nicht ändern.",
    )
    yield (
        "",
        "Jedes Eingabefeld erhält eine Zahl ab 0 oder ein vereinbartes Zeichen. Gibt es nichts zu melden, bitte 0 eintragen.",
    )
    if layout.optional and isinstance(layout, Form):
        yield "", f"Leer bleiben darf: {', '.join(t for t in layout.optional if t in layout.labels)}."
    if isinstance(layout, Table) and any(
        n not in ("territory_code", "territory_name", "period_code") for n in layout.columns
    ):
        yield "", "Jede Zeile vollständig ausfüllen; nicht benötigte Zeilen bleiben ganz leer."
    for sign, meaning in wording.sign_lines(contract, layout):
        yield (
            "Zeichen" if sign != "leere Zelle" else "Leere Zelle",
            meaning if sign == "leere Zelle" else f"{sign}   {meaning}",
        )
    yield "Geheimhaltung", wording.secrecy_sentence(contract)
    for number, (term, meaning) in enumerate(contract.definitions.items()):
        yield "" if number else "Was gezählt wird", f"{term}: {meaning}"
    name = f"{contract.dataset}_{plan.places[0].code if len(plan.places) == 1 else ''}_{plan.period}.xlsx".replace(
        "__", "_"
    )
    if layout.period_in == "file_name":
        yield "Dateiname", f"Der Zeitraum muss im Dateinamen stehen, zum Beispiel {name}"
    else:
        yield "Dateiname", f"frei, zum Beispiel {name}"
    yield "Lieferweg", " oder ".join(wording.ways(contract)) + "."
    yield "Rückfragen", contract.contact
    yield "Lizenz", f"{contract.licence} ({contract.attribution})"
    if contract.limitations and contract.status != "active":
        yield "Stand", contract.status
    yield "Vertrag", f"{contract.dataset_id}, Version {contract.version}, Layout „{layout.name}“"


# -------------------------------------------------------------------------------------------------------------- choices


def _places(contract: Contract, territory: str | None, today: date) -> list[Place]:
    """Who reports: the senders of the contract, else the territories of its levels the project itself knows."""
    known = _territories(contract, today)
    names = {place.code: place.name for place in known}
    if contract.senders:
        known = [Place(s.territory_code, names.get(s.territory_code, s.territory_name)) for s in contract.senders]
    if territory is None:
        return known
    chosen = [place for place in known if place.code == territory]
    if not chosen:
        choice = ", ".join(f"{place.code} {place.name}" for place in known)
        raise TeilhabeError(f"{territory} does not report {contract.dataset_id}; it is one of {choice}.")
    return chosen


def _territories(contract: Contract, today: date) -> list[Place]:
    """The county and its municipalities as far as the contract's levels go; keys in force today."""
    path = contract.path.parents[2] / "dbt_project" / "seeds" / "territories.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if not row["valid_to"] or row["valid_to"] >= today.isoformat()]
    wanted: list[str] = [level for level in contract.levels if level in ("county", "municipality")] or ["state"]
    found = [Place(row["territory_code"], row["territory_name"]) for row in rows if row["level"] in wanted]
    if wanted == ["state"]:
        own = {row["territory_code"][:2] for row in rows if row["level"] == "county"}
        found = [place for place in found if place.code in own]
    if not found:
        raise TeilhabeError(f"{path}: no territory of the levels {', '.join(contract.levels)} is listed.")
    return sorted(found, key=lambda place: (len(place.code) == _WHOLE_COUNTY, place.code))


def _periods(contract: Contract, layout: Form | Table, today: date) -> list[str]:
    """Period codes this layout can state and that are over, oldest first."""
    codes = wording.ended_periods(_as_layout(contract, layout), today)
    found = [code for code in codes if wording.delivered_period(code, layout)]
    if not found:
        found = (
            [
                c
                for y in range(today.year - 3, today.year)
                if wording.delivered_period(c := layout.period.format(year=y, year_before=y - 1), layout)
            ]
            if "{year" in layout.period
            else []
        )
    return found


def _as_layout(contract: Contract, layout: Form | Table) -> Contract:
    """The contract with the calendar of a layout that comes more often than the dataset's own."""
    if layout.period not in _PERIOD_FREQUENCY:
        return contract
    reference, frequency = _PERIOD_FREQUENCY[layout.period]
    if contract.calendar.reference == reference:
        return contract
    calendar = contract.calendar.model_copy(update={"reference": reference, "frequency": frequency})
    return contract.model_copy(update={"calendar": calendar})


# -------------------------------------------------------------------------------------------------------------- drawing


def _book(contract: Contract) -> Workbook:
    from openpyxl import Workbook
    from openpyxl.packaging.custom import StringProperty

    book = Workbook()
    book.properties.title = contract.title_de
    book.properties.subject = contract.dataset_id
    book.properties.creator = "teilhabe"
    book.properties.version = contract.version
    book.properties.language = "de-DE"
    book.custom_doc_props.append(StringProperty(name="Datensatz", value=contract.dataset_id))
    book.custom_doc_props.append(StringProperty(name="Vertragsversion", value=contract.version))
    return book


def _head(sheet: Worksheet, plan: _Plan) -> int:
    """Title and what to do; returns the row below. Nothing is merged: readers and screen readers see plain cells."""
    from openpyxl.styles import Font

    sheet["A1"] = plan.contract.title_de
    sheet["A1"].font = Font(name=_FONT, bold=True, size=14, color=_INK)
    sheet["A2"] = f"Bitte nur die gelben Felder ausfüllen; Erläuterungen auf dem Blatt „{NOTES}“."
    sheet["A2"].font = Font(name=_FONT, italic=True, color="555555")
    return 4


def _label(cell: Any) -> None:
    from openpyxl.styles import Alignment, Font, PatternFill

    cell.font = Font(name=_FONT, color=_INK)
    cell.fill = PatternFill("solid", fgColor=_LOCKED)
    cell.alignment = Alignment(wrap_text=True, vertical="center")
    cell.border = _border()


def _header(cell: Any) -> None:
    from openpyxl.styles import Alignment, Font, PatternFill

    cell.font = Font(name=_FONT, bold=True, color="FFFFFF")
    cell.fill = PatternFill("solid", fgColor=_INK)
    cell.alignment = Alignment(wrap_text=True, vertical="center", horizontal="center")
    cell.border = _border()


def _input(cell: Any, *, locked: bool = False) -> None:
    from openpyxl.styles import PatternFill, Protection

    cell.fill = PatternFill("solid", fgColor=_LOCKED if locked else _INPUT)
    cell.border = _border()
    cell.protection = Protection(locked=locked)


def _number(cell: Any) -> str:
    from openpyxl.styles import Alignment

    _input(cell)
    cell.alignment = Alignment(horizontal="right")
    return str(cell.coordinate)


def _border() -> Any:
    from openpyxl.styles import Border, Side

    line = Side(style="thin", color=_LINE)
    return Border(left=line, right=line, top=line, bottom=line)


def _choose(sheet: Worksheet, cells: Iterable[str], reference: str, title: str) -> None:
    from openpyxl.worksheet.datavalidation import DataValidation

    rule = DataValidation(
        type="list", formula1=reference, allow_blank=True, showErrorMessage=True, showInputMessage=True
    )
    rule.errorTitle, rule.error = "Nicht in der Liste", "Bitte einen Eintrag der Liste wählen."
    rule.promptTitle, rule.prompt = title[:32], "Bitte aus der Liste wählen."
    _apply(sheet, rule, cells)


def _check_numbers(sheet: Worksheet, cells: list[str], plan: _Plan, whole: bool) -> None:
    """A number from 0 on (whole where things are counted) or an agreed sign."""
    from openpyxl.worksheet.datavalidation import DataValidation

    if not cells:
        return
    first = cells[0]
    number = f"AND(ISNUMBER({first}),{first}>=0" + (f",{first}=INT({first}))" if whole else ")")
    signs = [f'{first}="{sign}"' for sign in plan.signs()]
    rule = DataValidation(type="custom", formula1=f"OR({','.join([number, *signs])})", allow_blank=True,
                          showErrorMessage=True, showInputMessage=True)  # fmt: skip
    kind = "Eine ganze Zahl ab 0" if whole else "Eine Zahl ab 0, auch mit Nachkommastellen,"
    text = kind + "".join(f" oder {sign}" for sign in plan.signs())
    rule.errorTitle, rule.error = "So nicht vereinbart", f"{text}."
    rule.promptTitle, rule.prompt = "Eingabe", f"{text}."
    for cell in cells:
        sheet[cell].number_format = "#,##0" if whole else "#,##0.0##"
    _apply(sheet, rule, cells)


def _apply(sheet: Worksheet, rule: Any, cells: Iterable[str]) -> None:
    for cell in cells:
        rule.add(cell)
    sheet.add_data_validation(rule)


def _finish(
    sheet: Worksheet, plan: _Plan, *, widths: Sequence[int], freeze: str | None, header_row: int | None
) -> None:
    from openpyxl.utils import get_column_letter

    for position, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(position)].width = width
    if header_row is not None:
        sheet.row_dimensions[header_row].height = 48
        sheet.print_title_rows = f"{header_row}:{header_row}"
    sheet.freeze_panes = freeze
    sheet.sheet_view.showGridLines = False
    sheet.page_setup.orientation = "landscape" if len(widths) > 4 else "portrait"
    sheet.page_setup.paperSize = 9  # A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.oddFooter.left.text = f"{plan.contract.title_de}, Vertrag {plan.contract.version}".replace("&", "&&")
    sheet.oddFooter.right.text = "Seite &P von &N"
    sheet.protection.sheet = True
    sheet.protection.formatColumns = False
    sheet.protection.formatRows = False
