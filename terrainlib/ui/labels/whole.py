"""From labels to the mask of the whole image, its files, and a classifier to keep."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.data.labels.strokes import Painted
from terrainlib.mask.instantview import View
from terrainlib.mask.labelled import held_out
from terrainlib.metrics import pixel_accuracy, recall
from terrainlib.model.instant import SUFFIX, read_any_record, save_instant
from terrainlib.runs.models import ModelEntry
from terrainlib.ui import state
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.jobs.form import show_new_job
from terrainlib.ui.jobs.view import show_job, watched_of
from terrainlib.ui.labels.weak import Correction
from terrainlib.ui.labels.work import Work
from terrainlib.ui.studio.inputs import Chosen
from terrainlib.ui.studio.masks import MadeMask, mask_with_bar
from terrainlib.ui.studio.result import show_result
from terrainlib.ui.text import md_escape
from terrainlib.ui.turns import in_turn
from terrainlib.ui.workers import JOB_PAGE, leave

CLASSIFIER: Final = f"classifier{SUFFIX}"
TOO_FEW: Final = (
    "There are too few labels to tell how good the mask is: each class should be "
    "painted in several places, at least two of them well apart."
)


def ask_whole(work: Work, painted: Painted, correction: Correction | None) -> None:
    """Show the button that makes the mask of the whole image; call it in a fragment."""
    asked = st.session_state.get(state.LABELS_WHOLE) or {}
    shown = asked.get("id") == work.view.id
    newer = shown and asked.get("version") != painted.version
    label = "Make it again" if shown else "Make the mask of the whole image"
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", width="content"
    ):
        pressed = st.button(
            label,
            type="secondary" if shown and not newer else "primary",
            icon=":material/auto_awesome:",
            key=f"{state.LABELS}_whole",
            disabled=len({s.class_name for s in painted.strokes} - {None}) < 2
            and correction is None,
            help="To look at closely, clean and download. Two classes must be painted.",
        )
        if newer:
            st.markdown("You have painted since the mask below was made.")
    if pressed:
        with errors_shown("The mask cannot be made") as outcome:
            _teach(work, painted, correction)
        if not outcome.failed:
            st.rerun()


def _teach(work: Work, painted: Painted, correction: Correction | None) -> None:
    """Learn the classifier of the whole image, and say how good it is."""
    with st.spinner("Learning from all labels", show_time=True), in_turn():
        weak = None
        if correction is not None:
            step = work.image.whole_step
            height, width = work.image.at_step(step)
            everywhere = View(slice(0, height), slice(0, width), step)
            weak = correction.weak(everywhere, painted.classes)
        model, blocks = work.image.teach(painted, weak)
        leave(JOB_PAGE)  # it is one by what was learnt before
        save_instant(model, classifier_of(work))
        names = [item.name for item in model.classes]
        score = score_text(held_out(blocks, model), names)
    st.session_state[state.LABELS_WHOLE] = {
        "id": work.view.id,
        "version": painted.version,
        "score": score,
    }


def classifier_of(work: Work) -> Path:
    """Return where the classifier of an image stands."""
    return work.file.path.with_name(CLASSIFIER)


def score_text(confusion: NDArray[np.int64] | None, names: list[str]) -> str:
    """Return one line of Markdown: how well labels held out are told.

    Args:
        confusion: As of `held_out`.
        names: What the classes are called.
    """
    if confusion is None or not confusion.sum():
        return f":material/help: {TOO_FEW}"
    share, told = pixel_accuracy(confusion), recall(confusion)
    worst = int(np.nanargmin(told))
    text = (
        f":material/check_circle: Of labels held out, block by block, **{share:.0%}** "
        "of the pixels are told right"
    )
    if told[worst] < share:
        text += f"; worst is {md_escape(names[worst])} with {told[worst]:.0%}"
    return f"{text}. It is a score of what you painted, not of the whole image."


def show_whole(work: Work, chosen: Chosen) -> None:
    """Show the whole image's mask as the studio does, once it was asked for.

    That of an image too large for it is a prediction, which is shown here as it goes on
    and when it has ended, also after a reload.
    """
    asked = st.session_state.get(state.LABELS_WHOLE) or {}
    path = classifier_of(work)
    if not path.is_file():
        return
    job, wanted = watched_of(str(path)), asked.get("id") == work.view.id
    if job is None and not wanted:
        return
    st.header("The mask of the whole image", anchor=False)
    if wanted:
        st.markdown(str(asked.get("score", "")))
    if job is not None:
        show_job(job, back="Set up another one")
        return
    entry = entry_of(path, work)
    count = len(entry.record.classes) if entry.record else 0
    if not chosen.fits_live_view(count):
        used = replace(chosen, pictures=(work.picture,), height=work.height)
        show_new_job(replace(used, shown=work.picture), entry)
        return
    made = _mask(work, str(path))
    if made is not None:
        st.fragment(show_result)(made)


def _mask(work: Work, model: str) -> MadeMask | None:
    with errors_shown("No mask could be made"):
        return mask_with_bar(work.picture, work.height, model)
    return None


def entry_of(path: Path, work: Work) -> ModelEntry:
    """Return the classifier of an image as a model among others."""
    return ModelEntry(
        id="labels",
        kind="added",
        title=f"Learnt from the labels of {work.picture.name}",
        path=path,
        record=read_any_record(path),
        size_bytes=path.stat().st_size,
        modified=datetime.now(UTC),
    )


def show_keeping(work: Work) -> None:
    """Let people keep the classifier among the models, for other images."""
    path = classifier_of(work)
    if not path.is_file():
        st.caption("Make the mask of the whole image first.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.text_input(
            "Name", f"{work.stem} labels", max_chars=60, key=f"{state.LABELS}_keep_name"
        )
        pressed = st.button(
            "Keep the classifier",
            icon=":material/save:",
            key=f"{state.LABELS}_keep",
            help="It is listed with the models then, for other images of this kind: in "
            "the studio and for many images at once.",
        )
    if pressed:
        with errors_shown("The classifier was not kept"):
            kept = keep_classifier(path, name)
            st.success(f"Kept among the models as **{md_escape(kept.stem)}**.")
            st.page_link(
                state.STUDIO_PAGE,
                label="Use it on another image",
                icon=":material/tune:",
                query_params={"model": f"added/{kept.name}"},
            )


def keep_classifier(path: Path, name: str) -> Path:
    """Copy a classifier to the models under a name that is free; return its place.

    Raises:
        StorageError: If it cannot be written.
    """
    plain = re.sub(r"[^\w -]+", "-", name).strip(" .-_")[:60] or "labels"
    folder, number = files.models_dir(), 1
    kept = folder / f"{plain}{SUFFIX}"
    while files.exists(kept) or kept.name == "default.json":
        number += 1
        kept = folder / f"{plain}-{number}{SUFFIX}"
    files.write_bytes(kept, path.read_bytes())
    return kept
