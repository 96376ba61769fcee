"""The box that takes a model from a file: read as data, refused with one sentence."""

import streamlit as st

from terrainlib.ui.models.actions import add_model


def show_model_upload() -> None:
    """Show the box and its button."""
    with st.container(border=True):
        st.markdown("**Add a model from a file**")
        st.caption(
            "A `.keras` or `.h5` file saved by this app, or the original notebook's "
            "`TerrainMaskGenerator.h5`. Files are read as data; nothing in them is run."
        )
        upload = st.file_uploader(
            "Model file",
            key="models_upload",
            label_visibility="collapsed",
        )
        if upload is None:
            return
        if st.button(
            "Add this model", key="models_add", type="primary", icon=":material/add:"
        ):
            add_model(upload.getvalue(), upload.name)
            st.rerun()
