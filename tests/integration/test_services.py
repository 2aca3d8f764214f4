"""Airflow for real: LocalExecutor, a run through the REST interface, and nothing left afterwards."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from teilhabe.airflow import configuration, processes, services
from teilhabe.airflow.client import AirflowApi
from teilhabe.errors import ServiceError
from teilhabe.server import connecting, embedded
from teilhabe.settings import Settings
from tests.conftest import settings_for
from tests.homes import Homes
from tests.patience import within

DAG = """
from airflow.sdk import dag, task


@dag(schedule=None)
def probe():
    @task
    def add():
        import logging
        from teilhabe.settings import get_settings
        # What a task prints is left out of its log.
        logging.getLogger("probe").warning("home is %s", get_settings().home)

    add()


@dag(schedule=None)
def sleeper():
    @task
    def sleep():
        import os
        import time
        from teilhabe.settings import get_settings
        (get_settings().home / f"sleeper-{os.getpid()}").touch()
        time.sleep(300)

    sleep()


probe()
sleeper()
"""


def make_settings(base: Path, dag: str = DAG) -> Settings:
    project = base.parent / "project"
    (project / "dags").mkdir(parents=True)
    (project / "plugins").mkdir()
    (project / "dags" / "probe.py").write_text(dag)
    return replace(settings_for(base), project=project)


def carriers_of_the_home(settings: Settings) -> list[psutil.Process]:
    """Independent of the code under test: every process that mentions the home in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid()
            if alive and process.environ().get("AIRFLOW_HOME") == str(settings.airflow_home):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_for_state(api: AirflowApi, dag_id: str, run_id: str, states: set[str]) -> str:
    until = time.monotonic() + 120
    while (state := str(api.dag_run(dag_id, run_id)["state"])) not in states and time.monotonic() < until:
        time.sleep(0.2)
    return state


@pytest.fixture(scope="module")
def settings(make_home: Callable[[], Path], homes: Homes) -> Iterator[Settings]:
    """One running Airflow for this module; starting it is the expensive part."""
    given = make_settings(make_home())
    homes.lay("with Airflow", given.home)
    services.up(given)
    yield given
    services.down(given)


@pytest.fixture
def api(settings: Settings) -> Iterator[AirflowApi]:
    services.up(settings)
    with AirflowApi(settings) as client:
        yield client


def test_a_run_goes_through_scheduler_executor_and_rest_interface(settings: Settings, api: AirflowApi) -> None:
    api.wait_for_dags(["probe", "sleeper"])
    assert api.import_errors() == []
    assert not any(dag["is_paused"] for dag in api.dags())
    run_id = api.trigger("probe", {"note": "by hand"})
    assert wait_for_state(api, "probe", run_id, {"success", "failed"}) == "success"
    assert api.dag_run("probe", run_id)["conf"] == {"note": "by hand"}
    assert [(task["task_id"], task["state"]) for task in api.task_instances("probe", run_id)] == [("add", "success")]
    assert [run["dag_run_id"] for run in api.dag_runs(["probe"], ["success"])] == [run_id]
    assert api.dag_runs(["probe"], ["failed"]) == []
    assert f"home is {settings.home}" in api.task_log("probe", run_id, "add")


def test_up_again_returns_what_is_there(settings: Settings, api: AirflowApi) -> None:
    before = {process.pid for process in carriers_of_the_home(settings)}
    said: list[str] = []
    again = services.up(settings, said.append)
    assert said == [] and again == configuration.info(settings)
    recorded = {entry.pid for entry in processes.State.read(settings).processes.values()}
    assert len(recorded) == 4 and recorded <= before


def test_strangers_get_nothing(settings: Settings, api: AirflowApi) -> None:
    address = configuration.info(settings).ui_url
    assert address.startswith("http://127.0.0.1:")
    with httpx.Client(base_url=address, trust_env=False) as stranger:
        assert stranger.get("/api/v2/dags").status_code == 401
        wrong = {"username": "admin", "password": "admin"}
        assert stranger.post("/auth/token", json=wrong).status_code == 401
        assert stranger.get("/auth/register/form").status_code in {401, 403, 404}
    for process in carriers_of_the_home(settings):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip == "127.0.0.1", (process.cmdline(), connection)


def test_secrets_are_closed_and_in_no_log(settings: Settings, api: AirflowApi) -> None:
    values = {path.name: path.read_text().strip() for path in settings.secrets.iterdir()}
    assert {"airflow_fernet.key", "airflow_jwt.key", "airflow_session.key", "airflow_admin.password"} <= values.keys()
    for path in settings.secrets.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for log in settings.logs.rglob("*.log"):
        text = log.read_text(errors="replace")
        for name, value in values.items():
            assert value not in text, f"{name} stands in {log}"
    for process in carriers_of_the_home(settings):
        assert not [word for word in process.cmdline() for value in values.values() if value in word]


