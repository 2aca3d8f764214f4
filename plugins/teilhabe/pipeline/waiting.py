"""What waits: at the sources, in the inbox, and for the register."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from teilhabe import landing, ops
from teilhabe.codes.office_time import spell_moment
from teilhabe.contract.lookup import dataset_ids
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import SUFFIX
from teilhabe.contract.senders import known_addresses
from teilhabe.errors import TeilhabeError
from teilhabe.pipeline.failing import log, raise_first
from teilhabe.raw import loading
from teilhabe.settings import Settings, number_from_environment
from teilhabe.system.discretion import in_logs

REGISTER_AGENCY = "register"
"""Datasets of this agency define the keys all others are checked against, so they go first."""

Credentials = Callable[[str], landing.Credentials]


@dataclass(frozen=True)
class Waiting:
    """A file a poll found, ready to be fetched."""

    server: str
    file: landing.RemoteFile

    def to_json(self) -> dict[str, Any]:
        times = {name: getattr(self.file, name) for name in ("modified", "received_at")}
        return {"server": self.server, "file": asdict(self.file) | {k: v and v.isoformat() for k, v in times.items()}}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Waiting:
        times = {k: raw["file"][k] and datetime.fromisoformat(raw["file"][k]) for k in ("modified", "received_at")}
        return cls(raw["server"], landing.RemoteFile(**{**raw["file"], **times}))


def poll(
    settings: Settings, contract: Contract, credentials: Credentials, errors: list[TeilhabeError] | None = None
) -> list[Waiting]:
    """Files that may be fetched now, in the order they were handed in.

    A server that does not answer does not hide what waits at the others: its error goes to ``errors`` or, where the caller
    gives no such list, is raised when all were asked.
    """
    waiting: list[Waiting] = []
    left: list[TeilhabeError] = []
    with loading.session(settings) as conn:
        for server in contract.servers:
            try:
                waiting += _poll_one(conn, settings, contract, server, credentials)
            except TeilhabeError as error:
                log.warning("%s: %s", contract.dataset_id, in_logs(error))
                left.append(error)
    if errors is None:
        raise_first(left)
    else:
        errors += left
    return sorted(waiting, key=lambda w: (w.file.received_at or datetime.now(UTC), w.file.key))


def _poll_one(
    conn: ops.Connection, settings: Settings, contract: Contract, server: Any, credentials: Credentials
) -> list[Waiting]:
    from teilhabe.messages import alerts, mailroom

    with ops.step(conn, "fetch", dataset_id=contract.dataset_id) as outcome:
        source = landing.open_source(server, settings, credentials, contract.dataset_id, known_addresses(contract))
        seen = ops.seen_fingerprints(conn, contract.dataset_id, server.server, landing.max_file_bytes())
        conn.commit()  # a source may take its time
        found = landing.settled(source, seen=seen)
        if isinstance(source, landing.MailSource):
            mailroom.read(conn, settings, credentials, source, datetime.now(UTC))
            if not found:
                source.let_go(seen)  # what a run that was killed has archived
        if source.problems:
            alerts.tell_problems(
                conn, settings, credentials, contract, server.server, source.problems, datetime.now(UTC)
            )
        outcome.rows = len(found)
        outcome.is_routine = not found and not source.problems
    return [Waiting(server.server, file) for file in found]


def unfinished(settings: Settings, dataset_id: str) -> int:
    """Deliveries of the dataset that still have a way to go."""
    with loading.session(settings) as conn:
        return len(ops.unfinished(conn, dataset_id))


def refused(settings: Settings, dataset_id: str, run_id: str) -> list[str]:
    """One sentence per delivery the run refused, whichever attempt it was: its number and the rule, nothing of the file.

    The log of a task has more readers than the desk, which shows names and values to those who may see them.
    """
    with loading.session(settings) as conn:
        rows = conn.execute(
            """
            select distinct on (o.delivery_id) o.delivery_id, f.rule
            from ops.outcome as o
            left join ops.finding as f on f.delivery_id = o.delivery_id and f.severity = 'critical'
            where o.dataset_id = %s and o.run_id = %s and o.status = 'refused' and o.delivery_id is not null
            order by o.delivery_id, f.finding_id
            """,
            (dataset_id, run_id),
        ).fetchall()
    return [
        f"Lieferung {number} zurückgewiesen ({rule or 'ohne Befund'}), siehe /desk/deliveries/{number}"
        for number, rule in rows
    ]


def register_waits(settings: Settings, now: datetime | None = None) -> bool:
    """Whether an edition of the register is on its way: then other datasets wait, their keys depend on it.

    Not for ever: one that has been waited for longer than ``register_grace`` keeps nobody, see ``register_stuck``.
    """
    since = _register_since(settings)
    return since is not None and (now or datetime.now(UTC)) - since <= register_grace()


def register_stuck(settings: Settings, now: datetime) -> str | None:
    """A sentence for the operators when an edition of the register has been waited for too long."""
    since = _register_since(settings)
    if since is None or now - since <= register_grace():
        return None
    return (
        f"Seit dem {spell_moment(since)} wartet eine Lieferung des Gemeindeverzeichnisses und kommt nicht weiter. So lange haben "
        "die übrigen Lieferungen gewartet; nun werden ihre Schlüssel gegen das zuletzt geladene Verzeichnis geprüft. Bitte "
        "nachsehen (teilhabe status --deliveries) und die Datei berichtigen, zurücknehmen oder aus dem Eingang nehmen."
    )


def register_grace() -> timedelta:
    """How long other datasets wait for an edition of the register: TEILHABE_REGISTER_WAIT_HOURS."""
    return timedelta(hours=number_from_environment("TEILHABE_REGISTER_WAIT_HOURS", 6))


def _register_since(settings: Settings) -> datetime | None:
    """Since when the oldest edition of the register waits; None where none does."""
    datasets = [
        f"{REGISTER_AGENCY}__{path.name.removesuffix(SUFFIX)}"
        for path in (settings.agencies / REGISTER_AGENCY).glob(f"*{SUFFIX}")
    ]
    moments: list[datetime] = []
    with loading.session(settings) as conn:
        for name in datasets:
            moments += [ops.unfinished_since(conn, one.delivery_id) for one in ops.unfinished(conn, name)]
            moments += [file.modified or datetime.now(UTC) for file in in_inbox(settings, name)]
    return min(moments, default=None)


def under_way(settings: Settings) -> bool:
    """Whether a delivery lies in an inbox, is being judged or is about to be loaded."""
    with loading.session(settings) as conn:
        moving = ops.under_way(conn)
    return moving or any(waiting_in_inbox(settings, dataset_id) for dataset_id in dataset_ids(settings))


def waiting_in_inbox(settings: Settings, dataset_id: str) -> int:
    """Files lying in the inbox of a dataset."""
    return len(in_inbox(settings, dataset_id))


def in_inbox(settings: Settings, dataset_id: str) -> list[landing.RemoteFile]:
    return landing.FolderSource(landing.dataset_inbox(settings, dataset_id), "inbox").list()


def waiting_for_its_step(conn: ops.Connection, contract: Contract) -> list[ops.Delivery]:
    return [d for d in ops.unfinished(conn, contract.dataset_id) if d.state in ("received", "failed")]
