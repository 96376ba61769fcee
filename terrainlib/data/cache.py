"""The pairs at the scale that training works at, compact and memory-mapped.

One number scales both sides of all images of a data set, so that nothing is squeezed
and every pair keeps a shape of its own. Training reads bytes from here, not from image
files: uint8 images and masks (and float32 heights), one pair after the other, in files
under the cache folder, built once for a data set and a size.
"""

import hashlib
import math
import os
import shutil
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import IO, Annotated, Any, Final, Self, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from terrainlib import files
from terrainlib.data.check import reading_problem
from terrainlib.data.dataset import Dataset, read_labels
from terrainlib.data.formats.raster import BandSet, Raster, composite_of, to_unit
from terrainlib.data.imagery import read_raster
from terrainlib.data.layout import Pair, Problem
from terrainlib.data.palette import NO_DATA
from terrainlib.data.parallel import ordered_map
from terrainlib.data.scan import MaskStore, kept_masks
from terrainlib.errors import DatasetError, ImageError, StoppedError
from terrainlib.types import (
    FloatArray,
    PathText,
    Progress,
    Sentence,
    Size,
    known_record,
)


def typical_side(dataset: Dataset) -> float:
    """Return the side in px of a square as large as the median image.

    Of two in the middle it is the smaller one, so that less is lost; 0 for no pair.
    """
    areas = [math.prod(pair.size) for pair in dataset.pairs]
    return math.sqrt(statistics.median_low(areas)) if areas else 0.0


@dataclass(frozen=True, slots=True)
class Working:
    """How images come to the size that a training works at.

    Attributes:
        image_size: Side S in px of the median image, as a square, at the working scale.
        scale: Working px per original px of both sides of every image; None where each
            image is resized whole to S x S px, which squeezes those that are no
            squares.
    """

    image_size: int
    scale: float | None

    @classmethod
    def of(cls, dataset: Dataset, image_size: int, *, whole: bool = False) -> Self:
        """Return what brings the median image of a data set to a size.

        Args:
            dataset: The data set; its median image is brought to the size.
            image_size: S in px.
            whole: Resize each image to S x S px instead.
        """
        side = typical_side(dataset) or image_size
        return cls(image_size, None if whole else image_size / side)

    def shape(self, size: Size) -> Size:
        """Return (h, w) at the working size of an image of (H, W) px."""
        if self.scale is None:
            return self.image_size, self.image_size
        height, width = (max(1, math.floor(px * self.scale + 0.5)) for px in size)
        return height, width


_Number = TypeVar("_Number", np.uint8, np.float32)


