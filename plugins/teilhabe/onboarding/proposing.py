"""What a file of an unknown office says about its own layout: reader, keys, periods, breakdowns, signs, number format.

Looked at are the structure and the words of the file, never its numbers: the invented file beside the proposal has other
ones. What the readers recognise a file by is what is looked for here.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teilhabe.errors import TeilhabeError

if TYPE_CHECKING:
    from teilhabe.reading.files.grid import Grid, Range
    from teilhabe.reading.files.source import Source
    from teilhabe.settings import Settings

_HEADER_DEPTH = 30
_FEW = 40
"""A text column with more entries is a list of things (offences, clubs), not a breakdown."""
_MOSTLY = 0.8
_FIXTURE_ROWS = 8
_HEADER_ROWS, _ROWS_ABOVE = 6, 3
_UNITS = ("anzahl", "wert", "value", "betrag", "zahl", "prozent", "in", "")

_CODE_WORDS = frozenset(
    "ags schluessel gemeindeschluessel kreisschluessel regionalschluessel gebietsschluessel geocode gkz kreis gebiet "  # noqa: SIM905
    "gemeindenummer".split()
)
_NAME_WORDS = frozenset(
    "gemeinde gemeindename gebiet gebietsname gebietseinheit name kreis kreisname landkreis ort kommune sitz".split()  # noqa: SIM905
)
_PERIOD_TEMPLATES = (
    "{month}",
    "{quarter}",
    "{half_year}",
    "{allocation_half_year}",
    "{school_year}",
    "{date}",
    "{year}",
)
_WORDS_OF_GROUPS = {
    "": "insgesamt gesamt zusammen summe alle total gesamtzahl",
    "sex male": "maennlich maenner jungen maennliche",
    "sex female": "weiblich frauen maedchen weibliche",
    "sex diverse": "divers",
    "nationality german": "deutsche deutsch",
    "nationality foreign": "auslaender auslaenderinnen auslaenderinnenundauslaender auslaendisch auslaendische nichtdeutsche "
    "nichtdeutsch nd",
    "nationality refugee_context": "kontextfluchtmigration imkontextfluchtmigration fluchtmigration gefluechtete flucht",
    "nationality asylum8": "asylherkunftslaender asylherkunftslaender8",
    "nationality ukrainian": "ukraine ukrainer ukrainerinnenundukrainer",
    "nationality protection_seeker": "schutzsuchende schutzberechtigte",
}
"""Code -> the offices' words for it, spelt as ``normalise`` spells them."""
_GROUPS = {
    word: dict([code.split()]) if code else {} for code, words in _WORDS_OF_GROUPS.items() for word in words.split()
}
_AGES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"unter (\d{1,3})( Jahren?)?"), lambda m: f"u{m[1]}"),
    (re.compile(r"bis (\d{1,3})( Jahren?)?"), lambda m: f"u{int(m[1]) + 1}"),
    (re.compile(r"(\d{1,3}) bis unter (\d{1,3})( Jahren?)?"), lambda m: f"{m[1]}_{int(m[2]) - 1}"),
    (re.compile(r"(\d{1,3})\s?(?:-|\u2013|bis)\s?(\d{1,3})( Jahren?)?"), lambda m: f"{m[1]}_{m[2]}"),
    (re.compile(r"(\d{1,3})( Jahren?)? und (?:älter|mehr)"), lambda m: f"{m[1]}plus"),
    (re.compile(r"ab (\d{1,3})( Jahren?)?"), lambda m: f"{m[1]}plus"),
    (re.compile(r"über (\d{1,3})( Jahren?)?"), lambda m: f"{int(m[1]) + 1}plus"),
    (re.compile(r"(\d{1,3}) Jahre"), lambda m: f"{m[1]}_{m[1]}"),
)


@dataclass
class Proposal:
    """What a file suggests: the layout, what it needs around it, and what was decided on the way."""

    layout: dict[str, Any]
    group_columns: list[str]
    office_terms: dict[str, str]
    constants: dict[str, str]
    symbols: dict[str, Any]
    levels: list[str]
    measures: dict[str, str]
    """New measure codes and what the office calls them; they join the catalogue."""
    file_format: str
    fixture: bytes
    decided: list[str] = field(default_factory=list)
    open_points: list[str] = field(default_factory=list)
    periods: list[str] = field(default_factory=list)


@dataclass
class _Grid:
    """A table in a file: header rows, data rows, and where it stands."""

    sheet: str | None
    rows: list[list[str]]
    top: int
    first: int
    code: int
    """The column of keys."""
    headers: list[str]
    merges: list[Range] = field(default_factory=list)

    @property
    def data(self) -> list[list[str]]:
        return [row for row in self.rows[self.first :] if any(cell.strip() for cell in row[1:])]


# --------------------------------------------------------------------------------------------------------- recognising


