"""The verdict on a delivery as a whole: its profile, and the rules that compare all its rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from teilhabe.codes.wording import spell_period
from teilhabe.errors import EVIDENCE_LIMIT, Evidence, Finding
from teilhabe.findings.saying import EXPECTED, FOUND
from teilhabe.validation.expectation_runs import Expectation, great_expectations, run_expectations
from teilhabe.validation.observations import ROW_LIMIT, number_in_words
from teilhabe.validation.single_texts import identity, is_within, memory, remember_range
from teilhabe.validation.suite import PROFILE_COLUMNS
from teilhabe.validation.wording import as_finding, joined, text_in_words, to_frame

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from teilhabe.contract.model import Contract
    from teilhabe.reading.layouts.column_places import ColumnPlaces
    from teilhabe.validation.observations import Context


class Profile:
    """Counts per period while the chunks pass by."""

    def __init__(self) -> None:
        self.row_count = 0
        self._rows: Counter[str] = Counter()
        self._values: Counter[str] = Counter()
        self._suppressed: Counter[str] = Counter()
        self._territories: dict[str | None, set[str | None]] = defaultdict(set)

    def add(self, chunk: pa.Table) -> None:
        import numpy as np
        import pyarrow.compute as pc

        from teilhabe.columns.coded import codes, combinations, texts

        self.row_count += chunk.num_rows
        if "period_code" not in chunk.column_names:
            return
        column = chunk["period_code"].chunk(0)
        periods, of_row = texts(column), codes(column)

        def count(counter: Counter[str], rows: Any) -> None:
            for period, number in zip(periods, np.bincount(rows, minlength=len(periods)).tolist(), strict=True):
                if number:
                    counter[period] += number  # type: ignore[index]

        count(self._rows, of_row)
        if "value" in chunk.column_names:
            count(self._values, of_row[pc.is_valid(chunk["value"].chunk(0)).to_numpy(zero_copy_only=False)])
            secrecy = chunk["conf_status"].chunk(0)
            kept = np.array([text not in (None, "F") for text in texts(secrecy)])
            count(self._suppressed, of_row[kept[codes(secrecy)]])
        if "territory_code" in chunk.column_names:
            territory = chunk["territory_code"].chunk(0)
            places, both = texts(territory), combinations([column, territory])
            for one, two in zip(*(part.tolist() for part in both.parts), strict=True):
                self._territories[periods[one]].add(places[two])

    @property
    def periods(self) -> list[str]:
        return sorted(filter(None, self._rows))

    @property
    def territories(self) -> set[str | None]:
        return set().union(*self._territories.values())

    def frame(self) -> pd.DataFrame:
        import pandas as pd

        # A row whose period could not be read has a finding of its own.
        return pd.DataFrame(
            [
                (p, n, len(self._territories.get(p, ())), self._values[p], self._suppressed[p])
                for p, n in sorted((p, n) for p, n in self._rows.items() if p)
            ],
            columns=list(PROFILE_COLUMNS),
        )


def judge_profile(
    expectations: Sequence[Expectation], profile: Profile, contract: Contract, file_name: str
) -> Iterator[Finding]:
    if not expectations:
        return
    frame = profile.frame()
    unsure = [e for e in expectations if not _within_known(e, frame)]
    if not unsure:
        return
    for expectation, result in zip(unsure, run_expectations(frame, unsure), strict=True):
        if result["success"]:
            if bounds := _profile_bounds(expectation, frame):
                remember_range(identity(expectation), bounds)
            continue
        broken = run_expectations(frame, [expectation], rows=True)[0].get("unexpected_index_list") or []
        evidence = [
            Evidence(
                None,
                None,
                text_in_words(frame.loc[index], expectation.column),
                subject=spell_period(str(frame.loc[index, "period_code"])),
            )
            for index in broken[:EVIDENCE_LIMIT]
        ]
        if not evidence and result.get("observed_value") is not None:
            evidence = [Evidence(None, None, str(result["observed_value"]))]
        yield as_finding(expectation, contract, file_name, max(len(broken), 1), evidence)


def _within_known(expectation: Expectation, frame: pd.DataFrame) -> bool:
    bounds = _profile_bounds(expectation, frame)
    return bounds is not None and is_within(bounds, memory.ranges.get(identity(expectation)))


def _profile_bounds(expectation: Expectation, frame: pd.DataFrame) -> tuple[float, float] | None:
    """The smallest and the largest count, where those decide: all between bounds, none excused."""
    if expectation.type != "expect_column_values_to_be_between" or not len(frame):
        return None
    if "mostly" in expectation.kwargs or expectation.column not in PROFILE_COLUMNS[1:]:
        return None
    counts = frame[expectation.column]
    return (float(counts.min()), float(counts.max()))


class Whole:
    """The delivery kept as one table for expectations of scope ``observations``; nothing is kept when there are none."""

    def __init__(self, contract: Contract, *, wanted: bool) -> None:
        self._columns = [*contract.column_names, "_row_number", "_column_number", "_sheet"]
        self._wanted = wanted
        self._rows = 0
        self._chunks: list[pa.Table] = []

    def add(self, chunk: pa.Table) -> None:
        self._rows += chunk.num_rows
        if self._rows > ROW_LIMIT:
            self._chunks.clear()
        elif self._wanted:
            self._chunks.append(chunk.select([name for name in self._columns if name in chunk.column_names]))

    def judge(
        self, expectations: Sequence[Expectation], context: Context, file_name: str, column_places: ColumnPlaces
    ) -> Iterator[Finding]:
        if not expectations or not self._rows:
            return
        if self._rows > ROW_LIMIT:
            yield Finding(
                "info",
                "observations.not_checked",
                "",
                found=f"{number_in_words(self._rows)} Zeilen",
                expected=f"höchstens {number_in_words(ROW_LIMIT)} Zeilen",
                what=f"Mit {FOUND} ist sie zu groß, um Summen, Anteile und Vorzeiträume zu prüfen; erwartet sind {EXPECTED}.",
            )
            return
        great_expectations()
        from teilhabe.validation.statistical_expectations import judging

        frame = to_frame(joined(self._chunks))
        with judging(frame, context):
            # The rules see the table that is known within; of the frame they ask its length, and hashing it all takes long.
            results = run_expectations(frame[["_row_number"]], expectations)
        for expectation, result in zip(expectations, results, strict=True):
            if not result["success"]:
                evidence = [Evidence(*place) for place in result["details"]["evidence"]]
                count = int(result["unexpected_count"])
                yield as_finding(expectation, context.contract, file_name, count, evidence, column_places)
