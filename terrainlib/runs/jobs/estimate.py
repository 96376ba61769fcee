"""What a prediction takes, told before it starts: tiles, memory, disk and time.

Tiles, memory and disk follow from sizes; time from what earlier predictions took here.
The cache remembers how fast each kind of network was on this machine and how long the
rest of the work took. Command line, job form and worker all come through here. No
TensorFlow, but where a network is timed.
"""

import hashlib
import json
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field

from terrainlib import files
from terrainlib.data.imagery import read_size
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import ModelFileError, StorageError, TerrainError
from terrainlib.mask.cleaning import BYTES_PER_PX as CLEANING_BYTES_PER_PX
from terrainlib.mask.products.products import CHOICES, products_of
from terrainlib.mask.products.records import Made, Wanted
from terrainlib.mask.tiles.feeding import geometry_of
from terrainlib.mask.tiles.streaming import grid_of, memory_bytes
from terrainlib.model.forward import run_network
from terrainlib.model.instant import read_any_record
from terrainlib.model.modelfile import TerrainModel
from terrainlib.model.tiling import round_up
from terrainlib.runs.folder import MODEL_FILE
from terrainlib.runs.jobs.config import JobConfig
from terrainlib.types import Size, checked, known_record

SPEEDS_FILE: Final = "prediction_speeds.json"
_START: Final = "start"
_Positive = Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)]
# A smaller image tells less: building the network weighs more in it.
_SMALLEST_SHARE: Final = 0.25
_TIMED_PX: Final = 512


@dataclass(frozen=True, slots=True)
class _Speed:
    """How long an amount of work took: pixels, or one start."""

    amount: _Positive
    seconds: _Positive

    @property
    def pace(self) -> float:
        return self.seconds / self.amount


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a prediction will take.

    Attributes:
        tiles: How many tiles go through the network.
        bytes: Memory above that of the loaded model, about, of the largest image.
        seconds: Time, about; None while the network's speed here is not known. What
            was never made here, such as polygons, counts nothing until it was.
        needed_disk_mb: Space that results and scratch files may take, if nothing in
            them could be compressed.
        free_disk_mb: Free space where the results go.
    """

    tiles: int
    bytes: int
    seconds: float | None
    needed_disk_mb: float
    free_disk_mb: float


def estimate(
    model: TerrainModel, sizes: Sequence[Size], wanted: Wanted, folder: Path
) -> Estimate:
    """Tell what predicting images takes once the model is loaded.

    Args:
        model: The model, loaded or from `model_outline`.
        sizes: (H, W) of each image, px.
        wanted: What is made of each.
        folder: Where the results go.

    Raises:
        ConfigError: If the scale is out of bounds.
        InputError: If an image is too wide.
    """
    passes = [_pass_of(model, size, wanted) for size in sizes]
    pixels = sum(map(math.prod, sizes))
    products = products_of(wanted)
    disk = [
        sum(one.needed_bytes(math.prod(size), len(model.classes)) for one in products)
        for size in sizes
    ]
    known = _known()
    network = known.get(_network_key(model))
    rest = known.get(_rest_key(wanted)) or known.get(_rest_key(Wanted()))
    seconds = None
    if network is not None:
        working = sum(one.pixels for one in passes)
        seconds = working * network.pace + (pixels * rest.pace if rest else 0.0)
    return Estimate(
        tiles=sum(one.tiles for one in passes),
        bytes=max((one.bytes for one in passes), default=0),
        seconds=seconds,
        needed_disk_mb=(sum(disk) + max(disk, default=0)) / 1e6,  # one in scratch files
        free_disk_mb=files.free_space_mb(folder),
    )


def estimate_job(config: JobConfig) -> Estimate:
    """Tell what a prediction in a process of its own takes, from headers alone.

    Images that cannot be read count nothing; they will fail by name.

    Raises:
        ModelFileError: If the model is missing or none.
        InputError: If an image is too wide, or the scale out of bounds.
    """
    folder = config.results_in(files.predictions_dir())
    model = model_outline(config.model)
    sizes: list[Size] = []
    for image in config.images:
        with suppress(TerrainError):
            sizes.append(read_size(Path(image.path), in_parts=True))
    told, start = estimate(model, sizes, config.wanted, folder), _known().get(_START)
    if told.seconds is None or start is None:
        return told
    return replace(told, seconds=told.seconds + start.seconds)


def measure_speed(model: TerrainModel) -> None:
    """Time a small tile of a loaded network that never ran here; it takes seconds."""
    key = _network_key(model)
    if key in _known():
        return
    side = round_up(_TIMED_PX, model.config.size_multiple)
    tile = np.full((1, side, side, model.config.input_channels), 0.5, np.float32)
    run_network(model.network, tile)  # the first run builds
    start = time.perf_counter()
    run_network(model.network, tile)
    seconds = (time.perf_counter() - start) / side**2
    # As of one pixel, so that any prediction replaces it.
    _keep(_known() | {key: _Speed(1, seconds)})


def remember(model: TerrainModel, made: Made, wanted: Wanted) -> None:
    """Keep how fast a prediction was; nobody misses it where it cannot be written."""
    size = (made.height, made.width)
    working = _pass_of(model, size, wanted).pixels
    rest = made.seconds - made.network_seconds
    known = _known()
    for key, amount, seconds in (
        (_network_key(model), working, made.network_seconds),
        (_rest_key(wanted), made.height * made.width, rest),
    ):
        before = known[key].amount if key in known else 0
        if amount >= _SMALLEST_SHARE * before and seconds > 0:
            known[key] = _Speed(amount, round(seconds, 4))
    _keep(known)


def remember_start(seconds: float) -> None:
    """Keep how long a worker took until its model was loaded."""
    _keep(_known() | {_START: _Speed(1, round(seconds, 2))})


def model_outline(model: str) -> TerrainModel:
    """Return a model, named as for `load_any`, without its network.

    Raises:
        ModelFileError: If it is missing or none.
    """
    path = model_file(model)
    record = read_any_record(path)
    if record is None:
        raise ModelFileError("is missing or no model. Choose another.", file=path.name)
    return TerrainModel.of(record, path)


def model_file(model: str) -> Path:
    """Return the file of a model, named as for `load_any`; it may be missing."""
    path = EMBEDDED_MODELS.get(model) or Path(model)
    return path / MODEL_FILE if path.is_dir() else path


@dataclass(frozen=True, slots=True)
class _Pass:
    """An image's way through the network: tiles, working pixels in them, memory."""

    tiles: int
    pixels: int
    bytes: int


