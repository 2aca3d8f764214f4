"""Contracts, tables and the calendar of what is due, brought into the database."""

from __future__ import annotations

import hashlib
from datetime import datetime

from teilhabe.contract import delivery_calendar
from teilhabe.contract.lookup import contracts
from teilhabe.contract.model import Contract
from teilhabe.ops import incident_answers, incident_calendar, schema
from teilhabe.raw import loading
from teilhabe.settings import Settings
from teilhabe.system import locks
from teilhabe.system.code_version import code_version


def install(settings: Settings) -> None:
    """Create what is missing in ``ops`` and ``raw`` for the contracts as they are, the delivery calendar included.

    Where nothing is missing no table is locked: a build that reads them for minutes and this one do not wait for each other.
    """
    known = contracts(settings).values()
    with loading.session(settings) as conn:
        if not schema.is_installed(conn):
            conn.commit()
            locks.change_tables(conn, lambda: schema.install(conn))
        if loading.raw_tables_differ(conn, known):
            conn.commit()
            locks.change_tables(conn, lambda: loading.ensure_raw_tables(conn, known))
        delivery_calendar.refresh(conn, known, delivery_calendar.today())


def refresh_calendar(settings: Settings, now: datetime) -> list[str]:
    """Bring the delivery calendar and its incidents up to date; returns one sentence per delivery that is overdue."""
    known = contracts(settings)
    day = delivery_calendar.today(now)
    with loading.session(settings) as conn:
        delivery_calendar.refresh(conn, known.values(), day)
        incident_answers.end_waivers(conn, now)
        incident_calendar.follow_calendar(conn, known.values(), now)
        return [
            f"{entry.dataset_id}{f' ({entry.sender_code})' if entry.sender_code else ''}: {entry.period_code} was due on "
            f"{entry.due_on}, grace ended on {entry.grace_until}; ask {known[entry.dataset_id].contact}"
            for entry in delivery_calendar.latest_due(conn, day)
            if entry.state == "overdue"
        ]


def installed(settings: Settings, contract: Contract) -> bool:
    """Whether the raw table has all columns of the contract."""
    with loading.session(settings) as conn:
        rows = conn.execute(
            "select column_name from information_schema.columns where table_schema = 'raw' and table_name = %s",
            (contract.dataset_id,),
        )
        return set(contract.column_names) <= {row[0] for row in rows}


def rules_version(settings: Settings, contract: Contract) -> str:
    """Fingerprint of what a verdict rests on: contract, suite and the code that applies them."""
    suite = settings.expectations / contract.agency / f"{contract.dataset}.json"
    code = code_version(settings).encode()
    return hashlib.sha256(contract.path.read_bytes() + suite.read_bytes() + code).hexdigest()[:16]
