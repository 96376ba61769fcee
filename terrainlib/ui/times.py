"""Moments as people read them: in the time zone of the viewer."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def finish_time(
    seconds_left: float, timezone: str | None, *, now: datetime | None = None
) -> str:
    """Return when something ends: `14:32`, or with the day where it is another one.

    Args:
        seconds_left: Seconds from now.
        timezone: Name of the viewer's time zone; UTC where it is unknown.
        now: The present moment, for tests.
    """
    zone = viewer_zone(timezone)
    present = (now or datetime.now(UTC)).astimezone(zone)
    end = present + timedelta(seconds=max(0.0, seconds_left))
    text = f"{end:%H:%M}" if zone is not UTC else f"{end:%H:%M} UTC"
    return text if end.date() == present.date() else f"{end:%d %B}, {text}"


def date_text(moment: datetime, timezone: str | None) -> str:
    """Return a date and a time in the viewer's time zone: `2026-11-22 16:50`."""
    zone = viewer_zone(timezone)
    text = f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
    return text if zone is not UTC else f"{text} UTC"


def viewer_zone(timezone: str | None) -> tzinfo:
    """Return the viewer's time zone, or UTC where it is unknown."""
    try:
        return ZoneInfo(timezone) if timezone else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def parse_time(text: str | None) -> datetime | None:
    """Return the moment of an ISO text, in UTC where it names no zone; None if bad."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
