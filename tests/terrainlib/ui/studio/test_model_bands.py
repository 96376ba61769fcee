"""The bands of an image for a model of other bands than red, green and blue."""

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.imagefiles import pattern, tiff, write

STACK = pattern(16, 16, 3).astype(np.uint16)


def script() -> None:
    import streamlit as st

    from terrainlib.data.formats.raster import BandSet, UsedBand
    from terrainlib.ui.studio.inputs import pick_bands
    from terrainlib.ui.studio.masks import PictureFile

    bands = (UsedBand("VV", 1, 0.0, 250.0), UsedBand("VH", 2, 0.0, 250.0))
    used = BandSet(bands, "integer", 2, (0, 1, 1))
    found = pick_bands(PictureFile.on_disk(st.session_state["image"]), used)
    if found is not None:
        image = found.read()
        st.write(f"{image.pixels[0, 0].tolist()}")


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(script, default_timeout=60)


def test_bands_are_found_by_name_without_a_question(
    app: AppTest, tmp_path: Path
) -> None:
    names = ("VH", "other", "VV")
    app.session_state["image"] = write(
        tmp_path, "a.tif", tiff(STACK, descriptions=names)
    )
    app.run()
    assert not app.exception
    assert not app.selectbox
    first = (STACK[0, 0, [2, 0]] / np.float32(250)).tolist()
    assert [item.value for item in app.markdown] == [str(first)]


def test_bands_that_cannot_be_found_are_asked_for_one_by_one(
    app: AppTest, tmp_path: Path
) -> None:
    app.session_state["image"] = write(tmp_path, "a.tif", tiff(STACK))
    app.run()
    said = app.warning[0].value.replace("\\", "")
    assert "the model uses 2 bands: VV, VH" in said
    assert [box.label for box in app.selectbox] == ["VV", "VH"]
    app.selectbox[0].set_value(3).run()
    assert len(app.markdown) == 1  # the question: one band is still missing
    app.selectbox[1].set_value(1).run()
    first = (STACK[0, 0, [2, 0]] / np.float32(250)).tolist()
    assert app.markdown[-1].value == str(first)
