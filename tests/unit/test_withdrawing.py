"""Withdrawing a delivery: what may be, what is written down, what counts afterwards; and when a file counts as received."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from teilhabe import ops
from teilhabe.decisions.withdrawing import told, withdraw
from teilhabe.errors import TeilhabeError
from teilhabe.landing import FolderSource, RemoteFile, arrival, dataset_inbox, hand_in
from teilhabe.settings import Settings

AT = datetime(2024, 4, 20, 9, 30, tzinfo=UTC)
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def dataset() -> str:
    """A dataset of this test alone: the server is shared."""
    return f"test_withdrawing__{uuid.uuid4().hex[:8]}"


def arrive(
    conn: ops.Connection, dataset: str, state: ops.State | None, day: int = 0, sha: str = "a", **more: Any
) -> int:
    number = ops.register(
        conn, dataset_id=dataset, sha256=sha * 64, manifest_uri=uuid.uuid4().hex, file_name="a.csv", size_bytes=1,
        received_at=AT + timedelta(days=day), received_from=None, source="inbox", source_fingerprint=None,
        period_stated=None, archive_uri="x", rules_version="1", **more,
    ).delivery_id  # fmt: skip
    if state is not None:
        ops.set_state(conn, number, state, periods=["2024-03"])
    conn.commit()
    return number


def taken_back(conn: ops.Connection, number: int, reason: str = "falsche Datei") -> Any:
    done = withdraw(conn, number, reason=reason, actor="kerstin", now=NOW)
    conn.commit()
    return done


def test_a_loaded_delivery_is_withdrawn_once_and_written_down(conn: ops.Connection, dataset: str) -> None:
    first = arrive(conn, dataset, "loaded")
    second = arrive(conn, dataset, "loaded", day=1, sha="b")
    done = taken_back(conn, second, " falsche\n Datei ")
    assert (done.is_new, done.counts_again) == (True, {"2024-03": first})
    assert told(done) == (
        f"Lieferung {second} („a.csv“) ist zurückgezogen. Es gilt wieder, was vorher kam (März 2024: Lieferung {first})."
    )
    again = taken_back(conn, second, "noch einmal")
    assert (again.is_new, again.at) == (False, done.at)
    acts = conn.execute("select actor, action, note from ops.desk_act where delivery_id = %s", (second,)).fetchall()
    assert acts == [("kerstin", "withdrawn", "falsche Datei")]
    [[reason]] = conn.execute("select withdrawal_reason from ops.delivery where delivery_id = %s", (second,)).fetchall()
    assert reason == "falsche Datei"
    only = taken_back(conn, first)
    assert only.counts_again == {"2024-03": None}
    assert told(only).endswith("Jetzt fehlt: März 2024.")


def test_what_a_withdrawn_delivery_showed_need_not_be_mended(conn: ops.Connection, dataset: str) -> None:
    first, second = arrive(conn, dataset, "loaded"), arrive(conn, dataset, "loaded", day=1, sha="b")
    for number, rule in ((first, "values.copied"), (second, "values.copied"), (second, "parts.sum")):
        conn.execute(
            "insert into ops.finding (delivery_id, severity, rule, message) values (%s, 'warning', %s, 'Bitte prüfen.')",
            (number, rule),
        )
    for rule in ("values.copied", "parts.sum"):
        conn.execute(
            "insert into ops.incident (dataset_id, period_code, rule, severity, message, first_seen_at, last_seen_at, delivery_id)"
            " values (%s, '2024-03', %s, 'warning', 'Bitte prüfen.', %s, %s, %s)",
            (dataset, rule, AT, AT, second),
        )
    conn.commit()
    taken_back(conn, second)
    states = conn.execute(
        "select rule, state from ops.incident where dataset_id = %s order by 1", (dataset,)
    ).fetchall()
    assert states == [("parts.sum", "fixed"), ("values.copied", "open")], "the first delivery shows copies as well"


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("received", "Sie ist noch nicht geladen"),
        ("validated", "Sie ist noch nicht geladen"),
        ("failed", "Sie ist noch nicht geladen"),
        ("quarantined", "Sie wurde zurückgewiesen"),
        ("unpacked", "Bitte die einzelnen Dateien daraus zurückziehen"),
    ],
)
def test_what_does_not_count_cannot_be_withdrawn(
    conn: ops.Connection, dataset: str, state: ops.State, sentence: str
) -> None:
    number = arrive(conn, dataset, state)
    with pytest.raises(TeilhabeError, match=sentence):
        taken_back(conn, number)
    conn.rollback()
    assert ops.delivery(conn, number).state == state


def test_of_a_duplicate_the_first_is_named(conn: ops.Connection, dataset: str) -> None:
    first = arrive(conn, dataset, "loaded")
    second = arrive(conn, dataset, "duplicate", day=1)
    with pytest.raises(TeilhabeError, match=f"Bitte Lieferung {first} zurückziehen"):
        taken_back(conn, second)


def test_a_reason_is_needed_and_a_delivery(conn: ops.Connection, dataset: str) -> None:
    number = arrive(conn, dataset, "loaded")
    with pytest.raises(TeilhabeError, match="Bitte begründen"):
        taken_back(conn, number, " \n ")
    with pytest.raises(TeilhabeError, match="zu lang"):
        taken_back(conn, number, "x" * 1001)
    with pytest.raises(TeilhabeError, match="Eine Lieferung 987654321 gibt es nicht"):
        taken_back(conn, 987654321)


def test_the_same_bytes_may_come_again_once_they_were_withdrawn(conn: ops.Connection, dataset: str) -> None:
    first = arrive(conn, dataset, "loaded")
    second = arrive(conn, dataset, None, day=1)
    assert ops.delivery(conn, second).duplicate_of == first
    taken_back(conn, first)
    third = arrive(conn, dataset, None, day=2)
    assert ops.delivery(conn, third).duplicate_of is None


def test_a_container_of_which_a_file_was_withdrawn_may_come_again(conn: ops.Connection, dataset: str) -> None:
    zipped = arrive(conn, dataset, "unpacked")
    member = arrive(conn, dataset, "loaded", sha="b", container_id=zipped)
    taken_back(conn, member)
    assert ops.delivery(conn, arrive(conn, dataset, None, day=2)).duplicate_of is None


def test_the_period_is_missing_again_from_the_day_of_withdrawal(conn: ops.Connection, dataset: str) -> None:
    number = arrive(conn, dataset, "loaded")
    conn.execute(
        "insert into ops.delivery_calendar values (%s, null, '2024-03', '2024-03-31', '2024-04-15', '2024-04-25')", (dataset,)
    )  # fmt: skip
    taken_back(conn, number)
    conn.execute("update ops.delivery set state_at = '2024-05-01 12:00+02' where delivery_id = %s", (number,))
    states = {
        day: conn.execute(
            "select state, delivery_id from ops.delivery_calendar_at(%s) where dataset_id = %s", (day, dataset)
        ).fetchall()
        for day in (date(2024, 4, 19), date(2024, 4, 30), date(2024, 5, 1))
    }
    assert states == {
        date(2024, 4, 19): [("due", None)],
        date(2024, 4, 30): [("delivered", number)],
        date(2024, 5, 1): [("overdue", None)],
    }
    ops.set_state(conn, number, "held")
    held = conn.execute("select state from ops.delivery_calendar_at('2024-05-01') where dataset_id = %s", (dataset,))
    assert held.fetchall() == [("delivered",)], "an office is not blamed for a file a build cannot take in"
    conn.rollback()


def test_a_published_delivery_is_taken_out_by_the_next_build(conn: ops.Connection, dataset: str) -> None:
    published = arrive(conn, dataset, "loaded")
    build = ops.start_build(conn, [published], code_version="test", run_id=None)
    ops.finish_build(conn, build, succeeded=True, message=None)
    unpublished = arrive(conn, dataset, "loaded", sha="b")
    for number in (published, unpublished):
        taken_back(conn, number)

    def due() -> list[int]:
        return [n for n in ops.deliveries_to_build(conn) if n in (published, unpublished)]

    def counted() -> list[tuple[Any, ...]]:
        return conn.execute(
            "select delivery_id, known_until is null from ops.delivery_counted where delivery_id = any(%s)",
            ([published, unpublished],),
        ).fetchall()

    assert (due(), counted()) == ([published], [(published, False)])
    failed = ops.start_build(conn, due(), code_version="test", run_id=None)
    ops.finish_build(conn, failed, succeeded=False, message="x")
    assert due() == [published], "still to be taken out"
    build = ops.start_build(conn, due(), code_version="test", run_id=None)
    assert ops.light_build(conn, build) == [dataset]
    ops.finish_build(conn, build, succeeded=True, message=None)
    assert (due(), counted()) == ([], [(published, False)])


def test_what_is_held_while_a_build_runs_was_not_taken_in_by_it(conn: ops.Connection, dataset: str) -> None:
    number = arrive(conn, dataset, "loaded")
    build = ops.start_build(conn, [number], code_version="test", run_id=None)
    ops.set_state(conn, number, "held")
    ops.finish_build(conn, build, succeeded=True, message=None)
    assert number not in ops.deliveries_to_build(conn)
    assert not conn.execute("select from ops.delivery_counted where delivery_id = %s", (number,)).fetchall()
    ops.set_state(conn, number, "loaded")
    assert number in ops.deliveries_to_build(conn), "mended, it is taken in"
    conn.rollback()


# ------------------------------------------------------------------------------------------------- when it was received


def file_of(received_at: datetime | None, **said: Any) -> RemoteFile:
    return RemoteFile("a.csv", "a.csv", 1, None, "f", complete=True, source="inbox", received_at=received_at, **said)


def test_a_machine_whose_clock_is_ahead_is_not_believed() -> None:
    found = arrival(file_of(NOW + timedelta(minutes=7)), NOW)
    assert (found.at, found.by_own_clock, found.problem) == (NOW, True, None)
    assert arrival(file_of(None), NOW).at == NOW
    past = arrival(file_of(NOW - timedelta(days=7)), NOW)
    assert (past.at, past.by_own_clock) == (NOW - timedelta(days=7), False)


def test_a_person_who_states_a_time_to_come_is_told() -> None:
    found = arrival(file_of(NOW + timedelta(days=365), is_stated=True), NOW)
    assert found.at == NOW
    assert found.problem is not None
    assert found.problem.severity == "critical"
    assert found.problem.message == (
        "Datei „a.csv“: Als Eingang ist der 01.05.2025, 14:00 Uhr (MESZ) angegeben, das liegt in der Zukunft; erwartet wird ein "
        "Zeitpunkt bis jetzt (01.05.2024, 14:00 Uhr (MESZ))."
    )


def test_handing_in_for_a_time_to_come_hands_in_nothing(tmp_path: Path) -> None:
    settings = Settings(project=tmp_path, home=tmp_path / "home", archive_url=(tmp_path / "archive").as_uri())
    file = tmp_path / "a.csv"
    file.write_text("1")
    with pytest.raises(TeilhabeError, match="liegt in der Zukunft"):
        hand_in(settings, "a__b", [file], NOW + timedelta(seconds=1), now=NOW)
    assert not FolderSource(dataset_inbox(settings, "a__b")).list()
    hand_in(settings, "a__b", [file], NOW, now=NOW)
    hand_in(settings, "a__b", [file], now=NOW)
    assert [(one.received_at, one.is_stated, one.by_own_clock) for one in FolderSource(dataset_inbox(settings, "a__b")).list()] == [
        (NOW, True, False),
        (NOW, False, True),
    ]  # fmt: skip


def test_a_clock_set_back_does_not_let_an_error_outrank_its_correction(conn: ops.Connection, dataset: str) -> None:
    arrive(conn, dataset, "loaded", by_own_clock=True)
    stated = arrive(conn, dataset, "loaded", day=30, sha="b")
    assert ops.delivery(conn, stated).received_at == AT + timedelta(days=30)
    an_hour_earlier = AT - timedelta(hours=1)
    assert ops.not_before(conn, dataset, an_hour_earlier) == AT + timedelta(microseconds=1)
    assert ops.not_before(conn, dataset, AT + timedelta(days=1)) == AT + timedelta(days=1)
    assert ops.not_before(conn, f"{dataset}_2", an_hour_earlier) == an_hour_earlier
