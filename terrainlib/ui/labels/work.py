"""The image that is painted on: opened as in the studio, known again by its content."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import streamlit as st

from terrainlib.data.formats.imagebands import bands_of_image
from terrainlib.data.formats.raster import BandSet, Georeference
from terrainlib.data.imagery import read_grid
from terrainlib.data.labels.strokefile import StrokeFile, image_digest
from terrainlib.data.labels.strokes import Painted
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.scene import open_scene
from terrainlib.mask.instantview import LabelledImage
from terrainlib.mask.tiles.resampling import shrink
from terrainlib.model.instant import Describer, suitable_base
from terrainlib.model.pixelclassifier import COLOR_WINDOWS_PX
from terrainlib.model.start import RGB
from terrainlib.ui import cached
from terrainlib.ui.cached import encode_jpeg, file_stamp
from terrainlib.ui.labels.painter import Area, PaintView, Seen
from terrainlib.ui.memory import on_disk
from terrainlib.ui.studio.inputs import Chosen, band_label
from terrainlib.ui.studio.masks import PictureFile
from terrainlib.ui.studio.uploads import path_of
from terrainlib.ui.turns import PICTURES, in_turn

OVERVIEW_PX: Final = 2048
_DETAIL_PIXELS: Final = 1_500_000
_READ_PIXELS: Final = 16_000_000  # of the file for a detail
_SHARP: Final = 0.9  # of a px of the overview for one of the screen


@dataclass(frozen=True, slots=True)
class Work:
    """An image that is painted on.

    Attributes:
        path: Its file.
        picture: It, with the bands that are learnt from.
        height: Its heights, where they are learnt from.
        image: What learns from what is painted on it.
        file: Where the strokes stand.
        view: What the painter shows.
    """

    path: Path
    picture: PictureFile
    height: PictureFile | None
    image: LabelledImage
    file: StrokeFile
    view: PaintView

    def read(self) -> Painted:
        """Return what is painted; at first nothing, with Kaggle's classes.

        Raises:
            TerrainError: If the strokes cannot be read.
        """
        return with_some_classes(self.file.read())

    @property
    def stem(self) -> str:
        """How the names of files made of it begin."""
        return Path(self.picture.name).stem


def with_some_classes(painted: Painted) -> Painted:
    """Return what is painted; Kaggle's classes where nobody has chosen any."""
    return painted if painted.classes else replace(painted, classes=KAGGLE_CLASSES)


def open_work(chosen: Chosen, key: str, *, heights: bool) -> Work | None:
    """Open what was chosen to be painted on; asks which of many bands are used.

    Args:
        chosen: The image.
        key: Start of the widgets' keys.
        heights: Whether its heights are learnt from too.

    Returns:
        None while no band is chosen.

    Raises:
        TerrainError: If it cannot be read.
    """
    picture = chosen.picture
    path = path_of(picture)
    digest = _digest(str(path), file_stamp(path))
    asked = chosen.bands
    if len(chosen.overview.bands.all) > 3:
        picked = _pick_bands(chosen, f"{key}_bands_{digest}")
        if not picked:
            st.info("Choose at least one band to learn from.")
            return None
        asked = picked
    bands = bands_of_image(path, asked)
    if bands is not None:
        picture = replace(picture, bands=None, key=picture.key.split("|bands")[0])
        picture = picture.with_bands(bands)
    place = _place(str(path), file_stamp(path))
    height = chosen.height if heights else None
    size = chosen.overview.height, chosen.overview.width
    image = LabelledImage(
        key=f"{digest}|{bands}|{height.key if height else ''}",
        source=path,
        size=size,
        bands=bands,
        choice=bands or picture.bands,
        heights=None if height is None else height.source,
        describer=partial(_describer, height is not None, bands),
        features=_feature_count(height is not None, bands),
        store=cached.described(),
        lay_down=on_disk,
    )
    view = PaintView(
        digest, picture.name, (size[1], size[0]), _overview(picture, digest)
    )
    return Work(path, picture, height, image, StrokeFile.of(digest, place), view)


