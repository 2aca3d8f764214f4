"""Reader for the wide CSV of GENESIS tables: title lines, header rows, key columns, numbers, a footer with the date."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.codes.territory import from_genesis, is_genesis_key, map_distinct, with_lost_zero
from teilhabe.codes.wording import spell_period, wanted_period
from teilhabe.contract.layouts import GenesisCsv
from teilhabe.errors import EVIDENCE_LIMIT, Evidence
from teilhabe.reading.cells import unpublished
from teilhabe.reading.cells.labels import Dictionary, Header, ValueColumn, clean, headline, normalise, read_header
from teilhabe.reading.cells.periods import is_valid, parse_period
from teilhabe.reading.cells.units import title_unit
from teilhabe.reading.cells.unpublished import groups, holds_for_all
from teilhabe.reading.files.source import Source
from teilhabe.reading.files.text import wrong_delimiter
from teilhabe.reading.layouts.base import CHUNK_ROWS, Columns, Reading, repeat

_DELIMITER = ";"
_FIRST_LINE = "GENESIS-Tabelle:"
_TABLE = re.compile(r"(?:GENESIS-)?Tabelle:\s*([\w-]+)")
_DEPTH = re.compile(r"(\d{5}-\d{2}-\d{2}-)([1-5])")
"""The last digit says down to which territories a table goes: 1 states, 4 counties, 5 municipalities."""
_WORD = re.compile(r"[^\W\d_]{3}")
_FOOTER = re.compile(r'"?_{5,}')
_STAND = re.compile(r"(?:.*[|,\s])?Stand:?\s*(?:\d{1,2}\.\d{1,2}\.\d{4}|\d{4}-\d{2}-\d{2})")
_MADE = re.compile(r"\s*(?:Stand|Abruf|erstellt)", re.IGNORECASE)


@dataclass
class _Row:
    number: int
    cells: list[str]


class GenesisReading(Reading):
    layout: GenesisCsv

    @classmethod
    def refuses(cls, layout: GenesisCsv, source: Source) -> str | None:
        if source.kind != "text":
            return source.kind_de
        first = source.head_lines[0].strip().strip(";").strip('"')
        found = _TABLE.match(first)
        if found is None:
            return f"die erste Zeile ist nicht „{_FIRST_LINE} {layout.table}“"
        if source.delimiter != _DELIMITER and not any(line.count(_DELIMITER) > 1 for line in source.head_lines):
            return wrong_delimiter(source.delimiter, _DELIMITER)
        return None if _is_part_of(found[1], layout.table) else f"GENESIS-Tabelle {found[1]} statt {layout.table}"

    def _tidy(self) -> Iterator[Columns]:
        body = self._body()
        self._key_columns, start = self._layout_of_keys(body)
        header, period = self._header(body[:start], body[start:])
        yield from self._observations(body[start:], header, period)

    def _layout_of_keys(self, body: list[_Row]) -> tuple[list[str], int]:
        """The leading columns as this file has them, and the first row of data.

        GENESIS puts the period of a table into its title, its header or a first column, depending on how many there are.
        """
        agreed: list[str] = list(self.layout.keys)
        without: list[str] = [key for key in agreed if key != "period_code"]
        for keys in (agreed, without, ["period_code", *without]):
            start = next((i for i, row in enumerate(body) if self._is_data(row.cells, keys)), None)
            if start is not None:
                return keys, start
        raise self.report.error(
            "file.no_rows", "Unter dem Tabellenkopf steht keine Zeile mit einem Gebietsschlüssel.", found="0 Zeilen"
        )

    def _is_data(self, cells: list[str], keys: list[str]) -> bool:
        if not _is_data(cells, keys.index("territory_code")):
            return False
        return "period_code" not in keys or bool(parse_period(cells[keys.index("period_code")], self.layout.period))

    def _body(self) -> list[_Row]:
        """All records above the footer; a file without the footer's date was cut off on its way."""
        lines = self.source.lines
        end = next((i for i, line in enumerate(lines) if _FOOTER.match(line)), None)
        if end is None or not any(_STAND.match(line.strip('"; ')) for line in lines[end:]):
            last = self.source.row(len(lines) if lines[-1] else len(lines) - 1)
            raise self.report.error(
                "file.truncated",
                f"Die Datei endet in Zeile {last} ohne die Schlusszeile „Stand: …“, sie ist unvollständig übertragen.",
                row=last,
                found="keine Schlusszeile",
                expected="Fußzeile mit „Stand: TT.MM.JJJJ“",
            )
        self.source.refuse_open_quote(before=self.source.row(end + 1))
        reader = csv.reader(lines[:end], delimiter=";")
        return [_Row(self.source.row(record), cells) for record, cells in enumerate(reader, start=1)]

    def _header(self, rows: list[_Row], data: list[_Row]) -> tuple[Header, str | None]:
        keys = len(self._key_columns)
        wide = [row for row in rows if any(cell.strip() for cell in row.cells[keys:])]
        titles = [row for row in rows if row.cells and row.cells[0].strip() and row not in wide]
        period = self._title_period(titles[1:])
        dictionary = self._dictionary = Dictionary(self.layout.labels, self.layout.optional, self.layout.validity)
        wide = self._without_headline(wide, keys)
        header = read_header([row.cells for row in wide], keys, dictionary, self.layout.period)
        for position, text in header.unknown:
            self.tell_unknown_column(position, text, wide[0].number)
        self._times = {
            column.coordinates["period_code"] for column in header.columns if "period_code" in column.coordinates
        }
        if "period_code" in self._key_columns:
            at = self._key_columns.index("period_code")
            delivered = {row.cells[at] for row in data if at < len(row.cells)}
            self._times |= {code for text in delivered if (code := parse_period(text, self.layout.period))}
        elif not self._times and period is not None:
            self._times = {period}
        self._check_header(header, wide)
        self.check_units(header.columns, wide[0].number if wide else None)
        self._check_title_unit(titles)
        return header, period

    def _without_headline(self, wide: list[_Row], keys: int) -> list[_Row]:
        """The header rows that tell columns apart; a headline over all of them is worded anew now and then."""
        kept = []
        for row in wide:
            text = headline(row.cells, keys, self._dictionary, self.layout.period) if len(wide) > 1 else None
            if text is None:
                kept.append(row)
                continue
            self.report.note(
                "info",
                "header.headline",
                f"In Zeile {row.number} steht „{text}“ über allen Spalten; gelesen wurden die Ausprägungen darunter.",
                row=row.number,
                found=text,
            )
        return kept

    def _check_title_unit(self, titles: list[_Row]) -> None:
        """A table of one kind of number may have its unit in the title instead of above its columns."""
        counted = self.counts(self.contract.constants.get("measure_code"))
        for row in titles:
            found = title_unit(row.cells[0])
            if counted and found is not None and found[1] != "count":
                raise self.report.error(
                    "header.unit",
                    f"In Zeile {row.number} steht die Einheit „{found[0]}“; vereinbart ist eine Anzahl.",
                    row=row.number,
                    found=found[0],
                    expected="Anzahl",
                )

    def _title_period(self, titles: list[_Row]) -> str | None:
        """The period a title line consists of; a line that says when the table was made does not count."""
        found = {
            code: row.number
            for row in titles
            if not _MADE.match(row.cells[0]) and (code := parse_period(row.cells[0], self.layout.period))
        }
        if len(found) > 1:
            codes = list(found)
            raise self.report.error(
                "period.contradiction",
                f"Die Titelzeilen nennen zwei Berichtszeiträume: {spell_period(codes[0])} und, in Zeile {found[codes[1]]}, "
                f"{spell_period(codes[1])}.",
                row=found[codes[1]],
                found=codes[1],
                expected=codes[0],
            )
        return next(iter(found), None)

    def _check_header(self, header: Header, wide: list[_Row]) -> None:
        unknown = ", ".join(f"„{text}“" for _, text in header.unknown[:5])
        hint = f"; unbekannt ist stattdessen {unknown}" if unknown else ""
        row = wide[0].number if wide else None
        periods = {column.coordinates.get("period_code") for column in header.columns} or {None}
        expected = self.layout.value_columns * len(periods)
        places: dict[tuple[tuple[str, str], ...], ValueColumn] = {}
        for column in header.columns:
            place = tuple(sorted(column.coordinates.items()))
            if place in places:
                raise self.report.error(
                    "header.duplicate_column",
                    f"Die Spalten {places[place].position + 1} und {column.position + 1} haben dieselbe Überschrift.",
                    row=row,
                    column=str(column.position + 1),
                    found=" / ".join(value for _, value in place),
                )
            places[place] = column
        missing = self._dictionary.missing(header.seen, self._times) if "label" not in self._key_columns else []
        if missing or (len(header.columns) < expected and not self._is_out_of_time()):
            what = f"die Spalte „{missing[0]}“" if missing else f"mindestens eine von {expected} Wertspalten"
            raise self.report.error(
                "header.missing_column",
                f"Im Tabellenkopf fehlt {what}{hint}.",
                row=row,
                column=missing[0] if missing else None,
                found=f"{len(header.columns)} Wertspalten",
                expected=f"{expected} Wertspalten",
            )

    def _is_out_of_time(self) -> bool:
        """Whether an agreed text is absent because its time is over or has not begun."""
        return any(
            normalise(text) not in self._dictionary.used and not any(is_valid(validity, one) for one in self._times)
            for text, validity in self.layout.validity.items()
        )

    def _observations(self, rows: list[_Row], header: Header, period: str | None) -> Iterator[Columns]:
        named = [
            *(column.position for column in header.columns),
            *(position for position, _ in header.unknown),
            *header.not_loaded,
        ]
        width = max(named, default=len(self._key_columns) - 1) + 1
        rows = self._complete_rows(self._without_notes(rows), width)
        self._tell_nameless(rows, set(range(len(self._key_columns), width)) - set(named))
        size, columns = len(rows), header.columns
        numbers = pa.array([row.number for row in rows], pa.int32())
        keys, loaded = self._keys(rows, header)
        if loaded is not None:
            rows = [row for row, keep in zip(rows, loaded, strict=True) if keep]
            numbers, size = numbers.filter(pa.array(loaded)), len(rows)
        by_row = np.repeat(np.arange(size), len(columns))
        cells = pa.array([row.cells[column.position] for row in rows for column in columns], pa.string())
        row_numbers = numbers.take(pa.array(by_row))
        converted = self.convert(
            cells,
            row_numbers,
            lambda i: str(columns[i % len(columns)].position + 1),
            lambda i: columns[i % len(columns)].position + 1,
        )
        tidy: Columns = {name: array.take(pa.array(by_row)) for name, array in keys.items()}
        for name in self._header_names(header):
            texts = pa.array([column.coordinates.get(name) for column in columns], pa.string())
            tiled = texts.take(pa.array(np.tile(np.arange(len(columns)), size)))
            tidy[name] = tiled if name not in tidy else pc.coalesce(tiled, tidy[name])
        if "period_code" not in tidy:
            tidy["period_code"] = repeat(self._one_period(period), len(cells))
        for name in ("nationality", "sex", "age_band", "category"):
            if name in tidy:
                tidy[name] = pc.fill_null(tidy[name], "total")
        position = self._key_columns.index("territory_code")
        delivered = pa.array([row.cells[position].strip() for row in rows], pa.string()).take(pa.array(by_row))
        tidy |= {"value": converted.value, "obs_status": converted.obs_status, "conf_status": converted.conf_status}
        if self.rules.dash == "missing_when_all":
            kept = unpublished.values(converted, delivered, tidy["period_code"], self._rates(columns, size))
            tidy |= {name: kept[name].combine_chunks() for name in kept.column_names}
        tidy["_row_number"] = row_numbers
        tidy["_column_number"] = pa.array(np.tile([column.position + 1 for column in columns], size), pa.int32())
        self.texts_used |= self._dictionary.used
        silent = pc.or_(converted.dash, pc.is_null(converted.value))
        tidy = self._one_row_per_municipality(tidy, delivered, silent)
        for offset in range(0, len(tidy["_row_number"]), CHUNK_ROWS):
            yield {name: array.slice(offset, CHUNK_ROWS) for name, array in tidy.items()}

    @staticmethod
    def _header_names(header: Header) -> list[str]:
        return sorted({name for column in header.columns for name in column.coordinates})

    def _one_period(self, period: str | None) -> str:
        if period is None:
            raise self.report.error(
                "period.not_found",
                "Weder in den Titelzeilen noch im Tabellenkopf steht der Berichtszeitraum.",
                expected=wanted_period(self.layout.period),
            )
        return period

    def _without_notes(self, rows: list[_Row]) -> list[_Row]:
        """The rows with more than one text: between them offices leave blank lines and remarks."""
        filled = [[cell.strip() for cell in row.cells if cell.strip()] for row in rows]
        is_note = [
            len(texts) == 1 and bool(_WORD.search(texts[0])) and not parse_period(texts[0], self.layout.period)
            for texts in filled
        ]
        notes = [
            Evidence(row.number, None, texts[0]) for row, texts, is_ in zip(rows, filled, is_note, strict=True) if is_
        ]
        if notes:
            self.report.rows(
                "info",
                "row.note",
                "zwischen den Zeilen steht eine Anmerkung ohne Schlüssel und Zahlen; sie wird nicht geladen",
                notes[:EVIDENCE_LIMIT],
                count=len(notes),
            )
        return [row for row, texts, is_ in zip(rows, filled, is_note, strict=True) if texts and not is_]

    def _tell_nameless(self, rows: list[_Row], positions: set[int]) -> None:
        for position in sorted(positions):
            self.tell_nameless_column(position, [(row.number, row.cells[position]) for row in rows])

    def _complete_rows(self, rows: list[_Row], width: int) -> list[_Row]:
        ragged = [row for row in rows if len(row.cells) != width and any(cell.strip() for cell in row.cells)]
        if ragged:
            self.report.rows(
                "critical",
                "row.ragged",
                f"die Zeile hat {{found}} statt {width} Spalten",
                [Evidence(row.number, None, str(len(row.cells))) for row in ragged[:EVIDENCE_LIMIT]],
                expected=f"{width} Spalten",
                count=len(ragged),
            )
        return [row for row in rows if len(row.cells) == width]

    def _keys(self, rows: list[_Row], header: Header) -> tuple[Columns, list[bool] | None]:
        """The key columns, one entry per row; rows whose label is not loaded are masked out."""
        keys: Columns = {}
        loaded: list[bool] | None = None
        for position, key in enumerate(self._key_columns):
            texts = pa.array([row.cells[position] for row in rows], pa.string())
            if key == "territory_code":
                texts = pc.utf8_trim_whitespace(texts)
                self.tell_zeros(texts.to_pylist(), [row.number for row in rows])
                keys[key] = map_distinct(texts, _code)
            elif key == "territory_name":
                keys[key] = pc.utf8_trim_whitespace(texts)
            elif key == "period_code":
                keys[key] = self._periods(texts, rows)
            else:
                labelled, loaded = self._row_labels(texts, rows, header)
                keys |= labelled
        if loaded is not None:
            mask = pa.array(loaded)
            keys = {name: array.filter(mask) for name, array in keys.items()}
        return keys, loaded

    def _periods(self, texts: pa.Array, rows: list[_Row]) -> pa.Array:
        codes = map_distinct(texts, lambda text: parse_period(text, self.layout.period))
        wrong = pc.indices_nonzero(pc.is_null(codes)).to_pylist()
        if wrong:
            self.tell_wrong_periods(
                [(rows[at].number, texts[at].as_py().strip()) for at in wrong],
                str(self._key_columns.index("period_code") + 1),
            )
        return codes

    def _row_labels(self, texts: pa.Array, rows: list[_Row], header: Header) -> tuple[Columns, list[bool]]:
        distinct = {text: clean(text) for text in set(texts.to_pylist())}
        found = {text: self._dictionary[label] for text, label in distinct.items() if label in self._dictionary}
        unknown = sorted(text for text in distinct if text not in found)
        for text in unknown:
            numbers = [row.number for row, cell in zip(rows, texts.to_pylist(), strict=True) if cell == text]
            self.tell_unknown_label(clean(text), numbers, str(self._key_columns.index("label") + 1), None)
        missing = self._dictionary.missing([*header.seen, *(c for c in found.values() if c)], self._times)
        if missing:
            raise self.report.error(
                "header.missing_column",
                f"Die Ausprägung „{missing[0]}“ kommt in keiner Zeile und keiner Überschrift vor.",
                column=missing[0],
                expected=missing[0],
            )
        names = sorted({name for coordinates in found.values() if coordinates for name in coordinates})
        columns = {
            name: pa.array([(found.get(text) or {}).get(name) for text in texts.to_pylist()], pa.string())
            for name in names
        }
        return columns, [found.get(text) is not None for text in texts.to_pylist()]

    def _rates(self, columns: list[ValueColumn], size: int) -> pa.Array:
        """Which cells are no counts: their zero is never written as a dash."""
        common = self.contract.constants.get("measure_code")
        rates = [self.counts(column.coordinates.get("measure_code") or common) is False for column in columns]
        return pa.array(np.tile(rates, size))

    def _one_row_per_municipality(self, tidy: Columns, delivered: pa.Array, silent: pa.Array) -> Columns:
        """A municipality that changed its association has a row under each; the one without numbers is left out."""
        keys, codes = delivered.dictionary_encode(), tidy["territory_code"].dictionary_encode()
        pairs = np.unique(np.stack([codes.indices.to_numpy(), keys.indices.to_numpy()]), axis=1)
        shared = np.bincount(pairs[0], minlength=len(codes.dictionary)) > 1
        if not shared.any():
            return tidy
        place = groups(tidy["territory_code"], tidy["period_code"])
        empty = holds_for_all(silent, groups(delivered, tidy["period_code"]))
        spoken = ~holds_for_all(pa.array(empty), place)
        first = np.full(place.max() + 1, len(keys.dictionary), dtype=np.int64)
        np.minimum.at(first, place, keys.indices.to_numpy())
        is_first = first[place] == keys.indices.to_numpy()
        superfluous = shared[codes.indices.to_numpy()] & empty & (spoken | ~is_first)
        if superfluous.any():
            rows, where = np.unique(tidy["_row_number"].to_numpy()[superfluous], return_index=True)
            names = delivered.filter(pa.array(superfluous)).take(pa.array(where[:EVIDENCE_LIMIT])).to_pylist()
            self.report.rows(
                "info",
                "key.same_municipality",
                "die Gemeinde „{found}“ steht auch unter einem anderen Verband; die Zeile ohne Zahlen zählt nicht",
                [Evidence(int(row), None, name) for row, name in zip(rows, names, strict=False)],
                count=len(rows),
            )
        keep = pa.array(~superfluous)
        return {name: array.filter(keep) for name, array in tidy.items()}


def _is_part_of(table: str, agreed: str) -> bool:
    """The agreed table, or the same one for larger territories only: ``12411-01-01-4`` has the counties of ``12411-01-01-5``."""
    if table == agreed:
        return True
    depth, whole = _DEPTH.fullmatch(table), _DEPTH.fullmatch(agreed)
    return bool(depth and whole and depth[1] == whole[1] and depth[2] < whole[2])


def _is_data(cells: list[str], key: int) -> bool:
    """A key and a name; a number that became a key only by a zero put before it needs a name in letters beside it."""
    if len(cells) <= key + 1:
        return False
    text, name = cells[key].strip(), cells[key + 1].strip()
    if with_lost_zero(text):
        return any(map(str.isalpha, name)) and not is_genesis_key(name)  # 2016;DG is a year beside a key
    return is_genesis_key(text) and bool(name)


def _code(text: str) -> str:
    return from_genesis(with_lost_zero(text) or text)
