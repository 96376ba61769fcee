"""Shared ground on the preview page: looked for, counted, drawn as a map and as pairs.

The search of all but small data sets is a process of its own: it outlives page, tab and
server, and all who look at the same data set see the same one.
"""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from terrainlib.data.dataset import Dataset
from terrainlib.data.imagery import BandChoice, read_image
from terrainlib.data.layout import Pair
from terrainlib.data.overlaps import (
    Overlap,
    Overlaps,
    find_overlaps,
    search_cost,
    search_key,
)
from terrainlib.data.splits import Split, random_split, usual_share
from terrainlib.errors import ImageError, RunError, StoppedError
from terrainlib.files import natural_key
from terrainlib.mask.overlapmap import Part, draw_map, draw_pair, lay_out
from terrainlib.mask.tiles.bands import to_bytes
from terrainlib.mask.tiles.resampling import shrink
from terrainlib.runs import launcher
from terrainlib.runs.folder import Search, read_search, search_folder
from terrainlib.runs.launcher import start_search
from terrainlib.ui import cached
from terrainlib.ui.datasets.splits import (
    cost_sentence,
    parts_of_split,
    show_parts,
)
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.page import offer_file, pick_one, show_table, spread
from terrainlib.ui.text import md_escape, plural, safe_csv
from terrainlib.ui.workers import read_again

SMALL_DATASET: Final = 24  # pairs: searched without asking
QUICK_SECONDS: Final = 5.0  # that the page waits for a small search
TICK_SECONDS: Final = 1.0
MAX_MAP_PATCHES: Final = 600
MAP, PAIRS = "Map", "Side by side"
LEAK_HELP: Final = (
    "Of its held-out patches, the share that show ground a training patch shows too."
)
_PATCH_PX: Final = 256  # of a patch on the map, before it is brought to its place
_BACKGROUNDS: Final = {"light": (255, 255, 255), "dark": (18, 23, 20)}
_MISSING: Final = 128  # grey of a patch that can no longer be read


def search_of(dataset: Dataset) -> Search | None:
    """Return the search of a data set that goes on or ended last, if there is one."""
    with suppress(RunError):
        return read_search(search_folder(search_key(dataset)))
    return None


def show_shared_ground(dataset: Dataset, key: str) -> None:
    """Show which patches share ground, or offer to look; nothing for a single pair."""
    if len(dataset.pairs) < 2:
        return
    st.header("Shared ground", anchor=False)
    st.markdown(
        ":gray[A split decides which patches train the network and which are held out "
        "to score it. Patches cut from one map may share ground; where a random split "
        "puts them on both sides, the scores are too good: it leaks.]"
    )
    overlaps = _known(dataset)
    if overlaps is None:
        _show_search(dataset, key)
    elif not overlaps.pairs:
        _show_nothing_found(dataset, overlaps)
    else:
        _show_found(dataset, overlaps, f"{key}_{dataset.fingerprint}")


def _known(dataset: Dataset) -> Overlaps | None:
    """Return what is known; look at once where that is quick."""
    known = cached.overlaps(dataset)
    small = len(dataset.pairs) <= SMALL_DATASET
    if known is None and small and search_of(dataset) is None:
        over = time.monotonic() + QUICK_SECONDS
        with (
            errors_shown("Shared ground could not be looked for"),
            st.spinner("Looking for shared ground …"),
        ):
            try:
                return find_overlaps(
                    dataset, should_stop=lambda: time.monotonic() > over
                )
            except StoppedError:
                start_search(dataset)
    return known


