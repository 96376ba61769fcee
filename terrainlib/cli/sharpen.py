"""The command `sharpen`."""

import argparse
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.cli.console import note
from terrainlib.data.formats.place import world_lines
from terrainlib.data.formats.raster import Georeference, upright, whole
from terrainlib.data.formats.source import open_source
from terrainlib.data.formats.tiff import read_stored
from terrainlib.data.imagery import read_image, read_size
from terrainlib.data.labels.scenes import (
    open_stored,
    part_place,
    write_part,
)
from terrainlib.errors import FailureError, InputError
from terrainlib.mask.rasters.png import encode_png
from terrainlib.mask.sharpen import sharpen
from terrainlib.mask.tiles.bands import to_bytes
from terrainlib.types import BoolArray, ByteArray

_TIFF: Final = (".tif", ".tiff")
_WORLD: Final = {".png": ".pgw", ".jpg": ".jgw", ".jpeg": ".jgw"}
SUFFIXES: Final = (*_WORLD, *_TIFF)
_JPEG_QUALITY = 95


def sharpen_image(options: argparse.Namespace) -> int:
    """Sharpen an image into a new file of the same size.

    A TIFF is written with the bands, the type of samples and the place of the image; a
    PNG or JPEG in 8-bit colours, with a world file where the image has a place.

    Raises:
        InputError: If the image or an option is not usable; nothing is written then.
    """
    _check_out(options.out, options.image)
    if options.out.suffix.lower() in _TIFF:
        _sharpen_stored(options)
        return 0
    image = read_image(options.image)
    for text in image.notes:
        note(f"{image.name}: {text}")
    result = _sharpened(_as_stored(image.rgb), options)
    files.write_bytes(options.out, _encode(to_bytes(result), options.out.suffix))
    if image.georeference is not None:
        _write_world(options.out, image.georeference)
    return 0


def _check_out(out: Path, image: Path) -> None:
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"the format is chosen by the name's end, and {out.suffix!r} is none of "
            ".png, .jpg, .jpeg, .tif and .tiff. Rename it.",
            file=out.name,
        )
    if out.is_dir():
        raise InputError("is a folder. Name a file to write.", file=out.name)
    if out.exists() and image.exists() and out.samefile(image):
        raise InputError(
            "would be overwritten. Give the result another name.", file=image.name
        )


def _sharpened(pixels: NDArray[Any], options: argparse.Namespace) -> NDArray[Any]:
    return sharpen(pixels, options.amount, method=options.method, radius=options.radius)


def _sharpen_stored(options: argparse.Namespace) -> None:
    """Sharpen each band as it is stored, and keep what else the file says."""
    read_size(options.image)  # it is read whole
    turned = _orientation(options.image)
    with open_stored(options.image) as scene:
        everything = whole(scene.height, scene.width)
        samples, valid = scene.read(everything)
    marks, nodata = dict(scene.marks), scene.nodata
    if scene.palette is not None:
        samples, marks, nodata = _colors(scene.palette, samples[0]), {}, None
    colors = _color_bands(marks, len(samples))
    result = samples.copy()
    for number in colors:
        result[number] = _sharpened_band(samples[number], valid, options)
    _keep_apart(result, valid, nodata)
    if nodata is None and len(colors) == len(samples):
        marks["masked"] = not valid.all()
    place = part_place(scene.georeference, everything)
    if place is None:
        result, valid = _upright(result, valid, turned)
    with files.atomic_path(options.out) as temporary:
        write_part(temporary, result, place, nodata=nodata, marks=marks, valid=valid)


def _sharpened_band(
    band: NDArray[Any], valid: BoolArray, options: argparse.Namespace
) -> NDArray[Any]:
    """Return a sharpened band of any type; pixels without data stay as they are.

    Floats are clipped to [0, 1] where all lie in it, else to their own range.
    """
    if band.dtype.kind == "f":
        valid = valid & np.isfinite(band)
    if not valid.any():
        return band
    filled = _filled(band, valid)
    if band.dtype in (np.uint8, np.uint16):
        sharp = _sharpened(filled, options)
    else:
        low, high = _range(filled)
        unit = (filled.astype(np.float64) - low) / (high - low)
        sharp = _sharpened(unit, options) * (high - low) + low
        if band.dtype.kind != "f":
            sharp = np.clip(np.rint(sharp), low, high)
    return np.where(valid, sharp.astype(band.dtype), band)


def _range(band: NDArray[Any]) -> tuple[float, float]:
    """Return the values that sharpened samples are clipped to."""
    if band.dtype.kind != "f":
        limits = np.iinfo(band.dtype)
        return float(limits.min), float(limits.max)
    low, high = float(band.min()), float(band.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, max(high, low + 1e-30))


def _filled(band: NDArray[Any], valid: BoolArray) -> NDArray[Any]:
    """Return a band in which pixels without data have the value of the nearest one."""
    if valid.all():
        return band
    missing = (~valid).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(
        missing, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros(int(labels.max()) + 1, band.dtype)
    values[labels[valid]] = band[valid]
    return np.asarray(values[labels])


def _color_bands(marks: dict[str, Any], count: int) -> list[int]:
    """Return the places of the bands that are no alpha."""
    colors = [getattr(one, "name", "") for one in marks.get("colorinterp") or ()]
    return [n for n in range(count) if n >= len(colors) or colors[n] != "alpha"]


def _keep_apart(result: NDArray[Any], valid: BoolArray, nodata: float | None) -> None:
    """Change pixels with data that have come to hold the value for no data."""
    if nodata is None or result.dtype.kind not in "iu":
        return
    hidden = valid & (result == nodata).all(axis=0)
    step = -1 if nodata >= np.iinfo(result.dtype).max else 1
    result[0][hidden] += np.asarray(step).astype(result.dtype)


def _colors(palette: ByteArray, index: NDArray[Any]) -> ByteArray:
    """Return indices of a palette as colours, (3, H, W)."""
    table = np.zeros((max(256, int(index.max()) + 1), 3), np.uint8)
    table[: len(palette)] = palette[: len(table)]
    return np.moveaxis(table[index], -1, 0)


def _orientation(path: Path) -> int:
    with open_source(path) as source:
        if source.kind != "TIFF":
            return 1  # turned by the decoder
        return read_stored(source.handle, source.size).orientation


def _upright(
    samples: NDArray[Any], valid: BoolArray, orientation: int
) -> tuple[NDArray[Any], BoolArray]:
    turned = upright(np.moveaxis(samples, 0, -1), orientation)
    return np.moveaxis(turned, -1, 0), upright(valid, orientation)


def _encode(rgb: ByteArray, suffix: str) -> bytes:
    """Return RGB pixels (H, W, 3) as a PNG or JPEG file, by the name's end."""
    if suffix.lower() == ".png":
        return encode_png(rgb)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", rgb[..., ::-1], quality)
    if not done:
        raise FailureError(f"{rgb.shape[1]} x {rgb.shape[0]} px cannot be encoded.")
    return bytes(data)


def _write_world(out: Path, place: Georeference) -> None:
    path = out.with_suffix(_WORLD[out.suffix.lower()])
    files.write_bytes(path, world_lines(place.transform).encode())


def _as_stored(rgb: NDArray[np.float32]) -> ByteArray | NDArray[np.float32]:
    """Return pixels that were bytes as bytes, so that they are sharpened as such."""
    pixels = to_bytes(rgb)
    return pixels if np.allclose(pixels / np.float32(255), rgb, atol=1e-6) else rgb
