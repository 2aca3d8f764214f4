"""Reads changed files as the pipeline does - confined, judged, without their faulty rows where that is allowed - and holds what
would be loaded against the oracle.

What is left out of the pipeline: the database. Keys are checked against the baseline the project carries, nothing is compared
with earlier deliveries; both only ever refuse more.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pyarrow as pa

from bench.hostile import mutations, oracle
from bench.hostile.files import PROJECT, Base
from teilhabe.contract.model import Contract
from teilhabe.contract.parsing import load_contracts
from teilhabe.errors import ReadingError, TeilhabeError
from teilhabe.landing import mime
from teilhabe.reading import ReadingContext, confined
from teilhabe.reading.confined import KilledError
from teilhabe.reading.files import containers
from teilhabe.reading.layouts.excluding import RowsExcluded
from teilhabe.validation import row_exclusion
from teilhabe.validation.register import Register, baseline
from teilhabe.validation.suite import Suite, load_suite
from teilhabe.validation.verdict import Verdict, validate

SECONDS = 60.0
"""Of computing outside the child that reads, which has limits of its own; by the clock a busy machine takes longer."""


@dataclass
class Outcome:
    """What became of one changed file."""

    base: str
    kind: str
    mutation: str
    number: int
    state: str
    """``as before``, ``other values``, ``refused``, ``excluded``; or ``wrong``, ``crash``."""
    rule: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Loaded:
    """What would stand in raw."""

    rows: list[oracle.Row]
    left_out: int


@cache
def _contracts() -> dict[str, Contract]:
    return load_contracts(PROJECT / "agencies")


@cache
def _suite(dataset_id: str) -> Suite:
    return load_suite(PROJECT / "expectations", _contracts()[dataset_id])


@cache
def _register() -> Register:
    return Register([], [], baseline(PROJECT))


def loaded(base: Base, path: Path, name: str) -> Loaded | str:
    """What the pipeline would load of a file, or the rule by which it is refused."""
    contract = _contracts()[base.dataset_id]
    context = ReadingContext(received_at=base.received_at, others=_contracts, unit_code=lambda _name: None)

    def read() -> confined.ConfinedReading:
        return confined.open_reading(contract, path, name, context)

    def judged(reading: Any) -> Verdict:
        suite = _suite(base.dataset_id)
        return validate(contract, suite, reading, _register(), file_name=name, received_at=base.received_at)

    try:
        verdict = row_exclusion.judge(contract, read, judged)
        if not verdict.accepted:
            return next(finding.rule for finding in verdict.findings if finding.stops)
        reading = read()
        if verdict.held_back_count:
            reading.excluded = RowsExcluded(
                {one.place for one in row_exclusion.excluded(verdict, contract.secrecy_method)}
            )
        rows = [row for table in reading.chunks() for row in _plain(table)]
    except ReadingError as error:
        return error.finding.rule
    return Loaded(rows, verdict.held_back_count)


def _plain(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def prepared(bases: Iterable[Base], folder: Path) -> list[tuple[Base, oracle.Shown]]:
    """The files that load as they are; the others cannot be compared with anything."""
    found = []
    for base in bases:
        path = folder / "base"
        path.write_bytes(base.content)
        said = loaded(base, path, base.name)
        delimiter = delimiter_of(base)
        cells = oracle.grid(base.content, delimiter)
        if isinstance(said, Loaded) and cells is not None and not said.left_out:
            found.append((base, oracle.Shown(said.rows, cells, is_lines=delimiter == "")))
    return found


def delimiter_of(base: Base) -> str | None:
    """What separates cells; None of a workbook, empty where the columns are positions."""
    if base.kind == "xlsx":
        return None
    return "" if base.name.endswith(".txt") else mutations.delimiter_of(base.content)


def run(
    bases: list[tuple[Base, oracle.Shown]],
    numbers: Iterable[int],
    seed: int,
    folder: Path,
    tell: Callable[[Outcome], None] = lambda _: None,
    keep: Path | None = None,
) -> list[Outcome]:
    """Change and read the files of these numbers; every mutation comes about as often as any other."""
    outcomes = []
    by_kind: dict[str, list[tuple[Base, oracle.Shown]]] = defaultdict(list)
    for one in bases:
        by_kind[one[0].kind].append(one)
    plan = [(kind, change) for kind in ("csv", "xlsx", "zip", "mail") for change in mutations.all_of(kind)]
    for number in numbers:
        # The file's own number makes it: any single one can be made again.
        random = Random(f"{seed} {number}")  # noqa: S311 - to be repeated, not to be secret
        kind, change = plan[number % len(plan)]
        usable = by_kind.get(kind, bases)
        dataset_id = random.choice(sorted({base.dataset_id for base, _ in usable}))
        base, shown = random.choice([one for one in usable if one[0].dataset_id == dataset_id])
        outcome = _one(base, shown, kind, change, number, random, folder)
        outcomes.append(outcome)
        if keep is not None:
            shutil.copyfile(folder / "changed", keep / f"{number} {base.name}")
        tell(outcome)
    return outcomes


def _one(
    base: Base, shown: oracle.Shown, kind: str, change: mutations.Mutation, number: int, random: Random, folder: Path
) -> Outcome:
    wrapped = {
        "zip": lambda: mutations.packed({base.name: base.content}),
        "mail": lambda: mutations.message(base.name, base.content),
    }
    content = wrapped[kind]() if kind in wrapped else base.content
    changed = change(content, random)
    path = folder / "changed"
    path.write_bytes(changed)
    outcome = Outcome(f"{base.origin} {base.name}", kind, change.__name__, number, "refused")
    started, computed = time.monotonic(), time.process_time()
    with _watched() as peak:
        try:
            if kind in wrapped:
                (_container if kind == "zip" else _mail)(base, shown, path, folder, outcome)
            else:
                _judge(base, shown, changed, loaded(base, path, base.name), outcome)
        except KilledError as error:
            outcome.state, outcome.problems = "crash", [str(error)]
        except TeilhabeError as error:
            outcome.rule = type(error).__name__
        except Exception:
            outcome.state, outcome.problems = "crash", [traceback.format_exc(limit=-3)]
    outcome.seconds, outcome.peak_mb = time.monotonic() - started, peak[0]
    if (computed := time.process_time() - computed) > SECONDS:
        outcome.state, outcome.problems = "crash", [f"took {computed:.0f} s of computing"]
    return outcome


def _container(base: Base, shown: oracle.Shown, path: Path, folder: Path, outcome: Outcome) -> None:
    """A ZIP file with the base in it: the file may come out of it as it was, or not at all."""
    contract = _contracts()[base.dataset_id]
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        try:
            if not confined.run(containers.is_container, path, "alles.zip", file_name="alles.zip"):
                outcome.rule = "no container"
                return
            files, beside = confined.run(
                containers.unpack, path, "alles.zip", Path(inside), contract, file_name="alles.zip"
            )
        except ReadingError as error:
            outcome.rule = error.finding.rule
            return
        for local, member in files.items():
            if local not in beside:
                _judge(base, shown, local.read_bytes(), loaded(base, local, member.name), outcome)
                if outcome.state == "wrong":
                    return


def _mail(base: Base, shown: oracle.Shown, path: Path, folder: Path, outcome: Outcome) -> None:
    """A mail with the base in it: what comes out of it is judged as the file it is."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        try:
            found = confined.run(mime.attachments, path, Path(inside), file_name="Nachricht 1")
        except ReadingError as error:
            outcome.rule = error.finding.rule
            return
        except Exception as error:  # MailSource tells it as a message no program can read
            outcome.rule = type(error).__name__
            return
        for number, (name, _) in enumerate(found):
            if name == base.name:
                local = Path(inside) / str(number)
                _judge(base, shown, local.read_bytes(), loaded(base, local, name), outcome)
                if outcome.state == "wrong":
                    return


