"""One DAG per dataset, all of one shape, made from the contracts: poll, archive, judge, load, tell the warehouse.

Nothing but the contract goes into a DAG, in a fixed order, so that parsing twice gives the same DAG and no new version.
All of it is one task, which batches whatever waits: a process start costs more than a file, and what was read once need not
be fetched again. The steps are rows of ``ops.outcome``, each file's and each one's.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import (
    DAG,
    Asset,
    AssetAlias,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
    get_parsing_context,
    task,
)
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from teilhabe.airflow.failures import tell_operators
from teilhabe.airflow.names import delivery_dag_id
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import SUFFIX, load_contract, load_contracts

POLL = "*/15 * * * *"

NETWORK_ERRORS_ONLY = ExceptionRetryPolicy(
    rules=[
        RetryRule("teilhabe.errors.SourceError", RetryAction.RETRY, reason="the source did not answer"),
        RetryRule("teilhabe.errors.UnreachableError", RetryAction.RETRY, reason="the database did not answer"),
        RetryRule("psycopg.OperationalError", RetryAction.RETRY, reason="the database broke off"),
        RetryRule([ConnectionError, TimeoutError], RetryAction.RETRY, reason="the network broke off"),
    ],
    default=RetryAction.FAIL,
)
"""A wrong contract or a bug does not go away by trying again; a network does."""

RETRIES: dict[str, Any] = {
    "on_failure_callback": tell_operators,
    "retries": 4,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": NETWORK_ERRORS_ONLY,
    "execution_timeout": timedelta(hours=1),
}
"""Of every task; what may work longer says so."""

LONG_WORK = timedelta(hours=12)
"""After so long a task is stuck, whatever it does: a backfill of years takes hours, nothing takes a day."""


def asset(dataset_id: str) -> Asset:
    """The raw table of a dataset: an event on it says that something new was loaded."""
    return Asset(name=f"raw.{dataset_id}", uri=f"teilhabe://raw/{dataset_id}", group="raw")


def loaded(dataset_id: str) -> AssetAlias:
    """What the task may announce: an alias stands for its asset only in runs that loaded something."""
    return AssetAlias(name=f"loaded.{dataset_id}", group="raw")


def contracts_to_parse(agencies: Path) -> list[Contract]:
    """All contracts; in a process that runs one task of one DAG, only the contract of that DAG."""
    dag_id = get_parsing_context().dag_id
    for path in sorted(agencies.glob(f"*/*{SUFFIX}")) if dag_id else []:
        if dag_id == delivery_dag_id(f"{path.parent.name}__{path.name.removesuffix(SUFFIX)}"):
            return [load_contract(path)]
    return list(load_contracts(agencies).values())


def delivery_dag(contract: Contract) -> DAG:
    """The DAG of one contract."""
    dataset_id = contract.dataset_id
    with DAG(
        dag_id=delivery_dag_id(dataset_id),
        dag_display_name=f"{dataset_id} – {contract.title_de}",
        description=f"Lieferungen: {contract.title_de} ({contract.office})",
        doc_md=describe(contract),
        schedule=POLL,
        catchup=False,
        max_active_runs=1,
        tags=sorted({"delivery", contract.agency, contract.calendar.frequency, *contract.tags}),
        default_args={"owner": contract.office.replace(",", " "), **RETRIES},
    ) as dag:

        @task.short_circuit(
            execution_timeout=LONG_WORK,
            outlets=[loaded(dataset_id)],
            doc_md="Fetches what waits, keeps its bytes for good, judges each file, copies what was accepted into the raw "
            "table (each in one transaction) and tells the warehouse. Goes on to `refusals` if something was refused.",
        )
        def deliver() -> int:
            from teilhabe.airflow import runtime

            done = runtime.deliver(dataset_id)
            if done is None:
                raise AirflowSkipException("nothing waits")
            if done.to_build:
                get_current_context()["outlet_events"][loaded(dataset_id)].add(asset(dataset_id))
            return done.refused

        @task(retries=0, doc_md="Fails when a delivery was refused, and says why.")
        def refusals() -> None:
            from teilhabe.airflow import runtime

            raise AirflowFailException(" | ".join(runtime.refusals(dataset_id)))

        # At definition time a call returns a reference to the result, which the signature cannot say.
        delivered: Any = deliver()
        delivered >> refusals()
    return dag


def describe(contract: Contract) -> str:
    """The contract as the page people see in Airflow."""
    calendar = contract.calendar
    lines = [
        f"### {contract.title_de}",
        "",
        contract.purpose,
        "",
        "| | |",
        "|---|---|",
        f"| Dataset | `{contract.dataset_id}` (contract {contract.version}) |",
        f"| Office | {contract.office}, {contract.contact} |",
        f"| Calendar | {calendar.frequency}, reference {calendar.reference}, due {calendar.lag_days} days later "
        f"(+ {calendar.grace_days} days of grace) |",
        f"| Levels | {', '.join(contract.levels)} |",
        f"| Layouts | {', '.join(f'{layout.name} ({layout.reader})' for layout in contract.layouts)} |",
        f"| Secrecy | method {contract.secrecy_method}, symbols {contract.symbol_regime} |",
        f"| Licence | {contract.licence}: {contract.attribution} |",
        "",
        "| column | the office's term | meaning |",
        "|---|---|---|",
        *(f"| `{c.name}` | {c.office_term} | {c.description_en} |" for c in contract.columns),
    ]
    if contract.limitations:
        lines += ["", contract.limitations]
    return "\n".join(lines)
