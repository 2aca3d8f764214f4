"""Files are fetched, archived and registered; containers are unpacked into the deliveries they hold."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from teilhabe import landing, ops
from teilhabe.contract.model import Contract
from teilhabe.contract.senders import known_addresses, sender_code
from teilhabe.errors import Finding, FullError, GoneError, ReadingError, TeilhabeError
from teilhabe.findings.saying import with_sentence
from teilhabe.keeping import removing
from teilhabe.landing import room
from teilhabe.landing.passing_bytes import passing_folder
from teilhabe.pipeline import oversized
from teilhabe.pipeline.failing import log, raise_first
from teilhabe.pipeline.installing import rules_version
from teilhabe.pipeline.waiting import Credentials, Waiting
from teilhabe.raw import loading
from teilhabe.settings import Settings
from teilhabe.system.discretion import in_logs, name_no_file

if TYPE_CHECKING:
    from teilhabe.reading.files.hostile import Member

CONTAINER = "zip"
"""What ``ops.delivery.layout`` says of a delivery that holds others."""


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
            except GoneError as error:
                name_no_file(error, item.file.name, item.file.key)
                log.info("%s: %s", contract.dataset_id, in_logs(error))
                continue
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
    raise_first(errors)
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
        delivery = register_file(
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


def register_file(
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


def is_container(delivery: ops.Delivery) -> bool:
    return delivery.layout == CONTAINER and delivery.container_id is None


def unpack(
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
            ops.record_findings(conn, delivery.delivery_id, with_sentences(contract, [error.finding], delivery))
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
            registered = register_file(
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


def bare_name(delivery: ops.Delivery) -> str:
    """The name the file itself has: what a zip is called says nothing about the files in it."""
    return delivery.file_name.rsplit("/", 1)[-1] if delivery.container_id is not None else delivery.file_name


def with_sentences(contract: Contract, findings: list[Finding], delivery: ops.Delivery) -> list[Finding]:
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
