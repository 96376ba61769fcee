"""The questions about polygons and packs that a mask can be turned into."""

from typing import Final, Literal

import streamlit as st

from terrainlib.mask.pack.pack import ENGINES, FITS, SIZES, PackTarget
from terrainlib.mask.vectors.polygons import SmallestArea

UNITS: Final[dict[str, str]] = {"px": "px", "m2": "m²"}
ENGINE_NAMES: Final = {
    "source": "Image's own size",
    "unity": "Unity",
    "unreal": "Unreal",
}
FIT_NAMES: Final = {"crop": "Crop to the middle", "stretch": "Stretch"}
_MAX_SMALLEST: Final = 1e9


def pick_smallest_area(key: str, *, on_earth: bool) -> SmallestArea:
    """Ask for the smallest polygon.

    Args:
        key: Start of the widgets' keys.
        on_earth: Whether areas are known in square metres.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        value = st.number_input(
            "Smallest polygon",
            0.0,
            _MAX_SMALLEST,
            float(SmallestArea().value),
            step=1.0,
            format="%.10g",
            help="Smaller islands go to the class around them. 0 keeps every pixel.",
            key=f"{key}_value",
            persist_state="session",
        )
        unit: Literal["px", "m2"] = "px"
        if on_earth:
            chosen = st.segmented_control(
                "Unit",
                list(UNITS),
                format_func=UNITS.__getitem__,
                default="px",
                required=True,
                key=f"{key}_unit",
                persist_state="session",
                label_visibility="collapsed",
            )
            unit = "m2" if chosen == "m2" else "px"
    return SmallestArea(float(value), unit)


def pick_pack_target(key: str, size: tuple[int, int]) -> PackTarget:
    """Ask what a world-builder's pack is made for.

    Args:
        key: Start of the widgets' keys.
        size: (H, W) of the image, px.
    """
    engine = st.selectbox(
        "Made for",
        ENGINES,
        format_func=ENGINE_NAMES.__getitem__,
        key=f"{key}_engine",
        persist_state="session",
    )
    sizes = SIZES[engine]
    if not sizes:
        return PackTarget()
    side = min(size)
    enough = [number for number, px in enumerate(sizes) if px >= side]
    chosen = st.selectbox(
        "Heightmap",
        sizes,
        index=min(enough, default=len(sizes) - 1),
        format_func=lambda px: f"{px} × {px} px",
        key=f"{key}_size_{engine}",
        persist_state="session",
        help="The sizes that this engine takes. The weights have the same size, for "
        "Unity one pixel less.",
    )
    if size[0] == size[1]:
        return PackTarget(engine, chosen)
    fit = st.selectbox(
        "The image is no square",
        FITS,
        format_func=FIT_NAMES.__getitem__,
        key=f"{key}_fit",
        persist_state="session",
    )
    return PackTarget(engine, chosen, fit)
