"""Sources against real servers on this machine: http.server, OpenSSH's sshd, an S3 server, Dovecot - and from each a
delivery into the archive, as its contract says."""

from __future__ import annotations

import base64
import contextlib
import getpass
import grp
import imaplib
import io
import json
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import paramiko
import pytest

from teilhabe import landing
from teilhabe.contract import lookup
from teilhabe.errors import ContractError, SourceError, TeilhabeError
from teilhabe.landing import Archive, Credentials, MailSource, ManifestEntry, settled
from teilhabe.landing.message_notes import MessageNotes
from teilhabe.landing.s3 import S3Source
from teilhabe.landing.sftp import SftpSource
from teilhabe.landing.web import WebSource
from teilhabe.messages import outbox
from teilhabe.messages.policy import load_policy
from teilhabe.pipeline import archiving, installing
from teilhabe.pipeline.waiting import Waiting, poll
from teilhabe.raw import loading
from teilhabe.settings import Settings
from tests.authority import Authority, make_authority
from tests.conftest import PROJECT, settings_for
from tests.flow import FOREIGNERS, Flow, monitor

BODY = b"AGS;Anzahl\n03157006;12\n" * 200_000
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def need(tool: str | None, name: str) -> str:
    if tool:
        return tool
    if os.environ.get("TEILHABE_TESTS_REQUIRE_TOOLS"):
        pytest.fail(f"{name} is not installed, and TEILHABE_TESTS_REQUIRE_TOOLS asks for it")
    pytest.skip(f"{name} is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    for _ in range(200):
        if process is not None and process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"nothing answers on port {port}")


