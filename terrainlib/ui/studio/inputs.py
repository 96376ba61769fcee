"""What the mask studio works on: boxes for images and heights, and a look at them."""

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from terrainlib import rights
from terrainlib.data.formats.bands import Bands
from terrainlib.data.formats.raster import BandKey, BandSet
from terrainlib.data.sample import Scene, example_scenes
from terrainlib.data.scene import list_bands
from terrainlib.errors import BandsError, ImageError
from terrainlib.runs.models import ModelEntry, list_models
from terrainlib.ui import cached, state
from terrainlib.ui.browse import browse
from terrainlib.ui.errors import errors_shown, show_error
from terrainlib.ui.models.picker import PixelChoice, choose_pixel_classifier
from terrainlib.ui.paths import find_file, find_images
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.studio.overview import ImageOverview, image_overview
from terrainlib.ui.studio.uploads import (
    find_uploads,
    kept_uploads,
    pick_uploads,
    uploads_in_words,
    want_mask,
)
from terrainlib.ui.text import md_escape, plural


def pick_on_machine() -> tuple[PictureFile, ...]:
    """Ask for a path; return the image there, or the images in that folder."""
    typed = _ask_path(
        state.STUDIO_PATH,
        "File or folder on this machine",
        "/home/me/scene.tif",
        "A GeoTIFF may be of any size: it is read in parts. Of a folder all PNG, JPEG "
        "and TIFF files directly in it are taken.",
        take="Take the images of this folder",
    )
    if not typed:
        return ()
    with errors_shown("The path cannot be opened") as outcome:
        found = find_images(typed)
    if outcome.failed:
        return ()
    if found.folder is not None:
        left = f"; {plural(found.links, 'link')} skipped" if found.links else ""
        if found.results:
            left += f"; {plural(found.results, 'earlier result')} left out"
        if found.heights:
            left += f"; {plural(found.heights, 'file')} with heights left out"
        st.markdown(
            f":material/folder: {plural(len(found.images), 'image')} in "
            f"**{md_escape(found.folder.name)}**{left}"
        )
    return tuple(PictureFile.on_disk(path) for path in found.images)


def pick_height_on_machine() -> PictureFile | None:
    """Ask for the path of a file with heights; return it once it is there."""
    typed = _ask_path(
        state.STUDIO_HEIGHT_PATH,
        "Heights in metres, of the image's size",
        "/home/me/heights.tif",
        "A PNG with 16 bits, TIFF or GeoTIFF with one band. Where image and heights "
        "both have a place on the Earth, the heights may be on another grid.",
    )
    if not typed:
        return None
    with errors_shown("The heights cannot be opened") as outcome:
        path = find_file(typed)
    return None if outcome.failed else PictureFile.on_disk(path)


def _ask_path(
    key: str, label: str, example: str, help_text: str, *, take: str | None = None
) -> str:
    """Show a line for a path, and a way to browse; return the path opened last."""
    widget = f"{key}_text"
    st.session_state.setdefault(widget, st.session_state.get(key, ""))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        with (
            st.form(f"{key}_form", border=False, width="stretch"),
            st.container(horizontal=True, vertical_alignment="bottom", gap="small"),
        ):
            st.text_input(label, placeholder=example, help=help_text, key=widget)
            st.form_submit_button(
                "Open", key=f"{key}_open", on_click=_remember, args=(key, widget)
            )
        browse(key, partial(_picked, key, widget), take=take)
    return str(st.session_state.get(key, ""))


def _remember(key: str, widget: str) -> None:
    st.session_state[key] = str(st.session_state.get(widget, "")).strip()
    want_mask()


def _picked(key: str, widget: str, path: str) -> None:
    st.session_state[widget] = path
    _remember(key, widget)


_COLORS: Final = ("Red", "Green", "Blue")


