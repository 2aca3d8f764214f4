"""All DAGs: they parse without work, always alike, one per contract; Airflow sees no more of the project than it should."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest

from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import (
    ContractError,
    Finding,
    FullError,
    ReadingError,
    SourceError,
    UnreachableError,
    WarehouseError,
)

PROJECT = Path(__file__).resolve().parents[2]
DAGS = PROJECT / "dags"
PLUGINS = PROJECT / "plugins"
CONTRACTS = load_contracts(PROJECT / "agencies")
SHAPE = {"deliver": {"refusals"}, "refusals": set()}
"""Few, full tasks: a start costs more than a file."""
DAGBAG = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1], bundle_name="dags-folder")
print(json.dumps({"errors": bag.import_errors, "dags": sorted(bag.dags)}))
"""
PLUGIN = """
import json, sys
from airflow import plugins_manager
apps, _ = plugins_manager.get_fastapi_plugins()
views, _ = plugins_manager._get_ui_plugins()
print(json.dumps({
    "apps": [app["url_prefix"] for app in apps], "views": [(view["name"], view["href"]) for view in views],
    "errors": plugins_manager.get_import_errors(), "loaded": sorted(name for name in sys.modules if name.startswith("teilhabe")),
}))
"""
PLUGIN_FILES = """
import json, sys
from airflow._shared.module_loading import find_path_from_directory
print(json.dumps(sorted(find_path_from_directory(sys.argv[1], ".airflowignore", "glob"))))
"""


