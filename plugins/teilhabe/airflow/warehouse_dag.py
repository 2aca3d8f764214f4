"""The warehouse DAG: runs when any raw table got something new, builds all layers, ends green only when their tests pass."""

from __future__ import annotations

from collections.abc import Iterable

from airflow.sdk import DAG, AssetAny, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from teilhabe.airflow.deliveries import LONG_WORK, RETRIES, asset
from teilhabe.airflow.names import WAREHOUSE_DAG


def warehouse_dag(dataset_ids: Iterable[str]) -> DAG:
    """Waits for the raw tables of ``dataset_ids``. Asset events merge while it runs, so it asks ``ops`` what is new."""
    with DAG(
        dag_id=WAREHOUSE_DAG,
        description="Raw tables -> staging -> intermediate -> marts (dbt)",
        doc_md=__doc__,
        schedule=AssetAny(*(asset(dataset_id) for dataset_id in sorted(dataset_ids))),
        catchup=False,
        max_active_runs=1,
        tags=["warehouse"],
        default_args={"owner": "teilhabe", **RETRIES},
    ) as dag:

        @task(
            execution_timeout=LONG_WORK,
            doc_md="One dbt build of staging, intermediate and marts with their tests, for the deliveries no build has taken "
            "in yet; only when all of it passed they count as built. The layers are rows of ops.outcome.",
        )
        def build() -> None:
            from teilhabe.airflow import runtime

            forced = bool((get_current_context()["dag_run"].conf or {}).get("force"))
            if not runtime.build(force=forced):
                raise AirflowSkipException("no delivery that is not built")

        build()
    return dag
