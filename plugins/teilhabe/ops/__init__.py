"""The operational record of the warehouse, schema `ops`: what arrived, what happened to it, what the verdict was.

The tables are described in ``migrations/ops``, see ``teilhabe.ops.schema``. Nothing here decides; it records and answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg.rows import class_row, dict_row

from teilhabe.errors import EVIDENCE_LIMIT, EVIDENCE_SHOWN, Finding
from teilhabe.findings import saying

if TYPE_CHECKING:
    from teilhabe.contract.model import Contract

Connection = psycopg.Connection[Any]
State = Literal[
    "received", "validated", "loaded", "quarantined", "duplicate", "failed", "unpacked", "withdrawn", "held"
]
Step = Literal["fetch", "archive", "read", "validate", "load", "build", "publish"]
Status = Literal["ok", "refused", "duplicate", "failed"]

MOST_ATTEMPTS = 3
"""So often a delivery may take the process that judges or loads it with it."""

OVERTAKEN = "overtaken"
"""What a step says that changed nothing because another run was done with the delivery before it."""

UNFINISHED: tuple[State, ...] = ("received", "validated", "failed")


@dataclass(frozen=True)
class Delivery:
    """One file that arrived. Fields as in ``ops.delivery``."""

    delivery_id: int
    dataset_id: str
    file_name: str
    sha256: str
    size_bytes: int
    received_at: datetime
    received_from: str | None
    source: str
    period_stated: str | None
    archive_uri: str | None
    state: State
    duplicate_of: int | None
    rules_version: str | None
    layout: str | None
    period_inferred: str | None
    row_count: int | None
    sender_code: str | None
    container_id: int | None
    held_back_count: int = 0
    names_resolved: dict[str, str] | None = None
    attempts: int = 0


_DELIVERY_COLUMNS = ", ".join(Delivery.__dataclass_fields__)
_AWAITS_ANSWER = (
    "exists (select from ops.approval as a where a.delivery_id = d.delivery_id and a.answer is null"
    " and a.expires_at > clock_timestamp())"
)

TOO_LARGE = "file.too_large"
WAITS_FOR_REGISTER = "delivery.waits_for_register"
_AWAITS_REGISTER = (
    f"(exists (select from ops.finding as f where f.delivery_id = d.delivery_id and f.rule = '{WAITS_FOR_REGISTER}')"
    " and not exists (select from ops.delivery as r where r.dataset_id = 'register__municipalities' and r.state = 'loaded'))"
)


def register(
    conn: Connection,
    *,
    dataset_id: str,
    file_name: str,
    sha256: str,
    size_bytes: int,
    received_at: datetime,
    received_from: str | None,
    source: str,
    source_fingerprint: str | None,
    period_stated: str | None,
    archive_uri: str | None,
    manifest_uri: str,
    rules_version: str,
    sender_code: str | None = None,
    container_id: int | None = None,
    layout: str | None = None,
    by_own_clock: bool = False,
) -> Delivery:
    """Record an arrival and say whether its bytes are new for this dataset, this sender and the period stated with them.

    A sender that is not known may be any. The same bytes are a duplicate of an earlier delivery that is loaded, held or
    under way, and of one refused under the same rules: contract and suite may have been mended since. So is a container,
    unless a file of it was refused or withdrawn. What was withdrawn, or given up, may be handed in again.
    Idempotent on ``manifest_uri``: an arrival recorded before a crash is not recorded twice.
    """
    conn.execute("select pg_advisory_xact_lock(hashtext('teilhabe.register.' || %s))", (dataset_id,))
    known = _one(conn, "manifest_uri = %s", (manifest_uri,))
    if known is not None:
        return known
    twin = _one(
        conn,
        "dataset_id = %s and sha256 = %s and period_stated is not distinct from %s"
        " and coalesce(sender_code = %s, true)"
        " and (state in ('received', 'validated', 'loaded', 'held', 'failed')"
        f" or (state = 'quarantined' and rules_version = %s and attempts < {MOST_ATTEMPTS})"
        " or (state = 'unpacked' and not exists (select 1 from ops.delivery as taken_back"
        " where taken_back.container_id = delivery.delivery_id and taken_back.state = 'withdrawn')"
        " and (rules_version = %s or not exists (select 1 from ops.delivery as member"
        " where member.container_id = delivery.delivery_id and member.state = 'quarantined'))))",
        (dataset_id, sha256, period_stated, sender_code, rules_version, rules_version),
    )
    with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        cursor.execute(
            f"""
            insert into ops.delivery (dataset_id, file_name, sha256, size_bytes, received_at, received_from, source,
                source_fingerprint, period_stated, archive_uri, manifest_uri, rules_version, state, duplicate_of,
                sender_code, container_id, layout, by_own_clock)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            returning {_DELIVERY_COLUMNS}
            """,
            (
                dataset_id,
                file_name,
                sha256,
                size_bytes,
                received_at,
                received_from,
                source,
                source_fingerprint,
                period_stated,
                archive_uri,
                manifest_uri,
                rules_version,
                "duplicate" if twin else "received",
                twin.delivery_id if twin else None,
                sender_code,
                container_id,
                layout,
                by_own_clock,
            ),
        )
        delivery = cursor.fetchone()
    assert delivery is not None  # noqa: S101 - insert ... returning yields its row
    return delivery


def not_before(conn: Connection, dataset_id: str, at: datetime) -> datetime:
    """``at`` by our own clock, and not before what it has already said of this dataset: it may have been set back since."""
    row = conn.execute(
        "select greatest(%s, max(received_at) + interval '1 microsecond') from ops.delivery"
        " where dataset_id = %s and by_own_clock",
        (at, dataset_id),
    ).fetchone()
    return row[0] if row else at


def superseded_by(conn: Connection, delivery_id: int) -> int | None:
    """A loaded delivery of the same dataset with other bytes, known later: reloading would bring back an old version."""
    row = conn.execute(
        """
        select later.delivery_id from ops.delivery as later
        inner join ops.delivery as this on this.delivery_id = %s and this.dataset_id = later.dataset_id
        where later.state = 'loaded' and later.sha256 <> this.sha256 and later.received_at > this.received_at
        order by later.received_at limit 1
        """,
        (delivery_id,),
    ).fetchone()
    return row[0] if row else None


def delivery(conn: Connection, delivery_id: int, *, lock: bool = False) -> Delivery:
    """One delivery; ``lock`` holds its row until the transaction ends."""
    found = _one(conn, "delivery_id = %s", (delivery_id,), suffix="for update" if lock else "")
    if found is None:
        raise LookupError(delivery_id)
    return found


def lock_as_known(conn: Connection, known: Delivery) -> bool:
    """Hold the row of a delivery until the transaction ends; False when it is in another state than ``known`` meanwhile.

    Whoever has worked on it for minutes asks this before writing down anything: a process that was taken for dead may come to
    its end after another has done the same work and more.
    """
    return delivery(conn, known.delivery_id, lock=True).state == known.state


def unfinished(conn: Connection, dataset_id: str) -> list[Delivery]:
    """Deliveries that still have a way to go, oldest arrival first: also what a killed run left behind.

    One about which a person is being asked goes on when the answer is there or the time for it is over; one whose keys only a
    register can tell apart, when a register is there.
    """
    with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        cursor.execute(
            f"select {_DELIVERY_COLUMNS} from ops.delivery as d where dataset_id = %s and state = any(%s)"
            f" and not {_AWAITS_ANSWER} and not {_AWAITS_REGISTER} order by received_at, delivery_id",
            (dataset_id, list(UNFINISHED)),
        )
        return cursor.fetchall()


def unfinished_since(conn: Connection, delivery_id: int) -> datetime:
    """Since when a delivery waits for its verdict or to be loaded: since the first work on it, where there was any."""
    [[since]] = conn.execute(
        "select coalesce((select min(o.started_at) from ops.outcome as o where o.delivery_id = d.delivery_id), d.state_at)"
        " from ops.delivery as d where d.delivery_id = %s",
        (delivery_id,),
    ).fetchall()
    found: datetime = since
    return found


def under_way(conn: Connection) -> bool:
    """Whether a delivery is about to be judged or loaded without waiting for anybody."""
    [[found]] = conn.execute(
        "select exists (select from ops.delivery as d where state in ('received', 'validated')"
        f" and not {_AWAITS_ANSWER} and not {_AWAITS_REGISTER})"
    ).fetchall()
    return bool(found)


def ask_approval(conn: Connection, delivery_id: int, hours: int) -> None:
    """The delivery waits for a person's answer, at most so many hours. A delivery is asked about once."""
    conn.execute(
        "insert into ops.approval (delivery_id, expires_at) values (%s, clock_timestamp() + make_interval(hours => %s))"
        " on conflict do nothing",
        (delivery_id, hours),
    )


