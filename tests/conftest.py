"""What all tests share: real files where they are, a home, a running warehouse. Skips are never silent."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from teilhabe import ops
from teilhabe.building import building, dbt_kept
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import embedded
from teilhabe.settings import Settings, get_settings
from tests import forks
from tests.homes import Homes

PROJECT = Path(__file__).resolve().parents[1]

# No test may write into the home a person works with, whatever their shell says.
for _name in (
    "TEILHABE_HOME",
    "TEILHABE_ARCHIVE_URL",
    "TEILHABE_WAREHOUSE_URL",
    "AIRFLOW_CONN_WAREHOUSE",
    "AIRFLOW_HOME",
):
    os.environ.pop(_name, None)
os.environ["DO_NOT_TRACK"] = "1"
os.environ["GX_ANALYTICS_ENABLED"] = "false"


@pytest.fixture(scope="session")
def real_files() -> Path:
    """The offices' own files. They are not part of the project (licences), so a checkout alone does not have them."""
    path = Path(os.environ.get("TEILHABE_REAL_FILES") or PROJECT.parent / "shared" / "real")
    if not path.is_dir():
        pytest.skip("the offices' real files are not here (set TEILHABE_REAL_FILES to their folder)")
    return path


@contextlib.contextmanager
def without_waiting_for_disks() -> Iterator[None]:
    """New clusters of this process trust that the machine goes on: nothing of a test need survive its power cut.

    Processes may be killed as ever, for what was written is the system's then. ``test_warehouse`` has clusters as in production.
    """
    initialise, as_account = embedded._initialise, embedded.run_as

    def run(account: Any, command: Sequence[object], **more: Any) -> Any:
        return as_account(account, [*command, "--no-sync"] if str(command[0]).endswith("/initdb") else command, **more)

    def made(settings: Settings, place: Any, programs: Path, lock: int) -> None:
        initialise(settings, place, programs, lock)
        with (place.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write("fsync = off\nfull_page_writes = off\n")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "_initialise", made)
        patch.setattr(embedded, "run_as", run)
        yield


@pytest.fixture(scope="session", autouse=True)
def _tests_do_not_wait_for_disks() -> Iterator[None]:
    with without_waiting_for_disks():
        yield


