"""The files that the mask studio hands out, made by the library when they are wanted.

Everything is at the image's full size. Nothing here draws: it runs in other threads.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.data.imagery import read_height
from terrainlib.data.palette import NO_DATA, colorize
from terrainlib.errors import ConfigError
from terrainlib.mask.confidence import confidence_picture
from terrainlib.mask.pack.pack import PackContent, PackTarget, write_pack
from terrainlib.mask.rasters import export
from terrainlib.mask.rasters.geotiff import (
    SoftRasterSink,
    WeightRasterSink,
    geotiff_mask,
)
from terrainlib.mask.rasters.rastersink import RasterSink
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.bands import Band
from terrainlib.mask.tiles.result import snap_to_classes, strips
from terrainlib.mask.vectors.polygons import SmallestArea, TerrainPolygons, trace_mask
from terrainlib.mask.vectors.vectorfile import write_geojson, write_geopackage
from terrainlib.ui.studio.cleaning import CleanMask
from terrainlib.ui.studio.live_view import ViewSettings
from terrainlib.ui.studio.masks import MadeMask, PictureFile

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class StudioMask:
    """All that the files are made of.

    Attributes:
        picture: The image's file.
        made: Its mask.
        clean: The class mask, cleaned as set.
        view: What the controls of the live view stand at.
    """

    picture: PictureFile
    made: MadeMask
    clean: CleanMask
    view: ViewSettings

    @property
    def stem(self) -> str:
        """How the names of the files begin."""
        return Path(self.picture.name).stem


def class_png(mask: StudioMask) -> bytes:
    """Return the class mask in class colours as PNG."""
    return export.mask_png(mask.clean.index, mask.made.classes)


def soft_png(mask: StudioMask) -> bytes:
    """Return the soft mask as PNG."""
    return export.encode_png(mask.made.soft)


def sharpened_png(mask: StudioMask) -> bytes:
    """Return the sharpened mask as PNG."""
    return export.encode_png(sharpened(mask))


def overlay_png(mask: StudioMask) -> bytes:
    """Return what the view shows over the image as PNG."""
    image = mask.picture.read()
    shown = shown_over_image(mask)
    return export.encode_png(export.overlay(image.rgb, shown, mask.view.opacity))


def sharpened(mask: StudioMask) -> Bytes:
    """Return the soft mask with the view's sharpening and snapping, (H, W, 3) uint8."""
    made, view = mask.made, mask.view
    sharp = sharpen(made.soft, view.amount, method=view.method, radius=view.radius)
    if view.snap:
        index = snap_to_classes(sharp, made.classes)
        index[made.index == NO_DATA] = NO_DATA
        sharp = colorize(index, made.classes)
    return sharp


def shown_over_image(mask: StudioMask) -> Bytes:
    """Return what the view shows over the image at full size, (H, W, 3) uint8."""
    if mask.view.shown == "classes":
        return colorize(mask.clean.index, mask.made.classes)
    if mask.view.shown == "confidence":
        return confidence_picture(mask.made.margins, mask.made.index)
    return sharpened(mask)


def class_geotiff(mask: StudioMask) -> bytes:
    """Return the class mask as GeoTIFF on the image's grid.

    Raises:
        ConfigError: If the image has no place.
    """
    made = mask.made
    if made.georeference is None:
        raise ConfigError("the image has no georeference. Download the PNG instead.")
    return geotiff_mask(mask.clean.index, made.classes, made.georeference)


def soft_geotiff(mask: StudioMask) -> bytes:
    """Return the soft mask as GeoTIFF on the image's grid."""
    return _raster(mask, SoftRasterSink, _soft_bands(mask.made))


def probability_geotiff(mask: StudioMask) -> bytes:
    """Return the probabilities in 255ths as GeoTIFF, a band for each class."""
    made = mask.made
    return _raster(mask, WeightRasterSink, made.probabilities.bands(made.index))


def geopackage(mask: StudioMask, smallest: SmallestArea) -> bytes:
    """Return the polygons of the class mask as GeoPackage.

    Raises:
        ConfigError: If the smallest area is in square metres and the image lies
            nowhere.
        ImageError: If the outlines have too many corners.
        StorageError: If the disk is full, read-only or failing.
    """
    polygons = _polygons(mask, smallest)
    return _written(f"{mask.stem}.gpkg", lambda path: write_geopackage(path, polygons))


def geojson(mask: StudioMask, smallest: SmallestArea) -> bytes:
    """Return the polygons of the class mask as GeoJSON in WGS 84.

    Raises:
        ConfigError: If the smallest area is in square metres and the image lies
            nowhere.
        ImageError: If the outlines have too many corners, or the image does not lie on
            the Earth.
        StorageError: If the disk is full, read-only or failing.
    """
    polygons = _polygons(mask, smallest)
    return _written(f"{mask.stem}.geojson", lambda path: write_geojson(path, polygons))


def pack_zip(mask: StudioMask, target: PackTarget) -> bytes:
    """Return the world-builder's pack.

    Raises:
        ImageError: If the image is too large for its own size, has no data, or its
            heights do not fit.
        StorageError: If the disk is full, read-only or failing.
    """
    made = mask.made
    height = None
    if made.height is not None:
        height = read_height(made.height.source, name=made.height.name)
    content = PackContent(
        made.probabilities.weights(made.index),
        made.classes,
        mask=mask.clean.index,
        height=height,
        georeference=made.georeference,
        name=mask.stem,
    )
    name = f"{mask.stem}_pack.zip"
    return _written(name, lambda path: write_pack(path, content, target))


def _polygons(mask: StudioMask, smallest: SmallestArea) -> TerrainPolygons:
    made = mask.made
    return trace_mask(
        mask.clean.index, made.classes, made.georeference, smallest=smallest
    )


def _soft_bands(made: MadeMask) -> Iterator[Band]:
    height, width = made.index.shape
    for rows in strips((height, width)):
        yield Band(rows, made.index[rows], soft=made.soft[rows])


def _raster(mask: StudioMask, sink: type[RasterSink], bands: Iterator[Band]) -> bytes:
    """Return bands as the raster file that a sink makes of them."""
    made = mask.made
    height, width = made.index.shape

    def write(path: Path) -> None:
        with sink(
            path,
            height=height,
            width=width,
            classes=made.classes,
            georeference=made.georeference,
        ) as target:
            for band in bands:
                target.write(band)

    return _written(f"{mask.stem}.tif", write)


def _written(name: str, write: Callable[[Path], None]) -> bytes:
    """Return what is written into a file that goes at once."""
    with files.scratch_folder(files.cache_dir()) as folder:
        path = folder / name
        write(path)
        try:
            return path.read_bytes()
        except OSError as error:
            raise files.storage_error(path, error) from error
