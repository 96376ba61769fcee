"""The paged gallery of a data set, its filters, and one of its pairs large."""

from pathlib import Path
from typing import Final, Literal

import numpy as np
import streamlit as st

from terrainlib.data.dataset import Dataset
from terrainlib.data.layout import Pair
from terrainlib.errors import TerrainError
from terrainlib.files import natural_key
from terrainlib.ui import pictures, state
from terrainlib.ui.page import page_of, show_legend, show_pagination, swatch
from terrainlib.ui.text import md_escape, plural

BOTH, OVERLAY, IMAGE, MASK, HEIGHT = (
    "Image and mask",
    "Overlay",
    "Image",
    "Mask",
    "Height",
)
ALL, NO_HEIGHT, NOTED = "All", "Without height", "With a note"
KINDS: Final = (ALL, NO_HEIGHT, NOTED)
PAIRS_A_PAGE: Final = 24
_OPENED: Final = "preview_opened"  # str: id of the pair that is shown large
_CELL_PX: Final = 110
_DOUBLE_CELL_PX: Final = 200
_LARGE_PX: Final = 560


@st.fragment
def show_pair_gallery(dataset: Dataset, key: str) -> None:
    """Show the pairs of a data set, a page at a time, or one of them large.

    A fragment: turning a page or moving the opacity draws the gallery only. What was
    chosen stands in the address.
    """
    asked = state.asked_by_address("pair")
    if asked:
        st.session_state[_OPENED] = asked[0]
    opened = st.session_state.get(_OPENED)
    if opened in dataset.ids:
        _show_large(dataset, opened, key)
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = _pick_view(dataset, key)
        pairs, chosen = _pick_pairs(dataset, key)
        opacity = _pick_opacity(key) if view == OVERLAY else 1.0
    if not pairs:
        st.info("No pair fits these filters. Choose others.")
        return
    if len(pairs) < len(dataset.pairs):
        st.caption(f"{len(pairs):,} of {plural(len(dataset.pairs), 'pair')}")
    if view not in (IMAGE, HEIGHT):
        show_legend(dataset.classes)
    place = f"{key}_page_{dataset.fingerprint}_{chosen}"
    shown = page_of(pairs, PAIRS_A_PAGE, place)
    width = _DOUBLE_CELL_PX if view == BOTH else _CELL_PX
    grid = st.grid("auto", min_column_width=width, gap="small")
    for pair in shown:
        with grid.cell():
            _show_pair(pair, dataset, view, opacity)
    show_pagination(len(pairs), PAIRS_A_PAGE, place)


def found_pairs(
    dataset: Dataset, *, holding: str | None = None, name: str = "", kind: str = ALL
) -> list[Pair]:
    """Return the pairs that fit, by name; of a class those with most of it first.

    Args:
        dataset: The data set.
        holding: A class that they hold.
        name: What their ids contain; capital letters do not matter.
        kind: One of `KINDS`.
    """
    noted = {str(dataset.folder / item.file) for item in dataset.file_notes}
    wanted = name.strip().casefold()
    pairs = [
        pair
        for pair in sorted(dataset.pairs, key=lambda pair: natural_key(pair.id))
        if wanted in pair.id.casefold()
        and (kind != NO_HEIGHT or pair.height is None)
        and (kind != NOTED or noted & {str(path) for path in _files(pair)})
    ]
    names = [item.name for item in dataset.classes]
    if holding not in names:
        return pairs
    number = names.index(holding)
    held = [pair for pair in pairs if pair.counts[number]]
    return sorted(held, key=lambda pair: -pair.counts[number] / sum(pair.counts))


def _files(pair: Pair) -> list[Path]:
    return [path for path in (pair.image, pair.mask, pair.height) if path]


def _pick_pairs(dataset: Dataset, key: str) -> tuple[list[Pair], str]:
    """Return the pairs that fit what is asked for, and that as a word for keys."""
    holding = _pick_in_address(
        "Class", [ALL, *(item.name for item in dataset.classes)], f"{key}_class"
    )
    kinds = [kind for kind in KINDS if kind == ALL or found_pairs(dataset, kind=kind)]
    kind = ALL
    if len(kinds) > 1:
        kind = _pick_in_address("Problem", kinds, f"{key}_problem")
    name = st.text_input(
        "Find by name",
        key=f"{key}_find",
        bind="query-params",
        icon=":material/search:",
        width=180,
    )
    pairs = found_pairs(dataset, holding=holding, name=name, kind=kind)
    return pairs, f"{holding}_{kind}_{name}"


def _pick_in_address(label: str, options: list[str], key: str) -> str:
    if st.session_state.get(key) not in (None, *options):
        del st.session_state[key]  # of another data set
    return st.selectbox(label, options, key=key, bind="query-params", width=160)


