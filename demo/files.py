"""All demo files in the order they arrived. Same seed, same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from demo import faults, forms, genesis, labour, monitor, offices, police, register
from demo.calendar import LAST_DAY
from demo.county import SEED, County
from demo.handout import UNPACKED, Handout, zipped

_TOGETHER = ("Massnahmen_2025-Q3.csv", "Massnahmen_2025-Q4.csv")
"""What the job centre sends as one zip file."""


def handouts(seed: int = SEED) -> list[Handout]:
    county = County(seed)
    good = [
        h for module in (register, genesis, monitor, police, labour, offices, forms) for h in module.handouts(county)
    ]
    corrected = list(faults.corrections(county))
    replaced = {h.name for h in corrected} | set(_TOGETHER)
    together = [h for h in good if h.name in _TOGETHER]
    every = [
        *(h for h in good if h.name not in replaced),
        *corrected,
        replace(
            together[-1],
            name="Massnahmen_2025-2.zip",
            content=zipped({h.name: h.content for h in together}),
            state=UNPACKED,
        ),
        *faults.handouts(county),
    ]
    return sorted(
        (h for h in every if h.received_at.date() <= LAST_DAY), key=lambda h: (h.received_at, h.dataset_id, h.name)
    )


def write(folder: Path, wanted: Iterable[Handout] | None = None) -> list[tuple[Handout, Path]]:
    """Write demo files (all of them by default) below ``folder``, one folder per delivery: offices reuse names."""
    written = []
    for number, handout in enumerate(handouts() if wanted is None else wanted, start=1):
        place = folder / f"{number:03d}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / handout.name
        path.write_bytes(handout.content)
        written.append((handout, path))
    return written
