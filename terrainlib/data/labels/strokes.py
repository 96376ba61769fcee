"""Strokes painted on an image: what they are, and what painting does to them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from terrainlib.data.labels.layers import MAX_WIDTH_PX, VectorLayer, with_width
from terrainlib.data.palette import MAX_CLASSES, NO_DATA, Classes, require_distinct
from terrainlib.errors import DatasetError
from terrainlib.types import Size

MAX_STROKES: Final = 4_000
MAX_POINTS: Final = 2_000  # of a stroke
MAX_ALL_POINTS: Final = 400_000
MARGIN_SHARE: Final = 0.5  # of the image's sides; a stroke may reach beyond it so far
DECIMALS: Final = 3  # of a px: what is written comes back as it was
_KEPT_OPERATIONS: Final = 1_000
_CORNERS_OF_AREA: Final = 3

Kind = Literal["line", "area"]
Deed = Literal["add", "remove", "clear"]


@dataclass(frozen=True, slots=True)
class Stroke:
    """One stroke of a brush, or one filled area; later ones lie over earlier ones.

    Attributes:
        id: Names it: 36 characters.
        kind: `line` of `width_px`, or a filled polygon.
        class_name: Its class; None erases what lies below it.
        points: x, y in px of the image, from its upper left corner; 1 to 2,000.
        width_px: Of a line, in px of the image; 0 for an area.
    """

    id: str
    kind: Kind
    class_name: str | None
    points: tuple[tuple[float, float], ...]
    width_px: float


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that somebody did to the strokes.

    Attributes:
        id: Names it, so that it counts once however often it is sent.
        deed: `add` a stroke, `remove` one, or `clear` all.
        stroke: The stroke to add.
        stroke_id: The stroke to remove.
    """

    id: str
    deed: Deed
    stroke: Stroke | None = None
    stroke_id: str = ""


@dataclass(frozen=True, slots=True)
class Painted:
    """What is painted on an image.

    Attributes:
        strokes: In the order in which they lie over each other.
        classes: What can be painted.
        version: Grows with every change.
        done: Ids of the operations done last.
    """

    strokes: tuple[Stroke, ...] = ()
    classes: Classes = ()
    version: int = 0
    done: tuple[str, ...] = ()


def check_stroke(stroke: Stroke, size: Size) -> Stroke:
    """Return a stroke with places to a thousandth of a px; refuse what is none.

    Args:
        stroke: From outside.
        size: (H, W) of the image, px.

    Raises:
        DatasetError: If a number is not finite or out of its bounds.
    """
    least = _CORNERS_OF_AREA if stroke.kind == "area" else 1
    numbers = [*(value for point in stroke.points for value in point), stroke.width_px]
    usable = least <= len(stroke.points) <= MAX_POINTS
    usable &= all(map(math.isfinite, numbers)) and 0 < len(stroke.id) <= 36
    usable &= 0 <= stroke.width_px <= max(MAX_WIDTH_PX, *size)
    height, width = size
    usable = usable and all(
        -MARGIN_SHARE <= x / width <= 1 + MARGIN_SHARE
        and -MARGIN_SHARE <= y / height <= 1 + MARGIN_SHARE
        for x, y in stroke.points
    )
    if not usable:
        raise DatasetError(
            f"a stroke does not fit: 1 to {MAX_POINTS:,} places on the image are "
            "needed. Paint it again."
        )
    points = tuple((round(x, DECIMALS), round(y, DECIMALS)) for x, y in stroke.points)
    return replace(stroke, points=points, width_px=round(stroke.width_px, DECIMALS))


def done(painted: Painted, operations: Iterable[Operation]) -> Painted:
    """Return what is painted after some operations; each counts once.

    Raises:
        DatasetError: If there are too many strokes then, or one is of no class.
    """
    strokes = {stroke.id: stroke for stroke in painted.strokes}
    known = dict.fromkeys(painted.done)
    names = {item.name for item in painted.classes}
    for operation in operations:
        if operation.id in known:
            continue
        known[operation.id] = None
        stroke = operation.stroke
        if operation.deed == "clear":
            strokes.clear()
        elif operation.deed == "remove":
            strokes.pop(operation.stroke_id, None)
        elif stroke is not None and stroke.id not in strokes:
            if stroke.class_name is not None and stroke.class_name not in names:
                continue  # its class was taken away meanwhile
            strokes[stroke.id] = stroke
    kept = tuple(strokes.values())
    require_few(kept)
    return replace(painted, strokes=kept, done=tuple(known)[-_KEPT_OPERATIONS:])


def require_few(strokes: Sequence[Stroke]) -> None:
    """Refuse more strokes than are kept of an image.

    Raises:
        DatasetError: Naming the limit.
    """
    points = sum(len(stroke.points) for stroke in strokes)
    if len(strokes) > MAX_STROKES or points > MAX_ALL_POINTS:
        raise DatasetError(
            f"{len(strokes):,} strokes of {points:,} points; the limit is "
            f"{MAX_STROKES:,} strokes and {MAX_ALL_POINTS:,} points on one image. Take "
            "some away."
        )