def pick_bands(
    picture: PictureFile, used: BandSet | None = None, *, shared: bool = False
) -> PictureFile | None:
    """Ask for the bands of a file that does not say which are the model's.

    For a model of red, green and blue also of one that has more than three.

    Args:
        picture: The image.
        used: The bands of the model; None for red, green and blue.
        shared: Whether the choice holds for other images too.

    Returns:
        The image with the chosen bands; as it was where there is nothing to choose;
        None while they are not all chosen.

    Raises:
        ImageError: If the file cannot be read.
    """
    if used is not None:
        return _pick_set(picture, used, shared=shared)
    bands = list_bands(picture.source, name=picture.name)
    if not bands.asks or len(bands.all) < 2:
        return picture
    st.markdown(
        f"**{plural(len(bands.all), 'band')}**: which ones are red, green and blue?"
        + (" The choice holds for all images." if shared else "")
    )
    digest = _digest(picture)
    red, green, blue = (
        _pick_band(bands, number, f"studio_band_{digest}_{number}", column)
        for number, column in enumerate(st.columns(3, gap="small"))
    )
    chosen = (red, green, blue)
    return picture if chosen == bands.default else picture.with_bands(chosen)


def _pick_set(
    picture: PictureFile, used: BandSet, *, shared: bool
) -> PictureFile | None:
    """Find the bands of a model, or ask for each of them.

    Raises:
        ImageError: If the file cannot be read.
    """
    found = picture.with_bands(used)
    try:
        image_overview(found)
    except BandsError as error:
        st.warning(md_escape(error), icon=":material/layers:")
    else:
        return found
    bands = list_bands(picture.source, name=picture.name)
    st.markdown(
        "Which bands are those of the model?"
        + (" The choice holds for all images." if shared else "")
    )
    key = f"studio_band_{_digest(picture)}_{_digest(found)}"
    grid = st.grid("auto", min_column_width=120, gap="small")
    chosen = [
        grid.cell().selectbox(
            md_escape(name),
            [band.number for band in bands.all],
            index=None,
            format_func=lambda number: band_label(bands, number),
            placeholder="Choose",
            key=f"{key}_{place}",
            persist_state="session",
        )
        for place, name in enumerate(used.names)
    ]
    numbers = tuple(number for number in chosen if number is not None)
    if len(numbers) < len(chosen):
        return None
    return picture.with_bands(replace(used, asked=numbers))


def _digest(picture: PictureFile) -> str:
    return hashlib.sha256(picture.key.encode("utf-8", "replace")).hexdigest()[:16]


def band_label(bands: Bands, number: int) -> str:
    """Return what a band is called in the boxes: `4 · Near infrared`.

    Args:
        bands: All bands of the file.
        number: The band's number, from 1.
    """
    name = bands.all[number - 1].name
    return name if name == f"Band {number}" else f"{number} · {name}"


def _pick_band(bands: Bands, place: int, key: str, column: DeltaGenerator) -> int:
    """Show the box of one colour; return the number of its band."""
    numbers = [band.number for band in bands.all]
    with column:
        chosen = st.selectbox(
            _COLORS[place],
            numbers,
            index=numbers.index(bands.default[place]),
            format_func=lambda number: band_label(bands, number),
            key=key,
            persist_state="session",
        )
    return chosen if chosen in numbers else bands.default[place]


SOURCES: Final = {
    "example": "Example scene",
    "upload": "Upload",
    "machine": "On this machine",
    "gallery": "From the gallery",
}


# The live view and its downloads hold the probabilities of all classes as float32: half
# a gigabyte for 16 megapixels of 8 classes. More is written to the disk as it is made.
LIVE_MEGAPIXELS: Final = 16
LIVE_VALUES: Final = 128_000_000
_TRIED_IMAGES: Final = 5

