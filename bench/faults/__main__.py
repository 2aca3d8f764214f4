"""``python -m bench.faults [--kills N] [--seed N] [--phases a,b] [--write]``: killed at random moments, and going on."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.faults import campaign
from teilhabe.settings import get_settings

RESULT = Path(__file__).parents[1] / "results" / "faults.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="per phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phases", default=",".join(campaign.ALL), help="comma-separated, default all")
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULT}")
    given = parser.parse_args()
    wanted = tuple(given.phases.split(","))
    if unknown := set(wanted) - set(campaign.ALL):
        parser.error(f"no phase is called {min(unknown)!r}; there are {', '.join(campaign.ALL)}")
    folder = Path(tempfile.mkdtemp(prefix="teilhabe-faults-"))
    folder.chmod(0o755)  # the server never runs as root
    with campaign.home(folder, get_settings()) as settings:
        phases = campaign.run(settings, given.kills, given.seed, wanted, _tell)
    lines = campaign.table(phases)
    sys.stdout.write("\n".join(lines) + "\n")
    if given.write:
        head = (
            f"# bench/faults: killed at random moments, seed {given.seed}\n\n`python -m bench.faults --kills {given.kills} "
            f"--seed {given.seed}`: {sum(p.seconds for p in phases):.0f} s. Steps are the pipeline's functions in processes of their "
            "own, killed with SIGKILL; `database` kills the server under a run; `two at once` runs two runs and two uploads of "
            "the same file together. Afterwards every file is loaded once, rows, archive, manifest and messages agree.\n\n"
        )
        RESULT.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return 1 if any(phase.problems for phase in phases) else 0


def _tell(phase: campaign.Phase) -> None:
    sys.stderr.write(f"{phase.name}: {phase.kills} kills in {phase.seconds:.0f} s\n")
    for problem in phase.problems:
        sys.stderr.write(f"  {problem}\n")


if __name__ == "__main__":
    sys.exit(main())
