"""Messages to the offices: what they say, what they never say, when they may go out, and the workbook beside them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts, parse_contract
from teilhabe.errors import ContractError, Evidence, Finding
from teilhabe.findings import saying
from teilhabe.messages import compose, evidence, writing
from teilhabe.messages.examples import example
from teilhabe.messages.policy import Policy, load_policy
from teilhabe.messages.rendering import KINDS, Kind, for_period, more, plain, render, table
from teilhabe.ops import Delivery
from teilhabe.settings import get_settings

PROJECT = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts(PROJECT / "agencies")
FOREIGNERS = CONTRACTS["state_monitor__foreigners"]
HOUSING = CONTRACTS["housing__accommodation"]
"""Values from 1 to 4 are secret here (min5)."""
NOON = datetime(2026, 3, 3, 11, 0, tzinfo=UTC)


@pytest.fixture
def make_policy(tmp_path: Path) -> Callable[..., Policy]:
    def make(text: str = "", **files: str) -> Policy:
        home = tmp_path / "home"
        (home / "texts").mkdir(parents=True, exist_ok=True)
        (home / "follow_up.yml").write_text(text, encoding="utf-8")
        for name, content in files.items():
            (home / "texts" / f"{name}.txt.j2").write_text(content, encoding="utf-8")
        return load_policy(replace(get_settings({"TEILHABE_HOME": str(home)}), project=PROJECT))

    return make


@pytest.fixture
def policy(make_policy: Callable[..., Policy]) -> Policy:
    return make_policy()


def delivery(**said: Any) -> Delivery:
    given: dict[str, Any] = {
        "delivery_id": 42, "dataset_id": FOREIGNERS.dataset_id, "file_name": "zahlen.csv", "sha256": "0" * 64, "size_bytes": 1,
        "received_at": NOON, "received_from": None, "source": "inbox", "period_stated": None, "archive_uri": "",
        "state": "quarantined", "duplicate_of": None, "rules_version": None, "layout": None, "period_inferred": None,
        "row_count": None, "sender_code": None, "container_id": None,
    }  # fmt: skip
    return Delivery(**{**given, **said})


def finding(*places: tuple[int, str, str], **said: Any) -> Finding:
    row, column, found = places[0] if places else (None, None, None)
    given: dict[str, Any] = {
        "severity": "critical",
        "rule": "value.not_a_number",
        "message": "",
        "what": "{place}„{found}“ ist keine Zahl",
        "row": row,
        "column": column,
        "found": found,
        "expected": "eine Zahl",
        "row_count": max(1, len(places)),
        "evidence": tuple(Evidence(*place) for place in places),
    }
    return Finding(**{**given, **said})


def verdict(policy: Policy, findings: Sequence[Finding], contract: Contract = FOREIGNERS, **said: Any) -> Any:
    about = {"reply_by": date(2026, 3, 10), "periods": ["2025-12-31"], **said}
    file = about.pop("delivery", delivery())
    context = compose.verdict_context(
        policy, contract, policy.recipient(contract, file.sender_code), file, findings, **about
    )
    return render(policy, "verdict", context)


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def cells(content: bytes | None) -> dict[str, list[list[Any]]]:
    assert content is not None
    return {
        sheet.title: [list(row) for row in sheet.iter_rows()] for sheet in openpyxl.load_workbook(io.BytesIO(content))
    }


def texts(content: bytes | None) -> list[list[str]]:
    [rows] = cells(content).values()
    return [[str(cell.value or "") for cell in row] for row in rows]


def marked(content: bytes | None) -> list[str]:
    return [
        str(cell.value)
        for rows in cells(content).values()
        for row in rows
        for cell in row
        if cell.fill.fgColor.rgb == "00F6C7C3"
    ]


def made(path: Path, findings: Sequence[Finding], contract: Contract = FOREIGNERS, **said: Any) -> bytes | None:
    given = {"rows": 1000, "size": 5_000_000, "complete_at": "http://desk.example/deliveries/42", **said}
    return evidence.workbook(contract, path, path.name, findings, **given)


def write(folder: Path, text: str, name: str = "zahlen.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# What a message says


def test_a_verdict_says_what_where_how_by_when_and_whom_to_ask(policy: Policy) -> None:
    said = verdict(policy, [finding((2, "Value", "ca. 15000"))], attachment="Beanstandungen_42.xlsx")
    assert said.subject == "Zurückgewiesen: Ausländische Bevölkerung (Ausländerzentralregister), 31.12.2025"
    for part in (
        "konnte nicht übernommen werden",
        "bis zum 10.03.2026",
        "- Datei: zahlen.csv\n- Eingegangen: 03.03.2026, 12:00 Uhr (MEZ)\n- Zeitraum: 31.12.2025\n",
        "- Fehler: Zeile 2, Spalte „Value“: „ca. 15000“ ist keine Zahl. Erwartet: eine Zahl.\n",
        "| Zeile | Spalte | Gefunden  | Erwartet  |\n| 2     | Value  | ca. 15000 | eine Zahl |\n",
        "„Beanstandungen_42.xlsx“ im Anhang",
        "- So liefern Sie: Als Datei über den Eingangsordner des Landkreises\n- Bis wann: 10.03.2026\n",
        f"\n{policy.desk}/deliveries/42\n",
        f"an {policy.coordination.address} oder Telefon {policy.coordination.phone}",
    ):
        assert part in said.text, part


def test_what_follows_from_a_finding_is_counted(policy: Policy) -> None:
    one, two = (verdict(policy, [finding((2, "Value", "x"))], consequence_count=n).text for n in (1, 2))
    assert "- Eine weitere Beanstandung folgt daraus und erledigt sich mit der Berichtigung.\n" in one
    assert "- 2 weitere Beanstandungen folgen daraus" in two


def test_a_warning_is_no_refusal(policy: Policy) -> None:
    said = verdict(policy, [finding((2, "Value", "9"), severity="warning")], delivery=delivery(state="loaded"))
    assert said.subject.startswith("Angenommen, bitte prüfen: ")
    assert "ist übernommen" in said.text
    assert "Stimmen die Angaben, ist nichts zu tun" in said.text
    assert "zurückgewiesen" not in said.text.lower()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dataset_id", [FOREIGNERS.dataset_id, HOUSING.dataset_id])
def test_text_and_html_say_the_same_and_the_html_is_well_formed(policy: Policy, kind: Kind, dataset_id: str) -> None:
    said = example(policy, CONTRACTS[dataset_id], kind, NOON).text
    page = Page(said.html)
    assert not {"script", "style", "link", "img"} & set(page.tags), "mail programs take none of them"
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", said.html))
    for line in said.text.splitlines():
        for part in re.split(r"\s*\|\s*", line.removeprefix("- ")):
            if part.strip("- "):
                assert " ".join(part.split()) in words, part
    assert "\n\n\n" not in said.text
    assert "None" not in said.text
    assert not re.search(r"[{}]", said.text)


@pytest.mark.parametrize("dataset_id", sorted(CONTRACTS))
def test_every_dataset_has_a_verdict_with_a_workbook(policy: Policy, dataset_id: str) -> None:
    shown = example(policy, CONTRACTS[dataset_id], "verdict", NOON)
    assert CONTRACTS[dataset_id].title_de in shown.text.text
    assert marked(shown.workbook) == ["ca. 120"]


def test_demo_messages_say_that_nobody_is_meant(policy: Policy) -> None:
    assert "Demo: erfundene Zahlen" in verdict(policy, [finding()], is_demo=True).text
    assert "Demo" not in verdict(policy, [finding()]).text


# What it never says or does


def test_html_in_a_cell_and_a_file_name_is_text(policy: Policy) -> None:
    bad = """<img src=x onerror=alert(1)><b>&"' http://boese.example/desk"""
    said = verdict(policy, [finding((2, bad, bad))], delivery=delivery(file_name=f"{bad}.csv"))
    assert {"img", "b"}.isdisjoint(Page(said.html).tags)
    assert "&lt;img src=x onerror=alert(1)&gt;" in said.html
    upload = f"{policy.desk}/upload?dataset={FOREIGNERS.dataset_id}"
    assert Page(said.html).links == [upload, f"{policy.desk}/deliveries/42"]


