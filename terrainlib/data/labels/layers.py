"""Labels laid onto the grid of an image: class rasters and features, by window.

Each file of labels becomes a layer. Later layers lie over earlier ones, later features
over earlier ones of the same file; where none says anything, the class is no data.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.formats.categories import Category, read_categories
from terrainlib.data.formats.grids import compare, lay, one_system
from terrainlib.data.formats.raster import Georeference, Grid, Transform
from terrainlib.data.labels.scenes import StoredScene, all_windows, open_stored
from terrainlib.data.labels.vectors import Features, is_vector, read_features
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    MAX_CLASSES,
    NO_DATA,
    Classes,
    TerrainClass,
    distinct_colors,
)
from terrainlib.errors import DatasetError
from terrainlib.types import MaskArray, Size, Window

MAX_WIDTH_PX: Final = 1000
_STRIP_PIXELS: Final = 8_000_000
_NO_CODE: Final = -1
_TURN: Final = 360.0  # degrees
_TURNS: Final = (0, -1, 1)
_EDGES: Final = 64  # pieces that the edge of a feature or a raster is cut into
_THIN: Final = 2.0  # px; what is thinner is drawn without its width
_SYSTEM_ADVICE: Final = "Save both with one."

Box = tuple[int, int, int, int]  # first row, end of rows, first column, end of columns


class Layer(Protocol):
    """Labels of one file on the grid of one image."""

    @property
    def box(self) -> Box | None:
        """The part of the image that they may lie in; None where they lie beside it."""

    def lay(self, window: Window, mask: MaskArray) -> None:
        """Write class indices into the mask of a window, (h, w), where it has some."""


class LabelFile(Protocol):
    """A file of labels: its classes, and its layer on an image."""

    @property
    def name(self) -> str:
        """Name of the file, without folders."""

    @property
    def colors(self) -> dict[str, tuple[int, int, int] | None]:
        """Names of its classes, with the colours that it gives them."""

    def on(self, scene: StoredScene, classes: Classes) -> Layer:
        """Return its layer on an image.

        Raises:
            DatasetError: If the two cannot be laid over each other.
        """


def open_labels(
    paths: Sequence[Path], stack: ExitStack, *, field: str | None, width: float
) -> list[LabelFile]:
    """Open files of labels, to be closed with the stack.

    Args:
        paths: Class rasters, and files of polygons, lines and points.
        stack: Keeps the rasters open.
        field: The field of the class, as for `read_features`.
        width: Width in px of lines and points that have no `width_px`.

    Raises:
        DatasetError: If a file of features cannot be used.
        ImageError: If a raster cannot be read.
    """
    found: list[LabelFile] = []
    for path in paths:
        if is_vector(path):
            found.append(VectorLabels(read_features(path, field), width))
        else:
            scene = stack.enter_context(open_stored(path))
            own = {n: Category(c.name, c.color) for n, c in enumerate(scene.classes)}
            found.append(RasterLabels.of(scene, own | read_categories(path)))
    return found


def classes_of(labels: Sequence[LabelFile]) -> Classes:
    """Return the classes of all files: Kaggle's first, then numbers, then names.

    Colours are those of the files, else Kaggle's for a class of its name, else colours
    that are told apart.

    Raises:
        DatasetError: If they are fewer than two or more than 64.
    """
    given: dict[str, tuple[int, int, int] | None] = {}
    for file in labels:
        for name, color in file.colors.items():
            given[name] = given.get(name) or color
    if not 2 <= len(given) <= MAX_CLASSES:
        shown = ", ".join(sorted(given)[:3])
        raise DatasetError(
            f"{len(given)} classes are labelled ({shown}{', ...' * (len(given) > 3)}); "
            f"2 to {MAX_CLASSES} are needed. Check the file and the field.",
            file=labels[0].name,
        )
    kaggle = {item.name: item.color for item in KAGGLE_CLASSES}
    names = sorted(given, key=lambda name: (_place(name, list(kaggle)), name))
    used = {color for color in given.values() if color} | set(kaggle.values())
    free = distinct_colors(len(names), used)
    classes: list[TerrainClass] = []
    for name in names:
        color = given[name] or kaggle.get(name)
        taken = {item.color for item in classes}
        if color is None or color in taken:
            color = next(spare for spare in free if spare not in taken)
        classes.append(TerrainClass(name, color))
    return tuple(classes)


def _place(name: str, kaggle: list[str]) -> tuple[int, int]:
    if name in kaggle:
        return 0, kaggle.index(name)
    return (1, int(name)) if name.isascii() and name.isdigit() else (2, 0)


@dataclass(frozen=True, slots=True, eq=False)
class RasterLabels:
    """A class raster: codes, or colours.

    Attributes:
        scene: The raster.
        names: Name of the class of each code.
        colors: Colour of each class, where the raster gives it one.
    """

    scene: StoredScene
    names: dict[int, str]
    colors: dict[str, tuple[int, int, int] | None]

    @property
    def name(self) -> str:
        """Name of the file, without folders."""
        return self.scene.name

    @classmethod
    def of(cls, scene: StoredScene, categories: Mapping[int, Category]) -> Self:
        """Look through a raster.

        Args:
            scene: The raster.
            categories: What its values are called.

        Raises:
            DatasetError: If it holds no codes, or more than there may be classes.
            ImageError: If it is damaged.
        """
        if scene.count not in (1, 3, 4):
            raise DatasetError(
                f"{scene.count} bands; a class raster has one band of codes, or "
                "colours. Save the codes as a file of their own.",
                file=scene.name,
            )
        codes: set[int] = set()
        rows = max(1, _STRIP_PIXELS // scene.width)
        for window in all_windows(scene.height, scene.width, rows):
            codes |= _distinct(_codes(scene, window))
            if len(codes) > MAX_CLASSES + 2:
                raise DatasetError(
                    f"more than {MAX_CLASSES} codes or colours, which is the limit. "
                    "Check that it is a class raster.",
                    file=scene.name,
                )
        codes.discard(_NO_CODE)
        if scene.count == 1 and codes > {NO_DATA} and codes - {0, NO_DATA}:
            codes.discard(NO_DATA)  # beside smaller codes it is none
        colors = {code: _color(scene, code) for code in codes}
        names = {code: _name(scene, code, colors[code]) for code in sorted(codes)}
        for code in codes & set(categories):
            names[code] = categories[code].name
            colors[code] = categories[code].color or colors[code]
        return cls(scene, names, {names[code]: colors[code] for code in names})

    def on(self, scene: StoredScene, classes: Classes) -> Layer:
        """Return its layer on an image.

        Raises:
            ImageError: If one of the two has no place, and the sizes differ.
        """
        order = [item.name for item in classes]
        indices = {code: order.index(name) for code, name in self.names.items()}
        size = self.scene.height, self.scene.width
        own, other = self.scene.georeference, scene.georeference
        grids = Grid(*size, own), Grid(scene.height, scene.width, other)
        if own is None or other is None:
            compare(*grids, self.name)
            return _RasterLayer(self.scene, indices, None, (0, size[0], 0, size[1]))
        corners = _outline(*size)
        x, y = applied(own.transform, corners[:, 0], corners[:, 1])
        if one_system(own, other) and _in_degrees(other):
            return self._turned(indices, *grids, scene)
        if not one_system(own, other):
            systems = own.crs_wkt, other.crs_wkt
            x, y = _transformer(*systems, self.name, scene.name).transform(x, y)
        places = np.stack(applied(inverted(other.transform), x, y), axis=1)
        return _RasterLayer(
            self.scene, indices, grids, _clipped(places, (scene.height, scene.width))
        )

    def _turned(
        self, indices: dict[int, int], own: Grid, image: Grid, scene: StoredScene
    ) -> Layer:
        """Return its layer by longitudes, which may be counted by another turn."""
        layers = []
        for turn in _TURNS:
            grid = _turned_grid(own, turn)
            if grid.place is None or image.place is None:
                continue
            corners = _outline(own.height, own.width).T
            x, y = applied(grid.place.transform, *corners)
            inverse = inverted(image.place.transform)
            box = _clipped(
                np.stack(applied(inverse, x, y), axis=1), (scene.height, scene.width)
            )
            if box is not None:
                layers.append(_RasterLayer(self.scene, indices, (grid, image), box))
        return layers[0] if len(layers) == 1 else _Layers(tuple(layers))


def _codes(scene: StoredScene, window: Window) -> NDArray[np.int64]:
    """Return the codes under a window, (h, w), -1 where there is none."""
    samples, valid = scene.read(window)
    if scene.count > 1:
        red, green, blue = (samples[band].astype(np.int64) for band in range(3))
        codes: NDArray[np.int64] = (red << 16) | (green << 8) | blue
    else:
        with np.errstate(invalid="ignore"):
            codes = np.where(valid, samples[0], 0).astype(np.int64)
        if samples.dtype.kind == "f" and (codes != samples[0])[valid].any():
            raise DatasetError(
                "its values are not whole numbers, as codes of classes must be. "
                "Check that it is a class raster.",
                file=scene.name,
            )
    codes[~valid] = _NO_CODE
    return codes


def _distinct(codes: NDArray[np.int64]) -> set[int]:
    if codes.max() <= np.iinfo(np.uint16).max and codes.min() >= _NO_CODE:
        found = np.flatnonzero(np.bincount(codes.ravel() + 1)) - 1  # far quicker
    else:
        found = np.unique(codes)
    return {int(code) for code in found}


def _color(scene: StoredScene, code: int) -> tuple[int, int, int] | None:
    if scene.count > 1:
        return code >> 16 & 255, code >> 8 & 255, code & 255
    if scene.palette is None or not 0 <= code < len(scene.palette):
        return None
    red, green, blue = map(int, scene.palette[code])
    return red, green, blue


def _name(scene: StoredScene, code: int, color: tuple[int, int, int] | None) -> str:
    for item in KAGGLE_CLASSES:
        if color == item.color:
            return item.name
    return str(code) if scene.count == 1 else f"#{code:06X}"


@dataclass(frozen=True, slots=True, eq=False)
class _RasterLayer:
    """A class raster on an image; without grids pixel lies on pixel."""

    scene: StoredScene
    indices: dict[int, int]
    grids: tuple[Grid, Grid] | None
    box: Box | None

    def lay(self, window: Window, mask: MaskArray) -> None:
        """Write class indices into the mask of a window."""
        if self.grids is None:
            laid = self._read(window)
        else:
            laid = lay(self._read, *self.grids, window, np.uint8(NO_DATA))
        known = laid != NO_DATA
        mask[known] = laid[known]

    def _read(self, window: Window) -> MaskArray:
        """Return the class indices of the raster's own pixels."""
        codes = _codes(self.scene, window)
        known = np.array(sorted(self.indices), np.int64)
        values = np.array([self.indices[int(code)] for code in known], np.uint8)
        if not known.size:
            return np.full(codes.shape, NO_DATA, np.uint8)
        place = np.searchsorted(known, codes).clip(max=len(known) - 1)
        found: MaskArray = np.where(known[place] == codes, values[place], NO_DATA)
        return found.astype(np.uint8)


