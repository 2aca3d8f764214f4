"""What campaigns have found so far, phase by phase, as a table people read: a campaign that was ended goes on from there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.faults.campaign import ALL, Phase

HEAD = """# bench/faults: killed at random moments

`python -m bench.faults --write`. Steps are the pipeline's functions in processes of their own, killed with SIGKILL. While files are
taken in the next run follows after two kills; while the warehouse is built either the build or its dbt alone is killed, and five such
builds are followed by one that nobody kills. `database` kills the server under a run. `two at once`: two uploads of one file and two
runs, begun at random moments of each other (its kills are rounds). Afterwards every file is loaded and published once; rows, archive,
manifest, messages and marts agree.

"""
_COLUMNS = "| killed while | kills | came to its end before | lost, doubled or stuck | s |"


def table(phases: Iterable[Phase]) -> list[str]:
    rows = [f"| {p.name} | {p.kills} | {p.finished} | {len(p.problems)} | {p.seconds:.0f} |" for p in phases]
    return [_COLUMNS, "|---|---|---|---|---|", *rows]


def read(path: Path) -> dict[str, Phase]:
    """Phases of the table; of what was not right only the number is known."""
    phases: dict[str, Phase] = {}
    if not path.is_file():
        return phases
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] in ALL:
            kills, finished, problems, seconds = map(int, cells[1:])
            phases[cells[0]] = Phase(cells[0], kills, finished, ["told before"] * problems, seconds)
    return phases


def merged(before: dict[str, Phase], new: Iterable[Phase]) -> dict[str, Phase]:
    """In the order of the campaign."""
    known = dict(before)
    for phase in new:
        old = known.get(phase.name, Phase(phase.name))
        known[phase.name] = Phase(
            phase.name,
            old.kills + phase.kills,
            old.finished + phase.finished,
            old.problems + phase.problems,
            old.seconds + phase.seconds,
        )
    return {name: known[name] for name in ALL if name in known}


def write(path: Path, phases: Iterable[Phase]) -> None:
    path.write_text(HEAD + "\n".join(table(phases)) + "\n", encoding="utf-8")
