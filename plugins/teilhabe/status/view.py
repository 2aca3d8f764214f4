"""``teilhabe status`` as people read it: one line per dataset, then what is open; single deliveries only on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from teilhabe.codes.office_time import OFFICE_TIME, stamp
from teilhabe.findings.list_contradictions import LISTS_OF_CHANGES

_COLOURS = {
    "loaded": "green",
    "delivered": "green",
    "late": "yellow",
    "due": "yellow",
    "quarantined": "red",
    "held": "red",
    "failed": "red",
    "overdue": "red",
}
_WORST_FIRST = ("overdue", "due", "late", "not_yet_due", "delivered")
_REST = ("received", "validated", "failed")
_OPEN_SHOWN = 20


def overview(state: Mapping[str, Any], dataset: str | None = None) -> Iterator[RenderableType]:
    """The datasets, what nobody has mended yet, and how to see more."""
    deliveries = _of(state["deliveries"], dataset)
    due = _of(state["due"], dataset)
    yield _datasets(deliveries, due)
    overdue = [entry for entry in due if entry["sender"] and entry["state"] == "overdue"]
    if overdue:
        yield _senders(overdue)
    gaps = [entry for entry in due if entry["missing"]]
    for entry in gaps[:_OPEN_SHOWN]:
        yield f"[yellow]missing[/yellow] {_whose(entry)}: {', '.join(entry['missing'])}"
    incidents = _of(state["incidents"], dataset)
    for entry in incidents[:_OPEN_SHOWN]:
        colour = "red" if entry["severity"] == "critical" else "yellow"
        yield f"[{colour}]{entry['state']}[/{colour}] {_about(entry)}: {escape(entry['message'])}"
    if len(incidents) > _OPEN_SHOWN or len(gaps) > _OPEN_SHOWN:
        yield f"… {len(incidents)} incidents open, {len(gaps)} series with gaps (--json)"
    held = [entry for entry in deliveries if entry["state"] == "held"]
    for entry in held[:_OPEN_SHOWN]:
        yield (
            f"[red]held[/red] {entry['dataset_id']} (delivery {entry['delivery_id']}): {escape(entry['file'])} - "
            f"{escape(entry['hold_reason'] or '')}"
        )
    yield from _contradictions(state, dataset)
    if dataset in (None, LISTS_OF_CHANGES):
        yield from _list_contradictions(state)
    yield from _build(state)
    states = Counter(entry["state"] for entry in due)
    told = ", ".join(f"{states[name]} {_said(name)}" for name in _WORST_FIRST if states[name])
    yield (
        f"{len(deliveries):,} deliveries, {len(incidents)} incidents open; {told or 'nothing due'}. "
        "Single deliveries: --deliveries, --dataset ID, --json."
    )


def _contradictions(state: Mapping[str, Any], dataset: str | None) -> Iterator[str]:
    """Pairs of datasets whose numbers differ; the largest difference of each."""
    for entry in state["contradictions"]:
        if dataset is not None and dataset not in entry["datasets"]:
            continue
        one, other = entry["datasets"]
        shown = entry["example"]
        count = f"{entry['numbers']:,} number{'' if entry['numbers'] == 1 else 's'}"
        yield (
            f"[yellow]contradiction[/yellow] {entry['measure_code']}: {one} and {other} differ in {count}; largest: "
            f"{escape(shown['what'])}: {_figure(shown['counting_value'])} from {shown['counting_dataset_id']} counts, "
            f"{shown['dataset_id']} says {_figure(shown['value'])}"
        )


def _list_contradictions(state: Mapping[str, Any]) -> Iterator[str]:
    """What official lists of territorial changes say against themselves, the register or each other."""
    entries = state["list_contradictions"]
    for entry in entries[:_OPEN_SHOWN]:
        yield f"[yellow]contradictory list[/yellow] {escape(entry['message'])}"
    if len(entries) > _OPEN_SHOWN:
        yield f"… {len(entries)} contradictions in lists of territorial changes (--json, marts.rpt_territorial_contradiction)"


def _figure(value: Decimal | None) -> str:
    return "a secret number" if value is None else f"{value.normalize():,f}"


def _build(state: Mapping[str, Any]) -> Iterator[str]:
    """What keeps numbers that have arrived from being published."""
    if state["no_room"]:
        yield f"[red]{escape(state['no_room'])}[/red]"
    for entry in state["inbox"]:
        yield f"in the inbox: {entry['dataset_id']}, {entry['files']} file(s); `teilhabe run` takes them up"
    build = state["build"]
    waiting = len(build["waiting"])
    if build["failed_since"]:
        yield (
            f"[red]the last build failed[/red] (no build has succeeded since {_clock(build['failed_since'])}; "
            f"{waiting} deliveries wait): {escape(build['reason'] or 'no reason is known')}"
        )
    elif waiting:
        yield f"{waiting} deliveries wait for the next build."
    if build["running_since"]:
        yield f"A build is running since {_clock(build['running_since'])}."


_REASONS = {"withdrawn": "withdrawal_reason", "held": "hold_reason"}


def deliveries(state: Mapping[str, Any], limit: int, dataset: str | None = None) -> Iterator[RenderableType]:
    """Deliveries one by one, newest first."""
    found = _of(state["deliveries"], dataset)
    if not found:
        yield "No deliveries yet."
        return
    table = Table(
        "id",
        "dataset",
        "file",
        "received",
        "from",
        "state",
        "rows",
        "findings, or why it does not count",
        title="Deliveries",
    )
    for entry in found[:limit]:
        rules = ", ".join(dict.fromkeys(finding["rule"] for finding in entry["findings"]))
        table.add_row(
            str(entry["delivery_id"]),
            entry["dataset_id"],
            escape(entry["file"]),
            stamp(entry["received_at"]),
            escape(entry["sender"] or entry["received_from"] or ""),
            _coloured(entry["state"]),
            _rows(entry),
            escape(entry.get(reason) or "") if (reason := _REASONS.get(entry["state"])) else rules,
        )
    yield table
    if len(found) > limit:
        yield f"… and {len(found) - limit:,} more (--limit, --json)."


def _rows(entry: Mapping[str, Any]) -> str:
    if entry["row_count"] is None:
        return ""
    held = entry.get("held_back_count", 0) if entry["state"] != "quarantined" else 0
    return f"{entry['row_count']:,}" + (f" of {entry['row_count'] + held:,}" if held else "")


def _datasets(deliveries: Sequence[Mapping[str, Any]], due: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("dataset", "last delivery", "last period", "files", "refused", "warned", "due", "state", "next due")
    names = sorted({entry["dataset_id"] for entry in due} | {entry["dataset_id"] for entry in deliveries})
    for name in names:
        own = [entry for entry in deliveries if entry["dataset_id"] == name]
        # A container is no file of its own.
        files = [entry for entry in own if entry["state"] != "unpacked"]
        loaded = [entry for entry in files if entry["state"] == "loaded"]
        refused = sum(entry["state"] == "quarantined" for entry in files)
        rest = sum(entry["state"] in _REST for entry in files)
        warned = sum(any(f["severity"] == "warning" for f in entry["findings"]) for entry in loaded)
        owed = [entry for entry in due if entry["dataset_id"] == name]
        table.add_row(
            name,
            f"{max(entry['received_at'] for entry in own).astimezone(OFFICE_TIME):%Y-%m-%d}" if own else "–",
            max((period for entry in loaded for period in entry["periods"] or []), key=_sort_key, default="–"),
            f"{len(files):,}" + (f" ({rest} waiting)" if rest else ""),
            f"[red]{refused}[/red]" if refused else "",
            str(warned) if warned else "",
            *_due_cells(owed),
        )
    return table


def _due_cells(owed: Sequence[Mapping[str, Any]]) -> tuple[str, str, str]:
    """Period with its day, how it stands, and the next; of several senders the worst, with how many have delivered."""
    if not owed:
        return "", "", ""
    worst = min(owed, key=lambda entry: _WORST_FIRST.index(entry["state"]))
    state = _coloured(worst["state"])
    if len(owed) > 1:
        here = sum(entry["state"] in ("delivered", "late") for entry in owed)
        state = f"{state} ({here} of {len(owed)} here)"
    following = min((e for e in owed if e["next_due"]), key=lambda e: e["next_due"], default=None)
    return (
        f"{worst['period']} by {worst['due']}",
        state,
        f"{following['next_period']} by {following['next_due']}" if following else "",
    )


def _senders(overdue: Sequence[Mapping[str, Any]]) -> Table:
    """One line per dataset and period: seven municipalities are late more often than one."""
    table = Table("dataset", "period", "due", "grace until", "not here from", title="Overdue")
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for entry in overdue:
        key = (entry["dataset_id"], entry["period"], str(entry["due"]), str(entry["grace_until"]))
        groups.setdefault(key, []).append(f"{entry['sender']} {entry['sender_name'] or ''}".strip())
    for key, names in groups.items():
        table.add_row(*key, ", ".join(names))
    return table


def _whose(entry: Mapping[str, Any]) -> str:
    sender = f" from {entry['sender']} {entry['sender_name'] or ''}".rstrip() if entry["sender"] else ""
    return f"{entry['dataset_id']}{sender}"


def _about(incident: Mapping[str, Any]) -> str:
    """Dataset and, of what is known, sender, period and delivery."""
    known = [incident["sender"], incident["period"]]
    known += [f"delivery {incident['delivery_id']}"] if incident["delivery_id"] is not None else []
    told = ", ".join(filter(None, known))
    return f"{incident['dataset_id']} ({told})" if told else str(incident["dataset_id"])


def _of(entries: Sequence[Mapping[str, Any]], dataset: str | None) -> list[Mapping[str, Any]]:
    return [entry for entry in entries if dataset is None or entry["dataset_id"] == dataset]


def _clock(moment: datetime) -> str:
    return stamp(moment)


def _sort_key(period: str) -> tuple[str, str]:
    from teilhabe.codes.periods import period_end

    return (str(period_end(period) or ""), period)


def _said(state: str) -> str:
    return state.replace("_", " ")


def _coloured(state: str) -> str:
    colour = _COLOURS.get(state)
    return f"[{colour}]{_said(state)}[/{colour}]" if colour else _said(state)
