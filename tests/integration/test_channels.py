"""Messages against a real mail server and a real web server on this machine, which fail as real ones do.

Whatever happens - refusals, time-outs, a cut at any point, a process killed between sending and recording - an office gets a
message once, and the operators hear of what nobody can know.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import hashlib
import hmac
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Protocol
from aiosmtpd.smtp import AuthResult

from teilhabe.errors import ContractError, TeilhabeError
from teilhabe.landing import Credentials
from teilhabe.landing.names_allowed import may_be_plain
from teilhabe.messages import outbox
from teilhabe.messages.channels import Drop, File, Outgoing, Refused, Smtp, Unavailable, Uncertain, Webhook, signature
from teilhabe.messages.policy import Policy, load_policy
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import embedded as postgres
from teilhabe.server import provisioning
from teilhabe.settings import Settings
from tests.authority import Authority, make_authority
from tests.conftest import PROJECT, settings_for

NOON = datetime(2026, 3, 3, 11, 0, tzinfo=UTC)
"""A Tuesday: nobody's quiet hour."""
SECRET = "geheim"
OFFICE, SECOND = "daten@amt.example", "vertretung@amt.example"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The mail server


@dataclass
class MailServer:
    """What it answers at each step, and what it accepted."""

    port: int = 0
    at_mail: str = ""
    at_rcpt: dict[str, str] = field(default_factory=dict)
    at_data: str = ""
    """``cut``: hangs up when DATA is announced."""
    at_end: str = ""
    """``cut``: hangs up after the whole message without an answer; ``sleep``: says nothing for a while; else the answer."""
    on_end: Callable[[], None] = lambda: None
    accepted: list[bytes] = field(default_factory=list)
    """Messages it has taken in whole, whatever it answered."""

    @property
    def credentials(self) -> Credentials:
        return Credentials(host="127.0.0.1", port=self.port, extra={"starttls": "false"})

    def smtp(self, seconds: float = 5) -> Smtp:
        return Smtp(self.credentials, seconds=seconds)


@pytest.fixture
def mails() -> Iterator[MailServer]:
    said = MailServer()

    class Handler:
        async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
            envelope.mail_from = address
            return said.at_mail or "250 OK"

        async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
            answer = said.at_rcpt.get(address, "250 OK")
            if answer.startswith("2"):
                envelope.rcpt_tos.append(address)
            return answer

        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            if not said.at_end.startswith(("4", "5")):
                said.accepted.append(envelope.original_content)
            said.on_end()
            if said.at_end == "cut":
                server.transport.abort()
            elif said.at_end == "sleep":
                await asyncio.sleep(3)
            return said.at_end if said.at_end[:1].isdigit() else "250 queued"

    class Cutting(Protocol):
        async def smtp_DATA(self, arg: str) -> None:
            if said.at_data == "cut":
                self.transport.abort()
                return
            if said.at_data == "cut mid-way":
                await self.push("354 go on")
                await self._reader.readline()
                self.transport.abort()
                return
            await super().smtp_DATA(arg)

    class Server(Controller):
        def factory(self) -> Protocol:
            return Cutting(self.handler, hostname="mail.amt.example")

    said.port = free_port()
    server = Server(Handler(), hostname="127.0.0.1", port=said.port)
    server.start()
    yield said
    server.stop()


# The web server


@dataclass
class Hook:
    """What it answers, one after the other (the last one stays), and what it was asked."""

    url: str = ""
    answers: list[str] = field(default_factory=lambda: ["200"])
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def credentials(self) -> Credentials:
        return Credentials(host=f"{self.url}/nachrichten?token=verborgen", password=SECRET)

    def webhook(self, seconds: float = 5) -> Webhook:
        return Webhook(self.credentials, seconds=seconds)


