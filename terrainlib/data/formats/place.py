"""Where the pixels of a file lie: what the file says itself, or a world file beside it.

A world file is looked for by the image's own name in its own folder, as a regular file
of a few lines. Nothing that is named inside a file is ever opened.
"""

import math
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from terrainlib.data.formats.categories import CATEGORIES_ENDING
from terrainlib.data.formats.raster import Georeference, Transform
from terrainlib.data.formats.source import OpenSource, open_regular
from terrainlib.errors import ImageError

_FARTHEST: Final = 1e15  # in any unit: no place on the Earth is so far from another
_SMALLEST: Final = 1e-12  # side of a pixel as a share of that: less is lost in rounding
_WORLD_BYTES: Final = 4096
_WORLD_NUMBERS: Final = 6
_WORLD: Final = {  # endings of world files, by that of the image
    "tif": ("tfw", "tifw"),
    "tiff": ("tfw", "tiffw", "tifw"),
    "png": ("pgw", "pngw"),
    "jpg": ("jgw", "jpgw"),
    "jpeg": ("jgw", "jpegw", "jpgw"),
}
_ANY_WORLD: Final = "wld"
MASK_ENDING: Final = ".msk"  # behind the whole name of a TIFF: `a.tif.msk`
# How the names of files end that say something of an image beside them.
BESIDE: Final = (
    *(f".{ending}" for endings in _WORLD.values() for ending in endings),
    f".{_ANY_WORLD}",
    MASK_ENDING,
    CATEGORIES_ENDING,
)

Place = tuple[Georeference | None, tuple[str, ...]]


def read_place(data: Any) -> Place:
    """Return where the pixels of a TIFF lie, and what is to be known of that.

    Args:
        data: Rasterio's data set.

    Returns:
        None where the file does not say, or nowhere where pixels could lie.
    """
    wkt = _wkt(data)
    if not wkt and data.transform.is_identity:
        return None, ()
    transform = _six(data.transform)
    if not _is_place(transform, data.height, data.width):
        note = "its georeference is not a place on the Earth; read as a plain picture"
        return None, (note,)
    return Georeference(wkt, transform, data.nodata), ()


def tiff_place(source: OpenSource, data: Any) -> Place:
    """Return where the pixels of a TIFF lie, a world file beside it included.

    Args:
        source: The file.
        data: Rasterio's data set of it.
    """
    if not data.transform.is_identity:
        return read_place(data)
    place, notes = world_place(source, data.height, data.width, wkt=_wkt(data))
    if place is not None:
        return place, notes
    place, own = read_place(data)
    return place, own + notes


def world_place(source: OpenSource, height: int, width: int, *, wkt: str = "") -> Place:
    """Return where the pixels of a picture lie by the world file beside it.

    Args:
        source: The picture.
        height: Rows as stored, px.
        width: Columns as stored, px.
        wkt: The coordinate reference system, where the file itself names one.

    Returns:
        None without a world file, or where it holds no place; a note says which file
        was used, or why it was not.
    """
    path = _world_file(source)
    if path is None:
        return None, ()
    transform = _read_world(path)
    if transform is None or not _is_place(transform, height, width):
        return None, (f"its world file {path.name} holds no place and is not used",)
    system = "" if wkt else "; it names no coordinate reference system"
    return (
        Georeference(wkt, transform, None),
        (f"placed by its world file {path.name}{system}",),
    )


def turning(
    place: Georeference | None, orientation: int, tag: str
) -> tuple[int, tuple[str, ...]]:
    """Return how a picture is turned when it is read, and what is to be known of that.

    One with a place stays as it is stored, as everywhere in geography: its place is
    that of the stored pixels.

    Args:
        place: Where it lies.
        orientation: What the file asks for, 1 to 8 as in EXIF.
        tag: What it asks by, for people.
    """
    if orientation == 1:
        return 1, ()
    if place is None:
        return orientation, (f"turned upright, as its {tag} says",)
    return 1, (f"not turned as its {tag} says: its place is that of the stored pixels",)


def world_lines(transform: Transform) -> str:
    """Return the text of a world file: six lines, for the first pixel's centre."""
    a, b, c, d, e, f = transform
    centre = (c + (a + b) / 2, f + (d + e) / 2)
    return "".join(f"{number:.12g}\n" for number in (a, d, b, e)) + "".join(
        f"{number:.15g}\n" for number in centre
    )


def sidecar(source: OpenSource, names: Iterable[str], limit_bytes: int) -> Path | None:
    """Return the first of some files beside an image that is there.

    Args:
        source: The image; bytes have nothing beside them.
        names: Names in its folder.
        limit_bytes: Larger files do not count; nor do links, pipes and folders.
    """
    if source.path is None:
        return None
    folder = str(source.path)[: -len(source.path.name)]
    for name in names:
        place = f"{folder}{name}"  # plain texts: this is asked for every picture
        try:
            if not os.access(place, os.F_OK):  # cheaper than an error
                continue
            facts = os.lstat(place)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(facts.st_mode) and facts.st_size <= limit_bytes:
            return Path(place)
    return None


def world_names(name: str) -> list[str]:
    """Return how the world file of an image may be named: `a.tfw`, `a.tifw`, `a.wld`.

    Args:
        name: The image's, such as `a.tif`.
    """
    stem, _, ending = name.rpartition(".")
    endings = (*_WORLD.get(ending.lower(), ()), _ANY_WORLD)
    return [
        f"{stem or name}.{case}" for known in endings for case in (known, known.upper())
    ]


def _world_file(source: OpenSource) -> Path | None:
    if source.path is None:
        return None
    return sidecar(source, world_names(source.path.name), _WORLD_BYTES)


def _read_world(path: Path) -> Transform | None:
    """Return the six numbers of a world file, for the pixels' corners; None if odd."""
    try:
        with open_regular(path, path.name) as handle:
            text = handle.read(_WORLD_BYTES).decode("ascii", "replace")
    except (ImageError, OSError):
        return None
    words = text.replace(",", ".").split()[:_WORLD_NUMBERS]
    try:
        a, d, b, e, x, y = (float(word) for word in words)
    except ValueError:
        return None
    return a, b, x - (a + b) / 2, d, e, y - (d + e) / 2


def _wkt(data: Any) -> str:
    from rasterio.errors import CRSError

    try:
        return str(data.crs.to_wkt()) if data.crs else ""
    except CRSError:
        return ""


def _six(transform: Any) -> Transform:
    a, b, c, d, e, f = tuple(transform)[:6]
    return a, b, c, d, e, f


def _is_place(transform: Transform, height: int, width: int) -> bool:
    """Say whether pixels have places of their own: finite, apart, and not in a line."""
    a, b, c, d, e, f = transform
    farthest = max(
        abs(a) * width + abs(b) * height + abs(c),
        abs(d) * width + abs(e) * height + abs(f),
    )
    if not (all(map(math.isfinite, transform)) and farthest <= _FARTHEST):
        return False
    across, down = math.hypot(a, d), math.hypot(b, e)
    apart = min(across, down) > _SMALLEST * farthest
    return apart and abs(a * e - b * d) > _SMALLEST * across * down
