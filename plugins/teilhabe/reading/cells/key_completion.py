"""Keys that are missing or unreadable beside a name: taken from the file's other rows or the register, where neither leaves a doubt.

Rows without a readable key wait until the rest of the file has been read, so they come last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from teilhabe.codes.territory import CODE
from teilhabe.columns.coded import coded, codes, combinations, plain, texts
from teilhabe.errors import EVIDENCE_LIMIT, Evidence
from teilhabe.reading.cells.labels import normalise

if TYPE_CHECKING:
    from teilhabe.reading.report import Report

Columns = dict[str, pa.Array]

_MISSING, _UNREADABLE = "der Gebietsschlüssel fehlt", "der Gebietsschlüssel ist nicht lesbar"


@dataclass
class _Waiting:
    columns: Columns
    sheet: str | None


class KeyCompletion:
    """Looks at every chunk as read; ``resolve`` is asked for the name of a unit the file itself does not settle."""

    def __init__(self, report: Report, resolve: Callable[[str], str | None]) -> None:
        self._report = report
        self._resolve = resolve
        self._codes_by_name: dict[str, set[str]] = {}
        self._pairs: set[tuple[str, str]] = set()
        self._waiting: list[_Waiting] = []
        self.from_register: dict[str, str] = {}
        """Names as delivered, and the keys the register had for them."""

    def settled(self, columns: Columns, sheet: str | None) -> Columns:
        """The rows whose key can be read; the others wait."""
        if "territory_code" not in columns or "territory_name" not in columns:
            return columns
        keys, names = coded(columns["territory_code"]), coded(columns["territory_name"])
        readable = [bool(CODE.fullmatch(key)) for key in keys.dictionary.to_pylist()]
        columns |= {"territory_code": keys, "territory_name": names}
        self._remember(keys, names, readable)
        if all(readable) and not keys.null_count:
            return columns
        is_readable = np.array([*readable, False])[codes(keys)]
        if is_readable.all():
            return columns
        wait = pa.array(~is_readable)
        self._waiting.append(_Waiting({name: array.filter(wait) for name, array in columns.items()}, sheet))
        return {name: array.filter(pa.array(is_readable)) for name, array in columns.items()}

    def completed(self) -> Iterator[tuple[Columns, str | None]]:
        """The rows that waited, with the sheet they are from."""
        for one in self._waiting:
            yield self._complete(one.columns, one.sheet), one.sheet

    def _remember(self, keys: pa.DictionaryArray, names: pa.DictionaryArray, readable: list[bool]) -> None:
        known_keys, known_names = texts(keys), texts(names)
        both = combinations([names, keys])
        for one, two in zip(*(part.tolist() for part in both.parts), strict=True):
            name, key = known_names[one], known_keys[two]
            if name and key and readable[two] and (name, key) not in self._pairs:
                self._pairs.add((name, key))
                self._codes_by_name.setdefault(normalise(name), set()).add(key)

    def _complete(self, columns: Columns, sheet: str | None) -> Columns:
        keys = plain(columns["territory_code"]).to_pylist()
        names = plain(columns["territory_name"]).to_pylist()
        numbers = columns["_row_number"].to_pylist()
        told: dict[tuple[str, str], dict[int, Evidence]] = {}
        for at, (key, name) in enumerate(zip(keys, names, strict=True)):
            code, rule = self._code(name or "")
            if code is None:
                continue
            keys[at] = code
            what = _UNREADABLE if (key or "").strip() else _MISSING
            told.setdefault((rule, what), {})[numbers[at]] = Evidence(numbers[at], None, name, code)
        for (rule, what), rows in told.items():
            source = "aus der Datei selbst" if rule == "key.completed_from_name" else "aus dem Gemeindeverzeichnis"
            self._report.rows(
                "info",
                rule,
                f"{what} und wurde über den Namen „{{found}}“ {source} ergänzt",
                list(rows.values())[:EVIDENCE_LIMIT],
                sheet=sheet,
                expected="ein Gebietsschlüssel" if what is _MISSING else "ein lesbarer Gebietsschlüssel",
                count=len(rows),
            )
        columns["territory_code"] = pa.array(keys, pa.string())
        return columns

    def _code(self, name: str) -> tuple[str | None, str]:
        own = self._codes_by_name.get(normalise(name), set())
        if own or not name.strip():
            return (next(iter(own)) if len(own) == 1 else None), "key.completed_from_name"
        code = self._resolve(name)
        if code is not None:
            self.from_register[name] = code
        return code, "key.completed_from_register"
