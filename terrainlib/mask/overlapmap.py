"""Overlaps drawn: the map of all patches that share ground, and two of them as a pair.

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

from terrainlib.data.overlap.geometry import composed, corners, inverted, moved
from terrainlib.data.overlaps import Overlap, Overlaps
from terrainlib.mask.tiles.bands import to_bytes
from terrainlib.types import ByteArray

Part = Literal["train", "validation", "leaking", "left out"]
Color = tuple[int, int, int]
Points = NDArray[np.float64]

PART_COLORS: Final[dict[Part, Color]] = {
    "train": (92, 176, 240),
    "left out": (150, 155, 152),
    "validation": (242, 158, 46),
    "leaking": (222, 62, 84),
}
OUTLINE_COLOR: Final = (255, 214, 10)

_LINE_PX: Final[dict[Part, int]] = {"validation": 2, "leaking": 2}  # others have 1
_TINT: Final = 0.5  # of all parts but the training
_DIMMED: Final = 0.55  # brightness outside the shared ground of a pair
_MARGIN_PX: Final = 4
_ROW_WIDTH: Final = 1.3  # of the side of a square of the groups' area
_GAP: Final = 0.015  # between groups, of a row
_MAX_SCALE: Final = 3.0
_DOT_PX: Final = 6
_HALO: Final = (20, 20, 20)
_SHIFT: Final = 4  # OpenCV draws in sixteenths of a pixel


@dataclass(frozen=True, slots=True)
class PatchMap:
    """Patches that share ground, laid out on a plane.

    Attributes:
        outlines: For each id, the corners of the patch, (4, 2), clockwise from the top
            left of its image.
        size: (W, H) of the plane.
        groups: How many groups they are that share no ground with each other.
    """

    outlines: Mapping[str, Points]
    size: tuple[float, float]
    groups: int


def lay_out(
    overlaps: Overlaps, sizes: Mapping[str, tuple[int, int]], *, most_patches: int
) -> PatchMap:
    """Lay out the groups of patches that are connected by shared ground, side by side.

    Args:
        overlaps: Which patches share ground, and how; one pair at least.
        sizes: (W, H) in px of each patch that is to be laid out, by id.
        most_patches: No further group is begun beyond so many; the largest come first.
    """
    groups: list[dict[str, Points]] = []
    for places in _groups(overlaps, sizes):
        if sum(map(len, groups)) > most_patches:
            break
        groups.append({n: moved(corners(sizes[n]), places[n]) for n in places})
    return _in_rows(groups)


def draw_map(
    patches: PatchMap,
    parts: Mapping[str, Part],
    picture: Callable[[str], ByteArray],
    *,
    longest_px: int = 1400,
    background: Color = (255, 255, 255),
) -> ByteArray:
    """Draw patches at their places, outlined by their part of a split.

    Training patches have an outline alone, the others are tinted; those that validate
    have a thicker outline, and a dot in the middle where they leak: the parts differ
    without their colours.

    Args:
        patches: The patches and their places.
        parts: The part of each patch, by id.
        picture: Returns a patch's image, (h, w, 3) uint8, of any size.
        longest_px: Longer side of the drawing; few patches are drawn smaller.
        background: Colour where no patch lies.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    scale = min((longest_px - 2 * _MARGIN_PX) / max(patches.size), _MAX_SCALE)
    width, height = (round(side * scale) + 2 * _MARGIN_PX for side in patches.size)
    canvas = np.full((height, width, 3), background, np.uint8)
    outlines = {n: one * scale + _MARGIN_PX for n, one in patches.outlines.items()}
    for name, outline in outlines.items():
        _paint(canvas, picture(name), outline)
    for part, color in PART_COLORS.items():  # the last ones lie on top
        shown = [outlines[name] for name in outlines if parts.get(name) == part]
        if part != "train":
            tinted = canvas.copy()
            for outline in shown:
                cv2.fillConvexPoly(tinted, np.round(outline).astype(np.int32), color)
            cv2.addWeighted(canvas, 1 - _TINT, tinted, _TINT, 0, dst=canvas)
        _draw_outlines(canvas, shown, color, _LINE_PX.get(part, 1))
        if part == "leaking":
            for outline in shown:
                _draw_dot(canvas, outline.mean(axis=0), color)
    return canvas


def draw_pair(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    overlap: Overlap,
    *,
    side_px: int = 480,
) -> tuple[ByteArray, ByteArray]:
    """Draw two patches, (H, W, 3) float32 RGB in [0, 1], with their shared ground.

    It is outlined in both, and what they do not share is darker. A dot marks one of its
    corners, the same in both.

    Returns:
        Two pictures, (h, w, 3) uint8 RGB.
    """
    sizes = [(image.shape[1], image.shape[0]) for image in (first, second)]
    own = overlap.outline(sizes[0], sizes[1])
    other = overlap.reversed().outline(sizes[1], sizes[0])
    dot = own[:1]
    same = moved(dot, np.array(overlap.matrix))
    return _framed(first, own, dot, side_px), _framed(second, other, same, side_px)