@pytest.fixture
def hook() -> Iterator[Hook]:
    said = Hook()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer = said.answers.pop(0) if len(said.answers) > 1 else said.answers[0]
            length = int(self.headers["Content-Length"])
            if answer == "cut":
                self.rfile.read(length // 2)
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            said.asked.append((dict(self.headers), self.rfile.read(length)))
            if answer == "cut after":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if answer == "sleep":
                time.sleep(2)
            self.send_response(int(answer) if answer.isdigit() else 200)
            if answer == "302":
                self.send_header("Location", "/anderswo")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients hang up on purpose here; that is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        said.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield said
        server.shutdown()


# The home


@pytest.fixture(scope="module")
def running(make_home: Callable[[], Path]) -> Iterator[Settings]:
    settings = replace(settings_for(make_home()), project=PROJECT)
    postgres.ensure_running(settings)
    provisioning.provision(settings)
    with loading.session(settings) as conn:
        schema.install(conn)
    yield settings
    postgres.stop(settings)


@pytest.fixture
def home(running: Settings) -> Settings:  # type: ignore[override]
    """An outbox nobody has written to."""
    with loading.session(running) as conn:
        conn.execute("truncate ops.message restart identity cascade")
    for path in (running.home / outbox.FOLDER).glob("*"):
        path.unlink()
    return running


def policy(settings: Settings, **changes: Any) -> Policy:
    agreed = load_policy(settings)
    changed = agreed.model_copy(update=changes)
    changed._settings = settings
    return changed


def put(
    settings: Settings,
    channel: str,
    recipient: str = OFFICE,
    *,
    kind: str = "receipt",
    key: str = "a",
    at: datetime = NOON,
) -> int:
    with loading.session(settings) as conn:
        row = conn.execute(
            "insert into ops.message (kind, dedup_key, channel, recipient, subject, body_text, body_html, composed_at, not_before)"
            " values (%s, %s, %s, %s, 'Prüfung', %s, '<p>Prüfung</p>', %s, %s) returning message_id",
            (kind, key, channel, recipient, "Guten Tag,\n\n.Punkt am Anfang\n", at, at),
        ).fetchone()
    assert row is not None
    return int(row[0])


def send(settings: Settings, found: Credentials | None = None, now: datetime = NOON, **changes: Any) -> outbox.Sent:
    def credentials(name: str) -> Credentials:
        if found is None:
            raise ContractError(f"There is no Airflow connection '{name}'.")
        return found

    return outbox.send_due(settings, policy(settings, **changes), credentials, now)


def states(settings: Settings, kind: str = "receipt") -> list[str]:
    with loading.session(settings) as conn:
        rows = conn.execute("select state from ops.message where kind = %s order by message_id", (kind,)).fetchall()
    return [state for (state,) in rows]


def alerts(settings: Settings) -> list[str]:
    with loading.session(settings) as conn:
        rows = conn.execute("select subject from ops.message where kind = 'operators' order by message_id").fetchall()
    return [subject for (subject,) in rows]


def row(settings: Settings, message_id: int) -> dict[str, Any]:
    with loading.session(settings) as conn:
        return outbox.message(conn, message_id)


def outgoing(*recipients: str, **said: Any) -> Outgoing:
    given: dict[str, Any] = {
        "message_id": 7,
        "kind": "verdict",
        "key": "0123456789abcdef" * 4,
        "sender_name": "Koordinierungsstab für Teilhabe",
        "sender": "koordinierung@landkreis.example",
        "recipients": recipients or (OFFICE,),
        "subject": "Zurückgewiesen: Bevölkerung (Ausländerzentralregister), 31.12.2022",
        "text": "Guten Tag,\n\n.Punkt am Anfang\nGrüße\n",
        "html": "<p>Grüße</p>",
        "composed_at": NOON,
        "files": (File("Beanstandungen.xlsx", "application/octet-stream", b"PK\x03\x04" + bytes(range(256))),),
        "answers": "f" * 64,
    }
    return Outgoing(**{**given, **said})


LARGE = File("gross.bin", "application/octet-stream", bytes(30_000_000))


class Commit:
    """Counts how often the point of no return was reached."""

    times = 0

    def __call__(self) -> None:
        self.times += 1


def parsed(content: bytes) -> Any:
    return email.message_from_bytes(content, policy=email.policy.default)


# Mail


def test_a_mail_arrives_whole_with_text_html_and_workbook(mails: MailServer) -> None:
    handed = mails.smtp().send(outgoing(OFFICE, SECOND), NOON, Commit())
    [content] = mails.accepted
    mail = parsed(content)
    assert mail["Subject"] == "Zurückgewiesen: Bevölkerung (Ausländerzentralregister), 31.12.2022"
    assert (mail["Message-ID"], mail["To"]) == (handed.reference, f"{OFFICE}, {SECOND}")
    assert mail["From"].addresses[0].addr_spec == "koordinierung@landkreis.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["In-Reply-To"].strip() == f"<{'f' * 32}@landkreis.example>"
    assert mail.get_body(("plain",)).get_content().replace("\r\n", "\n") == "Guten Tag,\n\n.Punkt am Anfang\nGrüße\n"
    assert "Grüße" in mail.get_body(("html",)).get_content()
    [workbook] = mail.iter_attachments()
    assert workbook.get_filename() == "Beanstandungen.xlsx"
    assert workbook.get_content() == outgoing().files[0].content
    assert max(map(len, content.split(b"\r\n"))) <= 998


def test_the_same_message_is_the_same_mail(mails: MailServer) -> None:
    for _ in range(2):
        mails.smtp().send(outgoing(), NOON, Commit())
    assert mails.accepted[0] == mails.accepted[1]


@pytest.mark.parametrize(
    ("step", "answer", "raised", "handed_over"),
    [
        ("at_mail", "550 not you", Refused, 0),
        ("at_mail", "451 later", Unavailable, 0),
        ("at_rcpt", "550 no such user", Refused, 0),
        ("at_rcpt", "450 greylisted", Unavailable, 0),
        ("at_data", "cut", Unavailable, 1),
        ("at_data", "cut mid-way", Unavailable, 1),
        ("at_end", "554 looks like spam", Refused, 1),
        ("at_end", "452 disk full", Unavailable, 1),
        ("at_end", "cut", Uncertain, 1),
        ("at_end", "sleep", Uncertain, 1),
    ],
)
def test_every_answer_of_a_mail_server_has_its_meaning(
    mails: MailServer, step: str, answer: str, raised: type[TeilhabeError], handed_over: int
) -> None:
    """Beyond the announcement of DATA the outbox has noted that it is sending; before it nothing has happened."""
    setattr(mails, step, {OFFICE: answer} if step == "at_rcpt" else answer)
    commit = Commit()
    with pytest.raises(raised):
        # Larger than what the system takes off a sender's hands, or it would not notice that nobody listens.
        mails.smtp(seconds=1).send(outgoing(files=(LARGE,) if answer == "cut mid-way" else ()), NOON, commit)
    assert commit.times == handed_over


def test_one_refused_address_does_not_keep_the_others_from_their_mail(mails: MailServer) -> None:
    mails.at_rcpt = {SECOND: "550 no such user"}
    handed = mails.smtp().send(outgoing(OFFICE, SECOND), NOON, Commit())
    assert handed.refused == ((SECOND, "550 no such user"),)
    assert len(mails.accepted) == 1


def test_nobody_gets_a_mail_while_one_address_is_to_be_tried_again(mails: MailServer) -> None:
    """Else the first would get it twice."""
    mails.at_rcpt = {SECOND: "450 greylisted"}
    with pytest.raises(Unavailable):
        mails.smtp().send(outgoing(OFFICE, SECOND), NOON, Commit())
    assert mails.accepted == []


@pytest.mark.parametrize("said", [{"extra": {}}, {"login": "amt", "password": "falsch"}, {"port": 1}, {"host": ""}])
def test_a_server_that_cannot_be_used_is_down_for_all_messages(mails: MailServer, said: dict[str, Any]) -> None:
    """No encryption where it is wanted, no login, nobody at the door: nothing of it is a message's fault."""
    with pytest.raises(Unavailable) as caught:
        Smtp(replace(mails.credentials, **said), seconds=2).send(outgoing(), NOON, Commit())
    assert caught.value.whole_channel
    assert "falsch" not in str(caught.value)


def test_a_mail_server_that_says_nothing_is_down_for_all_messages() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silence = Credentials(host="127.0.0.1", port=silent.getsockname()[1])
        with pytest.raises(Unavailable, match="timed out") as caught:
            Smtp(silence, seconds=0.5).send(outgoing(), NOON, Commit())
    assert caught.value.whole_channel


@pytest.mark.parametrize(
    "channel", [Smtp(Credentials("amt", "geheim", "mail.example", extra={"starttls": "false"})),
                Webhook(Credentials(host="http://amt.example/nachrichten", password=SECRET))],
)  # fmt: skip
def test_nothing_is_said_unencrypted_to_another_machine_that_is_not_named(
    channel: Smtp | Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    class Wire:
        def __init__(self, host: str = "", *_: Any, **__: Any) -> None:
            said.append(f"connected {host}")

        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: said.append(name)

    monkeypatch.setattr(smtplib, "SMTP", Wire)
    monkeypatch.setattr(httpx, "Client", Wire)
    with pytest.raises(Unavailable, match="unencrypted") as caught:
        channel.send(outgoing(), NOON, Commit())
    assert caught.value.whole_channel and "geheim" not in str(caught.value) + "".join(said)
    assert not {"login", "send", "post"} & set(said)
    host = "mail.example" if isinstance(channel, Smtp) else "amt.example"
    assert may_be_plain(replace(channel.credentials, extra={"plain_text_hosts": host}), host)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["starttls", "ssl"])
def secure(request: pytest.FixtureRequest, authority: Authority) -> Iterator[tuple[Credentials, list[bytes]]]:
    """A mail server that wants encryption, from the start or soon, and a login."""
    accepted: list[bytes] = []

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            accepted.append(envelope.original_content)
            return "250 queued"

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, said: Any) -> AuthResult:
        return AuthResult(success=(said.login, said.password) == (b"teilhabe", b"geheim"), handled=False)

    implicit = request.param == "ssl"
    context = authority.server_context
    server = Controller(
        Handler(),
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=not implicit,
        require_starttls=not implicit,
        ssl_context=context if implicit else None,
        tls_context=None if implicit else context,
    )
    server.start()
    extra = {"ca_certificates": authority.pem, **({"ssl": "true"} if implicit else {})}
    yield Credentials("teilhabe", "geheim", "127.0.0.1", server.port, extra), accepted
    server.stop()


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it has been TLS from the first byte
def test_mail_goes_encrypted_with_a_login(secure: tuple[Credentials, list[bytes]]) -> None:
    credentials, accepted = secure
    Smtp(credentials).send(outgoing(), NOON, Commit())
    assert len(accepted) == 1
    with pytest.raises(Unavailable, match="535") as caught:
        Smtp(replace(credentials, password="falsch")).send(outgoing(), NOON, Commit())
    assert caught.value.whole_channel
    unknown = {key: value for key, value in credentials.extra.items() if key != "ca_certificates"}
    with pytest.raises(Unavailable, match="certificate nobody known here has signed"):
        Smtp(replace(credentials, extra=unknown)).send(outgoing(), NOON, Commit())
    assert len(accepted) == 1


