"""The pages and their routes. Everything is rendered here; a browser without JavaScript can do all but drag and drop."""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, HTTPException, Request, Response, status
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException as StarletteHTTPException

from teilhabe import delivery_calendar, loading, ops, wording
from teilhabe.contracts import SUFFIX, Contract, load_contracts
from teilhabe.desk import matrix, protection, queries, words
from teilhabe.desk.accounts import Account, Scope
from teilhabe.settings import Settings, secret

Clock = Callable[[], datetime]
StartCheck = Callable[[Account, str], Awaitable[bool]]
"""Starts the check of a dataset's inbox for an account; False where that is not possible at once."""

_STATIC = ("desk.css", "desk.js", "icon.svg")


class Desk:
    """What every route needs: settings, contracts, clock, and pages that know who is looking."""

    def __init__(
        self, settings: Settings, start_check: StartCheck | None, origins: Iterable[str], clock: Clock
    ) -> None:
        self.settings = settings
        self.start_check = start_check
        self.origins = frozenset(origins)
        self.clock = clock
        self._contracts: tuple[Any, dict[str, Contract]] = (None, {})
        self._pages = Environment(
            loader=PackageLoader("teilhabe.desk"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.globals |= {"words": words, "wording": wording}
        self._pages.filters |= {
            "day": words.day,
            "moment": words.moment,
            "iso": words.iso,
            "period": wording.spell_period,
            "periods": words.periods,
            "number": words.number,
            "size": words.size,
        }

    def now(self) -> datetime:
        return self.clock()

    def today(self) -> date:
        return delivery_calendar.today(self.clock())

    def session(self) -> AbstractContextManager[ops.Connection]:
        return loading.session(self.settings)

    def contracts(self) -> dict[str, Contract]:
        """All contracts, read again only when one of their files has changed."""
        paths = sorted(self.settings.agencies.glob(f"*/*{SUFFIX}"))
        stamp = [(path, path.stat().st_mtime_ns) for path in paths]
        if self._contracts[0] != stamp:
            self._contracts = (stamp, load_contracts(self.settings.agencies))
        return self._contracts[1]

    def scope(self, account: Account) -> Scope:
        return Scope.of(account, self.contracts())

    def visible(self, account: Account) -> dict[str, Contract]:
        """The contracts of the datasets an account may see; for a municipality those that name it."""
        return {
            name: contract
            for name, contract in self.contracts().items()
            if account.may_read(name)
            and (not account.senders or any(one.territory_code in account.senders for one in contract.senders))
        }

    def csrf_key(self) -> str:
        return secret(self.settings, "desk_csrf.key")

    def page(
        self, request: Request, account: Account, template: str, status_code: int = 200, **shown: Any
    ) -> HTMLResponse:
        """A rendered page; the browser gets its session with it."""
        session = protection.session_of(request)
        contracts = self.contracts()
        html = self._pages.get_template(template).render(
            root=request.scope.get("root_path", ""),
            account=account,
            framed=request.headers.get("sec-fetch-dest") == "iframe",
            csrf_token=protection.token(self.csrf_key(), session, account),
            csrf_field=protection.TOKEN_FIELD,
            today=self.today(),
            title_of=lambda dataset_id: contracts[dataset_id].title_de if dataset_id in contracts else dataset_id,
            sender_of=lambda dataset_id, code: sender_name(contracts.get(dataset_id), code),
            here=request.url.path.removeprefix(request.scope.get("root_path", "")),
            **shown,
        )
        response = HTMLResponse(html, status_code)
        protection.remember(response, request, session)
        return response

    def error(self, request: Request, code: int, message: str) -> HTMLResponse:
        """A page that says what went wrong, without knowing who is asking."""
        html = self._pages.get_template("error.html").render(
            root=request.scope.get("root_path", ""),
            framed=request.headers.get("sec-fetch-dest") == "iframe",
            code=code,
            message=message,
            login=_login(request) if code == status.HTTP_401_UNAUTHORIZED else None,
        )
        return HTMLResponse(html, code)


def create_app(
    settings: Settings,
    account: Callable[..., Account],
    *,
    start_check: StartCheck | None = None,
    origins: Iterable[str] = (),
    clock: Clock = lambda: datetime.now(UTC),
) -> FastAPI:
    """The desk's application.

    ``account`` is a FastAPI dependency that yields who is asking or raises 401; every route depends on it. ``origins``
    are addresses under which browsers reach the desk beside the one in the request (behind a proxy).
    """
    desk = Desk(settings, start_check, origins, clock)
    app = FastAPI(title="Lieferungen", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(account)])
    app.add_middleware(protection.SafeHeaders)
    asking = Depends(account)

    @app.exception_handler(StarletteHTTPException)
    def explain(request: Request, error: StarletteHTTPException) -> Response:
        said = _OWN_WORDS.get(error.status_code, error.detail)
        response = desk.error(request, error.status_code, said)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    def explain_nonsense(request: Request, error: RequestValidationError) -> Response:
        return desk.error(request, status.HTTP_404_NOT_FOUND, _OWN_WORDS[status.HTTP_404_NOT_FOUND])

    @app.get("/", response_class=HTMLResponse)
    def overview(
        request: Request,
        who: Account = asking,
        office: str = "",
        state: str = "",
        more: bool = False,
    ) -> Response:
        """The matrix."""
        scope, today = desk.scope(who), desk.today()
        visible = desk.visible(who)
        chosen = [contract for contract in visible.values() if not office or contract.office == office]
        with desk.session() as conn:
            cells = queries.matrix(conn, scope, matrix.windows(chosen, today, more=more), today)
            incidents = queries.open_incidents(conn, scope)
        tables, tally = matrix.boards(
            chosen, cells, incidents, today, request.scope.get("root_path", ""),
            more=more, senders=scope.senders, state=state if state in words.CELL_STATES else None,
        )  # fmt: skip
        return desk.page(
            request, who, "matrix.html",
            boards=tables, tally=tally, offices=sorted({contract.office for contract in visible.values()}),
            office=office, state=state, more=more, open_count=sum(incidents.values()),
        )  # fmt: skip

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        """Style, script and icon; for signed-in accounts like everything else."""
        if name not in _STATIC:
            raise HTTPException(status.HTTP_404_NOT_FOUND)
        return Response(
            _static(name),
            media_type=mimetypes.guess_type(name)[0],
            headers={"Cache-Control": "private, max-age=300"},
        )

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def nothing(path: str) -> Response:
        """Whatever else is asked for: strangers get 401 here too, so nobody learns what there is."""
        raise HTTPException(status.HTTP_404_NOT_FOUND)

    return app


_OWN_WORDS = {
    status.HTTP_401_UNAUTHORIZED: "Bitte melden Sie sich an.",
    status.HTTP_404_NOT_FOUND: "Diese Seite gibt es nicht, oder Ihr Konto darf sie nicht sehen.",
    status.HTTP_405_METHOD_NOT_ALLOWED: "So kann diese Seite nicht aufgerufen werden.",
}


def sender_name(contract: Contract | None, code: str | None) -> str | None:
    """The municipality's name in the contract; its code where the contract does not know it."""
    senders = contract.senders if contract else []
    return next((one.territory_name for one in senders if one.territory_code == code), code)


@cache
def _static(name: str) -> bytes:
    return files("teilhabe.desk").joinpath("static", name).read_bytes()


def _login(request: Request) -> str:
    """Where Airflow's login is, and back here afterwards."""
    root = request.scope.get("app_root_path", "")
    return f"{root}/api/v2/auth/login?{urlencode({'next': str(request.url)})}"
