"""The messages DAG: every five minutes what waits goes out - after quiet hours, a full hour or a failed attempt.

A verdict is told by the task that made it; this one follows up what a killed task left, and looks after the disk.
"""

from __future__ import annotations

from airflow.sdk import DAG, task

from teilhabe.airflow.deliveries import RETRIES
from teilhabe.airflow.names import MESSAGES_DAG

OFTEN = "*/5 * * * *"


def messages_dag() -> DAG:
    """One task: send what is due."""
    with DAG(
        dag_id=MESSAGES_DAG,
        description="Messages to the offices and alerts to the operators",
        doc_md=__doc__,
        schedule=OFTEN,
        catchup=False,
        max_active_runs=1,
        tags=["messages"],
        default_args={"owner": "teilhabe", **RETRIES},
    ) as dag:

        @task(
            doc_md="Sends the messages of ops.message that are due, each once, and alerts when the disk is getting full."
        )
        def send() -> int:
            from teilhabe.airflow import runtime

            return runtime.send_messages()

        send()
    return dag
