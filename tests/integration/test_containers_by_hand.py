"""What the image and the compose file say, done by hand where no container engine is: the production lock in an environment of its
own, the project without git and not to be written, an account without rights, a server elsewhere, the four components from the
compose file's commands and variables; and one delivery from the inbox to the marts."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from teilhabe.airflow.containers import SECRETS
from teilhabe.airflow.processes import COMPONENTS
from teilhabe.server import connecting, embedded
from teilhabe.settings import Settings
from tests.conftest import PROJECT, settings_for
from tests.flow import PEINE, POPULATION, population
from tests.patience import within

COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))
SHARED = ("archive", "inbox", "work", "log", "run", "airflow")
"""What of a home is the volume all components mount; ``secrets`` is each one's own."""


@dataclass
class Deployment:
    """The machine of the containers: ``root`` stands for the file systems of all of them."""

    root: Path
    server: Settings
    """The home of the server elsewhere."""
    database_port: int
    password_file: Path
    api_port: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        return self.root / "opt" / "teilhabe"

    @property
    def programs(self) -> Path:
        return self.root / "opt" / "venv" / "bin"

    def home(self, service: str) -> Path:
        return self.root / service

    def environment(self, service: str) -> dict[str, str]:
        """The service's variables, with this machine's ports and places for the containers'."""
        places = {
            "postgres:5432": f"127.0.0.1:{self.database_port}",
            "api-server:8080": f"127.0.0.1:{self.api_port}",
            "/run/secrets/postgres_password": str(self.password_file),
            "/run/hand-out": str(self.root / "hand-out"),
            "0.0.0.0": "127.0.0.1",
            "${TEILHABE_TRUSTED_PROXIES:-}": "",
            "${TEILHABE_PUBLIC_URL:-http://127.0.0.1:8080}": f"http://127.0.0.1:{self.api_port}",
        }
        given = {"AIRFLOW__API__PORT": str(self.api_port)}
        for name, value in COMPOSE["services"][service]["environment"].items():
            text = str(value)
            for word, replacement in places.items():
                text = text.replace(word, replacement)
            given.setdefault(name, text)
        return {
            **given,
            "TEILHABE_HOME": str(self.home(service)),
            "PATH": str(self.programs),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """As ``docker-compose exec`` does it: in the container's environment."""
        words = [str(self.programs / command[0]), *command[1:]]
        environ = self.environment(service)
        done = subprocess.run(
            words, check=False, env=environ, cwd=self.project, capture_output=True, text=True, **account()
        )
        log = self.home(service) / "log" / "airflow-start.log"
        said = log.read_text()[-3000:] if done.returncode and log.exists() else ""
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}{said}"
        return done

    def start(self, component: str) -> None:
        """The component's container, in the background."""
        with (self.root / f"{component}.log").open("wb") as log:
            self.running[component] = subprocess.Popen(
                [
                    self.programs / "python",
                    "-m",
                    "teilhabe.airflow.containers",
                    COMPOSE["services"][component]["command"],
                ],
                env=self.environment(component),
                cwd=self.project,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **account(),
            )

    def healthy(self, component: str) -> bool:
        """What the container's health check says."""
        assert self.running[component].poll() is None, (self.root / f"{component}.log").read_text()[-3000:]
        kind, program, *words = COMPOSE["services"][component]["healthcheck"]["test"]
        assert kind == "CMD"
        words = [word.replace("api-server:8080", f"127.0.0.1:{self.api_port}") for word in words]
        return subprocess.run([self.programs / program, *words], check=False, capture_output=True).returncode == 0

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Of the server itself: a command would be a process for every look."""
        with connecting.connect("admin", self.server) as conn:
            return conn.execute(query.encode()).fetchall()

    def end(self) -> None:
        """Stop all of them, tasks included."""
        for process in self.running.values():
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for member in family:
                member.kill()
            process.wait()


def account() -> dict[str, Any]:
    """An account without rights, for whoever is root here."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def python_for_everybody() -> str:
    """An interpreter the account without rights can run; root's own often lies where nobody else may look."""
    names = (sys.executable, "python3.13", "python3.12", "python3.11", "/usr/bin/python3")
    for program in filter(None, map(shutil.which, names)):
        real = str(Path(program).resolve())
        asked = [real, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        with contextlib.suppress(OSError):
            if subprocess.run(asked, check=False, cwd="/", **account()).returncode == 0:
                return real
    pytest.skip("no Python >= 3.11 is here that an account without rights can run (apt-get install python3)")


def own(path: Path) -> Path:
    """A folder for the account without rights."""
    path.mkdir(mode=0o700, parents=True)
    if given := account():
        os.chown(path, given["user"], given["group"])
    return path


def image(root: Path) -> None:
    """What the Dockerfile does, with what .dockerignore lets through."""
    project = root / "opt" / "teilhabe"
    project.mkdir(parents=True)
    kept = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    leave = shutil.ignore_patterns("__pycache__", "target", "logs", ".user.yml")
    for name in kept:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=leave)
        else:
            shutil.copy2(source, project / name)
    setup = (
        'eval "$("$0" scripts/pip_to_uv.py)"; export UV_PYTHON_DOWNLOADS=never;'
        ' uv="$(command -v uv || echo .venv/.uv/bin/uv)";'
        ' [ -w "${HOME:-/nonexistent}" ] || export UV_CACHE_DIR="$PWD/.venv/.cache";'
        ' "$uv" venv --quiet --python "$2" "$1/opt/venv";'
        # As pip does in the image: nobody may write there later, and each process would compile all it imports.
        ' "$uv" pip sync --quiet --compile-bytecode --require-hashes --python "$1/opt/venv/bin/python"'
        ' "$1/opt/teilhabe/requirements.lock";'
        ' "$uv" pip install --quiet --require-hashes --python "$1/opt/venv/bin/python" --target "$1/opt/build"'
        ' --requirements "$1/opt/teilhabe/requirements-build.lock";'
        ' PYTHONPATH="$1/opt/build" "$uv" pip install --quiet --no-build-isolation --no-deps --no-index'
        ' --python "$1/opt/venv/bin/python" --editable "$1/opt/teilhabe"'
    )
    subprocess.run(["sh", "-euc", setup, sys.executable, str(root), python_for_everybody()], check=True, cwd=PROJECT)
    compiled = [root / "opt" / "venv" / "bin" / "python", "-m", "compileall", "-q", "plugins", "dags"]
    subprocess.run(compiled, check=True, cwd=project)
    for path in (project, *project.rglob("*")):
        path.chmod(path.stat().st_mode & 0o7555 | 0o444)