@pytest.mark.parametrize(
    "bad", ["a\nBetreff: x", "Zeile\n----\nText", "- Punkt", "| a | b |", "\r\nBcc: x@y.example", "\x00\x1b[31m"]
)
def test_nothing_in_a_file_can_pass_for_a_part_of_the_message(policy: Policy, bad: str) -> None:
    clean = verdict(policy, [finding((2, "Value", "12"))], delivery=delivery(file_name="12"))
    said = verdict(policy, [finding((2, "Value", bad))], delivery=delivery(file_name=bad))
    assert Page(said.html).tags == Page(clean.html).tags
    assert said.text.count("\n") == clean.text.count("\n")
    assert "\n" not in said.subject


def test_of_a_file_about_persons_neither_name_nor_cell_is_repeated(policy: Policy) -> None:
    persons = finding(
        rule="file.person_level",
        what="Die Datei enthält Angaben zu einzelnen Personen.",
        found=None,
    )
    other = finding((2, "Name", "Ali Muster"), severity="warning")
    said = verdict(policy, [persons, other], delivery=delivery(file_name="Ali Muster.csv"), is_personal=True)
    assert "Ali" not in said.subject + said.text + said.html
    assert "nur zusammengefasste Zahlen" in said.text


def test_of_a_file_only_the_workbook_takes_for_one_about_persons_no_finding_is_quoted(policy: Policy) -> None:
    other = finding((2, "Name", "Ali Muster"))
    said = verdict(policy, [other], is_personal=True)
    assert "Muster" not in said.subject + said.text + said.html
    assert "anscheinend Angaben zu einzelnen Personen" in said.text


