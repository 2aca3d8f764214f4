"""What keeps strangers' pages from acting through a signed-in browser, and this page from running what is not its own.

Every POST needs three things: a browser that says the request comes from this origin, the desk's own cookie, and a
token made from that cookie and the account. A token of another account or another browser is worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Response, status
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from teilhabe.desk.accounts import Account

COOKIE = "desk_session"
TOKEN_FIELD = "csrf_token"  # noqa: S105 - the name of a form field

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class SafeHeaders:
    """Sets the security headers of every response, errors included; a route's own value stays."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in _HEADERS.items() if k.lower().encode() not in given),
                ]
            await send(message)

        await self.app(scope, receive, send_with_headers)


class PlainAddresses:
    """Takes the sign NUL out of an address: no text of the database can hold it, so nothing is found by it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"")
        if b"%00" in query:
            scope = {**scope, "query_string": query.replace(b"%00", b"")}
        await self.app(scope, receive, send)


class BodyLimit:
    """Ends a request whose body is larger than it may be, whatever length it claims to have.

    Only what is sent as a file to the one route that takes files may be large: other forms are kept in memory.
    """

    def __init__(self, app: ASGIApp, upload: int, form: int) -> None:
        self.app = app
        self.upload = upload
        self.form = form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0
        limit = self.upload if _is_upload(scope) else self.form

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise too_large(limit)
            return message

        await self.app(scope, counted, send)


def too_large(limit: int) -> HTTPException:
    megabytes = limit // 1024 // 1024
    return HTTPException(
        status.HTTP_413_CONTENT_TOO_LARGE,
        f"Die Datei ist größer als die hier erlaubten {megabytes} MB. Bitte einen anderen Lieferweg nutzen."
        if megabytes
        else "Das Formular ist zu groß. Bitte den Text kürzen.",
    )


def _is_upload(scope: Scope) -> bool:
    kind = next((value for name, value in scope.get("headers", []) if name == b"content-type"), b"")
    return str(scope.get("path", "")).endswith("/uploads") and bool(kind.startswith(b"multipart/"))


def session_of(request: Request) -> str:
    """The desk's own session: what the browser sent, else a new one that ``remember`` gives it."""
    given = request.cookies.get(COOKIE, "")
    return given if len(given) == 43 else secrets.token_urlsafe(32)


def remember(response: Response, request: Request, session: str) -> None:
    """Give the browser its session, unless it has it already."""
    if request.cookies.get(COOKIE) != session:
        response.set_cookie(
            COOKIE,
            session,
            path=request.scope.get("root_path") or "/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )


def forget(response: Response, request: Request) -> None:
    """Take the desk's session from the browser."""
    response.delete_cookie(COOKIE, path=request.scope.get("root_path") or "/", httponly=True, samesite="strict")


def token(key: str, session: str, account: Account) -> str:
    """The token that goes into the forms of this account in this browser."""
    return hmac.new(key.encode(), f"{session}\0{account.name}".encode(), hashlib.sha256).hexdigest()


def require_same_origin(request: Request, origins: Collection[str]) -> None:
    """403 when the browser says that the request comes from elsewhere.

    ``origins`` are further addresses under which people reach the desk, as a proxy may change the host.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    known = {origin_of(str(request.base_url)), *origins}
    if (site is not None and site != "same-origin") or (origin is not None and origin not in known):
        raise HTTPException(
            status.HTTP_403_FORBIDDEN, "Die Anfrage kommt von einer fremden Seite und wurde nicht ausgeführt."
        )


def require_token(request: Request, given: object, key: str, account: Account) -> None:
    """403 unless ``given`` is the token of this account in this browser."""
    session = request.cookies.get(COOKIE, "")
    wanted = token(key, session, account)
    if not session or not isinstance(given, str) or not hmac.compare_digest(given.encode(), wanted.encode()):
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            "Das Formular ist abgelaufen und wurde nicht ausgeführt. Bitte die Seite neu laden.",
        )


def origin_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
