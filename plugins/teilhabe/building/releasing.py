"""Publish what a build has tested: schema ``candidate`` becomes ``marts`` in one transaction, and that is a release.

Readers see the last release or the new one, never a mixture: all is written in one transaction, and what it writes is only
what differs. Tables and views of ``marts`` are changed in place and never dropped, so what analysts put on them stays. What
there is to publish stands in PostgreSQL's catalogue, not in a list.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path

import psycopg
from psycopg import sql

from teilhabe.building.catalogue import (
    PINNED,
    SUPERSEDED,
    Connection,
    ForeignKey,
    Relation,
    declared_keys,
    published_keys,
    quoted,
    read_schema,
)
from teilhabe.errors import WarehouseError
from teilhabe.ops import schema
from teilhabe.server import connecting
from teilhabe.settings import Settings
from teilhabe.system import locks

log = logging.getLogger(__name__)


_LOCK_SECONDS = 90
"""Longer than an analyst's statement may take. Only changed columns, views and constraints wait for readers at all."""

_SURROGATE_KEY = "('x' || left(md5({}), 15))::bit(60)::bigint"
"""As the dbt macro `surrogate_key` makes it of a code."""


@dataclass(frozen=True)
class Release:
    """What was published. ``changed`` is table -> (rows added, rows removed), ``left`` what no model makes any more."""

    release_id: int
    changed: Mapping[str, tuple[int, int]]
    left: tuple[str, ...]

    @property
    def added(self) -> int:
        return sum(added for added, _ in self.changed.values())

    @property
    def removed(self) -> int:
        return sum(removed for _, removed in self.changed.values())

    def __str__(self) -> str:
        said = f"release {self.release_id}: {self.added} rows added, {self.removed} removed"
        return f"{said}; no longer made, left as it is: {', '.join(self.left)}" if self.left else said


def approve(settings: Settings, build_id: int) -> None:
    """Record that the candidate passed the tests of this build; any later dbt run takes that back (`prepare_candidate`).

    The record is unlogged like the tables it speaks of: after a crash of the server neither is there.
    """
    with connecting.connect("transformer", settings) as conn:
        conn.execute("drop table if exists intermediate.audited_candidate")
        conn.execute(f"create unlogged table intermediate.audited_candidate as select {build_id}::bigint as build_id")


def unpublished(settings: Settings) -> bool:
    """Whether a candidate has passed its tests and is in no release: its publishing was killed."""
    with connecting.connect("transformer", settings) as conn:
        build_id = _approved(conn)
        if build_id is None or not _exists(conn, "marts.release"):
            return build_id is not None
        question = "select not exists (select from marts.release where build_id = %s)"
        return bool(conn.execute(question, [build_id]).fetchall()[0][0])


def is_left_as_approved(settings: Settings) -> bool:
    """Whether the candidate is as the last successful build left it: no crash emptied it, and nobody ran dbt since."""
    with connecting.connect("transformer", settings) as conn:
        return _approved(conn) is not None


def publish(
    settings: Settings, build_id: int, *, territorial_state: date | None = None, manifest: Path | None = None
) -> Release:
    """Make the approved candidate of a build the release readers see. All of it or nothing, one at a time.

    Foreign keys are those of the models' contracts in dbt's ``manifest``: the candidate does without, so that its tables can
    be refilled in any order. ``territorial_state`` is recorded only; today by default.

    Raises:
        WarehouseError: the candidate is not the tested one of this build, the database refuses a row, or what is published
            cannot be changed in place; then everything is as before.
    """
    declared = declared_keys(manifest or settings.work / "dbt" / "manifest.json")
    try:
        with connecting.connect("transformer", settings, autocommit=True) as conn:
            conn.add_notice_handler(lambda notice: log.warning("%s", " ".join(filter(None, _said(notice)))))
            locks.wait_alone(conn, "teilhabe.publish")
            # One snapshot of the candidate; taken after the lock, or it would be older than the release before.
            conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with conn.transaction():
                release = _Publication(conn, build_id, declared).run(territorial_state)
    except psycopg.errors.LockNotAvailable:
        raise WarehouseError(
            f"Nothing was published: readers held a table or view that changes its columns for {_LOCK_SECONDS} seconds. "
            "The next build tries again."
        ) from None
    except psycopg.Error as error:
        raise WarehouseError(f"Nothing was published, the last release stands: {_sentence(error)}.") from error
    if release.left:
        log.warning("no model makes %s any more; left in marts as it is", ", ".join(release.left))
    return release


