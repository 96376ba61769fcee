"""A prediction of its own as it goes on, and what came out of it.

The part that changes is a fragment that reads the prediction's folder every second, and
only while it goes on. When the state changes the whole page is drawn anew.
"""

from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib import files
from terrainlib.data.palette import Classes
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.model.instant import read_any_record
from terrainlib.places import why_kept
from terrainlib.runs import launcher
from terrainlib.runs.folder import Job, damaged_folders, list_jobs, log_tail, read_job
from terrainlib.runs.jobs.config import JobConfig
from terrainlib.runs.jobs.delivery import zip_results
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.runs.status import JOB
from terrainlib.ui import state
from terrainlib.ui.errors import explained, show_failures
from terrainlib.ui.jobs.result import progress_text, show_batch, show_made, show_source
from terrainlib.ui.models.picker import QUERY_NAME, model_labels
from terrainlib.ui.page import empty_state, noticed, offer_file, show_legend, spread
from terrainlib.ui.text import date_text, file_size, md_escape, parse_time, plural
from terrainlib.ui.workers import (
    JOB_PAGE,
    ask_delete,
    by_name,
    follow,
    leave,
    read_again,
    show_buttons,
    show_damaged,
    show_facts,
    show_log,
    show_state,
    state_text,
    titled,
)

TICK_SECONDS: Final = 1.0
SLOW_TICK_SECONDS: Final = 5.0  # for tables of more rows than this
MANY_IMAGES: Final = 200
DOWNLOAD_MB: Final = 200  # what the server hands to a browser, as for uploads


def watched_name() -> str | None:
    """Return the prediction that is to be shown, by its folder's name.

    The address decides; without it, what this session watched last, unless a link leads
    here with a model to try.
    """
    linked = st.query_params.get(JOB_PAGE.query)
    if linked:
        st.session_state[JOB_PAGE.session] = linked
    elif QUERY_NAME in st.query_params:
        st.session_state.pop(JOB_PAGE.session, None)
    name = st.session_state.get(JOB_PAGE.session)
    if name:
        state.write_address(**{JOB_PAGE.query: name})
    return name or None


def start_job(config: JobConfig, *, wait: bool) -> None:
    """Start a prediction, or let it wait, and show it when the page is drawn next."""
    with noticed("The prediction was not started"):
        follow(JOB_PAGE, launcher.start_job(config, wait=wait).name)


def show_watched(name: str) -> None:
    """Show the prediction whose folder has this name, or say that it is gone."""
    job = by_name(name, list_jobs())
    if job is not None:
        show_job(job)
        return
    damaged = by_name(name, damaged_folders(JOB))
    if damaged is not None:
        show_damaged(JOB_PAGE, [damaged])
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
        args=(JOB_PAGE,),
    )


def watched_of(model: str) -> Job | None:
    """Return the prediction that is to be shown, if a model of this path makes it."""
    name = watched_name()
    job = by_name(name, list_jobs()) if name else None
    return job if job is not None and job.config.model == model else None


def show_job(job: Job, *, back: str = "Another image") -> None:
    """Show a prediction with its buttons; live while it goes on.

    Args:
        job: The prediction.
        back: The word of the button that leaves it.
    """
    with titled(job.name):
        _show_buttons(job, back)
    show_facts(job, _facts(job))
    tick = TICK_SECONDS if len(job.config.images) <= MANY_IMAGES else SLOW_TICK_SECONDS
    live = st.fragment(_show_live, run_every=tick if job.active else None)
    live(str(job.path), job.state)
    if not job.active:
        _show_results(job)
    elif len(job.config.images) == 1:
        with st.columns(2)[0]:
            show_source(job, job.config.images[0])


def _facts(job: Job) -> list[str]:
    wanted = job.config.wanted
    made = {
        "soft mask": wanted.soft,
        "sharpened mask": wanted.sharpen is not None,
        "probabilities": wanted.probabilities,
        "polygons": wanted.vectors,
        "pack": wanted.pack is not None,
    }
    masks = ", ".join(["class mask", *(name for name in made if made[name])])
    models, entry = list_models(), _entry(job)
    title = Path(job.config.model).stem
    if entry is not None:
        title = model_labels(models, st.context.timezone).get(entry.id, title)
    where = [f"on the cluster at {job.config.cluster}"] if job.config.cluster else []
    return [f"model: {title}", masks, *where]


