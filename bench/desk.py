"""The desk's matrix with 100,000 deliveries, beside what one would write first: a query per cell.

``python -m bench.desk [--deliveries N] [--write FILE]``. Three counties, from the contracts as they are to one in which each of
the 40 datasets comes every month from each of seven municipalities. Shown is the long view (36 months): the query alone, and the
whole page with rights, query and HTML; then the page as it opens (13 months).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from fastapi.testclient import TestClient

from teilhabe.contract import delivery_calendar
from teilhabe.contract.model import Calendar, Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.desk import matrix, queries
from teilhabe.desk.accounts import Account, Scope
from teilhabe.desk.app import create_app
from teilhabe.desk.core import Desk
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import embedded, provisioning
from teilhabe.settings import Settings, get_settings

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
TODAY = NOW.date()
LIMIT_MS = 300
ROUNDS = 15
SAMPLE = 50
"""Cells the slow way is measured on; its time is that of all cells in proportion."""

_FILL = """
insert into ops.delivery (dataset_id, file_name, sha256, size_bytes, received_at, source, archive_uri, manifest_uri, state, periods,
    sender_code, row_count)
select c.dataset_id, 'zahlen-' || n || '.csv', repeat(md5(n::text), 2), 20000 + n %% 1000,
    c.due_on + ((n * 7919) %% 40 - 20) * interval '1 day' + n %% 86400 * interval '1 second', 'inbox', 'x', 'm' || n,
    case when n %% 12 = 0 then 'quarantined' when n %% 50 = 1 then 'duplicate' else 'loaded' end,
    array[c.period_code], c.sender_code, 100
from generate_series(1, %(deliveries)s) as n
inner join (
    select *, row_number() over (order by dataset_id, sender_code, period_code) as position
    from ops.delivery_calendar where due_on < %(today)s
) as c on c.position = n %% (select count(*) from ops.delivery_calendar where due_on < %(today)s) + 1
"""
_FIND = """
insert into ops.finding (delivery_id, severity, rule, message)
select d.delivery_id, case when d.state = 'quarantined' then 'critical' else 'warning' end, 'value.negative', 'Zeile 12'
from ops.delivery as d where d.state = 'quarantined' or d.delivery_id % 9 = 0
"""
_COMPLAIN = """
insert into ops.incident (dataset_id, sender_code, period_code, rule, severity, state, message, first_seen_at, last_seen_at, delivery_id)
select distinct on (d.dataset_id, d.sender_code, d.periods[1]) d.dataset_id, d.sender_code, d.periods[1], 'value.negative', f.severity,
    'open', 'Zeile 12', d.received_at, d.received_at, d.delivery_id
from ops.finding as f inner join ops.delivery as d on d.delivery_id = f.delivery_id
order by d.dataset_id, d.sender_code, d.periods[1], d.received_at desc
"""
_PER_CELL = """
select d.delivery_id, d.state, d.received_at,
    exists (select from ops.finding as f where f.delivery_id = d.delivery_id and f.severity = 'warning')
