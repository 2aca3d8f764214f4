"""Contradictory lists of territorial changes in words: given what list and register say, expect the sentence a steward reads."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from teilhabe.findings.list_contradictions import ListContradiction
from teilhabe.status import view

FEHRBELLIN: dict[str, Any] = {
    "territory_code": "12068117", "territory_name": "Fehrbellin", "effective_date": date(2024, 1, 1),
    "reason": "not_as_in_register", "other_code": None, "delivery_id": 12, "file_name": "2024.xlsx",
    "change_ids": "12/2024/0001-R", "listed_population": 0, "moved_population": 0,
    "listed_area_m2": Decimal(269_000_000), "moved_area_m2": Decimal(1_200), "register_date": date(2023, 12, 31),
    "register_population": 9_123, "register_area_m2": Decimal(269_010_000),
}  # fmt: skip
LIST = "Die Änderungsliste „2024.xlsx“ (Lieferung 12, Änderung 12/2024/0001-R)"


@pytest.mark.parametrize(
    ("differing", "sentence"),
    [
        (
            {},
            f"Fehrbellin (12068117) zum 01.01.2024: {LIST} – die Teile ergeben 0 Einwohner auf 269,00 km², das "
            "Gemeindeverzeichnis vom 31.12.2023 hat 9.123 Einwohner auf 269,01 km². Zahlen aus der Zeit davor werden für "
            "diese Einheit nicht umgerechnet.",
        ),
        (
            {"reason": "more_than_there_was", "listed_population": 9_000, "moved_population": 10_000},
            f"Fehrbellin (12068117) zum 01.01.2024: {LIST} – danach gibt sie mehr ab, als sie hat: abgegeben 10.000 "
            "Einwohner auf 0,00 km², vorhanden 9.000 Einwohner auf 269,00 km². Zahlen aus der Zeit davor werden für diese "
            "Einheit nicht umgerechnet.",
        ),
        (
            {"reason": "circle", "territory_name": None},
            f"12068117 zum 01.01.2024: {LIST} – danach geht sie in Einheiten auf, die am selben Tag in ihr aufgehen. Zahlen "
            "aus der Zeit davor werden für diese Einheit nicht umgerechnet.",
        ),
        (
            {"reason": "not_there", "other_code": "12068353", "file_name": None},
            "Fehrbellin (12068117) zum 01.01.2024: Der Grundbestand der Gebiete – danach geht sie in einer anderen auf; "
            "12068353 ist aber nach Verzeichnissen und Listen an diesem Tag nicht da.",
        ),
    ],
)
def test_a_steward_reads_list_unit_day_and_what_contradicts(differing: dict[str, Any], sentence: str) -> None:
    found = ListContradiction(**{**FEHRBELLIN, **differing})
    assert found.sentence() == sentence
    assert found.as_json()["message"] == sentence


def test_status_tells_them_with_the_lists_and_not_beside_other_datasets() -> None:
    state = {"list_contradictions": [ListContradiction(**FEHRBELLIN).as_json()] * 25}
    told = list(view._list_contradictions(state))
    assert len(told) == 21
    assert "Fehrbellin (12068117) zum 01.01.2024" in told[0]
    assert told[-1].startswith("… 25 contradictions in lists")
