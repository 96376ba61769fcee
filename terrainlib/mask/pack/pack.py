"""The world-builder's pack: a mask as weights, splat maps and heights, in one zip.

For Unity, Unreal, Godot and Blender: 8-bit weights of each class that sum to 255 in
every pixel, RGBA splat maps of four classes each, the class mask, the palette, the
heights with 16 bits, and a text that says how to import them. The same input gives the
same bytes.

The text is `guide.txt` with the numbers of the pack in it. In the guide `#` begins a
heading, `*` a file, `-` a step, which is numbered; names in braces are those of
`pack.json`, and a few made here. What begins with a word in brackets is for those packs
alone of which the word is true.
"""

import io
import json
import math
import re
import textwrap
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from terrainlib import files
from terrainlib.data.formats.raster import Georeference
from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.errors import ConfigError, ImageError
from terrainlib.mask.ground.equalarea import corner_places, read_crs
from terrainlib.mask.pack.planes import Frame, make_heights, make_planes
from terrainlib.mask.rasters.png import encode_png, index_png, mask_png
from terrainlib.types import ByteArray

Engine = Literal["source", "unity", "unreal"]
Fit = Literal["crop", "stretch"]
ENGINES: Final[tuple[Engine, ...]] = get_args(Engine)
FITS: Final[tuple[Fit, ...]] = get_args(Fit)
SIZES: Final[dict[Engine, tuple[int, ...]]] = {
    "source": (),
    "unity": tuple(2**n + 1 for n in range(5, 13)),
    "unreal": (127, 253, 505, 1009, 2017, 4033, 8129),
}
MAX_SOURCE_MEGAPIXELS: Final = 80

_CHANNELS: Final = ("red", "green", "blue", "alpha")
_HIGHEST: Final = 65535
# Unreal keeps a height as 16 bits: (value - 32768) / 128 centimetres, times the scale.
_UNREAL_STEPS: Final = 128
_UNREAL_MIDDLE: Final = 32768
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o644 << 16
_GUIDE: Final = Path(__file__).with_name("guide.txt")
_BEGINNING: Final = re.compile(r"(?:(##?|[*-]) )?(?:\[(\w+)\] )?")
_WIDTH: Final = 78
_fill: Final = partial(
    textwrap.fill, width=_WIDTH, break_long_words=False, break_on_hyphens=False
)


@dataclass(frozen=True, slots=True)
class PackTarget:
    """What a pack is made for.

    Attributes:
        engine: `source` keeps the image's own size, `unity` and `unreal` give a square
            of one of the sizes that these engines take.
        size_px: Size of the heightmap, one of `SIZES`; None for `source`. The weights
            of Unity have one pixel less (its control textures are powers of two), those
            of Unreal the same size.
        fit: How a square comes of an image that is none: `crop` takes the middle,
            `stretch` keeps all and makes pixels that are longer one way.

    Raises:
        ConfigError: If one of them is none of these.
    """

    engine: Engine = "source"
    size_px: int | None = None
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ConfigError(
                f"a pack is made for one of {', '.join(ENGINES)}, not for "
                f"{self.engine!r}. Choose one of them."
            )
        if self.fit not in FITS:
            raise ConfigError(
                f"the image is fitted by one of {', '.join(FITS)}, not by "
                f"{self.fit!r}. Choose one of them."
            )
        sizes = SIZES[self.engine]
        if self.size_px not in (sizes or (None,)):
            listed = f"heightmaps of {', '.join(map(str, sizes))} px"
            raise ConfigError(
                f"{self.engine.capitalize()} takes {listed if sizes else 'no size'}, "
                f"not {self.size_px!r}. Choose what it takes."
            )


@dataclass(frozen=True, slots=True, eq=False)
class PackContent:
    """What goes into a pack.

    Attributes:
        weights: (H, W, K) uint8 in 255ths of the classes, summing to 255, or to 0 where
            there is no data. A memory map will do; it is read by rows.
        classes: The K classes.
        mask: (H, W) uint8 class mask, 255 = no data.
        height: (H, W) float32 in metres, NaN where there is none; None without.
        georeference: Where the image's pixels lie, for true scales; None if not known.
        name: What the pack shows, for its text.

    Raises:
        ImageError: If sizes or the number of classes do not fit.
    """

    weights: ByteArray
    classes: Classes
    mask: ByteArray
    height: NDArray[np.float32] | None = None
    georeference: Georeference | None = None
    name: str = "Terrain"

    def __post_init__(self) -> None:
        size = (*self.mask.shape, len(self.classes))
        _check_size("weights", self.weights, size, self.name)
        if self.height is not None:
            _check_size("heights", self.height, size[:2], self.name)


