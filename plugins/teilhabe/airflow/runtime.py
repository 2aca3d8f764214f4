"""What the tasks do: the pipeline's steps with Airflow's connections. Imported inside running tasks only."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow.sdk import Connection, get_current_context
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

from teilhabe import building, pipeline
from teilhabe.errors import ContractError
from teilhabe.landing import Credentials
from teilhabe.settings import Settings, get_settings

log = logging.getLogger(__name__)

WAREHOUSE_CONNECTION = "warehouse"

_BURST_SECONDS = 300


def poll(dataset_id: str) -> dict[str, Any]:
    """What waits for this dataset; empty (the run ends here) when nothing does or the register goes first."""
    settings = _settings()
    contract = pipeline.contract(settings, dataset_id)
    if not pipeline.installed(settings, contract):
        pipeline.install(settings)
    if contract.agency != pipeline.REGISTER_AGENCY and pipeline.register_waits(settings):
        return {}
    waiting = pipeline.poll(settings, contract, credentials)
    unfinished = pipeline.unfinished(settings, dataset_id)
    return {"waiting": [w.to_json() for w in waiting], "unfinished": unfinished} if waiting or unfinished else {}


def archive(dataset_id: str, waiting: list[dict[str, Any]]) -> None:
    settings = _settings()
    found = [pipeline.Waiting.from_json(w) for w in waiting]
    pipeline.archive(settings, pipeline.contract(settings, dataset_id), found, credentials)


def judge(dataset_id: str) -> dict[str, str]:
    settings = _settings()
    states = pipeline.judge(settings, pipeline.contract(settings, dataset_id), _run_id())
    return {str(number): state for number, state in states.items()}


def load(dataset_id: str) -> list[int]:
    settings = _settings()
    return pipeline.load(settings, pipeline.contract(settings, dataset_id), _run_id())


def refusals(states: Mapping[str, str]) -> list[str]:
    return pipeline.refused(_settings(), {int(number): state for number, state in states.items()})


def renew_calendar() -> int:
    """How many deliveries are overdue; each is one line of the log."""
    overdue = pipeline.refresh_calendar(_settings())
    for sentence in overdue:
        log.warning("overdue: %s", sentence)
    return len(overdue)


def new_deliveries() -> list[int]:
    return building.new_deliveries(_settings())


def open_build(*, force: bool = False) -> int:
    """Open a build for everything that is loaded, once the deliveries under way have arrived: a burst is one build."""
    settings = _settings()
    until = time.monotonic() + _BURST_SECONDS
    while pipeline.under_way(settings) and time.monotonic() < until:
        time.sleep(1)
    return building.open_build(settings, _run_id(), force=force)


def build_layer(build_id: int, layer: str) -> None:
    building.build_layer(_settings(), build_id, layer, _run_id())


def close_build(build_id: int) -> None:
    building.close_build(_settings(), build_id)


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