@dataclass
class Site:
    """What the web server is to answer, and what it was asked."""

    url: str = ""
    body: bytes = BODY
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"v1"'})
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            site.asked.append((self.command, self.path, dict(self.headers)))
            path, _, argument = self.path.strip("/").partition("/")
            if path == "status":
                self.send_error(int(argument))
            elif path == "redirect":
                self.send_response(302)
                self.send_header("Location", argument)
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif path == "get-only" and self.command == "HEAD":
                self.send_error(405)
            elif path == "members" and self.headers.get("Authorization") != "Basic YW10OmdlaGVpbQ==":
                self.send_error(401)
            else:
                self.send_file(cut=path == "cut", chunked=path.startswith("chunked"))

        def send_file(self, cut: bool, chunked: bool) -> None:
            self.send_response(200)
            for name, value in site.headers.items():
                self.send_header(name, value)
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(len(site.body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if chunked:
                self.wfile.write(f"{len(site.body):x}\r\n".encode() + site.body + b"\r\n")
                # The last chunk is missing: the sender died after what looked like a whole file.
                self.close_connection = True
            else:
                self.wfile.write(site.body[: len(site.body) // 2] if cut else site.body)
                self.close_connection = cut

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients hang up on purpose here; that is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


class TestWeb:
    def source(self, site: Site, path: str = "/zahlen%202026.csv", **more: Any) -> WebSource:
        return WebSource((site.url + path,), "monitor", **more)

    def test_a_file_comes_whole_with_its_name(self, site: Site, tmp_path: Path) -> None:
        source = self.source(site)
        [file] = settled(source, settle_seconds=0)
        source.fetch(file, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == BODY
        assert (file.name, file.size, file.complete) == ("zahlen 2026.csv", len(BODY), False)

    def test_the_name_the_server_gives_wins_but_never_as_a_path(self, site: Site) -> None:
        site.headers["Content-Disposition"] = 'attachment; filename="../../etc/zahlen.csv"'
        assert self.source(site).list()[0].name == "zahlen.csv"

    def test_an_etag_seen_is_not_fetched_again_until_it_changes(self, site: Site) -> None:
        source = self.source(site)
        seen = {file.fingerprint for file in source.list()}
        assert settled(source, seen=seen, settle_seconds=0) == []
        site.headers["ETag"] = '"v2"'
        assert len(settled(source, seen=seen, settle_seconds=0)) == 1

    def test_last_modified_serves_where_there_is_no_etag(self, site: Site) -> None:
        site.headers = {"Last-Modified": "Mon, 02 Mar 2026 12:00:00 GMT"}
        source = self.source(site)
        [file] = source.list()
        assert file.modified == NOON
        assert settled(source, seen={file.fingerprint}, settle_seconds=0) == []

    def test_without_both_a_file_counts_as_new_each_time(self, site: Site) -> None:
        site.headers = {}
        source = self.source(site)
        assert len(settled(source, seen={source.list()[0].fingerprint} - {""}, settle_seconds=0)) == 1

    def test_a_file_that_grows_at_the_server_is_not_picked_up(self, site: Site) -> None:
        site.headers = {}

        def grow(_: float) -> None:
            site.body += b"more"
            time.sleep(0.01)

        assert settled(self.source(site), settle_seconds=0.01, sleep=grow) == []

    def test_a_server_without_head_is_asked_with_get(self, site: Site, tmp_path: Path) -> None:
        source = self.source(site, "/get-only/a.csv")
        [file] = source.list()
        source.fetch(file, tmp_path / "out")
        assert (file.size, (tmp_path / "out").read_bytes()) == (len(BODY), BODY)

    @pytest.mark.parametrize("path", ["/cut/a.csv", "/chunked/a.csv"])
    def test_a_transfer_that_breaks_off_is_an_error_and_leaves_nothing(
        self, site: Site, tmp_path: Path, path: str
    ) -> None:
        source = self.source(site, path)
        with pytest.raises(SourceError, match="broke off"):
            source.fetch(source.list()[0], tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("status", "error"),
        [(401, ContractError), (403, ContractError), (404, ContractError), (429, SourceError), (503, SourceError)],
    )
    def test_a_refusal_says_whether_another_try_helps(
        self, site: Site, status: int, error: type[TeilhabeError]
    ) -> None:
        with pytest.raises(error, match=f"127.0.0.1/status/{status}.*{status}"):
            self.source(site, f"/status/{status}").list()

    def test_a_login_opens_and_is_not_shown_when_it_fails(self, site: Site) -> None:
        good = Credentials("amt", "geheim")
        assert len(self.source(site, "/members/a.csv", credentials=good).list()) == 1
        with pytest.raises(ContractError) as caught:
            self.source(site, "/members/a.csv", credentials=Credentials("amt", "Passwort1")).list()
        assert "Passwort1" not in str(caught.value)

    def test_a_redirect_is_followed_but_takes_no_login_to_another_host(self, site: Site) -> None:
        elsewhere = site.url.replace("127.0.0.1", "localhost")
        login = Credentials("amt", "geheim", extra={"headers": {"X-Token": "geheim"}, "redirect_hosts": "localhost"})
        self.source(site, f"/redirect/{elsewhere}/a.csv", credentials=login).list()
        (_, _, first), (_, path, second) = site.asked
        assert (first["Authorization"], first["X-Token"], path) == ("Basic YW10OmdlaGVpbQ==", "geheim", "/a.csv")
        assert not {"Authorization", "authorization", "X-Token", "x-token"} & set(second)

    def test_a_redirect_to_a_local_file_is_refused(self, site: Site) -> None:
        with pytest.raises(ContractError, match="only http and https"):
            self.source(site, "/redirect/file:///etc/passwd").list()

    @pytest.mark.parametrize(
        "host", ["localhost", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "0.0.0.0"]
    )  # fmt: skip
    def test_a_redirect_into_the_own_network_is_refused_unless_it_is_named(self, site: Site, host: str) -> None:
        with pytest.raises(ContractError, match="in the own network"):
            self.source(site, f"/redirect/http://{host}/a.csv").list()

    def test_a_redirect_in_circles_ends(self, site: Site) -> None:
        with pytest.raises(ContractError, match="redirects more than"):
            self.source(site, f"/redirect/{site.url}/redirect//redirect/a").list()

    def test_a_server_that_is_away_is_worth_another_try(self) -> None:
        with pytest.raises(SourceError, match=r"127\.0\.0\.1/a\.csv: cannot be reached"):
            WebSource((f"http://127.0.0.1:{free_port()}/a.csv",), "monitor").list()

    @pytest.mark.parametrize("path", ["/a.csv", "/chunked/a.csv"])
    def test_too_large_a_file_is_cut_off_even_when_it_hides_its_size(
        self, site: Site, tmp_path: Path, path: str
    ) -> None:
        source = self.source(site, path, limit=1000)
        with pytest.raises(TeilhabeError, match="größer"):
            source.fetch(source.list()[0], tmp_path / "out")
        assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Sshd:
    source: SftpSource
    folder: Path
    host_key: str


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    binary = need(shutil.which("sshd") or shutil.which("/usr/sbin/sshd"), "sshd (package openssh-server)")
    keygen = need(shutil.which("ssh-keygen"), "ssh-keygen (package openssh-client)")
    root = tmp_path_factory.mktemp("sshd")
    for name in ("host", "login"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(root / name)], check=True)
    (root / "authorized_keys").write_text((root / "login.pub").read_text())
    folder = root / "out"
    folder.mkdir()
    port = free_port()
    config = root / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {root / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {root / 'authorized_keys'}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\nForceCommand internal-sftp\n"
    )
    if os.geteuid() == 0:
        # The privilege separation folder is made by the service's start script, which does not run here.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (root / "log").open("wb") as log:
        server = subprocess.Popen([binary, "-D", "-e", "-f", str(config)], stderr=log)
    try:
        wait_for_port(port, server)
        host_key = " ".join((root / "host.pub").read_text().split()[:2])
        login = Credentials(
            getpass.getuser(),
            extra={
                "known_hosts": f"# the office\n[127.0.0.1]:{port} {host_key}\n",
                "private_key": (root / "login").read_text(),
            },
        )
        yield Sshd(SftpSource("127.0.0.1", port, str(folder), "police", credentials=login), folder, host_key)
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def office(sshd: Sshd) -> Iterator[Sshd]:
    yield sshd
    shutil.rmtree(sshd.folder)
    sshd.folder.mkdir()


def with_extra(source: SftpSource, **extra: Any) -> SftpSource:
    """The source with other ``extra``; None takes a key away."""
    kept = {key: value for key, value in {**source.credentials.extra, **extra}.items() if value is not None}
    return replace(source, credentials=replace(source.credentials, extra=kept))


class TestSftp:
    def test_files_in_subfolders_come_whole(self, office: Sshd, tmp_path: Path) -> None:
        (office.folder / "2026").mkdir()
        (office.folder / "2026" / "pks.csv").write_bytes(BODY)
        [file] = settled(office.source, settle_seconds=0)
        office.source.fetch(file, tmp_path / "out")
        office.source.acknowledge(file)
        assert (tmp_path / "out").read_bytes() == BODY
        assert (file.name, file.size) == ("pks.csv", len(BODY))
        assert (office.folder / "2026" / "pks.csv").exists()
        assert settled(office.source, seen={file.fingerprint}, settle_seconds=0) == []

    def test_unfinished_files_links_and_others_than_the_pattern_are_left(self, office: Sshd) -> None:
        for name in ("a.csv", "b.csv.part", ".c.csv", "d.txt"):
            (office.folder / name).write_text("x")
        (office.folder / "link.csv").symlink_to("/etc/passwd")
        (office.folder / "folder").symlink_to("/etc")
        assert [file.name for file in replace(office.source, pattern="*.csv").list()] == ["a.csv"]

    def test_one_file_may_be_named_directly(self, office: Sshd) -> None:
        for name in ("a.csv", "b.csv"):
            (office.folder / name).write_text("x")
        assert [file.name for file in replace(office.source, path=f"{office.folder}/a.csv").list()] == ["a.csv"]

    def test_a_done_flag_makes_a_file_complete_and_growth_holds_it_back(self, office: Sshd) -> None:
        for name in ("a.csv", "a.csv.done", "b.csv"):
            (office.folder / name).write_text("x")
        grown = settled(office.source, settle_seconds=0.01, sleep=lambda _: append_and_wait(office.folder / "b.csv"))
        assert [(file.name, file.complete) for file in grown] == [("a.csv", True)]

    def test_a_file_that_changed_since_the_look_is_not_fetched(self, office: Sshd, tmp_path: Path) -> None:
        (office.folder / "a.csv").write_text("x")
        [file] = office.source.list()
        (office.folder / "a.csv").write_text("longer")
        with pytest.raises(SourceError, match="was changed"):
            office.source.fetch(file, tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_vanished_is_worth_another_try(self, office: Sshd, tmp_path: Path) -> None:
        (office.folder / "a.csv").write_text("x")
        [file] = office.source.list()
        (office.folder / "a.csv").unlink()
        with pytest.raises(SourceError, match="vanished"):
            office.source.fetch(file, tmp_path / "out")

    def test_too_large_a_file_is_refused(self, office: Sshd, tmp_path: Path) -> None:
        (office.folder / "a.csv").write_bytes(BODY)
        source = replace(office.source, limit=1000)
        with pytest.raises(TeilhabeError, match="größer"):
            source.fetch(source.list()[0], tmp_path / "out")

    def test_a_folder_that_is_not_there_is_the_contracts_fault(self, office: Sshd) -> None:
        with pytest.raises(ContractError, match="there is no"):
            replace(office.source, path="/not/there").list()

    def test_an_unknown_host_is_refused_unless_that_is_configured(self, office: Sshd) -> None:
        with pytest.raises(ContractError, match="host key is not known"):
            with_extra(office.source, known_hosts=None).list()
        assert with_extra(office.source, known_hosts=None, no_host_key_check="true").list() == []

    def test_a_host_key_alone_is_enough(self, office: Sshd) -> None:
        assert with_extra(office.source, known_hosts=None, host_key=office.host_key).list() == []

    def test_another_host_key_is_refused_even_when_checking_is_off(self, office: Sshd, tmp_path: Path) -> None:
        keygen = need(shutil.which("ssh-keygen"), "ssh-keygen")
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
        other = (tmp_path / "other.pub").read_text()
        with pytest.raises(ContractError, match="another host key"):
            with_extra(office.source, known_hosts=None, host_key=other, no_host_key_check="true").list()

    def test_a_refused_login_is_the_contracts_fault(self, office: Sshd, tmp_path: Path) -> None:
        keygen = need(shutil.which("ssh-keygen"), "ssh-keygen")
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
        with pytest.raises(ContractError, match="refused the login"):
            with_extra(office.source, private_key=(tmp_path / "other").read_text()).list()

    def test_a_key_with_passphrase_logs_in(self, office: Sshd, tmp_path: Path) -> None:
        keygen = need(shutil.which("ssh-keygen"), "ssh-keygen")
        key = tmp_path / "key"
        key.write_text(office.source.credentials.extra["private_key"])
        key.chmod(0o600)
        subprocess.run([keygen, "-q", "-p", "-P", "", "-N", "geheim", "-f", str(key)], check=True, capture_output=True)
        by_file = with_extra(office.source, private_key=None, key_file=str(key), private_key_passphrase="geheim")
        assert by_file.list() == []
        with pytest.raises(ContractError) as caught:
            with_extra(by_file, private_key_passphrase="falsch").list()
        assert "falsch" not in str(caught.value)

    def test_a_server_that_is_away_is_worth_another_try(self, office: Sshd) -> None:
        with pytest.raises(SourceError, match=r"127\.0\.0\.1:\d+: the connection failed"):
            replace(office.source, port=free_port()).list()


def append_and_wait(path: Path) -> None:
    with path.open("a") as stream:
        stream.write("more")
    time.sleep(0.01)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(endpoint: str) -> Iterator[Any]:
    import s3fs

    fs = s3fs.S3FileSystem(key="amt", secret="geheim", endpoint_url=endpoint, skip_instance_cache=True)
    fs.mkdir("amt")
    yield fs
    fs.invalidate_cache()
    fs.rm("amt", recursive=True)


@pytest.fixture
def login(endpoint: str) -> Credentials:
    return Credentials("amt", "geheim", extra={"endpoint_url": endpoint, "region_name": "eu-central-1"})


class TestS3:
    def test_objects_come_whole_and_are_seen_until_they_change(
        self, store: Any, login: Credentials, tmp_path: Path
    ) -> None:
        store.pipe_file("amt/out/2026/a.csv", BODY)
        store.pipe_file("amt/out/a.csv.part", b"x")
        store.pipe_file("amt/other/b.csv", b"x")
        source = S3Source("amt/out", "jobcenter", "*.csv", login)

        [file] = settled(source)
        source.fetch(file, tmp_path / "out")
        source.acknowledge(file)

        assert (tmp_path / "out").read_bytes() == BODY
        assert (file.name, file.size, file.complete) == ("a.csv", len(BODY), True)
        assert settled(source, seen={file.fingerprint}) == []
        store.pipe_file("amt/out/2026/a.csv", b"corrected")
        assert len(settled(source, seen={file.fingerprint})) == 1

    def test_an_object_replaced_since_the_look_is_not_mixed(
        self, store: Any, login: Credentials, tmp_path: Path
    ) -> None:
        store.pipe_file("amt/out/a.csv", BODY)
        source = S3Source("amt/out", "jobcenter", None, login)
        [file] = source.list()
        store.pipe_file("amt/out/a.csv", b"corrected")
        with pytest.raises(SourceError, match="broke off"):
            source.fetch(file, tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    def test_an_object_that_vanished_is_worth_another_try(self, store: Any, login: Credentials, tmp_path: Path) -> None:
        store.pipe_file("amt/out/a.csv", b"x")
        source = S3Source("amt/out", "jobcenter", None, login)
        [file] = source.list()
        store.rm_file("amt/out/a.csv")
        with pytest.raises(SourceError, match="vanished"):
            source.fetch(file, tmp_path / "out")

    def test_an_empty_prefix_is_no_error_and_a_missing_bucket_is(self, store: Any, login: Credentials) -> None:
        assert S3Source("amt/nothing-yet", "jobcenter", None, login).list() == []
        with pytest.raises(ContractError, match="no bucket 'missing'"):
            S3Source("missing/out", "jobcenter", None, login).list()

    def test_a_refused_login_is_the_contracts_fault(self, store: Any, login: Credentials, endpoint: str) -> None:
        source = S3Source("amt/out", "jobcenter", None, login)
        assert source.list() == []
        # From here on the server checks who asks, and nobody has created the login.
        before = httpx.post(f"{endpoint}/moto-api/reset-auth", content="0").json()
        try:
            with pytest.raises(ContractError, match="access was refused") as caught:
                source.list()
        finally:
            httpx.post(f"{endpoint}/moto-api/reset-auth", content=str(before["PREVIOUS_INITIAL_NO_AUTH_ACTION_COUNT"]))
        assert "geheim" not in str(caught.value)

    def test_a_store_that_is_away_is_worth_another_try(self) -> None:
        away = Credentials("amt", "geheim", extra={"endpoint_url": f"http://127.0.0.1:{free_port()}"})
        with pytest.raises(SourceError, match="cannot be reached"):
            S3Source("amt/out", "jobcenter", None, away).list()

    def test_too_large_an_object_is_refused(self, store: Any, login: Credentials, tmp_path: Path) -> None:
        store.pipe_file("amt/out/a.csv", BODY)
        source = S3Source("amt/out", "jobcenter", None, login, limit=1000)
        with pytest.raises(TeilhabeError, match="größer"):
            source.fetch(source.list()[0], tmp_path / "out")


class TestArchiveInAnObjectStore:
    def test_it_keeps_what_a_folder_keeps(self, store: Any, login: Credentials, tmp_path: Path) -> None:
        archive = Archive("s3://amt/archive", login)
        (tmp_path / "a.csv").write_bytes(BODY)

        kept = archive.put(tmp_path / "a.csv")
        entry = ManifestEntry("jobcenter__participants", NOON, kept.sha256, kept.size, "a.csv")
        again = replace(entry, arrival="ticket 1")
        addresses = [archive.record(one) for one in (entry, entry, again, again)]

        assert kept.uri == f"s3://amt/archive/objects/{kept.sha256[:2]}/{kept.sha256}"
        assert [address.rsplit("-", 1)[-1] for address in addresses] == ["1.json", "2.json", "3.json", "3.json"]
        assert archive.manifest("jobcenter__participants") == [entry, entry, again]
        assert archive.local(kept.sha256, tmp_path / "work").read_bytes() == BODY

    def test_the_same_bytes_are_not_sent_again_and_a_torn_object_is(
        self, store: Any, login: Credentials, tmp_path: Path
    ) -> None:
        archive = Archive("s3://amt/archive", login)
        (tmp_path / "a.csv").write_bytes(BODY)
        kept = archive.put(tmp_path / "a.csv")
        path = kept.uri.removeprefix("s3://") + ".zst"
        before, whole = (store.info(path)["LastModified"], store.info(path)["ETag"]), store.cat_file(path)
        assert archive.put(tmp_path / "a.csv") == kept
        assert (store.info(path, refresh=True)["LastModified"], store.info(path)["ETag"]) == before
        store.pipe_file(path, whole[:10])
        archive.put(tmp_path / "a.csv")
        assert store.cat_file(path) == whole
        store.invalidate_cache()
        assert store.find("amt/archive/waiting") == []

    def test_the_usual_variables_are_enough(
        self, store: Any, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "amt")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
        (tmp_path / "a.csv").write_text("abc")
        archive = Archive("s3://amt/archive")
        kept = archive.put(tmp_path / "a.csv")
        assert store.exists(f"{kept.uri}.zst")
        assert archive.local(kept.sha256, tmp_path / "work").read_bytes() == b"abc"

    def test_a_missing_object_is_named(self, store: Any, login: Credentials, tmp_path: Path) -> None:
        with pytest.raises(TeilhabeError, match="has no object"):
            Archive("s3://amt/archive", login).local("0" * 64, tmp_path)

    def test_a_store_that_is_away_is_worth_another_try(self, tmp_path: Path) -> None:
        away = Credentials("amt", "geheim", extra={"endpoint_url": f"http://127.0.0.1:{free_port()}"})
        (tmp_path / "a.csv").write_text("x")
        with pytest.raises(SourceError, match="could not store"):
            Archive("s3://amt/archive", away).put(tmp_path / "a.csv")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure_site(authority: Authority) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(FILE)))
            self.send_header("ETag", '"v1"')
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(FILE)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients that do not trust the certificate hang up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = authority.server_context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}/zahlen.csv"
        server.shutdown()
        thread.join()


FILE = monitor([(2022, "Peine", "K03157", 15000)])


class TestHttps:
    def test_an_authority_of_the_office_is_trusted_when_the_connection_names_it(
        self, secure_site: str, authority: Authority, tmp_path: Path
    ) -> None:
        login = Credentials(extra={"ca_certificates": authority.pem})
        source = WebSource((secure_site,), "monitor", login)
        [file] = settled(source, settle_seconds=0)
        source.fetch(file, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == FILE

    def test_nobody_else_is(self, secure_site: str) -> None:
        with pytest.raises(ContractError, match="certificate nobody known here has signed"):
            WebSource((secure_site,), "monitor").list()

    def test_an_authority_that_is_none_is_told_without_quoting_it(self, secure_site: str) -> None:
        source = WebSource((secure_site,), "monitor", Credentials(extra={"ca_certificates": "geheim"}))
        with pytest.raises(ContractError, match="certificate authority") as told:
            source.list()
        assert "geheim" not in str(told.value)


class PasswordDoor(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if (username, password) == ("amt", "geheim") else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class OneFile(paramiko.SFTPServerInterface):
    """A folder with one file."""

    def _attributes(self, folder: bool) -> paramiko.SFTPAttributes:
        found = paramiko.SFTPAttributes()
        found.st_mode, found.st_size = (0o040755, 0) if folder else (0o100644, len(FILE))
        found.st_mtime, found.st_atime, found.filename = 1_700_000_000, 1_700_000_000, "zahlen.csv"
        return found

    def stat(self, path: str) -> Any:
        return self._attributes(folder=not path.endswith(".csv"))

    lstat = stat

    def list_folder(self, path: str) -> Any:
        return [self._attributes(folder=False)]

    def open(self, path: str, flags: int, attr: Any) -> Any:
        handle = paramiko.SFTPHandle(flags)
        handle.readfile = io.BytesIO(FILE)  # type: ignore[attr-defined]
        handle.stat = lambda: self._attributes(folder=False)  # type: ignore[method-assign]
        return handle


@pytest.fixture
def password_sftp() -> Iterator[Credentials]:
    """A server whose users log in by password: sshd would need accounts of the machine for that."""
    key = paramiko.ECDSAKey.generate()
    sessions: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    session = paramiko.Transport(listener.accept()[0])
                    sessions.append(session)
                    session.add_server_key(key)
                    session.set_subsystem_handler("sftp", paramiko.SFTPServer, OneFile)
                    session.start_server(threading.Event(), PasswordDoor())

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        yield Credentials("amt", "geheim", "127.0.0.1", port, {"host_key": f"{key.get_name()} {key.get_base64()}"})
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for session in sessions:
        session.close()


class TestSftpWithPassword:
    def test_a_file_comes_whole(self, password_sftp: Credentials, tmp_path: Path) -> None:
        source = SftpSource("127.0.0.1", password_sftp.port or 0, "/", "amt", None, password_sftp)
        [file] = settled(source, settle_seconds=0)
        source.fetch(file, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == FILE

    def test_a_wrong_password_is_for_a_person_to_mend(self, password_sftp: Credentials) -> None:
        login = replace(password_sftp, password="falsch")
        with pytest.raises(ContractError, match="refused the login") as told:
            SftpSource("127.0.0.1", login.port or 0, "/", "amt", None, login).list()
        assert "falsch" not in str(told.value)


@dataclass(frozen=True)
class Post:
    """A mail server with one mailbox, and a second way into it for the test."""

    source: MailSource
    authority: Authority

    @contextlib.contextmanager
    def mailbox(self) -> Iterator[imaplib.IMAP4_SSL]:
        context = ssl.create_default_context(cadata=self.authority.pem)
        with imaplib.IMAP4_SSL(self.source.host, self.source.port, ssl_context=context) as client:
            client.login("amt", "geheim")
            client.select("INBOX")
            yield client

    def put(self, *files: tuple[str, bytes], sender: str = "Amt <zahlen@lengede.example>", at: datetime = NOON) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, "teilhabe@landkreis.example", "Zahlen für März"
        message["Date"] = "Thu, 01 Jan 1970 00:00:00 +0000"
        message.set_content("Anbei die Zahlen.")
        for name, content in files:
            message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
        with self.mailbox() as client:
            client.append("INBOX", "", at, message.as_bytes())

    def append(self, *messages: bytes) -> None:
        with self.mailbox() as client:
            for message in messages:
                client.append("INBOX", "", NOON, message)

    def connection(self) -> dict[str, Any]:
        return {
            "conn_type": "imap", "host": "127.0.0.1", "port": self.source.port, "login": "amt", "password": "geheim",
            "extra": {"ca_certificates": self.authority.pem},
        }  # fmt: skip

    def flags(self) -> list[bool]:
        """Of every message in the inbox whether it counts as read."""
        with self.mailbox() as client:
            found = client.uid("FETCH", "1:*", "(FLAGS)")[1]
            return [b"Seen" in (part or b"") for part in found if part]

    def empty(self) -> None:
        with self.mailbox() as client:
            for folder in ("Erledigt für immer", "INBOX"):
                answer, found = client.select(landing.mail._mailbox_name(folder))
                if answer == "OK" and found != [b"0"]:
                    client.store("1:*", "+FLAGS", r"(\Deleted)")
                    client.expunge()

    def names(self) -> list[str]:
        return [file.name for file in self.source.list()]


@pytest.fixture(scope="module")
def dovecot(authority: Authority) -> Iterator[Post]:
    binary = need(shutil.which("dovecot") or shutil.which("/usr/sbin/dovecot"), "dovecot (package dovecot-imapd)")
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("2.3."):
        pytest.skip(f"the mail server of these tests is configured for dovecot 2.3, found {version.strip()}")
    # Mail is never read with root's rights, and pytest's own folders are closed to other accounts.
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    keeper = "root" if os.geteuid() == 0 else account.pw_name
    root = Path(tempfile.mkdtemp(prefix="teilhabe-mail-"))
    root.chmod(0o755)
    (root / "mail").mkdir()
    if os.geteuid() == 0:
        os.chown(root / "mail", account.pw_uid, account.pw_gid)
    (root / "users").write_text(f"amt:{{PLAIN}}geheim:{account.pw_uid}:{account.pw_gid}::{root}/mail::\n")
    port = free_port()
    login_user = "dovenull" if os.geteuid() == 0 else keeper
    (root / "dovecot.conf").write_text(
        f"base_dir = {root}/run\nstate_dir = {root}/state\nlog_path = {root}/log\nprotocols = imap\nlisten = 127.0.0.1\n"
        f"default_internal_user = {'dovecot' if keeper == 'root' else keeper}\ndefault_login_user = {login_user}\n"
        f"default_internal_group = {'dovecot' if keeper == 'root' else grp.getgrgid(os.getegid()).gr_name}\n"
        f"ssl = required\nssl_cert = <{authority.certificate}\nssl_key = <{authority.key}\nfirst_valid_uid = 1\n"
        f"mail_location = maildir:{root}/mail/%u\nmail_privileged_group =\n"
        f"passdb {{\n driver = passwd-file\n args = {root}/users\n}}\nuserdb {{\n driver = passwd-file\n args = {root}/users\n}}\n"
        f"service imap-login {{\n chroot =\n inet_listener imap {{\n  port = 0\n }}\n"
        f" inet_listener imaps {{\n  port = {port}\n  ssl = yes\n }}\n}}\n"
        "service anvil {\n chroot =\n}\nservice stats {\n chroot =\n}\n"
    )
    with (root / "out").open("wb") as log:
        server = subprocess.Popen([binary, "-F", "-c", str(root / "dovecot.conf")], stderr=log, stdout=log)
    try:
        wait_for_port(port, server)
        login = Credentials("amt", "geheim", extra={"ca_certificates": authority.pem})
        yield Post(MailSource("127.0.0.1", port, "mailbox", credentials=login), authority)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def post(dovecot: Post) -> Iterator[Post]:
    yield dovecot
    dovecot.empty()


class TestMail:
    def test_an_attachment_comes_whole_with_sender_and_arrival(self, post: Post, tmp_path: Path) -> None:
        post.put(("zahlen März.xlsx", BODY))
        [file] = settled(post.source)
        post.source.fetch(file, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == BODY
        assert (file.name, file.size, file.complete) == ("zahlen März.xlsx", len(BODY), True)
        assert (file.sender, file.received_at) == ("zahlen@lengede.example", NOON), (
            "the server's clock, not the sender's"
        )

    def test_texts_pictures_and_signatures_are_no_deliveries(self, post: Post) -> None:
        post.put(("zahlen.csv", FILE), ("logo.png", b"x"), ("smime.p7s", b"x"), ("~$zahlen.xlsx", b"x"))
        post.put()
        assert post.names() == ["zahlen.csv"]

    def test_a_name_is_never_a_path(self, post: Post) -> None:
        post.put(("../../etc/zahlen.csv", FILE))
        assert post.names() == ["zahlen.csv"]

    def test_attachments_of_a_forwarded_message_come_too(self, post: Post) -> None:
        inner = EmailMessage()
        inner["From"] = "jemand@amt.example"
        inner.set_content("siehe unten")
        inner.add_attachment(FILE, maintype="text", subtype="csv", filename="zahlen.csv")
        outer = EmailMessage()
        outer["From"] = "kollege@amt.example"
        outer.set_content("weitergeleitet")
        outer.add_attachment(inner)
        with post.mailbox() as client:
            client.append("INBOX", "", NOON, outer.as_bytes())
        [file] = post.source.list()
        assert (file.name, file.sender) == ("zahlen.csv", "kollege@amt.example")

    def test_looking_and_fetching_mark_nothing(self, post: Post, tmp_path: Path) -> None:
        post.put(("zahlen.csv", FILE))
        [file] = post.source.list()
        post.source.fetch(file, tmp_path / "out")
        post.source.acknowledge(file)
        assert post.flags() == [False]
        assert len(post.source.list()) == 1

    def test_a_message_is_let_go_when_all_its_files_are_archived(self, post: Post) -> None:
        post.put(("a.csv", FILE), ("b.csv", FILE))
        post.put(("c.csv", FILE))
        a, b, c = post.source.list()
        assert post.source.let_go({a.fingerprint, c.fingerprint}) == 1
        assert post.names() == ["a.csv", "b.csv"]
        assert post.source.let_go({a.fingerprint, b.fingerprint, c.fingerprint}) == 1
        assert post.names() == []
        assert post.flags() == [True, True]

    def test_a_file_for_another_dataset_keeps_its_message_where_it_is(self, post: Post) -> None:
        post.put(("Unterbringung_03157005.xlsx", FILE), ("Ehrenamt_03157005.xlsx", FILE))
        housing, civic = (replace(post.source, pattern=pattern) for pattern in ("Unterbringung_*", "Ehrenamt_*"))
        [file] = housing.list()
        assert housing.let_go({file.fingerprint}) == 0
        assert [file.name for file in civic.list()] == ["Ehrenamt_03157005.xlsx"]

    def test_done_messages_are_moved_where_the_connection_says_so(self, post: Post) -> None:
        """Then a message somebody has read in the mailbox is still picked up."""
        login = replace(
            post.source.credentials, extra={**post.source.credentials.extra, "done_folder": "Erledigt für immer"}
        )
        source = replace(post.source, credentials=login)
        post.put(("zahlen.csv", FILE))
        with post.mailbox() as client:
            client.uid("STORE", "1:*", "+FLAGS", r"(\Seen)")
        [file] = source.list()
        assert source.let_go({file.fingerprint}) == 1
        assert source.list() == []
        with post.mailbox() as client:
            assert client.select(landing.mail._mailbox_name("Erledigt für immer")) == ("OK", [b"1"])

    def test_only_agreed_senders_are_read(self, post: Post) -> None:
        post.put(("a.csv", FILE), sender="Zahlen@Lengede.example")
        post.put(("b.csv", FILE), sender="werbung@anderswo.example")
        source = replace(post.source, senders="*@lengede.example")
        assert [file.name for file in source.list()] == ["a.csv"]

    def test_a_message_that_is_too_large_is_told_and_never_fetched(self, post: Post, tmp_path: Path) -> None:
        post.put(("gross.csv", BODY))
        source = replace(post.source, limit=1000)
        [file] = source.list()
        with pytest.raises(TeilhabeError, match="größer als die erlaubten"):
            source.fetch(file, tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    def test_a_message_deleted_meanwhile_is_worth_another_look(self, post: Post, tmp_path: Path) -> None:
        post.put(("zahlen.csv", FILE))
        [file] = post.source.list()
        post.empty()
        with pytest.raises(SourceError, match="vanished"):
            post.source.fetch(file, tmp_path / "out")

    def test_a_wrong_password_is_for_a_person_to_mend(self, post: Post) -> None:
        login = replace(post.source.credentials, password="falsch")
        with pytest.raises(ContractError, match="refused the login") as told:
            replace(post.source, credentials=login).list()
        assert "falsch" not in str(told.value)

    def test_an_unknown_certificate_is_refused_before_any_password_is_sent(self, post: Post) -> None:
        login = replace(post.source.credentials, extra={})
        with pytest.raises(ContractError, match="certificate nobody known here has signed"):
            replace(post.source, credentials=login).list()

    def test_no_such_folder(self, post: Post) -> None:
        with pytest.raises(ContractError, match="no mail folder 'Zahlen'"):
            replace(post.source, folder="Zahlen").list()

    def test_nobody_there_is_worth_another_try(self, post: Post) -> None:
        with pytest.raises(SourceError, match="the connection failed"):
            replace(post.source, port=free_port()).list()


def raw(*headers: str, files: Sequence[tuple[str, bytes]] = (), inside: bytes | None = None) -> bytes:
    """A message byte for byte as a program wrote it, right or wrong; ``inside``: a message it returns."""
    head = [*headers, "MIME-Version: 1.0"]
    if not any(one.lower().startswith("content-type") for one in headers):
        head.append("Content-Type: multipart/mixed; boundary=g")
    parts = [b"--g\r\nContent-Type: text/plain\r\n\r\nText\r\n"]
    for name, content in files:
        parts.append(
            b"--g\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
            + f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'.encode()
            + base64.encodebytes(content)
        )
    if inside is not None:
        parts.append(b"--g\r\nContent-Type: message/rfc822\r\n\r\n" + inside + b"\r\n")
    return "\r\n".join(head).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + b"".join(parts) + b"--g--\r\n"


AMT = "From: Amt <zahlen@lengede.example>"
REPORT = "Content-Type: multipart/report; report-type=delivery-status; boundary=g"
ABSENT = (AMT, "Auto-Submitted: auto-replied", "Subject: Automatische Antwort: Nicht angenommen")


def returned(mail_id: str, name: str = "Beanstandungen_84.xlsx") -> bytes:
    ours = raw(
        "From: koordinierung@landkreis.example",
        f"Message-ID: {mail_id}",
        "Auto-Submitted: auto-generated",
        files=[(name, FILE)],
    )
    status = (
        b"--g\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mail.example\r\n\r\n"
        b"Final-Recipient: rfc822; zahlen@lengede.example\r\nAction: failed\r\nStatus: 5.2.2\r\n"
        b"Diagnostic-Code: smtp; 552 5.2.2 Mailbox full\r\n\r\n"
    )
    whole = raw(
        "From: MAILER-DAEMON@lengede.example",
        REPORT,
        "Subject: Undelivered Mail",
        inside=ours.replace(b"=g", b"=h").replace(b"--g", b"--h"),
    )
    return whole.replace(b"--g\r\nContent-Type: message/rfc822", status + b"--g\r\nContent-Type: message/rfc822")


class TestMailNobodyWrote:
    @pytest.mark.parametrize("senders", [None, "*@lengede.example"])
    @pytest.mark.parametrize("name", ["Beanstandungen_84.xlsx", "zahlen.csv"])
    def test_it_delivers_nothing_whatever_it_carries(self, post: Post, senders: str | None, name: str) -> None:
        own = "<0123456789abcdef0123456789abcdef@landkreis.example>"
        post.append(
            returned(own, name),
            raw(*ABSENT, files=[(name, FILE)]),
            raw(AMT, "Precedence: bulk", files=[(name, FILE)]),
            raw(AMT, "List-Id: <liste.example>", files=[(name, FILE)]),
            raw(AMT, "Subject: WG: Unzustellbar", inside=returned(own, name)),
        )
        post.put(("gut.csv", FILE))
        source = replace(post.source, senders=senders)
        assert [file.name for file in source.list()] == ["gut.csv"]
        assert [notice.kind for notice in source.notices] == ["bounce", "reply", "bulk", "bulk", "empty"]
        assert source.notices[0].report is not None
        assert source.notices[0].report.mail_ids == {own}

    @pytest.mark.parametrize("sender", ['"', "a@[", "<", "\udcff\udcfe <\udcff", "=?kein-satz?q?=FF?= <x@y.example>"])
    def test_one_malformed_message_stops_no_other(self, post: Post, sender: str) -> None:
        post.append(
            raw(f"From: {sender}", "Date: Sun, 99 Foo 9999 99:99:99 +9999", "Subject: =?utf-8?b?####?="),
            raw(
                f"From: {sender}",
                "Content-Type: multipart/mixed; boundary*=kein'satz'%GG; boundary",
                files=[("a.csv", FILE)],
            ),
            raw(f"From: {sender}", 'Content-Type: text/plain; charset="x-keiner"; name*0*=kein%ZZ; name*9="'),
            b"\x00\xff\xfe kein Kopf, keine Nachricht",
            b"",
        )
        post.put(("gut.csv", FILE))
        assert "gut.csv" in post.names()
        assert post.source.let_go({file.fingerprint for file in post.source.list()}) >= 1

    def test_a_message_no_program_can_read_is_told(self, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
        post.put(("schlecht.csv", FILE))
        post.put(("gut.csv", FILE))
        usual = MailSource._attachments

        def attachments(source: MailSource, mailbox: imaplib.IMAP4, uid: str, folder: Path) -> Any:
            found = usual(source, mailbox, uid, folder)
            if found and found[0][0] == "schlecht.csv":
                raise IndexError(uid)
            return found

        monkeypatch.setattr(MailSource, "_attachments", attachments)
        assert post.names() == ["gut.csv"]
        assert [notice.kind for notice in post.source.notices] == ["unreadable"]

    def test_a_message_that_costs_too_much_is_told_and_stops_no_other(
        self, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The parts of it are taken apart in a process with limits, and a header has an end."""
        monkeypatch.setenv("TEILHABE_READING_CPU_SECONDS", "5")
        depth = 3_000
        nested = b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d; name=x\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth)
        )
        post.append(
            raw(AMT).partition(b"\r\n\r\n")[0] + b"\r\nX-Lang: " + b"a" * 300_000 + b"\r\n\r\nText",
            b"From: amt@lengede.example\r\nMIME-Version: 1.0\r\n" + nested + b"\r\nText",
        )
        post.put(("gut.csv", FILE))
        assert post.names() == ["gut.csv"]

    def test_a_message_of_several_datasets_is_looked_at_once_and_fetched_once_by_each(
        self, post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However many look into the mailbox, however often, and however many files are theirs."""
        asked: list[str] = []
        usual = MailSource._bytes
        monkeypatch.setattr(
            MailSource, "_bytes", staticmethod(lambda box, uid, what: asked.append(what) or usual(box, uid, what))
        )

        def source(pattern: str) -> MailSource:
            """As each poll of each dataset opens it."""
            return replace(post.source, pattern=pattern, notes=MessageNotes(tmp_path / "mail"))

        post.put(("a1.csv", FILE), ("a2.csv", FILE + b"2"), ("b.csv", FILE + b"3"))
        for _ in range(3):
            for pattern in ("a*.csv", "b*.csv", "c*.csv", "d*.csv"):
                source(pattern).list()
        assert len(asked) == 1
        archived: set[str] = set()
        for pattern, contents in (("a*.csv", [FILE, FILE + b"2"]), ("b*.csv", [FILE + b"3"])):
            its = source(pattern)
            for number, (file, content) in enumerate(zip(wanted := its.list(), contents, strict=True)):
                its.fetch(file, tmp_path / f"{pattern[0]}{number}")
                assert (tmp_path / f"{pattern[0]}{number}").read_bytes() == content
            archived |= {file.fingerprint for file in wanted}
            its.let_go(archived)
        assert len(asked) == 3, "one more for each that has files in it"
        assert post.flags() == [True]
        assert source("a*.csv").list() == [] and list((tmp_path / "mail").iterdir()) == []

    def test_a_message_without_a_file_is_never_fetched_and_is_let_go(
        self, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        post.put()
        post.put(("gut.csv", FILE))
        asked: list[str] = []
        usual = MailSource._bytes
        monkeypatch.setattr(
            MailSource, "_bytes", staticmethod(lambda box, uid, what: asked.append(uid) or usual(box, uid, what))
        )
        source = replace(post.source)
        [file] = source.list()
        [notice] = source.notices
        assert (notice.kind, len(asked)) == ("empty", 1)
        source.dismiss([notice.uid])
        assert source.let_go({file.fingerprint}) == 1
        assert len(asked) == 1, "what is known of a message is not asked for again"
        assert source.list() == []


# From the contract's server into the archive


Line = Callable[..., Flow]


@pytest.fixture(scope="module")
def home(house: Settings) -> Path:
    return house.home


@pytest.fixture
def line(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A project whose one contract names the given server, its connection as Airflow reads it from the environment."""

    def make(server: str, **connection: Any) -> Flow:
        project = tmp_path / "project"
        for name in ("expectations", "dbt_project/seeds"):
            shutil.copytree(PROJECT / name, project / name)
        text = (PROJECT / "agencies" / "state_monitor" / "foreigners.odcs.yaml").read_text(encoding="utf-8")
        before, _, rest = text.partition("servers:\n")
        after = rest[rest.index("slaProperties:") :]
        path = project / "agencies" / "state_monitor" / "foreigners.odcs.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(f"{before}servers:\n{server}{after}", encoding="utf-8")
        if connection:
            monkeypatch.setenv("AIRFLOW_CONN_AMT", json.dumps(connection))
        monkeypatch.setenv("TEILHABE_SETTLE_SECONDS", "0.05")
        flow = Flow(replace(settings_for(home), project=project), tmp_path / "drafts")
        installing.install(flow.settings)
        flow.empty()
        return flow

    return make


def fetched(flow: Flow) -> list[tuple[Any, ...]]:
    """Poll and archive as the DAG does; what was recorded of it."""
    contract = lookup.contract(flow.settings, FOREIGNERS)
    waiting = poll(flow.settings, contract, landing.environment_credentials)
    through_airflow = [Waiting.from_json(json.loads(json.dumps(item.to_json()))) for item in waiting]
    archiving.archive(flow.settings, contract, through_airflow, landing.environment_credentials)
    [entry] = landing.Archive(flow.settings.archive_url).manifest(FOREIGNERS)
    assert landing.Archive(flow.settings.archive_url).local(entry.sha256, flow.drafts).read_bytes() == FILE
    assert poll(flow.settings, contract, landing.environment_credentials) == [], "nothing is fetched twice"
    return flow.ask("select file_name, received_from, source, state from ops.delivery")


def mailboxes(*patterns: str) -> tuple[str]:
    """A server entry per pattern, all looking into the same mailbox."""
    return (
        "".join(
            f"  - server: mailbox{number}\n    type: custom\n    customProperties:\n      - {{property: kind, value: imap}}\n"
            f"      - {{property: connection, value: amt}}\n      - {{property: pattern, value: '{pattern}'}}\n"
            "      - {property: sender_pattern, value: '*@lengede.example'}\n"
            for number, pattern in enumerate(patterns)
        ),
    )


def polled(flow: Flow) -> None:
    contract = lookup.contract(flow.settings, FOREIGNERS)
    poll(flow.settings, contract, landing.environment_credentials)


class TestLine:
    def test_from_a_folder_of_the_office(self, line: Line, tmp_path: Path) -> None:
        share = tmp_path / "share"
        (share / "2026").mkdir(parents=True)
        (share / "2026" / "zahlen.csv").write_bytes(FILE)
        flow = line(f"  - {{server: share, type: local, path: '{share}', format: csv}}\n")
        assert fetched(flow) == [("zahlen.csv", None, "share", "received")]
        assert (share / "2026" / "zahlen.csv").exists(), "the office keeps its file"

    def test_from_a_web_address_with_the_office_s_own_authority(
        self, line: Line, secure_site: str, authority: Authority
    ) -> None:
        flow = line(
            f"  - {{server: web, type: api, location: '{secure_site}', customProperties: [{{property: connection, value: amt}}]}}\n",
            conn_type="http", extra={"ca_certificates": authority.pem},
        )  # fmt: skip
        assert fetched(flow) == [("zahlen.csv", None, "web", "received")]

    def test_from_sftp_by_key(self, line: Line, office: Sshd) -> None:
        (office.folder / "zahlen.csv").write_bytes(FILE)
        (office.folder / "anderes.txt").write_bytes(b"x")
        address = f"sftp://127.0.0.1:{office.source.port}{office.folder}/*.csv"
        login = office.source.credentials
        flow = line(
            f"  - {{server: sftp, type: sftp, location: '{address}', customProperties: [{{property: connection, value: amt}}]}}\n",
            conn_type="sftp", login=login.login, extra=dict(login.extra),
        )  # fmt: skip
        assert fetched(flow) == [("zahlen.csv", None, "sftp", "received")]

    def test_from_sftp_by_password(self, line: Line, password_sftp: Credentials) -> None:
        address = f"sftp://127.0.0.1:{password_sftp.port}/"
        flow = line(
            f"  - {{server: sftp, type: sftp, location: '{address}', customProperties: [{{property: connection, value: amt}}]}}\n",
            conn_type="sftp", login="amt", password="geheim", extra=dict(password_sftp.extra),
        )  # fmt: skip
        assert fetched(flow) == [("zahlen.csv", None, "sftp", "received")]

    def test_from_an_object_store(self, line: Line, store: Any, endpoint: str) -> None:
        store.pipe_file("amt/out/zahlen.csv", FILE)
        flow = line(
            f"  - {{server: s3, type: s3, location: 's3://amt/out/*.csv', endpointUrl: '{endpoint}',"
            " customProperties: [{property: connection, value: amt}]}\n",
            conn_type="aws", login="amt", password="geheim", extra={"region_name": "eu-central-1"},
        )  # fmt: skip
        assert fetched(flow) == [("zahlen.csv", None, "s3", "received")]

    def test_from_a_mailbox(self, line: Line, post: Post) -> None:
        post.put(("zahlen.csv", FILE))
        flow = line(
            "  - server: mailbox\n    type: custom\n    customProperties:\n      - {property: kind, value: imap}\n"
            "      - {property: connection, value: amt}\n      - {property: pattern, value: '*.csv'}\n"
            "      - {property: sender_pattern, value: '*@lengede.example'}\n",
            conn_type="imap", host="127.0.0.1", port=post.source.port, login="amt", password="geheim",
            extra={"ca_certificates": post.authority.pem},
        )  # fmt: skip
        assert fetched(flow) == [("zahlen.csv", "zahlen@lengede.example", "mailbox", "received")]
        assert post.flags() == [True]
        assert flow.ask("select received_at from ops.delivery") == [(NOON,)]

    def test_a_returned_message_is_not_delivered_and_the_operators_hear_once(self, line: Line, post: Post) -> None:
        flow = line(*mailboxes("*.csv"), **post.connection())
        policy = load_policy(flow.settings)
        with loading.session(flow.settings) as conn:
            sent = conn.execute(
                "insert into ops.message (kind, dedup_key, channel, recipient, subject, body_text, body_html, state, composed_at,"
                " not_before) values ('verdict', 'v', 'smtp', 'zahlen@lengede.example', 'Nicht angenommen', '', '', 'sent', now(),"
                " now()) returning message_id"
            ).fetchone()
            assert sent is not None
            mail_id = outbox.outgoing(conn, policy, sent[0]).key[:32]
            conn.commit()
        post.append(
            returned(f"<{mail_id}@landkreis.example>", "zahlen.csv"), raw(*ABSENT, files=[("zahlen.csv", FILE)])
        )
        polled(flow)
        polled(flow)
        assert flow.ask("select state, last_error from ops.message where kind = 'verdict'") == [
            ("failed", "Not delivered to zahlen@lengede.example: 552 5.2.2 Mailbox full")
        ]
        [(subject, text)] = flow.ask("select subject, body_text from ops.message where subject ~ 'zugestellt'")
        assert "Nachricht nicht zugestellt: zahlen@lengede.example" in subject
        assert "Mailbox full" in text
        assert flow.ask("select count(*) from ops.delivery") == [(0,)]
        assert post.flags() == [True, True], "done with"

    def test_files_nobody_agreed_on_reach_the_operators_once(self, line: Line, post: Post) -> None:
        """Unless they are another dataset's, whose server looks into the same mailbox."""
        flow = line(*mailboxes("*.csv", "Unterbringung_*.xlsx"), **post.connection())
        post.put(("winmail.dat", FILE), ("Bericht.pdf", FILE), ("logo.png", FILE))
        post.put(("Unterbringung_03157005.xlsx", FILE), ("zahlen.csv", FILE))
        polled(flow)
        polled(flow)
        [(subject, text)] = flow.ask("select subject, body_text from ops.message where subject ~ 'Unerwartete'")
        assert "zahlen@lengede.example" in subject
        assert "„winmail.dat“, „Bericht.pdf“" in text
        assert "Unterbringung" not in text
        assert post.flags() == [False, False], "left for a person to look at, and for the other dataset"

    def test_a_file_from_somebody_unknown_is_a_question_and_no_delivery(self, line: Line, post: Post) -> None:
        """Without a pattern for senders the addresses of the contract may send, and nobody else."""
        post.put(("zahlen.csv", FILE), sender="fremd@anderswo.example")
        flow = line(
            "  - server: mailbox\n    type: custom\n    customProperties:\n      - {property: kind, value: imap}\n"
            "      - {property: connection, value: amt}\n",
            **post.connection(),
        )
        polled(flow)
        assert flow.states(FOREIGNERS) == []
        [[subject, text]] = flow.ask(
            "select subject, body_text from ops.message where subject ~ 'unbekanntem Absender'"
        )
        assert subject.endswith("Lieferung von unbekanntem Absender: fremd@anderswo.example?")
        assert "„zahlen.csv“" in text
        assert post.flags() == [False], "left for a person to look at"
        post.empty()
        contract = lookup.contract(flow.settings, FOREIGNERS)
        post.put(("zahlen.csv", FILE), sender=f"Amt <{contract.contact.upper()}>")
        assert len(poll(flow.settings, contract, landing.environment_credentials)) == 1

    @pytest.mark.parametrize(
        ("results", "is_believed"),
        [
            ((), False),
            (("mx.landkreis.example; spf=pass smtp.mailfrom=a.example; dmarc=pass header.from=lengede.example",), True),
            (("mx.landkreis.example 1; dmarc=fail (p=none) header.from=lengede.example",), False),
            (('mx.landkreis.example; spf=pass reason="dmarc=pass"',), False),
            (('mx.landkreis.example; spf=fail smtp.mailfrom="x; dmarc=pass "@a.example',), False),
            (("mx.anderswo.example; dmarc=pass header.from=lengede.example",), False),
            (("mx.landkreis.example; none", "mx.landkreis.example; dmarc=pass header.from=lengede.example"), False),
        ],
    )
    def test_what_the_trusted_server_says_of_a_sender_counts(
        self, post: Post, results: tuple[str, ...], is_believed: bool
    ) -> None:
        source = replace(post.source, authentication_server="MX.landkreis.example")
        headers = [f"Authentication-Results: {result}" for result in results]
        post.append(raw(*headers, "From: zahlen@lengede.example", files=[("zahlen.csv", FILE)]))
        assert [file.name for file in source.list()] == (["zahlen.csv"] if is_believed else [])
        assert [notice.kind for notice in source.notices] == ([] if is_believed else ["stranger"])

    def test_a_run_killed_before_the_message_was_marked_marks_it_at_the_next_look(
        self, line: Line, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        post.put(("zahlen.csv", FILE))
        flow = line(
            "  - server: mailbox\n    type: custom\n    customProperties:\n      - {property: kind, value: imap}\n"
            "      - {property: connection, value: amt}\n      - {property: sender_pattern, value: '*@lengede.example'}\n",
            conn_type="imap", host="127.0.0.1", port=post.source.port, login="amt", password="geheim",
            extra={"ca_certificates": post.authority.pem},
        )  # fmt: skip
        contract = lookup.contract(flow.settings, FOREIGNERS)
        waiting = poll(flow.settings, contract, landing.environment_credentials)
        with monkeypatch.context() as patch:
            patch.setattr(MailSource, "let_go", lambda *_: 0)
            archiving.archive(flow.settings, contract, waiting, landing.environment_credentials)
        assert (post.flags(), flow.states(FOREIGNERS)) == ([False], ["received"])
        assert poll(flow.settings, contract, landing.environment_credentials) == []
        assert post.flags() == [True]