@dataclass(frozen=True, slots=True)
class _Layers:
    """Several layers as one: a class raster, some of it a turn of the Earth away."""

    layers: tuple[_RasterLayer, ...]

    @property
    def box(self) -> Box | None:
        """The part of the image that they may lie in together."""
        boxes = np.array([layer.box for layer in self.layers], np.int64)
        if not len(boxes):
            return None
        top, left = (int(boxes[:, side].min()) for side in (0, 2))
        end, right = (int(boxes[:, side].max()) for side in (1, 3))
        return top, end, left, right

    def lay(self, window: Window, mask: MaskArray) -> None:
        """Write the class indices of each into the mask of a window."""
        for layer in self.layers:
            layer.lay(window, mask)


@dataclass(frozen=True, slots=True, eq=False)
class VectorLabels:
    """Features of a file.

    Attributes:
        features: The features.
        width: Width in px of lines and points that have none of their own.
    """

    features: Features
    width: float

    @property
    def name(self) -> str:
        """Name of the file, without folders."""
        return self.features.name

    @property
    def colors(self) -> dict[str, tuple[int, int, int] | None]:
        """Names of its classes; a file of features gives them no colours."""
        return dict.fromkeys(self.features.classes)

    def on(self, scene: StoredScene, classes: Classes) -> Layer:
        """Return its layer on an image.

        Raises:
            DatasetError: If only one of the two names its reference system.
        """
        import shapely

        order = {item.name: index for index, item in enumerate(classes)}
        index = np.array([order[name] for name in self.features.classes], np.uint8)
        placed = in_pixels(self.features, scene)
        usable = np.isfinite(shapely.bounds(placed)).all(axis=1)
        widths = np.where(
            np.isnan(self.features.widths), self.width, self.features.widths
        ).clip(0, MAX_WIDTH_PX)
        placed, index, widths = placed[usable], index[usable], widths[usable]
        placed, kept = _all_turns(placed, scene)
        drawn = with_width(placed, widths[kept])
        return VectorLayer.of(drawn, index[kept], (scene.height, scene.width))