def _model_file(job: Job) -> Path:
    return EMBEDDED_MODELS.get(job.config.model, Path(job.config.model))


def _entry(job: Job) -> ModelEntry | None:
    """Return a prediction's model; None where it is gone."""
    return next((e for e in list_models() if e.model == job.config.model), None)


def _show_buttons(job: Job, back: str) -> None:
    show_buttons(JOB_PAGE, job)
    st.button(
        back,
        key="studio_job_leave",
        icon=":material/add_photo_alternate:",
        help="A prediction that is running goes on.",
        on_click=leave,
        args=(JOB_PAGE,),
    )


def _show_live(path: str, drawn_state: str) -> None:
    """Draw everything that changes; the body of the fragment."""
    job = read_again(read_job, path, drawn_state)
    show_state(JOB_PAGE, job, progress_text(job, st.context.timezone))
    if job.config.cluster and job.active:
        _show_cluster(job)
    if job.active and len(job.config.images) > 1:
        show_batch(job)
    if job.message and job.state in ("failed", "crashed"):
        show_log(log_tail(job.path), expanded=False)


def _show_cluster(job: Job) -> None:
    """Show what the scheduler of a job's cluster says of it."""
    status = job.status
    figures = {
        "Workers": f"{status.workers:,}",
        "Their memory": file_size(status.memory_bytes),
        "Images done": f"{status.done:,}",
        "Failed": f"{status.failed:,}",
    }
    with st.grid(4, min_column_width=130):
        for label, figure in figures.items():
            st.metric(label, figure, border=True)


def _show_results(job: Job) -> None:
    _show_download(job)
    record = read_any_record(_model_file(job))
    classes = record.terrain_classes() if record else ()
    if len(job.config.images) == 1:
        for made in job.made:
            show_made(job, made, classes)
        return
    if classes:
        show_legend(classes)
    st.caption("Choose a row to see its mask.")
    chosen = show_batch(job, choose=True)
    st.markdown("**Folder of the results**")
    st.code(str(job.folder), language=None, wrap_lines=True)
    if chosen is not None:
        _show_chosen(job, chosen, classes)


def _show_chosen(job: Job, name: str, classes: Classes) -> None:
    """Show one image of a batch: its result, or why there is none."""
    st.header(md_escape(name), anchor=False)
    if name in job.failures:
        st.error(md_escape(job.failures[name]), icon=":material/error:")
    for made in job.made:
        if made.name == name:
            show_made(job, made, classes)


def _show_download(job: Job) -> None:
    """Offer all results as one zip where they are not too large for it."""
    paths = [path for path in job.files if files.is_file(path)]
    size = sum(path.stat().st_size for path in paths)
    if not paths:
        return
    if size > DOWNLOAD_MB * 1e6:
        st.caption(
            f"The results are {file_size(size)}, too large to download here (the "
            f"limit is {DOWNLOAD_MB} MB). They are in the folder named below."
        )
        return
    subject = str(job.path)
    offer_file(
        f"Download all ({file_size(size)})",
        explained(lambda: zip_results(job.path).read_bytes(), subject, "The zip"),
        f"{job.path.name}.zip",
        key="studio_job_download",
    )
    show_failures(subject)


SHOWN: Final = 20


def show_earlier_jobs() -> None:
    """Show the predictions on this machine, newest first; nothing if there are none.

    Those that cannot be read come first, so that they can be deleted.
    """
    jobs, damaged = list_jobs(), damaged_folders(JOB)
    if not jobs and not damaged:
        return
    with st.expander(
        f"Predictions of large images and batches ({len(jobs) + len(damaged)})",
        icon=":material/history:",
    ):
        show_damaged(JOB_PAGE, damaged)
        for job in jobs[:SHOWN]:
            _show_earlier(job)
        if len(jobs) > SHOWN:
            st.caption(f"{plural(len(jobs) - SHOWN, 'older one')} are not shown.")


def _show_earlier(job: Job) -> None:
    words = state_text(JOB_PAGE, job.state)
    name = job.path.name
    with spread():
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
                on_click=follow,
                args=(JOB_PAGE, name),
            )
            kept = why_kept(job.path, to_delete=True)
            if st.button(
                "Delete",
                key=f"studio_job_delete_{name}",
                type="tertiary",
                icon=":material/delete:",
                disabled=job.active or kept is not None,
                help=kept,
            ):
                ask_delete(JOB_PAGE, [job])
