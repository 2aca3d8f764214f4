"""Into ``raw``: COPY of the tidy table as text, all of a delivery in one transaction or none of it.

What is loaded is what validation has read, or is read anew from the archived bytes by the same reader: the bytes cannot have
changed, so nothing has to be kept in between and a killed load leaves nothing to clean up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from teilhabe import ops
from teilhabe.columns.ahead import read_ahead
from teilhabe.contract.naming import INDEX_SUFFIX
from teilhabe.errors import WarehouseError
from teilhabe.server import connecting

if TYPE_CHECKING:
    import pyarrow as pa

    from teilhabe.contract.model import Contract
    from teilhabe.settings import Settings

LINEAGE_COLUMNS = {"_delivery_id": "bigint", "_row_number": "integer", "_column_number": "integer"}

_INDEX_METHOD = " USING brin "
_INDEX = sql.SQL(
    "create index if not exists {} on {} using brin (_delivery_id) with (pages_per_range = 32, autosummarize = on)"
)
"""The rows of a delivery lie together, so it is enough to know which deliveries a stretch of pages holds. An entry per row (a
B-tree) took as much of the server's time as the rows themselves."""

_DELIMITER = "\x1f"
"""A character no office writes, so that hardly any text needs quoting."""
_GROUP_LIMIT = 1 << 20
"""Columns are put together as long as they can have no more combinations than this."""
_AHEAD = 1
"""Chunks read ahead of the encoding, and encoded ahead of the COPY: all sides are busy, the memory is bounded."""


def ensure_raw_tables(conn: ops.Connection, contracts: Iterable[Contract]) -> None:
    """A table per contract; columns a contract gained are added, columns it lost stay (raw is append-only).

    Tables that are as they should be are not touched: changing one waits for everybody who reads it.
    """
    conn.execute("select pg_advisory_xact_lock(hashtext('teilhabe.loading.ensure_raw_tables'))")
    for statement in _missing(conn, list(contracts)):
        conn.execute(statement)


def raw_tables_differ(conn: ops.Connection, contracts: Iterable[Contract]) -> bool:
    """Whether ``ensure_raw_tables`` has anything to do."""
    return bool(_missing(conn, list(contracts)))


def _missing(conn: ops.Connection, contracts: Sequence[Contract]) -> list[sql.Composed]:
    """Statements that make the raw tables what the contracts say."""
    names = [contract.dataset_id for contract in contracts]
    described = {
        (table, column): text
        for table, column, text in conn.execute(
            """
            select c.relname, coalesce(a.attname, ''), coalesce(d.description, '')
            from pg_class as c
            left join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            left join pg_description as d
                on d.classoid = 'pg_class'::regclass and d.objoid = c.oid and d.objsubid = a.attnum
            where c.relnamespace = 'raw'::regnamespace and c.relkind = 'r' and c.relname = any(%(names)s)
            union all
            select c.relname, '', coalesce(obj_description(c.oid, 'pg_class'), '')
            from pg_class as c
            where c.relnamespace = 'raw'::regnamespace and c.relkind = 'r' and c.relname = any(%(names)s)
            """,
            {"names": names},
        )
    }
    indexes = dict(conn.execute("select indexname, indexdef from pg_indexes where schemaname = 'raw'").fetchall())
    statements: list[sql.Composed] = []
    for contract in contracts:
        table = sql.Identifier("raw", contract.dataset_id)
        if (contract.dataset_id, "") not in described:
            lineage = sql.SQL(", ").join(
                sql.SQL("{} {} not null").format(sql.Identifier(name), sql.SQL(kind))
                for name, kind in LINEAGE_COLUMNS.items()
            )
            statements.append(sql.SQL("create table if not exists {} ({})").format(table, lineage))
        for column in contract.columns:
            known = described.get((contract.dataset_id, column.name))
            name = sql.Identifier(column.name)
            if known is None:
                statements.append(sql.SQL("alter table {} add column if not exists {} text").format(table, name))
            if known != column.description_en:
                text = sql.Literal(column.description_en)
                statements.append(sql.SQL("comment on column {}.{} is {}").format(table, name, text))
        if described.get((contract.dataset_id, "")) != _describe(contract):
            statements.append(sql.SQL("comment on table {} is {}").format(table, sql.Literal(_describe(contract))))
        index = f"{contract.dataset_id}{INDEX_SUFFIX}"
        if _INDEX_METHOD not in indexes.get(index, ""):
            statements.append(sql.SQL("drop index if exists {}").format(sql.Identifier("raw", index)))
            statements.append(_INDEX.format(sql.Identifier(index), table))
    return statements