def volumes(root: Path) -> None:
    """The volumes of the compose file: one home for all, secrets for each."""
    own(root / "volume")
    for name in SHARED:
        own(root / "volume" / name)
    own(root / "hand-out")
    for component in COMPONENTS:
        secrets = own(root / "hand-out" / component)
        home = own(root / component)
        for name in SHARED:
            (home / name).symlink_to(root / "volume" / name)
        (home / "secrets").symlink_to(secrets)
    home = own(root / "init")
    for name in SHARED:
        (home / name).symlink_to(root / "volume" / name)


@pytest.fixture(scope="module")
def deployment(make_home: Callable[[], Path]) -> Iterator[Deployment]:
    server = settings_for(make_home())
    database = embedded.ensure_running(server)
    root = make_home()
    root.mkdir()
    image(root)
    volumes(root)
    password = root / "postgres_password"
    password.write_text((server.secrets / "warehouse_admin.password").read_text())
    password.chmod(0o444)
    free = next(port for port in range(28080, 29080) if embedded.port_is_free(port))
    made = Deployment(root, server, database.port, password, free)
    try:
        made.run("init", "python", "-m", "teilhabe.airflow.containers", "init")
        for component in COMPONENTS:
            made.start(component)
        for component in COMPONENTS:
            within(180, lambda name=component: made.healthy(name))  # type: ignore[misc]
        yield made
    finally:
        made.end()
        embedded.stop(server)


