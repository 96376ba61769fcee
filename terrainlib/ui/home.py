r"""The parts of the home page: ways in, an example already predicted, what is there.

Nothing here loads TensorFlow. The example's soft mask is a file that ships with the
project; this makes it again with the embedded model:

    python -m terrainlib predict default terrainlib/assets/sample/scenes/europe.tif \
        --soft --out terrainlib/assets/home
"""

from pathlib import Path
from typing import Any, Final, Literal

import streamlit as st

from terrainlib import rights
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.sample import SAMPLE_DIR, example_scenes
from terrainlib.metrics import OVERALL
from terrainlib.runs.folder import Job, Run, Search, damaged_folders, list_runs
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.runs.slot import JOB_SLOT, RUN_SLOT, SEARCH_SLOT, Slot
from terrainlib.runs.status import JOB, RUN, SEARCH
from terrainlib.ui import cached, state
from terrainlib.ui.datasets.picker import address_of
from terrainlib.ui.identity import show_log_in
from terrainlib.ui.page import APP_NAME, page_header, show_legend
from terrainlib.ui.studio.live import ViewPictures, live_view
from terrainlib.ui.studio.masks import PictureFile, picture_preview
from terrainlib.ui.studio.uploads import want_mask
from terrainlib.ui.text import duration, md_escape, plural
from terrainlib.ui.workers import JOB_PAGE, RUN_PAGE

EXAMPLE_MASK: Final = SAMPLE_DIR.parent / "home" / "europe_soft.png"
MIOU_HELP: Final = "mIoU: " + next(k.meaning for k in OVERALL if k.key == "miou")
REFRESH_SECONDS: Final = 2.0
RECENT_RUNS: Final = 3
_KINDS: Final = {
    RUN.name: "Training",
    JOB.name: "Prediction",
    SEARCH.name: "Overlaps in",
}
_STATE_ICONS: Final = {
    "finished": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "crashed": ":material/error:",
}


def show_home() -> None:
    """Show what this is, three ways in, an example, and what is going on."""
    page_header(
        APP_NAME,
        "Satellite image in, terrain mask out: water, forest or desert, pixel by "
        "pixel.",
    )
    if rights.actor().role == "nobody":
        show_log_in()
        return
    _show_ways()
    _show_example()
    _show_inventory()


def _show_ways() -> None:
    """Show what people come for, as buttons."""
    mask, paint, train, example = st.columns(4, gap="small")
    with mask:
        if _way("mask", "Mask an image", ":material/tune:", first=True):
            st.session_state[state.STUDIO_SOURCE] = "upload"
            st.switch_page(state.STUDIO_PAGE)
        st.caption("Upload yours. The model that comes with the app does the rest.")
    with paint:
        if _way("labels", "Paint labels", ":material/brush:"):
            st.switch_page(state.LABELS_PAGE)
        st.caption("No masks yet? A few strokes on your image give its mask at once.")
    with train:
        if _way("train", "Train on my images", ":material/model_training:"):
            st.switch_page(state.DATASET_PAGE)
        st.caption("Open your images and masks, and watch a U-Net learn from them.")
    with example:
        if _way("example", "See an example", ":material/landscape:"):
            st.session_state[state.STUDIO_SOURCE] = "example"
            want_mask()
            st.switch_page(state.STUDIO_PAGE)
        st.caption("Make the mask below yourself, then sharpen, clean and download it.")


def _way(name: str, label: str, icon: str, *, first: bool = False) -> bool:
    kind: Literal["primary", "secondary"] = "primary" if first else "secondary"
    return st.button(label, key=f"home_{name}", icon=icon, type=kind, width="stretch")


def _show_example() -> None:
    """Show the example scene and its mask in the live view."""
    scene = example_scenes()[0]
    jpeg, (height, width), _ = picture_preview(PictureFile.on_disk(scene.image))
    if not EXAMPLE_MASK.is_file():
        st.image(jpeg, alt=f"Satellite image: {scene.title}")
        return
    show_legend(KAGGLE_CLASSES)
    live_view(
        ViewPictures(
            id=f"home {cached.file_stamp(EXAMPLE_MASK)}",
            image=jpeg,
            mask=EXAMPLE_MASK.read_bytes(),
            classes=KAGGLE_CLASSES,
            note="Drag the divider to compare image and mask, and Sharpening to make "
            f"the mask crisper. {scene.title}, {width} × {height} px at 7.4 km a "
            "pixel, NASA Blue Marble; mask by the model that comes with the app.",
            name=scene.title,
        ),
        key=state.HOME_VIEW,
        remembered=state.HOME_SETTINGS,
    )


