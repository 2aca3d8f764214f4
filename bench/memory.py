"""Peak memory of this process. No import from this project: the environment of dlt uses it too."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_memory() -> float:
    """Largest resident memory so far in MB. Linux counts from exec; elsewhere what the parent had may show through."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
