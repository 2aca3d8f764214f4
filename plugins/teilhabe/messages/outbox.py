"""The outbox: what waits in ``ops.message`` goes out, each message once, whatever ends the process in between.

A message is ``sending`` from before the point of no return on. Who finds it so later knows that somebody died there: a file or
a webhook, which tell a repetition from a second message, go again; a mail may have arrived and is left to a person.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from teilhabe import landing, ops
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import contract_path, load_contract
from teilhabe.errors import ContractError, TeilhabeError
from teilhabe.messages import writing
from teilhabe.messages.channels import (
    MAIL_KEY,
    Channel,
    Drop,
    File,
    Handed,
    Outgoing,
    Refused,
    Smtp,
    Unavailable,
    Uncertain,
    Webhook,
)
from teilhabe.raw import loading
from teilhabe.settings import secret

if TYPE_CHECKING:
    from teilhabe.messages.policy import GetCredentials, Policy
    from teilhabe.settings import Settings

log = logging.getLogger(__name__)

FOLDER = "outbox"
"""Below the home: where the channel ``drop`` writes."""

KEY_FILE = "messages.key"
RESENDABLE = ("failed", "uncertain", "undeliverable")

_REMEMBERED = 20_000
"""A message that comes back is looked for among so many of the last ones."""
_LOCK_SECONDS = 60
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_SKEW = timedelta(minutes=5)
"""What was sent later than this from now was sent by a clock that has been put back since."""


@dataclass
class Sent:
    """What a round did. ``waiting``: due, but held back (quiet hours, rate limit, a channel that is down)."""

    sent: int = 0
    failed: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)


def send_due(
    settings: Settings, policy: Policy, credentials: GetCredentials, now: datetime, *, alerts_only: bool = False
) -> Sent:
    """Send what is due at ``now``. One sender at a time: another one is waited for, then what it left is sent.

    ``alerts_only`` leaves the offices' messages for later.
    """
    done = Sent()
    with loading.session(settings) as conn, _alone(conn) as got_it:
        if got_it:
            _recover(conn, policy, now)
            _send_all(conn, _Round(settings, policy, credentials, now, alerts_only), done)
        done.waiting = len(due(conn, now))
    return done


def due(conn: ops.Connection, now: datetime) -> list[dict[str, Any]]:
    """What would be sent at ``now``, in that order."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select * from ops.message where state = 'waiting' and not_before <= %s order by message_id", (now,)
        ).fetchall()


def preview(conn: ops.Connection, policy: Policy, now: datetime) -> list[tuple[dict[str, Any], datetime | None]]:
    """What is due, with the moment it is held back until; changes nothing."""
    return [(row, _quiet_until(conn, policy, row, now)) for row in due(conn, now)]


def listed(conn: ops.Connection, state: str | None, limit: int) -> list[dict[str, Any]]:
    """Messages, newest first."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "select message_id, kind, state, channel, recipient, subject, composed_at, not_before, sent_at, last_error"
            " from ops.message where state = %s or %s::text is null order by message_id desc limit %s",
            (state, state, limit),
        ).fetchall()


def message(conn: ops.Connection, message_id: int) -> dict[str, Any]:
    """One message as it is stored; ``TeilhabeError`` when there is none."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("select * from ops.message where message_id = %s", (message_id,)).fetchone()
    if row is None:
        raise TeilhabeError(f"There is no message {message_id}.")
    return row


def resend(conn: ops.Connection, message_id: int, now: datetime) -> None:
    """Put a message back that was given up, is uncertain or had no address; ``TeilhabeError`` where it is none of them.

    It keeps its Message-ID and key, so that a mail that did arrive is recognised as the same one, and goes to the address
    that counts by now.
    """
    row = conn.execute("select state from ops.message where message_id = %s for update", (message_id,)).fetchone()
    if row is None:
        raise TeilhabeError(f"There is no message {message_id}.")
    if row[0] not in RESENDABLE:
        raise TeilhabeError(
            f"Message {message_id} is {row[0]}; only failed, uncertain or undeliverable ones are sent again."
        )
    conn.execute(
        "update ops.message set state = 'waiting', attempts = 0, not_before = %s, last_error = null where message_id = %s",
        (now, message_id),
    )


