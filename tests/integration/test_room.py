"""A disk that is full: one sentence at once, one failed step, nothing lost, and it goes on by itself when there is room.

The archive lies on a small file system of its own where this account may mount one; else a limit on the size of files that the
process may write stands in for it.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from teilhabe.airflow import running
from teilhabe.contract import lookup
from teilhabe.errors import FullError
from teilhabe.landing import room
from teilhabe.pipeline import archiving
from teilhabe.pipeline.waiting import poll, waiting_in_inbox
from teilhabe.raw import loading
from teilhabe.settings import Settings
from teilhabe.status import reporting
from tests.flow import POPULATION, Flow, population


@pytest.fixture
def small(installed: Settings, tmp_path: Path) -> Iterator[Flow]:
    """A home whose archive has four megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("this account may not mount a file system")
    try:
        yield Flow(replace(installed, archive_url=(place / "archive").as_uri()), tmp_path / "drafts")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(flow: Flow) -> Path:
    path = Path(flow.settings.archive_url.removeprefix("file://")).parent / "fills"
    with path.open("wb") as out:
        try:
            while True:
                out.write(b"x" * 65536)
                out.flush()
        except OSError:
            return path


def test_where_nothing_has_room_it_is_said_at_once_and_once(small: Flow) -> None:
    filler = fill(small)
    for number in range(3):
        small.hand_in(POPULATION, population({"03157001": (100 + number, 60, 40 + number)}, 2010), f"{number}.csv")
    with pytest.raises(FullError, match=r"Der Speicherplatz ist voll \(.*noch 0 von 4 MB frei\)"):
        small.archive(POPULATION)
    failed = small.ask("select count(*) from ops.outcome where message = 'FullError'")
    assert failed == [(1,)], "one step, not one for each file"
    for _ in range(2):
        with pytest.raises(FullError):
            running._refuse_without_room(small.settings, [POPULATION])
    told = small.ask("select count(*) from ops.message where kind = 'operators' and subject ~ 'Speicherplatz voll'")
    assert told == [(1,)], "the operators hear of it from a run as well, and once"
    said = reporting.status(small.settings, datetime.now(UTC))["no_room"]
    assert said.startswith("Der Speicherplatz ist voll (seit ")
    with loading.session(small.settings) as conn:
        assert room.met_by(conn, [POPULATION, "other"], datetime(2020, 1, 1, tzinfo=UTC)) == {POPULATION}
    assert running._failures(
        small.settings,
        [(POPULATION, ["deliver failed"]), ("other", ["something else"])],
        datetime(2020, 1, 1, tzinfo=UTC),
    ) == [said, "something else"]
    assert waiting_in_inbox(small.settings, POPULATION) == 3, "nothing is lost"
    filler.unlink()
    assert len(small.archive(POPULATION)) == 3
    assert reporting.status(small.settings, datetime.now(UTC))["no_room"] is None


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """As a quota does it: what a process writes beyond is refused."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_quota_nobody_can_foresee_ends_with_the_same_sentence(installed: Settings, tmp_path: Path) -> None:
    flow = Flow(installed, tmp_path / "drafts")
    for number in range(2):
        flow.hand_in(POPULATION, population({"03157001": (50 + number, 30, 20 + number)}, 2011), f"{number}.csv")
    contract = lookup.contract(installed, POPULATION)
    waiting = poll(installed, contract, pytest.fail)
    with files_up_to(100), pytest.raises(FullError, match="Der Speicherplatz ist voll"):
        archiving.archive(installed, contract, waiting, pytest.fail)
    assert waiting_in_inbox(installed, POPULATION) == len(waiting)
    assert len(flow.archive(POPULATION)) == len(waiting)
