"""The time zone of the county: which day a moment belongs to, when a day ends, and how a moment is written for people."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from teilhabe.errors import ContractError, TeilhabeError

DEFAULT_ZONE = "Europe/Berlin"
_GERMAN = {"CET": "MEZ", "CEST": "MESZ"}


def zone_of(environ: Mapping[str, str]) -> ZoneInfo:
    """The zone the environment names with ``TEILHABE_TIMEZONE``."""
    name = environ.get("TEILHABE_TIMEZONE", "").strip() or DEFAULT_ZONE
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone, or a name that is no name
        raise ContractError(f"TEILHABE_TIMEZONE must be a time zone like {DEFAULT_ZONE}, not {name!r}.") from None


try:
    OFFICE_TIME = zone_of(os.environ)
except ContractError:  # `get_settings` tells it, in a place where somebody reads it
    OFFICE_TIME = ZoneInfo(DEFAULT_ZONE)
"""Due dates, and "as known on that day", are days where the offices are."""


def end_of_day(day: date) -> datetime:
    """The last moment of a day: what was known on that day was known then. In SQL: macro ``end_of_day``."""
    return datetime.combine(day + timedelta(days=1), time(), OFFICE_TIME) - timedelta(microseconds=1)


def moment_in_office(said: datetime) -> datetime:
    """What a person means who states a time: on the clocks of the county, where no offset is given.

    Raises:
        TeilhabeError: the clocks never showed that time, or showed it twice, in the night they were changed.
    """
    if said.tzinfo is not None:
        return said
    first, second = (said.replace(tzinfo=OFFICE_TIME, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    both = " oder ".join(f"{one:%Y-%m-%dT%H:%M:%S%z}" for one in (first, second))
    when = f"{said:%H:%M} Uhr am {said:%d.%m.%Y}"
    if first.astimezone(UTC).astimezone(OFFICE_TIME).replace(tzinfo=None) != said:
        raise TeilhabeError(
            f"{when} gab es nicht: In dieser Nacht wurden die Uhren vorgestellt. Erwartet wird eine Uhrzeit, die es gab,"
            f" oder eine mit Abstand zur Weltzeit wie {first.astimezone(UTC):%Y-%m-%dT%H:%M:%S}+0000."
        )
    raise TeilhabeError(
        f"{when} gab es zweimal: In dieser Nacht wurden die Uhren zurückgestellt. Erwartet wird eine der beiden: {both}."
    )


def spell_moment(moment: datetime) -> str:
    """``05.03.2026, 14:07 Uhr (MEZ)``."""
    local = moment.astimezone(OFFICE_TIME)
    return f"{local:%d.%m.%Y}, {spell_time(moment)}"


def spell_time(moment: datetime) -> str:
    """``14:07 Uhr (MEZ)``."""
    local = moment.astimezone(OFFICE_TIME)
    return f"{local:%H:%M} Uhr ({_GERMAN.get(local.tzname() or '', local.tzname())})"


def stamp(moment: datetime) -> str:
    """``2026-03-05 14:07 CET``, for operators."""
    local = moment.astimezone(OFFICE_TIME)
    return f"{local:%Y-%m-%d %H:%M} {local.tzname()}"
