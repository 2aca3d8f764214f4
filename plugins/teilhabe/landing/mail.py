"""Attachments of messages in a mailbox, read over IMAP with TLS."""

from __future__ import annotations

import base64
import email
import email.policy
import imaplib
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from teilhabe.errors import ContractError, SourceError, TeilhabeError
from teilhabe.landing.base import (
    Credentials,
    Listing,
    RemoteFile,
    base_name,
    is_delivery_name,
    matches,
    max_file_bytes,
    refuse_too_large,
    write_stream,
)
from teilhabe.landing.tls import is_untrusted, tls_context

_SECONDS = 60.0
_ENCODED = 1.5
"""A message is about that much larger than the file in it (base64, headers)."""
_NO_DELIVERY = (".p7s", ".asc", ".vcf", ".ics", ".png", ".jpg", ".jpeg", ".gif")
"""What mail programs add by themselves: signatures, cards, logos."""
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)")


@dataclass(frozen=True)
class MailSource:
    """The attachments of the messages in ``folder``: of unread ones, or of all where read ones are moved away.

    ``extra``: ``done_folder`` takes messages that are done (without it they are marked as read), ``starttls`` for a port
    that begins in plain text, ``ca_certificates``/``ca_file`` for an authority of the office's own. ``senders`` narrows
    by the address in From, ``pattern`` by the name of the attachment; texts and pictures in a message are no deliveries.
    """

    host: str
    port: int
    source: str
    folder: str = "INBOX"
    pattern: str | None = None
    senders: str | None = None
    credentials: Credentials = field(default_factory=Credentials)
    limit: int | None = None
    keeps_files: bool = field(default=True, init=False)

    def list(self) -> Listing:
        with self._mailbox() as (mailbox, validity):
            return [
                file
                for uid in self._uids(mailbox)
                for file in self._attachments(mailbox, validity, uid)
                if is_delivery_name(file.name) and matches(self.pattern, file.name)
            ]

    def fetch(self, file: RemoteFile, to: Path) -> None:
        limit = self._limit()
        refuse_too_large(file.name, file.size, limit)
        validity, uid, number = file.key.split("/")
        with self._mailbox() as (mailbox, now):
            message = self._message(mailbox, uid) if now == validity else None
        parts = list(_parts(message)) if message else []
        if int(number) >= len(parts):
            raise SourceError(f"{file.name}: the message vanished from {self.host} before it was fetched.")
        content = parts[int(number)][1]
        refuse_too_large(file.name, len(content), limit)
        write_stream([content], to, file.name, limit)

    def acknowledge(self, file: RemoteFile) -> None:
        """Nothing: a message is let go when all of its attachments are in the archive, see ``let_go``."""

    def let_go(self, archived: Collection[str]) -> int:
        """Mark as read, or move to ``done_folder``, every message all of whose attachments are ``archived`` fingerprints.

        A message that also carries files of other datasets stays as it is; nothing of it is fetched twice anyway.
        """
        done = 0
        target = self.credentials.extra.get("done_folder")
        with self._mailbox(write=True) as (mailbox, validity):
            for uid in self._uids(mailbox):
                files = self._attachments(mailbox, validity, uid)
                if files and all(file.fingerprint in archived for file in files):
                    _finish(mailbox, uid, str(target) if target else None)
                    done += 1
        return done

    def _limit(self) -> int:
        return max_file_bytes() if self.limit is None else self.limit

    def _uids(self, mailbox: imaplib.IMAP4) -> tuple[str, ...]:
        criterion = "ALL" if self.credentials.extra.get("done_folder") else "UNSEEN"
        found = _ok(mailbox.uid("SEARCH", "UNDELETED", criterion), "search")
        return tuple((found[0] or b"").decode().split())

    def _attachments(self, mailbox: imaplib.IMAP4, validity: str, uid: str) -> Listing:
        """All attachments of one message, if its sender is one of ours. One too large is told by its message's size."""
        answer = _ok(mailbox.uid("FETCH", uid, "(UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER])"), "fetch")
        head = next((part for part in answer if isinstance(part, tuple)), None)
        if head is None:
            return []
        said = b" ".join(part[0] if isinstance(part, tuple) else part or b"" for part in answer)
        header = _parsed(head[1])
        sender = parseaddr(str(header.get("From", "")))[1] or None
        if self.senders and not matches(self.senders.casefold(), (sender or "").casefold()):
            return []
        size = int(found[1]) if (found := _SIZE.search(said)) else 0
        at = _arrival(said)
        if size > self._limit() * _ENCODED:
            return [self._file(validity, uid, 0, f"Nachricht {uid}.eml", size, at, sender)]
        message = self._message(mailbox, uid)
        return [
            self._file(validity, uid, number, name, len(content), at, sender)
            for number, (name, content) in enumerate(_parts(message) if message else ())
        ]

    def _file(
        self, validity: str, uid: str, number: int, name: str, size: int, at: datetime | None, sender: str | None
    ) -> RemoteFile:
        key = f"{validity}/{uid}/{number}"
        return RemoteFile(
            key=key,
            name=name,
            size=size,
            modified=at,
            fingerprint=f"{self.host}/{self.folder}/{key}",
            complete=True,
            source=self.source,
            received_at=at,
            sender=sender,
        )

    def _message(self, mailbox: imaplib.IMAP4, uid: str) -> EmailMessage | None:
        answer = _ok(mailbox.uid("FETCH", uid, "(UID BODY.PEEK[])"), "fetch")
        body = next((part[1] for part in answer if isinstance(part, tuple)), None)
        return _parsed(body) if body is not None else None

    @contextmanager
    def _mailbox(self, *, write: bool = False) -> Iterator[tuple[imaplib.IMAP4, str]]:
        """The folder, opened for reading unless something is to be marked, and what its numbers are valid for."""
        where = f"{self.host}:{self.port}"
        client: imaplib.IMAP4 | None = None
        try:
            client = self._connected(where)
            self._log_in(client, where)
            answer, _ = client.select(_mailbox_name(self.folder), readonly=not write)
            if answer != "OK":
                raise ContractError(f"{where}: there is no mail folder {self.folder!r}.")
            validity = client.response("UIDVALIDITY")[1]
            yield client, (validity[0] or b"0").decode() if validity else "0"
        except TeilhabeError:
            raise
        except TimeoutError as error:
            raise SourceError(f"{where}: did not answer in time.") from error
        except (imaplib.IMAP4.error, OSError, EOFError) as error:
            if is_untrusted(error):
                raise ContractError(f"{where}: shows a certificate nobody known here has signed.") from error
            raise SourceError(f"{where}: the connection failed ({type(error).__name__}).") from error
        finally:
            if client is not None:
                _leave(client)

    def _connected(self, where: str) -> imaplib.IMAP4:
        context = tls_context(self.credentials, where)
        if not self.credentials.flag("starttls"):
            return imaplib.IMAP4_SSL(self.host, self.port, ssl_context=context, timeout=_SECONDS)
        client = imaplib.IMAP4(self.host, self.port, timeout=_SECONDS)
        try:
            client.starttls(context)
        except BaseException:
            _leave(client)
            raise
        return client

    def _log_in(self, client: imaplib.IMAP4, where: str) -> None:
        try:
            client.login(self.credentials.login or "", self.credentials.password or "")
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            raise ContractError(f"{where}: refused the login; check the connection named in the contract.") from error


