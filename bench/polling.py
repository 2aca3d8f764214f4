"""The disk a year of polling takes: ``python -m bench.polling HOME [--share 8]``. Writes ``bench/results/polling.md``.

HOME is a home to throw away, stopped, whose Airflow has polled once or twice (``teilhabe up``, wait, ``teilhabe down``; its database may
run). What one of these polls left - rows of Airflow's tables, task logs, lines of the components - is what is repeated; nothing is fetched
and no task runs. Real are the rows and their indexes, the files, ``ops.step`` for each poll, and the housekeeping of each night
(``retention.apply``, the logs, ``airflow db clean``) with its periods. Of ``share`` polls one is written; what polls leave is
multiplied by it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from teilhabe import ops
from teilhabe.contract import lookup
from teilhabe.keeping import housekeeping, retention
from teilhabe.raw import loading
from teilhabe.server import connecting, embedded
from teilhabe.settings import Settings, get_settings
from teilhabe.system.code_version import code_version

POLLS_A_DAY = 96
RESULT = Path(__file__).parent / "results" / "polling.md"
TABLES = ("dag_run", "task_instance", "rendered_task_instance_fields", "log")
_CLEAN_EVERY = 28
"""Airflow's command takes seconds to start, so it runs every four weeks here and every night there: this shows too much, not too little."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--share", type=int, default=8)
    parser.add_argument("--days", type=int, default=365)
    given = parser.parse_args(arguments)
    settings = get_settings({**os.environ, "TEILHABE_HOME": str(given.home)})
    embedded.ensure_running(settings)
    with connecting.connect("airflow", settings) as conn:
        # Of an earlier simulation.
        conn.execute("delete from log where run_id ~ '^y[0-9]{8}-'")
        conn.execute("delete from dag_run where run_id ~ '^y[0-9]{8}-'")
        conn.commit()
        sample = _sample(conn)
    print(f"one poll left {sample}")
    before = _sizes(settings)
    sizes = []
    began = datetime.now(UTC)
    for day in range(given.days):
        now = began + timedelta(days=day)
        _poll(settings, sample["run"], now, max(POLLS_A_DAY // given.share, 1))
        _tidy(settings, now, clean=day % _CLEAN_EVERY == 0)
        if day % 30 == 0 or day == given.days - 1:
            sizes.append((day, _all(before, _sizes(settings), given.share)))
            print(sizes[-1], flush=True)
            _write(settings, sizes, sample, given.share)


def _sample(conn: psycopg.Connection[Any]) -> dict[str, Any]:
    """The polls of the quarter of an hour that most DAGs have run in."""
    [(run, count)] = conn.execute(
        "select run_id, count(*) from dag_run where run_id like 'scheduled__%' group by 1 order by 2 desc, 1 desc limit 1"
    ).fetchall()
    return {"run": run, "runs": count}


def _poll(settings: Settings, run: str, now: datetime, times: int) -> None:
    """A day of polls: as many as ``times``, spread over it."""
    with connecting.connect("airflow", settings) as conn:
        # What is repeated, and the DAGs, must not grow old themselves.
        conn.execute("update dag set last_parsed_time = %s", (now,))
        for table, column in (("dag_run", "start_date"), ("task_instance", "start_date"), ("log", "dttm")):
            conn.execute(f"update {table} set {column} = %s where run_id = %s".encode(), (now, run))
        for table in TABLES:
            _repeat(conn, table, run, now, times)
    with loading.session(settings) as conn:
        conn.execute("set synchronous_commit to off")  # what is simulated need not survive a power cut
        conn.commit()
        for dataset_id in lookup.dataset_ids(settings):
            for _ in range(2):  # the row of a day and one poll more: the others change nothing but its count
                with ops.step(conn, "fetch", dataset_id=dataset_id) as outcome:
                    outcome.rows, outcome.is_routine = 0, True
            conn.execute(
                "update ops.outcome set started_at = %s, finished_at = %s where dataset_id = %s and started_at > %s",
                (now - timedelta(days=1), now - timedelta(days=1), dataset_id, datetime.now(UTC) - timedelta(hours=1)),
            )
            conn.commit()
    logs = settings.logs / "airflow"
    for path in sorted(logs.rglob(f"{run}.*")):
        content = path.read_bytes()
        os.utime(path, (now.timestamp(), now.timestamp()))
        for number in range(times):
            copy = path.with_name(f"{now:%Y%m%d}-{number:02}.{path.name.partition('.')[2]}")
            copy.write_bytes(content)
            os.utime(copy, (now.timestamp(), now.timestamp()))


def _repeat(conn: psycopg.Connection[Any], table: str, run: str, now: datetime, times: int) -> None:
    columns = conn.execute(
        "select column_name, data_type from information_schema.columns where table_name = %s and table_schema = 'public'"
        " and is_generated = 'NEVER' order by ordinal_position",
        (table,),
    ).fetchall()
    names, values = [], []
    for name, kind in columns:
        if name == "id" and kind != "uuid":
            continue  # counted on by itself
        names.append(f'"{name}"')
        if name == "id":
            values.append("gen_random_uuid()")
        elif name == "ti_id":
            # The new task instances are made first, in the same statement's order of runs.
            values.append("(select i.id from task_instance as i where i.dag_id = t.dag_id and i.task_id = t.task_id"
                          " and i.run_id = 'y' || %(day)s::text || '-' || n.n limit 1)")  # fmt: skip
        elif name == "run_id":
            values.append("'y' || %(day)s::text || '-' || n.n")
        elif kind == "timestamp with time zone":
            values.append(
                f"case when t.\"{name}\" is null then null else %(now)s::timestamptz + n.n * interval '1 minute' end"
            )
        else:
            values.append(f't."{name}"')
    conn.execute(
        f"insert into {table} ({', '.join(names)}) select {', '.join(values)} from {table} as t"
        f" cross join generate_series(1, %(times)s) as n (n) where t.run_id = %(run)s".encode(),
        {"now": now, "day": f"{now:%Y%m%d}", "times": times, "run": run},
    )
    conn.commit()


def _tidy(settings: Settings, now: datetime, *, clean: bool) -> None:
    retention.apply(settings, now)
    periods = retention.load_retention(settings)
    if clean:
        housekeeping.apply(settings, now)
    elif periods.logs is not None:
        housekeeping._logs(settings, now - timedelta(days=periods.logs), dry_run=False)


_SHOWN = ("task_logs", "airflow_tables", "dag_runs", "outcomes", "wal")
_OF_POLLS = ("task_logs", "airflow_tables", "dag_runs")


def _all(before: dict[str, int], now: dict[str, int], share: int) -> dict[str, int]:
    """As if each poll had been written."""
    return {key: before[key] + (now[key] - before[key]) * share if key in _OF_POLLS else now[key] for key in now}


def _sizes(settings: Settings) -> dict[str, int]:
    """Bytes on the disk, by what they are."""
    logs = sum(p.stat().st_blocks * 512 for p in (settings.logs / "airflow").rglob("*.log"))
    with connecting.connect("airflow", settings, autocommit=True) as conn:
        for table in TABLES:
            conn.execute(f"vacuum {table}".encode())  # as the server does by itself in a day
        [[airflow]] = conn.execute(
            "select sum(pg_total_relation_size(name::regclass))::bigint from unnest(%s::text[]) as name",
            (list(TABLES),),
        ).fetchall()
        [[rows]] = conn.execute("select count(*) from dag_run").fetchall()
    with loading.session(settings) as conn:
        [[outcomes]] = conn.execute("select pg_total_relation_size('ops.outcome')").fetchall()
    wal = settings.home / "postgres" / "data" / "pg_wal"
    return {
        "task_logs": logs,
        "airflow_tables": int(airflow),
        "dag_runs": rows,
        "outcomes": outcomes,
        "wal": sum(p.stat().st_size for p in wal.glob("0*")) if wal.is_dir() else 0,
    }


def _write(settings: Settings, sizes: list[tuple[int, dict[str, int]]], sample: dict[str, Any], share: int) -> None:
    periods = retention.load_retention(settings)
    lines = [
        f"# Disk that polling takes: {sizes[-1][0] + 1} days",
        "",
        f"`python -m bench.polling HOME --share {share}` at {code_version(settings)[:12]}: {sample['runs']} DAGs, {POLLS_A_DAY} polls",
        "a day, nothing ever waits. Simulated is that a poll happens: each repeats what a real one of this home left (rows of",
        "Airflow's tables, files of task logs). Real are `ops.step`, the periods of `retention.yml` "
        f"(logs {periods.logs}, Airflow {periods.airflow}, polls",
        f"{periods.outcomes.polls} days) and `airflow db clean`, this every four weeks instead of every night. One of {share} polls was",
        f"written, what polls leave is multiplied by {share}. Components' logs are cut at 10 MB each, with four older ones: 200 MB",
        "at most.",
        "",
        "| day | task logs, MB | Airflow's tables, MB | runs in them | ops.outcome, MB | WAL, MB |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for day, found in sizes:
        shown = [f"{found['dag_runs']:,}" if key == "dag_runs" else f"{found[key] / 1e6:,.1f}" for key in _SHOWN]
        lines.append(f"| {day} | {' | '.join(shown)} |")
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