# Webhook


def test_a_webhook_gets_the_same_content_signed(hook: Hook) -> None:
    handed = hook.webhook().send(outgoing(), NOON, Commit())
    [(headers, body)] = hook.asked
    stamp = headers["X-Teilhabe-Timestamp"]
    expected = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Teilhabe-Signature"] == f"sha256={expected}" == signature(SECRET, stamp, body)
    assert int(stamp) == int(NOON.timestamp())
    assert headers["Idempotency-Key"] == handed.reference == outgoing().key
    said = json.loads(body)
    assert (said["subject"], said["text"], said["to"]) == (outgoing().subject, outgoing().text, [OFFICE])
    assert said["attachments"][0]["name"] == "Beanstandungen.xlsx"


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        ("400", Refused), ("401", Refused), ("404", Refused), ("302", Refused), ("408", Unavailable), ("429", Unavailable),
        ("500", Unavailable), ("503", Unavailable), ("cut", Unavailable), ("cut after", Unavailable), ("sleep", Unavailable),
    ],
)  # fmt: skip
def test_every_answer_of_a_web_server_has_its_meaning(hook: Hook, answer: str, raised: type[TeilhabeError]) -> None:
    hook.answers = [answer]
    with pytest.raises(raised) as caught:
        hook.webhook(seconds=1).send(outgoing(), NOON, Commit())
    assert "verborgen" not in str(caught.value), "the address may hold a secret"


