"""The pages people look at. Nothing here changes anything, except that taking out an original is written down."""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import astuple
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response, status
from fastapi.responses import FileResponse, HTMLResponse
from starlette.background import BackgroundTask

from teilhabe import landing
from teilhabe.airflow.names import APPROVALS_DAG
from teilhabe.contract.model import Contract
from teilhabe.desk import handing_in, matrix, metrics, queries, words
from teilhabe.desk.accounts import Account
from teilhabe.desk.core import Desk, root_of
from teilhabe.errors import TeilhabeError
from teilhabe.findings import contradictions, list_contradictions
from teilhabe.landing.passing_bytes import passing_folder
from teilhabe.ops import excluded_rows
from teilhabe.ops.incident_answers import last_waiver_day
from teilhabe.server import connecting
from teilhabe.system import harmless

PAGE_ROWS = 50
EXCLUDED_SHOWN = 20
CONTRADICTIONS_SHOWN = 50
"""Per measure and pair of datasets."""
DUE_AHEAD = timedelta(days=92)
DUE_ROWS = 500

_STATIC = ("desk.css", "desk.js", "icon.svg")
_DONE = {
    "acknowledged": "Die Beanstandung ist in Arbeit genommen.",
    "waived": "Die Ausnahme ist zugelassen.",
    "noted": "Die Notiz ist gespeichert.",
    "accept-without-rows": "Entschieden: Die Lieferung wird ohne ihre fehlerhaften Stellen übernommen, sobald sie noch einmal geprüft ist.",
    "reject": "Entschieden: Die Lieferung bleibt zurückgewiesen. Ihre Beanstandungen sind geschlossen.",
    "withdrawn": "Die Lieferung ist zurückgezogen. Der nächste Aufbau des Bestands nimmt ihre Zahlen heraus.",
}
_NOT_FOUND = HTTPException(status.HTTP_404_NOT_FOUND)


def routes(desk: Desk, account: Callable[..., Account]) -> APIRouter:
    """All routes that show something."""
    router = APIRouter(default_response_class=HTMLResponse)
    asking = Depends(account)
    for add in (_overviews, _deliveries, _incidents, _messages, _machine_readable):
        add(router, desk, asking)
    router.include_router(handing_in.routes(desk, account))
    return router


def _overviews(router: APIRouter, desk: Desk, asking: Any) -> None:
    @router.get("/")
    def start(
        request: Request, who: Account = asking, office: str = "", state: str = "", more: bool = False
    ) -> Response:
        """What an office has to do; for everybody else the matrix."""
        if desk.is_of_office(who):
            return handing_in.page(desk, request, who)
        return overview(request, who, office, state, more)

    @router.get("/overview")
    def overview(
        request: Request, who: Account = asking, office: str = "", state: str = "", more: bool = False
    ) -> Response:
        """The matrix."""
        scope, today = desk.scope(who), desk.today()
        visible = desk.visible(who)
        chosen = [contract for contract in visible.values() if not office or contract.office == office]
        with desk.session() as conn:
            cells = queries.matrix(conn, scope, matrix.windows(chosen, today, more=more), today)
            incidents = queries.open_incidents(conn, scope)
            is_demo = queries.holds_demo(conn)
        tables, tally = matrix.boards(
            chosen, cells, incidents, today, root_of(request),
            more=more, senders=scope.senders, state=state if state in words.CELL_STATES else None,
        )  # fmt: skip
        return desk.page(
            request, who, "matrix.html",
            boards=tables, tally=tally, offices=sorted({contract.office for contract in visible.values()}),
            office=office, state=state, more=more, open_count=sum(incidents.values()), is_demo=is_demo,
        )  # fmt: skip

    @router.get("/due")
    def due(request: Request, who: Account = asking) -> Response:
        """What is overdue, what is due, what comes next."""
        today = desk.today()
        with desk.session() as conn:
            rows = queries.due(conn, desk.scope(who), today, until=today + DUE_AHEAD, limit=DUE_ROWS + 1)
        return desk.page(
            request, who, "due.html",
            rows=rows[:DUE_ROWS], is_more=len(rows) > DUE_ROWS, most=DUE_ROWS, contracts=desk.contracts(),
        )  # fmt: skip

    @router.get("/contradictions")
    def contradictory(request: Request, who: Account = asking) -> Response:
        """What datasets and official lists say against each other, as the last published build has it; for the county's own accounts."""
        if not desk.is_of_county(who):
            raise _NOT_FOUND
        with desk.session() as conn:
            is_demo = queries.holds_demo(conn)
        return desk.page(
            request, who, "contradictions.html",
            pairs=contradictions.pairs(desk.settings, numbers=CONTRADICTIONS_SHOWN), most=CONTRADICTIONS_SHOWN, is_demo=is_demo,
            lists=list_contradictions.found(desk.settings),
        )  # fmt: skip

    @router.get("/scorecards")
    def scorecards(request: Request, who: Account = asking, year: int = 0) -> Response:
        """How the offices deliver, as the last published build has it."""
        rows: list[queries.Row] | None = None
        with connecting.connect("analyst", desk.settings) as conn:
            try:
                rows = queries.scorecards(conn, desk.scope(who))
            except psycopg.errors.UndefinedTable:
                rows = None
        years = sorted({row["year"] for row in rows or []}, reverse=True)
        shown = year if year in years else next(iter(years), 0)
        return desk.page(
            request, who, "scorecards.html",
            rows=[row for row in rows or [] if row["year"] == shown], years=years, year=shown, is_built=rows is not None,
        )  # fmt: skip


