"""The desk's application: every route behind the account, every error a German page, nothing from another host."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
from fastapi import Depends, FastAPI, HTTPException, Request, Response, status
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from teilhabe.desk import acting, protection, reading
from teilhabe.desk.core import FORM_BYTES, Clock, Desk, StartCheck
from teilhabe.errors import UnreachableError, WarehouseError

if TYPE_CHECKING:
    from teilhabe.desk.accounts import Account
    from teilhabe.settings import Settings

log = logging.getLogger(__name__)

_OWN_WORDS = {
    status.HTTP_400_BAD_REQUEST: "Das Formular kam nicht so an, wie diese Seiten es senden. Bitte die Seite neu laden.",
    status.HTTP_401_UNAUTHORIZED: "Bitte melden Sie sich an.",
    status.HTTP_404_NOT_FOUND: "Diese Seite gibt es nicht, oder Ihr Konto darf sie nicht sehen.",
    status.HTTP_405_METHOD_NOT_ALLOWED: "So kann diese Seite nicht aufgerufen werden.",
}
_OUTAGE = "Die Datenbank antwortet gerade nicht. Bitte in einer Minute noch einmal versuchen."


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

    def remember_known(request: Request) -> None:
        """Runs after ``account``, so only for those who are signed in."""
        request.state.is_known = True

    app = FastAPI(
        title="Lieferungen",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(account), Depends(remember_known)],
    )
    app.add_middleware(protection.BodyLimit, upload=desk.upload_limit + FORM_BYTES, form=FORM_BYTES)
    app.add_middleware(protection.SafeHeaders)
    app.add_middleware(protection.PlainAddresses)
    app.include_router(reading.routes(desk, account))
    app.include_router(acting.routes(desk, account))

    @app.exception_handler(StarletteHTTPException)
    def explain(request: Request, error: StarletteHTTPException) -> Response:
        code = error.status_code
        if code == status.HTTP_403_FORBIDDEN and not getattr(request.state, "is_known", False):
            # A cookie that is no good any more makes a stranger, who has to be shown the way to the login.
            code = status.HTTP_401_UNAUTHORIZED
        response = desk.error(request, code, _OWN_WORDS.get(code, error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    def explain_nonsense(request: Request, error: RequestValidationError) -> Response:
        return desk.error(request, status.HTTP_404_NOT_FOUND, _OWN_WORDS[status.HTTP_404_NOT_FOUND])

    @app.exception_handler(WarehouseError)
    def explain_outage(request: Request, error: WarehouseError) -> Response:
        code = status.HTTP_503_SERVICE_UNAVAILABLE if isinstance(error, UnreachableError) else 500
        return desk.error(request, code, _OUTAGE)

    @app.exception_handler(psycopg.Error)
    def explain_interruption(request: Request, error: psycopg.Error) -> Response:
        # Only the type: the text of an error may quote what was to be written.
        log.error("%s %s: %s", request.method, request.url.path, type(error).__name__)
        return desk.error(request, status.HTTP_503_SERVICE_UNAVAILABLE, _OUTAGE)

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def nothing(path: str) -> Response:
        """Whatever else is asked for: strangers get 401 here too, so nobody learns what there is."""
        raise HTTPException(status.HTTP_404_NOT_FOUND)

    return app
