"""The rows of the prediction gallery: image, predicted mask, true mask, errors."""

import re
from collections.abc import Sequence
from typing import Final

import streamlit as st

from terrainlib import metrics
from terrainlib.errors import TerrainError
from terrainlib.files import natural_key
from terrainlib.mask.scores.figures import COLUMNS, rows_png
from terrainlib.mask.scores.gallery import (
    RIGHT_COLOR,
    WRONG_COLOR,
    Gallery,
    error_picture,
)
from terrainlib.ui import pictures, state
from terrainlib.ui.gallery.predictions import Wanted, forget_predictions
from terrainlib.ui.gallery.scores import percent
from terrainlib.ui.page import (
    offer_file,
    page_of,
    pick_one,
    show_legend,
    show_pagination,
    spread,
)
from terrainlib.ui.text import md_escape

ORDERS: Final = {"worst": "Worst first", "best": "Best first", "name": "By name"}
ERROR_COLORS: Final = ((WRONG_COLOR, "Wrong"), (RIGHT_COLOR, "Right"))
ROWS_A_PAGE: Final = 6
_CELL_PX: Final = 140


@st.fragment
def show_prediction_rows(gallery: Gallery, wanted: Wanted, key: str) -> None:
    """Show the predictions of a gallery, a page at a time, with the order above.

    A fragment: turning a page draws the rows only.
    """
    with spread("bottom"):
        order = pick_one("Order", ORDERS, f"{key}_order")
        figure = st.container(width="content")
    show_legend(gallery.classes, extra=ERROR_COLORS)
    ids = ordered(gallery, order)
    place = f"{key}_page_{wanted.digest}_{order}"
    shown = page_of(ids, ROWS_A_PAGE, place)
    with figure:
        _figure_button(gallery, shown, f"{key}_figure", "Figure of this page")
    for pair_id in shown:
        with st.container(border=True):
            _show_row(gallery, wanted, pair_id, key)
    show_pagination(len(ids), ROWS_A_PAGE, place)


def ordered(gallery: Gallery, order: str) -> Sequence[str]:
    """Return the ids of a gallery: `worst` or `best` mIoU first, or by `name`."""
    if order == "best":
        return gallery.order("best")
    if order == "worst":
        return gallery.order("worst")
    return sorted(gallery.ids, key=natural_key)


def _show_row(gallery: Gallery, wanted: Wanted, pair_id: str, key: str) -> None:
    """Show one pair with its prediction; a file that went bad meanwhile says so."""
    with spread():
        st.markdown(_heading(gallery, pair_id), width="content")
        with st.container(horizontal=True, width="content"):
            _studio_button(wanted, pair_id, key)
            _figure_button(gallery, [pair_id], f"{key}_figure_{pair_id}", "Figure")
    try:
        pictures = _pictures(f"{wanted.key}|{pair_id}", gallery, pair_id)
    except TerrainError as error:
        st.warning(md_escape(error))
        forget_predictions()
        return
    grid = st.grid(len(COLUMNS), min_column_width=_CELL_PX)
    for title, data in zip(COLUMNS, pictures, strict=True):
        with grid.cell():
            st.image(data, title, width="stretch", alt=f"{title} of pair {pair_id}")


def _heading(gallery: Gallery, pair_id: str) -> str:
    position = gallery.ids.index(pair_id)
    confusion = gallery.evaluation.confusions[position]
    return (
        f"**{md_escape(pair_id)}**  ·  mIoU {percent(metrics.miou(confusion))}  ·  "
        f"pixel accuracy {percent(metrics.pixel_accuracy(confusion))}"
    )


@st.cache_data(max_size="64MB", show_spinner=False)
def _pictures(key: str, _gallery: Gallery, pair_id: str) -> tuple[bytes, ...]:
    """Return the four pictures of a row, in the order of `COLUMNS`."""
    del key  # part of the cache's key
    row = _gallery.row(pair_id)
    return (
        pictures.image_picture(_gallery.dataset.pair(pair_id), _gallery.dataset),
        pictures.colored_picture(row.prediction, _gallery.classes),
        pictures.colored_picture(row.truth, _gallery.classes),
        pictures.flat_picture(error_picture(row.errors)),
    )


def _studio_button(wanted: Wanted, pair_id: str, key: str) -> None:
    if st.button(
        "Sharpen in the studio", key=f"{key}_studio_{pair_id}", icon=":material/tune:"
    ):
        state.open_in_studio(wanted.dataset.folder, pair_id, wanted.entry.model)
        st.switch_page(state.STUDIO_PAGE)


def _figure_button(gallery: Gallery, ids: Sequence[str], key: str, label: str) -> None:
    """Offer the original's way to look at results: a Matplotlib figure as PNG."""

    def draw() -> bytes:
        rows = [gallery.row(pair_id) for pair_id in ids]
        return rows_png(rows, gallery.classes)

    name = re.sub(r"[^\w-]+", "_", ids[0]) if len(ids) == 1 else "page"
    offer_file(label, draw, f"predictions_{name}.png", key=key)
