"""The paged gallery of a data set: image, mask, overlay and height of each pair."""

from typing import Final

import numpy as np
import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.data.layout import Pair
from terrainlib.errors import TerrainError
from terrainlib.files import natural_key
from terrainlib.ui import pictures
from terrainlib.ui.page import page_of, show_legend, show_pagination
from terrainlib.ui.text import md_escape

BOTH, OVERLAY, IMAGE, MASK, HEIGHT = (
    "Image and mask",
    "Overlay",
    "Image",
    "Mask",
    "Height",
)
BY_NAME: Final = "Name"
PAIRS_A_PAGE: Final = 12
_CELL_PX: Final = 180
_DOUBLE_CELL_PX: Final = 260


@st.fragment
def show_pair_gallery(dataset: Dataset, key: str) -> None:
    """Show the pairs of a data set, a page at a time, with the controls above.

    A fragment: turning a page or moving the opacity draws the gallery only.
    """
    with st.container(horizontal=True):
        view = _pick_view(dataset, key)
        order = _pick_order(dataset, key)
        opacity = _pick_opacity(key) if view == OVERLAY else 1.0
    if view not in (IMAGE, HEIGHT):
        show_legend(dataset.classes)
    pairs = ordered(dataset, order)
    place = f"{key}_page_{dataset.fingerprint}_{order}"
    shown = page_of(pairs, PAIRS_A_PAGE, place)
    width = _DOUBLE_CELL_PX if view == BOTH else _CELL_PX
    grid = st.grid("auto", min_column_width=width, gap="small")
    for pair in shown:
        with grid.cell():
            _show_pair(pair, dataset, view, opacity)
    show_pagination(len(pairs), PAIRS_A_PAGE, place)


def ordered(dataset: Dataset, order: str) -> list[Pair]:
    """Return the pairs by name, or those with most of a class first.

    Args:
        dataset: The data set.
        order: `BY_NAME` or the name of a class.
    """
    names = [item.name for item in dataset.classes]
    pairs = sorted(dataset.pairs, key=lambda pair: natural_key(pair.id))
    if order not in names:
        return pairs
    number = names.index(order)
    shares = [pair.counts[number] / max(1, sum(pair.counts)) for pair in pairs]
    best_first = np.argsort(-np.asarray(shares), kind="stable")
    return [pairs[position] for position in best_first]


def _pick_view(dataset: Dataset, key: str) -> str:
    views = [BOTH, OVERLAY, IMAGE, MASK]
    if any(pair.height for pair in dataset.pairs):
        views.append(HEIGHT)
    view = st.segmented_control(
        "Show",
        views,
        default=BOTH,
        required=True,
        key=f"{key}_view_{len(views)}",
        wrap=True,
        persist_state="session",
    )
    return view if view in views else BOTH


def _pick_order(dataset: Dataset, key: str) -> str:
    choices = [BY_NAME, *(item.name for item in dataset.classes)]
    return st.selectbox(
        "Order",
        choices,
        format_func=lambda name: name if name == BY_NAME else f"Most {name}",
        key=f"{key}_order_{dataset.fingerprint}",
        width=180,
    )


def _pick_opacity(key: str) -> float:
    percent = st.slider(
        "Opacity of the mask",
        0,
        100,
        50,
        step=5,
        format="%d %%",
        key=f"{key}_opacity",
        width=180,
        persist_state="session",
    )
    return percent / 100


def _show_pair(pair: Pair, dataset: Dataset, view: str, opacity: float) -> None:
    """Show one pair in its cell; a file that went bad meanwhile says so there."""
    try:
        pictures = _pictures(pair, dataset, view, opacity)
    except TerrainError as error:
        st.warning(md_escape(error))
        return
    row = st.grid(len(pictures), min_column_width=40, wrap=False, gap="xxsmall")
    for what, data in pictures:
        if data is None:
            row.caption("No height")
        else:
            row.image(data, width="stretch", alt=f"{what} of pair {pair.id}")
    st.caption(_caption(pair, dataset))


def _pictures(
    pair: Pair, dataset: Dataset, view: str, opacity: float
) -> list[tuple[str, bytes | None]]:
    """Return what to show of a pair: its name and its bytes, None where missing."""
    if view == OVERLAY:
        data = pictures.overlay_picture(pair, dataset, opacity)
        return [("Mask over the image", data)]
    if view == HEIGHT:
        return [("Shaded relief", pictures.relief_picture(pair))]
    shown: list[tuple[str, bytes | None]] = []
    if view in (BOTH, IMAGE):
        shown.append(("Image", pictures.image_picture(pair, dataset)))
    if view in (BOTH, MASK):
        shown.append(("Mask", pictures.mask_picture(pair, dataset)))
    return shown


def _caption(pair: Pair, dataset: Dataset) -> str:
    total = sum(pair.counts)
    if not total:
        return f"**{md_escape(pair.id)}**"
    largest = int(np.argmax(pair.counts))
    name = md_escape(dataset.classes[largest].name)
    return f"**{md_escape(pair.id)}** · {name} {pair.counts[largest] / total:.0%}"
