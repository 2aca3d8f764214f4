"""What a message holds, told apart in a process with limits: a message is as much foreign bytes as any file (``confined``)."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage, Message
from pathlib import Path

from teilhabe.errors import TeilhabeError
from teilhabe.landing import automatic
from teilhabe.landing.base import base_name

_NO_DELIVERY = (".p7s", ".asc", ".vcf", ".ics", ".png", ".jpg", ".jpeg", ".gif")
"""What mail programs add by themselves: signatures, cards, logos."""

Attachment = tuple[str, int]
"""Name and size of the file."""


def parsed(text: bytes) -> EmailMessage:
    message: EmailMessage = email.message_from_bytes(text, policy=email.policy.default)
    return message


def attachments(message: Path, to: Path) -> list[Attachment]:
    """Every attachment of the message in a file, those of forwarded messages included - unless a machine wrote these.

    Their contents are written to ``to/0``, ``to/1`` and so on.
    """
    found = []
    for number, (name, content) in enumerate(_parts(parsed(message.read_bytes()))):
        (to / str(number)).write_bytes(content)
        found.append((name, len(content)))
    return found


def report(text: bytes, *, is_bounce: bool) -> tuple[automatic.Report | None, list[str]]:
    """What a message no person wrote says, and the names of its files."""
    message = parsed(text)
    said = automatic.report(message, text) if is_bounce else None
    try:
        return said, [name for name, _ in _parts(message)]
    except Exception:
        return said, []


def _parts(message: EmailMessage) -> Iterator[tuple[str, bytes]]:
    for part in _walk(message):
        said = part.get_filename()
        if part.is_multipart() or not said or part.get_content_maintype() == "image":
            continue
        try:
            name = base_name(said)
        except TeilhabeError:
            name = "Anlage"
        if name.lower().endswith(_NO_DELIVERY):
            continue
        content = part.get_payload(decode=True)
        yield name, content if isinstance(content, bytes) else b""


def _walk(message: Message) -> Iterator[Message]:
    waiting = [message]
    while waiting:
        part = waiting.pop()
        yield part
        payload = part.get_payload()
        inner = [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []
        is_message = part.get_content_type() == "message/rfc822"
        waiting += reversed([one for one in inner if not (is_message and automatic.kind(one) is not None)])