def _finish(mailbox: imaplib.IMAP4, uid: str, target: str | None) -> None:
    if target is None:
        _ok(mailbox.uid("STORE", uid, "+FLAGS.SILENT", r"(\Seen)"), "mark")
        return
    name = _mailbox_name(target)
    mailbox.create(name)  # says NO when it is there
    if "MOVE" in mailbox.capabilities:
        _ok(mailbox.uid("MOVE", uid, name), "move")
        return
    _ok(mailbox.uid("COPY", uid, name), "move")
    _ok(mailbox.uid("STORE", uid, "+FLAGS.SILENT", r"(\Seen \Deleted)"), "move")
    if "UIDPLUS" in mailbox.capabilities:
        _ok(mailbox.uid("EXPUNGE", uid), "move")


def _parts(message: EmailMessage) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every attachment, those of forwarded messages included."""
    for part in message.walk():
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


def _parsed(text: bytes) -> EmailMessage:
    message: EmailMessage = email.message_from_bytes(text, policy=email.policy.default)
    return message


def _arrival(said: bytes) -> datetime | None:
    """When the server took the message in: the Date in the message is whatever its sender's clock said."""
    found = re.search(rb'INTERNALDATE "([^"]+)"', said)
    try:
        return datetime.strptime(found[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC) if found else None
    except ValueError:
        return None


def _ok(answer: tuple[str, list[Any]], what: str) -> list[Any]:
    if answer[0] != "OK":
        raise SourceError(f"The mail server refused to {what} ({answer[0]}).")
    return answer[1]


def _leave(client: imaplib.IMAP4) -> None:
    """Without a farewell that could fail in turn."""
    try:
        client.logout()
    except (imaplib.IMAP4.error, OSError):
        client.shutdown()


def _mailbox_name(name: str) -> str:
    """Quoted, in the modified UTF-7 of RFC 3501, 5.1.3."""

    def shifted(found: re.Match[str]) -> str:
        coded = base64.b64encode(found[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
        return f"&{coded}-"

    text = re.sub(r"[^\x20-\x7e]+", shifted, name.replace("&", "&-"))
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