def _judge(base: Base, shown: oracle.Shown, changed: bytes, said: Loaded | str, outcome: Outcome) -> None:
    if isinstance(said, str):
        outcome.rule = outcome.rule or said
        return
    signs = [delimiter_of(base)]
    if signs[0]:
        with suppress(UnicodeDecodeError):
            signs.append(mutations.delimiter_of(changed))  # another sign is another way to show the same
    readings = [oracle.held_against(shown, said.rows, oracle.grid(changed, sign), said.left_out) for sign in signs]
    outcome.problems = min(readings, key=len)
    if outcome.problems:
        outcome.state = "wrong"
    elif said.left_out:
        outcome.state = "excluded"
    else:
        outcome.state = "as before" if oracle.same(said.rows, shown.rows) else "other values"


@contextmanager
def _watched() -> Iterator[list[float]]:
    """The largest resident memory of the child that reads, in MB."""
    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            waiting = confined.WAITING.process_id
            try:
                children = psutil.Process(waiting).children() if waiting else []
                for child in children:
                    peak[0] = max(peak[0], child.memory_info().rss / 1e6)
            except psutil.Error:
                continue

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def wrong(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [one for one in outcomes if one.state in ("wrong", "crash")]


def table(outcomes: list[Outcome]) -> list[str]:
    """A line of Markdown per kind of change."""
    lines = ["| file | change | files | refused | as before | other values | rows left out | wrong | crash | longest s | peak MB |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.kind, one.mutation.strip("_").replace("_", " ")].append(one)
    groups["all", ""] = outcomes
    for (kind, name), ones in groups.items():
        states = Counter(one.state for one in ones)
        cells = [str(states[state]) for state in ("refused", "as before", "other values", "excluded", "wrong", "crash")]
        peak, longest = max(one.peak_mb for one in ones), max(one.seconds for one in ones)
        lines.append(f"| {kind} | {name} | {len(ones)} | {' | '.join(cells)} | {longest:.1f} | {peak:.0f} |")
    return lines
