"""Rules about one row or one combination, asked without Great Expectations where its way is too slow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING

from teilhabe.codes.measures import counted_measures
from teilhabe.codes.periods import period_end

if TYPE_CHECKING:
    import pyarrow as pa

    from teilhabe.contract.model import Contract
    from teilhabe.validation.register import Register

_DECIMAL_PLACES = r"(?s)\..*[^0]"
"""Behind the point stands more than zeros."""


class Checks:
    """Adds what depends on more than one column or on the register as columns Great Expectations can look at."""

    def __init__(self, contract: Contract, register: Register, received: date) -> None:
        self._contract = contract
        self._register = register
        self._received = received
        self._first = period_end(contract.calendar.first_period)
        self._counts = counted_measures(contract.path.parents[2])

    def attach(self, chunk: pa.Table) -> pa.Table:
        import pyarrow.compute as pc

        from teilhabe.columns.coded import plain

        names = set(chunk.column_names)
        if "territory_code" in names:
            keys = [c for c in ("territory_code", "period_code") if c in names]
            checked = _per_combination(chunk, keys, self._key)
            if "value" in names and checked.dictionary.to_pylist() != ["known"]:
                # Tables keep rows of dissolved units, without a value; their keys harm nobody.
                has_value = pc.is_valid(chunk["value"].chunk(0))
                checked = pc.if_else(has_value, plain(checked), "known").dictionary_encode()
            chunk = chunk.append_column("territory_check", checked)
        if {"territory_code", "territory_name"} <= names:
            chunk = chunk.append_column(
                "name_check", _per_combination(chunk, ["territory_code", "territory_name"], self._name)
            )
        if "period_code" in names:
            chunk = chunk.append_column("period_check", _per_combination(chunk, ["period_code"], self._period))
        if "value" in names:
            chunk = chunk.append_column("value_check", self._check_values(chunk, names))
        return chunk

    def _check_values(self, chunk: pa.Table, names: set[str]) -> pa.Array:
        """Where what is counted has decimal places. Values hardly repeat, so they are looked at all at once."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        from teilhabe.columns.coded import codes, texts
        from teilhabe.reading.cells.thousands import like_thousands

        values = chunk["value"].chunk(0)
        fractions = pc.and_not(
            pc.match_substring_regex(values.dictionary, _DECIMAL_PLACES), like_thousands(values.dictionary)
        )  # of those that look like thousands the reading has told
        found = np.append(fractions.to_numpy(zero_copy_only=False).astype(bool), False)
        own = self._contract.constants.get("measure_code", "")
        if not found.any():
            broken = np.zeros(len(chunk), dtype=bool)
        elif "measure_code" in names:
            measures = chunk["measure_code"].chunk(0)
            counted = np.array([(measure or own) in self._counts for measure in texts(measures)])
            broken = found[codes(values)] & counted[codes(measures)]
        else:
            broken = found[codes(values)] & (own in self._counts)
        verdicts = ["plausible", "fraction"] if broken.any() else ["plausible"]
        return pa.DictionaryArray.from_arrays(pa.array(broken.astype(np.int32)), pa.array(verdicts))

    def _key(self, code: str, period: str = "") -> str:
        # The register is what defines keys; it is not checked against itself.
        if self._contract.agency == "register" or not code:
            return "known"
        return self._register.check_key(code, period_end(period))

    def _name(self, code: str, name: str) -> str:
        return "agrees" if self._contract.agency == "register" else self._register.check_name(code, name)

    def _period(self, period: str) -> str:
        end = period_end(period)
        if end is None:
            return "malformed"
        if end > self._received:
            return "future"
        return "too_early" if self._first and end < self._first else "plausible"


def _per_combination(chunk: pa.Table, columns: Sequence[str], judge: Callable[..., str]) -> pa.DictionaryArray:
    """``judge`` once per distinct combination of texts, spread over the rows."""
    import pyarrow as pa

    from teilhabe.columns.coded import combinations, texts

    arrays = [chunk[name].chunk(0) for name in columns]
    found = combinations(arrays)
    known = [texts(array) for array in arrays]
    verdicts = pa.array(
        [
            judge(*(text[code] or "" for text, code in zip(known, codes, strict=True)))
            for codes in zip(*(part.tolist() for part in found.parts), strict=True)
        ],
        pa.string(),
    ).dictionary_encode()
    return pa.DictionaryArray.from_arrays(verdicts.indices.take(pa.array(found.rows)), verdicts.dictionary)
