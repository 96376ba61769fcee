"""The gap meter on scenes: windows read one by one are those of the whole image."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from terrainlib.data.dataset import open_dataset
from terrainlib.data.imagery import Image, read_image
from terrainlib.data.sample import EMBEDDED_MODELS, SCENES_DIR, open_sample
from terrainlib.data.scene import open_scene, scene_of
from terrainlib.mask import gap as module
from terrainlib.mask.gap import scene_gap
from terrainlib.mask.pixelsize import dataset_statistics
from terrainlib.model.modelfile import TerrainModel, read_record
from tests.foreign_images import measure_gap
from tests.mask_models import with_record
from tests.synthetic import write_kaggle_dataset


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


def finer(image: Image, times: float) -> Image:
    """Return the image as if its pixels covered that many times less ground."""
    assert image.georeference is not None
    a, b, c, d, e, f = image.georeference.transform
    place = (a / times, b, c, d, e / times, f)
    return replace(image, georeference=replace(image.georeference, transform=place))


def of_sample(model: TerrainModel) -> TerrainModel:
    return with_record(model, dataset={"name": "sample", "pairs": 320})


@pytest.mark.parametrize(
    ("times", "level", "factor"),
    [(1, "alike", None), (1.8, "alike", None), (10, "different", 0.1)],
)
def test_the_ground_that_a_pixel_covers_is_compared(
    model: TerrainModel, europe: Image, times: float, level: str, factor: float | None
) -> None:
    gap = scene_gap(of_sample(model), scene_of(finer(europe, times)))
    assert gap.level == level
    if factor is None:
        assert gap.scale_factor is None
        return
    assert gap.scale_factor == pytest.approx(factor, rel=0.1)
    assert gap.reasons[0] == (
        "a pixel covers 740 m of ground at this scale, 7.4 km in the training images"
    )
    assert gap.reasons[-1].endswith("times this scale it covers the same: try that")


def test_at_the_fitting_scale_nothing_is_left_to_say_of_the_size(
    model: TerrainModel, europe: Image
) -> None:
    fine = scene_of(finer(europe, 10))
    scale = scene_gap(of_sample(model), fine).scale_factor
    assert scale is not None
    at_scale = scene_gap(of_sample(model), fine, scale=scale)
    assert not any("a pixel covers" in reason for reason in at_scale.reasons)


def test_where_no_scale_fits_none_is_offered(
    model: TerrainModel, europe: Image
) -> None:
    gap = scene_gap(of_sample(model), scene_of(finer(europe, 700)))
    assert (gap.level, gap.scale_factor) == ("different", None)
    assert gap.reasons[-1].startswith("no scale helps")


def test_images_that_lie_nowhere_are_not_compared_by_size(
    model: TerrainModel, europe: Image
) -> None:
    plain = scene_of(Image.from_array(europe.rgb))
    assert scene_gap(of_sample(model), plain).level == "alike"


def test_a_data_set_tells_the_ground_of_its_middle_pixel(tmp_path: Path) -> None:
    assert dataset_statistics(open_sample()) == {"pixel_metres": 7400.0}
    assert dataset_statistics(open_dataset(write_kaggle_dataset(tmp_path))) == {}
