"""``teilhabe messages``: looked at before and after they leave."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from teilhabe.cli.common import FAILED, connections, ensure_warehouse, err, moment, out, print_json, print_rows
from teilhabe.contract import lookup
from teilhabe.settings import get_settings
from teilhabe.system import harmless

messages_app = typer.Typer(help="Messages to the offices and the operators.", no_args_is_help=True)


@messages_app.command("preview")
def messages_preview(
    kind: Annotated[
        str, typer.Argument(help="verdict, repeat, receipt, reminder, overdue, escalation, closing or operators.")
    ],
    dataset: Annotated[str | None, typer.Argument(help="The dataset it is about; by default the first one.")] = None,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder for text, HTML and workbook.", file_okay=False)
    ] = None,
) -> None:
    """Show a message as an office would get it, with made-up matter: policy and texts of this home, nothing is sent."""
    from teilhabe.messages.examples import example
    from teilhabe.messages.policy import load_policy
    from teilhabe.messages.rendering import KINDS

    if kind not in KINDS:
        raise typer.BadParameter(f"must be one of {', '.join(KINDS)}", param_hint="KIND")
    settings = get_settings()
    contract = lookup.contract(settings, dataset or lookup.dataset_ids(settings)[0])
    made = example(load_policy(settings), contract, kind, datetime.now(UTC))
    if out_dir is None:
        harmless.write(f"Betreff: {made.text.subject}\n\n{made.text.text}")
        return
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / f"{kind}.txt").write_text(f"Betreff: {made.text.subject}\n\n{made.text.text}", encoding="utf-8")
    (out_dir / f"{kind}.html").write_text(made.text.html, encoding="utf-8")
    if made.workbook is not None:
        (out_dir / f"{kind}.xlsx").write_bytes(made.workbook)
    out.print(f"written: {out_dir}/{kind}.*")


@messages_app.command("list")
def messages_list(
    state: Annotated[
        str | None, typer.Option(help="waiting, sending, sent, uncertain, failed or undeliverable.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1)] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Messages, newest first: what they are about, to whom they go and what became of them."""
    from teilhabe.messages import outbox
    from teilhabe.raw import loading

    settings = get_settings()
    ensure_warehouse(settings)
    with loading.session(settings) as conn:
        rows = outbox.listed(conn, state, limit)
    if as_json:
        print_json(rows)
        return
    print_rows(list(rows[0]) if rows else ["message_id"], [[moment(value) for value in row.values()] for row in rows])


@messages_app.command("show")
def messages_show(message_id: Annotated[int, typer.Argument(help="Its number, from `messages list`.")]) -> None:
    """One message in full."""
    from teilhabe.messages import outbox
    from teilhabe.raw import loading

    settings = get_settings()
    ensure_warehouse(settings)
    with loading.session(settings) as conn:
        row = outbox.message(conn, message_id)
    text = row.pop("body_text")
    del row["body_html"]
    for name, value in row.items():
        out.print(escape(f"{name + ':':<15} {'-' if value is None else moment(value)}"), highlight=False)
    out.print(escape(f"\n{text}"), highlight=False)


@messages_app.command("send")
def messages_send(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go out now; change nothing.")] = False,
) -> None:
    """Send what is due, as the DAG `messages` does every five minutes."""
    from teilhabe.messages import outbox
    from teilhabe.messages.policy import load_policy
    from teilhabe.raw import loading

    settings = get_settings()
    now = datetime.now(UTC)
    ensure_warehouse(settings)
    if dry_run:
        with loading.session(settings) as conn:
            due = outbox.preview(conn, load_policy(settings), now)
            for row, later in due:
                when = f"from {moment(later)}" if later else "now"
                line = f"{row['message_id']} {row['kind']} by {row['channel']} to {row['recipient']}, {when}: {row['subject']}"
                out.print(escape(line), highlight=False)
        out.print(f"{sum(later is None for _, later in due)} would be sent now, {len(due)} are due.")
        return
    ask = connections(settings)
    sent = outbox.send_due(settings, load_policy(settings, ask), ask, now)
    for problem in sent.problems:
        err.print(f"[red]{escape(problem)}[/red]", highlight=False)
    out.print(f"{sent.sent} sent, {sent.failed} failed, {sent.waiting} waiting.")
    if sent.problems:
        raise typer.Exit(FAILED)


@messages_app.command("resend")
def messages_resend(
    message_id: Annotated[int, typer.Argument(help="A message that failed, is uncertain or had no address.")],
) -> None:
    """Put a message back into the outbox; it keeps its Message-ID, so a copy that did arrive is recognised."""
    from teilhabe.messages import outbox
    from teilhabe.raw import loading

    settings = get_settings()
    ensure_warehouse(settings)
    with loading.session(settings) as conn:
        outbox.resend(conn, message_id, datetime.now(UTC))
    out.print(f"Message {message_id} waits; the DAG `messages` or `teilhabe messages send` sends it.")
