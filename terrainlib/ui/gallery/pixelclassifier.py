"""The pixel classifier's scores beside a model's, on the pairs that a gallery shows.

They come with the model where it was scored on its own validation pairs; elsewhere the
classifier is fitted on the model's training pairs when somebody asks for it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.dataset import Dataset
from terrainlib.mask.scores.agreement import who_tells
from terrainlib.mask.scores.evaluation import Evaluation
from terrainlib.mask.scores.gallery import Gallery, open_gallery
from terrainlib.metrics import Difference, miou_difference
from terrainlib.model.card import class_scores, overall_scores
from terrainlib.model.record import ModelRecord
from terrainlib.ui.datasets.splits import parts_of
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.gallery.predictions import Wanted
from terrainlib.ui.models.comparison import (
    WHAT_IT_IS,
    class_table,
    score_table,
    show_class_chart,
    show_difference,
    show_who_tells,
)
from terrainlib.ui.models.picker import PIXEL_CLASSIFIER_ID, fitted
from terrainlib.ui.turns import PREDICTIONS

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

ASKED: Final = "gallery_pixel_classifier_asked"  # list of str: what was asked for here
NO_TRAINING_PAIRS: Final = (
    "They cannot be compared here: this model was not trained on pairs of this data "
    "set."
)
_MAX_JUDGED: Final = 8


def show_pixel_classifier(wanted: Wanted, gallery: Gallery, key: str) -> None:
    """Show the scores beside the pixel classifier's; nothing where it is the model."""
    record, evaluation = wanted.entry.record, gallery.evaluation
    if record is None or wanted.entry.id == PIXEL_CLASSIFIER_ID:
        return
    with st.container(border=True):
        st.markdown("**Against the pixel classifier**")
        scores = stored_scores(record, wanted.part)
        known = scores is not None
        other = _on_demand(wanted, record, key, known=known)
        if other is not None:
            scores = other.evaluation.to_json(confidence=True)
            show_difference(_difference(wanted.key, evaluation, other.evaluation))
        if scores is not None:
            own = evaluation.to_json(confidence=True)
            classes = class_scores(own, scores)
            left, right = st.columns(2, gap="large")
            with left:
                st.markdown(score_table(overall_scores(own, scores)))
                st.markdown(class_table(classes))
            with right:
                colors = {one.name: one.color for one in record.terrain_classes()}
                show_class_chart(classes["iou"], colors)
                st.caption(
                    f"Bar: IoU of the model. Tick: the pixel classifier. {WHAT_IT_IS}"
                )
        if other is not None:
            with errors_shown("What both tell cannot be compared"):
                counts = _who_tells(wanted.key, gallery, other)
                show_who_tells(counts, evaluation.class_names)


def stored_scores(record: ModelRecord, part: str) -> Mapping[str, Any] | None:
    """Return the pixel classifier's scores out of a record, where they fit a part.

    They were taken on the validation pairs of the record's split. Weights trained once
    more on all pairs have seen those, so that the two cannot be compared.
    """
    found, split = record.pixel_classifier, record.split or {}
    fits = found is not None and found.get("split") == split.get("hash")
    return found if fits and part == "validation" and record.final is None else None


def training_ids(record: ModelRecord, dataset: Dataset) -> tuple[str, ...]:
    """Return the pairs of a data set that a model was trained on, as far as known."""
    if "train" not in parts_of(record, dataset):
        return ()
    if record.final is not None:
        return dataset.ids
    known = set((record.split or {}).get("train") or ())
    return tuple(name for name in dataset.ids if name in known)


@st.cache_data(max_entries=_MAX_JUDGED, show_spinner=False)
def _difference(key: str, _one: Evaluation, _other: Evaluation) -> Difference | None:
    del key  # names model, data and part
    both = [name for name in _one.ids if name in set(_other.ids)]
    places = ([one.ids.index(name) for name in both] for one in (_one, _other))
    return miou_difference(
        *(e.confusions[at] for e, at in zip((_one, _other), places, strict=True))
    )


def _on_demand(
    wanted: Wanted, record: ModelRecord, key: str, *, known: bool
) -> Gallery | None:
    """Return the classifier's predictions and scores, once somebody asked for them."""
    dataset = wanted.dataset
    ids = training_ids(record, dataset)
    if not ids:
        if not known:
            st.caption(NO_TRAINING_PAIRS)
        return None
    if wanted.key not in st.session_state.get(ASKED, []):
        fits = (
            f"fitted in memory on the {len(ids):,} pairs that the model was trained on"
        )
        st.caption(
            "Is the difference more than chance? To tell, the pixel classifier is "
            f"{fits}. This takes a minute at most."
            if known
            else "The pixel classifier has not been scored on these pairs yet. It is "
            f"{fits}; this takes a minute at most."
        )
        st.button(
            "Fit and compare",
            key=f"{key}_pixel_classifier",
            icon=":material/straighten:",
            on_click=_ask,
            args=(wanted.key,),
        )
        return None
    with errors_shown("The pixel classifier cannot be fitted"):
        height = bool(record.config.get("height"))
        size = int(record.config["image_size"])
        model = fitted(dataset, ids, size, height=height)
        return _judged(wanted.key, model, dataset, record.split, wanted.part)
    return None


def _ask(wanted_key: str) -> None:
    asked = list(st.session_state.get(ASKED, []))
    st.session_state[ASKED] = [*asked, wanted_key][-_MAX_JUDGED:]


@st.cache_data(max_entries=_MAX_JUDGED, show_spinner=False)
def _who_tells(key: str, _one: Gallery, _other: Gallery) -> NDArray[np.int64]:
    del key  # names model, data and part
    return who_tells(_one, _other)


@st.cache_resource(
    max_entries=_MAX_JUDGED, show_spinner="Scoring the pixel classifier …"
)
def _judged(
    key: str,
    _model: "TerrainModel",
    _dataset: Dataset,
    _split: dict[str, Any] | None,
    _part: str,
) -> Gallery:
    """Return what a fitted classifier predicts for the pairs of a model's split."""
    del key  # names model, data and part
    model = replace(_model, record=replace(_model.record, split=_split))
    with PREDICTIONS.turn():
        return open_gallery(model, _dataset, split=_part)
