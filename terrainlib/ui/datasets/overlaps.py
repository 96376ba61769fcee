"""Shared ground on the preview page: looked for, counted, drawn as a map and as pairs.

The search runs in a thread of the server: it outlives page and tab. Sessions that look
at the same data set see the same search, and one search has the machine at a time. What
is found lies in the cache on the disk; nothing is lost when the server ends.
"""

import os
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from terrainlib import files
from terrainlib.data.dataset import Dataset
from terrainlib.data.imagery import BandChoice, read_image
from terrainlib.data.layout import Pair
from terrainlib.data.overlaps import Overlap, Overlaps, find_overlaps
from terrainlib.data.splits import Split, random_split
from terrainlib.errors import ImageError, StoppedError, TerrainError
from terrainlib.mask.overlapmap import Part, draw_map, draw_pair, lay_out
from terrainlib.mask.tiles.bands import to_bytes
from terrainlib.mask.tiles.resampling import shrink
from terrainlib.ui import cached
from terrainlib.ui.datasets.splits import (
    cost_sentence,
    parts_of_split,
    search_time,
    show_parts,
)
from terrainlib.ui.errors import errors_shown, show_error
from terrainlib.ui.page import offer_file, pick_one, spread
from terrainlib.ui.text import md_escape, plural, safe_csv

SMALL_DATASET: Final = 24  # pairs: searched without asking
QUICK_SECONDS: Final = 5.0  # that the page waits for a small search
TICK_SECONDS: Final = 1.0
KEPT_SEARCHES: Final = 32
MAX_MAP_PATCHES: Final = 600
MAP, PAIRS = "Map", "Side by side"
LEAK_HELP: Final = "Share of its validation patches that share ground with training."
_TABLE_PX: Final = 420
_PATCH_PX: Final = 256  # of a patch on the map, before it is brought to its place
_BACKGROUNDS: Final = {"light": (255, 255, 255), "dark": (18, 23, 20)}
_MISSING: Final = 128  # grey of a patch that can no longer be read
_NICENESS: Final = 5
_TURN_SECONDS: Final = 0.2


@dataclass(slots=True)
class Search:
    """A search that goes on, or how it ended."""

    share: float = 0.0  # how much of it is done, 0 to 1
    waiting: bool = True  # whether another search has the machine
    found: Overlaps | None = None
    error: TerrainError | None = None  # why it found nothing
    stopping: threading.Event = field(default_factory=threading.Event)  # set to end it
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def running(self) -> bool:
        """Whether it goes on or waits for its turn."""
        return not self.ended.is_set()


_GUARD: Final = threading.Lock()
_TURN: Final = threading.Lock()  # of the search that has the machine


def search_of(dataset: Dataset) -> Search | None:
    """Return the search of a data set that goes on or ended last, if there is one."""
    return _searches().get(_key(dataset))


def start_search(dataset: Dataset) -> Search:
    """Start the search of a data set, or return the one that goes on."""
    searches, own = _searches(), _key(dataset)
    with _GUARD:
        known = searches.pop(own, None)
        search = known if known is not None and known.running else Search()
        searches[own] = search
        if search is known:
            return search
        over = [key for key, one in searches.items() if not one.running]
        for key in over[: max(0, len(searches) - KEPT_SEARCHES)]:
            del searches[key]
    threading.Thread(target=_work, args=(search, dataset), daemon=True).start()
    return search


def _work(search: Search, dataset: Dataset) -> None:
    """Wait for the turn and search; the body of the thread."""

    def show(done: int, total: int) -> None:
        search.share = done / max(total, 1)

    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        with suppress(OSError):  # let the pages go before this thread and its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
    try:
        while not _TURN.acquire(timeout=_TURN_SECONDS):
            if search.stopping.is_set():
                return
        try:
            search.waiting = False
            should_stop = search.stopping.is_set
            search.found = find_overlaps(
                dataset, progress=show, should_stop=should_stop
            )
        finally:
            _TURN.release()
    except StoppedError:
        pass
    except TerrainError as error:
        search.error = error
    finally:
        search.ended.set()


