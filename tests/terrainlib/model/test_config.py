"""Configurations: presets, bounds, JSON forms."""

import pytest

from terrainlib.errors import ConfigError
from terrainlib.model.config import DEFAULT_PRESET, PRESETS, TrainingConfig, UNetConfig


def test_the_default_preset_is_the_first_that_people_see() -> None:
    assert next(iter(PRESETS)) == DEFAULT_PRESET == UNetConfig().preset_name


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_its_json_form(name: str) -> None:
    config = TrainingConfig.preset(name, seed=7, network={"classes": 5})

    assert TrainingConfig.from_dict(config.to_dict()) == config
    assert config.network.preset_name == name
    assert config.network.classes == 5


def test_the_notebook_preset_is_the_originals_recipe() -> None:
    config = TrainingConfig.preset("notebook")

    assert config.epochs == 50
    assert config.batch_size == 32
    assert config.network.filters == (16, 32, 64, 128, 256)
    assert config.network.output_channels == 3
    assert config.network.size_multiple == 16


def test_only_images_alone_get_the_encoder_that_was_learnt_before() -> None:
    assert UNetConfig.preset("fast").encoder == "imagenet"
    assert UNetConfig.preset("fast", height=True).encoder == "own"
    chosen = UNetConfig.preset("fast", height=True, encoder="imagenet")
    assert chosen.encoder == "imagenet"


def test_a_network_of_an_older_file_has_an_encoder_of_its_own() -> None:
    values = UNetConfig.preset("fast").to_dict()
    del values["encoder"]

    assert UNetConfig.from_dict(values).encoder == "own"


def test_a_budget_among_the_changes_replaces_the_presets() -> None:
    assert TrainingConfig.preset("notebook", minutes=2).epochs is None
    assert TrainingConfig.preset("fast", epochs=3).minutes is None


def test_a_change_of_none_keeps_the_presets_value() -> None:
    assert TrainingConfig.preset("notebook", batch_size=None).batch_size == 32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch size must be 1 to 512, not 0"),
        ({"epochs": 3, "minutes": 2}, "either in epochs or in minutes"),
        ({"minutes": float("nan")}, "minutes must be 0.05 to 10080, not nan"),
        ({"learning_rate": "fast"}, "`learning_rate`: Input should be a valid number"),
        ({"schedule": "magic"}, "`schedule`: Input should be 'warm_up', 'one_cycle'"),
        ({"crop_size": 100}, "crop size must be a multiple of 8 px .* Use 96"),
        ({"crop_size": 256}, "crop size must be 8 to 128, not 256"),
        ({"network": {"image_size": 2048}}, "2048 px are too many .* Set a crop size"),
        ({"crop_size": 0}, "crop size must be 8 to 128, not 0"),
        ({"batchsize": 4}, "unknown option 'batchsize'"),
    ],
)
def test_a_training_out_of_bounds_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingConfig.preset("fast", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 100}, "must be a multiple of 8 px .* not 100. Use 96"),
        ({"filters": (8,)}, "levels in filters must be 2 to 6, not 1"),
        ({"filters": (8, 5000)}, "filters must be 1 to 1024, not 5000"),
        ({"filters": None}, "`filters`: Input should be a valid array"),
        ({"classes": True}, "`classes`: Input should be a valid integer"),
        ({"dropout": 1}, "dropout must be 0 to 0.9, not 1"),
    ],
)
def test_a_network_out_of_bounds_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        UNetConfig.preset("fast", **changes)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="one of fast, notebook, best, not 'slow'"):
        UNetConfig.preset("slow")
