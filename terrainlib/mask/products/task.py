"""What a prediction of one image is to make: checks before it, and sinks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Self

import numpy as np

from terrainlib.data.formats.heights import Heights, open_heights
from terrainlib.data.formats.raster import Grid
from terrainlib.data.formats.source import ImageSource
from terrainlib.data.palette import NO_DATA
from terrainlib.data.scene import Scene, open_scene
from terrainlib.errors import ConfigError, ImageError
from terrainlib.files import require_free_space, storage_error
from terrainlib.mask.cleaning import MAX_CLEANED_MEGAPIXELS, PostProcessing
from terrainlib.mask.ground.equalarea import mean_area
from terrainlib.mask.pack.pack import frame_of
from terrainlib.mask.products.products import (
    Product,
    ProductFile,
    files_of,
    products_of,
)
from terrainlib.mask.products.records import Wanted
from terrainlib.mask.rasters.png import MAX_PNG_MEGAPIXELS
from terrainlib.mask.tiles.bands import Band, FileSink, Plane, Sink
from terrainlib.mask.tiles.feeding import check_heights
from terrainlib.mask.tiles.finishing import BAND_PX
from terrainlib.mask.vectors.polygons import MAX_MEGAPIXELS
from terrainlib.types import ByteArray, Size

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel


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


class CleanedSink:
    """Holds the class mask back, cleans it as a whole, and hands it on.

    A region may reach from the top of an image to its bottom, so that none of it can be
    cleaned before all of it is there.
    """

    wants: ClassVar[tuple[Plane, ...]] = ()

    def __init__(
        self, sinks: Sequence[Sink], cleaning: PostProcessing, size: Size
    ) -> None:
        self._sinks = sinks
        self._cleaning = cleaning
        self._mask = np.full(size, NO_DATA, np.uint8)

    def write(self, band: Band) -> None:
        """Take the next rows."""
        self._mask[band.rows] = band.classes

    def hand_on(self) -> None:
        """Clean what came, and give it to the sinks.

        Raises:
            StorageError: If the disk is full, read-only or failing.
        """
        mask = self._cleaning.apply(self._mask)
        height, width = mask.shape
        step = max(1, BAND_PX // width)
        for start in range(0, height, step):
            rows = slice(start, min(start + step, height))
            for sink in self._sinks:
                sink.write(Band(rows, mask[rows]))


_MILLION: Final = 10**6
_PICTURES: Final = (".png", ".pgw")


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
    def cleans(self) -> bool:
        """Whether the class mask is cleaned."""
        return not self.wanted.cleaning.changes_nothing

    @property
    def fits_png(self) -> bool:
        """Whether a PNG of the image's size can be written."""
        return self.size[0] * self.size[1] <= MAX_PNG_MEGAPIXELS * _MILLION

    @property
    def left_out(self) -> list[Product]:
        """Products of which no PNG is written: too large, but there is a GeoTIFF."""
        if not self.placed or self.fits_png:
            return []
        return [
            product
            for product in products_of(self.wanted)
            if {file.suffix for file in product.files_for(placed=True)} > {".png"}
        ]

    @property
    def possible(self) -> list[ProductFile]:
        """The files of the products, whatever their size."""
        place = self.scene.georeference
        system = place is None or bool(place.crs_wkt)
        return files_of(self.wanted, placed=self.placed, system=system)

    @property
    def files(self) -> list[ProductFile]:
        """The files that may be written."""
        left = [product.files for product in self.left_out]
        without = {file.ending for files in left for file in files}
        return [
            file
            for file in self.possible
            if file.suffix not in _PICTURES or file.ending not in without
        ]

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


@contextmanager
def opened(  # noqa: PLR0913 - as `making.predict_file`
    model: "TerrainModel",
    image: ImageSource,
    folder: Path,
    stem: str,
    wanted: Wanted,
    *,
    name: str | None = None,
    heights: ImageSource | None = None,
) -> Iterator[Task]:
    """Open an image and its heights, and refuse what could not be made of them.

    Raises:
        ConfigError: If something wanted is not for images such as this one.
        InputError: If the image or its heights cannot be read or do not fit.
    """
    with ExitStack() as stack:
        scene = stack.enter_context(
            open_scene(image, name=name, bands=model.bands(wanted.bands))
        )
        metres = None
        if heights is not None:
            read = stack.enter_context(open_heights(heights))
            metres = read.on(Grid(scene.height, scene.width, scene.georeference))
        task = Task(model, scene, metres, folder, stem, wanted)
        check(task)
        yield task


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
    """Return the sinks that one pass over the image feeds."""
    wanted = task.wanted
    files = {
        task.path(file.ending): _sink(task, file, make)
        for file in task.files
        if (make := file.sink) is not None
    }
    planes = {}
    if wanted.pack is not None or (wanted.vectors and not task.placed):
        planes["classes"] = PlaneFile(scratch / "classes", "classes", task.size)
    if wanted.pack is not None:
        shape = (*task.size, len(task.model.classes))
        planes["weights"] = PlaneFile(scratch / "weights", "weights", shape)
    return Outputs(files, planes)


def _sink(task: Task, file: ProductFile, make: Callable[..., FileSink]) -> FileSink:
    height, width = task.size
    of_place = file.world or file.suffix == ".tif"
    place = task.scene.georeference if of_place else None
    amount = {"amount": task.wanted.sharpen} if file.amount else {}
    return make(
        task.path(file.ending),
        height=height,
        width=width,
        classes=task.model.classes,
        georeference=place,
        **amount,
    )


def _check_sizes(task: Task) -> None:
    """Refuse what is too large for a file that is wanted, or for one pass."""
    wanted, (height, width) = task.wanted, task.size
    if not task.placed and not task.fits_png:
        advice = "Give it a place as a GeoTIFF, or cut it into parts."
        _refuse(task, "PNG", MAX_PNG_MEGAPIXELS, advice)
    pixels = height * width
    cut = "or cut the image into parts."
    if wanted.vectors and pixels > MAX_MEGAPIXELS * _MILLION:
        _refuse(task, "polygons", MAX_MEGAPIXELS, f"Leave them out, {cut}")
    if task.cleans and pixels > MAX_CLEANED_MEGAPIXELS * _MILLION:
        _refuse(task, "cleaning", MAX_CLEANED_MEGAPIXELS, f"Leave it out, {cut}")
    if wanted.pack is not None:
        frame_of(wanted.pack, task.size, task.scene.name)


def _refuse(task: Task, what: str, limit: int, advice: str) -> NoReturn:
    height, width = task.size
    raise ImageError(
        f"{width} x {height} px; the limit for {what} is {limit} megapixels. {advice}",
        file=task.scene.name,
    )


def _check_place(task: Task) -> None:
    """Refuse what needs to know where the image lies, and does not."""
    wanted = task.wanted
    for product in products_of(wanted):
        if product.without_place and not task.placed:
            raise ConfigError(product.without_place, file=task.scene.name)
    if wanted.vectors and wanted.smallest.unit == "m2":
        wanted.smallest.pixels(mean_area(task.scene.georeference, *task.size))