@dataclass(frozen=True, slots=True, eq=False)
class VectorLayer:
    """Features on an image, in its pixels: x the column, y the row."""

    geometry: NDArray[np.object_]
    index: NDArray[np.uint8]
    tree: Any
    box: Box | None

    @classmethod
    def of(
        cls, drawn: NDArray[np.object_], index: NDArray[np.uint8], size: Size
    ) -> Self:
        """Return the layer of shapes with their classes on an image of (H, W) px."""
        import shapely

        box = None
        if len(drawn):
            low_x, low_y, high_x, high_y = shapely.total_bounds(drawn)
            box = _clipped(np.array([(low_x, low_y), (high_x, high_y)]), size)
        return cls(drawn, index, shapely.STRtree(drawn), box)

    def lay(self, window: Window, mask: MaskArray) -> None:
        """Write class indices into the mask of a window; later features are on top."""
        import shapely
        from rasterio import Affine
        from rasterio.features import rasterize

        rows, columns = window
        edges = columns.start - 1, rows.start - 1, columns.stop + 1, rows.stop + 1
        near = np.sort(self.tree.query(shapely.box(*edges)))
        clipped = shapely.clip_by_rect(self.geometry[near], *edges)
        shapes = [
            (shape, int(value))
            for shape, value in zip(clipped, self.index[near], strict=True)
            if shape is not None and not shape.is_empty
        ]
        if shapes:
            rasterize(
                shapes,
                out=mask,
                transform=Affine.translation(columns.start, rows.start),
            )


