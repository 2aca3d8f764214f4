"""What every reader shares: recognising the layout, the shape of the result, and the checks on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from teilhabe.codes.groups import GROUP_COLUMNS
from teilhabe.codes.measures import counted_measures, measure_codes, numbered_measures
from teilhabe.codes.territory import CODE, from_regional_key
from teilhabe.codes.wording import spell_period
from teilhabe.columns.coded import coded, constant, plain
from teilhabe.contract.layouts import SymbolRules
from teilhabe.contract.model import Contract, Level
from teilhabe.errors import EVIDENCE_LIMIT, Evidence, Finding
from teilhabe.findings.saying import PLACE
from teilhabe.reading.cells import symbols
from teilhabe.reading.cells.as_seen import AsSeen
from teilhabe.reading.cells.key_completion import KeyCompletion
from teilhabe.reading.cells.keys import is_date, level_of, probable_key, shown
from teilhabe.reading.cells.labels import ValueColumn, normalise, unmarked
from teilhabe.reading.cells.periods import is_valid
from teilhabe.reading.cells.thousands import Thousands
from teilhabe.reading.cells.units import header_unit
from teilhabe.reading.files.appearance import Appearance
from teilhabe.reading.files.guard import guarded
from teilhabe.reading.files.source import Source
from teilhabe.reading.layouts.column_places import ColumnPlaces
from teilhabe.reading.layouts.duplicates import DuplicateRows, Hashes
from teilhabe.reading.layouts.excluding import RowsExcluded
from teilhabe.reading.layouts.telling import Telling
from teilhabe.reading.report import Report
from teilhabe.validation.rules.observation_rules import RULES, wrong_places

CHUNK_ROWS = 250_000

Columns = dict[str, pa.Array]
"""Columns of a chunk by name; ``_row_number`` and ``_column_number`` among them."""


@dataclass(frozen=True)
class ReadingContext:
    """What is known about a delivery beside its bytes."""

    received_at: datetime | None = None
    period: str | None = None
    """Period named at hand-in, for files that do not name it; must not contradict the file."""
    populations: Callable[[], dict[str, dict[str, float]]] | None = None
    """Reference year -> county -> population, to recognise the year of a file of rates."""
    sender: str | None = None
    """Territory code of the municipality that sent the file, where the contract names senders and it is known."""
    unit_code: Callable[[str], str | None] = lambda name: None
    """The key of the only unit a name can mean, as far as the register knows."""
    others: Callable[[], dict[str, Contract]] | None = None
    """All contracts, asked after a refusal only: to which dataset does the file belong?"""


class AnyReading(Protocol):
    """What judging and loading need of a reading, wherever its reader works."""

    excluded: RowsExcluded | None

    def chunks(self) -> Iterator[pa.Table]: ...

    @property
    def layout_name(self) -> str: ...

    @property
    def is_mendable(self) -> bool: ...

    @property
    def findings(self) -> list[Finding]: ...

    @property
    def symbols(self) -> Mapping[str, int]: ...

    @property
    def names_resolved(self) -> dict[str, str]: ...

    @property
    def contested(self) -> Hashes: ...

    @property
    def places(self) -> ColumnPlaces: ...


class Reading(Telling, ABC):
    """A delivered file as a tidy table; ``findings`` is complete once ``chunks`` is exhausted."""

    checks_levels = False
    """Whether a key of a level that the contract does not name is refused: where keys are typed by hand."""

    def __init__(self, contract: Contract, layout: Any, source: Source, context: ReadingContext) -> None:
        self.contract = contract
        self.layout = layout
        self.source = source
        self.context = context
        self.report: Report = source.report
        self.sheet: str | None = None
        """The sheet being read: row numbers count within it, so every finding about a row names it."""
        self.columns_read: frozenset[int] = frozenset()
        """The columns (from 0) of a sheet whose rows become rows as a whole, so that no number names its column."""
        self.texts_used: set[str] = set()
        """Normalised labels and headers that occurred, for the check of their validity."""
        self.excluded: RowsExcluded | None = None
        """Rows that are left out of ``chunks``; set before they are read."""
        self.names_resolved: dict[str, str] = {}
        """Names whose keys came from the register; complete once ``chunks`` is exhausted."""
        self.contested: Hashes = np.empty(0, np.uint64)
        """Keys about which the file says different things; complete once ``chunks`` is exhausted."""
        self.places = ColumnPlaces()
        """Where the columns of the contract stand in the file; complete once ``chunks`` is exhausted."""
        self.symbols: Counter[str] = Counter()
        """How often each sign, and ``0``, stood where a value belongs; complete once ``chunks`` is exhausted."""

    @classmethod
    @abstractmethod
    def refuses(cls, layout: Any, source: Source) -> str | None:
        """None when the bytes look like this layout, else what was found instead (part of a German sentence)."""

    @abstractmethod
    def _tidy(self) -> Iterator[Columns]:
        """Chunks of columns; ``value`` still as delivered only if the reader has converted it itself."""

    @property
    def layout_name(self) -> str:
        return str(self.layout.name)

    @property
    def is_mendable(self) -> bool:
        """Whether the office can send a mended file."""
        own: bool | None = self.layout.mendable
        return self.contract.mendable if own is None else own

    @property
    def findings(self) -> list[Finding]:
        return self.report.findings

    @property
    def rules(self) -> SymbolRules:
        return self.layout.symbols or self.contract.symbols

    def chunks(self) -> Iterator[pa.Table]:
        """Tables of the contract's columns in its order, plus ``_row_number``, ``_column_number`` and, of a workbook, ``_sheet``.

        All columns of the contract are texts, dictionary-coded: whoever works on them does so once per text.
        """
        return guarded(self._checked_chunks(), self)

    def _checked_chunks(self) -> Iterator[pa.Table]:
        duplicates = DuplicateRows(self.contract, self.report)
        thousands = self._thousands()
        seen = AsSeen(self.contract, self.report)
        rows = 0
        periods: set[str] = set()
        for columns in self._with_keys():
            self._check_territory(columns)
            self._check_period(columns)
            self._check_quotes(columns["_row_number"])
            if "period_code" in columns and self.layout.validity:
                periods.update(code for code in pc.unique(columns["period_code"]).to_pylist() if code)
            table = self._as_seen(self._conform(columns), seen)
            if self.contract.is_observation:
                self._check_rules(table)
            if self.excluded is not None:
                table = self.excluded.take_out(table, self.contract.unique_key, self.sheet)
            if thousands:
                thousands.see(table, self.sheet)
            table = duplicates.drop(table, self.sheet)
            rows += len(table)
            if len(table):
                yield table
        self.contested = duplicates.contested
        if thousands:
            thousands.tell(self.report)
        self._check_validity(periods)
        if not rows:
            raise self._no_rows()

    def _check_quotes(self, rows: pa.Array) -> None:
        """Where a quotation mark stands within a text in quotation marks, every program reads another text."""
        stray = self.source.stray_quotes
        wrong = sorted(stray.intersection(rows.to_pylist())) if stray else []
        if wrong:
            self.report.rows(
                "critical",
                "row.stray_quote",
                "mitten in einem Text, der in Anführungszeichen steht, steht noch ein Anführungszeichen; welcher Text gemeint "
                "ist, ist nicht zu erkennen",
                [Evidence(row, None, None) for row in wrong[:EVIDENCE_LIMIT]],
                expected='Anführungszeichen im Text doppelt ("")',
                count=len(wrong),
            )

    def _as_seen(self, table: pa.Table, seen: AsSeen) -> pa.Table:
        """The table held against what people see of its cells, where it comes from a sheet."""
        if self.sheet is None or not self.source.is_workbook:
            return table
        look = self.source.appearances.get(self.sheet, Appearance())
        self._check_texts(table)
        merges = self.source.merges.get(self.sheet, [])
        return seen.check(table, self.sheet, look, merges, self.source.all_sheets[self.sheet], self.columns_read)

    def _check_texts(self, table: pa.Table) -> None:
        """A name or a label that is an error or a formula nobody has calculated is no text."""
        for name in self.contract.column_names:
            if name in _NUMBER_COLUMNS:
                continue
            column = coded(table[name])
            texts = column.dictionary.to_pylist()
            kinds = [_kind_of_bad(text) if text[:1] in ("=", "#") else "" for text in texts]
            for rule, sentence, expected in _BAD_TEXTS:
                wrong = pa.array([kind == rule for kind in kinds], pa.bool_())
                if rule not in kinds:
                    continue
                where = pc.indices_nonzero(pc.fill_null(wrong.take(column.indices), False)).to_pylist()
                evidence = [self._in_words(table, i, name, column[i].as_py()) for i in where[:EVIDENCE_LIMIT]]
                self.report.rows(
                    "critical", rule, sentence, evidence, sheet=self.sheet, expected=expected, count=len(where)
                )

    def _with_keys(self) -> Iterator[Columns]:
        """The chunks, with keys that were left out or cannot be read completed where the name leaves no doubt."""
        if not self.contract.is_observation:
            yield from self._tidy()
            return
        completion = KeyCompletion(self.report, self.context.unit_code)
        for columns in self._tidy():
            self._shorten_regional_keys(columns)
            yield completion.settled(columns, self.sheet)
        for columns, sheet in completion.completed():
            self.sheet = sheet
            yield columns
        self.names_resolved = completion.from_register

    def _check_rules(self, table: pa.Table) -> None:
        """What the build would refuse, and what has no rule of its own before: the rest of ``observation_rules``."""
        checks = [
            ("value", "value"),
            ("period", "period_code"),
            *(("text", name) for name in self.contract.column_names),
        ]
        for rule, name in checks:
            if name not in table.column_names:
                continue
            column = coded(table[name])
            wrong = wrong_places(rule, column.dictionary)
            if not wrong:
                continue
            where = pc.indices_nonzero(pc.is_in(column.indices, pa.array(wrong, pa.int32()))).to_pylist()
            said = next(one for one in RULES if one.name == rule)
            shown_text = [
                (column[i].as_py() or "").encode("utf-8", "replace").decode().replace("\x00", "") for i in where
            ]
            self.report.rows(
                "critical",
                f"observation.{rule}",
                said.sentence,
                [
                    self._in_words(table, i, name, text)
                    for i, text in zip(where[:EVIDENCE_LIMIT], shown_text, strict=False)
                ],
                sheet=self.sheet,
                expected=said.expected,
                count=len(where),
            )

    def _in_words(self, table: pa.Table, index: int, name: str, found: str | None) -> Evidence:
        """A place of a row of the tidy table, with the cell or the office's own word for the column."""
        row, column = table["_row_number"][index].as_py(), table["_column_number"][index].as_py()
        if name == "value" and column:
            return Evidence(row, str(column), found)
        terms = {one.name: one.office_term or one.name for one in self.contract.columns}
        return Evidence(row, self.places.in_evidence(self.sheet, name) or terms.get(name, name), found)

    def _no_rows(self) -> Exception:
        unknown = next((finding for finding in self.findings if finding.rule == "label.unknown"), None)
        if unknown is None:
            return self.report.error(
                "file.no_rows", "Die Datei enthält keine einzige Datenzeile.", found="0 Zeilen", expected="Datenzeilen"
            )
        return self.report.error(
            "file.no_rows",
            f"Keine einzige Zeile hat die vereinbarten Ausprägungen: „{unknown.found}“"
            + (f" in Spalte „{unknown.column}“" if unknown.column else "")
            + " ist nicht vereinbart.",
            row=unknown.row,
            column=unknown.column,
            found=unknown.found,
            expected="vereinbarte Ausprägungen",
        )

    def _thousands(self) -> Thousands | None:
        if not self.contract.is_observation:
            return None
        project = self.contract.path.parents[2]
        mark = "," if getattr(self.layout, "numbers", None) == "german" else "."
        measure = self.contract.constants.get("measure_code")
        return Thousands(mark, measure, counted_measures(project), numbered_measures(project))

    def _conform(self, columns: Columns) -> pa.Table:
        size = len(columns["_row_number"])
        arrays = []
        for name in self.contract.column_names:
            default = "total" if name in GROUP_COLUMNS else None
            column = columns.get(name)
            arrays.append(constant(default, size) if column is None else coded(column))
        arrays += [columns["_row_number"].cast(pa.int32()), columns["_column_number"].cast(pa.int32())]
        names = [*self.contract.column_names, "_row_number", "_column_number"]
        if self.sheet is not None:
            arrays.append(constant(self.sheet, size))
            names.append("_sheet")
        return pa.Table.from_arrays(arrays, names=names)

    def convert(
        self,
        cells: pa.Array,
        row_numbers: pa.Array,
        column_name: str | Callable[[int], str],
        column_number: Callable[[int], int | None] = lambda _: None,
    ) -> symbols.Converted:
        """Cells -> values; text in a number column becomes one critical finding, and the value null.

        ``column_number`` where the other numbers of a row are right although one is not.
        """
        converted = symbols.convert(cells, self.rules, self.layout.numbers)
        self.symbols.update(symbols.tally(cells))
        bad = pc.indices_nonzero(converted.bad)
        if not len(bad):
            return converted
        name = column_name if callable(column_name) else lambda _: str(column_name)
        bare = pa.array([unmarked(text or "") for text in plain(cells).take(bad).to_pylist()], pa.string())
        if not bare.equals(plain(cells).take(bad)):
            converted, bad = self._without_marks(cells, converted, bad, bare, row_numbers, name, column_number)
        kinds = [_kind_of_bad(text) for text in pc.fill_null(plain(cells).take(bad), "").to_pylist()]
        for rule, sentence, expected in _BAD_CELLS:
            of_kind = bad.filter(pa.array([kind == rule for kind in kinds], pa.bool_()))
            if not len(of_kind):
                continue
            first = of_kind.slice(0, EVIDENCE_LIMIT).to_pylist()
            self.report.rows(
                "critical",
                rule,
                sentence,
                [
                    Evidence(
                        row_numbers[i].as_py(), name(i), shown(cells[i].as_py() or ""), column_number=column_number(i)
                    )
                    for i in first
                ],
                sheet=self.sheet,
                expected=symbols.wanted(self.rules) if expected == _NUMBER_OR_SIGN else expected,
                count=len(np.unique(row_numbers.take(of_kind).to_numpy())),
            )
        return converted

    def _without_marks(
        self,
        cells: pa.Array,
        converted: symbols.Converted,
        bad: pa.Array,
        bare: pa.Array,
        row_numbers: pa.Array,
        name: Callable[[int], str],
        column_number: Callable[[int], int | None],
    ) -> tuple[symbols.Converted, pa.Array]:
        """The cells that are numbers or signs but for a footnote mark, converted without it, and which are still bad."""
        again = symbols.convert(bare, self.rules, self.layout.numbers)
        mended = bad.filter(pc.invert(again.bad))
        if not len(mended):
            return converted, bad
        mask = np.zeros(len(cells), np.bool_)
        mask[mended.to_numpy()] = True
        good = pc.invert(again.bad)

        def put(column: pa.Array, new: pa.Array) -> pa.Array:
            return pc.replace_with_mask(plain(column), pa.array(mask), plain(new).filter(good))

        first = mended.slice(0, EVIDENCE_LIMIT).to_pylist()
        self.report.rows(
            "warning",
            "value.footnote_mark",
            "hinter der Zahl „{found}“ steht ein Fußnotenzeichen; gelesen wurde die Zahl ohne das Zeichen",
            [
                Evidence(row_numbers[i].as_py(), name(i), plain(cells)[i].as_py(), column_number=column_number(i))
                for i in first
            ],
            sheet=self.sheet,
            expected="eine Zahl ohne Fußnotenzeichen",
            count=len(mended),
        )
        still = converted.bad.to_numpy(zero_copy_only=False) & ~mask
        put_in = symbols.Converted(
            put(converted.value, again.value),
            put(converted.obs_status, again.obs_status),
            put(converted.conf_status, again.conf_status),
            pa.array(still),
            put(converted.dash, again.dash),
        )
        return put_in, pc.indices_nonzero(put_in.bad)

    def counts(self, measure: str | None) -> bool | None:
        """Whether a measure is a number of things; None where that is not known."""
        project = self.contract.path.parents[2]
        if measure not in measure_codes(project):
            return None
        return measure in numbered_measures(project)

    def check_units(self, columns: Sequence[ValueColumn], row: int | None) -> None:
        """A column whose header names another unit than its numbers are agreed in ends the reading."""
        agreed = {normalise(text) for text, found in getattr(self.layout, "labels", {}).items() if found}
        for column in columns:
            counted = self.counts(column.coordinates.get("measure_code") or self.contract.constants.get("measure_code"))
            units = {header_unit(text) for text in column.texts if normalise(text) not in agreed}
            wrong = "share" if counted else "count"
            if counted is None or wrong not in units or len(units & {"share", "count"}) > 1:
                continue
            found = next(text for text in column.texts if header_unit(text) == wrong)
            expected = "eine Anzahl" if counted else "ein Anteil"
            raise self.report.error(
                "header.unit",
                f"{PLACE}Hier steht die Einheit „{found}“; vereinbart ist {expected}.",
                sheet=self.sheet,
                row=row,
                column=str(column.position + 1),
                found=found,
                expected=expected,
            )

    def _shorten_regional_keys(self, columns: Columns) -> None:
        """The one key of a unit that all datasets share, where the file has its longer one, and that is said."""
        codes = columns.get("territory_code")
        if codes is None or not self.contract.is_observation:
            return
        given = coded(codes)
        short = [from_regional_key(code, self.contract.levels) for code in given.dictionary.to_pylist()]
        changed = pa.array(short, given.dictionary.type)
        if changed.equals(given.dictionary):
            return
        columns["territory_code"] = changed.take(given.indices)
        where = pc.indices_nonzero(pc.fill_null(pc.not_equal(given.dictionary, changed).take(given.indices), False))
        numbers = columns["_row_number"].take(where).to_pylist()
        # A row of several numbers has one key.
        places = dict(zip(reversed(numbers), reversed(where.to_pylist()), strict=True))
        column = self._key_column()
        evidence = [
            Evidence(number, column, codes[at].as_py(), columns["territory_code"][at].as_py())
            for number, at in sorted(places.items())[:EVIDENCE_LIMIT]
        ]
        self.report.rows(
            "info",
            "key.regional",
            "der Regionalschlüssel „{found}“ wurde als amtlicher Gebietsschlüssel gelesen",
            evidence,
            column=None if self.sheet else column,
            sheet=self.sheet,
            expected="den amtlichen Gebietsschlüssel",
            count=len(places),
        )

    def _check_territory(self, columns: Columns) -> None:
        codes = columns.get("territory_code")
        if codes is None or not self.contract.is_observation:
            return
        coded = codes.dictionary_encode()
        texts = coded.dictionary.to_pylist()
        wrong = [bool(code is None or not self._is_key(code)) for code in texts]
        if not any(wrong) and not codes.null_count:
            return
        in_cells = self.sheet is not None
        kinds = [
            _kind_of_key(code or "", in_cells=in_cells) if is_wrong else ""
            for code, is_wrong in zip(texts, wrong, strict=True)
        ]
        column = self._key_column()
        for rule, sentence in _BAD_KEYS:
            of_kind = pa.array([kind == rule for kind in kinds], pa.bool_())
            where = pc.indices_nonzero(pc.fill_null(of_kind.take(coded.indices), rule == _NO_KEY))
            if not len(where):
                continue
            found = [codes[i].as_py() for i in where.slice(0, EVIDENCE_LIMIT).to_pylist()]
            evidence = [
                Evidence(columns["_row_number"][i].as_py(), column, shown(text) if text else None, self._typed(text))
                for i, text in zip(where.slice(0, EVIDENCE_LIMIT).to_pylist(), found, strict=True)
            ]
            self.report.rows(
                "critical",
                rule if rule == "key.is_a_date" else "key.invalid",
                sentence,
                evidence,
                column=None if self.sheet else column,
                sheet=self.sheet,
                expected=self._expected_keys(),
                count=len(where),
                apart=rule,
            )

    def _key_column(self) -> str:
        """Where the keys of the sheet stand: with a row it names a cell. In a text file it is what the file calls them."""
        return self.places.in_evidence(self.sheet, "territory_code") or "Gebietsschlüssel"

    def _typed(self, text: str | None) -> str | None:
        """The key of which a program made this date."""
        width = 8 if "municipality" in self.contract.levels else 5
        return probable_key(text, width) if text and is_date(text) else None

    def _is_key(self, code: str) -> bool:
        if not CODE.fullmatch(code):
            return False
        return not self.checks_levels or level_of(code) in self.contract.levels

    def _expected_keys(self) -> str:
        if not self.checks_levels:
            return "DG oder 2, 3, 5, 8 oder 9 Ziffern"
        return "amtlicher Schlüssel: " + ", ".join(_LEVELS_DE[level] for level in self.contract.levels)

    def _check_validity(self, periods: set[str]) -> None:
        """A text outside the time in which it belongs to the layout is read, and told."""
        for text, validity in self.layout.validity.items():
            if normalise(text) not in self.texts_used or not periods:
                continue
            if any(is_valid(validity, period) for period in periods):
                continue
            time = " ".join(
                part
                for part in (
                    validity.since and f"ab {spell_period(validity.since)}",
                    validity.until and f"bis {spell_period(validity.until)}",
                )
                if part
            )
            delivered = ", ".join(map(spell_period, sorted(periods)[:3]))
            self.report.note(
                "warning",
                "header.outside_validity",
                f"„{text}“ ist nur {time} vereinbart, die Datei ist aber für {delivered}; gelesen wurde es trotzdem.",
                column=text,
                found=delivered,
                expected=time,
            )

    def _check_period(self, columns: Columns) -> None:
        """A period named at hand-in must not contradict the file."""
        if self.context.period is None or "period_code" not in columns:
            return
        other = [code for code in pc.unique(columns["period_code"]).to_pylist() if code != self.context.period]
        if other:
            raise self.report.error(
                "period.contradiction",
                f"Die Datei ist für {spell_period(other[0])}, angekündigt wurde {spell_period(self.context.period)}.",
                found=other[0],
                expected=self.context.period,
            )


