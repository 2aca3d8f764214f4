"""Kills with SIGKILL at random moments, and what must be true afterwards.

The steps are the pipeline's own functions, called as Airflow's tasks call them, each in a process forked for it; the scheduler itself
is not started (that a task killed with it is taken up again is tested in tests/integration/test_services.py).
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psutil

from teilhabe import landing, ops
from teilhabe.building import releasing
from teilhabe.errors import TeilhabeError
from teilhabe.keeping import backup, checking
from teilhabe.messages import outbox
from teilhabe.pipeline import pipeline
from teilhabe.raw import loading
from teilhabe.reading import confined
from teilhabe.server import warehouse
from teilhabe.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
DATASET = "state_monitor__foreigners"
NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


@dataclass
class Phase:
    """One step that was killed again and again."""

    name: str
    kills: int = 0
    """Processes that were alive when the signal came."""
    finished: int = 0
    """Those that had come to their end before."""
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class House:
    """A small home of one dataset and what has been handed in."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self.settings = settings
        self.random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.good = self.bad = 0
        self._drafts = settings.home / "drafts"
        self._drafts.mkdir(parents=True, exist_ok=True)
        self._durations: dict[str, float] = {}

    # ------------------------------------------------------------------------------------------------------------ steps

    def hand_in(self, *, good: bool = True) -> None:
        """A file nobody has sent before; a bad one has no numbers."""
        number = self.good + self.bad
        out = io.StringIO(newline="")
        rows = [(2005 + n, "Peine", "K03157", 1000 + 10 * number + n if good else f"viele {number}") for n in range(15)]
        csv.writer(out, lineterminator="\r\n").writerows([("Year", "Gebietseinheit", "GeoCode", "Value"), *rows])
        path = self._drafts / f"zahlen_{number}.csv"
        path.write_text(out.getvalue(), encoding="utf-8", newline="")
        landing.hand_in(self.settings, DATASET, [path], NOON - timedelta(days=300) + timedelta(hours=number))
        self.good, self.bad = self.good + good, self.bad + (not good)

    @property
    def contract(self) -> Any:
        return pipeline.contract(self.settings, DATASET)

    def archive(self) -> None:
        waiting = pipeline.poll(self.settings, self.contract, _no_connection)
        pipeline.archive(self.settings, self.contract, waiting, _no_connection)

    def judge(self) -> None:
        pipeline.judge(self.settings, self.contract)

    def load(self) -> None:
        pipeline.load(self.settings, self.contract)

    def finish(self) -> None:
        """The next run."""
        self.archive()
        pipeline.take_in(self.settings, self.contract)

    def send(self) -> None:
        pipeline.follow_up(self.settings, NOON, lambda _: landing.Credentials())

    def back_up(self) -> None:
        backup.backup(self.settings, self.settings.home.parent / "backup")

    # ------------------------------------------------------------------------------------------------------------ kills

    def in_child(self, work: Callable[[], object]) -> int:
        """A process for one step. It shares the process that waits to read files: starting one takes longer than the step."""
        confined.prepare()
        shared = os.dup(confined.WAITING._control.fileno())  # type: ignore[union-attr]
        child = os.fork()
        if child:
            os.close(shared)
            return child
        code = 1
        try:
            import socket

            confined.WAITING._control = socket.socket(fileno=shared)
            work()
            code = 0
        except BaseException:
            with (self.settings.home / "children.log").open("a", encoding="utf-8") as log:
                traceback.print_exc(file=log)
        finally:
            sys.stdout.flush()
            os._exit(code)

    def whole(self, work: Callable[[], object]) -> bool:
        """A step that nobody kills; whether it ended well."""
        _, status = os.waitpid(self.in_child(work), 0)
        return status == 0

    def duration(self, name: str, work: Callable[[], object]) -> float:
        """How long the step takes when nobody kills it, measured once."""
        if name not in self._durations:
            started = time.monotonic()
            if not self.whole(work):
                raise TeilhabeError(f"{name} does not even work when nobody kills it: {self.said()}")
            self._durations[name] = time.monotonic() - started
        return self._durations[name]

    def said(self) -> str:
        """The last error of a step."""
        log = self.settings.home / "children.log"
        return log.read_text(encoding="utf-8")[-2000:] if log.is_file() else ""

    def killed(self, phase: Phase, work: Callable[[], object], longest: float) -> None:
        child = self.in_child(work)
        time.sleep(self.random.uniform(0, longest))
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            phase.kills += 1
        else:
            phase.finished += 1

    # ------------------------------------------------------------------------------------------------------- afterwards

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with loading.session(self.settings) as conn:
            return conn.execute(query.encode()).fetchall()

    def wrong(self) -> list[str]:
        """What is lost, doubled or left over."""
        found = []
        states = dict(self.ask("select state, count(*) from ops.delivery where state <> 'duplicate' group by 1"))
        if states != {k: v for k, v in {"loaded": self.good, "quarantined": self.bad}.items() if v}:
            found.append(f"{self.good} good and {self.bad} bad files became {states}")
        rows = self.ask(f"select _delivery_id, count(*), count(distinct _row_number) from raw.{DATASET} group by 1")
        if len(rows) != self.good or any(row[1:] != (15, 15) for row in rows):
            found.append(
                f"raw has {len(rows)} deliveries, some not of 15 rows each: {[r for r in rows if r[1] != 15][:3]}"
            )
        if left := pipeline.waiting_in_inbox(self.settings, DATASET):
            found.append(f"{left} files are still in the inbox")
        for part in checking.check(self.settings, full=True):
            found += [f"check, {part.subject}: {problem}" for problem in part.problems if part.subject != "disk"]
        return found

    def wrong_messages(self) -> list[str]:
        """Every refused file is told once, and every message lies in the folder once."""
        found = []
        told = self.ask(
            "select count(*), count(distinct d.delivery_id) from ops.message_delivery as d"
            " join ops.message as m using (message_id) where m.kind = 'verdict'"
        )[0]
        if told[0] != told[1]:
            found.append(f"{told[0]} verdicts were written about {told[1]} deliveries")
        left = self.ask(
            "select count(*) from ops.message where state not in ('sent', 'unaddressed', 'waiting', 'skipped')"
        )
        if left != [(0,)]:
            found.append(f"{left[0][0]} messages are in between")
        with loading.session(self.settings) as conn:
            from teilhabe.ops import incidents

            if waiting := incidents.unfollowed(conn):
                found.append(f"{len(waiting)} verdicts were told to nobody")
        [[sent]] = self.ask("select count(*) from ops.message where state = 'sent'")
        files = list((self.settings.home / outbox.FOLDER).glob("*.eml"))
        if len(files) != sent:
            found.append(f"{sent} messages are sent, {len(files)} lie in the folder")
        return found


