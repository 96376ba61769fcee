"""A picture of any size as the pages show it: small, with its facts.

Of a large GeoTIFF only parts are read, so that it is there at once; the result is kept
while it is needed. Nothing here loads TensorFlow.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import streamlit as st

from terrainlib.data.formats.bands import Bands
from terrainlib.data.formats.raster import Georeference
from terrainlib.data.scene import Scene, list_bands, open_scene
from terrainlib.mask.pixelsize import ground_length, scene_pixel_metres
from terrainlib.mask.rasters.png import encode_png
from terrainlib.ui import cached
from terrainlib.ui.cached import encode_jpeg, file_stamp
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.text import file_size, md_escape
from terrainlib.ui.turns import PICTURES, in_turn

OVERVIEW_PX: Final = 1024
_CRS_NAME: Final = re.compile(r'^\w+\["([^"]{1,80})"')


@dataclass(frozen=True, slots=True)
class ImageOverview:
    """A picture in small.

    Attributes:
        jpeg: The picture, at most `OVERVIEW_PX` wide and high.
        height: Rows of the whole image, px.
        width: Columns of the whole image, px.
        size_bytes: Size of the file.
        bands: Its bands.
        notes: How its pixels were read, one phrase each.
        place: Its reference system in words; empty where it lies nowhere.
        placed: Whether it has a place, so that its masks are GeoTIFF.
        metres: Mean size of a pixel on the ground; None where that is not known.
    """

    jpeg: bytes
    height: int
    width: int
    size_bytes: int
    bands: Bands
    notes: tuple[str, ...]
    place: str
    placed: bool
    metres: float | None

    @property
    def pixels(self) -> int:
        """How many pixels the image has."""
        return self.height * self.width

    @property
    def facts(self) -> str:
        """One line for people: size, bands, place, file."""
        count = len(self.bands.all)
        kind = self.bands.all[0].dtype
        bands = f"{count} {'band' if count == 1 else 'bands'} of {kind}"
        parts = [
            f"{self.width:,} × {self.height:,} px ({megapixels(self.pixels)})",
            bands,
            self.place or "no reference system",
        ]
        if self.metres is not None:
            parts.append(f"about {ground_length(self.metres)} a pixel")
        parts.append(file_size(self.size_bytes))
        return " · ".join(parts)


def image_overview(picture: PictureFile) -> ImageOverview:
    """Return a picture in small, from memory where it was made before.

    Raises:
        ImageError: If it cannot be read.
    """
    key = f"overview\n{picture.key}"
    kept = cached.results().get(key)
    if isinstance(kept, ImageOverview):
        return kept
    source, name = picture.source, picture.name
    bands = list_bands(source, name=name)
    with (
        in_turn(PICTURES),
        open_scene(source, name=name, bands=picture.bands) as scene,
    ):
        made = _overview(scene, bands, picture_bytes(picture))
    cached.results().put(key, made, len(made.jpeg))
    return made


def mask_overview(path: Path) -> bytes:
    """Return a class mask in small as PNG, transparent where there is no data.

    Raises:
        ImageError: If it cannot be read, or is a picture too large to be read whole.
    """
    date, size = file_stamp(path)
    key = f"mask overview\n{path}|{date}|{size}"
    kept = cached.results().get(key)
    if isinstance(kept, bytes):
        return kept
    with open_scene(path) as scene:
        small = scene.overview(OVERVIEW_PX)
    alpha = small.valid.astype(np.float32)
    png = encode_png(np.dstack([small.rgb, alpha]))
    cached.results().put(key, png, len(png))
    return png


def show_image(overview: ImageOverview, name: str) -> None:
    """Show a picture with its facts and how it was read."""
    st.image(
        overview.jpeg, alt=f"The image {name}, {overview.width} by {overview.height} px"
    )
    st.caption(md_escape(overview.facts))
    show_reading(overview.notes)


def show_reading(notes: tuple[str, ...]) -> None:
    """Say how an image was read, if there is anything to say."""
    if notes:
        st.caption(f"How the image was read: {md_escape('; '.join(notes))}.")


def picture_bytes(picture: PictureFile) -> int:
    """Return the size of a picture's file; 0 where it is gone."""
    source = picture.source
    return len(source) if isinstance(source, bytes) else file_stamp(source)[1]


def megapixels(pixels: float) -> str:
    """Return a number of pixels as text.

    Example:
        >>> megapixels(30_000_000), megapixels(1_048_576), megapixels(3000)
        ('30 megapixels', '1.0 megapixels', '3,000 pixels')
    """
    if pixels < 50_000:
        return f"{pixels:,.0f} pixels"
    millions = pixels / 1e6
    return f"{millions:,.{0 if millions >= 10 else 1}f} megapixels"


def _overview(scene: Scene, bands: Bands, size_bytes: int) -> ImageOverview:
    small = scene.overview(OVERVIEW_PX)
    place = scene.georeference
    return ImageOverview(
        encode_jpeg(small.rgb),
        scene.height,
        scene.width,
        size_bytes,
        bands,
        small.notes,
        _place_name(place),
        place is not None,
        scene_pixel_metres(scene),
    )


def _place_name(place: Georeference | None) -> str:
    if place is None or not place.crs_wkt:
        return ""
    named = _CRS_NAME.match(place.crs_wkt)
    return named.group(1) if named else "a reference system without a name"
