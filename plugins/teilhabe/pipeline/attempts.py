"""A delivery that takes its process with it again and again is refused, so that those behind it get their turn."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from teilhabe import ops
from teilhabe.contract.model import Contract
from teilhabe.errors import Finding
from teilhabe.findings.saying import with_sentence
from teilhabe.reading.confined import KilledError

log = logging.getLogger(__name__)

RULE = "delivery.ends_its_process"


@contextmanager
def counted(conn: ops.Connection, delivery_id: int) -> Iterator[None]:
    """Work on a delivery. Counts until it has come to an end, be it an error: what is killed goes on counting."""
    ops.begin_attempt(conn, delivery_id)
    conn.commit()
    try:
        yield
    except KilledError:
        raise
    except Exception:
        conn.rollback()
        _ended(conn, delivery_id)
        raise
    _ended(conn, delivery_id)


def _ended(conn: ops.Connection, delivery_id: int) -> None:
    ops.end_attempt(conn, delivery_id)
    conn.commit()


def give_up(conn: ops.Connection, contract: Contract, delivery: ops.Delivery, rules: str, run_id: str | None) -> bool:
    """Refuse a delivery of which nobody got to an end in so many attempts; whether it was one."""
    if delivery.attempts < ops.MOST_ATTEMPTS:
        return False
    number = delivery.delivery_id
    with ops.step(conn, "validate", dataset_id=contract.dataset_id, delivery_id=number, run_id=run_id) as outcome:
        if not ops.lock_as_known(conn, delivery):
            outcome.message = ops.OVERTAKEN
            return True
        ops.record_findings(conn, number, [_finding(contract, delivery)])
        ops.set_state(conn, number, "quarantined", rules_version=rules)
        conn.commit()
        outcome.status, outcome.message = "refused", RULE
    log.error("delivery %s of %s: given up after %s attempts", number, contract.dataset_id, delivery.attempts)
    return True


def _finding(contract: Contract, delivery: ops.Delivery) -> Finding:
    finding = Finding(
        "critical",
        RULE,
        "",
        found=f"{delivery.attempts} abgebrochene Versuche",
        expected="eine Datei, deren Verarbeitung zu Ende kommt",
        what="Ihre Verarbeitung ist dreimal mitten in der Arbeit abgebrochen, darum wird sie nicht weiter versucht. Liegt es "
        "nicht an der Datei (etwa weil der Rechner ausging), bitte dieselbe Datei noch einmal senden, sonst nur die "
        "vereinbarte Tabelle als neue Datei.",
    )
    return with_sentence(finding, contract.secrecy_method, delivery.file_name)
