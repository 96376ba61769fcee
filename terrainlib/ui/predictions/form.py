"""The questions before a prediction of its own: what is made, how, where it goes."""

from typing import Final

import streamlit as st

from terrainlib.mask.pack.pack import PackTarget
from terrainlib.mask.products.making import Wanted
from terrainlib.mask.sharpen import MAX_AMOUNT
from terrainlib.mask.tiles.feeding import MAX_SCALE, MIN_SCALE
from terrainlib.mask.vectors.polygons import SmallestArea
from terrainlib.ui import state
from terrainlib.ui.studio.inputs import Chosen
from terrainlib.ui.studio.product_choices import pick_pack_target, pick_smallest_area

_SCALE_HELP: Final = (
    "How many pixels the network sees for one pixel of the image. Smaller is faster "
    "and coarser; the model's own is the one it was trained at."
)


def ask_wanted(chosen: Chosen, model_scale: float | None) -> Wanted:
    """Show what can be made of an image, or of several, and return what is wanted.

    Args:
        chosen: What was chosen.
        model_scale: The model's own scale; None for models that take an image whole.
    """
    overview, placed = chosen.overview, chosen.overview.placed
    st.markdown("**What is made**")
    st.caption(
        "The class mask always: "
        + ("GeoTIFF on the image's grid." if placed else "PNG in the class colours.")
    )
    soft = _check("soft", "Soft mask", "The class colours, by their probabilities.")
    sharpen = _ask_sharpening()
    probabilities = _check(
        "probabilities",
        "Probabilities",
        "One band a class, as GeoTIFF."
        if placed
        else "Only for images that have a place on the Earth.",
        disabled=not placed,
    )
    smallest = _ask_polygons(on_earth=overview.metres is not None)
    pack = _ask_pack((overview.height, overview.width))
    return Wanted(
        soft=soft,
        probabilities=probabilities and placed,
        sharpen=sharpen,
        vectors=smallest is not None,
        smallest=smallest or SmallestArea(),
        pack=pack,
        scale=_ask_scale(model_scale),
        bands=chosen.shown.bands,
    )


def ask_folder() -> str:
    """Ask where the results go; an empty text means a folder of our own."""
    typed = st.text_input(
        "Folder for the results",
        placeholder="a new folder of this app",
        help="On this machine. Files that lie there already are never replaced.",
        key=f"{state.STUDIO_JOB}_folder",
        persist_state="session",
    )
    return typed.strip()


def _check(name: str, label: str, help_text: str, *, disabled: bool = False) -> bool:
    return st.checkbox(
        label,
        help=help_text,
        disabled=disabled,
        key=_key(name),
        persist_state="session",
    )


def _ask_sharpening() -> float | None:
    wanted = _check("sharpened", "Sharpened mask", "The soft mask, sharpened.")
    if not wanted:
        return None
    return float(
        st.slider(
            "Amount of sharpening",
            0.0,
            MAX_AMOUNT,
            1.0,
            0.05,
            key=_key("amount"),
            persist_state="session",
        )
    )


def _ask_polygons(*, on_earth: bool) -> SmallestArea | None:
    wanted = _check(
        "vectors",
        "Polygons",
        "Outlines of the classes with their areas, as GeoPackage; also as GeoJSON "
        "where the image lies on the Earth.",
    )
    if not wanted:
        return None
    return pick_smallest_area(_key("smallest"), on_earth=on_earth)


def _ask_pack(size: tuple[int, int]) -> PackTarget | None:
    wanted = _check(
        "pack",
        "World-builder's pack",
        "One zip with weights of each class, splat maps and heights, for Unity, "
        "Unreal, Godot and Blender.",
    )
    return pick_pack_target(_key("pack"), size) if wanted else None


def _ask_scale(model_scale: float | None) -> float | None:
    """Ask for the scale; None stands for the model's own."""
    own = "takes the image whole" if model_scale is None else f"{model_scale:.3g}"
    chosen = st.number_input(
        "Scale: working pixels per image pixel",
        MIN_SCALE,
        MAX_SCALE,
        None,
        format="%.3f",
        placeholder=f"the model's own: {own}",
        help=_SCALE_HELP,
        key=_key("scale"),
        persist_state="session",
    )
    return None if chosen is None else float(chosen)


def _key(name: str) -> str:
    return f"{state.STUDIO_JOB}_{name}"
