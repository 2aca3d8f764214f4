"""``teilhabe contracts``, forms and new datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from teilhabe.cli.common import FAILED, err, out
from teilhabe.contract import lookup
from teilhabe.errors import TeilhabeError
from teilhabe.settings import get_settings

contracts_app = typer.Typer(help="The data contracts.", no_args_is_help=True)


@contracts_app.command("check")
def contracts_check() -> None:
    """Check every contract and its suite; names file and key of what is wrong."""
    from teilhabe.building import observation_union
    from teilhabe.contract.parsing import load_contract
    from teilhabe.validation.suite import load_suite

    settings = get_settings()
    paths = sorted(settings.agencies.glob("*/*.odcs.yaml"))
    problems = 0
    for path in paths:
        try:
            load_suite(settings.expectations, load_contract(path))
        except TeilhabeError as error:
            problems += 1
            err.print(f"[red]{escape(str(error))}[/red]", highlight=False)
    union = observation_union.path(settings.dbt_project)
    if not observation_union.is_current(settings.dbt_project):
        problems += 1
        err.print(f"[red]{escape(str(union))}: it lists other staging models than there are.[/red]", highlight=False)
        err.print("Run `teilhabe contracts union`.", highlight=False)
    out.print(f"{len(paths)} contracts checked, {problems} with errors.")
    if problems or not paths:
        raise typer.Exit(FAILED)


@contracts_app.command("union")
def contracts_union() -> None:
    """List the staging models of observations for dbt anew, after one was added or removed by hand."""
    from teilhabe.building import observation_union

    project = get_settings().dbt_project
    models = observation_union.write(project)
    out.print(f"{observation_union.path(project)}: {len(models)} models.", highlight=False)


@contracts_app.command("page")
def contracts_page(
    dataset: Annotated[str | None, typer.Argument(help="Only this dataset; all and an index by default.")] = None,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to; by default site/contracts.", file_okay=False)
    ] = None,
) -> None:
    """Write the contracts as pages for the offices (HTML, in German): what is delivered, when, how, and what is checked."""
    from teilhabe.contract import delivery_calendar
    from teilhabe.offices import pages

    settings = get_settings()
    chosen = None if dataset is None else lookup.contract(settings, dataset)
    folder = out_dir or settings.project / "site" / "contracts"
    written = pages.write_pages(settings, folder, today=delivery_calendar.today(), only=chosen)
    out.print(f"written: {written[0]}" + (f" and {len(written) - 1} more pages" if len(written) > 1 else ""))


@contracts_app.command("list")
def contracts_list() -> None:
    """All datasets: who delivers them, how often, in which layouts."""

    table = Table("dataset", "title", "office", "frequency", "layouts")
    for contract in lookup.contracts(get_settings()).values():
        layouts = ", ".join(layout.name for layout in contract.layouts)
        table.add_row(contract.dataset_id, contract.title_de, contract.office, contract.calendar.frequency, layouts)
    out.print(table)