def airflow_python(home: Path, *arguments: str, seed: str = "0") -> Any:
    """What a fresh process with an empty Airflow home prints last."""
    environment = {
        **os.environ, "AIRFLOW_HOME": str(home), "PYTHONHASHSEED": seed, "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PLUGINS), "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    script = Path(__file__).with_name("serialized.py")
    result: dict[str, Any] = airflow_python(tmp_path_factory.mktemp("airflow"), str(script), str(DAGS), seed="1")
    return result


@pytest.fixture(scope="module")
def stored(parsed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """dag_id -> the DAG as Airflow stores it."""
    return {dag_id: content["dag"] for dag_id, content in parsed["dags"].items()}


def tasks(dag: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By name; what a mapped task has for all its instances stands in it as in any other."""
    return {
        task["__var"]["task_id"]: {**task["__var"].get("partial_kwargs", {}), **task["__var"]} for task in dag["tasks"]
    }


def test_all_files_import_in_a_fresh_process(tmp_path: Path) -> None:
    found = airflow_python(tmp_path, "-c", DAGBAG, str(DAGS))
    assert found["errors"] == {}
    assert len(found["dags"]) >= 25
    assert {f"deliver__{name}" for name in CONTRACTS} | {"warehouse"} <= set(found["dags"])
    assert {name for name in found["dags"] if name.startswith("deliver__")} == {
        f"deliver__{name}" for name in CONTRACTS
    }


def test_parsing_does_no_work(parsed: dict[str, Any]) -> None:
    """Every DAG file is parsed every half minute and before every task: no connection, no heavy import."""
    assert len(parsed["dags"]) >= 25
    assert parsed["heavy"] == []
    assert parsed["connections"] == []


def test_parsing_twice_gives_the_same_dags(parsed: dict[str, Any], tmp_path: Path) -> None:
    """A DAG that differs by set order, clock or address would become a new version at each parse."""
    script = Path(__file__).with_name("serialized.py")
    again = airflow_python(tmp_path, str(script), str(DAGS), seed="4711")
    assert again["dags"] == parsed["dags"]


def test_every_dag_has_an_owner_tags_and_a_page(stored: dict[str, dict[str, Any]]) -> None:
    assert len(stored) >= 25
    for dag_id, dag in stored.items():
        owners = {task.get("owner") for task in tasks(dag).values()}
        assert len(owners) == 1
        assert owners - {None, "airflow", ""}, dag_id
        assert dag["tags"], dag_id
        assert dag["doc_md"].strip(), dag_id


def seconds(stored: Any) -> float:
    return float(stored["__var"] if isinstance(stored, dict) else stored or 0)


def test_no_task_works_for_ever(stored: dict[str, dict[str, Any]]) -> None:
    for dag_id, dag in stored.items():
        for name, task in tasks(dag).items():
            assert 0 < seconds(task.get("execution_timeout")) <= 24 * 3600, (dag_id, name)


@pytest.mark.parametrize("dataset_id", sorted(CONTRACTS))
def test_the_page_of_a_delivery_dag_says_whom_to_ask_and_when_it_is_due(
    stored: dict[str, dict[str, Any]], dataset_id: str
) -> None:
    contract = CONTRACTS[dataset_id]
    dag = stored[f"deliver__{dataset_id}"]
    for part in (contract.office, contract.contact, contract.licence, f"due {contract.calendar.lag_days} days"):
        assert part in dag["doc_md"]
    assert all(f"| `{column.name}` |" in dag["doc_md"] for column in contract.columns)
    assert {"delivery", contract.agency} <= set(dag["tags"])
    assert {task["owner"] for task in tasks(dag).values()} == {contract.office.replace(",", " ")}


@pytest.mark.parametrize("dataset_id", sorted(CONTRACTS))
def test_all_delivery_dags_have_one_shape(stored: dict[str, dict[str, Any]], dataset_id: str) -> None:
    dag = stored[f"deliver__{dataset_id}"]
    assert {name: set(task.get("downstream_task_ids", ())) for name, task in tasks(dag).items()} == SHAPE
    assert dag["max_active_runs"] == 1, "two runs must not judge the same delivery"
    assert not dag.get("catchup", False)
    assert dag["timetable"]["__var"]["expression"] == "*/15 * * * *"


def test_the_warehouse_waits_for_every_raw_table(stored: dict[str, dict[str, Any]]) -> None:
    dag = stored["warehouse"]
    text = json.dumps(dag["timetable"])
    assert all(f"teilhabe://raw/{name}" in text for name in CONTRACTS)
    assert dag["max_active_runs"] == 1
    assert set(tasks(dag)) == {"build"}


@pytest.mark.parametrize("dataset_id", sorted(CONTRACTS))
def test_a_delivery_announces_its_raw_table_only_when_it_loaded_something(
    stored: dict[str, dict[str, Any]], dataset_id: str
) -> None:
    """An alias: which asset it stands for is said while the task runs, or not at all."""
    [outlet] = tasks(stored[f"deliver__{dataset_id}"])["deliver"]["outlets"]
    said = outlet.get("__var", outlet)
    assert (said["name"], "uri" in said) == (f"loaded.{dataset_id}", False)


def test_the_calendar_is_renewed_every_day(stored: dict[str, dict[str, Any]]) -> None:
    dag = stored["delivery_calendar"]
    assert dag["timetable"]["__var"]["expression"] == "30 5 * * *"
    assert set(tasks(dag)) == {"renew"}


def test_messages_are_sent_every_five_minutes(stored: dict[str, dict[str, Any]]) -> None:
    dag = stored["messages"]
    assert dag["timetable"]["__var"]["expression"] == "*/5 * * * *"
    assert set(tasks(dag)) == {"send"}
    assert dag["max_active_runs"] == 1


# Failures


def test_a_failure_of_any_task_reaches_the_operators(stored: dict[str, dict[str, Any]]) -> None:
    for dag_id, dag in stored.items():
        assert all(task.get("has_on_failure_callback") for task in tasks(dag).values()), dag_id


class Instance:
    dag_id, task_id, run_id, try_number = "deliver__x", "deliver", "manual__1", 5


@pytest.mark.parametrize(
    ("error", "subject", "text"),
    [
        (SourceError("sftp.example: did not answer in time."), "Quelle nicht erreichbar: deliver__x", "did not answer"),
        (WarehouseError("no room"), "DAG fehlgeschlagen: deliver__x", "no room"),
        (ValueError("Erika Muster"), "DAG fehlgeschlagen: deliver__x", "ValueError"),
        (None, "DAG fehlgeschlagen: deliver__x", "NoneType"),
    ],
)
def test_the_operators_are_told_what_failed_and_nothing_of_a_file(
    error: Exception | None, subject: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from teilhabe.airflow import runtime
    from teilhabe.airflow.failures import tell_operators

    told: list[tuple[str, str, str]] = []
    monkeypatch.setattr(runtime, "alert", lambda *said: told.append(said))
    tell_operators({"ti": Instance(), "exception": error})
    [(said, words, key)] = told
    assert said == subject
    assert text in words
    assert "Erika" not in words
    assert "deliver__x" in key


def test_a_full_disk_is_one_alert_for_all_dags(monkeypatch: pytest.MonkeyPatch) -> None:
    from teilhabe.airflow import runtime
    from teilhabe.airflow.failures import tell_operators

    told: list[tuple[str, str, str]] = []
    monkeypatch.setattr(runtime, "alert", lambda *said: told.append(said))
    tell_operators({"ti": Instance(), "exception": FullError("Der Speicherplatz ist voll (...).")})
    assert told == [("Speicherplatz voll", "Der Speicherplatz ist voll (...).", "full")], "the key names no DAG"
    assert decision(FullError("voll")) == "fail", "another try at once would meet the same"


@pytest.mark.parametrize("broken", ["take_in", "archive", "follow_up", None])
def test_offices_are_told_whatever_became_of_the_rest(broken: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a message that cannot be written does not undo what was loaded."""
    from teilhabe.airflow import runtime

    done: list[str] = []

    def step(name: str, result: Any = None) -> Any:
        def work(*_: Any, **__: Any) -> Any:
            done.append(name)
            if name == broken:
                raise SourceError(name)
            return result

        return work

    contract = CONTRACTS["state_monitor__foreigners"]
    results: dict[str, Any] = {
        "contract": contract, "installed": True, "register_waits": False, "register_stuck": None, "poll": ["a file"], "archive": [1],
        "take_in": {}, "refused": [], "follow_up": None,
    }  # fmt: skip
    for name, result in results.items():
        room = {
            "contract": runtime.lookup,
            "installed": runtime.installing,
            "archive": runtime.archiving,
            "take_in": runtime.taking_in,
        }
        monkeypatch.setattr(room.get(name, runtime), name, step(name, result))
    monkeypatch.setattr(runtime.building, "waits", step("waits", True))
    monkeypatch.setattr(runtime, "_ready", lambda: None)
    monkeypatch.setattr(runtime, "_run_id", lambda: "manual")
    if broken in ("take_in", "archive"):
        with pytest.raises(SourceError, match=broken):
            runtime.deliver(contract.dataset_id)
    else:
        assert runtime.deliver(contract.dataset_id) == runtime.Delivered(True, 0)
    assert "follow_up" in done


@pytest.mark.parametrize("error", [None, SourceError("smtp.example does not answer")])
def test_after_a_build_contradictions_are_told_and_never_undo_it(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from teilhabe.airflow import runtime

    done: list[str] = []

    def tell(*_: Any) -> int:
        done.append("told")
        if error is not None:
            raise error
        return 1

    def build(*_: Any, **__: Any) -> int:
        done.append("built")
        return 7

    monkeypatch.setattr(runtime.building, "build", build)
    monkeypatch.setattr(runtime.building, "is_due", lambda _: bool(not done))
    monkeypatch.setattr(runtime, "under_way", lambda _: False)
    monkeypatch.setattr(runtime.loading, "session", lambda _: nullcontext())
    monkeypatch.setattr(runtime.ops, "held_by", lambda *_: [])
    monkeypatch.setattr(runtime.alerts, "tell_contradictions", tell)
    monkeypatch.setattr(runtime, "_ready", lambda: None)
    monkeypatch.setattr(runtime, "_run_id", lambda: "manual")
    assert runtime.build()
    assert not runtime.build(), "nothing was built, nothing is told"
    assert done == ["built", "told"]


def test_a_refusal_is_the_offices_business(monkeypatch: pytest.MonkeyPatch) -> None:
    from teilhabe.airflow import runtime
    from teilhabe.airflow.failures import tell_operators

    monkeypatch.setattr(runtime, "alert", lambda *said: pytest.fail("told"))
    refusals = Instance()
    refusals.task_id = "refusals"
    tell_operators({"ti": refusals, "exception": None})


# Retries


FINDING = Finding("critical", "file.empty", "Die Datei ist leer.")


@pytest.mark.parametrize(
    "error",
    [
        SourceError("sftp.example does not answer"), psycopg.OperationalError("server closed the connection"),
        UnreachableError("No connection to the database"), ConnectionResetError(), ConnectionRefusedError(), TimeoutError(),
    ],
)  # fmt: skip
def test_a_network_that_broke_off_is_tried_again(error: Exception) -> None:
    assert decision(error) == "retry"


@pytest.mark.parametrize(
    "error",
    [
        ContractError("wrong"), ReadingError(FINDING), WarehouseError("dbt build failed"), ValueError(), KeyError("x"),
        FileNotFoundError(), PermissionError(), psycopg.ProgrammingError(), psycopg.errors.UniqueViolation(), MemoryError(),
    ],
)  # fmt: skip
def test_nothing_else_is(error: Exception) -> None:
    assert decision(error) == "fail"


def decision(error: Exception) -> str:
    from teilhabe.airflow.deliveries import NETWORK_ERRORS_ONLY

    return str(NETWORK_ERRORS_ONLY.evaluate(error, 1, 4).action.value)


def test_the_policy_is_on_every_task_that_can_meet_a_network(stored: dict[str, dict[str, Any]]) -> None:
    for dag_id, dag in stored.items():
        for name, task in tasks(dag).items():
            if name == "refusals":
                assert not task.get("retries"), "a refusal stays a refusal"
                continue
            assert task["retries"] >= 3, (dag_id, name)
            assert task["retry_exponential_backoff"], (dag_id, name)


def test_questions_do_not_wait_for_each_other(stored: dict[str, dict[str, Any]]) -> None:
    dag = stored["approvals"]
    assert set(tasks(dag)) == {"questions", "publish_anyway"}
    assert dag["max_active_runs"] > 1


def test_the_log_repeats_no_question(tmp_path: Path) -> None:
    """They name files and what is in them; a log has more readers than whoever answers."""
    look = "approvals_dag().get_task('questions').show_return_value_in_logs"
    code = f"import json; from teilhabe.airflow.approvals_dag import approvals_dag; print(json.dumps({look}))"
    assert airflow_python(tmp_path, "-c", code) is False


# Files Airflow must not trip over


def test_no_dag_file_has_a_name_something_else_imports() -> None:
    """The DAG folder is on sys.path: such a file would be imported in place of a library, or by dbt."""
    names = {path.stem for path in DAGS.glob("*.py")}
    assert names
    assert not [name for name in names if name.startswith("dbt")]
    assert not names & set(sys.stdlib_module_names)
    assert not [name for name in names if (PLUGINS / name).exists()]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_only_one_place_knows_airflow() -> None:
    files = list(PLUGINS.rglob("*.py"))
    assert len(files) > 30
    found = {
        path.relative_to(PLUGINS).as_posix()
        for path in files
        if any(name == "airflow" or name.startswith("airflow.") for name in imports(path))
    }
    assert found
    assert all(name.startswith("teilhabe/airflow/") or name == "desk.py" for name in found), found


def test_the_scheduler_finds_no_file_of_the_package_among_the_plugins(tmp_path: Path) -> None:
    """Airflow runs every file it finds there, in every process, under its bare name: ``ops.py`` would become ``ops``."""
    found = airflow_python(tmp_path, "-c", PLUGIN_FILES, str(PLUGINS))
    thin = {"desk.py"} & {path.name for path in PLUGINS.glob("*.py")}
    seen = {Path(path).relative_to(PLUGINS).as_posix() for path in found if path.endswith(".py")}
    assert seen == thin


def test_the_desk_is_registered_and_built_only_when_asked_for(tmp_path: Path) -> None:
    """Every process of Airflow loads the plugin; only the API server needs its pages."""
    found = airflow_python(tmp_path, "-c", PLUGIN)
    assert found["errors"] == {}
    assert found["apps"] == ["/desk"]
    assert found["views"] == [["Lieferungen", "desk/"]]
    assert found["loaded"] == []
