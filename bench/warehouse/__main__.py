"""All of Germany in the warehouse: what it costs to build, to add a month, to correct a number and to ask.

``python -m bench.warehouse [--months 240] [--municipalities 10800]``: invented deliveries of real datasets are loaded as the loader
does it, built, tested and published; the same figures are computed by plain tables that are made anew each time
(``bench/warehouse/plain.sql``). All of it in a home of its own with its own server, which is removed at the end. With ``--home`` the
home stays, and a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.warehouse import questions, server
from bench.warehouse.country import Country, Delivery
from bench.warehouse.server import Measured
from teilhabe.building import building
from teilhabe.raw import loading
from teilhabe.server import connecting, embedded
from teilhabe.settings import Settings, get_settings

_HERE = Path(__file__).parent
_REPEATED = 3
"""Deliveries of which the median counts."""


class Bench:
    """The steps in their order; what is measured stands in ``measured.json`` of the folder."""

    def __init__(self, folder: Path, country: Country, months: int, times: int) -> None:
        self.folder = folder
        self.country = country
        self.months = months
        self.times = times
        self.record = folder / "measured.json"
        self.known: dict[str, Any] = json.loads(self.record.read_text()) if self.record.exists() else {}
        size = {"municipalities": country.municipalities, "months": months}
        if self.known.setdefault("size", size) != size:
            raise SystemExit(f"{folder} belongs to a run with {self.known['size']}; take another folder.")
        self.small = self._settings("small")
        self.large = self._settings("large")

    def run(self) -> None:
        if "small" not in self.known:
            self._short_history()
        embedded.discard(self.small)
        self._load()
        self._plain_way()
        self._build()
        self._new_month()
        self._correction()
        self._once("questions", "analysts' questions", self._ask)

    def discard(self) -> None:
        embedded.discard(self.small)
        embedded.discard(self.large)

    def _short_history(self) -> None:
        """The first months one by one, each after a history of hardly anything."""
        server.prepare(self.small)
        for delivery in (
            self.country.register(),
            *map(self.country.population, self.country.years(1)),
            self.country.month(0),
        ):
            server.load(self.small, delivery)
        _say("one month of history is built")
        server.build(self.small)
        self.known["small"] = []
        for number in range(1, 1 + _REPEATED):
            server.load(self.small, self.country.month(number))
            self.known["small"].append(_told(f"new month on {number}", server.build(self.small)))
        self._save()
        embedded.stop(self.small)

    def _load(self) -> None:
        server.prepare(self.large)
        _say(f"{self.months} months are loaded")
        years = self.country.years(self.months + _REPEATED)
        started = time.perf_counter()
        for delivery in (self.country.register(), *map(self.country.population, years)):
            server.load(self.large, delivery)
        for number in range(self.months + _REPEATED):
            server.load(self.large, self.country.month(number), state="loaded" if number < self.months else "validated")
            if number % 24 == 23:
                _say(f"{number + 1} months after {time.perf_counter() - started:.0f} s")
        with connecting.connect("owner", self.large, autocommit=True) as conn:
            for dataset in ("employment_agency__municipal_workbook", "state_statistics__population"):
                conn.execute(f"vacuum (analyze) raw.{dataset}")
        self.known["raw_gb"] = server.disk((self.large.home / "postgres").resolve() / "data") / 1e9

    def _plain_way(self) -> None:
        if "plain_month" in self.known:
            return
        building.dbt(self.large, "build", "--select", "tag:staging", "--exclude-resource-type", "test", "unit_test")
        self._once("plain_full", "plain tables, all months", lambda: self._measured(self._plain))
        more = self.country.month(self.months)
        server.arrive(self.large, more)
        self._once("plain_month", "plain tables, one more month", lambda: self._measured(self._plain))
        with loading.session(self.large) as conn:
            conn.execute("update ops.delivery set state = 'validated' where sha256 = %s", [more.sha256])
        with connecting.connect("admin", self.large, autocommit=True) as conn:
            conn.execute("drop schema if exists plain, plain_new cascade")

    def _plain(self) -> None:
        with connecting.connect("admin", self.large, autocommit=True) as conn:
            conn.execute("set work_mem = '128MB'; set maintenance_work_mem = '512MB'")
            conn.execute((_HERE / "plain.sql").read_text(encoding="utf-8"))

    def _build(self) -> None:
        self._once("full", "first build and release", lambda: asdict(server.build(self.large)))
        self._once("rows", "rows counted", self._count)

    def _new_month(self) -> None:
        for number in range(self.months, self.months + _REPEATED):
            self._delivered(f"month {number}", self.country.month(number))

    def _correction(self) -> None:
        for number in range(_REPEATED):
            delivery = self.country.correction(self.months // 4 + number, self.months + _REPEATED + number)
            server.load(self.large, delivery, state="validated")
            self._delivered(f"correction {number}", delivery)

    def _delivered(self, name: str, delivery: Delivery) -> None:
        def build() -> dict[str, Any]:
            server.arrive(self.large, delivery)
            return asdict(server.build(self.large))

        self._once(name, name, build)

    def _ask(self) -> list[dict[str, Any]]:
        return [asdict(one) for one in questions.ask(self.large, self.country, self.months, self.times)]

    def _count(self) -> dict[str, int]:
        with connecting.connect("transformer", self.large) as conn:
            return {
                table: conn.execute(f"select count(*) from {table}").fetchall()[0][0]
                for table in (
                    "raw.employment_agency__municipal_workbook", "raw.state_statistics__population",
                    "marts.fct_observation_vintage", "marts.fct_indicator_vintage",
                )
            }  # fmt: skip

    def _measured(self, what: Callable[[], Any]) -> dict[str, Any]:
        return asdict(server.measure(self.large, what))

    def _once(self, name: str, title: str, what: Callable[[], Any]) -> None:
        if name in self.known:
            return
        _say(title)
        self.known[name] = what()
        if isinstance(self.known[name], dict) and "seconds" in self.known[name]:
            _told(title, Measured(**self.known[name]))
        self._save()

    def _save(self) -> None:
        self.record.write_text(json.dumps(self.known, indent=1))

    def _settings(self, name: str) -> Settings:
        return replace(get_settings({"TEILHABE_HOME": str(self.folder / name)}), project=_HERE.parents[1])

    def report(self) -> str:
        known = self.known
        rows = known["rows"]
        months, cells = self.months, len(questions.CELLS)
        small = _median(known["small"])
        month = _median([known[f"month {n}"] for n in range(months, months + _REPEATED)])
        correction = _median([known[f"correction {n}"] for n in range(_REPEATED)])
        full, plain_full, plain_month = (Measured(**known[name]) for name in ("full", "plain_full", "plain_month"))
        with connecting.connect("admin", self.large) as conn:
            version = conn.info.parameter_status("server_version")
        lines = [
            "# Twenty years of Germany in the warehouse" if months == 240 else f"# {months} months in the warehouse",
            "",
            f"{self.country.municipalities:,} municipalities in {len(self.country.counties)} counties, {months} months,"
            f" {cells} numbers a month"
            " (what the employment agency states for each: unemployed, men, women, foreigners, below 25, 55 and older, long-term, SGB II;"
            " exits into work; employable benefit recipients) and four numbers on their population each year:"
            f" {rows['raw.employment_agency__municipal_workbook']:,} +"
            f" {rows['raw.state_statistics__population']:,} delivered numbers. They become"
            f" {rows['marts.fct_observation_vintage']:,} observations (counties and states are sums) and"
            f" {rows['marts.fct_indicator_vintage']:,} results of ARB-03, ARB-04, ARB-09, DEM-01 and DEM-02. A delivery is"
            f" {self.country.municipalities * cells:,} rows. Loading is not part of any figure.",
            "",
            "| what | seconds | peak memory of PostgreSQL, MB | peak disk, GB |",
            "|---|---|---|---|",
            _line("first build of everything, tests, first release", full),
            _line("one new month on 1 month of history", small),
            _line(f"one new month on {months} months", month),
            _line("one number of an old year corrected", correction),
            _line("plain tables: everything", plain_full),
            _line("plain tables: one new month", plain_month),
            "",
            f"A new month on {months} months takes {month.seconds / small.seconds:.2f} times as long as on one."
            f" The plain way takes {plain_month.seconds / month.seconds:.1f} times as long for it,"
            f" and {plain_full.seconds / full.seconds:.2f} times as long for everything; it keeps no past, converts no"
            " territories, tests nothing and publishes nothing, and its seconds hold no start of dbt."
            f" Disk holds everything on the server, raw deliveries ({known['raw_gb']:.1f} GB) and write-ahead log included.",
            "",
            "| part | " + " | ".join(("first build", "on 1 month", f"on {months} months", "correction")) + " |",
            "|---|---|---|---|---|",
            *(
                f"| {title} | " + " | ".join(f"{one.steps.get(step, 0):.1f}" for one in (full, small, month, correction)) + " |"
                for title, step in (("dbt: build and test", "build"), ("publish", "publish"))
            ),
            "",
            f"Questions of analysts, each {self.times} times about other places, months and indicators, planned anew, all rows fetched:",
            "",
            "| question | rows | p50 ms | p95 ms |",
            "|---|---|---|---|",
            *(f"| {q['name']} | {q['rows']:,} | {q['p50']:.1f} | {q['p95']:.1f} |" for q in known["questions"]),
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, PostgreSQL {version}, {os.cpu_count()} cores, {platform.system()}, load average"
            f" {min(full.load, month.load, small.load):.1f} to {max(full.load, month.load, small.load):.1f};"
            f" `python -m bench.warehouse --months {months} --municipalities {self.country.municipalities}`. A delivery is measured"
            f" {_REPEATED} times, the median counts.",
            "",
        ]  # fmt: skip
        return "\n".join(lines)


def _line(title: str, measured: Measured) -> str:
    return f"| {title} | {measured.seconds:,.1f} | {measured.peak_memory_mb:,.0f} | {measured.peak_disk_gb:.1f} |"


def _median(measured: list[dict[str, Any]]) -> Measured:
    middle = statistics.median_low([one["seconds"] for one in measured])
    return Measured(**next(one for one in measured if one["seconds"] == middle))


def _told(title: str, measured: Measured) -> dict[str, Any]:
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in measured.steps.items())
    _say(
        f"  {title}: {measured.seconds:.1f} s, {measured.peak_memory_mb:.0f} MB, {measured.peak_disk_gb:.1f} GB, "
        f"load {measured.load:.1f} ({parts})"
    )
    return asdict(measured)


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.warehouse", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--months", type=int, default=240, help="months of history (240)")
    parser.add_argument("--municipalities", type=int, default=10_800, help="at most 10800, 27 to a county (10800)")
    parser.add_argument("--times", type=int, default=200, help="how often each question is asked (200)")
    parser.add_argument("--write", type=Path, help="write the table to this file")
    parser.add_argument("--home", type=Path, help="folder to work in and to keep; a stopped run goes on there")
    given = parser.parse_args()
    if not 1 <= given.municipalities <= 10_800 or given.months < 1:
        parser.error("up to 10800 municipalities and at least one month")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # The server never runs as root: its account has to reach the home.
    folder = given.home or Path(tempfile.mkdtemp(prefix="teilhabe-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    bench = Bench(folder.absolute(), Country(given.municipalities), given.months, given.times)
    try:
        bench.run()
        text = bench.report()
        print(text)
        if given.write:
            given.write.write_text(text, encoding="utf-8")
    finally:
        if given.home is None:
            bench.discard()
            shutil.rmtree(folder, ignore_errors=True)
        else:
            embedded.stop(bench.large)


if __name__ == "__main__":
    main()
