"""Several files in one zip, several municipalities in one dataset: each file is judged for itself and for its sender."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from teilhabe import landing, ops
from teilhabe.contract import lookup
from teilhabe.pipeline import installing
from teilhabe.settings import Settings
from tests.flow import FOREIGNERS, POPULATION, Flow, copied, monitor, population

LENGEDE, ILSEDE = "03157005", "03157009"
SENDERS = """
  - property: senders
    value:
      - {territory_code: "03157005", territory_name: Lengede, contact: Meldung@Lengede.example}
      - {territory_code: "03157009", territory_name: Ilsede, contact: meldung@ilsede.example}
"""
PATTERN = "customProperties: [{property: sender_pattern, value: '*_{sender}.csv'}]"


@pytest.fixture(scope="module")
def running(house: Settings, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A county in which two municipalities deliver the population each for itself."""
    project = copied(tmp_path_factory.mktemp("project"), "state_statistics", "state_monitor", "register")
    path = project / "agencies" / "state_statistics" / "population.odcs.yaml"
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition("customProperties:\n")
    before, found, after = head.partition("    type: local\n")
    assert found
    path.write_text(f"{before}{found}    {PATTERN}\n{after}customProperties:{SENDERS}{rest}", encoding="utf-8")
    settings = replace(house, project=project)
    installing.install(settings)
    return Flow(settings, settings.home / "drafts")


@pytest.fixture
def flow(running: Flow) -> Flow:
    """A home in which nothing has arrived yet."""
    running.empty()
    return running


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/") + ".csv"), content)
    return out.getvalue()


def year(number: int, value: object = 15000) -> bytes:
    return monitor([(number, "Peine", "K03157", value)])


