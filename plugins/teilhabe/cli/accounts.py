"""``teilhabe account``: accounts of offices, municipalities, the county, analysts and those who run the installation."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from teilhabe.airflow.rights import KINDS, Kind, roles_for
from teilhabe.contract import lookup
from teilhabe.errors import TeilhabeError
from teilhabe.settings import get_settings

app = typer.Typer(help="Accounts of the desk and of Airflow, and what they may do.", no_args_is_help=True)

_NAME = typer.Argument(help="Name of the account.")
_ASK = typer.Option("--ask-password", help="Have the password typed, or read one line of standard input.")


@app.command()
def add(
    name: Annotated[str, _NAME],
    kind: Annotated[Kind, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
    whose: Annotated[
        list[str] | None,
        typer.Option("--for", help="Agency, dataset or municipality (its key) of the account; can be repeated."),
    ] = None,
    full_name: Annotated[str | None, typer.Option("--name", help="Who it is, e.g. 'Sportbund Peine'.")] = None,
    mail: Annotated[str | None, typer.Option(help="Mail address; a county's own login may go by it.")] = None,
    ask_password: Annotated[bool, _ASK] = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Nobody signs in with a password: the county's own login lets it in.")
    ] = False,
) -> None:
    """Make an account with the few rights it needs; its first password is printed once, or typed.

    office: its own datasets, hands in and comments. municipality: the same, and sees itself only. county: sees all, lets
    incidents rest, decides. analyst: sees all. admin: runs the installation.
    """
    from teilhabe.airflow import accounts
    from teilhabe.cli.common import out

    if ask_password and no_password:
        raise typer.BadParameter("--ask-password and --no-password exclude each other.")
    settings = get_settings()
    roles = roles_for(kind, whose or (), lookup.contracts(settings).values())
    password = None if no_password else _typed() if ask_password else accounts.new_password()
    accounts.add(settings, name, roles, full_name=full_name or name, mail=mail, password=password)
    out.print(f"Account {escape(name)} ({', '.join(role.name for role in roles)}) is there.", highlight=False)
    if password and not ask_password:
        out.print(f"Password, shown this once: {password}", highlight=False)


@app.command("list")
def list_() -> None:
    """All accounts: who, with which roles, whether they may sign in."""
    from teilhabe.airflow import accounts
    from teilhabe.cli.common import out

    table = Table("account", "name", "mail", "roles", "state", "last login", box=None, pad_edge=False)
    for one in accounts.listed(get_settings()):
        cells = (one["name"], one["full_name"], one["mail"], ", ".join(one["roles"]))
        state = "active" if one["active"] else "disabled"
        table.add_row(*(escape(str(cell)) for cell in (*cells, state, one["last_login"] or "never")))
    out.print(table)


@app.command()
def disable(name: Annotated[str, _NAME]) -> None:
    """Let an account in no more, for as long as nobody enables it; what it did stays on record."""
    from teilhabe.airflow import accounts
    from teilhabe.cli.common import out

    accounts.set_active(get_settings(), name, active=False)
    out.print(
        f"Account {escape(name)} is disabled; who is signed in with it is out within half a minute.", highlight=False
    )


@app.command()
def enable(name: Annotated[str, _NAME]) -> None:
    """Let an account in again."""
    from teilhabe.airflow import accounts
    from teilhabe.cli.common import out

    accounts.set_active(get_settings(), name, active=True)
    out.print(f"Account {escape(name)} is enabled.", highlight=False)


@app.command()
def password(name: Annotated[str, _NAME], ask_password: Annotated[bool, _ASK] = False) -> None:
    """Give an account a new password, printed once or typed."""
    from teilhabe.airflow import accounts
    from teilhabe.cli.common import out

    new = _typed() if ask_password else accounts.new_password()
    accounts.set_password(get_settings(), name, new)
    out.print(f"The password of {escape(name)} is changed.", highlight=False)
    if not ask_password:
        out.print(f"Password, shown this once: {new}", highlight=False)


def _typed() -> str:
    from teilhabe.airflow import accounts

    if sys.stdin.isatty():
        return accounts.checked_password(str(typer.prompt("Password", hide_input=True, confirmation_prompt=True)))
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise TeilhabeError("No password on standard input.")
    return accounts.checked_password(line)
