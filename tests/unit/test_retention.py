"""Periods of retention: read from one place, applied to what is over them and to nothing else."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from teilhabe import ops
from teilhabe.errors import ContractError
from teilhabe.keeping import housekeeping, removing, retention
from teilhabe.landing import Archive
from teilhabe.settings import Settings

NOW = datetime.now(UTC)
LONG_AGO = NOW + timedelta(days=20 * 365)
"""A moment at which everything that is there now is over its period."""


def arrive(settings: Settings, conn: ops.Connection, tmp_path: Path, state: ops.State, dataset: str) -> Any:
    path = tmp_path / "a.csv"
    path.write_text(uuid.uuid4().hex)
    kept = Archive(settings.archive_url).put(path)
    delivery = ops.register(
        conn, dataset_id=dataset, sha256=kept.sha256, manifest_uri=uuid.uuid4().hex, file_name="a.csv", size_bytes=kept.size,
        received_at=NOW, received_from=None, source="inbox", source_fingerprint=None, period_stated=None,
        archive_uri=kept.uri, rules_version="1",
    )  # fmt: skip
    ops.set_state(conn, delivery.delivery_id, state)
    conn.commit()
    return delivery


def test_each_kind_goes_after_its_own_period(warehouse: Settings, conn: ops.Connection, tmp_path: Path) -> None:
    dataset = f"test_retention__{uuid.uuid4().hex[:8]}"
    refused = arrive(warehouse, conn, tmp_path, "quarantined", dataset)
    loaded = arrive(warehouse, conn, tmp_path, "loaded", dataset)
    waits = arrive(warehouse, conn, tmp_path, "failed", dataset)
    archive = Archive(warehouse.archive_url)

    def there() -> list[bool]:
        return [archive.size(one.sha256) is not None for one in (refused, loaded, waits)]

    retention.apply(warehouse, NOW + timedelta(days=364))
    assert there() == [True, True, True]
    planned = {one.kind: one for one in retention.apply(warehouse, NOW + timedelta(days=366), dry_run=True)}
    assert planned["originals.refused"].count >= 1 and planned["originals.refused"].days == 365
    assert planned["originals.loaded"].count == 0 and there() == [True, True, True]
    retention.apply(warehouse, NOW + timedelta(days=366))
    assert there() == [False, True, True]
    stone = removing.of_delivery(conn, refused.delivery_id)
    assert stone and (stone.kind, stone.actor) == ("expired", "teilhabe") and "365 Tagen" in stone.reason
    retention.apply(warehouse, LONG_AGO)
    assert there() == [False, False, True], "what waits has no period"
    assert ops.delivery(conn, loaded.delivery_id).state == "loaded"


def test_polls_that_find_nothing_share_a_row_until_something_is_found(conn: ops.Connection) -> None:
    dataset = f"test_retention__{uuid.uuid4().hex[:8]}"

    def poll(rows: int) -> None:
        with ops.step(conn, "fetch", dataset_id=dataset) as outcome:
            outcome.rows, outcome.is_routine = rows, rows == 0

    for found in (0, 0, 0, 2, 0, 0):
        poll(found)
    query = (
        "select row_count, times, finished_at >= started_at from ops.outcome where dataset_id = %s order by outcome_id"
    )
    assert conn.execute(query, (dataset,)).fetchall() == [(0, 3, True), (2, 1, True), (0, 2, True)]
    conn.execute("update ops.outcome set started_at = started_at - interval '1 day' where dataset_id = %s", (dataset,))
    conn.commit()
    poll(0)
    assert conn.execute(query, (dataset,)).fetchall()[-2:] == [(0, 2, True), (0, 1, True)], "another day, another row"
    with pytest.raises(ValueError, match="broken"), ops.step(conn, "fetch", dataset_id=dataset) as outcome:
        outcome.is_routine = True
        raise ValueError("broken")
    last = "select status from ops.outcome where dataset_id = %s order by outcome_id desc limit 1"
    assert conn.execute(last, (dataset,)).fetchall() == [("failed",)]


def test_messages_and_evidence_are_emptied_and_their_rows_stay(
    warehouse: Settings, conn: ops.Connection, tmp_path: Path
) -> None:
    delivery = arrive(warehouse, conn, tmp_path, "quarantined", f"test_retention__{uuid.uuid4().hex[:8]}")
    book = tmp_path / "b.xlsx"
    book.write_text(uuid.uuid4().hex)
    kept = Archive(warehouse.archive_url).put(book)
    [[finding]] = conn.execute(
        "insert into ops.finding (delivery_id, severity, rule, message) values (%s, 'critical', 'x', 'y') returning finding_id",
        (delivery.delivery_id,),
    ).fetchall()
    conn.execute("insert into ops.evidence (finding_id, position, found) values (%s, 1, 'Muster')", (finding,))
    key = uuid.uuid4().hex
    conn.execute(
        "insert into ops.message (kind, dedup_key, channel, recipient, subject, body_text, body_html, attachments, state,"
        " composed_at, not_before) values ('verdict', %s, 'drop', 'amt@x.example', 'S', 'T', 'H',"
        " jsonb_build_array(jsonb_build_object('name', 'b.xlsx', 'uri', %s::text)), 'sent', %s, %s)",
        (key, kept.uri, NOW, NOW),
    )
    conn.commit()
    retention.apply(warehouse, NOW + timedelta(days=731))
    assert Archive(warehouse.archive_url).size(kept.sha256) is None
    assert conn.execute("select count(*) from ops.evidence where finding_id = %s", (finding,)).fetchall() == [(0,)]
    query = "select subject, body_text, recipient from ops.message where dedup_key = %s"
    assert conn.execute(query, (key,)).fetchall() == [("S", "T", "amt@x.example")]
    conn.commit()
    retention.apply(warehouse, LONG_AGO)
    assert conn.execute(query, (key,)).fetchall() == [("(gelöscht)", "", None)]


def test_a_home_may_say_other_periods_and_a_wrong_one_is_named(settings: Settings) -> None:
    assert retention.load_retention(settings).originals.refused == 365
    own = settings.home / retention.FILE
    settings.home.mkdir(parents=True, exist_ok=True)
    own.write_text("originals: {refused: 30}\nlogs: null\n")
    read = retention.load_retention(settings)
    assert (read.originals.refused, read.originals.loaded, read.logs) == (30, 3650, None)
    own.write_text("originals: {refuse: 30}\n")
    with pytest.raises(ContractError, match=r"retention\.yml: originals\.refuse: is an unknown key"):
        retention.load_retention(settings)
    own.write_text("logs: 0\n")
    with pytest.raises(ContractError, match="logs"):
        retention.load_retention(settings)


def test_logs_are_removed_by_age_and_cut_by_length(tmp_path: Path) -> None:
    path = tmp_path / "airflow-scheduler.log"
    with path.open("a") as out:
        for number in range(1, 8):
            out.write(f"{number}" * 100)
            out.flush()
            assert housekeeping.cut(path, 50)
            assert path.stat().st_size == 0
        out.write("goes on")
    assert path.read_text() == "goes on" and not housekeeping.cut(path, 50)
    kept = sorted(tmp_path.glob("airflow-scheduler.log.*"))
    assert [one.read_text()[0] for one in kept] == ["7", "6", "5", "4"]


def test_old_logs_go_and_folders_that_held_only_them(settings: Settings) -> None:
    folder = settings.logs / "airflow" / "deliver__x"
    folder.mkdir(parents=True)
    old, new = folder / "old.log", settings.logs / "new.log"
    for path in (old, new):
        path.write_text("x")
    os.utime(old, (0, 0))
    until = NOW - timedelta(days=30)
    assert housekeeping._logs(settings, until, dry_run=True) == (1, 1) and old.exists()
    assert housekeeping._logs(settings, until, dry_run=False) == (1, 1)
    assert not folder.exists() and new.exists() and settings.logs.exists()