def in_pixels(features: Features, scene: StoredScene) -> NDArray[np.object_]:
    """Return features in the pixels of an image: x the column, y the row."""
    import shapely

    place = scene.georeference or Georeference("", (1, 0, 0, 0, -1, 0), None)
    forward = _transformer(features.crs, place.crs_wkt, features.name, scene.name)
    geometry = features.geometry
    if forward is not None:
        bounds = shapely.bounds(geometry)
        longest = np.hypot(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
        geometry = shapely.segmentize(geometry, np.maximum(longest / _EDGES, 1e-9))
    inverse = inverted(place.transform)

    def pixels(places: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = places[:, 0], places[:, 1]
        if forward is not None:
            x, y = forward.transform(x, y)
        return np.stack(applied(inverse, x, y), axis=1)

    placed: NDArray[np.object_] = shapely.transform(geometry, pixels)
    return placed


def _all_turns(
    placed: NDArray[np.object_], scene: StoredScene
) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Return features and those that a turn of the Earth brings onto the image.

    Longitudes of -170 and 190 are one place. Which feature each one is comes second.
    """
    import shapely

    numbers = np.arange(len(placed))
    place = scene.georeference
    if place is None or not _in_degrees(place):
        return placed, numbers
    step = np.array(inverted(place.transform))[[0, 3]] * _TURN
    bounds = shapely.bounds(placed)
    found, kept = [placed], [numbers]
    for turn in _TURNS[1:]:
        moved = bounds + np.tile(turn * step, 2)
        meets = (moved[:, :2] < (scene.width, scene.height)).all(axis=1)
        meets &= (moved[:, 2:] > 0).all(axis=1)
        shift = turn * step
        found.append(shapely.transform(placed[meets], lambda xy, by=shift: xy + by))
        kept.append(numbers[meets])
    order = np.argsort(np.concatenate(kept), kind="stable")  # later ones stay on top
    return np.concatenate(found)[order], np.concatenate(kept)[order]


def _turned_grid(grid: Grid, turn: int) -> Grid:
    if not turn or grid.place is None:
        return grid
    a, b, c, d, e, f = grid.place.transform
    moved = replace(grid.place, transform=(a, b, c + turn * _TURN, d, e, f))
    return replace(grid, place=moved)


def _in_degrees(place: Georeference) -> bool:
    """Return whether a system of places counts longitudes in degrees."""
    from pyproj import CRS
    from pyproj.exceptions import ProjError

    try:
        return bool(place.crs_wkt) and CRS.from_user_input(place.crs_wkt).is_geographic
    except ProjError:
        return False


def with_width(
    geometry: NDArray[np.object_], widths: NDArray[np.float64]
) -> NDArray[np.object_]:
    """Return polygons as they are, lines and points drawn as wide as they are to be."""
    import shapely

    drawn = geometry.copy()
    flat = shapely.get_dimensions(geometry) == 2
    broken = flat & ~shapely.is_valid(geometry)
    drawn[broken] = shapely.make_valid(geometry[broken])
    wide = ~flat & (widths >= _THIN)
    drawn[wide] = shapely.buffer(geometry[wide], widths[wide] / 2)
    return drawn


def _transformer(first: str, second: str, name: str, other: str) -> Any:
    """Return what maps places of one reference system to another; None if they are one.

    Raises:
        DatasetError: If only one of them is named, or one is not known.
    """
    from pyproj import CRS, Transformer
    from pyproj.exceptions import ProjError

    if bool(first) != bool(second):
        without, having = (name, other) if not first else (other, name)
        raise DatasetError(
            "it has no coordinate reference system, so that it cannot be laid over "
            f"{having}. {_SYSTEM_ADVICE}",
            file=without,
        )
    if first == second:
        return None
    try:
        systems = CRS.from_user_input(first), CRS.from_user_input(second)
        return Transformer.from_crs(*systems, always_xy=True)
    except ProjError as error:
        raise DatasetError(
            f"its coordinate reference system cannot be brought to that of {other}. "
            f"{_SYSTEM_ADVICE}",
            file=name,
        ) from error


def applied(
    transform: Transform, x: NDArray[Any], y: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the places x, y of columns and rows, by a transform."""
    a, b, c, d, e, f = transform
    with np.errstate(invalid="ignore"):
        return a * x + b * y + c, d * x + e * y + f


def inverted(transform: Transform) -> Transform:
    """Return what leads from places back to columns and rows."""
    a, b, c, d, e, f = transform
    whole = a * e - b * d
    a, b, d, e = e / whole, -b / whole, -d / whole, a / whole
    return a, b, -(a * c + b * f), d, e, -(d * c + e * f)


def _outline(height: int, width: int) -> NDArray[np.float64]:
    """Return places (column, row) along the edge of a raster, (n, 2)."""
    steps = np.linspace(0, 1, _EDGES + 1)
    across, down = steps * width, steps * height
    sides = [(across, 0 * across), (across, 0 * across + height)]
    sides += [(0 * down, down), (0 * down + width, down)]
    return np.concatenate([np.stack(side, axis=1) for side in sides])


def _clipped(places: NDArray[np.float64], size: Size) -> Box | None:
    """Return the box around places (column, row), within the image; None outside."""
    places = places[np.isfinite(places).all(axis=1)]
    if not len(places):
        return 0, size[0], 0, size[1]
    left, top = np.floor(places.min(axis=0))
    right, bottom = np.ceil(places.max(axis=0))
    box = (
        int(max(0, top)),
        int(min(size[0], max(0, bottom))),
        int(max(0, left)),
        int(min(size[1], max(0, right))),
    )
    return box if box[0] < box[1] and box[2] < box[3] else None
