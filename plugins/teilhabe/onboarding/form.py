"""A proposal for a form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from teilhabe.errors import TeilhabeError
from teilhabe.onboarding.fixtures import fixture_form
from teilhabe.onboarding.words import (
    NAME_WORDS,
    PERIOD_TEMPLATES,
    Proposal,
    entries_of,
    is_code_header,
    is_key,
    is_number,
    levels_of,
    measure_of,
    stem_of,
    symbols_of,
)

if TYPE_CHECKING:
    from teilhabe.reading.files.source import Source


def propose_form(source: Source, dataset_id: str, known: dict[str, str]) -> Proposal | None:  # noqa: PLR0915 - one decision after the other
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
            elif len(filled) > 2 and not any(map(is_number, filled)) and not heads:
                heads = filled
            elif heads and len(filled) > 1 and not is_number(filled[0]):
                lines.append(filled[0])
        key = next((text for text, value in pairs.items() if is_code_header(text) and is_key(value)), None)
        if key is None:
            continue
        fields = {"territory_code": [key]}
        template = "{year}"
        for text, value in pairs.items():
            if normalise(text) in NAME_WORDS and not is_number(value):
                fields["territory_name"] = [text]
        for text, value in pairs.items():
            fitting = next((t for t in PERIOD_TEMPLATES if parse_period(value, t)), None)
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
            stem, groups = stem_of(text)
            code, new = measure_of(stem, dataset_id, known)
            coordinates = {"measure_code": code, **groups}
            if tuple(sorted(coordinates.items())) in taken:
                code, new = measure_of(text, dataset_id, known)
                coordinates = {"measure_code": code}
            taken.add(tuple(sorted(coordinates.items())))
            measures |= new
            labels[text] = coordinates
        target = "category"
        if lines:
            target, found = entries_of(lines)
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
        symbols = symbols_of([s for s in signs if s], decided, open_points)
        delivered = [
            column for column in ("measure_code", "nationality", "sex", "age_band", "category") if column in used
        ]
        terms = {column: texts[0] for column, texts in fields.items()} | ({target: heads[0]} if heads else {})
        levels = levels_of([pairs[key]])
        return Proposal(
            layout, delivered, terms, {}, symbols, levels, measures, "xlsx", fixture_form(source), decided, open_points
        )
    return None