def test_one_is_one_and_several_are_several(policy: Policy) -> None:
    assert more(1, "eine weitere Datei", "weitere Dateien") == "eine weitere Datei"
    assert more(1200, "eine weitere Datei", "weitere Dateien") == "1.200 weitere Dateien"
    base = {"dataset": "X", "period": "", "url": policy.desk, "file": "a.csv", "received": "heute", "office": "Amt"}
    closed = render(policy, "closing", {**base, "matters": ["Eins."], "matter_count": 1}).text
    assert "Damit ist diese Beanstandung erledigt:" in closed
    many = render(policy, "closing", {**base, "matters": ["Eins."], "matter_count": 2}).text
    assert "Damit sind diese Beanstandungen erledigt:\n\n- Eins.\n- und eine weitere\n" in many
    raised = {**base, "matters": ["Eins."], "more_matters": 1}
    assert "- und ein weiterer Punkt\n" in render(policy, "escalation", {**raised, "told": "a@amt.example"}).text
    nobody = render(policy, "escalation", {**raised, "told": None}).text
    assert "etwas offen, das bisher nicht erledigt wurde" in nobody


@pytest.mark.parametrize(
    ("spelt", "said"), [("31.12.2025", "zum Stichtag 31.12.2025"), ("Oktober 2026", "für den Zeitraum Oktober 2026")]
)
def test_a_day_is_no_period(spelt: str, said: str) -> None:
    assert for_period(spelt) == said


def test_nobody_is_asked_to_mend_something_by_today(policy: Policy) -> None:
    today = NOON.date()
    assert writing.reply_date(policy, [today, date(2026, 3, 9)], NOON) == date(2026, 3, 9)
    assert writing.reply_date(policy, [today, None], NOON) == date(2026, 3, 13), "ten days on"


def test_secret_numbers_are_not_repeated(policy: Policy) -> None:
    said = verdict(policy, [finding((9, "Wert", "3"), (10, "Wert", "12"), (11, "Wert", "Summe 4 statt 17"))], HOUSING)
    assert "„[geheim]“ ist keine Zahl" in said.text
    assert re.search(r"\| 10 +\| Wert +\| 12 ", said.text)
    assert "Summe [geheim] statt 17" in said.text
    open_numbers = verdict(policy, [finding((9, "Wert", "3"))], FOREIGNERS)
    assert "„3“ ist keine Zahl" in open_numbers.text


