"""Reader for a CSV with one row per number; streams, so memory is bounded by the chunk however long the file is.

pyarrow splits the bytes; all texts are decoded and translated once per distinct text. Numbers stay text: pyarrow's own
decimal reading is wrong for a decimal comma.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from teilhabe.codes.groups import GROUP_COLUMNS
from teilhabe.codes.territory import with_lost_zero
from teilhabe.codes.wording import wanted_period
from teilhabe.columns.coded import coded, constant, filled, plain
from teilhabe.contract.layouts import TidyCsv
from teilhabe.errors import EVIDENCE_LIMIT, Evidence
from teilhabe.reading.cells.keys import complete
from teilhabe.reading.cells.labels import Dictionary, clean, instead, normalise
from teilhabe.reading.cells.periods import parse_period
from teilhabe.reading.cells.units import divides, is_total, worded_unit
from teilhabe.reading.files.source import Source
from teilhabe.reading.files.text import is_blank
from teilhabe.reading.layouts.base import Columns, Reading

_BLOCK = 12 << 20
_DELIMITERS: tuple[str, ...] = (";", ",", "\t", "|")
_MARKER = re.compile(r"(?<![\d-])\d-\d-\d(?![\d-])")
"""The number of a monitor's table in a file name; a date is none."""


_UNIT_COLUMN = re.compile(r"units?|(?:mass|mess)?einheit(?:en)?")

Translate = Callable[[str], Any]


def _strange(layout: TidyCsv, headers: list[str]) -> list[str]:
    """Headers nobody agreed on, where the others are those of the layout."""
    agreed = {normalise(text) for text in (*layout.texts(), *layout.ignore)}
    strange = [header for header in headers if header.strip() and normalise(header) not in agreed]
    return strange if 2 * len(strange) <= len(headers) else []


def _recognised(layout: TidyCsv, headers: list[str]) -> str:
    """What of the first line is agreed; the rest is not quoted, it may be a row about a person."""
    agreed = {normalise(alias) for aliases in [*layout.columns.values(), *layout.label_columns] for alias in aliases}
    known = [header for header in headers if normalise(header) in agreed]
    return f"vorhanden: {', '.join(known) or 'keine der vereinbarten'}"


