"""How predictions of their own are put into words: states, progress, what came out."""

from pathlib import Path
from typing import Final

from terrainlib.mask.products.making import Made
from terrainlib.runs.predictions import Estimate, PredictionJob
from terrainlib.ui.text import duration, file_size
from terrainlib.ui.times import finish_time
from terrainlib.ui.worker_parts import StateText

STATES: Final[dict[str, StateText]] = {
    "starting": StateText(
        "starting",
        "blue",
        ":material/hourglass_top:",
        "The model is being loaded and the image opened.",
    ),
    "running": StateText(
        "running",
        "green",
        ":material/play_arrow:",
        "It goes on, also when this page is left or closed.",
    ),
    "stopping": StateText(
        "stopping",
        "orange",
        ":material/hourglass_bottom:",
        "It ends after this batch of tiles and keeps the finished rows.",
    ),
    "stalled": StateText(
        "stalled",
        "orange",
        ":material/pause:",
        "It is alive but has not moved for a while; the machine may be busy.",
    ),
    "stopped": StateText(
        "stopped",
        "gray",
        ":material/stop:",
        "Stopped on request; the finished rows are kept.",
    ),
    "finished": StateText(
        "finished", "green", ":material/check:", "The results are ready."
    ),
    "failed": StateText(
        "failed", "red", ":material/error:", "The prediction ended with an error."
    ),
    "crashed": StateText(
        "crashed",
        "red",
        ":material/error:",
        "It ended without a word: it was killed or the machine went off.",
    ),
}


def state_text(state: str) -> StateText:
    """Return the words for a state; an unknown one is shown as it is."""
    return STATES.get(state, StateText(state, "gray", ":material/help:", ""))


def progress_text(job: PredictionJob, timezone: str | None) -> str:
    """Return one line: which image, tiles, time left and when it will be over.

    Args:
        job: The prediction.
        timezone: The viewer's, as the browser names it.
    """
    status = job.status
    parts = [job.place_text] if len(job.config.images) > 1 else []
    if status.tiles:
        parts.append(f"tile {status.tile:,} of {status.tiles:,}")
    left = status.seconds_left
    if left is not None:
        parts.append(f"{duration(left)} left")
        parts.append(f"done at about {finish_time(left, timezone)}")
    text = " · ".join(parts) if status.tiles else job.message or "Getting ready"
    return text[:1].upper() + text[1:]


def made_text(made: Made) -> str:
    """Return in one line how long an image took and how much of it is done."""
    pixels = made.height * made.width / 1e6
    speed = f"{made.megapixels_per_second:.2g} megapixels a second"
    text = f"{pixels:,.3g} megapixels in {duration(made.seconds)} ({speed})"
    if made.stopped:
        text += f"; stopped: {made.rows:,} of {made.height:,} rows are predicted"
    return text


def largest_class(made: Made) -> str:
    """Return the class that covers most, with its share; a dash where none does."""
    if not made.shares or not any(made.shares.values()):
        return "–"
    name = max(made.shares, key=lambda key: made.shares[key])
    return f"{name} {made.shares[name]:.0%}"


def estimate_text(told: Estimate) -> str:
    """Return in a sentence what a prediction will take."""
    parts = [] if told.seconds is None else [duration(told.seconds)]
    parts.append(f"{file_size(told.bytes)} of memory")
    needed = file_size(told.needed_disk_mb * 1e6)
    free = file_size(told.free_disk_mb * 1e6)
    parts.append(f"at most {needed} on the disk ({free} free)")
    text = f"Takes about {' · '.join(parts)}."
    if told.seconds is None:
        text += " How long is known after the first prediction on this machine."
    return text


def mask_file(made: Made) -> Path | None:
    """Return the class mask among an image's files."""
    ends = ("_mask.tif", "_mask.png")
    return next((f for f in made.files if f.name.endswith(ends)), None)
