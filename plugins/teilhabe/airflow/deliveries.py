"""One DAG per dataset, all of one shape, made from the contracts: poll, archive, judge, load, announce.

Nothing but the contract goes into a DAG, in a fixed order, so that parsing twice gives the same DAG and no new version.
All work happens inside the tasks, which batch whatever waits: twenty files dropped at once are one run.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, ExceptionRetryPolicy, RetryAction, RetryRule, get_parsing_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from teilhabe.airflow.names import delivery_dag_id
from teilhabe.contracts import SUFFIX, Contract, load_contract, load_contracts

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
    "retries": 4,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": NETWORK_ERRORS_ONLY,
}


def asset(dataset_id: str) -> Asset:
    """The raw table of a dataset: an event on it says that something new was loaded."""
    return Asset(name=f"raw.{dataset_id}", uri=f"teilhabe://raw/{dataset_id}", group="raw")


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

        @task.short_circuit(doc_md="What may be fetched now, and what an earlier run left unfinished.")
        def poll() -> dict[str, Any]:
            from teilhabe.airflow import runtime

            return runtime.poll(dataset_id)

        @task(doc_md="Keeps the bytes for good, with a manifest; the same bytes again are a duplicate.")
        def archive(found: dict[str, Any]) -> None:
            from teilhabe.airflow import runtime

            runtime.archive(dataset_id, found["waiting"])

        @task(doc_md="Reads and validates every delivery that waits for a verdict.")
        def judge() -> dict[str, str]:
            from teilhabe.airflow import runtime

            return runtime.judge(dataset_id)

        @task(doc_md="Copies what was accepted into the raw table, each delivery in one transaction.")
        def load() -> list[int]:
            from teilhabe.airflow import runtime

            return runtime.load(dataset_id)

        @task(outlets=[asset(dataset_id)], doc_md="Tells the warehouse that there is something new.")
        def announce(loaded: list[int]) -> None:
            if not loaded:
                raise AirflowSkipException("nothing new was loaded")

        @task(trigger_rule="all_done", retries=0, doc_md="Fails when a delivery was refused, and says why.")
        def refusals(states: dict[str, str] | None) -> None:
            from teilhabe.airflow import runtime

            sentences = runtime.refusals(states or {})
            if sentences:
                raise AirflowFailException(" | ".join(sentences))

        # At definition time calls return references to results, which the signatures cannot say.
        found: Any = poll()
        states: Any = judge()
        loaded: Any = load()
        archived = archive(found)
        archived >> states >> loaded
        loaded >> refusals(states)
        announce(loaded)
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
