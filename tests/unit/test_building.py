"""What a build runs: everything after any change of the models, else only what the new deliveries touch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from teilhabe import ops
from teilhabe.building import building, dbt_run, held_deliveries, releasing
from teilhabe.settings import Settings, prepare_home

LIGHT = ["--no-write-json"]
EVERYTHING = ["--exclude-resource-type", "unit_test"]


def node(name: str, *parents: str, materialized: str = "incremental", **more: Any) -> dict[str, Any]:
    is_staging = name.startswith("stg_")
    meta = {"dataset_id": name.removeprefix("stg_")} if is_staging else {}
    return {
        "resource_type": "model", "name": name, "tags": ["staging"] if is_staging else ["marts"],
        "config": {"materialized": "view" if is_staging else materialized, "meta": meta},
        "depends_on": {"nodes": list(parents), "macros": more.get("macros", [])},
    }  # fmt: skip


NODES = [
    node("stg_housing__accommodation", "source.raw"),
    node("stg_register__municipalities", "source.raw", "source.ops"),
    node("unioned", "stg_housing__accommodation", "stg_register__municipalities"),
    node("territories", "stg_register__municipalities", materialized="table"),
    node("of_territories", "territories", materialized="view"),
    node("counted", "source.ops", materialized="table"),
    node("known", "unioned", "counted", materialized="view"),
    node("candidates", "known", materialized="view"),
    node("fct", "candidates"),
    node("rpt", "fct", materialized="view"),
    node("converted", "territories", macros=["macro.teilhabe.territorial_state"]),
    node("dim_of_seed", "seed"),
    {**node("rpt_is_sound", "rpt"), "resource_type": "test"},
    {**node("fct_is_sound", "fct", "rpt"), "resource_type": "test"},
    {**node("seed_is_sound", "dim_of_seed"), "resource_type": "test"},
]
MANIFEST = {
    "nodes": {one["name"]: one for one in NODES},
    "child_map": {
        parent["name"]: [one["name"] for one in NODES if parent["name"] in one["depends_on"]["nodes"]]
        for parent in NODES
    },
}
"""Views on a table that is made anew go with it; a register, its tables and what seeds say stay as they are."""


@pytest.fixture
def project(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project with one model, built once, and two new deliveries of one dataset since."""
    known = replace(settings, project=tmp_path)
    prepare_home(known)
    known.dbt_project.mkdir()
    (known.dbt_project / "model.sql").write_text("select 1")
    (known.work / building._BUILT_BY).write_text(building._models_version(known))
    monkeypatch.setattr(ops, "light_build", lambda conn, build_id: ["housing__accommodation"])
    monkeypatch.setattr(releasing, "is_left_as_approved", lambda settings: True)
    (known.work / "dbt").mkdir(exist_ok=True)
    (known.work / "dbt" / dbt_run.MANIFEST).write_text(json.dumps(MANIFEST))
    return known


def passes(
    project: Settings, monkeypatch: pytest.MonkeyPatch, *ends: int | None, force: bool = False
) -> list[tuple[list[str], int | None]]:
    monkeypatch.setattr(building, "_pass_ends", lambda settings, *, anew: list(ends))
    return list(building._passes(project, None, 1, force=force))  # type: ignore[arg-type]


@pytest.fixture
def selection(monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings], list[str]]:
    """The arguments of a build that is one pass."""

    def of(project: Settings) -> list[str]:
        [(arguments, end)] = passes(project, monkeypatch, None)
        assert end is None
        return arguments

    return of


Selection = Callable[[Settings], list[str]]


