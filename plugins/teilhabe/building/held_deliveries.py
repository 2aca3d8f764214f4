"""What to hold back when a build fails: the deliveries its failure comes from, so that everybody else's numbers are published.

A failure is traced by what it says, from the surest to the widest: the rows a test or a constraint complains of name their
delivery; a value the database cannot read is found by reading each new delivery alone; and where neither says anything, of the
new deliveries below the failed model the last is held back, then the one before, until the build passes - then those held for
nothing are let go again. A failure of the machinery (a lock, the disk, the network) is nobody's delivery.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from teilhabe import ops
from teilhabe.errors import WarehouseError
from teilhabe.server import connecting
from teilhabe.settings import Settings

log = logging.getLogger(__name__)

Node = Mapping[str, Any]

MOST_ROUNDS = 25
"""A build that still fails after holding back so many times fails for good."""
_MOST_GUESSES = 8
"""How many deliveries are held back one after the other where nothing says which it is."""

_MACHINERY = re.compile(
    r"lock timeout|deadlock detected|terminating connection|could not connect|connection .*(refused|closed|failed)"
    r"|No space left|out of memory|out of shared memory|statement timeout|permission denied|idle-in-transaction",
    re.IGNORECASE,
)
_KEY = re.compile(r"Key \((?P<columns>[^)]*)\)=\((?P<values>.*?)\) ")
_COUNTED = re.compile(r"Got (?P<rows>\d+) results?, configured to fail")
_NOT_NULL = re.compile(r'null value in column "(?P<column>\w+)" of relation')


class BuildError(WarehouseError):
    """dbt refused; ``nodes`` are the results of the run, those that failed among them."""

    def __init__(self, message: str, nodes: Sequence[Node] = ()) -> None:
        super().__init__(message)
        self.nodes = nodes

    @property
    def failed(self) -> list[Node]:
        return [node for node in self.nodes if node["status"] in FAILED]


FAILED = ("error", "fail", "runtime error")


@dataclass
class Guesses:
    """Deliveries held back although nothing names them, in this build, in the order it happened."""

    held: list[int] = field(default_factory=list)


def hold_back(
    settings: Settings, conn: ops.Connection, build_id: int, error: WarehouseError, guesses: Guesses
) -> list[int]:
    """Set the deliveries a failure comes from to ``held``; returns them, none where it comes from none we can name."""
    refused_rows = error.failed if isinstance(error, BuildError) else isinstance(error.__cause__, psycopg.Error)
    if not refused_rows or _MACHINERY.search(str(error)):
        return []
    new = ops.taken_in_by(conn, build_id)
    conn.commit()
    with connecting.connect("transformer", settings, autocommit=True) as looking:
        named = set(_named(looking, error, new))
    # What was built before stood the test then: of those who contradict each other it is the new one.
    found = sorted(named & set(new)) or sorted(named)
    if not found:
        found = _next_guess(conn, error, new, guesses)
    reason = _reason(error)
    for delivery_id in found:
        ops.set_state(conn, delivery_id, "held", hold_reason=reason, held_in_build=build_id)
        if delivery_id not in new:
            ops.takes_out(conn, build_id, delivery_id)
    conn.commit()
    if found:
        log.warning("held back: deliveries %s - %s", ", ".join(map(str, found)), reason)
    return found


def let_go(conn: ops.Connection, guesses: Guesses, *, passed: bool) -> None:
    """Deliveries held back by guessing count as loaded again: all of them, or all but the last when that made it pass."""
    for delivery_id in guesses.held[:-1] if passed else guesses.held:
        ops.set_state(conn, delivery_id, "loaded", hold_reason=None, held_in_build=None)
    conn.commit()


def release(conn: ops.Connection, *, everything: bool) -> list[int]:
    """What is held counts as loaded again where the reason may be gone; returns what is tried again.

    ``everything``: the code has changed, or somebody asked for a full build. Else what is of a dataset something has come for
    or was withdrawn of since, and all of it when that is the register.
    """
    rows = conn.execute(
        """
        select h.delivery_id from ops.delivery as h
        where h.state = 'held' and (%(everything)s or exists (
            select from ops.delivery_to_build as b
            where b.delivery_id <> h.delivery_id
                and (b.dataset_id = h.dataset_id or b.dataset_id like 'register\\_\\_%%')
        ))
        order by h.delivery_id
        """,
        {"everything": everything},
    ).fetchall()
    for (delivery_id,) in rows:
        ops.set_state(conn, delivery_id, "loaded", hold_reason=None, held_in_build=None)
    return [delivery_id for (delivery_id,) in rows]


# -------------------------------------------------------------------------------------------------------------- tracing


def _named(conn: psycopg.Connection[Any], error: WarehouseError, new: Collection[int]) -> Iterator[int]:
    """Deliveries whose rows the failure is about, as far as its own words lead there."""
    if isinstance(error, BuildError):
        for node in error.failed:
            yield from _of_node(conn, node)
            if node["status"] != "fail":
                yield from _unreadable(conn, node, error.nodes, new)
    elif isinstance(error.__cause__, psycopg.Error):
        yield from _of_publishing(conn, error.__cause__)


def _of_node(conn: psycopg.Connection[Any], node: Node) -> Iterator[int]:
    query = str(node.get("compiled_code") or "").strip().rstrip(";")
    if not query:
        return
    if node["status"] == "fail":
        yield from _deliveries(conn, query, "true", [])
        return
    message = str(node["message"])
    if missing := _NOT_NULL.search(message):
        yield from _deliveries(conn, query, f"made.{_quoted(missing['column'])} is null", [])
    if key := _KEY.search(message):
        yield from _deliveries(conn, query, *_same_key(key))
    for expression in node.get("checks", []):
        yield from _deliveries(conn, query, f"not ({expression})", [])


def _same_key(key: re.Match[str]) -> tuple[str, list[str]]:
    columns = [column.strip() for column in key["columns"].split(",")]
    values = [value.strip() for value in key["values"].split(",")]
    if len(columns) != len(values):
        return "false", []
    return " and ".join(f"made.{_quoted(column)}::text = %s" for column in columns), values


def _of_publishing(conn: psycopg.Connection[Any], error: psycopg.Error) -> Iterator[int]:
    """The rows of the candidate that ``marts`` did not take."""
    table, column = error.diag.table_name, error.diag.column_name
    if not table:
        return
    query = sql.SQL("select * from candidate.{}").format(sql.Identifier(table)).as_string(conn)
    if column:
        yield from _deliveries(conn, query, f"made.{_quoted(column)} is null", [])
    if key := _KEY.search(f"{error.diag.message_detail or ''} "):
        yield from _deliveries(conn, query, *_same_key(key))


def _deliveries(conn: psycopg.Connection[Any], query: str, condition: str, values: Sequence[str]) -> Iterator[int]:
    """What columns of deliveries hold in the rows of a query; nothing where it has none, or cannot be asked again."""
    escaped = query.replace("%", "%%") if values else query
    try:
        described = conn.execute(f"select * from ({query}) as made limit 0".encode()).description or []
        columns = [c.name for c in described if c.name == "delivery_id" or c.name.endswith("_delivery_id")]
        for column in columns:
            rows = conn.execute(
                f"select distinct made.{_quoted(column)} from ({escaped}) as made where {condition}".encode(),
                values or None,
            )
            yield from (int(value) for (value,) in rows if value is not None)
    except psycopg.Error as refused:
        log.info("not traced by its rows: %s", type(refused).__name__)


def _unreadable(
    conn: psycopg.Connection[Any], node: Node, nodes: Iterable[Node], new: Collection[int]
) -> Iterator[int]:
    """New deliveries whose rows the database cannot read as what staging says they are, each read alone."""
    models = _staging_below(node, nodes)
    for delivery_id, dataset_id in _datasets(conn, new):
        model = f"stg_{dataset_id}"
        if model not in models:
            continue
        view = sql.Identifier("staging", model)
        try:
            conn.execute(
                sql.SQL("select count(seen::text) from {} as seen where seen.delivery_id = %s").format(view),
                [delivery_id],
            )
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
            continue
        except psycopg.errors.DataError:
            yield delivery_id


def _staging_below(node: Node, nodes: Iterable[Node]) -> set[str]:
    """Names of the staging models a node is made of, itself included."""
    parents = {str(one["unique_id"]): list(one.get("depends_on", {}).get("nodes", [])) for one in nodes}
    seen: set[str] = set()
    todo = [str(node["unique_id"])]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += parents.get(name, [])
    return {name.rsplit(".", 1)[-1] for name in seen}


def _datasets(conn: psycopg.Connection[Any], deliveries: Collection[int]) -> list[tuple[int, str]]:
    rows = conn.execute(
        "select delivery_id, dataset_id from ops.delivery where delivery_id = any(%s) order by delivery_id",
        [list(deliveries)],
    )
    return [(int(number), str(dataset_id)) for number, dataset_id in rows]


def _next_guess(conn: ops.Connection, error: WarehouseError, new: Sequence[int], guesses: Guesses) -> list[int]:
    """Of the new deliveries the failed model is made of, the last one."""
    if len(guesses.held) >= _MOST_GUESSES:
        return []
    suspects = [number for number, _ in _datasets(conn, new)]
    if isinstance(error, BuildError) and error.failed:
        below = _staging_below(error.failed[0], error.nodes)
        suspects = [number for number, dataset_id in _datasets(conn, new) if f"stg_{dataset_id}" in below]
    conn.commit()
    guesses.held += suspects[-1:]
    return suspects[-1:]


def _reason(error: WarehouseError) -> str:
    """In German, what the failed test or constraint is called and what it says; never the rows themselves."""
    if isinstance(error, BuildError) and error.failed:
        node = error.failed[0]
        name = str(node["unique_id"]).split(".")[2]
        what = "Die Prüfung" if node["status"] == "fail" else "Die Tabelle"
        return f"{what} {name} nimmt diese Lieferung nicht an: {_said(str(node['message']))}"
    return f"Die Veröffentlichung nimmt diese Lieferung nicht an: {_said(str(error))}"


def _said(message: str) -> str:
    """What a test counted in words of ours, else what the database says; it ends with a full stop."""
    told = without_rows(message)
    if counted := _COUNTED.match(told):
        told = "eine Zeile fällt auf" if counted["rows"] == "1" else f"{counted['rows']} Zeilen fallen auf"
    return told if told.endswith(".") else f"{told}."


def without_rows(message: str) -> str:
    """PostgreSQL quotes the row in DETAIL, and a text it cannot read behind the colon: both may be an office's numbers."""
    told = re.split(r"\n?\s*(?:DETAIL|CONTEXT|LINE \d+|compiled code)\b", message)[0]
    told = re.sub(r"(invalid input syntax for type [\w ]+): .*", r"\1", told)
    return " ".join(told.split())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
