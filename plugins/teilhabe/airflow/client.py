"""A small client of Airflow's REST interface, for the commands of one home."""

from __future__ import annotations

import hashlib
import secrets as random_source
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import tenacity

from teilhabe.airflow import processes
from teilhabe.airflow.rights import AUTOMATION
from teilhabe.errors import ServiceError
from teilhabe.server import connecting
from teilhabe.settings import Settings, secret

PASSWORD_FILE = "airflow_admin.password"  # noqa: S105 - the name of a file
"""In it the password the first person's account was made with."""

JWT_KEY, JWT_AUDIENCE, JWT_ALGORITHM = "airflow_jwt.key", "apache-airflow", "HS512"
"""What Airflow signs its tokens with and asks of them; whoever has the home's secrets can sign one."""

_TOKEN_SECONDS = 3600

PATIENCE = 60.0
"""Seconds that a command waits for an Airflow that does not answer: as long as a restart takes, twice."""

_PATIENT_SECONDS = 5
"""How long a DAG may be unknown before Airflow is asked to read its files."""


PASSWORD_MARK = "password"  # noqa: S105 - the name of a claim
"""The claim of a token that says with which password its account was when the token was made, see ``sign_in``."""


def password_mark(kept: str | None) -> str:
    """Different after each change, also to the same password: what is kept of a password is salted."""
    return hashlib.sha256((kept or "").encode()).hexdigest()[:16]


