"""What all tests share: real files where they are, a home, a running warehouse. Skips are never silent."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from teilhabe import warehouse as warehouse_module
from teilhabe.settings import Settings, get_settings

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
            warehouse_module.discard(settings)
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


@pytest.fixture(scope="session")
def warehouse(make_home: Callable[[], Path]) -> Iterator[Settings]:
    """A provisioned embedded server for the whole session; tests share it, so they use names of their own."""
    settings = settings_for(make_home())
    warehouse_module.ensure_running(settings)
    warehouse_module.provision(settings)
    yield settings
    warehouse_module.stop(settings)


def settings_for(home: Path) -> Settings:
    """The settings of a home, independent of the environment."""
    return replace(get_settings({"TEILHABE_HOME": str(home)}), project=PROJECT)


_LONGEST = ("vintages", "codebook", "line", "desk_browser", "statistical_rules", "dbt_star", "cookbook", "territory",
            "services", "real_files", "every_dataset", "bad_catalogue", "lineage", "releasing")  # fmt: skip
"""Files of tests that take half a minute and more, longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A worker that begins a long file last is waited for by all others; so long files begin first."""
    order = {f"test_{name}": place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every test that did not run, and why: a green line must not hide them."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section(f"{len(skipped)} skipped")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")
