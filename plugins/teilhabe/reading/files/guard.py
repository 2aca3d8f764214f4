"""Around every reading: what stands between the bytes and the rows, and what a refusal should add to its sentence.

Bytes are looked at in this order: is it about persons, can it be a table at all, which layout is it, is a sheet hidden. A
parser that stumbles over a file says so in one sentence, without the text it stumbled over.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.contract.model import Contract
from teilhabe.errors import ReadingError
from teilhabe.reading.cells.labels import normalise
from teilhabe.reading.files import kinds, persons
from teilhabe.reading.files.source import Source, cell_text

if TYPE_CHECKING:
    from teilhabe.reading.layouts.base import Reading

Recognises = Callable[[Any, Source], bool]
"""Whether a file looks like a layout."""

_NOT_THIS_FILE = frozenset(
    {
        "file.not_this_layout",
        "file.other_dataset",
        "header.missing_column",
        "header.duplicate_column",
        "sheet.missing",
        "period.not_found",
        "file.no_rows",
        "file.truncated",
    }
)
"""Refusals that a file handed in for the wrong dataset gets."""

_CLEAR = 0.4
"""Share of a layout's texts that have to stand in a file before it is said to belong there.

Measured on the offices' files and the demo: 0.42 to 1 where it belongs, at most 0.27 anywhere else.
"""
_HEAD_ROWS = 60
_TABLE_ENDINGS = (".xls", ".xlsx", ".xlsm", ".csv", ".txt")


def inspect(source: Source, contract: Contract) -> None:
    """Refuses what must not be read, whatever layout it has; persons first, so that nothing of them is ever quoted."""
    persons.check(source, contract)
    if source.kind == "text":
        source.check_lines()
        source.encoding  # noqa: B018 - damaged umlauts are told before anything about columns


def wrong_kind(source: Source, expected: str) -> ReadingError:
    """The refusal of a file that no layout reads: what it is, and how it becomes what was agreed."""
    ending = Path(source.file_name).suffix
    named = f", auch wenn der Name auf „{ending}“ endet" if ending.lower() in _TABLE_ENDINGS else ""
    if source.kind in kinds.TABLES:
        sentence = (
            f"Das ist {source.kind_de}{named}; bitte mit Excel oder LibreOffice öffnen, als „Excel-Arbeitsmappe (*.xlsx)“ oder "
            f"CSV speichern und neu senden. Erwartet wird {expected}."
        )
    else:
        sentence = f"Das ist {source.kind_de}, erwartet wird {expected}."
    return source.report.error(kinds.RULES[source.kind], sentence, found=source.kind_de, expected=expected)


def check_hidden(source: Source, layout: Any, recognises: Recognises) -> None:
    """A hidden sheet that looks like the agreed table is refused, any other with something in it is told."""
    if not source.is_workbook:
        return
    for name in source.hidden_sheets:
        if recognises(layout, source.showing(name)):
            raise source.report.error(
                "sheet.hidden",
                f"Das Blatt „{name}“ ist ausgeblendet, sieht aber aus wie eine vereinbarte Tabelle; bitte einblenden und "
                "prüfen oder löschen und neu senden.",
                sheet=name,
                found="ausgeblendet",
                expected="sichtbare Blätter",
            )
    if source.hidden_sheets:
        names = ", ".join(f"„{name}“" for name in source.hidden_sheets[:5])
        count = len(source.hidden_sheets)
        source.report.note(
            "warning",
            "sheet.hidden",
            f"Die Arbeitsmappe hat das ausgeblendete Blatt {names}, das nicht gelesen wird."
            if count == 1
            else f"Die Arbeitsmappe hat ausgeblendete Blätter ({names}), die nicht gelesen werden.",
            sheet=source.hidden_sheets[0],
            found="ein ausgeblendetes Blatt" if count == 1 else f"{count} ausgeblendete Blätter",
        )
    if source.facts.external:
        source.report.note(
            "warning",
            "file.external_links",
            "Die Arbeitsmappe enthält Verknüpfungen zu anderen Arbeitsmappen; sie werden nicht verfolgt.",
            found="Verknüpfungen",
            expected="keine Verknüpfungen",
        )


def guarded(chunks: Iterable[pa.Table], reading: Reading) -> Iterator[pa.Table]:
    """The chunks of a reading; what a parser cannot read is refused in one sentence that quotes nothing."""
    report = reading.report
    try:
        for table in chunks:
            _check_sender(table, reading)
            yield table
    except csv.Error as error:
        if "field larger" in str(error):
            raise report.error(
                "cell.too_long",
                f"Ein Feld hat mehr als {csv.field_size_limit()} Zeichen, vermutlich fehlt ein schließendes Anführungszeichen.",
                found=f"über {csv.field_size_limit()} Zeichen",
                expected="kurze Felder",
            ) from None
        raise _no_table(reading) from None
    except (pa.ArrowInvalid, pa.ArrowCapacityError, pa.ArrowMemoryError, UnicodeDecodeError):
        raise _no_table(reading) from None
    except ReadingError as error:
        raise elsewhere(error, reading.source, reading.contract, reading.context.others) from None


def _no_table(reading: Reading) -> Exception:
    return reading.report.error(
        "file.unreadable",
        "Der Inhalt lässt sich nicht in Zeilen und Spalten zerlegen, vermutlich fehlt ein Anführungszeichen oder die Datei "
        "ist beschädigt; bitte neu senden.",
        found="keine Tabelle",
        expected="eine Tabelle",
    )


def _check_sender(table: pa.Table, reading: Reading) -> None:
    """A municipality reports its own numbers: rows of another one under its address are a mix-up."""
    contract, said = reading.contract, (reading.context.sender or "").strip().casefold()
    if not said or not contract.senders or "territory_code" not in table.column_names:
        return
    own = next((s for s in contract.senders if said in (s.territory_code, (s.contact or "").casefold())), None)
    if own is None:
        return
    codes = {code for code in pc.unique(table["territory_code"]).to_pylist() if code}
    other = next((s for s in contract.senders if s.territory_code in codes and s != own), None)
    if other is not None:
        raise reading.report.error(
            "sender.other_municipality",
            f"Die Datei enthält Zahlen für {other.territory_name} ({other.territory_code}), gesendet hat sie aber "
            f"{own.territory_name} ({own.territory_code}); bitte die eigene Datei senden.",
            column="Gebietsschlüssel",
            found=f"{other.territory_code} {other.territory_name}",
            expected=f"{own.territory_code} {own.territory_name}",
        )


def elsewhere(
    error: ReadingError,
    source: Source,
    contract: Contract,
    others: Callable[[], Mapping[str, Contract]] | None,
) -> ReadingError:
    """The refusal, and the dataset the file belongs to where exactly one (or one of two) can be told."""
    if others is None or error.finding.rule not in _NOT_THIS_FILE:
        return error
    fitting = owners(source, contract, others())
    if not 0 < len(fitting) < 3:
        return error
    titles = " oder ".join(f"„{other.title_de}“" for other in fitting)
    why = "; ".join(reason for reason in (error.finding.found or "").split("; ") if " statt " in reason)
    return source.report.error(
        "file.other_dataset",
        f"Das ist die Lieferung {titles} und nicht „{contract.title_de}“{f' ({why})' if why else ''}; bitte dort abgeben.",
        row=error.finding.row,
        found=why or f"die Lieferung {titles}",
        expected=f"„{contract.title_de}“",
    )


def owners(source: Source, contract: Contract, others: Mapping[str, Contract]) -> list[Contract]:
    """Contracts other than this one whose layout the file has, the best ones; none where this one fits as well."""
    texts = _head_texts(source)
    own = _fit(contract, source, texts)
    scores = {
        other.dataset_id: _fit(other, source, texts)
        for other in others.values()
        if other.dataset_id != contract.dataset_id
    }
    best = max(scores.values(), default=0.0)
    if best < _CLEAR or best <= own:
        return []
    return [others[name] for name, score in sorted(scores.items()) if score == best]


def _fit(contract: Contract, source: Source, texts: frozenset[str]) -> float:
    """0 where no layout knows the file, else how much of the layout's own texts stand in its head, at best 1."""
    from teilhabe.reading import recognises

    return max((_share(layout, texts) for layout in contract.layouts if recognises(layout, source)), default=0.0)


