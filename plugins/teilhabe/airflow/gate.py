"""Before all routes of Airflow: accounts with no right in it are led to the desk, and tokens are not to be guessed.

Airflow limits attempts at its form, by the client's address; nothing limits them at ``/auth/token``, which takes the same
passwords.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.app import get_auth_manager
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKENS = ("/auth/token", "/auth/token/cli")
FAILED_TRIES, SECONDS = 5, 40
"""As at Airflow's form; who gives the right password is never held up by its own."""

_NO_PAGES = (
    "/api/",
    "/ui/",
    "/auth/",
    "/desk/",
    "/static/",
    "/execution/",
    "/pluginsv2/",
    "/docs",
    "/redoc",
    "/openapi.json",
)


class Gate:
    """Middleware of the whole API server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._limit = RateLimitItemPerSecond(FAILED_TRIES, SECONDS)
        self._tries = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].rstrip("/") in TOKENS:
            await self._guarded(scope, receive, send)
        elif scope["type"] == "http" and _wants_page(scope) and await run_in_threadpool(_has_desk_only, _user(scope)):
            await RedirectResponse(f"{scope.get('root_path', '')}/desk/", 303)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = client_of(scope)
        if not self._tries.test(self._limit, client):
            said = {"detail": "Too many failed attempts; try again in a minute."}
            await JSONResponse(said, 429, headers={"Retry-After": str(SECONDS)})(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (400, 401, 403):
                self._tries.hit(self._limit, client)
            await send(message)

        await self.app(scope, receive, counted)


def client_of(scope: Scope) -> str:
    """Who is asking: an address, or the network that an IPv6 connection usually has for itself."""
    host = str((scope.get("client") or ("unknown", 0))[0])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host


def works_in_airflow(user: Any) -> bool:
    """Whether an account may see any DAG; without one all of Airflow's own pages say 403."""
    return bool(get_auth_manager().is_authorized_dag(method="GET", user=user))


def _wants_page(scope: Scope) -> bool:
    accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return scope["method"] == "GET" and b"text/html" in accepted and not f"{scope['path']}/".startswith(_NO_PAGES)


def _user(scope: Scope) -> Any:
    """Whom Airflow's own middleware before this one has found behind the cookie; None: a stranger."""
    return scope.get("state", {}).get("user")


def _has_desk_only(user: Any) -> bool:
    return user is not None and not works_in_airflow(user)
