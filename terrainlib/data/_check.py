"""The check of one pair: complete files, equal sizes, colours that are classes.

An image or height is checked for completeness without being converted; a mask is
decoded once for its classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from terrainlib.data._maskstore import pack
from terrainlib.data._records import Candidate, Pair, Problem, Stamp
from terrainlib.data.imagery import check_intact, read_size
from terrainlib.data.masks import read_mask
from terrainlib.data.palette import Classes
from terrainlib.errors import ImageError

_T = TypeVar("_T")
_Size = tuple[int, int]

MAX_STRANGERS: Final = 0.01  # share of a mask's pixels in colours of no class
MAX_ASPECT: Final = 20  # longer side over shorter side


class _UnusableError(Exception):
    """A file that makes its pair unusable."""

    def __init__(self, stamp: Stamp, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(stamp.name, reason)


@dataclass(frozen=True, slots=True)
class CheckedPair:
    """A usable pair with its class mask, packed; None for a very large one."""

    pair: Pair
    packed_mask: bytes | None


def check_pair(
    folder: Path, candidate: Candidate, classes: Classes
) -> CheckedPair | Problem:
    """Return a usable pair, or the first problem that makes it unusable."""
    try:
        size = _guarded(folder, candidate.image, _intact_size)
        _require_shape(candidate.image, size)
        mask = _guarded(folder, candidate.mask, lambda path: read_mask(path, classes))
        rows, columns = mask.index.shape
        _require_size(candidate.mask, (rows, columns), size)
        _require_few_strangers(candidate.mask, mask.strangers)
        if candidate.height is not None:
            height_size = _guarded(folder, candidate.height, _intact_size)
            _require_size(candidate.height, height_size, size)
    except _UnusableError as error:
        return error.problem
    counts = np.bincount(mask.index.ravel(), minlength=256)[: len(classes)]
    pair = Pair(
        id=candidate.id,
        image=folder / candidate.image.name,
        mask=folder / candidate.mask.name,
        height=folder / candidate.height.name if candidate.height else None,
        size=size,
        counts=tuple(int(count) for count in counts),
    )
    return CheckedPair(pair, pack(mask.index))


def reading_problem(error: ImageError | OSError) -> str:
    """Return in a sentence why a file could not be read, without its name."""
    if isinstance(error, ImageError):
        return error.message
    return f"the file cannot be read ({error.strerror}). Copy it again."


def _guarded(folder: Path, stamp: Stamp, read: Callable[[Path], _T]) -> _T:
    """Read a file, turning what goes wrong into a problem of that file."""
    try:
        return read(folder / stamp.name)
    except (ImageError, OSError) as error:
        raise _UnusableError(stamp, reading_problem(error)) from error


def _intact_size(path: Path) -> _Size:
    """Return the size of a file that is complete."""
    check_intact(path)
    return read_size(path)


def _require_shape(stamp: Stamp, size: _Size) -> None:
    """Refuse strips, which a resize would turn into something else."""
    if max(size) > MAX_ASPECT * min(size):
        raise _UnusableError(
            stamp,
            f"the image is {_pixels(size)}, longer than {MAX_ASPECT} times its width. "
            "Cut it into pieces.",
        )


def _require_size(stamp: Stamp, size: _Size, image_size: _Size) -> None:
    """Refuse a mask or height of another size than the image."""
    if size != image_size:
        raise _UnusableError(
            stamp,
            f"the size is {_pixels(size)}, but its image is {_pixels(image_size)}. "
            "Make both the same size.",
        )


def _require_few_strangers(stamp: Stamp, strangers: float) -> None:
    """Refuse a mask with many pixels in colours of no class."""
    if strangers > MAX_STRANGERS:
        raise _UnusableError(
            stamp,
            f"{strangers:.1%} of the pixels have a colour of no class; the limit is "
            f"{MAX_STRANGERS:.0%}. Correct the mask, or list its classes in "
            "classes.json.",
        )


def _pixels(size: _Size) -> str:
    """Return a size as people write it, width first."""
    height, width = size
    return f"{width} x {height} px"