def of(code: str, number: int = 12000) -> bytes:
    return population({code: (number, number // 2, number - number // 2)})


def named(flow: Flow) -> dict[str, str]:
    return dict(flow.ask("select file_name, state from ops.delivery order by delivery_id"))


class Killed(BaseException):
    """What ends a process: nothing in the code may catch it."""


# Containers


def test_a_zip_of_three_years_is_three_deliveries(flow: Flow) -> None:
    flow.hand_in(
        FOREIGNERS, zipped(a=year(2020, 1), b=year(2021, 2), c=year(2022, 3)), "jahre.zip", sender="amt@amt.example"
    )
    flow.run(FOREIGNERS)
    assert named(flow) == {
        "jahre.zip": "unpacked", "jahre.zip/a.csv": "loaded", "jahre.zip/b.csv": "loaded", "jahre.zip/c.csv": "loaded",
    }  # fmt: skip
    assert flow.raw(FOREIGNERS, "period_code", "value") == [
        ("2020-12-31", "1"), ("2021-12-31", "2"), ("2022-12-31", "3"),
    ]  # fmt: skip
    [(container,)] = flow.ask("select delivery_id from ops.delivery where state = 'unpacked'")
    assert flow.ask(
        "select distinct container_id, received_from, received_at::date::text from ops.delivery where file_name <> 'jahre.zip'"
    ) == [(container, "amt@amt.example", "2023-10-20")]
    assert ("read", "ok") in flow.outcomes(FOREIGNERS)


def test_the_zip_and_each_file_of_it_are_kept_as_they_came(flow: Flow) -> None:
    content = zipped(a=year(2021), b=year(2022))
    flow.deliver(FOREIGNERS, content, "jahre.zip")
    archive = landing.Archive(flow.settings.archive_url)
    kept = {e.original_name: archive.local(e.sha256, flow.drafts).read_bytes() for e in archive.manifest(FOREIGNERS)}
    assert kept == {"jahre.zip": content, "jahre.zip/a.csv": year(2021), "jahre.zip/b.csv": year(2022)}


def test_one_bad_file_in_a_zip_keeps_only_itself_out_and_is_named_with_its_zip(flow: Flow) -> None:
    flow.hand_in(FOREIGNERS, zipped(gut=year(2021), schlecht=year(2022, "ca. 15000")), "jahre.zip")
    flow.run(FOREIGNERS)
    assert named(flow) == {
        "jahre.zip": "unpacked",
        "jahre.zip/gut.csv": "loaded",
        "jahre.zip/schlecht.csv": "quarantined",
    }
    [(number,)] = flow.ask("select delivery_id from ops.delivery where state = 'quarantined'")
    assert "„jahre.zip/schlecht.csv“" in flow.findings(number)[0].message


def test_what_lies_beside_a_table_in_a_zip_is_told_and_no_delivery(flow: Flow) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("zahlen.csv", year(2022))
        archive.writestr("Beschreibung.pdf", b"%PDF-1.7 ...")
        archive.writestr("liesmich.txt", "Alle Angaben ohne Gewähr")
    flow.hand_in(FOREIGNERS, stream.getvalue(), "jahr.zip")
    flow.run(FOREIGNERS)
    assert named(flow) == {"jahr.zip": "unpacked", "jahr.zip/zahlen.csv": "loaded"}
    [(container,)] = flow.ask("select delivery_id from ops.delivery where state = 'unpacked'")
    assert [(f.severity, f.rule, f.found) for f in flow.findings(container)] == [
        ("info", "zip.enclosure", "Beschreibung.pdf"),
        ("info", "zip.enclosure", "liesmich.txt"),
    ]
    assert not flow.ask("select 1 from ops.incident"), "its table loads"


def test_a_zip_with_one_file_is_a_container_too(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, zipped(einzeln=year(2022)), "zahlen.zip")
    assert named(flow) == {"zahlen.zip": "unpacked", "zahlen.zip/einzeln.csv": "loaded"}


def test_the_bytes_tell_a_zip_not_the_name(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, zipped(einzeln=year(2022)), "zahlen.csv")
    assert named(flow) == {"zahlen.csv": "unpacked", "zahlen.csv/einzeln.csv": "loaded"}


def test_a_workbook_is_no_container(flow: Flow) -> None:
    import openpyxl

    book, out = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["Year", "Gebietseinheit", "GeoCode", "Value"])
    book.save(out)
    flow.deliver(FOREIGNERS, out.getvalue(), "mappe.xlsx")
    assert flow.ask("select file_name, container_id from ops.delivery") == [("mappe.xlsx", None)]
    assert flow.states(FOREIGNERS) == ["quarantined"]


def test_the_same_zip_twice_is_a_duplicate_and_nothing_of_it_runs_again(flow: Flow) -> None:
    content = zipped(a=year(2021), b=year(2022))
    first = flow.deliver(FOREIGNERS, content, "a.zip")
    again = flow.deliver(FOREIGNERS, content, "b.zip", at="2024-01-05")
    assert flow.states(FOREIGNERS) == ["unpacked", "loaded", "loaded", "duplicate"]
    assert flow.ask("select duplicate_of from ops.delivery where delivery_id = %s", again) == [(first - 2,)]


def test_a_file_that_came_alone_before_is_a_duplicate_in_its_zip(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, year(2021), "a.csv")
    flow.deliver(FOREIGNERS, zipped(a=year(2021), b=year(2022)), "jahre.zip", at="2023-11-01")
    assert flow.states(FOREIGNERS) == ["loaded", "unpacked", "duplicate", "loaded"]


def test_the_same_bytes_twice_within_a_zip(flow: Flow) -> None:
    flow.deliver(FOREIGNERS, zipped(a=year(2021), b=year(2021), neu__a=year(2022)), "jahre.zip")
    assert flow.states(FOREIGNERS) == ["unpacked", "loaded", "duplicate", "loaded"]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (zipped(), "zip.empty"),
        (zipped(a=b"x")[:-30], "zip.damaged"),
        (zipped(**{"..__..__a": year(2022)}), "zip.path"),
    ],
)
def test_a_hostile_zip_is_refused_as_a_whole(flow: Flow, content: bytes, rule: str) -> None:
    number = flow.deliver(FOREIGNERS, content, "jahre.zip")
    assert flow.states(FOREIGNERS) == ["quarantined"]
    [finding] = flow.findings(number)
    assert (finding.severity, finding.rule) == ("critical", rule)
    assert "„jahre.zip“" in finding.message
    assert flow.raw(FOREIGNERS) == []


@pytest.mark.parametrize(
    ("owner", "name"),
    [(landing.Archive, "put_member"), (landing.Archive, "record"), (ops, "register"), (ops, "set_state")],
)
@pytest.mark.parametrize("calls", [1, 2])
def test_killed_between_the_files_of_a_zip_the_next_run_finishes(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, calls: int
) -> None:
    flow.hand_in(FOREIGNERS, zipped(a=year(2020, 1), b=year(2021, 2), c=year(2022, 3)), "jahre.zip")
    flow.archive(FOREIGNERS)
    original, done = getattr(owner, name), [0]

    def killed_later(*args: Any, **kwargs: Any) -> Any:
        done[0] += 1
        if done[0] > calls:
            raise Killed
        return original(*args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, name, killed_later)
        flow.judge(FOREIGNERS)
    flow.run(FOREIGNERS)
    assert flow.states(FOREIGNERS) == ["unpacked", "loaded", "loaded", "loaded"]
    assert flow.raw(FOREIGNERS, "value") == [("1",), ("2",), ("3",)]
    assert len(landing.Archive(flow.settings.archive_url).manifest(FOREIGNERS)) == 4
    assert list(flow.settings.work.iterdir()) == []


