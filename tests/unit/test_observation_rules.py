"""What the build would refuse is refused when a file is judged: the same rules on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jinja2
import psycopg
import pyarrow as pa
import pytest

from teilhabe.server import connecting
from teilhabe.settings import Settings
from teilhabe.validation.rules.observation_rules import (
    CONF_STATUS,
    OBS_STATUS,
    REQUIRED,
    RULES,
    TEXTS,
    faults,
    is_period,
    is_text,
    is_value,
    wrong_places,
)
from tests.conftest import PROJECT

RIGHT: dict[str, str | None] = {
    "measure_code": "population", "territory_code": "03157006", "period_code": "2024-12-31", "nationality": "total",
    "sex": "total", "age_band": "total", "category": "total", "obs_status": "A", "conf_status": "F", "value": "12.5",
    "territory_name": "Peine", "category_name": None,
}  # fmt: skip

GIVEN: dict[str, list[dict[str, str | None]]] = {
    "required": [{name: None} for name in (*REQUIRED, "obs_status", "conf_status")] + [{"territory_name": None}],
    "territory": [
        {"territory_code": code}
        for code in ("DG", "03", "031", "03157", "03157006", "031575401", "031570006006", "0", "", "K03157", "0315 7", "٠٣١٥٧")
    ],
    "period": [
        {"period_code": code}
        for code in (
            "2024", "2024-H1", "2024-H3", "2024-Q4", "2024-Q5", "2024-01", "2024-00", "2024-13", "2024-02-29", "2023-02-29",
            "2024-04-31", "2024-12-32", "SY2024", "AY2024", "WH2024", "SH2024", "XX2024", "1899", "2101", "0000", "9999-12-31",
            "SY0000", "the past", "2024-1", "2024 ", "٢٠٢٤",
        )
    ],
    "status": [{"obs_status": one} for one in (*OBS_STATUS, "X", "a", "")] + [{"conf_status": one} for one in (*CONF_STATUS, "N")],
    "value": [
        {"value": text}
        for text in (
            "0", "-3", "0.1", "999999999999999", "1000000000000000", "-1e15", "1e300000", "1e3", "NaN", "Infinity", "-inf",
            "12a", "", "1,5", "٣", "465.00000000000006",
        )
    ],
    "reason": [{"value": None, "obs_status": obs, "conf_status": conf} for obs in OBS_STATUS for conf in CONF_STATUS],
    "secret": [{"value": "1", "obs_status": obs, "conf_status": conf} for obs in OBS_STATUS for conf in CONF_STATUS],
    "text": [{"territory_name": text} for text in ("Ärger", "a\x00b", "\ud800", "\u200b", "\U0001f600", "a\nb")],
}  # fmt: skip
ROWS = [({**RIGHT, **change}, rule) for rule, changes in GIVEN.items() for change in changes]


@pytest.fixture(scope="module")
def conn(warehouse: Settings) -> Iterator[psycopg.Connection[Any]]:
    with connecting.connect("transformer", warehouse, autocommit=True) as connection:
        yield connection


def refused_by_the_build(conn: psycopg.Connection[Any], row: dict[str, str | None]) -> bool:
    """The row cannot be stored, not be read as what it is, or the test of staging complains of it."""
    macro = (PROJECT / "dbt_project" / "macros" / "observation_rules.sql").read_text(encoding="utf-8")
    broken = jinja2.Environment(autoescape=False).from_string(macro + "{{ breaks_a_rule('observed') }}").render()
    columns = ", ".join(f"%({name})s::text::{'numeric' if name == 'value' else 'text'} as {name}" for name in row)
    query = f"select coalesce({broken.replace('%', '%%')}, false) from (select {columns}) as observed"
    try:
        [[found]] = conn.execute(query.encode(), row).fetchall()
    except (psycopg.DataError, UnicodeEncodeError):
        return True
    return bool(found)


@pytest.mark.parametrize(("row", "rule"), ROWS)
def test_both_sides_say_the_same(conn: psycopg.Connection[Any], row: dict[str, str | None], rule: str) -> None:
    assert bool(faults(row)) is refused_by_the_build(conn, row), faults(row)


def test_every_rule_is_broken_and_kept_by_some_row() -> None:
    """Else a side could have lost it."""
    assert set(GIVEN) == {rule.name for rule in RULES}
    for rule, changes in GIVEN.items():
        broken = {rule in faults({**RIGHT, **change}) for change in changes}
        assert broken == {True, False}, rule
    assert set(RIGHT) == {*TEXTS, "value"} and faults(RIGHT) == set()


def test_a_look_at_all_texts_at_once_finds_what_a_look_at_each_finds() -> None:
    texts = [text for given in GIVEN.values() for one in given for text in one.values() if text is not None]
    texts = [text for text in texts if is_text(text) or "\x00" in text]  # half of a pair is in no Arrow text
    texts += ["서울 특별시", "", "\x00", "1\n", "1e3", "NaN", "1_000", "7" * 15, "7" * 16]
    for rule, is_right in (("value", is_value), ("period", is_period), ("text", is_text)):
        wrong = [place for place, text in enumerate(texts) if not is_right(text)]
        assert wrong
        assert wrong_places(rule, pa.array(texts)) == wrong
        assert wrong_places(rule, pa.array(["2024", "서울"]).slice(0, 1)) == []
