"""Files that say what was agreed: a packaged one holds every key, one of the same name in the home replaces the keys it has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from teilhabe.contract.parsing import strict_yaml
from teilhabe.errors import ContractError


def own(path: Path, described: str) -> dict[str, Any]:
    """What a home says; nothing where it has no such file."""
    if not path.is_file():
        return {}
    try:
        return parsed(path.read_text(encoding="utf-8"), path, described)
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: cannot be read as UTF-8 text ({type(error).__name__}).") from error


def parsed(text: str, path: Path, described: str) -> dict[str, Any]:
    raw = strict_yaml(text, path) or {}
    if not isinstance(raw, dict):
        raise ContractError(f"{path}: must be a mapping of the keys in {described}.")
    return raw


def merged(packaged: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """One level deep: a group that names one of its keys keeps the others."""
    found = {**packaged, **own}
    for key, value in packaged.items():
        if isinstance(value, dict) and isinstance(found[key], dict):
            found[key] = {**value, **found[key]}
    return found


def refusal(path: Path, error: ValidationError) -> ContractError:
    """The first mistake, by its key."""
    first = error.errors()[0]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    what = "is an unknown key" if first["type"] == "extra_forbidden" else first["msg"]
    return ContractError(f"{path}: {key}: {what}.")
