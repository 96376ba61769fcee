"""What `predict` says of an image before and after its prediction."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from terrainlib._console import note
from terrainlib.data.imagery import read_size
from terrainlib.data.scene import list_bands
from terrainlib.errors import TerrainError
from terrainlib.mask.products.making import Made, Wanted

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel
    from terrainlib.runs.estimate import Estimate

LONG_MEGAPIXELS: Final = 16  # from here on it is told before what it takes


def say_before(path: Path, model: "TerrainModel", wanted: Wanted, folder: Path) -> None:
    """Tell which bands could be chosen, and what a large image takes.

    Says nothing of a file that cannot be read: its prediction will.

    Args:
        path: The image.
        model: The model.
        wanted: What is to be made of it.
        folder: Where that goes.
    """
    with suppress(TerrainError):
        if wanted.bands is None and (bands := list_bands(path)).asks:
            listed = ", ".join(f"{band.number} {band.name}" for band in bands.all)
            note(
                f"{path.name}: to use other bands as red, green and blue give their "
                f"numbers, such as --bands {bands.default[2]},{bands.default[1]},"
                f"{bands.default[0]}; the file has {listed}"
            )
        size = read_size(path, in_parts=True)
        if is_long(size):
            from terrainlib.runs.estimate import estimate, measure_speed

            measure_speed(model)
            told = estimate(model, [size], wanted, folder)
            note(f"{path.name}: {_estimate_text(size, told)}")


def say_after(made: Made, model: "TerrainModel", wanted: Wanted) -> None:
    """Tell what is known of an image and its mask; remember what a large one took.

    Args:
        made: What became of it.
        model: The model.
        wanted: What was to be made of it.
    """
    if is_long((made.height, made.width)) and not made.stopped:
        from terrainlib.runs.estimate import remember

        remember(model, made, wanted)
    for text in made.notes:
        if text not in made.missing:
            note(f"{made.name}: {text}")
    if not made.rows or not any(made.shares.values()):
        return
    shares = sorted(made.shares.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name} {share:.1%}" for name, share in shares if share)
    note(f"{made.name}: {listed}; unsure of {made.unsure_share:.1%}")
    if made.gap["level"] == "different":
        reasons = "; ".join(made.gap["reasons"])
        note(f"{made.name}: {made.gap['title']} ({reasons})")


def in_time(seconds: float) -> str:
    """Return a time in words: `1 second`, `12 minutes`, `2.5 hours`."""
    if seconds < 90:
        whole = max(1, round(seconds))
        return f"{whole} second{'s' if whole > 1 else ''}"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def is_long(size: tuple[int, int]) -> bool:
    """Return whether an image (H, W) is so large that it is told what it takes."""
    return size[0] * size[1] >= LONG_MEGAPIXELS * 1e6


def _estimate_text(size: tuple[int, int], told: "Estimate") -> str:
    tiles = f"{told.tiles} tile{'s' if told.tiles > 1 else ''}"
    text = f"{size[1]} x {size[0]} px in {tiles}, about "
    if told.seconds is not None:
        text += f"{in_time(told.seconds)} and "
    return f"{text}{told.bytes / 1e6:.0f} MB of memory beside the model"
