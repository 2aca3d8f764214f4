"""Where official lists of territorial changes contradict themselves, the register or each other, in sentences for the steward.

A finding, not a fault of a delivery: nobody at the county can mend an official list, and nothing waits for it. Its unit is not
converted over that day. What a contradiction is says ``marts.rpt_territorial_contradiction``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from psycopg.rows import dict_row

from teilhabe.findings import saying
from teilhabe.server import connecting
from teilhabe.settings import Settings

LISTS_OF_CHANGES = "register__territorial_changes"
_UNIT_STAYS = "Zahlen aus der Zeit davor werden für diese Einheit nicht umgerechnet."


@dataclass(frozen=True)
class ListContradiction:
    """One unit a list changes on a day in a way that cannot be."""

    territory_code: str
    territory_name: str | None
    effective_date: date
    reason: str
    other_code: str | None
    delivery_id: int | None
    file_name: str | None
    change_ids: str | None
    listed_population: int | None
    moved_population: int | None
    listed_area_m2: Decimal | None
    moved_area_m2: Decimal | None
    register_date: date | None
    register_population: int | None
    register_area_m2: Decimal | None

    @property
    def unit(self) -> str:
        return f"{self.territory_name} ({self.territory_code})" if self.territory_name else self.territory_code

    @property
    def source(self) -> str:
        """Which list says so, in German."""
        if self.file_name is None:
            return "der Grundbestand der Gebiete"
        changes = f", Änderung {self.change_ids}" if self.change_ids else ""
        return f"die Änderungsliste „{self.file_name}“ (Lieferung {self.delivery_id}{changes})"

    @property
    def what(self) -> str:
        """What contradicts what, in German."""
        if self.reason == "more_than_there_was":
            moved, whole = (
                _size(self.moved_population, self.moved_area_m2),
                _size(self.listed_population, self.listed_area_m2),
            )
            return f"danach gibt sie mehr ab, als sie hat: abgegeben {moved}, vorhanden {whole}. {_UNIT_STAYS}"
        if self.reason == "not_as_in_register":
            register = _size(self.register_population, self.register_area_m2)
            return (
                f"die Teile ergeben {_size(self.listed_population, self.listed_area_m2)}, das Gemeindeverzeichnis vom "
                f"{_day(self.register_date)} hat {register}. {_UNIT_STAYS}"
            )
        if self.reason == "circle":
            return f"danach geht sie in Einheiten auf, die am selben Tag in ihr aufgehen. {_UNIT_STAYS}"
        return (
            "danach geht sie in einer anderen auf; "
            f"{self.other_code} ist aber nach Verzeichnissen und Listen an diesem Tag nicht da."
        )

    def sentence(self) -> str:
        """The whole finding, in German."""
        return f"{self.unit} zum {_day(self.effective_date)}: {self.source[0].upper()}{self.source[1:]} – {self.what}"

    def as_json(self) -> dict[str, Any]:
        """For ``teilhabe status --json``."""
        return {
            "territory_code": self.territory_code,
            "territory_name": self.territory_name,
            "date": self.effective_date,
            "reason": self.reason,
            "delivery_id": self.delivery_id,
            "file": self.file_name,
            "message": self.sentence(),
        }


def found(settings: Settings) -> list[ListContradiction]:
    """All contradictions of the last published build, the latest first; none before the first build."""
    with connecting.connect("analyst", settings) as conn, conn.cursor(row_factory=dict_row) as cursor:
        [built] = cursor.execute(
            "select to_regclass('marts.rpt_territorial_contradiction') is not null as is_there"
        ).fetchall()
        if not built["is_there"]:
            return []
        rows = cursor.execute(
            """
            select c.*, d.file_name
            from marts.rpt_territorial_contradiction as c left join marts.dim_delivery as d using (delivery_id)
            order by c.effective_date desc, c.territory_code, c.reason
            """
        ).fetchall()
    return [ListContradiction(**row) for row in rows]


def _day(day: date | None) -> str:
    return "?" if day is None else f"{day:%d.%m.%Y}"


def _size(people: int | None, area_m2: Decimal | None) -> str:
    parts = []
    if people is not None:
        parts.append(f"{saying.number(people)} Einwohner")
    if area_m2 is not None:
        parts.append(f"{area_m2 / 1_000_000:,.2f} km²".translate(str.maketrans(",.", ".,")))
    return " auf ".join(parts) if parts else "unbekannte Größe"
