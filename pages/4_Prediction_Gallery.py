"""See what a model gets right and wrong, pair by pair."""

import streamlit as st

from terrainlib.ui.datasets.picker import pick_dataset
from terrainlib.ui.datasets.splits import caution, has_seen, pick_part
from terrainlib.ui.gallery.pixelclassifier import show_pixel_classifier
from terrainlib.ui.gallery.predictions import Wanted, predictions
from terrainlib.ui.gallery.rows import show_prediction_rows
from terrainlib.ui.gallery.scores import show_score_report
from terrainlib.ui.gallery.settings import show_settings
from terrainlib.ui.models.picker import pick_entry
from terrainlib.ui.page import page_header


def show_gallery(wanted: Wanted) -> None:
    """Show what the model makes of the pairs, once it has predicted them."""
    gallery = predictions(wanted, "gallery")
    if gallery is None:
        return
    seen = has_seen(wanted.entry.record, wanted.dataset, wanted.part)
    show_score_report(
        gallery.evaluation,
        gallery.classes,
        caution(wanted.part, wanted.entry.leak, seen=seen),
    )
    show_pixel_classifier(wanted, gallery.evaluation, "gallery")
    show_settings(gallery, wanted, "gallery")
    st.header("Images", anchor=False)
    show_prediction_rows(gallery, wanted, "gallery")


page_header(
    "Prediction gallery",
    "See what a model gets right and wrong, pair by pair.",
    icon=":material/compare:",
)
left, right = st.columns([5, 4], gap="small")
with left, st.container(border=True, height="stretch"):
    entry = pick_entry("gallery_model")
    part_place = st.container()
with right:
    dataset = pick_dataset("gallery")
if entry is not None and dataset is not None:
    with part_place:
        part = pick_part(entry.record, dataset, "gallery")
    show_gallery(Wanted(entry, dataset, part))
