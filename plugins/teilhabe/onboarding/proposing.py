"""What a file of an unknown office says about its own layout: reader, keys, periods, breakdowns, signs, number format.

Looked at are the structure and the words of the file, never its numbers: the invented file beside the proposal has other
ones. What the readers recognise a file by is what is looked for here.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from teilhabe.errors import TeilhabeError
from teilhabe.onboarding.form import propose_form
from teilhabe.onboarding.genesis import propose_ffcsv, propose_genesis
from teilhabe.onboarding.table import grids_of, propose_table
from teilhabe.onboarding.words import (
    Proposal,
)

if TYPE_CHECKING:
    from teilhabe.settings import Settings


# --------------------------------------------------------------------------------------------------------- recognising


def propose(settings: Settings, dataset_id: str, path: Path) -> Proposal:
    from teilhabe.contract.model import Contract
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
            return propose_genesis(source, dataset_id, known)
        if "statistics_code" in first and "value_variable_code" in first:
            return propose_ffcsv(source, dataset_id, known)
    grids = grids_of(source)
    if grids:
        return propose_table(source, grids, dataset_id, known)
    if source.is_workbook and (form := propose_form(source, dataset_id, known)):
        return form
    raise TeilhabeError(
        f"{path}: no table was found: there is no column of official territory keys (5 or 8 digits, header such as AGS or "
        "Gemeindeschlüssel) and no form with such a key. Ask the office for the keys; names alone are no keys."
    )


# ---------------------------------------------------------------------------------------------------------------- table


# ------------------------------------------------------------------------------------------------------- form, GENESIS


# ------------------------------------------------------------------------------------------------------------- fixtures


def _catalogue(settings: Settings) -> dict[str, str]:
    """Normalised German name -> measure code."""
    from teilhabe.reading.cells.labels import normalise

    with (settings.dbt_project / "seeds" / "measures.csv").open(encoding="utf-8", newline="") as lines:
        return {normalise(row["name_de"]): row["measure_code"] for row in csv.DictReader(lines)}
