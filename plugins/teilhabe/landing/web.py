"""Files at fixed web addresses (HTTP and HTTPS)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from teilhabe.errors import ContractError, SourceError, TeilhabeError
from teilhabe.landing.base import (
    CHUNK_BYTES,
    Credentials,
    Listing,
    Problems,
    RemoteFile,
    base_name,
    max_file_bytes,
    refuse_too_large,
    write_stream,
)
from teilhabe.landing.names_allowed import refuse_private
from teilhabe.landing.tls import is_untrusted, tls_context

if TYPE_CHECKING:
    import httpx

_REDIRECTS = 5
_CONNECT_SECONDS = 15.0
_READ_SECONDS = 60.0
_HEAD_REFUSED = {403, 405, 501}
_WORTH_ANOTHER_TRY = {408, 425, 429}


@dataclass(frozen=True)
class WebSource:
    """``urls`` are looked at one by one, each is one file. Nothing is ever deleted there.

    ``login`` and ``password`` are sent as basic authentication, ``extra['headers']`` as they are - both only to the
    host named in the contract, never on to where it redirects. A redirect into the own network is refused unless
    ``extra['redirect_hosts']`` names the host. ``ca_certificates``/``ca_file``: see ``tls_context``.
    """

    urls: tuple[str, ...]
    source: str
    credentials: Credentials = field(default_factory=Credentials)
    limit: int | None = None
    keeps_files: bool = field(default=True, init=False)
    problems: Problems = field(default_factory=list, init=False, compare=False, repr=False)

    def list(self) -> Listing:
        return [self._look(url) for url in self.urls]

    def fetch(self, file: RemoteFile, to: Path) -> None:
        limit = max_file_bytes() if self.limit is None else self.limit
        with self._answer("GET", file.key) as answer:
            refuse_too_large(file.name, _length(answer), limit)
            write_stream(_whole_body(answer, file.name), to, file.name, limit)

    def acknowledge(self, file: RemoteFile) -> None:
        pass

    def _look(self, url: str) -> RemoteFile:
        with self._answer("HEAD", url) as answer:
            if answer.status_code not in _HEAD_REFUSED:
                return self._described(url, answer)
        # Some servers answer GET only; its header is enough, the body is left unread.
        with self._answer("GET", url) as answer:
            return self._described(url, answer)

    def _described(self, url: str, answer: httpx.Response) -> RemoteFile:
        size, modified, etag = _length(answer), _last_modified(answer), answer.headers.get("ETag")
        state = etag or (f"{modified.isoformat()} {size}" if modified else None)
        return RemoteFile(
            key=url,
            name=_file_name(url, answer),
            size=size,
            modified=modified,
            fingerprint=f"{url} {state}" if state else "",
            complete=False,
            source=self.source,
        )

    @contextmanager
    def _answer(self, method: str, url: str) -> Iterator[httpx.Response]:
        """The answer after all redirects; the body is read only on demand. HEAD may come back refused."""
        import httpx

        first = httpx.URL(url)
        where = f"{first.host}{first.path}"
        timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
        try:
            verify = tls_context(self.credentials, where)
            with httpx.Client(timeout=timeout, trust_env=True, verify=verify) as client:
                target = first
                for _ in range(_REDIRECTS + 1):
                    answer = client.send(self._request(client, method, target, first), stream=True)
                    try:
                        if not answer.has_redirect_location:
                            if method != "HEAD" or answer.status_code not in _HEAD_REFUSED:
                                _refuse_failure(answer.status_code, where)
                            yield answer
                            return
                        target = _redirected(answer, target, where)
                        if target.host != first.host:
                            refuse_private(self.credentials, target.host, where)
                    finally:
                        answer.close()
                raise ContractError(f"{where}: redirects more than {_REDIRECTS} times.")
        except httpx.TimeoutException as error:
            raise SourceError(f"{where}: did not answer in time.") from error
        except httpx.RemoteProtocolError as error:
            raise SourceError(f"{where}: the transfer broke off.") from error
        except httpx.TransportError as error:
            if is_untrusted(error):
                raise ContractError(f"{where}: shows a certificate nobody known here has signed.") from error
            raise SourceError(f"{where}: cannot be reached ({type(error).__name__}).") from error
        except httpx.InvalidURL as error:
            raise ContractError(f"{where}: is not a web address.") from error
        except httpx.DecodingError as error:
            raise SourceError(f"{where}: the transfer was garbled.") from error

    def _request(self, client: httpx.Client, method: str, target: httpx.URL, first: httpx.URL) -> httpx.Request:
        import httpx

        # Bytes as they lie there: compression would hide the length that proves the transfer complete.
        headers = {"Accept-Encoding": "identity", "User-Agent": "teilhabe"}
        request = client.build_request(method, target, headers=headers)
        if (target.scheme, target.host, target.port) == (first.scheme, first.host, first.port):
            extra = self.credentials.extra.get("headers")
            request.headers.update(extra if isinstance(extra, Mapping) else {})
            if self.credentials.login is not None:
                basic = httpx.BasicAuth(self.credentials.login, self.credentials.password or "")
                request = next(basic.auth_flow(request))
        return request


def _redirected(answer: httpx.Response, here: httpx.URL, where: str) -> httpx.URL:
    target = here.join(answer.headers["Location"])
    if target.scheme not in {"http", "https"} or not target.host:
        raise ContractError(f"{where}: redirects to {target.scheme or 'nothing'}, only http and https are followed.")
    if here.scheme == "https" and target.scheme == "http":
        raise ContractError(f"{where}: redirects from https to unprotected http at {target.host}.")
    return target


def _refuse_failure(status: int, where: str) -> None:
    if status in {401, 403, 407}:
        raise ContractError(f"{where}: access was refused ({status}); check the connection named in the contract.")
    if status in {404, 410}:
        raise ContractError(f"{where}: there is no such file ({status}); check the address in the contract.")
    if status >= 500 or status in _WORTH_ANOTHER_TRY:
        raise SourceError(f"{where}: the server cannot answer at the moment ({status}).")
    if status != 200:
        raise ContractError(f"{where}: answered {status} instead of a file.")


def _whole_body(answer: httpx.Response, name: str) -> Iterator[bytes]:
    yield from answer.iter_bytes(CHUNK_BYTES)
    expected = _length(answer)
    if expected is not None and answer.num_bytes_downloaded != expected:
        raise SourceError(f"{name}: the transfer broke off after {answer.num_bytes_downloaded} of {expected} bytes.")


def _length(answer: httpx.Response) -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _last_modified(answer: httpx.Response) -> datetime | None:
    """None also for a page made on request, which calls itself modified just now each time it is looked at."""
    try:
        modified = parsedate_to_datetime(answer.headers["Last-Modified"]).astimezone(UTC)
        sent = parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    except KeyError:
        return None
    except ValueError:
        return None
    return None if modified > sent - timedelta(seconds=2) else modified


def _file_name(url: str, answer: httpx.Response) -> str:
    header = Message()
    header["Content-Disposition"] = answer.headers.get("Content-Disposition", "")
    for offered in (header.get_filename(), unquote(answer.request.url.path), unquote(url.partition("?")[0])):
        try:
            return base_name(offered or "")
        except TeilhabeError:
            continue
    return "download"
