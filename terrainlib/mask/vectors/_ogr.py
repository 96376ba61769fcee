"""The library that writes vector files, with all but two of its formats closed.

It brings a GDAL of its own, which reads the same variables of the environment as
rasterio's when it is loaded, and complains on the console about each name it does not
know. So it is loaded with a list of its own, silently, after rasterio has read its one.
"""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib._gdal import GDAL_SKIP_VECTOR
from terrainlib.data._quiet import unsaid
from terrainlib.mask.rasters.gdalwork import write_failure

_SILENT: Final = {"GDAL_SKIP": GDAL_SKIP_VECTOR, "CPL_LOG": os.devnull}
_LOCK = threading.Lock()


def load_ogr() -> Any:
    """Return pyogrio, able to write GeoPackage and GeoJSON and nothing else."""
    with _LOCK:
        if "pyogrio" not in sys.modules:
            import rasterio

            with rasterio.Env(), _environment(_SILENT):
                import pyogrio
        import pyogrio.raw
    return pyogrio


def write_layer(
    path: Path,
    geometry: NDArray[np.object_],
    fields: Mapping[str, NDArray[Any]],
    **options: Any,
) -> None:
    """Write polygons with their attributes as a file of one layer.

    Args:
        path: The file; there is none yet.
        geometry: (n,) polygons as WKB.
        fields: (n,) values of each attribute.
        options: As of `pyogrio.raw.write`, and of GDAL's driver.

    Raises:
        StorageError: If it cannot be written.
    """
    ogr = load_ogr()
    errors = (
        ogr.errors.DataSourceError,
        ogr.errors.DataLayerError,
        ogr.errors.FeatureError,
        ogr.errors.GeometryError,
    )
    try:
        with _LOCK, unsaid(".*'crs' was not provided"):
            ogr.raw.write(
                path,
                geometry,
                list(fields.values()),
                list(fields),
                geometry_type="Polygon",
                **options,
            )
    except errors as error:
        raise write_failure(path) from error


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
