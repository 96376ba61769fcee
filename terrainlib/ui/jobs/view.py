"""A prediction of its own as it goes on, and what came out of it.

The part that changes is a fragment that reads the prediction's folder every second, and
only while it goes on. When the state changes the whole page is drawn anew.
"""

from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib import files
from terrainlib.data.palette import Classes
from terrainlib.errors import RunError
from terrainlib.runs.jobs.delivery import zip_results
from terrainlib.runs.models import list_models
from terrainlib.runs.prediction_folder import (
    PredictionJob,
    damaged_predictions,
    list_predictions,
    log_tail,
    read_prediction,
)
from terrainlib.ui.errors import explained, show_failures
from terrainlib.ui.jobs.actions import (
    ask_delete,
    ask_delete_damaged,
    ask_force_stop,
    find_damaged,
    find_job,
    leave,
    stop_job,
    watch,
)
from terrainlib.ui.jobs.result import (
    progress_text,
    show_made,
    show_source,
    show_table,
    state_text,
)
from terrainlib.ui.page import empty_state, show_legend
from terrainlib.ui.text import date_text, file_size, md_escape, parse_time, plural
from terrainlib.ui.workers import (
    delete_button,
    force_stop_button,
    show_badge,
    show_damaged,
    show_log,
    stop_button,
    titled,
)

TICK_SECONDS: Final = 1.0
SLOW_TICK_SECONDS: Final = 5.0  # for tables of more rows than this
MANY_IMAGES: Final = 200
DOWNLOAD_MB: Final = 200  # what the server hands to a browser, as for uploads


def show_watched(name: str) -> None:
    """Show the prediction whose folder has this name, or say that it is gone."""
    job = find_job(name)
    if job is not None:
        show_job(job)
        return
    damaged = find_damaged(name)
    if damaged:
        show_damaged(damaged, ask_delete_damaged, key="studio_job_delete_damaged")
    else:
        empty_state(
            "This prediction is not there",
            "It may have been deleted. Go back to the studio to see the others.",
        )
    st.button(
        "Back to the studio",
        key="studio_job_leave",
        icon=":material/arrow_back:",
        on_click=leave,
    )


def show_job(job: PredictionJob) -> None:
    """Show a prediction with its buttons; live while it goes on."""
    with titled(job.name):
        _show_buttons(job)
    st.caption(md_escape(" · ".join(_facts(job))))
    tick = TICK_SECONDS if len(job.config.images) <= MANY_IMAGES else SLOW_TICK_SECONDS
    live = st.fragment(_show_live, run_every=tick if job.active else None)
    live(str(job.path), job.state)
    if not job.active:
        _show_results(job)
    elif len(job.config.images) == 1:
        with st.columns(2)[0]:
            show_source(job, job.config.images[0])


def _facts(job: PredictionJob) -> list[str]:
    wanted = job.config.wanted
    made = {
        "soft mask": wanted.soft,
        "sharpened mask": wanted.sharpen is not None,
        "probabilities": wanted.probabilities,
        "polygons": wanted.vectors,
        "pack": wanted.pack is not None,
    }
    facts = [f"model: {_model_title(job.config.model)}"]
    facts.append(", ".join(["class mask", *(name for name in made if made[name])]))
    started = parse_time(job.config.created)
    if started:
        facts.append(f"started {date_text(started, st.context.timezone)}")
    return facts


def _model_title(model: str) -> str:
    titles = {entry.model: entry.title for entry in list_models()}
    return titles.get(model, Path(model).stem)


def _classes(job: PredictionJob) -> Classes:
    """Return the classes of a prediction's model; empty where the model is gone."""
    for entry in list_models():
        if entry.model == job.config.model and entry.record is not None:
            return entry.record.terrain_classes()
    return ()


def _show_buttons(job: PredictionJob) -> None:
    name = job.path.name
    if job.active:
        stop_button(
            name,
            key="studio_job_stop",
            help="Ends soon and keeps the rows that are finished.",
            stopping=job.state == "stopping",
            stop=stop_job,
        )
        stuck = job.state in ("stopping", "stalled")
        if stuck and force_stop_button("prediction", key="studio_job_force_stop"):
            ask_force_stop(job)
    elif delete_button(key="studio_job_delete"):
        ask_delete([job])
    st.button(
        "Another image",
        key="studio_job_leave",
        icon=":material/add_photo_alternate:",
        help="Back to the studio; a prediction that runs goes on.",
        on_click=leave,
    )