@pytest.mark.parametrize(
    ("found", "shown"),
    [("3", "[geheim]"), ("-2", "[geheim]"), ("4,0", "[geheim]"), ("5", "5"), ("0", "0"), ("13", "13"), ("1.234", "1.234"),
     ("03157004", "03157004"), ("2024-03-04", "2024-03-04"), ("3. Quartal", "3. Quartal"), ("4,", "[geheim],"),
     ("1,5", "1,5"), ("12,3", "12,3"), ("x", "x")],
)  # fmt: skip
def test_which_texts_are_secret(found: str, shown: str) -> None:
    assert saying.masked(found, HOUSING.secrecy_method) == shown
    assert saying.masked(found, FOREIGNERS.secrecy_method) == found


def test_a_hundred_thousand_findings_are_a_short_message(policy: Policy) -> None:
    many = finding(*[(n, "Value", f"ca. {n}") for n in range(2, 202)], row_count=100_000)
    kinds = [finding(rule=f"rule.{n}", what=f"Grund {n}.", found=None) for n in range(400)]
    said = verdict(policy, [many, *kinds])
    assert len(said.text) < 6_000
    assert "Gezeigt sind 10 von insgesamt 100.000 betroffenen Stellen." in said.text
    assert "und 386 weitere Beanstandungen" in said.text


def test_long_texts_are_cut() -> None:
    place = "Edemissen (03157001), 1. Halbjahr 2024, Neue Kursteilnehmende, allgemein: 54"
    assert plain(place, 60) == "Edemissen (03157001) … Kursteilnehmende, allgemein: 54", "between words"
    assert plain("x" * 1_000_000, 20) == "x" * 6 + "…" + "x" * 11
    assert plain("a\u202eb\ufeff  c") == "a b c"
    assert table(["A", "B"], [("", "1"), ("", "22")]) == "| B  |\n| 1  |\n| 22 |"


# Texts of a county


def test_a_county_replaces_one_text_and_keeps_the_others(make_policy: Callable[..., Policy]) -> None:
    policy = make_policy(receipt="Betreff: Danke für {{ dataset }}\n\nMoin,\n\nallens klaar.\n")
    said = example(policy, FOREIGNERS, "receipt", NOON).text
    assert (said.subject, said.text) == (f"Danke für {FOREIGNERS.title_de}", "Moin,\n\nallens klaar.\n")
    assert "allens klaar." in said.html
    assert "Guten Tag" in example(policy, FOREIGNERS, "closing", NOON).text.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Betreff: {{ datensatz }}\n\nx", "datensatz"),
        ("Betreff: x\n\n{% if %}", "line 3"),
        ("Guten Tag", "first line"),
        ("Betreff: x\n\n{{ table(1) }}", "table"),
    ],
)
def test_a_wrong_text_is_named(make_policy: Callable[..., Policy], text: str, reason: str) -> None:
    policy = make_policy(receipt=text)
    with pytest.raises(ContractError, match=r"home/texts/receipt\.txt\.j2") as caught:
        example(policy, FOREIGNERS, "receipt", NOON)
    assert reason in str(caught.value)


# Policy


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("grus: x", "grus: is an unknown key"),
        ("rate_limit_per_hour: viele", "rate_limit_per_hour: "),
        ("coordination: {address: nirgends}", "coordination.address: "),
        ("quiet_hours: {from: '25:00'}", "quiet_hours.from: "),
        ("offices: {housing: {addresses: [a@b.example, falsch]}}", "offices.housing.addresses[1]: "),
        ("channels: {default: taube}", "channels.default: "),
        ("a: b: c", "not valid YAML"),
        ("- x", "must be a mapping"),
    ],
)
def test_a_wrong_policy_names_file_and_key(make_policy: Callable[..., Policy], text: str, key: str) -> None:
    with pytest.raises(ContractError, match=r"follow_up\.yml: ") as caught:
        make_policy(text)
    assert key in str(caught.value)


