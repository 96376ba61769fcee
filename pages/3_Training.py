"""Train a U-Net and watch it learn; compare it with earlier trainings."""

import streamlit as st

from terrainlib.runs.folder import damaged_folders, list_runs
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.status import RUN
from terrainlib.ui.page import empty_state, page_header, show_notice
from terrainlib.ui.training.form import show_new_training
from terrainlib.ui.training.table import show_runs
from terrainlib.ui.training.view import NEW, PAST, VIEW, VIEWS, choose_view, show_run
from terrainlib.ui.workers import RUN_PAGE, by_name, follow, show_damaged

page_header(
    "Training",
    "Let a U-Net learn from images and masks, and watch it while it does.",
)
runs, active = list_runs(), RUN_SLOT.active()
wanted = st.query_params.get(RUN_PAGE.query)
choose_view(wanted, has_active=active is not None)
show_notice()
view = st.segmented_control(
    "View",
    VIEWS,
    required=True,
    key=VIEW,
    label_visibility="collapsed",
    persist_state="session",
)

if view == NEW:
    show_new_training(active)
elif view == PAST:
    show_runs(runs, damaged_folders(RUN))
else:
    seen = [active] if active is not None and active.readable else []
    run = by_name(wanted, [*runs, *seen])
    if wanted is None:
        run = next(iter([*seen, *runs]), None)
    if run is not None:
        follow(RUN_PAGE, run.path.name)
        show_run(run)
    elif damaged := by_name(wanted, damaged_folders(RUN)):
        show_damaged(RUN_PAGE, [damaged])
    elif wanted is not None:
        empty_state(
            "This training is not there",
            "It may have been deleted. All others are listed under All trainings.",
        )
    else:
        empty_state(
            "Nothing to watch yet",
            "Start a training under New training. Two minutes are enough to see it "
            "learn on the embedded sample.",
        )
