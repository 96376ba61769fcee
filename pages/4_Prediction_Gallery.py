"""See what a model gets right and wrong, pair by pair."""

import streamlit as st

from terrainlib.ui.datasets.splits import pick_part
from terrainlib.ui.gallery.data import pick_data
from terrainlib.ui.gallery.images import show_images
from terrainlib.ui.gallery.predictions import Wanted, predictions
from terrainlib.ui.gallery.scores import show_scores, show_summary
from terrainlib.ui.gallery.settings import TITLE, show_settings
from terrainlib.ui.models.picker import pick_entry
from terrainlib.ui.page import page_header


def show_gallery(wanted: Wanted) -> None:
    """Show what the model makes of the pairs, once it has predicted them."""
    gallery = predictions(wanted, "gallery")
    if gallery is None:
        return
    show_summary(gallery, wanted)
    images, scores, settings = st.tabs(
        ["Images", "Scores", TITLE], key="gallery_tab", bind="query-params"
    )
    if images.open:
        with images:
            show_images(gallery, wanted, "gallery")
    if scores.open:
        with scores:
            show_scores(gallery, wanted, "gallery")
    if settings.open:
        with settings:
            show_settings(gallery, wanted, "gallery")


page_header(
    "Prediction gallery",
    "See what a model gets right and wrong, pair by pair.",
)
left, middle, right = st.columns([30, 24, 46], gap="small")
with left:
    entry = pick_entry("gallery_model")
if entry is not None:
    with middle:
        dataset = pick_data(entry, "gallery")
    if dataset is not None:
        with right:
            part = pick_part(entry.record, dataset, "gallery")
        show_gallery(Wanted(entry, dataset, part))