def run(
    settings: Settings, kills: int, seed: int, wanted: tuple[str, ...], tell: Callable[[Phase], None]
) -> list[Phase]:
    """Every phase with so many kills, one after the other in one home."""
    import great_expectations  # noqa: F401 - read once, not in every process

    from teilhabe.messages import compose  # noqa: F401
    from teilhabe.validation import row_exclusion, verdict  # noqa: F401

    house = House(settings, seed)
    phases = []
    for name in wanted:
        phase = Phase(name)
        started = time.monotonic()
        _PHASES[name](house, phase, kills)
        phase.problems += house.wrong()
        phase.seconds = time.monotonic() - started
        phases.append(phase)
        tell(phase)
    return phases


def _step(name: str, before: str | None) -> Callable[[House, Phase, int], None]:
    """A step of a delivery: after two kills the next run, for what kills its process three times is refused."""

    def phase_of(house: House, phase: Phase, kills: int) -> None:
        work = getattr(house, name)

        def prepared() -> None:
            house.hand_in()
            for step in ("archive", "judge"):
                if before is not None and step <= before:
                    house.whole(getattr(house, step))

        prepared()
        longest = house.duration(name, work)
        while phase.kills < kills and phase.kills + phase.finished < kills * 3:
            prepared()
            for _ in range(2):
                house.killed(phase, work, longest)
            if not house.whole(house.finish):
                phase.problems.append("the next run failed")

    return phase_of


def _send(house: House, phase: Phase, kills: int) -> None:
    house.hand_in(good=False)
    house.whole(house.finish)
    longest = house.duration("send", house.send)
    while phase.kills < kills and phase.kills + phase.finished < kills * 3:
        for _ in range(3):
            house.hand_in(good=False)
        house.whole(house.finish)
        for _ in range(6):
            house.killed(phase, house.send, longest)
        if not house.whole(house.send):
            phase.problems.append("the next round failed")
    phase.problems += house.wrong_messages()


def _backup(house: House, phase: Phase, kills: int) -> None:
    place = house.settings.home.parent / "backup"
    longest = house.duration("backup", house.back_up)
    while phase.kills < kills and phase.kills + phase.finished < kills * 3:
        house.hand_in()
        house.whole(house.finish)
        for _ in range(10):
            house.killed(phase, house.back_up, longest)
        if not house.whole(house.back_up):
            phase.problems.append("the next backup failed")
        for made in backup.sets(place)[-3:]:
            try:
                backup.verify(place, made)
            except TeilhabeError as error:
                phase.problems.append(str(error))
        for old in backup.sets(place)[:-1]:
            shutil.rmtree(old.folder)
    if drafts := list((place / "sets").glob(".*")):
        phase.problems.append(f"{len(drafts)} interrupted sets are left")


def _database(house: House, phase: Phase, kills: int) -> None:
    """The server dies under a run."""
    house.hand_in()
    longest = house.duration("run", house.finish)
    while phase.kills < kills and phase.kills + phase.finished < kills * 3:
        house.hand_in()
        child = house.in_child(house.finish)
        time.sleep(house.random.uniform(0, longest))
        if _kill_server(house.settings):
            phase.kills += 1
        else:
            phase.finished += 1
        os.waitpid(child, 0)
        warehouse.ensure_running(house.settings)
        if not house.whole(house.finish):
            phase.problems.append("the next run failed")


