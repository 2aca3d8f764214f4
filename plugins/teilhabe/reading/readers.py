"""The reader of each layout. They and their libraries are imported where a file is read, which few processes do."""

from __future__ import annotations

from teilhabe.reading.ba_workbook import BaWorkbookReading
from teilhabe.reading.base import Reading
from teilhabe.reading.ffcsv import FfcsvReading
from teilhabe.reading.form import FormReading
from teilhabe.reading.genesis_csv import GenesisReading
from teilhabe.reading.register import Gv100adReading, RegisterXlsxReading
from teilhabe.reading.stacked_table import StackedTableReading
from teilhabe.reading.table import TableReading
from teilhabe.reading.territorial_changes import TerritorialChangesReading
from teilhabe.reading.tidy_csv import TidyReading

READERS: dict[str, type[Reading]] = {
    "genesis_csv": GenesisReading,
    "ffcsv": FfcsvReading,
    "tidy_csv": TidyReading,
    "table": TableReading,
    "form": FormReading,
    "ba_workbook": BaWorkbookReading,
    "stacked_table": StackedTableReading,
    "gv100ad": Gv100adReading,
    "register_xlsx": RegisterXlsxReading,
    "territorial_changes": TerritorialChangesReading,
}
"""By the name a contract gives its layout."""
