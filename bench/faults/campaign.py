"""Kills with SIGKILL at random moments, and what must be true afterwards.

The steps are the pipeline's own functions, called as Airflow's tasks call them, each in a process forked for it; the scheduler itself
is not started (that a task killed with it is taken up again is tested in tests/integration/test_services.py).
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psutil

from teilhabe import landing, ops
from teilhabe.building import building, releasing
from teilhabe.contract import lookup
from teilhabe.errors import TeilhabeError
from teilhabe.keeping import backup, checking
from teilhabe.messages import outbox
from teilhabe.pipeline import archiving, installing, taking_in
from teilhabe.pipeline.follow_up import follow_up
from teilhabe.pipeline.waiting import poll, waiting_in_inbox
from teilhabe.raw import loading
from teilhabe.reading import confined
from teilhabe.server import connecting, embedded, provisioning
from teilhabe.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
DATASET = "state_monitor__foreigners"
NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


@dataclass
class Phase:
    """One step that was killed again and again."""

    name: str
    kills: int = 0
    """Processes that were alive when the signal came; of ``two at once`` the rounds, for nothing is killed there."""
    finished: int = 0
    """Those that had come to their end before."""
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    until: float = math.inf
    """By ``time.monotonic``: the phase begins nothing new after it and is complete as far as it went."""

    def goes_on(self, kills: int) -> bool:
        """Whether more is to be killed; what always ends before its signal does not go on for ever."""
        return self.kills < kills and self.kills + self.finished < kills * 3 and time.monotonic() < self.until


class House:
    """A small home of one dataset and what has been handed in."""

    def __init__(self, settings: Settings, seed: int) -> None:
        self.settings = settings
        self.random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.good = self.bad = 0
        self._drafts = settings.home / "drafts"
        self._drafts.mkdir(parents=True, exist_ok=True)
        self._longest = 1.0

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
        return lookup.contract(self.settings, DATASET)

    def archive(self) -> None:
        waiting = poll(self.settings, self.contract, _no_connection)
        archiving.archive(self.settings, self.contract, waiting, _no_connection)

    def judge(self) -> None:
        taking_in.judge(self.settings, self.contract)

    def take_in(self) -> None:
        taking_in.take_in(self.settings, self.contract)

    def finish(self) -> None:
        """The next run."""
        self.archive()
        self.take_in()

    def build(self) -> None:
        building.build(self.settings)

    def send(self) -> None:
        follow_up(self.settings, NOON, lambda _: landing.Credentials())

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

    def measure(self, work: Callable[[], object]) -> None:
        """Find out how long the step takes when nobody kills it: within that time the signals come."""
        started = time.monotonic()
        if not self.whole(work):
            raise TeilhabeError(f"The step does not even work when nobody kills it: {self.said()}")
        self._longest = time.monotonic() - started

    def said(self) -> str:
        """The last error of a step."""
        log = self.settings.home / "children.log"
        return log.read_text(encoding="utf-8")[-2000:] if log.is_file() else ""

    def killed(self, phase: Phase, work: Callable[[], object]) -> None:
        child = self.in_child(work)
        self.wait_a_moment()
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        self.note(phase, was_alive=os.WIFSIGNALED(status))

    def wait_a_moment(self) -> None:
        time.sleep(self.random.uniform(0, self._longest))

    def note(self, phase: Phase, *, was_alive: bool) -> None:
        """Signals that come too late make the next ones come earlier: how long a step takes depends on who else computes."""
        phase.kills += was_alive
        phase.finished += not was_alive
        self._longest *= 1.05 if was_alive else 0.85

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
        if left := waiting_in_inbox(self.settings, DATASET):
            found.append(f"{left} files are still in the inbox")
        for part in checking.check(self.settings, full=True):
            found += [f"check, {part.subject}: {problem}" for problem in part.problems if part.subject != "disk"]
        return found

    def published(self) -> int:
        """Deliveries in the marts; -1 where one of them is not there with all its numbers."""
        with connecting.connect("analyst", self.settings) as conn:
            rows = conn.execute(
                "select count(*), sum(value) from marts.fct_observation_vintage where territorial_basis <> 'converted' and not is_derived"
                " group by delivery_id order by delivery_id"
            ).fetchall()
        # As ``hand_in`` writes them: fifteen numbers, each file's ten more than those of the file before.
        numbers = [int(total) // 15 - 1007 if count == 15 else -1 for count, total in rows]
        return len(rows) if numbers == [10 * number for number in range(len(rows))] else -1

    def wrong_marts(self) -> list[str]:
        found = [] if (seen := self.published()) == self.good else [f"{seen} of {self.good} deliveries are published"]
        if left := self.ask("select delivery_id from ops.delivery_to_build"):
            found.append(f"deliveries {left} were not built")
        running = self.ask("select count(*) from ops.build where state = 'running'")
        return found + ([] if running == [(0,)] else [f"{running[0][0]} builds are still said to run"])

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
    settings: Settings,
    kills: Mapping[str, int],
    seed: int,
    tell: Callable[[Phase], None],
    until: float = math.inf,
) -> list[Phase]:
    """Every phase with so many kills, one after the other in one home; what is reached ``until`` then is enough."""
    import great_expectations  # noqa: F401 - read once, not in every process

    from teilhabe.messages import compose  # noqa: F401
    from teilhabe.validation import row_exclusion, verdict  # noqa: F401

    house = House(settings, seed)
    phases = []
    for name, wanted in kills.items():
        if time.monotonic() > until:
            break
        phase = Phase(name, until=until)
        started = time.monotonic()
        _PHASES[name](house, phase, wanted)
        phase.problems += house.wrong()
        phase.seconds = time.monotonic() - started
        phases.append(phase)
        tell(phase)
    return phases


def _step(name: str, *before: str) -> Callable[[House, Phase, int], None]:
    """A step of a delivery: after two kills the next run, for what kills its process three times is refused."""

    def phase_of(house: House, phase: Phase, kills: int) -> None:
        work = getattr(house, name)

        def prepared() -> None:
            house.hand_in()
            for step in before:
                house.whole(getattr(house, step))

        prepared()
        house.measure(work)
        while phase.goes_on(kills):
            prepared()
            for _ in range(2):
                house.killed(phase, work)
            if not house.whole(house.finish):
                phase.problems.append("the next run failed")

    return phase_of


def _send(house: House, phase: Phase, kills: int) -> None:
    house.hand_in(good=False)
    house.whole(house.finish)
    house.measure(house.send)
    while phase.goes_on(kills):
        for _ in range(3):
            house.hand_in(good=False)
        house.whole(house.finish)
        for _ in range(6):
            house.killed(phase, house.send)
        if not house.whole(house.send):
            phase.problems.append("the next round failed")
    phase.problems += house.wrong_messages()


def _backup(house: House, phase: Phase, kills: int) -> None:
    place = house.settings.home.parent / "backup"
    house.measure(house.back_up)
    while phase.goes_on(kills):
        house.hand_in()
        house.whole(house.finish)
        for _ in range(10):
            house.killed(phase, house.back_up)
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
    house.measure(house.finish)
    while phase.goes_on(kills):
        house.hand_in()
        child = house.in_child(house.finish)
        house.wait_a_moment()
        was_alive = os.waitpid(child, os.WNOHANG) == (0, 0)
        _kill_server(house.settings)
        embedded.ensure_running(house.settings)  # as `up` does it when the server is gone
        if was_alive:
            os.waitpid(child, 0)
        house.note(phase, was_alive=was_alive)
        if not house.whole(house.finish):
            phase.problems.append("the next run failed")


def _kill_server(settings: Settings) -> None:
    pid = int(
        ((settings.home / "postgres").resolve() / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0]
    )
    server = psutil.Process(pid)
    server.kill()
    server.wait(10)  # on a busy machine a killed process lives on for a moment


def _two_at_once(house: House, phase: Phase, kills: int) -> None:
    """Two runs of one dataset, and two uploads of one file."""
    house.hand_in()
    house.measure(house.finish)
    while phase.goes_on(kills):
        house.hand_in()
        same = house._drafts / f"zahlen_{house.good + house.bad - 1}.csv"

        def upload(path: Path = same) -> None:
            landing.hand_in(house.settings, DATASET, [path], NOON)

        children = [house.in_child(work) for work in (upload, upload, house.finish)]
        house.wait_a_moment()
        children.append(house.in_child(house.finish))
        for child in children:
            if os.waitpid(child, 0)[1]:
                phase.problems.append(f"one of two failed: {house.said()}")
        phase.kills += 1
        if not house.whole(house.finish):
            phase.problems.append("the next run failed")


# ------------------------------------------------------------------------------------------------------------------- build


def _build(house: House, phase: Phase, kills: int) -> None:
    """The process of a build, or its dbt alone, as the kernel kills it for want of memory. Readers see whole releases."""
    house.hand_in()
    house.whole(house.finish)
    house.whole(house.build)  # the first of a home builds everything
    for number in itertools.count():
        house.hand_in()
        house.whole(house.finish)
        if number == 0:
            house.measure(house.build)
            continue
        if not phase.goes_on(kills):
            break
        for _ in range(5):
            child = house.in_child(house.build)
            house.wait_a_moment()
            was_alive = os.waitpid(child, os.WNOHANG) == (0, 0)
            dbt = [one for one in psutil.Process(child).children() if _is_dbt(one)] if was_alive else []
            if dbt and house.random.random() < 0.5:
                dbt[0].kill()
            elif was_alive:
                os.kill(child, signal.SIGKILL)
            if was_alive:
                os.waitpid(child, 0)
            house.note(phase, was_alive=was_alive)
            if psutil.wait_procs(dbt, timeout=10)[1]:
                phase.problems.append("dbt works on without its build")
            if (seen := house.published()) not in (house.good - 1, house.good):
                phase.problems.append(f"readers saw {seen} of {house.good} deliveries")
        if not house.whole(house.build):
            phase.problems.append(f"the next build failed: {house.said()}")
        phase.problems += house.wrong_marts()
    # Two at once: the second waits for the first.
    two = [house.in_child(house.build) for _ in range(2)]
    ended = [os.waitpid(child, 0)[1] for child in two]
    if any(ended):
        phase.problems.append(f"one of two builds failed: {house.said()}")
    phase.problems += house.wrong_marts()


def _is_dbt(process: psutil.Process) -> bool:
    try:
        return "teilhabe.building.dbt_run" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


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
        with connecting.connect("transformer", house.settings) as conn:
            conn.execute(_CANDIDATE.format(value=number).encode())
        with loading.session(house.settings) as conn:
            build_id = ops.start_build(conn, [], code_version="faults", run_id=None)
        releasing.approve(house.settings, build_id)
        return build_id

    def seen() -> list[tuple[Any, ...]]:
        with connecting.connect("analyst", house.settings) as conn:
            return conn.execute("select value, count(*) from marts.fct_proof group by 1").fetchall()

    build_id = candidate(value)
    house.measure(lambda: releasing.publish(house.settings, build_id, manifest=manifest))
    while phase.goes_on(kills):
        build_id = candidate(value + 1)

        def work(build_id: int = build_id) -> None:
            releasing.publish(house.settings, build_id, manifest=manifest)

        house.killed(phase, work)
        if (now := seen()) not in ([(value, 20000)], [(value + 1, 20000)]):
            phase.problems.append(f"readers saw {now}")
        house.whole(work)  # it is published already where the kill came late
        if seen() != [(value + 1, 20000)]:
            phase.problems.append(f"after the next publication readers saw {seen()}")
        value += 1


_PHASES: dict[str, Callable[[House, Phase, int], None]] = {
    "archive": _step("archive"),
    "judge": _step("take_in", "archive"),
    "load": _step("take_in", "archive", "judge"),
    "build": _build,
    "publish": _publish,
    "send": _send,
    "backup": _backup,
    "database": _database,
    "two at once": _two_at_once,
}
ALL = tuple(_PHASES)
WHOLE = frozenset({"build"})
"""Phases that need all contracts: dbt builds nothing of a part of them."""


def _no_connection(name: str) -> landing.Credentials:
    raise TeilhabeError(f"the inbox needs no connection {name}")


@contextmanager
def home(folder: Path, settings: Settings, *, whole: bool = False) -> Iterator[Settings]:
    """A home of its own with its own server, and one agency's contracts where not the ``whole`` project is wanted."""
    project = PROJECT
    if not whole:
        project = folder / "project"
        for name in ("agencies/state_monitor", "agencies/register", "expectations", "dbt_project/seeds"):
            shutil.copytree(PROJECT / name, project / name)
        shutil.copy(PROJECT / "pyproject.toml", project / "pyproject.toml")
    own = replace(settings, home=folder / "home", project=project, archive_url=(folder / "home" / "archive").as_uri())
    embedded.ensure_running(own)
    try:
        provisioning.provision(own)
        installing.install(own)
        yield own
    finally:
        embedded.discard(own)
        shutil.rmtree(folder, ignore_errors=True)
