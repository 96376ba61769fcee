"""GDAL at work on the project's own files: bounded memory, sentences for its errors."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from terrainlib.data.formats.raster import Georeference
from terrainlib.data.formats.source import open_source
from terrainlib.data.formats.tiff import open_tiff
from terrainlib.errors import ImageError, StorageError, ignored_warnings
from terrainlib.gdal import CLOSED

_CACHE_MB: Final = 64
_FULL_DISK_MB: Final = 32


@contextmanager
def gdal_work(path: Path, scratch: Path) -> Iterator[None]:
    """Run GDAL with bounded memory and with its own temporary files in one folder.

    Raises:
        StorageError: For whatever GDAL could not write or read back.
    """
    import rasterio
    from rasterio._err import CPLE_BaseError  # what copying raises; no public name
    from rasterio.errors import RasterioError

    options = {
        **CLOSED,
        "GDAL_CACHEMAX": _CACHE_MB,
        "GDAL_TIFF_INTERNAL_MASK": True,
        "CPL_TMPDIR": str(scratch),
    }
    try:
        with rasterio.Env(**options):
            yield
    except (RasterioError, CPLE_BaseError, ImageError) as error:
        raise write_failure(path) from error


def write_failure(path: Path) -> StorageError:
    """Return the sentence for a file that GDAL could not write."""
    free_mb = shutil.disk_usage(path.parent).free / 1e6
    reason = (
        "No space left on the disk. Free some space and try again."
        if free_mb < _FULL_DISK_MB
        else "Cannot be written: the disk did not keep what it was given. Check it, or "
        "choose another folder."
    )
    return StorageError(reason, file=path.name)


def create_raster(path: Any, **options: Any) -> Any:
    """Create a raster as `rasterio.open` does; it need not lie anywhere on the Earth.

    Args:
        path: A file, or the name of one in memory. GDAL deletes what an older file of
            that name names: so that one goes first.
        options: What it holds.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    if isinstance(path, Path):
        path.unlink(missing_ok=True)
    with ignored_warnings(category=NotGeoreferencedWarning):
        return rasterio.open(path, "w", **options)


@contextmanager
def reopened(path: Path, driver: str) -> Iterator[Any]:
    """Open a raster that was written here.

    Raises:
        ImageError: If it is a TIFF that is damaged or names other files.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    if driver == "PNG":
        with ignored_warnings(category=NotGeoreferencedWarning):
            data = rasterio.open(path, driver=driver)
        with data:
            yield data
        return
    with (
        open_source(path, in_parts=True) as source,
        open_tiff(source, in_parts=True) as tiff,
    ):
        yield tiff.data


def grid_options(georeference: Georeference | None) -> dict[str, Any]:
    """Return the properties that put a raster on the grid of its image."""
    import rasterio

    if georeference is None:
        return {}
    return {
        "crs": georeference.crs_wkt or None,
        "transform": rasterio.Affine(*georeference.transform),
    }
