"""Moments as text, in UTC, as the files of a run hold them."""

from datetime import UTC, datetime


def utc_now() -> str:
    """Return the time as UTC ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def seconds_since(moment: str) -> float:
    """Return the seconds since a UTC ISO time; infinity where it cannot be read."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    except (TypeError, ValueError):
        return float("inf")
