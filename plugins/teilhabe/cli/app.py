"""The command line. Commands say what they do and end with 0 only when it was done.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done, but deliveries were refused or held back.
"""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import psycopg
import typer
from rich.markup import escape
from rich.table import Table

from teilhabe.cli import accounts, by_hand, keeping
from teilhabe.cli.common import (
    FAILED,
    REFUSED,
    connections,
    dsn_without_password,
    ensure_warehouse,
    err,
    first_line,
    out,
    prepare,
    print_json,
    print_rows,
    progress_lines,
    stay,
)
from teilhabe.cli.contracts import contracts_app
from teilhabe.cli.messages import messages_app
from teilhabe.contract import lookup
from teilhabe.errors import TeilhabeError
from teilhabe.server import connecting
from teilhabe.settings import get_settings
from teilhabe.system import harmless

if TYPE_CHECKING:
    pass


app = typer.Typer(
    name="teilhabe",
    help="Integration monitoring for a county: deliveries in, indicators out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(contracts_app, name="contracts")
app.add_typer(messages_app, name="messages")
app.add_typer(accounts.app, name="account")


def main() -> None:
    """Entry point: an error a person can act on is one sentence, never a traceback."""
    try:
        app()
    except TeilhabeError as error:
        err.print(f"[red]{escape(str(error))}[/red]", highlight=False)
        sys.exit(FAILED)
    except psycopg.Error as error:
        err.print(f"[red]The database says: {escape(first_line(error))}[/red]", highlight=False)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        err.print("Stopped. What was under way is taken up again by the next run.")
        sys.exit(130)


def _print_versions(wanted: bool) -> None:
    if not wanted:
        return
    from teilhabe.cli import about

    for line in about.versions(get_settings()):
        out.print(line, highlight=False, markup=False)
    raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_versions,
            is_eager=True,
            help="Version, build, and schema of code and database.",
        ),
    ] = False,
) -> None:
    pass


# ------------------------------------------------------------------------------------------------------------ operating


@app.command()
def init() -> None:
    """Create or update the warehouse and Airflow's metadata. Can be repeated at any time."""
    settings = get_settings()
    with progress_lines("Preparing the warehouse") as tell:
        prepare(settings, tell)
    out.print(f"Ready. State lies under {settings.home}.")


@app.command()
def up(
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and stop everything at Ctrl-C.")] = False,
) -> None:
    """Start the warehouse and Airflow (scheduler, DAG processor, triggerer, API server)."""
    from teilhabe.airflow import services

    settings = get_settings()
    with progress_lines("Starting") as tell:
        prepare(settings, tell)
        info = services.up(settings, tell)
    out.print(f"Airflow     {info.ui_url}{info.login_hint}")
    out.print(f"Desk        {info.desk_url}")
    out.print(
        f"Warehouse   {dsn_without_password(settings)}  (password in {settings.secrets}/warehouse_analyst.password)"
    )
    if foreground:
        out.print("Running; Ctrl-C stops everything.")
        stay(settings)


@app.command()
def down() -> None:
    """Stop Airflow and the embedded warehouse; nothing keeps running."""
    from teilhabe.airflow import services
    from teilhabe.server import embedded

    settings = get_settings()
    with progress_lines("Stopping") as tell:
        tell("Stopping Airflow")
        services.down(settings)
        tell("Stopping the warehouse")
        embedded.stop(settings)
    out.print("Stopped.")


@app.command()
def backup(
    place: Annotated[
        Path, typer.Argument(help="Folder of the backup; what it has already is kept and not copied again.")
    ],
    verify: Annotated[bool, typer.Option("--verify", help="Make none: read the newest one again, all of it.")] = False,
) -> None:
    """Back up database, archive, secrets and the other files of the home, while everything runs.

    It holds personal data and all passwords: keep it as closed as the home.
    """
    from teilhabe.keeping import backup as backups

    settings = get_settings()
    with progress_lines("Reading the backup" if verify else "Backing up") as tell:
        if verify:
            made = backups.latest(place)
            backups.verify(place, made, tell)
        else:
            ensure_warehouse(settings, of_any_version=True)  # before an update is when one is wanted
            made = backups.backup(settings, place, tell)
    said = made.contents
    out.print(
        f"{'Complete and undamaged' if verify else 'Backed up'}: {made.folder} of {made.taken_at:%Y-%m-%d %H:%M} UTC, "
        f"{said['deliveries']:,} deliveries, {len(said['objects']):,} files, release {said['release'] or 'none'}."
    )


