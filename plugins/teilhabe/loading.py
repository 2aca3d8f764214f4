"""Into ``raw``: COPY of the tidy table as text, all of a delivery in one transaction or none of it.

What is loaded is read anew from the archived bytes by the same reader that validation used: the bytes cannot have
changed, so nothing has to be kept in between and a killed load leaves nothing to clean up.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from teilhabe import ops, warehouse
from teilhabe.errors import WarehouseError

if TYPE_CHECKING:
    import pyarrow as pa

    from teilhabe.contracts import Contract
    from teilhabe.settings import Settings

LINEAGE_COLUMNS = {"_delivery_id": "bigint", "_row_number": "integer", "_column_number": "integer"}

_DELIMITER = "\x1f"
"""A character no office writes, so that hardly any text needs quoting."""
_AHEAD = 2
"""Chunks encoded ahead of the COPY: enough to keep both sides busy, little enough to bound the memory."""


def ensure_raw_tables(conn: ops.Connection, contracts: Iterable[Contract]) -> None:
    """A table per contract; columns a contract gained are added, columns it lost stay (raw is append-only)."""
    conn.execute("select pg_advisory_xact_lock(hashtext('teilhabe.loading.ensure_raw_tables'))")
    for contract in contracts:
        table = sql.Identifier("raw", contract.dataset_id)
        lineage = sql.SQL(", ").join(
            sql.SQL("{} {} not null").format(sql.Identifier(name), sql.SQL(kind))
            for name, kind in LINEAGE_COLUMNS.items()
        )
        conn.execute(sql.SQL("create table if not exists {} ({})").format(table, lineage))
        for column in contract.columns:
            conn.execute(
                sql.SQL("alter table {} add column if not exists {} text").format(table, sql.Identifier(column.name))
            )
            conn.execute(
                sql.SQL("comment on column {}.{} is {}").format(
                    table, sql.Identifier(column.name), sql.Literal(column.description_en)
                )
            )
        conn.execute(sql.SQL("comment on table {} is {}").format(table, sql.Literal(_describe(contract))))
        conn.execute(
            sql.SQL("create index if not exists {} on {} (_delivery_id)").format(
                sql.Identifier(f"{contract.dataset_id}_by_delivery"), table
            )
        )


def load(conn: ops.Connection, contract: Contract, delivery_id: int, chunks: Iterable[pa.Table]) -> int:
    """Append one validated delivery to ``raw``; returns its rows. Committed together with its new state.

    ``chunks`` hold the contract's columns as text plus ``_row_number`` and ``_column_number``. A delivery that is in
    ``raw`` already is left as it is.

    Raises:
        WarehouseError: the reader yields another number of rows than were validated.
    """
    with conn.transaction():
        delivery = ops.delivery(conn, delivery_id, lock=True)
        if delivery.state == "loaded":
            return delivery.row_count or 0
        rows = copy(conn, contract, delivery_id, chunks)
        if rows != delivery.row_count:
            raise WarehouseError(
                f"Delivery {delivery_id}: {rows} rows were read for loading, {delivery.row_count} were validated; nothing loaded."
            )
        ops.set_state(conn, delivery_id, "loaded")
    return rows


def copy(conn: ops.Connection, contract: Contract, delivery_id: int, chunks: Iterable[pa.Table]) -> int:
    """COPY chunks into the raw table of the contract within the caller's transaction; returns the rows."""
    columns = ["_delivery_id", "_row_number", "_column_number", *contract.column_names]
    statement = sql.SQL("copy {} ({}) from stdin (format csv, delimiter {}, null '')").format(
        sql.Identifier("raw", contract.dataset_id),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.Literal(_DELIMITER),
    )
    rows = 0
    with (
        conn.cursor() as cursor,
        cursor.copy(statement) as stream,
        _encoded_ahead(chunks, columns, delivery_id) as encoded,
    ):
        for block in encoded:
            rows += block.rows
            stream.write(block.data)
    return rows


@contextmanager
def session(settings: Settings) -> Iterator[ops.Connection]:
    """A connection of the loader: the only one that writes ``ops`` and ``raw``."""
    with warehouse.connect("loader", settings) as conn:
        yield conn


@dataclass(frozen=True)
class _Block:
    data: memoryview
    rows: int


@contextmanager
def _encoded_ahead(chunks: Iterable[pa.Table], columns: list[str], delivery_id: int) -> Iterator[Iterator[_Block]]:
    """Read and encode in a thread while the server takes in what is ready; errors of the reader surface here."""
    ready: queue.Queue[_Block | BaseException | None] = queue.Queue(maxsize=_AHEAD)
    stopped = threading.Event()

    def put(item: _Block | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for chunk in chunks:
                put(_encode(chunk, columns, delivery_id))
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    def consume() -> Iterator[_Block]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    worker = threading.Thread(target=produce, name="teilhabe-encode", daemon=True)
    worker.start()
    try:
        yield consume()
    finally:
        stopped.set()
        worker.join()


def _encode(chunk: pa.Table, columns: list[str], delivery_id: int) -> _Block:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    ids = pa.repeat(pa.scalar(delivery_id, pa.int64()), chunk.num_rows)
    table = chunk.append_column("_delivery_id", ids).select(columns)
    for quoting in ("none", "needed"):
        sink = pa.BufferOutputStream()
        options = pa_csv.WriteOptions(
            include_header=False, delimiter=_DELIMITER, quoting_style=quoting, batch_size=65536
        )
        try:
            pa_csv.write_csv(table, sink, options)
        except pa.ArrowInvalid:
            # A text with a quote or line break in it: this chunk pays for quoting every text.
            if quoting == "needed":
                raise
            continue
        return _Block(memoryview(sink.getvalue()), chunk.num_rows)
    raise AssertionError("unreachable")


def _describe(contract: Contract) -> str:
    return f"One row per delivered value of {contract.dataset_id} ({contract.title_de}), as text, append-only."
