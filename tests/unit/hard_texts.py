"""Texts that keep a regular expression busy: made from the repetitions in it. Imports nothing of the package, for jobs are short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

LENGTH = 60_000


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