_NUMBER_COLUMNS = frozenset({"value", "obs_status", "conf_status", "territory_code", "period_code"})
"""Columns whose texts have checks of their own."""

_BAD_TEXTS = (
    (
        "value.formula_without_result",
        "in der Zelle steht eine Formel, deren Ergebnis nicht gespeichert ist („{found}“)",
        "die Datei in Excel geöffnet, gespeichert und neu gesendet, oder der Wert statt der Formel",
    ),
    (
        "value.is_an_error",
        "in der Zelle steht der Fehlerwert „{found}“",
        "eine Formel ohne Fehler, oder der Wert selbst",
    ),
)
"""What programs leave in a cell instead of what was meant: rule, sentence, what was expected."""

_NUMBER_OR_SIGN = "eine Zahl oder ein vereinbartes Zeichen"
"""Stands for the signs of the layout, which are listed."""
_BAD_CELLS = (
    ("value.missing", "die Zelle ist leer", _NUMBER_OR_SIGN),
    ("value.is_a_date", "aus der Zahl ist ein Datum geworden („{found}“)", "eine Zahl, die Zelle als Zahl formatiert"),
    *_BAD_TEXTS,
    (
        "value.not_a_number",
        "„{found}“ ist keine Zahl und kein vereinbartes Zeichen",
        _NUMBER_OR_SIGN,
    ),
)
"""What can stand in a number's cell that is neither number nor sign: rule, sentence, what was expected."""

