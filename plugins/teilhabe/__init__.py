"""teilhabe: the integration-monitoring warehouse of German counties."""
