"""The dbt project is read once at set-up: ``python -m teilhabe.building.dbt_reading``. The first build of every home begins with that.

Reading takes longer than building a few files. dbt itself sees what has changed since, and reads that anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from teilhabe.building import building
from teilhabe.building.dbt_kept import kept, place
from teilhabe.building.dbt_run import READ
from teilhabe.settings import Settings, get_settings


def keep(settings: Settings) -> None:
    """Read the project and keep it. No server is asked.

    Raises:
        WarehouseError: dbt cannot read it.
    """
    with TemporaryDirectory() as folder:
        target = Path(folder)
        building.run_dbt(
            settings, ["parse"], target, {**os.environ, "DBT_LOG_PATH": folder, "TEILHABE_TAKEN_IN_UNTIL": ""}
        )
        place(target / READ, kept())


if __name__ == "__main__":
    keep(get_settings())
