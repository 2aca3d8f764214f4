"""A broken expectation as a finding: its rows, its places, its texts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from teilhabe.codes.wording import spell_period
from teilhabe.errors import Evidence, Finding
from teilhabe.findings.saying import EMPTY, EXPECTED, FOUND, PLACE, SUBJECT, affected_rows, with_sentence
from teilhabe.validation.expectation_runs import Expectation
from teilhabe.validation.single_texts import NOT_NULL

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from teilhabe.contract.model import Contract
    from teilhabe.reading.layouts.column_places import ColumnPlaces


def joined(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def to_frame(chunk: pa.Table) -> pd.DataFrame:
    """Texts as categories (an expectation then looks at each distinct text once), ``value`` as a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from teilhabe.columns.coded import plain

    if "value" in chunk.column_names:
        value = pc.cast(plain(chunk["value"].chunk(0)), pa.float64())
        chunk = chunk.set_column(chunk.column_names.index("value"), "value", value)
    for place, field_ in enumerate(chunk.schema):
        if pa.types.is_dictionary(field_.type):
            array = chunk.column(place).chunk(0) if chunk.column(place).num_chunks else None
            # Several texts of a file may stand for one code; a reader need not have made them one.
            if array is not None and pc.count_distinct(array.dictionary).as_py() < len(array.dictionary):
                chunk = chunk.set_column(place, field_.name, plain(array).dictionary_encode())
    strings = [f.name for f in chunk.schema if pa.types.is_string(f.type)]
    frame: pd.DataFrame = chunk.to_pandas(categories=strings)
    return frame


def as_finding(
    expectation: Expectation,
    contract: Contract,
    file_name: str,
    count: int,
    evidence: Sequence[Evidence],
    column_places: ColumnPlaces | None = None,
) -> Finding:
    terms = {column.name: column.office_term or column.name for column in contract.columns}
    name = expectation.shown_column or expectation.column
    first = evidence[0] if evidence else Evidence(None, None, None)
    if first.row is None or (first.sheet and first.column):
        name = None  # what is missing stands in no column, and a cell of a workbook needs no other name
    if name == "value" and not contract.is_headed(terms[name]):
        name = None  # where numbers stand side by side, none of their columns is called so
    sentence = PLACE + expectation.sentence_de.rstrip(".")
    is_blank = expectation.type == NOT_NULL and expectation.scope == "row"  # then nothing was found, as the rule says
    finding = Finding(
        severity=expectation.severity,
        rule=expectation.rule,
        message="",
        sheet=first.sheet,
        row=first.row,
        column=(column_places and column_places.header(name, evidence)) or terms.get(name or "", name),
        found=first.found if first.found is not None else EMPTY,
        # A statistical rule may repeat numbers of the file there, which only the place itself may hold.
        expected=(expectation.scope != "observations" and first.expected) or expectation.expected_de,
        row_count=affected_rows(evidence, count),
        evidence=tuple(evidence),
        what=f"{sentence}." if is_blank else f"{sentence}; gefunden „{SUBJECT}{FOUND}“, erwartet {EXPECTED}.",
    )
    return with_sentence(finding, contract.secrecy_method, file_name)


def value_place(row: Mapping[Hashable, Any] | pd.Series) -> str | None:
    """The column of the file the value stood in: a tidy row knows it for its value only."""
    return str(int(row["_column_number"])) if row["_column_number"] else None


def key_place(row: Mapping[Hashable, Any], shown: str | None, column_places: ColumnPlaces) -> str | None:
    """The column of a sheet that makes a cell of the place."""
    sheet = text_in_words(row, "_sheet")
    return column_places.in_evidence(sheet, shown) if sheet else None


def text_in_words(row: Mapping[Hashable, Any] | pd.Series, column: str | None) -> str | None:
    import pandas as pd

    value = row.get(column) if column else None
    if value is None or pd.isna(value):
        return None
    if isinstance(value, float):
        text = format(Decimal(f"{value:.15g}"), "f")
        return text.replace(".", ",") if row.get("_sheet") else text  # as the workbook shows it
    if column == "period_code":
        return spell_period(str(value))
    if column == "territory_name" and "territory_code" in row:
        return f"{row['territory_code']} {value}".strip()
    return str(value)
