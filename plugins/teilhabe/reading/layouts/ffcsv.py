"""Reader for the flat CSV of GENESIS: a row per number, codes instead of texts, columns by name.

Until 2024 its columns had German names, and each kind of number a column of its own (``BEVSTD__Bevoelkerungsstand__Anzahl``).
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.codes.territory import COUNTRY, from_genesis, is_genesis_key, with_lost_zero
from teilhabe.codes.wording import wanted_period
from teilhabe.contract.layouts import Ffcsv
from teilhabe.errors import Evidence
from teilhabe.reading.cells import unpublished
from teilhabe.reading.cells.labels import Dictionary
from teilhabe.reading.cells.periods import parse_period
from teilhabe.reading.cells.units import unit_of
from teilhabe.reading.files.source import Source
from teilhabe.reading.files.text import wrong_delimiter
from teilhabe.reading.layouts.base import CHUNK_ROWS, Columns, Reading

_NEEDED = ("statistics_code", "time", "value", "value_variable_code")
_VARIABLE = re.compile(r"(\d+)_variable_code")
_FORMERLY = {"Statistik_Code": "statistics_code", "Zeit": "time"}
_FORMER_VARIABLE = re.compile(r"(\d+)_(Merkmal|Auspraegung)_(Code|Label)")
_FORMER_VALUE = re.compile(r"([A-Z]\w*?)__.+?__(.+)")


class FfcsvReading(Reading):
    layout: Ffcsv

    @classmethod
    def refuses(cls, layout: Ffcsv, source: Source) -> str | None:
        if source.kind != "text":
            return source.kind_de
        lines = source.head_lines
        headers, values = _names([header.strip().strip('"') for header in lines[0].split(";")])
        if values:
            headers += ["value", "value_variable_code"]
        missing = next((name for name in _NEEDED if name not in headers), None)
        if missing and missing in lines[0] and source.delimiter != ";":
            return wrong_delimiter(source.delimiter, ";")
        if missing:
            return f"im Kopf fehlt die Spalte „{missing}“"
        first = lines[1].split(";") if len(lines) > 1 else []
        at = headers.index("statistics_code")
        found = first[at].strip('"') if len(first) > at else ""
        return None if found == layout.statistics else f"Statistik {found} statt {layout.statistics}"

    def _tidy(self) -> Iterator[Columns]:
        lines = self.source.lines
        self.source.refuse_open_quote()
        reader = csv.reader(lines, delimiter=";")
        headers, values = _names([header.strip() for header in next(reader)])
        self._territorial = _territorial(headers, csv.reader(lines[1:], delimiter=";"))
        self._lost: list[tuple[str, int]] = []
        self._dictionary = Dictionary(self.layout.labels, self.layout.optional, self.layout.validity, units=False)
        self._seen: list[dict[str, str]] = []
        self._times: set[str] = set()
        rows: list[dict[str, str | int | None]] = []
        last: tuple[int, list[str]] = (0, [])
        for cells in reader:
            if not any(cells):
                continue
            last = reader.line_num, cells
            if len(cells) != len(headers):
                self.report.rows(
                    "critical",
                    "row.ragged",
                    f"die Zeile hat {{found}} statt {len(headers)} Spalten",
                    [Evidence(self.source.row(reader.line_num), None, str(len(cells)))],
                    expected=f"{len(headers)} Spalten",
                )
                continue
            by_name = dict(zip(headers, cells, strict=True))
            for position, kind in values or [(headers.index("value"), {})]:
                number = self.source.row(reader.line_num)
                row = self._row(by_name | {"value": cells[position]} | kind, number)
                if row is not None:
                    rows.append(row | {"_row_number": number, "_column_number": position + 1})
        self.refuse_cut(last[1], self.source.row(last[0]), len(headers))
        if rows:
            columns = self._columns(rows)  # all at once: a territory's rows are spread over the file
            for offset in range(0, len(rows), CHUNK_ROWS):
                yield {name: array.slice(offset, CHUNK_ROWS) for name, array in columns.items()}
        self.tell_zeros([code for code, _ in self._lost], [number for _, number in self._lost])
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
            self.report.rows(
                "critical",
                "period.not_found",
                "„{found}“ ist kein Berichtszeitraum",
                [Evidence(number, "time", cells["time"])],
                column="time",
                expected=wanted_period(self.layout.period),
            )
        else:
            self._times.add(period)
        codes = [("value_variable_code", cells["value_variable_code"])]
        for header, variable in cells.items():
            if not _VARIABLE.fullmatch(header):
                continue
            prefix = header.removesuffix("variable_code")
            code = cells[prefix + "variable_attribute_code"].strip()
            if variable in self.layout.variables:
                codes.append((variable, code))
            elif is_genesis_key(code) or variable in self._territorial:
                row["territory_code"] = from_genesis(with_lost_zero(code) or code)
                self._lost += [(code, number)] if with_lost_zero(code) else []
                row["territory_name"] = cells.get(prefix + "variable_attribute_label", "").strip()
            elif code:
                codes.append((variable, code))
        for variable, code in codes:
            if not code:
                continue  # GENESIS leaves the code of a total empty
            if code not in self._dictionary:
                self.tell_unknown_label(code, [number], variable, None)
                return None
            coordinates = self._dictionary[code]
            if coordinates is None:
                return None
            if coordinates:
                self._seen.append(coordinates)
                row |= coordinates
        row["_is_rate"] = self._check_unit(row, cells.get("value_unit", ""), number)
        return row

    def _check_unit(self, row: dict[str, str | int | None], text: str, number: int) -> bool:
        """Whether this is a rate. The same code may stand for a number and its share, or for thousands: only the unit tells."""
        counted = self.counts(str(row.get("measure_code") or self.contract.constants.get("measure_code")))
        unit = unit_of(text)
        is_other = counted is not None and unit is not None and unit != ("count" if counted else "share")
        if is_other and (counted or unit == "count"):
            self.report.rows(
                "critical",
                "value.unit",
                "der Wert hat die Einheit „{found}“",
                [Evidence(number, "value_unit", text)],
                column="value_unit",
                expected="Anzahl" if counted else "%",
            )
        return counted is False

    def _columns(self, rows: list[dict[str, str | int | None]]) -> Columns:
        names = [name for name in self.contract.column_names if any(name in row for row in rows)]
        columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
        for name in ("nationality", "sex", "age_band", "category"):
            if name in columns:
                columns[name] = columns[name].fill_null("total")
        numbers = pa.array([row["_row_number"] for row in rows], pa.int32())
        converted = self.convert(columns["value"], numbers, "value", lambda i: int(rows[i]["_column_number"] or 0))
        columns |= {"value": converted.value, "obs_status": converted.obs_status, "conf_status": converted.conf_status}
        if self.rules.dash == "missing_when_all":
            codes = columns["territory_code"] if "territory_code" in columns else pa.nulls(len(rows), pa.string())
            rates = pa.array([row["_is_rate"] for row in rows], pa.bool_())
            kept = unpublished.values(converted, pc.fill_null(codes, ""), columns["period_code"], rates)
            columns |= {name: kept[name].combine_chunks() for name in kept.column_names}
        columns["_row_number"] = numbers
        columns["_column_number"] = pa.array([row["_column_number"] for row in rows], pa.int32())
        return columns


def _territorial(headers: list[str], rows: Iterable[list[str]]) -> set[str]:
    """The variables all of whose codes are keys, with or without their leading zero, and not just small numbers."""
    places = [
        (at, headers.index(header.removesuffix("variable_code") + "variable_attribute_code"))
        for at, header in enumerate(headers)
        if _VARIABLE.fullmatch(header)
    ]
    codes: defaultdict[str, set[str]] = defaultdict(set)
    for cells in rows:
        if len(cells) == len(headers):
            for variable, code in places:
                codes[cells[variable]].add(cells[code].strip())
    return {
        variable
        for variable, found in codes.items()
        if all(is_genesis_key(code) or with_lost_zero(code) for code in found - {""})
        and any(code == COUNTRY or len(code) > len("031") for code in found)
    }


def _names(headers: list[str]) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns' names as they are now, and of a former file its columns of numbers and what each of them says."""
    if "statistics_code" in headers:
        return headers, []
    names: list[str] = []
    values: list[tuple[int, dict[str, str]]] = []
    for position, header in enumerate(headers):
        if found := _FORMER_VARIABLE.fullmatch(header):
            part = "variable_attribute" if found[2] == "Auspraegung" else "variable"
            names.append(f"{found[1]}_{part}_{found[3].lower()}")
            continue
        if found := _FORMER_VALUE.fullmatch(header):
            values.append((position, {"value_variable_code": found[1], "value_unit": found[2]}))
        names.append(_FORMERLY.get(header, header))
    return names, values