# Images, and the heights of a single one where the source has them.
Files = tuple[tuple[PictureFile, ...], PictureFile | None]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What was chosen, and what it looks like.

    Attributes:
        pictures: The images, at least one.
        height: The heights of a single image where the source has them, else None.
        shown: The first of them that can be read.
        overview: What that one looks like.
    """

    pictures: tuple[PictureFile, ...]
    height: PictureFile | None
    shown: PictureFile
    overview: ImageOverview

    @property
    def bands(self) -> tuple[BandKey, ...] | None:
        """The bands that were chosen for them; None where nothing was."""
        bands = self.shown.bands
        if isinstance(bands, BandSet):
            return bands.asked
        return None if bands is None else tuple(bands)

    @property
    def picture(self) -> PictureFile:
        """The first image."""
        return self.pictures[0]

    @property
    def name(self) -> str:
        """Name of the image that is shown."""
        return self.shown.name

    def fits_live_view(self, classes: int) -> bool:
        """Whether it is one image that can be held in memory.

        Args:
            classes: How many classes the model has.
        """
        pixels = self.overview.pixels
        small = pixels <= LIVE_MEGAPIXELS * 1e6 and pixels * classes <= LIVE_VALUES
        return small and len(self.pictures) == 1


def pick_source() -> str:
    """Show the choice of sources and return one of `SOURCES`."""
    request = state.studio_request()
    barred = set() if rights.may("read folders") else {"machine"}
    barred |= set() if request else {"gallery"}
    offered = [name for name in SOURCES if name not in barred]
    if st.session_state.get(state.STUDIO_SOURCE) not in offered:
        st.session_state[state.STUDIO_SOURCE] = offered[0]
    chosen = st.segmented_control(
        "Image",
        offered,
        format_func=SOURCES.__getitem__,
        key=state.STUDIO_SOURCE,
        required=True,
        on_change=want_mask,
        persist_state="session",
    )
    return str(chosen)


_QUERY: Final = "image"  # what is looked at, as `example:europe`, in the address


def follow_address() -> None:
    """Take up what the address names when a session begins: a reload, or a link."""
    place = st.container()  # what comes below stays where it is, and is not seen twice
    kind, _, words = st.query_params.get(_QUERY, "").partition(":")
    if not words or state.STUDIO_SOURCE in st.session_state:
        return
    if kind == "example" and words in {scene.name for scene in example_scenes()}:
        st.session_state[state.STUDIO_SCENE] = words
    elif kind == "machine":
        st.session_state[state.STUDIO_PATH] = words
    elif kind == "gallery":
        folder, _, pair = words.rpartition(":")
        st.session_state[state.STUDIO_REQUEST] = {
            "dataset_folder": folder,
            "pair_id": pair,
            "model_path": "",
        }
    elif kind != "upload" or not find_uploads("image", words):
        if kind == "upload":
            st.session_state[state.STUDIO_SOURCE] = kind
            place.info("The upload is gone. Choose the file again.")
        return
    st.session_state[state.STUDIO_SOURCE] = kind


def _leave_in_address(source: str) -> None:
    """Let a reload, or a link, come back to what is looked at."""
    request = state.studio_request()
    words = {
        "example": str(st.session_state.get(state.STUDIO_SCENE, "")),
        "machine": str(st.session_state.get(state.STUDIO_PATH, "")),
        "upload": uploads_in_words("image") if kept_uploads("image") else "",
        "gallery": f"{request.dataset_folder}:{request.pair_id}" if request else "",
    }[source]
    state.write_address(**{_QUERY: f"{source}:{words}" if words else ""})


def pick_input(
    source: str, *, needs_height: bool, bands: BandSet | None = None
) -> Chosen | None:
    """Show the boxes of a source, and look at what was chosen in them.

    Args:
        source: One of `SOURCES`.
        needs_height: Whether the model takes heights beside the image.
        bands: The bands of the model; None for red, green and blue.

    Returns:
        What was chosen; None while there is nothing to work on, or where nothing can be
        read: the page has then said why.
    """
    if source == "upload":
        files = _pick_upload(needs_height=needs_height)
    elif source == "machine":
        files = _pick_on_machine(needs_height=needs_height)
    else:
        files = _requested_pair() if source == "gallery" else _pick_scene()
    _leave_in_address(source)
    return None if files is None else _look_at(*files, bands)


def _look_at(
    pictures: tuple[PictureFile, ...], height: PictureFile | None, bands: BandSet | None
) -> Chosen | None:
    """Look at the first image that can be read; ask for its bands if not clear."""
    failure: ImageError | None = None
    for number, picture in enumerate(pictures[:_TRIED_IMAGES]):
        try:
            with st.spinner("Looking at the image"):
                shown = pick_bands(picture, bands, shared=len(pictures) > 1)
                if shown is None:
                    return None
                overview = image_overview(shown)
        except ImageError as error:
            failure = failure or error
            continue
        looked_at = (*pictures[:number], shown, *pictures[number + 1 :])
        return Chosen(looked_at, height, shown, overview)
    if failure is not None:
        show_error(failure, "The image cannot be read")
    return None


def _pick_scene() -> Files:
    scenes: dict[str, Scene] = {scene.name: scene for scene in example_scenes()}
    name = st.selectbox(
        "Scene",
        list(scenes),
        format_func=lambda key: scenes[key].title,
        key=state.STUDIO_SCENE,
        on_change=want_mask,
        persist_state="session",
    )
    scene = scenes[name]
    return (PictureFile.on_disk(scene.image),), PictureFile.on_disk(scene.height)


def _pick_upload(*, needs_height: bool) -> Files | None:
    pictures = pick_uploads(
        "image",
        "Satellite images: PNG, JPEG, TIFF or GeoTIFF",
        state.STUDIO_UPLOAD,
        several=True,
    )
    if not needs_height:
        return (pictures, None) if pictures else None
    heights = pick_uploads(
        "height",
        "Heights in metres, of the image's size: PNG (16 bit), TIFF or GeoTIFF",
        state.STUDIO_HEIGHT,
    )
    return _with_height(pictures, heights[0] if heights else None)


def _pick_on_machine(*, needs_height: bool) -> Files | None:
    pictures = pick_on_machine()
    if not needs_height:
        return (pictures, None) if pictures else None
    return _with_height(pictures, pick_height_on_machine())


def _with_height(
    pictures: tuple[PictureFile, ...], height: PictureFile | None
) -> Files | None:
    """Return one image with its heights, or say that several cannot have any."""
    if len(pictures) > 1:
        st.info(
            "Heights are taken for one image at a time: open one image with its "
            "heights, or choose a model that needs none.",
            title="This model needs heights",
            icon=":material/landscape:",
        )
        return None
    return (pictures, height) if pictures and height else None


def _requested_pair() -> Files | None:
    """Return the pair that the gallery asked for, and say which one it is."""
    request = state.studio_request()
    if request is None:
        return None
    with errors_shown("The pair cannot be opened") as outcome:
        dataset = cached.dataset(request.dataset_folder)
        pair = dataset.pair(request.pair_id)
        name, shown = md_escape(dataset.name), md_escape(pair.id)
        st.markdown(f":material/image: Pair **{shown}** of **{name}**")
    if outcome.failed:
        return None
    height = PictureFile.on_disk(pair.height) if pair.height else None
    return (PictureFile.on_disk(pair.image),), height


def needs_height(entry: ModelEntry) -> bool:
    """Whether a model takes heights beside the image."""
    return bool(entry.record and entry.record.config.get("height"))


def band_set(entry: ModelEntry) -> BandSet | None:
    """Return the bands of a model; None for red, green and blue."""
    return entry.record.band_set() if entry.record else None


def class_count(entry: ModelEntry) -> int:
    """Return how many classes a model has."""
    return len(entry.record.classes) if entry.record else 0


def follow_request() -> None:
    """Turn to a pair that another page has just asked for, and to its model."""
    request = state.take_studio_request()
    if request is not None:
        st.session_state[state.STUDIO_SOURCE] = "gallery"
        st.session_state.pop(state.STUDIO_JOB, None)
        choice = PixelChoice.of_word(request.model_path)
        if choice is not None:
            choose_pixel_classifier(state.STUDIO_MODEL, choice)
        for entry in list_models():
            if entry.model == request.model_path:
                st.session_state[state.STUDIO_MODEL] = entry.id
        want_mask()
