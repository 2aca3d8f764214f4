"""Database, schemas, roles and what each may do: made and kept so by ``init``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from teilhabe.errors import WarehouseError
from teilhabe.server.connecting import admin_connection, database_names, open_connection, password_path, role_parameters
from teilhabe.server.embedded import ensure_running
from teilhabe.settings import Settings, get_settings, prepare_home, secret

LOGINS: tuple[str, ...] = ("loader", "transformer", "analyst", "steward", "airflow")
GROUPS: tuple[str, ...] = ("owner", "public")
SCHEMAS: dict[str, str] = {
    "ops": "loader",
    "raw": "loader",
    "staging": "transformer",
    "intermediate": "transformer",
    "candidate": "transformer",
    "marts": "transformer",
    "internal": "transformer",
}
"""Schema -> the role that owns it and the objects in it."""

READERS: dict[str, tuple[str, ...]] = {
    "ops": ("transformer", "steward"),
    "raw": ("transformer",),
    "marts": ("analyst", "steward"),
    "internal": ("steward",),
}
_PATIENCE = {
    # Nobody waits for a lock without end; whoever needs a table for itself tries again, see `teilhabe.system.locks`.
    "lock_timeout": "60s",
    # A transaction left open keeps others from changing what it has read.
    "idle_in_transaction_session_timeout": "15min",
}
_NO_ORPHANS = {**_PATIENCE, "client_connection_check_interval": "5s"}
"""What a killed process has asked for ends soon after it, instead of going on until there is something to answer."""

ROLE_SETTINGS: dict[str, dict[str, str]] = {
    "loader": _NO_ORPHANS,
    "transformer": _NO_ORPHANS,
    "steward": {**_PATIENCE, "idle_session_timeout": "12h"},
    "analyst": {
        **_PATIENCE,
        "idle_session_timeout": "12h",
        "statement_timeout": "60s",
        # All statements of a transaction see the same release.
        "default_transaction_isolation": "repeatable read",
        "default_transaction_read_only": "on",
        "search_path": "marts",
    },
}
"""What a session of a role begins with."""

_MOST_SESSIONS = {"analyst": 30, "steward": 10}
"""Connections of people, so that a BI tool that opens more and more leaves some to the loads."""

_PROVISION_LOCK = 0x7E11_4ABE


def provision(settings: Settings | None = None) -> None:
    """Make databases, roles, schemas and rights as they should be; repeated, it changes nothing that works.

    Needs a superuser, or a user with CREATEROLE and CREATEDB. Raises WarehouseError naming the right that is missing.
    """
    settings = settings or get_settings()
    prepare_home(settings)
    ensure_running(settings)
    warehouse, metadata = database_names(settings)
    try:
        with admin_connection(settings, maintenance=True) as connection:
            # Advisory locks count per database, hence one database that exists before ours do.
            connection.execute("SELECT pg_advisory_lock(%s)", [_PROVISION_LOCK])
            admin = _Admin.of(connection)
            _make_roles(settings, connection, admin)
            for database, owner in ((warehouse, "teilhabe_owner"), (metadata, "teilhabe_airflow")):
                _make_database(connection, admin, database, owner)
            with admin_connection(settings, database=warehouse) as inside:
                _make_schemas(inside, admin)
                _close_functions(inside, admin, ("owner", "loader", "transformer"))
            with admin_connection(settings, database=metadata) as inside, inside.transaction():
                inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
                inside.execute("GRANT ALL ON SCHEMA public TO teilhabe_airflow")
                _close_functions(inside, admin, ("airflow",))
            if not settings.warehouse_url:
                # On a server of its own nobody has anything to do in the databases every server comes with.
                connection.execute("REVOKE ALL ON DATABASE postgres FROM PUBLIC")
                connection.execute("REVOKE ALL ON DATABASE template1 FROM PUBLIC")
            _check_passwords(settings, connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise WarehouseError(
            f"The database user lacks a right: {_first_line(error)}; "
            "teilhabe needs a superuser, or a user with CREATEROLE and CREATEDB that owns the warehouse database."
        ) from None
    except psycopg.Error as error:
        raise WarehouseError(f"The warehouse could not be provisioned: {_first_line(error)}.") from None


@dataclass(frozen=True)
class _Admin:
    name: str
    superuser: bool
    createrole: bool
    createdb: bool

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> _Admin:
        row = connection.execute(
            "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        if row is None:
            raise WarehouseError("The server does not say who we are.")
        return cls(*row)


def _make_roles(settings: Settings, connection: psycopg.Connection[Any], admin: _Admin) -> None:
    names = [f"teilhabe_{name}" for name in (*GROUPS, *LOGINS)]
    existing = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [names])}
    if len(existing) < len(names) and not (admin.superuser or admin.createrole):
        missing = ", ".join(sorted(set(names) - existing))
        raise WarehouseError(f"The database user {admin.name} needs the right CREATEROLE to create {missing}.")
    for role in (*GROUPS, *LOGINS):
        name = sql.Identifier(f"teilhabe_{role}")
        if f"teilhabe_{role}" in existing:
            continue
        if role in GROUPS:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
            continue
        verifier = _verifier(settings, connection, role)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(verifier)))
    for role, most in _MOST_SESSIONS.items():
        account = f"teilhabe_{role}"
        row = connection.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", [account]).fetchone()
        if row == (-1,):  # else an administrator has chosen
            connection.execute(f"ALTER ROLE {account} CONNECTION LIMIT {most}")
    if not admin.superuser:
        _become_member(connection, admin, names)
    for member in ("loader", "transformer"):
        if not _is_member(connection, "teilhabe_owner", f"teilhabe_{member}"):
            connection.execute(f"GRANT teilhabe_{member} TO teilhabe_owner")
    for role, values in ROLE_SETTINGS.items():
        account = f"teilhabe_{role}"
        row = connection.execute("SELECT rolconfig FROM pg_roles WHERE rolname = %s", [account]).fetchone()
        configured = {entry.partition("=")[0] for entry in (row[0] if row and row[0] else [])}
        for key, value in values.items():
            if key not in configured:  # an administrator may have chosen another value
                statement = sql.SQL("ALTER ROLE {} SET {} = {}")
                # On some systems a server cannot see whether a client is there.
                with contextlib.suppress(psycopg.errors.InvalidParameterValue):
                    connection.execute(
                        statement.format(sql.Identifier(account), sql.Identifier(key), sql.Literal(value))
                    )


def _become_member(connection: psycopg.Connection[Any], admin: _Admin, names: Sequence[str]) -> None:
    """An administrator without superuser rights acts for our roles, so has to be a member of each.

    Since 16 a creator only gets ADMIN OPTION by itself; using the rights and SET ROLE have to be granted.
    """
    modern = connection.info.server_version >= 160000
    question = "SELECT pg_has_role(%s, %s, 'USAGE') AND pg_has_role(%s, %s, %s)"
    for name in names:
        row = connection.execute(
            question, [admin.name, name, admin.name, name, "SET" if modern else "MEMBER"]
        ).fetchone()
        if row and row[0]:
            continue
        grant = sql.SQL("GRANT {} TO {}" + (" WITH INHERIT TRUE, SET TRUE" if modern else ""))
        try:
            connection.execute(grant.format(sql.Identifier(name), sql.Identifier(admin.name)))
        except psycopg.errors.InsufficientPrivilege:
            raise WarehouseError(
                f"The database user {admin.name} needs ADMIN OPTION on the existing role {name} (GRANT {name} TO "
                f"{admin.name} WITH ADMIN OPTION)."
            ) from None


def _is_member(connection: psycopg.Connection[Any], member: str, role: str) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM pg_auth_members WHERE roleid = %s::regrole AND member = %s::regrole", [role, member]
    ).fetchone()
    return bool(row and row[0])


def _close_functions(connection: psycopg.Connection[Any], admin: _Admin, roles: Sequence[str]) -> None:
    """Take from PUBLIC what blocks or fills: advisory locks, with which a session that only reads stops every load, and
    large objects. They belong to the superuser who made the server, so another administrator has to leave them."""
    if not admin.superuser:
        return
    names = connection.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        " AND (proname LIKE 'pg\\_%advisory%' OR proname LIKE 'lo\\_%' OR proname IN ('loread', 'lowrite'))"
    ).fetchall()
    functions = ", ".join(name for (name,) in names)
    locks = ", ".join(name for (name,) in names if "advisory" in name)
    connection.execute(f"REVOKE EXECUTE ON FUNCTION {functions} FROM PUBLIC")
    connection.execute(f"GRANT EXECUTE ON FUNCTION {locks} TO {', '.join(f'teilhabe_{role}' for role in roles)}")


def _make_database(connection: psycopg.Connection[Any], admin: _Admin, database: str, owner: str) -> None:
    name = sql.Identifier(database)
    row = connection.execute(
        "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), pg_has_role(datdba, 'USAGE') "
        "FROM pg_database WHERE datname = %s",
        [database],
    ).fetchone()
    if row is None:
        if not (admin.superuser or admin.createdb):
            raise WarehouseError(f"The database user {admin.name} needs the right CREATEDB to create {database}.")
        _create_database(connection, name, owner)
    else:
        present_owner, encoding, ours = row
        if encoding != "UTF8":
            raise WarehouseError(f"The database {database} is encoded in {encoding}; teilhabe needs UTF8.")
        if not ours:
            raise WarehouseError(
                f"The database user {admin.name} needs to own the database {database} of {present_owner}."
            )
        if present_owner != owner:
            connection.execute(sql.SQL("GRANT ALL ON DATABASE {} TO {}").format(name, sql.Identifier(owner)))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    if owner == "teilhabe_owner":
        everyone = sql.SQL(", ").join(sql.Identifier(f"teilhabe_{role}") for role in LOGINS if role != "airflow")
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, everyone))
        connection.execute(
            sql.SQL("GRANT TEMPORARY ON DATABASE {} TO teilhabe_loader, teilhabe_transformer").format(name)
        )


def _create_database(connection: psycopg.Connection[Any], name: sql.Identifier, owner: str) -> None:
    base = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' ").format(
        name, sql.Identifier(owner)
    )
    if connection.info.server_version >= 170000:
        locales = ["LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"]
    else:
        locales = [f"LC_COLLATE 'C' LC_CTYPE '{ctype}'" for ctype in ("C.UTF-8", "C.utf8", "C")]
    for locale in locales:
        try:
            connection.execute(base + sql.SQL(locale))
        except psycopg.errors.WrongObjectType:  # "invalid locale name" on a system without it
            if locale == locales[-1]:
                raise
            continue
        break
    connection.execute(sql.SQL("ALTER DATABASE {} SET timezone TO 'UTC'").format(name))


def _make_schemas(connection: psycopg.Connection[Any], admin: _Admin) -> None:
    """Schemas, and rights on what will be created in them; all or nothing."""
    with connection.transaction():
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        # Extensions live in public: their operators are for those who build.
        connection.execute("GRANT USAGE ON SCHEMA public TO teilhabe_owner, teilhabe_loader, teilhabe_transformer")
        for schema, owner in SCHEMAS.items():
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION teilhabe_{owner}")
            connection.execute(f"GRANT ALL ON SCHEMA {schema} TO teilhabe_owner")
            for reader in READERS.get(schema, ()):
                connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO teilhabe_{reader}")
            _default_privileges(connection, schema, owner)
        for creator in ("owner", "loader", "transformer"):
            # Functions are executable by everybody unless this is taken back for all schemas at once.
            connection.execute(
                f"ALTER DEFAULT PRIVILEGES FOR ROLE teilhabe_{creator} REVOKE EXECUTE ON ROUTINES FROM PUBLIC"
            )


def _default_privileges(connection: psycopg.Connection[Any], schema: str, owner: str) -> None:
    for creator in {"owner", owner}:
        start = f"ALTER DEFAULT PRIVILEGES FOR ROLE teilhabe_{creator} IN SCHEMA {schema} GRANT"
        for reader in READERS.get(schema, ()):
            connection.execute(f"{start} SELECT ON TABLES TO teilhabe_{reader}")
            if schema == "marts":
                connection.execute(f"{start} EXECUTE ON ROUTINES TO teilhabe_{reader}")
        if creator == "owner":
            # What the owner creates by hand must not stop the role whose schema it is.
            connection.execute(f"{start} ALL ON TABLES TO teilhabe_{owner}")
            connection.execute(f"{start} ALL ON SEQUENCES TO teilhabe_{owner}")
            connection.execute(f"{start} EXECUTE ON ROUTINES TO teilhabe_{owner}")
        if schema == "ops":
            connection.execute(f"{start} USAGE ON SEQUENCES TO teilhabe_{owner}")


def _check_passwords(settings: Settings, connection: psycopg.Connection[Any]) -> None:
    """Every login works with the password on file; where it does not (the file was lost), a new one is set."""
    for role in LOGINS:
        try:
            open_connection(role_parameters(settings, role)).close()
        except WarehouseError:
            verifier = _verifier(settings, connection, role)
            statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(f"teilhabe_{role}"), sql.Literal(verifier)))
            open_connection(role_parameters(settings, role)).close()


def _verifier(settings: Settings, connection: psycopg.Connection[Any], role: str) -> str:
    """What the server stores instead of the password, computed here: no log of a server ever sees the password."""
    password = secret(settings, password_path(role))
    return connection.pgconn.encrypt_password(password.encode(), f"teilhabe_{role}".encode(), b"scram-sha-256").decode()


def _first_line(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error).strip().splitlines()[0] if str(error).strip() else "").rstrip(".")