def test_a_web_server_that_is_not_there_is_down_for_all_messages() -> None:
    nobody = Credentials(host=f"http://127.0.0.1:{free_port()}/nachrichten", password=SECRET)
    with pytest.raises(Unavailable) as caught:
        Webhook(nobody).send(outgoing(), NOON, Commit())
    assert caught.value.whole_channel


def test_a_webhook_without_a_secret_is_not_called(hook: Hook) -> None:
    with pytest.raises(Unavailable, match="secret"):
        Webhook(replace(hook.credentials, password=None)).send(outgoing(), NOON, Commit())
    assert hook.asked == []


# Outbox


@pytest.mark.parametrize("channel", ["smtp", "webhook", "drop"])
def test_what_waits_is_sent_once(home: Settings, mails: MailServer, hook: Hook, channel: str) -> None:
    message_id = put(home, channel)
    found = {"smtp": mails.credentials, "webhook": hook.credentials, "drop": None}[channel]
    assert send(home, found).sent == 1
    assert send(home, found).sent == 0
    files = list((home.home / outbox.FOLDER).glob("*.eml"))
    assert len(mails.accepted) + len(hook.asked) + len(files) == 1
    sent = row(home, message_id)
    assert (sent["state"], sent["sent_at"], sent["attempts"]) == ("sent", NOON, 1)
    assert sent["reference"]


