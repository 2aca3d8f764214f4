"""``make docs``: the contracts as pages for the offices and the dbt documentation as one page, offline, in ``site/``."""

from __future__ import annotations

from teilhabe.building import building
from teilhabe.cli.common import prepare
from teilhabe.contract import delivery_calendar
from teilhabe.offices import pages
from teilhabe.settings import get_settings


def main() -> None:
    settings = get_settings()
    written = pages.write_pages(settings, settings.project / "site" / "contracts", today=delivery_calendar.today())
    print(f"written: {written[0]} and {len(written) - 1} more pages")
    prepare(settings, print)
    building.dbt(settings, "docs", "generate", "--static")
    site = settings.project / "site"
    site.mkdir(exist_ok=True)
    page = (settings.work / "dbt" / "static_index.html").read_text(encoding="utf-8")
    # dbt builds aside; whoever reads this finds the tables where they are published.
    page = page.replace('"schema": "candidate"', '"schema": "marts"').replace('\\"candidate\\".', '\\"marts\\".')
    (site / "index.html").write_text(page, encoding="utf-8")
    print(f"written: {site / 'index.html'}")


if __name__ == "__main__":
    main()
