"""Which code judged and built is known everywhere, also where there is no history and no git."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from teilhabe.system.code_version import code_version
from tests.conftest import settings_for


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "rules.py").write_text("LIMIT = 5\n")
    return tmp_path


def known(project: Path) -> str:
    code_version.cache_clear()
    return code_version(replace(settings_for(project / "home"), project=project))


def test_an_image_says_it_itself(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEILHABE_BUILD_ID", "2026.11-7")
    assert known(project).endswith("+2026.11-7")


def test_a_checkout_has_its_commit(project: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(project), "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    assert known(project).endswith("+" + git("rev-parse", "--short=12", "HEAD"))


@pytest.mark.parametrize("path", ["", None])
def test_without_history_or_git_a_change_is_seen(
    project: Path, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    if path is not None:
        monkeypatch.setenv("PATH", path)
    before = known(project)
    (project / "plugins" / "__pycache__").mkdir()
    (project / "plugins" / "__pycache__" / "rules.pyc").write_bytes(b"x")
    assert known(project) == before and "+files." in before
    (project / "plugins" / "rules.py").write_text("LIMIT = 6\n")
    assert known(project) != before
