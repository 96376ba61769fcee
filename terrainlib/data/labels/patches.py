"""A labelled scene becomes a data set: patches of images with what is labelled of them.

Each image is covered by patches that do not overlap, as far as it is labelled and a
margin around that. A patch without a labelled pixel is left out. Images are read by
window, all bands are kept as they are; masks hold class indices and 255.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from terrainlib import files
from terrainlib.data.choices import BandKeys, Choices, save_choices
from terrainlib.data.formats.bands import Marks, find_numbers, picture_marks
from terrainlib.data.formats.heights import Heights, open_heights
from terrainlib.data.formats.raster import Grid
from terrainlib.data.labels.layers import Box, LabelFile, Layer, classes_of, open_labels
from terrainlib.data.labels.places import PATCHES_FILE, Place, crs_name, write_places
from terrainlib.data.labels.scenes import (
    StoredScene,
    open_stored,
    part_place,
    write_part,
)
from terrainlib.data.layout import CLASSES_FILE
from terrainlib.data.palette import NO_DATA, Classes, save_classes
from terrainlib.errors import (
    ConfigError,
    DatasetError,
    ImageError,
    StoppedError,
    require_number,
)
from terrainlib.places import require_changeable
from terrainlib.types import MaskArray, Progress, ShouldStop, Window

SIZES: Final = (
    256,
    192,
    128,
    96,
    64,
    48,
    32,
)  # px; the largest that gives patches enough is taken
ENOUGH: Final = 24  # patches to divide, where nobody chose their size
MIN_SIZE: Final = 16
MAX_SIZE: Final = 4096
MAX_PATCHES: Final = 100_000
MARGIN_SHARE: Final = 0.125  # of a patch's side, around what is labelled
DEFAULT_WIDTH_PX: Final = 3.0


@dataclass(frozen=True, slots=True)
class Made:
    """A data set that was made.

    Attributes:
        folder: Where it lies.
        patches: How many patches it has.
        size: Greatest height and width of a patch, px.
        classes: Its classes.
        counts: Labelled pixels of each class.
        notes: What people should know of it.
    """

    folder: Path
    patches: int
    size: int
    classes: Classes
    counts: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PatchOptions:
    """How patches are cut.

    Attributes:
        field: Field of the class in files of features; None takes the likely one.
        size: Side of a patch in px, 16 to 4096; None takes what fits.
        width: Width in px of lines and points without a `width_px`.
        bands: Bands that trainings use, by name or number; all are kept.
        heights: File of the heights of the one image, on its grid or with a place.
    """

    field: str | None = None
    size: int | None = None
    width: float = DEFAULT_WIDTH_PX
    bands: BandKeys | None = None
    heights: Path | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            require_number("patch size in px", self.size, MIN_SIZE, MAX_SIZE)
        require_number("width of lines in px", self.width, 1, 1000)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be cut out of one image."""

    path: Path
    name: str
    windows: tuple[Window, ...]


