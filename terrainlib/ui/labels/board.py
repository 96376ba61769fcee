"""Where people paint: the image, the mask learnt from their strokes, what is next."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import streamlit as st

from terrainlib.data.labels.strokes import Operation, Painted, done, stroke_layer
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.mask.confidence import UNSURE_COLORS, UNSURE_MARGIN
from terrainlib.mask.instantview import Learnt, View
from terrainlib.mask.rasters.png import encode_png, mask_png
from terrainlib.model.beside import is_loaded
from terrainlib.types import ByteArray, MaskArray
from terrainlib.ui import cached, state
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.labels.painter import PaintView, Seen, painter, seen_by
from terrainlib.ui.labels.training import offer_trained
from terrainlib.ui.labels.weak import Correction
from terrainlib.ui.labels.work import Work, with_detail, with_some_classes
from terrainlib.ui.page import swatch
from terrainlib.ui.text import plural
from terrainlib.ui.turns import PICTURES, in_turn

_UNSURE_OPACITY: Final = 200
_COUNTED_PX: Final = 1024  # the image is counted at this size
_FIRST: Final = (
    "Choose a class, and paint over a place that you are sure of. Paint **another "
    "class** too: the mask comes with the second one."
)
_GOOD: Final = (
    "Few short strokes are enough, when they are **spread** over the image, show each "
    "class in **all its looks**, and go near the **borders** too."
)


def show_board(
    work: Work, correction: Correction | None, *, own: bool = False
) -> Painted | None:
    """Let people paint, and show what is learnt from it; call it in a fragment.

    Args:
        work: The image.
        correction: The mask of a model that is corrected; None without.
        own: Show that mask as it is.

    Returns:
        What is painted; None where it cannot be read: the page has said why.
    """
    key = f"{state.LABELS_PAINTER}_{work.view.id}"
    painted: Painted | None = None
    with errors_shown("The strokes cannot be opened"):
        painted = work.read()
    if painted is None:
        return None
    seen = _seen(key, work.view)
    window = (0, 0, *work.view.size) if seen is None else seen.window
    view = work.image.view_of(window)
    known = _learnt_key(work, painted, view, correction)
    ready = work.image.is_described(view) or cached.results().get(known) is not None
    last = f"last learnt\n{work.image.key}"
    learnt = cached.results().get(last)
    if ready:
        learnt = _learn(work, painted, view, correction)
        cached.results().put(last, learnt, 0 if learnt is None else learnt.mask.nbytes)
    left, right = st.columns([3, 1], gap="medium")
    shown, colors = learnt, painted.classes
    if correction is not None and own:
        shown, colors = correction.seen(view), correction.made.classes
    with left, errors_shown("This stroke cannot be kept"):
        painter(
            with_detail(work, seen),
            painted,
            key=key,
            apply=partial(keep, work),
            layers=_layers(shown, colors),
            places=learnt.places if learnt is not None else (),
        )
    with right:
        offer_trained(work)
        _show_learnt_from(work, painted, learnt)
    if not ready:
        with (
            left,
            errors_shown("This part of the image cannot be looked at") as outcome,
            st.spinner(_looking(), show_time=True),
            in_turn(PICTURES),
        ):
            work.image.describe_view(view)
            _learn(work, painted, view, correction)  # before others need the room
        if not outcome.failed:
            st.rerun()
    return painted


def _looking() -> str:
    if is_loaded():
        return "Looking at this part of the image. You can paint meanwhile."
    return "Getting ready, once after the start of the app. You can paint meanwhile."


def keep(work: Work, operations: Sequence[Operation]) -> Painted:
    """Do operations to what is painted, on the disk; return what stands there then.

    Raises:
        TerrainError: If that cannot be; nothing has changed then.
    """
    return work.file.change(
        lambda painted: done(with_some_classes(painted), operations)
    )


def _seen(key: str, view: PaintView) -> Seen | None:
    held: Any = st.session_state.get(key)
    return seen_by(held.get("view"), view) if isinstance(held, Mapping) else None


def _learn(
    work: Work, painted: Painted, view: View, correction: Correction | None
) -> Learnt | None:
    """Return the mask of a view, from memory while nothing has changed."""
    key = _learnt_key(work, painted, view, correction)
    kept = cached.results().get(key)
    if isinstance(kept, Learnt):
        return kept
    weak = None if correction is None else correction.weak(view, painted.classes)
    learnt = None
    with errors_shown("No mask can be learnt"), in_turn(PICTURES):
        learnt = work.image.learn(painted, view, weak)
    if learnt is not None:
        cached.results().put(key, learnt, 2 * learnt.mask.nbytes)
    return learnt


def _learnt_key(
    work: Work, painted: Painted, view: View, correction: Correction | None
) -> str:
    about = "" if correction is None else correction.key
    return f"learnt\n{work.image.key}\n{painted.version}\n{view}\n{about}"


def _layers(
    learnt: Learnt | None, classes: Classes
) -> dict[str, tuple[bytes, tuple[int, int, int, int]]]:
    if learnt is None:
        return {}
    window = learnt.view.window
    return {
        "mask": (mask_png(learnt.mask, classes), window),
        "unsure": (unsure_png(learnt.margins, learnt.mask), window),
    }


def unsure_png(margins: ByteArray, mask: MaskArray) -> bytes:
    """Return where the classifier is unsure as a PNG, clear elsewhere.

    Args:
        margins: (h, w) uint8 in 255ths.
        mask: (h, w) uint8, 255 without data.
    """
    unsure = (margins < UNSURE_MARGIN * 255) & (mask != NO_DATA)
    picture = np.zeros((*margins.shape, 4), np.uint8)
    picture[unsure] = (*UNSURE_COLORS[1], _UNSURE_OPACITY)
    return encode_png(picture)


def _show_learnt_from(work: Work, painted: Painted, learnt: Learnt | None) -> None:
    """Show strokes and pixels of each class, and what to do next."""
    st.markdown("**Learnt from**")
    strokes, pixels = counts(work, painted)
    lines = []
    for item in painted.classes:
        if strokes.get(item.name):
            note = f"{plural(strokes[item.name], 'stroke')}, {pixels[item.name]:,} px"
            lines.append(swatch(item.color, item.name, note))
    st.markdown("  \n".join(lines) if lines else "Nothing is painted yet.")
    if learnt is None and len(lines) < 2:
        st.markdown(_FIRST)
        return
    if learnt is not None:
        known = max(1, int(np.count_nonzero(learnt.mask != NO_DATA)))
        unsure = (learnt.margins < UNSURE_MARGIN * 255) & (learnt.mask != NO_DATA)
        share = np.count_nonzero(unsure) / known
        st.markdown(
            f":material/help: Unsure of **{share:.0%}** of what you see. The circles "
            "are where a stroke would help most."
        )
    st.caption(_GOOD)


def counts(work: Work, painted: Painted) -> tuple[dict[str, int], dict[str, int]]:
    """Return the strokes and the labelled px of each class, px of the image."""
    strokes: dict[str, int] = {}
    for stroke in painted.strokes:
        if stroke.class_name is not None:
            strokes[stroke.class_name] = strokes.get(stroke.class_name, 0) + 1
    scale = min(1.0, _COUNTED_PX / max(work.image.size))
    height, width = (max(1, round(side * scale)) for side in work.image.size)
    marks = np.full((height, width), NO_DATA, np.uint8)
    layer = stroke_layer(painted.strokes, painted.classes, (height, width), scale=scale)
    layer.lay((slice(0, height), slice(0, width)), marks)
    found = np.bincount(marks.ravel(), minlength=256)
    pixels = {
        item.name: round(int(found[number]) / scale**2)
        for number, item in enumerate(painted.classes)
    }
    return strokes, pixels
