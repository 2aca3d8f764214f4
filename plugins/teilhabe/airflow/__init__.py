"""Everything of the package that knows Airflow."""
