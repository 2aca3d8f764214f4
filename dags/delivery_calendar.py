"""What is due, overdue, silent. The work is described in ``teilhabe.airflow.calendar_dag``."""

from teilhabe.airflow.calendar_dag import calendar_dag

dag = calendar_dag()
