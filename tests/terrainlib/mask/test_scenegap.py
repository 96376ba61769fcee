"""The gap meter reads of an image what a network would see of it."""

from collections.abc import Callable

import numpy as np
import pytest

from terrainlib.data.imagery import Image, read_image
from terrainlib.data.sample import EMBEDDED_MODELS, example_scenes
from terrainlib.data.scene import scene_of
from terrainlib.errors import ConfigError
from terrainlib.mask.feeding import geometry_of
from terrainlib.mask.gap import measure_gap
from terrainlib.mask.preparation import prepare
from terrainlib.mask.scenegap import scene_gap, working_window
from terrainlib.model.modelfile import TerrainModel, read_record
from tests.synthetic import terrain

Make = Callable[..., TerrainModel]


@pytest.fixture
def model(color_model: Make) -> TerrainModel:
    """A model that knows what the embedded one's training images look like."""
    record = read_record(EMBEDDED_MODELS["default"])
    assert record is not None
    return color_model(statistics=record.statistics)


def test_a_scene_of_the_sample_is_judged_as_its_whole_image_is(model: TerrainModel):
    image = read_image(example_scenes()[0].image)

    gap = scene_gap(model, scene_of(image))

    assert gap == measure_gap(model.record.statistics, image.rgb, image.valid)
    assert gap.level == "alike"


def test_an_enlarged_image_is_different_until_it_is_shrunk_by_the_scale(
    model: TerrainModel,
):
    rgb = read_image(example_scenes()[0].image).rgb[:200, :200]
    large = Image.from_array(np.kron(rgb, np.ones((4, 4, 1), np.float32)))

    before = scene_gap(model, scene_of(large))
    assert before.level == "different"
    after = scene_gap(model, scene_of(large), scale=0.25)

    assert after.distance is not None
    assert before.distance is not None
    assert after.distance < before.distance


@pytest.mark.parametrize("scale", [0.3, 0.5, 1.0, 1.7])
@pytest.mark.parametrize("holes", [False, True])
def test_windows_hold_what_the_network_is_fed(
    color_model: Make, scale: float, holes: bool
):
    image = Image.from_array(terrain(70, seed=3)[0])
    if holes:
        image.valid[10:30, 5:40] = False
        image.rgb[10:30, 5:40] = 0
    model = color_model("notebook")  # is fed the colours as they are
    scene, geometry = scene_of(image), geometry_of(model, (70, 70), scale)
    rows, columns = geometry.working

    window = (slice(3, rows), slice(5, columns + 9))
    pixels, whole = working_window(scene, geometry, window)

    fed = prepare(model, image, scale=scale).pixels[3:rows, 5:columns]
    np.testing.assert_allclose(pixels, fed, atol=1e-6)
    assert whole.all() != holes
    assert (pixels[~whole] <= 1).all()


def test_a_scale_out_of_bounds_is_refused(model: TerrainModel):
    image = Image.from_array(terrain(40, seed=3)[0])

    with pytest.raises(ConfigError, match="working pixels per image pixel"):
        scene_gap(model, scene_of(image), scale=0.0)