def with_classes(
    painted: Painted, classes: Classes, renamed: Mapping[str, str] | None = None
) -> Painted:
    """Return what is painted with other classes; strokes of those that go, go.

    Args:
        painted: What is painted.
        classes: The classes from now on.
        renamed: New names by the old ones.

    Raises:
        DatasetError: If two classes have one name or colour, or there are too many.
    """
    if len(classes) > MAX_CLASSES:
        raise DatasetError(
            f"{len(classes)} classes; the limit is {MAX_CLASSES}. Take some away."
        )
    require_distinct(classes)
    names = {item.name for item in classes}
    moved = [
        replace(s, class_name=(renamed or {}).get(s.class_name or "", s.class_name))
        for s in painted.strokes
    ]
    kept = tuple(s for s in moved if s.class_name is None or s.class_name in names)
    return replace(painted, classes=classes, strokes=kept)


def stroke_layer(
    strokes: Sequence[Stroke], classes: Classes, size: Size, *, scale: float = 1.0
) -> VectorLayer:
    """Return the layer of strokes on an image, or on one that was made smaller.

    Where a stroke erases, it writes no data.

    Args:
        strokes: In the order in which they lie over each other.
        classes: Their classes.
        size: (H, W) of the image that the layer lies on, px.
        scale: Its px for one px of the strokes.
    """
    order = {item.name: number for number, item in enumerate(classes)}
    index = [NO_DATA if s.class_name is None else order[s.class_name] for s in strokes]
    drawn = np.array([_drawn(stroke, scale) for stroke in strokes], np.object_)
    return VectorLayer.of(drawn, np.array(index, np.uint8), size)


@lru_cache(maxsize=4 * MAX_STROKES)
def _drawn(stroke: Stroke, scale: float) -> Any:
    """Return the shape that a stroke covers, its lines as wide as they are."""
    import shapely

    shape = shapely.transform(geometry(stroke), lambda places: places * scale)
    shapes = np.array([shape], np.object_)
    return with_width(shapes, np.array([stroke.width_px * scale]))[0]


def geometry(stroke: Stroke) -> Any:
    """Return the point, line or polygon of a stroke, in px."""
    import shapely

    if stroke.kind == "area":
        return shapely.Polygon(stroke.points)
    if len(set(stroke.points)) == 1:
        return shapely.Point(stroke.points[0])
    return shapely.LineString(stroke.points)


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """A shape with a class, as it is handed on.

    Attributes:
        shape: Geometry in px.
        class_name: Its class.
        width_px: Width of a line or point; 0 for an area.
    """

    shape: Any
    class_name: str
    width_px: float


def labels_of(strokes: Sequence[Stroke]) -> Iterator[Label]:
    """Yield the labels that strokes leave, in their order; what was erased is gone.

    A stroke that nothing was taken from stays the line that was painted.
    """
    import shapely

    erasers: list[Any] = []
    found: list[Label] = []
    for stroke in reversed(strokes):
        drawn = _drawn(stroke, 1.0)
        if stroke.class_name is None:
            erasers.append(drawn)
            continue
        near = [eraser for eraser in erasers if eraser.intersects(drawn)]
        if not near and stroke.kind == "line":
            found.append(Label(geometry(stroke), stroke.class_name, stroke.width_px))
            continue
        if shapely.get_dimensions(drawn) < 2:  # thinner than a pixel
            drawn = drawn.buffer(max(stroke.width_px, 1.0) / 2)
        left = drawn.difference(shapely.union_all(near)) if near else drawn
        parts = [part for part in shapely.get_parts(left) if part.area > 0]
        found += [Label(part, stroke.class_name, 0.0) for part in reversed(parts)]
    yield from reversed(found)


def strokes_of(
    shape: Any, class_name: str, width_px: float, ids: Iterator[str]
) -> Iterator[Stroke]:
    """Yield the strokes that cover a shape of another program, in px.

    Areas with holes, and what has too many places, are cut into parts.

    Args:
        shape: Polygons, lines or points.
        class_name: Their class.
        width_px: Width of lines and points.
        ids: Names for the strokes.
    """
    import shapely

    for part in shapely.get_parts(shape):
        if shapely.get_dimensions(part) == 2:
            for whole in _without_holes(part):
                points = _places(whole)[:-1]
                yield Stroke(next(ids), "area", class_name, points, 0.0)
            continue
        points = _places(part)
        for start in range(0, max(1, len(points) - 1), MAX_POINTS - 1):
            piece = points[start : start + MAX_POINTS]
            yield Stroke(next(ids), "line", class_name, piece, width_px)


def _places(shape: Any) -> tuple[tuple[float, float], ...]:
    import shapely

    places: NDArray[np.float64] = np.round(shapely.get_coordinates(shape), DECIMALS)
    return tuple((float(x), float(y)) for x, y in places)


def _without_holes(polygon: Any) -> Iterator[Any]:
    """Yield polygons without holes and with few corners that cover what one covers."""
    import shapely

    waiting = [polygon]
    while waiting:
        shape = waiting.pop()
        if not shape.interiors and len(shape.exterior.coords) <= MAX_POINTS:
            yield shape
            continue
        left, top, right, bottom = shape.bounds
        middle = shape.interiors[0].centroid if shape.interiors else shape.centroid
        upright = shape.interiors or right - left >= bottom - top
        if upright and left < middle.x < right:
            halves = (left, top, middle.x, bottom), (middle.x, top, right, bottom)
        elif top < middle.y < bottom:
            halves = (left, top, right, middle.y), (left, middle.y, right, bottom)
        else:
            continue  # nothing of it would be left to see
        for half in halves:
            cut = shapely.make_valid(shape).intersection(shapely.box(*half))
            waiting += [p for p in shapely.get_parts(cut) if p.geom_type == "Polygon"]
