"""The desk with Airflow's accounts: who is signed in, and which DAG rights let them see and change which datasets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, cast

import httpx
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user
from airflow.configuration import conf
from airflow.models.connection import Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.utils.session import create_session
from fastapi import Depends
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select

from teilhabe.airflow import rights
from teilhabe.airflow.gate import works_in_airflow
from teilhabe.airflow.names import APPROVALS_DAG, WAREHOUSE_CONNECTION, delivery_dag_id
from teilhabe.desk.accounts import Account, senders_of_roles
from teilhabe.desk.app import create_app
from teilhabe.desk.protection import origin_of
from teilhabe.settings import Settings, get_settings

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
    from fastapi import FastAPI


def application() -> FastAPI:
    """The desk of this Airflow."""
    return create_app(_settings(), account, start_check=start_check, origins=[origin_of(conf.get("api", "base_url"))])


# The dependency of Airflow's own routes: 401 for whoever is not signed in, by cookie or bearer token.
def account(user: Annotated[Any, Depends(get_user)]) -> Account:
    """The signed-in account."""
    manager = get_auth_manager()
    senders = senders_of_roles(role.name for role in getattr(user, "roles", []))

    def allowed(method: ResourceMethod, action: str, dataset_id: str) -> bool:
        """By a right on the desk's own resources, or by one on the DAG as Airflow's own roles have it."""
        return any(
            manager.is_authorized_custom_view(method=cast(Any, action), resource_name=resource, user=user)
            for resource in rights.resources_of(dataset_id)
        ) or manager.is_authorized_dag(method=method, details=DagDetails(id=delivery_dag_id(dataset_id)), user=user)

    return Account(
        name=user.get_name(),
        may_read=lambda dataset_id: allowed("GET", rights.READ, dataset_id),
        may_hand_in=lambda dataset_id: allowed("PUT", rights.HAND_IN, dataset_id),
        # A municipality's account never, whatever else its roles hold.
        may_waive=lambda dataset_id: not senders and allowed("PUT", rights.WAIVE, dataset_id),
        senders=senders,
        works_in_airflow=works_in_airflow(user),
        is_operator=manager.is_authorized_connection(method="GET", user=user),
        may_decide=manager.is_authorized_dag(
            method="PUT", access_entity=DagAccessEntity.HITL_DETAIL, details=DagDetails(id=APPROVALS_DAG), user=user
        ),
    )


async def start_check(account: Account, dataset_id: str) -> bool:
    """Start the delivery DAG for an account that may hand in; False where Airflow does not let us.

    The account itself need not have a right on any DAG: the desk's own starts it, and the note of the run says for whom.
    The request goes to Airflow's own route without leaving the process, so its checks and its audit log apply.
    """
    from airflow.api_fastapi.main import app as airflow

    credential = await run_in_threadpool(_own_credential)
    if credential is None:
        return False
    # An error in there must not become one here: the file has arrived, the next poll takes it.
    inside = httpx.ASGITransport(airflow, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=inside, base_url="http://desk") as client:
        answer = await client.post(
            f"/api/v2/dags/{delivery_dag_id(dataset_id)}/dagRuns",
            json={"logical_date": None, "note": f"Datei von {account.name} abgegeben"},
            headers={"Authorization": f"Bearer {credential}"},
        )
    return answer.is_success


def _own_credential() -> str | None:
    """A short-lived token of the account of commands; None where somebody disabled it."""
    from airflow.providers.fab.auth_manager.models import User

    with create_session() as session:
        found = session.scalar(select(User).where(User.username == rights.AUTOMATION))
        if found is None or not found.is_active:
            return None
        return get_auth_manager().generate_jwt(found, expiration_time_in_seconds=60)


def _settings() -> Settings:
    """The settings; an Airflow connection ``warehouse`` counts where the environment names no server."""
    settings = get_settings()
    if settings.warehouse_url:
        return settings
    try:
        found = Connection.get_connection_from_secrets(WAREHOUSE_CONNECTION)
    except AirflowNotFoundException:
        return settings
    return replace(settings, warehouse_url=found.get_uri().replace("postgres://", "postgresql://", 1))
