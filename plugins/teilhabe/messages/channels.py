"""How a message leaves: by mail, to a web address, or as a file in a folder - the same content each time.

A channel says when it reaches the point of no return (``commit``), so that the outbox can record it first. What is beyond it
and was not confirmed, is done again only where the other side tells repeated messages apart.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import smtplib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from teilhabe.errors import ContractError, TeilhabeError
from teilhabe.landing import Credentials
from teilhabe.landing.base import sync_folder
from teilhabe.landing.names_allowed import PLAIN_TEXT, may_be_plain
from teilhabe.landing.tls import is_untrusted, tls_context

Commit = Callable[[], None]

SECONDS = 30.0
"""How long another machine may take for an answer."""

_WORTH_ANOTHER_TRY = {408, 425, 429}
_REASON = 200


class Refused(TeilhabeError):
    """The other side will never take this message; a person has to look at it."""


class Unavailable(TeilhabeError):
    """Nothing was handed over; worth another try. ``whole_channel``: for no message at the moment."""

    def __init__(self, sentence: str, *, whole_channel: bool = False) -> None:
        super().__init__(sentence)
        self.whole_channel = whole_channel


class Uncertain(TeilhabeError):
    """Handed over, but not confirmed: sending again could send twice."""


@dataclass(frozen=True)
class File:
    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Outgoing:
    """A message with all a channel needs. ``key`` is the same whenever the same message is tried again."""

    message_id: int
    kind: str
    key: str
    sender_name: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    html: str
    composed_at: datetime
    files: tuple[File, ...] = ()
    answers: str | None = None
    """Key of the message this one follows up."""
    dataset_id: str | None = None
    sender_code: str | None = None
    period_code: str | None = None
    delivery_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Handed:
    """How the message can be found again, and who of several recipients was refused, with the server's words."""

    reference: str
    refused: tuple[tuple[str, str], ...] = ()


class Channel(Protocol):
    """``send`` raises ``Refused``, ``Unavailable`` or ``Uncertain``; ``repeatable`` where a second try does no harm."""

    @property
    def repeatable(self) -> bool: ...

    def send(self, message: Outgoing, now: datetime, commit: Commit) -> Handed: ...


class _MailPolicy(EmailPolicy):
    """As RFC 5322 and 2047 want it. The library's own folding loses spaces between two encoded words (gh-92081)."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() != "subject":
            return super().fold_binary(name, value)
        return f"{name}: {Header(str(value), 'utf-8', header_name=name).encode(linesep=self.linesep)}{self.linesep}".encode()


_MAIL = _MailPolicy(linesep="\r\n", cte_type="7bit")


MAIL_KEY = 32
"""Characters of a message's key in its Message-ID."""


def mail(message: Outgoing) -> EmailMessage:
    """Text, HTML and files as one mail; the same bytes whenever the same message is built."""
    built = EmailMessage(policy=_MAIL)
    built["Message-ID"] = _mail_id(message.key, message)
    if message.answers:
        built["In-Reply-To"] = built["References"] = _mail_id(message.answers, message)
    built["Date"] = message.composed_at
    built["From"] = Address(message.sender_name, addr_spec=message.sender)
    built["To"] = [Address(addr_spec=address) for address in message.recipients]
    built["Subject"] = message.subject
    built["Auto-Submitted"] = "auto-generated"
    built["X-Auto-Response-Suppress"] = "All"
    built.set_content(message.text, charset="utf-8")
    built.add_alternative(message.html, subtype="html", charset="utf-8")
    for file in message.files:
        main, _, sub = file.media_type.partition("/")
        built.add_attachment(file.content, maintype=main, subtype=sub, filename=file.name)
    for n, part in enumerate(part for part in built.walk() if part.is_multipart()):
        part.set_boundary(f"teilhabe-{message.key[:24]}-{n}")
    return built


