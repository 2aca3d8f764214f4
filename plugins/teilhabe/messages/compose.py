"""What is told to whom: one message per office and matter, written to the outbox together with what it is about.

``dedup_key`` says what a message is about, so composing again writes nothing. No function commits. Nothing of a file about
single persons is quoted, its name included, and no number that is to be kept secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from teilhabe import ops
from teilhabe.codes import wording
from teilhabe.codes.office_time import spell_moment
from teilhabe.contract import delivery_calendar
from teilhabe.errors import Finding
from teilhabe.findings import saying
from teilhabe.keeping import removing
from teilhabe.messages import evidence
from teilhabe.messages.rendering import plain, render
from teilhabe.messages.writing import (
    CALENDAR,
    OPEN_ACTIONS,
    PLACES_SHOWN,
    SENTENCE,
    About,
    Failed,
    apart,
    facts_of,
    incidents_of,
    is_from_before,
    is_written,
    matters_of,
    reply_date,
    row_count,
    spell_periods,
    ways,
    write_message,
)
from teilhabe.reading.files import persons

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract
    from teilhabe.messages.policy import Policy, Recipient
    from teilhabe.ops.incident_record import Change


KINDS_SHOWN = 15
FILES_SHOWN = 20
_LATEST_RECEIPT = timedelta(days=14)
"""Who did not want to be thanked for a year is not thanked for a year at once when that is changed."""
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


_PERSONAL = Finding("critical", persons.RULE, saying.PERSONAL)


@dataclass(frozen=True)
class Shown:
    """A finding as the office reads it."""

    kind: str
    sentence: str
    expected: str | None


def about_delivery(
    conn: ops.Connection, policy: Policy, contract: Contract, delivery_id: int, changes: Sequence[Change], now: datetime
) -> int | None:
    """The digest of a delivery: refused or remarked on, or what it mended; None where a receipt is enough.

    Verdicts from before the installation of messages are nobody's news.
    """
    if is_from_before(conn, delivery_id):
        return None
    delivery = ops.delivery(conn, delivery_id)
    if delivery.state == "duplicate":
        return _repeat(conn, policy, contract, delivery, now)
    opened = [change for change in changes if change.action in OPEN_ACTIONS]
    mended = [c for c in changes if c.action == "fixed" and not c.rule.startswith(CALENDAR)]
    if delivery.state == "quarantined" or any(not change.rule.startswith(CALENDAR) for change in opened):
        return _verdict(conn, policy, contract, delivery, changes, now)
    return _closing(conn, policy, contract, delivery, mended, now) if mended else None


def receipts(
    conn: ops.Connection, policy: Policy, contracts: Mapping[str, Contract], now: datetime, failed: Failed
) -> None:
    """Thanks for what was accepted and no other message speaks of: one per recipient and dataset, however many files.

    A dataset with files under way waits, so that a burst is one receipt, but not for what a person has to decide; what came
    before the installation gets none.
    """
    # Whoever comes second must see what the first has written: the same file may not be in two receipts.
    conn.execute("select pg_advisory_xact_lock(hashtext('teilhabe.messages.receipts'))")
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            select d.dataset_id, d.sender_code, array_agg(d.delivery_id order by d.received_at, d.delivery_id) as ids
            from ops.delivery as d
            where d.state = 'loaded' and d.followed_at > %s
                and d.state_at >= (select since from ops.follow_up)::timestamp at time zone ops.office_time_zone()
                and not exists (select 1 from ops.message_delivery as told where told.delivery_id = d.delivery_id)
                and not exists (
                    select 1 from ops.delivery as other
                    where other.dataset_id = d.dataset_id and other.state in ('received', 'validated')
                        and not exists (
                            select 1 from ops.approval as a where a.delivery_id = other.delivery_id and a.answer is null
                        )
                )
            group by d.dataset_id, d.sender_code
            order by d.dataset_id, d.sender_code
            """,
            (now - _LATEST_RECEIPT,),
        ).fetchall()
    of_dataset: dict[str, list[tuple[str | None, list[int]]]] = {}
    for row in rows:
        of_dataset.setdefault(row["dataset_id"], []).append((row["sender_code"], row["ids"]))

    def thank(dataset_id: str) -> None:
        contract = contracts.get(dataset_id)
        if contract is None:
            return
        grouped: dict[str | None, tuple[str | None, list[int]]] = {}
        for sender, ids in of_dataset[dataset_id]:
            address = policy.recipient(contract, sender).address
            grouped.setdefault(address, (sender, []))[1].extend(ids)
        for sender, ids in grouped.values():
            _receipt(conn, policy, contract, sender, sorted(ids), now)

    for dataset_id in of_dataset:
        apart(conn, f"receipt {dataset_id}", partial(thank, dataset_id), failed)


