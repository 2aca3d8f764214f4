"""From raw to marts: dbt, and the release that publishes what it built."""
