"""What a prediction of a large image takes, told before it starts. No TensorFlow."""

import time
import weakref
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from terrainlib.errors import InputError
from terrainlib.mask.tiles.bands import Plane
from terrainlib.mask.tiles.feeding import PIXELS_AT_ONCE, Geometry, geometry_of
from terrainlib.mask.tiles.finishing import BAND_PX
from terrainlib.mask.tiles.inference import run_network
from terrainlib.mask.tiles.tilepass import batch_size
from terrainlib.mask.tiles.tiling import Grid, Size, blend_grid, exact_grid, round_up
from terrainlib.model.baseline import PixelClassifier
from terrainlib.model.footprint import activation_values

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

MAX_BUFFER_BYTES: Final = 4 * 2**30
_TILE_PX: Final = (
    800  # smaller than those of images in memory: half of it for 1/10 more
)
_BUFFER_BYTES: Final = 256 * 2**20  # for rows of tiles, before their height is lowered
_WAITING_BLOCKS: Final = 4  # in the queue, being given and being taken
_READ_BYTES_PER_PX: Final = 64  # of the rows just being read and resampled
_TIMED_PX: Final = 512
# Memory of a pass, in values that all convolutions give together: measured.
_VALUES_HELD: Final = 1.3
_CLASSIFIER_BYTES_PER_PX: Final = 600  # 21 features in float64, and sums over windows

# Working px a second that networks have reached on this machine, in this process.
_SPEEDS: "weakref.WeakKeyDictionary[Any, float]" = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a prediction will take.

    Attributes:
        bytes: Memory above that of the loaded model, about.
        seconds: Time, about; None while the network's speed is not known.
        tiles: How many tiles go through the network.
    """

    bytes: int
    seconds: float | None
    tiles: int


def estimate(
    model: "TerrainModel",
    size: Size,
    *,
    scale: float | None = None,
    blended: bool = False,
    wants: Collection[Plane] = (),
    measure: bool = False,
) -> Estimate:
    """Tell what the prediction of a large image will take, before it starts.

    Args:
        model: The model.
        size: (H, W) of the image, px.
        scale: Working px per image px instead of the model's own.
        blended: Whether tiles are blended.
        wants: What is wanted beside the classes.
        measure: Time a small tile where the network has not run here before; it then
            takes a second or some.

    Raises:
        ConfigError: If `scale` is out of bounds.
        InputError: If the image is too wide.
    """
    geometry = geometry_of(model, size, scale)
    grid = grid_of(model, geometry, blended=blended, wants=wants, name="image")
    speed = network_speed(model, measure=measure)
    pixels = len(grid) * grid.tile[0] * grid.tile[1]
    row = _row_bytes(model, geometry, wants, blended=blended)
    held = row * grid.tile[0] + _batch_bytes(model, grid, geometry)
    return Estimate(held, None if speed is None else pixels / speed, len(grid))


def grid_of(
    model: "TerrainModel",
    geometry: Geometry,
    *,
    blended: bool,
    wants: Collection[Plane],
    name: str,
    tile_size: int | None = None,
) -> Grid:
    """Return the tiles of a large image: as large as memory and speed allow.

    Where the image is wide, its tiles are less high and wider.

    Args:
        model: The model.
        geometry: The sizes of the image.
        blended: Whether tiles are blended.
        wants: What is wanted beside the classes.
        name: Name of the image, for messages.
        tile_size: Largest size of a tile in working px, instead of that.

    Raises:
        InputError: If even the lowest rows of tiles would not fit into memory.
    """
    row = _row_bytes(model, geometry, wants, blended=blended)
    field = model.record.receptive_field + ring_of(geometry)
    multiple = model.config.size_multiple
    sides: Size | int
    if tile_size is None:
        least = 4 * round_up(field, multiple)
        height = max(least, min(_TILE_PX, _BUFFER_BYTES // row))
        sides = (height, max(_TILE_PX, _TILE_PX**2 // height))
    else:
        sides = tile_size
    make = blend_grid if blended else exact_grid
    grid = make(
        geometry.padded, receptive_field=field, multiple=multiple, tile_size=sides
    )
    if grid.tile[0] * row > MAX_BUFFER_BYTES:
        raise InputError(
            f"{geometry.size[1]} px are too wide: {grid.tile[0] * row / 2**30:.1f} GiB "
            f"would be needed; the limit is {MAX_BUFFER_BYTES / 2**30:.0f}. Use a "
            "smaller scale, ask for the classes alone, or cut the image.",
            file=name,
        )
    return grid


def ring_of(geometry: Geometry) -> int:
    """Return how many working px around a part the image's pixels there depend on."""
    return max(geometry.up.rows.reach, geometry.up.columns.reach)


def network_speed(model: "TerrainModel", *, measure: bool = False) -> float | None:
    """Return how many working px a second the network has reached on this machine.

    Args:
        model: The model.
        measure: Time a small tile if that is not known.
    """
    if model.network not in _SPEEDS and measure:
        side = round_up(_TIMED_PX, model.config.size_multiple)
        tile = np.full((1, side, side, model.config.input_channels), 0.5, np.float32)
        run_network(model.network, tile)  # the first run builds
        start = time.perf_counter()
        run_network(model.network, tile)
        remember_speed(model, side * side, time.perf_counter() - start)
    return _SPEEDS.get(model.network)


def remember_speed(model: "TerrainModel", pixels: int, seconds: float) -> None:
    """Note what a network has just reached.

    Args:
        model: The model.
        pixels: Working px that went through the network.
        seconds: That it took for them.
    """
    if pixels and seconds > 0:
        _SPEEDS[model.network] = pixels / seconds


def _row_bytes(
    model: "TerrainModel",
    geometry: Geometry,
    wants: Collection[Plane],
    *,
    blended: bool,
) -> int:
    """Return what one working row takes in all that holds rows over the full width."""
    width = geometry.padded[1]
    image_pixels = geometry.size[0] * geometry.size[1] / geometry.working[0]
    depth = len(model.classes)
    planes = depth + 3 * (model.config.output == "colors")
    finished = 1 + 3 * ("soft" in wants) + depth * ("weights" in wants)
    finished += "margin" in wants
    working = 2 * 4 * model.config.input_channels  # held, and read ahead
    working += 4 * planes * blended
    return max(1, int(width * working + image_pixels * finished))


def _batch_bytes(model: "TerrainModel", grid: Grid, geometry: Geometry) -> int:
    """Return what the network and the blocks behind it take."""
    tile = grid.tile[0] * grid.tile[1]
    batch = tile * batch_size(grid)
    planes = len(model.classes) + 3 * (model.config.output == "colors")
    if isinstance(model.network, PixelClassifier):
        network: float = _CLASSIFIER_BYTES_PER_PX
    else:
        side = 16 * model.config.size_multiple
        network = 4 * _VALUES_HELD * activation_values(model.config, side) / side**2
    pixels = geometry.size[0] * geometry.size[1]
    strips = _READ_BYTES_PER_PX * min(PIXELS_AT_ONCE, pixels)
    blocks = _WAITING_BLOCKS * 4 * planes * tile
    return int(batch * network + blocks + strips + 2 * min(BAND_PX, pixels))
