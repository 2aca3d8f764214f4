"""Where two datasets contradict each other on the same numbers: for the county's own people, who know which one to believe.

No office is told: none of them can see or mend what another one publishes. What a contradiction is says
``marts.fct_contradiction``; here they are counted per measure and pair of datasets, and put into words.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from psycopg.rows import dict_row

from teilhabe.codes import wording
from teilhabe.contract.model import SecrecyMethod
from teilhabe.findings import saying
from teilhabe.server import connecting
from teilhabe.settings import Settings

_COORDINATES = ("nationality", "sex", "age_band", "category")
_PAIR = "c.measure_code, least(c.dataset_id, c.counting_dataset_id), greatest(c.dataset_id, c.counting_dataset_id)"
_ORDER = "abs(c.difference) desc, c.period_code desc, c.territory_code, c.nationality, c.sex, c.age_band, c.category"
_LARGEST = f"""
    select c.*, d.secrecy_method, o.secrecy_method as counting_secrecy_method, count(*) over pair as numbers,
        row_number() over (pair order by {_ORDER}) as place
    from marts.rpt_contradiction as c
    inner join marts.dim_dataset as d on d.dataset_id = c.dataset_id
    inner join marts.dim_dataset as o on o.dataset_id = c.counting_dataset_id
    window pair as (partition by {_PAIR})
"""


@dataclass(frozen=True)
class Side:
    """What one of the two datasets says. ``value`` is None where its contract keeps so small a number secret."""

    dataset_id: str
    title: str
    value: Decimal | None

    @property
    def said(self) -> str:
        """The number as German pages write it."""
        return saying.HIDDEN if self.value is None else _german(self.value)


@dataclass(frozen=True)
class Number:
    """One number two datasets publish differently."""

    territory: str
    period_code: str
    group: str
    """What it is broken down by, in words; empty for a total."""
    counting: Side
    other: Side

    @property
    def what(self) -> str:
        """Territory, period and group in words."""
        return ", ".join(filter(None, (self.territory, wording.spell_period(self.period_code), self.group)))


@dataclass(frozen=True)
class Pair:
    """Two datasets that contradict each other on a measure, with the numbers furthest apart, those first."""

    measure_code: str
    measure_name: str
    dataset_ids: tuple[str, str]
    count: int
    numbers: tuple[Number, ...]

    @property
    def example(self) -> Number:
        return self.numbers[0]

    @property
    def key(self) -> str:
        """Names the pair for good, whichever of the two counts."""
        return f"contradiction:{self.measure_code}:{':'.join(self.dataset_ids)}"

    def subject(self) -> str:
        """What the operators' message is called, in German."""
        return f"Zwei Datensätze widersprechen sich: {self.measure_name}"

    def sentences(self) -> str:
        """What the operators are told, in German: how many, the largest, where to look."""
        one, other = self.example.counting, self.example.other
        how_many = (
            "Eine Zahl weicht" if self.count == 1 else f"{saying.number(self.count)} Zahlen weichen"
        ) + " stärker voneinander ab, als Geheimhaltung und Rundung der beiden es erklären."
        return (
            f"„{one.title}“ ({one.dataset_id}) und „{other.title}“ ({other.dataset_id}) nennen verschiedene Zahlen der "
            f"Messgröße „{self.measure_name}“. {how_many}\n"
            f"Größte Abweichung: {self.example.what}: {one.said} laut {one.dataset_id} (diese Zahl gilt), {other.said} laut "
            f"{other.dataset_id}.\n"
            "Die Stellen erfahren davon nichts. Alle Zahlen: Seite „Widersprüche“ bei den Lieferungen, oder teilhabe sql "
            f"\"select * from marts.rpt_contradiction where measure_code = '{self.measure_code}'\". Dies wird einmal je "
            "Messgröße und Paar von Datensätzen gemeldet."
        )

    def as_json(self) -> dict[str, Any]:
        """For ``teilhabe status --json``."""
        number = self.example
        return {
            "measure_code": self.measure_code,
            "measure_name": self.measure_name,
            "datasets": list(self.dataset_ids),
            "numbers": self.count,
            "example": {
                "what": number.what,
                "period": number.period_code,
                "counting_dataset_id": number.counting.dataset_id,
                "counting_value": number.counting.value,
                "dataset_id": number.other.dataset_id,
                "value": number.other.value,
            },
        }


def pairs(settings: Settings, *, numbers: int = 1) -> list[Pair]:
    """All contradictions that are published, each pair with its largest ``numbers``; none before the first build."""
    with connecting.connect("analyst", settings) as conn, conn.cursor(row_factory=dict_row) as cursor:
        [built] = cursor.execute("select to_regclass('marts.rpt_contradiction') is not null as is_there").fetchall()
        if not built["is_there"]:
            return []
        rows = cursor.execute(
            f"select * from ({_LARGEST}) as c where c.place <= %s order by {_PAIR}, c.place".encode(), (numbers,)
        ).fetchall()
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        one, other = sorted((row["dataset_id"], row["counting_dataset_id"]))
        found.setdefault((row["measure_code"], one, other), []).append(row)
    return [
        Pair(measure, its[0]["measure_name_de"], (one, other), its[0]["numbers"], tuple(map(_number, its)))
        for (measure, one, other), its in found.items()
    ]


def _number(row: dict[str, Any]) -> Number:
    name, code = row["territory_name"], row["territory_code"]
    group = [wording.code_words(column, row[column]) for column in _COORDINATES if row[column] != "total"]
    return Number(
        territory=f"{name} ({code})" if name else code,
        period_code=row["period_code"],
        group=", ".join(group),
        counting=_side(row, "counting_"),
        other=_side(row, ""),
    )


def _side(row: dict[str, Any], which: str) -> Side:
    value: Decimal = row[f"{which}value"]
    secrecy: SecrecyMethod | None = row[f"{which}secrecy_method"]
    is_secret = saying.masked(f"{value.normalize():f}", secrecy) == saying.HIDDEN
    return Side(row[f"{which}dataset_id"], row[f"{which}dataset_name"], None if is_secret else value)


def _german(value: Decimal) -> str:
    shown = round(value, 2 if abs(value) >= 10 else 4).normalize()  # a mean may have digits without end
    return f"{shown:,f}".translate(str.maketrans(",.", ".,"))
