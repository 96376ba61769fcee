"""Scenes as stored: every band of an image in its own type, read by window, written."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats import pngjpeg
from terrainlib.data.formats.categories import classes_of_tags
from terrainlib.data.formats.place import tiff_place
from terrainlib.data.formats.raster import Georeference, moved_transform, whole
from terrainlib.data.formats.source import damaged, open_source
from terrainlib.data.formats.tiff import OpenTiff, faults, open_tiff
from terrainlib.data.palette import Classes
from terrainlib.errors import ignored_warnings
from terrainlib.gdal import CLOSED
from terrainlib.types import BoolArray, Window

_COMPRESSION: Final = "deflate"


@dataclass(frozen=True, slots=True, eq=False)
class StoredScene:
    """An image as its file holds it.

    Attributes:
        name: Name of the file, without folders.
        height: Rows, px.
        width: Columns, px.
        count: Bands.
        georeference: Where the pixels lie, None where the file does not say.
        bands: Names of the bands, None for those without one.
        palette: (n, 3) uint8 colours that the pixels index, None without.
        nodata: Value that means no data, None without one.
        marks: What else is written with a part of it, by rasterio's names.
        classes: What its values are called, by the order; empty where it does not say.
    """

    name: str
    height: int
    width: int
    count: int
    georeference: Georeference | None
    bands: tuple[str | None, ...]
    palette: NDArray[np.uint8] | None
    nodata: float | None
    marks: dict[str, Any]
    _read: Callable[[Window], NDArray[Any]] = field(repr=False)
    _valid: Callable[[Window, NDArray[Any]], BoolArray] = field(repr=False)
    classes: Classes = ()

    def read(self, window: Window) -> tuple[NDArray[Any], BoolArray]:
        """Return the samples under a window, (B, h, w), and where it has data, (h, w).

        Raises:
            ImageError: If the file turns out to be cut off or damaged there.
        """
        samples = self._read(window)
        return samples, self._valid(window, samples)


@contextmanager
def open_stored(path: Path) -> Iterator[StoredScene]:
    """Open an image of any size with all its bands.

    Args:
        path: A TIFF of any size, or a PNG or JPEG file that can be read whole.

    Raises:
        ImageError: If it is missing, no picture, cut off or damaged.
    """
    with open_source(path, in_parts=True) as source:
        if source.kind == "TIFF":
            with open_tiff(source, in_parts=True) as tiff:
                with faults(lambda: damaged(source.name)):
                    scene = _tiff_scene(tiff)
                yield scene
            return
        raster = pngjpeg.decode(source)
        height, width = raster.valid.shape
        pixels, valid = np.moveaxis(raster.pixels, -1, 0), raster.valid
        yield StoredScene(
            source.name,
            height,
            width,
            len(pixels),
            raster.georeference,
            (None,) * len(pixels),
            raster.palette,
            None,
            {"colormap": None if raster.palette is None else _opaque(raster.palette)},
            lambda window: pixels[(slice(None), *window)],
            lambda window, _: valid[window],
        )


def _opaque(palette: NDArray[np.uint8]) -> dict[int, tuple[int, int, int, int]]:
    return {i: (int(r), int(g), int(b), 255) for i, (r, g, b) in enumerate(palette)}


def _tiff_scene(tiff: OpenTiff) -> StoredScene:
    data = tiff.data
    colors = data.colorinterp
    table = data.colormap(1) if colors[0].name == "palette" else None
    palette = None
    if table:
        palette = np.zeros((max(table) + 1, 3), np.uint8)
        for index, color in table.items():
            palette[index] = color[:3]
    flags = {flag.name for flag in data.mask_flag_enums[0]}
    masked = "per_dataset" in flags and "alpha" not in flags
    alpha = [n for n, color in enumerate(colors) if color.name == "alpha"]
    marks = {
        "colormap": table,
        "colorinterp": None if palette is not None else colors,
        "descriptions": data.descriptions,
        "scales": data.scales,
        "offsets": data.offsets,
        "units": data.units,
        "masked": masked,
    }

    def valid(window: Window, samples: NDArray[Any]) -> BoolArray:
        found = np.ones(samples.shape[1:], bool)
        if masked:
            found &= tiff.read_mask(window)
        if data.nodata is not None and not np.isnan(data.nodata):
            found &= (samples != data.nodata).any(axis=0)
        if samples.dtype.kind == "f":
            found &= np.isfinite(samples).any(axis=0)
        if alpha:  # a band of values that is only marked so hides nothing
            found &= samples.any(axis=0)
        return found

    return StoredScene(
        tiff.source.name,
        tiff.height,
        tiff.width,
        data.count,
        tiff_place(tiff.source, data)[0],
        tuple(data.descriptions),
        palette,
        data.nodata,
        marks,
        lambda window: tiff.read(list(data.indexes), window),
        valid,
        classes_of_tags(data.tags()),
    )


def part_place(
    georeference: Georeference | None, window: Window
) -> tuple[str, tuple[float, float, float, float, float, float]] | None:
    """Return the reference system (WKT) and transform of a part of a grid."""
    if georeference is None:
        return None
    return georeference.crs_wkt, moved_transform(georeference.transform, window)


def write_part(
    path: Path,
    samples: NDArray[Any],
    place: tuple[str, tuple[float, float, float, float, float, float]] | None,
    *,
    nodata: float | None = None,
    marks: dict[str, Any] | None = None,
    valid: BoolArray | None = None,
) -> None:
    """Write a part of a scene, or its mask, as a GeoTIFF.

    Args:
        path: The file; there is none yet.
        samples: (B, h, w) of any type.
        place: As of `part_place`.
        nodata: Value that means no data.
        marks: As of a `StoredScene`.
        valid: (h, w), written as a mask where the scene has one.

    Raises:
        OSError: If it cannot be written.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.io import MemoryFile

    marks = marks or {}
    count, height, width = samples.shape
    grid = {}
    if place is not None:
        grid = {"crs": place[0] or None, "transform": rasterio.Affine(*place[1])}
    try:
        with (
            rasterio.Env(**CLOSED, GDAL_TIFF_INTERNAL_MASK=True),
            ignored_warnings(category=NotGeoreferencedWarning),
            MemoryFile() as memory,
        ):
            with memory.open(
                driver="GTiff",
                height=height,
                width=width,
                count=count,
                dtype=samples.dtype,
                nodata=nodata,
                compress=_COMPRESSION,
                **grid,
            ) as data:
                for name in (
                    "colorinterp",
                    "descriptions",
                    "scales",
                    "offsets",
                    "units",
                ):
                    if marks.get(name) is not None:
                        setattr(data, name, marks[name])
                data.write(samples)
                if marks.get("colormap"):
                    data.write_colormap(1, marks["colormap"])
                if marks.get("masked") and valid is not None:
                    data.write_mask(valid)
            path.write_bytes(memory.read())
    except RasterioError as error:
        raise OSError(f"cannot be written ({error})") from error


def all_windows(height: int, width: int, rows: int) -> Iterator[Window]:
    """Yield strips of so many rows that cover an image of (H, W) px."""
    _, columns = whole(height, width)
    for row in range(0, height, rows):
        yield slice(row, min(height, row + rows)), columns
