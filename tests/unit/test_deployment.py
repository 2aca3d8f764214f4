"""The container set-up holds no secret, opens no door and runs the components we run ourselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml

from teilhabe.airflow.containers import SECRETS
from teilhabe.airflow.processes import COMPONENTS

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load(TEXT)
DOCKERFILE = (PROJECT / "Dockerfile").read_text(encoding="utf-8")


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


def test_no_secret_is_in_a_variable() -> None:
    assert not re.findall(r"\$\{\w*(?:PASSWORD|SECRET|KEY)(?!\w*_FILE)\w*", TEXT)
    for name, service in COMPOSE["services"].items():
        for variable, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|KEY", variable):
                assert variable.endswith("_FILE") and value.startswith("/run/secrets/"), (name, variable)
            assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), (name, variable)


def test_the_example_lists_what_is_used() -> None:
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    assert re.search(r"^TEILHABE_POSTGRES_PASSWORD_FILE=$", example, re.MULTILINE)
    assert set(re.findall(r"\$\{(\w+)", TEXT)) == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_only_init_and_the_database_get_the_administrators_password() -> None:
    assert {name for name, service in COMPOSE["services"].items() if "secrets" in service} == {"postgres", "init"}


def test_each_component_mounts_its_own_secrets_and_cannot_write_them() -> None:
    assert set(SECRETS) == set(COMPONENTS)
    for name in COMPONENTS:
        mounts = COMPOSE["services"][name]["volumes"]
        assert [m for m in mounts if "secrets" in m] == [f"secrets-{name}:/var/lib/teilhabe/secrets:ro"]
        assert f"secrets-{name}:/run/hand-out/{name}" in COMPOSE["services"]["init"]["volumes"]
        assert f"/run/hand-out/{name}" in DOCKERFILE, "a volume takes its owner from the image"


def test_every_container_is_confined() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"] and service["pids_limit"] and service["logging"]["options"]["max-size"], name
        assert ("cap_add" in service) == (name == "postgres")
    assert {n for n, s in COMPOSE["services"].items() if "outside" in s["networks"]} == {"scheduler"}
    assert {n for n, s in COMPOSE["services"].items() if "front" in s["networks"]} == {"api-server"}
    assert COMPOSE["networks"]["database"] == COMPOSE["networks"]["inside"] == {"internal": True}


def test_the_image_is_pinned_and_runs_as_nobody_in_particular() -> None:
    images = [*re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE), COMPOSE["services"]["postgres"]["image"]]
    assert len(images) == 3 and all(re.fullmatch(r"\S+:[\d.]+\S*@sha256:[0-9a-f]{64}", image) for image in images)
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["50000:50000"]


def test_the_locks_agree_and_the_production_one_has_no_tools_of_tests() -> None:
    def locked(name: str) -> dict[str, str]:
        text = (PROJECT / name).read_text(encoding="utf-8")
        return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE))

    production, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    assert production.items() <= dev.items()
    assert {"pytest", "moto", "playwright", "ruff"} <= dev.keys()
    assert not {"pytest", "moto", "docker", "playwright", "aiosmtpd", "ruff", "hatchling"} & production.keys()


def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    program = shutil.which("docker-compose")
    assert program, "apt-get install docker-compose"
    nothing = tmp_path / "empty.env"  # or it would read the .env of this checkout
    nothing.touch()
    command = [program, "--file", str(PROJECT / "docker-compose.yml"), "--env-file", str(nothing), "config"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    refused = subprocess.run(command, check=False, env=environ, capture_output=True, text=True)
    assert refused.returncode != 0 and "TEILHABE_POSTGRES_PASSWORD_FILE" in refused.stderr
    accepted = subprocess.run(
        command, check=False, env={**environ, "TEILHABE_POSTGRES_PASSWORD_FILE": "/x"}, capture_output=True, text=True
    )
    assert accepted.returncode == 0, accepted.stderr
