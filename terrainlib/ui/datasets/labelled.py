"""The part of the data set box that makes one of a labelled scene.

Image and labels are named by path or uploaded; the data set is written to a folder of
this machine, where it stays.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, Final

import streamlit as st

from terrainlib import files, rights
from terrainlib.data.choices import BandKeys
from terrainlib.data.labels.patches import SIZES, Made, PatchOptions, make_patches
from terrainlib.data.labels.vectors import is_vector, list_fields
from terrainlib.errors import InputError, TerrainError
from terrainlib.ui.cached import file_stamp
from terrainlib.ui.errors import errors_shown
from terrainlib.ui.paths import find_file, results_folder
from terrainlib.ui.text import md_escape, plural

_IMAGES: Final = ("png", "jpg", "jpeg", "tif", "tiff")
LABEL_ENDINGS: Final = (
    *_IMAGES,
    *("gpkg", "geojson", "json", "shp", "shx", "dbf", "prj", "cpg"),
)
_PARTS_OF_SHAPEFILE: Final = frozenset({".shx", ".dbf", ".prj", ".cpg"})
_LIKELY: Final = "Find it for me"
_LABELS_HELP: Final = (
    "A raster of classes, or polygons, lines and points: GeoPackage, GeoJSON, or a "
    "Shapefile with all its files. Ground without a label is not used."
)
_HEIGHTS_HELP: Final = (
    "A file with one band, in metres, for a single image: of the same size, or with a "
    "place on the Earth."
)


def make_of_scene(key: str) -> str | None:
    """Show the widgets; return the folder of a data set that was just made.

    Args:
        key: Start of the widgets' keys.
    """
    images, labels, heights = _pick_files(key)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        field = pick_field(key, labels)
        size = st.selectbox(
            "Patch size",
            [None, *SIZES],
            format_func=lambda side: f"{side} px" if side else "Chosen for you",
            key=f"{key}_size",
        )
        bands = st.text_input(
            "Bands to train on",
            placeholder="4,3,2 or red,nir",
            help="Numbers or names. All bands are kept, so you can choose others at "
            "any time.",
            key=f"{key}_bands",
        )
        out = st.text_input(
            "Folder for the data set",
            placeholder=str(default_folder(images)),
            help="A new folder. It is kept until you delete it.",
            key=f"{key}_out",
        )
        sent = st.button("Make the data set", type="primary", key=f"{key}_make")
    if not sent:
        return None
    with errors_shown("The data set cannot be made"):
        if not images or not labels:
            raise InputError(
                "An image and its labels are needed. Type the paths of both, or "
                "upload them."
            )
        folder = results_folder(out.strip() or str(default_folder(images)))
        options = PatchOptions(field, size, bands=_band_keys(bands))
        made = _make(key, (images, labels, heights), folder, options)
        for note in made.notes:
            st.caption(md_escape(note))
        st.toast(f"{plural(made.patches, 'patch', 'patches')} made")
        return str(made.folder)
    return None


def _pick_files(key: str) -> tuple[list[Any], list[Any], list[Any]]:
    """Ask for image, labels and heights."""
    st.caption(
        "One large image with labels on it is cut into patches: images with masks, to "
        "train on. Type the paths of the files, or upload them."
    )
    left, middle, right = st.columns(3)
    with left:
        images = _pick(
            f"{key}_image", "Image", _IMAGES, "An image of any size.", "scene.tif"
        )
    with middle:
        labels = _pick(
            f"{key}_labels", "Labels", LABEL_ENDINGS, _LABELS_HELP, "labels.gpkg"
        )
    with right:
        heights = _pick(
            f"{key}_heights",
            "Heights, if there are any",
            _IMAGES,
            _HEIGHTS_HELP,
            "heights.tif",
        )
    return images, labels, heights


def _band_keys(text: str) -> BandKeys | None:
    """Return bands as they were typed, by number or name; None for no choice."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    return tuple(int(word) if word.isdecimal() else word for word in words) or None


