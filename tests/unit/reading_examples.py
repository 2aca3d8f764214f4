"""Contracts and files made up for the tests of one reader: only what that reader looks at varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import parse_contract
from teilhabe.errors import Finding, ReadingError
from teilhabe.reading import ReadingContext, open_reading

PROJECT = Path(__file__).resolve().parents[2]
PATH = PROJECT / "agencies" / "example_office" / "example.odcs.yaml"

_COLUMNS = ("measure_code", "nationality", "sex", "age_band", "category", "category_name")
_CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: example_office__example
name: Beispiel
version: 1.0.0
status: active
description: {{purpose: Beispiel.}}
authoritativeDefinitions:
  - {{type: licence, url: "https://example.org", description: Lizenz}}
  - {{type: attribution, url: "https://example.org", description: Beispielamt}}
team: {{name: example_office, description: Beispielamt}}
support: [{{channel: email, url: "mailto:daten@beispielamt.example"}}]
slaProperties:
  - {{property: frequency, value: 1, unit: y}}
  - {{property: latency, value: 30, unit: d}}
schema:
  - name: example_office__example
    logicalType: object
    properties:
      - {{name: territory_code, logicalType: string, required: true, primaryKey: true}}
      - {{name: territory_name, logicalType: string}}
      - {{name: period_code, logicalType: string, required: true, primaryKey: true}}
{columns}
      - {{name: value, logicalType: number}}
      - {{name: obs_status, logicalType: string, required: true}}
      - {{name: conf_status, logicalType: string, required: true}}
customProperties:
  - property: calendar
    value: {{reference: year, grace_days: 0, first_period: "2000"}}
  - property: layout
    value:
      levels: [county, municipality]
      secrecy: min3
      symbols: {{regime: ba}}
      files:
{files}
"""


def example(layout: str, *columns: str) -> Contract:
    """A contract with this layout and, beside territory, period and value, these columns."""
    properties = "\n".join(
        f"      - {{name: {name}, logicalType: string, primaryKey: {str(name != 'category_name').lower()}}}"
        for name in _COLUMNS
        if name in columns or name == "measure_code"
    )
    lines = layout.strip("\n").split("\n")
    files = "\n".join(["        - " + lines[0], *("          " + line for line in lines[1:])])
    return parse_contract(_CONTRACT.format(columns=properties, files=files), PATH)


@dataclass
class Result:
    rows: list[dict[str, Any]]
    findings: list[Finding]

    def finding(self, rule: str) -> Finding:
        found = [finding for finding in self.findings if finding.rule == rule]
        assert len(found) == 1, [(finding.rule, finding.message) for finding in self.findings]
        return found[0]

    def one(self, **where: str) -> dict[str, Any]:
        found = [row for row in self.rows if all(row[name] == value for name, value in where.items())]
        assert len(found) == 1, (where, len(found))
        return found[0]

    def values(self, **where: str) -> list[str | None]:
        return [row["value"] for row in self.rows if all(row[name] == value for name, value in where.items())]

    @property
    def worth_telling(self) -> list[str]:
        return [finding.rule for finding in self.findings if finding.severity != "info"]


def read(contract: Contract, path: Path, name: str | None = None, **context: Any) -> Result:
    reading = open_reading(contract, path, name or path.name, context=ReadingContext(**context))
    rows = pa.concat_tables(reading.chunks()).to_pylist()
    return Result(rows, reading.findings)


def refused(contract: Contract, path: Path, name: str | None = None, **context: Any) -> Finding:
    with pytest.raises(ReadingError) as caught:
        read(contract, path, name, **context)
    finding = caught.value.finding
    assert finding.severity == "critical" and finding.message.endswith(".")
    assert (name or path.name) in finding.message
    return finding


Cells = Sequence[Sequence[Any]]


def workbook(path: Path, sheets: dict[str, Cells], merges: dict[str, Sequence[str]] | None = None) -> Path:
    """An xlsx with these sheets; ``merges``: ranges like ``C3:D3`` by sheet."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
        for place in (merges or {}).get(name, ()):
            sheet.merge_cells(place)
    book.save(path)
    return path


def text(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path
