"""Running expectations: the only place that calls Great Expectations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from teilhabe.errors import ContractError, Severity

if TYPE_CHECKING:
    import pandas as pd

Scope = Literal["row", "delivery", "observations"]


@dataclass(frozen=True)
class Expectation:
    """One Great Expectations expectation with what this product adds: a severity, a rule id, a German sentence."""

    type: str
    kwargs: Mapping[str, Any]
    severity: Severity
    rule: str
    sentence_de: str
    expected_de: str
    scope: Scope = "row"
    shown_column: str | None = None
    """The delivered column a check is about, where the expectation looks at a computed one."""
    loosened: Mapping[str, str] | None = None
    """``date`` and ``reason`` of a bound that is wider than the rule asks."""

    @property
    def column(self) -> str | None:
        return self.kwargs.get("column")


def run_expectations(
    frame: pd.DataFrame, expectations: Sequence[Expectation], *, rows: bool = False
) -> list[dict[str, Any]]:
    """Results of Great Expectations in the order of ``expectations``: counts, or with ``rows`` also the index of each row.

    The index as it is, not named columns: those are looked up cell by cell, which takes longer than all of the judging.

    Raises:
        ContractError: an expectation cannot run (unknown type, wrong arguments).
    """
    batch_definition, suite_type = great_expectations()
    suite = suite_type(
        name="teilhabe",
        expectations=[
            {"type": e.type, "kwargs": dict(e.kwargs), "severity": e.severity, "meta": {"number": n}}
            for n, e in enumerate(expectations)
        ],
    )
    wanted = {"result_format": "COMPLETE" if rows else "SUMMARY", "partial_unexpected_count": 0}
    outcome = batch_definition.get_batch({"dataframe": frame}).validate(suite, result_format=wanted)
    results: list[dict[str, Any]] = [{} for _ in expectations]
    for result in outcome.results:
        number = result.expectation_config.meta["number"]
        problems = result.exception_info or {}
        if any(p.get("raised_exception") for p in (problems, *problems.values()) if isinstance(p, dict)):
            raise ContractError(f"Expectation {expectations[number].rule} ({expectations[number].type}) cannot run.")
        results[number] = {**result.result, "success": result.success}
    for expectation, given in zip(expectations, results, strict=True):
        if not given:  # Great Expectations only logs a type it does not know
            raise ContractError(f"Expectation {expectation.rule} ({expectation.type}) cannot run.")
    return results


@cache
def great_expectations() -> tuple[Any, Any]:
    """An ephemeral context, once per process: importing it takes seconds."""
    import os

    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx

    import teilhabe.validation.statistical_expectations  # noqa: F401 - registers them

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("deliveries").add_dataframe_asset("chunk")
    return asset.add_batch_definition_whole_dataframe("whole"), gx.ExpectationSuite
