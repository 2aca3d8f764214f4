"""A warehouse of its own to measure in, and what its server needs while something runs."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench.warehouse.country import Delivery
from teilhabe.building import building
from teilhabe.contract.parsing import load_contracts
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import embedded, provisioning
from teilhabe.settings import Settings

_BATCH = 1 << 30


@dataclass
class Measured:
    """One thing that was done. ``steps`` are parts of the seconds."""

    seconds: float
    peak_memory_mb: float
    peak_disk_gb: float
    load: float
    steps: dict[str, float] = field(default_factory=dict)


def prepare(settings: Settings) -> None:
    embedded.ensure_running(settings)
    provisioning.provision(settings)
    with loading.session(settings) as conn:
        schema.install(conn)
        loading.ensure_raw_tables(conn, load_contracts(settings.agencies).values())


def load(settings: Settings, delivery: Delivery, *, state: str = "loaded") -> None:
    """As the loader does it, without the archive; in another state than ``loaded`` the delivery waits to be counted."""
    contract = load_contracts(settings.agencies)[delivery.dataset_id]
    with loading.session(settings) as conn:
        known = conn.execute("select 1 from ops.delivery where sha256 = %s", [delivery.sha256]).fetchone()
        if known:
            return
        [[delivery_id]] = conn.execute(
            """
            insert into ops.delivery (dataset_id, file_name, sha256, size_bytes, received_at, source, archive_uri, manifest_uri,
                state, periods, row_count, loaded_at)
            values (%(dataset)s, %(name)s, %(sha256)s, 0, %(received)s, 'bench', 'bench', %(sha256)s, %(state)s, array[%(period)s],
                %(rows)s, %(received)s)
            returning delivery_id
            """,
            {
                "dataset": delivery.dataset_id,
                "name": delivery.name,
                "sha256": delivery.sha256,
                "received": delivery.received_at,
                "state": state,
                "period": delivery.period,
                "rows": delivery.table.num_rows,
            },
        ).fetchall()
        loading.copy(conn, contract, delivery_id, [delivery.table])


def arrive(settings: Settings, delivery: Delivery) -> None:
    """A delivery that waits is loaded."""
    with loading.session(settings) as conn:
        conn.execute("update ops.delivery set state = 'loaded' where sha256 = %s", [delivery.sha256])


def build(settings: Settings) -> Measured:
    """One build with its tests and the release, timed by the steps it records."""
    begun = datetime.now(UTC)
    measured = measure(settings, lambda: building.build(settings))
    with loading.session(settings) as conn:
        for step, seconds in conn.execute(
            """
            select step, extract(epoch from finished_at - started_at)::float from ops.outcome
            where started_at >= %s and (step = 'publish' or message like 'all layers%%')
            """,
            [begun],
        ):
            measured.steps[step] = seconds
    results = json.loads((settings.work / "dbt" / "results.json").read_text(encoding="utf-8"))["results"]
    for node in sorted(results, key=lambda one: -one["execution_time"])[:8]:
        measured.steps[node["unique_id"].split(".", 2)[-1]] = node["execution_time"]
    return measured


def measure(settings: Settings, what: Callable[[], Any]) -> Measured:
    with _Watch(settings) as watch:
        started = time.perf_counter()
        what()
        seconds = time.perf_counter() - started
    return Measured(seconds, watch.memory / 1e6, watch.disk / 1e9, os.getloadavg()[0])


class _Watch(threading.Thread):
    """Largest memory (shared pages counted once) and disk of the server, looked at twice a second."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self.server = psutil.Process(embedded.ensure_running(settings).pid)
        self.data = (settings.home / "postgres").resolve() / "data"
        self.memory = self.disk = 0
        self.ended = threading.Event()

    def __enter__(self) -> _Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()

    def run(self) -> None:
        looked = 0
        while not self.ended.wait(0.5 if looked else 0):
            self.memory = max(self.memory, sum(map(_memory, [self.server, *self.server.children()])))
            if looked % 10 == 0:
                self.disk = max(self.disk, disk(self.data))
            looked += 1


def _memory(process: psutil.Process) -> int:
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return 0
    except OSError:
        return 0


def disk(folder: Path) -> int:
    """Bytes in use below the folder; files that vanish meanwhile do not count."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += (Path(place) / name).stat().st_blocks * 512
            except OSError:
                continue
    return size
