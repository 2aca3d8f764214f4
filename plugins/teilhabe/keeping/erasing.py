"""Erasing a delivery: its bytes, rows, evidence, names and what messages quote of it. A tombstone says that it was there.

What counts follows as after a withdrawal, and its history goes as well. Published releases stay: they hold numbers of
territories, which were public. A build is waited for, because it reads the rows that go.

One transaction; the bytes go after it, and again if that was interrupted (``removing``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from psycopg import sql

from teilhabe import landing, ops
from teilhabe.codes import wording
from teilhabe.codes.office_time import spell_moment
from teilhabe.decisions import acts, withdrawing
from teilhabe.keeping import removing
from teilhabe.keeping.holding import holding
from teilhabe.settings import Settings
from teilhabe.system import locks

GONE = "(gelöscht)"
_WHOLE_TEXT = ("verdict", "repeat", "closing")
"""Messages about one file, or quoting it; of others only the names go."""


@dataclass(frozen=True)
class Erasure:
    """What was erased: ``deliveries`` with it because they are the same bytes, hold it or came out of it.

    ``needed_by``: other deliveries of the same bytes, for which these stay. ``backups`` still hold it. ``counts_again``: see
    ``withdrawing.Withdrawal``.
    """

    delivery_id: int
    dataset_id: str
    deliveries: list[int]
    is_new: bool
    at: datetime
    needed_by: list[int]
    backups: list[str]
    counts_again: dict[str, int | None]
    was_counted: bool


def erase(
    settings: Settings, conn: ops.Connection, delivery_id: int, *, reason: str, actor: str, now: datetime
) -> Erasure:
    """Erase a delivery whatever became of it; commits. One erased before stays as it is.

    Raises:
        TeilhabeError: there is no such delivery, or no reason is given.
    """
    reason = acts.reasoned(reason, "Bitte begründen, warum die Lieferung gelöscht wird.")
    locks.wait_alone(conn, "teilhabe.build")
    delivery = acts.subject(conn, delivery_id)
    known = removing.of_delivery(conn, delivery_id)
    is_new = known is None or known.kind != "erased"
    was_counted = delivery.state in ("loaded", "held")
    asked = [delivery_id, *_members(conn, delivery_id)]
    numbers = sorted({number for one in asked for number in removing.copies(conn, one)}) if is_new else [delivery_id]
    if is_new:
        found = [ops.delivery(conn, number) for number in numbers]
        for one in asked:
            removing.mark(conn, one, "erased", reason=reason, actor=actor, now=now)
        ops.write_down(conn, ops.delivery(conn, delivery_id), "erased", note=reason, actor=actor, now=now)
        for goes in found:
            # An archive goes only because it holds the file; the others that came in it stay.
            if goes.delivery_id == delivery_id or goes.state != "unpacked":
                _erase_one(settings, conn, goes, reason, now)
    counts_again = withdrawing.counting_now(conn, delivery_id) if was_counted and is_new else {}
    conn.commit()
    removing.sweep(settings, conn)
    return Erasure(
        delivery_id,
        delivery.dataset_id,
        numbers,
        is_new,
        now if known is None or is_new else known.at,
        removing.needed_by(conn, delivery.sha256),
        holding(conn, delivery.sha256, delivery.received_at),
        counts_again,
        was_counted,
    )


def told(erasure: Erasure) -> str:
    """What has become of it, in German sentences."""
    if not erasure.is_new:
        sentences = [f"Lieferung {erasure.delivery_id} ist schon gelöscht ({spell_moment(erasure.at)})."]
    else:
        others = [str(number) for number in erasure.deliveries if number != erasure.delivery_id]
        with_it = f" Mit ihr, als dieselben Bytes oder als ihr Archiv: {', '.join(others)}." if others else ""
        sentences = [f"Lieferung {erasure.delivery_id} ist gelöscht; festgehalten ist nur, dass es sie gab.{with_it}"]
        sentences += withdrawing.consequences(erasure.counts_again)
    if erasure.needed_by:
        numbers = ", ".join(map(str, erasure.needed_by))
        sentences.append(f"Die Bytes bleiben im Archiv, weil eine andere Lieferung dieselben hat ({numbers}).")
    if erasure.backups:
        places = "; ".join(erasure.backups)
        sentences.append(
            f"In diesen Sicherungen steht sie noch: {places}. Das nächste `teilhabe backup` dorthin nimmt die Datei aus deren "
            "Archiv; die Sätze (Abzüge der Datenbank) enthalten ihre Zeilen, bis sie gelöscht werden."
        )
    else:
        sentences.append("Es ist keine Sicherung verzeichnet, die sie enthält.")
    return " ".join(sentences)


def _members(conn: ops.Connection, container_id: int) -> list[int]:
    rows = conn.execute("select delivery_id from ops.delivery where container_id = %s order by 1", (container_id,))
    return [number for (number,) in rows]


def _erase_one(settings: Settings, conn: ops.Connection, delivery: ops.Delivery, reason: str, now: datetime) -> None:
    number = delivery.delivery_id
    table = sql.Identifier("raw", delivery.dataset_id)
    if conn.execute("select to_regclass(%s)", (table.as_string(conn),)).fetchall() != [(None,)]:
        conn.execute(sql.SQL("delete from {} where _delivery_id = %s").format(table), (number,))
    if delivery.state in ("loaded", "held"):
        ops.set_state(conn, number, "withdrawn", withdrawal_reason=reason)
    elif delivery.state in ops.UNFINISHED:
        ops.set_state(conn, number, "quarantined")
    conn.execute("delete from ops.excluded_row where delivery_id = %s", (number,))
    conn.execute("delete from ops.approval where delivery_id = %s and answer is null", (number,))
    # Which rules spoke stays: the verdict. What they quoted goes.
    conn.execute(
        "delete from ops.evidence where finding_id in (select finding_id from ops.finding where delivery_id = %s)",
        (number,),
    )
    conn.execute(
        "update ops.finding set message = %s, what = null, found = null, expected = null, sheet = null, column_name = null,"
        " row_number = null where delivery_id = %s",
        (GONE, number),
    )
    conn.execute("update ops.incident set message = %s where delivery_id = %s", (GONE, number))
    conn.execute(
        "update ops.delivery set erased_at = %s, received_from = null, period_stated = null, names_resolved = null, layout = null,"
        " hold_reason = case when hold_reason is null then null else %s end where delivery_id = %s",
        (now, GONE, number),
    )
    _erase_messages(settings, conn, number, now, delivery.file_name)


def _erase_messages(settings: Settings, conn: ops.Connection, number: int, now: datetime, file_name: str) -> None:
    """What was said of it: of a message about this file all but that there was one, of others the name."""
    rows = conn.execute(
        """
        select m.message_id, m.kind, m.state, m.attachments from ops.message as m
        where exists (select from ops.message_delivery as d where d.message_id = m.message_id and d.delivery_id = %(id)s)
            or exists (
                select from ops.message_incident as i inner join ops.incident as about using (incident_id)
                where i.message_id = m.message_id and about.delivery_id = %(id)s
            )
        for update of m
        """,
        {"id": number},
    ).fetchall()
    for message_id, kind, state, attachments in rows:
        if kind in _WHOLE_TEXT:
            text = f"Der Text dieser Nachricht wurde mit Lieferung {number} gelöscht ({spell_moment(now)})."
            conn.execute(
                "update ops.message set subject = %s, body_text = %s, body_html = %s, attachments = '[]' where message_id = %s",
                (GONE, text, f"<p>{text}</p>", message_id),
            )
            remove_attachments(settings, conn, attachments)
        elif file_name and file_name != wording.UNNAMED_FILE:
            name = file_name.rsplit("/", 1)[-1]
            conn.execute(
                "update ops.message set subject = replace(subject, %(name)s, %(gone)s), body_text = replace(body_text, %(name)s, %(gone)s),"
                " body_html = replace(body_html, %(name)s, %(gone)s) where message_id = %(id)s",
                {"name": name, "gone": wording.UNNAMED_FILE, "id": message_id},
            )
        if state in ("waiting", "sending") and kind in _WHOLE_TEXT:
            conn.execute(
                "update ops.message set state = 'failed', last_error = %s where message_id = %s",
                ("the delivery it speaks of was erased", message_id),
            )


def remove_attachments(settings: Settings, conn: ops.Connection, attachments: list[dict[str, str]]) -> int:
    """Remove workbooks of messages from the archive, unless another message or a delivery has the same; how many went."""
    store = landing.Archive(settings.archive_url)
    removed = 0
    for one in attachments:
        sha256 = Path(one["uri"]).name
        [[needed]] = conn.execute(
            "select exists (select from ops.message as m, jsonb_array_elements(m.attachments) as a where a ->> 'uri' = %s)"
            " or exists (select from ops.delivery where sha256 = %s)",
            (one["uri"], sha256),
        ).fetchall()
        if not needed:
            removed += store.remove(sha256)
    return removed


def again(settings: Settings, conn: ops.Connection, stones: list[dict[str, str]]) -> list[int]:
    """Take out once more what had been taken out since a backup that was restored; returns which deliveries."""
    done = []
    for stone in stones:
        number, at = int(stone["delivery_id"]), datetime.fromisoformat(stone["at"])
        found = conn.execute(
            "select 1 from ops.delivery as d where d.delivery_id = %s and d.sha256 = %s"
            " and not exists (select from ops.tombstone as t where t.delivery_id = d.delivery_id and t.kind = %s)",
            (number, stone["sha256"], stone["kind"]),
        ).fetchall()
        if not found:
            continue
        if stone["kind"] == "erased":
            erase(settings, conn, number, reason=stone["reason"], actor=stone["actor"], now=at)
        else:
            removing.mark(conn, number, "persons", reason=stone["reason"], actor=stone["actor"], now=at)
        done.append(number)
    conn.commit()
    removing.sweep(settings, conn)
    return done
