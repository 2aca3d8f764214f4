"""One way of getting the delivery into PostgreSQL, in a process of its own: prints what it took as one line of JSON.

Every variant does its work once on a small file before the clock starts: imports and first uses are not measured.
dlt has an environment of its own and therefore a script of its own, ``with_dlt.py``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import data
from bench.memory import peak_memory
from teilhabe import ops
from teilhabe.contract.model import Contract
from teilhabe.raw import loading
from teilhabe.raw.kept_rows import KeptRows
from teilhabe.reading.layouts.base import AnyReading
from teilhabe.server import connecting
from teilhabe.settings import Settings, get_settings

_BLOCK = 1 << 20
_SYMBOLS = [".", "-", "/", "x", "..."]

Prepared = Callable[[], int]
"""The part that is measured; returns the rows loaded."""


def copy_text(settings: Settings, path: Path) -> Iterator[Prepared]:
    """The delivered columns as text, transcoded beforehand, nothing else: the limit."""
    text = path.with_suffix(".utf8")
    with path.open(encoding="cp1252") as delivered, text.open("w", encoding="utf-8") as file:
        shutil.copyfileobj(delivered, file, _BLOCK)
    columns = ", ".join(f"{name} text" for name in data.HEADER)
    with loading.session(settings) as conn:
        conn.execute(f"create table raw.bench_copy ({columns})")
        conn.commit()

        def run() -> int:
            return _copy(conn, "raw.bench_copy", text, "csv, header, delimiter ';'")

        yield run
        conn.execute("drop table raw.bench_copy")
    text.unlink()


def copy_tidy(settings: Settings, path: Path) -> Iterator[Prepared]:
    """The tidy table (what ours ends up with: more columns, an index), encoded beforehand, then copied."""
    contract = data.contract()
    text = path.with_suffix(".tidy")
    columns = ["_delivery_id", "_row_number", "_column_number", *contract.column_names]
    with text.open("wb") as file:
        for chunk in _reading(contract, path).chunks():
            file.write(loading._encode(chunk, columns, 1).data)
    with _raw_table(settings, contract) as conn:
        table = f"raw.{contract.dataset_id} ({', '.join(columns)})"
        yield lambda: _copy(conn, table, text, "csv, delimiter E'\\x1f', null ''")
    text.unlink()


def to_sql(settings: Settings, path: Path) -> Iterator[Prepared]:
    """What many projects begin with: pandas.read_csv and DataFrame.to_sql."""
    import pandas as pd
    import sqlalchemy

    url = connecting.url(settings, "loader").replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url)

    def run() -> int:
        frame = pd.read_csv(
            path,
            sep=";",
            decimal=",",
            encoding="cp1252",
            na_values=_SYMBOLS,
            dtype={"Gemeindeschluessel": str, "Jahr": str},
        )
        frame.to_sql("bench_to_sql", engine, schema="raw", index=False, if_exists="replace", chunksize=10_000)
        return len(frame)

    yield run
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("drop table raw.bench_to_sql"))


def ours_load(settings: Settings, path: Path) -> Iterator[Prepared]:
    """Ours without judging: the reader straight into ``loading.copy``."""
    contract = data.contract()
    with _raw_table(settings, contract) as conn:

        def run() -> int:
            rows = loading.copy(conn, contract, 1, _reading(contract, path).chunks())
            conn.commit()
            return rows

        yield run


def ours(settings: Settings, path: Path) -> Iterator[Prepared]:
    """Ours as the product does it: a pass that judges, findings and state recorded, then what was read is loaded."""
    return _judged_and_loaded(settings, path, _reading)


def ours_confined(settings: Settings, path: Path) -> Iterator[Prepared]:
    """As ``ours``, the file opened in a process of its own with limits, as in operation."""
    from teilhabe.reading import ReadingContext, confined

    context = ReadingContext(received_at=data.RECEIVED_AT)
    return _judged_and_loaded(
        settings, path, lambda contract, file: confined.open_reading(contract, file, file.name, context)
    )


def _judged_and_loaded(
    settings: Settings, path: Path, reading: Callable[[Contract, Path], AnyReading]
) -> Iterator[Prepared]:
    from teilhabe.validation.verdict import validate

    contract, suite, register = data.contract(), data.suite(), data.register()
    with _raw_table(settings, contract) as conn:

        def run() -> int:
            delivery = _register(conn, contract, path)
            kept = KeptRows(path.with_suffix(".rows"))
            verdict = validate(
                contract,
                suite,
                reading(contract, path),
                register,
                file_name=path.name,
                received_at=data.RECEIVED_AT,
                kept=kept,
            )
            if not verdict.accepted:
                raise RuntimeError(verdict.findings[0].message)
            ops.record_findings(conn, delivery.delivery_id, verdict.findings)
            ops.set_state(conn, delivery.delivery_id, "validated", row_count=verdict.row_count, periods=verdict.periods)
            conn.commit()
            rows = loading.load(conn, contract, delivery.delivery_id, kept.chunks() or reading(contract, path).chunks())
            conn.commit()
            kept.drop()
            return rows

        yield run


VARIANTS: dict[str, Callable[[Settings, Path], Iterator[Prepared]]] = {
    "copy_text": copy_text,
    "copy_tidy": copy_tidy,
    "to_sql": to_sql,
    "ours_load": ours_load,
    "ours": ours,
    "ours_confined": ours_confined,
}


def main(name: str, small: str, path: str) -> None:
    settings = get_settings()
    for file in (Path(small), Path(path)):
        with contextmanager(VARIANTS[name])(settings, file) as run:
            started, worked = time.perf_counter(), time.process_time()
            rows = run()
            result = {
                "rows": rows,
                "seconds": time.perf_counter() - started,
                "cpu_seconds": time.process_time() - worked,
                "peak_mb": peak_memory(),
            }
    print(json.dumps(result))


def _reading(contract: Contract, path: Path) -> Any:
    from teilhabe.reading import open_reading

    return open_reading(contract, path, path.name, data.RECEIVED_AT)


@contextmanager
def _raw_table(settings: Settings, contract: Contract) -> Iterator[ops.Connection]:
    with loading.session(settings) as conn:
        loading.ensure_raw_tables(conn, [contract])
        conn.commit()
        yield conn
        conn.rollback()
        # Nothing is left for autovacuum to do while the next variant runs, or to take for a duplicate.
        conn.execute(f"drop table raw.{contract.dataset_id}")
        conn.execute("delete from ops.delivery where dataset_id = %s", (contract.dataset_id,))


def _register(conn: ops.Connection, contract: Contract, path: Path) -> ops.Delivery:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ops.register(
        conn,
        dataset_id=contract.dataset_id,
        file_name=path.name,
        sha256=digest,
        size_bytes=path.stat().st_size,
        received_at=data.RECEIVED_AT,
        received_from=None,
        source="bench",
        source_fingerprint=None,
        period_stated=None,
        archive_uri=path.as_uri(),
        manifest_uri=f"{path.as_uri()}#{time.time_ns()}",
        rules_version="bench",
    )


def _copy(conn: ops.Connection, table: str, text: Path, options: str) -> int:
    with conn.cursor() as cursor, text.open("rb") as file:
        with cursor.copy(f"copy {table} from stdin (format {options})".encode()) as stream:
            while block := file.read(_BLOCK):
                stream.write(block)
        rows = cursor.rowcount
    conn.commit()
    return rows


if __name__ == "__main__":
    main(*sys.argv[1:])
