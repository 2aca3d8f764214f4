"""The desk in a real browser, inside the real Airflow of a real home: what people do there, and what they may not.

One Airflow for all tests, which build on each other in the order of the file: an office's file was refused, somebody takes it
up, a corrected file is handed in and goes through its DAG. Screenshots are kept in ``test-output/browser``.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from teilhabe import landing
from teilhabe.airflow import accounts, configuration, rights, services
from teilhabe.airflow.client import AirflowApi
from teilhabe.contract import delivery_calendar, lookup
from teilhabe.desk.app import create_app
from teilhabe.errors import ContractError
from teilhabe.pipeline.follow_up import follow_up
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.conftest import PROJECT
from tests.flow import FOREIGNERS, POPULATION, Flow, monitor, population

SCREENSHOTS = PROJECT / "test-output" / "browser"
YEAR = delivery_calendar.today().year - 1
GOOD = {"03157005": (100, 51, 49), "03157006": (500, 240, 260)}
BAD = {"03157005": ("viele", 51, 49), "03157006": ("viele", 240, 260)}
"""Without its faulty rows nothing of this file is left: what is published loads without a few of them."""
MUNICIPAL = "housing__accommodation"
LENGEDE = "03157005"
PASSWORD = "nur-fuer-diesen-Test-9"
PATIENCE = 60.0
"""Seconds until a request counts as unanswered: how fast the desk is on a busy machine is no question of these tests."""
WIDTHS: dict[str, ViewportSize] = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 740}}


@dataclass(frozen=True)
class Desk:
    """A home whose Airflow is up, with one refused delivery and accounts of every kind."""

    settings: Settings
    address: str
    refused: int
    incident: int
    other_incident: int
    delivery_of_lengede: int
    asked: int

    def at(self, path: str) -> str:
        return f"{self.address}/desk{path}"


@pytest.fixture(scope="module")
def desk(with_airflow: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = with_airflow
    flow = Flow(settings, tmp_path_factory.mktemp("drafts"))
    at = f"{YEAR + 1}-01-10"
    flow.deliver(POPULATION, population(GOOD, YEAR - 1), name=f"bevoelkerung_{YEAR - 1}.csv", at=f"{YEAR}-01-10")
    refused = flow.deliver(POPULATION, population(BAD, YEAR), name=f"bevoelkerung_{YEAR}.csv", at=at)
    other = flow.deliver(FOREIGNERS, monitor([(YEAR, "Peine", "03157", "<b>viele</b>")]), name="auslaender.csv", at=at)
    assert flow.state(refused) == flow.state(other) == "quarantined"
    follow_up(settings, datetime.now(UTC), no_connection)
    lengede = made_up_delivery(settings, "duplicate")
    asked = made_up_delivery(settings, "validated")
    make_up_the_rest(settings, asked)
    services.up(settings)
    try:
        with AirflowApi(settings) as api:
            api.wait_for_dags([f"deliver__{POPULATION}", f"deliver__{MUNICIPAL}"])
            pause_others(api, f"deliver__{POPULATION}")
        make_accounts(settings)
        yield Desk(
            settings,
            configuration.info(settings).ui_url,
            refused,
            incident_of(flow, refused),
            incident_of(flow, other),
            lengede,
            asked,
        )
    finally:
        services.down(settings)


def incident_of(flow: Flow, delivery: int) -> int:
    [[number]] = flow.ask(
        "select min(incident_id) from ops.incident where delivery_id = %s and cause_id is null", delivery
    )
    return int(number)


def no_connection(name: str) -> landing.Credentials:
    raise ContractError(f"There is no Airflow connection '{name}'.")


def made_up_delivery(settings: Settings, state: str) -> int:
    """Of one municipality; enough to see who may see it."""
    with loading.session(settings) as conn:
        [[number]] = conn.execute(
            """
            insert into ops.delivery (dataset_id, file_name, sha256, size_bytes, received_at, source, archive_uri, manifest_uri,
                state, sender_code, followed_at)
            values (%(dataset)s, 'Meldung.xlsx', md5(%(state)s) || md5(%(state)s), 1, now(), 'inbox', 'x', 'made up ' || %(state)s,
                %(state)s, %(sender)s, now())
            returning delivery_id
            """,
            {"dataset": MUNICIPAL, "state": state, "sender": LENGEDE},
        ).fetchall()
    return int(number)


def make_up_the_rest(settings: Settings, asked: int) -> None:
    """What would take a question in Airflow and a build of the warehouse: somebody who is asked, and a scorecard."""
    with loading.session(settings) as conn:
        conn.execute(
            "insert into ops.approval (delivery_id, expires_at, run_id) values (%s, now() + interval '2 days', 'manual__1')",
            (asked,),
        )
    with connecting.connect("owner", settings, autocommit=True) as owner:
        owner.execute(
            """
            create table marts.rpt_reporting_body_scorecard as
            select %(dataset)s as dataset_id, 'Unterbringungsmeldung der Gemeinden' as dataset_name,
                'Landkreis Peine, Fachdienst Soziales (Meldungen der Gemeinden)' as office_name, %(sender)s as sender_code,
                'Lengede' as sender_name, %(year)s as year, 12 as periods_due, 3 as periods_in_time, 9 as periods_missing,
                share as timeliness_share, 1.0 as completeness_share, share / 10 as first_pass_share,
                1234 as revised_numbers_without_reason, 3 as incidents_open, 7 as median_days_to_mend, false as is_demo
            from unnest(array[0.25, 1.0, null]) as s (share)
            """,
            {"dataset": MUNICIPAL, "sender": LENGEDE, "year": YEAR},
        )
        owner.execute("grant select on marts.rpt_reporting_body_scorecard to teilhabe_analyst")


def pause_others(api: AirflowApi, but: str) -> None:
    """Nothing else has to run: two processors are busy enough with a browser."""
    for dag in api.dags():
        if dag["dag_id"] != but:
            api._call("PATCH", f"/dags/{dag['dag_id']}", json={"is_paused": True})


def make_accounts(settings: Settings) -> None:
    """Offices' accounts as the handbook tells to make them, and two with Airflow's own roles."""
    contracts = lookup.contracts(settings).values()
    for name, kind, whose in (("office", "office", POPULATION), ("lengede", "municipality", LENGEDE)):
        roles = rights.roles_for(kind, [whose], contracts)  # type: ignore[arg-type] - a literal, as the checker cannot see
        accounts.add(settings, name, roles, full_name=f"{name} Testkonto", mail=None, password=PASSWORD)
    for name, role in (("viewer", "Viewer"), ("clerk", "User")):
        own = [rights.Role(role, ())]
        accounts.add(settings, name, own, full_name=f"{name} Testkonto", mail=None, password=PASSWORD)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium: the browser that Playwright would fetch comes from outside the package index."""
    program = os.environ.get("TEILHABE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium here (sh tests/tools.sh installs it, or set TEILHABE_CHROMIUM)")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=program, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def sessions(desk: Desk, browser: Browser) -> dict[str, Any]:
    """Cookies of each account after logging in on Airflow's own page."""
    kept: dict[str, Any] = {}
    for account in ("clerk", "viewer", "office", "lengede"):
        context = browser.new_context(locale="de-DE")
        page = context.new_page()
        page.goto(desk.at("/"))
        page.get_by_role("link", name="Zur Anmeldung").click()
        page.locator("input[name=username]").fill(account)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("input[type=submit]").click()
        # Back where the visitor wanted to go.
        expect(page).to_have_url(desk.at("/"))
        kept[account] = context.storage_state()
        context.close()
    return kept


