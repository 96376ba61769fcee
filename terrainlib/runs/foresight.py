"""What a prediction will take, told before it starts, from what earlier ones took here.

The cache remembers how fast each kind of network was on this machine and how long the
rest of the work took. No TensorFlow.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from terrainlib import files
from terrainlib.data.imagery import read_size
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.errors import ModelFileError, StorageError, TerrainError
from terrainlib.mask.products.making import Made, Wanted
from terrainlib.mask.tiles.estimate import estimate, grid_of, network_speed
from terrainlib.mask.tiles.feeding import geometry_of
from terrainlib.model.config import UNetConfig
from terrainlib.model.modelfile import TerrainModel, read_record
from terrainlib.runs.folder import MODEL_FILE
from terrainlib.runs.prediction_config import PredictionConfig
from terrainlib.runs.prediction_folder import results_folder
from terrainlib.types import checked, known_record

if TYPE_CHECKING:
    from terrainlib.mask.tiles.tiling import Size

SPEEDS_FILE: Final = "prediction_speeds.json"
_START: Final = "start"
_Positive = Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)]
# A smaller image tells less: building the network weighs more in it.
_SMALLEST_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Speed:
    """How long an amount of work took.

    Attributes:
        amount: How much, such as pixels.
        seconds: How long.
    """

    amount: _Positive
    seconds: _Positive

    @property
    def pace(self) -> float:
        """Seconds for one of the amount."""
        return self.seconds / self.amount


@dataclass(frozen=True, slots=True)
class Foresight:
    """What a prediction will take.

    Attributes:
        seconds: Time, about; None while the network's speed here is not known. What
            was never made here, such as polygons, counts nothing until it was.
        bytes: Memory above that of the loaded model, about, of the largest image.
        megapixels: Pixels of all images whose headers can be read, in millions.
        free_disk_mb: Free space where the results go.
        needed_disk_mb: Space that results and scratch files may take, if nothing in
            them could be compressed.
    """

    seconds: float | None
    bytes: int
    megapixels: float
    free_disk_mb: float
    needed_disk_mb: float


def foresee(
    config: PredictionConfig, *, loaded: TerrainModel | None = None
) -> Foresight:
    """Tell what a prediction will take, from headers alone.

    Images that cannot be read count nothing; they will fail by name.

    Args:
        config: What is to be predicted.
        loaded: The model, if it is loaded already: where its speed is not known, a
            small tile is timed once. That takes a second or some, and is remembered.

    Raises:
        ModelFileError: If the model is missing or none.
        InputError: If an image is too wide, or the scale out of bounds.
    """
    model, wanted = model_outline(config.model), config.wanted
    sizes = list(_sizes(config))
    if loaded is not None:
        _time(loaded)
    memory = [
        estimate(
            model,
            size,
            scale=wanted.scale,
            blended=wanted.tiling == "blend",
            wants=wanted.planes,
        ).bytes
        for size in sizes
    ]
    disk = [_disk_bytes(size, wanted, len(model.classes)) for size in sizes]
    folder = results_folder(files.predictions_dir(), config)
    return Foresight(
        seconds=_seconds(model, sizes, wanted),
        bytes=max(memory, default=0),
        megapixels=sum(height * width for height, width in sizes) / 1e6,
        free_disk_mb=files.free_space_mb(folder),
        needed_disk_mb=(sum(disk) + max(disk, default=0)) / 1e6,  # one in scratch files
    )


def model_outline(model: str) -> TerrainModel:
    """Return a model without its network, as its file describes it.

    Args:
        model: What `load_model` takes.

    Raises:
        ModelFileError: If it is missing or none.
    """
    path = EMBEDDED_MODELS.get(model) or Path(model)
    path = path / MODEL_FILE if path.is_dir() else path
    record = read_record(path)
    if record is None:
        raise ModelFileError("is missing or no model. Choose another.", file=path.name)
    return TerrainModel(
        network=_NotLoaded(),
        classes=record.terrain_classes(),
        config=UNetConfig.from_dict(record.config),
        scale=record.scale,
        record=record,
        name=record.name,
        path=path,
    )


def remember(model: TerrainModel, made: Made, wanted: Wanted) -> None:
    """Keep how fast a prediction was; nobody misses it where it cannot be written.

    Args:
        model: The model.
        made: What became of the image.
        wanted: What was made.
    """
    size = (made.height, made.width)
    rest = made.seconds - made.network_seconds
    known = _known()
    for key, amount, seconds in (
        (
            _network_key(model),
            _working_pixels(model, size, wanted),
            made.network_seconds,
        ),
        (_rest_key(wanted), made.height * made.width, rest),
    ):
        before = known[key].amount if key in known else 0
        if amount >= _SMALLEST_SHARE * before and seconds > 0:
            known[key] = _Speed(amount, round(seconds, 4))
    _keep(known)


def remember_start(seconds: float) -> None:
    """Keep how long a worker took until its model was loaded."""
    _keep(_known() | {_START: _Speed(1, round(seconds, 2))})


def _time(model: TerrainModel) -> None:
    """Time a network that has not run here yet."""
    known, key = _known(), _network_key(model)
    if key not in known:
        speed = network_speed(model, measure=True)
        if speed is not None:  # counts as little, so that any prediction replaces it
            _keep(known | {key: _Speed(1, 1 / speed)})


class _NotLoaded:
    """Stands for a network that nobody runs."""


def _sizes(config: PredictionConfig) -> Iterator["Size"]:
    for image in config.images:
        try:
            yield read_size(Path(image.path), in_parts=True)
        except TerrainError:
            continue


def _seconds(model: TerrainModel, sizes: list["Size"], wanted: Wanted) -> float | None:
    """Return the expected time of all images; None where a part is not known."""
    known = _known()
    network = known.get(_network_key(model))
    if network is None:
        return None
    rest = known.get(_rest_key(wanted)) or known.get(_rest_key(Wanted()))
    working = sum(_working_pixels(model, size, wanted) for size in sizes)
    pixels = sum(height * width for height, width in sizes)
    begin = known[_START].seconds if _START in known else 0.0
    return begin + working * network.pace + (pixels * rest.pace if rest else 0.0)


def _working_pixels(model: TerrainModel, size: "Size", wanted: Wanted) -> int:
    """Return how many pixels go through the network for an image."""
    geometry = geometry_of(model, size, wanted.scale)
    grid = grid_of(
        model,
        geometry,
        blended=wanted.tiling == "blend",
        wants=wanted.planes,
        name="image",
        tile_size=max(geometry.padded) if wanted.tiling == "whole" else None,
    )
    return len(grid) * grid.tile[0] * grid.tile[1]


def _disk_bytes(size: "Size", wanted: Wanted, classes: int) -> int:
    """Return what the files of an image take where nothing can be compressed."""
    pictures = 2 * wanted.soft + (wanted.sharpen is not None)
    depths = classes * (wanted.probabilities + (wanted.pack is not None))
    polygons = 2 * wanted.vectors  # GeoPackage and GeoJSON, about that of a mask each
    return size[0] * size[1] * (1 + 3 * pictures + depths + polygons)


def _network_key(model: TerrainModel) -> str:
    text = json.dumps(model.config.to_dict(), sort_keys=True)
    return "network-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _rest_key(wanted: Wanted) -> str:
    parts = ("soft", wanted.soft), ("probabilities", wanted.probabilities)
    more = ("sharpened", wanted.sharpen is not None), ("vectors", wanted.vectors)
    last = (("pack", wanted.pack is not None),)
    return "-".join(["rest", *(name for name, asked in parts + more + last if asked)])


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
