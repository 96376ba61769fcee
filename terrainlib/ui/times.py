"""Moments as people read them: in the time zone of the viewer."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from terrainlib.types import YEARS

_YEAR_SECONDS: Final = 365 * 86_400.0
_LONGEST_SECONDS: Final = 100 * _YEAR_SECONDS


def finish_time(
    seconds_left: float, timezone: str | None, *, now: datetime | None = None
) -> str:
    """Return when something ends: `14:32`, or with the day where it is another one.

    Args:
        seconds_left: Seconds from now; more than a hundred years count as those.
        timezone: Name of the viewer's time zone; UTC where it is unknown.
        now: The present moment, for tests.
    """
    zone = viewer_zone(timezone)
    present = (now or datetime.now(UTC)).astimezone(zone)
    seconds = min(max(0.0, seconds_left), _LONGEST_SECONDS)
    end = present + timedelta(seconds=seconds)
    if seconds > _YEAR_SECONDS:
        return f"{end:%d %B %Y}"
    text = f"{end:%H:%M}" if zone is not UTC else f"{end:%H:%M} UTC"
    return text if end.date() == present.date() else f"{end:%d %B}, {text}"


def date_text(moment: datetime, timezone: str | None) -> str:
    """Return a date and a time in the viewer's time zone: `2026-11-22 16:50`."""
    zone = viewer_zone(timezone)
    try:
        text = f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError):  # at an end of the calendar
        return f"{moment:%Y-%m-%d}"
    return text if zone is not UTC else f"{text} UTC"


def viewer_zone(timezone: str | None) -> tzinfo:
    """Return the viewer's time zone, or UTC where it is unknown."""
    try:
        return ZoneInfo(timezone) if timezone else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def parse_time(text: str | None) -> datetime | None:
    """Return the moment of an ISO text, in UTC where it names no zone.

    Returns:
        None where it is no such text, or of another year than ours can be.
    """
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if not YEARS[0] <= moment.year <= YEARS[1]:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
