"""From a text template to a message: plain text as written, and HTML that says the same in the county's layout.

A text is all there is to write or replace; the layout draws it. Its marks are few: ``Betreff:`` in the first line, a line of
dashes below a heading, ``- `` before an item, ``| `` before a row of a table. What comes from a file goes through
``plain`` first and cannot be taken for one of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from teilhabe.errors import ContractError
from teilhabe.findings.saying import number
from teilhabe.messages.policy import TEXTS, Policy

if TYPE_CHECKING:
    from jinja2 import Environment

Kind = Literal["verdict", "repeat", "receipt", "reminder", "overdue", "escalation", "closing", "operators"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SUBJECT = "Betreff:"
_SUBJECT_LENGTH = 160
_CELL_LENGTH = 120
_URL = re.compile(r"(https?://[^\s<>\"“”„]+[^\s<>\"“”„.,;:!?)])")


@dataclass(frozen=True)
class Text:
    """A message, ready to go."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class _Part:
    text: str
    url: bool


@dataclass
class _Block:
    kind: Literal["paragraph", "heading", "list", "table"]
    lines: list[list[_Part]]
    rows: list[list[str]]


def render(policy: Policy, kind: Kind, context: Mapping[str, Any]) -> Text:
    """The message of a kind; ``ContractError`` names the text that is wrong (a county may have replaced it)."""
    from jinja2 import TemplateError

    environment = _environment(policy.settings.home / TEXTS)
    common = {"county": policy.county, "coordination": policy.coordination, "is_demo": False}
    name = f"{kind}.txt.j2"
    try:
        written = environment.get_template(name).render({**common, **context})
        subject, text = _split(written)
        layout = environment.get_template("layout.html.j2")
        html = layout.render(
            subject=subject,
            blocks=list(_blocks(text, policy.desk)),
            sender=f"{policy.county}, {policy.coordination.name}",
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise ContractError(f"{_place(error, name, policy)}: the text of a message cannot be used: {error}.") from error
    return Text(subject, text, html)


def plain(text: object, length: int = _CELL_LENGTH) -> str:
    """What stands in a file as one line of text that has no effect wherever it is put.

    Where it gets long it is cut in the middle, between words: a place begins with its territory and ends with the number.
    """
    shown = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in str(text or "")[: length * 4])
    shown = " ".join(shown.split()).replace("|", "¦")
    if len(shown) <= length:
        return shown
    end = length * 3 // 5
    front, back = shown[: length - end - 2], shown[-end:]
    if " " in front and " " in back:
        return f"{front.rsplit(' ', 1)[0].rstrip(',')} … {back.split(' ', 1)[1]}"
    return f"{front}…{back[1:]}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows in columns of equal width, as a text mail shows them; empty columns are left out."""
    cells = [[plain(cell, 60) for cell in row] for row in rows]
    keep = [n for n in range(len(head)) if any(row[n] for row in cells)]
    lines = [[head[n] for n in keep], *([row[n] for n in keep] for row in cells)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(keep))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def more(count: int, one: str, several: str) -> str:
    """What a list leaves out: ``eine weitere Datei``, ``12 weitere Dateien``."""
    return one if count == 1 else f"{number(count)} {several}"


def for_period(spelt: str) -> str:
    """A day is a reference date, everything else a period."""
    return f"zum Stichtag {spelt}" if re.fullmatch(r"\d\d\.\d\d\.\d{4}", spelt) else f"für den Zeitraum {spelt}"


@lru_cache(maxsize=4)
def _environment(own: Path) -> Environment:
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(own), FileSystemLoader(Path(__file__).parent / "texts")]),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        cache_size=0,  # a text that was put into the home a minute ago counts
    )
    environment.globals.update(table=table, number=number, more=more, for_period=for_period)
    return environment


def _split(written: str) -> tuple[str, str]:
    first, _, rest = written.lstrip().partition("\n")
    if not first.startswith(SUBJECT) or not first.removeprefix(SUBJECT).strip():
        raise ValueError(f"the first line must be '{SUBJECT} ...'")
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in rest.split("\n"))).strip()
    return plain(first.removeprefix(SUBJECT), _SUBJECT_LENGTH), text + "\n"


def _blocks(text: str, desk: str) -> Iterable[_Block]:
    for chunk in text.strip().split("\n\n"):
        open_block: _Block | None = None
        lines = chunk.split("\n")
        for n, line in enumerate(lines):
            if re.fullmatch(r"-{3,}", line):
                continue
            kind: Literal["paragraph", "heading", "list", "table"] = (
                "heading" if n + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[n + 1])
                else "table" if line.startswith("| ")
                else "list" if line.startswith("- ")
                else "paragraph"
            )  # fmt: skip
            if open_block is None or open_block.kind != kind or kind == "heading":
                if open_block is not None:
                    yield open_block
                open_block = _Block(kind, [], [])
            if kind == "table":
                open_block.rows.append([cell.strip() for cell in line[2:-2].split(" | ")])
            open_block.lines.append(_parts(line.removeprefix("- ") if kind == "list" else line, desk))
        if open_block is not None:
            yield open_block


def _parts(line: str, desk: str) -> list[_Part]:
    """Only the desk is linked to: an address that stands in a file stays a text."""
    return [_Part(text, _is_below(desk, text)) for text in _URL.split(line) if text]


def _is_below(desk: str, text: str) -> bool:
    return text == desk or text.startswith((f"{desk}/", f"{desk}?"))


def _place(error: Exception, name: str, policy: Policy) -> str:
    """The file a person has to open."""
    found = getattr(error, "name", None) or name
    own = policy.settings.home / TEXTS / found
    line = f", line {number}" if (number := getattr(error, "lineno", None)) else ""
    return f"{own if own.is_file() else found}{line}"