@dataclass(frozen=True)
class Smtp:
    """A mail server. ``extra``: ``ssl`` (from the first byte), ``starttls: false`` (no encryption: to this machine, or to one that
    ``plain_text_hosts`` names), ``ca_certificates``/``ca_file`` (see ``tls_context``)."""

    credentials: Credentials
    seconds: float = SECONDS
    repeatable: bool = field(default=False, init=False)

    def send(self, message: Outgoing, now: datetime, commit: Commit) -> Handed:
        built = mail(message)
        content = re.sub(rb"(?m)^\.", b"..", built.as_bytes())
        with self._connected() as client:
            refused = self._envelope(client, message)
            commit()
            with _lost_before_the_end():
                _accept(client.docmd("DATA"), 354)
                client.send(content if content.endswith(b"\r\n") else content + b"\r\n")
            # From the closing dot on the server may have the whole message, whatever we hear of it.
            try:
                client.send(b".\r\n")
                reply = client.getreply()
            except (smtplib.SMTPException, OSError) as error:
                raise Uncertain(
                    f"The connection broke off after the whole message, before the server's answer ({type(error).__name__})."
                ) from error
            _accept(reply, 250)
            return Handed(str(built["Message-ID"]), refused)

    def _envelope(self, client: smtplib.SMTP, message: Outgoing) -> tuple[tuple[str, str], ...]:
        """Sender and recipients; who was refused. Nothing is sent while one of them has to be asked again."""
        refused: list[tuple[str, str]] = []
        with _lost_before_the_end():
            _accept(client.mail(message.sender), 250)
            for address in message.recipients:
                code, said = client.rcpt(address)
                if 500 <= code < 600:
                    refused.append((address, _said(code, said)))
                else:
                    _accept((code, said), 250, 251)
        if len(refused) == len(message.recipients):
            raise Refused("; ".join(f"{address}: {said}" for address, said in refused))
        return tuple(refused)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        given = self.credentials
        implicit = given.flag("ssl")
        host, port = given.host or "", given.port or (465 if implicit else 587)
        where = f"{host}:{port}"
        if not host:
            raise Unavailable("The connection for mail names no host.", whole_channel=True)
        client: smtplib.SMTP | None = None
        try:
            context = tls_context(given, where)
            if implicit:
                client = smtplib.SMTP_SSL(host, port, timeout=self.seconds, context=context)
            else:
                client = smtplib.SMTP(host, port, timeout=self.seconds)
                if given.flag("starttls") or "starttls" not in given.extra:
                    client.starttls(context=context)
                elif not may_be_plain(given, host):
                    raise Unavailable(_plain_text(host), whole_channel=True)
            client.ehlo_or_helo_if_needed()
            if given.login:
                client.login(given.login, given.password or "")
        except (smtplib.SMTPException, OSError) as error:
            if client is not None:
                client.close()
            if is_untrusted(error):
                raise Unavailable(
                    f"{where}: shows a certificate nobody known here has signed.", whole_channel=True
                ) from error
            raise Unavailable(f"{where}: {_reason(error)}.", whole_channel=True) from error
        except TeilhabeError as error:
            if client is not None:
                client.close()
            raise Unavailable(str(error), whole_channel=True) from error
        try:
            yield client
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                if client.sock is not None:
                    client.sock.settimeout(2)  # a farewell is no reason to wait
                client.quit()
            client.close()


