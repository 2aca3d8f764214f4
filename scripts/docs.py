"""``make docs``: the contracts as pages for the offices and the dbt documentation as one page, offline, in ``site/``."""

from __future__ import annotations

import shutil

from teilhabe import building, delivery_calendar, pages
from teilhabe.cli import prepare
from teilhabe.settings import get_settings


def main() -> None:
    settings = get_settings()
    written = pages.write_pages(settings, settings.project / "site" / "contracts", today=delivery_calendar.today())
    print(f"written: {written[0]} and {len(written) - 1} more pages")
    prepare(settings, print)
    building.dbt(settings, "docs", "generate", "--static")
    site = settings.project / "site"
    site.mkdir(exist_ok=True)
    shutil.copy(settings.work / "dbt" / "static_index.html", site / "index.html")
    print(f"written: {site / 'index.html'}")


if __name__ == "__main__":
    main()