def _deliveries(router: APIRouter, desk: Desk, asking: Any) -> None:
    @router.get("/deliveries")
    def deliveries(
        request: Request,
        who: Account = asking,
        dataset: str | None = None,
        state: str | None = None,
        page: int = Query(1, ge=1, le=100_000),
    ) -> Response:
        """What arrived, newest first."""
        with desk.session() as conn:
            rows = queries.deliveries(
                conn, desk.scope(who),
                dataset_id=dataset or None, state=state or None, limit=PAGE_ROWS + 1, offset=(page - 1) * PAGE_ROWS,
            )  # fmt: skip
        shown = [one for row in rows[:PAGE_ROWS] for one in desk.repeatable(who, row["dataset_id"], [row])]
        return desk.page(
            request, who, "deliveries.html",
            rows=shown, page=page, is_more=len(rows) > PAGE_ROWS, dataset=dataset, state=state,
            datasets=_titles(desk, who), may_upload=any(who.may_hand_in(name) for name in desk.visible(who)),
        )  # fmt: skip

    @router.get("/deliveries/{delivery_id}")
    def delivery(
        request: Request,
        delivery_id: int,
        who: Account = asking,
        page: int = Query(1, ge=1, le=100_000),
        done: str = "",
    ) -> Response:
        """One delivery's story."""
        return delivery_page(desk, request, who, delivery_id, page=page, done=_DONE.get(done))

    def spreadsheet(delivery_id: int, who: Account, listed: Callable[..., list[queries.Row]], name: str) -> Response:
        with desk.session() as conn:
            found = queries.delivery(conn, desk.scope(who), delivery_id)
            if found is None:
                raise _NOT_FOUND
            rows = listed(conn, delivery_id)
        table = _TABLES[name](
            desk.repeatable(who, found["dataset_id"], rows), desk.contracts().get(found["dataset_id"])
        )
        return Response(
            _csv(table),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="Lieferung_{delivery_id}_{name}.csv"'},
        )

    @router.get("/deliveries/{delivery_id}/findings.csv")
    def findings_list(delivery_id: int, who: Account = asking) -> Response:
        """Every finding with every row of evidence, for a spreadsheet."""
        return spreadsheet(delivery_id, who, queries.all_evidence, "Befunde")

    @router.get("/deliveries/{delivery_id}/held-back.csv")
    def excluded_list(delivery_id: int, who: Account = asking) -> Response:
        """Every row that is left out, with the reason and what was read of it."""
        return spreadsheet(delivery_id, who, excluded_rows.listed, "nicht_uebernommen")

    @router.get("/deliveries/{delivery_id}/original")
    def original(delivery_id: int, who: Account = asking) -> Response:
        """The file as received. It may hold more than the warehouse shows, so it takes the right to hand in."""
        with ExitStack() as stack:
            conn = stack.enter_context(desk.session())
            found = queries.delivery(conn, desk.scope(who), delivery_id)
            if found is None:
                raise _NOT_FOUND
            who.require_hand_in(found["dataset_id"])
            if found["tombstone"]:
                raise HTTPException(
                    status.HTTP_410_GONE, f"Das Original wird nicht mehr aufbewahrt. {found['removal_reason']}"
                )
            until_sent = stack.enter_context(ExitStack())
            folder = until_sent.enter_context(passing_folder(desk.settings))
            try:
                path = landing.Archive(desk.settings.archive_url).local(found["sha256"], folder)
            except TeilhabeError:
                raise HTTPException(
                    status.HTTP_404_NOT_FOUND,
                    "Die Datei ist im Archiv nicht zu finden. Bitte die Technik verständigen.",
                ) from None
            queries.record_act(
                conn,
                at=desk.now(),
                actor=who.name,
                action="downloaded",
                dataset_id=found["dataset_id"],
                sender_code=found["sender_code"],
                delivery_id=delivery_id,
                file_name=found["file_name"],
                size_bytes=found["size_bytes"],
                sha256=found["sha256"],
            )
            sent = until_sent.pop_all()
        return FileResponse(
            path,
            media_type="application/octet-stream",
            filename=found["file_name"].rsplit("/", 1)[-1],
            background=BackgroundTask(sent.close),
        )


