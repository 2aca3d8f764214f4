"""Taking a loaded delivery back: from now on it does not count, what it said until now stays in the history.

One transaction: killed before its end, nothing has happened; done twice, the second time changes nothing. The numbers follow with
the next build, which is due from then on (``ops.delivery_to_build``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from teilhabe import ops
from teilhabe.codes.office_time import spell_moment
from teilhabe.codes.wording import spell_period
from teilhabe.decisions import acts
from teilhabe.errors import TeilhabeError
from teilhabe.ops import incident_answers

_UNDER_WAY = "Sie ist noch nicht geladen. Bitte warten, bis sie geladen oder zurückgewiesen ist."
_NOTHING_COUNTS: Mapping[ops.State, str] = {
    "received": _UNDER_WAY,
    "validated": _UNDER_WAY,
    "failed": _UNDER_WAY,
    "quarantined": "Sie wurde zurückgewiesen: Nichts aus ihr gilt, zurückzuziehen ist nichts.",
    "unpacked": "Sie ist ein Archiv. Bitte die einzelnen Dateien daraus zurückziehen.",
}


@dataclass(frozen=True)
class Withdrawal:
    """``counts_again``: period -> the delivery that counts for it from now on; None where there is none any more."""

    delivery_id: int
    dataset_id: str
    file_name: str
    at: datetime
    is_new: bool
    counts_again: dict[str, int | None]


def withdraw(conn: ops.Connection, delivery_id: int, *, reason: str, actor: str, now: datetime) -> Withdrawal:
    """Withdraw a delivery that is loaded, or held back by a build; the caller commits.

    A delivery withdrawn before stays as it is, with the reason given then.

    Raises:
        TeilhabeError: there is no such delivery, nothing of it counts, or no reason is given.
    """
    reason = acts.reasoned(reason, "Bitte begründen, warum die Lieferung zurückgezogen wird.")
    delivery = acts.subject(conn, delivery_id)
    is_new = delivery.state != "withdrawn"
    if is_new:
        _refuse_what_does_not_count(delivery)
        ops.set_state(conn, delivery_id, "withdrawn", withdrawal_reason=reason)
        ops.write_down(conn, delivery, "withdrawn", note=reason, actor=actor, now=now)
        _close_what_it_showed(conn, delivery_id, actor, now, reason)
    [[at]] = conn.execute("select state_at from ops.delivery where delivery_id = %s", (delivery_id,)).fetchall()
    return Withdrawal(delivery_id, delivery.dataset_id, delivery.file_name, at, is_new, counting_now(conn, delivery_id))


def _close_what_it_showed(conn: ops.Connection, delivery_id: int, actor: str, now: datetime, reason: str) -> None:
    """Nobody need mend a file that does not count; what the one that counts again shows as well stays open."""
    again = {number for number in counting_now(conn, delivery_id).values() if number}
    shown = conn.execute("select distinct rule from ops.finding where delivery_id = any(%s)", (list(again),)).fetchall()
    note = f"Lieferung {delivery_id} zurückgezogen: {reason}"
    incident_answers.dismiss(conn, delivery_id, actor, now, note, but={rule for (rule,) in shown})


def told(withdrawal: Withdrawal) -> str:
    """What has become of it, in one German sentence or two."""
    at = spell_moment(withdrawal.at)
    if not withdrawal.is_new:
        return f"Lieferung {withdrawal.delivery_id} ist schon zurückgezogen ({at})."
    name = f"Lieferung {withdrawal.delivery_id} („{withdrawal.file_name}“)"
    return " ".join([f"{name} ist zurückgezogen.", *consequences(withdrawal.counts_again)])


def consequences(counts_again: Mapping[str, int | None]) -> list[str]:
    """What counts instead, period by period, in German sentences."""
    again = [f"{spell_period(period)}: Lieferung {number}" for period, number in counts_again.items() if number]
    missing = [spell_period(period) for period, number in counts_again.items() if number is None]
    sentences = []
    if again:
        sentences.append(f"Es gilt wieder, was vorher kam ({_some(again)}).")
    if missing:
        sentences.append(f"Jetzt fehlt: {_some(missing)}.")
    return sentences


def _some(texts: list[str]) -> str:
    shown = texts if len(texts) <= 6 else [*texts[:5], f"… und {len(texts) - 5} weitere"]
    return ", ".join(shown)


def _refuse_what_does_not_count(delivery: ops.Delivery) -> None:
    name = f"Lieferung {delivery.delivery_id} („{delivery.file_name}“) kann nicht zurückgezogen werden"
    if delivery.state == "duplicate":
        first = f"Bitte Lieferung {delivery.duplicate_of} zurückziehen, die denselben Inhalt hat."
        raise TeilhabeError(f"{name}: Sie war schon bekannt. {first}")
    why = _NOTHING_COUNTS.get(delivery.state)
    if why is not None:
        raise TeilhabeError(f"{name}: {why}")


def counting_now(conn: ops.Connection, delivery_id: int) -> dict[str, int | None]:
    """For each of its periods the latest delivery of the same dataset and sender that counts."""
    rows = conn.execute(
        """
        select p.period_code, (
            select l.delivery_id from ops.delivery as l
            where l.dataset_id = d.dataset_id and l.sender_code is not distinct from d.sender_code
                and l.state = 'loaded' and l.periods @> array[p.period_code]
            order by l.received_at desc, l.delivery_id desc limit 1
        )
        from ops.delivery as d cross join lateral unnest(d.periods) as p (period_code)
        where d.delivery_id = %s order by p.period_code
        """,
        (delivery_id,),
    )
    return dict(rows.fetchall())
