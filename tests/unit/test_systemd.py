"""The units in deploy/systemd are valid, run commands that exist, and write where they may."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest
from typer.main import get_command

from teilhabe.cli import app as cli

PROJECT = Path(__file__).resolve().parents[2]
UNITS = PROJECT / "deploy" / "systemd"
INSTALLED = "/opt/teilhabe"
SERVICES = sorted(UNITS.glob("*.service"))
TIMERS = sorted(UNITS.glob("*.timer"))


class Unit(RawConfigParser):
    """A unit file, as far as no key stands in it twice; names as they are written."""

    def __init__(self, path: Path) -> None:
        super().__init__(interpolation=None)
        self.read_string(path.read_text(encoding="utf-8"))

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def verified(folder: Path, units: list[Path]) -> str:
    """What systemd says of the units, with this project in the place of the installed one."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (make tools)")
    program = folder / "bin" / "teilhabe"
    program.parent.mkdir()
    program.touch(mode=0o755)
    placed = []
    for unit in units:
        placed.append(folder / unit.name)
        text = unit.read_text(encoding="utf-8")
        placed[-1].write_text(text.replace(f"{INSTALLED}/.venv/bin/teilhabe", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, placed)],
        check=False, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    return done.stdout + done.stderr + ("" if done.returncode == 0 else f"exit code {done.returncode}")


def test_systemd_accepts_them_without_a_word(tmp_path: Path) -> None:
    assert verified(tmp_path, [*SERVICES, *TIMERS]) == ""


def test_a_misspelt_key_would_be_told(tmp_path: Path) -> None:
    broken = tmp_path / "source" / "teilhabe.service"
    broken.parent.mkdir()
    broken.write_text((UNITS / "teilhabe.service").read_text(encoding="utf-8").replace("KillMode", "KilMode"))
    assert "KilMode" in verified(tmp_path, [broken])


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_a_service_runs_a_command_there_is_and_is_confined(path: Path) -> None:
    service = Unit(path)["Service"]
    program, command, *options = shlex.split(service["ExecStart"])
    assert program == f"{INSTALLED}/.venv/bin/teilhabe"
    known = get_command(cli.app).commands[command]  # type: ignore[attr-defined]
    names = {name for parameter in known.params for name in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= names
    # Backups lie outside the home; nothing else may be written.
    folders = [option for option in options if option.startswith("/")]
    assert service.get("ReadWritePaths", "").split() == folders
    assert service["User"] == "teilhabe" and service["Environment"] == "TEILHABE_HOME=/var/lib/teilhabe"
    closed = ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "ProtectKernelTunables", "RestrictNamespaces")
    assert [service[key] for key in closed] == ["yes"] * len(closed)
    assert (
        service["ProtectSystem"] == "strict" and service["CapabilityBoundingSet"] == "" and service["UMask"] == "0077"
    )


def test_what_runs_by_itself_stops_with_the_service() -> None:
    assert {path.stem for path in TIMERS} == {path.stem for path in SERVICES} - {"teilhabe"}
    for path in TIMERS:
        unit = Unit(path)
        assert unit["Unit"]["PartOf"] == unit["Install"]["WantedBy"] == "teilhabe.service", path.name


def test_the_page_names_every_unit() -> None:
    page = (PROJECT / "docs" / "cookbook" / "install.md").read_text(encoding="utf-8")
    assert all(timer.name in page for timer in TIMERS) and "teilhabe.service" in page
