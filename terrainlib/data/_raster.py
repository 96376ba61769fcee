"""Pixels as a file stores them, before any choice of range; shared by the decoders."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data._windows import Window

ALPHA_NOTE: Final = "alpha dropped; fully transparent pixels have no data"


Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Georeference:
    """Where the pixels of a GeoTIFF lie on the Earth.

    Attributes:
        crs_wkt: Coordinate reference system as WKT; empty where the file names none.
        transform: (a, b, c, d, e, f): x = a column + b row + c, y = d column + e row +
            f, for the pixels' corners, in units of the coordinate reference system.
        nodata: Value that marks pixels without data in the file, if one is declared.
    """

    crs_wkt: str
    transform: Transform
    nodata: float | None


@dataclass(frozen=True, slots=True)
class Raster:
    """Decoded pixels with what the file says about them.

    Attributes:
        pixels: (H, W, B) of the file's own type, B = 1 or 3 (RGB).
        valid: (H, W) bool, False where alpha is 0 or the file says no data.
        maximum: Full scale that the file declares (255 for 8 bit); None for floats.
        palette: (n, 3) uint8 colours that the pixels index, if it is a palette image.
        notes: What was done to the pixels, for people.
        georeference: Where they lie, for GeoTIFF.
        file_bands: Bands of the file without alpha, where that is more than B.
    """

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    maximum: int | None
    palette: NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()
    georeference: Georeference | None = None
    file_bands: int = 0

    @property
    def bands(self) -> int:
        """Bands of the file, without alpha."""
        return max(self.file_bands, int(self.pixels.shape[2]))

    def part(self, window: Window) -> "Raster":
        """Return the pixels under a window, as views."""
        return replace(self, pixels=self.pixels[window], valid=self.valid[window])

    def colors(self) -> NDArray[Any]:
        """Return the pixels with a palette applied: (H, W, B)."""
        if self.palette is None:
            return self.pixels
        table = np.zeros((np.iinfo(self.pixels.dtype).max + 1, 3), np.uint8)
        table[: len(self.palette)] = self.palette
        colors: NDArray[Any] = table[self.pixels[..., 0]]
        return colors
