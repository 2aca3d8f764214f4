"""What is not kept: bytes of files about persons, of deliveries whose time is over, of deliveries somebody erased.

A tombstone is written in the transaction that decides so, together with what is taken out of the tables. The bytes go
afterwards: a process that is killed in between leaves a tombstone without ``removed_at``, which every later run takes up. Bytes
that another delivery needs stay until the last of them has a tombstone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import psycopg

from teilhabe import landing, ops
from teilhabe.codes import wording
from teilhabe.errors import TeilhabeError
from teilhabe.landing.passing_bytes import passing_folder
from teilhabe.settings import Settings

log = logging.getLogger(__name__)

Kind = Literal["persons", "expired", "erased"]

RULE = "teilhabe"
"""The actor of a tombstone that no person ordered."""

_PERSONS = "Sie enthält anscheinend Angaben zu einzelnen Personen; solche Dateien werden nicht aufbewahrt."
_ARCHIVE = "select pg_advisory_xact_lock{}(hashtext('teilhabe.archive'))"


@dataclass(frozen=True)
class Tombstone:
    """That the bytes of a delivery are not kept, and why; ``removed_at`` is None while they still lie in the archive."""

    delivery_id: int
    kind: Kind
    at: datetime
    actor: str
    reason: str
    removed_at: datetime | None


def of_delivery(conn: ops.Connection, delivery_id: int) -> Tombstone | None:
    """The tombstone of a delivery, where it has one."""
    row = conn.execute(
        "select delivery_id, kind, at, actor, reason, removed_at from ops.tombstone where delivery_id = %s",
        (delivery_id,),
    ).fetchone()
    return Tombstone(*row) if row else None


def needs_bytes(conn: ops.Connection) -> None:
    """Until this transaction ends nobody removes bytes: whoever has put some into the archive records what needs them."""
    conn.execute(_ARCHIVE.format("_shared").encode())


def refuse_persons(conn: ops.Connection, delivery: ops.Delivery, now: datetime) -> None:
    """A refused file about single persons is not kept; its hash, size and verdict are. The caller commits, then sweeps."""
    mark(conn, delivery.delivery_id, "persons", reason=_PERSONS, actor=RULE, now=now)


def mark(conn: ops.Connection, delivery_id: int, kind: Kind, *, reason: str, actor: str, now: datetime) -> list[int]:
    """Write tombstones for a delivery and all that is the same bytes or holds them; returns whose bytes go.

    That is every later arrival of the same bytes it is the first of, and the archive (zip) it came in. Where the file may
    not be known any more, its names go at once. The caller commits, then calls ``sweep``.
    """
    numbers = [delivery_id] if kind == "expired" else copies(conn, delivery_id)
    for number in numbers:
        conn.execute(
            """
            insert into ops.tombstone (delivery_id, kind, dataset_id, sha256, size_bytes, at, actor, reason)
            select delivery_id, %s, dataset_id, sha256, size_bytes, %s, %s, %s from ops.delivery where delivery_id = %s
            on conflict (delivery_id) do update
                set kind = excluded.kind, at = excluded.at, actor = excluded.actor, reason = excluded.reason, removed_at = null
                where excluded.kind = 'erased' and ops.tombstone.kind <> 'erased'
            """,
            (kind, now, actor, reason, number),
        )
        if kind != "expired":
            _forget_names(conn, number)
    return numbers


def follow_first(conn: ops.Connection, delivery: ops.Delivery, now: datetime) -> bool:
    """Bytes that came again although they were not kept are not kept now either; whether that is so. The caller commits."""
    if delivery.duplicate_of is None:
        return False
    first = of_delivery(conn, delivery.duplicate_of)
    if first is None or first.kind == "expired":
        return False
    mark(conn, delivery.delivery_id, first.kind, reason=first.reason, actor=first.actor, now=now)
    return True


def sweep(settings: Settings, conn: ops.Connection) -> int:
    """Remove the bytes tombstones speak of; returns how many objects went. Commits. What fails is left for the next time."""
    waiting = conn.execute(
        "select t.delivery_id, t.sha256, t.kind, d.manifest_uri from ops.tombstone as t"
        " inner join ops.delivery as d using (delivery_id) where t.removed_at is null order by 1"
    ).fetchall()
    conn.commit()
    removed = 0
    store = landing.Archive(settings.archive_url)
    for delivery_id, sha256, kind, manifest_uri in waiting:
        try:
            with conn.transaction():
                # Nobody is about to record a delivery whose bytes were found here.
                conn.execute(_ARCHIVE.format("").encode())
                if not needed_by(conn, sha256):
                    with passing_folder(settings) as folder:
                        for member in _of_container(conn, sha256):
                            store.keep_apart(member, folder)
                    removed += store.remove(sha256)
                if kind != "expired":
                    store.forget(manifest_uri)
                conn.execute(
                    "update ops.tombstone set removed_at = %s where delivery_id = %s", (datetime.now(UTC), delivery_id)
                )
        except (TeilhabeError, psycopg.Error) as error:
            log.error("delivery %s: its bytes are still in the archive (%s)", delivery_id, type(error).__name__)
    return removed


def copies(conn: ops.Connection, delivery_id: int) -> list[int]:
    """The delivery, what came again with its bytes, and the archive (zip) that holds it."""
    rows = conn.execute(
        """
        with recursive same (delivery_id) as (
            select %s::bigint
            union
            select d.delivery_id from same as s
            inner join ops.delivery as of_it on of_it.delivery_id = s.delivery_id
            inner join ops.delivery as d on d.duplicate_of = s.delivery_id or d.delivery_id = of_it.container_id
        )
        select delivery_id from same order by 1
        """,
        (delivery_id,),
    )
    return [number for (number,) in rows]


def needed_by(conn: ops.Connection, sha256: str) -> list[int]:
    """Deliveries of these bytes that have no tombstone."""
    rows = conn.execute(
        "select d.delivery_id from ops.delivery as d where d.sha256 = %s"
        " and not exists (select from ops.tombstone as t where t.delivery_id = d.delivery_id) order by 1",
        (sha256,),
    )
    return [number for (number,) in rows]


def _of_container(conn: ops.Connection, sha256: str) -> list[str]:
    """Bytes that came in this container and are still needed."""
    rows = conn.execute(
        "select distinct d.sha256 from ops.delivery as d inner join ops.delivery as c on c.delivery_id = d.container_id"
        " where c.sha256 = %s and d.sha256 <> c.sha256"
        " and not exists (select from ops.tombstone as t where t.delivery_id = d.delivery_id) order by 1",
        (sha256,),
    )
    return [member for (member,) in rows]


def gone(conn: ops.Connection) -> set[str]:
    """Bytes that must not be in the archive any more, by their SHA-256."""
    rows = conn.execute(
        "select sha256 from ops.tombstone group by sha256 having bool_and(removed_at is not null)"
        " except select d.sha256 from ops.delivery as d"
        " where not exists (select from ops.tombstone as t where t.delivery_id = d.delivery_id)"
    )
    return {sha256 for (sha256,) in rows}


def _forget_names(conn: ops.Connection, delivery_id: int) -> None:
    """The file's name may name a person. Its fingerprint at the source holds it, and must still be recognised there."""
    [[fingerprint]] = conn.execute(
        "select source_fingerprint from ops.delivery where delivery_id = %s for update", (delivery_id,)
    ).fetchall()
    if fingerprint and not fingerprint.startswith("sha256:"):
        bare = ops.unnamed(fingerprint)
        conn.execute("update ops.delivery set source_fingerprint = %s where delivery_id = %s", (bare, delivery_id))
        conn.execute(
            "update ops.desk_act set arrival = %s, file_name = %s where arrival = %s",
            (bare, wording.UNNAMED_FILE, fingerprint),
        )
    conn.execute("update ops.desk_act set file_name = %s where delivery_id = %s", (wording.UNNAMED_FILE, delivery_id))
    conn.execute("update ops.delivery set file_name = %s where delivery_id = %s", (wording.UNNAMED_FILE, delivery_id))
