"""The command line as a program: what it prints, where, and how it ends - without a warehouse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from teilhabe.cli import app
from teilhabe.server import connecting
from teilhabe.status import reporting
from tests import forks
from tests.conftest import PROJECT


def teilhabe(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, forked from one that has imported the command line."""
    given = {**os.environ, "TEILHABE_HOME": str(home), "NO_COLOR": "1", **environment}
    return forks.run("teilhabe.cli.app", arguments, Path.cwd(), given)


def test_the_program_that_is_installed_is_this_command_line(home: Path) -> None:
    program = Path(sys.executable).parent / "teilhabe"
    done = subprocess.run([program, "contracts", "list"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "police__offences" in done.stdout


def test_help_names_every_command_and_starts_nothing(home: Path) -> None:
    done = teilhabe(home, "--help")
    assert done.returncode == 0
    for command in (
        "init",
        "up",
        "down",
        "deliver",
        "run",
        "status",
        "sql",
        "explain",
        "template",
        "new-dataset",
        "contracts",
        "messages",
        "watch",
    ):
        assert f" {command} " in done.stdout
    assert not home.exists()


def test_help_needs_no_heavy_library(home: Path) -> None:
    program = (
        "import sys; import teilhabe.cli.app\n"
        "heavy = {'airflow', 'great_expectations', 'dbt', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["deliver"], ["sql", "select 1", "--as", "nobody"], ["status", "--limit", "0"]]
)
def test_wrong_usage_is_code_2(home: Path, arguments: list[str]) -> None:
    done = teilhabe(home, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not home.exists()


@pytest.mark.parametrize("arguments", [["status"], ["sql", "select 1"], ["explain", "SIO-01", "03157", "2022"]])
def test_asking_before_anything_was_set_up_says_how(home: Path, arguments: list[str]) -> None:
    done = teilhabe(home, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == f"There is no warehouse under {home} yet; `teilhabe init` creates it."
    assert not home.exists(), "a question creates nothing"


def test_deliver_puts_the_bytes_into_the_inbox_with_what_was_said(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "zahlen.csv"
    file.write_bytes(b"a;b\r\n")
    done = teilhabe(home, "deliver", "state_statistics__population", str(file), "--received-at", "2023-10-20",
                    "--from", "office@example", "--period", "2022-12-31")  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "handed in: zahlen.csv (state_statistics__population)\n")
    [kept] = list((home / "inbox" / "state_statistics__population").rglob("zahlen.csv"))
    assert kept.read_bytes() == b"a;b\r\n"
    assert file.exists(), "the office keeps its file"
    said = kept.with_name("delivery.json").read_text()
    assert all(part in said for part in ("2023-10-20", "office@example", "2022-12-31"))


def test_one_wrong_name_among_several_hands_in_nothing(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "zahlen.csv"
    file.write_bytes(b"a;b\r\n")
    done = teilhabe(home, "deliver", "state_statistics__population", str(file), str(tmp_path / "fehlt.csv"))
    assert done.returncode == 1
    assert "fehlt.csv" in done.stderr
    assert not list(home.rglob("zahlen.csv"))


def test_deliver_to_nobody_lists_the_datasets(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "zahlen.csv"
    file.write_bytes(b"x")
    done = teilhabe(home, "deliver", "population", str(file))
    assert done.returncode == 1
    assert "There is no dataset 'population'" in done.stderr
    assert "state_statistics__population" in done.stderr


def test_contracts_check_counts_them_all(home: Path) -> None:
    done = teilhabe(home, "contracts", "check")
    count = len(list((PROJECT / "agencies").glob("*/*.odcs.yaml")))
    assert count >= 24
    assert (done.returncode, done.stdout) == (0, f"{count} contracts checked, 0 with errors.\n")


def test_contracts_check_names_file_and_key_and_goes_on(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("agencies", "expectations", "dbt_project/seeds"):
        shutil.copytree(PROJECT / name, project / name)
    contract = project / "agencies" / "police" / "offences_district.odcs.yaml"
    contract.write_text(contract.read_text(encoding="utf-8") + "\nsurprise: 1\n", encoding="utf-8")
    suite = project / "expectations" / "state_statistics" / "population.json"
    suite.write_text(suite.read_text(encoding="utf-8").replace('"critical"', '"fatal"', 1), encoding="utf-8")
    done = teilhabe(home, "contracts", "check", TEILHABE_PROJECT=str(project))
    assert done.returncode == 1
    assert "offences_district.odcs.yaml: surprise" in done.stderr
    assert "population.json: expectations[0]: severity" in done.stderr
    assert done.stdout.endswith("contracts checked, 2 with errors.\n")


def test_no_contracts_at_all_is_not_a_success(home: Path, tmp_path: Path) -> None:
    done = teilhabe(home, "contracts", "check", TEILHABE_PROJECT=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "0 contracts checked, 0 with errors.\n")


def test_contracts_list(home: Path) -> None:
    done = teilhabe(home, "contracts", "list", COLUMNS="250")
    assert done.returncode == 0
    assert "police__offences_district" in done.stdout


def test_template_writes_the_form_of_a_municipality(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "vorlagen" / "unterbringung.xlsx"
    done = teilhabe(home, "template", "housing__accommodation", "--out", str(out), "--territory", "03157006")
    assert (done.returncode, done.stdout.split()[0]) == (0, "written:")
    assert out.read_bytes().startswith(b"PK")
    assert not home.exists(), "a form needs no warehouse"


def test_template_of_a_dataset_without_one_names_those_that_have(home: Path, tmp_path: Path) -> None:
    done = teilhabe(home, "template", "register__municipalities", "--out", str(tmp_path / "a.xlsx"))
    assert done.returncode == 1
    assert "has no template" in done.stderr and "housing__accommodation" in done.stderr
    assert not (tmp_path / "a.xlsx").exists()


def test_contracts_page_writes_index_and_pages(home: Path, tmp_path: Path) -> None:
    done = teilhabe(home, "contracts", "page", "--out", str(tmp_path / "site"))
    count = len(list((PROJECT / "agencies").glob("*/*.odcs.yaml")))
    assert done.stdout == f"written: {tmp_path / 'site' / 'index.html'} and {count} more pages\n"
    assert len(list((tmp_path / "site").glob("*.html"))) == count + 1


def test_new_dataset_says_what_it_would_write(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "zahlen.csv"
    file.write_text("AGS;Gemeinde;Jahr;Fälle\n03157001;Edemissen;2024;5\n03157006;Peine;2024;6\n", encoding="utf-8")
    done = teilhabe(home, "new-dataset", "office", "numbers", "--from", str(file), "--dry-run")
    assert done.returncode == 0
    assert "would write: agencies/office/numbers.odcs.yaml" in done.stdout
    assert not (PROJECT / "agencies" / "office").exists()


def test_a_list_of_persons_gets_one_sentence(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "liste.csv"
    file.write_text("AGS;Vorname;Nachname;Geburtsdatum\n03157001;Erika;Muster;01.02.1990\n", encoding="utf-8")
    done = teilhabe(home, "new-dataset", "office", "numbers", "--from", str(file))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "Muster" not in done.stderr


@pytest.mark.parametrize("is_demo", [True, False])
def test_what_comes_from_the_demo_says_so(
    home: Path, is_demo: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above the status, in its JSON, and beside a query - on stderr, so that a pipe gets nothing but the rows."""
    state: dict[str, Any] = {
        "deliveries": [],
        "due": [],
        "incidents": [],
        "no_room": None,
        "inbox": [],
        "contradictions": [],
        "list_contradictions": [],
        "is_demo": is_demo,
    }
    state["build"] = {"failed_since": None, "reason": None, "running_since": None, "waiting": []}
    answer = SimpleNamespace(description=[SimpleNamespace(name="n")], fetchall=lambda: [(1,)])
    monkeypatch.setattr(app, "ensure_warehouse", lambda settings: None)
    monkeypatch.setattr(reporting, "status", lambda settings, now: state)
    monkeypatch.setattr(reporting, "holds_demo", lambda settings: is_demo)
    monkeypatch.setattr(connecting, "connect", lambda *_: nullcontext(SimpleNamespace(execute=lambda query: answer)))

    app.status(limit=30)
    assert capsys.readouterr().out.startswith("Demo: erfundene Zahlen\n") is is_demo
    app.status(as_json=True, limit=30)
    assert json.loads(capsys.readouterr().out) == state
    app.sql("select 1 as n", as_csv=True)
    assert capsys.readouterr() == ("n\n1\n", "Demo: erfundene Zahlen\n" if is_demo else "")
