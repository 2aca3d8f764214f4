"""What is expected of a dataset: by its contract, and by the suite somebody wrote who knows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from teilhabe.codes.groups import GROUP_COLUMNS
from teilhabe.codes.measures import counted_measures
from teilhabe.codes.wording import spell_period
from teilhabe.errors import ContractError, Severity
from teilhabe.validation.expectation_runs import Expectation
from teilhabe.validation.register import KeyCheck
from teilhabe.validation.rules.base import Rule
from teilhabe.validation.rules.scale_rules import ValuesToKeepTheirScale
from teilhabe.validation.rules.statistical_catalogue import RULES, parse_rule
from teilhabe.validation.single_texts import NOT_NULL

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract

PROFILE_COLUMNS = ("period_code", "row_count", "territory_count", "value_count", "suppressed_count")
"""The whole delivery in one row per period: what expectations of scope ``delivery`` see."""

OBS_STATUS = ("A", "P", "E", "U", "Q", "O", "M")
CONF_STATUS = ("F", "C", "D")
_ROW_TYPES = (
    "expect_column_values_",
    "expect_column_value_",
    "expect_column_pair_values_",
    "expect_compound_columns_",
    "expect_select_column_values_",
    "expect_multicolumn_",
)
"""Expectations that count rows; any other would see one chunk and could not fail as a row rule."""


@dataclass(frozen=True)
class Suite:
    dataset_id: str
    expectations: tuple[Expectation, ...]


def load_suite(expectations: Path, contract: Contract) -> Suite:
    """``expectations/<agency>/<dataset>.json``; ``ContractError`` names file and entry.

    Every entry has ``type``, ``kwargs``, ``severity`` and ``meta`` with ``rule``, ``sentence_de``, ``expected_de`` and, for
    expectations on the profile of the delivery, ``scope: delivery``.
    """
    path = expectations / contract.agency / f"{contract.dataset}.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(f"{path}: the suite of {contract.dataset_id} cannot be read.") from error
    except json.JSONDecodeError as error:
        raise ContractError(f"{path}: not valid JSON (line {error.lineno}: {error.msg}).") from error
    if raw.get("name") != contract.dataset_id:
        raise ContractError(f"{path}: name: must be '{contract.dataset_id}', found {raw.get('name')!r}.")
    return Suite(
        contract.dataset_id,
        tuple(_expectation(path, n, entry, contract) for n, entry in enumerate(raw.get("expectations", []))),
    )


def contract_expectations(contract: Contract) -> list[Expectation]:
    """What needs no suite because it follows from the contract: columns, closed lists, keys, names, periods."""
    terms = {column.name: column.office_term or column.name for column in contract.columns}
    rules = [
        Expectation(
            NOT_NULL, {"column": column.name}, "critical", "column.blank",
            f"Die Spalte „{terms[column.name]}“ darf nicht leer sein.", "einen Eintrag",
        )
        for column in contract.columns
        if column.required
    ]  # fmt: skip
    names = set(contract.column_names)
    if "territory_code" in names:
        rules += [
            _territory(["unknown"], "critical", "key.unknown",
                       "Der Gebietsschlüssel steht nicht im amtlichen Gemeindeverzeichnis dieses Stands.",
                       "einen Schlüssel des Verzeichnisses"),
            # What an office books itself it can book under the right key; a published table keeps the old one for years.
            _territory(["ended", *(["outdated"] if contract.mendable else [])], "critical", "key.ended",
                       "Das Gebiet dieses Schlüssels war in diesem Zeitraum längst aufgelöst.",
                       "den Schlüssel, der seitdem gilt"),
            _territory(["unlisted"], "warning", "key.unlisted",
                       "Der Gebietsschlüssel steht in keiner geladenen Ausgabe des Gemeindeverzeichnisses.",
                       "einen Schlüssel des Verzeichnisses"),
            _territory(["unchecked"], "info", "key.unchecked",
                       "Der Gebietsschlüssel ließ sich nicht prüfen, weil für dieses Gebiet kein Gemeindeverzeichnis geladen ist.",
                       "ein geladenes Gemeindeverzeichnis"),
        ]  # fmt: skip
        if not contract.mendable:
            rules.append(
                _territory(["outdated"], "info", "key.outdated",
                           "Das Gebiet dieses Schlüssels war in diesem Zeitraum schon aufgelöst.",
                           "den Schlüssel, der seitdem gilt")
            )  # fmt: skip
    if {"territory_code", "territory_name"} <= names:
        rules += [
            _check("name_check", ["agrees", "disagrees"], "critical", "name.of_other_key", "territory_name",
                   "Name und Schlüssel gehören zu verschiedenen Gebieten.", "den Namen zum Schlüssel laut Verzeichnis"),
            _check("name_check", ["agrees", "other"], "warning", "name.disagrees", "territory_name",
                   "Der Name weicht vom Verzeichnis ab.", "den Namen zum Schlüssel laut Verzeichnis"),
        ]  # fmt: skip
    if "period_code" in names:
        rules += [
            _check("period_check", ["plausible", "future", "too_early"], "critical", "period.malformed", "period_code",
                   "Die Angabe ist kein gültiger Zeitraum.", "einen gültigen Zeitraum"),
            _check("period_check", ["plausible", "malformed", "too_early"], "critical", "period.future", "period_code",
                   "Der Zeitraum endet nach dem Eingang der Datei.", "einen abgeschlossenen Zeitraum"),
            _check("period_check", ["plausible", "malformed", "future"], "critical", "period.too_early", "period_code",
                   "Der Zeitraum liegt vor dem vereinbarten Beginn der Reihe.",
                   f"frühestens {spell_period(contract.calendar.first_period)}"),
        ]  # fmt: skip
    rules += [
        Expectation("expect_column_values_to_be_in_set", {"column": name, "value_set": codes}, "critical", "code.unknown",
                    f"Die Angabe in „{terms[name]}“ ist keiner vereinbarten Gruppe zugeordnet.", "eine vereinbarte Angabe")
        for name in ("measure_code", *GROUP_COLUMNS)
        if (codes := contract.codes(name)) is not None
    ]  # fmt: skip
    if contract.is_observation:
        rules += [
            Expectation("expect_column_values_to_be_in_set", {"column": "obs_status", "value_set": list(OBS_STATUS)},
                        "critical", "value.status", "Der Wert fehlt oder sein Zeichen ist nicht vereinbart.",
                        "eine Zahl oder ein vereinbartes Zeichen", shown_column="value"),
            Expectation("expect_column_values_to_be_in_set", {"column": "conf_status", "value_set": list(CONF_STATUS)},
                        "critical", "value.confidentiality", "Der Geheimhaltungsvermerk fehlt.", "F, C oder D"),
            _check("value_check", ["plausible"], "critical", "value.not_whole", "value",
                   "Eine Anzahl hat Nachkommastellen.", "eine ganze Zahl"),
        ]  # fmt: skip
        if not counted_measures(contract.path.parents[2]).issuperset(contract.measures):
            scale = ValuesToKeepTheirScale
            rules.append(
                Expectation(scale.type, {}, "critical", scale.rule, scale.sentence_de, scale.expected_de, "observations",
                            shown_column="value")
            )  # fmt: skip
    return rules


def _territory(found: Sequence[str], severity: Severity, rule: str, sentence: str, expected: str) -> Expectation:
    """A rule broken by rows whose key the register answers with one of ``found``."""
    allowed = [answer for answer in get_args(KeyCheck) if answer not in found]
    return _check("territory_check", allowed, severity, rule, "territory_code", sentence, expected)


def _check(
    computed: str, allowed: Sequence[str], severity: Severity, rule: str, shown: str, sentence: str, expected: str
) -> Expectation:
    return Expectation(
        "expect_column_values_to_be_in_set", {"column": computed, "value_set": list(allowed)}, severity, rule, sentence,
        expected, shown_column=shown,
    )  # fmt: skip


def _expectation(path: Path, number: int, entry: Mapping[str, Any], contract: Contract) -> Expectation:
    where = f"{path}: expectations[{number}]"
    unknown = set(entry) - {"type", "kwargs", "severity", "meta"}
    if unknown:
        raise ContractError(f"{where}: unknown key {min(unknown)!r}.")
    type_, kwargs, meta = str(entry.get("type")), entry.get("kwargs", {}), entry.get("meta", {})
    if unknown := set(meta) - {"rule", "sentence_de", "expected_de", "scope", "loosened", "notes"}:
        raise ContractError(f"{where}: meta: unknown key {min(unknown)!r}.")
    statistical = RULES.get(type_)
    words = {
        name: str(meta.get(name) or getattr(statistical, name, "")) for name in ("rule", "sentence_de", "expected_de")
    }
    if lacking := next((name for name, text in words.items() if not text), None):
        raise ContractError(f"{where}: meta.{lacking} is missing.")
    if entry.get("severity") not in ("critical", "warning", "info"):
        raise ContractError(f"{where}: severity must be critical, warning or info.")
    scope = meta.get("scope", "row")
    if scope not in ("row", "delivery", "observations"):
        raise ContractError(f"{where}: meta.scope must be row, delivery or observations, found {scope!r}.")
    if (scope == "observations") != (statistical is not None):
        raise ContractError(
            f"{where}: {type_!r} needs meta.scope: observations."
            if statistical
            else f"{where}: {type_!r} is no statistical expectation; known: {', '.join(sorted(RULES))}."
        )
    if statistical:
        _check_statistical(where, type_, kwargs, contract)
    elif scope == "row" and not type_.startswith(_ROW_TYPES):
        raise ContractError(f"{where}: {type_!r} judges a table as a whole; it needs meta.scope: delivery.")
    column = kwargs.get("column")
    known = PROFILE_COLUMNS if scope == "delivery" else contract.column_names
    if column is not None and column not in known and not statistical:
        raise ContractError(
            f"{where}: kwargs.column: no column {column!r} in the {'profile' if scope == 'delivery' else 'contract'}."
        )
    return Expectation(
        type_,
        kwargs,
        entry["severity"],
        words["rule"],
        words["sentence_de"],
        words["expected_de"],
        scope,
        shown_column="value" if statistical else None,
        loosened=_loosened(where, meta.get("loosened")),
    )


def _check_statistical(where: str, type_: str, kwargs: Mapping[str, Any], contract: Contract) -> Rule:
    if not contract.is_observation:
        raise ContractError(f"{where}: {type_!r} judges observations, and {contract.dataset_id} has none.")
    try:
        return parse_rule(type_, kwargs, contract)
    except ContractError as error:
        raise ContractError(f"{where}: {error}") from error


def _loosened(where: str, given: Any) -> Mapping[str, str] | None:
    """A bound wider than its rule says since when and why, so that it can be narrowed again."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or set(given) != {"date", "reason"} or not all(given.values()):
        raise ContractError(f"{where}: meta.loosened: needs date and reason, and nothing else.")
    try:
        date.fromisoformat(given["date"])
    except (TypeError, ValueError) as error:
        raise ContractError(f"{where}: meta.loosened.date: must be YYYY-MM-DD, found {given['date']!r}.") from error
    return given
