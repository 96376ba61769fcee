"""One training as it goes on: state, progress, curves, previews, log.

The part that changes is a fragment that reads the run folder again every second or two,
and only while somebody is at the run.
"""

from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from terrainlib.metrics import Difference
from terrainlib.model.record import PIXEL_CLASSIFIER_NAME
from terrainlib.places import why_kept
from terrainlib.runs import launcher
from terrainlib.runs.folder import Run, log_tail, read_run
from terrainlib.runs.models import run_model_id
from terrainlib.runs.process import seconds_since
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.status import RunStatus, Stage
from terrainlib.runs.training.budget import (
    give_minutes,
    minutes_given,
    minutes_of,
    shortage,
)
from terrainlib.runs.training.config import RunConfig
from terrainlib.runs.training.pixelscore import PixelScore, read_pixel_score
from terrainlib.runs.training.stages import FIRST_EPOCH, STAGES, StageText
from terrainlib.ui import state
from terrainlib.ui.datasets.splits import run_split, show_cost
from terrainlib.ui.models.comparison import show_difference
from terrainlib.ui.page import links_to_model, noticed
from terrainlib.ui.text import duration, finish_time, md_escape, plural
from terrainlib.ui.training.curves import (
    Noted,
    pick_look,
    show_class_colors,
    show_main_curves,
    show_more_curves,
    show_previews,
)
from terrainlib.ui.workers import (
    RUN_PAGE,
    WHEN_FREE,
    follow,
    path_of,
    read_again,
    show_buttons,
    show_facts,
    show_log,
    show_state,
    titled,
)

VIEW: Final = "training_view"  # str: one of VIEWS
WATCH: Final = "Watch"
NEW: Final = "New training"
PAST: Final = "All trainings"
VIEWS: Final = (WATCH, NEW, PAST)
_TURN: Final = "training_turn_to"  # str: the view of the next drawing
PIXEL_CLASSIFIER_HELP: Final = (
    "The mIoU of a simple model that looks at single pixels and their surroundings, "
    "on the same held-out images. A network should beat it."
)
_CARD: Final[dict[str, Any]] = {"border": True, "height": "stretch"}
TICK_SECONDS: Final = 2.0
LEAST_SHARE: Final = 0.1  # of a stage, from which on the rest can be told
LOG_BYTES: Final = 8192


def show_in_view(name: str) -> None:
    """Let the page turn to a run, by its folder's name, when it is drawn next."""
    follow(RUN_PAGE, name)
    st.session_state[_TURN] = WATCH


def choose_view(name: str | None, *, has_active: bool) -> None:
    """Decide what the page opens with: a link or a training going on is watched."""
    if name is not None and st.session_state.get(RUN_PAGE.session) != name:
        st.session_state[RUN_PAGE.session] = name
        st.session_state[VIEW] = WATCH
    if _TURN in st.session_state:
        st.session_state[VIEW] = st.session_state.pop(_TURN)
    if VIEW not in st.session_state:
        st.session_state[VIEW] = WATCH if has_active or name else NEW


def start_run(config: RunConfig, *, wait: bool) -> None:
    """Start a training, or let it wait, and show it when the page is drawn next."""
    with noticed("The training was not started"):
        show_in_view(launcher.start_run(config, wait=wait).name)


def resume_run(name: str, *, wait: bool) -> None:
    """Go on with a training where it ended, or let it wait for that."""
    with noticed("The training was not resumed"):
        launcher.resume(path_of(RUN_PAGE, name), wait=wait)
        show_in_view(name)


def show_run(run: Run) -> None:
    """Show a run with its buttons; live while it is active."""
    with titled(run.name):
        _show_buttons(run)
    show_facts(run, _facts(run))
    with st.container():  # always there, so that what follows keeps its place
        if run.model is not None and not run.active:
            _show_next_steps(run)
    live = st.fragment(_show_live, run_every=TICK_SECONDS if run.active else None)
    live(str(run.path), run.state)


def _facts(run: Run) -> list[str]:
    training = run.config.training
    network = training.network
    if training.epochs is not None:
        budget = f"{training.epochs} epochs"
    else:
        budget = duration((minutes_of(run) or 0) * 60)
    return [
        network.preset_name,
        f"data: {Path(run.config.data).name}",
        f"{network.image_size} px" + (" with height" if network.height else ""),
        f"batch {training.batch_size}",
        f"budget {budget}",
        f"seed {training.seed}",
    ]


def _show_buttons(run: Run) -> None:
    if not run.active and run.state != "finished":
        busy, kept = RUN_SLOT.active() is not None, why_kept(run.path)
        st.button(
            f"Resume {WHEN_FREE}" if busy else "Resume",
            key="training_resume",
            type="primary",
            icon=":material/schedule:" if busy else ":material/play_arrow:",
            help=kept or "Goes on where it stopped, as if it had never stopped.",
            disabled=kept is not None,
            on_click=resume_run,
            args=(run.path.name,),
            kwargs={"wait": busy},
        )
    show_buttons(RUN_PAGE, run)


def _show_live(path: str, drawn_state: str) -> None:
    """Draw everything that changes; the body of the fragment."""
    run = read_again(read_run, path, drawn_state)
    metrics = run.metrics
    show_state(RUN_PAGE, run, progress_text(run, st.context.timezone))
    _show_budget(run)
    steps = run.steps
    if metrics.empty and steps.empty:
        _show_stages(run)
    else:
        curves = st.container()  # the picture first, then what it can be changed by
        noted = Noted(run, metrics, steps, pick_look(steps=not steps.empty))
        with curves:
            show_main_curves(noted)
    if not metrics.empty:
        _show_numbers(run, metrics)
        with st.container(border=True):
            st.markdown("**Predictions on held-out images**")
            key = f"training_preview_{run.path.name}"
            show_previews(run.path, key=key, best_epoch=run.status.best_epoch)
            show_class_colors(run, metrics)
        show_more_curves(noted)
    show_log(log_tail(run.path, LOG_BYTES), expanded=run.state in ("failed", "crashed"))


