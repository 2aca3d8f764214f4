"""The desk without Airflow: a stand-in says who is asking, everything else is real - pages, rights, database, inbox, archive."""

from __future__ import annotations

import hashlib
import html
import io
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import psycopg
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from httpx import Response

from teilhabe import landing, ops
from teilhabe.contract import delivery_calendar, lookup
from teilhabe.contract.senders import sender_code
from teilhabe.desk import matrix, protection, queries
from teilhabe.desk.accounts import Account, Scope, senders_of_roles
from teilhabe.desk.app import create_app
from teilhabe.findings import list_contradictions
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings, secret
from tests.conftest import settings_for
from tests.flow import Flow

NOW = datetime(2026, 5, 20, 9, 0, tzinfo=UTC)
TODAY = date(2026, 5, 20)
HOUSING, UNEMPLOYED, SPORTS = (
    "housing__accommodation",
    "employment_agency__unemployed_municipal",
    "civic__sports_clubs",
)
LENGEDE, ILSEDE = "03157005", "03157009"
NASTY = "<script>alert(1)</script>\"'><img src=x>"


def everything(_: str) -> bool:
    return True


def nothing(_: str) -> bool:
    return False


ACCOUNTS = {
    "clerk": Account("clerk", everything, everything, everything, is_operator=True, may_decide=True),
    "colleague": Account("colleague", everything, everything, everything),
    "viewer": Account("viewer", everything, nothing, nothing),
    "unemployed": Account("unemployed", UNEMPLOYED.__eq__, UNEMPLOYED.__eq__, nothing),
    "sports": Account("sports", SPORTS.__eq__, SPORTS.__eq__, nothing),
    "lengede": Account("lengede", everything, everything, nothing, senders=frozenset({LENGEDE})),
    "nobody": Account("nobody", nothing, nothing, nothing),
}


def fake_sign_in(request: Request) -> Account:
    """Stands in for Airflow's authentication: the header says who it is."""
    if request.headers.get("x-fake-account") == "forged":
        raise HTTPException(403, "Invalid JWT token")
    account = ACCOUNTS.get(request.headers.get("x-fake-account", ""))
    if account is None:
        raise HTTPException(401, "Not authenticated")
    return account


@pytest.fixture(scope="module")
def settings(house: Settings) -> Settings:
    """A warehouse of this module's own: the desk reads what was committed."""
    given = house
    with loading.session(given) as conn:
        schema.install(conn)
        loading.ensure_raw_tables(conn, lookup.contracts(given).values())
        delivery_calendar.refresh(conn, lookup.contracts(given).values(), TODAY)
        conn.execute("update ops.follow_up set since = '2025-01-01'")
    return given


@pytest.fixture(autouse=True)
def clean(settings: Settings) -> Iterator[None]:
    yield
    with loading.session(settings) as conn:
        conn.execute(
            "truncate ops.delivery, ops.build, ops.incident, ops.message, ops.desk_act restart identity cascade"
        )
    for dataset in (HOUSING, UNEMPLOYED, SPORTS):
        for ticket in landing.FolderSource(landing.dataset_inbox(settings, dataset), "inbox").list():
            landing.FolderSource(landing.dataset_inbox(settings, dataset), "inbox").acknowledge(ticket)


@pytest.fixture
def conn(settings: Settings) -> Iterator[ops.Connection]:
    with connecting.connect("loader", settings, autocommit=True) as connection:
        yield connection


@pytest.fixture
def started() -> list[tuple[str, str]]:
    """Which checks were started, by whom."""
    return []


@pytest.fixture
def app(settings: Settings, started: list[tuple[str, str]]) -> FastAPI:
    async def start_check(account: Account, dataset_id: str) -> bool:
        started.append((account.name, dataset_id))
        return True

    return create_app(settings, fake_sign_in, start_check=start_check, clock=lambda: NOW)


def client_of(app: FastAPI, account: str | None) -> TestClient:
    headers = {"x-fake-account": account} if account else {}
    return TestClient(app, headers=headers, follow_redirects=False)


@pytest.fixture
def clerk(app: FastAPI) -> TestClient:
    return client_of(app, "clerk")


def arrive(
    conn: ops.Connection,
    dataset: str,
    period: str | None,
    on: str,
    *,
    state: str = "loaded",
    sender: str | None = None,
    name: str = "zahlen.csv",
    severity: str | None = None,
    message: str = "Zeile 12: gefunden „-4“, erwartet eine Zahl ab 0.",
    rule: str = "value.negative",
) -> int:
    """A delivery as the pipeline leaves it, with a finding where ``severity`` says so."""
    [number] = conn.execute(
        """
        insert into ops.delivery (dataset_id, file_name, sha256, size_bytes, received_at, source, archive_uri, manifest_uri, state,
            periods, sender_code, row_count, layout)
        values (%s, %s, %s, 2048, %s, 'inbox', 'x', %s, %s, %s, %s, 120, 'Standard') returning delivery_id
        """,
        (
            dataset, name, hashlib.sha256(uuid.uuid4().bytes).hexdigest(), datetime.fromisoformat(on).replace(hour=8, tzinfo=UTC),
            uuid.uuid4().hex, state, [period] if period else None, sender,
        ),
    ).fetchone() or [0]  # fmt: skip
    if severity:
        [finding] = conn.execute(
            """
            insert into ops.finding (delivery_id, severity, rule, message, row_number, column_name, found, expected, row_count)
            values (%s, %s, %s, %s, 12, 'Anzahl', '-4', 'eine Zahl ab 0', 3) returning finding_id
            """,
            (number, severity, rule, message),
        ).fetchone() or [0]
        for position, found in enumerate(("-4", " =cmd|' /c calc'!A1", "+49")):
            conn.execute(
                "insert into ops.evidence values (%s, %s, %s, 'Anzahl', %s)", (finding, position, 12 + position, found)
            )
    return int(number)


def complain(
    conn: ops.Connection, dataset: str, period: str | None, *, delivery: int | None = None, sender: str | None = None,
    state: str = "open", rule: str = "value.negative", severity: str = "critical", message: str = "Bitte berichtigen.",
) -> int:  # fmt: skip
    waived = (None, None, None) if state != "waived" else ("clerk", "bekannt", date(2026, 6, 30))
    [number] = conn.execute(
        """
        insert into ops.incident (dataset_id, sender_code, period_code, rule, severity, state, message, first_seen_at, last_seen_at,
            delivery_id, due_on, waived_by, waived_reason, waived_until, closed_at)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '2026-06-01', %s, %s, %s, %s) returning incident_id
        """,
        (dataset, sender, period, rule, severity, state, message, NOW, NOW, delivery, *waived, NOW if state == "fixed" else None),
    ).fetchone() or [0]  # fmt: skip
    return int(number)


def ask(conn: ops.Connection, delivery: int, *, expires: str = "2026-05-22", run: str | None = "manual__1+2") -> None:
    """Somebody has to be asked about a delivery."""
    conn.execute("update ops.delivery set state = 'validated' where delivery_id = %s", (delivery,))
    conn.execute(
        "insert into ops.approval (delivery_id, asked_at, expires_at, run_id) values (%s, %s, %s, %s)",
        (delivery, NOW, datetime.fromisoformat(f"{expires}T08:00:00+00:00"), run),
    )


def write(
    conn: ops.Connection,
    dataset: str | None,
    *,
    kind: str = "verdict",
    sender: str | None = None,
    text: str = "Guten Tag",
) -> int:
    [number] = conn.execute(
        """
        insert into ops.message (kind, dedup_key, dataset_id, sender_code, channel, recipient, subject, body_text, body_html, composed_at,
            not_before)
        values (%s, %s, %s, %s, 'smtp', 'amt@stelle.example', %s, %s, '<b>nie gezeigt</b>', %s, %s) returning message_id
        """,
        (kind, uuid.uuid4().hex, dataset, sender, f"Betreff {text}", text, NOW, NOW),
    ).fetchone() or [0]
    return int(number)