def _incidents(router: APIRouter, desk: Desk, asking: Any) -> None:
    @router.get("/incidents")
    def incidents(
        request: Request,
        who: Account = asking,
        state: str = "unresolved",
        severity: str | None = None,
        dataset: str | None = None,
        sender: str | None = None,
        order: str = "severity",
        page: int = Query(1, ge=1, le=100_000),
    ) -> Response:
        """All incidents, those that wait for somebody first."""
        states = {"unresolved": words.OPEN_INCIDENTS, "all": None}.get(state, (state,))
        with desk.session() as conn:
            rows = queries.incidents(
                conn, desk.scope(who),
                states=states, severity=severity or None, dataset_id=dataset or None, sender_code=sender or None,
                order=order if order in queries.INCIDENT_ORDER else "severity",
                limit=PAGE_ROWS, offset=(page - 1) * PAGE_ROWS,
            )  # fmt: skip
        if page > 1 and not rows:
            raise _NOT_FOUND
        shown = [one for row in rows for one in desk.repeatable(who, row["dataset_id"], [row])]
        return desk.page(
            request, who, "incidents.html",
            rows=shown, page=page, pages=_pages(rows), state=state, severity=severity, dataset=dataset, sender=sender,
            order=order, datasets=_titles(desk, who),
        )  # fmt: skip

    @router.get("/incidents/{incident_id}")
    def incident(request: Request, incident_id: int, who: Account = asking, done: str = "") -> Response:
        """One incident with its history and what can be done."""
        return incident_page(desk, request, who, incident_id, done=_DONE.get(done))


def _messages(router: APIRouter, desk: Desk, asking: Any) -> None:
    @router.get("/messages")
    def messages(
        request: Request, who: Account = asking, state: str | None = None, page: int = Query(1, ge=1, le=100_000)
    ) -> Response:
        """What went out, newest first."""
        with desk.session() as conn:
            rows = queries.messages(
                conn, desk.scope(who), state=state or None, limit=PAGE_ROWS + 1, offset=(page - 1) * PAGE_ROWS
            )
        return desk.page(
            request, who, "messages.html",
            rows=rows[:PAGE_ROWS], page=page, is_more=len(rows) > PAGE_ROWS, state=state,
        )  # fmt: skip

    @router.get("/messages/{message_id}")
    def message(request: Request, message_id: int, who: Account = asking) -> Response:
        """One message: its text as plain text; the HTML of a mail is never rendered here."""
        with desk.session() as conn:
            found = queries.message(conn, desk.scope(who), message_id)
        if found is None:
            raise _NOT_FOUND
        return desk.page(request, who, "message.html", message=found)


def _machine_readable(router: APIRouter, desk: Desk, asking: Any) -> None:
    @router.get("/metrics")
    def numbers(who: Account = asking) -> Response:
        """For Prometheus. The counts are those of all offices, so they are for accounts that see all offices."""
        if not desk.is_of_county(who):
            raise HTTPException(status.HTTP_403_FORBIDDEN, "Ihr Konto darf die Kennzahlen nicht sehen.")
        with desk.session() as conn:
            text, media_type = metrics.exposition(conn, desk.settings, desk.now())
        return Response(text, headers={"Content-Type": media_type})

    @router.get("/static/{name}")
    def static(name: str) -> Response:
        """Style, script and icon; for signed-in accounts like everything else."""
        if name not in _STATIC:
            raise _NOT_FOUND
        return Response(
            _static(name),
            media_type=mimetypes.guess_type(name)[0],
            headers={"Cache-Control": "private, max-age=300"},
        )


