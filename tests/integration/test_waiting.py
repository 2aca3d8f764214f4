"""No command of the product waits for another one without end, whichever of them is in the middle of its work."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from teilhabe import landing
from teilhabe.building import building, releasing
from teilhabe.contract import lookup
from teilhabe.errors import ContractError, WarehouseError
from teilhabe.messages import outbox, writing
from teilhabe.messages.policy import load_policy
from teilhabe.ops import schema
from teilhabe.pipeline import installing, taking_in
from teilhabe.pipeline.follow_up import follow_up
from teilhabe.pipeline.waiting import under_way
from teilhabe.raw import loading
from teilhabe.server import connecting, provisioning
from teilhabe.settings import Settings
from teilhabe.status import reporting
from teilhabe.system import locks
from teilhabe.validation import verdict
from tests.flow import FOREIGNERS, POPULATION, Flow, monitor, population

GUARD = 120
"""Seconds after which a test is given up: nothing here is a measurement."""

NUMBERS = itertools.count(4711)
NOW = datetime(2024, 1, 15, 9, tzinfo=UTC)


@dataclass
class Pause:
    """A place in the middle of a command where it stands until it may go on."""

    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def here(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            assert self.released.wait(GUARD)


class Command(threading.Thread):
    """A command as another process would run it; what went wrong in it is raised where it is waited for."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.work, self.error = work, None
        self.start()

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self.join(GUARD)
        assert not self.is_alive(), "it waits without end"
        if self.error is not None:
            raise self.error


@pytest.fixture
def flow(installed: Settings, tmp_path: Path) -> Flow:
    flow = Flow(installed, tmp_path / "drafts")
    flow.empty()
    return flow


def waiting_file(flow: Flow) -> None:
    flow.hand_in(POPULATION, population({"03157006": (10, 5, 5)}))
    flow.archive(POPULATION)


# ------------------------------------------------------------------------------------- commands in the middle of their work


def play_dbt(patch: pytest.MonkeyPatch, run: Callable[[], None]) -> None:
    """Builds as they are, with ``run`` for dbt, and nothing to publish."""

    def dbt(*_: Any, **__: Any) -> list[building.Node]:
        run()
        return []

    patch.setattr(building, "dbt", dbt)
    patch.setattr(building, "needless_corrections", lambda settings: [])
    patch.setattr(releasing, "approve", lambda *_: None)
    patch.setattr(releasing, "publish", lambda *_, **__: releasing.Release(1, {}, ()))


@contextmanager
def a_build(flow: Flow, patch: pytest.MonkeyPatch) -> Iterator[Pause]:
    """dbt is running: a process of its own, in whose transaction every table has been read."""
    pause = Pause()

    def dbt() -> None:
        with connecting.connect("transformer", flow.settings, application_name="dbt") as conn:
            conn.execute("select * from ops.delivery")
            conn.execute(f"select * from raw.{POPULATION}")
            pause.here()

    play_dbt(patch, dbt)
    yield pause


@contextmanager
def a_judgement(flow: Flow, patch: pytest.MonkeyPatch) -> Iterator[Pause]:
    """A big file is being read and judged, and what was delivered before has been looked at."""
    pause = Pause()
    validate = verdict.validate

    def slowly(contract: Any, *arguments: Any, **said: Any) -> verdict.Verdict:
        said["history"].values(contract, contract.dataset_id, ["2021-12-31"])
        pause.here()
        return validate(contract, *arguments, **said)

    patch.setattr(verdict, "validate", slowly)
    waiting_file(flow)
    yield pause


@contextmanager
def a_sending(flow: Flow, patch: pytest.MonkeyPatch) -> Iterator[Pause]:
    """The mail server takes its time."""
    pause = Pause()
    send = outbox.Drop.send

    def slowly(self: Any, *arguments: Any) -> Any:
        pause.here()
        return send(self, *arguments)

    patch.setattr(outbox.Drop, "send", slowly)
    with loading.session(flow.settings) as conn:
        policy = load_policy(flow.settings, no_channels)
        writing.operators(conn, policy, "Speicherplatz wird knapp", "Noch 3 % frei.", f"disk:{next(NUMBERS)}", NOW)
    yield pause


@contextmanager
def a_poll(flow: Flow, patch: pytest.MonkeyPatch) -> Iterator[Pause]:
    """A source answers late."""
    pause = Pause()
    settled = landing.settled

    def slowly(*arguments: Any, **said: Any) -> Any:
        pause.here()
        return settled(*arguments, **said)

    patch.setattr(landing, "settled", slowly)
    yield pause


HOLDERS = {"build": a_build, "judge": a_judgement, "send": a_sending, "poll": a_poll}


# --------------------------------------------------------------------------------------------------------- other commands


def no_channels(name: str) -> landing.Credentials:
    raise ContractError(f"There is no connection {name}.")


def init(flow: Flow) -> None:
    provisioning.provision(flow.settings)
    installing.install(flow.settings)


A_MIGRATION = b"alter table ops.delivery add column if not exists later text"
"""What an update with a migration asks the database for."""


def init_after_an_update(flow: Flow) -> None:
    with connecting.connect("loader", flow.settings) as conn:
        conn.execute("update ops.installed set scripts_digest = 'older'")
        conn.execute(f"comment on table raw.{FOREIGNERS} is 'older'")
    init(flow)


def status(flow: Flow) -> None:
    assert "deliveries" in reporting.status(flow.settings, NOW)