def _show_live(path: str, drawn_state: str) -> None:
    """Draw everything that changes; the body of the fragment."""
    try:
        job = read_prediction(Path(path))
    except RunError:
        st.rerun(scope="app")  # deleted meanwhile
    if job.state != drawn_state:
        st.rerun(scope="app")
    show_badge(state_text(job.state))
    if job.active:
        text = progress_text(job, st.context.timezone)
        st.progress(job.status.share, text=md_escape(text))
        if len(job.config.images) > 1:
            show_table(job)
        return
    if job.message:
        failed = job.state in ("failed", "crashed")
        if failed:
            st.error(md_escape(job.message), icon=":material/error:")
            show_log(log_tail(job.path), expanded=False)
        else:
            st.caption(md_escape(job.message))


def _show_results(job: PredictionJob) -> None:
    _show_download(job)
    classes = _classes(job)
    if len(job.config.images) == 1:
        for made in job.made:
            show_made(job, made, classes)
        return
    if classes:
        show_legend(classes)
    st.caption("Choose a row to see its mask.")
    chosen = show_table(job, choose=True)
    st.markdown("**Folder of the results**")
    st.code(str(job.folder), language=None)
    if chosen is not None:
        _show_chosen(job, chosen, classes)


def _show_chosen(job: PredictionJob, name: str, classes: Classes) -> None:
    """Show one image of a batch: its result, or why there is none."""
    st.subheader(md_escape(name), anchor=False)
    if name in job.failures:
        st.error(md_escape(job.failures[name]), icon=":material/error:")
    for made in job.made:
        if made.name == name:
            show_made(job, made, classes)


def _show_download(job: PredictionJob) -> None:
    """Offer all results as one zip where they are not too large for it."""
    paths = [path for path in job.files if files.is_file(path)]
    size = sum(path.stat().st_size for path in paths)
    if not paths:
        return
    if size > DOWNLOAD_MB * 1e6:
        st.caption(
            f"The results have {file_size(size)}; up to {DOWNLOAD_MB} MB are offered "
            "as a download. They lie in the folder that is named below."
        )
        return
    subject = str(job.path)
    st.download_button(
        f"Download all ({file_size(size)})",
        data=explained(lambda: zip_results(job.path).read_bytes(), subject, "The zip"),
        file_name=f"{job.path.name}.zip",
        mime="application/zip",
        key="studio_job_download",
        on_click="ignore",
        icon=":material/download:",
    )
    show_failures(subject)


SHOWN: Final = 20


def show_earlier_jobs() -> None:
    """Show the predictions on this machine, newest first; nothing if there are none.

    Those that cannot be read come first, so that they can be deleted.
    """
    jobs, damaged = list_predictions(), damaged_predictions()
    if not jobs and not damaged:
        return
    with st.expander(
        f"Predictions of large images and batches ({len(jobs) + len(damaged)})",
        icon=":material/history:",
    ):
        show_damaged(damaged, ask_delete_damaged, key="studio_job_delete_damaged")
        for job in jobs[:SHOWN]:
            _show_job(job)
        if len(jobs) > SHOWN:
            st.caption(f"{plural(len(jobs) - SHOWN, 'older one')} are not shown.")


def _show_job(job: PredictionJob) -> None:
    words = state_text(job.state)
    name = job.path.name
    with st.container(
        horizontal=True,
        vertical_alignment="center",
        horizontal_alignment="distribute",
    ):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(words.label, icon=words.icon, color=words.color)
            moment = parse_time(job.config.created)
            date = date_text(moment, st.context.timezone) if moment else ""
            title = md_escape(job.name)
            st.markdown(f"**{title}** :gray[{date}]", width="content")
        with st.container(horizontal=True, width="content"):
            st.button(
                "Open",
                key=f"studio_job_open_{name}",
                type="tertiary",
                icon=":material/open_in_full:",
                on_click=watch,
                args=(name,),
            )
            if st.button(
                "Delete",
                key=f"studio_job_delete_{name}",
                type="tertiary",
                icon=":material/delete:",
                disabled=job.active,
            ):
                ask_delete([job])
