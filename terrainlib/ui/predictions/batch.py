"""The images of a batch in one table."""

from typing import Any

import pandas as pd
import streamlit as st

from terrainlib.mask.products.making import Made
from terrainlib.runs.predictions import PredictionJob
from terrainlib.ui.predictions.words import largest_class


def batch_frame(job: PredictionJob) -> pd.DataFrame:
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


def show_table(job: PredictionJob, *, choose: bool = False) -> str | None:
    """Show all images in a table.

    Args:
        job: The prediction.
        choose: Whether a row can be chosen.

    Returns:
        Name of the image that was chosen, if one was.
    """
    config = st.column_config
    options: dict[str, Any] = {}
    if choose:
        options = {"on_select": "rerun", "selection_mode": "single-row"}
    event = st.dataframe(
        batch_frame(job),
        key=f"studio_job_table_{'chosen' if choose else 'live'}",
        hide_index=True,
        placeholder="",
        column_config={
            "State": config.TextColumn(width="small"),
            "Shares": config.BarChartColumn(
                help="A bar a class, in the order of the legend.", y_min=0, y_max=1
            ),
            "What went wrong": config.TextColumn(width="large"),
        },
        alt="All images with state, largest class, shares of the classes, failures",
        **options,
    )
    rows = event.selection.rows if choose else []
    images = job.config.images
    return images[rows[0]].name if rows and rows[0] < len(images) else None


def _state(job: PredictionJob, number: int, made: Made | None, *, failed: bool) -> str:
    """Return the state of one image in a word or two; images count from 1."""
    if made is not None:
        return "stopped" if made.stopped else "finished"
    if failed:
        return "failed"
    if not job.active:
        return "not predicted"
    return "at work" if job.status.image == number else "waiting"
