"""Which files would be about a number and do not count, and why: held, refused, withdrawn, on their way, or not read yet.

``marts`` shows what is published; that a number is absent because its file waits somewhere stands in ``ops`` alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from teilhabe.codes.office_time import stamp
from teilhabe.codes.periods import period_end
from teilhabe.contract import lookup
from teilhabe.pipeline import waiting
from teilhabe.raw import loading

if TYPE_CHECKING:
    from teilhabe.settings import Settings

Row = dict[str, Any]

_SHOWN = 5


def about_uncounted_deliveries(settings: Settings, periods: Collection[str], measures: Collection[str]) -> list[str]:
    """A sentence per delivery that has one of the periods, or may have it, of a dataset that counts one of the measures.

    What still lies in an inbox comes last: nobody has read it, so it may be about any time its ticket does not exclude.
    A refused or withdrawn one is told only where nothing else of its dataset and sender counts for its period.
    """
    datasets = [
        contract.dataset_id
        for contract in lookup.contracts(settings).values()
        if not set(measures).isdisjoint(contract.measures)
    ]
    years = {end.year for code in periods if (end := period_end(code)) is not None}
    with loading.session(settings) as conn, conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            select d.delivery_id, d.dataset_id, d.file_name, d.state, d.state_at, d.hold_reason, d.withdrawal_reason,
                a.expires_at as asked_until, complaint.message as complaint,
                coalesce(nullif(d.periods, '{}'), array[coalesce(complaint.period_code, d.period_stated)]) as periods
            from ops.delivery as d
            left join ops.approval as a on a.delivery_id = d.delivery_id and a.answer is null
            left join lateral (
                select f.message, i.period_code from ops.finding as f
                left join ops.incident as i on i.delivery_id = f.delivery_id and i.rule = f.rule
                where f.delivery_id = d.delivery_id and f.severity = 'critical' order by f.finding_id limit 1
            ) as complaint on true
            where d.dataset_id = any(%(datasets)s) and (
                d.state in ('received', 'failed', 'validated', 'held')
                or (d.state = 'loaded' and d.delivery_id in (select t.delivery_id from ops.delivery_to_build as t))
                or (d.state in ('quarantined', 'withdrawn') and not exists (
                    select from ops.delivery as other
                    where other.dataset_id = d.dataset_id and other.sender_code is not distinct from d.sender_code
                        and other.state in ('loaded', 'held', 'validated') and other.periods && d.periods
                ))
            )
            order by d.delivery_id
            """,
            {"datasets": datasets},
        ).fetchall()
    found = [row for row in rows if _may_be_of(row, years)]
    sentences = [f"Delivery {row['delivery_id']} ({row['file_name']}) {_why(row)}" for row in found]
    sentences += [sentence for name in datasets for sentence in _unread(settings, name, years)]
    if len(sentences) > _SHOWN:
        return [
            *sentences[:_SHOWN],
            f"{len(sentences) - _SHOWN} more files do not count yet; see `teilhabe status`.",
        ]
    return sentences


def _unread(settings: Settings, dataset_id: str, years: Collection[int]) -> Iterator[str]:
    for file in waiting.in_inbox(settings, dataset_id):
        stated = period_end(file.period) if file.period else None
        if stated is None or stated.year in years:
            at = file.received_at or file.modified
            received = f", received {stamp(at)}," if at else ""
            yield f"{file.name}{received} lies in the inbox of {dataset_id} and was not read yet; `teilhabe run` takes it up."


def _may_be_of(row: Row, years: Collection[int]) -> bool:
    """Whether a delivery has a period of these years; one nobody has read yet may have any."""
    ends = [period_end(code) for code in row["periods"] if code]
    if not ends:
        return row["state"] in ("received", "failed")
    return any(end is not None and end.year in years for end in ends)


def _why(row: Row) -> str:
    at = stamp(row["state_at"])
    if row["state"] == "held":
        return f"has that time, but the build could not take it in: {row['hold_reason']}"
    if row["state"] == "quarantined":
        return f"was refused: {row['complaint'] or 'see its findings.'}"
    if row["state"] == "withdrawn":
        return f"was withdrawn {at}: {row['withdrawal_reason'].rstrip('.')}."
    if row["state"] == "validated":
        if row["asked_until"] is not None:
            return f"is accepted and waits for a person's yes, until {stamp(row['asked_until'])}."
        return "is accepted and not loaded yet; `teilhabe run` loads it."
    if row["state"] == "loaded":
        return "is loaded and waits for the next build; `teilhabe run` builds."
    return "is not judged yet; `teilhabe run` judges it."