@app.command()
def restore(
    place: Annotated[Path, typer.Argument(help="Folder of the backup.")],
    into: Annotated[
        Path, typer.Option("--into", help="Home to make of the newest backup; must be empty or not exist.")
    ],
) -> None:
    """Make a home of a backup and compare it with it. Overwrites nothing."""
    from teilhabe.keeping import backup as backups

    settings = get_settings()
    with progress_lines("Restoring") as tell:
        made = backups.restore(settings, place, into, tell)
    out.print(
        f"Restored what was there on {made.taken_at:%Y-%m-%d %H:%M} UTC: every table is equal. "
        f"Go on with TEILHABE_HOME={into.absolute()} teilhabe up."
    )


@app.command()
def check(
    full: Annotated[
        bool, typer.Option("--full", help="Read every file of the archive again and compare all bytes.")
    ] = False,
) -> None:
    """Whether archive, manifest, deliveries, raw rows, marts and releases agree. Changes nothing; exit code 1 if they do not."""
    from teilhabe.keeping import checking

    settings = get_settings()
    ensure_warehouse(settings, of_any_version=True)
    with progress_lines("Checking") as tell:
        checked = list(checking.check(settings, full=full, tell=tell))
    table = Table("checked", "looked at", "problems", "note")
    for one in checked:
        table.add_row(one.subject, f"{one.looked_at:,}", f"{len(one.problems):,}", escape(one.note))
    out.print(table)
    for problem in (problem for one in checked for problem in one.problems):
        err.print(f"[red]{escape(problem)}[/red]", highlight=False)
    if any(one.problems for one in checked):
        raise typer.Exit(FAILED)


@app.command()
def deliver(
    dataset: Annotated[str, typer.Argument(help="Dataset id, e.g. state_statistics__population.")],
    files: Annotated[list[Path], typer.Argument(help="One file or more, as the office sent them.")],
    received_at: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
            help="When the office handed it in, if not now: its values count as known from then on.",
        ),
    ] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Address of the sender.")] = None,
    period: Annotated[str | None, typer.Option(help="Period of a file that does not say it, e.g. 2022.")] = None,
) -> None:
    """Hand files in as the office would. `teilhabe run` processes them."""
    from teilhabe import landing

    settings = get_settings()
    lookup.contract(settings, dataset)
    for path in landing.hand_in(settings, dataset, files, received_at, sender, period):
        out.print(f"handed in: {path.name} ({dataset})")


@app.command()
def withdraw(
    delivery: Annotated[int, typer.Argument(help="Its number, as `teilhabe status --deliveries` shows it.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")],
) -> None:
    """Take a loaded delivery back: the one before it counts again, the history keeps both. `teilhabe run` publishes it."""
    import getpass

    from teilhabe.decisions import withdrawing
    from teilhabe.raw import loading

    settings = get_settings()
    ensure_warehouse(settings)
    with loading.session(settings) as conn:
        done = withdrawing.withdraw(conn, delivery, reason=reason, actor=getpass.getuser(), now=datetime.now(UTC))
    out.print(escape(withdrawing.told(done)), highlight=False)
    if done.is_new:
        out.print("`teilhabe run` publishes what follows.", highlight=False)


@app.command()
def decide(
    delivery: Annotated[int, typer.Argument(help="Its number, as `teilhabe status --deliveries` shows it.")],
    answer: Annotated[str, typer.Argument(help="accept-without-rows or reject.", metavar="ANSWER")],
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")],
) -> None:
    """Decide about a delivery that was refused for faults of single rows: load the other rows, or leave it refused.

    The next `teilhabe run` loads it.
    """
    import getpass

    from teilhabe.decisions import deciding
    from teilhabe.raw import loading

    if answer not in deciding.ANSWERS:
        raise typer.BadParameter(f"must be {' or '.join(deciding.ANSWERS)}", param_hint="ANSWER")
    settings = get_settings()
    ensure_warehouse(settings)
    with loading.session(settings) as conn:
        made = deciding.decide(conn, delivery, answer, reason=reason, actor=getpass.getuser(), now=datetime.now(UTC))
    out.print(escape(deciding.told(made)), highlight=False)


