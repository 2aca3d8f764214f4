"""A new dataset from a file: what its layout says is proposed, what only a person can know is marked TODO.

The proposal is tried on the very file before anything is written, and nothing is overwritten.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from teilhabe.building import observation_union
from teilhabe.contract import naming
from teilhabe.contract.parsing import contract_path, parse_contract
from teilhabe.errors import ReadingError, TeilhabeError
from teilhabe.onboarding.proposing import propose
from teilhabe.onboarding.words import Proposal

if TYPE_CHECKING:
    from teilhabe.errors import Finding
    from teilhabe.settings import Settings

_FREQUENCY = {
    "{month}": (1, "m", "month"),
    "{quarter}": (3, "m", "quarter"),
    "{half_year}": (6, "m", "half_year"),
    "{allocation_half_year}": (6, "m", "allocation_half_year"),
    "{school_year}": (1, "y", "school_year"),
    "{year}": (1, "y", "year"),
}


@dataclass(frozen=True)
class Scaffold:
    """What was (or, in a dry run, would be) written."""

    files: list[Path]
    decided: list[str]
    open_points: list[str]
    rows: int
    findings: list[Finding]


def new_dataset(
    settings: Settings, agency: str, dataset: str, path: Path, *, title: str | None = None, dry_run: bool = False
) -> Scaffold:
    """Write contract, suite, staging model and fixture of a dataset proposed from ``path``, and add it to the union.

    Raises ``TeilhabeError`` when something is there already, the file is about single persons, or no layout fits.
    """
    from teilhabe.reading import confined

    for name, what in ((agency, "agency"), (dataset, "dataset")):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or "__" in name:
            raise TeilhabeError(f"{name!r} is no name for an {what}: small letters, digits and single _ only.")
    dataset_id = f"{agency}__{dataset}"
    if problem := naming.problem_of_id(dataset_id):
        raise TeilhabeError(problem)
    if not path.is_file():
        raise TeilhabeError(f"{path}: there is no such file.")
    proposal = confined.run(propose, settings, dataset_id, path, file_name=path.name)
    targets = _targets(settings, agency, dataset, path, proposal, title)
    for target in targets:
        if target.exists():
            raise TeilhabeError(
                f"{target} is there already; nothing is overwritten. Choose another name or remove it first."
            )
    catalogue = _with_measures(settings, proposal)
    rows, findings, periods = _try(settings, dataset_id, path, targets, catalogue)
    proposal.periods = periods
    # The first period is known only now; everything else stays as it was tried.
    targets = _targets(settings, agency, dataset, path, proposal, title)
    measures_file = settings.dbt_project / "seeds" / "measures.csv"
    if not dry_run:
        for target, content in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as stream:
                stream.write(content)
        if proposal.measures:
            measures_file.write_text(catalogue, encoding="utf-8", newline="")
        observation_union.write(settings.dbt_project)
    union = observation_union.path(settings.dbt_project)
    written = [*targets, union, *([measures_file] if proposal.measures else [])]
    return Scaffold(written, proposal.decided, proposal.open_points, rows, findings)


# -------------------------------------------------------------------------------------------------------------- writing


def _targets(
    settings: Settings, agency: str, dataset: str, path: Path, proposal: Proposal, title: str | None
) -> dict[Path, bytes]:
    """Every file of the dataset and its content."""
    dataset_id = f"{agency}__{dataset}"
    staging = settings.dbt_project / "models" / "staging" / agency / f"stg_{dataset_id}"
    # Where the name has to tell the period, it does.
    named = f".{_first_default(proposal.layout['period'])}" if proposal.layout.get("period_in") == "file_name" else ""
    fixture = settings.project / "tests" / "fixtures" / "deliveries" / f"{dataset_id}{named}.{proposal.file_format}"
    return {
        contract_path(settings.agencies, dataset_id): _contract(agency, dataset, proposal, title).encode("utf-8"),
        settings.expectations / agency / f"{dataset}.json": _suite(dataset_id, proposal).encode("utf-8"),
        staging.with_name(staging.name + ".sql"): _model(dataset_id, proposal).encode("utf-8"),
        staging.with_name(staging.name + ".yml"): _model_yml(settings, dataset_id, proposal).encode("utf-8"),
        fixture: proposal.fixture,
    }


def _contract(agency: str, dataset: str, proposal: Proposal, title: str | None) -> str:
    """The contract as text, with a TODO wherever a person has to decide."""
    dataset_id = f"{agency}__{dataset}"
    template = proposal.layout["period"]
    count, unit, reference = _FREQUENCY.get(template, (1, "y", "year"))
    first = min(proposal.periods, default="2000-12-31" if template == "{date}" else _first_default(template))
    if template == "{date}":
        reference = first[5:]
    terms = proposal.office_terms
    named = "territory_name" in {
        **proposal.layout.get("columns", {}),
        **proposal.layout.get("fields", {}),
    } or proposal.layout["reader"] in ("genesis_csv", "ffcsv")
    rows = [
        _property("territory_code", terms, required=True, key=True),
        _property("territory_name", terms, required=named),
    ]
    rows.append(_property("period_code", terms, required=True, key=True))
    rows += [
        _property(name, terms, required=name != "category_name", key=name != "category_name")
        for name in proposal.group_columns
    ]
    rows += [
        "{name: value, logicalType: number, businessName: Wert}",
        "{name: obs_status, logicalType: string, required: true}",
        "{name: conf_status, logicalType: string, required: true}",
    ]
    layout = {
        "levels": proposal.levels,
        "secrecy": "none",
        "symbols": proposal.symbols,
        **({"constants": proposal.constants} if proposal.constants else {}),
        "files": [proposal.layout],
    }
    body = yaml.safe_dump(layout, allow_unicode=True, sort_keys=False, default_flow_style=None, width=110)
    shown = body.replace(
        "secrecy: none\n",
        "secrecy: none  # TODO Geheimhaltung der Stelle / its secrecy: none, min3, min5, round5, ...\n",
    )
    points = "".join(f"# TODO {point}\n" for point in proposal.open_points)
    columns = "\n".join(f"      - {row}" for row in rows)
    return f"""# Vorschlag aus einer Datei; offene Punkte: TODO. / Proposed from a file; what a person must decide is marked TODO.
{points}apiVersion: v3.1.0
kind: DataContract
id: {dataset_id}
name: {_quoted(title or dataset.replace("_", " ").capitalize())}  # TODO deutscher Titel / German title
version: 0.1.0
status: draft
tags: [{agency}]
description:
  purpose: >-
    TODO what the data are for and what one number counts.
  limitations: >-
    TODO what they are not, known breaks and biases.
