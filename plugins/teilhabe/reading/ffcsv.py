"""Reader for the flat CSV of newer GENESIS installations: a row per number, codes instead of texts, columns by name."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

import pyarrow as pa

from teilhabe.contracts import Ffcsv
from teilhabe.errors import Evidence
from teilhabe.reading.base import CHUNK_ROWS, Columns, Reading
from teilhabe.reading.labels import Dictionary
from teilhabe.reading.periods import parse_period
from teilhabe.reading.source import Source
from teilhabe.reading.territory import from_genesis, is_genesis_key
from teilhabe.reading.units import unit_of

_NEEDED = ("statistics_code", "time", "value", "value_variable_code")
_VARIABLE = re.compile(r"(\d+)_variable_code")


class FfcsvReading(Reading):
    layout: Ffcsv

    @classmethod
    def refuses(cls, layout: Ffcsv, source: Source) -> str | None:
        if source.kind != "text":
            return source.kind_de
        lines = source.head_text.split("\n")
        headers = [header.strip().strip('"') for header in lines[0].split(";")]
        missing = next((name for name in _NEEDED if name not in headers), None)
        if missing:
            return f"im Kopf fehlt die Spalte „{missing}“"
        first = lines[1].split(";") if len(lines) > 1 else []
        at = headers.index("statistics_code")
        found = first[at].strip('"') if len(first) > at else ""
        return None if found == layout.statistics else f"Statistik {found} statt {layout.statistics}"

    def _tidy(self) -> Iterator[Columns]:
        reader = csv.reader(self.source.text.split("\n"), delimiter=";")
        headers = [header.strip() for header in next(reader)]
        self._dictionary = Dictionary(self.layout.labels, self.layout.optional, self.layout.validity, units=False)
        self._seen: list[dict[str, str]] = []
        self._times: set[str] = set()
        rows: list[dict[str, str | int | None]] = []
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(headers):
                self.report.rows(
                    "critical",
                    "row.ragged",
                    f"die Zeile hat {{found}} Spalten statt {len(headers)}",
                    [Evidence(reader.line_num, None, str(len(cells)))],
                    expected=f"{len(headers)} Spalten",
                )
                continue
            row = self._row(dict(zip(headers, cells, strict=True)), reader.line_num)
            if row is not None:
                rows.append(row | {"_row_number": reader.line_num})
            if len(rows) == CHUNK_ROWS:
                yield self._columns(rows, headers)
                rows = []
        if rows:
            yield self._columns(rows, headers)
        self.texts_used |= self._dictionary.used
        missing = self._dictionary.missing(self._seen, self._times)
        if missing:
            self.report.note(
                "critical",
                "label.missing",
                f"Die vereinbarte Ausprägung „{missing[0]}“ kommt in keiner Zeile vor.",
                expected=missing[0],
            )

    def _row(self, cells: dict[str, str], number: int) -> dict[str, str | int | None] | None:
        """One observation, or None where a code is not loaded or not known."""
        row: dict[str, str | int | None] = {"value": cells["value"]}
        row["period_code"] = period = parse_period(cells["time"], self.layout.period)
        if period is None:
            raise self.report.error(
                "period.not_found",
                f"In Zeile {number} steht „{cells['time']}“, wo der Berichtszeitraum stehen muss.",
                row=number,
                column="time",
                found=cells["time"],
                expected=f"ein Zeitraum für „{self.layout.period}“",
            )
        self._times.add(period)
        codes = [("value_variable_code", cells["value_variable_code"])]
        for header, variable in cells.items():
            if not _VARIABLE.fullmatch(header):
                continue
            prefix = header.removesuffix("variable_code")
            code = cells[prefix + "variable_attribute_code"].strip()
            if variable in self.layout.variables:
                codes.append((variable, code))
            elif is_genesis_key(code):
                row["territory_code"] = from_genesis(code)
                row["territory_name"] = cells.get(prefix + "variable_attribute_label", "").strip()
            elif code:
                codes.append((variable, code))
        for variable, code in codes:
            if not code:
                continue  # GENESIS leaves the code of a total empty
            if code not in self._dictionary:
                self.report.rows(
                    "warning",
                    "label.unknown",
                    "„{found}“ ist keine vereinbarte Ausprägung; diese Zeilen werden nicht geladen",
                    [Evidence(number, variable, code)],
                    column=variable,
                    expected=f"vereinbart, aber nicht „{code}“",
                )
                return None
            coordinates = self._dictionary[code]
            if coordinates is None:
                return None
            if coordinates:
                self._seen.append(coordinates)
                row |= coordinates
        self._check_unit(row, cells.get("value_unit", ""), number)
        return row

    def _check_unit(self, row: dict[str, str | int | None], text: str, number: int) -> None:
        """The same code may stand for a number and its share, or for thousands: only the unit tells."""
        counted = self.counts(str(row.get("measure_code") or self.contract.constants.get("measure_code")))
        unit = unit_of(text)
        if counted is None or unit is None or unit == ("count" if counted else "share"):
            return
        if counted or unit == "count":
            self.report.rows(
                "critical",
                "value.unit",
                "der Wert hat die Einheit „{found}“",
                [Evidence(number, "value_unit", text)],
                column="value_unit",
                expected="Anzahl" if counted else "%",
            )

    def _columns(self, rows: list[dict[str, str | int | None]], headers: list[str]) -> Columns:
        names = [name for name in self.contract.column_names if any(name in row for row in rows)]
        columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
        for name in ("nationality", "sex", "age_band", "category"):
            if name in columns:
                columns[name] = columns[name].fill_null("total")
        numbers = pa.array([row["_row_number"] for row in rows], pa.int32())
        converted = self.convert(columns["value"], numbers, "value")
        columns |= {"value": converted.value, "obs_status": converted.obs_status, "conf_status": converted.conf_status}
        columns["_row_number"] = numbers
        columns["_column_number"] = pa.repeat(pa.scalar(headers.index("value") + 1, pa.int32()), len(rows))
        return columns
