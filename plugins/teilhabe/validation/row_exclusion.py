"""Faults of single rows: the rows are left out and the others are taken, where nobody will send a mended file.

A delivery is judged as it is. If all that speaks against it are certain rows, it is judged a second time without them, and
that verdict counts: what is recorded as left out is what was left out then. Rules that hold numbers against each other say
what they say of the rest; what they find only because rows are missing is no reason to refuse it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from teilhabe.errors import Finding, Place, ReadingError
from teilhabe.findings.saying import say

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract, SecrecyMethod
    from teilhabe.reading.layouts.base import AnyReading
    from teilhabe.validation.verdict import Verdict

REGISTER = "register__municipalities"

_OF_THE_FILE = frozenset({"header.unknown_dimension", "sheet.merged_cells", "value.ambiguous_thousands"})
"""Rules whose evidence are rows, but what is wrong is how the file was made."""

TOO_MANY = "rows.too_many_faulty"


@dataclass(frozen=True)
class Excluded:
    """A row that was left out, and why."""

    place: Place
    rule: str
    reason: str
    found: str | None
    content: dict[str, str | None] | None
    """The row as it was read; None where it could not be."""


def names_all_that_exists(contract: Contract) -> bool:
    """Whether a row that is absent says that there is nothing: such a file is complete or it is wrong."""
    return contract.dataset_id == REGISTER or contract.dataset_id in _listings(contract.path.parents[2])


@cache
def _listings(project: Path) -> frozenset[str]:
    path = project / "dbt_project" / "seeds" / "listings.csv"
    if not path.is_file():
        return frozenset()
    with path.open(encoding="utf-8", newline="") as lines:
        return frozenset(row["dataset_id"] for row in csv.DictReader(lines))


def faulty_rows(findings: Iterable[Finding]) -> set[Place] | None:
    """The rows that speak against a delivery; None where something else does."""
    places: set[Place] = set()
    for finding in findings:
        if not finding.stops:
            continue
        found = None if finding.rule in _OF_THE_FILE else finding.places()
        if found is None:
            return None
        places |= set(found)
    return places


def judge(
    contract: Contract,
    open_reading: Callable[[], AnyReading],
    validate: Callable[[AnyReading], Verdict],
    decided: Collection[Place] | None = None,
) -> Verdict:
    """The verdict on a delivery, without its faulty rows where they can be left out.

    Where the office can mend the file it is refused all the same; the verdict then says without which rows it could be loaded.
    ``decided``: the rows a person has said it may do without. ``ReadingError`` passes.
    """
    from teilhabe.reading.layouts.excluding import RowsExcluded

    reading = open_reading()
    verdict = validate(reading)
    if verdict.accepted or names_all_that_exists(contract):
        return verdict
    places = faulty_rows(verdict.findings[: verdict.row_rules])
    if not places:
        return verdict
    second = open_reading()
    second.excluded = held = RowsExcluded(places, reading.contested)
    try:
        without = validate(second)
    except ReadingError:
        lost: str | None = "die ganze Tabelle"  # nothing is left of it
    else:
        lost = held.lost()
    if lost is not None:
        if not reading.is_mendable or decided:
            verdict.findings.append(_too_many(lost, len(places)))
        return verdict
    unread = places - {row.place for row in held.rows} - {replace(row.place, column=None) for row in held.rows}
    if any((place.sheet, place.row) in held.met for place in unread):
        return verdict  # it is not certain which number of the row is meant
    causes = [replace(f, held_back=True) for f in verdict.findings[: verdict.row_rules] if f.stops]
    known = {finding.rule for finding in verdict.findings if finding.stops}
    others = []
    for finding in without.findings:
        if finding.stops and (where := finding.places()) is not None and set(where) <= places:
            continue  # the reader sees the row again
        others.append(_consequence(finding) if finding.stops and finding.rule not in known else finding)
    without.findings = [*causes, *others]
    if not without.accepted:
        return verdict  # it would not be right without these rows either
    out = {row.place for row in held.rows} | unread
    # What the office can mend is not loaded, but somebody may decide to do without these rows.
    counting = without if not reading.is_mendable or out <= set(decided or ()) else verdict
    counting.faults = causes
    counting.excluded = held.rows
    counting.held_back_count = len(held.rows) + len({(place.sheet, place.row) for place in unread})
    return counting


def excluded(verdict: Verdict, secrecy: SecrecyMethod) -> list[Excluded]:
    """The rows that were left out, or could be, each with the first reason, without numbers that are secret."""
    reasons: dict[Place, Excluded] = {}
    contested = None
    for finding in verdict.faults:
        contested = finding if finding.rule == "row.duplicate_key" else contested
        for evidence in finding.evidence:
            if evidence.row is not None:
                place = Place(evidence.sheet or finding.sheet, evidence.row, evidence.column_number)
                reason = say(finding, secrecy, at=evidence, with_place=False, with_count=False).rstrip(".")
                reasons.setdefault(place, Excluded(place, finding.rule, reason, evidence.found, None))
    rows: list[Excluded] = []
    seen: set[Place] = set()
    for row in verdict.excluded:
        whole = replace(row.place, column=None)
        why = reasons.get(row.place) or reasons.get(whole)
        if why is None and contested is not None:
            why = Excluded(row.place, contested.rule, "in der Datei steht dazu noch ein anderer Wert", None, None)
        assert why is not None  # noqa: S101 - a row is left out for its place or because it is contested
        seen |= {row.place, whole}
        rows.append(replace(why, place=row.place, content=row.content))
    return rows + [one for place, one in reasons.items() if place not in seen]


def _consequence(finding: Finding) -> Finding:
    """What is found only because rows are missing is told, and stops nothing."""
    return replace(finding, severity="warning")


def _too_many(lost: str, count: int) -> Finding:
    from teilhabe.validation.observations import number_in_words

    return Finding(
        "critical",
        TOO_MANY,
        "",
        found=f"{number_in_words(count)} fehlerhafte Stellen",
        what=f"Wegen fehlerhafter Zeilen fiele {lost} weg, darum wird nichts übernommen.",
    )
