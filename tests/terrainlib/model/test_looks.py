"""The distribution of the training images' looks, and what a file may say of it."""

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from terrainlib.model.looks import COLOR_CELLS, FEATURES, Looks, looks_of

SIZE = len(FEATURES)


def distribution(count: int = 60, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, SIZE)) @ rng.normal(size=(SIZE, SIZE))
    return features, rng.dirichlet(np.full(COLOR_CELLS, 0.05), count)


def looks(count: int = 60) -> Looks:
    return looks_of(*distribution(count), 32)


def test_the_mean_is_no_distance_away_and_a_far_image_is_far() -> None:
    known = looks()
    assert known.distance(known.mean) == 0
    assert known.distance(known.mean + 100) > known.distance(known.mean + 1) > 0


def test_the_distance_is_mahalanobis_of_the_covariance() -> None:
    known = looks()
    offset = np.arange(SIZE) / 7
    expected = np.sqrt(offset @ np.linalg.inv(known.covariance) @ offset)
    assert known.distance(known.mean + offset) == pytest.approx(expected)


def test_each_image_is_compared_with_the_others_only() -> None:
    features, shares = distribution(12)
    alone = []
    for number, row in enumerate(features):
        rest = np.delete(features, number, axis=0)
        others = looks_of(rest, np.delete(shares, number, axis=0), 32)
        alone.append(others.distance(row))

    found = looks_of(features, shares, 32).distances

    np.testing.assert_allclose(found, np.percentile(alone, [50, 99]))


def test_eight_images_give_finite_and_generous_limits() -> None:
    few, many = looks(8), looks(400)
    assert np.isfinite(few.distances).all()
    assert few.distances[1] > many.distances[1]


def test_an_excess_of_one_is_the_percentile_on_either_side() -> None:
    known = looks()
    low, middle, high = known.typical
    assert (known.excess(middle) == 0).all()
    np.testing.assert_allclose(known.excess(low), 1)
    np.testing.assert_allclose(known.excess(np.stack([high, high])), 1)


def test_residuals_find_the_feature_that_breaks_a_rule() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(200, SIZE))
    features[:, 1] = features[:, 0] + rng.normal(size=200) / 100
    known = looks_of(features, distribution(200)[1], 32)
    odd = known.mean.copy()
    odd[1] += 1.5  # usual by itself, but never without feature 0

    residuals = np.abs(known.residuals(odd))

    assert set(np.argsort(-residuals)[:2]) == {0, 1}
    assert residuals[:2].min() > 5


def test_colours_that_no_image_has_are_strange() -> None:
    features, _ = distribution(20)
    shares = np.zeros((20, COLOR_CELLS))
    shares[:, 3] = 1
    known = looks_of(features, shares, 32)
    image = np.zeros(COLOR_CELLS)
    image[[3, 4]] = 0.75, 0.25

    assert known.strange_share(image) == 0.25
    assert known.strangeness == 0


def test_a_colour_of_a_single_image_counts_as_strange_for_that_image() -> None:
    features, _ = distribution(20)
    shares = np.zeros((20, COLOR_CELLS))
    shares[:, 3] = 1
    shares[0, [3, 9]] = 0.4, 0.6

    assert looks_of(features, shares, 32).strangeness > 0.4


def test_the_json_form_comes_back_with_five_decimals() -> None:
    known = looks()
    back = Looks.from_dict(json.loads(json.dumps(known.to_dict())))
    assert back is not None
    assert back.window_px == 32
    for name in ("typical", "mean", "covariance", "distances", "colors"):
        np.testing.assert_allclose(getattr(back, name), getattr(known, name), atol=1e-5)
    assert back.distance(known.mean + 1) == pytest.approx(
        known.distance(known.mean + 1), rel=1e-3
    )


BAD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no object": lambda _: [],
    "other features": lambda v: v | {"features": ["brightness"]},
    "no window": lambda v: v | {"window_px": None},
    "window of 0": lambda v: v | {"window_px": 0},
    "window of True": lambda v: v | {"window_px": True},
    "huge window": lambda v: v | {"window_px": 10**9},
    "short mean": lambda v: v | {"mean": v["mean"][1:]},
    "text in the mean": lambda v: v | {"mean": ["1"] * SIZE},
    "NaN": lambda v: v | {"mean": [float("nan")] * SIZE},
    "infinite": lambda v: v | {"mean": [float("inf")] * SIZE},
    "huge number": lambda v: v | {"mean": [10**400] * SIZE},
    "flat covariance": lambda v: v | {"covariance": v["mean"]},
    "zero covariance": lambda v: v | {"covariance": [[0.0] * SIZE] * SIZE},
    "lopsided covariance": lambda v: v | {"covariance": lopsided(v["covariance"])},
    "ragged covariance": lambda v: v | {"covariance": [[1.0]] * SIZE},
    "negative colour": lambda v: v | {"colors": [-1.0] * COLOR_CELLS},
    "too many colours": lambda v: v | {"colors": [0.0] * (COLOR_CELLS + 1)},
    "negative distance": lambda v: v | {"distances": [-1.0, 2.0]},
    "no strangeness": lambda v: {k: v[k] for k in v if k != "strangeness"},
    "strangeness above 1": lambda v: v | {"strangeness": 2},
}


def lopsided(matrix: list[list[float]]) -> list[list[float]]:
    changed = copy.deepcopy(matrix)
    changed[0][1] += 1
    return changed


@pytest.mark.parametrize("row", BAD)
def test_a_form_that_cannot_be_used_gives_nothing(row: str) -> None:
    assert Looks.from_dict(BAD[row](looks().to_dict())) is None