def propose(settings: Settings, dataset_id: str, path: Path) -> Proposal:
    from teilhabe.contract.contracts import Contract
    from teilhabe.reading.files import persons
    from teilhabe.reading.files.source import Source
    from teilhabe.reading.report import Report

    if not path.stat().st_size:
        raise TeilhabeError(f"{path}: the file is empty.")
    source = Source(path, path.name, Report(path.name))
    if source.kind not in ("text", "xlsx", "xls"):
        raise TeilhabeError(
            f"{path}: das ist {source.kind_de}; erwartet wird eine CSV-Datei oder eine Excel-Arbeitsmappe."
        )
    persons.check(source, Contract.model_construct(layouts=[]))
    known = _catalogue(settings)
    if source.kind == "text":
        first = source.head_lines[0].strip().strip(';"')
        if first.startswith("GENESIS-Tabelle:"):
            return _genesis(source, dataset_id, known)
        if "statistics_code" in first and "value_variable_code" in first:
            return _ffcsv(source, dataset_id, known)
    grids = _grids(source)
    if grids:
        return _table(source, grids, dataset_id, known)
    if source.is_workbook and (form := _form(source, dataset_id, known)):
        return form
    raise TeilhabeError(
        f"{path}: no table was found: there is no column of official territory keys (5 or 8 digits, header such as AGS or "
        "Gemeindeschlüssel) and no form with such a key. Ask the office for the keys; names alone are no keys."
    )


def _grids(source: Source) -> list[_Grid]:
    """The tables of a file: one per sheet, found by their column of keys."""
    from teilhabe.reading.files.grid import csv_grid, sheet_grid

    sheets = (
        [sheet_grid(source, name, "german") for name in source.sheets]
        if source.is_workbook
        else [csv_grid(source, _delimiter(source))]
    )
    return [found for sheet in sheets if (found := _grid(sheet))]


def _grid(sheet: Grid) -> _Grid | None:
    """Header and data rows around the column whose cells are keys; merged cells are expanded as the reader does."""
    from teilhabe.reading.files.grid import is_numbering, joined_header

    rows = [[cell.strip() for cell in row] for row in sheet.rows]
    for index, row in enumerate(rows[:_HEADER_DEPTH]):
        for at in (n for n, cell in enumerate(row) if _is_code_header(cell)):
            first = next((i for i in range(index + 1, len(rows)) if at < len(rows[i]) and _is_key(rows[i][at])), None)
            if first is None or first - index > _HEADER_ROWS:
                continue
            keys = [r[at] for r in rows[first:] if at < len(r) and r[at]]
            if sum(map(_is_key, keys)) < _MOSTLY * len(keys):
                continue
            # Rows above belong to the header where they are filled in more than one column.
            top = index
            while (
                top > index - _ROWS_ABOVE
                and top
                and sum(map(bool, rows[top - 1])) > 1
                and not is_numbering(rows[top - 1])
            ):
                top -= 1
            texts = joined_header(sheet, top, first, guess=not sheet.merges)
            return _Grid(sheet.sheet, rows, top, first, at, [" ".join(parts) for parts in texts], sheet.merges)
    return None


def _is_code_header(text: str) -> bool:
    from teilhabe.reading.cells.labels import normalise

    words = normalise(text), *(normalise(word) for word in re.split(r"\W+", text))
    return any(word in _CODE_WORDS or word.endswith("schluessel") for word in words)


def _is_key(text: str) -> bool:
    return bool(re.fullmatch(r"DG|[A-Z]{0,2}(?:\d{2,5}|\d{7,8})", text.strip()))


def _delimiter(source: Source) -> str:
    lines = [line for line in source.head_lines[:_HEADER_DEPTH] if line.strip()]
    counts = Counter({mark: sum(line.count(mark) for line in lines) for mark in (";", ",", "\t", "|")})
    # A semicolon is never part of a German number, a comma often is.
    return ";" if counts[";"] >= len(lines) else counts.most_common(1)[0][0]


# ---------------------------------------------------------------------------------------------------------------- table


