"""The images of the prediction gallery: a grid of cards, and the one that is open."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.palette import Classes
from terrainlib.errors import TerrainError
from terrainlib.files import natural_key
from terrainlib.mask.confidence import confidence_picture
from terrainlib.mask.rasters.png import encode_png, index_png
from terrainlib.mask.scores.figures import MAX_ROWS, rows_png
from terrainlib.mask.scores.gallery import (
    RIGHT_COLOR,
    WRONG_COLOR,
    Gallery,
    error_picture,
)
from terrainlib.mask.tiles.bands import to_bytes
from terrainlib.mask.tiles.resampling import shrink
from terrainlib.metrics import decimal
from terrainlib.types import ByteArray, MaskArray
from terrainlib.ui import pictures, state
from terrainlib.ui.cached import encode_jpeg
from terrainlib.ui.gallery.predictions import Wanted, forget_predictions
from terrainlib.ui.gallery.viewer import Card, Opened, Panel, show_cards, show_open
from terrainlib.ui.page import (
    empty_state,
    offer_file,
    page_of,
    pick_one,
    show_legend,
    show_pagination,
)
from terrainlib.ui.text import md_escape, plural

ORDERS: Final = {"worst": "Worst first", "best": "Best first", "name": "By name"}
ERROR_COLORS: Final = ((WRONG_COLOR, "Wrong"), (RIGHT_COLOR, "Right"))
EVERY_CLASS: Final = "All classes"
CARDS_A_PAGE: Final = MAX_ROWS
CARD_PX: Final = 256
OPEN_PX: Final = 1024
CROP_PX: Final = 96
_MAX_CROPS: Final = 12
_OUTLINES: Final = (((0, 0, 0), 4), ((255, 255, 255), 2))  # seen on every ground


@st.fragment
def show_images(gallery: Gallery, wanted: Wanted, key: str) -> None:
    """Show the images of a gallery as cards, with filters above.

    A fragment: filtering, turning a page and opening an image draw nothing else.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        order = pick_one("Order", ORDERS, f"{key}_order", query="order")
        of_class = _pick_class(gallery.classes, key)
        low, high = st.slider(
            "mIoU" if of_class is None else "IoU of the class",
            0.0,
            1.0,
            (0.0, 1.0),
            key=f"{key}_score",
            bind="query-params",
            persist_state="session",
            width=220,
        )
        figure = st.container(width="content")
    ids = listed(gallery, order, of_class, low, high)
    if not ids:
        empty_state("No image fits", "Choose another class, or a wider range.")
        return
    place = f"{key}_page_{wanted.digest}_{order}_{of_class}"
    shown = page_of(ids, CARDS_A_PAGE, place)
    with figure:
        _offer_figure(gallery, shown, f"{key}_figure")
    values = _values(gallery, of_class)
    cards = [_card(gallery, wanted, one, values[one]) for one in shown]
    show_legend(gallery.classes)
    show_cards([card for card in cards if card], key=f"{key}_cards")
    show_pagination(len(ids), CARDS_A_PAGE, place)
    show_opened(gallery, wanted, ids, key)


def listed(
    gallery: Gallery, order: str, of_class: int | None, low: float, high: float
) -> list[str]:
    """Return the ids of the images that fit, in an order.

    Args:
        gallery: The gallery.
        order: One of `ORDERS`.
        of_class: Index of the class whose IoU counts; None for the mIoU. Images without
            it, in truth and prediction, are left out.
        low: The lowest score, 0 to 1.
        high: The highest one.
    """
    values = _values(gallery, of_class)
    if order in ("worst", "best"):
        ids = gallery.order("best" if order == "best" else "worst", of_class=of_class)
    else:
        ids = tuple(sorted(gallery.ids, key=natural_key))
    whole = of_class is None and (low, high) == (0, 1)  # with those not scored
    return [one for one in ids if whole or low <= values[one] <= high]


def show_opened(gallery: Gallery, wanted: Wanted, ids: Sequence[str], key: str) -> None:
    """Show the image that is open, if any; from it one can turn to the others."""

    def make(pair_id: str) -> Opened | None:
        try:
            return _opened(f"{wanted.key}|{pair_id}", gallery, pair_id)
        except TerrainError as error:
            st.warning(md_escape(error))
            forget_predictions()
            return None

    asked = show_open(ids, make, key=f"{key}_open")
    if asked is not None:
        state.open_in_studio(wanted.dataset.folder, asked, wanted.entry.model)
        st.switch_page(state.STUDIO_PAGE)


def show_mistakes(
    gallery: Gallery, wanted: Wanted, truth: int, taken_for: int, key: str
) -> None:
    """Show the crops with most pixels of one class taken for another, outlined."""
    names = gallery.evaluation.class_names
    ids = gallery.mistakes(truth, taken_for, _MAX_CROPS)
    what = f"{md_escape(names[truth])} taken for {md_escape(names[taken_for])}"
    if truth == taken_for:
        what = f"{md_escape(names[truth])}, rightly named"
    if not ids:
        st.caption(f"No pixel is {what}.")
        return
    pixels = gallery.evaluation.confusions[:, truth, taken_for]
    st.markdown(
        f"**{what}**: {int(pixels.sum()):,} pixels in "
        f"{plural(int((pixels > 0).sum()), 'image')}. Those with most, outlined:"
    )
    cards = []
    for one in ids:
        mark = f"{wanted.key}|{one}|{truth}|{taken_for}"
        try:
            crop = _crop(mark, gallery, one, truth, taken_for)
        except TerrainError as error:
            st.warning(md_escape(error))
            continue
        note = f"{int(pixels[gallery.ids.index(one)]):,} px"
        cards.append(Card(one, one, note, {"image": crop}))
    show_cards(cards, key=f"{key}_crops")
    show_opened(gallery, wanted, ids, key)


