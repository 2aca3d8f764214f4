"""Mail that no person sent is told by its headers, and what a bounce is about by our own Message-ID in it."""

from __future__ import annotations

import email
import email.policy

import pytest

from teilhabe.landing import automatic, mail

OURS = "<0123456789abcdef0123456789abcdef@landkreis.example>"


def message(*headers: str, body: str = "Text") -> email.message.EmailMessage:
    found = email.message_from_bytes(("\r\n".join([*headers, "", body])).encode(), policy=email.policy.default)
    assert isinstance(found, email.message.EmailMessage)
    return found


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        (("From: amt@lengede.example", "Subject: Zahlen"), None),
        (("From: amt@lengede.example", "Auto-Submitted: no"), None),
        (("From: amt@lengede.example", "X-Auto-Response-Suppress: All"), None),
        (("From: amt@lengede.example", "Subject: Abwesenheit im Juli: Zahlen schon jetzt"), None),
        (("From: amt@lengede.example", "Return-Path: <amt@lengede.example>"), None),
        (("From: amt@lengede.example", "Auto-Submitted: auto-replied"), "reply"),
        (("From: amt@lengede.example", "auto-submitted: Auto-Replied (vacation)"), "reply"),
        (("From: amt@lengede.example", "Precedence: auto_reply"), "reply"),
        (("From: amt@lengede.example", "X-Autoreply: yes"), "reply"),
        (("From: amt@lengede.example", "Return-Path: <>"), "reply"),
        (("From: amt@lengede.example", "Auto-Submitted: auto-generated"), "bulk"),
        (("From: amt@lengede.example", "Precedence: bulk"), "bulk"),
        (("From: amt@lengede.example", "Precedence: LIST"), "bulk"),
        (("From: amt@lengede.example", "List-Id: <rundbrief.lengede.example>"), "bulk"),
        (("From: amt@lengede.example", "List-Unsubscribe: <https://x.example>"), "bulk"),
        (("From: amt@lengede.example", "Subject: =?utf-8?q?Automatische_Antwort=3A_Zahlen?="), "bulk"),
        (("From: amt@lengede.example", "Content-Type: multipart/report; report-type=disposition-notification"), "bounce"),
        (("From: MAILER-DAEMON@mail.example", "Subject: Undelivered"), "bounce"),
        (("From: Mail Delivery System <Postmaster@mail.example>",), "bounce"),
        (("From: amt@lengede.example", "X-Failed-Recipients: amt@lengede.example"), "bounce"),
        (("From: x@mail.example", "Return-Path: <>", "Subject: Unzustellbar: Zahlen"), "bounce"),
    ],
)  # fmt: skip
def test_what_no_person_sent(headers: tuple[str, ...], kind: str | None) -> None:
    assert automatic.kind(message(*headers)) == kind


@pytest.mark.parametrize(
    "said", ['"', "a@[", "<", "", "@", ",,,", "=?utf-8?b?!!!?=", "=?nix?q?x?= <>", "a@b@c", "\udcff <\udcff>", "((((", "<a@b"]
)  # fmt: skip
def test_no_sender_however_broken_is_too_much(said: str) -> None:
    raw = b"From: " + said.encode("utf-8", "surrogateescape") + b"\r\nSubject: x\r\n\r\n"
    broken = email.message_from_bytes(raw, policy=email.policy.default)
    assert automatic.sender(broken) in (None, "a@b")
    assert automatic.kind(broken) is None


REPORT = f"""--g
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example

Final-Recipient: rfc822; Amt@Lengede.example
Action: {{action}}
Status: 5.2.2
Diagnostic-Code: smtp; 552 5.2.2 Mailbox
 full

--g
Content-Type: text/rfc822-headers

Message-ID: {OURS}

--g--
"""


def test_a_delivery_report_names_message_address_and_reason() -> None:
    def reported(action: str) -> automatic.Report:
        text = REPORT.format(action=action)
        head = "Content-Type: multipart/report; report-type=delivery-status; boundary=g"
        return automatic.report(message(head, body=text), text.encode())

    report = reported("failed")
    assert report == automatic.Report(frozenset({OURS}), ("amt@lengede.example",), "552 5.2.2 Mailbox full", True)
    assert not reported("delayed").failed
    assert not reported("relayed").failed


def test_a_bounce_in_plain_words_is_known_by_our_message_id() -> None:
    body = f"Sorry, it did not work.\n--- Below this line is a copy\nMessage-ID: {OURS}\nSubject: Zahlen"
    report = automatic.report(
        message("From: MAILER-DAEMON@x.example", "X-Failed-Recipients: a@b.example", body=body), body.encode()
    )
    assert report == automatic.Report(frozenset({OURS}), ("a@b.example",), "", True)


@pytest.mark.parametrize(
    ("said", "known"),
    [("02-Mar-2026 12:00:00 +0000", True), ("02-Mar-9026 12:00:00 +0000", False), ("01-Jan-0001 00:00:00 +1400", False),
     ("99-Foo-2026 12:00:00 +0000", False), ("", False)],
)  # fmt: skip
def test_an_absurd_arrival_is_none(said: str, known: bool) -> None:
    assert (mail._arrival(f'1 (INTERNALDATE "{said}")'.encode()) is not None) is known
