"""What an instant classifier asks its network."""

import numpy as np
import pytest

from terrainlib.model import instant
from terrainlib.model.forward import run_network
from terrainlib.model.modelfile import TerrainModel


def test_tiles_of_a_view_tell_what_one_pass_tells(
    random_models: dict[str, TerrainModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_models["fast"]
    fed = np.random.default_rng(0).random((480, 32, 3), np.float32)
    monkeypatch.setattr(instant, "_TILE_PX", 64)  # raised to four margins
    shapes: list[tuple[int, ...]] = []

    def watched(network: object, batch: np.ndarray) -> np.ndarray:
        shapes.append(batch.shape)
        return run_network(network, batch)

    monkeypatch.setattr(instant, "run_network", watched)
    told = instant._by_tiles(model, fed)

    assert len(shapes) == 3
    assert np.abs(told - run_network(model.network, fed[None])[0]).max() < 1e-5
