"""Correcting the mask of a model: what it is sure of counts a little."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import streamlit as st

from terrainlib.data.labels.strokes import Painted, with_classes
from terrainlib.data.palette import NO_DATA, Classes, TerrainClass, distinct_colors
from terrainlib.mask.instantview import Learnt, View
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.types import MaskArray
from terrainlib.ui import state
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.labels.work import Work
from terrainlib.ui.page import pick_one
from terrainlib.ui.studio.inputs import (
    LIVE_MEGAPIXELS,
    Chosen,
    band_set,
    class_count,
    needs_height,
)
from terrainlib.ui.studio.masks import MadeMask, mask_with_bar

ALONE: Final = "alone"
CORRECTED: Final = "corrected"
OWN: Final = "own"
_ASKED: Final = f"{state.LABELS}_asked_model"  # str: id of a model to be shown
_SHOWN: Final = f"{state.LABELS}_whose"  # str: one of these
SURE_BYTE: Final = 128  # of the margin in 255ths; half


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """The mask of a model that strokes correct.

    Attributes:
        made: The mask.
        title: What the model is called.
    """

    made: MadeMask
    title: str

    @property
    def key(self) -> str:
        """Names the mask."""
        return self.made.key

    def weak(self, view: View, classes: Classes) -> MaskArray:
        """Return the classes that the model is sure of in a view.

        Args:
            view: The view.
            classes: What can be painted, the model's among them.

        Returns:
            (h, w) uint8 indices of `classes`, 255 where it is not sure.
        """
        order = {item.name: number for number, item in enumerate(classes)}
        table = np.full(256, NO_DATA, np.uint8)
        for number, item in enumerate(self.made.classes):
            table[number] = order.get(item.name, NO_DATA)
        shown = self.seen(view)
        found = table[shown.mask]
        found[shown.margins < SURE_BYTE] = NO_DATA
        return found

    def seen(self, view: View) -> Learnt:
        """Return the model's own mask of a view."""
        height, width = self.made.predicted.shape
        middle = view.step // 2
        rows = np.arange(view.rows.start, view.rows.stop) * view.step + middle
        columns = np.arange(view.columns.start, view.columns.stop) * view.step + middle
        at = np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
        return Learnt(view, self.made.predicted[at], self.made.margins[at], ())


def with_those_of(painted: Painted, classes: Classes) -> Painted:
    """Return what is painted with some classes in front; those with strokes stay.

    Args:
        painted: What is painted.
        classes: The classes to start with.
    """
    used = {stroke.class_name for stroke in painted.strokes}
    names = {item.name for item in classes}
    kept = [i for i in painted.classes if i.name in used and i.name not in names]
    taken = {item.color for item in classes}
    spare = iter(distinct_colors(len(kept) + 1, taken | {i.color for i in kept}))
    others: list[TerrainClass] = []
    for item in kept:
        color = next(spare) if item.color in taken else item.color
        others.append(replace(item, color=color))
        taken.add(color)
    return with_classes(painted, (*classes, *others))


def pick_correction(chosen: Chosen) -> Correction | None:
    """Let people choose a model whose mask is shown here and corrected.

    Returns:
        None where none is chosen, or its mask cannot be made: the page has said why.
    """
    entries = {e.id: e for e in list_models() if e.record is not None}
    if asked := st.session_state.pop(_ASKED, None):
        st.session_state[state.LABELS_MODEL] = asked
        st.session_state[_SHOWN] = OWN
    state.follow_link(state.LABELS_MODEL, "model", entries)
    model_id = st.selectbox(
        "Begin with a model's mask",
        list(entries),
        index=None,
        format_func=lambda name: entries[name].title,
        placeholder="None: strokes alone",
        key=state.LABELS_MODEL,
        persist_state="session",
        width=420,
        help="What the model is sure of counts a little, your strokes count much.",
    )
    entry = entries.get(str(model_id))
    if entry is None:
        return None
    if not chosen.fits_live_view(class_count(entry)):
        st.info(
            f"The image is larger than {LIVE_MEGAPIXELS} megapixels, and masks of "
            "models are corrected up to that size. Cut out a part of it."
        )
        return None
    made: MadeMask | None = None
    with errors_shown("The model's mask cannot be made"):
        made = _made(chosen, entry)
    return None if made is None else Correction(made, entry.title)


def _made(chosen: Chosen, entry: ModelEntry) -> MadeMask:
    """Return the mask of a model.

    Raises:
        TerrainError: If the image does not fit the model.
    """
    bands = band_set(entry)
    picture = chosen.picture if bands is None else chosen.picture.with_bands(bands)
    height = chosen.height if needs_height(entry) else None
    return mask_with_bar(picture, height, entry.model)


def show_models_mask(model_id: str) -> None:
    """Draw the page again with the mask of a model over the image."""
    st.session_state[_ASKED] = model_id  # the boxes are not the fragment's that asks
    st.rerun()


def pick_shown() -> str:
    """Ask which mask lies over the image: one of `ALONE`, `CORRECTED` and `OWN`."""
    whose = {
        CORRECTED: "The model's, corrected by your strokes",
        OWN: "The model's own",
        ALONE: "From your strokes alone",
    }
    return pick_one("Mask over the image", whose, _SHOWN)


def add_classes(work: Work, correction: Correction) -> None:
    """Add the classes of a model to what can be painted, if they are not there.

    Raises:
        TerrainError: If that cannot be kept.
    """

    def added(painted: Painted) -> Painted:
        classes = correction.made.classes
        names = {item.name for item in painted.classes}
        if all(item.name in names for item in classes):
            return painted
        return with_those_of(painted, classes)

    work.file.change(added)