@st.cache_data(max_entries=64, show_spinner=False)
def _digest(path: str, stamp: cached.Stamp) -> str:
    del stamp  # part of the key
    return image_digest(Path(path))


@st.cache_data(max_entries=64, show_spinner=False)
def _place(path: str, stamp: cached.Stamp) -> Georeference | None:
    del stamp  # part of the key
    return read_grid(Path(path), in_parts=True).place


def _feature_count(height: bool, bands: BandSet | None) -> int:
    """Return how many features pixels have; no network is loaded for it."""
    windows = 1 + 2 * len(COLOR_WINDOWS_PX)
    own = windows * ((3 if bands is None else len(bands.bands)) + height)
    return own + (len(KAGGLE_CLASSES) if _has_network(bands) else 0)


def _has_network(bands: BandSet | None) -> bool:
    return bands is None or bands.names == RGB


def _describer(height: bool, bands: BandSet | None) -> Describer:
    return Describer(height, suitable_base(bands, height=height))


def _pick_bands(chosen: Chosen, key: str) -> tuple[int, ...]:
    """Ask which bands of a file are learnt from; at first those that are shown."""
    bands = chosen.overview.bands
    numbers = [band.number for band in bands.all]
    picked = st.multiselect(
        "Bands to learn from",
        numbers,
        default=list(dict.fromkeys(bands.default)),
        format_func=lambda number: band_label(bands, number),
        help="What tells the classes apart. Infrared tells plants from all else.",
        key=key,
        persist_state="session",
    )
    return tuple(number for number in picked if number in numbers)


def _overview(picture: PictureFile, digest: str) -> bytes:
    key = f"painted\n{digest}|{picture.bands}"
    kept = cached.results().get(key)
    if isinstance(kept, bytes):
        return kept
    with (
        in_turn(PICTURES),
        open_scene(picture.source, name=picture.name, bands=picture.bands) as scene,
    ):
        jpeg = encode_jpeg(scene.overview(OVERVIEW_PX).rgb)
    cached.results().put(key, jpeg, len(jpeg))
    return jpeg


def with_detail(work: Work, seen: Seen | None) -> PaintView:
    """Return the view with a sharper picture of what is on the screen, if it needs one.

    Raises:
        TerrainError: If the image cannot be read.
    """
    view = work.view
    if seen is None:
        return view
    width, height = view.size
    shown = min(1.0, OVERVIEW_PX / max(width, height))  # px of the overview a px
    if shown >= _SHARP * min(1.0, seen.scale):
        return view
    window = _rounded(seen.window, view.size)
    left, top, right, bottom = window
    pixels = (right - left) * (bottom - top)
    if pixels > _READ_PIXELS:
        return view
    key = f"detail\n{view.id}|{work.picture.bands}|{window}"
    kept = cached.results().get(key)
    if kept is None:
        picture = work.picture
        with (
            PICTURES.turn(),
            open_scene(picture.source, bands=picture.bands) as scene,
        ):
            rgb, _ = scene.read((slice(top, bottom), slice(left, right)))
        bands = picture.bands
        if isinstance(bands, BandSet):
            rgb = rgb[..., bands.shown]
        longest = max(right - left, bottom - top)
        most = int(longest * min(1.0, (_DETAIL_PIXELS / pixels) ** 0.5))
        kept = encode_jpeg(shrink(rgb, most, nearest=False))
        cached.results().put(key, kept, len(kept))
    return replace(view, detail=kept, detail_window=window)


def _rounded(window: Area, size: tuple[int, int]) -> Area:
    """Return a window that grows to whole 64ths, so that small moves need no other."""
    left, top, right, bottom = window
    step = 64
    return (
        left // step * step,
        top // step * step,
        min(size[0], -(-right // step) * step),
        min(size[1], -(-bottom // step) * step),
    )
