"""Heights in metres, whole or by window, by the scale and unit that the file names.

What lies under -500 m or over 9,000 m is no land but a void that was filled with some
number; it has no height. Heights on another grid are laid onto that of their image.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats import geotiff, pngjpeg
from terrainlib.data.formats.geotiff import TiffPicture
from terrainlib.data.formats.grids import compare, lay
from terrainlib.data.formats.raster import (
    Georeference,
    Grid,
    Raster,
    check_window,
    sample_windows,
    whole,
)
from terrainlib.data.formats.source import (
    ImageSource,
    damaged,
    open_source,
)
from terrainlib.data.formats.tiff import faults
from terrainlib.errors import ImageError
from terrainlib.types import FloatArray, Window

LOWEST_M: Final = -500.0
HIGHEST_M: Final = 9000.0
_FOOT_M: Final = 0.3048
_SURVEY_FOOT_M: Final = 1200 / 3937
_METRES: Final = {
    **dict.fromkeys(("", "m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("dm", "decimetre", "decimetres", "decimeters"), 0.1),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeters"), 0.01),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometers"), 1000.0),
    **dict.fromkeys(("ft", "foot", "feet", "international foot"), _FOOT_M),
    **dict.fromkeys(
        ("us-ft", "ftus", "us survey foot", "us_survey_foot", "us survey feet"),
        _SURVEY_FOOT_M,
    ),
}


@dataclass(frozen=True, slots=True)
class Measure:
    """How stored samples become metres: (sample * scale + offset) * unit.

    Attributes:
        scale: Of a sample, in units.
        offset: Of 0, in units.
        unit: Metres in a unit.
        notes: What that does to the heights, for people.
    """

    scale: float = 1.0
    offset: float = 0.0
    unit: float = 1.0
    notes: tuple[str, ...] = ()


def read_measure(data: Any) -> Measure:
    """Return how the first band of a TIFF is measured, from rasterio's data set."""
    scale, offset = float(data.scales[0]), float(data.offsets[0])
    notes: list[str] = []
    if not (np.isfinite([scale, offset]).all() and scale):
        notes.append(
            f"its scale {scale:g} with offset {offset:g} makes no sense and is not used"
        )
        scale, offset = 1.0, 0.0
    elif (scale, offset) != (1.0, 0.0):
        added = f" and offset {offset:g}" if offset else ""
        notes.append(f"heights by its scale {scale:g}{added}")
    name = " ".join((data.units[0] or "").split())
    unit = _METRES.get(name.lower())
    if unit is None:
        shown = "".join(c if c.isprintable() else "?" for c in name)[:40]
        notes.append(f"its unit {shown!r} is not known; taken as metres")
    elif unit != 1:
        notes.append(f"heights in {name}, converted to metres")
    return Measure(scale, offset, unit or 1.0, tuple(notes))


