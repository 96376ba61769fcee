"""All trainings in one table; the curves of those chosen lie over each other."""

from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from terrainlib.metrics import OF_CLASSES, class_columns
from terrainlib.runs.folder import Damaged, Run
from terrainlib.runs.training.pixelscore import read_pixel_score
from terrainlib.ui.datasets.splits import leak_note, run_split, show_note
from terrainlib.ui.page import empty_state, pick_one
from terrainlib.ui.text import date_text, parse_time, told_apart, viewer_zone
from terrainlib.ui.training.charts import (
    class_names,
    compare_spec,
    compare_table,
    filled,
)
from terrainlib.ui.training.view import show_in_view
from terrainlib.ui.workers import RUN_PAGE, ask_delete, show_damaged, state_text

METRICS: Final = {
    "val_miou": "Validation mIoU",
    "val_loss": "Validation loss",
    "loss": "Training loss",
    "val_accuracy": "Validation accuracy",
    "accuracy": "Training accuracy",
    "learning_rate": "Learning rate",
    "seconds": "Seconds an epoch",
}


def show_runs(runs: list[Run], damaged: list[Damaged]) -> None:
    """Show all trainings, and below them the folders that cannot be read."""
    if runs:
        _show_table(runs)
    elif not damaged:
        empty_state(
            "No training yet",
            "Start one under New training; it is listed here from then on.",
        )
    if damaged:
        st.header("Damaged folders", anchor=False)
        show_damaged(RUN_PAGE, damaged)


def _show_table(runs: list[Run]) -> None:
    """Show the table, what can be done with a choice of its rows, and their curves."""
    st.caption("Choose one to open or delete it, several to lay their curves together.")
    event = st.dataframe(
        runs_frame(runs, st.context.timezone),
        key="training_table",
        hide_index=True,
        placeholder="–",
        on_select="rerun",
        selection_mode="multi-row",
        column_config=_columns(),
        alt="All trainings with state, preset, data, date, epochs, best mIoU, "
        "lead over the pixel classifier, minutes",
    )
    _show_notes(runs)
    rows = [row for row in event.selection.rows if row < len(runs)]
    chosen = [runs[row] for row in rows]
    if not chosen:
        return
    _show_buttons(chosen)
    _show_comparison(chosen)


def runs_frame(runs: list[Run], timezone: str | None) -> pd.DataFrame:
    """Return one row a run, in the columns that people read."""
    zone = viewer_zone(timezone)
    splits = [run_split(run.path) for run in runs]
    moments = [parse_time(run.config.created) for run in runs]
    return pd.DataFrame(
        {
            "State": [state_text(RUN_PAGE, run.state).label for run in runs],
            "Name": [run.name for run in runs],
            "Preset": [run.config.training.network.preset_name for run in runs],
            "Data": [Path(run.config.data).name for run in runs],
            "Date": [
                moment.astimezone(zone).replace(tzinfo=None) if moment else None
                for moment in moments
            ],
            "Epochs": [run.status.epoch for run in runs],
            "Best mIoU": pd.Series(
                [run.status.best_miou for run in runs], dtype="float64"
            ),
            "Split": [split.leak if split else "–" for split in splits],
            "Ahead": pd.Series([_ahead(run) for run in runs], dtype="float64"),
            "Minutes": [run.status.seconds / 60 for run in runs],
        }
    )


def _show_notes(runs: list[Run]) -> None:
    leaks = {split.leak for run in runs if (split := run_split(run.path))}
    with st.container(horizontal=True):
        for leak in sorted(leaks):
            show_note(leak_note(leak))


def _ahead(run: Run) -> float | None:
    """Return by how much a run's best mIoU is above the pixel classifier's."""
    pixel_score, best = read_pixel_score(run.path), run.status.best_miou
    return None if pixel_score is None or best is None else best - pixel_score.miou


def _columns() -> dict[str, ColumnConfig | str | None]:
    config = st.column_config
    return {
        "State": config.TextColumn(width="small"),
        "Date": config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        "Best mIoU": config.NumberColumn(
            format="%.3f", help="Best validation mIoU; the split says what it is worth."
        ),
        "Ahead": config.NumberColumn(
            format="%+.3f",
            help="Best mIoU less that of the pixel classifier on the same split.",
        ),
        "Minutes": config.NumberColumn(format="%.1f"),
    }


def _show_buttons(chosen: list[Run]) -> None:
    with st.container(horizontal=True):
        if len(chosen) == 1:
            st.button(
                "Open",
                key="training_open",
                icon=":material/open_in_full:",
                on_click=show_in_view,
                args=(chosen[0].path.name,),
            )
        active = any(run.active for run in chosen)
        if st.button(
            "Delete",
            key="training_delete_chosen",
            icon=":material/delete:",
            disabled=active,
            help="A training that goes on must be stopped first." if active else None,
        ):
            ask_delete(RUN_PAGE, chosen)


def _show_comparison(chosen: list[Run]) -> None:
    with st.container(border=True):
        tables = {name: run.metrics for name, run in labels(chosen).items()}
        curves = _curves(list(tables.values()))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            column = st.selectbox(
                "Curve",
                list(curves),
                format_func=curves.__getitem__,
                key="training_compare_curve",
                persist_state="session",
                width=260,
            )
            units = {"epochs": "epochs", "minutes": "minutes"}
            against = pick_one("Against", units, "training_compare_against")
        rows = compare_table(tables, column, against=against)
        if rows.empty:
            st.caption("No epoch is complete yet.")
            return
        share = column not in ("val_loss", "loss", "learning_rate", "seconds")
        spec = compare_spec(curves[column], against, share=share)
        alt = f"{curves[column]} against {against} of {', '.join(tables)}"
        st.vega_lite_chart(filled(spec, rows), width="stretch", alt=alt)


def _curves(tables: list[pd.DataFrame]) -> dict[str, str]:
    """Return name by column: what all runs have, then the scores of their classes."""
    names = list(dict.fromkeys(name for one in tables for name in class_names(one)))
    found = dict(METRICS)
    for kind in OF_CLASSES:
        titles = [f"{kind.label} of {name}" for name in names]
        for column, title in class_columns(kind.key, names, titles).items():
            if any(column in one for one in tables):
                found[column] = title
    return found


def labels(runs: list[Run]) -> dict[str, Run]:
    """Return the runs by name; those of equal names with what tells them apart."""
    zone = st.context.timezone
    facts = [
        (Path(run.config.data).name, date_text(moment, zone) if moment else "", name)
        for run in runs
        for moment, name in [(parse_time(run.config.created), run.path.name)]
    ]
    return dict(zip(told_apart([run.name for run in runs], facts), runs, strict=True))
