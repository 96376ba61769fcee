"""The live view: image and mask with a divider, sharpened in the browser.

Beside the mask it can show the class mask and how sure the model is. The component
itself is plain JavaScript in `live_arithmetic.js`, `live_stage.js`, `live_controls.js`
and `live.js`, on the zoom of `ui.gallery`. This module hands it the pictures and gives
back its settings, which change when a control is let go; dragging needs no word from
Python.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self, TypeVar, get_args

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.imagery import Image
from terrainlib.data.palette import NO_DATA, Classes, color_table, colorize
from terrainlib.mask.confidence import (
    SURE_COLORS,
    UNSURE_COLORS,
    UNSURE_MARGIN,
    confidence_picture,
)
from terrainlib.mask.rasters.png import encode_png
from terrainlib.mask.sharpen import METHODS, Method
from terrainlib.mask.tiles.resampling import shrink
from terrainlib.types import ByteArray
from terrainlib.ui import state
from terrainlib.ui.cached import encode_jpeg
from terrainlib.ui.gallery.viewer import file_table, picture_component

Shown = Literal["mask", "classes", "confidence"]
_SHOWN: Final[tuple[Shown, ...]] = get_args(Shown)
LIMITS: Final = {"amount": (0.0, 3.0), "radius": (0.5, 5.0), "opacity": (0.0, 1.0)}
PREVIEW_PX = 1024

_SCRIPTS = (
    "live_arithmetic.js",
    "live_stage.js",
    "live_controls.js",
    "live.js",
)
_component = picture_component(
    "terrainlib_live_view", "live.css", *_SCRIPTS, beside=__file__
)


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """What the controls of the live view stand at.

    Attributes:
        amount: Strength of the sharpening, 0 to 3.
        method: `laplacian` or `unsharp`.
        radius: Standard deviation of the unsharp mask's blur in px, 0.5 to 5.
        snap: Whether every pixel takes the nearest class colour.
        opacity: Opacity of the mask over the image, 0 to 1.
        shown: What lies over the image: the soft mask, which all of the above but the
            opacity is about, the class mask, or how sure the model is.
    """

    amount: float = 0.0
    method: Method = "laplacian"
    radius: float = 1.0
    snap: bool = False
    opacity: float = 0.6
    shown: Shown = "mask"

    @classmethod
    def from_browser(cls, values: object) -> Self:
        """Return settings from what a browser sent; whatever does not fit is left out.

        Args:
            values: Anything; a mapping with the names of the attributes is expected.
        """
        sent = values if isinstance(values, Mapping) else {}
        defaults = cls()
        return cls(
            amount=_number(sent, "amount", defaults.amount),
            method=_one_of(METHODS, sent.get("method")),
            radius=_number(sent, "radius", defaults.radius),
            snap=sent.get("snap") is True,
            opacity=_number(sent, "opacity", defaults.opacity),
            shown=_one_of(_SHOWN, sent.get("shown")),
        )

    @classmethod
    def from_address(cls, words: str) -> Self:
        """Return settings from an address; whatever does not fit is left out.

        Example:
            >>> ViewSettings.from_address("amount:1.5,snap:yes,shown:nothing").amount
            1.5
        """
        sent: dict[str, object] = {}
        for word in words.split(","):
            name, _, value = word.partition(":")
            sent[name] = value == "yes" if name == "snap" else value
            if name in LIMITS:
                with suppress(ValueError):
                    sent[name] = float(value)
        return cls.from_browser(sent)

    @property
    def address(self) -> str:
        """What differs from the first settings, for an address."""
        plain = type(self)()
        words = [
            f"{name}:{'yes' if value is True else value}"
            for name, value in self.to_dict().items()
            if value != getattr(plain, name)
        ]
        return ",".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ViewLayer:
    """A picture that can be shown in place of the soft mask, as it is.

    Attributes:
        name: Which one.
        id: Changes exactly when the picture does.
        png: The picture, of the mask's size.
    """

    name: Shown
    id: str
    png: bytes


@dataclass(frozen=True, slots=True)
class ViewPictures:
    """What the live view shows.

    Attributes:
        id: Changes exactly when the pictures do.
        image: The image as JPEG, at most `PREVIEW_PX` wide and high.
        mask: The soft mask as PNG, of the image's size.
        classes: The classes to snap to.
        note: One sentence below the picture, such as the scale of the preview.
        name: Name of the image, for people who do not see it.
        layers: What can be shown in place of the mask. When a new class mask comes, the
            view turns to it.
    """

    id: str
    image: bytes
    mask: bytes
    classes: Classes
    note: str
    name: str
    layers: tuple[ViewLayer, ...] = ()


def live_view(
    pictures: ViewPictures, *, key: str, remembered: str, query: str | None = None
) -> ViewSettings:
    """Show the live view and return its settings.

    Args:
        pictures: What it shows.
        key: Widget key.
        remembered: Session key under which the settings survive leaving the page.
        query: Name in the address under which they survive a reload.

    Returns:
        The settings as they were when a control was last let go.
    """
    first = f"{remembered}_at_first"
    if key not in st.session_state or first not in st.session_state:
        told = ViewSettings.from_address(st.query_params.get(query or "", ""))
        st.session_state[first] = dict(st.session_state.get(remembered, told.to_dict()))
    initial = ViewSettings.from_browser(st.session_state[first])
    result = _component(
        key=key,
        data=_data(pictures, initial),
        default={"settings": initial.to_dict()},
        on_settings_change=_nothing,
    )
    settings = ViewSettings.from_browser(result.settings)
    st.session_state[remembered] = settings.to_dict()
    if query:
        state.write_address(**{query: settings.address})
    return settings


def prepare_live_view(*, key: str) -> None:
    """Let the browser fetch the view's code before there is anything to show."""
    _component(key=key, data=None)


