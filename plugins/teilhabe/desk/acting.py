"""What people do at the desk: with incidents and with files. Each act is checked, carried out and written down."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import date, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response, UploadFile, status
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.datastructures import FormData
from starlette.datastructures import UploadFile as ReceivedFile

from teilhabe import landing, ops
from teilhabe.codes.periods import period_end
from teilhabe.contract.model import Contract
from teilhabe.decisions import deciding, withdrawing
from teilhabe.desk import protection, queries
from teilhabe.desk.accounts import READ_ONLY, Account
from teilhabe.desk.core import FORM_BYTES, Desk, airflow_page, root_of
from teilhabe.desk.reading import delivery_page, incident_page
from teilhabe.errors import IncidentError, TeilhabeError
from teilhabe.landing.base import CHUNK_BYTES, base_name
from teilhabe.landing.passing_bytes import passing_folder
from teilhabe.ops import incident_answers, incident_record
from teilhabe.settings import number_from_environment

NOTE_CHARACTERS = 4000

_SETTLED = ("loaded", "quarantined", "duplicate", "unpacked", "asked", "withdrawn", "held")
"""What nobody has to watch a page for."""


def routes(desk: Desk, account: Callable[..., Account]) -> APIRouter:
    """All routes that change something, and the page that waits for the verdict."""
    router = APIRouter(default_response_class=HTMLResponse)
    asking = Depends(account)

    def posted(files: int) -> Any:
        async def form_of(request: Request, who: Account = asking) -> AsyncIterator[FormData]:
            """The form, once it is sure that this account sent it from one of these pages."""
            protection.require_same_origin(request, desk.origins)
            # Before a byte is kept: whoever may change nothing at all has no file to hand in either.
            if not await run_in_threadpool(lambda: any(who.may_hand_in(name) for name in desk.visible(who))):
                raise HTTPException(status.HTTP_403_FORBIDDEN, READ_ONLY)
            if int(request.headers.get("content-length") or 0) > desk.upload_limit + FORM_BYTES:
                raise protection.too_large(desk.upload_limit)
            async with request.form(max_files=files, max_fields=12, max_part_size=FORM_BYTES) as form:
                protection.require_token(request, form.get(protection.TOKEN_FIELD), desk.csrf_key(), who)
                yield form

        return Depends(form_of)

    _incidents(router, desk, asking, posted(files=0))
    _uploads(router, desk, asking, posted(files=1))
    _decisions(router, desk, asking, posted(files=0))
    _leaving(router, desk, asking)
    return router


def _leaving(router: APIRouter, desk: Desk, asking: Any) -> None:
    @router.post("/logout")
    async def logout(request: Request, who: Account = asking) -> Response:
        """End the session: the desk's own here, the account's where Airflow does it, which withdraws its token as well."""
        protection.require_same_origin(request, desk.origins)
        async with request.form(max_files=0, max_fields=2, max_part_size=FORM_BYTES) as form:
            protection.require_token(request, form.get(protection.TOKEN_FIELD), desk.csrf_key(), who)
        response = RedirectResponse(airflow_page(request, "/api/v2/auth/logout"), status.HTTP_303_SEE_OTHER)
        protection.forget(response, request)
        return response


def _incidents(router: APIRouter, desk: Desk, asking: Any, form: Any) -> None:
    @router.post("/incidents/{incident_id}/acknowledge")
    def acknowledge(request: Request, incident_id: int, who: Account = asking, given: FormData = form) -> Response:
        def act(conn: ops.Connection) -> None:
            incident_answers.acknowledge(conn, incident_id, who.name, desk.now(), _text(given, "note") or None)

        return change(request, who, incident_id, given, act, "acknowledged")

    @router.post("/incidents/{incident_id}/waive")
    def waive(request: Request, incident_id: int, who: Account = asking, given: FormData = form) -> Response:
        def act(conn: ops.Connection) -> None:
            until = _date(given, "until")
            incident_answers.waive(conn, incident_id, who.name, desk.now(), _text(given, "reason"), until)

        return change(request, who, incident_id, given, act, "waived", Account.require_waiver)

    @router.post("/incidents/{incident_id}/note")
    def note(request: Request, incident_id: int, who: Account = asking, given: FormData = form) -> Response:
        def act(conn: ops.Connection) -> None:
            incident_record.note(conn, incident_id, who.name, desk.now(), _text(given, "text"))

        return change(request, who, incident_id, given, act, "noted")

    def change(
        request: Request,
        who: Account,
        incident_id: int,
        given: FormData,
        act: Callable[[ops.Connection], None],
        done: str,
        require: Callable[[Account, str], None] = Account.require_hand_in,
    ) -> Response:
        try:
            with desk.session() as conn:
                found = queries.incident(conn, desk.scope(who), incident_id)
                if found is None:
                    raise HTTPException(status.HTTP_404_NOT_FOUND)
                require(who, found["dataset_id"])
                act(conn)
        except IncidentError as error:
            said = {key: value for key, value in given.items() if isinstance(value, str)}
            return incident_page(desk, request, who, incident_id, problem=str(error), given=said)
        return RedirectResponse(f"{root_of(request)}/incidents/{incident_id}?done={done}", status.HTTP_303_SEE_OTHER)


def _uploads(router: APIRouter, desk: Desk, asking: Any, form: Any) -> None:
    @router.get("/upload")
    def upload_form(
        request: Request, who: Account = asking, dataset: str = "", sender: str = "", period: str = ""
    ) -> Response:
        """The form for a file that replaces no delivery."""
        return upload_page(request, who, {"dataset": dataset, "sender": sender, "period": period})

    def upload_page(request: Request, who: Account, given: dict[str, str], problem: str | None = None) -> HTMLResponse:
        choices = [one for name, one in desk.visible(who).items() if who.may_hand_in(name)]
        chosen = next((one for one in choices if one.dataset_id == given.get("dataset")), None)
        return desk.page(
            request, who, "upload.html", status.HTTP_422_UNPROCESSABLE_CONTENT if problem else status.HTTP_200_OK,
            choices=sorted(choices, key=lambda one: (one.office, one.title_de)), chosen=chosen, given=given,
            senders=[one for one in chosen.senders if _is_own(who, one.territory_code)] if chosen else [],
            problem=problem, limit=desk.upload_limit,
        )  # fmt: skip

    @router.post("/uploads")
    async def upload(request: Request, who: Account = asking, given: FormData = form) -> Response:
        """Take a file and put it into the inbox, as every other way of delivery does."""
        try:
            act_id, dataset_id = await run_in_threadpool(_hand_in, desk, who, given)
        except TeilhabeError as error:
            said = {key: value for key, value in given.items() if isinstance(value, str)}
            return await run_in_threadpool(upload_page, request, who, said, str(error))
        started = desk.start_check is not None and await desk.start_check(who, dataset_id)
        address = f"{root_of(request)}/uploads/{act_id}{'' if started else '?later=true'}"
        return RedirectResponse(address, status.HTTP_303_SEE_OTHER)

    @router.get("/uploads/{act_id}")
    def uploaded(request: Request, act_id: int, who: Account = asking, later: bool = False) -> Response:
        """What became of a file that was handed in here; asked for JSON, only how far it is."""
        scope = desk.scope(who)
        with desk.session() as conn:
            found = queries.upload(conn, scope, act_id)
            if found is None:
                raise HTTPException(status.HTTP_404_NOT_FOUND)
            [found] = desk.repeatable(who, found["dataset_id"], [found])
            findings = queries.findings(conn, found["arrived_id"], limit=5, offset=0) if found["arrived_id"] else []
        step = found["standing"] or "waiting"
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"step": step})
        return desk.page(
            request, who, "uploaded.html",
            upload=found, step=step, is_settled=step in _SETTLED,
            findings=desk.repeatable(who, found["dataset_id"], findings),
            is_other_period=bool(
                found["period_code"] and found["periods"] and found["period_code"] not in found["periods"]
            ),
            counts_rows=desk.counts_rows(found["dataset_id"], found["layout"]),
            later=later, may_hand_in=who.may_hand_in(found["dataset_id"]),
        )  # fmt: skip


def _decisions(router: APIRouter, desk: Desk, asking: Any, form: Any) -> None:
    """What takes the right to decide what counts: withdrawing a delivery, and doing without the faulty rows of a refused one."""

    @router.post("/deliveries/{delivery_id}/withdraw")
    def withdraw(request: Request, delivery_id: int, who: Account = asking, given: FormData = form) -> Response:
        try:
            with desk.session() as conn:
                found = queries.delivery(conn, desk.scope(who), delivery_id)
                if found is None:
                    raise HTTPException(status.HTTP_404_NOT_FOUND)
                who.require_decision(found["dataset_id"])
                reason = _text(given, "reason")
                withdrawing.withdraw(conn, delivery_id, reason=reason, actor=who.name, now=desk.now())
        except TeilhabeError as error:
            return delivery_page(desk, request, who, delivery_id, problem=str(error), reason=_said(given, "reason"))
        return RedirectResponse(
            f"{root_of(request)}/deliveries/{delivery_id}?done=withdrawn", status.HTTP_303_SEE_OTHER
        )

    @router.post("/deliveries/{delivery_id}/decide")
    async def decide(request: Request, delivery_id: int, who: Account = asking, given: FormData = form) -> Response:
        def act() -> deciding.Decision:
            with desk.session() as conn:
                found = queries.delivery(conn, desk.scope(who), delivery_id)
                if found is None:
                    raise HTTPException(status.HTTP_404_NOT_FOUND)
                who.require_decision(found["dataset_id"])
                answer = next((one for one in deciding.ANSWERS if one == _text(given, "answer")), None)
                if answer is None:
                    raise TeilhabeError("Bitte wählen, was mit der Lieferung geschehen soll.")
                reason = _text(given, "reason")
                return deciding.decide(conn, delivery_id, answer, reason=reason, actor=who.name, now=desk.now())

        try:
            made = await run_in_threadpool(act)
        except TeilhabeError as error:
            problem, said = str(error), _said(given, "reason")
            return await run_in_threadpool(
                lambda: delivery_page(desk, request, who, delivery_id, problem=problem, reason=said)
            )
        if made.answer == "accept-without-rows" and desk.start_check is not None:
            await desk.start_check(who, made.dataset_id)
        return RedirectResponse(
            f"{root_of(request)}/deliveries/{delivery_id}?done={made.answer}", status.HTTP_303_SEE_OTHER
        )


def _said(given: FormData, name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""


def _hand_in(desk: Desk, who: Account, given: FormData) -> tuple[int, str]:
    """Put the file into its inbox; returns the act and the dataset.

    Raises:
        TeilhabeError: what the person has to do otherwise, in German.
    """
    contract = desk.visible(who).get(_text(given, "dataset"))
    if contract is None:
        raise TeilhabeError("Bitte wählen, zu welchem Datensatz die Datei gehört.")
    who.require_hand_in(contract.dataset_id)
    sender = _sender(who, contract, _text(given, "sender"))
    replaced = _replaced(desk, who, contract, _text(given, "replaces"))
    file = given.get("file")
    if not isinstance(file, ReceivedFile | UploadFile) or not file.filename:
        raise TeilhabeError("Bitte eine Datei auswählen.")
    with passing_folder(desk.settings) as folder:
        path = folder / base_name(file.filename)
        digest = hashlib.sha256()
        with path.open("xb") as out:
            while chunk := file.file.read(CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
        if not path.stat().st_size:
            raise TeilhabeError(f"Die Datei „{path.name}“ ist leer.")
        with desk.session() as conn:
            _check_quota(conn, who.name, path.stat().st_size, desk.now())
            # Written down first: a file nobody can be asked about must not arrive.
            act_id = queries.record_act(
                conn,
                at=desk.now(),
                actor=who.name,
                action="uploaded",
                dataset_id=contract.dataset_id,
                sender_code=sender,
                period_code=_period(_text(given, "period")),
                delivery_id=replaced,
                file_name=path.name,
                size_bytes=path.stat().st_size,
                sha256=digest.hexdigest(),
            )
            conn.commit()
            # By its key: an address may be that of several municipalities.
            [ticket] = landing.hand_in(desk.settings, contract.dataset_id, [path], sender=sender, now=desk.now())
            key = ticket.relative_to(landing.dataset_inbox(desk.settings, contract.dataset_id)).as_posix()
            queries.set_arrival(conn, act_id, f"ticket {key}")
    return act_id, contract.dataset_id


def _check_quota(conn: ops.Connection, actor: str, size: int, now: datetime) -> None:
    """What an account hands in within 24 hours: TEILHABE_DESK_UPLOADS_PER_DAY files, TEILHABE_DESK_MB_PER_DAY together."""
    most = int(number_from_environment("TEILHABE_DESK_UPLOADS_PER_DAY", 200))
    megabytes = int(number_from_environment("TEILHABE_DESK_MB_PER_DAY", 1_000))
    # One after the other: two uploads at once must not both find the last place.
    conn.execute("select pg_advisory_xact_lock(hashtext('teilhabe.quota.' || %s))", (actor,))
    count, total = queries.uploaded_since(conn, actor, now - timedelta(hours=24))
    if count >= most:
        raise TeilhabeError(
            f"Mit diesem Konto sind in den letzten 24 Stunden schon {count} Dateien abgegeben worden, mehr sind nicht "
            "vorgesehen. Bitte morgen fortsetzen oder mit der Koordinierungsstelle sprechen."
        )
    if total + size > megabytes * 1_000_000:
        raise TeilhabeError(
            f"Mit dieser Datei wären in 24 Stunden mehr als {megabytes} MB abgegeben, mehr ist nicht vorgesehen. Bitte morgen "
            "fortsetzen oder mit der Koordinierungsstelle sprechen."
        )


def _sender(who: Account, contract: Contract, code: str) -> str | None:
    """The municipality a file is from, if any is named; an account of one hands in for that one."""
    if not contract.senders:
        return None
    own = [one.territory_code for one in contract.senders if _is_own(who, one.territory_code)]
    if code in own:
        return code
    if code:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Ihr Konto darf für diese Gemeinde nichts abgeben.")
    if who.senders and len(own) > 1:
        raise TeilhabeError("Bitte wählen, für welche Gemeinde die Datei ist.")
    return own[0] if who.senders else None


def _replaced(desk: Desk, who: Account, contract: Contract, number: str) -> int | None:
    if not number.isdecimal():
        return None
    with desk.session() as conn:
        found = queries.delivery(conn, desk.scope(who), int(number))
    if found is None or found["dataset_id"] != contract.dataset_id:
        raise HTTPException(status.HTTP_404_NOT_FOUND)
    return int(number)


def _period(code: str) -> str | None:
    """What the page said the file is about, where it is a period at all."""
    return code if period_end(code) is not None else None


def _is_own(who: Account, territory_code: str) -> bool:
    return not who.senders or territory_code in who.senders


def _text(given: FormData, name: str) -> str:
    value = given.get(name)
    # No text of the database can hold the sign NUL.
    text = value.replace("\0", "").strip() if isinstance(value, str) else ""
    if len(text) > NOTE_CHARACTERS:
        raise IncidentError(f"Der Text ist zu lang; bitte höchstens {NOTE_CHARACTERS} Zeichen.")
    return text


def _date(given: FormData, name: str) -> date:
    try:
        return date.fromisoformat(_text(given, name))
    except ValueError:
        raise IncidentError("Bitte den Tag angeben, bis zu dem die Ausnahme gilt.") from None
