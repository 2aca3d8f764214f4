"""``python -m bench [--rows N] [--variants a,b] [--rounds N] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from bench import ingest


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Rates of getting a long delivery in.")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", default=",".join(ingest.ALL), help="comma-separated, default all")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    given = parser.parse_args()
    variants = given.variants.split(",")
    if unknown := set(variants) - set(ingest.ALL):
        parser.error(f"no variant is called {min(unknown)!r}; there are {', '.join(ingest.ALL)}")
    result = ingest.run(given.rows, variants, given.rounds, Console(width=160, highlight=False))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
