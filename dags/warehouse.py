"""Raw tables to published marts. The work is described in ``teilhabe.airflow.warehouse_dag``."""

from teilhabe.airflow.warehouse_dag import warehouse_dag
from teilhabe.contract.parsing import load_contracts
from teilhabe.settings import get_settings

dag = warehouse_dag(load_contracts(get_settings().agencies))
