"""Pairs of patches whose features agree on one way of laying them over each other.

One index holds the features of all patches; the nearest features of other patches vote
for pairs, and a robust fit says how many of a pair's votes agree.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data.overlap.features import Features, Picture
from terrainlib.data.overlap.geometry import Fit, Matrix, fit_turned, fit_upright
from terrainlib.errors import StoppedError

NEIGHBOURS: Final = 12  # nearest features looked at, its own among them
RATIO: Final = 0.92  # of the farthest of them: nearer ones are matches
MIN_VOTES: Final = 4
MAX_VOTES: Final = 400  # of a pair; more add time and no knowledge
STRONG: Final = 10  # agreeing votes that chance does not bring about
TOLERANCE_PX: Final = 3.0  # between agreeing votes, at the size features are sought
_CHUNK: Final = 4000
_TINY: Final = 1e-12
_SECTOR: Final = 40  # degrees: votes of one turn fall within


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two patches that may share ground, by index, and how.

    Attributes:
        first: Index of the one patch.
        second: Index of the other, larger.
        fit: The map from the first to the second in original px, and its votes.
    """

    first: int
    second: int
    fit: Fit


@dataclass(frozen=True, slots=True)
class _Votes:
    """Matches sorted by pair, the surest first: key of the pair, rows of features."""

    key: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    turn: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Group:
    """The votes of one pair: places (N, 2) in px of both patches, turns in degrees."""

    key: int
    source: NDArray[np.float32]
    target: NDArray[np.float32]
    turn: NDArray[np.float32]


def find_candidates(
    features: Features,
    patches: int,
    progress: Callable[[int, int], None] | None,
    should_stop: Callable[[], bool] | None,
) -> tuple[list[Candidate], bool]:
    """Return the pairs with agreeing votes, and whether all patches are upright.

    Raises:
        StoppedError: If `should_stop` said so.
    """
    if len(features.owner) <= NEIGHBOURS:
        return [], True
    votes = _votes(features, patches, progress, should_stop)
    groups = list(_groups(votes, features))
    upright = _are_upright(groups, features)
    tolerance = TOLERANCE_PX / features.factor
    found = []
    for number, group in enumerate(groups):
        if number % 500 == 0 and should_stop is not None and should_stop():
            raise StoppedError("stopped while shared ground was looked for, as asked.")
        fit = (
            fit_upright(group.source, group.target, group.turn, tolerance)
            if upright
            else fit_turned(group.source, group.target, tolerance)
        )
        if fit is not None and fit.votes >= MIN_VOTES:
            found.append(Candidate(*divmod(group.key, patches), fit))
    return found, upright


def _votes(
    features: Features,
    patches: int,
    progress: Callable[[int, int], None] | None,
    should_stop: Callable[[], bool] | None,
) -> _Votes:
    cv2.setRNGSeed(0)
    index = cv2.flann_Index(  # type: ignore[attr-defined]
        features.vector, {"algorithm": 1, "trees": 4}
    )
    total = len(features.owner)
    rows, others, ratios = [], [], []
    for start in range(0, total, _CHUNK):
        if should_stop is not None and should_stop():
            raise StoppedError("stopped while shared ground was looked for, as asked.")
        near, squared = index.knnSearch(
            features.vector[start : start + _CHUNK], NEIGHBOURS, params={"checks": 32}
        )
        row = np.repeat(np.arange(start, start + len(near)), NEIGHBOURS)
        other = near.ravel().astype(np.int64)
        ratio = (squared / np.maximum(squared[:, -1:], _TINY)).ravel()
        good = (ratio < RATIO**2) & (other >= 0)
        good &= features.owner[row] != features.owner[other]
        rows.append(row[good])
        others.append(other[good])
        ratios.append(ratio[good])
        if progress is not None:
            progress(min(start + _CHUNK, total), total)
    del index  # as large as the features
    return _sorted(
        np.concatenate(rows),
        np.concatenate(others),
        np.concatenate(ratios),
        features,
        patches,
    )


def _sorted(
    row: NDArray[np.int64],
    other: NDArray[np.int64],
    ratio: NDArray[np.float32],
    features: Features,
    patches: int,
) -> _Votes:
    swap = row > other  # rows rise with their patches
    row, other = np.where(swap, other, row), np.where(swap, row, other)
    surest = np.argsort(ratio, kind="stable")
    both, once = np.unique(
        (row * len(features.owner) + other)[surest], return_index=True
    )
    ratio = ratio[surest][once]
    row, other = both // len(features.owner), both % len(features.owner)
    grown = features.size[other] / features.size[row]
    like = (grown > 0.5) & (grown < 2.0)
    row, other, ratio = row[like], other[like], ratio[like]
    turn = (features.angle[other] - features.angle[row] + 180) % 360 - 180
    key = features.owner[row].astype(np.int64) * patches + features.owner[other]
    order = np.lexsort((ratio, key))
    return _Votes(key[order], row[order], other[order], turn[order])


