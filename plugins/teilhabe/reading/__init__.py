"""From the delivered bytes to a tidy table of text: one reader per layout, never per file."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teilhabe.errors import ReadingError
from teilhabe.reading.report import Report

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract
    from teilhabe.reading.files.source import Source
    from teilhabe.reading.layouts.base import Reading, ReadingContext

__all__ = ["Reading", "ReadingContext", "open_reading"]


def __getattr__(name: str) -> Any:
    """``Reading`` and ``ReadingContext``, for whoever needs the classes themselves."""
    if name not in __all__:
        raise AttributeError(name)
    from teilhabe.reading.layouts import base

    return getattr(base, name)


def open_reading(
    contract: Contract,
    path: Path,
    file_name: str,
    received_at: datetime | None = None,
    context: ReadingContext | None = None,
) -> Reading:
    """The reading of a delivered file by the first layout of the contract that recognises its bytes.

    Raises ``ReadingError`` (one German sentence for the office) when none does or the file is damaged.
    """
    from teilhabe.reading.files import guard, kinds
    from teilhabe.reading.files.source import Source
    from teilhabe.reading.layouts.base import ReadingContext
    from teilhabe.reading.layouts.readers import READERS
    from teilhabe.reading.layouts.table_names import name_of

    report = Report(file_name)
    if not path.stat().st_size:
        raise report.error(
            "file.empty", "Die Datei ist leer (0 Bytes).", found="0 Bytes", expected="eine Datei mit Daten"
        )
    context = context or ReadingContext()
    if received_at is not None:
        context = replace(context, received_at=received_at)
    source = Source(path, file_name, report)
    guard.inspect(source, contract)
    if source.kind in kinds.RULES:
        raise guard.wrong_kind(source, _expected(contract))
    reasons = []
    for layout in contract.layouts:
        reader = READERS[layout.reader]
        reason = reader.refuses(layout, source)
        if reason is None:
            guard.check_hidden(source, layout, recognises)
            _check_name(source, report)
            return reader(contract, layout, source, context)
        reasons.append(reason)
    found = "; ".join(dict.fromkeys(reasons))
    other = any(" statt " in reason and "Zeile" not in reason for reason in reasons)
    for layout in contract.layouts:
        guard.check_hidden(source, layout, recognises)
    name = name_of(source)
    is_agreed = name is not None and any(code in f"{name} " for layout in contract.layouts for code in _codes(layout))
    if name is not None:
        what = f"{name} ({source.kind_de})" if source.is_workbook and not is_agreed else name
        but = f", aber nicht im vereinbarten Aufbau: {found}" if is_agreed else ""
        reasons = [found] if is_agreed else [reason for reason in reasons if " statt " in reason] or [name]
        refusal = report.error(
            "file.other_dataset" if other and not is_agreed else "file.not_this_layout",
            f"Das ist {what}{but}; vereinbart ist {_expected(contract)}.",
            row=1,
            found="; ".join(dict.fromkeys(reasons)),
            expected=_expected(contract),
        )
        raise guard.elsewhere(refusal, source, contract, context.others)
    refusal = report.error(
        "file.other_dataset" if other else "file.not_this_layout",
        f"Die Datei ist nicht die vereinbarte Lieferung {_expected(contract)}: {found}.",
        row=1,
        found=found,
        expected=_expected(contract),
    )
    raise guard.elsewhere(refusal, source, contract, context.others)


def _codes(layout: Any) -> list[str]:
    """What an official table of this layout is called."""
    found = [getattr(layout, "table", None), getattr(layout, "marker", None)]
    codes = [f"{code} " for code in found if isinstance(code, str)]
    return [*codes, f"Statistik {layout.statistics} "] if layout.reader == "ffcsv" else codes


def recognises(layout: Any, source: Source) -> bool:
    """Whether the bytes look like a layout."""
    from teilhabe.reading.layouts.readers import READERS

    try:
        return READERS[layout.reader].refuses(layout, source) is None
    except ReadingError:
        return False


def _expected(contract: Contract) -> str:
    return f"„{contract.title_de}“ ({', '.join(layout.name for layout in contract.layouts)})"


def _check_name(source: Source, report: Report) -> None:
    """The bytes decide; a name that says otherwise is worth telling, not refusing."""
    ending = Path(source.file_name).suffix.lower()
    if ending in (".xls", ".xlsx", ".xlsm", ".csv", ".txt"):
        named = {".xls": "xls", ".xlsx": "xlsx", ".xlsm": "xlsx"}.get(ending, "text")
        if named != source.kind:
            report.note(
                "info",
                "file.name_and_kind",
                f"Der Name endet auf {ending}, der Inhalt ist aber {source.kind_de}; gelesen wurde der Inhalt.",
                found=source.kind,
                expected=ending,
            )