def deliver(flow: Flow) -> None:
    flow.hand_in(FOREIGNERS, monitor([(2022, "Peine, Landkreis", "K03157", next(NUMBERS))]))
    assert flow.archive(FOREIGNERS)


def judge(flow: Flow) -> None:
    deliver(flow)
    taking_in.take_in(flow.settings, lookup.contract(flow.settings, FOREIGNERS))


def build(flow: Flow) -> None:
    building.build(flow.settings)


def send(flow: Flow) -> None:
    follow_up(flow.settings, NOW, no_channels, calendar=True)


def calendar(flow: Flow) -> None:
    installing.refresh_calendar(flow.settings, NOW)


def look(flow: Flow) -> None:
    building.is_due(flow.settings)
    under_way(flow.settings)


COMMANDS = {c.__name__: c for c in (init, init_after_an_update, status, deliver, judge, build, send, calendar, look)}
WORK: dict[str, Callable[[Flow], object]] = {
    "build": build,
    "judge": lambda flow: taking_in.take_in(flow.settings, lookup.contract(flow.settings, POPULATION)),
    "send": send,
    "poll": lambda flow: flow.archive(POPULATION),
}

TAKES_TURNS = {
    ("build", "build"), ("send", "send"),
    # What dbt has read is changed when dbt has read it.
    ("build", "init_after_an_update"),
}  # fmt: skip


def idle_in_transaction(settings: Settings) -> list[str]:
    with connecting.connect("admin", settings) as conn:
        rows = conn.execute(
            "select query from pg_stat_activity where datname = current_database() and application_name = 'teilhabe'"
            " and state like 'idle in transaction%%' and pid <> pg_backend_pid()"
        )
        return [query for (query,) in rows]


@pytest.mark.parametrize("holder", HOLDERS)
def test_both_end(flow: Flow, monkeypatch: pytest.MonkeyPatch, holder: str) -> None:
    """Every command, while the holder stands in the middle of its work; those that take turns, when it goes on."""
    with HOLDERS[holder](flow, monkeypatch) as pause:
        if holder != "build":
            play_dbt(monkeypatch, lambda: None)
        first = Command(lambda: WORK[holder](flow))
        waiting = []
        try:
            assert pause.reached.wait(GUARD)
            assert idle_in_transaction(flow.settings) == [], "it waits for others with a transaction open"
            for name, command in COMMANDS.items():
                second = Command(partial(command, flow))
                if (holder, name) in TAKES_TURNS:
                    waiting.append(second)
                else:
                    second.end()
            status(flow)
        finally:
            pause.released.set()
        for command_under_way in (first, *waiting):
            command_under_way.end()


def test_tables_in_use_are_changed_when_they_are_free(flow: Flow) -> None:
    """An update that meets a build tries again, lets everybody else through meanwhile, and says so when it gives up."""
    with connecting.connect("transformer", flow.settings) as reader:
        reader.execute("select * from ops.delivery")
        with (
            connecting.connect("loader", flow.settings) as conn,
            pytest.raises(WarehouseError, match=r"other commands were using them .* \(LockNotAvailable\)"),
        ):
            locks.change_tables(conn, lambda: conn.execute(A_MIGRATION), minutes=0)
        update = Command(lambda: init_after_an_update(flow))
        status(flow)
        reader.commit()
        update.end()
    with connecting.connect("loader", flow.settings) as conn:
        assert schema.is_installed(conn)


def test_a_conflict_while_judging_is_tried_again(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Great Expectations says only that an expectation cannot run; that the database broke off must not get lost."""
    waiting_file(flow)
    validate, tried = verdict.validate, []

    def once(contract: Any, *arguments: Any, **said: Any) -> verdict.Verdict:
        tried.append(contract.dataset_id)
        if len(tried) == 1:
            said["history"].error = psycopg.errors.DeadlockDetected("deadlock detected")
            raise ContractError("Expectation x cannot run.")
        return validate(contract, *arguments, **said)

    monkeypatch.setattr(verdict, "validate", once)
    states = taking_in.take_in(flow.settings, lookup.contract(flow.settings, POPULATION))
    assert (len(tried), list(states.values())) == (2, ["loaded"])


def test_what_goes_on_in_conflict_is_told_by_its_name(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting_file(flow)

    def never(*arguments: Any, **said: Any) -> verdict.Verdict:
        said["history"].error = psycopg.errors.DeadlockDetected("deadlock detected")
        raise ContractError("Expectation x cannot run.")

    monkeypatch.setattr(verdict, "validate", never)
    with pytest.raises(psycopg.errors.DeadlockDetected):
        taking_in.take_in(flow.settings, lookup.contract(flow.settings, POPULATION))
    assert flow.states(POPULATION) == ["failed"]
    assert flow.ask("select distinct message from ops.outcome where status = 'failed'") == [("DeadlockDetected",)]


@pytest.mark.parametrize("role", ["loader", "transformer", "steward", "analyst"])
def test_no_session_waits_or_idles_without_end(installed: Settings, role: Any) -> None:
    with connecting.connect(role, installed) as conn:
        for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
            [[value]] = conn.execute(f"select setting::integer from pg_settings where name = '{name}'").fetchall()
            assert value > 0, name


def test_init_touches_no_table_that_is_as_it_should_be(installed: Settings) -> None:
    """A reader of everything is no obstacle."""
    with connecting.connect("transformer", installed) as reader:
        reader.execute("select * from ops.delivery")
        reader.execute(f"select * from raw.{POPULATION}")
        Command(lambda: installing.install(installed)).end()