@dataclass(frozen=True, slots=True)
class SmallPair:
    """A pair at the working size (h, w).

    Attributes:
        image: (h, w, B) uint8.
        mask: (h, w) uint8 class indices, 255 = no data.
        height: (h, w) float32 metres, NaN = no data; None without a file.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    height: NDArray[np.float32] | None


def small_pair(
    picture: Raster,
    mask: NDArray[np.uint8],
    height: NDArray[np.float32] | None,
    working: Working,
) -> SmallPair:
    """Return a pair at the working size.

    Args:
        picture: The image's pixels as stored, (H, W, B).
        mask: (H, W) uint8 class indices.
        height: (H, W) float32 metres, or None.
        working: The working size.
    """
    rows, columns = mask.shape
    shape = working.shape((rows, columns))
    small_mask = resize_nearest(mask, shape)
    if not picture.valid.all():
        empty = resize_nearest(picture.valid.astype(np.uint8), shape) == 0
        small_mask[empty] = NO_DATA
    linear = working.scale is None
    return SmallPair(
        image=_small_image(picture, shape, linear=linear),
        mask=small_mask,
        height=None if height is None else resize_height(height, shape, linear=linear),
    )


def _small_image(picture: Raster, shape: Size, *, linear: bool) -> NDArray[np.uint8]:
    """Return (h, w, B) uint8; plain 8-bit colours need no detour over floats."""
    pixels = picture.pixels
    plain = picture.palette is None and picture.maximum == 255 and picture.valid.all()
    if plain and pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return resize_area(pixels, shape, linear=linear)
    values, _ = to_unit(picture)
    means, _ = _resize_known(values, picture.valid, shape, linear=linear)
    return np.asarray(np.rint(means * np.float32(255)), np.uint8)


def resize_area(
    image: NDArray[_Number], shape: Size, *, linear: bool = False
) -> NDArray[_Number]:
    """Return (h, w[, B]) averages of areas; where there are fewer px, between them.

    Args:
        image: (H, W[, B]).
        shape: (h, w) in px.
        linear: Mix the nearest pixels even where the image shrinks.
    """
    if image.shape[:2] == shape:
        return image
    linear = linear or shape[0] > image.shape[0] or shape[1] > image.shape[1]
    method = cv2.INTER_LINEAR if linear else cv2.INTER_AREA
    resized = cv2.resize(image, shape[::-1], interpolation=method)
    return np.asarray(resized, image.dtype)


def resize_nearest(mask: NDArray[np.uint8], shape: Size) -> NDArray[np.uint8]:
    """Return a copy of (h, w) in which every value is one of the mask's own pixels.

    The pixel whose area holds the centre of the new one is taken.
    """
    rows, columns = (
        np.minimum(((np.arange(size) + 0.5) * length / size).astype(int), length - 1)
        for length, size in zip(mask.shape, shape, strict=True)
    )
    picked: NDArray[np.uint8] = mask[rows[:, None], columns[None, :]]
    return picked


def resize_height(
    height: NDArray[np.float32], shape: Size, *, linear: bool = False
) -> NDArray[np.float32]:
    """Return (h, w) metres averaged over the pixels that have data, else NaN."""
    valid = np.isfinite(height)
    if valid.all():
        return resize_area(height, shape, linear=linear)
    means, share = _resize_known(height, valid, shape, linear=linear)
    means[share <= _LEAST_SHARE] = np.nan
    return means


_LEAST_SHARE: Final = 1e-3


def _resize_known(
    values: FloatArray, known: NDArray[np.bool_], shape: Size, *, linear: bool
) -> tuple[FloatArray, FloatArray]:
    """Return averages over the pixels that are known, 0 for none, and their share."""
    if known.all():
        means = resize_area(values, shape, linear=linear)
        return means.reshape(*shape, *values.shape[2:]), np.ones(shape, np.float32)
    inside = known if values.ndim == 2 else known[..., None]
    filled = np.where(inside, values, np.float32(0))
    total = resize_area(filled, shape, linear=linear)
    share = resize_area(known.astype(np.float32), shape, linear=linear)
    means = total.reshape(*shape, *values.shape[2:])
    weights = np.maximum(share, np.finfo(np.float32).tiny)
    means /= weights.reshape(*shape, *[1] * (means.ndim - 2))
    return means, share


ABOUT_FILE: Final = "about.json"
IMAGES_FILE: Final = "images.raw"
MASKS_FILE: Final = "masks.raw"
HEIGHTS_FILE: Final = "heights.raw"


def write_cache(
    folder: Path,
    dataset: Dataset,
    working: Working,
    progress: Progress | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    """Write the pairs of a data set at the working size into a new folder.

    Raises:
        DatasetError: If no pair can be read.
        StoppedError: If `should_stop` said so.
        StorageError: If the files cannot be written.
    """
    pixels = sum(math.prod(working.shape(pair.size)) for pair in dataset.pairs)
    bands = dataset.band_set
    count = dataset.bands.count + (5 if dataset.has_heights else 1)
    files.require_free_space(folder, pixels * count)
    skipped: list[Problem] = []
    ids: list[str] = []
    shapes: list[tuple[int, ...]] = []  # of the images: (h, w, B)

    with (
        files.atomic_folder(folder) as temporary,
        kept_masks(dataset.folder, dataset.fingerprint) as kept,
    ):

        def load(pair: Pair) -> SmallPair | Problem:
            return _load(dataset, pair, kept, working, bands)

        with _Writer(temporary, heights=dataset.has_heights) as writer:
            results = ordered_map(
                load, dataset.pairs, progress=progress, should_stop=should_stop
            )
            for result, pair in zip(results, dataset.pairs, strict=False):
                if isinstance(result, Problem):
                    skipped.append(result)
                    continue
                writer.append(result)
                ids.append(pair.id)
                shapes.append(result.image.shape)
        _require_complete(dataset, len(ids), skipped)
        about = {
            "ids": ids,
            "shapes": shapes,
            "heights": dataset.has_heights,
            "scale": working.scale,
            "skipped": [[problem.file, problem.problem] for problem in skipped],
            "bands": None if bands is None else bands.to_dict(),
        }
        files.write_json(temporary / ABOUT_FILE, about)


class _Writer:
    """The array files of a cache, open together in a `with` block."""

    def __init__(self, folder: Path, *, heights: bool) -> None:
        with ExitStack() as stack:
            self._images, self._masks = (
                stack.enter_context((folder / name).open("wb"))
                for name in (IMAGES_FILE, MASKS_FILE)
            )
            self._heights: IO[bytes] | None = None
            if heights:
                path = folder / HEIGHTS_FILE
                self._heights = stack.enter_context(path.open("wb"))
            self._stack = stack.pop_all()

    def append(self, pair: SmallPair) -> None:
        """Add one pair to every file."""
        self._images.write(np.ascontiguousarray(pair.image).data)
        self._masks.write(np.ascontiguousarray(pair.mask).data)
        if self._heights is not None and pair.height is not None:
            self._heights.write(np.ascontiguousarray(pair.height).data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()


def _load(
    dataset: Dataset,
    pair: Pair,
    kept: MaskStore,
    working: Working,
    bands: BandSet | None,
) -> SmallPair | Problem:
    """Return a pair at the working size, or why it could not be read."""
    try:
        picture = read_raster(pair.image, bands=bands)
        rows, columns = picture.valid.shape
        mask, height = read_labels(
            dataset,
            pair,
            (rows, columns),
            kept_mask=kept.read(pair.id, pair.size),
        )
        return small_pair(picture, mask, height, working)
    except (ImageError, OSError) as error:
        name = getattr(error, "file", None) or pair.image.name
        return Problem(name, reading_problem(error))


def _require_complete(dataset: Dataset, done: int, skipped: list[Problem]) -> None:
    """Refuse a build that was stopped or in which nothing could be read."""
    if done + len(skipped) < len(dataset.pairs):
        raise StoppedError("the pairs were not all prepared: stopped, as asked.")
    if done == 0:
        first = [f" (first {problem.file}: {problem.problem})" for problem in skipped]
        raise DatasetError(
            f"no usable pair is left{''.join(first[:1])}. Check the files.",
            file=dataset.name,
        )


MAX_KEPT_MB: Final = 20_000  # of all caches; those used longest ago go out
_VERSION: Final = 4  # of the content; a change of it makes old caches void


@dataclass(frozen=True, slots=True)
class PairCache:
    """Pairs at the working size, each of a shape (h, w) of its own.

    Attributes:
        images: N times (h, w, B) uint8, RGB where `bands` is None.
        masks: N times (h, w) uint8 class indices, 255 = no data.
        heights: N times (h, w) float32 metres, NaN = no data; None where any pair has
            none.
        ids: Ids of the N pairs.
        scale: Working px per original px of every image; None where each was resized
            whole to one size.
        skipped: Pairs that could no longer be read, and why.
        bands: What the images were read with; None for RGB.
    """

    images: Sequence[NDArray[np.uint8]]
    masks: Sequence[NDArray[np.uint8]]
    heights: Sequence[NDArray[np.float32]] | None
    ids: tuple[str, ...]
    scale: float | None
    skipped: tuple[Problem, ...] = ()
    bands: BandSet | None = None

    @property
    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """N times (h, w, 3) uint8, what people see of the images."""
        for image in self.images:
            count = image.shape[2]
            shown = composite_of(count) if self.bands is None else self.bands.shown
            yield image[..., shown]

    @property
    def shapes(self) -> tuple[Size, ...]:
        """(h, w) of each pair in px."""
        return tuple((mask.shape[0], mask.shape[1]) for mask in self.masks)

    @property
    def side(self) -> int:
        """Side in px of a square as large as the median pair."""
        areas = [math.prod(shape) for shape in self.shapes]
        return round(math.sqrt(statistics.median_low(areas)))

    def middles(self, side: int) -> Self:
        """Return the pairs with only the middle of larger ones, `side` px squared."""
        return replace(
            self,
            images=tuple(_middle(image, side) for image in self.images),
            masks=tuple(_middle(mask, side) for mask in self.masks),
            heights=(
                None
                if self.heights is None
                else tuple(_middle(height, side) for height in self.heights)
            ),
        )

    def subset(self, ids: Iterable[str]) -> Self:
        """Return the pairs of the given ids, in the order of the cache.

        Ids that are not in the cache are left out. All pairs stay mapped.
        """
        wanted = set(ids)
        rows = [row for row, name in enumerate(self.ids) if name in wanted]
        heights = self.heights
        return replace(
            self,
            images=tuple(self.images[row] for row in rows),
            masks=tuple(self.masks[row] for row in rows),
            heights=None if heights is None else tuple(heights[row] for row in rows),
            ids=tuple(self.ids[row] for row in rows),
        )


def _middle(array: NDArray[_Number], side: int) -> NDArray[_Number]:
    top, left = (max(0, (length - side) // 2) for length in array.shape[:2])
    return array[top : top + side, left : left + side]


_Side = Annotated[int, Field(ge=1, le=2**20)]
_Channels = Annotated[int, Field(ge=1, le=2**10)]


@dataclass(frozen=True, slots=True)
class _About:
    """What a cache's folder says of its arrays.

    Attributes:
        ids: Ids of the pairs.
        shapes: (h, w, B) of their images.
        heights: Whether there are heights.
        scale: Working px per original px, if there is one number.
        skipped: File and sentence of each pair that could not be read.
        bands: What the images were read with; None for RGB.
    """

    ids: tuple[PathText, ...]
    shapes: tuple[tuple[_Side, _Side, _Channels], ...]
    heights: bool
    scale: Annotated[float, Field(gt=0, le=1e6)] | None
    skipped: tuple[tuple[PathText, Sentence], ...]
    bands: BandSet | None


def build_cache(
    dataset: Dataset,
    image_size: int,
    *,
    whole: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PairCache:
    """Return the pairs of a data set at the working size, built once.

    Images and heights are averaged over areas, masks take the nearest pixel; pixels of
    an image without data have no class in its mask either.

    Args:
        dataset: The data set, or a part of one.
        image_size: Side S in px that the median image has, as a square, at the working
            scale, which is that of all images.
        whole: Resize each image to S x S px instead, bilinearly, as the original
            notebook does.
        progress: Called with the pairs done and their number.
        should_stop: Asked between pairs; nothing is kept of a build that was stopped.

    Raises:
        DatasetError: If no pair can be read.
        StoppedError: If `should_stop` said so.
        StorageError: If the cache cannot be written.
    """
    working = Working.of(dataset, image_size, whole=whole)
    folder = files.cache_dir() / "pairs" / _key(dataset, working)
    ready = _open(folder)
    if ready is None:
        shutil.rmtree(folder, ignore_errors=True)
        files.keep_within(folder.parent, MAX_KEPT_MB, ())
        write_cache(folder, dataset, working, progress, should_stop)
        ready = _open(folder)
    with suppress(OSError):
        os.utime(folder)  # it is in use
    if ready is None:
        raise DatasetError(
            "the prepared pairs were removed while they were written. Try again.",
            file=dataset.name,
        )
    return ready


def _open(folder: Path) -> PairCache | None:
    """Return a cache that is complete and fits its description, else None."""
    limit = files.MAX_JSON_BYTES
    about = known_record(folder / ABOUT_FILE, _About, limit_bytes=limit)
    if about is None or not about.ids or len(about.ids) != len(about.shapes):
        return None
    sides = [shape[:2] for shape in about.shapes]
    try:
        return PairCache(
            images=_mapped(folder / IMAGES_FILE, about.shapes, "uint8"),
            masks=_mapped(folder / MASKS_FILE, sides, "uint8"),
            heights=(
                _mapped(folder / HEIGHTS_FILE, sides, "float32")
                if about.heights
                else None
            ),
            ids=about.ids,
            scale=about.scale,
            skipped=tuple(Problem(*problem) for problem in about.skipped),
            bands=about.bands,
        )
    except (OSError, ValueError):
        return None


def _mapped(
    path: Path, shapes: Sequence[tuple[int, ...]], dtype: str
) -> tuple[NDArray[Any], ...]:
    """Return the memory-mapped arrays that lie one after the other in a file.

    Raises:
        ValueError: If the file is cut off or of another size.
    """
    flat = np.asarray(np.memmap(path, dtype, mode="r"))
    ends = list(accumulate(math.prod(shape) for shape in shapes))
    if ends[-1] != flat.size:
        raise ValueError
    return tuple(
        flat[end - math.prod(shape) : end].reshape(shape)
        for end, shape in zip(ends, shapes, strict=True)
    )


def _key(dataset: Dataset, working: Working) -> str:
    """Return the name of a cache: all that its content depends on."""
    facts = [
        str(_VERSION),
        str(working),
        str(dataset.folder),
        dataset.fingerprint,
        *(f"{entry.name}{entry.color}" for entry in dataset.classes),
        str(dataset.meaning),
        *dataset.ids,
        *(() if (used := dataset.band_set) is None else (str(used.to_dict()),)),
    ]
    text = "\n".join(facts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]
