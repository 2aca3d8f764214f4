"""How the product reaches its database: as which role, by which address, with which password."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from teilhabe.errors import UnreachableError, WarehouseError
from teilhabe.settings import Settings, get_settings

Role = Literal["owner", "loader", "transformer", "analyst", "steward", "airflow", "admin"]
DEFAULT_DATABASE = "teilhabe"
ADMIN = "teilhabe_admin"
"""Superuser of the embedded server. An external server keeps its own administrators."""


def record_path(settings: Settings) -> Path:
    return settings.run / "warehouse.json"


def password_path(role: str) -> str:
    return f"warehouse_{role}.password"


def url(settings: Settings | None = None, role: Role = "analyst") -> str:
    """The address, password included, for a role. ``owner`` is the administrator acting as teilhabe_owner."""
    return _as_url(role_parameters(settings or get_settings(), role))


def connect(role: Role = "analyst", settings: Settings | None = None, **options: Any) -> psycopg.Connection[Any]:
    """A new connection with the rights of a role. Further options go to psycopg (``autocommit=True``, ...)."""
    return open_connection(role_parameters(settings or get_settings(), role), **options)


def dbt_environment(settings: Settings | None = None) -> dict[str, str]:
    """What dbt's profile reads from its environment: the transformer's connection."""
    parameters = role_parameters(settings or get_settings(), "transformer")
    environment = {
        "TEILHABE_DBT_HOST": parameters["host"],
        "TEILHABE_DBT_PORT": parameters["port"],
        "TEILHABE_DBT_USER": parameters["user"],
        "TEILHABE_DBT_PASSWORD": parameters["password"],
        "TEILHABE_DBT_DBNAME": parameters["dbname"],
    }
    if "sslmode" in parameters:
        environment["TEILHABE_DBT_SSLMODE"] = parameters["sslmode"]
    return environment


def database_names(settings: Settings) -> tuple[str, str]:
    """Names of the warehouse and of Airflow's metadata database."""
    name = DEFAULT_DATABASE
    if settings.warehouse_url:
        name = parsed(settings.warehouse_url).get("dbname") or DEFAULT_DATABASE
    return name, f"{name}_airflow"


def administrator(settings: Settings, database: str) -> psycopg.Connection[Any]:
    """A connection for what only an administrator may: reading or replacing all of a database."""
    return admin_connection(settings, database=database)


def client_environment(settings: Settings, database: str) -> dict[str, str]:
    """How such a program finds a database as its administrator: nothing secret in its arguments."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "sslmode": "PGSSLMODE"}
    parameters = _admin_parameters(settings)
    given = {names[key]: value for key, value in parameters.items() if key in names}
    if authority := os.environ.get("PGSSLROOTCERT"):  # all others that connect read it themselves
        given["PGSSLROOTCERT"] = authority
    return {**given, "PGDATABASE": database, "LC_ALL": "C", "PGTZ": "UTC"}


def role_parameters(settings: Settings, role: str) -> dict[str, str]:
    if role not in get_args(Role):
        raise WarehouseError(f"There is no role {role!r}; there are {', '.join(get_args(Role))}.")
    parameters = _admin_parameters(settings)
    warehouse, metadata = database_names(settings)
    parameters["dbname"] = metadata if role == "airflow" else warehouse
    if role == "owner":
        parameters["options"] = (parameters.get("options", "") + " -c role=teilhabe_owner").strip()
    elif role != "admin":
        parameters["user"] = f"teilhabe_{role}"
        parameters["password"] = _stored_password(settings, role)
        parameters.pop("passfile", None)
    return parameters


def _stored_password(settings: Settings, role: str) -> str:
    try:
        return (settings.secrets / password_path(role)).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise WarehouseError(
            f"The warehouse of {settings.home} has not been set up yet: run `teilhabe init`."
        ) from None
    except PermissionError:
        raise WarehouseError(f"The passwords in {settings.secrets} belong to another account.") from None


def _admin_parameters(settings: Settings) -> dict[str, str]:
    if settings.warehouse_url:
        parameters = parsed(settings.warehouse_url)
        parameters.setdefault("host", "localhost")
        parameters.setdefault("port", "5432")
        return parameters
    try:
        port = int(json.loads(record_path(settings).read_text())["port"])
    except (OSError, ValueError, KeyError, TypeError):
        message = f"The warehouse of {settings.home} has not been set up yet: run `teilhabe init`."
        raise WarehouseError(message) from None
    return {
        "host": "127.0.0.1",
        "port": str(port),
        "user": ADMIN,
        "password": _stored_password(settings, "admin"),
    }


def parsed(address: str) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in conninfo_to_dict(address).items() if value is not None}
    except psycopg.ProgrammingError:
        raise WarehouseError("TEILHABE_WAREHOUSE_URL is not a PostgreSQL address.") from None


def admin_connection(
    settings: Settings, *, database: str | None = None, maintenance: bool = False
) -> psycopg.Connection[Any]:
    parameters = _admin_parameters(settings)
    candidates = ["postgres", "template1", database_names(settings)[0]] if maintenance else [str(database)]
    problem: WarehouseError | None = None
    for candidate in candidates:
        try:
            return open_connection({**parameters, "dbname": candidate}, autocommit=True)
        except WarehouseError as error:
            problem = problem or error
    assert problem is not None  # noqa: S101 - there is at least one candidate
    raise problem


_PASSING = ("starting up", "shutting down", "recovery mode", "too many", "connection slots")
"""What a server says that will take connections again; a wrong password or database it never will."""


def open_connection(parameters: Mapping[str, str], **options: Any) -> psycopg.Connection[Any]:
    given: dict[str, Any] = {"application_name": "teilhabe", "connect_timeout": 10, **parameters, **options}
    try:
        return psycopg.connect(**given)
    except psycopg.OperationalError as error:
        where = f"{parameters.get('host')}:{parameters.get('port')}"
        # libpq: 'connection to server at ... failed: Connection refused', or '... FATAL:  password authentication ...'
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no reason given"]
        fatal = [line for line in lines if "FATAL:" in line]
        reason = (fatal[-1].rpartition("FATAL:") if fatal else lines[0].rpartition("failed: "))[2].strip().rstrip(".")
        who = f"database {parameters.get('dbname')} on {where} as {parameters.get('user')}"
        passing = not fatal or any(words in reason for words in _PASSING)
        kind = UnreachableError if passing else WarehouseError
        raise kind(f"No connection to the {who}: {reason}.") from None


def _as_url(parameters: Mapping[str, str]) -> str:
    rest = dict(parameters)
    user, password = rest.pop("user", ""), rest.pop("password", "")
    host, port, database = rest.pop("host"), rest.pop("port"), rest.pop("dbname")
    login = quote(user, safe="") + (":" + quote(password, safe="") if password else "")
    if any(character in host for character in "/,:"):  # a socket, several hosts, IPv6: only the query can say it
        rest = {"host": host, "port": port, **rest}
        netloc = f"{login}@"
    else:
        netloc = f"{login}@{host}:{port}"
    query = "?" + urlencode(rest, quote_via=quote) if rest else ""
    return f"postgresql://{netloc}/{quote(database, safe='')}{query}"
