"""What others wrote is shown and never acted on: not by a spreadsheet, not by a terminal."""

from __future__ import annotations

import ast
import csv
import io
import json
from pathlib import Path

import pytest
from rich.progress import Progress
from rich.table import Table

from teilhabe.cli.terminal import Console
from teilhabe.system import harmless

PROJECT = Path(__file__).parents[2]
UNSEEN = (
    "",
    " ",
    "\u00a0",
    "\ufeff",
    "\u200b",
    "\u2060",
    "\u00ad",
    "\u200e",
    "\t",
    "\r",
    "\n",
    "\x00",
    "\ufeff \u200b\t",
)
SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66", "\ufe62", "\ufe63", "\ufe6b", "\u2212")


@pytest.mark.parametrize("unseen", UNSEEN)
@pytest.mark.parametrize("sign", SIGNS)
def test_no_cell_begins_as_a_formula(unseen: str, sign: str) -> None:
    out = io.StringIO(newline="")
    harmless.write_csv(out, [[f"{unseen}{sign}HYPERLINK(A1)", "x"]], delimiter=";", line_end="\r\n")
    [[cell, other]] = csv.reader(io.StringIO(out.getvalue(), newline=""), delimiter=";")
    assert (cell[0], cell[1:], other) == ("'", f"{unseen}{sign}HYPERLINK(A1)", "x")


@pytest.mark.parametrize(
    "value",
    [None, "", "-", "+", "-5", "-5,3", "+3", "1.234,5", "-1e-05", "a=b", "03157", 5, -5.5, "=", "Amt - neu", True],
)
def test_numbers_signs_and_words_stay_as_they_are(value: object) -> None:
    assert harmless.cell(value) == ("" if value is None else str(value))


def test_a_cell_that_begins_with_a_tab_or_a_new_line_is_marked() -> None:
    assert [harmless.cell(f"{sign}a") for sign in "\t\r\n"] == ["'\ta", "'\ra", "'\na"]


def test_only_one_place_writes_csv_for_people() -> None:
    """The others write files for machines: fixtures, seeds and examples of deliveries."""
    for_machines = {"harmless.py", "fixtures.py", "scaffold.py", "examples.py"}
    found = {
        path.name
        for path in (PROJECT / "plugins").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("writer", "DictWriter", "write_csv", "to_csv")
        and isinstance(node.value, ast.Name) and node.value.id != "harmless"
    }  # fmt: skip
    assert found <= for_machines and "harmless.py" in found


def test_nothing_makes_a_console_that_lets_others_act() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in (PROJECT / "plugins").rglob("*.py")}
    importing = [path.name for path, text in texts.items() if "from rich.console import Console" in text]
    assert importing == ["terminal.py"] and "import rich\n" not in "".join(texts.values())


ACTING = ("\x1b]0;Titel\x07", "\x1b[31m", "\x9b31m", "\x08", "\r", "\x7f", "\u202e", "\u2066", "\x85")


@pytest.mark.parametrize("acting", ACTING)
def test_control_characters_do_not_reach_a_terminal(acting: str) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="standard", width=80)
    table = Table("Name")
    table.add_row(f"a{acting}b")
    console.print(table)
    console.print(f"[red]a{acting}b[/red]\tc\nd", highlight=False)
    text = file.getvalue()
    ours = text.replace("\x1b[31m", "", 1).replace("\x1b[0m", "").replace("\x1b[1m", "")
    assert "\x1b[31m" in text, "our own colours work"
    assert not [sign for sign in acting if not sign.isprintable() and sign in ours]
    assert "\nd" in text and harmless.shown("a\tb\nc") == "a\tb\nc"


def test_progress_still_moves_the_cursor() -> None:
    file = io.StringIO()
    with Progress(console=Console(file=file, force_terminal=True), transient=True) as bar:
        bar.add_task("x\x1b[2J", total=1)
    assert "\x1b[2K" in file.getvalue() and "\x1b[2J" not in file.getvalue()


def test_json_says_the_same_with_nothing_to_act_on() -> None:
    value = {"a": "".join(ACTING) + "ä"}
    text = harmless.json_shown(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value and text.isprintable()
