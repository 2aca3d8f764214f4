"""Landing: nothing half-written is picked up, nothing is lost, and the same bytes are kept once."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from teilhabe.errors import ContractError, SourceError, TeilhabeError
from teilhabe.landing import (
    Archive,
    Credentials,
    FolderSource,
    ManifestEntry,
    RemoteFile,
    dataset_inbox,
    environment_credentials,
    hand_in,
    open_source,
    settled,
)
from teilhabe.landing import inbox as inbox_module
from teilhabe.landing.s3 import S3Source
from teilhabe.landing.sftp import SftpSource
from teilhabe.landing.web import WebSource
from teilhabe.settings import Settings

DATASET = "jobcenter__participants"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "a home"
    return Settings(project=tmp_path, home=home, archive_url=(home / "archive").as_uri())


@pytest.fixture
def office(tmp_path: Path) -> Path:
    folder = tmp_path / "office"
    folder.mkdir()
    return folder


def written(path: Path, text: str = "AGS;Anzahl\n03157006;12\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def inbox(settings: Settings) -> FolderSource:
    return FolderSource(dataset_inbox(settings, DATASET))


class Clock:
    """Time that passes only while somebody sleeps; ``meanwhile`` happens during the first sleep."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self.meanwhile = meanwhile

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        if not self.slept:
            self.meanwhile()
        self.slept.append(seconds)
        self.time += seconds


def looked_at(source: Any, clock: Clock, **more: Any) -> list[str]:
    found = settled(source, clock=clock, sleep=clock.sleep, settle_seconds=2, **more)
    return [file.name for file in found]


@pytest.mark.parametrize("name", ["a\tb.csv", "x" * 201 + ".csv"])
def test_one_bad_name_on_a_listing_hides_no_other(name: str) -> None:
    sftp, s3 = SftpSource("host", 22, "/out", "server"), S3Source("bucket", "store")
    info = SimpleNamespace(filename=name, st_mode=stat.S_IFREG, st_size=1, st_mtime=0)
    assert sftp._described("/out", "", name, {name: info}) is None
    assert s3._described(f"bucket/{name}", {"size": 1}) is None
    assert [len(source.problems) for source in (sftp, s3)] == [1, 1]
    assert "nicht verwendbar" in sftp.problems[0]


