"""Charts of class shares and confusion."""

import json

import numpy as np
from streamlit.testing.v1 import AppTest

from terrainlib.ui.charts import confusion_frame
from tests.conftest import PAGE_TIMEOUT_S


def _bars() -> None:
    from terrainlib.data.palette import KAGGLE_CLASSES
    from terrainlib.ui.charts import show_class_bars

    values = {"Water": 0.25, "Grassland": float("nan"), "Forest": 0.5}
    show_class_bars(values, KAGGLE_CLASSES[:3], what="IoU", largest_first=True)


def _confusion() -> None:
    import numpy as np

    from terrainlib.ui.charts import show_confusion

    show_confusion(np.array([[3, 1], [0, 0]]), ["Water", "Forest"], key="confusion")


def _chart(script: object) -> tuple[dict[str, object], str]:
    page = AppTest.from_function(script, default_timeout=PAGE_TIMEOUT_S).run()
    assert not page.exception
    proto = page.get("vega_lite_chart")[0].proto
    return json.loads(proto.spec), proto.alt


def test_bars_have_the_class_colours_and_name_their_numbers_for_screen_readers() -> (
    None
):
    spec, alt = _chart(_bars)
    scale = spec["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"] == ["Water", "Grassland", "Forest"]
    assert scale["range"] == ["#118dd7", "#e1e39b", "#7fad7b"]
    assert alt == "Bar chart, IoU: Forest 50.0%, Water 25.0%, Grassland –"


def test_the_confusion_is_described_in_words() -> None:
    _, alt = _chart(_confusion)
    assert "Water 75%" in alt


def test_the_rows_of_the_confusion_are_shares_of_the_true_class() -> None:
    frame = confusion_frame(np.array([[996, 4], [0, 0]]), ["Water", "Forest"])
    assert frame["share"].tolist() == [0.996, 0.004, 0.0, 0.0]
    assert frame["label"].tolist() == ["100", "<1", "", ""]
    assert frame["pixels"].tolist() == [996, 4, 0, 0]