def _table(source: Source, grids: list[_Grid], dataset_id: str, known: dict[str, str]) -> Proposal:  # noqa: PLR0915 - one decision after the other
    """A rectangular table (or one per sheet): each column is a key, a period, a breakdown, a number, or nothing of these."""
    from teilhabe.reading.cells.labels import normalise

    grid = grids[0]
    data = grid.data
    width = len(grid.headers)
    cells = {n: [row[n].strip() if n < len(row) else "" for row in data] for n in range(width)}
    roles: dict[str, int] = {}
    plain = [normalise(header) for header in grid.headers]
    roles["territory_code"] = grid.code
    decided = [f"territory key: column „{grid.headers[roles['territory_code']]}“"]
    open_points: list[str] = []
    names = [n for n in range(width) if n not in roles.values() and plain[n] in _NAME_WORDS and _is_text(cells[n])]
    if names:
        roles["territory_name"] = names[0]
    period, layout_period = _period_column(grid.headers, cells, roles)
    if period is not None:
        roles["period_code"] = period
        decided.append(f"period: column „{grid.headers[period]}“ as {layout_period}")
    left = [n for n in range(width) if n not in roles.values() and grid.headers[n]]
    values = [n for n in left if _is_number_column(cells[n])]
    texts = [n for n in left if n not in values and any(cells[n])]
    if not values:
        raise TeilhabeError(f"{source.file_name}: below the header no column holds numbers.")
    breakdowns, names_of, ignored = _breakdowns(cells, roles, texts)
    number_cells = [text for n in values for text in cells[n]]
    numbers = _number_format(number_cells, source, decided, open_points)
    symbols = _symbols(number_cells, decided, open_points)
    labels: dict[str, Any] = {}
    optional: list[str] = []
    measures: dict[str, str] = {}
    keys = [text for text in cells[roles["territory_code"]] if text]
    prefixes = sorted({match[0] for key in keys if key != "DG" and (match := re.match(r"[A-Z]+", key))})
    plainly = source.kind == "text" and grid.first == 1 and grid.top == 0 and len(values) == 1
    tidy = plainly and (bool(breakdowns) or bool(prefixes) or normalise(grid.headers[values[0]]) in _UNITS)
    if prefixes and not tidy:
        raise TeilhabeError(
            f"{source.file_name}: keys begin with {', '.join(prefixes)}; only a CSV of one number per row may do so."
        )
    constants: dict[str, str] = {}
    if tidy:
        stem = _stem(grid.headers[values[0]])[0]
        code, new = _measure("" if normalise(stem) in _UNITS else stem, dataset_id, known)
        constants["measure_code"] = code
        measures |= new
    else:
        for sheet in grids:
            sheet_labels = _value_labels(sheet, roles, texts, values, dataset_id, known, measures)
            labels |= {text: found for text, found in sheet_labels.items() if text not in labels}
            if len(grids) > 1:
                optional += [
                    text for text in sheet_labels if text not in optional and _is_missing_somewhere(text, grids)
                ]
    columns = {name: [grid.headers[n]] for name, n in roles.items()}
    group_columns = [] if "measure_code" in constants else ["measure_code"]
    label_columns = []
    terms = {name: grid.headers[n] for name, n in roles.items()}
    for n in breakdowns:
        entries = list(dict.fromkeys(text for each in grids for text in _column(each, n) if text))
        target, found = _entries(entries)
        if len(entries) > _FEW or any(len(entry) > 60 for entry in entries):
            columns["category"] = [grid.headers[n]]
            target = "category"
            decided.append(f"„{grid.headers[n]}“: a list of things, kept as delivered (category)")
        else:
            label_columns.append([grid.headers[n]])
            for text, coordinates in found.items():
                labels.setdefault(text, coordinates)
            decided.append(f"„{grid.headers[n]}“: breakdown {target} with {len(entries)} entries")
            open_points.append(f"Codes der Gliederung „{grid.headers[n]}“ prüfen / check the codes of the breakdown")
        group_columns.append(target)
        terms[target] = grid.headers[n]
    for n in names_of:
        columns["category_name"] = [grid.headers[n]]
        terms["category_name"] = grid.headers[n]
    used = {name for found in labels.values() for name in (found or {})}
    group_columns = [
        name
        for name in ("measure_code", "nationality", "sex", "age_band", "category")
        if name in {*group_columns, *used}
    ]
    group_columns += ["category_name"] if names_of else []
    layout: dict[str, Any] = {
        "name": f"{source.file_name.rpartition('.')[0][:60]}",
        "reader": "tidy_csv" if tidy else "table",
    }
    if tidy:
        columns["value"] = [grid.headers[values[0]]]
        layout["delimiter"] = _delimiter(source)
    else:
        layout["kinds"] = ["workbook" if source.is_workbook else "csv"]
        if not source.is_workbook:
            layout["delimiter"] = _delimiter(source)
    layout["numbers"] = numbers
    keys = [key.lstrip("".join(prefixes)) for key in keys if key != "DG"]
    levels = _levels(keys)
    if prefixes:
        layout["key_prefixes"] = prefixes
        decided.append(f"keys begin with {', '.join(prefixes)}")
    if any(len(key) in (4, 7) for key in keys):
        decided.append("territory keys have lost their leading zero; key_width puts it back")
    if not (tidy and len(levels) > 1):  # that reader pads every key, whatever its level
        layout["key_width"] = 8 if "municipality" in levels else 5
    if period is None:
        layout |= _period_elsewhere(source, grids, decided)
    else:
        layout["period"] = layout_period
    if len(grids) > 1:
        layout["sheets"] = "each"
        other = [name for name in source.sheets if name not in {each.sheet for each in grids}]
        if other:
            layout["ignore_sheets"] = other
        if not layout.get("sheet_period"):
            layout["sheet_labels"] = {str(each.sheet): {"category": _slug(str(each.sheet))} for each in grids}
            group_columns = [*group_columns, *([] if "category" in group_columns else ["category"])]
            open_points.append("Bedeutung der Tabellenblätter prüfen / check what the sheets stand for (sheet_labels)")
    layout["columns"] = columns
    if label_columns:
        layout["label_columns"] = label_columns
    if ignored:
        layout["ignore"] = [grid.headers[n] for n in ignored]
        decided.append("not loaded: " + ", ".join(f"„{grid.headers[n]}“" for n in ignored))
        open_points.append("Nicht geladene Spalten (ignore) prüfen / check the columns that are not loaded")
    layout["labels"] = labels
    if optional:
        layout["optional"] = optional
    decided.insert(0, f"reader {layout['reader']}, {len(values)} number columns, {len(data)} rows of data")
    fixture = (
        _fixture_workbook(grids, values, breakdowns, ignored)
        if source.is_workbook
        else _fixture_csv(source, grid, values, breakdowns, ignored)
    )
    return Proposal(
        layout, group_columns, terms, constants, symbols, levels, measures,
        "xlsx" if source.is_workbook else "csv", fixture, decided, open_points,
    )  # fmt: skip


