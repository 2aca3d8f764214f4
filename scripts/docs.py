"""``make docs``: the dbt documentation of this home's warehouse as one page that works offline, in ``site/``."""

from __future__ import annotations

import shutil

from teilhabe import building
from teilhabe.cli import prepare
from teilhabe.settings import get_settings


def main() -> None:
    settings = get_settings()
    prepare(settings, print)
    building.dbt(settings, "docs", "generate", "--static")
    site = settings.project / "site"
    site.mkdir(exist_ok=True)
    shutil.copy(settings.work / "dbt" / "static_index.html", site / "index.html")
    print(f"written: {site / 'index.html'}")


if __name__ == "__main__":
    main()