def to_metres(
    raster: Raster, measure: Measure | None = None
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the first band as metres, and where it holds voids.

    Args:
        raster: The samples.
        measure: What they mean; without it they are metres.

    Returns:
        (H, W) float32, NaN where there is no data; and (H, W) bool, True where a number
        is that can be no height. There the first is NaN too.
    """
    measure = measure or Measure()
    with np.errstate(over="ignore", invalid="ignore"):
        samples = raster.pixels[..., 0]
        if (measure.scale, measure.offset, measure.unit) == (1.0, 0.0, 1.0):
            metres = samples.astype(np.float32)
        else:
            wide = samples * measure.scale + measure.offset
            metres = np.asarray(wide * measure.unit, np.float32)
        void = raster.valid & ((metres < LOWEST_M) | (metres > HIGHEST_M))
    metres[void | ~raster.valid] = np.nan
    return metres, void


@dataclass(frozen=True, slots=True, eq=False)
class Heights:
    """Heights that are read by window.

    Attributes:
        name: Name of the file, without folders.
        height: Rows, px.
        width: Columns, px.
        notes: What reading does to them, one phrase each, for people.
        place: Where they lie on the Earth, if the file says so.
    """

    name: str
    height: int
    width: int
    _read: Callable[[Window], FloatArray] = field(repr=False)
    notes: tuple[str, ...] = ()
    place: Georeference | None = None

    @property
    def grid(self) -> Grid:
        """Their size and place."""
        return Grid(self.height, self.width, self.place)

    def read(self, window: Window) -> FloatArray:
        """Return a window of the heights.

        Args:
            window: Rows and columns, within the image.

        Returns:
            (h, w) float32 metres, NaN where there are none; the caller's own.

        Raises:
            ImageError: If the file turns out to be cut off or damaged there.
            ConfigError: If the window is empty or reaches over the edge.
        """
        check_window(window, self.height, self.width)
        return self._read(window)

    def read_all(self) -> FloatArray:
        """Return all of them, (H, W) float32 metres, NaN where there are none."""
        return self.read(whole(self.height, self.width))

    def on(self, image: Grid) -> "Heights":
        """Return the heights on the grid of an image.

        Args:
            image: The image's size and place.

        Returns:
            These where pixel lies on pixel already, or one of both has no place; else
            they are blended linearly, and the notes say so.

        Raises:
            ImageError: If they cover nothing of the image, or cannot be compared.
        """
        own = self.grid
        if own.place is None or image.place is None:
            return self
        fit = compare(own, image, self.name)
        if fit.same:
            return self
        return Heights(
            self.name,
            image.height,
            image.width,
            lambda window: lay(self._read, own, image, window, np.float32(np.nan)),
            (*self.notes, *fit.notes("bilinear")),
            image.place,
        )


def heights_of(height: FloatArray, *, name: str = "heights") -> Heights:
    """Return heights in memory, (H, W) float32 metres, to read by window."""
    rows, columns = height.shape
    return Heights(name, rows, columns, lambda window: height[window].copy())


@contextmanager
def open_heights(source: ImageSource, *, name: str | None = None) -> Iterator[Heights]:
    """Open heights to read them by window, and close them afterwards.

    Args:
        source: Path or bytes of a single-band file.
        name: Name for messages; without it the file's.

    Raises:
        ImageError: If the file cannot be read, has colours, or no height in it is one.
    """
    with open_source(source, name, in_parts=True) as opened:
        if opened.kind != "TIFF":
            yield _in_memory(pngjpeg.decode(opened), Measure(), opened.name)
            return
        marks, _ = geotiff.read_marks(opened)
        alpha = len(marks) > 1 and marks[-1].color == "alpha"
        _check_bands(len(marks) - alpha, marks[0].color == "palette", opened.name)
        with geotiff.open_picture(opened, in_parts=True) as picture:
            yield _by_window(picture, _measure_of(picture), opened.name)


def read_heights(source: ImageSource, *, name: str | None = None) -> Heights:
    """Return heights as `open_heights` does, but decoded at once.

    Raises:
        ImageError: If the file cannot be read, is too large to be read whole, has
            colours, or no height in it is one.
    """
    with open_source(source, name) as opened:
        if opened.kind != "TIFF":
            return _in_memory(pngjpeg.decode(opened), Measure(), opened.name)
        with geotiff.open_picture(opened) as picture:
            raster = geotiff.read_all(picture)
            return _in_memory(raster, _measure_of(picture), opened.name)


def read_height(source: ImageSource, *, name: str | None = None) -> FloatArray:
    """Return heights in metres, (H, W) float32, NaN where there is no data.

    Args:
        source: Path or bytes of a single-band file.
        name: Name for messages; without it the file's.

    Raises:
        ImageError: As for `read_heights`.
    """
    return read_heights(source, name=name).read_all()


def _measure_of(picture: TiffPicture) -> Measure:
    with faults(lambda: damaged(picture.tiff.source.name)):
        return read_measure(picture.tiff.data)


def _in_memory(raster: Raster, measure: Measure, name: str) -> Heights:
    """Return decoded heights."""
    _check_bands(raster.bands, raster.palette is not None, name)
    metres, void = to_metres(raster, measure)
    told = _void_note(metres, int(void.sum()), name)
    return replace(
        heights_of(metres, name=name),
        notes=measure.notes + told,
        place=raster.georeference,
    )


def _by_window(picture: TiffPicture, measure: Measure, name: str) -> Heights:
    """Return the heights of an open file; voids are counted in a sample."""
    height, width = picture.height, picture.width
    found = [
        to_metres(picture.raster(window), measure)
        for window in sample_windows(height, width)
    ]
    metres = np.concatenate([part.ravel() for part, _ in found])
    told = _void_note(metres, sum(int(void.sum()) for _, void in found), name)

    def read(window: Window) -> FloatArray:
        return to_metres(picture.raster(window), measure)[0]

    place = picture.georeference
    return Heights(name, height, width, read, measure.notes + told, place)


def _void_note(metres: FloatArray, voids: int, name: str) -> tuple[str, ...]:
    """Return a note on voids, none where there are none.

    Raises:
        ImageError: If nothing else is there.
    """
    if not voids:
        return ()
    if not np.isfinite(metres).any():
        raise ImageError(
            f"none of its heights lies between {LOWEST_M:,.0f} m and {HIGHEST_M:,.0f} "
            "m. Save metres, or name scale and unit in a GeoTIFF.",
            file=name,
        )
    percent = 100 * voids / metres.size
    share = f"{percent:.3g}" if percent >= 0.01 else "less than 0.01"
    return (
        f"{share} % of the heights lie under {LOWEST_M:,.0f} m or over "
        f"{HIGHEST_M:,.0f} m and are taken as no data",
    )


def _check_bands(bands: int, palette: bool, name: str) -> None:
    if bands != 1 or palette:
        kind = "a colour palette" if bands == 1 else f"{bands} bands"
        raise ImageError(
            f"{kind}; a height file has 1 band of metres. Save it as 16-bit PNG or "
            "TIFF with one band.",
            file=name,
        )