def _kill_server(settings: Settings) -> bool:
    """Whether there was one."""
    pid = int(
        ((settings.home / "postgres").resolve() / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0]
    )
    try:
        server = psutil.Process(pid)
        server.kill()
        server.wait(10)  # on a busy machine a killed process lives on for a moment
    except psutil.NoSuchProcess:
        return False
    return True


def _two_at_once(house: House, phase: Phase, kills: int) -> None:
    """Two runs of one dataset, and two uploads of one file."""
    for _ in range(max(kills // 10, 1)):
        house.hand_in()
        same = house._drafts / f"zahlen_{house.good + house.bad - 1}.csv"

        def upload(path: Path = same) -> None:
            landing.hand_in(house.settings, DATASET, [path], NOON)

        children = [house.in_child(work) for work in (upload, upload, house.finish, house.finish)]
        for child in children:
            os.waitpid(child, 0)
        phase.finished += len(children)
        if not house.whole(house.finish):
            phase.problems.append("the next run failed")


# ----------------------------------------------------------------------------------------------------------------- publish

_CANDIDATE = """
create table if not exists intermediate.build_state (
    model text, part_code text, period_code text, digest text, primary key (model, part_code, period_code)
);
drop table if exists candidate.fct_proof cascade;
create unlogged table candidate.fct_proof (
    territory_code text, known_from timestamptz, value numeric, primary key (territory_code, known_from)
);
insert into candidate.fct_proof select lpad(n::text, 8, '0'), '2024-01-01', {value} from generate_series(1, 20000) as n;
"""


def _publish(house: House, phase: Phase, kills: int) -> None:
    """Readers see the release before or the next one, never something between."""
    manifest = house.settings.home / "manifest.json"
    manifest.write_text('{"nodes": {}}', encoding="utf-8")
    value = 0

    def candidate(number: int) -> int:
        with warehouse.connect("transformer", house.settings) as conn:
            conn.execute(_CANDIDATE.format(value=number).encode())
        with loading.session(house.settings) as conn:
            build_id = ops.start_build(conn, [], code_version="faults", run_id=None)
        releasing.approve(house.settings, build_id)
        return build_id

    def seen() -> list[tuple[Any, ...]]:
        with warehouse.connect("analyst", house.settings) as conn:
            return conn.execute("select value, count(*) from marts.fct_proof group by 1").fetchall()

    build_id = candidate(value)
    longest = house.duration("publish", lambda: releasing.publish(house.settings, build_id, manifest=manifest))
    while phase.kills < kills and phase.kills + phase.finished < kills * 3:
        build_id = candidate(value + 1)

        def work(build_id: int = build_id) -> None:
            releasing.publish(house.settings, build_id, manifest=manifest)

        house.killed(phase, work, longest)
        if (now := seen()) not in ([(value, 20000)], [(value + 1, 20000)]):
            phase.problems.append(f"readers saw {now}")
        house.whole(work)  # it is published already where the kill came late
        if seen() != [(value + 1, 20000)]:
            phase.problems.append(f"after the next publication readers saw {seen()}")
        value += 1


_PHASES: dict[str, Callable[[House, Phase, int], None]] = {
    "archive": _step("archive", None),
    "judge": _step("judge", "archive"),
    "load": _step("load", "judge"),
    "send": _send,
    "publish": _publish,
    "backup": _backup,
    "database": _database,
    "two at once": _two_at_once,
}
ALL = tuple(_PHASES)


def _no_connection(name: str) -> landing.Credentials:
    raise TeilhabeError(f"the inbox needs no connection {name}")


@contextmanager
def home(folder: Path, settings: Settings) -> Iterator[Settings]:
    """A home of its own with one agency's contracts and its own server."""
    from dataclasses import replace

    project = folder / "project"
    for name in ("agencies/state_monitor", "agencies/register", "expectations", "dbt_project/seeds"):
        shutil.copytree(PROJECT / name, project / name)
    shutil.copy(PROJECT / "pyproject.toml", project / "pyproject.toml")
    own = replace(settings, home=folder / "home", project=project, archive_url=(folder / "home" / "archive").as_uri())
    warehouse.ensure_running(own)
    try:
        warehouse.provision(own)
        pipeline.install(own)
        yield own
    finally:
        warehouse.discard(own)
        shutil.rmtree(folder, ignore_errors=True)


def table(phases: list[Phase]) -> list[str]:
    lines = ["| killed while | kills | came to its end before | lost, doubled or stuck | s |", "|---|---|---|---|---|"]
    return lines + [f"| {p.name} | {p.kills} | {p.finished} | {len(p.problems)} | {p.seconds:.0f} |" for p in phases]
