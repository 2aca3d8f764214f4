"""One DAG per dataset contract. The work is described in ``teilhabe.airflow.deliveries``."""

from teilhabe.airflow.deliveries import contracts_to_parse, delivery_dag
from teilhabe.settings import get_settings

for contract in contracts_to_parse(get_settings().agencies):
    dag = delivery_dag(contract)
    globals()[dag.dag_id] = dag
