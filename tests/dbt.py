"""dbt for tests: every run in a process of its own, as in the product, but forked from one that has imported dbt already.

Importing it takes two seconds, a quarter of a small build, and the tests run it again and again.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["dbt.cli.main", "dbt.adapters.postgres", "teilhabe.building.dbt_run"])


def run(
    module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """``python -m module arguments...`` in ``folder``; ``module`` is ``dbt.cli.main`` or ``teilhabe.building.dbt_run``."""
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
    if module == "teilhabe.building.dbt_run":
        from teilhabe.building import dbt_run

        code = dbt_run.main(Path(arguments[0]), arguments[1:])
    else:
        from dbt.cli.main import cli

        sys.argv = ["dbt", *arguments]
        try:
            cli(arguments)
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
