"""The command for people who run dbt by themselves: ``dbt-environment``."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import typer

from teilhabe.settings import Settings, get_settings

if TYPE_CHECKING:
    from teilhabe.cli.terminal import Console


def environment(settings: Settings) -> dict[str, str]:
    """What dbt needs to know of this home: the transformer's connection, the territorial state, where the profile is."""
    from teilhabe.server import connecting

    state = {"TEILHABE_TERRITORIAL_STATE": settings.territorial_state.isoformat()} if settings.territorial_state else {}
    return {**connecting.dbt_environment(settings), **state, "DBT_PROFILES_DIR": str(settings.dbt_project)}


def add_to(app: typer.Typer, err: Console) -> None:
    """Add the command; ``err`` is where it says why it does nothing."""

    @app.command("dbt-environment")
    def dbt_environment() -> None:
        """Print what dbt needs to run by hand, for the shell: `eval "$(teilhabe dbt-environment)"`. Starts the warehouse."""
        from teilhabe.server import embedded

        if sys.stdout.isatty():
            err.print('It holds a password: eval "$(teilhabe dbt-environment)"', highlight=False)
            raise typer.Exit(2)
        settings = get_settings()
        embedded.ensure_running(settings)
        for name, value in environment(settings).items():
            print(f"export {name}={shlex.quote(value)}")
