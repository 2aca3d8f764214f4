"""The housekeeping DAG: once a day what is over its period goes, logs and Airflow's own database included (retention.yml)."""

from __future__ import annotations

from airflow.sdk import DAG, task

from teilhabe.airflow.deliveries import RETRIES
from teilhabe.airflow.names import HOUSEKEEPING_DAG

AT_NIGHT = "40 3 * * *"


def housekeeping_dag() -> DAG:
    """One task: apply the periods."""
    with DAG(
        dag_id=HOUSEKEEPING_DAG,
        description="Periods of retention, logs, Airflow's own database",
        doc_md=__doc__,
        schedule=AT_NIGHT,
        catchup=False,
        max_active_runs=1,
        tags=["housekeeping"],
        default_args={"owner": "teilhabe", **RETRIES},
    ) as dag:

        @task(doc_md="Removes what is over its period: `teilhabe retention --dry-run` says beforehand what that is.")
        def tidy() -> int:
            from teilhabe.airflow import runtime

            return runtime.tidy()

        tidy()
    return dag
