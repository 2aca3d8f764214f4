"""Accounts as ``teilhabe account`` makes them, against the real REST interface, behind a real nginx with a certificate of its own.

One API server for all of it: no DAG runs here. The proxy speaks to it from 127.0.0.2, which alone is trusted, so that everybody
else on this machine is a stranger to it.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from teilhabe.airflow import accounts, metadata, processes
from teilhabe.airflow.configuration import component_environment
from teilhabe.airflow.rights import AUTOMATION, roles_for
from teilhabe.contract import lookup
from teilhabe.desk import protection
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.conftest import PROJECT
from tests.patience import within

SPORTS = "civic__sports_clubs"
PASSWORDS = {"sportbund": "ein-Kennwort-von-hier-1", "landkreis": "ein-Kennwort-von-hier-2"}
PROXY = "127.0.0.2"
PATIENCE = 90.0


@dataclass(frozen=True)
class Site:
    """An API server and the nginx before it."""

    settings: Settings
    direct: str
    public: str
    plain: str
    trust: ssl.SSLContext

    def client(self, source: str = "127.0.0.1", **options: Any) -> httpx.Client:
        """A browser's place: requests through nginx, from an address of this machine."""
        transport = httpx.HTTPTransport(verify=self.trust, local_address=source)
        return httpx.Client(base_url=self.public, transport=transport, timeout=PATIENCE, **options)

    def stranger(self, source: str) -> httpx.Client:
        """Somebody who reaches the API server itself."""
        return httpx.Client(base_url=self.direct, transport=httpx.HTTPTransport(local_address=source), timeout=PATIENCE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "teilhabe.pem", folder / "teilhabe.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    no_password = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password))
    return public, private


def nginx_configuration(folder: Path, port: int, plain: int, secure: int) -> Path:
    """The example, with this test's names, ports and places; nothing else of it is changed."""
    public, private = make_certificate(folder)
    site = (PROJECT / "deploy" / "nginx.conf").read_text()
    for old, new in (
        (r"    listen \[::\].*\n", ""),
        (r"listen 80;", f"listen 127.0.0.1:{plain};"),
        (r"listen 443 ", f"listen 127.0.0.1:{secure} "),
        (r"daten\.landkreis\.example;", "localhost;"),
        (r"/etc/ssl/certs/teilhabe\.pem", str(public)),
        (r"/etc/ssl/private/teilhabe\.key", str(private)),
        (r"proxy_pass http://127\.0\.0\.1:8080;", f"proxy_bind {PROXY}; proxy_pass http://127.0.0.1:{port};"),
    ):
        site, count = re.subn(old, new, site)
        assert count, f"the example has no {old}"
    (folder / "site.conf").write_text(site)
    places = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    main = folder / "nginx.conf"
    main.write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off;\n{places}\ninclude {folder}/site.conf; }}\n"
    )
    return main


@pytest.fixture(scope="module")
def site(with_airflow: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        pytest.skip("no nginx here (sh tests/tools.sh installs it)")
    folder = tmp_path_factory.mktemp("nginx")
    plain, secure = free_port(), free_port()
    settings = replace(with_airflow, public_url=f"https://localhost:{secure}", trusted_proxies=(PROXY,))
    port = processes.port(settings)
    environ = component_environment(settings)
    metadata.migrate(settings, environ)
    contracts = lookup.contracts(settings).values()
    accounts.add(
        settings, "sportbund", roles_for("office", [SPORTS], contracts), full_name="Sportbund", mail=None,
        password=PASSWORDS["sportbund"],
    )  # fmt: skip
    accounts.add(
        settings, "landkreis", roles_for("county", [], contracts), full_name="Koordinierungsstelle", mail=None,
        password=PASSWORDS["landkreis"],
    )  # fmt: skip
    configuration = nginx_configuration(folder, port, plain, secure)
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **options: Any) -> None:
        with (folder / f"{len(started)}.log").open("wb") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **options))

    try:
        component = processes.COMPONENTS["api-server"]
        start(sys.executable, "-m", "airflow", *component, env=environ, cwd=settings.airflow_home)
        start(program, "-e", str(folder / "error.log"), "-c", str(configuration))
        made = Site(
            settings,
            f"http://127.0.0.1:{port}",
            f"https://localhost:{secure}",
            f"http://127.0.0.1:{plain}",
            ssl.create_default_context(cafile=str(folder / "teilhabe.pem")),
        )
        within(180, lambda: answers(made))
        yield made
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def answers(site: Site) -> bool:
    try:
        with site.client() as client:
            return client.get("/api/v2/version").is_success
    except httpx.HTTPError:
        return False


