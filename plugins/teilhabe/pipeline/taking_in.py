"""What happens to a delivery, step by step: poll, archive, judge, load. No Airflow in here; DAGs and tests call the same.

Each step can be killed and run again. Between the steps only ``ops.delivery.state`` and the archive carry anything on:
received -> validated -> loaded, or quarantined, or failed (our own error; taken up again by the next run). A zip is a
delivery of its own, which ends ``unpacked``: each file in it becomes a delivery and is judged as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from teilhabe import ops
from teilhabe.contract.model import Contract
from teilhabe.errors import Finding
from teilhabe.findings.saying import with_sentence
from teilhabe.keeping import removing
from teilhabe.landing.passing_bytes import passing_folder
from teilhabe.ops import excluded_rows
from teilhabe.pipeline import attempts
from teilhabe.pipeline.archiving import is_container, unpack
from teilhabe.pipeline.failing import log, note_error, raise_first
from teilhabe.pipeline.installing import rules_version
from teilhabe.pipeline.judging import judge_one, open_delivery
from teilhabe.pipeline.waiting import waiting_for_its_step
from teilhabe.raw import loading
from teilhabe.raw.kept_rows import KeptRows
from teilhabe.settings import Settings
from teilhabe.system import locks

if TYPE_CHECKING:
    import pyarrow as pa


def judge(settings: Settings, contract: Contract, run_id: str | None = None) -> dict[int, str]:
    """Read and validate every delivery of the dataset that waits for a verdict; returns delivery -> new state.

    Containers go first: what is in them waits for a verdict as well.
    """
    return _work_through(settings, contract, run_id, and_load=False)


def take_in(settings: Settings, contract: Contract, run_id: str | None = None) -> dict[int, str]:
    """Judge and load what waits, one delivery after the other; returns delivery -> new state.

    Each is loaded before the next is judged, so that a month is compared with the month before it although both
    arrived together.
    """
    return _work_through(settings, contract, run_id, and_load=True)


def load(settings: Settings, contract: Contract, run_id: str | None = None) -> list[int]:
    """COPY every validated delivery of the dataset into ``raw``; returns the deliveries loaded."""
    loaded: list[int] = []
    errors: list[Exception] = []
    with loading.session(settings) as conn, passing_folder(settings) as folder:
        for delivery in [d for d in ops.unfinished(conn, contract.dataset_id) if d.state == "validated"]:
            try:
                if _load_if_approved(conn, settings, contract, delivery.delivery_id, folder, run_id) == "loaded":
                    loaded.append(delivery.delivery_id)
            except Exception as error:
                note_error(contract, delivery, error, errors)
    raise_first(errors)
    return loaded


def _work_through(settings: Settings, contract: Contract, run_id: str | None, *, and_load: bool) -> dict[int, str]:
    from teilhabe.reading import confined

    confined.prepare()  # it starts while the modules below are read
    from teilhabe.validation.register import baseline, from_warehouse
    from teilhabe.validation.suite import load_suite

    states: dict[int, str] = {}
    errors: list[Exception] = []

    def attempt(delivery: ops.Delivery, work: Callable[[], str]) -> None:
        try:
            with attempts.counted(conn, delivery.delivery_id):
                states[delivery.delivery_id] = locks.try_again(work)
        except Exception as error:
            note_error(contract, delivery, error, errors)
            conn.rollback()
            is_ours = ops.lock_as_known(conn, delivery)
            if is_ours:
                ops.set_state(conn, delivery.delivery_id, "failed")
            conn.commit()
            states[delivery.delivery_id] = "failed" if is_ours else ops.OVERTAKEN

    def is_given_up(delivery: ops.Delivery) -> bool:
        return attempts.give_up(conn, contract, delivery, rules_version(settings, contract), run_id)

    with (
        loading.session(settings) as conn,
        # What only asks has a connection of its own: reading and judging may take minutes, and no transaction waits for them.
        loading.session(settings, autocommit=True) as asking,
        passing_folder(settings) as folder,
    ):
        for delivery in (d for d in waiting_for_its_step(conn, contract) if is_container(d) and not is_given_up(d)):
            attempt(delivery, partial(unpack, conn, settings, contract, delivery, folder, run_id))
        unfinished = [
            d for d in ops.unfinished(conn, contract.dataset_id) if not is_container(d) and not is_given_up(d)
        ]
        if any(d.state != "validated" for d in unfinished):
            suite = load_suite(settings.expectations, contract)
            register = from_warehouse(asking, baseline(settings.project))
            rules = rules_version(settings, contract)
        conn.commit()
        for delivery in unfinished:
            number = delivery.delivery_id
            kept = KeptRows(folder / f"{number}.rows") if and_load else None
            if delivery.state != "validated":
                attempt(
                    delivery,
                    partial(
                        judge_one, conn, asking, settings, contract, suite, register, rules, delivery, folder, run_id,
                        kept,
                    ),
                )  # fmt: skip
            if and_load and states.get(number, delivery.state) == "validated":
                try:
                    with attempts.counted(conn, number):
                        states[number] = _load_if_approved(conn, settings, contract, number, folder, run_id, kept)
                except Exception as error:
                    note_error(contract, delivery, error, errors)
            (folder / delivery.sha256).unlink(missing_ok=True)
            if kept is not None:
                kept.drop()
        removing.sweep(settings, conn)
    raise_first(errors)
    return states


def _load_if_approved(
    conn: ops.Connection,
    settings: Settings,
    contract: Contract,
    number: int,
    folder: Path,
    run_id: str | None,
    kept: KeptRows | None = None,
) -> ops.State:
    """Load what nobody has to be asked about, or what was answered with yes; the new state of the delivery."""
    delivery = ops.delivery(conn, number)
    said = ops.approval(conn, number)
    conn.commit()
    if said in (None, "publish", "accept_without_rows"):
        _load_one(conn, settings, contract, delivery, folder, run_id, kept)
        return ops.delivery(conn, number).state
    if said == "refuse":
        with ops.step(conn, "validate", dataset_id=contract.dataset_id, delivery_id=number, run_id=run_id) as outcome:
            if not ops.lock_as_known(conn, delivery):
                outcome.message = ops.OVERTAKEN
                return ops.delivery(conn, number).state
            findings = ops.findings(conn, number)
            ops.record_findings(conn, number, [_not_approved(delivery), *findings])
            ops.set_state(conn, number, "quarantined")
            conn.commit()
            outcome.status, outcome.message = "refused", "delivery.not_approved"
        return "quarantined"
    return "validated"


def _not_approved(delivery: ops.Delivery) -> Finding:
    finding = Finding(
        "critical",
        "delivery.not_approved",
        "",
        found="nicht freigegeben",
        expected="berichtigte oder bestätigte Zahlen",
        what="Sie wurde wegen der Warnungen nach Rückfrage nicht übernommen; erwartet wird eine berichtigte Fassung oder eine "
        "Bestätigung der Zahlen.",
    )
    return with_sentence(finding, None, delivery.file_name)


def _load_one(
    conn: ops.Connection,
    settings: Settings,
    contract: Contract,
    delivery: ops.Delivery,
    folder: Path,
    run_id: str | None,
    kept: KeptRows | None,
) -> None:
    number = delivery.delivery_id
    with ops.step(conn, "load", dataset_id=contract.dataset_id, delivery_id=number, run_id=run_id) as outcome:
        chunks = None if kept is None or delivery.held_back_count else kept.chunks()
        if chunks is None:
            chunks = _read_anew(conn, settings, contract, delivery, folder)
        conn.commit()
        outcome.rows = loading.load(conn, contract, number, chunks)
    log.info("delivery %s: loaded, %s rows", number, outcome.rows)


def _read_anew(
    conn: ops.Connection, settings: Settings, contract: Contract, delivery: ops.Delivery, folder: Path
) -> Iterator[pa.Table]:
    """The rows of a delivery that was judged, without those that are left out."""
    from teilhabe.reading.layouts.excluding import RowsExcluded

    reading = open_delivery(settings, contract, delivery, folder)
    if delivery.held_back_count:
        reading.excluded = RowsExcluded(excluded_rows.places(conn, delivery.delivery_id))
    return reading.chunks()
