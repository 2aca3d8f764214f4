"""How fast a long delivery gets into PostgreSQL: ours beside a bare COPY, pandas ``to_sql`` and dlt, all in one run.

Every measurement is a process of its own, so that peak memory is that of one variant; the server is the embedded one of
a temporary home. Order alternates between rounds, the median counts. CPU seconds of client and server stand beside the
wall clock: on a busy machine they are the steadier number.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from bench import data
from bench.variants import VARIANTS
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import connecting, embedded, provisioning
from teilhabe.settings import Settings, get_settings

LABELS = {
    "copy_text": "COPY of the delivered columns (limit)",
    "copy_tidy": "COPY of the tidy table, encoded before",
    "to_sql": "pandas read_csv + to_sql",
    "dlt": "dlt (Arrow, CSV, COPY)",
    "ours_load": "ours: read + load",
    "ours": "ours: read + validate + load",
    "ours_confined": "ours, read in a confined process",
}

_HERE = Path(__file__).parent
_WARM_UP_ROWS = 20_000
_SLOW = {"to_sql": 10}
"""Variants that get only every tenth row's worth of the file and run once; their rate hardly depends on the length."""


@dataclass(frozen=True)
class Measurement:
    variant: str
    rows: int
    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    peak_mb: float
    load: float
    """Load average of the machine when it ended."""

    @property
    def rate(self) -> float:
        return self.rows / self.seconds

    @property
    def cpu_rate(self) -> float:
        return self.rows / (self.cpu_seconds + self.server_cpu_seconds)


