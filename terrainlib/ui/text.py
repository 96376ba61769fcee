"""Text from outside (file names, error sentences, class names) made safe to show."""

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from terrainlib.files import safe_cell
from terrainlib.types import YEARS

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])")
_LINE_BREAKS = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


def md_escape(text: object) -> str:
    r"""Return `text` as one line that Markdown shows exactly as it is.

    Streamlit's Markdown knows more than emphasis: `:red[...]` colours, `:material/...:`
    icons, `$...$` formulas, links and typographic arrows. All of it is escaped. Halves
    of characters, as odd file names have them, become question marks.

    Example:
        >>> md_escape("a_b.png: 3 * 4")
        'a\\_b\\.png\\: 3 \\* 4'
    """
    whole = str(text).encode("utf-8", "replace").decode()
    return _SPECIAL.sub(r"\\\1", _LINE_BREAKS.sub(" ", whole))


def slug(text: str) -> str:
    """Return `text` as letters, digits and dashes, for the name of a file.

    Example:
        >>> slug("run/coast 1")
        'run-coast-1'
    """
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text)


def plural(count: int, word: str, words: str | None = None) -> str:
    """Return `1 pair`, `2 pairs`, `1,200 pairs`.

    Example:
        >>> plural(1, "class", "classes"), plural(1200, "pair")
        ('1 class', '1,200 pairs')
    """
    return f"{count:,} {word if count == 1 else words or word + 's'}"


def told_apart(names: Sequence[str], facts: Sequence[Sequence[str]]) -> list[str]:
    """Return names; those that occur twice with what tells them apart, in brackets.

    Args:
        names: N names.
        facts: What else is known of each, N lists of the same kinds of facts; what
            people look at first stands first, and only what helps is taken.

    Example:
        >>> told_apart(["a", "b", "a"], [["x", "May"], ["x", "May"], ["x", "June"]])
        ['a (May)', 'b', 'a (June)']
    """
    places = defaultdict(list)
    for place, name in enumerate(names):
        places[name].append(place)
    labels = list(names)
    for same in places.values():
        apart: list[tuple[str, ...]] = [()] * len(same)
        for column in zip(*(facts[place] for place in same), strict=True):
            wider = [(*known, fact) for known, fact in zip(apart, column, strict=True)]
            if len(set(wider)) > len(set(apart)):
                apart = wider
        for place, known in zip(same, apart, strict=True):
            labels[place] += f" ({', '.join(known)})" if known else ""
    return labels


def duration(seconds: float) -> str:
    """Return a length of time as a person says it.

    Example:
        >>> duration(42.4), duration(130), duration(7260)
        ('42 s', '2 min 10 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def file_size(size_bytes: float) -> str:
    """Return a file size in decimal units.

    Example:
        >>> file_size(640), file_size(2_164_627)
        ('640 B', '2.2 MB')
    """
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            digits = 0 if unit == "B" or size_bytes >= 100 else 1
            return f"{size_bytes:.{digits}f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"


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


def safe_csv(frame: pd.DataFrame) -> bytes:
    """Return a table as UTF-8 CSV with a header and without the index.

    Names of files and classes come from outside: a text (or a column's name) that
    starts like a formula gets an apostrophe in front, so that a spreadsheet shows it
    instead of computing it. Numbers stay as they are.
    """
    safe = frame.rename(columns=safe_cell).map(safe_cell)
    return safe.to_csv(index=False, lineterminator="\r\n").encode()