_LEVELS_DE: dict[Level, str] = {
    "country": "DG",
    "state": "Land (2 Ziffern)",
    "region": "Region (3 Ziffern)",
    "county": "Kreis (5 Ziffern)",
    "association": "Verband (9 Ziffern)",
    "municipality": "Gemeinde (8 Ziffern)",
}


_ERRORS = frozenset(
    "#DIV/0! #N/A #NAME? #NULL! #NUM! #REF! #VALUE! #SPILL! #CALC! #GETTING_DATA "  # noqa: SIM905
    "#NV #BEZUG! #WERT! #ZAHL! #ÜBERLAUF! #UNBEKANNT!".split()
)
"""As programs store them, and as a German Excel shows them."""


def _kind_of_bad(text: str) -> str:
    text = text.strip()
    if not text:
        return "value.missing"
    if text.startswith("=") and len(text) > 1:
        return "value.formula_without_result"
    if text.upper() in _ERRORS:
        return "value.is_an_error"
    return "value.is_a_date" if is_date(text) else "value.not_a_number"


_NO_KEY = "no key"
_BAD_KEYS = (
    (_NO_KEY, "der Gebietsschlüssel fehlt"),
    ("key.is_a_date", "aus dem Gebietsschlüssel ist das Datum „{found}“ geworden"),
    *((rule, sentence) for rule, sentence, _ in _BAD_TEXTS),
    ("key.invalid", "„{found}“ ist kein amtlicher Gebietsschlüssel"),
)
"""What can stand in a key's cell that is no key: rule, sentence."""


def _kind_of_key(text: str, *, in_cells: bool) -> str:
    """Formulas and their errors are those of a workbook; in a text file they are texts like any other."""
    kind = {"value.missing": _NO_KEY, "value.is_a_date": "key.is_a_date"}.get(_kind_of_bad(text), _kind_of_bad(text))
    known = {_NO_KEY, "key.is_a_date", *(rule for rule, _, _ in _BAD_TEXTS if in_cells)}
    return kind if kind in known else "key.invalid"


def repeat(value: str | None, size: int) -> pa.Array:
    """A column that says the same in every row."""
    return pa.nulls(size, pa.string()) if value is None else pa.repeat(value, size)
