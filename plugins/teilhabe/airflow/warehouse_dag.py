"""The warehouse DAG: runs when any raw table got something new, builds layer by layer, ends green only when tests pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.sdk import DAG, AssetAny, get_current_context, task

from teilhabe.airflow.deliveries import RETRIES, asset
from teilhabe.airflow.names import WAREHOUSE_DAG
from teilhabe.building import LAYERS


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

        @task.short_circuit(
            doc_md="Opens a build for the deliveries no build has taken in yet; ends here if there are none."
        )
        def whats_new() -> int | None:
            from teilhabe.airflow import runtime

            forced = bool((get_current_context()["dag_run"].conf or {}).get("force"))
            return runtime.open_build(force=forced) if forced or runtime.new_deliveries() else None

        def layer_task(layer: str, build_id: Any) -> Any:
            @task(task_id=f"build_{layer}", doc_md=f"dbt build of the layer {layer}, tests included.")
            def build(build_id: int) -> None:
                from teilhabe.airflow import runtime

                runtime.build_layer(build_id, layer)

            return build(build_id)

        @task(doc_md="Only now the deliveries count as built.")
        def close(build_id: int) -> None:
            from teilhabe.airflow import runtime

            runtime.close_build(build_id)

        # At definition time a call returns a reference to the result, which the signature cannot say.
        build_id: Any = whats_new()
        previous: Any = build_id
        for layer in LAYERS:
            current = layer_task(layer, build_id)
            previous >> current
            previous = current
        previous >> close(build_id)
    return dag
