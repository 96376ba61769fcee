"""From labels to a model: a data set of patches, a training on it, its mask here."""

from pathlib import Path
from typing import Any, Final

import streamlit as st

from terrainlib import files, rights
from terrainlib.data.dataset import open_dataset
from terrainlib.data.labels.patches import PatchOptions, make_patches
from terrainlib.data.labels.strokefile import write_labels
from terrainlib.errors import InputError
from terrainlib.model.automatic import TrainingData, choose
from terrainlib.model.config import TrainingConfig
from terrainlib.model.instant import SUFFIX
from terrainlib.model.machine import Machine
from terrainlib.runs import launcher
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.training.config import MAX_NAME_LETTERS, RunConfig
from terrainlib.ui import state
from terrainlib.ui.datasets.labelled import default_folder
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.labels.work import Work
from terrainlib.ui.workers import RUN_PAGE, WHEN_FREE

PRESET: Final = "fast"
_NOTHING: Final = "Nothing: learn from scratch"
_LAST: Final = f"{state.LABELS}_run"  # dict: image and folder of the run it started


def show_training(work: Work) -> None:
    """Show the button that makes a data set of the labels and trains on it."""
    if rights.limits().training_minutes is not None:
        st.caption("In this demo only the sample is trained on.")
        return
    starts = {_NOTHING: None} | {
        entry.title: entry
        for entry in list_models()
        if entry.record is not None and entry.path.suffix != SUFFIX
    }
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        minutes = st.number_input(
            "Minutes", 1, 600, 10, key=f"{state.LABELS}_minutes", width=110
        )
        start = starts[
            st.selectbox("Start from", list(starts), key=f"{state.LABELS}_start")
        ]
        busy = RUN_SLOT.active() is not None
        pressed = st.button(
            f"Train a model {WHEN_FREE}" if busy else "Train a model on these labels",
            icon=":material/model_training:",
            key=f"{state.LABELS}_train",
        )
    if pressed:
        with errors_shown("The training was not started"):
            folder = make_dataset(work)
            run = start_training(work, folder, float(minutes), start, wait=busy)
            st.session_state[_LAST] = {"id": work.view.id, "run": run.name}
    _show_started(work)


def _show_started(work: Work) -> None:
    last = st.session_state.get(_LAST) or {}
    if last.get("id") != work.view.id:
        return
    st.success(
        "The data set is made and the training has begun. When it has ended, choose "
        "its model above, under **Correct a model's mask**, to see it beside yours.",
        icon=":material/check:",
    )
    st.page_link(
        state.TRAINING_PAGE,
        label="Watch the training",
        icon=":material/show_chart:",
        query_params={RUN_PAGE.query: str(last["run"])},
    )


def make_dataset(work: Work) -> Path:
    """Make a data set of the labels of an image, in a new folder.

    Raises:
        TerrainError: If there are too few labels, or the disk is full.
    """
    painted = work.read()
    if len({s.class_name for s in painted.strokes} - {None}) < 2:
        raise InputError("Fewer than two classes are painted. Paint another one.")
    place = st.empty()
    bar = place.progress(0.0, "Cutting patches")

    def show(number: int, total: int) -> None:
        bar.progress(number / max(total, 1), f"Cutting patches: {number} of {total}")

    bands = work.image.bands
    keys = None if bands is None else tuple(band.number for band in bands.bands)
    try:
        with files.scratch_folder(files.cache_dir()) as folder:
            labels = folder / "labels.gpkg"
            write_labels(labels, painted, work.file.place)
            heights = work.image.heights
            options = PatchOptions(
                bands=keys, heights=heights if isinstance(heights, Path) else None
            )
            out = default_folder([work.picture.name])
            return make_patches(
                [work.path], [labels], out, options, progress=show
            ).folder
    finally:
        place.empty()


def start_training(
    work: Work, folder: Path, minutes: float, start: ModelEntry | None, *, wait: bool
) -> Path:
    """Start a training of the usual kind on a data set; return its folder.

    Raises:
        TerrainError: If the data set is too small for it, or the model does not fit.
    """
    dataset = open_dataset(folder)
    network: dict[str, Any] = {"bands": max(1, dataset.bands.count)}
    chosen = choose(PRESET, TrainingData.of(dataset), Machine.here(), network=network)
    network |= {
        "classes": len(dataset.classes),
        "image_size": chosen.config.network.image_size,
        "height": dataset.has_heights,
    }
    if start is not None and start.record is not None:
        network["encoder"] = start.record.unet_config().encoder
    training = TrainingConfig.preset(
        PRESET,
        network=network,
        minutes=minutes,
        batch_size=chosen.config.batch_size,
    )
    name = f"labels-{work.stem}"[:MAX_NAME_LETTERS]
    config = RunConfig(
        name,
        str(dataset.folder),
        training,
        bands=dataset.bands.keys,
        start_from=start.model if start is not None else None,
    )
    return launcher.start_run(config, wait=wait)