def _show_search(dataset: Dataset, key: str) -> None:
    search = search_of(dataset)
    if search is not None and search.active:
        st.fragment(_watch, run_every=TICK_SECONDS)(search.path, key)
        return
    if search is not None and search.state in ("failed", "crashed"):
        st.error(
            md_escape(search.message),
            title="Shared ground could not be looked for",
            icon=":material/error:",
        )
    with errors_shown("The search was not started"):
        if st.button(
            "Look for shared ground", key=f"{key}_look", icon=":material/join_inner:"
        ):
            start_search(dataset)
            st.rerun()
    stopped = f"{search.message} " if search and search.state == "stopped" else ""
    st.caption(
        f"{md_escape(stopped)}Compares the pixels of all {len(dataset.pairs):,} "
        f"patches: {search_cost(dataset).text}. This is done once; the result is kept."
    )


def _watch(path: Path, key: str) -> None:
    """Show how far a search is; the body of the fragment."""
    search = read_again(read_search, path)
    text = f"Looking for shared ground: {search.place_text}"
    if search.state == "waiting":
        text = "Another data set is being searched; this one begins after it"
    elif search.state == "stopping":
        text = "Stopping …"
    st.progress(search.status.share, text)
    st.button(
        "Stop",
        key=f"{key}_look_stop",
        icon=":material/stop:",
        disabled=search.state == "stopping",
        on_click=_stop,
        args=(path,),
    )
    st.caption("It goes on even if you leave or close this page.")


def _stop(path: Path) -> None:
    with suppress(RunError):  # it has just ended
        launcher.stop(path)


def _show_nothing_found(dataset: Dataset, overlaps: Overlaps) -> None:
    if overlaps.exact:
        st.markdown(
            f":material/check_circle: No two of the {len(dataset.pairs):,} patches "
            "share ground, as their places on the Earth tell. A training keeps blocks "
            "of ground apart, with a gap between them."
        )
        return
    maybe = ""
    if overlaps.possible:
        maybe = (
            f" {plural(len(overlaps.possible), 'pair')} of patches may share a thin "
            "strip; a training keeps them apart."
        )
    st.markdown(
        f":material/check_circle: No two of the {len(dataset.pairs):,} patches share "
        f"ground, as far as the pixels tell: a random split does not leak.{maybe}"
    )


def _show_found(dataset: Dataset, overlaps: Overlaps, key: str) -> None:
    share = usual_share(len(dataset.pairs))
    free = cached.leak_free(dataset, overlaps, share=share)
    random = random_split(dataset.ids, share=share, overlaps=overlaps)
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
        st.metric("Overlaps", f"{len(overlaps.pairs):,}", border=True)
        concerned = f"{len(overlaps.neighbours()):,} of {total:,}"
        st.metric("Patches that overlap", concerned, border=True)
        st.metric("Leak of a random split", f"{leak:.0%}", border=True, help=LEAK_HELP)
        left_out = f"{len(free.left_out):,} of {total:,}"
        label = "Left out of training"
        st.metric(label, left_out, border=True, help="What the leak-free split costs.")
    text = "Trainings here use a leak-free split: " + cost_sentence(free)
    if free.method == random.method:
        text = (
            "Too many patches overlap to keep them apart, so trainings here use a "
            "random split and say so beside the scores"
        )
    st.markdown(
        f"With a random split, {leak:.0%} of the held-out patches would share ground "
        f"with training patches. {text}."
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
        "Each frame is a patch, laid over those it overlaps, in the colours of the "
        "leak-free split above: a thin line for training, a tint for left out, a tint "
        "and a thick line for held out, a dot for a leak."
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
        rows = show_table(
            frame.assign(share=frame["share"] * 100),
            {"first": "First", "second": "Second", "share": share},
            alt="Table of the pairs of patches that share ground, largest share first",
            key=f"{key}_overlap_table",
            on_select="rerun",
            selection_mode="single-row-required",
            selection_default={"selection": {"rows": [0]}},
        )
    with picture:
        _show_pair(dataset, pairs[rows[0] if rows else 0])


def _largest_first(overlaps: Overlaps) -> list[Overlap]:
    return sorted(
        overlaps.pairs,
        key=lambda one: (-one.share, *map(natural_key, (one.first, one.second))),
    )


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
