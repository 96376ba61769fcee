"""The boxes in which people choose the bands that are shown as red, green and blue."""

import hashlib
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from terrainlib.data.scene import Bands, list_bands
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.text import plural

_COLORS: Final = ("Red", "Green", "Blue")


def pick_bands(picture: PictureFile, *, shared: bool = False) -> PictureFile:
    """Ask for the bands of a file that has more than three, or does not say which.

    Args:
        picture: The image.
        shared: Whether the choice holds for other images too.

    Returns:
        The image with the chosen bands; as it was where there is nothing to choose.

    Raises:
        ImageError: If the file cannot be read.
    """
    bands = list_bands(picture.source, name=picture.name)
    if not bands.asks or len(bands.all) < 2:
        return picture
    st.markdown(
        f"**{plural(len(bands.all), 'band')}**: which ones are red, green and blue?"
        + (" The choice holds for all images." if shared else "")
    )
    digest = hashlib.sha256(picture.key.encode("utf-8", "replace")).hexdigest()[:16]
    red, green, blue = (
        _pick_band(bands, number, f"studio_band_{digest}_{number}", column)
        for number, column in enumerate(st.columns(3, gap="small"))
    )
    chosen = (red, green, blue)
    return picture if chosen == bands.default else picture.with_bands(chosen)


def band_label(bands: Bands, number: int) -> str:
    """Return what a band is called in the boxes: `4 · Near infrared`.

    Args:
        bands: All bands of the file.
        number: The band's number, from 1.
    """
    name = bands.all[number - 1].name
    return name if name == f"Band {number}" else f"{number} · {name}"


def _pick_band(bands: Bands, place: int, key: str, column: DeltaGenerator) -> int:
    """Show the box of one colour; return the number of its band."""
    numbers = [band.number for band in bands.all]
    with column:
        chosen = st.selectbox(
            _COLORS[place],
            numbers,
            index=numbers.index(bands.default[place]),
            format_func=lambda number: band_label(bands, number),
            key=key,
            persist_state="session",
        )
    return chosen if chosen in numbers else bands.default[place]