def make_patches(
    images: Sequence[Path],
    labels: Sequence[Path],
    out: Path,
    options: PatchOptions | None = None,
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Made:
    """Make a data set of labelled scenes.

    Args:
        images: TIFF files of any size, PNG or JPEG.
        labels: Class rasters, and files of polygons, lines and points, each laid onto
            every image. Later files lie over earlier ones.
        out: The folder to make; it may be there, but must be empty.
        options: How patches are cut.
        progress: Called with the windows looked at and their number.
        should_stop: Asked between patches; nothing is left of what was begun.

    Raises:
        DatasetError: If the labels cannot be used, or lie on no image.
        ImageError: If an image or a class raster cannot be read, or an image has no
            such bands.
        ConfigError: If there is something in `out`, or heights come with many images.
        StoppedError: If `should_stop` said so.
        StorageError: If the disk is full, read-only or failing.
    """
    options = options or PatchOptions()
    out = Path(out)
    require_changeable(out)
    _require_new(out)
    if options.heights is not None and len(images) != 1:
        raise ConfigError(
            f"one height file cannot belong to {len(images)} images. Give one image."
        )
    with ExitStack() as stack:
        opened = open_labels(labels, stack, field=options.field, width=options.width)
        classes = classes_of(opened)
        plans = _plans(images, opened, classes, options)
        work = _Work(classes, opened, plans, progress, should_stop)
        if options.heights is not None:
            work.heights = stack.enter_context(open_heights(options.heights))
        with files.atomic_folder(out) as folder:
            places = work.write(folder)
            if not places:
                which = "the image" if len(images) == 1 else "an image"
                raise DatasetError(
                    f"no label lies on {which}. Check that they show the same place.",
                    file=labels[0].name,
                )
            write_places(folder / PATCHES_FILE, places)
            save_classes(folder / CLASSES_FILE, classes)
            if options.bands is not None:
                save_choices(folder, Choices(bands=options.bands))
            if out.exists():  # empty, and in the way of the new one
                out.rmdir()
    size = max(max(place.height, place.width) for place in places)
    counts = tuple(int(count) for count in work.counts[: len(classes)])
    return Made(out, len(places), size, classes, counts, tuple(_notes(opened, work)))


def _require_new(out: Path) -> None:
    try:
        free = not out.is_symlink() and (
            not out.exists() or (out.is_dir() and not any(out.iterdir()))
        )
    except OSError as error:
        raise files.storage_error(out, error) from error
    if not free:
        raise ConfigError(
            f"{out.name} exists already, and a data set is never written over another. "
            "Choose a new folder."
        )


def _notes(labels: Sequence[LabelFile], work: "_Work") -> Iterator[str]:
    from terrainlib.data.labels.layers import VectorLabels

    for file in labels:
        if isinstance(file, VectorLabels) and file.features.unlabelled:
            count = file.features.unlabelled
            yield f"{file.name}: {count:,} features without class or geometry left out"
    for item, pixels in zip(work.classes, work.counts, strict=False):
        if not pixels:
            yield f"no pixel is labelled {item.name}"


def _plans(
    images: Sequence[Path],
    labels: Sequence[LabelFile],
    classes: Classes,
    options: PatchOptions,
) -> list[_Plan]:
    """Return what to cut out of each image."""
    boxes: list[tuple[Box, int, int] | None] = []
    for path in images:
        with open_stored(path) as scene:
            if options.bands is not None:
                find_numbers(_marks(scene), options.bands, scene.name)
            layers = [file.on(scene, classes) for file in labels]
            box = _around([layer.box for layer in layers if layer.box])
            boxes.append(None if box is None else (box, scene.height, scene.width))
    known = [box for box in boxes if box is not None]
    for side in (options.size,) if options.size else SIZES:
        cut = {id(box): tile_windows(*box, side) for box in known}
        if sum(map(len, cut.values())) >= ENOUGH:
            break
    total = sum(map(len, cut.values()))
    if total > MAX_PATCHES:
        raise DatasetError(
            f"{total:,} patches of {side} px; the limit is {MAX_PATCHES:,}. Choose a "
            "larger size, or fewer images."
        )
    stems = _names([path.stem for path in images])
    return [
        _Plan(path, stem, tuple(cut[id(box)]) if box else ())
        for path, stem, box in zip(images, stems, boxes, strict=True)
    ]


def _marks(scene: StoredScene) -> list[Marks]:
    """Return what a scene says about its bands."""
    colors = scene.marks.get("colorinterp")
    if colors is None:
        return picture_marks(scene.count)
    pairs = zip(colors, scene.bands, strict=True)
    return [Marks(color.name, name) for color, name in pairs]


def _names(stems: Sequence[str]) -> list[str]:
    """Return names for scenes that are file names everywhere, once each."""
    names: list[str] = []
    for stem in stems:
        plain = re.sub(r"[^\w.-]+", "_", stem).strip("._-")[:80] or "scene"
        number, name = 1, plain
        while name in names:
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return names


def _around(boxes: Sequence[Box]) -> Box | None:
    if not boxes:
        return None
    tops, bottoms, lefts, rights = zip(*boxes, strict=True)
    return min(tops), max(bottoms), min(lefts), max(rights)


def tile_windows(box: Box, height: int, width: int, side: int) -> list[Window]:
    """Return windows that cover what is labelled and a margin, and do not overlap.

    They are squares of `side` px; where the image has no room for whole ones, it is
    divided into equal ones that are a little smaller.

    Args:
        box: The part of the image that is labelled.
        height: Rows of the image, px.
        width: Columns of the image, px.
        side: Side of a window, px.
    """
    rows = _cuts(box[0], box[1], height, side)
    columns = _cuts(box[2], box[3], width, side)
    return [(row, column) for row in rows for column in columns]


def _cuts(start: int, stop: int, length: int, side: int) -> list[slice]:
    margin = round(MARGIN_SHARE * side)
    start, stop = max(0, start - margin), min(length, stop + margin)
    count = math.ceil((stop - start) / side)
    if count * side <= length:
        first = min(max(0, (start + stop - count * side) // 2), length - count * side)
        edges = [first + number * side for number in range(count + 1)]
    else:
        edges = [start + (stop - start) * n // count for n in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


class _Work:
    """Writes the patches of all plans and counts what is labelled."""

    def __init__(
        self,
        classes: Classes,
        labels: Sequence[LabelFile],
        plans: Sequence[_Plan],
        progress: Progress | None,
        should_stop: ShouldStop | None,
    ) -> None:
        self.classes = classes
        self.counts = np.zeros(256, np.int64)
        self._labels = labels
        self._plans = plans
        self._total = sum(len(plan.windows) for plan in plans)
        self._done = 0
        self._progress = progress
        self._should_stop: Callable[[], bool] = should_stop or (lambda: False)
        self.heights: Heights | None = None

    def write(self, folder: Path) -> list[Place]:
        """Write `images/`, `masks/`, `heights/`; return where the patches lie."""
        places: list[Place] = []
        try:
            for part in ("images", "masks", *(["heights"] if self.heights else [])):
                (folder / part).mkdir()
            for plan in self._plans:
                with open_stored(plan.path) as scene:
                    layers = [file.on(scene, self.classes) for file in self._labels]
                    if self.heights is not None:
                        self.heights = _heights_on(self.heights, scene)
                    places += self._scene(folder, plan, scene, layers)
        except OSError as error:
            raise files.storage_error(folder, error) from error
        return places

    def _scene(
        self, folder: Path, plan: _Plan, scene: StoredScene, layers: Sequence[Layer]
    ) -> Iterator[Place]:
        crs = crs_name(scene.georeference)
        transform = scene.georeference.transform if scene.georeference else None
        for window in plan.windows:
            if self._should_stop():
                raise StoppedError("stopped; nothing was written, as asked.")
            rows, columns = window
            name = f"{plan.name}_{rows.start:05d}_{columns.start:05d}"
            if self._patch(folder, name, scene, layers, window):
                size = rows.stop - rows.start, columns.stop - columns.start
                yield Place(
                    name, plan.name, rows.start, columns.start, *size, crs, transform
                )
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)

    def _patch(
        self,
        folder: Path,
        name: str,
        scene: StoredScene,
        layers: Sequence[Layer],
        window: Window,
    ) -> bool:
        """Write a patch; return whether any of it is labelled."""
        rows, columns = window
        size = rows.stop - rows.start, columns.stop - columns.start
        mask: MaskArray = np.full(size, NO_DATA, np.uint8)
        for layer in layers:
            layer.lay(window, mask)
        if (mask == NO_DATA).all():
            return False
        samples, valid = scene.read(window)
        mask[~valid] = NO_DATA
        if (mask == NO_DATA).all():
            return False
        self.counts += np.bincount(mask.ravel(), minlength=256)
        files.require_free_space(folder, samples.nbytes + mask.nbytes)
        place = part_place(scene.georeference, window)
        write_part(
            folder / "images" / f"{name}.tif",
            samples,
            place,
            nodata=scene.nodata,
            marks=scene.marks,
            valid=valid,
        )
        path = folder / "masks" / f"{name}.tif"
        write_part(path, mask[np.newaxis], place, nodata=NO_DATA)
        if self.heights is not None:
            metres = self.heights.read(window)[np.newaxis]
            path = folder / "heights" / f"{name}.tif"
            write_part(path, metres, place, nodata=math.nan)
        return True


def _heights_on(heights: Heights, scene: StoredScene) -> Heights:
    """Return heights on the grid of an image; those of another size are refused."""
    found = heights.on(Grid(scene.height, scene.width, scene.georeference))
    if (found.height, found.width) != (scene.height, scene.width):
        raise ImageError(
            f"the heights have {found.width} x {found.height} px, the image has "
            f"{scene.width} x {scene.height} px, and one of them has no place on the "
            "Earth. Give heights of the image's size.",
            file=heights.name,
        )
    return found
