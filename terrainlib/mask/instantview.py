"""Learning at once from what is painted: the mask of what is on the screen.

What is on the screen is looked at with so few pixels that it can be described in
seconds, and is described once; after a stroke only the classifier is fitted anew. What
lies elsewhere on the image and is labelled is described around its labels, and kept.
The same labels teach the classifier of the whole image, at the image's own scale.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any, Final, Protocol

import cv2
import numpy as np

from terrainlib.data.formats.heights import Heights, open_heights
from terrainlib.data.formats.raster import BandSet, Grid
from terrainlib.data.imagery import BandChoice, ImageSource
from terrainlib.data.labels.layers import VectorLayer
from terrainlib.data.labels.strokes import Painted, stroke_layer
from terrainlib.data.palette import NO_DATA
from terrainlib.data.scene import Scene, open_scene
from terrainlib.errors import DatasetError, InputError
from terrainlib.mask.helpful import helpful_cells
from terrainlib.mask.labelled import (
    VIEW_PIXELS,
    Labelled,
    drawn,
    evenly,
    fit_labelled,
    joined,
)
from terrainlib.mask.tiles.resampling import mean_of_squares
from terrainlib.model.instant import Describer, InstantClassifier, unlearnt
from terrainlib.model.modelfile import TerrainModel
from terrainlib.types import BoolArray, ByteArray, FloatArray, MaskArray, Size

# What is described for the screen: a megapixel by color and network (28 features).
VIEW_VALUES: Final = 30_000_000
# The whole image is predicted with so many pixels, so that it takes seconds.
WHOLE_PIXELS: Final = 4_000_000
MOST_STEP: Final = 4  # px of the image a side, for the classifier of the whole image
_OVERVIEW_STEP: Final = 8  # from here on the picture in the file's overviews is used
BLOCK_PX: Final = 128
_VIEW_BLOCKS: Final = 12  # elsewhere on the image that a view learns from
_WHOLE_BLOCKS: Final = 64
_SURE_BLOCKS: Final = 16
_MOVE_PX: Final = 64
_ALIGNED_PX: Final = 32  # networks halve up to five times

Block = tuple[int, int]  # its row and column
_Read = Callable[[], tuple[Scene, Heights | None]]  # opens the files the first time


class Store(Protocol):
    """Keeps the values used last, up to a number of bytes."""

    def get(self, key: str) -> Any | None:
        """Return the value of a key, or None."""

    def put(self, key: str, value: Any, size_bytes: int) -> None:
        """Keep a value."""


@dataclass(frozen=True, slots=True)
class View:
    """A part of an image, looked at with every so many pixels.

    Attributes:
        rows: Rows at that scale.
        columns: Columns at that scale.
        step: Px of the image, a side, in one of these pixels.
    """

    rows: slice
    columns: slice
    step: int

    @property
    def size(self) -> Size:
        """(h, w) at that scale."""
        return (
            self.rows.stop - self.rows.start,
            self.columns.stop - self.columns.start,
        )

    @property
    def window(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 in px of the image; it may end beyond its edge."""
        left, right = self.columns.start * self.step, self.columns.stop * self.step
        return left, self.rows.start * self.step, right, self.rows.stop * self.step


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What was learnt for a view.

    Attributes:
        view: The view.
        mask: (h, w) uint8 class indices, 255 without data.
        margins: (h, w) uint8, the margin between the best two classes in 255ths.
        places: Where a stroke would help most: x, y and radius in px of the image.
    """

    view: View
    mask: MaskArray
    margins: ByteArray
    places: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Described:
    """Features (h, w, F) float32 of a view, and where it has data (h, w)."""

    view: View
    features: FloatArray
    known: BoolArray


@dataclass(frozen=True)
class LabelledImage:
    """An image that is painted on.

    Attributes:
        key: Names its content, its bands and its heights.
        source: Path or bytes of the image.
        size: (H, W), px.
        bands: Its bands; None for red, green and blue.
        choice: The bands as they are read.
        heights: Path or bytes of its heights; None without.
        describer: Returns what its pixels are told by; asked when it is first needed,
            for a network takes seconds to load.
        features: How many features a pixel has then.
        store: Keeps what was described.
        lay_down: Puts features where they take no memory; leaves them if None.
    """

    key: str
    source: ImageSource
    size: Size
    bands: BandSet | None
    choice: BandChoice
    heights: ImageSource | None
    describer: Callable[[], Describer]
    features: int
    store: Store
    lay_down: Callable[[FloatArray], FloatArray] | None = None

    @property
    def describe(self) -> Describer:
        """What its pixels are told by."""
        return self.describer()

    @property
    def whole_step(self) -> int:
        """Px of the image, a side, in one pixel of the whole image's prediction."""
        pixels = self.size[0] * self.size[1]
        return min(MOST_STEP, _power_of_two(math.sqrt(pixels / WHOLE_PIXELS)))

    def view_of(self, seen: Sequence[float]) -> View:
        """Return the view in which a part of the image is described.

        Args:
            seen: x0, y0, x1, y1 in px of the image.
        """
        left, right = sorted(min(max(x, 0.0), self.size[1]) for x in seen[0::2])
        top, bottom = sorted(min(max(y, 0.0), self.size[0]) for y in seen[1::2])
        if right - left < 1 or bottom - top < 1:
            left, top, right, bottom = 0, 0, self.size[1], self.size[0]
        pixels = (right - left) * (bottom - top)
        step = _power_of_two(math.sqrt(pixels * self.features / VIEW_VALUES))
        size = self.at_step(step)
        if size[0] * size[1] * self.features <= VIEW_VALUES:
            return View(slice(0, size[0]), slice(0, size[1]), step)
        rows = _wide(top / step, bottom / step, size[0])
        return View(rows, _wide(left / step, right / step, size[1]), step)

    def at_step(self, step: int) -> Size:
        """Return (h, w) of the whole image at a scale."""
        return math.ceil(self.size[0] / step), math.ceil(self.size[1] / step)

    def is_described(self, view: View) -> bool:
        """Return whether the mask of a view would come at once."""
        return self.store.get(self._key(view)) is not None

    def describe_view(self, view: View) -> None:
        """Describe a view, so that its mask comes at once.

        Raises:
            TerrainError: If the image cannot be read.
        """
        with self._reader() as read:
            self._described(view, read)

    def learn(
        self, painted: Painted, view: View, weak: MaskArray | None = None
    ) -> Learnt | None:
        """Learn from what is painted, and return the mask of a view.

        Args:
            painted: What is painted.
            view: What is looked at.
            weak: (h, w) uint8 class indices of the view that another model is sure of,
                255 elsewhere; they count little.

        Returns:
            None while fewer than two classes are known.

        Raises:
            TerrainError: If the image cannot be read.
        """
        layer = self._layer(painted, view.step)
        outside = _around(layer, view, self.at_step(view.step))
        with self._reader() as read:
            described = self._described(view, read)
            elsewhere = self._blocks(layer, outside, view.step, _VIEW_BLOCKS, read)
        marks = _laid(layer, view)
        marks[~described.known] = NO_DATA
        here = drawn(described.features[marks != NO_DATA], marks[marks != NO_DATA])
        found, added = drawn(*joined([here, *elsewhere]), most=VIEW_PIXELS), None
        if weak is not None:
            sure = (weak != NO_DATA) & (marks == NO_DATA) & described.known
            added = drawn(described.features[sure], weak[sure], most=VIEW_PIXELS // 2)
        known = found if added is None else joined([found, added])
        if len(np.unique(known[1])) < 2:
            return None
        model = unlearnt(self.describe, painted.classes, self.bands)
        fitted = fit_labelled(model, found, added)
        return _judged(fitted.network, described, marks, known[0])

    def teach(
        self, painted: Painted, weak: MaskArray | None = None
    ) -> "tuple[TerrainModel, list[Labelled]]":
        """Return the classifier of the whole image, and what it learnt from by blocks.

        Args:
            painted: What is painted.
            weak: As for `learn`, of the whole image at its own scale.

        Raises:
            DatasetError: If fewer than two classes are labelled.
            TerrainError: If the image cannot be read.
        """
        step = self.whole_step
        layer = self._layer(painted, step)
        everywhere = _around(layer, None, self.at_step(step))
        with self._reader() as read:
            blocks = self._blocks(layer, everywhere, step, _WHOLE_BLOCKS, read)
            if not blocks:
                raise DatasetError(
                    "nothing is painted yet. Paint strokes of two classes."
                )
            added = None if weak is None else self._sure(weak, step, read)
        model = unlearnt(self.describe, painted.classes, self.bands, scale=1 / step)
        return fit_labelled(model, drawn(*joined(blocks)), added), blocks

    def _sure(self, weak: MaskArray, step: int, read: _Read) -> Labelled:
        """Return described pixels of evenly chosen blocks that another model knows."""
        size, found = self.at_step(step), []
        rows, columns = (range(-(-side // BLOCK_PX)) for side in size)
        for block in evenly(list(product(rows, columns)), _SURE_BLOCKS):
            view = _block_view(block, step, size)
            described = self._described(view, read)
            marks = np.where(described.known, weak[view.rows, view.columns], NO_DATA)
            sure = marks != NO_DATA
            found.append(drawn(described.features[sure], marks[sure], most=100))
        return joined(found)

    def _layer(self, painted: Painted, step: int) -> VectorLayer:
        size = self.at_step(step)
        return stroke_layer(painted.strokes, painted.classes, size, scale=1 / step)

    def _key(self, view: View) -> str:
        return f"described\n{self.key}\n{view}"

    def _described(self, view: View, read: _Read) -> _Described:
        """Return the features of a view, described now if they are not kept."""
        key = self._key(view)
        kept = self.store.get(key)
        if isinstance(kept, _Described):
            return kept
        found = self._describe(view, read)
        if self.lay_down is not None:
            found = replace(found, features=self.lay_down(found.features))
        self.store.put(key, found, found.features.nbytes + found.known.nbytes)
        return found

    def _describe(self, view: View, read: _Read) -> _Described:
        around = self.describe.reach_px
        height, width = self.at_step(view.step)
        top, left = (
            max(0, side.start - around) // _ALIGNED_PX * _ALIGNED_PX
            for side in (view.rows, view.columns)
        )
        rows = slice(top, min(height, view.rows.stop + around))
        columns = slice(left, min(width, view.columns.stop + around))
        pixels, known = self._pixels(View(rows, columns, view.step), read)
        inside = (
            slice(view.rows.start - top, view.rows.stop - top),
            slice(view.columns.start - left, view.columns.stop - left),
        )
        features = np.ascontiguousarray(self.describe(pixels)[inside])
        return _Described(view, features, known[inside].copy())

    def _pixels(self, view: View, read: _Read) -> tuple[FloatArray, BoolArray]:
        """Return the pixels of a view, with metres behind, and where it has data."""
        scene, heights = read()
        if view.step >= _OVERVIEW_STEP:
            return self._overview(scene, heights, view)
        rows, columns = (
            slice(side.start * view.step, min(side.stop * view.step, length))
            for side, length in zip((view.rows, view.columns), self.size, strict=True)
        )
        pixels, known = scene.read((rows, columns))
        if heights is not None:
            metres = heights.read((rows, columns))[..., None]
            pixels = np.concatenate([pixels, metres], axis=-1)
        return mean_of_squares(pixels, known, view.step)

    def _overview(
        self, scene: Scene, heights: Heights | None, view: View
    ) -> tuple[FloatArray, BoolArray]:
        if scene.bands != 3 or heights is not None:
            raise InputError(
                "so large a part of the image is only looked at by red, green and "
                "blue. Zoom in to see its mask.",
                file=scene.name,
            )
        height, width = self.at_step(view.step)
        key = f"overview\n{self.key}\n{view.step}"
        kept = self.store.get(key)
        if kept is None:
            small, size = scene.overview(max(height, width)), (width, height)
            valid = small.valid.astype(np.uint8)
            kept = (
                cv2.resize(small.rgb, size, interpolation=cv2.INTER_AREA),
                cv2.resize(valid, size, interpolation=cv2.INTER_NEAREST).astype(bool),
            )
            self.store.put(key, kept, sum(part.nbytes for part in kept))
        window = (view.rows, view.columns)
        return np.ascontiguousarray(kept[0][window]), kept[1][window]

    @contextmanager
    def _reader(self) -> Iterator[_Read]:
        """Yield what opens image and heights once, if they are read at all."""
        with ExitStack() as stack:

            @cache
            def read() -> tuple[Scene, Heights | None]:
                scene = stack.enter_context(open_scene(self.source, bands=self.choice))
                heights = None
                if self.heights is not None:
                    grid = Grid(scene.height, scene.width, scene.georeference)
                    heights = stack.enter_context(open_heights(self.heights)).on(grid)
                return scene, heights

            yield read

    def _blocks(
        self,
        layer: VectorLayer,
        blocks: Sequence[Block],
        step: int,
        most: int,
        read: _Read,
    ) -> list[Labelled]:
        """Return what is labelled in blocks of the image, at most so many of them."""
        size = self.at_step(step)
        views = [_block_view(block, step, size) for block in evenly(blocks, 4 * most)]
        marked = [(view, _laid(layer, view)) for view in views]
        marked = [one for one in marked if (one[1] != NO_DATA).any()]
        found = [self._in_block(*one, read) for one in evenly(marked, most)]
        return [part for part in found if len(part[1])]

    def _in_block(self, view: View, marks: MaskArray, read: _Read) -> Labelled:
        digest = hashlib.sha256(marks.tobytes()).hexdigest()
        key = f"labelled\n{self.key}\n{view}\n{digest}"
        kept: Labelled | None = self.store.get(key)
        if kept is None:
            described = self._describe(view, read)
            labelled = (marks != NO_DATA) & described.known
            kept = drawn(described.features[labelled], marks[labelled])
            self.store.put(key, kept, kept[0].nbytes + kept[1].nbytes)
        return kept


def _judged(
    network: InstantClassifier,
    described: _Described,
    marks: MaskArray,
    learnt_from: FloatArray,
) -> Learnt:
    """Return mask, margins and places of a described view."""
    features = described.features.reshape(-1, described.features.shape[-1])
    told = np.ascontiguousarray(network.judge(features).T)  # quicker by the class
    best, classes = told.max(axis=0), told.argmax(axis=0)
    told[classes, np.arange(len(classes))] = -1
    apart, size = (best - told.max(axis=0)) * 255, described.view.size
    margins = np.floor(apart).astype(np.uint8).reshape(size)
    mask = classes.astype(np.uint8).reshape(size)
    mask[~described.known] = NO_DATA
    margins[~described.known] = 255
    cells = helpful_cells(
        network, described.features, margins, marks == NO_DATA, learnt_from
    )
    left, top, *_ = described.view.window
    step = described.view.step
    places = tuple((left + x * step, top + y * step, r * step) for x, y, r in cells)
    return Learnt(described.view, mask, margins, places)


def _wide(start: float, stop: float, length: int) -> slice:
    """Return whole pixels around a span, so that small moves change nothing."""
    first = math.floor(start / _MOVE_PX) * _MOVE_PX
    return slice(first, min(length, math.ceil(stop / _MOVE_PX) * _MOVE_PX))


def _power_of_two(least: float) -> int:
    return 1 if least <= 1 else 2 ** math.ceil(math.log2(least) - 1e-9)


def _laid(layer: VectorLayer, view: View) -> MaskArray:
    marks = np.full(view.size, NO_DATA, np.uint8)
    layer.lay((view.rows, view.columns), marks)
    return marks


def _block_view(block: Block, step: int, size: Size) -> View:
    row, column = (number * BLOCK_PX for number in block)
    rows = slice(row, min(row + BLOCK_PX, size[0]))
    return View(rows, slice(column, min(column + BLOCK_PX, size[1])), step)


def _around(layer: VectorLayer, view: View | None, size: Size) -> list[Block]:
    """Return the blocks that shapes may lie in, but for those that a view shows."""
    import shapely

    found: set[Block] = set()
    last = [max(0, side - 1) // BLOCK_PX for side in size]
    for bounds in shapely.bounds(layer.geometry):
        left, top, right, bottom = (int(edge // BLOCK_PX) for edge in bounds)
        rows = range(max(0, top), min(last[0], bottom) + 1)
        found |= set(product(rows, range(max(0, left), min(last[1], right) + 1)))
    return sorted(one for one in found if view is None or not _shown(one, view))


def _shown(block: Block, view: View) -> bool:
    row, column = (number * BLOCK_PX + BLOCK_PX // 2 for number in block)
    inside = row in range(view.rows.start, view.rows.stop)
    return inside and column in range(view.columns.start, view.columns.stop)
