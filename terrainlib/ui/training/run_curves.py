"""The charts of one training, each with its name and one line of explanation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from terrainlib.data.palette import KAGGLE_CLASSES, TerrainClass, load_classes
from terrainlib.errors import TerrainError
from terrainlib.runs.folder import Run
from terrainlib.runs.yardstick import read_yardstick
from terrainlib.ui.class_colors import curve_colors
from terrainlib.ui.datasets.split_view import run_split
from terrainlib.ui.leaks import inline, leak_note
from terrainlib.ui.legend import show_legend
from terrainlib.ui.training import training_charts as charts

COLORS_LOSS: Final = (
    "How far the colours are from the mask's: lower is better. It never reaches 0, "
    "not even for a perfect mask, because most colours are no pure 0 or 1."
)

LAST_KEPT: Final = (
    "Overlap of prediction and truth on the held-out images, averaged over the "
    "classes: 1 is perfect. As in the original, the last epoch is the one that is kept."
)


def show_main_curves(run: Run, metrics: pd.DataFrame) -> None:
    """Show loss and mean IoU: whether it learns, and how well.

    Args:
        run: The run; its status names the best epoch.
        metrics: Its epochs so far, at least one.
    """
    with st.grid(2, min_column_width=300):
        _show_chart(run, metrics, charts.LOSS, COLORS_LOSS if _original(run) else "")
        _show_chart(run, metrics, charts.MIOU, LAST_KEPT if _original(run) else "")


def show_more_curves(run: Run, metrics: pd.DataFrame) -> None:
    """Show the IoU of each class, and below it what explains the rest."""
    names = charts.class_names(metrics)
    colors = curve_colors(names, known_colors(run.config.data))
    _show_chart(run, metrics, charts.class_chart_text(names), colors=colors)
    with st.grid(3, min_column_width=240):
        _show_chart(run, metrics, charts.ACCURACY)
        _show_chart(run, metrics, charts.LEARNING_RATE)
        _show_chart(run, metrics, charts.SECONDS)


def _original(run: Run) -> bool:
    """Return whether the network learns colours, as the original does."""
    return run.config.training.network.output == "colors"


def show_class_colors(run: Run, metrics: pd.DataFrame) -> None:
    """Show the colours of the classes as a legend."""
    known = known_colors(run.config.data)
    names = charts.class_names(metrics)
    show_legend(TerrainClass(name, known[name]) for name in names if name in known)


def known_colors(data_folder: str) -> Mapping[str, tuple[int, int, int]]:
    """Return the colours of the classes of a data set, by name, as far as known."""
    try:
        classes = load_classes(Path(data_folder) / "classes.json")
    except TerrainError:
        classes = KAGGLE_CLASSES
    return {item.name: item.color for item in classes}


def _show_chart(
    run: Run,
    metrics: pd.DataFrame,
    text: charts.ChartText,
    meaning: str = "",
    *,
    colors: tuple[tuple[str, str], ...] = (),
) -> None:
    """Show one chart in its card."""
    yardstick = read_yardstick(run.path) if text.ruled else None
    rows = charts.long_table(
        metrics,
        text,
        best_epoch=run.status.best_epoch,
        yardstick=yardstick.miou if yardstick else None,
    )
    with st.container(border=True, height="stretch"):
        split = run_split(run.path) if text.scored else None
        note = leak_note(split.leak) if split else None
        warning = f" {inline(note)}" if note and note.warns else ""
        st.markdown(f"**{text.title}**{warning}", help=note.help if note else None)
        st.caption(meaning or text.meaning)
        st.vega_lite_chart(
            charts.filled(charts.line_spec(text, colors), rows),
            width="stretch",
            alt=describe(rows, text),
        )


def describe(rows: pd.DataFrame, text: charts.ChartText) -> str:
    """Return what a chart shows, for those who cannot see it."""
    ruled = "".join(f" {label}." for label in rows["rule"] if label)
    rows = rows[rows["rule"] == ""]
    if rows.empty:
        return f"{text.title}: no values yet.{ruled}"
    last = rows[rows["epoch"] == rows["epoch"].max()]
    values = ", ".join(
        f"{curve} {value:{text.digits}}"
        for curve, value in zip(last["curve"], last["value"], strict=True)
    )
    epoch = int(last["epoch"].iloc[0])
    return f"{text.title} against epochs. Epoch {epoch}: {values}.{ruled}"