def token(site: Site, account: str, password: str | None = None) -> dict[str, str]:
    with site.client("127.0.0.10") as client:
        answer = client.post("/auth/token", json={"username": account, "password": password or PASSWORDS[account]})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def sign_in(
    site: Site, account: str, source: str = "127.0.0.11", **options: Any
) -> tuple[httpx.Client, httpx.Response]:
    """As a browser: Airflow's own form."""
    client = site.client(source, headers={"Accept": "text/html"}, follow_redirects=True, **options)
    form = client.get("/auth/login/")
    csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form.text)
    assert csrf, form.text[:500]
    data = {"username": account, "password": PASSWORDS.get(account, "falsch"), "csrf_token": csrf[1]}
    return client, client.post("/auth/login/", data=data, headers={"Referer": str(form.url)})


def cookies(answers: list[httpx.Response]) -> dict[str, str]:
    """The last that was set of each name, with its attributes."""
    given = [line for answer in answers for line in answer.headers.get_list("set-cookie")]
    return {line.partition("=")[0]: line for line in given}


def post(site: Site, client: httpx.Client, path: str, form_on: str, **options: Any) -> httpx.Response:
    page = client.get(form_on)
    found = re.search(rf'name="{protection.TOKEN_FIELD}" value="([0-9a-f]{{64}})"', page.text)
    assert found, page.text[:500]
    data = {protection.TOKEN_FIELD: found[1], **options.pop("data", {})}
    return client.post(path, data=data, headers={"Origin": site.public, "Sec-Fetch-Site": "same-origin"}, **options)


def complaint(settings: Settings) -> int:
    with loading.session(settings) as conn:
        [[number]] = conn.execute(
            """
            insert into ops.incident (dataset_id, period_code, rule, severity, state, message, first_seen_at, last_seen_at)
            values (%s, '2024', 'value.negative', 'critical', 'open', 'Bitte berichtigen.', now(), now()) returning incident_id
            """,
            (SPORTS,),
        ).fetchall()
    return int(number)


# --------------------------------------------------------------------------------------------------------------- rights


def test_an_office_pauses_nothing_and_sees_nothing_of_airflow(site: Site) -> None:
    pause = f"/api/v2/dags/deliver__{SPORTS}"
    with site.client() as client:
        for account in PASSWORDS:
            refused = client.patch(pause, json={"is_paused": True}, headers=token(site, account))
            assert refused.status_code == 403, account
        office = token(site, "sportbund")
        for path in (
            "/api/v2/dags", pause, "/api/v2/dags/~/dagRuns", f"{pause}/dagRuns/r/taskInstances/deliver/logs/1",
            "/api/v2/connections", "/api/v2/variables", "/api/v2/eventLogs", "/api/v2/importErrors", "/auth/fab/v1/users",
        ):  # fmt: skip
            assert client.get(path, headers=office).status_code == 403, path
        assert client.post(f"{pause}/dagRuns", json={"logical_date": None}, headers=office).status_code == 403
        # The account of the first person may: it is asked which DAG it means, for none runs here.
        first = (site.settings.secrets / "airflow_admin.password").read_text().strip()
        allowed = client.patch(pause, json={"is_paused": True}, headers=token(site, "admin", first))
        assert allowed.status_code == 404