def test_an_unreachable_server_is_tried_again_and_the_operators_hear_once(home: Settings, mails: MailServer) -> None:
    put(home, "smtp", key="a")
    put(home, "smtp", key="b")
    gone = replace(mails.credentials, port=1)
    done = send(home, gone)
    assert (done.sent, len(done.problems)) == (1, 1), "the alert itself is dropped into the folder"
    assert states(home) == ["waiting", "waiting"]
    assert alerts(home) == ["[teilhabe] Kanal smtp nicht erreichbar"]
    later = NOON + timedelta(minutes=6)
    assert send(home, gone, later).failed == 0
    assert alerts(home) == ["[teilhabe] Kanal smtp nicht erreichbar"]
    assert send(home, mails.credentials, later + timedelta(minutes=11)).sent == 2
    assert len(mails.accepted) == 2


def test_a_server_that_says_later_is_asked_again_with_growing_patience_and_given_up(
    home: Settings, mails: MailServer
) -> None:
    message_id = put(home, "smtp")
    mails.at_end = "452 disk full"
    moments = []
    now = NOON
    for _ in range(4):
        send(home, mails.credentials, now, quiet_hours=None, retry=_retry(4))
        moments.append(row(home, message_id)["not_before"] - now)
        now = row(home, message_id)["not_before"]
    assert [int(wait.total_seconds() // 60) for wait in moments[:3]] == [5, 10, 20]
    assert row(home, message_id)["state"] == "failed"
    assert alerts(home) == [f"[teilhabe] Nachricht {message_id} nicht zugestellt"]
    mails.at_end = ""
    with loading.session(home) as conn:
        outbox.resend(conn, message_id, now)
    assert send(home, mails.credentials, now, quiet_hours=None).sent == 1
    assert len(mails.accepted) == 1


def _retry(attempts: int) -> Any:
    from teilhabe.messages.policy import Retry

    return Retry(attempts=attempts, minutes=5)


def test_a_refused_recipient_is_not_tried_again_and_told(home: Settings, mails: MailServer) -> None:
    message_id = put(home, "smtp")
    mails.at_rcpt = {OFFICE: "550 no such user"}
    done = send(home, mails.credentials)
    assert (done.failed, states(home)) == (1, ["failed"])
    assert "550 no such user" in row(home, message_id)["last_error"]
    assert alerts(home) == [f"[teilhabe] Nachricht {message_id} nicht zugestellt"]
    assert send(home, mails.credentials, NOON + timedelta(days=1)).sent == 0


def test_of_two_recipients_the_refused_one_is_told_to_the_operators(home: Settings, mails: MailServer) -> None:
    put(home, "smtp", f"{OFFICE}, {SECOND}")
    mails.at_rcpt = {SECOND: "550 no such user"}
    send(home, mails.credentials)
    assert (states(home), alerts(home)) == (["sent"], [f"[teilhabe] Adresse abgelehnt: {SECOND}"])


def test_cut_before_the_end_goes_again_and_arrives_once(home: Settings, mails: MailServer) -> None:
    put(home, "smtp")
    mails.at_data = "cut"
    send(home, mails.credentials)
    assert (states(home), mails.accepted) == (["waiting"], [])
    mails.at_data = ""
    assert send(home, mails.credentials, NOON + timedelta(minutes=5)).sent == 1
    assert len(mails.accepted) == 1


def test_cut_after_the_end_is_uncertain_and_never_sent_again_by_itself(home: Settings, mails: MailServer) -> None:
    message_id = put(home, "smtp")
    mails.at_end = "cut"
    send(home, mails.credentials)
    mails.at_end = ""
    assert states(home) == ["uncertain"]
    send(home, mails.credentials, NOON + timedelta(days=1))
    assert len(mails.accepted) == 1, "it had arrived"
    assert alerts(home) == [f"[teilhabe] Nachricht {message_id} nicht zugestellt"]
    with loading.session(home) as conn:
        outbox.resend(conn, message_id, NOON + timedelta(days=1))
    send(home, mails.credentials, NOON + timedelta(days=1))
    first, second = (parsed(content)["Message-ID"] for content in mails.accepted)
    assert first == second, "a person's decision, and a mail program sees that it is the same"


def test_a_webhook_cut_after_it_took_the_message_gets_it_again_with_the_same_key(home: Settings, hook: Hook) -> None:
    put(home, "webhook")
    hook.answers = ["cut after", "503", "200"]
    for minutes in (0, 6, 20):
        send(home, hook.credentials, NOON + timedelta(minutes=minutes))
    assert states(home) == ["sent"]
    assert len({headers["Idempotency-Key"] for headers, _ in hook.asked}) == 1


KILLED = """
    import sys
    from datetime import datetime
    from teilhabe.landing import Credentials
    from teilhabe.messages import outbox
    from teilhabe.messages.policy import load_policy
    from teilhabe.settings import get_settings

    settings = get_settings()
    found = Credentials(host=sys.argv[1], port=int(sys.argv[2]) or None, password="geheim", extra={"starttls": "false"})
    outbox.send_due(settings, load_policy(settings), lambda name: found, datetime.fromisoformat(sys.argv[3]))
"""


def killed_while_sending(settings: Settings, host: str, port: int, wait: Callable[[Callable[[], None]], None]) -> None:
    """A sender of its own, killed by the kernel as soon as the other side has the message, before it can answer."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), host, str(port), NOON.isoformat()],
        env={**os.environ, "TEILHABE_HOME": str(settings.home)},
    )
    wait(lambda: os.kill(process.pid, signal.SIGKILL))
    assert process.wait(timeout=60) == -signal.SIGKILL


def test_killed_between_sending_and_recording_a_mail_is_not_sent_twice(home: Settings, mails: MailServer) -> None:
    message_id = put(home, "smtp")

    def wait(kill: Callable[[], None]) -> None:
        mails.on_end = kill

    killed_while_sending(home, "127.0.0.1", mails.port, wait)
    assert states(home) == ["sending"]
    mails.on_end = lambda: None
    send(home, mails.credentials, NOON + timedelta(minutes=5))
    assert states(home) == ["uncertain"]
    assert len(mails.accepted) == 1
    assert alerts(home) == [f"[teilhabe] Nachricht {message_id} vielleicht nicht zugestellt"]


class Killed(BaseException):
    """What ends a process: nothing in the code may catch it."""


@pytest.mark.parametrize("channel", ["webhook", "drop", "smtp"])
def test_ended_between_the_answer_and_the_record_nothing_arrives_twice(
    home: Settings, mails: MailServer, hook: Hook, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home, channel)
    found = {"smtp": mails.credentials, "webhook": hook.credentials, "drop": None}[channel]

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "_confirm", killed)
        with pytest.raises(Killed):
            send(home, found)
    assert states(home) == ["sending"]
    send(home, found, NOON + timedelta(minutes=5))
    assert states(home) == ["uncertain" if channel == "smtp" else "sent"]
    if channel == "smtp":
        assert len(mails.accepted) == 1
    elif channel == "webhook":
        assert len({headers["Idempotency-Key"] for headers, _ in hook.asked}) == 1
    else:
        assert len(list((home.home / outbox.FOLDER).glob("*receipt*.eml"))) == 1


def test_two_senders_at_once_send_each_message_once(home: Settings, mails: MailServer) -> None:
    for n in range(12):
        put(home, "smtp", f"amt{n}@amt.example", key=str(n))
    threads = [threading.Thread(target=send, args=(home, mails.credentials)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states(home) == ["sent"] * 12
    assert len({parsed(content)["Message-ID"] for content in mails.accepted}) == len(mails.accepted) == 12


def test_a_full_hour_and_quiet_hours_hold_messages_back_but_no_alert(home: Settings, mails: MailServer) -> None:
    for n in range(5):
        put(home, "smtp", key=str(n))
    put(home, "smtp", "nachbar@amt.example", key="other")
    assert send(home, mails.credentials, rate_limit_per_hour=3).sent == 4
    assert send(home, mails.credentials, NOON + timedelta(minutes=59), rate_limit_per_hour=3).sent == 0
    assert send(home, mails.credentials, NOON + timedelta(minutes=61), rate_limit_per_hour=3).sent == 2
    evening = datetime(2026, 3, 3, 21, 0, tzinfo=UTC)
    put(home, "smtp", key="night", at=evening)
    put(home, "smtp", "betrieb@landkreis.example", kind="operators", key="alert", at=evening)
    assert send(home, mails.credentials, evening).sent == 1
    assert send(home, mails.credentials, datetime(2026, 3, 4, 6, 1, tzinfo=UTC)).sent == 1


def test_a_message_nobody_can_build_does_not_stop_the_others(home: Settings, mails: MailServer) -> None:
    put(home, "smtp", "kein Empfänger", key="a")
    put(home, "smtp", key="b")
    send(home, mails.credentials)
    assert states(home) == ["failed", "sent"]


def test_a_dry_run_changes_nothing(home: Settings) -> None:
    put(home, "drop", key="a")
    with loading.session(home) as conn:
        before = conn.execute("select * from ops.message").fetchall()
        [(listed, later)] = outbox.preview(conn, policy(home), NOON)
        assert (listed["recipient"], later) == (OFFICE, None)
        [(_, held)] = outbox.preview(conn, policy(home), datetime(2026, 3, 7, 12, 0, tzinfo=UTC))
        assert held == datetime(2026, 3, 9, 6, 0, tzinfo=UTC), "Monday at seven"
        assert conn.execute("select * from ops.message").fetchall() == before
    assert not list((home.home / outbox.FOLDER).glob("*"))


def test_a_file_is_dropped_whole_under_one_name(tmp_path: Path) -> None:
    for _ in range(2):
        handed = Drop(tmp_path / "out").send(outgoing(), NOON, Commit())
    [path] = (tmp_path / "out").iterdir()
    assert path.name == handed.reference
    assert parsed(path.read_bytes())["To"] == OFFICE