def _share(layout: Any, texts: frozenset[str]) -> float:
    """Layouts without headers of their own are known by a number or a form that no other has."""
    if layout.reader not in ("table", "tidy_csv", "form"):
        return 1.0
    columns = [*getattr(layout, "columns", {}).values(), *getattr(layout, "fields", {}).values()]
    groups = [
        *columns,
        *getattr(layout, "label_columns", []),
        *([text] for text, said in layout.labels.items() if said),
    ]
    found = sum(any(normalise(text) in texts for text in group) for group in groups)
    return found / max(1, len(groups))


def _head_texts(source: Source) -> frozenset[str]:
    """Every text of the first rows, and in tables with merged headers every text below another."""
    if source.is_workbook:
        rows = [[cell_text(cell) for cell in row] for sheet in source.sheets.values() for row in sheet[:_HEAD_ROWS]]
    else:
        lines = source.head_lines
        delimiter = source.delimiter
        rows = [[cell.strip().strip('"') for cell in line.split(delimiter)] for line in lines]
    found = {normalise(text) for row in rows for text in row if text}
    for above, below in pairwise(rows):
        fill = ""
        for position, text in enumerate(below):
            fill = (above[position] if position < len(above) else "") or fill
            if text and fill:
                found.add(normalise(f"{fill} {text}"))
    return frozenset(found)
