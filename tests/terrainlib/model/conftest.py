"""Small pairs in memory, as the cache would hold them."""

from collections.abc import Sequence

import numpy as np
import pytest

from terrainlib.data.cache import PairCache
from tests.synthetic import terrain


def make_pairs(count: int, *, size: int = 16, first: int = 0) -> PairCache:
    """Return `count` pairs of seeded terrain, with heights."""
    images, masks, heights = zip(
        *(terrain(size, seed) for seed in range(first, first + count)), strict=True
    )
    return PairCache(
        images=np.stack(images),
        masks=np.stack(masks),
        heights=np.stack(heights).astype(np.float32),
        ids=tuple(f"{seed:04d}" for seed in range(first, first + count)),
        scale=1.0,
    )


def make_sized_pairs(sizes: Sequence[tuple[int, int]]) -> PairCache:
    """Return pairs of seeded terrain of (H, W) px each, with heights."""
    made = [terrain(max(size), seed) for seed, size in enumerate(sizes)]
    images, masks, heights = (
        tuple(array[:h, :w] for array, (h, w) in zip(arrays, sizes, strict=True))
        for arrays in zip(*made, strict=True)
    )
    return PairCache(
        images=images,
        masks=masks,
        heights=tuple(height.astype(np.float32) for height in heights),
        ids=tuple(f"{number:04d}" for number in range(len(sizes))),
        scale=1.0,
    )


@pytest.fixture
def pairs() -> PairCache:
    """Return twelve pairs of 16 px."""
    return make_pairs(12)


@pytest.fixture
def validation_pairs() -> PairCache:
    """Return four other pairs of 16 px."""
    return make_pairs(4, first=100)