def verdict_context(
    policy: Policy,
    contract: Contract,
    recipient: Recipient,
    delivery: ops.Delivery,
    findings: Sequence[Finding],
    *,
    reply_by: date,
    periods: Sequence[str],
    consequence_count: int = 0,
    is_demo: bool = False,
    attachment: str | None = None,
    is_personal: bool = False,
    is_kept: bool = True,
) -> dict[str, Any]:
    """What the text of a verdict is made of; ``findings`` without those that follow from others, which are counted."""
    secrecy = contract.secrecy_method
    told = [finding for finding in findings if finding.severity != "info"]
    if is_personal:
        # Whatever else was found quotes the file.
        told = [finding for finding in told if finding.rule == persons.RULE] or [_PERSONAL]
    shown = [
        Shown(
            wording.SEVERITIES[finding.severity][0],
            plain(saying.say(finding, secrecy), SENTENCE),
            plain(expected) if (expected := saying.expected_beside(finding, secrecy)) else None,
        )
        for finding in told[:KINDS_SHOWN]
    ]
    placed = [] if is_personal else [f for f in told if any(one.row is not None for one in f.evidence)]
    at = {
        (one.sheet or finding.sheet or "", one.row, saying.shown_place(finding, one, secrecy)): None
        for finding in placed
        for one in finding.evidence
        if one.row is not None
    }
    places = sorted(list(at)[:PLACES_SHOWN], key=lambda place: place[:2])
    return {
        "refused": delivery.state == "quarantined",
        "dataset": contract.title_de,
        "office": recipient.name,
        "period": spell_periods(periods),
        "taken": wording.how_much(
            delivery.row_count or 0, delivery.held_back_count, rows=contract.counts_rows(delivery.layout)
        )
        if delivery.held_back_count and delivery.state != "quarantined"
        else None,
        "file": wording.UNNAMED_FILE if is_personal else plain(delivery.file_name),
        "received": spell_moment(delivery.received_at),
        "findings": shown,
        "more_kinds": len(told) - len(shown),
        "consequence_count": consequence_count,
        "places": [astuple(cells) for *_, cells in places],
        "place_count": max(len(at), sum(finding.row_count for finding in placed)),
        "row_count": row_count(placed),
        "reply_by": wording.spell_date(reply_by),
        "ways": ways(policy, contract),
        "attachment": attachment,
        "is_personal": is_personal,
        "is_kept": is_kept,
        "is_misplaced": any(finding.rule == saying.OTHER_DATASET for finding in told),
        "is_demo": is_demo,
        "url": f"{policy.desk}/deliveries/{delivery.delivery_id}",
    }


# ------------------------------------------------------------------------------------------------------------- verdicts


