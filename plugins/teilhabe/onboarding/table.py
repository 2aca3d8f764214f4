"""A proposal for a table: which columns are keys, periods, groups and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from teilhabe.errors import TeilhabeError
from teilhabe.onboarding.fixtures import HEADER_DEPTH, HeadedGrid, delimiter_of, fixture_csv, fixture_workbook
from teilhabe.onboarding.words import (
    FEW,
    MOSTLY,
    NAME_WORDS,
    PERIOD_TEMPLATES,
    UNITS,
    Proposal,
    as_slug,
    entries_of,
    is_code_header,
    is_key,
    is_number_column,
    is_text,
    levels_of,
    measure_of,
    number_format,
    stem_of,
    symbols_of,
)

if TYPE_CHECKING:
    from teilhabe.reading.files.grid import Grid
    from teilhabe.reading.files.source import Source

_HEADER_ROWS, _ROWS_ABOVE = 6, 3


def grids_of(source: Source) -> list[HeadedGrid]:
    """The tables of a file: one per sheet, found by their column of keys."""
    from teilhabe.reading.files.grid import csv_grid, sheet_grid

    sheets = (
        [sheet_grid(source, name, "german") for name in source.sheets]
        if source.is_workbook
        else [csv_grid(source, delimiter_of(source))]
    )
    return [found for sheet in sheets if (found := _grid(sheet))]


def _grid(sheet: Grid) -> HeadedGrid | None:
    """Header and data rows around the column whose cells are keys; merged cells are expanded as the reader does."""
    from teilhabe.reading.files.grid import is_numbering, joined_header

    rows = [[cell.strip() for cell in row] for row in sheet.rows]
    for index, row in enumerate(rows[:HEADER_DEPTH]):
        for at in (n for n, cell in enumerate(row) if is_code_header(cell)):
            first = next((i for i in range(index + 1, len(rows)) if at < len(rows[i]) and is_key(rows[i][at])), None)
            if first is None or first - index > _HEADER_ROWS:
                continue
            keys = [r[at] for r in rows[first:] if at < len(r) and r[at]]
            if sum(map(is_key, keys)) < MOSTLY * len(keys):
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
            return HeadedGrid(sheet.sheet, rows, top, first, at, [" ".join(parts) for parts in texts], sheet.merges)
    return None


def propose_table(source: Source, grids: list[HeadedGrid], dataset_id: str, known: dict[str, str]) -> Proposal:  # noqa: PLR0915 - one decision after the other
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
    names = [n for n in range(width) if n not in roles.values() and plain[n] in NAME_WORDS and is_text(cells[n])]
    if names:
        roles["territory_name"] = names[0]
    period, layout_period = _period_column(grid.headers, cells, roles)
    if period is not None:
        roles["period_code"] = period
        decided.append(f"period: column „{grid.headers[period]}“ as {layout_period}")
    left = [n for n in range(width) if n not in roles.values() and grid.headers[n]]
    values = [n for n in left if is_number_column(cells[n])]
    texts = [n for n in left if n not in values and any(cells[n])]
    if not values:
        raise TeilhabeError(f"{source.file_name}: below the header no column holds numbers.")
    breakdowns, names_of, ignored = _breakdowns(cells, roles, texts)
    number_cells = [text for n in values for text in cells[n]]
    numbers = number_format(number_cells, source, decided, open_points)
    symbols = symbols_of(number_cells, decided, open_points)
    labels: dict[str, Any] = {}
    optional: list[str] = []
    measures: dict[str, str] = {}
    keys = [text for text in cells[roles["territory_code"]] if text]
    prefixes = sorted({match[0] for key in keys if key != "DG" and (match := re.match(r"[A-Z]+", key))})
    plainly = source.kind == "text" and grid.first == 1 and grid.top == 0 and len(values) == 1
    tidy = plainly and (bool(breakdowns) or bool(prefixes) or normalise(grid.headers[values[0]]) in UNITS)
    if prefixes and not tidy:
        raise TeilhabeError(
            f"{source.file_name}: keys begin with {', '.join(prefixes)}; only a CSV of one number per row may do so."
        )
    constants: dict[str, str] = {}
    if tidy:
        stem = stem_of(grid.headers[values[0]])[0]
        code, new = measure_of("" if normalise(stem) in UNITS else stem, dataset_id, known)
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
        target, found = entries_of(entries)
        if len(entries) > FEW or any(len(entry) > 60 for entry in entries):
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
        layout["delimiter"] = delimiter_of(source)
    else:
        layout["kinds"] = ["workbook" if source.is_workbook else "csv"]
        if not source.is_workbook:
            layout["delimiter"] = delimiter_of(source)
    layout["numbers"] = numbers
    keys = [key.lstrip("".join(prefixes)) for key in keys if key != "DG"]
    levels = levels_of(keys)
    layout |= _key_shape(keys, prefixes, levels, decided, has_other_levels=tidy and len(levels) > 1)
    if period is None:
        layout |= _period_elsewhere(source, grids, decided)
    else:
        layout["period"] = layout_period
    if len(grids) > 1:
        layout |= _sheets(source, grids, group_columns, open_points, are_periods=bool(layout.get("sheet_period")))
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
        fixture_workbook(grids, values, breakdowns, ignored)
        if source.is_workbook
        else fixture_csv(source, grid, values, breakdowns, ignored)
    )
    return Proposal(
        layout, group_columns, terms, constants, symbols, levels, measures,
        "xlsx" if source.is_workbook else "csv", fixture, decided, open_points,
    )  # fmt: skip


def _sheets(
    source: Source, grids: list[HeadedGrid], group_columns: list[str], open_points: list[str], *, are_periods: bool
) -> dict[str, Any]:
    """What the layout says of several sheets alike; where they are no periods they tell things apart."""
    said: dict[str, Any] = {"sheets": "each"}
    other = [name for name in source.sheets if name not in {each.sheet for each in grids}]
    if other:
        said["ignore_sheets"] = other
    if not are_periods:
        said["sheet_labels"] = {str(each.sheet): {"category": as_slug(str(each.sheet))} for each in grids}
        if "category" not in group_columns:
            group_columns.append("category")
        open_points.append("Bedeutung der Tabellenblätter prüfen / check what the sheets stand for (sheet_labels)")
    return said


def _key_shape(
    keys: list[str], prefixes: list[str], levels: Sequence[str], decided: list[str], *, has_other_levels: bool
) -> dict[str, Any]:
    """Letters before the keys, and zeros they have lost. ``has_other_levels``: the reader pads keys of each level itself."""
    said: dict[str, Any] = {}
    if prefixes:
        said["key_prefixes"] = prefixes
        decided.append(f"keys begin with {', '.join(prefixes)}")
    if any(len(key) in (4, 7) for key in keys):
        decided.append("territory keys have lost their leading zero; key_width puts it back")
    if not has_other_levels:
        said["key_width"] = 8 if "municipality" in levels else 5
    return said


def _column(grid: HeadedGrid, n: int) -> list[str]:
    return [row[n].strip() if n < len(row) else "" for row in grid.data]


def _value_labels(
    grid: HeadedGrid, roles: dict[str, int], texts: list[int], values: list[int], dataset_id: str, known: dict[str, str],
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
        if n not in others and grid.headers[n] and is_number_column(_column(grid, n))
    ]
    for n in dict.fromkeys([*(c for c in columns if c < len(grid.headers)), *positions]):
        text = grid.headers[n]
        stem, groups = stem_of(text)
        code, new = measure_of(stem, dataset_id, known)
        coordinates = {"measure_code": code, **groups}
        if tuple(sorted(coordinates.items())) in taken:
            code, new = measure_of(text, dataset_id, known)
            coordinates = {"measure_code": code}
        measures |= new
        taken.add(tuple(sorted(coordinates.items())))
        labels[text] = coordinates
    return labels


def _is_missing_somewhere(text: str, grids: list[HeadedGrid]) -> bool:
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
        templates = [t for t in PERIOD_TEMPLATES if school or t != "{school_year}"]
        for template in templates:
            if all(parse_period(text, template) for text in distinct):
                return n, template
    return None, None


def _period_elsewhere(source: Source, grids: list[HeadedGrid], decided: list[str]) -> dict[str, Any]:
    """The period above the table, in the sheets' names, or in the file's name."""
    from teilhabe.reading.cells.periods import find_periods, parse_period, periods_in_name

    sheets = [str(grid.sheet) for grid in grids]
    for template in PERIOD_TEMPLATES:
        if len(grids) > 1 and all(parse_period(name, template) for name in sheets):
            decided.append(f"period: the sheets' names as {template}")
            return {"period": template, "sheet_period": True}
    above = " ; ".join(cell for grid in grids for row in grid.rows[: grid.first] for cell in row if cell)
    for template in PERIOD_TEMPLATES:
        if any(find_periods(text, template) for text in above.split(" ; ")):
            decided.append(f"period: above the table as {template}")
            return {"period": template}
    for template in PERIOD_TEMPLATES:
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
    listed = [n for n in found if len(set(cells[n])) > FEW or all(re.fullmatch(r"[-0-9*]+", t) for t in cells[n] if t)]
    named = [
        n
        for n in rest
        if listed and len({(cells[listed[0]][i], cells[n][i]) for i in range(size)}) == len(set(cells[listed[0]]))
    ]
    return found, named[:1], [n for n in rest if n not in named[:1]]
