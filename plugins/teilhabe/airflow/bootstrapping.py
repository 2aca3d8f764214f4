"""What a process of its own makes of the metadata database: tables, pool, roles, first accounts."""

from __future__ import annotations

from teilhabe.airflow.metadata import SLOTS


def bootstrap() -> None:
    """Runs in a process of its own: create or migrate the metadata database, its roles and first accounts."""
    from airflow.models.pool import Pool
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from airflow.utils import db

    from teilhabe.airflow import accounts

    db.initdb()
    Pool.create_or_update_pool(Pool.DEFAULT_POOL_NAME, slots=SLOTS, description="All tasks", include_deferred=False)
    with get_application_builder() as builder:
        accounts.prepare(builder.sm)