@pytest.fixture(scope="session")
def make_home() -> Iterator[Callable[[], Path]]:
    """Fresh homes an unprivileged account can reach; whatever runs in them is ended after the tests."""
    made: list[Path] = []

    def make() -> Path:
        # pytest's own temporary directory is closed to other accounts, and the server never runs as root.
        base = Path(tempfile.mkdtemp(prefix="teilhabe-test-"))
        base.chmod(0o755)
        made.append(base)
        return base / "home"

    yield make
    for base in made:
        settings = settings_for(base / "home")
        if (base / "home").exists():
            embedded.discard(settings)
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def home(make_home: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of this test alone; ``get_settings()`` points to it."""
    path = make_home()
    monkeypatch.setenv("TEILHABE_HOME", str(path))
    return path


@pytest.fixture
def settings(home: Path) -> Settings:
    """The settings of an empty home."""
    return settings_for(home)


def _of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Homes made once in a run, to be copied."""
    return Homes(_of_all_workers(tmp_path_factory), settings_for)


@pytest.fixture(scope="session")
def warehouse(make_home: Callable[[], Path], homes: Homes) -> Iterator[Settings]:
    """A provisioned embedded server for the whole session; tests share it, so they use names of their own."""
    settings = settings_for(make_home())
    homes.lay("provisioned", settings.home)
    embedded.ensure_running(settings)
    yield settings
    embedded.stop(settings)


@pytest.fixture
def conn(warehouse: Settings) -> Iterator[ops.Connection]:
    """The loader on the shared server. What a test does not commit is rolled back: others read the same tables."""
    with loading.session(warehouse) as connection:
        schema.install(connection)
        connection.commit()
        yield connection
        connection.rollback()


@pytest.fixture(scope="session")
def ports() -> list[int]:
    """The port of this process's first ``house``."""
    return []


@contextlib.contextmanager
def _running(settings: Settings, ports: list[int]) -> Iterator[Settings]:
    """With its server at the port the last file's had: dbt called by hand reads its project anew at another address."""
    if ports:
        (settings.run / "warehouse.json").write_text(json.dumps({"port": ports[0]}), encoding="utf-8")
    server = embedded.ensure_running(settings)
    ports[:] = ports or [server.port]
    try:
        yield settings
    finally:
        embedded.stop(settings)


@pytest.fixture(scope="module")
def house(make_home: Callable[[], Path], homes: Homes, ports: list[int]) -> Iterator[Settings]:
    """A provisioned server of this file alone."""
    settings = settings_for(make_home())
    homes.lay("provisioned", settings.home)
    with _running(settings, ports):
        yield settings


@pytest.fixture(scope="module")
def installed(make_home: Callable[[], Path], homes: Homes, ports: list[int]) -> Iterator[Settings]:
    """A ``house`` with ``ops``, the raw tables and the calendar of the contracts as they are; nothing has arrived."""
    settings = settings_for(make_home())
    homes.lay("installed", settings.home)
    with _running(settings, ports):
        yield settings


@pytest.fixture(scope="module")
def with_airflow(make_home: Callable[[], Path], homes: Homes, ports: list[int]) -> Iterator[Settings]:
    """As ``installed``, and Airflow's metadata are there; no component of it runs."""
    settings = settings_for(make_home())
    homes.lay("with Airflow", settings.home)
    with _running(settings, ports):
        yield settings


@pytest.fixture(scope="session")
def dbt_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt works when it is called by hand: one folder, for what it has read of the project serves the next file too."""
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture(scope="session", autouse=True)
def _dbt_reads_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What dbt has read of the project for one home is laid into the next: reading takes longer than a build of little.

    And it is forked from a process that has imported it, see ``tests/forks.py``.
    """
    kept = _of_all_workers(tmp_path_factory) / "partial_parse.msgpack"
    dbt = building.dbt

    def with_kept(settings: Settings, *arguments: str, **more: Any) -> list[building.Node]:
        its = settings.work / "dbt" / kept.name
        if kept.exists() and not its.exists():
            dbt_kept.place(kept, its)
        try:
            return dbt(settings, *arguments, **more)
        finally:
            if its.exists() and settings.project == PROJECT and not kept.exists():
                dbt_kept.place(its, kept)

    def forked(command: Sequence[str], settings: Settings, environment: Mapping[str, str]) -> Any:
        return forks.run(command[2], command[3:], settings.dbt_project, environment)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "dbt", with_kept)
        patch.setattr(building, "_in_a_process_of_its_own", forked)
        yield


def settings_for(home: Path) -> Settings:
    """The settings of a home, independent of the environment."""
    return replace(get_settings({"TEILHABE_HOME": str(home)}), project=PROJECT)


_LONGEST = ("line", "containers_by_hand", "services", "demo_year", "held_deliveries", "dbt_star", "vintages", "statistical_rules",
            "desk_browser", "codebook", "withdrawn_vintages", "every_dataset", "real_files", "fault_matrix", "statistical_expectations",
            "cookbook", "territory_real", "territory", "desk", "lineage", "cli", "contradictions", "bad_catalogue", "pipeline",
            "follow_up", "dbt_project", "text_faults", "sources", "channels")  # fmt: skip
"""Files of tests that take half a minute and more, longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A worker that begins a long file last is waited for by all others; so long files begin first."""
    order = {f"test_{name}": place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Of the process that all workers belong to."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
        Homes(factory.getbasetemp(), settings_for).remove()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every test that did not run, and why: a green line must not hide them."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section(f"{len(skipped)} skipped")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")