def _groups(votes: _Votes, features: Features) -> Iterator[_Group]:
    keys, starts, counts = np.unique(votes.key, return_index=True, return_counts=True)
    likely = np.isin(keys, np.union1d(_turned(votes, 0), _turned(votes, _SECTOR // 2)))
    for key, start, count in zip(
        keys[likely], starts[likely], counts[likely], strict=True
    ):
        part = slice(start, start + min(count, MAX_VOTES))
        yield _Group(
            int(key),
            features.place[votes.first[part]],
            features.place[votes.second[part]],
            votes.turn[part],
        )


def _turned(votes: _Votes, shift: int) -> NDArray[np.int64]:
    """Return the keys with enough votes in one sector of turns, begun at a shift."""
    sector = ((votes.turn + 180 + shift) // _SECTOR).astype(np.int64) % 9
    kinds, counts = np.unique(votes.key * 16 + sector, return_counts=True)
    return np.unique(kinds[counts >= MIN_VOTES] // 16)


def _are_upright(groups: list[_Group], features: Features) -> bool:
    """Return whether the surest pairs are laid over each other without a turn."""
    surest = sorted(groups, key=lambda group: (-len(group.source), group.key))[:300]
    tolerance = TOLERANCE_PX / features.factor
    turns = []
    for group in surest:
        fit = fit_turned(group.source, group.target, tolerance)
        if fit is not None and fit.votes >= STRONG:
            turns.append(
                abs(np.degrees(np.arctan2(fit.matrix[1, 0], fit.matrix[0, 0])))
            )
    return not turns or float(np.mean(np.array(turns) < 4)) > 0.9


BLUR_PX: Final = 3.0
MIN_PIXELS: Final = 30
FLAT_GREY: Final = 1.0  # spread of fine detail below which there is nothing to compare
FLAT_METRES: Final = 3.0
_ROUNDS: Final = 30
_STEP: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the common area of two patches is.

    Attributes:
        grey: Correlation of the fine detail in brightness, -1 to 1; None where there is
            too little of it.
        height: The same of the heights.
        pixels: Number of pixels compared.
    """

    grey: float | None
    height: float | None
    pixels: int


def agreement(first: Picture, second: Picture, matrix: Matrix) -> Agreement:
    """Compare two patches over their common area.

    Args:
        first: The one patch.
        second: The other.
        matrix: From (x, y, 1) in the first to the second, in original px.
    """
    small = _small(first, second, matrix)
    inside = _warped(np.ones(second.grey.shape, np.float32), small, first.grey.shape)
    common = inside > 0.999
    pixels = int(np.count_nonzero(common))
    if pixels < MIN_PIXELS:
        return Agreement(None, None, pixels)
    grey = _alike(
        _detail(first.grey),
        _warped(_detail(second.grey), small, first.grey.shape),
        common,
        FLAT_GREY,
    )
    height = None
    if first.height is not None and second.height is not None:
        height = _alike(
            _detail(first.height),
            _warped(_detail(second.height), small, first.grey.shape),
            common,
            FLAT_METRES,
        )
    return Agreement(grey, height, pixels)


def settled(first: Picture, second: Picture, matrix: Matrix) -> Matrix:
    """Return the map after shifting it to where the pixels agree best.

    Only the shift is changed; where the pixels say nothing the map stays as it is.
    """
    small = _small(first, second, matrix)
    ones = np.ones(second.grey.shape, np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ROUNDS, _STEP)
    shift: NDArray[Any] = np.eye(2, 3, dtype=np.float32)
    shape = first.grey.shape
    moved = _warped(_detail(second.grey), small, shape)
    mask = (_warped(ones, small, shape) > 0.999).astype(np.uint8)
    if np.count_nonzero(mask) < MIN_PIXELS:
        return matrix
    try:
        _, found = cv2.findTransformECC(
            _detail(first.grey), moved, shift, cv2.MOTION_TRANSLATION, criteria, mask, 3
        )
    except cv2.error:  # the pixels do not lead anywhere
        return matrix
    shift = np.asarray(found, np.float64)
    if not np.isfinite(shift).all():
        return matrix
    better = matrix.copy()
    better[:, 2] += matrix[:, :2] @ (shift[:, 2] / first.factor)
    return better


def _small(first: Picture, second: Picture, matrix: Matrix) -> Matrix:
    """Return the map between the small pictures, from pixel centre to pixel centre."""
    linear = matrix[:, :2] * (second.factor / first.factor)
    half = np.array([0.5, 0.5])
    return np.column_stack(
        [linear, linear @ half + matrix[:, 2] * second.factor - half]
    )


def _detail(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return what a blur takes away; no data is flat."""
    filled = np.nan_to_num(values.astype(np.float32), copy=False)
    return np.asarray(filled - cv2.GaussianBlur(filled, (0, 0), BLUR_PX))


def _warped(
    values: NDArray[np.float32], matrix: Matrix, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the second picture's values in the frame of the first, 0 outside."""
    return np.asarray(
        cv2.warpAffine(
            values,
            matrix,
            (shape[1], shape[0]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
    )


def _alike(
    one: NDArray[np.float32],
    two: NDArray[np.float32],
    common: NDArray[np.bool_],
    flat: float,
) -> float | None:
    """Return the correlation over the common area; None where either is flat."""
    a, b = one[common], two[common]
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a * a).mean())), float(np.sqrt((b * b).mean()))
    if min(spread) < flat:
        return None
    return float((a * b).mean() / (spread[0] * spread[1]))
