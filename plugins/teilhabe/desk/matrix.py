"""The matrix as people read it: a table per rhythm of delivery, offices as groups, datasets and senders as rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from html import escape

from markupsafe import Markup

from teilhabe.codes import wording
from teilhabe.contract.model import Contract
from teilhabe.desk import words
from teilhabe.desk.queries import Cell, Window

COLUMNS = {"monthly": 13, "quarterly": 9, "half_yearly": 7, "yearly": 4, "per_term": 2}
"""Columns shown at first; the calendar holds about three times as many."""
MORE_COLUMNS = {"monthly": 36, "quarterly": 16, "half_yearly": 8, "yearly": 6, "per_term": 3}

_MONTHS = {"monthly": 1, "quarterly": 3, "half_yearly": 6, "yearly": 12}
_SHORT_MONTHS = ("Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez")
_TERM_YEARS = 5


@dataclass(frozen=True)
class Column:
    """A stretch of time; a period stands in the column its reference ends in."""

    label: str
    title: str
    starts_year: str
    """The year where the column is the first of it, else empty."""


@dataclass(frozen=True)
class MatrixRow:
    dataset_id: str
    sender_code: str | None
    label: str
    is_sender: bool
    """A municipality below the dataset's own line."""
    cells: list[Markup]
    incidents: int


@dataclass(frozen=True)
class OfficeRows:
    office: str
    rows: list[MatrixRow]


@dataclass(frozen=True)
class Board:
    """One table."""

    frequency: str
    title: str
    columns: list[Column]
    offices: list[OfficeRows]


def windows(contracts: Iterable[Contract], today: date, *, more: bool = False) -> list[Window]:
    """Which periods of each dataset the matrix shows: up to the one running today."""
    counts = MORE_COLUMNS if more else COLUMNS
    shown = []
    for contract in contracts:
        frequency = contract.calendar.frequency
        buckets = _buckets(frequency, today, counts[frequency])
        shown.append(
            Window(
                contract.dataset_id, bool(contract.senders), _start(frequency, buckets[0]), _end(frequency, buckets[-1])
            )
        )
    return shown


def boards(
    contracts: Sequence[Contract],
    cells: Iterable[Cell],
    incidents: Mapping[tuple[str, str | None], int],
    today: date,
    root: str,
    *,
    more: bool = False,
    senders: Sequence[str] | None = None,
    state: str | None = None,
) -> tuple[list[Board], Counter[str]]:
    """The tables, and how many cells are in which state (before ``state`` narrows the rows to those that have it)."""
    counts = MORE_COLUMNS if more else COLUMNS
    by_row: dict[tuple[str, str | None], list[Cell]] = defaultdict(list)
    tally: Counter[str] = Counter()
    for cell in cells:
        by_row[cell.dataset_id, cell.sender_code].append(cell)
        tally[cell.state] += 1
    shown = []
    for frequency in COLUMNS:
        buckets = _buckets(frequency, today, counts[frequency])
        positions = {bucket: n for n, bucket in enumerate(buckets)}
        offices: dict[str, list[MatrixRow]] = defaultdict(list)
        used: set[int] = set()
        for contract in sorted(contracts, key=lambda one: (one.office, one.title_de)):
            if contract.calendar.frequency != frequency:
                continue
            rows = list(_rows(contract, by_row, incidents, positions, frequency, root, senders, state))
            for row, places in rows:
                used |= places
                offices[contract.office].append(row)
        if not offices:
            continue
        # Leading columns without any mark only take room; elections leave most years empty.
        kept = [n for n in range(len(buckets)) if n in used or (frequency != "per_term" and n > min(used, default=0))]
        trimmed = [OfficeRows(office, [_only(row, kept) for row in rows]) for office, rows in offices.items()]
        columns = list(_columns(frequency, [buckets[n] for n in kept]))
        shown.append(Board(frequency, _headline(wording.FREQUENCIES[frequency]), columns, trimmed))
    return shown, tally


