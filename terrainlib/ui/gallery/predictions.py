"""Predictions of a model on a data set: found on the disk, or computed on demand.

What is on the disk is shown without TensorFlow; it is loaded by the button that
predicts what is missing.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Final

import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.errors import ModelFileError, TerrainError
from terrainlib.mask.scores.gallery import Gallery, open_gallery, open_store
from terrainlib.mask.scores.scoring import class_table, pairs_of
from terrainlib.model.modelfile import TerrainModel
from terrainlib.runs.models import ModelEntry
from terrainlib.types import Progress
from terrainlib.ui import cached
from terrainlib.ui.errors import show_error
from terrainlib.ui.models.picker import PIXEL_CLASSIFIER_ID, model_of, stamp_of
from terrainlib.ui.text import plural
from terrainlib.ui.turns import in_turn

COMPLETE: Final = "gallery_complete"  # str: key of what was found complete last
COMPUTED: Final = "gallery_computed"  # str: key of what was computed here last


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which predictions a page asks for.

    Attributes:
        entry: The model.
        dataset: The data set.
        part: `validation`, `train` or `all`.
    """

    entry: ModelEntry
    dataset: Dataset
    part: str

    @property
    def key(self) -> str:
        """A text that changes when the model file, the data or the part does."""
        entry = self.entry
        fitted = entry.id == PIXEL_CLASSIFIER_ID
        stamp = stamp_of(entry.model) if fitted else cached.file_stamp(entry.path)
        data = f"{self.dataset.folder}|{self.dataset.fingerprint}"
        return f"{entry.model}|{stamp}|{data}|{self.part}"

    @property
    def digest(self) -> str:
        """The key as 16 hexadecimal digits."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


def predictions(wanted: Wanted, key: str) -> Gallery | None:
    """Return the predictions, or offer to compute those that are missing.

    Returns:
        The gallery, or None as long as predictions are missing; the page then shows
        the button that computes them, or the sentence why they cannot be.
    """
    try:
        key_now = wanted.key
        if st.session_state.get(COMPLETE) == key_now:
            return _gallery(key_now, wanted)
        total, missing = _count_missing(wanted)
        if not missing:
            st.session_state[COMPLETE] = key_now
            return _gallery(key_now, wanted)
        box = st.empty()
        with box.container(border=True):
            clicked = _ask(total, missing, key)
        if clicked:
            with box.container(border=True):
                _compute(wanted, key)
    except TerrainError as error:
        show_error(error, "These predictions cannot be made")
    return None


def _count_missing(wanted: Wanted) -> tuple[int, int]:
    """Return how many images there are, and how many of them are not predicted yet."""
    model = described(wanted.entry)
    class_table(model, wanted.dataset)
    pairs = pairs_of(model, wanted.dataset, wanted.part)
    store = open_store(model, wanted.dataset)
    missing = sum(store.read_counts(pair.id) is None for pair in pairs)
    return len(pairs), missing


def described(entry: ModelEntry) -> TerrainModel:
    """Return a model without its network: enough to find its predictions.

    A pixel classifier has no file that names its predictions, and is returned whole.

    Raises:
        ModelFileError: If the file says nothing about itself.
    """
    if entry.id == PIXEL_CLASSIFIER_ID:
        return model_of(entry.model)
    if entry.record is None:
        raise ModelFileError(
            "this model file cannot be read. Choose another model.",
            file=entry.path.name,
        )
    return replace(TerrainModel.of(entry.record, entry.path), name=entry.title)


def forget_predictions() -> None:
    """Look at the disk again the next time predictions are asked for."""
    st.session_state.pop(COMPLETE, None)
    st.session_state.pop(COMPUTED, None)
    _gallery.clear()


@st.cache_resource(max_entries=4, show_spinner=False)
def _gallery(key: str, _wanted: Wanted) -> Gallery:
    """Open predictions that are on the disk, once for each state of model and data."""
    if st.session_state.get(COMPUTED) == key:  # perhaps without unreadable files
        model = model_of(_wanted.entry.model)
    else:
        model = described(_wanted.entry)
    return open_gallery(model, _wanted.dataset, split=_wanted.part)


def _ask(total: int, missing: int, key: str) -> bool:
    images = plural(total, "image")
    st.markdown(
        f"This model has predicted {total - missing:,} of these {images} so far."
        if missing < total
        else f"This model has not predicted these {images} yet."
    )
    st.caption("This is done once; the predictions are kept.")
    return st.button(
        f"Predict {plural(missing, 'image')}",
        key=f"{key}_predict",
        type="primary",
        icon=":material/play_arrow:",
    )


def begin(wanted: Wanted, verb: str, key: str) -> tuple[TerrainModel, Progress]:
    """Load the model of a work on many images, behind a progress bar.

    Args:
        wanted: Whose model.
        verb: What is done with an image: `Predicted`.
        key: Start of the key of the stop button, which interrupts between batches.

    Returns:
        The model, and what to call with the numbers of images done and in all.
    """
    place = st.container()
    st.button("Stop", key=f"{key}_stop", icon=":material/stop:")
    with place:
        model = model_of(wanted.entry.model)
        bar = st.progress(0.0, "Starting …")

    def show(done: int, total: int) -> None:
        bar.progress(done / max(total, 1), f"{verb} {done:,} of {total:,}")

    return model, show


def _compute(wanted: Wanted, key: str) -> None:
    model, show = begin(wanted, "Predicted", key)
    with in_turn() as give_way:

        def told(done: int, total: int) -> None:
            show(done, total)
            give_way()

        open_gallery(model, wanted.dataset, split=wanted.part, progress=told)
    _gallery.clear()
    st.session_state[COMPLETE] = st.session_state[COMPUTED] = wanted.key
    st.rerun()
