"""What a build has to run when only deliveries came: the models that read them, by dbt's own graph, and nothing else.

Everything else stays as it is: what is made of seeds, or of registers when none came, and views, which hold no rows. So a build of one
small file does not pay for the rest of the project.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Node = Mapping[str, Any]

_OF_THE_DAY = "macro.teilhabe.territorial_state"
"""Whoever calls it may give another result tomorrow, without any delivery."""


def touched_nodes(manifest: Mapping[str, Any], datasets: Iterable[str]) -> list[str]:
    """Names of the models that deliveries of ``datasets`` can change, and of tests that look at them; ``manifest`` is dbt's whole one.

    Beginning are the datasets' staging models, what reads the operational record (it may say something else with every
    delivery), and what depends on the day. A view is among the result only where its table is dropped to be made anew, and the
    view with it. dbt runs the tests of the models it runs by itself; those of other views that show something new are named.
    """
    models = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    of_datasets = set(datasets)
    reached = _with_descendants(
        (key for key, node in models.items() if (_is_staging(node) and _dataset(node) in of_datasets) or _begins(node)),
        {key: [child for child in manifest["child_map"][key] if child in models] for key in models},
    )
    dropped = {key for key in reached if models[key]["config"]["materialized"] == "table"}
    lost = _with_descendants(
        dropped,
        {
            key: [child for child in manifest["child_map"][key] if child in models and _is_view(models[child])]
            for key in models
        },
    )
    runs = {key for key in reached if not _is_view(models[key]) or key in lost or _is_staging(models[key])}
    looks_at = {
        key: set(node["depends_on"]["nodes"])
        for key, node in manifest["nodes"].items()
        if node["resource_type"] == "test"
    }
    tests = {key for key, parents in looks_at.items() if parents & reached and not parents & runs}
    return sorted(manifest["nodes"][key]["name"] for key in runs | tests)


def _begins(node: Node) -> bool:
    """Whether it changes without a delivery passing through a staging model."""
    return not _is_staging(node) and (
        any(parent.startswith("source.") for parent in node["depends_on"]["nodes"])
        or _OF_THE_DAY in node["depends_on"]["macros"]
    )


def _with_descendants(beginning: Iterable[str], children: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(beginning)
    while todo:
        key = todo.pop()
        if key not in found:
            found.add(key)
            todo += children[key]
    return found


def _is_staging(node: Node) -> bool:
    return "staging" in node["tags"]


def _is_view(node: Node) -> bool:
    return bool(node["config"]["materialized"] == "view")


def _dataset(node: Node) -> str | None:
    dataset = node["config"]["meta"].get("dataset_id")
    return None if dataset is None else str(dataset)
