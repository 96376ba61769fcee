"""Moments in the words of the viewer."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from terrainlib.ui.text import date_text, finish_time, parse_time

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "timezone", "expected"),
    [
        (60, "Europe/Berlin", "14:01"),
        (60, None, "12:01 UTC"),
        (60, "No/Where", "12:01 UTC"),
        (60, "../../etc/passwd", "12:01 UTC"),
        (86_400, "Europe/Berlin", "02 May, 14:00"),
        (-5, None, "12:00 UTC"),
        (400 * 86_400, None, "05 June 2027"),
        (float("inf"), "Asia/Tokyo", "07 April 2126"),
    ],
)
def test_the_end_is_named_in_the_time_of_the_viewer(seconds, timezone, expected):
    assert finish_time(seconds, timezone, now=NOON) == expected


def test_dates_are_named_in_the_time_of_the_viewer():
    assert date_text(NOON, "Asia/Tokyo") == "2026-05-01 21:00"
    assert date_text(NOON, None) == "2026-05-01 12:00 UTC"


@pytest.mark.parametrize("hours", [-14, 0, 14])
@pytest.mark.parametrize("moment", [datetime.min, datetime.max])
def test_an_end_of_the_calendar_is_a_date_too(moment: datetime, hours: int):
    there = moment.replace(tzinfo=timezone(timedelta(hours=hours)))

    for zone in (None, "Asia/Tokyo", "America/Los_Angeles", "No/Where"):
        assert "-" in date_text(there, zone)
    assert parse_time(there.isoformat()) is None


def test_unreadable_times_are_none():
    assert parse_time("yesterday") is None
    assert parse_time(None) is None
    assert parse_time("2026-05-01T12:00:00") == NOON
