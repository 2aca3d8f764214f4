"""Which code this is: what was judged or built by other code is judged or built again."""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from teilhabe.settings import Settings

BUILD_ID = "TEILHABE_BUILD_ID"
"""Environment variable of an image: it has neither a history nor git."""

_CODE = ("plugins", "dags", "dbt_project", "expectations", "agencies", "pyproject.toml")
_NOT_CODE = {"__pycache__", "target", "logs", "dbt_packages"}


@cache
def code_version(settings: Settings) -> str:
    """The package's version with the build id of the image, else the commit of the checkout, else a digest of the files.

    Differs whenever the code differs that judges and builds; only a checkout with uncommitted changes is taken for its commit.
    """
    mark = os.environ.get(BUILD_ID, "").strip() or _commit(settings.project) or _digest(settings.project)
    return f"{version('teilhabe')}+{mark}"


def _commit(project: Path) -> str | None:
    command = ["git", "-C", str(project), "rev-parse", "--short=12", "HEAD"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    except OSError:  # no git
        return None
    return (described.stdout.strip() or None) if described.returncode == 0 else None


def _digest(project: Path) -> str:
    digest = hashlib.sha256()
    for name in _CODE:
        place = project / name
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        for path in files:
            inside = path.relative_to(project)
            if not _NOT_CODE.intersection(inside.parts):
                digest.update(f"{inside.as_posix()}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    return f"files.{digest.hexdigest()[:12]}"
