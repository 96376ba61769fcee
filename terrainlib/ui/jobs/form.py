"""The questions before a prediction of its own: what is made, how, where it goes."""

from typing import Final

import streamlit as st

from terrainlib.mask.pack.pack import PackTarget
from terrainlib.mask.products.records import Wanted
from terrainlib.mask.sharpen import MAX_AMOUNT
from terrainlib.mask.tiles.feeding import MAX_SCALE, MIN_SCALE
from terrainlib.mask.vectors.polygons import SmallestArea
from terrainlib.runs.jobs.config import PredictionConfig, input_images
from terrainlib.runs.jobs.estimate import estimate_job
from terrainlib.runs.models import ModelEntry
from terrainlib.runs.prediction_slot import active_prediction
from terrainlib.ui import state
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.jobs.actions import start_job, watch
from terrainlib.ui.jobs.result import estimate_text, progress_text
from terrainlib.ui.paths import results_folder
from terrainlib.ui.studio.downloads import pick_pack_target, pick_smallest_area
from terrainlib.ui.studio.inputs import Chosen
from terrainlib.ui.studio.overview import picture_bytes, show_image
from terrainlib.ui.studio.uploads import path_of
from terrainlib.ui.text import file_size, md_escape

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


STRIP_SECONDS: Final = 2.0
_LISTED_FILES: Final = 200


def show_new_job(chosen: Chosen, entry: ModelEntry) -> None:
    """Show the image and the questions, and start the prediction."""
    left, right = st.columns(2, gap="medium")
    with left:
        _show_input(chosen)
    with right, st.container(border=True):
        if entry.kind == "pixel classifier":
            st.info(
                "It has no file, and a large image or several are predicted by a "
                "process of their own. Choose another model for them.",
                title="The pixel classifier works on small images",
                icon=":material/bolt:",
            )
            return
        _ask_and_start(chosen, entry)


def show_active_strip() -> None:
    """Say on the studio's page that a prediction goes on, with a way to it."""
    job = active_prediction()
    if job is not None:
        st.fragment(_strip, run_every=STRIP_SECONDS)(job.path.name)


def _strip(drawn_for: str) -> None:
    job = active_prediction()
    if job is None or job.path.name != drawn_for:
        st.rerun(scope="app")
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        text = f"{job.name}: {progress_text(job, st.context.timezone)}"
        st.progress(job.status.share, md_escape(text))
        if st.button("Watch", key="studio_job_watch", icon=":material/visibility:"):
            watch(drawn_for)
            st.rerun(scope="app")


def _show_input(chosen: Chosen) -> None:
    pictures = chosen.pictures
    if len(pictures) > 1:
        size = file_size(sum(map(picture_bytes, pictures)))
        st.markdown(
            f"**{len(pictures):,} images**, {size}; shown is {md_escape(chosen.name)}"
        )
    show_image(chosen.overview, chosen.name)
    if len(pictures) > 1:
        with st.expander("All files"):
            listed = [f"- {md_escape(p.name)}" for p in pictures[:_LISTED_FILES]]
            more = len(pictures) - _LISTED_FILES
            listed += [f"- and {more:,} more"] if more > 0 else []
            st.markdown("\n".join(listed))


def _ask_and_start(chosen: Chosen, entry: ModelEntry) -> None:
    wanted = ask_wanted(chosen, entry.record.scale if entry.record else None)
    folder = ask_folder()
    config: PredictionConfig | None = None
    with errors_shown("This cannot be started"):
        height = chosen.height
        config = PredictionConfig(
            model=entry.model,
            images=input_images(
                map(path_of, chosen.pictures),
                [picture.name for picture in chosen.pictures],
            ),
            folder=str(results_folder(folder)) if folder else "",
            wanted=wanted,
            heights=str(path_of(height)) if height else None,
        )
        _show_estimate(config)
    active = active_prediction()
    busy = active is not None
    started = st.button(
        "Start the prediction",
        key="studio_job_start",
        type="primary",
        icon=":material/play_arrow:",
        disabled=busy or config is None,
        help="Another prediction has the machine." if busy else None,
    )
    # Not in a callback: it would be given the form as it was before the last change.
    if started and config is not None:
        start_job(config)
        st.rerun()


def _show_estimate(config: PredictionConfig) -> None:
    told = estimate_job(config)
    st.markdown(f":material/schedule: {estimate_text(told)}")
    if told.needed_disk_mb > told.free_disk_mb:
        st.warning("The disk has less room than that.", icon=":material/warning:")