# ------------------------------------------------------------------------------------------------------- the catalogue


# --------------------------------------------------------------------------------------------------------- publishing


class _Publication:
    """One publishing, inside its transaction."""

    def __init__(self, conn: Connection, build_id: int, declared: set[ForeignKey]) -> None:
        self.conn = conn
        self.build_id = build_id
        self.declared = declared
        self.changed: dict[str, tuple[int, int]] = {}

    def run(self, territorial_state: date | None) -> Release:
        for name, value in {
            "search_path": "",
            "lock_timeout": f"{_LOCK_SECONDS}s",
            "work_mem": "128MB",
            "maintenance_work_mem": "512MB",
            "check_function_bodies": "off",  # a function may name a view that comes after it
        }.items():
            self.conn.execute("select set_config(%s, %s, true)", [name, value])
        if _approved(self.conn) != self.build_id:
            raise WarehouseError(
                f"The candidate is not what build {self.build_id} has tested: it was changed since, or the server crashed. "
                "Nothing was published; build again."
            )
        self.candidate = read_schema(self.conn, "candidate")
        if not _exists(self.conn, "marts.release"):
            self._drop_what_dbt_published()
        self.conn.execute("set local client_min_messages = warning")  # that something is there already is no news
        schema.migrate(self.conn, "marts")
        [[self.release_id]] = self.conn.execute(
            "select nextval(pg_get_serial_sequence('marts.release', 'release_id'))"
        ).fetchall()
        self.marts = read_schema(self.conn, "marts")
        self._refuse_what_cannot_be_changed_in_place()
        self._change_tables()
        self._write_rows()
        self._constrain_tables()
        self._replace_views_and_functions()
        self._comment()
        left = self._leave()
        self._record(territorial_state)
        return Release(self.release_id, {name: rows for name, rows in self.changed.items() if any(rows)}, left)

    def _drop_what_dbt_published(self) -> None:
        """Before releases, dbt's own tables stood in ``marts``, with other keys. All of it is computed from ``raw`` anew."""
        published = read_schema(self.conn, "marts")
        for name in self.candidate.relations.keys() & published.relations.keys():
            kind = published.relations[name].kind
            log.warning("marts.%s was made before there were releases: dropped with the views on it", name)
            self.conn.execute(f"drop {kind} if exists marts.{quoted(name)} cascade")
        names = {function.name for function in self.candidate.functions.values()}
        for function in published.functions.values():
            if function.name in names:
                self.conn.execute(
                    f"drop {function.kind} if exists marts.{quoted(function.name)}({function.arguments}) cascade"
                )

    def _refuse_what_cannot_be_changed_in_place(self) -> None:
        problems = []
        for name, relation in self.candidate.relations.items():
            published = self.marts.relations.get(name)
            if published is None:
                continue
            if published.kind != relation.kind:
                problems.append(f"marts.{name} is a {published.kind}, no {relation.kind}")
            elif relation.kind == "table":
                for column in published.columns.values():
                    wanted = relation.columns.get(column.name)
                    if wanted is None and (name, column.name) != (PINNED, "release_id"):
                        problems.append(f"marts.{name} has a column {column.name} the model lacks")
                    elif wanted is not None and wanted.type != column.type:
                        problems.append(f"marts.{name}.{column.name} is {column.type}, not {wanted.type}")
        for relation in self.candidate.tables.values():
            if not relation.key:
                problems.append(f"candidate.{relation.name} has no primary key to compare rows by")
        for key in self.declared:
            missing = sorted({key.table, key.to} - self.candidate.tables.keys())
            problems += [f"a foreign key of {key.table} needs a table {name}" for name in missing]
        if problems:
            raise WarehouseError(
                f"Nothing was published: {'; '.join(sorted(problems))}. Published columns keep name and type, new ones come at "
                "the end. To change one, drop what it belongs to, with the views on it (`teilhabe sql --as transformer "
                "'drop table marts.x cascade'`), and build again: a table that is missing is filled anew."
            )

    # ------------------------------------------------------------------------------------------------------- structure

    def _change_tables(self) -> None:
        """New tables and columns; away with the rules that no longer hold. Common releases find nothing to do here."""
        lost = {
            name: self.marts.tables[name].constraints.keys() - table.constraints.keys()
            for name, table in self.candidate.tables.items()
            if name in self.marts.tables
        }
        for key, name in published_keys(self.conn).items():
            if key not in self.declared or any(not c.startswith("CHECK") for c in lost.get(key.to, ())):
                self._alter(key.table, f"drop constraint {quoted(name)}")
        self.new = self.candidate.tables.keys() - self.marts.tables.keys()
        self.compared_whole = set()
        self.replaced = set()
        for name, table in self.candidate.tables.items():
            if name in self.new:
                self.conn.execute(
                    f"create table marts.{quoted(name)} (like candidate.{quoted(name)} including all excluding indexes)"
                )
                if name == PINNED:
                    self._alter(name, "add column release_id bigint not null")
                continue
            published = self.marts.tables[name]
            if published.key != table.key:
                self.replaced.add(name)
            for definition in lost[name]:
                self._alter(name, f"drop constraint {quoted(published.constraints[definition])}")
            if self._add_columns(name, table):
                self.compared_whole.add(name)
            for column in table.columns.values():
                known = published.columns.get(column.name)
                if known is not None and known.is_required and not column.is_required:
                    self._alter(name, f"alter column {quoted(column.name)} drop not null")
        pinned = self.candidate.tables.get(PINNED)
        if pinned is not None:
            if SUPERSEDED not in self.marts.tables:
                self.conn.execute(f"create table marts.{SUPERSEDED} as table candidate.{PINNED} with no data")
                self._alter(SUPERSEDED, "add added_in_release bigint not null, add removed_in_release bigint not null")
                self.conn.execute(f"create index on marts.{SUPERSEDED} ({', '.join(map(quoted, pinned.key))})")
            else:
                self._add_columns(SUPERSEDED, pinned)

    def _add_columns(self, name: str, wanted: Relation) -> bool:
        missing = [column for column in wanted.columns.values() if column.name not in self.marts.tables[name].columns]
        for column in missing:
            self._alter(name, f"add column {quoted(column.name)} {column.type}")
        return bool(missing)

    def _constrain_tables(self) -> None:
        """Keys, checks and indexes that are missing: after the rows, which is many times faster for a new table."""
        now = read_schema(self.conn, "marts").tables
        for name, table in self.candidate.tables.items():
            for definition in sorted(table.constraints.keys() - now[name].constraints.keys()):
                self._alter(name, f"add constraint {quoted(table.constraints[definition])} {definition}")
            for column in table.columns.values():
                if column.is_required and not now[name].columns[column.name].is_required:
                    self._alter(name, f"alter column {quoted(column.name)} set not null")
            for definition in sorted(table.indexes - now[name].indexes):
                kind, _, how = definition.partition(" USING ")
                self.conn.execute(f"create {kind} on marts.{quoted(name)} using {how}")
        for key in sorted(self.declared - published_keys(self.conn).keys(), key=repr):
            columns, to_columns = (", ".join(map(quoted, names)) for names in (key.columns, key.to_columns))
            self._alter(key.table, f"add foreign key ({columns}) references marts.{quoted(key.to)} ({to_columns})")

    def _alter(self, table: str, change: str) -> None:
        self.conn.execute(f"alter table marts.{quoted(table)} {change}")

    # ------------------------------------------------------------------------------------------------------------ rows

    def _write_rows(self) -> None:
        """Rows of tables others refer to come first and go last."""
        self._find_changed_partitions()
        parents = TopologicalSorter({name: set[str]() for name in sorted(self.candidate.tables)})
        for key in sorted(self.declared, key=repr):
            if key.table != key.to:
                parents.add(key.table, key.to)
        order = list(parents.static_order())
        referred_to = {key.to for key in self.declared}
        filled = self.new | self.replaced
        differing = [name for name in order if name not in filled and self._compare(name)]
        for name in order:
            self.changed[name] = (0, 0)
        for name in reversed(order):
            if name in self.replaced:
                self._count(name, removed=self._empty(name))
            elif name in differing and name not in referred_to:
                self._count(name, removed=self._delete(name))
        for name in order:
            if name in filled:
                self._count(name, added=self._fill(name))
            elif name in differing:
                updated = self._update(name)
                self._count(name, added=updated + self._insert(name), removed=updated)
        for name in reversed(order):
            if name in differing and name in referred_to:
                self._count(name, removed=self._delete(name))
        # What the planner knows of a large table holds for one month more; the server renews it by the same measure later.
        for name, rows in self.conn.execute(
            "select relname, reltuples from pg_class where relnamespace = 'marts'::regnamespace and relkind = 'r'"
        ).fetchall():
            if sum(self.changed.get(name, ())) > rows / 10:
                self.conn.execute(f"analyze marts.{quoted(name)}")
        self.conn.execute(
            """
            delete from intermediate.release_state as s using pg_temp.changed_partition as c
            where s.model = c.model and s.part_code = c.part_code and s.period_code = c.period_code
            """
        )
        self.conn.execute(
            """
            insert into intermediate.release_state (model, part_code, period_code, digest)
            select model, part_code, period_code, digest from pg_temp.changed_partition where digest is not null
            """
        )

    def _find_changed_partitions(self) -> None:
        """Temporary table of the partitions that were made from something else than the published ones."""
        [[built, published]] = self.conn.execute(
            "select exists (select from intermediate.build_state), exists (select from intermediate.release_state)"
        ).fetchall()
        if published and not built:
            raise WarehouseError("Nothing was published: the candidate is empty. Build again.")
        self.conn.execute(
            f"""
            create temporary table changed_partition on commit drop as
            select model, part_code, period_code, b.digest,
                {_SURROGATE_KEY.format("part_code")} as part_key,
                {_SURROGATE_KEY.format("period_code")} as period_key
            from intermediate.build_state as b
            full join intermediate.release_state as s using (model, part_code, period_code)
            where b.digest is distinct from s.digest
            """
        )
        self.conn.execute("analyze pg_temp.changed_partition")
        self.partitioned = {
            model
            for (model,) in self.conn.execute(
                "select model from intermediate.build_state union select model from intermediate.release_state"
            )
        }

    def _compare(self, name: str) -> bool:
        """Temporary table of the keys whose rows differ; whether there are any."""
        table = self.candidate.tables[name]
        part = next((column for column in ("indicator_key", "measure_key") if column in table.columns), None)
        where = ""
        if name in self.partitioned and part and "period_key" in table.columns and name not in self.compared_whole:
            where = (
                "inner join pg_temp.changed_partition as p"
                f" on p.part_key = t.{part} and p.period_key = t.period_key and p.model = {_literal(self.conn, name)}"
            )
        rest = [quoted(column) for column in table.columns if column not in table.key]
        differs = ""
        if rest:
            differs = "or ({}) is distinct from ({})".format(
                ", ".join(f"new.{column}" for column in rest), ", ".join(f"old.{column}" for column in rest)
            )
        keys = ", ".join(map(quoted, table.key))
        found = self.conn.execute(
            f"""
            create temporary table {_difference(name)} on commit drop as
            select {keys}, old.is_there is null as is_new, new.is_there is null as is_gone
            from (select t.*, true as is_there from candidate.{quoted(name)} as t {where}) as new
            full join (select t.*, true as is_there from marts.{quoted(name)} as t {where}) as old using ({keys})
            where old.is_there is null or new.is_there is null {differs}
            """
        ).rowcount
        if found > 0:
            self.conn.execute(f"analyze pg_temp.{_difference(name)}")
        return found > 0

    def _delete(self, name: str) -> int:
        same = self._same_key(name, "old")
        self._supersede(name, f"inner join pg_temp.{_difference(name)} as d on {same} and d.is_gone")
        return self.conn.execute(
            f"delete from marts.{quoted(name)} as old using pg_temp.{_difference(name)} as d where {same} and d.is_gone"
        ).rowcount

    def _update(self, name: str) -> int:
        table = self.candidate.tables[name]
        rest = [quoted(column) for column in table.columns if column not in table.key]
        if not rest:
            return 0
        same = self._same_key(name, "old")
        self._supersede(
            name, f"inner join pg_temp.{_difference(name)} as d on {same} and not d.is_new and not d.is_gone"
        )
        return self.conn.execute(
            f"""
            update marts.{quoted(name)} as old
            set ({self._columns(rest, name)}) = row({self._values(rest, name)})
            from candidate.{quoted(name)} as new, pg_temp.{_difference(name)} as d
            where {same} and {self._same_key(name, "new")} and not d.is_new and not d.is_gone
            """
        ).rowcount

    def _insert(self, name: str) -> int:
        columns = list(map(quoted, self.candidate.tables[name].columns))
        return self.conn.execute(
            f"""
            insert into marts.{quoted(name)} ({self._columns(columns, name)})
            select {self._values(columns, name)}
            from candidate.{quoted(name)} as new
            inner join pg_temp.{_difference(name)} as d on {self._same_key(name, "new")} and d.is_new
            """
        ).rowcount

    def _fill(self, name: str) -> int:
        columns = list(map(quoted, self.candidate.tables[name].columns))
        return self.conn.execute(
            f"insert into marts.{quoted(name)} ({self._columns(columns, name)})"
            f" select {self._values(columns, name)} from candidate.{quoted(name)} as new"
        ).rowcount

    def _empty(self, name: str) -> int:
        """Another key tells other rows apart: all are written anew."""
        self._supersede(name, "")
        return self.conn.execute(f"delete from marts.{quoted(name)}").rowcount

    def _supersede(self, name: str, which: str) -> None:
        """Keep rows that are about to be removed from what can be pinned."""
        if name != PINNED:
            return
        columns = [c for c in self.candidate.tables[name].columns if c in self._published_columns(name)]
        self.conn.execute(
            f"insert into marts.{SUPERSEDED} ({', '.join(map(quoted, columns))}, added_in_release, removed_in_release)"
            f" select {', '.join(f'old.{quoted(c)}' for c in columns)}, old.release_id, {self.release_id}"
            f" from marts.{PINNED} as old {which}"
        )

    def _published_columns(self, name: str) -> Iterable[str]:
        return read_schema(self.conn, "marts").tables[name].columns

    def _same_key(self, name: str, row: str) -> str:
        return " and ".join(f"{row}.{quoted(c)} = d.{quoted(c)}" for c in self.candidate.tables[name].key)

    def _columns(self, columns: list[str], name: str) -> str:
        return ", ".join([*columns, "release_id"] if name == PINNED else columns)

    def _values(self, columns: list[str], name: str) -> str:
        values = [f"new.{column}" for column in columns]
        return ", ".join([*values, str(self.release_id)] if name == PINNED else values)

    def _count(self, name: str, *, added: int = 0, removed: int = 0) -> None:
        before = self.changed[name]
        self.changed[name] = (before[0] + added, before[1] + removed)

    # --------------------------------------------------------------------------------------- views, functions, comments

    def _replace_views_and_functions(self) -> None:
        """Definitions that changed, each after what it stands on."""
        names = sorted({*self.candidate.relations, *(function.name for function in self.candidate.functions.values())})
        work: dict[int, Callable[[], None]] = {}
        for view in self.candidate.views.values():
            definition = _moved(view.definition or "", names)
            published = self.marts.views.get(view.name)
            if published is None or published.definition != definition:
                statement = f"create or replace view marts.{quoted(view.name)} as {definition}"
                work[view.oid] = partial(self._replace, f"view marts.{view.name}", statement)
        for signature, function in self.candidate.functions.items():
            definition = _moved(function.definition, names)
            known = self.marts.functions.get(signature)
            if known is None or known.definition != definition:
                work[function.oid] = partial(self._replace_function, f"{function.kind} marts.{signature}", definition)
        stands_on: dict[int, set[int]] = {oid: set() for oid in work}
        for oid, other in self.conn.execute(
            """
            select r.ev_class::bigint, d.refobjid::bigint from pg_rewrite as r
            inner join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
            union
            select d.objid::bigint, coalesce(nullif(t.typrelid, 0), d.refobjid)::bigint from pg_depend as d
            left join pg_type as t on d.refclassid = 'pg_type'::regclass and t.oid = d.refobjid
            where d.classid = 'pg_proc'::regclass
            """
        ):
            if oid in work and other in work and other != oid:
                stands_on[oid].add(other)
        for oid in TopologicalSorter(stands_on).static_order():
            work[oid]()
        if PINNED in self.candidate.tables:
            self._replace_function("function marts.indicator_at_release(bigint)", self._indicator_at_release())
            self._comment_on(
                "function marts.indicator_at_release(bigint)",
                "The rows of fct_indicator_vintage as a release published them: the same digits forever. "
                "| Die Zeilen von fct_indicator_vintage, wie eine Veröffentlichung sie zeigte: für immer dieselben Ziffern.",
            )

    def _replace(self, what: str, statement: str) -> None:
        try:
            with self.conn.transaction():
                self.conn.execute(statement)
        except (psycopg.errors.InvalidTableDefinition, psycopg.errors.InvalidFunctionDefinition) as error:
            raise WarehouseError(
                f"Nothing was published: the {what} has other columns than before ({_sentence(error)}). Published columns keep name "
                f"and type, new ones come at the end. To change it anyway, drop it with the views on it (`teilhabe sql --as transformer "
                f"'drop {what} cascade'`) and build again."
            ) from None

    def _replace_function(self, what: str, definition: str) -> None:
        signature = what.partition(" ")[2]
        [[known]] = self.conn.execute("select to_regprocedure(%s) is not null", [signature]).fetchall()
        self._replace(what, definition)
        if not known:
            self.conn.execute(f"revoke all on {what} from public")
            self.conn.execute(f"grant execute on {what} to teilhabe_analyst, teilhabe_steward")

    def _indicator_at_release(self) -> str:
        columns = list(self._published_columns(PINNED))
        kept = ["s.added_in_release" if name == "release_id" else f"s.{quoted(name)}" for name in columns]
        return f"""
            create or replace function marts.indicator_at_release(release_id bigint)
            returns setof marts.{PINNED} language sql stable parallel safe as $function$
                select {", ".join(f"f.{quoted(name)}" for name in columns)}
                from marts.{PINNED} as f
                where f.release_id <= $1
                union all
                select {", ".join(kept)}
                from marts.{SUPERSEDED} as s
                where s.added_in_release <= $1 and s.removed_in_release > $1
            $function$
            """

    def _comment(self) -> None:
        """Descriptions of tables, views, columns and functions, where they differ."""
        published = read_schema(self.conn, "marts")
        for name, relation in self.candidate.relations.items():
            self._describe(published.relations[name], relation)
        for signature, function in self.candidate.functions.items():
            if published.functions[signature].comment != function.comment:
                self._comment_on(f"{function.kind} marts.{signature}", function.comment)
        pinned = self.candidate.tables.get(PINNED)
        if pinned is None:
            return
        self._describe(published.tables[SUPERSEDED], pinned)
        self._comment_on(
            f"table marts.{SUPERSEDED}",
            f"One row per row a release removed from {PINNED}: what older releases showed. "
            f"| Eine Zeile je Zeile, die eine Veröffentlichung aus {PINNED} entfernt hat: was ältere Veröffentlichungen zeigten.",
        )
        for column, text in {
            f"{SUPERSEDED}.added_in_release": "First release with this row. | Erste Veröffentlichung mit dieser Zeile.",
            f"{SUPERSEDED}.removed_in_release": "First release without it. | Erste Veröffentlichung ohne sie.",
            f"{PINNED}.release_id": "Release that added the row. | Veröffentlichung, mit der die Zeile kam.",
        }.items():
            self._comment_on(f"column marts.{column}", text)

    def _describe(self, published: Relation, wanted: Relation) -> None:
        if published.comment != wanted.comment:
            self._comment_on(f"{published.kind} marts.{quoted(published.name)}", wanted.comment)
        for column in wanted.columns.values():
            if published.columns[column.name].comment != column.comment:
                self._comment_on(f"column marts.{quoted(published.name)}.{quoted(column.name)}", column.comment)

    def _comment_on(self, what: str, text: str | None) -> None:
        self.conn.execute(f"comment on {what} is {_literal(self.conn, text)}")

    # -------------------------------------------------------------------------------------------------------- the record

    def _leave(self) -> tuple[str, ...]:
        """What the last release had and no model makes any more stays, and says so: analysts' views may stand on it."""
        rows = self.conn.execute(
            "select relation_name from marts.release_table"
            " where release_id = (select max(release_id) from marts.release) order by relation_name"
        ).fetchall()
        left = tuple(n for (n,) in rows if n not in self.candidate.relations and n in self.marts.relations)
        for name in left:
            self._comment_on(
                f"{self.marts.relations[name].kind} marts.{quoted(name)}",
                f"Not kept up to date since release {self.release_id}. "
                f"| Seit Veröffentlichung {self.release_id} nicht mehr gepflegt.",
            )
        return left

    def _record(self, territorial_state: date | None) -> None:
        recorded = self.conn.execute(
            """
            insert into marts.release (release_id, published_at, build_id, code_version, territorial_state, deliveries_count,
                latest_known_from, inputs_digest, rows_added, rows_removed)
            overriding system value
            select %(release)s, clock_timestamp(), build.build_id, build.code_version,
                coalesce(%(state)s::date, current_date), inputs.deliveries, inputs.latest, inputs.digest, %(added)s, %(removed)s
            from ops.build as build
            cross join (
                select count(*) as deliveries, max(d.received_at) as latest,
                    encode(sha256(convert_to(coalesce(string_agg(
                        concat_ws(' ', d.dataset_id, extract(epoch from d.received_at), d.sha256), E'\n'
                        order by d.dataset_id, d.received_at, d.sha256
                    ), ''), 'UTF8')), 'hex') as digest
                from ops.delivery as d
                where d.state = 'loaded' and exists (
                    select from ops.build_delivery as taken inner join ops.build as b using (build_id)
                    where taken.delivery_id = d.delivery_id and (b.state = 'succeeded' or b.build_id = %(build)s)
                )
            ) as inputs
            where build.build_id = %(build)s
            """,
            {
                "release": self.release_id,
                "build": self.build_id,
                "state": territorial_state,
                "added": sum(added for added, _ in self.changed.values()),
                "removed": sum(removed for _, removed in self.changed.values()),
            },
        ).rowcount
        if not recorded:
            raise WarehouseError(f"Nothing was published: there is no build {self.build_id}.")
        with self.conn.cursor() as cursor:
            cursor.executemany(
                "insert into marts.release_table (release_id, relation_name, rows_added, rows_removed)"
                " values (%s, %s, %s, %s)",
                [(self.release_id, name, *self.changed.get(name, (0, 0))) for name in sorted(self.candidate.relations)],
            )


