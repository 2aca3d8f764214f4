"""Of a number that is absent, ``explain`` names the file that would give it and why that file does not count."""

from __future__ import annotations

import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from teilhabe import landing, ops
from teilhabe.errors import Finding
from teilhabe.explaining.uncounted import about_uncounted_deliveries
from teilhabe.settings import Settings

DATASET = "state_statistics__naturalisations"
AT = datetime(2024, 4, 20, 9, 30, tzinfo=UTC)


def arrive(conn: ops.Connection, state: ops.State, year: str, **columns: Any) -> int:
    number = ops.register(
        conn, dataset_id=DATASET, sha256=uuid.uuid4().hex * 2, manifest_uri=uuid.uuid4().hex, file_name="a.csv", size_bytes=1,
        received_at=AT, received_from=None, source="inbox", source_fingerprint=None, period_stated=None, archive_uri="x",
        rules_version="1",
    ).delivery_id  # fmt: skip
    ops.set_state(conn, number, state, periods=[year], **columns)
    conn.commit()
    return number


@pytest.mark.parametrize(
    ("state", "columns", "year", "why"),
    [
        ("held", {"hold_reason": "Die Prüfung x nimmt sie nicht an."}, "1981",
         "has that time, but the build could not take it in: Die Prüfung x nimmt sie nicht an."),
        ("withdrawn", {"withdrawal_reason": "falsches Jahr"}, "1982", "was withdrawn "),
        ("validated", {}, "1983", "is accepted and not loaded yet; `teilhabe run` loads it."),
        ("loaded", {}, "1984", "is loaded and waits for the next build; `teilhabe run` builds."),
        ("quarantined", {}, "1985", "was refused: Datei „a.csv“: Es fehlt etwas."),
    ],
)  # fmt: skip
def test_the_file_of_an_absent_number_says_why_it_does_not_count(
    conn: ops.Connection, warehouse: Settings, state: ops.State, columns: dict[str, str], year: str, why: str
) -> None:
    number = arrive(conn, state, year, **columns)
    if state == "quarantined":
        ops.record_findings(conn, number, [Finding("critical", "x.y", "Datei „a.csv“: Es fehlt etwas.")])
        conn.commit()
    [sentence] = about_uncounted_deliveries(warehouse, {year}, {"naturalisations"})
    assert sentence.startswith(f"Delivery {number} (a.csv) {why}")
    assert about_uncounted_deliveries(warehouse, {"1979"}, {"naturalisations"}) == [], "another time"
    assert about_uncounted_deliveries(warehouse, {year}, {"dwellings"}) == [], "another measure"


def test_a_persons_yes_is_told_as_what_is_waited_for(conn: ops.Connection, warehouse: Settings) -> None:
    number = arrive(conn, "validated", "1986")
    ops.ask_approval(conn, number, 72)
    conn.commit()
    [sentence] = about_uncounted_deliveries(warehouse, {"1986-12-31"}, {"naturalisations"})
    assert "waits for a person's yes, until " in sentence


def test_a_refused_file_beside_one_that_counts_is_no_reason(conn: ops.Connection, warehouse: Settings) -> None:
    arrive(conn, "quarantined", "1987")
    counting = arrive(conn, "loaded", "1987")
    build = ops.start_build(conn, [counting], code_version="test", run_id=None)
    ops.finish_build(conn, build, succeeded=True, message=None)
    conn.commit()
    assert about_uncounted_deliveries(warehouse, {"1987"}, {"naturalisations"}) == []


def test_a_file_that_nobody_has_read_yet_is_named(warehouse: Settings, tmp_path: Path) -> None:
    file = tmp_path / "einbuergerungen.csv"
    file.write_text("1")
    landing.hand_in(warehouse, DATASET, [file], AT, period="1991")
    try:
        [sentence] = about_uncounted_deliveries(warehouse, {"1991"}, {"naturalisations"})
        assert sentence.startswith("einbuergerungen.csv, received 2024-04-20 11:30")
        assert sentence.endswith(f" lies in the inbox of {DATASET} and was not read yet; `teilhabe run` takes it up.")
        assert about_uncounted_deliveries(warehouse, {"1990"}, {"naturalisations"}) == [], "handed in for another time"
        assert about_uncounted_deliveries(warehouse, {"1991"}, {"dwellings"}) == [], "another measure"
    finally:
        shutil.rmtree(landing.dataset_inbox(warehouse, DATASET))
