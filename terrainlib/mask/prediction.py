"""From an image to its mask: `predict_image`, and what it gives back.

TensorFlow is loaded by the first prediction, not by the import of this module.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from terrainlib.data.imagery import Image
from terrainlib.errors import ConfigError, InputError, StoppedError
from terrainlib.mask.tiles.feeding import Prepared, prepare
from terrainlib.mask.tiles.result import Prediction, finish, planes_of, snap_to_classes
from terrainlib.mask.tiles.tilepass import TilePass, Watch
from terrainlib.model.forward import run_network
from terrainlib.model.tiling import TILE_SIZE_PX, Grid, Span, exact_grid
from terrainlib.types import FloatArray, Progress, ShouldStop

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

__all__ = [
    "MAX_WHOLE_MEGAPIXELS",
    "Prediction",
    "Tiling",
    "as_image",
    "predict_image",
    "predict_images",
    "snap_to_classes",
]

Tiling = Literal["exact", "whole"]
MAX_WHOLE_MEGAPIXELS: Final = 8
_BATCH_PX: Final = 512**2


def predict_image(  # noqa: PLR0913 - a fixed name; the options are keywords
    model: "TerrainModel",
    image: Image | FloatArray,
    *,
    height: FloatArray | None = None,
    tiling: Tiling = "exact",
    scale: float | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    tile_size: int = TILE_SIZE_PX,
) -> Prediction:
    """Predict the mask of an image.

    The network works at the model's resolution; its probabilities are enlarged to the
    image's size before the most probable class is taken. `exact` cuts a large image
    into tiles and gives what `whole` gives, within 1e-4, in bounded memory.

    Args:
        model: The model.
        image: An `Image`, or (H, W, B) float32 in [0, 1], B being 3 for RGB.
        height: (H, W) float32 in metres, NaN where there is none; needed by models
            that use heights, ignored by others.
        tiling: `exact`, or `whole` for one pass over the whole image.
        scale: Working px per image px, instead of the model's own.
        progress: Called with the numbers of tiles done and in all.
        should_stop: Asked before each batch of tiles; large tiles go one by one.
        tile_size: Largest size of the tiles in px at the working resolution.

    Raises:
        ConfigError: If an option is out of its bounds.
        InputError: If the image or its heights do not fit.
        StoppedError: If `should_stop` said so.
    """
    _check_tiling(tiling)
    image = as_image(image)
    prepared = prepare(model, image, height=height, scale=scale)
    if tiling == "whole":
        _check_whole(prepared.pixels, image.name)
    grid = _grid(model, prepared.pixels, tiling, tile_size)
    planes = _run_tiled(model, prepared.pixels, grid, Watch(progress, should_stop))
    return finish(model, planes, prepared)


def predict_images(
    model: "TerrainModel",
    images: Sequence[Image],
    heights: Sequence[FloatArray | None] | None = None,
) -> list[Prediction]:
    """Predict several images; small ones of one size go through together.

    Args:
        model: The model.
        images: The images, as many as fit into memory.
        heights: The heights of each, as for `predict_image`.

    Returns:
        One prediction an image, in their order.

    Raises:
        InputError: If an image or its heights do not fit.
    """
    given = heights or [None] * len(images)
    ready = [
        prepare(model, image, height=height)
        for image, height in zip(images, given, strict=True)
    ]
    planes: dict[int, FloatArray] = {}
    for group in _groups(ready):
        if len(group) == 1:
            pixels = ready[group[0]].pixels
            grid = _grid(model, pixels, "exact", TILE_SIZE_PX)
            planes[group[0]] = _run_tiled(model, pixels, grid, Watch())
            continue
        batch = np.stack([ready[number].pixels for number in group])
        results = run_network(model.network, batch)
        for number, output in zip(group, results, strict=True):
            planes[number] = planes_of(model, output)
    return [finish(model, planes[n], prepared) for n, prepared in enumerate(ready)]


def as_image(image: Image | FloatArray) -> Image:
    """Return an array as an `Image`; an `Image` as it is."""
    return image if isinstance(image, Image) else Image.from_array(image)


class _Held:
    """Padded pixels in memory, all of which are needed."""

    def __init__(self, pixels: FloatArray) -> None:
        self._pixels = pixels

    def advance(self, rows: Span) -> None:
        """Nothing to do: all rows are here."""

    def pixels(self, rows: slice, columns: slice) -> FloatArray:
        """Return a part of the pixels."""
        return self._pixels[rows, columns]

    def empty(self, _rows: slice, _columns: slice) -> bool:
        """Return False: the probabilities are wanted everywhere."""
        return False


def _run_tiled(
    model: "TerrainModel", pixels: FloatArray, grid: Grid, watch: Watch
) -> FloatArray:
    """Return the planes of the network's output for padded pixels (H, W, C)."""
    planes: FloatArray | None = None
    for block in TilePass(model, grid, _Held(pixels), watch).blocks():
        part = block.core()
        if part is not None:
            if planes is None:
                planes = np.empty((*grid.size, part.shape[-1]), np.float32)
            planes[block.rows, block.columns] = part
    if watch.stopped or planes is None:
        raise StoppedError(
            f"stopped after {watch.done} of {watch.total} tiles, as asked."
        )
    return planes


def _grid(
    model: "TerrainModel", pixels: FloatArray, tiling: Tiling, tile_size: int
) -> Grid:
    size = (pixels.shape[0], pixels.shape[1])
    return exact_grid(
        size,
        receptive_field=model.record.receptive_field,
        multiple=model.config.size_multiple,
        tile_size=max(size) if tiling == "whole" else tile_size,
    )


def _groups(ready: Sequence[Prepared]) -> list[list[int]]:
    """Group the images of equal size into batches of at most `_BATCH_PX` pixels."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for number, prepared in enumerate(ready):
        by_size.setdefault(prepared.pixels.shape, []).append(number)
    groups = []
    for shape, numbers in by_size.items():
        count = max(1, _BATCH_PX // (shape[0] * shape[1]))
        groups += [numbers[i : i + count] for i in range(0, len(numbers), count)]
    return groups


def _check_tiling(tiling: str) -> None:
    if tiling not in get_args(Tiling):
        raise ConfigError(
            f"the tiling must be exact or whole, not {tiling!r}. Choose one of them."
        )


def _check_whole(pixels: FloatArray, name: str) -> None:
    megapixels = pixels.shape[0] * pixels.shape[1] / 1e6
    if megapixels > MAX_WHOLE_MEGAPIXELS:
        raise InputError(
            f"{megapixels:.1f} megapixels are too many for one pass; the limit is "
            f"{MAX_WHOLE_MEGAPIXELS}. Use the tiling 'exact': it gives the same mask.",
            file=name,
        )
