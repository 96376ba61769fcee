"""The pairs at the size that training works at, compact and memory-mapped.

Training reads bytes from here, not from image files: uint8 images and masks (and
float32 heights) in `.npy` files under the cache folder, built once for a data set and a
size.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Final, Self, TypeVar

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import Field

from terrainlib import files
from terrainlib.data.dataset import Dataset, read_labels
from terrainlib.data.formats.raster import BandSet, Raster, composite_of, to_rgb
from terrainlib.data.imagery import read_raster
from terrainlib.data.layout import Pair, Problem
from terrainlib.data.palette import NO_DATA
from terrainlib.data.parallel import ordered_map
from terrainlib.data.scan import MaskStore, kept_masks, reading_problem
from terrainlib.errors import DatasetError, ImageError, StoppedError
from terrainlib.types import PathText, Progress, Sentence, known_record


class ArrayFile:
    """A `.npy` file that grows by one row at a time; use it in a `with` block.

    Args:
        path: File to write; it is complete only after the block.
        row_shape: Shape of a row.
        dtype: Type of the values.
    """

    def __init__(
        self, path: Path, row_shape: tuple[int, ...], dtype: DTypeLike
    ) -> None:
        self.rows = 0
        self._row_shape = row_shape
        self._dtype = np.dtype(dtype)
        self._file = path.open("wb")
        self._write_header()

    def append(self, row: NDArray[Any]) -> None:
        """Add a row of the shape and type that the file was made for."""
        if row.shape != self._row_shape or row.dtype != self._dtype:
            raise ValueError(
                f"row must be {self._row_shape} {self._dtype}. "
                f"Received: {row.shape} {row.dtype}."
            )
        self._file.write(np.ascontiguousarray(row).data)
        self.rows += 1

    def _write_header(self) -> None:
        """Write the header; NumPy pads it so that more rows need no more bytes."""
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self.rows, *self._row_shape),
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._write_header()
        finally:
            self._file.close()


_Number = TypeVar("_Number", np.uint8, np.float32)


@dataclass(frozen=True, slots=True)
class SmallPair:
    """A pair at size S.

    Attributes:
        image: (S, S, B) uint8.
        mask: (S, S) uint8 class indices, 255 = no data.
        height: (S, S) float32 metres, NaN = no data; None without a file.
        scale: S per original px (root of the ratio of areas).
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    height: NDArray[np.float32] | None
    scale: float


def small_pair(
    picture: Raster,
    mask: NDArray[np.uint8],
    height: NDArray[np.float32] | None,
    size: int,
) -> SmallPair:
    """Return a pair at a square size.

    Args:
        picture: The image's pixels as stored, (H, W, B).
        mask: (H, W) uint8 class indices.
        height: (H, W) float32 metres, or None.
        size: S in px.
    """
    rows, columns = mask.shape
    small_mask = resize_nearest(mask, size)
    if not picture.valid.all():
        empty = resize_nearest(picture.valid.astype(np.uint8), size) == 0
        small_mask[empty] = NO_DATA
    return SmallPair(
        image=_small_image(picture, size),
        mask=small_mask,
        height=None if height is None else resize_height(height, size),
        scale=float(np.sqrt(size * size / (rows * columns))),
    )


def _small_image(picture: Raster, size: int) -> NDArray[np.uint8]:
    """Return (S, S, B) uint8; plain 8-bit colours need no detour over floats."""
    pixels = picture.pixels
    plain = picture.palette is None and picture.maximum == 255 and picture.valid.all()
    if plain and pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return resize_area(pixels, size)
    values, _ = to_rgb(picture)
    scaled = np.rint(resize_area(values, size) * np.float32(255))
    return np.asarray(scaled, np.uint8).reshape(size, size, -1)


def resize_area(image: NDArray[_Number], size: int) -> NDArray[_Number]:
    """Return (S, S[, 3]) averages of areas; where there are fewer px, between them."""
    if image.shape[:2] == (size, size):
        return image
    enlarging = min(image.shape[:2]) < size
    method = cv2.INTER_LINEAR if enlarging else cv2.INTER_AREA
    resized = cv2.resize(image, (size, size), interpolation=method)
    return np.asarray(resized, image.dtype)