def outlined(rgb: NDArray[np.float32], where: NDArray[np.bool_]) -> ByteArray:
    """Return the crop of an image that holds most marked pixels, with their outline.

    Args:
        rgb: (H, W, 3) float32 in [0, 1].
        where: (H, W), what is marked.

    Returns:
        (h, w, 3) uint8: at most `CROP_PX` px of the image, enlarged.
    """
    size = min(CROP_PX, *where.shape)
    sums = cv2.integral(where.astype(np.uint8))
    inside = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size]
    inside += sums[:-size, :-size]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    window = np.s_[y : y + size, x : x + size]
    factor = max(1, 2 * CARD_PX // size)
    enlarged = (size * factor, size * factor)
    picture = cv2.resize(to_bytes(rgb[window]), enlarged, interpolation=cv2.INTER_CUBIC)
    marked = where[window].astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    lines, _ = cv2.findContours(marked, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for color, width in _OUTLINES:
        cv2.drawContours(picture, lines, -1, color, width)
    return np.asarray(picture, np.uint8)


def _pick_class(classes: Classes, key: str) -> int | None:
    names = [item.name for item in classes]
    chosen = st.selectbox(
        "Class",
        [EVERY_CLASS, *names],
        key=f"{key}_class",
        bind="query-params",
        persist_state="session",
        width=180,
    )
    return names.index(chosen) if chosen in names else None


def _values(gallery: Gallery, of_class: int | None) -> dict[str, float]:
    values = gallery.evaluation.image_values(of_class)
    return dict(zip(gallery.ids, map(float, values), strict=True))


def _card(gallery: Gallery, wanted: Wanted, pair_id: str, value: float) -> Card | None:
    """Return the card of an image; a file that went bad meanwhile says so."""
    try:
        found = _thumbnails(f"{wanted.key}|{pair_id}", gallery, pair_id)
    except TerrainError as error:
        st.warning(md_escape(error))
        forget_predictions()
        return None
    return Card(
        pair_id,
        pair_id,
        decimal(value),
        dict(zip(("image", "mask"), found, strict=True)),
    )


@st.cache_data(max_size="64MB", show_spinner=False)
def _thumbnails(key: str, _gallery: Gallery, pair_id: str) -> tuple[bytes, bytes]:
    del key  # part of the cache's key
    dataset = _gallery.dataset
    image = pictures.image_thumbnail(
        dataset.pair(pair_id).image, bands=dataset.band_set, longest_px=CARD_PX
    )
    return image, _mask(_gallery.prediction(pair_id), _gallery.classes, CARD_PX)


@st.cache_data(max_size="64MB", show_spinner=False)
def _opened(key: str, _gallery: Gallery, pair_id: str) -> Opened:
    """Return what is shown of an open image."""
    del key  # part of the cache's key
    row, margins = _gallery.row(pair_id), _gallery.margins(pair_id)
    classes = _gallery.classes
    image = encode_jpeg(shrink(row.rgb, OPEN_PX, nearest=False))
    errors = error_picture(shrink(row.errors, OPEN_PX, nearest=True))
    panels = [
        Panel("image", "Image", image),
        Panel("prediction", "Predicted mask", _mask(row.prediction, classes, OPEN_PX)),
        Panel("truth", "True mask", _mask(row.truth, classes, OPEN_PX)),
        Panel("errors", "Errors", encode_png(errors)),
    ]
    words = [
        f"mIoU {decimal(row.miou)}",
        f"pixel accuracy {decimal(row.pixel_accuracy)}",
    ]
    if margins is not None:
        small = cv2.resize(
            row.prediction, margins.shape[::-1], interpolation=cv2.INTER_NEAREST
        )
        sure = confidence_picture(margins, np.asarray(small, np.uint8))
        panels.append(Panel("confidence", "Confidence", encode_png(sure)))
        words.append("orange where it is unsure")
    note = "  ·  ".join(words)
    height, width = row.truth.shape
    return Opened(note, width / height, tuple(panels))


@st.cache_data(max_size="32MB", show_spinner=False)
def _crop(
    key: str, _gallery: Gallery, pair_id: str, truth: int, taken_for: int
) -> bytes:
    del key  # part of the cache's key
    row = _gallery.row(pair_id)
    marked = (row.truth == truth) & (row.prediction == taken_for)
    return encode_jpeg(outlined(row.rgb, marked))


def _mask(mask: MaskArray, classes: Classes, longest_px: int) -> bytes:
    return index_png(shrink(mask, longest_px, nearest=True), classes)


def _offer_figure(gallery: Gallery, ids: Sequence[str], key: str) -> None:
    """Offer the original's way to look at results: a Matplotlib figure as PNG."""

    def draw() -> bytes:
        return rows_png([gallery.row(one) for one in ids], gallery.classes)

    offer_file("Figure of this page", draw, "predictions_page.png", key=key)
