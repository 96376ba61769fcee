"""How sure a prediction is: margins, the share of unsure pixels, and their picture."""

import numpy as np
import pytest

from terrainlib.errors import ImageError
from terrainlib.mask.confidence import (
    NO_DATA_COLOR,
    SURE_COLORS,
    UNSURE_COLORS,
    UNSURE_MARGIN,
    confidence_picture,
    unsure_pixels,
    unsure_share,
)

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
GREEN_BLIND = np.array(  # Machado et al. 2009, deuteranopia
    [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
)
RED_BLIND = np.array(  # the same, protanopia
    [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
)


def all_margins() -> np.ndarray:
    """Return the colours of the margins 0 to 255 in 255ths."""
    margins = np.arange(256, dtype=np.uint8)[None]
    return confidence_picture(margins, np.zeros((1, 256), np.uint8))[0].astype(float)


def test_pixels_below_the_limit_are_unsure_and_those_without_data_do_not_count() -> (
    None
):
    margins = np.array([[0.0, 0.19, 0.2, 0.9, 0.0]], np.float32)
    classes = np.array([[0, 1, 2, 3, 255]], np.uint8)
    assert unsure_pixels(margins, classes) == 2
    assert unsure_share(margins, classes) == 0.5


def test_bytes_and_floats_agree_at_the_limit() -> None:
    floats = np.arange(256, dtype=np.float32)[None] / 255
    classes = np.zeros((1, 256), np.uint8)
    in_bytes = np.arange(256, dtype=np.uint8)[None]
    assert unsure_pixels(in_bytes, classes) == 51
    assert unsure_pixels(np.float32(UNSURE_MARGIN) + floats * 0, classes) == 0
    assert in_bytes[0, 51] / 255 == pytest.approx(UNSURE_MARGIN)


def test_without_any_data_there_is_no_share() -> None:
    nothing = np.full((2, 2), 255, np.uint8)
    assert np.isnan(unsure_share(np.zeros((2, 2), np.float32), nothing))


def test_the_picture_has_the_colours_at_both_ends_of_both_ramps() -> None:
    colors = all_margins()
    ends = [tuple(colors[number]) for number in (0, 50, 51, 255)]
    assert ends == [*UNSURE_COLORS, *SURE_COLORS]


def test_no_data_is_black_whatever_the_margin() -> None:
    margins = np.array([[0.9, 0.9]], np.float32)
    classes = np.array([[0, 255]], np.uint8)
    picture = confidence_picture(margins, classes)
    assert picture.dtype == np.uint8
    assert tuple(picture[0, 1]) == NO_DATA_COLOR
    assert picture[0, 0].sum() > 0


def test_a_larger_margin_is_never_darker() -> None:
    assert (np.diff(all_margins() @ LUMINANCE) > -0.8).all()  # but for rounding
    assert (np.diff((all_margins() @ LUMINANCE)[::10]) > 0).all()


@pytest.mark.parametrize("seen", [np.eye(3), GREEN_BLIND, RED_BLIND])
def test_unsure_and_sure_differ_for_colour_blind_people(seen: np.ndarray) -> None:
    colors = all_margins() @ seen.T
    warm = colors[:, 0] - colors[:, 2]  # red over blue
    assert warm[:51].min() > 60
    assert warm[51:].max() < 0


def test_margins_of_another_size_are_refused() -> None:
    with pytest.raises(ImageError, match="both must have the same size"):
        confidence_picture(np.zeros((2, 2), np.float32), np.zeros((2, 3), np.uint8))
    with pytest.raises(ImageError, match="both must have the same size"):
        unsure_share(np.zeros((2, 2), np.float32), np.zeros((2, 3), np.uint8))
