"""What a mailbox holds besides deliveries: our own messages come back, files nobody agreed on, mail that cannot be read.

Nobody is answered. The operators hear of each such message once; of a message that did not arrive its own state says so.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from teilhabe import landing
from teilhabe.contract.parsing import load_contracts
from teilhabe.contract.senders import known_addresses
from teilhabe.errors import TeilhabeError
from teilhabe.landing.base import matches
from teilhabe.messages import outbox, writing
from teilhabe.messages.policy import load_alert_policy

if TYPE_CHECKING:
    from teilhabe import ops
    from teilhabe.landing.mail import MailSource, Notice
    from teilhabe.messages.policy import GetCredentials, Policy
    from teilhabe.settings import Settings

log = logging.getLogger(__name__)

_NAMES = 10


def read(
    conn: ops.Connection, settings: Settings, credentials: GetCredentials, source: MailSource, now: datetime
) -> None:
    """Act on what the last look into a mailbox met, and let go of what delivers nothing."""
    if not source.notices:
        return
    policy = load_alert_policy(settings, credentials)
    done = []
    for notice in source.notices:
        if notice.kind == "bounce":
            _returned(conn, policy, source, notice, now)
        elif notice.kind == "bulk":
            _automatic(conn, policy, source, notice, now)
        elif notice.kind == "empty":
            _without_files(conn, policy, source, notice, now)
        elif notice.kind != "reply":
            _unexpected(conn, policy, settings, credentials, source, notice, now)
        if notice.kind in ("bounce", "reply", "bulk", "empty"):
            log.info("%s: message %s (%s) delivers nothing", source.host, notice.uid, notice.kind)
            done.append(notice.uid)
    conn.commit()
    if done:
        source.dismiss(done)


def _returned(conn: ops.Connection, policy: Policy, source: MailSource, notice: Notice, now: datetime) -> None:
    report = notice.report
    if report is None or not report.failed:
        return
    reason = report.reason or "ohne Angabe von Gründen"
    messages = outbox.by_mail_id(conn, policy, report.mail_ids)
    for message in messages:
        outbox.mark_returned(conn, message, report.addresses, reason)
        address = ", ".join(report.addresses) or message["recipient"]
        writing.operators(
            conn,
            policy,
            f"Nachricht nicht zugestellt: {address}",
            f"Nachricht {message['message_id']} („{message['subject']}“) kam zurück: {reason}.\nBitte die Adresse prüfen und "
            f"dann neu senden: teilhabe messages resend {message['message_id']}",
            f"returned:{message['message_id']}:{address}",
            now,
            once=True,
            # An alert that comes back must not be followed by another one to the same address.
            channel="drop" if message["kind"] == "operators" else None,
        )
    if not messages:
        writing.operators(
            conn,
            policy,
            "Unzustellbare Nachricht",
            f"Im Postfach {_where(source)} meldet ein Mailserver, dass eine Nachricht nicht zugestellt wurde"
            f"{_to(report.addresses)}; welche, ist nicht zu erkennen: {reason}.",
            "returned:unknown",  # once a day: it may be an alert that came back
            now,
        )


def _to(addresses: tuple[str, ...]) -> str:
    return f" ({', '.join(addresses)})" if addresses else ""


def _automatic(conn: ops.Connection, policy: Policy, source: MailSource, notice: Notice, now: datetime) -> None:
    """A procedure that mails its export says it is automatic as well: then the office has to know that this is no way in."""
    if notice.files:
        writing.operators(
            conn,
            policy,
            f"Automatische Nachricht mit Anlagen von {notice.sender or 'unbekannt'}",
            f"Im Postfach {_where(source)} liegt eine Nachricht, die sich als automatisch oder als Rundschreiben bezeichnet; "
            f"solche Nachrichten sind keine Lieferungen und werden nicht beantwortet. Anlagen: {_names(notice.files)}.\n"
            "Sind es Zahlen, die erwartet werden: bitte von Hand abgeben (teilhabe deliver) und mit der Stelle einen anderen "
            "Weg vereinbaren.",
            f"mail:{notice.fingerprint}",
            now,
            once=True,
        )


def _without_files(conn: ops.Connection, policy: Policy, source: MailSource, notice: Notice, now: datetime) -> None:
    """Words of an office, or a file it forgot: somebody should read them. Of anybody else's nothing is said."""
    if (source.senders or source.addresses) and source.knows(notice.sender):
        writing.operators(
            conn,
            policy,
            f"Nachricht ohne Anlage von {notice.sender}",
            f"Im Postfach {_where(source)} hat {notice.sender} eine Nachricht ohne Datei gesendet (Nr. {notice.uid}); sie gilt als "
            "erledigt und wurde nicht beantwortet. Bitte nachsehen, ob eine Anlage vergessen wurde oder eine Antwort erwartet wird.",
            f"mail:{notice.fingerprint}",
            now,
            once=True,
        )


