"""Attachments of messages in a mailbox, read over IMAP with TLS.

What no person sent (``automatic``) delivers nothing; a message that cannot be understood keeps no other from being read.
"""

from __future__ import annotations

import base64
import imaplib
import logging
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any, Literal

from teilhabe.errors import ContractError, ReadingError, SourceError, TeilhabeError
from teilhabe.landing import automatic, mime
from teilhabe.landing.base import (
    CHUNK_BYTES,
    Credentials,
    Listing,
    Problems,
    RemoteFile,
    is_delivery_name,
    matches,
    max_file_bytes,
    refuse_too_large,
    write_stream,
)
from teilhabe.landing.message_notes import MessageNotes
from teilhabe.landing.tls import is_untrusted, tls_context

log = logging.getLogger(__name__)

_SECONDS = 60.0
_CONNECTIONS = 20
"""So many messages of one mailbox may cost their connection."""
_REPORT_BYTES = 200_000
"""So much of a bounce says what it is about; the rest is our own attachment."""
_ENCODED = 1.5
"""A message is about that much larger than the file in it (base64, headers)."""
_HEADER_BYTES = 200_000
"""So much of a header is read; nobody's is longer."""
_NAMED = re.compile(rb"name", re.IGNORECASE)
"""In a description of a message's structure: a part that has the name of a file, however it is written."""
_REMARK = re.compile(r'"[^"]*"|\([^()]*\)')
"""In a header of results: what somebody else may have put there."""
_DMARC = re.compile(r"(?:^|;)\s?dmarc\s?=\s?(\w{1,20})")
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)")


@dataclass(frozen=True)
class Notice:
    """A message that somebody should hear of although it delivers nothing, or something nobody asked for.

    ``unexpected``: it has files of other names than agreed; ``stranger``: it has files as agreed, but not from anybody who
    may send, or a server that is believed could not say that it is from them; ``unreadable``: it is not what a message has to be;
    ``empty``: no file is attached.
    """

    uid: str
    fingerprint: str
    kind: Literal["bounce", "reply", "bulk", "unexpected", "stranger", "unreadable", "empty"]
    sender: str | None = None
    files: tuple[str, ...] = ()
    report: automatic.Report | None = None