def test_what_is_too_much_at_once_is_begun_anew_and_goes_on(project: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first pass is a full refresh; the others go on from there, and none of them needs the seeds again."""
    later = [*LIGHT, *EVERYTHING, "seed", "--select", "tag:intermediate", "tag:marts"]
    monkeypatch.setattr(ops, "light_build", lambda conn, build_id: None)
    for force in (True, False):
        assert passes(project, monkeypatch, 5, 9, None, force=force) == [
            ([*EVERYTHING, "--full-refresh"], 5), (later, 9), (later, None),
        ]  # fmt: skip
    assert passes(project, monkeypatch, None) == [(EVERYTHING, None)]
    assert passes(project, monkeypatch, None, force=True) == [([*EVERYTHING, "--full-refresh"], None)]


def test_new_deliveries_need_neither_seeds_nor_other_staging_views(project: Settings, selection: Selection) -> None:
    arguments = selection(project)
    assert arguments[:5] == [*LIGHT, *EVERYTHING, "seed", "--select"]
    models = ["candidates", "converted", "counted", "fct", "known", "stg_housing__accommodation", "unioned"]
    assert arguments[5:] == sorted([*models, "rpt_is_sound"]), "and the test of a view whose rows may be others"


def test_a_register_touches_what_is_made_of_it(
    project: Settings, selection: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops, "light_build", lambda conn, build_id: ["register__municipalities"])
    assert {"stg_register__municipalities", "territories", "of_territories"} <= set(selection(project))
    assert not {"stg_housing__accommodation", "dim_of_seed", "rpt"} & set(selection(project))


def test_a_candidate_that_is_not_as_left_is_made_whole(
    project: Settings, selection: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash, a failed build or a dbt run by hand; also where nothing is known of the project."""
    monkeypatch.setattr(releasing, "is_left_as_approved", lambda settings: False)
    assert selection(project) == EVERYTHING
    monkeypatch.setattr(releasing, "is_left_as_approved", lambda settings: True)
    (project.work / "dbt" / dbt_run.MANIFEST).unlink()
    assert selection(project) == EVERYTHING


@pytest.mark.parametrize("name", ["model.sql", "new.sql", "seeds/measures.csv", "models/model.yml"])
def test_any_change_of_the_models_asks_for_everything(project: Settings, selection: Selection, name: str) -> None:
    """Also one that nobody has committed."""
    path = project.dbt_project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed")
    assert selection(project) == EVERYTHING


MACROS = {
    "macros/one.sql": "{% macro used() %}{{ deeper() }}{% endmacro %}\n{% macro unused() %}1{% endmacro %}",
    "macros/two.sql": "{#- read -#}{% macro deeper() %}2{% endmacro %}",
    "macros/strategies.sql": "{% macro get_incremental_replace_parts_sql(arg_dict) %}3{% endmacro %}",
    "models/intermediate/int_delivery__contents.sql": "{{ config(incremental_strategy='replace_parts') }} select 1",
    "models/marts/dim.sql": "select {{ unused() }}",
    "models/staging/a/stg_a__b.sql": "select {{ used() }}",
}


@pytest.fixture
def with_macros(project: Settings) -> Settings:
    for name, text in MACROS.items():
        path = project.dbt_project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (project.work / building._BUILT_BY).write_text(building._models_version(project))
    return project


@pytest.mark.parametrize(
    ("name", "old", "new", "is_read_again"),
    [
        ("macros/one.sql", "deeper()", "deeper() + 1", True),
        ("macros/two.sql", "2{%", "3{%", True),
        ("macros/strategies.sql", "3", "4", True),
        ("macros/one.sql", "1{%", "2{%", False),
        ("macros/two.sql", "read", "read otherwise", False),
        ("models/marts/dim.sql", "unused() }}", "unused() }} as one", False),
    ],
)
def test_what_reads_deliveries_in_another_way_reads_all_of_them_again(
    with_macros: Settings, monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str, is_read_again: bool
) -> None:
    """Through other macros and strategies too; a comment reads nothing."""
    path = with_macros.dbt_project / name
    path.write_text(path.read_text().replace(old, new, 1))
    [(arguments, _)] = passes(with_macros, monkeypatch, None)
    assert ("--full-refresh" in arguments) is is_read_again


def test_a_removed_model_asks_for_everything(project: Settings, selection: Selection) -> None:
    (project.dbt_project / "model.sql").unlink()
    assert selection(project) == EVERYTHING


def test_a_home_never_built_gets_everything(project: Settings, selection: Selection) -> None:
    (project.work / building._BUILT_BY).unlink()
    assert selection(project) == EVERYTHING


def test_a_full_build_gets_everything(project: Settings, selection: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "light_build", lambda conn, build_id: None)
    assert selection(project) == EVERYTHING


def test_a_test_counts_for_the_last_layer_it_looks_at() -> None:
    ran: list[Any] = [
        {"unique_id": "model.t.stg", "tags": ["staging"]},
        {"unique_id": "model.t.fct", "tags": ["marts"]},
        {"unique_id": "test.t.both", "tags": [], "depends_on": {"nodes": ["model.t.stg", "model.t.fct"]}},
        {"unique_id": "test.t.stg", "tags": ["staging"]},
        {"unique_id": "operation.t.start", "tags": []},
    ]
    assert {layer: [node["unique_id"] for node in nodes] for layer, nodes in building._by_layer(ran).items()} == {
        "staging": ["model.t.stg", "test.t.stg"], "marts": ["model.t.fct", "test.t.both"],
    }  # fmt: skip


def test_a_layer_lasts_from_its_first_start_to_its_last_end() -> None:
    times = [("2026-03-01T08:00:05Z", "2026-03-01T08:00:07Z"), ("2026-03-01T08:00:01Z", "2026-03-01T08:00:02Z")]
    nodes: list[Any] = [{"timing": [{"started_at": start, "completed_at": end}]} for start, end in times]
    assert building._span([*nodes, {"timing": []}]) == (
        datetime(2026, 3, 1, 8, 0, 1, tzinfo=UTC), datetime(2026, 3, 1, 8, 0, 7, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Got 244 results, configured to fail if != 0", "244 Zeilen fallen auf."),
        ("Got 1 result, configured to fail if != 0", "eine Zeile fällt auf."),
        ('null value in column "x"\n  DETAIL: Failing row contains (7).', 'null value in column "x".'),
    ],
)
def test_why_a_delivery_is_held_is_said_in_words_of_ours(message: str, said: str) -> None:
    assert held_deliveries._said(message) == said


def test_a_killed_dbt_is_said_to_have_been_killed() -> None:
    assert building._failure(["build"], [], "UserWarning: x\n  warnings.warn(", -9) == (
        "dbt was killed (signal 9, perhaps for want of memory); the next build begins anew."
    )
    assert building._failure(["build"], [], "", -15).startswith("dbt was killed (signal 15);")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("OSError: [Errno 28] No space left on device\n/x/y.py:3: DeprecationWarning: old\n  warnings.warn('old')\n",
         "OSError: [Errno 28] No space left on device"),
        ("/x/y.py:3: UserWarning: pkg_resources\n  import pkg_resources\nDatabase Error\n  connection refused\n", "Database Error"),
        ("/x/y.py:3: UserWarning: pkg_resources\n  import pkg_resources\n", "it said nothing"),
        ("", "it said nothing"),
    ],
)  # fmt: skip
def test_what_dbt_said_last_is_no_warning(output: str, said: str) -> None:
    assert building._failure(["build"], [], output, 2) == f"dbt build did not run: {said}"
