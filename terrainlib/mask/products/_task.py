"""What a prediction of one image is to make: names, checks before it, and sinks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from terrainlib.data.scene import Heights, Scene
from terrainlib.errors import ConfigError, ImageError
from terrainlib.mask.ground.pixels import mean_area
from terrainlib.mask.pack.pack import frame_of
from terrainlib.mask.products._sinks import NamesSink, PlaneFile, SharpenedPngSink
from terrainlib.mask.products.records import Wanted
from terrainlib.mask.rasters.geotiff import (
    ClassRasterSink,
    SoftRasterSink,
    WeightRasterSink,
)
from terrainlib.mask.rasters.pngfile import (
    MAX_PNG_MEGAPIXELS,
    ClassPngSink,
    SoftPngSink,
)
from terrainlib.mask.rasters.rastersink import RasterSink
from terrainlib.mask.tiles.bands import Sink
from terrainlib.mask.tiles.feeding import check_heights
from terrainlib.mask.vectors.polygons import MAX_MEGAPIXELS

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

_MILLION: Final = 10**6
_NAMES: Final = "_mask.tif.aux.xml"
_SHARPENED: Final = "_sharpened.png"
_MADE_BY: Final[dict[str, type[RasterSink]]] = {
    "_mask.tif": ClassRasterSink,
    "_mask.png": ClassPngSink,
    "_soft.tif": SoftRasterSink,
    "_soft.png": SoftPngSink,
    "_probabilities.tif": WeightRasterSink,
}


class FileSink(Sink, Protocol):
    """A sink that writes a file, in a context."""

    def __enter__(self) -> Self:
        """Begin the file."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish it, or leave nothing behind after an exception."""

    def stopped_at(self, row: int) -> None:
        """Say that the rows from this one on were not predicted."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One image and what to make of it.

    Attributes:
        model: The model.
        scene: The open image.
        heights: Its open heights, if there are any.
        folder: Where the files go.
        stem: What their names begin with.
        wanted: What to make.
    """

    model: "TerrainModel"
    scene: Scene
    heights: Heights | None
    folder: Path
    stem: str
    wanted: Wanted

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image, px."""
        return self.scene.height, self.scene.width

    @property
    def placed(self) -> bool:
        """Whether the image is georeferenced."""
        return self.scene.georeference is not None

    @property
    def fits_png(self) -> bool:
        """Whether a PNG of the image's size can be written."""
        return self.size[0] * self.size[1] <= MAX_PNG_MEGAPIXELS * _MILLION

    def path(self, name: str) -> Path:
        """Return the path of a file whose name ends so."""
        return self.folder / f"{self.stem}{name}"


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """The sinks of one prediction.

    Attributes:
        files: Those of the files that stay, by path.
        planes: Scratch files that polygons and packs are made from.
    """

    files: dict[Path, FileSink]
    planes: dict[str, PlaneFile]

    @property
    def sinks(self) -> Sequence[FileSink]:
        """All of them."""
        return [*self.files.values(), *self.planes.values()]


def endings(wanted: Wanted, *, placed: bool) -> tuple[str, ...]:
    """Return how the names of all files end that may be written for an image.

    Args:
        wanted: What to make.
        placed: Whether the image is georeferenced.
    """
    names = ["_mask.tif", _NAMES] if placed else ["_mask.png"]
    if wanted.soft:
        names += ["_soft.png", "_soft.tif"] if placed else ["_soft.png"]
    if wanted.probabilities and placed:
        names.append("_probabilities.tif")
    if wanted.sharpen is not None:
        names.append(_SHARPENED)
    if wanted.vectors:
        names += [".gpkg", ".geojson"] if placed else [".gpkg"]
    if wanted.pack is not None:
        names.append("_pack.zip")
    return tuple(names)


def check(task: Task) -> None:
    """Refuse what could not be made in the end, before anything is written.

    Raises:
        ConfigError: If something wanted is not for images such as this one.
        InputError: If heights are missing or do not fit, or the image is too large.
    """
    if not task.stem or Path(task.stem).name != task.stem:
        raise ConfigError(
            f"names of files cannot begin with {task.stem!r}. Use letters and digits."
        )
    check_heights(task.model, task.scene, task.heights)
    _check_sizes(task)
    _check_place(task)


def outputs_of(task: Task, scratch: Path) -> Outputs:
    """Return the sinks that one pass over the image feeds.

    Args:
        task: The image and what to make of it.
        scratch: Folder for files that do not stay.
    """
    wanted = task.wanted
    written = {*_MADE_BY, _NAMES, _SHARPENED}
    names = [name for name in endings(wanted, placed=task.placed) if name in written]
    if not task.fits_png and "_soft.png" in names:
        names.remove("_soft.png")
    files = {task.path(name): _sink(task, name) for name in names}
    planes = {}
    if wanted.pack is not None or (wanted.vectors and not task.placed):
        planes["classes"] = PlaneFile(scratch / "classes", "classes", task.size)
    if wanted.pack is not None:
        shape = (*task.size, len(task.model.classes))
        planes["weights"] = PlaneFile(scratch / "weights", "weights", shape)
    return Outputs(files, planes)


def _sink(task: Task, ending: str) -> FileSink:
    """Return the sink of one file."""
    height, width = task.size
    path, classes = task.path(ending), task.model.classes
    if ending == _NAMES:
        return NamesSink(path, classes=classes)
    if ending == _SHARPENED:
        amount = task.wanted.sharpen or 0.0
        return SharpenedPngSink(
            path, amount=amount, height=height, width=width, classes=classes
        )
    place = task.scene.georeference if ending.endswith(".tif") else None
    return _MADE_BY[ending](
        path, height=height, width=width, classes=classes, georeference=place
    )


def _check_sizes(task: Task) -> None:
    """Refuse what is too large for a file that is wanted, or for one pass."""
    wanted, (height, width) = task.wanted, task.size
    pictures = not task.placed or wanted.sharpen is not None
    if pictures and not task.fits_png:
        raise ImageError(
            f"{width} x {height} px; the limit for PNG is {MAX_PNG_MEGAPIXELS} "
            "megapixels. "
            + (
                "Leave out the sharpened picture."
                if task.placed
                else "Give it a place as a GeoTIFF, or cut it into parts."
            ),
            file=task.scene.name,
        )
    if wanted.vectors and height * width > MAX_MEGAPIXELS * _MILLION:
        raise ImageError(
            f"{width} x {height} px; the limit for polygons is {MAX_MEGAPIXELS} "
            "megapixels. Leave them out, or cut the image into parts.",
            file=task.scene.name,
        )
    if wanted.pack is not None:
        frame_of(wanted.pack, task.size, task.scene.name)


def _check_place(task: Task) -> None:
    """Refuse what needs to know where the image lies, and does not."""
    wanted = task.wanted
    if wanted.probabilities and not task.placed:
        raise ConfigError(
            "not georeferenced, and probabilities are written as GeoTIFF only. Leave "
            "them out, or ask for a pack, which holds them as weights.",
            file=task.scene.name,
        )
    if wanted.vectors and wanted.smallest.unit == "m2":
        wanted.smallest.pixels(mean_area(task.scene.georeference, *task.size))
