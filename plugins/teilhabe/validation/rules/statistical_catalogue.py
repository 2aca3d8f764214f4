"""Which statistical rules there are, by the name a suite calls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from teilhabe.contract.model import Contract
from teilhabe.errors import ContractError
from teilhabe.validation.rules.base import Rule
from teilhabe.validation.rules.changes import (
    ChangeToPreviousPeriodToBeBetween,
    ChangeToPreviousVintageToBeBetween,
    ShareOfUnchangedValuesToBeBelow,
)
from teilhabe.validation.rules.completeness import PeriodToBeComplete, TerritoriesToMatchPreviousPeriod
from teilhabe.validation.rules.scale_rules import ValuesToKeepTheirScale
from teilhabe.validation.rules.secrecy import NoDisclosingShares, SymbolsOfTheRegime
from teilhabe.validation.rules.sums import (
    MunicipalitiesToAddUpToCounty,
    PartMeasureNotToExceed,
    PartsNotToExceedTotal,
    PartsToAddUpToTotal,
    PreviousPlusChangeToEqualCurrent,
    RatioToEqualItsParts,
)

RULES: Mapping[str, type[Rule]] = {
    rule.type: rule
    for rule in (
        PartsToAddUpToTotal, PartsNotToExceedTotal, MunicipalitiesToAddUpToCounty, ShareOfUnchangedValuesToBeBelow,
        ChangeToPreviousVintageToBeBetween, ChangeToPreviousPeriodToBeBetween, PreviousPlusChangeToEqualCurrent,
        RatioToEqualItsParts, PartMeasureNotToExceed, PeriodToBeComplete, TerritoriesToMatchPreviousPeriod,
        NoDisclosingShares, SymbolsOfTheRegime, ValuesToKeepTheirScale,
    )
}  # fmt: skip


def parse_rule(type_: str, kwargs: Mapping[str, Any], contract: Contract | None = None) -> Rule:
    """A rule of the catalogue with checked arguments; ``ContractError`` says which argument is wrong."""
    try:
        rule = RULES[type_].model_validate(dict(kwargs))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function"))
        what = (
            "is an unknown argument"
            if first["type"] == "extra_forbidden"
            else first["msg"].removeprefix("Value error, ")
        )
        raise ContractError(f"kwargs.{key}: {what}." if key else f"kwargs: {what}.") from error
    if contract is not None and (wrong := next(rule.check(contract), None)):
        raise ContractError(f"kwargs.{wrong}.")
    return rule
