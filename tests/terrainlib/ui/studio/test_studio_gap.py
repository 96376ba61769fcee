"""How the gap to the training images is told, and the scale that would be better."""

from types import SimpleNamespace
from typing import Any

import pytest

from terrainlib.mask.gap import Gap
from terrainlib.mask.tiles.feeding import MIN_SCALE
from terrainlib.ui.studio.masks import WorkingScale
from terrainlib.ui.studio.result import better_scale, gap_in_words, own_in_words


def made(gap: Gap, used: float, own: float | None = 1.0) -> Any:
    scale = WorkingScale("subject", own, None, used)
    return SimpleNamespace(gap=gap, scale=scale)


def test_a_line_gives_the_level_and_the_reasons():
    gap = Gap("different", ("much darker", "colours: 12% of *it*"))

    line = gap_in_words(gap)

    assert ":material/warning:" in line
    assert "**Different from the training images\\: expect errors**" in line
    assert line.endswith("much darker; colours\\: 12% of \\*it\\*.")


def test_an_image_like_the_training_images_needs_no_reason():
    line = gap_in_words(Gap("alike", ()))

    assert line.endswith("**Like the training images**")


@pytest.mark.parametrize(
    ("factor", "used", "better"),
    [(None, 1.0, None), (0.5, 1.0, 0.5), (0.25, 0.5, 0.125), (0.125, 0.001, MIN_SCALE)],
)
def test_the_better_scale_is_of_the_one_that_was_used(
    factor: float | None, used: float, better: float | None
):
    gap = Gap("different", (), scale_factor=factor)

    assert better_scale(made(gap, used)) == better


def test_the_models_own_scale_is_told_with_or_without_one():
    assert own_in_words(made(Gap("alike", ()), 1.0).scale) == "the model's own, 1"
    whole = own_in_words(made(Gap("alike", ()), 0.4, own=None).scale)
    assert whole == "the size the model was trained with"
