"""Where the header of a rectangular table stands: the row with the texts of its key columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from teilhabe.contract.layouts import Table
from teilhabe.reading.cells.labels import instead, normalise
from teilhabe.reading.files.source import Source, cell_text
from teilhabe.reading.files.text import wrong_delimiter

DEPTH = 30
"""Rows in which a header is looked for."""
_KEY_ROWS = 3
"""The texts of the key columns may stand in up to three rows, one above the other."""
_ALMOST = 0.5
"""Share of the agreed texts that make a row a header in which one was reworded."""


@dataclass(frozen=True)
class Found:
    row: int
    depth: int
    keys: dict[str, int]
    labels: list[int]
    """Positions of the columns whose cells are labels."""


def find(layout: Table, rows: Sequence[Sequence[str]]) -> Found | None:
    """The row of the key columns' texts, how many rows they take, and where each of them stands."""
    columns = {name: {normalise(alias) for alias in aliases} for name, aliases in layout.columns.items()}
    required = {name for name, aliases in layout.columns.items() if any(a not in layout.validity for a in aliases)}
    labels = [{normalise(alias) for alias in aliases} for aliases in layout.label_columns]
    known = set().union(*columns.values(), *labels)
    for index in range(min(DEPTH, len(rows))):
        if not any(normalise(cell) in known for cell in rows[index] if cell):
            continue
        for depth in range(1, _KEY_ROWS + 1):
            texts = _texts_by_column(rows[index : index + depth])
            found = {name: _position(texts, aliases) for name, aliases in columns.items()}
            at = [_position(texts, aliases) for aliases in labels]
            if all(found[name] is not None for name in required) and None not in at:
                keys = {name: position for name, position in found.items() if position is not None}
                return Found(index, depth, keys, [position for position in at if position is not None])
    return None


def refuses_text(layout: Table, source: Source) -> str | None:
    """What is wrong with the header of a text, as part of a sentence; None where it is there."""
    lines = source.head_lines[: DEPTH + _KEY_ROWS]
    rows = [_split(line, layout.delimiter) for line in lines]
    if find(layout, rows) is not None:
        return None
    for delimiter in ";,\t|":
        if delimiter != layout.delimiter and find(layout, [_split(line, delimiter) for line in lines]) is not None:
            return wrong_delimiter(delimiter, layout.delimiter)
    return _reworded(layout, [rows]) or "keine Zeile mit den vereinbarten Spaltenüberschriften"


def refuses_sheets(layout: Table, source: Source) -> str | None:
    """What is wrong with the headers of a workbook, as part of a sentence; None where a sheet has the agreed one."""
    heads = [
        [[cell_text(cell) for cell in row] for row in rows[: DEPTH + _KEY_ROWS]] for rows in source.sheets.values()
    ]
    if any(find(layout, head) is not None for head in heads):
        return None
    return _reworded(layout, heads) or "kein Tabellenblatt mit den vereinbarten Spaltenüberschriften"


def _reworded(layout: Table, tables: Iterable[Sequence[Sequence[str]]]) -> str | None:
    """A header in which a key column is missing, and which text may stand in its place."""
    needed = [*layout.columns.values(), *layout.label_columns]
    agreed = {normalise(text) for text in (*layout.texts(), *layout.ignore)}
    best: tuple[float, str] = (_ALMOST, "")
    for rows in tables:
        for row in rows[:DEPTH]:
            texts = {normalise(cell): cell.strip() for cell in row if cell.strip()}
            missing = [aliases[0] for aliases in needed if not any(normalise(alias) in texts for alias in aliases)]
            share = len(agreed & texts.keys()) / len(texts) if len(texts) > 1 else 0.0
            if missing and len(missing) < len(needed) and share >= best[0]:
                unknown = [text for key, text in texts.items() if key and key not in agreed]
                best = share, f"eine Tabelle ohne die Spalte „{missing[0]}“{instead(missing[0], unknown)}"
    return best[1] or None


def _split(line: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.rstrip("\r").split(delimiter)]


def _texts_by_column(rows: Sequence[Sequence[str]]) -> list[set[str]]:
    width = max((len(row) for row in rows), default=0)
    columns = []
    for position in range(width):
        cells = [row[position] for row in rows if position < len(row) and row[position].strip()]
        columns.append({normalise(cell) for cell in cells} | {normalise(" ".join(cells))})
    return columns


def _position(texts: list[set[str]], aliases: set[str]) -> int | None:
    return next((position for position, found in enumerate(texts) if found & aliases), None)
