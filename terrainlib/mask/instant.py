"""Learning an instant classifier from labels on an image of any size."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from terrainlib.data.choices import BandKeys
from terrainlib.data.formats.heights import open_heights
from terrainlib.data.formats.imagebands import bands_of_image
from terrainlib.data.formats.raster import Grid
from terrainlib.data.labels.layers import Layer, classes_of, open_labels
from terrainlib.data.labels.scenes import open_stored
from terrainlib.data.palette import NO_DATA
from terrainlib.data.scene import open_scene
from terrainlib.errors import DatasetError, StoppedError
from terrainlib.mask.labelled import Labelled, drawn, evenly, joined
from terrainlib.mask.tiles.feeding import Feed
from terrainlib.model.instant import Describer, fit_instant, suitable_base, unlearnt
from terrainlib.model.modelfile import TerrainModel
from terrainlib.model.tiling import round_up
from terrainlib.types import MaskArray, Progress, ShouldStop, Window

BLOCK_PX: Final = 512
MOST_BLOCKS: Final = 64  # evenly chosen of more


def learn_instant(  # noqa: PLR0913 - what lies on what is named by its callers
    image: Path,
    labels: Sequence[Path],
    *,
    heights: Path | None = None,
    bands: BandKeys | None = None,
    field: str | None = None,
    width: float = 3.0,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> TerrainModel:
    """Learn to tell the classes of an image from labels that lie on it.

    Args:
        image: TIFF of any size, PNG or JPEG.
        labels: Class rasters, and files of polygons, lines and points; later ones lie
            over earlier ones.
        heights: Heights of the image; None learns without.
        bands: Bands of the image to use, by number or name; None takes red, green and
            blue, or the only one or two.
        field: Field of the class in files of features; None takes the likely one.
        width: Width in px of lines and points without a `width_px`.
        progress: Called with the labelled blocks read and their number.
        should_stop: Asked between rows of blocks.

    Returns:
        A model that predicts as any other; `model.instant.save_instant` keeps it.

    Raises:
        DatasetError: If the labels cannot be used, or show fewer than two classes of
            the image.
        ImageError: If a file cannot be read, or the image has no such bands.
        StoppedError: If `should_stop` said so.
    """
    with ExitStack() as stack:
        opened = open_labels(labels, stack, field=field, width=width)
        classes = classes_of(opened)
        used = bands_of_image(image, bands)
        height = heights is not None
        describe = Describer(height, suitable_base(used, height=height))
        model = unlearnt(describe, classes, used)
        scene = stack.enter_context(open_scene(image, bands=model.bands()))
        metres = None
        if heights is not None:
            grid = Grid(scene.height, scene.width, scene.georeference)
            metres = stack.enter_context(open_heights(heights)).on(grid)
        stored = stack.enter_context(open_stored(image))
        layers = [file.on(stored, classes) for file in opened]
        size = (scene.height, scene.width)
        blocks = evenly(
            [at for at in _blocks(size) if (_marks(layers, at) != NO_DATA).any()],
            MOST_BLOCKS,
        )
        if not blocks:
            raise DatasetError(
                f"no label lies on {image.name}. Check that they show the same place.",
                file=labels[0].name,
            )
        feed = Feed(model, scene, metres, None)
        parts: list[Labelled] = []
        for rows, columns in _by_rows(blocks):
            if should_stop is not None and should_stop():
                raise StoppedError("stopped while the labels were read, as asked.")
            parts += _described(feed, describe, layers, rows, columns)
            if progress is not None:
                progress(len(parts), len(blocks))
    return fit_instant(model, *drawn(*joined(parts)))


def _blocks(size: tuple[int, int]) -> Iterator[Window]:
    """Yield the blocks that cover an image, row by row."""
    for top in range(0, size[0], BLOCK_PX):
        rows = slice(top, min(top + BLOCK_PX, size[0]))
        for left in range(0, size[1], BLOCK_PX):
            yield rows, slice(left, min(left + BLOCK_PX, size[1]))


def _marks(layers: Sequence[Layer], block: Window) -> MaskArray:
    """Return the labels of a block, (h, w) uint8."""
    rows, columns = block
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    mask = np.full(shape, NO_DATA, np.uint8)
    for layer in layers:
        box = layer.box
        if box is None or box[0] >= rows.stop or box[1] <= rows.start:
            continue
        if box[2] < columns.stop and box[3] > columns.start:
            layer.lay(block, mask)
    return mask


def _by_rows(blocks: Sequence[Window]) -> Iterator[tuple[slice, list[slice]]]:
    """Yield the rows of blocks with the columns of each block in them."""
    for _, row in groupby(blocks, key=lambda block: block[0].start):
        inside = list(row)
        yield inside[0][0], [columns for _, columns in inside]


def _described(
    feed: Feed,
    describe: Describer,
    layers: Sequence[Layer],
    rows: slice,
    row: Sequence[slice],
) -> Iterator[Labelled]:
    """Yield features (n, F) and classes (n,) of the labelled pixels of each block.

    A row of blocks is read once, with as much around it as a pixel's features reach, so
    that they are what they are in the whole image.
    """
    height, width = feed.geometry.working
    around = round_up(describe.reach_px, BLOCK_PX // 4)
    top, bottom = max(0, rows.start - around), min(height, rows.stop + around)
    pixels, known = feed.read(top, bottom)
    own = slice(rows.start - top, rows.stop - top)
    for columns in row:
        left, right = max(0, columns.start - around), min(width, columns.stop + around)
        features = describe(np.ascontiguousarray(pixels[:, left:right]))
        mask = _marks(layers, (rows, columns))
        labelled = (mask != NO_DATA) & known[own, columns]
        inside = slice(columns.start - left, columns.stop - left)
        yield features[own, inside][labelled], mask[labelled]