def load(conn: ops.Connection, contract: Contract, delivery_id: int, chunks: Iterable[pa.Table]) -> int:
    """Append one validated delivery to ``raw``; returns its rows. Committed together with its new state.

    ``chunks`` hold the contract's columns as text plus ``_row_number`` and ``_column_number``. A delivery that does not wait to
    be loaded any more is left as it is. Its row is held from this look to the commit, and rows of it that should not be in
    ``raw`` go first: so all of them get there, and once.

    Raises:
        WarehouseError: the reader yields another number of rows than were validated.
    """
    with conn.transaction():
        delivery = ops.delivery(conn, delivery_id, lock=True)
        if delivery.state != "validated":  # another run was done with it first, or a person has said something else
            return (delivery.row_count or 0) if delivery.state == "loaded" else 0
        # No index can hold that: rows of several sheets have the same numbers.
        left = sql.SQL("delete from {} where _delivery_id = %s").format(sql.Identifier("raw", contract.dataset_id))
        conn.execute(left, (delivery_id,))
        rows = copy(conn, contract, delivery_id, chunks)
        if rows != delivery.row_count:
            raise WarehouseError(
                f"Delivery {delivery_id}: {rows} rows were read for loading, {delivery.row_count} were validated; nothing loaded."
            )
        ops.set_state(conn, delivery_id, "loaded")
        _index_new_pages(conn, contract)
    return rows


def _index_new_pages(conn: ops.Connection, contract: Contract) -> None:
    """Pages that no entry of the index speaks of yet are read by every question, until autovacuum comes by."""
    conn.execute(
        """
        select brin_summarize_new_values(i.oid)
        from pg_class as i inner join pg_am as method on method.oid = i.relam and method.amname = 'brin'
        where i.relnamespace = 'raw'::regnamespace and i.relname = %s
        """,
        (f"{contract.dataset_id}{INDEX_SUFFIX}",),
    )


def copy(conn: ops.Connection, contract: Contract, delivery_id: int, chunks: Iterable[pa.Table]) -> int:
    """COPY chunks into the raw table of the contract within the caller's transaction; returns the rows."""
    columns = [*LINEAGE_COLUMNS, *contract.column_names]
    statement = sql.SQL("copy {} ({}) from stdin (format csv, delimiter {}, null '')").format(
        sql.Identifier("raw", contract.dataset_id),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.Literal(_DELIMITER),
    )
    rows = 0
    with (
        conn.cursor() as cursor,
        cursor.copy(statement) as stream,
        closing(read_ahead(chunks, _AHEAD)) as read,
        closing(read_ahead((_encode(chunk, columns, delivery_id) for chunk in read), _AHEAD)) as encoded,
    ):
        for block in encoded:
            rows += block.rows
            stream.write(block.data)
    return rows


@contextmanager
def session(settings: Settings, *, autocommit: bool = False) -> Iterator[ops.Connection]:
    """A connection of the loader: the only one that writes ``ops`` and ``raw``.

    With ``autocommit`` what is only asked leaves no transaction open: for questions in the middle of long work.
    """
    with connecting.connect("loader", settings, autocommit=autocommit) as conn:
        yield conn


@dataclass(frozen=True)
class _Block:
    data: memoryview
    rows: int


def _encode(chunk: pa.Table, columns: list[str], delivery_id: int) -> _Block:
    """The lines COPY reads. Columns of few distinct texts are put together per combination, not per row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from teilhabe.columns.coded import coded

    row_numbers = pc.cast(chunk["_row_number"].combine_chunks(), pa.string())
    if isinstance(row_numbers, pa.ChunkedArray):
        row_numbers = pa.concat_arrays(row_numbers.chunks)
    rest = [coded(chunk[name]) for name in columns if name not in ("_delivery_id", "_row_number")]
    *groups, last = [_joined(group) for group in _grouped(rest)]
    ends = pc.binary_join_element_wise(last.dictionary, "", "\n")
    lines = pc.binary_join_element_wise(
        str(delivery_id),
        row_numbers,
        *(group.dictionary.take(group.indices) for group in groups),
        ends.take(last.indices),
        _DELIMITER,
    )
    return _Block(_bytes(lines), chunk.num_rows)


def _grouped(columns: list[pa.DictionaryArray]) -> list[list[pa.DictionaryArray]]:
    """Neighbours whose combinations are few enough to be counted in a table."""
    groups: list[list[pa.DictionaryArray]] = []
    size = _GROUP_LIMIT
    for column in columns:
        length = len(column.dictionary) + 1
        if size * length <= _GROUP_LIMIT:
            groups[-1].append(column)
            size *= length
        else:
            groups.append([column])
            size = length
    return groups


def _joined(columns: list[pa.DictionaryArray]) -> pa.DictionaryArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    from teilhabe.columns.coded import combinations

    texts = [_quoted(column.dictionary) for column in columns]
    both = combinations(columns)
    parts = [text.take(pa.array(part)) for text, part in zip(texts, both.parts, strict=True)]
    return pa.DictionaryArray.from_arrays(pa.array(both.rows), pc.binary_join_element_wise(*parts, _DELIMITER))


def _quoted(texts: pa.Array) -> pa.Array:
    """As CSV writes them, one empty text (read as null) behind the last for cells without a text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.cast(texts, pa.string())
    special = pc.match_substring_regex(texts, f'["\r\n{_DELIMITER}]')
    if pc.any(special).as_py():
        quoted = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
        texts = pc.if_else(special, quoted, texts)
    return pa.concat_arrays([texts, pa.array([""])])


def _bytes(lines: pa.Array) -> memoryview:
    _, offsets, data = lines.buffers()
    bounds = memoryview(offsets).cast("i")
    return memoryview(data)[bounds[lines.offset] : bounds[lines.offset + len(lines)]]


def _describe(contract: Contract) -> str:
    return f"One row per delivered value of {contract.dataset_id} ({contract.title_de}), as text, append-only."
