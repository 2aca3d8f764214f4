"""The contracts as pages for the offices: complete, self-contained, escaped, readable without eyes or colours."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import date
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.offices import pages
from teilhabe.settings import get_settings
from teilhabe.validation.suite import load_suite

PROJECT = Path(__file__).resolve().parents[2]
SETTINGS = replace(get_settings({}), project=PROJECT)
CONTRACTS = load_contracts(PROJECT / "agencies")
TODAY = date(2026, 11, 22)
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """What a browser would make of it; unbalanced tags raise."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    pages.write_pages(SETTINGS, folder, today=TODAY)
    return folder


def shown(site: Path, name: str) -> str:
    return " ".join(" ".join(Page((site / f"{name}.html").read_text(encoding="utf-8")).text).split())


def test_every_dataset_has_a_page_and_the_index_leads_to_each(site: Path) -> None:
    assert len(CONTRACTS) >= 40
    index = Page((site / "index.html").read_text(encoding="utf-8"))
    links = {value for tag, name, value in index.attributes if (tag, name) == ("a", "href") and value.endswith(".html")}
    assert links == {f"{name}.html" for name in CONTRACTS}
    assert {path.name for path in site.iterdir()} == {*links, "index.html"}
    text = " ".join(index.text)
    assert all(contract.office in text and contract.title_de in text for contract in CONTRACTS.values())


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_page_says_all_an_office_has_to_know(name: str, site: Path) -> None:
    contract, text = CONTRACTS[name], shown(site, name)
    for part in (
        contract.title_de,
        contract.office,
        contract.contact,
        contract.licence,
        contract.attribution,
        contract.version,
    ):
        assert " ".join(part.split()) in text
    for layout in contract.layouts:
        assert layout.name in text
        for words in layout.texts():
            assert " ".join(words.split()) in text, words
    for expectation in load_suite(SETTINGS.expectations, contract).expectations:
        assert " ".join(expectation.sentence_de.split()) in text
    assert "TODO" not in text and "None" not in text


def test_the_next_three_dates_stand_there(site: Path) -> None:
    text = shown(site, "housing__accommodation")
    for period, due in (
        ("November 2026", "10.12.2026"),
        ("Dezember 2026", "11.01.2027"),
        ("Januar 2027", "10.02.2027"),
    ):
        assert re.search(rf"{period} +{due}", text), period


def test_codes_are_said_in_words(site: Path) -> None:
    text = shown(site, "civic__sports_clubs")
    assert "bis unter" not in text or "Jahre" in text
    assert re.search(r"männlich 7-14 .{0,60}männlich, 7 bis 14 Jahre", text)


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_no_page_speaks_of_our_own_columns(name: str, site: Path) -> None:
    text = shown(site, name)
    assert "sonst total" not in text and "führende Spalte" not in text and "wie geliefert" not in text
    assert ("Beispielzeile" in text) <= CONTRACTS[name].mendable, "nobody writes a row of a published table"


def test_a_field_that_may_be_left_empty_is_said_to(site: Path) -> None:
    text = shown(site, "housing__accommodation")
    assert "Sie wird beanstandet, außer bei „Untergebrachte wohnungslose Personen“." in text


def test_of_published_tables_faulty_rows_are_left_out_and_the_page_says_so(site: Path) -> None:
    published = (site / "state_monitor__foreigners.html").read_text(encoding="utf-8")
    assert "Einzelne fehlerhafte Zeilen oder Werte werden nicht übernommen, alles Übrige wird geladen." in published
    own = (site / "housing__accommodation.html").read_text(encoding="utf-8")
    assert "Die Lieferung wird nicht geladen und muss neu gesendet werden." in own and "alles Übrige" not in own


def test_secrecy_signs_and_severities_are_explained(site: Path) -> None:
    text = shown(site, "housing__accommodation")
    assert "* geheim gehalten" in text
    assert "Zahlen von 1 bis 4 trägt die meldende Stelle nicht ein" in text
    assert "muss neu gesendet werden" in text


@pytest.mark.parametrize("name", ["index", "housing__accommodation", "police__offences_district"])
def test_nothing_is_fetched_and_nothing_runs(name: str, site: Path) -> None:
    text = (site / f"{name}.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not re.search(r"url\(|@import|src=", text)
    linked = [value for _, attribute, value in page.attributes if attribute == "href"]
    assert all(value.startswith(("mailto:", "#")) or re.fullmatch(r"[a-z0-9_]+\.html", value) for value in linked)


@pytest.mark.parametrize("name", ["index", "housing__accommodation", "state_statistics__pupils"])
def test_readable_for_everybody(name: str, site: Path) -> None:
    page = Page((site / f"{name}.html").read_text(encoding="utf-8"))
    attributes = page.attributes
    assert ("html", "lang", "de") in attributes
    assert page.tags["h1"] == page.tags["main"] == page.tags["title"] == 1
    assert page.tags["caption"] == page.tags["table"] > 0
    assert page.tags["th"] == sum(tag == "th" and name == "scope" for tag, name, _ in attributes)
    assert ("a", "href", "#inhalt") in attributes and ("main", "id", "inhalt") in attributes


def test_markup_in_a_contract_is_text_on_the_page() -> None:
    evil = "<script>alert('x')</script> & \"Co\""
    contract: Contract = CONTRACTS["housing__allocation"].model_copy(
        update={"title_de": evil, "office": evil, "limitations": evil, "attribution": evil, "contact": evil}
    )
    page = Page(pages.dataset_page(contract, [], {}, TODAY))
    assert "script" not in page.tags
    assert evil in unescape(" ".join(page.text))


def test_the_page_can_be_printed() -> None:
    assert "@media print" in pages.dataset_page(CONTRACTS["housing__allocation"], [], {}, TODAY)


def test_one_page_alone_has_no_link_to_an_index(tmp_path: Path) -> None:
    [path] = pages.write_pages(SETTINGS, tmp_path, today=TODAY, only=CONTRACTS["housing__allocation"])
    assert path.name == "housing__allocation.html"
    assert "index.html" not in path.read_text(encoding="utf-8")
