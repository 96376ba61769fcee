"""The form that chooses the bands of a data set."""

import json
from pathlib import Path

import numpy as np
from streamlit.testing.v1 import AppTest

from tests.imagefiles import encode, pattern, tiff, write

NAMES = ("coast", "", "red", "nir", "swir")


def stacks(folder: Path) -> Path:
    """Write four pairs of five bands, of which nothing says what to use."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    stack = pattern(16, 16, 5).astype(np.uint16)
    for number in range(4):
        write(folder, f"images/{number}.tif", tiff(stack, descriptions=NAMES))
        write(folder, f"masks/{number}.png", encode(np.eye(16, dtype=np.uint8)))
    return folder


def form() -> None:
    import streamlit as st

    from terrainlib.ui import cached
    from terrainlib.ui.datasets.bands import show_bands
    from terrainlib.ui.datasets.pairs import show_pair_gallery
    from terrainlib.ui.training.form import ask_training

    dataset = cached.dataset(st.session_state["folder"])
    show_bands(dataset, "one")
    show_pair_gallery(dataset, "one")
    config = ask_training(dataset)
    if config is not None:
        st.write(f"bands {config.bands}, {config.training.network.bands} channels")


def test_bands_are_chosen_once_for_the_data_set_and_trained_on(tmp_path: Path) -> None:
    folder = stacks(tmp_path / "data")
    app = AppTest.from_function(form, default_timeout=60)
    app.session_state["folder"] = str(folder)
    app.run()
    assert not app.exception
    assert "nothing says which of them to use" in app.warning[0].value
    labels = [item.label for item in app.text_input]
    assert labels == ["Find by name"]  # no training before

    choice = app.multiselect[0]
    assert choice.options == ["1 · coast", "band 2", "3 · red", "4 · nir", "5 · swir"]
    choice.set_value([4, 2]).run()
    next(b for b in app.button if b.label == "Use these bands").click().run()

    assert not app.exception
    assert json.loads((folder / "dataset.json").read_text()) == {"bands": ["nir", 2]}
    assert not app.warning
    assert "bands ('nir', 2), 2 channels" in [item.value for item in app.markdown]
    next(t for t in app.toggle if t.label == "Look at each band").set_value(True).run()
    assert len(app.get("image")) == 8 + 5  # of four pairs, and a band each
    next(b for b in app.button if b.label == "As the files say").click().run()
    assert "nothing says which of them to use" in app.warning[0].value