def _column(grid: _Grid, n: int) -> list[str]:
    return [row[n].strip() if n < len(row) else "" for row in grid.data]


def _value_labels(
    grid: _Grid, roles: dict[str, int], texts: list[int], values: list[int], dataset_id: str, known: dict[str, str],
    measures: dict[str, str],
) -> dict[str, dict[str, str]]:  # fmt: skip
    """Header text -> coordinates of every number column; no two columns may mean the same."""
    columns = values if len(grid.headers) else []
    taken: set[tuple[tuple[str, str], ...]] = set()
    labels: dict[str, dict[str, str]] = {}
    others = {*roles.values(), *texts}
    positions = [
        n
        for n in range(len(grid.headers))
        if n not in others and grid.headers[n] and _is_number_column(_column(grid, n))
    ]
    for n in dict.fromkeys([*(c for c in columns if c < len(grid.headers)), *positions]):
        text = grid.headers[n]
        stem, groups = _stem(text)
        code, new = _measure(stem, dataset_id, known)
        coordinates = {"measure_code": code, **groups}
        if tuple(sorted(coordinates.items())) in taken:
            code, new = _measure(text, dataset_id, known)
            coordinates = {"measure_code": code}
        measures |= new
        taken.add(tuple(sorted(coordinates.items())))
        labels[text] = coordinates
    return labels


def _is_missing_somewhere(text: str, grids: list[_Grid]) -> bool:
    from teilhabe.reading.cells.labels import normalise

    return any(normalise(text) not in {normalise(header) for header in grid.headers} for grid in grids)


def _period_column(
    headers: Sequence[str], cells: dict[int, list[str]], roles: dict[str, int]
) -> tuple[int | None, str | None]:
    from teilhabe.reading.cells.periods import parse_period

    for n, texts in cells.items():
        distinct = {text for text in texts if text}
        if n in roles.values() or not distinct:
            continue
        school = "schul" in headers[n].casefold() or any("/" in text for text in distinct)
        templates = [t for t in _PERIOD_TEMPLATES if school or t != "{school_year}"]
        for template in templates:
            if all(parse_period(text, template) for text in distinct):
                return n, template
    return None, None


def _period_elsewhere(source: Source, grids: list[_Grid], decided: list[str]) -> dict[str, Any]:
    """The period above the table, in the sheets' names, or in the file's name."""
    from teilhabe.reading.cells.periods import find_periods, parse_period, periods_in_name

    sheets = [str(grid.sheet) for grid in grids]
    for template in _PERIOD_TEMPLATES:
        if len(grids) > 1 and all(parse_period(name, template) for name in sheets):
            decided.append(f"period: the sheets' names as {template}")
            return {"period": template, "sheet_period": True}
    above = " ; ".join(cell for grid in grids for row in grid.rows[: grid.first] for cell in row if cell)
    for template in _PERIOD_TEMPLATES:
        if any(find_periods(text, template) for text in above.split(" ; ")):
            decided.append(f"period: above the table as {template}")
            return {"period": template}
    for template in _PERIOD_TEMPLATES:
        if len(periods_in_name(source.file_name, template)) == 1:
            decided.append(f"period: in the file's name as {template}")
            return {"period": template, "period_in": "file_name"}
    raise TeilhabeError(
        f"{source.file_name}: no period was found, neither in a column nor above the table, in a sheet's name or in the "
        "file's name. Put the year into the file's name and try again."
    )


def _breakdowns(
    cells: dict[int, list[str]], roles: dict[str, int], texts: list[int]
) -> tuple[list[int], list[int], list[int]]:
    """Text columns that tell rows of one territory and period apart, those that name them, and the rest."""
    size = len(cells[roles["territory_code"]])

    def distinct(chosen: Iterable[int]) -> int:
        return len({tuple(cells[n][i] for n in chosen) for i in range(size)})

    chosen = [roles[name] for name in ("territory_code", "period_code") if name in roles]
    found: list[int] = []
    candidates = sorted(texts, key=lambda n: len(set(cells[n])))
    while distinct([*chosen, *found]) < size and candidates:
        best = max(candidates, key=lambda n: distinct([*chosen, *found, n]))
        if distinct([*chosen, *found, best]) == distinct([*chosen, *found]):
            break
        found.append(best)
        candidates.remove(best)
    found.sort()
    rest = [n for n in texts if n not in found]
    listed = [n for n in found if len(set(cells[n])) > _FEW or all(re.fullmatch(r"[-0-9*]+", t) for t in cells[n] if t)]
    named = [
        n
        for n in rest
        if listed and len({(cells[listed[0]][i], cells[n][i]) for i in range(size)}) == len(set(cells[listed[0]]))
    ]
    return found, named[:1], [n for n in rest if n not in named[:1]]


