"""What relations, columns, keys and functions a schema of the database holds."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from teilhabe.errors import WarehouseError

Connection = psycopg.Connection[Any]
PINNED = "fct_indicator_vintage"
"""Its rows know the release that added them; those a release removes are kept, so that old digits can be had again."""

SUPERSEDED = "fct_indicator_superseded"
OWN_TABLES = ("release", "release_table", SUPERSEDED)


@dataclass(frozen=True)
class ForeignKey:
    table: str
    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...]


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    is_required: bool
    comment: str | None


@dataclass
class Relation:
    """A table or view. ``constraints`` are definition -> name, ``indexes`` definitions without name and table."""

    name: str
    oid: int
    kind: str
    definition: str | None
    comment: str | None
    columns: dict[str, _Column] = field(default_factory=dict)
    constraints: dict[str, str] = field(default_factory=dict)
    indexes: set[str] = field(default_factory=set)
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Function:
    name: str
    oid: int
    kind: str
    arguments: str
    definition: str
    comment: str | None


@dataclass(frozen=True)
class Schema:
    relations: dict[str, Relation]
    functions: dict[str, _Function]

    @property
    def tables(self) -> dict[str, Relation]:
        return {name: relation for name, relation in self.relations.items() if relation.kind == "table"}

    @property
    def views(self) -> dict[str, Relation]:
        return {name: relation for name, relation in self.relations.items() if relation.kind == "view"}


def read_schema(conn: Connection, schema: str) -> Schema:
    """What a schema holds. With an empty search path PostgreSQL writes all names in full."""
    relations = {
        row[0]: Relation(*row)
        for row in conn.execute(
            """
            select relname, oid::bigint, case relkind when 'v' then 'view' else 'table' end,
                case relkind when 'v' then pg_get_viewdef(oid) end, obj_description(oid, 'pg_class')
            from pg_class where relnamespace = %s::regnamespace and relkind in ('r', 'v')
            """,
            [schema],
        )
    }
    for table, *column in conn.execute(
        """
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, col_description(c.oid, a.attnum)
        from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'v') order by c.relname, a.attnum
        """,
        [schema],
    ):
        relations[table].columns[column[0]] = _Column(*column)
    for table, name, kind, definition, columns in conn.execute(
        f"""
        select c.relname, k.conname, k.contype::text, pg_get_constraintdef(k.oid), {names_of("k.conrelid", "k.conkey")}
        from pg_constraint as k inner join pg_class as c on c.oid = k.conrelid
        where k.connamespace = %s::regnamespace and k.contype in ('p', 'u', 'c')
        """,
        [schema],
    ):
        relations[table].constraints[definition] = name
        if kind == "p":
            relations[table].key = tuple(columns)
    for table, definition in conn.execute(
        """
        select c.relname, case when i.indisunique then 'unique ' else '' end || 'index'
            || substring(pg_get_indexdef(i.indexrelid) from ' USING .*')
        from pg_index as i inner join pg_class as c on c.oid = i.indrelid
        where c.relnamespace = %s::regnamespace and c.relkind = 'r'
            and not exists (select from pg_constraint as k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
        """,
        [schema],
    ):
        relations[table].indexes.add(definition)
    functions = (
        _Function(*row)
        for row in conn.execute(
            """
            select proname, oid::bigint, case prokind when 'p' then 'procedure' else 'function' end,
                oidvectortypes(proargtypes), pg_get_functiondef(oid), obj_description(oid, 'pg_proc')
            from pg_proc where pronamespace = %s::regnamespace and prokind in ('f', 'p')
            """,
            [schema],
        )
    )
    return Schema(relations, {f"{function.name}({function.arguments})": function for function in functions})


def published_keys(conn: Connection) -> dict[ForeignKey, str]:
    rows = conn.execute(
        f"""
        select k.conname, c.relname, {names_of("k.conrelid", "k.conkey")}, r.relname, {names_of("k.confrelid", "k.confkey")}
        from pg_constraint as k
        inner join pg_class as c on c.oid = k.conrelid
        inner join pg_class as r on r.oid = k.confrelid
        where k.connamespace = 'marts'::regnamespace and k.contype = 'f' and c.relname <> all(%s)
        """,
        [list(OWN_TABLES)],
    )
    return {ForeignKey(table, tuple(c), to, tuple(t)): name for name, table, c, to, t in rows}


def names_of(relation: str, numbers: str) -> str:
    """SQL expression: the names of columns given by their numbers, in that order."""
    return (
        f"array(select a.attname::text from unnest({numbers}) with ordinality as n (number, place) inner join pg_attribute as a"
        f" on a.attrelid = {relation} and a.attnum = n.number order by n.place)"
    )


def declared_keys(manifest: Path) -> set[ForeignKey]:
    """Foreign keys in the contracts of the models, on the model or on one of its columns."""
    try:
        nodes = json.loads(manifest.read_text(encoding="utf-8"))["nodes"].values()
    except FileNotFoundError:
        raise WarehouseError(f"dbt has left no {manifest}, which names the foreign keys; build again.") from None
    found = set()
    for node in nodes:
        if node.get("schema") != "candidate" or node.get("resource_type") != "model":
            continue
        constraints = list(node.get("constraints") or [])
        for column in node.get("columns", {}).values():
            constraints += [{**one, "columns": [column["name"]]} for one in column.get("constraints") or []]
        for one in constraints:
            if one["type"] == "foreign_key":
                if not one.get("to"):
                    raise WarehouseError(f"The contract of {node['name']} has a foreign key without `to: ref(...)`.")
                # `ref('dim_period')`, or resolved: "teilhabe"."candidate"."dim_period"
                to = re.findall(r"\w+", one["to"])[-1]
                found.add(ForeignKey(node["name"], tuple(one["columns"]), to, tuple(one["to_columns"])))
    return found


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
