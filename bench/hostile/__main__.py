"""``python -m bench.hostile [--files N] [--seed N] [--write]``: changed files, none of which may be loaded wrongly.

``--only NUMBER --keep FOLDER`` makes single files of a campaign again, says everything about them and keeps them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench.hostile import campaign, files

RESULT = Path(__file__).parents[1] / "results" / "hostile.md"
LIMITS = {"TEILHABE_READING_MEMORY_MB": "1000", "TEILHABE_READING_CPU_SECONDS": "30", "TEILHABE_READING_SECONDS": "45"}
"""Half of what is usual in memory, a twentieth in time: the files are small."""


def _share(
    numbers: Sequence[int], seed: int, tell: Callable[[campaign.Outcome], None], keep: Path | None, *, demo: bool
) -> list[campaign.Outcome]:
    os.environ.update(LIMITS)
    with tempfile.TemporaryDirectory() as folder:
        wanted = [*files.fixtures(), *files.real(), *(files.of_the_demo() if demo else ())]
        bases = campaign.prepared(wanted, Path(folder))
        return campaign.run(bases, numbers, seed, Path(folder), tell, keep)


def _tell(outcome: campaign.Outcome) -> None:
    if outcome.problems:
        _tell_all(outcome)


def _tell_all(outcome: campaign.Outcome) -> None:
    sys.stderr.write(
        f"{outcome.number} {outcome.base}, {outcome.kind} {outcome.mutation}: {outcome.state} {outcome.rule} "
        f"({outcome.seconds:.1f} s): {' / '.join(outcome.problems[:5])}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--no-demo", dest="demo", action="store_false", help="without the demo's files, which take long to make"
    )
    parser.add_argument("--write", action="store_true", help=f"write the table to {RESULT}")
    parser.add_argument(
        "--only", type=int, action="append", metavar="NUMBER", help="make this file of the campaign again"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what --only makes")
    given = parser.parse_args()
    if given.only:
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
        return 1 if campaign.wrong(_share(given.only, given.seed, _tell_all, given.keep, demo=given.demo)) else 0
    started = time.monotonic()
    with ProcessPoolExecutor(given.processes) as pool:
        shares = [
            pool.submit(_share, range(n, given.files, given.processes), given.seed, _tell, None, demo=given.demo)
            for n in range(given.processes)
        ]
        outcomes = sorted((one for share in shares for one in share.result()), key=lambda one: one.number)
    lines = campaign.table(outcomes)
    sys.stdout.write("\n".join(lines) + "\n")
    if given.write:
        bases = sorted({one.base.partition(" ")[0] for one in outcomes})
        head = (
            f"# bench/hostile: {given.files} changed files, seed {given.seed}\n\n`python -m bench.hostile --files {given.files} "
            f"--seed {given.seed}`: {time.monotonic() - started:.0f} s with {given.processes} processes; changed were files of: "
            f"{', '.join(bases)}. A file is refused, or what it loads is what an independent strict reader says it shows. The child "
            f"that reads may take {LIMITS['TEILHABE_READING_MEMORY_MB']} MB and {LIMITS['TEILHABE_READING_CPU_SECONDS']} s of CPU.\n\n"
        )
        RESULT.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return 1 if campaign.wrong(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
