"""The PostgreSQL server: started or found, provisioned, and the only place that opens connections."""