@dataclass(frozen=True)
class Question:
    """A delivery about which a person is to be asked, and until when."""

    delivery_id: int
    dataset_id: str
    file_name: str
    expires_at: datetime


def take_questions(conn: Connection, run_id: str) -> list[Question]:
    """Questions nobody has been asked yet are this run's from now on; also those it took before it was killed."""
    with conn.cursor(row_factory=class_row(Question)) as cursor:
        return cursor.execute(
            """
            with mine as (
                update ops.approval set run_id = %(run)s
                where answer is null and expires_at > clock_timestamp() and coalesce(run_id, %(run)s) = %(run)s
                returning delivery_id, expires_at
            )
            select m.delivery_id, d.dataset_id, d.file_name, m.expires_at
            from mine as m inner join ops.delivery as d using (delivery_id) order by m.delivery_id
            """,
            {"run": run_id},
        ).fetchall()


def answer(conn: Connection, delivery_id: int, *, publish: bool, actor: str) -> bool:
    """Record the answer; False when there was one already, or the delivery has gone on without it."""
    changed = conn.execute(
        """
        update ops.approval as a set answer = %s, answered_by = %s, answered_at = clock_timestamp()
        where a.delivery_id = %s and a.answer is null
            and exists (select from ops.delivery as d where d.delivery_id = a.delivery_id and d.state = 'validated')
        """,
        ("publish" if publish else "refuse", actor, delivery_id),
    ).rowcount
    return bool(changed)