# ------------------------------------------------------------------------------------------------------------- helpers


def _moved(definition: str, names: Iterable[str]) -> str:
    """A definition that speaks of ``marts`` where it spoke of ``candidate``: before names of its objects only."""
    known = "|".join(map(re.escape, names))
    return re.sub(rf'(?<![\w"])("?)candidate\1(?=\.("?)(?:{known})\2(?![\w"]))', r"\1marts\1", definition)


def _approved(conn: Connection) -> int | None:
    if not _exists(conn, "intermediate.audited_candidate"):
        return None
    row = conn.execute("select build_id from intermediate.audited_candidate").fetchone()
    return int(row[0]) if row else None


def _exists(conn: Connection, name: str) -> bool:
    return bool(conn.execute("select to_regclass(%s) is not null", [name]).fetchall()[0][0])


def _difference(name: str) -> str:
    return quoted(f"difference_{name}")


def _literal(conn: Connection, text: str | None) -> str:
    return sql.Literal(text).as_string(conn)


def _said(notice: psycopg.errors.Diagnostic) -> tuple[str | None, str | None]:
    return notice.message_primary, notice.message_detail


def _sentence(error: psycopg.Error) -> str:
    """The server's own sentence; its details may quote rows."""
    text = error.diag.message_primary or next(iter(str(error).strip().splitlines()), type(error).__name__)
    return text.strip().rstrip(".")
