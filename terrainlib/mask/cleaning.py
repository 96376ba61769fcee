"""Cleaning of class masks: median, sieve and hole filling.

Each takes a class mask and gives a new one of the same size that holds no class which
was not there before. Pixels without data stay without, give nothing to their
neighbours, and count in no window and no region. Regions are pixels of one class that
touch at their sides (4-connectivity).

`STEPS` at the end lists them: command line, job form, the studio's sliders and settings
against scores read it. A step is added by its function, a field of `PostProcessing` and
a row there.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from terrainlib.data.palette import NO_DATA
from terrainlib.errors import ConfigError, ImageError, ignored_warnings
from terrainlib.types import MaskArray

MAX_MEDIAN_PX: Final = 31
MAX_REGION_PX: Final = 1_000_000
MAX_CLEANED_MEGAPIXELS: Final = 150  # of what is cleaned as it is predicted
BYTES_PER_PX: Final = 18  # of memory, what filling holes takes

_STRIP_PX: Final = 2**20


@dataclass(frozen=True, slots=True)
class PostProcessing:
    """What to do with a class mask: first median, then sieve, then holes.

    The median goes first because it makes most islands vanish and leaves smoother ones;
    holes go last because what the sieve leaves may still be enclosed.

    Attributes:
        median_px: Width of the median's window in px, odd, 3 to 31; 0 leaves it out.
        sieve_px: Regions smaller than this many px are merged, up to 1,000,000; 0 (or
            1) leaves it out.
        fill_px: Holes of up to this many px are filled, up to 1,000,000; 0 leaves it
            out.

    Raises:
        ConfigError: If a number is out of its bounds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    median_px: int = 0
    sieve_px: int = 0
    fill_px: int = 0

    def __post_init__(self) -> None:
        for step in STEPS:
            step.check(step.size(self))

    @property
    def changes_nothing(self) -> bool:
        """Whether all of it is left out."""
        return all(step.size(self) < step.least for step in STEPS)

    def apply(self, mask: MaskArray) -> MaskArray:
        """Return the mask after all of them.

        Args:
            mask: (H, W) uint8 class indices; 255 = no data. Not modified.

        Raises:
            ImageError: If `mask` is no such array.
        """
        for step in STEPS:
            mask = step.clean(mask, step.size(self))
        return mask


