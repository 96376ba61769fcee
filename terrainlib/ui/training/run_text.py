"""How the state of a training is put into words: badges, times, finish."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

BadgeColor = Literal["blue", "green", "orange", "red", "gray"]


@dataclass(frozen=True, slots=True)
class StateText:
    """A state's badge and what it means for the person who looks."""

    label: str
    color: BadgeColor
    icon: str
    meaning: str


STATES: Final[dict[str, StateText]] = {
    "starting": StateText(
        "starting",
        "blue",
        ":material/hourglass_top:",
        "The data are being read and the network is being built.",
    ),
    "running": StateText(
        "running",
        "green",
        ":material/play_arrow:",
        "The training goes on, also when this page is left or closed.",
    ),
    "stopping": StateText(
        "stopping",
        "orange",
        ":material/hourglass_bottom:",
        "The training ends after this step and saves its model.",
    ),
    "stalled": StateText(
        "stalled",
        "orange",
        ":material/pause:",
        "The training is alive but has not moved for a while; the machine may be busy.",
    ),
    "stopped": StateText(
        "stopped",
        "gray",
        ":material/stop:",
        "Stopped on request; the model so far is kept. Resume goes on where it ended.",
    ),
    "finished": StateText(
        "finished",
        "green",
        ":material/check:",
        "The training has reached its budget; the model is ready.",
    ),
    "failed": StateText(
        "failed",
        "red",
        ":material/error:",
        "The training ended with an error.",
    ),
    "crashed": StateText(
        "crashed",
        "red",
        ":material/error:",
        "The training ended without a word: it was killed or the machine went off. "
        "Resume goes on from its last saved epoch.",
    ),
}


def state_text(state: str) -> StateText:
    """Return the words for a state; an unknown one is shown as it is."""
    return STATES.get(state, StateText(state, "gray", ":material/help:", ""))


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