def outgoing(conn: ops.Connection, policy: Policy, message_id: int) -> Outgoing:
    """A message of the outbox as the channels take it, its files fetched from the archive."""
    row = message(conn, message_id)
    with conn.cursor(row_factory=dict_row) as cursor:
        deliveries = cursor.execute(
            "select delivery_id from ops.message_delivery where message_id = %s order by 1", (message_id,)
        ).fetchall()
        earlier = cursor.execute(
            """
            select m.message_id, m.dedup_key from ops.message as m
            where m.message_id < %(id)s and m.recipient = %(recipient)s and m.state in ('sent', 'uncertain')
                and exists (
                    select 1 from ops.message_incident as theirs
                    inner join ops.message_incident as ours
                        on ours.incident_id = theirs.incident_id and ours.message_id = %(id)s
                    where theirs.message_id = m.message_id
                )
            order by m.message_id limit 1
            """,
            {"id": message_id, "recipient": row["recipient"]},
        ).fetchone()
    return Outgoing(
        message_id=message_id,
        kind=row["kind"],
        key=_key(policy, row),
        sender_name=policy.coordination.name,
        sender=policy.coordination.address,
        recipients=tuple((row["recipient"] or "").split(", ")),
        subject=row["subject"],
        text=row["body_text"],
        html=row["body_html"],
        composed_at=row["composed_at"],
        files=tuple(_files(policy, row["attachments"])),
        answers=_key(policy, earlier) if earlier else None,
        dataset_id=row["dataset_id"],
        sender_code=row["sender_code"],
        period_code=row["period_code"],
        delivery_ids=tuple(one["delivery_id"] for one in deliveries),
    )


def by_mail_id(conn: ops.Connection, policy: Policy, mail_ids: Collection[str]) -> list[dict[str, Any]]:
    """The messages that went out under these Message-IDs."""
    if not mail_ids:
        return []
    keys = {mail_id.strip("<>").partition("@")[0] for mail_id in mail_ids}
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select message_id, dedup_key, kind, subject, recipient, state from ops.message"
            " where state in ('sent', 'uncertain') order by message_id desc limit %s",
            (_REMEMBERED,),
        ).fetchall()
    return [row for row in rows if _key(policy, row)[:MAIL_KEY] in keys]


def mark_returned(conn: ops.Connection, row: dict[str, Any], addresses: Collection[str], reason: str) -> None:
    """A message that came back has failed, unless it also went to somebody who got it; then it says whom it did not reach."""
    there = {one.casefold() for one in (row["recipient"] or "").split(", ")}
    state = row["state"] if addresses and there - set(addresses) else "failed"
    conn.execute(
        "update ops.message set state = %s, last_error = %s where message_id = %s",
        (state, f"Not delivered to {', '.join(addresses) or row['recipient']}: {reason}", row["message_id"]),
    )


@dataclass
class _Round:
    settings: Settings
    policy: Policy
    credentials: GetCredentials
    now: datetime
    alerts_only: bool = False
    down: list[str] = field(default_factory=list)
    """Channels that answered nobody in this round."""
    held: list[int] = field(default_factory=list)
    _contracts: dict[str, Contract | None] = field(default_factory=dict)

    def contract(self, dataset_id: str) -> Contract | None:
        """None where there is none any more, or it cannot be read: then what was agreed at the time counts."""
        if dataset_id not in self._contracts:
            try:
                self._contracts[dataset_id] = load_contract(contract_path(self.settings.agencies, dataset_id))
            except (ContractError, OSError):
                self._contracts[dataset_id] = None
        return self._contracts[dataset_id]

    def channel(self, name: str) -> Channel:
        if name == "drop":
            return Drop(self.settings.home / FOLDER)
        wanted = self.policy.smtp if name == "smtp" else self.policy.webhook
        try:
            found = self.credentials(wanted.connection)
        except ContractError as error:
            raise Unavailable(str(error), whole_channel=True) from error
        return Smtp(found) if name == "smtp" else Webhook(found)


def _send_all(conn: ops.Connection, this: _Round, done: Sent) -> None:
    while row := _next(conn, this):
        if not _readdress(conn, this, row, done):
            conn.commit()
            continue
        later = _quiet_until(conn, this.policy, row, this.now)
        if later is not None:
            conn.execute("update ops.message set not_before = %s where message_id = %s", (later, row["message_id"]))
            this.held.append(row["message_id"])
        else:
            _send_one(conn, this, row, done)
        conn.commit()


