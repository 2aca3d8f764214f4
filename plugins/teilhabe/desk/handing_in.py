"""The first page of an office: what is due from it, its forms, and where it hands in. And the forms themselves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter, Depends, HTTPException, Request, Response, status
from fastapi.responses import FileResponse, HTMLResponse
from starlette.background import BackgroundTask

from teilhabe.codes import wording
from teilhabe.contract.model import Contract
from teilhabe.desk import queries
from teilhabe.desk.accounts import Account
from teilhabe.desk.core import Desk
from teilhabe.errors import TeilhabeError
from teilhabe.landing.passing_bytes import passing_folder
from teilhabe.offices import templates

AHEAD = timedelta(days=92)
ROWS = 100
"""More is not due from one office, or it needs a talk and not a longer list."""


@dataclass(frozen=True)
class Owed:
    """One dataset for one sender: what the page offers of it."""

    contract: Contract
    sender: str | None
    has_form: bool
    rule: str


def page(desk: Desk, request: Request, who: Account) -> HTMLResponse:
    """The page "Abgeben"."""
    scope, today = desk.scope(who), desk.today()
    owed = desk.owed(who)
    with desk.session() as conn:
        due = queries.due(conn, scope, today, until=today + AHEAD, limit=ROWS)
        incidents = queries.open_incidents(conn, scope)
        is_demo = queries.holds_demo(conn)
    rows = [row for row in due if row["dataset_id"] in owed]
    return desk.page(
        request, who, "hand_in.html",
        rows=rows, owed=[one for contract in owed.values() for one in _owed(who, contract)],
        open_count=sum(incidents.values()), is_demo=is_demo, contracts=desk.contracts(),
    )  # fmt: skip


def _owed(who: Account, contract: Contract) -> list[Owed]:
    """Per municipality where an account is that of some; else the office has all of them in its file."""
    own: list[str | None] = [one.territory_code for one in contract.senders if one.territory_code in who.senders]
    has_form = templates.template_layout(contract) is not None
    return [Owed(contract, sender, has_form, wording.due_rule(contract)) for sender in own or [None]]


def routes(desk: Desk, account: Callable[..., Account]) -> APIRouter:
    """The forms."""
    router = APIRouter(default_response_class=HTMLResponse)
    asking = Depends(account)

    @router.get("/forms/{dataset_id}")
    def form(dataset_id: str, who: Account = asking, sender: str = "") -> Response:
        """The Excel form of a dataset, with the municipality filled in where one is named."""
        contract = desk.owed(who).get(dataset_id)
        known = {one.territory_code for one in contract.senders} if contract else set()
        if contract is None or (sender and sender not in (known & who.senders if who.senders else known)):
            raise HTTPException(status.HTTP_404_NOT_FOUND)
        with ExitStack() as until_sent:
            folder = until_sent.enter_context(passing_folder(desk.settings))
            name = "_".join(filter(None, ("Formular", dataset_id.partition("__")[2], sender))) + ".xlsx"
            try:
                path = templates.write_template(contract, folder / name, today=desk.today(), territory=sender or None)
            except TeilhabeError:
                raise HTTPException(status.HTTP_404_NOT_FOUND) from None
            sent = until_sent.pop_all()
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        return FileResponse(path, media_type=kind, filename=name, background=BackgroundTask(sent.close))

    return router