class TestHandIn:
    def test_a_ticket_holds_the_file_and_says_when_from_whom_and_for_which_period(
        self, settings: Settings, office: Path
    ) -> None:
        file = written(office / "Teilnehmende März.csv")

        [path] = hand_in(settings, DATASET, [file], NOON, sender="zahlen@jobcenter.example", period="2026-02")

        assert path.read_bytes() == file.read_bytes()
        assert path.name == "Teilnehmende März.csv"
        assert path.parents[1] == settings.inbox / DATASET
        said = json.loads((path.parent / "delivery.json").read_text(encoding="utf-8"))
        assert datetime.fromisoformat(said["received_at"]) == NOON
        assert said["sender"] == "zahlen@jobcenter.example"
        assert said["period"] == "2026-02"
        assert said["original_name"] == "Teilnehmende März.csv"

    def test_the_source_reads_back_what_the_ticket_says(self, settings: Settings, office: Path) -> None:
        hand_in(settings, DATASET, [written(office / "a.csv")], NOON, sender="x@amt.example", period="2026")

        [file] = inbox(settings).list()

        assert (file.name, file.received_at, file.sender, file.period) == ("a.csv", NOON, "x@amt.example", "2026")
        assert file.complete

    def test_a_time_without_zone_is_one_of_the_county(self, settings: Settings, office: Path) -> None:
        hand_in(settings, DATASET, [written(office / "a.csv")], datetime(2026, 3, 2, 12, 0))
        [file] = inbox(settings).list()
        assert file.received_at == datetime(2026, 3, 2, 11, 0, tzinfo=UTC)

    def test_tickets_sort_by_hand_in_order_even_when_the_clock_is_set_back(
        self, settings: Settings, office: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = NOON.timestamp()
        names = ["zuerst.csv", "dann.csv", "zuletzt.csv"]
        for n, name in enumerate(names):
            monkeypatch.setattr(inbox_module, "time", SimpleNamespace(time=lambda n=n: later - 3600 * n))
            hand_in(settings, DATASET, [written(office / name)])

        assert [file.name for file in inbox(settings).list()] == names

    def test_two_files_of_one_name_are_two_tickets(self, settings: Settings, office: Path) -> None:
        first, second = written(office / "1" / "a.csv", "eins"), written(office / "2" / "a.csv", "zwei")
        paths = hand_in(settings, DATASET, [first, second])
        assert [path.read_text() for path in paths] == ["eins", "zwei"]

    def test_a_missing_file_is_named_and_none_of_the_others_is_taken(self, settings: Settings, office: Path) -> None:
        with pytest.raises(TeilhabeError, match=r"fehlt\.csv“ wurde nicht gefunden"):
            hand_in(settings, DATASET, [written(office / "da.csv"), office / "fehlt.csv"])
        assert inbox(settings).list() == []

    def test_a_folder_is_refused(self, settings: Settings, office: Path) -> None:
        with pytest.raises(TeilhabeError, match="keine Datei"):
            hand_in(settings, DATASET, [office])

    @pytest.mark.parametrize("dataset_id", ["../outside", "a/b", "", ".", "A__b"])
    def test_a_dataset_id_is_never_a_path(self, settings: Settings, office: Path, dataset_id: str) -> None:
        with pytest.raises(TeilhabeError, match="not a dataset id"):
            hand_in(settings, dataset_id, [written(office / "a.csv")])

    def test_only_the_base_name_is_kept(self, settings: Settings, office: Path) -> None:
        [path] = hand_in(settings, DATASET, [written(office / r"C:\Daten\..\a.csv")])
        assert path.name == "a.csv"

    @pytest.mark.parametrize("name", ["delivery.json", "a\nb.csv", "\\..", "ä" * 110 + ".csv"])
    def test_names_that_would_do_harm_are_refused(self, settings: Settings, office: Path, name: str) -> None:
        with pytest.raises(TeilhabeError):
            hand_in(settings, DATASET, [written(office / name)])

    def test_too_large_a_file_is_refused(
        self, settings: Settings, office: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TEILHABE_MAX_FILE_MB", "0.00001")
        with pytest.raises(TeilhabeError, match=r"a\.csv“ ist größer"):
            hand_in(settings, DATASET, [written(office / "a.csv")])

    def test_an_unusable_limit_is_named(
        self, settings: Settings, office: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TEILHABE_MAX_FILE_MB", "viel")
        with pytest.raises(ContractError, match="TEILHABE_MAX_FILE_MB"):
            hand_in(settings, DATASET, [written(office / "a.csv")])

    def test_a_crash_before_the_ticket_is_whole_shows_nothing(
        self, settings: Settings, office: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "rename", crash)
        # As after a power failure: nothing tidies up either.
        monkeypatch.setattr(inbox_module, "shutil", SimpleNamespace(rmtree=lambda *_, **__: None))
        with pytest.raises(KeyboardInterrupt):
            hand_in(settings, DATASET, [written(office / "a.csv")])

        assert list((settings.inbox / DATASET).iterdir()) != []
        assert inbox(settings).list() == []

    def test_what_a_crash_left_is_swept_after_a_day(self, settings: Settings, office: Path) -> None:
        left = settings.inbox / DATASET / ".20260301T120000000000-abcdef.tmp"
        fresh = settings.inbox / DATASET / ".20260302T120000000000-abcdef.tmp"
        for folder in (left, fresh):
            written(folder / "a.csv")
        os.utime(left, (0, 0))

        hand_in(settings, DATASET, [written(office / "b.csv")])

        assert not left.exists()
        assert fresh.exists()

    def test_tickets_are_for_their_owner_only(self, settings: Settings, office: Path) -> None:
        [path] = hand_in(settings, DATASET, [written(office / "a.csv")])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


class TestFolder:
    def test_plain_files_in_subfolders_are_found_and_unfinished_ones_are_not(self, settings: Settings) -> None:
        root = settings.inbox / DATASET
        for name in ("a.csv", "2026/b.xlsx"):
            written(root / name)
        for name in (".a.csv", "a.csv.part", "b.TMP", "~$b.xlsx", "c.filepart", ".hidden/c.csv", "Thumbs.db"):
            written(root / name)
        assert {file.key for file in inbox(settings).list()} == {"a.csv", "2026/b.xlsx"}

    def test_an_inbox_that_is_not_there_yet_is_empty(self, settings: Settings) -> None:
        assert inbox(settings).list() == []

    def test_somebody_elses_folder_that_is_not_there_is_an_error_worth_another_try(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="not there"):
            FolderSource(tmp_path / "share", "share", keeps_files=True).list()

    def test_links_are_never_followed(self, settings: Settings, tmp_path: Path) -> None:
        secret = written(tmp_path / "secret" / "passwd.csv")
        root = settings.inbox / DATASET
        root.mkdir(parents=True)
        (root / "link.csv").symlink_to(secret)
        (root / "folder").symlink_to(secret.parent)
        ticket = root / "20260302T120000000000-abcdef"
        said = {"received_at": NOON.isoformat(), "original_name": "passwd.csv"}
        written(ticket / "delivery.json", json.dumps(said))
        (ticket / "passwd.csv").symlink_to(secret)

        assert inbox(settings).list() == []

    def test_a_file_exchanged_for_a_link_after_the_look_is_not_fetched(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        secret = written(tmp_path / "secret.csv")
        path = written(settings.inbox / DATASET / "a.csv")
        [file] = inbox(settings).list()
        path.unlink()
        path.symlink_to(secret)
        with pytest.raises(SourceError):
            inbox(settings).fetch(file, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_named_pipe_is_no_delivery(self, settings: Settings) -> None:
        root = settings.inbox / DATASET
        root.mkdir(parents=True)
        os.mkfifo(root / "a.csv")
        assert inbox(settings).list() == []

    @pytest.mark.parametrize("name", ["../../a.csv", "/etc/passwd", ".."])
    def test_a_ticket_cannot_name_a_file_elsewhere(self, settings: Settings, tmp_path: Path, name: str) -> None:
        written(settings.inbox / DATASET / "a.csv")
        said = {"received_at": NOON.isoformat(), "original_name": name}
        written(settings.inbox / DATASET / "sub" / "ticket" / "delivery.json", json.dumps(said))
        assert [file.key for file in inbox(settings).list()] == ["a.csv"]

    def test_a_key_that_leads_outside_is_refused(self, settings: Settings, tmp_path: Path) -> None:
        source = inbox(settings)
        source.root.mkdir(parents=True)
        bad = RemoteFile("../../secret.csv", "secret.csv", 1, None, "x", True, "inbox")
        with pytest.raises(ContractError, match="outside"):
            source.fetch(bad, tmp_path / "out")

    @pytest.mark.parametrize(
        "text",
        [
            "", "{", "[]", "{}", '{"received_at": 1, "original_name": "a.csv"}', "[" * 100_000, "1" + "0" * 5_000,
            '{"received_at": "0001-01-01T00:00:00+14:00", "original_name": "a.csv"}',
            '{"received_at": "9999-12-31T23:59:59-14:00", "original_name": "a.csv"}',
            '{"received_at": "2026-03-02", "original_name": "a.csv", "sender": ["x"]}',
            '{"received_at": "2026-03-02", "original_name": {"x": 1}}',
        ],
    )  # fmt: skip
    def test_a_broken_ticket_loses_no_file_and_is_told(self, settings: Settings, text: str) -> None:
        written(settings.inbox / DATASET / "ticket" / "delivery.json", text)
        written(settings.inbox / DATASET / "ticket" / "a.csv")
        source = inbox(settings)
        [file] = source.list()
        assert (file.name, file.complete) == ("a.csv", False)
        [problem] = source.problems
        assert problem.startswith("Der Abgabezettel delivery.json im Ordner „ticket“ ist nicht lesbar")

    def test_a_ticket_counts_only_in_the_inbox(self, settings: Settings, tmp_path: Path) -> None:
        """Who may write to a share could say in it who sent a file, and when."""
        said = {"received_at": "2019-01-01", "original_name": "a.csv", "sender": "03157006", "is_stated": True}
        written(tmp_path / "share" / "03157005" / "delivery.json", json.dumps(said))
        written(tmp_path / "share" / "03157005" / "a.csv")
        [file] = FolderSource(tmp_path / "share", "share", keeps_files=True).list()
        assert (file.key, file.sender, file.received_at, file.complete) == ("03157005/a.csv", None, None, False)

    def test_a_name_that_is_no_utf_8_can_be_recorded_and_fetched(self, settings: Settings, tmp_path: Path) -> None:
        source = inbox(settings)
        source.root.mkdir(parents=True)
        Path(os.fsdecode(os.fsencode(source.root) + b"/Fl\xfcchtlinge.csv")).write_text("1")
        [file] = source.list()
        assert file.name == "Flüchtlinge.csv"
        assert file.fingerprint.encode()
        source.fetch(file, tmp_path / "out")
        assert (tmp_path / "out").read_text() == "1"
        source.acknowledge(file)
        assert source.list() == []

    def test_a_pattern_narrows_plain_files_by_name_or_path(self, tmp_path: Path) -> None:
        for name in ("a.csv", "b.txt", "2026/c.csv"):
            written(tmp_path / name)
        by_name = FolderSource(tmp_path, "share", "*.csv", keeps_files=True)
        by_path = FolderSource(tmp_path, "share", "2026/*", keeps_files=True)
        assert sorted(file.key for file in by_name.list()) == ["2026/c.csv", "a.csv"]
        assert [file.key for file in by_path.list()] == ["2026/c.csv"]

    def test_acknowledging_empties_the_inbox_and_may_be_repeated(self, settings: Settings, office: Path) -> None:
        hand_in(settings, DATASET, [written(office / "a.csv")])
        written(settings.inbox / DATASET / "b.csv")
        written(settings.inbox / DATASET / "b.csv.done", "")
        source = inbox(settings)
        for file in source.list() * 2:
            source.acknowledge(file)
        assert list(source.root.iterdir()) == []

    def test_a_file_replaced_after_the_look_is_not_removed(self, settings: Settings) -> None:
        path = written(settings.inbox / DATASET / "a.csv")
        source = inbox(settings)
        [file] = source.list()
        written(path, "the next delivery, longer")
        source.acknowledge(file)
        assert path.exists()

    def test_what_else_lies_in_a_ticket_is_not_removed_with_it(self, settings: Settings, office: Path) -> None:
        [path] = hand_in(settings, DATASET, [written(office / "a.csv")])
        extra = written(path.parent / "nachtrag.csv")
        source = inbox(settings)
        source.acknowledge(next(file for file in source.list() if file.name == "a.csv"))
        assert extra.exists()
        assert [file.name for file in source.list()] == ["nachtrag.csv"]

    def test_somebody_elses_folder_is_only_read(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.csv")
        source = FolderSource(tmp_path, "share", keeps_files=True)
        source.acknowledge(source.list()[0])
        assert path.exists()

    def test_a_file_that_changed_since_the_look_is_not_fetched(self, settings: Settings, tmp_path: Path) -> None:
        path = written(settings.inbox / DATASET / "a.csv")
        source = inbox(settings)
        [file] = source.list()
        written(path, path.read_text() + "more\n")
        with pytest.raises(SourceError, match="was changed"):
            source.fetch(file, tmp_path / "out")
        assert list(tmp_path.glob("*out*")) == []

    def test_too_large_a_file_leaves_nothing_behind(self, settings: Settings, tmp_path: Path) -> None:
        written(settings.inbox / DATASET / "a.csv")
        source = FolderSource(settings.inbox / DATASET, limit=5)
        with pytest.raises(TeilhabeError, match="größer"):
            source.fetch(source.list()[0], tmp_path / "out")
        assert list(tmp_path.glob("*out*")) == []


class TestSettling:
    def test_a_growing_file_is_not_picked_up_and_one_at_rest_is(self, settings: Settings) -> None:
        growing = written(settings.inbox / DATASET / "growing.csv")
        written(settings.inbox / DATASET / "resting.csv")
        clock = Clock(meanwhile=lambda: written(growing, growing.read_text() + "more\n"))
        assert looked_at(inbox(settings), clock) == ["resting.csv"]
        assert sum(clock.slept) >= 2

    def test_a_rewritten_file_of_the_same_size_is_not_picked_up(self, settings: Settings) -> None:
        path = written(settings.inbox / DATASET / "a.csv", "12")

        def rewrite() -> None:
            written(path, "34")
            os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))

        assert looked_at(inbox(settings), Clock(rewrite)) == []

    def test_a_file_that_appears_between_the_looks_waits_for_the_next_time(self, settings: Settings) -> None:
        written(settings.inbox / DATASET / "a.csv")
        clock = Clock(lambda: written(settings.inbox / DATASET / "b.csv"))
        assert looked_at(inbox(settings), clock) == ["a.csv"]

    def test_a_done_flag_is_enough(self, settings: Settings) -> None:
        written(settings.inbox / DATASET / "a.csv")
        written(settings.inbox / DATASET / "a.csv.done", "")
        clock = Clock()
        assert looked_at(inbox(settings), clock) == ["a.csv"]
        assert clock.slept == []

    def test_a_flag_left_from_an_earlier_file_is_not(self, settings: Settings) -> None:
        flag = written(settings.inbox / DATASET / "a.csv.done", "")
        os.utime(flag, (1, 1))
        path = written(settings.inbox / DATASET / "a.csv")
        assert looked_at(inbox(settings), Clock(lambda: written(path, "still growing, and now longer"))) == []

    def test_tickets_are_taken_at_once(self, settings: Settings, office: Path) -> None:
        hand_in(settings, DATASET, [written(office / "a.csv")])
        clock = Clock()
        assert looked_at(inbox(settings), clock) == ["a.csv"]
        assert clock.slept == []

    def test_a_file_just_created_and_still_empty_is_a_copy_just_begun(self, settings: Settings) -> None:
        path = written(settings.inbox / DATASET / "a.csv", "")
        created = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        assert looked_at(inbox(settings), Clock(), now=lambda: created + timedelta(seconds=5)) == []
        assert looked_at(inbox(settings), Clock(), now=lambda: created + timedelta(minutes=5)) == ["a.csv"]

    def test_what_was_seen_is_skipped_where_files_stay(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.csv")
        source = FolderSource(tmp_path, "share", keeps_files=True)
        seen = {file.fingerprint for file in source.list()}
        assert looked_at(source, Clock(), seen=seen) == []
        written(path, "corrected and longer than before\n")
        assert looked_at(source, Clock(), seen=seen) == ["a.csv"]

    def test_the_same_file_dropped_into_the_inbox_again_is_taken_again(self, settings: Settings) -> None:
        written(settings.inbox / DATASET / "a.csv")
        seen = {file.fingerprint for file in inbox(settings).list()}
        assert looked_at(inbox(settings), Clock(), seen=seen) == ["a.csv"]


class TestArchive:
    def entry(self, sha256: str, **more: Any) -> ManifestEntry:
        return ManifestEntry(DATASET, NOON, sha256, 3, "a.csv", "x@amt.example", "inbox", "2026-02", **more)

    def test_bytes_are_kept_under_their_hash_and_come_back_as_they_were(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        archive = Archive(settings.archive_url)
        kept = archive.put(written(tmp_path / "a.csv", "abc"))
        assert kept.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert kept.size == 3
        assert kept.uri == (settings.home / "archive" / "objects" / "ba" / kept.sha256).as_uri()
        assert archive.local(kept.sha256, tmp_path / "work").read_text() == "abc"

    def test_the_same_bytes_again_are_the_same_object_untouched(self, settings: Settings, tmp_path: Path) -> None:
        archive = Archive(settings.archive_url)
        first = archive.put(written(tmp_path / "a.csv"))
        before = self.object(settings, first.sha256).stat()
        assert archive.put(written(tmp_path / "b.csv")) == first
        after = self.object(settings, first.sha256).stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)

    def test_a_torn_object_is_written_anew(self, settings: Settings, tmp_path: Path) -> None:
        archive = Archive(settings.archive_url)
        kept = archive.put(written(tmp_path / "a.csv", "abc"))
        whole = self.object(settings, kept.sha256).read_bytes()
        for torn in (whole[:-1], whole[:5], b""):
            self.object(settings, kept.sha256).write_bytes(torn)
            assert archive.size(kept.sha256) is None
            with pytest.raises(TeilhabeError, match="damaged"):
                archive.check(kept.sha256)
            archive.put(tmp_path / "a.csv")
            assert self.object(settings, kept.sha256).read_bytes() == whole

    def test_bytes_are_kept_compressed_and_counted_as_they_were(self, settings: Settings, tmp_path: Path) -> None:
        archive = Archive(settings.archive_url)
        text = "03157001;2024;100\r\n" * 100_000
        kept = archive.put(written(tmp_path / "a.csv", text))
        assert kept.size == archive.size(kept.sha256) == len(text)
        assert self.object(settings, kept.sha256).stat().st_size < len(text) / 100
        assert archive.local(kept.sha256, tmp_path / "work").read_bytes() == text.encode()
        empty = archive.put(written(tmp_path / "empty.csv", ""))
        assert archive.size(empty.sha256) == 0
        assert archive.local(empty.sha256, tmp_path / "work").read_bytes() == b""

    def test_what_was_kept_as_it_is_stays_readable_and_is_not_written_again(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        archive = Archive(settings.archive_url)
        plain = self.object(settings, hashlib.sha256(b"abc").hexdigest()).with_suffix("")
        plain.parent.mkdir(parents=True)
        plain.write_bytes(b"abc")
        kept = archive.put(written(tmp_path / "a.csv", "abc"))
        assert [path.name for path in plain.parent.iterdir()] == [kept.sha256]
        assert archive.size(kept.sha256) == 3
        assert archive.local(kept.sha256, tmp_path / "work").read_text() == "abc"
        plain.write_bytes(b"a")
        archive.put(tmp_path / "a.csv")
        assert [path.name for path in plain.parent.iterdir()] == [f"{kept.sha256}.zst"]

    def test_a_file_out_of_a_container_is_not_stored_twice(self, settings: Settings, tmp_path: Path) -> None:
        archive = Archive(settings.archive_url)
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as container:
            container.writestr("2024/a.csv", "abc")
        outer = archive.put(tmp_path / "all.zip")
        inner = archive.put_member(written(tmp_path / "a.csv", "abc"), outer.sha256, "all.zip", "2024/a.csv")
        [there] = self.object(settings, inner.sha256).parent.iterdir()
        assert there.name == f"{inner.sha256}.member"
        assert archive.size(inner.sha256) == 3
        assert archive.local(inner.sha256, tmp_path / "work").read_text() == "abc"
        archive.check(inner.sha256)
        assert archive.put(tmp_path / "a.csv") == inner and list(there.parent.iterdir()) == [there]
        self.object(settings, outer.sha256).unlink()
        assert archive.size(inner.sha256) is None
        with pytest.raises(TeilhabeError, match=f"has no object {outer.sha256}"):
            archive.check(inner.sha256)
        archive.put(tmp_path / "a.csv")
        assert [path.name for path in there.parent.iterdir()] == [f"{inner.sha256}.zst"]

    def test_altered_bytes_are_never_handed_out(self, settings: Settings, tmp_path: Path) -> None:
        archive = Archive(settings.archive_url)
        kept = archive.put(written(tmp_path / "a.csv", "abc"))
        self.object(settings, kept.sha256).write_text("xyz")
        with pytest.raises(TeilhabeError, match="damaged"):
            archive.local(kept.sha256, tmp_path / "work")
        assert list((tmp_path / "work").iterdir()) == []

    def test_a_local_copy_that_was_altered_is_fetched_again(self, settings: Settings, tmp_path: Path) -> None:
        archive = Archive(settings.archive_url)
        kept = archive.put(written(tmp_path / "a.csv", "abc"))
        archive.local(kept.sha256, tmp_path / "work").write_text("xyz")
        assert archive.local(kept.sha256, tmp_path / "work").read_text() == "abc"

    @pytest.mark.parametrize("sha256", ["0" * 64, "../../etc/passwd", ""])
    def test_what_is_not_there_is_an_error_that_no_retry_mends(
        self, settings: Settings, tmp_path: Path, sha256: str
    ) -> None:
        with pytest.raises(TeilhabeError) as caught:
            Archive(settings.archive_url).local(sha256, tmp_path)
        assert not isinstance(caught.value, SourceError)

    def test_everything_is_for_its_owner_only(self, settings: Settings, tmp_path: Path) -> None:
        archive = Archive(settings.archive_url)
        kept = archive.put(written(tmp_path / "a.csv"))
        archive.record(self.entry(kept.sha256))
        paths = [settings.home / "archive", *(settings.home / "archive").rglob("*")]
        modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in paths}
        assert modes == {(True, 0o700), (False, 0o600)}

    def test_the_same_bytes_arriving_twice_are_two_entries_and_one_object(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        archive = Archive(settings.archive_url)
        for _ in range(2):
            kept = archive.put(written(tmp_path / "a.csv", "abc"))
            archive.record(self.entry(kept.sha256))
        assert archive.manifest(DATASET) == [self.entry(kept.sha256)] * 2
        names = sorted(path.name for path in (settings.home / "archive/manifest" / DATASET).iterdir())
        assert names == [f"20260302T120000000000Z-ba7816bf8f01-{n}.json" for n in (1, 2)]
        assert len([path for path in (settings.home / "archive/objects").rglob("*") if path.is_file()]) == 1

    def test_no_entry_is_ever_overwritten(self, settings: Settings) -> None:
        archive = Archive(settings.archive_url)
        first = archive.record(self.entry("0" * 64, arrival="ticket 1"))
        second = archive.record(self.entry("0" * 64, arrival="ticket 2"))
        assert first != second
        assert [entry.arrival for entry in archive.manifest(DATASET)] == ["ticket 1", "ticket 2"]

    def test_an_unusable_archive_address_is_named(self) -> None:
        with pytest.raises(ContractError, match="TEILHABE_ARCHIVE_URL"):
            Archive("nonsense://x")

    @staticmethod
    def object(settings: Settings, sha256: str) -> Path:
        return settings.home / "archive" / "objects" / sha256[:2] / f"{sha256}.zst"


class TestCrash:
    def test_between_archive_and_acknowledge_nothing_is_lost_and_nothing_counted_twice(
        self, settings: Settings, office: Path, tmp_path: Path
    ) -> None:
        archive = Archive(settings.archive_url)
        hand_in(settings, DATASET, [written(office / "a.csv", "abc")], NOON)

        def pick_up() -> RemoteFile:
            [file] = settled(inbox(settings))
            inbox(settings).fetch(file, tmp_path / "work")
            kept = archive.put(tmp_path / "work")
            archive.record(ManifestEntry(DATASET, NOON, kept.sha256, kept.size, file.name, arrival=file.fingerprint))
            return file

        pick_up()  # and here the machine goes down
        file = pick_up()
        inbox(settings).acknowledge(file)

        assert inbox(settings).list() == []
        assert len(archive.manifest(DATASET)) == 1
        assert archive.local(archive.manifest(DATASET)[0].sha256, tmp_path / "again").read_text() == "abc"

    def test_while_copying_into_the_archive_no_half_object_appears(
        self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archive = Archive(settings.archive_url)

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as broken:
            broken.setattr(Path, "replace", crash)
            with pytest.raises(KeyboardInterrupt):
                archive.put(written(tmp_path / "a.csv", "abc"))
        assert not (settings.home / "archive" / "objects").is_dir() or not [
            path for path in (settings.home / "archive" / "objects").rglob("*") if path.is_file()
        ]
        assert archive.put(tmp_path / "a.csv").size == 3

    def test_what_a_killed_process_left_half_written_goes_after_a_day(self, settings: Settings, tmp_path: Path) -> None:
        archive = Archive(settings.archive_url)
        archive.put(written(tmp_path / "a.csv", "abc"))
        waiting = settings.home / "archive" / "waiting"
        for name, age in (("old", 25), ("new", 1)):
            at = datetime.now(UTC).timestamp() - age * 3600
            os.utime(written(waiting / name, "half"), (at, at))
        assert archive.sweep() == 1
        assert [path.name for path in waiting.iterdir()] == ["new"]


class TestOpenSource:
    @staticmethod
    def server(kind: str, **more: Any) -> SimpleNamespace:
        return SimpleNamespace(server="office", type=kind, **more)

    def test_local_without_a_path_is_the_inbox_of_the_dataset(self, settings: Settings) -> None:
        source = open_source(self.server("local"), settings, dataset_id=DATASET)
        assert isinstance(source, FolderSource)
        assert (source.root, source.keeps_files) == (settings.inbox / DATASET, False)

    def test_an_absolute_path_is_somebody_elses_folder(self, settings: Settings, tmp_path: Path) -> None:
        source = open_source(self.server("local", path=f"{tmp_path}/share/*.csv"), settings)
        assert isinstance(source, FolderSource)
        assert (source.root, source.pattern, source.keeps_files) == (tmp_path / "share", "*.csv", True)

    @pytest.mark.parametrize("dataset_id", [None, DATASET])
    def test_a_relative_path_is_the_inbox_that_files_are_handed_in_to(
        self, settings: Settings, office: Path, dataset_id: str | None
    ) -> None:
        hand_in(settings, DATASET, [written(office / "a.csv")])
        source = open_source(self.server("local", path="inbox/jobcenter/participants"), settings, dataset_id=dataset_id)
        assert [file.name for file in source.list()] == ["a.csv"]
        assert not source.keeps_files

    def test_a_relative_path_of_another_dataset_is_refused(self, settings: Settings) -> None:
        with pytest.raises(ContractError, match="is not the inbox of"):
            open_source(self.server("local", path="inbox/police/offences"), settings, dataset_id=DATASET)

    @pytest.mark.parametrize("path", ["../secrets", "inbox/../..", ""])
    def test_a_relative_path_may_not_leave_the_inbox(self, settings: Settings, path: str) -> None:
        with pytest.raises(ContractError, match="names no dataset's inbox"):
            open_source(self.server("local", path=path), settings)

    def test_web_addresses(self, settings: Settings) -> None:
        source = open_source(self.server("api", location="https://a.example/1.csv\nhttps://a.example/2.csv"), settings)
        assert isinstance(source, WebSource)
        assert source.urls == ("https://a.example/1.csv", "https://a.example/2.csv")

    @pytest.mark.parametrize("location", ["", "file:///etc/passwd", "https://me:secret@a.example/x.csv"])
    def test_other_addresses_are_refused_without_repeating_them(self, settings: Settings, location: str) -> None:
        with pytest.raises(ContractError) as caught:
            open_source(self.server("api", location=location), settings)
        assert "secret" not in str(caught.value)

    def test_sftp_with_connection_and_pattern(self, settings: Settings) -> None:
        login = Credentials("teilhabe", "geheim")
        server = self.server(
            "sftp",
            location="sftp://files.amt.example:2222/out",
            customProperties=[
                SimpleNamespace(property="connection", value="amt"),
                {"property": "pattern", "value": "pks_*.xlsx"},
            ],
        )
        source = open_source(server, settings, {"amt": login}.__getitem__)
        assert source == SftpSource("files.amt.example", 2222, "/out", "office", "pks_*.xlsx", login)

    def test_s3_with_a_glob_in_the_location(self, settings: Settings) -> None:
        server = self.server("s3", location="s3://bucket/out/*.csv", endpoint_url="https://s3.amt.example")
        assert open_source(server, settings) == S3Source(
            "bucket/out", "office", "*.csv", Credentials(), "https://s3.amt.example"
        )

    def test_custom_is_told_by_its_scheme(self, settings: Settings) -> None:
        source = open_source(self.server("custom", location="sftp://files.amt.example/out"), settings)
        assert isinstance(source, SftpSource)

    def test_a_type_that_holds_no_files_is_named(self, settings: Settings) -> None:
        with pytest.raises(ContractError, match="'oracle'"):
            open_source(self.server("oracle"), settings)


class TestCredentials:
    @pytest.mark.parametrize(
        "text",
        [
            "sftp://amt:ge%2Fheim@files.amt.example:2222/?no_host_key_check=true",
            "sftp://amt:ge%2Fheim@files.amt.example:2222/?__extra__=%7B%22no_host_key_check%22%3A+true%7D",
            '{"conn_type": "sftp", "login": "amt", "password": "ge/heim", "host": "files.amt.example", "port": "2222",'
            ' "extra": {"no_host_key_check": true}}',
            '{"login": "amt", "password": "ge/heim", "host": "files.amt.example", "port": 2222,'
            ' "extra": "{\\"no_host_key_check\\": true}"}',
        ],
    )
    def test_a_connection_is_read_as_airflow_writes_it(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_AMT", text)
        found = environment_credentials("amt")
        assert (found.login, found.password, found.host, found.port) == ("amt", "ge/heim", "files.amt.example", 2222)
        assert found.flag("no_host_key_check")

    def test_a_missing_connection_names_the_variable(self) -> None:
        with pytest.raises(ContractError, match="AIRFLOW_CONN_NOT_THERE"):
            environment_credentials("not_there")

    @pytest.mark.parametrize("text", ['{"password": "geheim"', "geheim", "sftp://amt:geheim@host:port/", "{}geheim"])
    def test_a_broken_connection_never_shows_its_text(self, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_AMT", text)
        with pytest.raises(ContractError) as caught:
            environment_credentials("amt")
        assert "geheim" not in str(caught.value)
        assert caught.value.__suppress_context__

    def test_passwords_do_not_show(self) -> None:
        assert "geheim" not in repr(Credentials("amt", "geheim", extra={"private_key": "geheim"}))
