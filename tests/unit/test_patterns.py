"""No regular expression that meets foreign text takes more than linear time, whatever the text is.

Every pattern of the package is found here by itself, and for every repetition in it texts are made that keep it repeating and
then fail. They are long enough that a quadratic pattern would run for minutes; a linear one needs a fraction of its seconds of
computing time, which end in a process of its own. A pattern built while running has to be named below.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from teilhabe.errors import ReadingError
from teilhabe.reading import confined
from tests.unit.hard_texts import repeats, try_all

PACKAGE = Path(confined.__file__).parents[1]
SECONDS = 2

OWN_TEXT = {
    "building/building.py",
    "building/held_deliveries.py",
    "building/macros.py",
    "building/releasing.py",
    "codes/wording.py",
    "contract/parsing.py",
    "contract/layouts.py",
    "contract/delivery_calendar.py",
    "messages/policy.py",
    "onboarding/scaffold.py",
    "ops/__init__.py",
}
"""Modules whose patterns meet only what the project itself contains, or a database says."""

BUILT = {
    "contract/senders.py": "a place of the contract's making around one [0-9]+",
    "findings/saying.py": "an escaped text between two looks beside it",
    "reading/layouts/stacked_table.py": "an escaped title between two looks beside it",
    "reading/cells/periods.py": "two dates of fixed length",
    "reading/cells/thousands.py": "a constant that Arrow, which needs linear time for everything, uses as well",
}
"""Modules with patterns put together within functions, and of what."""

METHODS = ("match", "fullmatch", "search", "findall", "finditer", "sub", "subn", "split")


@dataclass(frozen=True)
class Used:
    place: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]

    def __str__(self) -> str:
        return self.place


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in OWN_TEXT and not name.startswith("airflow/") and path.name != "__main__.py":
            yield name, path


MODULES = dict(modules())
PATTERNS_AT_LEAST = 60
"""Fewer would mean that this file no longer sees where they are."""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr in METHODS
        ):
            yield node


def literal(node: ast.expr) -> str | bytes | None:
    try:
        found = ast.literal_eval(node)
    except ValueError:
        return None
    return found if isinstance(found, str | bytes) else None


@cache
def package() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))


def patterns(name: str) -> list[Used]:
    """Those of a module that repeat something."""
    source = MODULES[name].read_text(encoding="utf-8")
    module = importlib.import_module("teilhabe." + name.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    found = []
    for variable, value in vars(module).items():
        for pattern in within(value):
            where = source if variable.startswith("_") else package()
            uses = set(re.findall(rf"\b{variable}\.(\w+)\(", where)) & set(METHODS)
            found.append(Used(f"{name}:{variable}", pattern, frozenset(uses or {"search"})))
    for call in calls(ast.parse(source)):
        if (text := literal(call.args[0])) is not None and isinstance(call.func, ast.Attribute):
            found.append(Used(f"{name}:{call.lineno}", re.compile(text), frozenset({call.func.attr})))
    return [used for used in found if any(repeats(parser.parse(used.pattern.pattern, used.pattern.flags)))]


def within(value: Any) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list | frozenset | set):
        for one in value:
            yield from within(one)
    elif isinstance(value, dict):
        yield from within(tuple(value.values()))


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if "re." in path.read_text(encoding="utf-8")])
def test_no_text_keeps_a_pattern_busy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEILHABE_READING_CPU_SECONDS", str(SECONDS))
    for used in patterns(name):
        try:
            confined.run(try_all, used.pattern.pattern, used.pattern.flags, used.methods, file_name=str(used))
        except ReadingError as error:
            raise AssertionError(f"{used.place} {used.pattern.pattern!r} {sorted(used.methods)}") from error


def test_the_patterns_are_found() -> None:
    assert sum(len(patterns(name)) for name in MODULES) >= PATTERNS_AT_LEAST


def test_a_quadratic_pattern_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEILHABE_READING_CPU_SECONDS", str(SECONDS))
    for pattern in (r"<row\b[^>]*?\br=(\d+)", r"\b(\w*?)(\w{4,})innen", r"(\d{5})\s+(\S.*?)\s*(?:\(x\))?$"):
        with pytest.raises(ReadingError) as caught:
            confined.run(try_all, pattern, 0, frozenset({"search"}), file_name="a")
        assert caught.value.finding.rule == confined.TOO_COSTLY


def test_patterns_built_while_running_are_known() -> None:
    built = set()
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        within_functions = {
            id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in calls(function)
        }
        built |= {name for call in calls(tree) if id(call) in within_functions and literal(call.args[0]) is None}
    assert built <= set(BUILT), "name it with what it is made of, or make it a constant"