class AirflowApi:
    """A small client of Airflow's REST interface; it signs its own tokens and needs nobody's password."""

    def __init__(
        self,
        settings: Settings,
        patience: float = PATIENCE,
        meanwhile: Callable[[], None] = lambda: None,
        account: str = AUTOMATION,
    ) -> None:
        """``patience``: seconds that no answer, or a server error, is taken for a passing trouble; ``meanwhile`` is
        called before each new try; ``account``: whose rights count."""
        self._settings = settings
        self._account = account
        self._patience = patience
        self._meanwhile = meanwhile
        # No proxy of the environment may get to see requests to this machine.
        self._client = httpx.Client(timeout=30, trust_env=False, event_hooks={"request": [self._only_to_ours]})

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _only_to_ours(self, request: httpx.Request) -> None:
        if not processes.api_server_listens(self._settings):
            raise httpx.ConnectError("it is not this home's API server that listens there", request=request)

    def login(self) -> None:
        """Sign a token for the account.

        Raises:
            ServiceError: there is no such account, or it was disabled.
        """
        with connecting.connect("airflow", self._settings) as connection:
            found = connection.execute(
                "SELECT id, active, password FROM ab_user WHERE username = %s", [self._account]
            ).fetchone()
        if found is None:
            raise ServiceError(f"Airflow has no account {self._account}; `teilhabe init` makes it.")
        if not found[1]:
            raise ServiceError(f"The account {self._account} is disabled (`teilhabe account enable {self._account}`).")
        now = int(time.time())
        claims = {"sub": str(found[0]), "aud": JWT_AUDIENCE, "iat": now, "nbf": now, "exp": now + _TOKEN_SECONDS}
        claims["jti"] = random_source.token_hex(16)
        claims[PASSWORD_MARK] = password_mark(found[2])
        token = jwt.encode(claims, secret(self._settings, JWT_KEY), algorithm=JWT_ALGORITHM)
        self._client.headers["Authorization"] = f"Bearer {token}"

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run now; returns its id."""
        # With a name of our own, so that a request whose answer was lost can be repeated and starts one run.
        run_id = f"manual__{datetime.now(UTC).isoformat()}_{random_source.token_hex(4)}"
        body = {"logical_date": None, "conf": conf or {}, "dag_run_id": run_id}
        path = f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns"
        response = self._authorised("POST", path, json=body)
        if response.is_error and response.status_code != httpx.codes.CONFLICT:
            raise _refusal("POST", path, response)
        return run_id

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run as Airflow describes it."""
        return self._call("GET", f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}")

    def dag_runs(self, dag_ids: Iterable[str] = (), states: Iterable[str] = ()) -> list[dict[str, Any]]:
        """All runs of the given DAGs in the given states (nothing given: of all, in any), oldest first."""
        body: dict[str, Any] = {"order_by": "id"}
        if wanted := sorted(dag_ids):
            body["dag_ids"] = wanted
        if in_states := sorted(states):
            body["states"] = in_states
        found: list[dict[str, Any]] = []
        while True:
            page = {**body, "page_offset": len(found), "page_limit": 100}
            answer = self._call("POST", "/dags/~/dagRuns/list", json=page)
            found += answer["dag_runs"]
            if not answer["dag_runs"] or len(found) >= answer["total_entries"]:
                return found

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of one run, mapped ones included."""
        path = f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return list(self._pages(path, "task_instances"))

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """The log of one attempt as text, one line per entry."""
        path = (
            f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}/taskInstances/{quote(task_id, safe='')}"
        )
        answer = self._call("GET", f"{path}/logs/{try_number}", params={"map_index": map_index, "full_content": True})
        content = answer.get("content", [])
        if isinstance(content, str):
            return content
        return "\n".join(str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in content)

    def dags(self) -> list[dict[str, Any]]:
        """All DAGs Airflow knows at present."""
        return list(self._pages("/dags", "dags"))

    def import_errors(self) -> list[dict[str, Any]]:
        """DAG files that could not be read: ``filename`` and ``stack_trace``."""
        return list(self._pages("/importErrors", "import_errors"))

    def wait_for_dags(self, dag_ids: Iterable[str], timeout: float = 120) -> None:
        """Wait until Airflow has read these DAGs; fails early when one of the files cannot be imported."""
        wanted = set(dag_ids)
        until = time.monotonic() + timeout
        asks_at = time.monotonic() + _PATIENT_SECONDS
        while missing := wanted - {str(dag["dag_id"]) for dag in self.dags()}:
            for error in self.import_errors():
                lines = str(error["stack_trace"]).strip().splitlines()
                raise ServiceError(
                    f"Airflow cannot read {error['filename']}: {lines[-1] if lines else 'no reason given'}"
                )
            if time.monotonic() > asks_at:
                asks_at = until
                self._read_dags_again()
            if time.monotonic() > until:
                raise ServiceError(f"Airflow does not know {', '.join(sorted(missing))} after {timeout:.0f} seconds.")
            time.sleep(0.5)

    def _read_dags_again(self) -> None:
        """By itself Airflow looks at the files every few minutes, and a contract that is new changes none of them."""
        for token in sorted({str(dag["file_token"]) for dag in self.dags()}):
            self._authorised("PUT", f"/api/v2/parseDagFile/{quote(token, safe='')}")

    def _pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            answer = self._call("GET", path, params={"limit": 100, "offset": offset})
            yield from answer[key]
            offset += len(answer[key])
            if not answer[key] or offset >= answer["total_entries"]:
                return

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = self._authorised(method, f"/api/v2{path}", **options)
        if response.is_error:
            raise _refusal(method, path, response)
        return dict(response.json()) if response.content else {}

    def _authorised(self, method: str, path: str, **options: Any) -> httpx.Response:
        if "Authorization" not in self._client.headers:
            self.login()
        response = self._answer(method, path, **options)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self.login()  # tokens expire
            response = self._answer(method, path, **options)
        return response

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        """What Airflow answers. A server that is busy, restarting or without its database for a while is asked again."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_delay(self._patience),
            wait=tenacity.wait_exponential(multiplier=0.2, max=5),
            retry=tenacity.retry_if_exception_type(httpx.TransportError)
            | tenacity.retry_if_result(lambda response: response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR),
            before_sleep=lambda _: self._meanwhile(),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        try:
            return retrying(lambda: self._client.request(method, f"{self._address()}{path}", **options))
        except httpx.HTTPError as error:
            raise ServiceError(f"Airflow does not answer at {self._address()}: {error}.") from None

    def _address(self) -> str:
        # Asked each time: a restart may have had to take another port.
        return f"http://127.0.0.1:{processes.port(self._settings)}"


def _refusal(method: str, path: str, response: httpx.Response) -> ServiceError:
    return ServiceError(f"Airflow refuses {method} {path}: {response.status_code} {response.text[:500]}")
