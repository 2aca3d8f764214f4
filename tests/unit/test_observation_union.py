"""The list of staging models that dbt unites is generated from the folder, and the committed one is what would be generated."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from teilhabe.building import observation_union
from teilhabe.cli import app as cli
from tests.conftest import PROJECT

DBT = PROJECT / "dbt_project"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A dbt project of three staging models, two of them of observations; nothing is listed yet."""
    folder = tmp_path / "dbt_project" / "models" / "staging" / "library"
    folder.mkdir(parents=True)
    (folder / "stg_library__rooms.yml").write_text("config:\n  meta:\n    observations: true\n")
    (folder / "stg_library__loans.yml").write_text(
        "config:\n  meta: {dataset_id: library__loans, observations: true}\n"
    )
    (folder / "stg_library__opening_hours.yml").write_text("config:\n  meta: {dataset_id: library__opening_hours}\n")
    return tmp_path / "dbt_project"


def test_models_are_listed_that_say_so_in_their_yml(project: Path) -> None:
    assert not observation_union.is_current(project)
    assert observation_union.write(project) == ["stg_library__loans", "stg_library__rooms"]
    assert "ref('stg_library__loans'),\n        ref('stg_library__rooms'),\n" in (
        observation_union.path(project).read_text(encoding="utf-8")
    )
    assert observation_union.is_current(project)


def test_a_model_that_came_or_went_makes_the_list_another(project: Path) -> None:
    observation_union.write(project)
    (project / "models" / "staging" / "library" / "stg_library__rooms.yml").unlink()
    assert not observation_union.is_current(project)


def test_the_committed_list_is_the_one_of_the_folder() -> None:
    assert observation_union.is_current(DBT), "run `teilhabe contracts union`"
    listed = observation_union.models(DBT)
    assert len(listed) >= 30
    assert not set(listed) & {"stg_register__territorial_changes", "stg_register__territories"}


def test_the_check_of_contracts_names_the_list_and_the_command_that_mends_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEILHABE_PROJECT", str(project.parent))
    checked = CliRunner().invoke(cli.app, ["contracts", "check"])
    assert checked.exit_code == 1
    assert "teilhabe contracts union" in checked.stderr
    assert CliRunner().invoke(cli.app, ["contracts", "union"]).exit_code == 0
    assert observation_union.is_current(project)
