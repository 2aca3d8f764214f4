"""dbt ends with the process that asked for it, also when that one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from teilhabe.building import dbt_run
from tests.patience import within

ASKS = (
    "import os, sys; from teilhabe import settings; from teilhabe.building import building;"
    "building._in_a_process_of_its_own([sys.executable, '-m', 'teilhabe.building.dbt_run', sys.argv[1]], "
    "settings.get_settings(), os.environ)"
)
NEVER_ENDS = """
import signal
from pathlib import Path


class dbtRunner:
    def invoke(self, arguments):
        Path({ready!r}).touch()
        while True:
            signal.pause()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which a run of dbt never ends, and says when it is under way."""
    package = tmp_path / "dbt" / "cli"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    # All but its command line is dbt's own.
    (package.parent / "__init__.py").write_text("import pkgutil; __path__ = pkgutil.extend_path(__path__, __name__)\n")
    (package / "main.py").write_text(NEVER_ENDS.format(ready=str(tmp_path / "ready")))
    return {**os.environ, "PYTHONPATH": str(tmp_path), "TEILHABE_HOME": str(tmp_path / "home")}


def test_a_killed_build_leaves_no_dbt(environment: dict[str, str], tmp_path: Path) -> None:
    asking = subprocess.Popen([sys.executable, "-c", ASKS, str(tmp_path)], env=environment)
    try:
        within(120, (tmp_path / "ready").exists)
        [dbt] = psutil.Process(asking.pid).children()
        assert dbt.is_running() and "teilhabe.building.dbt_run" in dbt.cmdline()
    finally:
        asking.kill()
        asking.wait()
    _, alive = psutil.wait_procs([dbt], timeout=60)
    assert not alive


def test_a_dbt_whose_build_has_ended_before_it_began_does_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "teilhabe.building.dbt_run", str(tmp_path)]
    done = subprocess.run(command, env={**environment, dbt_run.PARENT: "1"}, check=False)
    assert done.returncode == -signal.SIGKILL and not (tmp_path / "ready").exists()