def _next(conn: ops.Connection, this: _Round) -> dict[str, Any] | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            select message_id, kind, channel, recipient, subject, attempts, dataset_id, sender_code from ops.message
            where state = 'waiting' and not_before <= %s and channel <> all(%s) and message_id <> all(%s)
                and (kind = 'operators' or not %s)
            order by message_id limit 1
            """,
            (this.now, this.down, this.held, this.alerts_only),
        ).fetchone()


def _readdress(conn: ops.Connection, this: _Round, row: dict[str, Any], done: Sent) -> bool:
    """Whom and how to reach now, if that was changed while the message waited; False where it is nobody any more.

    What another side may have taken already stays with it: only there a repetition is recognised.
    """
    contract = this.contract(row["dataset_id"]) if row["dataset_id"] and row["kind"] != "operators" else None
    if contract is None or (row["channel"] != "smtp" and row["attempts"]):
        return row["recipient"] is not None
    agreed = this.policy.recipient(contract, row["sender_code"])
    now = {
        "recipient": agreed.escalation if row["kind"] == "escalation" else agreed.address,
        "channel": agreed.channel,
    }
    if any(row[key] != value for key, value in now.items()):
        row.update(now)
        conn.execute(
            "update ops.message set recipient = %s, channel = %s where message_id = %s",
            (row["recipient"], row["channel"], row["message_id"]),
        )
    if row["recipient"] is None:
        _record(conn, row["message_id"], "undeliverable", "There is no address any more.")
        _give_up(conn, this, row, "keine Adresse", done)
        return False
    return True


def _quiet_until(conn: ops.Connection, policy: Policy, row: dict[str, Any], now: datetime) -> datetime | None:
    """Until when an office is left in peace: over the quiet hours, and when it has got its share of this hour or day.

    The day's share also ends what no header tells: two machines that answer each other.
    """
    if row["kind"] == "operators":
        return None
    moment = policy.next_moment(now)
    if moment > now:
        return moment
    room = [
        _room(conn, row["recipient"], span, limit, now)
        for span, limit in ((_HOUR, policy.rate_limit_per_hour), (_DAY, policy.rate_limit_per_day))
    ]
    return max((moment for moment in room if moment is not None), default=None)


def _room(conn: ops.Connection, recipient: str, span: timedelta, limit: int, now: datetime) -> datetime | None:
    """When one more message keeps the limit again; None where it does now."""
    found = conn.execute(
        """
        select sent_at from ops.message
        where recipient = %s and kind <> 'operators' and sent_at > %s and sent_at < %s
        order by sent_at desc offset %s limit 1
        """,
        (recipient, now - span, now + _SKEW, limit - 1),
    ).fetchone()
    return found[0] + span if found else None


def _send_one(conn: ops.Connection, this: _Round, row: dict[str, Any], done: Sent) -> None:
    message_id, attempts = row["message_id"], row["attempts"] + 1
    handed_over = False

    def commit() -> None:
        nonlocal handed_over
        handed_over = True
        conn.execute(
            "update ops.message set state = 'sending', attempts = %s where message_id = %s", (attempts, message_id)
        )
        conn.commit()

    try:
        message = outgoing(conn, this.policy, message_id)
        conn.commit()  # the other side may take its time
        handed = this.channel(row["channel"]).send(message, this.now, commit)
    except Refused as error:
        _record(conn, message_id, "failed", error)
        _give_up(conn, this, row, f"abgelehnt: {error}", done)
    except Uncertain as error:
        _record(conn, message_id, "uncertain", error)
        _give_up(conn, this, row, f"vielleicht angekommen, bitte nachsehen: {error}", done)
    except TeilhabeError as error:
        whole = isinstance(error, Unavailable) and error.whole_channel
        if whole:
            this.down.append(row["channel"])
            attempts -= 1
            subject, key = f"Kanal {row['channel']} nicht erreichbar", f"channel:{row['channel']}"
            broken = row["channel"] == this.policy.operators_channel
            writing.operators(conn, this.policy, subject, str(error), key, this.now, channel="drop" if broken else None)
        if not whole and attempts >= this.policy.retry.attempts:
            _record(conn, message_id, "failed", error)
            _give_up(conn, this, row, f"nach {attempts} Versuchen aufgegeben: {error}", done)
            return
        this.held.append(message_id)
        conn.execute(
            "update ops.message set state = 'waiting', attempts = %s, last_error = %s, not_before = %s where message_id = %s",
            (attempts, str(error), this.now + this.policy.wait(attempts), message_id),
        )
        done.problems.append(f"message {message_id}: {error}")
    except Exception as error:
        # A message nobody can build or a bug must not keep all others waiting; its text may quote a file.
        log.error("message %s: %s", message_id, type(error).__name__)
        conn.rollback()
        lost = handed_over and row["channel"] == "smtp"
        _record(conn, message_id, "uncertain" if lost else "failed", type(error).__name__)
        _give_up(conn, this, row, type(error).__name__, done)
    else:
        _confirm(conn, this, row, handed, done)


def _confirm(conn: ops.Connection, this: _Round, row: dict[str, Any], handed: Handed, done: Sent) -> None:
    conn.execute(
        "update ops.message set state = 'sent', sent_at = %s, reference = %s, last_error = %s where message_id = %s",
        (
            this.now,
            handed.reference,
            "; ".join(f"{address}: {said}" for address, said in handed.refused) or None,
            row["message_id"],
        ),
    )
    done.sent += 1
    for address, said in handed.refused:
        _tell(
            conn,
            this,
            f"Adresse abgelehnt: {address}",
            f"Nachricht {row['message_id']} („{row['subject']}“) ging an die übrigen Empfänger, nicht an {address}: {said}",
            f"address:{address}",
        )


def _record(conn: ops.Connection, message_id: int, state: str, error: object) -> None:
    conn.execute(
        "update ops.message set state = %s, last_error = %s, attempts = attempts + (state <> 'sending')::integer"
        " where message_id = %s",
        (state, str(error), message_id),
    )


def _give_up(conn: ops.Connection, this: _Round, row: dict[str, Any], what: str, done: Sent) -> None:
    done.failed += 1
    done.problems.append(f"message {row['message_id']}: {what}")
    if row["kind"] == "operators":
        log.error("alert %s could not be sent: %s", row["message_id"], what)
        return
    _tell(
        conn,
        this,
        f"Nachricht {row['message_id']} nicht zugestellt",
        f"„{row['subject']}“ an {row['recipient']}: {what}\n\nErneut senden: teilhabe messages resend {row['message_id']}",
        f"message:{row['message_id']}",
    )


def _tell(conn: ops.Connection, this: _Round, subject: str, text: str, key: str) -> None:
    writing.operators(conn, this.policy, subject, text, key, this.now)


def _recover(conn: ops.Connection, policy: Policy, now: datetime) -> None:
    """What somebody was sending who is no longer there: the lock says that nobody is."""
    conn.execute("update ops.message set state = 'waiting' where state = 'sending' and channel <> 'smtp'")
    lost = conn.execute(
        "update ops.message set state = 'uncertain', last_error = 'The process ended while the mail was handed over.'"
        " where state = 'sending' returning message_id, subject, recipient"
    ).fetchall()
    for message_id, subject, recipient in lost:
        writing.operators(
            conn,
            policy,
            f"Nachricht {message_id} vielleicht nicht zugestellt",
            f"„{subject}“ an {recipient}: Der Prozess endete während der Übergabe an den Mailserver. Bitte dort nachsehen.\n\n"
            f"Erneut senden: teilhabe messages resend {message_id}",
            f"message:{message_id}",
            now,
        )
    conn.commit()


@contextmanager
def _alone(conn: ops.Connection) -> Iterator[bool]:
    """Whether this session may send; ends with the connection, also when the process is killed."""
    conn.execute("select set_config('lock_timeout', %s, false)", (f"{_LOCK_SECONDS}s",))
    conn.commit()
    try:
        conn.execute("select pg_advisory_lock(hashtext('teilhabe.messages.send'))")
        conn.commit()
    except psycopg.errors.LockNotAvailable:
        conn.rollback()
        yield False
        return
    yield True
    conn.execute("select pg_advisory_unlock(hashtext('teilhabe.messages.send'))")


def _key(policy: Policy, row: dict[str, Any]) -> str:
    """Nobody outside can guess it, and it is the same for the same message of this home."""
    said = f"{row['message_id']} {row['dedup_key']}"
    return hmac.new(secret(policy.settings, KEY_FILE).encode(), said.encode(), hashlib.sha256).hexdigest()


def _files(policy: Policy, attachments: list[dict[str, str]]) -> Iterator[File]:
    store = landing.Archive(policy.settings.archive_url)
    with tempfile.TemporaryDirectory() as folder:
        for one in attachments:
            path = store.local(one["uri"].rpartition("/")[2], Path(folder))
            yield File(one["name"], one["media_type"], path.read_bytes())
