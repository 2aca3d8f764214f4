"""The calendar DAG: once a day the delivery calendar follows the contracts, and what stayed away becomes an incident.

A file that never comes starts no run, so the calendar and not the schedule of a delivery DAG tells what is missing.
"""

from __future__ import annotations

from airflow.sdk import DAG, task

from teilhabe.airflow.deliveries import RETRIES
from teilhabe.airflow.names import CALENDAR_DAG

EARLY = "30 5 * * *"


def calendar_dag() -> DAG:
    """One task: renew ``ops.delivery_calendar``, tell what is overdue."""
    with DAG(
        dag_id=CALENDAR_DAG,
        description="What is due, overdue, silent",
        doc_md=__doc__,
        schedule=EARLY,
        catchup=False,
        max_active_runs=1,
        tags=["calendar"],
        default_args={"owner": "teilhabe", **RETRIES},
    ) as dag:

        @task(
            doc_md="Renews ops.delivery_calendar from the contracts, opens and closes its incidents, logs what is overdue."
        )
        def renew() -> int:
            from teilhabe.airflow import runtime

            return runtime.renew_calendar()

        renew()
    return dag
