"""What set-up has read of the dbt project, kept beside the environment."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from teilhabe.building.dbt_run import READ


def kept() -> Path:
    """Belongs to the environment: another version of dbt reads otherwise."""
    return Path(sys.prefix) / "share" / "teilhabe" / READ


def place(source: Path, target: Path) -> None:
    """Copy it in one step: others may be reading the one that is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(f".{os.getpid()}")
    shutil.copyfile(source, draft)
    draft.replace(target)
