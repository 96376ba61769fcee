"""Choose a data set, see what it holds, find what is wrong with it."""

import streamlit as st

from terrainlib.runs.training.material import MIN_PAIRS
from terrainlib.ui import state
from terrainlib.ui.datasets.bands import show_bands
from terrainlib.ui.datasets.classes import show_class_form, show_meaning, unnamed
from terrainlib.ui.datasets.overlaps import show_shared_ground
from terrainlib.ui.datasets.pairs import show_pair_gallery
from terrainlib.ui.datasets.picker import pick_dataset
from terrainlib.ui.datasets.report import (
    show_classes,
    show_counts,
    show_notes,
    show_problems,
)
from terrainlib.ui.page import empty_state, page_header

page_header(
    "Dataset preview",
    "Choose the images and masks to work with, and look at them before training.",
)
dataset = pick_dataset("preview")
if dataset is None:
    empty_state(
        "No data set is open",
        "Choose one above. The sample comes with the app: 320 satellite images with "
        "masks and heights.",
    )
else:
    if unnamed(dataset):
        show_meaning(dataset)
        show_class_form(dataset, "preview")
    if dataset.pairs:
        show_pair_gallery(dataset, "preview")
        if len(dataset.pairs) < MIN_PAIRS:
            st.caption(f"A training needs at least {MIN_PAIRS} pairs with labels.")
        else:
            st.page_link(
                state.TRAINING_PAGE,
                label="Train a model on this data set",
                icon=":material/model_training:",
            )
    show_counts(dataset)
    show_problems(dataset)
    show_notes(dataset)
    if not unnamed(dataset):
        show_meaning(dataset)
        show_class_form(dataset, "preview")
    show_bands(dataset, "preview")
    if dataset.pairs:
        show_classes(dataset)
        show_shared_ground(dataset, "preview")