from ops.delivery as d
where d.dataset_id = %s and d.sender_code is not distinct from %s and %s = any(d.periods) and d.state in ('loaded', 'quarantined')
order by d.received_at desc limit 1
"""


@dataclass(frozen=True)
class Measured:
    county: str
    what: str
    cells: int
    milliseconds: list[float]

    @property
    def line(self) -> str:
        worst = max(self.milliseconds)
        return f"| {self.county} | {self.what} | {self.cells:,} | {statistics.median(self.milliseconds):,.0f} | {worst:,.0f} |"


def as_they_are(settings: Settings) -> dict[str, Contract]:
    return load_contracts(settings.agencies)


def all_monthly(settings: Settings) -> dict[str, Contract]:
    """Every dataset monthly, from the senders it has: two of them from seven municipalities each."""
    monthly = Calendar(frequency="monthly", reference="month", lag_days=10, grace_days=5, first_period="2020-01")
    return {name: one.model_copy(update={"calendar": monthly}) for name, one in as_they_are(settings).items()}


def all_from_municipalities(settings: Settings) -> dict[str, Contract]:
    """Every dataset monthly and from seven municipalities: more than any county has."""
    senders = as_they_are(settings)["housing__accommodation"].senders
    return {name: one.model_copy(update={"senders": senders}) for name, one in all_monthly(settings).items()}


COUNTIES: dict[str, Callable[[Settings], dict[str, Contract]]] = {
    "40 contracts as they are": as_they_are,
    "40 datasets, all monthly": all_monthly,
    "40 datasets, all monthly, all from 7 municipalities": all_from_municipalities,
}


def fill(settings: Settings, contracts: dict[str, Contract], deliveries: int) -> None:
    with loading.session(settings) as conn:
        schema.install(conn)
        conn.execute("truncate ops.delivery, ops.incident, ops.delivery_calendar restart identity cascade")
        delivery_calendar.refresh(conn, contracts.values(), TODAY)
        conn.execute(_FILL.encode(), {"deliveries": deliveries, "today": TODAY})
        conn.execute(_FIND.encode())
        conn.execute(_COMPLAIN.encode())
    with loading.session(settings) as conn:
        conn.autocommit = True
        conn.execute("analyze ops.delivery, ops.finding, ops.incident, ops.delivery_calendar")


def measure(settings: Settings, county: str, contracts: dict[str, Contract]) -> list[Measured]:
    """The query, the whole page, and a query per cell for the same cells."""
    scope = Scope(list(contracts), None, operators=True)
    windows = matrix.windows(contracts.values(), TODAY, more=True)
    account = Account("bench", lambda _: True, lambda _: True)
    with loading.session(settings) as conn, patch.object(Desk, "contracts", lambda _: contracts):
        cells = queries.matrix(conn, scope, windows, TODAY)
        page = TestClient(create_app(settings, lambda: account, clock=lambda: NOW))

        def ask_for_page(address: str) -> None:
            answer = page.get(address)
            if answer.status_code != 200:
                raise SystemExit(f"the page answers {answer.status_code}: there is nothing to report")

        some = cells[:: max(1, len(cells) // SAMPLE)]

        def ask_per_cell() -> None:
            for cell in some:
                conn.execute(_PER_CELL.encode(), (cell.dataset_id, cell.sender_code, cell.period_code)).fetchone()

        return [
            Measured(county, "desk: query", len(cells), timed(lambda: queries.matrix(conn, scope, windows, TODAY))),
            Measured(county, "desk: whole page", len(cells), timed(lambda: ask_for_page("/?more=true"))),
            Measured(
                county, "desk: page as it opens", _shown_first(contracts, cells), timed(lambda: ask_for_page("/"))
            ),
            Measured(county, "a query per cell, no page", len(cells), timed(ask_per_cell, 1, len(cells) / len(some))),
        ]


def _shown_first(contracts: dict[str, Contract], cells: list[queries.Cell]) -> int:
    since = {window.dataset_id: window.since for window in matrix.windows(contracts.values(), TODAY)}
    return sum(cell.reference_end >= since[cell.dataset_id] for cell in cells)


def timed(work: Callable[[], object], rounds: int = ROUNDS, scale: float = 1) -> list[float]:
    work()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1000 * scale)
    return taken


def report(measured: list[Measured], deliveries: int) -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return "\n".join([
        f"# The desk's matrix with {deliveries:,} deliveries",
        "",
        "| county | what | cells | median ms | worst ms |",
        "|---|---|---|---|---|",
        *(one.line for one in measured),
        "",
        f"{LIMIT_MS} ms are allowed. The query per cell is measured on about {SAMPLE} cells. "
        f"{os.cpu_count()} processors, load average {load} at the end; "
        f"`python -m bench.desk --deliveries {deliveries}`.",
        "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.desk", description=__doc__)
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--write", type=Path, help="write the table to this file")
    given = parser.parse_args()
    # The server never runs as root: its account has to reach the home.
    base = Path(tempfile.mkdtemp(prefix="teilhabe-bench-"))
    base.chmod(0o755)
    settings = get_settings({**os.environ, "TEILHABE_HOME": str(base / "home")})
    measured: list[Measured] = []
    try:
        embedded.ensure_running(settings)
        provisioning.provision(settings)
        for county, contracts_of in COUNTIES.items():
            contracts = contracts_of(settings)
            fill(settings, contracts, given.deliveries)
            measured += measure(settings, county, contracts)
            sys.stderr.write("".join(f"{one.line}\n" for one in measured[-4:]))
        text = report(measured, given.deliveries)
        sys.stdout.write(text)
        if given.write:
            given.write.write_text(text, encoding="utf-8")
    finally:
        embedded.discard(settings)
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
