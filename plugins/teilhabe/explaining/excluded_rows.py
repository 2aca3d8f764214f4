"""Which rows of loaded files were left out that would have been about a number, and why.

They never reach ``raw``, so ``marts`` does not know them; only their place and the reason are told.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from teilhabe.codes.periods import period_end
from teilhabe.codes.territory import CODE
from teilhabe.codes.wording import spell_period
from teilhabe.contract import lookup
from teilhabe.errors import ContractError
from teilhabe.raw import loading
from teilhabe.validation import register

if TYPE_CHECKING:
    from teilhabe.settings import Settings

Row = dict[str, Any]

_SHOWN = 5


def about_excluded_rows(
    settings: Settings, territory: str, name: str, periods: Collection[str], measures: Collection[str]
) -> list[str]:
    """A German sentence per row that is left out and would have been about one of these measures there and then.

    Rows of its municipalities count for a county: without one of them there is no sum. A row without a readable key counts
    where its name is like that of the unit; one without a readable period, whatever the period.
    """
    years = {end.year for code in periods if (end := period_end(code)) is not None}
    with loading.session(settings) as conn, conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            select d.dataset_id, d.file_name, d.delivery_id, x.sheet, x.row_number, x.reason, x.content
            from ops.excluded_row as x inner join ops.delivery as d using (delivery_id)
            where d.state = 'loaded' and x.content is not null and not exists (
                select from ops.delivery as later
                where later.dataset_id = d.dataset_id and later.sender_code is not distinct from d.sender_code
                    and later.state = 'loaded' and (later.received_at, later.delivery_id) > (d.received_at, d.delivery_id)
                    and later.periods @> array[x.content ->> 'period_code']
            )
            order by d.delivery_id, x.position
            """
        ).fetchall()
    found = [
        row
        for row in rows
        if _is_there(row["content"], territory, name)
        and _is_then(row["content"], years)
        and _measure(settings, row) & set(measures)
    ]
    sentences = [_sentence(row) for row in {(r["delivery_id"], r["sheet"], r["row_number"]): r for r in found}.values()]
    if len(sentences) > _SHOWN:
        return [*sentences[:_SHOWN], f"… und {len(sentences) - _SHOWN} weitere Zeilen."]
    return sentences


def _is_there(content: Row, territory: str, name: str) -> bool:
    code = content.get("territory_code") or ""
    if CODE.fullmatch(code):
        return code.startswith(territory)
    return register.are_alike(content.get("territory_name") or "", name)


def _is_then(content: Row, years: Collection[int]) -> bool:
    end = period_end(content.get("period_code") or "")
    return end is None or end.year in years


def _measure(settings: Settings, row: Row) -> set[str]:
    """What the row counts; what its dataset can count where that is not in the row."""
    if row["content"].get("measure_code"):
        return {row["content"]["measure_code"]}
    try:
        return set(lookup.contract(settings, row["dataset_id"]).measures)
    except ContractError:
        return set()


def _sentence(row: Row) -> str:
    content = row["content"]
    about = [content.get("territory_name") or content.get("territory_code")]
    about.append(spell_period(content["period_code"]) if content.get("period_code") else None)
    sheet = f" auf dem Blatt „{row['sheet']}“" if row["sheet"] else ""
    what = ", ".join(part for part in about if part)
    return (
        f"Die Zeile {row['row_number']}{sheet} der Datei „{row['file_name']}“ ({what}) in Lieferung {row['delivery_id']} wurde "
        f"zurückgehalten: {row['reason']}."
    )
