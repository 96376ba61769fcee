"""The files that the mask studio hands out, made by the library when they are wanted.

Everything is at the image's full size. Nothing here draws: it runs in other threads.
"""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from terrainlib import files
from terrainlib.data.imagery import read_height
from terrainlib.data.palette import NO_DATA, colorize
from terrainlib.mask.confidence import confidence_picture
from terrainlib.mask.pack.pack import PackContent, PackTarget, write_pack
from terrainlib.mask.rasters import png
from terrainlib.mask.rasters.rasterfile import RasterSink
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.bands import Band, Plane
from terrainlib.mask.tiles.result import snap_to_classes
from terrainlib.mask.vectors.polygons import SmallestArea, TerrainPolygons, trace_mask
from terrainlib.mask.vectors.vectorfile import write_geojson, write_geopackage
from terrainlib.types import ByteArray
from terrainlib.ui.studio.live import ViewSettings
from terrainlib.ui.studio.masks import MadeMask


def picture(made: MadeMask, sink: type[RasterSink]) -> bytes:
    """Return as PNG what a sink writes into a picture."""
    height, width = made.predicted.shape
    path = Path(f"{made.stem}.png")  # that nothing is written to
    maker = sink(path, height=height, width=width, classes=made.classes)
    rows = [maker.pixels(band) for band in _bands(made, sink.wants)]
    return png.encode_png(np.concatenate(rows))


def sharpened_png(made: MadeMask, view: ViewSettings) -> bytes:
    """Return the sharpened mask as PNG."""
    return png.encode_png(sharpened(made, view))


def overlay_png(made: MadeMask, view: ViewSettings) -> bytes:
    """Return what the view shows over the image as PNG."""
    image = made.picture.read()
    shown = shown_over_image(made, view)
    return png.encode_png(png.overlay(image.rgb, shown, view.opacity))


def sharpened(made: MadeMask, view: ViewSettings) -> ByteArray:
    """Return the soft mask with the view's sharpening and snapping, (H, W, 3) uint8."""
    sharp = sharpen(made.soft, view.amount, method=view.method, radius=view.radius)
    if view.snap:
        index = snap_to_classes(sharp, made.classes)
        index[made.predicted == NO_DATA] = NO_DATA
        sharp = colorize(index, made.classes)
    return sharp


def shown_over_image(made: MadeMask, view: ViewSettings) -> ByteArray:
    """Return what the view shows over the image at full size, (H, W, 3) uint8."""
    if view.shown == "classes":
        return colorize(made.index, made.classes)
    if view.shown == "confidence":
        return confidence_picture(made.margins, made.predicted)
    return sharpened(made, view)


def raster(made: MadeMask, sink: type[RasterSink]) -> bytes:
    """Return as GeoTIFF on the image's grid what a sink writes."""
    height, width = made.predicted.shape

    def write(path: Path) -> None:
        with sink(
            path,
            height=height,
            width=width,
            classes=made.classes,
            georeference=made.georeference,
        ) as target:
            for band in _bands(made, sink.wants):
                target.write(band)

    return _written(f"{made.stem}.tif", write)


def geopackage(made: MadeMask, smallest: SmallestArea) -> bytes:
    """Return the polygons of the class mask as GeoPackage.

    Raises:
        ConfigError: If the smallest area is in square metres and the image lies
            nowhere.
        ImageError: If the outlines have too many corners.
        StorageError: If the disk is full, read-only or failing.
    """
    polygons = _polygons(made, smallest)
    return _written(f"{made.stem}.gpkg", lambda path: write_geopackage(path, polygons))


def geojson(made: MadeMask, smallest: SmallestArea) -> bytes:
    """Return the polygons of the class mask as GeoJSON in WGS 84.

    Raises:
        ConfigError: If the smallest area is in square metres and the image lies
            nowhere.
        ImageError: If the outlines have too many corners, or the image does not lie on
            the Earth.
        StorageError: If the disk is full, read-only or failing.
    """
    polygons = _polygons(made, smallest)
    return _written(f"{made.stem}.geojson", lambda path: write_geojson(path, polygons))


def pack_zip(made: MadeMask, target: PackTarget) -> bytes:
    """Return the world-builder's pack.

    Raises:
        ImageError: If the image is too large for its own size, has no data, or its
            heights do not fit.
        StorageError: If the disk is full, read-only or failing.
    """
    height = None
    if made.height is not None:
        height = read_height(made.height.source, name=made.height.name)
    content = PackContent(
        made.probabilities.weights(made.predicted),
        made.classes,
        mask=made.index,
        height=height,
        georeference=made.georeference,
        name=made.stem,
    )
    name = f"{made.stem}_pack.zip"
    return _written(name, lambda path: write_pack(path, content, target))


def _polygons(made: MadeMask, smallest: SmallestArea) -> TerrainPolygons:
    return trace_mask(made.index, made.classes, made.georeference, smallest=smallest)


def _bands(made: MadeMask, wants: Collection[Plane]) -> Iterator[Band]:
    """Yield the mask as a prediction would: what wants classes alone has them clean."""
    if not wants:
        yield Band(slice(0, len(made.index)), made.index)
    elif "weights" in wants:
        yield from made.probabilities.bands(made.predicted)
    else:
        rows = slice(0, len(made.predicted))
        yield Band(rows, made.predicted, soft=made.soft, margin=made.margins)


def _written(name: str, write: Callable[[Path], None]) -> bytes:
    with files.scratch_folder(files.cache_dir()) as folder:
        path = folder / name
        write(path)
        try:
            return path.read_bytes()
        except OSError as error:
            raise files.storage_error(path, error) from error
