"""The files that are changed: the fixtures, the demo's and, where they are, the offices' own of ``../shared/real``."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LARGEST = 150_000
"""A mutation of a larger file tells no more and takes longer."""

_REAL = {
    "state_statistics__population": "lsn_genesis/12411-01-01-5_00.csv",
    "state_statistics__naturalisations": "lsn_genesis/12511-01-01-4.csv",
    "state_statistics__asylum_benefits": "lsn_genesis/22221-01-01-4_00.csv",
    "state_statistics__dwellings": "lsn_genesis/31231-01-02-5_00.csv",
    "state_statistics__day_care": "lsn_genesis/22541-01-04-4_00.csv",
    "state_statistics__pupils": "lsn_genesis/21111-01-03-4.csv",
    "state_statistics__school_leavers": "lsn_genesis/21111-02-06-4_00.csv",
    "employment_agency__unemployed_municipal": "employment_agency/13211-01-03-5_00.csv",
    "employment_agency__employees_residence": "employment_agency/13111-02-02-5_00.csv",
    "employment_agency__municipal_workbook": "employment_agency/arbeitsmarkt_kommunal/*.xlsx",
    "register__territorial_changes": "territorial_changes/*.xlsx",
    "state_monitor__foreigners": "lsn_integration_monitor/202*/indicator_1-2-1.csv",
    "state_monitor__naturalisations": "lsn_integration_monitor/202*/indicator_2-3-1.csv",
}


@dataclass(frozen=True)
class Base:
    """A file that loads as it is."""

    dataset_id: str
    name: str
    content: bytes
    origin: str
    received_at: datetime

    @property
    def kind(self) -> str:
        return "xlsx" if self.content[:2] == b"PK" else "csv"


def fixtures() -> Iterator[Base]:
    for path in sorted((PROJECT / "tests" / "fixtures" / "deliveries").iterdir()):
        if path.suffix in (".csv", ".xlsx", ".txt"):
            yield Base(path.name.partition(".")[0], path.name, path.read_bytes(), "fixture", datetime.now(UTC))


def of_the_demo(each: int = 2) -> Iterator[Base]:
    from demo import files

    seen: Counter[tuple[str, str]] = Counter()
    for handout in files.handouts():
        kind = handout.dataset_id, handout.suffix
        if (
            handout.fault is None
            and handout.state == "loaded"
            and len(handout.content) <= LARGEST
            and seen[kind] < each
        ):
            seen[kind] += 1
            yield Base(handout.dataset_id, handout.name, handout.content, "demo", handout.received_at)


def real() -> Iterator[Base]:
    folder = Path(os.environ.get("TEILHABE_REAL_FILES") or PROJECT.parent / "shared" / "real")
    for dataset_id, pattern in _REAL.items():
        for path in sorted(folder.glob(pattern))[:3]:
            if path.stat().st_size <= LARGEST * 4:
                yield Base(dataset_id, path.name, path.read_bytes(), "real", datetime.now(UTC))
