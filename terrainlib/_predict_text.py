"""What `predict` says of an image before and after its prediction."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from terrainlib._console import note
from terrainlib.data.imagery import read_size
from terrainlib.data.scene import list_bands, open_scene
from terrainlib.errors import TerrainError
from terrainlib.mask.products.making import Made, Wanted

if TYPE_CHECKING:
    from terrainlib.mask.tiles.estimate import Estimate
    from terrainlib.model.modelfile import TerrainModel

LONG_MEGAPIXELS: Final = 16  # from here on it is told before what it takes


def say_before(path: Path, model: "TerrainModel", wanted: Wanted) -> None:
    """Tell which bands could be chosen, and what a large image takes.

    Says nothing of a file that cannot be read: its prediction will.

    Args:
        path: The image.
        model: The model.
        wanted: What is to be made of it.
    """
    with suppress(TerrainError):
        if wanted.bands is None and (bands := list_bands(path)).asks:
            listed = ", ".join(f"{band.number} {band.name}" for band in bands.all)
            note(
                f"{path.name}: to use other bands as red, green and blue give their "
                f"numbers, such as --bands {bands.default[2]},{bands.default[1]},"
                f"{bands.default[0]}; the file has {listed}"
            )
        size = _size(path)
        if size[0] * size[1] < LONG_MEGAPIXELS * 1e6:
            return
        from terrainlib.mask.tiles.estimate import estimate

        foreseen = estimate(
            model,
            size,
            scale=wanted.scale,
            blended=wanted.tiling == "blend",
            wants=wanted.planes,
            measure=True,
        )
        note(f"{path.name}: {_foreseen(size, foreseen)}")


def say_after(made: Made) -> None:
    """Tell what is known of an image and its mask.

    Args:
        made: What became of it.
    """
    for text in made.notes:
        if text not in made.missing:
            note(f"{made.name}: {text}")
    if not made.rows or not any(made.shares.values()):
        return
    shares = sorted(made.shares.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name} {share:.1%}" for name, share in shares if share)
    note(f"{made.name}: {listed}; unsure of {made.unsure_share:.1%}")
    if made.seams is not None:
        windows = made.seams["windows"]
        borders = f"{windows} border{'s' if windows > 1 else ''} of tiles"
        note(
            f"{made.name}: predicted again across {borders}, the largest difference is "
            f"{made.seams['largest_difference']:.1e}"
        )
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


def _foreseen(size: tuple[int, int], foreseen: "Estimate") -> str:
    tiles = f"{foreseen.tiles} tile{'s' if foreseen.tiles > 1 else ''}"
    text = f"{size[1]} x {size[0]} px in {tiles}, about "
    if foreseen.seconds is not None:
        text += f"{in_time(foreseen.seconds)} and "
    return f"{text}{foreseen.bytes / 1e6:.0f} MB of memory beside the model"


def _size(path: Path) -> tuple[int, int]:
    """Return (H, W) in px of an image of any size."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return read_size(path)
    with open_scene(path) as scene:
        return scene.height, scene.width
