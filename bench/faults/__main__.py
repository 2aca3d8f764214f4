"""``python -m bench.faults [--kills N] [--phases a,b] [--minutes N] [--resume] [--write]``: killed at random, and going on."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

from bench.faults import campaign, results
from teilhabe.settings import get_settings

RESULT = Path(__file__).parents[1] / "results" / "faults.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="per phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--phases", default=",".join(campaign.ALL), help="comma-separated, default all")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing new after so many minutes")
    parser.add_argument("--resume", action="store_true", help=f"only what {RESULT.name} lacks of so many kills")
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULT}")
    given = parser.parse_args()
    wanted = given.phases.split(",")
    if unknown := set(wanted) - set(campaign.ALL):
        parser.error(f"no phase is called {min(unknown)!r}; there are {', '.join(campaign.ALL)}")
    before = results.read(RESULT) if given.resume else {}
    until = time.monotonic() + given.minutes * 60
    new: list[campaign.Phase] = []

    def note(phase: campaign.Phase) -> None:
        sys.stderr.write(f"{phase.name}: {phase.kills} kills in {phase.seconds:.0f} s\n")
        sys.stderr.writelines(f"  {problem}\n" for problem in phase.problems)
        new.append(phase)
        if given.write:
            results.write(RESULT, results.merged(before, new).values())

    left = {name: given.kills - before[name].kills if name in before else given.kills for name in wanted}
    for whole in (False, True):
        kills = {name: n for name, n in left.items() if n > 0 and (name in campaign.WHOLE) is whole}
        if not kills or time.monotonic() > until:
            continue
        folder = Path(tempfile.mkdtemp(prefix="teilhabe-faults-"))
        folder.chmod(0o755)  # the server never runs as root
        with campaign.home(folder, get_settings(), whole=whole) as settings:
            # What has been killed before is not killed at the same moments again.
            campaign.run(settings, kills, given.seed + sum(phase.kills for phase in before.values()), note, until)
    sys.stdout.write("\n".join(results.table(results.merged(before, new).values())) + "\n")
    return 1 if any(phase.problems for phase in new) else 0


if __name__ == "__main__":
    sys.exit(main())
