"""What the tasks do: the pipeline's steps with Airflow's connections. Imported inside running tasks only."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from airflow.sdk import Connection, get_current_context
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

from teilhabe import building, pipeline
from teilhabe.errors import ContractError
from teilhabe.landing import Credentials
from teilhabe.settings import Settings, get_settings

log = logging.getLogger(__name__)

WAREHOUSE_CONNECTION = "warehouse"

_BURST_SECONDS = 300
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Delivered:
    """What a run did: whether the warehouse has something to build, and how many deliveries were refused."""

    to_build: bool
    refused: int


def deliver(dataset_id: str) -> Delivered | None:
    """All steps for one dataset; None when nothing waits, or when the register goes first."""
    settings = _settings()
    contract = pipeline.contract(settings, dataset_id)
    if not pipeline.installed(settings, contract):
        pipeline.install(settings)
    if contract.agency != pipeline.REGISTER_AGENCY and pipeline.register_waits(settings):
        return None
    waiting = pipeline.poll(settings, contract, credentials)
    if not waiting and not pipeline.unfinished(settings, dataset_id):
        return None
    try:
        if waiting:
            pipeline.archive(settings, contract, waiting, credentials)
    finally:
        # What could be fetched goes on, whatever became of the rest.
        pipeline.take_in(settings, contract, _run_id())
    return Delivered(building.waits(settings, dataset_id), len(pipeline.refused(settings, dataset_id, _run_id())))


def refusals(dataset_id: str) -> list[str]:
    return pipeline.refused(_settings(), dataset_id, _run_id())


def renew_calendar() -> int:
    """How many deliveries are overdue; each is one line of the log."""
    overdue = pipeline.refresh_calendar(_settings(), datetime.now(UTC))
    for sentence in overdue:
        log.warning("overdue: %s", sentence)
    return len(overdue)


def build(*, force: bool = False) -> bool:
    """Build everything that is loaded, once the deliveries under way have arrived: a burst is one build."""
    settings = _settings()
    if not force and not building.is_due(settings):
        return False
    until = time.monotonic() + _BURST_SECONDS
    while pipeline.under_way(settings) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    building.build(settings, _run_id(), force=force)
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
