"""Which bands of a data set's images are used, and the form that chooses them once."""

from dataclasses import replace
from typing import Final

import streamlit as st

from terrainlib.data.choices import CHOICES_FILE, read_choices, save_choices
from terrainlib.data.dataset import Dataset
from terrainlib.data.formats.bands import clean_name, find_numbers
from terrainlib.data.formats.raster import MAX_BANDS, BandKey
from terrainlib.errors import ImageError
from terrainlib.ui import cached, pictures
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.text import md_escape

_PREVIEW_PX: Final = 160


def show_bands(dataset: Dataset, key: str) -> None:
    """Say which bands are used; let people choose others where there are more.

    Args:
        dataset: The data set.
        key: Start of the widgets' keys, one a page.
    """
    bands = dataset.bands
    if bands.example is None or (
        len(bands.all_names) in (1, 3) and dataset.choices.bands is None
    ):
        return
    title = f"Bands: {', '.join(bands.names)}" if bands.names else "Choose the bands"
    with st.expander(
        md_escape(title),
        expanded=bands.question is not None,
        icon=":material/layers:",
        key=f"{key}_bands_{dataset.fingerprint}",
    ):
        if bands.question is not None:
            st.warning(
                f"The images have {len(bands.all_names)} bands, and nothing says which "
                "of them to use. Choose them before you train.",
                icon=":material/layers:",
            )
        _ask(dataset, f"{key}_bands_{dataset.fingerprint}")
        _show_each(dataset, f"{key}_bands_{dataset.fingerprint}_each")


def _ask(dataset: Dataset, key: str) -> None:
    """Ask for the bands and keep them for the data set."""
    options = list(range(1, len(dataset.bands.all_names) + 1))
    chosen = st.multiselect(
        "Bands to train on, in this order",
        options,
        default=[number for number in _current(dataset) if number in options],
        format_func=lambda number: band_title(dataset, number),
        max_selections=MAX_BANDS,
        help="With red, green and blue, pictures look as the eye sees them; of other "
        "bands the first three are shown as red, green and blue.",
        key=f"{key}_chosen",
    )
    st.caption(
        f"Saved as `{CHOICES_FILE}` in the data set's folder, where the command line "
        "reads it too. A model finds its bands by name."
    )
    with st.container(horizontal=True):
        if st.button(
            "Use these bands", key=f"{key}_keep", type="primary", disabled=not chosen
        ):
            _keep(dataset, tuple(_key_of(dataset, number) for number in chosen))
        if dataset.choices.bands is not None and st.button(
            "As the files say", key=f"{key}_reset"
        ):
            _keep(dataset, None)


def band_title(dataset: Dataset, number: int) -> str:
    """Return what a band is called in the form: `4 · B4`, or `band 4`."""
    name = dataset.bands.all_names[number - 1]
    return name if name == f"band {number}" else f"{number} · {name}"


def _current(dataset: Dataset) -> list[int]:
    """Return the numbers of the bands that are used now."""
    bands = dataset.bands
    if bands.example is None or bands.question is not None:
        return []
    if bands.keys is None:
        return list(bands.example.colors)
    try:
        return list(find_numbers(bands.example.marks, bands.keys, dataset.name))
    except ImageError:
        return []


def _key_of(dataset: Dataset, number: int) -> BandKey:
    """Return the name of a band where it has one of its own, else its number."""
    marks = dataset.bands.example.marks if dataset.bands.example else ()
    names = [clean_name(mark) for mark in marks]
    name = names[number - 1]
    return name if name and names.count(name) == 1 and not name.isdecimal() else number


def _keep(dataset: Dataset, bands: tuple[BandKey, ...] | None) -> None:
    with errors_shown("The bands cannot be saved"):
        folder = dataset.folder
        save_choices(folder, replace(read_choices(folder), bands=bands))
        cached.forget_dataset()
        st.rerun()


def _show_each(dataset: Dataset, key: str) -> None:
    """Show every band of the first image in grey, if that is asked for."""
    if not dataset.pairs or not st.toggle("Look at each band", key=key):
        return
    pair = dataset.pairs[0]
    grid = st.grid("auto", min_column_width=_PREVIEW_PX // 2, gap="small")
    for number in range(1, len(dataset.bands.all_names) + 1):
        title = band_title(dataset, number)
        with grid.cell(), errors_shown("This band cannot be shown"):
            data = pictures.image_thumbnail(
                pair.image, bands=(number,) * 3, longest_px=_PREVIEW_PX
            )
            st.image(data, width="stretch", alt=f"Band {title} of {pair.id}")
            st.caption(md_escape(title))
