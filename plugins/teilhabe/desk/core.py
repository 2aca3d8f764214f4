"""What every route of the desk needs: settings, contracts, clock, and pages that know who is looking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, status
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from teilhabe import landing, ops
from teilhabe.codes import wording
from teilhabe.contract import delivery_calendar
from teilhabe.contract.model import Contract, SecrecyMethod
from teilhabe.contract.parsing import load_contracts
from teilhabe.desk import protection, words
from teilhabe.desk.accounts import Account, Scope
from teilhabe.errors import Finding
from teilhabe.findings import saying
from teilhabe.raw import loading
from teilhabe.settings import Settings, secret

Clock = Callable[[], datetime]
StartCheck = Callable[[Account, str], Awaitable[bool]]
"""Starts the check of a dataset's inbox for an account; False where that is not possible at once."""

UPLOAD_BYTES = 200 * 1024 * 1024
"""Largest file a browser may hand in; larger ones have other ways (inbox, SFTP, object store)."""
FORM_BYTES = 64 * 1024
"""What the other fields of a form may take."""

AREAS = (
    ("/", "Übersicht"),
    ("/incidents", "Beanstandungen"),
    ("/deliveries", "Eingang"),
    ("/due", "Termine"),
    ("/messages", "Nachrichten"),
    ("/scorecards", "Bilanz"),
)
OFFICE_AREAS = (("/", "Abgeben"), ("/overview", "Übersicht"), *AREAS[1:])
"""An office begins with what it has to do."""
COUNTY_AREAS = (*AREAS, ("/contradictions", "Widersprüche"))
"""What offices publish differently is no business of theirs: only accounts that see all of them have this page."""


class Desk:
    """One installation's desk."""

    def __init__(
        self, settings: Settings, start_check: StartCheck | None, origins: Iterable[str], clock: Clock
    ) -> None:
        self.settings = settings
        self.start_check = start_check
        self.origins = frozenset(origins)
        self.now = clock
        self.upload_limit = min(UPLOAD_BYTES, landing.max_file_bytes())
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

    def today(self) -> date:
        return delivery_calendar.today(self.now())

    def session(self) -> AbstractContextManager[ops.Connection]:
        return loading.session(self.settings)

    def contracts(self) -> dict[str, Contract]:
        return load_contracts(self.settings.agencies)

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

    def is_of_county(self, account: Account) -> bool:
        """Whether an account sees all offices, and is not itself that of one."""
        return not account.senders and all(account.may_read(name) for name in self.contracts())

    def is_of_office(self, account: Account) -> bool:
        """Whether an account hands in for some datasets, and does not see all offices."""
        return not self.is_of_county(account) and bool(self.owed(account))

    def owed(self, account: Account) -> dict[str, Contract]:
        """The contracts of the datasets an account may hand in."""
        return {name: contract for name, contract in self.visible(account).items() if account.may_hand_in(name)}

    def repeatable(self, account: Account, dataset_id: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Deliveries, findings or incidents as an account may see them.

        Numbers the contract keeps secret and names of files about single persons are not repeated to accounts that may not
        take out the file itself.
        """
        contract = self.contracts().get(dataset_id)
        for_whom: saying.Audience = "editor" if account.may_hand_in(dataset_id) else "everyone"
        # Without a contract nothing says which numbers are secret.
        secrecy: SecrecyMethod = contract.secrecy_method if contract else "min5"
        return [_repeatable(row, secrecy, for_whom) for row in rows]

    def page(
        self, request: Request, account: Account, template: str, status_code: int = 200, **shown: Any
    ) -> HTMLResponse:
        """A rendered page; the browser gets its session with it."""
        session = protection.session_of(request)
        contracts = self.contracts()
        html = self._pages.get_template(template).render(
            root=root_of(request),
            account=account,
            areas=COUNTY_AREAS if self.is_of_county(account) else OFFICE_AREAS if self.is_of_office(account) else AREAS,
            framed=_is_framed(request),
            csrf_token=protection.token(self.csrf_key(), session, account),
            csrf_field=protection.TOKEN_FIELD,
            today=self.today(),
            now=self.now(),
            title_of=lambda dataset_id: contracts[dataset_id].title_de if dataset_id in contracts else dataset_id,
            sender_of=lambda dataset_id, code: sender_name(contracts.get(dataset_id), code),
            here=request.url.path.removeprefix(root_of(request)),
            query=dict(request.query_params),
            with_query=lambda **changed: _with_query(request, changed),
            **shown,
        )
        response = HTMLResponse(html, status_code)
        protection.remember(response, request, session)
        return response

    def counts_rows(self, dataset_id: str, layout: str | None) -> bool:
        """Whether what was read is one number per row of the file; no where its contract is gone."""
        contract = self.contracts().get(dataset_id)
        return contract is not None and contract.counts_rows(layout)

    def error(self, request: Request, code: int, message: str) -> HTMLResponse:
        """A page that says what went wrong, without knowing who is asking."""
        html = self._pages.get_template("error.html").render(
            root=root_of(request),
            code=code,
            message=message,
            login=_login(request) if code == status.HTTP_401_UNAUTHORIZED else None,
        )
        return HTMLResponse(html, code)

    def csrf_key(self) -> str:
        return secret(self.settings, "desk_csrf.key")


def _repeatable(row: dict[str, Any], secrecy: SecrecyMethod, for_whom: saying.Audience) -> dict[str, Any]:
    kept = dict(row)
    if for_whom == "everyone" and row.get("is_personal"):
        kept["file_name"] = wording.UNNAMED_FILE
    if "what" in row:
        finding = saying.from_row(row, row.get("evidence") or ())
        hides = None if for_whom == "editor" else secrecy
        kept["message"] = saying.say(finding, secrecy, for_whom=for_whom)
        kept["counted"] = saying.counted(finding)
        kept["places"] = saying.shown_places(finding, hides)
    elif "message" in row and "rule" in row:
        kept["message"] = saying.say(Finding("critical", row["rule"], row["message"]), secrecy, for_whom=for_whom)
    if for_whom == "everyone" and row.get("content"):
        kept["content"] = {**row["content"], "value": None}  # it may be a number too small to be told
    return kept


def root_of(request: Request) -> str:
    """The path below which the desk is mounted."""
    return str(request.scope.get("root_path", ""))


def airflow_page(request: Request, path: str) -> str:
    """A page of the Airflow the desk is mounted in."""
    return f"{request.scope.get('app_root_path', '')}{path}"


def sender_name(contract: Contract | None, code: str | None) -> str | None:
    """The municipality's name in the contract; its code where the contract does not know it."""
    senders = contract.senders if contract else []
    return next((one.territory_name for one in senders if one.territory_code == code), code)


def _is_framed(request: Request) -> bool:
    """Shown inside Airflow's own page, which has its own way back."""
    return request.headers.get("sec-fetch-dest") == "iframe"


def _with_query(request: Request, changed: dict[str, Any]) -> str:
    given = {**request.query_params, **{key: str(value) for key, value in changed.items()}}
    return "?" + urlencode({key: value for key, value in given.items() if value})


def _login(request: Request) -> str:
    """Where Airflow's login is, and back here afterwards."""
    # Without scheme and host: whatever stands before us, the way back leads where the visitor is.
    here = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    return f"{airflow_page(request, '/api/v2/auth/login')}?{urlencode({'next': here})}"
