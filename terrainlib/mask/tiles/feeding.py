"""From an image to what a model's network is fed, rows at a time.

Owns the model's working resolution: images are shrunk or enlarged to it. Whole images
and large scenes come through here alike, so that a network sees the same of both. No
TensorFlow.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.heights import Heights, heights_of
from terrainlib.data.imagery import Image
from terrainlib.data.scene import Scene, scene_of
from terrainlib.errors import ImageError, InputError, require_number
from terrainlib.mask.tiles.resampling import Resizer
from terrainlib.model.forward import (
    RELIEF_WINDOW_PX,
    network_input,
    require_bands,
    require_heights,
)
from terrainlib.model.pixelclassifier import Classifier, classifier_input
from terrainlib.model.tiling import round_up
from terrainlib.types import BoolArray, FloatArray, Size

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel


MIN_SCALE: Final = 0.001
MAX_SCALE: Final = 16.0
PIXELS_AT_ONCE: Final = 2 * 2**20  # of an image, or at the working resolution


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes of an image on its way to the network and back.

    Attributes:
        size: (H, W) of the image, px.
        working: (h, w) at the working resolution.
        padded: (H', W') as fed to the network: multiples of its size multiple.
        whole: Whether the image goes to a fixed size, shrunk bilinearly where it must.
    """

    size: Size
    working: Size
    padded: Size
    whole: bool = False

    @property
    def down(self) -> Resizer:
        """What brings the image to the working resolution."""
        return Resizer.between(self.size, self.working, linear=self.whole)

    @property
    def up(self) -> Resizer:
        """What brings the network's output to the image's size."""
        return Resizer.between(self.working, self.size)

    def image_part(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Return the part of the image that belongs to a part of the padded input.

        Parts that follow each other without a gap give parts of the image that do.
        """
        height, width = self.working
        down, across = self.up.rows, self.up.columns
        return (
            slice(
                down.edge(min(rows.start, height)), down.edge(min(rows.stop, height))
            ),
            slice(
                across.edge(min(columns.start, width)),
                across.edge(min(columns.stop, width)),
            ),
        )


def geometry_of(model: "TerrainModel", size: Size, scale: float | None) -> Geometry:
    """Return the sizes at which a model works on an image.

    Args:
        model: The model. Without a scale, as those of the original notebook, it gets
            the whole image bilinearly at the size it was trained with.
        size: (H, W) of the image, px.
        scale: Working px per image px instead of the model's own.

    Raises:
        ConfigError: If `scale` is out of bounds.
    """
    if scale is not None:
        check_scale(scale)
    factor = model.scale if scale is None else float(scale)
    if factor is None:
        working = (model.config.image_size, model.config.image_size)
    else:
        height, width = (max(1, math.floor(side * factor + 0.5)) for side in size)
        working = (height, width)
    multiple = model.config.size_multiple
    padded = (round_up(working[0], multiple), round_up(working[1], multiple))
    return Geometry(size, working, padded, whole=factor is None)


class Feed:
    """The rows that a network is fed for an image.

    Shrinking averages areas, enlarging is bilinear. Scene without data weigh nothing
    in averages and are black where nothing else is there. The right edge is padded by
    reflection.

    Args:
        model: The model to prepare for.
        scene: The image.
        heights: Its heights, needed by models that use them, ignored by others.
        scale: Working px per image px instead of the model's own.

    Raises:
        ConfigError: If `scale` is out of bounds.
        InputError: If the image has other bands than the model, or heights are missing
            or of another size.
    """

    def __init__(
        self,
        model: "TerrainModel",
        scene: Scene,
        heights: Heights | None,
        scale: float | None,
    ) -> None:
        size = (scene.height, scene.width)
        self.geometry = geometry_of(model, size, scale)
        self.channels = model.config.input_channels
        require_bands(model.config, scene.bands, file=scene.name)
        self._model = model
        self._scene = scene
        self._heights = heights if model.config.height else None
        if model.config.height:
            check_heights(model, scene, heights)

    @property
    def rows_at_once(self) -> int:
        """How many working rows are read together without taking much memory."""
        (height, width), (rows, columns) = self.geometry.size, self.geometry.working
        per_row = max(width * -(-height // rows), columns)
        return max(1, min(rows, PIXELS_AT_ONCE // per_row))

    def image_rows(self, start: int, stop: int) -> slice:
        """Return the rows of the image that belong to rows of the working image."""
        everywhere = slice(0, self.geometry.working[1])
        return self.geometry.image_part(slice(start, stop), everywhere)[0]

    def read(self, start: int, stop: int) -> tuple[FloatArray, BoolArray]:
        """Return rows at the working resolution, and where the image has data.

        Args:
            start: First working row.
            stop: One more than the last; at most the working height.

        Returns:
            (stop - start, W', C) float32 network input, padded on the right; (n, W)
            bool for the image's own rows `image_rows(start, stop)`.
        """
        look = RELIEF_WINDOW_PX // 2 if self._heights is not None else 0
        low = max(0, start - look)
        high = min(self.geometry.working[0], stop + look)
        rows = self.geometry.down.rows.window(low, high)
        own = self.image_rows(start, stop)
        first, last = min(rows.start, own.start), max(rows.stop, own.stop)
        window = (slice(first, last), slice(0, self.geometry.size[1]))
        pixels, known = self._scene.read(window)
        part = slice(low, high)
        bands = self._resample(pixels, known, first, part)
        metres = None
        if self._heights is not None:
            metres = self._resample_heights(self._heights.read(window), first, part)
        pixels = self._network_input(bands, metres)[start - low : stop - low]
        return self._padded(pixels), known[own.start - first : own.stop - first]

    def _network_input(
        self, bands: FloatArray, metres: FloatArray | None
    ) -> FloatArray:
        config = self._model.config
        if isinstance(self._model.network, Classifier):
            return classifier_input(bands, metres, use_height=config.height)
        return network_input(bands, metres, config)

    def _resample(
        self, values: FloatArray, known: BoolArray, first: int, rows: slice
    ) -> FloatArray:
        """Resize rows with pixels not known left out of every average; 0 for none."""
        if known.all():
            return self._resize(values, first, rows)
        inside = known if values.ndim == 2 else known[..., None]
        total = self._resize(np.where(inside, values, np.float32(0)), first, rows)
        weights = self._resize(known.astype(np.float32), first, rows)
        weights[weights <= 0] = 1
        total /= weights if total.ndim == 2 else weights[..., None]
        return total

    def _resample_heights(
        self, heights: FloatArray, first: int, rows: slice
    ) -> FloatArray:
        """Resize rows of heights; NaN where nothing is known."""
        known = np.isfinite(heights)
        low = self._resample(heights, known, first, rows)
        if not known.all():
            low[self._resize(known.astype(np.float32), first, rows) <= 0] = np.nan
        return low

    def _resize(self, values: FloatArray, first: int, rows: slice) -> FloatArray:
        columns = slice(0, self.geometry.working[1])
        return self.geometry.down.part(values, (first, 0), rows, columns)

    def _padded(self, pixels: FloatArray) -> FloatArray:
        missing = self.geometry.padded[1] - self.geometry.working[1]
        if not missing:
            return pixels
        return np.pad(pixels, ((0, 0), (0, missing), (0, 0)), mode="reflect")


def check_scale(scale: Any) -> None:
    """Refuse working pixels per image pixel out of their bounds.

    Raises:
        ConfigError: If they are none from 0.001 to 16.
    """
    require_number("scale", scale, MIN_SCALE, MAX_SCALE)


def check_heights(model: "TerrainModel", scene: Scene, heights: Heights | None) -> None:
    """Refuse heights that a model needs and are missing, or of another size.

    Raises:
        InputError: Naming the image.
    """
    require_heights(model.config, heights, file=scene.name)
    if heights is None:
        return
    if (heights.height, heights.width) != (scene.height, scene.width):
        raise ImageError(
            f"the heights are {heights.height} x {heights.width} and the image is "
            f"{scene.height} x {scene.width} (rows x columns); both must have the "
            "same size. Give the heights that belong to this image.",
            file=scene.name,
        )


MAX_WORKING_MEGAPIXELS: Final = 100


def mirrored_rows(length: int, padded: int) -> NDArray[np.int64]:
    """Return which rows the padded rows below an image repeat: its last ones, mirrored.

    Returns:
        (padded - length,) row numbers.
    """
    return np.pad(np.arange(length), (0, padded - length), mode="reflect")[length:]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image ready for a network.

    Attributes:
        pixels: (H', W', C) float32 network input, H' and W' multiples of the network's
            size multiple.
        geometry: The sizes on the way.
        valid: (H, W) bool at the image's own size.
    """

    pixels: FloatArray
    geometry: Geometry
    valid: BoolArray


def prepare(
    model: "TerrainModel",
    image: Image,
    *,
    height: Any = None,
    scale: float | None = None,
) -> Prepared:
    """Bring a whole image to a model's working resolution and pad it.

    Args:
        model: The model to prepare for.
        image: The image.
        height: (H, W) float32 in metres, NaN where there is none; ignored by models
            that use no heights.
        scale: Working px per image px instead of the model's own.

    Raises:
        ConfigError: If `scale` is out of bounds.
        InputError: If heights are missing or of another size, or the image is too
            large at this scale.
    """
    heights = None
    if height is not None and model.config.height:
        heights = heights_of(_two_axes(height, image))
    feed = Feed(model, scene_of(image), heights, scale)
    geometry = feed.geometry
    _check_megapixels(geometry, image.name)
    rows, step = geometry.working[0], feed.rows_at_once
    pixels = np.empty((*geometry.padded, feed.channels), np.float32)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        pixels[start:stop] = feed.read(start, stop)[0]
    pixels[rows:] = pixels[mirrored_rows(rows, geometry.padded[0])]
    return Prepared(pixels, geometry, image.valid)


def _two_axes(height: Any, image: Image) -> FloatArray:
    metres = np.asarray(height, np.float32)
    if metres.ndim != 2:
        raise ImageError(
            f"the heights have {metres.ndim} axes; they must be (rows, columns). Give "
            "one band of metres.",
            file=image.name,
        )
    return metres


def _check_megapixels(geometry: Geometry, name: str) -> None:
    megapixels = geometry.working[0] * geometry.working[1] / 1e6
    if megapixels > MAX_WORKING_MEGAPIXELS:
        scale = geometry.working[1] / geometry.size[1]
        raise InputError(
            f"at the scale {scale:.3g} the image has {megapixels:.0f} megapixels; the "
            f"limit is {MAX_WORKING_MEGAPIXELS}. Use a smaller scale or crop it.",
            file=name,
        )