def _pass_of(model: TerrainModel, size: Size, wanted: Wanted) -> _Pass:
    geometry = geometry_of(model, size, wanted.scale)
    grid = grid_of(model, geometry, wants=wanted.planes, name="image")
    cleans = not wanted.cleaning.changes_nothing
    cleaned = CLEANING_BYTES_PER_PX * size[0] * size[1] if cleans else 0
    return _Pass(
        len(grid),
        len(grid) * grid.tile[0] * grid.tile[1],
        memory_bytes(model, geometry, grid, wanted.planes) + cleaned,
    )


def _network_key(model: TerrainModel) -> str:
    text = json.dumps(model.config.to_dict(), sort_keys=True)
    return "network-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _rest_key(wanted: Wanted) -> str:
    names = [product.name for product in CHOICES if product.asked(wanted)]
    if not wanted.cleaning.changes_nothing:
        names.append("cleaned")
    return "-".join(["rest", *names])


def _known() -> dict[str, _Speed]:
    """Return what is remembered, without what is damaged."""
    speeds: dict[str, _Speed] = {}
    remembered = known_record(files.cache_dir() / SPEEDS_FILE, dict[str, Any]) or {}
    for key, item in remembered.items():
        with suppress(ValueError):
            speeds[key] = checked(_Speed, item)
    return speeds


def _keep(known: dict[str, _Speed]) -> None:
    values = {key: asdict(speed) for key, speed in known.items()}
    with suppress(StorageError):
        files.write_json(files.cache_dir() / SPEEDS_FILE, values)