def resize_nearest(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return a copy of (S, S) in which every value is one of the mask's own pixels.

    The pixel whose area holds the centre of the new one is taken.
    """
    rows, columns = (
        np.minimum(((np.arange(size) + 0.5) * length / size).astype(int), length - 1)
        for length in mask.shape
    )
    picked: NDArray[np.uint8] = mask[rows[:, None], columns[None, :]]
    return picked


def resize_height(height: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return (S, S) metres averaged over the pixels that have data, else NaN."""
    valid = np.isfinite(height)
    if valid.all():
        return resize_area(height, size)
    weight = resize_area(valid.astype(np.float32), size)
    total = resize_area(np.where(valid, height, 0.0).astype(np.float32), size)
    result = np.full((size, size), np.nan, np.float32)
    np.divide(total, weight, out=result, where=weight > 1e-3)
    return result


ABOUT_FILE: Final = "about.json"
IMAGES_FILE: Final = "images.npy"
MASKS_FILE: Final = "masks.npy"
HEIGHTS_FILE: Final = "heights.npy"


def write_cache(
    folder: Path,
    dataset: Dataset,
    image_size: int,
    progress: Progress | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    """Write the pairs of a data set at a square size into a new folder.

    Raises:
        DatasetError: If no pair can be read.
        StoppedError: If `should_stop` said so.
        StorageError: If the files cannot be written.
    """
    bytes_a_pixel = dataset.bands.count + (5 if dataset.has_heights else 1)
    bytes_a_pair = image_size * image_size * bytes_a_pixel
    files.require_free_space(folder, len(dataset.pairs) * bytes_a_pair)
    skipped: list[Problem] = []
    ids: list[str] = []
    scales: list[float] = []

    with (
        files.atomic_folder(folder) as temporary,
        kept_masks(dataset.folder, dataset.fingerprint) as kept,
    ):

        def load(pair: Pair) -> SmallPair | Problem:
            return _load(dataset, pair, kept, image_size)

        shape = (image_size, image_size, dataset.bands.count)
        with _ArrayFiles(temporary, shape, dataset.has_heights) as arrays:
            results = ordered_map(
                load, dataset.pairs, progress=progress, should_stop=should_stop
            )
            for result, pair in zip(results, dataset.pairs, strict=False):
                if isinstance(result, Problem):
                    skipped.append(result)
                    continue
                arrays.append(result)
                ids.append(pair.id)
                scales.append(result.scale)
        _require_complete(dataset, len(ids), skipped)
        about = {
            "image_size": image_size,
            "ids": ids,
            "heights": dataset.has_heights,
            "scale": float(np.median(scales)),
            "skipped": [[problem.file, problem.problem] for problem in skipped],
            "bands": None if (used := dataset.band_set) is None else used.to_dict(),
        }
        files.write_json(temporary / ABOUT_FILE, about)


class _ArrayFiles:
    """The array files of a cache, open together in a `with` block."""

    def __init__(
        self, folder: Path, shape: tuple[int, int, int], heights: bool
    ) -> None:
        self._stack = ExitStack()
        size = shape[0]
        self._images = self._open(folder / IMAGES_FILE, shape, "uint8")
        self._masks = self._open(folder / MASKS_FILE, (size, size), "uint8")
        self._heights = (
            self._open(folder / HEIGHTS_FILE, (size, size), "float32")
            if heights
            else None
        )

    def append(self, pair: SmallPair) -> None:
        """Add one pair to every file."""
        self._images.append(pair.image)
        self._masks.append(pair.mask)
        if self._heights is not None and pair.height is not None:
            self._heights.append(pair.height)

    def _open(self, path: Path, row_shape: tuple[int, ...], dtype: str) -> ArrayFile:
        return self._stack.enter_context(ArrayFile(path, row_shape, dtype))

    def __enter__(self) -> "_ArrayFiles":
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()


def _load(
    dataset: Dataset, pair: Pair, kept: MaskStore, size: int
) -> SmallPair | Problem:
    """Return a pair at its size, or why it could not be read."""
    try:
        picture = read_raster(pair.image, bands=dataset.band_set)
        rows, columns = picture.valid.shape
        mask, height = read_labels(
            dataset,
            pair,
            (rows, columns),
            kept_mask=kept.read(pair.id, pair.size),
        )
        return small_pair(picture, mask, height, size)
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


_VERSION: Final = 1  # of the content; a change of it makes old caches void


@dataclass(frozen=True, slots=True)
class PairCache:
    """Pairs at one square size S.

    Attributes:
        images: (N, S, S, B) uint8, RGB where `bands` is None.
        masks: (N, S, S) uint8 class indices, 255 = no data.
        heights: (N, S, S) float32 metres, NaN = no data; None where any pair has none.
        ids: Ids of the N pairs.
        scale: Cached px per original px, the median over the pairs.
        skipped: Pairs that could no longer be read, and why.
        bands: What the images were read with.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    heights: NDArray[np.float32] | None
    ids: tuple[str, ...]
    scale: float
    skipped: tuple[Problem, ...] = ()
    bands: BandSet | None = None

    @property
    def pictures(self) -> NDArray[np.uint8]:
        """(N, S, S, 3) uint8, what people see of the images."""
        shown = composite_of(self.images.shape[-1])
        shown = shown if self.bands is None else self.bands.shown
        plain = self.images.shape[-1] == 3 and shown == (0, 1, 2)
        return self.images if plain else self.images[..., shown]

    def subset(self, ids: Iterable[str]) -> Self:
        """Return the pairs of the given ids, in the order of the cache.

        Ids that are not in the cache are left out. Neighbouring pairs stay mapped;
        others are copied into memory, one byte a channel.
        """
        wanted = set(ids)
        rows = [row for row, name in enumerate(self.ids) if name in wanted]
        chosen: Any = rows
        if rows and rows[-1] - rows[0] == len(rows) - 1:
            chosen = slice(rows[0], rows[-1] + 1)
        return type(self)(
            images=self.images[chosen],
            masks=self.masks[chosen],
            heights=None if self.heights is None else self.heights[chosen],
            ids=tuple(self.ids[row] for row in rows),
            scale=self.scale,
            skipped=self.skipped,
            bands=self.bands,
        )


@dataclass(frozen=True, slots=True)
class _About:
    """What a cache's folder says of its arrays.

    Attributes:
        image_size: Height and width S in px.
        ids: Ids of the pairs.
        heights: Whether there are heights.
        scale: Cached px per original px.
        skipped: File and sentence of each pair that could not be read.
        bands: What the images were read with; None for RGB.
    """

    image_size: Annotated[int, Field(ge=1, le=2**16)]
    ids: tuple[PathText, ...]
    heights: bool
    scale: Annotated[float, Field(gt=0, le=1e6)]
    skipped: tuple[tuple[PathText, Sentence], ...]
    bands: BandSet | None = None


def build_cache(
    dataset: Dataset,
    image_size: int,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PairCache:
    """Return the pairs of a data set at a square size, built once.

    Images and heights are averaged over areas, masks take the nearest pixel; pixels of
    an image without data have no class in its mask either.

    Args:
        dataset: The data set, or a part of one.
        image_size: Height and width S in px.
        progress: Called with the pairs done and their number.
        should_stop: Asked between pairs; nothing is kept of a build that was stopped.

    Raises:
        DatasetError: If no pair can be read.
        StoppedError: If `should_stop` said so.
        StorageError: If the cache cannot be written.
    """
    folder = files.cache_dir() / "pairs" / _key(dataset, image_size)
    ready = _open(folder)
    if ready is None:
        shutil.rmtree(folder, ignore_errors=True)
        write_cache(folder, dataset, image_size, progress, should_stop)
        ready = _open(folder)
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
    if about is None:
        return None
    size, ids, used = about.image_size, about.ids, about.bands
    shape = (len(ids), size, size, 3 if used is None else len(used.bands))
    try:
        cache = PairCache(
            images=_mapped(folder / IMAGES_FILE, shape, "uint8"),
            masks=_mapped(folder / MASKS_FILE, (len(ids), size, size), "uint8"),
            heights=(
                _mapped(folder / HEIGHTS_FILE, (len(ids), size, size), "float32")
                if about.heights
                else None
            ),
            ids=ids,
            scale=about.scale,
            skipped=tuple(Problem(*problem) for problem in about.skipped),
            bands=used,
        )
    except (OSError, ValueError):
        return None
    return cache if ids else None


def _mapped(path: Path, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Return a memory-mapped array.

    Raises:
        ValueError: If the file is cut off or of another shape or type.
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise ValueError
    return np.asarray(array)


def _key(dataset: Dataset, image_size: int) -> str:
    """Return the name of a cache: all that its content depends on."""
    facts = [
        str(_VERSION),
        str(image_size),
        str(dataset.folder),
        dataset.fingerprint,
        *(f"{entry.name}{entry.color}" for entry in dataset.classes),
        *dataset.ids,
        *(() if (used := dataset.band_set) is None else (str(used.to_dict()),)),
    ]
    text = "\n".join(facts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:32]
