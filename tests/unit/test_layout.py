"""The tree is what CONTRIBUTING says of it: one row per room, in the room's own words."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
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


def test_no_module_is_longer_than_one_thought() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {path.relative_to(PACKAGE).as_posix(): length for path, length in lines.items() if length > 700} == {}


TOGETHER = ("reading.layouts.", "reading.files.guard")
"""Which layouts know a file is asked while another one reads it: the one circle, taken as one module here."""


def test_modules_depend_on_each_other_without_circles() -> None:
    modules = {name(path): path for path in PACKAGE.rglob("*.py")}
    needs: dict[str, set[str]] = {}
    for module, path in modules.items():
        for needed in imported(ast.parse(path.read_text(encoding="utf-8")), set(modules)):
            if one(needed) != one(module):
                needs.setdefault(one(module), set()).add(one(needed))
    assert len(needs) > 100
    graphlib.TopologicalSorter(needs).prepare()


def name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def one(module: str) -> str:
    return "reading" if module == "reading" or module.startswith(TOGETHER) else module


def imported(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """Also what is imported within functions; not what only types need."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "teilhabe":
            package = (node.module or "").partition(".")[2]
            for alias in node.names:
                inner = f"{package}.{alias.name}".lstrip(".")
                yield inner if inner in modules else package
        yield from imported(node, modules)
