"""The models on disk: scores, the app's default, downloads, adding and deleting."""

import streamlit as st

from terrainlib.runs.models import default_id, list_models
from terrainlib.ui import state
from terrainlib.ui.identity import mode_text
from terrainlib.ui.models.actions import show_answer
from terrainlib.ui.models.cards import show_details, show_model_card
from terrainlib.ui.models.table import choose_model, show_model_upload, show_others
from terrainlib.ui.page import empty_state, page_header

page_header(
    "Models",
    "What has been learnt so far: compare, choose the default, download, add, delete.",
)
st.caption(mode_text())
show_model_upload()
models = list_models()
default = default_id(models)
if models:
    left, right = st.columns([4, 3], gap="medium")
    with left:
        chosen = choose_model(models, default)
    with right:
        show_answer("table")
        if chosen is not None:
            show_model_card(chosen, models, default)
    if chosen is not None:
        show_details(chosen)
else:
    show_answer("table")
    empty_state("No model yet", "Train one, or add one from a file above.")
    st.page_link(
        state.TRAINING_PAGE, label="Train a model", icon=":material/model_training:"
    )
show_others()
