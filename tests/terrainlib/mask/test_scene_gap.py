"""The gap meter on scenes: windows read one by one are those of the whole image."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from terrainlib.data.imagery import Image, read_image
from terrainlib.data.sample import EMBEDDED_MODELS, SCENES_DIR
from terrainlib.data.scene import open_scene, scene_of
from terrainlib.mask import gap as module
from terrainlib.mask.gap import scene_gap
from terrainlib.model.modelfile import TerrainModel, read_record
from tests.foreign_images import measure_gap
from tests.mask_models import with_record


@pytest.fixture
def model(color_model: Callable[..., TerrainModel]) -> TerrainModel:
    """Return a model that knows how the sample looks."""
    record = read_record(EMBEDDED_MODELS["default"])
    assert record is not None
    return with_record(color_model(), statistics=record.statistics)


@pytest.fixture(scope="module")
def europe() -> Image:
    return read_image(SCENES_DIR / "europe.tif")


def same(one: Any, other: Any) -> bool:
    """Whether two judgements agree, but for rounding."""
    assert one.distance == pytest.approx(other.distance, rel=1e-3)
    assert one.strange_share == pytest.approx(other.strange_share, abs=1e-4)
    return (one.level, one.windows) == (other.level, other.windows)


def test_a_file_is_judged_as_the_image_it_holds(
    model: TerrainModel, europe: Image
) -> None:
    with open_scene(SCENES_DIR / "europe.tif") as scene:
        found = scene_gap(model, scene)
    assert found == measure_gap(model.record.statistics, europe.rgb)
    assert found.level == "alike"


def test_a_scene_is_judged_at_the_working_scale(
    model: TerrainModel, europe: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (2 * europe.width, 2 * europe.height)
    large = cv2.resize(europe.rgb, size, interpolation=cv2.INTER_NEAREST)
    scene = scene_of(Image.from_array(large))
    expected = measure_gap(model.record.statistics, europe.rgb)
    assert same(scene_gap(model, scene, scale=0.5), expected)
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 3000)
    assert same(scene_gap(model, scene, scale=0.5), expected)
    assert scene_gap(model, scene).level == "different"


def test_pixels_without_data_count_nothing(model: TerrainModel, europe: Image) -> None:
    rgb = np.repeat(np.repeat(europe.rgb, 2, axis=0), 2, axis=1)
    rgb[::2, ::2] = np.nan  # one of the four that make each working pixel
    rgb[:200] = np.nan
    valid = np.ones(europe.rgb.shape[:2], bool)
    valid[:100] = False
    found = scene_gap(model, scene_of(Image.from_array(rgb)), scale=0.5)
    assert same(found, measure_gap(model.record.statistics, europe.rgb, valid))


def test_a_model_without_statistics_reads_nothing(
    color_model: Callable[..., TerrainModel],
) -> None:
    class Unread:
        name, height, width = "unread", 5000, 5000

        def read(self, window: Any) -> Any:
            raise AssertionError(window)

    scene: Any = Unread()
    assert scene_gap(color_model(), scene).level == "unknown"
