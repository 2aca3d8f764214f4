"""Codes in words: the seeds of labels cover what contracts and catalogue can yield, and no two labels compete."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from teilhabe.codes.groups import NATIONALITIES, SEXES
from teilhabe.codes.wording import code_words
from teilhabe.contract.parsing import load_contracts

PROJECT = Path(__file__).resolve().parents[2]
SEEDS = PROJECT / "dbt_project" / "seeds"


def seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_every_group_has_a_label() -> None:
    ages = {code for c in load_contracts(PROJECT / "agencies").values() for code in c.codes("age_band") or []}
    ages |= {row[name] for row in seed("age_band_members") for name in ("age_band", "member")}
    assert len(ages) > 30
    codes = {"nationality": NATIONALITIES, "sex": SEXES, "age_band": ages}
    assert not [(name, code) for name, known in codes.items() for code in known if code_words(name, code) == code]


def test_every_category_a_contract_names_has_a_label() -> None:
    """The codes of the warehouse; an office's own codes come with a name beside them (``category_name``)."""
    labels = {row["category_code"] for row in seed("category_labels")}
    contracts = load_contracts(PROJECT / "agencies").values()
    coordinates = [
        (contract.dataset_id, found["category"])
        for contract in contracts
        for layout in contract.layouts
        for _, found in layout.coordinates()
        if found and "category" in found
    ]
    assert len(coordinates) > 80
    assert not [(dataset, code) for dataset, code in coordinates if code not in labels]


def test_a_code_fits_one_pattern_of_a_priority() -> None:
    patterns = seed("group_labels")
    for code in ("total", "male", "german", "u3", "15_15", "15_64", "65plus"):
        for name in ("nationality", "sex", "age_band"):
            fitting = [r for r in patterns if r["coordinate"] == name and re.fullmatch(r["pattern"], code)]
            assert len({r["priority"] for r in fitting}) == len(fitting), (name, code)


@pytest.mark.parametrize(
    ("column", "code", "words"),
    [
        ("age_band", "u3", "unter 3 Jahre"),
        ("age_band", "15_15", "15 Jahre"),
        ("age_band", "15_64", "15 bis 64 Jahre"),
        ("age_band", "65plus", "65 Jahre und älter"),
        ("age_band", "total", "insgesamt"),
        ("sex", "female", "weiblich"),
        ("category", "long_term", "Langzeitarbeitslose"),
        ("category", "M01", "M01"),
        ("measure_code", "unemployed", "unemployed"),
    ],
)
def test_words(column: str, code: str, words: str) -> None:
    assert code_words(column, code) == words
