"""The gap meter: like the training images or not, and why, in words."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from terrainlib.data.imagery import read_image
from terrainlib.data.sample import EMBEDDED_MODELS, example_scenes, open_sample
from terrainlib.mask.gap import (
    MAX_WINDOWS,
    Gap,
    Level,
    gap_windows,
    judge_windows,
    window_px,
)
from terrainlib.model.looks import color_shares, image_features, looks_of
from terrainlib.model.modelfile import read_record
from terrainlib.model.record import ModelRecord
from tests.foreign_images import (
    FOREIGN,
    HARMLESS,
    FloatImage,
    magnified,
    measure_gap,
    rounded,
)


@pytest.fixture(scope="module")
def record() -> ModelRecord:
    found = read_record(EMBEDDED_MODELS["default"])
    assert found is not None
    return found


@pytest.fixture(scope="module")
def statistics(record: ModelRecord) -> dict[str, Any]:
    return record.statistics


@pytest.fixture(scope="module")
def scenes() -> dict[str, FloatImage]:
    return {scene.name: read_image(scene.image).rgb for scene in example_scenes()}


@pytest.fixture(scope="module")
def held_out(record: ModelRecord) -> list[FloatImage]:
    """Return the sample's tiles that validate, and the statistics of the others."""
    return list(tiles((record.split or {})["validation"]))


@pytest.fixture(scope="module")
def of_training_part(record: ModelRecord) -> dict[str, Any]:
    """Return statistics of the tiles of the training part alone."""
    features, shares = [], []
    for rgb in tiles((record.split or {})["train"]):
        found = image_features(rgb)
        assert found is not None
        features.append(found)
        shares.append(color_shares(rgb))
    return {"looks": looks_of(np.stack(features), np.stack(shares), 128).to_dict()}


def tiles(ids: list[str]) -> Iterator[FloatImage]:
    chosen = set(ids)
    for pair in open_sample().pairs:
        if pair.id in chosen:
            yield read_image(pair.image).rgb


def test_tiles_that_the_statistics_have_not_seen_are_alike(
    of_training_part: dict[str, Any], held_out: list[FloatImage]
) -> None:
    levels = [measure_gap(of_training_part, rgb).level for rgb in held_out]
    assert len(levels) == 48
    assert levels.count("alike") >= 46


def test_every_held_out_tile_is_alike_for_the_embedded_model(
    statistics: dict[str, Any], held_out: list[FloatImage]
) -> None:
    assert {measure_gap(statistics, rgb).level for rgb in held_out} == {"alike"}


@pytest.mark.parametrize("name", ["europe", "south_asia"])
@pytest.mark.parametrize("change", HARMLESS)
def test_the_example_scenes_are_alike(
    statistics: dict[str, Any], scenes: dict[str, FloatImage], name: str, change: str
) -> None:
    gap = measure_gap(statistics, HARMLESS[change](scenes[name]))
    assert gap.level == "alike", gap
    assert gap.windows >= 24
    assert gap.different_share < 0.2


@pytest.mark.parametrize("name", ["europe", "south_asia"])
@pytest.mark.parametrize("change", FOREIGN)
def test_foreign_images_are_different_with_a_reason(
    statistics: dict[str, Any], scenes: dict[str, FloatImage], name: str, change: str
) -> None:
    gap = measure_gap(statistics, FOREIGN[change](scenes[name]))
    assert gap.level == "different", gap
    assert gap.reasons
    assert gap.title == "Different from the training images: expect errors"


@pytest.mark.parametrize(
    ("change", "share"),
    [
        ("grey photo", 1),
        ("much darker", 0.95),
        ("much brighter", 0.8),
        ("infrared", 0.8),
        ("blurred", 0.95),
        ("magnified", 0.85),
        ("screenshot", 1),
    ],
)
def test_most_single_tiles_that_are_foreign_are_found(
    statistics: dict[str, Any], held_out: list[FloatImage], change: str, share: float
) -> None:
    some = held_out[::4]
    levels = [measure_gap(statistics, FOREIGN[change](rgb)).level for rgb in some]
    assert levels.count("different") >= share * len(some)


REASONS = {
    "much darker": "much darker than the training images (mean brightness ",
    "grey": "much paler in colour than the training images (colourfulness 0 of 255",
    "blurred": "much smoother from pixel to pixel",
    "washed out": "less contrast than the training images",
    "green and blue swapped": "colours that the training images do not have: 7",
    "infrared": "redder than the training images",
    "screenshot": "much paler in colour",
}


@pytest.mark.parametrize("change", REASONS)
def test_the_reason_is_said_in_words(
    statistics: dict[str, Any], scenes: dict[str, FloatImage], change: str
) -> None:
    gap = measure_gap(statistics, FOREIGN[change](scenes["europe"]))
    assert any(REASONS[change] in reason for reason in gap.reasons), gap.reasons


@pytest.mark.parametrize("name", ["europe", "south_asia"])
@pytest.mark.parametrize("factor", [2, 4])
def test_an_enlarged_image_is_told_the_scale_that_helps(
    statistics: dict[str, Any], scenes: dict[str, FloatImage], name: str, factor: int
) -> None:
    gap = measure_gap(statistics, magnified(scenes[name], factor))
    assert gap.scale_factor == 1 / factor
    assert gap.reasons[-1].startswith(f"at {1 / factor:g} times this scale")