def _show_large(dataset: Dataset, name: str, key: str) -> None:
    """Show one pair large, its mask over it, classes switched on and off."""
    pair = dataset.pair(name)
    names = sorted(dataset.ids, key=natural_key)
    place = names.index(name)
    picture, words = st.columns([3, 2], gap="large")
    with words:
        with st.container(horizontal=True):
            _open_button("All pairs", "", f"{key}_back", ":material/grid_view:")
            before, after = names[place - 1], names[(place + 1) % len(names)]
            _open_button("Previous", before, f"{key}_before", ":material/arrow_back:")
            _open_button("Next", after, f"{key}_after", ":material/arrow_forward:")
        st.header(md_escape(name), anchor=False)
        relief = pair.height is not None and st.toggle(
            "Heights in place of the image",
            key=f"{key}_relief",
            persist_state="session",
        )
        shown = _pick_classes(pair, dataset, key)
        opacity = _pick_opacity(key)
    try:
        data = pictures.large_picture(pair, dataset, shown, opacity, relief=relief)
    except TerrainError as error:
        picture.warning(md_escape(error))
        return
    picture.image(data, width=_LARGE_PX, alt=f"Pair {name} with its mask over it")


def _open_button(label: str, name: str, key: str, icon: str | None = None) -> None:
    kind: Literal["tertiary", "secondary"] = "secondary" if icon else "tertiary"
    st.button(label, key=key, icon=icon, type=kind, on_click=_open, args=(name,))


def _open(name: str) -> None:
    """Show a pair large; all of them where none is named."""
    st.session_state[_OPENED] = name
    state.write_address(pair=name)


def _pick_classes(pair: Pair, dataset: Dataset, key: str) -> tuple[int, ...]:
    """Return the classes of a pair that are switched on; the legend is the switch."""
    total = max(1, sum(pair.counts))
    held = [number for number, count in enumerate(pair.counts) if count]
    held.sort(key=lambda number: -pair.counts[number])

    def named(number: int) -> str:
        item = dataset.classes[number]
        return f"{swatch(item.color, item.name)} {pair.counts[number] / total:.0%}"

    shown = st.pills(
        "Classes shown",
        held,
        selection_mode="multi",
        wrap=True,
        default=held,
        format_func=named,
        key=f"{key}_shown_{dataset.fingerprint}_{pair.id}",
    )
    return tuple(sorted(shown))


def _pick_view(dataset: Dataset, key: str) -> str:
    views = [BOTH, OVERLAY, IMAGE, MASK]
    if any(pair.height for pair in dataset.pairs):
        views.append(HEIGHT)
    view = st.segmented_control(
        "Show",
        views,
        default=BOTH,
        required=True,
        key=f"{key}_view_{len(views)}",
        wrap=True,
        persist_state="session",
    )
    return view if view in views else BOTH


def _pick_opacity(key: str) -> float:
    percent = st.slider(
        "Opacity of the mask",
        0,
        100,
        50,
        step=5,
        format="%d %%",
        key=f"{key}_opacity",
        width=180,
        persist_state="session",
    )
    return percent / 100


def _show_pair(pair: Pair, dataset: Dataset, view: str, opacity: float) -> None:
    """Show one pair in its cell; a file that went bad meanwhile says so there."""
    try:
        found = _pictures(pair, dataset, view, opacity)
    except TerrainError as error:
        st.warning(md_escape(error))
        return
    row = st.grid(len(found), min_column_width=40, wrap=False, gap="xxsmall")
    for what, data in found:
        if data is None:
            row.caption("No height")
        else:
            row.image(data, width="stretch", alt=f"{what} of pair {pair.id}")
    _open_button(_caption(pair, dataset), pair.id, f"open_{pair.id}")


def _pictures(
    pair: Pair, dataset: Dataset, view: str, opacity: float
) -> list[tuple[str, bytes | None]]:
    """Return what to show of a pair: its name and its bytes, None where missing."""
    if view == OVERLAY:
        data = pictures.overlay_picture(pair, dataset, opacity)
        return [("Mask over the image", data)]
    if view == HEIGHT:
        return [("Shaded relief", pictures.relief_picture(pair))]
    shown: list[tuple[str, bytes | None]] = []
    if view in (BOTH, IMAGE):
        shown.append(("Image", pictures.image_picture(pair, dataset)))
    if view in (BOTH, MASK):
        shown.append(("Mask", pictures.mask_picture(pair, dataset)))
    return shown


def _caption(pair: Pair, dataset: Dataset) -> str:
    total = sum(pair.counts)
    if not total:
        return f"**{md_escape(pair.id)}**"
    largest = int(np.argmax(pair.counts))
    name = md_escape(dataset.classes[largest].name)
    share = pair.counts[largest] / total
    shown = "over 99%" if 0.995 <= share < 1 else f"{share:.0%}"
    return f"**{md_escape(pair.id)}** · {name}: {shown}"
