"""Proposals for tables of GENESIS databases."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

from teilhabe.errors import TeilhabeError
from teilhabe.onboarding.fixtures import FIXTURE_ROWS, fixture_genesis
from teilhabe.onboarding.words import (
    UNITS,
    Proposal,
    as_slug,
    entries_of,
    group_of,
    is_key,
    is_number_column,
    levels_of,
    measure_of,
    symbols_of,
)

if TYPE_CHECKING:
    from teilhabe.reading.files.source import Source


def propose_genesis(source: Source, dataset_id: str, known: dict[str, str]) -> Proposal:  # noqa: PLR0915 - one decision after the other
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
        elif not is_number_column(column) and not all(c in {"-", ".", "/", "x", "..."} for c in column):
            keys.append("label")
            _, found = entries_of(list(dict.fromkeys(column)))
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
        unknown = [text for text in texts if group_of(text) is None and text.casefold() not in UNITS]
        for text in texts:
            if text in unknown:
                if level == 0:
                    code, new = measure_of(text, dataset_id, known)
                    measures |= new
                    labels[text] = {"measure_code": code}
                else:
                    labels[text] = {"category": as_slug(text)}
            elif text.casefold() not in UNITS:
                labels[text] = dict(group_of(text) or {})
        level += bool(unknown)
    used = {column for found in labels.values() for column in found}
    if "measure_code" not in used:
        code, new = measure_of("", dataset_id, known)
        constants["measure_code"] = code
        measures |= new
    cells = [cell for row in data for cell in row[len(keys) :]]
    decided = [f"reader genesis_csv, table {number}, keys {', '.join(keys)}", f"period as {template}"]
    symbols = symbols_of(cells, decided, open_points)
    symbols["regime"] = "genesis"
    periods = len(period_texts) or 1
    layout = {
        "name": f"GENESIS-Tabelle {number}", "reader": "genesis_csv", "table": number, "keys": keys, "period": template,
        "value_columns": (len(data[0]) - len(keys)) // periods, "labels": labels,
    }  # fmt: skip
    groups = [column for column in ("measure_code", "nationality", "sex", "age_band", "category") if column in used]
    codes = [row[keys.index("territory_code")] for row in data]
    return Proposal(layout, groups, {}, constants, symbols, levels_of(codes), measures, "csv",
                    fixture_genesis(rows, data_at, keys, lines[end:]), decided, open_points)  # fmt: skip


def propose_ffcsv(source: Source, dataset_id: str, known: dict[str, str]) -> Proposal:
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
        if filled and all(is_key(code) for code in filled):
            keys |= set(filled)
            continue
        if rows[0].get("time_code") == rows[0][f"{number}_variable_code"]:
            continue
        variables.append(rows[0][f"{number}_variable_code"])
        _, found = entries_of([label or "Insgesamt" for label in codes.values()])
        for (code, _), coordinates in zip(codes.items(), found.values(), strict=False):
            if code:
                labels[code] = coordinates
    counted = {row["value_variable_code"]: row.get("value_variable_label", "") for row in rows}
    measures: dict[str, str] = {}
    constants: dict[str, str] = {}
    for code, label in counted.items():
        measure, new = measure_of(label, dataset_id, known)
        measures |= new
        labels[code] = {"measure_code": measure} if len(counted) > 1 else {}
        if len(counted) == 1:
            constants["measure_code"] = measure
    template = "{date}" if parse_period(rows[0]["time"], "{date}") else "{year}"
    decided = [f"reader ffcsv, statistics {rows[0]['statistics_code']}, variables {', '.join(variables) or 'none'}"]
    open_points = ["Codes der Merkmale prüfen / check the codes of the variables (labels)"]
    symbols = symbols_of([row["value"] for row in rows], decided, open_points)
    used = {column for found in labels.values() for column in found}
    layout = {
        "name": f"GENESIS flach {rows[0]['statistics_code']}", "reader": "ffcsv", "statistics": rows[0]["statistics_code"],
        "period": template, "variables": variables, "labels": labels,
    }  # fmt: skip
    groups = [column for column in ("measure_code", "nationality", "sex", "age_band", "category") if column in used]
    head, *body = source.lines
    fixture = "\n".join([head, *body[:FIXTURE_ROWS]]) + "\n"
    at = head.split(";").index("value")
    shown = [line.split(";") for line in fixture.rstrip("\n").split("\n")]
    for number, cells in enumerate(shown[1:], 1):
        cells[at] = str(10 + 3 * number)
    text = "\n".join(";".join(cells) for cells in shown) + "\n"
    return Proposal(
        layout, groups, {}, constants, symbols, levels_of(keys), measures, "csv", text.encode(), decided, open_points
    )
