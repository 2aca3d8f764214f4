"""What is over its period goes. The work is described in ``teilhabe.airflow.housekeeping_dag``."""

from teilhabe.airflow.housekeeping_dag import housekeeping_dag

dag = housekeeping_dag()
