"""What an office packs beside its table: the description of the records, a licence, a readme. None of it is a delivery."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from teilhabe.contract.model import Contract
from teilhabe.reading.files.source import Source
from teilhabe.reading.report import Report

_DOCUMENTS = frozenset({".doc", ".docx", ".odt", ".rtf", ".md", ".jpg", ".jpeg", ".png", ".gif", ".url"})
_TEXTS = frozenset({"", ".txt", ".htm", ".html"})
_SAYS_SO = re.compile(
    r"read[\s_-]?me|lies[\s_-]?mich|lizenz|licen[cs]e|copying|copyright|hinweis|beschreibung|erl(?:ä|ae)uterung|methodi|"
    r"impressum|anleitung",
    re.IGNORECASE,
)

Key = TypeVar("Key")


def enclosed(files: Mapping[Key, tuple[Path, str]], contract: Contract) -> list[Key]:
    """Those of the files (local path, name) that only accompany the others; none where nothing else would be left."""
    beside = [key for key, (path, name) in files.items() if _accompanies(path, name, contract)]
    return beside if len(beside) < len(files) else []


def _accompanies(path: Path, name: str, contract: Contract) -> bool:
    from teilhabe.reading import recognises

    source = Source(path, name, Report(name))
    if source.kind == "pdf":
        return True
    ending = Path(name).suffix.lower()
    if ending not in _DOCUMENTS and not (ending in _TEXTS and _SAYS_SO.search(name)):
        return False
    return not any(recognises(layout, source) for layout in contract.layouts)
