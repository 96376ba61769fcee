"""Masks and heights that lie on another grid than their image, laid onto its grid.

Another resolution, another corner, rows from the south, turned, or in another
coordinate reference system: where both say where they lie, each pixel of the image
takes what lies under its centre. It is done window by window, and each window holds
what the whole would hold there.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.raster import Georeference, Grid, moved_transform, whole
from terrainlib.data.formats.tiff import faults
from terrainlib.errors import ImageError
from terrainlib.types import Window

Number = TypeVar("Number", bound=np.generic)
Index = TypeVar("Index", bound=np.unsignedinteger[Any])

_PROBES: Final = 128  # rows and columns of pixels whose place is computed
_SAME_PX: Final = 0.1  # grids that differ by less are one
_WINDOW_PIXELS: Final = 1 << 20  # of the image, laid at once
_SOURCE_PIXELS: Final = 1 << 24  # read for them
_EDGES: Final = 21  # rows and columns of points that tell what lies under a window
_LEAST: Final = 1e-9
_BEND: Final = 0.05  # how far a straight line may bend in another system, of its length
_ANY_SYSTEM: Final = "EPSG:3857"  # stands for two that are the same, whatever it is


@dataclass(frozen=True, slots=True)
class Fit:
    """How a raster lies on the grid of an image.

    Attributes:
        same: Whether pixel lies on pixel, so that there is nothing to do.
        covered: Share of the image's pixels that it covers, 0 to 1.
    """

    same: bool
    covered: float = 1.0

    def notes(self, how: Literal["nearest", "bilinear"]) -> tuple[str, ...]:
        """Return what is to be known of it, for people.

        Args:
            how: The way in which it is laid.
        """
        if self.same:
            return ()
        told = f"laid onto the grid of its image ({how})"
        missing = 100 * (1 - self.covered)
        if missing > 0:
            share = f"{missing:.3g}" if missing >= 0.1 else "less than 0.1"
            told += f"; {share} % of the image lie outside and have no data"
        return (told,)


def compare(raster: Grid, image: Grid, name: str) -> Fit:
    """Return how a raster lies on an image.

    Without a place on both sides only the sizes are compared. Where one names no
    coordinate reference system it counts as that of the other.

    Args:
        raster: The raster's grid.
        image: The image's.
        name: The raster's name, for messages.

    Raises:
        ImageError: If the sizes differ without a place, the places cannot be compared,
            or the raster covers nothing of the image.
    """
    same_size = (raster.height, raster.width) == (image.height, image.width)
    if raster.place is None or image.place is None:
        if not same_size:
            raise ImageError(
                f"the size is {raster.width} x {raster.height} px, but its image is "
                f"{image.width} x {image.height} px. Make both the same size.",
                file=name,
            )
        return Fit(same=True)
    rows, columns = _probes(image.height), _probes(image.width)
    try:
        y, x = _places(raster.place, image.place, rows, columns)
    except ImageError as error:
        raise _incomparable(name) from error
    if not np.isfinite(y).any():
        raise _incomparable(name)
    apart = max(np.abs(y - rows[:, None]).max(), np.abs(x - columns).max())
    if same_size and apart < _SAME_PX:
        return Fit(same=True)
    inside = (y >= 0) & (y < raster.height) & (x >= 0) & (x < raster.width)
    if not inside.any():
        raise ImageError(
            "it covers nothing of its image: they lie at different places. Give the "
            "one that belongs to the image.",
            file=name,
        )
    return Fit(same=False, covered=float(inside.mean()))


def lay(
    read: Callable[[Window], NDArray[Number]],
    raster: Grid,
    image: Grid,
    window: Window,
    empty: Number,
) -> NDArray[Number]:
    """Return a raster's values under a window of an image, on the image's grid.

    Class indices (uint8) are picked: the nearest one. Heights (float32) are blended
    linearly, as many as lie under a pixel of the image.

    Args:
        read: Returns the raster's own pixels under a window of it, (h, w).
        raster: The raster's grid, with a place.
        image: The image's grid, with a place.
        window: Rows and columns of the image.
        empty: The value that means no data, also where the raster does not reach.

    Returns:
        (h, w) of the type of `empty`.

    Raises:
        ImageError: If the raster cannot be read.
    """
    rows, columns = window
    result = np.full((rows.stop - rows.start, columns.stop - columns.start), empty)
    pair = _Pair.of(raster, image)
    for part, under in pair.parts(window):
        here = (
            slice(part[0].start - rows.start, part[0].stop - rows.start),
            slice(part[1].start - columns.start, part[1].stop - columns.start),
        )
        result[here] = pair.laid(read(under), under, part, empty)
    return result


def lay_mask(
    index: NDArray[Index], raster: Grid, image: Grid, name: str, empty: int = 255
) -> tuple[NDArray[Index], tuple[str, ...]]:
    """Return a class mask on the grid of its image, and what is to be known of that.

    Args:
        index: (H, W) class indices, or other whole numbers.
        raster: The mask's grid.
        image: The image's grid.
        name: The mask's name, for messages.
        empty: The number that means no data.

    Raises:
        ImageError: As for `compare`.
    """
    fit = compare(raster, image, name)
    if fit.same:
        return index, ()
    everywhere = whole(image.height, image.width)
    nothing = index.dtype.type(empty)
    laid = lay(lambda part: index[part], raster, image, everywhere, nothing)
    return laid, fit.notes("nearest")


@dataclass(frozen=True, slots=True)
class _Pair:
    """A raster and the image that it is laid onto.

    Attributes:
        raster: Where the raster lies.
        image: Where the image lies.
        size: (H, W) of the raster, px.
        bent: Whether they are in different coordinate reference systems.
        scale: Pixels of the raster per pixel of the image, down and across.
    """

    raster: Georeference
    image: Georeference
    size: tuple[int, int]
    bent: bool
    scale: tuple[float, float]

    @classmethod
    def of(cls, raster: Grid, image: Grid) -> Self:
        """Return the pair of two grids with a place."""
        if raster.place is None or image.place is None:
            raise _incomparable("")
        return cls(
            raster.place,
            image.place,
            (raster.height, raster.width),
            not one_system(raster.place, image.place),
            _scale(raster.place, image.place, image.height / 2, image.width / 2),
        )

    def parts(self, window: Window) -> Iterator[tuple[Window, Window]]:
        """Yield parts of a window of the image and what lies under each of them.

        Parts under which nothing lies are left out.
        """
        under = self._under(window)
        if under is None:
            return
        if _pixels(window) <= _WINDOW_PIXELS and _pixels(under) <= _SOURCE_PIXELS:
            yield window, under
        elif _pixels(window) == 1:
            yield window, _middle(under)
        else:
            for half in _halves(window):
                yield from self.parts(half)

    def laid(
        self, pixels: NDArray[Number], under: Window, part: Window, empty: Number
    ) -> NDArray[Number]:
        """Return the values of a part of the image from those that lie under it."""
        from rasterio.warp import Resampling, reproject

        out = np.full([side.stop - side.start for side in part], empty)
        blended = out.dtype.kind == "f"
        wkts = (self.raster.crs_wkt, self.image.crs_wkt)
        source, target = wkts if self.bent else (_ANY_SYSTEM, _ANY_SYSTEM)
        down, across = self.scale
        with faults(lambda: _incomparable("")):
            reproject(
                np.ascontiguousarray(pixels),
                out,
                src_transform=_moved(self.raster, under),
                src_crs=source,
                src_nodata=float(empty),
                dst_transform=_moved(self.image, part),
                dst_crs=target,
                dst_nodata=float(empty),
                resampling=Resampling.bilinear if blended else Resampling.nearest,
                tolerance=0,  # exact, so that a window does not matter
                XSCALE=min(1.0, 1 / across),
                YSCALE=min(1.0, 1 / down),
            )
        return out

    def _under(self, window: Window) -> Window | None:
        """Return which pixels of the raster are needed for a window of the image."""
        rows, columns = (np.linspace(s.start, s.stop, _EDGES) for s in window)
        y, x = _places(self.raster, self.image, rows, columns)
        known = np.isfinite(y) & np.isfinite(x)
        if not known.any():
            return None
        under = tuple(
            self._side(found[known], length)
            for found, length in zip((y, x), self.size, strict=True)
        )
        return (under[0], under[1]) if _pixels((under[0], under[1])) else None

    def _side(self, found: NDArray[np.float64], length: int) -> slice:
        """Return the rows, or columns, around some places, and what is blended in."""
        low, high = float(found.min()), float(found.max())
        more = 2 + max(self.scale) + self.bent * _BEND * (high - low)
        start, stop = math.floor(low - more), math.ceil(high + more)
        start, stop = max(0, start), min(length, stop)
        return slice(start, max(start, stop))


@lru_cache(maxsize=256)
def one_system(first: Georeference, second: Georeference) -> bool:
    """Say whether two places are in one coordinate reference system.

    Where one names none it counts as that of the other.
    """
    from rasterio.crs import CRS

    wkts = {first.crs_wkt, second.crs_wkt} - {""}
    if len(wkts) < 2:
        return True
    with faults(lambda: _incomparable("")):
        one, other = (CRS.from_wkt(wkt) for wkt in sorted(wkts))
        return bool(one == other)


def _scale(
    raster: Georeference, image: Georeference, row: float, column: float
) -> tuple[float, float]:
    """Return pixels of a raster per pixel of an image, down and across."""
    rows, columns = np.array([row, row + 1]), np.array([column, column + 1])
    y, x = _places(raster, image, rows, columns)
    down = math.hypot(y[1, 0] - y[0, 0], x[1, 0] - x[0, 0])
    across = math.hypot(y[0, 1] - y[0, 0], x[0, 1] - x[0, 0])
    known = math.isfinite(down) and math.isfinite(across)
    return (max(down, _LEAST), max(across, _LEAST)) if known else (1.0, 1.0)


def _moved(place: Georeference, window: Window) -> Any:
    """Return the transform of a window."""
    from rasterio import Affine

    return Affine(*moved_transform(place.transform, window))


def _places(
    raster: Georeference,
    image: Georeference,
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the row and column of a raster where points of an image's grid lie.

    Args:
        raster: Where the raster lies.
        image: Where the image lies.
        rows: (h,) rows of the image.
        columns: (w,) columns of the image.

    Returns:
        (h, w) rows and (h, w) columns, not finite where a point cannot be placed.
    """
    from rasterio import Affine
    from rasterio.warp import transform

    a, b, c, d, e, f = image.transform
    row, column = rows[:, None], columns[None, :]
    x, y = a * column + b * row + c, d * column + e * row + f
    if not one_system(raster, image):
        with faults(lambda: _incomparable("")):
            found = transform(image.crs_wkt, raster.crs_wkt, x.ravel(), y.ravel())
        x, y = (np.asarray(part, np.float64).reshape(x.shape) for part in found)
    a, b, c, d, e, f = tuple(~Affine(*raster.transform))[:6]
    return d * x + e * y + f, a * x + b * y + c


