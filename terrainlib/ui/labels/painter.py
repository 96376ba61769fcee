"""Painting on an image in the browser: tools, strokes and what lies under them.

The component is plain JavaScript in `paint*.js`, on the zoom of `ui.gallery`; a stroke
is drawn there, and sent when it ends. What changes goes to the browser on shelves,
small components beside it: Streamlit does not send again what it sent before, so that a
stroke brings neither the picture nor the older strokes again. What the browser sends is
held against what it was given.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import streamlit as st

from terrainlib.data.labels.layers import MAX_WIDTH_PX
from terrainlib.data.labels.strokes import (
    MAX_STROKES,
    Operation,
    Painted,
    Stroke,
    check_stroke,
)
from terrainlib.errors import TerrainError
from terrainlib.types import checked
from terrainlib.ui.gallery.viewer import file_table, picture_component

MAX_OPERATIONS: Final = 400  # at once
_ID_CHARACTERS: Final = 64
_FIELDS: Final = [field.name for field in fields(Stroke)]
_PORTION: Final = 64  # strokes on a shelf
_BRUSH_SHARE: Final = 0.25  # of the image's longer side: the widest brush

Area = tuple[int, int, int, int]  # x0, y0, x1, y1 in px of the image

_SCRIPTS = (
    "paint_geometry.js",
    "paint_queue.js",
    "paint_strokes.js",
    "paint_stage.js",
    "paint_tools.js",
    "paint_controls.js",
    "paint.js",
)
_painter = picture_component(
    "terrainlib_painter", "paint.css", *_SCRIPTS, beside=__file__
)
_shelf = st.components.v2.component(
    "terrainlib_painter_shelf",
    js=Path(__file__).with_name("shelf.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True, slots=True)
class PaintView:
    """The image that is painted on.

    Attributes:
        id: Changes exactly when the image does.
        name: Its name.
        size: Width and height in px.
        overview: All of it as JPEG, at most 2,048 px wide and high.
        detail: A part of it, sharper, as JPEG.
        detail_window: Which part.
    """

    id: str
    name: str
    size: tuple[int, int]
    overview: bytes
    detail: bytes | None = None
    detail_window: Area | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The part of the image on the screen, and px of the screen for one of its own."""

    window: Area
    scale: float


@dataclass(frozen=True, slots=True)
class Sent:
    """What a browser sent.

    Attributes:
        operations: Those that are new.
        settled: Ids of those that it need not send again.
    """

    operations: tuple[Operation, ...] = ()
    settled: tuple[str, ...] = ()


Layers = Mapping[str, tuple[bytes, Area]]
Places = Sequence[tuple[float, float, float]]
Apply = Callable[[Sequence[Operation]], Painted | None]


def painter(
    view: PaintView,
    painted: Painted,
    *,
    key: str,
    apply: Apply,
    layers: Layers | None = None,
    places: Places = (),
) -> Seen | None:
    """Let people paint on an image.

    Args:
        view: The image.
        painted: What is painted on it, as far as is known now.
        key: Widget key.
        apply: Does operations to what is painted, keeps what comes of it, and may
            return it. It is called before the page runs, and while it runs for what
            could not be done then; only there may it raise.
        layers: PNG files over parts of the image: `mask` and `unsure`.
        places: x, y and radius in px of circles that are worth a stroke.

    Returns:
        What is on the screen once the view has come to rest; None before.
    """

    def take() -> None:
        held = st.session_state.get(key)
        told = held.get("operations") if isinstance(held, Mapping) else None
        with suppress(TerrainError):  # the page tries it again, and says so
            if new := sent_operations(told, view, painted).operations:
                apply(new)

    files = {"overview": (view.overview, (0, 0, *view.size)), **(layers or {})}
    if view.detail is not None and view.detail_window is not None:
        files["detail"] = (view.detail, view.detail_window)
    with st.container(gap=None):
        result = _painter(
            key=key,
            data={"name": key},
            on_operations_change=take,
            on_view_change=_nothing,
            on_heard_change=_nothing,  # of another tab that strokes have changed
        )
        sent = sent_operations(result.operations, view, painted)
        now, settled = painted, sent.settled
        try:
            if sent.operations and (kept := apply(sent.operations)) is not None:
                now, settled = kept, (*settled, *(one.id for one in sent.operations))
        finally:
            _fill_shelves(key, view, now, settled, files, places)
    return seen_by(result.view, view)


