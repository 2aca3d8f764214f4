"""Three years of all datasets through the real scheduler, beside what a script per file would do.

``python -m bench.history [--files N]``: the demo's deliveries (accepted ones), repeated with other figures until there are N,
are handed in and taken through Airflow and dbt into the marts; then one more file alone. The alternative does per file what
such a script does: pandas reads it, Great Expectations looks at it in a context of its own, ``to_sql`` appends it.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any

from demo import files
from demo.county import SEED
from demo.handout import LOADED, Handout
from teilhabe import landing
from teilhabe.raw import loading
from teilhabe.server import connecting, embedded
from teilhabe.settings import Settings, get_settings

LATEST = "housing__accommodation"
"""The dataset of the single file at the end: one municipality, one month."""


@dataclass(frozen=True)
class Measured:
    name: str
    files: int
    rows: int
    seconds: float

    @property
    def line(self) -> str:
        return (
            f"| {self.name} | {self.files:,} | {self.rows:,} | {self.seconds:.1f} | {self.files / self.seconds:.2f} |"
            f" {self.rows / self.seconds:,.0f} |"
        )


def deliveries(wanted: int) -> list[Handout]:
    """Accepted demo files, the same again a day later with other figures until there are enough."""
    return list(islice(_endless(), wanted))


def _endless() -> Iterator[Handout]:
    for edition in count():
        seen: set[str] = set()
        for handout in files.handouts(SEED + edition):
            # The register says the same whatever the seed: once is enough, again it would be a duplicate.
            if handout.state == LOADED and handout.fault is None and handout.sha256 not in seen:
                seen.add(handout.sha256)
                if edition == 0 or not handout.dataset_id.startswith("register__"):
                    yield replace(handout, received_at=handout.received_at + timedelta(days=edition))


def through_the_line(settings: Settings, handouts: list[Handout], drafts: Path) -> tuple[Measured, Measured]:
    """All files in one run, and one more file alone: from handing it in until it is in the marts."""
    _teilhabe(settings, "up")
    last = next(h for h in reversed(handouts) if h.dataset_id == LATEST)
    for handout, path in files.write(drafts, [h for h in handouts if h is not last]):
        landing.hand_in(settings, handout.dataset_id, [path], handout.received_at, handout.address)
    started = time.perf_counter()
    _teilhabe(settings, "run", "--until-idle")
    history = time.perf_counter() - started
    loaded, rows = _loaded(settings)

    path = drafts / last.name
    path.write_bytes(last.content)
    started = time.perf_counter()
    _teilhabe(
        settings, "deliver", LATEST, str(path), "--received-at", last.received_at.isoformat(), "--from", last.address
    )
    _teilhabe(settings, "run")
    alone = time.perf_counter() - started
    more, rows_after = _loaded(settings)
    if more != loaded + 1:
        raise SystemExit("the single file was not loaded: there is nothing to report")
    return (
        Measured("teilhabe: archive, validate, load, build the marts", loaded, rows, history),
        Measured("teilhabe: one more file, from hand-in to the marts", more - loaded, rows_after - rows, alone),
    )


def per_file(settings: Settings, handouts: list[Handout]) -> Measured:
    """A script per file: no archive, no history, no marts, three generic checks."""
    import great_expectations as gx
    import sqlalchemy

    rows = 0
    engine = sqlalchemy.create_engine(
        connecting.url(settings, "loader").replace("postgresql://", "postgresql+psycopg://")
    )
    started = time.perf_counter()
    with engine.connect() as conn:
        for handout in handouts:
            frame = _frame(handout)
            context = gx.get_context(mode="ephemeral")
            batch = (
                context.data_sources.add_pandas("files")
                .add_dataframe_asset("file")
                .add_batch_definition_whole_dataframe("whole")
                .get_batch({"dataframe": frame})
            )
            first = frame.columns[0]
            for check in (
                gx.expectations.ExpectTableRowCountToBeBetween(min_value=1),
                gx.expectations.ExpectColumnToExist(column=first),
                gx.expectations.ExpectColumnValuesToNotBeNull(column=first, mostly=0.5),
            ):
                batch.validate(check)
            table = f"per_file__{handout.dataset_id}_{len(frame.columns)}"[:60]
            frame.to_sql(table, conn, schema="raw", if_exists="append", index=False)
            rows += len(frame)
            conn.commit()
    return Measured("script per file: pandas, three checks, to_sql", len(handouts), rows, time.perf_counter() - started)


def _frame(handout: Handout) -> Any:
    """As wide as the file: a script knows no layouts, so every line is a row of texts."""
    import pandas as pd

    if handout.suffix in (".xlsx", ".xls"):
        frame = pd.read_excel(io.BytesIO(handout.content), header=None, dtype=str)
    else:
        text = handout.content.decode("utf-8-sig", "replace")
        frame = pd.DataFrame([line.split(";") for line in text.splitlines() if line.strip()])
    frame.columns = [f"c{n}" for n in range(len(frame.columns))]
    return frame


def _loaded(settings: Settings) -> tuple[int, int]:
    with loading.session(settings) as conn:
        row = conn.execute(
            "select count(*), coalesce(sum(row_count), 0) from ops.delivery where state = 'loaded'"
        ).fetchone()
    assert row is not None  # noqa: S101
    return int(row[0]), int(row[1])


def _teilhabe(settings: Settings, *arguments: str) -> None:
    program = Path(sys.executable).parent / "teilhabe"
    done = subprocess.run(  # noqa: S603 - our own program
        [str(program), *arguments],
        env={**os.environ, "TEILHABE_HOME": str(settings.home), "NO_COLOR": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 3):
        raise SystemExit(f"teilhabe {' '.join(arguments)}: {done.stderr[-2000:]}{done.stdout[-2000:]}")


def report(measured: list[Measured]) -> str:
    whole, alone, script = measured
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return "\n".join([
        "# Three years through the line",
        "",
        "| what | files | rows | seconds | files/s | rows/s |",
        "|---|---|---|---|---|---|",
        *(one.line for one in measured),
        "",
        f"Per file the line takes {whole.seconds / whole.files / (script.seconds / script.files):.1f} times as long as the script, "
        "which archives nothing, knows no layout, compares nothing with what came before and builds no marts.",
        f"One more file is in the marts after {alone.seconds:.0f} seconds. "
        f"{os.cpu_count()} processors, load average {load} at the end; `python -m bench.history --files {script.files}`.",
        "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--write", type=Path, help="write the table to this file")
    given = parser.parse_args()
    # The server never runs as root: its account has to reach the home.
    base = Path(tempfile.mkdtemp(prefix="teilhabe-bench-"))
    base.chmod(0o755)
    settings = get_settings({**os.environ, "TEILHABE_HOME": str(base / "home")})
    handouts = deliveries(given.files)
    try:
        measured = [*through_the_line(settings, handouts, base / "drafts"), per_file(settings, handouts)]
        text = report(measured)
        sys.stdout.write(text)
        if given.write:
            given.write.write_text(text, encoding="utf-8")
    finally:
        _teilhabe(settings, "down")
        embedded.discard(settings)
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
