"""Nobody lists the staging models of observations: the folder does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from teilhabe.building import building
from tests.conftest import settings_for


def test_a_new_dataset_is_found_by_what_its_yml_says(tmp_path: Path) -> None:
    folder = tmp_path / "dbt_project" / "models" / "staging" / "library"
    folder.mkdir(parents=True)
    (folder / "stg_library__loans.yml").write_text(
        "config:\n  meta: {dataset_id: library__loans, observations: true}\n"
    )
    (folder / "stg_library__rooms.yml").write_text("config:\n  meta:\n    observations: true\n")
    (folder / "stg_library__opening_hours.yml").write_text("config:\n  meta: {dataset_id: library__opening_hours}\n")
    settings = replace(settings_for(tmp_path / "home"), project=tmp_path)
    assert building.observation_models(settings) == ["stg_library__loans", "stg_library__rooms"]


def test_the_project_is_full_of_them(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "home")
    found = set(building.observation_models(settings))
    assert len(found) >= 30
    assert not found & {"stg_register__territorial_changes", "stg_register__territories"}
