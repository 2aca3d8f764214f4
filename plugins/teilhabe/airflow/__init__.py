"""Everything that knows Airflow: its services, accounts and rights, and the DAGs that `dags/` asks for."""
