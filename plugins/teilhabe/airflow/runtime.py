"""What the tasks do: the pipeline's steps with Airflow's connections. Imported inside running tasks only."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Connection, get_current_context
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

from teilhabe import ops
from teilhabe.airflow.names import WAREHOUSE_CONNECTION, delivery_dag_id
from teilhabe.building import building
from teilhabe.contract import lookup
from teilhabe.decisions import approvals
from teilhabe.errors import ContractError, TeilhabeError
from teilhabe.keeping import housekeeping, retention
from teilhabe.landing import Credentials
from teilhabe.messages import alerts
from teilhabe.messages.policy import load_policy
from teilhabe.ops import schema
from teilhabe.pipeline import archiving, installing, taking_in
from teilhabe.pipeline.follow_up import follow_up
from teilhabe.pipeline.waiting import (
    REGISTER_AGENCY,
    poll,
    refused,
    register_stuck,
    register_waits,
    under_way,
    unfinished,
)
from teilhabe.raw import loading
from teilhabe.settings import Settings, get_settings
from teilhabe.system.discretion import discreetly

log = logging.getLogger(__name__)

_BURST_SECONDS = 300
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Delivered:
    """What a run did: whether the warehouse has something to build, and how many deliveries were refused."""

    to_build: bool
    refused: int


@discreetly()
def deliver(dataset_id: str) -> Delivered | None:
    """All steps for one dataset; None when nothing waits, or when the register goes first."""
    settings = _ready()
    contract = lookup.contract(settings, dataset_id)
    if not installing.installed(settings, contract):
        installing.install(settings)
    if contract.agency != REGISTER_AGENCY:
        if register_waits(settings):
            return None
        if (stuck := register_stuck(settings, datetime.now(UTC))) is not None:
            alert("Das Gemeindeverzeichnis kommt nicht an", stuck, "register_stuck")
    unheard: list[TeilhabeError] = []
    waiting = poll(settings, contract, credentials, unheard)
    if not waiting and not unfinished(settings, dataset_id):
        if unheard:
            raise unheard[0]
        return None
    try:
        if waiting:
            archiving.archive(settings, contract, waiting, credentials)
    finally:
        # What could be fetched goes on, whatever became of the rest; and whatever became of it, the office hears.
        try:
            taking_in.take_in(settings, contract, _run_id())
        finally:
            _tell_offices(settings)
    for error in unheard:  # what came from elsewhere is announced all the same
        alert(
            f"Quelle nicht erreichbar: {delivery_dag_id(dataset_id)}",
            str(error),
            f"source:{delivery_dag_id(dataset_id)}",
        )
    return Delivered(building.waits(settings, dataset_id), len(refused(settings, dataset_id, _run_id())))


@discreetly()
def refusals(dataset_id: str) -> list[str]:
    return refused(_ready(), dataset_id, _run_id())


@discreetly()
def questions() -> list[dict[str, Any]]:
    """Arguments of one `PublishAnyway` per delivery nobody has been asked about yet."""
    settings = _ready()
    with loading.session(settings) as conn:
        taken = ops.take_questions(conn, _run_id())
        evidence = {question.delivery_id: ops.findings(conn, question.delivery_id) for question in taken}
    known = lookup.contracts(settings)
    return [
        {
            "delivery_id": question.delivery_id,
            "subject": f"{known[question.dataset_id].title_de}: „{question.file_name}“ trotz Warnungen übernehmen?",
            "body": approvals.body(question, evidence[question.delivery_id], known[question.dataset_id]),
            "response_timeout": max(question.expires_at - datetime.now(UTC), timedelta(seconds=1)),
        }
        for question in taken
    ]


@discreetly()
def answer(delivery_id: int, *, publish: bool, actor: str) -> bool:
    """Record what a person decided about a delivery; False when it was decided before."""
    with loading.session(_ready()) as conn:
        return ops.answer(conn, delivery_id, publish=publish, actor=actor)


@discreetly()
def renew_calendar() -> int:
    """How many deliveries are overdue; each is one line of the log, and its office is told."""
    settings, now = _ready(), datetime.now(UTC)
    overdue = installing.refresh_calendar(settings, now)
    for sentence in overdue:
        log.warning("overdue: %s", sentence)
    follow_up(settings, now, credentials, calendar=True)
    return len(overdue)


@discreetly()
def send_messages() -> int:
    """Follow up what is left, send what waits, look after the disk; returns how many messages went out."""
    settings = _ready()
    now = datetime.now(UTC)
    policy = load_policy(settings, credentials)
    with loading.session(settings) as conn:
        alerts.check_disk(conn, policy, now)
    sent = follow_up(settings, now, credentials)
    for problem in sent.problems:
        log.error(problem)
    return sent.sent


@discreetly()
def tidy() -> int:
    """Apply all periods of retention; each kind that lost something is one line of the log. Returns how much went."""
    settings, now = _ready(), datetime.now(UTC)
    applied = [*retention.apply(settings, now), *housekeeping.apply(settings, now)]
    for one in applied:
        if one.count:
            log.info("%s: %d removed after %s days", one.kind, one.count, one.days)
    return sum(one.count for one in applied)


def alert(subject: str, text: str, key: str) -> None:
    """Tell the operators, at once if the channel lets us. Never raises: it is called where something else went wrong."""
    try:
        settings = _settings()
        alerts.raise_alert(settings, credentials, subject, text, key, datetime.now(UTC))
    except Exception as error:
        log.error("alert %s could not be written: %s", key, type(error).__name__)


@discreetly()
def build(*, force: bool = False) -> bool:
    """Build everything that is loaded, once the deliveries under way have arrived: a burst is one build."""
    settings = _ready()
    if not force and not building.is_due(settings):
        return False
    until = time.monotonic() + _BURST_SECONDS
    while under_way(settings) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    build_id = building.build(settings, _run_id(), force=force)
    with loading.session(settings) as conn:
        held = ops.held_by(conn, build_id)
    for number, dataset_id, file_name, reason in held:
        text = (
            f"Lieferung {number} („{file_name}“, {dataset_id}) ist angehalten: Ihre Zahlen gelten nicht, alle anderen sind "
            f"veröffentlicht. {reason} Die Lieferung zurückziehen (teilhabe withdraw {number} --reason …) oder eine "
            "berichtigte Datei abgeben; nach einer Änderung an den Regeln versucht es der nächste Aufbau von selbst."
        )
        alert(f"Lieferung {number} angehalten: {dataset_id}", text, f"held:{number}")
    _tell_contradictions(settings)
    return True


def credentials(name: str) -> Credentials:
    """An Airflow connection, from wherever Airflow keeps it."""
    try:
        found = Connection.get(name)
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        raise ContractError(f"There is no Airflow connection '{name}'.") from error
    return Credentials(
        login=found.login, password=found.password, host=found.host, port=found.port, extra=found.extra_dejson
    )


def _tell_offices(settings: Settings) -> None:
    """A message that cannot be written must not undo what was loaded; the DAG ``messages`` meets the same error and fails."""
    try:
        follow_up(settings, datetime.now(UTC), credentials)
    except Exception as error:
        log.error("offices were not told: %s", type(error).__name__)


def _tell_contradictions(settings: Settings) -> None:
    """What is published stays so, whether or not it can be told that datasets contradict each other."""
    try:
        alerts.tell_contradictions(settings, credentials, datetime.now(UTC))
    except Exception as error:
        log.error("contradictions were not told: %s", type(error).__name__)


def _ready() -> Settings:
    """The settings, once the tables look as this code expects: a running Airflow meets an update before `teilhabe init` does."""
    settings = _settings()
    with loading.session(settings) as conn:
        schema.require_current(conn)
    return settings


def _settings() -> Settings:
    """The settings; an Airflow connection ``warehouse`` counts where the environment names no server."""
    settings = get_settings()
    if settings.warehouse_url:
        return settings
    try:
        found = Connection.get(WAREHOUSE_CONNECTION)
    except (AirflowNotFoundException, AirflowRuntimeError):
        return settings
    address = found.get_uri().replace("postgres://", "postgresql://", 1)
    os.environ["TEILHABE_WAREHOUSE_URL"] = address
    return replace(settings, warehouse_url=address)


def _run_id() -> str:
    return str(get_current_context()["run_id"])
