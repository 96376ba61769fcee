"""The check of one pair of a data set: its files are read once, problems are named."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.classes.masks import (
    Mask,
    MaskMeaning,
    MaskValues,
    RawMask,
    as_mask,
    read_mask,
    read_raw_mask,
)
from terrainlib.data.formats.bands import FileBands
from terrainlib.data.formats.categories import Category, read_categories
from terrainlib.data.formats.grids import compare, lay_mask
from terrainlib.data.formats.heights import Heights, read_heights
from terrainlib.data.imagery import Grid, check_intact, read_grid
from terrainlib.data.layout import Candidate, Note, Pair, Problem, Stamp
from terrainlib.data.palette import NO_DATA
from terrainlib.errors import ImageError

MAX_MASK_PIXELS: Final = 1 << 22  # a larger mask is decoded again
_LEVEL: Final = 1  # smooth masks shrink fiftyfold even so
MAX_UNKNOWN_SHARE: Final = 0.01  # share of a mask's pixels in colours of no class
MAX_ASPECT: Final = 20  # longer side over shorter side
_KEPT_VALUES: Final = 1024  # of a mask, for the decision what they mean

_T = TypeVar("_T")
_Size = tuple[int, int]


class _UnusableError(Exception):
    """A file that makes its pair unusable."""

    def __init__(self, stamp: Stamp, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(stamp.name, reason)


@dataclass(frozen=True, slots=True)
class DecodedPair:
    """A pair whose files were read once, before the meaning of its mask is known.

    Attributes:
        candidate: Its files.
        size: (H, W) in px of the image; None where there is a problem.
        problem: The first that makes the pair unusable.
        bands: What its image has, where that can be read.
        values: The distinct values of its mask, where that can be read.
        counts: Pixels of the mask as it lies on the image: without data, then of each
            value; None where those are many.
        packed: Where these values are, packed; None for a very large mask or one of
            many values, which is read again.
        categories: What a side file calls the mask's values.
        on_image: How mask and height lie on the image.
    """

    candidate: Candidate
    size: _Size | None
    problem: Problem | None
    bands: FileBands | None
    values: MaskValues | None
    counts: NDArray[np.int64] | None
    packed: bytes | None
    categories: Mapping[int, Category]
    on_image: "_OnImage"


class _OnImage(NamedTuple):
    """How mask and height lie on their image.

    Attributes:
        laid: Which of them lie on another grid.
        notes: What is to be known of them.
    """

    laid: tuple[Literal["mask", "height"], ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedPair:
    """A usable pair with its class mask; None for a very large one.

    Attributes:
        pair: The pair.
        bands: What its image has.
        packed_mask: Its class mask: a table of classes, and packed places in it.
        unknown: Share (0 to 1) of the mask's pixels whose value is no class.
    """

    pair: Pair
    bands: FileBands
    packed_mask: bytes | None
    unknown: float


def decode_pair(folder: Path, candidate: Candidate) -> DecodedPair:
    """Read the files of a pair and find the first problem that makes it unusable."""
    raw: RawMask | None = None
    failure: _UnusableError | None = None
    size: _Size | None = None
    bands: FileBands | None = None
    on_image = _OnImage()
    try:
        raw = _guarded(folder, candidate.mask, read_raw_mask)
    except _UnusableError as error:
        failure = error  # told after those of the image
    try:
        image, bands = _guarded(folder, candidate.image, check_intact)
        size = (image.height, image.width)
        _require_shape(candidate.image, size)
        if failure is not None:
            raise failure
        if raw is not None:
            raw, mask = _lay_raw(folder, candidate.mask, raw, image)
            height = _fit_height(folder, candidate.height, image)
            on_image = _OnImage(mask.laid + height.laid, mask.notes + height.notes)
    except _UnusableError as error:
        size, failure = None, error
    few = raw is not None and raw.index.dtype == np.uint8
    return DecodedPair(
        candidate=candidate,
        size=size,
        problem=failure.problem if failure is not None else None,
        bands=bands,
        values=raw.values.most_common(_KEPT_VALUES) if raw is not None else None,
        counts=np.bincount(raw.index.ravel()) if raw is not None and few else None,
        packed=_pack(raw.index) if raw is not None and size and few else None,
        categories=read_categories(folder / candidate.mask.name) if raw else {},
        on_image=on_image,
    )


def _lay_raw(
    folder: Path, stamp: Stamp, raw: RawMask, image: Grid
) -> tuple[RawMask, _OnImage]:
    """Return a mask on its image's grid; its place is of no use if that has none."""
    own = Grid(*raw.index.shape)
    if image.place is not None:
        own = _guarded(folder, stamp, read_grid)
    elif own == image:
        return raw, _OnImage()
    index, told = _guarded(
        folder, stamp, lambda path: lay_mask(raw.index, own, image, path.name, empty=0)
    )
    if not told:
        return raw, _OnImage()
    notes = tuple(Note(stamp.name, note) for note in told)
    return RawMask(raw.values, index), _OnImage(("mask",), notes)