def test_an_office_hands_in_and_comments_and_the_county_waives(site: Site) -> None:
    incident = complaint(site.settings)
    page = f"/desk/incidents/{incident}"
    waiver = {"reason": "mit dem Amt besprochen", "until": (dt.date.today() + dt.timedelta(days=30)).isoformat()}
    office, _ = sign_in(site, "sportbund")
    with closing(office):
        file = {"file": ("vereine.csv", b"Verein;Mitglieder\n")}
        handed = post(
            site, office, "/desk/uploads", f"/desk/upload?dataset={SPORTS}", data={"dataset": SPORTS}, files=file
        )
        assert handed.status_code == 200 and "vereine.csv" in handed.text
        assert post(site, office, f"{page}/note", page, data={"text": "Wir fragen nach."}).status_code == 200
        assert post(site, office, f"{page}/waive", page, data=waiver).status_code == 403
    county, _ = sign_in(site, "landkreis")
    with closing(county):
        waived = post(site, county, f"{page}/waive", page, data=waiver)
    assert waived.status_code == 200 and "Die Ausnahme ist zugelassen." in waived.text
    with loading.session(site.settings) as conn:
        found = conn.execute(
            "select actor, action from ops.incident_event where incident_id = %s order by 1", (incident,)
        )
        assert found.fetchall() == [("landkreis", "waived"), ("sportbund", "noted")]


# ------------------------------------------------------------------------------------------------------ behind the proxy


def test_signing_in_leads_an_office_to_its_own_page_with_secure_cookies(site: Site) -> None:
    office, landed = sign_in(site, "sportbund")
    with closing(office):
        assert str(landed.url) == f"{site.public}/desk/" and "<h1>Abgeben</h1>" in landed.text
        way = [*landed.history, landed]
        assert {answer.url.scheme for answer in way} == {"https"}
        set_ = cookies(way)
        assert {"session", "_token", protection.COOKIE} <= set_.keys()
        for name in ("session", "_token", protection.COOKIE):
            assert "; secure" in set_[name].lower() and "; httponly" in set_[name].lower(), name
        assert "max-age=" in landed.headers["strict-transport-security"]
        # Airflow's own pages have nothing for it, whichever it asks for.
        for path in ("/", "/dags", f"/dags/deliver__{SPORTS}"):
            assert str(office.get(path).url) == f"{site.public}/desk/", path
    county, landed = sign_in(site, "landkreis")
    with closing(county):
        assert landed.url.path == "/" and "/desk" not in str(landed.url)


def test_the_way_back_after_signing_in_is_right_behind_the_proxy(site: Site) -> None:
    with site.client(headers={"Accept": "text/html"}) as stranger:
        page = stranger.get(f"/desk/upload?dataset={SPORTS}")
        assert page.status_code == 401
        link = re.search(r'href="([^"]+)">Zur Anmeldung', page.text)
        assert link and "http" not in link[1] and "next=%2Fdesk%2Fupload%3Fdataset" in link[1]
        form = stranger.get(link[1], follow_redirects=True)
    assert str(form.url).startswith(f"{site.public}/auth/login/?next=")
    assert httpx.get(f"{site.plain}/desk/", trust_env=False).headers["location"].startswith("https://")


def test_leaving_ends_the_session_for_good(site: Site) -> None:
    office, _ = sign_in(site, "sportbund")
    with closing(office):
        kept = office.cookies["_token"]
        left = post(site, office, "/desk/logout", "/desk/")
        assert left.url.path == "/auth/login/"
        assert office.get("/desk/").status_code == 401
        assert protection.COOKIE not in office.cookies and "_token" not in office.cookies
    with site.client() as thief:
        assert thief.get("/desk/", headers={"Authorization": f"Bearer {kept}"}).status_code == 401


