"""The question whether a delivery with warnings is loaded: what it quotes shows as text and is nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.decisions import approvals
from teilhabe.errors import Evidence, Finding
from teilhabe.ops import Question
from tests.conftest import PROJECT

QUESTION = Question(
    7, "employment_agency__unemployed_municipal", "zahlen.csv", datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contracts(PROJECT / "agencies")[QUESTION.dataset_id]


def body(contract: Contract, message: str, found: str | None = None, rows: int = 1) -> str:
    evidence = [Evidence(12, "Anzahl", found)] if found is not None else []
    finding = Finding("warning", "change.to_period", message, row_count=rows, evidence=evidence)
    return approvals.body(QUESTION, [finding], contract)


def test_the_time_is_that_of_the_offices(contract: Contract) -> None:
    assert "am 06.01.2026 um 00:30 Uhr (MEZ)" in body(contract, "x")


def test_markup_from_a_file_is_text(contract: Contract) -> None:
    text = body(contract, "![x](y) <img src=x> **fett** &lt;b&gt;\n# Titel\n\n| a | b |")
    line = next(one for one in text.splitlines() if one.startswith("- "))
    assert "\\!\\[x\\]\\(y\\) \\<img src=x\\> \\*\\*fett\\*\\* \\&lt;" in line
    assert not any(one.startswith("#") for one in text.splitlines())


@pytest.mark.parametrize("address", ["https://boese.example", "http://a", "WWW.boese.example", "a@boese.example"])
def test_an_address_from_a_file_is_no_link(contract: Contract, address: str) -> None:
    shown = body(contract, f"siehe {address}", address).replace("\\", "")
    assert address not in shown and shown.replace("\N{WORD JOINER}", "").count(address) == 2


def test_signs_that_turn_a_line_around_are_taken_out(contract: Contract) -> None:
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in body(contract, "a\N{RIGHT-TO-LEFT OVERRIDE}b")


def test_a_secret_number_is_not_in_the_question(contract: Contract) -> None:
    text = body(contract, "gefunden „2“, erwartet etwa 40", "2", rows=1234)
    assert "„2“" not in text and text.count("geheim") == 2 and "1.234 Zeilen" in text
    assert "(1 Zeile)" in body(contract, "x", "7")
