"""Fingerprint of what reads deliveries: the texts of the models that do, and of the macros they use.

A macro that a model calls is found in the texts themselves: dbt notes only those called while it parses.
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


def digest_of_reading(project: Path) -> str:
    """Fingerprint of how rows of deliveries become observations: each delivery is read once, unless this changes.

    Comments do not count.
    """
    macros = _macros(project / "macros")
    words = re.compile(rf"\b({'|'.join(map(re.escape, macros))})\b\s*\(") if macros else re.compile(r"(?!)")
    calls = {name: set(words.findall(text)) - {name} for name, text in macros.items()}
    models = project / "models"
    texts = {}
    for pattern in (
        "staging/**/stg_*.sql",
        "intermediate/int_delivery__*.sql",
        "intermediate/int_observation__unioned.sql",
    ):
        for path in models.glob(pattern):
            text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
            direct = set(words.findall(text))
            direct |= {f"get_incremental_{strategy}_sql" for strategy in _STRATEGY.findall(text)} & macros.keys()
            texts[path.stem] = text + _digest({name: macros[name] for name in _closure(direct, calls)})
    return _digest(texts)


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