Notices = list[Notice]


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
    addresses: frozenset[str] = frozenset()
    """Who may send where there is no pattern in ``senders``; empty: everybody."""
    authentication_server: str | None = None
    credentials: Credentials = field(default_factory=Credentials)
    limit: int | None = None
    notes: MessageNotes | None = None
    keeps_files: bool = field(default=True, init=False)
    problems: Problems = field(default_factory=list, init=False, compare=False, repr=False)
    notices: Notices = field(default_factory=list, init=False, compare=False, repr=False)
    """What the last ``list`` met besides deliveries."""
    known: dict[str, tuple[Listing, Notice | None]] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What messages hold, by their fingerprints: a message never changes, so none is looked at twice."""
    unpacked: dict[str, tempfile.TemporaryDirectory[str]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    """The files of the message that was fetched last: the next file is usually another one of it."""

    def list(self) -> Listing:
        files: Listing = []
        self.notices.clear()
        for _, found, notice in self._messages():
            files += [file for file in found if self._is_wanted(file.name)]
            if notice is not None:
                self.notices.append(notice)
        return files

    def _messages(self) -> Iterator[tuple[str, Listing, Notice | None]]:
        """Every message with what it holds. One at which the connection is lost for its sake stops no other."""
        met: set[str] = set()
        for _ in range(_CONNECTIONS):
            with self._mailbox() as (mailbox, validity):
                uids = self._uids(mailbox)
                if self.notes is not None:
                    self.notes.keep_only(self._noted_as(validity), uids)
                for uid in uids:
                    if uid in met:
                        continue
                    met.add(uid)
                    try:
                        found = self._look(mailbox, validity, uid)
                    except imaplib.IMAP4.abort:
                        raise
                    except imaplib.IMAP4.error as error:
                        log.warning(
                            "%s: the server's answer about message %s cannot be read (%s)",
                            self.host,
                            uid,
                            type(error).__name__,
                        )
                        yield uid, [], self._notice(validity, uid, "unreadable")
                        break  # what follows on this connection belongs to that answer
                    yield uid, *found
                else:
                    return

    def _is_wanted(self, name: str) -> bool:
        return is_delivery_name(name) and matches(self.pattern, name)

    def fetch(self, file: RemoteFile, to: Path) -> None:
        limit = self._limit()
        refuse_too_large(file.name, file.size, limit)
        message, _, number = file.key.rpartition("/")
        if message not in self.unpacked:
            self._unpack(file, message)
        content = Path(self.unpacked[message].name) / number
        if not content.is_file():
            raise self._vanished(file)
        refuse_too_large(file.name, content.stat().st_size, limit)
        with content.open("rb") as stream:
            write_stream(iter(lambda: stream.read(CHUNK_BYTES), b""), to, file.name, limit)

    def _unpack(self, file: RemoteFile, message: str) -> None:
        """Fetch a message in place of the last one."""
        self._forget_files()
        validity, uid = message.split("/")
        folder = tempfile.TemporaryDirectory()
        with self._mailbox() as (mailbox, now):
            found = self._attachments(mailbox, uid, Path(folder.name)) if now == validity else None
        if found is None:
            raise self._vanished(file)
        self._remember(validity, uid, found, file.received_at, file.sender)
        self.unpacked[message] = folder

    def _forget_files(self) -> None:
        while self.unpacked:
            self.unpacked.popitem()[1].cleanup()

    def _vanished(self, file: RemoteFile) -> SourceError:
        return SourceError(f"{file.name}: the message vanished from {self.host} before it was fetched.")

    def acknowledge(self, file: RemoteFile) -> None:
        """Nothing: a message is let go when all of its attachments are in the archive, see ``let_go``."""

    def let_go(self, archived: Collection[str]) -> int:
        """Mark as read, or move to ``done_folder``, every message all of whose attachments are ``archived`` fingerprints.

        A message that also carries files of other datasets stays as it is; nothing of it is fetched twice anyway.
        """
        self._forget_files()
        done = 0
        target = self.credentials.extra.get("done_folder")
        with self._mailbox(write=True) as (mailbox, validity):
            begun = {at.rpartition("/")[0] for at in archived}  # nothing of any other message is asked for
            for uid in self._uids(mailbox):
                if f"{self.host}/{self.folder}/{validity}/{uid}" not in begun:
                    continue
                files, _ = self._look(mailbox, validity, uid)
                if files and all(file.fingerprint in archived for file in files):
                    _finish(mailbox, uid, str(target) if target else None)
                    done += 1
        return done

    def dismiss(self, uids: Collection[str]) -> None:
        """Let messages go that deliver nothing."""
        target = self.credentials.extra.get("done_folder")
        with self._mailbox(write=True) as (mailbox, _):
            for uid in set(self._uids(mailbox)).intersection(uids):
                _finish(mailbox, uid, str(target) if target else None)

    def _limit(self) -> int:
        return max_file_bytes() if self.limit is None else self.limit

    def _uids(self, mailbox: imaplib.IMAP4) -> tuple[str, ...]:
        criterion = "ALL" if self.credentials.extra.get("done_folder") else "UNSEEN"
        found = _ok(mailbox.uid("SEARCH", "UNDELETED", criterion), "search")
        return tuple((found[0] or b"").decode().split())

    def _look(self, mailbox: imaplib.IMAP4, validity: str, uid: str) -> tuple[Listing, Notice | None]:
        """All attachments of one message, and what else there is to say of it. No message keeps the next from being read."""
        fingerprint = f"{self.host}/{self.folder}/{validity}/{uid}"
        if fingerprint in self.known:
            return self.known[fingerprint]
        try:
            found = self.known[fingerprint] = self._understood(mailbox, validity, uid)
            return found
        except ReadingError as error:
            log.warning("%s: message %s cannot be read (%s)", self.host, uid, error.finding.rule)
            return [], self._notice(validity, uid, "unreadable")
        except (TeilhabeError, imaplib.IMAP4.error, OSError):
            raise
        except Exception as error:
            log.warning("%s: message %s cannot be read (%s)", self.host, uid, type(error).__name__)
            return [], self._notice(validity, uid, "unreadable")

    def _understood(self, mailbox: imaplib.IMAP4, validity: str, uid: str) -> tuple[Listing, Notice | None]:
        """As ``_look``, if the sender is one of ours. An attachment too large is told by its message's size."""
        asked = f"(UID RFC822.SIZE INTERNALDATE BODYSTRUCTURE BODY.PEEK[HEADER]<0.{_HEADER_BYTES}>)"
        answer = _ok(mailbox.uid("FETCH", uid, asked), "fetch")
        head = next((part for part in answer if isinstance(part, tuple)), None)
        if head is None:
            return [], None
        said = b" ".join(part[0] if isinstance(part, tuple) else part or b"" for part in answer)
        header = mime.parsed(head[1])
        sender = automatic.sender(header)
        if (kind := automatic.kind(header)) is not None:
            return [], self._automatic(mailbox, validity, uid, kind, sender)
        is_known = self.knows(sender) and self._is_authentic(header)
        size = int(found[1]) if (found := _SIZE.search(said)) else 0
        at = _arrival(said)
        if b"BODYSTRUCTURE" in said and not _NAMED.search(said.partition(b"BODYSTRUCTURE")[2]):
            return [], self._notice(validity, uid, "empty", sender)
        if size > self._limit() * _ENCODED:
            name = f"Nachricht {uid}.eml"
            if not is_known:
                return [], self._notice(validity, uid, "stranger", sender, (name,))
            notice = None if self._is_wanted(name) else self._notice(validity, uid, "unexpected", sender, (name,))
            return [self._file(validity, uid, 0, name, size, at, sender)], notice
        inside = self._inside(mailbox, validity, uid)
        files = self._files(validity, uid, inside or [], at, sender)
        if inside is not None and not files:
            return [], self._notice(validity, uid, "empty", sender)
        if not is_known:
            names = tuple(file.name for file in files if self._is_wanted(file.name))
            return [], self._notice(validity, uid, "stranger", sender, names) if names else None
        others = tuple(file.name for file in files if is_delivery_name(file.name) and not self._is_wanted(file.name))
        return files, self._notice(validity, uid, "unexpected", sender, others) if others else None

    def _inside(self, mailbox: imaplib.IMAP4, validity: str, uid: str) -> Sequence[mime.Attachment] | None:
        """Names and sizes of a message's files, by a note where another dataset has looked before."""
        at = self._noted_as(validity)
        if self.notes is not None and (noted := self.notes.known(at, uid)) is not None:
            return noted
        with tempfile.TemporaryDirectory() as folder:
            found = self._attachments(mailbox, uid, Path(folder))
        if self.notes is not None and found is not None:
            self.notes.note(at, uid, found)
        return found

    def _noted_as(self, validity: str) -> str:
        return "\n".join((self.host, str(self.port), self.credentials.login or "", self.folder, validity))

    def knows(self, sender: str | None) -> bool:
        """Whether the address in From may send."""
        address = (sender or "").casefold()
        if self.senders:
            return matches(self.senders.casefold(), address)
        return not self.addresses or address in self.addresses

    def _is_authentic(self, header: EmailMessage) -> bool:
        """Whether the mail server that is believed says that the message is from whom it names; True where none is."""
        if self.authentication_server is None:
            return True
        for name, value in header.raw_items():
            server, _, results = " ".join(str(value).split()).partition(";")
            if name.casefold() == "authentication-results" and server.split(" ")[0].casefold() == (
                self.authentication_server.casefold()
            ):
                # The topmost is the server's own; those below it may be anybody's.
                return "pass" in _DMARC.findall(_REMARK.sub("", results).casefold())
        return False

    def _automatic(
        self, mailbox: imaplib.IMAP4, validity: str, uid: str, kind: automatic.Kind, sender: str | None
    ) -> Notice:
        from teilhabe.reading import confined

        raw = self._bytes(mailbox, uid, f"BODY.PEEK[]<0.{_REPORT_BYTES}>") or b""
        work = partial(mime.report, is_bounce=kind == "bounce")
        report, names = confined.run(work, raw, file_name=f"Nachricht {uid}")
        return self._notice(validity, uid, kind, sender, tuple(filter(self._is_wanted, names)), report)

    def _notice(self, validity: str, uid: str, *said: Any) -> Notice:
        return Notice(uid, f"{self.host}/{self.folder}/{validity}/{uid}", *said)

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

    def _files(
        self, validity: str, uid: str, found: Sequence[mime.Attachment], at: datetime | None, sender: str | None
    ) -> Listing:
        return [self._file(validity, uid, n, name, size, at, sender) for n, (name, size) in enumerate(found)]

    def _remember(
        self, validity: str, uid: str, found: Sequence[mime.Attachment], at: datetime | None, sender: str | None
    ) -> None:
        """What was fetched need not be fetched again to know whether all of it is archived."""
        self.known[f"{self.host}/{self.folder}/{validity}/{uid}"] = self._files(validity, uid, found, at, sender), None

    def _attachments(self, mailbox: imaplib.IMAP4, uid: str, folder: Path) -> Sequence[mime.Attachment] | None:
        """Files of a message, their contents in ``folder``; None where there is no such message."""
        from teilhabe.reading import confined

        body = self._bytes(mailbox, uid, "BODY.PEEK[]")
        if body is None:
            return None
        message = folder / "message"
        message.write_bytes(body)
        del body
        return confined.run(mime.attachments, message, folder, file_name=f"Nachricht {uid}")

    @staticmethod
    def _bytes(mailbox: imaplib.IMAP4, uid: str, what: str) -> bytes | None:
        answer = _ok(mailbox.uid("FETCH", uid, f"(UID {what})"), "fetch")
        return next((part[1] for part in answer if isinstance(part, tuple)), None)

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


def _arrival(said: bytes) -> datetime | None:
    """When the server took the message in: the Date in the message is whatever its sender's clock said."""
    found = re.search(rb'INTERNALDATE "([^"]+)"', said)
    try:
        at = datetime.strptime(found[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC) if found else None
    except (ValueError, OverflowError):
        return None
    return at if at and at <= datetime.now(UTC) else None  # else the moment of pick-up counts


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