def _verdict(
    conn: ops.Connection,
    policy: Policy,
    contract: Contract,
    delivery: ops.Delivery,
    changes: Sequence[Change],
    now: datetime,
) -> int | None:
    dedup = f"verdict:{delivery.delivery_id}"
    recipient = policy.recipient(contract, delivery.sender_code)
    if not recipient.wants("verdict") or is_written(conn, dedup):
        return None
    incidents = incidents_of(conn, delivery.delivery_id, changes)
    waived = {row["incident_id"]: row["rule"] for row in incidents if row["state"] == "waived"}
    accepted = set(waived.values())
    # What follows from something accepted is the news itself.
    consequences = {row["rule"] for row in incidents if row["cause_id"] is not None and row["cause_id"] not in waived}
    found = [f for f in ops.findings(conn, delivery.delivery_id) if f.rule not in accepted or f.severity == "critical"]
    findings = [f for f in found if f.rule not in consequences]
    made = evidence.of_delivery(policy, contract, delivery, findings)
    periods, is_demo = facts_of(conn, delivery)
    text = render(
        policy,
        "verdict",
        verdict_context(
            policy,
            contract,
            recipient,
            delivery,
            findings,
            reply_by=reply_date(policy, [row["due_on"] for row in incidents if row["state"] != "waived"], now),
            periods=periods,
            is_demo=is_demo,
            consequence_count=len(found) - len(findings),
            attachment=made.name if made.uri else None,
            is_personal=made.is_personal,
            is_kept=removing.of_delivery(conn, delivery.delivery_id) is None,
        ),
    )
    about = About(
        contract.dataset_id,
        delivery.sender_code,
        periods[0] if len(periods) == 1 else None,
        [delivery.delivery_id],
        [row["incident_id"] for row in incidents],
        [{"name": made.name, "uri": made.uri, "media_type": _XLSX}] if made.uri else [],
    )
    return write_message(conn, policy, "verdict", dedup, text, recipient.address, recipient.channel, about, now)


def _repeat(
    conn: ops.Connection, policy: Policy, contract: Contract, delivery: ops.Delivery, now: datetime
) -> int | None:
    """The same bytes as a file that was refused: without a word the office would take it for mended."""
    first = ops.delivery(conn, delivery.duplicate_of or delivery.delivery_id)
    refused = [first.delivery_id, *_members(conn, first.delivery_id)]
    refused = [one for one in refused if ops.delivery(conn, one).state == "quarantined"]
    sender = delivery.sender_code or first.sender_code
    dedup = f"repeat:{delivery.delivery_id}"
    recipient = policy.recipient(contract, sender)
    if not refused or not recipient.wants("repeat") or is_written(conn, dedup):
        return None
    with conn.cursor(row_factory=dict_row) as cursor:
        still_open = cursor.execute(
            "select incident_id from ops.incident where delivery_id = any(%s) and state <> 'fixed' order by incident_id",
            (refused,),
        ).fetchall()
    if _was_repeated(conn, delivery, recipient.address, is_open=bool(still_open)):
        return None
    is_personal = any(evidence.is_about_persons(conn, policy, contract, ops.delivery(conn, one)) for one in refused)
    periods, _ = facts_of(conn, first)
    _, is_demo = facts_of(conn, delivery)
    context = {
        "dataset": contract.title_de,
        "period": spell_periods(periods),
        "file": wording.UNNAMED_FILE if is_personal else f"„{plain(delivery.file_name)}“",
        "received": spell_moment(delivery.received_at),
        "first": spell_moment(first.received_at),
        "is_mended": not still_open,
        "is_demo": is_demo,
        "url": f"{policy.desk}/deliveries/{first.delivery_id}",
    }
    about = About(
        contract.dataset_id,
        sender,
        periods[0] if len(periods) == 1 else None,
        [delivery.delivery_id],
        [row["incident_id"] for row in still_open],
    )
    text = render(policy, "repeat", context)
    return write_message(conn, policy, "repeat", dedup, text, recipient.address, recipient.channel, about, now)