def _show_budget(run: Run) -> None:
    """Say what a busy machine leaves of a budget in minutes, and offer more of them."""
    given, first = minutes_given(run.path), run.config.training.minutes
    if given is not None:
        whole, was = duration(60 * given), duration(60 * (first or 0))
        st.caption(f"It now has {whole}; it had {was} at first.")
    elif run.state == "running" and (short := shortage(run.status, first)):
        advice = " Give it more time, or close other programs." if short.more else ""
        st.warning(
            short.words + advice,
            title="The machine is busy",
            icon=":material/hourglass_bottom:",
        )
        if short.more:
            st.button(
                f"Give it {plural(short.more, 'more minute')}",
                key="training_more_minutes",
                icon=":material/more_time:",
                on_click=_give_minutes,
                args=(run.path.name, short.more),
            )


def _give_minutes(name: str, more: int) -> None:
    with noticed("It was not given more minutes"):
        give_minutes(path_of(RUN_PAGE, name), more)


def _show_stages(run: Run) -> None:
    """Tell one by one what comes before the first point of the curves."""
    stages = {stage.name: stage for stage in run.status.stages}
    begun = [name in stages for name in STAGES]
    passed = max((place for place, yes in enumerate(begun) if yes), default=-1)
    if not run.active or passed < 0:
        st.caption("The curves begin with the first steps of training.")
        return
    lines = []
    for place, (name, text) in enumerate(STAGES.items()):
        if name in stages:
            lines.append(stage_line(stages[name], run.status))
        elif place > passed:
            lines.append(f":gray[:material/circle: {text.title}: {text.why}]")
    with st.container(border=True):
        st.markdown("**Before the curves begin**")
        st.markdown("  \n".join(lines))


def stage_line(stage: Stage, status: RunStatus) -> str:
    """Return the line of a stage that has begun: what it took, or how far it is."""
    text = STAGES.get(stage.name, StageText(md_escape(stage.name), ""))
    if stage.seconds is not None:
        took = duration(stage.seconds) if stage.seconds >= 1 else "at once"
        return f":green[:material/check_circle:] {text.title} :gray[· {took}]"
    share, gone = stage.share, seconds_since(stage.begun)
    if stage.name == FIRST_EPOCH and status.steps:
        share = status.step / status.steps
    parts = [f"{duration(max(0.0, gone))} so far"]
    if share is not None and share >= LEAST_SHARE:
        left = duration(gone * (1 - share) / share)
        parts = [f"{share:.0%}", f"about {left} left"]
    words = " · ".join(parts)
    return f":blue[:material/pending:] **{text.title}** · {words} :gray[({text.why})]"


def progress_text(run: Run, timezone: str | None) -> str:
    """Return one line: epoch, step, time left and when it will be over."""
    status = run.status
    if run.message or not status.steps:  # reading, judging, saving: no training step
        return run.message or "Getting ready"
    parts = [run.place_text.capitalize(), f"step {status.step} of {status.steps}"]
    left = status.seconds_left
    if left is not None:
        parts += [f"{duration(left)} left, done at about {finish_time(left, timezone)}"]
    return " · ".join(parts)


def _show_numbers(run: Run, metrics: pd.DataFrame) -> None:
    status = run.status
    last = metrics.iloc[-1] if len(metrics) else None
    best = f"{status.best_miou:.3f}" if status.best_miou is not None else "–"
    planned = f" / {status.epochs}" if status.epochs else ""
    pixel_score = read_pixel_score(run.path)
    with st.grid(5 if pixel_score else 4, min_column_width=130):
        st.metric("Epochs done", f"{status.epoch}{planned}", **_CARD)
        st.metric("Validation mIoU", _number(last, "val_miou"), **_CARD)
        st.metric(
            "Best mIoU",
            best,
            help=f"After epoch {status.best_epoch}." if status.best_epoch else None,
            **_CARD,
        )
        if pixel_score is not None:
            score = f"{pixel_score.miou:.3f}"
            st.metric(PIXEL_CLASSIFIER_NAME, score, help=PIXEL_CLASSIFIER_HELP, **_CARD)
        st.metric("Seconds per epoch", _number(last, "seconds", ".1f"), **_CARD)
    if pixel_score is not None:
        show_difference(ahead_of(run, pixel_score))
    with st.container(horizontal=True, vertical_alignment="center"):
        split = run_split(run.path)
        if split is not None:
            show_cost(split)
        if not run.active:
            st.caption(f"Trained for {duration(status.seconds)}.", width="content")


def ahead_of(run: Run, pixel_score: PixelScore) -> Difference | None:
    """Return how far a run is ahead of the pixel classifier on its own split."""
    if pixel_score.ahead is not None and not run.active:
        return pixel_score.ahead
    best = run.status.best_miou
    return None if best is None else Difference(best - pixel_score.miou)


def _number(row: pd.Series | None, column: str, digits: str = ".3f") -> str:
    """Return a value of the last epoch as text, a dash where there is none."""
    if row is None or column not in row or pd.isna(row[column]):
        return "–"
    return f"{float(row[column]):{digits}}"


def _show_next_steps(run: Run) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown("**The model is saved.**", width="content")
        model_id = run_model_id(run.path)
        links_to_model(model_id, gallery="See the gallery", studio="Open in the studio")
        st.page_link(
            state.MODELS_PAGE,
            label="See its card",
            icon=":material/inventory_2:",
            query_params={"model": model_id},
        )
