"""What was accepted before a delivery came: earlier vintages, earlier periods, other datasets. Asked only when a rule needs it."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
from psycopg import sql

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import contract_path, load_contract
from teilhabe.errors import ContractError

if TYPE_CHECKING:
    import pyarrow as pa

KEY_COLUMNS = ("measure_code", "territory_code", "period_code", "nationality", "sex", "age_band", "category")
"""What tells one observation of a dataset from another; columns a dataset does not have are constants of its contract."""


class History(Protocol):
    """The accepted values at the time a delivery was handed in."""

    def values(self, contract: Contract, dataset_id: str, periods: Collection[str]) -> pa.Table | None:
        """The values of a dataset that were valid for these periods: ``KEY_COLUMNS``, ``territory_name``, ``value`` as text.

        One row per observation, the latest vintage. ``contract`` is that of the delivery under judgement.
        None where nothing was accepted, or the dataset is unknown.
        """


class NoHistory:
    """Nothing was accepted before."""

    def values(self, contract: Contract, dataset_id: str, periods: Collection[str]) -> pa.Table | None:
        return None


class Accepted:
    """The history as the raw tables hold it: everything loaded, handed in by ``before``, except the delivery itself."""

    def __init__(self, conn: psycopg.Connection[Any], *, before: datetime, without: int | None = None) -> None:
        self._conn = conn
        self._before = before
        self._without = without
        self._known: dict[tuple[str, frozenset[str]], pa.Table | None] = {}
        self.error: psycopg.Error | None = None
        """Why the last question had no answer: whoever asks for an expectation hides it."""

    def values(self, contract: Contract, dataset_id: str, periods: Collection[str]) -> pa.Table | None:
        key = (dataset_id, frozenset(periods))
        if key not in self._known:
            other = contract if dataset_id == contract.dataset_id else _neighbour(contract.path.parents[1], dataset_id)
            try:
                self._known[key] = self._fetch(other, sorted(key[1])) if other and periods else None
            except psycopg.Error as error:
                self.error = error
                raise
        return self._known[key]

    def _fetch(self, contract: Contract, periods: list[str]) -> pa.Table | None:
        deliveries = [
            row[0]
            for row in self._conn.execute(
                """
                select delivery_id from ops.delivery
                where dataset_id = %s and state = 'loaded' and periods && %s::text[]
                    and received_at <= %s and delivery_id is distinct from %s
                order by received_at, delivery_id
                """,
                (contract.dataset_id, periods, self._before, self._without),
            )
        ]
        if not deliveries:
            return None
        names = [n for n in (*KEY_COLUMNS, "territory_name", "value") if n in contract.column_names]
        query = sql.SQL(
            "copy (select _delivery_id, {} from raw.{} where _delivery_id = any({}) and period_code = any({})) "
            "to stdout (format csv, header)"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.Identifier(contract.dataset_id),
            sql.Literal(deliveries),
            sql.Literal(periods),
        )
        text = io.BytesIO()
        with self._conn.cursor() as cursor, cursor.copy(query) as rows:
            for block in rows:
                text.write(block)
        return latest(_parse(text.getvalue()), deliveries, contract.constants)


def from_warehouse(conn: psycopg.Connection[Any], *, before: datetime, without: int | None = None) -> Accepted:
    """The history of a delivery handed in at ``before``; it is left out itself (``without``) when it is judged again."""
    return Accepted(conn, before=before, without=without)


def latest(rows: pa.Table, order: Collection[int], constants: Mapping[str, str]) -> pa.Table:
    """Of several rows about one observation the one whose delivery comes last in ``order``; all key columns filled."""
    import numpy as np
    import pyarrow as pa

    from teilhabe.columns.coded import coded, combinations

    rank = {delivery: place for place, delivery in enumerate(order)}
    place = np.array([rank[number] for number in rows["_delivery_id"].to_pylist()])
    present = [name for name in KEY_COLUMNS if name in rows.column_names]
    if len(rank) > 1:
        which = combinations([coded(rows[name]) for name in present]).rows
        last = np.lexsort((place, which))
        keep = last[np.append(which[last][1:] != which[last][:-1], True)] if len(last) else last
        rows = rows.take(pa.array(np.sort(keep)))
    for name in KEY_COLUMNS:
        if name not in present:
            rows = rows.append_column(name, pa.array([constants.get(name, "total")] * len(rows), pa.string()))
    return rows


def _parse(text: bytes) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    header = text.split(b"\n", 1)[0].decode().strip().split(",")
    types = {name: pa.int64() if name == "_delivery_id" else pa.string() for name in header}
    return csv.read_csv(
        io.BytesIO(text),
        convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""]),
    )


@cache
def _neighbour(agencies: Path, dataset_id: str) -> Contract | None:
    """The contract of another dataset, beside that of the delivery."""
    path = contract_path(agencies, dataset_id)
    try:
        return load_contract(path) if path.is_file() else None
    except ContractError:
        return None
