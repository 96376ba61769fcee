"""What is chosen for a data set and a machine."""

from pathlib import Path

import pytest

from terrainlib.data.dataset import open_dataset
from terrainlib.errors import ConfigError
from terrainlib.model.automatic import (
    BY_THE_USER,
    MIN_STEPS,
    Choice,
    TrainingData,
    choose,
    memory_needed,
    pass_seconds,
    passes_wanted,
)
from terrainlib.model.config import TrainingConfig
from terrainlib.model.machine import Machine
from tests.synthetic import write_kaggle_dataset, write_sized_dataset

GIB = 2**30
LAPTOP = Machine(12 * GIB, cores=2)


def sizes(choice: Choice) -> tuple[int, int | None, int]:
    config = choice.config
    return config.network.image_size, config.crop_size, config.batch_size


@pytest.mark.parametrize("side", [32, 128, 5000])
@pytest.mark.parametrize("memory", [GIB, 500 * GIB])
def test_the_notebook_is_the_original_whatever_the_data(side: int, memory: int) -> None:
    choice = choose("notebook", TrainingData(side, 10), Machine(memory, 2))

    assert choice.config == TrainingConfig.preset("notebook")
    assert sizes(choice) == (128, None, 32)


@pytest.mark.parametrize(
    ("preset", "side", "expected"),
    [
        ("fast", 128, (128, None, 8)),
        ("fast", 100, (96, None, 8)),
        ("fast", 5, (16, None, 8)),
        ("fast", 160, (160, None, 8)),
        ("fast", 512, (256, 128, 8)),
        ("best", 128, (128, None, 16)),
        ("best", 300, (304, 256, 16)),
        ("best", 4000, (768, 256, 16)),
    ],
)
def test_the_size_follows_the_images(
    preset: str, side: int, expected: tuple[int, int | None, int]
) -> None:
    roomy = Machine(64 * GIB, cores=2)

    assert sizes(choose(preset, TrainingData(side, 320), roomy)) == expected


def test_fast_shrinks_large_images_until_the_budget_holds_enough_passes() -> None:
    data = TrainingData(512, 1000)

    def chosen(minutes: float, cores: int = 2, **machine_has: bool) -> int:
        machine = Machine(64 * GIB, cores, **machine_has)
        config = choose("fast", data, machine, minutes=minutes).config
        seconds = pass_seconds(config, data, machine)
        wanted = passes_wanted(config.network.image_size)
        assert config.network.image_size == 128 or wanted * seconds <= 60 * minutes
        return config.network.image_size

    assert [chosen(5), chosen(20), chosen(60), chosen(400)] == [128, 192, 256, 512]
    assert chosen(15, bfloat16=True) == 192
    assert chosen(5, cores=16) == 256
    on_gpu = Machine(64 * GIB, 2, gpu_memory=24 * GIB)
    assert choose("fast", data, on_gpu, minutes=5).config.network.image_size == 512


def test_few_large_scenes_are_not_shrunk_to_a_stamp() -> None:
    config = choose("fast", TrainingData(5000, 6), LAPTOP).config

    assert (config.network.image_size, config.crop_size) == (1024, 128)
    assert config.batch_size == 8


@pytest.mark.parametrize(("pairs", "batch"), [(320, 8), (40, 4), (20, 2), (4, 2)])
def test_a_small_data_set_gets_small_batches(pairs: int, batch: int) -> None:
    config = choose("fast", TrainingData(128, pairs), LAPTOP).config

    assert config.batch_size == batch
    assert batch == 2 or 0.85 * pairs / batch >= MIN_STEPS


@pytest.mark.parametrize("preset", ["fast", "best"])
@pytest.mark.parametrize("memory", [4 * GIB, 8 * GIB, 24 * GIB])
@pytest.mark.parametrize("pairs", [50, 5000])
def test_half_of_the_free_memory_is_enough(
    preset: str, memory: int, pairs: int
) -> None:
    data = TrainingData(512, pairs, heights=True)

    config = choose(preset, data, Machine(memory, 2)).config

    assert memory_needed(config, data) <= memory / 2


def test_less_memory_takes_smaller_batches_first_then_smaller_crops() -> None:
    data = TrainingData(512, 320)

    def chosen(gib: float) -> tuple[int, int | None, int]:
        return sizes(choose("best", data, Machine(int(gib * GIB), 2)))

    assert chosen(64) == (512, 256, 16)
    assert chosen(8) == (512, 256, 4)
    assert chosen(3) == (512, 64, 2)


def test_on_a_gpu_its_memory_decides_the_batch() -> None:
    small = Machine(64 * GIB, 2, gpu_memory=4 * GIB)
    large = Machine(64 * GIB, 2, gpu_memory=80 * GIB)
    data = TrainingData(512, 320)

    assert choose("best", data, small).config.batch_size == 2
    assert choose("best", data, large).config.batch_size == 16


def test_what_the_user_sets_stays_and_the_rest_follows() -> None:
    data = TrainingData(512, 320)

    asked = {"crop_size": 64, "batch_size": 3, "validation_share": 0.2}
    kept = choose("best", data, LAPTOP, network={"image_size": 384}, **asked)
    sized = choose("best", data, LAPTOP, network={"image_size": 256})

    assert sizes(kept) == (384, 64, 3)
    assert set(kept.reasons.values()) == {BY_THE_USER}
    assert sizes(sized) == (256, None, 8)
    few = TrainingData(5000, 20)
    large = choose("best", few, LAPTOP, network={"image_size": 4096})
    assert sizes(large) == (4096, 256, 8)
    assert sized.reasons["image_size"] == BY_THE_USER
    with pytest.raises(ConfigError, match="batch size must be 1 to 512"):
        choose("fast", data, LAPTOP, batch_size=0)


def test_the_choice_is_said_in_one_line() -> None:
    choice = choose("fast", TrainingData(512, 320), LAPTOP, batch_size=4)

    assert choice.summary == (
        "image size 256 px (Images of 512 px are shrunk. A pass over all pairs takes "
        "about 19 s), crops of 128 px (Parts of the images at random: less memory and "
        "time a step, more variety), batches of 4 (As you set it)."
    )


@pytest.mark.parametrize(
    ("pairs", "share"), [(320, 0.15), (6_700, 0.14), (50_000, 0.02), (90_000, 0.02)]
)
def test_of_many_pairs_few_are_held_out(pairs: int, share: float) -> None:
    choice = choose("fast", TrainingData(128, pairs), LAPTOP)

    assert choice.config.validation_share == share
    assert ("held out" in choice.summary) == (share < 0.15)
    asked = choose("fast", TrainingData(128, pairs), LAPTOP, validation_share=0.3)
    assert asked.config.validation_share == 0.3


def test_the_median_image_stands_for_a_data_set(tmp_path: Path) -> None:
    folder = write_kaggle_dataset(tmp_path / "set", pairs=4, size=48)

    data = TrainingData.of(open_dataset(folder))

    assert data == TrainingData(48, 4, heights=True)


def test_all_pixels_count_where_images_are_of_many_sizes(tmp_path: Path) -> None:
    folder = write_sized_dataset(tmp_path, [(16, 64), (32, 32), (40, 20), (96, 96)])

    data = TrainingData.of(open_dataset(folder))

    assert (data.side, data.pairs) == (32, 4)
    assert data.images == pytest.approx((3 * 1024 - 224 + 9216) / 1024)
    equal = TrainingData(32, 4)
    config = choose("fast", data, LAPTOP).config
    assert pass_seconds(config, data, LAPTOP) > 2 * pass_seconds(config, equal, LAPTOP)
