"""The verdict on single rows, chunk by chunk, with evidence up to its limit."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from teilhabe.errors import EVIDENCE_LIMIT, Evidence, Finding
from teilhabe.validation.expectation_runs import Expectation, run_expectations
from teilhabe.validation.single_texts import NOT_NULL, Witnesses, is_about_one_text, side_by_side
from teilhabe.validation.wording import as_finding, key_place, text_in_words, to_frame, value_place

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from teilhabe.columns.coded import Codes
    from teilhabe.contract.model import Contract
    from teilhabe.reading.layouts.column_places import ColumnPlaces
    from teilhabe.validation.register import Register

_LIKE_THOUSANDS = re.compile(r"-?\d{1,3}[.,]\d{3}")
_ABOUT_KEYS = frozenset({"key.unknown", "key.ended", "key.outdated", "key.unlisted", "name.of_other_key"})


class Judge:
    """Runs the row expectations on chunk after chunk and keeps one finding per broken rule."""

    def __init__(
        self, expectations: Sequence[Expectation], contract: Contract, file_name: str, register: Register
    ) -> None:
        self._expectations = list(expectations)
        self._register = register
        self._contract = contract
        self._file_name = file_name
        self._counts: Counter[int] = Counter()
        self._elements: Counter[int] = Counter()
        self._places: dict[int, list[pd.DataFrame]] = defaultdict(list)
        self._bad: dict[int, set[str | None]] = defaultdict(set)
        """Texts of this delivery an expectation was not satisfied with."""
        self._by_column: dict[str, list[int]] = defaultdict(list)
        self._about_rows: list[int] = []
        for number, expectation in enumerate(self._expectations):
            if is_about_one_text(expectation):
                self._by_column[expectation.kwargs["column"]].append(number)
            else:
                self._about_rows.append(number)

    def add(self, chunk: pa.Table) -> None:
        for column, numbers in self._by_column.items():
            array = chunk[column].chunk(0)
            for number in numbers:
                is_about_gaps = self._expectations[number].type == NOT_NULL
                self._elements[number] += len(array) - (0 if is_about_gaps else array.null_count)
        for number, broken in self._broken_texts(chunk).items():
            self._note_rows(number, chunk, broken)
        if self._about_rows:
            frame = to_frame(chunk)
            full = {number for number in self._about_rows if self._kept(number) >= EVIDENCE_LIMIT}
            for some, rows in ((set(self._about_rows) - full, True), (full, False)):
                self._count(frame, sorted(some), rows=rows)

    def _note_rows(self, number: int, chunk: pa.Table, broken: Codes) -> None:
        """Count the rows that have one of these texts, and keep the first of them."""
        import numpy as np
        import pyarrow as pa

        from teilhabe.columns.coded import codes

        array = chunk[self._expectations[number].kwargs["column"]].chunk(0)
        is_broken = np.zeros(len(array.dictionary) + 1, dtype=bool)
        is_broken[broken] = True
        rows = np.flatnonzero(is_broken[codes(array)])
        self._counts[number] += len(rows)
        if (room := EVIDENCE_LIMIT - self._kept(number)) > 0 and len(rows):
            columns = [name for name in self._evidence_columns(number) if name in chunk.column_names]
            first = chunk.select(columns).take(pa.array(rows[:room])).combine_chunks()
            self._places[number].append(to_frame(first))

    def _count(self, frame: pd.DataFrame, numbers: Sequence[int], *, rows: bool) -> None:
        """Count what breaks these rules about more than one text; with ``rows`` also keep the first places of it."""
        if not numbers:
            return
        results = run_expectations(frame, [self._expectations[n] for n in numbers], rows=rows)
        for number, result in zip(numbers, results, strict=True):
            self._elements[number] += int(result.get("element_count", 0)) - int(result.get("missing_count") or 0)
            self._counts[number] += int(result.get("unexpected_count", 0))
            if broken := result.get("unexpected_index_list"):
                columns = [name for name in self._evidence_columns(number) if name in frame]
                self._places[number].append(frame.loc[broken[: EVIDENCE_LIMIT - self._kept(number)], columns])

    def _kept(self, number: int) -> int:
        return sum(map(len, self._places[number]))

    @staticmethod
    def _shown(expectation: Expectation) -> str | None:
        return expectation.shown_column or expectation.column

    def _evidence_columns(self, number: int) -> list[str]:
        shown = self._shown(self._expectations[number])
        columns = ("_row_number", "_column_number", "_sheet", "territory_code", "territory_name", shown)
        return [name for name in dict.fromkeys(columns) if name]

    def _broken_texts(self, chunk: pa.Table) -> dict[int, Codes]:
        """Codes of the texts that do not satisfy an expectation about one text, for each that has some."""
        import numpy as np

        asked: list[tuple[int, Witnesses]] = []
        found: dict[int, list[Codes]] = defaultdict(list)
        for column, numbers in self._by_column.items():
            array = chunk[column].chunk(0)
            for number in numbers:
                witnesses = Witnesses.of(self._expectations[number], array, self._bad[number])
                if len(witnesses.known_bad):
                    found[number].append(witnesses.known_bad)
                if not witnesses.are_known:
                    asked.append((number, witnesses))
        if asked:
            rules = [self._expectations[number] for number, _ in asked]
            results = run_expectations(side_by_side([w for _, w in asked]), rules)
            for (number, witnesses), result in zip(asked, results, strict=True):
                if not result.get("unexpected_count"):
                    witnesses.remember()
                    continue
                texts, codes = witnesses.all_texts()
                frame = side_by_side([replace(witnesses, values=texts)])
                (told,) = run_expectations(frame, [self._expectations[number]], rows=True)
                places = np.array(told["unexpected_index_list"], dtype=np.int64)
                found[number].append(codes[places])
                if witnesses.bounds is None:
                    self._bad[number].update(texts.take(places).to_pylist())
        return {number: np.concatenate(parts) for number, parts in found.items()}

    def findings(self, column_places: ColumnPlaces) -> list[tuple[str | None, Finding]]:
        """What was found, beside the column of the contract it is about."""
        found = []
        for number, expectation in enumerate(self._expectations):
            count, elements = self._counts[number], self._elements[number]
            mostly = float(expectation.kwargs.get("mostly", 1.0))
            if count and (elements - count) < mostly * elements:
                evidence = self._evidence(number, column_places)
                finding = as_finding(expectation, self._contract, self._file_name, count, evidence, column_places)
                found.append((self._shown(expectation), finding))
        return found

    def _evidence(self, number: int, column_places: ColumnPlaces) -> list[Evidence]:
        expectation = self._expectations[number]
        shown = self._shown(expectation)
        return [
            Evidence(
                int(row["_row_number"]),
                value_place(row) if shown == "value" else key_place(row, shown, column_places),
                text_in_words(row, shown),
                self._meant(expectation, row),
                column_number=int(row["_column_number"]) or None,
                sheet=text_in_words(row, "_sheet"),
            )
            for places in self._places[number]
            for row in places.astype(object).to_dict("records")
        ]

    def _meant(self, expectation: Expectation, row: Mapping[Hashable, Any]) -> str | None:
        """What should have stood there: the key where the register leaves no doubt, the number as it may have been meant."""
        if expectation.rule == "value.not_whole":
            text = text_in_words(row, "value") or ""
            if _LIKE_THOUSANDS.fullmatch(text):
                return "eine ganze Zahl, Tausender mit Punkt oder gar nicht getrennt"
            return (
                "eine ganze Zahl; Excel zeigt Nachkommastellen je nach Zahlenformat nicht an"
                if row.get("_sheet")
                else None
            )
        if expectation.rule not in _ABOUT_KEYS:
            return None
        name = row.get("territory_name")
        return self._register.instead(str(row["territory_code"]), name if isinstance(name, str) else None)