def token_in(page: Response) -> str:
    found = re.search(rf'name="{protection.TOKEN_FIELD}" value="([0-9a-f]{{64}})"', page.text)
    assert found, page.text[:400]
    return found[1]


def post(client: TestClient, path: str, form_on: str, files: Any = None, **fields: str) -> Response:
    """Fill in the form that ``form_on`` shows, as a browser would."""
    data = {protection.TOKEN_FIELD: token_in(client.get(form_on)), **fields}
    origin = {"origin": "http://testserver", "sec-fetch-site": "same-origin"}
    return client.post(path, data=data, files=files, headers=origin)


def marks(page: Response) -> dict[str, str]:
    """What the matrix says of each cell with a link or a text: ``März 2026`` -> ``geliefert``."""
    return dict(
        re.findall(r'class="mark"[^>]* title="([^":]+): ([^"(]+?)(?: \(Termin [\d.]+\))?"', html.unescape(page.text))
    )


def board(client: TestClient) -> Response:
    """The matrix of the office whose only monthly dataset is ``UNEMPLOYED``."""
    return client.get("/", params={"office": "Bundesagentur für Arbeit, Statistik"})


# ------------------------------------------------------------------------------------------------------------- strangers


def test_a_stranger_gets_401_on_every_route_and_method(app: FastAPI) -> None:
    stranger = client_of(app, None)
    seen = 0
    for route in app.routes:
        path = re.sub(r"\{[^}]*\}", "1", route.path)  # type: ignore[attr-defined]
        for method in route.methods:  # type: ignore[attr-defined]
            answer = stranger.request(method, path)
            assert answer.status_code == 401, (method, path)
            assert "set-cookie" not in answer.headers
            seen += 1
    assert seen > 20
    for path in (
        "/static/desk.css",
        "/static/desk.js",
        "/static/icon.svg",
        "/static/../app.py",
        "/docs",
        "/openapi.json",
    ):
        assert stranger.get(path).status_code == 401, path


def test_a_stranger_is_told_where_to_sign_in_and_comes_back(app: FastAPI) -> None:
    page = client_of(app, None).get("/incidents/7?done=x")
    assert "/api/v2/auth/login?next=%2Fincidents%2F7%3Fdone%3Dx" in page.text


def test_a_cookie_that_is_no_good_leads_to_the_login(app: FastAPI) -> None:
    for method, path in (("GET", "/"), ("POST", "/uploads"), ("GET", "/nothing")):
        answer = client_of(app, "forged").request(method, path)
        assert answer.status_code == 401 and "Zur Anmeldung" in answer.text and "JWT" not in answer.text


def test_a_strangers_upload_is_refused_before_its_bytes_are_kept(app: FastAPI) -> None:
    answer = client_of(app, None).post("/uploads", files={"file": ("a.csv", b"x" * 100_000)})
    assert answer.status_code == 401