def test_whatever_is_killed_up_replaces_it(settings: Settings, api: AirflowApi) -> None:
    killed = ("scheduler", "triggerer")
    recorded = processes.State.read(settings).processes
    for component in killed:
        os.kill(recorded[component].pid, signal.SIGKILL)
    services.up(settings)  # at once: whoever still seems to live ends while it waits, and is started too
    now = processes.State.read(settings).processes
    assert not {now[component].pid for component in killed} & {entry.pid for entry in recorded.values()}
    kept = recorded.keys() - set(killed)
    assert {name: now[name] for name in kept} == {name: recorded[name] for name in kept}


def test_the_next_scheduler_takes_up_what_a_killed_one_ran(settings: Settings, api: AirflowApi) -> None:
    """At once: Airflow by itself looks after it five minutes later, for it takes the killed one for alive."""
    api.wait_for_dags(["sleeper"])
    run_id = api.trigger("sleeper")

    def attempt() -> tuple[str | None, int | None]:
        [task] = api.task_instances("sleeper", run_id)
        return task["state"], task["try_number"]

    within(60, lambda: attempt() == ("running", 1))
    [first] = within(30, lambda: sleepers(settings))
    os.kill(processes.State.read(settings).processes["scheduler"].pid, signal.SIGKILL)
    services.up(settings)
    within(60, lambda: attempt() == ("running", 2))
    [second] = within(30, lambda: sleepers(settings))
    assert second != first


def sleepers(settings: Settings) -> set[int]:
    """The living processes of the task that sleeps."""
    pids = {int(path.name.removeprefix("sleeper-")) for path in settings.home.glob("sleeper-*")}
    return pids & {process.pid for process in carriers_of_the_home(settings)}


def test_two_homes_that_want_the_same_port_get_one_each(settings: Settings, make_home: Callable[[], Path]) -> None:
    """The second has chosen the port while it was free, and finds it taken when its server begins to listen."""
    taken = processes.port(settings)
    other = make_settings(make_home())
    other.run.mkdir(parents=True)  # not a copy: its accounts and secrets are made anew
    (other.run / "airflow.port").write_text(f"{taken}\n")
    assert not processes.api_server_listens(other)
    said: list[httpx.Request] = []
    with AirflowApi(other, patience=1) as stranger:
        stranger._client.event_hooks["request"].append(said.append)
        with pytest.raises(ServiceError, match="not this home's"):
            stranger._client.headers["Authorization"] = "Bearer this-homes-secret"
            stranger.dags()
    assert said == [], "a token went to another home's server"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services.embedded, "port_is_free", lambda port: True)
        try:
            services.up(other)
            assert processes.port(other) != taken
            with AirflowApi(other) as api:
                assert isinstance(api.dags(), list)
        finally:
            services.down(other)
            embedded.stop(other)


def test_commands_need_no_persons_account(settings: Settings, api: AirflowApi) -> None:
    """Neither its password nor whether it is let in; and what was done to it stays over ``up``."""
    with connecting.connect("airflow", settings, autocommit=True) as conn:
        conn.execute("update ab_user set active = false, password = 'changed' where username = 'admin'")
    services.up(settings)
    assert api.dags()
    with connecting.connect("airflow", settings) as conn:
        found = conn.execute("select active, password from ab_user where username = 'admin'").fetchall()
    assert found == [(False, "changed")]


def test_a_disabled_account_of_the_commands_is_named(settings: Settings, api: AirflowApi) -> None:
    try:
        with connecting.connect("airflow", settings, autocommit=True) as conn:
            conn.execute("update ab_user set active = false where username = 'teilhabe'")
        with AirflowApi(settings) as client, pytest.raises(ServiceError, match="teilhabe account enable teilhabe"):
            client.dags()
    finally:
        with connecting.connect("airflow", settings, autocommit=True) as conn:
            conn.execute("update ab_user set active = true where username = 'teilhabe'")


def test_a_reused_pid_is_never_touched(settings: Settings, api: AirflowApi) -> None:
    state = processes.State.read(settings)
    entry = processes.Recorded(os.getpid(), psutil.Process().create_time() - 100)
    assert entry.alive() is None
    assert os.getpid() not in {process.pid for process in processes.all_processes(settings, state)}


def test_a_broken_dag_is_named(settings: Settings, api: AirflowApi) -> None:
    """That several homes run side by side is shown by these tests: others have their Airflow running at the same time."""
    broken = settings.dags / "broken.py"
    broken.write_text("from airflow.sdk import dag\nimport does_not_exist\n")
    try:
        with pytest.raises(ServiceError, match="does_not_exist"):
            api.wait_for_dags(["broken"])
    finally:
        broken.unlink()


def test_down_ends_everything_even_tasks_and_orphans(settings: Settings, api: AirflowApi) -> None:
    api.wait_for_dags(["sleeper"])
    run_id = api.trigger("sleeper")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if [task for task in api.task_instances("sleeper", run_id) if task["state"] == "running"]:
            break
        time.sleep(0.2)
    os.kill(processes.State.read(settings).processes["scheduler"].pid, signal.SIGKILL)
    assert services.down(settings) is True
    assert carriers_of_the_home(settings) == []
    assert services.down(settings) is False
    assert not services.running(settings)
    assert embedded.is_running(settings), "the database is not Airflow's to stop"