def _nothing() -> None:
    """Declare a state of the component to Streamlit; the page reads the result."""


def _data(pictures: ViewPictures, initial: ViewSettings) -> dict[str, Any]:
    """Return the component's data: the same until a picture changes."""
    files = {"image": pictures.image, "mask": pictures.mask}
    files |= {layer.name: layer.png for layer in pictures.layers}
    return {
        "picture": pictures.id,
        "files": file_table(files),
        "colors": color_table(pictures.classes).tolist(),
        "note": pictures.note,
        "layers": [{"name": layer.name, "id": layer.id} for layer in pictures.layers],
        "alt": {
            "image": f"The image {pictures.name}",
            "mask": f"Terrain mask of {pictures.name}; its legend is above",
            "classes": f"Class mask of {pictures.name}; its legend is above",
            "confidence": f"How sure the model is of each pixel of {pictures.name}",
        },
        "confidence": {
            "unsure": UNSURE_COLORS,
            "sure": SURE_COLORS,
            "percent": round(100 * UNSURE_MARGIN),
        },
        "settings": initial.to_dict(),
        "defaults": ViewSettings().to_dict(),
        "limits": LIMITS,
    }


def _number(sent: Mapping[str, object], name: str, otherwise: float) -> float:
    """Return a number within its limits; `otherwise` for anything else."""
    value = sent.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return otherwise
    low, high = LIMITS[name]
    return float(value) if low <= value <= high else otherwise


_Name = TypeVar("_Name", bound=str)


def _one_of(names: tuple[_Name, ...], value: object) -> _Name:
    return next((name for name in names if name == value), names[0])


def view_pictures(
    key: str, image: Image, soft: ByteArray, classes: Classes
) -> ViewPictures:
    """Return the image and its soft mask (H, W, 3) uint8 for the live view."""
    mask = shrink(soft, PREVIEW_PX, nearest=False)
    if not image.valid.all():
        mask = _transparent(mask, image.valid)
    height, width = mask.shape[:2]
    full = f"{image.width} × {image.height} px"
    note = f"Shown pixel for pixel at full size, {full}."
    if (height, width) != (image.height, image.width):
        note = (
            f"Preview at {width} × {height} px of {full}. Downloads are made at full "
            "size, where the same sharpening acts on finer detail."
        )
    return ViewPictures(
        id=key,
        image=encode_jpeg(shrink(image.rgb, PREVIEW_PX, nearest=False)),
        mask=encode_png(mask),
        classes=classes,
        note=note,
        name=image.name,
    )


def class_layer(key: str, index: ByteArray, classes: Classes) -> ViewLayer:
    """Return a class mask (H, W) uint8 for the live view."""
    small = shrink(index, PREVIEW_PX, nearest=True)
    return _layer("classes", key, colorize(small, classes), small)


def confidence_layer(key: str, margins: ByteArray, index: ByteArray) -> ViewLayer:
    """Return how sure the model is for the live view.

    Args:
        key: Changes exactly when the picture does.
        margins: (H, W) uint8 in 255ths.
        index: (H, W) uint8, 255 where there is no data.
    """
    small = shrink(index, PREVIEW_PX, nearest=True)
    picture = confidence_picture(shrink(margins, PREVIEW_PX, nearest=True), small)
    return _layer("confidence", key, picture, small)


def _layer(name: Shown, key: str, picture: ByteArray, index: ByteArray) -> ViewLayer:
    known = index != NO_DATA
    if not known.all():
        picture = _transparent(picture, known)
    return ViewLayer(name, f"{key}\n{name}", encode_png(picture))


def _transparent(picture: ByteArray, known: NDArray[np.bool_]) -> ByteArray:
    """Add alpha to (h, w, 3): 255 where something is known, else 0."""
    alpha = known.astype(np.uint8) * np.uint8(255)
    return np.dstack([picture, shrink(alpha, PREVIEW_PX, nearest=True)])
