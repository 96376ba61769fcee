"""The box in which a page lets people choose a data set.

Five ways lead to one: the embedded sample, a folder on this machine, an uploaded zip, a
labelled scene and a Kaggle data set by its name. The choice is shared by the pages and
survives leaving them. The address holds it, so that a reload and a shared link keep it:
`data` is the source, `at` the folder or the id of the upload. Use it outside of forms.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib import rights
from terrainlib.data.dataset import Dataset
from terrainlib.data.fetch import (
    KAGGLE_DATASET,
    download_kaggle,
    kept_upload,
    mark_used,
    unpack_upload,
    upload_id,
)
from terrainlib.data.layouts.find import UnknownNamesError
from terrainlib.data.sample import SAMPLE_DIR
from terrainlib.errors import DatasetError, TerrainError
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.ui import cached, state
from terrainlib.ui.browse import browse
from terrainlib.ui.datasets.labelled import make_of_scene
from terrainlib.ui.datasets.names import show_chosen_names, show_names
from terrainlib.ui.errors import errors_shown, show_error
from terrainlib.ui.paths import allowed_path
from terrainlib.ui.text import md_escape, plural

SOURCE: Final = "shared_dataset_source"  # str: one of SOURCES
FOLDERS: Final = "shared_dataset_folders"  # dict: the folder opened last, by source
UPLOAD: Final = "shared_dataset_upload"  # str: the upload that was unpacked last
SOURCES: Final = {
    "sample": "Sample",
    "folder": "Folder",
    "zip": "Zip file",
    "scene": "Labelled scene",
    "kaggle": "Kaggle",
}
_NEEDED: Final[dict[str, rights.Right]] = {
    "folder": "read folders",
    "zip": "upload a data set",
    "scene": "upload a data set",
    "kaggle": "download from Kaggle",
}
LAYOUT_HELP: Final = (
    "These layouts are understood: `ID_t.png`, `ID_i2.png` and (if there are heights) "
    "`ID_h.png` in one folder; the folders `images`, `masks` and `heights` with equal "
    "file names; `NAME` with `NAME_mask` and `NAME_height`. Where the names are "
    "others, the page asks which is which."
)


def pick_dataset(key: str) -> Dataset | None:
    """Show the box and return the chosen data set, scanned.

    Args:
        key: Start of the widgets' keys, one a page.

    Returns:
        The data set, or None as long as none is chosen or the chosen one cannot be
        used; the page has then said so in one sentence.
    """
    with st.container(border=True, height="stretch"):
        _follow_address(key)
        source = _pick_source(key)
        folder = _INPUTS[source](key)
        _write_address(source, folder)
        dataset = None if folder is None else _open(folder, key)
        st.session_state[state.DATASET_FOLDER] = (
            str(dataset.folder) if dataset else None
        )
        if dataset is not None:
            st.markdown(f":material/check_circle: {summary(dataset)}")
            show_chosen_names(dataset, key)
    return dataset


def summary(dataset: Dataset) -> str:
    """Return Markdown that says in one line what a data set holds."""
    parts = [plural(len(dataset.pairs), "pair"), sizes(dataset)]
    parts.append("with heights" if dataset.has_heights else "")
    if dataset.problems:
        parts.append(plural(len(dataset.problems), "problem"))
    facts = " · ".join(part for part in parts if part)
    return f"**{md_escape(dataset.name)}**  ·  {facts}"


def sizes(dataset: Dataset) -> str:
    """Return the image size, or the range of sizes, as text.

    Example: `128 × 128 px`, or `64 × 64 to 512 × 640 px` (width by height).
    """
    found = sorted({pair.size for pair in dataset.pairs}, key=lambda s: s[0] * s[1])
    texts = [f"{width} × {height}" for height, width in found]
    if not texts:
        return "no pairs"
    return f"{texts[0]} px" if len(texts) == 1 else f"{texts[0]} to {texts[-1]} px"


def _follow_address(key: str) -> None:
    """Turn to the data set that a link or a reload asks for."""
    source, place = state.asked_by_address("data", "at") or ("", "")
    if source not in _offered():
        return
    folder: str | None = place or None
    if source == "zip":
        upload = kept_upload(place)
        folder = str(upload) if upload else None
        if place and upload is None:
            st.warning("This upload is not kept any more. Upload it again.")
    _remember(source, folder)
    st.session_state[SOURCE] = st.session_state[f"{key}_source"] = source
    if source == "folder":
        st.session_state[f"{key}_folder"] = place


def _write_address(source: str, folder: str | None) -> None:
    place = folder or ""
    if source == "zip" and folder:
        place = upload_id(Path(folder))
    if source == "sample":
        source = place = ""
    state.write_address(data=source, at=place)


def address_of(folder: Path) -> dict[str, str]:
    """Return the part of an address that opens a data set on the preview page."""
    upload = upload_id(folder)
    if folder == SAMPLE_DIR:
        return {"data": "sample"}
    return {"data": "zip" if upload else "folder", "at": upload or str(folder)}


def _pick_source(key: str) -> str:
    widget = f"{key}_source"
    remembered = st.session_state.get(SOURCE)
    first = remembered if remembered in _offered() else "sample"
    st.session_state.setdefault(widget, first)
    chosen = st.segmented_control(
        "Data set",
        _offered(),
        format_func=SOURCES.__getitem__,
        required=True,
        key=widget,
    )
    source = chosen if chosen in _offered() else "sample"
    st.session_state[SOURCE] = source
    return source


def _offered() -> list[str]:
    """Return the sources that whoever acts now may use."""
    return [one for one in SOURCES if one not in _NEEDED or rights.may(_NEEDED[one])]


def _sample(key: str) -> str | None:
    del key
    return str(SAMPLE_DIR)


def _folder(key: str) -> str | None:
    widget = f"{key}_folder"

    def take(path: str) -> None:
        _remember("folder", path)
        st.session_state[widget] = path

    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = _ask(
            widget,
            "Folder on this machine",
            "Open",
            value=_remembered("folder") or "",
            placeholder="/home/me/terrain",
            help_text=LAYOUT_HELP,
        )
        browse(widget, take, suffixes=(), take="Open this folder")
    if typed is not None:
        _remember("folder", typed.strip().strip("\"'") or None)
    folder = _remembered("folder")
    if folder is None:
        st.caption(f"Browse for a folder, or type its path. {LAYOUT_HELP}")
    return folder


def _zip(key: str) -> str | None:
    upload = st.file_uploader(
        "Zip file with image and mask pairs",
        key=f"{key}_zip",
        help=LAYOUT_HELP,
    )
    folder = _remembered("zip")
    there = folder is not None and mark_used(Path(folder))
    known = st.session_state.get(UPLOAD) if there else None
    if upload is not None and upload.file_id != known:
        _remember("zip", None)
        runs = filter(None, [RUN_SLOT.active(), *RUN_SLOT.waiting()])
        with errors_shown("This zip file cannot be opened"), st.spinner("Unpacking…"):
            trained = [Path(run.config.data) for run in runs]
            unpacked = unpack_upload(upload.getvalue(), upload.name, trained)
            _remember("zip", str(unpacked))
            st.session_state[UPLOAD] = upload.file_id
            cached.let_go(upload)
    return _remembered("zip")


def _scene(key: str) -> str | None:
    made = make_of_scene(f"{key}_scene")
    if made is not None:
        _remember("scene", made)
    return _remembered("scene")


def _kaggle(key: str) -> str | None:
    name = _ask(
        f"{key}_kaggle",
        "Name of the data set on Kaggle",
        "Download",
        value=KAGGLE_DATASET,
        placeholder="owner/name",
        help_text="The last two parts of its address on kaggle.com: owner/name.",
    )
    if name is not None:
        _remember("kaggle", None)
        with (
            errors_shown("This data set cannot be downloaded"),
            st.spinner("Downloading from Kaggle. Large sets take a while…"),
        ):
            _remember("kaggle", str(download_kaggle(name.strip())))
    folder = _remembered("kaggle")
    if folder is None and name is None:
        st.caption("It is downloaded once and kept on this machine.")
    return folder


def _ask(
    key: str, label: str, action: str, *, value: str, placeholder: str, help_text: str
) -> str | None:
    """Show a line of text with its button; return the text when it was sent."""
    st.session_state.setdefault(key, value)
    with (
        st.form(f"{key}_form", border=False),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        text = st.text_input(label, placeholder=placeholder, help=help_text, key=key)
        sent = st.form_submit_button(action, key=f"{key}_send", type="primary")
    return text if sent else None


def scanned(folder: str) -> Dataset:
    """Return a data set, scanned behind a progress bar where it was not before.

    Raises:
        InputError: If it is outside of the allowed folders.
        DatasetError: If the folder is no usable data set.
    """
    bar = st.empty()

    def show(done: int, total: int) -> None:
        if done % max(1, total // 100) == 0 or done == total:
            text = f"Checking the pairs: {done:,} of {total:,}"
            bar.progress(done / max(total, 1), text)

    try:
        return cached.dataset(folder, progress=show)
    finally:
        bar.empty()


def _open(folder: str, key: str) -> Dataset | None:
    """Scan a folder, or say why it is no data set."""
    try:
        return scanned(folder)
    except UnknownNamesError as error:
        known = DatasetError(error.reason, file=error.file)
        show_error(known, "Which files are images, and which are masks?")
        show_names(allowed_path(folder), error.groups, error.patterns, key)
        return None
    except TerrainError as error:
        show_error(error, "This data set cannot be opened")
        return None


def _remembered(source: str) -> str | None:
    folder: str | None = st.session_state.get(FOLDERS, {}).get(source)
    return folder


def _remember(source: str, folder: str | None) -> None:
    folders = dict(st.session_state.get(FOLDERS, {}))
    st.session_state[FOLDERS] = folders | {source: folder}


_INPUTS: Final[dict[str, Callable[[str], str | None]]] = {
    "sample": _sample,
    "folder": _folder,
    "zip": _zip,
    "scene": _scene,
    "kaggle": _kaggle,
}
