"""Deliveries with warnings whose contract wants a person asked: "load it anyway?", with the evidence, in Airflow's own form.

A delivery DAG must not wait for people, so the questions have a DAG of their own. Without an answer a delivery is loaded when
the contract's time is over; ``ops.approval`` decides, so a run that was killed holds nothing up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

from teilhabe.airflow.deliveries import RETRIES
from teilhabe.airflow.names import APPROVALS_DAG
from teilhabe.decisions.approvals import PUBLISH, REFUSE

if TYPE_CHECKING:
    from airflow.sdk import Context

OFTEN = "*/5 * * * *"
_OPEN_RUNS = 64
"""Runs that wait at a time; each holds no process while it does."""


class PublishAnyway(HITLOperator):
    """Asks about one delivery and records the answer in ``ops.approval``; the next run of the delivery DAG acts on it."""

    def __init__(self, *, delivery_id: int, **kwargs: Any) -> None:
        super().__init__(options=[PUBLISH, REFUSE], defaults=PUBLISH, **kwargs)
        self.delivery_id = delivery_id

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        from teilhabe.airflow import runtime

        said = super().execute_complete(context, event)
        who = said["responded_by_user"]
        runtime.answer(
            self.delivery_id,
            publish=said["chosen_options"] == [PUBLISH],
            actor=(who or {}).get("name") or "teilhabe",
        )
        return said


def approvals_dag() -> DAG:
    """One task that finds whom nobody has been asked about, one question per delivery."""
    with DAG(
        dag_id=APPROVALS_DAG,
        description="Load a delivery in spite of its warnings?",
        doc_md=__doc__,
        schedule=OFTEN,
        catchup=False,
        max_active_runs=_OPEN_RUNS,
        tags=["approval"],
        default_args={"owner": "teilhabe", **RETRIES},
    ) as dag:
        # The questions name files and what is in them: for whoever answers, not for the log.
        @task(doc_md="Takes the questions nobody has been asked yet.", show_return_value_in_logs=False)
        def questions() -> list[dict[str, Any]]:
            from teilhabe.airflow import runtime

            found = runtime.questions()
            if not found:
                raise AirflowSkipException("nobody has to be asked")
            return found

        PublishAnyway.partial(task_id="publish_anyway", doc_md="Waits for a person's answer.").expand_kwargs(
            questions()
        )
    return dag
