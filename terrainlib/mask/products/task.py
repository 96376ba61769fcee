"""What a prediction of one image is to make: names, checks before it, and sinks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, Self

import numpy as np

from terrainlib.data.palette import Classes
from terrainlib.data.scene import Heights, Scene
from terrainlib.errors import ConfigError, ImageError
from terrainlib.files import require_free_space, storage_error, write_bytes
from terrainlib.mask.ground.equalarea import mean_area
from terrainlib.mask.pack.pack import frame_of
from terrainlib.mask.products.records import Wanted
from terrainlib.mask.rasters.geotiff import (
    ClassRasterSink,
    SoftRasterSink,
    WeightRasterSink,
)
from terrainlib.mask.rasters.png import MAX_PNG_MEGAPIXELS, ClassPngSink, SoftPngSink
from terrainlib.mask.rasters.rasterfile import RasterSink
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.bands import Band, Plane, Sink
from terrainlib.mask.tiles.feeding import check_heights
from terrainlib.mask.vectors.polygons import MAX_MEGAPIXELS
from terrainlib.mask.vectors.vectorfile import raster_names
from terrainlib.types import ByteArray

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

_HALO: Final = 1  # rows beside a row that the kernel reaches


class SharpenedPngSink:
    """Writes the soft mask sharpened, with the pixels of `sharpen` on the whole of it.

    Use it as a context, as `SoftPngSink`. A row is written when the one below is there.

    Args:
        path: The file to write.
        amount: Strength of the Laplacian, 0 to 10.
        height: Rows of the image.
        width: Columns of the image.
        classes: The K classes.

    Raises:
        ImageError: If the picture is larger than 500 megapixels.
        StorageError: If the disk is full, read-only or failing.
    """

    wants: ClassVar[tuple[Plane, ...]] = ("soft",)

    def __init__(
        self, path: Path, *, amount: float, height: int, width: int, classes: Classes
    ) -> None:
        self._file = SoftPngSink(path, height=height, width=width, classes=classes)
        self._amount = amount
        self._height = height
        self._above = np.empty((0, width, 3), np.uint8)  # the last row is not written
        self._classes_above = np.empty((0, width), np.uint8)

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.__exit__(kind, error, trace)

    def write(self, band: Band) -> None:
        """Take the next rows.

        Raises:
            InputError: If the band does not follow the one before.
            StorageError: If the disk is full, read-only or failing.
        """
        soft = band.soft
        if soft is None:
            soft = np.zeros((*band.classes.shape, 3), np.uint8)
        lines = np.concatenate([self._above, soft])
        classes = np.concatenate([self._classes_above, band.classes])
        below = 0 if band.rows.stop == self._height else _HALO
        first = max(0, len(self._above) - _HALO)
        last = len(lines) - below
        if first < last:
            top = band.rows.stop - len(lines)
            part = slice(first, last)
            sharp = sharpen(lines, self._amount)[part]
            rows = slice(top + first, top + last)
            self._file.write(Band(rows, classes[part], soft=sharp))
        self._above = lines[-2 * _HALO :].copy()
        self._classes_above = classes[-2 * _HALO :].copy()

    def stopped_at(self, row: int) -> None:
        """Say that the rows from this one on were not predicted."""
        self._file.stopped_at(row)


class NamesSink:
    """Writes the names of the classes beside their GeoTIFF, where QGIS looks for them.

    Use it as a context; the file is written in the end.

    Args:
        path: The file to write: the GeoTIFF's name with `.aux.xml` behind.
        classes: The K classes.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """

    wants: ClassVar[tuple[Plane, ...]] = ()

    def __init__(self, path: Path, *, classes: Classes) -> None:
        self._path = path
        self._classes = classes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            write_bytes(self._path, raster_names(self._classes))

    def write(self, band: Band) -> None:
        """Take the next rows, which say nothing about names."""

    def stopped_at(self, row: int) -> None:
        """Nothing to say: the names are the same in a part of the mask."""


class PlaneFile:
    """Keeps a plane of the bands in a scratch file, to be mapped into memory.

    Use it as a context; the file is the caller's to remove.

    Args:
        path: The scratch file.
        plane: `classes`, or `weights`.
        shape: (H, W) or (H, W, K) of the whole plane.

    Raises:
        StorageError: If the disk is full, read-only or failing.
    """

    def __init__(self, path: Path, plane: str, shape: tuple[int, ...]) -> None:
        self.wants: tuple[Plane, ...] = ("weights",) if plane == "weights" else ()
        self._path = path
        self._plane = plane
        self._shape = shape
        self._file: Any = None

    def __enter__(self) -> Self:
        require_free_space(self._path.parent, int(np.prod(self._shape)))
        try:
            self._file = self._path.open("wb")
        except OSError as error:
            raise storage_error(self._path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise storage_error(self._path, error) from error

    def write(self, band: Band) -> None:
        """Take the next rows.

        Raises:
            StorageError: If the disk is full, read-only or failing.
        """
        values: ByteArray | None = getattr(band, self._plane)
        if values is None:
            values = np.zeros((len(band.classes), *self._shape[1:]), np.uint8)
        try:
            self._file.write(np.ascontiguousarray(values).data)
        except OSError as error:
            raise storage_error(self._path, error) from error

    def stopped_at(self, row: int) -> None:
        """Nothing to say: nobody reads the file of a stopped prediction."""

    def mapped(self) -> ByteArray:
        """Return the whole plane, uint8, mapped from the closed file, read-only."""
        return np.memmap(self._path, np.uint8, mode="r", shape=self._shape)


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
