"""Names of the DAGs, for those who define them and those who start them."""

WAREHOUSE_DAG = "warehouse"
CALENDAR_DAG = "delivery_calendar"
APPROVALS_DAG = "approvals"
MESSAGES_DAG = "messages"
HOUSEKEEPING_DAG = "housekeeping"

WAREHOUSE_CONNECTION = "warehouse"
"""The Airflow connection that counts where the environment names no server."""


def delivery_dag_id(dataset_id: str) -> str:
    """The DAG of a dataset."""
    return f"deliver__{dataset_id}"
