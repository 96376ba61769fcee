"""Scores on the page: over all images, of each class and of each image."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.palette import Classes
from terrainlib.metrics import Scores
from terrainlib.ui.charts import show_class_bars, show_confusion
from terrainlib.ui.tables import safe_csv
from terrainlib.ui.text import md_escape

LEAK_HELP: Final = (
    "The pairs held out were chosen at random. Pairs that show the same ground may lie "
    "on both sides, so these scores may be higher than on new ground."
)


def show_scores(
    scores: Scores, boundary_f1: float, images: int, leak: str | None
) -> None:
    """Show the scores over all images as numbers, with the warning beside them.

    Args:
        scores: Scores of the confusion matrix of all images.
        boundary_f1: Mean agreement of the borders, 0 to 1.
        images: Number of images scored.
        leak: What is known about shared ground, such as `random: may leak`.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Scores", anchor=False, width="content")
        if leak:
            st.badge(
                md_escape(leak),
                icon=":material/warning:",
                color="orange",
                help=LEAK_HELP,
            )
    grid = st.grid(4, min_column_width=150)
    grid.metric(
        "Pixel accuracy",
        percent(scores.pixel_accuracy),
        border=True,
        help="Share of all pixels that got the right class.",
    )
    grid.metric(
        "mIoU",
        percent(scores.miou),
        border=True,
        help="Overlap of predicted and true area (intersection over union), averaged "
        "over the classes that occur.",
    )
    grid.metric(
        "Boundary F1",
        percent(boundary_f1),
        border=True,
        help="How well the borders between classes agree, within 2 px.",
    )
    grid.metric("Images", f"{images:,}", border=True)


def show_class_scores(
    scores: Scores, confusion: NDArray[np.int64], classes: Classes
) -> None:
    """Show the IoU of each class, and what each class was taken for.

    Args:
        scores: Scores of `confusion`.
        confusion: (K, K) pixels; rows are the truth, columns the prediction.
        classes: The K classes.
    """
    names = [item.name for item in classes]
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**IoU of each class**")
        values = dict(zip(names, (float(value) for value in scores.iou), strict=True))
        show_class_bars(values, classes, what="IoU", longest=1.0)
        st.caption("A dash: neither in the true nor in the predicted masks.")
    with right:
        st.markdown("**What the pixels of each class were taken for, in per cent**")
        show_confusion(confusion, names)


def class_scores_frame(scores: Scores, names: Sequence[str]) -> pd.DataFrame:
    """Return one row a class: IoU, precision, recall (0 to 1 or NaN), true pixels."""
    return pd.DataFrame(
        {
            "class": list(names),
            "iou": scores.iou,
            "precision": scores.precision,
            "recall": scores.recall,
            "true_pixels": scores.support,
        }
    )


def show_tables(
    by_class: pd.DataFrame, by_image: pd.DataFrame, confusion: pd.DataFrame
) -> None:
    """Show the tables behind the charts, closed at first, each with its CSV.

    Args:
        by_class: As `class_scores_frame` returns it.
        by_image: One row an image.
        confusion: Pixels, one row a true class.
    """
    with st.expander("Tables", icon=":material/table:"):
        for title, frame, file in (
            ("Scores of each class", by_class, "scores_by_class.csv"),
            ("Scores of each image", by_image, "scores_by_image.csv"),
            ("Confusion matrix, in pixels", confusion, "confusion_matrix.csv"),
        ):
            st.markdown(f"**{title}**")
            st.dataframe(
                frame,
                hide_index=True,
                height="content" if len(frame) <= 12 else 320,
                column_config=_columns(frame),
                alt=f"Table: {title}",
            )
            st.download_button(
                "Download as CSV",
                safe_csv(frame),
                file,
                "text/csv",
                icon=":material/download:",
                on_click="ignore",
                key=f"download_{file}",
            )


def percent(value: float) -> str:
    """Return a share as text; a dash for NaN."""
    return "–" if np.isnan(value) else f"{value:.1%}"


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    """Show shares as per cent and counts with separators."""
    columns = {}
    for name, kind in frame.dtypes.items():
        if pd.api.types.is_float_dtype(kind):
            columns[str(name)] = st.column_config.NumberColumn(format="percent")
        elif pd.api.types.is_integer_dtype(kind):
            columns[str(name)] = st.column_config.NumberColumn(format="localized")
    return columns
