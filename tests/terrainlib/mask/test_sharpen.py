"""Sharpening against OpenCV, plain loops and hand-computed values."""

import math

import cv2
import numpy as np
import pytest

from terrainlib.errors import ConfigError, ImageError
from terrainlib.mask.sharpen import METHODS, gaussian_weights, sharpen

ORIGINAL_KERNEL = np.array([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]])
SHAPES = [(1, 1), (2, 1), (1, 5), (2, 2, 3), (17, 9), (16, 24, 3), (5, 4, 1)]


def picture(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)


def mirrored(index: int, size: int) -> int:
    """Reflect-101, written out."""
    if size == 1:
        return 0
    period = 2 * (size - 1)
    index %= period
    return min(index, period - index)


def plain_unsharp(plane: np.ndarray, amount: float, radius: float) -> np.ndarray:
    """The documented formula as a double loop."""
    reach = math.ceil(3 * radius)
    weights = [math.exp(-(x**2) / (2 * radius**2)) for x in range(-reach, reach + 1)]
    height, width = plane.shape
    blurred = np.zeros(plane.shape)
    for row in range(height):
        for column in range(width):
            for dy, wy in enumerate(weights, -reach):
                for dx, wx in enumerate(weights, -reach):
                    value = plane[
                        mirrored(row + dy, height), mirrored(column + dx, width)
                    ]
                    blurred[row, column] += wy * wx * float(value)
    blurred /= sum(weights) ** 2
    return plane + amount * (plane - blurred)


@pytest.mark.parametrize("shape", SHAPES)
def test_amount_one_is_the_originals_filter_to_the_bit(shape: tuple[int, ...]):
    image = picture(shape)
    expected = cv2.filter2D(image, -1, ORIGINAL_KERNEL).reshape(shape)
    assert (sharpen(image, 1) == expected).all()


def test_a_single_bright_pixel_gives_the_kernel():
    image = np.zeros((5, 5), np.uint8)
    image[2, 2] = 10
    image += 20
    result = sharpen(image, 0.5)
    assert result[2].tolist() == [20, 15, 70, 15, 20]
    assert result[0].tolist() == [20] * 5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_result_is_like_the_image(method, dtype, shape):
    image = picture(shape, dtype)
    before = image.copy()
    result = sharpen(image, 2.5, method=method, radius=1.4)
    assert result.shape == shape
    assert result.dtype == image.dtype
    assert (image == before).all()
    if dtype.startswith("float"):
        assert result.min() >= 0
        assert result.max() <= 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_amount_zero_gives_an_equal_copy(method, dtype):
    image = picture((8, 8, 3), dtype)
    result = sharpen(image, 0, method=method)
    assert (result == image).all()
    assert not np.shares_memory(result, image)


@pytest.mark.parametrize("method", METHODS)
def test_a_plain_area_stays_as_it_is(method):
    image = np.full((6, 7, 3), 93, np.uint8)
    assert (sharpen(image, 10, method=method) == 93).all()


@pytest.mark.parametrize("amount", [0.3, 1, 2.2, 10])
def test_floats_follow_the_formula(amount: float):
    image = picture((9, 6), "float32")
    padded = np.pad(image.astype(np.float64), 1, mode="reflect")
    neighbours = sum(
        padded[1 + dy : 10 + dy, 1 + dx : 7 + dx]
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
        if dy or dx
    )
    expected = np.clip(image + amount * (8 * image - neighbours), 0, 1)
    assert np.abs(sharpen(image, amount) - expected).max() < 1e-5


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (7, 5)])
@pytest.mark.parametrize(("amount", "radius"), [(0.7, 0.5), (1.5, 1.0), (3, 2.3)])
def test_the_unsharp_mask_follows_the_formula(shape, amount, radius):
    image = picture(shape, "float32", seed=2)
    expected = np.clip(plain_unsharp(image, amount, radius), 0, 1)
    result = sharpen(image, amount, method="unsharp", radius=radius)
    assert np.abs(result - expected).max() < 1e-5


def test_the_unsharp_mask_rounds_and_clips_bytes():
    image = picture((7, 9), seed=3)
    exact = plain_unsharp(image.astype(np.float64), 2.0, 1.0)
    result = sharpen(image, 2.0, method="unsharp", radius=1.0)
    assert np.abs(result - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-3


def test_bytes_and_floats_agree_within_a_step():
    image = picture((20, 20, 3), seed=4)
    for method in METHODS:
        whole = sharpen(image, 0.8, method=method)
        parts = sharpen((image / np.float32(255)), 0.8, method=method)
        assert np.abs(whole - parts * 255.0).max() <= 0.5 + 1e-3


def test_the_blur_keeps_the_brightness():
    assert gaussian_weights(1.0).size == 7
    assert gaussian_weights(2.1).size == 15
    assert gaussian_weights(5.0).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("amount", [-0.1, 10.1, math.nan, math.inf, "1", None])
def test_an_amount_out_of_bounds_is_refused(amount):
    with pytest.raises(ConfigError, match="amount must be 0 to 10, not"):
        sharpen(picture((4, 4)), amount)


@pytest.mark.parametrize("radius", [0, -1, 51, math.nan])
def test_a_radius_out_of_bounds_is_refused(radius):
    with pytest.raises(ConfigError, match=r"radius must be 0\.1 to 50, not"):
        sharpen(picture((4, 4)), 1, method="unsharp", radius=radius)


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="one of laplacian, unsharp, not 'median'"):
        sharpen(picture((4, 4)), 1, method="median")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((4, 4), np.int64), "not int64"),
        ([[1, 2]], "not list"),
        (np.zeros((0, 4), np.uint8), "is not empty"),
        (np.zeros(4, np.uint8), r"shape \(4,\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), "single image"),
        (np.zeros((4, 4, 5), np.uint8), "1 to 4"),
        (np.full((2, 2), np.nan, np.float32), "not numbers"),
    ],
)
def test_what_is_no_image_is_refused(image, reason):
    with pytest.raises(ImageError, match=reason):
        sharpen(image, 1)