def test_every_answer_carries_the_security_headers(app: FastAPI, clerk: TestClient) -> None:
    for answer in (clerk.get("/"), clerk.get("/nothing"), clerk.get("/static/desk.css"), client_of(app, None).get("/")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy and "unsafe" not in policy


def test_no_page_carries_inline_code_or_names_another_host(conn: ops.Connection, clerk: TestClient) -> None:
    delivery = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-20", state="quarantined", severity="critical")
    incident = complain(conn, UNEMPLOYED, "2026-03", delivery=delivery)
    message = write(conn, UNEMPLOYED)
    for path in (
        "/", "/deliveries", f"/deliveries/{delivery}", "/incidents", f"/incidents/{incident}", "/messages",
        f"/messages/{message}", "/due", "/scorecards", "/contradictions", "/upload", f"/upload?dataset={HOUSING}",
    ):  # fmt: skip
        page = clerk.get(path)
        assert page.status_code == 200, path
        assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|javascript:", page.text), path
        assert not re.search(r'(?:href|src|action)="(?:https?:)?//', page.text), path


def test_the_page_of_contradictions_tells_those_of_official_lists(
    clerk: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Amtliche Änderungslisten" not in clerk.get("/contradictions").text
    found = list_contradictions.ListContradiction(
        territory_code="12068117", territory_name="Fehrbellin", effective_date=date(2024, 1, 1),
        reason="not_as_in_register", other_code=None, delivery_id=12, file_name="2024.xlsx", change_ids=None,
        listed_population=0, moved_population=0, listed_area_m2=None, moved_area_m2=None,
        register_date=date(2023, 12, 31), register_population=9_123, register_area_m2=None,
    )  # fmt: skip
    monkeypatch.setattr(list_contradictions, "found", lambda settings: [found])
    page = " ".join(clerk.get("/contradictions").text.split())
    assert "Fehrbellin (12068117)" in page and "die Änderungsliste „2024.xlsx“ (Lieferung 12)" in page
    assert "die Teile ergeben 0 Einwohner, das Gemeindeverzeichnis vom 31.12.2023 hat 9.123 Einwohner." in page


# ---------------------------------------------------------------------------------------------------------------- matrix


def test_every_state_a_cell_can_have(conn: ops.Connection, clerk: TestClient) -> None:
    arrive(conn, UNEMPLOYED, "2025-10", "2025-11-20")
    arrive(conn, UNEMPLOYED, "2025-11", "2026-03-20")  # after grace
    arrive(conn, UNEMPLOYED, "2025-12", "2026-01-10", severity="warning")
    arrive(conn, UNEMPLOYED, "2026-01", "2026-02-10", state="quarantined", severity="critical")
    shown = marks(board(clerk))
    assert shown["Oktober 2025"] == "geliefert"
    assert shown["November 2025"] == "verspätet geliefert"
    assert shown["Dezember 2025"] == "geliefert, mit Warnung"
    assert shown["Januar 2026"] == "zurückgewiesen"
    assert shown["Februar 2026"] == "überfällig"
    assert shown["Mai 2026"] == "noch nicht fällig"


def test_due_between_the_due_date_and_the_end_of_grace(settings: Settings, conn: ops.Connection) -> None:
    contract = lookup.contracts(settings)[UNEMPLOYED]
    [[due_on, grace_until]] = conn.execute(
        "select due_on, grace_until from ops.delivery_calendar where dataset_id = %s and period_code = '2026-03'",
        (UNEMPLOYED,),
    ).fetchall()
    scope = Scope([UNEMPLOYED], None, operators=False)

    def state(day: date) -> str:
        cells = queries.matrix(conn, scope, matrix.windows([contract], TODAY), day)
        return next(cell.state for cell in cells if cell.period_code == "2026-03")

    assert due_on < grace_until
    assert [state(day) for day in (due_on, grace_until)] == ["due", "due"]


def test_what_somebody_decides_about_does_not_look_stuck(conn: ops.Connection, app: FastAPI, clerk: TestClient) -> None:
    number = arrive(conn, UNEMPLOYED, "2026-01", "2026-02-10", severity="warning")
    ask(conn, number)
    page = board(clerk)
    assert marks(page)["Januar 2026"] == "wartet auf Entscheidung" and f'href="/deliveries/{number}"' in page.text
    assert "Arbeitslose" in clerk.get("/", params={"state": "asked"}).text
    for listing in ("/deliveries", "/deliveries?state=asked"):
        assert f'href="/deliveries/{number}"' in clerk.get(listing).text
        assert clerk.get(listing).text.count("</svg>wartet auf Entscheidung") == 1
    assert f'href="/deliveries/{number}"' not in clerk.get("/deliveries?state=validated").text

    story = clerk.get(f"/deliveries/{number}").text
    assert "Wartet auf Entscheidung" in story and "22.05.2026, 10:00 Uhr (MESZ)</time> übernommen" in story
    assert 'href="/../dags/approvals/runs/manual__1%2B2/required_actions?response_received=false"' in story
    assert "In Airflow" not in client_of(app, "colleague").get(f"/deliveries/{number}").text
    conn.execute("update ops.approval set run_id = null")
    assert "in wenigen Minuten" in clerk.get(f"/deliveries/{number}").text
    conn.execute("update ops.approval set expires_at = %s", (NOW,))
    assert "Die Frist endete" in clerk.get(f"/deliveries/{number}").text
    assert "teilhabe_oldest_unjudged_delivery_seconds 0.0" in clerk.get("/metrics").text


@pytest.mark.parametrize(
    ("answer", "by", "state", "said", "mark"),
    [
        ("publish", "eva", "loaded", "Übernahme zugestimmt von eva", "geliefert, mit Warnung"),
        ("publish", "teilhabe", "loaded", "Ohne Antwort bis zum Ende der Frist übernommen", "geliefert, mit Warnung"),
        ("refuse", "eva", "quarantined", "Übernahme abgelehnt von eva", "geliefert"),
    ],
)
def test_what_was_decided_and_by_whom(
    conn: ops.Connection, app: FastAPI, clerk: TestClient, answer: str, by: str, state: str, said: str, mark: str
) -> None:
    number = arrive(conn, UNEMPLOYED, "2026-01", "2026-02-12", severity="warning")
    ask(conn, number)
    conn.execute("update ops.approval set answer = %s, answered_by = %s, answered_at = %s", (answer, by, NOW))
    assert "geprüft, wird geladen" in clerk.get(f"/deliveries/{number}").text
    conn.execute("update ops.delivery set state = %s", (state,))
    if state == "quarantined":
        arrive(conn, UNEMPLOYED, "2026-01", "2026-02-13")
    story = clerk.get(f"/deliveries/{number}").text
    # Who decided is the county's own affair.
    offices = client_of(app, "unemployed").get(f"/deliveries/{number}").text
    assert said.removesuffix(" von eva") in offices and "eva" not in offices
    assert said in story and "20.05.2026, 11:00" in story and "Wartet auf" not in story
    assert marks(board(clerk))["Januar 2026"] == mark


def test_a_correction_that_waits_shows_until_a_later_file_is_judged(conn: ops.Connection, clerk: TestClient) -> None:
    arrive(conn, UNEMPLOYED, "2026-01", "2026-02-10", state="quarantined", severity="critical")
    ask(conn, arrive(conn, UNEMPLOYED, "2026-01", "2026-02-11", severity="warning"))
    assert marks(board(clerk))["Januar 2026"] == "wartet auf Entscheidung"
    arrive(conn, UNEMPLOYED, "2026-01", "2026-02-12")
    assert marks(board(clerk))["Januar 2026"] == "geliefert"


def test_a_correction_turns_the_cell_green_and_a_refused_correction_red(
    conn: ops.Connection, clerk: TestClient
) -> None:
    arrive(conn, UNEMPLOYED, "2026-01", "2026-02-10", state="quarantined", severity="critical")
    assert marks(board(clerk))["Januar 2026"] == "zurückgewiesen"
    good = arrive(conn, UNEMPLOYED, "2026-01", "2026-02-11")
    page = board(clerk)
    assert marks(page)["Januar 2026"] == "geliefert" and f'href="/deliveries/{good}"' in page.text
    bad = arrive(conn, UNEMPLOYED, "2026-01", "2026-02-12", state="quarantined", severity="critical")
    page = board(clerk)
    assert marks(page)["Januar 2026"] == "zurückgewiesen" and f'href="/deliveries/{bad}"' in page.text


def test_what_was_waived_is_no_warning_any_more(conn: ops.Connection, clerk: TestClient) -> None:
    delivery = arrive(conn, UNEMPLOYED, "2025-12", "2026-01-10", severity="warning")
    complain(conn, UNEMPLOYED, "2025-12", delivery=delivery, state="waived", severity="warning")
    assert marks(board(clerk))["Dezember 2025"] == "geliefert"


def test_one_file_of_several_periods_fills_them_all(conn: ops.Connection, clerk: TestClient) -> None:
    number = arrive(conn, UNEMPLOYED, "2026-01", "2026-02-10")
    conn.execute("update ops.delivery set periods = '{2026-01,2026-02}' where delivery_id = %s", (number,))
    shown = marks(board(clerk))
    assert shown["Januar 2026"] == shown["Februar 2026"] == "geliefert"


def test_each_municipality_has_a_line_of_its_own(conn: ops.Connection, clerk: TestClient) -> None:
    arrive(conn, HOUSING, "2026-03", "2026-04-08", sender=LENGEDE)
    office = "Landkreis Peine, Fachdienst Soziales (Meldungen der Gemeinden)"
    text = html.unescape(clerk.get("/", params={"office": office}).text)
    assert "Lengede, März 2026: geliefert" in text
    assert "Ilsede" in text and "Ilsede, März 2026: geliefert" not in text


def test_a_state_narrows_the_rows_but_not_the_counts(conn: ops.Connection, clerk: TestClient) -> None:
    arrive(conn, UNEMPLOYED, "2026-01", "2026-02-10", state="quarantined", severity="critical")
    text = clerk.get("/", params={"state": "refused"}).text
    assert "Arbeitslose der Gemeinden" in text and "Unterbringungsmeldung" not in text
    assert clerk.get("/", params={"state": "nonsense", "office": "x"}).status_code == 200


def test_nobody_is_blamed_for_what_was_due_before_the_installation(conn: ops.Connection, clerk: TestClient) -> None:
    conn.execute("update ops.follow_up set since = '2026-03-15'")
    try:
        shown, due = marks(board(clerk)), clerk.get("/due").text
    finally:
        conn.execute("update ops.follow_up set since = '2025-01-01'")
    assert shown["Dezember 2025"] == "vor Beginn der Begleitung" and shown["Februar 2026"] == "überfällig"
    dates = [datetime.strptime(day, "%d.%m.%Y").date() for day in re.findall(r'card-state">([\d.]{10})<', due)]
    assert dates and min(dates) >= date(2026, 3, 15)


def test_a_missing_period_leads_to_its_incident(conn: ops.Connection, clerk: TestClient) -> None:
    number = complain(conn, UNEMPLOYED, "2026-02", rule="calendar.overdue")
    assert f'href="/incidents/{number}" title="Februar 2026: überfällig' in clerk.get("/").text


@pytest.mark.parametrize("more", [False, True])
def test_the_columns_end_with_the_running_period(settings: Settings, more: bool) -> None:
    for window in matrix.windows(lookup.contracts(settings).values(), TODAY, more=more):
        assert window.since < TODAY <= window.until


# --------------------------------------------------------------------------------------------------------------- rights

ACTS = ("/incidents/{incident}/acknowledge", "/incidents/{incident}/waive", "/incidents/{incident}/note", "/uploads")


def test_a_viewer_looks_but_does_not_act(settings: Settings, conn: ops.Connection, app: FastAPI) -> None:
    delivery = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-20", state="quarantined", severity="critical")
    incident = complain(conn, UNEMPLOYED, "2026-03", delivery=delivery)
    viewer = client_of(app, "viewer")
    for path in ("/", f"/deliveries/{delivery}", f"/incidents/{incident}", f"/deliveries/{delivery}/findings.csv"):
        page = viewer.get(path)
        forms = re.findall(r'method="post" action="([^"]*)"', page.text)
        assert page.status_code == 200 and set(forms) <= {"/logout"}
    assert viewer.get(f"/deliveries/{delivery}/original").status_code == 403
    session = "x" * 43
    viewer.cookies.set(protection.COOKIE, session)
    valid = protection.token(secret(settings, "desk_csrf.key"), session, ACCOUNTS["viewer"])
    for path in ACTS:
        data = {protection.TOKEN_FIELD: valid, "text": "x", "reason": "x", "until": "2026-06-01", "dataset": UNEMPLOYED}
        answer = viewer.post(path.format(incident=incident), data=data, files={"file": ("a.csv", b"x")})
        assert answer.status_code == 403 and "darf hier lesen" in answer.text, path
    assert conn.execute("select state from ops.incident").fetchall() == [("open",)]
    assert conn.execute("select count(*) from ops.desk_act").fetchone() == (0,)


def test_an_office_sees_its_own_datasets_only(conn: ops.Connection, app: FastAPI) -> None:
    other = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-20", severity="warning")
    incident, message = complain(conn, UNEMPLOYED, "2026-03"), write(conn, UNEMPLOYED)
    own = arrive(conn, SPORTS, "2025", "2026-02-01")
    office = client_of(app, "sports")
    assert office.get(f"/deliveries/{own}").status_code == 200
    for path in (
        f"/deliveries/{other}", f"/deliveries/{other}/findings.csv", f"/deliveries/{other}/original", f"/incidents/{incident}",
        f"/messages/{message}",
    ):  # fmt: skip
        assert office.get(path).status_code == 404, path
    for path in ("/", "/overview", "/deliveries", "/incidents?state=all", "/messages", "/due", "/upload"):
        text = office.get(path).text
        assert "Arbeitslose" not in text and "Jobcenter" not in text, path
    assert office.get("/metrics").status_code == 403
    assert client_of(app, "nobody").get("/").status_code == 200


def test_a_municipality_sees_what_it_sent_and_owes(conn: ops.Connection, app: FastAPI) -> None:
    own, others = (arrive(conn, HOUSING, "2026-03", "2026-04-08", sender=code) for code in (LENGEDE, ILSEDE))
    offices = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-20")
    mine, theirs = (complain(conn, HOUSING, "2026-03", sender=code) for code in (LENGEDE, ILSEDE))
    lengede = client_of(app, "lengede")
    answers = {n: lengede.get(f"/deliveries/{n}").status_code for n in (own, others, offices)}
    assert answers == {own: 200, others: 404, offices: 404}
    assert [lengede.get(f"/incidents/{n}").status_code for n in (mine, theirs)] == [200, 404]
    for path in ("/", "/overview", "/deliveries", "/incidents", "/due", f"/upload?dataset={HOUSING}"):
        text = lengede.get(path).text
        assert "Ilsede" not in text and "Arbeitslose der Gemeinden" not in text, path
    assert lengede.get("/metrics").status_code == 403
    refused = post(
        lengede,
        "/uploads",
        f"/upload?dataset={HOUSING}",
        dataset=HOUSING,
        sender=ILSEDE,
        files={"file": ("a.csv", b"x")},
    )
    assert refused.status_code == 403
    accepted = post(lengede, "/uploads", f"/upload?dataset={HOUSING}", dataset=HOUSING, files={"file": ("a.csv", b"x")})
    assert accepted.status_code == 303
    assert conn.execute("select sender_code from ops.desk_act").fetchall() == [(LENGEDE,)]


def test_secret_numbers_are_for_those_who_may_take_out_the_file(
    settings: Settings, conn: ops.Connection, app: FastAPI, clerk: TestClient
) -> None:
    assert lookup.contracts(settings)[UNEMPLOYED].secrecy_method.startswith("min3")
    said = "Zeile 12: gefunden „2“, erwartet eine Zahl ab 0."
    number = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-20", state="quarantined", severity="critical", message=said)
    conn.execute("update ops.evidence set found = '2' where position = 0")
    incident = complain(conn, UNEMPLOYED, "2026-03", delivery=number, message=said)
    for path in (f"/deliveries/{number}", f"/incidents/{incident}", "/incidents", f"/deliveries/{number}/findings.csv"):
        read, edited = (client.get(path).content.decode("utf-8-sig") for client in (client_of(app, "viewer"), clerk))
        assert "„2“" in edited and "„2“" not in read and "„[geheim]“" in read, path
        assert ">2</td>" not in read and ";2;" not in read, path


def test_the_name_of_a_file_about_persons_is_for_those_who_may_take_it_out(
    conn: ops.Connection, app: FastAPI, clerk: TestClient
) -> None:
    name = "Muster_Max.xlsx"
    said = f"Datei „{name}“: Die Datei enthält Angaben zu einzelnen Personen (Geburtsdaten)."
    number = arrive(
        conn, UNEMPLOYED, "2026-03", "2026-04-20", state="quarantined", severity="critical", message=said, name=name,
        rule="file.person_level",
    )  # fmt: skip
    incident = complain(conn, UNEMPLOYED, "2026-03", delivery=number, message=said, rule="file.person_level")
    other = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-21")
    paths = ("/deliveries", f"/deliveries/{number}", f"/deliveries/{other}", f"/incidents/{incident}", "/incidents",
             f"/deliveries/{number}/findings.csv")  # fmt: skip
    for path in paths:
        read, edited = (client.get(path).text for client in (client_of(app, "viewer"), clerk))
        assert "Muster" in edited and "Muster" not in read, path


def test_a_file_of_a_municipality_is_its_own_whoever_shares_its_address(settings: Settings, app: FastAPI) -> None:
    lengede = client_of(app, "lengede")
    post(lengede, "/uploads", f"/upload?dataset={HOUSING}", dataset=HOUSING, files={"file": ("a.csv", b"x")})
    [ticket] = landing.FolderSource(landing.dataset_inbox(settings, HOUSING), "inbox").list()
    contract = lookup.contracts(settings)[HOUSING]
    shared = [one.model_copy(update={"contact": "kasse@gemeinden.example"}) for one in reversed(contract.senders)]
    one_address = contract.model_copy(update={"senders": shared})
    assert sender_code(one_address, ticket.sender, None, ticket.name) == LENGEDE


def test_messages_to_the_data_engineers_are_not_for_offices(conn: ops.Connection, app: FastAPI) -> None:
    number = write(conn, None, kind="operators", text="Platte voll")
    assert client_of(app, "clerk").get(f"/messages/{number}").status_code == 200
    for account in ("colleague", "viewer", "lengede"):
        reader = client_of(app, account)
        assert reader.get(f"/messages/{number}").status_code == 404
        assert "Platte voll" not in reader.get("/messages").text


def test_roles_of_municipalities() -> None:
    assert senders_of_roles(["Viewer", "sender_03157005", "sender_03157009"]) == {LENGEDE, ILSEDE}
    assert senders_of_roles(["User"]) == frozenset()


# ----------------------------------------------------------------------------------------------------------------- csrf


def test_what_another_page_sends_is_refused(conn: ops.Connection, app: FastAPI, clerk: TestClient) -> None:
    number = complain(conn, UNEMPLOYED, "2026-03")
    form, target = f"/incidents/{number}", f"/incidents/{number}/acknowledge"
    valid = token_in(clerk.get(form))
    name = protection.TOKEN_FIELD
    colleague = client_of(app, "colleague")
    colleague.cookies = clerk.cookies
    for client, headers, data in (
        (clerk, {"sec-fetch-site": "cross-site"}, {name: valid}),
        (clerk, {"sec-fetch-site": "same-site"}, {name: valid}),
        (clerk, {"origin": "https://boese.example"}, {name: valid}),
        (clerk, {"origin": "null"}, {name: valid}),
        (clerk, {}, {}),
        (clerk, {}, {name: "0" * 64}),
        (clerk, {}, {name: "ü"}),
        (colleague, {}, {name: valid}),
        (client_of(app, "clerk"), {}, {name: valid}),
    ):
        assert client.post(target, data=data, headers=headers).status_code == 403, (headers, data)
    assert conn.execute("select state from ops.incident").fetchall() == [("open",)]
    assert clerk.post(target, data={name: valid}, headers={"origin": "http://testserver"}).status_code == 303


def test_a_proxys_own_address_counts_as_this_origin(settings: Settings, conn: ops.Connection) -> None:
    app = create_app(settings, fake_sign_in, origins=["https://daten.kreis.example"], clock=lambda: NOW)
    clerk = client_of(app, "clerk")
    number = complain(conn, UNEMPLOYED, "2026-03")
    data = {protection.TOKEN_FIELD: token_in(clerk.get(f"/incidents/{number}"))}
    headers = {"origin": "https://daten.kreis.example", "sec-fetch-site": "same-origin"}
    assert clerk.post(f"/incidents/{number}/acknowledge", data=data, headers=headers).status_code == 303


def test_nobody_is_judge_in_its_own_cause(settings: Settings, conn: ops.Connection, app: FastAPI) -> None:
    incidents = {
        "unemployed": complain(conn, UNEMPLOYED, "2026-03"),
        "lengede": complain(conn, HOUSING, "2026-03", sender=LENGEDE),
    }
    for account, incident in incidents.items():
        office, page = client_of(app, account), f"/incidents/{incident}"
        shown = office.get(page).text
        assert f"{page}/note" in shown and f"{page}/acknowledge" in shown and f"{page}/waive" not in shown
        refused = post(office, f"{page}/waive", page, reason="passt schon", until="2026-06-01")
        assert refused.status_code == 403 and "Ausnahmen lässt die Koordinierungsstelle zu" in refused.text
        assert post(office, f"{page}/note", page, text="Wir fragen nach.").status_code == 303
        assert post(office, f"{page}/acknowledge", page).status_code == 303
    assert {state for (state,) in conn.execute("select state from ops.incident")} == {"acknowledged"}


def test_who_waives_and_may_not_hand_in_acts_on_nothing(conn: ops.Connection, app: FastAPI) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ACCOUNTS, "odd", Account("odd", everything, nothing, everything, may_decide=True))
        assert post(client_of(app, "odd"), "/incidents/1/waive", "/").status_code == 403


# -------------------------------------------------------------------------------------------------- an office's first page


def test_an_office_begins_with_what_it_has_to_do(conn: ops.Connection, app: FastAPI, clerk: TestClient) -> None:
    complain(conn, HOUSING, "2026-03", sender=LENGEDE)
    lengede = client_of(app, "lengede")
    text = html.unescape(lengede.get("/").text)
    assert "<h1>Abgeben</h1>" in text and "1 offene Beanstandung<" in text
    assert f"/upload?dataset={HOUSING}&sender={LENGEDE}&period=2026-04" in text and "April 2026" in text
    assert f"/forms/{HOUSING}?sender={LENGEDE}" in text
    assert "Arbeitslose" not in text and 'aria-current="page">Abgeben' in text
    assert "<h1>Was ist da, was fehlt?</h1>" in lengede.get("/overview").text
    for account in ("clerk", "viewer"):
        assert "<h1>Was ist da, was fehlt?</h1>" in client_of(app, account).get("/").text
    # What arrived is no longer due.
    arrive(conn, HOUSING, "2026-04", "2026-05-08", sender=LENGEDE)
    assert "&period=2026-04" not in html.unescape(lengede.get("/").text)


def test_an_office_gets_its_form_filled_in(app: FastAPI) -> None:
    lengede = client_of(app, "lengede")
    answer = lengede.get(f"/forms/{HOUSING}", params={"sender": LENGEDE})
    assert answer.status_code == 200
    assert f'filename="Formular_accommodation_{LENGEDE}.xlsx"' in answer.headers["content-disposition"]
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    cells = {str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row}
    assert any("Lengede" in cell for cell in cells)
    for account, path in (
        ("lengede", f"/forms/{HOUSING}?sender={ILSEDE}"),
        ("lengede", f"/forms/{UNEMPLOYED}"),
        ("viewer", f"/forms/{HOUSING}"),
        ("sports", f"/forms/{HOUSING}"),
        ("unemployed", f"/forms/{UNEMPLOYED}"),  # its files come from a system
    ):
        assert client_of(app, account).get(path).status_code == 404, (account, path)


def test_leaving_takes_the_form_of_this_page(clerk: TestClient) -> None:
    assert clerk.post("/logout", data={}).status_code == 403
    away = post(clerk, "/logout", "/")
    assert away.status_code == 303 and away.headers["location"] == "/api/v2/auth/logout"
    assert f'{protection.COOKIE}=""' in away.headers["set-cookie"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ACCOUNTS, "away", Account("away", nothing, nothing, nothing, works_in_airflow=False))
        page = client_of(clerk.app, "away").get("/")  # type: ignore[arg-type]
    assert "Abmelden" in page.text and ">Airflow<" not in page.text


# ------------------------------------------------------------------------------------------------------------ incidents


def test_acknowledge_note_and_waive_are_history_with_a_name(conn: ops.Connection, clerk: TestClient) -> None:
    number = complain(conn, UNEMPLOYED, "2026-03")
    page = f"/incidents/{number}"
    assert post(clerk, f"{page}/acknowledge", page, note="rufe an").headers["location"] == f"{page}?done=acknowledged"
    assert post(clerk, f"{page}/note", page, text=NASTY).status_code == 303
    assert post(clerk, f"{page}/waive", page, reason="Sonderfall", until="2026-06-30").status_code == 303
    events = conn.execute("select actor, action, to_state, note from ops.incident_event order by event_id").fetchall()
    assert events == [
        ("clerk", "acknowledged", "acknowledged", "rufe an"),
        ("clerk", "noted", "acknowledged", NASTY),
        ("clerk", "waived", "waived", events[2][3]),
    ]
    assert "Sonderfall" in events[2][3]
    text = clerk.get(f"{page}?done=waived").text
    assert "Die Ausnahme ist zugelassen." in text and "Ausnahme bis 30.06.2026" in text
    assert NASTY not in text and html.escape("<script>alert(1)</script>") in text


@pytest.mark.parametrize(
    ("state", "act", "fields", "said"),
    [
        ("fixed", "waive", {"reason": "x", "until": "2026-06-30"}, "braucht keine Ausnahme"),
        ("fixed", "acknowledge", {}, "nicht in Bearbeitung"),
        ("open", "waive", {"reason": "  ", "until": "2026-06-30"}, "begründen"),
        ("open", "waive", {"reason": "x", "until": "2026-05-01"}, "schon vorbei"),
        ("open", "waive", {"reason": "x", "until": "bald"}, "Bitte den Tag angeben"),
        ("open", "waive", {"reason": "x", "until": "2028-05-21"}, "höchstens zwei Jahre, hier bis zum 20.05.2028"),
        ("open", "waive", {"reason": "x", "until": "9999-12-31"}, "höchstens zwei Jahre"),
        ("open", "note", {"text": "\0"}, "leer"),
        ("open", "note", {"text": " "}, "leer"),
        ("open", "note", {"text": "x" * 4001}, "zu lang"),
    ],
)
def test_what_cannot_be_done_is_said_in_german(
    conn: ops.Connection, clerk: TestClient, state: str, act: str, fields: dict[str, str], said: str
) -> None:
    number = complain(conn, UNEMPLOYED, "2026-03", state=state)
    answer = post(clerk, f"/incidents/{number}/{act}", f"/incidents/{number}", **fields)
    assert answer.status_code == 409 and said in answer.text
    assert conn.execute("select state from ops.incident").fetchall() == [(state,)]
    assert conn.execute("select count(*) from ops.incident_event").fetchone() == (0,)


def test_incidents_are_filtered_and_sorted(conn: ops.Connection, clerk: TestClient) -> None:
    complain(conn, UNEMPLOYED, "2026-01", severity="warning", message="EINS")
    complain(conn, HOUSING, "2026-02", sender=LENGEDE, message="ZWEI")
    complain(conn, UNEMPLOYED, "2026-03", state="fixed", message="DREI")

    def shown(**query: str) -> list[str]:
        return re.findall("EINS|ZWEI|DREI", clerk.get("/incidents", params=query).text)

    assert shown() == ["ZWEI", "EINS"]
    assert shown(state="all", order="dataset") == ["EINS", "DREI", "ZWEI"]
    assert shown(state="fixed") == ["DREI"]
    assert shown(severity="warning") == ["EINS"]
    assert shown(dataset=HOUSING, sender=LENGEDE) == ["ZWEI"]
    assert shown(order="i.state; drop table ops.incident") == ["ZWEI", "EINS"]


def test_one_cause_is_one_incident(conn: ops.Connection, clerk: TestClient) -> None:
    cause = complain(conn, UNEMPLOYED, "2026-01", message="URSACHE")
    conn.execute(
        "update ops.incident set cause_id = %s where incident_id = %s",
        (cause, complain(conn, UNEMPLOYED, "2026-01", rule="parts.sum", message="FOLGE")),
    )
    listed = clerk.get("/incidents").text
    assert "URSACHE" in listed and "FOLGE" not in listed and "1 in dieser Auswahl" in listed
    assert "1 offene Beanstandung<" in clerk.get("/").text
    assert "FOLGE" in clerk.get(f"/incidents/{cause}").text


# ----------------------------------------------------------------------------------------------------------- deliveries


def test_a_deliverys_story(conn: ops.Connection, clerk: TestClient) -> None:
    bad = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-20", state="quarantined", severity="critical", name="März.csv")
    incident = complain(conn, UNEMPLOYED, "2026-03", delivery=bad)
    message = write(conn, UNEMPLOYED)
    conn.execute("insert into ops.message_delivery values (%s, %s)", (message, bad))
    text = clerk.get(f"/deliveries/{bad}").text
    for part in (
        "März 2026",
        "März.csv",
        "2 kB",
        "zurückgewiesen",
        "Zeile 12",
        "Berichtigte Datei abgeben",
        "Betreff Guten Tag",
    ):
        assert part in text
    assert f'href="/incidents/{incident}"' in text
    good = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-22")
    first = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-21")
    assert f"Lieferung {good}</a> vom 22.04.2026" in clerk.get(f"/deliveries/{first}").text
    assert "ersetzt durch" not in clerk.get(f"/deliveries/{good}").text
    assert "inzwischen berichtigt" not in clerk.get(f"/deliveries/{bad}").text, "its incident is open"
    conn.execute("update ops.incident set state = 'fixed', closed_at = now() where incident_id = %s", (incident,))
    assert f'inzwischen berichtigt durch <a href="/deliveries/{first}">' in clerk.get(f"/deliveries/{bad}").text


def test_a_delivery_is_withdrawn_by_who_may_decide(conn: ops.Connection, app: FastAPI, clerk: TestClient) -> None:
    number = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-22")
    page = f"/deliveries/{number}"
    for name in ("colleague", "viewer"):
        assert "Lieferung zurückziehen" not in client_of(app, name).get(page).text
    answer = post(client_of(app, "colleague"), f"{page}/withdraw", page, reason="x")
    assert (answer.status_code, "entscheidet die Koordinierungsstelle" in answer.text) == (403, True)
    empty = post(clerk, f"{page}/withdraw", page, reason="  ")
    assert (empty.status_code, "Bitte begründen" in empty.text) == (409, True)
    done = post(clerk, f"{page}/withdraw", page, reason="falscher <b>Monat</b>")
    assert done.headers["location"] == f"{page}?done=withdrawn"
    text = clerk.get(done.headers["location"]).text
    for part in ("Die Lieferung ist zurückgezogen", "von clerk: falscher &lt;b&gt;Monat", "zurückgezogen"):
        assert part in text
    assert "Lieferung zurückziehen" not in text
    assert marks(board(clerk))["März 2026"] == "fällig", "the period is missing again"
    acts = conn.execute("select actor, action, note from ops.desk_act where delivery_id = %s", (number,)).fetchall()
    assert acts == [("clerk", "withdrawn", "falscher <b>Monat</b>")]
    bad = arrive(conn, UNEMPLOYED, "2026-02", "2026-04-20", state="quarantined", severity="critical")
    assert "Lieferung zurückziehen" not in clerk.get(f"/deliveries/{bad}").text
    refused_one = post(clerk, f"/deliveries/{bad}/withdraw", page, reason="x")
    assert (refused_one.status_code, "Nichts aus ihr gilt" in refused_one.text) == (409, True)


def test_a_delivery_held_by_the_build_says_so_and_the_county_sees_why(
    conn: ops.Connection, app: FastAPI, clerk: TestClient
) -> None:
    number = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-22")
    ops.set_state(conn, number, "held", hold_reason="Die Prüfung is_observation nimmt diese Lieferung nicht an.")
    conn.commit()
    text = clerk.get(f"/deliveries/{number}").text
    assert "Angehalten" in text and "ihre Zahlen gelten nicht" in text and "Lieferung zurückziehen" in text
    assert "is_observation" in client_of(app, "colleague").get(f"/deliveries/{number}").text


def leave_out(conn: ops.Connection, delivery: int, rows: int) -> None:
    """Rows of a delivery are faulty, and it could do without them."""
    conn.execute(
        "update ops.delivery set row_count = 120, held_back_count = %s, periods = '{2026-03}' where delivery_id = %s",
        (rows, delivery),
    )
    for n in range(1, rows + 1):
        conn.execute(
            "insert into ops.excluded_row values (%s, %s, null, %s, 4, 'value.not_a_number', '„=1+1“ ist keine Zahl', '=1+1', %s)",
            (delivery, n, n + 10, '{"territory_name": "Lengede", "period_code": "2026-03", "value": "7"}'),
        )


def test_rows_that_are_held_back_are_listed_with_their_reason(
    conn: ops.Connection, app: FastAPI, clerk: TestClient
) -> None:
    number = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-22")
    leave_out(conn, number, 25)
    page = clerk.get(f"/deliveries/{number}").text
    for part in ("120 Werte übernommen, 25 Stellen nicht", "Nicht übernommene Stellen", "„=1+1“ ist keine Zahl", "Lengede", "März 2026",
                 "Gezeigt: 20 von 25 Stellen"):  # fmt: skip
        assert part in page, part
    assert "Ohne diese Stellen übernehmen" not in page
    for name, value in (("clerk", "7"), ("viewer", "")):
        lines = client_of(app, name).get(f"/deliveries/{number}/held-back.csv").content.decode("utf-8-sig").splitlines()
        assert len(lines) == 26
        assert lines[0].startswith("Blatt;Zelle;Zeile;Spalte;Grund;")
        assert lines[1].startswith(";;11;4;„=1+1“ ist keine Zahl;")
        assert value in lines[1].split(";")[4:]
    assert clerk.get("/deliveries/999999/held-back.csv").status_code == 404
    conn.execute("update ops.excluded_row set sheet = 'Kurse' where delivery_id = %s", (number,))
    conn.commit()
    assert "Zelle D11 (Blatt „Kurse“)" in clerk.get(f"/deliveries/{number}").text
    [_, first, *_] = clerk.get(f"/deliveries/{number}/held-back.csv").content.decode("utf-8-sig").splitlines()
    assert first.startswith("Kurse;D11;;;„=1+1“ ist keine Zahl;")


def test_a_refused_delivery_is_decided_by_who_may(conn: ops.Connection, app: FastAPI, clerk: TestClient) -> None:
    number = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-22", state="quarantined", severity="critical")
    page = f"/deliveries/{number}"
    assert "Ohne diese Stellen übernehmen" not in clerk.get(page).text, "the file as a whole is wrong"
    whole = post(clerk, f"{page}/decide", page, answer="accept-without-rows", reason="x")
    assert (whole.status_code, "betrifft die Datei als Ganzes" in whole.text) == (409, True)
    leave_out(conn, number, 2)
    for name in ("colleague", "viewer"):
        assert "Ohne diese Stellen übernehmen" not in client_of(app, name).get(page).text
    denied = post(client_of(app, "colleague"), f"{page}/decide", page, answer="accept-without-rows", reason="x")
    assert denied.status_code == 403
    shown = clerk.get(page).text
    assert "Ohne diese 2 Stellen ließe sich die Datei übernehmen" in shown and "Ohne diese Stellen übernehmen" in shown
    empty = post(clerk, f"{page}/decide", page, answer="accept-without-rows", reason=" ")
    assert (empty.status_code, "Bitte die Entscheidung begründen" in empty.text) == (409, True)
    done = post(clerk, f"{page}/decide", page, answer="accept-without-rows", reason="Stelle <b>krank</b>")
    assert done.headers["location"] == f"{page}?done=accept-without-rows"
    text = clerk.get(done.headers["location"]).text
    for part in (
        "ohne ihre fehlerhaften Stellen übernommen",
        "Zu übernehmen ohne die fehlerhaften Stellen",
        "Stelle &lt;b&gt;krank",
    ):
        assert part in text, part
    acts = conn.execute("select actor, action, note from ops.desk_act where delivery_id = %s", (number,)).fetchall()
    assert acts == [("clerk", "accepted_without_rows", "Stelle <b>krank</b>")]

    other = arrive(conn, UNEMPLOYED, "2026-02", "2026-03-22", state="quarantined", severity="critical")
    complaint = complain(conn, UNEMPLOYED, "2026-02", delivery=other)
    page = f"/deliveries/{other}"
    done = post(clerk, f"{page}/decide", page, answer="reject", reason="nichts zu retten")
    text = clerk.get(done.headers["location"]).text
    assert "bleibt zurückgewiesen" in text and "nichts zu retten" in text
    assert conn.execute("select state from ops.incident where incident_id = %s", (complaint,)).fetchone() == ("fixed",)


def test_everything_from_a_file_is_escaped(conn: ops.Connection, clerk: TestClient) -> None:
    delivery = arrive(
        conn,
        UNEMPLOYED,
        "2026-03",
        "2026-04-20",
        state="quarantined",
        severity="critical",
        name=NASTY,
        message=NASTY,
        rule=NASTY,
    )
    incident = complain(conn, UNEMPLOYED, "2026-03", delivery=delivery, message=NASTY, rule=NASTY)
    message = write(conn, UNEMPLOYED, text=NASTY)
    for path in (
        "/", "/deliveries", f"/deliveries/{delivery}", "/incidents", f"/incidents/{incident}", "/messages", f"/messages/{message}",
        "/?office=" + NASTY, f"/upload?dataset={UNEMPLOYED}&period=" + NASTY,
    ):  # fmt: skip
        text = clerk.get(path).text
        assert "<script>alert" not in text and "<img" not in text, path
    assert "nie gezeigt" not in clerk.get(f"/messages/{message}").text


def test_the_list_of_findings_is_complete_and_harmless(conn: ops.Connection, clerk: TestClient) -> None:
    delivery = arrive(
        conn, UNEMPLOYED, "2026-03", "2026-04-20", state="quarantined", severity="critical", message="=1+1"
    )
    answer = clerk.get(f"/deliveries/{delivery}/findings.csv")
    lines = answer.content.decode("utf-8-sig").splitlines()
    assert answer.headers["content-disposition"].startswith("attachment")
    assert len(lines) == 4
    assert lines[1].split(";")[1] == "'=1+1" and lines[1].split(";")[7:9] == ["-4", "eine Zahl ab 0"]
    assert lines[2].split(";")[7].startswith("' =cmd")


def test_many_findings_are_paged(conn: ops.Connection, clerk: TestClient) -> None:
    delivery = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-20", state="quarantined")
    conn.execute(
        "insert into ops.finding (delivery_id, severity, rule, message) "
        "select %s, 'critical', 'r' || n, 'Befund ' || n from generate_series(1, 120) as n",
        (delivery,),
    )
    first, last = (clerk.get(f"/deliveries/{delivery}?page={page}").text for page in (1, 3))
    assert first.count('class="finding ') == 50 and "Seite 1 von 3" in first and "120 Befunde" in first
    assert last.count('class="finding ') == 20
    complain(conn, UNEMPLOYED, "2026-03")
    for path in (f"/deliveries/{delivery}?page=4", "/incidents?page=2"):
        assert clerk.get(path).status_code == 404, path


# ---------------------------------------------------------------------------------------------------- upload, download


def upload(client: TestClient, name: str, content: bytes, **fields: str) -> Response:
    given = {"dataset": UNEMPLOYED, **fields}
    return post(client, "/uploads", f"/upload?dataset={UNEMPLOYED}", files={"file": (name, content)}, **given)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TEILHABE_DESK_UPLOADS_PER_DAY", "2", "schon 2 Dateien abgegeben"),
        ("TEILHABE_DESK_MB_PER_DAY", "1", "mehr als 1 MB abgegeben"),
    ],
)
def test_an_account_hands_in_so_much_a_day(
    clerk: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    for n in range(2):
        assert upload(clerk, f"{n}.csv", b"x" * 400_000).status_code == 303
    refused = upload(clerk, "3.csv", b"x" * 400_000)
    assert refused.status_code == 422
    assert said in refused.text
    assert len(landing.FolderSource(landing.dataset_inbox(settings, UNEMPLOYED)).list()) == 2
    assert list(settings.work.iterdir()) == []


def test_an_upload_takes_the_way_of_every_delivery(
    settings: Settings, conn: ops.Connection, clerk: TestClient, started: list[tuple[str, str]], tmp_path: Path
) -> None:
    content = b"keine;Arbeitslosen\r\n"
    answer = upload(clerk, "../../etc/Arbeitslose März.csv", content, period="2026-03")
    assert answer.status_code == 303 and started == [("clerk", UNEMPLOYED)]
    page = answer.headers["location"]
    assert "Die Prüfung beginnt gleich" in clerk.get(page).text
    assert clerk.get(page, headers={"accept": "application/json"}).json() == {"step": "waiting"}
    flow = Flow(settings, tmp_path)
    [number] = flow.archive(UNEMPLOYED)
    assert clerk.get(page, headers={"accept": "application/json"}).json() == {"step": "received"}
    flow.judge(UNEMPLOYED)
    text = clerk.get(page).text
    assert "Zurückgewiesen" in text and f"/deliveries/{number}" in text
    [act] = conn.execute("select actor, action, file_name, size_bytes, sha256, at from ops.desk_act").fetchall()
    assert act == ("clerk", "uploaded", "Arbeitslose März.csv", len(content), hashlib.sha256(content).hexdigest(), NOW)
    assert "hier abgegeben von clerk" in clerk.get(f"/deliveries/{number}").text
    assert list(settings.work.iterdir()) == []

    original = clerk.get(f"/deliveries/{number}/original")
    assert original.content == content
    assert original.headers["content-type"] == "application/octet-stream"
    assert original.headers["content-disposition"].startswith("attachment;")
    assert original.headers["x-content-type-options"] == "nosniff"
    [row] = conn.execute("select actor, delivery_id from ops.desk_act where action = 'downloaded'").fetchall()
    assert row == ("clerk", number)
    assert list(settings.work.iterdir()) == []

    again = upload(clerk, "Arbeitslose März.csv", content)
    flow.archive(UNEMPLOYED)
    assert "liegt schon vor" in clerk.get(again.headers["location"]).text


def test_a_file_for_another_period_is_answered(conn: ops.Connection, clerk: TestClient) -> None:
    page = upload(clerk, "a.csv", b"x", period="2026-03").headers["location"]
    number = arrive(conn, UNEMPLOYED, "2026-02", "2026-05-20")
    conn.execute(
        "update ops.delivery set source_fingerprint = (select arrival from ops.desk_act) where delivery_id = %s",
        (number,),
    )
    text = clerk.get(page).text
    assert "Angenommen: Februar 2026" in text and "erwartet war März 2026" in text


@pytest.mark.parametrize(
    ("name", "content", "fields", "said"),
    [
        ("a.csv", b"", {}, "ist leer"),
        ("", b"", {}, "Bitte eine Datei auswählen"),
        ("delivery.json", b"{}", {}, "vergeben"),
        ("..", b"x", {}, "nicht verwendbar"),
        ("x" * 300, b"x", {}, "nicht verwendbar"),
        ("a.csv", b"x", {"dataset": "no__such"}, "zu welchem Datensatz"),
    ],
)
def test_what_cannot_be_taken_is_said_and_leaves_nothing(
    settings: Settings, clerk: TestClient, name: str, content: bytes, fields: dict[str, str], said: str
) -> None:
    answer = upload(clerk, name, content, **fields)
    assert answer.status_code == 422 and said in answer.text
    assert not landing.FolderSource(landing.dataset_inbox(settings, UNEMPLOYED), "inbox").list()
    assert list(settings.work.iterdir()) == []


def test_a_file_too_large_is_refused_whatever_it_says(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEILHABE_MAX_FILE_MB", "1")
    clerk = client_of(create_app(settings, fake_sign_in, clock=lambda: NOW), "clerk")
    big = b"x" * (1 << 20) * 2
    assert upload(clerk, "a.csv", big).status_code == 413

    token = token_in(clerk.get(f"/upload?dataset={UNEMPLOYED}"))
    boundary = "grenze"
    head = "".join(
        f'--{boundary}\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in ((protection.TOKEN_FIELD, token), ("dataset", UNEMPLOYED))
    )
    head += f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    chunks = iter([head.encode(), *[big[: 1 << 19]] * 4, f"\r\n--{boundary}--\r\n".encode()])
    answer = clerk.post(
        "/uploads", content=chunks, headers={"content-type": f"multipart/form-data; boundary={boundary}"}
    )
    assert answer.status_code == 413
    assert not landing.FolderSource(landing.dataset_inbox(settings, UNEMPLOYED), "inbox").list()


def test_only_an_upload_may_be_large(conn: ops.Connection, app: FastAPI, clerk: TestClient) -> None:
    number = complain(conn, UNEMPLOYED, "2026-03")
    note, form = f"/incidents/{number}/note", f"/incidents/{number}"
    big = "x" * 100_000
    assert post(clerk, note, form, text=big).status_code == 413
    assert post(clerk, "/uploads", form, text=big).status_code == 413
    assert post(clerk, note, form, text="x", files={"file": ("a.csv", b"x" * 100_000)}).status_code == 413
    answer = post(clerk, note, form, text="x", files={"file": ("a.csv", b"x")})
    assert answer.status_code == 400 and "Das Formular kam nicht so an" in answer.text
    assert conn.execute("select count(*) from ops.incident_event").fetchone() == (0,)


def test_a_viewers_file_is_not_read(app: FastAPI) -> None:
    asked: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(1000):
            asked.append(number)
            yield b"x" * 1000

    headers = {"content-type": "multipart/form-data; boundary=grenze", "origin": "http://testserver"}
    answer = client_of(app, "viewer").post("/uploads", content=chunks(), headers=headers)
    assert answer.status_code == 403 and len(asked) <= 1


def test_an_uploaded_file_somebody_decides_about_is_told_and_not_watched(
    conn: ops.Connection, clerk: TestClient
) -> None:
    page = upload(clerk, "a.csv", b"x", period="nonsense").headers["location"]
    assert conn.execute("select period_code from ops.desk_act").fetchone() == (None,)
    number = arrive(conn, UNEMPLOYED, "2026-03", "2026-05-20", severity="warning")
    conn.execute("update ops.delivery set source_fingerprint = (select arrival from ops.desk_act)")
    ask(conn, number)
    text = clerk.get(page).text
    assert (
        "entscheidet die Koordinierungsstelle" in text
        and "22.05.2026, 10:00 Uhr (MESZ)" in text
        and "data-poll" not in text
    )
    assert clerk.get(page, headers={"accept": "application/json"}).json() == {"step": "asked"}


def test_without_a_start_the_page_says_that_it_takes_minutes(settings: Settings) -> None:
    clerk = client_of(create_app(settings, fake_sign_in, clock=lambda: NOW), "clerk")
    assert "in wenigen Minuten geprüft" in clerk.get(upload(clerk, "a.csv", b"x").headers["location"]).text


def test_a_lost_original_is_an_answer_not_a_crash(conn: ops.Connection, clerk: TestClient) -> None:
    number = arrive(conn, UNEMPLOYED, "2026-03", "2026-04-20")
    assert clerk.get(f"/deliveries/{number}/original").status_code == 404


# --------------------------------------------------------------------------------------------------------------- others


def test_metrics_in_prometheus_format(conn: ops.Connection, clerk: TestClient) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    arrive(conn, UNEMPLOYED, "2026-03", "2026-04-20", state="quarantined")
    complain(conn, UNEMPLOYED, "2026-03", severity="warning")
    write(conn, UNEMPLOYED)
    conn.execute("update ops.message set not_before = %s", (NOW.replace(hour=8),))
    answer = clerk.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert values["teilhabe_deliveries", "quarantined"] == 1
    assert values["teilhabe_incidents", "open", "warning"] == 1
    assert values["teilhabe_messages", "smtp", "waiting"] == 1
    assert values["teilhabe_oldest_waiting_message_seconds",] == 3600
    assert values["teilhabe_overdue",] > 0 and values["teilhabe_disk_free_bytes",] > 0
    assert ("teilhabe_last_build_seconds",) not in values


def test_scorecards_of_the_last_build(settings: Settings, app: FastAPI, clerk: TestClient) -> None:
    assert "Noch keine Bilanz" in clerk.get("/scorecards").text
    with connecting.connect("owner", settings, autocommit=True) as owner:
        owner.execute(
            """
            create table marts.rpt_reporting_body_scorecard (
                dataset_id text, dataset_name text, office_name text, sender_code text, sender_name text, year integer,
                periods_due integer, periods_in_time integer, periods_missing integer, timeliness_share numeric,
                completeness_share numeric, first_pass_share numeric, revised_numbers_without_reason integer,
                incidents_open integer, median_days_to_mend numeric, is_demo boolean
            );
            grant select on marts.rpt_reporting_body_scorecard to teilhabe_analyst
            """
        )
        add = "insert into marts.rpt_reporting_body_scorecard values (%s, %s, 'Amt', %s, %s, %s, 4, 2, 1, 0.5, 0.75, null, 3, 1, 7, false)"
        try:
            owner.execute(add, (HOUSING, "Unterbringung", None, None, 2026))
            owner.execute(add, (HOUSING, "Unterbringung", LENGEDE, "Lengede", 2026))
            owner.execute(add, (UNEMPLOYED, "Arbeitslose", None, None, 2025))
            text = clerk.get("/scorecards").text
            assert "Unterbringung" in text and "Lengede" in text and "50 %" in text and "Arbeitslose" not in text
            assert "Arbeitslose" in clerk.get("/scorecards?year=2025").text
            own = client_of(app, "lengede").get("/scorecards").text
            assert "Lengede" in own and "Unterbringung" not in own
            assert "die Ihr Konto sehen darf" in client_of(app, "nobody").get("/scorecards").text
        finally:
            owner.execute("drop table marts.rpt_reporting_body_scorecard")


def test_nonsense_in_an_address_is_not_found(clerk: TestClient) -> None:
    for path in (
        "/deliveries/abc",
        "/deliveries/0",
        "/incidents?page=0",
        "/deliveries/99999999999999999999",
        "/incidents/99999999999999999999",
        "/messages/0",
        "/uploads/0",
        "/deliveries/1%00",
        "/static/x",
        "/x/y",
    ):
        assert clerk.get(path).status_code == 404, path


def test_a_sign_the_database_cannot_hold_finds_nothing(clerk: TestClient) -> None:
    for path in ("/deliveries?dataset=a%00", "/incidents?state=a%00&sender=%00", "/messages?state=%00", "/?office=%00"):
        assert clerk.get(path).status_code == 200, path
    assert upload(clerk, "a.csv", b"x", period="2026-03\0").status_code == 303


def test_a_database_that_breaks_off_is_said(monkeypatch: pytest.MonkeyPatch, clerk: TestClient) -> None:
    def broken(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("secret text")

    monkeypatch.setattr(queries, "due", broken)
    answer = clerk.get("/due")
    assert answer.status_code == 503 and "antwortet gerade nicht" in answer.text and "secret" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_an_outage_of_the_database_is_said(settings: Settings, tmp_path: Path) -> None:
    clerk = client_of(create_app(settings_for(tmp_path / "home"), fake_sign_in, clock=lambda: NOW), "clerk")
    answer = clerk.get("/due")
    assert answer.status_code in {500, 503} and "antwortet gerade nicht" in answer.text


def test_json_is_only_a_step(clerk: TestClient) -> None:
    page = upload(clerk, "a.csv", b"x").headers["location"]
    assert set(json.loads(clerk.get(page, headers={"accept": "application/json"}).text)) == {"step"}
