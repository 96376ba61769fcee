"""Shared ground on the preview page: looked for, counted, drawn."""

from typing import Final

import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.data.overlaps import Overlaps
from terrainlib.data.splits import Split, random_split
from terrainlib.ui import cached
from terrainlib.ui.datasets.overlap_drawings import (
    FREE,
    RANDOM,
    overlaps_frame,
    show_map,
    show_pairs,
)
from terrainlib.ui.datasets.overlap_search import Search, search_of, start_search
from terrainlib.ui.datasets.split_view import (
    cost_sentence,
    parts_of_split,
    search_time,
    show_parts,
)
from terrainlib.ui.errors import show_error
from terrainlib.ui.tables import safe_csv
from terrainlib.ui.text import plural

SMALL_DATASET: Final = 24  # pairs: searched without asking
QUICK_SECONDS: Final = 5.0  # that the page waits for a small search
TICK_SECONDS: Final = 1.0
MAP, PAIRS = "Map", "Side by side"


def show_shared_ground(dataset: Dataset, key: str) -> None:
    """Show which patches share ground, or offer to look for it.

    Args:
        dataset: The data set; nothing is shown for fewer than two pairs.
        key: Start of the widgets' keys, one a page.
    """
    if len(dataset.pairs) < 2:
        return
    st.subheader("Shared ground", anchor=False)
    st.markdown(
        ":gray[Patches cut from one map may overlap. A random split then trains and "
        "validates on the same ground, and its scores are too good: it leaks.]"
    )
    overlaps = _known(dataset)
    if overlaps is None:
        _show_search(dataset, search_of(dataset), key)
    elif not overlaps.pairs:
        _show_nothing_found(dataset, overlaps)
    else:
        _show_found(dataset, overlaps, f"{key}_{dataset.fingerprint}")


def _known(dataset: Dataset) -> Overlaps | None:
    """Return what is known; look at once where that is quick."""
    overlaps = cached.overlaps(dataset)
    search = search_of(dataset)
    if overlaps is None and search is None and len(dataset.pairs) <= SMALL_DATASET:
        search = start_search(dataset)
        with st.spinner("Looking for shared ground …"):
            search.ended.wait(QUICK_SECONDS)
    return overlaps or (search.found if search else None)


def _show_search(dataset: Dataset, search: Search | None, key: str) -> None:
    """Show the search that goes on, or the button that starts one."""
    if search is not None and search.running:
        st.fragment(_watch, run_every=TICK_SECONDS)(dataset, key)
        return
    if search is not None and search.error is not None:
        show_error(search.error, "Shared ground could not be looked for")
    st.button(
        "Look for shared ground",
        key=f"{key}_look",
        icon=":material/join_inner:",
        on_click=_start,
        args=(dataset,),
    )
    stopped = "Stopped; nothing was kept. " if search and not search.error else ""
    st.caption(
        f"{stopped}Compares all {len(dataset.pairs):,} patches by their pixels: "
        f"{search_time(dataset)} on two cores. It is done once; the result is kept."
    )


def _start(dataset: Dataset) -> None:
    start_search(dataset)


def _watch(dataset: Dataset, key: str) -> None:
    """Show how far a search is; the body of the fragment."""
    search = search_of(dataset)
    if search is None or not search.running:
        st.rerun(scope="app")
    if search.waiting:
        text = "Another data set is being searched; this one is next"
    elif search.stopping.is_set():
        text = "Stopping …"
    else:
        text = f"Looking for shared ground: {search.share:.0%}"
    st.progress(min(search.share, 1.0), text)
    st.button(
        "Stop",
        key=f"{key}_look_stop",
        icon=":material/stop:",
        disabled=search.stopping.is_set(),
        on_click=search.stopping.set,
    )
    st.caption("It goes on when this page is left, and in all other tabs.")


def _show_nothing_found(dataset: Dataset, overlaps: Overlaps) -> None:
    """Say that no two patches share ground."""
    maybe = ""
    if overlaps.possible:
        maybe = (
            f" {plural(len(overlaps.possible), 'pair')} may share a sliver; the "
            "training's split keeps them apart."
        )
    st.markdown(
        f":material/check_circle: No two of the {len(dataset.pairs):,} patches share "
        f"ground, as far as their pixels show: a random split does not leak.{maybe}"
    )


def _show_found(dataset: Dataset, overlaps: Overlaps, key: str) -> None:
    """Show the numbers, the two splits, and the drawings."""
    free = cached.leak_free(dataset, overlaps)
    random = random_split(dataset.ids, overlaps=overlaps)
    _show_numbers(dataset, overlaps, free, random)
    parts = {
        RANDOM: parts_of_split(random, overlaps),
        FREE: parts_of_split(free, overlaps),
    }
    show_parts(parts)
    with st.container(
        horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        view = st.segmented_control(
            "Show overlaps as",
            [MAP, PAIRS],
            default=MAP,
            required=True,
            key=f"{key}_overlap_view",
            persist_state="session",
        )
        st.download_button(
            "Download as CSV",
            lambda: safe_csv(overlaps_frame(overlaps.pairs)),
            "shared_ground.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="All pairs that share ground: first, second, share.",
        )
    if view == PAIRS:
        st.fragment(show_pairs)(dataset, overlaps, key)
    else:
        st.fragment(show_map)(dataset, overlaps, parts, key)


def _show_numbers(
    dataset: Dataset, overlaps: Overlaps, free: Split, random: Split
) -> None:
    """Show four numbers and what they mean."""
    total = len(dataset.pairs)
    concerned = len(overlaps.neighbours())
    leak = overlaps.leak(random.train, random.validation)
    with st.grid(4, min_column_width=150):
        st.metric("Overlapping pairs", f"{len(overlaps.pairs):,}", border=True)
        st.metric("Patches concerned", f"{concerned:,} of {total:,}", border=True)
        st.metric(
            "A random split leaks",
            f"{leak:.0%}",
            border=True,
            help="Share of its validation patches that share ground with training.",
        )
        st.metric(
            "Left out of the training",
            f"{len(free.left_out):,} of {total:,}",
            border=True,
            help="What the leak-free split costs.",
        )
    text = "Trainings here use a leak-free split: " + cost_sentence(free)
    if free.method == random.method:
        text = (
            "Too many patches overlap to keep them apart, so trainings here use a "
            "random split and say so beside the scores"
        )
    st.markdown(
        f"{leak:.0%} of the validation patches of a random split would share ground "
        f"with training. {text}."
    )
