"""Which staging models are united: the macro ``observation_models`` of the dbt project lists those whose yml says ``observations: true``.

dbt knows order and lineage only where models are named, so the list is a committed file. It is generated: ``teilhabe new-dataset`` writes
it, ``teilhabe contracts union`` does after a model was added or removed by hand, and ``teilhabe contracts check`` compares.
"""

from __future__ import annotations

import re
from pathlib import Path

_MARKED = re.compile(r"\bobservations:\s*true\b")


def models(project: Path) -> list[str]:
    """Staging models of the dbt project that yield observations."""
    files = project.glob("models/staging/*/stg_*.yml")
    return sorted(path.stem for path in files if _MARKED.search(path.read_text(encoding="utf-8")))


def path(project: Path) -> Path:
    """The generated macro."""
    return project / "macros" / "observation_models.sql"


def text(names: list[str]) -> str:
    """The macro that lists these models."""
    listed = "".join(f"        ref('{name}'),\n" for name in sorted(names))
    return (
        "{# Staging models of observations, by their yml. Generated: `teilhabe contracts union`. #}\n"
        "{% macro observation_models() %}\n"
        f"    {{{{ return([\n{listed}    ]) }}}}\n"
        "{% endmacro %}\n"
    )


def is_current(project: Path) -> bool:
    """Whether the macro lists what the folder of staging models holds."""
    macro, names = path(project), models(project)
    return macro.read_text(encoding="utf-8") == text(names) if macro.is_file() else not names


def write(project: Path) -> list[str]:
    """Generate the macro; returns the models it lists."""
    names = models(project)
    path(project).parent.mkdir(parents=True, exist_ok=True)
    path(project).write_text(text(names), encoding="utf-8")
    return names
