"""What is not kept: files about persons, and what somebody erased - bytes, rows, names, messages, and backups that hold it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from teilhabe import landing, ops
from teilhabe.codes import wording
from teilhabe.errors import SourceError
from teilhabe.keeping import backup, checking, erasing, removing
from teilhabe.landing import Archive
from teilhabe.pipeline.follow_up import follow_up
from teilhabe.raw import loading
from teilhabe.server import embedded
from teilhabe.settings import Settings
from tests.conftest import settings_for
from tests.flow import FOREIGNERS, POPULATION, Flow, monitor, population

PERSONS = (
    b"Nachname;Vorname;Geburtsdatum;Gemeinde\r\nMuster;Ljudmyla;17.03.1991;Peine\r\nProbe;Erdogan;02.11.1988;Ilsede\r\n"
)
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
GERMAN = "Ljudmyla_Muster.csv"


@pytest.fixture
def flow(installed: Settings, tmp_path: Path) -> Flow:
    return Flow(installed, tmp_path / "drafts")


def erased(flow: Flow, number: int) -> erasing.Erasure:
    with loading.session(flow.settings) as conn:
        return erasing.erase(flow.settings, conn, number, reason="Antrag nach Artikel 17", actor="kerstin", now=NOW)


def archive(flow: Flow) -> Archive:
    return Archive(flow.settings.archive_url)


def sha_of(flow: Flow, number: int) -> str:
    return str(flow.ask("select sha256 from ops.delivery where delivery_id = %s", number)[0][0])


def everything(flow: Flow) -> str:
    """All the home knows, but for files of the server: tables of ops and raw, and the archive with its manifest."""
    tables = flow.ask(
        "select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
        " where n.nspname in ('ops', 'raw') and c.relkind = 'r'"
    )
    said = [repr(flow.ask(f'select t::text from "{schema}"."{table}" as t')) for schema, table in tables]
    root = Path(archive(flow).url.removeprefix("file://"))
    said += [path.read_bytes().decode("latin-1") for path in root.rglob("*") if path.is_file()]
    return "\n".join(said)


def problems(flow: Flow) -> list[str]:
    with loading.session(flow.settings) as conn:
        return [
            *checking._archive(flow.settings, conn, full=True, tell=lambda _: None).problems,
            *checking._manifest(flow.settings, conn).problems,
            *checking._raw(conn).problems,
        ]


def test_a_file_about_persons_is_not_kept(flow: Flow) -> None:
    number = flow.deliver(FOREIGNERS, PERSONS, GERMAN, sender="amt@landkreis.example")
    assert flow.state(number) == "quarantined"
    assert [f.rule for f in flow.findings(number)] == ["file.person_level"]
    assert archive(flow).size(sha_of(flow, number)) is None
    size, name = flow.ask("select size_bytes, file_name from ops.delivery where delivery_id = %s", number)[0]
    assert (size, name) == (len(PERSONS), wording.UNNAMED_FILE)
    told = everything(flow)
    assert "Muster" not in told and "Erdogan" not in told
    # The same bytes again are known, and not kept either.
    second = flow.deliver(FOREIGNERS, PERSONS, GERMAN, "2023-10-21")
    assert flow.state(second) == "duplicate"
    assert archive(flow).size(sha_of(flow, number)) is None and "Muster" not in everything(flow)
    assert problems(flow) == []


def test_nor_is_the_zip_it_came_in_but_the_files_beside_it_are(flow: Flow) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("gut.csv", monitor([(2020, "Peine", "K03157", 14)]))
        out.writestr("Ljudmyla.csv", PERSONS.replace(b"Peine", b"Vechelde"))
    flow.deliver(FOREIGNERS, held.getvalue(), "alles.zip")
    rows = flow.ask(
        "select delivery_id, state from ops.delivery where dataset_id = %s and delivery_id >="
        " (select max(delivery_id) from ops.delivery where state = 'unpacked') order by 1",
        FOREIGNERS,
    )
    by_state = {state: number for number, state in rows}
    assert archive(flow).size(sha_of(flow, by_state["quarantined"])) is None
    assert archive(flow).size(sha_of(flow, by_state["unpacked"])) is None
    good = next(number for number, state in rows if state not in ("quarantined", "unpacked"))
    archive(flow).check(sha_of(flow, good))
    assert "Ljudmyla" not in everything(flow) and problems(flow) == []


def test_a_process_killed_before_the_bytes_went_leaves_them_to_the_next(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:

        def dies(*_: object) -> int:
            raise SourceError("as if killed")

        killed.setattr(removing, "sweep", dies)
        flow.hand_in(FOREIGNERS, PERSONS.replace(b"Ilsede", b"Lengede"), GERMAN)
        flow.archive(FOREIGNERS)
        with pytest.raises(SourceError):
            flow.judge(FOREIGNERS)
    number = int(flow.ask("select max(delivery_id) from ops.delivery")[0][0])
    assert flow.state(number) == "quarantined" and archive(flow).size(sha_of(flow, number)) is not None
    assert problems(flow) == [f"The bytes of delivery {number} are to be removed and were not yet."]
    flow.judge(FOREIGNERS)  # nothing waits, and yet
    assert archive(flow).size(sha_of(flow, number)) is None and problems(flow) == []


def test_an_erased_delivery_leaves_a_tombstone_and_the_one_before_counts(flow: Flow) -> None:
    before = flow.deliver(POPULATION, population({"03157001": (100, 60, 40)}, 2019), "davor.csv", "2023-06-01")
    number = flow.deliver(
        POPULATION,
        population({"03157001": (101, 61, 40)}, 2019),
        "Ljudmyla.csv",
        "2023-07-01",
        sender="ljudmyla@amt.example",
    )
    sha256 = sha_of(flow, number)
    done = erased(flow, number)
    assert done.is_new and done.counts_again == {"2019-12-31": before}
    said = erasing.told(done)
    assert f"Lieferung {before}" in said and "keine Sicherung" in said
    assert flow.state(number) == "withdrawn" and archive(flow).size(sha256) is None
    assert flow.ask(f"select count(*) from raw.{POPULATION} where _delivery_id = %s", number) == [(0,)]
    assert flow.ask("select kind, sha256, actor, reason from ops.tombstone where delivery_id = %s", number) == [
        ("erased", sha256, "kerstin", "Antrag nach Artikel 17")
    ]
    assert flow.ask("select delivery_id from ops.delivery_counted where delivery_id = %s", number) == []
    assert "judmyla" not in everything(flow) and problems(flow) == []
    again = erased(flow, number)
    assert not again.is_new and "schon gelöscht" in erasing.told(again)


def test_what_a_build_took_out_before_is_built_once_more_when_it_is_erased(flow: Flow) -> None:
    number = flow.deliver(POPULATION, population({"03157001": (100, 60, 40)}, 2018), "a.csv", "2023-06-01")
    with loading.session(flow.settings) as conn:

        def build(takes_out: bool) -> None:
            build_id = ops.start_build(conn, [number], code_version="1", run_id=None)
            conn.execute("update ops.build_delivery set takes_out = %s where build_id = %s", (takes_out, build_id))
            ops.finish_build(conn, build_id, succeeded=True, message=None)
            conn.commit()

        build(False)
        ops.set_state(conn, number, "withdrawn")
        conn.commit()
        build(True)
        assert number not in ops.deliveries_to_build(conn)
    with loading.session(flow.settings) as conn:
        erasing.erase(flow.settings, conn, number, reason="weg", actor="k", now=datetime.now(UTC))
        assert number in ops.deliveries_to_build(conn)
        build(True)
        assert number not in ops.deliveries_to_build(conn)


def test_bytes_another_delivery_needs_stay(flow: Flow) -> None:
    content = population({"03157001": (77, 40, 37)}, 2017)
    one = flow.deliver(POPULATION, content, "eins.csv", "2023-06-01")
    two = flow.deliver(FOREIGNERS, content, "zwei.csv", "2023-06-01")
    done = erased(flow, two)
    assert done.needed_by == [one] and str(one) in erasing.told(done)
    assert archive(flow).size(sha_of(flow, one)) is not None and problems(flow) == []
    erased(flow, one)
    assert archive(flow).size(sha_of(flow, one)) is None and problems(flow) == []


def test_a_file_that_stays_at_its_source_is_not_fetched_again(flow: Flow) -> None:
    number = flow.deliver(POPULATION, population({"03157001": (55, 30, 25)}, 2016), "Ljudmyla.csv")
    fingerprint = flow.ask("select source_fingerprint from ops.delivery where delivery_id = %s", number)[0][0]
    erased(flow, number)
    with loading.session(flow.settings) as conn:
        assert fingerprint in ops.seen_fingerprints(conn, POPULATION, "inbox")
        assert "another" not in ops.seen_fingerprints(conn, POPULATION, "inbox")


def test_messages_about_it_quote_nothing_any_more(flow: Flow) -> None:
    number = flow.deliver(POPULATION, b"Gemeinde;Wert\r\nLjudmylastadt;viele\r\n", "Ljudmyla.csv")
    follow_up(flow.settings, datetime.now(UTC), no_mail)
    [(text, attachments)] = flow.ask(
        "select m.body_text, m.attachments from ops.message as m join ops.message_delivery as d using (message_id)"
        " where d.delivery_id = %s and m.kind = 'verdict'",
        number,
    )
    assert "Ljudmyla.csv" in text
    erased(flow, number)
    assert "judmyla" not in everything(flow)
    for one in attachments:
        assert archive(flow).size(one["uri"].rpartition("/")[2]) is None
    [(subject, state)] = flow.ask(
        "select m.subject, m.state from ops.message as m join ops.message_delivery as d using (message_id)"
        " where d.delivery_id = %s and m.kind = 'verdict'",
        number,
    )
    assert subject == "(gelöscht)" and state in ("failed", "sent", "undeliverable")


def no_mail(name: str) -> landing.Credentials:
    return landing.Credentials()


def test_backups_that_hold_it_are_named_lose_it_and_never_bring_it_back(
    flow: Flow, make_home: Callable[[], Path]
) -> None:
    place, into = make_home().parent / "backup", make_home()
    number = flow.deliver(POPULATION, population({"03157001": (99, 50, 49)}, 2015), "Ljudmyla.csv")
    sha256 = sha_of(flow, number)
    older = backup.backup(flow.settings, place)
    done = erased(flow, number)
    assert len(done.backups) == 1 and older.folder.name in done.backups[0] and "Archiv" in done.backups[0]
    newer = backup.backup(flow.settings, place)
    mirror = Archive((place / "archive").as_uri())
    assert mirror.size(sha256) is None
    backup.verify(place, older)  # what was erased is not missing
    # Somebody goes back to the older one.
    newer.folder.rename(place / "sets" / ".away")
    backup.restore(settings_for(into), place, into)
    try:
        again = Flow(settings_for(into), place.parent / "drafts")
        assert again.ask("select kind from ops.tombstone where delivery_id = %s", number) == [("erased",)]
        assert again.ask(f"select count(*) from raw.{POPULATION} where _delivery_id = %s", number) == [(0,)]
        assert problems(again) == []
    finally:
        embedded.stop(settings_for(into))
