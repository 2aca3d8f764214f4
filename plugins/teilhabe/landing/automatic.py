"""Mail that nobody wrote: bounces, delivery reports, out-of-office replies, lists. It delivers nothing and is never answered.

An answer to such a message would be answered by a machine in turn; thousands of mails have been sent that way (RFC 3834).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr
from typing import Any, Literal

Kind = Literal["bounce", "reply", "bulk"]
"""A message of ours came back; somebody's mail program answers by itself; sent by a machine to whom it may concern."""

_DAEMONS = ("mailer-daemon", "postmaster")
_ANSWERING = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply-from", "x-mail-autoreply")
_BULK = frozenset({"bulk", "junk", "list"})
_REPLY_SUBJECT = re.compile(
    r"(?:automatische antwort:|automatic reply:|auto[- ]?reply:|autoantwort|abwesenheitsnotiz|out of (?:the )?office)",
    re.IGNORECASE,
)
_BOUNCE_SUBJECT = re.compile(
    r"(?:undeliver(?:ed|able)|unzustellbar|delivery status notification|mail delivery (?:failed|system)|returned mail|"
    r"failure notice|zustellung fehlgeschlagen|nicht zustellbar)\b",
    re.IGNORECASE,
)
_OWN_ID = re.compile(rb"<[0-9a-f]{32}@[^<>\s]{1,200}>")
_ADDRESS = re.compile(r"[^\s<>\"(),;:@\[\]]{1,64}@[^\s<>\"(),;:@\[\]]{1,255}")


def kind(message: Message[Any, Any]) -> Kind | None:
    """What kind of automatic message this is, by its headers; None for one that a person sent."""
    submitted = header(message, "Auto-Submitted").partition(";")[0].strip().casefold()
    content = header(message, "Content-Type").casefold()
    subject = header(message, "Subject")
    local = (sender(message) or "").partition("@")[0].casefold()
    if _is_report(content) or local in _DAEMONS or header(message, "X-Failed-Recipients"):
        return "bounce"
    if header(message, "Return-Path").replace(" ", "") == "<>" and _BOUNCE_SUBJECT.match(subject):
        return "bounce"
    precedence = header(message, "Precedence").strip().casefold()
    if (
        submitted.startswith("auto-replied")
        or precedence == "auto_reply"
        or any(header(message, one) for one in _ANSWERING)
    ):
        return "bounce" if _BOUNCE_SUBJECT.match(subject) else "reply"
    if header(message, "Return-Path").replace(" ", "") == "<>":
        return "reply"
    if submitted not in ("", "no") or precedence in _BULK or _REPLY_SUBJECT.match(subject):
        return "bulk"  # a subject alone may be a person's
    return "bulk" if any(name.casefold().startswith("list-") for name, _ in message.raw_items()) else None


def _is_report(content: str) -> bool:
    return content.startswith("multipart/report")


@dataclass(frozen=True)
class Report:
    """What a bounce says: of which messages it speaks, who did not get them, and why. ``failed``: it is no mere delay."""

    mail_ids: frozenset[str]
    addresses: tuple[str, ...]
    reason: str
    failed: bool


def report(message: Message[Any, Any], raw: bytes) -> Report:
    """Our Message-IDs are told by their form, wherever a mail server puts them: no two write the same kind of report."""
    actions, addresses, reasons = [], [], []
    for part in _parts(message):
        actions += [header(part, "Action").strip().casefold()] if header(part, "Action") else []
        final = header(part, "Final-Recipient") or header(part, "Original-Recipient")
        addresses += _ADDRESS.findall(final.rpartition(";")[2])
        said = header(part, "Diagnostic-Code").rpartition(";")[2].strip() or header(part, "Status")
        reasons += [said] if said and header(part, "Action") else []
    addresses += _ADDRESS.findall(header(message, "X-Failed-Recipients"))
    return Report(
        frozenset(found.decode("ascii", "replace") for found in _OWN_ID.findall(raw)),
        tuple(dict.fromkeys(address.casefold() for address in addresses)),
        "; ".join(dict.fromkeys(" ".join(reason.split())[:200] for reason in reasons)),
        "failed" in actions if actions else True,
    )


def _parts(message: Message[Any, Any]) -> Iterator[Message[Any, Any]]:
    yield message
    payload = message.get_payload()
    for part in payload if isinstance(payload, list) else ():
        if isinstance(part, Message):
            yield from _parts(part)


def sender(message: Message[Any, Any]) -> str | None:
    """The address in From; None where there is none that a mail could go to."""
    try:
        address = parseaddr(header(message, "From"))[1]
    except Exception:
        return None
    return address if _ADDRESS.fullmatch(address) else None


def header(message: Message[Any, Any], name: str) -> str:
    """A header's text, first occurrence; never fails, whatever is in it."""
    wanted = name.casefold()
    said = next((str(value) for key, value in message.raw_items() if key.casefold() == wanted), "")
    said = " ".join(said.split())
    try:
        return str(make_header(decode_header(said)))
    except Exception:
        return said