@app.command()
def run(
    datasets: Annotated[list[str] | None, typer.Argument(help="Only these datasets; all by default.")] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Go on until nothing waits, runs or is left to build.")
    ] = False,
) -> None:
    """Process what is waiting through the real DAGs, then build the warehouse.

    Starts Airflow if it is not up, and stops it again then.
    """
    from teilhabe.airflow import running, services

    settings = get_settings()
    for name in datasets or []:
        lookup.contract(settings, name)
    with progress_lines("Running") as tell:
        prepare(settings, tell)
        was_up = services.running(settings)
        services.up(settings, tell)
        try:
            report = running.run(settings, datasets or [], until_idle=until_idle, tell=tell)
        finally:
            if not was_up:
                tell("Stopping Airflow")
                services.down(settings)
    for sentence in report.refused:
        out.print(f"[yellow]refused:[/yellow] {escape(sentence)}", highlight=False)
    for sentence in report.held:
        out.print(f"[yellow]held back:[/yellow] {escape(sentence)}", highlight=False)
    for sentence in report.left:
        out.print(f"[yellow]left:[/yellow] {escape(sentence)}", highlight=False)
    for sentence in report.failed:
        err.print(f"[red]failed:[/red] {escape(sentence)}", highlight=False)
    out.print(
        f"{report.loaded} loaded, {report.duplicates} duplicates, {len(report.refused)} refused, "
        f"{len(report.failed)} failures; warehouse {report.warehouse}."
    )
    if report.failed:
        raise typer.Exit(FAILED)
    if report.refused or report.held:
        raise typer.Exit(REFUSED)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    single: Annotated[bool, typer.Option("--deliveries", help="Single deliveries, newest first.")] = False,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset, with its deliveries.")] = None,
    limit: Annotated[int, typer.Option(help="How many deliveries.", min=1)] = 30,
) -> None:
    """How every dataset stands: last delivery, verdicts, what is due, what is open."""
    from teilhabe.codes import wording
    from teilhabe.status import reporting, view

    settings = get_settings()
    if dataset is not None:
        lookup.contract(settings, dataset)
    ensure_warehouse(settings)
    state = reporting.status(settings, datetime.now(UTC))
    if as_json:
        print_json(state)
        return
    if state["is_demo"]:
        out.print(f"[bold]{wording.DEMO}[/bold]", highlight=False)
    if single or dataset is not None:
        for part in view.deliveries(state, limit, dataset):
            out.print(part, highlight=False)
    if not single:
        for part in view.overview(state, dataset):
            out.print(part, highlight=False)


# ------------------------------------------------------------------------------------------------------------- querying


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SQL statement.")],
    role: Annotated[str, typer.Option("--as", help="analyst, steward, loader, transformer or owner.")] = "analyst",
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV instead of a table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Query the marts with the analyst's rights."""
    from typing import get_args

    from teilhabe.codes import wording
    from teilhabe.status import reporting

    if role not in get_args(connecting.Role):
        raise typer.BadParameter(f"must be one of {', '.join(get_args(connecting.Role))}", param_hint="--as")
    settings = get_settings()
    ensure_warehouse(settings)
    with connecting.connect(role, settings) as conn:  # type: ignore[arg-type]
        cursor = conn.execute(query.encode())
        if cursor.description is None:
            out.print(cursor.statusmessage or "done")
            return
        names, rows = [column.name for column in cursor.description], cursor.fetchall()
    if reporting.holds_demo(settings):
        err.print(wording.DEMO, highlight=False)
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows], indent=None)
    elif as_csv:
        table = io.StringIO()
        harmless.write_csv(table, [names, *rows])
        harmless.write(table.getvalue())
    else:
        print_rows(names, rows)


@app.command()
def explain(
    indicator: Annotated[str, typer.Argument(help="Indicator code, e.g. ARB-03.")],
    territory: Annotated[str, typer.Argument(help="Territory key, e.g. 03157006.")],
    period: Annotated[str, typer.Argument(help="Period code, e.g. 2024 or 2024-06.")],
    nationality: Annotated[
        str | None, typer.Option(help="Group; the total by default, each where there is no total.")
    ] = None,
    sex: Annotated[str, typer.Option(help="male, female or total.")] = "total",
    age_band: Annotated[str, typer.Option("--age", help="Age band, e.g. 15_24.")] = "total",
    category: Annotated[str, typer.Option(help="Breakdown, e.g. an offence key.")] = "total",
    definition: Annotated[int | None, typer.Option(help="Version of the definition; the usual one by default.")] = None,
    converted: Annotated[bool, typer.Option("--converted", help="On the territories of today.")] = False,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As known at the end of that day.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable, with every part of every sum.")] = False,
) -> None:
    """Where a number comes from: terms, files and rows, vintages, corrections, definition, caveats, sources."""
    from teilhabe.explaining import explanation, view

    settings = get_settings()
    ensure_warehouse(settings)
    question = explanation.Question(
        indicator.upper(),
        territory,
        period,
        nationality=nationality,
        sex=sex,
        age_band=age_band,
        category=category,
        definition=definition,
        converted=converted,
        as_of=as_of.date() if as_of else None,
    )
    found = explanation.explain(settings, question)
    if as_json:
        print_json(found)
        return
    for line in view.lines(found):
        out.print(escape(line), highlight=False)


