"""Fills in the Excel forms that are drawn from contracts, as somebody at a desk would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl

from teilhabe.offices.templates import NOTES

TEXTS = {"Schlüssel": ("------", "890000", "435*00"), "Vereinsnummer": ("0001", "0002", "0003")}
"""What people write where nothing can be chosen and anything would not do."""


def filled(path: Path, *, zero: bool = False) -> Path:
    """As somebody at a desk would: choose from the lists, type numbers, leave what is not needed empty."""
    book = openpyxl.load_workbook(path)
    number = 0
    for sheet in book.worksheets:
        if sheet.title == NOTES:
            continue
        rules = {cell: rule for rule in sheet.data_validations.dataValidation for cell in cells_of(rule)}
        empty_lists = 0
        for row in sheet.iter_rows():
            free = any(c.value is None and c.coordinate in rules and rules[c.coordinate].type == "list" for c in row)
            empty_lists += free and len(row) > 3
            if empty_lists > 3:
                break  # three programmes, clubs or offences are enough
            headers = {c.column: c.value for c in sheet[header_row(sheet)]} if header_row(sheet) else {}
            for cell in row:
                if cell.value is not None or cell.protection.locked:
                    continue
                rule = rules.get(cell.coordinate)
                if rule is None:
                    texts = TEXTS.get(str(headers.get(cell.column)), ("Erstes", "Zweites", "Drittes"))
                    cell.value = texts[max(empty_lists, 1) - 1]
                elif rule.type == "list":
                    cell.value = choice(book, rule.formula1)
                else:
                    number += 1
                    cell.value = 0 if zero else number
    book.save(path)
    return path


def cells_of(rule: Any) -> Iterator[str]:
    for area in rule.sqref.ranges:
        for row in area.rows:
            for line, column in row:
                yield f"{openpyxl.utils.get_column_letter(column)}{line}"


def header_row(sheet: Any) -> int | None:
    return int(sheet.print_title_rows.split(":")[0].strip("$")) if sheet.print_title_rows else None


def choice(book: Any, formula: str) -> str:
    sheet, _, area = formula.partition("!")
    return str(book[sheet.strip("'")][area.replace("$", "")][0][0].value)
