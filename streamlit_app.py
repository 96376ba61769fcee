"""The app: the home page where Streamlit runs it, the app and its door when imported.

`streamlit run` finds `app` here, and it runs this file as the first page.
"""

import streamlit as st

if __name__ == "__main__":
    from terrainlib.ui.home import show_home

    show_home()
else:
    from starlette.middleware import Middleware

    from terrainlib.ui.door import Door, served

    app = st.App(
        __file__,
        middleware=[
            Middleware(
                Door,
                hosts=st.get_option("server.allowedHosts"),
                origins=st.get_option("server.corsAllowedOrigins"),
            )
        ],
        lifespan=served,
    )