def _entries(entries: list[str]) -> tuple[str, dict[str, dict[str, str]]]:
    """The column a breakdown speaks about, and its entries with their codes."""
    known = [_group(entry) for entry in entries]
    names = {name for found in known if found for name in found}
    if len(names) == 1 and all(found is not None for found in known):
        return names.pop(), {entry: found or {} for entry, found in zip(entries, known, strict=True)}
    return "category", {
        entry: {} if found == {} else {"category": _slug(entry)} for entry, found in zip(entries, known, strict=True)
    }


def _group(text: str) -> dict[str, str] | None:
    """Coordinates of a text that is nothing but a group, else None."""
    from teilhabe.reading.cells.labels import clean, normalise

    if normalise(text) in _GROUPS:
        return _GROUPS[normalise(text)]
    for pattern, code in _AGES:
        if found := pattern.fullmatch(clean(text)):
            return {"age_band": code(found)}
    return None


def _stem(text: str) -> tuple[str, dict[str, str]]:
    """A header without the groups it names, and these: ``Einbürgerungen, weiblich`` -> Einbürgerungen, female."""
    words = [word for word in re.split(r"[\s,_:;/()]+", text) if word]
    groups: dict[str, str] = {}
    changed = True
    while changed and words:
        changed = False
        for size in (4, 3, 2, 1):
            for part, rest in ((words[-size:], words[:-size]), (words[:size], words[size:])):
                found = _group(" ".join(part)) if len(part) == size else None
                if found is not None:
                    groups |= found
                    words, changed = rest, True
                    break
            if changed:
                break
    while words and words[-1].casefold() in _UNITS:
        words.pop()
    return " ".join(words), groups


