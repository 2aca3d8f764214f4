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
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from teilhabe.errors import ReadingError
from teilhabe.reading import confined

PACKAGE = Path(confined.__file__).parents[1]
LENGTH = 60_000
SECONDS = 2

OWN_TEXT = {
    "building.py", "contracts.py", "macros.py", "ops.py", "releasing.py", "scaffold.py", "wording.py", "held_deliveries.py",
    "messages/policy.py", "delivery_calendar.py",
}  # fmt: skip
"""Modules whose patterns meet only what the project itself contains, or a database says."""

BUILT = {
    "senders.py": "a place of the contract's making around one [0-9]+",
    "saying.py": "an escaped text between two looks beside it",
    "reading/stacked_table.py": "an escaped title between two looks beside it",
    "reading/periods.py": "two dates of fixed length",
    "reading/thousands.py": "a constant that Arrow, which needs linear time for everything, uses as well",
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


def patterns() -> list[Used]:
    whole = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    own = {name: path.read_text(encoding="utf-8") for name, path in modules()}
    found = []
    for name, source in own.items():
        module = importlib.import_module(
            "teilhabe." + name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        )
        for variable, value in vars(module).items():
            for pattern in within(value):
                uses = set(re.findall(rf"\b{variable}\.(\w+)\(", source if variable.startswith("_") else whole)) & set(
                    METHODS
                )
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


# ---------------------------------------------------------------------------------------------------------------- texts


def repeats(tree: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """For every repetition without an end: a text that leads to it, and one that it repeats."""
    for code, argument in tree:
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            _, most, body = argument
            if most >= codes.MAXREPEAT:
                for text in samples(body):
                    yield before, text
            yield from repeats(body, before)
        elif code is codes.SUBPATTERN:
            yield from repeats(argument[3], before)
        elif code is codes.BRANCH:
            for branch in argument[1]:
                yield from repeats(branch, before)
        elif code is codes.ATOMIC_GROUP:
            yield from repeats(argument, before)
        before += one([(code, argument)])


def samples(body: Any) -> set[str]:
    """Texts a repetition may take: the shortest, and single signs many sets have in common."""
    shortest = one(body)
    expression = list(body)
    found = {shortest or "a"}
    if len(expression) == 1 and expression[0][0] is codes.IN:
        found |= {sign for sign in " a0_.-<(;" if takes(expression[0][1], sign)}
    elif len(expression) == 1 and expression[0][0] in (codes.ANY, codes.NOT_LITERAL):
        found |= set(" a0<(")
    return found


def one(tree: Any) -> str:
    """A shortest text that a pattern takes, as far as it can be told without looking around."""
    text = ""
    for code, argument in tree:
        if code is codes.LITERAL:
            text += chr(argument)
        elif code is codes.NOT_LITERAL:
            text += "a" if argument != ord("a") else "b"
        elif code is codes.ANY:
            text += "a"
        elif code is codes.IN:
            text += next((sign for sign in "a0 .A-_<" if takes(argument, sign)), first(argument))
        elif code is codes.BRANCH:
            text += one(argument[1][0])
        elif code is codes.SUBPATTERN:
            text += one(argument[3])
        elif code is codes.ATOMIC_GROUP:
            text += one(argument)
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            text += one(argument[2]) * argument[0]
    return text


def first(argument: Any) -> str:
    for code, value in argument:
        if code is codes.LITERAL:
            return chr(value)
        if code is codes.RANGE:
            return chr(value[0])
    return "\u00fc"


_CATEGORIES = {
    codes.CATEGORY_DIGIT: r"\d", codes.CATEGORY_NOT_DIGIT: r"\D", codes.CATEGORY_SPACE: r"\s",
    codes.CATEGORY_NOT_SPACE: r"\S", codes.CATEGORY_WORD: r"\w", codes.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


def takes(argument: Any, sign: str) -> bool:
    found = negated = False
    for code, value in argument:
        if code is codes.NEGATE:
            negated = True
        elif code is codes.LITERAL:
            found |= value == ord(sign)
        elif code is codes.RANGE:
            found |= value[0] <= ord(sign) <= value[1]
        elif code is codes.CATEGORY:
            found |= re.fullmatch(_CATEGORIES[value], sign) is not None
    return found != negated


def texts(pattern: re.Pattern[Any]) -> list[Any]:
    """What keeps every repetition busy and fails in the end: repeated alone, and begun anew all the time."""
    tree = parser.parse(pattern.pattern, pattern.flags)
    made: set[str] = set()
    for before, body in repeats(tree):
        for unit, start in ((body, before), (before + body, ""), (before + body + " ", ""), (before or body, "")):
            made.add(start + unit * (LENGTH // len(unit)) + "\x01")
    for unit in (one(tree), one(tree) + " ", " ", "a", "0", "a "):
        made.add((unit or "a") * (LENGTH // len(unit or "a")) + "\x01")
    return [text.encode("latin-1", "replace") for text in made] if isinstance(pattern.pattern, bytes) else sorted(made)


def try_all(text: str | bytes, flags: int, methods: frozenset[str]) -> None:
    pattern: re.Pattern[Any] = re.compile(text, flags)
    for given in texts(pattern):
        for method in methods:
            if method in ("sub", "subn"):
                getattr(pattern, method)(given[:0], given)
            elif method == "finditer":
                list(pattern.finditer(given))
            else:
                getattr(pattern, method)(given)


PATTERNS = patterns()


@pytest.mark.parametrize("used", PATTERNS, ids=str)
def test_no_text_keeps_a_pattern_busy(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEILHABE_READING_CPU_SECONDS", str(SECONDS))
    try:
        confined.run(try_all, used.pattern.pattern, used.pattern.flags, used.methods, file_name=str(used))
    except ReadingError as error:
        raise AssertionError(f"{used.place} {used.pattern.pattern!r} {sorted(used.methods)}") from error


def test_a_quadratic_pattern_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEILHABE_READING_CPU_SECONDS", str(SECONDS))
    for pattern in (r"<row\b[^>]*?\br=(\d+)", r"\b(\w*?)(\w{4,})innen", r"(\d{5})\s+(\S.*?)\s*(?:\(x\))?$"):
        with pytest.raises(ReadingError) as caught:
            confined.run(try_all, pattern, 0, frozenset({"search"}), file_name="a")
        assert caught.value.finding.rule == confined.TOO_COSTLY


def test_patterns_built_while_running_are_known() -> None:
    built = set()
    for name, path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        within_functions = {
            id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in calls(function)
        }
        built |= {name for call in calls(tree) if id(call) in within_functions and literal(call.args[0]) is None}
    assert built <= set(BUILT), "name it with what it is made of, or make it a constant"
