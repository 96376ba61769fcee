"""From labels to a model: a data set of patches, a training on it, its mask here."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib import files, rights
from terrainlib.data.dataset import open_dataset
from terrainlib.data.labels.patches import PatchOptions, make_patches
from terrainlib.data.labels.strokefile import write_labels
from terrainlib.errors import InputError, RunError
from terrainlib.model.instant import SUFFIX
from terrainlib.runs import launcher
from terrainlib.runs.folder import Run, read_run
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.training.config import MAX_NAME_LETTERS, RunConfig
from terrainlib.runs.training.start import choose_training
from terrainlib.types import Text, known_record
from terrainlib.ui import state
from terrainlib.ui.datasets.labelled import default_folder
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.labels.weak import show_models_mask
from terrainlib.ui.labels.work import Work
from terrainlib.ui.models.picker import model_labels
from terrainlib.ui.training.view import TICK_SECONDS, progress_text
from terrainlib.ui.workers import RUN_PAGE, WHEN_FREE, read_again, show_state

PRESET: Final = "fast"  # of a training from nothing
TRAINED: Final = "training.json"  # beside the strokes
_NOTHING: Final = "Nothing: learn from scratch"


@dataclass(frozen=True, slots=True)
class Begun:
    """The training begun last on the labels of an image: the contents of the file.

    Attributes:
        run: Name of its folder.
    """

    run: Text


def show_training(work: Work) -> None:
    """Show the button that makes a data set of the labels and trains on it."""
    if rights.limits().training_minutes is not None:
        st.caption("In this demo only the sample is trained on.")
        return
    starts = {
        entry.id: entry
        for entry in list_models()
        if entry.record is not None and entry.path.suffix != SUFFIX
    }
    labels = model_labels(list(starts.values()), st.context.timezone)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        minutes = st.number_input(
            "Minutes", 1, 600, 10, key=f"{state.LABELS}_minutes", width=110
        )
        chosen = st.selectbox(
            "Start from",
            [None, *starts],
            format_func=lambda name: labels[name] if name else _NOTHING,
            key=f"{state.LABELS}_start",
        )
        busy = RUN_SLOT.active() is not None
        pressed = st.button(
            f"Train a model {WHEN_FREE}" if busy else "Train a model on these labels",
            icon=":material/model_training:",
            key=f"{state.LABELS}_train",
        )
    if pressed:
        with errors_shown("The training was not started"):
            folder = make_dataset(work)
            start = starts.get(chosen) if chosen else None
            begun = start_training(work, folder, float(minutes), start, wait=busy)
            files.write_json(_trained(work), asdict(Begun(begun.name)))
    run = last_training(work)
    if run is not None:
        tick = TICK_SECONDS if run.active else None
        st.fragment(_show_run, run_every=tick)(str(run.path), run.state)


def _trained(work: Work) -> Path:
    return work.file.path.with_name(TRAINED)


def last_training(work: Work) -> Run | None:
    """Return the training begun last on these labels; None where there is none."""
    begun = known_record(_trained(work), Begun)
    if begun is None:
        return None
    try:
        return read_run(files.runs_dir() / Path(begun.run).name)
    except RunError:  # deleted meanwhile
        return None


def _show_run(path: str, drawn_state: str) -> None:
    """Show how far the training is; the body of a fragment."""
    run = read_again(read_run, path, drawn_state)
    show_state(RUN_PAGE, run, progress_text(run, st.context.timezone))
    if run.active:
        st.caption("When it ends, its mask is offered beside the image above.")
    elif run.model is not None:
        st.markdown("Its mask can be shown over the image above, beside your strokes'.")
    st.page_link(
        state.TRAINING_PAGE,
        label="Watch the training" if run.active else "Look at the training",
        icon=":material/show_chart:",
        query_params={RUN_PAGE.query: run.path.name},
    )


def offer_trained(work: Work) -> None:
    """Offer the mask of the model trained last on these labels, once it is there.

    Call it in a fragment.
    """
    run = last_training(work)
    if run is None or run.model is None or run.active:
        return
    model = f"run/{run.path.name}"
    if st.session_state.get(state.LABELS_MODEL) == model:
        return
    with st.container(border=True):
        st.markdown(
            ":material/check_circle: **The model trained on your labels is ready.**"
        )
        if st.button(
            "Show its mask",
            icon=":material/layers:",
            type="primary",
            key=f"{state.LABELS}_trained",
        ):
            show_models_mask(model)


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
    """Start a training on a data set, from nothing or a model; return its folder.

    Raises:
        TerrainError: If the data set is too small for it, or the model does not fit.
    """
    dataset = open_dataset(folder)
    training = choose_training(
        dataset,
        PRESET if start is None else None,
        None if start is None else start.record,
        network={"height": dataset.has_heights},
        minutes=minutes,
    ).config
    name = f"labels-{work.stem}"[:MAX_NAME_LETTERS]
    config = RunConfig(
        name,
        str(dataset.folder),
        training,
        bands=dataset.bands.keys,
        start_from=start.model if start is not None else None,
    )
    return launcher.start_run(config, wait=wait)
