"""The statistical rules as Great Expectations' own: importing this module registers them, suites name them like built-in ones.

Every rule of ``rules`` becomes a ``BatchExpectation`` with the same arguments and one metric, computed by the
pandas engine from the whole delivery. What the batch does not hold (the contract, the register, earlier vintages) is the
``Context`` made known with ``judging``; a batch judged without one has no history and the secrecy method ``none`` of nobody.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import astuple
from typing import Any, ClassVar

from great_expectations.compatibility import pydantic
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies

from teilhabe.validation.observations import Context, Observations, Table
from teilhabe.validation.rules.base import Broken, Rule
from teilhabe.validation.rules.statistical_catalogue import RULES, parse_rule

METRIC = "teilhabe.observations.broken"

_judged: ContextVar[tuple[Any, Observations] | None] = ContextVar("judged", default=None)


@contextmanager
def judging(frame: Any, context: Context) -> Iterator[None]:
    """Within, batches of this frame are judged in this context; the table is derived once for all rules."""
    table = Table.from_frame(frame, context.contract.constants)
    token = _judged.set((frame, Observations(table, context)))
    try:
        yield
    finally:
        _judged.reset(token)


class ObservationsBroken(TableMetricProvider):
    """What a rule finds in the observations of a batch: comparisons made, comparisons failed, evidence."""

    metric_name = METRIC
    value_keys = ("rule", "arguments")

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls: Any,
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> Broken:
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        judged = _judged.get()
        if judged is None or len(judged[1].table) != len(frame):
            raise LookupError("Statistical expectations are judged inside `judging(frame, context)`.")
        rule = parse_rule(metric_value_kwargs["rule"], json.loads(metric_value_kwargs["arguments"]))
        return rule.broken(judged[1])


class StatisticalExpectation(BatchExpectation):
    """What the expectations below share: one metric, success when nothing is broken, evidence in ``details``."""

    arguments: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def is_abstract(cls) -> bool:
        """Great Expectations registers a class when it is made; this one is only the base."""
        return not cls.arguments

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: dict[str, Any] | None = None
    ) -> ValidationDependencies:
        found = ValidationDependencies()
        given = {name: getattr(self, name) for name in self.arguments if getattr(self, name) is not None}
        found.set_metric_configuration(
            METRIC,
            MetricConfiguration(
                METRIC,
                {"batch_id": self.batch_id},
                {"rule": self.expectation_type, "arguments": json.dumps(given, sort_keys=True)},
            ),
        )
        return found

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        broken: Broken = metrics[METRIC]
        return {
            "success": not broken.count,
            "result": {
                "observed_value": broken.count,
                "element_count": broken.compared,
                "unexpected_count": broken.count,
                "details": {"evidence": [list(astuple(e)) for e in broken.evidence]},
            },
        }


def _expectation(rule: type[Rule]) -> type[StatisticalExpectation]:
    name = "".join(part.title() for part in rule.type.split("_"))
    fields = dict.fromkeys(rule.model_fields)
    metaclass: Any = type(StatisticalExpectation)
    made: type[StatisticalExpectation] = metaclass(
        name,
        (StatisticalExpectation,),
        {
            "__module__": __name__,
            "__doc__": f"{rule.__doc__}\n\n    Source: {rule.source}\n    ",
            "__annotations__": dict.fromkeys(fields, Any) | {"arguments": ClassVar[tuple[str, ...]]},
            "arguments": tuple(fields),
            "success_keys": tuple(fields),
            **{field: pydantic.Field(default=None) for field in fields},
        },
    )
    return made


EXPECTATIONS = {type_: _expectation(rule) for type_, rule in RULES.items()}
