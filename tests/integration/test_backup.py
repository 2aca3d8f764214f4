"""A backup taken while everything runs becomes a home that is equal to the digit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from teilhabe.contract import lookup
from teilhabe.errors import TeilhabeError
from teilhabe.keeping import backup, checking
from teilhabe.landing import Archive
from teilhabe.ops import schema
from teilhabe.pipeline import installing, taking_in
from teilhabe.raw import loading
from teilhabe.server import connecting, embedded, provisioning
from teilhabe.settings import Settings
from teilhabe.system import locks
from tests.conftest import settings_for
from tests.flow import POPULATION, Flow, population
from tests.patience import within


@pytest.fixture(scope="module")
def flow(installed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A home with a delivery that is loaded, one that is refused, and a release of the warehouse's making."""
    flow = Flow(installed, tmp_path_factory.mktemp("drafts"))
    flow.deliver(POPULATION, population({"03157001": (100, 60, 40)}), "eins.csv", "2023-06-01")
    flow.deliver(POPULATION, b"nothing like a table", "zwei.csv", "2023-06-02")
    (installed.inbox / POPULATION).mkdir(parents=True, exist_ok=True)
    with connecting.connect("transformer", installed) as conn:
        conn.execute("create table marts.release (release_id bigint, value numeric)")
        conn.execute("insert into marts.release values (7, 0.1234567890123456789)")
        conn.execute("grant select on marts.release to teilhabe_analyst")
    return flow


@pytest.fixture
def place(make_home: Callable[[], Path]) -> Path:
    return make_home().parent / "backup"


@pytest.fixture
def into(make_home: Callable[[], Path]) -> Iterator[Path]:
    path = make_home()
    yield path
    embedded.stop(settings_for(path))


def test_a_restored_home_is_equal(flow: Flow, place: Path, into: Path) -> None:
    (flow.settings.inbox / POPULATION / "waits.csv").write_text("not taken in yet")
    made = backup.backup(flow.settings, place)
    assert made.contents["deliveries"] == 2 and made.contents["release"] == 7
    backup.restore(settings_for(into), place, into)
    again = settings_for(into)
    assert (again.inbox / POPULATION / "waits.csv").read_text() == "not taken in yet"
    query = "select delivery_id, state, sha256, received_at, row_count from ops.delivery order by delivery_id"
    with loading.session(flow.settings) as old, loading.session(again) as new:
        assert old.execute(query).fetchall() == new.execute(query).fetchall()
        objects = [sha256 for _, _, sha256, _, _ in new.execute(query)]
    for sha256 in objects:
        Archive(again.archive_url).check(sha256)
    with connecting.connect("analyst", again) as conn:
        assert str(conn.execute("select value from release").fetchall()[0][0]) == "0.1234567890123456789"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("select * from ops.delivery")
    # And it goes on: what waited is taken in, and what comes then.
    later = Flow(again, place.parent / "drafts")
    later.deliver(POPULATION, population({"03157001": (101, 60, 41)}), "drei.csv", "2023-07-01")
    with loading.session(again) as conn:
        taken_in = conn.execute(
            "select file_name from ops.delivery where delivery_id > 2 order by file_name"
        ).fetchall()
    assert taken_in == [("drei.csv",), ("waits.csv",)]


def test_a_second_backup_copies_what_is_new(flow: Flow, place: Path) -> None:
    backup.backup(flow.settings, place)
    said: list[str] = []
    second = backup.backup(flow.settings, place, said.append)
    assert "0 files, 0 bytes were new" in said
    assert [one.folder for one in backup.sets(place)][-1] == second.folder and len(backup.sets(place)) == 2
    backup.verify(place, second)


def test_nothing_is_overwritten(flow: Flow, place: Path, into: Path) -> None:
    backup.backup(flow.settings, place)
    into.mkdir()
    (into / "mine").touch()
    with pytest.raises(TeilhabeError, match="is not empty"):
        backup.restore(settings_for(into), place, into)
    assert [path.name for path in into.iterdir()] == ["mine"]


@pytest.mark.parametrize("victim", ["warehouse.dump", "object", "home"])
def test_damage_is_named_and_not_restored(flow: Flow, place: Path, into: Path, victim: str) -> None:
    made = backup.backup(flow.settings, place)
    paths = {
        "warehouse.dump": made.folder / "warehouse.dump",
        "object": next(path for path in (place / "archive" / "objects").rglob("*") if path.is_file()),
        "home": made.folder / "home" / "secrets" / "warehouse_loader.password",
    }
    paths[victim].chmod(0o600)
    paths[victim].write_bytes(b"x" + paths[victim].read_bytes()[1:] + b"y")
    with pytest.raises(TeilhabeError, match="altered"):
        backup.verify(place, made)
    with pytest.raises(TeilhabeError, match="altered"):
        backup.restore(settings_for(into), place, into)
    assert not into.exists()


def test_a_backup_of_a_newer_version_is_refused(flow: Flow, place: Path, into: Path) -> None:
    made = backup.backup(flow.settings, place)
    assert made.contents["schema"] == {**schema.versions_of_code(), "marts": 0}
    (made.folder / "contents.json").write_text(json.dumps({**made.contents, "schema": {"ops": 10_000, "marts": 1}}))
    with pytest.raises(TeilhabeError, match=r"was made by a newer teilhabe \(\S+\): restore it with that one"):
        backup.restore(settings_for(into), place, into)
    assert not into.exists()


