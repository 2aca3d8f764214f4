"""Messages to the offices and the operators. The work is described in ``teilhabe.airflow.messages_dag``."""

from teilhabe.airflow.messages_dag import messages_dag

dag = messages_dag()