def logs(deployment: Deployment) -> str:
    """The end of each log of a task."""
    paths = (deployment.root / "volume" / "log").rglob("*attempt=*.log")
    return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in paths)


def test_a_delivery_goes_from_the_inbox_to_the_marts(deployment: Deployment) -> None:
    numbers = {code: (100 + place, 60, 40 + place) for place, code in enumerate(PEINE)}
    file = deployment.root / "volume" / "work" / "bevoelkerung.csv"
    file.write_bytes(population(numbers))
    file.chmod(0o644)
    deployment.run("scheduler", "teilhabe", "deliver", POPULATION, str(file))

    password = (deployment.home("init") / "secrets" / "airflow_admin.password").read_text().strip()
    with httpx.Client(base_url=f"http://127.0.0.1:{deployment.api_port}", trust_env=False, timeout=60) as client:
        token = client.post("/auth/token", json={"username": "admin", "password": password}).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {token['access_token']}"
        dag = f"/api/v2/dags/deliver__{POPULATION}"
        within(180, lambda: client.get(dag).status_code == httpx.codes.OK)
        client.post(f"{dag}/dagRuns", json={"logical_date": None, "conf": {}}).raise_for_status()

    def loaded() -> bool:
        states = deployment.ask("select state from ops.delivery")
        [[state]] = states or [["received"]]
        assert state in ("received", "validated", "loaded"), state + logs(deployment)
        return state == "loaded"

    def is_published() -> bool:
        [[table]] = deployment.ask("select to_regclass('marts.release')")
        return bool(table and deployment.ask("select 1 from marts.release"))

    within(300, loaded)
    within(300, is_published)
    query = (
        "select territory_code, max(value)::int"
        " from fct_observation join dim_territory using (territory_key) group by 1"
    )
    rows = deployment.run("scheduler", "teilhabe", "sql", "--csv", query).stdout.split()[1:]
    found = dict(row.split(",") for row in rows)
    assert {code: int(value) for code, value in found.items() if code in numbers} == {
        code: total for code, (total, _, _) in numbers.items()
    }
    [[code]] = [
        line.split(",")
        for line in deployment.run(
            "scheduler", "teilhabe", "sql", "--csv", "select code_version from release order by release_id desc limit 1"
        ).stdout.split()[1:]
    ]
    assert "+files." in code, "without git and build id the files themselves say which code it was"


def test_each_component_has_its_own_secrets_and_nobody_the_administrators(deployment: Deployment) -> None:
    admin = deployment.password_file.read_text().strip()
    for component, names in SECRETS.items():
        folder = deployment.home(component) / "secrets"
        assert {path.name for path in folder.iterdir()} == set(names)
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
        process = psutil.Process(deployment.running[component].pid)
        environ = json.dumps(process.environ())
        assert admin not in environ and admin not in (deployment.root / f"{component}.log").read_text()
        if os.geteuid() == 0:
            assert process.username() == "nobody"


def test_only_production_packages_are_installed(deployment: Deployment) -> None:
    code = "import importlib.metadata as m; print(*sorted({d.name.lower() for d in m.distributions()}))"
    installed = set(deployment.run("scheduler", "python", "-c", code).stdout.split())
    assert {"apache-airflow", "dbt-postgres", "teilhabe"} <= installed
    assert not installed & {"pytest", "moto", "playwright", "docker", "hatchling", "editables", "ruff", "mypy", "pip"}


def test_nothing_was_written_into_the_image(deployment: Deployment) -> None:
    began = deployment.password_file.stat().st_mtime
    written = [path for path in (deployment.root / "opt").rglob("*") if path.lstat().st_mtime > began + 1]
    assert written == []