def median(mask: MaskArray, size: int) -> MaskArray:
    """Give every pixel the class that most pixels around it have.

    Classes have no order, so the median of numbers means nothing here. For labels it
    is the majority in the window (mode filter), and with two classes both are the same.
    Of equally frequent classes the pixel's own wins, else the one with the lowest
    index. Outside the image nothing is counted. A row needs the `size // 2` rows above
    and below it, so a mask can be worked on band by band.

    Args:
        mask: (H, W) uint8 class indices; 255 = no data. Not modified.
        size: Width of the window in px, odd, 3 to 31; 0 changes nothing.

    Returns:
        A new (H, W) uint8.

    Raises:
        ConfigError: If `size` is out of its bounds.
        ImageError: If `mask` is no such array.

    Example:
        >>> speck = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
        >>> int(median(speck, 3)[1, 1])
        1
    """
    _check_window(size)
    _check_mask(mask)
    result = mask.copy()
    if size == 0:
        return result
    numbers = _numbers(mask)
    reach = size // 2
    rows = max(1, _STRIP_PX // mask.shape[1])
    for start in range(0, mask.shape[0], rows):
        stop = min(start + rows, mask.shape[0])
        first = max(0, start - reach)
        strip = mask[first : stop + reach]
        inner = slice(start - first, stop - first)
        result[start:stop] = _majority(strip, size, numbers)[inner]
    return result


def sieve(mask: MaskArray, pixels: int) -> MaskArray:
    """Give regions that are too small the class of their largest neighbour.

    Repeated until nothing changes. A region that is too small is left only where all
    regions around it are, and all around those: nobody knows which of them is right.
    Each region's size counts as a whole: a mask cannot be worked on band by band with
    the same result.

    Args:
        mask: (H, W) uint8 class indices; 255 = no data. Not modified.
        pixels: Smallest region that stays, in px, up to 1,000,000; 0 and 1 change
            nothing.

    Returns:
        A new (H, W) uint8.

    Raises:
        ConfigError: If `pixels` is out of its bounds.
        ImageError: If `mask` is no such array.
    """
    _check_region("sieve", pixels)
    _check_mask(mask)
    result = mask.copy()
    merge_islands(result, pixels)
    return result


def merge_islands(mask: MaskArray, pixels: int) -> None:
    """Do what `sieve` does to a mask in place, in a byte more a pixel.

    GDAL gives each region that is too small the class of its largest neighbour, or of
    that one's largest neighbour where it is too small itself. Of equally large ones it
    takes the one that it meets first. Islands that were merged may join regions, so it
    is asked again until nothing changes.

    Args:
        mask: (H, W) uint8 class indices; 255 = no data.
        pixels: Smallest region that stays, in px; 0 and 1 change nothing.
    """
    if pixels < 2:
        return
    from rasterio import features
    from rasterio.errors import NotGeoreferencedWarning

    valid = valid_bytes(mask)
    pixels = min(pixels, mask.size)  # GDAL takes no more
    before = -1
    while (after := zlib.crc32(mask.data)) != before:
        before = after
        # It hides this warning itself, but not from other threads that do the same.
        with ignored_warnings(category=NotGeoreferencedWarning):
            features.sieve(mask, pixels, out=mask, mask=valid, connectivity=4)


def valid_bytes(mask: MaskArray) -> MaskArray | None:
    """Return 1 where a mask has data, 0 elsewhere; None where it has data all over."""
    valid = mask != NO_DATA
    return None if valid.all() else valid.view(np.uint8)


def fill_holes(mask: MaskArray, pixels: int) -> MaskArray:
    """Fill holes with the class that encloses them.

    A hole is everything that one class encloses wholly, of whichever classes it is; it
    touches neither the edge of the image nor pixels without data. Of holes within holes
    the outermost that is small enough is filled. A hole is at most `pixels` rows high:
    with `pixels + 1` more rows above and below, a mask can be worked on band by band.

    Args:
        mask: (H, W) uint8 class indices; 255 = no data. Not modified.
        pixels: Largest hole that is filled, in px, up to 1,000,000; 0 changes nothing.

    Returns:
        A new (H, W) uint8.

    Raises:
        ConfigError: If `pixels` is out of its bounds.
        ImageError: If `mask` is no such array.
    """
    _check_region("hole filling", pixels)
    _check_mask(mask)
    result = mask.copy()
    if pixels == 0:
        return result
    unknown = mask == NO_DATA
    largest = np.zeros(mask.shape, np.int32)  # size of the hole a pixel was filled in
    for number in _numbers(mask):
        labels, sizes = _holes(mask != number, unknown, pixels)
        if not sizes.any():
            continue
        here = sizes[labels]
        better = here > largest
        result[better] = number
        np.copyto(largest, here, where=better)
    return result


def _majority(strip: MaskArray, size: int, numbers: list[int]) -> MaskArray:
    result = strip.copy()
    best = np.zeros(strip.shape, np.uint16)
    for number in numbers:
        here = (strip == number).view(np.uint8)
        votes = cv2.boxFilter(
            here,
            cv2.CV_16U,
            (size, size),
            normalize=False,
            borderType=cv2.BORDER_CONSTANT,
        )
        votes = 2 * votes + here  # its own class wins where two have as many pixels
        better = votes > best
        np.copyto(best, votes, where=better)
        result[better] = number
    result[strip == NO_DATA] = NO_DATA
    return result


def _holes(
    others: NDArray[np.bool_], unknown: NDArray[np.bool_], pixels: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return labels of the regions that a class leaves, and the sizes of its holes."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        others.view(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    height, width = others.shape
    sizes = stats[:, cv2.CC_STAT_AREA].astype(np.int32)
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right = left + stats[:, cv2.CC_STAT_WIDTH]
    bottom = top + stats[:, cv2.CC_STAT_HEIGHT]
    open_ended = (left == 0) | (top == 0) | (right == width) | (bottom == height)
    touches = np.bincount(labels[unknown], minlength=count) > 0
    sizes[open_ended | touches | (sizes > pixels)] = 0
    sizes[0] = 0  # the class itself
    return np.asarray(labels, np.int32), sizes


def _numbers(mask: MaskArray) -> list[int]:
    counts = cv2.calcHist([mask], [0], None, [NO_DATA], [0, NO_DATA])
    return [int(number) for number in np.flatnonzero(counts)]


def _check_mask(mask: Any) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != np.uint8:
        kind = getattr(mask, "dtype", type(mask).__name__)
        raise ImageError(
            f"a class mask holds class indices of type uint8, not {kind}. Convert it."
        )
    if mask.ndim != 2 or mask.size == 0:
        raise ImageError(
            f"a class mask is (height, width), not {mask.shape}. Give one that is not "
            "empty."
        )


def _check_window(size: Any) -> None:
    fits = _is_count(size) and (size == 0 or (3 <= size <= MAX_MEDIAN_PX and size % 2))
    if not fits:
        raise ConfigError(
            f"the window of the median must be 0 or an odd number from 3 to "
            f"{MAX_MEDIAN_PX} px, not {size!r}. Choose one of them."
        )


def _check_region(what: str, pixels: Any) -> None:
    if not (_is_count(pixels) and 0 <= pixels <= MAX_REGION_PX):
        raise ConfigError(
            f"the size for {what} must be a whole number from 0 to "
            f"{MAX_REGION_PX:,} px, not {pixels!r}. Choose a number in that range."
        )


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class CleaningStep:
    """One way to clean a class mask.

    Attributes:
        name: The command line's option without dashes, and with `_px` behind the field
            of `PostProcessing`.
        label: What people read on a page.
        about: What it does, in a sentence; the size is "this".
        option_help: What the command line says of it.
        clean: Cleans a mask with a size in px.
        check: Refuses a size out of its bounds with a `ConfigError`.
        offered: The sizes that a slider offers.
        least: The smallest size that changes anything.
        is_area: Whether the size counts the pixels of an area; else it is a width.
    """

    name: str
    label: str
    about: str
    option_help: str
    clean: Callable[[MaskArray, int], MaskArray]
    check: Callable[[Any], None]
    offered: Sequence[int]
    least: int = 1
    is_area: bool = True

    @property
    def field(self) -> str:
        """The field of `PostProcessing` that holds its size."""
        return f"{self.name}_px"

    def size(self, cleaning: PostProcessing) -> int:
        """Return its size in px; 0 leaves it out."""
        size: int = getattr(cleaning, self.field)
        return size

    def size_of_width(self, width: int) -> int:
        """Return the size that stands for a width in px.

        For areas the largest one that is smaller than a square so wide.
        """
        return max(0, width**2 - 1) if self.is_area else width


_AREAS: Final = range(0, 401, 4)
STEPS: Final = (  # in the order in which they are done
    CleaningStep(
        "median",
        "Median",
        "Every pixel takes the class that most pixels in a window of this width have.",
        f"clean the class mask, and what is made of it: give every pixel the class "
        f"that most pixels in a window PX wide have; odd, 3 to {MAX_MEDIAN_PX}",
        median,
        _check_window,
        (0, *range(3, 16, 2)),
        is_area=False,
    ),
    CleaningStep(
        "sieve",
        "Sieve",
        "Regions smaller than this take the class of their largest neighbour.",
        "clean it: regions smaller than PX pixels take the class of their largest "
        "neighbour",
        sieve,
        partial(_check_region, "sieve"),
        _AREAS,
        least=2,
    ),
    CleaningStep(
        "fill",
        "Fill holes",
        "What one class encloses, up to this size, takes that class.",
        "clean it: what one class encloses, up to PX pixels, takes that class",
        fill_holes,
        partial(_check_region, "hole filling"),
        _AREAS,
    ),
)
ALL_STEPS: Final = "All three"
