"""What became of one image of a prediction: mask, areas, files."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from terrainlib import files
from terrainlib.data.imagery import BandChoice
from terrainlib.data.palette import Classes, TerrainClass
from terrainlib.mask.gap import Gap
from terrainlib.mask.ground.areas import AreaTable
from terrainlib.mask.products.products import MASK
from terrainlib.mask.products.records import Made
from terrainlib.model.modelfile import KERAS_FILE, read_record
from terrainlib.runs.folder import Job
from terrainlib.runs.jobs.config import InputImage
from terrainlib.runs.jobs.estimate import Estimate
from terrainlib.types import checked
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.page import show_legend, show_table
from terrainlib.ui.studio.areas import show_areas
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.studio.overview import image_overview, mask_overview
from terrainlib.ui.studio.result import gap_in_words
from terrainlib.ui.text import duration, file_size, finish_time, md_escape


def progress_text(job: Job, timezone: str | None) -> str:
    """Return one line: which image, tiles, time left and when it will be over."""
    status, config = job.status, job.config
    shared = bool(config.cluster) and status.workers > 0
    parts = [job.place_text] if shared or len(config.images) > 1 else []
    if status.tiles:
        parts.append(f"tile {status.tile:,} of {status.tiles:,}")
    left = status.seconds_left
    if left is not None:
        parts.append(f"{duration(left)} left")
        parts.append(f"done at about {finish_time(left, timezone)}")
    text = (
        " · ".join(parts) if status.tiles or shared else job.message or "Getting ready"
    )
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
        text += (
            " How long it takes is known after the first prediction on this machine."
        )
    return text


def mask_file(made: Made) -> Path | None:
    """Return the class mask among an image's files."""
    ends = tuple(file.ending for file in MASK.files if file.about)
    return next((f for f in made.files if f.name.endswith(ends)), None)


_GREY: Final = (128, 128, 128)


def show_made(job: Job, made: Made, classes: Classes) -> None:
    """Show the result of an image.

    Args:
        job: Its prediction.
        made: What became of it.
        classes: The model's classes; empty where the model is gone.
    """
    if classes:
        show_legend(classes, shares=made.shares)
    image, mask = st.columns(2, gap="small")
    with image:
        for source in job.config.images:
            if source.name == made.name:
                show_source(job, source)
    with mask:
        _show_mask(made)
    st.caption(md_escape(made_text(made)))
    if made.gap:
        st.markdown(gap_in_words(checked(Gap, made.gap)))
    _show_areas(made, classes)
    st.markdown(
        f"The model is unsure of {made.unsure_share:.1%} of the pixels: its best two "
        "classes are close there."
    )
    for note in made.missing:
        sentence = f"{note[:1].upper()}{note[1:].rstrip('.')}."
        st.warning(md_escape(sentence), icon=":material/info:")
    said = [note for note in made.notes if note not in made.missing]
    if said:
        st.caption(f"Notes: {md_escape('; '.join(said))}.")
    _show_files(made.files)


def show_source(job: Job, image: InputImage) -> None:
    """Show an image in small, if it is still where it was."""
    path = Path(image.path)
    if not files.is_file(path):
        st.caption("The image is not where it was.")
        return
    picture = PictureFile.on_disk(path)
    if (bands := _bands(job)) is not None:
        picture = picture.with_bands(bands)
    with errors_shown("The image cannot be shown"):
        jpeg = image_overview(picture).jpeg
        st.image(jpeg, alt=f"The image {image.name}", width="stretch")


def _bands(job: Job) -> BandChoice:
    """Return which bands a prediction has read."""
    asked, path = job.config.wanted.bands, Path(job.config.model)
    record = read_record(path / KERAS_FILE if path.is_dir() else path)
    used = None if record is None else record.band_set()
    return asked if used is None else replace(used, asked=asked)


def _show_files(paths: tuple[Path, ...]) -> None:
    """Show the folder of files, their names and sizes."""
    there = [path for path in paths if files.is_file(path)]
    if not there:
        st.info("The files are not in their folder any more.")
        return
    st.markdown("**Files**")
    st.code(str(there[0].parent), language=None, wrap_lines=True)
    listed = (
        f"- {md_escape(path.name)} :gray[{file_size(path.stat().st_size)}]"
        for path in there
    )
    st.markdown("\n".join(listed))


def _show_mask(made: Made) -> None:
    path = mask_file(made)
    if path is None or not files.is_file(path):
        st.caption("The mask is not in its folder any more.")
        return
    with errors_shown("The mask cannot be shown here"):
        alt = f"Terrain mask of {made.name}; its legend is above"
        st.image(mask_overview(path), alt=alt, width="stretch")


def _show_areas(made: Made, classes: Classes) -> None:
    table = AreaTable.from_dict(made.areas) if made.areas else None
    if table is None or not table.rows:
        return
    grey = tuple(TerrainClass(row.name, _GREY) for row in table.rows)
    show_areas(
        table,
        classes if len(classes) == len(table.rows) else grey,
        file_name=f"{Path(made.name).stem}_areas.csv",
        key="studio_job_areas",
    )


def batch_frame(job: Job) -> pd.DataFrame:
    """Return one row an image: file, state, largest class, shares, what went wrong."""
    made = {item.name: item for item in job.made}
    rows: list[dict[str, Any]] = []
    for number, image in enumerate(job.config.images, start=1):
        item, failure = made.get(image.name), job.failures.get(image.name, "")
        rows.append(
            {
                "File": image.name,
                "State": _state(job, number, item, failed=bool(failure)),
                "Largest class": largest_class(item) if item else "–",
                "Shares": list(item.shares.values()) if item else None,
                "What went wrong": failure,
            }
        )
    return pd.DataFrame(rows)


def show_batch(job: Job, *, choose: bool = False) -> str | None:
    """Show all images in a table.

    Returns:
        Name of the image that was chosen, if one was.
    """
    config = st.column_config
    options: dict[str, Any] = {}
    if choose:
        options = {"on_select": "rerun", "selection_mode": "single-row"}
    rows = show_table(
        batch_frame(job),
        {
            "State": config.TextColumn(width="small"),
            "Shares": config.BarChartColumn(
                help="One bar for each class, in the order of the legend.",
                y_min=0,
                y_max=1,
            ),
            "What went wrong": config.TextColumn(width="large"),
        },
        alt="All images with state, largest class, shares of the classes, failures",
        key=f"studio_job_table_{'chosen' if choose else 'live'}",
        **options,
    )
    return job.config.images[rows[0]].name if rows else None


def _state(job: Job, number: int, made: Made | None, *, failed: bool) -> str:
    """Return the state of one image in a word or two; images count from 1."""
    if made is not None:
        return "stopped" if made.stopped else "finished"
    if failed:
        return "failed"
    if not job.active:
        return "not predicted"
    return "at work" if job.status.image == number else "waiting"
