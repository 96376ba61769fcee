"""What is told before a large prediction starts."""

import numpy as np
import pytest

from terrainlib.data.imagery import Image
from terrainlib.data.scene import scene_of
from terrainlib.errors import ConfigError, InputError
from terrainlib.mask.tiles import estimate as module
from terrainlib.mask.tiles.estimate import (
    estimate,
    grid_of,
    network_speed,
    remember_speed,
)
from terrainlib.mask.tiles.feeding import geometry_of
from terrainlib.mask.tiles.streaming import StreamOptions, predict_scene

ALL = ("soft", "weights", "margin")


class Nowhere:
    """A sink that forgets."""

    wants = ()

    def write(self, _band: object) -> None:
        pass


def test_memory_does_not_grow_with_the_height(color_model):
    model = color_model()
    low = estimate(model, (20_000, 20_000))
    high = estimate(model, (200_000, 20_000))
    assert high.bytes < low.bytes * 1.05
    assert high.tiles > 9 * low.tiles
    assert high.bytes < 1.2 * 2**30


@pytest.mark.parametrize("blended", [False, True])
@pytest.mark.parametrize("scale", [0.1, 0.25, 1])
def test_wide_images_get_lower_tiles_and_stay_below_a_limit(
    color_model, blended, scale
):
    model = color_model(receptive_field=54)
    options = {"blended": blended, "scale": scale, "wants": ALL}
    assert estimate(model, (20_000, 20_000), **options).bytes < 1.2 * 2**30


def test_more_planes_and_blending_take_more(color_model):
    model, size = color_model(), (3000, 3000)
    plain = estimate(model, size)
    assert estimate(model, size, wants=ALL).bytes > plain.bytes
    assert estimate(model, size, blended=True).bytes > plain.bytes
    assert estimate(model, size, blended=True).tiles > 2 * plain.tiles
    assert estimate(model, size, scale=0.5).tiles < plain.tiles


def test_the_tiles_are_those_that_are_predicted(color_model):
    model = color_model()
    image = Image.from_array(np.zeros((700, 1500, 3), np.float32))
    options = StreamOptions(certificate=False)
    report = predict_scene(model, scene_of(image), Nowhere(), options=options)
    assert report.tiles == estimate(model, (700, 1500)).tiles > 1


def test_time_is_told_once_the_speed_is_known(color_model):
    model = color_model()
    assert estimate(model, (2000, 2000)).seconds is None
    remember_speed(model, 1_000_000, 2.0)
    told = estimate(model, (2000, 2000))
    assert told.seconds is not None
    assert 8 <= told.seconds < 16  # four megapixels and their margins


def test_a_prediction_leaves_its_speed(color_model):
    model = color_model()
    assert network_speed(model) is None
    image = Image.from_array(np.zeros((64, 64, 3), np.float32))
    report = predict_scene(model, scene_of(image), Nowhere())
    assert network_speed(model) == pytest.approx(64 * 64 / report.network_seconds)


def test_the_speed_is_measured_when_that_is_asked_for(color_model):
    model = color_model()
    told = estimate(model, (600, 600), measure=True)
    speed = network_speed(model)
    assert speed is not None
    assert told.seconds == pytest.approx(600 * 600 / speed, rel=0.5)


def test_an_image_too_wide_for_memory_is_refused(color_model, monkeypatch):
    monkeypatch.setattr(module, "MAX_BUFFER_BYTES", 10**7)
    model = color_model()
    geometry = geometry_of(model, (3000, 90_000), None)
    with pytest.raises(InputError, match=r"long\.tif: 90000 px are too wide"):
        grid_of(model, geometry, blended=False, wants=(), name="long.tif")


def test_a_scale_out_of_bounds_is_refused(color_model):
    with pytest.raises(ConfigError, match=r"scale must be 0\.001 to 16"):
        estimate(color_model(), (10, 10), scale=17)
