"""Into raw: what is in the table is what was read, letter by letter; columns may come, none goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from teilhabe import ops
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import WarehouseError
from teilhabe.ops import schema
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
BASE = load_contracts(PROJECT / "agencies")["state_monitor__foreigners"]
CONTRACT = BASE.model_copy(update={"dataset_id": "test_loading__probe"})


@pytest.fixture
def conn(warehouse: Settings) -> Iterator[ops.Connection]:
    with loading.session(warehouse) as connection:
        schema.install(connection)
        connection.execute("drop table if exists raw.test_loading__probe")
        loading.ensure_raw_tables(connection, [CONTRACT])
        connection.commit()
        yield connection


def validated(conn: ops.Connection, rows: int, name: str) -> int:
    row = conn.execute(
        "insert into ops.delivery (dataset_id, file_name, sha256, size_bytes, received_at, source, archive_uri, manifest_uri,"
        " state, row_count) values ('test_loading__probe', %s, lpad(to_hex(floor(random() * 1e9)::bigint), 64, '0'), 1, now(), 'test',"
        " 'x', gen_random_uuid()::text, 'validated', %s) returning delivery_id",
        (name, rows),
    ).fetchone()
    conn.commit()
    assert row is not None
    return int(row[0])


def chunk(*names: str | None, start: int = 1) -> pa.Table:
    values: dict[str, Any] = {column: ["x"] * len(names) for column in CONTRACT.column_names}
    values["territory_name"] = list(names)
    columns = {name: pa.array(cells, pa.string()) for name, cells in values.items()}
    columns["_row_number"] = pa.array(range(start, start + len(names)), pa.int32())
    columns["_column_number"] = pa.array([4] * len(names), pa.int32())
    return pa.table(columns)


def test_an_index_of_an_older_version_is_replaced(conn: ops.Connection) -> None:
    """Where a home was made with an entry per row; rows are found either way."""
    number = validated(conn, 1, "eins.csv")
    loading.load(conn, CONTRACT, number, [chunk("a")])
    conn.execute("drop index raw.test_loading__probe_by_delivery")
    conn.execute("create index test_loading__probe_by_delivery on raw.test_loading__probe (_delivery_id)")
    assert loading.raw_tables_differ(conn, [CONTRACT])
    loading.ensure_raw_tables(conn, [CONTRACT])
    assert not loading.raw_tables_differ(conn, [CONTRACT])
    conn.execute("set local enable_seqscan = off")
    found = "from raw.test_loading__probe where _delivery_id = any(%s)"
    plan = conn.execute(f"explain select 1 {found}", ([number],)).fetchall()
    assert "test_loading__probe_by_delivery" in str(plan)
    assert conn.execute(f"select territory_name {found}", ([number],)).fetchall() == [("a",)]


def test_a_question_about_one_delivery_reads_its_pages_only(conn: ops.Connection) -> None:
    many = [chunk(*["Peine"] * 50_000)]
    first, second = (validated(conn, 50_000, name) for name in ("a.csv", "b.csv"))
    loading.load(conn, CONTRACT, first, many)
    loading.load(conn, CONTRACT, second, many)
    conn.execute("set local enable_seqscan = off")
    query = "explain (analyze, format json) select 1 from raw.test_loading__probe where _delivery_id = any(%s)"
    ((plan,),) = conn.execute(query, ([second],)).fetchall()
    assert plan[0]["Plan"]["Actual Rows"] == 50_000
    assert plan[0]["Plan"]["Rows Removed by Index Recheck"] < 10_000, "pages of both, and the last of the first"


TEXTS = [
    None,
    "NULL",
    "\\N",
    '"',
    'Stadt "Peine"',
    "a,b;c\td",
    "zwei\nZeilen",
    "\r\n",
    "Ä ö ß – “ 漢 🙂",
    " Rand ",
    "\\",
    "'",
    "00157",
]


def test_every_text_arrives_as_it_was(conn: ops.Connection) -> None:
    """Quotes, line breaks, backslashes, leading zeros, the word NULL; only nothing is null."""
    number = validated(conn, len(TEXTS), "texte.csv")
    assert loading.load(conn, CONTRACT, number, [chunk(*TEXTS)]) == len(TEXTS)
    rows = conn.execute(
        "select territory_name, _row_number, _column_number, _delivery_id from raw.test_loading__probe order by 2"
    )
    assert rows.fetchall() == [(text, n, 4, number) for n, text in enumerate(TEXTS, start=1)]


def test_a_chunk_that_needs_quotes_and_one_that_does_not(conn: ops.Connection) -> None:
    number = validated(conn, 3, "zwei.csv")
    loading.load(conn, CONTRACT, number, [chunk("Peine"), chunk('"Peine"', "a\nb", start=2)])
    rows = conn.execute("select territory_name from raw.test_loading__probe order by _row_number").fetchall()
    assert rows == [("Peine",), ('"Peine"',), ("a\nb",)]


def test_an_empty_text_is_the_same_whatever_stands_beside_it(conn: ops.Connection) -> None:
    loading.load(conn, CONTRACT, validated(conn, 2, "a.csv"), [chunk("", "Peine")])
    loading.load(conn, CONTRACT, validated(conn, 2, "b.csv"), [chunk("", '"Peine"', start=3)])
    rows = conn.execute("select territory_name from raw.test_loading__probe where _row_number in (1, 3)").fetchall()
    assert rows[0] == rows[1]


def test_another_number_of_rows_than_was_judged_is_not_loaded(conn: ops.Connection) -> None:
    number = validated(conn, 3, "kurz.csv")
    with pytest.raises(WarehouseError, match="2 rows were read for loading, 3 were validated"):
        loading.load(conn, CONTRACT, number, [chunk("a", "b")])
    assert conn.execute("select count(*) from raw.test_loading__probe").fetchall() == [(0,)]
    assert ops.delivery(conn, number).state == "validated"


def test_an_error_while_reading_loads_nothing_and_is_told(conn: ops.Connection) -> None:
    number = validated(conn, 2, "kaputt.csv")

    def broken() -> Iterator[pa.Table]:
        yield chunk("a")
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="the disk went away"):
        loading.load(conn, CONTRACT, number, broken())
    assert conn.execute("select count(*) from raw.test_loading__probe").fetchall() == [(0,)]
    assert loading.load(conn, CONTRACT, number, [chunk("a", "b")]) == 2, "the connection is good for another try"


def test_a_loaded_delivery_is_left_as_it_is(conn: ops.Connection) -> None:
    number = validated(conn, 1, "einmal.csv")
    loading.load(conn, CONTRACT, number, [chunk("a")])
    assert loading.load(conn, CONTRACT, number, [chunk("anders")]) == 1
    assert conn.execute("select territory_name from raw.test_loading__probe").fetchall() == [("a",)]


def test_rows_that_should_not_be_there_are_not_doubled(conn: ops.Connection) -> None:
    conn.execute("insert into raw.test_loading__probe (_delivery_id, _row_number, _column_number) values (0, 1, 1)")
    number = validated(conn, 1, "einmal.csv")
    conn.execute(
        "insert into raw.test_loading__probe (_delivery_id, _row_number, _column_number) values (%s, 1, 4)", (number,)
    )
    assert loading.load(conn, CONTRACT, number, [chunk("a")]) == 1
    rows = conn.execute("select _delivery_id, territory_name from raw.test_loading__probe order by 1").fetchall()
    assert rows == [(0, None), (number, "a")]


@pytest.mark.parametrize("state", ["quarantined", "withdrawn", "held", "received"])
def test_what_does_not_wait_to_be_loaded_is_not(conn: ops.Connection, state: ops.State) -> None:
    number = validated(conn, 1, "nicht.csv")
    ops.set_state(conn, number, state)
    assert loading.load(conn, CONTRACT, number, [chunk("a")]) == 0
    assert conn.execute("select count(*) from raw.test_loading__probe").fetchall() == [(0,)]
    assert ops.delivery(conn, number).state == state


def test_columns_come_and_none_goes(conn: ops.Connection) -> None:
    def columns() -> list[str]:
        rows = conn.execute(
            "select column_name from information_schema.columns where table_schema = 'raw' and table_name = 'test_loading__probe'"
        )
        return sorted(name for (name,) in rows)

    def without(*names: str) -> Contract:
        return CONTRACT.model_copy(update={"columns": [c for c in CONTRACT.columns if c.name not in names]})

    everything = sorted([*CONTRACT.column_names, *loading.LINEAGE_COLUMNS])
    assert columns() == everything
    loading.load(conn, CONTRACT, validated(conn, 1, "a.csv"), [chunk("a")])
    loading.ensure_raw_tables(conn, [without("conf_status")])
    assert columns() == everything
    conn.execute("drop table raw.test_loading__probe")
    loading.ensure_raw_tables(conn, [without("conf_status")])
    assert columns() == sorted(set(everything) - {"conf_status"})
    loading.ensure_raw_tables(conn, [CONTRACT])
    assert columns() == everything


def test_only_the_loader_writes(conn: ops.Connection, warehouse: Settings) -> None:
    import psycopg

    for role in ("analyst", "transformer", "steward"):
        with connecting.connect(role, warehouse) as other, pytest.raises(psycopg.errors.InsufficientPrivilege):  # type: ignore[arg-type]
            other.execute(
                "insert into raw.test_loading__probe (_delivery_id, _row_number, _column_number) values (1, 1, 1)"
            )
