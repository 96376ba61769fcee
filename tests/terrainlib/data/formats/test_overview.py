"""Overviews of large images are made from few of their blocks."""

import functools

import numpy as np
import pytest

from terrainlib.data.formats.overview import Layer, fitted, overview
from terrainlib.data.formats.raster import Raster, Scale, apply_scale
from terrainlib.types import Window

SIDE = 2400
SMALL = (200, 200)
BLOCKS = [(60, 60), (1, SIDE), (40, SIDE), (SIDE, 30), (SIDE, SIDE), (7, 13)]
BUDGET = 128e6


@functools.cache
def gradient_pixels() -> np.ndarray:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] * 255 // SIDE
    return np.dstack([rows, columns, 255 - rows]).astype(np.uint8)


def gradient() -> Raster:
    pixels = gradient_pixels().copy()
    return Raster(pixels, np.ones((SIDE, SIDE), bool), 255)


class Counting:
    """Reads a raster by window and counts the bytes that its blocks would cost."""

    def __init__(
        self, raster: Raster, block: tuple[int, int], pixel_bytes: int
    ) -> None:
        self.raster = raster
        self.block = block
        self.pixel_bytes = pixel_bytes
        self.cost = 0

    def read(self, window: Window) -> Raster:
        rows, columns = (
            (part.stop - 1) // size - part.start // size + 1
            for part, size in zip(window, self.block, strict=True)
        )
        self.cost += rows * columns * self.block[0] * self.block[1] * self.pixel_bytes
        return self.raster.part(window)

    def layer(self) -> Layer:
        shape = (self.raster.valid.shape[0], self.raster.valid.shape[1])
        scale = Scale(0.0, 255.0)
        return Layer(
            shape,
            self.block,
            self.pixel_bytes,
            self.read,
            lambda part: apply_scale(part, scale),
        )


@pytest.mark.parametrize("pixel_bytes", [3, 200, 6000])
@pytest.mark.parametrize("block", BLOCKS)
def test_the_cost_is_bounded_however_large_the_blocks_are(
    block: tuple[int, int], pixel_bytes: int
) -> None:
    counting = Counting(gradient(), block, pixel_bytes)
    assert overview(counting.layer(), SMALL).valid.all()
    assert counting.cost <= 1.05 * BUDGET + block[0] * block[1] * pixel_bytes


@pytest.mark.parametrize("pixel_bytes", [0, 60])
@pytest.mark.parametrize("block", BLOCKS)
def test_few_blocks_give_about_the_picture_of_all(
    block: tuple[int, int], pixel_bytes: int
) -> None:
    raster = gradient()
    made = overview(Counting(raster, block, pixel_bytes).layer(), SMALL)
    expected = raster.pixels.reshape(200, 12, 200, 12, 3).mean((1, 3)) / 255
    near = 0.1 if made.blurred else 0.01
    assert np.abs(made.rgb - expected)[20:-20, 20:-20].max() < near


def test_a_blurred_overview_says_so() -> None:
    raster = gradient()
    assert overview(Counting(raster, (60, 60), 1000).layer(), SMALL).blurred
    assert not overview(Counting(raster, (60, 60), 3).layer(), SMALL).blurred


def test_blocks_without_data_do_not_darken_what_is_beside_them() -> None:
    raster = gradient()
    raster.pixels[:] = 128
    raster.valid[:, :1200] = False
    made = overview(Counting(raster, (60, 60), 500).layer(), SMALL)
    assert made.blurred
    assert not made.valid[:, :80].any()
    assert made.valid[:, 120:].all()
    np.testing.assert_allclose(made.rgb[made.valid], 128 / 255, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((100, 50), 20, (20, 10)),
        ((50, 100), 1000, (50, 100)),
        ((1, 5000), 100, (1, 100)),
        ((20_000, 20_000), 1024, (1024, 1024)),
    ],
)
def test_an_overview_fits_and_is_never_enlarged(
    shape: tuple[int, int], size: int, expected: tuple[int, int]
) -> None:
    assert fitted(*shape, size) == expected
