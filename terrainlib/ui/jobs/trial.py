"""A look ahead at a long prediction: is the scale right, and what comes out of it?

The image is compared with the training images without TensorFlow; parts of it are then
predicted at the scale that is asked for, and the fitting scale is one click away.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import streamlit as st

from terrainlib.data.imagery import Image
from terrainlib.data.palette import colorize
from terrainlib.data.scene import Scene, open_scene
from terrainlib.mask.gap import Gap, scene_gap
from terrainlib.mask.rasters.png import encode_png
from terrainlib.mask.tiles.feeding import MAX_SCALE, MIN_SCALE, geometry_of
from terrainlib.model.beside import is_loaded
from terrainlib.runs.jobs.estimate import model_outline
from terrainlib.runs.models import ModelEntry
from terrainlib.types import Window
from terrainlib.ui import cached
from terrainlib.ui.cached import encode_jpeg
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.models.picker import stamp_of
from terrainlib.ui.studio.inputs import Chosen, needs_height
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.studio.result import gap_in_words
from terrainlib.ui.turns import PICTURES, in_turn

if TYPE_CHECKING:
    from terrainlib.model.modelfile import TerrainModel

PART_PX: Final = 256  # at the working scale
PARTS: Final = 2
LONG_MEGAPIXELS: Final = 2  # from here on a prediction takes long enough to ask first
_MAX_READ_PX: Final = 16_000_000


def gap_ahead(picture: PictureFile, entry: ModelEntry, scale: float | None) -> Gap:
    """Return how an image compares at a scale, kept while it is needed.

    Raises:
        TerrainError: If image or model cannot be read.
    """
    key = f"gap ahead\n{picture.key}\n{entry.model}\n{stamp_of(entry.model)}\n{scale}"
    kept = cached.results().get(key)
    if isinstance(kept, Gap):
        return kept
    model = model_outline(entry.model)
    bands = model.bands(None) if picture.bands is None else picture.bands
    with (
        in_turn(PICTURES),
        open_scene(picture.source, name=picture.name, bands=bands) as scene,
    ):
        made = scene_gap(model, scene, scale=scale)
    cached.results().put(key, made, 1000)
    return made


def offers_scale(chosen: Chosen, entry: ModelEntry) -> float | None:
    """Return the scale to ask about before a long mask is made; None for none."""
    small = chosen.overview.pixels < LONG_MEGAPIXELS * 1e6
    if small or entry.kind == "pixel classifier":
        return None
    with errors_shown("The image cannot be compared"):
        return fitting_scale(gap_ahead(chosen.shown, entry, None), entry, None)
    return None


def fitting_scale(gap: Gap, entry: ModelEntry, scale: float | None) -> float | None:
    """Return the scale that fits better than the one a gap was measured at."""
    own = entry.record.scale if entry.record else None
    used = own if scale is None else scale
    if gap.scale_factor is None or used is None:
        return None
    return min(MAX_SCALE, max(MIN_SCALE, used * gap.scale_factor))


def show_trial(
    chosen: Chosen,
    entry: ModelEntry,
    scale: float | None,
    use: Callable[[float], None],
) -> None:
    """Show the comparison, parts of the mask, and the fitting scale as a button.

    Args:
        chosen: What is to be predicted; the first image that can be read is looked at.
        entry: The model.
        scale: The scale that is asked for; None for the model's own.
        use: Called, as a callback, with the scale that was chosen instead.
    """
    with errors_shown("Parts of the mask cannot be shown before"):
        gap = gap_ahead(chosen.shown, entry, scale)
        st.markdown(gap_in_words(gap))
        fitting = fitting_scale(gap, entry, scale)
        if fitting is not None:
            st.button(
                f"Work at {fitting:.3g} working pixels per image pixel",
                key="studio_fitting_scale",
                type="primary",
                icon=":material/photo_size_select_small:",
                on_click=use,
                args=(round(fitting, 4),),
            )
        if needs_height(entry):
            return
        told = "Predicting two parts of it"
        told += "" if is_loaded() else ": TensorFlow is loaded first"
        with st.spinner(told, show_time=True):
            parts = _parts(chosen.shown, entry, scale)
    for jpeg, png in parts:
        left, right = st.columns(2, gap="small")
        left.image(jpeg, alt="A part of the image", width="stretch")
        right.image(png, alt="Its mask", width="stretch")
    if parts:
        st.caption("Two parts of the image, and their masks at this scale.")


def _parts(
    picture: PictureFile, entry: ModelEntry, scale: float | None
) -> list[tuple[bytes, bytes]]:
    """Return parts of an image and of its class mask, kept while they are needed."""
    key = f"trial\n{picture.key}\n{entry.model}\n{stamp_of(entry.model)}\n{scale}"
    kept = cached.results().get(key)
    if isinstance(kept, list):
        return kept
    from terrainlib.mask.prediction import predict_image

    model = cached.model(entry.model)
    bands = model.bands(None) if picture.bands is None else picture.bands
    made = []
    with (
        in_turn(PICTURES),
        open_scene(picture.source, name=picture.name, bands=bands) as scene,
    ):
        for window in _windows(model, scene, scale):
            pixels, valid = scene.read(window)
            part = Image(pixels, valid)
            mask = predict_image(model, part, scale=scale)
            png = encode_png(colorize(mask.classes, model.classes))
            made.append((encode_jpeg(part.rgb), png))
    cached.results().put(key, made, sum(len(a) + len(b) for a, b in made))
    return made


def _windows(model: "TerrainModel", scene: Scene, scale: float | None) -> list[Window]:
    """Return parts to predict: on the diagonal, `PART_PX` at the working scale."""
    geometry = geometry_of(model, (scene.height, scene.width), scale)
    factor = geometry.working[0] / scene.height
    side = int(min(PART_PX / factor, _MAX_READ_PX**0.5))
    found: list[Window] = []
    for number in range(1, PARTS + 1):
        rows, columns = (
            max(0, length - side) * number // (PARTS + 1)
            for length in (scene.height, scene.width)
        )
        window = (
            slice(rows, min(rows + side, scene.height)),
            slice(columns, min(columns + side, scene.width)),
        )
        if window not in found:
            found.append(window)
    return found
