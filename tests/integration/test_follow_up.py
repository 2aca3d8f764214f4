"""From a file to the office's mailbox: what is told, to whom, once - with the pipeline's own steps and a frozen clock."""

from __future__ import annotations

import email
import email.policy
import io
import json
import shutil
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import openpyxl
import pytest
from typer.testing import CliRunner

from teilhabe import ops
from teilhabe.cli import app as cli
from teilhabe.cli import messages as messages_commands
from teilhabe.contract import lookup
from teilhabe.decisions.withdrawing import withdraw
from teilhabe.errors import EVIDENCE_SHOWN, ContractError
from teilhabe.landing import Credentials
from teilhabe.messages import alerts, compose, compose_calendar, outbox
from teilhabe.messages.policy import load_policy
from teilhabe.ops import incident_answers, incidents
from teilhabe.pipeline import installing
from teilhabe.pipeline.follow_up import follow_up
from teilhabe.raw import loading
from teilhabe.settings import Settings
from tests.flow import FOREIGNERS, PEINE, POPULATION, Flow, copied, monitor, population

NOON = datetime(2030, 3, 5, 11, 0, tzinfo=UTC)
"""A Tuesday after every delivery here was judged."""
OFFICE = "integrationsmonitoring@statistik.niedersachsen.example"


def no_connection(name: str) -> Credentials:
    raise ContractError(f"There is no Airflow connection '{name}'.")


@pytest.fixture(scope="module")
def running(house: Settings, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    project = copied(tmp_path_factory.mktemp("project"), "state_statistics", "state_monitor", "register")
    settings = replace(house, project=project)
    installing.install(settings)
    return Flow(settings, settings.home / "drafts")


@pytest.fixture
def flow(running: Flow) -> Flow:
    """A home in which nothing has arrived and nobody was told anything."""
    running.empty()
    with loading.session(running.settings) as conn:
        conn.execute("truncate ops.message, ops.incident restart identity cascade")
        conn.execute("update ops.follow_up set since = '2020-01-01'")
    shutil.rmtree(running.settings.home / outbox.FOLDER, ignore_errors=True)
    (running.settings.home / "follow_up.yml").unlink(missing_ok=True)
    return running


def follow(flow: Flow, now: datetime = NOON, *, calendar: bool = False) -> outbox.Sent:
    if calendar:
        installing.refresh_calendar(flow.settings, now)
    return follow_up(flow.settings, now, no_connection, calendar=calendar)


def mailbox(flow: Flow) -> list[Any]:
    paths = sorted((flow.settings.home / outbox.FOLDER).glob("*.eml"))
    return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]


def kinds(flow: Flow) -> list[str]:
    return [kind for (kind,) in flow.ask("select kind from ops.message order by message_id")]


def said(mail: Any) -> str:
    return str(mail.get_body(("plain",)).get_content())


def good(year: int = 2022, value: object = 15000) -> bytes:
    return monitor([(year, "Peine", "K03157", value)])


def all_of(year: int) -> bytes:
    """So complete that nothing is remarked on."""
    return population(dict.fromkeys(PEINE, (1000, 500, 500)), year)


def test_a_refused_file_is_told_once_with_its_rows_and_mended_once(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, good(value="ca. 15000"), "zahlen.csv")
    assert follow(flow).sent == 1
    assert follow(flow).sent == 0
    [mail] = mailbox(flow)
    assert (mail["To"], mail["From"].addresses[0].domain) == (OFFICE, "landkreis-peine.example")
    assert mail["Subject"].startswith("Zurückgewiesen: ")
    assert "„ca. 15000“ ist keine Zahl" in said(mail)
    [workbook] = mail.iter_attachments()
    [sheet] = openpyxl.load_workbook(io.BytesIO(workbook.get_content())).worksheets
    assert [[cell.value for cell in row] for row in sheet["A1:F3"]] == [
        ["Zeile", "Beanstandung", "1", "2", "3", "4"],
        ["1", None, "Year", "Gebietseinheit", "GeoCode", "Value"],
        ["2", "„ca. 15000“ ist keine Zahl und kein vereinbartes Zeichen.", "2022", "Peine", "K03157", "ca. 15000"],
    ]

    flow.deliver(FOREIGNERS, good(value=15000), "zahlen.csv", at="2023-10-21")
    follow(flow, NOON + timedelta(hours=1))
    assert kinds(flow)[0] == "verdict"
    later = mailbox(flow)[1:]
    assert len(later) == 1, "one message per delivery, and no receipt beside it"
    assert later[0]["In-Reply-To"].strip() == mail["Message-ID"]