def test_a_policy_names_only_what_differs(make_policy: Callable[..., Policy], policy: Policy) -> None:
    changed = make_policy('quiet_hours: {until: "08:00"}\ncounty: Landkreis Beispiel\n')
    assert changed.quiet_hours is not None
    assert (changed.quiet_hours.start.hour, changed.quiet_hours.until.hour) == (19, 8)
    assert (changed.county, changed.coordination) == ("Landkreis Beispiel", policy.coordination)
    assert make_policy("quiet_hours: null").quiet_hours is None


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("2026-03-03T12:00", "2026-03-03T12:00"),  # a Tuesday
        ("2026-03-03T06:59", "2026-03-03T07:00"),
        ("2026-03-03T19:00", "2026-03-04T07:00"),
        ("2026-03-03T23:30", "2026-03-04T07:00"),
        ("2026-03-06T20:00", "2026-03-09T07:00"),  # Friday evening
        ("2026-03-07T12:00", "2026-03-09T07:00"),  # Saturday
        ("2026-04-02T20:00", "2026-04-07T07:00"),  # Maundy Thursday: Good Friday, Easter and Easter Monday follow
        ("2026-10-31T12:00", "2026-11-02T07:00"),  # Reformation Day is a holiday in Lower Saxony
        ("2026-11-01T12:00", "2026-11-02T07:00"),
        ("2026-03-27T20:00", "2026-03-30T07:00"),  # over the change to summer time
    ],
)
def test_nobody_is_written_to_in_quiet_hours(policy: Policy, now: str, then: str) -> None:
    from teilhabe.contract.delivery_calendar import OFFICE_TIME

    at = datetime.fromisoformat(now).replace(tzinfo=OFFICE_TIME).astimezone(UTC)
    assert policy.next_moment(at) == datetime.fromisoformat(then).replace(tzinfo=OFFICE_TIME)


def test_quiet_hours_can_be_narrower(make_policy: Callable[..., Policy]) -> None:
    saturday = datetime(2026, 3, 7, 11, 0, tzinfo=UTC)
    assert make_policy("quiet_hours: {weekends: false}").next_moment(saturday) == saturday
    assert make_policy("quiet_hours: null").next_moment(saturday) == saturday
    midday = make_policy('quiet_hours: {from: "12:00", until: "13:00"}')
    assert midday.next_moment(NOON) == datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


def test_who_hears_of_a_dataset(make_policy: Callable[..., Policy]) -> None:
    policy = make_policy("""
channels: {default: smtp}
offices:
  housing: {channel: webhook, escalation: leitung@landkreis.example, kinds: [verdict]}
  housing__accommodation: {addresses: [eins@amt.example, zwei@amt.example]}
  03157005: {addresses: []}
""")
    assert policy.recipient(FOREIGNERS, None).address == FOREIGNERS.contact
    assert policy.recipient(FOREIGNERS, None).channel == "smtp"
    office = policy.recipient(HOUSING, "03157001")
    assert (office.name, office.address) == ("Edemissen", "eins@amt.example, zwei@amt.example")
    assert (office.channel, office.escalation) == ("webhook", "leitung@landkreis.example")
    assert (office.wants("verdict"), office.wants("receipt")) == (True, False)
    assert policy.recipient(FOREIGNERS, None).wants("receipt")
    assert policy.recipient(HOUSING, "03157005").address is None
    assert policy.recipient(CONTRACTS["housing__allocation"], None).channel == "webhook"
    assert policy.recipient(FOREIGNERS, None).escalation == policy.coordination.address
    nowhere = FOREIGNERS.model_copy(update={"contact": "siehe Telefonliste"})
    assert policy.recipient(nowhere, None).address is None


def test_the_reference_names_every_key_and_kind() -> None:
    page = (PROJECT / "docs" / "reference" / "messages.md").read_text(encoding="utf-8")
    assert not [key for key in Policy.model_fields if f"`{key}`" not in page]
    assert not [kind for kind in KINDS if f"| `{kind}` |" not in page]


def test_nothing_is_mailed_unless_a_connection_says_how(make_policy: Callable[..., Policy]) -> None:
    from teilhabe.landing import Credentials

    settings = make_policy().settings

    def unknown(name: str) -> Credentials:
        raise ContractError(name)

    def known(name: str) -> Credentials:
        return Credentials(host="mail.example")

    assert load_policy(settings).recipient(FOREIGNERS, None).channel == "drop"
    assert load_policy(settings, unknown).recipient(FOREIGNERS, None).channel == "drop"
    assert load_policy(settings, known).recipient(FOREIGNERS, None).channel == "smtp"


