"""All trainings in one table; the curves of those chosen lie over each other."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from terrainlib.metrics import OF_CLASSES, class_columns
from terrainlib.places import why_kept
from terrainlib.runs.folder import Damaged, Run
from terrainlib.runs.training.pixelscore import read_pixel_score
from terrainlib.ui.datasets.splits import leak_note, run_split, show_note
from terrainlib.ui.page import empty_state, show_table
from terrainlib.ui.text import date_text, parse_time, told_apart, viewer_zone
from terrainlib.ui.training.charts import (
    AXES,
    COMPARE_HEIGHT_PX,
    ChartText,
    chart_rows,
    class_names,
    curve_of,
    filled,
    line_spec,
    scale_of,
)
from terrainlib.ui.training.curves import pick_look
from terrainlib.ui.training.view import show_in_view
from terrainlib.ui.workers import RUN_PAGE, ask_delete, show_damaged, state_text

RUN_COLORS: Final = (  # each is clear on white and on the dark ground
    "#2f7fd0",
    "#d9622b",
    "#2e9460",
    "#c04a97",
    "#8b6fd6",
    "#a8841c",
    "#1b93a3",
    "#d1495b",
    "#7c8589",
    "#6a941f",
)
UNBOUNDED: Final = ("val_loss", "loss", "learning_rate", "seconds")
SCORES: Final = ("Best mIoU", "Accuracy", "Validation loss", "Epochs done", "Minutes")
SETTINGS: Final = {  # what people call them; others are called by their keys
    "preset_name": "Preset",
    "height": "Uses the height",
    "image_size": "Image size in px",
    "crop_size": "Crop size in px",
    "minutes": "Budget in minutes",
    "epochs": "Budget in epochs",
    "learning_rate": "Learning rate",
    "validation_share": "Held-out share",
    "start_from": "Starts from",
}
METRICS: Final = {
    "val_miou": "Validation mIoU",
    "val_loss": "Validation loss",
    "loss": "Training loss",
    "val_accuracy": "Validation accuracy",
    "accuracy": "Training accuracy",
    "learning_rate": "Learning rate",
    "seconds": "Seconds per epoch",
}


def show_runs(runs: list[Run], damaged: list[Damaged]) -> None:
    """Show all trainings, and below them the folders that cannot be read."""
    if runs:
        _show_table(runs)
    elif not damaged:
        empty_state(
            "No training yet",
            "Start one under New training. It is then listed here.",
        )
    if damaged:
        st.header("Damaged folders", anchor=False)
        show_damaged(RUN_PAGE, damaged)


def _show_table(runs: list[Run]) -> None:
    """Show the table, what can be done with a choice of its rows, and their curves."""
    st.caption("Choose one to open or delete it, several to lay their curves together.")
    rows = show_table(
        runs_frame(runs, st.context.timezone),
        _columns(),
        alt="All trainings with state, preset, data, date, epochs, best mIoU, "
        "lead over the pixel classifier, minutes",
        key="training_table",
        on_select="rerun",
        selection_mode="multi-row",
    )
    _show_notes(runs)
    chosen = [runs[row] for row in rows]
    if not chosen:
        return
    _show_buttons(chosen)
    _show_comparison(chosen, run_colors(runs))


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
            "Split": [_split_text(split.leak) if split else "–" for split in splits],
            "Ahead": pd.Series([_ahead(run) for run in runs], dtype="float64"),
            "Minutes": [run.status.seconds / 60 for run in runs],
        }
    )


def _split_text(leak: str) -> str:
    note = leak_note(leak)
    return note.text if note.warns else f"✓ {note.text}"


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
        whys = [why_kept(run.path, to_delete=True) for run in chosen]
        kept = next(filter(None, whys), None)
        if st.button(
            "Delete",
            key="training_delete_chosen",
            icon=":material/delete:",
            disabled=active or kept is not None,
            help="Stop a training that is still running first." if active else kept,
        ):
            ask_delete(RUN_PAGE, chosen)


def _show_comparison(chosen: list[Run], colors: Mapping[str, str]) -> None:
    """Show the scores of some runs, in what settings they differ, and their curves."""
    named = labels(chosen)
    tables = {name: run.metrics for name, run in named.items()}
    steps = {name: run.steps for name, run in named.items()}
    runs_colors = tuple((name, colors[run.path.name]) for name, run in named.items())
    with st.container(border=True):
        titles = _curves(list(tables.values()))
        column = st.selectbox(
            "Curve",
            list(titles),
            format_func=titles.__getitem__,
            key="training_compare_curve",
            persist_state="session",
            width=260,
        )
        look = pick_look(steps=any(len(one) for one in steps.values()))
        text = ChartText(
            titles[column],
            "",
            ((column, titles[column]),),
            share=column not in UNBOUNDED,
            steep=column in UNBOUNDED,
            digits=".4g",
        )
        drawn = [
            curve_of(name, column, table, steps[name], scale)
            for name, table in tables.items()
            for scale in [scale_of(table, steps[name], look.axis)]
        ]
        rows = chart_rows(drawn, look, text)
        if rows.empty:
            st.caption("No epoch is complete yet.")
        else:
            spec = line_spec(
                text,
                replace(look, smoothing=0.0),
                runs_colors,
                height=COMPARE_HEIGHT_PX + 24 * len(chosen),
            )
            alt = (
                f"{text.title} against {AXES[look.axis].lower()} of {', '.join(tables)}"
            )
            st.vega_lite_chart(filled(spec, rows), width="stretch", alt=alt)
    if len(chosen) > 1:
        _show_differences(named, dict(runs_colors))


def _show_differences(named: Mapping[str, Run], colors: Mapping[str, str]) -> None:
    """Show one row a run: its colour, its scores, and the settings that differ."""
    frame = comparison_frame(named)
    swatches = [f"color: {colors[name]}" for name in frame["Run"]]
    frame.insert(0, "Colour", "\u25a0")
    show_table(
        frame.style.apply(lambda _: swatches, subset=["Colour"]),
        {
            "Colour": st.column_config.TextColumn("", width=30),
            **{
                name: st.column_config.NumberColumn(format="%.3f")
                for name in ("Best mIoU", "Accuracy", "Validation loss")
            },
            "Minutes": st.column_config.NumberColumn(format="%.1f"),
        },
        alt=f"Scores and settings of {', '.join(named)}",
    )
    if len(frame.columns) == 2 + len(SCORES):
        st.caption("They were trained with the same settings.")


def comparison_frame(named: Mapping[str, Run]) -> pd.DataFrame:
    """Return one row a run: its name, its scores, and the settings that differ.

    The scores are those of the best epoch.
    """
    return pd.DataFrame(
        [
            {"Run": name, **_scores(run), **settings}
            for (name, run), settings in zip(
                named.items(), different_settings(list(named.values())), strict=True
            )
        ]
    )


def _scores(run: Run) -> dict[str, float | None]:
    """Return the values of `SCORES`."""
    metrics, status = run.metrics, run.status
    best = pd.Series(dtype=float)
    if len(metrics) and (metrics["epoch"] == status.best_epoch).any():
        best = metrics[metrics["epoch"] == status.best_epoch].iloc[0]
    values = (
        status.best_miou,
        best.get("val_accuracy"),
        best.get("val_loss"),
        status.epoch,
        status.seconds / 60,
    )
    return dict(zip(SCORES, values, strict=True))


def different_settings(runs: list[Run]) -> list[dict[str, str]]:
    """Return for each run the settings in which they differ, by what people call them.

    One that a run does not have is a dash.
    """
    every = [_settings(run) for run in runs]
    names = dict.fromkeys(name for one in every for name in one)
    differ = [name for name in names if len({one.get(name) for one in every}) > 1]
    return [{name: one.get(name, "–") for name in differ} for one in every]


def _settings(run: Run) -> dict[str, str]:
    """Return all that a run was asked to do, in words."""
    values = run.config.to_dict()
    training = values.pop("training")
    network = training.pop("network")
    del values["name"], values["created"]
    words = {}
    for key, value in {**network, **values, **training}.items():
        if value is None:
            continue
        shown = str(value)
        if isinstance(value, bool):
            shown = "yes" if value else "no"
        elif isinstance(value, list | tuple):
            shown = ", ".join(map(str, value))
        elif key in ("data", "start_from"):
            shown = Path(value).name
        words[SETTINGS.get(key, key.replace("_", " ").capitalize())] = shown
    return words


def run_colors(runs: list[Run]) -> dict[str, str]:
    """Return the colour of each run by its folder's name.

    They are given by age, so that a new run changes none.
    """
    by_age = sorted(runs, key=lambda run: (run.config.created, run.path.name))
    return {
        run.path.name: RUN_COLORS[number % len(RUN_COLORS)]
        for number, run in enumerate(by_age)
    }


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