@dataclass(frozen=True)
class Webhook:
    """A web address of the county that takes messages as JSON.

    Host (an address) and password (the secret) are those of the connection. ``X-Teilhabe-Signature`` is the HMAC-SHA256 of
    ``<X-Teilhabe-Timestamp>.<body>``; ``Idempotency-Key`` is the same whenever the same message comes again.
    """

    credentials: Credentials
    seconds: float = SECONDS
    repeatable: bool = field(default=True, init=False)

    def send(self, message: Outgoing, now: datetime, commit: Commit) -> Handed:
        import httpx

        url, secret = self.credentials.host or "", self.credentials.password
        if not url.startswith(("https://", "http://")) or not secret:
            raise Unavailable(
                "The connection of the webhook needs an address (host) and a secret (password).", whole_channel=True
            )
        if not url.startswith("https://") and not may_be_plain(self.credentials, urlsplit(url).hostname or ""):
            raise Unavailable(_plain_text(_host(url)), whole_channel=True)
        body = json.dumps(_as_json(message), ensure_ascii=False).encode()
        stamp = str(int(now.timestamp()))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "teilhabe",
            "Idempotency-Key": message.key,
            "X-Teilhabe-Timestamp": stamp,
            "X-Teilhabe-Signature": signature(secret, stamp, body),
        }
        try:
            verify = tls_context(self.credentials, url)
            with httpx.Client(timeout=self.seconds, verify=verify, follow_redirects=False) as client:
                commit()
                answer = client.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            nobody_there = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise Unavailable(f"{_host(url)}: {_reason(error)}.", whole_channel=nobody_there) from error
        except (ContractError, httpx.InvalidURL) as error:
            raise Unavailable(str(error), whole_channel=True) from error
        if answer.is_success:
            return Handed(message.key)
        if answer.is_server_error or answer.status_code in _WORTH_ANOTHER_TRY:
            raise Unavailable(f"{_host(url)}: answered {answer.status_code}.")
        raise Refused(f"{_host(url)}: answered {answer.status_code}.")


@dataclass(frozen=True)
class Drop:
    """A folder: one ``.eml`` per message, which any mail program opens. Whole or not there."""

    folder: Path
    repeatable: bool = field(default=True, init=False)

    def send(self, message: Outgoing, now: datetime, commit: Commit) -> Handed:
        name = f"{message.message_id:08d}-{message.kind}-{message.key[:8]}.eml"
        content = mail(message).as_bytes()
        commit()
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = self.folder / f".{name}.part"
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            part.replace(self.folder / name)
            sync_folder(self.folder)
        except OSError as error:
            raise Unavailable(f"{self.folder}: {_reason(error)}.", whole_channel=True) from error
        return Handed(name)


def _plain_text(host: str) -> str:
    return (
        f"{host}: would be spoken to unencrypted; where that is meant, name the host as {PLAIN_TEXT} in the connection."
    )


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What the receiver of a webhook computes to know it is from us, and fresh."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


@contextlib.contextmanager
def _lost_before_the_end() -> Iterator[None]:
    """Without the closing dot no server delivers anything (RFC 5321, 4.1.1.4), so another try is safe."""
    try:
        yield
    except smtplib.SMTPNotSupportedError as error:
        raise Refused(f"The server cannot take this message: {_reason(error)}.") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(f"The connection broke off before the message was complete ({_reason(error)}).") from error


def _accept(reply: tuple[int, bytes], *wanted: int) -> None:
    code, said = reply
    if code in wanted:
        return
    if 500 <= code < 600:
        raise Refused(_said(code, said))
    raise Unavailable(f"The server answered {_said(code, said)}.")


def _said(code: int, said: bytes) -> str:
    text = " ".join(said.decode("utf-8", "replace").split())
    return f"{code} {text}"[:_REASON]


def _reason(error: BaseException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return _said(error.smtp_code, said if isinstance(said, bytes) else str(said).encode())
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return str(error)[:_REASON]
    if isinstance(error, TimeoutError) or type(error).__name__.endswith("Timeout"):
        return "did not answer in time"
    if isinstance(error, ssl.SSLError):
        return type(error).__name__
    return getattr(error, "strerror", None) or type(error).__name__


def _host(url: str) -> str:
    """Without path and query, which may hold a secret."""
    return "/".join(url.split("/")[:3]).rpartition("@")[2]


def _mail_id(key: str, message: Outgoing) -> str:
    return f"<{key[:MAIL_KEY]}@{message.sender.rpartition('@')[2]}>"


def _as_json(message: Outgoing) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "key": message.key,
        "answers": message.answers,
        "kind": message.kind,
        "dataset_id": message.dataset_id,
        "sender_code": message.sender_code,
        "period_code": message.period_code,
        "delivery_ids": list(message.delivery_ids),
        "from": message.sender,
        "to": list(message.recipients),
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "composed_at": message.composed_at.isoformat(),
        "attachments": [
            {"name": file.name, "media_type": file.media_type, "content": base64.b64encode(file.content).decode()}
            for file in message.files
        ],
    }