def _measure(stem: str, dataset_id: str, known: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The code of the catalogue whose German name this is, else a new one of this dataset."""
    from teilhabe.reading.cells.labels import normalise

    if stem and normalise(stem) in known:
        return known[normalise(stem)], {}
    code = _slug(stem) or dataset_id.partition("__")[2]
    if code in known.values():
        code = f"{dataset_id.partition('__')[2]}_{code}"
    return code, {code: stem or dataset_id.partition("__")[2].replace("_", " ")}


def _slug(text: str) -> str:
    text = text.casefold()
    for umlaut, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("+", " plus ")):
        text = text.replace(umlaut, plain)
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:60].rstrip("_")
    return f"n_{slug}" if slug[:1].isdigit() else slug


def _is_text(cells: list[str]) -> bool:
    return any(cells) and not any(_is_number(cell) for cell in cells)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d[\d.,  ]*", text))


def _is_number_column(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell]
    signs = [cell for cell in filled if not _is_number(cell)]
    return (
        bool(filled)
        and len(signs) <= len(filled) / 2
        and all(len(sign) <= 7 for sign in signs)
        and len(signs) < len(filled)
    )


def _number_format(cells: Iterable[str], source: Source, decided: list[str], open_points: list[str]) -> str:
    """How numbers are written; a lone group of three digits can be read both ways, so it is said."""
    texts = {text for text in cells if _is_number(text) and re.search(r"[.,]", text)}
    if source.is_workbook:
        return "german"
    german = [
        t
        for t in texts
        if (re.search(r",\d+$", t) and not re.search(r",\d{3}$", t)) or re.search(r"\.\d{3},|\.\d{3}\.", t)
    ]
    english = [
        t
        for t in texts
        if (re.search(r"\.\d+$", t) and not re.search(r"\.\d{3}$", t)) or re.search(r",\d{3}\.|,\d{3},", t)
    ]
    if german and english:
        raise TeilhabeError(f"{source.file_name}: numbers are written in two ways (decimal comma and decimal point).")
    if english:
        result = "english" if any("," in text for text in texts) else "international"
    else:
        result = "german"
        if texts and not german:
            open_points.append(
                "Zahlenformat prüfen: 1.234 wurde als eintausendzweihundertvierunddreißig gelesen / check the number format"
            )
    decided.append(f"numbers: {result}")
    return result


def _symbols(cells: Iterable[str], decided: list[str], open_points: list[str]) -> dict[str, Any]:
    """The regime the signs belong to; what is in none of them is read as missing until somebody says what it means."""
    found = {text for text in cells if not _is_number(text)}
    signs = found - {"", "-", "\u2013"}
    if signs & {".", "/", "...", "\u2026"}:
        regime, own = "genesis", {".", "/", "x", "X", "...", "\u2026"}
    elif signs & {"k", "g", "u", "t"}:
        regime, own = "lsn_new", {"k", "g", "u", "x", "t"}
    else:
        regime, own = "ba", {"*", "x", "X"}
    rules: dict[str, Any] = {"regime": regime}
    also = dict.fromkeys(sorted(signs - own), "missing")
    if "" in found:
        also[""] = "missing"
        open_points.append(
            "Leere Zellen: fehlt der Wert, oder ist es 0? / empty cells: missing, or zero (symbols.also)"
        )
    for sign in sorted(signs - own):
        open_points.append(f"Bedeutung des Zeichens „{sign}“ klären / find out what the sign means (symbols.also)")
    if found & {"-", "\u2013"}:
        rules["dash"] = "zero"
        open_points.append("„-“ als genau null gelesen / a dash is read as zero (symbols.dash)")
    if also:
        rules["also"] = also
    decided.append(f"signs: regime {regime}" + (f", {', '.join(sorted(signs))}" if signs else ""))
    return rules


def _levels(keys: Iterable[str]) -> list[str]:
    lengths = {len(key) for key in keys}
    levels = [("state", {2}), ("county", {4, 5}), ("municipality", {7, 8})]
    return [level for level, wanted in levels if wanted & lengths] or ["municipality"]


# ------------------------------------------------------------------------------------------------------- form, GENESIS


def _form(source: Source, dataset_id: str, known: dict[str, str]) -> Proposal | None:  # noqa: PLR0915 - one decision after the other
    """A block of labels and values with a key in it, and perhaps one small table below."""
    from teilhabe.reading.cells.labels import normalise
    from teilhabe.reading.cells.periods import parse_period
    from teilhabe.reading.files.source import cell_text

    for name, cells in source.sheets.items():
        rows = [[cell_text(cell).strip() for cell in row] for row in cells]
        pairs: dict[str, str] = {}
        heads: list[str] = []
        lines: list[str] = []
        for row in rows:
            filled = [cell for cell in row if cell]
            if len(filled) == 2 and not heads:
                pairs.setdefault(filled[0], filled[1])
            elif len(filled) > 2 and not any(map(_is_number, filled)) and not heads:
                heads = filled
            elif heads and len(filled) > 1 and not _is_number(filled[0]):
                lines.append(filled[0])
        key = next((text for text, value in pairs.items() if _is_code_header(text) and _is_key(value)), None)
        if key is None:
            continue
        fields = {"territory_code": [key]}
        template = "{year}"
        for text, value in pairs.items():
            if normalise(text) in _NAME_WORDS and not _is_number(value):
                fields["territory_name"] = [text]
        for text, value in pairs.items():
            fitting = next((t for t in _PERIOD_TEMPLATES if parse_period(value, t)), None)
            if (
                [text] not in fields.values()
                and fitting
                and not re.fullmatch(r"\d{1,3}", value)
                and (fitting != "{year}" or "jahr" in text.casefold())
            ):
                fields["period_code"], template = [text], fitting
                break
        if "period_code" not in fields:
            raise TeilhabeError(f"{source.file_name}: the form on sheet „{name}“ names no period beside a label.")
        measures: dict[str, str] = {}
        labels: dict[str, Any] = {}
        taken: set[tuple[tuple[str, str], ...]] = set()
        for text in [*(t for t in pairs if [t] not in fields.values()), *heads[1:]]:
            stem, groups = _stem(text)
            code, new = _measure(stem, dataset_id, known)
            coordinates = {"measure_code": code, **groups}
            if tuple(sorted(coordinates.items())) in taken:
                code, new = _measure(text, dataset_id, known)
                coordinates = {"measure_code": code}
            taken.add(tuple(sorted(coordinates.items())))
            measures |= new
            labels[text] = coordinates
        target = "category"
        if lines:
            target, found = _entries(lines)
            labels |= {text: coordinates or {target: "total"} for text, coordinates in found.items()}
        used = {column for coordinates in labels.values() for column in coordinates}
        layout: dict[str, Any] = {
            "name": source.file_name.rpartition(".")[0][:60], "reader": "form", "sheet": name, "period": template,
            "key_width": 8, "fields": fields,
        }  # fmt: skip
        if heads:
            layout |= {"table": [heads[0]], "table_columns": heads[1:]}
        layout["labels"] = labels
        signs = [value for text, value in pairs.items() if [text] not in fields.values()]
        decided = [
            f"reader form, sheet „{name}“, {len(labels)} labels",
            f"period: „{fields['period_code'][0]}“ as {template}",
        ]
        open_points = ["Formular: je Gemeinde eine Datei; Absender (senders) ergänzen / add the senders"]
        symbols = _symbols([s for s in signs if s], decided, open_points)
        delivered = [
            column for column in ("measure_code", "nationality", "sex", "age_band", "category") if column in used
        ]
        terms = {column: texts[0] for column, texts in fields.items()} | ({target: heads[0]} if heads else {})
        levels = _levels([pairs[key]])
        return Proposal(
            layout, delivered, terms, {}, symbols, levels, measures, "xlsx", _fixture_form(source), decided, open_points
        )
    return None


def _genesis(source: Source, dataset_id: str, known: dict[str, str]) -> Proposal:  # noqa: PLR0915 - one decision after the other
    """A wide GENESIS table: leading key columns, then numbers below one header row per breakdown."""
    from teilhabe.codes.territory import is_genesis_key
    from teilhabe.reading.cells.periods import parse_period

    lines = source.lines
    end = next((i for i, line in enumerate(lines) if line.startswith("_____")), len(lines))
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines[:end], delimiter=";")]
    number = rows[0][0].removeprefix("GENESIS-Tabelle:").strip()
    data_at = next(
        (i for i, r in enumerate(rows) if len(r) > 2 and any(is_genesis_key(c) for c in r[:3]) and any(r[2:])), None
    )
    if data_at is None:
        raise TeilhabeError(f"{source.file_name}: the GENESIS table {number} has no row with a territory key.")
    data = [row for row in rows[data_at:] if len(row) == len(rows[data_at])]
    keys: list[str] = []
    labels: dict[str, Any] = {}
    open_points = ["Bedeutung der Überschriften prüfen / check what the headers mean (labels)"]
    template = "{date}"
    for n in range(len(data[0])):
        column = [row[n] for row in data]
        if "territory_code" not in keys and all(is_genesis_key(c) for c in column):
            keys.append("territory_code")
        elif "territory_code" in keys and "territory_name" not in keys:
            keys.append("territory_name")
        elif (
            any(parse_period(c, "{date}") or parse_period(c, "{year}") for c in column[:1])
            and "period_code" not in keys
            and n < 2
        ):
            keys.append("period_code")
            template = "{date}" if parse_period(column[0], "{date}") else "{year}"
        elif not _is_number_column(column) and not all(c in {"-", ".", "/", "x", "..."} for c in column):
            keys.append("label")
            _, found = _entries(list(dict.fromkeys(column)))
            labels |= found
        else:
            break
    header = [row for row in rows[1:data_at] if any(cell for cell in row[len(keys) :])]
    titles = [row[0] for row in rows[1:data_at] if row not in header and row and row[0]]
    measures: dict[str, str] = {}
    constants: dict[str, str] = {}
    period_texts = {
        cell
        for row in header
        for cell in row[len(keys) :]
        if cell and (parse_period(cell, "{date}") or parse_period(cell, "{year}"))
    }
    if "period_code" not in keys:
        known_texts = [*period_texts, *titles]
        template = "{date}" if any(parse_period(t, "{date}") for t in known_texts) else "{year}"
    level = 0
    for row in header:
        texts = list(dict.fromkeys(cell for cell in row[len(keys) :] if cell and cell not in period_texts))
        unknown = [text for text in texts if _group(text) is None and text.casefold() not in _UNITS]
        for text in texts:
            if text in unknown:
                if level == 0:
                    code, new = _measure(text, dataset_id, known)
                    measures |= new
                    labels[text] = {"measure_code": code}
                else:
                    labels[text] = {"category": _slug(text)}
            elif text.casefold() not in _UNITS:
                labels[text] = dict(_group(text) or {})
        level += bool(unknown)
    used = {column for found in labels.values() for column in found}
    if "measure_code" not in used:
        code, new = _measure("", dataset_id, known)
        constants["measure_code"] = code
        measures |= new
    cells = [cell for row in data for cell in row[len(keys) :]]
    decided = [f"reader genesis_csv, table {number}, keys {', '.join(keys)}", f"period as {template}"]
    symbols = _symbols(cells, decided, open_points)
    symbols["regime"] = "genesis"
    periods = len(period_texts) or 1
    layout = {
        "name": f"GENESIS-Tabelle {number}", "reader": "genesis_csv", "table": number, "keys": keys, "period": template,
        "value_columns": (len(data[0]) - len(keys)) // periods, "labels": labels,
    }  # fmt: skip
    groups = [column for column in ("measure_code", "nationality", "sex", "age_band", "category") if column in used]
    codes = [row[keys.index("territory_code")] for row in data]
    return Proposal(layout, groups, {}, constants, symbols, _levels(codes), measures, "csv",
                    _fixture_genesis(rows, data_at, keys, lines[end:]), decided, open_points)  # fmt: skip


def _ffcsv(source: Source, dataset_id: str, known: dict[str, str]) -> Proposal:
    """A flat GENESIS file: its codes are the labels."""
    from teilhabe.reading.cells.periods import parse_period

    rows = list(csv.DictReader(source.lines, delimiter=";"))
    if not rows:
        raise TeilhabeError(f"{source.file_name}: the flat file has no row of data.")
    names = [match[1] for name in rows[0] if (match := re.fullmatch(r"(\d+)_variable_code", name))]
    labels: dict[str, Any] = {}
    variables: list[str] = []
    keys: set[str] = set()
    for number in names:
        codes = {
            row[f"{number}_variable_attribute_code"]: row.get(f"{number}_variable_attribute_label", "") for row in rows
        }
        filled = [code for code in codes if code]
        if filled and all(_is_key(code) for code in filled):
            keys |= set(filled)
            continue
        if rows[0].get("time_code") == rows[0][f"{number}_variable_code"]:
            continue
        variables.append(rows[0][f"{number}_variable_code"])
        _, found = _entries([label or "Insgesamt" for label in codes.values()])
        for (code, _), coordinates in zip(codes.items(), found.values(), strict=False):
            if code:
                labels[code] = coordinates
    counted = {row["value_variable_code"]: row.get("value_variable_label", "") for row in rows}
    measures: dict[str, str] = {}
    constants: dict[str, str] = {}
    for code, label in counted.items():
        measure, new = _measure(label, dataset_id, known)
        measures |= new
        labels[code] = {"measure_code": measure} if len(counted) > 1 else {}
        if len(counted) == 1:
            constants["measure_code"] = measure
    template = "{date}" if parse_period(rows[0]["time"], "{date}") else "{year}"
    decided = [f"reader ffcsv, statistics {rows[0]['statistics_code']}, variables {', '.join(variables) or 'none'}"]
    open_points = ["Codes der Merkmale prüfen / check the codes of the variables (labels)"]
    symbols = _symbols([row["value"] for row in rows], decided, open_points)
    used = {column for found in labels.values() for column in found}
    layout = {
        "name": f"GENESIS flach {rows[0]['statistics_code']}", "reader": "ffcsv", "statistics": rows[0]["statistics_code"],
        "period": template, "variables": variables, "labels": labels,
    }  # fmt: skip
    groups = [column for column in ("measure_code", "nationality", "sex", "age_band", "category") if column in used]
    head, *body = source.lines
    fixture = "\n".join([head, *body[:_FIXTURE_ROWS]]) + "\n"
    at = head.split(";").index("value")
    shown = [line.split(";") for line in fixture.rstrip("\n").split("\n")]
    for number, cells in enumerate(shown[1:], 1):
        cells[at] = str(10 + 3 * number)
    text = "\n".join(";".join(cells) for cells in shown) + "\n"
    return Proposal(
        layout, groups, {}, constants, symbols, _levels(keys), measures, "csv", text.encode(), decided, open_points
    )


# ------------------------------------------------------------------------------------------------------------- fixtures


def _invented(text: str, place: int) -> str:
    """Another number where one stood; signs stay."""
    return str(10 + 7 * place % 83) if _is_number(text) else text


def _some(rows: list[list[str]], entries: Iterable[int]) -> list[list[str]]:
    """A few rows in which every entry of the breakdowns occurs."""
    columns = list(entries)
    seen: set[tuple[int, str]] = set()
    chosen: list[list[str]] = []
    for row in rows:
        new = {(n, row[n]) for n in columns if n < len(row)} - seen
        if new or len(chosen) < _FIXTURE_ROWS:
            chosen.append(row)
            seen |= new
    return chosen


def _fixture_csv(
    source: Source, grid: _Grid, values: Sequence[int], breakdowns: Sequence[int], ignored: Sequence[int]
) -> bytes:
    """The same header and a few rows; every number is another one, and remarks are left out."""
    target = io.StringIO()
    writer = csv.writer(target, delimiter=_delimiter(source), lineterminator="\n")
    writer.writerows(grid.rows[: grid.first])
    for index, row in enumerate(_some(grid.data, breakdowns)):
        shown = ["" if n in ignored else cell for n, cell in enumerate(row)]
        writer.writerow([_invented(cell, index + n) if n in values else cell for n, cell in enumerate(shown)])
    return target.getvalue().encode("utf-8")


def _fixture_workbook(
    grids: list[_Grid], values: Sequence[int], breakdowns: Sequence[int], ignored: Sequence[int]
) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for grid in grids:
        sheet = book.create_sheet(str(grid.sheet))
        for row in grid.rows[: grid.first]:
            sheet.append([cell or None for cell in row])
        for (top, left), (bottom, right) in grid.merges:
            if bottom < grid.first:
                sheet.merge_cells(start_row=top + 1, start_column=left + 1, end_row=bottom + 1, end_column=right + 1)
        for index, row in enumerate(_some(grid.data, breakdowns)):
            numbers = {n for n in range(len(row)) if n in values or n > max(values)}
            sheet.append([
                None if n in ignored else int(_invented(cell, index + n)) if n in numbers and _is_number(cell) else cell or None
                for n, cell in enumerate(row)
            ])  # fmt: skip
    return _saved(book)


def _fixture_form(source: Source) -> bytes:
    from openpyxl import Workbook

    from teilhabe.reading.files.source import cell_text

    book = Workbook()
    book.remove(book.active)
    for name, cells in source.sheets.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(cells):
            texts = [cell_text(cell).strip() for cell in row]
            fixed = any(_is_code_header(text) for text in texts)
            sheet.append([
                int(_invented(text, number + n)) if isinstance(cell, int | float) and not fixed else text or None
                for n, (cell, text) in enumerate(zip(row, texts, strict=True))
            ])  # fmt: skip
    return _saved(book)


def _fixture_genesis(rows: list[list[str]], data_at: int, keys: list[str], footer: list[str]) -> bytes:
    target = io.StringIO()
    writer = csv.writer(target, delimiter=";", lineterminator="\n")
    writer.writerows(rows[:data_at])
    labels = [n for n, name in enumerate(keys) if name == "label"]
    for index, row in enumerate(_some(rows[data_at:], labels)):
        writer.writerow([*row[: len(keys)], *(_invented(cell, index + n) for n, cell in enumerate(row[len(keys) :]))])
    return (target.getvalue() + "\n".join(footer)).encode("utf-8")


def _saved(book: Any) -> bytes:
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _catalogue(settings: Settings) -> dict[str, str]:
    """Normalised German name -> measure code."""
    from teilhabe.reading.cells.labels import normalise

    with (settings.dbt_project / "seeds" / "measures.csv").open(encoding="utf-8", newline="") as lines:
        return {normalise(row["name_de"]): row["measure_code"] for row in csv.DictReader(lines)}