def delivery_page(
    desk: Desk,
    request: Request,
    who: Account,
    delivery_id: int,
    *,
    page: int = 1,
    done: str | None = None,
    problem: str | None = None,
    reason: str = "",
) -> HTMLResponse:
    """A delivery; with ``problem`` why it cannot be withdrawn (409) and the reason as it was filled in."""
    scope = desk.scope(who)
    with desk.session() as conn:
        found = queries.delivery(conn, scope, delivery_id)
        if found is None:
            raise _NOT_FOUND
        findings = queries.findings(conn, delivery_id, limit=PAGE_ROWS, offset=(page - 1) * PAGE_ROWS)
        if page > 1 and not findings:
            raise _NOT_FOUND
        steps = {row["step"]: row for row in queries.outcomes(conn, delivery_id)}
        others = queries.siblings(conn, scope, found)
        messages = queries.messages(conn, scope, delivery_id=delivery_id)
        excluded = excluded_rows.listed(conn, delivery_id, EXCLUDED_SHOWN) if found["held_back_count"] else []
    dataset_id = found["dataset_id"]
    [found] = desk.repeatable(who, dataset_id, [found])
    return desk.page(
        request, who, "delivery.html", status.HTTP_409_CONFLICT if problem else status.HTTP_200_OK,
        delivery=found, findings=desk.repeatable(who, dataset_id, findings), steps=steps,
        others=desk.repeatable(who, dataset_id, others), messages=messages,
        excluded=desk.repeatable(who, dataset_id, excluded), counts_rows=desk.counts_rows(dataset_id, found["layout"]),
        page=page, pages=_pages(findings), may_hand_in=who.may_hand_in(dataset_id),
        may_withdraw=who.decides(dataset_id), done=done, problem=problem, reason=reason,
        approvals_dag=APPROVALS_DAG, is_of_county=desk.is_of_county(who),
        bare_name=found["file_name"].rsplit("/", 1)[-1], upload_limit=desk.upload_limit,
    )  # fmt: skip


def incident_page(
    desk: Desk,
    request: Request,
    who: Account,
    incident_id: int,
    *,
    done: str | None = None,
    problem: str | None = None,
    given: dict[str, str] | None = None,
) -> HTMLResponse:
    """An incident; with ``problem`` what could not be done (409) and the form as it was filled in."""
    scope = desk.scope(who)
    with desk.session() as conn:
        found = queries.incident(conn, scope, incident_id)
        if found is None:
            raise _NOT_FOUND
        events = queries.incident_events(conn, incident_id)
        following = queries.consequences(conn, scope, incident_id)
        finding = queries.incident_evidence(conn, found)
        messages = queries.messages(conn, scope, incident_id=incident_id)
    dataset_id = found["dataset_id"]
    [found] = desk.repeatable(who, dataset_id, [found])
    return desk.page(
        request, who, "incident.html", status.HTTP_409_CONFLICT if problem else status.HTTP_200_OK,
        incident=found, events=events, following=desk.repeatable(who, dataset_id, following),
        finding=next(iter(desk.repeatable(who, dataset_id, [finding] if finding else [])), None), messages=messages,
        last_day=last_waiver_day(desk.today()), may_hand_in=who.may_hand_in(dataset_id), may_waive=who.may_waive(dataset_id),
        done=done, problem=problem, given=given or {},
    )  # fmt: skip


def _titles(desk: Desk, who: Account) -> list[tuple[str, str]]:
    return sorted(((name, one.title_de) for name, one in desk.visible(who).items()), key=lambda pair: pair[1])


def _pages(rows: list[queries.Row]) -> int:
    return -(-int(rows[0]["total"]) // PAGE_ROWS) if rows else 1


def _findings_table(rows: list[queries.Row], _: Contract | None) -> Iterator[tuple[Any, ...]]:
    yield ("Art", "Meldung", "Regel", "Blatt", "Zelle", "Zeile", "Spalte", "Gefunden", "Erwartet", "Zeilen insgesamt")
    lines: dict[tuple[Any, ...], None] = {}
    for row in rows:
        place = astuple(row["places"][0]) if row["places"] else (row["sheet"], *[None] * 5)
        lines[row["severity"], row["message"], row["rule"], *place, row["row_count"]] = None
    yield from lines


def _excluded_table(rows: list[queries.Row], contract: Contract | None) -> Iterator[tuple[Any, ...]]:
    """With the columns of the contract behind the reason."""
    columns = contract.columns if contract else []
    yield ("Blatt", "Zelle", "Zeile", "Spalte", "Grund", *(column.office_term or column.name for column in columns))
    for row in rows:
        content = row["content"] or {}
        cell = row["cell"]
        place = (row["sheet"], cell, *((None, None) if cell else (row["row_number"], row["column_number"])))
        yield (*place, row["reason"], *(content.get(column.name) for column in columns))


_TABLES: Mapping[str, Callable[..., Iterator[tuple[Any, ...]]]] = {
    "Befunde": _findings_table,
    "nicht_uebernommen": _excluded_table,
}


def _csv(lines: Iterable[tuple[Any, ...]]) -> bytes:
    """A list as German spreadsheets open it: semicolons, a byte order mark, no cell a formula."""
    out = io.StringIO()
    harmless.write_csv(out, lines, delimiter=";", line_end="\r\n")
    return out.getvalue().encode("utf-8-sig")


@cache
def _static(name: str) -> bytes:
    return files("teilhabe.desk").joinpath("static", name).read_bytes()
