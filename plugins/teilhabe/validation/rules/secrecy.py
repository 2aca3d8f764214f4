"""Rules about statistical secrecy: no share that discloses, the signs of the regime that was agreed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import Field, model_validator

from teilhabe.errors import EVIDENCE_SHOWN, Evidence
from teilhabe.validation.history import KEY_COLUMNS
from teilhabe.validation.observations import Observations, number_in_words
from teilhabe.validation.rules.base import Broken, Codes, Group, Rule, Selected, Selector, first_of, places_of


class NoDisclosingShares(Rule):
    """Nobody, or everybody, of a small group: that tells something of each of its members.

    Either ``part`` and ``whole``, or ``column``: its codes are parts of its ``total``.
    """

    type = "expect_no_disclosing_shares"
    rule = "shares.disclosing"
    sentence_de = "Ein Anteil von 0 oder 100 Prozent verrät die ganze Gruppe."
    expected_de = "weder 0 noch 100 Prozent einer kleinen Gruppe"
    source = "Group disclosure: 0 % and 100 % say the same of every member (security and education are sensitive; § 16 BStatG)."
    advice = "warning; info where such groups are common"

    part: Selector | None = None
    whole: Selector | None = None
    column: Group | None = None
    parts: Codes | None = None
    total: str = "total"
    max_whole: float = Field(100, gt=0)

    @model_validator(mode="after")
    def _one_way(self) -> NoDisclosingShares:
        if (self.part is None) != (self.whole is None) or (self.part is None) == (self.column is None):
            raise ValueError("needs either part and whole, or column")
        return self

    def _selectors(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        if self.part is not None and self.whole is not None:
            yield "part", self.part
            yield "whole", self.whole

    def broken(self, seen: Observations) -> Broken:
        table = seen.table
        kept = self._kept(table) & ~seen.measured(table, "is_rate")
        if self.part is not None and self.whole is not None:
            found = Selected(seen, table, [self.part, self.whole], kept)
            is_part, is_whole, rest, size = found.mask(self.part), found.mask(self.whole), found.rest, found.size
        else:
            column = str(self.column)
            is_whole = kept & table.among(column, [self.total])
            is_part = kept & (table.among(column, self.parts) if self.parts and self.parts != ["all"] else ~is_whole)
            rest, size = table.groups([c for c in KEY_COLUMNS if c != column])
        whole_of = first_of(rest, size, np.flatnonzero(is_whole & ~np.isnan(table.value)))
        rows = np.flatnonzero(is_part & ~np.isnan(table.value))
        rows = rows[whole_of[rest[rows]] >= 0]
        whole = table.value[whole_of[rest[rows]]]
        small = (whole > 0) & (whole <= self.max_whole)
        rows, whole = rows[small], whole[small]
        shows = (table.value[rows] == 0) | (table.value[rows] == whole)
        of = dict(zip(rows[shows].tolist(), whole[shows].tolist(), strict=True))
        return places_of(seen, table, len(rows), rows[shows], lambda at: f"weder 0 noch alle {number_in_words(of[at])}")


_SIGNS: Mapping[str, frozenset[str]] = {
    "genesis": frozenset({"-", ".", "/", "x", "X", "...", "\u2026", "\u2013", "\u2014"}),
    "lsn_new": frozenset({"k", "g", "u", "x", "t"}),
    "ba": frozenset({"*", "-", "x", "X", "\u2013", "\u2014"}),
    "none": frozenset(),
}
_REGIME_DE = {"genesis": "GENESIS", "lsn_new": "neue LSN-Zeichen", "ba": "BA-Zeichen", "none": "keine Zeichen"}
_MANY_ZEROS = 20


class SymbolsOfTheRegime(Rule):
    """The signs in the file are those of the agreed regime, and ``0`` has kept its meaning.

    GENESIS writes ``-`` for nothing and ``0`` for less than half a unit; the state office's new regime writes ``0`` for
    nothing and ``k`` for little. A file of the one regime with the signs of the other means something else throughout:
    ``.`` is a decimal mark or a secret. Zeros without a single dash in a GENESIS file, or ``-`` beside them in the new one,
    are told as well.
    """

    type = "expect_symbols_of_the_regime"
    rule = "symbols.other_regime"
    sentence_de = "Die Datei benutzt Zeichen einer anderen Zeichenregelung als vereinbart."
    expected_de = "die Zeichen der vereinbarten Regelung"
    source = "Explanations of signs of GENESIS (DIN 55301) and of the state office's new regime contradict each other in 0, -, k and g."
    advice = "warning (text that is no number is refused by the reader anyway)"

    def broken(self, seen: Observations) -> Broken:
        contract = seen.context.contract
        own = _SIGNS[contract.symbols.regime] | set(contract.symbols.also)
        for layout in contract.layouts:
            if layout.symbols is not None:
                own |= _SIGNS[layout.symbols.regime] | set(layout.symbols.also)
        expected = f"die Zeichen der Regelung {_REGIME_DE[contract.symbols.regime]}"
        counts: dict[str, int] = defaultdict(int)
        for text, number in (*seen.context.symbols.items(), *seen.context.unreadable.items()):
            counts[text.strip()] = max(counts[text.strip()], number)
        evidence = []
        for text, number in sorted(counts.items()):
            others = [regime for regime, signs in _SIGNS.items() if text in signs]
            if text and text not in own and others:
                whose = " oder ".join(_REGIME_DE[regime] for regime in others)
                evidence.append(Evidence(None, None, f"{text} ({number}-mal; {whose})", expected))
        if contract.symbols.regime == "genesis" and counts.get("0", 0) >= _MANY_ZEROS and not counts.get("-"):
            evidence.append(
                Evidence(
                    None, None, f"0 ({counts['0']}-mal, kein einziges -)", "- für genau null; 0 hieße: gerundet null"
                )
            )
        return Broken(len(counts), len(evidence), tuple(evidence[:EVIDENCE_SHOWN]))
