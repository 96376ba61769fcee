r"""The parts of the home page: an example already predicted, the way, what is there.

Nothing here loads TensorFlow. The example's soft mask is a file that ships with the
project; this makes it again with the embedded model:

    python -m terrainlib predict default terrainlib/assets/sample/scenes/europe.tif \
        --soft --out terrainlib/assets/home
"""

from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib import files
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.sample import SAMPLE_DIR, example_scenes
from terrainlib.runs.folder import Run, damaged_folders, list_runs
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.runs.status import RUN
from terrainlib.ui import cached, state
from terrainlib.ui.page import APP_NAME, page_card, page_header, show_legend
from terrainlib.ui.studio.live import ViewPictures, live_view
from terrainlib.ui.studio.masks import PictureFile, picture_preview
from terrainlib.ui.text import duration, md_escape, plural

EXAMPLE_MASK: Final = SAMPLE_DIR.parent / "home" / "europe_soft.png"
REFRESH_SECONDS: Final = 2.0
RECENT_RUNS: Final = 3
_STATE_ICONS: Final = {
    "finished": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "crashed": ":material/error:",
}


def show_home() -> None:
    """Show what this is, an example to try at once, the way, and what is there."""
    page_header(
        APP_NAME,
        "Turn satellite images into terrain masks with a U-Net that you train, judge "
        "and apply in the browser.",
    )
    st.header("Try it now", anchor=False)
    st.markdown(
        "Drag the divider to compare image and mask. Drag **Sharpening** and watch the "
        "mask change."
    )
    _show_example()
    st.page_link(
        state.STUDIO_PAGE,
        label="**Use your own image in the mask studio**",
        icon=":material/arrow_forward:",
    )
    st.header("The way through", anchor=False)
    _show_way()
    st.header("What is here", anchor=False)
    _show_inventory()


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
            note=f"{scene.title}, {width} × {height} px at 7.4 km a pixel, "
            "predicted by the embedded model. Image: NASA Blue Marble.",
            name=scene.title,
        ),
        key=state.HOME_VIEW,
        remembered=state.HOME_SETTINGS,
    )


def _show_way() -> None:
    """Show the pages in the order in which one needs them."""
    cards = (
        (state.DATASET_PAGE, "1 · Data", ":material/photo_library:",
         "Pairs of image and mask, their problems, the shares of the classes."),
        (state.TRAINING_PAGE, "2 · Train", ":material/model_training:",
         "Start a U-Net, watch its curves and pictures, stop and resume."),
        (state.GALLERY_PAGE, "3 · Judge", ":material/compare:",
         "Prediction beside truth on held-out pairs, worst first, with scores."),
        (state.STUDIO_PAGE, "4 · Apply", ":material/tune:",
         "Upload an image, sharpen its mask while you watch, download it."),
        (state.MODELS_PAGE, "5 · Keep", ":material/inventory_2:",
         "All models on disk: scores, the default, export, delete."),
    )  # fmt: skip
    with st.grid(min_column_width=150, gap="small"):
        for page, label, icon, text in cards:
            page_card(page, label, text, icon=icon)


def _show_inventory() -> None:
    """Show what is there: data, trainings and models; live while a training runs."""
    live = any(run.active for run in _runs())
    st.fragment(_inventory, run_every=REFRESH_SECONDS if live else None)(live=live)


def _inventory(*, live: bool) -> None:
    runs = _runs()
    if live and not any(run.active for run in runs):
        st.rerun()  # the last training has ended: no more refreshing
    data, trainings, models = st.columns(3, gap="medium")
    with data, st.container(border=True, height="stretch"):
        _show_data()
    with trainings, st.container(border=True, height="stretch"):
        _show_runs(runs)
    with models, st.container(border=True, height="stretch"):
        _show_models(list_models())


def _show_data() -> None:
    st.markdown("**:material/photo_library: Data**")
    count = sum(1 for _ in SAMPLE_DIR.glob("*_t.png"))
    st.markdown(f"Embedded sample: {plural(count, 'pair')} of real satellite tiles")
    chosen = st.session_state.get(state.DATASET_FOLDER)
    if chosen and Path(chosen) != SAMPLE_DIR:
        st.markdown(f"Chosen: {md_escape(Path(chosen).name)}")


def _show_runs(runs: list[Run]) -> None:
    st.markdown("**:material/model_training: Trainings**")
    damaged = damaged_folders(RUN)
    if not runs and not damaged:
        st.markdown("None yet. The sample and two minutes are enough to see one.")
    for run in [run for run in runs if run.active]:
        left = run.status.seconds_left
        rest = f", {duration(left)} left" if left is not None else ""
        text = f"{md_escape(run.name)}: {run.place_text}{rest}"
        st.progress(run.status.share or 0.0, text)
    for run in [run for run in runs if not run.active][:RECENT_RUNS]:
        icon = _STATE_ICONS.get(run.state, ":material/info:")
        best = run.status.best_miou
        score = f", mIoU {best:.2f}" if best is not None else ""
        st.markdown(f"{icon} {md_escape(run.name)}: {run.state}{score}")
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
    leak = f" ({first.leak})" if first.leak else ""
    score = f", mIoU {miou:.2f}{leak}" if miou is not None else ""
    st.markdown(f"In use: {md_escape(first.title)}{md_escape(score)}")
    if len(models) > 1:
        st.markdown(f"{plural(len(models), 'model')} on this machine")


def _runs() -> list[Run]:
    return list_runs() if files.runs_dir().is_dir() else []