def _show_inventory() -> None:
    """Show what is going on, live, and what is there."""
    live = bool(_going())
    st.fragment(_inventory, run_every=REFRESH_SECONDS if live else None)(live=live)


def _inventory(*, live: bool) -> None:
    going = _going()
    if live and not going:
        st.rerun()  # the last one has ended: no more refreshing
    if going:
        st.header("Going on now", anchor=False)
    for slot, item in going:
        _show_going(slot, item)
    st.header("What is here", anchor=False)
    trainings, models = st.columns(2, gap="medium")
    with trainings, st.container(border=True, height="stretch"):
        _show_runs([run for run in list_runs() if not run.active])
    with models, st.container(border=True, height="stretch"):
        _show_models(list_models())
        _show_data()


def _going() -> list[tuple[Slot[Any], Any]]:
    """Return all that is at work or waits for it, with the slot that it is about."""
    slots = (RUN_SLOT, JOB_SLOT, SEARCH_SLOT)
    there = [slot for slot in slots if slot.work.shared_home.is_dir()]
    return [(slot, item) for slot in there for item in slot.going()]


def _show_going(slot: Slot[Any], item: Run | Job | Search) -> None:
    """Show one of them in a line: how far it is, or its place, and a link to it."""
    text = f"{_KINDS[slot.work.name]} {md_escape(item.name)}: "
    with st.container(horizontal=True, vertical_alignment="center"):
        if item.state == "waiting":
            place = md_escape(slot.queue_text(item))
            st.markdown(f":small[:material/schedule: {text}{place}]", width="stretch")
        else:
            left = item.status.seconds_left
            rest = f", {duration(left)} left" if left is not None else ""
            st.progress(item.status.share or 0.0, f"{text}{item.place_text}{rest}")
        if item.readable:
            _link(item, "Watch it")


def _link(item: Run | Job | Search, label: str) -> None:
    if isinstance(item, Search):
        place, query = state.DATASET_PAGE, address_of(Path(item.config.data))
    elif isinstance(item, Run):
        place, query = state.TRAINING_PAGE, {RUN_PAGE.query: item.path.name}
    else:
        place, query = state.STUDIO_PAGE, {JOB_PAGE.query: item.path.name}
    st.page_link(place, label=label, query_params=query, width="content")


def _show_data() -> None:
    st.markdown("**:material/photo_library: Data**")
    count = sum(1 for _ in SAMPLE_DIR.glob("*_t.png"))
    st.markdown(f"The sample: {plural(count, 'satellite image')} with their masks")
    chosen = st.session_state.get(state.DATASET_FOLDER)
    if chosen and Path(chosen) != SAMPLE_DIR:
        st.markdown(f"Chosen: {md_escape(Path(chosen).name)}")


def _show_runs(ended: list[Run]) -> None:
    st.markdown("**:material/model_training: Recent trainings**")
    damaged = damaged_folders(RUN)
    if not ended and not damaged:
        st.markdown(
            "None yet. With the sample, two minutes are enough to see a U-Net learn."
        )
    for run in ended[:RECENT_RUNS]:
        icon = _STATE_ICONS.get(run.state, ":material/info:")
        best = run.status.best_miou
        score = f", mIoU {best:.2f}" if best is not None else ""
        _link(run, f"{icon} {md_escape(run.name)}: {run.state}{score}")
    if damaged:
        folders = plural(len(damaged), "damaged folder")
        st.markdown(f":material/broken_image: {folders}, see Training")


def _show_models(models: list[ModelEntry]) -> None:
    st.markdown("**:material/inventory_2: Models**")
    if not models:
        st.markdown("None yet. Train one, or add one from a file.")
        return
    first = models[0]
    miou = first.score("miou")
    score = f", mIoU {miou:.2f}" if miou is not None else ""
    st.markdown(f"In use: {md_escape(first.title)}{md_escape(score)}", help=MIOU_HELP)
    if len(models) > 1:
        st.markdown(f"{plural(len(models), 'model')} on this machine")
