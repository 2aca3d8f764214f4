"""Delivered bytes stay nowhere but in the archive, whatever happens to the process that handles them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from teilhabe.landing.passing_bytes import passing_folder, sweep
from teilhabe.settings import Settings
from tests.conftest import settings_for

HOLD = """
import sys, time
from pathlib import Path
from teilhabe.landing.passing_bytes import passing_folder
from teilhabe.settings import get_settings
with passing_folder(get_settings()) as folder:
    (folder / "original.csv").write_text("bytes")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path / "home")


def age(folder: Path) -> None:
    os.utime(folder, (0, 0))


def test_a_folder_is_closed_and_gone_afterwards(settings: Settings) -> None:
    with pytest.raises(RuntimeError), passing_folder(settings) as folder:
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "x").touch()
        raise RuntimeError
    assert list(settings.work.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(settings: Settings) -> None:
    environ = {**os.environ, "TEILHABE_HOME": str(settings.home)}
    with subprocess.Popen([sys.executable, "-c", HOLD], env=environ, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        folder = Path(holder.stdout.readline().strip())
        age(folder)
        assert sweep(settings) == 0 and (folder / "original.csv").exists()
        holder.send_signal(signal.SIGKILL)
    with passing_folder(settings):
        assert not folder.exists(), "the next one clears up"


def test_a_folder_that_was_just_made_is_left_alone(settings: Settings) -> None:
    settings.work.mkdir(parents=True)
    young = settings.work / "passing-young"
    young.mkdir()
    assert sweep(settings) == 0
    age(young)
    assert sweep(settings) == 1