def test_the_second_contact_stands_in_the_contract() -> None:
    path = PROJECT / "agencies" / "housing" / "accommodation.odcs.yaml"
    text = path.read_text(encoding="utf-8")
    assert HOUSING.escalation_contact is None
    mail = "    url: mailto:unterbringung@landkreis-peine.example\n"
    second = f"{mail}  - channel: escalation\n    url: mailto:leitung@landkreis-peine.example\n"
    assert parse_contract(text.replace(mail, second), path).escalation_contact == "leitung@landkreis-peine.example"
    for wrong, key in (
        (text.replace("channel: email", "channel: escalation"), r"support\[0\]\.channel"),
        (text.replace(mail, second + second.removeprefix(mail)), r"support\[2\]\.channel"),
        (text.replace(mail, second.replace("leitung@", "")), r"support\[1\]\.url"),
    ):
        with pytest.raises(ContractError, match=key):
            parse_contract(wrong, path)


def test_links_lead_to_the_desk_of_this_home(
    make_policy: Callable[..., Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = make_policy()
    monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    assert policy.desk == "http://127.0.0.1:8080/desk"
    policy.settings.run.mkdir(parents=True)
    (policy.settings.run / "airflow.port").write_text("8099\n")
    assert policy.desk == "http://127.0.0.1:8099/desk"
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://daten.landkreis.example/")
    assert policy.desk == "https://daten.landkreis.example/desk"
    assert make_policy("desk_url: https://pult.example/desk/").desk == "https://pult.example/desk"


# The workbook


ROWS = "Year;Gebietseinheit;GeoCode;Value\n2022;Peine;K03157;ca. 15000\n2022;Hildesheim;K03254;7\n2022;X;K0325499;-5\n"


def test_the_workbook_repeats_the_offices_rows_and_marks_the_cells(tmp_path: Path) -> None:
    content = made(
        write(tmp_path, ROWS),
        [
            finding((2, "Value", "ca. 15000")),
            finding((4, "4", "-5"), column="Value", what="{place}Zu klein; gefunden „{found}“"),
            finding((4, "Gebietsschlüssel", "0325499"), what="{place}„{found}“ ist kein Schlüssel"),
        ],
    )
    assert texts(content) == [
        ["Zeile", "Beanstandung", "1", "2", "3", "4"],
        ["1", "", "Year", "Gebietseinheit", "GeoCode", "Value"],
        ["2", "„ca. 15000“ ist keine Zahl.", "2022", "Peine", "K03157", "ca. 15000"],
        ["4", "Zu klein; gefunden „-5“.\n„0325499“ ist kein Schlüssel.", "2022", "X", "K0325499", "-5"],
        [""] * 6,
        [
            "Gezeigte Stellen: 3. Die vollständige Liste: http://desk.example/deliveries/42",
            *[""] * 5,
        ],
    ]
    assert marked(content) == ["ca. 15000", "K0325499", "-5"]


@pytest.mark.parametrize("bad", ["=1+1", '=HYPERLINK("http://x")', "+1", "-1+2", "@SUM(A1)", "\t=1"])
def test_formulas_are_texts(tmp_path: Path, bad: str) -> None:
    quoted = bad.replace('"', '""')
    content = made(write(tmp_path, f'A;Value\n"{quoted}";"{quoted}"\n'), [finding((2, "Value", bad))])
    found = [
        cell
        for rows in cells(content).values()
        for row in rows
        for cell in row
        if str(cell.value or "").strip() == bad.strip()
    ]
    assert len(found) == 2
    assert {cell.data_type for cell in found} == {"s"}
    assert all(cell.quotePrefix for cell in found) == (bad != "+1"), "a number with a sign is none; a text it stays"
    with_formulas = openpyxl.load_workbook(io.BytesIO(content or b""), data_only=False)
    assert not [c for sheet in with_formulas for row in sheet.iter_rows() for c in row if c.data_type == "f"]


def test_a_workbook_shows_its_sheets_with_the_header_above(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for name, value in (("Januar", "viele"), ("Februar", 7)):
        sheet = book.create_sheet(name)
        for row in (["Meldung"], [], ["Gemeinde", "Personen"], ["Peine", 12], ["Ilsede", value], ["Lengede", 3]):
            sheet.append(row)
    path = tmp_path / "meldung.xlsx"
    book.save(path)
    [(name, rows)] = cells(made(path, [finding((5, "B", "viele"), sheet=None)])).items()
    assert name == "Januar"
    shown = [[str(cell.value or "") for cell in row] for row in rows]
    assert [[row[0], *row[2:4]] for row in shown[1:4]] == [
        ["1", "Meldung", ""],
        ["3", "Gemeinde", "Personen"],
        ["5", "Ilsede", "viele"],
    ]
    assert list(cells(made(path, [finding((5, "B", "7"), sheet="Februar")]))) == ["Februar"]


def test_secret_cells_are_hidden_in_the_workbook(tmp_path: Path) -> None:
    path = write(tmp_path, "Gemeinde;Plätze;Belegt\nPeine;120;3\nIlsede;viele;4\n")
    content = made(path, [finding((3, "Plätze", "viele"))], HOUSING)
    assert texts(content)[2] == ["3", "„viele“ ist keine Zahl.", "Ilsede", "viele", "[geheim]"]


def test_nothing_is_made_of_a_file_about_persons(tmp_path: Path) -> None:
    people = "Vorname;Nachname;Geburtsdatum;Value\n" + "".join(f"A{n};B{n};{n:02d}.03.1990;1\n" for n in range(2, 9))
    path = write(tmp_path, people)
    assert evidence.is_personal(FOREIGNERS, path, path.name)
    assert not evidence.is_personal(FOREIGNERS, write(tmp_path, ROWS, "gut.csv"), "gut.csv")


def test_fifty_megabytes_of_evidence_become_a_small_workbook(tmp_path: Path) -> None:
    path = tmp_path / "gross.csv"
    line = ";".join(f"{n}{'wort' * 60}" for n in range(10))
    with path.open("w", encoding="utf-8") as out:
        out.write("A;B;C;D;E;F;G;H;I;Value\n")
        for _ in range(50_000_000 // len(line)):
            out.write(f"{line}\n")
    count = 50_000_000 // len(line)
    findings = [
        finding(*[(n, "Value", "x") for n in range(first, first + 200)], rule=f"rule.{first}", row_count=count)
        for first in range(2, 4000, 200)
    ]
    content = made(path, findings, rows=1000)
    assert content is not None
    assert len(content) < 5_000_000
    assert len(texts(content)) == 1 + 1 + 1000 + 2
    small = made(path, findings, rows=1000, size=20_000)
    assert small is not None
    assert len(small) <= 20_000


def test_findings_without_a_row_and_files_that_cannot_be_opened_have_no_workbook(tmp_path: Path) -> None:
    assert made(write(tmp_path, ROWS), [finding()]) is None
    assert made(write(tmp_path, "%PDF-1.7", "x.pdf"), [finding((1, "A", "x"))]) is None
    broken = tmp_path / "kaputt.xlsx"
    broken.write_bytes(b"PK\x03\x04kaputt")
    assert made(broken, [finding((1, "A", "x"))]) is None


def test_the_remark_of_a_row_is_never_higher_than_a_row_can_be() -> None:
    sentence = "Der Wert weicht stark vom Vorzeitraum ab; gefunden „Lengede (03157005), Mai 2024: 4.031“, Nummer {}."
    assert evidence._remark([sentence.format(1)]) == sentence.format(1)
    many = [sentence.format(n) for n in range(30)]
    *shown, more = evidence._remark(many).split("\n")
    assert shown == many[: len(shown)] and more == f"und {30 - len(shown)} weitere Beanstandungen dieser Zeile"
    assert evidence._lines("\n".join([*shown, more]), evidence._REMARK_WIDTH) <= evidence._MOST_LINES
