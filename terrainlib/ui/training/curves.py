"""The charts of one training, each with its name and one line of explanation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.imagery import read_image
from terrainlib.data.palette import KAGGLE_CLASSES, TerrainClass, load_classes
from terrainlib.errors import TerrainError
from terrainlib.mask.rasters.png import encode_png
from terrainlib.metrics import OF_CLASSES
from terrainlib.runs.folder import Run
from terrainlib.runs.training.pixelscore import read_pixel_score
from terrainlib.runs.training.previews import PreviewInput, preview_inputs, previews
from terrainlib.ui.cached import Stamp, file_stamp
from terrainlib.ui.charts import curve_colors
from terrainlib.ui.datasets.splits import inline, leak_note, run_split
from terrainlib.ui.page import pick_one, show_legend
from terrainlib.ui.text import md_escape
from terrainlib.ui.training import charts

COLORS_LOSS: Final = (
    "How far the colours are from the mask's: lower is better. It never reaches 0, "
    "not even for a perfect mask, because most colours are no pure 0 or 1."
)

MAX_SMOOTHING: Final = 0.95
LAST_KEPT: Final = (
    "The mean IoU of the classes on the held-out images: of the pixels that are a "
    "class in truth or prediction, the share that are it in both. 1 is perfect. As "
    "in the original, the last epoch is kept."
)


@dataclass(frozen=True, slots=True)
class Noted:
    """What a run has noted so far, read once for all its charts."""

    run: Run
    metrics: pd.DataFrame
    steps: pd.DataFrame
    look: charts.Look


def pick_look(*, steps: bool) -> charts.Look:
    """Ask how curves are drawn; the answer is kept for the session.

    Args:
        steps: Whether steps were noted, so that curves can be drawn against them.
    """
    axes = {axis: name for axis, name in charts.AXES.items() if steps or axis != "step"}
    with st.container(
        horizontal=True, vertical_alignment="bottom", gap="medium", key="curves_look"
    ):
        axis = pick_one("Curves against", axes, "training_axis")
        smoothing = st.slider(
            "Smoothing",
            0.0,
            MAX_SMOOTHING,
            step=0.05,
            key="training_smoothing",
            persist_state="session",
            width=170,
            help="Averages each value with those before it; the curve itself stays "
            "faint behind.",
        )
        log = st.toggle(
            "Logarithmic scale",
            key="training_log",
            persist_state="session",
            help="For the loss and the learning rate.",
        )
    st.caption(charts.ZOOM_WORDS)
    return charts.Look(axis, min(max(float(smoothing), 0.0), MAX_SMOOTHING), log)


def show_main_curves(noted: Noted) -> None:
    """Show loss and mean IoU: whether it learns, and how well."""
    original = _original(noted.run)
    with st.grid(2, min_column_width=300):
        _show_chart(noted, charts.LOSS, COLORS_LOSS if original else "")
        _show_chart(noted, charts.MIOU, LAST_KEPT if original else "")


def show_more_curves(noted: Noted) -> None:
    """Show a score of each class, and below it what explains the rest."""
    names = charts.class_names(noted.metrics)
    colors = curve_colors(names, known_colors(noted.run.config.data))
    texts = [charts.class_chart_text(kind, names) for kind in OF_CLASSES]
    found = [t for t in texts if t.curves and t.curves[0][0] in noted.metrics]
    _show_chart(noted, _pick(found) or texts[0], colors=colors)
    with st.grid(3, min_column_width=240):
        _show_chart(noted, charts.ACCURACY)
        _show_chart(noted, charts.LEARNING_RATE)
        _show_chart(noted, charts.SECONDS)


def _pick(texts: list[charts.ChartText]) -> charts.ChartText | None:
    """Ask which score of each class is shown; older runs have the IoU alone."""
    if len(texts) < 2:
        return None
    by_title = {text.title: text for text in texts}
    titles = {title: title for title in by_title}
    key = "training_class_score"
    return by_title[pick_one("Score of each class", titles, key, hidden=True)]


def _original(run: Run) -> bool:
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
    noted: Noted,
    text: charts.ChartText,
    meaning: str = "",
    *,
    colors: tuple[tuple[str, str], ...] = (),
) -> None:
    run, look = noted.run, noted.look
    pixel_score = read_pixel_score(run.path) if text.ruled else None
    scale = charts.scale_of(noted.metrics, noted.steps, look.axis)
    rows = charts.chart_rows(
        [
            charts.curve_of(name, column, noted.metrics, noted.steps, scale)
            for column, name in text.curves
        ],
        look,
        text,
        best=scale.end(run.status.best_epoch),
        rule=pixel_score.miou if pixel_score else None,
    )
    with st.container(border=True, height="stretch"):
        split = run_split(run.path) if text.scored else None
        note = leak_note(split.leak) if split else None
        warning = f" {inline(note)}" if note and note.warns else ""
        st.markdown(f"**{text.title}**{warning}", help=note.help if note else None)
        # Smoothing is in the rows alone: another description would end a zoom.
        drawn = charts.line_spec(
            text, replace(look, smoothing=0.0), colors, classes=bool(colors)
        )
        st.vega_lite_chart(
            charts.filled(drawn, rows),
            width="stretch",
            alt=describe(rows, text, look.axis, live=run.active),
        )
        st.caption(meaning or text.meaning)


def describe(
    rows: pd.DataFrame, text: charts.ChartText, axis: str = "epoch", *, live: bool
) -> str:
    """Return what a chart shows, for those who cannot see it.

    While it is live that names no values: they stand above it, and other words would
    make the browser draw the chart anew and forget a zoom.
    """
    against = charts.AXES[axis].lower()
    if live:
        return f"{text.title} against {against}, growing while the training goes on."
    ruled = "".join(f" {label}." for label in rows["label"][rows["part"] == "rule"])
    rows = rows[rows["part"] == "line"]
    if rows.empty:
        return f"{text.title}: no values yet.{ruled}"
    end = rows[axis].max()
    last = rows[rows[axis] == end]
    values = ", ".join(
        f"{curve} {value:{text.digits}}"
        for curve, value in zip(last["curve"], last["value"], strict=True)
    )
    return f"{text.title} against {against}. At {end:.4g}: {values}.{ruled}"


PANEL_PX: Final = 256
GAP_PX: Final = 6
MAX_PREVIEWS: Final = 4


def show_previews(run_path: Path, *, key: str, best_epoch: int | None) -> None:
    """Show image, truth and prediction of the fixed images, with a slider of epochs.

    The slider follows the newest epoch until somebody moves it back.
    """
    inputs, epochs = preview_inputs(run_path)[:MAX_PREVIEWS], previews(run_path)
    if not inputs or not epochs:
        st.caption("The first predictions appear after the first epoch.")
        return
    epoch = _pick_epoch(list(epochs), key)
    note = ", the best so far" if epoch == best_epoch else ""
    st.caption(
        f"From left to right: image, truth, prediction after epoch {epoch}{note}."
    )
    with st.grid("auto", min_column_width=300, gap="medium"):
        for item in inputs:
            if item.id in epochs[epoch]:
                _show_strip(item, epochs[epoch][item.id], epoch)


def strip(panels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return pictures side by side, enlarged without blending, gaps transparent.

    Args:
        panels: (H, W, 3) uint8 each, all of one size.

    Returns:
        (h, w, 4) uint8 RGBA with h about `PANEL_PX`.
    """
    height, width = panels[0].shape[:2]
    factor = max(1, round(PANEL_PX / max(height, width)))
    size = (width * factor, height * factor)
    parts: list[NDArray[np.uint8]] = []
    for panel in panels:
        large = cv2.resize(panel, size, interpolation=cv2.INTER_NEAREST)
        opaque = np.full((*large.shape[:2], 1), 255, np.uint8)
        gap = np.zeros((large.shape[0], GAP_PX, 4), np.uint8)
        parts += [np.concatenate([large, opaque], axis=2).astype(np.uint8), gap]
    return np.concatenate(parts[:-1], axis=1)


