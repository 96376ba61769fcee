"""The map of overlaps: patches that share ground, laid out beside each other.

Every overlap says how two patches lie to each other, so a connected group of patches
can be laid out from one of them, along the largest overlaps. What has no overlap with
the group has no place on its map.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from terrainlib.data.overlap_geometry import composed, corners, inverted, moved
from terrainlib.data.overlaps import Overlap, Overlaps

Part = Literal["train", "validation", "leaking", "left out"]
Size = tuple[int, int]
Bytes = NDArray[np.uint8]

PART_COLORS: Final[dict[Part, tuple[int, int, int]]] = {
    "train": (92, 176, 240),
    "left out": (150, 155, 152),
    "validation": (242, 158, 46),
    "leaking": (222, 62, 84),
}
_TINTS: Final[dict[Part, float]] = {
    "train": 0.0,
    "left out": 0.45,
    "validation": 0.5,
    "leaking": 0.5,
}
_LINE_PX: Final[dict[Part, int]] = {
    "train": 1,
    "left out": 1,
    "validation": 2,
    "leaking": 2,
}
_FADED: Final = 0.15  # of the background in every picture, so that the lines stand out
_RIM_PX: Final = 4
_ROW_WIDTH: Final = 1.3  # of the side of a square of the groups' area
_GAP: Final = 0.015  # between groups, of a row
_MAX_SCALE: Final = 3.0
_HATCH_PX: Final = 6
_DOT_PX: Final = 4
_HALO: Final = (20, 20, 20)
_SHIFT: Final = 4  # OpenCV draws in sixteenths of a pixel


@dataclass(frozen=True, slots=True)
class PatchGroup:
    """Patches connected by shared ground, laid out on a plane.

    Attributes:
        places: For each id, the (2, 3) map from its px to those of the plane, in the
            order in which they were laid.
        size: (W, H) of the plane in px of the first patch.
    """

    places: Mapping[str, NDArray[np.float64]]
    size: tuple[float, float]


def patch_groups(overlaps: Overlaps, sizes: Mapping[str, Size]) -> list[PatchGroup]:
    """Lay out each group of patches that are connected by shared ground.

    Args:
        overlaps: Which patches share ground, and how they lie to each other.
        sizes: (W, H) in px of each patch that is to be laid out, by id.

    Returns:
        The groups of two patches and more, those of most patches first.
    """
    links: dict[str, list[Overlap]] = {}
    for pair in overlaps.pairs:
        if pair.first in sizes and pair.second in sizes:
            links.setdefault(pair.first, []).append(pair)
            links.setdefault(pair.second, []).append(pair.reversed())
    groups, placed = [], set[str]()
    for root in sorted(links, key=lambda name: (-len(links[name]), name)):
        if root not in placed:
            places = _laid_out(root, links)
            placed |= places.keys()
            groups.append(_framed(places, sizes))
    return sorted(groups, key=lambda group: (-len(group.places), min(group.places)))


def side_by_side(groups: Sequence[PatchGroup]) -> PatchGroup:
    """Put several layouts on one plane, the tallest first, in rows.

    Args:
        groups: At least one group.
    """
    area = sum(group.size[0] * group.size[1] for group in groups)
    row = max(_ROW_WIDTH * area**0.5, *(group.size[0] for group in groups), 0.0)
    gap = _GAP * row
    places: dict[str, NDArray[np.float64]] = {}
    left = top = tallest = widest = 0.0
    for group in sorted(groups, key=lambda one: -one.size[1]):
        width, height = group.size
        if left and left + width > row:
            left, top, tallest = 0.0, top + tallest + gap, 0.0
        shift = np.column_stack([np.zeros((2, 2)), (left, top)])
        places |= {name: place + shift for name, place in group.places.items()}
        widest, tallest = max(widest, left + width), max(tallest, height)
        left += width + gap
    return PatchGroup(places, (widest, top + tallest))


def draw_map(
    group: PatchGroup,
    parts: Mapping[str, Part],
    picture: Callable[[str], Bytes],
    sizes: Mapping[str, Size],
    *,
    longest_px: int = 1400,
    background: tuple[int, int, int] = (255, 255, 255),
) -> Bytes:
    """Draw the patches of a group at their places, outlined by their part of a split.

    Training patches have a thin outline, validation patches are tinted, with a dot in
    the middle where they leak, patches left out are hatched: the parts differ without
    their colours.

    Args:
        group: The patches and their places.
        parts: The part of each patch, by id.
        picture: Returns a patch's image, (h, w, 3) uint8, of any size.
        sizes: (W, H) in px of each patch, as its place counts them, by id.
        longest_px: Longer side of the drawing; small groups are drawn smaller.
        background: Colour where no patch lies.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    scale = min((longest_px - 2 * _RIM_PX) / max(group.size), _MAX_SCALE)
    width, height = (round(side * scale) + 2 * _RIM_PX for side in group.size)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = background
    outlines = {}
    for name, place in group.places.items():
        outlines[name] = moved(corners(sizes[name]), place) * scale + _RIM_PX
        _paint(canvas, picture(name), outlines[name], background)
    for part, color in PART_COLORS.items():  # the last ones lie on top
        shown = [outlines[name] for name in outlines if parts.get(name) == part]
        _draw_part(canvas, shown, part, color)
    return canvas


