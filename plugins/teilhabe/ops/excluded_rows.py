"""The record of rows that are left out of a delivery, in ``ops.excluded_row``. Nothing here decides."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from teilhabe.errors import Place
from teilhabe.findings.saying import column_letters

if TYPE_CHECKING:
    from teilhabe.ops import Connection
    from teilhabe.validation.row_exclusion import Excluded


def record(conn: Connection, delivery_id: int, rows: Iterable[Excluded]) -> None:
    """Replace what is known of a delivery: judging again must not double it."""
    conn.execute("delete from ops.excluded_row where delivery_id = %s", (delivery_id,))
    copy = "copy ops.excluded_row (delivery_id, position, sheet, row_number, column_number, rule, reason, found, content) from stdin"
    ordered = sorted(rows, key=lambda one: (one.place.sheet or "", one.place.row, one.place.column or 0))
    with conn.cursor() as cursor, cursor.copy(copy) as out:
        for position, one in enumerate(ordered, start=1):
            place = one.place
            content = None if one.content is None else json.dumps(one.content, ensure_ascii=False)
            out.write_row(
                (delivery_id, position, place.sheet, place.row, place.column, one.rule, one.reason, one.found, content)
            )


def places(conn: Connection, delivery_id: int) -> set[Place]:
    """The rows a delivery is loaded without."""
    rows = conn.execute(
        "select sheet, row_number, column_number from ops.excluded_row where delivery_id = %s", (delivery_id,)
    )
    return {Place(*row) for row in rows}


def listed(conn: Connection, delivery_id: int, limit: int | None = None) -> list[dict[str, Any]]:
    """The rows in the order of the file, with the reason and what was read of them; ``cell`` as a workbook names it."""
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "select position, sheet, row_number, column_number, rule, reason, found, content from ops.excluded_row"
            " where delivery_id = %s order by position limit %s",
            (delivery_id, limit),
        )
        rows = cursor.fetchall()
    for row in rows:
        in_sheet = row["sheet"] is not None and row["column_number"] is not None
        row["cell"] = f"{column_letters(row['column_number'])}{row['row_number']}" if in_sheet else None
    return rows
