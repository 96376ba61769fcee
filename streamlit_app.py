"""Home: what this is, an example to try at once, the way, and what is there."""

import streamlit as st

from terrainlib.ui import state
from terrainlib.ui.chrome import APP_NAME, page_header
from terrainlib.ui.home import show_example, show_inventory, show_way

page_header(
    APP_NAME,
    "Turn satellite images into terrain masks with a U-Net that you train, judge and "
    "apply in the browser.",
)

st.subheader("Try it now", anchor=False)
st.markdown(
    "Drag the divider to compare image and mask. Drag **Sharpening** and watch the "
    "mask change."
)
show_example()
st.page_link(
    state.STUDIO_PAGE,
    label="**Use your own image in the mask studio**",
    icon=":material/arrow_forward:",
)

st.subheader("The way through", anchor=False)
show_way()

st.subheader("What is here", anchor=False)
show_inventory()