def test_where_a_part_is_different_its_share_is_said(
    statistics: dict[str, Any], scenes: dict[str, FloatImage]
) -> None:
    mixed = scenes["europe"].copy()
    mixed[:128, :128] = 1
    gap = measure_gap(statistics, mixed)
    assert gap.level == "alike"
    assert 0 < gap.different_share < 0.2
    assert gap.reasons[0].endswith("% of the image looks different")
    assert gap.title == "Like the training images, except for a part"

    mixed[:, :320] = 1
    assert measure_gap(statistics, mixed).level == "different"


VERDICTS = [  # level, whether rough, reasons -> title
    ("alike", False, (), "Like the training images"),
    (
        "alike",
        False,
        ("8% of the image looks different", "much darker"),
        "Like the training images, except for a part",
    ),
    (
        "alike",
        True,
        ("only mean colour and contrast could be compared",),
        "Like the training images, as far as the model file tells",
    ),
    (
        "different",
        False,
        ("much darker",),
        "Different from the training images: expect errors",
    ),
    (
        "different",
        True,
        ("much less red",),
        "Different from the training images: expect errors",
    ),
    (
        "unknown",
        False,
        ("too few pixels have data to compare them",),
        "Not compared with the training images",
    ),
]


@pytest.mark.parametrize(("level", "rough", "reasons", "title"), VERDICTS)
def test_verdict_and_list_agree(
    level: Level, rough: bool, reasons: tuple[str, ...], title: str
) -> None:
    assert Gap(level, reasons, rough=rough).title == title


def test_parts_that_differ_in_no_common_way_still_have_a_reason(
    statistics: dict[str, Any],
    scenes: dict[str, FloatImage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("terrainlib.mask.gap._looks_reasons", lambda *_, **__: [])
    gap = measure_gap(statistics, FOREIGN["blurred"](scenes["europe"]))
    assert gap.level == "different"
    assert gap.reasons[0] == "its parts differ from them, each in its own way"


def test_pixels_without_data_are_left_out(
    statistics: dict[str, Any], scenes: dict[str, FloatImage]
) -> None:
    torn, valid = scenes["europe"].copy(), np.ones(scenes["europe"].shape[:2], bool)
    valid[:, 300:] = False
    torn[~valid] = 1
    gap = measure_gap(statistics, torn, valid)
    assert gap.level == "alike"
    assert gap.windows < 25


def test_too_few_pixels_are_not_judged(statistics: dict[str, Any]) -> None:
    gap = measure_gap(statistics, np.zeros((1, 1, 3), np.float32))
    assert (gap.level, gap.windows) == ("unknown", 0)
    nothing = np.zeros((40, 40), bool)
    rgb = np.zeros((40, 40, 3), np.float32)
    assert measure_gap(statistics, rgb, nothing).level == "unknown"


@pytest.mark.parametrize("statistics", [{}, {"color_mean": "red"}, {"looks": {}}])
def test_a_model_that_tells_nothing_gives_no_verdict(
    statistics: dict[str, Any],
) -> None:
    gap = measure_gap(statistics, np.zeros((64, 64, 3), np.float32))
    assert gap == Gap("unknown", ("the model file does not tell what those look like",))
    assert gap.title == "Not compared with the training images"


def older(statistics: dict[str, Any]) -> dict[str, Any]:
    names = ("images", "color_mean", "color_std", "contrast")
    return {name: statistics[name] for name in names}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rgb: rounded(rgb * 0.2 + 0.8), "much more blue"),
        (lambda rgb: rounded(rgb * 0 + 0.25), "far less contrast"),
    ],
)
def test_an_older_model_compares_mean_colour_and_contrast(
    statistics: dict[str, Any],
    scenes: dict[str, FloatImage],
    change: Callable[[FloatImage], FloatImage],
    reason: str,
) -> None:
    alike = measure_gap(older(statistics), scenes["europe"])
    gap = measure_gap(older(statistics), change(scenes["europe"]))
    assert alike.rough
    assert alike.level == "alike"
    assert alike.reasons == ("only mean colour and contrast could be compared",)
    assert (gap.level, gap.rough) == ("different", True)
    assert any(text.startswith(reason) for text in gap.reasons), gap.reasons


def test_windows_given_one_by_one_are_judged_as_the_whole(
    statistics: dict[str, Any], scenes: dict[str, FloatImage]
) -> None:
    rgb = scenes["south_asia"]
    places = gap_windows((rgb.shape[0], rgb.shape[1]), window_px(statistics))
    one_by_one = judge_windows(statistics, ((rgb[place], None) for place in places))
    assert one_by_one == measure_gap(statistics, rgb)


@pytest.mark.parametrize(
    "size",
    [(1, 1), (90, 60), (128, 128), (129, 128), (1023, 2049), (3000, 500), (9, 60_000)],
)
def test_windows_lie_inside_and_reach_every_rim(size: tuple[int, int]) -> None:
    windows = gap_windows(size, 128)
    assert 1 <= len(windows) <= MAX_WINDOWS
    for axis in (0, 1):
        sides = [window[axis] for window in windows]
        assert min(side.start for side in sides) == 0
        assert max(min(side.stop, size[axis]) for side in sides) == size[axis]
        lengths = {min(side.stop, size[axis]) - side.start for side in sides}
        assert lengths == {min(128, size[axis])}


def test_a_small_image_is_covered_without_a_gap() -> None:
    covered = np.zeros((700, 600), int)
    for place in gap_windows((700, 600), 128):
        covered[place] += 1
    assert covered.min() >= 1


def test_the_image_is_not_changed(
    statistics: dict[str, Any], scenes: dict[str, FloatImage]
) -> None:
    rgb = scenes["europe"][:200, :200].copy()
    before = rgb.copy()
    measure_gap(statistics, rgb)
    np.testing.assert_array_equal(rgb, before)
