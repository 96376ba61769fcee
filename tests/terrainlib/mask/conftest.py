"""A model for the tests of prediction that is right, and what it is right about."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from terrainlib.data.dataset import Dataset
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import TerrainModel
from tests.mask_models import ColorReader, make_model, paint_dataset


@pytest.fixture
def color_model() -> Callable[..., TerrainModel]:
    """Return a function that makes a model which is right about class colours."""

    def make(preset: str = "fast", *, height: bool = False, **record: Any):
        config = UNetConfig.preset(preset, image_size=32, height=height)
        return make_model(ColorReader(config), config, **record)

    return make


@pytest.fixture
def painted(tmp_path: Path) -> Dataset:
    """Return five pairs of 32 px whose images are painted in the class colours."""
    return paint_dataset(tmp_path / "painted")
