"""Sources against real servers on this machine: http.server, OpenSSH's sshd, an S3 server."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from teilhabe.errors import ContractError, SourceError, TeilhabeError
from teilhabe.landing import Archive, Credentials, ManifestEntry, settled
from teilhabe.landing.s3 import S3Source
from teilhabe.landing.sftp import SftpSource
from teilhabe.landing.web import WebSource

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
        login = Credentials("amt", "geheim", extra={"headers": {"X-Token": "geheim"}})
        self.source(site, f"/redirect/{elsewhere}/a.csv", credentials=login).list()
        (_, _, first), (_, path, second) = site.asked
        assert (first["Authorization"], first["X-Token"], path) == ("Basic YW10OmdlaGVpbQ==", "geheim", "/a.csv")
        assert not {"Authorization", "authorization", "X-Token", "x-token"} & set(second)

    def test_a_redirect_to_a_local_file_is_refused(self, site: Site) -> None:
        with pytest.raises(ContractError, match="only http and https"):
            self.source(site, "/redirect/file:///etc/passwd").list()

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
        path = kept.uri.removeprefix("s3://")
        before = store.info(path)["LastModified"], store.info(path)["ETag"]
        assert archive.put(tmp_path / "a.csv") == kept
        assert (store.info(path, refresh=True)["LastModified"], store.info(path)["ETag"]) == before
        store.pipe_file(path, BODY[:10])
        archive.put(tmp_path / "a.csv")
        assert store.cat_file(path) == BODY
        store.invalidate_cache()
        assert store.find("amt/archive/waiting") == []

    def test_the_usual_variables_are_enough(
        self, store: Any, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "amt")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
        (tmp_path / "a.csv").write_text("abc")
        kept = Archive("s3://amt/archive").put(tmp_path / "a.csv")
        assert store.cat_file(kept.uri) == b"abc"

    def test_a_missing_object_is_named(self, store: Any, login: Credentials, tmp_path: Path) -> None:
        with pytest.raises(TeilhabeError, match="has no object"):
            Archive("s3://amt/archive", login).local("0" * 64, tmp_path)

    def test_a_store_that_is_away_is_worth_another_try(self, tmp_path: Path) -> None:
        away = Credentials("amt", "geheim", extra={"endpoint_url": f"http://127.0.0.1:{free_port()}"})
        (tmp_path / "a.csv").write_text("x")
        with pytest.raises(SourceError, match="could not store"):
            Archive("s3://amt/archive", away).put(tmp_path / "a.csv")
