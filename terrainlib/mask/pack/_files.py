"""The files of a world-builder's pack, one after the other."""

import io
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from terrainlib.data.palette import NO_DATA, Classes
from terrainlib.mask.pack._content import PackContent
from terrainlib.mask.pack._facts import PackFacts
from terrainlib.mask.pack._ground import pixel_size
from terrainlib.mask.pack._planes import Planes, make_heights
from terrainlib.mask.pack._scales import HeightRange, scales_of
from terrainlib.mask.pack._text import CHANNELS, readme
from terrainlib.mask.pack.target import Frame, PackTarget
from terrainlib.mask.rasters.export import encode_png, index_png, mask_png
from terrainlib.mask.tiles.bands import Bytes

Heights = NDArray[np.uint16]

_NO_DATA_FILE: Final = "no_data.png"


def entries(
    content: PackContent, facts: PackFacts, planes: Planes, heights: Heights | None
) -> Iterator[tuple[str, bytes]]:
    """Give the files of a pack by name, each made when its turn comes.

    Args:
        content: What goes in.
        facts: What is said about it.
        planes: Weights and class mask.
        heights: (h, w) uint16; None without heights.
    """
    yield "README.txt", readme(facts).replace("\n", "\r\n").encode("utf-8-sig")
    yield "pack.json", _json(_numbers(facts))
    yield "palette.json", _json(_palette(content.classes, facts))
    for file, plane in zip(facts.weight_files, planes.weights, strict=True):
        yield file, encode_png(plane)
    for number, file in enumerate(facts.splat_files):
        yield file, _splat(planes.weights[4 * number : 4 * number + 4])
    yield "class_index.png", index_png(planes.mask, content.classes)
    yield "class_colors.png", mask_png(planes.mask, content.classes)
    if facts.no_data_file is not None:
        unknown = np.where(planes.mask == NO_DATA, np.uint8(255), np.uint8(0))
        yield facts.no_data_file, encode_png(unknown)
    if heights is not None:
        png, raw = facts.height_files
        yield png, _grey16(heights)
        yield raw, heights.astype("<u2").tobytes()


def facts_of(
    content: PackContent,
    target: PackTarget,
    frame: Frame,
    planes: Planes,
    heights: HeightRange | None,
) -> PackFacts:
    """Return what the text says, names of files included."""
    names = [item.name for item in content.classes]
    size = content.size
    raw = "raw" if target.engine == "unity" else "r16"  # what their file dialogs show
    kinds = ("height_16bit.png", f"height.{raw}") if heights is not None else ()
    return PackFacts(
        name=_plain(content.name),
        image_size=size,
        target=target,
        frame=frame,
        scales=scales_of(frame, pixel_size(content.georeference, *size), heights),
        heights=heights,
        class_names=names,
        weight_files=[f"weights/{n}_{_safe(name)}.png" for n, name in enumerate(names)],
        splat_files=[f"splat/splat_{n}.png" for n in range((len(names) + 3) // 4)],
        height_files=kinds,
        no_data_file=_NO_DATA_FILE if (planes.mask == NO_DATA).any() else None,
    )


def heights_of(
    content: PackContent, frame: Frame
) -> tuple[Heights | None, HeightRange | None]:
    """Return heights as 16 bits and what they stand for; None where there are none."""
    if content.height is None:
        return None, None
    if not np.isfinite(content.height[frame.rows, frame.columns]).any():
        return None, None
    metres = make_heights(content.height, frame)
    low, high = float(metres.min()), float(metres.max())
    scale = 65535 / (high - low) if high > low else 0.0
    values = np.rint((metres.astype(np.float64) - low) * scale).astype(np.uint16)
    return values, HeightRange(low, high)


def _numbers(facts: PackFacts) -> dict[str, Any]:
    """Return sizes, ground and heights for programs."""
    frame, heights = facts.frame, facts.heights
    return {
        "name": facts.name,
        "engine": facts.target.engine,
        "fit": facts.target.fit,
        "image_size_px": list(facts.image_size[::-1]),
        "part_px": {
            "left": frame.columns.start,
            "top": frame.rows.start,
            "width": frame.source_size[1],
            "height": frame.source_size[0],
        },
        "size_px": list(frame.size[::-1]),
        "height_size_px": None if heights is None else list(frame.height_size[::-1]),
        "height_m": None
        if heights is None
        else {"at_0": heights.low_m, "at_65535": heights.high_m},
        "height_files": list(facts.height_files),
        "no_data_file": facts.no_data_file,
        **facts.scales.to_dict(),
    }


def _palette(classes: Classes, facts: PackFacts) -> list[dict[str, Any]]:
    """Return the classes with the files that hold them; reads as a `classes.json`."""
    return [
        {
            "index": number,
            "name": item.name,
            "color": list(item.color),
            "weight": facts.weight_files[number],
            "splat": facts.splat_files[number // 4],
            "channel": CHANNELS[number % 4],
        }
        for number, item in enumerate(classes)
    ]


def _splat(weights: Bytes) -> bytes:
    """Return up to four planes as an RGBA PNG; channels without a class are 0."""
    rgba = np.zeros((*weights.shape[1:], 4), np.uint8)
    rgba[..., : len(weights)] = np.moveaxis(weights, 0, -1)
    return encode_png(rgba)


def _grey16(values: Heights) -> bytes:
    """Return 16-bit values as a grey PNG."""
    stream = io.BytesIO()
    PillowImage.fromarray(values).save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def _json(value: Any) -> bytes:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def _safe(name: str) -> str:
    """Return a name as part of a file name that every system and engine takes."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "_", ascii_only).strip("_")[:40] or "class"


def _plain(name: str) -> str:
    """Return a name on one line, without what cannot be printed."""
    return "".join(sign for sign in name if sign.isprintable())[:80] or "Terrain"