def approval(conn: Connection, delivery_id: int) -> str | None:
    """``publish``, ``refuse``, ``accept_without_rows``, ``reject`` or, while nobody has answered, ``open``; None when nobody
    had to be asked.

    Silence after the time is over means ``publish``.
    """
    conn.execute(
        "update ops.approval set answer = 'publish', answered_by = 'teilhabe', answered_at = clock_timestamp()"
        " where delivery_id = %s and answer is null and expires_at <= clock_timestamp()",
        (delivery_id,),
    )
    row = conn.execute(
        "select coalesce(answer, 'open') from ops.approval where delivery_id = %s", (delivery_id,)
    ).fetchone()
    return row[0] if row else None


def write_down(conn: Connection, delivery: Delivery, action: str, *, note: str, actor: str, now: datetime) -> None:
    """What a person did to a delivery, for whoever asks later."""
    conn.execute(
        """
        insert into ops.desk_act (at, actor, action, dataset_id, sender_code, delivery_id, file_name, size_bytes, sha256, note)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            now,
            actor,
            action,
            delivery.dataset_id,
            delivery.sender_code,
            delivery.delivery_id,
            delivery.file_name,
            delivery.size_bytes,
            delivery.sha256,
            note,
        ),
    )


def begin_attempt(conn: Connection, delivery_id: int) -> None:
    """Note that a process begins on a delivery; ``end_attempt`` says that it came to an end, whichever."""
    conn.execute("update ops.delivery set attempts = attempts + 1 where delivery_id = %s", (delivery_id,))


def end_attempt(conn: Connection, delivery_id: int) -> None:
    conn.execute("update ops.delivery set attempts = 0 where delivery_id = %s and attempts > 0", (delivery_id,))


def set_state(conn: Connection, delivery_id: int, state: State, **columns: Any) -> None:
    """Move a delivery on; further columns by name (``layout``, ``row_count``, ``periods``, ``sender_code`` ...).

    Whatever is judged again will be followed again.
    """
    sets = "".join(f", {name} = %({name})s" for name in columns)
    if state == "loaded":
        sets += ", loaded_at = clock_timestamp()"
    if state in UNFINISHED:
        sets += ", followed_at = null"
    conn.execute(
        f"update ops.delivery set state = %(state)s, state_at = clock_timestamp(){sets} where delivery_id = %(id)s",
        {"state": state, "id": delivery_id, **columns},
    )


class Seen(set[str]):
    """Fingerprints; those of deliveries whose names are not kept stand in it as ``unnamed`` leaves them."""

    def __contains__(self, fingerprint: object) -> bool:
        return super().__contains__(fingerprint) or (
            isinstance(fingerprint, str) and super().__contains__(unnamed(fingerprint))
        )


def unnamed(fingerprint: str) -> str:
    """A fingerprint of a file at its source without the file's name, which may be a part of it."""
    return f"sha256:{hashlib.sha256(fingerprint.encode()).hexdigest()}"


def seen_fingerprints(conn: Connection, dataset_id: str, source: str, limit: int | None = None) -> Seen:
    """Versions of remote files that have been fetched already, or were too large: for good, or for a ``limit`` as it is now."""
    rows = conn.execute(
        "select distinct source_fingerprint from ops.delivery"
        " where dataset_id = %s and source = %s and source_fingerprint is not null"
        " and (archive_uri is not null or coalesce(size_bytes > %s, true) or duplicate_of is not null"
        " or not exists (select from ops.finding as f where f.delivery_id = delivery.delivery_id and f.rule = %s))",
        (dataset_id, source, limit, TOO_LARGE),
    )
    return Seen(row[0] for row in rows)


def record_findings(conn: Connection, delivery_id: int, findings: Iterable[Finding]) -> None:
    """Replace the verdict of a delivery: judging again must not double its findings."""
    conn.execute("delete from ops.finding where delivery_id = %s", (delivery_id,))
    room = EVIDENCE_LIMIT
    for finding in findings:
        row = conn.execute(
            """
            insert into ops.finding (delivery_id, severity, rule, message, sheet, row_number, column_name, found, expected,
                row_count, what, held_back)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning finding_id
            """,
            (
                delivery_id,
                finding.severity,
                finding.rule,
                finding.message,
                finding.sheet,
                finding.row,
                finding.column,
                finding.found,
                finding.expected,
                finding.row_count,
                finding.what,
                finding.held_back,
            ),
        ).fetchone()
        assert row is not None  # noqa: S101
        kept = finding.evidence[: max(room, EVIDENCE_SHOWN)]
        room -= len(kept)
        columns = "row_number, column_name, found, expected, column_number, sheet, subject"
        copy = f"copy ops.evidence (finding_id, position, {columns}) from stdin".encode()
        with conn.cursor() as cursor, cursor.copy(copy) as out:
            for n, one in enumerate(kept, start=1):
                out.write_row((row[0], n, *astuple(one)))


def record_datasets(conn: Connection, contracts: Iterable[Contract]) -> None:
    """Bring ``ops.dataset`` up to what the contracts say: all of them, for a dataset not among them has none any more."""
    rows = [
        {
            "dataset_id": contract.dataset_id,
            "agency_code": contract.agency,
            "office_name": contract.office,
            "title_de": contract.title_de,
            "purpose_en": contract.purpose,
            "limitations_en": contract.limitations,
            "contract_version": contract.version,
            "contract_status": contract.status,
            "licence": contract.licence,
            "licence_url": contract.licence_url,
            "attribution": contract.attribution,
            "frequency": contract.calendar.frequency,
            "reference": contract.calendar.reference,
            "first_period_code": contract.calendar.first_period,
            "lag_days": contract.calendar.lag_days,
            "grace_days": contract.calendar.grace_days,
            "secrecy_method": contract.secrecy_method,
            "number_deviation": contract.number_deviation,
            "symbol_regime": contract.symbol_regime,
            "territory_levels": list(contract.levels),
            "layouts": [layout.name for layout in contract.layouts],
            "is_active": True,
        }
        for contract in contracts
    ]
    conn.execute(
        "update ops.dataset set is_active = false where is_active and dataset_id <> all(%s)",
        ([row["dataset_id"] for row in rows],),
    )
    names = list(rows[0]) if rows else []
    columns = ", ".join(names)
    with conn.cursor() as cursor:
        cursor.executemany(
            f"""
            insert into ops.dataset as known ({columns}) values ({", ".join(f"%({name})s" for name in names)})
            on conflict (dataset_id) do update set ({columns}) = ({", ".join(f"excluded.{name}" for name in names)})
            where known is distinct from excluded
            """,
            rows,
        )


@dataclass
class Outcome:
    """How a step ended; the body of ``step`` may set ``status``, ``rows`` and ``message``, and ``is_routine`` where nothing came
    of it that anybody would look for: then it shares its row with those of the day before it."""

    status: Status = "ok"
    rows: int | None = None
    message: str | None = None
    is_routine: bool = False


@contextmanager
def step(
    conn: Connection,
    name: Step,
    *,
    dataset_id: str | None = None,
    delivery_id: int | None = None,
    run_id: str | None = None,
) -> Iterator[Outcome]:
    """Write one outcome row for the body, whatever happens in it. The body must commit or roll back its own work.

    Only the type of an unforeseen error is recorded: its text may quote a file's content.
    """
    outcome = Outcome()
    started = datetime.now(UTC)
    try:
        yield outcome
    except BaseException as error:
        outcome.status = "failed"
        outcome.message = outcome.message or type(error).__name__
        raise
    finally:
        if conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            conn.rollback()
        if not (outcome.is_routine and outcome.status == "ok" and _is_one_more(conn, name, dataset_id, started)):
            conn.execute(
                "insert into ops.outcome (step, status, dataset_id, delivery_id, run_id, started_at, row_count, message)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s)",
                (name, outcome.status, dataset_id, delivery_id, run_id, started, outcome.rows, outcome.message),
            )
        conn.commit()


def _is_one_more(conn: Connection, name: Step, dataset_id: str | None, started: datetime) -> bool:
    """Count a step that found nothing to the one before it, if that found nothing either and was on the same day."""
    return bool(
        conn.execute(
            """
            update ops.outcome set finished_at = clock_timestamp(), times = times + 1
            where outcome_id = (
                select max(outcome_id) from ops.outcome where dataset_id = %(dataset)s and step = %(step)s
            ) and status = 'ok' and row_count = 0 and message is null
                and (started_at at time zone ops.office_time_zone())::date
                = (%(started)s::timestamptz at time zone ops.office_time_zone())::date
            """,
            {"dataset": dataset_id, "step": name, "started": started},
        ).rowcount
    )


def record_outcome(
    conn: Connection,
    name: Step,
    *,
    started: datetime,
    finished: datetime,
    rows: int | None = None,
    message: str | None = None,
    run_id: str | None = None,
) -> None:
    """An outcome row for a part of a step that went well, with the times it measured itself."""
    conn.execute(
        "insert into ops.outcome (step, status, run_id, started_at, finished_at, row_count, message)"
        " values (%s, 'ok', %s, %s, %s, %s, %s)",
        (name, run_id, started, finished, rows, message),
    )


def deliveries_to_build(conn: Connection) -> list[int]:
    """Deliveries no successful build has taken in yet, and published ones that no longer count and are to be taken out."""
    return [row[0] for row in conn.execute("select delivery_id from ops.delivery_to_build order by delivery_id")]


def start_build(
    conn: Connection, delivery_ids: Sequence[int], *, code_version: str, run_id: str | None, force: bool = False
) -> int:
    """Open a build that takes in ``delivery_ids``, or out what no longer counts; one that was killed is closed as failed.

    It is a full one when ``force``d or when the last successful build was made by other code.
    """
    conn.execute(
        "update ops.build set state = 'failed', finished_at = now(), message = 'killed' where state = 'running'"
    )
    row = conn.execute(
        """
        insert into ops.build (run_id, code_version, is_full)
        select %(run)s, %(code)s, %(force)s or coalesce(
            (select last.code_version <> %(code)s from ops.build as last where last.state = 'succeeded'
             order by last.build_id desc limit 1), false)
        returning build_id
        """,
        {"run": run_id, "code": code_version, "force": force},
    ).fetchone()
    assert row is not None  # noqa: S101
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into ops.build_delivery (build_id, delivery_id, takes_out)"
            " select %s, delivery_id, state <> 'loaded' from ops.delivery where delivery_id = %s",
            [(row[0], i) for i in delivery_ids],
        )
    return int(row[0])


