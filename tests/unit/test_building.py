"""What a build runs: everything after any change of the models, else only what the new deliveries touch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from teilhabe import ops
from teilhabe.building import building, held_deliveries
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
    later = [*EVERYTHING, "seed", "--select", "tag:intermediate", "tag:marts"]
    monkeypatch.setattr(ops, "light_build", lambda conn, build_id: None)
    for force in (True, False):
        assert passes(project, monkeypatch, 5, 9, None, force=force) == [
            ([*EVERYTHING, "--full-refresh"], 5), (later, 9), (later, None),
        ]  # fmt: skip
    assert passes(project, monkeypatch, None) == [(EVERYTHING, None)]
    assert passes(project, monkeypatch, None, force=True) == [([*EVERYTHING, "--full-refresh"], None)]


def test_new_deliveries_need_neither_seeds_nor_other_staging_views(project: Settings, selection: Selection) -> None:
    arguments = selection(project)
    assert arguments[:3] == [*EVERYTHING, "seed"]
    assert arguments[3:] == ["--select", "stg_housing__accommodation", "tag:intermediate", "tag:marts"]


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
