"""From an image to its mask: `predict_image`, and what it gives back.

TensorFlow is loaded by the first prediction, not by the import of this module.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.imagery import Image
from terrainlib.errors import ConfigError, InputError, StoppedError
from terrainlib.mask.inference import run_network
from terrainlib.mask.preparation import Prepared, prepare
from terrainlib.mask.result import Prediction, finish, snap_to_classes
from terrainlib.mask.tiling import TILE_SIZE_PX, exact_grid, tiles

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

__all__ = [
    "MAX_WHOLE_MEGAPIXELS",
    "TILINGS",
    "Prediction",
    "Tiling",
    "as_image",
    "predict_image",
    "predict_images",
    "snap_to_classes",
]

FloatArray = NDArray[np.float32]
Progress = Callable[[int, int], None]
ShouldStop = Callable[[], bool]
Tiling = Literal["exact", "whole", "blend"]
TILINGS: Final[tuple[Tiling, ...]] = get_args(Tiling)

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
        image: An `Image`, or (H, W, 3) float32 RGB in [0, 1].
        height: (H, W) float32 in metres, NaN where there is none; needed by models
            that use heights, ignored by others.
        tiling: `exact`, or `whole` for one pass over the whole image.
        scale: Working px per image px, instead of the model's own.
        progress: Called with the numbers of tiles done and in all.
        should_stop: Asked before each tile.
        tile_size: Size of the tiles in px at the working resolution.

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
        tile_size = max(prepared.pixels.shape)
    output = _run_tiled(
        model, prepared.pixels, tile_size, _Watch(progress, should_stop)
    )
    return finish(model, output, prepared)


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
    outputs: dict[int, FloatArray] = {}
    for group in _groups(ready):
        batch = np.stack([ready[number].pixels for number in group])
        if len(group) == 1:
            results = _run_tiled(model, batch[0], TILE_SIZE_PX, _Watch())[None]
        else:
            results = run_network(model.network, batch)
        outputs.update(zip(group, results, strict=True))
    return [finish(model, outputs[n], prepared) for n, prepared in enumerate(ready)]


def as_image(image: Image | FloatArray) -> Image:
    """Return an array as an `Image`; an `Image` as it is."""
    return image if isinstance(image, Image) else Image.from_array(image)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Who follows a prediction, if anybody does."""

    progress: Progress | None = None
    should_stop: ShouldStop | None = None

    def report(self, done: int, total: int) -> None:
        """Tell how far it is, and stop if that is wanted."""
        if self.progress is not None:
            self.progress(done, total)
        if done < total and self.should_stop is not None and self.should_stop():
            raise StoppedError(f"stopped after {done} of {total} tiles, as asked.")


def _run_tiled(
    model: "TerrainModel", pixels: FloatArray, tile_size: int, watch: _Watch
) -> FloatArray:
    """Return the network's output for padded pixels (H, W, C), tile by tile."""
    grid = exact_grid(
        (pixels.shape[0], pixels.shape[1]),
        receptive_field=model.record.receptive_field,
        multiple=model.config.size_multiple,
        tile_size=tile_size,
    )
    channels = model.config.output_channels
    output = np.empty((*grid.size, channels), np.float32)
    pieces = tiles(grid)
    watch.report(0, len(pieces))
    for done, piece in enumerate(pieces, start=1):
        result = run_network(model.network, pixels[piece.source][None])[0]
        output[piece.target] = result[piece.core]
        watch.report(done, len(pieces))
    return output


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
    if tiling not in TILINGS:
        raise ConfigError(
            f"the tiling must be exact or whole, not {tiling!r}. Choose one of them."
        )
    if tiling == "blend":
        raise ConfigError(
            "the tiling 'blend' is not available yet. Use exact, which shows no seams."
        )


def _check_whole(pixels: FloatArray, name: str) -> None:
    megapixels = pixels.shape[0] * pixels.shape[1] / 1e6
    if megapixels > MAX_WHOLE_MEGAPIXELS:
        raise InputError(
            f"{megapixels:.1f} megapixels are too many for one pass; the limit is "
            f"{MAX_WHOLE_MEGAPIXELS}. Use the tiling 'exact': it gives the same mask.",
            file=name,
        )