def _key(dataset: Dataset) -> str:
    return f"{files.cache_dir()}|{dataset.folder}|{dataset.fingerprint}"


@st.cache_resource(show_spinner=False)
def _searches() -> dict[str, Search]:
    return {}


def show_shared_ground(dataset: Dataset, key: str) -> None:
    """Show which patches share ground, or offer to look; nothing for a single pair."""
    if len(dataset.pairs) < 2:
        return
    st.header("Shared ground", anchor=False)
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
    if search is not None and search.running:
        st.fragment(_watch, run_every=TICK_SECONDS)(dataset, key)
        return
    if search is not None and search.error is not None:
        show_error(search.error, "Shared ground could not be looked for")
    if st.button(
        "Look for shared ground", key=f"{key}_look", icon=":material/join_inner:"
    ):
        start_search(dataset)
        st.rerun()
    stopped = "Stopped; nothing was kept. " if search and not search.error else ""
    st.caption(
        f"{stopped}Compares all {len(dataset.pairs):,} patches by their pixels: "
        f"{search_time(dataset)} on two cores. It is done once; the result is kept."
    )


def _watch(dataset: Dataset, key: str) -> None:
    """Show how far a search is; the body of the fragment."""
    search = search_of(dataset)
    if search is None or not search.running:
        st.rerun(scope="app")
    text = f"Looking for shared ground: {search.share:.0%}"
    if search.waiting:
        text = "Another data set is being searched; this one is next"
    elif search.stopping.is_set():
        text = "Stopping …"
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
    if overlaps.exact:
        st.markdown(
            f":material/check_circle: No two of the {len(dataset.pairs):,} patches "
            "share ground, as their places say. The training's split keeps blocks of "
            "ground apart, with a gap between them."
        )
        return
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
    free = cached.leak_free(dataset, overlaps)
    random = random_split(dataset.ids, overlaps=overlaps)
    _show_numbers(dataset, overlaps, free, random)
    parts = parts_of_split(free, overlaps)
    show_parts(
        {"Random split": parts_of_split(random, overlaps), "Leak-free split": parts}
    )
    with spread("bottom"):
        views = {MAP: MAP, PAIRS: PAIRS}
        view = pick_one("Show overlaps as", views, f"{key}_overlap_view")
        offer_file(
            "Download as CSV",
            lambda: safe_csv(_frame(_largest_first(overlaps))),
            "shared_ground.csv",
            help="All pairs that share ground: first, second, share.",
        )
    if view == PAIRS:
        st.fragment(_show_pairs)(dataset, overlaps, key)
    else:
        _show_map(dataset, overlaps, parts)


def _show_numbers(
    dataset: Dataset, overlaps: Overlaps, free: Split, random: Split
) -> None:
    total = len(dataset.pairs)
    leak = overlaps.leak(random.train, random.validation)
    with st.grid(4, min_column_width=150):
        st.metric("Overlapping pairs", f"{len(overlaps.pairs):,}", border=True)
        concerned = f"{len(overlaps.neighbours()):,} of {total:,}"
        st.metric("Patches concerned", concerned, border=True)
        st.metric("A random split leaks", f"{leak:.0%}", border=True, help=LEAK_HELP)
        left_out = f"{len(free.left_out):,} of {total:,}"
        label = "Left out of the training"
        st.metric(label, left_out, border=True, help="What the leak-free split costs.")
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


def _show_map(dataset: Dataset, overlaps: Overlaps, parts: Mapping[str, Part]) -> None:
    """Show the patches laid out as their overlaps say, coloured by the split."""
    theme = "dark" if st.context.theme.type == "dark" else "light"
    key = (str(dataset.folder), dataset.fingerprint, theme, tuple(parts.items()))
    picture, drawn, groups = _map_picture(key, dataset, overlaps, parts, theme)
    st.image(
        picture,
        width="stretch",
        alt=f"Map of {drawn} patches in {plural(groups, 'group')}, laid where their "
        "overlaps put them, outlined by their part of the leak-free split",
    )
    text = (
        "Each frame is a patch, laid where its overlaps put it, in the colours of the "
        "leak-free split above: a thin line for what trains, tinted for what is left "
        "out, tinted with a thick line for what validates, with a dot where it leaks."
    )
    if drawn < len(dataset.pairs):
        text += (
            f" It shows {drawn:,} of {len(dataset.pairs):,} patches; the others share "
            "no ground, or lie in smaller groups."
        )
    st.caption(text)