def _unexpected(
    conn: ops.Connection,
    policy: Policy,
    settings: Settings,
    credentials: GetCredentials,
    source: MailSource,
    notice: Notice,
    now: datetime,
) -> None:
    """Told unless the file is another dataset's: several may be sent to the same mailbox."""
    key = f"mail:{notice.fingerprint}"
    if writing.is_told(conn, key):
        return
    if notice.kind == "unreadable":
        writing.operators(
            conn,
            policy,
            "Eine Nachricht im Postfach ist nicht lesbar",
            f"Im Postfach {_where(source)} liegt eine Nachricht (Nr. {notice.uid}), die nicht aufgebaut ist, wie eine Nachricht "
            "sein muss; sie wurde nicht gelesen. Bitte im Postfach nachsehen.",
            key,
            now,
            once=True,
        )
        return
    others = list(_same_mailbox(settings, credentials, source))
    if notice.kind == "stranger":
        if any(other.knows(notice.sender) and any(matches(other.pattern, n) for n in notice.files) for other in others):
            return  # another dataset's sender
        writing.operators(
            conn,
            policy,
            f"Lieferung von unbekanntem Absender: {notice.sender or 'unbekannt'}?",
            f"Im Postfach {_where(source)} liegt eine Nachricht mit Dateien, wie sie erwartet werden ({_names(notice.files)}), aber "
            "von einem Absender, der dafür nicht vereinbart ist oder dessen Echtheit der Mailserver nicht bestätigt. Sie wurden "
            "nicht angenommen, geantwortet wurde nicht. Ist es eine Lieferung? Dann bitte bei der Stelle rückfragen, die Datei "
            "von Hand abgeben (teilhabe deliver) und die Adresse in den Vertrag aufnehmen.",
            key,
            now,
            once=True,
        )
        return
    names = [name for name in notice.files if not any(matches(other.pattern, name) for other in others)]
    if names:
        writing.operators(
            conn,
            policy,
            f"Unerwartete Anlage von {notice.sender or 'unbekannt'}",
            f"Im Postfach {_where(source)} hat eine Nachricht Anlagen, deren Name zu keiner vereinbarten Lieferung passt: "
            f"{_names(names)}. Sie wurden nicht angenommen, die Stelle hat davon nichts gehört. Ist es eine Lieferung: bitte "
            "unter dem vereinbarten Namen neu senden lassen oder von Hand abgeben (teilhabe deliver).",
            key,
            now,
            once=True,
        )


def _same_mailbox(settings: Settings, credentials: GetCredentials, source: MailSource) -> Iterator[MailSource]:
    """What is expected in this mailbox by any dataset, and from whom."""
    try:
        contracts = load_contracts(settings.agencies)
    except TeilhabeError:
        return  # told elsewhere; better one alert too many than a file nobody hears of
    for contract in contracts.values():
        for server in contract.servers:
            try:
                other = landing.open_source(
                    server, settings, credentials, contract.dataset_id, known_addresses(contract)
                )
            except TeilhabeError:
                continue
            if isinstance(other, landing.MailSource) and (other.host, other.port, other.folder) == (
                source.host,
                source.port,
                source.folder,
            ):
                yield other


def _names(names: Collection[str]) -> str:
    shown = ", ".join(f"„{name}“" for name in list(names)[:_NAMES])
    return shown + (f" und {len(names) - _NAMES} weitere" if len(names) > _NAMES else "")


def _where(source: MailSource) -> str:
    return f"{source.folder} auf {source.host}"