@pytest.fixture
def open_as(browser: Browser, sessions: dict[str, Any]) -> Iterator[Callable[..., Page]]:
    """A page of an account; any request to another host or error on the page fails the test."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def watch(page: Page) -> Page:
        page.on("pageerror", lambda error: troubles.append(f"script: {error}"))
        page.on("request", lambda request: troubles.append(request.url) if is_foreign(request.url) else None)
        page.on("console", lambda said: troubles.append(said.text) if "Content Security Policy" in said.text else None)
        return page

    def is_foreign(url: str) -> bool:
        return not re.match(r"https?://127\.0\.0\.1[:/]|data:|blob:", url)

    def open_(account: str, width: str = "desktop", **options: Any) -> Page:
        context = browser.new_context(
            locale="de-DE", viewport=WIDTHS[width], storage_state=sessions[account], **options
        )
        contexts.append(context)
        return watch(context.new_page())

    yield open_
    for context in contexts:
        context.close()
    assert troubles == []


def photograph(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def cell(page: Page, year: int) -> Any:
    """The mark of the population of a year in the matrix."""
    row = page.get_by_role("row", name=re.compile("^Bevölkerung der Gemeinden nach Geschlecht"))
    return row.get_by_role("link", name=re.compile(rf"31\.12\.{year}"))


# ---------------------------------------------------------------------------------------------------------------- rights


def test_a_stranger_gets_401_everywhere(desk: Desk) -> None:
    def nobody() -> None: ...

    app = create_app(desk.settings, nobody)  # type: ignore[arg-type]
    paths = {re.sub(r"\{[^}]*\}", "1", route.path) for route in app.routes}  # type: ignore[attr-defined]
    paths |= {"/static/desk.css", "/static/desk.js", "/openapi.json", "/docs", f"/deliveries/{desk.refused}/original"}
    assert len(paths) > 20
    with httpx.Client(base_url=f"{desk.address}/desk", trust_env=False, timeout=PATIENCE) as stranger:
        for path in sorted(paths):
            for method in ("GET", "POST"):
                assert stranger.request(method, path).status_code == 401, (method, path)
        for headers in ({"Authorization": "Bearer x.y.z"}, {"Cookie": "_token=x.y.z"}):
            assert stranger.get("/", headers=headers).status_code == 401


def test_prometheus_reads_the_numbers_with_a_token(desk: Desk) -> None:
    with httpx.Client(base_url=desk.address, trust_env=False, timeout=PATIENCE) as client:
        login = client.post("/auth/token", json={"username": "viewer", "password": PASSWORD})
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        text = client.get("/desk/metrics", headers=headers).text
    assert 'teilhabe_deliveries{state="quarantined"} 2.0' in text and "teilhabe_disk_free_bytes" in text


def test_a_viewer_sees_and_cannot_act(desk: Desk, open_as: Callable[..., Page]) -> None:
    page = open_as("viewer")
    page.goto(desk.at(f"/incidents/{desk.incident}"))
    expect(page.get_by_role("heading", name="Verlauf")).to_be_visible()
    expect(page.get_by_role("button")).to_have_text(["Abmelden"])
    for path in (f"/incidents/{desk.incident}/acknowledge", f"/incidents/{desk.incident}/waive", "/uploads"):
        status = page.evaluate(
            "async (url) => (await fetch(url, {method: 'POST', body: new FormData()})).status", desk.at(path)
        )
        assert status == 403, path
    assert page.goto(desk.at(f"/deliveries/{desk.refused}/original")).status == 403  # type: ignore[union-attr]


def test_an_offices_own_account_sees_its_own_datasets(desk: Desk, open_as: Callable[..., Page]) -> None:
    page = open_as("office")
    page.goto(desk.at("/"))
    expect(page.get_by_role("heading", name="Abgeben")).to_be_visible()
    expect(page.get_by_text("Ausländische Bevölkerung")).to_have_count(0)
    page.get_by_role("link", name="Übersicht").click()
    expect(page.get_by_role("rowheader", name=re.compile("Bevölkerung der Gemeinden nach Geschlecht"))).to_be_visible()
    expect(page.get_by_text("Ausländische Bevölkerung")).to_have_count(0)
    assert page.goto(desk.at(f"/incidents/{desk.other_incident}")).status == 404  # type: ignore[union-attr]
    assert page.goto(desk.at(f"/deliveries/{desk.delivery_of_lengede}")).status == 404  # type: ignore[union-attr]
    assert page.goto(desk.at("/metrics")).status == 403  # type: ignore[union-attr]


def test_a_municipalitys_account_sees_what_it_owes(desk: Desk, open_as: Callable[..., Page]) -> None:
    page = open_as("lengede")
    page.goto(desk.at("/"))
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("^Formular herunterladen: Unterbringung")).click()
    assert download.value.suggested_filename == f"Formular_accommodation_{LENGEDE}.xlsx"
    expect(page.get_by_text("Ilsede")).to_have_count(0)
    page.get_by_role("link", name="Übersicht").click()
    expect(page.get_by_role("rowheader", name=re.compile("Lengede")).first).to_be_visible()
    expect(page.get_by_text("Ilsede")).to_have_count(0)
    assert page.goto(desk.at(f"/deliveries/{desk.delivery_of_lengede}")).status == 200  # type: ignore[union-attr]
    assert page.goto(desk.at(f"/deliveries/{desk.refused}")).status == 404  # type: ignore[union-attr]


def test_an_office_is_led_from_airflow_to_its_page_and_signs_out(desk: Desk, browser: Browser) -> None:
    context = browser.new_context(locale="de-DE", viewport=WIDTHS["phone"])
    page = context.new_page()
    page.goto(desk.address)
    page.locator("input[name=username]").fill("lengede")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[type=submit]").click()
    expect(page).to_have_url(desk.at("/"))
    expect(page.get_by_role("link", name="Airflow")).to_have_count(0)
    page.get_by_role("button", name="Abmelden").click()
    expect(page.locator("input[name=password]")).to_be_visible()
    assert page.goto(desk.at("/")).status == 401  # type: ignore[union-attr]
    context.close()


# ------------------------------------------------------------------------------------------------------------- the work


def test_the_desk_is_an_entry_of_airflows_navigation(desk: Desk, open_as: Callable[..., Page]) -> None:
    page = open_as("clerk")
    page.goto(desk.address)
    page.get_by_role("link", name="Lieferungen").click()
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Was ist da, was fehlt?")).to_be_visible()
    expect(frame.get_by_role("link", name="Airflow")).to_have_count(0)
    photograph(page, "airflow")


def test_from_the_matrix_to_a_delivery(desk: Desk, open_as: Callable[..., Page]) -> None:
    page = open_as("clerk")
    page.goto(desk.at("/"))
    expect(cell(page, YEAR - 1)).to_have_attribute("title", re.compile("geliefert"))
    expect(cell(page, YEAR)).to_have_attribute("title", re.compile("zurückgewiesen"))
    photograph(page, "matrix-refused")
    cell(page, YEAR).click()
    expect(page).to_have_url(desk.at(f"/deliveries/{desk.refused}"))
    expect(page.get_by_text("viele").first).to_be_visible()
    photograph(page, "delivery")
    with page.expect_download() as download:
        page.get_by_role("link", name="Original herunterladen").click()
    assert download.value.suggested_filename == f"bevoelkerung_{YEAR}.csv"
    assert download.value.path().read_bytes() == population(BAD, YEAR)


def test_who_may_decide_finds_the_question(desk: Desk, open_as: Callable[..., Page]) -> None:
    page = open_as("clerk")
    page.goto(desk.at(f"/deliveries/{desk.asked}"))
    link = page.get_by_role("link", name="In Airflow entscheiden")
    target = link.evaluate("link => link.href")
    assert target == f"{desk.address}/dags/approvals/runs/manual__1/required_actions?response_received=false"
    for account in ("viewer", "lengede"):
        page = open_as(account)
        page.goto(desk.at(f"/deliveries/{desk.asked}"))
        expect(page.get_by_role("heading", name="Wartet auf Entscheidung")).to_be_visible()
        expect(page.get_by_role("link", name="In Airflow entscheiden")).to_have_count(0)


@pytest.mark.parametrize("width", list(WIDTHS))
def test_shares_stand_beside_their_bars(desk: Desk, open_as: Callable[..., Page], width: str) -> None:
    page = open_as("clerk", width)
    page.goto(desk.at("/scorecards"))
    middles = page.locator(".rate").evaluate_all(
        "all => all.map(one => [...one.children].map(part => {const box = part.getBoundingClientRect();"
        " return [box.left, box.top + box.height / 2];}))"
    )
    assert len(middles) == 7
    for (bar_left, bar_middle), (share_left, share_middle) in middles:
        assert share_left > bar_left + 50 and abs(share_middle - bar_middle) < 2


def test_acknowledge_and_note(desk: Desk, open_as: Callable[..., Page]) -> None:
    page = open_as("clerk")
    page.goto(desk.at(f"/incidents/{desk.incident}"))
    photograph(page, "incident")
    page.get_by_label("Notiz (freiwillig)").fill("Das Amt ist angerufen.")
    page.get_by_role("button", name="In Arbeit nehmen").click()
    expect(page.get_by_role("status")).to_contain_text("in Arbeit genommen")
    page.get_by_label("Text").fill("<b>Rückruf</b> morgen")
    page.get_by_role("button", name="Notiz speichern").click()
    history = page.get_by_role("list").filter(has_text="festgestellt")
    expect(history).to_contain_text("in Arbeit genommen von clerk")
    expect(history).to_contain_text("<b>Rückruf</b> morgen")
    photograph(page, "incident-acknowledged")


def test_waive(desk: Desk, open_as: Callable[..., Page]) -> None:
    page = open_as("clerk")
    page.goto(desk.at(f"/incidents/{desk.other_incident}"))
    page.get_by_label("Begründung").fill("Die Stelle kann es nicht anders liefern.")
    page.get_by_label("gilt bis einschließlich").fill(f"{YEAR + 2}-12-31")
    page.get_by_role("button", name="Ausnahme zulassen").click()
    expect(page.get_by_text(f"Ausnahme bis 31.12.{YEAR + 2}, zugelassen von clerk")).to_be_visible()
    photograph(page, "incident-waived")


def test_a_corrected_file_turns_the_matrix_green(desk: Desk, open_as: Callable[..., Page], tmp_path: Path) -> None:
    page = open_as("clerk")
    page.goto(desk.at(f"/deliveries/{desk.refused}"))
    file = tmp_path / f"bevoelkerung_{YEAR}.csv"
    file.write_bytes(population(GOOD, YEAR))
    drop(page, file)
    expect(page.locator("[data-name]")).to_have_text(file.name)
    photograph(page, "upload")
    started = time.monotonic()
    page.get_by_role("button", name="Abgeben").click()
    expect(page.get_by_role("status")).to_contain_text("Angekommen")
    # The page asks by itself; the file goes through the DAG that the account started.
    expect(page.get_by_role("status")).to_contain_text("Angenommen", timeout=180_000)
    print(f"from the click to the verdict on the page: {time.monotonic() - started:.1f} s")
    photograph(page, "upload-accepted")
    page.goto(desk.at("/"))
    expect(cell(page, YEAR)).to_have_attribute("title", re.compile(": (verspätet )?geliefert"))
    photograph(page, "matrix-accepted")
    page.goto(desk.at(f"/incidents/{desk.incident}"))
    expect(page.locator(".verdict")).to_contain_text("behoben")
    with AirflowApi(desk.settings) as api:
        runs = api.dag_runs([f"deliver__{POPULATION}"])
        started_by = [(run["triggering_user_name"], run["note"]) for run in runs if run["run_type"] == "manual"]
        assert (rights.AUTOMATION, "Datei von clerk abgegeben") in started_by, "an account has no right on a DAG"


def drop(page: Page, file: Path) -> None:
    """Drag a file from the desktop onto the page."""
    content = list(file.read_bytes())
    transfer = page.evaluate_handle(
        "([bytes, name]) => {const data = new DataTransfer(); data.items.add(new File([new Uint8Array(bytes)], name)); return data;}",
        [content, file.name],
    )
    page.dispatch_event("[data-drop]", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": transfer})


def test_everything_works_without_scripts(desk: Desk, open_as: Callable[..., Page], tmp_path: Path) -> None:
    page = open_as("clerk", java_script_enabled=False)
    page.goto(desk.at("/incidents"))
    page.locator("select[name=state]").select_option("all")
    page.get_by_role("button", name="Anzeigen").click()
    page.get_by_role("link", name=re.compile("Ausländische Bevölkerung")).first.click()
    page.get_by_label("Text").fill("ohne Skript")
    page.get_by_role("button", name="Notiz speichern").click()
    expect(page.get_by_role("status")).to_contain_text("gespeichert")
    page = open_as("office", java_script_enabled=False)
    page.goto(desk.at(f"/upload?dataset={POPULATION}"))
    file = tmp_path / "noch_einmal.csv"
    file.write_bytes(population(GOOD, YEAR - 1))
    page.get_by_label("Datei auswählen").set_input_files(file)
    page.get_by_role("button", name="Abgeben").click()
    # Its own role lets it start the check at once.
    expect(page.get_by_role("status")).to_contain_text("Die Prüfung beginnt gleich")


# ------------------------------------------------------------------------------------------------------ for everybody


def pages_of(desk: Desk) -> dict[str, str]:
    return {
        "matrix": "/",
        "matrix-long": "/?more=true",
        "deliveries": "/deliveries",
        "delivery": f"/deliveries/{desk.refused}",
        "delivery-asked": f"/deliveries/{desk.asked}",
        "incidents": "/incidents?state=all",
        "incident": f"/incidents/{desk.other_incident}",
        "due": "/due",
        "messages": "/messages",
        "scorecards": "/scorecards",
        "upload": f"/upload?dataset={MUNICIPAL}",
        "error": "/nothing",
    }


@pytest.mark.parametrize(("width", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_no_serious_obstacle_for_anybody(desk: Desk, open_as: Callable[..., Page], width: str, scheme: str) -> None:
    seen = [(open_as("clerk", width, color_scheme=scheme), pages_of(desk))]
    seen += [(open_as(one, width, color_scheme=scheme), {f"hand-in-{one}": "/"}) for one in ("office", "lengede")]
    found: list[str] = []
    for page, name, path in [(page, *pair) for page, pages in seen for pair in pages.items()]:
        page.goto(desk.at(path))
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            found.append(f"{name}: {wide} px wider than the screen")
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in {"serious", "critical"}:
                places = [node["target"] for node in violation["nodes"][:3]]
                found.append(f"{name}: {violation['id']} {places}")
        photograph(page, f"{name}-{width}-{scheme}")
    assert found == []


def test_the_keyboard_reaches_everything(desk: Desk, open_as: Callable[..., Page]) -> None:
    page = open_as("clerk")
    page.goto(desk.at("/"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Zum Inhalt")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "inhalt"
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.className || document.activeElement.name"))
    assert {"office", "state", "more", "scroll", "mark"} <= reached
