"""dbt and the command line for tests: every run in a process of its own, as in the product, but forked from one that is prepared.

Importing dbt takes two seconds, a quarter of a small build, and the tests run it again and again.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

_DBT, _BUILD, _COMMAND = "dbt.cli.main", "teilhabe.building.dbt_run", "teilhabe.cli.app"


_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    # Not the command line itself: what it writes to is decided when it is imported.
    [
        _BUILD,
        "dbt.cli.main",
        "dbt.adapters.postgres",
        "typer",
        "rich.table",
        "rich.progress",
        "psycopg",
        "teilhabe.contract.parsing",
    ]
)


def run(
    module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """``python -m module arguments...`` in ``folder``."""
    with TemporaryDirectory() as kept:
        said = [Path(kept) / name for name in ("stdout", "stderr")]
        process = _FORKS.Process(target=_child, args=(module, list(arguments), folder, dict(environment), *said))
        process.start()
        process.join()
        out, err = (path.read_text(encoding="utf-8") if path.exists() else "" for path in said)
    return subprocess.CompletedProcess([module, *arguments], process.exitcode or 0, out, err)


def _child(module: str, arguments: list[str], folder: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    code = _PROGRAMS[module](arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _build(arguments: Sequence[str]) -> int:
    from teilhabe.building import dbt_run

    return dbt_run.main(Path(arguments[0]), arguments[1:])


def _dbt(arguments: Sequence[str]) -> int:
    from dbt.cli.main import cli

    return _ended("dbt", arguments, lambda: cli(list(arguments)))


def _command(arguments: Sequence[str]) -> int:
    from teilhabe.cli import app

    return _ended("teilhabe", arguments, app.main)


def _ended(name: str, arguments: Sequence[str], program: Callable[[], object]) -> int:
    sys.argv = [name, *arguments]
    try:
        program()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


_PROGRAMS: Mapping[str, Callable[[Sequence[str]], int]] = {_DBT: _dbt, _BUILD: _build, _COMMAND: _command}