def test_a_burst_of_good_files_is_one_receipt(flow: Flow) -> None:
    for year in range(2015, 2023):
        flow.deliver(POPULATION, all_of(year), f"jahr{year}.csv")
    follow(flow)
    follow(flow, NOON + timedelta(days=1))
    remarks = flow.ask("select delivery_id from ops.finding where severity <> 'info'")
    assert remarks == [], "the files are meant to be good"
    assert kinds(flow) == ["receipt"]
    [mail] = mailbox(flow)
    assert "Ihre 8 Dateien zu" in said(mail)
    assert "- jahr2015.csv, eingegangen 20.10.2023" in said(mail)


def test_a_dataset_under_way_waits_for_its_receipt(flow: Flow) -> None:
    flow.deliver(POPULATION, all_of(2021), "eins.csv")
    flow.hand_in(POPULATION, all_of(2022), "zwei.csv")
    flow.archive(POPULATION)
    follow(flow)
    assert kinds(flow) == []
    flow.run(POPULATION)
    follow(flow)
    assert kinds(flow) == ["receipt"]


def test_tasks_that_follow_up_at_the_same_time_thank_once(flow: Flow) -> None:
    for year in range(2015, 2019):
        flow.deliver(POPULATION, all_of(year), f"jahr{year}.csv")
        flow.deliver(FOREIGNERS, good(year, "ca. 15000"), f"falsch{year}.csv")
    threads = [threading.Thread(target=follow, args=(flow,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kinds(flow)) == ["receipt", *["verdict"] * 4]
    assert flow.ask("select count(*), count(distinct delivery_id) from ops.message_delivery") == [(8, 8)]
    assert len(mailbox(flow)) == 5


def test_what_was_accepted_as_it_is_is_no_news_again(flow: Flow) -> None:
    bad = population({"03157006": (100, 50, 50)})
    flow.deliver(POPULATION, bad)
    follow(flow)
    assert kinds(flow) == ["verdict"]
    with loading.session(flow.settings) as conn:
        for (one,) in conn.execute("select incident_id from ops.incident").fetchall():
            incident_answers.waive(conn, one, "board", NOON, "nur eine Gemeinde meldet", date(2031, 1, 1))
    flow.deliver(POPULATION, population({"03157006": (101, 51, 50)}), at="2023-10-22")
    follow(flow)
    assert kinds(flow) == ["verdict", "receipt"]


def test_a_file_about_persons_leaves_no_trace_in_a_message(flow: Flow) -> None:
    people = b"Vorname;Nachname;Geburtsdatum\nErika;Muster;02.03.1999\nMax;Muster;04.05.1988\n"
    flow.deliver(POPULATION, people, "Erika Muster.csv")
    follow(flow)
    [(row,)] = flow.ask("select to_jsonb(m) from ops.message as m")
    assert row["kind"] == "verdict"
    for text in ("Erika", "Muster", "1999"):
        assert text not in json.dumps(row, ensure_ascii=False)
    assert row["attachments"] == []
    [mail] = mailbox(flow)
    assert b"Muster" not in mail.as_bytes()


def test_an_office_without_an_address_is_the_operators_business(flow: Flow) -> None:
    (flow.settings.home / "follow_up.yml").write_text("offices: {state_monitor: {addresses: []}}\n")
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    assert follow(flow).sent == 1
    assert flow.ask("select kind, state from ops.message order by 1 desc") == [
        ("verdict", "undeliverable"), ("operators", "sent"),
    ]  # fmt: skip
    assert "Keine Adresse für state_monitor__foreigners" in mailbox(flow)[0]["Subject"]


def test_what_follows_from_something_accepted_is_told_as_the_news_it_is(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = flow.deliver(POPULATION, population({"03157006": (100, 50, 50)}))
    follow(flow)
    cause, consequence = (
        f"insert into ops.finding (delivery_id, severity, rule, message) values (%s, 'warning', '{rule}', 'Satz zu {rule}.')"
        " returning 1"
        for rule in ("key.unlisted", "period.incomplete")
    )
    with loading.session(flow.settings) as conn:
        conn.execute("truncate ops.message, ops.incident restart identity cascade")
    flow.ask("delete from ops.finding where delivery_id = %s returning 1", number)
    flow.ask(cause, number)
    flow.ask("update ops.delivery set followed_at = null returning 1")
    follow(flow)
    with loading.session(flow.settings) as conn:
        incident_answers.waive(conn, 1, "board", NOON, "gewollt", date(2031, 1, 1))
    flow.ask(consequence, number)
    flow.ask("update ops.message set dedup_key = 'before' returning 1")
    flow.ask("update ops.delivery set followed_at = null returning 1")
    follow(flow, NOON + timedelta(hours=1))
    assert "Satz zu period.incomplete." in said(mailbox(flow)[-1])
    assert "Satz zu key.unlisted." not in said(mailbox(flow)[-1])


def test_what_had_no_address_is_sent_when_there_is_one_and_a_person_says_so(flow: Flow) -> None:
    (flow.settings.home / "follow_up.yml").write_text("offices: {state_monitor: {addresses: []}}\n")
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    follow(flow)
    (flow.settings.home / "follow_up.yml").write_text("offices: {state_monitor: {addresses: [neu@amt.example]}}\n")
    assert follow(flow, NOON + timedelta(hours=1)).sent == 0, "it may be old news"
    with loading.session(flow.settings) as conn:
        outbox.resend(conn, 1, NOON + timedelta(hours=2))
    assert follow(flow, NOON + timedelta(hours=2)).sent == 1
    assert mailbox(flow)[0]["To"] == "neu@amt.example"


def test_what_waits_goes_where_the_office_is_reached_by_then(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    evening = NOON.replace(hour=20)
    (flow.settings.home / "follow_up.yml").write_text("channels: {default: webhook}\n")
    assert (follow(flow, evening).sent, flow.ask("select channel from ops.message")) == (0, [("webhook",)])
    own = "channels: {default: drop}\noffices: {state_monitor: {addresses: [neu@amt.example]}}\n"
    (flow.settings.home / "follow_up.yml").write_text(own)
    assert follow(flow, NOON + timedelta(days=1)).sent == 1
    [mail] = mailbox(flow)
    assert mail["To"] == "neu@amt.example"


def test_what_another_side_may_have_taken_stays_with_it(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    follow(flow, NOON.replace(hour=20))
    flow.ask("update ops.message set channel = 'webhook', attempts = 1 returning 1")
    follow(flow, NOON + timedelta(days=1))
    assert (mailbox(flow)[1:], flow.ask("select channel from ops.message where kind = 'verdict'")) == (
        [],
        [("webhook",)],
    )


def test_an_office_that_has_no_address_any_more_gets_nothing_and_the_operators_hear(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    follow(flow, NOON.replace(hour=20))
    (flow.settings.home / "follow_up.yml").write_text("offices: {state_monitor: {addresses: []}}\n")
    follow(flow, NOON + timedelta(days=1))
    assert flow.ask("select kind, state from ops.message order by 1 desc") == [
        ("verdict", "undeliverable"), ("operators", "sent"),
    ]  # fmt: skip


def test_a_clock_that_was_put_back_holds_nothing_back(flow: Flow) -> None:
    (flow.settings.home / "follow_up.yml").write_text("rate_limit_per_hour: 1\n")
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    follow(flow)
    flow.ask("update ops.message set sent_at = %s returning 1", NOON + timedelta(days=7))
    flow.deliver(FOREIGNERS, good(2021, value="ca. 14000"))
    assert follow(flow, NOON + timedelta(minutes=1)).sent == 1


def test_in_the_evening_it_waits_for_the_morning(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    evening = NOON.replace(hour=20)
    assert (follow(flow, evening).sent, kinds(flow)) == (0, ["verdict"])
    assert follow(flow, NOON.replace(day=6, hour=6, minute=1)).sent == 1


def test_verdicts_from_before_the_installation_are_nobodys_news(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    flow.deliver(POPULATION, all_of(2022))
    flow.ask("update ops.follow_up set since = (now() + interval '2 days')::date returning since")
    follow(flow)
    assert kinds(flow) == []
    assert flow.ask("select count(*) > 0 from ops.incident") == [(True,)]


class Killed(BaseException):
    """What ends a process: nothing in the code may catch it."""


@pytest.mark.parametrize("at", ["about_delivery", "receipts"])
def test_killed_while_composing_nothing_is_lost_and_nothing_doubled(
    flow: Flow, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    flow.deliver(POPULATION, all_of(2022))
    whole = getattr(compose, at)

    def killed(*arguments: Any) -> None:
        whole(*arguments)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(compose, at, killed)
        with pytest.raises(Killed):
            follow(flow)
    follow(flow)
    assert sorted(kinds(flow)) == ["receipt", "verdict"]
    assert len(mailbox(flow)) == 2
    assert flow.ask("select max(times_seen) from ops.incident") == [(1,)]


def test_a_text_that_is_wrong_is_said_and_catches_up_when_mended(flow: Flow) -> None:
    texts = flow.settings.home / "texts"
    texts.mkdir(exist_ok=True)
    (texts / "verdict.txt.j2").write_text("Betreff: {{ unbekannt }}\n\nx\n")
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    flow.deliver(POPULATION, all_of(2022))
    try:
        with pytest.raises(ContractError, match=r"verdict\.txt\.j2"):
            follow(flow)
        assert kinds(flow) == ["receipt", "operators"], "the others do not wait for it"
        with pytest.raises(ContractError):
            follow(flow)
    finally:
        shutil.rmtree(texts)
    follow(flow)
    assert kinds(flow) == ["receipt", "operators", "verdict"]
    assert "delivery 1" in mailbox(flow)[1]["Subject"]


def test_an_error_in_one_follow_up_stops_no_other_and_quotes_no_file(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    flow.deliver(FOREIGNERS, good(2021, value="ca. 14000"))
    flow.deliver(POPULATION, all_of(2022))
    real = incidents.follow

    def poisoned(conn: Any, contract: Any, delivery_id: int, now: datetime) -> Any:
        if delivery_id == bad:
            raise ValueError("ca. 15000 of Erika Muster")
        return real(conn, contract, delivery_id, now)

    monkeypatch.setattr(incidents, "follow", poisoned)
    for hour in range(3):
        with pytest.raises(ValueError, match="Erika"):
            follow(flow, NOON + timedelta(hours=hour))
    assert sorted(kinds(flow)) == ["operators", "receipt", "verdict"]
    assert not any(b"Erika" in mail.as_bytes() for mail in mailbox(flow))
    monkeypatch.undo()
    follow(flow, NOON + timedelta(hours=4))
    assert sorted(kinds(flow)) == ["operators", "receipt", "verdict", "verdict"]


def test_a_contract_that_is_wrong_keeps_no_other_receipt_and_no_reminder_back(flow: Flow) -> None:
    flow.deliver(POPULATION, all_of(2025), at="2026-06-01")
    contract = flow.settings.agencies / "state_statistics" / "population.odcs.yaml"
    flow.deliver(FOREIGNERS, good(2025), at="2026-06-01")
    [(due, dataset)] = flow.ask(
        "select due_on, dataset_id from ops.delivery_calendar where dataset_id = 'state_monitor__naturalisations'"
        " and due_on > '2027-01-01' order by due_on limit 1"
    )
    flow.ask("update ops.follow_up set since = %s returning since", due)
    flow.ask("update ops.delivery set state_at = %s returning delivery_id", due)
    kept = contract.read_text(encoding="utf-8")
    contract.write_text("nothing: sensible\n")
    noon = datetime(due.year, due.month, due.day, 11, 0, tzinfo=UTC) - timedelta(days=3)
    try:
        with pytest.raises(ContractError):
            follow_up(flow.settings, noon, no_connection, calendar=True)
    finally:
        contract.write_text(kept, encoding="utf-8")
    assert ("reminder",) in flow.ask("select kind from ops.message where dataset_id = %s", dataset)
    assert told(flow, FOREIGNERS) != []
    assert told(flow, POPULATION) == []
    follow_up(flow.settings, noon, no_connection, calendar=True)
    assert told(flow, POPULATION) != []


def test_the_same_refused_file_again_is_told_once_and_an_accepted_one_never(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, good(value="ca. 15000"), "zahlen.csv")
    flow.deliver(POPULATION, all_of(2022))
    follow(flow)
    flow.deliver(FOREIGNERS, good(value="ca. 15000"), "noch einmal.csv", at="2023-10-21")
    flow.deliver(POPULATION, all_of(2022), at="2023-10-21")
    for hour in (1, 2):
        follow(flow, NOON + timedelta(hours=hour))
    assert kinds(flow) == ["verdict", "receipt", "repeat"]
    first, _, again = mailbox(flow)
    assert again["In-Reply-To"].strip() == first["Message-ID"]
    assert again["To"] == OFFICE
    assert "„noch einmal.csv“ ist am 21.10.2023" in said(again)
    assert "Bitte senden Sie die berichtigte Datei" in said(again)

    for days in (2, 30):
        flow.deliver(FOREIGNERS, good(value="ca. 15000"), "alle Jahre.csv", at=f"2023-10-{20 + days // 15}")
        follow(flow, NOON + timedelta(days=days))
    assert kinds(flow) == ["verdict", "receipt", "repeat"], "whoever sends everything again is not answered again"

    flow.deliver(FOREIGNERS, good(value=15000), "zahlen.csv", at="2023-10-24")
    flow.deliver(FOREIGNERS, good(value="ca. 15000"), "zahlen.csv", at="2023-10-25")
    follow(flow, NOON + timedelta(days=31))
    assert kinds(flow)[-1] == "repeat"
    assert "Es ist nichts zu tun." in said(mailbox(flow)[-1])


def test_a_refused_file_about_persons_that_comes_again_keeps_its_name(flow: Flow) -> None:
    people = b"Vorname;Nachname;Geburtsdatum\nErika;Muster;02.03.1999\nMax;Muster;04.05.1988\n"
    for day in (20, 21):
        flow.deliver(POPULATION, people, "Erika Muster.csv", at=f"2023-10-{day}")
    follow(flow)
    assert kinds(flow) == ["verdict", "repeat"]
    assert not any(b"Muster" in mail.as_bytes() for mail in mailbox(flow))


def test_a_refused_archive_that_comes_again_is_told_as_well(flow: Flow) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("zahlen.csv", good(value="ca. 15000"))
    flow.deliver(FOREIGNERS, out.getvalue(), "alles.zip")
    flow.deliver(FOREIGNERS, out.getvalue(), "alles.zip", at="2023-10-21")
    follow(flow)
    assert kinds(flow) == ["verdict", "repeat"]


def test_what_waits_for_a_persons_yes_is_neither_asked_for_nor_thanked_nor_in_the_way(flow: Flow) -> None:
    [(due, grace)] = flow.ask(
        "select due_on, grace_until from ops.delivery_calendar where dataset_id = %s and period_code = '2025-12-31'",
        POPULATION,
    )
    flow.ask("update ops.follow_up set since = %s returning since", due)
    flow.hand_in(POPULATION, all_of(2025), "eins.csv", at=(due - timedelta(days=20)).isoformat())
    flow.archive(POPULATION)
    [held] = flow.judge(POPULATION)
    with loading.session(flow.settings) as conn:
        ops.ask_approval(conn, held, 72)
    through(flow, due - timedelta(days=8), due - timedelta(days=6))
    through(flow, grace, grace + timedelta(days=2))
    through(flow, grace + timedelta(days=30), grace + timedelta(days=31))
    assert told(flow, POPULATION) == []
    flow.ask("update ops.delivery set state_at = %s returning delivery_id", due + timedelta(days=1))
    flow.hand_in(POPULATION, all_of(2024), "zwei.csv", at=due.isoformat())
    flow.archive(POPULATION)
    flow.judge(POPULATION)
    flow.load(POPULATION)
    flow.ask("update ops.delivery set state_at = %s returning delivery_id", due + timedelta(days=1))
    through(flow, grace + timedelta(days=32), grace + timedelta(days=32))
    assert told(flow, POPULATION) == [("receipt", "2024-12-31")]
    with loading.session(flow.settings) as conn:
        assert ops.answer(conn, held, publish=True, actor="board")
    flow.load(POPULATION)
    flow.ask("update ops.delivery set state_at = %s returning delivery_id", due + timedelta(days=1))
    through(flow, grace + timedelta(days=33), grace + timedelta(days=33))
    assert told(flow, POPULATION) == [("receipt", "2024-12-31"), ("receipt", "2025-12-31")]


def test_who_wanted_no_thanks_for_a_year_is_not_thanked_for_it_later(flow: Flow) -> None:
    (flow.settings.home / "follow_up.yml").write_text("offices: {state_statistics: {kinds: [verdict]}}\n")
    flow.deliver(POPULATION, all_of(2021), "alt.csv")
    follow(flow)
    (flow.settings.home / "follow_up.yml").unlink()
    flow.deliver(POPULATION, all_of(2022), "neu.csv")
    follow(flow, NOON + timedelta(days=300))
    [mail] = mailbox(flow)
    assert "neu.csv" in said(mail)
    assert "alt.csv" not in said(mail)


def test_each_unreadable_file_nobody_mends_is_escalated(flow: Flow) -> None:
    """Without a period nothing but its opening tells it from the one before."""
    policy, known = load_policy(flow.settings), lookup.contracts(flow.settings)
    for n, start in enumerate((NOON, NOON + timedelta(days=100))):
        flow.deliver(FOREIGNERS, b"PK\x03\x04 kaputt %d" % n, "kaputt.xlsx", at=f"2023-10-2{n}")
        follow(flow, start)
        for days in (40, 41):
            with loading.session(flow.settings) as conn:
                compose_calendar.about_calendar(conn, policy, known, start + timedelta(days=days), _fail)
                conn.commit()
            about = (
                "select count(*) from ops.message where kind = 'escalation' and dataset_id = %s and period_code is null"
            )
            assert flow.ask(about, FOREIGNERS) == [(n + 1,)]
        flow.ask(
            "update ops.incident set state = 'fixed', closed_at = %s where dataset_id = %s returning 1",
            start,
            FOREIGNERS,
        )


def _fail(what: str, error: Exception) -> None:
    raise AssertionError(what) from error


# The calendar


def through(flow: Flow, first: date, last: date) -> None:
    """Every morning, as the calendar DAG."""
    day = first
    while day <= last:
        follow(flow, datetime(day.year, day.month, day.day, 9, 0, tzinfo=UTC), calendar=True)
        day += timedelta(days=1)


def test_a_year_of_silence_is_one_reminder_one_notice_and_one_escalation(flow: Flow) -> None:
    """The population at 31 December, which never came before either."""
    dataset = POPULATION
    [(due, grace)] = flow.ask(
        "select due_on, grace_until from ops.delivery_calendar where dataset_id = %s and period_code = '2025-12-31'",
        dataset,
    )
    flow.ask("update ops.follow_up set since = %s returning since", due)
    start = due - timedelta(days=9)
    through(flow, start, due - timedelta(days=6))
    assert told(flow, dataset) == [("reminder", "2025-12-31")]
    through(flow, grace, grace + timedelta(days=2))
    assert told(flow, dataset) == [("reminder", "2025-12-31"), ("overdue", "2025-12-31")]
    through(flow, grace + timedelta(days=21), grace + timedelta(days=26))
    assert [kind for kind, _ in told(flow, dataset)] == ["reminder", "overdue", "escalation"]
    [escalated] = flow.ask("select recipient from ops.message where kind = 'escalation' and dataset_id = %s", dataset)
    assert escalated == (load_policy(flow.settings).coordination.address,)


def test_what_was_withdrawn_is_asked_for_as_such(flow: Flow) -> None:
    [(due, grace)] = flow.ask(
        "select due_on, grace_until from ops.delivery_calendar where dataset_id = %s and period_code = '2025-12-31'",
        POPULATION,
    )
    flow.ask("update ops.follow_up set since = %s returning since", due)
    number = flow.deliver(POPULATION, all_of(2025), at=(due - timedelta(days=30)).isoformat())
    through(flow, due - timedelta(days=7), due - timedelta(days=5))
    with loading.session(flow.settings) as conn:
        withdraw(conn, number, reason="falscher Stichtag", actor="board", now=NOON)
    gone = grace + timedelta(days=3)
    flow.ask("update ops.delivery set state_at = %s where state = 'withdrawn' returning 1", gone)
    through(flow, gone, gone + timedelta(days=3))
    assert told(flow, POPULATION) == [("receipt", "2025-12-31"), ("overdue", "2025-12-31")]
    [mail] = [one for one in mailbox(flow) if f"Fehlt seit {gone:%d.%m.%Y}: " in str(one["subject"])]
    text = " ".join(said(mail).split())
    assert f"fällig; was dazu eingegangen war, ist am {gone:%d.%m.%Y} zurückgezogen worden. Bitte holen Sie sie" in text
    assert "nicht eingegangen" not in text


def test_what_came_in_time_is_not_asked_for(flow: Flow) -> None:
    [(due,)] = flow.ask(
        "select due_on from ops.delivery_calendar where dataset_id = %s and period_code = '2025-12-31'", POPULATION
    )
    flow.ask("update ops.follow_up set since = %s returning since", due)
    flow.deliver(POPULATION, all_of(2025), at=(due - timedelta(days=30)).isoformat())
    through(flow, due - timedelta(days=7), due - timedelta(days=5))
    assert told(flow, POPULATION) == [("receipt", "2025-12-31")]


def test_a_refused_file_is_not_asked_for_as_well(flow: Flow) -> None:
    """Its office has a message, with a day to mend it by, and no second cause to write to it about the same period."""
    [(due, grace)] = flow.ask(
        "select due_on, grace_until from ops.delivery_calendar where dataset_id = %s and period_code = '2025-12-31'",
        POPULATION,
    )
    flow.ask("update ops.follow_up set since = %s returning since", due)
    flow.deliver(
        POPULATION, population({"03157006": ("viele", 500, 500)}, 2025), at=(due - timedelta(days=9)).isoformat()
    )
    through(flow, due - timedelta(days=8), due - timedelta(days=6))
    through(flow, grace, grace + timedelta(days=2))
    assert [kind for kind, _ in told(flow, POPULATION)][:1] == ["verdict"]
    assert "reminder" not in [kind for kind, _ in told(flow, POPULATION)]
    assert "overdue" not in [kind for kind, _ in told(flow, POPULATION)]


def told(flow: Flow, dataset: str) -> list[tuple[str, str | None]]:
    return flow.ask("select kind, period_code from ops.message where dataset_id = %s order by message_id", dataset)  # type: ignore[return-value]


# The operators


def test_operators_hear_once_a_day_and_cause_at_any_hour(flow: Flow) -> None:
    night = NOON.replace(hour=23)
    for _ in range(3):
        alerts.raise_alert(flow.settings, no_connection, "DAG fehlgeschlagen: x", "Grund", "dag:x", night)
    alerts.raise_alert(flow.settings, no_connection, "DAG fehlgeschlagen: y", "Grund", "dag:y", night)
    alerts.raise_alert(
        flow.settings, no_connection, "DAG fehlgeschlagen: x", "Grund", "dag:x", night + timedelta(days=1)
    )
    assert [mail["Subject"] for mail in mailbox(flow)] == [
        "[teilhabe] DAG fehlgeschlagen: x", "[teilhabe] DAG fehlgeschlagen: y", "[teilhabe] DAG fehlgeschlagen: x",
    ]  # fmt: skip
    assert {mail["To"] for mail in mailbox(flow)} == {"datenbetrieb@landkreis-peine.example"}


@pytest.mark.parametrize(
    ("agreed", "reached"),
    [
        ("operators: {address: nachtdienst@kreis.example}\nquiet_hours: {form: '9'}\n", "nachtdienst@kreis.example"),
        ("operators: [\n", "datenbetrieb@landkreis-peine.example"),
    ],
)
def test_a_mistake_in_what_was_agreed_reaches_the_operators_and_no_office(
    flow: Flow, agreed: str, reached: str
) -> None:
    """The offices' messages wait until it is mended."""
    path = flow.settings.home / "follow_up.yml"
    path.write_text("quiet_hours: null\nretry: {attempts: 3, minutes: 1}\n", encoding="utf-8")
    flow.deliver(FOREIGNERS, good(value="ca. 15000"), "zahlen.csv")
    with patch.object(outbox, "send_due", return_value=outbox.Sent()):
        follow(flow)
    path.write_text(agreed, encoding="utf-8")
    with pytest.raises(ContractError, match=r"follow_up\.yml"):
        follow(flow)
    alerts.raise_alert(flow.settings, no_connection, "DAG fehlgeschlagen: messages", "Grund", "dag:messages", NOON)
    assert [(mail["Subject"], mail["To"]) for mail in mailbox(flow)] == [
        ("[teilhabe] DAG fehlgeschlagen: messages", reached)
    ]
    path.unlink()
    assert follow(flow).sent == 1


def test_a_hundred_thousand_findings_are_summed_up_and_listed_completely(flow: Flow) -> None:
    """The mail names the count and some of the rows; the list at the desk holds all of them."""
    number = flow.deliver(FOREIGNERS, monitor([(2022, "Peine", "K03157", "viele")] * 100_000), "zahlen.csv")
    kept = flow.ask(
        "select f.row_count, count(*), count(distinct e.row_number) from ops.finding as f"
        " inner join ops.evidence as e using (finding_id) where f.rule = 'value.not_a_number' group by 1"
    )
    assert kept == [(100_000, 100_000, 100_000)]
    assert all(len(one.evidence) <= EVIDENCE_SHOWN for one in flow.findings(number))
    assert follow(flow).sent == 1
    [mail] = mailbox(flow)
    assert "Gezeigt sind 10 von insgesamt 199.999 betroffenen Stellen." in said(mail) and len(said(mail)) < 10_000
    [workbook] = mail.iter_attachments()
    assert len(workbook.get_content()) < 1_000_000


def test_a_disk_that_is_nearly_full_is_told(flow: Flow) -> None:
    with loading.session(flow.settings) as conn:
        policy = load_policy(flow.settings)
        assert not alerts.check_disk(conn, _with(policy, low_disk_percent=0), NOON)
        assert alerts.check_disk(conn, _with(policy, low_disk_percent=99.999), NOON)
    assert flow.ask("select kind, subject from ops.message") == [("operators", "[teilhabe] Speicherplatz wird knapp")]


def _with(policy: Any, **changes: Any) -> Any:
    changed = policy.model_copy(update=changes)
    changed._settings = policy.settings
    return changed


# The command line


@pytest.fixture
def teilhabe(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("TEILHABE_HOME", str(flow.settings.home))
    monkeypatch.setenv("TEILHABE_PROJECT", str(flow.settings.project))
    for module in (cli, messages_commands):
        monkeypatch.setattr(module, "connections", lambda settings: no_connection)

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli.app, arguments)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            return 1, str(done.exception)
        return done.exit_code, done.output

    return run


def test_messages_on_the_command_line(flow: Flow, teilhabe: Callable[..., tuple[int, str]]) -> None:
    flow.deliver(FOREIGNERS, good(value="ca. 15000"))
    (flow.settings.home / "follow_up.yml").write_text("quiet_hours: null\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outbox, "send_due", lambda *_: outbox.Sent())
        follow(flow, datetime.now(UTC))
    code, said_now = teilhabe("messages", "send", "--dry-run")
    assert (code, mailbox(flow)) == (0, [])
    assert f"1 verdict by drop to {OFFICE}, now: Zurückgewiesen" in said_now
    assert "1 would be sent now, 1 are due." in said_now
    assert teilhabe("messages", "send") == (0, "1 sent, 0 failed, 0 waiting.\n")
    assert len(mailbox(flow)) == 1
    assert "Zurückgewiesen" in teilhabe("messages", "list")[1]
    assert [row["state"] for row in json.loads(teilhabe("messages", "list", "--json")[1])] == ["sent"]
    assert "„ca. 15000“ ist keine Zahl" in teilhabe("messages", "show", "1")[1]
    assert teilhabe("messages", "resend", "1") == (
        1,
        "Message 1 is sent; only failed, uncertain or undeliverable ones are sent again.",
    )
    assert teilhabe("messages", "show", "2") == (1, "There is no message 2.")


def test_a_message_can_be_looked_at_before_anything_happens(
    flow: Flow, teilhabe: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, text = teilhabe("messages", "preview", "verdict", FOREIGNERS)
    assert (code, text.splitlines()[0][:22]) == (0, "Betreff: Zurückgewiese")
    assert teilhabe("messages", "preview", "verdict", FOREIGNERS, "--out", str(tmp_path / "v"))[0] == 0
    assert {path.name for path in (tmp_path / "v").iterdir()} == {"verdict.txt", "verdict.html", "verdict.xlsx"}
    assert teilhabe("messages", "preview", "nichts")[0] == 2
    assert kinds(flow) == []


def test_the_watch_tells_what_does_not_report(
    flow: Flow, teilhabe: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real api-server's report, and none."""
    healthy = {"status": "healthy"}
    report = {
        "metadatabase": healthy,
        "scheduler": {"status": "unhealthy"},
        "triggerer": healthy,
        "dag_processor": healthy,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(report).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{api.server_port}"
        assert teilhabe("watch", "--once", "--url", url)[0] == 1
        assert teilhabe("watch", "--once", "--url", url)[0] == 1
        report["scheduler"] = healthy
        assert teilhabe("watch", "--once", "--url", url) == (0, "All components report.\n")
        api.shutdown()
    assert teilhabe("watch", "--once", "--url", url)[0] == 1
    assert [mail["Subject"] for mail in mailbox(flow)] == [
        "[teilhabe] Airflow steht: scheduler", "[teilhabe] Airflow steht: api-server",
    ]  # fmt: skip
