"""Labels of other programs as strokes on an image, to go on painting from there."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from terrainlib.data.labels.layers import (
    LabelFile,
    VectorLabels,
    classes_of,
    in_pixels,
    open_labels,
)
from terrainlib.data.labels.scenes import StoredScene, open_stored
from terrainlib.data.labels.strokes import (
    MARGIN_SHARE,
    MAX_STROKES,
    Operation,
    Painted,
    Stroke,
    check_stroke,
    done,
    require_few,
    strokes_of,
)
from terrainlib.data.palette import (
    KAGGLE_CLASSES,
    MAX_CLASSES,
    NO_DATA,
    Classes,
    TerrainClass,
    distinct_colors,
)
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.errors import DatasetError
from terrainlib.files import parse_json
from terrainlib.types import checked

EXAMPLE_STROKES: Final = SAMPLE_DIR.parent / "labels" / "europe.json"
MAX_RASTER_MEGAPIXELS: Final = 64
_WIDTH_PX: Final = 3.0  # of lines and points that have none of their own
_LEAST_PX: Final = 4  # smaller areas of a raster are left out


@dataclass(frozen=True, slots=True)
class Brought:
    """What came of a file of labels.

    Attributes:
        strokes: In the order of the file.
        classes: Of them.
        left_out: Areas of a raster that were too small, or too many.
    """

    strokes: tuple[Stroke, ...]
    classes: Classes
    left_out: int = 0


def bring_labels(
    path: Path, image: Path, present: Classes, field: str | None = None
) -> Brought:
    """Return the labels of a file as strokes on an image.

    Args:
        path: GeoPackage, GeoJSON, Shapefile or class raster.
        image: The image.
        present: Classes that there are; a class of a raster that has no name but the
            colour of one of these is that one.
        field: Field of the class in a file of features; None takes the likely one.

    Raises:
        DatasetError: If the file cannot be used, or shows no place of the image.
        ImageError: If a raster or the image cannot be read.
    """
    with ExitStack() as stack:
        scene = stack.enter_context(open_stored(image))
        [labels] = open_labels([path], stack, field=field, width=_WIDTH_PX)
        names = _names(labels, present)
        left_out = 0
        if isinstance(labels, VectorLabels):
            strokes = list(_of_features(labels, scene, names))
        else:
            strokes, left_out = _of_raster(labels, scene, names)
    if not strokes:
        raise DatasetError(
            f"no label lies on {image.name}. Check that they show the same place.",
            file=path.name,
        )
    require_few(strokes)
    return Brought(tuple(strokes), _classes(labels, names, strokes), left_out)


def add_brought(painted: Painted, brought: Brought) -> Painted:
    """Return what is painted with brought labels on top; a class has its own colour."""
    classes = list(painted.classes)
    for item in brought.classes:
        if all(own.name != item.name for own in classes):
            taken = {own.color for own in classes}
            color = item.color
            if color in taken:
                [color] = distinct_colors(1, taken)
            classes.append(TerrainClass(item.name, color))
    if len(classes) > MAX_CLASSES:
        raise DatasetError(
            f"{len(classes)} classes then; the limit is {MAX_CLASSES}. Take some away."
        )
    strokes = (*painted.strokes, *brought.strokes)
    require_few(strokes)
    return replace(painted, strokes=strokes, classes=tuple(classes))


def with_example(painted: Painted) -> Painted:
    """Return what is painted with the strokes of the example, where they are not there.

    `python -m benchmarks.example_labels` makes them, for the first example scene.
    """
    listed = parse_json(EXAMPLE_STROKES.read_bytes())
    strokes = [checked(Stroke, item) for item in listed]
    operations = [Operation(str(uuid.uuid4()), "add", stroke) for stroke in strokes]
    return done(replace(painted, classes=KAGGLE_CLASSES), operations)


def _names(labels: LabelFile, present: Classes) -> dict[str, str]:
    """Return what each class of a file is called here."""
    known = {item.name for item in present}
    by_color = {item.color: item.name for item in present}
    return {
        name: name if name in known or color is None else by_color.get(color, name)
        for name, color in labels.colors.items()
    }


def _classes(
    labels: LabelFile, names: Mapping[str, str], strokes: list[Stroke]
) -> Classes:
    used = {stroke.class_name for stroke in strokes}
    found = {item.name: item for item in _colored(labels)}
    listed = {names[name]: found[name].color for name in found}
    return tuple(TerrainClass(n, c) for n, c in listed.items() if n in used)


def _colored(labels: LabelFile) -> Classes:
    """Return the classes of a file; a single one is enough here."""
    if len(labels.colors) > 1:
        return classes_of([labels])
    [(name, color)] = labels.colors.items()
    return (TerrainClass(name, color or (0, 114, 178)),)


def _ids() -> Iterator[str]:
    while True:
        yield str(uuid.uuid4())


def _of_features(
    labels: VectorLabels, scene: StoredScene, names: Mapping[str, str]
) -> Iterator[Stroke]:
    import shapely

    features, ids = labels.features, _ids()
    size = scene.height, scene.width
    reach = [side * (1 + MARGIN_SHARE) for side in size]
    low = [-side * MARGIN_SHARE for side in size]
    around = shapely.box(low[1], low[0], reach[1], reach[0])
    image = shapely.box(0, 0, scene.width, scene.height)
    placed = in_pixels(features, scene)
    widths = np.where(np.isnan(features.widths), labels.width, features.widths)
    for shape, name, width in zip(placed, features.classes, widths, strict=True):
        if not np.isfinite(shape.bounds).all():
            continue
        whole = _valid(shape)  # cutting would also cut a line where it crosses itself
        clipped = whole if around.covers(whole) else whole.intersection(around)
        if clipped.is_empty or not clipped.intersects(image):
            continue
        for part in shapely.get_parts(clipped):
            for stroke in strokes_of(part, names[name], float(width), ids):
                yield check_stroke(stroke, size)


def _valid(shape: Any) -> Any:
    import shapely

    return shape if shape.is_valid else shapely.make_valid(shape)


def _of_raster(
    labels: LabelFile, scene: StoredScene, names: Mapping[str, str]
) -> tuple[list[Stroke], int]:
    """Return the areas of a class raster, the large ones where they are too many."""
    import shapely
    from rasterio.features import shapes

    if scene.height * scene.width > MAX_RASTER_MEGAPIXELS * 1e6:
        raise DatasetError(
            f"the image has more than {MAX_RASTER_MEGAPIXELS} megapixels, and a class "
            "raster of it is too many areas. Give polygons.",
            file=labels.name,
        )
    classes = _colored(labels)
    mask = np.full((scene.height, scene.width), NO_DATA, np.uint8)
    whole = slice(0, scene.height), slice(0, scene.width)
    labels.on(scene, classes).lay(whole, mask)
    found = [
        (shapely.geometry.shape(shape), names[classes[int(value)].name])
        for shape, value in shapes(mask, mask=mask != NO_DATA)
    ]
    large = [item for item in found if item[0].area >= _LEAST_PX]
    large.sort(key=lambda item: -item[0].area)
    strokes: list[Stroke] = []
    ids, used = _ids(), 0
    for shape, name in large:
        new = list(strokes_of(shape, name, 0.0, ids))
        try:
            require_few([*strokes, *new])
        except DatasetError:
            break
        strokes += new
        used += 1
        if len(strokes) > MAX_STROKES // 2:
            break
    return strokes, len(found) - used