def _fit_height(folder: Path, stamp: Stamp | None, image: Grid) -> _OnImage:
    """Read the heights of a pair as a training does."""
    if stamp is None:
        return _OnImage()

    def read(path: Path) -> tuple[Heights, Heights]:
        own = read_heights(path)
        compare(own.grid, image, path.name)
        return own, own.on(image)

    own, heights = _guarded(folder, stamp, read)
    notes = tuple(Note(stamp.name, note) for note in heights.notes)
    return _OnImage(() if heights is own else ("height",), notes)


def settle_pair(
    folder: Path, decoded: DecodedPair, meaning: MaskMeaning
) -> CheckedPair | Problem:
    """Return a usable pair, as its mask is meant, or what makes it unusable."""
    candidate, size = decoded.candidate, decoded.size
    if size is None or decoded.bands is None or decoded.values is None:
        return decoded.problem or Problem(candidate.mask.name, "cannot be read.")
    try:
        if decoded.packed is None or decoded.counts is None:
            mask = _read_again(folder, decoded, meaning)
            pixels, packed = np.bincount(mask.index.ravel()), _pack(mask.index)
            classes = np.arange(NO_DATA + 1, dtype=np.uint8)
        else:  # each value stands for its pixels
            pixels, packed = decoded.counts, decoded.packed
            places = np.arange(len(decoded.values.keys) + 1)
            mask = as_mask(RawMask(decoded.values, places), meaning)
            classes = mask.index
        _require_few_unknown(candidate.mask, mask)
        used = classes[: len(pixels)]
        counts = np.bincount(used, pixels, NO_DATA + 1).astype(np.int64)
        _require_labels(candidate.mask, int(counts[:NO_DATA].sum()))
    except _UnusableError as error:
        return error.problem
    pair = Pair(
        id=candidate.id,
        image=folder / candidate.image.name,
        mask=folder / candidate.mask.name,
        height=folder / candidate.height.name if candidate.height else None,
        size=size,
        counts=tuple(counts[: len(meaning.colors)].tolist()),
        laid=decoded.on_image.laid,
        notes=decoded.on_image.notes,
    )
    table = bytes([len(classes) - 1]) + classes.tobytes()
    kept = table + packed if packed is not None else None
    return CheckedPair(pair, decoded.bands, kept, mask.unknown)


def _read_again(folder: Path, decoded: DecodedPair, meaning: MaskMeaning) -> Mask:
    """Return a mask that was not kept, on its image's grid."""
    stamp = decoded.candidate.mask
    mask = _guarded(folder, stamp, lambda path: read_mask(path, meaning))
    if "mask" not in decoded.on_image.laid:
        return mask
    image = _guarded(folder, decoded.candidate.image, read_grid)
    own = _guarded(folder, stamp, read_grid)
    index, _ = lay_mask(mask.index, own, image, stamp.name)
    return replace(mask, index=index)


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


def _require_shape(stamp: Stamp, size: _Size) -> None:
    if max(size) > MAX_ASPECT * min(size):
        raise _UnusableError(
            stamp,
            f"the image is {_pixels(size)}, longer than {MAX_ASPECT} times its width. "
            "Cut it into pieces.",
        )


def _require_few_unknown(stamp: Stamp, mask: Mask) -> None:
    if mask.unknown <= MAX_UNKNOWN_SHARE:
        return
    if isinstance(mask.strange, int):
        raise _UnusableError(
            stamp,
            f"{mask.unknown:.1%} of the pixels hold a value of no class, most often "
            f"{mask.strange}; the limit is {MAX_UNKNOWN_SHARE:.0%}. Correct the mask, "
            f'or list in classes.json a class with "value": {mask.strange}.',
        )
    raise _UnusableError(
        stamp,
        f"{mask.unknown:.1%} of the pixels have a colour of no class; the limit is "
        f"{MAX_UNKNOWN_SHARE:.0%}. Correct the mask, or list its classes in "
        "classes.json.",
    )


def _require_labels(stamp: Stamp, labelled: int) -> None:
    if not labelled:
        raise _UnusableError(
            stamp,
            "no labelled pixel: all of the mask is no data or has no class. Label "
            "it, or remove the pair.",
        )


def _pixels(size: _Size) -> str:
    height, width = size
    return f"{width} x {height} px"


def _pack(index: NDArray[np.uint8]) -> bytes | None:
    """Return (H, W) numbers as compressed bytes, None where they are too many."""
    if index.size > MAX_MASK_PIXELS:
        return None
    return zlib.compress(np.ascontiguousarray(index).data, _LEVEL)


def unpack_mask(kept: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the (H, W) class indices of a `packed_mask`.

    Raises:
        ValueError, IndexError, zlib.error: If it is damaged.
    """
    end = kept[0] + 2
    classes = np.frombuffer(kept[1:end], np.uint8)
    return classes[np.frombuffer(zlib.decompress(kept[end:]), np.uint8).reshape(size)]