def _was_repeated(conn: ops.Connection, delivery: ops.Delivery, address: str | None, *, is_open: bool) -> bool:
    """The same answer to the same bytes once for good: whoever sends all files again knows, and a machine would answer ours."""
    return (
        conn.execute(
            """
            select 1 from ops.message as m
            inner join ops.message_delivery as md using (message_id)
            inner join ops.delivery as d using (delivery_id)
            where m.kind = 'repeat' and d.dataset_id = %s and d.sha256 = %s and m.recipient is not distinct from %s
                and exists (select 1 from ops.message_incident as mi where mi.message_id = m.message_id) = %s
            limit 1
            """,
            (delivery.dataset_id, delivery.sha256, address, is_open),
        ).fetchone()
        is not None
    )


def _members(conn: ops.Connection, container_id: int) -> list[int]:
    rows = conn.execute("select delivery_id from ops.delivery where container_id = %s order by 1", (container_id,))
    return [number for (number,) in rows]


def _closing(
    conn: ops.Connection,
    policy: Policy,
    contract: Contract,
    delivery: ops.Delivery,
    mended: Sequence[Change],
    now: datetime,
) -> int | None:
    dedup = f"closing:{delivery.delivery_id}"
    recipient = policy.recipient(contract, delivery.sender_code)
    if not recipient.wants("closing") or is_written(conn, dedup):
        return None
    periods, is_demo = facts_of(conn, delivery)
    matters = matters_of(
        conn, policy, contract, [(change.incident_id, change.rule, change.message) for change in mended]
    )
    context = {
        "dataset": contract.title_de,
        "period": spell_periods(periods),
        "file": plain(delivery.file_name),
        "received": spell_moment(delivery.received_at),
        "matters": matters[:PLACES_SHOWN],
        "matter_count": len(matters),
        "is_demo": is_demo,
        "url": f"{policy.desk}/deliveries/{delivery.delivery_id}",
    }
    about = About(
        contract.dataset_id,
        delivery.sender_code,
        periods[0] if len(periods) == 1 else None,
        [delivery.delivery_id],
        [change.incident_id for change in mended],
    )
    text = render(policy, "closing", context)
    return write_message(conn, policy, "closing", dedup, text, recipient.address, recipient.channel, about, now)


def _receipt(
    conn: ops.Connection, policy: Policy, contract: Contract, sender: str | None, ids: Sequence[int], now: datetime
) -> int | None:
    dedup = f"receipt:{contract.dataset_id}:{sender or ''}:{ids[0]}-{ids[-1]}"
    recipient = policy.recipient(contract, sender)
    if not recipient.wants("receipt") or is_written(conn, dedup):
        return None
    deliveries = [ops.delivery(conn, one) for one in ids[:FILES_SHOWN]]
    facts = [facts_of(conn, one) for one in deliveries]
    next_due = next(iter(wording.next_due(contract, delivery_calendar.today(now), 1)), None)
    periods = sorted({code for codes, _ in facts for code in codes}) if len(ids) <= FILES_SHOWN else []
    context = {
        "dataset": contract.title_de,
        "period": spell_periods(periods),
        "file_count": len(ids),
        "deliveries": [
            {
                "file": plain(one.file_name),
                "received": spell_moment(one.received_at),
                "period": spell_periods(codes),
                "taken": wording.how_much(
                    one.row_count or 0, one.held_back_count, rows=contract.counts_rows(one.layout)
                ),
            }
            for one, (codes, _) in zip(deliveries, facts, strict=True)
        ],
        "next_due": next_due
        and {"day": wording.spell_date(next_due.due_on), "period": wording.spell_period(next_due.period_code)},
        "is_demo": any(is_demo for _, is_demo in facts),
        "url": f"{policy.desk}/deliveries/{ids[-1]}",
    }
    about = About(contract.dataset_id, sender, periods[0] if len(periods) == 1 else None, ids)
    text = render(policy, "receipt", context)
    return write_message(conn, policy, "receipt", dedup, text, recipient.address, recipient.channel, about, now)


# ------------------------------------------------------------------------------------------------------------- calendar


# --------------------------------------------------------------------------------------------------------------- outbox