class TidyReading(Reading):
    layout: TidyCsv

    @classmethod
    def refuses(cls, layout: TidyCsv, source: Source) -> str | None:
        if source.kind != "text":
            return source.kind_de
        marker = _MARKER.search(source.file_name)
        if layout.marker and marker and marker[0] != layout.marker:
            return f"Indikator {marker[0]} statt {layout.marker}"
        headers, _ = _headers(layout, source)
        known = {normalise(header) for header in headers}
        for aliases in [*layout.columns.values(), *layout.label_columns]:
            if not known & {normalise(alias) for alias in aliases}:
                strange = instead(aliases[0], _strange(layout, headers))
                return f"im Kopf fehlt die Spalte „{aliases[0]}“{strange} ({_recognised(layout, headers)})"
        return None

    def _tidy(self) -> Iterator[Columns]:
        self._headers, self._delimiter = _headers(self.layout, self.source)
        self._encoding = self.source.table.encoding
        self._dictionary = Dictionary(self.layout.labels, self.layout.optional, self.layout.validity, units=False)
        self._caches: dict[str, dict[bytes, Any]] = {}
        self._seen: list[dict[str, str]] = []
        self._meanings: dict[str, str | None] = {}
        self._times: set[str] = set()
        self._columns = {name: self._position(aliases) for name, aliases in self.layout.columns.items()}
        self.places.headers = {at: text for at, header in enumerate(self._headers, start=1) if (text := header.strip())}
        for name, position in self._columns.items():
            self.places.put(None, name, position)
        self._labels = [self._position(aliases) for aliases in self.layout.label_columns]
        self._refuse_headers_twice()
        self._tell_unknown_headers()
        for batch, numbers in self._batches():
            columns = self._observations(batch, numbers)
            if self.layout.validity and "period_code" in columns:
                self._times |= {code for code in pc.unique(columns["period_code"]).to_pylist() if code}
            yield columns
        self.texts_used |= self._dictionary.used | {normalise(header) for header in self._headers}
        missing = self._dictionary.missing(self._seen, self._times)
        if missing:
            self.report.note(
                "critical",
                "label.missing",
                f"Die vereinbarte Ausprägung „{missing[0]}“ kommt in keiner Zeile vor.",
                expected=missing[0],
                row_count=len(missing),
            )

    def _position(self, aliases: list[str]) -> int:
        known = {normalise(header): position for position, header in reversed(list(enumerate(self._headers)))}
        return next(known[normalise(alias)] for alias in aliases if normalise(alias) in known)

    def _refuse_headers_twice(self) -> None:
        """An agreed column that is there twice, or a whole table beside the first: which of them is meant?"""
        for at in (*self._columns.values(), *self._labels):
            header = normalise(self._headers[at])
            again = next((i for i, text in enumerate(self._headers) if i != at and normalise(text) == header), None)
            if again is not None:
                raise self.report.error(
                    "header.duplicate_column",
                    f"Die Spalten {at + 1} und {again + 1} haben dieselbe Überschrift „{self._headers[at]}“; bitte jede "
                    "Spalte nur einmal senden.",
                    row=self.source.lines_above + 1,
                    column=str(again + 1),
                    found=self._headers[again],
                    expected="jede Spalte einmal",
                )

    def _tell_unknown_headers(self) -> None:
        used = {*self._columns.values(), *self._labels}
        measure = self.layout.constants.get("measure_code") or self.contract.constants.get("measure_code")
        self._counted = self.counts(measure)
        self._dividing: list[int] = []
        self._nameless = [position for position, header in enumerate(self._headers) if not header.strip()]
        ignored = {normalise(header) for header in self.layout.ignore}
        for position, header in enumerate(self._headers):
            if position not in used and header.strip() and normalise(header) not in ignored:
                if divides(header):
                    self._dividing.append(position)
                self.tell_unknown_column(position, header, self.source.lines_above + 1)

    def _batches(self) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
        """Batches of the raw bytes of every needed column, coded, with the row numbers in the file."""
        names = [str(position) for position in range(len(self._headers))]
        needed = [
            str(position)
            for position in sorted({*self._columns.values(), *self._labels, *self._dividing, *self._nameless})
        ]
        skipped: list[int] = []
        short: tuple[int, str] = (0, "")
        table = self.source.table

        def handle(row: arrow_csv.InvalidRow) -> str:
            nonlocal short
            skipped.append(row.number or 0)
            number = self.source.row(row.number or 0)
            if not is_blank(row.text.strip()):
                short = row.number or 0, row.text
                self.report.rows(
                    "critical",
                    "row.ragged",
                    f"die Zeile hat {{found}} statt {row.expected_columns} Spalten",
                    [Evidence(number, None, str(row.actual_columns))],
                    expected=f"{row.expected_columns} Spalten",
                )
            return "skip"

        reader = arrow_csv.open_csv(
            table.file,
            read_options=arrow_csv.ReadOptions(
                column_names=names, skip_rows=table.above + 1, block_size=_BLOCK, use_threads=False, encoding="utf-8"
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self._delimiter, ignore_empty_lines=False, invalid_row_handler=handle
            ),
            convert_options=arrow_csv.ConvertOptions(
                check_utf8=False,
                column_types={name: pa.dictionary(pa.int32(), pa.binary()) for name in names},
                include_columns=needed,
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
            ),
        )
        following = table.above + 2
        with reader:
            for batch in reader:
                numbers = _row_numbers(following, len(batch), skipped)
                if len(numbers):
                    following = int(numbers[-1]) + 1
                    yield self._filled(batch, pa.array(self.source.rows(numbers)))
        if short[0] >= following:  # no row of data comes after it
            self.refuse_cut(short[1].split(self._delimiter), self.source.row(short[0]), len(self._headers))

    def _filled(self, batch: pa.RecordBatch, numbers: pa.Array) -> tuple[pa.RecordBatch, pa.Array]:
        """Without blank lines, which some programs put below the table."""
        empty = None
        for cells in batch.columns:
            code = pc.index(cells.dictionary, b"").as_py()
            if code < 0:
                return batch, numbers
            here = pc.equal(cells.indices, code)
            empty = here if empty is None else pc.and_(empty, here)
        if not pc.any(empty).as_py():
            return batch, numbers
        blank = [number in self.source.blank_lines for number in numbers.filter(empty).to_pylist()]
        keep = pc.replace_with_mask(pc.invert(empty), empty, pc.invert(pa.array(blank, pa.bool_())))
        return batch.filter(keep), numbers.filter(keep)

    def _observations(self, batch: pa.RecordBatch, numbers: pa.Array) -> Columns:
        size = len(batch)
        columns: Columns = {}
        loaded = None
        for position in self._nameless:
            self._check_nameless(batch.column(str(position)), position, numbers)
        for position in self._dividing:
            self._check_dividing(batch.column(str(position)), position, numbers)
        for position in self._labels:
            targets, mask = self._labelled(batch.column(str(position)), position, numbers)
            for name, array in targets.items():
                columns[name] = _joined(columns[name], array) if name in columns else array
            if mask is not None:
                loaded = mask if loaded is None else pc.and_(loaded, mask)
        if loaded is not None:
            batch, numbers = batch.filter(loaded), numbers.filter(loaded)
            columns = {name: array.filter(loaded) for name, array in columns.items()}
            size = len(batch)
        for name, position in self._columns.items():
            cells = batch.column(str(position))
            if name == "value":
                columns |= self._values(cells, numbers, position)
            elif name == "period_code":
                columns[name] = self._period(cells, numbers, position)
            elif name != "territory_code":
                columns[name] = self._mapped(name, cells, clean)
        if "territory_code" in self._columns:
            columns["territory_code"] = self._territory(batch, columns, numbers)
        for name, value in self.layout.constants.items():
            columns.setdefault(name, constant(value, size))
        for name in GROUP_COLUMNS:
            if name in columns:
                columns[name] = filled(coded(columns[name]), "total")
        columns["_row_number"] = numbers.cast(pa.int32())
        columns["_column_number"] = pa.repeat(pa.scalar(self._columns["value"] + 1, pa.int32()), size)
        return columns

    def _check_dividing(self, cells: pa.Array, position: int, numbers: pa.Array) -> None:
        """A column nobody agreed on may tell the rows apart: without it they would be read as totals."""
        counted, share = self._counted is not False, not self._counted
        total = self._translated(
            f"dividing {position}", cells.dictionary, lambda text: is_total(text, counted=counted, share=share)
        )
        where = pc.indices_nonzero(pc.invert(pa.array(total, pa.bool_())).take(cells.indices))
        evidence = [
            Evidence(numbers[i].as_py(), self._headers[position], clean(cells[i].as_py().decode(self._encoding)))
            for i in where.slice(0, EVIDENCE_LIMIT).to_pylist()
        ]
        self.tell_dividing(self._headers[position], evidence, len(where))

    def _check_nameless(self, cells: pa.Array, position: int, numbers: pa.Array) -> None:
        """What stands in a column without a header is not loaded; an empty one is how some programs end each line."""
        filled = pa.array([bool(text.strip()) for text in cells.dictionary.to_pylist()], pa.bool_())
        where = pc.indices_nonzero(filled.take(cells.indices))
        if len(where):
            self.report.rows(
                "warning",
                "header.unknown_column",
                "die Spalte hat keine Überschrift und wird nicht geladen; dort steht „{found}“",
                [
                    Evidence(numbers[i].as_py(), str(position + 1), clean(cells[i].as_py().decode(self._encoding)))
                    for i in where.slice(0, EVIDENCE_LIMIT).to_pylist()
                ],
                column=str(position + 1),
                expected="eine Überschrift",
                count=len(where),
            )

    def _mapped(self, cache: str, cells: pa.Array, translate: Translate) -> pa.Array:
        return _spread(self._translated(cache, cells.dictionary, translate), cells.indices)

    def _translated(self, cache: str, texts: pa.Array, translate: Translate) -> list[Any]:
        known = self._caches.setdefault(cache, {})
        result = []
        for text in texts.to_pylist():
            if text not in known:
                known[text] = translate(text.decode(self._encoding))
            result.append(known[text])
        return result

    def _labelled(self, cells: pa.Array, position: int, numbers: pa.Array) -> tuple[Columns, pa.Array | None]:
        found = self._translated(f"label {position}", cells.dictionary, self._coordinates)
        if _UNIT_COLUMN.fullmatch(normalise(self._headers[position])):
            found = self._reworded(found, position)
        unknown = pa.array([isinstance(entry, str) for entry in found], pa.bool_())
        if pc.any(unknown).as_py():
            self._tell_unknown_labels(plain(cells), unknown.take(cells.indices), position, numbers)
        coordinates = [entry if isinstance(entry, dict) else None for entry in found]
        names = sorted({name for entry in coordinates if entry for name in entry})
        targets = {name: _spread([(entry or {}).get(name) for entry in coordinates], cells.indices) for name in names}
        if all(entry is not None for entry in coordinates):
            return targets, None
        return targets, pa.array([entry is not None for entry in coordinates]).take(cells.indices)

    def _reworded(self, found: list[Any], position: int) -> list[Any]:
        """The column of units with a unit worded anew read as the agreed one, where the file has no other of its kind."""
        result = []
        unknown = [worded_unit(entry) for entry in set(filter(lambda one: isinstance(one, str), found))]
        if len(unknown) != len(set(unknown)):
            return found  # two of a kind are two kinds of number
        for entry in found:
            meant = self._meant(entry, self._headers[position]) if isinstance(entry, str) else None
            result.append(entry if meant is None else self._dictionary[meant])
        return result

    def _meant(self, text: str, header: str) -> str | None:
        if text in self._meanings:
            return self._meanings[text]
        unit = worded_unit(text)
        labels = {label: said for label, said in self._dictionary.labels.items() if unit and worded_unit(label) == unit}
        is_one = len({tuple(sorted((said or {}).items())) for said in labels.values()}) == 1
        is_used = any(normalise(label) in self._dictionary.used for label in labels)
        meant = next(iter(labels)) if is_one and not is_used and None not in labels.values() else None
        self._meanings[text] = meant
        if meant is not None:
            self._seen.append(self._dictionary[meant] or {})
            self.report.note(
                "info",
                "label.reworded",
                f"„{text}“ in Spalte „{header}“ wurde als „{meant}“ gelesen.",
                column=header,
                found=text,
                expected=meant,
            )
        return meant

    def _coordinates(self, text: str) -> dict[str, str] | str | None:
        """Coordinates of a label, None for one that is not loaded, the text itself for an unknown one."""
        if text not in self._dictionary:
            return clean(text)
        coordinates = self._dictionary[text]
        if coordinates:
            self._seen.append(coordinates)
        return coordinates

    def _tell_unknown_labels(self, cells: pa.Array, mask: pa.Array, position: int, numbers: pa.Array) -> None:
        for entry in pc.value_counts(cells.filter(mask)).to_pylist():
            text = clean(entry["values"].decode(self._encoding))
            where = pc.indices_nonzero(pc.equal(cells, entry["values"])).slice(0, EVIDENCE_LIMIT)
            rows = numbers.take(where).to_pylist()
            self.tell_unknown_label(text, rows, self._headers[position], position, entry["counts"])

    def _values(self, cells: pa.Array, numbers: pa.Array, position: int) -> Columns:
        try:
            decoded = cells.dictionary.cast(pa.string())
        except pa.ArrowInvalid:
            decoded = pa.array([text.decode(self._encoding) for text in cells.dictionary.to_pylist()], pa.string())
        converted = self.convert(
            pa.DictionaryArray.from_arrays(cells.indices, decoded), numbers, self._headers[position]
        )
        return {"value": converted.value, "obs_status": converted.obs_status, "conf_status": converted.conf_status}

    def _period(self, cells: pa.Array, numbers: pa.Array, position: int) -> pa.Array:
        codes = self._mapped("period_code", cells, lambda text: parse_period(text, self.layout.period))
        wrong = pc.indices_nonzero(pc.is_null(codes))
        if len(wrong):
            evidence = [
                Evidence(numbers[i].as_py(), self._headers[position], cells[i].as_py().decode(self._encoding))
                for i in wrong.slice(0, EVIDENCE_LIMIT).to_pylist()
            ]
            self.report.rows(
                "critical",
                "period.not_found",
                "„{found}“ ist kein Berichtszeitraum",
                evidence,
                column=self._headers[position],
                expected=wanted_period(self.layout.period),
                count=len(wrong),
            )
        return codes

    def _territory(self, batch: pa.RecordBatch, columns: Columns, numbers: pa.Array) -> pa.Array:
        """Official keys; null where the file leaves the key out and only the name can tell."""
        names = columns.get("territory_name")
        cells = batch.column(str(self._columns["territory_code"]))
        codes = self._mapped("territory_code", cells, self._without_prefix)
        self._tell_zeros(cells, numbers)
        for override in self.layout.key_overrides:
            mask = None
            if override.key is not None:
                mask = pc.equal(cells.dictionary, override.key.encode(self._encoding)).take(cells.indices)
            if override.name is not None and names is not None:
                same = self._same_name(names, override.name)
                mask = same if mask is None else pc.and_(mask, same)
            if override.beside is not None and mask is not None:
                mask = pc.and_(mask, self._beside(columns, override.beside))
            if mask is None or not pc.any(mask).as_py():
                continue
            codes = pc.if_else(mask, override.code, plain(codes))
            if override.name is None:
                continue  # another way of writing the key, not a wrong key
            rows = numbers.filter(mask)
            self.report.rows(
                "info",
                "key.overridden",
                f"Schlüssel „{{found}}“ als {override.code} gelesen: {override.reason}",
                [Evidence(row, None, override.key) for row in rows.slice(0, EVIDENCE_LIMIT).to_pylist()],
                expected=override.code,
                count=len(rows),
            )
        return codes

    def _tell_zeros(self, cells: pa.Array, numbers: pa.Array) -> None:
        if self.layout.key_width:
            return  # agreed to come without
        delivered = [text.decode(self._encoding).strip() for text in cells.dictionary.to_pylist()]
        lost = pa.array([with_lost_zero(text) is not None for text in delivered], pa.bool_())
        if pc.any(lost).as_py():
            where = pc.indices_nonzero(lost.take(cells.indices))
            self.tell_zeros(
                [delivered[code] for code in cells.indices.take(where).to_pylist()], numbers.take(where).to_pylist()
            )

    def _beside(self, columns: Columns, name: str) -> pa.Array:
        """Rows of the periods in which there is a row of this name."""
        if "territory_name" not in columns or "period_code" not in columns:
            return pa.scalar(False)
        periods = plain(columns["period_code"])
        return pc.is_in(periods, pc.unique(periods.filter(self._same_name(columns["territory_name"], name))))

    @staticmethod
    def _same_name(names: pa.Array, name: str) -> pa.Array:
        coded = names.dictionary_encode()
        wanted = normalise(name)
        return pa.array([normalise(text) == wanted for text in coded.dictionary.to_pylist()]).take(coded.indices)

    def _without_prefix(self, text: str) -> str | None:
        text = text.strip()
        for prefix in self.layout.key_prefixes:
            if text.startswith(prefix):
                return text.removeprefix(prefix) or None  # such a key is never read as a number
        return with_lost_zero(text) or complete(text, self.layout.key_width) or None


