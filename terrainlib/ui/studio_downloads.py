"""The downloads of the mask studio, computed by the library when they are clicked.

Everything is at the image's full size, with the settings of the live view.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.palette import NO_DATA, colorize
from terrainlib.errors import ConfigError
from terrainlib.mask import export
from terrainlib.mask.prediction import snap_to_classes
from terrainlib.mask.sharpen import sharpen
from terrainlib.ui.live_view import ViewSettings
from terrainlib.ui.studio import MadeMask, PictureFile

PNG: Final = "image/png"
TIFF: Final = "image/tiff"


@dataclass(frozen=True, slots=True)
class Download:
    """One file on offer: its label, its name, what is in it, and how it is made."""

    label: str
    file_name: str
    mime: str
    help: str
    make: Callable[[], bytes]


def show_downloads(made: MadeMask, picture: PictureFile, view: ViewSettings) -> None:
    """Show a button for each file; nothing is computed before a click."""
    for download in downloads(made, picture, view):
        st.download_button(
            download.label,
            data=download.make,
            file_name=download.file_name,
            mime=download.mime,
            help=download.help,
            key=f"studio_download_{download.label}",
            on_click="ignore",
            icon=":material/download:",
            width="stretch",
        )
    st.caption(f"Sharpened mask and overlay follow the view: {describe(view)}.")


def describe(view: ViewSettings) -> str:
    """Return the settings in words, such as `Laplacian, amount 1.50`."""
    method = f"unsharp mask of {view.radius:.1f} px"
    parts = ["Laplacian" if view.method == "laplacian" else method]
    parts.append(f"amount {view.amount:.2f}")
    if view.snap:
        parts.append("snapped to classes")
    return ", ".join(parts)


def downloads(
    made: MadeMask, picture: PictureFile, view: ViewSettings
) -> list[Download]:
    """Return the files on offer for a mask and the settings of the live view."""
    stem = Path(picture.name).stem
    offered = [
        Download(
            "Class mask (PNG)",
            f"{stem}_mask.png",
            PNG,
            "The most probable class of every pixel, in its colour; not sharpened.",
            partial(class_png, made),
        ),
        Download(
            "Soft mask (PNG)",
            f"{stem}_soft.png",
            PNG,
            "The class colours weighted by their probabilities; not sharpened.",
            partial(soft_png, made),
        ),
        Download(
            "Sharpened mask (PNG)",
            f"{stem}_sharpened.png",
            PNG,
            "The soft mask sharpened, and snapped, as in the view.",
            partial(sharpened_png, made, view),
        ),
        Download(
            "Overlay (PNG)",
            f"{stem}_overlay.png",
            PNG,
            f"The sharpened mask over the image, at {view.opacity:.0%} opacity.",
            partial(overlay_png, made, picture, view),
        ),
    ]
    if made.georeference is not None:
        offered.append(_geotiff(made, stem))
    return offered


def _geotiff(made: MadeMask, stem: str) -> Download:
    return Download(
        "Class mask (GeoTIFF)",
        f"{stem}_mask.tif",
        TIFF,
        "Class indices on the grid of the image, with colours; no data is 255.",
        partial(class_geotiff, made),
    )


def sharpened(made: MadeMask, view: ViewSettings) -> NDArray[np.uint8]:
    """Return the soft mask with the view's sharpening and snapping, (H, W, 3) uint8."""
    sharp = sharpen(made.soft, view.amount, method=view.method, radius=view.radius)
    if view.snap:
        index = snap_to_classes(sharp, made.classes)
        index[made.index == NO_DATA] = NO_DATA
        sharp = colorize(index, made.classes)
    return sharp


def class_png(made: MadeMask) -> bytes:
    """Return the class mask in class colours as PNG."""
    return export.mask_png(made.index, made.classes)


def soft_png(made: MadeMask) -> bytes:
    """Return the soft mask as PNG."""
    return export.encode_png(made.soft)


def sharpened_png(made: MadeMask, view: ViewSettings) -> bytes:
    """Return the sharpened mask as PNG."""
    return export.encode_png(sharpened(made, view))


def overlay_png(made: MadeMask, picture: PictureFile, view: ViewSettings) -> bytes:
    """Return the sharpened mask over the image as PNG."""
    image = picture.read()
    mask = sharpened(made, view)
    return export.encode_png(export.overlay(image.rgb, mask, view.opacity))


def class_geotiff(made: MadeMask) -> bytes:
    """Return the class mask as GeoTIFF on the image's grid."""
    if made.georeference is None:
        raise ConfigError("the image has no georeference. Download the PNG instead.")
    return export.geotiff_mask(made.index, made.classes, made.georeference)
