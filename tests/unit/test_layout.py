"""The tree is what CONTRIBUTING says of it: one row per room, in the room's own words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "plugins" / "teilhabe"


def test_the_table_of_rooms_is_the_tree() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| `([a-z_/]+)/` \| (.+) \|$", text, re.MULTILINE))
    rooms = {}
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent != PACKAGE:
            promise = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            assert promise, path
            rooms[path.parent.relative_to(PACKAGE).as_posix()] = promise.splitlines()[0]
    assert said == rooms


def test_every_module_says_what_it_promises() -> None:
    silent = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == ["__init__.py"] or not silent, silent


def test_the_flow_begins_with_folders() -> None:
    """What does not belong to one room alone stands beside them, and is little."""
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "errors.py", "settings.py"}