def test_an_interrupted_backup_counts_for_nothing(flow: Flow, place: Path) -> None:
    made = backup.backup(flow.settings, place)
    (made.folder / "contents.json").unlink()
    with pytest.raises(TeilhabeError, match="holds no complete backup"):
        backup.latest(place)
    draft = place / "sets" / ".20260101T000000000000Z"
    draft.mkdir()
    kept = backup.backup(flow.settings, place)
    assert backup.latest(place).folder == kept.folder and not draft.exists()


def test_a_backup_waits_for_a_build_and_lies_outside_the_home(flow: Flow, place: Path) -> None:
    with pytest.raises(TeilhabeError, match="must not lie in the home"):
        backup.backup(flow.settings, flow.settings.home / "backup")
    with loading.session(flow.settings) as build:
        locks.wait_alone(build, "teilhabe.build")
        making = threading.Thread(target=backup.backup, args=(flow.settings, place))
        making.start()
        making.join(timeout=2)
        assert making.is_alive() and backup.sets(place) == []
    making.join(timeout=120)
    assert len(backup.sets(place)) == 1


def test_the_backup_is_as_closed_as_the_home(flow: Flow, place: Path) -> None:
    made = backup.backup(flow.settings, place)
    assert place.stat().st_mode & 0o077 == 0 and made.folder.stat().st_mode & 0o077 == 0
    assert (made.folder / "warehouse.dump").stat().st_mode & 0o077 == 0
    password = (flow.settings.secrets / "warehouse_admin.password").read_text().strip()
    assert password not in json.dumps(made.contents)


def test_a_server_of_ones_own_is_not_overwritten(flow: Flow, place: Path, into: Path) -> None:
    backup.backup(flow.settings, place)
    address = connecting.url(flow.settings, "admin")
    other = replace(settings_for(into), warehouse_url=address)
    with pytest.raises(TeilhabeError, match=r"database .* is not empty"):
        backup.restore(other, place, into)
    assert not into.exists()


def test_a_backup_under_load_loses_and_doubles_nothing(flow: Flow, place: Path, into: Path) -> None:
    """Taken while files are judged and loaded: the new home has what was done, and does the rest."""
    contract = lookup.contract(flow.settings, POPULATION)
    for n in range(8):
        numbers = population({"03157001": (200 + n, 100, 100 + n)}, 2010 + n)
        flow.hand_in(POPULATION, numbers, f"jahr_{n}.csv", "2023-08-01")
    flow.archive(POPULATION)
    loaded = "select count(*) from ops.delivery where starts_with(file_name, 'jahr_') and state = 'loaded'"
    working = threading.Thread(target=taking_in.take_in, args=(flow.settings, contract))
    working.start()
    within(120, lambda: flow.ask(loaded) != [(0,)])
    made = backup.backup(flow.settings, place)
    working.join()
    assert flow.ask(loaded) == [(8,)]
    backup.restore(settings_for(into), place, into)
    again = Flow(settings_for(into), place.parent / "drafts")
    assert made.contents["deliveries"] == again.ask("select count(*) from ops.delivery")[0][0]
    Flow.run(again, POPULATION)
    query = (
        f"select d.delivery_id, d.sha256, d.state, r._row_number, r._column_number, r.value from raw.{POPULATION} as r"
        " join ops.delivery as d on d.delivery_id = r._delivery_id where starts_with(file_name, 'jahr_') order by 1, 4, 5"
    )
    assert again.ask(query) == flow.ask(query) and len(flow.ask(query)) == 24


def problems(flow: Flow, *, full: bool = False) -> dict[str, list[str]]:
    return {one.subject: one.problems for one in checking.check(flow.settings, full=full) if one.problems}


class TestCheck:
    @pytest.fixture
    def mine(self, home: Path, tmp_path: Path) -> Iterator[Flow]:
        """A home to break."""
        settings = settings_for(home)
        embedded.ensure_running(settings)
        provisioning.provision(settings)
        installing.install(settings)
        flow = Flow(settings, tmp_path / "drafts")
        flow.deliver(POPULATION, population({"03157001": (100, 60, 40)}), "eins.csv", "2023-06-01")
        yield flow
        embedded.stop(settings)

    def test_it_finds_nothing_in_a_sound_home_and_names_what_is_broken(self, mine: Flow) -> None:
        assert problems(mine) == {} and problems(mine, full=True) == {}
        [(sha256,)] = mine.ask("select sha256 from ops.delivery")
        kept = next((mine.settings.home / "archive" / "objects").rglob(f"{sha256}.zst"))
        content = kept.read_bytes()
        kept.chmod(0o600)
        kept.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])
        assert problems(mine) == {} and "altered" in problems(mine, full=True)["archive"][0]
        kept.write_bytes(content[:-1])
        assert "is missing or torn" in problems(mine)["archive"][0]
        kept.unlink()
        assert "is missing" in problems(mine)["archive"][0]
        kept.write_bytes(content)
        entry = next((mine.settings.home / "archive" / "manifest").rglob("*.json"))
        written = entry.read_text()
        entry.unlink()
        assert "the manifest has 0 arrivals" in problems(mine)["manifest"][0]
        entry.write_text(written)
        with loading.session(mine.settings) as conn:
            conn.execute(f"delete from raw.{POPULATION} where ctid = (select min(ctid) from raw.{POPULATION})")
        assert "raw has" in problems(mine)["raw rows"][0]
