"""From a contract's server entry to the source it describes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from teilhabe.contract.senders import PLACE
from teilhabe.errors import ContractError, TeilhabeError
from teilhabe.landing.base import Credentials, Source
from teilhabe.landing.inbox import FolderSource, dataset_inbox
from teilhabe.landing.mail import MailSource
from teilhabe.landing.message_notes import MessageNotes
from teilhabe.landing.s3 import S3Source
from teilhabe.landing.sftp import SftpSource
from teilhabe.landing.web import WebSource
from teilhabe.settings import Settings

_SFTP_PORT = 22
_IMAPS_PORT = 993
_GLOB_SIGNS = "*?["


def environment_credentials(name: str) -> Credentials:
    """The connection ``name`` from AIRFLOW_CONN_<NAME>, written as a URI or as JSON, as Airflow reads it."""
    variable = f"AIRFLOW_CONN_{name.upper()}"
    text = os.environ.get(variable, "").strip()
    if not text:
        raise ContractError(f"There is no connection {name!r}: {variable} is not set.")
    try:
        return _from_json(text) if text.startswith("{") else _from_uri(text)
    except (ValueError, TypeError, AttributeError):
        # The text holds a password, so neither it nor the parser's complaint about it may travel on.
        raise ContractError(f"{variable} is neither a connection URI nor JSON.") from None


def open_source(
    server: Any,
    settings: Settings,
    credentials: Callable[[str], Credentials] = environment_credentials,
    dataset_id: str | None = None,
    addresses: Collection[str] = (),
) -> Source:
    """The source behind one server entry of a contract; connects to nothing yet.

    ``local`` is the dataset's own inbox (path absent, or ``inbox/<agency>/<dataset>``) or, with an absolute path,
    somebody else's folder, which is only read. ``addresses`` may send by mail where the entry has no pattern of its own for
    them. ``custom`` is told by the scheme of its location.
    """
    name = str(server.server)
    connection = _said(server, "connection")
    login = credentials(connection) if connection else Credentials()
    location = _said(server, "location") or ""
    pattern = _said(server, "pattern")
    kind = _kind(server, location)
    if kind == "api":
        return WebSource(_web_addresses(location, name), name, login)
    if kind == "imap":
        return _mail(server, settings, name, pattern, login, addresses)
    if kind == "sftp":
        return _sftp(server, name, pattern, login)
    if kind == "s3":
        path, glob = _split_glob(location.removeprefix("s3://").strip("/"))
        if not path:
            raise ContractError(f"Server {name}: an s3 server needs a location s3://bucket/prefix.")
        return S3Source(path, name, pattern or glob, login, _said(server, "endpoint_url", "endpointUrl"))
    return _folder(_said(server, "path") or unquote(urlsplit(location).path), settings, name, pattern, dataset_id)


def _kind(server: Any, location: str) -> str:
    kinds = {"local": "local", "api": "api", "sftp": "sftp", "s3": "s3"}
    schemes = {"http": "api", "https": "api", "sftp": "sftp", "s3": "s3", "file": "local", "imaps": "imap"}
    kind = kinds.get(server.type)
    if server.type == "custom":
        said = _said(server, "kind")
        kind = schemes.get(urlsplit(location).scheme) if said is None else "imap" if said == "imap" else None
    if kind is None:
        raise ContractError(
            f"Server {server.server}: files cannot be fetched from type {server.type!r} "
            "(known: local, api, sftp, s3, custom with a location or kind imap)."
        )
    return kind


def _web_addresses(location: str, name: str) -> tuple[str, ...]:
    addresses = tuple(location.split())
    if not addresses or any(urlsplit(one).scheme not in {"http", "https"} for one in addresses):
        raise ContractError(f"Server {name}: location must hold one or more http or https addresses.")
    if any(urlsplit(one).username is not None for one in addresses):
        raise ContractError(f"Server {name}: a login belongs into the connection, not into the address.")
    return addresses


def _sftp(server: Any, name: str, pattern: str | None, login: Credentials) -> SftpSource:
    address = urlsplit(_said(server, "location") or "")
    host, port = _host_and_port(server, address, name, login, _SFTP_PORT)
    path, glob = _split_glob(unquote(address.path) or _said(server, "path") or ".")
    return SftpSource(host, port, path, name, pattern or glob, login)


def _mail(
    server: Any, settings: Settings, name: str, pattern: str | None, login: Credentials, addresses: Collection[str]
) -> MailSource:
    address = urlsplit(_said(server, "location") or "")
    host, port = _host_and_port(server, address, name, login, _IMAPS_PORT)
    folder = unquote(address.path).strip("/") or _said(server, "path") or "INBOX"
    senders = _said(server, "sender_pattern")
    # With a place for the key the pattern tells the municipality from a name; without, it is about addresses.
    return MailSource(
        host,
        port,
        name,
        folder,
        pattern,
        None if senders and PLACE in senders else senders,
        frozenset(addresses),
        _said(server, "authentication_server"),
        login,
        notes=MessageNotes(settings.work / "mail"),
    )


def _host_and_port(
    server: Any, address: SplitResult, name: str, login: Credentials, usual_port: int
) -> tuple[str, int]:
    host = address.hostname or _said(server, "host") or login.host
    if not host:
        raise ContractError(f"Server {name}: neither the contract nor its connection names the host.")
    try:
        return host, int(address.port or _said(server, "port") or login.port or usual_port)
    except ValueError as error:
        raise ContractError(f"Server {name}: the port is not a number.") from error


def _folder(path: str, settings: Settings, name: str, pattern: str | None, dataset_id: str | None) -> FolderSource:
    if Path(path).is_absolute():
        folder, glob = _split_glob(path)
        root = Path(os.path.normpath(folder))
        inside = root.is_relative_to(settings.inbox)
        return FolderSource(root, name, pattern or glob, keeps_files=not inside)
    # `hand_in` knows only the dataset, so a relative path may say the same in other words but never lead elsewhere.
    said = "__".join(path.removeprefix("inbox/").strip("/").split("/"))
    if said and dataset_id and said != dataset_id:
        raise ContractError(f"Server {name}: the path {path!r} is not the inbox of {dataset_id}.")
    try:
        return FolderSource(dataset_inbox(settings, dataset_id or said), name, pattern)
    except TeilhabeError as error:
        raise ContractError(f"Server {name}: the path {path!r} names no dataset's inbox.") from error


def _split_glob(path: str) -> tuple[str, str | None]:
    """``a/b/*.csv`` is folder ``a/b`` with pattern ``*.csv``."""
    parts = path.split("/")
    for at, part in enumerate(parts):
        if any(sign in part for sign in _GLOB_SIGNS):
            return "/".join(parts[:at]) or ("/" if path.startswith("/") else "."), "/".join(parts[at:])
    return path, None


def _said(server: Any, *names: str) -> str | None:
    """What the entry says under one of ``names``, as a field of its own or as a custom property."""
    custom = getattr(server, "custom_properties", None) or getattr(server, "customProperties", None) or {}
    if not isinstance(custom, Mapping):
        custom = {
            (one["property"] if isinstance(one, Mapping) else one.property): (
                one["value"] if isinstance(one, Mapping) else one.value
            )
            for one in custom
        }
    for name in names:
        value = getattr(server, name, None)
        value = custom.get(name) if value is None else value
        if value is not None and value != "":
            return str(value)
    return None


def _from_json(text: str) -> Credentials:
    said = json.loads(text)
    extra = said.get("extra") or {}
    extra = json.loads(extra) if isinstance(extra, str) else extra
    port = said.get("port")
    return Credentials(
        said.get("login"), said.get("password"), said.get("host"), int(port) if port else None, dict(extra)
    )


def _from_uri(text: str) -> Credentials:
    address = urlsplit(text)
    if not address.scheme:
        raise ValueError
    query = dict(parse_qsl(address.query, keep_blank_values=True))
    extra = json.loads(query["__extra__"]) if "__extra__" in query else query
    return Credentials(
        unquote(address.username) if address.username is not None else None,
        unquote(address.password) if address.password is not None else None,
        unquote(address.hostname) if address.hostname else None,
        address.port,
        dict(extra),
    )
