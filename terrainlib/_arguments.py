"""Words of the command line as values."""

import argparse
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from terrainlib.errors import ConfigError

if TYPE_CHECKING:
    from terrainlib.mask.pack.pack import PackTarget
    from terrainlib.mask.vectors.polygons import SmallestArea

_PACK = re.compile(r"source|(unity|unreal)(:\d+(:(crop|stretch))?)?")
_AREA = re.compile(r"(\d+(?:\.\d*)?)(px|m2)?")


def number(text: str) -> float:
    """Return a finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"a finite number is needed, not {text!r}")
    return value


def bands(text: str) -> tuple[int, int, int]:
    """Return the numbers of red, green and blue: `4,3,2`."""
    words = text.split(",")
    if len(words) != 3 or not all(word.strip().isdecimal() for word in words):
        raise argparse.ArgumentTypeError(
            f"three numbers such as 4,3,2 are needed, not {text!r}"
        )
    red, green, blue = map(int, words)
    return red, green, blue


def pack_target(text: str) -> "PackTarget":
    """Return what a pack is made for: `source`, `unity:1025`, `unreal:1009:stretch`."""
    from terrainlib.mask.pack.pack import PackTarget

    engine, *rest = text.split(":")
    if _PACK.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(
            "source, unity:PX or unreal:PX is needed, with :stretch behind to keep all "
            f"of an image that is no square; not {text!r}"
        )
    options = dict(zip(("size_px", "fit"), rest, strict=False))
    size = int(options["size_px"]) if rest else None
    try:
        return PackTarget(engine, size, options.get("fit", "crop"))  # type: ignore[arg-type] # checked there
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def smallest_area(text: str) -> "SmallestArea":
    """Return the smallest area that gets a polygon: `16`, `16px`, `500m2`."""
    from terrainlib.mask.vectors.polygons import SmallestArea

    match = _AREA.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"a number of pixels or of square metres such as 500m2 is needed, not "
            f"{text!r}"
        )
    try:
        return SmallestArea(float(match[1]), "m2" if match[2] == "m2" else "px")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def with_bare_pack(words: Sequence[str]) -> list[str]:
    """Return words in which `--pack` takes no file for what it is made for.

    Args:
        words: The command line. What follows `--pack` belongs to it only where it names
            an engine.
    """
    given = list(words)
    for place, word in enumerate(given):
        following = given[place + 1 : place + 2]
        if word == "--pack" and not any(map(_PACK.fullmatch, following)):
            given[place] = "--pack=source"
    return given