def _fill_shelves(
    key: str,
    view: PaintView,
    painted: Painted,
    settled: Sequence[str],
    files: Layers,
    places: Places,
) -> None:
    """Put on shelves what the painter shows, and last what stands where."""
    longer = max(view.size)
    state = {
        "image": view.id,
        "title": view.name,
        "size": view.size,
        "classes": [asdict(item) for item in painted.classes],
        "widest": min(MAX_WIDTH_PX, max(32, round(longer * _BRUSH_SHARE))),
        "most": MAX_STROKES,
        "places": [list(place) for place in places],
        "settled": settled,
        "layers": {name: _file(key, name, *file) for name, file in files.items()},
        "portions": _portions(key, painted.strokes),
    }
    _put(key, "state", state)


def sent_operations(sent: object, view: PaintView, painted: Painted) -> Sent:
    """Return what of the operations that a browser sent is to be done.

    Args:
        sent: Anything; a mapping with `image` and `operations` is expected.
        view: The image that they must be meant for.
        painted: Knows which of them were done already.
    """
    if not isinstance(sent, Mapping) or sent.get("image") != view.id:
        return Sent()
    listed = sent.get("operations")
    done, new, settled = set(painted.done), [], []
    for item in listed[:MAX_OPERATIONS] if isinstance(listed, list) else []:
        name = item.get("id") if isinstance(item, Mapping) else None
        if not isinstance(name, str) or not 0 < len(name) <= _ID_CHARACTERS:
            continue
        operation = None if name in done else _operation(item, view)
        if operation is None:
            settled.append(name)
        else:
            new.append(operation)
    return Sent(tuple(new), tuple(settled))


def _operation(item: Mapping[str, object], view: PaintView) -> Operation | None:
    """Return an operation if it is one."""
    try:
        operation = checked(Operation, dict(item))
        if operation.deed == "add":
            if operation.stroke is None:
                return None
            width, height = view.size
            stroke = check_stroke(operation.stroke, (height, width))
            return replace(operation, stroke=stroke)
    except (ValueError, TerrainError):
        return None
    return operation


def seen_by(sent: object, view: PaintView) -> Seen | None:
    """Return what a browser says is on its screen, if it is a part of the image."""
    try:
        if isinstance(sent, Mapping) and sent.get("image") == view.id:
            seen = checked(Seen, dict(sent))
            x0, y0, x1, y1 = seen.window
            inside = 0 <= x0 < x1 <= view.size[0] and 0 <= y0 < y1 <= view.size[1]
            return seen if inside and 0 < seen.scale < math.inf else None
    except ValueError:
        return None
    return None


def _put(key: str, part: str, data: Mapping[str, Any]) -> None:
    _shelf(key=f"{key}_{part}", data={**data, "name": f"{key}/{part}"})


def _file(key: str, name: str, data: bytes, window: Area) -> dict[str, Any]:
    """Put a file on a shelf and return what it is known by, and where it lies."""
    known = sha256(data).hexdigest()[:16]
    _put(key, name, {"id": known, "files": file_table({"file": data})})
    return {"id": f"{known} {window}", "shelf": known, "window": window}


def _portions(key: str, strokes: Sequence[Stroke]) -> list[str]:
    """Put the strokes on shelves and return what those are known by.

    Only the last one changes when a stroke comes on top.
    """
    known = []
    for first in range(0, len(strokes), _PORTION):
        portion = strokes[first : first + _PORTION]
        plain = [{name: getattr(one, name) for name in _FIELDS} for one in portion]
        names = repr([(one.id, one.class_name) for one in portion])
        known.append(sha256(names.encode()).hexdigest()[:16])
        data = {"id": known[-1], "strokes": plain}
        _put(key, f"strokes-{first // _PORTION}", data)
    return known


def _nothing() -> None:
    """Declare a state of the component to Streamlit; the page reads the result."""
