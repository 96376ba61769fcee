"""The images of a batch in one table."""

from typing import Any

import pandas as pd
import streamlit as st

from terrainlib.mask.products import Made
from terrainlib.runs.predictions import PredictionJob
from terrainlib.ui.prediction_text import largest_class


def batch_frame(job: PredictionJob) -> pd.DataFrame:
    """Return one row an image: file, state, largest class, shares, what went wrong."""
    made = {item.name: item for item in job.made}
    rows: list[dict[str, Any]] = []
    for image in job.config.images:
        item, failure = made.get(image.name), job.failures.get(image.name, "")
        state = "failed" if failure else "waiting"
        if item is not None:
            state = "stopped" if item.stopped else "finished"
        rows.append(
            {
                "File": image.name,
                "State": state,
                "Largest class": largest_class(item) if item else "–",
                "Shares": list(item.shares.values()) if item else None,
                "What went wrong": failure.removeprefix(f"{image.name}: "),
            }
        )
    return pd.DataFrame(rows)


def show_table(job: PredictionJob, *, choose: bool = False) -> Made | None:
    """Show all images in a table; return the one that was chosen."""
    config = st.column_config
    options: dict[str, Any] = {}
    if choose:
        st.caption("Choose a row to see its mask.")
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
    if not rows or rows[0] >= len(job.config.images):
        return None
    name = job.config.images[rows[0]].name
    return next((made for made in job.made if made.name == name), None)
