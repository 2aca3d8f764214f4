"""A day ends where the county is, in Python and in SQL alike, and moments for people name their zone."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

from teilhabe import office_time
from teilhabe import warehouse as warehouse_module
from teilhabe.errors import ContractError
from teilhabe.settings import Settings, get_settings
from tests.models import macro


@pytest.mark.parametrize(
    ("day", "end"),
    [
        (date(2025, 5, 5), datetime(2025, 5, 5, 21, 59, 59, 999999, UTC)),
        (date(2025, 1, 31), datetime(2025, 1, 31, 22, 59, 59, 999999, UTC)),
        (date(2025, 3, 30), datetime(2025, 3, 30, 21, 59, 59, 999999, UTC)),  # summer time begins
        (date(2025, 10, 26), datetime(2025, 10, 26, 22, 59, 59, 999999, UTC)),  # and ends
    ],
)
def test_a_day_ends_in_the_county(warehouse: Settings, day: date, end: datetime) -> None:
    assert office_time.end_of_day(day) == end
    with warehouse_module.connect("transformer", warehouse) as conn:
        [[told]] = conn.execute("select " + macro("end_of_day", f"date '{day}'")).fetchall()  # type: ignore[arg-type]
    assert told == end


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2025-05-05", datetime(2025, 5, 5, 21, 59, 59, 999999, UTC)),
        (" 2025-05-05 ", datetime(2025, 5, 5, 21, 59, 59, 999999, UTC)),
        ("2025-05-05 14:00", datetime(2025, 5, 5, 12, tzinfo=UTC)),
        ("2025-05-05T14:00:30", datetime(2025, 5, 5, 12, 0, 30, tzinfo=UTC)),
        ("2025-05-05T14:00:30+00:00", datetime(2025, 5, 5, 14, 0, 30, tzinfo=UTC)),
        ("2025-05-05 14:00:30.5+02", datetime(2025, 5, 5, 12, 0, 30, 500000, UTC)),
        ("2025-05-05 14:00 UTC", datetime(2025, 5, 5, 14, tzinfo=UTC)),
        ("2025-05-05T14:00Z", datetime(2025, 5, 5, 14, tzinfo=UTC)),
        ("2025-05-05 14:00 Europe/London", datetime(2025, 5, 5, 13, tzinfo=UTC)),
    ],
)
def test_a_text_is_a_day_or_a_moment(warehouse: Settings, said: str, meant: datetime) -> None:
    with warehouse_module.connect("transformer", warehouse) as conn:
        [[told]] = conn.execute("select " + macro("moment_of", f"'{said}'::text")).fetchall()  # type: ignore[arg-type]
    assert told == meant


def test_moments_for_people_say_their_zone() -> None:
    winter, summer = datetime(2026, 3, 5, 13, 7, tzinfo=UTC), datetime(2026, 7, 5, 12, 7, tzinfo=UTC)
    assert office_time.spell_moment(winter) == "05.03.2026, 14:07 Uhr (MEZ)"
    assert office_time.spell_moment(summer) == "05.07.2026, 14:07 Uhr (MESZ)"
    assert office_time.stamp(winter) == "2026-03-05 14:07 CET"


def test_another_zone_is_a_setting() -> None:
    assert office_time.zone_of({}).key == "Europe/Berlin"
    code = "from datetime import date; from teilhabe.office_time import end_of_day; print(end_of_day(date(2025, 5, 5)))"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"TEILHABE_TIMEZONE": "Europe/Lisbon"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "2025-05-05 23:59:59.999999+01:00"
    for wrong in ("Berlin", "../etc/passwd", "Europe/"):
        with pytest.raises(ContractError, match="TEILHABE_TIMEZONE must be a time zone like Europe/Berlin"):
            get_settings({"TEILHABE_TIMEZONE": wrong})
