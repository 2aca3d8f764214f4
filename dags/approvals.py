"""Questions about deliveries with warnings. The work is described in ``teilhabe.airflow.approvals_dag``."""

from teilhabe.airflow.approvals_dag import approvals_dag

dag = approvals_dag()
