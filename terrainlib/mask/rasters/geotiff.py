"""Masks as cloud-optimised GeoTIFF, on the grid of their image.

Class indices with colours and names, the soft mask, or the probabilities, of any size,
written row by row.
"""

import json
from pathlib import Path
from typing import Any, ClassVar, Final, Self
from xml.etree import ElementTree

from terrainlib.data.formats.categories import CLASSES_TAG, classes_of_tags
from terrainlib.data.formats.place import read_place
from terrainlib.data.formats.raster import Georeference
from terrainlib.data.formats.source import damaged
from terrainlib.data.formats.tiff import faults
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import ImageError
from terrainlib.files import write_bytes
from terrainlib.mask.rasters.gdalwork import reopened
from terrainlib.mask.rasters.rasterfile import Layout, RasterSink
from terrainlib.mask.tiles.bands import Band, Plane
from terrainlib.types import ByteArray

_COG: Final = {
    "compress": "deflate",
    "blocksize": 512,
    "bigtiff": "if_safer",
    "num_threads": "all_cpus",
}
_OF_CLASSES: Final = {**_COG, "overview_resampling": "mode"}
_OF_SHADES: Final = {
    **_COG,
    "overview_resampling": "average",
    "predictor": "yes",
    "level": 4,  # a few hundredths larger than the smallest, in two thirds of the time
}


class ClassRasterSink(RasterSink):
    """Writes the classes: one band of indices with their colour table, 255 = no data.

    No data is transparent; overviews hold the most frequent class. The class names are
    in the metadata, as `CLASS_0`, `CLASS_1`, ... and as the JSON of `classes.json`
    under `CLASSES`.
    """

    empty: ClassVar[int] = NO_DATA

    def _layout(self, height: int, width: int) -> Layout:
        return Layout(height, width, 1, "COG", _OF_CLASSES, {"nodata": NO_DATA})

    def _describe(self, data: Any) -> None:
        _describe_classes(data, self.classes)

    def _pixels(self, band: Band) -> ByteArray:
        return band.classes[..., None]


class SoftRasterSink(RasterSink):
    """Writes the soft mask: three bands, red, green and blue.

    A mask inside the file marks the pixels without data, which are black. The classes
    are in the metadata as in the class mask.
    """

    wants: ClassVar[tuple[Plane, ...]] = ("soft",)

    def _layout(self, height: int, width: int) -> Layout:
        profile = {"photometric": "RGB"}
        return Layout(height, width, 3, "COG", _OF_SHADES, profile, masked=True)

    def _describe(self, data: Any) -> None:
        data.update_tags(**class_tags(self.classes))

    def _pixels(self, band: Band) -> ByteArray:
        return self._plane("soft", band)


class WeightRasterSink(RasterSink):
    """Writes the probabilities: a band for each class, named like it.

    In 255ths: the bands have the scale 1 / 255 and sum to 255 where there is data. A
    mask inside the file marks the pixels without, where all bands are 0.
    """

    wants: ClassVar[tuple[Plane, ...]] = ("weights",)

    def _layout(self, height: int, width: int) -> Layout:
        profile = {"photometric": "MINISBLACK"}
        count = len(self.classes)
        return Layout(height, width, count, "COG", _OF_SHADES, profile, masked=True)

    def _describe(self, data: Any) -> None:
        count = len(self.classes)
        data.descriptions = [item.name for item in self.classes]
        data.scales = [1 / 255] * count
        data.offsets = [0.0] * count
        data.units = ["probability"] * count
        data.update_tags(**class_tags(self.classes))

    def _pixels(self, band: Band) -> ByteArray:
        return self._plane("weights", band)


def read_class_geotiff(
    path: Path, max_megapixels: float
) -> tuple[ByteArray, Classes, Georeference | None]:
    """Read a class mask that was written here.

    Returns:
        The mask, (H, W) uint8; the classes; where the pixels lie, if anywhere.

    Raises:
        ImageError: If the file is missing, damaged, none of these, or larger.
    """
    with reopened(path, "COG") as data, faults(lambda: damaged(path.name)):
        classes = _read_classes(data, path)
        if data.height * data.width > max_megapixels * 1e6:
            raise ImageError(
                f"{data.width} x {data.height} pixels; the limit is "
                f"{max_megapixels:g} megapixels. Cut the image into parts.",
                file=path.name,
            )
        return data.read(1), classes, read_place(data)[0]


def _read_classes(data: Any, path: Path) -> Classes:
    classes = classes_of_tags(data.tags())
    if not classes or data.count != 1 or data.dtypes != ("uint8",):
        raise ImageError(
            "is not a class mask that names its classes. Give one that was written "
            "here.",
            file=path.name,
        )
    return classes


def class_tags(classes: Classes) -> dict[str, str]:
    """Return the names and colours of the classes as metadata of a raster."""
    listed = [{"name": item.name, "color": list(item.color)} for item in classes]
    names = {f"CLASS_{number}": item.name for number, item in enumerate(classes)}
    return {**names, CLASSES_TAG: json.dumps(listed, ensure_ascii=False)}


def _describe_classes(data: Any, classes: Classes) -> None:
    """Write colour table, name and metadata of a class mask; no data is transparent."""
    colors = {number: (*item.color, 255) for number, item in enumerate(classes)}
    data.write_colormap(1, {**colors, NO_DATA: (0, 0, 0, 0)})
    data.set_band_description(1, "terrain class")
    data.update_tags(**class_tags(classes))


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

    def __init__(self, path: Path, *, classes: Classes, **_: Any) -> None:
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


def raster_names(classes: Classes) -> bytes:
    """Return the file that gives the pixels of a class GeoTIFF their names in QGIS.

    It belongs beside the GeoTIFF, under its name with `.aux.xml` behind. A GeoTIFF
    itself has no place for names of values that QGIS would read.
    """
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    names = ElementTree.SubElement(band, "CategoryNames")
    for item in classes:
        ElementTree.SubElement(names, "Category").text = item.name
    return (ElementTree.tostring(root, encoding="unicode") + "\n").encode()
