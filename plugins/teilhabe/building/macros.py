"""Which macros of the dbt project feed which model, and a fingerprint of them: a macro that changes makes new numbers.

dbt tells a model's own text only. What a macro calls, and what a strategy runs, is found in the texts themselves.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_MACRO = re.compile(r"\{%-?\s*(?:macro|test)\s+(\w+)\s*\(.*?\{%-?\s*end(?:macro|test)\s*-?%\}", re.DOTALL)
_STRATEGY = re.compile(r"incremental_strategy\s*=\s*'(\w+)'")
_LENGTH = 16


def digests_of_models(project: Path) -> dict[str, str]:
    """Model -> fingerprint of all macros it is made with, directly or through others. Comments do not count."""
    macros = _macros(project / "macros")
    words = re.compile(rf"\b({'|'.join(map(re.escape, macros))})\b\s*\(") if macros else None
    calls = {name: set(words.findall(text)) - {name} if words else set() for name, text in macros.items()}
    found = {}
    for path in sorted((project / "models").rglob("*.sql")):
        text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
        direct = set(words.findall(text)) if words else set()
        direct |= {f"get_incremental_{strategy}_sql" for strategy in _STRATEGY.findall(text)} & macros.keys()
        found[path.stem] = _digest({name: macros[name] for name in _closure(direct, calls)})
    return found


def digest_of_reading(project: Path, macros_of_models: Mapping[str, str]) -> str:
    """Fingerprint of what makes observations of the rows of deliveries: each delivery is read once, unless this changes."""
    texts = {}
    staging = list((project / "models" / "staging").rglob("stg_*.sql"))
    for path in [*staging, *(project / "models" / "intermediate").glob("int_delivery__*.sql"), *_unioned(project)]:
        texts[path.stem] = _COMMENT.sub("", path.read_text(encoding="utf-8")) + macros_of_models.get(path.stem, "")
    return _digest(texts)


def _unioned(project: Path) -> list[Path]:
    return list((project / "models" / "intermediate").glob("int_observation__unioned.sql"))


def _macros(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*.sql")):
        for macro in _MACRO.finditer(_COMMENT.sub("", path.read_text(encoding="utf-8"))):
            found[macro[1]] = macro[0]
    return found


def _closure(names: set[str], calls: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += calls.get(name, set())
    return seen


def _digest(texts: Mapping[str, str]) -> str:
    said = "\n".join(f"{name}\n{texts[name]}" for name in sorted(texts))
    return hashlib.sha256(said.encode()).hexdigest()[:_LENGTH]
