"""What a failed task tells the operators. The offices' own faults are none of their business: those are verdicts."""

from __future__ import annotations

from typing import Any

OFFICES_FAULT = "refusals"
"""The task that fails because a delivery was refused."""


def tell_operators(context: Any) -> None:
    """Callback of every task that has failed for good: once per DAG, task and day."""
    instance = context["ti"]
    if instance.task_id == OFFICES_FAULT:
        return
    from teilhabe.airflow import runtime
    from teilhabe.errors import FullError, SourceError, TeilhabeError
    from teilhabe.landing import room

    error = context.get("exception")
    if isinstance(error, FullError):
        runtime.alert(room.SUBJECT, str(error), room.ALERT)
        return
    if isinstance(error, SourceError):
        subject, key = f"Quelle nicht erreichbar: {instance.dag_id}", f"source:{instance.dag_id}"
    else:
        subject, key = f"DAG fehlgeschlagen: {instance.dag_id}", f"dag:{instance.dag_id}:{instance.task_id}"
    # Only sentences of our own: the text of an unforeseen error may quote a file.
    what = (error.in_full or str(error)) if isinstance(error, TeilhabeError) else type(error).__name__
    text = f"Task {instance.task_id}, Lauf {instance.run_id}, Versuch {instance.try_number}: {what}"
    runtime.alert(subject, text, key)