# -------------------------------------------------------------------------------------------------------------- offices


@app.command()
def template(
    dataset: Annotated[str, typer.Argument(help="Dataset id, e.g. housing__accommodation.")],
    out_file: Annotated[Path, typer.Option("--out", help="The workbook to write (.xlsx).", dir_okay=False)],
    territory: Annotated[
        str | None, typer.Option(help="Key of the reporting municipality: filled in and fixed, e.g. 03157006.")
    ] = None,
    period: Annotated[
        str | None, typer.Option(help="Period code, e.g. 2024-03; by default the last one that is over.")
    ] = None,
) -> None:
    """Write the Excel form an office fills in (in German), drawn from the contract."""
    from teilhabe.contract import delivery_calendar
    from teilhabe.offices import templates

    settings = get_settings()
    known = lookup.contracts(settings)
    contract = lookup.contract(settings, dataset)
    today = delivery_calendar.today()
    templates.write_template(contract, out_file, today=today, territory=territory, period=period, known=known.values())
    out.print(f"written: {out_file} ({dataset}, contract {contract.version})")


@app.command("new-dataset")
def new_dataset(
    agency: Annotated[str, typer.Argument(help="Folder of the office, e.g. library.")],
    dataset: Annotated[str, typer.Argument(help="Name of the dataset, e.g. loans.")],
    from_file: Annotated[
        Path, typer.Option("--from", help="A file as the office delivers it; its numbers are not kept.", dir_okay=False)
    ],
    title: Annotated[str | None, typer.Option(help="German title, as it stands in messages to the office.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, write nothing.")] = False,
) -> None:
    """Propose contract, suite, staging model and fixture of a new dataset from one of its files.

    Recognises CSV of any delimiter and number format, workbooks, forms, GENESIS tables. Never overwrites anything, refuses
    files about single persons, and marks with TODO what a person has to decide.
    """
    from teilhabe.onboarding import scaffold

    settings = get_settings()
    made = scaffold.new_dataset(settings, agency, dataset, from_file, title=title, dry_run=dry_run)
    for line in made.decided:
        out.print(escape(f"decided: {line}"), highlight=False)
    for path in made.files:
        out.print(f"{'would write' if dry_run else 'written'}: {path.relative_to(settings.project)}", highlight=False)
    out.print(f"{from_file.name} reads with it: {made.rows} values, {len(made.findings)} findings.", highlight=False)
    for finding in made.findings:
        out.print(escape(f"  {finding.severity}: {finding.message}"), highlight=False)
    for line in made.open_points:
        out.print(escape(f"TODO: {line}"), highlight=False)
    if not dry_run:
        out.print(
            f"Next: settle the TODOs, then `teilhabe init` and `teilhabe deliver {agency}__{dataset} FILE`.",
            highlight=False,
        )


# ------------------------------------------------------------------------------------------------------------ contracts


# ------------------------------------------------------------------------------------------------------------- messages


@app.command()
def watch(
    once: Annotated[bool, typer.Option("--once", help="Look once and end: 1 when something has stopped.")] = False,
    url: Annotated[str | None, typer.Option(help="Address of the API server, where it is another machine's.")] = None,
    seconds: Annotated[int, typer.Option(help="How often to look.", min=10)] = 60,
) -> None:
    """Alert the operators when the scheduler or another part of Airflow does not report. For cron or systemd."""
    import time

    from teilhabe.airflow import services
    from teilhabe.messages import alerts

    settings = get_settings()
    ensure_warehouse(settings)
    while True:
        missing = services.stopped(settings, url)
        if missing:
            names = ", ".join(missing)
            err.print(f"[red]Airflow does not report: {names}.[/red]", highlight=False)
            text = (
                f"Kein Lebenszeichen von: {names}. Starten: teilhabe up; die Protokolle liegen unter {settings.logs}."
            )
            now = datetime.now(UTC)
            key = f"stopped:{names}"
            alerts.raise_alert(settings, connections(settings), f"Airflow steht: {names}", text, key, now)
        if once:
            if missing:
                raise typer.Exit(FAILED)
            out.print("All components report.")
            return
        time.sleep(seconds)


# -------------------------------------------------------------------------------------------------------------- helpers


# Last in `--help`.
keeping.add_to(app, out)
by_hand.add_to(app, err)