def is_full_build(conn: Connection, build_id: int) -> bool:
    """Whether everything is to be computed anew."""
    row = conn.execute("select is_full from ops.build where build_id = %s", (build_id,)).fetchone()
    return bool(row and row[0])


def light_build(conn: Connection, build_id: int) -> list[str] | None:
    """Datasets of the deliveries a build takes in or out; None when it is a full one, or none has succeeded yet."""
    row = conn.execute("select exists (select 1 from ops.build where state = 'succeeded')").fetchone()
    if is_full_build(conn, build_id) or not (row and row[0]):
        return None
    rows = conn.execute(
        "select distinct d.dataset_id from ops.build_delivery as b inner join ops.delivery as d using (delivery_id)"
        " where b.build_id = %s order by 1",
        (build_id,),
    )
    return [dataset_id for (dataset_id,) in rows]


def taken_in_by(conn: Connection, build_id: int) -> list[int]:
    """Deliveries a build takes in for the first time, those held back since left out."""
    rows = conn.execute(
        "select b.delivery_id from ops.build_delivery as b inner join ops.delivery as d using (delivery_id)"
        " where b.build_id = %s and not b.takes_out and d.state = 'loaded' order by b.delivery_id",
        (build_id,),
    )
    return [delivery_id for (delivery_id,) in rows]


