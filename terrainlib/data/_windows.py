"""Windows into an image, and which few of them stand for all of it."""

from typing import Final

from terrainlib.errors import ConfigError

Window = tuple[slice, slice]
Triple = tuple[int, int, int]

# A sample is 256 windows of 64 px, about a million pixels. Their origins lie on
# multiples of 64, so that each lies within one tile where tiles have 128, 256 ... px.
_SAMPLE_PX: Final = 64
_SAMPLE_WINDOWS: Final = 256
_SMALL_PIXELS: Final = 4_000_000


def whole(height: int, width: int) -> Window:
    """Return the window that is all of an image."""
    return slice(0, height), slice(0, width)


def check_window(window: Window, height: int, width: int) -> None:
    """Refuse a window that is empty or reaches over the image's edge.

    Raises:
        ConfigError: If it does.
    """
    for part, length, what in zip(
        window, (height, width), ("rows", "columns"), strict=True
    ):
        if not 0 <= part.start < part.stop <= length or part.step not in (None, 1):
            raise ConfigError(
                f"a window's {what} must lie within 0 to {length}, not {part.start} to "
                f"{part.stop}. Cut it at the image's edge."
            )


def spread(total: int, count: int) -> list[int]:
    """Return `count` of the numbers from 0 to `total` - 1, evenly spread."""
    return [int((number + 0.5) * total / count) for number in range(count)]


def sample_windows(height: int, width: int) -> list[Window]:
    """Return windows whose pixels stand for the image's.

    They depend on its size alone, so that every way to read an image samples the same
    pixels: all of a small one, else about a million in evenly spread windows.

    Args:
        height: Rows, px.
        width: Columns, px.
    """
    if height * width <= _SMALL_PIXELS:
        return [whole(height, width)]
    down, across = -(-height // _SAMPLE_PX), -(-width // _SAMPLE_PX)
    columns = min(across, max(int(_SAMPLE_WINDOWS**0.5), _SAMPLE_WINDOWS // down))
    rows = min(down, _SAMPLE_WINDOWS // columns)
    return [
        (_cell(row, height), _cell(column, width))
        for row in spread(down, rows)
        for column in spread(across, columns)
    ]


def _cell(number: int, length: int) -> slice:
    start = number * _SAMPLE_PX
    return slice(start, min(length, start + _SAMPLE_PX))
