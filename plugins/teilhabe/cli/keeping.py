"""Commands about what is no longer kept: ``erase`` and ``retention``."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from teilhabe.settings import get_settings

if TYPE_CHECKING:
    from teilhabe.cli.terminal import Console


def add_to(app: typer.Typer, out: Console) -> None:
    """Add the commands; ``out`` is where they speak."""

    @app.command()
    def erase(
        delivery: Annotated[int, typer.Argument(help="Its number, as `teilhabe status --deliveries` shows it.")],
        reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")],
    ) -> None:
        """Erase a delivery: bytes, rows, evidence, names and what messages quote. A tombstone stays; backups are named.

        There is no way back. `teilhabe run` publishes what follows.
        """
        from teilhabe.keeping import erasing
        from teilhabe.raw import loading
        from teilhabe.server import embedded

        settings = get_settings()
        embedded.ensure_running(settings)
        with loading.session(settings) as conn:
            done = erasing.erase(
                settings, conn, delivery, reason=reason, actor=getpass.getuser(), now=datetime.now(UTC)
            )
        out.print(escape(erasing.told(done)), highlight=False)
        if done.is_new and done.was_counted:
            out.print("`teilhabe run` publishes what follows.", highlight=False)

    @app.command()
    def retention(
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is over its period.")] = False,
    ) -> None:
        """Remove what is over its period (retention.yml), as the DAG `housekeeping` does every day."""
        from teilhabe.keeping import housekeeping, retention
        from teilhabe.server import embedded

        settings = get_settings()
        embedded.ensure_running(settings)
        now = datetime.now(UTC)
        applied = [
            *retention.apply(settings, now, dry_run=dry_run),
            *housekeeping.apply(settings, now, dry_run=dry_run),
        ]
        table = Table("kind", "days", "over their period" if dry_run else "removed", "bytes")
        for one in applied:
            days = "for ever" if one.days is None else str(one.days)
            table.add_row(one.kind, days, f"{one.count:,}", "" if one.size is None else f"{one.size:,}")
        out.print(table)
