"""The questions before a prediction of its own: what is made, how, where it goes."""

from importlib.util import find_spec
from typing import Any, Final

import streamlit as st

from terrainlib import rights
from terrainlib.mask.cleaning import MAX_CLEANED_MEGAPIXELS, PostProcessing
from terrainlib.mask.products.products import CHOICES, NEEDS_PLACE, Product
from terrainlib.mask.products.records import Wanted
from terrainlib.mask.sharpen import MAX_AMOUNT
from terrainlib.mask.tiles.feeding import MAX_SCALE, MIN_SCALE
from terrainlib.runs.jobs.config import JobConfig, input_images
from terrainlib.runs.jobs.estimate import estimate_job
from terrainlib.runs.models import ModelEntry
from terrainlib.runs.slot import JOB_SLOT
from terrainlib.ui import state
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.jobs.result import estimate_text, progress_text
from terrainlib.ui.jobs.trial import show_trial
from terrainlib.ui.jobs.view import start_job
from terrainlib.ui.paths import results_folder
from terrainlib.ui.studio.downloads import pick_pack_target, pick_smallest_area
from terrainlib.ui.studio.inputs import Chosen
from terrainlib.ui.studio.overview import ImageOverview, picture_bytes, show_image
from terrainlib.ui.studio.result import pick_cleaning
from terrainlib.ui.studio.uploads import path_of
from terrainlib.ui.text import file_size, md_escape
from terrainlib.ui.workers import JOB_PAGE, WHEN_FREE, follow

_SCALE_HELP: Final = (
    "How many pixels the network sees for one pixel of the image. Less is faster and "
    "coarser. The model's own scale is the one it was trained at."
)


def _ask_wanted(chosen: Chosen, model_scale: float | None) -> Wanted:
    """Show what can be made of an image, or of several, and return what is wanted."""
    overview, placed = chosen.overview, chosen.overview.placed
    st.markdown("**What is made**")
    st.caption(
        "The class mask always: "
        + ("GeoTIFF on the image's grid." if placed else "PNG in the class colours.")
    )
    values: dict[str, Any] = {}
    for product in CHOICES:
        barred = bool(product.without_place) and not placed
        about = NEEDS_PLACE if barred else product.about
        asked = _check(product.name, product.label, about, disabled=barred)
        values |= _ask_details(product, asked and not barred, overview)
    return Wanted(
        **values,
        cleaning=_ask_cleaning(overview),
        scale=_ask_scale(model_scale),
        bands=chosen.bands,
    )


def _ask_folder() -> str:
    """Ask where the results go; an empty text means a folder of our own."""
    if not rights.may("change folders"):
        return ""
    typed = st.text_input(
        "Folder for the results",
        placeholder="a new folder of this app",
        help="On this machine. Files that are there already are never replaced.",
        key=f"{state.STUDIO_JOB}_folder",
        persist_state="session",
    )
    return typed.strip()