authoritativeDefinitions:
  - type: licence  # TODO Lizenz oder Vereinbarung / licence or agreement
    url: https://www.example.org/licence
    description: "TODO Lizenz klären"
  - type: attribution  # TODO Quellenangabe / line printed in every report
    url: https://www.example.org
    description: "TODO Quellenangabe"
team:
  name: {agency}
  description: {_quoted(agency.replace("_", " ").capitalize())}  # TODO Name der Stelle / the office as it is addressed
support:
  - channel: email
    url: mailto:todo@example.org  # TODO Ansprechstelle / where findings are sent
servers:
  - server: inbox
    type: local
    path: inbox/{agency}/{dataset}
    format: {proposal.file_format}
slaProperties:
  - {{property: frequency, value: {count}, unit: {unit}}}  # TODO Turnus / how often
  - {{property: latency, value: 90, unit: d}}  # TODO fällig nach Tagen / due after days
schema:
  - name: {dataset_id}
    logicalType: object
    dataGranularityDescription: "one row per {", ".join(["territory", "period", *_groups(proposal)])}"
    properties:
{columns}
customProperties:
  - property: calendar
    value: {{reference: "{reference}", grace_days: 30, first_period: "{first}"}}  # TODO frühester Zeitraum / earliest period
  - property: layout
    value:
{_indented(shown, 6)}"""


def _groups(proposal: Proposal) -> list[str]:
    return [name for name in proposal.group_columns if name != "category_name"]


def _first_default(template: str) -> str:
    return {
        "{month}": "2000-01", "{quarter}": "2000-Q1", "{half_year}": "2000-H1", "{school_year}": "SY2000",
        "{allocation_half_year}": "SH2000", "{guidance_year}": "AY2000",
    }.get(template, "2000")  # fmt: skip


def _property(name: str, terms: dict[str, str], *, required: bool, key: bool = False) -> str:
    parts = [f"name: {name}", "logicalType: string"]
    parts += ["required: true"] if required else []
    parts += ["primaryKey: true"] if key else []
    parts += [f"businessName: {_quoted(terms[name])}"] if name in terms else []
    return "{" + ", ".join(parts) + "}"


def _quoted(text: str) -> str:
    return json.dumps(" ".join(text.split()), ensure_ascii=False)


def _indented(text: str, by: int) -> str:
    return "".join(" " * by + line + "\n" if line else "\n" for line in text.splitlines())


def _suite(dataset_id: str, proposal: Proposal) -> str:
    def entry(
        kwargs: dict[str, Any], severity: str, rule: str, sentence: str, expected: str, **more: str
    ) -> dict[str, Any]:
        return {
            "type": "expect_column_values_to_be_between", "kwargs": kwargs, "severity": severity,
            "meta": {"rule": rule, "sentence_de": sentence, "expected_de": expected, **more},
        }  # fmt: skip

    expectations = [
        entry({"column": "value", "min_value": 0}, "critical", "value.negative", "Die Zahl kann nicht negativ sein.", "eine Zahl ab 0"),
        entry({"column": "value", "max_value": 90_000_000}, "critical", "value.too_large",
              "So groß kann die Zahl nicht sein.", "höchstens 90.000.000"),
        entry({"column": "value_count", "min_value": 1}, "warning", "period.without_values",
              "Ein Zeitraum enthält keinen einzigen Wert.", "mindestens einen Wert je Zeitraum", scope="delivery"),
    ]  # fmt: skip
    return json.dumps({"name": dataset_id, "expectations": expectations}, ensure_ascii=False, indent=2) + "\n"


def _model(dataset_id: str, proposal: Proposal) -> str:
    lines = ["{{ stage_observations(", f"    '{dataset_id}',", f"    delivered={proposal.group_columns!r},"]
    if proposal.constants:
        lines.append(f"    constants={proposal.constants!r},")
    return "\n".join([*lines, ") }}"]) + "\n"


def _model_yml(settings: Settings, dataset_id: str, proposal: Proposal) -> str:
    grain = ", ".join(["delivery", "territory", "period", *_groups(proposal)])
    return f"""version: 2

