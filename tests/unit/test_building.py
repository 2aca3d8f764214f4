"""What a build runs: everything after any change of the models, else only what the new deliveries touch."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from teilhabe import building, ops
from teilhabe.settings import Settings, prepare_home

EVERYTHING = ["--exclude-resource-type", "unit_test"]


@pytest.fixture
def project(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project with one model, built once, and two new deliveries of one dataset since."""
    known = replace(settings, project=tmp_path)
    prepare_home(known)
    known.dbt_project.mkdir()
    (known.dbt_project / "model.sql").write_text("select 1")
    (known.work / building._BUILT_BY).write_text(building._models_version(known))
    monkeypatch.setattr(ops, "light_build", lambda conn, build_id: ["housing__accommodation"])
    return known


def selection(project: Settings) -> list[str]:
    return building._selection(project, None, 1)  # type: ignore[arg-type]


def test_new_deliveries_need_neither_seeds_nor_other_staging_views(project: Settings) -> None:
    arguments = selection(project)
    assert arguments[:3] == [*EVERYTHING, "seed"]
    assert arguments[3:] == ["--select", "stg_housing__accommodation", "tag:intermediate", "tag:marts"]


@pytest.mark.parametrize("name", ["model.sql", "new.sql", "seeds/measures.csv", "models/model.yml"])
def test_any_change_of_the_models_asks_for_everything(project: Settings, name: str) -> None:
    """Also one that nobody has committed."""
    path = project.dbt_project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed")
    assert selection(project) == EVERYTHING


def test_a_removed_model_asks_for_everything(project: Settings) -> None:
    (project.dbt_project / "model.sql").unlink()
    assert selection(project) == EVERYTHING


def test_a_home_never_built_gets_everything(project: Settings) -> None:
    (project.work / building._BUILT_BY).unlink()
    assert selection(project) == EVERYTHING


def test_a_full_build_gets_everything(project: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "light_build", lambda conn, build_id: None)
    assert selection(project) == EVERYTHING


def test_a_test_counts_for_the_last_layer_it_looks_at(project: Settings) -> None:
    manifest: dict[str, Any] = {
        "model.t.stg": {"tags": ["staging"]},
        "model.t.fct": {"tags": ["marts"]},
        "test.t.both": {"tags": [], "depends_on": {"nodes": ["model.t.stg", "model.t.fct"]}},
        "test.t.stg": {"tags": ["staging"]},
    }
    (project.work / "dbt").mkdir()
    (project.work / "dbt" / "manifest.json").write_text(json.dumps({"nodes": manifest}))
    ran = building._by_layer(project, [{"unique_id": name} for name in (*manifest, "operation.t.start")])
    assert {layer: [node["unique_id"] for node in nodes] for layer, nodes in ran.items()} == {
        "staging": ["model.t.stg", "test.t.stg"], "marts": ["model.t.fct", "test.t.both"],
    }  # fmt: skip


def test_a_layer_lasts_from_its_first_start_to_its_last_end() -> None:
    times = [("2026-03-01T08:00:05Z", "2026-03-01T08:00:07Z"), ("2026-03-01T08:00:01Z", "2026-03-01T08:00:02Z")]
    nodes: list[Any] = [{"timing": [{"started_at": start, "completed_at": end}]} for start, end in times]
    assert building._span([*nodes, {"timing": []}]) == (
        datetime(2026, 3, 1, 8, 0, 1, tzinfo=UTC), datetime(2026, 3, 1, 8, 0, 7, tzinfo=UTC),
    )  # fmt: skip
