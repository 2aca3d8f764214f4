"""One DAG per dataset contract. The work is described in ``teilhabe.airflow.deliveries``."""

from teilhabe.airflow.deliveries import delivery_dag
from teilhabe.contracts import load_contracts
from teilhabe.settings import get_settings

for contract in load_contracts(get_settings().agencies).values():
    dag = delivery_dag(contract)
    globals()[dag.dag_id] = dag