sources:
  - name: raw
    schema: raw
    tables:
      - name: {dataset_id}
        description: Rows of the accepted deliveries of `{dataset_id}` as text, one per number delivered; append-only.

models:
  - name: stg_{dataset_id}
    description: >-
      One row per {grain}. TODO scope, exclusions, known bias.
    config:
      meta: {{dataset_id: {dataset_id}, observations: true}}
    data_tests:
      - is_observation
"""


_SHARE = re.compile(r"quote|anteil|prozent|%", re.IGNORECASE)


def _with_measures(settings: Settings, proposal: Proposal) -> str:
    """The catalogue with the new measures; what they are to be called in English and whether they add up is for a person."""
    path = settings.dbt_project / "seeds" / "measures.csv"
    text = path.read_text(encoding="utf-8")
    target = io.StringIO()
    writer = csv.DictWriter(target, next(csv.reader([text.split("\n", 1)[0]])), lineterminator="\n", restval="")
    behaviour = "stock" if proposal.layout["period"] == "{date}" else "flow"
    for code, name in proposal.measures.items():
        is_share = bool(_SHARE.search(name))
        adds_up = str(not is_share).lower()
        writer.writerow({
            "measure_code": code, "name_de": name, "name_en": code.replace("_", " ").capitalize(),
            "unit": "per cent" if is_share else "cases", "behaviour": "average" if is_share else behaviour,
            "is_additive_over_territory": adds_up, "is_additive_over_groups": adds_up,
            "description": "TODO what one unit is; check unit, behaviour and additivity.",
        })  # fmt: skip
    return text.rstrip("\n") + "\n" + target.getvalue()


def _try(
    settings: Settings, dataset_id: str, path: Path, targets: dict[Path, bytes], catalogue: str
) -> tuple[int, list[Finding], list[str]]:
    """Read the file with the proposed contract, in a copy of what it needs; the fixture as well."""
    import pyarrow.compute as pc

    from teilhabe.reading import ReadingContext, confined

    with TemporaryDirectory() as folder:
        project = Path(folder)
        seeds = project / "dbt_project" / "seeds"
        seeds.mkdir(parents=True)
        (seeds / "measures.csv").write_text(catalogue, encoding="utf-8")
        where = contract_path(settings.agencies, dataset_id)
        contract = parse_contract(targets[where].decode("utf-8"), project / where.relative_to(settings.project))
        fixture = next(target for target in targets if "fixtures" in target.parts)
        copy = project / fixture.name
        copy.write_bytes(targets[fixture])
        rows = 0
        periods: set[str] = set()
        findings: list[Finding] = []
        for file in (copy, path):
            try:
                reading = confined.open_reading(
                    contract, file, path.name if file is path else fixture.name, ReadingContext()
                )
                rows, periods = 0, set()
                for chunk in reading.chunks():
                    rows += len(chunk)
                    periods |= {code for code in pc.unique(chunk["period_code"]).to_pylist() if code}
                findings = reading.findings
            except ReadingError as error:
                raise TeilhabeError(
                    f"{path}: the proposed layout ({contract.layouts[0].reader}) does not read the file: {error} "
                    "Nothing was written; write the contract by hand (docs/reference/contract.md)."
                ) from error
        critical = [finding for finding in findings if finding.severity == "critical"]
        if critical:
            raise TeilhabeError(
                f"{path}: {critical[0].message} Nothing was written; mend the file or write the contract by hand."
            )
    return rows, findings, sorted(periods)
