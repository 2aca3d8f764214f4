"""What happens to a delivery, step by step: poll, archive, judge, load. No Airflow in here; DAGs and tests call the same.

Each step can be killed and run again. Between the steps only ``ops.delivery.state`` and the archive carry anything on:
received -> validated -> loaded, or quarantined, or failed (our own error; taken up again by the next run). A zip is a
delivery of its own, which ends ``unpacked``: each file in it becomes a delivery and is judged as one.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from teilhabe import landing, ops
from teilhabe.codes.office_time import spell_moment
from teilhabe.contract import delivery_calendar
from teilhabe.contract.contracts import SUFFIX, Contract, contract_path, load_contract, load_contracts
from teilhabe.contract.senders import known_addresses, sender_by_content, sender_code, unknown_sender
from teilhabe.errors import ContractError, Finding, FullError, ReadingError, SourceError, TeilhabeError
from teilhabe.findings.saying import PERSON_LEVEL, with_sentence
from teilhabe.keeping import removing
from teilhabe.landing import room
from teilhabe.landing.passing_bytes import passing_folder
from teilhabe.ops import excluded_rows, incidents, schema
from teilhabe.pipeline import attempts, oversized
from teilhabe.raw import loading
from teilhabe.raw.kept_rows import KeptRows
from teilhabe.settings import Settings, number_from_environment
from teilhabe.system import locks
from teilhabe.system.code_version import code_version
from teilhabe.system.discretion import in_logs, name_no_file

if TYPE_CHECKING:
    import pyarrow as pa

    from teilhabe.messages.outbox import Sent
    from teilhabe.reading.confined import ConfinedReading
    from teilhabe.reading.files.hostile import Member
    from teilhabe.reading.layouts.base import AnyReading
    from teilhabe.validation.register import Register
    from teilhabe.validation.verdict import Verdict

log = logging.getLogger(__name__)

REGISTER_AGENCY = "register"
"""Datasets of this agency define the keys all others are checked against, so they go first."""

CONTAINER = "zip"
"""What ``ops.delivery.layout`` says of a delivery that holds others."""

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


def contracts(settings: Settings) -> dict[str, Contract]:
    return load_contracts(settings.agencies)


class _ContractsOnDemand(Mapping[str, Contract]):
    """All contracts, each read when it is asked for: most follow-ups are about one dataset."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ids = dataset_ids(settings)
        self._read: dict[str, Contract] = {}

    def __getitem__(self, dataset_id: str) -> Contract:
        if dataset_id not in self._ids:
            raise KeyError(dataset_id)
        if dataset_id not in self._read:
            self._read[dataset_id] = contract(self._settings, dataset_id)
        return self._read[dataset_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def dataset_ids(settings: Settings) -> list[str]:
    """All datasets, told by their files alone: reading forty contracts takes half a second."""
    paths = settings.agencies.glob(f"*/*{SUFFIX}")
    return sorted(f"{path.parent.name}__{path.name.removesuffix(SUFFIX)}" for path in paths)


def contract(settings: Settings, dataset_id: str) -> Contract:
    """The contract of a dataset; ``ContractError`` lists what there is when the id is unknown."""
    path = contract_path(settings.agencies, dataset_id)
    if not path.is_file():
        raise ContractError(f"There is no dataset '{dataset_id}'. Known: {', '.join(contracts(settings))}.")
    return load_contract(path)


def install(settings: Settings) -> None:
    """Create what is missing in ``ops`` and ``raw`` for the contracts as they are, the delivery calendar included.

    Where nothing is missing no table is locked: a build that reads them for minutes and this one do not wait for each other.
    """
    known = contracts(settings).values()
    with loading.session(settings) as conn:
        if not schema.is_installed(conn):
            conn.commit()
            locks.change_tables(conn, lambda: schema.install(conn))
        if loading.raw_tables_differ(conn, known):
            conn.commit()
            locks.change_tables(conn, lambda: loading.ensure_raw_tables(conn, known))
        delivery_calendar.refresh(conn, known, delivery_calendar.today())


def refresh_calendar(settings: Settings, now: datetime) -> list[str]:
    """Bring the delivery calendar and its incidents up to date; returns one sentence per delivery that is overdue."""
    known = contracts(settings)
    day = delivery_calendar.today(now)
    with loading.session(settings) as conn:
        delivery_calendar.refresh(conn, known.values(), day)
        incidents.end_waivers(conn, now)
        incidents.follow_calendar(conn, known.values(), now)
        return [
            f"{entry.dataset_id}{f' ({entry.sender_code})' if entry.sender_code else ''}: {entry.period_code} was due on "
            f"{entry.due_on}, grace ended on {entry.grace_until}; ask {known[entry.dataset_id].contact}"
            for entry in delivery_calendar.latest_due(conn, day)
            if entry.state == "overdue"
        ]


def follow_up(settings: Settings, now: datetime, credentials: Credentials, *, calendar: bool = False) -> Sent:
    """Incidents and messages for every verdict nobody took notice of, then send what is due at ``now``.

    With ``calendar`` also for what is due soon or overdue, as ``refresh_calendar`` left it. A message that cannot be written
    does not keep the others waiting: the operators are told which, and the error is raised when all were tried and what could
    be sent is sent.
    """
    from teilhabe.messages import compose, outbox
    from teilhabe.messages.policy import load_policy

    policy = load_policy(settings, credentials)
    known = _ContractsOnDemand(settings)
    errors: list[Exception] = []
    left: list[tuple[str, Exception]] = []
    with loading.session(settings) as conn:

        def failed(what: str, error: Exception) -> None:
            log.error("follow-up of %s: %s", what, type(error).__name__)
            errors.append(error)
            left.append((what, error))

        def attempt(what: str, work: Callable[[], object]) -> None:
            try:
                work()
                conn.commit()
            except Exception as error:
                conn.rollback()
                failed(what, error)

        def tell() -> None:
            for what, error in left:
                # Only sentences of our own: the text of an unforeseen error may quote a file.
                why = str(error) if isinstance(error, TeilhabeError) else type(error).__name__
                subject = f"Nachricht nicht geschrieben: {what}"
                compose.operators(conn, policy, subject, f"{subject}. Grund: {why}", f"follow-up:{what}", now)

        def follow(delivery_id: int) -> None:
            its = known.get(ops.delivery(conn, delivery_id).dataset_id)
            if its is not None:
                changes = incidents.follow(conn, its, delivery_id, now)
                compose.about_delivery(conn, policy, its, delivery_id, changes, now)

        for number in incidents.unfollowed(conn):
            attempt(f"delivery {number}", partial(follow, number))
        attempt("receipts", lambda: compose.receipts(conn, policy, known, now, failed))
        if calendar:
            attempt("calendar", lambda: compose.about_calendar(conn, policy, known, now, failed))
        if left:
            attempt("operators", tell)
    sent = outbox.send_due(settings, policy, credentials, now)
    _raise_first(errors)
    return sent


def installed(settings: Settings, contract: Contract) -> bool:
    """Whether the raw table has all columns of the contract."""
    with loading.session(settings) as conn:
        rows = conn.execute(
            "select column_name from information_schema.columns where table_schema = 'raw' and table_name = %s",
            (contract.dataset_id,),
        )
        return set(contract.column_names) <= {row[0] for row in rows}


def rules_version(settings: Settings, contract: Contract) -> str:
    """Fingerprint of what a verdict rests on: contract, suite and the code that applies them."""
    suite = settings.expectations / contract.agency / f"{contract.dataset}.json"
    code = code_version(settings).encode()
    return hashlib.sha256(contract.path.read_bytes() + suite.read_bytes() + code).hexdigest()[:16]


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
        _raise_first(left)
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


def archive(settings: Settings, contract: Contract, waiting: list[Waiting], credentials: Credentials) -> list[int]:
    """Keep the bytes of each file for good and record its arrival; returns the deliveries that are new.

    A file that cannot be fetched does not keep the others waiting; the error is raised when all were tried.
    """
    store = landing.Archive(settings.archive_url)
    store.sweep()
    wanted = {item.server for item in waiting}
    sources = {
        server.server: landing.open_source(
            server, settings, credentials, contract.dataset_id, known_addresses(contract)
        )
        for server in contract.servers
        if server.server in wanted
    }
    rules = rules_version(settings, contract)
    new: list[int] = []
    errors: list[TeilhabeError] = []
    with loading.session(settings) as conn, passing_folder(settings) as folder:
        if not _has_room(conn, settings, contract, waiting, errors):
            waiting = []
        for item in waiting:
            try:
                delivery = _archive_one(conn, settings, contract, sources[item.server], item, store, rules, folder)
            except TeilhabeError as error:
                name_no_file(error, item.file.name, item.file.key)
                log.warning("%s: %s", contract.dataset_id, in_logs(error))
                errors.append(error)
                if isinstance(error, FullError):
                    break
                continue
            if delivery.state == "received":
                new.append(delivery.delivery_id)
        for name, source in sources.items():
            if isinstance(source, landing.MailSource):
                source.let_go(ops.seen_fingerprints(conn, contract.dataset_id, name))
    _raise_first(errors)
    return new


def _has_room(
    conn: ops.Connection, settings: Settings, contract: Contract, waiting: list[Waiting], errors: list[TeilhabeError]
) -> bool:
    """Whether to begin; where nothing has room that is one step that failed, and not one for each file."""
    try:
        room.require(settings, [item.file.size for item in waiting])
    except FullError as error:
        errors.append(error)
        with suppress(FullError), ops.step(conn, "archive", dataset_id=contract.dataset_id):
            raise
        return False
    return True


def judge(settings: Settings, contract: Contract, run_id: str | None = None) -> dict[int, str]:
    """Read and validate every delivery of the dataset that waits for a verdict; returns delivery -> new state.

    Containers go first: what is in them waits for a verdict as well.
    """
    return _work_through(settings, contract, run_id, and_load=False)


def take_in(settings: Settings, contract: Contract, run_id: str | None = None) -> dict[int, str]:
    """Judge and load what waits, one delivery after the other; returns delivery -> new state.

    Each is loaded before the next is judged, so that a month is compared with the month before it although both
    arrived together.
    """
    return _work_through(settings, contract, run_id, and_load=True)


def load(settings: Settings, contract: Contract, run_id: str | None = None) -> list[int]:
    """COPY every validated delivery of the dataset into ``raw``; returns the deliveries loaded."""
    loaded: list[int] = []
    errors: list[Exception] = []
    with loading.session(settings) as conn, passing_folder(settings) as folder:
        for delivery in [d for d in ops.unfinished(conn, contract.dataset_id) if d.state == "validated"]:
            try:
                if _load_if_approved(conn, settings, contract, delivery.delivery_id, folder, run_id) == "loaded":
                    loaded.append(delivery.delivery_id)
            except Exception as error:
                _note_error(contract, delivery, error, errors)
    _raise_first(errors)
    return loaded


def _work_through(settings: Settings, contract: Contract, run_id: str | None, *, and_load: bool) -> dict[int, str]:
    from teilhabe.reading import confined

    confined.prepare()  # it starts while the modules below are read
    from teilhabe.validation.register import baseline, from_warehouse
    from teilhabe.validation.verdict import load_suite

    states: dict[int, str] = {}
    errors: list[Exception] = []

    def attempt(delivery: ops.Delivery, work: Callable[[], str]) -> None:
        try:
            with attempts.counted(conn, delivery.delivery_id):
                states[delivery.delivery_id] = locks.try_again(work)
        except Exception as error:
            _note_error(contract, delivery, error, errors)
            conn.rollback()
            is_ours = ops.lock_as_known(conn, delivery)
            if is_ours:
                ops.set_state(conn, delivery.delivery_id, "failed")
            conn.commit()
            states[delivery.delivery_id] = "failed" if is_ours else ops.OVERTAKEN

    def is_given_up(delivery: ops.Delivery) -> bool:
        return attempts.give_up(conn, contract, delivery, rules_version(settings, contract), run_id)

    with (
        loading.session(settings) as conn,
        # What only asks has a connection of its own: reading and judging may take minutes, and no transaction waits for them.
        loading.session(settings, autocommit=True) as asking,
        passing_folder(settings) as folder,
    ):
        for delivery in (d for d in _waiting(conn, contract) if _is_container(d) and not is_given_up(d)):
            attempt(delivery, partial(_unpack, conn, settings, contract, delivery, folder, run_id))
        unfinished = [
            d for d in ops.unfinished(conn, contract.dataset_id) if not _is_container(d) and not is_given_up(d)
        ]
        if any(d.state != "validated" for d in unfinished):
            suite = load_suite(settings.expectations, contract)
            register = from_warehouse(asking, baseline(settings.project))
            rules = rules_version(settings, contract)
        conn.commit()
        for delivery in unfinished:
            number = delivery.delivery_id
            kept = KeptRows(folder / f"{number}.rows") if and_load else None
            if delivery.state != "validated":
                attempt(
                    delivery,
                    partial(
                        _judge_one, conn, asking, settings, contract, suite, register, rules, delivery, folder, run_id,
                        kept,
                    ),
                )  # fmt: skip
            if and_load and states.get(number, delivery.state) == "validated":
                try:
                    with attempts.counted(conn, number):
                        states[number] = _load_if_approved(conn, settings, contract, number, folder, run_id, kept)
                except Exception as error:
                    _note_error(contract, delivery, error, errors)
            (folder / delivery.sha256).unlink(missing_ok=True)
            if kept is not None:
                kept.drop()
        removing.sweep(settings, conn)
    _raise_first(errors)
    return states


def _load_if_approved(
    conn: ops.Connection,
    settings: Settings,
    contract: Contract,
    number: int,
    folder: Path,
    run_id: str | None,
    kept: KeptRows | None = None,
) -> ops.State:
    """Load what nobody has to be asked about, or what was answered with yes; the new state of the delivery."""
    delivery = ops.delivery(conn, number)
    said = ops.approval(conn, number)
    conn.commit()
    if said in (None, "publish", "accept_without_rows"):
        _load_one(conn, settings, contract, delivery, folder, run_id, kept)
        return ops.delivery(conn, number).state
    if said == "refuse":
        with ops.step(conn, "validate", dataset_id=contract.dataset_id, delivery_id=number, run_id=run_id) as outcome:
            if not ops.lock_as_known(conn, delivery):
                outcome.message = ops.OVERTAKEN
                return ops.delivery(conn, number).state
            findings = ops.findings(conn, number)
            ops.record_findings(conn, number, [_not_approved(delivery), *findings])
            ops.set_state(conn, number, "quarantined")
            conn.commit()
            outcome.status, outcome.message = "refused", "delivery.not_approved"
        return "quarantined"
    return "validated"


def _not_approved(delivery: ops.Delivery) -> Finding:
    finding = Finding(
        "critical",
        "delivery.not_approved",
        "",
        found="nicht freigegeben",
        expected="berichtigte oder bestätigte Zahlen",
        what="Sie wurde wegen der Warnungen nach Rückfrage nicht übernommen; erwartet wird eine berichtigte Fassung oder eine "
        "Bestätigung der Zahlen.",
    )
    return with_sentence(finding, None, delivery.file_name)


def _load_one(
    conn: ops.Connection,
    settings: Settings,
    contract: Contract,
    delivery: ops.Delivery,
    folder: Path,
    run_id: str | None,
    kept: KeptRows | None,
) -> None:
    number = delivery.delivery_id
    with ops.step(conn, "load", dataset_id=contract.dataset_id, delivery_id=number, run_id=run_id) as outcome:
        chunks = None if kept is None or delivery.held_back_count else kept.chunks()
        if chunks is None:
            chunks = _read_anew(conn, settings, contract, delivery, folder)
        conn.commit()
        outcome.rows = loading.load(conn, contract, number, chunks)
    log.info("delivery %s: loaded, %s rows", number, outcome.rows)


def _read_anew(
    conn: ops.Connection, settings: Settings, contract: Contract, delivery: ops.Delivery, folder: Path
) -> Iterator[pa.Table]:
    """The rows of a delivery that was judged, without those that are left out."""
    from teilhabe.reading.layouts.excluding import RowsExcluded

    reading = open_delivery(settings, contract, delivery, folder)
    if delivery.held_back_count:
        reading.excluded = RowsExcluded(excluded_rows.places(conn, delivery.delivery_id))
    return reading.chunks()


def _note_error(contract: Contract, delivery: ops.Delivery, error: Exception, errors: list[Exception]) -> None:
    """Only the type: the text of an unforeseen error may quote a file."""
    if isinstance(error, TeilhabeError):
        name_no_file(error, delivery.file_name)
    log.error("delivery %s of %s: %s", delivery.delivery_id, contract.dataset_id, type(error).__name__)
    errors.append(error)


def open_delivery(settings: Settings, contract: Contract, delivery: ops.Delivery, folder: Path) -> ConfinedReading:
    """The reading of an archived delivery, the same every time it is opened; in a process of its own."""
    from teilhabe.reading import ReadingContext
    from teilhabe.reading.confined import open_reading

    path = landing.Archive(settings.archive_url).local(delivery.sha256, folder)
    context = ReadingContext(
        received_at=delivery.received_at,
        period=delivery.period_stated or delivery.period_inferred,
        populations=lambda: _populations(settings),
        sender=delivery.sender_code,
        others=lambda: contracts(settings),
        unit_code=_unit_code(settings, contract, delivery),
    )
    return open_reading(contract, path, _bare_name(delivery), context)


def _unit_code(settings: Settings, contract: Contract, delivery: ops.Delivery) -> Callable[[str], str | None]:
    """What a name means: as it was when the delivery was judged, or as the register knows now."""
    from teilhabe.validation import unit_names

    if delivery.state in ("validated", "loaded") and delivery.names_resolved is not None:
        return delivery.names_resolved.get

    def names() -> unit_names.UnitNames:
        with loading.session(settings) as conn:
            return unit_names.from_warehouse(conn, settings.project)

    return unit_names.resolver(names, contract.levels)


def _populations(settings: Settings) -> dict[str, dict[str, float]]:
    """Asked while a file is read, so on a connection of its own: the other may be in the middle of a COPY."""
    from teilhabe.validation.register import populations

    with loading.session(settings) as conn:
        return populations(conn)


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


def _archive_one(
    conn: ops.Connection,
    settings: Settings,
    contract: Contract,
    source: landing.Source,
    item: Waiting,
    store: landing.Archive,
    rules: str,
    folder: Path,
) -> ops.Delivery:
    file = item.file
    with ops.step(conn, "archive", dataset_id=contract.dataset_id) as outcome:
        local = folder / "fetched"
        local.unlink(missing_ok=True)
        too_large: Finding | None = None
        try:
            source.fetch(file, local)
        except landing.TooLargeError as error:
            kept, layout = oversized.stand_in(file, item.server, error), None
            too_large = oversized.finding(file, error)
        else:
            removing.needs_bytes(conn)
            kept, layout = store.put(local), _container_kind(local, file.name)
        arrival = landing.arrival(file, datetime.now(UTC))
        problem = too_large or arrival.problem
        entry = landing.ManifestEntry(
            dataset_id=contract.dataset_id,
            received_at=ops.not_before(conn, contract.dataset_id, arrival.at) if arrival.by_own_clock else arrival.at,
            sha256=kept.sha256,
            size=kept.size,
            original_name=file.name,
            sender=file.sender,
            source=item.server,
            period=file.period,
            arrival=file.fingerprint or None,
            is_kept=bool(kept.uri),
        )
        delivery = _register(
            conn,
            entry,
            kept,
            store.record(entry),
            rules,
            source=item.server,
            source_fingerprint=file.fingerprint or None,
            sender_code=sender_code(contract, file.sender, item.server, file.key, file.name),
            layout=layout,
            by_own_clock=arrival.by_own_clock,
        )
        _note_duplicate(conn, delivery, outcome)
        is_not_kept = removing.follow_first(conn, delivery, datetime.now(UTC))
        if problem and delivery.state == "received":
            ops.record_findings(conn, delivery.delivery_id, [problem])
            ops.set_state(conn, delivery.delivery_id, "quarantined")
            delivery = ops.delivery(conn, delivery.delivery_id)
            outcome.status, outcome.message = "refused", problem.rule
        conn.commit()
        source.acknowledge(file)
        if is_not_kept:
            removing.sweep(settings, conn)
    return delivery


def _register(
    conn: ops.Connection,
    entry: landing.ManifestEntry,
    kept: landing.Archived,
    manifest: str,
    rules: str,
    *,
    source: str,
    sender_code: str | None,
    source_fingerprint: str | None = None,
    layout: str | None = None,
    container_id: int | None = None,
    by_own_clock: bool = False,
) -> ops.Delivery:
    """The delivery as its entry in the manifest describes it."""
    return ops.register(
        conn,
        dataset_id=entry.dataset_id,
        file_name=entry.original_name,
        sha256=kept.sha256,
        size_bytes=kept.size,
        received_at=entry.received_at,
        received_from=entry.sender,
        source=source,
        source_fingerprint=source_fingerprint,
        period_stated=entry.period,
        archive_uri=kept.uri or None,
        manifest_uri=manifest,
        rules_version=rules,
        sender_code=sender_code,
        layout=layout,
        container_id=container_id,
        by_own_clock=by_own_clock,
    )


def _note_duplicate(conn: ops.Connection, delivery: ops.Delivery, outcome: ops.Outcome) -> None:
    if delivery.state == "duplicate" and delivery.duplicate_of is not None:
        outcome.status = "duplicate"
        outcome.message = f"same bytes as delivery {delivery.duplicate_of}"
        later = ops.superseded_by(conn, delivery.duplicate_of)
        if later is not None and delivery.received_at > ops.delivery(conn, later).received_at:
            ops.record_findings(conn, delivery.delivery_id, [_returns_to_old(delivery, later)])


def _container_kind(path: Path, file_name: str) -> str | None:
    from teilhabe.reading import confined
    from teilhabe.reading.files import containers

    with path.open("rb") as stream:
        if stream.read(len(containers.ZIP_MARK)) != containers.ZIP_MARK:
            return None
    try:
        return CONTAINER if confined.run(containers.is_container, path, file_name, file_name=file_name) else None
    except ReadingError:
        return None  # who reads it will meet the same and say so


def _is_container(delivery: ops.Delivery) -> bool:
    return delivery.layout == CONTAINER and delivery.container_id is None


def _waiting(conn: ops.Connection, contract: Contract) -> list[ops.Delivery]:
    return [d for d in ops.unfinished(conn, contract.dataset_id) if d.state in ("received", "failed")]


def _unpack(
    conn: ops.Connection,
    settings: Settings,
    contract: Contract,
    delivery: ops.Delivery,
    folder: Path,
    run_id: str | None,
) -> str:
    """Make every file of a container a delivery of its own.

    The files go into the archive first, then all are recorded together with the container's new state: killed in
    between, the next run finds the container as it was and the archive knows every file already.
    """
    from teilhabe.reading import confined
    from teilhabe.reading.files import containers

    store = landing.Archive(settings.archive_url)
    rules = rules_version(settings, contract)
    with ops.step(
        conn, "read", dataset_id=contract.dataset_id, delivery_id=delivery.delivery_id, run_id=run_id
    ) as outcome:
        try:
            path = store.local(delivery.sha256, folder)
            files, beside = confined.run(
                containers.unpack, path, delivery.file_name, folder, contract, file_name=delivery.file_name
            )
        except ReadingError as error:
            if not ops.lock_as_known(conn, delivery):
                outcome.message = ops.OVERTAKEN
                return ops.OVERTAKEN
            ops.record_findings(conn, delivery.delivery_id, _with_sentences(contract, [error.finding], delivery))
            ops.set_state(conn, delivery.delivery_id, "quarantined", rules_version=rules)
            conn.commit()
            outcome.status, outcome.message = "refused", error.finding.rule
            return "quarantined"
        tables = [(local, member) for local, member in files.items() if local not in beside]
        removing.needs_bytes(conn)
        kept = [(m, *_keep_member(store, contract, delivery, m, local)) for local, m in tables]
        if not ops.lock_as_known(conn, delivery):
            outcome.message = ops.OVERTAKEN
            return ops.OVERTAKEN
        if beside:
            ops.record_findings(
                conn, delivery.delivery_id, [_enclosure(delivery.file_name, files[local].name) for local in beside]
            )
        for member, entry, archived, manifest in kept:
            registered = _register(
                conn,
                entry,
                archived,
                manifest,
                rules,
                source=delivery.source,
                sender_code=sender_code(contract, delivery.received_from, delivery.source, member.place)
                or delivery.sender_code,
                container_id=delivery.delivery_id,
            )
            _note_duplicate(conn, registered, ops.Outcome())
            removing.follow_first(conn, registered, datetime.now(UTC))
        ops.set_state(conn, delivery.delivery_id, "unpacked", rules_version=rules)
        conn.commit()
        outcome.rows = len(kept)
    log.info("delivery %s: unpacked, %s files", delivery.delivery_id, len(kept))
    return "unpacked"


def _enclosure(container: str, name: str) -> Finding:
    return Finding(
        "info",
        "zip.enclosure",
        f"Datei „{container}“: „{name}“ liegt der Lieferung nur bei und wurde nicht gelesen; im Archiv bleibt sie erhalten.",
        found=name,
    )


def _keep_member(
    store: landing.Archive, contract: Contract, container: ops.Delivery, member: Member, local: Path
) -> tuple[landing.ManifestEntry, landing.Archived, str]:
    archived = store.put_member(local, container.sha256, container.file_name, member.place)
    entry = landing.ManifestEntry(
        dataset_id=contract.dataset_id,
        received_at=container.received_at,
        sha256=archived.sha256,
        size=archived.size,
        original_name=f"{container.file_name}/{member.name}",
        sender=container.received_from,
        source=container.source,
        period=container.period_stated,
        arrival=f"container {container.delivery_id} {member.place}",
    )
    return entry, archived, store.record(entry)


def _bare_name(delivery: ops.Delivery) -> str:
    """The name the file itself has: what a zip is called says nothing about the files in it."""
    return delivery.file_name.rsplit("/", 1)[-1] if delivery.container_id is not None else delivery.file_name


def _with_sentences(contract: Contract, findings: list[Finding], delivery: ops.Delivery) -> list[Finding]:
    """With the sentences everyone may read, which call the file by its full name."""
    return [with_sentence(finding, contract.secrecy_method, delivery.file_name) for finding in findings]


def _returns_to_old(delivery: ops.Delivery, later: int) -> Finding:
    finding = Finding(
        "warning",
        "delivery.returns_to_old",
        "",
        found=f"bytegleich mit Lieferung {delivery.duplicate_of}",
        expected="eine neue Fassung",
        what=f"Sie ist {{found}}, die inzwischen durch Lieferung {later} ersetzt ist; erwartet wird {{expected}}, es gilt "
        f"weiter Lieferung {later}.",
    )
    return with_sentence(finding, None, delivery.file_name)


def _judge_one(
    conn: ops.Connection,
    asking: ops.Connection,
    settings: Settings,
    contract: Contract,
    suite: Any,
    register: Register,
    rules: str,
    delivery: ops.Delivery,
    folder: Path,
    run_id: str | None,
    kept: KeptRows | None,
) -> str:
    from teilhabe.validation import history, row_exclusion
    from teilhabe.validation.verdict import Verdict, validate

    with ops.step(
        conn, "validate", dataset_id=contract.dataset_id, delivery_id=delivery.delivery_id, run_id=run_id
    ) as outcome:
        is_decided = ops.approval(conn, delivery.delivery_id) == "accept_without_rows"
        decided = excluded_rows.places(conn, delivery.delivery_id) if is_decided else None
        conn.commit()
        past = history.from_warehouse(asking, before=delivery.received_at, without=delivery.delivery_id)

        def validated(reading: AnyReading) -> Verdict:
            return validate(
                contract,
                suite,
                reading,
                register,
                file_name=delivery.file_name,
                received_at=delivery.received_at,
                history=past,
                kept=kept,
            )

        try:
            verdict = row_exclusion.judge(
                contract, partial(open_delivery, settings, contract, delivery, folder), validated, decided
            )
        except ReadingError as error:
            verdict = Verdict(findings=[error.finding])
        except TeilhabeError as error:
            # An expectation that could not ask says only that it could not run.
            raise past.error or error from error
        if not ops.lock_as_known(conn, delivery):
            outcome.message = ops.OVERTAKEN
            return ops.OVERTAKEN
        if contract.mendable and not register.is_delivered and _leaves_keys_open(verdict):
            ops.record_findings(conn, delivery.delivery_id, [_waits_for_register(delivery)])
            conn.commit()
            outcome.message = ops.WAITS_FOR_REGISTER
            return "received"
        stranger = unknown_sender(contract, delivery.received_from)
        verdict.findings += [stranger] if stranger else []
        verdict.findings = _with_sentences(contract, verdict.findings, delivery)
        state: ops.State = "validated" if verdict.accepted else "quarantined"
        ops.record_findings(conn, delivery.delivery_id, verdict.findings)
        excluded_rows.record(conn, delivery.delivery_id, row_exclusion.excluded(verdict, contract.secrecy_method))
        ops.set_state(
            conn,
            delivery.delivery_id,
            state,
            held_back_count=verdict.held_back_count,
            names_resolved=Jsonb(verdict.names_resolved),
            layout=verdict.layout,
            row_count=verdict.row_count,
            period_inferred=verdict.inferred_period,
            periods=verdict.periods,
            rules_version=rules,
            sender_code=delivery.sender_code or sender_by_content(contract, verdict.territories),
        )
        if any(finding.rule == PERSON_LEVEL for finding in verdict.findings):
            removing.refuse_persons(conn, delivery, datetime.now(UTC))
        if verdict.accepted and contract.approval_hours and any(f.severity == "warning" for f in verdict.findings):
            ops.ask_approval(conn, delivery.delivery_id, contract.approval_hours)
        conn.commit()
        outcome.rows = verdict.row_count
        outcome.status = "ok" if verdict.accepted else "refused"
        outcome.message = None if verdict.accepted else verdict.findings[0].rule
    log.info(
        "delivery %s: %s, %s rows, %s findings", delivery.delivery_id, state, verdict.row_count, len(verdict.findings)
    )
    return state


def _leaves_keys_open(verdict: Verdict) -> bool:
    return verdict.accepted and any(finding.rule == "key.unchecked" for finding in verdict.findings)


def _waits_for_register(delivery: ops.Delivery) -> Finding:
    finding = Finding(
        "info",
        ops.WAITS_FOR_REGISTER,
        "",
        expected="ein geladenes Gemeindeverzeichnis",
        what="Ihre Gebietsschlüssel lassen sich erst prüfen, wenn ein Gemeindeverzeichnis geladen ist; bis dahin wartet die "
        "Lieferung, die meldende Stelle braucht nichts zu tun.",
    )
    return with_sentence(finding, None, delivery.file_name)


def _raise_first(errors: list[Any]) -> None:
    """A network error is worth another try of the whole step, so it goes before the others."""
    if errors:
        raise next((error for error in errors if isinstance(error, SourceError)), errors[0])
