"""Figures: what is drawn, and that nothing global is touched."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as PillowImage

from terrainlib.data.palette import KAGGLE_CLASSES, TerrainClass, colorize
from terrainlib.errors import InputError
from terrainlib.mask.scores.figures import (
    COLUMNS,
    MAX_ROWS,
    reliability_figure,
    reliability_png,
    rows_figure,
    rows_png,
)
from terrainlib.mask.scores.gallery import Row
from terrainlib.mask.scores.reliability import Reliability, count_reliability
from tests.synthetic import terrain


def row(identifier: str = "0001", height: int = 24, width: int = 24) -> Row:
    rgb, mask, _ = terrain(max(height, width), 3)
    truth = mask[:height, :width]
    return Row(
        id=identifier,
        rgb=rgb[:height, :width] / np.float32(255),
        prediction=(truth + 1) % np.uint8(7),
        truth=truth,
        pixel_accuracy=0.25,
        miou=float("nan"),
    )


def test_each_row_shows_image_prediction_truth_and_errors():
    figure = rows_figure([row("a"), row("b", 12, 24)], KAGGLE_CLASSES)
    assert len(figure.axes) == 8
    assert [axis.get_title() for axis in figure.axes[:4]] == list(COLUMNS)
    assert [figure.axes[n].get_ylabel() for n in (0, 4)] == ["a", "b"]
    assert figure.axes[3].get_xlabel() == "accuracy 0.250, mIoU –"
    shown = figure.axes[2].images[0].get_array()
    assert (shown == colorize(row("a").truth, KAGGLE_CLASSES)).all()


def test_the_legend_names_every_class():
    (legend,) = rows_figure([row()], KAGGLE_CLASSES).legends
    texts = [text.get_text() for text in legend.get_texts()]
    names = [item.name for item in KAGGLE_CLASSES]
    assert texts == [*names, "No data", "Wrong class"]
    water = legend.get_patches()[0].get_facecolor()
    assert water[:3] == pytest.approx((17 / 255, 141 / 255, 215 / 255))


def test_names_are_text_and_never_formulas():
    classes = (TerrainClass("_$\\frac$", (1, 2, 3)), *KAGGLE_CLASSES[1:])
    data = rows_png([row("$x_1$ \\frac{")], classes)
    assert data.startswith(b"\x89PNG")
    (legend,) = rows_figure([row()], classes).legends
    assert legend.get_texts()[0].get_text().strip() == "_$\\frac$"


def test_a_figure_is_a_picture_of_many_colours():
    picture = PillowImage.open(io.BytesIO(rows_png([row()] * 2, KAGGLE_CLASSES)))
    assert picture.width > 800
    assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_large_images_are_drawn_small():
    figure = rows_figure([row("wide", 20, 1024)], KAGGLE_CLASSES)
    assert figure.axes[0].images[0].get_array().shape == (10, 512, 3)


@pytest.mark.parametrize("count", [0, MAX_ROWS + 1])
def test_too_few_or_too_many_rows_are_refused(count):
    with pytest.raises(InputError, match=f"1 to {MAX_ROWS} images, not {count}"):
        rows_figure([row()] * count, KAGGLE_CLASSES)


def a_reliability() -> Reliability:
    truth = np.array([1, 1, 1, 1, 1, 1], np.uint8)
    shown = np.array([1, 1, 1, 0, 1, 0], np.uint8)
    sure = np.array([0.9, 0.9, 0.9, 0.9, 0.5, 0.5], np.float32)
    return count_reliability(truth, shown, sure)


def test_the_reliability_diagram_shows_accuracy_shares_and_the_error():
    figure = reliability_figure(a_reliability())
    above, below = figure.axes
    heights = [bar.get_height() for bar in above.patches]
    assert [n for n, height in enumerate(heights) if height] == [7, 13]
    assert (heights[7], heights[13]) == (0.5, 0.75)
    assert above.patches[13].get_x() == pytest.approx(13 / 15)
    shares = [bar.get_height() for bar in below.patches]
    assert shares[13] == pytest.approx(4 / 6)
    # (4 * |0.75 - 0.9| + 0) / 6
    assert above.get_title() == "Expected calibration error 0.100"
    picture = PillowImage.open(io.BytesIO(reliability_png(a_reliability())))
    assert picture.format == "PNG"


def test_the_part_loads_neither_pyplot_nor_tensorflow_before_it_is_used():
    code = (
        "import sys, terrainlib.mask.scores.figures, terrainlib.mask.scores.evaluation,"
        "terrainlib.mask.scores.gallery, terrainlib.mask.rasters.png;"
        "bad = {'matplotlib', 'tensorflow', 'keras', 'streamlit'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_drawing_does_not_load_pyplot():
    code = (
        "import sys, numpy as np;"
        "from terrainlib.mask.scores.figures import rows_png;"
        "from terrainlib.mask.scores.gallery import Row;"
        "from terrainlib.data.palette import KAGGLE_CLASSES;"
        "m = np.zeros((8, 8), np.uint8);"
        "rows_png([Row('a', np.zeros((8, 8, 3), np.float32), m, m, 1, 1)], "
        "KAGGLE_CLASSES); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
