"""The worked example of the cookbook, word for word: file, commands and what they print, in a copy of the project."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from teilhabe.building import building
from teilhabe.server import embedded
from tests.conftest import PROJECT, settings_for
from tests.flow import Flow

PAGE = (PROJECT / "docs" / "cookbook" / "add-a-dataset.md").read_text(encoding="utf-8")
COPIED = ("agencies", "expectations", "dbt_project")
PROGRAM = Path(sys.executable).parent / "teilhabe"


def commands() -> list[tuple[str, str]]:
    """(command, what the page says it prints) in the order of the page."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            found.append((command, printed))
    return found


def test_the_page_shows_file_and_commands() -> None:
    assert [shlex.split(command)[1] for command, _ in commands()] == [
        "new-dataset", "contracts", "init", "deliver", "run", "sql",
    ]  # fmt: skip


def test_a_dataset_is_added_as_the_page_says_and_its_numbers_arrive(
    make_home: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, desk = tmp_path / "project", tmp_path / "desk"
    for name in COPIED:
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("target", "logs"))
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    desk.mkdir()
    name = re.search(r"Save it as `(.+?)`", PAGE)
    text = re.search(r"^```csv\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert name and text
    (desk / name[1]).write_text(text[1], encoding="utf-8")
    settings = replace(settings_for(make_home()), project=project)
    monkeypatch.setenv("TEILHABE_PROJECT", str(project))
    monkeypatch.setenv("TEILHABE_HOME", str(settings.home))
    try:
        for command, printed in commands():
            if command == "teilhabe run --until-idle":
                # The same steps without a scheduler: what Airflow adds is tested elsewhere.
                Flow(settings, desk).run("library__language_meetings")
                building.build(settings)
                continue
            done = subprocess.run(
                [str(PROGRAM), *shlex.split(command)[1:]], cwd=desk, env={**os.environ, "NO_COLOR": "1"},
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            if printed:
                assert done.stdout == printed, command
    finally:
        embedded.stop(settings)
    changed = {path.relative_to(project).as_posix() for path, content in before.items() if path.read_bytes() != content}
    lists = {"dbt_project/seeds/measures.csv", "dbt_project/macros/observation_models.sql"}
    assert changed == lists, "nothing else has to be touched"