def _pick(
    key: str, label: str, endings: Sequence[str], help_text: str, example: str
) -> list[Any]:
    """Return what was named or uploaded: paths as typed, or uploads."""
    typed = ""
    if rights.may("read folders"):
        typed = st.text_input(label, placeholder=example, help=help_text, key=key)
    uploads = st.file_uploader(
        f"{label}, uploaded",
        list(endings),
        accept_multiple_files=True,
        label_visibility="collapsed",
        key=f"{key}_upload",
    )
    return [typed.strip()] if typed.strip() else list(uploads)


def default_folder(images: Sequence[Any]) -> Path:
    """Return a folder that is not there yet, named after the first image."""
    name = PurePath(_name(images[0])).stem if images else "scene"
    first = files.home_dir() / "datasets" / (name.strip(". ")[:80] or "scene")
    folder, number = first, 1
    while files.exists(folder):
        number += 1
        folder = first.with_name(f"{first.name}-{number}")
    return folder


def _name(source: Any) -> str:
    return source if isinstance(source, str) else PurePath(source.name).name


def pick_field(key: str, labels: Sequence[Any]) -> str | None:
    """Ask for the field of the class where files of features do not make it clear."""
    if not any(is_vector(Path(_name(source))) for source in labels):
        return None
    try:
        with on_disk(labels) as paths:
            fields = _fields(tuple((str(path), file_stamp(path)) for path in paths))
    except TerrainError:  # told when the data set is made
        return None
    if len(fields) < 2:
        return None
    chosen = st.selectbox(
        "Field with the class", [_LIKELY, *fields], key=f"{key}_field"
    )
    return None if chosen == _LIKELY else chosen


@st.cache_data(max_entries=16, show_spinner="Reading the labels …")
def _fields(paths: tuple[tuple[str, tuple[int, int]], ...]) -> list[str]:
    found: dict[str, None] = {}
    for path, _ in paths:
        if is_vector(Path(path)):
            found |= dict.fromkeys(list_fields(Path(path)))
    return list(found)


@contextmanager
def on_disk(sources: Sequence[Any]) -> Iterator[list[Path]]:
    """Yield the paths of files that were named, or uploaded and written for a while."""
    uploads = [source for source in sources if not isinstance(source, str)]
    if not uploads:
        yield [find_file(source) for source in sources]
        return
    with files.scratch_folder(files.cache_dir()) as folder:
        paths = []
        for upload in uploads:
            rights.require_upload(upload.size, upload.name)
            path = folder / _file_name(upload.name)
            path.write_bytes(upload.getbuffer())
            if path.suffix.lower() not in _PARTS_OF_SHAPEFILE:
                paths.append(path)
        yield paths


def _file_name(name: str) -> str:
    """Return a name under which an upload can be written anywhere."""
    path = PurePath("".join(c if c.isprintable() else "_" for c in name))
    return (path.stem.strip(". ")[:80] or "file") + path.suffix[:10]


def _make(
    key: str,
    sources: tuple[Sequence[Any], Sequence[Any], Sequence[Any]],
    folder: Path,
    options: PatchOptions,
) -> Made:
    """Make the data set behind a bar; any click ends it, and nothing is left then."""
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, "Reading the labels")
        st.button("Stop", key=f"{key}_stop", icon=":material/stop:")

    def show(done: int, total: int) -> None:
        bar.progress(done / max(total, 1), f"Cutting patches: {done:,} of {total:,}")

    try:
        with ExitStack() as stack:
            images, labels, heights = (
                stack.enter_context(on_disk(source)) for source in sources
            )
            if len(heights) > 1:
                raise InputError("More than one height file was given. Give one.")
            options = replace(options, heights=heights[0] if heights else None)
            return make_patches(images, labels, folder, options, progress=show)
    finally:
        place.empty()