def _pick_epoch(epochs: list[int], key: str) -> int:
    if len(epochs) == 1:
        return epochs[0]
    newest_seen = f"{key}_newest"
    chosen = st.session_state.get(key)
    if chosen not in epochs or chosen == st.session_state.get(newest_seen):
        st.session_state[key] = epochs[-1]
    st.session_state[newest_seen] = epochs[-1]
    return int(
        st.select_slider(
            "Epoch",
            epochs,
            key=key,
            help="Move it back to see how the predictions got better.",
        )
    )


def _show_strip(item: PreviewInput, mask: Path, epoch: int) -> None:
    paths = (item.image, item.truth, mask)
    try:
        png = _strip_png(
            tuple(str(path) for path in paths),
            tuple(file_stamp(path) for path in paths),
        )
    except TerrainError:
        st.caption(f"{md_escape(item.id)} cannot be shown.")
        return
    alt = f"{item.id}: image, true mask and predicted mask after epoch {epoch}"
    st.image(png, width="stretch", alt=alt)


@st.cache_data(max_entries=256, show_spinner=False)
def _strip_png(paths: tuple[str, ...], stamps: tuple[Stamp, ...]) -> bytes:
    del stamps  # part of the key
    panels = [
        np.round(read_image(Path(path)).rgb * 255).astype(np.uint8) for path in paths
    ]
    return encode_png(strip(panels))
