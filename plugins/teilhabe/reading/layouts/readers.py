"""The reader of each layout. They and their libraries are imported where a file is read, which few processes do."""

from __future__ import annotations

from teilhabe.reading.layouts.ba_workbook import BaWorkbookReading
from teilhabe.reading.layouts.base import Reading
from teilhabe.reading.layouts.ffcsv import FfcsvReading
from teilhabe.reading.layouts.form import FormReading
from teilhabe.reading.layouts.genesis_csv import GenesisReading
from teilhabe.reading.layouts.register import Gv100adReading, RegisterXlsxReading
from teilhabe.reading.layouts.stacked_table import StackedTableReading
from teilhabe.reading.layouts.table import TableReading
from teilhabe.reading.layouts.territorial_changes import TerritorialChangesReading
from teilhabe.reading.layouts.tidy_csv import TidyReading

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
