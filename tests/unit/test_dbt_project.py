"""The dbt project as dbt reads it: no deprecations, layers that keep apart, contracts that hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What dbt makes of the project; a deprecated way of writing anything is an error."""
    work = tmp_path_factory.mktemp("dbt")
    places = {"DBT_TARGET_PATH": str(work), "DBT_LOG_PATH": str(work), "DBT_PROFILES_DIR": str(PROJECT / "dbt_project")}
    command = [
        str(Path(sys.executable).parent / "dbt"),
        "--warn-error-options",
        '{"error": "all"}',
        "parse",
        "--no-partial-parse",
    ]
    done = subprocess.run(
        command, cwd=PROJECT / "dbt_project", env={**os.environ, **places}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return dict(json.loads((work / "manifest.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(found) > 80
    return found


def test_every_layer_is_a_group_and_only_the_published_one_is_public(models: list[dict[str, Any]]) -> None:
    for model in models:
        layer = model["fqn"][1]
        access = "public" if layer == "marts" else "protected"
        assert (model["group"], model["access"]) == (layer, access), model["name"]


def test_a_layer_reads_only_itself_and_those_before_it(manifest: dict[str, Any]) -> None:
    """Seeds belong to the first; marts may read marts, intermediate may not."""
    layers = {"staging": 0, "intermediate": 1, "marts": 2}
    layer_of = {
        key: 0 if node["resource_type"] == "seed" else layers[node["fqn"][1]]
        for key, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "seed")
    }
    upwards = {
        f"{key} reads {parent}"
        for key, layer in layer_of.items()
        for parent in manifest["nodes"][key].get("depends_on", {}).get("nodes", [])
        if layer_of.get(parent, 0) > layer
    }
    assert not upwards


def test_every_staging_model_of_observations_leads_to_the_union(manifest: dict[str, Any]) -> None:
    """Named as parents, so that dbt knows order and lineage from the first build on."""
    united = set(manifest["nodes"]["model.teilhabe.int_observation__unioned"]["depends_on"]["nodes"])
    marked = {k for k, n in manifest["nodes"].items() if n.get("config", {}).get("meta", {}).get("observations")}
    assert len(marked) >= 30 and marked <= united


def test_published_tables_have_contracts_with_keys(models: list[dict[str, Any]]) -> None:
    """Wide views take their columns from the catalogue; everything else is a promise."""
    tables = [m for m in models if m["fqn"][1] == "marts" and m["config"]["materialized"] == "incremental"]
    assert len(tables) > 15
    for table in tables:
        kinds = [constraint["type"] for constraint in table["constraints"]]
        assert table["contract"]["enforced"] and kinds.count("primary_key") == 1, table["name"]
        assert not table["name"].startswith("fct_") or "foreign_key" in kinds, table["name"]


def test_facts_by_territory_have_it_in_their_key(models: list[dict[str, Any]]) -> None:
    """On distributed PostgreSQL they are spread by it."""
    facts = [m for m in models if m["name"].startswith("fct_") and "territory_key" in m["columns"] and m["constraints"]]
    assert len(facts) > 3
    for fact in facts:
        for constraint in fact["constraints"]:
            if constraint["type"] in ("primary_key", "unique"):
                assert "territory_key" in constraint["columns"], fact["name"]


def test_reports_and_exports_name_what_they_stand_on(manifest: dict[str, Any]) -> None:
    exposed = {name for exposure in manifest["exposures"].values() for name in exposure["depends_on"]["nodes"]}
    published = {key for key, node in manifest["nodes"].items() if node.get("schema") == "candidate"}
    assert exposed <= published and len(exposed) > 10
    reports = {key for key in published if key.rpartition(".")[2].startswith("rpt_")}
    assert reports <= exposed, reports - exposed