def _ask_cluster() -> str:
    """Ask which cluster does it; an empty text means this machine."""
    if not rights.may("use a cluster"):
        return ""
    with st.expander("Share the work among machines", icon=":material/hub:"):
        if find_spec("distributed") is None:
            st.caption(
                "Many images, or a very large one, can be predicted by a Dask cluster. "
                "That needs a package that is not installed: `pip install -r "
                "requirements-dask.txt`."
            )
            return ""
        typed = st.text_input(
            "Scheduler of a Dask cluster",
            placeholder="none: this machine, one image after the other",
            help="The address that `dask scheduler` shows, such as tcp://10.0.0.5:8786,"
            " or local:4 for four processes of this machine. All machines must find "
            "images, model and results under the same paths.",
            key=_key("cluster"),
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


def _ask_details(
    product: Product, asked: bool, overview: ImageOverview
) -> dict[str, Any]:
    """Return what `Wanted` takes for a product, asking for what belongs to it."""
    if product.name == "sharpened":
        return {product.field: _ask_amount() if asked else None}
    if product.name == "vectors" and asked:
        on_earth = overview.metres is not None
        smallest = pick_smallest_area(_key("smallest"), on_earth=on_earth)
        return {product.field: True, "smallest": smallest}
    if product.name == "pack":
        size = (overview.height, overview.width)
        target = pick_pack_target(_key("pack"), size) if asked else None
        return {product.field: target}
    return {product.field: asked}


def _ask_amount() -> float:
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


def _ask_cleaning(overview: ImageOverview) -> PostProcessing:
    """Ask how the class mask is cleaned; too large an image is not."""
    with st.expander("Clean the class mask", icon=":material/cleaning_services:"):
        if overview.height * overview.width > MAX_CLEANED_MEGAPIXELS * 1e6:
            st.caption(
                f"Images of up to {MAX_CLEANED_MEGAPIXELS} megapixels can be cleaned."
            )
            return PostProcessing()
        st.caption("Changes the class mask, and its areas and polygons with it.")
        return pick_cleaning(_key("cleaning"))


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
        ahead = st.container()
    with right, st.container(border=True):
        if entry.kind == "pixel classifier":
            st.info(
                "It is never saved to a file, and large images or several at once "
                "need a model that is. Choose another model for them.",
                title="The pixel classifier works on small images",
                icon=":material/bolt:",
            )
            return
        scale = _ask_and_start(chosen, entry)
    with ahead:
        show_trial(chosen, entry, scale, _use_scale)


def _use_scale(scale: float) -> None:
    st.session_state[_key("scale")] = scale


def show_active_strip() -> None:
    """Say on the studio's page that a prediction goes on, with a way to it."""
    job = JOB_SLOT.active()
    with st.container():  # what comes below stays where it is
        if job is not None:
            st.fragment(_strip, run_every=STRIP_SECONDS)(job.path.name)


def _strip(drawn_for: str) -> None:
    job = JOB_SLOT.active()
    if job is None or job.path.name != drawn_for:
        st.rerun(scope="app")
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        zone = st.context.timezone
        place = progress_text(job, zone) if job.readable else job.place_text
        st.progress(job.status.share, md_escape(f"{job.name}: {place}"))
        if job.readable and st.button(
            "Watch", key="studio_job_watch", icon=":material/visibility:"
        ):
            follow(JOB_PAGE, drawn_for)
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


def _ask_and_start(chosen: Chosen, entry: ModelEntry) -> float | None:
    """Ask what is made and start it on a click; return the scale asked for."""
    wanted = _ask_wanted(chosen, entry.record.scale if entry.record else None)
    folder = _ask_folder()
    cluster = _ask_cluster()
    config: JobConfig | None = None
    with errors_shown("This cannot be started"):
        height = chosen.height
        config = JobConfig(
            model=entry.model,
            images=input_images(
                map(path_of, chosen.pictures),
                [picture.name for picture in chosen.pictures],
            ),
            folder=str(results_folder(folder)) if folder else "",
            wanted=wanted,
            heights=str(path_of(height)) if height else None,
            cluster=cluster,
        )
        _show_estimate(config)
    active = JOB_SLOT.active()
    waits = config is None or config.needs_machine
    busy = active is not None and active.needs_machine and waits
    started = st.button(
        f"Start {WHEN_FREE}" if busy else "Start the prediction",
        key="studio_job_start",
        type="primary",
        icon=":material/schedule:" if busy else ":material/play_arrow:",
        disabled=config is None,
        help="Another prediction is running." if busy else None,
    )
    # Not in a callback: it would be given the form as it was before the last change.
    if started and config is not None:
        start_job(config, wait=busy)
        st.rerun()
    return wanted.scale


def _show_estimate(config: JobConfig) -> None:
    told = estimate_job(config)
    st.markdown(f":material/schedule: {estimate_text(told)}")
    if config.cluster:
        st.caption("That is for one process; the workers of the cluster share it.")
    if told.needed_disk_mb > told.free_disk_mb:
        st.warning(
            "There is not that much room on the disk.", icon=":material/warning:"
        )
