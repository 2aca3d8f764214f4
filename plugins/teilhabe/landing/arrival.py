"""When a file counts as received: as a person or another machine says, but never after now.

Values are known from then on, and of two files the one received later counts. So a time to come would outrank every
correction, and a clock that was set back must not let an error outrank its correction: what our own clock says is at least what
it has said before about the same dataset (``ops.not_before``). A time a person states for a file handed in late is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from teilhabe.codes.office_time import moment_in_office, spell_moment, stamp
from teilhabe.errors import Finding, TeilhabeError
from teilhabe.findings.saying import with_sentence
from teilhabe.landing.base import RemoteFile

RULE = "delivery.received_in_future"


@dataclass(frozen=True)
class Arrival:
    """``at`` counts; ``by_own_clock``: nobody else said so. ``problem``: why the file is refused."""

    at: datetime
    by_own_clock: bool
    problem: Finding | None = None


def arrival(file: RemoteFile, now: datetime) -> Arrival:
    """When a file was received. A machine whose clock is ahead is not believed; a person who states such a time is told."""
    if file.received_at is None:
        return Arrival(now, by_own_clock=True)
    if file.received_at <= now:
        return Arrival(file.received_at, by_own_clock=file.by_own_clock)
    if not file.is_stated:
        return Arrival(now, by_own_clock=True)
    finding = Finding("critical", RULE, "", what=_to_come(file.received_at, now))
    found, expected = stamp(file.received_at), "ein Zeitpunkt bis jetzt"
    problem = replace(with_sentence(finding, None, file.name), found=found, expected=expected)
    return Arrival(now, by_own_clock=True, problem=problem)


def stated(received_at: datetime, now: datetime) -> datetime:
    """What somebody states when handing in.

    Raises:
        TeilhabeError: the moment is still to come, or there is no such time in the county.
    """
    received_at = moment_in_office(received_at)
    if received_at > now:
        raise TeilhabeError(_to_come(received_at, now))
    return received_at


def _to_come(received_at: datetime, now: datetime) -> str:
    return (
        f"Als Eingang ist der {spell_moment(received_at)} angegeben, das liegt in der Zukunft; erwartet wird ein "
        f"Zeitpunkt bis jetzt ({spell_moment(now)})."
    )