def write_pack(
    path: Path, content: PackContent, target: PackTarget | None = None
) -> None:
    """Write a pack as a zip file, atomically.

    Raises:
        ImageError: If the image is too large for its own size, or has no data.
        StorageError: If the disk is full, read-only or failing; the old file is intact.
    """
    target = target or PackTarget()
    frame = frame_of(target, content.mask.shape, content.name)
    count = len(content.classes)
    most = math.prod(frame.size) * (count + 4 * ((count + 3) // 4) + 5)
    files.require_free_space(path.parent, most + 4 * math.prod(frame.height_size))
    with files.atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as pack:
        for file, data in _files(content, target, frame):
            info = zipfile.ZipInfo(file, _DATE)
            info.create_system = 3
            info.external_attr = _MODE
            packed = file.endswith(".png")  # compressed by itself
            info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            pack.writestr(info, data)


def frame_of(target: PackTarget, size: tuple[int, int], name: str) -> Frame:
    """Return what of an image a target shows.

    Raises:
        ImageError: If the image is too large for its own size to be kept.
    """
    height, width = size
    if target.engine == "source" or target.size_px is None:
        if height * width > MAX_SOURCE_MEGAPIXELS * 10**6:
            raise ImageError(
                f"{width:,} x {height:,} px are too many for a pack at the image's own "
                f"size; the limit is {MAX_SOURCE_MEGAPIXELS} megapixels. Choose a size "
                "for Unity or Unreal.",
                file=name,
            )
        return Frame(slice(0, height), slice(0, width), size, size)
    side = min(size)
    left_out = [length - side if target.fit == "crop" else 0 for length in size]
    rows, columns = (
        slice(out // 2, out // 2 + length - out)
        for out, length in zip(left_out, size, strict=True)
    )
    square = (target.size_px, target.size_px)
    if target.engine == "unreal":
        return Frame(rows, columns, square, square, corners=True, weight_corners=True)
    cells = (target.size_px - 1, target.size_px - 1)
    return Frame(rows, columns, cells, square, corners=True)


def pixel_size(
    georeference: Georeference | None, height: int, width: int
) -> tuple[float, float] | None:
    """Return how wide and high the pixel in the image's middle is, in metres.

    Along the ellipsoid, whatever the units of the reference system; None where that is
    not known.
    """
    crs = read_crs(georeference)
    if crs is None or georeference is None or crs.geodetic_crs is None:
        return None
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    rows = height / 2 + np.array([0.0, 0.0, -0.5, 0.5])
    columns = width / 2 + np.array([-0.5, 0.5, 0.0, 0.0])
    x, y = corner_places(georeference, rows, columns)
    ground = crs.geodetic_crs.to_2d()
    try:
        to_ground = Transformer.from_crs(crs, ground, always_xy=True)
    except ProjError:
        return None
    lon, lat = (np.asarray(part) for part in to_ground.transform(x, y))
    geod = crs.get_geod()
    if geod is None or not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    unit = math.degrees(ground.axis_info[0].unit_conversion_factor)
    lon, lat = lon * unit, lat * unit
    _, _, lengths = geod.inv(lon[[0, 2]], lat[[0, 2]], lon[[1, 3]], lat[[1, 3]])
    across, down = (float(length) for length in lengths)
    return (across, down) if across > 0 and down > 0 else None


def _check_size(
    what: str, plane: NDArray[Any], size: tuple[int, ...], name: str
) -> None:
    if plane.shape != size:
        found, needed = (" x ".join(map(str, one)) for one in (plane.shape, size))
        raise ImageError(
            f"the {what} are {found}, but {needed} are needed (rows x columns, and the "
            "classes of weights). Give what belongs to this image.",
            file=name,
        )


def _files(
    content: PackContent, target: PackTarget, frame: Frame
) -> Iterator[tuple[str, bytes]]:
    """Give the files of a pack by name, each made when its turn comes."""
    planes, mask = make_planes(content.weights, content.mask, frame)
    unknown = mask == NO_DATA
    heights = None if content.height is None else make_heights(content.height, frame)
    numbers = _numbers(content, target, frame, heights)
    numbers |= {"no_data_file": "no_data.png" if unknown.any() else None}
    palette = _palette(content.classes)
    text = _readme(numbers, palette).replace("\n", "\r\n")
    yield "README.txt", text.encode("utf-8-sig")
    yield "pack.json", _json(numbers)
    yield "palette.json", _json(palette)
    for item, plane in zip(palette, planes, strict=True):
        yield item["weight"], encode_png(plane)
    for number, item in enumerate(palette[::4]):
        rgba = np.zeros((*frame.size, 4), np.uint8)  # channels without a class are 0
        for channel, plane in enumerate(planes[4 * number : 4 * number + 4]):
            rgba[..., channel] = plane
        yield item["splat"], encode_png(rgba)
    yield "class_index.png", index_png(mask, content.classes)
    yield "class_colors.png", mask_png(mask, content.classes)
    if numbers["no_data_file"]:
        yield numbers["no_data_file"], encode_png(unknown * np.uint8(255))
    if heights is not None:
        png, raw = numbers["height_files"]
        low, high = numbers["height_m"].values()
        scale = _HIGHEST / (high - low) if high > low else 0.0
        values = np.rint((heights.astype(np.float64) - low) * scale).astype(np.uint16)
        grey = io.BytesIO()
        PillowImage.fromarray(values).save(grey, "PNG", compress_level=4)
        yield png, grey.getvalue()
        yield raw, values.astype("<u2").tobytes()


def _numbers(
    content: PackContent,
    target: PackTarget,
    frame: Frame,
    heights: NDArray[np.float32] | None,
) -> dict[str, Any]:
    rows, columns = frame.rows, frame.columns
    part = [columns.stop - columns.start, rows.stop - rows.start]
    pixel = pixel_size(content.georeference, *content.mask.shape)
    ground = [px * metres for px, metres in zip(part, pixel or (1.0, 1.0), strict=True)]
    gaps = [max(px - frame.corners, 1) for px in frame.height_size[::-1]]
    spacing = [length / count for length, count in zip(ground, gaps, strict=True)]
    low = high = 0.0
    of_heights: dict[str, Any] = {
        "height_size_px": None,
        "height_m": None,
        "height_files": [],
    }
    if heights is not None:
        low, high = float(heights.min()), float(heights.max())
        raw = "raw" if target.engine == "unity" else "r16"  # as their file dialogs show
        of_heights = {
            "height_size_px": list(frame.height_size[::-1]),
            "height_m": {"at_0": low, "at_65535": high},
            "height_files": ["height_16bit.png", f"height.{raw}"],
        }
    return {
        "name": "".join(filter(str.isprintable, content.name))[:80] or "Terrain",
        "engine": target.engine,
        "fit": target.fit,
        "image_size_px": list(content.mask.shape[::-1]),
        "part_px": {
            "left": columns.start,
            "top": rows.start,
            "width": part[0],
            "height": part[1],
        },
        "size_px": list(frame.size[::-1]),
        **of_heights,
        "no_data_file": None,
        "pixel_m": None if pixel is None else list(pixel),
        "ground_m": ground,
        "height_spacing_m": spacing,
        "unreal": {
            "scale": [
                *(100 * metres for metres in spacing),
                100 * (high - low) * _UNREAL_STEPS / _HIGHEST,
            ],
            "location_z_cm": 100 * (low + (high - low) * _UNREAL_MIDDLE / _HIGHEST),
        },
    }


def _palette(classes: Classes) -> list[dict[str, Any]]:
    """Return the classes with the files that hold them; reads as a `classes.json`."""
    return [
        {
            "index": number,
            "name": item.name,
            "color": list(item.color),
            "weight": f"weights/{number}_{_safe(item.name)}.png",
            "splat": f"splat/splat_{number // 4}.png",
            "channel": _CHANNELS[number % 4],
        }
        for number, item in enumerate(classes)
    ]


def _json(value: Any) -> bytes:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def _safe(name: str) -> str:
    """Return a name as part of a file name that every system and engine takes."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "_", ascii_only).strip("_")[:40] or "class"


_Json = Mapping[str, Any]


def _readme(numbers: _Json, palette: Sequence[_Json]) -> str:
    """Return the text, lines of at most 78 characters where names allow."""
    values = _values(numbers, palette)
    words = _true_words(numbers, palette)
    text, step, before = "", 0, ""
    for paragraph in _GUIDE.read_text("utf-8").strip().split("\n\n"):
        kind, word = _BEGINNING.match(paragraph).groups("")  # type: ignore[union-attr] # may be empty
        if word and word not in words:
            continue
        plain = _BEGINNING.sub("", paragraph, count=1).format_map(values)
        step = step + 1 if kind == "-" else 0
        text += "\n" if kind in ("*", "-") and kind == before else "\n\n"
        text += _laid_out(kind, plain, step)
        before = "*" if paragraph == "{class_files}" else kind
    return text.strip() + "\n"


def _laid_out(kind: str, text: str, step: int) -> str:
    if kind in ("#", "##"):
        line = "=" if kind == "#" else "-"
        return f"{text}\n{line * min(len(text), _WIDTH)}"
    if kind == "*":
        return _fill(text, initial_indent="  ", subsequent_indent="      ")
    if kind == "-":
        return _fill(text, initial_indent=f"  {step}. ", subsequent_indent="     ")
    return text if text.startswith("  ") else _fill(text)


def _true_words(numbers: _Json, palette: Sequence[_Json]) -> set[str]:
    engine, part = numbers["engine"], numbers["part_px"]
    words = {
        "heights" if numbers["height_m"] else "flat",
        "measured" if numbers["pixel_m"] else "assumed",
        *(f"not_{name}" for name in ("unity", "unreal") if name != engine),
    }
    if numbers["no_data_file"]:
        words.add("no_data")
    if len(palette) > 8:
        words.add("many")
    if engine != "source":
        width, height = numbers["image_size_px"]
        whole = (part["width"], part["height"]) == (width, height)
        fitted = "resized" if width == height else "stretched"
        words.add(fitted if whole else "cropped")
    return words


def _values(numbers: _Json, palette: Sequence[_Json]) -> dict[str, Any]:
    size, heights = numbers["size_px"], numbers["height_m"]
    high_size = numbers["height_size_px"] or size
    splats: dict[str, list[str]] = {}
    for item in palette:
        channel = f"{item['channel']} {item['name']}"
        splats.setdefault(item["splat"], []).append(channel)
    about = {item["weight"]: f"8-bit weight of {item['name']}," for item in palette}
    about |= {file: f"RGBA splat map, {', '.join(of)}," for file, of in splats.items()}
    fits = numbers["engine"] == "unity"
    made_here = {
        "size": "{} x {}".format(*size),
        "height_size": "{} x {}".format(*high_size),
        "span": heights["at_65535"] - heights["at_0"] if heights else None,
        "spacing": _spacing(*numbers["height_spacing_m"]),
        "class_files": "\n".join(
            _laid_out("*", f"{file}: {what} {size[0]} x {size[1]} px", 0)
            for file, what in about.items()
        ),
        "unity_sizes": f"{SIZES['unity'][0]} to {SIZES['unity'][-1]}",
        "unreal_sizes": ", ".join(map(str, SIZES["unreal"])),
        "unity_resolution": high_size[0] if fits else "of the resized file",
        "unity_cells": size[0] if fits else "that of the resized splat maps",
        "count": len(palette),
        "classes": ", ".join(item["name"] for item in palette),
        "weights": ", ".join(item["weight"] for item in palette),
        "splats": ", ".join(splats),
    }
    return {name: _in_words(value) for name, value in {**numbers, **made_here}.items()}


def _spacing(across: float, down: float) -> str:
    """Return the distance between heights; the plugin has one for both directions."""
    text = f"{_in_words(across)} m"
    if abs(across - down) < 0.01 * across:
        return text
    return f"{text} (from north to south it is {_in_words(down)} m)"


def _in_words(value: Any) -> Any:
    """Return numbers with at most 4 decimals that count, within lists and objects."""
    if isinstance(value, dict):
        return {name: _in_words(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_words(item) for item in value]
    if not isinstance(value, float):
        return value
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
