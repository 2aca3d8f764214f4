"""One delivery is read and judged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from teilhabe import landing, ops
from teilhabe.contract.lookup import contracts
from teilhabe.contract.model import Contract
from teilhabe.contract.senders import sender_by_content, unknown_sender
from teilhabe.errors import Finding, ReadingError, TeilhabeError
from teilhabe.findings.saying import PERSON_LEVEL, with_sentence
from teilhabe.keeping import removing
from teilhabe.ops import excluded_rows
from teilhabe.pipeline.archiving import bare_name, with_sentences
from teilhabe.pipeline.failing import log
from teilhabe.raw import loading
from teilhabe.raw.kept_rows import KeptRows
from teilhabe.settings import Settings

if TYPE_CHECKING:
    from teilhabe.reading.confined import ConfinedReading
    from teilhabe.reading.layouts.base import AnyReading
    from teilhabe.validation.register import Register
    from teilhabe.validation.verdict import Verdict


def open_delivery(settings: Settings, contract: Contract, delivery: ops.Delivery, folder: Path) -> ConfinedReading:
    """The reading of an archived delivery, the same every time it is opened; in a process of its own."""
    from teilhabe.reading import ReadingContext
    from teilhabe.reading.confined import open_reading

    path = landing.Archive(settings.archive_url).local(delivery.sha256, folder)
    context = ReadingContext(
        received_at=delivery.received_at,
        period=delivery.period_stated or delivery.period_inferred,
        populations=lambda: _populations(settings),
        sender=delivery.sender_code,
        others=lambda: contracts(settings),
        unit_code=_unit_code(settings, contract, delivery),
    )
    return open_reading(contract, path, bare_name(delivery), context)


def _unit_code(settings: Settings, contract: Contract, delivery: ops.Delivery) -> Callable[[str], str | None]:
    """What a name means: as it was when the delivery was judged, or as the register knows now."""
    from teilhabe.validation import unit_names

    if delivery.state in ("validated", "loaded") and delivery.names_resolved is not None:
        return delivery.names_resolved.get

    def names() -> unit_names.UnitNames:
        with loading.session(settings) as conn:
            return unit_names.from_warehouse(conn, settings.project)

    return unit_names.resolver(names, contract.levels)


def _populations(settings: Settings) -> dict[str, dict[str, float]]:
    """Asked while a file is read, so on a connection of its own: the other may be in the middle of a COPY."""
    from teilhabe.validation.register import populations

    with loading.session(settings) as conn:
        return populations(conn)


def judge_one(
    conn: ops.Connection,
    asking: ops.Connection,
    settings: Settings,
    contract: Contract,
    suite: Any,
    register: Register,
    rules: str,
    delivery: ops.Delivery,
    folder: Path,
    run_id: str | None,
    kept: KeptRows | None,
) -> str:
    from teilhabe.validation import history, row_exclusion
    from teilhabe.validation.verdict import Verdict, validate

    with ops.step(
        conn, "validate", dataset_id=contract.dataset_id, delivery_id=delivery.delivery_id, run_id=run_id
    ) as outcome:
        is_decided = ops.approval(conn, delivery.delivery_id) == "accept_without_rows"
        decided = excluded_rows.places(conn, delivery.delivery_id) if is_decided else None
        conn.commit()
        past = history.from_warehouse(asking, before=delivery.received_at, without=delivery.delivery_id)

        def validated(reading: AnyReading) -> Verdict:
            return validate(
                contract,
                suite,
                reading,
                register,
                file_name=delivery.file_name,
                received_at=delivery.received_at,
                history=past,
                kept=kept,
            )

        try:
            verdict = row_exclusion.judge(
                contract, partial(open_delivery, settings, contract, delivery, folder), validated, decided
            )
        except ReadingError as error:
            verdict = Verdict(findings=[error.finding])
        except TeilhabeError as error:
            # An expectation that could not ask says only that it could not run.
            raise past.error or error from error
        if not ops.lock_as_known(conn, delivery):
            outcome.message = ops.OVERTAKEN
            return ops.OVERTAKEN
        if contract.mendable and not register.is_delivered and _leaves_keys_open(verdict):
            ops.record_findings(conn, delivery.delivery_id, [_waits_for_register(delivery)])
            conn.commit()
            outcome.message = ops.WAITS_FOR_REGISTER
            return "received"
        stranger = unknown_sender(contract, delivery.received_from)
        verdict.findings += [stranger] if stranger else []
        verdict.findings = with_sentences(contract, verdict.findings, delivery)
        state: ops.State = "validated" if verdict.accepted else "quarantined"
        ops.record_findings(conn, delivery.delivery_id, verdict.findings)
        excluded_rows.record(conn, delivery.delivery_id, row_exclusion.excluded(verdict, contract.secrecy_method))
        ops.set_state(
            conn,
            delivery.delivery_id,
            state,
            held_back_count=verdict.held_back_count,
            names_resolved=Jsonb(verdict.names_resolved),
            layout=verdict.layout,
            row_count=verdict.row_count,
            period_inferred=verdict.inferred_period,
            periods=verdict.periods,
            rules_version=rules,
            sender_code=delivery.sender_code or sender_by_content(contract, verdict.territories),
        )
        if any(finding.rule == PERSON_LEVEL for finding in verdict.findings):
            removing.refuse_persons(conn, delivery, datetime.now(UTC))
        if verdict.accepted and contract.approval_hours and any(f.severity == "warning" for f in verdict.findings):
            ops.ask_approval(conn, delivery.delivery_id, contract.approval_hours)
        conn.commit()
        outcome.rows = verdict.row_count
        outcome.status = "ok" if verdict.accepted else "refused"
        outcome.message = None if verdict.accepted else verdict.findings[0].rule
    log.info(
        "delivery %s: %s, %s rows, %s findings", delivery.delivery_id, state, verdict.row_count, len(verdict.findings)
    )
    return state


def _leaves_keys_open(verdict: Verdict) -> bool:
    return verdict.accepted and any(finding.rule == "key.unchecked" for finding in verdict.findings)


def _waits_for_register(delivery: ops.Delivery) -> Finding:
    finding = Finding(
        "info",
        ops.WAITS_FOR_REGISTER,
        "",
        expected="ein geladenes Gemeindeverzeichnis",
        what="Ihre Gebietsschlüssel lassen sich erst prüfen, wenn ein Gemeindeverzeichnis geladen ist; bis dahin wartet die "
        "Lieferung, die meldende Stelle braucht nichts zu tun.",
    )
    return with_sentence(finding, None, delivery.file_name)