def run(rows: int, variants: Sequence[str], rounds: int, console: Console) -> dict[str, object]:
    """Measure, print, and return everything as plain data."""
    measured: dict[str, list[Measurement]] = {name: [] for name in variants}
    not_run: dict[str, str] = {}
    with _server() as (settings, server_pid, folder):
        files = {size: folder / f"{size}.csv" for size in {rows, rows // 4, *(rows // n for n in _SLOW.values())}}
        files[_WARM_UP_ROWS] = folder / "small.csv"
        for size, path in files.items():
            data.write(path, size)

        def measure(name: str, size: int) -> Measurement | None:
            try:
                command, environment = _command(name, settings)
                result = _child([*command, str(files[_WARM_UP_ROWS]), str(files[size])], environment, name, server_pid)
            except _NotRun as problem:
                not_run[name] = str(problem)
                return None
            finally:
                _clean(settings)
            console.print(f"{name:10} {result.rows:>9,} rows {result.seconds:7.2f} s   load {result.load:.1f}")
            return result

        for number in range(rounds):
            for name in variants if number % 2 == 0 else list(reversed(variants)):
                if name in not_run or (name in _SLOW and number):
                    continue
                if result := measure(name, rows // _SLOW.get(name, 1)):
                    measured[name].append(result)
        quarter = measure("ours", rows // 4) if "ours" in variants else None
    medians = {name: _median(results) for name, results in measured.items() if results}
    _print(medians, quarter, not_run, console)
    return {
        "machine": _machine(),
        "medians": {name: asdict(m) for name, m in medians.items()},
        "all": {name: [asdict(m) for m in results] for name, results in measured.items()},
        "ours_quarter": asdict(quarter) if quarter else None,
        "not_run": not_run,
    }


class _NotRun(Exception):
    """A variant that cannot be run here, and why."""


def _command(name: str, settings: Settings) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "TEILHABE_HOME": str(settings.home), "GX_ANALYTICS_ENABLED": "false"}
    if name != "dlt":
        return [sys.executable, "-m", "bench.variants", name], environment
    environment["BENCH_URL"] = connecting.url(settings, "loader")
    environment["HOME"] = str(settings.home)
    return [str(_dlt_python()), str(_HERE / "with_dlt.py")], environment


def _dlt_python() -> Path:
    """dlt pins other versions than ours, so it lives beside the environment, not in it."""
    place = Path(sys.prefix) / ".bench"
    python = place / "bin" / "python"
    if (place / ".installed").exists():
        return python
    uv = shutil.which("uv") or next((str(p) for p in (Path(sys.prefix) / ".uv" / "bin").glob("uv")), None)
    install = (
        [uv, "pip", "install", "--quiet", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    )
    make = (
        [uv, "venv", "--quiet", "--python", sys.executable, str(place)] if uv else [sys.executable, "-m", "venv", place]
    )
    shutil.rmtree(place, ignore_errors=True)
    for command in (make, [*install, "dlt[postgres]", "pyarrow"]):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise _NotRun(f"dlt could not be installed: {reason[:200]}")
    (place / ".installed").touch()
    return python


def _child(command: list[str], environment: dict[str, str], name: str, server_pid: int) -> Measurement:
    before = _server_cpu(server_pid)
    done = subprocess.run(  # noqa: S603
        command, env=environment, cwd=_HERE.parent, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise _NotRun((done.stderr.strip().splitlines() or ["no reason given"])[-1][:300])
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return Measurement(
        variant=name, server_cpu_seconds=_server_cpu(server_pid) - before, load=os.getloadavg()[0], **result
    )


def _server_cpu(pid: int) -> float:
    """CPU of the server's connections that have ended; preparations and the warm-up are in it, too."""
    times = psutil.Process(pid).cpu_times()
    return float(times.children_user + times.children_system)


@contextmanager
def _server() -> Iterator[tuple[Settings, int, Path]]:
    base = Path(tempfile.mkdtemp(prefix="teilhabe-bench-"))
    base.chmod(0o755)  # the server runs under an account of its own
    settings = replace(get_settings({"TEILHABE_HOME": str(base / "home")}), project=_HERE.parent)
    try:
        server = embedded.ensure_running(settings)
        provisioning.provision(settings)
        with loading.session(settings) as conn:
            schema.install(conn)
        assert server.pid is not None  # noqa: S101 - an embedded server has one
        yield settings, server.pid, base
    finally:
        embedded.discard(settings)
        shutil.rmtree(base, ignore_errors=True)


def _clean(settings: Settings) -> None:
    """Drop what a variant left, also one that failed or keeps its tables."""
    with loading.session(settings) as conn:
        for (name,) in conn.execute("select tablename from pg_tables where schemaname = 'raw'").fetchall():
            conn.execute(f'drop table raw."{name}"')  # names come from the catalogue


def _median(results: list[Measurement]) -> Measurement:
    middle = sorted(results, key=lambda m: m.seconds)[(len(results) - 1) // 2]
    return replace(
        middle,
        cpu_seconds=statistics.median(m.cpu_seconds for m in results),
        server_cpu_seconds=statistics.median(m.server_cpu_seconds for m in results),
        peak_mb=statistics.median(m.peak_mb for m in results),
    )


def _print(
    medians: dict[str, Measurement], quarter: Measurement | None, not_run: dict[str, str], console: Console
) -> None:
    columns = (
        "variant",
        "rows/s",
        "of COPY",
        "x to_sql",
        "x dlt",
        "CPU of COPY",
        "peak MB",
        "of ours",
        "s",
        "CPU s",
        "server s",
    )
    table = Table(*columns, box=None, header_style="bold")

    def ratio(value: float | None, other: float | None) -> str:
        return f"{value / other:.2f}" if value and other else "-"

    def rate(name: str) -> float | None:
        return medians[name].rate if name in medians else None

    for name, m in medians.items():
        limit = medians.get("copy_text")
        ours = medians.get("ours")
        table.add_row(
            LABELS[name],
            f"{m.rate:,.0f}",
            ratio(m.rate, rate("copy_text")),
            ratio(m.rate, rate("to_sql")),
            ratio(m.rate, rate("dlt")),
            ratio(m.cpu_rate, limit.cpu_rate if limit else None),
            f"{m.peak_mb:,.0f}",
            ratio(m.peak_mb, ours.peak_mb if ours else None),
            f"{m.seconds:.2f}",
            f"{m.cpu_seconds:.2f}",
            f"{m.server_cpu_seconds:.2f}",
        )
    console.print(table)
    for name in _SLOW:
        if name in medians:
            console.print(f"{name}: {medians[name].rows:,} rows, once; it is slow.")
    for name, reason in not_run.items():
        console.print(f"{name}: not run - {reason}")
    if quarter and "ours" in medians:
        whole = medians["ours"]
        console.print(
            f"Peak memory of ours: {quarter.peak_mb:,.0f} MB for {quarter.rows:,} rows, {whole.peak_mb:,.0f} MB for "
            f"{whole.rows:,} rows."
        )
    console.print(_machine())


def _machine() -> str:
    from importlib.metadata import version

    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "pandas", "great-expectations", "psycopg"))
    cores = psutil.cpu_count()
    return f"{cores} cores, {memory:.0f} GB, {platform.system()}, Python {platform.python_version()}, {packages}"


ALL = tuple(name for name in LABELS if name in VARIANTS or name == "dlt")