def _rows(
    contract: Contract,
    by_row: Mapping[tuple[str, str | None], list[Cell]],
    incidents: Mapping[tuple[str, str | None], int],
    positions: Mapping[int, int],
    frequency: str,
    root: str,
    senders: Sequence[str] | None,
    state: str | None,
) -> Iterable[tuple[MatrixRow, set[int]]]:
    owed: list[tuple[str | None, str]] = [(None, contract.title_de)]
    if contract.senders:
        owed = [
            (one.territory_code, one.territory_name)
            for one in contract.senders
            if senders is None or one.territory_code in senders
        ]
    rows = []
    for code, name in owed:
        its = by_row.get((contract.dataset_id, code), [])
        if state and not any(cell.state == state for cell in its):
            continue
        marks: list[list[str]] = [[] for _ in positions]
        for cell in its:
            place = positions.get(_bucket(frequency, cell.reference_end))
            if place is not None:
                marks[place].append(
                    _mark(cell, root, contract.title_de if code is None else f"{contract.title_de}, {name}")
                )
        row = MatrixRow(
            contract.dataset_id, code, name, bool(contract.senders),
            [Markup("".join(mark)) for mark in marks], incidents.get((contract.dataset_id, code), 0),  # noqa: S704 - escaped in _mark
        )  # fmt: skip
        rows.append((row, {n for n, mark in enumerate(marks) if mark}))
    if rows and contract.senders:
        # The dataset's own line carries its name; what came without a known sender is counted here.
        own = MatrixRow(
            contract.dataset_id, None, contract.title_de, False, [Markup("")] * len(positions),
            incidents.get((contract.dataset_id, None), 0),
        )  # fmt: skip
        yield own, set()
    yield from rows


def _only(row: MatrixRow, kept: Sequence[int]) -> MatrixRow:
    return replace(row, cells=[row.cells[n] for n in kept])


def _headline(word: str) -> str:
    return word[:1].upper() + word[1:]


def _mark(cell: Cell, root: str, whose: str) -> str:
    """The sign of one cell with its text alternative; drawn here and not in the template, which takes ten times as long."""
    said = f"{_spelled(cell.period_code)}: {words.CELL_STATES[cell.state]}"
    if cell.state in ("due", "overdue", "not_yet_due", "not_asked"):
        said += f" (Termin {_day(cell.due_on)})"
    sign = f'<svg class="sign {cell.state}" aria-hidden="true"><use href="#s-{cell.state}"/></svg>'
    if cell.delivery_id is not None:
        target = f"{root}/deliveries/{cell.delivery_id}"
    elif cell.incident_id is not None:
        target = f"{root}/incidents/{cell.incident_id}"
    else:
        return f'<span class="mark" title="{said}">{sign}<span class="unseen">{said}</span></span>'
    return f'<a class="mark" href="{target}" title="{said}" aria-label="{escape(whose)}, {said}">{sign}</a>'


@cache
def _spelled(period_code: str) -> str:
    return escape(wording.spell_period(period_code))


@cache
def _day(value: date) -> str:
    return wording.spell_date(value)


def _bucket(frequency: str, end: date) -> int:
    if frequency == "per_term":
        return end.year
    return (end.year * 12 + end.month - 1) // _MONTHS[frequency]


def _buckets(frequency: str, today: date, count: int) -> list[int]:
    last = _bucket(frequency, today)
    if frequency == "per_term":
        return list(range(last - _TERM_YEARS * count + 1, last + 1))
    return list(range(last - count + 1, last + 1))


def _start(frequency: str, bucket: int) -> date:
    if frequency == "per_term":
        return date(bucket, 1, 1)
    first = bucket * _MONTHS[frequency]
    return date(first // 12, first % 12 + 1, 1)


def _end(frequency: str, bucket: int) -> date:
    return _start(frequency, bucket + 1) - timedelta(days=1)


def _columns(frequency: str, buckets: Sequence[int]) -> Iterable[Column]:
    before = None
    for bucket, following in zip(buckets, [*buckets[1:], None], strict=True):
        start = _start(frequency, bucket)
        year = str(start.year)
        match frequency:
            case "monthly":
                label, title = _SHORT_MONTHS[start.month - 1], f"{wording.MONTHS[start.month - 1]} {year}"
            case "quarterly":
                label, title = f"Q{(start.month - 1) // 3 + 1}", f"{(start.month - 1) // 3 + 1}. Quartal {year}"
            case "half_yearly":
                label, title = f"{(start.month - 1) // 6 + 1}. Hj.", f"{(start.month - 1) // 6 + 1}. Halbjahr {year}"
            case _:
                label, title = year, year
        # A single column has no room for its year; the year after it says enough.
        is_alone = following is not None and before is None and _start(frequency, following).year != start.year
        yield Column(label, title, "" if year in (before, label) or is_alone else year)
        before = year
