"""The models on disk: scores, the app's default, downloads, adding and deleting."""

import streamlit as st

from terrainlib.runs.models import default_id, list_models
from terrainlib.ui import state
from terrainlib.ui.models.cards import show_model_card, show_model_upload
from terrainlib.ui.page import (
    empty_state,
    page_header,
    page_of,
    show_notice,
    show_pagination,
)

MODELS_A_PAGE = 8

page_header(
    "Models",
    "What has been learnt so far: compare, choose the default, download, add, delete.",
    icon=":material/inventory_2:",
)
show_notice()
models = list_models()
default = default_id(models)
if not models:
    empty_state("No model yet", "Train one, or add one from a file below.")
    st.page_link(
        state.TRAINING_PAGE, label="Train a model", icon=":material/model_training:"
    )
for entry in page_of(models, MODELS_A_PAGE, "models_page"):
    show_model_card(entry, is_default=entry.id == default)
show_pagination(len(models), MODELS_A_PAGE, "models_page")
show_model_upload()