# Senders


def sender_of(flow: Flow, number: int) -> str | None:
    return (
        str(code)
        if (code := flow.ask("select sender_code from ops.delivery where delivery_id = %s", number)[0][0])
        else None
    )


def rules(flow: Flow, number: int) -> set[str]:
    return {finding.rule for finding in flow.findings(number) if finding.rule.startswith("sender.")}


@pytest.mark.parametrize("address", ["meldung@lengede.example", "Gemeinde Lengede <MELDUNG@lengede.example>"])
def test_the_address_tells_the_municipality(flow: Flow, address: str) -> None:
    number = flow.deliver(POPULATION, of(LENGEDE), sender=address)
    assert (flow.state(number), sender_of(flow, number), rules(flow, number)) == ("loaded", LENGEDE, set())


def test_the_name_of_the_file_tells_it_where_the_contract_says_how(flow: Flow) -> None:
    number = flow.deliver(POPULATION, of(ILSEDE), f"zahlen_{ILSEDE}.csv")
    assert (flow.state(number), sender_of(flow, number), rules(flow, number)) == ("loaded", ILSEDE, set())


def test_a_key_that_is_nobody_of_the_contract_tells_nothing(flow: Flow) -> None:
    number = flow.deliver(POPULATION, of(ILSEDE), "zahlen_03157001.csv")
    assert sender_of(flow, number) == ILSEDE, "what the file is about"


def test_without_any_hint_a_file_about_one_municipality_is_taken_for_its_own(flow: Flow) -> None:
    number = flow.deliver(POPULATION, of(LENGEDE))
    assert (flow.state(number), sender_of(flow, number), rules(flow, number)) == ("loaded", LENGEDE, set())
    both = population(dict.fromkeys((LENGEDE, ILSEDE), (10, 5, 5)))
    assert sender_of(flow, flow.deliver(POPULATION, both, at="2023-11-01")) is None


def test_a_refused_file_is_known_by_what_it_is_about_as_well(flow: Flow) -> None:
    number = flow.deliver(POPULATION, of(LENGEDE), at="2022-06-01")
    assert (flow.state(number), sender_of(flow, number)) == ("quarantined", LENGEDE)


def test_an_address_the_contract_does_not_know_is_told_but_lets_the_file_through(flow: Flow) -> None:
    number = flow.deliver(POPULATION, of(LENGEDE), sender="jemand@anderswo.example")
    assert (flow.state(number), rules(flow, number)) == ("loaded", {"sender.unknown"})
    [finding] = [found for found in flow.findings(number) if found.rule == "sender.unknown"]
    assert finding.severity == "warning"
    assert "jemand@anderswo.example" in finding.message
    assert "meldung@ilsede.example" in finding.message.casefold()


def test_the_office_of_the_contract_may_collect(flow: Flow) -> None:
    contact = lookup.contract(flow.settings, POPULATION).contact
    number = flow.deliver(POPULATION, of(LENGEDE), sender=contact.upper())
    assert (sender_of(flow, number), rules(flow, number)) == (LENGEDE, set())


def test_datasets_without_senders_ask_nobody(flow: Flow) -> None:
    number = flow.deliver(FOREIGNERS, year(2022), sender="jemand@anderswo.example")
    assert (flow.state(number), sender_of(flow, number), rules(flow, number)) == ("loaded", None, set())


def test_the_file_of_another_municipality_is_refused(flow: Flow) -> None:
    number = flow.deliver(POPULATION, of(ILSEDE), sender="meldung@lengede.example")
    assert (flow.state(number), sender_of(flow, number)) == ("quarantined", LENGEDE)
    assert rules(flow, number) == {"sender.other_municipality"}


def test_a_zip_collected_by_the_office_knows_each_municipality_by_its_name(flow: Flow) -> None:
    files = {f"2022__zahlen_{code}": of(code) for code in (LENGEDE, ILSEDE)}
    flow.deliver(POPULATION, zipped(**files), "sammlung.zip")
    assert flow.ask("select sender_code, state from ops.delivery order by delivery_id") == [
        (None, "unpacked"), (LENGEDE, "loaded"), (ILSEDE, "loaded"),
    ]  # fmt: skip
