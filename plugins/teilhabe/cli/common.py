"""What all commands share: where they print, how they end, what has to run first."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from teilhabe.cli.terminal import Console
from teilhabe.errors import TeilhabeError
from teilhabe.pipeline import installing
from teilhabe.server import connecting, provisioning
from teilhabe.settings import Settings
from teilhabe.system import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from teilhabe.landing import Credentials

FAILED, REFUSED = 1, 3
_PIPED_WIDTH = 240
"""Without a terminal nobody can widen the window, so tables get room for whole sentences."""

out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
err = Console(stderr=True, soft_wrap=True)


def connections(settings: Settings) -> Callable[[str], Credentials]:
    """Airflow's connections, each asked for once."""
    from functools import cache, partial

    from teilhabe.airflow import services

    return cache(partial(services.connection, settings))


def prepare(settings: Settings, tell: Callable[[str], None]) -> None:
    """Server, databases, roles and tables, as far as they are missing."""
    from teilhabe.server import embedded

    tell("Starting the database")
    embedded.ensure_running(settings)
    tell("Creating databases, roles and schemas")
    provisioning.provision(settings)
    tell("Creating the tables of the contracts")
    installing.install(settings)


def ensure_warehouse(settings: Settings, *, of_any_version: bool = False) -> None:
    """Queries need a server, one that was set up, and tables that look as this code expects."""
    from teilhabe.ops import schema
    from teilhabe.raw import loading
    from teilhabe.server import embedded

    if not settings.warehouse_url and not settings.home.exists():
        raise TeilhabeError(f"There is no warehouse under {settings.home} yet; `teilhabe init` creates it.")
    embedded.ensure_running(settings)
    if not of_any_version:
        with loading.session(settings) as conn:
            schema.require_current(conn)


@contextmanager
def progress_lines(title: str) -> Iterator[Callable[[str], None]]:
    """A bar with what is going on above it on a terminal, plain lines otherwise."""
    if not out.is_terminal:
        yield lambda text: out.print(escape(text), highlight=False)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task(title, total=None)

        def tell(text: str) -> None:
            progress.console.print(escape(text), highlight=False)
            progress.update(bar, description=f"{title}: {escape(text)[:60]}")

        yield tell


def stay(settings: Settings) -> None:
    import signal
    import time

    from teilhabe.airflow import services
    from teilhabe.server import embedded

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        while services.running(settings):
            time.sleep(2)
        raise TeilhabeError(f"Airflow ended by itself; its logs lie under {settings.logs}.")
    except KeyboardInterrupt:
        out.print("Stopping.")
    finally:
        services.down(settings)
        embedded.stop(settings)


def print_json(value: Any, indent: int | None = 2) -> None:
    sys.stdout.write(harmless.json_shown(json.dumps(value, ensure_ascii=False, indent=indent, default=_json)) + "\n")


def print_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = Table(*names)
    for row in rows:
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    out.print(table)
    out.print(f"{len(rows)} rows")


def dsn_without_password(settings: Settings) -> str:
    """The analyst's address, for people to copy."""
    from urllib.parse import urlsplit

    parts = urlsplit(connecting.url(settings, "analyst"))
    return f"postgresql://{parts.username}@{parts.hostname}:{parts.port}{parts.path}"


def moment(value: Any) -> Any:
    """A moment where the offices are, to the minute; anything else stays as it is."""
    from teilhabe.codes.office_time import stamp

    return stamp(value) if isinstance(value, datetime) else value


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