def test_another_password_ends_every_session(site: Site) -> None:
    """Also at once for a thief's, when the account itself signs in anew; within half a minute where nobody does."""
    first, _ = sign_in(site, "landkreis", "127.0.0.13")
    with closing(first), site.client() as thief:
        kept = {"Authorization": f"Bearer {first.cookies['_token']}"}
        assert first.get("/desk/").status_code == thief.get("/desk/", headers=kept).status_code == 200
        accounts.set_password(site.settings, "landkreis", PASSWORDS["landkreis"])  # the same one is another one too
        again, page = sign_in(site, "landkreis", "127.0.0.14")
        with closing(again):
            assert page.status_code == again.get("/desk/").status_code == 200
            assert thief.get("/desk/", headers=kept).status_code == 401
            assert thief.get("/api/v2/dags", headers=kept).status_code in (401, 403)
            # The cookie of Airflow's form would bring a new token for as long as it is taken.
            assert first.get("/auth/login/").url.path == "/auth/login/" and first.get("/desk/").status_code == 401
            assert again.get("/desk/").status_code == 200


def guess(client: httpx.Client, number: int) -> int:
    return client.post(
        "/auth/token",
        json={"username": "sportbund", "password": f"falsch-{number}"},
        headers={"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"},
    ).status_code


def test_passwords_are_not_guessed_whatever_address_is_claimed(site: Site) -> None:
    with site.client("127.0.0.21") as through, site.stranger("127.0.0.22") as direct:
        for client in (through, direct):
            assert [guess(client, number) for number in range(7)] == [401] * 5 + [429] * 2
    # Others are not held up by that; nor is the right password by a few wrong ones.
    with site.client("127.0.0.23") as other:
        assert [guess(other, number) for number in range(3)] == [401] * 3
        right = {"username": "sportbund", "password": PASSWORDS["sportbund"]}
        assert other.post("/auth/token", json=right).status_code == 201


def test_the_form_counts_the_real_client_as_well(site: Site) -> None:
    codes = []
    for _ in range(6):
        client, answer = sign_in(site, "nobody", "127.0.0.24")
        codes.append(answer.status_code)
        client.close()
    assert codes[-1] == 429 and 429 not in codes[:4]
    client, answer = sign_in(site, "sportbund", "127.0.0.25")
    client.close()
    assert answer.url.path == "/desk/"


def test_the_proxy_itself_ends_a_flood(site: Site) -> None:
    with site.client("127.0.0.26") as flood:
        said = [flood.post("/auth/token/cli", json={}) for _ in range(20)]
    assert "nginx" in said[-1].text and said[-1].status_code == 429


def test_what_strangers_say_of_themselves_is_not_believed(site: Site) -> None:
    office = token(site, "sportbund")
    claims = {**office, "X-Forwarded-Proto": "https", "X-Forwarded-For": PROXY}
    with site.stranger("127.0.0.27") as stranger, site.client() as client:
        assert "secure" not in stranger.get("/desk/", headers=claims).headers["set-cookie"].lower()
        assert (
            "secure"
            in client.get("/desk/", headers={**office, "X-Forwarded-Proto": "http"}).headers["set-cookie"].lower()
        )
        assert client.get("/execution/health").status_code == 404


# -------------------------------------------------------------------------------------------------- what people have done


def hashes_of(settings: Settings) -> dict[str, tuple[str, bool]]:
    with connecting.connect("airflow", settings) as conn:
        rows = conn.execute("select username, password, active from ab_user").fetchall()
    return {name: (password, active) for name, password, active in rows}


def test_what_people_did_to_accounts_stays_over_the_next_start(site: Site) -> None:
    settings = site.settings
    accounts.set_password(settings, "admin", "ein-neues-Kennwort-3")
    accounts.set_active(settings, "sportbund", active=False)
    before = hashes_of(settings)
    assert not before["sportbund"][1] and AUTOMATION in before
    metadata.set_up(settings, component_environment(settings))  # what ``up`` does after an update
    assert hashes_of(settings) == before
    assert not (settings.secrets / "airflow_admin.password").exists()
    with site.client("127.0.0.28") as client:
        for account, password, code in (
            ("admin", "ein-neues-Kennwort-3", 201),
            ("sportbund", PASSWORDS["sportbund"], 401),
        ):
            answer = client.post("/auth/token", json={"username": account, "password": password})
            assert answer.status_code == code, account