def _laid_out(
    root: str, links: Mapping[str, list[Overlap]]
) -> dict[str, NDArray[np.float64]]:
    """Place all patches that are connected with `root`, over the largest overlaps."""
    places = {root: np.eye(2, 3)}
    edge = [(-link.share, link.first, link.second, link) for link in links[root]]
    heapq.heapify(edge)
    while edge:
        step = heapq.heappop(edge)[3]
        if step.second in places:
            continue
        back = inverted(np.array(step.matrix))
        places[step.second] = composed(back, places[step.first])
        for link in links[step.second]:
            if link.second not in places:
                heapq.heappush(edge, (-link.share, link.first, link.second, link))
    return places


def _framed(
    places: Mapping[str, NDArray[np.float64]], sizes: Mapping[str, Size]
) -> PatchGroup:
    """Move a layout so that it begins at (0, 0)."""
    outlines = [moved(corners(sizes[name]), place) for name, place in places.items()]
    points = np.concatenate(outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    shift = np.column_stack([np.zeros((2, 2)), low])
    width, height = (float(side) for side in high - low)
    return PatchGroup(
        {n: place - shift for n, place in places.items()}, (width, height)
    )


def _paint(
    canvas: Bytes,
    picture: Bytes,
    outline: NDArray[np.float64],
    background: tuple[int, int, int],
) -> None:
    """Paint a picture into the parallelogram of four corners."""
    begin = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
    end = np.minimum(np.ceil(outline.max(axis=0)).astype(int), canvas.shape[1::-1])
    width, height = (max(1, int(side)) for side in end - begin)
    sides = np.linalg.norm(outline[[1, 3]] - outline[0], axis=1)
    size = [max(1, round(side)) for side in sides]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    tall, wide = small.shape[:2]
    own = np.array([(0, 0), (wide, 0), (wide, tall)], np.float32)
    matrix = cv2.getAffineTransform(own, (outline[:3] - begin).astype(np.float32))
    where = (slice(begin[1], begin[1] + height), slice(begin[0], begin[0] + width))
    ground = np.full((height, width, 3), background, np.uint8)
    moved = cv2.warpAffine(
        small, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE
    )
    inside = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(inside, np.round(outline - begin).astype(np.int32), 1)
    faded = cv2.addWeighted(moved, 1 - _FADED, ground, _FADED, 0)
    canvas[where] = np.where(inside[..., None] > 0, faded, canvas[where])


def _draw_part(
    canvas: Bytes,
    shown: list[NDArray[np.float64]],
    part: Part,
    color: tuple[int, int, int],
) -> None:
    """Draw the patches of one part over the pictures."""
    _tint(canvas, shown, part, color)
    fixed = [np.round(one * 2**_SHIFT).astype(np.int32) for one in shown]
    if part != "train":
        halo = _LINE_PX[part] + 2
        cv2.polylines(canvas, fixed, True, _HALO, halo, cv2.LINE_AA, _SHIFT)
    cv2.polylines(canvas, fixed, True, color, _LINE_PX[part], cv2.LINE_AA, _SHIFT)
    if part == "leaking":
        for one in shown:
            x, y = (round(float(value)) for value in one.mean(axis=0))
            for radius, shade in ((_DOT_PX + 2, _HALO), (_DOT_PX, color)):
                cv2.circle(canvas, (x, y), radius, shade, cv2.FILLED, cv2.LINE_AA)


def _tint(
    canvas: Bytes,
    outlines: list[NDArray[np.float64]],
    part: Part,
    color: tuple[int, int, int],
) -> None:
    """Lay a part's colour over its patches; those left out are hatched."""
    if not outlines or not _TINTS[part]:
        return
    inside = np.zeros(canvas.shape[:2], np.uint8)
    for outline in outlines:
        cv2.fillConvexPoly(inside, np.round(outline).astype(np.int32), 1)
    if part == "left out":
        rows, columns = np.indices(inside.shape)
        inside &= ((rows + columns) % _HATCH_PX < 2).astype(np.uint8)
    tint = _TINTS[part]
    mixed = canvas * (1 - tint) + np.array(color) * tint
    canvas[inside > 0] = mixed[inside > 0].astype(np.uint8)
