"""An app with nothing but the live view, over pictures that reach every limit."""

import numpy as np
import streamlit as st

from terrainlib.data.palette import KAGGLE_CLASSES, colorize
from terrainlib.mask.rasters.png import encode_png
from terrainlib.ui.cached import encode_jpeg
from terrainlib.ui.studio.live import ViewLayer, ViewPictures, live_view

HEIGHT, WIDTH = 61, 83


def soft_mask() -> np.ndarray:
    """Noise from black to white beside smooth ground."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3))
    rows = np.linspace(20, 235, HEIGHT)[:, None, None]
    smooth = rows + rng.integers(0, 3, (HEIGHT, WIDTH, 3))
    left = np.arange(WIDTH)[None, :, None] < WIDTH // 3
    return np.where(left, noise, smooth).astype(np.uint8)


def clean() -> None:
    """Let another class mask come."""
    st.session_state["number"] = st.session_state.get("number", 0) + 1


def class_mask(number: int) -> np.ndarray:
    """Stripes in the class colours, another number of them each time."""
    rows = np.arange(HEIGHT)[:, None] * (number + 2) // HEIGHT
    return colorize(np.broadcast_to(rows, (HEIGHT, WIDTH)), KAGGLE_CLASSES)


if __name__ == "__main__":
    st.set_page_config(layout="wide")
    picture = soft_mask()
    st.button("Clean", on_click=clean)
    number = st.session_state.get("number", 0)
    settings = live_view(
        ViewPictures(
            id="noise",
            image=encode_jpeg(picture[::-1]),
            mask=encode_png(picture),
            classes=KAGGLE_CLASSES,
            note="A picture made for the test.",
            name="noise",
            layers=(
                ViewLayer("classes", f"{number}", encode_png(class_mask(number))),
                ViewLayer("confidence", "always", encode_png(picture[:, ::-1])),
            ),
        ),
        key="view",
        remembered="settings",
    )
    st.json(settings.to_dict())
