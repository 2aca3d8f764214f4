"""The container set-up holds no secret, opens no door and runs the components we run ourselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from teilhabe.airflow.processes import COMPONENTS

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)


def test_every_component_has_a_container_with_a_health_check() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"postgres", "init", *COMPONENTS}
    for name in COMPONENTS:
        assert services[name]["command"] == name
        assert services[name]["healthcheck"]["test"][0] == "CMD"


def test_only_the_user_interface_is_reachable_and_only_from_this_machine() -> None:
    ports = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
    assert list(ports) == ["api-server"]
    assert all(port.startswith("127.0.0.1:") for port in ports["api-server"])


def test_secrets_have_no_default() -> None:
    for name, rest in re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY)\w*)(.*?)\}", TEXT):
        assert rest.startswith(":?"), name
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    assert re.search(r"^POSTGRES_PASSWORD=$", example, re.MULTILINE)
    named = set(re.findall(r"\$\{(\w+)", TEXT))
    assert named == set(re.findall(r"^(\w+)=", example, re.MULTILINE)), "the example lists what is used"


def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed")
    nothing = tmp_path / "empty.env"  # or it would read the .env of this checkout
    nothing.touch()
    command = [program, "--file", str(PROJECT / "docker-compose.yml"), "--env-file", str(nothing), "config"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    refused = subprocess.run(command, check=False, env=environ, capture_output=True, text=True)
    assert refused.returncode != 0 and "POSTGRES_PASSWORD" in refused.stderr
    accepted = subprocess.run(
        command, check=False, env={**environ, "POSTGRES_PASSWORD": "x"}, capture_output=True, text=True
    )
    assert accepted.returncode == 0, accepted.stderr
