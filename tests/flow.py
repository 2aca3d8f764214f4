"""What the integration tests share: small invented files, and a home through which they flow step by step."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from teilhabe import landing, ops
from teilhabe.contract import lookup
from teilhabe.errors import Finding
from teilhabe.pipeline import archiving, taking_in, waiting
from teilhabe.raw import loading
from teilhabe.server import connecting
from teilhabe.settings import Settings
from tests.conftest import PROJECT

POPULATION = "state_statistics__population"
FOREIGNERS = "state_monitor__foreigners"
NATURALISATIONS = "state_monitor__naturalisations"

PEINE = {
    "03157001": "Edemissen",
    "03157002": "Hohenhameln",
    "03157005": "Lengede",
    "03157006": "Peine, Stadt",
    "03157007": "Vechelde",
    "03157008": "Wendeburg",
    "03157009": "Ilsede",
}


def copied(project: Path, *agencies: str) -> Path:
    """A project with these agencies' contracts only, to be changed: few datasets are installed fast."""
    for name in (*(f"agencies/{agency}" for agency in agencies), "expectations", "dbt_project/seeds"):
        shutil.copytree(PROJECT / name, project / name)
    return project


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(hour=9, tzinfo=UTC)


def population(numbers: Mapping[str, Sequence[object]], year: int = 2022, names: Mapping[str, str] = PEINE) -> bytes:
    """GENESIS table 12411-01-01-5 for one date: key -> total, male, female, as they stand in the cells."""
    date = f"31.12.{year}"
    lines = [
        "GENESIS-Tabelle: 12411-01-01-5",
        "Bevölkerungsstand: Bevölkerung nach Geschlecht;;",
        "- Stichtag 31.12. -;;",
        "regionale Tiefe: Gemeinden;;",
        "Bevölkerungsstand (Anzahl);;",
        f";;{date};{date};{date}",
        ";;Insgesamt;männlich;weiblich",
        *(f"{code};        {names[code]};{';'.join(str(cell) for cell in cells)}" for code, cells in numbers.items()),
        "__________",
        '"erfundene Zahlen',
        'Zeichen: - nichts vorhanden; . unbekannt oder geheim"',
        "Stand: 20.10.2023 / 09:30:00",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


def monitor(
    rows: Iterable[Sequence[object]], header: Sequence[str] = ("Year", "Gebietseinheit", "GeoCode", "Value")
) -> bytes:
    """A table of the state's monitor: one row per number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()


def no_credentials(name: str) -> landing.Credentials:
    raise AssertionError(f"the inbox needs no connection {name}")


@dataclass
class Flow:
    """A home and its warehouse; every step is the pipeline's own."""

    settings: Settings
    drafts: Path

    def hand_in(
        self, dataset_id: str, content: bytes, name: str = "zahlen.csv", at: str = "2023-10-20", **said: Any
    ) -> None:
        self.drafts.mkdir(parents=True, exist_ok=True)
        path = self.drafts / name
        path.write_bytes(content)
        landing.hand_in(self.settings, dataset_id, [path], day(at), **said)

    def archive(self, dataset_id: str) -> list[int]:
        contract = lookup.contract(self.settings, dataset_id)
        return archiving.archive(
            self.settings, contract, waiting.poll(self.settings, contract, no_credentials), no_credentials
        )

    def judge(self, dataset_id: str) -> dict[int, str]:
        return taking_in.judge(self.settings, lookup.contract(self.settings, dataset_id))

    def load(self, dataset_id: str) -> list[int]:
        return taking_in.load(self.settings, lookup.contract(self.settings, dataset_id))

    def take_in(self, dataset_id: str) -> dict[int, str]:
        return taking_in.take_in(self.settings, lookup.contract(self.settings, dataset_id))

    def run(self, dataset_id: str) -> None:
        """All steps, as the DAG takes them."""
        self.archive(dataset_id)
        self.take_in(dataset_id)

    def deliver(
        self, dataset_id: str, content: bytes, name: str = "zahlen.csv", at: str = "2023-10-20", **said: Any
    ) -> int:
        """Hand in one file and take it all the way; returns its delivery."""
        self.hand_in(dataset_id, content, name, at, **said)
        self.run(dataset_id)
        return int(self.ask("select max(delivery_id) from ops.delivery")[0][0])

    def ask(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with loading.session(self.settings) as conn:
            return conn.execute(query.encode(), parameters).fetchall()

    def states(self, dataset_id: str) -> list[str]:
        """States of the dataset's deliveries, in the order they were archived."""
        return [
            s
            for (s,) in self.ask(
                "select state from ops.delivery where dataset_id = %s order by delivery_id", dataset_id
            )
        ]

    def state(self, delivery_id: int) -> str:
        with loading.session(self.settings) as conn:
            return ops.delivery(conn, delivery_id).state

    def findings(self, delivery_id: int) -> list[Finding]:
        with loading.session(self.settings) as conn:
            return ops.findings(conn, delivery_id)

    def outcomes(self, dataset_id: str) -> list[tuple[str, str]]:
        return [
            (step, status)
            for step, status in self.ask(
                "select step, status from ops.outcome where dataset_id = %s order by outcome_id", dataset_id
            )
        ]

    def raw(self, dataset_id: str, *columns: str) -> list[tuple[Any, ...]]:
        """Rows of the raw table in the order of delivery, line and column."""
        wanted = ", ".join(columns) or "*"
        return self.ask(f"select {wanted} from raw.{dataset_id} order by _delivery_id, _row_number, _column_number")

    def empty(self) -> None:
        """As if nothing had ever arrived."""
        with connecting.connect("loader", self.settings) as conn:
            tables = conn.execute("select tablename from pg_tables where schemaname = 'raw'").fetchall()
            names = ", ".join(f"raw.{name}" for (name,) in tables)
            conn.execute(f"truncate ops.delivery, ops.build, {names} restart identity cascade".encode())
        for folder in (self.settings.inbox, self.settings.home / "archive"):
            shutil.rmtree(folder, ignore_errors=True)