def _groups(
    overlaps: Overlaps, sizes: Mapping[str, tuple[int, int]]
) -> list[dict[str, Points]]:
    """Return the (2, 3) map of each id to the plane of its group, the largest first."""
    links: dict[str, list[tuple[float, str, str, Overlap]]] = {}
    for pair in overlaps.pairs:
        if pair.first in sizes and pair.second in sizes:
            for one in (pair, pair.reversed()):
                link = (-one.share, one.first, one.second, one)
                links.setdefault(one.first, []).append(link)
    groups: list[dict[str, Points]] = []
    left = sorted(links, key=lambda name: (-len(links[name]), name))
    while left:
        places, front = {left[0]: np.eye(2, 3)}, list(links[left[0]])
        heapq.heapify(front)
        while front:
            _, first, second, overlap = heapq.heappop(front)
            if second not in places:
                back = inverted(np.array(overlap.matrix))
                places[second] = composed(back, places[first])
                for further in links[second]:
                    heapq.heappush(front, further)
        groups.append(places)
        left = [name for name in left if name not in places]
    return sorted(groups, key=lambda group: (-len(group), min(group)))


def _in_rows(groups: Sequence[dict[str, Points]]) -> PatchMap:
    boxes = []
    for group in groups:
        points = np.concatenate([*group.values()])
        boxes.append((np.ptp(points, axis=0), points.min(axis=0), group))
    row = _ROW_WIDTH * sum(float(size.prod()) for size, _, _ in boxes) ** 0.5
    row = max([row, *(size[0] for size, _, _ in boxes)])
    outlines: dict[str, Points] = {}
    left = top = tallest = widest = 0.0
    for size, low, group in sorted(boxes, key=lambda box: -box[0][1]):
        if left and left + size[0] > row:
            left, top, tallest = 0.0, top + tallest + _GAP * row, 0.0
        outlines |= {name: one - low + (left, top) for name, one in group.items()}
        tallest, widest = max(tallest, size[1]), max(widest, left + size[0])
        left += size[0] + _GAP * row
    return PatchMap(outlines, (float(widest), float(top + tallest)), len(groups))


def _paint(canvas: ByteArray, picture: ByteArray, outline: Points) -> None:
    begin = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
    end = np.ceil(outline.max(axis=0)).astype(int)
    part = canvas[begin[1] : end[1], begin[0] : end[0]]
    across, down = np.linalg.norm(outline[[1, 3]] - outline[0], axis=1)
    size = max(1, round(across)), max(1, round(down))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    own, there = corners(size)[:3], outline[:3] - begin
    matrix = cv2.getAffineTransform(own.astype(np.float32), there.astype(np.float32))
    border = cv2.BORDER_TRANSPARENT
    cv2.warpAffine(small, matrix, part.shape[1::-1], dst=part, borderMode=border)


def _framed(
    image: NDArray[np.float32], outline: Points, dot: Points, side_px: int
) -> ByteArray:
    """Draw one patch with an outline and a dot, both in its own px."""
    height, width = image.shape[:2]
    scale = side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    picture = np.asarray(cv2.resize(to_bytes(image), size, interpolation=way), np.uint8)
    if len(outline) < 3:
        return picture
    inside = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.round(outline * scale).astype(np.int32)], 1)
    drawn = np.where(inside[..., None] > 0, picture, picture * _DIMMED).astype(np.uint8)
    _draw_outlines(drawn, [outline * scale], OUTLINE_COLOR, 2)
    _draw_dot(drawn, dot[0] * scale, OUTLINE_COLOR)
    return drawn


def _draw_outlines(
    canvas: ByteArray, outlines: Sequence[Points], color: Color, line: int
) -> None:
    """Draw outlines, those of more than 1 px on a dark halo."""
    fixed = [np.round(one * 2**_SHIFT).astype(np.int32) for one in outlines]
    if line > 1:
        cv2.polylines(canvas, fixed, True, _HALO, line + 2, cv2.LINE_AA, _SHIFT)
    cv2.polylines(canvas, fixed, True, color, line, cv2.LINE_AA, _SHIFT)


def _draw_dot(canvas: ByteArray, place: Points, color: Color) -> None:
    x, y = (round(float(value)) for value in place)
    for radius, shade in ((_DOT_PX + 2, _HALO), (_DOT_PX, color)):
        cv2.circle(canvas, (x, y), radius, shade, cv2.FILLED, cv2.LINE_AA)
