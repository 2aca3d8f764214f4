"""The SQL of single models, rendered without dbt and run on rows a test wrote: milliseconds instead of a build.

Macros are those of the project; of dbt there is only what the models of territories and observations use of it. Tables are
temporary ones, so tests share a server without seeing each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import jinja2
import psycopg
from psycopg import sql

from tests.conftest import PROJECT

DBT = PROJECT / "dbt_project"
_AS_BEFORE = "reset enable_nestloop; reset enable_mergejoin; reset work_mem"

EDITION = {
    "territory_code": "text", "territory_name": "text", "level": "text", "text_code": "text", "ars": "text",
    "edition_date": "date", "population": "numeric", "population_date": "date", "area_km2": "numeric",
    "delivery_id": "bigint", "row_number": "int", "known_from": "timestamptz",
}  # fmt: skip
CHANGE = {
    "change_id": "text", "unit_type": "text", "old_code": "text", "old_name": "text", "change_type": "text",
    "area_m2": "numeric", "population": "numeric", "new_code": "text", "new_name": "text", "legal_date": "date",
    "statistical_date": "date", "delivery_id": "bigint", "row_number": "int", "known_from": "timestamptz",
}  # fmt: skip
OBSERVATION = {
    "measure_code": "text", "territory_code": "text", "period_code": "text", "nationality": "text", "sex": "text",
    "age_band": "text", "category": "text", "value": "numeric", "obs_status": "text", "conf_status": "text",
    "dataset_id": "text", "delivery_id": "bigint", "row_number": "int", "column_number": "int",
    "known_from": "timestamptz", "territory_name_delivered": "text", "category_name": "text",
}  # fmt: skip
"""Columns and types of what the models of the territory read."""


class _Returned(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


def _return(value: Any = None) -> None:
    raise _Returned(value)


def _call(macros: Mapping[str, Callable[[], Any]], name: str, *args: Any, **kwargs: Any) -> Any:
    try:
        return macros[name]()(*args, **kwargs)
    except _Returned as returned:
        return returned.value


def _late(environment: jinja2.Environment, text: str, name: str) -> Any:
    """The macro, read when it is first called: by then all others have their names."""
    return getattr(_module(environment, text), name)


@cache
def _module(environment: jinja2.Environment, text: str) -> Any:
    return environment.from_string(text).module


@cache
def _environment(territorial_state: str) -> jinja2.Environment:
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)
    environment.globals.update(
        {
            "return": _return,
            "ref": lambda name: name,
            "source": lambda _, name: name,
            "is_incremental": lambda: False,
            "execute": False,
            "env_var": lambda name, default="": territorial_state if name == "TEILHABE_TERRITORIAL_STATE" else default,
        }
    )
    macros: dict[str, Callable[[], Any]] = {}
    for path in sorted((DBT / "macros").glob("*.sql")):
        # each in a template of its own: macros of one file would call each other past `_caught`
        for text, name in re.findall(
            r"({%-? macro (\w+).*?{%-? endmacro -?%})", path.read_text(encoding="utf-8"), re.DOTALL
        ):
            environment.globals[name] = partial(_call, macros, name)
            macros[name] = partial(_late, environment, text, name)
    return environment


@cache
def rendered(model: str, territorial_state: str = "") -> tuple[str, tuple[tuple[str, ...], ...], str]:
    """The query of a model over temporary tables of the names it refers to, the columns of its indexes, what runs before."""
    path = next((DBT / "models").rglob(f"{model}.sql"))
    configured: dict[str, Any] = {}
    environment = _environment(territorial_state)
    template = environment.from_string(path.read_text(encoding="utf-8"))
    query = template.render(config=lambda **given: configured.update(given) or "")
    indexes = tuple(tuple(index["columns"]) for index in configured.get("indexes", ()))
    return query, indexes, environment.from_string(configured.get("pre_hook", "")).render()


def macro(name: str, *arguments: Any) -> str:
    """What a macro of the project writes."""
    return str(_environment("").globals[name](*arguments))


class Tables:
    """Temporary tables of one connection: some filled by a test, the others made by models."""

    def __init__(self, conn: psycopg.Connection[Any], territorial_state: str = "") -> None:
        self.conn = conn
        self.state = territorial_state

    def fill(self, name: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> None:
        """A table of these columns and types; rows as mappings may leave columns out."""
        table = sql.Identifier("pg_temp", name)
        self.drop(name)
        described = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(t)) for c, t in columns.items()
        )  # type: ignore[arg-type]
        self.conn.execute(sql.SQL("create temporary table {} ({})").format(sql.Identifier(name), described))
        with self.conn.cursor().copy(sql.SQL("copy {} from stdin").format(table)) as copy:
            for row in rows:
                copy.write_row([row.get(c) for c in columns] if isinstance(row, Mapping) else list(row))
        self.conn.execute(sql.SQL("analyze {}").format(table))

    def make(self, *models: str) -> None:
        """The models, one after the other, from what is there."""
        for model in models:
            self.drop(model)
            query, indexes, before = rendered(model, self.state)
            self.conn.execute(f'{before}; create temporary table "{model}" as {query}; {_AS_BEFORE}')  # type: ignore[arg-type]
            for columns in indexes:
                self.conn.execute(f'create index on "{model}" ({", ".join(columns)})')  # type: ignore[arg-type]
            self.conn.execute(f'analyze "{model}"')  # type: ignore[arg-type]

    def drop(self, name: str) -> None:
        self.conn.execute(sql.SQL("drop table if exists {}").format(sql.Identifier("pg_temp", name)))

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        return self.conn.execute(query).fetchall()  # type: ignore[arg-type]
