"""A day ends where the county is, in Python and in SQL alike, and moments for people name their zone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from teilhabe import landing
from teilhabe.codes import office_time
from teilhabe.errors import ContractError, TeilhabeError
from teilhabe.server import connecting
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
    with connecting.connect("transformer", warehouse) as conn:
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
    with connecting.connect("transformer", warehouse) as conn:
        [[told]] = conn.execute("select " + macro("moment_of", f"'{said}'::text")).fetchall()  # type: ignore[arg-type]
    assert told == meant


def test_moments_for_people_say_their_zone() -> None:
    winter, summer = datetime(2026, 3, 5, 13, 7, tzinfo=UTC), datetime(2026, 7, 5, 12, 7, tzinfo=UTC)
    assert office_time.spell_moment(winter) == "05.03.2026, 14:07 Uhr (MEZ)"
    assert office_time.spell_moment(summer) == "05.07.2026, 14:07 Uhr (MESZ)"
    assert office_time.stamp(winter) == "2026-03-05 14:07 CET"


def test_another_zone_is_a_setting() -> None:
    assert office_time.zone_of({}).key == "Europe/Berlin"
    code = "from datetime import date; from teilhabe.codes.office_time import end_of_day; print(end_of_day(date(2025, 5, 5)))"
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


def test_a_stated_time_is_one_of_the_county_wherever_the_machine_stands() -> None:
    assert office_time.moment_in_office(datetime(2024, 5, 28)) == datetime(2024, 5, 27, 22, tzinfo=UTC)
    assert office_time.moment_in_office(datetime(2024, 1, 28, 9, 30)) == datetime(2024, 1, 28, 8, 30, tzinfo=UTC)
    given = datetime(2024, 5, 28, tzinfo=UTC)
    assert office_time.moment_in_office(given) is given


def test_a_time_the_clocks_skipped_is_refused() -> None:
    sentence = (
        r"^02:30 Uhr am 30\.03\.2025 gab es nicht: In dieser Nacht wurden die Uhren vorgestellt\. "
        r"Erwartet wird eine Uhrzeit, die es gab, oder eine mit Abstand zur Weltzeit wie 2025-03-30T01:30:00\+0000\.$"
    )
    with pytest.raises(TeilhabeError, match=sentence):
        office_time.moment_in_office(datetime(2025, 3, 30, 2, 30))
    assert office_time.moment_in_office(datetime(2025, 3, 30, 3)) == datetime(2025, 3, 30, 1, tzinfo=UTC)


def test_a_time_the_clocks_showed_twice_is_asked_back() -> None:
    with pytest.raises(TeilhabeError, match=r"zweimal: .* 2025-10-26T02:30:00\+0200 oder 2025-10-26T02:30:00\+0100\.$"):
        office_time.moment_in_office(datetime(2025, 10, 26, 2, 30))
    assert office_time.moment_in_office(datetime(2025, 10, 26, 3)) == datetime(2025, 10, 26, 2, tzinfo=UTC)


def test_a_file_handed_in_for_a_day_is_received_on_that_day_of_the_county(
    warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        file = tmp_path / "a.csv"
        file.write_text("a;b\n")
        [handed] = landing.hand_in(warehouse, "x__y", [file], datetime(2024, 5, 28))
        said = json.loads((handed.parent / "delivery.json").read_text())["received_at"]
        assert datetime.fromisoformat(said) == datetime(2024, 5, 27, 22, tzinfo=UTC)
        with pytest.raises(TeilhabeError, match="gab es nicht"):
            landing.hand_in(warehouse, "x__y", [file], datetime(2025, 3, 30, 2, 30))
    finally:
        monkeypatch.undo()
        time.tzset()
