"""Train a U-Net and watch it learn; compare it with earlier trainings."""

import streamlit as st

from terrainlib.runs.folder import damaged_runs, list_runs
from terrainlib.runs.slot import active_run
from terrainlib.ui.page import empty_state, page_header, show_notice
from terrainlib.ui.training import actions
from terrainlib.ui.training.form import show_new_training
from terrainlib.ui.training.table import show_runs
from terrainlib.ui.training.view import show_run
from terrainlib.ui.workers import show_damaged

page_header(
    "Training",
    "Let a U-Net learn from images and masks, and watch it while it does.",
    icon=":material/model_training:",
)
runs, active = list_runs(), active_run()
wanted = st.query_params.get(actions.RUN_QUERY)
actions.choose_view(wanted, has_active=active is not None)
show_notice()
view = st.segmented_control(
    "View",
    actions.VIEWS,
    required=True,
    key=actions.VIEW,
    label_visibility="collapsed",
    persist_state="session",
)

if view == actions.NEW:
    show_new_training(active)
elif view == actions.PAST:
    show_runs(runs, damaged_runs())
else:
    run = actions.find_run(wanted, runs, active)
    if wanted is None:
        run = active or next(iter(runs), None)
    if run is not None:
        actions.put_in_address(run.path.name)
        show_run(run)
    elif damaged := [one for one in damaged_runs() if one.path.name == wanted]:
        show_damaged(damaged, actions.ask_delete_damaged, key="training_delete_damaged")
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
