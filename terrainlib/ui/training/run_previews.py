"""The predictions on fixed validation images as they improve from epoch to epoch."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.imagery import read_image
from terrainlib.errors import TerrainError
from terrainlib.mask.rasters.export import encode_png
from terrainlib.runs.folder import PreviewInput, preview_inputs, previews
from terrainlib.ui.cached import Stamp, file_stamp
from terrainlib.ui.text import md_escape

PANEL_PX: Final = 256
GAP_PX: Final = 6
MAX_PREVIEWS: Final = 4


def show_previews(run_path: Path, *, key: str, best_epoch: int | None) -> None:
    """Show image, truth and prediction of the fixed images, with a slider of epochs.

    The slider follows the newest epoch until somebody moves it back.

    Args:
        run_path: The run folder.
        key: Widget key of the slider.
        best_epoch: Epoch named as the best one, or None.
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
    """Show the slider and return the chosen epoch."""
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
            help="Move it back to see how the predictions became what they are.",
        )
    )


def _show_strip(item: PreviewInput, mask: Path, epoch: int) -> None:
    """Show one validation image with its truth and its prediction."""
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
    """Return the strip of three PNG files, encoded."""
    del stamps  # part of the key
    panels = [
        np.round(read_image(Path(path)).rgb * 255).astype(np.uint8) for path in paths
    ]
    return encode_png(strip(panels))