@st.cache_data(max_size="32MB", show_spinner="Drawing the map …")
def _map_picture(
    key: tuple[Any, ...],
    _dataset: Dataset,
    _overlaps: Overlaps,
    _parts: Mapping[str, Part],
    theme: str,
) -> tuple[bytes, int, int]:
    """Return the map as JPEG, how many patches it shows, and in how many groups."""
    del key  # names data set and split
    pairs = {pair.id: pair for pair in _dataset.pairs}
    sizes = {pair.id: (pair.size[1], pair.size[0]) for pair in _dataset.pairs}
    bands = _dataset.band_set
    laid = lay_out(_overlaps, sizes, most_patches=MAX_MAP_PATCHES)
    ground = _BACKGROUNDS[theme]
    drawn = draw_map(
        laid, _parts, lambda name: _small(pairs[name], bands), background=ground
    )
    return cached.encode_jpeg(drawn), len(laid.outlines), laid.groups


def _small(pair: Pair, bands: BandChoice) -> NDArray[np.uint8]:
    """Return the image of a patch, small; grey if it can no longer be read."""
    try:
        rgb = to_bytes(read_image(pair.image, bands=bands).rgb)
    except ImageError:
        return np.full((*pair.size, 3), _MISSING, np.uint8)
    return np.asarray(shrink(rgb, _PATCH_PX, nearest=False), np.uint8)


def _show_pairs(dataset: Dataset, overlaps: Overlaps, key: str) -> None:
    table, picture = st.columns([2, 3], gap="large")
    pairs = _largest_first(overlaps)
    frame = _frame(pairs)
    share = st.column_config.NumberColumn("Shared ground", format="%.0f %%")
    with table:
        event = st.dataframe(
            frame.assign(share=frame["share"] * 100),
            key=f"{key}_overlap_table",
            hide_index=True,
            height=_TABLE_PX if len(frame) > 10 else "content",
            on_select="rerun",
            selection_mode="single-row-required",
            selection_default={"selection": {"rows": [0]}},
            column_config={"first": "First", "second": "Second", "share": share},
            alt="Table of the pairs of patches that share ground, largest share first",
        )
    rows = [row for row in event.selection.rows if row < len(pairs)]
    with picture:
        _show_pair(dataset, pairs[rows[0] if rows else 0])


def _largest_first(overlaps: Overlaps) -> list[Overlap]:
    return sorted(overlaps.pairs, key=lambda one: (-one.share, one.first, one.second))


def _frame(pairs: Iterable[Overlap]) -> pd.DataFrame:
    rows = [(pair.first, pair.second, pair.share) for pair in pairs]
    return pd.DataFrame(rows, columns=["first", "second", "share"])


def _show_pair(dataset: Dataset, overlap: Overlap) -> None:
    pairs = [dataset.pair(name) for name in (overlap.first, overlap.second)]
    first, second = (f"**{md_escape(pair.id)}**" for pair in pairs)
    st.markdown(f"{first} and {second} share {overlap.share:.0%} of their ground")
    with errors_shown("This pair cannot be shown"):
        bands = dataset.band_set
        one, two = (read_image(pair.image, bands=bands).rgb for pair in pairs)
        row = st.grid(2, min_column_width=100, wrap=False, gap="xsmall")
        for pair, picture in zip(pairs, draw_pair(one, two, overlap), strict=True):
            row.image(
                cached.encode_jpeg(picture),
                width="stretch",
                alt=f"Patch {pair.id} with the shared ground outlined",
            )
        st.caption(
            "Framed and bright: the ground that both show. The dot marks the same "
            "corner of it in both. The share is that of the larger patch."
        )