def _spread(by_code: list[str | None], indices: pa.Array) -> pa.Array:
    """The column that has these texts instead of the delivered ones; it stays coded."""
    return coded(pa.DictionaryArray.from_arrays(indices, pa.array(by_code, pa.string())))


def _joined(left: pa.Array, right: pa.Array) -> pa.Array:
    """Two label columns about the same thing: ``employment`` and ``migration_background`` make one category."""
    left, right = plain(left), plain(right)
    joined = pc.if_else(pc.equal(left, right), left, pc.binary_join_element_wise(left, right, "_"))
    return pc.coalesce(joined, left, right)


def _headers(layout: TidyCsv, source: Source) -> tuple[list[str], str]:
    first = source.head_lines[0]
    most: str = max(_DELIMITERS, key=first.count)
    delimiter = layout.delimiter or most
    return next(csv.reader([first], delimiter=delimiter), []), delimiter


def _row_numbers(following: int, size: int, skipped: list[int]) -> npt.NDArray[np.int32]:
    """The next ``size`` row numbers, leaving out rows that were skipped."""
    numbers = np.arange(following, following + size, dtype=np.int32)
    if skipped:
        gaps = np.array(sorted(number for number in skipped if number >= following), dtype=np.int32)
        for gap in gaps:
            numbers[numbers >= gap] += 1
    return numbers