def _probes(length: int) -> NDArray[np.float64]:
    """Return the middles of evenly spread pixels, the first and the last among them."""
    numbers = np.linspace(0, length - 1, min(length, _PROBES)).round()
    return np.unique(numbers) + 0.5


def _incomparable(name: str) -> ImageError:
    return ImageError(
        "its place cannot be compared with that of its image. Save both in one "
        "coordinate reference system.",
        file=name or None,
    )


def _pixels(window: Window) -> int:
    rows, columns = window
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _halves(window: Window) -> list[Window]:
    """Return a window in two parts, along its longer side."""
    rows, columns = window
    if rows.stop - rows.start > columns.stop - columns.start:
        middle = (rows.start + rows.stop) // 2
        parts = slice(rows.start, middle), slice(middle, rows.stop)
        return [(part, columns) for part in parts]
    middle = (columns.start + columns.stop) // 2
    parts = slice(columns.start, middle), slice(middle, columns.stop)
    return [(rows, part) for part in parts]


def _middle(under: Window) -> Window:
    """Return the middle of what lies under one pixel, where that is too much."""
    side = int(_SOURCE_PIXELS**0.5)
    rows, columns = (
        slice(max(part.start, middle - side // 2), min(part.stop, middle + side // 2))
        for part in under
        for middle in [(part.start + part.stop) // 2]
    )
    return rows, columns