def takes_out(conn: Connection, build_id: int, delivery_id: int) -> None:
    """A delivery that an earlier build took in is left out by this one."""
    conn.execute(
        "insert into ops.build_delivery (build_id, delivery_id, takes_out) values (%s, %s, true)"
        " on conflict (build_id, delivery_id) do update set takes_out = true",
        (build_id, delivery_id),
    )


def held_by(conn: Connection, build_id: int) -> list[tuple[int, str, str, str]]:
    """What a build held back: delivery, dataset, file and reason."""
    return conn.execute(
        "select delivery_id, dataset_id, file_name, coalesce(hold_reason, '') from ops.delivery"
        " where state = 'held' and held_in_build = %s order by delivery_id",
        (build_id,),
    ).fetchall()


def finish_build(conn: Connection, build_id: int, *, succeeded: bool, message: str | None) -> None:
    """Close a build; only a successful one counts its deliveries as built - those held back while it ran are none of them."""
    if succeeded:
        conn.execute(
            "delete from ops.build_delivery as taken using ops.delivery as d where taken.build_id = %s"
            " and not taken.takes_out and d.delivery_id = taken.delivery_id and d.state = 'held'",
            (build_id,),
        )
    conn.execute(
        "update ops.build set state = %s, finished_at = clock_timestamp(), message = %s where build_id = %s",
        ("succeeded" if succeeded else "failed", message, build_id),
    )


def findings(conn: Connection, delivery_id: int) -> list[Finding]:
    """The verdict of a delivery, most severe first, each finding with the first ``EVIDENCE_SHOWN`` rows of its evidence."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select * from ops.finding where delivery_id = %s"
            " order by array_position(array['critical', 'warning', 'info'], severity), finding_id",
            (delivery_id,),
        ).fetchall()
        return [
            saying.from_row(
                row,
                cursor.execute(
                    "select * from ops.evidence where finding_id = %s and position <= %s order by position",
                    (row["finding_id"], EVIDENCE_SHOWN),
                ).fetchall(),
            )
            for row in rows
        ]


def _one(conn: Connection, where: str, parameters: Sequence[Any], suffix: str = "") -> Delivery | None:
    with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        cursor.execute(
            f"select {_DELIVERY_COLUMNS} from ops.delivery where {where} order by delivery_id limit 1 {suffix}",
            parameters,
        )
        return cursor.fetchone()
